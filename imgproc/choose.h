/* choose.h - which formats a picture is tried in, by what is asked for and what is in it. Pure, but for a look at the pixels.
 *
 * AUTO: WebP. Drawings and screenshots - a source coded without loss that has few colours - are tried without loss, too: WebP, and PNG where 256
 * colours are enough. Photographs so full of detail that WebP has no advantage are tried as JPEG. What is too large for WebP becomes JPEG, or PNG
 * when it has alpha or was coded without loss.
 * KEEP: the source's format where it can be written: JPEG, PNG, WebP, AVIF, GIF. Else as AUTO.
 */
#pragma once

#include "encode.h"
#include "probe.h"

typedef struct {
    ImgFormat first;    /* lossy where it can be */
    unsigned quality;   /* of it */
    bool free;          /* another format may take its place */
} Choice;

/* pixels: as they are to be encoded, but for a background. */
Choice choose_first(const ImgRecipe *recipe, const ImgProbe *probe, VipsImage *pixels);
/* Writes the formats to try besides, without loss, and returns how many: 0..2. */
unsigned choose_lossless(const Choice *choice, const ImgProbe *probe, VipsImage *pixels, ImgFormat out[2]);
/* As small as that, it is taken instead of the lossy one. */
bool choose_takes_lossless(VipsImage *pixels, uint64_t lossless_bytes, uint64_t lossy_bytes);
/* JPEG may be smaller than this WebP. */
bool choose_jpeg(const Choice *choice, VipsImage *pixels, uint64_t first_bytes);
