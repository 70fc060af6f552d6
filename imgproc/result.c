#include "imgproc.h"

static const struct {
    const char *name, *type, *extension;
} formats[N_IMG_FORMATS] = {
    [IMG_FORMAT_NONE] = { "", "application/octet-stream", "bin" },
    [IMG_WEBP] = { "webp", "image/webp", "webp" },
    [IMG_JPEG] = { "jpeg", "image/jpeg", "jpg" },
    [IMG_PNG] = { "png", "image/png", "png" },
    [IMG_AVIF] = { "avif", "image/avif", "avif" },
    [IMG_GIF] = { "gif", "image/gif", "gif" },
    [IMG_HEIC] = { "heic", "image/heic", "heic" },
    [IMG_TIFF] = { "tiff", "image/tiff", "tif" },
};

const char *img_format_name(ImgFormat f)
{
    return formats[f].name;
}

const char *img_format_type(ImgFormat f)
{
    return formats[f].type;
}

const char *img_format_extension(ImgFormat f)
{
    return formats[f].extension;
}

static void append_size(GString *text, const char *format, unsigned width_px, unsigned height_px)
{
    if (format[0] != 0)
        g_string_append_printf(text, "%s%s", text->len > 0 ? " " : "", format);
    if (width_px != 0 && height_px != 0)
        g_string_append_printf(text, " %ux%u", width_px, height_px);
}

char *img_result_text(const ImgResult *r)
{
    if (r->kind != IMG_MADE)
        return g_strdup("");
    g_autoptr(GString) text = g_string_new(NULL);
    if (r->cleaned) {
        append_size(text, formats[r->format].name, r->width_px, r->height_px);
        g_string_append(text, ", metadata removed");
        return g_string_free(g_steal_pointer(&text), FALSE);
    }
    append_size(text, formats[r->source_format].name, r->source_width_px, r->source_height_px);
    g_string_append(text, text->len > 0 ? " ->" : "to");
    append_size(text, formats[r->format].name, r->width_px, r->height_px);
    if (r->quality == 100)
        g_string_append(text, " lossless");
    else if (r->quality > 0)
        g_string_append_printf(text, " q%u", r->quality);
    if (r->frames > 1)
        g_string_append_printf(text, ", %u frames", r->frames);
    g_string_append_printf(text, ", %u encode%s", r->encodes, r->encodes == 1 ? "" : "s");
    return g_string_free(g_steal_pointer(&text), FALSE);
}

void img_result_clear(ImgResult *r)
{
    if (r == NULL)
        return;
    g_clear_pointer(&r->bytes, g_bytes_unref);
    *r = (ImgResult){ 0 };
}
