/* pixels.h - pictures in memory: 8 bit, 1 to 4 bands (grey or RGB, with alpha or without), with no metadata but an ICC profile and what
 * pixels_attach put on them. Functions that take VipsImage ** replace *image by their result; false: see vips_error_buffer, *image is the
 * caller's still. Threads: one picture at a time a process.
 */
#pragma once

#include <stdbool.h>
#include <vips/vips.h>

#include "imgproc.h"

/* Upright, no edge longer than edge_px, never enlarged, in its own colours; a CMYK picture becomes sRGB. Not yet computed. */
bool pixels_shrink(VipsImage **image, unsigned edge_px);
/* From whatever a loader gave to what is said above, computed once. The watch is told 0..100 and its deadline kept. */
bool pixels_settle(VipsImage **image, const ImgWatch *watch);
/* From the colours of the profile it carries to sRGB. */
bool pixels_to_srgb(VipsImage **image);
/* For all who hold the image. */
void pixels_drop_profile(VipsImage *image);
/* The same pixels with what the AVIF saver is to write; each may be NULL. Caller unrefs. */
VipsImage *pixels_attach(VipsImage *image, GBytes *exif, GBytes *icc);
bool pixels_has_alpha(VipsImage *image);
/* Without alpha, on 0xRRGGBB. */
bool pixels_flatten(VipsImage **image, uint32_t background);
/* Grey becomes RGB. */
bool pixels_to_rgb(VipsImage **image);
/* A drawing or a screenshot rather than a photograph: by a grid of samples. */
bool pixels_have_few_colours(VipsImage *image);
/* At most this many different values of all bands together. */
bool pixels_colours_within(VipsImage *image, unsigned most);
/* Tiles from all over the picture, put together; about a sixteenth of a large one, more of a small one. Costs as many bytes a pixel as the
 * whole at any quality, nearly. NULL: no memory. Caller unrefs. */
VipsImage *pixels_sample(VipsImage *image);
unsigned pixels_edge(VipsImage *image);
