#include <string.h>

#include "fmt.h"
#include "view.h"
#include "words.h"

enum {
    LABEL = 11,
    WRAP_ROWS = 6,
    OBJECT_NAME = 9,
    OBJECT_SIZE = 8,
    OBJECTS_MAX = 8,
    SIDE_WIDTH = 72,  /* from here on the picture stands beside the text, if below it there is little room */
    SIDE_HEIGHT = 28, /* from here on there is enough */
    SIDE_PICTURE_MAX = 72,
    PICTURE_LEAST = 24, /* columns of a pane with a picture */
    PICTURE_ROWS_LEAST = 5,
};

/* Where the next line goes. */
typedef struct {
    Canvas *c;
    int x, y, width, bottom;
} Pen;

static void line(Pen *p, const char *label, Role role, Cut cut, const char *value)
{
    if (value == NULL || *value == '\0' || p->y >= p->bottom)
        return;
    canvas_text(p->c, p->x, p->y, LABEL - 1, ROLE_DIM, label);
    canvas_fit(p->c, p->x + LABEL, p->y, p->width - LABEL, role, cut, false, value);
    p->y++;
}

static void wrapped(Pen *p, const char *label, Role role, const char *value)
{
    if (value == NULL || *value == '\0' || p->y >= p->bottom)
        return;
    canvas_text(p->c, p->x, p->y, LABEL - 1, ROLE_DIM, label);
    p->y += canvas_wrap(p->c, p->x + LABEL, p->y, p->width - LABEL, MIN(WRAP_ROWS, p->bottom - p->y), role, value);
}

static void foreign(Pen *p, const char *label, Cut cut, const char *bytes)
{
    g_autofree char *text = hoist_text(bytes);
    line(p, label, ROLE_TEXT, cut, text);
}

static void gap(Pen *p)
{
    p->y++;
}

static void draw_state(Ui *ui, Pen *p, const ModelRow *mr)
{
    const HoistRow *row = mr->row;
    g_autofree char *words = view_state_words(ui, mr);
    g_autofree char *wait = hoist_text(row->wait);
    g_autofree char *state = NULL;
    if (row->state == HOIST_FAILED)
        state = g_strdup_printf("%s failed", view_state_glyph(row));
    else
        state = g_strdup_printf("%s %s", view_state_glyph(row), row->state == HOIST_ACTIVE ? "sending" : words);
    if (words_skipped(row))
        wrapped(p, "state", view_state_role(row), state);
    else
        line(p, "state", view_state_role(row), CUT_END, state);
    line(p, "", ROLE_WARN, CUT_END, wait);
}

/* The picture is being made: that is no byte confirmed, so it is another bar. */
static void draw_preparing(Pen *p, const HoistRow *row)
{
    if (row->state != HOIST_PREPARING || row->prepared_pct < 0 || p->y >= p->bottom)
        return;
    g_autofree char *percent = g_strdup_printf("%d%%", MIN(row->prepared_pct, 100));
    canvas_text(p->c, p->x, p->y, LABEL, ROLE_DIM, "progress");
    canvas_bar_prepared(p->c, p->x + LABEL, p->y, p->width - LABEL - 5, row->prepared_pct);
    canvas_fit(p->c, p->x + p->width - 4, p->y, 4, ROLE_TEXT, CUT_END, true, percent);
    p->y++;
}

static void draw_moving(Pen *p, const HoistRow *row)
{
    if (row->state != HOIST_ACTIVE && row->state != HOIST_COMPLETING)
        return;
    g_autofree char *numbers = g_strdup_printf("%s confirmed", fmt_size(row->acked_bytes).s);
    g_autofree char *flight =
        g_strdup_printf("%s, %s on its way", numbers, fmt_size(row->sent_bytes - MIN(row->acked_bytes, row->sent_bytes)).s);
    g_autofree char *pace = g_strdup_printf("%s   ETA %s", fmt_rate(row->bps).s, fmt_time(row->eta_s).s);
    if (p->y < p->bottom) {
        const int bar = p->width - LABEL - 5;
        canvas_text(p->c, p->x, p->y, LABEL, ROLE_DIM, "progress");
        canvas_bar(p->c, p->x + LABEL, p->y, bar, row->acked_bytes, row->sent_bytes, row->bytes, false);
        canvas_fit(p->c, p->x + p->width - 4, p->y, 4, ROLE_TEXT, CUT_END, true, fmt_percent(row->acked_bytes, row->bytes, false).s);
        p->y++;
    }
    wrapped(p, "", ROLE_TEXT, row->sent_bytes > row->acked_bytes ? flight : numbers);
    line(p, "speed", ROLE_TEXT, CUT_END, pace);
}

/* What went wrong, and what to do about it. */
static void draw_fault(Pen *p, const HoistRow *row)
{
    if (row->cause == NULL)
        return;
    g_autofree char *cause = hoist_text(row->cause);
    g_autofree char *remedy = hoist_text(row->remedy);
    gap(p);
    wrapped(p, "why", row->state == HOIST_FAILED ? ROLE_BAD : ROLE_WARN, cause);
    wrapped(p, "what to do", ROLE_STRONG, remedy);
    gap(p);
}

static char *size_text(const HoistRow *row, unsigned objects)
{
    if (objects > 0 && row->bytes != row->source_bytes)
        return g_strdup_printf("%s → %s in %u objects", fmt_size(row->source_bytes).s, fmt_size(row->bytes).s, objects);
    if (row->bytes == row->source_bytes || row->bytes == 0 || row->source_bytes == 0)
        return g_strdup(fmt_size(MAX(row->bytes, row->source_bytes)).s);
    const double change = 100.0 * ((double)row->bytes - (double)row->source_bytes) / (double)row->source_bytes;
    return g_strdup_printf("%s → %s (%+.0f %%)", fmt_size(row->source_bytes).s, fmt_size(row->bytes).s, change);
}

static char *times_text(const HoistRow *row)
{
    GString *text = g_string_new(NULL);
    if (row->added_ns > 0)
        g_string_append_printf(text, "added %s  ", fmt_clock(row->added_ns).s);
    if (row->started_ns > 0)
        g_string_append_printf(text, "started %s  ", fmt_clock(row->started_ns).s);
    if (row->done_ns > 0)
        g_string_append_printf(text, "done %s", fmt_clock(row->done_ns).s);
    return g_string_free(text, FALSE);
}

static char *tilde_path(const char *path)
{
    const char *home = g_get_home_dir();
    const size_t n = strlen(home);
    if (path != NULL && n > 1 && strncmp(path, home, n) == 0 && path[n] == '/') {
        g_autofree char *rest = hoist_text(path + n);
        return g_strconcat("~", rest, NULL);
    }
    return hoist_text(path);
}

static void draw_object(Pen *p, const HoistObject *o)
{
    const int x = p->x + LABEL, name = MIN(OBJECT_NAME, (p->width - LABEL) / 3);
    const int end = p->x + p->width - 3, key = end - OBJECT_SIZE - 1 - x - name;
    const char *slash = o->key == NULL ? NULL : strrchr(o->key, '/');
    g_autofree char *title = hoist_text(o->name);
    g_autofree char *last = hoist_text(slash != NULL ? slash + 1 : o->key);
    canvas_fit(p->c, x, p->y, name - 1, ROLE_STRONG, CUT_END, false, title);
    if (key >= 6)
        canvas_fit(p->c, x + name, p->y, key, ROLE_TEXT, CUT_MIDDLE, false, last);
    canvas_fit(p->c, end - OBJECT_SIZE, p->y, OBJECT_SIZE, ROLE_TEXT, CUT_END, true, o->bytes > 0 ? fmt_size(o->bytes).s : "-");
    if (o->done)
        canvas_text(p->c, end + 1, p->y, 2, ROLE_OK, "✓");
    p->y++;
}

static void draw_objects(Ui *ui, Pen *p)
{
    unsigned n = 0;
    const HoistObject *objects = model_objects(ui->model, &n);
    if (n > 0 && p->y < p->bottom)
        canvas_text(p->c, p->x, p->y, LABEL - 1, ROLE_DIM, "objects");
    for (unsigned i = 0; i < MIN(n, OBJECTS_MAX) && p->y < p->bottom; i++)
        draw_object(p, &objects[i]);
    if (n > OBJECTS_MAX && p->y < p->bottom)
        canvas_printf(p->c, p->x + LABEL, p->y++, ROLE_DIM, "and %u more", n - OBJECTS_MAX);
}

/* "jpeg 6000x4000 → webp 1920x1280 q80, 2 encodes" */
static void draw_recipe(Pen *p, const HoistRow *row)
{
    g_autofree char *text = hoist_text(row->recipe);
    g_auto(GStrv) parts = g_strsplit(text, " -> ", 2);
    g_autofree char *arrow = g_strjoinv(" → ", parts);
    wrapped(p, "picture", ROLE_TEXT, arrow);
}

static void draw_facts(Ui *ui, Pen *p, const HoistRow *row)
{
    g_autofree char *source = tilde_path(row->path);
    unsigned objects = 0;
    model_objects(ui->model, &objects);
    g_autofree char *size = size_text(row, objects);
    g_autofree char *parts = row->parts > 0 ? g_strdup_printf("%u of %u", row->parts_done, row->parts) : NULL;
    g_autofree char *tries = row->tries > 1 ? g_strdup_printf("%u of %u", row->tries, row->max_tries) : NULL;
    line(p, "source", ROLE_TEXT, CUT_MIDDLE, source);
    foreign(p, "to", CUT_MIDDLE, row->dest);
    foreign(p, "key", CUT_MIDDLE, row->key);
    line(p, "size", ROLE_TEXT, CUT_END, size);
    draw_recipe(p, row);
    draw_objects(ui, p);
    line(p, "parts", ROLE_TEXT, CUT_END, parts);
    foreign(p, "upload id", CUT_MIDDLE, row->upload_id);
    line(p, "tries", ROLE_TEXT, CUT_END, tries);
    if (words_skipped(row)) /* told as its state */
        return;
    g_autofree char *note = hoist_text(row->note);
    wrapped(p, "note", words_fell_back(row) ? ROLE_WARN : ROLE_TEXT, note);
}

static void draw_result(Pen *p, const HoistRow *row)
{
    g_autofree char *times = times_text(row);
    g_autofree char *url = hoist_text(row->url);
    if (row->state == HOIST_DONE)
        line(p, "check", row->verified == HOIST_VERIFIED_NOT ? ROLE_WARN : ROLE_OK, CUT_END, hoist_verified_text(row->verified));
    wrapped(p, "url", ROLE_ACCENT, url);
    foreign(p, "etag", CUT_MIDDLE, row->etag);
    foreign(p, "checksum", CUT_MIDDLE, row->checksum);
    foreign(p, "version", CUT_MIDDLE, row->version);
    wrapped(p, "times", ROLE_DIM, times);
}

static void draw_text(Ui *ui, Pen *p, const ModelRow *mr)
{
    g_autofree char *name = hoist_text(mr->row->name);
    canvas_fit(p->c, p->x, p->y++, p->width, ROLE_STRONG, CUT_MIDDLE, false, name);
    gap(p);
    draw_state(ui, p, mr);
    draw_preparing(p, mr->row);
    draw_moving(p, mr->row);
    draw_fault(p, mr->row);
    draw_facts(ui, p, mr->row);
    draw_result(p, mr->row);
}

/* Rows of a picture of 4:3 over the whole width. */
static int picture_rows(int width)
{
    return width * 3 / 8;
}

/* The picture stands at the bottom, in room that depends on the pane alone, so that it does not jump when a line of text comes or goes;
 * only where the text needs more is it smaller. */
static void draw_below(Ui *ui, const Pen *p, const ModelRow *mr, int height)
{
    const int rows = MIN(picture_rows(p->width), height / 2);
    const int top = MAX(p->bottom - rows, p->y + 1);
    if (p->bottom - top >= PICTURE_ROWS_LEAST)
        view_picture(ui, p->c, mr->row, p->x, top, p->width, p->bottom - top);
}

int view_pane(Ui *ui, Canvas *c, int x, int y, int width, int height)
{
    const ModelRow *mr = model_selected(ui->model);
    if (mr == NULL || width < LABEL + 8)
        return 0;
    const bool picture = width >= PICTURE_LEAST && view_picture_wanted(ui, mr->row);
    const int side = picture && width >= SIDE_WIDTH && height < SIDE_HEIGHT ? MIN(width * 2 / 5, SIDE_PICTURE_MAX) : 0;
    Pen p = { .c = c, .x = x, .y = y, .width = side > 0 ? width - side - 2 : width, .bottom = y + height };
    draw_text(ui, &p, mr);
    if (side > 0 && height - 2 >= PICTURE_ROWS_LEAST)
        view_picture(ui, c, mr->row, x + width - side, y + 2, side, height - 2);
    else if (picture)
        draw_below(ui, &p, mr, height);
    return p.y - y;
}

/* ------------------------------------------------------------------ the same over the whole screen */

static void draw(Ui *ui, Canvas *c)
{
    int y = 0;
    view_head(ui, c, &y);
    if (c->height >= 14) {
        canvas_hline(c, 0, y, c->width);
        y++;
    }
    if (view_pane(ui, c, 1, y, c->width - 2, c->height - 2 - y) == 0)
        canvas_text(c, 1, y, c->width - 2, ROLE_DIM, "No file is selected.");
}

static void act(Ui *ui, Action action)
{
    if (action == ACT_BACK)
        ui_pop(ui);
    else if (!ui_move(ui, action))
        ui_act_on_files(ui, action);
}

const ViewOps view_job = { .where = IN_JOB, .draw = draw, .act = act };
