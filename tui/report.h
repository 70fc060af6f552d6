/* report.h - events of the engine -> lines: for people (plain), for programs (JSON), for the log. Counts what happened for the exit status.
 *
 * Pure: no clock, no output; text is appended to a GString that the caller writes. All that comes from file names, servers and libraries
 * goes through hoist_text, except in JSON, where a path or key that is not UTF-8 is given a second time as path_b64 or key_b64 (base64 of
 * its bytes). URLs are shown without their query. Formats: the manual page hoist.1, sections OUTPUT and EVENTS. One thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/hoist.h"

typedef enum {
    REPORT_PLAIN, /* done, failed, retry, skipped, notices; a line of progress at most every 10 s */
    REPORT_QUIET, /* failures, skipped files that should have been there, the summary */
    REPORT_JSON,  /* every event an object, "event" first */
    REPORT_LOG,   /* plain with date, queued and started files too, no progress */
} ReportStyle;

typedef struct {
    uint64_t done, failed, skipped, bytes; /* files and bytes of this run */
    uint64_t unreadable;                   /* of skipped: missing or unreadable, a failure */
    uint64_t waiting;                      /* files that were left in the queue when it became idle: failed, paused, unsent */
    uint64_t unsent;                       /* of waiting: queued, but their destination is paused */
    bool fatal;
    bool no_credentials; /* a file failed, or a destination waits, for want of them */
    bool misused;        /* the engine refused paths because of an option or the configuration */
} ReportCounts;

typedef struct Report Report;

Report *report_new(ReportStyle style, int64_t now_us);
void report_free(Report *r);
/* now_us: monotonic; now_ns: wall clock, for the time of a line. */
void report_event(Report *r, const HoistEvent *ev, int64_t now_us, int64_t now_ns, GString *text);
void report_summary(Report *r, int64_t now_us, int64_t now_ns, GString *text);
const ReportCounts *report_counts(const Report *r);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Report, report_free)

/* One row as JSON, as `hoist queue --json` prints it; ends with a newline. event: value of "event". */
void report_row_json(const char *event, const HoistRow *row, GString *text);
/* A destination of the configuration, as `hoist dests` prints it; what became of DEST/KEY, as `hoist rm` does. As lines, or as JSON. */
void report_dest(const HoistDest *dest, bool json, GString *text);
void report_removed(const char *dest_key, bool was_there, const GError *error, bool json, GString *text);
/* One line of `hoist doctor`, and its remedy below it; or JSON. */
void report_check(const HoistCheck *check, bool json, GString *text);
/* Path and size of a file that a dry run found. */
void report_planned(ReportStyle style, const HoistRow *row, GString *text);
void report_planned_summary(ReportStyle style, const HoistTotals *totals, GString *text);
