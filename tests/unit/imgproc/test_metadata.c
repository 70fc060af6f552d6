/* exiftool fills the files and judges what is left; libvips judges that pixels, profile and orientation are the same. */
#include <string.h>
#include <vips/vips.h>

#include "planted.h"

enum {
    PIXELS_MAX = 30000000, /* more are not decoded here */
    SLACK = 64 << 10,
    ICC_BIG = 300000,
};

static VipsImage *open_pixels(GBytes *file)
{
    gsize size;
    const void *data = g_bytes_get_data(file, &size);
    const bool pages = planted_kind(file) == KIND_GIF || planted_kind(file) == KIND_WEBP || planted_kind(file) == KIND_TIFF;
    VipsImage *image = vips_image_new_from_buffer(data, size, pages ? "n=-1" : "", "access", VIPS_ACCESS_SEQUENTIAL, NULL);
    if (image != NULL && (double)image->Xsize * image->Ysize > PIXELS_MAX)
        g_clear_object(&image);
    vips_error_clear();
    return image;
}

static double largest_difference(VipsImage *a, VipsImage *b)
{
    VipsImage *step[2] = { NULL, NULL };
    double most = -1;
    g_assert_cmpint(vips_subtract(a, b, &step[0], NULL), ==, 0);
    g_assert_cmpint(vips_abs(step[0], &step[1], NULL), ==, 0);
    if (vips_max(step[1], &most, NULL) != 0)
        most = -1;
    vips_error_clear();
    g_object_unref(step[0]);
    g_object_unref(step[1]);
    return most;
}

static void check_same_blob(VipsImage *a, VipsImage *b, const char *name)
{
    const void *data[2];
    size_t size[2];
    if (vips_image_get_typeof(a, name) == 0) {
        g_assert_cmpint(vips_image_get_typeof(b, name), ==, 0);
        return;
    }
    g_assert_cmpint(vips_image_get_blob(a, name, &data[0], &size[0]), ==, 0);
    g_assert_cmpint(vips_image_get_blob(b, name, &data[1], &size[1]), ==, 0);
    g_assert_cmpmem(data[0], size[0], data[1], size[1]);
}

/* As far as it can be decoded: what one shows the other does. */
static void check_same_picture(GBytes *before, GBytes *after, const char *where)
{
    VipsImage *a = open_pixels(before), *b = open_pixels(after);
    if (a == NULL || b == NULL) {
        g_assert_true(a == NULL && b == NULL);
        return;
    }
    g_assert_cmpint(a->Xsize, ==, b->Xsize);
    g_assert_cmpint(a->Ysize, ==, b->Ysize);
    g_assert_cmpint(a->Bands, ==, b->Bands);
    g_assert_cmpint(vips_image_get_orientation(a), ==, vips_image_get_orientation(b));
    check_same_blob(a, b, VIPS_META_ICC_NAME);
    const double most = largest_difference(a, b);
    if (most > 0)
        g_error("%s: pixels differ by %g", where, most);
    g_object_unref(a);
    g_object_unref(b);
}

/* The cleaned file, or the file itself; NULL: stuck. Caller unrefs. */
static GBytes *clean(GBytes *file, RecipeMetadata level)
{
    g_autoptr(GBytes) out = NULL, again = NULL;
    const ImgKind kind = planted_kind(file);
    const MetadataResult result = metadata_clean(kind, file, level, &out);
    g_assert_true((result == METADATA_CLEANED) == (out != NULL));
    if (result != METADATA_CLEANED)
        return result == METADATA_CLEAN ? g_bytes_ref(file) : NULL;
    g_assert_cmpuint(g_bytes_get_size(out), <=, g_bytes_get_size(file) + SLACK);
    g_assert_cmpint(metadata_clean(kind, out, level, &again), ==, METADATA_CLEAN);
    return g_steal_pointer(&out);
}

/* Adds the cleaned file to *outs and its name to *names; false: stuck. */
static bool clean_picture(const char *path, RecipeMetadata level, GPtrArray *outs, GPtrArray *names)
{
    g_autoptr(GMappedFile) mapped = g_mapped_file_new(path, FALSE, NULL);
    g_assert_nonnull(mapped);
    g_autoptr(GBytes) file = g_mapped_file_get_bytes(mapped);
    GBytes *out = clean(file, level);
    if (out == NULL)
        return false;
    if (out != file)
        check_same_picture(file, out, path);
    g_ptr_array_add(outs, out);
    g_ptr_array_add(names, (void *)path);
    return true;
}

/* To its end. */
static bool decodes(const char *path)
{
    g_autoptr(GMappedFile) mapped = g_mapped_file_new(path, FALSE, NULL);
    g_autoptr(GBytes) file = g_mapped_file_get_bytes(mapped);
    gsize size;
    const void *data = g_bytes_get_data(file, &size);
    double mean;
    VipsImage *image =
        probe_format(planted_kind(file)) == IMG_FORMAT_NONE ? NULL : vips_image_new_from_buffer(data, size, "fail_on=truncated", NULL);
    const bool ok = image != NULL && vips_avg(image, &mean, NULL) == 0;
    g_clear_object(&image);
    vips_error_clear();
    return ok;
}

/* Whatever shows can be cleaned. */
static void test_every_picture(gconstpointer wanted)
{
    const RecipeMetadata level = GPOINTER_TO_UINT(wanted);
    g_autoptr(GPtrArray) paths = planted_pictures(), names = g_ptr_array_new();
    g_autoptr(GPtrArray) outs = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    for (guint i = 0; i < paths->len; i++)
        if (!clean_picture(paths->pdata[i], level, outs, names))
            if (decodes(paths->pdata[i]))
                g_error("%s shows, but cannot be cleaned", (const char *)paths->pdata[i]);
    g_autoptr(JsonArray) tags = planted_tags_of_all(outs);
    for (guint i = 0; i < outs->len; i++)
        planted_check_tags(json_array_get_object_element(tags, i), level, names->pdata[i]);
}

static void check_text(JsonObject *tags, const char *key, const char *value)
{
    g_assert_cmpstr(json_object_get_string_member_with_default(tags, key, ""), ==, value);
}

static void check_safe_tags(JsonObject *tags)
{
    check_text(tags, "IFD0:Make", "Camera Works");
    check_text(tags, "IFD0:Model", "C-1");
    check_text(tags, "IFD0:Artist", "Jane Example");
    check_text(tags, "IFD0:Copyright", "(c) Jane Example");
    check_text(tags, "IFD0:Orientation", "Rotate 90 CW");
    check_text(tags, "ExifIFD:DateTimeOriginal", "2021:02:03 04:05:06");
    check_text(tags, "ExifIFD:OffsetTimeOriginal", "+02:00");
    check_text(tags, "ExifIFD:ExposureTime", "1/60");
    check_text(tags, "ExifIFD:LensModel", "50mm F1.8");
}

static void test_planted(gconstpointer row)
{
    const PlantedKind *kind = row;
    g_autoptr(GBytes) file = planted_file(kind);
    for (RecipeMetadata level = METADATA_NONE; level <= METADATA_SAFE; level++) {
        g_autoptr(GBytes) out = clean(file, level);
        g_assert_nonnull(out);
        g_assert_false(planted_holds(out, PLANTED_SECRET));
        g_assert_false(planted_holds(out, "xap/1.0"));
        g_assert_true(planted_kind(out) == KIND_GIF || level == METADATA_SAFE || !planted_holds(out, "Jane"));
        check_same_picture(file, out, kind->base);
        g_autoptr(JsonObject) tags = planted_tags(out);
        planted_check_tags(tags, level, kind->base);
        if (kind->exif && level == METADATA_SAFE)
            check_safe_tags(tags);
        else if (kind->exif)
            check_text(tags, "IFD0:Orientation", "Rotate 90 CW");
    }
    g_autoptr(GBytes) untouched = NULL;
    g_assert_cmpint(metadata_clean(planted_kind(file), file, METADATA_ALL, &untouched), ==, METADATA_CLEAN);
}

/* As libvips hands it over: with "Exif\0\0". */
static GBytes *planted_exif(void)
{
    g_autoptr(GBytes) file = planted_file(&planted_kinds[0]);
    VipsImage *image = open_pixels(file);
    const void *data;
    size_t size;
    g_assert_cmpint(vips_image_get_blob(image, VIPS_META_EXIF_NAME, &data, &size), ==, 0);
    GBytes *exif = g_bytes_new(data, size);
    g_object_unref(image);
    return exif;
}

static JsonObject *tags_of_exif(GBytes *exif)
{
    g_autoptr(GBytes) original = planted_load("png/palette-trns.png"), plain = clean(original, METADATA_NONE);
    g_autoptr(GBytes) file = metadata_insert(IMG_PNG, plain, exif, NULL, NULL);
    g_assert_nonnull(file);
    return planted_tags(file);
}

static void test_exif_levels(void)
{
    gsize size;
    g_autoptr(GBytes) source = planted_exif();
    const uint8_t *data = g_bytes_get_data(source, &size);
    g_assert_null(metadata_exif(data, size, METADATA_NONE, 0));
    g_assert_null(metadata_exif(NULL, 0, METADATA_ALL, 0));

    g_autoptr(GBytes) safe = metadata_exif(data, size, METADATA_SAFE, 6), bare = metadata_exif(data + 6, size - 6, METADATA_SAFE, 6);
    g_assert_true(g_bytes_equal(safe, bare));
    g_autoptr(JsonObject) safe_tags = tags_of_exif(safe);
    check_safe_tags(safe_tags);
    planted_check_tags(safe_tags, METADATA_SAFE, "safe");

    g_autoptr(GBytes) turned = metadata_exif(data, size, METADATA_NONE, 8);
    g_autoptr(JsonObject) turned_tags = tags_of_exif(turned);
    check_text(turned_tags, "IFD0:Orientation", "Rotate 270 CW");
    planted_check_tags(turned_tags, METADATA_NONE, "turned");

    g_autoptr(GBytes) all = metadata_exif(data, size, METADATA_ALL, 1);
    g_autoptr(JsonObject) all_tags = tags_of_exif(all);
    check_text(all_tags, "IFD0:Orientation", "Horizontal (normal)");
    check_text(all_tags, "ExifIFD:UserComment", PLANTED_SECRET);
    check_text(all_tags, "ExifIFD:SerialNumber", PLANTED_SECRET);
    g_assert_true(json_object_has_member(all_tags, "GPS:GPSLatitude"));
    g_assert_true(json_object_has_member(all_tags, "Nikon:SerialNumber"));
    g_assert_false(json_object_has_member(all_tags, "IFD1:ThumbnailImage"));
}

/* An EXIF of one text in IFD 0, little-endian. */
static GBytes *exif_of_text(uint16_t tag, const char *text, size_t size)
{
    const uint8_t head[] = { 'I', 'I', '*', 0, 8, 0, 0, 0, 1, 0, (uint8_t)tag, (uint8_t)(tag >> 8), 2, 0 };
    const uint8_t rest[] = { (uint8_t)size, (uint8_t)(size >> 8), 0, 0, 26, 0, 0, 0, 0, 0, 0, 0 };
    GByteArray *out = g_byte_array_append(g_byte_array_new(), head, sizeof head);
    g_byte_array_append(out, rest, sizeof rest);
    return g_byte_array_free_to_bytes(g_byte_array_append(out, (const guint8 *)text, (guint)size));
}

static void check_exif_text(uint16_t tag, const char *text, size_t size, const char *key, const char *expected)
{
    g_autoptr(GBytes) source = exif_of_text(tag, text, size);
    g_autoptr(GBytes) out = metadata_exif(g_bytes_get_data(source, NULL), g_bytes_get_size(source), METADATA_SAFE, 0);
    g_assert_true((out != NULL) == (expected != NULL));
    if (out == NULL)
        return;
    g_autoptr(JsonObject) tags = tags_of_exif(out);
    check_text(tags, key, expected);
}

static void test_exif_texts(void)
{
    g_autofree char *much = g_strnfill(300, 'm'), *kept = g_strnfill(64, 'm');
    check_exif_text(0x10f, much, 300, "IFD0:Make", kept);
    check_exif_text(0x10f, "Camera Works", 13, "IFD0:Make", "Camera Works");
    check_exif_text(0x10f, "Camera\0hidden behind", 21, "IFD0:Make", "Camera");
    check_exif_text(0x10f, "Came\033[2Jra", 10, "IFD0:Make", NULL);
    check_exif_text(0x132, "2021:02:03 04:05:06", 20, "IFD0:ModifyDate", "2021:02:03 04:05:06");
    check_exif_text(0x132, "at home with Joanna", 20, "IFD0:ModifyDate", NULL);
    check_exif_text(0x13c, "host", 5, "IFD0:HostComputer", NULL);
}

static void check_blob(VipsImage *image, const char *name, GBytes *expected, size_t skip)
{
    const uint8_t *data;
    size_t size;
    g_assert_cmpint(vips_image_get_blob(image, name, (const void **)&data, &size), ==, 0);
    g_assert_cmpmem(data + skip, size - skip, g_bytes_get_data(expected, NULL), g_bytes_get_size(expected));
}

static GBytes *noise(size_t size)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);
    uint8_t *data = g_malloc(size);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)g_rand_int(rand);
    return g_bytes_new_take(data, size);
}

static GBytes *profile(void)
{
    void *data;
    size_t size;
    VipsBlob *blob = NULL;
    g_assert_cmpint(vips_profile_load("srgb", &blob, NULL), ==, 0);
    data = (void *)vips_blob_get(blob, &size);
    GBytes *out = g_bytes_new(data, size);
    vips_area_unref(VIPS_AREA(blob));
    return out;
}

static void check_insert(ImgFormat format, const char *base)
{
    static const char xmp_text[] =
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'/></x:xmpmeta>";
    g_autoptr(GBytes) original = planted_load(base), file = clean(original, METADATA_NONE), icc = profile();
    g_autoptr(GBytes) xmp = g_bytes_new_static(xmp_text, sizeof xmp_text - 1), exif = metadata_exif(NULL, 0, METADATA_SAFE, 3);
    g_autoptr(GBytes) out = metadata_insert(format, file, exif, icc, xmp), same = metadata_insert(format, file, NULL, NULL, NULL);
    g_assert_true(same == file);
    g_assert_nonnull(out);
    VipsImage *a = open_pixels(file), *b = open_pixels(out);
    check_blob(b, VIPS_META_ICC_NAME, icc, 0);
    check_blob(b, VIPS_META_XMP_NAME, xmp, 0);
    g_assert_cmpint(vips_image_get_orientation(b), ==, 3);
    g_assert_cmpfloat(largest_difference(a, b), ==, 0);
    g_object_unref(a);
    g_object_unref(b);
    g_autoptr(JsonObject) tags = planted_tags(out);
    g_assert_false(json_object_has_member(tags, "ExifTool:Warning"));
}

static void test_insert(void)
{
    check_insert(IMG_JPEG, "jpeg/base-800.jpg");
    check_insert(IMG_JPEG, "jpeg/progressive.jpg");
    check_insert(IMG_PNG, "png/palette-trns.png");
    check_insert(IMG_WEBP, "webp/small.webp");
    check_insert(IMG_WEBP, "webp/alpha.webp");
    check_insert(IMG_WEBP, "anim/iss634.webp");
}

static void test_insert_refuses(void)
{
    g_autoptr(GBytes) jpeg = planted_load("jpeg/base-800.jpg"), gif = planted_load("gif/still.gif"),
                      avif = planted_load("avif/example.avif");
    g_autoptr(GBytes) fits = noise(65527), large = noise(65528), big = noise(ICC_BIG), huge = noise((size_t)65519 * 255 + 1);
    g_assert_null(metadata_insert(IMG_JPEG, jpeg, large, NULL, NULL));
    g_assert_null(metadata_insert(IMG_JPEG, jpeg, NULL, NULL, large));
    g_assert_null(metadata_insert(IMG_JPEG, jpeg, NULL, huge, NULL));
    g_assert_null(metadata_insert(IMG_GIF, gif, fits, NULL, NULL));
    g_assert_null(metadata_insert(IMG_AVIF, avif, fits, NULL, NULL));
    g_assert_null(metadata_insert(IMG_WEBP, jpeg, fits, NULL, NULL));
    g_assert_null(metadata_insert(IMG_PNG, jpeg, fits, NULL, NULL));

    g_autoptr(GBytes) out = metadata_insert(IMG_JPEG, jpeg, fits, big, NULL);
    VipsImage *image = open_pixels(out);
    check_blob(image, VIPS_META_EXIF_NAME, fits, 6);
    check_blob(image, VIPS_META_ICC_NAME, big, 0);
    g_object_unref(image);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_setenv("VIPS_WARNING", "1", TRUE);
    g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_FATAL_MASK); /* libvips warns of what is planted */
    g_assert_cmpint(VIPS_INIT(argv[0]), ==, 0);
    vips_concurrency_set(1);
    vips_cache_set_max(0);
    g_test_add_func("/metadata/exif/levels", test_exif_levels);
    g_test_add_func("/metadata/exif/texts", test_exif_texts);
    g_test_add_func("/metadata/insert/is-read-back", test_insert);
    g_test_add_func("/metadata/insert/refuses-what-does-not-fit", test_insert_refuses);
    for (gsize i = 0; i < N_PLANTED_KINDS; i++) {
        g_autofree char *path = g_strdup_printf("/metadata/planted/%s", planted_kinds[i].base);
        g_test_add_data_func(path, &planted_kinds[i], test_planted);
    }
    g_test_add_data_func("/metadata/every-picture/safe", GUINT_TO_POINTER(METADATA_SAFE), test_every_picture);
    g_test_add_data_func("/metadata/every-picture/none", GUINT_TO_POINTER(METADATA_NONE), test_every_picture);
    const int status = g_test_run();
    vips_shutdown();
    return status;
}
