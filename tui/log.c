#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <stdio.h>
#include <unistd.h>

#include "report.h"

struct Log {
    FILE *file;
    Report *report;
};

static int64_t wall_ns(void)
{
    return g_get_real_time() * 1000;
}

Log *log_open(const HoistSettings *settings, GError **error)
{
    const char *path = hoist_settings_get(settings, "log");
    if (path == NULL)
        return NULL;
    const int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    FILE *file = fd >= 0 ? fdopen(fd, "a") : NULL;
    if (file == NULL) {
        const int why = errno;
        g_autofree char *shown = hoist_text(path);
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(why), "--log: %s: %s", shown, g_strerror(why));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    Log *log = g_new0(Log, 1);
    log->file = file;
    log->report = report_new(REPORT_LOG, g_get_monotonic_time());
    return log;
}

static void log_write(Log *log, const GString *text)
{
    if (log->file == NULL || text->len == 0)
        return;
    if (fwrite(text->str, 1, text->len, log->file) == text->len && fflush(log->file) == 0)
        return;
    fclose(log->file);
    log->file = NULL;
}

void log_event(Log *log, const HoistEvent *ev)
{
    if (log == NULL)
        return;
    g_autoptr(GString) text = g_string_new(NULL);
    report_event(log->report, ev, g_get_monotonic_time(), wall_ns(), text);
    log_write(log, text);
}

void log_close(Log *log)
{
    if (log == NULL)
        return;
    g_autoptr(GString) text = g_string_new(NULL);
    report_summary(log->report, g_get_monotonic_time(), wall_ns(), text);
    log_write(log, text);
    if (log->file != NULL)
        fclose(log->file);
    report_free(log->report);
    g_free(log);
}
