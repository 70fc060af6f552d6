/* facts.h - what libvips says of a picture file by another path than the code under test: opened from memory, resized by force, judged from afar. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <vips/vips.h>

#include "imgproc/imgproc.h"

enum { FACTS_EDGE = 64 };

typedef struct {
    uint64_t bytes;
    int width, height; /* upright; 0 = not a picture that may be decoded */
    int pages, bands;
    bool trusted;     /* a loader of the kinds that are converted */
    VipsImage *small; /* FACTS_EDGE square, sRGB, on the background; NULL = does not decode without a fault */
} Facts;

Facts facts_of(const void *data, size_t size, uint32_t background);
void facts_clear(Facts *f);
/* Mean difference of samples, 0..255. */
double facts_difference(const Facts *a, const Facts *b);
/* Words that only metadata has, looked for byte by byte. */
bool facts_has_private_words(const void *data, size_t size);
/* img_render of a file; deadline a minute hence. */
void facts_render(const char *path, const ImgRecipe *recipes, unsigned n, ImgResult *out);
ImgRecipe facts_recipe(const char *text);
/* libvips for tests: its warnings about damaged pictures are nobody's business. */
void facts_init(int *argc, char ***argv);
