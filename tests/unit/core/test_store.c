#include "store_fixture.h"

/* ---- destinations, batches */

static void test_equal_destinations_are_one(void)
{
    Queue q;
    queue_make(&q);
    StoreDest d = { .name = (char *)"s3://b/p", .scheme = (char *)"s3", .bucket = (char *)"b", .prefix = (char *)"p/" }, back = { 0 };
    int64_t same = 0, other = 0;
    g_assert_true(store_dest_add(q.st, &d, &same, NULL));
    g_assert_cmpint(same, ==, q.dest);
    d.region = (char *)"eu-central-1"; /* NULL and a value differ */
    g_assert_true(store_dest_add(q.st, &d, &other, NULL));
    g_assert_cmpint(other, !=, q.dest);
    g_assert_true(store_dest_load(q.st, other, &back, NULL));
    g_assert_cmpstr(back.region, ==, "eu-central-1");
    g_assert_null(back.endpoint);
    store_dest_clear(&back);
    g_autoptr(GError) error = NULL;
    g_assert_false(store_dest_load(q.st, 99, &back, &error));
    g_assert_cmpint(fault_code(error), ==, FAULT_BUG);
    queue_drop(&q);
}

static void test_batch_keeps_its_roots_as_bytes(void)
{
    Queue q;
    queue_make(&q);
    queue_reopen(&q);
    StoreBatch b = { 0 };
    g_assert_true(store_batch_load(q.st, q.batch, &b, NULL));
    g_assert_cmpuint(g_strv_length(b.roots), ==, 2);
    g_assert_cmpstr(b.roots[1], ==, "/srv/\xff\n");
    g_assert_cmpstr(b.options, ==, "{\"images\":\"web\"}");
    store_batch_clear(&b);
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(int64_t));
    g_assert_true(store_batches_unscanned(q.st, ids, NULL));
    g_assert_cmpuint(ids->len, ==, 1);
    g_assert_true(store_batch_scanned(q.st, q.batch, 1, NULL));
    g_array_set_size(ids, 0);
    g_assert_true(store_batches_unscanned(q.st, ids, NULL));
    g_assert_cmpuint(ids->len, ==, 0);
    queue_drop(&q);
}

/* ---- adding */

static void test_what_is_added_comes_back(void)
{
    Queue q;
    queue_make(&q);
    int64_t id = 0;
    g_assert_cmpint(queue_add_as(&q, q.batch, "/a\xff/\n\x1b[2J", "p/a%FF", 4, &id), ==, STORE_ADDED);
    queue_reopen(&q);
    StoreJob j = queue_load(&q, id);
    g_assert_cmpstr(j.path, ==, "/a\xff/\n\x1b[2J");
    g_assert_cmpstr(j.key, ==, "p/a%FF");
    g_assert_true(source_id_same(&j.src, &(SourceId){ 1004, 5004, 6004, 1, UINT64_MAX - 4 }));
    g_assert_cmpint(j.state, ==, HOIST_QUEUED);
    g_assert_null(j.staged);
    g_assert_cmpint(j.added_ns, >, 0);
    store_job_clear(&j);
    queue_drop(&q);
}

static void test_a_file_is_queued_once(void)
{
    Queue q;
    queue_make(&q);
    int64_t id = 0, again = 0;
    const int64_t second = queue_batch(&q);
    g_assert_cmpint(queue_add_as(&q, q.batch, "/a", "k", 1, &id), ==, STORE_ADDED);
    g_assert_cmpint(queue_add_as(&q, q.batch, "/a", "k", 1, &again), ==, STORE_SAME);
    g_assert_cmpint(again, ==, id);
    again = 0;
    g_assert_cmpint(queue_add_as(&q, second, "/a", "other", 1, &again), ==, STORE_SAME); /* unfinished in another batch */
    g_assert_cmpint(again, ==, id);
    g_assert_cmpint(queue_add_as(&q, q.batch, "/b", "k", 2, &again), ==, STORE_KEY_TAKEN);
    queue_done(&q, id);
    /* A scan that is repeated after a crash finds its files by path, whatever the template made of their keys this time. */
    g_assert_cmpint(queue_add_as(&q, q.batch, "/a", "random", 1, &again), ==, STORE_SAME);
    g_assert_cmpint(again, ==, id);
    g_assert_cmpint(queue_add_as(&q, second, "/a", "k", 1, &again), ==, STORE_ADDED); /* done is done: a new batch sends it again */
    queue_drop(&q);
}

static void test_failed_is_queued_again_in_the_new_batch(void)
{
    Queue q;
    queue_make(&q);
    const int64_t id = queue_add(&q, 1), second = queue_batch(&q);
    int64_t again = 0, other = 0;
    g_assert_true(store_job_failed(q.st, id, 3, "access-denied", "403", NULL));
    g_assert_cmpint(queue_add_as(&q, second, "/x", "taken", 2, &other), ==, STORE_ADDED);
    g_assert_cmpint(queue_add_as(&q, second, "/f1", "taken", 1, &again), ==, STORE_KEY_TAKEN);
    g_assert_cmpint(queue_state(&q, id), ==, HOIST_FAILED);
    g_assert_cmpint(queue_add_as(&q, second, "/f1", "free", 9, &again), ==, STORE_REQUEUED);
    g_assert_cmpint(again, ==, id);
    StoreJob j = queue_load(&q, id);
    g_assert_cmpint(j.batch, ==, second);
    g_assert_cmpstr(j.key, ==, "free");
    g_assert_cmpuint(j.src.size_bytes, ==, 1009);
    g_assert_cmpuint(j.tries, ==, 0);
    g_assert_null(j.fault);
    store_job_clear(&j);
    queue_drop(&q);
}

static void test_requeue_gives_up_an_upload_of_other_bytes(void)
{
    Queue q;
    queue_make(&q);
    const int64_t same = queue_add(&q, 1), changed = queue_add(&q, 2);
    const int64_t ids[] = { same, changed };
    for (unsigned i = 0; i < 2; i++) {
        const int64_t up = queue_upload(&q, ids[i], i + 1, 500);
        g_assert_true(store_upload_opened(q.st, up, i ? "u2" : "u1", NULL, NULL));
        g_assert_true(store_part_done(q.st, up, &(StorePart){ .number = 1, .bytes = 500, .etag = (char *)"e" }, NULL));
        g_assert_true(store_job_failed(q.st, ids[i], 3, "stalled", "x", NULL));
    }
    int64_t id = 0;
    bool found = false;
    StoreUpload u = { 0 };
    g_assert_cmpint(queue_add_as(&q, q.batch, "/f1", "p/f1", 1, &id), ==, STORE_REQUEUED);
    g_assert_cmpint(queue_add_as(&q, q.batch, "/f2", "p/f2", 7, &id), ==, STORE_REQUEUED);
    g_assert_true(store_upload_of_job(q.st, same, &u, &found, NULL));
    g_assert_true(found);
    store_upload_clear(&u);
    g_assert_true(store_upload_of_job(q.st, changed, &u, &found, NULL));
    g_assert_false(found);
    g_autoptr(GPtrArray) aborting = g_ptr_array_new_with_free_func((GDestroyNotify)store_upload_free);
    g_assert_true(store_uploads_open(q.st, UPLOAD_ABORTING, aborting, NULL));
    g_assert_cmpuint(aborting->len, ==, 1);
    StoreJob j = queue_load(&q, same), k = queue_load(&q, changed);
    g_assert_cmpuint(j.acked_bytes, ==, 500);
    g_assert_cmpuint(k.acked_bytes, ==, 0);
    store_job_clear(&j);
    store_job_clear(&k);
    queue_drop(&q);
}

/* ---- due work */

static unsigned due(Queue *q, int64_t now_ns, const GArray *paused, int64_t *pos, int64_t *id, int64_t *ids, unsigned n)
{
    g_autoptr(GPtrArray) out = g_ptr_array_new_with_free_func((GDestroyNotify)store_job_free);
    g_assert_true(store_jobs_due(q->st, now_ns, paused, pos, id, n, out, NULL));
    for (unsigned i = 0; i < out->len; i++)
        ids[i] = ((StoreJob *)out->pdata[i])->id;
    return out->len;
}

static void test_due_in_order_and_in_pages(void)
{
    Queue q;
    queue_make(&q);
    int64_t want[10], got[10], pos = INT64_MIN, id = 0;
    for (unsigned i = 0; i < 10; i++)
        want[i] = queue_add(&q, i);
    for (unsigned at = 0, n; at < 10; at += n) {
        n = due(&q, 100, NULL, &pos, &id, got, 4);
        g_assert_cmpuint(n, ==, MIN(4, 10 - at));
        g_assert_cmpmem(got, n * sizeof *got, want + at, n * sizeof *want);
    }
    g_assert_cmpuint(due(&q, 100, NULL, &pos, &id, got, 4), ==, 0);
    queue_drop(&q);
}

static void test_due_waits_and_leaves_out_paused_destinations(void)
{
    Queue q;
    queue_make(&q);
    const int64_t waiting = queue_add(&q, 1), first = queue_add(&q, 2), home = q.dest;
    int64_t got[10], pos = INT64_MIN, id = 0, when = -1;
    g_assert_true(store_job_queued(q.st, waiting, 1, 500, "stalled", "no answer", NULL));
    const StoreDest d = { .name = (char *)"s3://c", .scheme = (char *)"s3" };
    g_assert_true(store_dest_add(q.st, &d, &q.dest, NULL));
    const int64_t other = queue_add(&q, 3);
    g_assert_cmpuint(due(&q, 499, NULL, &pos, &id, got, 10), ==, 2);
    g_assert_cmpint(got[0], ==, first);
    g_assert_cmpint(got[1], ==, other);
    g_assert_true(store_next_due(q.st, 499, &when, NULL));
    g_assert_cmpint(when, ==, 500);
    pos = INT64_MIN, id = 0;
    g_assert_cmpuint(due(&q, 500, NULL, &pos, &id, got, 10), ==, 3);
    g_assert_cmpint(got[0], ==, waiting);
    g_assert_true(store_next_due(q.st, 500, &when, NULL));
    g_assert_cmpint(when, ==, 0);
    g_autoptr(GArray) paused = g_array_new(FALSE, FALSE, sizeof(int64_t));
    g_array_append_val(paused, home);
    pos = INT64_MIN, id = 0;
    g_assert_cmpuint(due(&q, 500, paused, &pos, &id, got, 10), ==, 1);
    g_assert_cmpint(got[0], ==, other);
    queue_drop(&q);
}

/* ---- states */

static void test_states_and_what_belongs_to_them(void)
{
    Queue q;
    queue_make(&q);
    const int64_t id = queue_add(&q, 1);
    g_assert_true(store_job_prepared(q.st, id, "spool-1", 77, "webp q80", "smaller", NULL));
    StoreJob j = queue_load(&q, id);
    g_assert_cmpint(j.state, ==, HOIST_QUEUED);
    g_assert_cmpstr(j.staged, ==, "spool-1");
    g_assert_cmpuint(j.staged_bytes, ==, 77);
    store_job_clear(&j);
    const SourceId changed = source_of(50);
    g_assert_true(store_job_source(q.st, id, &changed, NULL));
    j = queue_load(&q, id);
    g_assert_null(j.staged);
    g_assert_true(source_id_same(&j.src, &changed));
    store_job_clear(&j);
    g_assert_true(store_job_paused(q.st, id, true, NULL));
    g_assert_cmpint(queue_state(&q, id), ==, HOIST_PAUSED);
    g_assert_true(store_job_paused(q.st, id, false, NULL));
    g_assert_true(store_job_failed(q.st, id, 3, "access-denied", "403", NULL));
    g_assert_true(store_job_paused(q.st, id, true, NULL));
    g_assert_cmpint(queue_state(&q, id), ==, HOIST_FAILED);
    g_assert_true(store_job_cancelling(q.st, id, NULL));
    g_assert_true(store_job_forget(q.st, id, NULL));
    g_assert_cmpint(queue_state(&q, id), ==, HOIST_CANCELLING);
    g_assert_true(store_job_cancelled(q.st, id, NULL));
    g_assert_true(store_job_forget(q.st, id, NULL));
    g_autoptr(GError) error = NULL;
    g_assert_false(store_job_load(q.st, id, &j, &error));
    g_assert_nonnull(error);
    queue_drop(&q);
}

static void test_done_keeps_the_answer_without_secrets(void)
{
    Queue q;
    queue_make(&q);
    const int64_t id = queue_add(&q, 1);
    const StoreJob r = { .id = id,
                         .url = (char *)"https://b.example/k",
                         .etag = (char *)"\"e\"",
                         .version = (char *)"v",
                         .checksum = (char *)"crc64nvme:AA",
                         .verified = 3,
                         .note = (char *)"n",
                         .acked_bytes = 1001,
                         .started_ns = 5,
                         .done_ns = 6 };
    g_assert_true(store_job_done(q.st, &r, NULL));
    StoreJob j = queue_load(&q, id);
    g_assert_cmpint(j.state, ==, HOIST_DONE);
    g_assert_cmpstr(j.url, ==, "https://b.example/k");
    g_assert_cmpstr(j.checksum, ==, "crc64nvme:AA");
    g_assert_cmpint(j.verified, ==, 3);
    g_assert_cmpint(j.done_ns, ==, 6);
    store_job_clear(&j);
    queue_drop(&q);
}

static void test_cause_is_cut(void)
{
    Queue q;
    queue_make(&q);
    const int64_t id = queue_add(&q, 1);
    g_autofree char *cause = g_strnfill(100000, 'x');
    g_assert_true(store_job_failed(q.st, id, 1, "bad-answer", cause, NULL));
    StoreJob j = queue_load(&q, id);
    g_assert_cmpuint(strlen(j.cause), ==, STORE_CAUSE_MAX);
    store_job_clear(&j);
    queue_drop(&q);
}

static void test_rekey(void)
{
    Queue q;
    queue_make(&q);
    const int64_t a = queue_add(&q, 1);
    queue_add(&q, 2);
    bool taken = false;
    g_assert_true(store_job_rekey(q.st, a, "p/f2", &taken, NULL));
    g_assert_true(taken);
    g_assert_true(store_job_rekey(q.st, a, "p/f1-1", &taken, NULL));
    g_assert_false(taken);
    queue_drop(&q);
}

static void test_cancelled_and_queued_twice_is_a_conflict(void)
{
    Queue q;
    queue_make(&q);
    const int64_t a = queue_add(&q, 1), second = queue_batch(&q);
    int64_t b = 0;
    g_assert_true(store_job_cancelled(q.st, a, NULL));
    g_assert_cmpint(queue_add_as(&q, second, "/f1", "k", 1, &b), ==, STORE_ADDED);
    g_autoptr(GError) error = NULL;
    g_assert_false(store_job_queued(q.st, a, 0, 0, NULL, NULL, &error));
    g_assert_cmpint(fault_code(error), ==, FAULT_CONFLICT);
    g_assert_true(store_commit(q.st, NULL));
    g_assert_cmpint(queue_state(&q, a), ==, HOIST_CANCELLED);
    queue_drop(&q);
}

static void test_open_turns_running_work_back(void)
{
    Queue q;
    queue_make(&q);
    const int64_t id = queue_add(&q, 1), up = queue_upload(&q, id, 1, 500), closing = queue_add(&q, 2);
    g_assert_true(store_upload_opened(q.st, up, "u", NULL, NULL));
    g_assert_true(store_part_done(q.st, up, &(StorePart){ .number = 1, .bytes = 500 }, NULL));
    g_assert_true(store_job_completing(q.st, closing, NULL));
    g_assert_true(store_commit(q.st, NULL));
    g_assert_true(conn_exec(&q.st->conn, "UPDATE job SET state=2 WHERE id=1", NULL));
    queue_reopen(&q);
    StoreJob j = queue_load(&q, id);
    g_assert_cmpint(j.state, ==, HOIST_QUEUED);
    g_assert_cmpuint(j.acked_bytes, ==, 500);
    store_job_clear(&j);
    g_autoptr(GPtrArray) in = g_ptr_array_new_with_free_func((GDestroyNotify)store_job_free);
    g_assert_true(store_jobs_in(q.st, HOIST_COMPLETING, 0, 10, in, NULL));
    g_assert_cmpuint(in->len, ==, 1);
    queue_drop(&q);
}

/* ---- moving */

static void assert_order(Queue *q, const char *want)
{
    g_autoptr(GString) got = g_string_new(NULL);
    int64_t ids[20], pos = INT64_MIN, id = 0;
    const unsigned n = due(q, 1, NULL, &pos, &id, ids, 20);
    for (unsigned i = 0; i < n; i++)
        g_string_append_printf(got, "%d", (int)ids[i]);
    g_assert_cmpstr(got->str, ==, want);
}

static void test_move(void)
{
    Queue q;
    queue_make(&q);
    for (unsigned i = 1; i <= 6; i++)
        g_assert_cmpint(queue_add(&q, i), ==, i);
    queue_move(&q, (int64_t[]){ 3 }, 1, -1);
    assert_order(&q, "132456");
    queue_move(&q, (int64_t[]){ 1, 3, 4 }, 3, -1); /* 1 and 3 are at the top already */
    assert_order(&q, "134256");
    queue_move(&q, (int64_t[]){ 6, 5 }, 2, 1);
    assert_order(&q, "134256");
    queue_move(&q, (int64_t[]){ 1, 4 }, 2, 1);
    assert_order(&q, "312456");
    queue_move(&q, (int64_t[]){ 6, 2 }, 2, -2);
    assert_order(&q, "263145");
    queue_move(&q, (int64_t[]){ 6, 3, 99 }, 3, 2);
    assert_order(&q, "214563");
    queue_done(&q, 1);
    queue_move(&q, (int64_t[]){ 4 }, 1, -1); /* over the done one */
    assert_order(&q, "42563");
    queue_reopen(&q);
    assert_order(&q, "42563");
    g_assert_cmpint(queue_add(&q, 7), ==, 7);
    assert_order(&q, "425637");
    queue_drop(&q);
}

static void test_ids_of_a_bulk_command(void)
{
    Queue q;
    queue_make(&q);
    for (unsigned i = 1; i <= 9; i++)
        queue_add(&q, i);
    for (int64_t id = 2; id <= 8; id += 2)
        g_assert_true(store_job_failed(q.st, id, 1, "stalled", "x", NULL));
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(int64_t));
    g_assert_true(store_ids_in(q.st, HOIST_FAILED, 2, 2, ids, NULL));
    g_assert_cmpuint(ids->len, ==, 2);
    g_assert_cmpint(g_array_index(ids, int64_t, 0), ==, 4);
    g_assert_true(store_ids_in(q.st, -1, 7, 5, ids, NULL));
    g_assert_cmpuint(ids->len, ==, 4);
    g_assert_cmpint(g_array_index(ids, int64_t, 3), ==, 9);
    queue_drop(&q);
}

/* ---- uploads */

static void test_upload_from_create_to_done(void)
{
    Queue q;
    queue_make(&q);
    const int64_t job = queue_add(&q, 0), id = queue_upload(&q, job, 0, 400);
    StoreUpload u = { 0 };
    bool found = false, known = false;
    queue_reopen(&q);
    g_assert_true(store_upload_of_job(q.st, job, &u, &found, NULL));
    g_assert_true(found);
    g_assert_null(u.upload_id);
    g_assert_cmpstr(u.nonce, ==, "n");
    g_assert_cmpuint(u.total_bytes, ==, 1000);
    store_upload_clear(&u);
    g_assert_true(store_upload_opened(q.st, id, "up-1", NULL, NULL));
    StorePart parts[3] = { { .number = 3, .bytes = 200, .etag = (char *)"c" },
                           { .number = 1, .bytes = 400, .etag = (char *)"a" },
                           { .number = 2, .bytes = 400 } };
    digest_of(DIGEST_BIT(DIGEST_MD5) | DIGEST_BIT(DIGEST_CRC64NVME), "x", 1, &parts[0].digest);
    for (unsigned i = 0; i < 3; i++)
        g_assert_true(store_part_done(q.st, id, &parts[i], NULL));
    parts[1].etag = (char *)"a2";
    g_assert_true(store_part_done(q.st, id, &parts[1], NULL)); /* sent twice: the later one counts, its bytes once */
    g_assert_true(store_part_drop(q.st, id, 2, NULL));
    StoreJob j = queue_load(&q, job);
    g_assert_cmpuint(j.acked_bytes, ==, 600);
    store_job_clear(&j);
    queue_reopen(&q);
    g_autoptr(GArray) back = g_array_new(FALSE, FALSE, sizeof(StorePart));
    g_assert_true(store_parts(q.st, id, back, NULL));
    g_assert_cmpuint(back->len, ==, 2);
    g_assert_cmpstr(g_array_index(back, StorePart, 0).etag, ==, "a2");
    g_assert_cmpmem(&g_array_index(back, StorePart, 1).digest, sizeof(DigestSet), &parts[0].digest, sizeof(DigestSet));
    g_assert_true(store_upload_known(q.st, "up-1", &known, NULL));
    g_assert_true(known);
    g_assert_true(store_part_done(q.st, id, &parts[2], NULL));
    g_assert_true(store_upload_state(q.st, id, UPLOAD_COMPLETING, NULL));
    g_assert_true(store_job_completing(q.st, job, NULL));
    g_assert_true(store_commit(q.st, NULL));
    g_assert_true(store_upload_state(q.st, id, UPLOAD_DONE, NULL));
    queue_done(&q, job);
    g_array_set_size(back, 0);
    g_assert_true(store_parts(q.st, id, back, NULL));
    g_assert_cmpuint(back->len, ==, 0);
    queue_drop(&q);
}

/* The address of a session is a secret, and of no use once the object is there. */
static void test_addresses_are_forgotten(void)
{
    static const struct {
        const char *id;
        bool kept;
    } cases[] = { { "https://store.example/session?sig=abc", false }, { "up-1", true } };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        Queue q;
        bool known = false;
        queue_make(&q);
        const int64_t job = queue_add(&q, 0), id = queue_upload(&q, job, 0, 1000);
        g_assert_true(store_upload_opened(q.st, id, cases[i].id, NULL, NULL));
        g_assert_true(store_upload_known(q.st, cases[i].id, &known, NULL));
        g_assert_true(known);
        g_assert_true(store_upload_state(q.st, id, UPLOAD_DONE, NULL));
        queue_done(&q, job);
        g_assert_true(store_upload_known(q.st, cases[i].id, &known, NULL));
        g_assert_cmpint(known, ==, cases[i].kept);
        queue_drop(&q);
    }
}

static void test_upload_given_up(void)
{
    Queue q;
    queue_make(&q);
    const int64_t job = queue_add(&q, 0), old = queue_upload(&q, job, 0, 400);
    g_assert_true(store_upload_opened(q.st, old, "up-1", NULL, NULL));
    g_assert_true(store_part_done(q.st, old, &(StorePart){ .number = 1, .bytes = 400 }, NULL));
    g_assert_true(store_job_failed(q.st, job, 1, "stalled", "x", NULL));
    g_assert_true(store_job_forget(q.st, job, NULL)); /* its upload is open: stays */
    g_assert_true(store_upload_state(q.st, old, UPLOAD_ABORTING, NULL));
    const int64_t next = queue_upload(&q, job, 0, 400);
    g_assert_true(store_upload_opened(q.st, next, "up-2", NULL, NULL));
    g_assert_true(store_part_done(q.st, next, &(StorePart){ .number = 1, .bytes = 400 }, NULL));
    g_assert_true(store_upload_state(q.st, old, UPLOAD_GONE, NULL)); /* the late end of the old one does not touch the new */
    StoreJob j = queue_load(&q, job);
    g_assert_cmpuint(j.acked_bytes, ==, 400);
    store_job_clear(&j);
    bool known = true;
    g_assert_true(store_upload_known(q.st, "up-1", &known, NULL));
    g_assert_false(known);
    queue_drop(&q);
}

static void test_check_finds_each_violation(void)
{
    static const char *const breaks[] = {
        "UPDATE job SET state=4 WHERE id=1",
        "UPDATE upload SET upload_id=NULL",
        "UPDATE part SET size=size-1; UPDATE job SET acked=399 WHERE id=1",
        "UPDATE job SET acked=1 WHERE id=1",
        "UPDATE upload SET job=NULL",
        "UPDATE job SET mtime_ns=0 WHERE id=1",
    };
    static const char *const names[] = { "I1", "I2", "I3", "I5", "I6", "I7" };
    for (unsigned i = 0; i < G_N_ELEMENTS(breaks); i++) {
        Queue q;
        queue_make(&q);
        const int64_t job = queue_add(&q, 0), up = queue_upload(&q, job, 0, 400);
        g_assert_true(store_upload_opened(q.st, up, "up-1", NULL, NULL));
        g_assert_true(store_part_done(q.st, up, &(StorePart){ .number = 1, .bytes = 400 }, NULL));
        g_assert_true(store_commit(q.st, NULL));
        g_assert_true(conn_exec(&q.st->conn, breaks[i], NULL));
        g_autoptr(GPtrArray) broken = g_ptr_array_new_with_free_func(g_free);
        g_assert_true(store_check(q.st, broken, NULL));
        g_assert_cmpuint(broken->len, ==, 1);
        g_assert_true(g_str_has_prefix(broken->pdata[0], names[i]));
        store_close(g_steal_pointer(&q.st));
        queue_drop(&q);
    }
}

/* ---- the rest */

static void test_meta_learned_log(void)
{
    Queue q;
    queue_make(&q);
    g_assert_true(store_meta_put(q.st, "paused", "1", NULL));
    g_assert_true(store_meta_put(q.st, "paused", "0", NULL));
    g_assert_true(store_learned_put(q.st, "https://e", "path-style", NULL));
    for (unsigned i = 0; i < 100; i++)
        g_assert_true(store_log(q.st, 1, "stalled", "line", NULL));
    q.st->last_event += STORE_EVENTS_MAX;
    g_assert_true(store_log(q.st, 1, NULL, "last", NULL));
    queue_reopen(&q);
    g_autofree char *paused = store_meta_get(q.st, "paused"), *none = store_meta_get(q.st, "nothing"),
                    *learned = store_learned_get(q.st, "https://e");
    g_assert_cmpstr(paused, ==, "0");
    g_assert_null(none);
    g_assert_cmpstr(learned, ==, "path-style");
    int64_t events = 0;
    g_assert_true(conn_number(&q.st->conn, "SELECT count(*) FROM event", &events, NULL));
    g_assert_cmpint(events, ==, 1);
    queue_drop(&q);
}

static void test_inbox_pokes_the_holder_and_is_taken_once(void)
{
    Queue q;
    queue_make(&q);
    GPollFD poll = { .fd = store_poke_fd(q.st), .events = G_IO_IN };
    g_assert_cmpint(poll.fd, >=, 0);
    g_assert_cmpint(g_poll(&poll, 1, 0), ==, 0);
    g_assert_true(store_inbox_put(q.dir, "{\"n\":1}", NULL));
    g_assert_true(store_inbox_put(q.dir, "{\"n\":2}", NULL));
    g_assert_cmpint(g_poll(&poll, 1, 1000), ==, 1);
    store_poke_clear(q.st);
    g_assert_cmpint(g_poll(&poll, 1, 0), ==, 0);
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    g_assert_true(store_inbox_take(q.st, texts, NULL));
    g_assert_true(store_inbox_take(q.st, texts, NULL)); /* in the same turn */
    g_assert_true(store_commit(q.st, NULL));
    g_assert_true(store_inbox_put(q.dir, "{\"n\":3}", NULL));
    g_assert_true(store_inbox_take(q.st, texts, NULL));
    g_assert_cmpuint(texts->len, ==, 3);
    g_assert_cmpstr(texts->pdata[1], ==, "{\"n\":2}");
    g_assert_cmpstr(texts->pdata[2], ==, "{\"n\":3}");
    queue_reopen(&q);
    g_assert_true(store_inbox_take(q.st, texts, NULL));
    g_assert_cmpuint(texts->len, ==, 3);
    queue_drop(&q);
}

static void test_inbox_works_before_there_is_a_queue(void)
{
    g_autofree char *dir = g_dir_make_tmp("hoist-store-XXXXXX", NULL), *state = g_build_filename(dir, "new", NULL);
    g_assert_true(store_inbox_put(state, "{}", NULL));
    g_autoptr(Store) st = store_open(state, NULL, NULL);
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    g_assert_true(store_inbox_take(st, texts, NULL));
    g_assert_cmpuint(texts->len, ==, 1);
    store_close(g_steal_pointer(&st));
    dir_remove(state);
    dir_remove(dir);
}

static void test_files_are_private(void)
{
    Queue q;
    const mode_t before = umask(0);
    queue_make(&q);
    umask(before);
    queue_add(&q, 1);
    g_assert_true(store_commit(q.st, NULL));
    static const char *const names[] = { "queue.db", "queue.db-wal", "queue.db-shm", "lock", "poke" };
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(q.dir, names[i], NULL);
        struct stat st;
        g_assert_cmpint(stat(path, &st), ==, 0);
        g_assert_cmpuint(st.st_mode & 0777, ==, 0600);
    }
    queue_drop(&q);
}

static void test_joined_turns_owe_a_barrier(void)
{
    Queue q;
    queue_make(&q);
    const int64_t now = g_get_monotonic_time();
    g_assert_cmpint(store_wait_ms(q.st, now), ==, -1);
    for (unsigned i = 0; i < 200; i++)
        queue_add(&q, i);
    g_assert_true(store_commit(q.st, NULL));
    g_assert_false(q.st->begun);
    queue_done(&q, 1);
    g_assert_true(store_commit(q.st, NULL));
    g_assert_true(q.st->begun);
    g_assert_false(store_barrier_due(q.st, now));
    g_assert_true(store_barrier_due(q.st, now + 2 * G_USEC_PER_SEC));
    g_assert_true(store_barrier(q.st, NULL));
    g_assert_false(q.st->begun);
    g_assert_cmpint(store_wait_ms(q.st, now + 2 * G_USEC_PER_SEC), ==, -1);
    for (int64_t id = 2; id <= 190; id++) {
        queue_done(&q, id);
        g_assert_true(store_commit(q.st, NULL));
        g_assert_cmpuint(q.st->kept, <, 100); /* so many are not left open */
    }
    queue_done(&q, 191);
    g_assert_true(store_job_paused(q.st, 192, true, NULL)); /* somebody looks at that */
    g_assert_true(store_commit(q.st, NULL));
    g_assert_false(q.st->begun);
    queue_drop(&q);
}

/* ---- a million files */

static bool row_plan(sqlite3_stmt *row, void *ctx, GError **error)
{
    (void)error;
    g_string_append_printf(ctx, "%s\n", (const char *)sqlite3_column_text(row, 3));
    return true;
}

static void assert_plans(Store *st)
{
    for (unsigned i = 0; i < N_SQL; i++) {
        const StoreSqlRow *sql = store_sql((StoreSql)i);
        if (sql->uses == NULL)
            continue;
        g_autofree char *explain = g_strconcat("EXPLAIN QUERY PLAN ", sql->text, NULL);
        g_autoptr(GString) plan = g_string_new(NULL);
        sqlite3_stmt *stmt = NULL;
        g_assert_cmpint(sqlite3_prepare_v2(st->conn.db, explain, -1, &stmt, NULL), ==, SQLITE_OK);
        while (sqlite3_step(stmt) == SQLITE_ROW)
            row_plan(stmt, plan, NULL);
        sqlite3_finalize(stmt);
        const bool ok = strstr(plan->str, sql->uses) != NULL && strstr(plan->str, "SCAN ") == NULL;
        if (!ok)
            g_test_message("%s\n%s", sql->text, plan->str);
        g_assert_true(ok);
    }
}

static void fill(Queue *q, unsigned n)
{
    g_assert_true(store_dest_add(q->st, &(StoreDest){ .name = (char *)"s3://c", .scheme = (char *)"s3" }, &(int64_t){ 0 }, NULL));
    g_assert_true(store_barrier(q->st, NULL));
    g_autofree char *sql =
        g_strdup_printf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<%u) INSERT INTO "
                        "job(id,batch,dest,pos,state,path,name,key,size,mtime_ns,ctime_ns,dev,ino,added_ns) SELECT "
                        "i,1,1+(i%%100=0),i<<20,iif(i%%1000=0,5,0),"
                        "CAST(printf('/home/x/photos/2024/summer/IMG_%%07d.jpg',i) AS BLOB),CAST(printf('summer/IMG_%%07d.jpg',i) AS BLOB),"
                        "CAST(printf('p/summer/IMG_%%07d.jpg',i) AS BLOB),4096,1,1,1,i,1 FROM n",
                        n);
    g_autoptr(GError) error = NULL;
    conn_exec(&q->st->conn, sql, &error);
    g_assert_no_error(error);
    queue_reopen(q);
}

static void test_many_files_cost_no_more_than_few(void)
{
    Queue q;
    queue_make(&q);
    const unsigned n = g_getenv("HOIST_SLOW_TESTS") != NULL ? 1000000 : 100000;
    assert_plans(q.st);
    fill(&q, n);
    StoreView *v = store_view_open(q.dir, NULL);
    g_autoptr(GPtrArray) out = g_ptr_array_new_with_free_func((GDestroyNotify)store_job_free);
    g_autoptr(GArray) paused = g_array_new(FALSE, FALSE, sizeof(int64_t));
    g_array_append_val(paused, q.dest);
    int64_t pos = INT64_MIN, id = 0, times[7] = { g_get_monotonic_time() };
    g_assert_true(store_jobs_due(q.st, 1, paused, &pos, &id, 100, out, NULL)); /* past a million files of the paused destination */
    g_assert_cmpuint(out->len, ==, 100);
    times[1] = g_get_monotonic_time();
    pos = (int64_t)(n / 2) << 20;
    g_assert_true(store_view_page(v, 0, NULL, pos, 0, true, 100, out, NULL));
    times[2] = g_get_monotonic_time();
    g_assert_true(store_view_page(v, 1u << HOIST_FAILED, NULL, pos, 0, false, 40, out, NULL));
    times[3] = g_get_monotonic_time();
    g_assert_cmpuint(out->len, ==, 240);
    HoistTotals totals;
    g_assert_true(store_view_totals(v, &totals, NULL));
    times[4] = g_get_monotonic_time();
    g_assert_true(store_view_page(v, 0, "no such name", INT64_MIN, 0, false, 40, out, NULL));
    times[5] = g_get_monotonic_time();
    uint64_t sums[3];
    g_assert_true(store_view_batch(v, q.batch, &sums[0], &sums[1], &sums[2], NULL));
    times[6] = g_get_monotonic_time();
    g_test_message("%u files: due %.2f ms, page %.2f ms, failed %.2f ms; scans: totals %.0f ms, text %.0f ms, batch %.0f ms", n,
                   (double)(times[1] - times[0]) / 1e3, (double)(times[2] - times[1]) / 1e3, (double)(times[3] - times[2]) / 1e3,
                   (double)(times[4] - times[3]) / 1e3, (double)(times[5] - times[4]) / 1e3, (double)(times[6] - times[5]) / 1e3);
    g_assert_cmpint(times[3] - times[0], <, (times[4] - times[3]) + 20000); /* three pages in less time than one scan and a pause */
    g_assert_cmpuint(totals.files[HOIST_QUEUED] + totals.files[HOIST_FAILED], ==, n);
    store_view_close(v);
    store_close(g_steal_pointer(&q.st));
    queue_drop(&q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store/dest/equal-ones-are-one", test_equal_destinations_are_one);
    g_test_add_func("/store/batch/keeps-its-roots-as-bytes", test_batch_keeps_its_roots_as_bytes);
    g_test_add_func("/store/add/what-is-added-comes-back", test_what_is_added_comes_back);
    g_test_add_func("/store/add/a-file-is-queued-once", test_a_file_is_queued_once);
    g_test_add_func("/store/add/failed-is-queued-again-in-the-new-batch", test_failed_is_queued_again_in_the_new_batch);
    g_test_add_func("/store/add/requeue-gives-up-an-upload-of-other-bytes", test_requeue_gives_up_an_upload_of_other_bytes);
    g_test_add_func("/store/due/in-order-and-in-pages", test_due_in_order_and_in_pages);
    g_test_add_func("/store/due/waits-and-leaves-out-paused", test_due_waits_and_leaves_out_paused_destinations);
    g_test_add_func("/store/job/states", test_states_and_what_belongs_to_them);
    g_test_add_func("/store/job/done-keeps-the-answer-without-secrets", test_done_keeps_the_answer_without_secrets);
    g_test_add_func("/store/job/cause-is-cut", test_cause_is_cut);
    g_test_add_func("/store/job/rekey", test_rekey);
    g_test_add_func("/store/job/cancelled-and-queued-twice-is-a-conflict", test_cancelled_and_queued_twice_is_a_conflict);
    g_test_add_func("/store/job/open-turns-running-work-back", test_open_turns_running_work_back);
    g_test_add_func("/store/job/move", test_move);
    g_test_add_func("/store/job/ids-of-a-bulk-command", test_ids_of_a_bulk_command);
    g_test_add_func("/store/upload/from-create-to-done", test_upload_from_create_to_done);
    g_test_add_func("/store/uploads/addresses-are-forgotten", test_addresses_are_forgotten);
    g_test_add_func("/store/upload/given-up", test_upload_given_up);
    g_test_add_func("/store/check/finds-each-violation", test_check_finds_each_violation);
    g_test_add_func("/store/meta-learned-log", test_meta_learned_log);
    g_test_add_func("/store/inbox/pokes-the-holder-and-is-taken-once", test_inbox_pokes_the_holder_and_is_taken_once);
    g_test_add_func("/store/inbox/works-before-there-is-a-queue", test_inbox_works_before_there_is_a_queue);
    g_test_add_func("/store/files-are-private", test_files_are_private);
    g_test_add_func("/store/joined-turns-owe-a-barrier", test_joined_turns_owe_a_barrier);
    g_test_add_func("/store/many-files-cost-no-more-than-few", test_many_files_cost_no_more_than_few);
    return g_test_run();
}
