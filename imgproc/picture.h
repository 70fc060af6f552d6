/* picture.h - one source file while it is rendered: what it is, its pixels - decoded once - and what it says beside them.
 * Threads: one picture at a time a process.
 */
#pragma once

#include "metadata.h"
#include "pixels.h"
#include "probe.h"

typedef struct {
    int fd;
    ImgProbe probe;
    VipsImage *opened;
    VipsImage *own;  /* pixels in the colours of the source's profile, in memory, upright, of the edge asked for */
    VipsImage *srgb; /* the same in sRGB; may be the same image */
    GBytes *exif, *xmp, *icc; /* as the source has them; NULL = none */
    GBytes *file;    /* see picture_file */
} Picture;

/* Takes opened (probe_file). fd stays the caller's. */
void picture_init(Picture *p, int fd, const ImgProbe *probe, VipsImage *opened);
/* Decodes, with a longest edge of edge_px at most; JPEG is shrunk while it is decoded. The watch is told 0..100. */
bool picture_decode(Picture *p, unsigned edge_px, const ImgWatch *watch);
/* Borrowed; after picture_decode. *icc_out: the profile they need, borrowed; NULL = they are sRGB. */
VipsImage *picture_pixels(Picture *p, bool keep_profile, GBytes **icc_out);
/* The whole file, borrowed. NULL: larger than IMG_CLEAN_BYTES_MAX, or not readable. */
GBytes *picture_file(Picture *p);
void picture_clear(Picture *p);
