#include "probe.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "icc.h"
#include "imgproc.h"
#include "tiff_head.h"

enum {
    PNG_CHUNKS_MAX = 4096, /* before the pixels; more is no picture */
    MEGA = 1000000,
    SVG_BYTES_MAX = 16 << 20, /* larger ones are not looked through, and not converted */
};

typedef struct {
    const char *loader; /* of libvips; a source goes in */
    ImgFormat format;
    bool web;
    bool lossless;
    bool frames; /* several pictures in it are an animation */
    const char *name;
} KindInfo;

static const KindInfo kinds[N_KINDS] = {
    [KIND_OTHER] = { NULL, IMG_FORMAT_NONE, false, false, false, "other" },
    [KIND_JPEG] = { "jpegload_source", IMG_JPEG, true, false, false, "JPEG" },
    [KIND_PNG] = { "pngload_source", IMG_PNG, true, true, false, "PNG" },
    [KIND_GIF] = { "gifload_source", IMG_GIF, true, true, true, "GIF" },
    [KIND_WEBP] = { "webpload_source", IMG_WEBP, true, false, true, "WebP" },
    [KIND_TIFF] = { "tiffload_source", IMG_TIFF, false, true, false, "TIFF" },
    [KIND_AVIF] = { "heifload_source", IMG_AVIF, true, false, false, "AVIF" },
    [KIND_HEIC] = { "heifload_source", IMG_HEIC, false, false, false, "HEIC" },
    [KIND_SVG] = { "svgload_source", IMG_FORMAT_NONE, false, true, false, "SVG" },
    [KIND_PDF] = { "pdfload_source", IMG_FORMAT_NONE, false, true, false, "PDF" },
};

static const char *const vector_loaders[] = { "VipsForeignLoadSvg", "VipsForeignLoadPdf" };

/* ------------------------------------------------------------------ the first bytes */

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

/* XML may come with any prolog before its root. */
static bool is_svg(const uint8_t *head, size_t size)
{
    size_t at = size >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (at < size && g_ascii_isspace((char)head[at]))
        at++;
    return at < size && head[at] == '<' && memmem(head, MIN(size, PROBE_HEAD_BYTES), "<svg", 4) != NULL;
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
    if (memcmp(head, "%PDF-", 5) == 0)
        return KIND_PDF;
    return is_svg(head, size) ? KIND_SVG : KIND_OTHER;
}

/* Pictures that are known and left alone; for the reason that is told. */
static const char *name_of_other(const uint8_t *head, size_t size)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *name;
    } others[] = {
        { "BM", 2, "BMP" },
        { "\0\0\1\0", 4, "ICO" },
        { "\xff\x0a", 2, "JPEG XL" },
        { "\0\0\0\x0cJXL ", 8, "JPEG XL" },
        { "\0\0\0\x0cjP  ", 8, "JPEG 2000" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        if (size >= others[i].n && memcmp(head, others[i].bytes, others[i].n) == 0)
            return others[i].name;
    return NULL;
}

ImgFormat probe_format(ImgKind kind)
{
    return kinds[kind].format;
}

bool probe_kind_is_web(ImgKind kind)
{
    return kinds[kind].web;
}

static uint32_t be32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* What of a PNG libvips does not tell: only the first frame of an APNG shows, and colours are taken for sRGB where there is no profile. */
typedef struct {
    bool animated, profiled; /* by iCCP, sRGB or cICP, which outdo the colours below */
    bool coloured;
    IccPng colours;
} PngHead;

static void read_colours(int fd, off_t at, const char *type, size_t size, IccPng *out)
{
    uint8_t data[32];
    if (memcmp(type, "gAMA", 4) == 0 && size == 4 && pread(fd, data, 4, at) == 4)
        out->gamma = be32(data);
    if (memcmp(type, "cHRM", 4) != 0 || size != sizeof data || pread(fd, data, sizeof data, at) != (ssize_t)sizeof data)
        return;
    for (unsigned i = 0; i < 2; i++) {
        out->white[i] = be32(data + 4 * i);
        for (unsigned k = 0; k < 3; k++)
            out->rgb[k][i] = be32(data + 8 + 8 * k + 4 * i);
    }
}

static void read_png(int fd, PngHead *out)
{
    uint8_t head[8], colour_type = 0;
    off_t at = 8;
    *out = (PngHead){ 0 };
    out->coloured = pread(fd, &colour_type, 1, 25) == 1 && (colour_type & 2) != 0;
    for (unsigned i = 0; i < PNG_CHUNKS_MAX && pread(fd, head, sizeof head, at) == (ssize_t)sizeof head; i++) {
        const char *type = (const char *)head + 4;
        const uint32_t size = be32(head);
        if (memcmp(type, "IDAT", 4) == 0)
            return;
        out->animated = out->animated || memcmp(type, "acTL", 4) == 0;
        out->profiled = out->profiled || memcmp(type, "iCCP", 4) == 0 || memcmp(type, "sRGB", 4) == 0 || memcmp(type, "cICP", 4) == 0;
        read_colours(fd, at + 8, type, size, &out->colours);
        at += 12 + (off_t)size;
    }
}

static bool is_apng(int fd)
{
    PngHead png;
    read_png(fd, &png);
    return png.animated;
}

/* ------------------------------------------------------------------ opening */

static VipsSource *source_of(int fd)
{
    return lseek(fd, 0, SEEK_SET) == 0 ? vips_source_new_from_descriptor(fd) : NULL;
}

/* Little is left to do when the profile is there. Takes image. */
static VipsImage *with_colours_of_png(int fd, VipsImage *image)
{
    PngHead png;
    read_png(fd, &png);
    g_autoptr(GBytes) icc = png.coloured && !png.profiled ? icc_of_png(&png.colours) : NULL;
    VipsImage *copy = NULL;
    if (icc == NULL || vips_copy(image, &copy, NULL) != 0) {
        vips_error_clear();
        return image;
    }
    g_object_unref(image);
    vips_image_set_blob_copy(copy, VIPS_META_ICC_NAME, g_bytes_get_data(icc, NULL), g_bytes_get_size(icc));
    return copy;
}

VipsImage *probe_open(int fd, ImgKind kind, int shrink)
{
    VipsImage *image = NULL;
    VipsSource *source = source_of(fd);
    if (source == NULL)
        return NULL;
    if (shrink > 1)
        vips_jpegload_source(source, &image, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on", VIPS_FAIL_ON_TRUNCATED, "shrink", shrink, NULL);
    else
        vips_call(kinds[kind].loader, source, &image, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on", VIPS_FAIL_ON_TRUNCATED, NULL);
    g_object_unref(source);
    return image != NULL && kind == KIND_PNG ? with_colours_of_png(fd, image) : image;
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

static VipsImage *refuse(ImgOutcomeKind kind, char *why, ImgOutcomeKind *refusal_out, char **why_out)
{
    *refusal_out = kind;
    *why_out = why;
    return NULL;
}

static VipsImage *refuse_damaged(ImgOutcomeKind *refusal_out, char **why_out)
{
    g_autofree char *error = probe_take_error();
    return refuse(IMG_FAILED, g_strdup_printf("the picture is damaged (%s)", error), refusal_out, why_out);
}

static bool has_wide_profile(VipsImage *image)
{
    const void *data;
    size_t size;
    if (vips_image_get_typeof(image, VIPS_META_ICC_NAME) == 0 || vips_image_get_blob(image, VIPS_META_ICC_NAME, &data, &size) != 0)
        return false;
    g_autoptr(GBytes) icc = g_bytes_new_static(data, size);
    return !icc_is_srgb(icc);
}

static void read_header(VipsImage *image, ImgProbe *out)
{
    int pages = 1;
    if (vips_image_get_typeof(image, VIPS_META_N_PAGES) != 0 && vips_image_get_int(image, VIPS_META_N_PAGES, &pages) != 0)
        vips_error_clear();
    out->width_px = (unsigned)vips_image_get_width(image);
    out->height_px = (unsigned)vips_image_get_height(image);
    out->pages = (unsigned)MAX(pages, 1);
    out->animated = kinds[out->kind].frames && out->pages > 1;
    out->lossless = kinds[out->kind].lossless;
    out->turned = vips_image_get_orientation(image) > 1;
    out->swapped = vips_image_get_orientation_swap(image);
    out->cmyk = vips_image_guess_interpretation(image) == VIPS_INTERPRETATION_CMYK;
    out->wide = !out->cmyk && has_wide_profile(image);
}

static bool within_pixels(const ImgProbe *probe)
{
    return (double)probe->width_px * probe->height_px <= (double)IMG_MEGAPIXELS_MAX * MEGA;
}

static VipsImage *check_pixels(VipsImage *image, const ImgProbe *probe, ImgOutcomeKind *refusal_out, char **why_out)
{
    if (within_pixels(probe))
        return image;
    g_object_unref(image);
    const double pixels = (double)probe->width_px * probe->height_px;
    char *why = g_strdup_printf("%.0f megapixels, more than %d", pixels / MEGA, IMG_MEGAPIXELS_MAX);
    return refuse(IMG_FAILED, why, refusal_out, why_out);
}

/* What needs no look into the file but at its first bytes. True: go on. */
static bool read_kind(int fd, ImgProbe *out, char **why_out)
{
    uint8_t head[PROBE_HEAD_BYTES];
    bool animated;
    struct stat st;
    const ssize_t n = pread(fd, head, sizeof head, 0);
    const size_t size = n > 0 ? (size_t)n : 0;
    *out = (ImgProbe){ .kind = probe_kind(head, size, &animated), .pages = 1 };
    out->file_bytes = fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
    const char *other = name_of_other(head, size);
    if (out->kind == KIND_OTHER)
        *why_out = other != NULL ? g_strdup_printf("%s is not converted", other) : g_strdup("not a kind of picture that is converted");
    else if (animated || (out->kind == KIND_PNG && is_apng(fd)))
        *why_out = g_strdup_printf("animated %s is not converted", kinds[out->kind].name);
    else if (out->kind == KIND_TIFF && tiff_head_is_raw(fd)) {
        out->kind = KIND_OTHER; /* nor cleaned: its maker notes are needed to develop it */
        *why_out = g_strdup("a camera's raw picture is not converted");
    } else if (vips_type_find("VipsOperation", kinds[out->kind].loader) == 0)
        *why_out = g_strdup_printf("libvips has no support for %s here", kinds[out->kind].name);
    else
        return true;
    return false;
}

void probe_kind_of(int fd, ImgProbe *out)
{
    g_autofree char *why = NULL;
    (void)read_kind(fd, out, &why);
}

VipsImage *probe_file(int fd, ImgProbe *out, ImgOutcomeKind *refusal_out, char **why_out)
{
    if (!read_kind(fd, out, why_out))
        return refuse(IMG_AS_IS, *why_out, refusal_out, why_out);
    if (out->kind == KIND_SVG || out->kind == KIND_PDF)
        return refuse(IMG_AS_IS, g_strdup_printf("%s is not converted unless asked", kinds[out->kind].name), refusal_out, why_out);
    VipsImage *image = probe_open(fd, out->kind, 1);
    if (image == NULL)
        return refuse_damaged(refusal_out, why_out);
    read_header(image, out);
    return check_pixels(image, out, refusal_out, why_out);
}

/* ------------------------------------------------------------------ vectors */

static void block_vectors(bool block)
{
    for (size_t i = 0; i < G_N_ELEMENTS(vector_loaders); i++)
        vips_operation_block_set(vector_loaders[i], block);
}

static VipsImage *open_scaled(int fd, ImgKind kind, double scale)
{
    VipsImage *image = NULL;
    VipsSource *source = source_of(fd);
    if (source == NULL)
        return NULL;
    vips_call(kinds[kind].loader, source, &image, "scale", scale, NULL);
    g_object_unref(source);
    return image;
}

/* There are no fonts where pictures are read (sandbox.h): letters would be missing, and nobody told. */
static bool svg_has_text(int fd, uint64_t file_bytes)
{
    const size_t size = (size_t)MIN(file_bytes, SVG_BYTES_MAX);
    g_autofree uint8_t *data = g_malloc(size);
    if (file_bytes > SVG_BYTES_MAX || pread(fd, data, size, 0) != (ssize_t)size)
        return true;
    return memmem(data, size, "<text", 5) != NULL || memmem(data, size, ":text", 5) != NULL;
}

VipsImage *probe_vector(int fd, unsigned edge_px, ImgProbe *out, ImgOutcomeKind *refusal_out, char **why_out)
{
    if (!read_kind(fd, out, why_out))
        return refuse(IMG_AS_IS, *why_out, refusal_out, why_out);
    if (out->kind == KIND_SVG && svg_has_text(fd, out->file_bytes))
        return refuse(IMG_AS_IS, g_strdup("SVG with text is not converted: no fonts"), refusal_out, why_out);
    block_vectors(false);
    VipsImage *image = open_scaled(fd, out->kind, 1);
    if (image != NULL && edge_px != 0) {
        const int longest = MAX(vips_image_get_width(image), vips_image_get_height(image));
        g_object_unref(image);
        image = open_scaled(fd, out->kind, (double)edge_px / longest);
    }
    if (image == NULL)
        return refuse_damaged(refusal_out, why_out);
    read_header(image, out);
    return check_pixels(image, out, refusal_out, why_out);
}

void probe_vector_end(void)
{
    block_vectors(true);
}
