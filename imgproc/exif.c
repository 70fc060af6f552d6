#include "container.h"

#include <string.h>

#include <libexif/exif-data.h>
#include <libexif/exif-utils.h>

enum {
    EXIF_READ_MAX = 1 << 20, /* JPEG has 64 KiB; other containers know no limit */
    EXIF_PREFIX = 6,
    ORIENTATIONS = 8,
};

static const char prefix[EXIF_PREFIX] = "Exif\0"; /* and the NUL of the literal */
static const char exif_version[] = "0232";        /* the first with fields for the offset to UTC is 0231 */
static const char date_characters[] = "0123456789: ";

typedef struct {
    ExifTag tag;
    ExifIfd ifd;
    ExifFormat format;
    unsigned most;      /* texts: bytes without the NUL; else components */
    const char *within; /* texts: of these characters alone; NULL: printable */
} Field;

static const Field safe[] = {
    { EXIF_TAG_MAKE, EXIF_IFD_0, EXIF_FORMAT_ASCII, 64, NULL },
    { EXIF_TAG_MODEL, EXIF_IFD_0, EXIF_FORMAT_ASCII, 64, NULL },
    { EXIF_TAG_DATE_TIME, EXIF_IFD_0, EXIF_FORMAT_ASCII, 19, date_characters },
    { EXIF_TAG_ARTIST, EXIF_IFD_0, EXIF_FORMAT_ASCII, 256, NULL },
    { EXIF_TAG_COPYRIGHT, EXIF_IFD_0, EXIF_FORMAT_ASCII, 512, NULL },
    { EXIF_TAG_EXPOSURE_TIME, EXIF_IFD_EXIF, EXIF_FORMAT_RATIONAL, 1, NULL },
    { EXIF_TAG_FNUMBER, EXIF_IFD_EXIF, EXIF_FORMAT_RATIONAL, 1, NULL },
    { EXIF_TAG_EXPOSURE_PROGRAM, EXIF_IFD_EXIF, EXIF_FORMAT_SHORT, 1, NULL },
    { EXIF_TAG_ISO_SPEED_RATINGS, EXIF_IFD_EXIF, EXIF_FORMAT_SHORT, 1, NULL },
    { EXIF_TAG_DATE_TIME_ORIGINAL, EXIF_IFD_EXIF, EXIF_FORMAT_ASCII, 19, date_characters },
    { EXIF_TAG_DATE_TIME_DIGITIZED, EXIF_IFD_EXIF, EXIF_FORMAT_ASCII, 19, date_characters },
    { EXIF_TAG_OFFSET_TIME, EXIF_IFD_EXIF, EXIF_FORMAT_ASCII, 6, "+-0123456789:Z" },
    { EXIF_TAG_OFFSET_TIME_ORIGINAL, EXIF_IFD_EXIF, EXIF_FORMAT_ASCII, 6, "+-0123456789:Z" },
    { EXIF_TAG_OFFSET_TIME_DIGITIZED, EXIF_IFD_EXIF, EXIF_FORMAT_ASCII, 6, "+-0123456789:Z" },
    { EXIF_TAG_EXPOSURE_BIAS_VALUE, EXIF_IFD_EXIF, EXIF_FORMAT_SRATIONAL, 1, NULL },
    { EXIF_TAG_METERING_MODE, EXIF_IFD_EXIF, EXIF_FORMAT_SHORT, 1, NULL },
    { EXIF_TAG_FLASH, EXIF_IFD_EXIF, EXIF_FORMAT_SHORT, 1, NULL },
    { EXIF_TAG_FOCAL_LENGTH, EXIF_IFD_EXIF, EXIF_FORMAT_RATIONAL, 1, NULL },
    { EXIF_TAG_SUB_SEC_TIME, EXIF_IFD_EXIF, EXIF_FORMAT_ASCII, 9, "0123456789" },
    { EXIF_TAG_SUB_SEC_TIME_ORIGINAL, EXIF_IFD_EXIF, EXIF_FORMAT_ASCII, 9, "0123456789" },
    { EXIF_TAG_SUB_SEC_TIME_DIGITIZED, EXIF_IFD_EXIF, EXIF_FORMAT_ASCII, 9, "0123456789" },
    { EXIF_TAG_COLOR_SPACE, EXIF_IFD_EXIF, EXIF_FORMAT_SHORT, 1, NULL },
    { EXIF_TAG_WHITE_BALANCE, EXIF_IFD_EXIF, EXIF_FORMAT_SHORT, 1, NULL },
    { EXIF_TAG_FOCAL_LENGTH_IN_35MM_FILM, EXIF_IFD_EXIF, EXIF_FORMAT_SHORT, 1, NULL },
    { EXIF_TAG_LENS_MAKE, EXIF_IFD_EXIF, EXIF_FORMAT_ASCII, 64, NULL },
    { EXIF_TAG_LENS_MODEL, EXIF_IFD_EXIF, EXIF_FORMAT_ASCII, 128, NULL },
};

/* What is written is little-endian, whatever the source was. */
typedef struct {
    ExifMem *mem;
    ExifData *data;
    bool empty;
} Writer;

/* Without defaults filled in; NULL: nothing to be read. */
static ExifData *exif_load(const void *exif, size_t size)
{
    if (exif == NULL || size > EXIF_READ_MAX)
        return NULL;
    g_autoptr(GByteArray) whole = g_byte_array_new();
    if (size < EXIF_PREFIX || memcmp(exif, prefix, EXIF_PREFIX) != 0)
        g_byte_array_append(whole, (const guint8 *)prefix, EXIF_PREFIX);
    g_byte_array_append(whole, exif, (guint)size);
    ExifData *data = exif_data_new();
    exif_data_unset_option(data, EXIF_DATA_OPTION_IGNORE_UNKNOWN_TAGS);
    exif_data_unset_option(data, EXIF_DATA_OPTION_FOLLOW_SPECIFICATION);
    exif_data_set_option(data, EXIF_DATA_OPTION_DONT_CHANGE_MAKER_NOTE);
    exif_data_load_data(data, whole->data, whole->len);
    return data;
}

/* A number of the one kind or the other; false: neither. */
static bool read_number(const ExifEntry *e, ExifByteOrder order, uint32_t *out)
{
    if (e->components == 0 || e->data == NULL || e->size < exif_format_get_size(e->format))
        return false;
    if (e->format == EXIF_FORMAT_SHORT)
        *out = exif_get_short(e->data, order);
    else if (e->format == EXIF_FORMAT_LONG)
        *out = exif_get_long(e->data, order);
    else
        return false;
    return *out <= UINT16_MAX;
}

static unsigned orientation_of(ExifData *data)
{
    uint32_t n;
    const ExifEntry *e = exif_content_get_entry(data->ifd[EXIF_IFD_0], EXIF_TAG_ORIENTATION);
    return e != NULL && read_number(e, exif_data_get_byte_order(data), &n) && n >= 1 && n <= ORIENTATIONS ? n : 1;
}

static ExifEntry *add(Writer *w, ExifIfd ifd, ExifTag tag, ExifFormat format, unsigned components)
{
    ExifEntry *e = exif_entry_new_mem(w->mem);
    e->tag = tag;
    e->format = format;
    e->components = components;
    e->size = components * exif_format_get_size(format);
    e->data = exif_mem_alloc(w->mem, e->size);
    g_assert(e->data != NULL);
    exif_content_add_entry(w->data->ifd[ifd], e);
    exif_entry_unref(e);
    w->empty = false;
    return e;
}

static void copy_text(Writer *w, const Field *field, const ExifEntry *e)
{
    const size_t size = e->data != NULL ? strnlen((const char *)e->data, MIN(e->size, field->most)) : 0;
    g_autofree char *text = g_strndup((const char *)e->data, size);
    g_strstrip(text);
    for (char *c = text; *c != 0; c++)
        if (field->within != NULL ? strchr(field->within, *c) == NULL : g_ascii_iscntrl(*c))
            return;
    if (*text == 0)
        return;
    const unsigned n = (unsigned)strlen(text) + 1;
    memcpy(add(w, field->ifd, field->tag, EXIF_FORMAT_ASCII, n)->data, text, n);
}

static void copy_number(Writer *w, const Field *field, const ExifEntry *e, ExifByteOrder order)
{
    uint32_t n;
    /* another colour space than sRGB is told by the profile, or no longer true */
    if (!read_number(e, order, &n) || (field->tag == EXIF_TAG_COLOR_SPACE && n != 1))
        return;
    exif_set_short(add(w, field->ifd, field->tag, EXIF_FORMAT_SHORT, 1)->data, EXIF_BYTE_ORDER_INTEL, (ExifShort)n);
}

static void copy_ratio(Writer *w, const Field *field, const ExifEntry *e, ExifByteOrder order)
{
    if (e->components == 0 || e->data == NULL || e->size < 8)
        return;
    const ExifRational r = exif_get_rational(e->data, order);
    exif_set_rational(add(w, field->ifd, field->tag, field->format, 1)->data, EXIF_BYTE_ORDER_INTEL, r);
}

static void copy_safe(Writer *w, ExifData *from)
{
    const ExifByteOrder order = exif_data_get_byte_order(from);
    for (size_t i = 0; i < G_N_ELEMENTS(safe); i++) {
        const Field *field = &safe[i];
        const ExifEntry *e = exif_content_get_entry(from->ifd[field->ifd], field->tag);
        if (e == NULL)
            continue;
        if (field->format == EXIF_FORMAT_SHORT)
            copy_number(w, field, e, order);
        else if (e->format == field->format && field->format == EXIF_FORMAT_ASCII)
            copy_text(w, field, e);
        else if (e->format == field->format)
            copy_ratio(w, field, e, order);
    }
    if (w->data->ifd[EXIF_IFD_EXIF]->count > 0)
        memcpy(add(w, EXIF_IFD_EXIF, EXIF_TAG_EXIF_VERSION, EXIF_FORMAT_UNDEFINED, 4)->data, exif_version, 4);
}

/* NULL: it came out empty. */
static GBytes *save(ExifData *data)
{
    unsigned char *bytes = NULL;
    unsigned size = 0;
    exif_data_save_data(data, &bytes, &size);
    GBytes *out = bytes != NULL && size > EXIF_PREFIX ? g_bytes_new(bytes + EXIF_PREFIX, size - EXIF_PREFIX) : NULL;
    free(bytes);
    return out;
}

static GBytes *write_new(ExifData *from, unsigned orientation)
{
    Writer w = { .mem = exif_mem_new_default(), .empty = true };
    w.data = exif_data_new_mem(w.mem);
    exif_data_set_byte_order(w.data, EXIF_BYTE_ORDER_INTEL);
    if (from != NULL)
        copy_safe(&w, from);
    if (orientation != 0)
        exif_set_short(add(&w, EXIF_IFD_0, EXIF_TAG_ORIENTATION, EXIF_FORMAT_SHORT, 1)->data, EXIF_BYTE_ORDER_INTEL,
                       (ExifShort)orientation);
    GBytes *out = w.empty ? NULL : save(w.data);
    exif_data_unref(w.data);
    exif_mem_unref(w.mem);
    return out;
}

/* Everything but the preview, which shows the picture as it was. */
static GBytes *write_all(ExifData *data, unsigned orientation)
{
    ExifContent *preview = data->ifd[EXIF_IFD_1], *main = data->ifd[EXIF_IFD_0];
    while (preview->count > 0)
        exif_content_remove_entry(preview, preview->entries[0]);
    free(data->data);
    data->data = NULL;
    data->size = 0;
    ExifEntry *old = exif_content_get_entry(main, EXIF_TAG_ORIENTATION);
    if (old != NULL)
        exif_content_remove_entry(main, old);
    if (orientation != 0) {
        Writer w = { .mem = exif_mem_new_default(), .data = data };
        exif_set_short(add(&w, EXIF_IFD_0, EXIF_TAG_ORIENTATION, EXIF_FORMAT_SHORT, 1)->data, exif_data_get_byte_order(data),
                       (ExifShort)orientation);
        exif_mem_unref(w.mem);
    }
    return save(data);
}

GBytes *metadata_exif(const void *exif, size_t size, RecipeMetadata level, unsigned orientation)
{
    ExifData *from = level == METADATA_NONE ? NULL : exif_load(exif, size);
    GBytes *out = from != NULL && level == METADATA_ALL ? write_all(from, orientation) : write_new(from, orientation);
    if (from != NULL)
        exif_data_unref(from);
    return out;
}

GBytes *exif_clean(const void *exif, size_t size, RecipeMetadata level)
{
    ExifData *from = exif_load(exif, size);
    if (from == NULL)
        return NULL;
    const unsigned orientation = orientation_of(from);
    GBytes *out = write_new(level == METADATA_NONE ? NULL : from, orientation > 1 ? orientation : 0);
    exif_data_unref(from);
    return out;
}

bool exif_keeps(bool exif_ifd, unsigned tag, unsigned type, size_t count)
{
    for (size_t i = 0; i < G_N_ELEMENTS(safe); i++)
        if (safe[i].tag == tag && (safe[i].ifd == EXIF_IFD_EXIF) == exif_ifd)
            return safe[i].format == type && count <= safe[i].most + (type == EXIF_FORMAT_ASCII);
    return false;
}
