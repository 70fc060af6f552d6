#include "engine_rig.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/resource.h>

static void set_environment(const Rig *rig, const char *credentials)
{
    g_autofree char *file = g_build_filename(rig->dir, credentials != NULL ? credentials : "none", NULL);
    g_autofree char *none = g_build_filename(rig->dir, "none", NULL);
    g_setenv("HOME", rig->dir, TRUE);
    g_setenv("AWS_SHARED_CREDENTIALS_FILE", file, TRUE);
    g_setenv("AWS_CONFIG_FILE", none, TRUE);
    g_setenv("AWS_REGION", "eu-west-1", TRUE);
    g_setenv("NO_PROXY", "*", TRUE);
    if (credentials == NULL) {
        g_setenv("AWS_ACCESS_KEY_ID", "ID", TRUE);
        g_setenv("AWS_SECRET_ACCESS_KEY", "secret", TRUE);
    } else {
        g_unsetenv("AWS_ACCESS_KEY_ID");
        g_unsetenv("AWS_SECRET_ACCESS_KEY");
    }
    g_unsetenv("AWS_SESSION_TOKEN");
    g_unsetenv("AWS_PROFILE");
}

static void set_basics(Rig *rig)
{
    g_autofree char *url = fake_s3_url(rig->s3), *state = g_build_filename(rig->dir, "state", NULL);
    rig->settings = hoist_settings_new();
    rig_set(rig, "to", "s3://bucket/p");
    rig_set(rig, "endpoint", url);
    rig_set(rig, "state", state);
}

Rig *rig_new(const char *credentials)
{
    Rig *rig = rig_new_with_pictures(credentials);
    rig_set(rig, "images", "none");
    return rig;
}

Rig *rig_new_with_pictures(const char *credentials)
{
    Rig *rig = g_new0(Rig, 1);
    rig->dir = g_dir_make_tmp("hoist-engine-XXXXXX", NULL);
    g_assert_nonnull(rig->dir);
    set_environment(rig, credentials);
    rig->s3 = fake_s3_new();
    rig->faults = g_ptr_array_new_with_free_func(g_free);
    rig->texts = g_ptr_array_new_with_free_func(g_free);
    pthread_mutex_init(&rig->lock, NULL);
    pthread_cond_init(&rig->woken, NULL);
    set_basics(rig);
    return rig;
}

static void remove_tree(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *below = g_build_filename(path, name, NULL);
        remove_tree(below);
    }
    (void)g_remove(path);
}

void rig_free(Rig *rig)
{
    rig_close(rig);
    fake_s3_free(rig->s3);
    hoist_settings_free(rig->settings);
    remove_tree(rig->dir);
    hoist_row_free(rig->row);
    g_ptr_array_unref(rig->faults);
    g_ptr_array_unref(rig->texts);
    pthread_mutex_destroy(&rig->lock);
    pthread_cond_destroy(&rig->woken);
    g_free(rig->dir);
    g_free(rig);
}

void rig_fill(const char *path, size_t bytes, char fill)
{
    g_autofree char *text = g_malloc(bytes + 1);
    memset(text, fill, bytes);
    for (size_t i = 0; i < bytes; i += 4096)
        text[i] = (char)(i >> 12); /* no two parts alike */
    FILE *f = g_fopen(path, "w");  /* in place: the inode stays */
    g_assert_nonnull(f);
    g_assert_cmpuint(fwrite(text, 1, bytes, f), ==, bytes);
    g_assert_cmpint(fclose(f), ==, 0);
}

char *rig_file(const Rig *rig, const char *name, size_t bytes, char fill)
{
    char *path = g_build_filename(rig->dir, name, NULL);
    g_autofree char *folder = g_path_get_dirname(path);
    g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
    rig_fill(path, bytes, fill);
    return path;
}

void rig_set(Rig *rig, const char *option, const char *value)
{
    g_autoptr(GError) error = NULL;
    hoist_settings_set(rig->settings, option, value, "test", &error);
    g_assert_no_error(error);
}

/* ---- events */

static void on_wake(void *ctx)
{
    Rig *rig = ctx;
    pthread_mutex_lock(&rig->lock);
    rig->wake = true;
    pthread_cond_signal(&rig->woken);
    pthread_mutex_unlock(&rig->lock);
}

static void take_one(Rig *rig, const HoistEvent *ev)
{
    switch (ev->kind) {
    case HOIST_EVENT_ROW:
        rig->rows[ev->change]++;
        hoist_row_free(rig->row);
        rig->row = hoist_row_dup(ev->row);
        rig->pct_max = MAX(rig->pct_max, ev->row->prepared_pct);
        rig->fell = rig->fell || (ev->row->id == rig->last_id && ev->row->acked_bytes < rig->last_acked);
        rig->last_id = ev->row->id;
        rig->last_acked = ev->row->acked_bytes;
        if (ev->change == HOIST_ROW_FAILED)
            g_test_message("failed: %s: %s", ev->row->fault, ev->row->cause);
        break;
    case HOIST_EVENT_TOTALS:
        rig->totals = *ev->totals;
        break;
    case HOIST_EVENT_SKIPPED:
        rig->skipped++;
        break;
    case HOIST_EVENT_PICTURE:
        rig->pictures++;
        rig->picture_bytes = ev->picture != NULL ? g_bytes_get_size(ev->picture->rgb) : 0;
        break;
    case HOIST_EVENT_NOTICE:
    case HOIST_EVENT_FATAL:
        g_test_message("notice: %s", ev->text);
        rig->notices++;
        g_ptr_array_add(rig->faults, g_strdup(ev->fault != NULL ? ev->fault : ""));
        g_ptr_array_add(rig->texts, g_strdup(ev->text));
        break;
    case HOIST_EVENT_IDLE:
        rig->idle = true;
        rig->waiting = ev->number;
        break;
    case HOIST_EVENT_PREVIEW:
    case HOIST_EVENT_LIST:
        break;
    }
}

static void take_all(Rig *rig)
{
    for (HoistEvent *ev; (ev = hoist_take(rig->hoist)) != NULL; hoist_event_free(ev))
        take_one(rig, ev);
}

/* For up to ms, or until the engine says something. */
static void doze(Rig *rig, unsigned ms)
{
    const int64_t until_us = g_get_real_time() + ms * 1000;
    const struct timespec until = { until_us / G_USEC_PER_SEC, until_us % G_USEC_PER_SEC * 1000 };
    pthread_mutex_lock(&rig->lock);
    while (!rig->wake && pthread_cond_timedwait(&rig->woken, &rig->lock, &until) == 0)
        continue;
    rig->wake = false;
    pthread_mutex_unlock(&rig->lock);
    take_all(rig);
}

typedef bool (*RigTest)(Rig *rig, const void *what);

static void until(Rig *rig, RigTest test, const void *what, const char *name)
{
    const gint64 until_us = g_get_monotonic_time() + RIG_PATIENCE_S * G_USEC_PER_SEC;
    while (!test(rig, what)) {
        doze(rig, 20);
        if (g_get_monotonic_time() > until_us)
            g_error("waited %d s for %s", RIG_PATIENCE_S, name);
    }
}

static bool is_idle(Rig *rig, const void *what)
{
    (void)what;
    return rig->idle;
}

int64_t rig_idle(Rig *rig)
{
    until(rig, is_idle, NULL, "idleness");
    rig->idle = false;
    return rig->waiting;
}

static bool has_picture(Rig *rig, const void *what)
{
    (void)what;
    return rig->pictures > 0;
}

void rig_until_picture(Rig *rig)
{
    until(rig, has_picture, NULL, "a small picture");
    rig->pictures = 0;
}

typedef struct {
    HoistRowChange change;
    unsigned n;
} Told;

static bool is_told(Rig *rig, const void *what)
{
    const Told *told = what;
    return rig->rows[told->change] >= told->n;
}

void rig_until_rows(Rig *rig, HoistRowChange change, unsigned n)
{
    const Told told = { change, n };
    until(rig, is_told, &told, "rows");
}

static bool is_preparing(Rig *rig, const void *what)
{
    return rig->totals.preparing == *(const unsigned *)what;
}

void rig_until_preparing(Rig *rig, unsigned n)
{
    until(rig, is_preparing, &n, "pictures at the workers");
}

typedef struct {
    FakeKind kind;
    unsigned n;
} Asked;

static bool is_asked(Rig *rig, const void *what)
{
    const Asked *asked = what;
    return fake_s3_count(rig->s3, asked->kind) >= asked->n;
}

void rig_until_asked(Rig *rig, FakeKind kind, unsigned n)
{
    const Asked asked = { kind, n };
    until(rig, is_asked, &asked, "a request");
}

static bool has_words(const GPtrArray *texts, const char *words)
{
    for (guint i = 0; i < texts->len; i++)
        if (strstr(texts->pdata[i], words) != NULL)
            return true;
    return false;
}

static bool has_fault(Rig *rig, const void *what)
{
    return has_words(rig->faults, what);
}

static bool has_text(Rig *rig, const void *what)
{
    return has_words(rig->texts, what);
}

void rig_until_notice(Rig *rig, const char *fault)
{
    until(rig, has_fault, fault, fault);
}

void rig_until_notice_text(Rig *rig, const char *words)
{
    until(rig, has_text, words, words);
}

/* ---- the engine */

void rig_open(Rig *rig, unsigned flags)
{
    g_autoptr(GError) error = NULL;
    rig->idle = false;
    rig->hoist = hoist_open(rig->settings, flags, on_wake, rig, &error);
    g_assert_no_error(error);
}

void rig_close(Rig *rig)
{
    g_clear_pointer(&rig->hoist, hoist_close);
}

void rig_add(Rig *rig, const char *path, const char *other_or_null)
{
    const char *const paths[] = { path, other_or_null, NULL };
    HoistCommand *cmd = hoist_command_new(HOIST_CMD_ADD);
    cmd->paths = g_strdupv((char **)paths);
    cmd->settings = hoist_settings_dup(rig->settings);
    rig->idle = false;
    hoist_send(rig->hoist, cmd);
}

void rig_rows_command(Rig *rig, HoistCommandKind kind, int64_t id)
{
    HoistCommand *cmd = hoist_command_new(kind);
    hoist_command_add_id(cmd, id);
    rig->idle = false;
    hoist_send(rig->hoist, cmd);
}

/* ---- what came of it */

static void stored_totals(const Rig *rig, HoistTotals *out)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(HoistView) view = hoist_view_open(rig->settings, &error);
    g_assert_no_error(error);
    g_assert_true(hoist_view_totals(view, out, &error));
}

HoistRow *rig_view_row(const Rig *rig, int64_t id)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(HoistView) view = hoist_view_open(rig->settings, &error);
    g_assert_no_error(error);
    HoistRow *row = hoist_view_row(view, id, &error);
    g_assert_no_error(error);
    return row;
}

char *rig_copy(const Rig *rig, const char *from, const char *name)
{
    g_autofree char *source = g_build_filename(g_getenv("HOIST_TEST_DATA"), from, NULL), *bytes = NULL;
    char *path = rig_file(rig, name, 0, 0);
    gsize n;
    g_assert_true(g_file_get_contents(source, &bytes, &n, NULL));
    g_assert_true(g_file_set_contents(path, bytes, (gssize)n, NULL));
    return path;
}

static uint64_t all_files(const HoistTotals *t)
{
    uint64_t n = 0;
    for (int s = 0; s < HOIST_N_STATES; s++)
        n += t->files[s];
    return n;
}

uint64_t rig_settled_files(const Rig *rig)
{
    HoistTotals t = { 0 };
    for (uint64_t before = 0; before == 0 || all_files(&t) != before;) {
        before = all_files(&t);
        g_usleep(700000);
        stored_totals(rig, &t);
    }
    return all_files(&t);
}

void rig_assert_object(Rig *rig, const char *key, const char *path)
{
    g_autoptr(GBytes) object = fake_s3_object(rig->s3, key);
    g_autofree char *text = NULL;
    gsize n;
    g_assert_true(g_file_get_contents(path, &text, &n, NULL));
    if (object == NULL)
        g_error("no object %s", key);
    g_autoptr(GBytes) source = g_bytes_new(text, n);
    g_assert_true(g_bytes_equal(object, source));
}

static void assert_totals(const HoistTotals *t, HoistState state, uint64_t n)
{
    g_assert_cmpuint(t->files[state], ==, n);
    g_assert_cmpuint(all_files(t), ==, n);
    for (int s = 0; s < HOIST_N_STATES; s++)
        if (s != (int)state)
            g_assert_cmpuint(t->bytes[s], ==, 0);
}

void rig_assert_files(const Rig *rig, HoistState state, uint64_t n)
{
    HoistTotals stored;
    stored_totals(rig, &stored);
    assert_totals(&stored, state, n);
    assert_totals(&rig->totals, state, n);
    g_assert_cmpuint(stored.bytes[state], ==, rig->totals.bytes[state]);
}

void rig_assert_no_files(const Rig *rig)
{
    rig_assert_files(rig, HOIST_QUEUED, 0);
}

int64_t rig_cpu_us(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (int64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * G_USEC_PER_SEC + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}
