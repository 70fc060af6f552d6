/* Pictures through the engine, with the real worker: what becomes of a file, object by object. */
#include <glib/gstdio.h>
#include <string.h>

#include "core/engine.h"
#include "engine_rig.h"

#define PHOTO "images/photo/yellowflower.jpg"
#define PLAIN "images/png/palette-trns.png"

/* What the server was sent, and what is to go wrong. */
typedef struct {
    unsigned web, thumb, original; /* PUTs */
    const char *refuse, *hold;     /* keys that contain this */
} Puts;

static FakeRule count_puts(const FakeRequest *rq, void *ctx)
{
    Puts *p = ctx;
    if (rq->kind != FAKE_PUT)
        return (FakeRule){ 0 };
    p->web += strstr(rq->key, "@web") != NULL;
    p->thumb += strstr(rq->key, "@thumb") != NULL;
    p->original += strstr(rq->key, "originals/") != NULL;
    if (p->refuse != NULL && strstr(rq->key, p->refuse) != NULL)
        return (FakeRule){ .status = 403, .code = "AccessDenied" };
    return p->hold != NULL && strstr(rq->key, p->hold) != NULL ? (FakeRule){ .hold_ms = 20000 } : (FakeRule){ 0 };
}

static Rig *rig_of_two(Puts *puts)
{
    Rig *rig = rig_new_with_pictures(NULL);
    rig_set(rig, "renditions", "web,thumb");
    fake_s3_rules(rig->s3, count_puts, puts);
    return rig;
}

static bool is_webp(Rig *rig, const char *key)
{
    g_autoptr(GBytes) object = fake_s3_object(rig->s3, key);
    gsize n = 0;
    const char *bytes = object != NULL ? g_bytes_get_data(object, &n) : NULL;
    return n > 12 && memcmp(bytes + 8, "WEBP", 4) == 0;
}

static uint64_t object_bytes(Rig *rig, const char *key)
{
    g_autoptr(GBytes) object = fake_s3_object(rig->s3, key);
    return object != NULL ? g_bytes_get_size(object) : 0;
}

static void all_again(Rig *rig, HoistCommandKind kind)
{
    HoistCommand *cmd = hoist_command_new(kind);
    cmd->all = true;
    hoist_send(rig->hoist, cmd);
}

/* ------------------------------------------------------------------ objects */

static void test_renditions(void)
{
    Puts puts = { 0 };
    g_autoptr(Rig) rig = rig_of_two(&puts);
    g_autofree char *path = rig_copy(rig, PHOTO, "a/photo.jpg");
    rig_open(rig, HOIST_WANT_ROWS | HOIST_WANT_PROGRESS);
    rig_add(rig, path, NULL);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    g_assert_true(is_webp(rig, "p/photo@web.webp"));
    g_assert_true(is_webp(rig, "p/photo@thumb.webp"));
    g_assert_cmpuint(fake_s3_objects(rig->s3), ==, 2);
    rig_assert_files(rig, HOIST_DONE, 1);
    g_assert_cmpuint(rig->rows[HOIST_ROW_DONE], ==, 1);
    g_assert_cmpuint(rig->rows[HOIST_ROW_STARTED], ==, 1);
    g_assert_false(rig->fell);
    g_assert_cmpuint(rig->row->n_objects, ==, 2);
    g_autoptr(HoistRow) row = rig_view_row(rig, 1);
    const uint64_t all = object_bytes(rig, "p/photo@web.webp") + object_bytes(rig, "p/photo@thumb.webp");
    g_assert_cmpuint(row->bytes, ==, all);
    g_assert_cmpuint(row->acked_bytes, ==, all);
    g_assert_cmpstr(row->key, ==, "p/photo@web.webp");
    g_assert_cmpuint(row->n_objects, ==, 2);
    g_assert_cmpstr(row->objects[1].name, ==, "thumb");
    g_assert_cmpstr(row->objects[1].key, ==, "p/photo@thumb.webp");
    g_assert_true(row->objects[0].done && row->objects[1].done);
    g_assert_nonnull(row->objects[1].url);
    g_assert_nonnull(strstr(row->objects[0].recipe, "webp"));
    g_assert_cmpuint(rig->totals.acked_bytes, ==, 0);
}

static void test_keep_original(void)
{
    Puts puts = { 0 };
    g_autoptr(Rig) rig = rig_of_two(&puts);
    g_autofree char *path = rig_copy(rig, PHOTO, "photo.jpg");
    rig_set(rig, "keep-original", NULL);
    rig_open(rig, 0);
    rig_add(rig, path, NULL);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_object(rig, "p/originals/photo.jpg", path);
    g_assert_true(is_webp(rig, "p/photo@thumb.webp"));
    g_assert_cmpuint(fake_s3_objects(rig->s3), ==, 3);
    g_autoptr(HoistRow) row = rig_view_row(rig, 1);
    g_assert_cmpuint(row->n_objects, ==, 3);
    g_assert_cmpstr(row->objects[2].name, ==, "original");
    g_assert_null(row->objects[2].recipe);
}

/* An application builds the links of all renditions, whatever was made of the picture. */
static void test_as_it_is_in_each(void)
{
    Puts puts = { .hold = "@thumb" };
    g_autoptr(Rig) rig = rig_of_two(&puts);
    g_autofree char *path = rig_copy(rig, "images/png/1bit.png", "photo.png");
    rig_set(rig, "keep-original", NULL);
    rig_set(rig, "metadata", "all");
    rig_set(rig, "min-savings", "90");
    rig_open(rig, HOIST_WANT_ROWS);
    rig_add(rig, path, NULL);
    rig_until_asked(rig, FAKE_PUT, 2);
    rig_close(rig);
    puts.hold = NULL;
    fake_s3_let_go(rig->s3);
    rig_open(rig, HOIST_WANT_ROWS); /* goes on where it was */
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_object(rig, "p/photo@web.png", path);
    rig_assert_object(rig, "p/photo@thumb.png", path);
    rig_assert_object(rig, "p/originals/photo.png", path);
    g_assert_cmpuint(fake_s3_objects(rig->s3), ==, 3);
    g_assert_cmpuint(puts.web, ==, 1);
    g_autoptr(HoistRow) row = rig_view_row(rig, 1);
    g_assert_cmpuint(row->n_objects, ==, 3);
    g_assert_cmpuint(row->bytes, ==, 3 * object_bytes(rig, "p/photo@web.png"));
    g_assert_cmpuint(row->acked_bytes, ==, row->bytes);
}

/* A single one has its name, too. */
static void test_one_named(void)
{
    g_autoptr(Rig) rig = rig_new_with_pictures(NULL);
    g_autofree char *photo = rig_copy(rig, PHOTO, "photo.jpg"), *small = rig_copy(rig, "images/png/1bit.png", "small.png");
    rig_set(rig, "renditions", "web");
    rig_set(rig, "min-savings", "40");
    rig_set(rig, "metadata", "all");
    rig_open(rig, 0);
    rig_add(rig, photo, small);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    g_assert_true(is_webp(rig, "p/photo@web.webp"));
    rig_assert_object(rig, "p/small@web.png", small);
    g_assert_cmpuint(fake_s3_objects(rig->s3), ==, 2);
}

/* One recipe: the name says what was done, as ever; the original lies elsewhere. */
static void test_one_and_original(void)
{
    g_autoptr(Rig) rig = rig_new_with_pictures(NULL);
    g_autofree char *path = rig_copy(rig, PHOTO, "photo.jpg");
    rig_set(rig, "images", "web");
    rig_set(rig, "keep-original", NULL);
    rig_open(rig, 0);
    rig_add(rig, path, NULL);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    g_assert_true(is_webp(rig, "p/photo.jpg.webp"));
    rig_assert_object(rig, "p/originals/photo.jpg", path);
}

static void test_no_picture_is_one_object(void)
{
    Puts puts = { 0 };
    g_autoptr(Rig) rig = rig_of_two(&puts);
    g_autofree char *path = rig_file(rig, "a.txt", 3000, 'a');
    rig_set(rig, "keep-original", NULL);
    rig_open(rig, 0);
    rig_add(rig, path, NULL);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_object(rig, "p/a.txt", path);
    g_assert_cmpuint(fake_s3_objects(rig->s3), ==, 1);
}

static void test_keys_that_meet(void)
{
    Puts puts = { 0 };
    g_autoptr(Rig) rig = rig_of_two(&puts);
    g_free(rig_copy(rig, PHOTO, "many/photo.jpg"));
    g_free(rig_copy(rig, "images/photo/ladybird.jpg", "many/photo.jpeg"));
    g_autofree char *c = rig_file(rig, "many/photo@thumb.webp", 100, 'c'), *folder = g_build_filename(rig->dir, "many", NULL);
    rig_open(rig, 0);
    rig_add(rig, folder, NULL);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_files(rig, HOIST_DONE, 3);
    g_assert_cmpuint(fake_s3_objects(rig->s3), ==, 5);
    rig_assert_object(rig, "p/many/photo@thumb.webp", c); /* it had the name first */
    g_assert_true(is_webp(rig, "p/many/photo@web-2.webp"));
    g_assert_true(is_webp(rig, "p/many/photo@thumb-2.webp"));
    g_assert_true(is_webp(rig, "p/many/photo@web-3.webp"));
}

/* ------------------------------------------------------------------ between two objects */

static void test_second_fails_and_is_tried_again(void)
{
    Puts puts = { .refuse = "@thumb" };
    g_autoptr(Rig) rig = rig_of_two(&puts);
    g_autofree char *path = rig_copy(rig, PHOTO, "photo.jpg");
    rig_open(rig, HOIST_WANT_ROWS);
    rig_add(rig, path, NULL);
    g_assert_cmpint(rig_idle(rig), ==, 1);
    rig_assert_files(rig, HOIST_FAILED, 1);
    g_assert_cmpuint(rig->row->acked_bytes, ==, object_bytes(rig, "p/photo@web.webp"));
    puts.refuse = NULL;
    all_again(rig, HOIST_CMD_RETRY);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_files(rig, HOIST_DONE, 1);
    g_assert_cmpuint(fake_s3_objects(rig->s3), ==, 2);
    g_assert_cmpuint(puts.web, ==, 1);
    g_assert_cmpuint(puts.thumb, ==, 2);
    g_assert_cmpuint(rig->totals.acked_bytes, ==, 0);
}

static char *stand_at_second(Rig *rig, Puts *puts)
{
    char *path = rig_copy(rig, PHOTO, "photo.jpg");
    puts->hold = "@thumb";
    rig_open(rig, HOIST_WANT_ROWS | HOIST_WANT_PROGRESS);
    rig_add(rig, path, NULL);
    rig_until_asked(rig, FAKE_PUT, 2);
    return path;
}

static void test_closed_between(void)
{
    Puts puts = { 0 };
    g_autoptr(Rig) rig = rig_of_two(&puts);
    g_free(stand_at_second(rig, &puts));
    rig_close(rig);
    puts.hold = NULL;
    fake_s3_let_go(rig->s3);
    rig_open(rig, HOIST_WANT_ROWS);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_files(rig, HOIST_DONE, 1);
    g_assert_cmpuint(fake_s3_objects(rig->s3), ==, 2);
    g_assert_cmpuint(puts.web, ==, 1); /* what is there is not sent again */
}

/* Closed at the second object, and the cache emptied. */
static void lose_spool(Rig *rig, Puts *puts)
{
    g_free(stand_at_second(rig, puts));
    g_autofree char *cache = g_build_filename(g_get_user_cache_dir(), HOIST_APP, "spool", NULL);
    rig_close(rig);
    const char *argv[] = { "rm", "-rf", cache, NULL };
    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
    puts->hold = NULL;
    fake_s3_let_go(rig->s3);
}

/* And then there is no worker either: nothing goes in place of what is missing, and what was stored is not forgotten. */
static void test_worker_lost_between(void)
{
    Puts puts = { 0 };
    g_autoptr(Rig) rig = rig_of_two(&puts);
    lose_spool(rig, &puts);
    g_setenv("HOIST_IMGPROC", "/nonexistent", TRUE);
    rig_open(rig, HOIST_WANT_ROWS);
    g_unsetenv("HOIST_IMGPROC");
    g_assert_cmpint(rig_idle(rig), ==, 1);
    rig_assert_files(rig, HOIST_FAILED, 1);
    g_assert_cmpstr(rig->row->fault, ==, "picture-worker");
    rig_close(rig);

    rig_open(rig, HOIST_WANT_ROWS);
    HoistCommand *retry = hoist_command_new(HOIST_CMD_RETRY);
    retry->all = true;
    hoist_send(rig->hoist, retry);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_files(rig, HOIST_DONE, 1);
    g_assert_true(is_webp(rig, "p/photo@thumb.webp"));
    g_assert_cmpuint(puts.web, ==, 1);
}

/* Only what is missing is prepared and sent anew. */
static void test_spool_lost_between(void)
{
    Puts puts = { 0 };
    g_autoptr(Rig) rig = rig_of_two(&puts);
    lose_spool(rig, &puts);
    rig_open(rig, HOIST_WANT_ROWS);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_files(rig, HOIST_DONE, 1);
    g_assert_true(is_webp(rig, "p/photo@thumb.webp"));
    g_assert_cmpuint(puts.web, ==, 1);
}

static void test_cancelled_between(void)
{
    Puts puts = { 0 };
    g_autoptr(Rig) rig = rig_of_two(&puts);
    g_free(stand_at_second(rig, &puts));
    rig_rows_command(rig, HOIST_CMD_CANCEL, 1);
    puts.hold = NULL;
    fake_s3_let_go(rig->s3);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_files(rig, HOIST_CANCELLED, 1);
    g_assert_cmpuint(rig->totals.acked_bytes, ==, 0);
    rig_rows_command(rig, HOIST_CMD_RETRY, 1);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_files(rig, HOIST_DONE, 1);
    g_assert_cmpuint(puts.web, ==, 1);
    g_assert_true(is_webp(rig, "p/photo@thumb.webp"));
    g_assert_cmpuint(rig->totals.acked_bytes, ==, 0);
}

static void test_changed_between(void)
{
    Puts puts = { 0 };
    g_autoptr(Rig) rig = rig_of_two(&puts);
    g_free(stand_at_second(rig, &puts));
    rig_close(rig);
    g_free(rig_copy(rig, "images/photo/ladybird.jpg", "photo.jpg"));
    puts.hold = NULL;
    fake_s3_let_go(rig->s3);
    rig_open(rig, HOIST_WANT_ROWS);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_files(rig, HOIST_DONE, 1);
    g_assert_cmpuint(puts.web, ==, 2); /* it is another picture */
    g_assert_cmpuint(fake_s3_objects(rig->s3), ==, 2);
}

static void test_some_are_there(void)
{
    Puts puts = { .refuse = "@thumb" };
    g_autoptr(Rig) rig = rig_of_two(&puts);
    g_autofree char *path = rig_copy(rig, PHOTO, "photo.jpg");
    rig_set(rig, "if-exists", "skip");
    rig_open(rig, HOIST_WANT_ROWS);
    rig_add(rig, path, NULL);
    g_assert_cmpint(rig_idle(rig), ==, 1);
    rig_rows_command(rig, HOIST_CMD_FORGET, 1);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    puts.refuse = NULL;
    rig_add(rig, path, NULL);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_files(rig, HOIST_DONE, 1);
    g_assert_nonnull(strstr(rig->row->note, "1 of 2"));
    rig_add(rig, path, NULL); /* now all of them are */
    g_assert_cmpint(rig_idle(rig), ==, 0);
    g_assert_cmpuint(rig->totals.files[HOIST_CANCELLED], ==, 1);
    g_assert_cmpuint(rig->skipped, ==, 1);
}

/* ------------------------------------------------------------------ what is not prepared */

/* The first half of a picture. */
static void defeated(Rig *rig, const char *policy, const char *source)
{
    g_autofree char *path = rig_copy(rig, source, "photo.jpg");
    g_autofree char *bytes = NULL;
    gsize size;
    g_assert_true(g_file_get_contents(path, &bytes, &size, NULL));
    g_assert_true(g_file_set_contents(path, bytes, (gssize)size / 2, NULL));
    rig_set(rig, "on-image-error", policy);
    rig_open(rig, HOIST_WANT_ROWS);
    rig_add(rig, path, NULL);
    (void)rig_idle(rig);
}

static void test_defeated_original(void)
{
    Puts puts = { 0 };
    g_autoptr(Rig) rig = rig_of_two(&puts);
    defeated(rig, "original", "images/jpeg/base-800.jpg");
    g_autofree char *path = g_build_filename(rig->dir, "photo.jpg", NULL);
    rig_assert_object(rig, "p/photo.jpg", path);
    g_assert_cmpuint(fake_s3_objects(rig->s3), ==, 1);
    g_assert_nonnull(strstr(rig->row->note, "sent as it is: "));
}

/* What can be walked without its pixels loses its metadata all the same. */
static void test_defeated_original_cleaned(void)
{
    Puts puts = { 0 };
    g_autoptr(Rig) rig = rig_of_two(&puts);
    defeated(rig, "original", "images/jpeg/metadata-gps.jpg");
    g_assert_cmpuint(fake_s3_objects(rig->s3), ==, 1);
    g_assert_nonnull(strstr(rig->row->note, "sent as it is but for its metadata: "));
    g_assert_cmpstr(rig->row->key, ==, "p/photo.jpg");
    g_assert_cmpuint(rig->row->bytes, <, rig->row->source_bytes);
}

static void test_defeated_skip(void)
{
    Puts puts = { 0 };
    g_autoptr(Rig) rig = rig_of_two(&puts);
    defeated(rig, "skip", "images/jpeg/metadata-gps.jpg");
    g_assert_cmpuint(fake_s3_objects(rig->s3), ==, 0);
    rig_assert_files(rig, HOIST_CANCELLED, 1);
    g_assert_cmpuint(rig->skipped, ==, 1);
    g_autoptr(HoistRow) row = rig_view_row(rig, 1);
    g_assert_true(g_str_has_prefix(row->note, "skipped: "));
    hoist_send(rig->hoist, hoist_command_new(HOIST_CMD_PAUSE_ALL));
    rig_rows_command(rig, HOIST_CMD_RETRY, 1);
    g_assert_cmpint(rig_idle(rig), ==, 1);
    g_autoptr(HoistRow) again = rig_view_row(rig, 1);
    g_assert_cmpint(again->state, ==, HOIST_QUEUED);
    g_assert_null(again->note);
}

static void test_defeated_fail(void)
{
    Puts puts = { 0 };
    g_autoptr(Rig) rig = rig_of_two(&puts);
    defeated(rig, "fail", "images/jpeg/metadata-gps.jpg");
    g_assert_cmpuint(fake_s3_objects(rig->s3), ==, 0);
    rig_assert_files(rig, HOIST_FAILED, 1);
    g_assert_cmpstr(rig->row->fault, ==, "picture-unreadable");
    g_assert_cmpuint(strlen(rig->row->cause), >, 0);
}

/* That a picture goes as it is was found out once: a second run needs no worker to know it. */
static void test_as_it_is_is_remembered(void)
{
    Puts puts = { .hold = "photo.png" };
    g_autoptr(Rig) rig = rig_new_with_pictures(NULL);
    fake_s3_rules(rig->s3, count_puts, &puts);
    rig_set(rig, "images", "web min-savings=90 metadata=all");
    g_autofree char *path = rig_copy(rig, PLAIN, "photo.png");
    rig_open(rig, HOIST_WANT_ROWS);
    rig_add(rig, path, NULL);
    rig_until_asked(rig, FAKE_PUT, 1);
    rig_close(rig);
    puts.hold = NULL;
    fake_s3_let_go(rig->s3);
    g_setenv("HOIST_IMGPROC", "/nonexistent", TRUE);
    rig_open(rig, HOIST_WANT_ROWS);
    g_unsetenv("HOIST_IMGPROC");
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_object(rig, "p/photo.png", path);
    g_assert_null(strstr(rig->row->note != NULL ? rig->row->note : "", "metadata"));
}

static void test_types(void)
{
    g_autoptr(Rig) rig = rig_new(NULL);
    g_autofree char *text = rig_file(rig, "a.jpg", 3000, 'a'), *photo = rig_copy(rig, PHOTO, "photo.jpg");
    rig_set(rig, "types", "image/*,video/mp4");
    rig_open(rig, HOIST_WANT_ROWS);
    rig_add(rig, text, photo);
    g_free(rig_file(rig, "empty.jpg", 0, 0));
    g_autofree char *empty = g_build_filename(rig->dir, "empty.jpg", NULL);
    rig_add(rig, empty, NULL);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_object(rig, "p/photo.jpg", photo);
    g_assert_cmpuint(fake_s3_objects(rig->s3), ==, 1); /* the others are no pictures, whatever their names */
    g_assert_cmpuint(rig->skipped, ==, 2);
    g_assert_cmpuint(rig->totals.files[HOIST_CANCELLED], ==, 2);
}

/* ------------------------------------------------------------------ never in the way */

/* More pictures than are kept in memory, before a worker that gets nowhere; what is behind them and is no picture arrives. */
static void test_others_pass_pictures(void)
{
    g_autoptr(Rig) rig = rig_new_with_pictures(NULL);
    g_autofree char *script = rig_file(rig, "worker", 0, 0), *folder = g_build_filename(rig->dir, "many", NULL);
    g_assert_true(g_file_set_contents(script, "#!/bin/sh\nexec sleep 1000\n", -1, NULL));
    g_assert_cmpint(g_chmod(script, 0700), ==, 0);
    for (unsigned i = 0; i < ENGINE_MAX_PARKED + 500; i++) {
        g_autofree char *name = g_strdup_printf("many/%05u.png", i);
        g_free(rig_copy(rig, "images/png/1bit.png", name));
    }
    g_autofree char *path = rig_file(rig, "many/zzz.bin", 5000, 'v');
    rig_set(rig, "images", "web");
    g_setenv("HOIST_IMGPROC", script, TRUE);
    rig_open(rig, 0);
    g_unsetenv("HOIST_IMGPROC");
    rig_add(rig, folder, NULL);
    rig_until_asked(rig, FAKE_PUT, 1);
    all_again(rig, HOIST_CMD_CANCEL); /* running encodes end with it */
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_object(rig, "p/many/zzz.bin", path);
    g_assert_cmpuint(rig->totals.files[HOIST_DONE], ==, 1);
}

/* The worker does not begin before the file `go` is there. */
static char *patient_worker(const Rig *rig)
{
    char *script = rig_file(rig, "worker", 0, 0);
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL), *folder = g_path_get_dirname(self);
    g_autofree char *text =
        g_strdup_printf("#!/bin/sh\nwhile [ ! -e '%s/go' ]; do sleep 0.05; done\nexec '%s/../imgproc/hoist-imgproc'\n", rig->dir, folder);
    g_assert_true(g_file_set_contents(script, text, -1, NULL));
    g_assert_cmpint(g_chmod(script, 0700), ==, 0);
    return script;
}

static FakeRule note_last(const FakeRequest *rq, void *ctx)
{
    if (rq->kind == FAKE_PUT && strstr(rq->key, "39.png") != NULL)
        *(unsigned *)ctx = rq->count;
    return (FakeRule){ 0 };
}

/* What is moved to the top is prepared before all that still wait, however long they do. */
static void test_moved_goes_first(void)
{
    enum { FILES = 40, IN_THE_POOL = 4 /* with one worker */ };
    unsigned place = 0;
    g_autoptr(Rig) rig = rig_new_with_pictures(NULL);
    g_autofree char *script = patient_worker(rig), *folder = g_build_filename(rig->dir, "many", NULL);
    for (unsigned i = 0; i < FILES; i++) {
        g_autofree char *name = g_strdup_printf("many/%02u.png", i);
        g_free(rig_copy(rig, "images/png/1bit.png", name));
    }
    fake_s3_rules(rig->s3, note_last, &place);
    rig_set(rig, "image-workers", "1");
    rig_set(rig, "jobs", "1");
    g_setenv("HOIST_IMGPROC", script, TRUE);
    rig_open(rig, HOIST_WANT_ROWS | HOIST_WANT_PROGRESS | HOIST_OPEN_PAUSED);
    g_unsetenv("HOIST_IMGPROC");
    rig_add(rig, folder, NULL);
    g_assert_cmpint(rig_idle(rig), ==, FILES);
    hoist_send(rig->hoist, hoist_command_new(HOIST_CMD_RESUME_ALL));
    rig_until_rows(rig, HOIST_ROW_PROGRESS, IN_THE_POOL);
    rig_until_preparing(rig, IN_THE_POOL);
    g_assert_cmpuint(rig->totals.files[HOIST_PREPARING], ==, IN_THE_POOL);
    g_assert_cmpuint(rig->totals.active, ==, 0);
    HoistCommand *move = hoist_command_new(HOIST_CMD_MOVE);
    hoist_command_add_id(move, FILES);
    move->number = -2;
    hoist_send(rig->hoist, move);
    g_free(rig_file(rig, "go", 0, 0));
    g_assert_cmpint(rig_idle(rig), ==, 0);
    rig_assert_files(rig, HOIST_DONE, FILES);
    g_assert_cmpuint(rig->totals.preparing, ==, 0);
    g_assert_cmpuint(place, >=, 1);
    g_assert_cmpuint(place, <=, IN_THE_POOL + 1);
}

/* ------------------------------------------------------------------ for a person who looks */

static void look(Rig *rig, int64_t id)
{
    HoistCommand *cmd = hoist_command_new(HOIST_CMD_PICTURE);
    hoist_command_add_id(cmd, id);
    cmd->number = 64;
    hoist_send(rig->hoist, cmd);
}

static void test_look(void)
{
    g_autoptr(Rig) rig = rig_new_with_pictures(NULL);
    g_autofree char *photo = rig_copy(rig, PHOTO, "photo.jpg"), *text = rig_file(rig, "text", 100, 't');
    rig_open(rig, HOIST_OPEN_PAUSED);
    rig_add(rig, photo, text);
    g_assert_cmpint(rig_idle(rig), ==, 2);
    look(rig, 1);
    rig_until_picture(rig);
    g_assert_cmpuint(rig->picture_bytes, >, 64 * 20 * 3);
    g_assert_cmpuint(rig->picture_bytes, <=, 64 * 64 * 3);
    look(rig, 2);
    rig_until_picture(rig);
    g_assert_cmpuint(rig->picture_bytes, ==, 0);
    for (unsigned i = 0; i < 20; i++) /* the newest counts */
        look(rig, i % 2 == 0 ? 2 : 1);
    rig_until_picture(rig);
    look(rig, 99);
    rig_until_picture(rig);
}

static void test_progress(void)
{
    g_autoptr(Rig) rig = rig_new_with_pictures(NULL);
    g_autofree char *photo = rig_copy(rig, "images/photo/office-24mp.jpg", "photo.jpg");
    rig_set(rig, "images", "web effort=6 max-bytes=60000");
    rig_open(rig, HOIST_WANT_ROWS | HOIST_WANT_PROGRESS);
    rig_add(rig, photo, NULL);
    g_assert_cmpint(rig_idle(rig), ==, 0);
    g_assert_cmpint(rig->pct_max, >=, 0); /* it was told of while it was made */
    g_assert_cmpint(rig->pct_max, <=, 100);
    g_assert_cmpint(rig->row->prepared_pct, ==, -1);
}

int main(int argc, char **argv)
{
    g_autofree char *cache = g_dir_make_tmp("hoist-cache-XXXXXX", NULL);
    g_setenv("XDG_CACHE_HOME", cache, TRUE);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/engine-images/objects/renditions", test_renditions);
    g_test_add_func("/engine-images/objects/keep-original", test_keep_original);
    g_test_add_func("/engine-images/objects/as-it-is-in-each", test_as_it_is_in_each);
    g_test_add_func("/engine-images/objects/one-named", test_one_named);
    g_test_add_func("/engine-images/objects/one-and-original", test_one_and_original);
    g_test_add_func("/engine-images/objects/no-picture-is-one", test_no_picture_is_one_object);
    g_test_add_func("/engine-images/objects/keys-that-meet", test_keys_that_meet);
    g_test_add_func("/engine-images/between/second-fails", test_second_fails_and_is_tried_again);
    g_test_add_func("/engine-images/between/closed", test_closed_between);
    g_test_add_func("/engine-images/between/spool-lost", test_spool_lost_between);
    g_test_add_func("/engine-images/between/worker-lost", test_worker_lost_between);
    g_test_add_func("/engine-images/between/cancelled", test_cancelled_between);
    g_test_add_func("/engine-images/between/changed", test_changed_between);
    g_test_add_func("/engine-images/between/some-are-there", test_some_are_there);
    g_test_add_func("/engine-images/policy/original", test_defeated_original);
    g_test_add_func("/engine-images/policy/original-cleaned", test_defeated_original_cleaned);
    g_test_add_func("/engine-images/policy/skip", test_defeated_skip);
    g_test_add_func("/engine-images/policy/fail", test_defeated_fail);
    g_test_add_func("/engine-images/policy/as-it-is-is-remembered", test_as_it_is_is_remembered);
    g_test_add_func("/engine-images/policy/types", test_types);
    g_test_add_func("/engine-images/way/others-pass", test_others_pass_pictures);
    g_test_add_func("/engine-images/way/moved-goes-first", test_moved_goes_first);
    g_test_add_func("/engine-images/look/newest-counts", test_look);
    g_test_add_func("/engine-images/look/progress", test_progress);
    const int status = g_test_run();
    const char *rm[] = { "rm", "-rf", cache, NULL };
    g_spawn_sync(NULL, (char **)rm, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
    return status;
}
