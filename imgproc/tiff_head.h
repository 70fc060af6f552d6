/* tiff_head.h - is a TIFF a camera's raw file? These are TIFFs whose first picture is a small preview; the rest only their makers' programs read.
 * Source documents: TIFF 6.0; Adobe DNG 1.6; TIFF/EP (ISO 12234-2). Any thread.
 */
#pragma once

#include <stdbool.h>

/* By the first directory: DNG's version, a first picture that is of reduced size, a maker together with sub-pictures, or Canon's mark. */
bool tiff_head_is_raw(int fd);
