/* crash.h - fault points of the crash test. In a build with -Dcrash_points=true the process kills itself (SIGKILL) at the n-th point it
 * passes, n from HOIST_CRASH_AT; HOIST_CRASH_COUNT=FILE writes how many there were at exit; HOIST_STALL_MS takes the place of the minutes
 * that a silent server is given. In every other build nothing is left of it. */
#pragma once

#ifdef HOIST_CRASH_POINTS
void     crash_point(const char *where);
unsigned crash_stall_ms(void);          /* 0 = not set */
#else
#define crash_point(where) ((void)0)
#define crash_stall_ms()   0
#endif
