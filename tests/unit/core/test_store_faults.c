#include "store_bad_disk.h"
#include "store_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* ---- durability */

static void test_full_turns_are_flushed_and_others_are_not(void)
{
    Queue q;
    queue_make(&q);
    const int64_t id = queue_add(&q, 1);
    g_assert_true(store_batch_scanned(q.st, q.batch, 0, NULL));
    g_assert_true(store_commit(q.st, NULL)); /* the first write of a new log flushes its head */
    disk.syncs = disk.writes = 0;
    g_assert_true(store_job_failed(q.st, id, 1, "stalled", "x", NULL));
    g_assert_true(store_turn_commit(q.st, NULL));
    g_assert_cmpint(disk.writes, >, 0);
    g_assert_cmpint(disk.syncs, ==, 0);
    g_assert_true(store_barrier(q.st, NULL));
    g_assert_cmpint(disk.syncs, ==, 1);
    g_assert_true(store_barrier(q.st, NULL));
    g_assert_cmpint(disk.syncs, ==, 1);
    int64_t up = 0;
    const StoreUpload u = {
        .job = id, .dest = q.dest, .key = (char *)"k", .nonce = (char *)"n", .part_size = 1001, .total_bytes = 1001, .src = source_of(1)
    };
    bool ok = true;
    for (unsigned i = 0; i < 12; i++) {
        const int before = disk.syncs;
        switch (i) {
        case 0:
            ok = store_upload_creating(q.st, &u, &up, NULL);
            break;
        case 1:
            ok = store_upload_opened(q.st, up, "u", NULL, NULL);
            break;
        case 2:
            ok = store_upload_state(q.st, up, UPLOAD_COMPLETING, NULL);
            break;
        case 3:
            ok = store_upload_state(q.st, up, UPLOAD_ABORTING, NULL);
            break;
        case 4:
            ok = store_upload_state(q.st, up, UPLOAD_GONE, NULL);
            break;
        case 5:
            ok = store_job_completing(q.st, id, NULL);
            break;
        case 6:
            ok = store_job_cancelling(q.st, id, NULL);
            break;
        case 7:
            ok = store_job_cancelled(q.st, id, NULL);
            break;
        case 8:
            ok = store_job_forget(q.st, id, NULL);
            break;
        case 9:
            queue_batch(&q);
            break;
        case 10:
            ok = store_batch_scanned(q.st, q.batch, 1, NULL);
            break;
        default: {
            const int64_t staged = queue_add(&q, 2);
            g_assert_true(store_job_prepared(q.st, staged, "s", 5, "webp", NULL, NULL));
            queue_done(&q, staged);
        }
        }
        g_assert_true(ok);
        g_assert_true(store_commit(q.st, NULL));
        g_assert_cmpint(disk.syncs, ==, before + 1);
    }
    queue_drop(&q);
}

/* One run of a queue's life with the n-th write or flush failing; false when there were fewer than n. */
static bool run_with_fault(int n, int result, bool lasting)
{
    Queue q;
    queue_make(&q);
    const int64_t a = queue_add(&q, 0), b = queue_add(&q, 1), up = queue_upload(&q, a, 0, 400);
    g_assert_true(store_commit(q.st, NULL));
    disk_breaks_at(n, result, lasting);
    g_autoptr(GError) error = NULL;
    unsigned failures = 0;
    for (unsigned step = 0; step < 6; step++) {
        switch (step) {
        case 0:
            g_assert_true(store_upload_opened(q.st, up, "u", NULL, NULL));
            break;
        case 1:
            g_assert_true(store_part_done(q.st, up, &(StorePart){ .number = 1, .bytes = 400 }, NULL));
            break;
        case 2:
            g_assert_true(store_part_done(q.st, up, &(StorePart){ .number = 2, .bytes = 400 }, NULL));
            break;
        case 3:
            g_assert_true(store_part_done(q.st, up, &(StorePart){ .number = 3, .bytes = 200 }, NULL));
            break;
        case 4:
            g_assert_true(store_job_completing(q.st, a, NULL) && store_upload_state(q.st, up, UPLOAD_COMPLETING, NULL));
            break;
        default:
            g_assert_true(store_job_failed(q.st, b, 1, "stalled", "x", NULL) && store_upload_state(q.st, up, UPLOAD_DONE, NULL));
            break;
        }
        if (store_turn_commit(q.st, &error))
            continue;
        failures++;
        g_assert_true(fault_code(error) == FAULT_STORE_FULL || fault_code(error) == FAULT_STORE_IO);
        g_clear_error(&error);
        StoreJob j = queue_load(&q, b); /* reading goes on */
        store_job_clear(&j);
        if (step == 3)
            disk.countdown = 0; /* somebody made room */
    }
    const bool reached = disk.countdown == 0 || failures > 0;
    disk.countdown = 0;
    g_assert_true(store_barrier(q.st, &error));
    g_assert_no_error(error);
    const StoreJob done = { .id = a, .acked_bytes = 1000, .etag = (char *)"\"e\"" };
    g_assert_true(store_job_done(q.st, &done, NULL));
    queue_reopen(&q);
    g_assert_cmpint(queue_state(&q, a), ==, HOIST_DONE);
    g_assert_cmpint(queue_state(&q, b), ==, HOIST_FAILED);
    bool known = false;
    g_assert_true(store_upload_known(q.st, "u", &known, NULL));
    g_assert_true(known);
    queue_drop(&q);
    return reached;
}

static void test_nothing_is_lost_at_any_failing_write(void)
{
    static const int results[] = { SQLITE_FULL, SQLITE_IOERR };
    for (unsigned i = 0; i < 4; i++) {
        int n = 1;
        while (run_with_fault(n, results[i / 2], i % 2 == 1) && n < 400)
            n += n < 40 ? 1 : 13;
        g_assert_cmpint(n, >, 10);
    }
}

static void test_nothing_is_lost_at_any_failing_allocation(void)
{
    for (int n = 1; n < 400; n += n < 100 ? 1 : 9) {
        Queue q;
        queue_make(&q);
        const int64_t a = queue_add(&q, 0), up = queue_upload(&q, a, 0, 400);
        g_assert_true(store_commit(q.st, NULL));
        memory.countdown = n;
        g_assert_true(store_upload_opened(q.st, up, "u", NULL, NULL));
        g_assert_true(store_part_done(q.st, up, &(StorePart){ .number = 1, .bytes = 400 }, NULL));
        g_autoptr(GError) error = NULL;
        if (!store_barrier(q.st, &error))
            g_assert_cmpint(fault_code(error), ==, FAULT_MEMORY);
        StoreJob j = { 0 };
        if (store_job_load(q.st, a, &j, NULL))
            store_job_clear(&j);
        memory.countdown = 0;
        g_assert_true(store_barrier(q.st, NULL));
        j = queue_load(&q, a);
        g_assert_cmpuint(j.acked_bytes, ==, 400);
        store_job_clear(&j);
        store_close(g_steal_pointer(&q.st));
        memory.countdown = n;
        g_clear_error(&error);
        q.st = store_open(q.dir, NULL, &error);
        memory.countdown = 0;
        g_assert_true((q.st != NULL) == (error == NULL));
        if (error != NULL)
            g_assert_cmpint(fault_code(error), ==, FAULT_MEMORY);
        queue_reopen(&q);
        queue_drop(&q);
    }
}

static void test_what_hands_out_ids_fails_while_the_disk_is_full(void)
{
    Queue q;
    queue_make(&q);
    const int64_t id = queue_add(&q, 1);
    g_assert_true(store_barrier(q.st, NULL));
    disk_breaks_at(1, SQLITE_FULL, true);
    g_assert_true(store_job_failed(q.st, id, 2, "stalled", "x", NULL));
    g_autoptr(GError) error = NULL;
    g_assert_false(store_barrier(q.st, &error));
    g_assert_cmpint(fault_code(error), ==, FAULT_STORE_FULL);
    g_assert_nonnull(strstr(error->message, q.dir));
    g_assert_false(store_barrier_due(q.st, INT64_MAX / 2));
    const StoreBatch b = { .dest = q.dest };
    int64_t batch = 0;
    g_clear_error(&error);
    g_assert_false(store_batch_add(q.st, &b, &batch, &error));
    g_assert_cmpint(fault_code(error), ==, FAULT_STORE_FULL);
    g_assert_true(store_job_failed(q.st, id, 3, "stalled", "kept", NULL));
    disk.countdown = 0;
    g_assert_true(store_commit(q.st, NULL));
    g_assert_cmpint(queue_batch(&q), ==, q.batch + 1);
    queue_reopen(&q);
    StoreJob j = queue_load(&q, id);
    g_assert_cmpuint(j.tries, ==, 3);
    store_job_clear(&j);
    queue_drop(&q);
}

/* The page limit refuses a statement in the middle of a turn; what was written before it in the turn is rolled back and repeated too. */
static void test_full_in_the_middle_of_a_turn(void)
{
    Queue q;
    queue_make(&q);
    g_assert_true(conn_exec(&q.st->conn, "PRAGMA max_page_count=1", NULL)); /* = as many as there are */
    g_autofree char *line = g_strnfill(1500, 'x');
    for (unsigned i = 0; i < 200; i++)
        g_assert_true(store_log(q.st, 0, NULL, line, NULL));
    g_autoptr(GError) error = NULL;
    g_assert_false(store_commit(q.st, &error));
    g_assert_cmpint(fault_code(error), ==, FAULT_STORE_FULL);
    g_assert_true(conn_exec(&q.st->conn, "PRAGMA max_page_count=100000", NULL));
    g_assert_true(store_commit(q.st, NULL));
    int64_t lines = 0;
    g_assert_true(conn_number(&q.st->conn, "SELECT count(*) FROM event", &lines, NULL));
    g_assert_cmpint(lines, ==, 200);
    queue_drop(&q);
}

static void test_the_kept_turn_is_bounded(void)
{
    Queue q;
    queue_make(&q);
    disk_breaks_at(1, SQLITE_FULL, true);
    g_assert_true(store_meta_put(q.st, "k", "v", NULL));
    g_assert_false(store_barrier(q.st, NULL));
    g_autofree char *value = g_strnfill(1 << 20, 'x');
    g_autoptr(GError) error = NULL;
    unsigned n = 0;
    while (n < 100 && store_meta_put(q.st, "k", value, &error))
        n++;
    g_assert_cmpuint(n, ==, 63);
    g_assert_cmpint(fault_code(error), ==, FAULT_STORE_FULL);
    disk.countdown = 0;
    g_assert_true(store_commit(q.st, NULL));
    queue_drop(&q);
}

static void test_a_clash_that_shows_late_does_not_block_the_rest(void)
{
    Queue q;
    queue_make(&q);
    const int64_t a = queue_add(&q, 1), second = queue_batch(&q);
    int64_t b = 0;
    g_assert_true(store_job_cancelled(q.st, a, NULL));
    g_assert_cmpint(queue_add_as(&q, second, "/f1", "k", 1, &b), ==, STORE_ADDED);
    g_assert_true(store_barrier(q.st, NULL));
    disk_breaks_at(1, SQLITE_FULL, true);
    g_assert_true(store_meta_put(q.st, "x", "1", NULL));
    g_assert_false(store_barrier(q.st, NULL));
    g_assert_true(store_job_queued(q.st, a, 0, 0, NULL, NULL, NULL));
    g_assert_true(store_meta_put(q.st, "x", "2", NULL));
    disk.countdown = 0;
    g_assert_true(store_commit(q.st, NULL));
    g_autofree char *x = store_meta_get(q.st, "x");
    g_assert_cmpstr(x, ==, "2");
    int64_t lines = 0;
    g_assert_true(conn_number(&q.st->conn, "SELECT count(*) FROM event WHERE fault='bug'", &lines, NULL));
    g_assert_cmpint(lines, ==, 1);
    queue_drop(&q);
}

static void test_a_file_size_limit_is_a_full_disk(void)
{
    Queue q;
    queue_make(&q);
    struct rlimit before, small;
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &before), ==, 0);
    small = before;
    small.rlim_cur = 400000;
    signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &small), ==, 0);
    g_autoptr(GError) error = NULL;
    g_autofree char *line = g_strnfill(1500, 'x');
    for (unsigned i = 0; i < 1000; i++)
        g_assert_true(store_log(q.st, 0, NULL, line, NULL));
    const bool ok = store_barrier(q.st, &error);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &before), ==, 0);
    g_assert_false(ok);
    g_test_message("%s", error->message);
    g_assert_cmpint(fault_code(error), ==, FAULT_STORE_FULL);
    g_assert_true(store_commit(q.st, NULL));
    int64_t lines = 0;
    g_assert_true(conn_number(&q.st->conn, "SELECT count(*) FROM event", &lines, NULL));
    g_assert_cmpint(lines, ==, 1000);
    queue_drop(&q);
}

static void test_a_disk_that_is_really_full(void)
{
    g_autofree char *dir = g_dir_make_tmp("hoist-store-XXXXXX", NULL), *ballast = g_build_filename(dir, "ballast", NULL);
    if (mount("none", dir, "tmpfs", 0, "size=2m,mode=700") != 0) {
        g_rmdir(dir);
        g_test_skip("cannot mount a small file system here");
        return;
    }
    Queue q = { .dir = g_strdup(dir) };
    queue_reopen(&q);
    g_assert_true(store_dest_add(q.st, &(StoreDest){ .name = (char *)"s3://b", .scheme = (char *)"s3" }, &q.dest, NULL));
    q.batch = queue_batch(&q);
    const int64_t id = queue_add(&q, 1);
    g_assert_true(store_commit(q.st, NULL));
    const int fd = open(ballast, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    char block[4096] = "";
    while (write(fd, block, sizeof block) == sizeof block)
        continue;
    close(fd);
    g_autoptr(GError) error = NULL;
    g_autofree char *line = g_strnfill(1500, 'x');
    for (unsigned i = 0; i < 100; i++)
        g_assert_true(store_log(q.st, id, NULL, line, NULL));
    g_assert_false(store_barrier(q.st, &error));
    g_assert_cmpint(fault_code(error), ==, FAULT_STORE_FULL);
    g_assert_true(store_job_failed(q.st, id, 1, "stalled", "x", NULL));
    g_unlink(ballast);
    g_assert_true(store_commit(q.st, NULL));
    queue_reopen(&q);
    g_assert_cmpint(queue_state(&q, id), ==, HOIST_FAILED);
    queue_drop(&q);
    g_assert_cmpint(umount(dir), ==, 0);
    g_rmdir(dir);
}

/* ---- opening */

static void assert_refused(const char *dir, FaultCode code, const char *named)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *notice = NULL;
    g_assert_null(store_open(dir, &notice, &error));
    g_assert_cmpint(fault_code(error), ==, code);
    if (strstr(error->message, named) == NULL)
        g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, named));
}

static void test_a_second_hoist_is_told_who_holds_the_queue(void)
{
    Queue q;
    queue_make(&q);
    g_autofree char *pid = g_strdup_printf("process %ld on", (long)getpid()), *lock = g_build_filename(q.dir, "lock", NULL);
    assert_refused(q.dir, FAULT_STORE_LOCKED, pid);
    g_assert_true(g_file_set_contents_full(lock, "\x1b[2J\n evil", -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
    assert_refused(q.dir, FAULT_STORE_LOCKED, "another process");
    queue_drop(&q);
}

static void test_a_directory_that_cannot_be_written(void)
{
    g_autofree char *dir = g_dir_make_tmp("hoist-store-XXXXXX", NULL), *below = g_build_filename(dir, "state", NULL);
    const bool root = geteuid() == 0;
    if (root) {
        g_assert_cmpint(chown(dir, 65534, 65534), ==, 0);
        g_assert_cmpint(seteuid(65534), ==, 0);
    }
    g_assert_cmpint(chmod(dir, 0500), ==, 0);
    assert_refused(dir, FAULT_STORE_READONLY, dir);
    assert_refused(below, FAULT_STORE_READONLY, below);
    g_assert_cmpint(chmod(dir, 0707), ==, 0);
    assert_refused(dir, FAULT_STORE_READONLY, "everybody");
    if (root)
        g_assert_cmpint(seteuid(0), ==, 0);
    g_rmdir(dir);
}

static void test_a_linked_database_is_refused_and_a_linked_directory_is_not(void)
{
    Queue q;
    queue_make(&q);
    store_close(g_steal_pointer(&q.st));
    g_autofree char *db = g_build_filename(q.dir, "queue.db", NULL), *away = g_build_filename(q.dir, "away.db", NULL);
    g_autofree char *link = g_strconcat(q.dir, "-link", NULL);
    g_assert_cmpint(symlink(q.dir, link), ==, 0);
    g_autoptr(Store) st = store_open(link, NULL, NULL);
    g_assert_nonnull(st);
    store_close(g_steal_pointer(&st));
    g_assert_cmpint(rename(db, away), ==, 0);
    g_assert_cmpint(symlink(away, db), ==, 0);
    assert_refused(q.dir, FAULT_STORE_READONLY, "queue.db");
    g_unlink(link);
    queue_drop(&q);
}

static void raw_exec(const char *dir, const char *sql)
{
    g_autofree char *path = g_build_filename(dir, "queue.db", NULL);
    Conn c;
    g_autoptr(GError) error = NULL;
    g_assert_true(conn_open(&c, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &error));
    conn_exec(&c, sql, &error);
    g_assert_no_error(error);
    conn_close(&c);
}

static void test_a_newer_queue_is_left_alone(void)
{
    Queue q;
    queue_make(&q);
    store_close(g_steal_pointer(&q.st));
    raw_exec(q.dir, "PRAGMA user_version=99");
    assert_refused(q.dir, FAULT_STORE_NEWER, "version 99");
    g_autoptr(GError) error = NULL;
    g_assert_false(store_inbox_put(q.dir, "{}", &error));
    g_assert_cmpint(fault_code(error), ==, FAULT_STORE_NEWER);
    g_clear_error(&error);
    g_assert_null(store_view_open(q.dir, &error));
    g_assert_cmpint(fault_code(error), ==, FAULT_STORE_NEWER);
    queue_drop(&q);
}

static void test_migration_copies_first_and_is_all_or_nothing(void)
{
    Queue q;
    queue_make(&q);
    queue_add(&q, 1);
    store_close(g_steal_pointer(&q.st));
    g_autofree char *path = g_build_filename(q.dir, "queue.db", NULL), *copy = g_strconcat(path, ".bak-v2", NULL);
    const char *const bad[] = { "", "", "CREATE TABLE more(x); INSERT INTO more SELECT key FROM job", "CREATE TABLE third(x); SYNTAX" };
    Conn c;
    int64_t version = 0, rows = 0;
    g_autoptr(GError) error = NULL;
    g_assert_true(conn_open(&c, path, SQLITE_OPEN_READWRITE, NULL));
    g_assert_false(store_schema_migrate(&c, bad, G_N_ELEMENTS(bad), &error));
    g_assert_nonnull(error);
    g_assert_true(conn_number(&c, "PRAGMA user_version", &version, NULL));
    g_assert_cmpint(version, ==, 3);
    g_assert_true(conn_number(&c, "SELECT count(*) FROM more", &rows, NULL));
    g_assert_cmpint(rows, ==, 1);
    g_assert_true(conn_number(&c, "SELECT count(*) FROM sqlite_schema WHERE name='third'", &rows, NULL));
    g_assert_cmpint(rows, ==, 0);
    conn_close(&c);
    g_assert_true(conn_open(&c, copy, SQLITE_OPEN_READONLY, NULL));
    g_assert_true(conn_number(&c, "PRAGMA user_version", &version, NULL));
    g_assert_cmpint(version, ==, 2);
    conn_close(&c);
    queue_drop(&q);
}

static bool row_append_schema(sqlite3_stmt *row, void *ctx, GError **error)
{
    (void)error;
    g_string_append_printf(ctx, "%s|%s\n", (const char *)sqlite3_column_text(row, 0), (const char *)sqlite3_column_text(row, 1));
    return true;
}

/* Tables with their columns, indexes with what they are made of. Caller frees. */
static char *schema_of(Store *st)
{
    static const char *const sqls[] = {
        ("SELECT m.name,c.name||' '||c.type||' '||c.\"notnull\"||coalesce(c.dflt_value,'')||c.pk FROM sqlite_schema m,"
         "pragma_table_info(m.name) c WHERE m.type='table' ORDER BY m.name,c.cid"),
        "SELECT name,sql FROM sqlite_schema WHERE type='index' AND sql IS NOT NULL ORDER BY name",
        "SELECT m.name,f.\"table\"||f.\"from\"||f.on_delete FROM sqlite_schema m,pragma_foreign_key_list(m.name) f ORDER BY 1,2",
    };
    GString *text = g_string_new(NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(sqls); i++) {
        sqlite3_stmt *stmt = NULL;
        g_assert_cmpint(sqlite3_prepare_v2(st->conn.db, sqls[i], -1, &stmt, NULL), ==, SQLITE_OK);
        g_assert_true(conn_walk(&st->conn, stmt, NULL, 0, row_append_schema, text, NULL));
        sqlite3_finalize(stmt);
    }
    return g_string_free(text, FALSE);
}

/* As that version left it: not opened yet. */
static Queue file_of_version_1(void)
{
    g_autofree char *from = g_build_filename(g_getenv("HOIST_TEST_DATA"), "unit", "core", "data", "queue-v1.sql", NULL), *sql = NULL;
    g_assert_true(g_file_get_contents(from, &sql, NULL, NULL));
    Queue q = { .dir = g_dir_make_tmp("hoist-store-XXXXXX", NULL), .dest = 1, .batch = 1 };
    raw_exec(q.dir, sql);
    return q;
}

static Queue queue_of_version_1(void)
{
    g_autofree char *notice = NULL;
    Queue q = file_of_version_1();
    q.st = store_open(q.dir, &notice, NULL);
    g_assert_nonnull(q.st);
    g_assert_null(notice);
    return q;
}

/* Its files are rescued, too, when it is damaged. */
static void test_a_damaged_queue_of_version_1(void)
{
    enum { PAGE = 4096 };
    Queue q = file_of_version_1();
    g_autofree char *path = g_build_filename(q.dir, "queue.db", NULL), *image = NULL, *notice = NULL;
    Conn c;
    int64_t root = 0;
    gsize n;
    g_assert_true(conn_open(&c, path, SQLITE_OPEN_READONLY, NULL));
    g_assert_true(conn_number(&c, "SELECT rootpage FROM sqlite_schema WHERE name='job_once'", &root, NULL));
    conn_close(&c);
    g_assert_true(g_file_get_contents(path, &image, &n, NULL));
    memset(image + (root - 1) * PAGE, 0xa5, PAGE);
    g_assert_true(g_file_set_contents(path, image, (gssize)n, NULL));
    q.st = store_open(q.dir, &notice, NULL);
    g_assert_nonnull(q.st);
    g_assert_nonnull(strstr(notice, "4 files and 1 unfinished uploads were rescued"));
    StoreJob j = queue_load(&q, 1);
    g_assert_cmpuint(j.acked_bytes, ==, 400);
    store_job_clear(&j);
    queue_drop(&q);
}

/* It becomes what a new one is. */
static void test_migrated_is_like_new(void)
{
    Queue old = queue_of_version_1(), new;
    queue_make(&new);
    g_autofree char *of_old = schema_of(old.st), *of_new = schema_of(new.st);
    g_assert_cmpstr(of_old, ==, of_new);
    g_assert_nonnull(strstr(of_new, "object|job INTEGER"));
    queue_drop(&old);
    queue_drop(&new);
}

/* A queue as version 1 wrote it: what every later version must still read. */
static void test_a_queue_of_version_1(void)
{
    Queue q = queue_of_version_1();
    StoreJob j = queue_load(&q, 1);
    g_assert_cmpuint(j.n_objects, ==, 0);
    g_assert_null(j.plain);
    g_assert_cmpuint(j.acked_bytes, >, 0); /* its parts are there, and it goes on from them */
    store_job_clear(&j);
    StoreUpload u = { 0 };
    bool found = false;
    g_assert_true(store_upload_of_job(q.st, 1, &u, &found, NULL));
    g_assert_cmpstr(u.upload_id, ==, "up-1");
    store_upload_clear(&u);
    g_autoptr(GArray) parts = g_array_new(FALSE, FALSE, sizeof(StorePart));
    g_assert_true(store_parts(q.st, 1, parts, NULL));
    g_assert_cmpuint(parts->len, ==, 1);
    g_assert_cmpuint(g_array_index(parts, StorePart, 0).digest.have, ==, DIGEST_BIT(DIGEST_MD5));
    g_assert_cmpint(queue_state(&q, 2), ==, HOIST_FAILED);
    g_assert_cmpint(queue_state(&q, 3), ==, HOIST_DONE);
    g_assert_cmpint(queue_add(&q, 9), ==, 5);
    queue_drop(&q);
}

static uint64_t files_seen(const char *dir, GError **error)
{
    StoreView *v = store_view_open(dir, error);
    HoistTotals totals = { 0 };
    uint64_t files = 0;
    g_assert_true(v == NULL || store_view_totals(v, &totals, NULL));
    for (unsigned i = 0; i < HOIST_N_STATES; i++)
        files += totals.files[i];
    store_view_close(v);
    return files;
}

/* Who only looks at it must not be told that it is empty. */
static void test_a_view_of_version_1(void)
{
    Queue q = file_of_version_1();
    g_autoptr(GError) error = NULL;
    g_assert_cmpuint(files_seen(q.dir, &error), ==, 4);
    g_assert_no_error(error);
    queue_drop(&q);
}

/* The hoist that made it still works on it. */
static void test_a_view_of_version_1_in_use(void)
{
    Queue q = file_of_version_1();
    g_autofree char *lock = g_build_filename(q.dir, "lock", NULL);
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    g_autoptr(GError) error = NULL;
    const int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &whole), ==, 0);
    g_assert_cmpuint(files_seen(q.dir, &error), ==, 0);
    g_assert_cmpint((int)fault_code(error), ==, FAULT_STORE_LOCKED);
    close(fd);
    queue_drop(&q);
}

/* ---- damage */

enum { DAMAGE_JOBS = 600 };

static char *damaged_queue_image(gsize *n_out)
{
    Queue q;
    queue_make(&q);
    for (unsigned i = 0; i < DAMAGE_JOBS; i++) {
        const int64_t id = queue_add(&q, i);
        if (i % 50 != 0)
            continue;
        const int64_t up = queue_upload(&q, id, i, 500);
        g_autofree char *name = g_strdup_printf("up-%u", i);
        g_assert_true(store_upload_opened(q.st, up, name, NULL, NULL));
        g_assert_true(store_part_done(q.st, up, &(StorePart){ .number = 1, .bytes = 500 }, NULL));
    }
    g_autofree char *path = g_build_filename(q.dir, "queue.db", NULL);
    store_close(g_steal_pointer(&q.st));
    raw_exec(q.dir, "UPDATE meta SET v='0' WHERE k='clean_exit'");
    char *image = NULL;
    g_assert_true(g_file_get_contents(path, &image, n_out, NULL));
    queue_drop(&q);
    return image;
}

/* Opens a damaged image: it must work, hold the invariants, and lose no more than lies on the page. Returns how many files are there. */
static uint64_t open_image(const char *image, gsize n, bool *salvaged_out)
{
    g_autofree char *dir = g_dir_make_tmp("hoist-store-XXXXXX", NULL), *path = g_build_filename(dir, "queue.db", NULL), *notice = NULL;
    g_assert_true(g_file_set_contents_full(path, image, (gssize)n, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
    g_autoptr(GError) error = NULL;
    Queue q = { .dir = g_steal_pointer(&dir) };
    q.st = store_open(q.dir, &notice, &error);
    g_assert_no_error(error);
    *salvaged_out = notice != NULL;
    HoistTotals totals;
    uint64_t files = 0;
    g_assert_true(store_totals(q.st, &totals, NULL));
    for (unsigned i = 0; i < HOIST_N_STATES; i++)
        files += totals.files[i];
    if (notice != NULL)
        queue_drop(&q);
    else {
        store_close(g_steal_pointer(&q.st));
        queue_drop(&q);
    }
    return files;
}

static void test_damage_anywhere(void)
{
    gsize n = 0;
    g_autofree char *image = damaged_queue_image(&n);
    unsigned salvaged_pages = 0, bad_pages = 0;
    for (gsize page = 0; page < n / 4096; page++) {
        for (unsigned kind = 0; kind < 3; kind++) {
            g_autofree char *copy = g_memdup2(image, n);
            bool salvaged = false;
            if (kind == 0)
                memset(copy + page * 4096, 0, 4096);
            else if (kind == 1)
                memset(copy + page * 4096, 0xa5, 4096);
            else
                copy[page * 4096 + 3] ^= 0x55; /* number of cells */
            const uint64_t files = open_image(copy, n, &salvaged);
            salvaged_pages += salvaged;
            if (page > 0 && files < DAMAGE_JOBS - 100)
                bad_pages++;
        }
    }
    /* A broken page of the schema or root of the files costs them all, and so do the one page of destinations and that of batches. */
    g_test_message("%u of %u damaged images salvaged, %u lost more than a page", salvaged_pages, (unsigned)(n / 4096 * 3), bad_pages);
    g_assert_cmpuint(salvaged_pages, >, n / 4096);
    g_assert_cmpuint(bad_pages, <=, 15);
}

static void test_truncated_and_foreign_files(void)
{
    gsize n = 0;
    g_autofree char *image = damaged_queue_image(&n);
    bool salvaged = false;
    for (gsize cut = n / 9; cut < n; cut += n / 9) {
        const uint64_t files = open_image(image, cut, &salvaged);
        g_assert_true(salvaged || files == DAMAGE_JOBS); /* a few zeros at the end are not missed */
    }
    g_autofree char *text = g_strnfill(9000, 'x');
    open_image(text, 9000, &salvaged);
    g_assert_true(salvaged);
    Queue q = { .dir = g_dir_make_tmp("hoist-store-XXXXXX", NULL) };
    raw_exec(q.dir, "CREATE TABLE somebody_elses(x)");
    g_autofree char *notice = NULL;
    q.st = store_open(q.dir, &notice, NULL);
    g_assert_nonnull(q.st);
    g_assert_nonnull(strstr(notice, "not a queue of hoist"));
    queue_drop(&q);
}

static void test_salvage_keeps_what_can_be_read(void)
{
    gsize n = 0;
    g_autofree char *image = damaged_queue_image(&n);
    image[68] ^= 1; /* application id: everything else is whole */
    g_autofree char *dir = g_dir_make_tmp("hoist-store-XXXXXX", NULL), *path = g_build_filename(dir, "queue.db", NULL), *notice = NULL;
    g_assert_true(g_file_set_contents_full(path, image, (gssize)n, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
    Queue q = { .dir = g_steal_pointer(&dir), .dest = 1, .batch = 1 };
    q.st = store_open(q.dir, &notice, NULL);
    g_assert_nonnull(strstr(notice, "600 files and 12 unfinished uploads"));
    StoreJob j = queue_load(&q, 51);
    g_assert_cmpstr(j.path, ==, "/f50");
    g_assert_cmpuint(j.acked_bytes, ==, 500);
    store_job_clear(&j);
    g_assert_cmpint(queue_add(&q, 1000), ==, DAMAGE_JOBS + 1);
    queue_drop(&q);
}

/* ---- processes */

/* Writes for ever; a byte in the pipe for each turn that store_commit has answered. */
static void child_writes(const char *dir, int out)
{
    Queue q = { .dir = (char *)dir, .dest = 1, .batch = 1 };
    q.st = store_open(dir, NULL, NULL);
    for (unsigned i = 0; q.st != NULL; i++) {
        const int64_t id = queue_add(&q, i), up = queue_upload(&q, id, i, 5000 + i);
        bool ok = store_commit(q.st, NULL) && store_upload_opened(q.st, up, "u", NULL, NULL) && store_commit(q.st, NULL);
        ok = ok && store_part_done(q.st, up, &(StorePart){ .number = 1, .bytes = 1000 + i }, NULL) &&
             store_upload_state(q.st, up, UPLOAD_DONE, NULL);
        queue_done(&q, id);
        if (!ok || !store_commit(q.st, NULL) || write(out, "x", 1) != 1)
            break;
    }
    _exit(1);
}

static void test_kill_loses_nothing_that_was_answered(void)
{
    for (unsigned round = 1; round <= 8; round++) {
        Queue q;
        queue_make(&q);
        store_close(g_steal_pointer(&q.st));
        int ends[2];
        g_assert_cmpint(pipe(ends), ==, 0);
        const pid_t child = fork();
        if (child == 0)
            child_writes(q.dir, ends[1]);
        close(ends[1]);
        char byte;
        unsigned answered = 0;
        while (answered < round * 7 && read(ends[0], &byte, 1) == 1)
            answered++;
        kill(child, SIGKILL);
        while (read(ends[0], &byte, 1) == 1)
            answered++;
        waitpid(child, NULL, 0);
        close(ends[0]);
        queue_reopen(&q);
        HoistTotals totals;
        g_assert_true(store_totals(q.st, &totals, NULL));
        g_assert_cmpuint(answered, >=, round * 7);
        g_assert_cmpuint(totals.files[HOIST_DONE], >=, answered);
        g_assert_cmpuint(totals.files[HOIST_DONE], <=, answered + 1);
        queue_drop(&q);
    }
}

static void test_another_process_reads_and_lays_in(void)
{
    Queue q;
    queue_make(&q);
    queue_add(&q, 1);
    g_assert_true(store_barrier(q.st, NULL));
    const pid_t child = fork();
    if (child == 0) {
        StoreView *v = store_view_open(q.dir, NULL);
        HoistTotals totals = { 0 };
        const bool ok = store_inbox_put(q.dir, "{\"from\":\"child\"}", NULL) && v != NULL && store_view_totals(v, &totals, NULL);
        _exit(ok && totals.files[HOIST_QUEUED] == 1 ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    g_assert_cmpint(status, ==, 0);
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    g_assert_true(store_inbox_take(q.st, texts, NULL));
    g_assert_cmpuint(texts->len, ==, 1);
    queue_drop(&q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    memory_install();
    disk_install();
    g_test_add_func("/store-faults/full-turns-are-flushed-and-others-are-not", test_full_turns_are_flushed_and_others_are_not);
    g_test_add_func("/store-faults/nothing-is-lost-at-any-failing-write", test_nothing_is_lost_at_any_failing_write);
    g_test_add_func("/store-faults/nothing-is-lost-at-any-failing-allocation", test_nothing_is_lost_at_any_failing_allocation);
    g_test_add_func("/store-faults/full/what-hands-out-ids-fails", test_what_hands_out_ids_fails_while_the_disk_is_full);
    g_test_add_func("/store-faults/full/in-the-middle-of-a-turn", test_full_in_the_middle_of_a_turn);
    g_test_add_func("/store-faults/full/the-kept-turn-is-bounded", test_the_kept_turn_is_bounded);
    g_test_add_func("/store-faults/full/a-late-clash-does-not-block-the-rest", test_a_clash_that_shows_late_does_not_block_the_rest);
    g_test_add_func("/store-faults/full/file-size-limit", test_a_file_size_limit_is_a_full_disk);
    g_test_add_func("/store-faults/full/small-file-system", test_a_disk_that_is_really_full);
    g_test_add_func("/store-faults/open/locked", test_a_second_hoist_is_told_who_holds_the_queue);
    g_test_add_func("/store-faults/open/not-writable", test_a_directory_that_cannot_be_written);
    g_test_add_func("/store-faults/open/links", test_a_linked_database_is_refused_and_a_linked_directory_is_not);
    g_test_add_func("/store-faults/open/newer", test_a_newer_queue_is_left_alone);
    g_test_add_func("/store-faults/open/migration", test_migration_copies_first_and_is_all_or_nothing);
    g_test_add_func("/store-faults/open/a-queue-of-version-1", test_a_queue_of_version_1);
    g_test_add_func("/store-faults/open/a-view-of-version-1", test_a_view_of_version_1);
    g_test_add_func("/store-faults/open/a-view-of-version-1-in-use", test_a_view_of_version_1_in_use);
    g_test_add_func("/store-faults/open/migrated-is-like-new", test_migrated_is_like_new);
    g_test_add_func("/store-faults/open/a-damaged-queue-of-version-1", test_a_damaged_queue_of_version_1);
    g_test_add_func("/store-faults/damage/anywhere", test_damage_anywhere);
    g_test_add_func("/store-faults/damage/truncated-and-foreign", test_truncated_and_foreign_files);
    g_test_add_func("/store-faults/damage/salvage-keeps-what-can-be-read", test_salvage_keeps_what_can_be_read);
    g_test_add_func("/store-faults/process/kill", test_kill_loses_nothing_that_was_answered);
    g_test_add_func("/store-faults/process/another-reads-and-lays-in", test_another_process_reads_and_lays_in);
    return g_test_run();
}
