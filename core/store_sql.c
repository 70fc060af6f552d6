#include "store_private.h"

#include <errno.h>
#include <string.h>

/* Terms of partial and expression indexes must stand in a query exactly as in the schema: the planner compares their trees. */
#define JOB_FINISHED_IN "CASE WHEN state IN (4, 8) THEN batch ELSE 0 END"

#define PLACES_AFTER  "state=?1 AND dest=?2 AND (pos,id) > (?3,?4)"
#define PLACES_BEFORE "state=?1 AND dest=?2 AND (pos,id) < (?3,?4)"
#define NAMED         "instr(CAST(lower(name) AS BLOB),?6) > 0" /* lower() folds ASCII only, byte by byte */

/* One unique index cannot span two tables. */
#define NO_OBJECT_HAS(batch, key, job)                                                                                                     \
    "NOT EXISTS(SELECT 1 FROM object WHERE object.batch=" batch " AND object.key=" key " AND object.job<>" job ")"

static const StoreSqlRow rows[N_SQL] = {
    [SQL_BEGIN] = { "BEGIN IMMEDIATE", NULL },
    [SQL_BEGIN_READ] = { "BEGIN", NULL },
    [SQL_COMMIT] = { "COMMIT", NULL },
    [SQL_ROLLBACK] = { "ROLLBACK", NULL },
    [SQL_DATA_VERSION] = { "PRAGMA data_version", NULL },

    [SQL_META_PUT] = { "INSERT INTO meta(k,v) VALUES(?1,?2) ON CONFLICT(k) DO UPDATE SET v=excluded.v", NULL },
    [SQL_META_GET] = { "SELECT v FROM meta WHERE k=?1", "PRIMARY KEY" },
    [SQL_LEARNED_PUT] = { "INSERT INTO learned(endpoint,text) VALUES(?1,?2) ON CONFLICT(endpoint) DO UPDATE SET text=excluded.text", NULL },
    [SQL_LEARNED_GET] = { "SELECT text FROM learned WHERE endpoint=?1", "PRIMARY KEY" },
    [SQL_INBOX_ADD] = { "INSERT INTO inbox(text) VALUES(?1)", NULL },
    [SQL_INBOX_LIST] = { "SELECT id,text FROM inbox WHERE id>?1 ORDER BY id LIMIT ?2", "PRIMARY KEY" },
    [SQL_INBOX_DELETE] = { "DELETE FROM inbox WHERE id<=?1", "PRIMARY KEY" },
    [SQL_EVENT_ADD] = { "INSERT INTO event(id,ns,job,fault,text) VALUES(?1,?2,?3,?4,?5)", NULL },
    [SQL_EVENT_TRIM] = { "DELETE FROM event WHERE id<=?1", "PRIMARY KEY" },
    [SQL_MAX_IDS] = { "SELECT (SELECT max(id) FROM dest),(SELECT max(id) FROM batch),(SELECT max(id) FROM job),(SELECT max(id) FROM "
                      "upload),"
                      "(SELECT max(id) FROM event)",
                      NULL },

    [SQL_DEST_FIND] = { "SELECT id FROM dest WHERE name IS ?1 AND scheme IS ?2 AND endpoint IS ?3 AND bucket IS ?4 AND prefix IS ?5 AND"
                        " region IS ?6 AND profile IS ?7",
                        NULL },
    [SQL_DEST_ADD] = { "INSERT INTO dest(id,name,scheme,endpoint,bucket,prefix,region,profile) VALUES(?1,?2,?3,?4,?5,?6,?7,?8)", NULL },
    [SQL_DEST_LOAD] = { "SELECT " DEST_COLUMNS " FROM dest WHERE id=?1", "PRIMARY KEY" },
    [SQL_DEST_IDS] = { "SELECT id FROM dest ORDER BY id", NULL },

    [SQL_BATCH_ADD] = { "INSERT INTO batch(id,dest,roots,options,scan_state,added_ns) VALUES(?1,?2,?3,?4,?5,?6)", NULL },
    [SQL_BATCH_SCANNED] = { "UPDATE batch SET scan_state=?2 WHERE id=?1", "PRIMARY KEY" },
    [SQL_BATCH_LOAD] = { "SELECT id,dest,roots,options,scan_state,added_ns FROM batch WHERE id=?1", "PRIMARY KEY" },
    [SQL_BATCH_TO] = { "SELECT max(id) FROM batch WHERE dest=?1", NULL },
    [SQL_BATCHES_UNSCANNED] = { "SELECT id FROM batch WHERE scan_state=0 ORDER BY id", NULL },

    [SQL_JOB_ADD] = { "INSERT INTO job(id,batch,dest,pos,state,path,name,key,size,mtime_ns,ctime_ns,dev,ino,added_ns,pattern)"
                      " SELECT ?1,?2,?3,?4,0,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14 WHERE " NO_OBJECT_HAS("?2", "?7",
                                                                                                      "?1") " ON CONFLICT DO NOTHING",
                      NULL },
    [SQL_JOB_PAST] = { "SELECT id FROM job WHERE dest=?1 AND path=?2 AND " JOB_FINISHED_IN "=?3", "job_once" },
    [SQL_JOB_SAME_PATH] = { "SELECT " JOB_COLUMNS " FROM job WHERE dest=?1 AND path=?2 AND " JOB_FINISHED_IN "=0", "job_once" },
    [SQL_JOB_REQUEUE] = { "UPDATE OR IGNORE job SET batch=?2,name=?3,key=?4,pos=?5,state=0,size=?6,mtime_ns=?7,ctime_ns=?8,dev=?9,ino=?10,"
                          "tries=0,not_before_ns=0,fault=NULL,cause=NULL,acked=iif(?11,acked,0),staged=iif(?11,staged,NULL),"
                          "staged_size=iif(?11,staged_size,NULL),recipe=iif(?11,recipe,NULL),note=iif(?11,note,NULL),plain=iif(?11,plain,"
                          "NULL),"
                          "prepared=iif(?11,prepared,0),objects=iif(?11,objects,0),object=iif(?11,object,0),total=iif(?11,total,NULL),"
                          "stored=iif(?11,stored,0),pattern=?12 WHERE id=?1 AND " NO_OBJECT_HAS("?2", "?4", "?1"),
                          "PRIMARY KEY" },
    [SQL_JOB_LOAD] = { "SELECT " JOB_COLUMNS " FROM job WHERE id=?1", "PRIMARY KEY" },
    [SQL_JOBS_DUE] = { "SELECT " JOB_COLUMNS " FROM job WHERE state=0 AND dest=?1 AND (pos,id) > (?2,?3) AND not_before_ns<=?4"
                       " ORDER BY pos,id LIMIT ?5",
                       "job_state" },
    [SQL_JOBS_IN] = { "SELECT " JOB_COLUMNS " FROM job INDEXED BY job_state WHERE state=?1 AND id>?2 ORDER BY id LIMIT ?3", "job_state" },
    [SQL_NEXT_DUE] = { "SELECT not_before_ns FROM job INDEXED BY job_retry WHERE state = 0 AND not_before_ns > 0 AND not_before_ns>?1 "
                       "ORDER BY not_before_ns"
                       " LIMIT 1",
                       "job_retry" },

    [SQL_JOB_QUEUED] = { "UPDATE job SET acked=iif(state=8,stored,acked),state=0,tries=?2,not_before_ns=?3,fault=?4,cause=?5,"
                         "note=iif(state=8 AND note LIKE 'skipped: %',NULL,note) WHERE id=?1",
                         "PRIMARY KEY" },
    [SQL_JOB_SOURCE] = { "UPDATE job SET size=?2,mtime_ns=?3,ctime_ns=?4,dev=?5,ino=?6,tries=0,acked=0,staged=NULL,staged_size=NULL,"
                         "recipe=NULL,note=NULL,key=coalesce(plain,key),plain=NULL,prepared=0,objects=0,object=0,total=NULL,stored=0 WHERE "
                         "id=?1",
                         "PRIMARY KEY" },
    [SQL_JOB_PREPARED] = { "UPDATE job SET staged=?2,staged_size=?3,recipe=?4,note=?5,prepared=1 WHERE id=?1", "PRIMARY KEY" },
    [SQL_JOB_NOTE] = { "UPDATE job SET note=?2 WHERE id=?1", "PRIMARY KEY" },
    [SQL_JOB_REKEY] = { "UPDATE OR IGNORE job SET plain=coalesce(plain,key),key=?2 WHERE id=?1 AND " NO_OBJECT_HAS("job.batch", "?2", "?1"),
                        "PRIMARY KEY" },
    [SQL_JOB_UNPREPARED] = { "UPDATE job SET staged=NULL,staged_size=NULL,recipe=NULL,prepared=0 WHERE id=?1", "PRIMARY KEY" },
    [SQL_KEY_OWNER] = { "SELECT id FROM job WHERE batch=?1 AND key=?2 AND id<>?3 UNION ALL"
                        " SELECT job FROM object WHERE batch=?1 AND key=?2 AND job<>?3",
                        "object_key" },
    [SQL_JOB_AT] = { "UPDATE job SET objects=?2,object=?3,total=?4,stored=?5,acked=?6,key=?7,plain=?8,staged=?9,staged_size=?10,recipe=?11,"
                     "note=?12,prepared=1,stored_key=NULL,url=NULL,etag=NULL,version=NULL,checksum=NULL,verified=0 WHERE id=?1",
                     "PRIMARY KEY" },
    [SQL_OBJECT_ADD] = { "INSERT INTO object(job,n,batch," OBJECT_COLUMNS ") VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15)",
                         NULL },
    [SQL_OBJECT_LIST] = { "SELECT " OBJECT_COLUMNS " FROM object WHERE job=?1 ORDER BY n", "PRIMARY KEY" },
    [SQL_OBJECT_RESULT] = { "UPDATE object SET state=?3,stored_key=?4,url=?5,etag=?6,version=?7,checksum=?8,verified=?9 WHERE job=?1 AND "
                            "n=?2",
                            "PRIMARY KEY" },
    [SQL_OBJECTS_DELETE] = { "DELETE FROM object WHERE job=?1", "PRIMARY KEY" },
    [SQL_JOB_STATE] = { "UPDATE job SET state=?2,not_before_ns=0,acked=iif(?2=8,0,acked) WHERE id=?1", "PRIMARY KEY" },
    [SQL_JOB_RESULT] = { "UPDATE job SET "
                         "state=?12,acked=?2,url=?3,etag=?4,version=?5,checksum=?6,verified=?7,note=?8,started_ns=?9,done_ns=?10,stored_"
                         "key=?11,"
                         "not_before_ns=0,fault=NULL,cause=NULL WHERE id=?1",
                         "PRIMARY KEY" },
    [SQL_JOB_FAILED] = { "UPDATE job SET state=5,tries=?2,not_before_ns=0,fault=?3,cause=?4 WHERE id=?1", "PRIMARY KEY" },
    [SQL_JOB_PAUSE] = { "UPDATE job SET state=6,not_before_ns=0 WHERE id=?1 AND state IN (0, 1, 2)", "PRIMARY KEY" },
    [SQL_JOB_RESUME] = { "UPDATE job SET state=0 WHERE id=?1 AND state=6", "PRIMARY KEY" },
    [SQL_JOB_FORGET] = { "DELETE FROM job WHERE id=?1 AND (state IN (4, 8) OR state=5 AND NOT EXISTS"
                         "(SELECT 1 FROM upload WHERE job=?1 AND state<>4))",
                         "PRIMARY KEY" },
    [SQL_JOB_POS] = { "UPDATE job SET pos=?2 WHERE id=?1", "PRIMARY KEY" },
    [SQL_JOB_PLACE] = { "SELECT id,pos FROM job WHERE id=?1", "PRIMARY KEY" },
    [SQL_PLACES_AFTER] = { "SELECT id,pos FROM job WHERE " PLACES_AFTER " ORDER BY pos,id LIMIT ?5", "COVERING INDEX job_state" },
    [SQL_PLACES_BEFORE] = { "SELECT id,pos FROM job WHERE " PLACES_BEFORE " ORDER BY pos DESC,id DESC LIMIT ?5",
                            "COVERING INDEX job_state" },
    [SQL_NAMED_AFTER] = { "SELECT id,pos FROM job WHERE " PLACES_AFTER " AND " NAMED " ORDER BY pos,id LIMIT ?5", "job_state" },
    [SQL_NAMED_BEFORE] = { "SELECT id,pos FROM job WHERE " PLACES_BEFORE " AND " NAMED " ORDER BY pos DESC,id DESC LIMIT ?5", "job_state" },
    [SQL_IDS_ALL] = { "SELECT id FROM job WHERE id>?1 ORDER BY id LIMIT ?2", "PRIMARY KEY" },
    [SQL_IDS_STATE_MANY] = { "SELECT id FROM job WHERE +state=?1 AND id>?2 ORDER BY id LIMIT ?3", "PRIMARY KEY" },
    [SQL_IDS_STATE_FEW] = { "SELECT id FROM job INDEXED BY job_state WHERE state=?1 AND id>?2 ORDER BY id LIMIT ?3", "job_state" },
    [SQL_IDS_STATE_PROBE] = { "SELECT 1 FROM job WHERE state=?1 LIMIT 1 OFFSET ?2", "job_state" },
    [SQL_JOBS_BACK] = { "UPDATE job SET state=0 WHERE state IN (1, 2)", "job_state" },

    [SQL_UPLOAD_ADD] = { "INSERT INTO "
                         "upload(id,job,dest,key,upload_id,nonce,part_size,total,size,mtime_ns,ctime_ns,dev,ino,state,created_ns,memo)"
                         " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16)",
                         NULL },
    [SQL_UPLOAD_OPENED] = { "UPDATE upload SET upload_id=?2,memo=?3,state=1 WHERE id=?1", "PRIMARY KEY" },
    [SQL_UPLOAD_MEMO] = { "UPDATE upload SET memo=?2 WHERE id=?1", "PRIMARY KEY" },
    [SQL_UPLOAD_STATE] = { "UPDATE upload SET state=?2,upload_id=iif(?2=4 AND instr(upload_id,'://')>0,NULL,upload_id) WHERE id=?1",
                           "PRIMARY KEY" },
    [SQL_UPLOAD_DELETE] = { "DELETE FROM upload WHERE id=?1", "PRIMARY KEY" },
    [SQL_UPLOAD_OF_JOB] = { "SELECT " UPLOAD_COLUMNS " FROM upload WHERE job=?1 AND state < 4", "upload_one" },
    [SQL_UPLOADS_IN] = { "SELECT " UPLOAD_COLUMNS " FROM upload WHERE state=?1 ORDER BY id", NULL },
    [SQL_UPLOAD_KNOWN] = { "SELECT 1 FROM upload WHERE upload_id=?1 LIMIT 1", "upload_uid" },
    [SQL_UPLOAD_UNACK] = { "UPDATE job SET acked=iif(state=8,0,stored) WHERE state<>4 AND id=(SELECT job FROM upload WHERE id=?1 AND "
                           "state<4)",
                           "PRIMARY KEY" },
    [SQL_UPLOAD_OBSOLETE] = { "UPDATE upload SET state=iif(state=3,4,5) WHERE job=?1 AND state < 4", "upload_one" },

    [SQL_PART_ACK] = { "UPDATE job SET acked=acked+?3-coalesce((SELECT size FROM part WHERE upload=?1 AND n=?2),0)"
                       " WHERE id=(SELECT job FROM upload WHERE id=?1)",
                       "PRIMARY KEY" },
    [SQL_PART_ADD] = { "REPLACE INTO part(upload,n,size,etag,digest) VALUES(?1,?2,?3,?4,?5)", NULL },
    [SQL_PART_LIST] = { "SELECT n,size,etag,digest FROM part WHERE upload=?1 ORDER BY n", "PRIMARY KEY" },
    [SQL_PART_UNACK] = { "UPDATE job SET acked=acked-coalesce((SELECT size FROM part WHERE upload=?1 AND n=?2),0)"
                         " WHERE id=(SELECT job FROM upload WHERE id=?1)",
                         "PRIMARY KEY" },
    [SQL_PART_DELETE] = { "DELETE FROM part WHERE upload=?1 AND n=?2", "PRIMARY KEY" },
    [SQL_PARTS_DELETE] = { "DELETE FROM part WHERE upload=?1", "PRIMARY KEY" },
    [SQL_PARTS_COUNT] = { "SELECT count(*) FROM part WHERE upload=?1", "PRIMARY KEY" },

    /* Summed up row by row in C: grouping would sort a million rows first. */
    [SQL_TOTALS] = { "SELECT state,coalesce(total,staged_size,size),acked FROM job NOT INDEXED", NULL },
    [SQL_BATCH_STATES] = { "SELECT state FROM job WHERE batch=?1", "job_key" },
};

const StoreSqlRow *store_sql(StoreSql sql)
{
    return &rows[sql];
}

/* ---- values */

Arg arg_blob(const void *bytes, size_t n)
{
    return bytes == NULL ? (Arg){ ARG_NULL, 0, NULL } : (Arg){ ARG_BLOB, (int64_t)n, bytes };
}

Arg arg_bytes(const char *bytes)
{
    return bytes == NULL ? (Arg){ ARG_NULL, 0, NULL } : arg_blob(bytes, strlen(bytes));
}

Arg arg_text(const char *text)
{
    return text == NULL ? (Arg){ ARG_NULL, 0, NULL } : (Arg){ ARG_TEXT, (int64_t)strlen(text), text };
}

static int bind_one(sqlite3_stmt *stmt, int at, const Arg *arg)
{
    switch (arg->kind) {
    case ARG_INT:
        return sqlite3_bind_int64(stmt, at, arg->number);
    case ARG_TEXT:
        return sqlite3_bind_text64(stmt, at, arg->bytes, (sqlite3_uint64)arg->number, SQLITE_STATIC, SQLITE_UTF8);
    case ARG_BLOB:
        if (arg->number == 0)
            return sqlite3_bind_zeroblob(stmt, at, 0);
        return sqlite3_bind_blob64(stmt, at, arg->bytes, (sqlite3_uint64)arg->number, SQLITE_STATIC);
    case ARG_NULL:
        break;
    }
    return sqlite3_bind_null(stmt, at);
}

/* ---- faults */

static bool no_space(int rc, int number)
{
    return (rc & 0xff) == SQLITE_FULL || ((rc & 0xff) == SQLITE_IOERR && (number == ENOSPC || number == EDQUOT || number == EFBIG));
}

/* errno is what the failed call left: sqlite3_system_errno knows nothing of writes that fail within a commit. */
void conn_fault(Conn *c, int rc, GError **error)
{
    const int number = errno;
    const char *why = c->db != NULL ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc);
    if (no_space(rc, number)) {
        fault_set(error, FAULT_STORE_FULL, "no space left for %s", c->path);
        return;
    }
    switch (rc & 0xff) {
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        fault_set(error, FAULT_STORE_READONLY, "cannot write %s: %s", c->path, why);
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        c->damaged = true;
        fault_set(error, FAULT_STORE_CORRUPT, "%s is damaged: %s", c->path, why);
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        fault_set(error, FAULT_STORE_IO, "another program keeps %s locked", c->path);
        break;
    case SQLITE_IOERR:
    case SQLITE_PROTOCOL:
    case SQLITE_NOLFS:
        fault_set(error, FAULT_STORE_IO, "%s: %s (%s)", c->path, why, g_strerror(number));
        break;
    case SQLITE_NOMEM:
        fault_set(error, FAULT_MEMORY, "no memory for %s", c->path);
        break;
    case SQLITE_CONSTRAINT:
        fault_set(error, rc == SQLITE_CONSTRAINT_UNIQUE ? FAULT_CONFLICT : FAULT_BUG, "%s", why);
        break;
    default:
        fault_set(error, FAULT_BUG, "store: %s (%d)", why, rc);
        break;
    }
}

bool conn_fault_passes(const GError *error)
{
    const FaultCode code = fault_code(error);
    return code != FAULT_BUG && code != FAULT_CONFLICT;
}

/* ---- a connection */

bool conn_open(Conn *c, const char *path, int flags, GError **error)
{
    *c = (Conn){ .path = g_strdup(path) };
    const int rc = sqlite3_open_v2(path, &c->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE, NULL);
    if (rc != SQLITE_OK) {
        conn_fault(c, rc, error);
        conn_close(c);
        return false;
    }
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_busy_timeout(c->db, 5000);
    return true;
}

void conn_close(Conn *c)
{
    for (unsigned i = 0; i < N_SQL; i++)
        sqlite3_finalize(c->stmt[i]);
    sqlite3_close(c->db);
    g_free(c->path);
    *c = (Conn){ 0 };
}

static sqlite3_stmt *conn_stmt(Conn *c, StoreSql sql, GError **error)
{
    if (c->stmt[sql] == NULL) {
        const int rc = sqlite3_prepare_v3(c->db, rows[sql].text, -1, SQLITE_PREPARE_PERSISTENT, &c->stmt[sql], NULL);
        if (rc != SQLITE_OK) {
            conn_fault(c, rc, error);
            return NULL;
        }
    }
    return c->stmt[sql];
}

/* The statement is always left reset: one that is not would keep its snapshot, and the log could never be emptied. */
bool conn_walk(Conn *c, sqlite3_stmt *stmt, const Arg *args, unsigned n, ConnRow each, void *ctx, GError **error)
{
    g_assert((int)n == sqlite3_bind_parameter_count(stmt));
    int rc = SQLITE_OK;
    for (unsigned i = 0; i < n && rc == SQLITE_OK; i++)
        rc = bind_one(stmt, (int)i + 1, &args[i]);
    bool going = rc == SQLITE_OK;
    errno = 0;
    while (going && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
        going = each == NULL || each(stmt, ctx, error);
    const bool failed = rc != SQLITE_DONE && rc != SQLITE_ROW;
    if (failed)
        conn_fault(c, rc, error);
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    return going && !failed;
}

bool conn_each(Conn *c, StoreSql sql, const Arg *args, unsigned n, ConnRow each, void *ctx, GError **error)
{
    sqlite3_stmt *stmt = conn_stmt(c, sql, error);
    return stmt != NULL && conn_walk(c, stmt, args, n, each, ctx, error);
}

bool conn_run(Conn *c, StoreSql sql, const Arg *args, unsigned n, GError **error)
{
    return conn_each(c, sql, args, n, NULL, NULL, error);
}

bool conn_exec(Conn *c, const char *sql, GError **error)
{
    errno = 0;
    const int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        conn_fault(c, rc, error);
    return rc == SQLITE_OK;
}

bool conn_number(Conn *c, const char *sql, int64_t *number_out, GError **error)
{
    sqlite3_stmt *stmt = NULL;
    const int rc = sqlite3_prepare_v2(c->db, sql, -1, &stmt, NULL);
    if (rc != SQLITE_OK) {
        conn_fault(c, rc, error);
        return false;
    }
    *number_out = 0;
    const bool ok = conn_walk(c, stmt, NULL, 0, row_int64, number_out, error);
    sqlite3_finalize(stmt);
    return ok;
}

static bool row_take_text(sqlite3_stmt *row, void *ctx, GError **error)
{
    (void)error;
    char **text = ctx;
    g_free(*text);
    *text = row_text(row, 0);
    return true;
}

bool conn_text(Conn *c, StoreSql sql, const char *key, char **text_out, GError **error)
{
    const Arg args[] = { arg_text(key) };
    g_autofree char *text = NULL;
    if (!conn_each(c, sql, args, 1, row_take_text, &text, error))
        return false;
    *text_out = g_steal_pointer(&text);
    return true;
}
