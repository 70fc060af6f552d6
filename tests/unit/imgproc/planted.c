#include "planted.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

/* group:tags, all tags of the groups that end in a colon; exiftool's own words about files among them */
static const char *const structure[] = {
    "SourceFile",
    "System:",
    "Composite:",
    "JFIF:",
    "Adobe:APP14Flags0,APP14Flags1,ColorTransform,DCTEncodeVersion",
    "GIF:AnimationIterations,"
    "BackgroundColor,BitsPerPixel,ColorResolutionDepth,Duration,FrameCount,GIFVersion,HasColorMap,ImageHeight,ImageWidth,PixelAspectRatio,"
    "TransparentColor",
    "ExifTool:ExifToolVersion,Warning,Error",
    "File:FileType,FileTypeExtension,MIMEType,ExifByteOrder,ImageWidth,ImageHeight,"
    "EncodingProcess,BitsPerSample,ColorComponents,YCbCrSubSampling,ThumbnailImage",
    "PNG-pHYs:",
    "PNG-cHRM:",
    "PNG-cICP:",
    "PNG:AnimationFrames,AnimationPlays,"
    "BackgroundColor,BitDepth,BlueX,BlueY,ColorType,Compression,Filter,Gamma,GreenX,GreenY,ImageHeight,ImageWidth,Interlace,Palette,"
    "ProfileName,"
    "RedX,RedY,SRGBRendering,SignificantBits,Transparency,WhitePointX,WhitePointY",
    "RIFF:",
    "Meta:MetaImageSize,PrimaryItemReference",
    "QuickTime:",
    NULL,
};
/* of a TIFF's directories; resolution and orientation also of EXIF */
static const char *const needed = "BitsPerSample,ColorMap,Compression,FillOrder,ImageHeight,ImageWidth,PageNumber,"
                                  "PhotometricInterpretation,PlanarConfiguration,ResolutionUnit,"
                                  "RowsPerStrip,SamplesPerPixel,StripByteCounts,StripOffsets,XResolution,YResolution,Orientation,Predictor,"
                                  "ExtraSamples,SampleFormat,SubfileType";
static const char *const safe_main = "Make,Model,ModifyDate,Artist,Copyright";
static const char *const safe_exif =
    "ExifVersion,ExposureTime,FNumber,ExposureProgram,ISO,DateTimeOriginal,CreateDate,OffsetTime,OffsetTimeOriginal,OffsetTimeDigitized,"
    "ExposureCompensation,MeteringMode,Flash,FocalLength,SubSecTime,SubSecTimeOriginal,SubSecTimeDigitized,ColorSpace,WhiteBalance,"
    "FocalLengthIn35mmFormat,LensMake,LensModel";

const PlantedKind planted_kinds[] = {
    { "jpeg/base-800.jpg", true, true }, { "jpeg/progressive.jpg", true, true }, { "png/palette-trns.png", true, true },
    { "webp/alpha.webp", true, true },   { "anim/iss634.webp", true, true },     { "gif/still.gif", false, true },
    { "heif/example.heic", true, true }, { "avif/example.avif", true, true },    { "tiff/16bit.tif", true, false },
};
G_STATIC_ASSERT(G_N_ELEMENTS(planted_kinds) == N_PLANTED_KINDS);

static char *picture_path(const char *base)
{
    return g_build_filename(g_getenv("HOIST_TEST_DATA"), "images", base, NULL);
}

static void collect(const char *folder, GPtrArray *out)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        char *path = g_build_filename(folder, name, NULL);
        if (g_file_test(path, G_FILE_TEST_IS_DIR)) {
            collect(path, out);
            g_free(path);
        } else {
            g_ptr_array_add(out, path);
        }
    }
}

GPtrArray *planted_pictures(void)
{
    GPtrArray *out = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *own = picture_path("");
    collect(own, out);
    g_assert_cmpuint(out->len, >, 0);
    if (g_getenv("HOIST_IMAGES") != NULL)
        collect(g_getenv("HOIST_IMAGES"), out);
    return out;
}

static GBytes *load(const char *path)
{
    char *content;
    gsize size;
    g_autoptr(GError) error = NULL;
    g_file_get_contents(path, &content, &size, &error);
    g_assert_no_error(error);
    return g_bytes_new_take(content, size);
}

GBytes *planted_load(const char *base)
{
    g_autofree char *path = picture_path(base);
    return load(path);
}

/* Its standard output; caller frees. arguments: end with NULL. */
static char *run_exiftool(const char *const *arguments)
{
    char *out = NULL;
    g_autofree char *words = NULL;
    g_autoptr(GError) error = NULL;
    g_spawn_sync(NULL, (char **)arguments, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &words, NULL, &error);
    if (error != NULL)
        g_error("exiftool judges these tests and cannot be run (%s): install libimage-exiftool-perl", error->message);
    return out;
}

static char *save(GBytes *file)
{
    char *path = g_strdup("/tmp/hoist-planted-XXXXXX");
    const int fd = g_mkstemp(path);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, g_bytes_get_data(file, NULL), g_bytes_get_size(file)), ==, (gssize)g_bytes_get_size(file));
    close(fd);
    return path;
}

GBytes *planted_file(const PlantedKind *kind)
{
    g_autoptr(GBytes) plain = planted_load(kind->base);
    g_autofree char *path = save(plain), *camera = picture_path("photo/office-24mp.jpg"), *small = picture_path("orientation/6.jpg");
    g_autofree char *preview = g_strconcat("-ThumbnailImage<=", small, NULL);
#define SECRET "=" PLANTED_SECRET
    const char *arguments[] = {
        "exiftool",
        "-q",
        "-q",
        "-m",
        "-overwrite_original",
        "-tagsfromfile",
        camera,
        "-MakerNotes",
        "-Make=Camera Works",
        "-Model=C-1",
        "-EXIF:DateTimeOriginal=2021:02:03 04:05:06",
        "-OffsetTimeOriginal=+02:00",
        "-EXIF:Artist=Jane Example",
        "-EXIF:Copyright=(c) Jane Example",
        "-ExposureTime=1/60",
        "-LensModel=50mm F1.8",
        "-Orientation#=6",
        "-GPSLatitude=48.1374",
        "-GPSLatitudeRef=N",
        "-GPSLongitude=11.5755",
        "-GPSLongitudeRef=E",
        "-GPSProcessingMethod" SECRET,
        "-SerialNumber" SECRET,
        "-LensSerialNumber" SECRET,
        "-OwnerName" SECRET,
        "-UserComment" SECRET,
        "-EXIF:ImageDescription" SECRET,
        "-XPAuthor" SECRET,
        "-XPKeywords" SECRET,
        "-Software" SECRET,
        "-HostComputer" SECRET,
        "-ImageUniqueID" SECRET,
        "-XMP-dc:Title" SECRET,
        "-XMP-photoshop:City" SECRET,
        "-XMP-aux:OwnerName" SECRET,
        "-IPTC:City" SECRET,
        "-IPTC:Keywords" SECRET,
        "-Comment" SECRET,
        "-PNG:Author" SECRET,
        preview,
        path,
        NULL,
    };
#undef SECRET
    g_free(run_exiftool(arguments));
    g_autoptr(GBytes) filled = load(path);
    g_assert_true(planted_holds(filled, PLANTED_SECRET));
    g_unlink(path);
    if (!kind->tail)
        return g_steal_pointer(&filled);
    GByteArray *longer = g_bytes_unref_to_array(g_steal_pointer(&filled));
    g_byte_array_append(longer, (const guint8 *)"after the end: " PLANTED_SECRET, sizeof "after the end: " PLANTED_SECRET);
    return g_byte_array_free_to_bytes(longer);
}

ImgKind planted_kind(GBytes *file)
{
    bool animated;
    gsize size;
    const uint8_t *data = g_bytes_get_data(file, &size);
    return probe_kind(data, size, &animated);
}

JsonArray *planted_tags_of_all(GPtrArray *files)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
    static const char *const head[] = { "exiftool", "-q", "-j", "-a", "-G1", "-s", "-ee" };
    for (gsize i = 0; i < G_N_ELEMENTS(head); i++)
        g_ptr_array_add(words, g_strdup(head[i]));
    for (guint i = 0; i < files->len; i++)
        g_ptr_array_add(words, save(files->pdata[i]));
    g_ptr_array_add(words, NULL);
    g_autofree char *out = run_exiftool((const char *const *)words->pdata);
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) error = NULL;
    json_parser_load_from_data(parser, out, -1, &error);
    g_assert_no_error(error);
    for (guint i = G_N_ELEMENTS(head); i + 1 < words->len; i++)
        g_unlink(words->pdata[i]);
    JsonArray *tags = json_array_ref(json_node_get_array(json_parser_get_root(parser)));
    g_assert_cmpuint(json_array_get_length(tags), ==, files->len);
    return tags;
}

JsonObject *planted_tags(GBytes *file)
{
    g_autoptr(GPtrArray) one = g_ptr_array_new();
    g_ptr_array_add(one, file);
    g_autoptr(JsonArray) tags = planted_tags_of_all(one);
    return json_object_ref(json_array_get_object_element(tags, 0));
}

static bool in_list(const char *name, const char *list)
{
    g_auto(GStrv) names = g_strsplit(list, ",", 0);
    return g_strv_contains((const char *const *)names, name);
}

static bool may_stay(const char *key, RecipeMetadata level)
{
    const char *colon = strchr(key, ':');
    if (g_str_has_prefix(key, "ICC"))
        return true;
    for (const char *const *row = structure; *row != NULL; row++)
        if (g_str_has_suffix(*row, ":") ? g_str_has_prefix(key, *row) : strcmp(key, *row) == 0)
            return true;
        else if (colon != NULL && strncmp(key, *row, (size_t)(colon + 1 - key)) == 0 && in_list(colon + 1, strchr(*row, ':') + 1))
            return true;
    if (g_str_has_prefix(key, "IFD") && (in_list(colon + 1, needed) || (level == METADATA_SAFE && in_list(colon + 1, safe_main))))
        return true;
    return level == METADATA_SAFE && g_str_has_prefix(key, "ExifIFD:") && in_list(colon + 1, safe_exif);
}

void planted_check_tags(JsonObject *tags, RecipeMetadata level, const char *where)
{
    JsonObjectIter iter;
    const char *key;
    JsonNode *node;
    json_object_iter_init(&iter, tags);
    while (json_object_iter_next(&iter, &key, &node))
        if (!may_stay(key, level))
            g_error("%s still has %s", where, key);
}

bool planted_holds(GBytes *file, const char *text)
{
    gsize size;
    const void *data = g_bytes_get_data(file, &size);
    return memmem(data, size, text, strlen(text)) != NULL;
}
