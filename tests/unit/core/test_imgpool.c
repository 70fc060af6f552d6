#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/imgpool.h"

enum { PATIENCE_MS = 20000, TICK_US = 2000 };

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

static bool submit(Case *c, const char *name, gpointer user)
{
    SourceId id;
    g_autofree char *path = g_build_filename(c->images, name, NULL);
    const int fd = source_open(path, &id, NULL);
    g_assert_cmpint(fd, >=, 0);
    const bool taken = imgpool_submit(c->pool, fd, &id, "web", user);
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

static void test_photo_is_staged(Case *c, gconstpointer data)
{
    (void)data;
    open_pool(c);
    g_assert_true(submit(c, "photo.jpg", c));
    g_assert_cmpuint(imgpool_pending(c->pool), ==, 1);
    g_autoptr(ImgOutcome) o = outcome(c);
    g_assert_no_error(o->error);
    g_assert_true(o->user == c);
    g_assert_false(o->as_is);
    g_assert_cmpstr(o->content_type, ==, "image/webp");
    g_assert_cmpstr(o->extension, ==, "webp");
    g_assert_true(g_str_has_prefix(o->recipe, "webp q80 "));
    g_assert_cmpuint(imgpool_pending(c->pool), ==, 0);
    g_assert_cmpint(__atomic_load_n(&c->wakes, __ATOMIC_RELAXED), >, 0);

    struct stat st;
    g_autofree char *path = imgpool_staged_path(c->pool, o->staged);
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpuint((uint64_t)st.st_size, ==, o->staged_bytes);
    g_assert_cmpuint(st.st_mode & 0777, ==, 0600);
    imgpool_release(c->pool, o->staged);
    g_assert_cmpint(stat(path, &st), !=, 0);
    g_assert_cmpuint(files_in(c->dir, ""), ==, 0);
}

static void test_worker_gets_no_secrets(Case *c, gconstpointer data)
{
    (void)data;
    g_autofree char *seen = g_strdup_printf("%s.env", c->dir);
    g_autofree char *body = g_strdup_printf("{ env; ls /proc/self/fd; } > %s", seen);
    g_setenv("AWS_SECRET_ACCESS_KEY", "do-not-show-me", TRUE);
    use_script(c, body);
    open_pool(c);
    g_assert_true(submit(c, "photo.jpg", c));
    g_autoptr(ImgOutcome) o = outcome(c);
    g_assert_error(o->error, FAULT, FAULT_IMAGE);
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
    g_assert_true(submit(c, "photo.jpg", c));
    wait_for_worker(SIGKILL);
    g_autoptr(ImgOutcome) o = outcome(c);
    g_assert_no_error(o->error);
    g_assert_nonnull(o->staged);
    g_assert_cmpuint(files_in(c->dir, ".tmp"), ==, 0);
}

static void test_hung_is_replaced_then_given_up(Case *c, gconstpointer data)
{
    (void)data;
    c->conf.deadline_ms = 150;
    use_script(c, "kill -STOP $$");
    open_pool(c);
    g_assert_true(submit(c, "photo.jpg", c));
    g_autoptr(ImgOutcome) o = outcome(c);
    g_assert_error(o->error, FAULT, FAULT_IMAGE);
    g_assert_nonnull(strstr(o->error->message, "hung"));
    g_assert_cmpuint(files_in(c->dir, ""), ==, 0);
    g_autoptr(GArray) left = children();
    g_assert_cmpuint(left->len, ==, 0);
}

static void test_stopped_worker_is_replaced(Case *c, gconstpointer data)
{
    (void)data;
    c->conf.deadline_ms = 1500;
    c->conf.workers = 1;
    open_pool(c);
    g_assert_true(submit(c, "plain.jpg", c));
    wait_for_worker(SIGSTOP);
    g_autoptr(ImgOutcome) o = outcome(c);
    g_assert_no_error(o->error);
    g_assert_nonnull(o->staged);
}

static void test_bad_workers_cost_one_picture(Case *c, gconstpointer data)
{
    use_script(c, data);
    open_pool(c);
    g_assert_true(submit(c, "photo.jpg", c));
    g_autoptr(ImgOutcome) o = outcome(c);
    g_assert_error(o->error, FAULT, FAULT_IMAGE);
    g_assert_null(o->staged);
    g_assert_false(o->as_is);
    g_assert_cmpuint(files_in(c->dir, ""), ==, 0);
}

static void test_missing_worker_is_a_fault(Case *c, gconstpointer data)
{
    (void)data;
    c->conf.worker = "/nonexistent/hoist-imgproc";
    open_pool(c);
    g_assert_true(submit(c, "photo.jpg", c));
    g_autoptr(ImgOutcome) o = outcome(c);
    g_assert_error(o->error, FAULT, FAULT_IMAGE);
    g_assert_nonnull(strstr(o->error->message, "cannot start"));
}

static void test_unknown_preset_is_answered(Case *c, gconstpointer data)
{
    (void)data;
    SourceId id = { .size_bytes = 1 };
    open_pool(c);
    g_assert_true(imgpool_submit(c->pool, 0, &id, "thumbnail of a cat", c));
    g_autoptr(ImgOutcome) o = outcome(c);
    g_assert_error(o->error, FAULT, FAULT_USAGE);
}

static void test_spool_bound_is_kept(Case *c, gconstpointer data)
{
    (void)data;
    c->conf.spool_files = 2;
    open_pool(c);
    g_assert_true(submit(c, "photo.jpg", GINT_TO_POINTER(1)));
    g_assert_true(submit(c, "gps-orientation-6.jpg", GINT_TO_POINTER(2)));
    g_assert_false(submit(c, "alpha.png", GINT_TO_POINTER(3)));
    g_autoptr(ImgOutcome) a = outcome(c);
    g_autoptr(ImgOutcome) b = outcome(c);
    g_assert_nonnull(a->staged);
    g_assert_nonnull(b->staged);
    g_assert_false(submit(c, "alpha.png", GINT_TO_POINTER(3)));
    imgpool_release(c->pool, a->staged);
    g_assert_true(submit(c, "alpha.png", GINT_TO_POINTER(3)));
    g_autoptr(ImgOutcome) d = outcome(c);
    g_assert_no_error(d->error);
}

static void test_byte_bound_is_kept(Case *c, gconstpointer data)
{
    (void)data;
    c->conf.spool_bytes = 1500000;
    open_pool(c);
    g_assert_true(submit(c, "photo.jpg", GINT_TO_POINTER(1)));
    g_assert_false(submit(c, "alpha.png", GINT_TO_POINTER(2)));
    g_autoptr(ImgOutcome) o = outcome(c);
    g_assert_cmpuint(o->staged_bytes, <, 400000);
    g_assert_true(submit(c, "alpha.png", GINT_TO_POINTER(2))); /* what is reserved shrinks to what is there */
    g_autoptr(ImgOutcome) second = outcome(c);
    g_assert_no_error(second->error);
}

static void test_restart_finds_the_file(Case *c, gconstpointer data)
{
    (void)data;
    open_pool(c);
    g_assert_true(submit(c, "photo.jpg", c));
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
    g_assert_true(submit(c, "photo.jpg", c));
    g_autoptr(ImgOutcome) again = outcome(c);
    g_assert_no_error(again->error);
    g_assert_cmpstr(again->staged, ==, first->staged);
    g_assert_cmpuint(again->staged_bytes, ==, first->staged_bytes);
    g_assert_cmpstr(again->content_type, ==, first->content_type);
    g_assert_cmpstr(again->extension, ==, first->extension);
    g_assert_cmpstr(again->recipe, ==, first->recipe);
}

static void test_damaged_file_is_not_reused(Case *c, gconstpointer data)
{
    (void)data;
    open_pool(c);
    g_assert_true(submit(c, "photo.jpg", c));
    g_autoptr(ImgOutcome) first = outcome(c);
    g_autofree char *path = imgpool_staged_path(c->pool, first->staged);
    imgpool_free(c->pool);
    g_assert_cmpint(truncate(path, 1000), ==, 0);
    open_pool(c);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    g_assert_false(imgpool_hold(c->pool, first->staged));
    g_assert_true(submit(c, "photo.jpg", c));
    g_autoptr(ImgOutcome) again = outcome(c);
    g_assert_cmpuint(again->staged_bytes, ==, first->staged_bytes);
}

static void test_hold_and_sweep(Case *c, gconstpointer data)
{
    (void)data;
    open_pool(c);
    g_assert_true(submit(c, "photo.jpg", c));
    g_assert_true(submit(c, "alpha.png", c));
    g_autoptr(ImgOutcome) a = outcome(c);
    g_autoptr(ImgOutcome) b = outcome(c);
    imgpool_free(c->pool);
    open_pool(c);
    g_autoptr(GHashTable) keep = g_hash_table_new(g_str_hash, g_str_equal);
    g_hash_table_add(keep, a->staged);
    imgpool_sweep(c->pool, keep);
    g_assert_true(imgpool_hold(c->pool, a->staged));
    g_assert_false(imgpool_hold(c->pool, b->staged));
    g_assert_false(imgpool_hold(c->pool, "../../etc/passwd"));
    g_assert_null(imgpool_staged_path(c->pool, "../../etc/passwd"));
    g_assert_cmpuint(files_in(c->dir, ""), ==, 2);
}

static void test_what_nobody_holds_makes_room(Case *c, gconstpointer data)
{
    (void)data;
    c->conf.spool_files = 1;
    open_pool(c);
    g_assert_true(submit(c, "photo.jpg", c));
    g_autoptr(ImgOutcome) old = outcome(c);
    imgpool_free(c->pool);
    open_pool(c);
    g_assert_true(submit(c, "plain.jpg", c));
    g_autoptr(ImgOutcome) new = outcome(c);
    g_assert_nonnull(new->staged);
    g_assert_false(imgpool_hold(c->pool, old->staged));
    g_assert_cmpuint(files_in(c->dir, ""), ==, 2);
}

static void test_one_file_for_two_jobs(Case *c, gconstpointer data)
{
    (void)data;
    open_pool(c);
    g_assert_true(submit(c, "photo.jpg", GINT_TO_POINTER(1)));
    g_assert_true(submit(c, "photo.jpg", GINT_TO_POINTER(2)));
    g_autoptr(ImgOutcome) a = outcome(c);
    imgpool_release(c->pool, a->staged);
    g_autoptr(ImgOutcome) b = outcome(c);
    g_assert_cmpstr(a->staged, ==, b->staged);
    g_autofree char *path = imgpool_staged_path(c->pool, b->staged);
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    g_assert_true(submit(c, "photo.jpg", GINT_TO_POINTER(3)));
    g_autoptr(ImgOutcome) third = outcome(c);
    imgpool_release(c->pool, b->staged);
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    imgpool_release(c->pool, third->staged);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void test_cancel_stops_at_once(Case *c, gconstpointer data)
{
    (void)data;
    c->conf.workers = 1;
    use_script(c, "sleep 1000");
    open_pool(c);
    g_assert_true(submit(c, "photo.jpg", GINT_TO_POINTER(1)));
    g_assert_true(submit(c, "alpha.png", GINT_TO_POINTER(2)));
    wait_for_worker(0);
    imgpool_cancel(c->pool, GINT_TO_POINTER(2));
    imgpool_cancel(c->pool, GINT_TO_POINTER(1));
    g_assert_cmpuint(imgpool_pending(c->pool), ==, 0);
    const int64_t until = g_get_monotonic_time() + PATIENCE_MS * 1000;
    for (guint left = 1; left > 0;) {
        g_assert_null(imgpool_take(c->pool));
        g_autoptr(GArray) pids = children();
        left = pids->len + files_in(c->dir, "");
        g_assert_cmpint(g_get_monotonic_time(), <, until);
    }
}

static void test_free_while_busy(Case *c, gconstpointer data)
{
    (void)data;
    open_pool(c);
    for (int round = 0; round < 3; round++) {
        g_assert_true(submit(c, "flat-rgba-8mp.png", c));
        g_assert_true(submit(c, "photo.jpg", c));
        g_assert_true(submit(c, "avif-6.avif", c));
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
    (void)data;
    open_pool(c);
    g_autoptr(GDir) d = g_dir_open(c->images, 0, NULL);
    const char *name;
    unsigned asked = 0;
    while ((name = g_dir_read_name(d)) != NULL) {
        g_autofree char *path = g_build_filename(c->images, name, NULL);
        if (!g_file_test(path, G_FILE_TEST_IS_REGULAR))
            continue;
        g_assert_true(submit(c, name, GINT_TO_POINTER(1)));
        asked++;
        g_autoptr(ImgOutcome) o = outcome(c);
        g_assert_no_error(o->error);
        g_assert_true(o->as_is == (o->staged == NULL));
        g_assert_true(!o->as_is || o->note != NULL);
        if (o->staged != NULL)
            imgpool_release(c->pool, o->staged);
    }
    g_assert_cmpuint(asked, >, 20);
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
    g_assert_cmpint(g_rmdir(c->dir), ==, 0); /* a directory that is gone takes no new file, not even from root */
    g_assert_true(submit(c, "photo.jpg", c));
    g_autoptr(ImgOutcome) o = outcome(c);
    g_assert_error(o->error, FAULT, FAULT_SPOOL_FULL);
}

static void test_takes(void)
{
    g_assert_true(imgpool_takes("image/jpeg"));
    g_assert_true(imgpool_takes("image/HEIC"));
    g_assert_false(imgpool_takes("image/svg+xml"));
    g_assert_false(imgpool_takes("application/pdf"));
    g_assert_false(imgpool_takes(NULL));
}

#define ADD(path, data, func) g_test_add("/imgpool/" path, Case, data, set_up, func, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    fault_quark();
    g_test_add_func("/imgpool/takes", test_takes);
    ADD("photo-is-staged", NULL, test_photo_is_staged);
    ADD("worker-gets-no-secrets", NULL, test_worker_gets_no_secrets);
    ADD("killed-once-is-tried-again", NULL, test_killed_once_is_tried_again);
    ADD("hung-is-given-up", NULL, test_hung_is_replaced_then_given_up);
    ADD("stopped-worker-is-replaced", NULL, test_stopped_worker_is_replaced);
    ADD("bad-worker/exits", "exit 0", test_bad_workers_cost_one_picture);
    ADD("bad-worker/talks-text", "echo hello >&3; sleep 1000", test_bad_workers_cost_one_picture);
    ADD("bad-worker/talks-a-lot", "head -c 100000 /dev/zero >&3; sleep 1000", test_bad_workers_cost_one_picture);
    ADD("missing-worker", NULL, test_missing_worker_is_a_fault);
    ADD("unknown-preset", NULL, test_unknown_preset_is_answered);
    ADD("spool-count-is-bounded", NULL, test_spool_bound_is_kept);
    ADD("spool-bytes-are-bounded", NULL, test_byte_bound_is_kept);
    ADD("restart-finds-the-file", NULL, test_restart_finds_the_file);
    ADD("damaged-file-is-not-reused", NULL, test_damaged_file_is_not_reused);
    ADD("hold-and-sweep", NULL, test_hold_and_sweep);
    ADD("what-nobody-holds-makes-room", NULL, test_what_nobody_holds_makes_room);
    ADD("one-file-for-two-jobs", NULL, test_one_file_for_two_jobs);
    ADD("cancel-stops-at-once", NULL, test_cancel_stops_at_once);
    ADD("free-while-busy", NULL, test_free_while_busy);
    ADD("hostile-pictures", NULL, test_hostile_pictures_leave_the_pool_alive);
    ADD("spool-belongs-to-one", NULL, test_spool_belongs_to_one);
    ADD("full-disk", NULL, test_full_disk_is_a_fault);
    return g_test_run();
}
