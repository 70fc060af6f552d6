/* Pictures of the screens, compared with tests/screen/NAME.txt. HOIST_RENEW=1 writes them anew: look at them before they are committed. */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "fake.h"
#include "tui/view.h"

#define MB UINT64_C(1000000)

typedef struct {
    FakeStore store;
    Ui *ui;
    GPtrArray *sent; /* HoistCommand */
    char *copied;
    HoistTotals totals;
} Fix;

static void send_command(void *ctx, HoistCommand *cmd)
{
    g_ptr_array_add(((Fix *)ctx)->sent, cmd);
}

static bool copy(void *ctx, const char *text)
{
    Fix *f = ctx;
    g_free(f->copied);
    f->copied = g_strdup(text);
    return true;
}

static void count(Fix *f)
{
    HoistTotals *t = &f->totals;
    memset(t->files, 0, sizeof t->files);
    memset(t->bytes, 0, sizeof t->bytes);
    t->acked_bytes = 0;
    for (guint i = 0; i < f->store.rows->len; i++) {
        const HoistRow *row = g_ptr_array_index(f->store.rows, i);
        t->files[row->state]++;
        t->bytes[row->state] += row->bytes;
        t->acked_bytes += row->state == HOIST_DONE ? 0 : row->acked_bytes;
    }
}

static void show(Fix *f)
{
    count(f);
    for (guint i = 0; i < f->store.rows->len; i++) {
        HoistRow *row = g_ptr_array_index(f->store.rows, i);
        const HoistEvent ev = { .kind = HOIST_EVENT_ROW, .row = row, .change = HOIST_ROW_PROGRESS };
        if (row->state == HOIST_ACTIVE || row->state == HOIST_PREPARING || row->state == HOIST_COMPLETING)
            ui_event(f->ui, &ev);
    }
    HoistEvent ev = { .kind = HOIST_EVENT_TOTALS, .totals = &f->totals };
    f->ui->now_us += 500000;
    ui_event(f->ui, &ev);
    model_stale(f->ui->model);
    f->ui->now_us += G_USEC_PER_SEC;
    g_assert_true(model_refresh(f->ui->model, f->ui->now_us, NULL));
}

static void setup(Fix *f, gconstpointer data)
{
    (void)data;
    *f = (Fix){ 0 };
    fake_init(&f->store);
    f->sent = g_ptr_array_new_with_free_func((GDestroyNotify)hoist_command_free);
    f->ui = ui_new(model_new(fake_page, &f->store), NULL, (UiPort){ .ctx = f, .send = send_command, .copy = copy });
    g_free(f->ui->target);
    f->ui->target = g_strdup("s3://photos/2024");
    f->ui->now_us = 1000 * G_USEC_PER_SEC;
    model_set_now(f->ui->model, f->ui->now_us);
    model_set_wall(f->ui->model, (INT64_C(1700000000) - 1000) * G_USEC_PER_SEC);
    f->totals = (HoistTotals){ .eta_s = -1, .slots = 4 };
}

static void teardown(Fix *f, gconstpointer data)
{
    (void)data;
    ui_free(f->ui);
    g_ptr_array_unref(f->sent);
    g_free(f->copied);
    fake_clear(&f->store);
}

static HoistRow *active(Fix *f, const char *name, uint64_t bytes, unsigned percent, unsigned ahead, double mbps, int64_t eta_s)
{
    HoistRow *row = fake_add(&f->store, HOIST_ACTIVE, name, bytes);
    row->acked_bytes = bytes / 100 * percent;
    row->sent_bytes = bytes / 100 * (percent + ahead);
    row->bps = mbps * 1e6;
    row->eta_s = eta_s;
    return row;
}

static void add_done(Fix *f, const char *name, uint64_t bytes, int64_t took_s)
{
    HoistRow *row = fake_add(&f->store, HOIST_DONE, name, bytes);
    row->started_ns = INT64_C(1700000000000000000);
    row->done_ns = row->started_ns + took_s * 1000000000;
    row->verified = HOIST_VERIFIED_CHECKSUM;
    row->url = g_strconcat("https://photos.s3.eu-central-1.amazonaws.com/2024/", name, NULL);
    row->etag = g_strdup("\"9b2cf535f27731c974343645a3985328\"");
}

/* The queue of the mock-ups. */
static void fill(Fix *f)
{
    active(f, "IMG_2041.CR3", 42100000, 68, 6, 4.1, 3);
    HoistRow *clip = active(f, "holiday/clip_0007.mov", 1210 * MB, 22, 8, 5.9, 161);
    clip->parts = 151;
    clip->parts_done = 34;
    clip->upload_id = g_strdup("2~Kx9pQ0vJr8sT5uW2yZ4aB6cD8eF0gH1iJ3kL5mN7oP");
    clip->tries = 1;
    clip->note = g_strdup("resumed: 12 of 151 parts were there");
    active(f, "holiday/写真_0012.jpg", 8400000, 97, 3, 1.9, 0)->wait = g_strdup("waiting for the server");
    active(f, "scan_2024-03-01.tiff", 96 * MB, 2, 0, 0.5, 188);
    HoistRow *retry = fake_add(&f->store, HOIST_QUEUED, "holiday/clip_0008.mov", 1090 * MB);
    retry->acked_bytes = 447 * MB;
    retry->tries = 1;
    retry->retry_in_ms = 8000;
    retry->cause = g_strdup("part 17: connection reset by peer");
    fake_add(&f->store, HOIST_QUEUED, "IMG_2042.CR3", 41700000);
    HoistRow *photo = fake_add(&f->store, HOIST_QUEUED, "IMG_2043.jpg", 412000);
    photo->source_bytes = 4800000;
    photo->recipe = g_strdup("jpeg 6000x4000 -> webp 1920x1280 q80, 2 encodes");
    HoistRow *secret = fake_add(&f->store, HOIST_FAILED, "secret.env", 1100);
    secret->cause = g_strdup("403 AccessDenied: the key may not write below 2024/");
    secret->remedy = g_strdup("Give this key s3:PutObject on the bucket and prefix, then press r.");
    secret->fault = g_strdup("denied");
    fake_add(&f->store, HOIST_PAUSED, "big-backup.tar", 12000 * MB)->acked_bytes = 6600 * MB;
    add_done(f, "IMG_2040.CR3", 41900000, 11);
    add_done(f, "IMG_2039.CR3", 42300000, 10);
    add_done(f, "IMG_2038.CR3", 40800000, 11);
    for (guint i = 0; i < f->store.rows->len; i++) {
        HoistRow *row = g_ptr_array_index(f->store.rows, i);
        HoistEvent ev = { .kind = HOIST_EVENT_ROW, .row = row };
        ev.change = row->state == HOIST_DONE     ? HOIST_ROW_DONE
                    : row->state == HOIST_FAILED ? HOIST_ROW_FAILED
                    : row->retry_in_ms >= 0      ? HOIST_ROW_RETRY
                                                 : HOIST_ROW_PROGRESS;
        ui_event(f->ui, &ev);
    }
    f->totals.active = 4;
    f->totals.eta_s = 372;
    for (int i = 0; i < 120; i++)
        trend_add(model_trend(f->ui->model), 1e6 * (7 + 5 * ((i * 37 % 19) / 19.0) + (i % 30 < 20 ? 2 : -4)),
                  f->ui->now_us - (120 - i) * 500000);
    f->totals.bps = 12.4e6;
}

static void check(Fix *f, const char *name, int width, int height, bool ascii)
{
    g_autoptr(Canvas) c = canvas_new(width, height, ascii);
    g_autofree char *file = g_strdup_printf("%s.txt", name);
    g_autofree char *path = g_build_filename(g_getenv("HOIST_TEST_DATA"), "screen", file, NULL);
    g_autofree char *expected = NULL;
    g_autoptr(GError) error = NULL;
    ui_draw(f->ui, c); /* the first frame tells the model its height */
    f->ui->now_us += G_USEC_PER_SEC;
    model_refresh(f->ui->model, f->ui->now_us, NULL);
    ui_draw(f->ui, c);
    for (int y = 0; y < height; y++)
        g_assert_cmpint(canvas_row_width(c, y), ==, width);
    for (int i = 0; i < width * height; i++) /* what is in a picture other tests say */
        if (c->cells[i].role == ROLE_PICTURE)
            g_strlcpy(c->cells[i].text, "@", sizeof c->cells[i].text);
    g_autofree char *text = canvas_to_text(c);
    g_assert_true(g_utf8_validate(text, -1, NULL));
    g_assert_null(strchr(text, '\033'));
    if (g_getenv("HOIST_RENEW") != NULL) {
        g_assert_true(g_file_set_contents(path, text, -1, NULL));
        return;
    }
    g_file_get_contents(path, &expected, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(text, ==, expected);
}

static void key(Fix *f, uint32_t code)
{
    const InputEvent ev = { .kind = INPUT_KEY, .key = code };
    ui_key(f->ui, &ev);
}

static void type(Fix *f, const char *text)
{
    for (; *text != '\0'; text++)
        key(f, (unsigned char)*text);
}

static const HoistCommand *last(Fix *f, HoistCommandKind kind)
{
    g_assert_cmpuint(f->sent->len, >, 0);
    const HoistCommand *cmd = g_ptr_array_index(f->sent, f->sent->len - 1);
    g_assert_cmpint(cmd->kind, ==, kind);
    return cmd;
}

/* ------------------------------------------------------------------ screens */

static void test_sizes(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f);
    show(f);
    check(f, "queue-80x24", 80, 24, false);
    check(f, "queue-120x40", 120, 40, false);
    check(f, "queue-40x10", 40, 10, false);
    check(f, "queue-200x60", 200, 60, false);
    check(f, "queue-30x8", 30, 8, false);
    check(f, "queue-80x24-ascii", 80, 24, true);
}

static void test_any_size(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f);
    show(f);
    static const uint32_t keys[] = { 0, '?', 27, '\r', 'e', 27, 27, 'L', 27, 'a', 27, 'q', 27, '/', 27, 'm', 'm', 'm' };
    for (int width = 1; width < 150; width += 7) {
        for (int height = 1; height < 50; height += 3) {
            for (size_t k = 0; k < G_N_ELEMENTS(keys); k++) {
                g_autoptr(Canvas) c = canvas_new(width, height, k % 2 == 1);
                if (keys[k] != 0)
                    key(f, keys[k]);
                ui_draw(f->ui, c);
                for (int y = 0; y < height; y++)
                    g_assert_cmpint(canvas_row_width(c, y), ==, width);
            }
        }
    }
}

static void test_empty(Fix *f, gconstpointer data)
{
    (void)data;
    show(f);
    check(f, "empty-80x24", 80, 24, false);
    check(f, "empty-40x10", 40, 10, false);
}

static void test_hostile_names(Fix *f, gconstpointer data)
{
    (void)data;
    active(f, "\033]0;owned\a\033[31mred.jpg", 5 * MB, 40, 2, 1.0, 3);
    active(f,
           "c1 \xc2\x9b"
           "31m.jpg",
           5 * MB, 40, 2, 1.0, 3);
    fake_add(&f->store, HOIST_QUEUED, "bidi \xe2\x80\xaegpj.exe", 5 * MB);
    fake_add(&f->store, HOIST_QUEUED, "latin1 caf\xe9.jpg", 5 * MB);
    fake_add(&f->store, HOIST_QUEUED, "new\nline\ttab.jpg", 5 * MB);
    fake_add(&f->store, HOIST_QUEUED, "e\xcc\x81t\xc3\xa9 combining and composed.jpg", 5 * MB);
    fake_add(&f->store, HOIST_QUEUED, "写真写真写真写真写真写真写真写真写真写真写真写真写真.jpg", 5 * MB);
    fake_add(&f->store, HOIST_QUEUED, "한국어 파일.png", 5 * MB);
    fake_add(&f->store, HOIST_QUEUED, "emoji 🎉🎉🎉.png", 5 * MB);
    fake_add(&f->store, HOIST_QUEUED, "שלום עולם.txt", 5 * MB);
    HoistRow *failed = fake_add(&f->store, HOIST_FAILED, "server.txt", 5);
    failed->cause = g_strdup("500 \033[2J\033]52;c;ZXZpbA==\a <html>");
    failed->remedy = g_strdup("Try later.");
    show(f);
    check(f, "hostile-80x24", 80, 24, false);
    check(f, "hostile-120x40", 120, 40, false);
    check(f, "hostile-40x10", 40, 10, false);
    check(f, "hostile-80x24-ascii", 80, 24, true);
}

static void test_details(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f);
    show(f);
    key(f, 'j');
    key(f, '\r');
    check(f, "details-active-80x24", 80, 24, false);
    key(f, 27);
    for (unsigned i = 0; i < 6; i++)
        key(f, 'j');
    key(f, '\r');
    check(f, "details-failed-80x24", 80, 24, false);
    key(f, 'e');
    check(f, "error-80x24", 80, 24, false);
    key(f, 27);
    key(f, 'G');
    check(f, "details-done-80x24", 80, 24, false);
    key(f, 'y');
    g_assert_cmpstr(f->copied, ==, "https://photos.s3.eu-central-1.amazonaws.com/2024/IMG_2038.CR3");
}

static void test_help(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f);
    show(f);
    key(f, '?');
    check(f, "help-80x24", 80, 24, false);
    check(f, "help-120x40", 120, 40, false);
}

static void tell_paused(Fix *f, bool paused)
{
    f->totals.paused = paused;
    f->totals.bps = f->totals.active = 0;
    const HoistEvent ev = { .kind = HOIST_EVENT_TOTALS, .totals = &f->totals };
    ui_event(f->ui, &ev);
}

/* What holds the queue up stays on the screen, whatever is pressed, until it goes on. */
static void test_held_up(Fix *f, gconstpointer data)
{
    (void)data;
    HoistRow *row = fake_add(&f->store, HOIST_FAILED, "secret.env", 1100);
    row->cause = g_strdup("403 SignatureDoesNotMatch");
    fake_add(&f->store, HOIST_QUEUED, "IMG_2042.CR3", 41700000);
    const HoistEvent notice = { .kind = HOIST_EVENT_NOTICE,
                                .text = (char *)"s3://photos/2024 refused 3 files in a row and is paused: 403 SignatureDoesNotMatch: The "
                                                "request signature we calculated does not match",
                                .fault = (char *)"wrong-secret" };
    ui_event(f->ui, &notice);
    show(f);
    g_assert_nonnull(f->ui->message); /* not held up yet: told as any notice */
    tell_paused(f, true);
    g_assert_null(f->ui->message);
    key(f, 'j');
    check(f, "held-80x24", 80, 24, false);
    check(f, "held-40x10", 40, 10, false);
    tell_paused(f, false);
    g_assert_null(f->ui->why);
    tell_paused(f, true);
    check(f, "paused-80x24", 80, 24, false);
}

static void test_tabs_and_filter(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f);
    show(f);
    key(f, '5');
    check(f, "failed-80x24", 80, 24, false);
    key(f, '1');
    key(f, '/');
    type(f, "clip");
    check(f, "filter-typing-80x24", 80, 24, false);
    key(f, '\r');
    key(f, ' ');
    check(f, "filter-80x24", 80, 24, false);
    key(f, 27);
    g_assert_cmpstr(model_filter(f->ui->model), ==, "");
    g_assert_cmpuint(marks_count(model_marks(f->ui->model)), ==, 1);
    key(f, 27);
    g_assert_cmpuint(marks_count(model_marks(f->ui->model)), ==, 0);
}

/* ------------------------------------------------------------------ pictures */

static void tell_picture(Fix *f, int64_t id, unsigned width, unsigned height)
{
    guint8 *px = g_malloc((size_t)width * height * 3);
    for (size_t i = 0; i < (size_t)width * height * 3; i++)
        px[i] = (guint8)(i * 7 / width);
    HoistPicture picture = { g_bytes_new_take(px, (size_t)width * height * 3), width, height };
    const HoistEvent ev = { .kind = HOIST_EVENT_PICTURE, .number = id, .picture = &picture };
    ui_event(f->ui, &ev);
    g_bytes_unref(picture.rgb);
}

/* A frame, and what comes due after it. */
static void rest(Fix *f, int width, int height)
{
    g_autoptr(Canvas) c = canvas_new(width, height, false);
    ui_draw(f->ui, c);
    f->ui->now_us += GLANCE_REST_US;
    ui_tick(f->ui);
}

static HoistRow *whole_row(void *ctx, int64_t id, GError **error)
{
    (void)error;
    const FakeStore *store = ctx;
    HoistRow *row = hoist_row_dup(g_ptr_array_index(store->rows, id - 1));
    if (!g_str_has_suffix(row->name, "3.jpg"))
        return row;
    static const struct {
        const char *name, *key;
        uint64_t bytes;
        bool done;
    } objects[] = { { "web", "2024/IMG_2043@web.webp", 412000, true },
                    { "thumb", "2024/IMG_2043@thumb.webp", 18000, true },
                    { "original", "originals/IMG_2043 \033[31m.jpg", 4800000, false } };
    row->n_objects = G_N_ELEMENTS(objects);
    row->objects = g_new0(HoistObject, row->n_objects);
    for (unsigned i = 0; i < row->n_objects; i++) {
        row->objects[i].name = g_strdup(objects[i].name);
        row->objects[i].key = g_strdup(objects[i].key);
        row->objects[i].bytes = objects[i].bytes;
        row->objects[i].done = objects[i].done;
    }
    return row;
}

static void test_picture_in_the_pane(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f);
    model_set_whole(f->ui->model, whole_row);
    ((HoistRow *)g_ptr_array_index(f->store.rows, 2))->state = HOIST_PREPARING;
    ((HoistRow *)g_ptr_array_index(f->store.rows, 2))->prepared_pct = 42;
    show(f);
    rest(f, 120, 40);
    const HoistCommand *cmd = last(f, HOIST_CMD_PICTURE); /* of the first row; its answer is late */
    g_assert_cmpint(g_array_index(cmd->ids, int64_t, 0), ==, 1);
    for (unsigned i = 0; i < 6; i++) {
        key(f, 'j');
        rest(f, 120, 40);
    }
    g_assert_cmpuint(f->sent->len, ==, 1);
    tell_picture(f, 1, 320, 240);
    rest(f, 120, 40);
    cmd = last(f, HOIST_CMD_PICTURE);
    g_assert_cmpint(g_array_index(cmd->ids, int64_t, 0), ==, 7);
    g_assert_cmpint(cmd->number, >=, 160);
    tell_picture(f, 7, 320, 213);
    check(f, "picture-120x40", 120, 40, false);
    key(f, '\r');
    rest(f, 80, 24);
    check(f, "picture-80x24", 80, 24, false);
    const MosaicLook ascii = { .ascii = true };
    glance_set_look(f->ui->glance, &ascii);
    rest(f, 80, 24);
    check(f, "picture-80x24-ascii", 80, 24, true);
    g_assert_cmpuint(f->sent->len, ==, 2);
}

static void test_picture_that_is_none(Fix *f, gconstpointer data)
{
    (void)data;
    HoistRow *preparing = fake_add(&f->store, HOIST_PREPARING, "long.png", 88 * MB);
    preparing->prepared_pct = 7;
    show(f);
    key(f, '\r');
    rest(f, 80, 24);
    const HoistEvent ev = { .kind = HOIST_EVENT_PICTURE, .number = 1, .text = (char *)"not a readable picture" };
    ui_event(f->ui, &ev);
    check(f, "picture-none-80x24", 80, 24, false);
    rest(f, 80, 24);
    g_assert_cmpuint(f->sent->len, ==, 1);
}

/* A file that is no picture costs the workers nothing, and a narrow window shows none. */
static void test_no_picture_is_asked_for(Fix *f, gconstpointer data)
{
    (void)data;
    fake_add(&f->store, HOIST_QUEUED, "film.mov", 88 * MB);
    fake_add(&f->store, HOIST_QUEUED, "photo.jpg", 8 * MB);
    show(f);
    key(f, '\r');
    rest(f, 80, 24);
    key(f, 27);
    key(f, 'j');
    rest(f, 80, 24);
    g_assert_cmpuint(f->sent->len, ==, 0);
    key(f, '\r');
    rest(f, 80, 24);
    g_assert_cmpuint(f->sent->len, ==, 1);
}

static HoistRow *add_noted(Fix *f, HoistState state, const char *name, const char *note)
{
    HoistRow *row = fake_add(&f->store, state, name, 61000);
    row->started_ns = INT64_C(1700000000000000000);
    row->done_ns = state == HOIST_DONE ? row->started_ns + 12000000 : 0;
    row->note = g_strdup(note);
    return row;
}

/* What could not be prepared is told where it is looked for, and so is that something is at work while nothing is sent. */
static void test_pictures_that_fell_back(Fix *f, gconstpointer data)
{
    (void)data;
    fake_add(&f->store, HOIST_PREPARING, "large.png", 88 * MB);
    fake_add(&f->store, HOIST_PREPARING, "larger.png", 98 * MB);
    add_noted(f, HOIST_DONE, "cut.jpg", "sent as it is: the picture is damaged: premature end of JPEG image");
    add_noted(f, HOIST_DONE, "whole.bin", "resumed: 12 of 40 parts were there");
    add_noted(f, HOIST_CANCELLED, "broken.jpg", "skipped: the picture is damaged: premature end of JPEG image");
    add_noted(f, HOIST_CANCELLED, "by hand.jpg", NULL);
    f->totals.preparing = 2;
    show(f);
    check(f, "fell-back-80x24", 80, 24, false);
    check(f, "fell-back-120x40", 120, 40, false);
    check(f, "fell-back-40x10", 40, 10, false);
    check(f, "fell-back-80x24-ascii", 80, 24, true);
    key(f, 'G');
    key(f, 'k');
    key(f, '\r');
    check(f, "details-skipped-80x24", 80, 24, false);
}

/* ------------------------------------------------------------------ drops */

static void preview_event(Fix *f, unsigned token, bool done)
{
    char *roots[] = { g_strdup("/data/holiday"), g_strdup("/data/scan"), g_strdup("/data/notes \033[1m.txt"), NULL };
    uint64_t files[] = { 201, 12, 1 }, bytes[] = { 7900 * MB, 500 * MB, 1100 };
    HoistPreview preview = { .token = token,
                             .dest = (char *)"s3://photos/2024/",
                             .files = 214,
                             .folders = 3,
                             .images = 198,
                             .bytes = 8420 * MB,
                             .roots = roots,
                             .root_files = files,
                             .root_bytes = bytes,
                             .done = done,
                             .skipped = 2 };
    const HoistEvent ev = { .kind = HOIST_EVENT_PREVIEW, .preview = &preview };
    ui_event(f->ui, &ev);
    for (unsigned i = 0; roots[i] != NULL; i++)
        g_free(roots[i]);
}

static void test_drop_is_previewed_then_queued(Fix *f, gconstpointer data)
{
    (void)data;
    char first[] = "/data/holiday", second[] = "/data/scan", gone[] = "/media/usb/x.jpg", third[] = "/data/notes.txt";
    char *paths[] = { first, second, gone, NULL };
    const bool found[] = { true, true, false };
    fill(f);
    show(f);
    ui_dropped(f->ui, paths, found);
    const unsigned token = last(f, HOIST_CMD_PREVIEW)->token;
    check(f, "preview-waiting-80x24", 80, 24, false);
    char *more[] = { third, first, NULL };
    const bool there[] = { true, true };
    ui_dropped(f->ui, more, there);
    g_assert_cmpuint(last(f, HOIST_CMD_PREVIEW)->token, ==, token + 1);
    g_assert_cmpuint(g_strv_length(last(f, HOIST_CMD_PREVIEW)->paths), ==, 3);
    preview_event(f, token, true); /* late answer to the first question */
    g_assert_false(f->ui->pending.counted);
    preview_event(f, token + 1, true);
    check(f, "preview-80x24", 80, 24, false);
    check(f, "preview-40x10", 40, 10, false);
    check(f, "preview-120x40", 120, 40, false);
    key(f, 'x');
    key(f, '\r');
    g_assert_cmpuint(g_strv_length(last(f, HOIST_CMD_ADD)->paths), ==, 3);
    g_assert_cmpint(ui_top(f->ui), ==, VIEW_QUEUE);
    g_assert_cmpuint(f->ui->pending.paths->len, ==, 0);
}

static void assert_shown(Fix *f, const char *what, bool shown)
{
    g_autoptr(Canvas) c = canvas_new(120, 40, false);
    ui_draw(f->ui, c);
    g_autofree char *text = canvas_to_text(c);
    g_assert_true((strstr(text, what) != NULL) == shown);
}

static void test_drop_tells_what_is_done_to_pictures(Fix *f, gconstpointer data)
{
    (void)data;
    g_autoptr(HoistSettings) settings = hoist_settings_new();
    char path[] = "/data/holiday";
    char *paths[] = { path, NULL };
    show(f);
    f->ui->settings = settings;
    ui_dropped(f->ui, paths, NULL);
    assert_shown(f, "pictures", false);
    preview_event(f, last(f, HOIST_CMD_PREVIEW)->token, true);
    assert_shown(f, "198 pictures: web", true);
    g_assert_true(hoist_settings_set(settings, "images", "none", "test", NULL));
    assert_shown(f, "198 pictures: as ", true);
    g_assert_true(hoist_settings_set(settings, "renditions", "a,b", "test", NULL));
    assert_shown(f, "198 pictures: a,b", true);
    f->ui->settings = NULL;
}

static void test_discarded_drop_queues_nothing(Fix *f, gconstpointer data)
{
    (void)data;
    char path[] = "/data/holiday";
    char *paths[] = { path, NULL };
    const bool found[] = { true };
    show(f);
    ui_dropped(f->ui, paths, found);
    key(f, 27);
    g_assert_cmpuint(f->sent->len, ==, 1);
    g_assert_cmpint(ui_top(f->ui), ==, VIEW_QUEUE);
}

static void test_missing_and_other_text_is_told(Fix *f, gconstpointer data)
{
    (void)data;
    char path[] = "/media/usb/\033x.jpg";
    char *paths[] = { path, NULL };
    const bool found[] = { false };
    show(f);
    ui_dropped(f->ui, paths, found);
    g_assert_cmpuint(f->sent->len, ==, 0);
    g_assert_nonnull(strstr(f->ui->message, "/media/usb/^[x.jpg"));
    ui_text_pasted(f->ui, "hello \033[31m world", 17);
    g_assert_nonnull(strstr(f->ui->message, "not a file path: hello ^[[31m world"));
}

static void test_add_by_path(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f);
    show(f);
    key(f, 'a');
    type(f, "/data/new fold");
    check(f, "add-80x24", 80, 24, false);
    ui_text_pasted(f->ui, "er\n", 3);
    key(f, '\r');
    g_assert_cmpstr(last(f, HOIST_CMD_PREVIEW)->paths[0], ==, "/data/new folder");
    g_assert_cmpint(ui_top(f->ui), ==, VIEW_PREVIEW);
    key(f, 27);
    key(f, 'a');
    type(f, "~/x");
    key(f, '\r');
    g_autofree char *expected = g_build_filename(g_get_home_dir(), "x", NULL);
    g_assert_cmpstr(last(f, HOIST_CMD_PREVIEW)->paths[0], ==, expected);
    /* it is not there, as the engine finds */
    HoistPreview preview = { .token = last(f, HOIST_CMD_PREVIEW)->token, .missing = 1, .first_missing = expected, .done = true };
    const HoistEvent ev = { .kind = HOIST_EVENT_PREVIEW, .preview = &preview };
    ui_event(f->ui, &ev);
    g_assert_cmpint(ui_top(f->ui), ==, VIEW_QUEUE);
    g_assert_true(g_str_has_prefix(f->ui->message, "not found: "));
    g_assert_cmpuint(f->ui->pending.paths->len, ==, 0);
}

/* ------------------------------------------------------------------ commands */

static void test_cancel_asks_and_defaults_to_no(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f);
    show(f);
    key(f, ' ');
    key(f, ' ');
    key(f, 'x');
    check(f, "cancel-80x24", 80, 24, false);
    key(f, '\r');
    g_assert_cmpuint(f->sent->len, ==, 0);
    key(f, 'x');
    key(f, 'y');
    g_assert_cmpuint(last(f, HOIST_CMD_CANCEL)->ids->len, ==, 2);
}

static void test_commands(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f);
    show(f);
    key(f, 'p');
    g_assert_cmpint(g_array_index(last(f, HOIST_CMD_PAUSE)->ids, int64_t, 0), ==, 1);
    key(f, 'R');
    g_assert_cmpint(last(f, HOIST_CMD_RETRY)->state, ==, HOIST_FAILED);
    key(f, 'P');
    last(f, HOIST_CMD_PAUSE_ALL);
    key(f, '+');
    g_assert_cmpint(last(f, HOIST_CMD_SLOTS)->number, ==, 5);
    key(f, 'b');
    type(f, "5M");
    key(f, '\r');
    g_assert_cmpint(last(f, HOIST_CMD_LIMIT)->number, ==, 5000000);
    for (unsigned i = 0; i < 5; i++)
        key(f, 'j');
    key(f, 'J');
    g_assert_cmpint(last(f, HOIST_CMD_MOVE)->number, ==, 1);
    key(f, 'T');
    g_assert_cmpint(last(f, HOIST_CMD_MOVE)->number, ==, -2);
    key(f, 'G');
    key(f, 'd');
    g_assert_cmpuint(last(f, HOIST_CMD_FORGET)->ids->len, ==, 1);
}

static void test_quit(Fix *f, gconstpointer data)
{
    (void)data;
    show(f);
    key(f, 'q');
    g_assert_cmpint(f->ui->wish, ==, WISH_QUIT);
    f->ui->wish = WISH_NOTHING;
    f->ui->now_us += 10 * G_USEC_PER_SEC;
    fill(f);
    show(f);
    key(f, 'q');
    check(f, "quit-80x24", 80, 24, false);
    g_assert_cmpint(f->ui->wish, ==, WISH_NOTHING);
    key(f, 27);
    g_assert_cmpint(ui_top(f->ui), ==, VIEW_QUEUE);
    f->ui->now_us += 10 * G_USEC_PER_SEC;
    key(f, 3);
    key(f, 3);
    g_assert_cmpint(f->ui->wish, ==, WISH_QUIT);
}

static void test_messages_run_out(Fix *f, gconstpointer data)
{
    (void)data;
    show(f);
    ui_say(f->ui, LINE_PLAIN, "info");
    g_assert_cmpint(ui_deadline_us(f->ui), ==, f->ui->now_us + 4 * G_USEC_PER_SEC);
    f->ui->now_us += 4 * G_USEC_PER_SEC;
    ui_tick(f->ui);
    g_assert_null(f->ui->message);
    g_assert_cmpint(ui_deadline_us(f->ui), ==, -1);
    ui_say(f->ui, LINE_WARN, "warning");
    f->ui->now_us += 100 * G_USEC_PER_SEC;
    ui_tick(f->ui);
    g_assert_nonnull(f->ui->message);
    key(f, 'j');
    g_assert_null(f->ui->message);
}

int main(int argc, char **argv)
{
    g_setenv("TZ", "UTC", TRUE);
    g_test_init(&argc, &argv, NULL);
    static const struct {
        const char *path;
        void (*run)(Fix *, gconstpointer);
    } tests[] = {
        { "/screens/sizes", test_sizes },
        { "/screens/any-size", test_any_size },
        { "/screens/empty", test_empty },
        { "/screens/hostile-names", test_hostile_names },
        { "/screens/details", test_details },
        { "/screens/help", test_help },
        { "/screens/held-up", test_held_up },
        { "/screens/tabs-and-filter", test_tabs_and_filter },
        { "/screens/picture-in-the-pane", test_picture_in_the_pane },
        { "/screens/picture-that-is-none", test_picture_that_is_none },
        { "/screens/no-picture-is-asked-for", test_no_picture_is_asked_for },
        { "/screens/pictures-that-fell-back", test_pictures_that_fell_back },
        { "/screens/drop-is-previewed-then-queued", test_drop_is_previewed_then_queued },
        { "/screens/drop-tells-what-is-done-to-pictures", test_drop_tells_what_is_done_to_pictures },
        { "/screens/discarded-drop-queues-nothing", test_discarded_drop_queues_nothing },
        { "/screens/missing-and-other-text-is-told", test_missing_and_other_text_is_told },
        { "/screens/add-by-path", test_add_by_path },
        { "/screens/cancel-asks-and-defaults-to-no", test_cancel_asks_and_defaults_to_no },
        { "/screens/commands", test_commands },
        { "/screens/quit", test_quit },
        { "/screens/messages-run-out", test_messages_run_out },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fix, NULL, setup, tests[i].run, teardown);
    return g_test_run();
}
