/* fit.h - search for the quality, then for the size in pixels, that meets a limit in bytes, with few encodes of the whole picture; pure.
 *
 * log(bytes) is nearly linear in quality, but how steep it is depends on the picture. A sample of the picture (pixels_sample), a sixteenth of
 * it, tells that for a sixteenth of the price. By how much a sample is dearer or cheaper than the rest, one encode of the whole tells, and that
 * holds for other sizes of the same picture, too. So there is about one encode more than the one that was too large.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t limit_bytes;
    unsigned quality, min_quality; /* most and least, of what encode takes */
    uint64_t known_bytes;          /* of the whole at `quality`: more than the limit */
    unsigned encodes_max;          /* of the whole, from here on */
    bool fewer_pixels;             /* may be tried below min_quality */
} FitAsk;

/* Each: false = give up. ctx is theirs. */
typedef struct {
    /* Bytes of the whole picture at this quality. Never asked twice for the same at the same size. */
    bool (*encode)(void *ctx, unsigned quality, uint64_t *bytes_out);
    /* The same by a sample, times its share of the pixels. */
    bool (*sample)(void *ctx, unsigned quality, uint64_t *bytes_out);
    /* The picture with both edges `scale` times those that it has now, made from the first one, or as far as that goes. *least_out: it cannot be smaller. */
    bool (*resize)(void *ctx, double scale, bool *least_out);
} FitOps;

/* False only when one of ops says so. *fits_out: an encode was within the limit. */
bool fit_search(const FitAsk *ask, const FitOps *ops, void *ctx, bool *fits_out);
