/* log.h - the file of --log: one line an event, with date, never a secret. Lines are those of report.h, style REPORT_LOG.
 * A log that cannot be written any more (disk full) is left alone; uploads go on. One thread. */
#pragma once

#include "core/hoist.h"

typedef struct Log Log;

/* NULL without an error when no log is wanted. Appends; made with mode 0600. */
Log *log_open(const HoistSettings *settings, GError **error);
void log_event(Log *log, const HoistEvent *ev); /* log may be NULL */
void log_close(Log *log);                       /* writes the summary */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Log, log_close)
