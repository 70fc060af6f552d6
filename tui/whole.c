#include "whole.h"

enum { MOVING_US = 1000 * 1000 }; /* objects of a moving file are read again */

void whole_clear(Whole *w)
{
    hoist_row_free(w->row);
    *w = (Whole){ .read = w->read, .ctx = w->ctx };
}

static bool is_fresh(const Whole *w, int64_t id, bool moving, int64_t now_us)
{
    const bool old = moving && w->row != NULL && w->row->n_objects > 0 && now_us - w->read_us >= MOVING_US;
    return w->id == id && !w->stale && !old;
}

const HoistObject *whole_objects(Whole *w, int64_t id, bool moving, int64_t now_us, unsigned *n_out)
{
    *n_out = 0;
    if (w->read == NULL)
        return NULL;
    if (!is_fresh(w, id, moving, now_us)) {
        whole_clear(w);
        w->row = w->read(w->ctx, id, NULL);
        w->id = id;
        w->read_us = now_us;
    }
    if (w->row == NULL || w->row->n_objects < 2)
        return NULL;
    *n_out = w->row->n_objects;
    return w->row->objects;
}
