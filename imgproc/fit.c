#include "fit.h"

#include <math.h>

enum {
    POINTS_MAX = 5, /* samples of one size */
    NEAR = 2,       /* steps of quality; between, log(bytes) is a line */
    RESIZES_MAX = 6,
    TRIES_MAX = 3, /* of one of them */
};

static const double aim_first = 0.94;  /* of the limit: a guess by the sample is that good, nearly always */
static const double aim_again = 0.985; /* after an encode close by */
static const double near_enough = 0.86;
static const double slope = 1.0 / 45; /* of log(bytes) over quality, until a second sample tells better */
static const double growth = 1.7;     /* bytes go with the edge to the power of this: what is finer costs more a pixel */
static const double growth_least = 1.0, fair = 1.25;
static const double smaller_at_least = 0.93;

typedef struct {
    const FitAsk *ask;
    const FitOps *ops;
    void *ctx;
    struct {
        unsigned quality;
        double log_bytes;
    } points[POINTS_MAX]; /* of the sample, by quality */
    unsigned n_points;
    double log_share; /* of the whole, over what the sample says of it */
    unsigned most;    /* quality, at this size */
    unsigned encodes;
    bool least, fits;
} Search;

static bool add_point(Search *s, unsigned quality)
{
    uint64_t bytes;
    unsigned at = 0;
    if (!s->ops->sample(s->ctx, quality, &bytes))
        return false;
    while (at < s->n_points && s->points[at].quality < quality)
        at++;
    for (unsigned i = s->n_points; i > at; i--)
        s->points[i] = s->points[i - 1];
    s->points[at].quality = quality;
    s->points[at].log_bytes = log((double)(bytes > 0 ? bytes : 1));
    s->n_points++;
    return true;
}

static double sample_log(const Search *s, unsigned quality)
{
    if (s->n_points == 1)
        return s->points[0].log_bytes + ((double)quality - s->points[0].quality) * slope;
    unsigned i = 1;
    while (i < s->n_points - 1 && s->points[i].quality < quality)
        i++;
    const double span = (double)s->points[i].quality - s->points[i - 1].quality;
    const double part = ((double)quality - s->points[i - 1].quality) / span;
    return s->points[i - 1].log_bytes + part * (s->points[i].log_bytes - s->points[i - 1].log_bytes);
}

static double whole_log(const Search *s, unsigned quality)
{
    return sample_log(s, quality) + s->log_share;
}

static bool has_point_near(const Search *s, unsigned quality)
{
    for (unsigned i = 0; i < s->n_points; i++)
        if (s->points[i].quality <= quality + NEAR && quality <= s->points[i].quality + NEAR)
            return true;
    return false;
}

/* The best quality that should fit; the least one when none should. */
static unsigned solve(const Search *s, double aim)
{
    const double target = log(aim * (double)s->ask->limit_bytes);
    unsigned quality = s->most;
    while (quality > s->ask->min_quality && whole_log(s, quality) > target)
        quality--;
    return quality;
}

static bool guess(Search *s, double aim, unsigned *quality_out)
{
    *quality_out = solve(s, aim);
    while (s->n_points < POINTS_MAX && !has_point_near(s, *quality_out)) {
        if (!add_point(s, *quality_out))
            return false;
        *quality_out = solve(s, aim);
    }
    return true;
}

static bool out_of_reach(const Search *s, unsigned quality)
{
    return whole_log(s, quality) > log((double)s->ask->limit_bytes);
}

/* Encodes at the best quality of this size. */
static bool search_quality(Search *s)
{
    double aim = aim_first;
    bool tried_more = false;
    while (s->encodes < s->ask->encodes_max && s->most >= s->ask->min_quality) {
        unsigned quality;
        uint64_t bytes;
        if (!guess(s, aim, &quality))
            return false;
        if ((!s->least || !s->ask->fewer_pixels) && out_of_reach(s, quality))
            return true;
        if (!s->ops->encode(s->ctx, quality, &bytes))
            return false;
        s->encodes++;
        const bool fits = bytes <= s->ask->limit_bytes;
        s->log_share = log((double)bytes) - sample_log(s, quality);
        aim = aim_again;
        if (!fits && s->fits)
            return true;
        s->fits = s->fits || fits;
        if (!fits)
            s->most = quality - 1;
        else if (tried_more || quality == s->most || (double)bytes >= near_enough * (double)s->ask->limit_bytes || solve(s, aim) <= quality)
            return true;
        else
            tried_more = true;
    }
    return true;
}

static double excess_at(const Search *s, unsigned quality)
{
    return whole_log(s, quality) - log(aim_first * (double)s->ask->limit_bytes);
}

/* To where a quality between most and least should fit. Noise vanishes faster with the pixels than anything else: a second try knows how
 * fast. */
static bool resize(Search *s)
{
    const unsigned middle = s->ask->min_quality + (s->ask->quality - s->ask->min_quality) * 3 / 4;
    double excess = excess_at(s, middle), scale = fmin(exp(-excess / growth), smaller_at_least), all = scale;
    for (unsigned i = 0; i < TRIES_MAX; i++) {
        if (!s->ops->resize(s->ctx, scale, &s->least))
            return false;
        s->n_points = 0;
        if (!add_point(s, middle))
            return false;
        const double left = excess_at(s, middle);
        if ((s->least && left > 0) || fabs(left) < log(fair) || (left < 0 && all == smaller_at_least))
            break;
        const double growth_seen = fmax((excess - left) / -log(scale), growth_least);
        scale = fmin(exp(-left / growth_seen), smaller_at_least / all);
        all *= scale;
        excess = left;
    }
    s->most = s->ask->quality;
    return true;
}

bool fit_search(const FitAsk *ask, const FitOps *ops, void *ctx, bool *fits_out)
{
    Search s = { .ask = ask, .ops = ops, .ctx = ctx, .most = ask->quality - 1, .least = !ask->fewer_pixels };
    const bool any_quality = ask->quality > ask->min_quality;
    *fits_out = false;
    if (!any_quality && !ask->fewer_pixels)
        return true;
    if (!add_point(&s, ask->quality))
        return false;
    s.log_share = log((double)ask->known_bytes) - s.points[0].log_bytes;
    for (unsigned i = 0; i <= RESIZES_MAX; i++) {
        if (!search_quality(&s))
            return false;
        if (s.fits || s.least || s.encodes >= ask->encodes_max)
            break;
        if (!resize(&s))
            return false;
    }
    *fits_out = s.fits;
    return true;
}
