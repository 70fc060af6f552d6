/* report_images.h - what hoist images found -> lines: for people, or one JSON object each. Pure; text is appended to a GString that the caller
 * writes. Paths as in report.h. Formats: the manual page hoist.1, section PICTURES. One thread.
 */
#pragma once

#include "core/hoist.h"

typedef struct {
    uint64_t pictures, left_alone, failed; /* files */
    uint64_t source_bytes, bytes;          /* of the pictures, and of what is made of them */
    bool interrupted;
} ImagesCounts;

/* Counts it, too. out_dir NULL: nothing was written. */
void report_image(ImagesCounts *counts, const HoistImage *image, const char *out_dir, bool json, GString *text);
void report_images_summary(const ImagesCounts *counts, double seconds, bool json, GString *text);
