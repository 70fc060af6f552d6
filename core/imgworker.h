/* imgworker.h - one process of hoist-imgproc: found, started, stopped.
 *
 * It gets a socket as descriptor 3 and nothing else of ours: no other descriptor, a null stdin, stdout and stderr, a process group of
 * its own (Ctrl-C is not for it), and an environment without our secrets.
 * Threads: one thread owns a worker from start to stop (the kernel ties the child's life to the thread that started it).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#include "imgproc/wire.h"

typedef struct {
    pid_t pid; /* 0 = not running */
    int sock;  /* non-blocking, close-on-exec */
} ImgWorker;

/* Path of the program: as configured, $HOIST_IMGPROC, beside this program, in ../imgproc of it (build tree) or ../libexec of it, else
 * in libexec of the prefix it was built for. Caller frees. */
char *imgworker_find(const char *configured);
/* Returns at once; whether it came up shows on the socket. FAULT_WORKER. */
bool imgworker_start(ImgWorker *w, const char *path, GError **error);
/* Kills and reaps; nothing to do when it does not run. */
void imgworker_stop(ImgWorker *w);
/* Starts one, waits for its hello - a few seconds at most - and stops it. FAULT_WORKER says what happened instead. */
bool imgworker_hello(const char *path, WireHello *out, GError **error);
