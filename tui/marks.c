#include "marks.h"

typedef struct {
    HoistState state;
    uint64_t acked_bytes;
} Mark;

void marks_init(Marks *m)
{
    *m = (Marks){ .ids = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free) };
}

void marks_clear(Marks *m)
{
    if (m->ids != NULL)
        g_hash_table_unref(m->ids);
    *m = (Marks){ 0 };
}

void marks_none(Marks *m)
{
    marks_clear(m);
    marks_init(m);
}

static void forget(Marks *m, const Mark *mark)
{
    m->files[mark->state]--;
    m->acked_bytes -= mark->acked_bytes;
}

static void set(Marks *m, Mark *mark, const HoistRow *row)
{
    mark->state = row->state;
    mark->acked_bytes = row->state == HOIST_DONE ? 0 : row->acked_bytes;
    m->files[mark->state]++;
    m->acked_bytes += mark->acked_bytes;
}

bool marks_add(Marks *m, const HoistRow *row)
{
    if (marks_has(m, row->id)) {
        marks_update(m, row);
        return true;
    }
    if (marks_count(m) >= MARKS_MAX)
        return false;
    Mark *mark = g_new0(Mark, 1);
    set(m, mark, row);
    g_hash_table_insert(m->ids, g_memdup2(&row->id, sizeof row->id), mark);
    return true;
}

void marks_remove(Marks *m, int64_t id)
{
    const Mark *mark = g_hash_table_lookup(m->ids, &id);
    if (mark == NULL)
        return;
    forget(m, mark);
    g_hash_table_remove(m->ids, &id);
}

void marks_update(Marks *m, const HoistRow *row)
{
    Mark *mark = g_hash_table_lookup(m->ids, &row->id);
    if (mark == NULL)
        return;
    forget(m, mark);
    set(m, mark, row);
}

bool marks_has(const Marks *m, int64_t id)
{
    return g_hash_table_contains(m->ids, &id);
}

unsigned marks_count(const Marks *m)
{
    return g_hash_table_size(m->ids);
}

void marks_ids(const Marks *m, unsigned states, GArray *out)
{
    GHashTableIter iter;
    gpointer id, value;
    g_hash_table_iter_init(&iter, m->ids);
    while (g_hash_table_iter_next(&iter, &id, &value)) {
        const Mark *mark = value;
        if ((states >> mark->state & 1u) != 0)
            g_array_append_vals(out, id, 1);
    }
}
