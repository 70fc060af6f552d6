#include "probe.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "extras.h"
#include "imgproc.h"

enum {
    HEAD_BYTES = 32,
    PNG_CHUNKS_MAX = 4096,     /* before the pixels; more is no picture */
    EXTRAS_READ_MAX = 4 << 20, /* larger files are taken to have extras */
    MEGA = 1000000,
};

typedef struct {
    const char *loader; /* of libvips; a source goes in */
    bool web;
    bool lossless;
    bool (*extras)(const uint8_t *data, size_t size); /* NULL: by the fields libvips found */
    ImgFormat format;
    const char *name;
    const char *pages; /* what several pictures in such a file are */
} KindInfo;

static const KindInfo kinds[N_KINDS] = {
    [KIND_OTHER] = { .name = "other" },
    [KIND_JPEG] = { "jpegload_source", true, false, extras_in_jpeg, IMG_JPEG, "JPEG", "several pictures" },
    [KIND_PNG] = { "pngload_source", true, true, extras_in_png, IMG_PNG, "PNG", "animation" },
    [KIND_GIF] = { "gifload_source", true, true, extras_in_gif, IMG_GIF, "GIF", "animation" },
    [KIND_WEBP] = { "webpload_source", true, false, extras_in_webp, IMG_WEBP, "WebP", "animation" },
    [KIND_TIFF] = { "tiffload_source", false, true, NULL, IMG_TIFF, "TIFF", "TIFF of several pages" },
    [KIND_AVIF] = { "heifload_source", true, false, NULL, IMG_AVIF, "AVIF", "several pictures in one file" },
    [KIND_HEIC] = { "heifload_source", false, false, NULL, IMG_HEIC, "HEIC", "several pictures in one file" },
};

static bool brand_in(const uint8_t *brand, const char *list)
{
    for (; *list != 0; list += 4)
        if (memcmp(brand, list, 4) == 0)
            return true;
    return false;
}

static ImgKind kind_of_brands(const uint8_t *head, size_t size, bool *animated_out)
{
    if (brand_in(head + 8, "avismsf1hevchevx")) {
        *animated_out = true;
        return brand_in(head + 8, "avis") ? KIND_AVIF : KIND_HEIC;
    }
    if (brand_in(head + 8, "avif"))
        return KIND_AVIF;
    if (!brand_in(head + 8, "heicheixheimheismif1"))
        return KIND_OTHER;
    for (size_t at = 16; at + 4 <= size && at < 32 && brand_in(head + 8, "mif1"); at += 4)
        if (brand_in(head + at, "avif"))
            return KIND_AVIF;
    return KIND_HEIC;
}

ImgKind probe_kind(const uint8_t *head, size_t size, bool *animated_out)
{
    *animated_out = false;
    if (size < 12)
        return KIND_OTHER;
    if (memcmp(head, "\xff\xd8\xff", 3) == 0)
        return KIND_JPEG;
    if (memcmp(head, "\x89PNG\r\n\x1a\n", 8) == 0)
        return KIND_PNG;
    if (memcmp(head, "GIF87a", 6) == 0 || memcmp(head, "GIF89a", 6) == 0)
        return KIND_GIF;
    if (memcmp(head, "RIFF", 4) == 0 && memcmp(head + 8, "WEBP", 4) == 0)
        return KIND_WEBP;
    if (memcmp(head, "II*\0", 4) == 0 || memcmp(head, "MM\0*", 4) == 0)
        return KIND_TIFF;
    if (memcmp(head + 4, "ftyp", 4) == 0)
        return kind_of_brands(head, size, animated_out);
    return KIND_OTHER;
}

ImgFormat probe_format(ImgKind kind)
{
    return kinds[kind].format;
}

bool probe_kind_is_web(ImgKind kind)
{
    return kinds[kind].web;
}

/* libvips shows only the first frame of an APNG: an acTL chunk before the pixels tells. */
static bool is_apng(int fd)
{
    uint8_t head[8];
    off_t at = 8;
    for (unsigned i = 0; i < PNG_CHUNKS_MAX && pread(fd, head, sizeof head, at) == (ssize_t)sizeof head; i++) {
        if (memcmp(head + 4, "acTL", 4) == 0)
            return true;
        if (memcmp(head + 4, "IDAT", 4) == 0)
            return false;
        at += 12 + (off_t)((uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3]);
    }
    return false;
}

VipsImage *probe_open(int fd, ImgKind kind, int shrink)
{
    VipsImage *image = NULL;
    if (lseek(fd, 0, SEEK_SET) != 0)
        return NULL;
    VipsSource *source = vips_source_new_from_descriptor(fd);
    if (source == NULL)
        return NULL;
    if (shrink > 1)
        vips_jpegload_source(source, &image, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on", VIPS_FAIL_ON_TRUNCATED, "shrink", shrink, NULL);
    else
        vips_call(kinds[kind].loader, source, &image, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on", VIPS_FAIL_ON_TRUNCATED, NULL);
    g_object_unref(source);
    return image;
}

static bool has_extras(int fd, const ImgProbe *probe, VipsImage *image)
{
    static const char *const fields[] = { VIPS_META_EXIF_NAME, VIPS_META_XMP_NAME, VIPS_META_IPTC_NAME, VIPS_META_PHOTOSHOP_NAME,
                                          VIPS_META_IMAGEDESCRIPTION };
    if (kinds[probe->kind].extras == NULL) {
        for (gsize i = 0; i < G_N_ELEMENTS(fields); i++)
            if (vips_image_get_typeof(image, fields[i]) != 0)
                return true;
        return false;
    }
    if (probe->file_bytes > EXTRAS_READ_MAX)
        return true;
    g_autofree uint8_t *data = g_malloc(probe->file_bytes);
    if (pread(fd, data, probe->file_bytes, 0) != (ssize_t)probe->file_bytes)
        return true;
    return kinds[probe->kind].extras(data, probe->file_bytes);
}

/* Seeks past the end are left over from attempts that were made good. */
char *probe_take_error(void)
{
    g_autofree char *text = g_utf8_make_valid(vips_error_buffer(), -1);
    g_auto(GStrv) lines = g_strsplit(text, "\n", 0);
    g_autoptr(GString) error = g_string_new(NULL);
    vips_error_clear();
    for (char **line = lines; *line != NULL; line++) {
        g_strstrip(*line);
        if (**line != 0 && !g_str_has_prefix(*line, "source: "))
            g_string_append_printf(error, "%s%s", error->len > 0 ? " " : "", *line);
    }
    return g_strdup(error->len > 0 ? error->str : "it ends too early");
}

static VipsImage *damaged(char **why_out)
{
    g_autofree char *error = probe_take_error();
    *why_out = g_strdup_printf("the picture is damaged (%s)", error);
    return NULL;
}

/* What the header promises, held against the limits; NULL = fine. */
static char *refuse_by_header(const ImgProbe *probe, VipsImage *image, ImgOutcomeKind *refusal_out)
{
    int pages = 1;
    if (vips_image_get_typeof(image, VIPS_META_N_PAGES) != 0 && vips_image_get_int(image, VIPS_META_N_PAGES, &pages) != 0)
        vips_error_clear();
    const double pixels = (double)probe->width_px * probe->height_px;
    *refusal_out = IMG_FAILED;
    if (pixels > (double)IMG_MEGAPIXELS_MAX * MEGA)
        return g_strdup_printf("%.0f megapixels, more than %d", pixels / MEGA, IMG_MEGAPIXELS_MAX);
    *refusal_out = IMG_AS_IS;
    return pages > 1 ? g_strdup(kinds[probe->kind].pages) : NULL;
}

static void read_header(int fd, VipsImage *image, ImgProbe *out)
{
    out->width_px = (unsigned)vips_image_get_width(image);
    out->height_px = (unsigned)vips_image_get_height(image);
    out->lossless = kinds[out->kind].lossless;
    out->turned = vips_image_get_orientation(image) > 1;
    out->profile =
        vips_image_get_typeof(image, VIPS_META_ICC_NAME) != 0 || vips_image_guess_interpretation(image) == VIPS_INTERPRETATION_CMYK;
    out->extras = has_extras(fd, out, image);
}

static VipsImage *refuse(ImgOutcomeKind kind, char *why, ImgOutcomeKind *refusal_out, char **why_out)
{
    *refusal_out = kind;
    *why_out = why;
    return NULL;
}

VipsImage *probe_file(int fd, ImgProbe *out, ImgOutcomeKind *refusal_out, char **why_out)
{
    uint8_t head[HEAD_BYTES];
    bool animated;
    struct stat st;
    const ssize_t n = pread(fd, head, sizeof head, 0);
    *out = (ImgProbe){ .kind = probe_kind(head, n > 0 ? (size_t)n : 0, &animated) };
    if (n < 0 || fstat(fd, &st) != 0 || out->kind == KIND_OTHER)
        return refuse(IMG_AS_IS, g_strdup("not a kind of picture that is converted"), refusal_out, why_out);
    out->file_bytes = (uint64_t)st.st_size;
    if (animated || (out->kind == KIND_PNG && is_apng(fd)))
        return refuse(IMG_AS_IS, g_strdup("animation"), refusal_out, why_out);
    if (vips_type_find("VipsOperation", kinds[out->kind].loader) == 0)
        return refuse(IMG_AS_IS, g_strdup_printf("libvips has no support for %s here", kinds[out->kind].name), refusal_out, why_out);
    VipsImage *image = probe_open(fd, out->kind, 1);
    if (image == NULL) {
        *refusal_out = IMG_FAILED;
        return damaged(why_out);
    }
    read_header(fd, image, out);
    char *why = refuse_by_header(out, image, refusal_out);
    if (why == NULL)
        return image;
    g_object_unref(image);
    return refuse(*refusal_out, why, refusal_out, why_out);
}
