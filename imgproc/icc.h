/* icc.h - what an ICC profile means for the pixels that carry it; by Little CMS, whatever the profile calls itself.
 * Source document: ICC.1:2010; IEC 61966-2-1 (sRGB). Pure; any thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Its colours are sRGB's: pixels need no conversion, and the profile is not needed to show them. */
bool icc_is_srgb(GBytes *icc);
/* RGB by three colorants and curves, as of a camera or a screen: coding with loss and subsampled chroma does no harm in such a space. */
bool icc_is_plain_rgb(GBytes *icc);

/* What PNG tells of its colours without a profile (PNG 3rd edition, 11.3.2: gAMA, cHRM), in hundred-thousandths. */
typedef struct {
    uint32_t gamma;     /* 0 = not told: then nothing is */
    uint32_t white[2];  /* x, y; 0 = not told: then they are those of sRGB */
    uint32_t rgb[3][2]; /* x, y */
} IccPng;

/* The profile that says the same; NULL: that is sRGB, or makes no sense. Caller unrefs. */
GBytes *icc_of_png(const IccPng *png);
