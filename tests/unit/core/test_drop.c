#include "core/hoist.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include <glib/gstdio.h>

typedef struct {
    GHashTable *set;
    unsigned tests;
} Files;

static bool exists_in_set(const char *path, void *ctx)
{
    Files *files = ctx;
    files->tests++;
    return g_hash_table_contains(files->set, path);
}

static void check_n(const char *bytes, size_t n, const char *hint, const char *const *existing, HoistDropVerdict verdict,
                    const char *const *expect)
{
    Files files = { g_hash_table_new(g_str_hash, g_str_equal), 0 };
    for (unsigned i = 0; existing[i] != NULL; i++)
        g_hash_table_add(files.set, (gpointer)existing[i]);
    char **paths = NULL;
    g_autoptr(GArray) found = NULL;
    g_test_message("%.60s", bytes);
    g_assert_cmpint(hoist_drop_read(bytes, n, hint, "thishost", exists_in_set, &files, &paths, &found), ==, verdict);
    if (verdict == HOIST_NOT_A_DROP) {
        g_assert_null(paths);
        g_assert_null(found);
    } else {
        g_assert_cmpstrv(paths, (gpointer)expect);
        for (unsigned i = 0; i < found->len; i++)
            g_assert_cmpint(g_array_index(found, bool, i), ==, g_hash_table_contains(files.set, paths[i]));
    }
    g_strfreev(paths);
    g_hash_table_unref(files.set);
}

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define NONE      ((const char *const[]){ NULL })

static void check(const char *text, const char *const *existing, HoistDropVerdict verdict, const char *const *expect)
{
    check_n(text, strlen(text), NULL, existing, verdict, expect);
}

static void test_uris(void)
{
    check("FILE:/a%2fb%41", LIST("/a/bA"), HOIST_DROP, LIST("/a/bA"));
    check("file://ThisHost/a", LIST("/a"), HOIST_DROP, LIST("/a"));
    check("file://thishost.evil/a", LIST("/a"), HOIST_NOT_A_DROP, NONE);
    check("file://thishos/a", LIST("/a"), HOIST_NOT_A_DROP, NONE);
    check("file:///a%2", LIST("/a%2"), HOIST_NOT_A_DROP, NONE);
    check("file:///a%zz", LIST("/a%zz"), HOIST_NOT_A_DROP, NONE);
    check("file:a", LIST("a", "/a"), HOIST_NOT_A_DROP, NONE);
    check("file://", LIST("/"), HOIST_NOT_A_DROP, NONE);
    check("# only a comment\n", NONE, HOIST_NOT_A_DROP, NONE);
    check("file:///gone%20x\r\n", NONE, HOIST_DROP_MISSING, LIST("/gone x"));
    check("file:///a\nsftp://h/b\n", LIST("/a"), HOIST_NOT_A_DROP, NONE);
    check("/a file:///b%20c", LIST("/a", "/b c"), HOIST_DROP, LIST("/a", "/b c"));
    check("'file:///b%20c' /a", LIST("/a", "/b c"), HOIST_DROP, LIST("/b c", "/a"));
}

static void test_quoting(void)
{
    check("& '/a b'", LIST("/a b"), HOIST_DROP, LIST("/a b"));
    check("&", NONE, HOIST_NOT_A_DROP, NONE);
    check("'/a b", LIST("/a b"), HOIST_NOT_A_DROP, NONE);
    check("\"/a $x `y` \\$\"", LIST("/a $x `y` $"), HOIST_DROP, LIST("/a $x `y` $"));
    check("$'/\\x41\\102\\e\\t\\'\\\\'", LIST("/AB\033\t'\\"), HOIST_DROP, LIST("/AB\033\t'\\"));
    check("$'/a\\0b'", LIST("/a", "/ab"), HOIST_NOT_A_DROP, NONE);
    check("$'/a\\", NONE, HOIST_NOT_A_DROP, NONE);
    check("/a\\", LIST("/a\\"), HOIST_DROP, LIST("/a\\"));
    check("'/a''b'\"c\"\\ d", LIST("/abc d"), HOIST_DROP, LIST("/abc d"));
    check("~/a", LIST("/a", "~/a"), HOIST_NOT_A_DROP, NONE);
    check("/a/*.jpg", LIST("/a/x.jpg"), HOIST_DROP_MISSING, LIST("/a/*.jpg"));
    check("/$HOME", LIST("//root"), HOIST_DROP_MISSING, LIST("/$HOME"));
    check("'' '/a'", LIST("/a"), HOIST_NOT_A_DROP, NONE);
}

static void test_raw(void)
{
    check("/a b /c", LIST("/a b", "/c"), HOIST_DROP, LIST("/a b", "/c"));
    /* a directory whose name ends in a blank: the fewest pieces win */
    check("/d /x", LIST("/d", "/x", "/d ", "/d /x"), HOIST_DROP, LIST("/d", "/x"));
    check_n("/d /x", 5, "xterm-kitty", LIST("/d", "/x", "/d ", "/d /x"), HOIST_DROP, LIST("/d /x"));
    check_n("/d\n/x\n/y z", 10, "foot", LIST("/d", "/x", "/y z", "/d\n", "/d\n/x"), HOIST_DROP, LIST("/d\n/x", "/y z"));
    check("/a b\r/c d\r", LIST("/a b", "/c d"), HOIST_DROP, LIST("/a b", "/c d"));
    check("/it's/x\n/gone/y z", LIST("/it's/x"), HOIST_DROP_MISSING, LIST("/it's/x", "/gone/y z"));
    check("/it's x", NONE, HOIST_DROP_MISSING, LIST("/it's x"));
    check("text /etc/passwd", LIST("/etc/passwd"), HOIST_NOT_A_DROP, NONE);
    check("/", LIST("/"), HOIST_DROP, LIST("/"));
}

static void test_spellings(void)
{
    check("'/a\rb'", LIST("/a\nb"), HOIST_DROP, LIST("/a\nb"));
    check("'/a\rb'", LIST("/a\rb", "/a\nb"), HOIST_DROP, LIST("/a\rb"));
    check("'/a\xe2\x90\x9b\rb\xe2\x90\xa1'", LIST("/a\033\nb\x7f"), HOIST_DROP, LIST("/a\033\nb\x7f"));
    check("'/a\xe2\x90\x80'", LIST("/a"), HOIST_DROP_MISSING, LIST("/a\xe2\x90\x80")); /* U+2400 is never a NUL */
    check("/dir/", LIST("/dir"), HOIST_DROP, LIST("/dir"));
}

static void test_hostile(void)
{
    check_n("/a\0/b", 5, NULL, LIST("/a", "/b"), HOIST_NOT_A_DROP, NONE);
    check_n("", 0, NULL, NONE, HOIST_NOT_A_DROP, NONE);
    g_autofree char *deep = g_strnfill(70000, '/');
    g_assert_cmpint(deep[0], ==, '/');
    check(deep, NONE, HOIST_DROP_MISSING, LIST(deep));
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cost(const char *unit, size_t bytes, unsigned *tests_out)
{
    g_autoptr(GString) all = g_string_sized_new(bytes + 64);
    while (all->len < bytes)
        g_string_append(all, unit);
    Files files = { g_hash_table_new(g_str_hash, g_str_equal), 0 };
    const double start = seconds();
    char **paths = NULL;
    hoist_drop_read(all->str, all->len, NULL, NULL, exists_in_set, &files, &paths, NULL);
    const double spent = seconds() - start;
    g_strfreev(paths);
    g_hash_table_unref(files.set);
    *tests_out = files.tests;
    return spent;
}

static void test_linear(void)
{
    static const char *const units[] = { "/a ",   "/a\n", "'/a' ",  "/ ",   "file:///%41 ",       "'", "\"/a\" ", "\\",
                                         "/a\\ ", " ",    "\n/a\r", "' '/", "/\xe2\x90\x9b\r\\' " };
    for (unsigned i = 0; i < G_N_ELEMENTS(units); i++) {
        unsigned tests;
        cost(units[i], 20000, &tests);
        const double once = cost(units[i], 50000, &tests), eight = cost(units[i], 400000, &tests);
        g_test_message("%u: 50 kB %.1f ms, 400 kB %.1f ms, %u tests", i, once * 1e3, eight * 1e3, tests);
        g_assert_cmpuint(tests, <=, 400000);
        g_assert_cmpfloat(eight, <, once * 24 + 0.1);
    }
}

/* 20,000 real names in one drop, raw and quoted, on a real directory. */
static void test_thousands(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("hoist-drop-XXXXXX", &error);
    g_assert_no_error(error);
    g_autofree char *file = g_build_filename(dir, "a b", NULL), *link = g_build_filename(dir, "dangling", NULL);
    g_assert_true(g_file_set_contents(file, "x", 1, NULL));
    g_assert_cmpint(symlink("nowhere", link), ==, 0);
    g_autoptr(GString) raw = g_string_new(NULL), quoted = g_string_new(NULL);
    for (unsigned i = 0; i < 10000; i++) {
        g_string_append_printf(raw, "%s\n%s\n", file, link);
        g_string_append_printf(quoted, "'%s' '%s' ", file, link);
    }
    const GString *const both[] = { raw, quoted };
    for (unsigned i = 0; i < 2; i++) {
        char **paths = NULL;
        const double start = seconds();
        g_assert_cmpint(hoist_drop_read(both[i]->str, both[i]->len, NULL, NULL, NULL, NULL, &paths, NULL), ==, HOIST_DROP);
        g_test_message("%.1f ms", (seconds() - start) * 1e3);
        g_assert_cmpuint(g_strv_length(paths), ==, 20000);
        g_assert_cmpstr(paths[0], ==, file);
        g_assert_cmpstr(paths[19999], ==, link);
        g_strfreev(paths);
    }
    g_unlink(file);
    g_unlink(link);
    g_rmdir(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/drop/uris", test_uris);
    g_test_add_func("/drop/quoting", test_quoting);
    g_test_add_func("/drop/raw", test_raw);
    g_test_add_func("/drop/spellings", test_spellings);
    g_test_add_func("/drop/hostile", test_hostile);
    g_test_add_func("/drop/linear", test_linear);
    g_test_add_func("/drop/thousands", test_thousands);
    return g_test_run();
}
