#include "model.h"

#include <string.h>

#include "fmt.h"
#include "words.h"

enum {
    REFRESH_US = 250 * 1000,       /* pages are read at most this often */
    REFRESH_TEXT_US = 2000 * 1000, /* when the store has to look into names */
    AGAIN_US = 500 * 1000,         /* after a change of state once more: its event may overtake its commit */
    WINDOW_MAX = 600,
    WINDOW_KEEP = 400,
    MARK_PAGE = 1000,
    LOG_MAX = 500,
    N_GROUPS = 2,
};

#define BIT(state) (1u << (state))
#define MOVING     (BIT(HOIST_PREPARING) | BIT(HOIST_ACTIVE) | BIT(HOIST_COMPLETING))
#define FINISHED   (BIT(HOIST_DONE) | BIT(HOIST_CANCELLED))
#define EVERY      (BIT(HOIST_N_STATES) - 1)

static const unsigned groups[N_GROUPS] = { EVERY & ~FINISHED, FINISHED };

static const struct {
    const char *name;
    unsigned states;
} tabs[N_TABS] = {
    [TAB_ALL] = { "All", EVERY },
    [TAB_ACTIVE] = { "Active", MOVING | BIT(HOIST_CANCELLING) },
    [TAB_QUEUED] = { "Queued", BIT(HOIST_QUEUED) },
    [TAB_DONE] = { "Done", BIT(HOIST_DONE) },
    [TAB_FAILED] = { "Failed", BIT(HOIST_FAILED) },
    [TAB_PAUSED] = { "Paused", BIT(HOIST_PAUSED) },
};

struct Model {
    int64_t now_us, wall_us; /* last told; wall clock minus monotonic */
    ModelPage page;
    void *ctx;
    HoistTotals totals;
    Trend trend;
    GQueue log; /* of ModelLine, newest first */
    Marks marks;

    ModelTab tab;
    char *filter, *needle; /* as typed; what names must contain, or NULL */
    unsigned states;       /* that tab and filter let through */

    GHashTable *moving; /* id -> ModelRow */
    GHashTable *told;   /* id -> ModelRow: changes of state younger than AGAIN_US, of files that do not move */
    GPtrArray *window;  /* ModelRow from the store, in order */
    bool at_start, at_end;
    GPtrArray *shown; /* borrowed: moving rows when the window begins at the start, then the window without them */
    bool rebuild;     /* shown is out of date */
    bool stale;       /* window is out of date */
    int64_t read_us;  /* when it was read; 0 = never */
    int64_t again_us; /* when to read it once more; -1 = no need */

    unsigned height, top, selected; /* top and selected: indexes into shown */
    int64_t selected_id;
    bool touched; /* a person chose the row; until then the first one is selected */
    bool follow, range;

    Whole whole; /* of the selected file */
};

typedef struct {
    int group;
    int64_t pos, id;
} Place;

/* ------------------------------------------------------------------ making */

static ModelRow *row_new(HoistRow *row, int64_t at_us)
{
    ModelRow *mr = g_new0(ModelRow, 1);
    mr->row = row;
    mr->at_us = at_us;
    return mr;
}

static void row_free(gpointer data)
{
    ModelRow *mr = data;
    hoist_row_free(mr->row);
    g_free(mr);
}

static void line_free(gpointer data)
{
    ModelLine *line = data;
    g_free(line->clock);
    g_free(line->text);
    g_free(line);
}

Model *model_new(ModelPage page, void *ctx)
{
    Model *m = g_new0(Model, 1);
    m->page = page;
    m->ctx = ctx;
    m->totals.eta_s = -1;
    m->moving = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, row_free);
    m->told = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, row_free);
    m->window = g_ptr_array_new_with_free_func(row_free);
    m->shown = g_ptr_array_new();
    m->filter = g_strdup("");
    m->states = EVERY;
    m->at_start = m->at_end = m->stale = true;
    m->again_us = -1;
    m->height = 20;
    m->now_us = g_get_monotonic_time();
    m->wall_us = g_get_real_time() - m->now_us;
    marks_init(&m->marks);
    g_queue_init(&m->log);
    return m;
}

void model_set_whole(Model *m, WholeRead read)
{
    m->whole = (Whole){ .read = read, .ctx = m->ctx };
}

void model_free(Model *m)
{
    if (m == NULL)
        return;
    g_ptr_array_unref(m->shown);
    g_ptr_array_unref(m->window);
    g_hash_table_unref(m->moving);
    g_hash_table_unref(m->told);
    marks_clear(&m->marks);
    g_queue_clear_full(&m->log, line_free);
    whole_clear(&m->whole);
    g_free(m->filter);
    g_free(m->needle);
    g_free(m);
}

/* ------------------------------------------------------------------ pages */

static Place start_of_group(int group)
{
    return (Place){ group, INT64_MIN, 0 };
}

static Place end_of_group(int group)
{
    return (Place){ group, INT64_MAX, INT64_MAX };
}

/* What an event told lately is newer than a page, whose commit it may have overtaken. */
static ModelRow *row_of_page(const Model *m, const HoistRow *row, int group)
{
    const ModelRow *news = g_hash_table_lookup(m->told, &row->id);
    ModelRow *mr = row_new(hoist_row_dup(news == NULL ? row : news->row), news == NULL ? m->now_us : news->at_us);
    mr->group = group;
    mr->pos = row->pos;
    return mr;
}

/* Appends up to n rows behind (or before, nearest first) a place, group after group. *end_out: there are no more. */
static bool fetch(Model *m, Place from, bool backwards, unsigned n, GPtrArray *out, bool *end_out, GError **error)
{
    unsigned got = 0;
    while (from.group >= 0 && from.group < N_GROUPS && got < n) {
        const HoistFilter filter = { .states = m->states & groups[from.group], .text = m->needle };
        g_autoptr(GPtrArray) rows = filter.states == 0 ? NULL : m->page(m->ctx, &filter, from.pos, from.id, backwards, n - got, error);
        if (rows == NULL && filter.states != 0)
            return false;
        for (guint i = 0; rows != NULL && i < rows->len; i++, got++)
            g_ptr_array_add(out, row_of_page(m, g_ptr_array_index(rows, i), from.group));
        if (got < n)
            from = backwards ? end_of_group(from.group - 1) : start_of_group(from.group + 1);
    }
    *end_out = got < n;
    return true;
}

static Place place_of(const ModelRow *mr)
{
    return (Place){ mr->group, mr->pos, mr->row->id };
}

static bool passes(const Model *m, const HoistRow *row)
{
    if ((m->states & BIT(row->state)) == 0)
        return false;
    if (m->needle == NULL)
        return true;
    g_autofree char *name = g_ascii_strdown(row->name == NULL ? "" : row->name, -1);
    return strstr(name, m->needle) != NULL;
}

static gint by_place(gconstpointer a, gconstpointer b)
{
    const HoistRow *x = (*(const ModelRow *const *)a)->row, *y = (*(const ModelRow *const *)b)->row;
    if (x->pos != y->pos)
        return x->pos < y->pos ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static void fill_shown(Model *m)
{
    GHashTableIter iter;
    gpointer value;
    g_ptr_array_set_size(m->shown, 0);
    g_hash_table_iter_init(&iter, m->moving);
    while (m->at_start && g_hash_table_iter_next(&iter, NULL, &value))
        if (passes(m, ((ModelRow *)value)->row))
            g_ptr_array_add(m->shown, value);
    g_ptr_array_sort(m->shown, by_place);
    for (guint i = 0; i < m->window->len; i++) {
        ModelRow *mr = g_ptr_array_index(m->window, i);
        if (!g_hash_table_contains(m->moving, &mr->row->id) && (m->states & BIT(mr->row->state)) != 0)
            g_ptr_array_add(m->shown, mr);
    }
}

static const ModelRow *shown_at(const Model *m, unsigned i)
{
    return i < m->shown->len ? g_ptr_array_index(m->shown, i) : NULL;
}

static int find_shown(const Model *m, int64_t id)
{
    for (guint i = 0; i < m->shown->len; i++)
        if (shown_at(m, i)->row->id == id)
            return (int)i;
    return -1;
}

static void clamp_view(Model *m)
{
    const unsigned len = m->shown->len;
    m->selected = len == 0 ? 0 : MIN(m->selected, len - 1);
    if (m->selected < m->top)
        m->top = m->selected;
    if (m->selected >= m->top + m->height)
        m->top = m->selected - m->height + 1;
    if (m->top + m->height > len)
        m->top = len > m->height ? len - m->height : 0;
    m->selected_id = len == 0 ? 0 : shown_at(m, m->selected)->row->id;
}

static void select_followed(Model *m)
{
    const ModelRow *now = shown_at(m, m->selected);
    if (now != NULL && g_hash_table_contains(m->moving, &now->row->id))
        return;
    if (g_hash_table_size(m->moving) > 0 && m->at_start && m->shown->len > 0)
        m->selected = 0;
}

/* Brings shown up to date after rows changed by themselves: the selection keeps its file while that stays on the screen, else its place. */
static void settle(Model *m)
{
    if (!m->rebuild)
        return;
    m->rebuild = false;
    fill_shown(m);
    const int at = find_shown(m, m->selected_id);
    const bool on_screen = at >= 0 && (unsigned)at >= m->top && (unsigned)at < m->top + m->height;
    if (!m->touched)
        m->selected = m->top = 0;
    else if (on_screen)
        m->selected = (unsigned)at;
    if (m->follow)
        select_followed(m);
    clamp_view(m);
}

/* As settle after the window moved by the person's wish: selection and first row keep their files. */
static void settle_on(Model *m, int64_t id, unsigned offset)
{
    m->rebuild = false;
    fill_shown(m);
    const int at = find_shown(m, id);
    if (at >= 0) {
        m->selected = (unsigned)at;
        m->top = m->selected > offset ? m->selected - offset : 0;
    }
    clamp_view(m);
}

void model_stale(Model *m)
{
    m->stale = true;
}

static bool read_window(Model *m, GError **error)
{
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(row_free);
    const unsigned n = CLAMP(m->window->len, 2 * m->height, WINDOW_KEEP);
    Place from = start_of_group(0);
    if (!m->at_start && m->window->len > 0) {
        from = place_of(g_ptr_array_index(m->window, 0));
        from.id--;
    }
    bool end = false;
    if (!fetch(m, from, false, n, rows, &end, error))
        return false;
    if (rows->len == 0 && !m->at_start) { /* everything behind the old place is gone */
        m->at_start = true;
        return read_window(m, error);
    }
    g_ptr_array_unref(m->window);
    m->window = g_steal_pointer(&rows);
    m->at_end = end;
    m->rebuild = true;
    return true;
}

int64_t model_deadline_us(const Model *m)
{
    if (!m->stale)
        return m->again_us;
    return m->read_us == 0 ? 0 : m->read_us + (m->needle == NULL ? REFRESH_US : REFRESH_TEXT_US);
}

static gboolean is_old(gpointer id, gpointer value, gpointer model)
{
    (void)id;
    return ((const Model *)model)->now_us - ((const ModelRow *)value)->at_us >= AGAIN_US;
}

void model_set_now(Model *m, int64_t now_us)
{
    m->now_us = now_us;
}

void model_set_wall(Model *m, int64_t offset_us)
{
    m->wall_us = offset_us;
}

bool model_refresh(Model *m, int64_t now_us, GError **error)
{
    m->now_us = now_us;
    const int64_t due_us = model_deadline_us(m);
    if (due_us < 0 || now_us < due_us)
        return true;
    m->stale = false;
    if (now_us >= m->again_us)
        m->again_us = -1;
    g_hash_table_foreach_remove(m->told, is_old, m);
    m->read_us = now_us;
    m->whole.stale = true;
    return read_window(m, error);
}

/* ------------------------------------------------------------------ events */

static void log_row(Model *m, const HoistRow *row, HoistRowChange change)
{
    LineKind kind = LINE_PLAIN;
    g_autofree char *text = words_log(row, change, &kind);
    if (text != NULL)
        model_log(m, kind, text);
}

static void row_event(Model *m, const HoistEvent *ev, int64_t now_us)
{
    const HoistRow *row = ev->row;
    if ((MOVING & BIT(row->state)) != 0) {
        ModelRow *mr = row_new(hoist_row_dup(row), now_us);
        g_hash_table_replace(m->moving, &mr->row->id, mr);
        g_hash_table_remove(m->told, &row->id);
    } else {
        ModelRow *mr = row_new(hoist_row_dup(row), now_us);
        g_hash_table_remove(m->moving, &row->id);
        g_hash_table_replace(m->told, &mr->row->id, mr);
    }
    for (guint i = 0; i < m->window->len; i++) {
        ModelRow *mr = g_ptr_array_index(m->window, i);
        if (mr->row->id == row->id && (MOVING & BIT(row->state)) == 0) {
            hoist_row_free(mr->row);
            mr->row = hoist_row_dup(row);
            mr->at_us = now_us;
        }
    }
    marks_update(&m->marks, row);
    m->rebuild = true;
    if (ev->change == HOIST_ROW_PROGRESS)
        return;
    m->stale = true;
    m->again_us = now_us + AGAIN_US;
    log_row(m, row, ev->change);
}

static void text_event(Model *m, const HoistEvent *ev)
{
    g_autofree char *path = hoist_text(ev->path);
    g_autofree char *text = hoist_text(ev->text);
    g_autofree char *line = NULL;
    if (ev->kind == HOIST_EVENT_SKIPPED)
        line = g_strdup_printf("skipped %s  %s", path, text);
    else
        line = g_strdup(text);
    model_log(m, ev->kind == HOIST_EVENT_FATAL ? LINE_BAD : LINE_WARN, line);
}

void model_event(Model *m, const HoistEvent *ev, int64_t now_us)
{
    m->now_us = now_us;
    switch (ev->kind) {
    case HOIST_EVENT_ROW:
        row_event(m, ev, now_us);
        break;
    case HOIST_EVENT_TOTALS:
        m->totals = *ev->totals;
        trend_add(&m->trend, ev->totals->bps, now_us);
        break;
    case HOIST_EVENT_LIST:
        m->stale = true;
        break;
    case HOIST_EVENT_SKIPPED:
    case HOIST_EVENT_NOTICE:
    case HOIST_EVENT_FATAL:
        text_event(m, ev);
        break;
    case HOIST_EVENT_PREVIEW:
    case HOIST_EVENT_IDLE:
    case HOIST_EVENT_PICTURE:
        break;
    }
}

/* ------------------------------------------------------------------ moving about */

void model_set_height(Model *m, unsigned rows)
{
    rows = MAX(rows, 1);
    if (rows == m->height)
        return;
    if (m->window->len < 2 * rows && !m->at_end)
        m->stale = true;
    m->height = rows;
    settle(m);
    clamp_view(m);
}

unsigned model_visible(Model *m)
{
    settle(m);
    return MIN(m->height, m->shown->len - MIN(m->top, m->shown->len));
}

const ModelRow *model_at(Model *m, unsigned i)
{
    settle(m);
    return shown_at(m, m->top + i);
}

const ModelRow *model_selected(Model *m)
{
    settle(m);
    return shown_at(m, m->selected);
}

const HoistObject *model_objects(Model *m, unsigned *n_out)
{
    const ModelRow *mr = model_selected(m);
    *n_out = 0;
    return mr == NULL ? NULL : whole_objects(&m->whole, mr->row->id, (MOVING & BIT(mr->row->state)) != 0, m->now_us, n_out);
}

bool model_more_above(Model *m)
{
    settle(m);
    return m->top > 0 || !m->at_start;
}

bool model_more_below(Model *m)
{
    settle(m);
    return m->top + m->height < m->shown->len || !m->at_end;
}

static void grow_down(Model *m, unsigned n)
{
    Place from = m->window->len == 0 ? start_of_group(0) : place_of(g_ptr_array_index(m->window, m->window->len - 1));
    if (!fetch(m, from, false, n, m->window, &m->at_end, NULL))
        return;
    if (m->window->len > WINDOW_MAX) {
        g_ptr_array_remove_range(m->window, 0, m->window->len - WINDOW_KEEP);
        m->at_start = false;
    }
}

static void grow_up(Model *m, unsigned n)
{
    Place from = m->window->len == 0 ? end_of_group(N_GROUPS - 1) : place_of(g_ptr_array_index(m->window, 0));
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(row_free);
    if (!fetch(m, from, true, n, rows, &m->at_start, NULL))
        return;
    for (guint i = 0; i < rows->len; i++)
        g_ptr_array_insert(m->window, 0, g_ptr_array_index(rows, i));
    g_ptr_array_set_free_func(rows, NULL);
    if (m->window->len > WINDOW_MAX) {
        g_ptr_array_set_size(m->window, WINDOW_KEEP);
        m->at_end = false;
    }
}

static void mark_passed(Model *m, unsigned from, unsigned to)
{
    for (unsigned i = MIN(from, to); i <= MAX(from, to); i++)
        if (shown_at(m, i) != NULL)
            marks_add(&m->marks, shown_at(m, i)->row);
}

void model_move(Model *m, int delta)
{
    settle(m);
    m->touched = true;
    m->follow = false;
    const unsigned offset = m->selected - MIN(m->top, m->selected);
    const unsigned more = MIN(2 * m->height + (unsigned)ABS(delta), WINDOW_KEEP / 2);
    const int64_t wanted = (int64_t)m->selected + delta;
    if (wanted >= (int64_t)m->shown->len && !m->at_end) {
        grow_down(m, more);
        settle_on(m, m->selected_id, offset);
    } else if (wanted < 0 && !m->at_start) {
        grow_up(m, more);
        settle_on(m, m->selected_id, offset);
    }
    const unsigned from = m->selected;
    m->selected = (unsigned)CLAMP((int64_t)m->selected + delta, 0, MAX((int64_t)m->shown->len - 1, 0));
    if (m->range)
        mark_passed(m, from, m->selected);
    clamp_view(m);
}

static void rewind_to_start(Model *m)
{
    m->at_start = true;
    m->top = m->selected = 0;
    m->touched = false;
    if (!read_window(m, NULL))
        m->stale = true;
}

void model_top(Model *m)
{
    rewind_to_start(m);
    m->follow = false;
    settle(m);
}

void model_bottom(Model *m)
{
    settle(m);
    m->follow = false;
    m->touched = true;
    if (!m->at_end) {
        g_ptr_array_set_size(m->window, 0);
        m->at_end = true;
        grow_up(m, 2 * m->height);
        fill_shown(m);
    }
    m->selected = MAX(m->shown->len, 1) - 1;
    clamp_view(m);
}

void model_set_follow(Model *m, bool follow)
{
    m->follow = follow;
    if (follow && !m->at_start)
        rewind_to_start(m);
    m->touched = true;
    m->rebuild = true;
}

bool model_follow(const Model *m)
{
    return m->follow;
}

/* ------------------------------------------------------------------ tabs and filter */

static void choose(Model *m)
{
    g_autoptr(GString) words = g_string_new(NULL);
    g_auto(GStrv) parts = g_strsplit(m->filter, " ", -1);
    m->states = tabs[m->tab].states;
    for (char **part = parts; *part != NULL; part++) {
        HoistState state;
        if (g_str_has_prefix(*part, "s:") && hoist_state_by_name(*part + 2, &state))
            m->states &= BIT(state);
        else if (**part != '\0')
            g_string_append_printf(words, "%s%s", words->len > 0 ? " " : "", *part);
    }
    g_free(m->needle);
    m->needle = words->len > 0 ? g_ascii_strdown(words->str, -1) : NULL;
    rewind_to_start(m);
}

ModelTab model_tab(const Model *m)
{
    return m->tab;
}

void model_set_tab(Model *m, ModelTab tab)
{
    m->tab = tab;
    choose(m);
}

const char *model_tab_name(ModelTab tab)
{
    return tabs[tab].name;
}

uint64_t model_tab_files(const Model *m, ModelTab tab)
{
    uint64_t files = 0;
    for (int state = 0; state < HOIST_N_STATES; state++)
        if ((tabs[tab].states & BIT(state)) != 0)
            files += m->totals.files[state];
    return files;
}

void model_set_filter(Model *m, const char *text)
{
    g_free(m->filter);
    m->filter = g_strdup(text == NULL ? "" : text);
    choose(m);
}

const char *model_filter(const Model *m)
{
    return m->filter;
}

/* ------------------------------------------------------------------ marks */

const Marks *model_marks(const Model *m)
{
    return &m->marks;
}

void model_mark(Model *m)
{
    const ModelRow *mr = model_selected(m);
    if (mr == NULL)
        return;
    if (marks_has(&m->marks, mr->row->id))
        marks_remove(&m->marks, mr->row->id);
    else
        marks_add(&m->marks, mr->row);
}

static void mark_one(Model *m, const HoistRow *row, bool invert)
{
    if (invert && marks_has(&m->marks, row->id))
        marks_remove(&m->marks, row->id);
    else
        marks_add(&m->marks, row);
}

void model_mark_all(Model *m, bool invert)
{
    GHashTableIter iter;
    gpointer value;
    Place from = start_of_group(0);
    bool end = false;
    g_hash_table_iter_init(&iter, m->moving);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        if (passes(m, ((ModelRow *)value)->row))
            mark_one(m, ((ModelRow *)value)->row, invert);
    while (!end && marks_count(&m->marks) < MARKS_MAX) {
        g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(row_free);
        if (!fetch(m, from, false, MARK_PAGE, rows, &end, NULL))
            return;
        for (guint i = 0; i < rows->len; i++) {
            const ModelRow *mr = g_ptr_array_index(rows, i);
            from = place_of(mr);
            if (!g_hash_table_contains(m->moving, &mr->row->id))
                mark_one(m, mr->row, invert);
        }
    }
}

void model_mark_none(Model *m)
{
    marks_none(&m->marks);
    m->range = false;
}

void model_set_range(Model *m, bool on)
{
    m->range = on;
    if (on && model_selected(m) != NULL)
        marks_add(&m->marks, model_selected(m)->row);
}

bool model_range(const Model *m)
{
    return m->range;
}

GArray *model_targets(Model *m, unsigned states)
{
    GArray *ids = g_array_new(FALSE, FALSE, sizeof(int64_t));
    const ModelRow *mr = model_selected(m);
    if (marks_count(&m->marks) > 0)
        marks_ids(&m->marks, states, ids);
    else if (mr != NULL && (states & BIT(mr->row->state)) != 0)
        g_array_append_val(ids, mr->row->id);
    return ids;
}

unsigned model_count_targets(Model *m, unsigned states, uint64_t *acked_bytes_out)
{
    const ModelRow *mr = model_selected(m);
    const bool marked = marks_count(&m->marks) > 0;
    unsigned n = 0;
    for (int state = 0; marked && state < HOIST_N_STATES; state++)
        if ((states & BIT(state)) != 0)
            n += m->marks.files[state];
    if (!marked && mr != NULL)
        n = (states & BIT(mr->row->state)) != 0;
    if (acked_bytes_out != NULL)
        *acked_bytes_out = marked ? m->marks.acked_bytes : mr != NULL ? mr->row->acked_bytes : 0;
    return n;
}

/* ------------------------------------------------------------------ sums and history */

const HoistTotals *model_totals(const Model *m)
{
    return &m->totals;
}

uint64_t model_all_files(const Model *m)
{
    return model_tab_files(m, TAB_ALL);
}

uint64_t model_all_bytes(const Model *m)
{
    uint64_t bytes = 0;
    for (int state = 0; state < HOIST_N_STATES; state++)
        if (state != HOIST_CANCELLED)
            bytes += m->totals.bytes[state];
    return bytes;
}

uint64_t model_done_bytes(const Model *m)
{
    return m->totals.bytes[HOIST_DONE] + m->totals.acked_bytes;
}

Trend *model_trend(Model *m)
{
    return &m->trend;
}

void model_log(Model *m, LineKind kind, const char *text)
{
    ModelLine *line = g_new0(ModelLine, 1);
    line->kind = kind;
    line->clock = g_strdup(fmt_clock((m->now_us + m->wall_us) * 1000).s);
    line->text = g_strdup(text);
    g_queue_push_head(&m->log, line);
    while (m->log.length > LOG_MAX)
        line_free(g_queue_pop_tail(&m->log));
}

unsigned model_log_length(const Model *m)
{
    return m->log.length;
}

const ModelLine *model_log_line(const Model *m, unsigned back)
{
    return g_queue_peek_nth((GQueue *)&m->log, back);
}

bool model_animated(Model *m)
{
    settle(m);
    for (unsigned i = m->top; i < m->top + m->height && i < m->shown->len; i++)
        if (shown_at(m, i)->row->retry_in_ms >= 0)
            return true;
    return false;
}
