/* rendition.h - one recipe's result of a picture whose pixels are there already: which format, how many bytes, or rather the original.
 * The rules are those of imgproc.h. Thread: that of img_render.
 */
#pragma once

#include "picture.h"

/* After picture_decode at the recipe's edge or more. The watch is told 0..100. out has the facts of the source already. */
void rendition_make(Picture *picture, const ImgRecipe *recipe, const ImgWatch *watch, ImgResult *out);
/* The source itself, less what the recipe's metadata drops; why becomes the note. False: that cannot be taken out, and out is as it was. */
bool rendition_pass(Picture *picture, const ImgRecipe *recipe, const char *why, ImgResult *out);
/* IMG_FAILED for this reason; NULL = what libvips says, or that it took too long. */
void rendition_fail(const ImgWatch *watch, const char *why, ImgResult *out);
