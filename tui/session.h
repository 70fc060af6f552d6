/* session.h - the engine as the command line holds it: opened, woken through an eventfd, stopped by SIGINT, SIGTERM and SIGHUP.
 *
 * The first signal makes session_interrupted true and ends session_wait; a second one ends the process at once with status 130 (the store
 * is safe at any moment). One session at a time; one thread. Time-outs in ms.
 */
#pragma once

#include "core/hoist.h"

#define EXIT_FAILED_FILES 1
#define EXIT_USAGE        2
#define EXIT_NO_START     3
#define EXIT_INTERRUPTED  130

typedef struct {
    Hoist *hoist; /* NULL = not open */
    int wake_fd;  /* -1 before session_init */
} Session;

/* Catches the signals and makes the eventfd; ignores SIGPIPE. */
void session_init(Session *s);
bool session_open(Session *s, const HoistSettings *settings, unsigned flags, GError **error);
/* Stops the engine orderly. */
void session_close(Session *s);
void session_clear(Session *s);
/* Sleeps until an event is ready, a signal came, extra_fd (-1 = none) can be read or timeout_ms (-1 = no limit) passed.
 * True when extra_fd can be read or is at its end. */
bool session_wait(Session *s, int extra_fd, int timeout_ms);
bool session_interrupted(void);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Session, session_clear)
