/* rate.h - throughput meter, token bucket, back-off, and the controller of "-j auto". Pure: time is a parameter (us, monotonic). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Exponentially weighted rates over two time constants: 5 s for display, 30 s for time left. Feed it cumulative acknowledged bytes;
 * a total that falls (a part is sent again) counts as no progress, never as negative. Begin with zeroed memory. */
typedef struct {
    bool     begun;
    int64_t  last_us, begun_us;
    uint64_t last_bytes;
    double   bps_5s, bps_30s;
} RateMeter;

void    rate_feed(RateMeter *m, uint64_t total_bytes, int64_t now_us);
double  rate_bps(const RateMeter *m);
/* Seconds left for this many bytes, or -1: less than 3 s of data, or stalled. */
int64_t rate_eta_s(const RateMeter *m, uint64_t left_bytes, int64_t now_us);

/* Token bucket; limit 0 = no limit. Depth max(100 ms, 64 KiB). */
typedef struct {
    uint64_t limit_bps;
    double   tokens;
    int64_t  last_us;
} RateBucket;

void     bucket_init(RateBucket *b, uint64_t limit_bps, int64_t now_us);            /* begins full */
void     bucket_set_limit(RateBucket *b, uint64_t limit_bps, int64_t now_us);       /* keeps what was saved up, within the new depth */
uint64_t bucket_take(RateBucket *b, uint64_t wanted, int64_t now_us);               /* bytes that may go now, 0 = wait */
int64_t  bucket_wait_us(const RateBucket *b, uint64_t wanted, int64_t now_us);      /* until they (at most the depth) are there */

/* Full jitter: uniform in [0, min(cap, base * 2^tries)], at least retry_after_ms when the server named a time (>= 0). random01 in [0,1). */
int64_t backoff_ms(unsigned tries, int64_t base_ms, int64_t cap_ms, int64_t retry_after_ms, double random01);

/* Hill climbing over the number of transfers at once: adds a quarter (at least one) while throughput grows by more than 5 %, takes the
 * last step back and stays for half a minute when it does not, halves on SlowDown and then waits before it climbs again. */
typedef struct {
    unsigned now, min, max;
    bool     fixed;             /* the person said -j N: no climbing beyond; halved by SlowDown, then back one at a time */
    double   best_bps;
    int64_t  next_us;
    int      direction;         /* size of the step that is being tried; 0 = staying */
    int64_t  slowed_us;         /* last halving: one storm of SlowDown answers counts once */
} JobsControl;

void jobs_init(JobsControl *c, unsigned fixed_or_0, unsigned start, unsigned max);
void jobs_feed(JobsControl *c, double bps, unsigned busy, int64_t now_us);  /* busy: transfers at work; idle slots are no evidence */
void jobs_slow_down(JobsControl *c, int64_t now_us);
