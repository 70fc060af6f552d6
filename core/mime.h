/* mime.h - the content type of a file, from its name and first bytes.
 *
 * Names are told by GIO's database (shared-mime-info), bytes by libmagic, text by GIO. The answer is a media type of RFC 9110 section 8.3.1, never anything
 * that came out of the file. Text that holds non-ASCII UTF-8 gets "; charset=utf-8". Asking by name costs 0.3 us, by bytes 15 to 400 us, so bytes
 * are asked only where they decide something. Threads: any (a lock inside).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define MIME_HEAD_BYTES 4096    /* as much of a file as is worth reading first */

/* The type to send. Bytes decide for what the name calls a picture, video or sound, and for names that tell nothing; the name decides for the rest, and
 * where it says the same more exactly (camera raw is TIFF inside). Something else in the disguise of a picture is "application/octet-stream": no
 * browser runs it. name may be a path or NULL, head may be NULL when head_bytes is 0. Never NULL; unknown is "application/octet-stream". Caller frees. */
char *mime_of(const char *name, const void *head, size_t head_bytes);
/* The type to go by where types are a rule: bytes decide for everything that can be told by bytes, and the name only makes them more exact. An empty file is
 * "application/octet-stream" whatever its name. */
char *mime_by_content(const char *name, const void *head, size_t head_bytes);
/* Is type among patterns (image/ANY written as "image" slash star, "video/mp4")? Without parameters, ASCII case folded. */
bool mime_among(const char *type, const char *const *patterns);
