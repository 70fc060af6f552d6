/* Cut, damaged and handmade files: the sanitizers judge, and that cleaning what was cleaned changes nothing. */
#include <string.h>

#include "planted.h"

enum {
    SLACK = 64 << 10,
    EVERY_CUT = 700, /* bytes from the start, each of which a file is cut at */
    CUTS = 150,      /* behind */
    ROUNDS = 1500,
    HEAD = 4096, /* most of what is walked lies here */
};

/* In memory of exactly that size, so that a sanitizer sees a step too far. */
static GBytes *exactly(const uint8_t *data, size_t size)
{
    uint8_t *copy = g_malloc(MAX(size, 1));
    memcpy(copy, data, size);
    return g_bytes_new_take(copy, size);
}

static MetadataResult check_clean(ImgKind kind, GBytes *file, RecipeMetadata level)
{
    g_autoptr(GBytes) out = NULL, again = NULL;
    const MetadataResult result = metadata_clean(kind, file, level, &out);
    g_assert_true((result == METADATA_CLEANED) == (out != NULL));
    if (out != NULL) {
        g_assert_cmpuint(g_bytes_get_size(out), <=, g_bytes_get_size(file) + SLACK);
        g_assert_cmpint(metadata_clean(kind, out, level, &again), ==, METADATA_CLEAN);
    }
    return result;
}

static void check_cut(ImgKind kind, GBytes *file, size_t size)
{
    g_autoptr(GBytes) cut = exactly(g_bytes_get_data(file, NULL), size);
    check_clean(kind, cut, METADATA_SAFE);
}

static void test_cuts(gconstpointer row)
{
    g_autoptr(GBytes) file = planted_file(row);
    const size_t size = g_bytes_get_size(file), step = size / CUTS + 1;
    const ImgKind kind = planted_kind(file);
    for (size_t n = 0; n < size; n += n < EVERY_CUT ? 1 : step)
        check_cut(kind, file, n);
    for (size_t n = size > EVERY_CUT ? size - EVERY_CUT : 0; n < size; n++)
        check_cut(kind, file, n);
}

static GBytes *damaged(GBytes *file, GRand *rand)
{
    gsize size;
    const uint8_t *data = g_bytes_get_data(file, &size);
    uint8_t *copy = g_malloc(size);
    memcpy(copy, data, size);
    const int n = g_rand_int_range(rand, 1, 5);
    for (int i = 0; i < n; i++) {
        const size_t within = g_rand_boolean(rand) ? MIN(size, HEAD) : size;
        uint8_t *byte = copy + g_rand_int_range(rand, 0, (gint32)within);
        *byte = g_rand_boolean(rand) ? *byte ^ (uint8_t)(1 << g_rand_int_range(rand, 0, 8)) : (uint8_t)(g_rand_boolean(rand) ? 0xff : 0);
    }
    return g_bytes_new_take(copy, size);
}

static void test_damage(gconstpointer row)
{
    g_autoptr(GBytes) file = planted_file(row), exif = g_bytes_new_static("MM", 2);
    g_autoptr(GRand) rand = g_rand_new_with_seed(20230217);
    const ImgKind kind = planted_kind(file);
    for (int round = 0; round < ROUNDS; round++) {
        g_autoptr(GBytes) bad = damaged(file, rand);
        check_clean(kind, bad, round % 2 == 0 ? METADATA_SAFE : METADATA_NONE);
        for (ImgFormat format = IMG_WEBP; format <= IMG_PNG; format++) {
            g_autoptr(GBytes) out = metadata_insert(format, bad, exif, exif, exif);
            g_assert_true(out == NULL || g_bytes_get_size(out) > 0);
        }
    }
}

static bool is_heif(ImgKind kind)
{
    return kind == KIND_AVIF || kind == KIND_HEIC;
}

/* A file of one kind taken for another. */
static void test_other_kinds(void)
{
    for (gsize i = 0; i < N_PLANTED_KINDS; i++) {
        g_autoptr(GBytes) file = planted_load(planted_kinds[i].base);
        for (ImgKind kind = KIND_OTHER; kind < N_KINDS; kind++)
            if (kind != planted_kind(file) && !(is_heif(kind) && is_heif(planted_kind(file))))
                g_assert_cmpint(check_clean(kind, file, METADATA_SAFE), ==, METADATA_STUCK);
    }
}

static void test_exif_damage(void)
{
    g_autoptr(GBytes) file = planted_load("jpeg/metadata-gps.jpg");
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);
    gsize size;
    const uint8_t *data = g_bytes_get_data(file, &size);
    const uint8_t *exif = memmem(data, size, "Exif\0", 6);
    g_assert_nonnull(exif);
    for (size_t n = 0; n < HEAD; n += n < EVERY_CUT ? 1 : 50) {
        g_autoptr(GBytes) cut = exactly(exif, n);
        g_autoptr(GBytes) bad = n > 0 ? damaged(cut, rand) : NULL;
        for (RecipeMetadata level = METADATA_NONE; level <= METADATA_ALL; level++) {
            g_autoptr(GBytes) a = metadata_exif(g_bytes_get_data(cut, NULL), n, level, 6);
            g_autoptr(GBytes) b = bad != NULL ? metadata_exif(g_bytes_get_data(bad, NULL), n, level, 0) : NULL;
            g_assert_true(level != METADATA_NONE || b == NULL);
            g_assert_nonnull(a);
        }
    }
}

/* ---- handmade HEIF: a picture (item 1) and its EXIF (item 2) */

static const uint8_t media[64] = "picture picture \0\0\0\0II*\0\x08\0\0\0\0\0 Jane";

static void put(GByteArray *out, const void *bytes, guint n)
{
    g_byte_array_append(out, bytes, n);
}

static void put_number(GByteArray *out, uint64_t n, unsigned bytes)
{
    for (; bytes > 0; bytes--) {
        const uint8_t byte = (uint8_t)(n >> (bytes - 1) * 8);
        put(out, &byte, 1);
    }
}

static void put_box(GByteArray *out, const char *type, GByteArray *body /* taken */)
{
    put_number(out, body->len + 8, 4);
    put(out, type, 4);
    put(out, body->data, body->len);
    g_byte_array_unref(body);
}

static GByteArray *full_box(unsigned version)
{
    GByteArray *out = g_byte_array_new();
    put_number(out, (uint64_t)version << 24, 4);
    return out;
}

static void put_item(GByteArray *iinf, unsigned id, const char *type)
{
    GByteArray *infe = full_box(2);
    put_number(infe, id, 2);
    put_number(infe, 0, 2);
    put(infe, type, 4);
    put_number(infe, 0, 1);
    put_box(iinf, "infe", infe);
}

typedef struct {
    unsigned version, method;                        /* of iloc */
    unsigned picture, picture_size, exif, exif_size; /* from the start of the media */
    MetadataResult expected;
    const char *type; /* of the second item; NULL: Exif */
} Handmade;

static void put_location(GByteArray *iloc, const Handmade *h, unsigned id, uint64_t at, unsigned size)
{
    put_number(iloc, id, h->version < 2 ? 2 : 4);
    if (h->version > 0)
        put_number(iloc, h->method, 2);
    put_number(iloc, 0, 2);
    put_number(iloc, 1, 2);
    put_number(iloc, at, 8);
    put_number(iloc, size, 4);
}

static GByteArray *meta_of(const Handmade *h, size_t media_at)
{
    GByteArray *meta = full_box(0), *iinf = full_box(0), *iloc = full_box(h->version);
    const uint64_t base = h->method == 0 ? media_at : 0;
    put_number(iinf, 2, 2);
    put_item(iinf, 1, "av01");
    put_item(iinf, 2, h->type != NULL ? h->type : "Exif");
    put_box(meta, "iinf", iinf);
    put_number(iloc, 0x8400, 2);
    put_number(iloc, 2, h->version < 2 ? 2 : 4);
    put_location(iloc, h, 1, base + h->picture, h->picture_size);
    put_location(iloc, h, 2, base + h->exif, h->exif_size);
    put_box(meta, "iloc", iloc);
    if (h->method == 1)
        put_box(meta, "idat", g_byte_array_append(g_byte_array_new(), media, sizeof media));
    return meta;
}

static GBytes *make_heif(const Handmade *h, bool tail)
{
    GByteArray *out = g_byte_array_new(), *probe = meta_of(h, 0);
    put_box(out, "ftyp", g_byte_array_append(g_byte_array_new(), (const guint8 *)"avif\0\0\0\0avif", 12));
    put_box(out, "meta", meta_of(h, out->len + 8 + probe->len + 8));
    if (h->method == 0)
        put_box(out, "mdat", g_byte_array_append(g_byte_array_new(), media, sizeof media));
    if (tail)
        put(out, "\0\0\0\x0csefdJane\0\0\1\0Jane", 20); /* a box, and none */
    g_byte_array_unref(probe);
    return g_byte_array_free_to_bytes(out);
}

static void test_heif(void)
{
    static const Handmade rows[] = {
        { 0, 0, 0, 16, 16, 40, METADATA_CLEANED, NULL },   { 1, 0, 0, 16, 16, 40, METADATA_CLEANED, NULL },
        { 2, 0, 0, 16, 16, 40, METADATA_CLEANED, NULL },   { 1, 1, 0, 16, 16, 40, METADATA_CLEANED, NULL },
        { 0, 0, 0, 16, 16, 40, METADATA_CLEANED, "mime" }, { 0, 0, 0, 16, 16, 40, METADATA_CLEANED, "uri " },
        { 0, 0, 0, 16, 16, 8, METADATA_CLEANED, NULL },                                                   /* "Jane" belongs to nobody */
        { 0, 0, 0, 16, 16, 40, METADATA_STUCK, "none" },   { 0, 0, 0, 17, 16, 40, METADATA_STUCK, NULL }, /* they overlap */
        { 0, 0, 16, 40, 10, 40, METADATA_STUCK, NULL },    { 0, 0, 0, 16, 16, 1000, METADATA_STUCK, NULL },
        { 0, 0, 0, 16, 16, 0, METADATA_STUCK, NULL },      { 1, 2, 0, 16, 16, 40, METADATA_STUCK, NULL },
        { 3, 0, 0, 16, 16, 40, METADATA_STUCK, NULL },
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GBytes) file = make_heif(&rows[i], false), longer = make_heif(&rows[i], true), out = NULL;
        g_assert_cmpint(check_clean(KIND_AVIF, file, METADATA_SAFE), ==, rows[i].expected);
        g_assert_cmpint(metadata_clean(KIND_AVIF, longer, METADATA_SAFE, &out), ==, rows[i].expected);
        if (out == NULL)
            continue;
        g_assert_cmpuint(g_bytes_get_size(out), ==, g_bytes_get_size(file));
        g_assert_true(planted_holds(out, "picture picture "));
        g_assert_false(planted_holds(out, "Jane"));
    }
}

/* ---- JPEG */

static GByteArray *with(const char *base, const void *mark, size_t mark_size, const void *bytes, guint n)
{
    g_autoptr(GBytes) file = planted_load(base);
    gsize size;
    const uint8_t *data = g_bytes_get_data(file, &size);
    const uint8_t *scan = memmem(data, size, "\xff\xda", 2), *at = memmem(scan, (size_t)(data + size - scan), mark, mark_size);
    g_assert_nonnull(at);
    GByteArray *out = g_byte_array_append(g_byte_array_new(), data, (guint)(at - data));
    put(out, bytes, n);
    put(out, at, (guint)(data + size - at));
    return out;
}

/* Between two scans, where nobody looks. */
static void test_jpeg_between_scans(void)
{
    static const char comment[] = "\xff\xfe\0\x0aJane Doe";
    GByteArray *talking = with("jpeg/progressive.jpg", "\xff\xc4", 2, comment, sizeof comment - 1);
    g_autoptr(GBytes) file = g_byte_array_free_to_bytes(talking), plain = planted_load("jpeg/progressive.jpg"), out = NULL, expected = NULL;
    g_assert_cmpint(check_clean(KIND_JPEG, file, METADATA_NONE), ==, METADATA_CLEANED);
    g_assert_cmpint(metadata_clean(KIND_JPEG, file, METADATA_NONE, &out), ==, METADATA_CLEANED);
    g_assert_cmpint(metadata_clean(KIND_JPEG, plain, METADATA_NONE, &expected), ==, METADATA_CLEANED);
    g_assert_true(g_bytes_equal(out, expected));
}

/* What looks like a segment in a scan, but ends nowhere, is damaged picture. */
static void test_jpeg_damaged_scan(void)
{
    static const char like_app[] = "\xff\xe5\0\x06zzzz~";
    GByteArray *odd = with("jpeg/base-800.jpg", "\xff\0", 2, like_app, sizeof like_app - 1);
    g_autoptr(GBytes) file = g_byte_array_free_to_bytes(odd);
    g_assert_cmpint(check_clean(KIND_JPEG, file, METADATA_NONE), ==, METADATA_CLEAN);
}

/* ---- TIFF: one strip of one pixel */

static GBytes *tiff_of(const uint32_t (*entries)[4], unsigned n)
{
    GByteArray *out = g_byte_array_append(g_byte_array_new(), (const guint8 *)"MM\0*\0\0\0\x10pixelsJJ", 16);
    put_number(out, n, 2);
    for (unsigned i = 0; i < n; i++) {
        put_number(out, entries[i][0], 2);
        put_number(out, entries[i][1], 2);
        put_number(out, entries[i][2], 4);
        put_number(out, entries[i][3], 4);
    }
    put_number(out, 0, 4);
    put(out, "Jane Doe", 8);
    return g_byte_array_free_to_bytes(out);
}

static void check_tiff(uint32_t tag, uint32_t count, uint32_t value, MetadataResult expected)
{
    const uint32_t entries[][4] = { { 256, 4, 1, 1 }, { 273, 4, 1, 8 }, { 279, 4, 1, 6 }, { tag, tag == 330 ? 4 : 7, count, value } };
    g_autoptr(GBytes) file = tiff_of(entries, G_N_ELEMENTS(entries)), out = NULL;
    g_assert_cmpint(check_clean(KIND_TIFF, file, METADATA_SAFE), ==, expected);
    metadata_clean(KIND_TIFF, file, METADATA_SAFE, &out);
    g_assert_true(out == NULL || (planted_holds(out, "pixels") && !planted_holds(out, "Jane")));
}

static void test_tiff(void)
{
    enum { TEXT_AT = 16 + 2 + 4 * 12 + 4 };
    check_tiff(700, 8, TEXT_AT, METADATA_CLEANED);
    check_tiff(34377, 8, TEXT_AT, METADATA_CLEANED);
    check_tiff(700, 9, TEXT_AT, METADATA_STUCK);      /* past the end */
    check_tiff(700, 8, 7, METADATA_STUCK);            /* over the header and the pixels */
    check_tiff(700, 8, 20, METADATA_STUCK);           /* over the directory */
    check_tiff(34665, 1, 16, METADATA_STUCK);         /* EXIF that is no number */
    check_tiff(330, 1, 16, METADATA_STUCK);           /* a tree of directories */
    check_tiff(50706, 4, 0x01040000, METADATA_STUCK); /* a raw picture */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hostile/other-kinds-are-stuck", test_other_kinds);
    g_test_add_func("/hostile/exif", test_exif_damage);
    g_test_add_func("/hostile/heif/handmade", test_heif);
    g_test_add_func("/hostile/jpeg/between-scans", test_jpeg_between_scans);
    g_test_add_func("/hostile/jpeg/damaged-scan-is-kept", test_jpeg_damaged_scan);
    g_test_add_func("/hostile/tiff/handmade", test_tiff);
    for (gsize i = 0; i < N_PLANTED_KINDS; i++) {
        g_autofree char *cut = g_strdup_printf("/hostile/cut/%s", planted_kinds[i].base);
        g_autofree char *damage = g_strdup_printf("/hostile/damaged/%s", planted_kinds[i].base);
        g_test_add_data_func(cut, &planted_kinds[i], test_cuts);
        g_test_add_data_func(damage, &planted_kinds[i], test_damage);
    }
    return g_test_run();
}
