/* key.h - names of objects from names of files.
 *
 * A template is text with words in braces: {relpath} {dir} {name} {stem} {ext} {date} {time} {ts} {uuid} {rand} {batch} {rendition}; "{{" is a brace.
 * A key is what the template gives, without the prefix of the destination. File names are bytes and stay bytes in keys: invalid UTF-8 and
 * control characters go through (the destination escapes them), only NUL cannot occur. Leading slashes, empty segments and the segments
 * "." and ".." are left out, since no store and no URL keeps them apart. Times are UTC. Units: bytes. Threads: any; pure but for
 * {rand} (the operating system's random bytes, not to be guessed) and {uuid} (version 4, unique but no secret).
 * Source: S3 User Guide, "Naming Amazon S3 objects" (1024 bytes).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define KEY_MAX_BYTES 1024      /* prefix included: the store's limit */

typedef struct {
    const char *relpath;        /* path below the dropped root, the root's own name included: "holiday/a/photo.jpg"; borrowed */
    int64_t     now_s;          /* wall clock of queueing: {date} {time} {ts} */
    int64_t     batch;          /* {batch} */
} KeyFacts;

/* FAULT_USAGE names the word that is unknown, or the brace that is open, and what is allowed. */
bool  key_template_check(const char *template, GError **error);

/* Caller frees. The template must have passed the check. {rendition} is left out here, as by key_of_pattern. {ext} is without the dot and takes one before it away when there is none:
 * "{uuid}.{ext}" of "README" is "{uuid}". May be "" when nothing is left. */
char *key_expand(const char *template, const KeyFacts *facts);

/* {rendition} and {ext} are known only when a picture has been made: */

/* Everything of the template but {rendition} and {ext} filled in, braces of names kept as "{{": a template for key_of_pattern. A name without {ext}
 * gives up its own extension for one, and a template without {rendition} gets "@{rendition}" before it: "a/photo@{rendition}.{ext}". Caller frees. */
char *key_pattern(const char *template, const KeyFacts *facts);
/* rendition "" leaves the word out, with one of "@-_." before it, or at the start of a segment one of "@-_" behind it. ext without its dot; "" takes a
 * dot before it away. Caller frees. */
char *key_of_pattern(const char *pattern, const char *rendition, const char *ext);

/* FAULT_KEY when a key (with its prefix) is empty, ends in a slash or is longer than KEY_MAX_BYTES. */
bool  key_check(const char *key, GError **error);

/* "a/photo.jpg", "webp" -> "a/photo.webp"; no extension: it is added; the same kind already (jpeg and jpg, tiff and tif): as it is.
 * Caller frees. */
char *key_with_extension(const char *key, const char *ext);

/* What a picture is called that was made of the file with this key: "a/photo.jpg", "webp" -> "a/photo.jpg.webp", since "a/photo.webp" could be that
 * of another (photo.heic beside photo.jpg); the same kind already: as it is. Caller frees. */
char *key_of_result(const char *key, const char *ext);

/* "a/photo.jpg", 2 -> "a/photo-2.jpg". Shortens the stem (never within a UTF-8 character) to stay within KEY_MAX_BYTES. Caller frees. */
char *key_numbered(const char *key, unsigned n);
