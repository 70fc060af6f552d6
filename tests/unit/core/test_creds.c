#include <glib/gstdio.h>
#include <string.h>

#include "core/creds_private.h"

#define ACCESS "AKIAIOSFODNN7EXAMPLE"
#define SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define KEYS   "aws_access_key_id = " ACCESS "\naws_secret_access_key = " SECRET "\n"

/* A home directory with AWS's two files, and an environment of its own. */
typedef struct {
    char *dir, *config, *credentials;
    GHashTable *env;
    GPtrArray *warnings;
    AwsConfig *aws;
    GError *error;
} Home;

static const char *env_of_home(const char *name, void *ctx)
{
    return g_hash_table_lookup(((Home *)ctx)->env, name);
}

static void home_set(Home *h, const char *name, const char *value)
{
    g_hash_table_insert(h->env, g_strdup(name), g_strdup(value));
}

static void home_load(Home *h)
{
    g_clear_error(&h->error);
    g_clear_pointer(&h->aws, aws_config_free);
    g_ptr_array_set_size(h->warnings, 0);
    h->aws = aws_config_load(env_of_home, h, h->warnings, &h->error);
}

/* config and credentials: text, or NULL for no such file. */
static void home_init(Home *h, const char *config, const char *credentials)
{
    *h = (Home){ .dir = g_dir_make_tmp("hoist-creds-XXXXXX", NULL) };
    h->env = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    h->warnings = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *aws = g_build_filename(h->dir, ".aws", NULL);
    g_assert_cmpint(g_mkdir(aws, 0700), ==, 0);
    h->config = g_build_filename(aws, "config", NULL);
    h->credentials = g_build_filename(aws, "credentials", NULL);
    if (config != NULL)
        g_assert_true(g_file_set_contents_full(h->config, config, -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
    if (credentials != NULL)
        g_assert_true(g_file_set_contents_full(h->credentials, credentials, -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
    home_set(h, "HOME", h->dir);
    home_load(h);
}

static void home_clear(Home *h)
{
    g_autofree char *aws = g_build_filename(h->dir, ".aws", NULL);
    g_remove(h->config);
    g_remove(h->credentials);
    g_rmdir(aws);
    g_rmdir(h->dir);
    g_free(h->dir);
    g_free(h->config);
    g_free(h->credentials);
    g_hash_table_unref(h->env);
    g_ptr_array_unref(h->warnings);
    aws_config_free(h->aws);
    g_clear_error(&h->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Home, home_clear)

static Credentials *find(Home *h, const char *profile)
{
    g_assert_no_error(h->error);
    return creds_find(h->aws, profile, env_of_home, h, &h->error);
}

static void find_fault(Home *h, const char *profile, FaultCode code, const char *words)
{
    g_assert_null(find(h, profile));
    g_assert_error(h->error, FAULT, (int)code);
    if (strstr(h->error->message, words) == NULL)
        g_error("\"%s\" does not say \"%s\"", h->error->message, words);
    g_assert_null(strstr(h->error->message, SECRET));
    g_clear_error(&h->error);
}

static void load_fault(const char *config, const char *words)
{
    g_auto(Home) h;
    home_init(&h, config, NULL);
    g_assert_null(h.aws);
    g_assert_error(h.error, FAULT, FAULT_CONFIG);
    g_autofree char *expected = g_strconcat(h.config, " ", words, NULL);
    if (!g_str_has_prefix(h.error->message, expected))
        g_error("\"%s\" is not \"%s\"", h.error->message, expected);
    g_assert_null(strstr(h.error->message, SECRET));
}

/* ---- files ---- */

static void test_defaults_below_home(void)
{
    g_auto(Home) h;
    home_init(&h, "[default]\nregion = eu-west-1\n", "[default]\n" KEYS);
    g_autoptr(Credentials) c = find(&h, NULL);
    g_assert_cmpstr(c->access_key, ==, ACCESS);
    g_assert_cmpstr(c->secret_key, ==, SECRET);
    g_assert_cmpstr(c->origin, ==, "shared-credentials-file");
    g_assert_cmpint(c->expires_s, ==, 0);
    g_assert_cmpuint(h.warnings->len, ==, 0);

    g_auto(Home) none;
    home_init(&none, NULL, NULL);
    find_fault(&none, NULL, FAULT_NO_CREDENTIALS, "AWS_ACCESS_KEY_ID");
}

static void test_dialect(void)
{
    g_auto(Home) h;
    home_init(&h,
              "\xef\xbb\xbf; comment\r\n[profile  'my dev' ] # tail\r\n\tREGION: eu-west-1\r\n\tca_bundle = ~/ca # not a comment.pem\r\n\n"
              "[sso-session x]\nregion = ignored\n[dev]\nregion = ignored\n[profile a]\ns3 =\n  # inner\n\n  addressing_style = Virtual\n"
              "  other : 1\nregion = us-east-2\ncredential_source =\n",
              "[a]\nregion = from-credentials\n" KEYS);
    g_assert_no_error(h.error);
    g_assert_cmpstr(aws_config_value(h.aws, "my dev", "region"), ==, "eu-west-1");
    g_assert_cmpstr(aws_config_value(h.aws, "a", "s3.addressing_style"), ==, "Virtual");
    g_assert_cmpstr(aws_config_value(h.aws, "a", "s3.other"), ==, "1");
    g_assert_cmpstr(aws_config_value(h.aws, "a", "region"), ==, "from-credentials");
    g_assert_null(aws_config_value(h.aws, "a", "credential_source"));
    g_assert_null(aws_config_value(h.aws, "dev", "region"));
    g_assert_null(aws_config_value(h.aws, "x", "region"));
    g_assert_cmpstr(creds_addressing(h.aws, "a", env_of_home, &h), ==, "virtual");
    g_assert_cmpstr(creds_addressing(h.aws, "my dev", env_of_home, &h), ==, "auto");
    g_autofree char *bundle = creds_ca_bundle(h.aws, "my dev", env_of_home, &h);
    g_autofree char *expected = g_build_filename(h.dir, "ca # not a comment.pem", NULL);
    g_assert_cmpstr(bundle, ==, expected);
    g_assert_cmpuint(h.warnings->len, ==, 0);
}

static void warns(const Home *h, unsigned i, const char *text)
{
    g_assert_cmpuint(h->warnings->len, >, i);
    if (!g_str_has_prefix(h->warnings->pdata[i], text))
        g_error("\"%s\" is not \"%s\"", (char *)h->warnings->pdata[i], text);
}

static void test_last_wins_with_warning(void)
{
    g_auto(Home) h;
    home_init(&h, "[default]\nregion = a\nregion = b\n[profile x]\nregion = c ; old\n[default]\nendpoint_url = http://h\n  more of it\n",
              NULL);
    g_assert_cmpstr(aws_config_value(h.aws, "default", "region"), ==, "b");
    g_assert_cmpstr(aws_config_value(h.aws, "default", "endpoint_url"), ==, "http://h");
    g_assert_cmpstr(aws_config_value(h.aws, "x", "region"), ==, "c");
    g_assert_cmpuint(h.warnings->len, ==, 4);
    warns(&h, 0, "config line 3: region is there twice");
    warns(&h, 1, "config line 5: the comment");
    warns(&h, 2, "config line 6: the section is there twice");
    warns(&h, 3, "config line 8: the line continues");
}

static void test_comments_stay_in_secrets(void)
{
    g_auto(Home) h;
    home_init(&h, NULL, "[default]\naws_access_key_id = A\naws_secret_access_key = a#b;c\naws_session_token = t=:#\n");
    g_autoptr(Credentials) c = find(&h, NULL);
    g_assert_cmpstr(c->secret_key, ==, "a#b;c");
    g_assert_cmpstr(c->session_token, ==, "t=:#");
    g_assert_cmpuint(h.warnings->len, ==, 0);
}

static void test_broken_lines(void)
{
    load_fault("[default\nregion = x\n", "line 1: a section lacks its ]");
    load_fault("[default]\n\n" SECRET "\n", "line 3: is neither");
    load_fault("region = x\n", "line 1: stands before the first");
    load_fault("[default]\n= x\n", "line 2: is neither");
    load_fault("[default]\ns3 =\n  path\n", "line 3: is neither");
}

static void test_unreadable_files(void)
{
    g_auto(Home) h;
    home_init(&h, NULL, NULL);
    g_assert_cmpint(g_mkdir(h.credentials, 0700), ==, 0);
    home_load(&h);
    g_assert_null(h.aws);
    g_assert_error(h.error, FAULT, FAULT_CONFIG);
    g_assert_nonnull(strstr(h.error->message, h.credentials));

    g_auto(Home) nul;
    home_init(&nul, NULL, NULL);
    g_assert_true(g_file_set_contents(nul.config, "[default]\n\0x", 12, NULL));
    home_load(&nul);
    g_assert_error(nul.error, FAULT, FAULT_CONFIG);

    g_auto(Home) large;
    g_autofree char *text = g_strnfill(1024 * 1024 + 1, '\n');
    home_init(&large, text, NULL);
    g_assert_error(large.error, FAULT, FAULT_CONFIG);
}

static void test_secrets_that_others_may_read(void)
{
    g_auto(Home) h;
    home_init(&h, "[default]\nregion = x\n", "[default]\n" KEYS);
    g_chmod(h.credentials, 0640);
    g_chmod(h.config, 0644); /* no secret in it */
    home_load(&h);
    g_assert_cmpuint(h.warnings->len, ==, 1);
    g_assert_nonnull(strstr(h.warnings->pdata[0], "chmod 600"));
    g_assert_nonnull(strstr(h.warnings->pdata[0], h.credentials));
}

/* ---- who answers ---- */

static void test_environment(void)
{
    g_auto(Home) h;
    home_init(&h, "[profile p]\nregion = x\n", "[default]\n" KEYS);
    home_set(&h, "AWS_ACCESS_KEY_ID", "FROMENV");
    find_fault(&h, NULL, FAULT_CONFIG, "has the access key but not the secret key");
    home_set(&h, "AWS_SECRET_ACCESS_KEY", SECRET);
    home_set(&h, "AWS_SECURITY_TOKEN", "old-name");
    g_autoptr(Credentials) c = find(&h, NULL), named = find(&h, "default");
    g_assert_cmpstr(c->origin, ==, "env");
    g_assert_cmpstr(c->session_token, ==, "old-name");
    g_assert_cmpstr(named->access_key, ==, ACCESS);
    find_fault(&h, "p", FAULT_NO_CREDENTIALS, "profile \"p\"");
    find_fault(&h, "nosuch", FAULT_CONFIG, "no profile \"nosuch\"");
    home_set(&h, "AWS_SECRET_ACCESS_KEY", SECRET "\n");
    find_fault(&h, NULL, FAULT_CONFIG, "a line end");
}

static void test_what_is_not_there_yet_says_the_way_out(void)
{
    g_auto(Home) h;
    home_init(&h,
              "[profile r]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = default\n[profile s]\nsso_session = c\n"
              "[profile o]\nsso_start_url = https://x\n[profile l]\nlogin_session = x\n[profile e]\nregion = x\n",
              "[default]\n" KEYS);
    find_fault(&h, "r", FAULT_NO_CREDENTIALS, "aws configure export-credentials --profile 'r' --format env");
    find_fault(&h, "s", FAULT_NO_CREDENTIALS, "IAM Identity Center (sso_session)");
    find_fault(&h, "o", FAULT_NO_CREDENTIALS, "IAM Identity Center (sso_start_url)");
    find_fault(&h, "l", FAULT_NO_CREDENTIALS, "aws login");
    home_set(&h, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x");
    find_fault(&h, "e", FAULT_NO_CREDENTIALS, "container");
    home_set(&h, "AWS_WEB_IDENTITY_TOKEN_FILE", "/x");
    find_fault(&h, NULL, FAULT_NO_CREDENTIALS, "AWS_WEB_IDENTITY_TOKEN_FILE");
}

static void region_fault(Home *h, const char *value)
{
    home_set(h, "AWS_REGION", value);
    g_assert_null(creds_region(h->aws, NULL, env_of_home, h, &h->error));
    g_assert_error(h->error, FAULT, FAULT_CONFIG);
    g_assert_nonnull(strstr(h->error->message, "AWS_REGION"));
    g_clear_error(&h->error);
}

static void test_region(void)
{
    g_auto(Home) h;
    home_init(&h, "[default]\nregion = file\n", NULL);
    static const char *const bad[] = { "evil.example/", "EU-west-1", "-a", "a-", "a b", "a.b", "a#", "\xc3\xbc" };
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
        region_fault(&h, bad[i]);
    home_set(&h, "AWS_DEFAULT_REGION", "second");
    home_set(&h, "AWS_REGION", "a1-b2");
    g_autofree char *first = creds_region(h.aws, NULL, env_of_home, &h, NULL);
    home_set(&h, "AWS_REGION", "");
    g_autofree char *second = creds_region(h.aws, NULL, env_of_home, &h, NULL);
    home_set(&h, "AWS_DEFAULT_REGION", "");
    g_autofree char *third = creds_region(h.aws, NULL, env_of_home, &h, NULL);
    g_assert_cmpstr(first, ==, "a1-b2");
    g_assert_cmpstr(second, ==, "second");
    g_assert_cmpstr(third, ==, "file");
}

static void endpoint_is(Home *h, const char *profile, const char *expected)
{
    g_autofree char *url = creds_s3_endpoint(h->aws, profile, env_of_home, h);
    g_assert_cmpstr(url, ==, expected);
}

static void test_endpoint_order(void)
{
    g_auto(Home) h;
    home_init(&h,
              "[default]\nendpoint_url = http://profile\n[profile s]\nservices = local\nendpoint_url = http://profile\n"
              "[services local]\nsqs =\n  endpoint_url = http://sqs\ns3 =\n  endpoint_url = http://service\n"
              "[profile off]\nendpoint_url = http://profile\nignore_configured_endpoint_urls = True\n",
              NULL);
    endpoint_is(&h, NULL, "http://profile");
    endpoint_is(&h, "s", "http://service");
    endpoint_is(&h, "off", NULL);
    home_set(&h, "AWS_ENDPOINT_URL", "http://all");
    endpoint_is(&h, "s", "http://all");
    home_set(&h, "AWS_ENDPOINT_URL_S3", "http://s3");
    endpoint_is(&h, "s", "http://s3");
    endpoint_is(&h, "off", NULL);
    home_set(&h, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
    endpoint_is(&h, "s", NULL);
}

/* ---- credential_process ---- */

static void process_fault(const char *command, FaultCode code, const char *words)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(creds_process_run(command, 5000, &error));
    g_assert_error(error, FAULT, (int)code);
    if (strstr(error->message, words) == NULL)
        g_error("\"%s\" does not say \"%s\"", error->message, words);
    g_assert_null(strstr(error->message, SECRET));
}

#define ANSWER(more) "printf '%s' '{\"Version\":1,\"AccessKeyId\":\"" ACCESS "\",\"SecretAccessKey\":\"" SECRET "\"" more "}'"

static void test_process_answers(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Credentials) c =
        creds_process_run(ANSWER(",\"SessionToken\":\"T\",\"Expiration\":\"2999-01-01T00:00:00+01:00\""), 5000, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(c->access_key, ==, ACCESS);
    g_assert_cmpstr(c->secret_key, ==, SECRET);
    g_assert_cmpstr(c->session_token, ==, "T");
    g_assert_cmpint(c->expires_s, ==, 32472144000 - 3600);
    g_autoptr(Credentials) deaf =
        creds_process_run("sh -c \"cat; "
                          "cat /dev/null"
                          "; exec printf '%s' "
                          "'{\\\"Version\\\":1,\\\"AccessKeyId\\\":\\\"A\\\",\\\"SecretAccessKey\\\":\\\"B\\\"}'\"",
                          5000, &error);
    g_assert_no_error(error); /* standard input is at its end at once */
    g_assert_cmpstr(deaf->secret_key, ==, "B");
}

static void test_process_faults(void)
{
    process_fault("'open quote", FAULT_CONFIG, "quote");
    process_fault("/nonexistent/tool --x", FAULT_NO_CREDENTIALS, "/nonexistent/tool");
    process_fault("sh -c 'echo no luck >&2; exit 3'", FAULT_NO_CREDENTIALS, "exit status 3): no luck");
    process_fault("sh -c 'kill -9 $$'", FAULT_NO_CREDENTIALS, "signal 9");
    process_fault("echo " SECRET, FAULT_NO_CREDENTIALS, "not a JSON object");
    process_fault("echo [1]", FAULT_NO_CREDENTIALS, "not a JSON object");
    process_fault("true", FAULT_NO_CREDENTIALS, "not a JSON object");
    process_fault("echo '{\"Version\":2}'", FAULT_NO_CREDENTIALS, "Version");
    process_fault("echo '{\"Version\":\"1\"}'", FAULT_NO_CREDENTIALS, "Version");
    process_fault("echo '{\"Version\":1,\"AccessKeyId\":5}'", FAULT_NO_CREDENTIALS, "AccessKeyId");
    process_fault("echo '{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":null}'", FAULT_NO_CREDENTIALS, "SecretAccessKey");
    process_fault("echo '{\"Version\":1,\"AccessKeyId\":\"A\\r\\nX: y\",\"SecretAccessKey\":\"B\"}'", FAULT_CONFIG, "a line end");
    process_fault(ANSWER(",\"Expiration\":\"soon\""), FAULT_NO_CREDENTIALS, "ISO 8601");
    process_fault(ANSWER(",\"Expiration\":\"2001-01-01T00:00:00Z\""), FAULT_EXPIRED, "2001");
    process_fault("head -c 70000 /dev/zero", FAULT_NO_CREDENTIALS, "more than 65536");
}

static void test_process_that_hangs(void)
{
    g_autoptr(GError) silent = NULL, closed = NULL;
    const int64_t start_us = g_get_monotonic_time();
    g_assert_null(creds_process_run("sleep 30", 100, &silent));
    g_assert_null(creds_process_run("sh -c 'exec >&- 2>&-; sleep 30 </dev/null'", 100, &closed));
    g_assert_cmpint(g_get_monotonic_time() - start_us, <, 10 * G_USEC_PER_SEC);
    g_assert_nonnull(strstr(silent->message, "in time"));
    g_assert_nonnull(strstr(closed->message, "in time"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/awsconfig/defaults-below-home", test_defaults_below_home);
    g_test_add_func("/awsconfig/dialect", test_dialect);
    g_test_add_func("/awsconfig/last-wins-with-warning", test_last_wins_with_warning);
    g_test_add_func("/awsconfig/comments-stay-in-secrets", test_comments_stay_in_secrets);
    g_test_add_func("/awsconfig/broken-lines", test_broken_lines);
    g_test_add_func("/awsconfig/unreadable-files", test_unreadable_files);
    g_test_add_func("/awsconfig/secrets-that-others-may-read", test_secrets_that_others_may_read);
    g_test_add_func("/creds/environment", test_environment);
    g_test_add_func("/creds/what-is-not-there-yet-says-the-way-out", test_what_is_not_there_yet_says_the_way_out);
    g_test_add_func("/creds/region", test_region);
    g_test_add_func("/creds/endpoint-order", test_endpoint_order);
    g_test_add_func("/creds/process-answers", test_process_answers);
    g_test_add_func("/creds/process-faults", test_process_faults);
    g_test_add_func("/creds/process-that-hangs", test_process_that_hangs);
    return g_test_run();
}
