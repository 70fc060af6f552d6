#include "words.h"

#include "fmt.h"

bool words_skipped(const HoistRow *row)
{
    return row->state == HOIST_CANCELLED && row->note != NULL && g_str_has_prefix(row->note, "skipped: ");
}

bool words_fell_back(const HoistRow *row)
{
    return row->note != NULL && g_str_has_prefix(row->note, "sent as it is");
}

static char *log_done(const HoistRow *row, const char *name, LineKind *kind_out)
{
    const double took_s = row->started_ns > 0 ? (double)(row->done_ns - row->started_ns) / 1e9 : -1;
    const bool fell_back = words_fell_back(row);
    g_autofree char *note = hoist_text(fell_back ? row->note : "");
    *kind_out = fell_back ? LINE_WARN : LINE_GOOD;
    return g_strdup_printf("done    %s  %s in %s%s%s", name, fmt_size(row->bytes).s, fmt_took(took_s).s, fell_back ? "  " : "", note);
}

char *words_log(const HoistRow *row, HoistRowChange change, LineKind *kind_out)
{
    g_autofree char *name = hoist_text(row->name);
    g_autofree char *cause = hoist_text(row->cause);
    if (change == HOIST_ROW_DONE)
        return log_done(row, name, kind_out);
    if (change == HOIST_ROW_FAILED) {
        *kind_out = LINE_BAD;
        return g_strdup_printf("failed  %s  %s", name, cause);
    }
    if (change == HOIST_ROW_RETRY) {
        *kind_out = LINE_WARN;
        return g_strdup_printf("retry   %s  %s; try %u of %u in %s", name, cause, row->tries + 1, row->max_tries,
                               fmt_took((double)MAX(row->retry_in_ms, 0) / 1000).s);
    }
    return NULL;
}
