/* drops.h - pasted bytes -> paths, off the screen's thread: looking at a path on a dead network mount may take forever.
 *
 * Each batch of payloads gets a thread of its own, which is left behind when it never comes back; at most DROPS_STUCK of them. Results
 * come back through a pipe that is polled with the rest. Grammar of a payload: hoist_drop_read().
 */
#pragma once

#include "core/hoist.h"

enum { DROPS_STUCK = 8 };

typedef struct Drops Drops;

typedef struct {
    HoistDropVerdict verdict;   /* of all payloads: one path that exists makes it HOIST_DROP */
    GPtrArray       *paths;     /* char*, bytes; ends with NULL, which len counts */
    GArray          *found;     /* of bool, one a path */
    GBytes          *text;      /* the first payload that was no drop, or NULL */
} DropResult;

Drops *drops_new(const char *terminal_hint, const char *host);
void   drops_free(Drops *d);            /* running threads end by themselves */
int    drops_fd(const Drops *d);        /* readable when drops_take has something */
/* Starts reading payloads (of GBytes, taken). False when too many threads are stuck. */
bool   drops_read(Drops *d, GPtrArray *payloads);
DropResult *drops_take(Drops *d);       /* NULL = nothing yet */
void   drop_result_free(DropResult *r);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Drops, drops_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DropResult, drop_result_free)
