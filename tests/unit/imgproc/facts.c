#include "facts.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { DEADLINE_US = 60 * 1000000 };

static VipsImage *open_strict(const void *data, size_t size)
{
    return vips_image_new_from_buffer(data, size, "", "access", VIPS_ACCESS_SEQUENTIAL, "fail_on", VIPS_FAIL_ON_TRUNCATED, NULL);
}

static VipsImage *flatten(VipsImage *image, uint32_t background)
{
    VipsImage *next = NULL;
    VipsArrayDouble *colour =
        vips_array_double_newv(3, (double)(background >> 16), (double)(background >> 8 & 255), (double)(background & 255));
    g_assert_cmpint(vips_flatten(image, &next, "background", colour, NULL), ==, 0);
    vips_area_unref(VIPS_AREA(colour));
    g_object_unref(image);
    return next;
}

/* NULL: not decodable. */
static VipsImage *shrink(const void *data, size_t size, bool profile)
{
    VipsImage *image = open_strict(data, size), *small = NULL;
    if (image == NULL)
        return NULL;
    profile = profile && vips_image_get_typeof(image, VIPS_META_ICC_NAME) != 0;
    const int failed = vips_thumbnail_image(image, &small, FACTS_EDGE, "height", FACTS_EDGE, "size", VIPS_SIZE_FORCE, "intent",
                                            VIPS_INTENT_PERCEPTUAL, profile ? "export_profile" : NULL, "srgb", NULL);
    g_object_unref(image);
    if (failed)
        return NULL;
    VipsImage *memory = vips_image_copy_memory(small);
    g_object_unref(small);
    return memory;
}

/* A profile that is damaged counts as none. */
static VipsImage *from_afar(const void *data, size_t size, uint32_t background)
{
    VipsImage *small = shrink(data, size, true), *next = NULL;
    if (small == NULL)
        small = shrink(data, size, false);
    if (small == NULL)
        return NULL;
    if (vips_colourspace(small, &next, VIPS_INTERPRETATION_sRGB, NULL) == 0) {
        g_object_unref(small);
        small = next;
    }
    if (vips_image_hasalpha(small))
        small = flatten(small, background);
    g_assert_cmpint(vips_cast(small, &next, VIPS_FORMAT_UCHAR, NULL), ==, 0);
    g_object_unref(small);
    small = vips_image_copy_memory(next);
    g_object_unref(next);
    return small;
}

static bool is_trusted(const void *data, size_t size)
{
    static const char *const trusted[] = { "jpegload_buffer", "pngload_buffer",  "gifload_buffer",
                                           "webpload_buffer", "tiffload_buffer", "heifload_buffer" };
    const char *loader = size > 0 ? vips_foreign_find_load_buffer(data, size) : NULL;
    const GType type = loader != NULL ? vips_type_find("VipsOperation", loader) : 0;
    for (gsize i = 0; i < G_N_ELEMENTS(trusted); i++)
        if (type != 0 && strcmp(vips_nickname_find(type), trusted[i]) == 0)
            return true;
    return false;
}

Facts facts_of(const void *data, size_t size, uint32_t background)
{
    Facts f = { .bytes = size, .pages = 1, .trusted = is_trusted(data, size) };
    VipsImage *image = open_strict(data, size);
    if (image == NULL)
        return f;
    const bool swap = vips_image_get_orientation_swap(image);
    f.width = swap ? vips_image_get_height(image) : vips_image_get_width(image);
    f.height = swap ? vips_image_get_width(image) : vips_image_get_height(image);
    f.bands = vips_image_get_bands(image);
    if (vips_image_get_typeof(image, VIPS_META_N_PAGES) != 0)
        vips_image_get_int(image, VIPS_META_N_PAGES, &f.pages);
    g_object_unref(image);
    if ((double)f.width * f.height <= IMG_MEGAPIXELS_MAX * 1e6)
        f.small = from_afar(data, size, background);
    vips_error_clear();
    return f;
}

void facts_clear(Facts *f)
{
    g_clear_object(&f->small);
}

double facts_difference(const Facts *a, const Facts *b)
{
    double sum = 0;
    const int bands = vips_image_get_bands(a->small), n = FACTS_EDGE * FACTS_EDGE * bands;
    g_assert_cmpint(bands, ==, vips_image_get_bands(b->small));
    const uint8_t *pa = VIPS_IMAGE_ADDR(a->small, 0, 0), *pb = VIPS_IMAGE_ADDR(b->small, 0, 0);
    for (int i = 0; i < n; i++)
        sum += abs(pa[i] - pb[i]);
    return sum / n;
}

static bool holds(const void *data, size_t size, const char *word, size_t length)
{
    return memmem(data, size, word, length) != NULL;
}

bool facts_has_private_words(const void *data, size_t size)
{
    return holds(data, size, "http://ns.adobe.com/xap", 23) || holds(data, size, "Photoshop 3.0", 13) ||
           holds(data, size, "XML:com.adobe.xmp", 17) || holds(data, size, "XMP DataXMP", 11);
}

void facts_render(const char *path, const ImgRecipe *recipes, unsigned n, ImgResult *out)
{
    const ImgWatch watch = { .deadline_us = img_cpu_us() + DEADLINE_US };
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    img_render(fd, recipes, n, &watch, out);
    close(fd);
}

ImgRecipe facts_recipe(const char *text)
{
    ImgRecipe recipe;
    g_assert_true(recipe_parse(text, &recipe, NULL));
    return recipe;
}

static void drop_log(const char *domain, GLogLevelFlags level, const char *message, gpointer data)
{
    (void)domain, (void)level, (void)message, (void)data;
}

void facts_init(int *argc, char ***argv)
{
    g_test_init(argc, argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK);
    g_log_set_handler("VIPS", G_LOG_LEVEL_INFO | G_LOG_LEVEL_DEBUG | G_LOG_LEVEL_WARNING, drop_log, NULL);
    g_assert_true(img_init((*argv)[0]));
}
