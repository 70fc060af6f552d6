/* app.h - the dashboard: one loop over keys, signals, drops and the engine's events.
 *
 * Sleeps without a time-out while nothing moves. At most 20 frames a second; a frame is left out when the terminal does not take bytes.
 */
#pragma once

#include "core/hoist.h"

/* Runs until the person quits, a signal comes or the engine stops. h was opened with HOIST_WANT_ROWS | HOIST_WANT_PROGRESS and a wake that
 * writes to wake_fd (an eventfd, non-blocking); the caller closes both. Returns the exit status: 0, 1 when files failed, 3 when the
 * terminal or the store cannot be used (with a line on standard error), 130 when a signal ended it. Leaves a closing line on standard output. */
int app_run(Hoist *h, const HoistSettings *s, int wake_fd);
