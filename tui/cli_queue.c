#include "cli.h"

#include <stdio.h>
#include <string.h>

#include "fmt.h"
#include "report.h"

#define PAGE_ROWS   500
#define PATIENCE_MS 2000

/* ------------------------------------------------------------------ hoist queue */

static void add_line(const HoistRow *row, GString *text)
{
    g_autofree char *name = hoist_text(row->name != NULL ? row->name : row->path);
    g_autofree char *cause = hoist_text(row->cause != NULL ? row->cause : "");
    const uint64_t bytes = row->state == HOIST_DONE ? row->bytes : row->source_bytes;
    g_string_append_printf(text, "%6" G_GINT64_FORMAT "  %-10s  %8s  %4s  %s%s%s\n", row->id, hoist_state_name(row->state),
                           fmt_size(bytes).s, fmt_percent(row->acked_bytes, row->bytes, row->state == HOIST_DONE).s, name,
                           *cause != '\0' ? "  " : "", cause);
}

static bool write_out(const GString *text)
{
    return fwrite(text->str, 1, text->len, stdout) == text->len && fflush(stdout) == 0;
}

static bool print_page(const Options *o, const GPtrArray *rows)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; i < rows->len; i++) {
        if ((o->switches & SWITCH_JSON) != 0)
            report_row_json("row", rows->pdata[i], text);
        else
            add_line(rows->pdata[i], text);
    }
    return write_out(text);
}

static bool print_head(const Options *o)
{
    if ((o->switches & SWITCH_JSON) != 0)
        return true;
    g_autoptr(GString) text = g_string_new(NULL);
    g_string_append_printf(text, "%6s  %-10s  %8s  %4s  %s\n", "ID", "STATE", "SIZE", "SENT", "NAME");
    return write_out(text);
}

int cli_queue(const Options *o)
{
    g_autoptr(GError) error = NULL;
    if (*o->args != NULL)
        return cli_usage("queue takes no paths; --state STATE selects files");
    g_autoptr(HoistView) view = hoist_view_open(o->settings, &error);
    if (view == NULL)
        return cli_complain(error);
    const HoistFilter filter = { .states = o->state >= 0 ? 1u << o->state : 0 };
    int64_t pos = INT64_MIN, id = 0;
    for (bool first = true;; first = false) {
        g_autoptr(GPtrArray) rows = hoist_view_page(view, &filter, pos, id, false, PAGE_ROWS, &error);
        if (rows == NULL)
            return cli_complain(error);
        if (rows->len == 0) {
            if (first && (o->switches & SWITCH_JSON) == 0)
                puts(o->state >= 0 ? "nothing in this state" : "the queue is empty");
            return EXIT_SUCCESS;
        }
        if ((first && !print_head(o)) || !print_page(o, rows))
            return EXIT_FAILED_FILES;
        const HoistRow *last = rows->pdata[rows->len - 1];
        pos = last->pos;
        id = last->id;
    }
}

/* ------------------------------------------------------------------ commands on rows */

typedef struct {
    HoistCommandKind kind;
    const char *name;
    const char *done;  /* "3 files queued again" */
    unsigned from, to; /* states that lose, or gain, what it does; one of them 0 */
    bool to_the_end;   /* the server is asked, too: until the queue is idle */
} RowCommand;

#define IN(state) (1u << (state))

static const RowCommand commands[] = {
    { HOIST_CMD_RETRY, "retry", "queued again", IN(HOIST_FAILED) | IN(HOIST_CANCELLED), 0, false },
    { HOIST_CMD_CANCEL, "cancel", "cancelled", 0, IN(HOIST_CANCELLED) | IN(HOIST_CANCELLING), true },
    { HOIST_CMD_PAUSE, "pause", "paused", 0, IN(HOIST_PAUSED), false },
    { HOIST_CMD_RESUME, "resume", "resumed", IN(HOIST_PAUSED), 0, false },
    { HOIST_CMD_FORGET, "forget", "removed from the list", IN(HOIST_DONE) | IN(HOIST_FAILED) | IN(HOIST_CANCELLED), 0, false },
};

static const RowCommand *row_command(HoistCommandKind kind)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++)
        if (commands[i].kind == kind)
            return &commands[i];
    g_assert_not_reached();
}

static uint64_t files_in(const HoistTotals *t, unsigned states)
{
    uint64_t n = 0;
    for (unsigned state = 0; state < HOIST_N_STATES; state++)
        n += (states & IN(state)) != 0 ? t->files[state] : 0;
    return n;
}

/* How many files changed: what left "from", or came to "to". */
static uint64_t changed(const RowCommand *rc, const HoistTotals *before, const HoistTotals *after)
{
    const uint64_t lost = files_in(before, rc->from) - MIN(files_in(after, rc->from), files_in(before, rc->from));
    const uint64_t gained = files_in(after, rc->to) - MIN(files_in(before, rc->to), files_in(after, rc->to));
    return rc->from != 0 ? lost : gained;
}

/* NULL after a complaint. */
static HoistCommand *command_of(const Options *o, const RowCommand *rc)
{
    HoistCommand *cmd = hoist_command_new(rc->kind);
    cmd->state = o->state;
    cmd->all = (o->switches & SWITCH_ALL) != 0;
    const unsigned ways = cmd->all + (o->state >= 0) + (*o->args != NULL);
    const char *wrong = ways == 1 ? NULL : "name files by ID (see hoist queue), by --state STATE, or all with --all";
    for (char **arg = o->args; *arg != NULL && wrong == NULL; arg++) {
        gint64 id;
        if (g_ascii_string_to_signed(*arg, 10, 1, INT64_MAX, &id, NULL))
            hoist_command_add_id(cmd, id);
        else
            wrong = "an ID is a number of the first column of hoist queue";
    }
    if (wrong == NULL)
        return cmd;
    cli_usage("%s: %s", rc->name, wrong);
    hoist_command_free(cmd);
    return NULL;
}

/* What retry did at once: an application was told of a file that is stored, and refused again. */
static void tell_failure(const HoistRow *row)
{
    g_autofree char *name = hoist_text(row->name != NULL ? row->name : row->path);
    g_autofree char *cause = hoist_text(row->cause != NULL ? row->cause : "");
    fprintf(stderr, "failed again %s: %s\n         %s\n", name, cause, hoist_remedy_of(row->fault));
}

/* True when the engine became idle; false when it stopped by itself or nothing is ready. */
static bool take_events(Session *s, unsigned *failed, bool *stopped)
{
    bool idle = false;
    for (HoistEvent *ev; (ev = hoist_take(s->hoist)) != NULL; hoist_event_free(ev)) {
        idle |= ev->kind == HOIST_EVENT_IDLE;
        if (ev->kind == HOIST_EVENT_ROW && ev->change == HOIST_ROW_FAILED) {
            tell_failure(ev->row);
            ++*failed;
        }
        if (ev->kind == HOIST_EVENT_FATAL) {
            g_autofree char *shown = hoist_text(ev->text);
            cli_usage("%s", shown);
            *stopped = true;
        }
    }
    return idle;
}

/* Our own engine obeys: everything else stands still meanwhile. */
static bool obeyed(Session *s, const RowCommand *rc, HoistCommand *cmd, unsigned *failed)
{
    bool stopped = false, told = !rc->to_the_end;
    hoist_send(s->hoist, cmd);
    for (const int64_t start_us = g_get_monotonic_time(); !session_interrupted() && !stopped;) {
        if (take_events(s, failed, &stopped))
            return true;
        if (!told && g_get_monotonic_time() - start_us >= PATIENCE_MS * 1000) {
            fprintf(stderr, "waiting for the server to drop what was sent; Ctrl-C leaves that to the next hoist\n");
            told = true;
        }
        session_wait(s, -1, told ? -1 : PATIENCE_MS);
    }
    return false;
}

static int by_engine(Session *s, const Options *o, const RowCommand *rc, HoistCommand *cmd, const HoistTotals *before)
{
    unsigned failed = 0;
    const bool done = obeyed(s, rc, cmd, &failed);
    session_close(s);
    g_autoptr(GError) error = NULL;
    g_autoptr(HoistView) view = hoist_view_open(o->settings, &error);
    HoistTotals after;
    if (view == NULL || !hoist_view_totals(view, &after, &error))
        return cli_complain(error);
    const uint64_t n = changed(rc, before, &after) + (rc->kind == HOIST_CMD_RETRY ? failed : 0);
    printf("%s %s\n", fmt_plural(n, "file").s, rc->done);
    if (session_interrupted())
        return EXIT_INTERRUPTED;
    const uint64_t asked = g_strv_length(o->args);
    if (asked > n)
        fprintf(stderr, HOIST_APP ": %s of the IDs cannot be %s now (see hoist queue)\n", fmt_count(asked - n).s, rc->done);
    return done && asked <= n && failed == 0 ? EXIT_SUCCESS : EXIT_FAILED_FILES;
}

static int by_inbox(const Options *o, const RowCommand *rc, HoistCommand *cmd)
{
    g_autoptr(GError) error = NULL;
    if (!hoist_send_inbox(o->settings, cmd, &error))
        return cli_complain(error);
    printf("%s: handed to the hoist that holds the queue\n", rc->name);
    return EXIT_SUCCESS;
}

static int run_row_command(const Options *o, HoistCommandKind kind)
{
    const RowCommand *rc = row_command(kind);
    HoistCommand *cmd = command_of(o, rc);
    if (cmd == NULL)
        return EXIT_USAGE;
    g_autoptr(GError) error = NULL;
    g_autoptr(HoistView) view = hoist_view_open(o->settings, &error);
    HoistTotals before;
    if (view == NULL || !hoist_view_totals(view, &before, &error)) {
        hoist_command_free(cmd);
        return cli_complain(error);
    }
    g_auto(Session) session = { NULL, -1 };
    session_init(&session);
    if (session_open(&session, o->settings, HOIST_OPEN_PAUSED | HOIST_WANT_FAILURES, &error))
        return by_engine(&session, o, rc, cmd, &before);
    if (cli_is_locked(error))
        return by_inbox(o, rc, cmd);
    hoist_command_free(cmd);
    return cli_complain(error);
}

int cli_retry(const Options *o)
{
    return run_row_command(o, HOIST_CMD_RETRY);
}

int cli_cancel(const Options *o)
{
    return run_row_command(o, HOIST_CMD_CANCEL);
}

int cli_pause(const Options *o)
{
    return run_row_command(o, HOIST_CMD_PAUSE);
}

int cli_resume(const Options *o)
{
    return run_row_command(o, HOIST_CMD_RESUME);
}

int cli_forget(const Options *o)
{
    return run_row_command(o, HOIST_CMD_FORGET);
}
