#include "app.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "drops.h"
#include "fmt.h"
#include "log.h"
#include "term.h"
#include "view.h"

enum {
    FRAME_US = 50 * 1000,
    TITLE_US = 1000 * 1000,
    GRAPHICS_US = 2000 * 1000,
    MERGE_US = 150 * 1000, /* pastes that begin this soon after the last belong together: one a file in some terminals */
    READ_MAX = 64 * 1024,
    EVENTS_MAX = 5000, /* taken for one frame */
    EXIT_FILES_FAILED = 1,
    EXIT_CANNOT = 3,
    EXIT_SIGNAL = 130,
};

enum { FD_TTY, FD_WAKE, FD_SIGNAL, FD_DROPS, N_FDS };

typedef struct {
    Hoist *hoist;
    const HoistSettings *settings;
    HoistView *view;
    Term *term;
    Input *input;
    Drops *drops;
    Log *log;
    Ui *ui;
    Canvas *canvas;
    int wake_fd;

    GPtrArray *pastes; /* of GBytes, waiting for more of the same drop; NULL = none */
    int64_t pastes_due_us;
    bool dirty, woken, stop;
    int64_t frame_us; /* of the last frame */
    int64_t tick_us;  /* when the screen changes by itself; -1 = never */
    char *title;
    int64_t title_us;
    int signalled;
    int64_t graphics_due_us; /* no answer until then: told; -1 = answered or nothing was asked */
} App;

static GPtrArray *page(void *ctx, const HoistFilter *filter, int64_t after_pos, int64_t after_id, bool backwards, unsigned n,
                       GError **error)
{
    return hoist_view_page(ctx, filter, after_pos, after_id, backwards, n, error);
}

static HoistRow *whole(void *ctx, int64_t id, GError **error)
{
    return hoist_view_row(ctx, id, error);
}

static void send_command(void *ctx, HoistCommand *cmd)
{
    hoist_send(((App *)ctx)->hoist, cmd);
}

static bool copy(void *ctx, const char *text)
{
    return term_copy(((App *)ctx)->term, text);
}

/* ------------------------------------------------------------------ what comes in */

static void hold_paste(App *app, const InputEvent *ev, int64_t now_us)
{
    if (app->pastes == NULL)
        app->pastes = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    g_ptr_array_add(app->pastes, g_bytes_new(ev->text, ev->bytes));
    app->pastes_due_us = now_us + MERGE_US;
}

static void take_input(App *app, const InputEvent *ev, int64_t now_us)
{
    const bool typing = ui_top(app->ui) == VIEW_FIELD && !app->ui->entry.paths;
    switch (ev->kind) {
    case INPUT_KEY:
        ui_key(app->ui, ev);
        break;
    case INPUT_PASTE:
        if (typing)
            ui_text_pasted(app->ui, ev->text, ev->bytes);
        else
            hold_paste(app, ev, now_us);
        break;
    case INPUT_REPLY:
        term_reply(app->term, ev->text);
        return;
    case INPUT_MOUSE:
    case INPUT_FOCUS:
        return;
    }
    app->dirty = true;
}

/* Pictures are drawn with what the terminal has answered so far. */
static void follow_graphics(App *app, int64_t now_us)
{
    const GraphicsTalk *talk = term_graphics(app->term);
    const Graphics graphics = graphics_now(talk);
    const MosaicLook look = { .colours = term_colours(app->term),
                              .ascii = !term_utf8(app->term),
                              .graphics = term_utf8(app->term) ? graphics : GRAPHICS_CELLS,
                              .cell_width_px = graphics == GRAPHICS_CELLS ? 0 : talk->cell_width_px,
                              .cell_height_px = graphics == GRAPHICS_CELLS ? 0 : talk->cell_height_px };
    if (app->ui->glance != NULL)
        glance_set_look(app->ui->glance, &look);
    if (app->graphics_due_us < 0 || (!talk->over && now_us < app->graphics_due_us))
        return;
    app->graphics_due_us = -1;
    if (graphics == GRAPHICS_CELLS && talk->wish != GRAPHICS_AUTO)
        ui_say(app->ui, LINE_WARN, "this terminal does not answer that it draws pictures (--graphics %s): shown as cells",
               graphics_name(talk->wish));
    app->dirty = true;
}

static void read_tty(App *app, int64_t now_us)
{
    char bytes[READ_MAX];
    const ssize_t n = read(term_input_fd(app->term), bytes, sizeof bytes);
    if (n > 0)
        input_feed(app->input, bytes, (size_t)n, now_us);
    else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
        app->signalled = SIGHUP;
        app->stop = true;
    }
}

static void take_inputs(App *app, int64_t now_us)
{
    for (InputEvent *ev = input_take(app->input, now_us); ev != NULL; ev = input_take(app->input, now_us)) {
        take_input(app, ev, now_us);
        input_event_free(ev);
    }
    size_t receiving = 0;
    if (!input_pasting(app->input, &receiving))
        receiving = 0;
    if (receiving > 0 && app->pastes != NULL)
        app->pastes_due_us = now_us + MERGE_US;
    app->dirty = app->dirty || receiving != app->ui->receiving_bytes;
    app->ui->receiving_bytes = receiving;
}

static void release_pastes(App *app, int64_t now_us)
{
    if (app->pastes == NULL || now_us < app->pastes_due_us)
        return;
    if (!drops_read(app->drops, g_steal_pointer(&app->pastes))) {
        ui_say(app->ui, LINE_WARN, "earlier drops still wait for their disk: not read");
        app->dirty = true;
    }
}

static void take_drops(App *app)
{
    for (DropResult *r = drops_take(app->drops); r != NULL; r = drops_take(app->drops)) {
        gsize n = 0;
        const char *text = r->text == NULL ? NULL : g_bytes_get_data(r->text, &n);
        if (r->paths->len > 1)
            ui_dropped(app->ui, (char **)r->paths->pdata, (const bool *)(void *)r->found->data);
        else
            ui_text_pasted(app->ui, text == NULL ? "" : text, n);
        drop_result_free(r);
        app->dirty = true;
    }
}

static void take_signals(App *app)
{
    for (int signo = term_take_signal(app->term); signo != 0; signo = term_take_signal(app->term)) {
        app->dirty = true;
        if (signo == SIGTSTP)
            app->ui->wish = WISH_SUSPEND;
        else if (signo == SIGCONT)
            term_resume(app->term);
        else if (signo == SIGWINCH)
            term_redraw(app->term); /* to another size and back again the terminal may have cut lines off */
        else {
            app->signalled = signo;
            app->stop = true;
        }
    }
}

static void take_events(App *app)
{
    uint64_t count;
    if (read(app->wake_fd, &count, sizeof count) < 0 && errno != EAGAIN && errno != EINTR)
        app->stop = true;
    app->woken = false;
    for (unsigned i = 0; i < EVENTS_MAX; i++) {
        g_autoptr(HoistEvent) ev = hoist_take(app->hoist);
        if (ev == NULL)
            return;
        log_event(app->log, ev);
        ui_event(app->ui, ev);
    }
    app->woken = true; /* there are more: the next frame has them */
}

static void grant_wish(App *app)
{
    const Wish wish = app->ui->wish;
    app->ui->wish = WISH_NOTHING;
    if (wish == WISH_QUIT)
        app->stop = true;
    else if (wish == WISH_SUSPEND)
        term_suspend(app->term);
    else if (wish == WISH_REDRAW)
        term_redraw(app->term);
    app->dirty = app->dirty || wish != WISH_NOTHING;
}

/* ------------------------------------------------------------------ what goes out */

static void show_title(App *app, int64_t now_us)
{
    const HoistTotals *t = model_totals(app->ui->model);
    const FmtText done = fmt_percent(model_done_bytes(app->ui->model), model_all_bytes(app->ui->model), false);
    g_autofree char *title = NULL;
    if (t->active > 0)
        title = g_strdup_printf("hoist %s · %s · %u up", done.s, fmt_rate(t->bps).s, t->active);
    else
        title = g_strdup(t->paused ? "hoist · paused" : "hoist");
    if (g_strcmp0(title, app->title) == 0)
        return;
    if (now_us - app->title_us < TITLE_US) {
        const int64_t due = app->title_us + TITLE_US;
        app->tick_us = app->tick_us < 0 ? due : MIN(app->tick_us, due);
        return;
    }
    term_title(app->term, title);
    g_free(app->title);
    app->title = g_steal_pointer(&title);
    app->title_us = now_us;
}

static void refresh_pages(App *app, int64_t now_us)
{
    g_autoptr(GError) error = NULL;
    if (model_refresh(app->ui->model, now_us, &error))
        return;
    g_autofree char *text = hoist_text(error->message);
    ui_say(app->ui, LINE_BAD, "the queue cannot be read: %s", text);
}

static void draw_frame(App *app, int64_t now_us)
{
    int width = 0, height = 0;
    app->frame_us = now_us;
    if (app->woken)
        take_events(app);
    refresh_pages(app, now_us);
    if (!term_ready(app->term))
        return; /* still dirty: tried again in the next slot */
    term_size(app->term, &width, &height);
    if (app->canvas->width != width || app->canvas->height != height) {
        canvas_free(app->canvas);
        app->canvas = canvas_new(width, height, !term_utf8(app->term));
    }
    ui_draw(app->ui, app->canvas);
    term_draw(app->term, app->canvas);
    app->dirty = false;
    app->tick_us = ui_deadline_us(app->ui);
    show_title(app, now_us);
}

/* ------------------------------------------------------------------ the loop */

static int64_t sooner(int64_t a, int64_t b)
{
    return a < 0 ? b : b < 0 ? a : MIN(a, b);
}

static int timeout_ms(const App *app, int64_t now_us)
{
    const int64_t slot_us = app->frame_us + FRAME_US;
    int64_t due = app->dirty || app->woken ? slot_us : sooner(app->tick_us, model_deadline_us(app->ui->model));
    if (due >= 0)
        due = MAX(due, slot_us);
    due = sooner(due, input_deadline_us(app->input));
    if (app->pastes != NULL)
        due = sooner(due, app->pastes_due_us);
    due = sooner(due, app->graphics_due_us);
    if (due < 0)
        return -1;
    return due <= now_us ? 0 : (int)MIN((due - now_us + 999) / 1000, G_MAXINT);
}

static void turn(App *app)
{
    struct pollfd fds[N_FDS] = {
        [FD_TTY] = { .fd = term_input_fd(app->term), .events = POLLIN },
        [FD_WAKE] = { .fd = app->woken ? -1 : app->wake_fd, .events = POLLIN }, /* drained once a frame */
        [FD_SIGNAL] = { .fd = term_signal_fd(app->term), .events = POLLIN },
        [FD_DROPS] = { .fd = drops_fd(app->drops), .events = POLLIN },
    };
    if (poll(fds, N_FDS, timeout_ms(app, g_get_monotonic_time())) < 0 && errno != EINTR)
        app->stop = true;
    const int64_t now_us = g_get_monotonic_time();
    app->ui->now_us = now_us;
    if (fds[FD_SIGNAL].revents != 0)
        take_signals(app);
    if (fds[FD_TTY].revents != 0)
        read_tty(app, now_us);
    take_inputs(app, now_us);
    if (fds[FD_WAKE].revents != 0)
        app->woken = true;
    if (fds[FD_DROPS].revents != 0)
        take_drops(app);
    release_pastes(app, now_us);
    follow_graphics(app, now_us);
    grant_wish(app);
    const int64_t change_us = sooner(app->tick_us, model_deadline_us(app->ui->model));
    if (change_us >= 0 && now_us >= change_us) {
        app->tick_us = -1;
        ui_tick(app->ui);
        app->dirty = true;
    }
    if (!app->stop && (app->dirty || app->woken) && now_us >= app->frame_us + FRAME_US)
        draw_frame(app, now_us);
}

static const char *terminal_hint(void)
{
    const char *program = g_getenv("TERM_PROGRAM");
    return program != NULL && *program != '\0' ? program : g_getenv("TERM");
}

static bool open_all(App *app, GError **error)
{
    g_autofree char *dir = hoist_state_dir(app->settings);
    g_autofree char *log = g_build_filename(dir, "stderr.log", NULL);
    app->log = log_open(app->settings, error);
    if (app->log == NULL && *error != NULL)
        return false;
    app->view = hoist_view_open(app->settings, error);
    if (app->view == NULL)
        return false;
    app->term = term_open(log, graphics_by_name(hoist_settings_get(app->settings, "graphics")), error);
    if (app->term == NULL)
        return false;
    app->input = input_new(terminal_hint(), g_get_host_name());
    app->drops = drops_new(terminal_hint(), g_get_host_name());
    app->canvas = canvas_new(1, 1, false);
    app->ui = ui_new(model_new(page, app->view), app->settings, (UiPort){ .ctx = app, .send = send_command, .copy = copy });
    model_set_whole(app->ui->model, whole);
    app->dirty = app->woken = true;
    app->tick_us = -1;
    const Graphics wish = term_graphics(app->term)->wish;
    app->graphics_due_us = wish == GRAPHICS_CELLS || wish == GRAPHICS_NONE ? -1 : g_get_monotonic_time() + GRAPHICS_US;
    return true;
}

static void close_all(App *app)
{
    term_close(app->term);
    ui_free(app->ui);
    canvas_free(app->canvas);
    drops_free(app->drops);
    if (app->input != NULL)
        input_free(app->input);
    if (app->pastes != NULL)
        g_ptr_array_unref(app->pastes);
    if (app->view != NULL)
        hoist_view_close(app->view);
    log_close(app->log);
    g_free(app->title);
}

/* "58 done, 3 failed, 153 left: run hoist again to go on" */
static void say_goodbye(const HoistTotals *t, uint64_t all)
{
    const uint64_t done = t->files[HOIST_DONE], failed = t->files[HOIST_FAILED];
    const uint64_t left = all - done - failed - t->files[HOIST_CANCELLED];
    if (all == 0)
        return;
    printf("%s done", fmt_count(done).s);
    if (failed > 0)
        printf(", %s failed", fmt_count(failed).s);
    if (left > 0)
        printf(", %s left: run hoist again to go on", fmt_count(left).s);
    printf("\n");
    fflush(stdout);
}

int app_run(Hoist *h, const HoistSettings *s, int wake_fd)
{
    App app = { .hoist = h, .settings = s, .wake_fd = wake_fd };
    g_autoptr(GError) error = NULL;
    int status = EXIT_CANNOT;
    signal(SIGPIPE, SIG_IGN);
    if (!open_all(&app, &error)) {
        fprintf(stderr, "hoist: %s\n", error->message);
        close_all(&app);
        return status;
    }
    while (!app.stop)
        turn(&app);
    const HoistTotals totals = *model_totals(app.ui->model);
    const uint64_t all = model_all_files(app.ui->model);
    g_autofree char *fatal = app.ui->fatal && app.ui->message != NULL ? g_strdup(app.ui->message) : NULL;
    if (app.ui->fatal)
        status = EXIT_CANNOT;
    else if (app.signalled != 0)
        status = EXIT_SIGNAL;
    else
        status = totals.run_failed > 0 && totals.files[HOIST_FAILED] > 0 ? EXIT_FILES_FAILED : 0;
    close_all(&app);
    if (app.signalled != SIGHUP)
        say_goodbye(&totals, all);
    if (fatal != NULL)
        fprintf(stderr, "hoist: %s\n", fatal);
    return status;
}
