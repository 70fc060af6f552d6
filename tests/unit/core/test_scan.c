#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/scan.h"

typedef struct {
    char *dir;
    GPtrArray *names;   /* of found files */
    GPtrArray *skipped; /* "name: fault" */
} Fixture;

static char *at(Fixture *f, const char *name)
{
    return g_build_filename(f->dir, name, NULL);
}

static void make(Fixture *f, const char *name, gsize bytes)
{
    g_autofree char *path = at(f, name);
    g_autofree char *folder = g_path_get_dirname(path);
    g_autofree char *content = g_malloc0(bytes + 1);
    g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
    g_assert_true(g_file_set_contents(path, content, (gssize)bytes, NULL));
}

static void set_up(Fixture *f, gconstpointer data)
{
    (void)data;
    f->dir = g_dir_make_tmp("hoist-scan-XXXXXX", NULL);
    f->names = g_ptr_array_new_with_free_func(g_free);
    f->skipped = g_ptr_array_new_with_free_func(g_free);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    (void)data;
    char *argv[] = { (char *)"rm", (char *)"-rf", f->dir, NULL };
    g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
    g_ptr_array_unref(f->names);
    g_ptr_array_unref(f->skipped);
    g_free(f->dir);
}

static bool note(const ScanFile *file, void *ctx)
{
    Fixture *f = ctx;
    if (file->error == NULL)
        g_ptr_array_add(f->names, g_strdup(file->name));
    else
        g_ptr_array_add(f->skipped,
                        g_strdup_printf("%s: %s%s", file->name, fault_info(file->error->code)->name, file->by_rule ? " (rule)" : ""));
    return true;
}

static void walk(Fixture *f, const ScanFilter *filter, const char *root)
{
    g_autofree char *path = at(f, root);
    char *roots[] = { path, NULL };
    scan_walk(roots, filter, note, f, NULL);
}

static bool has(const GPtrArray *list, const char *text)
{
    return g_ptr_array_find_with_equal_func((GPtrArray *)list, text, g_str_equal, NULL);
}

static void test_names_begin_with_the_root(Fixture *f, gconstpointer data)
{
    (void)data;
    make(f, "holiday/b.jpg", 3);
    make(f, "holiday/a.jpg", 3);
    make(f, "holiday/sub/c.jpg", 3);
    const ScanFilter none = { 0 };
    walk(f, &none, "holiday");
    g_assert_cmpuint(f->names->len, ==, 3);
    g_assert_cmpstr(f->names->pdata[0], ==, "holiday/a.jpg");
    g_assert_cmpstr(f->names->pdata[1], ==, "holiday/b.jpg");
    g_assert_cmpstr(f->names->pdata[2], ==, "holiday/sub/c.jpg");
    walk(f, &none, "holiday/a.jpg");
    g_assert_cmpstr(f->names->pdata[3], ==, "a.jpg");
}

static void test_odd_things_are_skipped_with_their_reason(Fixture *f, gconstpointer data)
{
    (void)data;
    make(f, "d/file", 1);
    make(f, "d/closed/in", 1);
    g_autofree char *fifo = at(f, "d/fifo"), *loop = at(f, "d/loop"), *broken = at(f, "d/broken"), *up = at(f, "d/up"),
                    *link = at(f, "d/link");
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    g_assert_cmpint(symlink("loop", loop), ==, 0);
    g_assert_cmpint(symlink("nowhere", broken), ==, 0);
    g_assert_cmpint(symlink("..", up), ==, 0);
    g_assert_cmpint(symlink("file", link), ==, 0);
    const ScanFilter none = { 0 };
    walk(f, &none, "d");
    walk(f, &none, "not-there");
    g_assert_true(has(f->names, "d/file"));
    g_assert_true(has(f->names, "d/link")); /* a link to a file is the file */
    g_assert_true(has(f->skipped, "d/fifo: not-a-file (rule)"));
    g_assert_true(has(f->skipped, "d/loop: not-a-file"));
    g_assert_true(has(f->skipped, "d/broken: file-missing"));
    g_assert_true(has(f->skipped, "d/up: not-a-file (rule)"));
    g_assert_true(has(f->skipped, "not-there: file-missing"));
}

static void test_unreadable_folder_is_named(Fixture *f, gconstpointer data)
{
    (void)data;
    if (geteuid() == 0) {
        g_test_skip("root reads everything");
        return;
    }
    make(f, "d/closed/in", 1);
    make(f, "d/z", 1);
    g_autofree char *closed = at(f, "d/closed");
    g_assert_cmpint(g_chmod(closed, 0), ==, 0);
    const ScanFilter none = { 0 };
    walk(f, &none, "d");
    g_chmod(closed, 0700);
    g_assert_true(has(f->names, "d/z"));
    g_assert_true(has(f->skipped, "d/closed: file-unreadable"));
}

static void test_filters(Fixture *f, gconstpointer data)
{
    (void)data;
    make(f, "d/a.jpg", 10);
    make(f, "d/b.txt", 10);
    make(f, "d/big.jpg", 1000);
    make(f, "d/.git/x.jpg", 10);
    char *include[] = { (char *)"*.jpg", NULL }, *exclude[] = { (char *)".git", NULL };
    const ScanFilter filter = { include, exclude, 100 };
    walk(f, &filter, "d");
    g_assert_cmpuint(f->names->len, ==, 1);
    g_assert_cmpstr(f->names->pdata[0], ==, "d/a.jpg");
    g_assert_cmpuint(f->skipped->len, ==, 1);
    g_assert_true(has(f->skipped, "d/big.jpg: too-large (rule)"));
}

static void test_names_are_bytes(Fixture *f, gconstpointer data)
{
    (void)data;
    make(f, "d/new\nline \xff\x1b[31m", 1);
    const ScanFilter none = { 0 };
    walk(f, &none, "d");
    g_assert_cmpstr(f->names->pdata[0], ==, "d/new\nline \xff\x1b[31m");
}

static void ignore_wake(void *ctx)
{
    (void)ctx;
}

static void test_thread_gives_bounded_chunks(Fixture *f, gconstpointer data)
{
    (void)data;
    enum { FILES = SCAN_CHUNK_FILES * (SCAN_CHUNKS + 3) + 7 };
    for (int i = 0; i < FILES; i++) {
        g_autofree char *name = g_strdup_printf("d/%02d/%05d", i % 7, i);
        make(f, name, 0);
    }
    g_autofree char *root = at(f, "d");
    char *roots[] = { root, NULL };
    const ScanFilter none = { 0 };
    g_autoptr(Scan) scan = scan_start(roots, &none, f, ignore_wake, NULL);
    unsigned files = 0;
    uint64_t folders = 0;
    for (bool last = false; !last;) {
        ScanChunk *chunk = scan_take(scan);
        if (chunk == NULL) {
            g_thread_yield();
            continue;
        }
        g_assert_cmpuint(chunk->files->len, <=, SCAN_CHUNK_FILES);
        files += chunk->files->len;
        folders += chunk->folders;
        last = chunk->last;
        scan_chunk_free(chunk);
    }
    g_assert_cmpuint(files, ==, FILES);
    g_assert_cmpuint(folders, ==, 8);
}

static void test_thread_stops_early(Fixture *f, gconstpointer data)
{
    (void)data;
    for (int i = 0; i < SCAN_CHUNK_FILES * (SCAN_CHUNKS + 2); i++) {
        g_autofree char *name = g_strdup_printf("d/%05d", i);
        make(f, name, 0);
    }
    g_autofree char *root = at(f, "d");
    char *roots[] = { root, NULL };
    const ScanFilter none = { 0 };
    scan_free(scan_start(roots, &none, f, ignore_wake, NULL)); /* must not hang on the bound */
}

#define ADD(path, fn) g_test_add(path, Fixture, NULL, set_up, fn, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/scan/names-begin-with-the-root", test_names_begin_with_the_root);
    ADD("/scan/odd-things-are-skipped", test_odd_things_are_skipped_with_their_reason);
    ADD("/scan/unreadable-folder", test_unreadable_folder_is_named);
    ADD("/scan/filters", test_filters);
    ADD("/scan/names-are-bytes", test_names_are_bytes);
    ADD("/scan/bounded-chunks", test_thread_gives_bounded_chunks);
    ADD("/scan/stops-early", test_thread_stops_early);
    return g_test_run();
}
