/* cli.h - the commands that need no dashboard: up, queue, retry, cancel, pause, resume, forget, dests, share, rm, images, doctor. Each takes its options, gives the exit
 * status.
 *
 * Exit status: 0 all confirmed, 1 some files failed, 2 usage or configuration, 3 could not start, 130 interrupted (session.h).
 * Events go to standard output, what is wrong with the call to standard error. Source document: the manual page, hoist.1.
 */
#pragma once

#include "options.h"
#include "session.h"

int cli_up(const Options *o);
int cli_queue(const Options *o);
int cli_retry(const Options *o);
int cli_cancel(const Options *o);
int cli_pause(const Options *o);
int cli_resume(const Options *o);
int cli_forget(const Options *o);
int cli_dests(const Options *o);
int cli_share(const Options *o);
int cli_rm(const Options *o);
int cli_images(const Options *o);
int cli_doctor(const Options *o);

/* Prints "hoist: CAUSE" and the remedy on standard error; gives the exit status that fits. */
int cli_complain(const GError *error);
/* "hoist: TEXT" on standard error; gives EXIT_USAGE. */
int cli_usage(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* hoist_settings_check_dest, with its warning on standard error. */
bool cli_check_dest(const HoistSettings *settings, GError **error);
/* ADD of these absolute paths (bytes, NULL-terminated; copied) with the per-batch options. */
HoistCommand *cli_add_command(const HoistSettings *settings, char *const *paths);
/* Another hoist holds the queue. */
bool cli_is_locked(const GError *error);
