#include <vips/vips.h>

#include "imgproc.h"

static const struct {
    const char *load, *save; /* NULL: never of a result of ours */
} operations[N_IMG_FORMATS] = {
    [IMG_WEBP] = { "webpload_source", "webpsave_buffer" },
    [IMG_JPEG] = { "jpegload_source", "jpegsave_buffer" },
    [IMG_PNG] = { "pngload_source", "pngsave_buffer" },
    [IMG_AVIF] = { "heifload_source", "heifsave_buffer" },
    [IMG_GIF] = { "gifload_source", "gifsave_buffer" },
    [IMG_HEIC] = { "heifload_source", NULL },
    [IMG_TIFF] = { "tiffload_source", NULL },
};

static bool is_there(const char *operation)
{
    return operation != NULL && vips_type_find("VipsOperation", operation) != 0;
}

const char *img_library_version(void)
{
    return vips_version_string();
}

unsigned img_readable(void)
{
    unsigned bits = 0;
    for (unsigned f = 0; f < N_IMG_FORMATS; f++)
        bits |= is_there(operations[f].load) ? 1u << f : 0;
    return bits;
}

unsigned img_writable(void)
{
    unsigned bits = 0;
    for (unsigned f = 0; f < N_IMG_FORMATS; f++)
        bits |= is_there(operations[f].save) ? 1u << f : 0;
    return bits;
}
