/* trend.h - ten minutes of throughput for the graph: samples in, columns and a calm axis out. Pure; time is a parameter.
 *
 * One sample every 500 ms; columns are the greatest of the samples they stand for, cut at fixed places so that peaks do not shimmer while
 * the graph moves. The axis goes in steps 1, 2, 5 and comes down only when the graph would fill less than half of it.
 * Source document: terminal.md B8.
 */
#pragma once

#include <stdint.h>

enum { TREND_SAMPLES = 1200 };

typedef struct {                /* zeroed = empty */
    double   bps[TREND_SAMPLES];
    uint64_t count;             /* samples ever added */
    int64_t  last_us;
    double   top;
} Trend;

void     trend_add(Trend *t, double bps, int64_t now_us);       /* within 400 ms of the last: merged with it */
unsigned trend_columns(const Trend *t, unsigned columns, double *out);     /* fills out[0..result), oldest first; result <= columns */
double   trend_top(Trend *t);           /* end of the axis; 0 when nothing ever moved */
double   trend_peak(const Trend *t);
