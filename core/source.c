#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "fault.h"

/* File systems keep years that int64_t has no nanoseconds for (2262 and later): they wrap, and still tell one time from another. */
static int64_t ns_of(const struct timespec *ts)
{
    return (int64_t)((uint64_t)ts->tv_sec * 1000000000 + (uint64_t)ts->tv_nsec);
}

void source_id_of_stat(SourceId *id_out, const struct stat *st)
{
    *id_out = (SourceId){ .size_bytes = (uint64_t)st->st_size,
                          .mtime_ns = ns_of(&st->st_mtim),
                          .ctime_ns = ns_of(&st->st_ctim),
                          .dev = st->st_dev,
                          .ino = st->st_ino };
}

bool source_id_same(const SourceId *a, const SourceId *b)
{
    return a->size_bytes == b->size_bytes && a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns && a->dev == b->dev &&
           a->ino == b->ino;
}

int source_open(const char *path, SourceId *id_out, GError **error)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        fault_set_source_errno(error, errno, "cannot open");
        return -1;
    }
    struct stat st;
    if (fstat(fd, &st) != 0) {
        fault_set_source_errno(error, errno, "cannot stat");
        close(fd);
        return -1;
    }
    if (!S_ISREG(st.st_mode)) {
        fault_set(error, FAULT_SOURCE_SPECIAL, "not a regular file");
        close(fd);
        return -1;
    }
    source_id_of_stat(id_out, &st);
    return fd;
}

static const char *what_differs(const SourceId *now, const SourceId *then)
{
    if (now->dev != then->dev || now->ino != then->ino)
        return "another file stands in its place";
    if (now->size_bytes != then->size_bytes)
        return now->size_bytes > then->size_bytes ? "it has grown" : "it has shrunk";
    if (now->mtime_ns != then->mtime_ns)
        return "it was written to";
    return "its inode was changed";
}

bool source_compare(const SourceId *now, const SourceId *expected, GError **error)
{
    if (source_id_same(now, expected))
        return true;
    fault_set(error, FAULT_SOURCE_CHANGED, "the file changed since it was queued: %s", what_differs(now, expected));
    return false;
}

bool source_check(int fd, const SourceId *expected, GError **error)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        fault_set_source_errno(error, errno, "cannot stat");
        return false;
    }
    SourceId now;
    source_id_of_stat(&now, &st);
    return source_compare(&now, expected, error);
}
