/* paths.h - paths as they are given on the command line and on standard input -> absolute paths for the engine. Bytes throughout.
 *
 * "." and doubled or trailing slashes are taken out; a path with ".." is resolved on the disk, where links decide what ".." is.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define PATHS_MAX_LINE (1024 * 1024)

/* cwd is absolute. Caller frees. */
char *paths_absolute(const char *cwd, const char *path);

/* Takes the whole paths out of pending (bytes read so far) and appends them to paths (char*, owned); at_end: the rest is one, too.
 * Empty ones are passed over. False when one is longer than PATHS_MAX_LINE. */
bool paths_split(GByteArray *pending, char separator, bool at_end, GPtrArray *paths);
