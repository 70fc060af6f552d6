/* whole.h - what pages do not carry of one file: its objects. Read when they are asked for, once for a file, and again when they may have changed.
 *
 * One thread. Times: monotonic us, a parameter.
 */
#pragma once

#include "core/hoist.h"

/* As hoist_view_row. */
typedef HoistRow *(*WholeRead)(void *ctx, int64_t id, GError **error);

typedef struct {
    WholeRead read;     /* NULL: no file has objects */
    void     *ctx;
    HoistRow *row;      /* of the file id, or NULL: it could not be read */
    int64_t   id;       /* 0 = none */
    int64_t   read_us;
    bool      stale;    /* rows have changed since */
} Whole;

void whole_clear(Whole *w);
/* The objects of a file when they are more than one; else NULL and *n_out 0. moving: some of them may get done without an event of their own.
 * Borrowed until the next call. */
const HoistObject *whole_objects(Whole *w, int64_t id, bool moving, int64_t now_us, unsigned *n_out);
