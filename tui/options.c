#include "options.h"

#include <string.h>

#define COMPLAINT_MAX_BYTES 300

typedef struct {
    const char *name;
    char letter;
    unsigned bit;
    const char *help;
} Switch;

static const Switch switches[] = {
    { "plain", 0, SWITCH_PLAIN, "one line an event, without colour or cursor motion (default)" },
    { "json", 0, SWITCH_JSON, "one JSON object a line on standard output" },
    { "quiet", 'q', SWITCH_QUIET, "only failures and the summary, on standard error" },
    { "dry-run", 'n', SWITCH_DRY_RUN, "show what would be uploaded, and under which key; no network" },
    { "null", '0', SWITCH_NUL, "paths on standard input end with NUL, not with a newline" },
    { "all", 0, SWITCH_ALL, "all files that this command can be given for" },
    { "help", 'h', SWITCH_HELP, "show this help" },
    { "version", 'V', SWITCH_VERSION, "show the versions of hoist and its libraries" },
};

/* What commands that upload nothing take of hoist_opts(). */
static const char *const common_opts[] = { "state", "config", "log", NULL };

/* And what those take that go to a destination themselves; what only some destinations know is taken by them, too. */
static const char *const dest_opts[] = {
    "endpoint", "region", "profile", "addressing", "secret", "user", "public-url", "token-life", NULL
};

/* And what those take that make pictures. */
static const char *const picture_opts[] = { "images",     "renditions",    "keep-original", "original-prefix", "max-edge",    "max-bytes",
                                            "quality",    "min-quality",   "format",        "effort",          "min-savings", "metadata",
                                            "background", "color-profile", "vectors",       "image-workers",   "types",       "key",
                                            "include",    "exclude",       "max-size",      "spool-size",      NULL };

static bool takes_opt(const Command *cmd, const HoistOpt *opt)
{
    if ((cmd->takes & TAKES_DEST) != 0 && (!hoist_opt_is_common(opt) || g_strv_contains(dest_opts, opt->name)))
        return true;
    if ((cmd->takes & TAKES_PICTURES) != 0 && g_strv_contains(picture_opts, opt->name))
        return true;
    return (cmd->takes & TAKES_UPLOADS) != 0 || g_strv_contains(common_opts, opt->name);
}

/* ------------------------------------------------------------------ values */

/* "--name", "--name=VALUE"; or "-n". */
static bool is_called(const char *option_name, const char *name, char letter)
{
    const size_t n = strlen(name);
    if (!g_str_has_prefix(option_name, "--"))
        return letter == option_name[1];
    return strncmp(option_name + 2, name, n) == 0 && (option_name[2 + n] == '\0' || option_name[2 + n] == '=');
}

static const HoistOpt *opt_of(const char *option_name)
{
    for (const HoistOpt *opt = hoist_opts(); opt->name != NULL; opt++)
        if (is_called(option_name, opt->name, opt->letter))
            return opt;
    g_assert_not_reached();
}

typedef struct {
    Options *options;
    const Command *cmd;
} Parse;

static gboolean set_opt(const char *option_name, const char *value, gpointer data, GError **error)
{
    Parse *parse = data;
    const HoistOpt *opt = opt_of(option_name);
    HoistState state;
    if ((parse->cmd->takes & TAKES_STATE) != 0 && g_str_equal(opt->name, "state") && hoist_state_by_name(value, &state)) {
        parse->options->state = (int)state;
        return TRUE;
    }
    if ((parse->cmd->takes & TAKES_STATE) != 0 && g_str_equal(opt->name, "state") && strchr(value, '/') == NULL &&
        !g_file_test(value, G_FILE_TEST_IS_DIR)) { /* a state misspelt, not a queue elsewhere */
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "--state: \"%s\" is neither a state (queued, active, done, failed, paused, cancelled) nor a folder", value);
        return FALSE;
    }
    g_autofree char *origin = g_strconcat("--", opt->name, NULL);
    const char *equals = value == NULL ? strchr(option_name, '=') : NULL; /* of a switch, see add_switch_values */
    return hoist_settings_set(parse->options->settings, opt->name, equals != NULL ? equals + 1 : value, origin, error);
}

static gboolean set_switch(const char *option_name, const char *value, gpointer data, GError **error)
{
    Parse *parse = data;
    (void)value;
    if (strchr(option_name, '=') != NULL) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "%s: it takes no value", option_name);
        return FALSE;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(switches); i++)
        if (is_called(option_name, switches[i].name, switches[i].letter))
            parse->options->switches |= switches[i].bit;
    return TRUE;
}

static gboolean set_for(const char *option_name, const char *value, gpointer data, GError **error)
{
    Parse *parse = data;
    uint64_t seconds;
    (void)option_name;
    if (hoist_parse_time(value, &seconds) && seconds > 0 && seconds <= G_MAXINT32) {
        parse->options->seconds = (unsigned)seconds;
        return TRUE;
    }
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "--for: \"%s\" is no time like 15m, 2h or 7d", value);
    return FALSE;
}

static gboolean set_out(const char *option_name, const char *value, gpointer data, GError **error)
{
    Parse *parse = data;
    (void)option_name;
    if (*value == '\0') {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "--out: a folder is missing");
        return FALSE;
    }
    g_free(parse->options->out_dir);
    parse->options->out_dir = g_strdup(value);
    return TRUE;
}

/* ------------------------------------------------------------------ entries of GOption */

static char *opt_help(const HoistOpt *opt)
{
    g_autoptr(GString) text = g_string_new(opt->help);
    if (opt->allowed != NULL)
        g_string_append_printf(text, "; %s", opt->allowed);
    if (opt->def != NULL)
        g_string_append_printf(text, " (default %s)", opt->def);
    if (opt->repeat)
        g_string_append(text, "; may be given several times");
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* arg NULL = no value. Takes help. */
static void add_entry(GArray *entries, GPtrArray *texts, const char *name, char letter, GOptionArgFunc fn, const char *arg, char *help,
                      int flags)
{
    GOptionEntry entry = { name, letter, flags | (arg == NULL ? G_OPTION_FLAG_NO_ARG : G_OPTION_FLAG_FILENAME), G_OPTION_ARG_CALLBACK, NULL,
                           help, arg };
    G_STATIC_ASSERT(sizeof fn == sizeof entry.arg_data);
    memcpy(&entry.arg_data, &fn, sizeof fn); /* ISO C has no cast from function to object pointer */
    g_ptr_array_add(texts, help);
    g_array_append_val(entries, entry);
}

static void add_opt(GArray *entries, GPtrArray *texts, const Command *cmd, const HoistOpt *opt)
{
    if ((cmd->takes & TAKES_STATE) != 0 && g_str_equal(opt->name, "state"))
        add_entry(entries, texts, opt->name, opt->letter, set_opt, "STATE|DIR",
                  g_strdup("only files in this state (queued, done, failed, ...); else where the queue is kept"), G_OPTION_FLAG_NONE);
    else
        add_entry(entries, texts, opt->name, opt->letter, set_opt, opt->kind == HOIST_OPT_SWITCH ? NULL : opt->arg, opt_help(opt),
                  hoist_opt_is_common(opt) ? G_OPTION_FLAG_NONE : G_OPTION_FLAG_HIDDEN); /* those stand in hoist dests --help */
}

/* GOption drops what follows the = of an option without argument; with its value it is an option of its own. */
static void add_switch_values(GArray *entries, GPtrArray *texts, const Command *cmd, char *const *argv)
{
    for (; argv != NULL && *argv != NULL && !g_str_equal(*argv, "--"); argv++) {
        if (!g_str_has_prefix(*argv, "--") || strchr(*argv, '=') == NULL)
            continue;
        for (const HoistOpt *opt = hoist_opts(); opt->name != NULL; opt++)
            if (opt->kind == HOIST_OPT_SWITCH && takes_opt(cmd, opt) && is_called(*argv, opt->name, 0))
                add_entry(entries, texts, *argv + 2, 0, set_opt, NULL, NULL, G_OPTION_FLAG_HIDDEN);
        for (unsigned i = 0; i < G_N_ELEMENTS(switches); i++)
            if (((cmd->takes | SWITCH_HELP) & switches[i].bit) != 0 && is_called(*argv, switches[i].name, 0))
                add_entry(entries, texts, *argv + 2, 0, set_switch, NULL, NULL, G_OPTION_FLAG_HIDDEN);
    }
}

/* texts keeps the help alive as long as the context. argv: NULL, or what will be parsed. */
static GOptionContext *context_new(Parse *parse, GPtrArray *texts, char *const *argv, char ***args)
{
    const Command *cmd = parse->cmd;
    g_autoptr(GArray) entries = g_array_new(TRUE, TRUE, sizeof(GOptionEntry));
    add_switch_values(entries, texts, cmd, argv);
    for (const HoistOpt *opt = hoist_opts(); opt->name != NULL; opt++)
        if (takes_opt(cmd, opt))
            add_opt(entries, texts, cmd, opt);
    if ((cmd->takes & TAKES_FOR) != 0)
        add_entry(entries, texts, "for", 0, set_for, "TIME", g_strdup("how long the link counts, like 15m, 2h, 7d (default 15m)"),
                  G_OPTION_FLAG_NONE);
    if ((cmd->takes & TAKES_PICTURES) != 0)
        add_entry(entries, texts, "out", 0, set_out, "DIR", g_strdup("write what would be uploaded there; without it nothing is written"),
                  G_OPTION_FLAG_NONE);
    for (unsigned i = 0; i < G_N_ELEMENTS(switches); i++)
        if (((cmd->takes | SWITCH_HELP) & switches[i].bit) != 0)
            add_entry(entries, texts, switches[i].name, switches[i].letter, set_switch, NULL, g_strdup(switches[i].help),
                      G_OPTION_FLAG_NONE);
    const GOptionEntry rest = { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, args, NULL, NULL };
    g_array_append_val(entries, rest);

    GOptionContext *context = g_option_context_new(cmd->args);
    GOptionGroup *group = g_option_group_new(HOIST_APP, NULL, NULL, parse, NULL);
    g_option_group_add_entries(group, (const GOptionEntry *)(const void *)entries->data);
    g_option_context_set_main_group(context, group);
    g_option_context_set_help_enabled(context, FALSE);
    return context;
}

/* GOption's own complaints name the option; the rest of the sentence is ours. */
static void take_error(const Command *cmd, GError *cause, GError **error)
{
    if (cause->domain != G_OPTION_ERROR) {
        g_propagate_error(error, cause);
        return;
    }
    g_autofree char *shown = hoist_text(cause->message);
    g_autofree char *lower = g_strdup(shown);
    if (*lower != '\0')
        *lower = g_ascii_tolower(*lower);
    g_set_error(error, g_quark_from_static_string("hoist-options"), 0, "%.*s; see hoist %s%s--help", COMPLAINT_MAX_BYTES, lower,
                cmd->name != NULL ? cmd->name : "", cmd->name != NULL ? " " : "");
    g_error_free(cause);
}

static bool takes_value(const char *arg)
{
    if (arg[0] != '-' || arg[1] == '\0' || arg[1] == '-')
        return false;
    for (const HoistOpt *opt = hoist_opts(); opt->name != NULL; opt++)
        if (opt->letter == arg[1] && opt->arg != NULL)
            return true;
    return false;
}

/* "-j8" -> "-j", "8", which GOption does not know. The program's name, which it passes over, comes first. */
static char **split_letters(char *const *argv)
{
    g_autoptr(GStrvBuilder) out = g_strv_builder_new();
    g_strv_builder_add(out, HOIST_APP);
    for (bool options = true; *argv != NULL; argv++) {
        const char *arg = *argv;
        options = options && !g_str_equal(arg, "--");
        if (options && takes_value(arg) && arg[2] != '\0') {
            const char letter[] = { '-', arg[1], '\0' };
            g_strv_builder_add(out, letter);
            arg += 2;
        }
        g_strv_builder_add(out, arg);
    }
    return g_strv_builder_end(out);
}

bool options_parse(Options *o, const Command *cmd, char *const *argv, GError **error)
{
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    memset(o, 0, sizeof *o);
    o->settings = hoist_settings_new();
    o->state = -1;
    Parse parse = { o, cmd };
    g_autoptr(GOptionContext) context = context_new(&parse, texts, argv, &o->args);

    g_auto(GStrv) split = split_letters(argv);
    GError *cause = NULL;
    const bool parsed = g_option_context_parse_strv(context, &split, &cause);
    if (o->args == NULL)
        o->args = g_new0(char *, 1);
    if ((o->switches & (SWITCH_HELP | SWITCH_VERSION)) != 0) {
        g_clear_error(&cause);
        return true;
    }
    if (!parsed) {
        take_error(cmd, cause, error);
        return false;
    }
    return (cmd->takes & SKIPS_CONFIG) != 0 || hoist_settings_load(o->settings, NULL, error);
}

void options_clear(Options *o)
{
    g_clear_pointer(&o->settings, hoist_settings_free);
    g_clear_pointer(&o->args, g_strfreev);
    g_clear_pointer(&o->out_dir, g_free);
}

/* ------------------------------------------------------------------ help */

char *options_help(const Command *cmd, const Command *commands)
{
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    g_auto(Options) none = { 0 };
    Parse parse = { &none, cmd };
    g_autoptr(GOptionContext) context = context_new(&parse, texts, NULL, &none.args);
    g_autofree char *name = cmd->name != NULL ? g_strconcat(HOIST_APP, " ", cmd->name, NULL) : g_strdup(HOIST_APP);
    g_autoptr(GString) about = g_string_new(cmd->help);
    g_string_append_c(about, '.');
    if (cmd->about != NULL)
        g_string_append_printf(about, "\n%s", cmd->about);
    if (cmd->name == NULL) {
        g_string_append(about, "\n\nCommands (hoist COMMAND --help says more):");
        for (const Command *c = commands; c->run != NULL; c++)
            if (c->name != NULL)
                g_string_append_printf(about, "\n  %-8s %s", c->name, c->help);
    }
    g_option_context_set_summary(context, about->str);
    g_autofree char *text = g_option_context_get_help(context, TRUE, NULL);
    const char *old_name = g_get_prgname() != NULL ? g_get_prgname() : "";
    const char *at = strstr(text, "\n  "); /* Usage: line, which names the program as it was started */
    const size_t old_length = strlen(old_name);
    if (at == NULL || strncmp(at + 3, old_name, old_length) != 0)
        return g_steal_pointer(&text);
    return g_strdup_printf("%.*s%s%s", (int)(at + 3 - text), text, name, at + 3 + old_length);
}
