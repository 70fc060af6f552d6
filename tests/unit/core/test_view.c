#include "core/hoist.h"
#include "store_fixture.h"

/* ---- pages and sums from the store */

static void test_view_of_nothing_then_of_something(void)
{
    g_autofree char *dir = g_dir_make_tmp("hoist-store-XXXXXX", NULL);
    StoreView *v = store_view_open(dir, NULL);
    g_autoptr(GPtrArray) out = g_ptr_array_new_with_free_func((GDestroyNotify)store_job_free);
    HoistTotals totals;
    g_assert_nonnull(v);
    g_assert_true(store_view_page(v, 0, NULL, INT64_MIN, 0, false, 10, out, NULL));
    g_assert_true(store_view_totals(v, &totals, NULL));
    g_assert_false(store_view_changed(v));
    Queue q = { .dir = dir };
    queue_reopen(&q);
    q.dest = 1;
    g_assert_true(store_dest_add(q.st, &(StoreDest){ .name = (char *)"s3://b", .scheme = (char *)"s3" }, &q.dest, NULL));
    q.batch = queue_batch(&q);
    queue_add(&q, 1);
    g_assert_true(store_commit(q.st, NULL));
    g_assert_true(store_view_changed(v));
    g_assert_false(store_view_changed(v));
    g_assert_true(store_view_page(v, 0, NULL, INT64_MIN, 0, false, 10, out, NULL));
    g_assert_cmpuint(out->len, ==, 1);
    queue_add(&q, 2);
    g_assert_true(store_barrier(q.st, NULL));
    g_assert_true(store_view_changed(v));
    store_view_close(v);
    queue_drop(&q);
    dir = NULL;
}

static void assert_page(StoreView *v, unsigned states, const char *text, const int64_t from[2], bool backwards, const char *want)
{
    g_autoptr(GPtrArray) out = g_ptr_array_new_with_free_func((GDestroyNotify)store_job_free);
    g_autoptr(GString) got = g_string_new(NULL);
    g_assert_true(store_view_page(v, states, text, from[0], from[1], backwards, 4, out, NULL));
    for (unsigned i = 0; i < out->len; i++)
        g_string_append_printf(got, "%d ", (int)((StoreJob *)out->pdata[i])->id);
    g_assert_cmpstr(g_strchomp(got->str), ==, want);
}

static void test_view_pages_both_ways_with_filters(void)
{
    Queue q;
    queue_make(&q);
    for (unsigned i = 1; i <= 10; i++) {
        q.dest = 1 + i % 2;
        if (i == 1)
            g_assert_true(store_dest_add(q.st, &(StoreDest){ .name = (char *)"s3://c", .scheme = (char *)"s3" }, &q.dest, NULL));
        queue_add(&q, i);
    }
    int64_t odd = 0;
    q.dest = 1;
    g_assert_cmpint(queue_add_as(&q, q.batch, "/H\xc3\x84R\xff%_.JPG", "odd", 11, &odd), ==, STORE_ADDED);
    for (int64_t id = 2; id <= 8; id += 3)
        queue_done(&q, id);
    g_assert_true(store_job_failed(q.st, 3, 1, "stalled", "x", NULL));
    queue_move(&q, (int64_t[]){ 9 }, 1, -2);
    g_assert_true(store_barrier(q.st, NULL));
    StoreView *v = store_view_open(q.dir, NULL);
    const int64_t start[] = { INT64_MIN, 0 }, end[] = { INT64_MAX, INT64_MAX };
    StoreJob j = queue_load(&q, 4);
    const int64_t at_4[] = { j.pos, j.id };
    store_job_clear(&j);
    assert_page(v, 0, NULL, start, false, "9 1 2 3");
    assert_page(v, 0, NULL, at_4, false, "5 6 7 8");
    assert_page(v, 0, NULL, at_4, true, "3 2 1 9");
    assert_page(v, 0, NULL, end, true, "11 10 8 7");
    assert_page(v, 1u << HOIST_DONE, NULL, start, false, "2 5 8");
    assert_page(v, 1u << HOIST_DONE | 1u << HOIST_FAILED, NULL, end, true, "8 5 3 2");
    assert_page(v, 1u << HOIST_PAUSED, NULL, start, false, "");
    assert_page(v, 0, "h\xc3\x84r", start, false, "11"); /* ASCII is folded, the rest is bytes */
    assert_page(v, 0, "\xff%_.jpg", start, false, "11");
    assert_page(v, 0, "F1", end, true, "10 1");
    store_view_close(v);
    queue_drop(&q);
}

static void test_view_of_a_file_and_sums(void)
{
    Queue q;
    queue_make(&q);
    const int64_t a = queue_add(&q, 0), b = queue_add(&q, 1), up = queue_upload(&q, a, 0, 400);
    g_assert_true(store_upload_opened(q.st, up, "up-1", NULL, NULL));
    g_assert_true(store_part_done(q.st, up, &(StorePart){ .number = 1, .bytes = 400 }, NULL));
    g_assert_true(store_job_prepared(q.st, b, "s", 10, "webp", NULL, NULL));
    queue_done(&q, b);
    g_assert_true(store_commit(q.st, NULL));
    StoreView *v = store_view_open(q.dir, NULL);
    StoreJob j = { 0 };
    StoreUpload u = { 0 };
    unsigned parts = 0;
    bool found = false;
    g_assert_true(store_view_job(v, a, &j, &u, &parts, &found, NULL));
    g_assert_true(found);
    g_assert_cmpuint(parts, ==, 1);
    g_assert_cmpstr(u.upload_id, ==, "up-1");
    store_job_clear(&j);
    store_upload_clear(&u);
    g_assert_true(store_view_job(v, 77, &j, &u, &parts, &found, NULL));
    g_assert_false(found);
    HoistTotals seen, own;
    g_assert_true(store_view_totals(v, &seen, NULL));
    g_assert_true(store_totals(q.st, &own, NULL));
    g_assert_cmpmem(&seen, sizeof seen, &own, sizeof own);
    g_assert_cmpuint(seen.bytes[HOIST_DONE], ==, 10);
    g_assert_cmpuint(seen.bytes[HOIST_QUEUED], ==, 1000);
    g_assert_cmpuint(seen.acked_bytes, ==, 400);
    uint64_t open = 0, done = 0, failed = 0;
    g_assert_true(store_view_batch(v, q.batch, &open, &done, &failed, NULL));
    g_assert_cmpuint(open, ==, 1);
    g_assert_cmpuint(done, ==, 1);
    g_assert_cmpuint(failed, ==, 0);
    store_view_close(v);
    queue_drop(&q);
}

/* ---- rows */

static HoistSettings *settings_of(const char *dir)
{
    HoistSettings *s = hoist_settings_new();
    g_autoptr(GError) error = NULL;
    hoist_settings_set(s, "state", dir, "--state", &error);
    g_assert_no_error(error);
    return s;
}

static void test_rows_say_what_the_store_knows(void)
{
    Queue q;
    queue_make(&q);
    const int64_t sending = queue_add(&q, 0), waiting = queue_add(&q, 1), done = queue_add(&q, 2), up = queue_upload(&q, sending, 0, 400);
    g_assert_true(store_upload_opened(q.st, up, "up-1", NULL, NULL));
    g_assert_true(store_part_done(q.st, up, &(StorePart){ .number = 3, .bytes = 200 }, NULL));
    g_assert_true(store_job_queued(q.st, waiting, 1, store_now_ns() + 60 * (int64_t)1000000000, "stalled", "no answer", NULL));
    g_assert_true(store_job_prepared(q.st, done, "spool", 10, "webp q80", NULL, NULL));
    queue_done(&q, done);
    g_assert_true(store_barrier(q.st, NULL));
    g_autoptr(HoistSettings) settings = settings_of(q.dir);
    g_autoptr(HoistView) v = hoist_view_open(settings, NULL);
    g_assert_nonnull(v);

    g_autoptr(HoistRow) a = hoist_view_row(v, sending, NULL);
    g_assert_cmpstr(a->dest, ==, "s3://b/p");
    g_assert_cmpstr(a->upload_id, ==, "up-1");
    g_assert_cmpuint(a->parts, ==, 3);
    g_assert_cmpuint(a->parts_done, ==, 1);
    g_assert_cmpuint(a->acked_bytes, ==, 200);
    g_assert_cmpint(a->retry_in_ms, ==, -1);
    g_assert_cmpint(a->eta_s, ==, -1);

    g_autoptr(GPtrArray) rows = hoist_view_page(v, NULL, INT64_MIN, 0, false, 10, NULL);
    g_assert_cmpuint(rows->len, ==, 3);
    const HoistRow *b = rows->pdata[1], *c = rows->pdata[2];
    g_assert_cmpint(b->retry_in_ms, >, 50000);
    g_assert_cmpint(b->retry_in_ms, <=, 60000);
    g_assert_cmpstr(b->fault, ==, "stalled");
    g_assert_cmpstr(b->remedy, ==, fault_info(FAULT_STALLED)->remedy);
    g_assert_cmpint(c->state, ==, HOIST_DONE);
    g_assert_cmpuint(c->source_bytes, ==, 1002);
    g_assert_cmpuint(c->bytes, ==, 10);
    g_assert_null(c->remedy);

    g_autoptr(HoistRow) copy = hoist_row_dup(b);
    g_assert_cmpstr(copy->cause, ==, b->cause);
    g_assert_true(copy->cause != b->cause);

    const HoistFilter failed = { .states = 1u << HOIST_FAILED };
    g_autoptr(GPtrArray) none = hoist_view_page(v, &failed, INT64_MIN, 0, false, 10, NULL);
    g_assert_cmpuint(none->len, ==, 0);
    g_autoptr(GError) error = NULL;
    g_assert_null(hoist_view_row(v, 999, &error));
    g_assert_true(hoist_fault_is_usage(error));
    uint64_t open = 0, finished = 0, bad = 0;
    g_assert_true(hoist_view_batch(v, q.batch, &open, &finished, &bad, NULL));
    g_assert_cmpuint(open, ==, 2);
    queue_drop(&q);
}

static void test_state_directory(void)
{
    g_autoptr(HoistSettings) none = hoist_settings_new();
    g_autoptr(HoistSettings) set = settings_of("/var/tmp/q");
    g_setenv("HOME", "/home/somebody", TRUE);
    g_setenv("XDG_STATE_HOME", "/state", TRUE);
    g_autofree char *xdg = hoist_state_dir(none), *named = hoist_state_dir(set);
    g_setenv("XDG_STATE_HOME", "relative", TRUE);
    g_autofree char *home = hoist_state_dir(none);
    g_assert_cmpstr(xdg, ==, "/state/hoist");
    g_assert_cmpstr(named, ==, "/var/tmp/q");
    g_assert_cmpstr(home, ==, "/home/somebody/.local/state/hoist");
}

static void test_names_of_states(void)
{
    for (unsigned i = 0; i < HOIST_N_STATES; i++) {
        HoistState back = HOIST_N_STATES;
        g_assert_true(hoist_state_by_name(hoist_state_name((HoistState)i), &back));
        g_assert_cmpint(back, ==, i);
    }
    HoistState untouched = HOIST_FAILED;
    g_assert_false(hoist_state_by_name("sent", &untouched));
    g_assert_false(hoist_state_by_name(NULL, &untouched));
    g_assert_cmpint(untouched, ==, HOIST_FAILED);
    g_assert_cmpstr(hoist_verified_text(HOIST_VERIFIED_SIZE), ==, "size only");
    g_assert_cmpstr(hoist_verified_text((HoistVerified)77), ==, "not verified");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/view/of-nothing-then-of-something", test_view_of_nothing_then_of_something);
    g_test_add_func("/view/pages-both-ways-with-filters", test_view_pages_both_ways_with_filters);
    g_test_add_func("/view/of-a-file-and-sums", test_view_of_a_file_and_sums);
    g_test_add_func("/view/rows-say-what-the-store-knows", test_rows_say_what_the_store_knows);
    g_test_add_func("/view/state-directory", test_state_directory);
    g_test_add_func("/view/names-of-states", test_names_of_states);
    return g_test_run();
}
