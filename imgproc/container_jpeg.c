#include "container.h"

#include <string.h>

enum {
    TEM = 0x01,
    SOF0 = 0xc0,
    RST0 = 0xd0,
    RST7 = 0xd7,
    SOI = 0xd8,
    EOI = 0xd9,
    SOS = 0xda,
    EXP = 0xdf,
    APP0 = 0xe0,
    APP1 = 0xe1,
    APP2 = 0xe2,
    APP14 = 0xee,
    BODY_MAX = 65533, /* of a segment, without its marker and length */
    JFIF_BODY = 14,   /* without a preview */
    ADOBE_BODY = 12,
    ICC_PARTS_MAX = 255,
};

static const char exif_label[] = "Exif\0"; /* each with the NUL of its literal */
static const char icc_label[] = "ICC_PROFILE";
static const char xmp_label[] = "http://ns.adobe.com/xap/1.0/";

static bool begins(const uint8_t *body, size_t size, const char *label, size_t label_size)
{
    return size >= label_size && memcmp(body, label, label_size) == 0;
}
#define BEGINS(body, size, label) begins(body, size, label, sizeof label)

/* Frames, tables, scans; those without a length are dealt with before. */
static bool is_coding(uint8_t marker)
{
    return marker >= SOF0 && marker <= EXP;
}

static void put_segment(Splice *s, uint8_t marker, const void *label, size_t label_size, const void *body, size_t size)
{
    const size_t length = 2 + label_size + size;
    const uint8_t head[] = { 0xff, marker, (uint8_t)(length >> 8), (uint8_t)length };
    splice_put(s, head, sizeof head);
    splice_put(s, label, label_size);
    splice_put(s, body, size);
}

/* The first is replaced by what may stay of it; where that changes nothing, it stays as it is. */
static void clean_exif(Splice *s, const uint8_t *body, size_t size, RecipeMetadata level)
{
    gsize n = 0;
    g_autoptr(GBytes) exif = exif_clean(body, size, level);
    const uint8_t *bytes = exif != NULL ? g_bytes_get_data(exif, &n) : NULL;
    if (n > 0 && size == sizeof exif_label + n && memcmp(body + sizeof exif_label, bytes, n) == 0) {
        splice_keep(s, size + 4);
        return;
    }
    if (n > 0 && n <= BODY_MAX - sizeof exif_label)
        put_segment(s, APP1, exif_label, sizeof exif_label, bytes, n);
    splice_drop(s, size + 4);
}

/* Keeps the first bytes alone: what follows is a preview, or nobody knows. */
static void clean_header(Splice *s, const uint8_t *body, size_t size, size_t wanted)
{
    uint8_t header[JFIF_BODY];
    memcpy(header, body, wanted);
    if (wanted == JFIF_BODY)
        header[12] = header[13] = 0; /* edges of the preview */
    if (size == wanted && memcmp(header, body, wanted) == 0) {
        splice_keep(s, size + 4);
        return;
    }
    put_segment(s, s->data[s->at + 1], header, wanted, NULL, 0);
    splice_drop(s, size + 4);
}

/* The segment at s->at, whose length is right. */
static void clean_segment(Splice *s, size_t size, RecipeMetadata level, bool *exif_seen)
{
    const uint8_t marker = s->data[s->at + 1], *body = s->data + s->at + 4;
    if (is_coding(marker) || (marker == APP2 && BEGINS(body, size, icc_label))) {
        splice_keep(s, size + 4);
    } else if (marker == APP0 && size >= JFIF_BODY && BEGINS(body, size, "JFIF")) {
        clean_header(s, body, size, JFIF_BODY);
    } else if (marker == APP14 && size >= ADOBE_BODY && begins(body, size, "Adobe", 5)) {
        clean_header(s, body, size, ADOBE_BODY);
    } else if (marker == APP1 && BEGINS(body, size, exif_label) && !*exif_seen) {
        *exif_seen = true;
        clean_exif(s, body, size, level);
    } else {
        splice_drop(s, size + 4);
    }
}

/* Of the segment at s->at, without marker and length; false: longer than the file. */
static bool body_size(const Splice *s, size_t *out)
{
    if (splice_left(s) < 4)
        return false;
    const size_t length = get_be16(s->data + s->at + 2);
    *out = length - 2;
    return length >= 2 && length <= splice_left(s) - 2;
}

/* To the next marker, as decoders go there: over bytes that belong to nothing and over fill bytes. */
static void drop_to_marker(Splice *s)
{
    const uint8_t *from = s->data + s->at, *end = s->data + s->size;
    const uint8_t *p = memchr(from, 0xff, splice_left(s));
    while (p != NULL && p + 1 < end && p[1] == 0xff)
        p++;
    splice_drop(s, p != NULL ? (size_t)(p - from) : splice_left(s));
}

/* Everything before and with the first scan's header; false: no picture. */
static bool clean_head(Splice *s, RecipeMetadata level)
{
    bool exif_seen = false;
    size_t size;
    for (drop_to_marker(s); splice_left(s) >= 4; drop_to_marker(s)) {
        const uint8_t marker = s->data[s->at + 1];
        if (marker == 0 || marker == TEM || (marker >= RST0 && marker <= RST7)) {
            splice_drop(s, 2);
            continue;
        }
        if (marker < SOF0 || marker == SOI || marker == EOI || !body_size(s, &size))
            return false;
        clean_segment(s, size, level, &exif_seen);
        if (marker == SOS)
            return true;
    }
    return false;
}

/* Where the marker after the entropy-coded data stands; the size when there is none. */
static size_t after_entropy(const uint8_t *data, size_t size, size_t at)
{
    while (at + 1 < size) {
        const uint8_t *p = memchr(data + at, 0xff, size - 1 - at);
        if (p == NULL)
            return size;
        at = (size_t)(p - data);
        if (p[1] != 0 && p[1] != 0xff && (p[1] < RST0 || p[1] > RST7))
            return at;
        at += p[1] == 0xff ? 1 : 2;
    }
    return size;
}

/* A segment between scans that says nothing about pixels. Flipped bits in a scan look like one: so another marker must follow. */
static bool is_talk(const Splice *s, size_t size)
{
    const size_t next = s->at + 4 + size;
    return s->data[s->at + 1] >= APP0 && (next == s->size || s->data[next] == 0xff);
}

static void clean_scans(Splice *s)
{
    size_t size;
    for (;;) {
        splice_keep(s, after_entropy(s->data, s->size, s->at) - s->at);
        if (splice_left(s) == 0)
            return;
        const uint8_t marker = s->data[s->at + 1];
        if (marker == EOI) {
            splice_keep(s, 2);
            return;
        }
        if (marker < SOF0 || marker == SOI || !body_size(s, &size))
            splice_keep(s, 2);
        else if (is_coding(marker))
            splice_keep(s, size + 4);
        else if (is_talk(s, size))
            splice_drop(s, size + 4);
        else
            splice_keep(s, 2);
    }
}

MetadataResult jpeg_clean(const uint8_t *data, size_t size, RecipeMetadata level, GBytes **out_file)
{
    g_auto(Splice) s = { .data = data, .size = size };
    if (size < 4 || data[0] != 0xff || data[1] != SOI)
        return METADATA_STUCK;
    splice_keep(&s, 2);
    if (!clean_head(&s, level))
        return METADATA_STUCK;
    clean_scans(&s);
    return splice_end(&s, out_file);
}

static bool put_labelled(Splice *s, GBytes *bytes, const char *label, size_t label_size)
{
    gsize size = 0;
    const void *data = bytes != NULL ? g_bytes_get_data(bytes, &size) : NULL;
    if (size > BODY_MAX - label_size)
        return false;
    if (data != NULL)
        put_segment(s, APP1, label, label_size, data, size);
    return true;
}

static bool put_icc(Splice *s, GBytes *icc)
{
    gsize size = 0;
    const uint8_t *data = icc != NULL ? g_bytes_get_data(icc, &size) : NULL;
    const size_t most = BODY_MAX - sizeof icc_label - 2, parts = (size + most - 1) / most;
    if (parts > ICC_PARTS_MAX)
        return false;
    for (size_t i = 0; i < parts; i++) {
        uint8_t label[sizeof icc_label + 2];
        memcpy(label, icc_label, sizeof icc_label);
        label[sizeof icc_label] = (uint8_t)(i + 1);
        label[sizeof icc_label + 1] = (uint8_t)parts;
        put_segment(s, APP2, label, sizeof label, data + i * most, MIN(most, size - i * most));
    }
    return true;
}

GBytes *jpeg_insert(GBytes *file, GBytes *exif, GBytes *icc, GBytes *xmp)
{
    gsize size, header;
    GBytes *out = NULL;
    const uint8_t *data = g_bytes_get_data(file, &size);
    g_auto(Splice) s = { .data = data, .size = size };
    if (size < 4 || data[0] != 0xff || data[1] != SOI)
        return NULL;
    splice_keep(&s, 2);
    if (body_size(&s, &header) && data[2] == 0xff && data[3] == APP0)
        splice_keep(&s, header + 4);
    if (!put_labelled(&s, exif, exif_label, sizeof exif_label) || !put_labelled(&s, xmp, xmp_label, sizeof xmp_label) || !put_icc(&s, icc))
        return NULL;
    splice_keep(&s, splice_left(&s));
    splice_end(&s, &out);
    return out;
}
