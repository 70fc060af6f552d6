#include "container.h"

#include <string.h>

enum {
    HEADER = 8,
    ENTRY = 12,
    DIRECTORIES_MAX = 1024,
    ENTRIES_MAX = 100000, /* of all directories */
    PARTS_MAX = 1 << 21,  /* strips or tiles of all of them */
    TAG_COMPRESSION = 259,
    TAG_STRIP_OFFSETS = 273,
    TAG_STRIP_SIZES = 279,
    TAG_TILE_OFFSETS = 324,
    TAG_TILE_SIZES = 325,
    TAG_EXIF = 34665,
    TAG_GPS = 34853,
    TAG_INTEROP = 40965,
    OLD_JPEG = 6, /* a compression whose data lie where no tag says */
};

/* What the pixels of a directory need: TIFF 6.0, its technical notes, and the tags that libtiff has beside them. */
static const struct {
    uint16_t from, to;
} needed[] = {
    { 254, 259 }, { 262, 266 }, { 273, 274 },     { 277, 284 },     { 286, 287 },     { 290, 293 }, { 296, 297 },
    { 301, 301 }, { 317, 325 }, { 326, 328 },     { 332, 332 },     { 334, 334 },     { 336, 336 }, { 338, 343 },
    { 347, 347 }, { 529, 532 }, { 32995, 32998 }, { 34675, 34675 }, { 50674, 50674 },
};

typedef struct {
    Patch patch;
    RecipeMetadata level;
    bool big_endian;
    unsigned entries, parts;
    GHashTable *seen; /* offsets of directories */
} Tiff;

typedef struct {
    unsigned tag, type;
    uint32_t count;
    size_t value, size; /* where its bytes are, within the file */
    bool outside;       /* of the entry itself */
} Entry;

static uint32_t get16(const Tiff *t, size_t at)
{
    const uint8_t *p = t->patch.data + at;
    return t->big_endian ? get_be16(p) : (uint32_t)p[1] << 8 | p[0];
}

static uint32_t get32(const Tiff *t, size_t at)
{
    const uint8_t *p = t->patch.data + at;
    return t->big_endian ? get_be32(p) : get_le32(p);
}

static bool fits(const Tiff *t, size_t at, uint64_t size)
{
    return at <= t->patch.size && size <= t->patch.size - at;
}

static bool read_entry(const Tiff *t, size_t at, Entry *out)
{
    static const uint8_t sizes[] = { 0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4 };
    out->tag = get16(t, at);
    out->type = get16(t, at + 2);
    out->count = get32(t, at + 4);
    if (out->type == 0 || out->type >= sizeof sizes)
        return false;
    const uint64_t size = (uint64_t)out->count * sizes[out->type];
    out->outside = size > 4;
    out->value = out->outside ? get32(t, at + 8) : at + 8;
    out->size = (size_t)size;
    return fits(t, out->value, size);
}

static bool is_needed(unsigned tag)
{
    for (size_t i = 0; i < G_N_ELEMENTS(needed); i++)
        if (tag >= needed[i].from && tag <= needed[i].to)
            return true;
    return false;
}

/* The n-th number of an entry of type SHORT or LONG. */
static uint32_t number(const Tiff *t, const Entry *e, uint32_t n)
{
    return e->type == 3 ? get16(t, e->value + (size_t)n * 2) : get32(t, e->value + (size_t)n * 4);
}

static bool is_number(const Entry *e)
{
    return (e->type == 3 || e->type == 4) && e->count > 0;
}

/* Bounds of the directory there; false: none, or too many. */
static bool open_directory(Tiff *t, size_t at, unsigned *count_out)
{
    if (at < HEADER || !fits(t, at, 2) || g_hash_table_size(t->seen) >= DIRECTORIES_MAX || !g_hash_table_add(t->seen, GSIZE_TO_POINTER(at)))
        return false;
    *count_out = get16(t, at);
    t->entries += *count_out;
    return t->entries <= ENTRIES_MAX && fits(t, at, 2 + (size_t)*count_out * ENTRY + 4);
}

/* Takes a directory of metadata and all that it points to away. */
static bool remove_directory(Tiff *t, size_t at)
{
    unsigned count;
    Entry e;
    if (!open_directory(t, at, &count))
        return false;
    for (unsigned i = 0; i < count; i++) {
        if (!read_entry(t, at + 2 + (size_t)i * ENTRY, &e))
            return false;
        if (e.tag == TAG_INTEROP && is_number(&e) && !remove_directory(t, number(t, &e, 0)))
            return false;
        if (e.outside)
            patch_fill(&t->patch, e.value, e.size, 0);
    }
    patch_fill(&t->patch, at, 2 + (size_t)count * ENTRY + 4, 0);
    return true;
}

static bool clean_directory(Tiff *t, size_t at, bool exif);

/* False: nobody can say what would have to go. *keep_out: the entry stays. */
static bool clean_entry(Tiff *t, const Entry *e, bool exif, bool *keep_out)
{
    *keep_out = !exif && is_needed(e->tag);
    if (t->level == METADATA_SAFE && exif_keeps(exif, e->tag, e->type, e->count))
        *keep_out = true;
    if (!exif && e->tag == TAG_EXIF && t->level == METADATA_SAFE) {
        *keep_out = true;
        return is_number(e) && clean_directory(t, number(t, e, 0), true);
    }
    if (e->tag == TAG_EXIF || e->tag == TAG_GPS || e->tag == TAG_INTEROP)
        return is_number(e) && remove_directory(t, number(t, e, 0));
    return true;
}

/* Where the pixels are must be known, so that nothing is written there. */
static bool keep_parts(Tiff *t, const Entry *offsets, const Entry *sizes)
{
    if (offsets->tag == 0 || sizes->tag == 0 || !is_number(offsets) || !is_number(sizes) || offsets->count != sizes->count)
        return false;
    if (offsets->count > PARTS_MAX - t->parts)
        return false;
    t->parts += offsets->count;
    for (uint32_t i = 0; i < offsets->count; i++)
        patch_keep(&t->patch, number(t, offsets, i), number(t, sizes, i));
    return true;
}

/* Raw pictures of cameras and trees of directories say needed things in ways of their own. */
static bool is_strange(const Tiff *t, const Entry *e)
{
    return e->tag == 330 || e->tag == 33421 || e->tag == 50706 ||
           (e->tag == TAG_COMPRESSION && is_number(e) && number(t, e, 0) == OLD_JPEG);
}

/* Rewrites the directory in its place: what stays moves up, and so does the offset of the next. */
static void rewrite_directory(Tiff *t, size_t at, unsigned count, const GByteArray *kept)
{
    const size_t size = 2 + (size_t)count * ENTRY + 4, used = 2 + kept->len;
    g_autofree uint8_t *now = g_malloc0(size);
    const unsigned n = kept->len / ENTRY;
    now[t->big_endian ? 0 : 1] = (uint8_t)(n >> 8);
    now[t->big_endian ? 1 : 0] = (uint8_t)n;
    if (n > 0)
        memcpy(now + 2, kept->data, kept->len);
    memcpy(now + used, t->patch.data + at + size - 4, 4);
    patch_put(&t->patch, at, now, size);
}

static bool clean_directory(Tiff *t, size_t at, bool exif)
{
    unsigned count;
    Entry e, offsets = { .tag = 0 }, sizes = { .tag = 0 };
    if (!open_directory(t, at, &count))
        return false;
    g_autoptr(GByteArray) kept = g_byte_array_new();
    for (unsigned i = 0; i < count; i++) {
        bool keep;
        const size_t entry = at + 2 + (size_t)i * ENTRY;
        if (!read_entry(t, entry, &e) || is_strange(t, &e) || !clean_entry(t, &e, exif, &keep))
            return false;
        if (e.tag == TAG_STRIP_OFFSETS || e.tag == TAG_TILE_OFFSETS)
            offsets = e;
        else if (e.tag == TAG_STRIP_SIZES || e.tag == TAG_TILE_SIZES)
            sizes = e;
        if (keep)
            g_byte_array_append(kept, t->patch.data + entry, ENTRY);
        if (e.outside && keep)
            patch_keep(&t->patch, e.value, e.size);
        else if (e.outside)
            patch_fill(&t->patch, e.value, e.size, 0);
    }
    rewrite_directory(t, at, count, kept);
    return exif || keep_parts(t, &offsets, &sizes);
}

static bool clean_pages(Tiff *t)
{
    size_t at = get32(t, 4);
    do {
        if (!clean_directory(t, at, false))
            return false;
        at = get32(t, at + 2 + (size_t)get16(t, at) * ENTRY);
    } while (at != 0);
    return true;
}

MetadataResult tiff_clean(const uint8_t *data, size_t size, RecipeMetadata level, GBytes **out_file)
{
    if (size < HEADER || (memcmp(data, "II*\0", 4) != 0 && memcmp(data, "MM\0*", 4) != 0))
        return METADATA_STUCK;
    Tiff t = { .level = level, .big_endian = data[0] == 'M', .seen = g_hash_table_new(NULL, NULL) };
    patch_init(&t.patch, data, size);
    patch_keep(&t.patch, 0, HEADER);
    const MetadataResult result = clean_pages(&t) ? patch_end(&t.patch, out_file) : METADATA_STUCK;
    patch_clear(&t.patch);
    g_hash_table_unref(t.seen);
    return result;
}
