/* imgproc.h - the inner face of hoist's picture code: one file through one or more recipes, or as a small preview.
 *
 * img_render decodes once, at the size of the largest rendition, keeps those pixels and makes every rendition from them (render.c). Animations
 * go through anim.c. Each rendition ends in one of three ways:
 *   IMG_MADE    `bytes` is to be sent. Either encoded anew - upright, within the limits, no larger than the source - or, with `cleaned`, the
 *               source itself without what the recipe's `metadata` drops (metadata.h): nothing else of it was changed.
 *   IMG_AS_IS   the source is to be sent unchanged, because that is right: it is small enough and holds nothing private; a new file would
 *               save less than min_savings; it is no picture that is converted (SVG, PDF unless recipe.vectors, APNG, BMP, ICO, JPEG XL,
 *               JPEG 2000, camera raws).
 *   IMG_FAILED  it could not be done: damaged, over the limits below, out of time or memory; or the source should go but its metadata cannot be
 *               taken out. What happens to the file is the caller's policy.
 *
 * Which it is: a source that needs no change goes as it is, or cleaned, unless a new file saves min_savings. It needs one when it has more
 * pixels or bytes than the recipe allows, is not upright, is CMYK, has a profile other than sRGB (unless keep_profile), is of a kind that
 * browsers do not show (HEIC, TIFF), or not of the format that is asked for. Then a new file need not save min_savings, but it is never larger than
 * the source: a lower quality, down to min_quality, makes it so, or else the source goes; pixels are never given up for that. They are for max_bytes:
 * when nothing fits that, the smallest goes, and note says so. A rasterised vector has no such source.
 * Metadata gives way when it would take a quarter of the bytes, the profile by converting to sRGB.
 * note says why, in one line. The caller decides nothing from the text.
 *
 * Threads: one picture at a time a process (libvips keeps its errors per process).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "recipe.h"

enum {
    IMG_MEGAPIXELS_MAX = 120,       /* width x height of one picture, before it is decoded */
    IMG_FRAMES_MEGAPIXELS_MAX = 200, /* of all frames of an animation */
    IMG_CLEAN_BYTES_MAX = 256 << 20, /* larger files are not read whole to take their metadata out */
    IMG_NOTE_MAX = 200,
    IMG_ENCODES_MAX = 8,            /* of one rendition, whatever its byte target; samples of a sixteenth of it apart */
};

typedef enum { IMG_AS_IS, IMG_MADE, IMG_FAILED } ImgOutcomeKind;
/* Of a result. HEIC, TIFF: only cleaned sources. Append only: on the wire. */
typedef enum { IMG_FORMAT_NONE, IMG_WEBP, IMG_JPEG, IMG_PNG, IMG_AVIF, IMG_GIF, IMG_HEIC, IMG_TIFF, N_IMG_FORMATS } ImgFormat;

const char *img_format_name(ImgFormat f);       /* "webp" */
const char *img_format_type(ImgFormat f);       /* "image/webp" */
const char *img_format_extension(ImgFormat f);  /* "webp", "jpg" */

typedef struct {
    ImgOutcomeKind kind;
    ImgFormat format;
    GBytes *bytes; /* NULL unless IMG_MADE */
    bool cleaned;  /* bytes are the source's own, less its metadata */
    ImgFormat source_format; /* NONE when unknown */
    unsigned source_width_px, source_height_px; /* upright; 0 = not known */
    unsigned width_px, height_px;
    unsigned frames;  /* of the result; 1 = a still */
    unsigned quality; /* on the recipe's scale; 100 = lossless */
    unsigned encodes; /* of the whole picture */
    char note[IMG_NOTE_MAX]; /* one line of UTF-8, "" = none: "already small enough", "first of 3 pages" */
} ImgResult;

/* How long, and whom to tell. progress may be NULL; percent rises, over all renditions together. */
typedef struct {
    int64_t deadline_us; /* CPU time of this process as img_cpu_us tells it, so that a busy machine turns no picture away; 0 = none */
    void (*progress)(void *ctx, unsigned percent);
    void *ctx;
} ImgWatch;

int64_t img_cpu_us(void);
bool img_too_late(const ImgWatch *watch);
/* Once a process, before threads start: libvips without untrusted loaders, one thread a picture, no cache, all modules loaded. */
bool img_init(const char *argv0);
/* What this machine's libvips can do, after img_init (abilities.c): its version, and bits 1u << ImgFormat. */
const char *img_library_version(void);
unsigned img_readable(void);
unsigned img_writable(void);
/* fd: a regular file open for reading; its offset moves. out[n] is overwritten; img_result_clear each. 1 <= n <= RECIPES_MAX. */
void img_render(int fd, const ImgRecipe *recipes, unsigned n, const ImgWatch *watch, ImgResult *out);
/* No pixels are looked at: the source without what the recipe's metadata drops, for a picture that img_render cannot do. IMG_MADE with `cleaned`;
 * IMG_AS_IS: it held nothing private; IMG_FAILED: it cannot be taken out. */
void img_clean(int fd, const ImgRecipe *recipe, ImgResult *out);
/* "jpeg 6000x4000 -> webp 1920x1280 q80, 2 encodes", "jpeg 800x600, metadata removed"; caller frees. "" for IMG_AS_IS and IMG_FAILED. */
char *img_result_text(const ImgResult *r);
void img_result_clear(ImgResult *r);

/* A preview: upright, 8 bit RGB on `background` 0xRRGGBB, at most edge_px wide and high, first frame; never larger than the source. */
typedef struct {
    GBytes *rgb; /* width_px * height_px * 3, no padding; NULL: note says why */
    unsigned width_px, height_px;
    char note[IMG_NOTE_MAX];
} ImgPreview;

void img_preview(int fd, unsigned edge_px, uint32_t background, const ImgWatch *watch, ImgPreview *out);
void img_preview_clear(ImgPreview *p);
