#include "rate.h"

#include <glib.h>
#include <math.h>

enum { DISPLAY_S = 5, LEFT_S = 30, LEAST_DATA_S = 3 };
static const double US = 1e6;
static const double STALLED_SHARE = 0.05; /* display rate this far below the long one: nothing moves any more */

static const int64_t STEP_US = 2 * G_USEC_PER_SEC;  /* between two steps up: long enough for the meter to notice */
static const int64_t STAY_US = 30 * G_USEC_PER_SEC; /* after a step that did not pay, and after SlowDown */
static const int64_t STORM_US = 5 * G_USEC_PER_SEC;
static const double PAYS = 1.05;

/* ---- meter ---- */

/* The weight that makes an exponential mean right from its first value on (no start at zero to recover from). */
static double corrected_weight(double dt_s, double elapsed_s, double constant_s)
{
    return -expm1(-dt_s / constant_s) / -expm1(-elapsed_s / constant_s);
}

void rate_feed(RateMeter *m, uint64_t total_bytes, int64_t now_us)
{
    if (!m->begun) {
        *m = (RateMeter){ .begun = true, .last_us = now_us, .begun_us = now_us, .last_bytes = total_bytes };
        return;
    }
    if (now_us <= m->last_us)
        return;
    const double dt_s = (double)(now_us - m->last_us) / US, elapsed_s = (double)(now_us - m->begun_us) / US;
    const double bps = total_bytes > m->last_bytes ? (double)(total_bytes - m->last_bytes) / dt_s : 0;
    m->bps_5s += (bps - m->bps_5s) * corrected_weight(dt_s, elapsed_s, DISPLAY_S);
    m->bps_30s += (bps - m->bps_30s) * corrected_weight(dt_s, elapsed_s, LEFT_S);
    m->last_us = now_us;
    m->last_bytes = total_bytes;
}

double rate_bps(const RateMeter *m)
{
    return m->bps_5s;
}

int64_t rate_eta_s(const RateMeter *m, uint64_t left_bytes, int64_t now_us)
{
    if (left_bytes == 0)
        return 0;
    if (!m->begun || m->last_us - m->begun_us < LEAST_DATA_S * G_USEC_PER_SEC)
        return -1;
    const double silent_s = (double)MAX(now_us - m->last_us, 0) / US;
    const double shown = m->bps_5s * exp(-silent_s / DISPLAY_S), usual = m->bps_30s * exp(-silent_s / LEFT_S);
    if (shown < 1 || shown < usual * STALLED_SHARE)
        return -1;
    const double left_s = ceil((double)left_bytes / usual);
    return left_s < (double)INT64_MAX ? (int64_t)left_s : -1;
}

/* ---- bucket ---- */

static double bucket_depth(const RateBucket *b)
{
    return MAX((double)b->limit_bps / 10, 64.0 * 1024);
}

static double bucket_now(const RateBucket *b, int64_t now_us)
{
    const double earned = (double)MAX(now_us - b->last_us, 0) / US * (double)b->limit_bps;
    return MIN(b->tokens + earned, bucket_depth(b));
}

void bucket_init(RateBucket *b, uint64_t limit_bps, int64_t now_us)
{
    *b = (RateBucket){ .limit_bps = limit_bps, .last_us = now_us };
    b->tokens = bucket_depth(b);
}

void bucket_set_limit(RateBucket *b, uint64_t limit_bps, int64_t now_us)
{
    const double saved = bucket_now(b, now_us);
    b->limit_bps = limit_bps;
    b->tokens = MIN(saved, bucket_depth(b));
    b->last_us = now_us;
}

uint64_t bucket_take(RateBucket *b, uint64_t wanted, int64_t now_us)
{
    if (b->limit_bps == 0)
        return wanted;
    b->tokens = bucket_now(b, now_us);
    b->last_us = MAX(now_us, b->last_us);
    const uint64_t given = MIN(wanted, (uint64_t)b->tokens);
    b->tokens -= (double)given;
    return given;
}

int64_t bucket_wait_us(const RateBucket *b, uint64_t wanted, int64_t now_us)
{
    if (b->limit_bps == 0)
        return 0;
    const double missing = MIN((double)wanted, bucket_depth(b)) - bucket_now(b, now_us);
    return missing > 0 ? (int64_t)ceil(missing / (double)b->limit_bps * US) : 0;
}

/* ---- back-off ---- */

int64_t backoff_ms(unsigned tries, int64_t base_ms, int64_t cap_ms, int64_t retry_after_ms, double random01)
{
    int64_t most_ms = base_ms;
    for (unsigned i = 0; i < tries && most_ms < cap_ms; i++)
        most_ms = most_ms > INT64_MAX / 2 ? INT64_MAX : most_ms * 2;
    most_ms = MIN(most_ms, cap_ms);
    const int64_t ms = MIN((int64_t)(random01 * ((double)most_ms + 1)), most_ms);
    return MAX(ms, retry_after_ms);
}

/* ---- -j auto ---- */

void jobs_init(JobsControl *c, unsigned fixed_or_0, unsigned start, unsigned max)
{
    *c = (JobsControl){ .fixed = fixed_or_0 != 0, .min = 1, .max = MAX(max, 1), .slowed_us = INT64_MIN };
    if (c->fixed)
        c->max = fixed_or_0;
    c->now = c->fixed ? fixed_or_0 : CLAMP(start, c->min, c->max);
}

static void jobs_try_more(JobsControl *c, double bps, int64_t now_us)
{
    const unsigned to = MIN(c->now + MAX(c->now / 4, 1), c->max);
    c->direction = (int)(to - c->now);
    c->best_bps = bps;
    c->now = to;
    c->next_us = now_us + STEP_US;
}

/* What the person said is a ceiling: after a SlowDown the way back to it is one at a time. */
static void jobs_return(JobsControl *c, int64_t now_us)
{
    if (c->now < c->max) {
        c->now++;
        c->next_us = now_us + STEP_US;
    }
}

void jobs_feed(JobsControl *c, double bps, unsigned busy, int64_t now_us)
{
    if (c->next_us == 0)
        c->next_us = now_us + STEP_US; /* the first figure that counts needs its time too */
    if (now_us < c->next_us)
        return;
    if (c->fixed) {
        jobs_return(c, now_us);
        return;
    }
    if (busy < c->now) {
        c->next_us = now_us + STEP_US;
        return;
    }
    if (c->direction == 0 || bps > c->best_bps * PAYS) {
        jobs_try_more(c, bps, now_us);
        return;
    }
    c->now = MAX(c->now - (unsigned)c->direction, c->min);
    c->direction = 0;
    c->next_us = now_us + STAY_US;
}

void jobs_slow_down(JobsControl *c, int64_t now_us)
{
    if (c->slowed_us != INT64_MIN && now_us - c->slowed_us < STORM_US)
        return;
    c->now = MAX(c->now / 2, c->min);
    c->direction = 0;
    c->best_bps = 0;
    c->slowed_us = now_us;
    c->next_us = now_us + STAY_US;
}
