/* The engine through hoist.h alone, against a store that answers from memory. */
#include <glib/gstdio.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "command.h"
#include "engine_rig.h"

enum { MIB = 1 << 20, PARTS_OF_LARGE = 3 };
static const size_t LARGE_BYTES = 12 * MIB; /* in parts of 5 MiB */

/* ------------------------------------------------------------------ files that arrive */

static void test_one_file(void)
{
    g_autoptr(Rig) rig = rig_new(NULL);
    g_autofree char *path = rig_file(rig, "a.txt", 3000, 'a');
    rig_open(rig, HOIST_WANT_ROWS | HOIST_WANT_PROGRESS);
    rig_add(rig, path, NULL);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_object(rig, "p/a.txt", path);
    rig_assert_files(rig, HOIST_DONE, 1);
    g_assert_cmpuint(rig->rows[HOIST_ROW_QUEUED], ==, 1);
    g_assert_cmpuint(rig->rows[HOIST_ROW_STARTED], ==, 1);
    g_assert_cmpuint(rig->rows[HOIST_ROW_DONE], ==, 1);
}

static void test_empty_file(void)
{
    g_autoptr(Rig) rig = rig_new(NULL);
    g_autofree char *path = rig_file(rig, "empty", 0, 0);
    rig_open(rig, 0);
    rig_add(rig, path, NULL);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_object(rig, "p/empty", path);
}

static void test_same_names(void)
{
    g_autoptr(Rig) rig = rig_new(NULL);
    g_autofree char *a = rig_file(rig, "a/x.txt", 100, 'a'), *b = rig_file(rig, "b/x.txt", 200, 'b');
    rig_open(rig, 0);
    rig_add(rig, a, b);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_object(rig, "p/x.txt", a);
    rig_assert_object(rig, "p/x-2.txt", b);
}

static void test_two_batches_of_one_key(void)
{
    g_autoptr(Rig) rig = rig_new(NULL);
    g_autofree char *a = rig_file(rig, "a/x.txt", 100, 'a'), *b = rig_file(rig, "b/x.txt", 200, 'b');
    rig_open(rig, 0);
    rig_add(rig, a, NULL);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_add(rig, b, NULL);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_object(rig, "p/x.txt", b); /* the person dropped it later, under the same name */
    rig_assert_files(rig, HOIST_DONE, 2);
}

static void test_skip_existing(void)
{
    g_autoptr(Rig) rig = rig_new(NULL);
    g_autofree char *a = rig_file(rig, "a/x.txt", 100, 'a'), *b = rig_file(rig, "b/x.txt", 200, 'b');
    rig_open(rig, 0);
    rig_add(rig, a, NULL);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_set(rig, "if-exists", "skip");
    rig_add(rig, b, NULL);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_object(rig, "p/x.txt", a);
    g_assert_cmpuint(rig->totals.run_skipped, ==, 1);
    g_assert_cmpuint(rig->totals.run_failed, ==, 0);
}

static void test_parts(void)
{
    g_autoptr(Rig) rig = rig_new(NULL);
    g_autofree char *path = rig_file(rig, "large", LARGE_BYTES, 'l');
    rig_set(rig, "part-size", "5MiB");
    rig_open(rig, HOIST_WANT_ROWS | HOIST_WANT_PROGRESS);
    rig_add(rig, path, NULL);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_object(rig, "p/large", path);
    g_assert_cmpuint(fake_s3_count(rig->s3, FAKE_PART), ==, PARTS_OF_LARGE);
    g_assert_cmpuint(rig->totals.acked_bytes, ==, 0);
}

/* ------------------------------------------------------------------ commands on files in every state */

static FakeRule hold_kind(const FakeRequest *rq, void *ctx)
{
    const FakeKind *kind = ctx;
    return rq->kind == *kind ? (FakeRule){ .hold_ms = 20000 } : (FakeRule){ 0 };
}

/* Stops at the first request of this kind; the file is on its way then. */
static char *stand_at(Rig *rig, FakeKind *kind)
{
    char *path = rig_file(rig, "large", LARGE_BYTES, 'l');
    rig_set(rig, "part-size", "5MiB");
    rig_set(rig, "parts", "1");
    fake_s3_rules(rig->s3, hold_kind, kind);
    rig_open(rig, HOIST_WANT_ROWS);
    rig_add(rig, path, NULL);
    rig_until_asked(rig, *kind, 1);
    return path;
}

static void cancel_at(FakeKind kind)
{
    g_autoptr(Rig) rig = rig_new(NULL);
    g_free(stand_at(rig, &kind));
    rig_rows_command(rig, HOIST_CMD_CANCEL, 1);
    fake_s3_rules(rig->s3, NULL, NULL);
    fake_s3_let_go(rig->s3);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_files(rig, HOIST_CANCELLED, 1);
    g_assert_cmpuint(fake_s3_uploads(rig->s3), ==, 0);
    g_assert_cmpuint(fake_s3_objects(rig->s3), ==, 0);
    g_assert_cmpuint(rig->totals.acked_bytes, ==, 0);
}

static void test_cancel_creating(void)
{
    cancel_at(FAKE_CREATE);
}

static void test_cancel_part(void)
{
    cancel_at(FAKE_PART);
}

static void pause_at(FakeKind kind)
{
    g_autoptr(Rig) rig = rig_new(NULL);
    g_autofree char *path = stand_at(rig, &kind);
    rig_rows_command(rig, HOIST_CMD_PAUSE, 1);
    fake_s3_rules(rig->s3, NULL, NULL);
    fake_s3_let_go(rig->s3);
    g_assert_cmpint(rig_idle(rig), ==, 1);
    rig_assert_files(rig, HOIST_PAUSED, 1);
    rig_rows_command(rig, HOIST_CMD_RESUME, 1);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_object(rig, "p/large", path);
    g_assert_cmpuint(fake_s3_uploads(rig->s3), ==, 0);
}

static void test_pause_creating(void)
{
    pause_at(FAKE_CREATE);
}

static void test_pause_part(void)
{
    pause_at(FAKE_PART);
}

/* What is being completed can neither be paused nor cancelled: the server may be through with it already. */
static void test_commands_while_completing(void)
{
    FakeKind kind = FAKE_COMPLETE;
    g_autoptr(Rig) rig = rig_new(NULL);
    g_autofree char *path = stand_at(rig, &kind);
    rig_rows_command(rig, HOIST_CMD_PAUSE, 1);
    rig_rows_command(rig, HOIST_CMD_CANCEL, 1);
    rig_rows_command(rig, HOIST_CMD_FORGET, 1);
    fake_s3_rules(rig->s3, NULL, NULL);
    fake_s3_let_go(rig->s3);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_object(rig, "p/large", path);
    rig_assert_files(rig, HOIST_DONE, 1);
}

static void test_close_and_go_on(void)
{
    static const FakeKind kinds[] = { FAKE_CREATE, FAKE_PART, FAKE_COMPLETE };
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        FakeKind kind = kinds[i];
        g_autoptr(Rig) rig = rig_new(NULL);
        g_autofree char *path = stand_at(rig, &kind);
        rig_close(rig);
        fake_s3_rules(rig->s3, NULL, NULL);
        fake_s3_let_go(rig->s3);
        rig_open(rig, HOIST_WANT_ROWS);
        g_assert_cmpint(rig_idle(rig), ==, 0);
        rig_assert_object(rig, "p/large", path);
        g_assert_cmpuint(fake_s3_uploads(rig->s3), ==, 0);
        g_assert_cmpuint(rig->totals.acked_bytes, ==, 0);
    }
}

static FakeRule refuse_kind(const FakeRequest *rq, void *ctx)
{
    const FakeKind *kind = ctx;
    return rq->kind == *kind ? (FakeRule){ .status = 403, .code = "AccessDenied" } : (FakeRule){ 0 };
}

/* A failed file has begun parts at the server: forgetting it drops them, too. */
static void test_forget_failed(void)
{
    FakeKind kind = FAKE_COMPLETE;
    g_autoptr(Rig) rig = rig_new(NULL);
    g_autofree char *path = rig_file(rig, "large", LARGE_BYTES, 'l');
    rig_set(rig, "part-size", "5MiB");
    fake_s3_rules(rig->s3, refuse_kind, &kind);
    rig_open(rig, 0);
    rig_add(rig, path, NULL);
    g_assert_cmpint(rig_idle(rig), ==, 1);
    rig_assert_files(rig, HOIST_FAILED, 1);
    g_assert_cmpuint(fake_s3_uploads(rig->s3), ==, 1);
    rig_rows_command(rig, HOIST_CMD_FORGET, 1);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_no_files(rig);
    g_assert_cmpuint(fake_s3_uploads(rig->s3), ==, 0);
}

/* Neither ids nor a state nor all: nothing is meant, least of all everything. */
static void test_nothing_meant(void)
{
    g_autoptr(Rig) rig = rig_new(NULL);
    g_autofree char *path = rig_file(rig, "a", 10, 'a');
    rig_open(rig, HOIST_OPEN_PAUSED);
    rig_add(rig, path, NULL);
    g_assert_cmpint(rig_idle(rig), ==, 1);
    hoist_send(rig->hoist, hoist_command_new(HOIST_CMD_CANCEL));
    g_assert_cmpint(rig_idle(rig), ==, 1);
    rig_assert_files(rig, HOIST_QUEUED, 1);
}

static void test_many_ids(void)
{
    enum { FILES = 1200 };
    g_autoptr(Rig) rig = rig_new(NULL);
    for (int i = 0; i < FILES; i++) {
        g_autofree char *name = g_strdup_printf("many/%04d", i);
        g_free(rig_file(rig, name, 1, 'x'));
    }
    g_autofree char *folder = g_build_filename(rig->dir, "many", NULL);
    rig_open(rig, HOIST_OPEN_PAUSED);
    rig_add(rig, folder, NULL);
    g_assert_cmpint(rig_idle(rig), ==, FILES);
    HoistCommand *cmd = hoist_command_new(HOIST_CMD_CANCEL);
    for (int i = 1; i <= FILES; i++)
        hoist_command_add_id(cmd, i);
    hoist_command_add_id(cmd, 99999);
    hoist_send(rig->hoist, cmd);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_files(rig, HOIST_CANCELLED, FILES);
}

static void test_close_obeys_first(void)
{
    g_autoptr(Rig) rig = rig_new(NULL);
    g_autofree char *path = rig_file(rig, "a", 10, 'a');
    rig_open(rig, HOIST_OPEN_PAUSED);
    rig_add(rig, path, NULL);
    rig_close(rig);
    rig_open(rig, 0);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_object(rig, "p/a", path);
}

/* ------------------------------------------------------------------ destinations that refuse */

static FakeRule refuse_all(const FakeRequest *rq, void *ctx)
{
    (void)rq, (void)ctx;
    return (FakeRule){ .status = 403, .code = "AccessDenied" };
}

static void refuse_eight(Rig *rig)
{
    for (int i = 0; i < 8; i++) {
        g_autofree char *name = g_strdup_printf("many/%d", i);
        g_free(rig_file(rig, name, 10, (char)('0' + i)));
    }
    g_autofree char *folder = g_build_filename(rig->dir, "many", NULL);
    fake_s3_rules(rig->s3, refuse_all, NULL);
    rig_set(rig, "jobs", "8");
    rig_open(rig, HOIST_WANT_ROWS);
    rig_add(rig, folder, NULL);
    g_assert_cmpint(rig_idle(rig), ==, 8);
    g_assert_cmpuint(rig->totals.files[HOIST_FAILED], ==, 3);
    g_assert_true(rig->totals.paused);
    fake_s3_rules(rig->s3, NULL, NULL);
}

static void test_refused_resume(void)
{
    g_autoptr(Rig) rig = rig_new(NULL);
    refuse_eight(rig);
    hoist_send(rig->hoist, hoist_command_new(HOIST_CMD_RESUME_ALL));
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_files(rig, HOIST_DONE, 8);
}

static void test_refused_retry_all(void)
{
    g_autoptr(Rig) rig = rig_new(NULL);
    refuse_eight(rig);
    HoistCommand *cmd = hoist_command_new(HOIST_CMD_RETRY);
    cmd->all = true;
    hoist_send(rig->hoist, cmd);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_files(rig, HOIST_DONE, 8);
}

/* A file that was refused and forgotten is no trouble when the others go on. */
static void test_refused_forgotten(void)
{
    g_autoptr(Rig) rig = rig_new(NULL);
    refuse_eight(rig);
    HoistCommand *cmd = hoist_command_new(HOIST_CMD_FORGET);
    cmd->state = HOIST_FAILED;
    hoist_send(rig->hoist, cmd);
    g_assert_cmpint(rig_idle(rig), ==, 5);
    const unsigned notices = rig->notices;
    hoist_send(rig->hoist, hoist_command_new(HOIST_CMD_RESUME_ALL));
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_files(rig, HOIST_DONE, 5);
    g_assert_cmpuint(rig->notices, ==, notices);
}

/* All parts on their way were signed with the token that ended: the new one serves them all. */
static FakeRule expire_old(const FakeRequest *rq, void *ctx)
{
    (void)ctx;
    const bool old = strstr(rq->header, "oldtoken") != NULL || strstr(rq->header, "OLDTOKEN") != NULL;
    if (rq->kind == FAKE_PART && old)
        return (FakeRule){ .status = 400, .code = "ExpiredToken", .hold_ms = 300 };
    return (FakeRule){ 0 };
}

static void write_credentials(const Rig *rig, const char *token)
{
    g_autofree char *path = g_build_filename(rig->dir, "credentials", NULL);
    g_autofree char *text =
        g_strdup_printf("[default]\naws_access_key_id = ID\naws_secret_access_key = secret\naws_session_token = %s\n", token);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void test_token_ends(void)
{
    g_autoptr(Rig) rig = rig_new("credentials");
    write_credentials(rig, "oldtoken");
    g_autofree char *path = rig_file(rig, "large", LARGE_BYTES, 'l');
    rig_set(rig, "part-size", "5MiB");
    fake_s3_rules(rig->s3, expire_old, NULL);
    rig_open(rig, 0);
    rig_add(rig, path, NULL);
    rig_until_asked(rig, FAKE_PART, 1);
    write_credentials(rig, "newtoken");
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_object(rig, "p/large", path);
}

/* ------------------------------------------------------------------ uploads whose id was lost */

static FakeRule cut_create(const FakeRequest *rq, void *ctx)
{
    (void)ctx;
    return (FakeRule){ .cut = rq->kind == FAKE_CREATE };
}

/* Created three times without an answer, failed; the retry finds and drops what was created. */
static void test_lost_ids(void)
{
    g_autoptr(Rig) rig = rig_new(NULL);
    g_autofree char *path = rig_file(rig, "large", LARGE_BYTES, 'l');
    rig_set(rig, "part-size", "5MiB");
    fake_s3_rules(rig->s3, cut_create, NULL);
    rig_open(rig, 0);
    rig_add(rig, path, NULL);
    g_assert_cmpint(rig_idle(rig), ==, 1);
    g_assert_cmpuint(fake_s3_uploads(rig->s3), >=, 2);
    fake_s3_rules(rig->s3, NULL, NULL);
    HoistCommand *cmd = hoist_command_new(HOIST_CMD_RETRY);
    cmd->all = true;
    hoist_send(rig->hoist, cmd);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_object(rig, "p/large", path);
    g_assert_cmpuint(fake_s3_uploads(rig->s3), ==, 0);
}

/* The same, but hoist is closed between finding and aborting: the next run still knows. */
static void test_lost_ids_and_closed(void)
{
    FakeKind kind = FAKE_ABORT;
    g_autoptr(Rig) rig = rig_new(NULL);
    g_autofree char *path = rig_file(rig, "large", LARGE_BYTES, 'l');
    rig_set(rig, "part-size", "5MiB");
    fake_s3_rules(rig->s3, cut_create, NULL);
    rig_open(rig, 0);
    rig_add(rig, path, NULL);
    g_assert_cmpint(rig_idle(rig), ==, 1);
    fake_s3_rules(rig->s3, hold_kind, &kind);
    HoistCommand *cmd = hoist_command_new(HOIST_CMD_RETRY);
    cmd->all = true;
    hoist_send(rig->hoist, cmd);
    rig_until_asked(rig, FAKE_LIST_UPLOADS, 1);
    rig_until_asked(rig, FAKE_CREATE, 4); /* FIND is through and its turn committed */
    rig_close(rig);
    fake_s3_rules(rig->s3, NULL, NULL);
    fake_s3_let_go(rig->s3);
    rig_open(rig, 0);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_object(rig, "p/large", path);
    g_assert_cmpuint(fake_s3_uploads(rig->s3), ==, 0);
}

/* ------------------------------------------------------------------ sources that change */

typedef struct {
    Rig *rig;
    char *path;
} Change;

static FakeRule change_at_part(const FakeRequest *rq, void *ctx)
{
    const Change *c = ctx;
    if (rq->kind == FAKE_PART && rq->count == 2)
        rig_fill(c->path, LARGE_BYTES, 'n');
    return (FakeRule){ 0 };
}

static void test_changed_while_sent(void)
{
    g_autoptr(Rig) rig = rig_new(NULL);
    g_autofree char *path = rig_file(rig, "large", LARGE_BYTES, 'l');
    Change change = { rig, path };
    rig_set(rig, "part-size", "5MiB");
    rig_set(rig, "parts", "1");
    fake_s3_rules(rig->s3, change_at_part, &change);
    rig_open(rig, 0);
    rig_add(rig, path, NULL);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_object(rig, "p/large", path);
    g_assert_cmpuint(fake_s3_uploads(rig->s3), ==, 0);
    rig_assert_files(rig, HOIST_DONE, 1);
}

static void test_changed_while_queued(void)
{
    g_autoptr(Rig) rig = rig_new(NULL);
    g_autofree char *path = rig_file(rig, "a", 100, 'a'), *gone = rig_file(rig, "b", 100, 'b');
    rig_open(rig, HOIST_OPEN_PAUSED);
    rig_add(rig, path, gone);
    g_assert_cmpint(rig_idle(rig), ==, 2);
    rig_fill(path, 5000, 'c');
    g_assert_cmpint(g_unlink(gone), ==, 0);
    hoist_send(rig->hoist, hoist_command_new(HOIST_CMD_RESUME_ALL));
    g_assert_cmpint(rig_idle(rig), ==, 1);
    rig_assert_object(rig, "p/a", path);
    g_assert_cmpuint(rig->totals.files[HOIST_FAILED], ==, 1);
    g_assert_cmpuint(rig->totals.bytes[HOIST_DONE], ==, 5000);
    /* and back with another size: queued again, counted as what it is now */
    rig_fill(gone, 70000, 'd');
    rig_add(rig, gone, NULL);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_object(rig, "p/b", gone);
    g_assert_cmpuint(rig->totals.bytes[HOIST_FAILED], ==, 0);
    g_assert_cmpuint(rig->totals.bytes[HOIST_DONE], ==, 75000);
}

/* ------------------------------------------------------------------ the queue's disk is full */

static void disk_full(bool full)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &limit), ==, 0);
    limit.rlim_cur = full ? 1 : limit.rlim_max;
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
}

static void test_full_while_adding(void)
{
    g_autoptr(Rig) rig = rig_new(NULL);
    g_autofree char *path = rig_file(rig, "a", 100, 'a');
    rig_open(rig, 0);
    disk_full(true);
    rig_add(rig, path, NULL);
    rig_until_notice(rig, "state-disk-full");
    disk_full(false);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_object(rig, "p/a", path);
}

/* The disk fills up in the middle of a scan. Unread events hold the scan until then. */
static void test_full_while_scanning(void)
{
    enum { FILES = 12000 };
    g_autoptr(Rig) rig = rig_new(NULL);
    for (int i = 0; i < FILES; i++) {
        g_autofree char *name = g_strdup_printf("many/%05d", i);
        g_free(rig_file(rig, name, 0, 0));
    }
    g_autofree char *folder = g_build_filename(rig->dir, "many", NULL);
    rig_open(rig, HOIST_OPEN_PAUSED | HOIST_WANT_ROWS);
    rig_add(rig, folder, NULL);
    g_assert_cmpuint(rig_settled_files(rig), <, FILES);
    disk_full(true);
    rig_until_notice(rig, "state-disk-full");
    disk_full(false);
    g_assert_cmpint(rig_idle(rig), ==, FILES);
    rig_assert_files(rig, HOIST_QUEUED, FILES);
}

/* It fills up just before an upload is opened, which the store must know of first. */
static FakeRule fill_at_part(const FakeRequest *rq, void *ctx)
{
    (void)ctx;
    if (rq->kind == FAKE_CREATE && rq->count == 1)
        disk_full(true);
    return (FakeRule){ 0 };
}

static void test_full_while_sending(void)
{
    g_autoptr(Rig) rig = rig_new(NULL);
    g_autofree char *a = rig_file(rig, "a", LARGE_BYTES, 'a'), *b = rig_file(rig, "b", LARGE_BYTES, 'b');
    rig_set(rig, "part-size", "5MiB");
    rig_set(rig, "jobs", "2");
    fake_s3_rules(rig->s3, fill_at_part, NULL);
    rig_open(rig, 0);
    rig_add(rig, a, b);
    rig_until_notice(rig, "state-disk-full");
    const int64_t cpu_us = rig_cpu_us();
    g_usleep(1000000);
    g_assert_cmpint(rig_cpu_us() - cpu_us, <, 300000);
    disk_full(false);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_object(rig, "p/a", a);
    rig_assert_object(rig, "p/b", b);
    g_assert_cmpuint(fake_s3_uploads(rig->s3), ==, 0);
}

/* It fills up while a file is on its way to open an upload: that it asks again and again must not put the store's next try off. */
static FakeRule fill_at_list(const FakeRequest *rq, void *ctx)
{
    (void)ctx;
    if (rq->kind == FAKE_LIST_UPLOADS && rq->count == 1)
        disk_full(true);
    return (FakeRule){ .cut = rq->kind == FAKE_CREATE && rq->count == 1 };
}

static void test_full_while_opening(void)
{
    g_autoptr(Rig) rig = rig_new(NULL);
    g_autofree char *path = rig_file(rig, "a", LARGE_BYTES, 'a');
    rig_set(rig, "part-size", "5MiB");
    fake_s3_rules(rig->s3, fill_at_list, NULL);
    rig_open(rig, 0);
    rig_add(rig, path, NULL);
    rig_until_notice(rig, "state-disk-full");
    disk_full(false);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_object(rig, "p/a", path);
    g_assert_cmpuint(fake_s3_uploads(rig->s3), ==, 0);
}

/* A command over all rows waits for the disk without burning the processor. */
static void test_full_and_bulk(void)
{
    g_autoptr(Rig) rig = rig_new(NULL);
    g_autofree char *path = rig_file(rig, "a", 100, 'a');
    rig_open(rig, HOIST_OPEN_PAUSED);
    rig_add(rig, path, NULL);
    g_assert_cmpint(rig_idle(rig), ==, 1);
    disk_full(true);
    for (int i = 0; i < 2; i++) {
        HoistCommand *cmd = hoist_command_new(i == 0 ? HOIST_CMD_PAUSE : HOIST_CMD_CANCEL);
        cmd->all = true;
        hoist_send(rig->hoist, cmd);
    }
    rig_until_notice(rig, "state-disk-full");
    const int64_t cpu_us = rig_cpu_us();
    g_usleep(1000000);
    g_assert_cmpint(rig_cpu_us() - cpu_us, <, 300000);
    disk_full(false);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_files(rig, HOIST_CANCELLED, 1);
}

/* ------------------------------------------------------------------ the rest */

/* Whoever sends nothing to S3 need not hear of AWS's files. */
static void test_aws_warning(void)
{
    g_autoptr(Rig) rig = rig_new("credentials");
    g_autofree char *file = rig_file(rig, "a", 100, 'a');
    write_credentials(rig, "token");
    g_autofree char *path = g_build_filename(rig->dir, "credentials", NULL);
    g_assert_cmpint(g_chmod(path, 0644), ==, 0);
    rig_open(rig, 0);
    rig_add(rig, file, NULL);
    rig_until_notice_text(rig, "chmod 600");
}

/* A row that is asked for comes as it is, also when nothing happens to it. */
static void test_rows_at_rest(void)
{
    FakeKind kind = FAKE_PUT;
    g_autoptr(Rig) rig = rig_new(NULL);
    g_autofree char *path = rig_file(rig, "a", 100, 'a');
    fake_s3_rules(rig->s3, refuse_kind, &kind);
    rig_open(rig, HOIST_WANT_ROWS);
    rig_add(rig, path, NULL);
    g_assert_cmpint(rig_idle(rig), ==, 1);
    hoist_row_free(g_steal_pointer(&rig->row));
    rig_rows_command(rig, HOIST_CMD_ROWS, 1);
    g_assert_cmpint(rig_idle(rig), ==, 1);
    g_assert_nonnull(rig->row);
    g_assert_cmpint(rig->row->state, ==, HOIST_FAILED);
    g_assert_cmpstr(rig->row->fault, ==, "access-denied");
    g_assert_nonnull(strstr(rig->row->cause, "403"));
    g_assert_cmpuint(strlen(rig->row->remedy), >, 0);
}

static void test_idle_sleeps(void)
{
    g_autoptr(Rig) rig = rig_new(NULL);
    rig_open(rig, HOIST_WANT_ROWS | HOIST_WANT_PROGRESS);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    g_usleep(1500000); /* the barrier of the opening */
    const int64_t cpu_us = rig_cpu_us();
    g_usleep(1000000);
    g_assert_cmpint(rig_cpu_us() - cpu_us, <, 20000);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/engine/arrive/one-file", test_one_file);
    g_test_add_func("/engine/arrive/empty-file", test_empty_file);
    g_test_add_func("/engine/arrive/same-names", test_same_names);
    g_test_add_func("/engine/arrive/two-batches-of-one-key", test_two_batches_of_one_key);
    g_test_add_func("/engine/arrive/skip-existing", test_skip_existing);
    g_test_add_func("/engine/arrive/parts", test_parts);
    g_test_add_func("/engine/commands/cancel-creating", test_cancel_creating);
    g_test_add_func("/engine/commands/cancel-part", test_cancel_part);
    g_test_add_func("/engine/commands/pause-creating", test_pause_creating);
    g_test_add_func("/engine/commands/pause-part", test_pause_part);
    g_test_add_func("/engine/commands/while-completing", test_commands_while_completing);
    g_test_add_func("/engine/commands/close-and-go-on", test_close_and_go_on);
    g_test_add_func("/engine/commands/forget-failed", test_forget_failed);
    g_test_add_func("/engine/commands/nothing-meant", test_nothing_meant);
    g_test_add_func("/engine/commands/many-ids", test_many_ids);
    g_test_add_func("/engine/commands/close-obeys-first", test_close_obeys_first);
    g_test_add_func("/engine/refused/resume", test_refused_resume);
    g_test_add_func("/engine/refused/retry-all", test_refused_retry_all);
    g_test_add_func("/engine/refused/forgotten", test_refused_forgotten);
    g_test_add_func("/engine/refused/token-ends", test_token_ends);
    g_test_add_func("/engine/lost/ids", test_lost_ids);
    g_test_add_func("/engine/lost/ids-and-closed", test_lost_ids_and_closed);
    g_test_add_func("/engine/changed/while-sent", test_changed_while_sent);
    g_test_add_func("/engine/changed/while-queued", test_changed_while_queued);
    g_test_add_func("/engine/full/while-adding", test_full_while_adding);
    g_test_add_func("/engine/full/while-scanning", test_full_while_scanning);
    g_test_add_func("/engine/full/while-sending", test_full_while_sending);
    g_test_add_func("/engine/full/while-opening", test_full_while_opening);
    g_test_add_func("/engine/full/bulk", test_full_and_bulk);
    g_test_add_func("/engine/rest/aws-warning", test_aws_warning);
    g_test_add_func("/engine/rest/rows-at-rest", test_rows_at_rest);
    g_test_add_func("/engine/rest/idle-sleeps", test_idle_sleeps);
    return g_test_run();
}
