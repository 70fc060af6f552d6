#include "rendition.h"

#include "choose.h"
#include "fit.h"

enum {
    EDGE_FLOOR_PX = 320,
    CONTAINER_BYTES = 96, /* what EXIF, profile and XMP need around them, at most */
    METADATA_SHARE = 4,   /* metadata gives way when it takes more than one in so many bytes of the limit */
    PERCENT_EACH = 60,    /* of what is left, for the next encode */
};

typedef struct {
    Picture *picture;
    const ImgRecipe *recipe;
    const ImgWatch *outer;
    ImgResult *out;
    ImgWatch watch, quiet;    /* for encodes of the whole, and of samples */
    VipsImage *whole;         /* at the recipe's edge */
    VipsImage *pixels;        /* what is encoded: whole, or less of it */
    VipsImage *sample;        /* of pixels; NULL = not made yet */
    GBytes *exif, *xmp, *icc; /* what goes into the result */
    Choice choice;
    ImgFormat searched;           /* the format whose quality is lowered */
    uint64_t lossy_bytes;         /* its first encode */
    uint64_t source_limit, limit; /* bytes without metadata; the latter with the recipe's */
    bool stuck;                   /* the original cannot be cleaned */
    unsigned percent_from, percent_to;
} Rendition;

/* ------------------------------------------------------------------ results */

void rendition_fail(const ImgWatch *watch, const char *why, ImgResult *out)
{
    g_autofree char *error = probe_take_error();
    g_clear_pointer(&out->bytes, g_bytes_unref);
    out->kind = IMG_FAILED;
    out->format = IMG_FORMAT_NONE;
    if (why != NULL)
        g_strlcpy(out->note, why, sizeof out->note);
    else if (img_too_late(watch))
        g_strlcpy(out->note, "preparing it took too long", sizeof out->note);
    else
        g_snprintf(out->note, sizeof out->note, "the picture is damaged (%s)", error);
}

bool rendition_pass(Picture *picture, const ImgRecipe *recipe, const char *why, ImgResult *out)
{
    GBytes *cleaned = NULL;
    const ImgKind kind = picture->probe.kind;
    if (recipe->metadata != METADATA_ALL && probe_format(kind) != IMG_FORMAT_NONE) {
        GBytes *file = picture_file(picture);
        if (file == NULL || metadata_clean(kind, file, recipe->metadata, &cleaned) == METADATA_STUCK)
            return false;
    }
    g_clear_pointer(&out->bytes, g_bytes_unref);
    out->kind = cleaned != NULL ? IMG_MADE : IMG_AS_IS;
    out->cleaned = cleaned != NULL;
    out->bytes = cleaned;
    out->format = out->source_format;
    out->width_px = out->source_width_px;
    out->height_px = out->source_height_px;
    out->frames = picture->probe.animated ? picture->probe.pages : 1;
    out->quality = 0;
    g_strlcpy(out->note, why, sizeof out->note);
    return true;
}

static uint64_t held_bytes(const Rendition *r)
{
    return r->out->bytes != NULL ? g_bytes_get_size(r->out->bytes) : 0;
}

/* Takes bytes. */
static void hold(Rendition *r, GBytes *bytes, ImgFormat format, unsigned quality)
{
    ImgResult *out = r->out;
    g_clear_pointer(&out->bytes, g_bytes_unref);
    out->bytes = bytes;
    out->kind = IMG_MADE;
    out->format = format;
    out->quality = quality;
    out->frames = 1;
    out->width_px = (unsigned)vips_image_get_width(r->pixels);
    out->height_px = (unsigned)vips_image_get_height(r->pixels);
}

static void add_note(Rendition *r, const char *text)
{
    char *note = r->out->note;
    if (note[0] != 0)
        g_strlcat(note, "; ", sizeof r->out->note);
    g_strlcat(note, text, sizeof r->out->note);
}

/* ------------------------------------------------------------------ encoding */

static void tell(void *ctx, unsigned percent)
{
    const Rendition *r = ctx;
    if (r->outer->progress != NULL)
        r->outer->progress(r->outer->ctx, r->percent_from + (r->percent_to - r->percent_from) * percent / 100);
}

/* NULL: failed. Caller unrefs. */
static GBytes *encode_whole(Rendition *r, ImgFormat format, unsigned quality)
{
    const EncodeAsk ask = { .format = format, .quality = quality, .effort = r->recipe->effort };
    r->percent_from = r->percent_to;
    r->percent_to += (100 - r->percent_to) * PERCENT_EACH / 100;
    GBytes *bytes = encode_pixels(r->pixels, &ask, &r->watch);
    if (bytes != NULL)
        r->out->encodes++;
    return bytes;
}

static bool try_lossless(Rendition *r, ImgFormat format)
{
    GBytes *bytes = encode_whole(r, format, ENCODE_LOSSLESS);
    if (bytes == NULL)
        return false;
    const uint64_t size = g_bytes_get_size(bytes), held = held_bytes(r);
    const bool rival = r->out->quality == ENCODE_LOSSLESS; /* of another lossless one: the smaller wins */
    const bool wanted = rival ? size < held : choose_takes_lossless(r->pixels, size, r->lossy_bytes);
    if ((wanted && size <= r->limit) || (held > r->limit && size < held))
        hold(r, bytes, format, ENCODE_LOSSLESS);
    else
        g_bytes_unref(bytes);
    return true;
}

static bool try_jpeg(Rendition *r)
{
    GBytes *bytes = encode_whole(r, IMG_JPEG, r->choice.quality);
    if (bytes == NULL)
        return false;
    if (g_bytes_get_size(bytes) < held_bytes(r)) {
        r->searched = IMG_JPEG;
        r->lossy_bytes = g_bytes_get_size(bytes);
        hold(r, bytes, IMG_JPEG, r->choice.quality);
    } else {
        g_bytes_unref(bytes);
    }
    return true;
}

/* The one encode that nearly always is enough, and its rivals where they have a chance. */
static bool encode_first(Rendition *r)
{
    ImgFormat lossless[2];
    GBytes *bytes = encode_whole(r, r->choice.first, r->choice.quality);
    if (bytes == NULL)
        return false;
    r->lossy_bytes = g_bytes_get_size(bytes);
    hold(r, bytes, r->choice.first, r->choice.quality);
    const unsigned n = choose_lossless(&r->choice, &r->picture->probe, r->pixels, lossless);
    for (unsigned i = 0; i < n; i++)
        if (!try_lossless(r, lossless[i]))
            return false;
    return n > 0 || !choose_jpeg(&r->choice, r->pixels, r->lossy_bytes) || try_jpeg(r);
}

/* ------------------------------------------------------------------ the search, for fit.h */

static bool fit_encode(void *ctx, unsigned quality, uint64_t *bytes_out)
{
    Rendition *r = ctx;
    GBytes *bytes = encode_whole(r, r->searched, quality);
    if (bytes == NULL)
        return false;
    const uint64_t size = g_bytes_get_size(bytes), held = held_bytes(r);
    *bytes_out = size;
    /* better than what is held: smaller while that is too large, else larger and still within the limit */
    if (held > r->limit ? size < held : size <= r->limit && size > held)
        hold(r, bytes, r->searched, quality);
    else
        g_bytes_unref(bytes);
    return true;
}

static bool fit_sample(void *ctx, unsigned quality, uint64_t *bytes_out)
{
    Rendition *r = ctx;
    const EncodeAsk ask = { .format = r->searched, .quality = quality, .effort = r->recipe->effort };
    if (r->sample == NULL)
        r->sample = pixels_sample(r->pixels);
    GBytes *bytes = r->sample != NULL ? encode_pixels(r->sample, &ask, &r->quiet) : NULL;
    if (bytes == NULL)
        return false;
    const double share = (double)VIPS_IMAGE_N_PELS(r->sample) / (double)VIPS_IMAGE_N_PELS(r->pixels);
    *bytes_out = (uint64_t)((double)g_bytes_get_size(bytes) / share);
    g_bytes_unref(bytes);
    return true;
}

/* The other formats get theirs when they are done (insert_metadata). */
static bool attach_metadata(Rendition *r)
{
    if (r->searched != IMG_AVIF || (r->exif == NULL && r->icc == NULL))
        return true;
    VipsImage *attached = pixels_attach(r->pixels, r->exif, r->icc);
    if (attached == NULL)
        return false;
    g_object_unref(r->pixels);
    r->pixels = attached;
    return true;
}

static bool resize_to(Rendition *r, unsigned edge_px)
{
    g_clear_object(&r->sample);
    g_object_unref(r->pixels);
    r->pixels = g_object_ref(r->whole);
    return pixels_shrink(&r->pixels, edge_px) && pixels_settle(&r->pixels, &r->quiet) && attach_metadata(r);
}

static bool fit_resize(void *ctx, double scale, bool *least_out)
{
    Rendition *r = ctx;
    const unsigned edge_px = pixels_edge(r->pixels);
    const unsigned most_px = pixels_edge(r->whole), least_px = MIN(EDGE_FLOOR_PX, most_px);
    const unsigned wanted = (unsigned)CLAMP(edge_px * scale, least_px, most_px);
    *least_out = wanted <= least_px;
    return wanted == edge_px || resize_to(r, wanted);
}

/* Until it is within the limit. False: failed or out of time. */
static bool squeeze(Rendition *r, bool fewer_pixels)
{
    static const FitOps ops = { fit_encode, fit_sample, fit_resize };
    const bool any = encode_has_quality(r->searched);
    const FitAsk ask = { .limit_bytes = r->limit,
                         .quality = r->choice.quality,
                         .min_quality = any ? MIN(r->recipe->min_quality, r->choice.quality) : r->choice.quality,
                         .known_bytes = r->lossy_bytes,
                         .encodes_max = IMG_ENCODES_MAX - r->out->encodes,
                         .fewer_pixels = fewer_pixels };
    bool fits;
    return r->lossy_bytes <= r->limit || fit_search(&ask, &ops, r, &fits);
}

/* ------------------------------------------------------------------ what goes in */

static uint64_t size_or_0(GBytes *bytes)
{
    return bytes != NULL ? g_bytes_get_size(bytes) : 0;
}

static uint64_t metadata_bytes(const Rendition *r)
{
    const uint64_t bytes = size_or_0(r->exif) + size_or_0(r->xmp) + size_or_0(r->icc);
    return bytes > 0 ? bytes + CONTAINER_BYTES : 0;
}

static void read_metadata(Rendition *r, uint64_t limit)
{
    const Picture *p = r->picture;
    if (p->exif != NULL)
        r->exif = metadata_exif(g_bytes_get_data(p->exif, NULL), g_bytes_get_size(p->exif), r->recipe->metadata, 0);
    if (p->xmp != NULL && r->recipe->metadata == METADATA_ALL)
        r->xmp = g_bytes_ref(p->xmp);
    if (metadata_bytes(r) <= limit / METADATA_SHARE)
        return;
    g_clear_pointer(&r->exif, g_bytes_unref);
    g_clear_pointer(&r->xmp, g_bytes_unref);
}

/* What is sent must not be larger than what was there, but for a vector, of which pixels were asked for. */
static void read_limits(Rendition *r)
{
    const ImgKind kind = r->picture->probe.kind;
    const bool vector = kind == KIND_SVG || kind == KIND_PDF;
    const uint64_t most = r->recipe->max_bytes != 0 ? r->recipe->max_bytes : G_MAXUINT64;
    r->source_limit = vector ? G_MAXUINT64 : r->picture->probe.file_bytes;
    r->limit = MIN(most, r->source_limit);
}

static bool needs_fewer_pixels(const Rendition *r, VipsImage *pixels)
{
    return r->recipe->max_edge_px != 0 && pixels_edge(pixels) > r->recipe->max_edge_px;
}

static bool prepare_pixels(Rendition *r)
{
    GBytes *icc;
    VipsImage *pixels = picture_pixels(r->picture, r->recipe->keep_profile, &icc);
    if (icc != NULL && g_bytes_get_size(icc) > r->limit / METADATA_SHARE)
        pixels = picture_pixels(r->picture, false, &icc);
    r->icc = icc != NULL ? g_bytes_ref(icc) : NULL;
    r->whole = g_object_ref(pixels);
    if (needs_fewer_pixels(r, r->whole) && (!pixels_shrink(&r->whole, r->recipe->max_edge_px) || !pixels_settle(&r->whole, &r->quiet)))
        return false;
    r->choice = choose_first(r->recipe, &r->picture->probe, r->whole);
    if (!encode_has_alpha(r->choice.first) && !pixels_flatten(&r->whole, r->recipe->background))
        return false;
    const unsigned most = encode_edge_max(r->choice.first);
    if (pixels_edge(r->whole) > most) {
        if (!pixels_shrink(&r->whole, most) || !pixels_settle(&r->whole, &r->quiet))
            return false;
        add_note(r, "made smaller, as the format has no room for more pixels");
    }
    r->pixels = g_object_ref(r->whole);
    r->searched = r->choice.first;
    return attach_metadata(r);
}

/* ------------------------------------------------------------------ or rather the original */

/* Nothing of the source has to change, but for what metadata_clean takes out. */
static bool source_is_fine(const Rendition *r)
{
    const ImgProbe *p = &r->picture->probe;
    const ImgRecipe *recipe = r->recipe;
    const unsigned edge_px = MAX(p->width_px, p->height_px);
    const bool format = r->choice.free ? probe_kind_is_web(p->kind) : probe_format(p->kind) == r->choice.first;
    return format && !p->turned && !p->cmyk && (!p->wide || recipe->keep_profile) &&
           (recipe->max_edge_px == 0 || edge_px <= recipe->max_edge_px) && (recipe->max_bytes == 0 || p->file_bytes <= recipe->max_bytes);
}

static bool saves_too_little(const Rendition *r)
{
    const uint64_t made = held_bytes(r) + metadata_bytes(r);
    return (double)made * 100 > (double)r->picture->probe.file_bytes * (100 - r->recipe->min_savings);
}

static bool pass(Rendition *r, const char *why)
{
    if (!rendition_pass(r->picture, r->recipe, why, r->out))
        r->stuck = true;
    return !r->stuck;
}

/* ------------------------------------------------------------------ all of it */

static bool insert_metadata(Rendition *r)
{
    ImgResult *out = r->out;
    if (out->format == IMG_AVIF || out->format == IMG_GIF || metadata_bytes(r) == 0)
        return true;
    GBytes *full = metadata_insert(out->format, out->bytes, r->exif, r->icc, r->xmp);
    if (full == NULL && r->icc != NULL)
        full = metadata_insert(out->format, out->bytes, NULL, r->icc, NULL);
    if (full == NULL)
        return r->icc == NULL;
    g_bytes_unref(out->bytes);
    out->bytes = full;
    return true;
}

static bool finish(Rendition *r)
{
    const ImgProbe *p = &r->picture->probe;
    if (r->recipe->max_bytes != 0 && held_bytes(r) > r->limit) {
        g_autofree char *text = g_strdup_printf("still larger than asked at %u px", pixels_edge(r->pixels));
        add_note(r, text);
    }
    if (p->pages > 1 && (p->kind == KIND_TIFF || p->kind == KIND_PDF)) {
        g_autofree char *text = g_strdup_printf("first of %u pages", p->pages);
        add_note(r, text);
    }
    return insert_metadata(r);
}

/* False: failed or out of time. */
static bool make(Rendition *r)
{
    read_limits(r);
    read_metadata(r, r->limit);
    if (!prepare_pixels(r))
        return false;
    const uint64_t beside = MIN(metadata_bytes(r), r->limit / 2);
    r->limit -= beside;
    r->source_limit -= beside;
    if (!encode_first(r))
        return false;
    if (source_is_fine(r) && saves_too_little(r) && pass(r, "already small enough"))
        return true;
    const bool for_source = r->limit == r->source_limit;
    if (held_bytes(r) > r->limit && !squeeze(r, !for_source || r->stuck))
        return false;
    if (held_bytes(r) > r->source_limit && !r->stuck) {
        const bool too_large = r->recipe->max_bytes != 0 && r->picture->probe.file_bytes > r->recipe->max_bytes;
        if (pass(r, too_large ? "a new file would not be smaller; still larger than asked" : "a new file would not be smaller"))
            return true;
        if (!squeeze(r, true))
            return false;
    }
    return finish(r);
}

void rendition_make(Picture *picture, const ImgRecipe *recipe, const ImgWatch *watch, ImgResult *out)
{
    Rendition r = { .picture = picture, .recipe = recipe, .outer = watch, .out = out };
    r.watch = (ImgWatch){ .deadline_us = watch->deadline_us, .progress = tell, .ctx = &r };
    r.quiet = (ImgWatch){ .deadline_us = watch->deadline_us };
    if (!make(&r))
        rendition_fail(watch, NULL, out);
    g_clear_object(&r.sample);
    g_clear_object(&r.pixels);
    g_clear_object(&r.whole);
    g_clear_pointer(&r.exif, g_bytes_unref);
    g_clear_pointer(&r.xmp, g_bytes_unref);
    g_clear_pointer(&r.icc, g_bytes_unref);
}
