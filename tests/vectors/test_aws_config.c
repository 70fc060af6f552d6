/* Each case of aws-config.json is laid out as files and an environment, and resolved. The expectations come from botocore; where hoist
 * differs on purpose, the rule is applied to the case here (expect_of_hoist), not a list of names. Cases that were resolved with answers
 * of STS or a metadata service are counted and left. */
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>

#include "core/creds.h"
#include "vectors.h"

typedef struct {
    char *dir;
    JsonObject *json;
    GHashTable *env;
} Case;

typedef struct {
    char *profile, *region, *error; /* NULL = none */
    JsonObject *creds;              /* borrowed; NULL = not compared */
    bool region_known, warns;
} Expect;

static unsigned n_network;

static char *with_dir(const Case *c, const char *text)
{
    g_auto(GStrv) pieces = g_strsplit(text, "@DIR@", -1);
    return g_strjoinv(c->dir, pieces);
}

static void write_file(const Case *c, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(c->dir, name, NULL);
    g_autofree char *content = with_dir(c, text);
    g_assert_true(g_file_set_contents(path, content, -1, NULL));
    g_assert_cmpint(g_chmod(path, g_str_has_suffix(name, ".sh") ? 0700 : 0600), ==, 0);
}

static void set_env(const Case *c, const char *name, const char *value)
{
    g_hash_table_insert(c->env, g_strdup(name), with_dir(c, value));
}

static void case_lay_out(Case *c, JsonObject *json)
{
    c->json = json;
    c->dir = g_dir_make_tmp("hoist-aws-XXXXXX", NULL);
    c->env = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    set_env(c, "HOME", "@DIR@");
    set_env(c, "AWS_CONFIG_FILE", "@DIR@/config");
    set_env(c, "AWS_SHARED_CREDENTIALS_FILE", "@DIR@/credentials");
    static const char *const files[] = { "config", "credentials" };
    for (unsigned i = 0; i < G_N_ELEMENTS(files); i++)
        if (vectors_str(json, files[i]) != NULL)
            write_file(c, files[i], vectors_str(json, files[i]));

    JsonObjectIter iter;
    const char *name;
    JsonNode *node;
    JsonObject *more = vectors_object(json, "files"), *env = vectors_object(json, "env");
    if (more != NULL) {
        json_object_iter_init(&iter, more);
        while (json_object_iter_next(&iter, &name, &node))
            write_file(c, name, json_node_get_string(node));
    }
    if (env != NULL) {
        json_object_iter_init(&iter, env);
        while (json_object_iter_next(&iter, &name, &node))
            set_env(c, name, json_node_get_string(node));
    }
}

static void case_clear(Case *c)
{
    g_autoptr(GDir) dir = g_dir_open(c->dir, 0, NULL);
    for (const char *name; (name = g_dir_read_name(dir)) != NULL;) {
        g_autofree char *path = g_build_filename(c->dir, name, NULL);
        g_unlink(path);
    }
    g_rmdir(c->dir);
    g_free(c->dir);
    g_hash_table_unref(c->env);
}

static const char *env_of_case(const char *name, void *ctx)
{
    return g_hash_table_lookup(((const Case *)ctx)->env, name);
}

/* ---- where hoist differs from botocore ---- */

/* The same key twice in one section, or the same section twice. */
static bool has_duplicates(const char *text)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autofree char *section = g_strdup("");
    for (char **line = lines; *line != NULL; line++) {
        const char *equals = strchr(*line, '=');
        if (**line == '[') {
            g_free(section);
            section = g_strdup(*line);
            if (!g_hash_table_add(seen, g_strdup(section)))
                return true;
        } else if (equals != NULL) {
            g_autofree char *key = g_strchomp(g_strndup(*line, (gsize)(equals - *line)));
            if (!g_hash_table_add(seen, g_strconcat(section, key, NULL)))
                return true;
        }
    }
    return false;
}

static char *last_value(const char *text, const char *key)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    char *value = NULL;
    for (char **line = lines; *line != NULL; line++)
        if (g_str_has_prefix(*line, key)) {
            g_free(value);
            value = g_strstrip(g_strdup(strchr(*line, '=') + 1));
        }
    return value;
}

static void expect_clear(Expect *e)
{
    g_free(e->profile);
    g_free(e->region);
    g_free(e->error);
}

static void expect_of_hoist(const Case *c, Expect *e)
{
    JsonObject *expect = vectors_object(c->json, "expect");
    const char *config = vectors_str(c->json, "config");
    e->profile = g_strdup(vectors_str(expect, "profile"));
    e->region = g_strdup(vectors_str(expect, "region"));
    e->region_known = json_object_has_member(expect, "region");
    e->error = g_strdup(vectors_str(expect, "error"));
    e->creds = vectors_object(expect, "credentials");

    /* A byte order mark is skipped; of duplicates the last counts, with a warning. */
    const bool duplicates = config != NULL && has_duplicates(config);
    if (g_strcmp0(e->error, "ConfigParseError") == 0 && (duplicates || g_str_has_prefix(config, "\xef\xbb\xbf"))) {
        g_clear_pointer(&e->error, g_free);
        e->region = last_value(config, "region");
        e->region_known = true;
        e->warns = duplicates;
    }
    /* A comment behind a region is cut, with a warning. */
    char *comment = e->region == NULL ? NULL : strstr(e->region, " #");
    if (comment != NULL) {
        *comment = '\0';
        g_clear_pointer(&e->error, g_free);
        e->warns = true;
    }
    /* AWS_REGION comes first, then AWS_DEFAULT_REGION. */
    if (env_of_case("AWS_REGION", (void *)c) != NULL) {
        g_free(e->region);
        e->region = g_strdup(env_of_case("AWS_REGION", (void *)c));
    }
    /* AWS_PROFILE comes first, then AWS_DEFAULT_PROFILE. */
    const char *profile = env_of_case("AWS_PROFILE", (void *)c);
    if (profile != NULL && env_of_case("AWS_DEFAULT_PROFILE", (void *)c) != NULL) {
        g_free(e->profile);
        e->profile = g_strdup(profile);
        e->region_known = false;
        e->creds = NULL;
    }
}

/* ---- checking ---- */

static void check_credentials(const VectorCase *vc, const Credentials *got, JsonObject *expected)
{
    vectors_str_equal(vc, "provider", got->origin, vectors_str(expected, "provider"));
    vectors_str_equal(vc, "access key", got->access_key, vectors_str(expected, "access_key"));
    vectors_str_equal(vc, "secret key", got->secret_key, vectors_str(expected, "secret_key"));
    vectors_str_equal(vc, "session token", got->session_token, vectors_str(expected, "session_token"));
}

static void check_endpoint(const VectorCase *vc, const char *got, const char *expected)
{
    if (expected == NULL)
        return;
    const bool built_in = g_str_has_suffix(expected, ".amazonaws.com");
    vectors_str_equal(vc, "endpoint", got, built_in ? NULL : expected);
}

static void check_resolved(const VectorCase *vc, Case *c, const Expect *e, const AwsConfig *aws, GError **error)
{
    const char *explicit_profile = vectors_str(c->json, "explicit_profile");
    JsonObject *expect = vectors_object(c->json, "expect");
    vectors_str_equal(vc, "profile", aws_config_profile(aws, explicit_profile, env_of_case, c), e->profile);

    g_autofree char *region = creds_region(aws, explicit_profile, env_of_case, c, error);
    if (e->region_known)
        vectors_str_equal(vc, "region", region, e->region);
    g_autoptr(Credentials) creds = creds_find(aws, explicit_profile, env_of_case, c, *error == NULL ? error : NULL);
    if (creds != NULL && e->creds != NULL)
        check_credentials(vc, creds, e->creds);

    g_autofree char *endpoint = creds_s3_endpoint(aws, explicit_profile, env_of_case, c);
    check_endpoint(vc, endpoint, vectors_str(expect, "s3_endpoint"));
    if (vectors_str(expect, "addressing_style") != NULL)
        vectors_str_equal(vc, "addressing", creds_addressing(aws, explicit_profile, env_of_case, c),
                          vectors_str(expect, "addressing_style"));
}

static bool check_case(const VectorCase *vc)
{
    JsonObject *expect = vectors_object(vc->json, "expect");
    if (json_object_has_member(expect, "sts_calls") || json_object_has_member(expect, "http_calls")) {
        n_network++;
        return true;
    }
    Case c = { 0 };
    Expect e = { 0 };
    case_lay_out(&c, vc->json);
    expect_of_hoist(&c, &e);

    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;
    g_autoptr(AwsConfig) aws = aws_config_load(env_of_case, &c, warnings, &error);
    if (aws != NULL)
        check_resolved(vc, &c, &e, aws, &error);
    if ((error != NULL) != (e.error != NULL))
        vectors_fail(vc, "error: %s; expected: %s", error == NULL ? "none" : error->message, e.error == NULL ? "none" : e.error);
    if (error != NULL && strstr(error->message, "EXAMPLEKEY") != NULL)
        vectors_fail(vc, "a secret is in the error");
    if ((warnings->len > 0) != e.warns)
        vectors_fail(vc, "%u warnings; expected %s", warnings->len, e.warns ? "some" : "none");
    expect_clear(&e);
    case_clear(&c);
    return true;
}

static void test_vectors(void)
{
    static const char *const formats[] = { "aws-config", NULL };
    vectors_each(formats, check_case);
    printf("# left for later: %u (needs network)\n", n_network);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vectors/aws-config", test_vectors);
    return g_test_run();
}
