#include <string.h>

#include "fmt.h"
#include "view.h"

enum {
    GRAPH_ROWS = 3,
    LARGE_HEIGHT = 30,
    COMPACT_WIDTH = 60,
    AXIS = 10,
    MAX_COLUMNS = 1024,
    HELD_ROWS = 2,
    TARGET_LEAST = 12,
    PACE_COLUMNS = 24
};

static GraphSize graph_size(const Ui *ui, const Canvas *c)
{
    if (ui->graph != GRAPH_AUTO)
        return ui->graph;
    return c->height >= LARGE_HEIGHT && c->width >= COMPACT_WIDTH ? GRAPH_LARGE : GRAPH_SMALL;
}

static bool all_done(const HoistTotals *t)
{
    for (int state = 0; state < HOIST_N_STATES; state++)
        if (state != HOIST_DONE && state != HOIST_CANCELLED && t->files[state] > 0)
            return false;
    return t->files[HOIST_DONE] > 0;
}

static bool moves(const HoistTotals *t)
{
    return t->bps > 0 || t->active > 0 || t->files[HOIST_ACTIVE] + t->files[HOIST_PREPARING] + t->files[HOIST_COMPLETING] > 0;
}

static bool only_prepares(const HoistTotals *t)
{
    return t->preparing > 0 && t->active == 0 && !t->paused;
}

static FmtText percent_done(Ui *ui)
{
    return fmt_percent(model_done_bytes(ui->model), model_all_bytes(ui->model), all_done(model_totals(ui->model)));
}

/* What goes on, in a word or a rate. */
static FmtText pace(const HoistTotals *t, Role *role_out)
{
    FmtText text = { "idle" };
    *role_out = ROLE_DIM;
    if (t->paused) {
        *role_out = ROLE_PAUSED;
        g_strlcpy(text.s, "paused", sizeof text.s);
    } else if (only_prepares(t)) {
        *role_out = ROLE_PREPARED;
        g_snprintf(text.s, sizeof text.s, "preparing %s", fmt_plural(t->preparing, "picture").s);
    } else if (moves(t)) {
        *role_out = ROLE_STRONG;
        text = fmt_rate(t->bps);
    } else if (t->scanning) {
        *role_out = ROLE_ACCENT;
        g_strlcpy(text.s, "scanning…", sizeof text.s);
    } else if (all_done(t)) {
        *role_out = ROLE_OK;
        g_strlcpy(text.s, "all done", sizeof text.s);
    }
    return text;
}

/* Puts a piece left of *right, unless it would come nearer than two columns to `left`. */
static void put_right(Canvas *c, int *right, int left, int y, Role role, const char *text)
{
    const int width = canvas_width(c, text);
    if (*right - width < left + 2)
        return;
    canvas_text(c, *right - width, y, width, role, text);
    *right -= width + 3;
}

static void draw_top(Ui *ui, Canvas *c)
{
    const HoistTotals *t = model_totals(ui->model);
    Role role;
    const FmtText speed = pace(t, &role);
    const bool sends = moves(t) && !t->paused && !only_prepares(t);
    g_autofree char *up = sends ? g_strdup_printf("↑ %9s", speed.s) : g_strdup(speed.s);
    g_autofree char *slots = g_strdup_printf("%u/%u %s", t->active, t->slots, t->auto_slots ? "auto" : "at once");
    g_autofree char *eta = g_strdup_printf("ETA %5s", fmt_time(t->eta_s).s);
    g_autofree char *limit = g_strdup_printf("limit %s", fmt_rate((double)t->limit_bps).s);
    int right = c->width - 1;
    canvas_text(c, 1, 0, 10, ROLE_BRAND, "hoist");
    if (t->slots > 0)
        put_right(c, &right, 8, 0, ROLE_DIM, slots);
    if (sends)
        put_right(c, &right, 8, 0, ROLE_TEXT, eta);
    put_right(c, &right, 8, 0, role, up);
    if (t->limit_bps > 0)
        put_right(c, &right, 8 + MIN(canvas_width(c, ui->target), TARGET_LEAST), 0, ROLE_WARN, limit);
    canvas_fit(c, 8, 0, right - 8, ROLE_ACCENT, CUT_MIDDLE, false, ui->target);
}

static void draw_graph(Ui *ui, Canvas *c, int x, int y, int width, int height)
{
    double columns[MAX_COLUMNS];
    const unsigned want = (unsigned)MIN(height > 1 && !c->ascii ? 2 * width : width, MAX_COLUMNS);
    const unsigned n = trend_columns(model_trend(ui->model), want, columns);
    canvas_graph(c, x, y, width, height, columns, n, trend_top(model_trend(ui->model)));
}

/* "3.12 of 8.42 GB  37%" with the peak before it where there is room. */
static char *sums(Ui *ui, int room)
{
    const double peak = trend_peak(model_trend(ui->model));
    const uint64_t all = model_all_bytes(ui->model);
    g_autofree char *done =
        g_strdup_printf("%s of %s   %s done", fmt_size(model_done_bytes(ui->model)).s, fmt_size(all).s, percent_done(ui).s);
    if (all == 0)
        return g_strdup("");
    if (peak > 0 && room > 60)
        return g_strdup_printf("peak %s   %s", fmt_rate(peak).s, done);
    return g_steal_pointer(&done);
}

static int draw_graph_small(Ui *ui, Canvas *c, int y)
{
    g_autofree char *text = sums(ui, c->width - 2);
    const int width = canvas_width(c, text);
    canvas_text(c, c->width - 1 - width, y, width, ROLE_TEXT, text);
    draw_graph(ui, c, 1, y, MAX(c->width - 4 - width, 0), 1);
    return y + 1;
}

static int draw_graph_large(Ui *ui, Canvas *c, int y)
{
    const double top = trend_top(model_trend(ui->model));
    g_autofree char *text = sums(ui, c->width - 2);
    const int width = canvas_width(c, text);
    if (top > 0) {
        canvas_fit(c, 0, y, AXIS, ROLE_DIM, CUT_END, true, fmt_rate(top).s);
        canvas_fit(c, 0, y + GRAPH_ROWS - 1, AXIS, ROLE_DIM, CUT_END, true, "0");
    }
    draw_graph(ui, c, AXIS + 1, y, MAX(c->width - AXIS - 4 - width, 0), GRAPH_ROWS);
    canvas_text(c, c->width - 1 - width, y + GRAPH_ROWS - 1, width, ROLE_TEXT, text);
    return y + GRAPH_ROWS;
}

static void draw_tabs(Ui *ui, Canvas *c, int y)
{
    int x = 0;
    for (ModelTab tab = 0; tab < N_TABS; tab++) {
        const uint64_t files = model_tab_files(ui->model, tab);
        g_autofree char *text = g_strdup_printf(" %d %s %s ", (int)tab + 1, model_tab_name(tab), fmt_count(files).s);
        Role role = files > 0 ? ROLE_TAB : ROLE_DIM;
        if (tab == model_tab(ui->model))
            role = ROLE_TAB_ON;
        else if (tab == TAB_FAILED && files > 0)
            role = ROLE_BAD;
        if (x + canvas_width(c, text) > c->width)
            break;
        x += canvas_text(c, x, y, c->width - x, role, text) + (c->width >= PANE_WIDTH ? 1 : 0);
    }
}

/* 40 columns: one line of numbers, one of graph. */
static void draw_compact(Ui *ui, Canvas *c, int *rows_out)
{
    const HoistTotals *t = model_totals(ui->model);
    Role role;
    const FmtText speed = pace(t, &role);
    int x = canvas_text(c, 0, 0, 6, ROLE_BRAND, "hoist") + 1;
    x += canvas_text(c, x, 0, PACE_COLUMNS, role, speed.s) + 1;
    x += canvas_text(c, x, 0, 5, ROLE_TEXT, percent_done(ui).s) + 1;
    if (moves(t) && !t->paused && !only_prepares(t))
        x += canvas_printf(c, x, 0, ROLE_TEXT, "ETA %s", fmt_time(t->eta_s).s) + 1;
    int right = c->width;
    g_autofree char *failed = g_strdup_printf("!%s", fmt_count(t->files[HOIST_FAILED]).s);
    g_autofree char *slots = g_strdup_printf("%u/%u", t->active, t->slots);
    if (t->files[HOIST_FAILED] > 0)
        put_right(c, &right, x - 2, 0, ROLE_BAD, failed);
    put_right(c, &right, x - 2, 0, ROLE_DIM, slots);
    *rows_out = 1;
    if (ui->graph != GRAPH_OFF) {
        draw_graph(ui, c, 0, 1, c->width, 1);
        *rows_out = 2;
    }
}

bool view_held_up(const Ui *ui)
{
    const HoistTotals *t = model_totals(ui->model);
    return t->paused && !moves(t);
}

/* Why nothing moves, and what to do about it: stays as long as that is so. */
static int draw_held_up(const Ui *ui, Canvas *c, int y)
{
    if (!view_held_up(ui))
        return y;
    canvas_text(c, 1, y, 2, ROLE_PAUSED, "‖");
    if (ui->why == NULL) {
        canvas_text(c, 3, y, c->width - 4, ROLE_PAUSED, "Everything is paused: P goes on.");
        return y + 1;
    }
    y += canvas_wrap(c, 3, y, c->width - 4, HELD_ROWS, ROLE_WARN, ui->why);
    g_autofree char *remedy = g_strdup_printf("%s P goes on.", ui->remedy);
    return y + canvas_wrap(c, 3, y, c->width - 4, HELD_ROWS, ROLE_STRONG, g_strchug(remedy));
}

void view_head(Ui *ui, Canvas *c, int *rows_out)
{
    if (c->width < COMPACT_WIDTH || c->height < 14) {
        draw_compact(ui, c, rows_out);
        return;
    }
    draw_top(ui, c);
    int y = 1;
    const GraphSize size = graph_size(ui, c);
    if (size == GRAPH_LARGE)
        y = draw_graph_large(ui, c, y);
    else if (size == GRAPH_SMALL)
        y = draw_graph_small(ui, c, y);
    draw_tabs(ui, c, y);
    *rows_out = draw_held_up(ui, c, y + 1);
}
