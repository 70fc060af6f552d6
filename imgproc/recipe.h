/* recipe.h - what is to be done to a picture, as text and as a struct; pure, no libvips.
 *
 * Text: words separated by one blank. The first may be a preset ("web"), which the others change; without one they change "web". Each word
 * is NAME=VALUE, each name at most once: "small quality=70 format=webp". The long form that recipe_text writes names every word.
 * The result is always upright and never larger in pixels than the source.
 * Units: edges in pixels, sizes in bytes. quality is one scale for all formats: 80 looks alike in each (it is libwebp's number; encode.h has
 * the others', by SSIMULACRA2).
 * Threads: any.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    RECIPE_TEXT_MAX = 256, /* bytes of the canonical text with its NUL */
    RECIPE_VERSION = 2,    /* grows when the same recipe gives another result; part of every spool name */
    RECIPE_EDGE_MAX = 65535,
    RECIPE_BYTES_MAX = 256 << 20,
    RECIPES_MAX = 8, /* renditions of one picture */
};

typedef enum { RECIPE_AUTO, RECIPE_KEEP, RECIPE_JPEG, RECIPE_WEBP, RECIPE_AVIF, RECIPE_PNG } RecipeFormat;
typedef enum { METADATA_NONE, METADATA_SAFE, METADATA_ALL } RecipeMetadata;

typedef struct {
    unsigned max_edge_px;       /* longest edge at most, 16..; 0 = as it is */
    uint64_t max_bytes;         /* of the result, 1024..; 0 = no limit */
    unsigned quality;           /* where the search starts, 30..100; 100 = without loss where the format can */
    unsigned min_quality;       /* where it ends, and fewer pixels are tried; at most quality */
    RecipeFormat format;        /* AUTO: by content; KEEP: the source's where it can be written, else AUTO */
    unsigned effort;            /* 0..6, as WebP counts */
    unsigned min_savings;       /* percent; a result that saves less is not worth it: the original goes up. 0..90 */
    RecipeMetadata metadata;    /* SAFE: date, camera, copyright */
    uint32_t background;        /* 0xRRGGBB behind transparent pixels where the format has no alpha */
    bool keep_profile;          /* false: pixels become sRGB; true: they stay, and the ICC profile with them */
    bool vectors;               /* SVG (without text: there are no fonts) and PDF are rasterised, with a longest edge of max_edge_px */
} ImgRecipe;

/* False: text is no recipe; *out is untouched and *why_out (NULL = not wanted; caller frees) says what is wrong: "max-edge=7: 16..65535". */
bool recipe_parse(const char *text, ImgRecipe *out, char **why_out);
/* Words on top of *r: "max-edge=900 quality=70"; "" changes nothing. False: *r is untouched, *why_out as above. */
bool recipe_change(ImgRecipe *r, const char *text, char **why_out);
/* One word, of a recipe's text or a line of config.ini ("max-edge", "1920"); sizes as people write them are the caller's business: bytes here. */
bool recipe_set(ImgRecipe *r, const char *name, const char *value, char **why_out);
/* The preset of that name; false: none. */
bool recipe_preset(const char *name, ImgRecipe *out);
/* The long form; recipe_parse of it gives *r again. */
void recipe_text(const ImgRecipe *r, char text_out[RECIPE_TEXT_MAX]);
/* Names of the presets and of the words, with what each word allows; end with NULL. */
extern const char *const recipe_presets[];
typedef struct {
    const char *name, *allowed;
} RecipeWord;
const RecipeWord *recipe_words(void);
const RecipeWord *recipe_word(const char *name); /* NULL: none of that name */
