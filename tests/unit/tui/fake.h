/* fake.h - a queue in memory that answers pages as the store would, for tests of the model and the screens. */
#pragma once

#include <glib.h>

#include "core/hoist.h"

typedef struct {
    GPtrArray *rows;            /* of HoistRow, owned */
    unsigned   pages, longest;  /* asked for so far; most rows in one */
    bool       broken;
} FakeStore;

void       fake_init(FakeStore *f);
void       fake_clear(FakeStore *f);
HoistRow  *fake_add(FakeStore *f, HoistState state, const char *name, uint64_t bytes);  /* at the end; borrowed */
GPtrArray *fake_page(void *ctx, const HoistFilter *filter, int64_t after_pos, int64_t after_id, bool backwards, unsigned n, GError **error);
