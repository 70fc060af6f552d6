#include "commands.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app.h"
#include "cli.h"
#include "paths.h"

static int dashboard(const Options *o);

const Command commands_table[] = {
    { NULL, "[PATH…]", "upload files, and watch and steer it in a dashboard",
      "Files dropped on the window are queued; what an earlier run left unfinished goes on. A path that is called like a command is "
      "written ./NAME.",
      TAKES_UPLOADS | SWITCH_VERSION, dashboard },
    { "up", "[PATH…]", "upload without the dashboard",
      "A PATH of - reads paths from standard input. Without a PATH what is in the queue goes on. Exit status: 0 all confirmed by the "
      "server, 1 some files failed, 2 usage or configuration, 3 could not start, 130 interrupted (run the same command to go on).",
      TAKES_UPLOADS | SWITCH_PLAIN | SWITCH_JSON | SWITCH_QUIET | SWITCH_DRY_RUN | SWITCH_NUL, cli_up },
    { "queue", "", "show what is in the queue", NULL, TAKES_STATE | SWITCH_JSON, cli_queue },
    { "retry", "[ID…]", "queue failed files again", NULL, TAKES_STATE | SWITCH_ALL, cli_retry },
    { "cancel", "[ID…]", "give files up and drop at the server what was sent of them", NULL, TAKES_STATE | SWITCH_ALL, cli_cancel },
    { "pause", "[ID…]", "hold files back until resume", NULL, TAKES_STATE | SWITCH_ALL, cli_pause },
    { "resume", "[ID…]", "let paused files go on", NULL, TAKES_STATE | SWITCH_ALL, cli_resume },
    { "forget", "[ID…]", "take finished, failed and cancelled files off the list", NULL, TAKES_STATE | SWITCH_ALL, cli_forget },
    { "dests", "", "show the destinations of the configuration, and whether their secrets are there", NULL, SWITCH_JSON, cli_dests },
    { "share", "DEST/KEY", "print a link with which anybody can fetch an object for a while",
      "DEST/KEY is s3://BUCKET/KEY, or NAME/KEY with a [dest NAME] of the configuration, below its prefix. The link is a secret; nothing "
      "is "
      "sent to make it.",
      TAKES_DEST | TAKES_FOR, cli_share },
    { "rm", "DEST/KEY…", "delete objects",
      "DEST/KEY as for hoist share. Nobody is asked. Exit status: 0 all are gone, 1 some are not, 2 usage.", TAKES_DEST | SWITCH_JSON,
      cli_rm },
    { "images", "PATH…", "show what uploading would make of pictures; --out writes it",
      "The same workers and recipes as hoist up, without a queue and the network: to tune a recipe. Folders are searched. Exit status: 0, "
      "1 some pictures failed, 2 usage, 3 no room or no picture workers, 130 interrupted.",
      TAKES_PICTURES | SWITCH_JSON, cli_images },
    { "doctor", "", "look at what hoist needs on this machine",
      "The configuration, the folders it writes, the picture workers and what binds them, the terminal; no network. Exit status: 0 nothing "
      "is bad, 1 something is, 2 usage.",
      SWITCH_JSON | SKIPS_CONFIG, cli_doctor },
    { NULL, NULL, NULL, NULL, 0, NULL },
};

const Command *command_by_name(const char *name)
{
    for (const Command *cmd = commands_table; cmd->run != NULL; cmd++)
        if (g_strcmp0(cmd->name, name) == 0)
            return cmd;
    return NULL;
}

/* ------------------------------------------------------------------ the dashboard */

static void add_args(Hoist *hoist, const Options *o)
{
    if (*o->args == NULL)
        return;
    g_autofree char *cwd = g_get_current_dir();
    g_autoptr(GStrvBuilder) list = g_strv_builder_new();
    for (char **arg = o->args; *arg != NULL; arg++) {
        g_autofree char *path = paths_absolute(cwd, *arg);
        g_strv_builder_add(list, path);
    }
    g_auto(GStrv) paths = g_strv_builder_end(list);
    hoist_send(hoist, cli_add_command(o->settings, paths));
}

static int dashboard(const Options *o)
{
    const char *term = g_getenv("TERM");
    g_autoptr(GError) error = NULL;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || term == NULL || *term == '\0' || g_str_equal(term, "dumb"))
        return cli_usage("the dashboard needs a terminal; hoist up does the same without one");
    if (*o->args != NULL && hoist_settings_get(o->settings, "to") == NULL)
        return cli_usage("where to? Name a destination: --to s3://BUCKET/PREFIX");
    if (hoist_settings_get(o->settings, "to") != NULL && !cli_check_dest(o->settings, &error))
        return cli_complain(error);
    if (g_strv_contains((const char *const *)o->args, ""))
        return cli_usage("a PATH is empty");
    g_auto(Session) session = { NULL, -1 };
    session_init(&session);
    if (!session_open(&session, o->settings, HOIST_WANT_ROWS | HOIST_WANT_PROGRESS, &error))
        return cli_complain(error);
    add_args(session.hoist, o);
    return app_run(session.hoist, o->settings, session.wake_fd);
}

/* ------------------------------------------------------------------ argv */

int command_run(char *const *argv)
{
    g_autoptr(GError) error = NULL;
    g_auto(Options) options = { 0 };
    char *const *rest = *argv != NULL ? argv + 1 : argv;
    const Command *cmd = *rest != NULL ? command_by_name(*rest) : NULL;
    if (cmd != NULL)
        rest++;
    else
        cmd = command_by_name(NULL);
    if (!options_parse(&options, cmd, rest, &error))
        return cli_usage("%s", error->message);
    if ((options.switches & SWITCH_HELP) != 0) {
        g_autofree char *help = options_help(cmd, commands_table);
        g_autofree char *more = cmd->run == cli_dests ? hoist_dests_help() : g_strdup("");
        return fputs(help, stdout) == EOF || fputs(more, stdout) == EOF;
    }
    if ((options.switches & SWITCH_VERSION) != 0) {
        g_autofree char *versions = hoist_versions();
        return puts(versions) == EOF;
    }
    return cmd->run(&options);
}
