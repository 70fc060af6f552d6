#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "follow.h"
#include "log.h"
#include "paths.h"
#include "report.h"

#define READ_BYTES      65536
#define ADD_MAX_PATHS   10000 /* of one command: sending begins while the rest is read */
#define ADD_MAX_WAIT_MS 300   /* a slow writer's paths go out after this long */

typedef struct {
    const Options *o;
    Report *report;
    Log *log;
    FILE *out;
    bool out_failed;
    char *cwd;
    Session session;
    GPtrArray *paths;    /* of char*, absolute: not handed to the engine yet */
    GByteArray *pending; /* read from standard input, not split yet */
    bool reading;        /* standard input has not ended */
    bool given;          /* paths were named, here or there */
    bool idle;           /* the engine is through with all that was sent to it */
    bool broken_input;
} Up;

int cli_usage(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *message = g_strdup_vprintf(format, args);
    va_end(args);
    fprintf(stderr, HOIST_APP ": %s\n", message);
    return EXIT_USAGE;
}

int cli_complain(const GError *error)
{
    const char *remedy = hoist_fault_remedy(error);
    g_autofree char *shown = hoist_text(error->message);
    fprintf(stderr, HOIST_APP ": %s\n", shown);
    if (hoist_fault_is_usage(error))
        return EXIT_USAGE;
    if (*remedy != '\0')
        fprintf(stderr, "       %s\n", remedy);
    return EXIT_NO_START;
}

bool cli_check_dest(const HoistSettings *settings, GError **error)
{
    g_autofree char *warning = NULL;
    const bool fit = hoist_settings_check_dest(settings, &warning, error);
    if (warning != NULL)
        fprintf(stderr, HOIST_APP ": %s\n", warning);
    return fit;
}

bool cli_is_locked(const GError *error)
{
    return g_str_equal(hoist_fault_name(error), "state-in-use");
}

HoistCommand *cli_add_command(const HoistSettings *settings, char *const *paths)
{
    HoistCommand *cmd = hoist_command_new(HOIST_CMD_ADD);
    cmd->paths = g_strdupv((char **)paths);
    cmd->settings = hoist_settings_dup(settings);
    return cmd;
}

/* ------------------------------------------------------------------ output */

static ReportStyle style_of(const Options *o)
{
    if ((o->switches & SWITCH_JSON) != 0)
        return REPORT_JSON;
    return (o->switches & SWITCH_QUIET) != 0 ? REPORT_QUIET : REPORT_PLAIN;
}

static void put(Up *up, const GString *text)
{
    if (text->len == 0 || up->out_failed)
        return;
    up->out_failed = fwrite(text->str, 1, text->len, up->out) != text->len || fflush(up->out) != 0;
}

static void take_event(Up *up, const HoistEvent *ev, GString *text)
{
    up->idle |= ev->kind == HOIST_EVENT_IDLE;
    log_event(up->log, ev);
    report_event(up->report, ev, g_get_monotonic_time(), g_get_real_time() * 1000, text);
}

static void take_events(Up *up)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (HoistEvent *ev; (ev = hoist_take(up->session.hoist)) != NULL; hoist_event_free(ev))
        take_event(up, ev, text);
    put(up, text);
}

/* ------------------------------------------------------------------ input */

static void add_path(Up *up, const char *path)
{
    g_ptr_array_add(up->paths, paths_absolute(up->cwd, path));
    up->given = true;
}

/* One read of standard input. False when what it holds are no paths. */
static bool read_paths(Up *up)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
    uint8_t bytes[READ_BYTES];
    const ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    if (n > 0)
        g_byte_array_append(up->pending, bytes, (guint)n);
    up->reading = n > 0;
    const char separator = (up->o->switches & SWITCH_NUL) != 0 ? '\0' : '\n';
    if (!paths_split(up->pending, separator, !up->reading, found))
        return false;
    for (guint i = 0; i < found->len; i++)
        add_path(up, found->pdata[i]);
    return true;
}

static char **steal_paths(Up *up)
{
    g_ptr_array_add(up->paths, NULL);
    char **paths = (char **)g_ptr_array_free(up->paths, FALSE);
    up->paths = g_ptr_array_new_with_free_func(g_free);
    return paths;
}

static void send_paths(Up *up)
{
    if (up->paths->len == 0)
        return;
    g_auto(GStrv) paths = steal_paths(up);
    hoist_send(up->session.hoist, cli_add_command(up->o->settings, paths));
    up->idle = false;
}

/* ------------------------------------------------------------------ the run */

static unsigned open_flags(const Options *o)
{
    if ((o->switches & SWITCH_QUIET) != 0 && hoist_settings_get(o->settings, "log") == NULL)
        return HOIST_WANT_FAILURES;
    return HOIST_WANT_ROWS | ((o->switches & SWITCH_JSON) != 0 ? HOIST_WANT_PROGRESS : 0);
}

static void run(Up *up)
{
    int64_t waiting_since_us = 0; /* paths that were read and not sent */
    while (!session_interrupted() && !up->broken_input) {
        const int64_t now_us = g_get_monotonic_time();
        const bool late = up->paths->len > 0 && now_us - waiting_since_us >= ADD_MAX_WAIT_MS * 1000;
        if (!up->reading || late || up->paths->len >= ADD_MAX_PATHS)
            send_paths(up);
        take_events(up);
        if ((up->idle && !up->reading) || report_counts(up->report)->fatal)
            return;
        const bool held = up->paths->len > 0;
        if (session_wait(&up->session, up->reading ? STDIN_FILENO : -1, held ? ADD_MAX_WAIT_MS : -1)) {
            up->broken_input = !read_paths(up);
            if (!held)
                waiting_since_us = g_get_monotonic_time();
        }
    }
}

static int status_of(const Up *up)
{
    const ReportCounts *c = report_counts(up->report);
    if (c->fatal || (c->no_credentials && c->done == 0))
        return EXIT_NO_START;
    if (c->misused)
        return EXIT_USAGE;
    const bool left = c->unsent > 0 || (!up->given && c->waiting > 0);
    return c->failed > 0 || c->unreadable > 0 || left || up->out_failed ? EXIT_FAILED_FILES : EXIT_SUCCESS;
}

static int finish(Up *up)
{
    const bool interrupted = session_interrupted();
    if (interrupted)
        fprintf(stderr, HOIST_APP ": stopping; once more stops at once\n");
    session_close(&up->session);
    g_autoptr(GString) text = g_string_new(NULL);
    report_summary(up->report, g_get_monotonic_time(), g_get_real_time() * 1000, text);
    put(up, text);
    if (up->broken_input)
        return cli_usage("a path on standard input is longer than 1 MiB: are they separated by %s?",
                         up->o->switches & SWITCH_NUL ? "NULs" : "newlines");
    if (!interrupted)
        return status_of(up);
    fprintf(stderr, HOIST_APP ": interrupted: run the same command to go on\n");
    return EXIT_INTERRUPTED;
}

/* Another hoist has the queue: all paths go to it. */
static int hand_over(Up *up)
{
    while (up->reading)
        if (!read_paths(up) || session_interrupted())
            return session_interrupted() ? EXIT_INTERRUPTED : cli_usage("standard input holds no paths");
    g_auto(GStrv) paths = steal_paths(up);
    int status = EXIT_NO_START;
    if (follow_queue(up->o, paths, &up->session, open_flags(up->o), &status) == FOLLOW_OVER)
        return status;
    run(up);
    return finish(up);
}

static int start(Up *up)
{
    g_autoptr(GError) error = NULL;
    session_init(&up->session);
    if (session_open(&up->session, up->o->settings, open_flags(up->o), &error)) {
        run(up);
        return finish(up);
    }
    return cli_is_locked(error) ? hand_over(up) : cli_complain(error);
}

/* ------------------------------------------------------------------ dry run */

static bool planned(const HoistRow *row, void *ctx)
{
    Up *up = ctx;
    g_autoptr(GString) text = g_string_new(NULL);
    report_planned(style_of(up->o), row, text);
    put(up, text);
    return !up->out_failed;
}

static int dry_run(Up *up)
{
    while (up->reading)
        if (!read_paths(up))
            return cli_usage("standard input holds no paths");
    if (up->paths->len == 0)
        return cli_usage("--dry-run needs paths");
    g_auto(GStrv) paths = steal_paths(up);
    g_autoptr(GPtrArray) skipped = g_ptr_array_new_with_free_func((GDestroyNotify)hoist_event_free);
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    HoistTotals totals;
    if (!hoist_dry_run(up->o->settings, paths, planned, &totals, skipped, up, &error))
        return cli_complain(error);
    for (guint i = 0; i < skipped->len; i++)
        take_event(up, skipped->pdata[i], text);
    report_planned_summary(style_of(up->o), &totals, text);
    put(up, text);
    return status_of(up);
}

/* ------------------------------------------------------------------ hoist up */

static void up_clear(Up *up)
{
    session_clear(&up->session);
    log_close(up->log);
    report_free(up->report);
    g_clear_pointer(&up->paths, g_ptr_array_unref);
    g_clear_pointer(&up->pending, g_byte_array_unref);
    g_free(up->cwd);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Up, up_clear)

int cli_up(const Options *o)
{
    g_auto(Up) up = { .o = o, .session = { NULL, -1 } };
    g_autoptr(GError) error = NULL;
    const unsigned views = o->switches & (SWITCH_PLAIN | SWITCH_JSON | SWITCH_QUIET);
    if ((views & (views - 1)) != 0)
        return cli_usage("--plain, --json and --quiet exclude each other");
    if (*o->args != NULL && hoist_settings_get(o->settings, "to") == NULL)
        return cli_usage("where to? Name a destination: --to s3://BUCKET/PREFIX");
    if (hoist_settings_get(o->settings, "to") != NULL && !cli_check_dest(o->settings, &error))
        return cli_complain(error);
    up.report = report_new(style_of(o), g_get_monotonic_time());
    up.out = (o->switches & SWITCH_QUIET) != 0 ? stderr : stdout;
    up.cwd = g_get_current_dir();
    up.paths = g_ptr_array_new_with_free_func(g_free);
    up.pending = g_byte_array_new();
    for (char **arg = o->args; *arg != NULL; arg++) {
        if (**arg == '\0')
            return cli_usage("a PATH is empty"); /* an unset variable in a script, not the current folder */
        up.reading |= g_str_equal(*arg, "-");
        if (!g_str_equal(*arg, "-"))
            add_path(&up, *arg);
    }
    up.given |= up.reading;
    if ((o->switches & SWITCH_NUL) != 0 && !up.reading)
        return cli_usage("-0 is for paths on standard input: name - as PATH");
    up.log = log_open(o->settings, &error);
    if (error != NULL)
        return cli_usage("%s", error->message);
    return (o->switches & SWITCH_DRY_RUN) != 0 ? dry_run(&up) : start(&up);
}
