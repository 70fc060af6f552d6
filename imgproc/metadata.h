/* metadata.h - what a picture file says beside its pixels: what may stay, how it gets in, how the rest gets out without loss.
 *
 * By allow-list. METADATA_NONE: nothing but what showing the picture needs (its ICC profile, its orientation). METADATA_SAFE: besides, the
 * EXIF fields of date and time, camera, lens and exposure, copyright and artist. Never: GPS, serial numbers, owner names, maker notes, embedded
 * previews, XMP, IPTC, comments, bytes after the end, anything unknown or malformed. METADATA_ALL: everything stays.
 * EXIF is read and written by libexif (exif.c); containers are walked here, a file each: JPEG (ITU-T T.81 annex B), PNG (W3C, 3rd edition),
 * WebP (container specification), GIF89a; HEIF and AVIF (ISO/IEC 14496-12 meta, iinf, iloc) and TIFF 6.0 are blanked in place, so that no
 * offset moves. What stays there although it might say more: the pictures beside the main one of a HEIF file (previews, depth, gain maps);
 * the pages of a TIFF, and bytes that none of its directories names.
 * Pure; hostile input is walked with limits. Threads: any.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "imgproc.h"
#include "probe.h"

/* What of a source's EXIF (a TIFF structure; with or without the "Exif\0\0" that JPEG has before it) goes into a new file at this level,
 * with this orientation (0 = none is written). Texts are cut at their NUL and at a length of their field's; one with control characters goes.
 * Of colour spaces only sRGB is told: another needs its profile, or is no longer true. ALL: everything but the preview, which shows the
 * picture as it was. NULL: nothing. Caller unrefs. Without the "Exif\0\0". Little-endian, unless ALL; SAFE has less than 2 KiB. */
GBytes *metadata_exif(const void *exif, size_t size, RecipeMetadata level, unsigned orientation);

/* An encoded file with EXIF, ICC profile and XMP put in; each may be NULL. JPEG, PNG, WebP (also animated). NULL: the file is none of that
 * kind, or what is to be put in is too large for it (JPEG: EXIF of more than 65527 bytes, XMP of more than 65504, a profile of 16 MiB).
 * AVIF: NULL unless all are NULL (its saver puts in what libvips has). Caller unrefs. */
GBytes *metadata_insert(ImgFormat format, GBytes *file, GBytes *exif, GBytes *icc, GBytes *xmp);

typedef enum {
    METADATA_CLEAN,   /* nothing had to go: send the file itself */
    METADATA_CLEANED, /* *out_file is the file without it, caller unrefs */
    METADATA_STUCK,   /* the file cannot be cleaned without loss: malformed before its pixels; of a kind that is not understood (so are
                       * HEIF and AVIF sequences, raw pictures in TIFF), or larger than IMG_CLEAN_BYTES_MAX */
} MetadataResult;

/* The same picture, bit for bit, without what the level drops. For a cut file as far as it goes: what cannot be walked after its pixels
 * have begun is kept. The orientation that is in EXIF stays in EXIF. Cleaning the result again is CLEAN. Nothing is copied unless something has
 * to go, so that whether it does is a cheap question: no entropy-coded data are decoded (a JPEG of 7 MB: 2 ms, 4 with its copy). */
MetadataResult metadata_clean(ImgKind kind, GBytes *file, RecipeMetadata level, GBytes **out_file);
