#include "metadata.h"

#include "container.h"

static ContainerClean *const cleaners[N_KINDS] = {
    [KIND_JPEG] = jpeg_clean,
    [KIND_PNG] = png_clean,
    [KIND_GIF] = gif_clean,
    [KIND_WEBP] = webp_clean,
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
