#include "trend.h"

#include <glib.h>
#include <math.h>

enum { MERGE_US = 400 * 1000 };

void trend_add(Trend *t, double bps, int64_t now_us)
{
    if (!isfinite(bps) || bps < 0)
        bps = 0;
    if (t->count > 0 && now_us - t->last_us < MERGE_US) {
        double *last = &t->bps[(t->count - 1) % TREND_SAMPLES];
        *last = MAX(*last, bps);
        return;
    }
    t->bps[t->count++ % TREND_SAMPLES] = bps;
    t->last_us = now_us;
}

static uint64_t oldest(const Trend *t)
{
    return t->count > TREND_SAMPLES ? t->count - TREND_SAMPLES : 0;
}

unsigned trend_columns(const Trend *t, unsigned columns, double *out)
{
    const uint64_t kept = t->count - oldest(t);
    if (columns == 0 || kept == 0)
        return 0;
    const uint64_t per = MAX((kept + columns - 1) / columns, 1);
    const uint64_t last = (t->count - 1) / per;
    const uint64_t first = MAX(oldest(t) / per, last + 1 > columns ? last + 1 - columns : 0);
    for (uint64_t column = first; column <= last; column++)
        out[column - first] = 0;
    for (uint64_t i = MAX(oldest(t), first * per); i < t->count; i++)
        out[i / per - first] = MAX(out[i / per - first], t->bps[i % TREND_SAMPLES]);
    return (unsigned)(last - first + 1);
}

double trend_peak(const Trend *t)
{
    double peak = 0;
    for (uint64_t i = oldest(t); i < t->count; i++)
        peak = MAX(peak, t->bps[i % TREND_SAMPLES]);
    return peak;
}

static double nice_step(double value)
{
    const double power = pow(10, floor(log10(value)));
    for (int i = 0; i < 3; i++) {
        static const double steps[] = { 1, 2, 5 };
        if (value <= steps[i] * power * 1.0000001)
            return steps[i] * power;
    }
    return 10 * power;
}

double trend_top(Trend *t)
{
    const double peak = trend_peak(t);
    if (peak <= 0)
        return 0;
    if (peak > t->top || peak < t->top / 2)
        t->top = nice_step(peak);
    return t->top;
}
