#include "view.h"

#include <string.h>

#include "fmt.h"

enum { SECOND_US = 1000 * 1000, INFO_US = 4 * SECOND_US, TWICE_US = 2 * SECOND_US };

#define BIT(state) (1u << (state))
#define CAN_PAUSE  (BIT(HOIST_QUEUED) | BIT(HOIST_PREPARING) | BIT(HOIST_ACTIVE))
#define CAN_CANCEL (CAN_PAUSE | BIT(HOIST_PAUSED) | BIT(HOIST_FAILED))
#define CAN_FORGET (BIT(HOIST_DONE) | BIT(HOIST_FAILED) | BIT(HOIST_CANCELLED))
#define CAN_MOVE   (BIT(HOIST_QUEUED) | BIT(HOIST_PAUSED))
#define CAN_RETRY  BIT(HOIST_FAILED)
#define CAN_RESUME BIT(HOIST_PAUSED)

static const ViewOps *const views[N_VIEWS] = {
    [VIEW_QUEUE] = &view_queue, [VIEW_JOB] = &view_job, [VIEW_LOG] = &view_log,     [VIEW_HELP] = &view_help,
    [VIEW_TEXT] = &view_text,   [VIEW_ASK] = &view_ask, [VIEW_FIELD] = &view_field, [VIEW_PREVIEW] = &view_preview,
};

Ui *ui_new(Model *model, const HoistSettings *settings, UiPort port)
{
    Ui *ui = g_new0(Ui, 1);
    ui->model = model;
    ui->settings = settings;
    ui->port = port;
    ui->target = hoist_text(settings == NULL ? NULL : hoist_settings_get(settings, "to"));
    ui->stack[0] = VIEW_QUEUE;
    ui->depth = 1;
    ui->quit_us = -TWICE_US;
    ui->last_limit_bps = settings == NULL ? 0 : hoist_settings_number(settings, "limit");
    pending_init(&ui->pending);
    if (settings == NULL || graphics_by_name(hoist_settings_get(settings, "graphics")) != GRAPHICS_NONE)
        ui->glance = glance_new();
    return ui;
}

void ui_free(Ui *ui)
{
    if (ui == NULL)
        return;
    model_free(ui->model);
    field_clear(&ui->entry.field);
    pending_clear(&ui->pending);
    glance_free(ui->glance);
    g_free(ui->ask.question);
    g_free(ui->ask.hint);
    g_free(ui->target);
    g_free(ui->why);
    g_free(ui->remedy);
    g_free(ui->message);
    g_free(ui);
}

/* ------------------------------------------------------------------ the stack */

ViewId ui_top(const Ui *ui)
{
    return ui->stack[ui->depth - 1];
}

void ui_push(Ui *ui, ViewId view)
{
    for (unsigned i = 0; i < ui->depth; i++)
        if (ui->stack[i] == view)
            return;
    ui->stack[ui->depth++] = view;
    ui->scroll = 0;
}

void ui_pop(Ui *ui)
{
    if (ui->depth > 1)
        ui->depth--;
    ui->scroll = 0;
}

unsigned ui_where(const Ui *ui)
{
    return views[ui_top(ui)]->where;
}

static bool unfinished(const HoistTotals *t)
{
    return t->files[HOIST_QUEUED] + t->files[HOIST_PREPARING] + t->files[HOIST_ACTIVE] + t->files[HOIST_COMPLETING] > 0;
}

static unsigned facts_of_files(Ui *ui)
{
    static const struct {
        unsigned states, fact;
    } able[] = { { CAN_PAUSE, FACT_PAUSE },   { CAN_RESUME, FACT_RESUME }, { CAN_RETRY, FACT_RETRY },
                 { CAN_CANCEL, FACT_CANCEL }, { CAN_FORGET, FACT_FORGET }, { CAN_MOVE, FACT_MOVE } };
    unsigned facts = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(able); i++)
        if (model_count_targets(ui->model, able[i].states, NULL) > 0)
            facts |= able[i].fact;
    return facts;
}

unsigned ui_facts(Ui *ui)
{
    const ModelRow *mr = model_selected(ui->model);
    const HoistTotals *t = model_totals(ui->model);
    const bool marks = marks_count(model_marks(ui->model)) > 0;
    unsigned facts = facts_of_files(ui);
    if (mr != NULL)
        facts |= FACT_ROW | (mr->row->url != NULL ? FACT_URL : 0) | (mr->row->cause != NULL ? FACT_CAUSE : 0);
    if (marks)
        facts |= FACT_MARKS;
    if (marks || model_range(ui->model) || *model_filter(ui->model) != '\0' || (!ui->pane_closed && ui->width >= PANE_WIDTH))
        facts |= FACT_UNDO;
    if (t->files[HOIST_FAILED] > 0)
        facts |= FACT_FAILED;
    if (t->paused)
        facts |= FACT_PAUSED;
    else if (unfinished(t))
        facts |= FACT_RUNNING;
    if (model_all_files(ui->model) > 0)
        facts |= FACT_FILES;
    if (model_log_length(ui->model) > 0)
        facts |= FACT_LOG;
    if (ui->pending.paths->len > 0)
        facts |= FACT_READY;
    return facts;
}

/* How far a movement goes, in lines; false = not a movement. */
static bool steps_of(Action action, int page, int *steps_out)
{
    static const struct {
        Action action;
        int lines, pages, halves;
    } steps[] = { { ACT_DOWN, 1, 0, 0 },     { ACT_UP, -1, 0, 0 },       { ACT_PAGE_DOWN, 0, 1, 0 },
                  { ACT_PAGE_UP, 0, -1, 0 }, { ACT_HALF_DOWN, 1, 0, 1 }, { ACT_HALF_UP, -1, 0, -1 } };
    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        if (steps[i].action != action)
            continue;
        *steps_out = steps[i].lines + steps[i].pages * page + steps[i].halves * (page / 2);
        return true;
    }
    return false;
}

void ui_scroll(Ui *ui, Action action, int page)
{
    int steps = 0;
    if (action == ACT_TOP)
        ui->scroll = 0;
    else if (action == ACT_BOTTOM)
        ui->scroll = G_MAXINT / 2;
    else if (steps_of(action, page, &steps))
        ui->scroll = MAX(ui->scroll + steps, 0);
}

bool ui_move(Ui *ui, Action action)
{
    const int page = (int)MAX(model_visible(ui->model), 2) - 1;
    int steps = 0;
    if (action == ACT_TOP)
        model_top(ui->model);
    else if (action == ACT_BOTTOM)
        model_bottom(ui->model);
    else if (steps_of(action, page, &steps))
        model_move(ui->model, steps);
    else
        return false;
    return true;
}

/* ------------------------------------------------------------------ messages and questions */

void ui_say(Ui *ui, LineKind kind, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_free(ui->message);
    ui->message = g_strdup_vprintf(format, args);
    va_end(args);
    ui->message_kind = kind;
    ui->message_until_us = kind == LINE_PLAIN || kind == LINE_GOOD ? ui->now_us + INFO_US : 0;
}

static void unsay(Ui *ui)
{
    g_clear_pointer(&ui->message, g_free);
    ui->message_until_us = 0;
}

void ui_ask(Ui *ui, const Ask *ask)
{
    g_free(ui->ask.question);
    g_free(ui->ask.hint);
    ui->ask = *ask;
    ui_push(ui, VIEW_ASK);
}

void ui_enter(Ui *ui, const Entry *entry, const char *text)
{
    field_clear(&ui->entry.field);
    ui->entry = *entry;
    field_init(&ui->entry.field, text);
    ui_push(ui, VIEW_FIELD);
}

void ui_ask_quit(Ui *ui)
{
    const bool twice = ui->now_us - ui->quit_us < TWICE_US;
    ui->quit_us = ui->now_us;
    if (twice || ui->fatal)
        ui->wish = WISH_QUIT;
    else
        view_ask_quit(ui);
}

/* ------------------------------------------------------------------ commands */

unsigned ui_command(Ui *ui, HoistCommandKind kind, unsigned states, int64_t number)
{
    g_autoptr(GArray) ids = model_targets(ui->model, states);
    if (ids->len == 0)
        return 0;
    HoistCommand *cmd = hoist_command_new(kind);
    for (guint i = 0; i < ids->len; i++)
        hoist_command_add_id(cmd, g_array_index(ids, int64_t, i));
    cmd->state = -1;
    cmd->number = number;
    ui->port.send(ui->port.ctx, cmd);
    return ids->len;
}

static void cancel_answered(Ui *ui, int choice)
{
    if (choice != 0)
        return;
    const unsigned n = ui_command(ui, HOIST_CMD_CANCEL, CAN_CANCEL, 0);
    ui_say(ui, LINE_PLAIN, "cancelling %s", fmt_plural(n, "file").s);
}

static void ask_cancel(Ui *ui)
{
    uint64_t acked = 0;
    const unsigned n = model_count_targets(ui->model, CAN_CANCEL, &acked);
    Ask ask = { .choices = { "Yes, cancel", "No" }, .letters = { 'y', 'n' }, .n = 2, .at = 1, .back = 1, .done = cancel_answered };
    ask.question = g_strdup_printf("Cancel %s?", fmt_plural(n, "upload").s);
    if (acked > 0)
        ask.hint = g_strdup_printf("%s already sent is discarded.", fmt_size(acked).s);
    ui_ask(ui, &ask);
}

static void say_done(Ui *ui, const char *what, unsigned n)
{
    ui_say(ui, LINE_PLAIN, "%s %s", what, fmt_plural(n, "file").s);
}

bool ui_act_on_files(Ui *ui, Action action)
{
    static const struct {
        Action action;
        HoistCommandKind kind;
        unsigned states;
        int64_t number;
        const char *what;
    } acts[] = {
        { ACT_PAUSE, HOIST_CMD_PAUSE, CAN_PAUSE, 0, "pausing" },
        { ACT_RESUME, HOIST_CMD_RESUME, CAN_RESUME, 0, "resuming" },
        { ACT_RETRY, HOIST_CMD_RETRY, CAN_RETRY, 0, "retrying" },
        { ACT_FORGET, HOIST_CMD_FORGET, CAN_FORGET, 0, "removing" },
        { ACT_MOVE_DOWN, HOIST_CMD_MOVE, CAN_MOVE, 1, "moving down" },
        { ACT_MOVE_UP, HOIST_CMD_MOVE, CAN_MOVE, -1, "moving up" },
        { ACT_MOVE_TOP, HOIST_CMD_MOVE, CAN_MOVE, -2, "moving to the top" },
        { ACT_MOVE_BOTTOM, HOIST_CMD_MOVE, CAN_MOVE, 2, "moving to the bottom" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(acts); i++) {
        if (acts[i].action != action)
            continue;
        say_done(ui, acts[i].what, ui_command(ui, acts[i].kind, acts[i].states, acts[i].number));
        if (action == ACT_FORGET)
            model_mark_none(ui->model);
        return true;
    }
    const ModelRow *mr = model_selected(ui->model);
    if (action == ACT_CANCEL)
        ask_cancel(ui);
    else if (action == ACT_ERROR)
        ui_push(ui, VIEW_TEXT);
    else if (action == ACT_COPY && mr != NULL && mr->row->url != NULL) {
        g_autofree char *url = hoist_text(mr->row->url);
        const bool sent = ui->port.copy(ui->port.ctx, mr->row->url);
        ui_say(ui, LINE_GOOD, sent ? "copied (if your terminal allows it): %s" : "%s", url);
    } else
        return false;
    return true;
}

/* ------------------------------------------------------------------ what comes in */

static bool act_everywhere(Ui *ui, Action action)
{
    if (action == ACT_REDRAW)
        ui->wish = WISH_REDRAW;
    else if (action == ACT_SUSPEND)
        ui->wish = WISH_SUSPEND;
    else if (action == ACT_QUIT)
        ui_ask_quit(ui);
    else if (action == ACT_HELP)
        ui_push(ui, VIEW_HELP);
    else if (action == ACT_LOG)
        ui_push(ui, VIEW_LOG);
    else
        return false;
    return true;
}

void ui_key(Ui *ui, const InputEvent *ev)
{
    const ViewOps *view = views[ui_top(ui)];
    model_set_now(ui->model, ui->now_us);
    if (ev->kind != INPUT_KEY)
        return;
    unsay(ui);
    if (view->key != NULL && view->key(ui, ev))
        return;
    const Action action = keys_action(view->where, ui_facts(ui), ev);
    if (action != ACT_NONE && !act_everywhere(ui, action))
        view->act(ui, action);
}

static void forget_why(Ui *ui)
{
    g_clear_pointer(&ui->why, g_free);
    g_clear_pointer(&ui->remedy, g_free);
}

static void take_notice(Ui *ui, const HoistEvent *ev)
{
    g_autofree char *text = hoist_text(ev->text);
    ui_say(ui, ev->kind == HOIST_EVENT_FATAL ? LINE_BAD : LINE_WARN, "%s", text);
    if (ev->fault == NULL)
        return;
    forget_why(ui);
    ui->why = g_steal_pointer(&text);
    ui->remedy = g_strdup(hoist_remedy_of(ev->fault));
}

/* The reason of a pause is told before the pause has begun, while files are still on their way. */
static void take_totals(Ui *ui, bool was_paused)
{
    if (was_paused && !model_totals(ui->model)->paused)
        forget_why(ui);
    if (view_held_up(ui) && ui->why != NULL && g_strcmp0(ui->message, ui->why) == 0)
        unsay(ui);
}

void ui_event(Ui *ui, const HoistEvent *ev)
{
    const bool was_paused = model_totals(ui->model)->paused;
    model_event(ui->model, ev, ui->now_us);
    if (ev->kind == HOIST_EVENT_PREVIEW)
        view_preview_event(ui, ev->preview);
    if (ev->kind == HOIST_EVENT_TOTALS)
        take_totals(ui, was_paused);
    if (ev->kind == HOIST_EVENT_NOTICE || ev->kind == HOIST_EVENT_FATAL)
        take_notice(ui, ev);
    if (ev->kind == HOIST_EVENT_PICTURE && ui->glance != NULL)
        glance_answer(ui->glance, ev->number, ev->picture, ev->text);
    if (ev->kind == HOIST_EVENT_FATAL)
        ui->fatal = true;
}

void ui_text_pasted(Ui *ui, const char *bytes, size_t n)
{
    if (ui_top(ui) == VIEW_FIELD) {
        field_insert(&ui->entry.field, bytes, n);
        if (ui->entry.live != NULL)
            ui->entry.live(ui, ui->entry.field.text->str);
        return;
    }
    g_autofree char *head = g_strndup(bytes, MIN(n, 160));
    g_autofree char *text = hoist_text(head);
    if (g_utf8_strlen(text, -1) > 40)
        *g_utf8_offset_to_pointer(text, 40) = '\0';
    ui_say(ui, LINE_WARN, "Pasted text is not a file path: %s", text);
}

/* What a frame lacked of a picture. */
static void work_on_glance(Ui *ui)
{
    int64_t id = 0;
    glance_work(ui->glance, ui->now_us, &id);
    if (id == 0)
        return;
    HoistCommand *cmd = hoist_command_new(HOIST_CMD_PICTURE);
    hoist_command_add_id(cmd, id);
    cmd->state = -1;
    cmd->number = glance_edge_px(ui->glance);
    ui->port.send(ui->port.ctx, cmd);
}

void ui_tick(Ui *ui)
{
    if (ui->glance != NULL)
        work_on_glance(ui);
    if (ui->message_until_us > 0 && ui->now_us >= ui->message_until_us)
        unsay(ui);
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < 0 ? b : b < 0 ? a : MIN(a, b);
}

int64_t ui_deadline_us(Ui *ui)
{
    int64_t due = ui->message_until_us > 0 ? ui->message_until_us : -1;
    if (model_animated(ui->model))
        due = sooner(due, ui->now_us + SECOND_US);
    return ui->glance == NULL ? due : sooner(due, glance_deadline_us(ui->glance));
}

/* ------------------------------------------------------------------ drawing */

Role view_line_role(LineKind kind)
{
    static const Role roles[] = { [LINE_PLAIN] = ROLE_TEXT, [LINE_GOOD] = ROLE_OK, [LINE_WARN] = ROLE_WARN, [LINE_BAD] = ROLE_BAD };
    return roles[kind];
}

void ui_draw_status(Ui *ui, Canvas *c, int y)
{
    const unsigned marks = marks_count(model_marks(ui->model));
    canvas_fill(c, 0, y, c->width, 1, ROLE_TEXT);
    if (ui_top(ui) == VIEW_FIELD && ui->entry.title == NULL) {
        view_field_status(ui, c, y);
        return;
    }
    if (ui->receiving_bytes > 0) {
        canvas_printf(c, 1, y, ROLE_ACCENT, "receiving paste … %s", fmt_size(ui->receiving_bytes).s);
        return;
    }
    if (ui->message != NULL) {
        canvas_fit(c, 1, y, c->width - 2, view_line_role(ui->message_kind), CUT_END, false, ui->message);
        return;
    }
    int x = 1;
    if (marks > 0)
        x += canvas_printf(c, x, y, ROLE_ACCENT, "%s marked  ", fmt_count(marks).s);
    if (model_range(ui->model))
        x += canvas_text(c, x, y, 20, ROLE_ACCENT, "range  ");
    if (*model_filter(ui->model) != '\0') {
        g_autofree char *filter = hoist_text(model_filter(ui->model));
        x += canvas_text(c, x, y, 8, ROLE_DIM, "filter ");
        x += canvas_text(c, x, y, MAX(c->width - x - 20, 0), ROLE_ACCENT, filter) + 2;
    }
    if (model_follow(ui->model))
        x += canvas_text(c, x, y, 20, ROLE_ACCENT, "following  ");
    const char *hint = "drop files here";
    if (ui_top(ui) == VIEW_QUEUE && x + 18 < c->width && model_all_files(ui->model) > 0)
        canvas_text(c, c->width - 1 - (int)strlen(hint), y, 20, ROLE_DIM, hint);
}

void ui_draw_footer(Ui *ui, Canvas *c, int y)
{
    const unsigned where = ui_where(ui), facts = ui_facts(ui);
    const int help = where & (IN_LIST | IN_JOB | IN_LOG) ? 7 : 0;
    const int last = c->width - 1 - help;
    int x = 1;
    canvas_fill(c, 0, y, c->width, 1, ROLE_TEXT);
    for (const KeyRow *row = keys_rows(); row->action != ACT_NONE; row++) {
        if (row->word == NULL || row->action == ACT_HELP || !keys_valid(row, where, facts))
            continue;
        const int width = (int)(strlen(row->label) + 1 + strlen(row->word));
        if (x + width > last)
            continue;
        x += canvas_text(c, x, y, c->width, ROLE_KEY, row->label) + 1;
        x += canvas_text(c, x, y, c->width, ROLE_DIM, row->word) + 2;
    }
    if (help > 0) {
        canvas_text(c, c->width - help, y, 1, ROLE_KEY, "?");
        canvas_text(c, c->width - help + 2, y, 4, ROLE_DIM, "help");
    }
}

static void draw_tiny(Ui *ui, Canvas *c)
{
    const HoistTotals *t = model_totals(ui->model);
    g_autofree char *text = g_strdup_printf("%s %s of %s, %s failed", fmt_rate(t->bps).s, fmt_count(t->files[HOIST_DONE]).s,
                                            fmt_plural(model_all_files(ui->model), "file").s, fmt_count(t->files[HOIST_FAILED]).s);
    canvas_fit(c, 0, 0, c->width, ROLE_TEXT, CUT_END, false, text);
    if (c->height > 1)
        canvas_fit(c, 0, 1, c->width, ROLE_DIM, CUT_END, false, "window too small: 40x10 or more");
}

void ui_draw(Ui *ui, Canvas *c)
{
    canvas_clear(c);
    ui->width = c->width;
    ui->height = c->height;
    if (ui->glance != NULL)
        glance_begin(ui->glance);
    if (c->width < MIN_WIDTH || c->height < MIN_HEIGHT) {
        draw_tiny(ui, c);
        return;
    }
    unsigned from = ui->depth - 1;
    while (from > 0 && views[ui->stack[from]]->overlay)
        from--;
    for (unsigned i = from; i < ui->depth; i++)
        views[ui->stack[i]]->draw(ui, c);
    ui_draw_status(ui, c, c->height - 2);
    ui_draw_footer(ui, c, c->height - 1);
}
