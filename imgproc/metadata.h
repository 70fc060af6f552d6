/* metadata.h - what a picture file says beside its pixels: what may stay, how it gets in, how the rest gets out without loss.
 *
 * By allow-list. METADATA_NONE: nothing but what showing the picture needs (its ICC profile, its orientation). METADATA_SAFE: besides, the EXIF
 * fields of date and time, camera, lens and exposure, copyright and artist. Never: GPS, serial numbers, owner names, maker notes, embedded
 * previews, XMP, IPTC, comments, bytes after the end, anything unknown or malformed. METADATA_ALL: everything stays.
 * EXIF is read and written by libexif; containers are walked here: JPEG (ITU-T T.81 annex B), PNG (W3C, 3rd edition), WebP (container
 * specification), GIF89a; HEIF and AVIF (ISO/IEC 14496-12 meta, iinf, iloc) and TIFF 6.0 are blanked in place, so that no offset moves.
 * Pure; hostile input is walked with limits. Threads: any.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "imgproc.h"
#include "probe.h"

/* What of a source's EXIF (a TIFF structure; with or without the "Exif\0\0" that JPEG has before it) goes into a new file at this level, with
 * this orientation (0 = none is written). NULL: nothing. Caller unrefs. Without the "Exif\0\0". */
GBytes *metadata_exif(const void *exif, size_t size, RecipeMetadata level, unsigned orientation);

/* An encoded file with EXIF, ICC profile and XMP put in; each may be NULL. JPEG, PNG, WebP (also animated). NULL: the file is none of that kind, or
 * what is to be put in is too large for it. AVIF: NULL when exif or xmp is not NULL (its saver puts in what libvips has). Caller unrefs. */
GBytes *metadata_insert(ImgFormat format, GBytes *file, GBytes *exif, GBytes *icc, GBytes *xmp);

typedef enum {
    METADATA_CLEAN,   /* nothing had to go: send the file itself */
    METADATA_CLEANED, /* *out_file is the file without it, caller unrefs */
    METADATA_STUCK,   /* the file cannot be cleaned without loss: malformed, or of a kind that is not understood */
} MetadataResult;

/* The same picture, bit for bit, without what the level drops. For a cut file as far as it goes: what cannot be walked after its pixels have
 * begun is kept. orientation: as the file has it now (1 = none), kept by a minimal EXIF where it was in one. */
MetadataResult metadata_clean(ImgKind kind, GBytes *file, RecipeMetadata level, GBytes **out_file);
