#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "fault.h"
#include "source.h"

static void test_far_times(void)
{
    SourceId a, b;
    struct stat st = { .st_size = 5, .st_mtim = { .tv_sec = INT64_MAX / 2, .tv_nsec = 7 }, .st_ctim = { .tv_sec = INT64_MIN / 2 } };
    source_id_of_stat(&a, &st);
    st.st_mtim.tv_nsec = 8;
    source_id_of_stat(&b, &st);
    g_assert_false(source_id_same(&a, &b));
    st.st_mtim.tv_nsec = 7;
    source_id_of_stat(&b, &st);
    g_assert_true(source_id_same(&a, &b));
}

static void assert_changed(int fd, const SourceId *then, const char *words)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(source_check(fd, then, &error));
    g_assert_error(error, FAULT, FAULT_SOURCE_CHANGED);
    g_assert_nonnull(strstr(error->message, words));
}

static void test_changes(void)
{
    g_autofree char *dir = g_dir_make_tmp("hoist-source-XXXXXX", NULL), *path = g_build_filename(dir, "a", NULL);
    g_autoptr(GError) error = NULL;
    SourceId id;
    g_assert_true(g_file_set_contents(path, "12345", 5, NULL));
    const int fd = source_open(path, &id, &error);
    g_assert_no_error(error);
    g_assert_true(source_check(fd, &id, &error));
    SourceId then = id;
    then.size_bytes = 4;
    assert_changed(fd, &then, "grown");
    then.size_bytes = 6;
    assert_changed(fd, &then, "shrunk");
    then = id;
    then.mtime_ns--;
    assert_changed(fd, &then, "written");
    then = id;
    then.ctime_ns--;
    assert_changed(fd, &then, "inode");
    then = id;
    then.ino++;
    assert_changed(fd, &then, "another file");
    close(fd);
    g_unlink(path);
    g_rmdir(dir);
}

static void assert_not_opened(const char *path, FaultCode code)
{
    g_autoptr(GError) error = NULL;
    SourceId id;
    g_assert_cmpint(source_open(path, &id, &error), ==, -1);
    g_assert_error(error, FAULT, (int)code);
}

/* None of them may hang, either: nobody writes to the FIFO. */
static void test_no_files(void)
{
    g_autofree char *dir = g_dir_make_tmp("hoist-source-XXXXXX", NULL), *fifo = g_build_filename(dir, "fifo", NULL);
    g_autofree char *loop = g_build_filename(dir, "loop", NULL), *below = g_build_filename(fifo, "x", NULL);
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    g_assert_cmpint(symlink(loop, loop), ==, 0);
    assert_not_opened(fifo, FAULT_SOURCE_SPECIAL);
    assert_not_opened(loop, FAULT_SOURCE_SPECIAL);
    assert_not_opened(dir, FAULT_SOURCE_SPECIAL);
    assert_not_opened("/dev/null", FAULT_SOURCE_SPECIAL);
    assert_not_opened(below, FAULT_SOURCE_MISSING);
    g_unlink(fifo);
    g_unlink(loop);
    g_rmdir(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/source/far-times", test_far_times);
    g_test_add_func("/source/changes", test_changes);
    g_test_add_func("/source/no-files", test_no_files);
    return g_test_run();
}
