/* store_private.h - what the files of the store share: a connection with its statements, and the writes of one turn.
 *
 * Every statement is a row of the table in store_sql.c and is prepared once for each connection. Values travel as Arg arrays, which borrow
 * what they point to. A write of a turn is kept as bytes (statement and values) until its commit succeeded; when the disk is full or fails,
 * the transaction is rolled back, later writes are only kept, and the next store_commit runs them all again in order.
 * Threads: a Conn belongs to one thread. Times: wall clock ns, *_us monotonic.
 */
#pragma once

#include <sqlite3.h>

#include "fault.h"
#include "store.h"

#define STORE_SCHEMA_VERSION 2
#define STORE_APP_ID         0x686f6973 /* "hois" */
#define STORE_EVENTS_MAX     50000
#define STORE_TURN_MAX       (64u << 20) /* bytes of one turn's writes kept for a replay */
#define STORE_CAUSE_MAX      2000        /* bytes of a cause or log line that are kept */

typedef enum {
    SQL_BEGIN,
    SQL_BEGIN_READ,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_DATA_VERSION,
    SQL_META_PUT,
    SQL_META_GET,
    SQL_LEARNED_PUT,
    SQL_LEARNED_GET,
    SQL_INBOX_ADD,
    SQL_INBOX_LIST,
    SQL_INBOX_DELETE,
    SQL_EVENT_ADD,
    SQL_EVENT_TRIM,
    SQL_MAX_IDS,
    SQL_DEST_FIND,
    SQL_DEST_ADD,
    SQL_DEST_LOAD,
    SQL_DEST_IDS,
    SQL_BATCH_ADD,
    SQL_BATCH_SCANNED,
    SQL_BATCH_LOAD,
    SQL_BATCH_TO,
    SQL_BATCHES_UNSCANNED,
    SQL_JOB_ADD,
    SQL_JOB_SAME_PATH,
    SQL_JOB_PAST,
    SQL_JOB_REQUEUE,
    SQL_JOB_LOAD,
    SQL_JOBS_DUE,
    SQL_JOBS_IN,
    SQL_NEXT_DUE,
    SQL_JOB_QUEUED,
    SQL_JOB_SOURCE,
    SQL_JOB_PREPARED,
    SQL_JOB_NOTE,
    SQL_JOB_REKEY,
    SQL_JOB_UNPREPARED,
    SQL_KEY_OWNER,
    SQL_JOB_AT,
    SQL_OBJECT_ADD,
    SQL_OBJECT_LIST,
    SQL_OBJECT_RESULT,
    SQL_OBJECTS_DELETE,
    SQL_JOB_STATE,
    SQL_JOB_RESULT,
    SQL_JOB_FAILED,
    SQL_JOB_PAUSE,
    SQL_JOB_RESUME,
    SQL_JOB_FORGET,
    SQL_JOB_POS,
    SQL_JOB_PLACE,
    SQL_PLACES_AFTER,
    SQL_PLACES_BEFORE,
    SQL_NAMED_AFTER,
    SQL_NAMED_BEFORE,
    SQL_IDS_ALL,
    SQL_IDS_STATE_MANY,
    SQL_IDS_STATE_PROBE,
    SQL_IDS_STATE_FEW,
    SQL_JOBS_BACK,
    SQL_UPLOAD_ADD,
    SQL_UPLOAD_OPENED,
    SQL_UPLOAD_MEMO,
    SQL_UPLOAD_STATE,
    SQL_UPLOAD_DELETE,
    SQL_UPLOAD_OF_JOB,
    SQL_UPLOADS_IN,
    SQL_UPLOAD_KNOWN,
    SQL_UPLOAD_UNACK,
    SQL_UPLOAD_OBSOLETE,
    SQL_PART_ACK,
    SQL_PART_ADD,
    SQL_PART_LIST,
    SQL_PART_UNACK,
    SQL_PART_DELETE,
    SQL_PARTS_DELETE,
    SQL_PARTS_COUNT,
    SQL_TOTALS,
    SQL_BATCH_STATES,
    N_SQL
} StoreSql;

typedef struct {
    const char *text;
    const char *uses; /* what EXPLAIN QUERY PLAN must name; NULL = not a hot statement */
} StoreSqlRow;
const StoreSqlRow *store_sql(StoreSql sql);

/* ---- values */

typedef struct {
    enum { ARG_NULL, ARG_INT, ARG_TEXT, ARG_BLOB } kind;
    int64_t number;    /* INT: the value; TEXT, BLOB: bytes */
    const void *bytes; /* borrowed */
} Arg;

static inline Arg arg_int(int64_t number)
{
    return (Arg){ ARG_INT, number, NULL };
}
Arg arg_text(const char *text);   /* NULL gives NULL */
Arg arg_bytes(const char *bytes); /* a path, name or key; NULL gives NULL */
Arg arg_blob(const void *bytes, size_t n);

/* ---- a connection */

typedef struct {
    sqlite3 *db;
    char *path; /* of queue.db, for messages */
    sqlite3_stmt *stmt[N_SQL];
    bool damaged; /* SQLite met corruption: the next open must check everything */
} Conn;

/* Called for each row; false ends the walk with *error set. */
typedef bool (*ConnRow)(sqlite3_stmt *row, void *ctx, GError **error);

/* A place in the order of the queue. */
typedef StorePlace Place;
int place_compare(const Place *a, const Place *b);
bool row_place(sqlite3_stmt *row, void *ctx, GError **error); /* ConnRow: id, pos into a Place */

bool conn_open(Conn *c, const char *path, int flags, GError **error);
void conn_close(Conn *c);
bool conn_each(Conn *c, StoreSql sql, const Arg *args, unsigned n, ConnRow each, void *ctx, GError **error);
bool conn_walk(Conn *c, sqlite3_stmt *stmt, const Arg *args, unsigned n, ConnRow each, void *ctx, GError **error);
bool conn_run(Conn *c, StoreSql sql, const Arg *args, unsigned n, GError **error);
bool conn_exec(Conn *c, const char *sql, GError **error);
bool conn_number(Conn *c, const char *sql, int64_t *number_out, GError **error); /* first column of the first row; 0 without a row */
bool conn_text(Conn *c, StoreSql sql, const char *key, char **text_out, GError **error);
void conn_fault(Conn *c, int rc, GError **error);
/* One of those an interrupted or refused write can get over by itself: disk full, I/O, busy, memory. */
bool conn_fault_passes(const GError *error);

/* Into j->objects when it has several and they are not loaded (store_objects.c). */
bool conn_job_objects(Conn *c, StoreJob *j, GError **error);

char *row_text(sqlite3_stmt *row, int column);                        /* also blobs; NULL for NULL; caller frees */
void row_source(sqlite3_stmt *row, int column, SourceId *out);        /* size, mtime, ctime, dev, ino */
bool row_int64(sqlite3_stmt *row, void *ctx, GError **error);         /* ConnRow: column 0 into int64_t */
bool row_append_id(sqlite3_stmt *row, void *ctx, GError **error);     /* ConnRow: column 0 to a GArray of int64_t */
bool row_append_job(sqlite3_stmt *row, void *ctx, GError **error);    /* ConnRow: JOB_COLUMNS to a GPtrArray of StoreJob* */
bool row_append_object(sqlite3_stmt *row, void *ctx, GError **error); /* ConnRow: OBJECT_COLUMNS to a GPtrArray of StoreObject* */
bool row_append_upload(sqlite3_stmt *row, void *ctx, GError **error); /* ConnRow: UPLOAD_COLUMNS to a GPtrArray of StoreUpload* */
bool row_dest(sqlite3_stmt *row, void *ctx, GError **error);          /* ConnRow: DEST_COLUMNS into a StoreDest */
bool row_totals(sqlite3_stmt *row, void *ctx, GError **error);        /* ConnRow: adds a row of SQL_TOTALS to a HoistTotals */

#define DEST_COLUMNS "id,name,scheme,endpoint,bucket,prefix,region,profile"
#define JOB_COLUMNS_1                                                                                                                      \
    "id,batch,dest,pos,state,path,name,key,size,mtime_ns,ctime_ns,dev,ino,staged,staged_size,recipe,note,acked,tries,not_before_ns,"       \
    "fault,cause,url,etag,version,checksum,verified,added_ns,started_ns,done_ns,stored_key"
#define JOB_COLUMNS   JOB_COLUMNS_1 ",plain,pattern,prepared,objects,object,total,stored"
#define OBJECT_COLUMNS "name,key,size,staged,recipe,state,stored_key,url,etag,version,checksum,verified"
#define UPLOAD_COLUMNS "id,job,dest,key,upload_id,nonce,part_size,total,size,mtime_ns,ctime_ns,dev,ino,state,created_ns,memo"

/* ---- opening (store_schema.c) */

/* Opens or creates queue.db in dir (absolute, without symlinks), migrates, checks when the last exit was not clean, sets aside and
 * salvages. *wal_out: commits go to a write-ahead log (else a rollback journal with FULL commits: network file systems). */
bool store_schema_open(Conn *c, const char *dir, bool *wal_out, char **notice_out, GError **error);
/* Step i brings version i to i + 1, each in a transaction of its own; a version above 0 is copied to PATH.bak-vN first. */
bool store_schema_migrate(Conn *c, const char *const *steps, int n_steps, GError **error);
bool store_salvage(Conn *fresh, const char *damaged, unsigned *jobs_out, unsigned *uploads_out, GError **error); /* store_salvage.c */

/* ---- a turn (store_turn.c) */

struct Store {
    Conn conn;
    char *dir;
    int lock_fd, poke_fd;
    bool wal;
    bool ready;       /* store_open came to its end */
    bool begun;       /* a transaction is open */
    bool full;        /* this turn's commit must be on the disk before store_commit returns */
    bool sync_failed; /* the log could not be flushed: a second flush would prove nothing */
    GByteArray *turn; /* writes since the last successful commit */
    unsigned kept;    /* how many */
    bool prompt;      /* one of them may not be joined with the next turn */
    int64_t begun_us;
    GError *trouble;     /* why they could not be committed; NULL = all is well */
    int64_t unsynced_us; /* when the oldest write that is not flushed was made; 0 = none */
    int64_t last_dest, last_batch, last_job, last_upload, last_event;
    int64_t first_pos, last_pos;
    int64_t inbox_seen;
    GArray *dests; /* of int64_t, all ids */
};

/* A write that is kept whatever the disk does: true once it is executed or kept for the replay, false for a bug or a clash (FAULT_BUG,
 * FAULT_CONFLICT), which leaves nothing behind. */
bool store_write(Store *st, StoreSql sql, const Arg *args, unsigned n, GError **error);
/* A write whose result the caller needs: false also while the disk is in trouble. *changed_out (may be NULL): it changed a row. */
bool store_write_now(Store *st, StoreSql sql, const Arg *args, unsigned n, bool *changed_out, GError **error);
/* Ends the turn, joined with nothing. */
bool store_turn_commit(Store *st, GError **error);
/* The nearest file before or behind a place that is in one of the states (bits); id 0 = none. */
bool store_neighbour(Store *st, Place of, bool before, unsigned states, Place *out, GError **error);
int64_t store_now_ns(void);
