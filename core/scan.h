/* scan.h - dropped paths -> files, by a thread, in bounded chunks.
 *
 * Folders are walked without following links to folders; links to files are followed. Sockets, FIFOs, devices, broken links and
 * unreadable folders are reported as skipped with their reason, and the walk goes on. Names come sorted within a folder (by 20,000).
 * The scanner waits when SCAN_CHUNKS chunks are not yet freed, so that a queue of any length costs no memory.
 * Threads: engine thread, but for the walk itself. Paths are bytes; roots are absolute.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "source.h"

#define SCAN_CHUNK_FILES 500
#define SCAN_CHUNKS      4
#define SCAN_MAX_DEPTH   1000

typedef struct {
    char    **include, **exclude;   /* globs on the name and on the path below the root (fnmatch); NULL = none */
    uint64_t  max_bytes;            /* 0 = no limit */
} ScanFilter;

typedef struct {
    char    *path;              /* absolute */
    char    *name;              /* below the dropped root, which gives its own last component: "holiday/a.jpg", "a.jpg" */
    SourceId src;
    unsigned root;              /* index of the root it came from */
    GError  *error;             /* set: skipped, and why; src is void then */
    bool     by_rule;           /* skipped: special file or filter, no failure */
} ScanFile;

typedef struct {
    gpointer user;
    GArray  *files;             /* of ScanFile */
    uint64_t folders;           /* entered since the last chunk */
    bool     hidden, links;     /* hidden folders or links were met */
    bool     last;              /* the scan is over */
    struct Scan *scan;
} ScanChunk;

typedef struct Scan Scan;

/* roots and filter are copied. Chunks come in order; the last one has .last set and ends the scan. */
Scan      *scan_start(char **roots, const ScanFilter *filter, gpointer user, void (*wake)(void *ctx), void *ctx);
ScanChunk *scan_take(Scan *s);          /* NULL = none ready; free it when read */
void       scan_chunk_free(ScanChunk *chunk);
void       scan_free(Scan *s);          /* stops early, joins */

/* The same walk in the caller's thread (dry run): false from each stops it. */
typedef bool (*ScanEach)(const ScanFile *file, void *ctx);
void       scan_walk(char **roots, const ScanFilter *filter, ScanEach each, void *ctx, uint64_t *folders_out);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Scan, scan_free)
