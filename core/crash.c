#include "crash.h"

#ifdef HOIST_CRASH_POINTS
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static atomic_long passed;

static void write_count(void)
{
    FILE *f = fopen(getenv("HOIST_CRASH_COUNT"), "we");
    if (f != NULL) {
        fprintf(f, "%ld\n", atomic_load(&passed));
        fclose(f);
    }
}

void crash_point(const char *where)
{
    (void)where;
    const long n = atomic_fetch_add(&passed, 1) + 1;
    if (n == 1 && getenv("HOIST_CRASH_COUNT") != NULL)
        atexit(write_count);
    const char *at = getenv("HOIST_CRASH_AT");
    if (at != NULL && n == strtol(at, NULL, 10))
        kill(getpid(), SIGKILL);
}

unsigned crash_stall_ms(void)
{
    const char *ms = getenv("HOIST_STALL_MS");
    return ms == NULL ? 0 : (unsigned)strtoul(ms, NULL, 10);
}
#else
typedef int crash_points_are_off;
#endif
