#include "container.h"

#include <string.h>
#include <webp/mux.h>

enum {
    RIFF_HEAD = 12,
    HEAD = 8, /* of a chunk: type and length */
    VP8X_CHUNK = HEAD + 10,
    FRAME_HEAD = 16, /* of an ANMF chunk's body, before its own chunks */
    FLAG_XMP = 0x04,
    FLAG_EXIF = 0x08,
};

typedef struct {
    Splice s;
    size_t end;   /* of what RIFF claims, within the file */
    GBytes *exif; /* what may stay of it */
    bool pixels;
} Webp;

static bool is_type(const uint8_t *chunk, const char *type)
{
    return memcmp(chunk, type, 4) == 0;
}

/* Of the chunk's head and body with its padding byte; that may lie beyond the end. */
static size_t chunk_size(const uint8_t *chunk)
{
    const size_t length = get_le32(chunk + 4);
    return HEAD + length + (length & 1);
}

static bool is_still(const uint8_t *chunk)
{
    return is_type(chunk, "VP8 ") || is_type(chunk, "VP8L") || is_type(chunk, "ALPH");
}

static bool is_picture(const uint8_t *chunk)
{
    return is_still(chunk) || is_type(chunk, "ANMF");
}

static void put_chunk(Splice *s, const char *type, const uint8_t *body, size_t size)
{
    uint8_t head[HEAD];
    memcpy(head, type, 4);
    put_le32(head + 4, (uint32_t)size);
    splice_put(s, head, sizeof head);
    splice_put(s, body, size);
    splice_put(s, "", size & 1);
}

/* Only what the flags announce is looked at by decoders. */
static GBytes *find_exif(const uint8_t *data, size_t end, RecipeMetadata level)
{
    size_t at = RIFF_HEAD;
    if (end - at < VP8X_CHUNK || !is_type(data + at, "VP8X") || (data[at + HEAD] & FLAG_EXIF) == 0)
        return NULL;
    while (end - at >= HEAD && chunk_size(data + at) <= end - at) {
        if (is_type(data + at, "EXIF"))
            return exif_clean(data + at + HEAD, get_le32(data + at + 4), level);
        at += chunk_size(data + at);
    }
    return NULL;
}

static void clean_vp8x(Webp *w, size_t chunk)
{
    uint8_t flags = w->s.data[w->s.at + HEAD] & (uint8_t) ~(FLAG_XMP | FLAG_EXIF);
    if (w->exif != NULL)
        flags |= FLAG_EXIF;
    if (flags == w->s.data[w->s.at + HEAD]) {
        splice_keep(&w->s, chunk);
        return;
    }
    splice_keep(&w->s, HEAD);
    splice_put(&w->s, &flags, 1);
    splice_drop(&w->s, 1);
    splice_keep(&w->s, chunk - HEAD - 1);
}

static void clean_exif(Webp *w, size_t chunk)
{
    const uint8_t *old = w->s.data + w->s.at;
    gsize n = 0;
    const uint8_t *bytes = w->exif != NULL ? g_bytes_get_data(w->exif, &n) : NULL;
    if (n > 0 && n == get_le32(old + 4) && memcmp(old + HEAD, bytes, n) == 0) {
        splice_keep(&w->s, chunk);
    } else {
        if (n > 0)
            put_chunk(&w->s, "EXIF", bytes, n);
        splice_drop(&w->s, chunk);
    }
    g_clear_pointer(&w->exif, g_bytes_unref);
}

/* A frame's body may hold chunks of any type besides the picture's. */
static void clean_frame(Splice *s, size_t chunk)
{
    const size_t size = get_le32(s->data + s->at + 4);
    g_auto(Splice) inner = { .data = s->data + s->at + HEAD, .size = size };
    g_autoptr(GBytes) made = NULL;
    splice_keep(&inner, MIN(size, FRAME_HEAD));
    while (splice_left(&inner) >= HEAD) {
        const uint8_t *type = inner.data + inner.at;
        const size_t n = MIN(chunk_size(type), splice_left(&inner));
        if (is_still(type))
            splice_keep(&inner, n);
        else
            splice_drop(&inner, n);
    }
    if (splice_end(&inner, &made) == METADATA_CLEAN) {
        splice_keep(s, chunk);
        return;
    }
    put_chunk(s, "ANMF", g_bytes_get_data(made, NULL), g_bytes_get_size(made));
    splice_drop(s, chunk);
}

static void clean_chunk(Webp *w, size_t chunk)
{
    const uint8_t *type = w->s.data + w->s.at;
    if (is_type(type, "VP8X") && chunk >= VP8X_CHUNK && w->s.at == RIFF_HEAD)
        clean_vp8x(w, chunk);
    else if (is_type(type, "EXIF"))
        clean_exif(w, chunk);
    else if (is_type(type, "ANMF"))
        clean_frame(&w->s, chunk);
    else if (is_picture(type) || is_type(type, "ICCP") || is_type(type, "ANIM"))
        splice_keep(&w->s, chunk);
    else
        splice_drop(&w->s, chunk);
    w->pixels = w->pixels || is_picture(type);
}

/* All chunks within RIFF's claim; false: no picture among them. */
static bool clean_chunks(Webp *w)
{
    size_t left;
    for (; (left = w->end - w->s.at) >= HEAD; clean_chunk(w, chunk_size(w->s.data + w->s.at))) {
        const uint8_t *chunk = w->s.data + w->s.at;
        if (chunk_size(chunk) > left) {
            w->pixels = w->pixels || is_picture(chunk);
            if (is_picture(chunk))
                splice_keep(&w->s, left);
            break;
        }
    }
    return w->pixels;
}

/* The claim changes by what was dropped within it; that of a cut file stays beyond its end. */
static MetadataResult end(Webp *w, size_t claim, GBytes **out_file)
{
    g_autoptr(GBytes) made = NULL;
    const MetadataResult result = splice_end(&w->s, &made);
    if (result != METADATA_CLEANED)
        return result;
    gsize size;
    uint8_t *bytes = g_bytes_unref_to_data(g_steal_pointer(&made), &size);
    put_le32(bytes + 4, (uint32_t)(claim + size - w->end));
    *out_file = g_bytes_new_take(bytes, size);
    return result;
}

MetadataResult webp_clean(const uint8_t *data, size_t size, RecipeMetadata level, GBytes **out_file)
{
    if (size < RIFF_HEAD + HEAD || !is_type(data, "RIFF") || !is_type(data + 8, "WEBP"))
        return METADATA_STUCK;
    const size_t claim = get_le32(data + 4);
    if (claim < RIFF_HEAD - 8 + HEAD)
        return METADATA_STUCK;
    Webp w = { .s = { .data = data, .size = size }, .end = MIN(size, claim + 8) };
    w.exif = find_exif(data, w.end, level);
    splice_keep(&w.s, RIFF_HEAD);
    const MetadataResult result = clean_chunks(&w) ? end(&w, claim, out_file) : METADATA_STUCK;
    splice_clear(&w.s);
    g_clear_pointer(&w.exif, g_bytes_unref);
    return result;
}

static bool set_chunk(WebPMux *mux, const char *type, GBytes *body)
{
    if (body == NULL)
        return true;
    gsize size;
    const uint8_t *bytes = g_bytes_get_data(body, &size);
    const WebPData data = { bytes, size };
    return WebPMuxSetChunk(mux, type, &data, 0) == WEBP_MUX_OK;
}

GBytes *webp_insert(GBytes *file, GBytes *exif, GBytes *icc, GBytes *xmp)
{
    gsize size;
    const uint8_t *bytes = g_bytes_get_data(file, &size);
    const WebPData data = { bytes, size };
    WebPData out = { NULL, 0 };
    WebPMux *mux = WebPMuxCreate(&data, 0);
    if (mux == NULL)
        return NULL;
    const bool ok = set_chunk(mux, "ICCP", icc) && set_chunk(mux, "EXIF", exif) && set_chunk(mux, "XMP ", xmp) &&
                    WebPMuxAssemble(mux, &out) == WEBP_MUX_OK;
    WebPMuxDelete(mux);
    return ok ? g_bytes_new_with_free_func(out.bytes, out.size, WebPFree, (void *)out.bytes) : NULL;
}
