#include "picture.h"

#include <unistd.h>

#include "icc.h"

static GBytes *field(VipsImage *image, const char *name)
{
    const void *data = NULL;
    size_t size = 0;
    if (vips_image_get_typeof(image, name) == 0 || vips_image_get_blob(image, name, &data, &size) != 0 || size == 0)
        return NULL;
    return g_bytes_new(data, size);
}

void picture_init(Picture *p, int fd, const ImgProbe *probe, VipsImage *opened)
{
    *p = (Picture){ .fd = fd, .probe = *probe, .opened = opened };
    p->exif = field(opened, VIPS_META_EXIF_NAME);
    p->xmp = field(opened, VIPS_META_XMP_NAME);
    p->icc = probe->cmyk ? NULL : field(opened, VIPS_META_ICC_NAME);
}

/* libjpeg shrinks while it decodes, which is nearly free; the resizer keeps at least a factor of 2 of its own from 8 on. */
static int jpeg_shrink(const ImgProbe *probe, unsigned edge_px)
{
    const unsigned factor = MAX(probe->width_px, probe->height_px) / edge_px;
    if (probe->kind != KIND_JPEG || factor < 2)
        return 1;
    return factor >= 16 ? 8 : factor >= 8 ? 4 : 2;
}

bool picture_decode(Picture *p, unsigned edge_px, const ImgWatch *watch)
{
    const int shrink = jpeg_shrink(&p->probe, edge_px);
    p->own = shrink > 1 ? probe_open(p->fd, KIND_JPEG, shrink) : g_object_ref(p->opened);
    if (p->own == NULL || !pixels_shrink(&p->own, edge_px) || !pixels_settle(&p->own, watch))
        return false;
    if (p->probe.cmyk)
        pixels_drop_profile(p->own); /* it was obeyed when CMYK became sRGB */
    return true;
}

/* A profile that cannot be used, or not for such pixels, is as good as none. */
static VipsImage *make_srgb(Picture *p)
{
    p->srgb = g_object_ref(p->own);
    if (p->probe.wide && !pixels_to_srgb(&p->srgb))
        vips_error_clear();
    pixels_drop_profile(p->srgb);
    return p->srgb;
}

VipsImage *picture_pixels(Picture *p, bool keep_profile, GBytes **icc_out)
{
    *icc_out = NULL;
    if (keep_profile && p->icc != NULL && p->probe.wide && vips_image_get_bands(p->own) >= 3 && icc_is_plain_rgb(p->icc)) {
        *icc_out = p->icc;
        return p->own;
    }
    return p->srgb != NULL ? p->srgb : make_srgb(p);
}

GBytes *picture_file(Picture *p)
{
    const uint64_t size = p->probe.file_bytes;
    if (p->file != NULL || size == 0 || size > IMG_CLEAN_BYTES_MAX)
        return p->file;
    uint8_t *data = g_try_malloc(size);
    uint64_t done = 0;
    ssize_t n = 1;
    while (data != NULL && done < size && n > 0) {
        n = pread(p->fd, data + done, size - done, (off_t)done);
        done += n > 0 ? (uint64_t)n : 0;
    }
    if (data != NULL && done == size)
        p->file = g_bytes_new_take(data, size);
    else
        g_free(data);
    return p->file;
}

void picture_clear(Picture *p)
{
    g_clear_object(&p->opened);
    g_clear_object(&p->own);
    g_clear_object(&p->srgb);
    g_clear_pointer(&p->exif, g_bytes_unref);
    g_clear_pointer(&p->xmp, g_bytes_unref);
    g_clear_pointer(&p->icc, g_bytes_unref);
    g_clear_pointer(&p->file, g_bytes_unref);
}
