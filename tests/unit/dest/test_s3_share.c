#include "s3_fixture.h"

#define HTTPS "https://store.example"

/* ---- share */

static void test_share(void)
{
    Fixture f;
    fixture_open(&f, HTTPS, NULL);
    g_autofree char *url = f.ctx.ops->share(&f.ctx, "pre/a b/\xc3\xa4.jpg", 900, &f.error);
    g_assert_no_error(f.error);
    g_assert_true(g_str_has_prefix(url, "https://store.example/bucket/pre/a%20b/%C3%A4.jpg?X-Amz-Algorithm=AWS4-HMAC-SHA256&"));
    g_assert_nonnull(strstr(url, "X-Amz-Date=20260115T093000Z"));
    g_assert_nonnull(strstr(url, "X-Amz-Expires=900&"));
    g_assert_nonnull(strstr(url, "X-Amz-Security-Token=TOKENTOKENTOKEN"));
    g_assert_nonnull(strstr(url, "X-Amz-Signature="));
    g_assert_null(strstr(url, "SECRETSECRET"));
    f.learned.clock_offset_s = 60;
    g_autofree char *later = f.ctx.ops->share(&f.ctx, "k", 1, &f.error);
    g_assert_nonnull(strstr(later, "X-Amz-Date=20260115T093100Z"));
    fixture_clear(&f);
}

static void refuse_share(const char *key, unsigned seconds, FaultCode code)
{
    Fixture f;
    fixture_open(&f, HTTPS, NULL);
    f.creds.access_key = code == FAULT_NO_CREDENTIALS ? NULL : f.creds.access_key;
    g_assert_null(f.ctx.ops->share(&f.ctx, key, seconds, &f.error));
    g_assert_error(f.error, FAULT, (int)code);
    fixture_clear(&f);
}

static void test_share_refuses(void)
{
    refuse_share("", 60, FAULT_USAGE);
    refuse_share("k", 0, FAULT_USAGE);
    refuse_share("k", 7 * 86400 + 1, FAULT_USAGE);
    refuse_share("k", 60, FAULT_NO_CREDENTIALS);
}

/* ---- remove */

static void open_remove(Fixture *f)
{
    fixture_open(f, HTTPS, NULL);
    f->up = upload_new("pre/a b.txt", 0, 0);
    g_assert_true(fixture_ask(f, PHASE_REMOVE, 0));
    g_assert_cmpstr(f->rq->method, ==, "HEAD");
    g_assert_cmpstr(f->rq->url, ==, "https://store.example/bucket/pre/a%20b.txt");
    g_assert_nonnull(fixture_sent(f, "Authorization"));
}

static void ask_delete(Fixture *f)
{
    g_assert_true(fixture_ask(f, PHASE_REMOVE, 0));
    g_assert_cmpstr(f->rq->method, ==, "DELETE");
    g_assert_cmpstr(f->rq->url, ==, "https://store.example/bucket/pre/a%20b.txt");
}

static void test_remove(void)
{
    static const int looks[] = { 200, 404, 403, 405 }; /* whatever the look says, the deletion is tried */
    for (unsigned i = 0; i < G_N_ELEMENTS(looks); i++) {
        Fixture f;
        open_remove(&f);
        g_assert_cmpint(fixture_read(&f, PHASE_REMOVE, 0, looks[i], NULL, NULL), ==, VERDICT_MORE);
        ask_delete(&f);
        g_assert_cmpint(fixture_read(&f, PHASE_REMOVE, 0, 204, NULL, NULL), ==, VERDICT_OK);
        fixture_clear(&f);
    }
}

static void test_remove_of_nothing(void)
{
    Fixture f;
    open_remove(&f);
    g_assert_cmpint(fixture_read(&f, PHASE_REMOVE, 0, 404, NULL, NULL), ==, VERDICT_MORE);
    ask_delete(&f);
    g_assert_cmpint(fixture_fail(&f, PHASE_REMOVE, 404, "NoSuchKey", ""), ==, VERDICT_OK);
    g_assert_cmpint(fixture_fail(&f, PHASE_REMOVE, 404, "NoSuchBucket", ""), ==, VERDICT_FAIL);
    g_assert_error(f.error, FAULT, FAULT_NO_BUCKET);
    fixture_clear(&f);
}

static void test_remove_faults(void)
{
    Fixture f;
    open_remove(&f);
    g_assert_cmpint(fixture_read(&f, PHASE_REMOVE, 0, 503, NULL, NULL), ==, VERDICT_RETRY);
    g_assert_cmpuint(f.up->step, ==, 0);
    g_assert_cmpint(fixture_read(&f, PHASE_REMOVE, 0, 200, NULL, NULL), ==, VERDICT_MORE);
    ask_delete(&f);
    g_assert_cmpint(fixture_fail(&f, PHASE_REMOVE, 403, "AccessDenied", ""), ==, VERDICT_FAIL);
    g_assert_error(f.error, FAULT, FAULT_DENIED);
    g_assert_cmpint(fixture_fail(&f, PHASE_REMOVE, 403, "SignatureDoesNotMatch", ""), ==, VERDICT_FAIL);
    g_assert_cmpint(fixture_fail(&f, PHASE_REMOVE, 500, "InternalError", ""), ==, VERDICT_RETRY);
    fixture_clear(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dest/s3/share", test_share);
    g_test_add_func("/dest/s3/share-refuses", test_share_refuses);
    g_test_add_func("/dest/s3/remove", test_remove);
    g_test_add_func("/dest/s3/remove-of-nothing", test_remove_of_nothing);
    g_test_add_func("/dest/s3/remove-faults", test_remove_faults);
    return g_test_run();
}
