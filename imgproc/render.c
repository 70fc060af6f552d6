#include "imgproc.h"

#include <string.h>

#include "encode.h"
#include "fit.h"
#include "probe.h"

enum {
    QUALITY_FLOOR = 50,   /* below, fewer pixels look better than coarser coding */
    QUALITY_RESTART = 75, /* after the edge was cut */
    EDGE_FLOOR_PX = 320,
    EDGE_CUTS_MAX = 8,
    SAMPLE_EDGE = 64,
    SAMPLE_COLOURS_FEW = 2048,
};

typedef struct {
    const ImgRecipe *recipe;
    ImgWatch watch;
    ImgProbe probe;
    VipsImage *pixels; /* as encode.h wants them */
    ImgResult *out;
    unsigned percent; /* last one told */
    void (*progress)(void *ctx, unsigned percent);
    void *progress_ctx;
} Render;

bool img_init(const char *argv0)
{
    g_setenv("VIPS_WARNING", "1", TRUE);         /* any value: none of libvips's warnings on stderr */
    g_setenv("VIPS_DISC_THRESHOLD", "4g", TRUE); /* never to a temporary file: the sandbox forbids one */
    if (VIPS_INIT(argv0) != 0)
        return false;
    vips_block_untrusted_set(TRUE);
    vips_concurrency_set(1);
    vips_cache_set_max(0);
    return true;
}

static void give_up(Render *r, ImgOutcomeKind kind, const char *why)
{
    g_clear_pointer(&r->out->bytes, g_bytes_unref);
    r->out->kind = kind;
    r->out->format = IMG_FORMAT_NONE;
    g_strlcpy(r->out->note, why, sizeof r->out->note);
}

static bool too_late(const Render *r)
{
    return r->watch.deadline_us != 0 && g_get_monotonic_time() >= r->watch.deadline_us;
}

/* The pixels or the encoder gave up. */
static void fail(Render *r)
{
    g_autofree char *error = probe_take_error();
    g_autofree char *why = g_strdup_printf("the picture is damaged (%s)", error);
    give_up(r, IMG_FAILED, too_late(r) ? "preparing it took too long" : why);
}

static void tell(void *ctx, unsigned percent)
{
    Render *r = ctx;
    if (percent <= r->percent)
        return;
    r->percent = percent;
    if (r->progress != NULL)
        r->progress(r->progress_ctx, percent);
}

static void on_eval(VipsImage *image, VipsProgress *progress, Render *r)
{
    if (too_late(r))
        vips_image_set_kill(image, TRUE);
    tell(r, (unsigned)CLAMP(progress->percent, 0, 100) / 2);
}

/* Gives *image up for the result of the last operation. */
static bool step(VipsImage **image, VipsImage *next, int status)
{
    if (status != 0)
        return false;
    g_object_unref(*image);
    *image = next;
    return true;
}

static bool thumbnail(VipsImage **image, unsigned edge_px)
{
    VipsImage *next = NULL;
    const bool profile = vips_image_get_typeof(*image, VIPS_META_ICC_NAME) != 0;
    /* a conversion without a profile costs time and darkens greys: the option list ends early then */
    const int status = vips_thumbnail_image(*image, &next, (int)edge_px, "height", (int)edge_px, "size", VIPS_SIZE_DOWN, "intent",
                                            VIPS_INTENT_PERCEPTUAL, profile ? "export_profile" : NULL, "srgb", NULL);
    return step(image, next, status);
}

static bool alpha_is_opaque(VipsImage *pixels)
{
    const uint8_t *p = VIPS_IMAGE_ADDR(pixels, 0, 0);
    const size_t n = (size_t)VIPS_IMAGE_N_PELS(pixels);
    for (size_t i = 0; i < n; i++)
        if (p[i * 4 + 3] != 255)
            return false;
    return true;
}

/* 8 bit sRGB, 3 or 4 bands, in memory: nothing is computed twice afterwards. */
static bool settle(VipsImage **image, Render *r)
{
    VipsImage *next = NULL;
    if (vips_image_get_interpretation(*image) != VIPS_INTERPRETATION_sRGB || vips_image_get_bands(*image) < 3)
        if (!step(image, next, vips_colourspace(*image, &next, VIPS_INTERPRETATION_sRGB, NULL)))
            return false;
    if (vips_image_get_format(*image) != VIPS_FORMAT_UCHAR)
        if (!step(image, next, vips_cast(*image, &next, VIPS_FORMAT_UCHAR, NULL)))
            return false;
    if (vips_image_get_bands(*image) > 4)
        if (!step(image, next, vips_extract_band(*image, &next, 0, "n", 4, NULL)))
            return false;

    vips_image_set_progress(*image, TRUE);
    const gulong handler = g_signal_connect(*image, "eval", G_CALLBACK(on_eval), r);
    next = vips_image_copy_memory(*image);
    g_signal_handler_disconnect(*image, handler);
    if (!step(image, next, next == NULL))
        return false;
    if (vips_image_get_bands(*image) == 3 || !alpha_is_opaque(*image))
        return true;
    if (!step(image, next, vips_extract_band(*image, &next, 0, "n", 3, NULL)))
        return false;
    next = vips_image_copy_memory(*image);
    return step(image, next, next == NULL);
}

/* libjpeg shrinks while it decodes, which is nearly free; the resizer keeps at least a factor of 2 of its own from 8 on. */
static int jpeg_shrink(const ImgProbe *probe, unsigned edge_px)
{
    const unsigned factor = MAX(probe->width_px, probe->height_px) / edge_px;
    if (probe->kind != KIND_JPEG || factor < 2)
        return 1;
    return factor >= 16 ? 8 : factor >= 8 ? 4 : 2;
}

static bool decode(Render *r, int fd, VipsImage *opened)
{
    const unsigned edge_px = r->recipe->max_edge_px != 0 ? r->recipe->max_edge_px : RECIPE_EDGE_MAX;
    const int shrink = jpeg_shrink(&r->probe, edge_px);
    r->pixels = shrink > 1 ? probe_open(fd, KIND_JPEG, shrink) : g_object_ref(opened);
    return r->pixels != NULL && thumbnail(&r->pixels, edge_px) && settle(&r->pixels, r);
}

static uint64_t size_of(const ImgResult *out)
{
    return out->bytes != NULL ? g_bytes_get_size(out->bytes) : 0;
}

static void keep(Render *r, GBytes *bytes, ImgFormat format, unsigned quality)
{
    ImgResult *out = r->out;
    g_clear_pointer(&out->bytes, g_bytes_unref);
    out->bytes = bytes;
    out->kind = IMG_MADE;
    out->frames = 1;
    out->format = format;
    out->quality = quality;
    out->width_px = (unsigned)vips_image_get_width(r->pixels);
    out->height_px = (unsigned)vips_image_get_height(r->pixels);
}

static uint64_t limit_of(const Render *r)
{
    return r->recipe->max_bytes != 0 ? MIN(r->recipe->max_bytes, r->probe.file_bytes) : r->probe.file_bytes;
}

static double bits_a_pixel(const Render *r, uint64_t bytes)
{
    return 8.0 * (double)bytes / (double)VIPS_IMAGE_N_PELS(r->pixels);
}

/* A grid of pixels tells drawings and screenshots from photographs well enough to spare the latter a trial. */
static bool has_few_colours(VipsImage *pixels)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    const int width = vips_image_get_width(pixels), height = vips_image_get_height(pixels);
    for (int y = 0; y < SAMPLE_EDGE; y++)
        for (int x = 0; x < SAMPLE_EDGE; x++) {
            const uint8_t *p = VIPS_IMAGE_ADDR(pixels, (int)((int64_t)x * width / SAMPLE_EDGE), (int)((int64_t)y * height / SAMPLE_EDGE));
            g_hash_table_add(seen, GUINT_TO_POINTER((guint)p[0] << 16 | (guint)p[1] << 8 | p[2]));
        }
    return g_hash_table_size(seen) < SAMPLE_COLOURS_FEW;
}

static bool try_lossless(Render *r)
{
    GBytes *bytes = encode_webp(r->pixels, ENCODE_LOSSLESS, &r->watch);
    if (bytes == NULL)
        return false;
    r->out->encodes++;
    const uint64_t size = g_bytes_get_size(bytes), lossy = size_of(r->out), limit = limit_of(r);
    const bool wanted = (double)size <= 1.3 * (double)lossy || bits_a_pixel(r, size) < 0.5;
    if ((wanted && size <= limit) || (lossy > limit && size < lossy))
        keep(r, bytes, IMG_WEBP, ENCODE_LOSSLESS);
    else
        g_bytes_unref(bytes);
    return true;
}

static bool try_jpeg(Render *r)
{
    GBytes *bytes = encode_jpeg(r->pixels, r->recipe->quality);
    if (bytes == NULL)
        return false;
    r->out->encodes++;
    if (g_bytes_get_size(bytes) < size_of(r->out))
        keep(r, bytes, IMG_JPEG, r->recipe->quality - ENCODE_JPEG_BELOW);
    else
        g_bytes_unref(bytes);
    return true;
}

/* The one encode that nearly always is enough, and its rivals where they have a chance. */
static bool encode_first(Render *r)
{
    GBytes *bytes = encode_webp(r->pixels, r->recipe->quality, &r->watch);
    if (bytes == NULL)
        return false;
    r->out->encodes++;
    keep(r, bytes, IMG_WEBP, r->recipe->quality);
    if (r->probe.lossless && has_few_colours(r->pixels))
        return try_lossless(r);
    if (bits_a_pixel(r, size_of(r->out)) > 1.5 && vips_image_get_bands(r->pixels) == 3)
        return try_jpeg(r);
    return true;
}

static bool encode_at(void *ctx, unsigned quality, uint64_t *bytes_out)
{
    Render *r = ctx;
    GBytes *bytes = encode_webp(r->pixels, quality, &r->watch);
    if (bytes == NULL)
        return false;
    r->out->encodes++;
    const uint64_t size = g_bytes_get_size(bytes), held = size_of(r->out), limit = limit_of(r);
    *bytes_out = size;
    /* better than what is held: smaller while that is too large, else larger and still within the limit */
    if (held > limit ? size < held : size <= limit && size > held)
        keep(r, bytes, IMG_WEBP, quality);
    else
        g_bytes_unref(bytes);
    return true;
}

/* Lower quality at this size. *fits_out: the result is within the limit. */
static bool lower_quality(Render *r, unsigned known_quality, uint64_t known_bytes, bool *fits_out)
{
    const FitAsk ask = { .limit_bytes = limit_of(r), .floor = QUALITY_FLOOR, .known_quality = known_quality, .known_bytes = known_bytes };
    FitAnswer answer;
    if (!fit_search(&ask, encode_at, r, &answer))
        return false;
    *fits_out = answer.fits;
    return true;
}

static unsigned longest_edge(VipsImage *image)
{
    return (unsigned)MAX(vips_image_get_width(image), vips_image_get_height(image));
}

static bool fewer_pixels(Render *r, bool *fits_out)
{
    for (unsigned i = 0; i < EDGE_CUTS_MAX && !*fits_out && longest_edge(r->pixels) > EDGE_FLOOR_PX; i++) {
        const double scaled = longest_edge(r->pixels) * fit_scale(size_of(r->out), limit_of(r));
        uint64_t bytes;
        if (!thumbnail(&r->pixels, MAX((unsigned)scaled, EDGE_FLOOR_PX)) || !settle(&r->pixels, r))
            return false;
        if (!encode_at(r, QUALITY_RESTART, &bytes))
            return false;
        *fits_out = bytes <= limit_of(r);
        if (!*fits_out && !lower_quality(r, QUALITY_RESTART, bytes, fits_out))
            return false;
    }
    return true;
}

/* Until it is within the limit. False: failed or out of time. */
static bool squeeze(Render *r)
{
    bool fits = false;
    if (!lower_quality(r, r->recipe->quality, size_of(r->out), &fits))
        return false;
    const bool source_is_limit = limit_of(r) == r->probe.file_bytes;
    if (!fits && source_is_limit && !r->probe.extras) {
        give_up(r, IMG_AS_IS, "a new file would not be smaller");
        return true;
    }
    if (!fits && !fewer_pixels(r, &fits))
        return false;
    if (r->recipe->max_bytes != 0 && size_of(r->out) > r->recipe->max_bytes)
        g_snprintf(r->out->note, sizeof r->out->note, "still larger than asked at %u px", longest_edge(r->pixels));
    return true;
}

static bool may_stay(const Render *r)
{
    const ImgProbe *p = &r->probe;
    return probe_kind_is_web(p->kind) && (r->recipe->max_bytes == 0 || p->file_bytes <= r->recipe->max_bytes) &&
           (r->recipe->max_edge_px == 0 || MAX(p->width_px, p->height_px) <= r->recipe->max_edge_px) && !p->turned && !p->profile &&
           !p->extras;
}

static void make(Render *r, int fd, VipsImage *opened)
{
    if (!decode(r, fd, opened) || !encode_first(r)) {
        fail(r);
        return;
    }
    const uint64_t made = size_of(r->out);
    if (may_stay(r) && made * 100 > r->probe.file_bytes * (100 - r->recipe->min_savings)) {
        give_up(r, IMG_AS_IS, "already small enough");
        return;
    }
    if (made > limit_of(r) && !squeeze(r))
        fail(r);
}

static void render_one(int fd, const ImgRecipe *recipe, const ImgWatch *watch, ImgResult *out)
{
    Render r = { .recipe = recipe, .out = out, .progress = watch->progress, .progress_ctx = watch->ctx };
    r.watch = (ImgWatch){ .deadline_us = watch->deadline_us, .progress = tell, .ctx = &r };
    *out = (ImgResult){ 0 };
    vips_error_clear();

    g_autofree char *why = NULL;
    ImgOutcomeKind refusal = IMG_FAILED;
    VipsImage *opened = probe_file(fd, &r.probe, &refusal, &why);
    out->source_format = probe_format(r.probe.kind);
    out->source_width_px = r.probe.turned ? r.probe.height_px : r.probe.width_px;
    out->source_height_px = r.probe.turned ? r.probe.width_px : r.probe.height_px;
    if (opened == NULL)
        give_up(&r, refusal, why);
    else
        make(&r, fd, opened);
    g_clear_object(&r.pixels);
    g_clear_object(&opened);
    vips_error_clear();
}

void img_render(int fd, const ImgRecipe *recipes, unsigned n, const ImgWatch *watch, ImgResult *out)
{
    for (unsigned i = 0; i < n; i++)
        render_one(fd, &recipes[i], watch, &out[i]);
}
