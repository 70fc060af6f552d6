#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/prep.h"

typedef struct {
    char *dir;
    int wake_fd;
    Prep *prep;
} Fixture;

static void wake(void *ctx)
{
    g_assert_cmpint(eventfd_write(((Fixture *)ctx)->wake_fd, 1), ==, 0);
}

static void set_up(Fixture *f, gconstpointer data)
{
    (void)data;
    f->dir = g_dir_make_tmp("hoist-prep-XXXXXX", NULL);
    f->wake_fd = eventfd(0, EFD_CLOEXEC);
    f->prep = prep_new(2, wake, f);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    (void)data;
    prep_free(f->prep);
    close(f->wake_fd);
    char *argv[] = { (char *)"rm", (char *)"-rf", f->dir, NULL };
    g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
    g_free(f->dir);
}

static char *make(Fixture *f, const char *name, gsize bytes, SourceId *id_out)
{
    char *path = g_build_filename(f->dir, name, NULL);
    g_autofree char *content = g_malloc(bytes + 1);
    memset(content, 'x', bytes);
    g_assert_true(g_file_set_contents(path, content, (gssize)bytes, NULL));
    const int fd = source_open(path, id_out, NULL);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    return path;
}

/* Sleeps until the next result is there. */
static PrepTask *wait(Fixture *f)
{
    for (;;) {
        PrepTask *task = prep_take(f->prep);
        if (task != NULL)
            return task;
        struct pollfd p = { .fd = f->wake_fd, .events = POLLIN };
        eventfd_t n;
        g_assert_cmpint(poll(&p, 1, 10000), ==, 1);
        g_assert_cmpint(eventfd_read(f->wake_fd, &n), ==, 0);
    }
}

static PrepTask *open_now(Fixture *f, char *path, const SourceId *expected, unsigned digests)
{
    PrepTask *task = prep_task_new(PREP_OPEN, f);
    task->path = path;
    task->expected = *expected;
    task->digests = digests;
    prep_submit(f->prep, task);
    return wait(f);
}

static void test_small_file_is_read_once(Fixture *f, gconstpointer data)
{
    (void)data;
    SourceId id;
    char *path = make(f, "a.txt", PREP_SMALL_BYTES, &id);
    g_autoptr(PrepTask) task = open_now(f, path, &id, DIGEST_BIT(DIGEST_MD5));
    g_assert_no_error(task->error);
    g_assert_cmpuint(g_bytes_get_size(task->content), ==, PREP_SMALL_BYTES);
    g_assert_cmpuint(task->set.have, ==, DIGEST_BIT(DIGEST_MD5));
    g_assert_cmpint(task->fd, ==, -1);
    g_assert_cmpstr(task->content_type, ==, "text/plain");
}

static void test_large_file_stays_open(Fixture *f, gconstpointer data)
{
    (void)data;
    SourceId id;
    char *path = make(f, "a.txt", PREP_SMALL_BYTES + 1, &id);
    g_autoptr(PrepTask) task = open_now(f, path, &id, DIGEST_BIT(DIGEST_MD5));
    g_assert_no_error(task->error);
    g_assert_null(task->content);
    g_assert_cmpint(task->fd, >=, 0);
    g_assert_cmpuint(task->set.have, ==, 0);
}

static void test_empty_file(Fixture *f, gconstpointer data)
{
    (void)data;
    SourceId id;
    char *path = make(f, "empty.jpg", 0, &id);
    g_autoptr(PrepTask) task = open_now(f, path, &id, DIGEST_BIT(DIGEST_CRC64NVME));
    g_assert_no_error(task->error);
    g_assert_cmpuint(g_bytes_get_size(task->content), ==, 0);
}

static void test_changed_file_is_told_with_what_it_is_now(Fixture *f, gconstpointer data)
{
    (void)data;
    SourceId old, now;
    g_autofree char *path = make(f, "a.txt", 10, &old);
    g_free(make(f, "a.txt", 20, &now));
    g_autoptr(PrepTask) task = open_now(f, g_strdup(path), &old, 0);
    g_assert_error(task->error, FAULT, FAULT_SOURCE_CHANGED);
    g_assert_true(source_id_same(&task->found, &now));
}

static void test_missing_and_special(Fixture *f, gconstpointer data)
{
    (void)data;
    SourceId id;
    char *path = make(f, "a", 10, &id);
    g_unlink(path);
    g_autoptr(PrepTask) gone = open_now(f, path, &id, 0);
    g_assert_error(gone->error, FAULT, FAULT_SOURCE_MISSING);
    g_autoptr(PrepTask) folder = open_now(f, g_strdup(f->dir), &id, 0);
    g_assert_error(folder->error, FAULT, FAULT_SOURCE_SPECIAL);
}

static PrepTask *digest_task(Fixture *f, const char *path, const SourceId *id, uint64_t offset, uint64_t length)
{
    PrepTask *task = prep_task_new(PREP_DIGEST, f);
    task->fd = open(path, O_RDONLY | O_CLOEXEC);
    task->expected = *id;
    task->offset = offset;
    task->length = length;
    task->digests = DIGEST_BIT(DIGEST_SHA256);
    return task;
}

static void test_digest_of_a_range(Fixture *f, gconstpointer data)
{
    (void)data;
    SourceId id;
    g_autofree char *path = make(f, "a", 1000000, &id);
    prep_submit(f->prep, digest_task(f, path, &id, 300000, 600000));
    g_autoptr(PrepTask) task = wait(f);
    g_assert_no_error(task->error);
    g_autofree char *same = g_strnfill(600000, 'x');
    DigestSet expected;
    digest_of(DIGEST_BIT(DIGEST_SHA256), same, 600000, &expected);
    g_assert_cmpmem(task->set.value[DIGEST_SHA256], 32, expected.value[DIGEST_SHA256], 32);
}

static void test_digest_of_a_file_that_shrank(Fixture *f, gconstpointer data)
{
    (void)data;
    SourceId id;
    g_autofree char *path = make(f, "a", 1000, &id);
    g_assert_cmpint(truncate(path, 500), ==, 0);
    prep_submit(f->prep, digest_task(f, path, &id, 0, 1000));
    g_autoptr(PrepTask) task = wait(f);
    g_assert_error(task->error, FAULT, FAULT_SOURCE_CHANGED);
}

static void test_free_with_work_outstanding(Fixture *f, gconstpointer data)
{
    (void)data;
    SourceId id;
    g_autofree char *path = make(f, "a", 1000, &id);
    for (int i = 0; i < 100; i++)
        prep_submit(f->prep, digest_task(f, path, &id, 0, 1000)); /* tear_down frees what was not taken */
}

#define ADD(path, fn) g_test_add(path, Fixture, NULL, set_up, fn, tear_down)

static void test_type_by_content(Fixture *f, gconstpointer data)
{
    (void)data;
    static const gsize sizes[] = { 100, PREP_SMALL_BYTES + 1 };
    for (unsigned i = 0; i < 2 * G_N_ELEMENTS(sizes); i++) {
        PrepTask *task = prep_task_new(PREP_OPEN, f);
        task->path = make(f, "text.pdf", sizes[i / 2], &task->expected);
        task->by_content = i % 2 == 1;
        prep_submit(f->prep, task);
        g_autoptr(PrepTask) done = wait(f);
        g_assert_cmpstr(done->content_type, ==, i % 2 == 1 ? "text/plain" : "application/pdf");
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/prep/small-file-is-read-once", test_small_file_is_read_once);
    ADD("/prep/large-file-stays-open", test_large_file_stays_open);
    ADD("/prep/empty-file", test_empty_file);
    ADD("/prep/changed-file", test_changed_file_is_told_with_what_it_is_now);
    ADD("/prep/missing-and-special", test_missing_and_special);
    ADD("/prep/digest-of-a-range", test_digest_of_a_range);
    ADD("/prep/digest-of-a-file-that-shrank", test_digest_of_a_file_that_shrank);
    ADD("/prep/free-with-work-outstanding", test_free_with_work_outstanding);
    ADD("/prep/type-by-content", test_type_by_content);
    return g_test_run();
}
