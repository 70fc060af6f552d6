#include <string.h>

#include "fmt.h"
#include "view.h"
#include "words.h"

enum {
    NAME_LEAST = 12,
    NAME_WHOLE = 20,
    SIZE_COLUMNS = 8,
    SPEED_COLUMNS = 9,
    ETA_COLUMNS = 7,
    PERCENT_COLUMNS = 4,
    BAR_LEAST = 8,
    BAR_MOST = 24,
    LOG_HEIGHT = 32,
    LOG_ROWS = 5,
    SLOTS_MAX = 64,
    SPEED_BYTES = 1000 * 1000, /* of less, a speed says nothing */
};

/* Columns of the list; a width of 0 leaves one out. */
typedef struct {
    int x, width, name, size, bar, speed, eta;
    int name_x;     /* behind mark and state, which is two columns wide in ASCII */
    int progress_x; /* where bar, words and all behind them begin */
} Columns;

/* ------------------------------------------------------------------ words for a row */

const char *view_state_glyph(const HoistRow *row)
{
    static const char *const glyphs[HOIST_N_STATES] = {
        [HOIST_QUEUED] = "·", [HOIST_PREPARING] = "▸", [HOIST_ACTIVE] = "»",     [HOIST_COMPLETING] = "»", [HOIST_DONE] = "✓",
        [HOIST_FAILED] = "!", [HOIST_PAUSED] = "‖",    [HOIST_CANCELLING] = "×", [HOIST_CANCELLED] = "×",
    };
    if (words_skipped(row))
        return "–";
    return row->state == HOIST_QUEUED && row->retry_in_ms >= 0 ? "↻" : glyphs[row->state];
}

Role view_state_role(const HoistRow *row)
{
    static const Role roles[HOIST_N_STATES] = {
        [HOIST_QUEUED] = ROLE_DIM,    [HOIST_PREPARING] = ROLE_ACCENT,  [HOIST_ACTIVE] = ROLE_ACCENT,
        [HOIST_DONE] = ROLE_OK,       [HOIST_COMPLETING] = ROLE_ACCENT, [HOIST_FAILED] = ROLE_BAD,
        [HOIST_PAUSED] = ROLE_PAUSED, [HOIST_CANCELLING] = ROLE_DIM,    [HOIST_CANCELLED] = ROLE_DIM,
    };
    return row->state == HOIST_QUEUED && row->retry_in_ms >= 0 ? ROLE_WARN : roles[row->state];
}

/* "1.2 MB → 180 kB": what became of a picture; NULL when it goes up as it is or is not prepared yet. */
static char *change_words(const HoistRow *row)
{
    if (row->recipe == NULL || row->bytes == row->source_bytes)
        return NULL;
    return g_strdup_printf("%s → %s", fmt_size(row->source_bytes).s, fmt_size(row->bytes).s);
}

static char *queued_words(const Ui *ui, const ModelRow *mr)
{
    const HoistRow *row = mr->row;
    if (row->retry_in_ms < 0) {
        g_autofree char *change = change_words(row);
        return change != NULL ? g_strdup_printf("queued (%s)", change) : g_strdup("queued");
    }
    const int64_t left_s = (MAX(row->retry_in_ms - (ui->now_us - mr->at_us) / 1000, 0) + 999) / 1000;
    g_autofree char *cause = hoist_text(row->cause);
    g_autofree char *left = left_s < 60 ? g_strdup_printf("%d s", (int)left_s) : g_strdup(fmt_time(left_s).s);
    return g_strdup_printf("retry %u/%u in %s%s%s", row->tries + 1, row->max_tries, left, *cause != '\0' ? ": " : "", cause);
}

static char *done_words(const HoistRow *row)
{
    if (row->started_ns <= 0 || row->done_ns <= row->started_ns)
        return g_strdup("done");
    const double s = (double)(row->done_ns - row->started_ns) / 1e9;
    g_autofree char *change = change_words(row);
    if (change != NULL)
        return g_strdup_printf("done in %s  %s", fmt_took(s).s, change);
    if (row->bytes < SPEED_BYTES)
        return g_strdup_printf("done in %s", fmt_took(s).s);
    return g_strdup_printf("done in %s  %s", fmt_took(s).s, fmt_rate((double)row->bytes / s).s);
}

char *view_state_words(const Ui *ui, const ModelRow *mr)
{
    const HoistRow *row = mr->row;
    switch (row->state) {
    case HOIST_QUEUED:
        return queued_words(ui, mr);
    case HOIST_PREPARING:
        return row->prepared_pct < 0 ? g_strdup("preparing") : g_strdup_printf("preparing %d %%", MIN(row->prepared_pct, 100));
    case HOIST_COMPLETING:
        return g_strdup("completing");
    case HOIST_DONE:
        return done_words(row);
    case HOIST_FAILED:
        return hoist_text(row->cause == NULL ? "failed" : row->cause);
    case HOIST_PAUSED:
        return row->acked_bytes > 0 ? g_strdup_printf("paused at %s", fmt_percent(row->acked_bytes, row->bytes, false).s)
                                    : g_strdup("paused");
    case HOIST_CANCELLED:
        if (words_skipped(row))
            return hoist_text(row->note);
        break;
    case HOIST_ACTIVE:
    case HOIST_CANCELLING:
    case HOIST_N_STATES:
        break;
    }
    return g_strdup(hoist_state_name(row->state));
}

/* ------------------------------------------------------------------ list */

static Columns columns_for(const Canvas *c, int x, int width)
{
    const int left = c->ascii ? 4 : 3;
    Columns k = { .x = x, .name_x = x + left, .width = width, .size = SIZE_COLUMNS, .speed = SPEED_COLUMNS, .eta = ETA_COLUMNS };
    if (width < 46)
        k.size = 0;
    if (width < 56)
        k.eta = 0;
    if (width < 66)
        k.speed = 0;
    int fixed = left + 1 + PERCENT_COLUMNS + 1;
    fixed += k.size > 0 ? k.size + 2 : 1;
    fixed += k.speed > 0 ? k.speed + 2 : 0;
    fixed += k.eta > 0 ? k.eta + 1 : 0;
    k.bar = CLAMP((width - fixed) * 2 / 5, BAR_LEAST, BAR_MOST);
    k.name = MAX(width - fixed - k.bar, NAME_LEAST);
    k.progress_x = k.name_x + k.name + (k.size > 0 ? k.size + 2 : 1);
    return k;
}

static void draw_headings(Canvas *c, const Columns *k, int y)
{
    int x = k->progress_x + k->bar + 1 + PERCENT_COLUMNS;
    canvas_fit(c, k->name_x, y, k->name, ROLE_HEAD, CUT_END, false, "NAME");
    if (k->size > 0)
        canvas_fit(c, k->name_x + k->name, y, k->size, ROLE_HEAD, CUT_END, true, "SIZE");
    canvas_text(c, k->progress_x, y, k->bar, ROLE_HEAD, "PROGRESS");
    if (k->speed > 0)
        canvas_fit(c, x + 2, y, k->speed, ROLE_HEAD, CUT_END, true, "SPEED");
    if (k->eta > 0)
        canvas_fit(c, x + 2 + k->speed + 1, y, k->eta, ROLE_HEAD, CUT_END, true, "ETA");
}

/* A file on its way: bar, per cent, and speed or the words for a standstill. */
static void draw_progress(Canvas *c, const Columns *k, int y, const HoistRow *row)
{
    const int end = k->x + k->width - 1;
    g_autofree char *wait = hoist_text(row->wait == NULL && row->state == HOIST_COMPLETING ? "completing" : row->wait);
    const int words = *wait != '\0' && k->speed > 0 ? MIN(canvas_width(c, wait), k->bar + k->speed + k->eta - BAR_LEAST) : 0;
    const int room = k->speed + k->eta + 1;
    const int bar = words > room ? MAX(k->bar - (words - room), BAR_LEAST) : k->bar;
    int x = k->progress_x;
    canvas_bar(c, x, y, bar, row->acked_bytes, row->sent_bytes, row->bytes, false);
    x += bar + 1;
    canvas_fit(c, x, y, PERCENT_COLUMNS, ROLE_TEXT, CUT_END, true, fmt_percent(row->acked_bytes, row->bytes, false).s);
    x += PERCENT_COLUMNS + 2;
    if (*wait != '\0' && k->speed > 0) {
        canvas_fit(c, x, y, end - x, ROLE_WARN, CUT_END, false, wait);
        return;
    }
    if (k->speed > 0)
        canvas_fit(c, x, y, k->speed, ROLE_TEXT, CUT_END, true, row->bps > 0 ? fmt_rate(row->bps).s : "-");
    if (k->eta > 0)
        canvas_fit(c, x + k->speed + 1, y, k->eta, ROLE_DIM, CUT_END, true, row->eta_s >= 0 ? fmt_time(row->eta_s).s : "-");
}

/* A picture that takes long to make: as wide as a bar of bytes, and unlike it. */
static void draw_preparing(Canvas *c, const Columns *k, int y, const HoistRow *row, const char *words)
{
    const int end = k->x + k->width - 1, x = k->progress_x + k->bar + 1;
    canvas_bar_prepared(c, k->progress_x, y, k->bar, row->prepared_pct);
    canvas_fit(c, x, y, end - x, ROLE_PREPARED, CUT_END, false, words);
}

/* A file that stands still, in words; of a picture that fell back, why. */
static void draw_words(Canvas *c, const Columns *k, int y, const HoistRow *row, const char *words)
{
    const bool dim = row->state == HOIST_DONE || (row->state == HOIST_QUEUED && row->retry_in_ms < 0);
    const int end = k->x + k->width - 1;
    if (row->state != HOIST_DONE || !words_fell_back(row)) {
        canvas_fit(c, k->progress_x, y, end - k->progress_x, dim ? ROLE_DIM : view_state_role(row), CUT_END, false, words);
        return;
    }
    g_autofree char *note = hoist_text(row->note);
    const int x = k->progress_x + canvas_text(c, k->progress_x, y, end - k->progress_x, ROLE_DIM, "done  ");
    canvas_fit(c, x, y, end - x, ROLE_WARN, CUT_END, false, note);
}

static bool has_bar(const HoistRow *row)
{
    return row->state == HOIST_ACTIVE || row->state == HOIST_COMPLETING;
}

/* Where there is little room the file's own name says more than the folder's. */
static char *list_name(const HoistRow *row, int width)
{
    const char *slash = row->name == NULL ? NULL : strrchr(row->name, '/');
    return hoist_text(width < NAME_WHOLE && slash != NULL && slash[1] != '\0' ? slash + 1 : row->name);
}

static void draw_row(Ui *ui, Canvas *c, const Columns *k, int y, const ModelRow *mr, bool selected)
{
    const HoistRow *row = mr->row;
    const bool marked = marks_has(model_marks(ui->model), row->id);
    const Role role = row->state == HOIST_CANCELLED ? ROLE_DIM : ROLE_TEXT;
    g_autofree char *name = list_name(row, k->name);
    g_autofree char *words = view_state_words(ui, mr);
    if (selected)
        canvas_text(c, k->x, y, 1, ROLE_ACCENT, "▌");
    if (marked)
        canvas_text(c, k->x, y, 1, ROLE_ACCENT, "●");
    canvas_fit(c, k->x + 1, y, k->name_x - k->x - 1, view_state_role(row), CUT_END, false, view_state_glyph(row));
    canvas_fit(c, k->name_x, y, k->name, selected ? ROLE_SELECTED : role, CUT_MIDDLE, false, name);
    if (k->size > 0)
        canvas_fit(c, k->name_x + k->name, y, k->size, role, CUT_END, true, fmt_size(row->bytes > 0 ? row->bytes : row->source_bytes).s);
    if (has_bar(row)) {
        draw_progress(c, k, y, row);
        return;
    }
    if (row->state == HOIST_PREPARING && row->prepared_pct >= 0 && k->speed > 0) {
        draw_preparing(c, k, y, row, words);
        return;
    }
    draw_words(c, k, y, row, words);
}

static void draw_empty(Ui *ui, Canvas *c, int x, int y, int width, int height)
{
    const bool none = model_all_files(ui->model) == 0;
    const int left = x + MAX((width - 52) / 2, 2), room = x + width - left - 1;
    int row = y + MAX((height - 6) / 3, 0);
    if (!none) {
        g_autofree char *text = g_strdup_printf("No file here%s.", *model_filter(ui->model) != '\0' ? " matches the filter" : "");
        canvas_text(c, left, row, room, ROLE_DIM, text);
        return;
    }
    canvas_text(c, left, row, room, ROLE_STRONG, model_totals(ui->model)->scanning ? "Looking for files…" : "Nothing queued.");
    canvas_text(c, left, row + 2, room, ROLE_TEXT, "Drop files or folders onto this window,");
    int at = left + canvas_text(c, left, row + 3, room, ROLE_TEXT, "press ");
    at += canvas_text(c, at, row + 3, 2, ROLE_KEY, "a ");
    at += canvas_text(c, at, row + 3, room, ROLE_TEXT, "to add by path, or run ");
    canvas_text(c, at, row + 3, x + width - at, ROLE_KEY, "hoist PATH…");
    if (*ui->target != '\0' && row + 5 < y + height) {
        at = left + canvas_text(c, left, row + 5, room, ROLE_DIM, "Target: ");
        canvas_fit(c, at, row + 5, x + width - 1 - at, ROLE_ACCENT, CUT_MIDDLE, false, ui->target);
    }
}

static void draw_list(Ui *ui, Canvas *c, int x, int y, int width, int height)
{
    const Columns k = columns_for(c, x, width);
    const bool headings = width >= 56 && height > 6;
    model_set_height(ui->model, (unsigned)MAX(height - (headings ? 1 : 0), 1));
    const unsigned n = model_visible(ui->model);
    if (n == 0) {
        draw_empty(ui, c, x, y, width, height);
        return;
    }
    if (headings) {
        draw_headings(c, &k, y);
        if (model_more_above(ui->model))
            canvas_text(c, x + 1, y, 1, ROLE_ACCENT, "▲");
        y++;
    }
    const ModelRow *selected = model_selected(ui->model);
    for (unsigned i = 0; i < n; i++) {
        const ModelRow *mr = model_at(ui->model, i);
        draw_row(ui, c, &k, y + (int)i, mr, mr == selected);
    }
}

static void draw_log_strip(Ui *ui, Canvas *c, int y, int rows)
{
    const unsigned length = model_log_length(ui->model);
    for (int i = 0; i < rows && (unsigned)i < length; i++) {
        const ModelLine *line = model_log_line(ui->model, MIN((unsigned)rows, length) - 1 - (unsigned)i);
        canvas_text(c, 1, y + i, 9, ROLE_DIM, line->clock);
        canvas_fit(c, 10, y + i, c->width - 11, line->kind == LINE_GOOD ? ROLE_TEXT : view_line_role(line->kind), CUT_END, false,
                   line->text);
    }
}

static void draw_summary(Ui *ui, Canvas *c, int y)
{
    const HoistTotals *t = model_totals(ui->model);
    if (view_held_up(ui) && ui->why != NULL) {
        canvas_fit(c, 0, y, c->width, ROLE_WARN, CUT_END, false, ui->why);
        return;
    }
    int x = canvas_printf(c, 0, y, ROLE_DIM, "%s queued · %s done", fmt_count(t->files[HOIST_QUEUED]).s, fmt_count(t->files[HOIST_DONE]).s);
    if (t->files[HOIST_FAILED] > 0)
        canvas_printf(c, x, y, ROLE_BAD, " · %s failed", fmt_count(t->files[HOIST_FAILED]).s);
}

static void draw(Ui *ui, Canvas *c)
{
    int y = 0;
    int bottom = c->height - 2;
    view_head(ui, c, &y);
    if (c->width < 60 || c->height < 14) {
        draw_list(ui, c, 0, y, c->width, bottom - y - 1);
        draw_summary(ui, c, bottom - 1);
        return;
    }
    canvas_hline(c, 0, y, c->width);
    const bool log = c->height >= LOG_HEIGHT && c->width >= 80 && model_log_length(ui->model) > 0;
    const bool pane = c->width >= PANE_WIDTH && !ui->pane_closed && model_selected(ui->model) != NULL;
    const int list = pane ? c->width * 62 / 100 : c->width;
    if (log) {
        bottom -= LOG_ROWS + 1;
        canvas_hline(c, 0, bottom, c->width);
        draw_log_strip(ui, c, bottom + 1, LOG_ROWS);
    }
    draw_list(ui, c, 0, y + 1, list, bottom - y - 1);
    if (!pane)
        return;
    canvas_text(c, list, y, 1, ROLE_RULE, "┬");
    canvas_vline(c, list, y + 1, bottom - y - 1);
    if (log)
        canvas_text(c, list, bottom, 1, ROLE_RULE, "┴");
    view_pane(ui, c, list + 2, y + 1, c->width - list - 3, bottom - y - 1);
}

/* ------------------------------------------------------------------ actions */

static void send_number(Ui *ui, HoistCommandKind kind, int64_t number)
{
    HoistCommand *cmd = hoist_command_new(kind);
    cmd->number = number;
    cmd->state = -1;
    ui->port.send(ui->port.ctx, cmd);
}

static void set_limit(Ui *ui, uint64_t bps)
{
    if (bps > 0)
        ui->last_limit_bps = bps;
    send_number(ui, HOIST_CMD_LIMIT, (int64_t)bps);
    if (bps > 0)
        ui_say(ui, LINE_PLAIN, "speed limit %s", fmt_rate((double)bps).s);
    else
        ui_say(ui, LINE_PLAIN, "no speed limit");
}

static void limit_entered(Ui *ui, const char *text)
{
    uint64_t bps = 0;
    if (*text == '\0' || g_str_equal(text, "0"))
        set_limit(ui, 0);
    else if (hoist_parse_size(text, &bps) && bps <= INT64_MAX)
        set_limit(ui, bps);
    else
        ui_say(ui, LINE_WARN, "a rate is a number like 5M, 800k or 1.5Mi; 0 lifts the limit");
}

static void enter_limit(Ui *ui)
{
    const Entry entry = { .title = "Speed limit", .prompt = "Bytes a second, like 5M or 800k; 0 for none", .done = limit_entered };
    ui_enter(ui, &entry, "");
}

static void switch_limit(Ui *ui)
{
    if (model_totals(ui->model)->limit_bps > 0)
        set_limit(ui, 0);
    else if (ui->last_limit_bps > 0)
        set_limit(ui, ui->last_limit_bps);
    else
        enter_limit(ui);
}

static void change_slots(Ui *ui, int step)
{
    const int slots = CLAMP((int)model_totals(ui->model)->slots + step, 1, SLOTS_MAX);
    send_number(ui, HOIST_CMD_SLOTS, slots);
    ui_say(ui, LINE_PLAIN, "%s at once", fmt_plural((uint64_t)slots, "file").s);
}

static void retry_all(Ui *ui)
{
    HoistCommand *cmd = hoist_command_new(HOIST_CMD_RETRY);
    cmd->state = HOIST_FAILED;
    ui->port.send(ui->port.ctx, cmd);
    ui_say(ui, LINE_PLAIN, "retrying %s", fmt_plural(model_totals(ui->model)->files[HOIST_FAILED], "file").s);
}

static void filter_typed(Ui *ui, const char *text)
{
    model_set_filter(ui->model, text);
}

static void enter_filter(Ui *ui)
{
    const Entry entry = { .prompt = "filter", .done = filter_typed, .live = filter_typed };
    ui_enter(ui, &entry, model_filter(ui->model));
}

static void take_back(Ui *ui)
{
    if (model_range(ui->model))
        model_set_range(ui->model, false);
    else if (*model_filter(ui->model) != '\0')
        model_set_filter(ui->model, NULL);
    else if (marks_count(model_marks(ui->model)) > 0)
        model_mark_none(ui->model);
    else
        ui->pane_closed = true;
}

static void open_details(Ui *ui)
{
    if (ui->width >= PANE_WIDTH && ui->pane_closed)
        ui->pane_closed = false;
    else
        ui_push(ui, VIEW_JOB);
}

static bool act_on_list(Ui *ui, Action action)
{
    Model *m = ui->model;
    switch ((int)action) {
    case ACT_MARK:
        model_mark(m);
        model_move(m, 1);
        break;
    case ACT_RANGE:
        model_set_range(m, !model_range(m));
        break;
    case ACT_MARK_ALL:
        model_mark_all(m, false);
        break;
    case ACT_INVERT:
        model_mark_all(m, true);
        break;
    case ACT_MARK_NONE:
        model_mark_none(m);
        break;
    case ACT_FOLLOW:
        model_set_follow(m, !model_follow(m));
        break;
    default:
        return ui_move(ui, action);
    }
    return true;
}

static bool act_on_queue(Ui *ui, Action action)
{
    switch ((int)action) {
    case ACT_PAUSE_ALL:
        send_number(ui, HOIST_CMD_PAUSE_ALL, 0);
        break;
    case ACT_RESUME_ALL:
        send_number(ui, HOIST_CMD_RESUME_ALL, 0);
        break;
    case ACT_RETRY_ALL:
        retry_all(ui);
        break;
    case ACT_MORE_SLOTS:
        change_slots(ui, 1);
        break;
    case ACT_FEWER_SLOTS:
        change_slots(ui, -1);
        break;
    case ACT_LIMIT_SWITCH:
        switch_limit(ui);
        break;
    case ACT_LIMIT_SET:
        enter_limit(ui);
        break;
    default:
        return false;
    }
    return true;
}

static void act(Ui *ui, Action action)
{
    if (act_on_list(ui, action) || act_on_queue(ui, action) || ui_act_on_files(ui, action))
        return;
    if (action >= ACT_TAB_ALL && action <= ACT_TAB_PAUSED)
        model_set_tab(ui->model, (ModelTab)(action - ACT_TAB_ALL));
    else if (action == ACT_NEXT_TAB)
        model_set_tab(ui->model, (ModelTab)((model_tab(ui->model) + 1) % N_TABS));
    else if (action == ACT_OPEN)
        open_details(ui);
    else if (action == ACT_BACK)
        take_back(ui);
    else if (action == ACT_ADD)
        view_add_open(ui);
    else if (action == ACT_FILTER)
        enter_filter(ui);
    else if (action == ACT_GRAPH)
        ui->graph = ui->graph == GRAPH_LARGE ? GRAPH_OFF : ui->graph == GRAPH_OFF ? GRAPH_SMALL : GRAPH_LARGE;
}

const ViewOps view_queue = { .where = IN_LIST, .draw = draw, .act = act };
