#include "tui/paths.h"

#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>

static void expect_absolute(const char *cwd, const char *path, const char *expect)
{
    g_autofree char *absolute = paths_absolute(cwd, path);
    g_assert_cmpstr(absolute, ==, expect);
}

static void test_absolute(void)
{
    expect_absolute("/w", "a", "/w/a");
    expect_absolute("/w", "./a//b/", "/w/a/b");
    expect_absolute("/w", ".", "/w");
    expect_absolute("/w", "/", "/");
    expect_absolute("/", "a", "/a");
    expect_absolute("/w", "/x/./y/", "/x/y");
    expect_absolute("/w", "caf\xe9\n b", "/w/caf\xe9\n b");
    expect_absolute("/w", "...", "/w/...");
    expect_absolute("/w", "-", "/w/-");
    expect_absolute("/w", "gone/../x", "/w/gone/../x"); /* nothing there: left for the scan to report */
}

/* What ".." is after a link, the disk says. */
static void test_dot_dot(void)
{
    g_autofree char *made = g_dir_make_tmp("hoist-paths-XXXXXX", NULL);
    g_autofree char *dir = g_canonicalize_filename(made, NULL);
    g_autofree char *deep = g_build_filename(dir, "deep", NULL), *inner = g_build_filename(deep, "inner", NULL),
                    *file = g_build_filename(deep, "f", NULL);
    g_autofree char *link = g_build_filename(dir, "link", NULL);
    g_assert_cmpint(g_mkdir_with_parents(inner, 0700), ==, 0);
    g_assert_true(g_file_set_contents(file, "x", 1, NULL));
    g_assert_cmpint(symlink("deep/inner", link), ==, 0);
    expect_absolute(dir, "link/../f", file);
    expect_absolute(inner, "..", deep);
    g_unlink(link);
    g_unlink(file);
    g_rmdir(inner);
    g_rmdir(deep);
    g_rmdir(dir);
}

static void expect_split(const char *first, const char *second, char separator, const char *const *expect)
{
    g_autoptr(GByteArray) pending = g_byte_array_new();
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    g_byte_array_append(pending, (const guint8 *)first, (guint)strlen(first));
    g_assert_true(paths_split(pending, separator, false, paths));
    g_byte_array_append(pending, (const guint8 *)second, (guint)strlen(second));
    g_assert_true(paths_split(pending, separator, true, paths));
    g_assert_cmpuint(pending->len, ==, 0);
    g_assert_cmpuint(paths->len, ==, g_strv_length((char **)expect));
    for (guint i = 0; i < paths->len; i++)
        g_assert_cmpstr(paths->pdata[i], ==, expect[i]);
}

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void test_split(void)
{
    expect_split("a\nb b\n", "c\n", '\n', LIST("a", "b b", "c"));
    expect_split("a\nb", "b\nc", '\n', LIST("a", "bb", "c"));
    expect_split("\n\na", "\n", '\n', LIST("a"));
    expect_split("", "", '\n', (const char *const[]){ NULL });

    g_autoptr(GByteArray) pending = g_byte_array_new();
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    g_byte_array_append(pending, (const guint8 *)"a\nb\0\0c", 6);
    g_assert_true(paths_split(pending, '\0', true, paths));
    g_assert_cmpuint(paths->len, ==, 2);
    g_assert_cmpstr(paths->pdata[0], ==, "a\nb");
    g_assert_cmpstr(paths->pdata[1], ==, "c");
}

static void test_too_long(void)
{
    g_autoptr(GByteArray) pending = g_byte_array_new();
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    g_byte_array_set_size(pending, PATHS_MAX_LINE + 1);
    memset(pending->data, 'x', pending->len);
    g_assert_false(paths_split(pending, '\n', false, paths));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/paths/absolute", test_absolute);
    g_test_add_func("/paths/dot-dot", test_dot_dot);
    g_test_add_func("/paths/split", test_split);
    g_test_add_func("/paths/too-long", test_too_long);
    return g_test_run();
}
