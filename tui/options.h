/* options.h - argv -> settings, switches and paths; help texts from the same tables.
 *
 * The options of uploads are the rows of hoist_opts(); what only the command line knows (--plain, --json) is a table of options.c. Values
 * are bytes; the settings check them. Which command takes which switch stands in the table of commands (commands.c). Errors: FAULT_USAGE or
 * FAULT_CONFIG, to be shown as "hoist: MESSAGE", exit status 2. Source document: the manual page, hoist.1.
 */
#pragma once

#include "core/hoist.h"

typedef enum {
    SWITCH_HELP = 1 << 0,
    SWITCH_VERSION = 1 << 1,
    SWITCH_PLAIN = 1 << 2,
    SWITCH_JSON = 1 << 3,
    SWITCH_QUIET = 1 << 4,
    SWITCH_DRY_RUN = 1 << 5,
    SWITCH_NUL = 1 << 6,    /* -0: paths on standard input end with NUL */
    SWITCH_ALL = 1 << 7,    /* --all: every file */
    TAKES_STATE = 1 << 8,   /* --state with the name of a state selects files; any other value is the directory */
    TAKES_UPLOADS = 1 << 9, /* all rows of hoist_opts(), not only those about the queue's place and the display */
    TAKES_DEST = 1 << 10,   /* those about reaching a destination */
    TAKES_FOR = 1 << 11,    /* --for TIME */
    TAKES_PICTURES = 1 << 12, /* those about what is made of pictures, and which files; --out DIR */
    SKIPS_CONFIG = 1 << 13,   /* the command loads config.ini and HOIST_* itself */
} OptionsSwitch;

typedef struct {
    HoistSettings *settings; /* options, environment and config.ini */
    char **args;             /* what is left: paths or ids, bytes; never NULL */
    unsigned switches;       /* SWITCH_* that were given */
    int state;               /* HoistState of --state, or -1 */
    unsigned seconds;        /* of --for; 0 = not given */
    char *out_dir;           /* of --out; NULL = not given */
} Options;

typedef struct {
    const char *name;             /* "up"; NULL = the dashboard */
    const char *args;             /* "[PATH…]" */
    const char *help;             /* one line */
    const char *about;            /* paragraph of its --help, or NULL */
    unsigned takes;               /* OptionsSwitch bits; HELP is always taken */
    int (*run)(const Options *o); /* exit status */
} Command;

/* argv without program and command name. Values of config.ini and HOIST_* are loaded unless --help or --version is asked for, or the command does that. */
bool options_parse(Options *o, const Command *cmd, char *const *argv, GError **error);
void options_clear(Options *o);
/* Text of --help; commands (ends with a row whose run is NULL) are listed when cmd is the dashboard. Caller frees. */
char *options_help(const Command *cmd, const Command *commands);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)
