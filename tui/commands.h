/* commands.h - the table of commands: what `hoist NAME` runs, takes and says about itself. The first row is the dashboard (`hoist`). */
#pragma once

#include "options.h"

extern const Command commands_table[]; /* ends with a row whose run is NULL */

/* The row of a name ("up"); the dashboard's for NULL; NULL when there is none. */
const Command *command_by_name(const char *name);
/* Runs argv (program name first): the command it names, or the dashboard. Exit status. */
int command_run(char *const *argv);
