#include "container.h"

#include <string.h>

enum {
    BOX_HEAD = 8,
    FULL = 4, /* version and flags */
    EXIF_OFFSET = 4,
    EXIF_LABEL = 6,
    BOXES_MAX = 64, /* in the file itself */
};

static const char exif_label[EXIF_LABEL] = "Exif\0";
/* A TIFF structure with an empty directory: what is left where nothing may stay. */
static const uint8_t empty_exif[] = { 'I', 'I', '*', 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0 };

typedef struct {
    size_t at, body, end;
    const uint8_t *type;
    bool cut; /* claims to be longer than what it lies in */
} Box;

/* ITEM_LOST: located, but not in the list of items. */
typedef enum { ITEM_LOST, ITEM_PICTURE, ITEM_JPEG, ITEM_EXIF, ITEM_TEXT, ITEM_DATA } ItemKind;

typedef struct {
    Patch patch;
    RecipeMetadata level;
    GHashTable *items;          /* id -> ItemKind */
    Box meta, iinf, iloc, idat; /* .type == NULL: there is none */
    GArray *media;              /* of Box: mdat */
} Heif;

/* Big-endian numbers one after the other; past the end they are 0 and `bad` stays set. */
typedef struct {
    const uint8_t *data;
    size_t at, end;
    bool bad;
} Reader;

static uint64_t take(Reader *r, unsigned bytes)
{
    uint64_t n = 0;
    if (bytes > r->end - r->at) {
        r->bad = true;
        return 0;
    }
    for (; bytes > 0; bytes--)
        n = n << 8 | r->data[r->at++];
    return n;
}

static bool is_one_of(const uint8_t *type, const char *list)
{
    for (; *list != 0; list += 4)
        if (memcmp(type, list, 4) == 0)
            return true;
    return false;
}

static bool box_at(const uint8_t *data, size_t at, size_t end, Box *out)
{
    Reader r = { data, at, end, false };
    uint64_t size = take(&r, 4);
    take(&r, 4);
    if (size == 1)
        size = take(&r, 8);
    else if (size == 0)
        size = end - at;
    if (r.bad || size < r.at - at)
        return false;
    *out = (Box){ .at = at, .body = r.at, .type = data + at + 4 };
    out->cut = size > end - at;
    out->end = out->cut ? end : at + (size_t)size;
    return true;
}

/* A box that nothing needs becomes free space. */
static void blank_box(Heif *h, const Box *box)
{
    patch_put(&h->patch, box->at + 4, "free", 4);
    patch_fill(&h->patch, box->body, box->end - box->body, 0);
}

static ItemKind kind_of_item(const uint8_t *type)
{
    if (is_one_of(type, "hvc1hev1lhv1av01avc1vvc1j2k1unciiovlgrididentmaptilimskihvt1"))
        return ITEM_PICTURE;
    if (is_one_of(type, "Exif"))
        return ITEM_EXIF;
    if (is_one_of(type, "jpeg"))
        return ITEM_JPEG;
    return is_one_of(type, "mime") ? ITEM_TEXT : is_one_of(type, "uri ") ? ITEM_DATA : ITEM_LOST;
}

/* False: malformed, or items of a type that is not understood: they might be part of the picture. */
static bool read_items(Heif *h)
{
    const uint8_t *data = h->patch.data;
    Reader r = { data, h->iinf.body, h->iinf.end, false };
    const unsigned version = (unsigned)(take(&r, FULL) >> 24);
    Box box;
    take(&r, version == 0 ? 2 : 4);
    for (size_t at = r.at; !r.bad && box_at(data, at, h->iinf.end, &box); at = box.end) {
        Reader entry = { data, box.body, box.end, box.cut || !is_one_of(box.type, "infe") };
        const unsigned entry_version = (unsigned)(take(&entry, FULL) >> 24);
        const uint32_t id = (uint32_t)take(&entry, entry_version == 3 ? 4 : 2);
        take(&entry, 2);
        const uint8_t *type = data + entry.at;
        take(&entry, 4);
        if (entry.bad || entry_version < 2 || entry_version > 3 || kind_of_item(type) == ITEM_LOST)
            return false;
        if (!g_hash_table_insert(h->items, GUINT_TO_POINTER(id), GINT_TO_POINTER(kind_of_item(type))))
            return false; /* twice the same item */
    }
    return !r.bad;
}

/* Fields that say who, where, when; which of the others the picture needs is not known for all. */
static bool clean_properties(Heif *h, const Box *ipco)
{
    Box box;
    size_t at = ipco->body;
    for (; box_at(h->patch.data, at, ipco->end, &box) && !box.cut; at = box.end)
        if (is_one_of(box.type, "udesuuidcrttmdftcmincmexfreeskip"))
            blank_box(h, &box);
        else
            patch_keep(&h->patch, box.at, box.end - box.at);
    return at == ipco->end;
}

static bool clean_iprp(Heif *h, const Box *iprp)
{
    Box box;
    size_t at = iprp->body;
    for (; box_at(h->patch.data, at, iprp->end, &box) && !box.cut; at = box.end)
        if (is_one_of(box.type, "ipco")) {
            if (!clean_properties(h, &box))
                return false;
        } else if (is_one_of(box.type, "ipma")) {
            patch_keep(&h->patch, box.at, box.end - box.at);
        } else {
            blank_box(h, &box);
        }
    return at == iprp->end;
}

static bool set_once(Box *where, const Box *box)
{
    if (where->type != NULL)
        return false;
    *where = *box;
    return true;
}

static bool clean_meta_child(Heif *h, const Box *box)
{
    if (is_one_of(box->type, "iprp"))
        return clean_iprp(h, box);
    if (is_one_of(box->type, "idat"))
        return set_once(&h->idat, box);
    if (is_one_of(box->type, "iinf") && !set_once(&h->iinf, box))
        return false;
    if (is_one_of(box->type, "iloc") && !set_once(&h->iloc, box))
        return false;
    if (is_one_of(box->type, "hdlrpitmiinfilocirefdinfgrpliproipmc"))
        patch_keep(&h->patch, box->at, box->end - box->at);
    else
        blank_box(h, box);
    return true;
}

static bool clean_meta(Heif *h)
{
    Box box;
    size_t at = h->meta.body + FULL;
    if (h->meta.end - h->meta.body < FULL)
        return false;
    for (; box_at(h->patch.data, at, h->meta.end, &box) && !box.cut; at = box.end)
        if (!clean_meta_child(h, &box))
            return false;
    return at == h->meta.end && h->iinf.type != NULL && h->iloc.type != NULL && read_items(h);
}

/* What the cleaned EXIF says, as long as it was, in the form it had. */
static void clean_exif(Heif *h, size_t from, size_t size)
{
    const uint8_t *old = h->patch.data + from;
    g_autofree uint8_t *now = g_malloc0(size);
    size_t at = EXIF_OFFSET;
    g_autoptr(GBytes) exif = NULL;
    if (size >= EXIF_OFFSET && get_be32(old) < size - EXIF_OFFSET) {
        const size_t tiff = EXIF_OFFSET + get_be32(old);
        if (tiff == EXIF_OFFSET + EXIF_LABEL && memcmp(old + EXIF_OFFSET, exif_label, EXIF_LABEL) == 0) {
            memcpy(now, old, tiff);
            at = tiff;
        }
        exif = exif_clean(old + tiff, size - tiff, h->level);
        if (exif != NULL && g_bytes_get_size(exif) > size - at) {
            g_bytes_unref(exif);
            exif = exif_clean(old + tiff, size - tiff, METADATA_NONE);
        }
    }
    if (exif == NULL)
        exif = g_bytes_new_static(empty_exif, sizeof empty_exif);
    if (size >= at && g_bytes_get_size(exif) <= size - at)
        memcpy(now + at, g_bytes_get_data(exif, NULL), g_bytes_get_size(exif));
    patch_put(&h->patch, from, now, size);
}

/* A preview may be a whole JPEG file with words of its own; what is left of it is padded. */
static void clean_jpeg(Heif *h, size_t from, size_t size)
{
    g_autoptr(GBytes) made = NULL;
    if (jpeg_clean(h->patch.data + from, size, h->level, &made) != METADATA_CLEANED || g_bytes_get_size(made) > size) {
        patch_keep(&h->patch, from, size);
        return;
    }
    g_autofree uint8_t *now = g_malloc0(size);
    memcpy(now, g_bytes_get_data(made, NULL), g_bytes_get_size(made));
    patch_put(&h->patch, from, now, size);
}

/* Only where nothing but such data lies may be written. */
static bool in_media(const Heif *h, size_t from, size_t to)
{
    if (h->idat.type != NULL && from >= h->idat.body && to <= h->idat.end)
        return true;
    for (guint i = 0; i < h->media->len; i++) {
        const Box *box = &g_array_index(h->media, Box, i);
        if (from >= box->body && to <= box->end)
            return true;
    }
    return false;
}

/* One stretch of an item; whole: it has no other. False: it cannot be cleaned there. */
static bool clean_extent(Heif *h, ItemKind kind, uint64_t from, uint64_t size, bool whole)
{
    const uint64_t end = h->patch.size;
    if (kind == ITEM_PICTURE || (kind == ITEM_JPEG && !whole)) {
        if (from < end)
            patch_keep(&h->patch, from, size == 0 ? end - from : MIN(size, end - from));
        return true;
    }
    if (h->patch.touched > end || size == 0 || from > end || size > end - from || !in_media(h, from, from + size))
        return false;
    if (kind == ITEM_JPEG)
        clean_jpeg(h, from, size);
    else if (kind == ITEM_EXIF && whole)
        clean_exif(h, from, size);
    else
        patch_fill(&h->patch, from, size, kind == ITEM_TEXT ? ' ' : 0);
    return true;
}

/* The widths of numbers in iloc, in bytes. */
typedef struct {
    unsigned version, offset, length, base, index;
} Widths;

static bool clean_item(Heif *h, Reader *r, const Widths *w)
{
    const uint32_t id = (uint32_t)take(r, w->version < 2 ? 2 : 4);
    const unsigned method = w->version == 0 ? 0 : take(r, 2) & 15;
    const unsigned other_file = (unsigned)take(r, 2);
    const uint64_t base = take(r, w->base);
    const unsigned extents = (unsigned)take(r, 2);
    const ItemKind kind = GPOINTER_TO_INT(g_hash_table_lookup(h->items, GUINT_TO_POINTER(id)));
    if (r->bad || method > 1 || other_file != 0 || (method == 1 && h->idat.type == NULL))
        return false;
    const uint64_t start = method == 1 ? h->idat.body : 0;
    for (unsigned i = 0; i < extents; i++) {
        take(r, w->index);
        const uint64_t offset = take(r, w->offset), size = take(r, w->length);
        uint64_t from;
        if (r->bad || __builtin_add_overflow(base, offset, &from) || __builtin_add_overflow(from, start, &from))
            return false;
        if (!clean_extent(h, kind, from, size, extents == 1))
            return false;
    }
    return true;
}

static bool is_width(unsigned n)
{
    return n == 0 || n == 4 || n == 8;
}

static bool clean_items(Heif *h)
{
    Reader r = { h->patch.data, h->iloc.body, h->iloc.end, false };
    Widths w = { .version = (unsigned)(take(&r, FULL) >> 24) };
    const unsigned widths = (unsigned)take(&r, 2);
    w.offset = widths >> 12;
    w.length = widths >> 8 & 15;
    w.base = widths >> 4 & 15;
    w.index = w.version == 0 ? 0 : widths & 15;
    if (w.version > 2 || !is_width(w.offset) || !is_width(w.length) || !is_width(w.base) || !is_width(w.index))
        return false;
    const uint32_t items = (uint32_t)take(&r, w.version < 2 ? 2 : 4);
    for (uint32_t i = 0; i < items && !r.bad; i++)
        if (!clean_item(h, &r, &w))
            return false;
    return !r.bad;
}

/* The boxes of the file; what follows the last one that is needed goes. False: there is no list of items, or several, or tracks with
 * samples of their own. */
static bool read_boxes(Heif *h)
{
    Box box;
    unsigned boxes = 0;
    h->patch.end = 0;
    for (size_t at = 0; box_at(h->patch.data, at, h->patch.size, &box); at = box.end) {
        const bool media = is_one_of(box.type, "mdat");
        if (++boxes > BOXES_MAX || is_one_of(box.type, "moovmoof"))
            return false;
        if (box.cut && !media)
            break;
        if (is_one_of(box.type, "meta") && !set_once(&h->meta, &box))
            return false;
        if (media)
            g_array_append_val(h->media, box);
        else if (is_one_of(box.type, "ftyp"))
            patch_keep(&h->patch, box.at, box.end - box.at);
        else if (!is_one_of(box.type, "meta"))
            blank_box(h, &box);
        if (is_one_of(box.type, "ftypmetamdat"))
            h->patch.end = box.end;
    }
    return h->meta.type != NULL;
}

/* Bytes among the media that belong to no item. */
static void clean_rest(Heif *h)
{
    if (h->idat.type != NULL)
        patch_fill_gaps(&h->patch, h->idat.body, h->idat.end);
    for (guint i = 0; i < h->media->len; i++) {
        const Box *box = &g_array_index(h->media, Box, i);
        patch_fill_gaps(&h->patch, box->body, box->end);
    }
}

MetadataResult heif_clean(const uint8_t *data, size_t size, RecipeMetadata level, GBytes **out_file)
{
    Heif h = { .level = level, .items = g_hash_table_new(NULL, NULL), .media = g_array_new(FALSE, FALSE, sizeof(Box)) };
    patch_init(&h.patch, data, size);
    MetadataResult result = METADATA_STUCK;
    if (read_boxes(&h) && clean_meta(&h) && clean_items(&h)) {
        clean_rest(&h);
        result = patch_end(&h.patch, out_file);
    }
    patch_clear(&h.patch);
    g_hash_table_unref(h.items);
    g_array_unref(h.media);
    return result;
}
