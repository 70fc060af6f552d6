#include "encode.h"

#include <webp/encode.h>

#include "pixels.h"

enum {
    PALETTE_COLOURS = 256,
    LOSSLESS_EFFORT = 75, /* libwebp's quality counts as effort then */
    PROGRESSIVE_FROM = 3, /* effort */
};

/* encode.h has the table and where it comes from. */
static const struct {
    int quality, jpeg, avif;
} scale[] = {
    { 0, 5, 20 },   { 30, 31, 43 }, { 40, 37, 47 }, { 50, 45, 51 }, { 60, 51, 54 }, { 70, 58, 57 },
    { 75, 62, 59 }, { 80, 70, 64 }, { 85, 78, 72 }, { 90, 85, 81 }, { 95, 89, 87 }, { 100, 92, 91 },
};

int encode_own_quality(ImgFormat format, unsigned quality)
{
    const int q = (int)quality;
    if (quality >= ENCODE_LOSSLESS || (format != IMG_JPEG && format != IMG_AVIF))
        return MIN(q, ENCODE_LOSSLESS);
    unsigned i = 1;
    while (scale[i].quality < q)
        i++;
    const int from = format == IMG_JPEG ? scale[i - 1].jpeg : scale[i - 1].avif;
    const int to = format == IMG_JPEG ? scale[i].jpeg : scale[i].avif;
    const int span = scale[i].quality - scale[i - 1].quality;
    return from + ((to - from) * (q - scale[i - 1].quality) + span / 2) / span;
}

bool encode_has_quality(ImgFormat format)
{
    return format == IMG_WEBP || format == IMG_JPEG || format == IMG_AVIF;
}

bool encode_has_alpha(ImgFormat format)
{
    return format != IMG_JPEG;
}

unsigned encode_edge_max(ImgFormat format)
{
    return format == IMG_WEBP ? 16383 : format == IMG_AVIF ? 16384 : 65500;
}

/* ------------------------------------------------------------------ WebP */

static bool too_late(const ImgWatch *watch)
{
    return img_too_late(watch);
}

static void tell(const ImgWatch *watch, int percent)
{
    if (watch->progress != NULL)
        watch->progress(watch->ctx, (unsigned)CLAMP(percent, 0, 100));
}

static int on_webp(int percent, const WebPPicture *picture)
{
    const ImgWatch *watch = picture->user_data;
    tell(watch, percent);
    return !too_late(watch);
}

static bool import_pixels(WebPPicture *picture, VipsImage *pixels)
{
    picture->width = vips_image_get_width(pixels);
    picture->height = vips_image_get_height(pixels);
    const uint8_t *data = VIPS_IMAGE_ADDR(pixels, 0, 0);
    const int stride = (int)VIPS_IMAGE_SIZEOF_LINE(pixels);
    return vips_image_get_bands(pixels) == 4 ? WebPPictureImportRGBA(picture, data, stride) != 0
                                             : WebPPictureImportRGB(picture, data, stride) != 0;
}

static GBytes *encode_webp(VipsImage *pixels, const EncodeAsk *ask, const ImgWatch *watch)
{
    WebPConfig config;
    WebPPicture picture;
    WebPMemoryWriter writer;
    VipsImage *rgb = g_object_ref(pixels);
    if (!WebPConfigInit(&config) || !WebPPictureInit(&picture) || !pixels_to_rgb(&rgb)) {
        g_object_unref(rgb);
        return NULL;
    }
    const bool lossless = ask->quality >= ENCODE_LOSSLESS;
    config.method = (int)ask->effort;
    config.quality = lossless ? LOSSLESS_EFFORT : (float)ask->quality;
    config.lossless = lossless;
    picture.use_argb = lossless;
    picture.writer = WebPMemoryWrite;
    picture.custom_ptr = &writer;
    picture.progress_hook = on_webp;
    picture.user_data = (void *)watch;
    WebPMemoryWriterInit(&writer);

    const bool ok = import_pixels(&picture, rgb) && WebPEncode(&config, &picture) != 0;
    WebPPictureFree(&picture);
    g_object_unref(rgb);
    if (ok)
        return g_bytes_new_with_free_func(writer.mem, writer.size, WebPFree, writer.mem);
    WebPMemoryWriterClear(&writer);
    return NULL;
}

/* ------------------------------------------------------------------ libvips's savers */

typedef struct {
    VipsImage *pixels;  /* in memory */
    VipsImage *watched; /* the same, and told of and stopped while it is saved; a mark to stop stays on an image for good */
    const EncodeAsk *ask;
} Job;

static int save_jpeg(const Job *job, void **data, size_t *size)
{
    return vips_jpegsave_buffer(job->watched, data, size, "Q", encode_own_quality(IMG_JPEG, job->ask->quality), "strip", TRUE,
                                "optimize_coding", TRUE, "interlace", job->ask->effort >= PROGRESSIVE_FROM, NULL);
}

static int save_avif(const Job *job, void **data, size_t *size)
{
    const bool lossless = job->ask->quality >= ENCODE_LOSSLESS;
    const int effort = job->ask->effort <= 2 ? 0 : (int)job->ask->effort - 2;
    return vips_heifsave_buffer(job->watched, data, size, "Q", encode_own_quality(IMG_AVIF, job->ask->quality), "lossless", lossless,
                                "effort", effort, "compression", VIPS_FOREIGN_HEIF_COMPRESSION_AV1, NULL);
}

static int save_gif(const Job *job, void **data, size_t *size)
{
    return vips_gifsave_buffer(job->watched, data, size, "strip", TRUE, NULL);
}

static bool same_pixels(VipsImage *image, const void *file, size_t size)
{
    VipsImage *back = NULL, *rgb = g_object_ref(image), *equal = NULL;
    double least = 0;
    const bool same = pixels_to_rgb(&rgb) && vips_pngload_buffer((void *)file, size, &back, NULL) == 0 &&
                      vips_image_get_bands(back) == vips_image_get_bands(rgb) && vips_equal(back, rgb, &equal, NULL) == 0 &&
                      vips_min(equal, &least, NULL) == 0 && least == 255;
    g_clear_object(&equal);
    g_clear_object(&back);
    g_object_unref(rgb);
    return same;
}

/* The quantiser may merge colours even where there is room for all, so its work is looked at. */
static int save_png(const Job *job, void **data, size_t *size)
{
    if (vips_image_get_bands(job->pixels) >= 3 && pixels_colours_within(job->pixels, PALETTE_COLOURS)) {
        if (vips_pngsave_buffer(job->watched, data, size, "strip", TRUE, "palette", TRUE, "Q", 100, "dither", 0.0, "bitdepth", 8, NULL) ==
                0 &&
            same_pixels(job->pixels, *data, *size))
            return 0;
        vips_error_clear();
        g_clear_pointer(data, g_free);
    }
    return vips_pngsave_buffer(job->watched, data, size, "strip", TRUE, "filter", VIPS_FOREIGN_PNG_FILTER_ALL, NULL);
}

static void on_eval(VipsImage *image, VipsProgress *progress, const ImgWatch *watch)
{
    if (too_late(watch))
        vips_image_set_kill(image, TRUE);
    tell(watch, progress->percent);
}

static GBytes *save(VipsImage *pixels, const EncodeAsk *ask, const ImgWatch *watch)
{
    static int (*const savers[N_IMG_FORMATS])(
        const Job *, void **, size_t *) = { [IMG_JPEG] = save_jpeg, [IMG_PNG] = save_png, [IMG_AVIF] = save_avif, [IMG_GIF] = save_gif };
    void *data = NULL;
    size_t size = 0;
    Job job = { .pixels = pixels, .ask = ask };
    if (too_late(watch) || vips_copy(pixels, &job.watched, NULL) != 0)
        return NULL;
    vips_image_set_progress(job.watched, TRUE);
    g_signal_connect(job.watched, "eval", G_CALLBACK(on_eval), (gpointer)watch);
    const bool ok = savers[ask->format](&job, &data, &size) == 0;
    g_object_unref(job.watched);
    return ok ? g_bytes_new_take(data, size) : NULL;
}

GBytes *encode_pixels(VipsImage *pixels, const EncodeAsk *ask, const ImgWatch *watch)
{
    return ask->format == IMG_WEBP ? encode_webp(pixels, ask, watch) : save(pixels, ask, watch);
}
