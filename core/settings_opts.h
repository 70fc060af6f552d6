/* settings_opts.h - the table of options, and what is wrong with a value: pure text, no settings.
 *
 * The table is joined once: the common rows of settings_opts.c, then the own rows of each destination (DestOps.opts). A name that two
 * destinations have is one option; their rows must be the same (a test compares them). What further form a value must have follows from
 * what the row says it takes (arg): "URL" is an http or https URL, "NAME=VALUE" a pair.
 * Units: sizes in bytes, times in seconds. Threads: any.
 */
#pragma once

#include "settings.h"

unsigned settings_n_opts(void);                                 /* rows of hoist_opts() */
unsigned settings_opt_index(const HoistOpt *opt);               /* of a row of hoist_opts() */
/* Checks one value (never NULL); code is that of the error, which begins with origin. A value that may hold a secret is not repeated. */
bool     settings_check(const HoistOpt *opt, const char *value, const char *origin, FaultCode code, GError **error);
void     settings_value_fault(const HoistOpt *opt, const char *value, const char *why, bool quote, const char *origin, FaultCode code,
                              GError **error);
/* A checked value as it is kept: switches are "true" or "false", times seconds, "~/" of a path is expanded. Caller frees. */
char    *settings_value_stored(const HoistOpt *opt, const char *value);
