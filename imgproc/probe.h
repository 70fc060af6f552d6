/* probe.h - what a file is, from its first bytes and its header; says no before anything is decoded.
 *
 * Only kinds of the table have a loader, chosen by our own look at the first bytes and never by a file name or libvips's sniffing.
 * Documents: PNG (W3C, 3rd edition) section 5 and 11; ISO/IEC 14496-12 section 4.3 (ftyp).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vips/vips.h>

#include "imgproc.h"

typedef enum {
    KIND_OTHER,
    KIND_JPEG,
    KIND_PNG,
    KIND_GIF,
    KIND_WEBP,
    KIND_TIFF,
    KIND_AVIF,
    KIND_HEIC,
    KIND_SVG, /* these two: probe_vector */
    KIND_PDF,
    N_KINDS
} ImgKind;

typedef struct {
    ImgKind kind;
    uint64_t file_bytes;
    unsigned width_px, height_px; /* as stored, before turning; of one frame or page */
    unsigned pages;               /* frames, pages; 1 = one picture */
    bool animated;                /* GIF, WebP: the pages are frames */
    bool lossless;                /* PNG, GIF, TIFF: coded without loss */
    bool turned, swapped;         /* has an EXIF orientation other than 1; one that swaps width and height */
    bool cmyk;                    /* or another space that no browser shows */
    bool wide;                    /* has an ICC profile other than sRGB; never with cmyk */
} ImgProbe;

enum { PROBE_HEAD_BYTES = 1024 };

/* The kind of a file that begins with these bytes (PROBE_HEAD_BYTES are enough); *animated_out is set when that alone proves an animation. */
ImgKind probe_kind(const uint8_t *head, size_t size, bool *animated_out);
/* Browsers show it. */
bool probe_kind_is_web(ImgKind kind);
/* Opens with the loader of the kind, sequentially and strictly (a cut file is an error, which comes with the pixels). shrink: 1, or
 * for JPEG 2, 4 or 8. NULL: see vips_error_buffer. Caller unrefs. */
VipsImage *probe_open(int fd, ImgKind kind, int shrink);
ImgFormat probe_format(ImgKind kind);
/* Fills kind and file_bytes by the first bytes alone. */
void probe_kind_of(int fd, ImgProbe *out);
/* An SVG or a PDF (its first page) as pixels, its longest edge edge_px; 0 = as large as it says it is. Its loader is one of those that are blocked; it is let in
 * until probe_vector_end. An SVG with text is refused. out as probe_file fills it. Caller unrefs before probe_vector_end. */
VipsImage *probe_vector(int fd, unsigned edge_px, ImgProbe *out, ImgOutcomeKind *refusal_out, char **why_out);
void probe_vector_end(void);
/* Looks at everything but pixels; of an animation it opens the first frame. out->kind and file_bytes are always filled. NULL: *refusal_out is IMG_AS_IS or IMG_FAILED, *why_out (caller frees) the reason. Else the opened picture;
 * caller unrefs. */
VipsImage *probe_file(int fd, ImgProbe *out, ImgOutcomeKind *refusal_out, char **why_out);
/* libvips's error as a reason, in one line; empties its buffer; caller frees. */
char *probe_take_error(void);
