#include "core/errand.h"

#include <glib/gstdio.h>
#include <string.h>

#include "core/hoist.h"
#include "core/settings.h"
#include "core/store.h"
#include "fake_s3.h"

/* ---- DEST/KEY */

static void test_split(void)
{
    static const char *const rows[][3] = {
        { "s3://bucket/a/b.jpg", "s3://bucket", "a/b.jpg" },
        { "s3://bucket//a", "s3://bucket", "/a" },
        { "s3://bucket/a/", "s3://bucket", "a/" },
        { "home/a b/\xc3\xa4.jpg", "home", "a b/\xc3\xa4.jpg" },
        { "home/s3://x", "home", "s3://x" },
        { "post:forms/a", "post:forms", "a" },
        { "s3://bucket/100%25", "s3://bucket", "100%25" }, /* no URL: as it stands */
        { "dav+https://host/dir/a%20b", "dav+https://host/dir/", "a b" },
        { "dav+https://host/a%zz", "dav+https://host/", "a%zz" },
        { "tus+http://127.0.0.1:1080/files/24e533e", "tus+http://127.0.0.1:1080/files/", "24e533e" },
    };
    static const char *const bad[] = {
        "", "/", "/a", "home", "home/", "s3://bucket", "s3://bucket/", "s3:///a", "dav+https://host", "dav+https://host/dir/"
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *dest = NULL, *key = NULL;
        g_autoptr(GError) error = NULL;
        g_assert_true(errand_split(rows[i][0], &dest, &key, &error));
        g_assert_cmpstr(dest, ==, rows[i][1]);
        g_assert_cmpstr(key, ==, rows[i][2]);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *dest = NULL, *key = NULL;
        g_autoptr(GError) error = NULL;
        if (errand_split(bad[i], &dest, &key, &error))
            g_error("taken: \"%s\"", bad[i]);
        g_assert_error(error, FAULT, FAULT_USAGE);
    }
}

/* ---- against a store */

typedef struct {
    FakeS3 *s3;
    HoistSettings *settings;
    FakeRule first; /* rules of the first requests, then none */
    unsigned n_first;
    GString *told; /* "removed A;absent B;failed C:name;" */
    GError *error;
} Rig;

static FakeRule rule_of(const FakeRequest *rq, void *ctx)
{
    Rig *rig = ctx;
    return rq->kind == FAKE_DELETE && rq->count <= rig->n_first ? rig->first : (FakeRule){ 0 };
}

static void rig_init(Rig *rig)
{
    *rig = (Rig){ .s3 = fake_s3_new(), .settings = hoist_settings_new(), .told = g_string_new(NULL) };
    g_autofree char *url = fake_s3_url(rig->s3);
    fake_s3_rules(rig->s3, rule_of, rig);
    g_assert_true(hoist_settings_set(rig->settings, "endpoint", url, "--endpoint", NULL));
}

static void rig_clear(Rig *rig)
{
    fake_s3_free(rig->s3);
    hoist_settings_free(rig->settings);
    g_string_free(rig->told, TRUE);
    g_clear_error(&rig->error);
}

static void tell(const char *dest_key, bool was_there, const GError *error, void *ctx)
{
    Rig *rig = ctx;
    if (error != NULL)
        g_string_append_printf(rig->told, "failed %s:%s;", dest_key, hoist_fault_name(error));
    else
        g_string_append_printf(rig->told, "%s %s;", was_there ? "removed" : "absent", dest_key);
}

static bool rig_remove(Rig *rig, const char *a, const char *b, const char *c)
{
    const char *const list[] = { a, b, c, NULL };
    g_clear_error(&rig->error);
    g_string_truncate(rig->told, 0);
    return hoist_remove(rig->settings, (char *const *)list, tell, rig, &rig->error);
}

/* Lays an object there, by the requests of an upload. */
static void put(Rig *rig, const char *key)
{
    g_auto(Errand) errand = { 0 };
    g_autoptr(GError) error = NULL;
    g_assert_true(errand_open(&errand, rig->settings, "s3://bucket", ERRAND_REMOVE, &error));
    const DestCtx ctx = { .ops = errand.ops, .conf = errand.conf, .priv = errand.priv, .creds = errand.creds, .learned = &errand.learned };
    g_autoptr(Upload) up = upload_new(key, 0, 0);
    g_assert_true(errand.ops->plan(&ctx, up, 0, &error));
    DigestSet digest;
    digest_of(errand.ops->digests(&ctx, up), "", 0, &digest);
    up->parts[0].digest = g_memdup2(&digest, sizeof digest);
    Request *rq = NULL;
    g_assert_true(errand.ops->step[PHASE_PART].ask(&ctx, up, 0, &rq, &error));
    const TransferConf conf = { .max_connections = 1, .lanes = 1 };
    Transfer *transfer = transfer_new(&conf, &error);
    transfer_start(transfer, rq, -1, NULL);
    TransferAnswer *answer;
    while ((answer = transfer_take(transfer)) == NULL)
        transfer_wait(transfer, -1, -1);
    g_assert_cmpint(answer->rs->status, ==, 200);
    transfer_answer_free(answer);
    transfer_free(transfer);
}

static void test_remove(void)
{
    Rig rig;
    rig_init(&rig);
    put(&rig, "a");
    put(&rig, "b");
    g_assert_true(rig_remove(&rig, "s3://bucket/a", "s3://other/x", "s3://bucket/gone"));
    g_assert_cmpstr(rig.told->str, ==, "removed s3://bucket/a;absent s3://bucket/gone;absent s3://other/x;");
    g_assert_null(fake_s3_object(rig.s3, "a"));
    g_autoptr(GBytes) b = fake_s3_object(rig.s3, "b");
    g_assert_nonnull(b);
    rig_clear(&rig);
}

static void test_trouble_is_tried_again(void)
{
    Rig rig;
    rig_init(&rig);
    put(&rig, "a");
    rig.first = (FakeRule){ .status = 503, .code = "SlowDown" };
    rig.n_first = ERRAND_TRIES - 1;
    g_assert_true(rig_remove(&rig, "s3://bucket/a", NULL, NULL));
    g_assert_cmpstr(rig.told->str, ==, "removed s3://bucket/a;");
    g_assert_cmpuint(fake_s3_count(rig.s3, FAKE_DELETE), ==, ERRAND_TRIES);
    rig_clear(&rig);
}

static void test_trouble_that_stays(void)
{
    Rig rig;
    rig_init(&rig);
    put(&rig, "a");
    put(&rig, "b");
    rig.first = (FakeRule){ .cut_before = true };
    rig.n_first = 100;
    g_assert_true(rig_remove(&rig, "s3://bucket/a", NULL, NULL));
    g_assert_cmpstr(rig.told->str, ==, "failed s3://bucket/a:connection-broken;");
    rig.first = (FakeRule){ .status = 403, .code = "AccessDenied" };
    rig.n_first = fake_s3_count(rig.s3, FAKE_DELETE) + 1;
    g_assert_true(rig_remove(&rig, "s3://bucket/a", "s3://bucket/b", NULL)); /* one does not hold up the next */
    g_assert_cmpstr(rig.told->str, ==, "failed s3://bucket/a:access-denied;removed s3://bucket/b;");
    rig_clear(&rig);
}

static void test_nothing_is_removed_when_words_are_wrong(void)
{
    static const char *const wrong[] = { "s3://bucket/", "nowhere/a", "tus+ftp://h/a", "oss://b/k" };
    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
        Rig rig;
        rig_init(&rig);
        put(&rig, "a");
        g_assert_false(rig_remove(&rig, "s3://bucket/a", wrong[i], NULL));
        g_assert_true(hoist_fault_is_usage(rig.error));
        g_assert_cmpstr(rig.told->str, ==, "");
        g_assert_cmpuint(fake_s3_objects(rig.s3), ==, 1);
        rig_clear(&rig);
    }
}

static void test_roads_that_cannot(void)
{
    g_autoptr(HoistSettings) s = hoist_settings_new();
    g_autoptr(GError) error = NULL;
    g_assert_null(hoist_share(s, "dav+http://127.0.0.1:1/a", 60, &error));
    g_assert_error(error, FAULT, FAULT_USAGE);
    g_assert_true(g_str_has_prefix(error->message, "dav has no way to share an object; these have: s3"));
}

static void test_share(void)
{
    g_autoptr(HoistSettings) s = hoist_settings_new();
    g_autoptr(GError) error = NULL, long_time = NULL;
    g_assert_true(hoist_settings_set(s, "endpoint", "https://store.example", "--endpoint", NULL));
    g_autofree char *url = hoist_share(s, "s3://bucket/a b", 60, &error);
    g_assert_no_error(error);
    g_assert_true(g_str_has_prefix(url, "https://store.example/bucket/a%20b?X-Amz-"));
    g_assert_nonnull(strstr(url, "X-Amz-Expires=60&"));
    g_assert_null(hoist_share(s, "s3://bucket/a", 8 * 86400, &long_time));
    g_assert_error(long_time, FAULT, FAULT_USAGE);
}

/* A link cannot find the region out by itself. */
static void test_share_uses_what_was_learned(void)
{
    g_autofree char *dir = g_dir_make_tmp("hoist-errand-XXXXXX", NULL), *note = NULL;
    g_autoptr(GError) error = NULL;
    Store *store = store_open(dir, &note, &error);
    g_assert_no_error(error);
    g_assert_true(store_learned_put(store, "https://store.example/bucket", "region=eu-west-3 clock=-3600", &error));
    store_close(store);
    g_autoptr(HoistSettings) s = hoist_settings_new();
    g_assert_true(hoist_settings_set(s, "endpoint", "https://store.example", "--endpoint", NULL));
    g_assert_true(hoist_settings_set(s, "state", dir, "--state", NULL));
    g_autofree char *url = hoist_share(s, "s3://bucket/a", 60, &error), *other = hoist_share(s, "s3://other/a", 60, &error);
    g_assert_no_error(error);
    g_assert_nonnull(strstr(url, "%2Feu-west-3%2Fs3%2F"));
    g_assert_nonnull(strstr(other, "%2Fus-east-1%2Fs3%2F"));
    g_autoptr(GDir) files = g_dir_open(dir, 0, NULL);
    for (const char *name = g_dir_read_name(files); name != NULL; name = g_dir_read_name(files)) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        g_unlink(path);
    }
    g_rmdir(dir);
}

int main(int argc, char **argv)
{
    g_autofree char *state = g_dir_make_tmp("hoist-state-XXXXXX", NULL);
    g_setenv("XDG_STATE_HOME", state, TRUE);
    g_setenv("XDG_CONFIG_HOME", "/nonexistent", TRUE);
    g_setenv("AWS_CONFIG_FILE", "/nonexistent", TRUE);
    g_setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent", TRUE);
    g_setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE", TRUE);
    g_setenv("AWS_SECRET_ACCESS_KEY", "SECRETSECRETSECRET", TRUE);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/errand/split", test_split);
    g_test_add_func("/errand/share", test_share);
    g_test_add_func("/errand/roads-that-cannot", test_roads_that_cannot);
    g_test_add_func("/errand/remove", test_remove);
    g_test_add_func("/errand/trouble-is-tried-again", test_trouble_is_tried_again);
    g_test_add_func("/errand/trouble-that-stays", test_trouble_that_stays);
    g_test_add_func("/errand/nothing-is-removed-when-words-are-wrong", test_nothing_is_removed_when_words_are_wrong);
    g_test_add_func("/errand/share-uses-what-was-learned", test_share_uses_what_was_learned);
    const int status = g_test_run();
    g_rmdir(state);
    return status;
}
