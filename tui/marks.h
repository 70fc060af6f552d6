/* marks.h - the files that a person marked, by id, with what a question about them must say. Up to MARKS_MAX; no drawing.
 *
 * States and bytes are those last heard of; the engine decides what a command does to each.
 */
#pragma once

#include "core/hoist.h"

enum { MARKS_MAX = 100000 };

typedef struct {
    GHashTable *ids;                            /* id -> Mark; NULL before marks_init */
    unsigned    files[HOIST_N_STATES];
    uint64_t    acked_bytes;
} Marks;

void     marks_init(Marks *m);
void     marks_clear(Marks *m);                 /* frees; zeroed memory is fine */
void     marks_none(Marks *m);
bool     marks_add(Marks *m, const HoistRow *row);      /* false when full */
void     marks_remove(Marks *m, int64_t id);
void     marks_update(Marks *m, const HoistRow *row);   /* of a row that may be marked */
bool     marks_has(const Marks *m, int64_t id);
unsigned marks_count(const Marks *m);
void     marks_ids(const Marks *m, unsigned states, GArray *out);      /* appends int64_t of those in the states (bits) */
