/* A preview of every file below tests/images and HOIST_IMAGES: a small picture that looks like the file does from afar, or a reason. */
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vips/vips.h>

#include "facts.h"

enum { EDGE = 300, GREY = 0x808080 };

/* Mean differences of 8-bit samples that another way of resizing may make; of quadrants, that an odd edge may. */
static const double difference_most = 6, quadrant_difference_most = 8;

static void preview(const char *path, unsigned edge_px, const ImgWatch *watch, ImgPreview *out)
{
    const ImgWatch none = { 0 };
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    img_preview(fd, edge_px, GREY, watch != NULL ? watch : &none, out);
    close(fd);
    g_assert_true((out->rgb != NULL) != (out->note[0] != '\0'));
    g_assert_true(g_utf8_validate(out->note, -1, NULL));
}

/* As a file, for the judge. */
static Facts facts_of_preview(const ImgPreview *p)
{
    VipsImage *image = vips_image_new_from_memory(g_bytes_get_data(p->rgb, NULL), g_bytes_get_size(p->rgb), (int)p->width_px,
                                                  (int)p->height_px, 3, VIPS_FORMAT_UCHAR);
    VipsImage *srgb = NULL;
    void *data = NULL;
    size_t size;
    g_assert_cmpint(vips_copy(image, &srgb, "interpretation", VIPS_INTERPRETATION_sRGB, NULL), ==, 0);
    g_assert_cmpint(vips_pngsave_buffer(srgb, &data, &size, NULL), ==, 0);
    const Facts f = facts_of(data, size, GREY);
    g_object_unref(image);
    g_object_unref(srgb);
    g_free(data);
    return f;
}

static void check_preview(const char *name, const Facts *source, const ImgPreview *p)
{
    g_assert_cmpuint(g_bytes_get_size(p->rgb), ==, (gsize)p->width_px * p->height_px * 3);
    g_assert_cmpuint(MAX(p->width_px, p->height_px), ==, (unsigned)MIN(MAX(source->width, source->height), EDGE));
    const double scale = (double)MAX(p->width_px, p->height_px) / MAX(source->width, source->height);
    g_assert_cmpfloat(fabs(source->width * scale - p->width_px), <, 2);
    g_assert_cmpfloat(fabs(source->height * scale - p->height_px), <, 2);
    Facts made = facts_of_preview(p);
    const double d = facts_difference(source, &made);
    if (d > difference_most)
        g_error("%s: looks different by %.1f", name, d);
    facts_clear(&made);
}

static void test_file(gconstpointer path)
{
    g_autofree char *content = NULL, *name = g_path_get_basename(path);
    gsize size;
    ImgPreview p;
    if (!g_file_get_contents(path, &content, &size, NULL)) {
        g_test_skip("not readable");
        return;
    }
    preview(path, EDGE, NULL, &p);
    Facts source = facts_of(content, size, GREY);
    g_test_message("%ux%u %s", p.width_px, p.height_px, p.note);
    if (p.rgb != NULL) {
        g_assert_nonnull(source.small);
        check_preview(name, &source, &p);
    } else if (source.small != NULL && source.trusted) {
        g_assert_nonnull(strstr(p.note, "animat")); /* of a kind of which libvips sees one frame */
    }
    facts_clear(&source);
    img_preview_clear(&p);
    vips_error_clear();
}

/* ------------------------------------------------------------------ */

static void quadrants(const ImgPreview *p, double means_out[12])
{
    const uint8_t *rgb = g_bytes_get_data(p->rgb, NULL);
    memset(means_out, 0, 12 * sizeof means_out[0]);
    const unsigned half_width = p->width_px / 2, half_height = p->height_px / 2;
    for (unsigned y = 0; y < half_height * 2; y++)
        for (unsigned x = 0; x < half_width * 2; x++)
            for (unsigned band = 0; band < 3; band++)
                means_out[(y / half_height * 2 + x / half_width) * 3 + band] +=
                    rgb[((gsize)y * p->width_px + x) * 3 + band] / (double)(half_width * half_height);
}

static double quadrant_spread(const double means[12])
{
    double most = 0;
    for (int n = 0; n < 12; n++)
        most = fmax(most, fabs(means[n] - means[(n + 6) % 12]));
    return most;
}

static void test_orientations(void)
{
    double first[12], means[12];
    for (int i = 1; i <= 8; i++) {
        g_autofree char *name = g_strdup_printf("%d.jpg", i);
        g_autofree char *path = g_build_filename(g_getenv("HOIST_TEST_DATA"), "images", "orientation", name, NULL);
        ImgPreview p;
        preview(path, EDGE, NULL, &p);
        g_assert_nonnull(p.rgb);
        quadrants(&p, means);
        if (i == 1) /* or the comparison would tell nothing */
            g_assert_cmpfloat(quadrant_spread(memcpy(first, means, sizeof first)), >, 3 * quadrant_difference_most);
        for (int n = 0; n < 12; n++)
            g_assert_cmpfloat(fabs(first[n] - means[n]), <, quadrant_difference_most);
        img_preview_clear(&p);
    }
}

static char *picture(const char *folder, const char *name)
{
    return g_build_filename(g_getenv("HOIST_TEST_DATA"), "images", folder, name, NULL);
}

static void test_small_pictures_stay_small(void)
{
    g_autofree char *path = picture("gif", "still.gif");
    ImgPreview p;
    preview(path, 4096, NULL, &p);
    g_assert_nonnull(p.rgb);
    g_assert_cmpuint(MAX(p.width_px, p.height_px), <, 4096);
    img_preview_clear(&p);
}

/* Where the file is transparent all of it is background. */
static void test_background_shows(void)
{
    g_autofree char *path = picture("gif", "still.gif");
    ImgPreview p;
    preview(path, EDGE, NULL, &p);
    g_assert_nonnull(p.rgb);
    const uint8_t *rgb = g_bytes_get_data(p.rgb, NULL);
    bool found = false;
    for (gsize i = 0; i + 2 < g_bytes_get_size(p.rgb); i += 3)
        found |= rgb[i] == 0x80 && rgb[i + 1] == 0x80 && rgb[i + 2] == 0x80;
    g_assert_true(found);
    img_preview_clear(&p);
}

static void test_deadline_is_kept(void)
{
    g_autofree char *path = picture("photo", "life.jpg");
    const ImgWatch watch = { .deadline_us = 1 };
    ImgPreview p;
    preview(path, EDGE, &watch, &p);
    g_assert_null(p.rgb);
    g_assert_nonnull(strstr(p.note, "too long"));
}

static void add_files(const char *root, const char *dir)
{
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    const char *name;
    while (d != NULL && (name = g_dir_read_name(d)) != NULL) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        struct stat st;
        if (lstat(path, &st) != 0 || g_str_has_suffix(name, ".md"))
            continue;
        if (S_ISDIR(st.st_mode))
            add_files(root, path);
        if (!S_ISREG(st.st_mode))
            continue;
        /* the harness takes slashes and other bytes of a path for its own */
        g_autofree char *plain = g_strdelimit(g_strescape(path + strlen(root) + 1, NULL), "/ \\[]%#", '_');
        g_autofree char *test = g_strdup_printf("/preview/file/%s", plain);
        g_test_add_data_func_full(test, g_steal_pointer(&path), test_file, g_free);
    }
}

int main(int argc, char **argv)
{
    facts_init(&argc, &argv);
    g_autofree char *images = g_build_filename(g_getenv("HOIST_TEST_DATA"), "images", NULL);
    g_test_add_func("/preview/every-orientation-is-upright", test_orientations);
    g_test_add_func("/preview/small-pictures-stay-small", test_small_pictures_stay_small);
    g_test_add_func("/preview/background-shows", test_background_shows);
    g_test_add_func("/preview/deadline-is-kept", test_deadline_is_kept);
    add_files(images, images);
    if (g_getenv("HOIST_IMAGES") != NULL)
        add_files(g_getenv("HOIST_IMAGES"), g_getenv("HOIST_IMAGES"));
    return g_test_run();
}
