/* anim.h - animated GIF and WebP through a recipe: every frame, its time, the loop; as WebP, or as GIF where the recipe keeps the format.
 *
 * One encode; too large: once more with a smaller edge; then the smaller of the two, with a note. Not smaller than the source: the original, cleaned (metadata.h). Delays under 11 ms become 100 ms, as
 * browsers show them. Formats without animation (jpeg, png, avif asked for): the original, with a note.
 * Source document: WebP container specification, GIF89a. Thread: that of img_render.
 */
#pragma once

#include "imgproc.h"
#include "probe.h"

/* probe says that the file is an animation within IMG_FRAMES_MEGAPIXELS_MAX. Fills *out as img_render does. file: the source's bytes, for
 * cleaning; NULL = too large for that. */
void anim_render(int fd, const ImgProbe *probe, GBytes *file, const ImgRecipe *recipe, const ImgWatch *watch, ImgResult *out);
