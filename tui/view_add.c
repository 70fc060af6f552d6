#include <string.h>

#include "fmt.h"
#include "view.h"

enum { BOX_WIDTH = 76, TARGET_LEAST = 16, PICTURES_LEAST = 14 };

/* ------------------------------------------------------------------ what is pending */

static void root_clear(gpointer data)
{
    g_free(((PendingRoot *)data)->path);
}

void pending_init(Pending *p)
{
    p->paths = g_ptr_array_new_with_free_func(g_free);
    p->roots = g_array_new(FALSE, FALSE, sizeof(PendingRoot));
    g_array_set_clear_func(p->roots, root_clear);
}

void pending_clear(Pending *p)
{
    if (p->paths != NULL)
        g_ptr_array_unref(p->paths);
    if (p->roots != NULL)
        g_array_unref(p->roots);
    g_free(p->first_missing);
    g_free(p->dest);
    *p = (Pending){ .token = p->token };
}

static void pending_reset(Pending *p)
{
    pending_clear(p);
    pending_init(p);
}

static HoistCommand *command_of_paths(Ui *ui, HoistCommandKind kind)
{
    const Pending *p = &ui->pending;
    HoistCommand *cmd = hoist_command_new(kind);
    cmd->state = -1;
    cmd->paths = g_new0(char *, p->paths->len + 1);
    for (guint i = 0; i < p->paths->len; i++)
        cmd->paths[i] = g_strdup(g_ptr_array_index(p->paths, i));
    cmd->settings = ui->settings == NULL ? NULL : hoist_settings_dup(ui->settings);
    return cmd;
}

void view_preview_request(Ui *ui)
{
    HoistCommand *cmd = command_of_paths(ui, HOIST_CMD_PREVIEW);
    cmd->token = ++ui->pending.token;
    ui->pending.counted = false;
    ui->port.send(ui->port.ctx, cmd);
}

static void queue_pending(Ui *ui)
{
    const bool counted = ui->pending.counted && ui->pending.done;
    if (counted)
        ui_say(ui, LINE_GOOD, "adding %s, %s", fmt_plural(ui->pending.files, "file").s, fmt_size(ui->pending.bytes).s);
    else
        ui_say(ui, LINE_GOOD, "adding %s", fmt_plural(ui->pending.paths->len, "path").s);
    ui->port.send(ui->port.ctx, command_of_paths(ui, HOIST_CMD_ADD));
    pending_reset(&ui->pending);
}

static void say_missing(Ui *ui)
{
    g_autofree char *path = hoist_text(ui->pending.first_missing);
    ui_say(ui, LINE_WARN, "not found: %s - was it dropped from another computer? hoist reads files of %s only", path, g_get_host_name());
}

static bool queues_by_itself(const Ui *ui, const HoistPreview *preview)
{
    return preview->done && !preview->confirm && ui->pending.missing + preview->missing == 0 && ui->settings != NULL &&
           g_strcmp0(hoist_settings_get(ui->settings, "drop"), "queue") == 0;
}

void view_preview_event(Ui *ui, const HoistPreview *preview)
{
    Pending *p = &ui->pending;
    if (preview->token != p->token || p->paths->len == 0)
        return;
    p->counted = true;
    p->done = preview->done;
    p->files = preview->files;
    p->folders = preview->folders;
    p->images = preview->images;
    p->bytes = preview->bytes;
    p->skipped = preview->skipped;
    p->lost = preview->missing;
    if (p->first_missing == NULL)
        p->first_missing = g_strdup(preview->first_missing);
    g_free(p->dest);
    p->dest = hoist_text(preview->dest);
    p->n_roots = preview->roots == NULL ? 0 : g_strv_length(preview->roots);
    g_array_set_size(p->roots, 0);
    for (guint i = 0; i < MIN(p->n_roots, ROOTS_SHOWN); i++) {
        const PendingRoot root = { hoist_text(preview->roots[i]), preview->root_files[i], preview->root_bytes[i] };
        g_array_append_val(p->roots, root);
    }
    if (ui_top(ui) != VIEW_PREVIEW)
        return;
    if (p->done && p->lost >= p->paths->len) {
        ui_pop(ui);
        say_missing(ui);
        pending_reset(p);
    } else if (queues_by_itself(ui, preview)) {
        ui_pop(ui);
        queue_pending(ui);
    }
}

static bool is_pending(const Pending *p, const char *path)
{
    for (guint i = 0; i < p->paths->len; i++)
        if (g_str_equal(g_ptr_array_index(p->paths, i), path))
            return true;
    return false;
}

void ui_dropped(Ui *ui, char **paths, const bool *found)
{
    Pending *p = &ui->pending;
    bool news = false;
    for (unsigned i = 0; paths[i] != NULL; i++) {
        if (found != NULL && !found[i]) {
            p->missing++;
            if (p->first_missing == NULL)
                p->first_missing = g_strdup(paths[i]);
        } else if (!is_pending(p, paths[i])) {
            g_ptr_array_add(p->paths, g_strdup(paths[i]));
            news = true;
        }
    }
    if (p->paths->len == 0) {
        if (p->missing > 0)
            say_missing(ui);
        pending_reset(p);
        return;
    }
    if (ui_top(ui) == VIEW_FIELD && ui->entry.paths)
        ui_pop(ui);
    ui_push(ui, VIEW_PREVIEW);
    if (news)
        view_preview_request(ui);
}

/* ------------------------------------------------------------------ preview box */

static char *title_of(const Pending *p)
{
    if (!p->counted)
        return g_strdup_printf("Add %s", fmt_plural(p->paths->len, "path").s);
    g_autofree char *folders = p->folders > 0 ? g_strdup_printf(" in %s", fmt_plural(p->folders, "folder").s) : g_strdup("");
    return g_strdup_printf("%s %s%s, %s", p->done ? "Add" : "Counting…", fmt_plural(p->files, "file").s, folders, fmt_size(p->bytes).s);
}

static void draw_root(Canvas *c, int x, int y, int width, const PendingRoot *root)
{
    const int numbers = 20;
    const char *home = g_get_home_dir();
    const size_t n = strlen(home);
    const bool at_home = n > 1 && strncmp(root->path, home, n) == 0 && root->path[n] == '/';
    g_autofree char *path = g_strconcat(at_home ? "~" : "", at_home ? root->path + n : root->path, NULL);
    g_autofree char *files = root->files > 1 ? g_strdup_printf("%s", fmt_plural(root->files, "file").s) : g_strdup("");
    canvas_fit(c, x, y, width - numbers - 2, ROLE_TEXT, CUT_MIDDLE, false, path);
    canvas_fit(c, x + width - numbers, y, numbers - 9, ROLE_DIM, CUT_END, true, files);
    canvas_fit(c, x + width - 9, y, 9, ROLE_TEXT, CUT_END, true, fmt_size(root->bytes).s);
}

static void draw_waiting_paths(Canvas *c, const Pending *p, int x, int *y, int width, int room)
{
    for (guint i = 0; i < p->paths->len && (int)i < room; i++) {
        g_autofree char *path = hoist_text(g_ptr_array_index(p->paths, i));
        canvas_fit(c, x, (*y)++, width, ROLE_DIM, CUT_MIDDLE, false, path);
    }
}

static void draw_roots(Canvas *c, const Pending *p, int x, int *y, int width, int room)
{
    for (guint i = 0; i < p->roots->len && (int)i < room; i++)
        draw_root(c, x, (*y)++, width, &g_array_index(p->roots, PendingRoot, i));
    const unsigned left = p->n_roots - MIN(p->n_roots, (unsigned)MIN((int)p->roots->len, room));
    if (left > 0)
        canvas_printf(c, x, (*y)++, ROLE_DIM, "and %s more", fmt_count(left).s);
}

static int draw_warnings(Canvas *c, const Pending *p, int x, int y, int width)
{
    const uint64_t missing = p->missing + p->lost;
    if (missing > 0) {
        g_autofree char *path = hoist_text(p->first_missing);
        g_autofree char *text = g_strdup_printf("%s %s not found: %s", fmt_plural(missing, "path").s, missing == 1 ? "was" : "were", path);
        canvas_fit(c, x, y++, width, ROLE_WARN, CUT_MIDDLE, false, text);
    }
    if (p->counted && p->skipped > 0)
        canvas_printf(c, x, y++, ROLE_WARN, "%s left out by rules or rights", fmt_plural(p->skipped, "file").s);
    return y;
}

/* "198 pictures: web, thumb"; NULL where nothing is done to them. Caller frees. */
static char *picture_words(const Ui *ui, const Pending *p)
{
    const char *renditions = ui->settings == NULL ? NULL : hoist_settings_get(ui->settings, "renditions");
    const char *images = ui->settings == NULL ? NULL : hoist_settings_get(ui->settings, "images");
    const char *made = renditions != NULL && *renditions != '\0' ? renditions : images;
    if (!p->counted || p->images == 0 || made == NULL || *made == '\0')
        return NULL;
    g_autofree char *text = hoist_text(g_str_equal(made, "none") ? "as they are" : made);
    return g_strdup_printf("%s: %s", fmt_plural(p->images, "picture").s, text);
}

static void draw_last_line(Ui *ui, Canvas *c, int x, int y, int width)
{
    const Pending *p = &ui->pending;
    g_autofree char *pictures = picture_words(ui, p);
    int right = x + width - 28;
    canvas_text(c, right, y, 7, ROLE_KEY, "[Enter]");
    canvas_text(c, right + 8, y, 5, ROLE_TEXT, "queue");
    canvas_text(c, right + 15, y, 5, ROLE_KEY, "[Esc]");
    canvas_text(c, right + 21, y, 7, ROLE_TEXT, "discard");
    if (right - x < TARGET_LEAST)
        return;
    int left = x + canvas_text(c, x, y, 3, ROLE_DIM, "to ");
    const char *dest = p->dest != NULL && *p->dest != '\0' ? p->dest : ui->target;
    const int room = MIN(canvas_width(c, dest), right - left - 2);
    canvas_fit(c, left, y, room, ROLE_ACCENT, CUT_MIDDLE, false, dest);
    left += room + 2;
    if (pictures != NULL && left + PICTURES_LEAST < right)
        canvas_fit(c, left, y, right - left - 2, ROLE_DIM, CUT_END, false, pictures);
}

static void draw_preview(Ui *ui, Canvas *c)
{
    const Pending *p = &ui->pending;
    const int width = MIN(c->width - 2, BOX_WIDTH);
    const int warnings = (p->missing + p->lost > 0) + (p->counted && p->skipped > 0);
    const int room = CLAMP(c->height - 6 - warnings, 1, ROOTS_SHOWN);
    const int lines = p->counted ? (int)p->roots->len : (int)p->paths->len;
    const bool more = p->counted && (int)p->n_roots > MIN(lines, room);
    const int height = MIN(lines, room) + warnings + more + 3;
    const int x = (c->width - width) / 2, top = MAX((c->height - 2 - height) / 2, 0);
    g_autofree char *title = title_of(p);
    canvas_box(c, x, top, width, height, title);
    int y = top + 1;
    if (p->counted)
        draw_roots(c, p, x + 2, &y, width - 4, room);
    else
        draw_waiting_paths(c, p, x + 2, &y, width - 4, room);
    y = draw_warnings(c, p, x + 2, y, width - 4);
    draw_last_line(ui, c, x + 2, y, width - 4);
}

static void act_preview(Ui *ui, Action action)
{
    if (action != ACT_ACCEPT && action != ACT_CLOSE)
        return;
    ui_pop(ui);
    if (action == ACT_ACCEPT) {
        queue_pending(ui);
        return;
    }
    pending_reset(&ui->pending);
    ui_say(ui, LINE_PLAIN, "nothing added");
}

const ViewOps view_preview = { .where = IN_PREVIEW, .overlay = true, .draw = draw_preview, .act = act_preview };

/* ------------------------------------------------------------------ add by path */

static void path_entered(Ui *ui, const char *text)
{
    if (*text == '\0')
        return;
    g_autofree char *cwd = g_get_current_dir();
    g_autofree char *home = g_str_has_prefix(text, "~/") ? g_build_filename(g_get_home_dir(), text + 2, NULL) : NULL;
    g_autofree char *path = g_canonicalize_filename(home != NULL ? home : g_str_equal(text, "~") ? g_get_home_dir() : text, cwd);
    char *paths[] = { path, NULL };
    ui_dropped(ui, paths, NULL);
}

void view_add_open(Ui *ui)
{
    const Entry entry = { .title = "Add a file or folder",
                          .prompt = "Path (~/ is your home); a drop or paste works here too",
                          .done = path_entered,
                          .paths = true };
    ui_enter(ui, &entry, "");
}
