#include "follow.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fmt.h"

#define POLL_MS        500
#define SETTLED_POLLS  4  /* nothing open and nothing new for so long: the scan of the other hoist is over, too */
#define APPEAR_POLLS   60 /* then what was handed over is not in its queue: nothing to upload in it */
#define PROBE_POLLS    10 /* without a change: does the other one still live? */
#define PROGRESS_US    (10 * G_USEC_PER_SEC)
#define NEWEST_ROWS    100
#define SHOWN_FAILURES 20

typedef struct {
    const Options *o;
    char *const *paths;
    HoistView *view;
    int64_t batch; /* of what was handed over; 0 = not seen yet */
    int64_t since_ns;
    uint64_t open, done, failed;
    uint64_t old_done; /* of before; the whole queue only */
    unsigned quiet_polls, all_polls;
    unsigned missing;
    int64_t told_us;
} Follow;

static bool is_below(const char *path, const char *root)
{
    const size_t n = strlen(root);
    return strncmp(path, root, n) == 0 && (path[n] == '\0' || path[n] == '/' || g_str_equal(root, "/"));
}

/* The batch of our paths is that of a new row below one of them; new rows are at the end of the queue. */
static bool find_batch(Follow *f, GError **error)
{
    const HoistFilter any = { 0 };
    g_autoptr(GPtrArray) rows = hoist_view_page(f->view, &any, INT64_MAX, INT64_MAX, true, NEWEST_ROWS, error);
    if (rows == NULL)
        return false;
    for (guint i = 0; i < rows->len && f->batch == 0; i++) {
        const HoistRow *row = rows->pdata[i];
        for (char *const *path = f->paths; *path != NULL && row->added_ns >= f->since_ns; path++)
            if (is_below(row->path, *path))
                f->batch = row->batch;
    }
    return true;
}

static bool look(Follow *f, GError **error)
{
    if (*f->paths != NULL) {
        if (f->batch == 0 && !find_batch(f, error))
            return false;
        return f->batch == 0 || hoist_view_batch(f->view, f->batch, &f->open, &f->done, &f->failed, error);
    }
    HoistTotals t;
    if (!hoist_view_totals(f->view, &t, error))
        return false;
    f->open = t.files[HOIST_QUEUED] + t.files[HOIST_PREPARING] + t.files[HOIST_ACTIVE] + t.files[HOIST_COMPLETING];
    f->done = t.files[HOIST_DONE] - MIN(f->old_done, t.files[HOIST_DONE]);
    f->failed = t.files[HOIST_FAILED];
    return true;
}

static bool wants_lines(const Follow *f)
{
    return (f->o->switches & (SWITCH_JSON | SWITCH_QUIET)) == 0;
}

static void tell_progress(Follow *f)
{
    const int64_t now_us = g_get_monotonic_time();
    if (!wants_lines(f) || now_us - f->told_us < PROGRESS_US)
        return;
    f->told_us = now_us;
    printf("%s %s done, %s failed, %s to go\n", fmt_clock(g_get_real_time() * 1000).s, fmt_plural(f->done, "file").s,
           fmt_count(f->failed).s, fmt_count(f->open).s);
    fflush(stdout);
}

/* Files of the batch that failed, with cause and remedy. */
static void tell_failures(Follow *f, GString *text)
{
    const HoistFilter failed = { .states = 1u << HOIST_FAILED };
    int64_t pos = INT64_MAX, id = INT64_MAX;
    g_autoptr(GPtrArray) rows = hoist_view_page(f->view, &failed, pos, id, true, NEWEST_ROWS, NULL);
    g_autoptr(Report) report = report_new((f->o->switches & SWITCH_JSON) != 0 ? REPORT_JSON : REPORT_QUIET, 0);
    unsigned shown = 0;
    for (guint i = 0; rows != NULL && i < rows->len && shown < SHOWN_FAILURES; i++) {
        HoistEvent ev = { .kind = HOIST_EVENT_ROW, .change = HOIST_ROW_FAILED, .row = rows->pdata[i] };
        if (f->batch != 0 && ev.row->batch != f->batch)
            continue;
        report_event(report, &ev, 0, g_get_real_time() * 1000, text);
        shown++;
    }
}

static int tell_end(Follow *f)
{
    g_autoptr(GString) text = g_string_new(NULL);
    if (f->failed > 0)
        tell_failures(f, text);
    if ((f->o->switches & SWITCH_JSON) != 0)
        g_string_append_printf(text,
                               "{\"event\":\"summary\",\"done\":%" G_GUINT64_FORMAT ",\"failed\":%" G_GUINT64_FORMAT ",\"skipped\":%u}\n",
                               f->done, f->failed, f->missing);
    else
        g_string_append_printf(text, "%s done, %s failed by the hoist that holds the queue\n", fmt_plural(f->done, "file").s,
                               fmt_count(f->failed).s);
    fputs(text->str, (f->o->switches & SWITCH_QUIET) != 0 ? stderr : stdout);
    const bool nothing = *f->paths != NULL && f->batch == 0;
    if (nothing)
        fprintf(stderr, HOIST_APP ": nothing of these paths is in the queue: see the window of the other hoist\n");
    return f->failed > 0 || f->missing > 0 || nothing ? EXIT_FAILED_FILES : EXIT_SUCCESS;
}

/* Until everything is through (true) or the queue is free (false). */
static bool watch(Follow *f, Session *session, unsigned flags, int *status_out)
{
    for (;;) {
        g_autoptr(GError) error = NULL;
        const uint64_t before = f->open + f->done + f->failed;
        if (!look(f, &error)) {
            *status_out = cli_complain(error);
            return true;
        }
        f->all_polls++;
        f->quiet_polls = hoist_view_changed(f->view) || f->open + f->done + f->failed != before ? 0 : f->quiet_polls + 1;
        const bool appeared = *f->paths == NULL || f->batch != 0 || f->all_polls >= APPEAR_POLLS;
        if (appeared && f->open == 0 && f->quiet_polls >= SETTLED_POLLS) {
            *status_out = tell_end(f);
            return true;
        }
        if (f->quiet_polls % PROBE_POLLS == PROBE_POLLS - 1 && session_open(session, f->o->settings, flags, NULL))
            return false;
        tell_progress(f);
        session_wait(session, -1, POLL_MS);
        if (session_interrupted()) {
            fprintf(stderr, HOIST_APP ": not followed any more; the other hoist goes on\n");
            *status_out = EXIT_INTERRUPTED;
            return true;
        }
    }
}

/* Those that exist; the others are told at once, because the events of the other hoist do not come here. */
static char **existing(Follow *f)
{
    g_autoptr(GStrvBuilder) there = g_strv_builder_new();
    for (char *const *path = f->paths; *path != NULL; path++) {
        struct stat st;
        if (lstat(*path, &st) == 0) {
            g_strv_builder_add(there, *path);
            continue;
        }
        g_autofree char *shown = hoist_text(*path);
        fprintf(stderr, HOIST_APP ": %s: no such file\n", shown);
        f->missing++;
    }
    return g_strv_builder_end(there);
}

FollowEnd follow_queue(const Options *o, char *const *paths, Session *session, unsigned flags, int *status_out)
{
    g_autoptr(GError) error = NULL;
    Follow f = { .o = o, .paths = paths, .since_ns = g_get_real_time() * 1000 };
    HoistTotals before = { 0 };
    g_auto(GStrv) there = existing(&f);
    const bool given = *paths != NULL;
    f.paths = there;
    f.told_us = g_get_monotonic_time();
    *status_out = EXIT_FAILED_FILES;
    if (given && *there == NULL)
        return FOLLOW_OVER;
    g_autoptr(HoistView) view = hoist_view_open(o->settings, &error);
    f.view = view;
    bool ok = view != NULL && hoist_view_totals(view, &before, &error);
    f.old_done = before.files[HOIST_DONE];
    if (ok && given)
        ok = hoist_send_inbox(o->settings, cli_add_command(o->settings, there), &error);
    if (!ok) {
        *status_out = cli_complain(error);
        return FOLLOW_OVER;
    }
    if (wants_lines(&f))
        printf("another hoist holds this queue: %s\n", given ? "the paths were handed to it; following" : "following it");
    fflush(stdout);
    if (watch(&f, session, flags, status_out))
        return FOLLOW_OVER;
    fprintf(stderr, HOIST_APP ": the other hoist has ended: going on here\n");
    return FOLLOW_FREE;
}
