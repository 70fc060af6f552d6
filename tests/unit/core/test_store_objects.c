#include "store_fixture.h"

/* Several objects of one file, in the store. */

static StoreObject *object_new(const char *name, const char *key, uint64_t bytes, const char *staged)
{
    StoreObject *o = g_new0(StoreObject, 1);
    *o = (StoreObject){ .name = g_strdup(name), .key = g_strdup(key), .bytes = bytes, .staged = g_strdup(staged) };
    o->recipe = g_strdup(staged != NULL ? "webp" : NULL);
    return o;
}

static void at(StoreJob *j, unsigned n)
{
    const StoreObject *o = j->objects->pdata[n];
    j->object = n;
    g_free(j->key);
    g_free(j->staged);
    j->key = g_strdup(o->key);
    j->staged = g_strdup(o->staged);
    j->staged_bytes = o->bytes;
}

/* A file of two renditions and its original, laid out. */
static StoreJob queue_objects(Queue *q, unsigned n)
{
    StoreJob j = queue_load(q, queue_add(q, n));
    g_autofree char *web = g_strdup_printf("p/f%u@web", n), *thumb = g_strdup_printf("p/f%u@thumb", n),
                    *whole = g_strdup_printf("p/o/f%u", n);
    j.objects = g_ptr_array_new_with_free_func((GDestroyNotify)store_object_free);
    g_ptr_array_add(j.objects, object_new("web", web, 300, "spool-web"));
    g_ptr_array_add(j.objects, object_new("thumb", thumb, 20, "spool-thumb"));
    g_ptr_array_add(j.objects, object_new("original", whole, j.src.size_bytes, NULL));
    j.n_objects = 3;
    j.total_bytes = 320 + j.src.size_bytes;
    j.plain = g_strdup(j.key);
    j.note = g_strdup("first of 3 pages");
    at(&j, 0);
    g_assert_true(store_job_lay_objects(q->st, &j, NULL));
    return j;
}

static void over(Queue *q, StoreJob *j, unsigned n)
{
    StoreObject *o = j->objects->pdata[n];
    o->state = OBJECT_STORED;
    o->etag = g_strdup_printf("\"e%u\"", n);
    j->stored_bytes += o->bytes;
    j->acked_bytes = j->stored_bytes;
    at(j, (n + 1) % j->n_objects);
    g_assert_true(store_job_object_over(q->st, j, n, NULL));
}

static void test_come_back(void)
{
    Queue q;
    queue_make(&q);
    StoreJob j = queue_objects(&q, 1);
    over(&q, &j, 0);
    queue_reopen(&q);
    StoreJob back = queue_load(&q, j.id);
    g_assert_null(back.objects);
    g_assert_true(store_job_objects(q.st, &back, NULL));
    g_assert_cmpuint(back.objects->len, ==, 3);
    g_assert_cmpuint(back.object, ==, 1);
    g_assert_cmpstr(back.key, ==, "p/f1@thumb");
    g_assert_cmpstr(back.plain, ==, "p/f1");
    g_assert_cmpstr(back.staged, ==, "spool-thumb");
    g_assert_cmpstr(back.note, ==, "first of 3 pages");
    g_assert_true(back.prepared);
    g_assert_cmpuint(back.acked_bytes, ==, 300);
    g_assert_cmpuint(store_job_bytes(&back), ==, 1321);
    const StoreObject *web = back.objects->pdata[0], *original = back.objects->pdata[2];
    g_assert_cmpint(web->state, ==, OBJECT_STORED);
    g_assert_cmpstr(web->etag, ==, "\"e0\"");
    g_assert_null(original->staged);
    g_assert_cmpuint(original->bytes, ==, 1001);
    g_assert_cmpstr(store_job_first(&back).key, ==, "p/f1@web");
    store_job_clear(&back);
    store_job_clear(&j);
    queue_drop(&q);
}

static void test_done_counts_all(void)
{
    Queue q;
    queue_make(&q);
    StoreJob j = queue_objects(&q, 1);
    HoistTotals totals;
    g_assert_true(store_totals(q.st, &totals, NULL));
    g_assert_cmpuint(totals.bytes[HOIST_QUEUED], ==, 1321);
    for (unsigned n = 0; n < 3; n++)
        over(&q, &j, n);
    g_assert_true(store_job_done(q.st, &j, NULL));
    g_assert_true(store_totals(q.st, &totals, NULL));
    g_assert_cmpuint(totals.bytes[HOIST_DONE], ==, 1321);
    g_assert_cmpuint(totals.acked_bytes, ==, 0);
    StoreJob back = queue_load(&q, j.id);
    g_assert_cmpstr(back.key, ==, "p/f1@web"); /* the first speaks for all */
    store_job_clear(&back);
    g_assert_true(store_job_forget(q.st, j.id, NULL));
    int64_t left = -1;
    g_assert_true(conn_number(&q.st->conn, "SELECT count(*) FROM object", &left, NULL));
    g_assert_cmpint(left, ==, 0);
    store_job_clear(&j);
    queue_drop(&q);
}

static bool is_free(Queue *q, int64_t job, const char *key)
{
    bool free_key = false;
    g_assert_true(store_key_free(q->st, q->batch, job, key, &free_key, NULL));
    return free_key;
}

/* A key is one file's, whether a job or an object has it. */
static void test_keys_are_taken_once(void)
{
    Queue q;
    queue_make(&q);
    StoreJob j = queue_objects(&q, 1);
    const int64_t other = queue_add(&q, 2);
    int64_t id = 0;
    bool taken = false;
    g_assert_false(is_free(&q, other, "p/f1@thumb"));
    g_assert_true(is_free(&q, j.id, "p/f1@thumb"));
    g_assert_false(is_free(&q, j.id, "p/f2"));
    g_assert_true(is_free(&q, 0, "p/f3"));
    g_assert_cmpint(queue_add_as(&q, q.batch, "/x", "p/f1@thumb", 3, &id), ==, STORE_KEY_TAKEN);
    g_assert_true(store_job_rekey(q.st, other, "p/o/f1", &taken, NULL));
    g_assert_true(taken);
    g_assert_cmpint(queue_add_as(&q, queue_batch(&q), "/x", "p/f1@thumb", 3, &id), ==, STORE_ADDED); /* of another batch */
    store_job_clear(&j);
    queue_drop(&q);
}

static void test_parts_add_to_what_is_stored(void)
{
    Queue q;
    queue_make(&q);
    StoreJob j = queue_objects(&q, 1);
    over(&q, &j, 0);
    over(&q, &j, 1);
    const int64_t up = queue_upload(&q, j.id, 1, 500);
    g_assert_true(store_upload_opened(q.st, up, "u", NULL, NULL));
    g_assert_true(store_part_done(q.st, up, &(StorePart){ .number = 1, .bytes = 500 }, NULL));
    StoreJob back = queue_load(&q, j.id);
    g_assert_cmpuint(back.acked_bytes, ==, 820);
    store_job_clear(&back);
    g_assert_true(store_upload_state(q.st, up, UPLOAD_ABORTING, NULL));
    back = queue_load(&q, j.id);
    g_assert_cmpuint(back.acked_bytes, ==, 320);
    store_job_clear(&back);
    store_job_clear(&j);
    queue_drop(&q);
}

static void test_cancelled_and_queued_again(void)
{
    Queue q;
    queue_make(&q);
    StoreJob j = queue_objects(&q, 1);
    over(&q, &j, 0);
    HoistTotals totals;
    g_assert_true(store_job_cancelled(q.st, j.id, NULL));
    g_assert_true(store_totals(q.st, &totals, NULL));
    g_assert_cmpuint(totals.acked_bytes, ==, 0);
    g_assert_true(store_job_queued(q.st, j.id, 0, 0, NULL, NULL, NULL));
    g_assert_true(store_totals(q.st, &totals, NULL));
    g_assert_cmpuint(totals.acked_bytes, ==, 300);
    store_job_clear(&j);
    queue_drop(&q);
}

static void assert_one_object(Queue *q, int64_t id)
{
    StoreJob back = queue_load(q, id);
    int64_t left = -1;
    g_assert_cmpuint(back.n_objects, ==, 0);
    g_assert_cmpuint(back.acked_bytes, ==, 0);
    g_assert_cmpstr(back.key, ==, "p/f1");
    g_assert_false(back.prepared);
    g_assert_null(back.staged);
    g_assert_true(conn_number(&q->st->conn, "SELECT count(*) FROM object", &left, NULL));
    g_assert_cmpint(left, ==, 0);
    store_job_clear(&back);
}

static void test_changed_begins_anew(void)
{
    Queue q;
    queue_make(&q);
    StoreJob j = queue_objects(&q, 1);
    over(&q, &j, 0);
    const SourceId changed = source_of(9);
    g_assert_true(store_job_source(q.st, j.id, &changed, NULL));
    assert_one_object(&q, j.id);
    store_job_clear(&j);
    queue_drop(&q);
}

/* The same file added again after it failed: in its batch it goes on, in another or as another file it begins anew. */
static void test_requeued(void)
{
    Queue q;
    queue_make(&q);
    StoreJob j = queue_objects(&q, 1);
    over(&q, &j, 0);
    int64_t id = 0;
    g_assert_true(store_job_failed(q.st, j.id, 3, "stalled", "x", NULL));
    g_assert_cmpint(queue_add_as(&q, q.batch, "/f1", "p/f1", 1, &id), ==, STORE_REQUEUED);
    StoreJob back = queue_load(&q, id);
    g_assert_cmpuint(back.n_objects, ==, 3);
    g_assert_cmpstr(back.key, ==, "p/f1@thumb");
    store_job_clear(&back);
    g_assert_true(store_job_failed(q.st, j.id, 3, "stalled", "x", NULL));
    g_assert_cmpint(queue_add_as(&q, queue_batch(&q), "/f1", "p/f1", 1, &id), ==, STORE_REQUEUED);
    assert_one_object(&q, id);
    store_job_clear(&j);
    queue_drop(&q);
}

static void test_unprepared_keeps_what_is_stored(void)
{
    Queue q;
    queue_make(&q);
    StoreJob j = queue_objects(&q, 1);
    over(&q, &j, 0);
    g_assert_true(store_job_unprepared(q.st, j.id, NULL));
    StoreJob back = queue_load(&q, j.id);
    g_assert_false(back.prepared);
    g_assert_null(back.staged);
    g_assert_cmpuint(back.n_objects, ==, 3);
    g_assert_cmpuint(back.stored_bytes, ==, 300);
    store_job_clear(&back);
    store_job_clear(&j);
    queue_drop(&q);
}

static void assert_violated(Queue *q, const char *sql, const char *name)
{
    g_autoptr(GPtrArray) broken = g_ptr_array_new_with_free_func(g_free);
    g_assert_true(conn_exec(&q->st->conn, "SAVEPOINT s", NULL));
    g_assert_true(conn_exec(&q->st->conn, sql, NULL));
    g_assert_true(store_check(q->st, broken, NULL));
    g_assert_cmpuint(broken->len, >, 0);
    g_assert_true(g_str_has_prefix(broken->pdata[0], name));
    g_assert_true(conn_exec(&q->st->conn, "ROLLBACK TO s; RELEASE s", NULL));
}

static void test_invariants(void)
{
    Queue q;
    queue_make(&q);
    StoreJob j = queue_objects(&q, 1);
    over(&q, &j, 0);
    assert_violated(&q, "DELETE FROM object WHERE n=2", "I8");
    assert_violated(&q, "UPDATE job SET stored=1,acked=1", "I8");
    assert_violated(&q, "UPDATE job SET object=0", "I9");
    assert_violated(&q, "UPDATE job SET state=4,acked=total", "I9");
    store_job_clear(&j);
    queue_drop(&q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store-objects/come-back", test_come_back);
    g_test_add_func("/store-objects/done-counts-all", test_done_counts_all);
    g_test_add_func("/store-objects/keys-are-taken-once", test_keys_are_taken_once);
    g_test_add_func("/store-objects/parts-add", test_parts_add_to_what_is_stored);
    g_test_add_func("/store-objects/cancelled", test_cancelled_and_queued_again);
    g_test_add_func("/store-objects/changed", test_changed_begins_anew);
    g_test_add_func("/store-objects/requeued", test_requeued);
    g_test_add_func("/store-objects/unprepared", test_unprepared_keeps_what_is_stored);
    g_test_add_func("/store-objects/invariants", test_invariants);
    return g_test_run();
}
