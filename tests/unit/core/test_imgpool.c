#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/imgpool.h"
#include "core/imgworker.h"

enum { PATIENCE_MS = 120000, TICK_US = 2000 };

#define PHOTO       "photo/ladybird.jpg"
#define LARGE       "photo/office-24mp.jpg"
#define LONG_RECIPE "web max-edge=none max-bytes=none format=webp effort=6" /* seconds of a large photo */

typedef struct {
    char *dir, *images, *script;
    ImgPoolConf conf;
    ImgPool *pool;
    int wakes;
} Case;

static void wake(void *ctx)
{
    __atomic_add_fetch((int *)ctx, 1, __ATOMIC_RELAXED);
}

static void open_pool(Case *c)
{
    g_autoptr(GError) error = NULL;
    c->pool = imgpool_new(&c->conf, wake, &c->wakes, &error);
    g_assert_no_error(error);
    g_assert_nonnull(c->pool);
}

static void remove_tree(const char *dir)
{
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    const char *name;
    while (d != NULL && (name = g_dir_read_name(d)) != NULL) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        g_unlink(path);
    }
    g_rmdir(dir);
}

static void set_up(Case *c, gconstpointer data)
{
    (void)data;
    c->dir = g_dir_make_tmp("hoist-imgpool-XXXXXX", NULL);
    c->images = g_build_filename(g_getenv("HOIST_TEST_DATA"), "images", NULL);
    c->conf = (ImgPoolConf){ .spool_dir = c->dir, .workers = 2 };
}

static void tear_down(Case *c, gconstpointer data)
{
    (void)data;
    imgpool_free(c->pool);
    remove_tree(c->dir);
    if (c->script != NULL)
        g_unlink(c->script);
    g_free(c->dir);
    g_free(c->images);
    g_free(c->script);
}

/* A worker of our own making: a shell script with its socket on descriptor 3. */
static void use_script(Case *c, const char *body)
{
    g_autofree char *text = g_strdup_printf("#!/bin/sh\n%s\n", body);
    c->script = g_strdup_printf("%s.sh", c->dir);
    g_assert_true(g_file_set_contents_full(c->script, text, -1, G_FILE_SET_CONTENTS_NONE, 0700, NULL));
    c->conf.worker = c->script;
}

static int open_image(const Case *c, const char *name, SourceId *id_out)
{
    g_autofree char *path = g_build_filename(c->images, name, NULL);
    const int fd = source_open(path, id_out, NULL);
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

/* recipes: "web" or "web,thumb". */
static bool submit_as(Case *c, const char *name, const char *recipes, gpointer user)
{
    SourceId id;
    g_auto(GStrv) list = g_strsplit(recipes, ",", -1);
    const int fd = open_image(c, name, &id);
    const bool taken = imgpool_submit(c->pool, fd, &id, (const char *const *)list, g_strv_length(list), user);
    close(fd);
    return taken;
}

static bool submit(Case *c, const char *name, gpointer user)
{
    return submit_as(c, name, "web", user);
}

static bool preview(Case *c, const char *name, unsigned edge_px, gpointer user)
{
    SourceId id;
    const int fd = open_image(c, name, &id);
    const bool taken = imgpool_preview(c->pool, fd, edge_px, user);
    close(fd);
    return taken;
}

static ImgOutcome *outcome(Case *c)
{
    const int64_t until = g_get_monotonic_time() + PATIENCE_MS * 1000;
    ImgOutcome *o;
    while ((o = imgpool_take(c->pool)) == NULL) {
        g_assert_cmpint(g_get_monotonic_time(), <, until);
        g_usleep(TICK_US);
    }
    return o;
}

static unsigned files_in(const char *dir, const char *suffix)
{
    unsigned n = 0;
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    const char *name;
    while ((name = g_dir_read_name(d)) != NULL)
        n += g_str_has_suffix(name, suffix);
    return n;
}

/* A child that has not reached its program yet still holds up the thread that starts it; it has our name until then. */
static bool runs_its_program(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/comm", (int)pid);
    g_autofree char *theirs = NULL, *ours = NULL;
    return g_file_get_contents(path, &theirs, NULL, NULL) && g_file_get_contents("/proc/self/comm", &ours, NULL, NULL) &&
           strcmp(theirs, ours) != 0;
}

/* Worker processes that this one has. */
static GArray *children(void)
{
    GArray *pids = g_array_new(FALSE, FALSE, sizeof(pid_t));
    g_autoptr(GDir) tasks = g_dir_open("/proc/self/task", 0, NULL);
    const char *tid;
    while ((tid = g_dir_read_name(tasks)) != NULL) {
        g_autofree char *path = g_strdup_printf("/proc/self/task/%s/children", tid);
        g_autofree char *text = NULL;
        if (!g_file_get_contents(path, &text, NULL, NULL))
            continue;
        g_auto(GStrv) parts = g_strsplit(text, " ", -1);
        for (char **part = parts; *part != NULL; part++) {
            const pid_t pid = (pid_t)g_ascii_strtoll(*part, NULL, 10);
            if (pid > 0 && runs_its_program(pid))
                g_array_append_val(pids, pid);
        }
    }
    return pids;
}

/* Sends a signal to every worker that runs; false when there is none yet. */
static bool hit_workers(int signum)
{
    g_autoptr(GArray) pids = children();
    for (guint i = 0; i < pids->len; i++)
        kill(g_array_index(pids, pid_t, i), signum);
    return pids->len > 0;
}

static void wait_for_worker(int signum)
{
    const int64_t until = g_get_monotonic_time() + PATIENCE_MS * 1000;
    while (!hit_workers(signum))
        g_assert_cmpint(g_get_monotonic_time(), <, until);
}

static void expect_staged(Case *c, const ImgObject *o)
{
    struct stat st;
    g_autofree char *path = imgpool_staged_path(c->pool, o->staged);
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpuint((uint64_t)st.st_size, ==, o->staged_bytes);
    g_assert_cmpuint(st.st_mode & 0777, ==, 0600);
}

static void expect_nothing_left(Case *c)
{
    const int64_t until = g_get_monotonic_time() + PATIENCE_MS * 1000;
    for (guint left = 1; left > 0;) {
        g_assert_null(imgpool_take(c->pool));
        g_autoptr(GArray) pids = children();
        left = pids->len + files_in(c->dir, "");
        g_assert_cmpint(g_get_monotonic_time(), <, until);
    }
}

static void wait_for_percent(Case *c, gpointer user)
{
    const int64_t until = g_get_monotonic_time() + PATIENCE_MS * 1000;
    while (imgpool_percent(c->pool, user) < 0) {
        g_assert_cmpint(g_get_monotonic_time(), <, until);
        g_usleep(TICK_US);
    }
}

static void test_photo_is_staged(Case *c, gconstpointer data)
{
    (void)data;
    open_pool(c);
    g_assert_true(submit(c, PHOTO, c));
    g_assert_cmpuint(imgpool_pending(c->pool), ==, 1);
    g_autoptr(ImgOutcome) o = outcome(c);
    const ImgObject *object = &o->objects[0];
    g_assert_no_error(o->error);
    g_assert_null(o->failed);
    g_assert_true(o->user == c);
    g_assert_cmpuint(o->n, ==, 1);
    g_assert_cmpstr(object->content_type, ==, "image/webp");
    g_assert_cmpstr(object->extension, ==, "webp");
    g_assert_true(g_str_has_prefix(object->recipe, "jpeg "));
    g_assert_nonnull(strstr(object->recipe, " -> webp "));
    g_assert_cmpuint(MAX(object->picture.width_px, object->picture.height_px), <=, 1920);
    g_assert_cmpuint(object->picture.encodes, >=, 1);
    g_assert_cmpuint(imgpool_pending(c->pool), ==, 0);
    g_assert_cmpint(__atomic_load_n(&c->wakes, __ATOMIC_RELAXED), >, 0);
    expect_staged(c, object);
    imgpool_release(c->pool, object->staged);
    g_assert_cmpuint(files_in(c->dir, ""), ==, 0);
}

static void test_several_renditions(Case *c, gconstpointer data)
{
    (void)data;
    open_pool(c);
    g_assert_true(submit_as(c, PHOTO, "web format=webp,thumb format=jpeg,web max-edge=640 format=png max-bytes=none", c));
    g_autoptr(ImgOutcome) o = outcome(c);
    g_assert_no_error(o->error);
    g_assert_cmpstr(o->failed, ==, NULL);
    g_assert_cmpuint(o->n, ==, 3);
    static const char *const extensions[] = { "webp", "jpg", "png" };
    for (unsigned i = 0; i < o->n; i++) {
        if (o->objects[i].staged == NULL) { /* a PNG may be larger than its photo */
            g_assert_cmpuint(i, ==, 2);
            continue;
        }
        g_assert_cmpstr(o->objects[i].extension, ==, extensions[i]);
        expect_staged(c, &o->objects[i]);
    }
    const SpoolPicture *thumb = &o->objects[1].picture;
    g_assert_cmpuint(MAX(thumb->width_px, thumb->height_px), ==, 320);
    for (unsigned i = 0; i < o->n; i++)
        if (o->objects[i].staged != NULL)
            imgpool_release(c->pool, o->objects[i].staged);
    g_assert_cmpuint(files_in(c->dir, ""), ==, 0);
}

static void test_same_rendition_twice(Case *c, gconstpointer data)
{
    (void)data;
    open_pool(c);
    g_assert_true(submit_as(c, PHOTO, "thumb,thumb", c));
    g_autoptr(ImgOutcome) o = outcome(c);
    g_assert_cmpuint(o->n, ==, 2);
    g_assert_cmpstr(o->objects[0].staged, ==, o->objects[1].staged);
    imgpool_release(c->pool, o->objects[0].staged);
    expect_staged(c, &o->objects[1]);
    imgpool_release(c->pool, o->objects[1].staged);
    g_assert_cmpuint(files_in(c->dir, ""), ==, 0);
}

static void test_only_what_is_missing_is_made(Case *c, gconstpointer data)
{
    (void)data;
    open_pool(c);
    g_assert_true(submit_as(c, PHOTO, "web", c));
    g_autoptr(ImgOutcome) first = outcome(c);
    g_autofree char *path = imgpool_staged_path(c->pool, first->objects[0].staged);
    struct stat before, after;
    g_assert_cmpint(stat(path, &before), ==, 0);
    g_assert_true(submit_as(c, PHOTO, "thumb,web", c));
    g_autoptr(ImgOutcome) both = outcome(c);
    g_assert_cmpuint(both->n, ==, 2);
    g_assert_cmpstr(both->objects[1].staged, ==, first->objects[0].staged);
    g_assert_cmpstr(both->objects[1].recipe, ==, first->objects[0].recipe);
    g_assert_cmpuint(both->objects[1].picture.width_px, ==, first->objects[0].picture.width_px);
    expect_staged(c, &both->objects[0]);
    g_assert_cmpint(stat(path, &after), ==, 0);
    g_assert_cmpuint(before.st_ino, ==, after.st_ino);
}

static void test_preview(Case *c, gconstpointer data)
{
    const char *name = data;
    open_pool(c);
    g_assert_true(preview(c, name, 200, c));
    g_assert_false(preview(c, name, 200, c)); /* one at a time */
    g_assert_cmpint(imgpool_percent(c->pool, c), ==, -1);
    g_autoptr(ImgOutcome) o = outcome(c);
    g_assert_no_error(o->error);
    g_assert_cmpuint(o->n, ==, 0);
    if (g_str_has_prefix(name, "broken/")) {
        g_assert_nonnull(o->failed);
        g_assert_null(o->rgb);
    } else {
        g_assert_cmpstr(o->failed, ==, NULL);
        g_assert_cmpuint(MAX(o->width_px, o->height_px), ==, 200);
        g_assert_cmpuint(g_bytes_get_size(o->rgb), ==, (gsize)o->width_px * o->height_px * 3);
    }
    g_assert_cmpuint(files_in(c->dir, ""), ==, 0);
    g_assert_true(preview(c, name, 20, c));
    g_autoptr(ImgOutcome) again = outcome(c);
    g_assert_true((again->rgb == NULL) == (o->rgb == NULL));
}

static void test_preview_overtakes(Case *c, gconstpointer data)
{
    (void)data;
    c->conf.workers = 1;
    open_pool(c);
    g_assert_true(submit_as(c, LARGE, LONG_RECIPE, GINT_TO_POINTER(1)));
    wait_for_percent(c, GINT_TO_POINTER(1)); /* the only worker has it */
    g_assert_true(submit(c, PHOTO, GINT_TO_POINTER(2)));
    g_assert_true(submit(c, "png/alpha.png", GINT_TO_POINTER(3)));
    g_assert_true(preview(c, PHOTO, 100, GINT_TO_POINTER(4)));
    imgpool_cancel(c->pool, GINT_TO_POINTER(1));
    for (int i = 0; i < 3; i++) {
        static const int order[] = { 4, 2, 3 };
        g_autoptr(ImgOutcome) o = outcome(c);
        g_assert_cmpint(GPOINTER_TO_INT(o->user), ==, order[i]);
        g_assert_no_error(o->error);
        g_assert_cmpstr(o->failed, ==, NULL);
    }
}

static void test_cancelled_preview_makes_way(Case *c, gconstpointer data)
{
    (void)data;
    c->conf.workers = 1;
    open_pool(c);
    g_assert_true(submit_as(c, LARGE, LONG_RECIPE, GINT_TO_POINTER(1)));
    g_assert_true(preview(c, PHOTO, 100, GINT_TO_POINTER(2)));
    imgpool_cancel(c->pool, GINT_TO_POINTER(2));
    g_assert_true(preview(c, PHOTO, 100, GINT_TO_POINTER(3)));
    imgpool_cancel(c->pool, GINT_TO_POINTER(1));
    g_autoptr(ImgOutcome) o = outcome(c);
    g_assert_cmpint(GPOINTER_TO_INT(o->user), ==, 3);
    g_assert_nonnull(o->rgb);
}

static void test_percent_rises(Case *c, gconstpointer data)
{
    (void)data;
    open_pool(c);
    const int64_t until = g_get_monotonic_time() + PATIENCE_MS * 1000;
    int last = -1;
    g_assert_true(submit_as(c, LARGE, LONG_RECIPE, c));
    g_assert_cmpint(imgpool_percent(c->pool, c), ==, -1);
    for (int steps = 0; steps < 3;) {
        const int percent = imgpool_percent(c->pool, c);
        g_assert_cmpint(percent, >=, last);
        g_assert_cmpint(percent, <=, 100);
        steps += percent > last;
        last = percent;
        g_assert_null(imgpool_take(c->pool));
        g_assert_cmpint(g_get_monotonic_time(), <, until);
        g_usleep(TICK_US);
    }
    imgpool_cancel(c->pool, c);
    g_assert_cmpint(imgpool_percent(c->pool, c), ==, -1);
}

static void test_worker_gets_no_secrets(Case *c, gconstpointer data)
{
    (void)data;
    g_autofree char *seen = g_strdup_printf("%s.env", c->dir);
    g_autofree char *body = g_strdup_printf("{ env; ls /proc/self/fd; } > %s", seen);
    g_setenv("AWS_SECRET_ACCESS_KEY", "do-not-show-me", TRUE);
    use_script(c, body);
    open_pool(c);
    g_assert_true(submit(c, PHOTO, c));
    g_autoptr(ImgOutcome) o = outcome(c);
    g_assert_error(o->error, FAULT, FAULT_WORKER);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(seen, &text, NULL, NULL));
    g_assert_null(strstr(text, "do-not-show-me"));
    g_assert_nonnull(strstr(text, "PATH="));
    g_unlink(seen);
    g_unsetenv("AWS_SECRET_ACCESS_KEY");
}

static void test_killed_once_is_tried_again(Case *c, gconstpointer data)
{
    (void)data;
    open_pool(c);
    g_assert_true(submit_as(c, PHOTO, "web,thumb", c));
    wait_for_worker(SIGKILL);
    g_autoptr(ImgOutcome) o = outcome(c);
    g_assert_no_error(o->error);
    g_assert_cmpstr(o->failed, ==, NULL);
    g_assert_cmpuint(o->n, ==, 2);
    g_assert_nonnull(o->objects[0].staged);
    g_assert_nonnull(o->objects[1].staged);
    g_assert_cmpuint(files_in(c->dir, ".tmp"), ==, 0);
}

static void test_killed_twice_is_given_up(Case *c, gconstpointer data)
{
    (void)data;
    c->conf.workers = 1;
    open_pool(c);
    g_assert_true(submit_as(c, LARGE, LONG_RECIPE ",thumb", c));
    for (int i = 0; i < 2; i++) {
        wait_for_percent(c, c);
        g_assert_true(hit_workers(SIGKILL));
        const int64_t until = g_get_monotonic_time() + PATIENCE_MS * 1000;
        while (i == 0 && imgpool_percent(c->pool, c) >= 0) /* until the keeper knows */
            g_assert_cmpint(g_get_monotonic_time(), <, until);
    }
    g_autoptr(ImgOutcome) o = outcome(c);
    g_assert_no_error(o->error);
    g_assert_nonnull(strstr(o->failed, "died"));
    g_assert_cmpuint(o->n, ==, 0);
    g_assert_cmpuint(files_in(c->dir, ".tmp"), ==, 0);
    imgpool_release(c->pool, o->objects[0].staged); /* the source without its metadata: that needs no pixels */
    g_assert_cmpuint(files_in(c->dir, ""), ==, 0);
    g_assert_true(submit(c, PHOTO, c)); /* the next one gets a new worker */
    g_autoptr(ImgOutcome) next = outcome(c);
    g_assert_cmpstr(next->failed, ==, NULL);
}

/* A cut copy of a picture that tells where it was taken. */
static void test_defeated_is_cleaned(Case *c, gconstpointer data)
{
    static const char *const secrets[] = { "SN123456", "secret comment", "secret user comment", "Paris" };
    g_autofree char *whole = g_build_filename(c->images, "jpeg/metadata-gps.jpg", NULL);
    g_autofree char *cut = g_strdup_printf("%s.jpg", c->dir);
    g_autofree char *bytes = NULL;
    gsize size;
    SourceId id;
    g_assert_true(g_file_get_contents(whole, &bytes, &size, NULL));
    g_assert_true(g_file_set_contents(cut, bytes, (gssize)(size / 2), NULL));
    const int fd = source_open(cut, &id, NULL);
    open_pool(c);
    const char *const recipes[] = { data, "thumb" };
    g_assert_true(imgpool_submit(c->pool, fd, &id, recipes, G_N_ELEMENTS(recipes), c));
    close(fd);
    g_autoptr(ImgOutcome) o = outcome(c);
    g_assert_nonnull(o->failed);
    g_assert_cmpuint(o->n, ==, 0);
    g_assert_false(o->clean);
    if (strstr(data, "metadata=all") != NULL) {
        g_assert_null(o->objects[0].staged);
        g_unlink(cut);
        return;
    }
    g_autofree char *path = imgpool_staged_path(c->pool, o->objects[0].staged);
    g_autofree char *made = NULL;
    gsize made_size;
    g_assert_true(g_file_get_contents(path, &made, &made_size, NULL));
    g_assert_cmpuint(made_size, ==, o->objects[0].staged_bytes);
    g_assert_cmpuint(made_size, <, size / 2);
    g_assert_cmpstr(o->objects[0].extension, ==, "jpg");
    for (unsigned i = 0; i < G_N_ELEMENTS(secrets); i++) {
        g_assert_nonnull(memmem(bytes, size / 2, secrets[i], strlen(secrets[i])));
        g_assert_null(memmem(made, made_size, secrets[i], strlen(secrets[i])));
    }
    g_assert_nonnull(memmem(made, made_size, "TestCam", strlen("TestCam")));
    imgpool_release(c->pool, o->objects[0].staged);
    g_assert_cmpuint(files_in(c->dir, ""), ==, 0);
    g_unlink(cut);
}

static void test_hung_is_replaced_then_given_up(Case *c, gconstpointer data)
{
    (void)data;
    c->conf.deadline_ms = 150;
    use_script(c, "kill -STOP $$");
    open_pool(c);
    g_assert_true(submit(c, PHOTO, c));
    g_autoptr(ImgOutcome) o = outcome(c);
    g_assert_error(o->error, FAULT, FAULT_WORKER);
    g_assert_nonnull(strstr(o->error->message, "hung"));
    g_assert_cmpuint(files_in(c->dir, ""), ==, 0);
    g_autoptr(GArray) left = children();
    g_assert_cmpuint(left->len, ==, 0);
}

static void test_stopped_worker_is_replaced(Case *c, gconstpointer data)
{
    (void)data;
    c->conf.deadline_ms = 3000;
    c->conf.workers = 1;
    open_pool(c);
    g_assert_true(submit(c, PHOTO, c));
    wait_for_worker(SIGSTOP);
    g_autoptr(ImgOutcome) o = outcome(c);
    g_assert_cmpstr(o->failed, ==, NULL);
    g_assert_nonnull(o->objects[0].staged);
}

static void test_bad_workers_cost_one_picture(Case *c, gconstpointer data)
{
    use_script(c, data);
    open_pool(c);
    g_assert_true(submit_as(c, PHOTO, "web,thumb", c));
    g_autoptr(ImgOutcome) o = outcome(c);
    g_assert_error(o->error, FAULT, FAULT_WORKER);
    g_assert_null(o->failed);
    g_assert_cmpuint(o->n, ==, 0);
    g_assert_cmpuint(files_in(c->dir, ""), ==, 0);
}

static void test_missing_worker_is_told(Case *c, gconstpointer data)
{
    (void)data;
    c->conf.worker = "/nonexistent/hoist-imgproc";
    open_pool(c);
    g_assert_true(submit(c, PHOTO, c));
    g_autoptr(ImgOutcome) o = outcome(c);
    g_assert_error(o->error, FAULT, FAULT_WORKER);
    g_assert_nonnull(strstr(o->error->message, "cannot start /nonexistent/hoist-imgproc"));
    g_assert_true(preview(c, PHOTO, 100, c));
    g_autoptr(ImgOutcome) none = outcome(c);
    g_assert_error(none->error, FAULT, FAULT_WORKER);
    g_assert_cmpuint(files_in(c->dir, ""), ==, 0);
}

static void test_unknown_recipe_is_answered(Case *c, gconstpointer data)
{
    (void)data;
    SourceId id = { .size_bytes = 1 };
    open_pool(c);
    g_assert_true(imgpool_submit(c->pool, 0, &id, (const char *const[]){ "web", "thumbnail of a cat" }, 2, c));
    g_autoptr(ImgOutcome) o = outcome(c);
    g_assert_error(o->error, FAULT, FAULT_USAGE);
    g_assert_cmpuint(o->n, ==, 0);
}

static void test_spool_bound_is_kept(Case *c, gconstpointer data)
{
    (void)data;
    c->conf.spool_files = 2;
    open_pool(c);
    g_assert_true(submit(c, PHOTO, GINT_TO_POINTER(1)));
    g_assert_true(submit(c, "jpeg/progressive.jpg", GINT_TO_POINTER(2)));
    g_assert_false(submit(c, "png/alpha.png", GINT_TO_POINTER(3)));
    g_autoptr(ImgOutcome) a = outcome(c);
    g_autoptr(ImgOutcome) b = outcome(c);
    g_assert_nonnull(a->objects[0].staged);
    g_assert_nonnull(b->objects[0].staged);
    g_assert_false(submit(c, "png/alpha.png", GINT_TO_POINTER(3)));
    imgpool_release(c->pool, a->objects[0].staged);
    g_assert_false(submit_as(c, "png/alpha.png", "web,thumb", GINT_TO_POINTER(3)));
    g_assert_true(submit(c, "png/alpha.png", GINT_TO_POINTER(3)));
    g_autoptr(ImgOutcome) d = outcome(c);
    g_assert_no_error(d->error);
}

static void test_byte_bound_is_kept(Case *c, gconstpointer data)
{
    (void)data;
    c->conf.spool_bytes = 1500000;
    open_pool(c);
    g_assert_true(submit(c, PHOTO, GINT_TO_POINTER(1)));
    g_assert_false(submit(c, "png/alpha.png", GINT_TO_POINTER(2)));
    g_autoptr(ImgOutcome) o = outcome(c);
    g_assert_cmpuint(o->objects[0].staged_bytes, <, 400000);
    g_assert_true(submit(c, "png/alpha.png", GINT_TO_POINTER(2))); /* what is reserved shrinks to what is there */
    g_autoptr(ImgOutcome) second = outcome(c);
    g_assert_no_error(second->error);
}

/* A job that fits no bound goes through an empty spool; what it holds itself is not in its way. */
static void test_large_jobs_get_through(Case *c, gconstpointer data)
{
    (void)data;
    c->conf.spool_bytes = 1000;
    c->conf.spool_files = 1;
    open_pool(c);
    g_assert_true(submit(c, PHOTO, c));
    g_assert_false(submit(c, PHOTO, c));
    g_autoptr(ImgOutcome) one = outcome(c);
    g_assert_nonnull(one->objects[0].staged);
    imgpool_let_go(c->pool, one->objects[0].staged);
    g_assert_true(submit_as(c, PHOTO, "web,thumb", c));
    g_autoptr(ImgOutcome) two = outcome(c);
    g_assert_cmpstr(two->failed, ==, NULL);
    g_assert_cmpstr(two->objects[0].staged, ==, one->objects[0].staged);
    g_assert_nonnull(two->objects[1].staged);
}

static void test_restart_finds_the_files(Case *c, gconstpointer data)
{
    (void)data;
    open_pool(c);
    g_assert_true(submit_as(c, PHOTO, "web,thumb", c));
    g_autoptr(ImgOutcome) first = outcome(c);
    imgpool_free(c->pool);

    g_autofree char *rest = g_build_filename(c->dir, "0123456789abcdef0123456789abcdef01234567.7.tmp", NULL);
    g_autofree char *foreign = g_build_filename(c->dir, "keep-me.txt", NULL);
    g_autofree char *torn = g_build_filename(c->dir, "0123456789abcdef0123456789abcdef01234567.webp", NULL);
    g_assert_true(g_file_set_contents(rest, "half", -1, NULL) && g_file_set_contents(foreign, "mine", -1, NULL) &&
                  g_file_set_contents(torn, "no meta", -1, NULL));
    c->conf.worker = "/nonexistent/hoist-imgproc"; /* nobody could do it again */
    open_pool(c);
    g_assert_false(g_file_test(rest, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(torn, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_test(foreign, G_FILE_TEST_EXISTS));
    g_assert_true(submit_as(c, PHOTO, "thumb,web", c));
    g_autoptr(ImgOutcome) again = outcome(c);
    g_assert_no_error(again->error);
    g_assert_cmpstr(again->failed, ==, NULL);
    g_assert_true(first->took_us > 0 && again->took_us == 0);
    for (unsigned i = 0; i < 2; i++) {
        const ImgObject *then = &first->objects[i], *now = &again->objects[1 - i];
        g_assert_cmpstr(now->staged, ==, then->staged);
        g_assert_cmpuint(now->staged_bytes, ==, then->staged_bytes);
        g_assert_cmpstr(now->content_type, ==, then->content_type);
        g_assert_cmpstr(now->extension, ==, then->extension);
        g_assert_cmpstr(now->recipe, ==, then->recipe);
        g_assert_cmpstr(now->note, ==, then->note);
        g_assert_cmpmem(&now->picture, sizeof now->picture, &then->picture, sizeof then->picture);
    }
}

static void test_cut_file_is_not_reused(Case *c, gconstpointer data)
{
    (void)data;
    open_pool(c);
    g_assert_true(submit(c, PHOTO, c));
    g_autoptr(ImgOutcome) first = outcome(c);
    g_autofree char *path = imgpool_staged_path(c->pool, first->objects[0].staged);
    imgpool_free(c->pool);
    g_assert_cmpint(truncate(path, 1000), ==, 0);
    open_pool(c);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    g_assert_false(imgpool_hold(c->pool, first->objects[0].staged));
    g_assert_true(submit(c, PHOTO, c));
    g_autoptr(ImgOutcome) again = outcome(c);
    g_assert_cmpuint(again->objects[0].staged_bytes, ==, first->objects[0].staged_bytes);
}

/* As a power cut leaves it: the length is right, the bytes are not. */
static void test_torn_file_is_not_reused(Case *c, gconstpointer data)
{
    (void)data;
    open_pool(c);
    g_assert_true(submit(c, PHOTO, c));
    g_autoptr(ImgOutcome) first = outcome(c);
    const char *staged = first->objects[0].staged;
    g_autofree char *path = imgpool_staged_path(c->pool, staged);
    imgpool_free(c->pool);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    g_assert_cmpint(pwrite(fd, "\0\0\0\0\0\0\0\0", 8, (off_t)first->objects[0].staged_bytes / 2), ==, 8);
    close(fd);
    open_pool(c);
    if (data != NULL)
        g_assert_false(imgpool_hold(c->pool, staged));
    g_assert_true(submit(c, PHOTO, c));
    g_autoptr(ImgOutcome) again = outcome(c);
    g_assert_cmpstr(again->objects[0].staged, ==, staged);
    imgpool_free(c->pool);
    open_pool(c);
    g_assert_true(imgpool_hold(c->pool, staged)); /* made anew */
}

static void test_hold_and_sweep(Case *c, gconstpointer data)
{
    (void)data;
    open_pool(c);
    g_assert_true(submit(c, PHOTO, c));
    g_assert_true(submit(c, "png/alpha.png", c));
    g_autoptr(ImgOutcome) a = outcome(c);
    g_autoptr(ImgOutcome) b = outcome(c);
    imgpool_free(c->pool);
    open_pool(c);
    g_autoptr(GHashTable) keep = g_hash_table_new(g_str_hash, g_str_equal);
    g_hash_table_add(keep, a->objects[0].staged);
    imgpool_sweep(c->pool, keep);
    g_assert_true(imgpool_hold(c->pool, a->objects[0].staged));
    g_assert_false(imgpool_hold(c->pool, b->objects[0].staged));
    g_assert_false(imgpool_hold(c->pool, "../../etc/passwd"));
    g_assert_null(imgpool_staged_path(c->pool, "../../etc/passwd"));
    g_assert_cmpuint(files_in(c->dir, ""), ==, 2);
}

static void test_what_nobody_holds_makes_room(Case *c, gconstpointer data)
{
    (void)data;
    c->conf.spool_files = 1;
    open_pool(c);
    g_assert_true(submit(c, PHOTO, c));
    g_autoptr(ImgOutcome) old = outcome(c);
    imgpool_free(c->pool);
    open_pool(c);
    g_assert_true(submit(c, "jpeg/progressive.jpg", c));
    g_autoptr(ImgOutcome) new = outcome(c);
    g_assert_nonnull(new->objects[0].staged);
    g_assert_false(imgpool_hold(c->pool, old->objects[0].staged));
    g_assert_cmpuint(files_in(c->dir, ""), ==, 2);
}

static void test_one_file_for_two_jobs(Case *c, gconstpointer data)
{
    (void)data;
    open_pool(c);
    g_assert_true(submit(c, PHOTO, GINT_TO_POINTER(1)));
    g_assert_true(submit(c, PHOTO, GINT_TO_POINTER(2)));
    g_autoptr(ImgOutcome) a = outcome(c);
    const char *staged = a->objects[0].staged;
    imgpool_release(c->pool, staged);
    g_autoptr(ImgOutcome) b = outcome(c);
    g_assert_cmpstr(b->objects[0].staged, ==, staged);
    g_autofree char *path = imgpool_staged_path(c->pool, staged);
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    g_assert_true(submit(c, PHOTO, GINT_TO_POINTER(3)));
    imgpool_outcome_free(outcome(c));
    imgpool_release(c->pool, staged);
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    imgpool_release(c->pool, staged);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void test_cancel_before_the_start(Case *c, gconstpointer data)
{
    (void)data;
    c->conf.workers = 1;
    use_script(c, "sleep 1000");
    open_pool(c);
    g_assert_true(submit(c, PHOTO, GINT_TO_POINTER(1)));
    g_assert_true(submit(c, "png/alpha.png", GINT_TO_POINTER(2)));
    wait_for_worker(0);
    imgpool_cancel(c->pool, GINT_TO_POINTER(2));
    imgpool_cancel(c->pool, GINT_TO_POINTER(1));
    g_assert_cmpuint(imgpool_pending(c->pool), ==, 0);
    expect_nothing_left(c);
}

static void test_cancel_within_an_encode(Case *c, gconstpointer data)
{
    (void)data;
    open_pool(c);
    g_assert_true(submit_as(c, LARGE, LONG_RECIPE ",thumb", GINT_TO_POINTER(1)));
    wait_for_percent(c, GINT_TO_POINTER(1));
    imgpool_cancel(c->pool, GINT_TO_POINTER(1));
    g_assert_cmpuint(imgpool_pending(c->pool), ==, 0);
    g_assert_cmpint(imgpool_percent(c->pool, GINT_TO_POINTER(1)), ==, -1);
    expect_nothing_left(c);
}

static void test_free_while_busy(Case *c, gconstpointer data)
{
    (void)data;
    open_pool(c);
    for (int round = 0; round < 3; round++) {
        g_assert_true(submit_as(c, "png/flat-rgba-8mp.png", "web,thumb", c));
        g_assert_true(submit(c, PHOTO, c));
        g_assert_true(submit(c, "avif/example.avif", c));
        g_assert_true(preview(c, PHOTO, 100, c));
        if (round > 0)
            wait_for_worker(0);
        if (round > 1)
            imgpool_outcome_free(outcome(c));
        imgpool_free(c->pool);
        g_assert_cmpuint(files_in(c->dir, ".tmp"), ==, 0);
        g_autoptr(GArray) left = children();
        g_assert_cmpuint(left->len, ==, 0);
        open_pool(c);
    }
}

static void test_hostile_pictures_leave_the_pool_alive(Case *c, gconstpointer data)
{
    open_pool(c);
    g_autofree char *folder = g_build_filename(c->images, data, NULL);
    g_autoptr(GDir) d = g_dir_open(folder, 0, NULL);
    const char *name;
    unsigned asked = 0;
    while ((name = g_dir_read_name(d)) != NULL) {
        g_autofree char *path = g_build_filename(data, name, NULL);
        g_assert_true(submit_as(c, path, "web,thumb", GINT_TO_POINTER(1)));
        asked++;
        g_autoptr(ImgOutcome) o = outcome(c);
        g_assert_no_error(o->error);
        g_assert_true((o->failed != NULL) == (o->n == 0));
        if (o->failed != NULL && o->objects[0].staged != NULL)
            imgpool_release(c->pool, o->objects[0].staged);
        for (unsigned i = 0; i < o->n; i++) {
            if (o->objects[i].staged != NULL)
                imgpool_release(c->pool, o->objects[i].staged);
            else
                g_assert_nonnull(o->objects[i].note);
        }
    }
    g_assert_cmpuint(asked, >, 5);
    g_assert_cmpuint(files_in(c->dir, ""), ==, 0);
}

static void test_spool_belongs_to_one(Case *c, gconstpointer data)
{
    (void)data;
    open_pool(c);
    g_autoptr(GError) error = NULL;
    g_assert_null(imgpool_new(&c->conf, wake, &c->wakes, &error));
    g_assert_error(error, FAULT, FAULT_STORE_LOCKED);
}

static void test_full_disk_is_a_fault(Case *c, gconstpointer data)
{
    (void)data;
    open_pool(c);
    g_assert_cmpint(g_rmdir(c->dir), ==, 0);
    g_assert_true(g_file_set_contents(c->dir, "", 0, NULL)); /* what is no directory takes no new file, not even from root */
    g_assert_true(submit(c, PHOTO, c));
    g_autoptr(ImgOutcome) o = outcome(c);
    g_assert_error(o->error, FAULT, FAULT_SPOOL_FULL);
    g_unlink(c->dir);
}

/* Caches are emptied: the next picture makes the directory anew, and it is still ours alone. */
static void test_spool_directory_deleted(Case *c, gconstpointer data)
{
    (void)data;
    open_pool(c);
    g_assert_cmpint(g_rmdir(c->dir), ==, 0);
    g_assert_true(submit(c, PHOTO, c));
    g_autoptr(ImgOutcome) o = outcome(c);
    g_assert_no_error(o->error);
    g_assert_cmpuint(o->n, ==, 1);
    g_autofree char *path = imgpool_staged_path(c->pool, o->objects[0].staged);
    g_assert_true(g_file_test(path, G_FILE_TEST_IS_REGULAR));
    g_autoptr(GError) error = NULL;
    g_assert_null(imgpool_new(&c->conf, wake, &c->wakes, &error));
    g_assert_error(error, FAULT, FAULT_STORE_LOCKED);
}

static void test_hello(Case *c, gconstpointer data)
{
    (void)data;
    WireHello hello;
    g_autoptr(GError) error = NULL;
    g_autofree char *path = imgworker_find(NULL);
    g_assert_true(imgworker_hello(path, &hello, &error));
    g_assert_no_error(error);
    g_assert_true(g_ascii_isdigit(hello.library[0]));
    g_assert_cmpuint(hello.reads & (1u << IMG_JPEG), !=, 0);
    g_assert_cmpuint(hello.writes & (1u << IMG_WEBP), !=, 0);
    g_assert_cmpuint(hello.sandbox.no_new_privileges, ==, 1);
    g_assert_false(imgworker_hello("/nonexistent/hoist-imgproc", &hello, &error));
    g_assert_error(error, FAULT, FAULT_WORKER);
    g_clear_error(&error);
    use_script(c, "exit 1");
    g_assert_false(imgworker_hello(c->script, &hello, &error));
    g_assert_error(error, FAULT, FAULT_WORKER);
    g_autoptr(GArray) left = children();
    g_assert_cmpuint(left->len, ==, 0);
}

static void test_takes(void)
{
    g_assert_true(imgpool_takes("image/jpeg", false));
    g_assert_true(imgpool_takes("image/HEIC", false));
    g_assert_false(imgpool_takes("image/svg+xml", false));
    g_assert_false(imgpool_takes("application/pdf", false));
    g_assert_true(imgpool_takes("image/svg+xml", true));
    g_assert_true(imgpool_takes("application/pdf", true));
    g_assert_false(imgpool_takes(NULL, true));
}

#define ADD(path, data, func) g_test_add("/imgpool/" path, Case, data, set_up, func, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    fault_quark();
    g_test_add_func("/imgpool/takes", test_takes);
    ADD("photo-is-staged", NULL, test_photo_is_staged);
    ADD("several-renditions", NULL, test_several_renditions);
    ADD("same-rendition-twice", NULL, test_same_rendition_twice);
    ADD("only-what-is-missing-is-made", NULL, test_only_what_is_missing_is_made);
    ADD("preview/photo", PHOTO, test_preview);
    ADD("preview/alpha", "png/alpha.png", test_preview);
    ADD("preview/broken", "broken/header-only.jpg", test_preview);
    ADD("preview-overtakes", NULL, test_preview_overtakes);
    ADD("cancelled-preview-makes-way", NULL, test_cancelled_preview_makes_way);
    ADD("percent-rises", NULL, test_percent_rises);
    ADD("worker-gets-no-secrets", NULL, test_worker_gets_no_secrets);
    ADD("killed-once-is-tried-again", NULL, test_killed_once_is_tried_again);
    ADD("killed-twice-is-given-up", NULL, test_killed_twice_is_given_up);
    ADD("defeated-is-cleaned", "web", test_defeated_is_cleaned);
    ADD("defeated-keeps-what-it-may", "web metadata=all", test_defeated_is_cleaned);
    ADD("hung-is-given-up", NULL, test_hung_is_replaced_then_given_up);
    ADD("stopped-worker-is-replaced", NULL, test_stopped_worker_is_replaced);
    ADD("bad-worker/exits", "exit 0", test_bad_workers_cost_one_picture);
    ADD("bad-worker/talks-text", "echo hello >&3; sleep 1000", test_bad_workers_cost_one_picture);
    ADD("bad-worker/talks-a-lot", "head -c 100000 /dev/zero >&3; sleep 1000", test_bad_workers_cost_one_picture);
    ADD("missing-worker", NULL, test_missing_worker_is_told);
    ADD("unknown-recipe", NULL, test_unknown_recipe_is_answered);
    ADD("spool-count-is-bounded", NULL, test_spool_bound_is_kept);
    ADD("spool-bytes-are-bounded", NULL, test_byte_bound_is_kept);
    ADD("large-jobs-get-through", NULL, test_large_jobs_get_through);
    ADD("restart-finds-the-files", NULL, test_restart_finds_the_files);
    ADD("cut-file-is-not-reused", NULL, test_cut_file_is_not_reused);
    ADD("torn-file-is-not-reused/held", "held", test_torn_file_is_not_reused);
    ADD("torn-file-is-not-reused/found", NULL, test_torn_file_is_not_reused);
    ADD("hold-and-sweep", NULL, test_hold_and_sweep);
    ADD("what-nobody-holds-makes-room", NULL, test_what_nobody_holds_makes_room);
    ADD("one-file-for-two-jobs", NULL, test_one_file_for_two_jobs);
    ADD("cancel/before-the-start", NULL, test_cancel_before_the_start);
    ADD("cancel/within-an-encode", NULL, test_cancel_within_an_encode);
    ADD("free-while-busy", NULL, test_free_while_busy);
    ADD("hostile/broken", "broken", test_hostile_pictures_leave_the_pool_alive);
    ADD("hostile/bomb", "bomb", test_hostile_pictures_leave_the_pool_alive);
    ADD("spool-belongs-to-one", NULL, test_spool_belongs_to_one);
    ADD("full-disk", NULL, test_full_disk_is_a_fault);
    ADD("spool-directory-deleted", NULL, test_spool_directory_deleted);
    ADD("hello", NULL, test_hello);
    return g_test_run();
}
