#include "fmt.h"

#include <glib.h>
#include <math.h>
#include <string.h>

static FmtText fmt(const char *format, ...) G_GNUC_PRINTF(1, 2);

static FmtText fmt(const char *format, ...)
{
    FmtText text;
    va_list args;
    va_start(args, format);
    g_vsnprintf(text.s, sizeof text.s, format, args);
    va_end(args);
    return text;
}

/* Digits after the point so that three digits stand there; below a gigabyte one of them is enough. */
static int decimals(double value, int unit)
{
    if (value >= 99.95)
        return 0;
    return value >= 9.995 || unit < 3 ? 1 : 2;
}

static FmtText with_unit(double value, const char *tail)
{
    static const char units[][3] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
    int unit = 0;
    while (value >= 999.5 && unit + 1 < (int)G_N_ELEMENTS(units)) {
        value /= 1000;
        unit++;
    }
    if (unit == 0)
        return fmt("%.0f B%s", value, tail);
    return fmt("%.*f %s%s", decimals(value, unit), value, units[unit], tail);
}

FmtText fmt_size(uint64_t bytes)
{
    return with_unit((double)bytes, "");
}

FmtText fmt_rate(double bps)
{
    return with_unit(isfinite(bps) && bps > 0 ? bps : 0, "/s");
}

FmtText fmt_time(int64_t s)
{
    const int64_t day = 24 * 3600;
    if (s < 0)
        return fmt("--");
    if (s < 3600)
        return fmt("%d:%02d", (int)(s / 60), (int)(s % 60));
    if (s < day)
        return fmt("%d:%02d:%02d", (int)(s / 3600), (int)(s / 60 % 60), (int)(s % 60));
    if (s < 100 * day)
        return fmt("%dd %02dh", (int)(s / day), (int)(s / 3600 % 24));
    return fmt(">99d");
}

FmtText fmt_took(double s)
{
    if (!isfinite(s) || s < 0)
        return fmt("--");
    if (s < 0.0995)
        return fmt("%.0f ms", s * 1000);
    if (s < 9.95)
        return fmt("%.1f s", s);
    return fmt_time((int64_t)MIN(s + 0.5, 1e12));
}

FmtText fmt_count(uint64_t n)
{
    const FmtText plain = fmt("%" G_GUINT64_FORMAT, n);
    const size_t digits = strlen(plain.s);
    FmtText text;
    size_t at = 0;
    for (size_t i = 0; i < digits; i++) {
        if (i > 0 && (digits - i) % 3 == 0)
            text.s[at++] = ',';
        text.s[at++] = plain.s[i];
    }
    text.s[at] = '\0';
    return text;
}

FmtText fmt_plural(uint64_t n, const char *noun)
{
    return fmt("%.20s %.8s%s", fmt_count(n).s, noun, n == 1 ? "" : "s");
}

FmtText fmt_percent(uint64_t part, uint64_t whole, bool done)
{
    if (done)
        return fmt("100%%");
    if (whole == 0)
        return fmt("0%%");
    const int percent = (int)floor(100.0 * (double)part / (double)whole);
    return fmt("%d%%", CLAMP(percent, 0, 99));
}

FmtText fmt_clock(int64_t ns)
{
    if (ns <= 0)
        return fmt("-");
    g_autoptr(GDateTime) when = g_date_time_new_from_unix_local(ns / 1000000000);
    g_autofree char *text = when == NULL ? NULL : g_date_time_format(when, "%H:%M:%S");
    return fmt("%s", text == NULL ? "-" : text);
}
