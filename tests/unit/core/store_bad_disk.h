/* store_bad_disk.h - a disk and a memory that fail when a test says so, between SQLite and the real ones. Install both before SQLite is
 * used. */
#pragma once

#include <glib.h>
#include <sqlite3.h>
#include <stdbool.h>

/* ---- a disk that fails at the n-th write or flush: a VFS in front of SQLite's own */

typedef struct {
    sqlite3_file base;
    sqlite3_file *real;
} BadFile;

static struct {
    sqlite3_vfs *real;
    int countdown; /* operations until the one that fails; 0 = none does */
    int result;
    bool lasting; /* all after it fail too */
    int syncs, writes;
} disk;

static int disk_result(void)
{
    if (disk.countdown == 0 || --disk.countdown > 0)
        return SQLITE_OK;
    disk.countdown = disk.lasting ? 1 : 0;
    return disk.result;
}

static sqlite3_file *real_file(sqlite3_file *f)
{
    return ((BadFile *)(void *)f)->real;
}

#define PASS(f, method, ...) real_file(f)->pMethods->method(real_file(f), __VA_ARGS__)

static int bad_close(sqlite3_file *f)
{
    return real_file(f)->pMethods->xClose(real_file(f));
}

static int bad_read(sqlite3_file *f, void *to, int n, sqlite3_int64 at)
{
    return PASS(f, xRead, to, n, at);
}

static int bad_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 at)
{
    disk.writes++;
    const int rc = disk_result();
    return rc != SQLITE_OK ? (rc == SQLITE_IOERR ? SQLITE_IOERR_WRITE : rc) : PASS(f, xWrite, from, n, at);
}

static int bad_truncate(sqlite3_file *f, sqlite3_int64 n)
{
    return PASS(f, xTruncate, n);
}

static int bad_sync(sqlite3_file *f, int flags)
{
    disk.syncs++;
    const int rc = disk_result();
    (void)f, (void)flags; /* the real flush only takes time */
    return rc != SQLITE_OK ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int bad_size(sqlite3_file *f, sqlite3_int64 *n)
{
    return PASS(f, xFileSize, n);
}

static int bad_lock(sqlite3_file *f, int level)
{
    return PASS(f, xLock, level);
}

static int bad_unlock(sqlite3_file *f, int level)
{
    return PASS(f, xUnlock, level);
}

static int bad_check(sqlite3_file *f, int *out)
{
    return PASS(f, xCheckReservedLock, out);
}

static int bad_control(sqlite3_file *f, int op, void *arg)
{
    return PASS(f, xFileControl, op, arg);
}

static int bad_sector(sqlite3_file *f)
{
    return real_file(f)->pMethods->xSectorSize(real_file(f));
}

static int bad_traits(sqlite3_file *f)
{
    return real_file(f)->pMethods->xDeviceCharacteristics(real_file(f));
}

static int bad_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
    return PASS(f, xShmMap, page, size, extend, out);
}

static int bad_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
    return PASS(f, xShmLock, at, n, flags);
}

static void bad_shm_barrier(sqlite3_file *f)
{
    real_file(f)->pMethods->xShmBarrier(real_file(f));
}

static int bad_shm_unmap(sqlite3_file *f, int drop)
{
    return PASS(f, xShmUnmap, drop);
}

static const sqlite3_io_methods bad_methods = {
    2,           bad_close,  bad_read,   bad_write,   bad_truncate, bad_sync,        bad_size,      bad_lock, bad_unlock, bad_check,
    bad_control, bad_sector, bad_traits, bad_shm_map, bad_shm_lock, bad_shm_barrier, bad_shm_unmap, NULL,     NULL,
};

static int bad_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *flags_out)
{
    (void)vfs;
    BadFile *bad = (BadFile *)(void *)f;
    bad->real = (sqlite3_file *)(void *)(bad + 1);
    const int rc = disk.real->xOpen(disk.real, name, bad->real, flags, flags_out);
    bad->base.pMethods = bad->real->pMethods != NULL ? &bad_methods : NULL;
    return rc;
}

static void disk_install(void)
{
    static sqlite3_vfs vfs;
    disk.real = sqlite3_vfs_find(NULL);
    vfs = *disk.real;
    vfs.zName = "bad-disk";
    vfs.szOsFile += (int)sizeof(BadFile);
    vfs.xOpen = bad_open;
    sqlite3_vfs_register(&vfs, 1);
}

static void disk_breaks_at(int n, int result, bool lasting)
{
    disk.countdown = n;
    disk.result = result;
    disk.lasting = lasting;
}

/* ---- memory that fails at the n-th request of SQLite's */

static struct {
    sqlite3_mem_methods real;
    int countdown;
} memory;

static bool memory_fails(void)
{
    return memory.countdown > 0 && --memory.countdown == 0;
}

static void *bad_malloc(int n)
{
    return memory_fails() ? NULL : memory.real.xMalloc(n);
}

static void *bad_realloc(void *old, int n)
{
    return memory_fails() ? NULL : memory.real.xRealloc(old, n);
}

static void memory_install(void)
{
    g_assert_cmpint(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory.real), ==, SQLITE_OK);
    sqlite3_mem_methods bad = memory.real;
    bad.xMalloc = bad_malloc;
    bad.xRealloc = bad_realloc;
    g_assert_cmpint(sqlite3_config(SQLITE_CONFIG_MALLOC, &bad), ==, SQLITE_OK);
}
