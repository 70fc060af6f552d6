#include "report.h"

#include <string.h>

#include "fmt.h"
#include "jsonline.h"
#include "words.h"

#define PROGRESS_EVERY_US (10 * G_USEC_PER_SEC)

struct Report {
    ReportStyle style;
    int64_t started_us, progress_us;
    uint64_t queued;    /* files seen to be queued in this run */
    uint64_t gone;      /* cancelled and skipped in this run */
    HoistTotals totals; /* latest */
    uint64_t gone_then; /* when these came */
    ReportCounts counts;
    char *stop, *stop_remedy; /* last notice with a fault: why things may stand still */
};

Report *report_new(ReportStyle style, int64_t now_us)
{
    Report *r = g_new0(Report, 1);
    r->style = style;
    r->started_us = r->progress_us = now_us;
    return r;
}

void report_free(Report *r)
{
    if (r == NULL)
        return;
    g_free(r->stop);
    g_free(r->stop_remedy);
    g_free(r);
}

const ReportCounts *report_counts(const Report *r)
{
    return &r->counts;
}

/* ------------------------------------------------------------------ JSON */

static void add_fault(JsonBuilder *json, const char *name, const char *cause, const char *remedy)
{
    if (name == NULL)
        return;
    json_builder_set_member_name(json, "fault");
    json_builder_begin_object(json);
    jsonline_text(json, "name", name);
    jsonline_text(json, "cause", cause);
    jsonline_text(json, "remedy", remedy != NULL ? remedy : hoist_remedy_of(name));
    json_builder_end_object(json);
}

static const char *const change_names[] = {
    [HOIST_ROW_QUEUED] = "queued", [HOIST_ROW_PREPARED] = "prepared", [HOIST_ROW_STARTED] = "started", [HOIST_ROW_PROGRESS] = "progress",
    [HOIST_ROW_RETRY] = "retry",   [HOIST_ROW_DONE] = "done",         [HOIST_ROW_FAILED] = "failed",   [HOIST_ROW_STATE] = "state",
};

static void add_object(JsonBuilder *json, const HoistObject *o)
{
    json_builder_begin_object(json);
    jsonline_text(json, "name", o->name);
    jsonline_bytes(json, "key", o->key);
    jsonline_text(json, "url", o->url);
    jsonline_text(json, "etag", o->etag);
    jsonline_text(json, "checksum", o->checksum);
    jsonline_text(json, "version", o->version);
    jsonline_number(json, "bytes", (int64_t)o->bytes);
    jsonline_text(json, "recipe", o->recipe);
    if (o->done)
        jsonline_text(json, "verified", hoist_verified_text(o->verified));
    jsonline_bool(json, "done", o->done);
    json_builder_end_object(json);
}

/* When it is more than one; else the row says it all. */
static void add_objects(JsonBuilder *json, const HoistRow *row)
{
    if (row->n_objects == 0)
        return;
    json_builder_set_member_name(json, "objects");
    json_builder_begin_array(json);
    for (unsigned i = 0; i < row->n_objects; i++)
        add_object(json, &row->objects[i]);
    json_builder_end_array(json);
}

static void add_done(JsonBuilder *json, const HoistRow *row)
{
    jsonline_bytes(json, "key", row->key);
    jsonline_text(json, "url", row->url);
    jsonline_text(json, "etag", row->etag);
    jsonline_text(json, "checksum", row->checksum);
    jsonline_text(json, "version", row->version);
    jsonline_number(json, "bytes", (int64_t)row->bytes);
    jsonline_text(json, "verified", hoist_verified_text(row->verified));
    add_objects(json, row);
}

static void json_row(const HoistRow *row, HoistRowChange change, GString *text)
{
    g_autoptr(JsonBuilder) json = jsonline_new(change_names[change]);
    jsonline_number(json, "id", row->id);
    jsonline_bytes(json, "path", row->path);
    switch (change) {
    case HOIST_ROW_QUEUED:
    case HOIST_ROW_STARTED:
        jsonline_number(json, "bytes", (int64_t)row->bytes);
        break;
    case HOIST_ROW_PREPARED:
        jsonline_number(json, "source_bytes", (int64_t)row->source_bytes);
        jsonline_number(json, "bytes", (int64_t)row->bytes);
        jsonline_text(json, "recipe", row->recipe);
        add_objects(json, row);
        jsonline_text(json, "note", row->note);
        break;
    case HOIST_ROW_PROGRESS:
        jsonline_number(json, "acked", (int64_t)row->acked_bytes);
        jsonline_number(json, "sent", (int64_t)row->sent_bytes);
        jsonline_number(json, "bytes", (int64_t)row->bytes);
        jsonline_number(json, "bps", (int64_t)row->bps);
        break;
    case HOIST_ROW_RETRY:
        jsonline_number(json, "attempt", row->tries);
        jsonline_number(json, "in_ms", row->retry_in_ms);
        add_fault(json, row->fault, row->cause, row->remedy);
        break;
    case HOIST_ROW_DONE:
        add_done(json, row);
        jsonline_text(json, "recipe", row->recipe);
        jsonline_text(json, "note", row->note);
        break;
    case HOIST_ROW_FAILED:
        add_fault(json, row->fault, row->cause, row->remedy);
        break;
    case HOIST_ROW_STATE:
        jsonline_text(json, "state", hoist_state_name(row->state));
        break;
    }
    jsonline_end(json, text);
}

static void json_event(const Report *r, const HoistEvent *ev, GString *text)
{
    g_autoptr(JsonBuilder) json = NULL;
    (void)r;
    switch (ev->kind) {
    case HOIST_EVENT_ROW:
        json_row(ev->row, ev->change, text);
        return;
    case HOIST_EVENT_SKIPPED:
        json = jsonline_new("skipped");
        jsonline_bytes(json, "path", ev->path);
        add_fault(json, ev->fault, ev->text, NULL);
        break;
    case HOIST_EVENT_NOTICE:
    case HOIST_EVENT_FATAL:
        json = jsonline_new(ev->kind == HOIST_EVENT_FATAL ? "fatal" : "notice");
        jsonline_text(json, "text", ev->text);
        add_fault(json, ev->fault, ev->text, NULL);
        break;
    case HOIST_EVENT_TOTALS:
    case HOIST_EVENT_PREVIEW:
    case HOIST_EVENT_LIST:
    case HOIST_EVENT_IDLE:
    case HOIST_EVENT_PICTURE:
        return;
    }
    jsonline_end(json, text);
}

void report_row_json(const char *event, const HoistRow *row, GString *text)
{
    g_autoptr(JsonBuilder) json = jsonline_new(event);
    jsonline_number(json, "id", row->id);
    jsonline_text(json, "state", hoist_state_name(row->state));
    jsonline_bytes(json, "path", row->path);
    jsonline_bytes(json, "name", row->name);
    jsonline_text(json, "dest", row->dest);
    jsonline_number(json, "source_bytes", (int64_t)row->source_bytes);
    jsonline_number(json, "acked", (int64_t)row->acked_bytes);
    add_done(json, row);
    jsonline_text(json, "recipe", row->recipe);
    jsonline_text(json, "note", row->note);
    add_fault(json, row->fault, row->cause, row->remedy);
    jsonline_end(json, text);
}

/* ------------------------------------------------------------------ plain */

static void begin_line(const Report *r, int64_t now_ns, GString *text)
{
    if (r->style == REPORT_LOG) {
        g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(now_ns / 1000000000);
        g_autofree char *stamp = time != NULL ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ") : NULL;
        g_string_append(text, stamp != NULL ? stamp : "-");
    } else {
        g_string_append(text, fmt_clock(now_ns).s);
    }
}

static void add_shown(GString *text, const char *bytes)
{
    g_autofree char *shown = hoist_text(bytes != NULL ? bytes : "");
    g_string_append_printf(text, " %s", shown);
}

static void add_remedy(GString *text, const char *fault, const char *remedy)
{
    if (remedy == NULL && fault != NULL)
        remedy = hoist_remedy_of(fault);
    if (remedy == NULL || *remedy == '\0')
        return;
    g_string_append(text, "        ");
    add_shown(text, remedy);
    g_string_append_c(text, '\n');
}

static uint64_t open_files(const HoistTotals *t)
{
    return t->files[HOIST_QUEUED] + t->files[HOIST_PREPARING] + t->files[HOIST_ACTIVE] + t->files[HOIST_COMPLETING];
}

static uint64_t open_bytes(const HoistTotals *t)
{
    return t->bytes[HOIST_QUEUED] + t->bytes[HOIST_PREPARING] + t->bytes[HOIST_ACTIVE] + t->bytes[HOIST_COMPLETING];
}

/* "3/120": how many files of this run are over, of how many that are known by now. */
static void add_place(const Report *r, GString *text)
{
    const uint64_t over = r->counts.done + r->counts.failed + r->gone;
    const uint64_t by_totals = r->totals.run_done + r->totals.run_failed + r->gone_then + open_files(&r->totals);
    const uint64_t all = MAX(MAX(r->queued, by_totals), over);
    g_string_append_printf(text, " %" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT, over, all);
}

static void plain_done(const Report *r, const HoistRow *row, GString *text)
{
    const double seconds = (double)(row->done_ns - row->started_ns) / 1e9;
    g_string_append(text, " done");
    add_place(r, text);
    add_shown(text, row->name);
    g_string_append_printf(text, " %s", fmt_size(row->bytes).s);
    if (row->started_ns > 0 && seconds > 0)
        g_string_append_printf(text, " %s", fmt_rate((double)row->bytes / seconds).s);
    add_shown(text, row->url != NULL ? row->url : row->key);
    if (row->n_objects > 1)
        g_string_append_printf(text, " and %s other object%s", fmt_count(row->n_objects - 1).s, row->n_objects == 2 ? "" : "s");
    g_string_append_printf(text, " (%s", hoist_verified_text(row->verified));
    if (row->note != NULL) {
        g_string_append_c(text, ';');
        add_shown(text, row->note);
    }
    g_string_append(text, ")\n");
}

static void plain_failed(const Report *r, const HoistRow *row, GString *text)
{
    g_string_append(text, " failed");
    add_place(r, text);
    add_shown(text, row->name);
    g_string_append_c(text, ':');
    add_shown(text, row->cause != NULL ? row->cause : row->fault);
    g_string_append_c(text, '\n');
    add_remedy(text, row->fault, row->remedy);
}

static void plain_retry(const HoistRow *row, GString *text)
{
    g_string_append(text, " retry");
    add_shown(text, row->name);
    g_string_append_c(text, ':');
    add_shown(text, row->cause != NULL ? row->cause : row->fault);
    if (row->retry_in_ms >= 0)
        g_string_append_printf(text, "; next try in %" G_GINT64_FORMAT " s", (row->retry_in_ms + 999) / 1000);
    if (row->max_tries > 0)
        g_string_append_printf(text, " (%u of %u)", row->tries, row->max_tries);
    g_string_append_c(text, '\n');
}

static void plain_row(const Report *r, const HoistEvent *ev, int64_t now_ns, GString *text)
{
    const HoistRow *row = ev->row;
    const bool quiet = r->style == REPORT_QUIET, log = r->style == REPORT_LOG;
    if (ev->change == HOIST_ROW_PROGRESS || (quiet && ev->change != HOIST_ROW_FAILED))
        return;
    if (ev->change == HOIST_ROW_STATE && words_skipped(row)) /* told already, with the reason */
        return;
    if (!log && (ev->change == HOIST_ROW_QUEUED || ev->change == HOIST_ROW_STARTED || ev->change == HOIST_ROW_PREPARED))
        return;
    begin_line(r, now_ns, text);
    if (ev->change == HOIST_ROW_DONE) {
        plain_done(r, row, text);
    } else if (ev->change == HOIST_ROW_FAILED) {
        plain_failed(r, row, text);
    } else if (ev->change == HOIST_ROW_RETRY) {
        plain_retry(row, text);
    } else {
        g_string_append_printf(text, " %s", ev->change == HOIST_ROW_STATE ? hoist_state_name(row->state) : change_names[ev->change]);
        add_shown(text, row->name);
        g_string_append_printf(text, " %s\n", fmt_size(row->bytes).s);
    }
}

static void plain_progress(Report *r, int64_t now_us, int64_t now_ns, GString *text)
{
    const HoistTotals *t = &r->totals;
    if (r->style != REPORT_PLAIN || now_us - r->progress_us < PROGRESS_EVERY_US || (open_files(t) == 0 && !t->scanning))
        return;
    r->progress_us = now_us;
    const uint64_t all = t->run_bytes + open_bytes(t);
    const uint64_t sent = MIN(t->run_bytes + t->acked_bytes, all);
    const bool sends = t->preparing == 0 || t->active > 0;
    begin_line(r, now_ns, text);
    if (sends)
        g_string_append_printf(text, " %s", fmt_percent(sent, all, false).s);
    else
        g_string_append_printf(text, " preparing %s,", fmt_plural(t->preparing, "picture").s);
    add_place(r, text);
    g_string_append_printf(text, " files, %s of %s", fmt_size(sent).s, fmt_size(all).s);
    if (sends)
        g_string_append_printf(text, ", %s", fmt_rate(t->bps).s);
    if (t->scanning)
        g_string_append(text, ", still looking for files");
    else if (sends && t->eta_s >= 0)
        g_string_append_printf(text, ", %s left", fmt_time(t->eta_s).s);
    g_string_append_c(text, '\n');
}

static void plain_skipped(const Report *r, const HoistEvent *ev, int64_t now_ns, GString *text)
{
    if (r->style == REPORT_QUIET && ev->number != 0)
        return;
    begin_line(r, now_ns, text);
    g_string_append(text, " skipped");
    add_shown(text, ev->path);
    g_string_append_c(text, ':');
    add_shown(text, ev->text);
    g_string_append_c(text, '\n');
    if (ev->number == 0)
        add_remedy(text, ev->fault, NULL);
}

static void plain_notice(const Report *r, const HoistEvent *ev, int64_t now_ns, GString *text)
{
    if (r->style == REPORT_QUIET && ev->fault == NULL)
        return;
    begin_line(r, now_ns, text);
    g_string_append(text, ev->kind == HOIST_EVENT_FATAL ? " stopped:" : " notice");
    add_shown(text, ev->text);
    g_string_append_c(text, '\n');
    if (ev->fault != NULL)
        add_remedy(text, ev->fault, NULL);
}

static void plain_event(Report *r, const HoistEvent *ev, int64_t now_us, int64_t now_ns, GString *text)
{
    switch (ev->kind) {
    case HOIST_EVENT_ROW:
        plain_row(r, ev, now_ns, text);
        break;
    case HOIST_EVENT_TOTALS:
        plain_progress(r, now_us, now_ns, text);
        break;
    case HOIST_EVENT_SKIPPED:
        plain_skipped(r, ev, now_ns, text);
        break;
    case HOIST_EVENT_NOTICE:
    case HOIST_EVENT_FATAL:
        plain_notice(r, ev, now_ns, text);
        break;
    case HOIST_EVENT_PREVIEW:
    case HOIST_EVENT_LIST:
    case HOIST_EVENT_IDLE:
    case HOIST_EVENT_PICTURE:
        break;
    }
}

/* ------------------------------------------------------------------ counts */

static void count_row(Report *r, const HoistEvent *ev)
{
    r->queued += ev->change == HOIST_ROW_QUEUED;
    r->gone += ev->change == HOIST_ROW_STATE && ev->row->state == HOIST_CANCELLED;
    if (ev->change == HOIST_ROW_DONE && r->style != REPORT_QUIET) {
        r->counts.done++;
        r->counts.bytes += ev->row->bytes;
    } else if (ev->change == HOIST_ROW_FAILED) {
        r->counts.failed++;
        r->counts.no_credentials |= g_strcmp0(ev->row->fault, "no-credentials") == 0;
    }
}

static void count(Report *r, const HoistEvent *ev)
{
    if (ev->kind == HOIST_EVENT_ROW) {
        count_row(r, ev);
    } else if (ev->kind == HOIST_EVENT_TOTALS) {
        r->totals = *ev->totals;
        r->gone_then = r->gone;
        if (r->style == REPORT_QUIET) { /* no row is told of a file that arrived */
            r->counts.done = r->totals.run_done;
            r->counts.bytes = r->totals.run_bytes;
        }
    } else if (ev->kind == HOIST_EVENT_SKIPPED) {
        r->counts.skipped++;
        r->counts.unreadable += ev->number == 0;
    } else if (ev->kind == HOIST_EVENT_IDLE) {
        r->counts.waiting = (uint64_t)MAX(ev->number, 0);
        r->counts.unsent = r->totals.files[HOIST_QUEUED];
    }
    r->counts.fatal |= ev->kind == HOIST_EVENT_FATAL;
    if ((ev->kind == HOIST_EVENT_NOTICE || ev->kind == HOIST_EVENT_FATAL) && ev->fault != NULL) {
        g_free(r->stop);
        g_free(r->stop_remedy);
        r->counts.no_credentials |= g_str_equal(ev->fault, "no-credentials");
        r->counts.misused |= g_str_equal(ev->fault, "usage") || g_str_equal(ev->fault, "configuration");
        r->stop = g_strdup(ev->text);
        r->stop_remedy = g_strdup(hoist_remedy_of(ev->fault));
    }
}

void report_event(Report *r, const HoistEvent *ev, int64_t now_us, int64_t now_ns, GString *text)
{
    count(r, ev);
    if (r->style == REPORT_JSON)
        json_event(r, ev, text);
    else
        plain_event(r, ev, now_us, now_ns, text);
}

static void json_summary(const Report *r, double seconds, GString *text)
{
    g_autoptr(JsonBuilder) json = jsonline_new("summary");
    jsonline_number(json, "done", (int64_t)r->counts.done);
    jsonline_number(json, "failed", (int64_t)r->counts.failed);
    jsonline_number(json, "skipped", (int64_t)r->counts.skipped);
    jsonline_number(json, "bytes", (int64_t)r->counts.bytes);
    jsonline_end_seconds(json, seconds, text);
}

void report_summary(Report *r, int64_t now_us, int64_t now_ns, GString *text)
{
    const double seconds = (double)(now_us - r->started_us) / G_USEC_PER_SEC;
    const ReportCounts *c = &r->counts;
    if (r->style == REPORT_JSON) {
        json_summary(r, seconds, text);
        return;
    }
    const uint64_t stuck = c->waiting > c->failed ? c->waiting - c->failed : 0;
    if (stuck > 0 && r->stop != NULL && r->style != REPORT_LOG) {
        begin_line(r, now_ns, text);
        g_string_append(text, " stopped:");
        add_shown(text, r->stop);
        g_string_append_c(text, '\n');
        add_remedy(text, NULL, r->stop_remedy);
    }
    begin_line(r, now_ns, text);
    g_string_append_printf(text, " %s done, %s failed, %s skipped: %s in %s", fmt_plural(c->done, "file").s, fmt_count(c->failed).s,
                           fmt_count(c->skipped).s, fmt_size(c->bytes).s, fmt_time((int64_t)(seconds + 0.5)).s);
    if (seconds >= 1 && c->bytes > 0)
        g_string_append_printf(text, " (%s)", fmt_rate((double)c->bytes / seconds).s);
    if (stuck > 0)
        g_string_append_printf(text, "; %s in the queue wait for you", fmt_count(stuck).s);
    g_string_append_c(text, '\n');
    if (c->failed + stuck > 0 && r->style != REPORT_LOG)
        g_string_append(text, "         hoist queue shows them, hoist retry --all queues the failed ones again\n");
}

/* ------------------------------------------------------------------ dry run */

void report_planned(ReportStyle style, const HoistRow *row, GString *text)
{
    if (style == REPORT_JSON) {
        g_autoptr(JsonBuilder) json = jsonline_new("planned");
        jsonline_bytes(json, "path", row->path);
        jsonline_bytes(json, "key", row->key);
        jsonline_text(json, "dest", row->dest);
        jsonline_number(json, "bytes", (int64_t)row->bytes);
        jsonline_end(json, text);
    } else if (style != REPORT_QUIET) {
        g_string_append_printf(text, "%8s", fmt_size(row->bytes).s);
        add_shown(text, row->path);
        g_string_append(text, " ->");
        add_shown(text, row->key);
        g_string_append_c(text, '\n');
    }
}

void report_planned_summary(ReportStyle style, const HoistTotals *totals, GString *text)
{
    const uint64_t files = totals->files[HOIST_QUEUED], bytes = totals->bytes[HOIST_QUEUED];
    if (style == REPORT_JSON) {
        g_autoptr(JsonBuilder) json = jsonline_new("summary");
        jsonline_number(json, "planned", (int64_t)files);
        jsonline_number(json, "skipped", (int64_t)totals->skipped);
        jsonline_number(json, "bytes", (int64_t)bytes);
        jsonline_end(json, text);
    } else {
        g_string_append_printf(text, "%s, %s would be sent, %s skipped; nothing was sent\n", fmt_plural(files, "file").s, fmt_size(bytes).s,
                               fmt_count(totals->skipped).s);
    }
}

/* ------------------------------------------------------------------ destinations without the queue */

static void dest_json(const HoistDest *dest, GString *text)
{
    g_autoptr(JsonBuilder) json = jsonline_new("dest");
    jsonline_text(json, "name", dest->name);
    jsonline_text(json, "to", dest->to);
    jsonline_text(json, "scheme", dest->scheme);
    jsonline_text(json, "endpoint", dest->endpoint);
    jsonline_bool(json, "ready", dest->ready);
    jsonline_text(json, "missing", dest->missing);
    jsonline_text(json, "warning", dest->warning);
    jsonline_end(json, text);
}

void report_dest(const HoistDest *dest, bool json, GString *text)
{
    if (json) {
        dest_json(dest, text);
        return;
    }
    g_autofree char *name = hoist_text(dest->name), *to = hoist_text(dest->to != NULL ? dest->to : "");
    g_autofree char *missing = hoist_text(dest->missing != NULL ? dest->missing : ""),
                    *warning = hoist_text(dest->warning ? dest->warning : "");
    const bool elsewhere = dest->endpoint != NULL && (dest->to == NULL || strstr(dest->to, dest->endpoint) == NULL);
    g_string_append_printf(text, "%-12s  %s%s%s  %s%s%s%s\n", name, to, elsewhere ? " at " : "", elsewhere ? dest->endpoint : "",
                           dest->ready ? "ready" : "NOT READY: ", missing, *warning != '\0' ? "; " : "", warning);
}

void report_removed(const char *dest_key, bool was_there, const GError *error, bool json, GString *text)
{
    const char *event = error != NULL ? "failed" : was_there ? "removed" : "absent";
    if (json) {
        g_autoptr(JsonBuilder) object = jsonline_new(event);
        jsonline_bytes(object, "object", dest_key);
        add_fault(object, error != NULL ? hoist_fault_name(error) : NULL, error != NULL ? error->message : NULL, NULL);
        jsonline_end(object, text);
        return;
    }
    g_autofree char *shown = hoist_text(dest_key), *cause = hoist_text(error != NULL ? error->message : "");
    if (error == NULL)
        g_string_append_printf(text, "%s %s\n", was_there ? "removed" : "not there", shown);
    else
        g_string_append_printf(text, "failed %s: %s\n       %s\n", shown, cause, hoist_fault_remedy(error));
}

void report_check(const HoistCheck *check, bool json, GString *text)
{
    static const char *const states[] = { [HOIST_CHECK_OK] = "ok", [HOIST_CHECK_WARN] = "warn", [HOIST_CHECK_BAD] = "bad" };
    if (json) {
        g_autoptr(JsonBuilder) object = jsonline_new("check");
        jsonline_text(object, "name", check->name);
        jsonline_text(object, "state", states[check->state]);
        jsonline_bytes(object, "text", check->text);
        jsonline_text(object, "remedy", check->remedy);
        jsonline_end(object, text);
        return;
    }
    g_autofree char *shown = hoist_text(check->text);
    g_string_append_printf(text, "%-4s  %-14s  %s\n", states[check->state], check->name, shown);
    if (check->remedy != NULL)
        g_string_append_printf(text, "%22s%s\n", "", check->remedy);
}
