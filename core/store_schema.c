#include "store_private.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core-resources.h"
#include "crash.h"

/* ---- the file and its settings */

/* Shared memory of the log does not work across machines (sqlite.org/wal.html). */
static bool is_network(const char *dir)
{
    static const unsigned long kinds[] = {
        0x6969 /* NFS */,      0x517b /* SMB */,    0xff534d42 /* CIFS */, 0xfe534d42 /* SMB2 */,
        0x65735546 /* FUSE */, 0x01021997 /* 9P */, 0x5346414f /* AFS */,  0x00c36400 /* Ceph */,
    };
    struct statfs fs;
    if (statfs(dir, &fs) != 0)
        return false;
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (((unsigned long)fs.f_type & 0xffffffff) == kinds[i])
            return true;
    return false;
}

/* Made here and not by SQLite, which would let the umask decide who may read it; log and shared memory inherit the mode. */
static bool file_make(const char *path, GError **error)
{
    const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0)
        close(fd);
    else if (errno == ENOSPC || errno == EDQUOT)
        fault_set(error, FAULT_STORE_FULL, "no space left for %s", path);
    else if (errno != EEXIST)
        fault_set(error, FAULT_STORE_READONLY, "cannot make %s: %s", path, g_strerror(errno));
    return fd >= 0 || errno == EEXIST;
}

static bool row_is_wal(sqlite3_stmt *row, void *ctx, GError **error)
{
    (void)error;
    *(bool *)ctx = g_strcmp0((const char *)sqlite3_column_text(row, 0), "wal") == 0;
    return true;
}

static bool journal_mode(Conn *c, bool want_wal, bool *wal_out, GError **error)
{
    sqlite3_stmt *stmt = NULL;
    const int rc = sqlite3_prepare_v2(c->db, want_wal ? "PRAGMA journal_mode=WAL" : "PRAGMA journal_mode=TRUNCATE", -1, &stmt, NULL);
    if (rc != SQLITE_OK) {
        conn_fault(c, rc, error);
        return false;
    }
    const bool ok = conn_walk(c, stmt, NULL, 0, row_is_wal, wal_out, error);
    sqlite3_finalize(stmt);
    return ok;
}

static bool settings_set(Conn *c, bool want_wal, bool *wal_out, GError **error)
{
    return conn_exec(c, "PRAGMA page_size=4096", error) && journal_mode(c, want_wal, wal_out, error) &&
           conn_exec(c,
                     "PRAGMA foreign_keys=ON; PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-16384;"
                     "PRAGMA wal_autocheckpoint=4000; PRAGMA journal_size_limit=67108864; PRAGMA secure_delete=FAST",
                     error) &&
           conn_exec(c, *wal_out ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=FULL", error);
}

/* ---- versions */

static bool row_violates(sqlite3_stmt *row, void *ctx, GError **error)
{
    (void)row;
    fault_set(error, FAULT_STORE_CORRUPT, "%s: a row refers to another that is missing", (const char *)ctx);
    return false;
}

static bool foreign_keys_hold(Conn *c, GError **error)
{
    sqlite3_stmt *stmt = NULL;
    const int rc = sqlite3_prepare_v2(c->db, "PRAGMA foreign_key_check", -1, &stmt, NULL);
    if (rc != SQLITE_OK) {
        conn_fault(c, rc, error);
        return false;
    }
    const bool ok = conn_walk(c, stmt, NULL, 0, row_violates, c->path, error);
    sqlite3_finalize(stmt);
    return ok;
}

static bool step_apply(Conn *c, const char *sql, int version, GError **error)
{
    g_autofree char *mark = g_strdup_printf("PRAGMA application_id=%d; PRAGMA user_version=%d", STORE_APP_ID, version);
    if (!conn_exec(c, "BEGIN EXCLUSIVE", error))
        return false;
    if (conn_exec(c, sql, error) && conn_exec(c, mark, error) && foreign_keys_hold(c, error)) {
        crash_point("store");
        if (conn_exec(c, "COMMIT", error)) {
            crash_point("store");
            return true;
        }
    }
    if (!sqlite3_get_autocommit(c->db))
        conn_exec(c, "ROLLBACK", NULL);
    return false;
}

static bool backup_make(Conn *c, int version, GError **error)
{
    g_autofree char *copy = g_strdup_printf("%s.bak-v%d", c->path, version);
    if (unlink(copy) != 0 && errno != ENOENT) {
        fault_set(error, FAULT_STORE_READONLY, "cannot replace %s: %s", copy, g_strerror(errno));
        return false;
    }
    char *sql = sqlite3_mprintf("VACUUM INTO %Q", copy);
    const bool ok = conn_exec(c, sql, error);
    sqlite3_free(sql);
    return ok;
}

bool store_schema_migrate(Conn *c, const char *const *steps, int n_steps, GError **error)
{
    int64_t version = 0;
    if (!conn_number(c, "PRAGMA user_version", &version, error))
        return false;
    if (version > n_steps) {
        fault_set(error, FAULT_STORE_NEWER, "%s is of version %d, this hoist knows %d", c->path, (int)version, n_steps);
        return false;
    }
    if (version == n_steps)
        return true;
    if (version > 0 && !backup_make(c, (int)version, error))
        return false;
    /* Steps rebuild tables, which must not fire the actions of foreign keys (sqlite.org/lang_altertable.html). */
    bool ok = conn_exec(c, "PRAGMA foreign_keys=OFF", error);
    for (int64_t i = version; ok && i < n_steps; i++)
        ok = step_apply(c, steps[i], (int)i + 1, error);
    return ok && conn_exec(c, "PRAGMA foreign_keys=ON", error);
}

static GBytes *schema_text(const char *name)
{
    g_autofree char *path = g_strconcat("/hoist/", name, NULL);
    GBytes *sql = g_resource_lookup_data(core_res_get_resource(), path, G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);
    g_assert(sql != NULL);
    return sql;
}

/* A new queue is made as it is now; an older one goes through the steps. Resources end with a NUL behind the data. */
static bool schema_make(Conn *c, GError **error)
{
    int64_t version = 0;
    if (!conn_number(c, "PRAGMA user_version", &version, error))
        return false;
    g_autoptr(GBytes) whole = schema_text("schema.sql"), from_1 = schema_text("schema-1.sql");
    if (version == 0)
        return step_apply(c, g_bytes_get_data(whole, NULL), STORE_SCHEMA_VERSION, error);
    const char *const steps[STORE_SCHEMA_VERSION] = { NULL, g_bytes_get_data(from_1, NULL) };
    return store_schema_migrate(c, steps, STORE_SCHEMA_VERSION, error);
}

/* ---- damage */

static bool is_ours(Conn *c, GError **error)
{
    int64_t app = 0, version = 0, tables = 0;
    if (!conn_number(c, "PRAGMA application_id", &app, error) || !conn_number(c, "PRAGMA user_version", &version, error) ||
        !conn_number(c, "SELECT count(*) FROM sqlite_schema", &tables, error))
        return false;
    if (app == STORE_APP_ID || (app == 0 && version == 0 && tables == 0))
        return true;
    fault_set(error, FAULT_STORE_CORRUPT, "%s is not a queue of hoist", c->path);
    return false;
}

static bool row_ok(sqlite3_stmt *row, void *ctx, GError **error)
{
    const char *text = (const char *)sqlite3_column_text(row, 0);
    if (g_strcmp0(text, "ok") == 0)
        return true;
    fault_set(error, FAULT_STORE_CORRUPT, "%s is damaged: %s", (const char *)ctx, text);
    return false;
}

static bool content_holds(Conn *c, GError **error)
{
    g_autofree char *clean = NULL;
    if (!conn_text(c, SQL_META_GET, "clean_exit", &clean, error))
        return false;
    if (clean == NULL || g_str_equal(clean, "1"))
        return true;
    sqlite3_stmt *stmt = NULL;
    const int rc = sqlite3_prepare_v2(c->db, "PRAGMA quick_check(1)", -1, &stmt, NULL);
    if (rc != SQLITE_OK) {
        conn_fault(c, rc, error);
        return false;
    }
    const bool ok = conn_walk(c, stmt, NULL, 0, row_ok, c->path, error);
    sqlite3_finalize(stmt);
    return ok;
}

static bool open_once(Conn *c, const char *path, bool *wal_out, GError **error)
{
    g_autofree char *dir = g_path_get_dirname(path);
    if (!file_make(path, error) || !conn_open(c, path, SQLITE_OPEN_READWRITE, error))
        return false;
    if (is_ours(c, error) && settings_set(c, !is_network(dir), wal_out, error) && schema_make(c, error) && content_holds(c, error))
        return true;
    conn_close(c);
    return false;
}

/* With its log and shared memory under names that still belong together, so that it can be opened there. */
static bool set_aside(const char *path, char **aside_out, GError **error)
{
    static const char *const suffixes[] = { "", "-wal", "-shm", "-journal" };
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *stamp = g_date_time_format(now, "%Y%m%dT%H%M%SZ");
    g_autofree char *aside = g_strdup_printf("%s.corrupt-%s", path, stamp);
    for (unsigned i = 1; access(aside, F_OK) == 0; i++) {
        g_free(aside);
        aside = g_strdup_printf("%s.corrupt-%s.%u", path, stamp, i);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(suffixes); i++) {
        g_autofree char *from = g_strconcat(path, suffixes[i], NULL), *to = g_strconcat(aside, suffixes[i], NULL);
        if (rename(from, to) != 0 && errno != ENOENT) {
            fault_set(error, FAULT_STORE_READONLY, "cannot rename the damaged %s: %s", from, g_strerror(errno));
            return false;
        }
    }
    *aside_out = g_steal_pointer(&aside);
    return true;
}

bool store_schema_open(Conn *c, const char *dir, bool *wal_out, char **notice_out, GError **error)
{
    g_autofree char *path = g_build_filename(dir, "queue.db", NULL), *aside = NULL;
    g_autoptr(GError) why = NULL;
    if (open_once(c, path, wal_out, &why))
        return true;
    if (fault_code(why) != FAULT_STORE_CORRUPT) {
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    if (!set_aside(path, &aside, error) || !open_once(c, path, wal_out, error))
        return false;
    unsigned jobs = 0, uploads = 0;
    g_autoptr(GError) incomplete = NULL;
    const bool copied = store_salvage(c, aside, &jobs, &uploads, &incomplete);
    *notice_out =
        g_strdup_printf("The queue was damaged (%s). It was set aside as %s; %u files and %u unfinished uploads were rescued%s%s.",
                        why->message, aside, jobs, uploads, copied ? "" : ", then writing failed: ", copied ? "" : incomplete->message);
    return true;
}
