#include "fake.h"

#include <string.h>

void fake_init(FakeStore *f)
{
    *f = (FakeStore){ .rows = g_ptr_array_new_with_free_func((GDestroyNotify)hoist_row_free) };
}

void fake_clear(FakeStore *f)
{
    g_ptr_array_unref(f->rows);
}

HoistRow *fake_add(FakeStore *f, HoistState state, const char *name, uint64_t bytes)
{
    HoistRow *row = g_new0(HoistRow, 1);
    row->id = (int64_t)f->rows->len + 1;
    row->pos = row->id * 1000;
    row->state = state;
    row->name = g_strdup(name);
    row->path = g_strconcat("/data/", name, NULL);
    row->key = g_strconcat("2024/", name, NULL);
    row->dest = g_strdup("s3://photos/2024");
    row->source_bytes = row->bytes = bytes;
    row->eta_s = row->retry_in_ms = row->prepared_pct = -1;
    row->max_tries = 5;
    g_ptr_array_add(f->rows, row);
    return row;
}

static int order(const HoistRow *row, int64_t pos, int64_t id)
{
    if (row->pos != pos)
        return row->pos < pos ? -1 : 1;
    return (row->id > id) - (row->id < id);
}

static bool passes(const HoistRow *row, const HoistFilter *filter)
{
    g_autofree char *name = g_ascii_strdown(row->name, -1);
    if (filter->states != 0 && (filter->states & 1u << row->state) == 0)
        return false;
    return filter->text == NULL || strstr(name, filter->text) != NULL;
}

static gint by_order(gconstpointer a, gconstpointer b)
{
    const HoistRow *x = *(HoistRow *const *)a, *y = *(HoistRow *const *)b;
    return order(x, y->pos, y->id);
}

GPtrArray *fake_page(void *ctx, const HoistFilter *filter, int64_t after_pos, int64_t after_id, bool backwards, unsigned n, GError **error)
{
    FakeStore *f = ctx;
    GPtrArray *out = g_ptr_array_new_with_free_func((GDestroyNotify)hoist_row_free);
    f->pages++;
    if (f->broken) {
        g_ptr_array_unref(out);
        g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_IO, "broken");
        return NULL;
    }
    g_autoptr(GPtrArray) sorted = g_ptr_array_copy(f->rows, NULL, NULL);
    g_ptr_array_set_free_func(sorted, NULL);
    g_ptr_array_sort(sorted, by_order);
    for (guint i = 0; i < sorted->len && out->len < n; i++) {
        const HoistRow *row = g_ptr_array_index(sorted, backwards ? sorted->len - 1 - i : i);
        const int side = order(row, after_pos, after_id);
        if ((backwards ? side < 0 : side > 0) && passes(row, filter))
            g_ptr_array_add(out, hoist_row_dup(row));
    }
    f->longest = MAX(f->longest, out->len);
    return out;
}
