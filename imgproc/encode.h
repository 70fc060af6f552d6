/* encode.h - pixels in memory to the bytes of a file. No metadata can get in: libwebp sees pixels only, the JPEG saver strips.
 * pixels: 8 bit, sRGB, 3 bands or 4 with alpha, in memory (vips_image_copy_memory). NULL on failure or when the watch's deadline
 * passed. Threads: one picture at a time a process.
 */
#pragma once

#include <vips/vips.h>

#include "imgproc.h"

enum {
    ENCODE_JPEG_BELOW = 9, /* JPEG at this many quality steps less looks like WebP */
    ENCODE_LOSSLESS = 100,
};

/* quality ENCODE_LOSSLESS: without loss. */
GBytes *encode_webp(VipsImage *pixels, unsigned quality, const ImgWatch *watch);
/* quality on WebP's scale. */
GBytes *encode_jpeg(VipsImage *pixels, unsigned quality);
