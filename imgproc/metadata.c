#include "metadata.h"

#include <string.h>

#include "container.h"

/* Of a file, from inclusive, to exclusive. */
typedef struct {
    size_t from, to;
} Range;

static ContainerClean *const cleaners[N_KINDS] = {
    [KIND_JPEG] = jpeg_clean, [KIND_PNG] = png_clean,   [KIND_GIF] = gif_clean,   [KIND_WEBP] = webp_clean,
    [KIND_AVIF] = heif_clean, [KIND_HEIC] = heif_clean, [KIND_TIFF] = tiff_clean,
};

static ContainerInsert *const inserters[N_IMG_FORMATS] = {
    [IMG_JPEG] = jpeg_insert,
    [IMG_PNG] = png_insert,
    [IMG_WEBP] = webp_insert,
};

static void splice_flush(Splice *s)
{
    if (s->out == NULL)
        s->out = g_byte_array_sized_new((guint)s->size);
    g_byte_array_append(s->out, s->data + s->kept_from, (guint)(s->at - s->kept_from));
    s->kept_from = s->at;
}

void splice_keep(Splice *s, size_t n)
{
    g_assert(n <= splice_left(s));
    s->at += n;
}

void splice_drop(Splice *s, size_t n)
{
    g_assert(n <= splice_left(s));
    if (n == 0)
        return;
    splice_flush(s);
    s->at += n;
    s->kept_from = s->at;
}

void splice_put(Splice *s, const void *bytes, size_t n)
{
    splice_flush(s);
    g_byte_array_append(s->out, bytes, (guint)n);
}

void splice_clear(Splice *s)
{
    g_clear_pointer(&s->out, g_byte_array_unref);
}

MetadataResult splice_end(Splice *s, GBytes **out_file)
{
    splice_drop(s, splice_left(s));
    if (s->out == NULL)
        return METADATA_CLEAN;
    splice_flush(s);
    *out_file = g_byte_array_free_to_bytes(g_steal_pointer(&s->out));
    return METADATA_CLEANED;
}

void patch_init(Patch *p, const uint8_t *data, size_t size)
{
    *p = (Patch){ .data = data, .size = size, .end = size };
    p->kept = g_array_new(FALSE, FALSE, sizeof(Range));
    p->changed = g_array_new(FALSE, FALSE, sizeof(Range));
}

void patch_clear(Patch *p)
{
    g_clear_pointer(&p->copy, g_free);
    g_clear_pointer(&p->kept, g_array_unref);
    g_clear_pointer(&p->changed, g_array_unref);
}

void patch_keep(Patch *p, size_t at, size_t n)
{
    const size_t from = MIN(at, p->size);
    const Range range = { from, from + MIN(n, p->size - from) };
    if (range.from < range.to)
        g_array_append_val(p->kept, range);
}

/* False: nothing is to be done there. */
static bool patch_touch(Patch *p, size_t at, size_t n)
{
    g_assert(at <= p->size && n <= p->size - at);
    const Range range = { at, at + n };
    if (n == 0 || p->touched > p->size)
        return false;
    p->touched += n;
    g_array_append_val(p->changed, range);
    return true;
}

static uint8_t *patch_copy(Patch *p)
{
    if (p->copy == NULL)
        p->copy = g_memdup2(p->data, p->size);
    return p->copy;
}

void patch_fill(Patch *p, size_t at, size_t n, uint8_t byte)
{
    const uint8_t *old = p->data + at;
    if (patch_touch(p, at, n) && (old[0] != byte || memcmp(old, old + 1, n - 1) != 0))
        memset(patch_copy(p) + at, byte, n);
}

void patch_put(Patch *p, size_t at, const void *bytes, size_t n)
{
    if (patch_touch(p, at, n) && memcmp(p->data + at, bytes, n) != 0)
        memcpy(patch_copy(p) + at, bytes, n);
}

static int by_start(const void *a, const void *b)
{
    const Range *x = a, *y = b;
    return x->from < y->from ? -1 : x->from > y->from;
}

void patch_fill_gaps(Patch *p, size_t from, size_t to)
{
    g_autoptr(GArray) taken = g_array_copy(p->kept);
    const Range last = { to, to };
    g_array_append_vals(taken, p->changed->data, p->changed->len);
    g_array_append_val(taken, last);
    g_array_sort(taken, by_start);
    for (guint i = 0; i < taken->len && from < to; i++) {
        const Range *range = &g_array_index(taken, Range, i);
        if (range->from > from)
            patch_fill(p, from, MIN(range->from, to) - from, 0);
        from = MAX(from, range->to);
    }
}

/* Nothing that was written lies on anything that is kept, or on anything else that was written. */
static bool patch_is_apart(Patch *p)
{
    g_array_sort(p->kept, by_start);
    g_array_sort(p->changed, by_start);
    guint k = 0;
    size_t kept_to = 0, changed_to = 0;
    for (guint c = 0; c < p->changed->len; c++) {
        const Range *range = &g_array_index(p->changed, Range, c);
        for (; k < p->kept->len && g_array_index(p->kept, Range, k).from < range->to; k++)
            kept_to = MAX(kept_to, g_array_index(p->kept, Range, k).to);
        if (kept_to > range->from || changed_to > range->from)
            return false;
        changed_to = range->to;
    }
    for (; k < p->kept->len; k++)
        kept_to = MAX(kept_to, g_array_index(p->kept, Range, k).to);
    return kept_to <= p->end;
}

MetadataResult patch_end(Patch *p, GBytes **out_file)
{
    MetadataResult result = METADATA_CLEAN;
    if (p->touched > p->size || !patch_is_apart(p))
        result = METADATA_STUCK;
    else if (p->copy != NULL || p->end < p->size)
        result = METADATA_CLEANED;
    if (result == METADATA_CLEANED)
        *out_file = p->copy != NULL ? g_bytes_new_take(g_steal_pointer(&p->copy), p->end) : g_bytes_new(p->data, p->end);
    patch_clear(p);
    return result;
}

MetadataResult metadata_clean(ImgKind kind, GBytes *file, RecipeMetadata level, GBytes **out_file)
{
    gsize size;
    const uint8_t *data = g_bytes_get_data(file, &size);
    if (level == METADATA_ALL)
        return METADATA_CLEAN;
    if (cleaners[kind] == NULL || size > IMG_CLEAN_BYTES_MAX)
        return METADATA_STUCK;
    return cleaners[kind](data, size, level, out_file);
}

GBytes *metadata_insert(ImgFormat format, GBytes *file, GBytes *exif, GBytes *icc, GBytes *xmp)
{
    if (exif == NULL && icc == NULL && xmp == NULL)
        return g_bytes_ref(file);
    return inserters[format] != NULL ? inserters[format](file, exif, icc, xmp) : NULL;
}
