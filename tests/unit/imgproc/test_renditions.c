/* What a recipe's words do, on pictures that the tests make themselves. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "facts.h"

enum { WIDTH = 900, HEIGHT = 600 };

static char *folder;

static char *path_of(const char *name)
{
    return g_build_filename(folder, name, NULL);
}

/* Smooth shapes with fine noise on them, the same at every run: as a photograph for an encoder. Caller unrefs. */
static VipsImage *photo(double noise)
{
    static const double factors[3] = { 2.6, 1.7, 1.1 };
    VipsImage *grain = NULL, *waves = NULL, *sum = NULL, *parts[3], *rgb = NULL, *out = NULL;
    g_assert_cmpint(vips_gaussnoise(&grain, WIDTH, HEIGHT, "sigma", noise, "mean", 128.0, "seed", 7, NULL), ==, 0);
    g_assert_cmpint(vips_zone(&waves, WIDTH, HEIGHT, NULL), ==, 0);
    for (int i = 0; i < 3; i++) {
        VipsImage *scaled = NULL;
        g_assert_cmpint(vips_linear1(waves, &scaled, factors[i] * 20, 0, NULL), ==, 0);
        g_assert_cmpint(vips_add(scaled, grain, &parts[i], NULL), ==, 0);
        g_object_unref(scaled);
    }
    g_assert_cmpint(vips_bandjoin(parts, &sum, 3, NULL), ==, 0);
    g_assert_cmpint(vips_cast(sum, &rgb, VIPS_FORMAT_UCHAR, NULL), ==, 0);
    g_assert_cmpint(vips_copy(rgb, &out, "interpretation", VIPS_INTERPRETATION_sRGB, NULL), ==, 0);
    for (int i = 0; i < 3; i++)
        g_object_unref(parts[i]);
    g_object_unref(grain);
    g_object_unref(waves);
    g_object_unref(sum);
    g_object_unref(rgb);
    return out;
}

/* Takes image. */
static char *save(VipsImage *image, const char *name)
{
    char *path = path_of(name);
    const bool jpeg = g_str_has_suffix(name, ".jpg");
    if (jpeg)
        g_assert_cmpint(vips_jpegsave(image, path, "Q", 95, NULL), ==, 0);
    else
        g_assert_cmpint(vips_image_write_to_file(image, path, NULL), ==, 0);
    g_object_unref(image);
    return path;
}

static ImgResult render(const char *path, const char *text)
{
    const ImgRecipe recipe = facts_recipe(text);
    ImgResult r;
    facts_render(path, &recipe, 1, &r);
    g_autofree char *words = img_result_text(&r);
    g_test_message("%s: %" G_GSIZE_FORMAT " %s (%s)", text, r.bytes != NULL ? g_bytes_get_size(r.bytes) : 0, words, r.note);
    return r;
}

static Facts facts_of_result(const ImgResult *r)
{
    g_assert_cmpint(r->kind, ==, IMG_MADE);
    Facts f = facts_of(g_bytes_get_data(r->bytes, NULL), g_bytes_get_size(r->bytes), 0xffffff);
    g_assert_nonnull(f.small);
    return f;
}

static Facts facts_of_file(const char *path)
{
    g_autofree char *content = NULL;
    gsize size;
    g_assert_true(g_file_get_contents(path, &content, &size, NULL));
    return facts_of(content, size, 0xffffff);
}

/* ------------------------------------------------------------------ limits */

static void test_byte_limits_are_met(void)
{
    g_autofree char *path = save(photo(12), "limits.jpg");
    static const char *const formats[] = { "webp", "jpeg", "avif" };
    for (gsize f = 0; f < G_N_ELEMENTS(formats); f++) {
        g_autofree char *plain = g_strdup_printf("web format=%s max-bytes=none", formats[f]);
        ImgResult r = render(path, plain);
        const double bytes = (double)g_bytes_get_size(r.bytes);
        img_result_clear(&r);
        for (double part = 0.9; part > 0.04; part /= 1.6) {
            g_autofree char *text = g_strdup_printf("web format=%s max-bytes=%d", formats[f], (int)(bytes * part));
            r = render(path, text);
            g_assert_cmpint(r.kind, ==, IMG_MADE);
            g_assert_cmpuint(g_bytes_get_size(r.bytes), <=, (gsize)(bytes * part));
            g_assert_cmpuint(g_bytes_get_size(r.bytes), >=, (gsize)(bytes * part * 0.6));
            g_assert_cmpuint(r.encodes, <=, 5);
            g_assert_cmpuint(r.quality, >=, 50);
            img_result_clear(&r);
        }
    }
}

static void test_hopeless_limit_is_told(void)
{
    g_autofree char *path = save(photo(40), "hopeless.jpg");
    ImgResult r = render(path, "web max-bytes=1024 min-quality=80");
    g_assert_cmpint(r.kind, ==, IMG_MADE);
    g_assert_cmpuint(r.width_px, ==, 320);
    g_assert_cmpuint(r.encodes, <=, IMG_ENCODES_MAX);
    g_assert_nonnull(strstr(r.note, "still larger than asked at 320 px"));
    img_result_clear(&r);
}

static void test_least_quality_is_kept(void)
{
    g_autofree char *path = save(photo(12), "least.jpg");
    unsigned before = 0;
    for (unsigned least = 79; least >= 40; least -= 13) {
        g_autofree char *text = g_strdup_printf("web max-bytes=40000 min-quality=%u", least);
        ImgResult r = render(path, text);
        g_assert_cmpuint(r.quality, >=, least);
        g_assert_cmpuint(r.width_px, >=, before);
        before = r.width_px;
        img_result_clear(&r);
    }
}

static void test_never_larger_than_the_source(void)
{
    VipsImage *image = photo(25);
    g_autofree char *path = path_of("coarse.jpg");
    g_assert_cmpint(vips_jpegsave(image, path, "Q", 12, "optimize-coding", TRUE, NULL), ==, 0);
    g_object_unref(image);
    const Facts source = facts_of_file(path);
    static const char *const texts[] = { "web", "web max-edge=890", "web format=png", "web format=avif", "web quality=100", "archive" };
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        ImgResult r = render(path, texts[i]);
        g_assert_cmpint(r.kind, !=, IMG_FAILED);
        if (r.kind == IMG_MADE)
            g_assert_cmpuint(g_bytes_get_size(r.bytes), <=, source.bytes);
        else
            g_assert_cmpstr(r.note, !=, "");
        img_result_clear(&r);
    }
    facts_clear((Facts *)&source);
}

static void test_too_little_saved_is_not_worth_it(void)
{
    g_autofree char *path = save(photo(12), "savings.jpg");
    ImgResult r = render(path, "web min-savings=0");
    const double saved = 100 - 100.0 * (double)g_bytes_get_size(r.bytes) / (double)facts_of_file(path).bytes;
    img_result_clear(&r);
    g_autofree char *less = g_strdup_printf("web min-savings=%d", (int)saved - 1);
    g_autofree char *more = g_strdup_printf("web min-savings=%d", (int)saved + 2);
    g_autofree char *needed = g_strdup_printf("web min-savings=90 max-edge=%d", WIDTH - 10);
    r = render(path, less);
    g_assert_true(r.kind == IMG_MADE && !r.cleaned);
    img_result_clear(&r);
    r = render(path, more);
    g_assert_true(r.kind == IMG_AS_IS || r.cleaned);
    img_result_clear(&r);
    r = render(path, needed);
    g_assert_true(r.kind == IMG_MADE && !r.cleaned);
    img_result_clear(&r);
}

/* ------------------------------------------------------------------ pixels */

static void test_without_loss_is_without_loss(void)
{
    g_autofree char *path = save(photo(4), "lossless.png");
    static const char *const texts[] = { "web quality=100 max-bytes=none", "web format=png max-bytes=none min-savings=0" };
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        ImgResult r = render(path, texts[i]);
        if (r.kind == IMG_MADE && !r.cleaned) {
            Facts before = facts_of_file(path), after = facts_of_result(&r);
            g_assert_cmpuint(r.quality, ==, 100);
            g_assert_cmpfloat(facts_difference(&before, &after), ==, 0);
            facts_clear(&before);
            facts_clear(&after);
        }
        img_result_clear(&r);
    }
}

/* Two colours and sharp edges: coded without loss, as a drawing is. */
static VipsImage *drawing(void)
{
    VipsImage *black = NULL, *out = NULL;
    g_assert_cmpint(vips_black(&black, WIDTH, HEIGHT, "bands", 3, NULL), ==, 0);
    g_assert_cmpint(vips_copy(black, &out, "interpretation", VIPS_INTERPRETATION_sRGB, NULL), ==, 0);
    g_object_unref(black);
    VipsImage *memory = vips_image_copy_memory(out);
    g_object_unref(out);
    for (int i = 0; i < 60; i++) {
        double ink[] = { 20 + i * 3, 200, 255 - i };
        g_assert_cmpint(vips_draw_rect(memory, ink, 3, i * 14, i * 9, 90, 40, NULL), ==, 0);
    }
    return memory;
}

static void test_content_chooses_the_format(void)
{
    g_autofree char *flat = path_of("flat.png"), *noisy = save(photo(6), "photo.jpg");
    VipsImage *image = drawing();
    g_assert_cmpint(vips_pngsave(image, flat, "compression", 1, NULL), ==, 0);
    g_object_unref(image);
    ImgResult r = render(flat, "web min-savings=0");
    g_assert_cmpint(r.kind, ==, IMG_MADE);
    g_assert_cmpuint(r.quality, ==, 100);
    Facts before = facts_of_file(flat), after = facts_of_result(&r);
    g_assert_cmpfloat(facts_difference(&before, &after), ==, 0);
    facts_clear(&before);
    facts_clear(&after);
    img_result_clear(&r);
    r = render(noisy, "web min-savings=0");
    g_assert_cmpuint(r.quality, ==, 80);
    g_assert_true(r.format == IMG_WEBP || r.format == IMG_JPEG);
    img_result_clear(&r);
}

static void test_keep_keeps_the_format(void)
{
    static const struct {
        const char *name;
        ImgFormat format;
    } rows[] = { { "k.jpg", IMG_JPEG },  { "k.png", IMG_PNG }, { "k.webp", IMG_WEBP },
                 { "k.avif", IMG_AVIF }, { "k.gif", IMG_GIF }, { "k.tif", IMG_WEBP } };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = save(photo(6), rows[i].name);
        ImgResult r = render(path, "web format=keep max-edge=200");
        g_assert_cmpint(r.kind, ==, IMG_MADE);
        g_assert_cmpint(r.format, ==, rows[i].format);
        facts_clear(&(Facts){ .small = facts_of_result(&r).small });
        img_result_clear(&r);
    }
}

static void test_grey_stays_as_light(void)
{
    VipsImage *colour = photo(10), *grey = NULL;
    g_assert_cmpint(vips_colourspace(colour, &grey, VIPS_INTERPRETATION_B_W, NULL), ==, 0);
    g_object_unref(colour);
    g_autofree char *path = save(grey, "grey.png");
    Facts before = facts_of_file(path);
    static const char *const texts[] = { "web min-savings=0", "web format=jpeg", "web format=png max-edge=300",
                                         "web format=avif max-edge=300" };
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        ImgResult r = render(path, texts[i]);
        Facts after = facts_of_result(&r);
        double was, is;
        g_assert_cmpint(vips_avg(before.small, &was, NULL), ==, 0);
        g_assert_cmpint(vips_avg(after.small, &is, NULL), ==, 0);
        g_assert_cmpfloat(fabs(was - is), <, 1.5);
        if (r.format == IMG_JPEG || r.format == IMG_PNG)
            g_assert_cmpint(after.bands, ==, 1);
        facts_clear(&after);
        img_result_clear(&r);
    }
    facts_clear(&before);
}

static void test_transparent_pixels(void)
{
    VipsImage *rgb = photo(6), *alpha = NULL, *joined = NULL, *out = NULL;
    g_assert_cmpint(vips_extract_band(rgb, &alpha, 0, NULL), ==, 0);
    g_assert_cmpint(vips_bandjoin2(rgb, alpha, &joined, NULL), ==, 0);
    g_assert_cmpint(vips_copy(joined, &out, "interpretation", VIPS_INTERPRETATION_sRGB, NULL), ==, 0);
    g_object_unref(rgb);
    g_object_unref(alpha);
    g_object_unref(joined);
    g_autofree char *path = save(out, "alpha.png");
    static const char *const with[] = { "web", "web format=webp", "web format=png max-edge=300", "web format=avif max-edge=300" };
    for (gsize i = 0; i < G_N_ELEMENTS(with); i++) {
        ImgResult r = render(path, with[i]);
        Facts after = facts_of_result(&r);
        g_assert_cmpint(after.bands, ==, 4);
        facts_clear(&after);
        img_result_clear(&r);
    }
    g_autofree char *content = NULL;
    gsize size;
    g_assert_true(g_file_get_contents(path, &content, &size, NULL));
    Facts red = facts_of(content, size, 0xff0000);
    ImgResult r = render(path, "web format=jpeg background=ff0000 quality=95");
    Facts after = facts_of_result(&r);
    g_assert_cmpint(after.bands, ==, 3);
    g_assert_cmpfloat(facts_difference(&red, &after), <, 5);
    facts_clear(&red);
    facts_clear(&after);
    img_result_clear(&r);
}

/* The profile of the widest colours that libvips has, with pixels converted to it. */
static void test_profiles(void)
{
    VipsImage *srgb = photo(5), *wide = NULL;
    g_assert_cmpint(vips_icc_transform(srgb, &wide, "p3", "input_profile", "srgb", NULL), ==, 0);
    g_object_unref(srgb);
    g_autofree char *path = save(wide, "wide.jpg");
    Facts before = facts_of_file(path);
    static const char *const texts[] = { "web max-edge=300", "web max-edge=300 color-profile=keep",
                                         "web max-edge=300 format=png color-profile=keep",
                                         "web max-edge=300 format=avif color-profile=keep",
                                         "web max-edge=300 format=jpeg color-profile=keep" };
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        ImgResult r = render(path, texts[i]);
        Facts after = facts_of_result(&r);
        VipsImage *image = vips_image_new_from_buffer(g_bytes_get_data(r.bytes, NULL), g_bytes_get_size(r.bytes), "", NULL);
        g_assert_cmpint(vips_image_get_typeof(image, VIPS_META_ICC_NAME) != 0, ==, i > 0);
        g_object_unref(image);
        g_assert_cmpfloat(facts_difference(&before, &after), <, 4);
        facts_clear(&after);
        img_result_clear(&r);
    }
    facts_clear(&before);
}

/* 64 in bytes, as a PNG that has these chunks before its pixels, and what it becomes. */
static double level_of_png(const void *chunks, gsize size)
{
    enum { CHUNKS_AT = 33 };
    VipsImage *black = NULL, *flat = NULL, *made = NULL;
    g_assert_cmpint(vips_black(&black, WIDTH, HEIGHT, "bands", 3, NULL), ==, 0);
    g_assert_cmpint(vips_linear1(black, &flat, 1, 64, "uchar", TRUE, NULL), ==, 0);
    g_object_unref(black);
    void *plain;
    size_t n;
    g_assert_cmpint(vips_pngsave_buffer(flat, &plain, &n, "strip", TRUE, NULL), ==, 0);
    g_object_unref(flat);
    g_autoptr(GByteArray) png = g_byte_array_new();
    g_byte_array_append(png, plain, CHUNKS_AT);
    g_byte_array_append(png, chunks, (guint)size);
    g_byte_array_append(png, (const guint8 *)plain + CHUNKS_AT, (guint)(n - CHUNKS_AT));
    g_free(plain);
    g_autofree char *path = path_of("gamma.png");
    g_assert_true(g_file_set_contents(path, (const char *)png->data, (gssize)png->len, NULL));
    ImgResult r = render(path, "web max-edge=300 format=png");
    g_assert_cmpint(r.kind, ==, IMG_MADE);
    made = vips_image_new_from_buffer(g_bytes_get_data(r.bytes, NULL), g_bytes_get_size(r.bytes), "", NULL);
    g_assert_nonnull(made);
    double level = 0;
    g_assert_cmpint(vips_avg(made, &level, NULL), ==, 0);
    g_object_unref(made);
    img_result_clear(&r);
    return level;
}

/* What a PNG says of its colours by numbers counts as a profile does, unless it says sRGB, or nonsense. */
static void test_gamma_of_png(void)
{
    static const char linear[] = "\x00\x00\x00\x04\x67\x41\x4d\x41\x00\x01\x86\xa0\x31\xe8\x96\x5f";
    static const char
        usual[] = "\x00\x00\x00\x04\x67\x41\x4d\x41\x00\x00\xb1\x8f\x0b\xfc\x61\x05",
        srgb[] = "\x00\x00\x00\x01\x73\x52\x47\x42\x00\xae\xce\x1c\xe9\x00\x00\x00\x04\x67\x41\x4d\x41\x00\x01\x86\xa0\x31\xe8\x96\x5f";
    static const char nonsense[] =
        "\x00\x00\x00\x20\x63\x48\x52\x4d\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
        "\xff\xff\xff\xff\xff\xff\xff\xff\x46\x80\x4b\x01\x00\x00\x00\x04\x67\x41\x4d\x41\x00\x01\x86\xa0\x31\xe8\x96\x5f";
    const double as_srgb = 255 * (1.055 * pow(64 / 255.0, 1 / 2.4) - 0.055);
    g_assert_cmpfloat_with_epsilon(level_of_png(linear, sizeof linear - 1), as_srgb, 1.5);
    g_assert_cmpfloat_with_epsilon(level_of_png(usual, sizeof usual - 1), 64, 0.5);
    g_assert_cmpfloat_with_epsilon(level_of_png(srgb, sizeof srgb - 1), 64, 0.5);
    g_assert_cmpfloat_with_epsilon(level_of_png(nonsense, sizeof nonsense - 1), 64, 0.5);
}

static void test_first_page_is_told(void)
{
    VipsImage *pages[3], *joined = NULL;
    for (int i = 0; i < 3; i++)
        pages[i] = photo(3 + i);
    g_assert_cmpint(vips_arrayjoin(pages, &joined, 3, "across", 1, NULL), ==, 0);
    g_autofree char *path = path_of("pages.tif");
    g_assert_cmpint(vips_tiffsave(joined, path, "page-height", HEIGHT, NULL), ==, 0);
    for (int i = 0; i < 3; i++)
        g_object_unref(pages[i]);
    g_object_unref(joined);
    ImgResult r = render(path, "web");
    g_assert_cmpint(r.kind, ==, IMG_MADE);
    g_assert_cmpuint(r.height_px, ==, HEIGHT);
    g_assert_cmpstr(r.note, ==, "first of 3 pages");
    img_result_clear(&r);
}

/* ------------------------------------------------------------------ several at once */

static void test_renditions_are_those_of_one(void)
{
    g_autofree char *path = save(photo(9), "several.jpg");
    static const char *const texts[] = { "web", "thumb", "web max-edge=500 format=jpeg", "web format=png max-edge=150" };
    ImgRecipe recipes[G_N_ELEMENTS(texts)];
    ImgResult all[G_N_ELEMENTS(texts)];
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
        recipes[i] = facts_recipe(texts[i]);
    facts_render(path, recipes, G_N_ELEMENTS(texts), all);
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        ImgResult one = render(path, texts[i]);
        g_assert_cmpuint(all[i].width_px, ==, one.width_px);
        g_assert_cmpuint(all[i].height_px, ==, one.height_px);
        g_assert_cmpint(all[i].format, ==, one.format);
        Facts a = facts_of_result(&all[i]), b = facts_of_result(&one);
        g_assert_cmpfloat(facts_difference(&a, &b), <, 3);
        facts_clear(&a);
        facts_clear(&b);
        img_result_clear(&one);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
        img_result_clear(&all[i]);
}

static void note_percent(void *ctx, unsigned percent)
{
    unsigned *last = ctx;
    g_assert_cmpuint(percent, >, *last);
    g_assert_cmpuint(percent, <=, 100);
    *last = percent;
}

static void test_progress_rises_over_all(void)
{
    g_autofree char *path = save(photo(9), "progress.jpg");
    const ImgRecipe recipes[] = { facts_recipe("web"), facts_recipe("web max-edge=300 format=jpeg"), facts_recipe("web max-bytes=20000") };
    ImgResult out[G_N_ELEMENTS(recipes)];
    unsigned last = 0;
    const ImgWatch watch = { .progress = note_percent, .ctx = &last };
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    img_render(fd, recipes, G_N_ELEMENTS(recipes), &watch, out);
    close(fd);
    g_assert_cmpuint(last, ==, 100);
    for (gsize i = 0; i < G_N_ELEMENTS(recipes); i++)
        img_result_clear(&out[i]);
}

static void test_deadline_is_kept(void)
{
    g_autofree char *path = save(photo(9), "late.jpg");
    const ImgRecipe recipes[] = { facts_recipe("web"), facts_recipe("thumb format=avif") };
    ImgResult out[G_N_ELEMENTS(recipes)];
    const ImgWatch watch = { .deadline_us = 1 };
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    img_render(fd, recipes, G_N_ELEMENTS(recipes), &watch, out);
    close(fd);
    for (gsize i = 0; i < G_N_ELEMENTS(recipes); i++) {
        g_assert_cmpint(out[i].kind, ==, IMG_FAILED);
        g_assert_cmpstr(out[i].note, ==, "preparing it took too long");
        img_result_clear(&out[i]);
    }
}

/* ------------------------------------------------------------------ kinds that are left alone, unless */

static char *write_file(const char *name, const void *data, gssize size)
{
    char *path = path_of(name);
    g_assert_true(g_file_set_contents(path, data, size, NULL));
    return path;
}

static void test_vectors_when_asked(void)
{
    static const char svg[] = "<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\" width=\"40\" height=\"20\">"
                              "<rect width=\"20\" height=\"20\" fill=\"#f00\"/></svg>";
    static const char huge[] = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"300000\" height=\"300000\"/>";
    g_autofree char *path = write_file("a.svg", svg, -1), *bomb = write_file("bomb.svg", huge, -1);
    ImgResult r = render(path, "web");
    g_assert_cmpint(r.kind, ==, IMG_AS_IS);
    r = render(path, "web vectors=yes max-edge=400");
    g_assert_cmpint(r.kind, ==, IMG_MADE);
    g_assert_cmpuint(r.width_px, ==, 400);
    g_assert_cmpuint(r.height_px, ==, 200);
    img_result_clear(&r);
    r = render(bomb, "web vectors=yes max-edge=none");
    g_assert_cmpint(r.kind, ==, IMG_FAILED);
    g_autofree char *letters =
        write_file("letters.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"40\" height=\"20\"><text>a</text></svg>", -1);
    r = render(letters, "web vectors=yes");
    g_assert_cmpint(r.kind, ==, IMG_AS_IS);
    VipsImage *blocked = NULL; /* again */
    g_assert_cmpint(vips_svgload(path, &blocked, NULL), !=, 0);
    vips_error_clear();
}

/* A camera's raw file is a TIFF whose first picture is a preview of 16 pixels. */
static void test_camera_raws_are_left_alone(void)
{
    VipsImage *image = photo(5);
    g_autofree char *path = save(image, "raw.tif"), *content = NULL;
    gsize size;
    g_assert_true(g_file_get_contents(path, &content, &size, NULL));
    guint32 at;
    memcpy(&at, content + 4, sizeof at);
    at = GUINT32_FROM_LE(at);
    guint16 entries;
    memcpy(&entries, content + at, sizeof entries);
    /* the last entry of the directory becomes DNGVersion */
    const guint16 tag = GUINT16_TO_LE(0xc612);
    memcpy(content + at + 2 + 12 * (gsize)(GUINT16_FROM_LE(entries) - 1), &tag, sizeof tag);
    g_autofree char *raw = write_file("raw.dng", content, (gssize)size);
    ImgResult r = render(raw, "web");
    g_assert_cmpint(r.kind, ==, IMG_AS_IS);
    g_assert_nonnull(strstr(r.note, "raw"));
}

int main(int argc, char **argv)
{
    facts_init(&argc, &argv);
    folder = g_dir_make_tmp("hoist-renditions-XXXXXX", NULL);
    g_test_add_func("/renditions/byte-limits-are-met", test_byte_limits_are_met);
    g_test_add_func("/renditions/hopeless-limit-is-told", test_hopeless_limit_is_told);
    g_test_add_func("/renditions/least-quality-is-kept", test_least_quality_is_kept);
    g_test_add_func("/renditions/never-larger-than-the-source", test_never_larger_than_the_source);
    g_test_add_func("/renditions/too-little-saved-is-not-worth-it", test_too_little_saved_is_not_worth_it);
    g_test_add_func("/renditions/without-loss-is-without-loss", test_without_loss_is_without_loss);
    g_test_add_func("/renditions/content-chooses-the-format", test_content_chooses_the_format);
    g_test_add_func("/renditions/keep-keeps-the-format", test_keep_keeps_the_format);
    g_test_add_func("/renditions/grey-stays-as-light", test_grey_stays_as_light);
    g_test_add_func("/renditions/transparent-pixels", test_transparent_pixels);
    g_test_add_func("/renditions/profiles", test_profiles);
    g_test_add_func("/renditions/gamma-of-png", test_gamma_of_png);
    g_test_add_func("/renditions/first-page-is-told", test_first_page_is_told);
    g_test_add_func("/renditions/those-of-one", test_renditions_are_those_of_one);
    g_test_add_func("/renditions/progress-rises-over-all", test_progress_rises_over_all);
    g_test_add_func("/renditions/deadline-is-kept", test_deadline_is_kept);
    g_test_add_func("/renditions/vectors-when-asked", test_vectors_when_asked);
    g_test_add_func("/renditions/camera-raws-are-left-alone", test_camera_raws_are_left_alone);
    const int status = g_test_run();
    g_autoptr(GDir) d = g_dir_open(folder, 0, NULL);
    for (const char *name; d != NULL && (name = g_dir_read_name(d)) != NULL;) {
        g_autofree char *path = path_of(name);
        g_unlink(path);
    }
    g_rmdir(folder);
    g_free(folder);
    return status;
}
