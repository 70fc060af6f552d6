/* extras.h - does a file carry more than its picture? EXIF, XMP, IPTC, comments, previews, other pictures, bytes after the end.
 *
 * By allow-list: whatever is not known to be needed for showing the picture counts as an extra, and so does anything malformed.
 * Documents: ITU-T T.81 annex B (JPEG); PNG (W3C, 3rd edition) section 5; WebP Container Specification; GIF89a section 23 to 26.
 * Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool extras_in_jpeg(const uint8_t *data, size_t size);
bool extras_in_png(const uint8_t *data, size_t size);
bool extras_in_webp(const uint8_t *data, size_t size);
bool extras_in_gif(const uint8_t *data, size_t size);
