#include "container.h"

#include <string.h>
#include <zlib.h>

enum {
    SIGNATURE = 8,
    HEAD = 8,   /* of a chunk: length and type */
    FRAME = 12, /* head and check sum */
    IHDR_CHUNK = FRAME + 13,
};

static const uint8_t signature[SIGNATURE] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };

typedef enum { TO_DROP, TO_KEEP, TO_CLEAN, TO_END, TO_FAIL } Fate;

static bool in_list(const uint8_t *type, const char *list)
{
    for (; *list != 0; list += 4)
        if (memcmp(type, list, 4) == 0)
            return true;
    return false;
}

/* By the types that showing needs; acTL, fcTL, fdAT are animations. */
static Fate fate_of(const uint8_t *type)
{
    if (in_list(type, "IHDRPLTEtRNSIDATgAMAcHRMsRGBiCCPsBITbKGDhISTpHYscICPmDCVmDCvcLLIcLLiacTLfcTLfdAT"))
        return TO_KEEP;
    if (in_list(type, "eXIf"))
        return TO_CLEAN;
    if (in_list(type, "IEND"))
        return TO_END;
    return (type[0] & 0x20) != 0 ? TO_DROP : TO_FAIL; /* lower case: who does not know it may pass it over */
}

static void put_chunk(Splice *s, const char *type, const void *body, size_t size)
{
    uint8_t head[HEAD], sum[4];
    put_be32(head, (uint32_t)size);
    memcpy(head + 4, type, 4);
    put_be32(sum, (uint32_t)crc32(crc32(0, head + 4, 4), body, (uInt)size));
    splice_put(s, head, sizeof head);
    splice_put(s, body, size);
    splice_put(s, sum, sizeof sum);
}

static void clean_exif(Splice *s, size_t length, RecipeMetadata level)
{
    const uint8_t *body = s->data + s->at + HEAD;
    gsize n = 0;
    g_autoptr(GBytes) exif = exif_clean(body, length, level);
    const uint8_t *bytes = exif != NULL ? g_bytes_get_data(exif, &n) : NULL;
    if (n > 0 && n == length && memcmp(body, bytes, n) == 0) {
        splice_keep(s, FRAME + length);
        return;
    }
    if (n > 0)
        put_chunk(s, "eXIf", bytes, n);
    splice_drop(s, FRAME + length);
}

/* What is left of a file that ends within a chunk. */
static MetadataResult clean_cut(Splice *s, Fate fate, bool pixels, GBytes **out_file)
{
    if (!pixels)
        return METADATA_STUCK;
    if (fate == TO_KEEP || fate == TO_END)
        splice_keep(s, splice_left(s));
    return splice_end(s, out_file);
}

MetadataResult png_clean(const uint8_t *data, size_t size, RecipeMetadata level, GBytes **out_file)
{
    g_auto(Splice) s = { .data = data, .size = size };
    bool pixels = false, exif_seen = false;
    if (size < SIGNATURE || memcmp(data, signature, SIGNATURE) != 0)
        return METADATA_STUCK;
    splice_keep(&s, SIGNATURE);
    while (splice_left(&s) >= HEAD) {
        const uint8_t *head = data + s.at;
        const size_t length = get_be32(head);
        Fate fate = fate_of(head + 4);
        if (fate == TO_FAIL)
            return METADATA_STUCK;
        pixels = pixels || memcmp(head + 4, "IDAT", 4) == 0;
        if (splice_left(&s) < FRAME || length > splice_left(&s) - FRAME)
            return clean_cut(&s, fate, pixels, out_file);
        if (fate == TO_CLEAN && exif_seen)
            fate = TO_DROP;
        if (fate == TO_CLEAN) {
            exif_seen = true;
            clean_exif(&s, length, level);
        } else if (fate == TO_DROP) {
            splice_drop(&s, FRAME + length);
        } else {
            splice_keep(&s, FRAME + length);
        }
        if (fate == TO_END)
            break;
    }
    return pixels ? splice_end(&s, out_file) : METADATA_STUCK;
}

/* iCCP: name, NUL, method 0, zlib. */
static bool put_icc(Splice *s, GBytes *icc)
{
    static const char head[] = "icc\0"; /* with the NUL of the literal: the method */
    gsize size;
    const void *data = g_bytes_get_data(icc, &size);
    uLongf packed = compressBound(size);
    g_autofree uint8_t *body = g_malloc(sizeof head + packed);
    memcpy(body, head, sizeof head);
    if (compress2(body + sizeof head, &packed, data, size, Z_BEST_COMPRESSION) != Z_OK)
        return false;
    put_chunk(s, "iCCP", body, sizeof head + packed);
    return true;
}

/* iTXt: keyword, NUL, not compressed, method 0, no language, no translated keyword, text. */
static void put_xmp(Splice *s, GBytes *xmp)
{
    static const char head[] = "XML:com.adobe.xmp\0\0\0\0";
    gsize size;
    const void *data = g_bytes_get_data(xmp, &size);
    g_autofree uint8_t *body = g_malloc(sizeof head + size);
    memcpy(body, head, sizeof head);
    memcpy(body + sizeof head, data, size);
    put_chunk(s, "iTXt", body, sizeof head + size);
}

GBytes *png_insert(GBytes *file, GBytes *exif, GBytes *icc, GBytes *xmp)
{
    gsize size;
    GBytes *out = NULL;
    const uint8_t *data = g_bytes_get_data(file, &size);
    g_auto(Splice) s = { .data = data, .size = size };
    if (size < SIGNATURE + IHDR_CHUNK || memcmp(data, signature, SIGNATURE) != 0)
        return NULL;
    splice_keep(&s, SIGNATURE + IHDR_CHUNK);
    if (icc != NULL && !put_icc(&s, icc))
        return NULL;
    if (exif != NULL)
        put_chunk(&s, "eXIf", g_bytes_get_data(exif, NULL), g_bytes_get_size(exif));
    if (xmp != NULL)
        put_xmp(&s, xmp);
    /* a profile and words about a colour space exclude each other */
    const char *const replaced = icc != NULL ? "iCCPsRGBgAMAcHRM" : "";
    while (splice_left(&s) >= FRAME && memcmp(data + s.at + 4, "IDAT", 4) != 0) {
        const size_t length = get_be32(data + s.at);
        if (length > splice_left(&s) - FRAME)
            return NULL;
        if (in_list(data + s.at + 4, replaced))
            splice_drop(&s, FRAME + length);
        else
            splice_keep(&s, FRAME + length);
    }
    splice_keep(&s, splice_left(&s));
    splice_end(&s, &out);
    return out;
}
