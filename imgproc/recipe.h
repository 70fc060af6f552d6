/* recipe.h - what is to be done to a picture, as text and as a struct; pure, no libvips.
 *
 * Text: a preset ("web") or its long form "auto q=80 max=1920 bytes=1000000": words separated by one blank, each at most once, in any
 * order after the first. "auto" = WebP or JPEG, whichever is smaller at like quality; always upright, sRGB, without metadata.
 * Units: edges in pixels, quality on libwebp's scale (JPEG is set so that it looks the same).
 * Threads: any.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    RECIPE_TEXT_MAX = 96, /* bytes of the canonical text with its NUL */
    RECIPE_VERSION = 1,   /* grows when the same recipe gives another result; part of every spool name */
    RECIPE_EDGE_MAX = 16383,
    RECIPE_BYTES_MAX = 64 << 20,
};

typedef struct {
    unsigned quality;   /* where the search starts, 50..99 */
    unsigned edge_px;   /* longest edge at most, 16..16383 */
    uint64_t max_bytes; /* of the result, 1024..RECIPE_BYTES_MAX */
} ImgRecipe;

/* False when text is neither a preset nor a recipe; *out is untouched then. */
bool recipe_parse(const char *text, ImgRecipe *out);
/* The long form; recipe_parse of it gives *r again. */
void recipe_text(const ImgRecipe *r, char text_out[RECIPE_TEXT_MAX]);
