/* encode.h - pixels in memory (pixels.h) to the bytes of a file.
 *
 * No metadata can get in: libwebp sees pixels only, the JPEG, PNG and GIF savers strip. The AVIF saver writes the EXIF and the ICC profile that
 * the image carries (pixels_attach).
 *
 * One scale of quality for all formats, libwebp's: what looks alike by SSIMULACRA2 has the same number. Means of four photographs at 1280 px, WebP at
 * effort 2, AVIF at its fastest:
 *
 *     quality    30  40  50  60  70  75  80  85  90  95
 *     score      50  57  62  65  69  70  74  79  83  87
 *     JPEG Q     31  37  45  51  58  62  70  78  85  89
 *     AVIF Q     43  47  51  54  57  59  64  72  81  87
 *
 * ENCODE_LOSSLESS: WebP and AVIF without loss; JPEG at its best. PNG and GIF have no quality.
 * Effort 0..6 as WebP counts: JPEG is progressive from 3 on; AVIF takes its fastest setting up to 2, since more costs five times the CPU for
 * no fewer bytes at the same score.
 * Threads: one picture at a time a process.
 */
#pragma once

#include <vips/vips.h>

#include "imgproc.h"

enum { ENCODE_LOSSLESS = 100 };

typedef struct {
    ImgFormat format; /* WEBP, JPEG, PNG, AVIF, GIF */
    unsigned quality, effort;
} EncodeAsk;

/* NULL: failed, or the watch's deadline passed. The watch is told 0..100. JPEG: the pixels have no alpha. Caller unrefs. */
GBytes *encode_pixels(VipsImage *pixels, const EncodeAsk *ask, const ImgWatch *watch);
bool encode_has_quality(ImgFormat format);
bool encode_has_alpha(ImgFormat format);
/* The longest edge a file of that format can have. */
unsigned encode_edge_max(ImgFormat format);
/* The format's own number for one of the scale; 100 for ENCODE_LOSSLESS. */
int encode_own_quality(ImgFormat format, unsigned quality);
