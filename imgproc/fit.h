/* fit.h - search for the quality that meets a byte budget, in few encodes; pure.
 *
 * log(bytes) is nearly linear in quality: a first guess from the slope measured for libwebp, then secant between the nearest two.
 * Ends at 0.92..1.0 of the budget, at the floor, or after FIT_ENCODES_MAX encodes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { FIT_ENCODES_MAX = 4 };

typedef struct {
    uint64_t limit_bytes;
    unsigned floor;         /* lowest quality worth looking at */
    unsigned known_quality; /* an encode that was too large: */
    uint64_t known_bytes;
} FitAsk;

typedef struct {
    bool fits;        /* quality and bytes are of the best encode within the limit */
    unsigned quality; /* else of the smallest seen */
    uint64_t bytes;
} FitAnswer;

/* encode: bytes at this quality; false = give up. It is never asked for the same quality twice. False only when encode says so. */
bool fit_search(const FitAsk *ask, bool (*encode)(void *ctx, unsigned quality, uint64_t *bytes_out), void *ctx, FitAnswer *out);
/* The factor (below 1) for both edges after which a picture of `bytes` at quality 50 should come out within the limit at quality 75. */
double fit_scale(uint64_t bytes, uint64_t limit_bytes);
