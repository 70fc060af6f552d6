/* hoist doctor as a program: every check says what it found, those that are bad say what to do, and the exit status says whether any is. */
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <string.h>

typedef struct {
    char *dir, *config, *state;
} Case;

static void set_up(Case *c, gconstpointer data)
{
    (void)data;
    c->dir = g_dir_make_tmp("hoist-doctor-XXXXXX", NULL);
    c->config = g_build_filename(c->dir, "config.ini", NULL);
    c->state = g_build_filename(c->dir, "state", NULL);
    g_assert_true(g_file_set_contents(c->config, "[hoist]\njobs = 3\n", -1, NULL));
}

static void tear_down(Case *c, gconstpointer data)
{
    (void)data;
    g_remove(c->config);
    g_rmdir(c->dir);
    g_free(c->dir);
    g_free(c->config);
    g_free(c->state);
}

/* What it prints on standard output. worker NULL = the one beside it. */
static char *run(const Case *c, const char *worker, const char *word, int expected_status)
{
    char *out = NULL;
    g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE);
    g_subprocess_launcher_setenv(launcher, "XDG_CACHE_HOME", c->dir, TRUE);
    if (worker != NULL)
        g_subprocess_launcher_setenv(launcher, "HOIST_IMGPROC", worker, TRUE);
    g_autoptr(GSubprocess) process = g_subprocess_launcher_spawn(launcher, NULL, g_getenv("HOIST_BINARY"), "doctor", "--config", c->config,
                                                                 "--state", c->state, word, NULL);
    g_assert_true(g_subprocess_communicate_utf8(process, NULL, NULL, &out, NULL, NULL));
    g_assert_true(g_subprocess_get_if_exited(process));
    g_assert_cmpint(g_subprocess_get_exit_status(process), ==, expected_status);
    return out;
}

/* The check of that name; caller unrefs. NULL: there is none. */
static JsonObject *check_of(const char *out, const char *name)
{
    g_auto(GStrv) lines = g_strsplit(out, "\n", -1);
    for (char **line = lines; **line != '\0'; line++) {
        g_autoptr(JsonNode) node = json_from_string(*line, NULL);
        g_assert_nonnull(node);
        JsonObject *check = json_node_get_object(node);
        g_assert_cmpstr(json_object_get_string_member(check, "event"), ==, "check");
        const char *state = json_object_get_string_member(check, "state");
        g_assert_true(g_strv_contains((const char *const[]){ "ok", "warn", "bad", NULL }, state));
        g_assert_cmpint(json_object_get_string_member(check, "text")[0], !=, '\0');
        g_assert_cmpint(json_object_has_member(check, "remedy"), ==, !g_str_equal(state, "ok"));
        if (g_str_equal(json_object_get_string_member(check, "name"), name))
            return json_object_ref(check);
    }
    return NULL;
}

static void expect(const char *out, const char *name, const char *state)
{
    g_autoptr(JsonObject) check = check_of(out, name);
    g_assert_nonnull(check);
    g_test_message("%s: %s", name, json_object_get_string_member(check, "text"));
    if (state != NULL)
        g_assert_cmpstr(json_object_get_string_member(check, "state"), ==, state);
}

static void test_well(Case *c, gconstpointer data)
{
    (void)data;
    static const char *const any[] = { "reads", "writes", "landlock", "seccomp", "limits", "terminal" };
    g_autofree char *out = run(c, NULL, "--json", 0);
    static const char *const well[] = { "hoist", "configuration", "state folder", "picture worker" };
    for (gsize i = 0; i < G_N_ELEMENTS(well); i++)
        expect(out, well[i], "ok");
    for (gsize i = 0; i < G_N_ELEMENTS(any); i++)
        expect(out, any[i], NULL);
    g_assert_null(check_of(out, "something else"));
    g_assert_false(g_file_test(c->state, G_FILE_TEST_EXISTS)); /* it looks, it does not make */
}

/* The same checks, aligned; a remedy stands below its check. */
static void test_lines(Case *c, gconstpointer data)
{
    (void)data;
    g_autofree char *out = run(c, NULL, NULL, 0), *json = run(c, NULL, "--json", 0);
    g_auto(GStrv) lines = g_strsplit(out, "\n", -1), objects = g_strsplit(json, "\n", -1);
    guint checks = 0;
    for (char **line = lines; **line != '\0'; line++)
        checks += (*line)[0] != ' ';
    g_assert_cmpuint(checks, ==, g_strv_length(objects) - 1);
    g_assert_nonnull(strstr(out, "\nok    picture worker  "));
}

static void test_broken_configuration(Case *c, gconstpointer data)
{
    (void)data;
    g_assert_true(g_file_set_contents(c->config, "[hoist]\njobs = many\n", -1, NULL));
    g_autofree char *out = run(c, NULL, "--json", 1);
    expect(out, "configuration", "bad");
    expect(out, "picture worker", "ok");
    g_autoptr(JsonObject) check = check_of(out, "configuration");
    g_assert_nonnull(strstr(json_object_get_string_member(check, "text"), "line 2"));
}

static void test_no_worker(Case *c, gconstpointer data)
{
    (void)data;
    static const char *const workers[] = { "/nonexistent/hoist-imgproc", "/bin/true", "/bin/cat" };
    for (gsize i = 0; i < G_N_ELEMENTS(workers); i++) {
        g_autofree char *out = run(c, workers[i], "--json", 1);
        expect(out, "picture worker", "bad");
        g_assert_null(check_of(out, "landlock"));
    }
}

static void test_state_is_a_file(Case *c, gconstpointer data)
{
    (void)data;
    g_free(c->state);
    c->state = g_build_filename(c->config, "state", NULL);
    g_autofree char *out = run(c, NULL, "--json", 1);
    expect(out, "state folder", "bad");
}

static void test_takes_no_paths(Case *c, gconstpointer data)
{
    (void)data;
    g_autofree char *out = run(c, NULL, "s3://photos", 2);
    g_assert_cmpstr(out, ==, "");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/doctor/all-is-well", Case, NULL, set_up, test_well, tear_down);
    g_test_add("/doctor/lines-say-the-same", Case, NULL, set_up, test_lines, tear_down);
    g_test_add("/doctor/a-broken-configuration-is-bad", Case, NULL, set_up, test_broken_configuration, tear_down);
    g_test_add("/doctor/without-its-worker-it-says-so", Case, NULL, set_up, test_no_worker, tear_down);
    g_test_add("/doctor/a-file-is-no-state-folder", Case, NULL, set_up, test_state_is_a_file, tear_down);
    g_test_add("/doctor/takes-no-paths", Case, NULL, set_up, test_takes_no_paths, tear_down);
    return g_test_run();
}
