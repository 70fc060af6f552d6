/* mime.h - the content type of a file, from its name and first bytes.
 *
 * By GIO's database (shared-mime-info). What the name calls a picture is told by its bytes, whatever the name says; everything else by
 * its name where that is known, else by name and bytes. Text that holds non-ASCII UTF-8 gets "; charset=utf-8". The answer is a media type of
 * RFC 9110 section 8.3.1, never anything that came out of the file. Threads: any (GIO locks inside).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define MIME_HEAD_BYTES 4096    /* as much of a file as is worth reading first */

/* Is type among patterns (image/ANY written as "image" slash star, "video/mp4")? Without parameters, ASCII case folded. */
bool mime_among(const char *type, const char *const *patterns);
/* name may be a path or NULL, head may be NULL when head_bytes is 0. Never NULL; unknown is "application/octet-stream". Caller frees. */
char *mime_of(const char *name, const void *head, size_t head_bytes);
