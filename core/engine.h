/* engine.h - the inside of the engine: the structs that only engine*.c know, and what these files ask of each other. Not for anyone else.
 *
 * engine.c        the loop, opening and closing
 * engine_add.c    destinations, batches, scans: from a dropped path to rows of the store
 * engine_job.c    from a row of the store to a file that is ready to send
 * engine_image.c  pictures: to the workers, and what comes back
 * engine_objects.c  what becomes of one file when that is more than one object
 * engine_send.c   from a ready file to a confirmed object: the walk of upload.h, with its effects on the store
 * engine_end.c    the ends of that walk: stored, begun anew, failed
 * engine_reap.c   uploads that are given up, aborted at the server
 * engine_cmd.c    wishes of clients
 * engine_tell.c   events for clients
 *
 * Everything here belongs to the engine thread.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "creds.h"
#include "hoist.h"
#include "imgpool.h"
#include "job.h"
#include "mailbox.h"
#include "queue.h"
#include "scan.h"
#include "settings.h"
#include "transfer.h"

#define ENGINE_RESTARTS     3   /* a file that keeps changing, or an upload that keeps vanishing, fails then */
#define ENGINE_REFUSALS     3   /* files in a row that a destination may refuse before it is paused */
#define ENGINE_MAX_PARKED   1000        /* pictures that are known and wait for the workers */
#define ENGINE_MAX_CONNECTIONS 64
#define ENGINE_MAX_SLOTS    64

/* A destination as a row of the store; shared by the batches that go there. */
typedef struct {
    StoreDest row;
    bool      paused;           /* it refused too much */
    unsigned  refusals;         /* in a row */
    int64_t   refused_ids[ENGINE_REFUSALS];     /* the files that failed for it: queued again when it goes on */
} Dest;

typedef struct {
    char       *where;          /* endpoint and bucket: key in the store */
    DestLearned learned;
} Endpoint;

struct Batch {
    int64_t        id;
    Dest          *dest;
    Endpoint      *endpoint;
    HoistSettings *settings;
    DestConf      *conf;
    const DestOps *ops;
    void          *priv;
    Credentials   *creds;
    unsigned       renewals;    /* of creds */
    GError        *broken;      /* why nothing of it can be sent: bad destination, no credentials */
    Renditions     renditions;  /* of pictures; n 0 = they go as they are */
    bool           patterns;    /* keys tell the rendition */
    char          *template;    /* of keys */
    uint64_t       part_size;
    unsigned       parts_at_once;
    bool           verify;
};

/* A scan at work: files go to the batch, or are only counted. */
typedef struct {
    Scan         *scan;
    Batch        *batch;        /* NULL = preview */
    HoistPreview *preview;
    int64_t       now_s;
    bool          incomplete;   /* the store could not take all of it: scanned again once it can */
    bool          requeued;     /* failed files are queued again, as something else perhaps */
} Adding;

/* An upload to abort. */
typedef struct {
    AnswerTo     to;            /* ANSWER_REAP */
    Batch       *batch;
    Upload      *upload;        /* key and id; id NULL = find it first */
    int64_t      row;           /* of the store's upload; 0 = none of ours */
    int64_t      job;           /* CANCELLING until this is over; 0 = none */
    unsigned     tries, agains, pages;
    bool         once_more;     /* a part that was on its way may have outlived the first abort */
    int64_t      not_before_us;
    TransferJob *sending;
    Phase        phase;         /* FIND or ABORT */
} Reap;

/* The row that a person looks at, whose picture is wanted small. */
typedef struct {
    int64_t   id;               /* 0 = none */
    unsigned  edge_px;
    PrepTask *opening;
    int       fd;               /* of the source; -1 = not open yet */
    bool      working;          /* the pool has it */
} Looking;

/* A command over many rows, done by pages so that transfers go on. */
typedef struct {
    HoistCommandKind kind;
    GArray          *ids;       /* of int64_t; NULL = those of the state */
    guint            next;      /* of ids */
    int              state;
    int64_t          after_id;
} Bulk;

struct Hoist {
    /* fixed after open */
    HoistSettings *settings;
    unsigned       flags;
    HoistWake      wake;
    void          *wake_ctx;
    pthread_t      thread;
    char          *state_dir;
    /* shared */
    Mailbox       *commands, *events;
    atomic_bool    stop;
    atomic_uint    sent;        /* commands of clients */
    /* engine thread */
    unsigned       obeyed;
    bool           fatal;
    Store         *store;
    Transfer      *transfer;
    Prep          *prep;
    ImgPool       *imgpool;
    AwsConfig     *aws;
    GPtrArray     *aws_warnings;        /* of char*; told with the first destination that takes AWS's keys, then NULL */
    GHashTable    *jobs, *batches, *dests, *endpoints;      /* by int64_t id (endpoints by text) */
    GPtrArray     *adding;      /* of Adding* */
    GPtrArray     *reaps;       /* of Reap* */
    GQueue         bulk;        /* of Bulk* */
    GQueue         put_off;     /* of HoistCommand*: the store could not take them */
    bool           at_once;     /* this turn left something that needs no waiting for */
    GPtrArray     *parked;      /* of Job*, in queue order: pictures that wait for room */
    GPtrArray     *active;      /* of Job*: hold a slot, or complete */
    GPtrArray     *outbox;      /* of JobRequest*: go out after the commit */
    Queue          ready;
    unsigned       n_opening, n_imaging;
    Looking        look;
    StorePlace     cursor, far; /* how far due rows were taken; and how far those that pass waiting pictures */
    bool           due_done, far_done;          /* none behind it */
    int64_t        next_due_ns; /* a retry in the store; 0 = none */
    int64_t        store_retry_us;              /* the store is in trouble: next try; 0 = fine */
    bool           rescan;
    bool           paused;
    JobsControl    slots;
    uint64_t       limit_bps;
    RateMeter      meter;
    uint64_t       moved_bytes;                 /* acknowledged since the engine was opened */
    HoistTotals    stored;                      /* counts of the store's rows, by their stored state */
    int64_t        told_rows_us, told_totals_us;
    GQueue         untold;      /* of HoistEvent* */
    bool           totals_dirty, list_dirty, idle_told;
    char          *notice;      /* of the store's opening */
    uint8_t        nonce[16];   /* random; the nonce of an upload is this with its number mixed in */
    uint64_t       nonces;
};

/* engine.c */
int64_t engine_now_us(void);
int64_t engine_now_ns(void);
double  engine_random01(void);
/* Of the store's disk or memory: it passes, and says nothing of one file. */
bool    engine_is_trouble(const GError *error);
/* A write to the store failed for good reasons (disk full): remembered, told, tried again. Takes error. */
void    engine_store_trouble(Hoist *e, GError *error);
void    engine_recount(Hoist *e);                               /* from the store: after changes that cannot be followed one by one */
/* The store's state of a row changed: keeps the counts. */
void    engine_count(Hoist *e, HoistState from, uint64_t from_bytes, HoistState to, uint64_t to_bytes);
void    engine_stored(Hoist *e, Job *job, HoistState to);       /* the same for a job in memory, and notes it there */
void    engine_acked(Hoist *e, StoreJob *rec, uint64_t bytes);  /* what the store has as acknowledged of a row that is not done */
void    engine_look_again(Hoist *e);                            /* due rows may have appeared anywhere in the queue */

/* engine_add.c */
Batch  *engine_batch(Hoist *e, int64_t id);                     /* cached; NULL only when the store fails */
void    engine_batch_reopen(Hoist *e, Batch *b);                /* credentials and files may have changed */
void    batch_free(gpointer batch);
void    dest_free(gpointer dest);
void    endpoint_free(gpointer endpoint);
void    adding_free(gpointer adding);
void    preview_free(HoistPreview *p);
DestCtx engine_ctx(const Batch *b);
bool    engine_add(Hoist *e, char **paths, const HoistSettings *settings);      /* false: the store is in trouble, try again */
void    engine_preview(Hoist *e, char **paths, const HoistSettings *settings, unsigned token);
void    engine_rescan(Hoist *e);                                /* batches whose scan was cut off */
void    engine_take_chunks(Hoist *e);
bool    engine_client_is_slow(const Hoist *e);                  /* it does not read its events: no more are made for it */
void    engine_learned(Hoist *e, Batch *b);                     /* stores what an answer taught */
void    engine_dest_pause(Hoist *e, Dest *d, const GError *why);
void    engine_dests_resume(Hoist *e);                          /* what refusals paused, and the files that met them */

/* engine_job.c */
void    engine_fill(Hoist *e);                                  /* due rows -> files being looked at */
void    engine_take_prepared(Hoist *e);                         /* results of prep.c and the image workers */
void    engine_open_source(Hoist *e, Job *job);                 /* the source, or what is prepared of it; then it is made ready */
void    engine_send_prepared(Hoist *e, Job *job);               /* its picture was looked at */
void    engine_reap_rows(Hoist *e, GError **error);             /* uploads that the store has as given up */
void    engine_finish_left_over(Hoist *e);                      /* at start: COMPLETING, CANCELLING and open uploads */
void    engine_finish(Hoist *e, const StoreJob *rec);           /* one of COMPLETING */
/* Queued again: QUEUED, or COMPLETING when the object is there and only the application must hear of it. False: the store failed. */
bool    engine_requeue(Hoist *e, StoreJob *rec, HoistState *now_out, GError **error);
void    engine_withdraw(Hoist *e, Job *job);                    /* everything that is out is called back */
void    engine_drop(Hoist *e, Job *job);                        /* withdraws and forgets it: the store knows the rest */
void    engine_release(Hoist *e, Job *job, const char *staged); /* that prepared picture of it is needed no more */
void    engine_release_staged(Hoist *e, Job *job);              /* none of them is */
void    engine_skip(Hoist *e, Job *job, const GError *why, const char *note);  /* left out by a rule: cancelled, and no failure */
void    engine_reopen(Hoist *e, Job *job);                      /* start over with what the file is now */
void    engine_start_over(Hoist *e, Job *job, GError *error);   /* the same, or fails when it did so too often; takes error */
void    engine_fail(Hoist *e, Job *job, GError *error);         /* takes error */

/* engine_image.c */
bool    engine_wants_image(const Job *job);
void    engine_prepare_image(Hoist *e, Job *job);               /* now, or when there is room and its turn */
void    engine_unpark(Hoist *e);
void    engine_sort_parked(Hoist *e);                           /* after places changed */
void    engine_imaged(Hoist *e, ImgOutcome *o);
bool    engine_images_moved(Hoist *e);                          /* a row has news of a picture that is being prepared */
void    engine_look(Hoist *e, int64_t id, unsigned edge_px);    /* a small picture of a row; the one before is wanted no more */
void    engine_look_opened(Hoist *e, PrepTask *task);
void    engine_look_on(Hoist *e);
void    engine_looked(Hoist *e, const ImgOutcome *o);
void    engine_look_end(Hoist *e);

/* engine_objects.c */
/* What is to be sent, under which keys, goes into the record and the store; staged files of o become the job's. False and *error, or NULL while the
 * store is in trouble: nothing happened. */
bool    engine_lay_objects(Hoist *e, Job *job, const ImgOutcome *o, GError **error);
/* The object that the job is at is over, its results in the record. False: it was the last, and the record is at the first. */
bool    engine_next_object(Hoist *e, Job *job, ObjectState how);
unsigned engine_objects_there(const Job *job);                  /* that were left alone */

/* engine_send.c */
void    engine_go_on(Hoist *e, Job *job);                       /* in the slot that it has, with its next object */
void    engine_begin(Hoist *e);                                 /* free slots <- ready files */
void    engine_begin_close(Hoist *e, Job *job);                 /* a COMPLETING one of an earlier run */
bool    engine_plan(Hoist *e, Job *job, GError **error);
void    engine_pump(Hoist *e, Job *job);
void    engine_pump_due(Hoist *e, int64_t now_us, int64_t *next_us);
void    engine_send_outbox(Hoist *e);
void    engine_read_answers(Hoist *e);
void    engine_hashed(Hoist *e, JobRequest *rq, PrepTask *task);
void    engine_leave_slot(Hoist *e, Job *job);

/* engine_end.c */
void    engine_take_result(Job *job);                           /* what is known of the object goes into the record */
void    engine_finished(Hoist *e, Job *job);                    /* the object that it is at is stored */
void    engine_was_there(Hoist *e, Job *job, const GError *why);        /* the object that it is at, which is to be left alone */
void    engine_restart(Hoist *e, Job *job);
void    engine_give_up(Hoist *e, Job *job);

/* engine_reap.c */
/* u: key, upload_id, nonce, memo, created_ns are read; id is the row, 0 = none of ours. job: CANCELLING until this is over; 0 = none. */
void    engine_reap(Hoist *e, Batch *b, const StoreUpload *u, int64_t job);
void    engine_reap_of(Hoist *e, Job *job);                     /* the upload that a job in memory has begun, if any */
/* Aborts what FIND found and nobody knows; the last one carries row and job. False: there was none. */
bool    engine_reap_found(Hoist *e, Batch *b, const Upload *up, int64_t row, int64_t job);
void    engine_reap_due(Hoist *e, int64_t now_us, int64_t *next_us);
void    engine_reap_answer(Hoist *e, Reap *reap, TransferAnswer *answer);
void    reap_free(gpointer reap);

/* engine_cmd.c */
void    engine_obey(Hoist *e);
void    engine_obey_put_off(Hoist *e);
void    engine_obey_last(Hoist *e);                             /* what was sent before closing is not lost */
void    engine_bulk(Hoist *e);                                  /* one page of the first bulk command */
void    bulk_free(gpointer bulk);
void    engine_take_inbox(Hoist *e);

/* engine_tell.c */
void    engine_tell(Hoist *e, HoistEvent *ev);                  /* takes; goes out at the end of the turn, after the commit */
void    engine_tell_now(Hoist *e);
void    engine_tell_row(Hoist *e, Job *job, HoistRowChange change);
/* The same of a row that is at rest in the store; state may be newer than the record. */
void    engine_tell_rest(Hoist *e, const StoreJob *rec, HoistState state, HoistRowChange change);
void    engine_tell_notice(Hoist *e, const GError *error, const char *format, ...) G_GNUC_PRINTF(3, 4);
void    engine_tell_skipped(Hoist *e, const char *path, const GError *error, bool by_rule);
void    engine_publish(Hoist *e, int64_t now_us, int64_t *next_us);
bool    engine_is_idle(const Hoist *e);
HoistTotals engine_totals(Hoist *e, int64_t now_us);
