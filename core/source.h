/* source.h - a file as it was when it was looked at.
 *
 * Identity = device, inode, size, mtime and ctime in ns (stat(2)). Anything that differs later means "another file": the upload starts
 * over. Plain data. Times are wall clock, ns since 1970.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

typedef struct {
    uint64_t size_bytes;
    int64_t  mtime_ns, ctime_ns;
    uint64_t dev, ino;
} SourceId;

void source_id_of_stat(SourceId *id_out, const struct stat *st);
bool source_id_same(const SourceId *a, const SourceId *b);

/* Opens for reading without following a final symlink change or blocking on a FIFO (O_NOFOLLOW is left out: a link that was queued
 * was resolved by the scan), checks that it is a regular file, fills *id_out. -1 and a fault on failure. */
int  source_open(const char *path, SourceId *id_out, GError **error);
/* FAULT_SOURCE_CHANGED when now is not what was expected (cause says what differs). */
bool source_compare(const SourceId *now, const SourceId *expected, GError **error);
/* fstat again: FAULT_SOURCE_CHANGED when fd is no longer *expected (cause says what differs). */
bool source_check(int fd, const SourceId *expected, GError **error);
