/* fmt.h - numbers as people read them: sizes, rates, durations, counts. Pure; used by the dashboard and the command line.
 *
 * Each function returns its text by value, so that it can stand in an expression: printf("%s", fmt_size(n).s). Texts are ASCII and of a
 * known greatest width, given with each function, so that columns do not jump. Sizes are decimal (kB = 1000 bytes).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    char s[32];
} FmtText;

FmtText fmt_size(uint64_t bytes);                               /* "999 B", "42.1 MB", "1.21 GB": at most 7 columns */
FmtText fmt_rate(double bps);                                   /* "4.1 MB/s", "128 kB/s", "0 B/s": at most 9 columns */
FmtText fmt_time(int64_t s);                                    /* "0:03", "12:41", "1:02:41", "3d 04h", ">99d"; negative "--": at most 8 */
FmtText fmt_took(double s);                                     /* how long something was: "45 ms", "3.2 s", "12:41": at most 8 columns */
FmtText fmt_count(uint64_t n);                                  /* "1,000,000" */
FmtText fmt_plural(uint64_t n, const char *noun);               /* "1 file", "2,140 files"; noun at most 8 letters */
FmtText fmt_percent(uint64_t part, uint64_t whole, bool done);  /* "68%"; "100%" only when done, "99%" at most before: at most 4 columns */
FmtText fmt_clock(int64_t ns);                                  /* wall clock since 1970 -> local "12:04:31"; 0 gives "-" */
