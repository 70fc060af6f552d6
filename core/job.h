/* job.h - one file on its way: what the engine holds in memory for it, and which states may follow which.
 *
 * A job exists in memory only while something happens to it; at rest it is a row of the store. All fields belong to the engine thread.
 *
 *      QUEUED -> PREPARING -> ACTIVE -> COMPLETING -> DONE
 *         ^          |           |           |
 *         +----------+-----------+-----------+----> FAILED, PAUSED, CANCELLING -> CANCELLED
 *
 * QUEUED, but in memory: prepared, and waiting for a slot. Any state that is cut off by a crash is QUEUED again, but COMPLETING and CANCELLING,
 * whose outcome the server knows.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "prep.h"
#include "rate.h"
#include "store.h"
#include "transfer.h"
#include "upload.h"

typedef struct Batch Batch;
typedef struct Job Job;

/* What the `user` of a transfer points to begins with this. */
typedef enum { ANSWER_JOB, ANSWER_REAP } AnswerTo;

/* One request that is out, or about to go. */
typedef struct {
    AnswerTo     to;            /* ANSWER_JOB */
    Job         *job;
    Phase        phase;
    unsigned     part;
    TransferJob *sending;       /* NULL = not out */
    PrepTask    *hashing;       /* NULL = no digest asked for */
    bool         queued;        /* in the outbox: goes out after the commit */
    unsigned     renewals;      /* of the batch's credentials when it was signed */
} JobRequest;

struct Job {
    StoreJob  rec;              /* id, path, key, identity ...; rec.state is the state in the store */
    Batch    *batch;            /* borrowed */
    HoistState state;           /* what it is doing: may be ahead of the store, never behind */
    bool      in_slot;          /* counts as a file at work */
    uint64_t  slot_bytes;       /* what it took the slot with */
    bool      dirty;            /* a row event is due */
    bool      parked;           /* a picture that waits for room in the spool */
    bool      imaging;          /* the pool has it */
    int       image_pct;        /* of a long one, -1 = nothing to tell */
    GPtrArray *held;            /* of char*: names in the spool that are held for it, one for each hold */
    bool      resumed;          /* found parts of an earlier run */
    bool      resumed_noted;    /* the row says so, or there was nothing to resume */
    unsigned  restarts;         /* source changed or upload lost: begun anew this often */

    PrepTask *opening;          /* with prep.c */
    int       fd;               /* what is sent: the source or the spool file; -1 = content or nothing */
    SourceId  sent_id;          /* identity of what is sent */
    GBytes   *content;          /* small files */
    DigestSet content_digest;
    char     *content_type;

    Upload   *upload;           /* NULL until planned */
    WalkBegin begin;
    Walk      walk;
    Phase     phase;            /* of what was asked last: where it changes, upload->step begins anew */
    int64_t   wake_us;          /* walk_next wants to be asked again then; 0 = after an answer */
    int64_t   upload_row;       /* store's id; 0 = none */
    GPtrArray *requests;        /* of JobRequest* */

    RateMeter meter;
    uint64_t  acked_bytes, sent_bytes;  /* of the file as a whole, objects that are stored included */
    GError   *fault;            /* last failure */
    int64_t   retry_at_us;      /* 0 = none */
    unsigned  tries;            /* of the request that fares worst */
    int64_t   told_us;          /* last row event of its progress, and what it said */
    uint64_t  told_acked_bytes, told_sent_bytes;
};

Job  *job_new(const StoreJob *rec, Batch *batch);       /* copies rec */
void  job_free(Job *job);                               /* nothing may be out */
gint  job_by_place(gconstpointer a, gconstpointer b);   /* of two Job*: queue order */
bool  job_may_enter(HoistState from, HoistState to);
void  job_enter(Job *job, HoistState to);               /* asserts that it is lawful, marks dirty; the only setter of state */
/* Drops what was prepared or begun (descriptor, content, upload), so that the file can start over. */
void  job_forget_work(Job *job);
JobRequest *job_request_add(Job *job, Phase phase, unsigned part);
void  job_request_remove(Job *job, JobRequest *rq);
bool  job_busy(const Job *job);                         /* something with a pointer to it is out */
bool  job_holds(const Job *job, const char *staged);
/* The object that the record is at becomes the n-th: its key, what is sent for it, and nothing known of it yet. */
void  job_at_object(Job *job, unsigned n);
/* The record has but one object again, under the file's own key. */
void  job_forget_objects(Job *job);
/* Row for clients; now_us for rates and waits, tried for words ("no answer for 12 s"). objects: the list of them, too. Caller frees. */
HoistRow *job_row(const Job *job, const char *dest_name, Transfer *transfer, int64_t now_us, bool objects);
/* Sums what is acknowledged and sent; acked never falls within one upload. */
void  job_measure(Job *job, Transfer *transfer, int64_t now_us);
/* Of the file as a whole: what is sent of it, in all its objects. */
uint64_t job_bytes(const Job *job);
