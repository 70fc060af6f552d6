/* container.h - inner header of metadata.h: one file per container, and what they share.
 *
 * A cleaner walks its file once from the front and says of every stretch whether it is kept, dropped, or replaced; the bytes are copied only
 * once something has changed. Everything read is hostile: no length is believed before it is held against what is left.
 * Pure. Threads: any.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "metadata.h"

/* What changes between a file and its cleaned copy. */
typedef struct {
    const uint8_t *data;
    size_t size;
    size_t at;        /* decided so far */
    size_t kept_from; /* data[kept_from..at) is kept, but not yet in out */
    GByteArray *out;  /* NULL: everything so far was kept */
} Splice;

void splice_keep(Splice *s, size_t n);
void splice_drop(Splice *s, size_t n);
void splice_put(Splice *s, const void *bytes, size_t n);
/* What is left undecided goes. CLEAN: nothing was changed, *out_file is untouched. Clears *s. */
MetadataResult splice_end(Splice *s, GBytes **out_file);
void splice_clear(Splice *s);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Splice, splice_clear)

/* A copy in which bytes are overwritten and none moves; made when the first of them differs. */
typedef struct {
    const uint8_t *data; /* as it was: reading never sees what was written */
    size_t size;
    size_t end;      /* of what stays, at most size */
    uint8_t *copy;   /* NULL: nothing was changed */
    GArray *kept;    /* of Range: must not be touched */
    GArray *changed; /* of Range: may differ in the copy */
    size_t touched;  /* bytes of all of them; more than the file has: some were written twice, and no more are */
} Patch;

void patch_init(Patch *p, const uint8_t *data, size_t size);
void patch_keep(Patch *p, size_t at, size_t n);             /* clipped to the file */
void patch_fill(Patch *p, size_t at, size_t n, uint8_t byte); /* at + n <= size, as with patch_put */
void patch_put(Patch *p, size_t at, const void *bytes, size_t n);
/* Zeros wherever in [from, to) nothing is kept and nothing was written yet. */
void patch_fill_gaps(Patch *p, size_t from, size_t to);
/* STUCK: something was written over what is kept or the cut went through it. Clears *p. */
MetadataResult patch_end(Patch *p, GBytes **out_file);
void patch_clear(Patch *p);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Patch, patch_clear)

/* From its screen to its trailer, block by block: a cut one is not. */
bool gif_is_whole(const uint8_t *data, size_t size);

static inline size_t splice_left(const Splice *s)
{
    return s->size - s->at;
}

static inline uint32_t get_be16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

static inline uint32_t get_be32(const uint8_t *p)
{
    return get_be16(p) << 16 | get_be16(p + 2);
}

static inline uint32_t get_le32(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static inline void put_be32(uint8_t *p, uint32_t n)
{
    p[0] = (uint8_t)(n >> 24);
    p[1] = (uint8_t)(n >> 16);
    p[2] = (uint8_t)(n >> 8);
    p[3] = (uint8_t)n;
}

static inline void put_le32(uint8_t *p, uint32_t n)
{
    put_be32(p, GUINT32_SWAP_LE_BE(n));
}

/* SAFE keeps this field of IFD 0 or of the EXIF IFD. type: as TIFF numbers them; count: of that type. */
bool exif_keeps(bool exif_ifd, unsigned tag, unsigned type, size_t count);
/* What may stay of a file's EXIF, with the orientation it has; NULL: nothing. Caller unrefs. */
GBytes *exif_clean(const void *exif, size_t size, RecipeMetadata level);

/* As metadata_clean, level NONE or SAFE. */
typedef MetadataResult ContainerClean(const uint8_t *data, size_t size, RecipeMetadata level, GBytes **out_file);
ContainerClean jpeg_clean, png_clean, webp_clean, gif_clean, heif_clean, tiff_clean;

/* As metadata_insert; at least one of the three is not NULL. */
typedef GBytes *ContainerInsert(GBytes *file, GBytes *exif, GBytes *icc, GBytes *xmp);
ContainerInsert jpeg_insert, png_insert, webp_insert;
