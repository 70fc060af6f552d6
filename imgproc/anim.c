#include "anim.h"

#include <math.h>
#include <unistd.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include "container.h"
#include "metadata.h"

enum {
    MEGA = 1000000,
    DELAY_LEAST_MS = 11, /* less is shown as DELAY_ODD_MS by every browser */
    DELAY_ODD_MS = 100,
    LOOPS_MAX = 65535,
    LOSSLESS = 100,
    LOSSLESS_EFFORT = 75, /* libwebp's quality counts as effort then */
    EDGE_FLOOR_PX = 160,
    FIRST_PERCENT = 70, /* of the way when the first encode is done; a second one may follow */
};

/* A frame without loss that is larger than this many times the lossy one: the frames are not tried without loss, which takes long. */
static const double lossless_chance = 4;
/* How the edge follows the bytes that are wanted, with something to spare: a third encode is not made. Fewer pixels need more bytes each.
 */
static const double fit_margin = 0.9, fit_power = 0.6;

typedef struct {
    int fd;
    const ImgProbe *probe;
    const ImgRecipe *recipe;
    const ImgWatch *watch;
    ImgResult *out;
    VipsImage *tall;              /* all frames, one below the other; read once, from top to bottom */
    unsigned width_px, height_px; /* of a frame, as it is stored */
    unsigned frames;
    int *delay_ms;  /* frames of them */
    unsigned plays; /* 0 = for ever */
    bool mixed;     /* lossless is tried for each frame */
    unsigned percent_from, percent_to, told;
} Anim;

/* ------------------------------------------------------------------ opening */

static bool open_frames(Anim *a)
{
    g_clear_object(&a->tall);
    if (lseek(a->fd, 0, SEEK_SET) != 0)
        return false;
    VipsSource *source = vips_source_new_from_descriptor(a->fd);
    if (source == NULL)
        return false;
    const char *loader = a->probe->kind == KIND_GIF ? "gifload_source" : "webpload_source";
    vips_call(loader, source, &a->tall, "n", -1, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on", VIPS_FAIL_ON_TRUNCATED, NULL);
    g_object_unref(source);
    return a->tall != NULL;
}

/* libvips counts how often the animation is played in both formats, 0 = for ever; a GIF without the extension is played once. */
static void read_timing(Anim *a)
{
    int *delay_ms = NULL, known = 0, plays = 0;
    if (vips_image_get_typeof(a->tall, "delay") != 0)
        vips_image_get_array_int(a->tall, "delay", &delay_ms, &known);
    if (vips_image_get_typeof(a->tall, "loop") != 0)
        vips_image_get_int(a->tall, "loop", &plays);
    a->plays = (unsigned)CLAMP(plays, 0, LOOPS_MAX);
    a->delay_ms = g_new(int, a->frames);
    for (unsigned i = 0; i < a->frames; i++) {
        const int ms = (int)i < known ? delay_ms[i] : 0;
        a->delay_ms[i] = ms < DELAY_LEAST_MS ? DELAY_ODD_MS : ms;
    }
}

static bool read_header(Anim *a)
{
    if (!open_frames(a))
        return false;
    a->width_px = (unsigned)vips_image_get_width(a->tall);
    a->height_px = (unsigned)vips_image_get_page_height(a->tall);
    a->frames = (unsigned)vips_image_get_height(a->tall) / a->height_px;
    read_timing(a);
    return true;
}

/* ------------------------------------------------------------------ one frame */

/* Gives *image up for the result of the last operation. */
static bool step(VipsImage **image, VipsImage *next, int status)
{
    if (status != 0)
        return false;
    g_object_unref(*image);
    *image = next;
    return true;
}

static bool to_srgb(VipsImage **image)
{
    VipsImage *next = NULL;
    if (vips_image_get_interpretation(*image) != VIPS_INTERPRETATION_sRGB || vips_image_get_bands(*image) < 3)
        if (!step(image, next, vips_colourspace(*image, &next, VIPS_INTERPRETATION_sRGB, NULL)))
            return false;
    if (vips_image_get_format(*image) != VIPS_FORMAT_UCHAR)
        if (!step(image, next, vips_cast(*image, &next, VIPS_FORMAT_UCHAR, NULL)))
            return false;
    return true;
}

/* Frame by frame, so that no edge of one bleeds into the next. Not computed yet. Caller unrefs. */
static VipsImage *frame_at(const Anim *a, unsigned i, unsigned edge_px)
{
    VipsImage *frame = NULL, *next = NULL;
    const bool profile = vips_image_get_typeof(a->tall, VIPS_META_ICC_NAME) != 0 && !a->recipe->keep_profile;
    const bool turned = vips_image_get_orientation(a->tall) > 1;
    if (vips_crop(a->tall, &frame, 0, (int)(i * a->height_px), (int)a->width_px, (int)a->height_px, NULL) != 0)
        return NULL;
    if (MAX(a->width_px, a->height_px) > edge_px || profile || turned) {
        const int status = vips_thumbnail_image(frame, &next, (int)edge_px, "height", (int)edge_px, "size", VIPS_SIZE_DOWN, "intent",
                                                VIPS_INTENT_PERCEPTUAL, profile ? "export_profile" : NULL, "srgb", NULL);
        if (!step(&frame, next, status))
            g_clear_object(&frame);
    }
    if (frame != NULL && !to_srgb(&frame))
        g_clear_object(&frame);
    return frame;
}

static bool too_late(const Anim *a)
{
    return img_too_late(a->watch);
}

static void tell(Anim *a, unsigned done, unsigned all)
{
    const unsigned percent = a->percent_from + (a->percent_to - a->percent_from) * done / all;
    if (a->watch->progress != NULL && percent > a->told)
        a->watch->progress(a->watch->ctx, percent);
    a->told = MAX(a->told, percent);
}

/* ------------------------------------------------------------------ WebP: libwebp sees pixels only, so no metadata gets in */

static WebPAnimEncoder *webp_new(const Anim *a, const VipsImage *frame)
{
    WebPAnimEncoderOptions options;
    if (!WebPAnimEncoderOptionsInit(&options))
        return NULL;
    options.anim_params.loop_count = (int)a->plays;
    options.anim_params.bgcolor = 0;
    options.minimize_size = 1;
    options.allow_mixed = a->mixed;
    return WebPAnimEncoderNew(vips_image_get_width(frame), vips_image_get_height(frame), &options);
}

static bool webp_config(const Anim *a, bool lossless, WebPConfig *out)
{
    if (!WebPConfigInit(out))
        return false;
    out->method = (int)a->recipe->effort;
    out->lossless = lossless;
    out->quality = lossless ? LOSSLESS_EFFORT : (float)a->out->quality;
    return true;
}

static bool webp_import(VipsImage *frame, WebPPicture *out)
{
    if (!WebPPictureInit(out))
        return false;
    out->width = vips_image_get_width(frame);
    out->height = vips_image_get_height(frame);
    out->use_argb = 1;
    const uint8_t *data = VIPS_IMAGE_ADDR(frame, 0, 0);
    const int stride = (int)VIPS_IMAGE_SIZEOF_LINE(frame);
    return vips_image_get_bands(frame) == 4 ? WebPPictureImportRGBA(out, data, stride) != 0 : WebPPictureImportRGB(out, data, stride) != 0;
}

static bool webp_add(const Anim *a, WebPAnimEncoder *encoder, VipsImage *frame, int at_ms)
{
    WebPConfig config;
    WebPPicture picture = { 0 };
    const bool ok = webp_config(a, a->out->quality == LOSSLESS, &config) && webp_import(frame, &picture) &&
                    WebPAnimEncoderAdd(encoder, &picture, at_ms, &config) != 0;
    WebPPictureFree(&picture);
    return ok;
}

static GBytes *webp_end(WebPAnimEncoder *encoder, int at_ms)
{
    WebPData data;
    WebPDataInit(&data);
    if (!WebPAnimEncoderAdd(encoder, NULL, at_ms, NULL) || !WebPAnimEncoderAssemble(encoder, &data))
        return NULL;
    return g_bytes_new_with_free_func(data.bytes, data.size, WebPFree, (void *)data.bytes);
}

static bool webp_frame(Anim *a, WebPAnimEncoder **encoder, unsigned i, unsigned edge_px, int at_ms)
{
    VipsImage *lazy = frame_at(a, i, edge_px);
    VipsImage *frame = lazy != NULL && !too_late(a) ? vips_image_copy_memory(lazy) : NULL;
    bool ok = frame != NULL;
    if (ok && *encoder == NULL) {
        a->out->width_px = (unsigned)vips_image_get_width(frame);
        a->out->height_px = (unsigned)vips_image_get_height(frame);
        *encoder = webp_new(a, frame);
    }
    ok = ok && *encoder != NULL && webp_add(a, *encoder, frame, at_ms);
    g_clear_object(&frame);
    g_clear_object(&lazy);
    tell(a, i + 1, a->frames);
    return ok;
}

/* 0 = failed. */
static size_t still_bytes(const Anim *a, VipsImage *frame, bool lossless)
{
    WebPConfig config;
    WebPPicture picture = { 0 };
    WebPMemoryWriter writer;
    WebPMemoryWriterInit(&writer);
    bool ok = webp_config(a, lossless, &config) && webp_import(frame, &picture);
    picture.writer = WebPMemoryWrite;
    picture.custom_ptr = &writer;
    ok = ok && WebPEncode(&config, &picture) != 0;
    const size_t size = ok ? writer.size : 0;
    WebPPictureFree(&picture);
    WebPMemoryWriterClear(&writer);
    return size;
}

/* One by one: libvips would compute all that is skipped in one piece. */
static bool pass_frames(const Anim *a, unsigned n)
{
    bool ok = true;
    for (unsigned i = 0; i < n && ok && !too_late(a); i++) {
        VipsImage *lazy = frame_at(a, i, RECIPE_EDGE_MAX);
        VipsImage *frame = lazy != NULL ? vips_image_copy_memory(lazy) : NULL;
        ok = frame != NULL;
        g_clear_object(&frame);
        g_clear_object(&lazy);
    }
    return ok;
}

/* By a frame from the middle: many begin in black. Leaves the frames opened anew. */
static bool choose_mixed(Anim *a, unsigned edge_px)
{
    if (a->out->quality == LOSSLESS)
        return true;
    VipsImage *lazy = pass_frames(a, a->frames / 2) ? frame_at(a, a->frames / 2, edge_px) : NULL;
    VipsImage *frame = lazy != NULL ? vips_image_copy_memory(lazy) : NULL;
    const size_t lossy = frame != NULL ? still_bytes(a, frame, false) : 0;
    const size_t lossless = frame != NULL && !too_late(a) ? still_bytes(a, frame, true) : 0;
    a->mixed = (double)lossless <= lossless_chance * (double)lossy;
    g_clear_object(&frame);
    g_clear_object(&lazy);
    return lossy > 0 && lossless > 0 && open_frames(a);
}

static GBytes *encode_webp(Anim *a, unsigned edge_px)
{
    WebPAnimEncoder *encoder = NULL;
    int at_ms = 0;
    bool ok = true;
    for (unsigned i = 0; i < a->frames && ok; i++) {
        ok = webp_frame(a, &encoder, i, edge_px, at_ms);
        at_ms += a->delay_ms[i];
    }
    GBytes *bytes = ok ? webp_end(encoder, at_ms) : NULL;
    WebPAnimEncoderDelete(encoder);
    return bytes;
}

/* ------------------------------------------------------------------ GIF */

static void on_eval(VipsImage *image, VipsProgress *progress, Anim *a)
{
    if (too_late(a))
        vips_image_set_kill(image, TRUE);
    tell(a, (unsigned)CLAMP(progress->percent, 0, 100), 100);
}

/* Every frame again in one tall picture; nothing is computed yet. */
static VipsImage *join_frames(const Anim *a, unsigned edge_px)
{
    VipsImage *joined = NULL;
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_object_unref);
    for (unsigned i = 0; i < a->frames; i++) {
        VipsImage *frame = frame_at(a, i, edge_px);
        if (frame == NULL)
            return NULL;
        g_ptr_array_add(list, frame);
    }
    const int height = vips_image_get_height(list->pdata[0]);
    if (vips_arrayjoin((VipsImage **)list->pdata, &joined, (int)list->len, "across", 1, NULL) != 0)
        return NULL;
    vips_image_set_int(joined, VIPS_META_PAGE_HEIGHT, height);
    vips_image_set_array_int(joined, "delay", a->delay_ms, (int)a->frames);
    vips_image_set_int(joined, "loop", (int)a->plays);
    a->out->width_px = (unsigned)vips_image_get_width(joined);
    a->out->height_px = (unsigned)height;
    return joined;
}

static GBytes *encode_gif(Anim *a, unsigned edge_px)
{
    void *data = NULL;
    size_t size = 0;
    VipsImage *joined = join_frames(a, edge_px);
    if (joined == NULL)
        return NULL;
    vips_image_set_progress(joined, TRUE);
    g_signal_connect(joined, "eval", G_CALLBACK(on_eval), a);
    const bool ok = vips_gifsave_buffer(joined, &data, &size, "strip", TRUE, NULL) == 0;
    g_object_unref(joined);
    return ok ? g_bytes_new_take(data, size) : NULL;
}

/* ------------------------------------------------------------------ what becomes of it */

static void note(Anim *a, const char *text)
{
    g_strlcpy(a->out->note, text, sizeof a->out->note);
}

static void fail(Anim *a, const char *why)
{
    g_clear_pointer(&a->out->bytes, g_bytes_unref);
    a->out->kind = IMG_FAILED;
    note(a, why);
}

static void fail_after_error(Anim *a)
{
    g_autofree char *error = probe_take_error();
    g_autofree char *damaged = g_strdup_printf("the picture is damaged (%s)", error);
    fail(a, too_late(a) ? "preparing it took too long" : damaged);
}

/* The source itself, less what may not be told. */
static void keep_original(Anim *a, GBytes *file, const char *why)
{
    GBytes *cleaned = NULL;
    ImgResult *out = a->out;
    g_clear_pointer(&out->bytes, g_bytes_unref);
    out->kind = IMG_AS_IS;
    out->format = out->source_format;
    out->width_px = out->source_width_px;
    out->height_px = out->source_height_px;
    out->frames = a->frames;
    out->quality = 0;
    note(a, why);
    if (a->recipe->metadata == METADATA_ALL)
        return;
    const MetadataResult result = file != NULL ? metadata_clean(a->probe->kind, file, a->recipe->metadata, &cleaned) : METADATA_STUCK;
    if (result == METADATA_STUCK) {
        fail(a, "its metadata cannot be taken out");
        return;
    }
    out->kind = result == METADATA_CLEANED ? IMG_MADE : IMG_AS_IS;
    out->cleaned = result == METADATA_CLEANED;
    out->bytes = cleaned;
}

/* Of a WebP; a GIF has no place for them. NULL when there is none. */
static GBytes *field(const Anim *a, const char *name)
{
    const void *data = NULL;
    size_t size = 0;
    if (vips_image_get_typeof(a->tall, name) == 0 || vips_image_get_blob(a->tall, name, &data, &size) != 0 || size == 0)
        return NULL;
    return g_bytes_new(data, size);
}

/* What the recipe lets stay of the source's metadata. Takes bytes. */
static GBytes *insert_metadata(const Anim *a, GBytes *bytes)
{
    g_autoptr(GBytes) found = field(a, VIPS_META_EXIF_NAME);
    g_autoptr(GBytes) icc = a->recipe->keep_profile ? field(a, VIPS_META_ICC_NAME) : NULL;
    g_autoptr(GBytes) xmp = a->recipe->metadata == METADATA_ALL ? field(a, VIPS_META_XMP_NAME) : NULL;
    g_autoptr(GBytes) exif = NULL;
    if (found != NULL)
        exif = metadata_exif(g_bytes_get_data(found, NULL), g_bytes_get_size(found), a->recipe->metadata, 0);
    if (exif == NULL && icc == NULL && xmp == NULL)
        return bytes;
    GBytes *whole = metadata_insert(IMG_WEBP, bytes, exif, icc, xmp);
    g_bytes_unref(bytes);
    return whole;
}

static unsigned count_webp_frames(GBytes *bytes)
{
    const WebPData data = { g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes) };
    WebPMux *mux = WebPMuxCreate(&data, 0);
    int frames = 0;
    if (mux != NULL)
        WebPMuxNumChunks(mux, WEBP_CHUNK_ANMF, &frames);
    WebPMuxDelete(mux);
    return (unsigned)MAX(frames, 1); /* a still has no such chunk */
}

static unsigned count_gif_frames(GBytes *bytes)
{
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);
    VipsImage *tall = vips_image_new_from_buffer(data, size, "", "n", -1, "access", VIPS_ACCESS_SEQUENTIAL, NULL);
    if (tall == NULL)
        return 0;
    const int frames = vips_image_get_height(tall) / vips_image_get_page_height(tall);
    g_object_unref(tall);
    return (unsigned)frames;
}

/* Takes bytes. */
static bool keep_encoded(Anim *a, GBytes *bytes)
{
    if (bytes != NULL && a->out->format == IMG_WEBP)
        bytes = insert_metadata(a, bytes);
    if (bytes == NULL)
        return false;
    /* encoders make one frame of neighbours that look the same; it is shown as long as they were */
    a->out->frames = a->out->format == IMG_WEBP ? count_webp_frames(bytes) : count_gif_frames(bytes);
    a->out->encodes++;
    g_clear_pointer(&a->out->bytes, g_bytes_unref);
    a->out->bytes = bytes;
    return true;
}

static bool encode(Anim *a, unsigned edge_px)
{
    return keep_encoded(a, a->out->format == IMG_GIF ? encode_gif(a, edge_px) : encode_webp(a, edge_px));
}

static bool within(const Anim *a, uint64_t bytes)
{
    return a->recipe->max_bytes == 0 || bytes <= a->recipe->max_bytes;
}

/* Once more with fewer pixels and the least quality that is allowed. */
static bool encode_smaller(Anim *a)
{
    const double ratio = fit_margin * (double)a->recipe->max_bytes / (double)g_bytes_get_size(a->out->bytes);
    const unsigned edge_px = MAX(a->out->width_px, a->out->height_px);
    const unsigned smaller_px = (unsigned)(edge_px * pow(ratio, fit_power));
    a->percent_from = a->percent_to;
    a->percent_to = 100;
    if (a->out->format == IMG_WEBP && a->out->quality != LOSSLESS)
        a->out->quality = (a->out->quality + a->recipe->min_quality) / 2;
    return open_frames(a) && encode(a, MIN(edge_px, MAX(smaller_px, EDGE_FLOOR_PX)));
}

static bool source_is_allowed(const Anim *a)
{
    const unsigned edge_px = a->recipe->max_edge_px;
    return within(a, a->probe->file_bytes) && (edge_px == 0 || MAX(a->width_px, a->height_px) <= edge_px);
}

static void make(Anim *a, GBytes *file)
{
    const unsigned edge_px = a->recipe->max_edge_px != 0 ? a->recipe->max_edge_px : RECIPE_EDGE_MAX;
    if ((a->out->format == IMG_WEBP && !choose_mixed(a, edge_px)) || !encode(a, edge_px) ||
        (!within(a, g_bytes_get_size(a->out->bytes)) && !encode_smaller(a))) {
        fail_after_error(a);
        return;
    }
    const uint64_t made = g_bytes_get_size(a->out->bytes), had = a->probe->file_bytes;
    if (made >= had)
        keep_original(a, file, "a new file would not be smaller");
    else if (source_is_allowed(a) && made * 100 > had * (100 - a->recipe->min_savings))
        keep_original(a, file, "already small enough");
    else if (!within(a, made))
        g_snprintf(a->out->note, sizeof a->out->note, "still larger than asked at %u px", MAX(a->out->width_px, a->out->height_px));
}

/* libvips shows the frames before the cut, and says nothing. */
static bool is_cut(const ImgProbe *probe, GBytes *file)
{
    return probe->kind == KIND_GIF && file != NULL && !gif_is_whole(g_bytes_get_data(file, NULL), g_bytes_get_size(file));
}

void anim_render(int fd, const ImgProbe *probe, GBytes *file, const ImgRecipe *recipe, const ImgWatch *watch, ImgResult *out)
{
    Anim a = { .fd = fd, .probe = probe, .recipe = recipe, .watch = watch, .out = out, .percent_to = FIRST_PERCENT };
    *out = (ImgResult){ .kind = IMG_MADE };
    out->source_format = probe->kind == KIND_GIF ? IMG_GIF : IMG_WEBP;
    out->format = recipe->format == RECIPE_KEEP ? out->source_format : IMG_WEBP;
    out->quality = out->format == IMG_WEBP ? recipe->quality : 0;
    if (!read_header(&a)) {
        fail_after_error(&a);
        return;
    }
    const bool on_its_side = vips_image_get_orientation_swap(a.tall);
    out->source_width_px = on_its_side ? a.height_px : a.width_px;
    out->source_height_px = on_its_side ? a.width_px : a.height_px;
    const double pixels = (double)a.width_px * a.height_px * a.frames;
    if (pixels > (double)IMG_FRAMES_MEGAPIXELS_MAX * MEGA)
        fail(&a, "its frames together have too many pixels");
    else if (is_cut(probe, file))
        fail(&a, "the picture is damaged (it ends too early)");
    else if (recipe->format == RECIPE_JPEG || recipe->format == RECIPE_PNG || recipe->format == RECIPE_AVIF)
        keep_original(&a, file, "an animation stays what it is");
    else
        make(&a, file);
    g_clear_object(&a.tall);
    g_free(a.delay_ms);
}
