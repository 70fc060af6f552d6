#include "fit.h"

#include <math.h>

/* Quality steps for a factor e in bytes, measured with libwebp. */
static double slope(double quality)
{
    if (quality > 80)
        return 23;
    return quality > 70 ? 40 : 80;
}

static double guess_from_slope(unsigned quality, uint64_t bytes, uint64_t limit)
{
    double q = quality;
    double excess = log((double)bytes / (0.96 * (double)limit));
    while (excess > 0 && q > 0) {
        const double k = slope(q);
        const double step = q > 80 ? q - 80 : q > 70 ? q - 70 : q;
        if (excess * k <= step)
            return q - excess * k;
        excess -= step / k;
        q -= step;
    }
    return q;
}

static double guess_between(unsigned low, uint64_t low_bytes, unsigned high, uint64_t high_bytes, uint64_t limit)
{
    const double span = log((double)high_bytes) - log((double)low_bytes);
    const double part = (log(0.97 * (double)limit) - log((double)low_bytes)) / span;
    return low + part * (high - low);
}

bool fit_search(const FitAsk *ask, bool (*encode)(void *ctx, unsigned quality, uint64_t *bytes_out), void *ctx, FitAnswer *out)
{
    unsigned high = ask->known_quality, low = ask->floor;
    uint64_t high_bytes = ask->known_bytes, low_bytes = 0;
    FitAnswer best = { .fits = false, .quality = high, .bytes = high_bytes };

    for (unsigned n = 0; n < FIT_ENCODES_MAX && high > low; n++) {
        const double guess = best.fits && high_bytes > low_bytes ? guess_between(low, low_bytes, high, high_bytes, ask->limit_bytes)
                                                                 : guess_from_slope(high, high_bytes, ask->limit_bytes);
        const unsigned least = best.fits ? low + 1 : low;
        if (least >= high)
            break;
        const bool last_chance = !best.fits && n == FIT_ENCODES_MAX - 1;
        const unsigned quality = last_chance || guess <= least ? least : guess >= high - 1 ? high - 1 : (unsigned)guess;
        uint64_t bytes;
        if (!encode(ctx, quality, &bytes))
            return false;
        if (bytes > ask->limit_bytes) {
            high = quality;
            high_bytes = bytes;
            if (!best.fits)
                best = (FitAnswer){ .fits = false, .quality = quality, .bytes = bytes };
            continue;
        }
        best = (FitAnswer){ .fits = true, .quality = quality, .bytes = bytes };
        low = quality;
        low_bytes = bytes;
        if ((double)bytes >= 0.92 * (double)ask->limit_bytes)
            break;
    }
    *out = best;
    return true;
}

double fit_scale(uint64_t bytes, uint64_t limit_bytes)
{
    const double growth = 1.45; /* from quality 50 to 75, by the slopes above */
    const double scale = sqrt(0.95 * (double)limit_bytes / (growth * (double)bytes));
    return scale < 0.95 ? scale : 0.95;
}
