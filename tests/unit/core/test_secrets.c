#include <glib/gstdio.h>
#include <string.h>

#include "core/creds_private.h"
#include "core/settings.h"

/* ---- a destination that needs secrets */

static const DestSecret rows[] = { { "password", "TEST_PASSWORD|TEST_OLD_NAME", false, "password" },
                                   { "spare", "TEST_SPARE", true, "not needed" },
                                   { NULL, NULL, false, NULL } };
static const DestOps with_rows = { .scheme = "x", .secrets = rows };

static const char *const *two_more(const void *priv)
{
    (void)priv;
    static const char *const names[] = { "app-token", "cookie", NULL };
    return names;
}
static const DestOps with_names = { .scheme = "x", .more_secrets = two_more };

/* specs: up to three options "secret". */
static HoistSettings *settings_of(const char *a, const char *b)
{
    HoistSettings *s = hoist_settings_new();
    const char *const specs[] = { a, b };
    g_autoptr(GError) error = NULL;
    for (unsigned i = 0; i < G_N_ELEMENTS(specs); i++)
        if (specs[i] != NULL)
            hoist_settings_set(s, "secret", specs[i], "--secret", &error);
    g_assert_no_error(error);
    return s;
}

static void gives(const DestOps *ops, const char *a, const char *b, const char *name, const char *expected)
{
    g_autoptr(HoistSettings) s = settings_of(a, b);
    g_autoptr(GError) error = NULL;
    g_autoptr(Credentials) c = creds_of_dest(NULL, s, ops, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(credentials_secret(c, name), ==, expected);
}

static void fails(const DestOps *ops, const char *a, const char *b, FaultCode code, const char *words)
{
    g_autoptr(HoistSettings) s = settings_of(a, b);
    g_autoptr(GError) error = NULL;
    g_assert_null(creds_of_dest(NULL, s, ops, NULL, &error));
    if (fault_code(error) != code || strstr(error->message, words) == NULL)
        g_error("\"%s\" does not say \"%s\"", error->message, words);
    g_assert_null(strstr(error->message, "hunter2"));
}

static bool ready(const DestOps *ops, const char *spec, char **warning_out)
{
    g_autoptr(HoistSettings) s = settings_of(spec, NULL);
    return creds_dest_ready(NULL, s, ops, NULL, warning_out, NULL);
}

/* ---- where they come from */

static void test_variables(void)
{
    fails(&with_rows, NULL, NULL, FAULT_NO_CREDENTIALS,
          "\"password\" is missing: TEST_PASSWORD or TEST_OLD_NAME is not set; set TEST_PASSWORD or TEST_OLD_NAME, or say where it is: "
          "secret = password=env:");
    g_setenv("TEST_PASSWORD", "hunter2", TRUE);
    gives(&with_rows, NULL, NULL, "password", "hunter2");
    gives(&with_rows, NULL, NULL, "spare", NULL);
    g_setenv("OTHER", "s3cret", TRUE);
    gives(&with_rows, "password=env:OTHER", NULL, "password", "s3cret");
    gives(&with_rows, "password=env:NOWHERE", "password=env:OTHER", "password", "s3cret"); /* the last one counts */
    fails(&with_rows, "password=env:NOWHERE", NULL, FAULT_NO_CREDENTIALS, "the variable that the option secret names is not set");
    fails(&with_rows, "spare=env:NOWHERE", NULL, FAULT_NO_CREDENTIALS, "\"spare\""); /* named, so wanted */
    g_setenv("OTHER", "hunter2\r\nX-Evil: 1", TRUE);
    fails(&with_rows, "password=env:OTHER", NULL, FAULT_CONFIG, "control character");
    g_unsetenv("OTHER");
    g_unsetenv("TEST_PASSWORD");
    g_setenv("TEST_OLD_NAME", "old", TRUE);
    gives(&with_rows, NULL, NULL, "password", "old");
    g_unsetenv("TEST_OLD_NAME");
}

static void test_names_of_a_description(void)
{
    fails(&with_names, NULL, NULL, FAULT_NO_CREDENTIALS, "\"app-token\" is missing");
    g_setenv("A", "1", TRUE);
    gives(&with_names, "cookie=env:A", "app-token=env:A", "cookie", "1");
    g_unsetenv("A");
    g_autoptr(HoistSettings) wrong = settings_of("app-tokens=env:A", NULL), right = settings_of("cookie=env:A", NULL);
    g_autofree char *why = creds_unknown_secret(wrong, &with_names, NULL), *none = creds_unknown_secret(right, &with_names, NULL);
    g_assert_cmpstr(why, ==, "there is no secret \"app-tokens\" here; allowed: app-token, cookie");
    g_assert_null(none);
}

static void test_files(void)
{
    g_autofree char *dir = g_dir_make_tmp("hoist-secrets-XXXXXX", NULL), *path = g_build_filename(dir, "pw", NULL);
    g_autofree char *spec = g_strconcat("password=file:", path, NULL), *folder = g_strconcat("password=file:", dir, NULL);
    fails(&with_rows, spec, NULL, FAULT_NO_CREDENTIALS, "No such file");
    fails(&with_rows, folder, NULL, FAULT_NO_CREDENTIALS, "is no file");
    static const char *const contents[][2] = { { "hunter2", "hunter2" }, { "hunter2\n", "hunter2" }, { "hun ter2\r\nmore\n", "hun ter2" } };
    for (unsigned i = 0; i < G_N_ELEMENTS(contents); i++) {
        g_assert_true(g_file_set_contents_full(path, contents[i][0], -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
        gives(&with_rows, spec, NULL, "password", contents[i][1]);
    }
    g_autofree char *warning = NULL, *no_warning = NULL;
    g_assert_true(ready(&with_rows, spec, &no_warning));
    g_assert_null(no_warning);
    g_assert_cmpint(g_chmod(path, 0644), ==, 0);
    g_assert_true(ready(&with_rows, spec, &warning));
    g_assert_nonnull(strstr(warning, path));
    g_assert_nonnull(strstr(warning, "chmod 600"));
    g_assert_true(g_file_set_contents_full(path, "\nhunter2", -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
    fails(&with_rows, spec, NULL, FAULT_NO_CREDENTIALS, "first line of its file is empty");
    g_unlink(path);
    g_rmdir(dir);
}

static void test_commands(void)
{
    gives(&with_rows, "password=command:printf 'hunter2\\nmore'", NULL, "password", "hunter2");
    fails(&with_rows, "password=command:sh -c 'echo locked >&2; echo hunter2; exit 3'", NULL, FAULT_NO_CREDENTIALS, "locked");
    fails(&with_rows, "password=command:true", NULL, FAULT_NO_CREDENTIALS, "first line that its command printed is empty");
    fails(&with_rows, "password=command:/nonexistent/vault", NULL, FAULT_NO_CREDENTIALS, "the command for the secret \"password\"");
    fails(&with_rows, "password=command:echo 'x", NULL, FAULT_CONFIG, "a quote is open");
    fails(&with_rows, "password=command:head -c 100000 /dev/zero", NULL, FAULT_NO_CREDENTIALS, "more than");
    g_assert_true(ready(&with_rows, "password=command:false", NULL)); /* not run just to look */
    g_assert_false(ready(&with_rows, NULL, NULL));
}

/* ---- beside a key pair */

static void test_key_pair_and_secrets(void)
{
    static const DestSecret own[] = { { "access-key", "TEST_ACCESS", true, "" }, { NULL, NULL, false, NULL } };
    static const DestOps ops = { .scheme = "x", .aws = true, .secrets = own };
    g_setenv("AWS_CONFIG_FILE", "/nonexistent", TRUE);
    g_setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent", TRUE);
    g_autoptr(AwsConfig) aws = aws_config_load(creds_env_process, NULL, NULL, NULL);
    g_autoptr(HoistSettings) s = settings_of(NULL, NULL);
    g_autoptr(GError) none = NULL, error = NULL;
    g_assert_null(creds_of_dest(aws, s, &ops, NULL, &none));
    g_assert_error(none, FAULT, FAULT_NO_CREDENTIALS);
    g_assert_false(creds_dest_ready(aws, s, &ops, NULL, NULL, NULL));
    g_assert_true(creds_dest_ready(NULL, s, &ops, NULL, NULL, NULL));
    g_setenv("TEST_ACCESS", "own", TRUE);
    g_autoptr(Credentials) own_only = creds_of_dest(aws, s, &ops, NULL, &error);
    g_assert_no_error(error);
    g_assert_null(own_only->access_key);
    g_assert_cmpstr(credentials_secret(own_only, "access-key"), ==, "own");
    g_setenv("AWS_ACCESS_KEY_ID", "AK", TRUE);
    g_setenv("AWS_SECRET_ACCESS_KEY", "SK", TRUE);
    g_autoptr(Credentials) both = creds_of_dest(aws, s, &ops, NULL, &error);
    g_assert_cmpstr(both->access_key, ==, "AK");
    g_assert_cmpstr(credentials_secret(both, "access-key"), ==, "own");
    g_assert_true(creds_same(both, both));
    g_assert_false(creds_same(both, own_only));
    g_setenv("TEST_ACCESS", "another", TRUE);
    g_autoptr(Credentials) changed = creds_of_dest(aws, s, &ops, NULL, &error);
    g_assert_false(creds_same(both, changed));
    g_unsetenv("TEST_ACCESS");
    g_autoptr(Credentials) fewer = creds_of_dest(aws, s, &ops, NULL, &error);
    g_assert_false(creds_same(both, fewer));
    g_assert_false(creds_same(fewer, both));
}

int main(int argc, char **argv)
{
    g_setenv("XDG_CONFIG_HOME", "/nonexistent", TRUE);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/secrets/variables", test_variables);
    g_test_add_func("/secrets/names-of-a-description", test_names_of_a_description);
    g_test_add_func("/secrets/files", test_files);
    g_test_add_func("/secrets/commands", test_commands);
    g_test_add_func("/secrets/key-pair-and-secrets", test_key_pair_and_secrets);
    return g_test_run();
}
