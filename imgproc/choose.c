#include "choose.h"

#include "pixels.h"

enum { PALETTE_COLOURS = 256 };

static const double jpeg_bits_a_pixel = 1.5; /* from there on WebP has no advantage, often */
static const double lossless_growth = 1.3;   /* over the lossy file: sharp text is worth that */
static const double lossless_bits_a_pixel = 0.5;

static ImgFormat asked_format(const ImgRecipe *recipe, const ImgProbe *probe)
{
    static const ImgFormat formats[] = { [RECIPE_AUTO] = IMG_FORMAT_NONE, [RECIPE_KEEP] = IMG_FORMAT_NONE, [RECIPE_JPEG] = IMG_JPEG,
                                         [RECIPE_WEBP] = IMG_WEBP,        [RECIPE_AVIF] = IMG_AVIF,        [RECIPE_PNG] = IMG_PNG };
    const ImgFormat source = probe_format(probe->kind);
    if (recipe->format != RECIPE_KEEP)
        return formats[recipe->format];
    return source == IMG_HEIC || source == IMG_TIFF ? IMG_FORMAT_NONE : source;
}

Choice choose_first(const ImgRecipe *recipe, const ImgProbe *probe, VipsImage *pixels)
{
    const ImgFormat asked = asked_format(recipe, probe);
    Choice c = { .first = asked, .quality = recipe->quality };
    if (asked == IMG_FORMAT_NONE) {
        c.free = pixels_edge(pixels) <= encode_edge_max(IMG_WEBP);
        c.first = c.free ? IMG_WEBP : probe->lossless || pixels_has_alpha(pixels) ? IMG_PNG : IMG_JPEG;
    }
    if (!encode_has_quality(c.first))
        c.quality = ENCODE_LOSSLESS;
    return c;
}

unsigned choose_lossless(const Choice *choice, const ImgProbe *probe, VipsImage *pixels, ImgFormat out[2])
{
    if (choice->first != IMG_WEBP || !probe->lossless || !pixels_have_few_colours(pixels))
        return 0;
    unsigned n = 0;
    if (choice->quality < ENCODE_LOSSLESS)
        out[n++] = IMG_WEBP;
    if (choice->free && pixels_colours_within(pixels, PALETTE_COLOURS))
        out[n++] = IMG_PNG;
    return n;
}

static double bits_a_pixel(VipsImage *pixels, uint64_t bytes)
{
    return 8.0 * (double)bytes / (double)VIPS_IMAGE_N_PELS(pixels);
}

bool choose_takes_lossless(VipsImage *pixels, uint64_t lossless_bytes, uint64_t lossy_bytes)
{
    return (double)lossless_bytes <= lossless_growth * (double)lossy_bytes || bits_a_pixel(pixels, lossless_bytes) < lossless_bits_a_pixel;
}

bool choose_jpeg(const Choice *choice, VipsImage *pixels, uint64_t first_bytes)
{
    return choice->free && choice->quality < ENCODE_LOSSLESS && !pixels_has_alpha(pixels) &&
           bits_a_pixel(pixels, first_bytes) > jpeg_bits_a_pixel;
}
