/* hoist images as a program: what it writes where, and with which exit status it ends. */
#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include <gio/gio.h>
#include <glib/gstdio.h>

#define PHOTO "photo/ladybird.jpg"
#define LARGE "photo/office-24mp.jpg"

typedef struct {
    char *dir, *out, *cache;
} Case;

static void set_up(Case *c, gconstpointer data)
{
    (void)data;
    c->dir = g_dir_make_tmp("hoist-images-XXXXXX", NULL);
    c->out = g_build_filename(c->dir, "out", NULL);
    c->cache = g_build_filename(c->dir, "cache", NULL);
}

static void remove_tree(const char *path)
{
    g_autoptr(GDir) d = g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open(path, 0, NULL);
    const char *name;
    while (d != NULL && (name = g_dir_read_name(d)) != NULL) {
        g_autofree char *below = g_build_filename(path, name, NULL);
        remove_tree(below);
    }
    g_remove(path);
}

static void tear_down(Case *c, gconstpointer data)
{
    (void)data;
    remove_tree(c->dir);
    g_free(c->dir);
    g_free(c->out);
    g_free(c->cache);
}

static char *picture(const char *name)
{
    return g_build_filename(g_getenv("HOIST_TEST_DATA"), "images", name, NULL);
}

static void copy_to(const Case *c, const char *name, const char *to)
{
    g_autofree char *from = picture(name), *path = g_build_filename(c->dir, to, NULL), *folder = g_path_get_dirname(path);
    g_autoptr(GFile) source = g_file_new_for_path(from);
    g_autoptr(GFile) target = g_file_new_for_path(path);
    g_mkdir_with_parents(folder, 0700);
    g_assert_true(g_file_copy(source, target, G_FILE_COPY_NONE, NULL, NULL, NULL, NULL));
}

static GSubprocess *start(const Case *c, const char *const *args)
{
    g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_subprocess_launcher_setenv(launcher, "XDG_CACHE_HOME", c->cache, TRUE);
    g_subprocess_launcher_setenv(launcher, "XDG_CONFIG_HOME", c->dir, TRUE);
    g_subprocess_launcher_set_cwd(launcher, c->dir);
    g_ptr_array_add(argv, (gpointer)g_getenv("HOIST_BINARY"));
    g_ptr_array_add(argv, (gpointer) "images");
    for (; *args != NULL; args++)
        g_ptr_array_add(argv, (gpointer)*args);
    g_ptr_array_add(argv, NULL);
    GSubprocess *process = g_subprocess_launcher_spawnv(launcher, (const char *const *)argv->pdata, NULL);
    g_assert_nonnull(process);
    return process;
}

static int run(const Case *c, char **out, char **err, const char *const *args)
{
    g_autoptr(GSubprocess) process = start(c, args);
    g_assert_true(g_subprocess_communicate_utf8(process, NULL, NULL, out, err, NULL));
    return g_subprocess_get_if_exited(process) ? g_subprocess_get_exit_status(process) : -1;
}

#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* Files below a folder, without folders. */
static unsigned count_files(const char *path)
{
    unsigned n = 0;
    g_autoptr(GDir) d = g_dir_open(path, 0, NULL);
    const char *name;
    if (d == NULL)
        return g_file_test(path, G_FILE_TEST_EXISTS);
    while ((name = g_dir_read_name(d)) != NULL) {
        g_autofree char *below = g_build_filename(path, name, NULL);
        n += count_files(below);
    }
    return n;
}

static bool is_there(const Case *c, const char *name)
{
    g_autofree char *path = g_build_filename(c->out, name, NULL);
    return g_file_test(path, G_FILE_TEST_IS_REGULAR);
}

static void test_writes_what_would_go_up(Case *c, gconstpointer data)
{
    (void)data;
    copy_to(c, PHOTO, "in/a.jpg");
    copy_to(c, PHOTO, "in/deep/b.jpg");
    g_autofree char *notes = g_build_filename(c->dir, "in", "notes.txt", NULL);
    g_assert_true(g_file_set_contents(notes, "words", -1, NULL));
    g_autofree char *out = NULL, *err = NULL;
    g_assert_cmpint(run(c, &out, &err, ARGS("--out", c->out, "--format", "webp", "in")), ==, 0);
    g_assert_cmpstr(err, ==, "");
    g_assert_true(is_there(c, "in/a.jpg.webp"));
    g_assert_true(is_there(c, "in/deep/b.jpg.webp"));
    g_assert_cmpuint(count_files(c->out), ==, 2);
    g_assert_nonnull(strstr(out, "in/notes.txt: left alone"));
    g_assert_nonnull(strstr(out, "\n2 pictures: "));
    g_assert_cmpuint(count_files(c->cache), ==, 0);
}

static void test_without_out_only_tells(Case *c, gconstpointer data)
{
    (void)data;
    copy_to(c, PHOTO, "a.jpg");
    g_autofree char *out = NULL;
    g_assert_cmpint(run(c, &out, NULL, ARGS("--json", "a.jpg")), ==, 0);
    g_assert_nonnull(strstr(out, "\"recipe\":\"jpeg "));
    g_assert_nonnull(strstr(out, "\"event\":\"summary\""));
    g_assert_cmpuint(count_files(c->dir), ==, 1);
}

static void test_nothing_is_overwritten(Case *c, gconstpointer data)
{
    (void)data;
    copy_to(c, PHOTO, "a.jpg");
    g_autofree char *taken = g_build_filename(c->out, "a.jpg.webp", NULL);
    g_assert_cmpint(g_mkdir_with_parents(c->out, 0700), ==, 0);
    g_assert_true(g_file_set_contents(taken, "mine", -1, NULL));
    for (int i = 0; i < 2; i++)
        g_assert_cmpint(run(c, NULL, NULL, ARGS("--out", c->out, "--format", "webp", "a.jpg", "./a.jpg")), ==, 0);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(taken, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "mine");
    g_assert_true(is_there(c, "a.jpg-2.webp") && is_there(c, "a.jpg-5.webp"));
    g_assert_cmpuint(count_files(c->out), ==, 5);
}

static void test_renditions_and_the_original(Case *c, gconstpointer data)
{
    (void)data;
    copy_to(c, PHOTO, "a.jpg");
    g_assert_cmpint(run(c, NULL, NULL, ARGS("--out", c->out, "--renditions", "web,thumb", "--format", "webp", "--keep-original", "a.jpg")),
                    ==, 0);
    g_assert_true(is_there(c, "a@web.webp") && is_there(c, "a@thumb.webp") && is_there(c, "originals/a.jpg"));
    g_assert_cmpuint(count_files(c->out), ==, 3);
    g_autofree char *one = g_build_filename(c->out, "a@web.webp", NULL);
    g_assert_cmpint(g_unlink(one), ==, 0);
    g_assert_cmpint(run(c, NULL, NULL, ARGS("--out", c->out, "--renditions", "web,thumb", "--format", "webp", "a.jpg")), ==, 0);
    g_assert_true(is_there(c, "a@web-2.webp") && is_there(c, "a@thumb-2.webp")); /* one number for all of a file */
    g_assert_cmpuint(count_files(c->out), ==, 4);
}

/* Each rendition under its name, as it is or not; a single one, too. */
static void test_renditions_keep_their_names(Case *c, gconstpointer data)
{
    (void)data;
    copy_to(c, "png/1bit.png", "b.png");
    g_assert_cmpint(run(c, NULL, NULL, ARGS("--out", c->out, "--renditions", "web,thumb", "--min-savings", "90", "b.png")), ==, 0);
    g_assert_true(is_there(c, "b@web.png") && is_there(c, "b@thumb.png"));
    g_assert_cmpuint(count_files(c->out), ==, 2);
    copy_to(c, PHOTO, "a.jpg");
    g_assert_cmpint(run(c, NULL, NULL, ARGS("--out", c->out, "--renditions", "web", "--format", "webp", "a.jpg")), ==, 0);
    g_assert_true(is_there(c, "a@web.webp"));
    g_assert_cmpuint(count_files(c->out), ==, 3);
}

/* The folder that is written to lies below the one that is read. */
static void test_own_results_are_not_read(Case *c, gconstpointer data)
{
    (void)data;
    copy_to(c, PHOTO, "a.jpg");
    copy_to(c, PHOTO, "z.jpg");
    for (int i = 1; i <= 2; i++) {
        g_assert_cmpint(run(c, NULL, NULL, ARGS("--out", "out", "--format", "webp", ".")), ==, 0);
        g_assert_cmpuint(count_files(c->out), ==, 2 * (unsigned)i);
    }
    g_autofree char *out = NULL;
    g_assert_cmpint(run(c, &out, NULL, ARGS("--out", ".", "--json", ".")), ==, 0);
    g_assert_null(strstr(out, ".hoist-images-"));
}

static void test_failures(Case *c, gconstpointer data)
{
    (void)data;
    g_autofree char *broken = picture("broken/header-only.jpg");
    g_autofree char *out = NULL, *err = NULL;
    g_assert_cmpint(run(c, &out, NULL, ARGS("--json", "--out", c->out, broken, "missing.jpg")), ==, 1);
    g_assert_nonnull(strstr(out, "\"failed\":\"the picture is damaged"));
    g_assert_nonnull(strstr(out, "missing.jpg"));
    g_assert_nonnull(strstr(out, "\"failed\":2"));
    g_assert_cmpuint(count_files(c->out), ==, 0);
    g_assert_cmpint(run(c, NULL, &err, ARGS("--images", "tiny", broken)), ==, 2);
    g_assert_nonnull(strstr(err, "tiny"));
    g_free(out);
    g_assert_cmpint(run(c, &out, NULL, ARGS("/nope/./missing.jpg", "missing.jpg")), ==, 1);
    g_assert_true(g_str_has_prefix(out, "/nope/./missing.jpg: failed: "));
    g_assert_nonnull(strstr(out, "\nmissing.jpg: failed: "));
    g_assert_true(g_str_has_suffix(out, "\nno pictures; 2 failed\n"));
    g_assert_cmpint(run(c, NULL, NULL, ARGS("--json")), ==, 2);
    g_assert_cmpint(run(c, NULL, NULL, ARGS("--to", "s3://b", broken)), ==, 2);
    g_assert_cmpint(run(c, NULL, NULL, ARGS("--out", "", broken)), ==, 2);
}

static void test_a_place_that_cannot_be_written(Case *c, gconstpointer data)
{
    (void)data;
    g_autofree char *file = g_build_filename(c->dir, "file", NULL), *below = g_build_filename(file, "out", NULL), *err = NULL;
    g_autofree char *photo = picture(PHOTO);
    g_assert_true(g_file_set_contents(file, "no folder", -1, NULL));
    g_assert_cmpint(run(c, NULL, &err, ARGS("--out", below, photo)), ==, 2);
    g_assert_nonnull(strstr(err, below));
    g_clear_pointer(&err, g_free);
    g_assert_cmpint(run(c, NULL, &err, ARGS("--out", file, photo)), ==, 2);
    g_assert_nonnull(strstr(err, file));
    g_assert_null(strstr(err, "Free space")); /* no disk is full */
}

/* One picture is done, seven long ones are not. */
static void stop_by(Case *c, int signal)
{
    for (unsigned i = 0; i < 8; i++) {
        g_autofree char *name = g_strdup_printf("in/%u.jpg", i);
        copy_to(c, i == 0 ? PHOTO : LARGE, name);
    }
    g_autoptr(GSubprocess) process =
        start(c, ARGS("--json", "--out", c->out, "--images", "web max-edge=none max-bytes=none format=webp effort=6", "in"));
    g_autoptr(GDataInputStream) lines = g_data_input_stream_new(g_subprocess_get_stdout_pipe(process));
    g_autofree char *first = g_data_input_stream_read_line(lines, NULL, NULL, NULL);
    g_assert_nonnull(first);
    g_subprocess_send_signal(process, signal);
    g_assert_true(g_subprocess_wait(process, NULL, NULL));
    g_assert_true(signal != SIGINT || g_subprocess_get_exit_status(process) == 130);
}

static unsigned entries_in(const char *dir)
{
    unsigned n = 0;
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    while (g_dir_read_name(d) != NULL)
        n++;
    return n;
}

static void test_killed(Case *c, gconstpointer data)
{
    (void)data;
    stop_by(c, SIGKILL);
    g_assert_cmpuint(entries_in(c->out), ==, 2); /* "in", and what was in the making */
    g_autofree char *photo = picture(PHOTO);
    g_assert_cmpint(run(c, NULL, NULL, ARGS("--out", c->out, photo)), ==, 0);
    g_assert_cmpuint(entries_in(c->out), ==, 2); /* "in", and the photo */
}

static void test_interrupted(Case *c, gconstpointer data)
{
    (void)data;
    stop_by(c, SIGINT);
    g_assert_cmpuint(count_files(c->cache), ==, 0);
    g_autoptr(GDir) d = g_dir_open(c->out, 0, NULL);
    g_assert_cmpstr(g_dir_read_name(d), ==, "in"); /* and nothing of ours beside it */
    g_assert_null(g_dir_read_name(d));
    g_assert_cmpuint(count_files(c->out), <, 8);
}

#define ADD(path, func) g_test_add("/cli-images/" path, Case, NULL, set_up, func, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("writes-what-would-go-up", test_writes_what_would_go_up);
    ADD("without-out-only-tells", test_without_out_only_tells);
    ADD("nothing-is-overwritten", test_nothing_is_overwritten);
    ADD("renditions-and-the-original", test_renditions_and_the_original);
    ADD("renditions-keep-their-names", test_renditions_keep_their_names);
    ADD("own-results-are-not-read", test_own_results_are_not_read);
    ADD("failures", test_failures);
    ADD("a-place-that-cannot-be-written", test_a_place_that_cannot_be_written);
    ADD("interrupted", test_interrupted);
    ADD("killed", test_killed);
    return g_test_run();
}
