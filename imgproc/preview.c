#include <unistd.h>

#include "imgproc.h"
#include "probe.h"

typedef struct {
    int fd;
    unsigned edge_px;
    uint32_t background;
    const ImgWatch *watch;
    ImgProbe probe;
    unsigned told;
} Preview;

static bool too_late(const Preview *p)
{
    return img_too_late(p->watch);
}

static void on_eval(VipsImage *image, VipsProgress *progress, Preview *p)
{
    const unsigned percent = (unsigned)CLAMP(progress->percent, 0, 100);
    if (too_late(p))
        vips_image_set_kill(image, TRUE);
    if (p->watch->progress != NULL && percent > p->told)
        p->watch->progress(p->watch->ctx, percent);
    p->told = MAX(p->told, percent);
}

/* ------------------------------------------------------------------ few pixels from the start */

static unsigned longest_edge(const Preview *p)
{
    return MAX(p->probe.width_px, p->probe.height_px);
}

static VipsSource *source_of(int fd)
{
    return lseek(fd, 0, SEEK_SET) == 0 ? vips_source_new_from_descriptor(fd) : NULL;
}

static VipsImage *open_jpeg(const Preview *p)
{
    const unsigned factor = longest_edge(p) / p->edge_px;
    return probe_open(p->fd, KIND_JPEG, factor >= 8 ? 8 : factor >= 4 ? 4 : factor >= 2 ? 2 : 1);
}

/* Twice the size that is needed: the rest is resized well. */
static VipsImage *open_webp(const Preview *p)
{
    VipsImage *image = NULL;
    VipsSource *source = source_of(p->fd);
    const double scale = MIN(1.0, 2.0 * p->edge_px / longest_edge(p));
    if (source != NULL)
        vips_webpload_source(source, &image, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on", VIPS_FAIL_ON_TRUNCATED, "scale", scale, NULL);
    g_clear_object(&source);
    return image;
}

/* The small picture that cameras put beside the large one; NULL when there is none that is large enough. */
static VipsImage *open_heif_embedded(const Preview *p)
{
    VipsImage *image = NULL;
    VipsSource *source = source_of(p->fd);
    if (source != NULL)
        vips_heifload_source(source, &image, "thumbnail", TRUE, "fail_on", VIPS_FAIL_ON_TRUNCATED, NULL);
    g_clear_object(&source);
    if (image == NULL)
        return NULL;
    const double width = vips_image_get_width(image), height = vips_image_get_height(image);
    const double aspect = width * p->probe.height_px / (height * p->probe.width_px); /* of the two */
    if (MAX(width, height) < p->edge_px || MAX(width, height) >= longest_edge(p) || aspect < 0.98 || aspect > 1.02)
        g_clear_object(&image);
    return image;
}

static bool is_heif(const Preview *p)
{
    return p->probe.kind == KIND_HEIC || p->probe.kind == KIND_AVIF;
}

static VipsImage *open_small(const Preview *p)
{
    if (p->probe.kind == KIND_JPEG)
        return open_jpeg(p);
    if (p->probe.kind == KIND_WEBP)
        return open_webp(p);
    return is_heif(p) ? open_heif_embedded(p) : NULL;
}

/* ------------------------------------------------------------------ pixels */

/* Gives *image up for the result of the last operation. */
static bool step(VipsImage **image, VipsImage *next, int status)
{
    if (status != 0)
        return false;
    g_object_unref(*image);
    *image = next;
    return true;
}

static bool shrink(VipsImage **image, const Preview *p)
{
    VipsImage *next = NULL;
    const bool profile = vips_image_get_typeof(*image, VIPS_META_ICC_NAME) != 0;
    const int status = vips_thumbnail_image(*image, &next, (int)p->edge_px, "height", (int)p->edge_px, "size", VIPS_SIZE_DOWN, "intent",
                                            VIPS_INTENT_PERCEPTUAL, profile ? "export_profile" : NULL, "srgb", NULL);
    if (!step(image, next, status))
        return false;
    if (vips_image_get_interpretation(*image) == VIPS_INTERPRETATION_sRGB && vips_image_get_bands(*image) >= 3)
        return true;
    return step(image, next, vips_colourspace(*image, &next, VIPS_INTERPRETATION_sRGB, NULL));
}

static bool flatten(VipsImage **image, uint32_t background)
{
    VipsImage *next = NULL;
    if (vips_image_hasalpha(*image)) {
        VipsArrayDouble *colour =
            vips_array_double_newv(3, (double)(background >> 16 & 255), (double)(background >> 8 & 255), (double)(background & 255));
        const int status = vips_flatten(*image, &next, "background", colour, NULL);
        vips_area_unref(VIPS_AREA(colour));
        if (!step(image, next, status))
            return false;
    }
    if (vips_image_get_bands(*image) != 3 && !step(image, next, vips_extract_band(*image, &next, 0, "n", 3, NULL)))
        return false;
    return vips_image_get_format(*image) == VIPS_FORMAT_UCHAR || step(image, next, vips_cast(*image, &next, VIPS_FORMAT_UCHAR, NULL));
}

/* Takes image. */
static bool take_pixels(Preview *p, VipsImage *image, ImgPreview *out)
{
    size_t size = 0;
    void *data = NULL;
    if (shrink(&image, p) && flatten(&image, p->background)) {
        vips_image_set_progress(image, TRUE);
        g_signal_connect(image, "eval", G_CALLBACK(on_eval), p);
        data = vips_image_write_to_memory(image, &size);
        out->width_px = (unsigned)vips_image_get_width(image);
        out->height_px = (unsigned)vips_image_get_height(image);
    }
    g_object_unref(image);
    if (data == NULL)
        return false;
    out->rgb = g_bytes_new_take(data, size);
    return true;
}

static void refuse(ImgPreview *out, const char *why)
{
    *out = (ImgPreview){ 0 };
    g_strlcpy(out->note, why, sizeof out->note);
}

void img_preview(int fd, unsigned edge_px, uint32_t background, const ImgWatch *watch, ImgPreview *out)
{
    Preview p = { .fd = fd, .edge_px = edge_px, .background = background, .watch = watch };
    g_autofree char *why = NULL;
    ImgOutcomeKind refusal;
    *out = (ImgPreview){ 0 };
    vips_error_clear();
    VipsImage *opened = probe_file(fd, &p.probe, &refusal, &why);
    if (opened == NULL) {
        refuse(out, why);
        return;
    }
    VipsImage *small = open_small(&p);
    bool done = small != NULL && take_pixels(&p, small, out);
    /* libheif cannot decode the embedded picture of some cameras, but the large one */
    if (!done && (small == NULL || is_heif(&p)) && !too_late(&p))
        done = take_pixels(&p, g_object_ref(opened), out);
    if (!done) {
        g_autofree char *error = probe_take_error();
        g_autofree char *damaged = g_strdup_printf("the picture is damaged (%s)", error);
        refuse(out, too_late(&p) ? "it took too long" : damaged);
    }
    g_object_unref(opened);
    vips_error_clear();
}

void img_preview_clear(ImgPreview *p)
{
    if (p == NULL)
        return;
    g_clear_pointer(&p->rgb, g_bytes_unref);
    *p = (ImgPreview){ 0 };
}
