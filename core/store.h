/* store.h - the journal of the queue. The only file that includes sqlite3 is store.c (and its neighbours store_*.c).
 *
 * Writing (Store): engine thread only. All writes of one turn of the engine's loop go into one transaction, begun by the first write and
 * ended by store_commit; nothing is sent before the commit that announces it. Two classes of durability (shared rule of the design, 3.4):
 * calls marked [F] make the turn's commit FULL (flushed before store_commit returns), all others NORMAL with a FULL barrier at most a
 * second later. A turn of nothing but done, prepared, part and log lines may be joined with the next ones (for 0.1 s or 100 writes), since a
 * commit costs as much as ten files; all else is committed with its turn. While a transaction is open no other process can write: the
 * engine heeds store_wait_ms before it sleeps.
 * A write that meets a full or failing disk answers true: it is kept, and store_commit reports the fault until it has been repeated with
 * success. Calls that hand out an id or a result (store_dest_add, store_batch_add, store_job_add, store_job_rekey, store_upload_creating)
 * fail with that fault instead, and leave nothing behind.
 * Reading (StoreView): a read-only connection for the thread that opened it; each call is its own short transaction.
 * Schema: assets/schema.sql, version 2; user_version and migrations in store_schema.c. Times are wall clock ns. Paths and keys are BLOBs.
 * Secrets never come here: credentials are named by profile, URLs carry no query.
 * Source documents: sqlite.org/wal.html, pragma.html, stricttables.html, howtocorrupt.html.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "digest.h"
#include "hoist.h"
#include "source.h"

typedef struct Store Store;
typedef struct StoreView StoreView;

/* ---- opening */

/* Creates dir (0700), takes the lock file (open file description lock, pid inside), opens and migrates queue.db, checks it when the last exit
 * was not clean, sets a damaged one aside and salvages what it can. Faults: STORE_LOCKED, STORE_READONLY, STORE_NEWER, STORE_FULL, STORE_IO.
 * *notice_out (may be NULL) gets a sentence when something had to be repaired, else NULL. */
Store *store_open(const char *dir, char **notice_out, GError **error);
void   store_close(Store *st);                  /* commits FULL, clean_exit, checkpoint, unlocks; NULL is fine */
bool   store_commit(Store *st, GError **error); /* nothing to do is success. On STORE_FULL or STORE_IO nothing is lost: the turn's writes are
                                                   replayed from memory by the next store_commit (bounded; the caller stops starting work) */
bool   store_barrier_due(const Store *st, int64_t now_us);      /* NORMAL writes are older than a second: call store_barrier */
bool   store_barrier(Store *st, GError **error);
int    store_wait_ms(const Store *st, int64_t now_us);  /* until store_barrier is due; 0 = now, -1 = nothing is owed: sleep as long as you like */
bool   store_check(Store *st, GPtrArray *violations_out /* of char* */, GError **error);      /* invariants I1..I9 */
int    store_poke_fd(const Store *st);          /* inotify: readable when somebody laid something into the inbox; -1 = none */
void   store_poke_clear(Store *st);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Store, store_close)

/* ---- destinations and batches */

typedef struct {
    int64_t id;
    char   *name, *scheme, *endpoint, *bucket, *prefix, *region, *profile;      /* NULL where not set; profile names credentials */
} StoreDest;
void store_dest_clear(StoreDest *d);

bool store_dest_add(Store *st, const StoreDest *d, int64_t *id_out, GError **error);     /* finds an equal row or inserts */
bool store_dest_load(Store *st, int64_t id, StoreDest *out, GError **error);

typedef struct {
    int64_t id, dest;
    char  **roots;              /* dropped paths: rescanned when the scan was cut off */
    char   *options;            /* JSON object of per-batch options as strings */
    int     scan_state;         /* 0 scanning, 1 complete, 2 failed */
    int64_t added_ns;
} StoreBatch;
void store_batch_clear(StoreBatch *b);

bool store_batch_add(Store *st, const StoreBatch *b, int64_t *id_out, GError **error);                   /* [F] */
bool store_batch_scanned(Store *st, int64_t batch, int scan_state, GError **error);                      /* [F] */
bool store_batch_load(Store *st, int64_t id, StoreBatch *out, GError **error);
bool store_batch_to(Store *st, int64_t dest, int64_t *id_out /* the latest that goes there; 0 = none */, GError **error);
bool store_batches_unscanned(Store *st, GArray *ids_out /* int64_t */, GError **error);

/* ---- jobs */

/* Stored as numbers. WAS_THERE: somebody had put an object there before, and it was left alone. */
typedef enum { OBJECT_WAITS, OBJECT_STORED, OBJECT_WAS_THERE } ObjectState;

/* One of several objects of a file. */
typedef struct {
    char       *name;           /* of the rendition, or "original" */
    char       *key;            /* with the destination's prefix */
    uint64_t    bytes;
    char       *staged, *recipe;        /* NULL: the file as it is */
    ObjectState state;
    char       *stored_key, *url, *etag, *version, *checksum;   /* once it is stored */
    int         verified;
} StoreObject;
void store_object_free(StoreObject *o);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StoreObject, store_object_free)

/* Of a file with several objects: key, staged, recipe and the results are those of the one it is at, or of the first when it is done. */
typedef struct {
    int64_t    id, batch, dest, pos;
    HoistState state;
    char      *path, *name, *key;
    char      *plain;           /* key of the file as it is, where key is that of something made of it; NULL = key */
    char      *pattern;         /* of the keys of renditions (key.h), without the destination's prefix; NULL */
    SourceId   src;
    bool       prepared;        /* a picture that was looked at: staged NULL = it goes as it is */
    unsigned   n_objects, object;       /* 0 = one object, told by this row alone; the one it is at */
    uint64_t   total_bytes, stored_bytes;       /* of all objects, when there are several; of those that are there: part of acked_bytes */
    GPtrArray *objects;         /* of StoreObject*; NULL = not loaded, or one */
    char      *staged;          /* file name in the spool, or NULL */
    uint64_t   staged_bytes;
    char      *recipe, *note;
    uint64_t   acked_bytes;
    unsigned   tries;
    int64_t    not_before_ns;
    char      *fault, *cause;
    char      *stored_key;      /* chosen by server or application; NULL = key */
    char      *url, *etag, *version, *checksum;
    int        verified;
    int64_t    added_ns, started_ns, done_ns;
} StoreJob;
void store_job_clear(StoreJob *j);
/* What the first of its objects is, borrowed: key, recipe and results. */
StoreObject store_job_first(const StoreJob *j);
/* Its objects as clients see them, for a HoistRow to own; NULL when it is one, or they are not loaded. */
HoistObject *store_job_rows(const StoreJob *j, unsigned *n_out);
void store_job_copy(StoreJob *to, const StoreJob *from);        /* to is overwritten */
uint64_t store_job_bytes(const StoreJob *j);    /* what is sent in all: the objects, the prepared picture, or the source */

typedef enum { STORE_ADDED, STORE_SAME, STORE_REQUEUED, STORE_KEY_TAKEN } StoreAdd;
/* batch, dest, path, name, key, pattern, src are read. SAME: this path is already queued for this destination and unfinished, or done or cancelled in
 * this batch; REQUEUED: it was there failed and is queued again with the new identity, batch and key (with another identity or key its open
 * upload is turned to aborting: look at store_uploads_open(UPLOAD_ABORTING)); KEY_TAKEN: another file of this batch has the key (the caller chooses
 * another). *id_out is the row in all cases but KEY_TAKEN. Queue position: the end. [F] through the batch that it belongs to: the turn of a
 * scan chunk. */
bool store_job_add(Store *st, const StoreJob *j, StoreAdd *result_out, int64_t *id_out, GError **error);
bool store_job_load(Store *st, int64_t id, StoreJob *out, GError **error);
typedef struct {
    int64_t pos, id;
} StorePlace;
/* Due work in queue order behind (*pos,*id), which are moved on: state QUEUED (also PREPARING, ACTIVE left by a crash: store_open turned them back), not_before passed,
 * dest not in paused_dests. Appends StoreJob* (free with store_job_free). */
bool store_jobs_due(Store *st, int64_t now_ns, const GArray *paused_dests /* int64_t, or NULL */, int64_t *pos, int64_t *id, unsigned n, GPtrArray *out, GError **error);
bool store_jobs_in(Store *st, HoistState state, int64_t after_id, unsigned n, GPtrArray *out, GError **error);   /* by id; resolver of COMPLETING, CANCELLING at start */
bool store_next_due(Store *st, int64_t now_ns, int64_t *when_ns_out /* 0 = none */, GError **error);
void store_job_free(StoreJob *j);

/* Each sets the state and what belongs to it; source, prepared and rekey leave the state. PREPARING and ACTIVE live in the engine's memory.
 * queued: FAULT_CONFLICT when a done or cancelled file was queued again in another row meanwhile. paused: QUEUED (PREPARING, ACTIVE) -> PAUSED
 * and back, other states stay. done: acked_bytes must be the bytes sent (invariant I1); url must hold no secret. forget: others stay. */
bool store_job_note(Store *st, int64_t id, const char *note, GError **error);
bool store_job_queued(Store *st, int64_t id, unsigned tries, int64_t not_before_ns, const char *fault, const char *cause, GError **error);
bool store_job_source(Store *st, int64_t id, const SourceId *src, GError **error);       /* starts over with another identity: tries, staged, objects, acked cleared */
bool store_job_prepared(Store *st, int64_t id, const char *staged, uint64_t staged_bytes, const char *recipe, const char *note, GError **error);
bool store_job_unprepared(Store *st, int64_t id, GError **error);       /* the spool lost what was prepared; objects that are stored stay so */
bool store_job_rekey(Store *st, int64_t id, const char *key, bool *taken_out, GError **error);
/* Does no other file of the batch have it? job may be 0. */
bool store_key_free(Store *st, int64_t batch, int64_t job, const char *key, bool *free_out, GError **error);
bool store_job_objects(Store *st, StoreJob *j, GError **error);                          /* into j->objects when n_objects > 0 and they are not loaded */
/* Writes j's objects in place of those it had, and what belongs to them: n_objects, object, total and stored bytes, acked, key, plain, staged, recipe, note. The keys
 * must be free; the state stays. */
bool store_job_lay_objects(Store *st, const StoreJob *j, GError **error);
bool store_job_object_over(Store *st, const StoreJob *j, unsigned n, GError **error);    /* [F] j's object n got its state and results; the job is at another, or at the first again: as above */
bool store_job_completing(Store *st, int64_t id, GError **error);                        /* [F] */
bool store_job_done(Store *st, const StoreJob *result, GError **error);                  /* [F] when multipart or staged; id, staged, stored_key, url, etag, version, checksum, verified, note, acked, started_ns, done_ns are read */
bool store_job_stored(Store *st, const StoreJob *result, GError **error);                /* [F] the same facts, but COMPLETING: not announced yet; acked_bytes as the store has them */
bool store_job_failed(Store *st, int64_t id, unsigned tries, const char *fault, const char *cause, GError **error);
bool store_job_paused(Store *st, int64_t id, bool paused, GError **error);
bool store_job_cancelling(Store *st, int64_t id, GError **error);                        /* [F] */
bool store_job_cancelled(Store *st, int64_t id, GError **error);                         /* [F] */
bool store_job_forget(Store *st, int64_t id, GError **error);                            /* [F]; only DONE, FAILED without an open upload, CANCELLED */
bool store_job_move(Store *st, const GArray *ids, int how /* as HOIST_CMD_MOVE */, GError **error);
bool store_ids_in(Store *st, int state /* -1 = all */, int64_t after_id, unsigned n, GArray *ids_out, GError **error);     /* pages of a bulk command */

/* ---- uploads and parts */

/* Stored as numbers. ANNOUNCING: the object is there, the application has not heard of it. GONE: the row is deleted. */
typedef enum { UPLOAD_CREATING, UPLOAD_OPEN, UPLOAD_COMPLETING, UPLOAD_ANNOUNCING, UPLOAD_DONE, UPLOAD_ABORTING, UPLOAD_GONE } UploadState;

typedef struct {
    int64_t  id, job, dest;
    char    *key, *upload_id, *nonce;   /* upload_id NULL: Create was sent, its answer is unknown */
    char    *memo;                      /* of dest.h's Upload; NULL = nothing */
    uint64_t part_size, total_bytes;
    SourceId src;                       /* identity of what is sent: the spool file for pictures */
    UploadState state;
    int64_t  created_ns;
} StoreUpload;
void store_upload_clear(StoreUpload *u);
void store_upload_free(StoreUpload *u);

typedef struct {
    unsigned  number;                   /* 1..10000 */
    uint64_t  bytes;
    char     *etag;
    DigestSet digest;                   /* have == 0: unknown */
} StorePart;

bool store_upload_creating(Store *st, const StoreUpload *u, int64_t *id_out, GError **error);            /* [F] */
bool store_upload_opened(Store *st, int64_t id, const char *upload_id, const char *memo, GError **error);/* [F] */
bool store_upload_memo(Store *st, int64_t id, const char *memo, GError **error);
bool store_upload_state(Store *st, int64_t id, UploadState state, GError **error);                       /* [F] from COMPLETING on; parts are deleted with DONE, the row with GONE */
bool store_upload_of_job(Store *st, int64_t job, StoreUpload *out, bool *found_out, GError **error);     /* the one before DONE */
bool store_uploads_open(Store *st, UploadState state, GPtrArray *out /* StoreUpload*, jobs may be gone */, GError **error);
bool store_upload_known(Store *st, const char *upload_id, bool *known_out, GError **error);              /* any state but gone */
bool store_part_done(Store *st, int64_t upload, const StorePart *p, GError **error);                     /* also moves job.acked */
bool store_parts(Store *st, int64_t upload, GArray *out /* StorePart; clear func set by callee */, GError **error);
bool store_part_drop(Store *st, int64_t upload, unsigned number, GError **error);                        /* the server lacks it */

/* ---- the rest */

bool  store_totals(Store *st, HoistTotals *out, GError **error);         /* files, bytes, acked; one scan, at start */
bool  store_learned_put(Store *st, const char *endpoint, const char *text, GError **error);
char *store_learned_get(Store *st, const char *endpoint);               /* NULL = nothing; caller frees */
bool  store_meta_put(Store *st, const char *key, const char *value, GError **error);
char *store_meta_get(Store *st, const char *key);
bool  store_inbox_take(Store *st, GPtrArray *texts_out /* char*, JSON of commands, in order; removed in this turn */, GError **error);      /* [F] */
bool  store_log(Store *st, int64_t job, const char *fault, const char *text, GError **error);   /* ring of 50,000; secrets are the caller's duty */

/* Any process, with or without the lock: one IMMEDIATE transaction of its own, then pokes the holder. */
bool  store_inbox_put(const char *dir, const char *json, GError **error);

/* ---- reading */

/* A missing store gives an empty view, not an error. One of an earlier version is brought up to date first. */
StoreView *store_view_open(const char *dir, GError **error);
void       store_view_close(StoreView *v);
bool       store_view_page(StoreView *v, unsigned states, const char *text, int64_t after_pos, int64_t after_id, bool backwards, unsigned n,
                           GPtrArray *out /* StoreJob* */, GError **error);
bool       store_view_job(StoreView *v, int64_t id, StoreJob *out, StoreUpload *upload_out, unsigned *parts_done_out, bool *found_out, GError **error);
bool       store_view_totals(StoreView *v, HoistTotals *out, GError **error);
bool       store_view_batch(StoreView *v, int64_t batch, uint64_t *open_out, uint64_t *done_out, uint64_t *failed_out, GError **error);
bool       store_view_dest(StoreView *v, int64_t id, StoreDest *out, GError **error);   /* cached by the caller */
char      *store_view_learned(StoreView *v, const char *endpoint);     /* NULL = nothing; caller frees */
bool       store_view_changed(StoreView *v);

const char *store_version(void);                /* SQLite's */
