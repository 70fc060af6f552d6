/* imgproc.h - the inner face of hoist's picture code: one file through one recipe.
 *
 * img_render never fails with "unreadable": whatever cannot or need not be changed is IMG_AS_IS with a note, and the original is sent.
 *
 * What leaves as it is:
 *   - animations (GIF, WebP, APNG, AVIF and HEIF sequences), files with several pictures (TIFF, HEIF), kinds without a trusted loader
 *     (SVG, PDF, BMP, ICO, JPEG XL, JPEG 2000), pictures over the limits below, damaged ones;
 *   - a JPEG, PNG, WebP, GIF or AVIF that is upright, within edge and bytes, has no colour profile and nothing beside the picture in the
 *     file (EXIF, XMP, IPTC, comments, bytes after its end; extras.h), when a new file would not be at least 5 % smaller;
 *   - a picture without such extras for which no new file within quality 50 is smaller than the old one.
 * Everything else is encoded anew from its pixels: upright, sRGB, no metadata, at most as many bytes as the source. A picture with extras
 * is always encoded anew: its quality, then its edge give way until the new file is no larger. Only when even 320 px are larger than
 * the source (a few hundred bytes then) may it grow: privacy goes before size.
 *
 * WebP or JPEG: WebP quality q looks like JPEG q - 9 (SSIMULACRA2). At like quality JPEG wins only on very detailed pictures, so it is
 * tried only when WebP needed more than 1.5 bits a pixel and there is no alpha. Lossless WebP is tried for sources without loss
 * that have few colours, and kept up to 1.3 times the lossy size or below 0.5 bits a pixel.
 *
 * Threads: one picture at a time a process (libvips keeps its errors per process).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "recipe.h"

enum {
    IMG_MEGAPIXELS_MAX = 120, /* width x height of one picture, before it is decoded */
    IMG_NOTE_MAX = 200,
};

typedef enum { IMG_AS_IS, IMG_MADE } ImgOutcomeKind;
typedef enum { IMG_FORMAT_NONE, IMG_WEBP, IMG_JPEG } ImgFormat;

typedef struct {
    ImgOutcomeKind kind;
    ImgFormat format;
    GBytes *bytes; /* the new file; NULL when IMG_AS_IS */
    unsigned width_px, height_px;
    unsigned quality; /* of the encoder that was taken; 100 = lossless */
    unsigned encodes;
    char note[IMG_NOTE_MAX]; /* one line of UTF-8, "" = none: "sent as it is: animation" */
} ImgResult;

/* How long, and whom to tell. progress may be NULL; it is called at most 100 times a picture with a rising percent. */
typedef struct {
    int64_t deadline_us; /* g_get_monotonic_time; 0 = none */
    void (*progress)(void *ctx, unsigned percent);
    void *ctx;
} ImgWatch;

/* Once a process, before threads start: libvips without untrusted loaders, one thread a picture, no cache, all modules loaded. */
bool img_init(const char *argv0);
/* fd: a regular file open for reading; its offset moves. *out is overwritten; img_result_clear it. */
void img_render(int fd, const ImgRecipe *recipe, const ImgWatch *watch, ImgResult *out);
/* "webp q80 1920x1280, 2 encodes"; caller frees. "" for IMG_AS_IS. */
char *img_result_text(const ImgResult *r);
void img_result_clear(ImgResult *r);
