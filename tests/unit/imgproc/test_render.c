/* Every picture below tests/images and below HOIST_IMAGES goes through four recipes at once, and cut or damaged copies of the small ones
 * through one; what must come out follows from the picture itself, measured by another way through libvips, never from its name. */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "facts.h"

/* Mean difference of 8-bit samples that lossy coding at quality 50 and another way of resizing may make. */
static const double difference_most = 9;
static const uint32_t background = 0xff8000;

enum { WEB, THUMB, JPEG, ARCHIVE, N_RECIPES };
static const char *const texts[N_RECIPES] = {
    [WEB] = "web background=ff8000",
    [THUMB] = "thumb background=ff8000",
    [JPEG] = "web format=jpeg max-edge=500 min-savings=0 metadata=none background=ff8000",
    [ARCHIVE] = "archive max-edge=1200 effort=0 background=ff8000",
};
static ImgRecipe recipes[N_RECIPES];

static void check_size_in_pixels(const char *name, const Facts *source, const ImgRecipe *recipe, const ImgResult *r)
{
    const double longest = fmax(source->width, source->height), edge = recipe->max_edge_px != 0 ? recipe->max_edge_px : longest;
    const double scale = fmax(r->width_px, r->height_px) / longest, wanted = fmin(1, edge / longest);
    g_assert_cmpfloat(scale, <=, wanted + 1e-9);
    g_assert_cmpfloat(fabs(source->width * scale - r->width_px), <, 2);
    g_assert_cmpfloat(fabs(source->height * scale - r->height_px), <, 2);
    /* pixels are given up for a limit in bytes only */
    if (recipe->max_bytes == 0 && scale < wanted - 1e-9)
        g_error("%s: %ux%u, smaller than asked", name, r->width_px, r->height_px);
}

static void check_made(const char *name, const Facts *source, const ImgRecipe *recipe, const ImgResult *r)
{
    gsize size;
    const uint8_t *data = g_bytes_get_data(r->bytes, &size);
    Facts made = facts_of(data, size, background);
    g_assert_cmpuint(size, <=, source->bytes);
    g_assert_true(recipe->max_bytes == 0 || size <= recipe->max_bytes || strstr(r->note, "larger than asked") != NULL);
    g_assert_false(facts_has_private_words(data, size));
    g_assert_nonnull(made.small);
    g_assert_nonnull(source->small);
    g_assert_cmpint(made.width, ==, r->width_px);
    g_assert_cmpint(made.height, ==, r->height_px);
    g_assert_cmpuint(r->encodes, <=, IMG_ENCODES_MAX);
    g_assert_cmpuint(r->source_width_px, ==, source->width);
    g_assert_cmpuint(r->source_height_px, ==, source->height);
    if (!r->cleaned && r->frames == 1)
        check_size_in_pixels(name, source, recipe, r);
    const double d = facts_difference(source, &made);
    if (d > (r->cleaned ? 0 : difference_most))
        g_error("%s: looks different by %.1f", name, d);
    facts_clear(&made);
}

/* A picture that can be read is not refused, and none is made of what cannot. */
static void check_outcome_is_due(const uint8_t *data, const Facts *source, const ImgRecipe *recipe, const ImgResult *r)
{
    const bool fine = source->trusted && source->small != NULL;
    g_assert_true(g_utf8_validate(r->note, -1, NULL));
    if (fine && source->pages == 1)
        g_assert_cmpint(r->kind, !=, IMG_FAILED);
    if (!fine)
        g_assert_true(r->kind != IMG_MADE || r->cleaned);
    if (r->kind == IMG_MADE)
        return;
    g_assert_null(r->bytes);
    g_assert_cmpstr(r->note, !=, "");
    if (r->kind == IMG_AS_IS && fine)
        g_assert_false(recipe->metadata != METADATA_ALL && facts_has_private_words(data, source->bytes));
}

static void check_format(const Facts *source, const ImgRecipe *recipe, const ImgResult *r)
{
    gsize size;
    const uint8_t *data = g_bytes_get_data(r->bytes, &size);
    if (recipe->format == RECIPE_JPEG && source->pages == 1)
        g_assert_cmpint(r->format, ==, IMG_JPEG);
    if (r->format == IMG_JPEG) {
        g_assert_cmpint(memcmp(data, "\xff\xd8\xff", 3), ==, 0);
        Facts made = facts_of(data, size, background);
        g_assert_cmpint(made.bands, ==, source->bands <= 2 && made.bands == 1 ? 1 : 3);
        facts_clear(&made);
    }
    if (r->format == IMG_WEBP)
        g_assert_cmpint(memcmp(data + 8, "WEBP", 4), ==, 0);
}

static void check(const char *name, const void *data, size_t size, const ImgResult *results, unsigned n)
{
    Facts source = facts_of(data, size, background);
    for (unsigned i = 0; i < n; i++) {
        const ImgResult *r = &results[i];
        g_autofree char *text = img_result_text(r);
        g_test_message("%s, %s: %" G_GSIZE_FORMAT " -> %" G_GSIZE_FORMAT " %s (%s)", name, texts[i], size,
                       r->bytes != NULL ? g_bytes_get_size(r->bytes) : 0, text, r->note);
        check_outcome_is_due(data, &source, &recipes[i], r);
        if (r->kind == IMG_MADE)
            check_made(name, &source, &recipes[i], r);
        if (r->kind == IMG_MADE && !r->cleaned)
            check_format(&source, &recipes[i], r);
    }
    facts_clear(&source);
}

static void clear(ImgResult *results, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        img_result_clear(&results[i]);
    vips_error_clear();
}

static void test_file(gconstpointer data)
{
    const char *path = data;
    g_autofree char *content = NULL;
    gsize size;
    ImgResult results[N_RECIPES];
    if (!g_file_get_contents(path, &content, &size, NULL)) {
        g_test_skip("not readable");
        return;
    }
    facts_render(path, recipes, N_RECIPES, results);
    g_autofree char *shown = g_strescape(path, NULL);
    check(shown, content, size, results, N_RECIPES);
    clear(results, N_RECIPES);
}

/* ------------------------------------------------------------------ damaged copies */

enum { CUTS = 8, FLIPS = 8, DAMAGED_BYTES_MAX = 70000 };

static void render_copy(const char *name, const uint8_t *data, size_t size)
{
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "hoist-damaged-XXXXXX", NULL);
    const int fd = g_mkstemp(path);
    g_assert_cmpint(fd, >=, 0);
    g_close(fd, NULL);
    g_assert_true(g_file_set_contents(path, (const char *)data, (gssize)size, NULL));
    ImgResult result;
    facts_render(path, &recipes[WEB], 1, &result);
    g_unlink(path);
    check(name, data, size, &result, 1);
    clear(&result, 1);
}

static void test_cut(gconstpointer data)
{
    g_autofree char *content = NULL;
    gsize size;
    if (!g_file_get_contents(data, &content, &size, NULL) || size > DAMAGED_BYTES_MAX || size < CUTS) {
        g_test_skip("too large, or too small");
        return;
    }
    for (unsigned i = 1; i <= CUTS; i++)
        render_copy("cut", (const uint8_t *)content, size * i / (CUTS + 1));
}

/* Flipped bits may go unseen by every decoder; then the copy is a picture of its own, and judged as that. */
static void test_flipped(gconstpointer data)
{
    g_autofree char *content = NULL;
    gsize size;
    if (!g_file_get_contents(data, &content, &size, NULL) || size > DAMAGED_BYTES_MAX || size < FLIPS) {
        g_test_skip("too large, or too small");
        return;
    }
    for (unsigned i = 0; i < FLIPS; i++) {
        g_autofree char *copy = g_memdup2(content, size);
        const gsize at = i < FLIPS / 2 ? 12 + i * 23 : size * i / FLIPS;
        copy[at % size] ^= (char)(1u << i % 8);
        render_copy("flipped", (const uint8_t *)copy, size);
    }
}

/* ------------------------------------------------------------------ the tests */

static void add_test(const char *kind, const char *root, const char *path, GTestDataFunc function)
{
    /* the harness takes slashes and other bytes of a path for its own */
    g_autofree char *plain = g_strdelimit(g_strescape(path + strlen(root) + 1, NULL), "/ \\[]%#", '_');
    g_autofree char *test = g_strdup_printf("/render/%s/%s", kind, plain);
    g_test_add_data_func_full(test, g_strdup(path), function, g_free);
}

static void add_files(const char *root, const char *dir)
{
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    const char *name;
    while (d != NULL && (name = g_dir_read_name(d)) != NULL) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        struct stat st;
        if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
            add_files(root, path);
        if (!S_ISREG(st.st_mode) || g_str_has_suffix(name, ".md"))
            continue;
        add_test("file", root, path, test_file);
        add_test("cut", root, path, test_cut);
        add_test("flipped", root, path, test_flipped);
    }
}

int main(int argc, char **argv)
{
    facts_init(&argc, &argv);
    for (unsigned i = 0; i < N_RECIPES; i++)
        recipes[i] = facts_recipe(texts[i]);
    g_autofree char *images = g_build_filename(g_getenv("HOIST_TEST_DATA"), "images", NULL);
    add_files(images, images);
    const char *more = g_getenv("HOIST_IMAGES");
    if (more != NULL)
        add_files(more, more);
    return g_test_run();
}
