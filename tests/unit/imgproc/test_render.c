/* Every picture below tests/images and below HOIST_IMAGES goes through the preset; what must come out follows from the picture itself,
 * measured by another way through libvips, never from its name. */
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vips/vips.h>

#include "imgproc/extras.h"
#include "imgproc/imgproc.h"

enum { EDGE = 1920, LIMIT = 1000000, REFERENCE_EDGE = 64, DEADLINE_MS = 60000 };

/* Mean difference of 8-bit samples that lossy coding at quality 50 and another way of resizing may make. */
static const double difference_most = 9;

typedef struct {
    uint64_t bytes;
    int width, height; /* upright; 0 = not a picture that may be decoded */
    int pages;
    VipsImage *small; /* NULL = does not decode without a fault */
} Facts;

static ImgRecipe web;

static VipsImage *open_strict(const uint8_t *data, size_t size)
{
    return vips_image_new_from_buffer(data, size, "", "access", VIPS_ACCESS_SEQUENTIAL, "fail_on", VIPS_FAIL_ON_TRUNCATED, NULL);
}

/* Flat on white, sRGB, REFERENCE_EDGE at most: what a picture looks like from afar. */
static VipsImage *from_afar(const uint8_t *data, size_t size)
{
    VipsImage *image = open_strict(data, size), *small = NULL, *next = NULL;
    if (image == NULL)
        return NULL;
    const bool profile = vips_image_get_typeof(image, VIPS_META_ICC_NAME) != 0;
    const int failed = vips_thumbnail_image(image, &small, REFERENCE_EDGE, "height", REFERENCE_EDGE, "size", VIPS_SIZE_FORCE, "intent",
                                            VIPS_INTENT_PERCEPTUAL, profile ? "export_profile" : NULL, "srgb", NULL);
    g_object_unref(image);
    if (failed)
        return NULL;
    if (vips_colourspace(small, &next, VIPS_INTERPRETATION_sRGB, NULL) == 0) {
        g_object_unref(small);
        small = next;
    }
    if (vips_image_hasalpha(small)) {
        VipsArrayDouble *white = vips_array_double_newv(3, 255.0, 255.0, 255.0);
        g_assert_cmpint(vips_flatten(small, &next, "background", white, NULL), ==, 0);
        vips_area_unref(VIPS_AREA(white));
        g_object_unref(small);
        small = next;
    }
    g_assert_cmpint(vips_cast(small, &next, VIPS_FORMAT_UCHAR, NULL), ==, 0);
    g_object_unref(small);
    small = vips_image_copy_memory(next);
    g_object_unref(next);
    return small;
}

static Facts facts_of(const uint8_t *data, size_t size)
{
    Facts f = { .bytes = size, .pages = 1 };
    VipsImage *image = open_strict(data, size);
    if (image == NULL)
        return f;
    f.width = vips_image_get_width(image);
    f.height = vips_image_get_height(image);
    if (vips_image_get_orientation_swap(image)) {
        f.width = vips_image_get_height(image);
        f.height = vips_image_get_width(image);
    }
    if (vips_image_get_typeof(image, VIPS_META_N_PAGES) != 0)
        vips_image_get_int(image, VIPS_META_N_PAGES, &f.pages);
    g_object_unref(image);
    if ((double)f.width * f.height <= IMG_MEGAPIXELS_MAX * 1e6)
        f.small = from_afar(data, size);
    return f;
}

static bool holds(const uint8_t *data, size_t size, const char *word, size_t length)
{
    return memmem(data, size, word, length) != NULL;
}

/* By brute force over the bytes, not by the code under test. */
static bool has_private_words(const uint8_t *data, size_t size)
{
    return holds(data, size, "Exif\0\0", 6) || holds(data, size, "http://ns.adobe.com/xap", 23) || holds(data, size, "Photoshop 3.0", 13) ||
           holds(data, size, "XML:com.adobe.xmp", 17) || holds(data, size, "XMP DataXMP", 11);
}

static double difference(VipsImage *a, VipsImage *b)
{
    double sum = 0;
    const int bands = vips_image_get_bands(a);
    g_assert_cmpint(bands, ==, vips_image_get_bands(b));
    const int n = REFERENCE_EDGE * REFERENCE_EDGE * bands;
    const uint8_t *pa = VIPS_IMAGE_ADDR(a, 0, 0), *pb = VIPS_IMAGE_ADDR(b, 0, 0);
    for (int i = 0; i < n; i++)
        sum += abs(pa[i] - pb[i]);
    return sum / n;
}

static void check_made(const char *name, const Facts *source, const ImgResult *r)
{
    gsize size;
    const uint8_t *data = g_bytes_get_data(r->bytes, &size);
    g_assert_cmpuint(size, <=, LIMIT);
    g_assert_cmpuint(size, <=, source->bytes);
    g_assert_cmpuint(r->width_px, <=, EDGE);
    g_assert_cmpuint(r->height_px, <=, EDGE);
    g_assert_false(has_private_words(data, size));
    if (r->format == IMG_WEBP) {
        g_assert_cmpint(memcmp(data + 8, "WEBP", 4), ==, 0);
        g_assert_false(extras_in_webp(data, size));
    } else {
        g_assert_cmpint(memcmp(data, "\xff\xd8\xff", 3), ==, 0);
        g_assert_false(extras_in_jpeg(data, size));
    }
    const Facts made = facts_of(data, size);
    g_assert_nonnull(made.small);
    g_assert_nonnull(source->small);
    g_assert_cmpint(made.width, ==, r->width_px);
    g_assert_cmpint(made.height, ==, r->height_px);
    g_assert_cmpint(source->pages, ==, 1);

    const double scale = fmax(made.width, made.height) / fmax(source->width, source->height);
    g_assert_cmpfloat(scale, <=, 1.0);
    g_assert_cmpfloat(fabs(source->width * scale - made.width), <, 2);
    g_assert_cmpfloat(fabs(source->height * scale - made.height), <, 2);
    const double d = difference(source->small, made.small);
    if (d > difference_most)
        g_error("%s: looks different by %.1f", name, d);
    g_object_unref(made.small);
}

static void check_as_is(const Facts *source, const ImgResult *r, const uint8_t *data)
{
    g_assert_null(r->bytes);
    g_assert_true(g_str_has_prefix(r->note, "sent as it is: "));
    g_assert_true(g_utf8_validate(r->note, -1, NULL));
    if (strstr(r->note, "already small") == NULL && strstr(r->note, "not be smaller") == NULL)
        return;
    g_assert_nonnull(source->small);
    g_assert_false(has_private_words(data, source->bytes));
    g_assert_cmpuint(source->bytes, <=, LIMIT);
}

/* Nothing that can be read may slip through as it is with private data in it. */
static void check_outcome_is_due(const Facts *source, const ImgResult *r, const uint8_t *data)
{
    static const char *const trusted[] = { "jpegload_buffer", "pngload_buffer",  "gifload_buffer",
                                           "webpload_buffer", "tiffload_buffer", "heifload_buffer" };
    const char *loader = source->bytes > 0 ? vips_foreign_find_load_buffer(data, source->bytes) : NULL;
    GType type = loader != NULL ? vips_type_find("VipsOperation", loader) : 0;
    const char *nickname = type != 0 ? vips_nickname_find(type) : "";
    bool known = false;
    for (gsize i = 0; i < G_N_ELEMENTS(trusted); i++)
        known = known || g_strcmp0(nickname, trusted[i]) == 0;
    if (!known || source->small == NULL || source->pages > 1 || holds(data, MIN(source->bytes, 4096), "acTL", 4)) {
        g_assert_cmpint(r->kind, ==, IMG_AS_IS);
        return;
    }
    if (has_private_words(data, source->bytes) || source->bytes > LIMIT)
        g_assert_cmpint(r->kind, ==, IMG_MADE);
}

static void render(const char *path, ImgResult *r)
{
    const ImgWatch watch = { .deadline_us = g_get_monotonic_time() + DEADLINE_MS * 1000 };
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    img_render(fd, &web, &watch, r);
    close(fd);
}

static void test_file(gconstpointer data)
{
    const char *path = data;
    g_autofree char *content = NULL;
    gsize size;
    ImgResult r;
    if (!g_file_get_contents(path, &content, &size, NULL)) {
        g_test_skip("not readable");
        return;
    }
    render(path, &r);
    const uint8_t *bytes = (const uint8_t *)content;
    const Facts source = facts_of(bytes, size);
    g_autofree char *text = img_result_text(&r);
    g_autofree char *shown = g_strescape(path, NULL);
    g_test_message("%s: %" G_GSIZE_FORMAT " -> %" G_GSIZE_FORMAT " %s%s", shown, size, r.bytes != NULL ? g_bytes_get_size(r.bytes) : size,
                   text, r.note);
    if (r.kind == IMG_MADE)
        check_made(shown, &source, &r);
    else
        check_as_is(&source, &r, bytes);
    check_outcome_is_due(&source, &r, bytes);
    if (source.small != NULL)
        g_object_unref(source.small);
    img_result_clear(&r);
    vips_error_clear();
}

static void test_budget_is_met(gconstpointer data)
{
    static const uint64_t budgets[] = { 60000, 30000, 12000, 6000 };
    for (gsize i = 0; i < G_N_ELEMENTS(budgets); i++) {
        ImgResult r;
        const ImgRecipe saved = web;
        web.max_bytes = budgets[i];
        render(data, &r);
        web = saved;
        g_assert_cmpint(r.kind, ==, IMG_MADE);
        g_assert_cmpuint(g_bytes_get_size(r.bytes), <=, budgets[i]);
        g_autofree char *text = img_result_text(&r);
        g_test_message("budget %" G_GUINT64_FORMAT ": %" G_GSIZE_FORMAT " %s", budgets[i], g_bytes_get_size(r.bytes), text);
        g_assert_cmpuint(r.encodes, <=, 24);
        img_result_clear(&r);
    }
}

static void test_hopeless_budget_is_told(gconstpointer data)
{
    ImgResult r;
    const ImgRecipe saved = web;
    web.max_bytes = 1024;
    render(data, &r);
    web = saved;
    g_assert_cmpint(r.kind, ==, IMG_MADE);
    g_assert_cmpuint(MAX(r.width_px, r.height_px), ==, 320);
    g_assert_nonnull(strstr(r.note, "still larger than asked"));
    img_result_clear(&r);
}

static void test_deadline_is_kept(gconstpointer data)
{
    ImgResult r;
    const ImgWatch watch = { .deadline_us = g_get_monotonic_time() - 1 };
    const int fd = open(data, O_RDONLY | O_CLOEXEC);
    img_render(fd, &web, &watch, &r);
    close(fd);
    g_assert_cmpint(r.kind, ==, IMG_AS_IS);
    g_assert_nonnull(strstr(r.note, "too long"));
    img_result_clear(&r);
}

static void note_percent(void *ctx, unsigned percent)
{
    unsigned *last = ctx;
    g_assert_cmpuint(percent, >, *last);
    g_assert_cmpuint(percent, <=, 100);
    *last = percent;
}

static void test_progress_rises(gconstpointer data)
{
    ImgResult r;
    unsigned last = 0;
    const ImgWatch watch = { .progress = note_percent, .ctx = &last };
    const int fd = open(data, O_RDONLY | O_CLOEXEC);
    img_render(fd, &web, &watch, &r);
    close(fd);
    g_assert_cmpuint(last, >=, 95);
    img_result_clear(&r);
}

static void add_files(const char *root, const char *dir)
{
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    const char *name;
    while (d != NULL && (name = g_dir_read_name(d)) != NULL) {
        char *path = g_build_filename(dir, name, NULL);
        struct stat st;
        if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
            add_files(root, path);
        if (!S_ISREG(st.st_mode) || g_str_has_suffix(name, ".md")) {
            g_free(path);
            continue;
        }
        /* the harness takes slashes and other bytes of a path for its own */
        g_autofree char *plain = g_strdelimit(g_strescape(path + strlen(root) + 1, NULL), "/ \\[]%#", '_');
        g_autofree char *test = g_strdup_printf("/render/file/%s", plain);
        g_test_add_data_func_full(test, path, test_file, g_free);
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
    g_assert_true(recipe_parse("web", &web, NULL));
    g_autofree char *images = g_build_filename(g_getenv("HOIST_TEST_DATA"), "images", NULL);
    g_autofree char *photo = g_build_filename(images, "photo.jpg", NULL);
    g_test_add_data_func("/render/budget-is-met", photo, test_budget_is_met);
    g_test_add_data_func("/render/hopeless-budget-is-told", photo, test_hopeless_budget_is_told);
    g_test_add_data_func("/render/deadline-is-kept", photo, test_deadline_is_kept);
    g_test_add_data_func("/render/progress-rises", photo, test_progress_rises);
    add_files(images, images);
    const char *more = g_getenv("HOIST_IMAGES");
    if (more != NULL)
        add_files(more, more);
    return g_test_run();
}
