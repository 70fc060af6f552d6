/* icc.h - what an ICC profile means for the pixels that carry it; by Little CMS, whatever the profile calls itself.
 * Source document: ICC.1:2010; IEC 61966-2-1 (sRGB). Pure; any thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Its colours are sRGB's: pixels need no conversion, and the profile is not needed to show them. */
bool icc_is_srgb(GBytes *icc);
/* RGB by three colorants and curves, as of a camera or a screen: coding with loss and subsampled chroma does no harm in such a space. */
bool icc_is_plain_rgb(GBytes *icc);
