/* Every animation below tests/images and HOIST_IMAGES goes through several recipes; what must come out follows from the file itself, read
 * whole by libvips. What else is in a result is told by exiftool. */
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vips/vips.h>
#include <webp/mux.h>

#include "imgproc/anim.h"

enum { REFERENCE_EDGE = 32, FRAME_MS_LEAST = 11, FRAME_MS_ODD = 100 };

/* Mean difference of 8-bit samples, on a background, that lossy coding and another way of resizing may make: edges of pure colours at 60
 * pixels. */
static const double difference_most = 13;

typedef struct {
    VipsImage *tall;
    int width, height, frames, plays;
    int *delay_ms;
} Film;

/* ------------------------------------------------------------------ reading */

static bool film_read(GBytes *bytes, Film *f)
{
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);
    int known = 0, *delay = NULL;
    *f = (Film){ .plays = 1 };
    VipsImage *lazy = vips_image_new_from_buffer(data, size, "", "n", -1, "fail_on", VIPS_FAIL_ON_TRUNCATED, NULL);
    if (lazy == NULL || vips_colourspace(lazy, &f->tall, VIPS_INTERPRETATION_sRGB, NULL) != 0)
        return false;
    f->width = vips_image_get_width(lazy);
    f->height = vips_image_get_page_height(lazy);
    f->frames = vips_image_get_height(lazy) / f->height;
    if (vips_image_get_typeof(lazy, "loop") != 0)
        vips_image_get_int(lazy, "loop", &f->plays);
    f->delay_ms = g_new0(int, f->frames);
    if (vips_image_get_typeof(lazy, "delay") != 0)
        vips_image_get_array_int(lazy, "delay", &delay, &known);
    for (int i = 0; i < f->frames && i < known; i++)
        f->delay_ms[i] = delay[i];
    g_object_unref(lazy);
    return true;
}

static void film_clear(Film *f)
{
    g_clear_object(&f->tall);
    g_free(f->delay_ms);
    vips_error_clear();
}

/* A frame with four bands, in memory. */
static VipsImage *frame_of(const Film *f, int i)
{
    VipsImage *frame = NULL, *whole = NULL;
    g_assert_cmpint(vips_crop(f->tall, &frame, 0, i * f->height, f->width, f->height, NULL), ==, 0);
    if (!vips_image_hasalpha(frame)) {
        g_assert_cmpint(vips_addalpha(frame, &whole, NULL), ==, 0);
        g_object_unref(frame);
        frame = whole;
    }
    whole = vips_image_copy_memory(frame);
    g_object_unref(frame);
    g_assert_nonnull(whole);
    return whole;
}

/* What it looks like from afar, on a colour that few pictures have. */
static VipsImage *from_afar(VipsImage *frame)
{
    VipsImage *flat = NULL, *small = NULL, *bytes = NULL;
    VipsArrayDouble *pink = vips_array_double_newv(3, 255.0, 0.0, 200.0);
    g_assert_cmpint(vips_flatten(frame, &flat, "background", pink, NULL), ==, 0);
    vips_area_unref(VIPS_AREA(pink));
    g_assert_cmpint(vips_thumbnail_image(flat, &small, REFERENCE_EDGE, "height", REFERENCE_EDGE, "size", VIPS_SIZE_FORCE, NULL), ==, 0);
    g_assert_cmpint(vips_cast(small, &bytes, VIPS_FORMAT_UCHAR, NULL), ==, 0);
    VipsImage *result = vips_image_copy_memory(bytes);
    g_object_unref(flat);
    g_object_unref(small);
    g_object_unref(bytes);
    return result;
}

static double difference(VipsImage *a, VipsImage *b)
{
    VipsImage *far_a = from_afar(a), *far_b = from_afar(b);
    const uint8_t *pa = VIPS_IMAGE_ADDR(far_a, 0, 0), *pb = VIPS_IMAGE_ADDR(far_b, 0, 0);
    const int n = REFERENCE_EDGE * REFERENCE_EDGE * 3;
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += abs(pa[i] - pb[i]);
    g_object_unref(far_a);
    g_object_unref(far_b);
    return sum / n;
}

static int alpha_at(VipsImage *frame, bool right, bool bottom)
{
    const uint8_t *p = VIPS_IMAGE_ADDR(frame, right ? vips_image_get_width(frame) - 1 : 0, bottom ? vips_image_get_height(frame) - 1 : 0);
    return p[3];
}

/* ------------------------------------------------------------------ rules */

static void check_frame(const Film *source, int i, const Film *made, int at, bool exact)
{
    VipsImage *was = frame_of(source, i), *is = frame_of(made, at);
    const double d = difference(was, is);
    if (d > (exact ? 0.0 : difference_most))
        g_error("frame %d looks different by %.1f", i, d);
    for (int corner = 0; corner < 4 && source->width == made->width; corner++)
        g_assert_cmpint(alpha_at(was, corner & 1, corner >> 1) == 0, ==, alpha_at(is, corner & 1, corner >> 1) == 0);
    g_object_unref(was);
    g_object_unref(is);
}

static int shown_ms(const Film *f, int i)
{
    return f->delay_ms[i] < FRAME_MS_LEAST ? FRAME_MS_ODD : f->delay_ms[i];
}

/* At any moment the result shows what the source shows. Neighbours that look alike may be one frame of the result. */
static void check_film(const Film *source, const Film *made, const ImgResult *r, bool exact)
{
    int at = 0, until_ms = shown_ms(made, 0), now_ms = 0;
    for (int i = 0; i < source->frames; i++) {
        while (now_ms >= until_ms && at + 1 < made->frames)
            until_ms += shown_ms(made, ++at);
        check_frame(source, i, made, at, exact);
        now_ms += shown_ms(source, i);
        g_assert_cmpint(now_ms, <=, until_ms);
    }
    if (made->frames > 1) {
        g_assert_cmpint(at, ==, made->frames - 1);
        g_assert_cmpint(now_ms, ==, until_ms);
        g_assert_cmpint(made->plays, ==, source->plays);
    }
    g_assert_cmpuint(r->frames, ==, (unsigned)made->frames);
    g_assert_cmpuint(r->width_px, ==, (unsigned)made->width);
    g_assert_cmpuint(r->height_px, ==, (unsigned)made->height);
    const double scale = fmax(made->width, made->height) / fmax(source->width, source->height);
    g_assert_cmpfloat(scale, <=, 1.0);
    g_assert_cmpfloat(fabs(source->width * scale - made->width), <, 1.5);
    g_assert_cmpfloat(fabs(source->height * scale - made->height), <, 1.5);
}

/* What exiftool finds of these tags; caller frees. NULL: it is not installed. */
static char *tags_of(GBytes *bytes, const char *const *tags)
{
    g_autofree char *path = NULL, *program = g_find_program_in_path("exiftool");
    g_autoptr(GStrvBuilder) list = g_strv_builder_new();
    char *out = NULL;
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);
    if (program == NULL) {
        g_test_incomplete("exiftool is not installed");
        return NULL;
    }
    const int fd = g_file_open_tmp("hoist-anim-XXXXXX", &path, NULL);
    g_assert_cmpint(write(fd, data, size), ==, (gssize)size);
    close(fd);
    g_strv_builder_add_many(list, program, "-a", "-s", "-G1", NULL);
    g_strv_builder_addv(list, (const char **)tags);
    g_strv_builder_add(list, path);
    g_auto(GStrv) argv = g_strv_builder_end(list);
    g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &out, NULL, NULL, NULL));
    unlink(path);
    return g_strstrip(out);
}

/* Beside what the container needs. */
static void check_nothing_is_told(GBytes *bytes)
{
    static const char *const tags[] = { "-EXIF:all", "-GPS:all",      "-XMP:all", "-IPTC:all", "-ICC_Profile:all",
                                        "-Comment",  "--Orientation", "-Trailer", NULL };
    g_autofree char *out = tags_of(bytes, tags);
    if (out != NULL)
        g_assert_cmpstr(out, ==, "");
}

/* ------------------------------------------------------------------ making */

static ImgKind kind_of(GBytes *bytes)
{
    return memcmp(g_bytes_get_data(bytes, NULL), "GIF8", 4) == 0 ? KIND_GIF : KIND_WEBP;
}

static int descriptor_of(GBytes *bytes)
{
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);
    const int fd = memfd_create("animation", MFD_CLOEXEC);
    g_assert_cmpint(write(fd, data, size), ==, (gssize)size);
    return fd;
}

static void make(GBytes *bytes, const char *recipe_words, const ImgWatch *watch, ImgResult *r)
{
    ImgRecipe recipe;
    const ImgWatch none = { 0 };
    const ImgProbe probe = { .kind = kind_of(bytes), .file_bytes = g_bytes_get_size(bytes) };
    g_assert_true(recipe_parse(recipe_words, &recipe, NULL));
    const int fd = descriptor_of(bytes);
    anim_render(fd, &probe, bytes, &recipe, watch != NULL ? watch : &none, r);
    close(fd);
    g_assert_true(g_utf8_validate(r->note, -1, NULL));
}

static void check_made(GBytes *bytes, const Film *source, const char *recipe_words, const ImgResult *r)
{
    ImgRecipe recipe;
    Film made;
    g_assert_true(recipe_parse(recipe_words, &recipe, NULL));
    g_assert_cmpuint(g_bytes_get_size(r->bytes), <=, g_bytes_get_size(bytes));
    g_assert_true(film_read(r->bytes, &made));
    check_film(source, &made, r, r->cleaned || (r->quality == 100 && source->width == made.width));
    check_nothing_is_told(r->bytes);
    if (!r->cleaned && recipe.max_edge_px != 0)
        g_assert_cmpint(MAX(made.width, made.height), <=, (int)recipe.max_edge_px);
    if (!r->cleaned && recipe.max_bytes != 0 && g_bytes_get_size(r->bytes) > recipe.max_bytes)
        g_assert_nonnull(strstr(r->note, "still larger than asked"));
    if (!r->cleaned)
        g_assert_cmpint(r->format, ==, recipe.format == RECIPE_KEEP && kind_of(bytes) == KIND_GIF ? IMG_GIF : IMG_WEBP);
    film_clear(&made);
}

static const char *const recipes[] = { "web",
                                       "web format=keep max-edge=300",
                                       "web format=keep max-edge=120",
                                       "web quality=100 max-edge=300",
                                       "web max-bytes=4096 max-edge=300",
                                       "web format=jpeg",
                                       "web min-savings=90 max-edge=300" };

static void test_file(gconstpointer data)
{
    g_autofree char *content = NULL;
    gsize size;
    Film source;
    g_assert_true(g_file_get_contents(data, &content, &size, NULL));
    g_autoptr(GBytes) bytes = g_bytes_new(content, size);
    if (!film_read(bytes, &source) || source.frames < 2) {
        g_test_skip("no animation");
        film_clear(&source);
        return;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(recipes); i++) {
        ImgResult r;
        make(bytes, recipes[i], NULL, &r);
        g_autofree char *text = img_result_text(&r);
        g_test_message("%s: %" G_GSIZE_FORMAT " -> %" G_GSIZE_FORMAT " %s%s", recipes[i], size,
                       r.bytes != NULL ? g_bytes_get_size(r.bytes) : size, text, r.note);
        g_assert_cmpint(r.kind, !=, IMG_FAILED);
        if (r.kind == IMG_MADE)
            check_made(bytes, &source, recipes[i], &r);
        else
            check_nothing_is_told(bytes);
        if (r.kind == IMG_AS_IS || r.cleaned || strstr(recipes[i], "jpeg") != NULL)
            g_assert_cmpint(r.note[0], !=, 0);
        if (strstr(recipes[i], "jpeg") != NULL)
            g_assert_true(r.kind == IMG_AS_IS || r.cleaned);
        img_result_clear(&r);
    }
    film_clear(&source);
}

/* ------------------------------------------------------------------ an animation of our own */

/* count frames, each of a colour of its own (every third the same as the one before), half transparent at the right. */
static GBytes *film_of(int count, int width, int height, const char *suffix, int delay_ms, int plays)
{
    g_autofree uint8_t *pixels = g_malloc0((gsize)count * (gsize)width * (gsize)height * 4);
    g_autofree int *delays = g_new(int, count);
    uint8_t *p = pixels;
    for (int i = 0; i < count; i++) {
        const int shade = i % 3 == 2 ? i - 1 : i;
        delays[i] = delay_ms + i * 10;
        for (int at = 0; at < width * height; at++, p += 4)
            if (at % width < width / 2)
                memcpy(p, (uint8_t[4]){ (uint8_t)(shade * 40), (uint8_t)(at / width * 2), (uint8_t)(255 - shade * 30), 255 }, 4);
    }
    VipsImage *tall = vips_image_new_from_memory(pixels, (size_t)(p - pixels), width, height * count, 4, VIPS_FORMAT_UCHAR), *srgb = NULL;
    g_assert_cmpint(vips_copy(tall, &srgb, "interpretation", VIPS_INTERPRETATION_sRGB, NULL), ==, 0);
    vips_image_set_int(srgb, VIPS_META_PAGE_HEIGHT, height);
    vips_image_set_array_int(srgb, "delay", delays, count);
    vips_image_set_int(srgb, "loop", plays);
    void *data;
    size_t size;
    g_assert_cmpint(vips_image_write_to_buffer(srgb, suffix, &data, &size, NULL), ==, 0);
    g_object_unref(tall);
    g_object_unref(srgb);
    return g_bytes_new_take(data, size);
}

static void test_timing(void)
{
    static const int plays[] = { 0, 1, 2, 7 };
    for (gsize i = 0; i < G_N_ELEMENTS(plays); i++) {
        g_autoptr(GBytes) bytes = film_of(7, 120, 90, ".gif", 0, plays[i]);
        Film source, made;
        ImgResult r;
        g_assert_true(film_read(bytes, &source));
        g_assert_cmpint(source.frames, ==, 7);
        g_assert_cmpint(source.plays, ==, plays[i]);
        make(bytes, "web min-savings=0", NULL, &r);
        g_assert_cmpint(r.kind, ==, IMG_MADE);
        g_assert_true(film_read(r.bytes, &made));
        check_film(&source, &made, &r, false);
        film_clear(&source);
        film_clear(&made);
        img_result_clear(&r);
    }
}

/* ------------------------------------------------------------------ private data */

static GBytes *read_blob(const char *name, const char *field)
{
    g_autofree char *path = g_build_filename(g_getenv("HOIST_TEST_DATA"), "images", name, NULL);
    const void *data;
    size_t size;
    VipsImage *image = vips_image_new_from_file(path, NULL);
    g_assert_nonnull(image);
    g_assert_cmpint(vips_image_get_blob(image, field, &data, &size), ==, 0);
    GBytes *bytes = g_bytes_new(data, size);
    g_object_unref(image);
    return bytes;
}

static void add_chunk(WebPMux *mux, const char *fourcc, GBytes *bytes)
{
    const WebPData data = { g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes) };
    g_assert_cmpint(WebPMuxSetChunk(mux, fourcc, &data, 1), ==, WEBP_MUX_OK);
}

static GBytes *with_private_data(GBytes *film)
{
    g_autoptr(GBytes) exif = read_blob("jpeg/metadata-gps.jpg", VIPS_META_EXIF_NAME);
    g_autoptr(GBytes) xmp = read_blob("jpeg/metadata-gps.jpg", VIPS_META_XMP_NAME);
    const WebPData data = { g_bytes_get_data(film, NULL), g_bytes_get_size(film) };
    WebPData whole;
    WebPMux *mux = WebPMuxCreate(&data, 1);
    add_chunk(mux, "EXIF", exif);
    add_chunk(mux, "XMP ", xmp);
    g_assert_cmpint(WebPMuxAssemble(mux, &whole), ==, WEBP_MUX_OK);
    GBytes *bytes = g_bytes_new(whole.bytes, whole.size);
    WebPDataClear(&whole);
    WebPMuxDelete(mux);
    return bytes;
}

static void test_private_data_goes(void)
{
    static const char *const words[] = { "web metadata=none", "web metadata=none min-savings=90", "web metadata=none format=png" };
    g_autoptr(GBytes) film = film_of(5, 200, 100, ".webp[Q=95]", 100, 0);
    g_autoptr(GBytes) bytes = with_private_data(film);
    for (gsize i = 0; i < G_N_ELEMENTS(words); i++) {
        ImgResult r;
        make(bytes, words[i], NULL, &r);
        g_test_message("%s: %s", words[i], r.note);
        g_assert_cmpint(r.kind, ==, IMG_MADE);
        g_assert_cmpint(r.cleaned, ==, i > 0);
        g_assert_cmpuint(r.width_px, ==, 100); /* turned upright: the EXIF says that it lies on its side */
        g_assert_cmpuint(r.height_px, ==, 200);
        check_nothing_is_told(r.bytes);
        img_result_clear(&r);
    }
}

static void test_harmless_data_may_stay(void)
{
    static const char *const private[] = {
        "-GPS:all", "-XMP:all", "-SerialNumber", "-OwnerName", "-MakerNotes:all", "-ThumbnailImage", NULL
    };
    static const char *const harmless[] = { "-Model", "-DateTimeOriginal", "-Copyright", "-Artist", "-Make", NULL };
    g_autoptr(GBytes) film = film_of(5, 200, 100, ".webp[Q=95]", 100, 0);
    g_autoptr(GBytes) bytes = with_private_data(film);
    ImgResult r;
    make(bytes, "web metadata=safe", NULL, &r);
    g_assert_cmpint(r.kind, ==, IMG_MADE);
    g_assert_false(r.cleaned);
    g_autofree char *told = tags_of(r.bytes, private), *kept = tags_of(r.bytes, harmless), *had = tags_of(bytes, private);
    if (told != NULL) {
        g_assert_cmpstr(had, !=, "");
        g_assert_cmpstr(told, ==, "");
        g_assert_cmpstr(kept, !=, "");
    }
    img_result_clear(&r);
}

/* ------------------------------------------------------------------ limits */

static void test_deadline_is_kept(void)
{
    g_autoptr(GBytes) bytes = film_of(5, 200, 100, ".gif", 100, 0);
    static const char *const words[] = { "web", "web format=keep" };
    for (gsize i = 0; i < G_N_ELEMENTS(words); i++) {
        const ImgWatch watch = { .deadline_us = 1 };
        ImgResult r;
        make(bytes, words[i], &watch, &r);
        g_assert_cmpint(r.kind, ==, IMG_FAILED);
        g_assert_null(r.bytes);
        g_assert_nonnull(strstr(r.note, "too long"));
    }
}

static void note_percent(void *ctx, unsigned percent)
{
    unsigned *last = ctx;
    g_assert_cmpuint(percent, >, *last);
    g_assert_cmpuint(percent, <=, 100);
    *last = percent;
}

static void test_progress_rises(void)
{
    g_autoptr(GBytes) bytes = film_of(8, 300, 200, ".gif", 100, 0);
    static const char *const words[] = { "web", "web format=keep", "web max-bytes=1024" };
    for (gsize i = 0; i < G_N_ELEMENTS(words); i++) {
        unsigned last = 0;
        const ImgWatch watch = { .progress = note_percent, .ctx = &last };
        ImgResult r;
        make(bytes, words[i], &watch, &r);
        g_assert_cmpuint(last, >=, 50);
        img_result_clear(&r);
    }
}

static void test_bomb_is_refused(void)
{
    g_autofree char *path = g_build_filename(g_getenv("HOIST_TEST_DATA"), "images", "bomb", "600-frames-of-3000x3000.gif", NULL);
    g_autofree char *content = NULL;
    gsize size;
    ImgResult r;
    g_assert_true(g_file_get_contents(path, &content, &size, NULL));
    g_autoptr(GBytes) bytes = g_bytes_new(content, size);
    make(bytes, "web", NULL, &r);
    g_assert_cmpint(r.kind, ==, IMG_FAILED);
    g_assert_cmpuint(r.encodes, ==, 0);
    g_assert_nonnull(strstr(r.note, "too many pixels"));
}

/* Cut anywhere, or with any byte changed: a reason or an animation that can be read. */
static void test_damage(gconstpointer suffix)
{
    g_autoptr(GBytes) whole = film_of(6, 80, 60, suffix, 100, 0);
    gsize size;
    const uint8_t *data = g_bytes_get_data(whole, &size);
    for (gsize i = 0; i < 64; i++) {
        const bool cut = i % 2 == 0;
        const gsize at = 16 + (size - 17) * i / 64;
        g_autofree uint8_t *copy = g_memdup2(data, size);
        copy[at] ^= cut ? 0 : 0x5a;
        g_autoptr(GBytes) bytes = g_bytes_new(copy, cut ? at : size);
        ImgResult r;
        Film made;
        make(bytes, "web min-savings=0", NULL, &r);
        if (r.kind == IMG_FAILED) {
            g_assert_null(r.bytes);
            g_assert_cmpint(r.note[0], !=, 0);
        } else if (r.kind == IMG_MADE && !r.cleaned) {
            g_assert_true(film_read(r.bytes, &made));
            film_clear(&made);
        }
        if (cut)
            g_assert_cmpint(r.kind, ==, IMG_FAILED);
        img_result_clear(&r);
    }
}

/* ------------------------------------------------------------------ */

static void add_files(const char *dir)
{
    static const char *const folders[] = { "anim", "gif", "webp" };
    for (gsize i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *folder = g_build_filename(dir, folders[i], NULL);
        g_autoptr(GDir) d = g_dir_open(folder, 0, NULL);
        const char *name;
        while (d != NULL && (name = g_dir_read_name(d)) != NULL) {
            g_autofree char *plain = g_strdelimit(g_strescape(name, NULL), "/ \\[]%#", '_');
            g_autofree char *test = g_strdup_printf("/anim/file/%s_%s", folders[i], plain);
            g_test_add_data_func_full(test, g_build_filename(folder, name, NULL), test_file, g_free);
        }
    }
}

static void drop_log(const char *domain, GLogLevelFlags level, const char *message, gpointer data)
{
    (void)domain, (void)level, (void)message, (void)data;
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK); /* libvips warns about damaged pictures */
    g_log_set_handler("VIPS", G_LOG_LEVEL_INFO | G_LOG_LEVEL_DEBUG | G_LOG_LEVEL_WARNING, drop_log, NULL);
    g_assert_true(img_init(argv[0]));
    g_autofree char *images = g_build_filename(g_getenv("HOIST_TEST_DATA"), "images", NULL);
    g_test_add_func("/anim/timing-and-loops-stay", test_timing);
    g_test_add_func("/anim/private-data-goes", test_private_data_goes);
    g_test_add_func("/anim/harmless-data-may-stay", test_harmless_data_may_stay);
    g_test_add_func("/anim/deadline-is-kept", test_deadline_is_kept);
    g_test_add_func("/anim/progress-rises", test_progress_rises);
    g_test_add_func("/anim/bomb-is-refused", test_bomb_is_refused);
    g_test_add_data_func("/anim/damaged-gif", ".gif", test_damage);
    g_test_add_data_func("/anim/damaged-webp", ".webp[lossless]", test_damage);
    add_files(images);
    if (g_getenv("HOIST_IMAGES") != NULL)
        add_files(g_getenv("HOIST_IMAGES"));
    const int status = g_test_run();
    vips_shutdown();
    return status;
}
