#include "fmt.h"
#include "view.h"

enum { LABEL = 10, COLUMN_LEAST = 38 };

static void clamp_scroll(Ui *ui, int lines, int rows)
{
    ui->scroll = CLAMP(ui->scroll, 0, MAX(lines - rows, 0));
}

static void act_reader(Ui *ui, Action action)
{
    if (action == ACT_BACK)
        ui_pop(ui);
    else
        ui_scroll(ui, action, MAX(ui->height - 4, 1));
}

/* ------------------------------------------------------------------ help: the rows of keys.c that count in the view below */

static GPtrArray *help_rows(Ui *ui)
{
    const ViewId help = ui_top(ui);
    GPtrArray *rows = g_ptr_array_new();
    ui->depth--; /* the facts and keys of what the person came from */
    const unsigned where = ui_where(ui), facts = ui_facts(ui);
    ui->stack[ui->depth++] = help;
    for (const KeyRow *row = keys_rows(); row->action != ACT_NONE; row++)
        if (row->help != NULL && keys_valid(row, where, facts))
            g_ptr_array_add(rows, (gpointer)row);
    return rows;
}

static void draw_help(Ui *ui, Canvas *c)
{
    g_autoptr(GPtrArray) rows = help_rows(ui);
    const int width = c->width - 2, height = c->height - 2;
    const int columns = width >= 2 * COLUMN_LEAST ? 2 : 1;
    const int lines = ((int)rows->len + columns - 1) / columns;
    const int shown = height - 2;
    const int each = (width - 4) / columns;
    canvas_box(c, 1, 0, width, MIN(lines, shown) + 2, lines > shown ? "Keys (j k scroll)" : "Keys");
    clamp_scroll(ui, lines, shown);
    for (int i = 0; i < MIN(lines, shown); i++) {
        for (int column = 0; column < columns; column++) {
            const int at = i + ui->scroll + column * lines;
            if (at >= (int)rows->len)
                continue;
            const KeyRow *row = g_ptr_array_index(rows, at);
            const int x = 3 + column * each;
            canvas_fit(c, x, 1 + i, LABEL - 1, ROLE_KEY, CUT_END, false, row->label);
            canvas_fit(c, x + LABEL, 1 + i, each - LABEL - 1, ROLE_TEXT, CUT_END, false, row->help);
        }
    }
}

const ViewOps view_help = { .where = IN_HELP, .overlay = true, .draw = draw_help, .act = act_reader };

/* ------------------------------------------------------------------ the log */

static void draw_log(Ui *ui, Canvas *c)
{
    const int rows = c->height - 4, length = (int)model_log_length(ui->model);
    clamp_scroll(ui, length, rows);
    int x = 1 + canvas_text(c, 1, 0, 10, ROLE_BRAND, "hoist") + 2;
    canvas_printf(c, x, 0, ROLE_DIM, "log, newest first: %s", fmt_plural((uint64_t)length, "line").s);
    canvas_hline(c, 0, 1, c->width);
    for (int i = 0; i < rows && ui->scroll + i < length; i++) {
        const ModelLine *line = model_log_line(ui->model, (unsigned)(ui->scroll + i));
        canvas_text(c, 1, 2 + i, 9, ROLE_DIM, line->clock);
        canvas_fit(c, 10, 2 + i, c->width - 11, view_line_role(line->kind), CUT_END, false, line->text);
    }
}

const ViewOps view_log = { .where = IN_LOG, .draw = draw_log, .act = act_reader };

/* ------------------------------------------------------------------ the whole error of a file */

/* Rows that the text takes: what is drawn on a canvas that nobody sees. */
static int text_rows(const Canvas *c, int width, const char *text)
{
    g_autoptr(Canvas) scratch = canvas_new(width, c->height, c->ascii);
    return canvas_wrap(scratch, 0, 0, width, c->height, ROLE_TEXT, text);
}

static void draw_text(Ui *ui, Canvas *c)
{
    const ModelRow *mr = model_selected(ui->model);
    const int x = 3, width = c->width - 6;
    if (mr == NULL)
        return;
    g_autofree char *name = hoist_text(mr->row->name);
    g_autofree char *cause = hoist_text(mr->row->cause);
    g_autofree char *remedy = hoist_text(mr->row->remedy);
    const int most = c->height - 7;
    const int cause_rows = MIN(text_rows(c, width, cause), MAX(most - 2, 1));
    const int remedy_rows = MIN(text_rows(c, width, remedy), MAX(most - cause_rows - 1, 0));
    const int height = cause_rows + remedy_rows + (remedy_rows > 0 ? 1 : 0) + 4;
    const int top = MAX((c->height - 2 - height) / 2, 0);
    int y = top + 1;
    canvas_box(c, 1, top, c->width - 2, height, mr->row->fault == NULL ? "error" : mr->row->fault);
    canvas_fit(c, x, y, width, ROLE_STRONG, CUT_MIDDLE, false, name);
    y += 2;
    y += canvas_wrap(c, x, y, width, cause_rows, ROLE_BAD, cause) + 1;
    canvas_wrap(c, x, y, width, remedy_rows, ROLE_STRONG, remedy);
}

const ViewOps view_text = { .where = IN_TEXT, .overlay = true, .draw = draw_text, .act = act_reader };
