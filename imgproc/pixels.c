#include "pixels.h"

#include <string.h>

enum {
    GRID_EDGE = 64,
    GRID_COLOURS_FEW = 2048,
    TILE_EDGE = 64,        /* a multiple of the blocks of every encoder */
    SAMPLE_PIXELS = 49152, /* wanted at least */
    SAMPLE_ONE_IN_MOST = 16,
    SAMPLE_ROW_STEP = 5, /* sampled tiles of a row stand this much apart from those of the row above */
};

/* Gives *image up for the result of the last operation. */
static bool step(VipsImage **image, VipsImage *next, int status)
{
    if (status != 0)
        return false;
    g_object_unref(*image);
    *image = next;
    return true;
}

bool pixels_shrink(VipsImage **image, unsigned edge_px)
{
    VipsImage *next = NULL;
    const int status = vips_thumbnail_image(*image, &next, (int)edge_px, "height", (int)edge_px, "size", VIPS_SIZE_DOWN, "intent",
                                            VIPS_INTENT_PERCEPTUAL, NULL);
    return step(image, next, status);
}

static bool is_grey(VipsImage *image)
{
    return vips_image_get_interpretation(image) == VIPS_INTERPRETATION_B_W && vips_image_get_bands(image) <= 2;
}

static bool to_bytes(VipsImage **image)
{
    VipsImage *next = NULL;
    if (!is_grey(*image) && (vips_image_get_interpretation(*image) != VIPS_INTERPRETATION_sRGB || vips_image_get_bands(*image) < 3)) {
        const VipsInterpretation space =
            vips_image_get_interpretation(*image) == VIPS_INTERPRETATION_GREY16 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB;
        if (!step(image, next, vips_colourspace(*image, &next, space, NULL)))
            return false;
    }
    if (vips_image_get_format(*image) != VIPS_FORMAT_UCHAR && !step(image, next, vips_cast(*image, &next, VIPS_FORMAT_UCHAR, NULL)))
        return false;
    const int most = is_grey(*image) ? 2 : 4;
    return vips_image_get_bands(*image) <= most || step(image, next, vips_extract_band(*image, &next, 0, "n", most, NULL));
}

static void on_eval(VipsImage *image, VipsProgress *progress, const ImgWatch *watch)
{
    if (img_too_late(watch))
        vips_image_set_kill(image, TRUE);
    if (watch->progress != NULL)
        watch->progress(watch->ctx, (unsigned)CLAMP(progress->percent, 0, 100));
}

static bool compute(VipsImage **image, const ImgWatch *watch)
{
    gulong handler = 0;
    if (watch != NULL) {
        vips_image_set_progress(*image, TRUE);
        handler = g_signal_connect(*image, "eval", G_CALLBACK(on_eval), (gpointer)watch);
    }
    VipsImage *next = vips_image_copy_memory(*image);
    if (handler != 0)
        g_signal_handler_disconnect(*image, handler);
    return step(image, next, next == NULL);
}

/* The image is nobody else's. */
static void drop_metadata(VipsImage *image, const char *but)
{
    gchar **fields = vips_image_get_fields(image);
    for (gchar **field = fields; *field != NULL; field++)
        if (but == NULL || strcmp(*field, but) != 0)
            vips_image_remove(image, *field); /* refuses those that make the picture */
    g_strfreev(fields);
}

static bool alpha_is_opaque(VipsImage *image)
{
    const size_t bands = (size_t)vips_image_get_bands(image), n = (size_t)VIPS_IMAGE_N_PELS(image);
    const uint8_t *alpha = VIPS_IMAGE_ADDR(image, 0, 0) + bands - 1;
    for (size_t i = 0; i < n; i++, alpha += bands)
        if (*alpha != 255)
            return false;
    return true;
}

bool pixels_settle(VipsImage **image, const ImgWatch *watch)
{
    VipsImage *next = NULL;
    if (!to_bytes(image) || !compute(image, watch))
        return false;
    drop_metadata(*image, VIPS_META_ICC_NAME);
    if (!pixels_has_alpha(*image) || !alpha_is_opaque(*image))
        return true;
    return step(image, next, vips_extract_band(*image, &next, 0, "n", vips_image_get_bands(*image) - 1, NULL)) && compute(image, NULL);
}

bool pixels_to_srgb(VipsImage **image)
{
    VipsImage *next = NULL;
    const bool grey = is_grey(*image);
    const int status = vips_icc_transform(*image, &next, "srgb", "embedded", TRUE, "intent", VIPS_INTENT_PERCEPTUAL, "depth", 8, NULL);
    if (!step(image, next, status) || (grey && !step(image, next, vips_colourspace(*image, &next, VIPS_INTERPRETATION_B_W, NULL))))
        return false;
    return pixels_settle(image, NULL);
}

void pixels_drop_profile(VipsImage *image)
{
    vips_image_remove(image, VIPS_META_ICC_NAME);
}

static void attach(VipsImage *image, const char *field, GBytes *bytes)
{
    gsize size = 0;
    const void *data = bytes != NULL ? g_bytes_get_data(bytes, &size) : NULL;
    if (size > 0)
        vips_image_set_blob_copy(image, field, data, size);
}

VipsImage *pixels_attach(VipsImage *image, GBytes *exif, GBytes *icc)
{
    VipsImage *same = vips_image_new_from_memory(VIPS_IMAGE_ADDR(image, 0, 0), VIPS_IMAGE_SIZEOF_IMAGE(image), vips_image_get_width(image),
                                                 vips_image_get_height(image), vips_image_get_bands(image), VIPS_FORMAT_UCHAR);
    if (same == NULL)
        return NULL;
    same->Type = vips_image_get_interpretation(image);
    g_object_set_data_full(G_OBJECT(same), "pixels", g_object_ref(image), g_object_unref);
    attach(same, VIPS_META_EXIF_NAME, exif);
    attach(same, VIPS_META_ICC_NAME, icc);
    return same;
}

bool pixels_has_alpha(VipsImage *image)
{
    const int bands = vips_image_get_bands(image);
    return bands == 2 || bands == 4;
}

bool pixels_flatten(VipsImage **image, uint32_t background)
{
    VipsImage *next = NULL;
    if (!pixels_has_alpha(*image))
        return true;
    if (!pixels_to_rgb(image))
        return false;
    VipsArrayDouble *colour =
        vips_array_double_newv(3, (double)(background >> 16 & 255), (double)(background >> 8 & 255), (double)(background & 255));
    const int status = vips_flatten(*image, &next, "background", colour, NULL);
    vips_area_unref(VIPS_AREA(colour));
    return step(image, next, status) && compute(image, NULL);
}

bool pixels_to_rgb(VipsImage **image)
{
    VipsImage *next = NULL;
    if (vips_image_get_bands(*image) >= 3)
        return true;
    return step(image, next, vips_colourspace(*image, &next, VIPS_INTERPRETATION_sRGB, NULL)) && compute(image, NULL);
}

static uint32_t colour_at(const uint8_t *p, int bands)
{
    uint32_t colour = 0;
    for (int i = 0; i < bands; i++)
        colour = colour << 8 | p[i];
    return colour;
}

bool pixels_have_few_colours(VipsImage *image)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    const int width = vips_image_get_width(image), height = vips_image_get_height(image), bands = vips_image_get_bands(image);
    for (int y = 0; y < GRID_EDGE; y++)
        for (int x = 0; x < GRID_EDGE; x++) {
            const uint8_t *p = VIPS_IMAGE_ADDR(image, (int)((int64_t)x * width / GRID_EDGE), (int)((int64_t)y * height / GRID_EDGE));
            g_hash_table_add(seen, GUINT_TO_POINTER(colour_at(p, bands)));
        }
    return g_hash_table_size(seen) < GRID_COLOURS_FEW;
}

bool pixels_colours_within(VipsImage *image, unsigned most)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    const int bands = vips_image_get_bands(image);
    const size_t n = (size_t)VIPS_IMAGE_N_PELS(image);
    const uint8_t *p = VIPS_IMAGE_ADDR(image, 0, 0);
    uint32_t last = 0;
    for (size_t i = 0; i < n; i++, p += bands) {
        const uint32_t colour = colour_at(p, bands);
        if (i > 0 && colour == last)
            continue;
        last = colour;
        if (g_hash_table_add(seen, GUINT_TO_POINTER(colour)) && g_hash_table_size(seen) > most)
            return false;
    }
    return true;
}

typedef struct {
    unsigned across, down, width, height; /* tiles, and pixels of one */
    unsigned one_in;
} Tiling;

static Tiling tiling_of(VipsImage *image)
{
    const unsigned width = (unsigned)vips_image_get_width(image), height = (unsigned)vips_image_get_height(image);
    Tiling t = { .width = MIN(TILE_EDGE, width), .height = MIN(TILE_EDGE, height) };
    t.across = width / t.width;
    t.down = height / t.height;
    t.one_in = (unsigned)CLAMP((uint64_t)width * height / SAMPLE_PIXELS, 1, SAMPLE_ONE_IN_MOST);
    return t;
}

static bool is_sampled(const Tiling *t, unsigned x, unsigned y)
{
    return (x + y * SAMPLE_ROW_STEP) % t->one_in == 0;
}

static unsigned count_sampled(const Tiling *t)
{
    unsigned n = 0;
    for (unsigned y = 0; y < t->down; y++)
        for (unsigned x = 0; x < t->across; x++)
            n += is_sampled(t, x, y);
    return n;
}

VipsImage *pixels_sample(VipsImage *image)
{
    const Tiling t = tiling_of(image);
    const unsigned n = count_sampled(&t);
    unsigned across = 1, done = 0;
    while (across * across * t.width < n * t.height)
        across++;
    across = MIN(across, n);
    const unsigned down = n / across;
    const size_t bands = (size_t)vips_image_get_bands(image), stride = (size_t)across * t.width * bands;
    VipsImage *sample = vips_image_new_memory();
    vips_image_init_fields(sample, (int)(across * t.width), (int)(down * t.height), (int)bands, VIPS_FORMAT_UCHAR, VIPS_CODING_NONE,
                           vips_image_get_interpretation(image), 1, 1);
    if (vips_image_write_prepare(sample) != 0) {
        g_object_unref(sample);
        return NULL;
    }
    uint8_t *to = VIPS_IMAGE_ADDR(sample, 0, 0);
    for (unsigned y = 0; y < t.down; y++)
        for (unsigned x = 0; x < t.across; x++) {
            if (!is_sampled(&t, x, y) || done == across * down)
                continue;
            uint8_t *tile = to + (done / across) * t.height * stride + (done % across) * t.width * bands;
            for (unsigned row = 0; row < t.height; row++)
                memcpy(tile + row * stride, VIPS_IMAGE_ADDR(image, (int)(x * t.width), (int)(y * t.height + row)), t.width * bands);
            done++;
        }
    return sample;
}

unsigned pixels_edge(VipsImage *image)
{
    return (unsigned)MAX(vips_image_get_width(image), vips_image_get_height(image));
}
