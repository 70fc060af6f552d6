#include <glib/gstdio.h>
#include <string.h>

#include "core/settings.h"

/* ---- one option ---- */

static void refuse(HoistSettings *s, const char *name, const char *value, const char *words)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *origin = g_strconcat("--", name, NULL);
    g_assert_false(hoist_settings_set(s, name, value, origin, &error));
    g_assert_error(error, FAULT, FAULT_USAGE);
    if (strstr(error->message, words) == NULL || !g_str_has_prefix(error->message, origin))
        g_error("\"%s\" does not say \"%s\"", error->message, words);
}

static void set(HoistSettings *s, const char *name, const char *value)
{
    g_autoptr(GError) error = NULL;
    hoist_settings_set(s, name, value, name, &error);
    g_assert_no_error(error);
}

static void test_rows(void)
{
    for (const HoistOpt *opt = hoist_opts(); opt->name != NULL; opt++) {
        g_assert_true(settings_opt(opt->name) == opt);
        g_assert_nonnull(opt->help);
        g_assert_true((opt->arg == NULL) == (opt->kind == HOIST_OPT_SWITCH));
        g_assert_true(opt->allowed != NULL || (opt->kind != HOIST_OPT_NUMBER && opt->kind != HOIST_OPT_CHOICE));
        if (opt->def == NULL)
            continue;
        g_autoptr(HoistSettings) s = hoist_settings_new(); /* a default must be a value that a person could give */
        set(s, opt->name, opt->def);
    }
    g_autofree char *name = settings_env_name(settings_opt("part-size"));
    g_assert_cmpstr(name, ==, "HOIST_PART_SIZE");
    g_assert_null(settings_opt("no-such"));
}

/* What a destination heeds must be an option of ours, frozen with the batch. */
static void test_destinations_agree(void)
{
    for (const DestOps *const *ops = dest_table(); *ops != NULL; ops++)
        for (const char *const *name = (*ops)->shared; name != NULL && *name != NULL; name++) {
            const HoistOpt *opt = settings_opt(*name);
            if (opt == NULL)
                g_error("%s heeds an option %s that is no option of hoist", (*ops)->scheme, *name);
            g_assert_true(opt->per_batch);
        }
}

static void same_text(const char *scheme, const char *name, const char *theirs, const char *ours)
{
    if (g_strcmp0(theirs, ours) != 0)
        g_error("%s has an option %s of its own that says \"%s\", another has \"%s\"", scheme, name, theirs, ours);
}

/* One name is one option, whoever has a row for it; what several roads share belongs into the common rows. */
static void test_own_rows_agree(void)
{
    for (const DestOps *const *ops = dest_table(); *ops != NULL; ops++)
        for (const HoistOpt *own = (*ops)->opts; own != NULL && own->name != NULL; own++) {
            const HoistOpt *opt = settings_opt(own->name);
            g_assert_nonnull(opt);
            if (hoist_opt_is_common(opt) || !own->per_batch || own->letter != 0)
                g_error("%s: its option %s must be per batch, without a letter, and no common one", (*ops)->scheme, own->name);
            g_assert_true(own->kind == opt->kind && own->repeat == opt->repeat);
            same_text((*ops)->scheme, own->name, own->arg, opt->arg);
            same_text((*ops)->scheme, own->name, own->def, opt->def);
            same_text((*ops)->scheme, own->name, own->allowed, opt->allowed);
            same_text((*ops)->scheme, own->name, own->help, opt->help);
        }
}

static void test_defaults(void)
{
    g_autoptr(HoistSettings) s = hoist_settings_new();
    g_assert_null(hoist_settings_get(s, "to"));
    g_assert_cmpstr(hoist_settings_get(s, "jobs"), ==, "auto");
    g_assert_cmpuint(hoist_settings_number(s, "jobs"), ==, 0);
    g_assert_cmpuint(hoist_settings_number(s, "parts"), ==, 0);
    g_assert_cmpuint(hoist_settings_number(s, "part-size"), ==, 0);
    g_assert_cmpuint(hoist_settings_number(s, "spool-size"), ==, 512 << 20);
    g_assert_cmpstr(hoist_settings_get(s, "key"), ==, "{relpath}");
    g_assert_false(hoist_settings_switch(s, "unsigned-payload"));
    g_assert_false(settings_is_set(s, "jobs"));
    g_auto(GStrv) none = hoist_settings_list(s, "header");
    g_assert_cmpuint(g_strv_length(none), ==, 0);
    g_assert_null(hoist_settings_get(s, "no-such"));
}

static void test_values_are_checked(void)
{
    g_autoptr(HoistSettings) s = hoist_settings_new();
    refuse(s, "jobs", "0", "allowed: 1..64|auto");
    refuse(s, "jobs", "65", "\"65\"");
    refuse(s, "jobs", "-1", "allowed");
    refuse(s, "jobs", "3x", "allowed");
    refuse(s, "parts", "65", "allowed: 1..64|auto");
    refuse(s, "part-size", "4K", "allowed: 64KiB..5GiB");
    refuse(s, "part-size", "6G", "allowed");
    refuse(s, "max-size", "big", "allowed: like 8M");
    refuse(s, "if-exists", "maybe", "overwrite|skip|fail");
    refuse(s, "checksum", "sha3", "auto|crc64nvme|crc32c|sha256|sha1|md5|none");
    refuse(s, "sse", "rot13", "AES256|aws:kms|aws:kms:dsse");
    refuse(s, "addressing", "both", "auto|path|virtual");
    refuse(s, "token-life", "1s", "allowed: 1m..365d");
    refuse(s, "token-life", "soon", "like 1h");
    refuse(s, "public-url", "cdn.example", "https://HOST");
    refuse(s, "public-url", "https://cdn.example/?x", "no ?");
    refuse(s, "callback-url", "https://a.example/;ftp://b.example/", "is not a URL");
    refuse(s, "callback-var", "x", "NAME=VALUE");
    refuse(s, "callback-body-type", "text/plain", "application/json");
    refuse(s, "unsigned-payload", "perhaps", "neither true nor false");
    refuse(s, "region", "", "is empty");
    refuse(s, "region", NULL, "is empty");
    refuse(s, "header", "no colon", "NAME: VALUE");
    refuse(s, "meta", "=x", "NAME=VALUE");
    refuse(s, "meta", "a=b\nc", "control character");
    refuse(s, "exclude", "\xff", "UTF-8");
    refuse(s, "key", "{nmae}", "{nmae} is unknown");
    refuse(s, "endpoint", "localhost:9000", "https://HOST");
    refuse(s, "endpoint", "ftp://h/", "https://HOST");
    refuse(s, "endpoint", "http://h/?x=1", "no ?");
    refuse(s, "no-such", "1", "there is no option");
    g_autofree char *long_text = g_strnfill(SETTINGS_MAX_VALUE_BYTES + 1, 'x');
    refuse(s, "region", long_text, "too long");
    set(s, "endpoint", "http://127.0.0.1:9000/base");
    set(s, "public-url", "https://cdn.example/base/");
    set(s, "secret", "password=file:~/pw");
    set(s, "secret", "token=file:/etc/pw");
    set(s, "callback-url", "https://a.example/cb?x=1; http://b.example:8080/");
    set(s, "state", "/tmp/\xff"); /* a path is bytes */
    set(s, "jobs", "64");
    g_assert_cmpuint(hoist_settings_number(s, "jobs"), ==, 64);
    set(s, "unsigned-payload", NULL);
    g_assert_true(hoist_settings_switch(s, "unsigned-payload"));
    set(s, "unsigned-payload", "no");
    g_assert_false(hoist_settings_switch(s, "unsigned-payload"));
}

static void test_secrets_are_refused_and_not_repeated(void)
{
    static const char *const rows[][2] = { { "endpoint", "https://me:hunter2@store.example" },
                                           { "endpoint", "https://me:hunter2@" },
                                           { "to", "s3://me:hunter2@bucket/" },
                                           { "header", "Authorization: Bearer hunter2" },
                                           { "header", "x-amz-security-token : hunter2" },
                                           { "header", "Cookie:hunter2" },
                                           { "public-url", "https://me:hunter2@cdn.example/" },
                                           { "callback-url", "https://a.example/;https://me:hunter2@b.example/" },
                                           { "secret", "hunter2" },
                                           { "secret", "password=hunter2" },
                                           { "secret", "=env:hunter2" },
                                           { "secret", "password=file:hunter2" },
                                           { "secret", "password=env:" } };
    g_autoptr(HoistSettings) s = hoist_settings_new();
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(hoist_settings_set(s, rows[i][0], rows[i][1], "--x", &error));
        g_assert_null(strstr(error->message, "hunter2"));
    }
}

static void test_repeat(void)
{
    g_autoptr(HoistSettings) s = hoist_settings_new();
    set(s, "exclude", "*.tmp");
    set(s, "exclude", "*.bak");
    g_autoptr(HoistSettings) copy = hoist_settings_dup(s);
    set(s, "exclude", "*.o");
    g_auto(GStrv) list = hoist_settings_list(s, "exclude"), copied = hoist_settings_list(copy, "exclude");
    g_assert_cmpuint(g_strv_length(list), ==, 3);
    g_assert_cmpstr(list[2], ==, "*.o");
    g_assert_cmpuint(g_strv_length(copied), ==, 2);
    for (unsigned i = 3; i < SETTINGS_MAX_VALUES; i++)
        set(s, "exclude", "x");
    refuse(s, "exclude", "x", "one too many");
}

static void test_sizes(void)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        { "0", 0 },
        { "1", 1 },
        { "8M", 8000000 },
        { "8MiB", 8 << 20 },
        { "8Mi", 8 << 20 },
        { "8MB", 8000000 },
        { "500kB/s", 500000 },
        { "500K", 500000 },
        { " 1.5 GiB ", 1610612736 },
        { "2.5M", 2500000 },
        { "0.1Ki", 102 },
        { "1.0009k", 1000 },
        { "5TiB", 5497558138880 },
        { "1.5", 1 },
        { "18446744073709551615", UINT64_MAX },
        { "10B", 10 },
    };
    static const char *const bad[] = { "",          "M",       "-1",   "+1",   "1e3",  "8 M B", "8MM",  "8Mib",
                                       "8m",        "0x10",    "1,5M", "1.5.", "8M/m", "nan",   "8M x", "18446744073709551616",
                                       "99999999T", "20000PiB" };
    for (unsigned i = 0; i < G_N_ELEMENTS(good); i++) {
        uint64_t bytes = 77;
        if (!hoist_parse_size(good[i].text, &bytes) || bytes != good[i].bytes)
            g_error("\"%s\" gives %" G_GUINT64_FORMAT, good[i].text, bytes);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        uint64_t bytes = 77;
        if (hoist_parse_size(bad[i], &bytes))
            g_error("\"%s\" gives %" G_GUINT64_FORMAT, bad[i], bytes);
        g_assert_cmpuint(bytes, ==, 77);
    }
}

static void test_times(void)
{
    static const struct {
        const char *text;
        uint64_t seconds;
    } good[] = { { "0", 0 }, { "90", 90 }, { "90s", 90 }, { "15m", 900 }, { "1h", 3600 }, { "7d", 604800 }, { "4294967295", 4294967295 } };
    static const char *const bad[] = { "", "m", "-1", "1.5h", "1 h", "1w", "1hh", "h1", "4294967296", "0x1", "+1" };
    for (unsigned i = 0; i < G_N_ELEMENTS(good); i++) {
        uint64_t seconds = 77;
        if (!hoist_parse_time(good[i].text, &seconds) || seconds != good[i].seconds)
            g_error("\"%s\" gives %" G_GUINT64_FORMAT, good[i].text, seconds);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        uint64_t seconds = 77;
        if (hoist_parse_time(bad[i], &seconds))
            g_error("\"%s\" gives %" G_GUINT64_FORMAT, bad[i], seconds);
    }
    g_autoptr(HoistSettings) s = hoist_settings_new();
    set(s, "token-life", "2h"); /* kept as seconds: destinations need not know how people write times */
    g_assert_cmpstr(hoist_settings_get(s, "token-life"), ==, "7200");
}

/* ---- config.ini ---- */

static char *write_config(const char *text)
{
    g_autofree char *dir = g_dir_make_tmp("hoist-config-XXXXXX", NULL);
    char *path = g_build_filename(dir, "config.ini", NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    return path;
}

static void remove_config(const char *path)
{
    g_autofree char *dir = g_path_get_dirname(path);
    g_unlink(path);
    g_rmdir(dir);
}

static HoistSettings *loaded(const char *text)
{
    HoistSettings *s = hoist_settings_new();
    g_autofree char *path = write_config(text);
    g_autoptr(GError) error = NULL;
    hoist_settings_load(s, path, &error);
    g_assert_no_error(error);
    remove_config(path);
    return s;
}

static void config_fault(const char *text, unsigned line, const char *words)
{
    g_autoptr(HoistSettings) s = hoist_settings_new();
    g_autofree char *path = write_config(text);
    g_autoptr(GError) error = NULL;
    g_assert_false(hoist_settings_load(s, path, &error));
    g_assert_error(error, FAULT, FAULT_CONFIG);
    g_autofree char *start = g_strdup_printf("%s line %u: ", path, line);
    if (!g_str_has_prefix(error->message, start) || strstr(error->message, words) == NULL)
        g_error("\"%s\" is not \"%s...%s\"", error->message, start, words);
    g_assert_null(strstr(error->message, "hunter2"));
    remove_config(path);
}

static void test_config_is_read(void)
{
    g_autoptr(HoistSettings) s =
        loaded("\xef\xbb\xbf# mine\n[hoist]\nto = s3://b/p\njobs = 8\r\nlimit = 2.5M\nexclude = *.tmp;*.b\\;k\nlog = ~/x.log\n");
    g_assert_cmpstr(hoist_settings_get(s, "to"), ==, "s3://b/p");
    g_assert_cmpuint(hoist_settings_number(s, "jobs"), ==, 8);
    g_assert_cmpuint(hoist_settings_number(s, "limit"), ==, 2500000);
    g_auto(GStrv) list = hoist_settings_list(s, "exclude");
    g_assert_cmpuint(g_strv_length(list), ==, 2);
    g_assert_cmpstr(list[1], ==, "*.b;k");
    g_assert_true(g_str_has_prefix(hoist_settings_get(s, "log"), g_get_home_dir()));
    g_autoptr(HoistSettings) empty = loaded(""), comments = loaded("\n# nothing\n\n");
    g_assert_null(hoist_settings_get(empty, "to"));
    g_assert_null(hoist_settings_get(comments, "to"));
}

static void test_config_faults_name_the_line(void)
{
    config_fault("[hoist]\n# jobs = 99\njobs = 1\n\njobs = 99\n", 5, "jobs: \"99\" is not allowed; allowed: 1..64|auto");
    config_fault("[hoist]\njops = 3\n", 2, "unknown key \"jops\"; allowed: to, endpoint");
    config_fault("[hoist]\nconfig = x\n", 2, "unknown key \"config\"");
    config_fault("[hoist]\n\n[hoists]\njobs = 3\n", 3, "unknown group [hoists]; allowed: [hoist], [dest NAME], [images NAME]");
    config_fault("jobs = 3\n[hoist]\n", 1, "neither [GROUP]");
    config_fault("[hoist]\njobs = 3\nhunter2\n", 3, "neither [GROUP]");
    config_fault("[hoist]\njobs = 3\n; jobs = 2\n", 3, "begin with #");
    config_fault("[hoist\njobs = 3\n", 1, "neither [GROUP]");
    config_fault("[hoist]\nkey = a\\d\n", 2, "a \\ that is not one of");
    config_fault("[hoist]\nkey = \xff\n", 2, "UTF-8");
    config_fault("[dest a]\nto = s3://b\njobs = 3\n", 3, "unknown key \"jobs\"; allowed: to, endpoint");
    config_fault("[dest a]\nto = bucket\n", 2, "not a destination");
    config_fault("[hoist]\n[dest a]\nregion = x\n", 2, "lacks a line like to =");
    config_fault("[dest ]\nto = s3://b\n", 1, "needs a name");
    config_fault("[dest a]\nto = s3://b\n[dest  a]\nto = s3://c\n", 3, "of its own");
    config_fault("[dest a:b]\nto = s3://b\n", 1, "without : and /");
    config_fault("[dest a]\nto = s3://b\nbroker = x\n", 3, "s3 has no option \"broker\" (that is for broker)");
    config_fault("[dest a]\nacl = private\nto = tus+https://h/files/\n", 2, "tus has no option \"acl\" (that is for s3, ");
    config_fault("[dest a]\nto = tus+https://h/files/\nendpoint = https://h/\n", 3, "tus has no option \"endpoint\"");
    config_fault("[dest a]\nto = s3://b\nheader = Authorization: hunter2\n", 3, "holds a secret");
}

static void test_config_refuses_secrets(void)
{
    config_fault("[hoist]\nsecret_access_key = hunter2\n", 2, "profile of ~/.aws/credentials");
    config_fault("[dest a]\nto = s3://b\naccess_key = hunter2\n", 3, "AWS_ACCESS_KEY_ID");
    config_fault("[dest a]\nsession-token = hunter2\n", 2, "secrets do not belong");
}

static void test_missing_files(void)
{
    g_autoptr(GError) error = NULL, directory = NULL;
    g_autoptr(HoistSettings) s = hoist_settings_new();
    g_assert_false(hoist_settings_load(s, "/nonexistent/config.ini", &error));
    g_assert_error(error, FAULT, FAULT_CONFIG);
    g_assert_nonnull(strstr(error->message, "/nonexistent/config.ini"));
    g_assert_false(hoist_settings_load(s, "/", &directory));
    g_autoptr(GError) none = NULL;
    g_assert_true(hoist_settings_load(s, NULL, &none)); /* XDG_CONFIG_HOME is empty, see main */
    g_assert_no_error(none);
}

/* ---- precedence ---- */

static const char layered[] =
    "[hoist]\nto = home\nregion = from-hoist\nprofile = from-hoist\nacl = from-hoist\nstorage-class = FROM-HOIST\n"
    "[dest home]\nto = s3://home/a\nregion = from-dest\nprofile = from-dest\nacl = from-dest\n"
    "[dest work]\nto = s3://office/b\nregion = from-work\n";

static void test_precedence(void)
{
    g_setenv("HOIST_REGION", "from-env", TRUE);
    g_setenv("HOIST_PROFILE", "from-env", TRUE);
    g_setenv("HOIST_IF_EXISTS", "skip", TRUE);
    g_setenv("HOIST_SSE", "", TRUE); /* empty is absent */
    g_setenv("HOIST_TAG", "a=1\nb=2", TRUE);
    g_autofree char *path = write_config(layered);
    g_autoptr(HoistSettings) s = hoist_settings_new();
    set(s, "region", "given");
    g_autoptr(GError) error = NULL;
    g_assert_true(hoist_settings_load(s, path, &error));
    remove_config(path);
    g_unsetenv("HOIST_REGION");
    g_unsetenv("HOIST_PROFILE");
    g_unsetenv("HOIST_IF_EXISTS");
    g_unsetenv("HOIST_SSE");
    g_unsetenv("HOIST_TAG");

    g_assert_cmpstr(hoist_settings_get(s, "region"), ==, "given");
    g_assert_cmpstr(hoist_settings_get(s, "profile"), ==, "from-env");
    g_assert_cmpstr(hoist_settings_get(s, "acl"), ==, "from-dest");
    g_assert_cmpstr(hoist_settings_get(s, "storage-class"), ==, "FROM-HOIST");
    g_assert_cmpstr(hoist_settings_get(s, "if-exists"), ==, "skip");
    g_assert_cmpstr(hoist_settings_get(s, "checksum"), ==, "auto");
    g_assert_false(settings_is_set(s, "sse"));
    g_assert_cmpstr(hoist_settings_get(s, "to"), ==, "s3://home/a");
    g_assert_cmpstr(settings_dest_name(s), ==, "home");
    g_auto(GStrv) tags = hoist_settings_list(s, "tag");
    g_assert_cmpuint(g_strv_length(tags), ==, 2);
}

static void test_environment_faults_name_the_variable(void)
{
    g_setenv("HOIST_PART_SIZE", "tiny", TRUE);
    g_autoptr(HoistSettings) s = hoist_settings_new();
    g_autoptr(GError) error = NULL;
    g_assert_false(hoist_settings_load(s, NULL, &error));
    g_unsetenv("HOIST_PART_SIZE");
    g_assert_true(hoist_fault_is_usage(error));
    g_assert_true(g_str_has_prefix(error->message, "HOIST_PART_SIZE: part-size: \"tiny\""));
}

static void test_environment_names_the_file(void)
{
    g_autofree char *path = write_config("[hoist]\njobs = 9\n");
    g_setenv("HOIST_CONFIG", path, TRUE);
    g_autoptr(HoistSettings) s = hoist_settings_new();
    g_autoptr(GError) error = NULL;
    g_assert_true(hoist_settings_load(s, NULL, &error));
    g_unsetenv("HOIST_CONFIG");
    remove_config(path);
    g_assert_cmpuint(hoist_settings_number(s, "jobs"), ==, 9);
}

static void test_another_dest_later(void)
{
    g_autoptr(HoistSettings) s = loaded(layered);
    g_autoptr(HoistSettings) other = hoist_settings_dup(s);
    set(other, "to", "work");
    g_assert_cmpstr(hoist_settings_get(other, "to"), ==, "s3://office/b");
    g_assert_cmpstr(hoist_settings_get(other, "region"), ==, "from-work");
    g_assert_cmpstr(hoist_settings_get(other, "acl"), ==, "from-hoist"); /* home's is gone with home */
    set(other, "to", "s3://plain");
    g_assert_null(settings_dest_name(other));
    g_assert_cmpstr(hoist_settings_get(other, "region"), ==, "from-hoist");
    g_assert_cmpstr(hoist_settings_get(s, "to"), ==, "s3://home/a");
}

/* ---- JSON ---- */

static void test_json_there_and_back(void)
{
    g_autoptr(HoistSettings) s = loaded(layered);
    set(s, "header", "Cache-Control: max-age=60; \"x\"");
    set(s, "header", "X: ü");
    set(s, "jobs", "7");
    g_autofree char *batch = settings_to_json(s, true), *all = settings_to_json(s, false);
    g_assert_null(strstr(batch, "jobs"));
    g_assert_nonnull(strstr(all, "\"jobs\":\"7\""));
    g_assert_null(strstr(batch, "if-exists")); /* defaults are not frozen */

    g_autoptr(GError) error = NULL;
    g_autoptr(HoistSettings) back = settings_from_json(all, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(hoist_settings_get(back, "to"), ==, "s3://home/a");
    g_assert_cmpstr(settings_dest_name(back), ==, "home");
    g_assert_cmpstr(hoist_settings_get(back, "region"), ==, "from-dest");
    g_auto(GStrv) headers = hoist_settings_list(back, "header");
    g_assert_cmpuint(g_strv_length(headers), ==, 2);
    g_assert_cmpstr(headers[1], ==, "X: ü");
    g_autofree char *again = settings_to_json(back, false);
    g_assert_cmpstr(again, ==, all);

    g_autoptr(HoistSettings) none = hoist_settings_new();
    g_autofree char *empty = settings_to_json(none, true);
    g_assert_true(g_str_has_prefix(empty, "{\"recipes\":[\"web ")); /* but what becomes of pictures is, whatever a later default says */
}

static void test_bad_json(void)
{
    static const char *const bad[] = { "",
                                       "[]",
                                       "{",
                                       "null",
                                       "{\"jobs\":3}",
                                       "{\"jobs\":\"99\"}",
                                       "{\"no-such\":\"1\"}",
                                       "{\"tag\":[1]}",
                                       "{\"tag\":[null]}",
                                       "{\"tag\":{}}",
                                       "{\"to\":null}",
                                       "{\"to\":[]",
                                       "{\"to\":\"a\\u0000b\"}{" };
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        if (settings_from_json(bad[i], &error) != NULL)
            g_error("taken: %s", bad[i]);
        g_assert_error(error, FAULT, FAULT_USAGE);
    }
}

/* ---- the destination ---- */

static void test_dest(void)
{
    g_autoptr(HoistSettings) s =
        loaded("[dest home]\nto = s3://home/a\nendpoint = http://127.0.0.1:9000\ntag = a=1;b=2\nunsigned-payload = no\n");
    g_autoptr(GError) error = NULL;
    g_assert_null(settings_dest(s, &error));
    g_assert_error(error, FAULT, FAULT_USAGE);
    g_assert_nonnull(strstr(error->message, "--to says where: s3://BUCKET/PREFIX"));

    set(s, "to", "hom");
    g_autoptr(GError) unknown = NULL;
    g_assert_null(settings_dest(s, &unknown));
    g_assert_nonnull(strstr(unknown->message, "[dest hom]"));

    set(s, "to", "home");
    g_autoptr(GError) none = NULL;
    g_autoptr(DestConf) conf = settings_dest(s, &none);
    g_assert_no_error(none);
    g_assert_cmpstr(conf->name, ==, "home");
    g_assert_cmpstr(conf->bucket, ==, "home");
    g_assert_cmpstr(conf->prefix, ==, "a/");
    g_assert_cmpstr(conf->endpoint, ==, "http://127.0.0.1:9000");
    g_assert_cmpstr(conf->region, ==, NULL);
    g_assert_cmpstr(dest_conf_option(conf, "tag"), ==, "a=1\nb=2");
    g_assert_null(dest_conf_option(conf, "if-exists"));
    g_assert_null(dest_conf_option(conf, "unsigned-payload")); /* off is as if never said */
}

static void test_dest_asks_aws(void)
{
    g_autofree char *path =
        write_config("[profile p]\nregion = eu-west-3\nendpoint_url = http://127.0.0.1:1\ns3 =\n  addressing_style = path\n"
                     "[profile bad]\nregion = no region\n");
    g_setenv("AWS_CONFIG_FILE", path, TRUE);
    g_autoptr(HoistSettings) s = hoist_settings_new();
    set(s, "to", "s3://b");
    set(s, "profile", "p");
    g_autoptr(GError) error = NULL, bad = NULL, given = NULL;
    g_autoptr(DestConf) conf = settings_dest(s, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(conf->region, ==, "eu-west-3");
    g_assert_cmpstr(conf->endpoint, ==, "http://127.0.0.1:1");
    g_assert_cmpstr(dest_conf_option(conf, "addressing"), ==, "path");

    set(s, "profile", "bad");
    g_assert_null(settings_dest(s, &bad));
    g_assert_error(bad, FAULT, FAULT_CONFIG);
    set(s, "region", "eu-west-1");
    set(s, "endpoint", "https://store.example");
    set(s, "addressing", "virtual");
    g_autoptr(DestConf) own = settings_dest(s, &given);
    g_assert_no_error(given);
    g_assert_cmpstr(own->region, ==, "eu-west-1");
    g_assert_cmpstr(own->endpoint, ==, "https://store.example");
    g_assert_cmpstr(dest_conf_option(own, "addressing"), ==, "virtual");
    g_unsetenv("AWS_CONFIG_FILE");
    remove_config(path);
}

/* Text after "allowed: " of the complaint about an unknown key. */
static char *allowed_in(const char *to)
{
    g_autofree char *text = g_strdup_printf("[dest a]\nto = %s\nno-such = 1\n", to), *path = write_config(text);
    g_autoptr(HoistSettings) s = hoist_settings_new();
    g_autoptr(GError) error = NULL;
    g_assert_false(hoist_settings_load(s, path, &error));
    remove_config(path);
    return g_strconcat(", ", strstr(error->message, "allowed: ") + strlen("allowed: "), ",", NULL);
}

static void test_allowed_keys_are_those_of_the_road(void)
{
    g_autofree char *s3 = allowed_in("s3://b"), *tus = allowed_in("tus+https://h/files/");
    g_assert_nonnull(strstr(s3, ", acl,"));
    g_assert_nonnull(strstr(s3, ", endpoint,"));
    g_assert_null(strstr(s3, ", tus-metadata,"));
    g_assert_null(strstr(s3, ", jobs,"));
    g_assert_nonnull(strstr(tus, ", tus-metadata,"));
    g_assert_nonnull(strstr(tus, ", secret,"));
    g_assert_null(strstr(tus, ", acl,"));
    g_assert_null(strstr(tus, ", endpoint,"));
}

static void unfit(const HoistSettings *s, FaultCode code, const char *start, const char *words)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(hoist_settings_check_dest(s, NULL, &error));
    if (fault_code(error) != code || !g_str_has_prefix(error->message, start) || strstr(error->message, words) == NULL)
        g_error("\"%s\" is not \"%s...%s\"", error->message, start, words);
    g_assert_null(strstr(error->message, "hunter2"));
}

static void test_options_that_a_road_lacks(void)
{
    g_autoptr(HoistSettings) s = loaded("[hoist]\nacl = private\ntus-override = on\nsecret = password=env:NOWHERE\n"
                                        "[dest t]\nto = tus+https://h/files/\nsecret = token=env:T\n[dest s]\nto = s3://b\n");
    g_autoptr(GError) error = NULL;
    g_setenv("T", "t", TRUE);
    set(s, "to", "s");
    g_assert_true(hoist_settings_check_dest(s, NULL, &error)); /* what [hoist] says is for whoever heeds it */
    set(s, "to", "t");
    g_assert_true(hoist_settings_check_dest(s, NULL, &error));
    g_autoptr(DestConf) conf = settings_dest(s, &error);
    g_assert_null(dest_conf_option(conf, "acl"));
    g_assert_cmpstr(dest_conf_option(conf, "tus-override"), ==, "true");
    g_autoptr(HoistSettings) given = hoist_settings_dup(s);
    hoist_settings_set(given, "acl", "private", "--acl", &error);
    g_assert_no_error(error);
    unfit(given, FAULT_USAGE, "--acl: tus has no option \"acl\"; it is for s3", "s3");
    g_unsetenv("T");
}

static void test_what_a_road_refuses_names_the_line(void)
{
    g_autofree char *path = write_config("[dest a]\nto = s3://b\n\nmeta = a b=c\n");
    g_autofree char *line = g_strdup_printf("%s line 4: --meta is written", path);
    g_autoptr(HoistSettings) s = hoist_settings_new();
    g_autoptr(GError) error = NULL;
    g_assert_true(hoist_settings_load(s, path, &error));
    remove_config(path);
    set(s, "to", "a");
    unfit(s, FAULT_CONFIG, line, "NAME=VALUE");
    hoist_settings_set(s, "meta", "c d=e", "--meta", &error);
    unfit(s, FAULT_USAGE, "--meta is written", "NAME=VALUE");
}

static void test_missing_secrets_name_the_line(void)
{
    static const char text[] = "[dest q]\nto = qiniu://b/\nregion = z0\n[dest k]\nto = qiniu://b/\n\nsecret = access-key=env:NOWHERE\n"
                               "[dest w]\nto = qiniu://b/\nsecret = acess-key=env:HOME\n";
    if (dest_by_scheme("qiniu") == NULL) {
        g_test_skip("no qiniu here");
        return;
    }
    g_autofree char *path = write_config(text);
    g_autofree char *group = g_strdup_printf("%s line 1: ", path), *key = g_strdup_printf("%s line 7: ", path);
    g_autofree char *wrong = g_strdup_printf("%s line 10: ", path);
    g_autoptr(HoistSettings) s = hoist_settings_new();
    g_autoptr(GError) error = NULL;
    g_assert_true(hoist_settings_load(s, path, &error));
    remove_config(path);
    set(s, "to", "q");
    unfit(s, FAULT_CONFIG, group, "\"access-key\" is missing: QINIU_ACCESS_KEY is not set");
    set(s, "to", "k");
    unfit(s, FAULT_CONFIG, key, "\"access-key\" is missing: the variable that");
    set(s, "to", "w");
    unfit(s, FAULT_CONFIG, wrong, "no secret \"acess-key\" here; allowed: access-key, secret-key");
    set(s, "to", "qiniu://b/");
    unfit(s, FAULT_CONFIG, "the secret \"access-key\"", "QINIU_ACCESS_KEY");
}

static const char *to_of(HoistSettings *s, const char *to)
{
    set(s, "to", to);
    return hoist_settings_get(s, "to");
}

static void test_scheme_and_name(void)
{
    g_autoptr(HoistSettings) s = loaded("[dest forms]\nto = post://b/p\n[dest plain]\nto = s3://b\n");
    g_assert_cmpstr(to_of(s, "forms"), ==, "post://b/p");
    g_assert_cmpstr(to_of(s, "post:forms"), ==, "post://b/p");
    g_assert_cmpstr(settings_dest_name(s), ==, "forms");
    g_assert_cmpstr(to_of(s, "post:plain"), ==, "post:plain");
    g_autoptr(GError) other = NULL, none = NULL;
    g_assert_null(settings_dest(s, &other));
    g_assert_nonnull(strstr(other->message, "config.ini has no [dest plain] with to = post:"));
    set(s, "to", "nowhere");
    g_assert_null(settings_dest(s, &none));
    g_assert_nonnull(strstr(none->message, "config.ini has no [dest nowhere]; allowed: such a name, or s3://"));
}

static void test_broker_is_short(void)
{
    if (dest_by_scheme("broker") == NULL) {
        g_test_skip("no broker here");
        return;
    }
    g_autoptr(HoistSettings) s = loaded("[dest shots]\nbroker = uppy-companion\n");
    g_assert_cmpstr(to_of(s, "shots"), ==, "broker:uppy-companion");
    g_assert_cmpstr(to_of(s, "broker:shots"), ==, "broker:uppy-companion");
    g_assert_cmpstr(to_of(s, "broker:uppy-companion"), ==, "broker:uppy-companion");
    g_autoptr(HoistSettings) both = loaded("[dest shots]\nto = broker:app\nbroker = /etc/app.json\n");
    g_assert_cmpstr(to_of(both, "shots"), ==, "broker:app");
    g_assert_cmpstr(hoist_settings_get(both, "broker"), ==, "/etc/app.json");
}

/* A line of [dest NAME] that was wrong and is corrected counts for what was queued with it; what the files were given themselves stays. */
static void test_corrections_count_for_files_that_wait(void)
{
    g_autoptr(HoistSettings) then = loaded("[dest a]\nto = s3://old/x\nprofile = hom\nacl = private\nkey = {name}\n");
    set(then, "to", "a");
    set(then, "acl", "public-read");
    g_autofree char *json = settings_to_json(then, true);
    g_autoptr(HoistSettings) passed_on = settings_from_json(json, NULL);
    g_autofree char *again = settings_to_json(passed_on, true); /* through an inbox */
    g_autoptr(HoistSettings) frozen = settings_from_json(again, NULL);
    g_autoptr(HoistSettings) now =
        loaded("[dest a]\nto = s3://new/y\nprofile = home\nacl = bucket-owner-read\nkey = {date}/{name}\ntag = a=1;b=2\n");
    g_assert_nonnull(frozen);
    settings_refresh(frozen, now);
    g_assert_cmpstr(hoist_settings_get(frozen, "profile"), ==, "home");
    g_assert_cmpstr(hoist_settings_get(frozen, "acl"), ==, "public-read");
    g_assert_cmpstr(hoist_settings_get(frozen, "to"), ==, "s3://old/x");
    g_assert_cmpstr(hoist_settings_get(frozen, "key"), ==, "{name}");
    g_auto(GStrv) tags = hoist_settings_list(frozen, "tag");
    g_assert_cmpuint(g_strv_length(tags), ==, 2);

    g_autoptr(HoistSettings) blocks = loaded("[dest q]\nto = qiniu://b\nqiniu-version = v1\n");
    set(blocks, "to", "q");
    g_autofree char *blocks_json = settings_to_json(blocks, true);
    g_autoptr(HoistSettings) begun = settings_from_json(blocks_json, NULL);
    g_autoptr(HoistSettings) parts = loaded("[dest q]\nto = qiniu://b\nqiniu-version = v2\n");
    settings_refresh(begun, parts); /* an upload that was begun by v1 is no upload of v2 */
    g_assert_cmpstr(hoist_settings_get(begun, "qiniu-version"), ==, "v1");

    g_autoptr(HoistSettings) plain = hoist_settings_new(); /* queued without a name: nothing of the file is its own */
    set(plain, "to", "s3://b/c");
    g_autofree char *plain_json = settings_to_json(plain, true);
    g_autoptr(HoistSettings) nameless = settings_from_json(plain_json, NULL);
    settings_refresh(nameless, now);
    g_assert_false(settings_is_set(nameless, "profile"));
}

static void test_template_of_keys(void)
{
    g_autoptr(HoistSettings) s = hoist_settings_new();
    g_assert_cmpstr(settings_key_template(s), ==, "{relpath}");
    set(s, "to", "s3://b/c");
    g_assert_cmpstr(settings_key_template(s), ==, "{relpath}");
    set(s, "to", "broker:presigned-put"); /* it hears names alone: two of one name must differ */
    g_assert_cmpstr(settings_key_template(s), ==, "{name}");
    set(s, "key", "{uuid}.{ext}");
    g_assert_cmpstr(settings_key_template(s), ==, "{uuid}.{ext}");
}

/* No setting of the machine that runs the tests may leak in. */
static void clean_environment(void)
{
    g_auto(GStrv) names = g_listenv();
    for (char **name = names; *name != NULL; name++)
        if (g_str_has_prefix(*name, "AWS_") || (g_str_has_prefix(*name, "HOIST_") && !g_str_equal(*name, "HOIST_TEST_DATA")))
            g_unsetenv(*name);
    g_setenv("XDG_CONFIG_HOME", "/nonexistent", TRUE);
    g_setenv("HOME", "/nonexistent", TRUE);
}

int main(int argc, char **argv)
{
    clean_environment();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/settings/rows", test_rows);
    g_test_add_func("/settings/destinations-agree", test_destinations_agree);
    g_test_add_func("/settings/own-rows-agree", test_own_rows_agree);
    g_test_add_func("/settings/times", test_times);
    g_test_add_func("/settings/defaults", test_defaults);
    g_test_add_func("/settings/values-are-checked", test_values_are_checked);
    g_test_add_func("/settings/secrets-are-refused-and-not-repeated", test_secrets_are_refused_and_not_repeated);
    g_test_add_func("/settings/repeat", test_repeat);
    g_test_add_func("/settings/sizes", test_sizes);
    g_test_add_func("/config/is-read", test_config_is_read);
    g_test_add_func("/config/faults-name-the-line", test_config_faults_name_the_line);
    g_test_add_func("/config/refuses-secrets", test_config_refuses_secrets);
    g_test_add_func("/config/missing-files", test_missing_files);
    g_test_add_func("/settings/precedence", test_precedence);
    g_test_add_func("/settings/environment-faults-name-the-variable", test_environment_faults_name_the_variable);
    g_test_add_func("/settings/environment-names-the-file", test_environment_names_the_file);
    g_test_add_func("/settings/another-dest-later", test_another_dest_later);
    g_test_add_func("/settings/json-there-and-back", test_json_there_and_back);
    g_test_add_func("/settings/bad-json", test_bad_json);
    g_test_add_func("/settings/dest", test_dest);
    g_test_add_func("/settings/dest-asks-aws", test_dest_asks_aws);
    g_test_add_func("/config/allowed-keys-are-those-of-the-road", test_allowed_keys_are_those_of_the_road);
    g_test_add_func("/settings/options-that-a-road-lacks", test_options_that_a_road_lacks);
    g_test_add_func("/settings/what-a-road-refuses-names-the-line", test_what_a_road_refuses_names_the_line);
    g_test_add_func("/settings/missing-secrets-name-the-line", test_missing_secrets_name_the_line);
    g_test_add_func("/settings/scheme-and-name", test_scheme_and_name);
    g_test_add_func("/settings/corrections", test_corrections_count_for_files_that_wait);
    g_test_add_func("/settings/template-of-keys", test_template_of_keys);
    g_test_add_func("/settings/broker-is-short", test_broker_is_short);
    return g_test_run();
}
