/* spool.h - prepared files on disk: a directory bounded in bytes and count, whose files survive a restart.
 *
 * KEY.EXT is a finished file, KEY.meta (a GKeyFile) says what it is, *.tmp is work in progress. KEY = 40 hex digits of SHA-256 over the
 * source's identity, the recipe and RECIPE_VERSION. The meta file is complete before the file gets its name; the rest of a crash is deleted when
 * the spool is opened. Nothing is synced (on a disk that turns, that would cost as much as making the picture); instead the meta file holds the
 * CRC-64/NVME of the file, and a file of an earlier run is read against it before it is held: what a power cut tore is deleted, and made again.
 * A file is held by the jobs that will send it; when the last one releases it, it is deleted. Files nobody holds yet (after a
 * restart) make room for new ones, oldest first.
 * Units: bytes. Threads: engine thread, except spool_temp_*: any. The directory belongs to one process (flock).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "source.h"

typedef struct Spool Spool;

/* Numbers of a made picture. */
typedef struct {
    unsigned format; /* ImgFormat of imgproc/imgproc.h */
    unsigned width_px, height_px, frames;
    unsigned quality; /* on the recipe's scale, 100 = without loss; 0 = the source's own */
    unsigned encodes;
    bool cleaned; /* the source itself, less its metadata */
} SpoolPicture;

/* What is known of a finished file; all strings owned, note may be NULL. */
typedef struct {
    char *staged; /* "0f3a....webp", the name in the directory */
    uint64_t bytes, crc;
    char *content_type;
    char *extension;
    char *recipe;
    char *note;
    SpoolPicture picture;
} SpoolFile;

void spool_file_clear(SpoolFile *f);

/* Creates dir (0700) when missing, deletes unfinished files. Fails with FAULT_SPOOL_FULL (cannot be written) or FAULT_STORE_LOCKED. */
Spool *spool_new(const char *dir, uint64_t bytes_max, unsigned files_max, GError **error);
void spool_free(Spool *s);                                /* files stay */
char *spool_key(const SourceId *src, const char *recipe); /* caller frees */

/* Room for `files` files of at most `bytes` together; false when there is none. A spool where nothing is but `own` files, which the caller holds, has
 * room for any. Each true is followed by one spool_unreserve of the same. */
bool spool_reserve(Spool *s, uint64_t bytes, unsigned files, unsigned own);
void spool_unreserve(Spool *s, uint64_t bytes, unsigned files);
/* Gives the temporary file its name and *f (all but staged filled in) its staged name, and holds it. If
 * the key is there already, that file is held instead. Always consumes the temporary file. FAULT_SPOOL_FULL; FAULT_SOURCE_CHANGED when somebody
 * deleted it: try again, a directory that is gone is made anew. */
bool spool_commit(Spool *s, const char *key, const char *temp, SpoolFile *f, GError **error);
/* Holds and describes a finished file; false when there is none. */
bool spool_find(Spool *s, const char *key, SpoolFile *out);
bool spool_hold(Spool *s, const char *staged);
void spool_release(Spool *s, const char *staged);
/* Holds it no more, but leaves it there to be found again, or to make room. */
void spool_let_go(Spool *s, const char *staged);
/* Deletes files that nobody holds and that are not in keep (char *, may be NULL = none). */
void spool_sweep(Spool *s, const GHashTable *keep);
char *spool_path(const Spool *s, const char *staged); /* caller frees */

/* A new empty file open for reading and writing, close-on-exec; *name_out (caller frees) is for spool_commit or spool_temp_drop. -1: FAULT_SPOOL_FULL
 */
int spool_temp_open(const Spool *s, const char *key, unsigned serial, char **name_out, GError **error);
void spool_temp_drop(const Spool *s, const char *name);
