#include "tui/options.h"

#include <string.h>

#include <glib/gstdio.h>

static int run_nothing(const Options *o)
{
    (void)o;
    return 0;
}

static const Command up = { "up",
                            "[PATH…]",
                            "upload without the dashboard",
                            NULL,
                            TAKES_UPLOADS | SWITCH_PLAIN | SWITCH_JSON | SWITCH_QUIET | SWITCH_DRY_RUN | SWITCH_NUL,
                            run_nothing };
static const Command retry = { "retry", "[ID…]", "queue failed files again", NULL, TAKES_STATE | SWITCH_ALL, run_nothing };
static const Command dashboard = { NULL, "[PATH…]", "upload files", "About.", TAKES_UPLOADS | SWITCH_VERSION, run_nothing };

#define ARGV(...) ((char *const *)(const char *const[]){ __VA_ARGS__, NULL })

static void expect_error(const Command *cmd, char *const *argv, const char *const *words)
{
    g_auto(Options) o = { 0 };
    g_autoptr(GError) error = NULL;
    g_assert_false(options_parse(&o, cmd, argv, &error));
    g_test_message("%s", error->message);
    for (; *words != NULL; words++)
        g_assert_nonnull(strstr(error->message, *words));
}

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void test_all_kinds(void)
{
    g_auto(Options) o = { 0 };
    g_autoptr(GError) error = NULL;
    g_assert_true(options_parse(&o, &up,
                                ARGV("--to", "s3://b/p", "a", "-j", "8", "--part-size=16M", "--unsigned-payload", "--tag", "a=1", "b c",
                                     "--tag=b=2", "--json", "-0", "-", "--limit", "2M"),
                                &error));
    g_assert_no_error(error);
    g_assert_cmpstr(hoist_settings_get(o.settings, "to"), ==, "s3://b/p");
    g_assert_cmpuint(hoist_settings_number(o.settings, "jobs"), ==, 8);
    g_assert_cmpuint(hoist_settings_number(o.settings, "part-size"), ==, 16000000);
    g_assert_cmpuint(hoist_settings_number(o.settings, "limit"), ==, 2000000);
    g_assert_true(hoist_settings_switch(o.settings, "unsigned-payload"));
    g_auto(GStrv) tags = hoist_settings_list(o.settings, "tag");
    g_assert_cmpstrv(tags, WORDS("a=1", "b=2"));
    g_assert_cmpstrv(o.args, WORDS("a", "b c", "-"));
    g_assert_cmphex(o.switches, ==, SWITCH_JSON | SWITCH_NUL);
    g_assert_cmpint(o.state, ==, -1);
}

static void test_joined_letter(void)
{
    g_auto(Options) o = { 0 };
    g_assert_true(options_parse(&o, &up, ARGV("-qn0", "-j8"), NULL));
    g_assert_cmphex(o.switches, ==, SWITCH_QUIET | SWITCH_DRY_RUN | SWITCH_NUL);
    g_assert_cmpuint(hoist_settings_number(o.settings, "jobs"), ==, 8);
}

static void test_paths_are_bytes(void)
{
    g_auto(Options) o = { 0 };
    g_assert_true(options_parse(&o, &up, ARGV("caf\xe9", "--", "--json", "-j"), NULL));
    g_assert_cmpstrv(o.args, WORDS("caf\xe9", "--json", "-j"));
    g_assert_cmphex(o.switches, ==, 0);
}

static void test_pictures(void)
{
    g_auto(Options) o = { 0 };
    g_autoptr(GError) error = NULL;
    g_assert_true(options_parse(&o, &up,
                                ARGV("--images", "web max-edge=2560", "--max-bytes=400k", "--keep-original", "--vectors", "--types",
                                     "image/*,video/mp4", "--types=text/plain", "a"),
                                &error));
    g_assert_no_error(error);
    g_assert_cmpstr(hoist_settings_get(o.settings, "images"), ==, "web max-edge=2560");
    g_assert_cmpuint(hoist_settings_number(o.settings, "max-bytes"), ==, 400000);
    g_assert_true(hoist_settings_switch(o.settings, "keep-original"));
    g_assert_true(hoist_settings_switch(o.settings, "vectors"));
    g_auto(GStrv) types = hoist_settings_list(o.settings, "types");
    g_assert_cmpstrv(types, WORDS("image/*,video/mp4", "text/plain"));
    g_assert_cmpstrv(o.args, WORDS("a"));
    g_auto(Options) off = { 0 };
    g_assert_true(options_parse(&off, &up, ARGV("--keep-original", "--keep-original=no", "--vectors=on", "--", "--vectors=no"), NULL));
    g_assert_false(hoist_settings_switch(off.settings, "keep-original"));
    g_assert_true(hoist_settings_switch(off.settings, "vectors"));
    g_assert_cmpstrv(off.args, WORDS("--vectors=no"));
    expect_error(&up, ARGV("--vectors=maybe"), WORDS("--vectors: \"maybe\" is neither true nor false"));
    expect_error(&up, ARGV("--vectors="), WORDS("--vectors"));
    expect_error(&up, ARGV("--json=yes"), WORDS("--json=yes", "takes no value"));
    g_auto(Options) spelt = { 0 };
    g_assert_true(options_parse(&spelt, &up, ARGV("--min-savings", "10%", "--background=#ff0000"), NULL));
    expect_error(&up, ARGV("--min-savings", "91%"), WORDS("--min-savings", "0..90"));
    expect_error(&up, ARGV("--quality", "80%"), WORDS("--quality", "30..100"));
    expect_error(&up, ARGV("--max-edge", "7"), WORDS("--max-edge", "\"7\"", "16..65535|none"));
    expect_error(&up, ARGV("--max-bytes", "1G"), WORDS("--max-bytes", "1KiB..256MiB|none"));
    expect_error(&up, ARGV("--quality", "none"), WORDS("--quality", "30..100"));
    expect_error(&up, ARGV("--format", "gif"), WORDS("--format", "auto|keep|jpeg|webp|avif|png"));
    expect_error(&up, ARGV("--background", "white"), WORDS("--background", "RRGGBB"));
    expect_error(&up, ARGV("--types", "pictures"), WORDS("--types", "TYPE/SUBTYPE"));
    expect_error(&up, ARGV("--upscale"), WORDS("unknown option --upscale"));
}

static void test_errors(void)
{
    expect_error(&up, ARGV("--jobs", "99"), WORDS("--jobs", "99", "1..64"));
    expect_error(&up, ARGV("-j", "none"), WORDS("--jobs", "none", "1..64"));
    expect_error(&up, ARGV("--part-size", "1k"), WORDS("--part-size", "64KiB"));
    expect_error(&up, ARGV("--if-exists=maybe"), WORDS("--if-exists", "overwrite|skip|fail"));
    expect_error(&up, ARGV("--no-such"), WORDS("unknown option --no-such", "hoist up --help"));
    expect_error(&up, ARGV("--to"), WORDS("--to", "hoist up --help"));
    expect_error(&up, ARGV("--version"), WORDS("--version"));
    expect_error(&up, ARGV("--to", "s3://b\033[31m"), WORDS("--to"));
    expect_error(&retry, ARGV("--to", "s3://b"), WORDS("--to", "hoist retry --help"));
    expect_error(&dashboard, ARGV("--json"), WORDS("--json", "hoist --help"));
    g_auto(Options) o = { 0 };
    g_autoptr(GError) error = NULL;
    g_assert_false(options_parse(&o, &up, ARGV("--\033[31mx"), &error));
    g_assert_null(strchr(error->message, 27));
}

static void test_state_or_directory(void)
{
    g_auto(Options) o = { 0 };
    g_assert_true(options_parse(&o, &retry, ARGV("--state", "failed", "--state", "/tmp/x", "3", "4"), NULL));
    g_assert_cmpint(o.state, ==, HOIST_FAILED);
    g_assert_cmpstr(hoist_settings_get(o.settings, "state"), ==, "/tmp/x");
    g_assert_cmpstrv(o.args, WORDS("3", "4"));
    g_auto(Options) p = { 0 };
    g_assert_true(options_parse(&p, &up, ARGV("--state", "failed"), NULL)); /* uploads know directories only */
    g_assert_cmpint(p.state, ==, -1);
    g_assert_cmpstr(hoist_settings_get(p.settings, "state"), ==, "failed");
    g_auto(Options) q = { 0 };
    g_autoptr(GError) error = NULL;
    g_assert_false(options_parse(&q, &retry, ARGV("--state", "faild"), &error)); /* misspelt, not a queue elsewhere */
    g_assert_nonnull(strstr(error->message, "faild"));
}

static void test_config_and_environment(void)
{
    g_autofree char *file = NULL;
    const int fd = g_file_open_tmp("hoist-options-XXXXXX", &file, NULL);
    g_assert_cmpint(fd, >=, 0);
    g_close(fd, NULL);
    g_assert_true(g_file_set_contents(file, "[hoist]\nparts = 7\njobs = 2\n", -1, NULL));
    g_setenv("HOIST_PARTS", "9", TRUE);
    {
        g_auto(Options) o = { 0 };
        g_autoptr(GError) error = NULL;
        g_assert_true(options_parse(&o, &up, ARGV("--config", file, "--jobs", "5"), &error));
        g_assert_cmpuint(hoist_settings_number(o.settings, "parts"), ==, 9);
        g_assert_cmpuint(hoist_settings_number(o.settings, "jobs"), ==, 5);
    }
    g_setenv("HOIST_PARTS", "900", TRUE);
    expect_error(&up, ARGV("x"), WORDS("HOIST_PARTS"));
    g_unsetenv("HOIST_PARTS");
    g_assert_true(g_file_set_contents(file, "[hoist]\n\nparts = many\n", -1, NULL));
    expect_error(&up, ARGV("--config", file), WORDS("line 3"));
    g_auto(Options) help = { 0 };
    g_assert_true(options_parse(&help, &up, ARGV("--config", file, "--help"), NULL)); /* help must always come */
    g_assert_cmphex(help.switches, ==, SWITCH_HELP);
    g_unlink(file);
    expect_error(&up, ARGV("--config", file), WORDS(file));
}

static void test_help(void)
{
    const Command table[] = { dashboard, up, retry, { NULL, NULL, NULL, NULL, 0, NULL } };
    g_autofree char *of_up = options_help(&up, table), *of_retry = options_help(&retry, table), *of_all = options_help(&dashboard, table);
    g_autofree char *of_dests = hoist_dests_help();
    for (const HoistOpt *opt = hoist_opts(); opt->name != NULL; opt++) { /* what only some destinations know is shown with them */
        g_autofree char *name = g_strconcat(" --", opt->name, NULL);
        const char *where = hoist_opt_is_common(opt) ? of_up : of_dests;
        g_assert_nonnull(strstr(where, name));
        g_assert_nonnull(strstr(where, opt->help));
    }
    g_assert_nonnull(strstr(of_up, "-0, --null"));
    g_assert_nonnull(strstr(of_up, "64KiB..5GiB"));
    g_assert_nonnull(strstr(of_up, "hoist up"));
    g_assert_null(strstr(of_retry, "--part-size"));
    g_assert_nonnull(strstr(of_retry, "STATE|DIR"));
    g_assert_nonnull(strstr(of_retry, "--all"));
    g_assert_nonnull(strstr(of_all, "About."));
    g_assert_nonnull(strstr(of_all, "retry    queue failed files again"));
    g_assert_nonnull(strstr(of_all, "--version"));
    g_test_message("%s", of_all);
}

/* ".It Fl j Ar N , Fl -jobs Ar N": the long names, each with the text below it. Free with g_hash_table_unref. */
static GHashTable *man_options(const char *text)
{
    GHashTable *items = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_auto(GStrv) parts = g_strsplit(text, "\n.It ", -1);
    for (char **item = parts; *item != NULL; item++) {
        g_autofree char *line = g_strndup(*item, strcspn(*item, "\n"));
        g_auto(GStrv) words = g_strsplit(line, " ", -1);
        for (char **word = words; g_str_has_prefix(line, "Fl ") && *word != NULL; word++)
            if (**word == '-')
                g_hash_table_insert(items, g_strdup(*word + 1), g_strdup(*item));
    }
    return items;
}

static void test_man_page(void)
{
    const Command every[] = { { NULL, "", "", NULL, 0xffff & ~(unsigned)TAKES_STATE, run_nothing }, { NULL, NULL, NULL, NULL, 0, NULL } };
    g_autofree char *path = g_build_filename(g_getenv("HOIST_TEST_DATA"), "..", "assets", "hoist.1", NULL), *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_autoptr(GHashTable) items = man_options(text);
    g_autofree char *help = options_help(every, every), *of_dests = hoist_dests_help();
    unsigned own = 0;
    for (const HoistOpt *opt = hoist_opts(); opt->name != NULL; opt++) {
        const char *item = g_hash_table_lookup(items, opt->name);
        own += !hoist_opt_is_common(opt);
        g_test_message("--%s", opt->name);
        g_assert_nonnull(item);
        if (opt->def != NULL)
            g_assert_nonnull(strstr(item, opt->def));
    }
    GHashTableIter it;
    gpointer name;
    g_hash_table_iter_init(&it, items);
    unsigned n = 0;
    while (g_hash_table_iter_next(&it, &name, NULL)) { /* nothing in it that is no more, nothing missing */
        g_autofree char *option = g_strconcat("--", name, NULL);
        g_test_message("%s", option);
        g_assert_true(strstr(help, option) != NULL || strstr(of_dests, option) != NULL);
        n++;
    }
    unsigned in_help = 0;
    for (const char *at = help; (at = strstr(at, "--")) != NULL; at += 2)
        in_help += at[-1] == ' ' && g_ascii_isalpha(at[2]) && strncmp(at, "--help says", 11) != 0;
    g_assert_cmpuint(n, ==, in_help + own);
}

int main(int argc, char **argv)
{
    g_setenv("XDG_CONFIG_HOME", "/nonexistent", TRUE);
    g_test_init(&argc, &argv, NULL);
    g_set_prgname("hoist");
    g_test_add_func("/options/all-kinds", test_all_kinds);
    g_test_add_func("/options/joined-letter", test_joined_letter);
    g_test_add_func("/options/paths-are-bytes", test_paths_are_bytes);
    g_test_add_func("/options/pictures", test_pictures);
    g_test_add_func("/options/errors", test_errors);
    g_test_add_func("/options/state-or-directory", test_state_or_directory);
    g_test_add_func("/options/config-and-environment", test_config_and_environment);
    g_test_add_func("/options/help", test_help);
    g_test_add_func("/options/man-page", test_man_page);
    return g_test_run();
}
