#include "fmt.h"
#include "view.h"

enum { BOX_WIDTH = 64 };

/* ------------------------------------------------------------------ a question */

static void draw_ask(Ui *ui, Canvas *c)
{
    const Ask *ask = &ui->ask;
    const int width = MIN(c->width - 2, BOX_WIDTH);
    const int height = 2 + (ask->hint != NULL ? 2 : 0) + ask->n;
    const int x = (c->width - width) / 2, top = MAX((c->height - 2 - height) / 2, 0);
    int y = top + 1;
    canvas_box(c, x, top, width, height, ask->question);
    if (ask->hint != NULL) {
        canvas_fit(c, x + 3, y, width - 6, ROLE_WARN, CUT_END, false, ask->hint);
        y += 2;
    }
    for (int i = 0; i < ask->n; i++, y++) {
        g_autofree char *text = g_strdup_printf(" %c  %s ", ask->letters[i], ask->choices[i]);
        canvas_text(c, x + 3, y, width - 6, i == ask->at ? ROLE_SELECTED : ROLE_TEXT, text);
    }
}

static void answer(Ui *ui, int choice)
{
    const AskDone done = ui->ask.done;
    ui_pop(ui);
    done(ui, choice);
}

static bool key_ask(Ui *ui, const InputEvent *ev)
{
    for (int i = 0; i < ui->ask.n; i++) {
        if (ev->key > 127 || g_ascii_tolower((char)ev->key) != ui->ask.letters[i])
            continue;
        answer(ui, i);
        return true;
    }
    return false;
}

static void act_ask(Ui *ui, Action action)
{
    Ask *ask = &ui->ask;
    if (action == ACT_NEXT)
        ask->at = (ask->at + 1) % ask->n;
    else if (action == ACT_PREVIOUS)
        ask->at = (ask->at + ask->n - 1) % ask->n;
    else if (action == ACT_ACCEPT)
        answer(ui, ask->at);
    else if (action == ACT_CLOSE)
        answer(ui, ask->back);
}

const ViewOps view_ask = { .where = IN_ASK, .overlay = true, .draw = draw_ask, .key = key_ask, .act = act_ask };

/* ------------------------------------------------------------------ quitting */

static void quit_answered(Ui *ui, int choice)
{
    if (choice == 1) {
        ui->quit_us = 0; /* the next q asks again */
        return;
    }
    if (choice == 2) {
        HoistCommand *cmd = hoist_command_new(HOIST_CMD_CANCEL);
        cmd->state = -1;
        cmd->all = true;
        ui->port.send(ui->port.ctx, cmd);
        ui_say(ui, LINE_PLAIN, "cancelling everything; q quits when it is done");
        return;
    }
    ui->wish = WISH_QUIT;
}

void view_ask_quit(Ui *ui)
{
    const HoistTotals *t = model_totals(ui->model);
    const uint64_t moving = t->files[HOIST_PREPARING] + t->files[HOIST_ACTIVE] + t->files[HOIST_COMPLETING] + t->files[HOIST_CANCELLING];
    const uint64_t left = moving + t->files[HOIST_QUEUED];
    if (moving == 0 && !t->scanning && (t->paused || left == 0)) {
        ui->wish = WISH_QUIT;
        return;
    }
    Ask ask = { .choices = { "Pause and quit (goes on at the next start)", "Keep waiting", "Cancel all" },
                .letters = { 'p', 'k', 'c' },
                .n = 3,
                .at = 0,
                .back = 1,
                .done = quit_answered };
    ask.question = g_strdup_printf("%s not uploaded yet", fmt_plural(left, "file").s);
    ask.hint = moving > 0 ? g_strdup_printf("%s on the way; what the server confirmed is kept.", fmt_plural(moving, "file").s) : NULL;
    ui_ask(ui, &ask);
}

/* ------------------------------------------------------------------ a line of text */

static void draw_field(Ui *ui, Canvas *c)
{
    const Entry *entry = &ui->entry;
    if (entry->title == NULL) /* drawn with the status line */
        return;
    const int width = MIN(c->width - 2, BOX_WIDTH + 8);
    const int x = (c->width - width) / 2, top = MAX((c->height - 2 - 4) / 2, 0);
    canvas_box(c, x, top, width, 4, entry->title);
    canvas_fit(c, x + 2, top + 1, width - 4, ROLE_DIM, CUT_END, false, entry->prompt);
    field_draw(&entry->field, c, x + 2, top + 2, width - 4);
}

void view_field_status(Ui *ui, Canvas *c, int y)
{
    const int x = 1 + canvas_printf(c, 1, y, ROLE_ACCENT, "%s ", ui->entry.prompt);
    field_draw(&ui->entry.field, c, x, y, c->width - x - 1);
}

static bool key_field(Ui *ui, const InputEvent *ev)
{
    if (!field_key(&ui->entry.field, ev))
        return false;
    if (ui->entry.live != NULL)
        ui->entry.live(ui, ui->entry.field.text->str);
    return true;
}

static void act_field(Ui *ui, Action action)
{
    if (action != ACT_ACCEPT && action != ACT_CLOSE)
        return;
    const FieldDone done = ui->entry.done;
    const bool live = ui->entry.live != NULL;
    g_autofree char *text = g_strdup(ui->entry.field.text->str);
    ui_pop(ui);
    if (action == ACT_ACCEPT)
        done(ui, g_strstrip(text));
    else if (live)
        done(ui, "");
}

const ViewOps view_field = { .where = IN_FIELD, .overlay = true, .draw = draw_field, .key = key_field, .act = act_field };
