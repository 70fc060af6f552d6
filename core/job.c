#include "job.h"

#include <string.h>
#include <unistd.h>

#define BIT(state) (1u << (state))

static const unsigned may_follow[HOIST_N_STATES] = {
    [HOIST_QUEUED] = BIT(HOIST_PREPARING) | BIT(HOIST_ACTIVE) | BIT(HOIST_COMPLETING) | BIT(HOIST_PAUSED) | BIT(HOIST_FAILED) |
                     BIT(HOIST_CANCELLING) | BIT(HOIST_CANCELLED),
    [HOIST_PREPARING] =
        BIT(HOIST_QUEUED) | BIT(HOIST_ACTIVE) | BIT(HOIST_PAUSED) | BIT(HOIST_FAILED) | BIT(HOIST_CANCELLING) | BIT(HOIST_CANCELLED),
    [HOIST_ACTIVE] = BIT(HOIST_QUEUED) | BIT(HOIST_COMPLETING) | BIT(HOIST_DONE) | BIT(HOIST_PAUSED) | BIT(HOIST_FAILED) |
                     BIT(HOIST_CANCELLING) | BIT(HOIST_CANCELLED),
    [HOIST_COMPLETING] = BIT(HOIST_QUEUED) | BIT(HOIST_DONE) | BIT(HOIST_FAILED) | BIT(HOIST_CANCELLING) | BIT(HOIST_CANCELLED),
    [HOIST_DONE] = 0,
    [HOIST_FAILED] = BIT(HOIST_QUEUED) | BIT(HOIST_CANCELLING) | BIT(HOIST_CANCELLED),
    [HOIST_PAUSED] = BIT(HOIST_QUEUED) | BIT(HOIST_CANCELLING) | BIT(HOIST_CANCELLED),
    [HOIST_CANCELLING] = BIT(HOIST_CANCELLED),
    [HOIST_CANCELLED] = BIT(HOIST_QUEUED),
};

bool job_may_enter(HoistState from, HoistState to)
{
    return (may_follow[from] & BIT(to)) != 0;
}

gint job_by_place(gconstpointer a, gconstpointer b)
{
    const StoreJob *x = &((const Job *)a)->rec, *y = &((const Job *)b)->rec;
    if (x->pos != y->pos)
        return x->pos < y->pos ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

void job_enter(Job *job, HoistState to)
{
    g_assert(job_may_enter(job->state, to)); /* a bug of ours, never of the network */
    job->state = to;
    job->dirty = true;
}

Job *job_new(const StoreJob *rec, Batch *batch)
{
    Job *job = g_new0(Job, 1);
    store_job_copy(&job->rec, rec);
    job->batch = batch;
    job->state = rec->state;
    job->fd = -1;
    job->image_pct = -1;
    job->held = g_ptr_array_new_with_free_func(g_free);
    job->requests = g_ptr_array_new_with_free_func(g_free);
    return job;
}

void job_forget_work(Job *job)
{
    if (job->fd >= 0)
        close(job->fd);
    job->fd = -1;
    g_clear_pointer(&job->content, g_bytes_unref);
    g_clear_pointer(&job->content_type, g_free);
    g_clear_pointer(&job->upload, upload_free);
    walk_clear(&job->walk);
    job->upload_row = 0;
    job->parked = false;
    job->acked_bytes = job->sent_bytes = job->rec.stored_bytes;
    job->tries = 0;
    job->retry_at_us = 0;
}

void job_free(Job *job)
{
    if (job == NULL)
        return;
    g_assert(!job_busy(job));
    job_forget_work(job);
    g_clear_error(&job->fault);
    g_ptr_array_unref(job->requests);
    g_ptr_array_unref(job->held);
    store_job_clear(&job->rec);
    g_free(job);
}

JobRequest *job_request_add(Job *job, Phase phase, unsigned part)
{
    JobRequest *rq = g_new0(JobRequest, 1);
    *rq = (JobRequest){ .job = job, .phase = phase, .part = part };
    g_ptr_array_add(job->requests, rq);
    return rq;
}

void job_request_remove(Job *job, JobRequest *rq)
{
    g_ptr_array_remove_fast(job->requests, rq);
}

bool job_busy(const Job *job)
{
    return job->opening != NULL || job->imaging || job->requests->len > 0;
}

bool job_holds(const Job *job, const char *staged)
{
    return staged != NULL && g_ptr_array_find_with_equal_func(job->held, staged, g_str_equal, NULL);
}

static void forget_result(StoreJob *rec)
{
    char **const texts[] = { &rec->stored_key, &rec->url, &rec->etag, &rec->version, &rec->checksum };
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        g_clear_pointer(texts[i], g_free);
    rec->verified = 0;
}

static void set_text(char **text, const char *value)
{
    char *old = *text;
    *text = g_strdup(value);
    g_free(old);
}

void job_at_object(Job *job, unsigned n)
{
    StoreJob *rec = &job->rec;
    const StoreObject *o = rec->objects->pdata[n];
    rec->object = n;
    set_text(&rec->key, o->key);
    set_text(&rec->staged, o->staged);
    set_text(&rec->recipe, o->recipe);
    rec->staged_bytes = o->staged != NULL ? o->bytes : 0;
    forget_result(rec);
}

void job_forget_objects(Job *job)
{
    StoreJob *rec = &job->rec;
    if (rec->plain != NULL) {
        g_free(rec->key);
        rec->key = g_steal_pointer(&rec->plain);
    }
    g_clear_pointer(&rec->objects, g_ptr_array_unref);
    rec->n_objects = rec->object = 0;
    rec->total_bytes = rec->stored_bytes = 0;
    forget_result(rec);
}

uint64_t job_bytes(const Job *job)
{
    return store_job_bytes(&job->rec);
}

/* ------------------------------------------------------------------ what clients see */

void job_measure(Job *job, Transfer *transfer, int64_t now_us)
{
    if (job->upload == NULL)
        return;
    uint64_t acked = job->rec.stored_bytes + upload_done_bytes(job->upload), sent = acked;
    for (guint i = 0; i < job->requests->len; i++) {
        const JobRequest *rq = job->requests->pdata[i];
        if (rq->sending == NULL || rq->phase != PHASE_PART)
            continue;
        TransferProgress p;
        transfer_progress(transfer, rq->sending, &p);
        const uint64_t rest = upload_part_bytes(job->upload, rq->part) - job->upload->parts[rq->part].kept_bytes;
        acked += MIN(p.acked_bytes, rest); /* a form is longer than its file */
        sent += MIN(p.sent_bytes, rest);
    }
    job->acked_bytes = MAX(job->acked_bytes, acked);
    job->sent_bytes = MAX(sent, job->acked_bytes);
    rate_feed(&job->meter, job->acked_bytes, now_us);
}

static char *words_of_wait(const Job *job, Transfer *transfer)
{
    unsigned quiet_ms = G_MAXUINT;
    bool waiting = job->requests->len > 0, connecting = false, hashing = false;
    for (guint i = 0; i < job->requests->len; i++) {
        const JobRequest *rq = job->requests->pdata[i];
        hashing = hashing || rq->hashing != NULL;
        if (rq->sending == NULL)
            continue;
        TransferProgress p;
        transfer_progress(transfer, rq->sending, &p);
        quiet_ms = MIN(quiet_ms, p.quiet_ms);
        waiting = waiting && (p.waiting || rq->phase != PHASE_PART);
        connecting = connecting || p.connecting;
    }
    if (quiet_ms == G_MAXUINT)
        return hashing ? g_strdup("computing checksums") : NULL;
    if (connecting)
        return quiet_ms > 1000 ? g_strdup("connecting") : NULL;
    if (quiet_ms >= 3000)
        return g_strdup_printf(waiting ? "no answer for %u s" : "stalled for %u s", quiet_ms / 1000);
    if (job->state == HOIST_COMPLETING)
        return g_strdup("the server puts the parts together");
    return waiting && quiet_ms > 500 ? g_strdup("waiting for the server") : NULL;
}

static void add_live(HoistRow *row, const Job *job, Transfer *transfer, int64_t now_us)
{
    row->bps = job->requests->len > 0 ? rate_bps(&job->meter) : 0;
    row->eta_s = row->bytes > job->acked_bytes ? rate_eta_s(&job->meter, row->bytes - job->acked_bytes, now_us) : -1;
    if (job->retry_at_us > 0) {
        row->retry_in_ms = MAX(0, (job->retry_at_us - now_us) / 1000);
        row->tries = job->tries;
    } else {
        row->wait = words_of_wait(job, transfer);
    }
    if (job->state == HOIST_PREPARING)
        row->wait = g_strdup(job->parked ? "waits for room for prepared pictures" : job->imaging ? "preparing the picture" : "reading");
}

HoistRow *job_row(const Job *job, const char *dest_name, Transfer *transfer, int64_t now_us, bool objects)
{
    const StoreJob *rec = &job->rec;
    const StoreObject first = store_job_first(rec);
    HoistRow live = { .id = rec->id,
                      .batch = rec->batch,
                      .pos = rec->pos,
                      .state = job->state,
                      .path = rec->path,
                      .name = rec->name,
                      .key = first.stored_key != NULL ? first.stored_key : first.key,
                      .dest = (char *)dest_name,
                      .source_bytes = rec->src.size_bytes,
                      .bytes = job_bytes(job),
                      .acked_bytes = job->acked_bytes,
                      .sent_bytes = job->sent_bytes,
                      .eta_s = -1,
                      .retry_in_ms = -1,
                      .tries = rec->tries,
                      .max_tries = WALK_TRIES,
                      .prepared_pct = job->state == HOIST_PREPARING && job->imaging ? job->image_pct : -1,
                      .recipe = first.recipe,
                      .note = rec->note,
                      .url = first.url,
                      .etag = first.etag,
                      .checksum = first.checksum,
                      .version = first.version,
                      .verified = (HoistVerified)first.verified,
                      .added_ns = rec->added_ns,
                      .started_ns = rec->started_ns,
                      .done_ns = rec->done_ns };
    if (transfer == NULL && rec->fault != NULL &&
        (job->state == HOIST_FAILED || job->state == HOIST_PAUSED || job->state == HOIST_QUEUED)) {
        live.fault = rec->fault;
        live.cause = rec->cause;
        live.remedy = (char *)hoist_remedy_of(rec->fault);
    }
    if (job->fault != NULL) {
        live.fault = (char *)hoist_fault_name(job->fault);
        live.cause = job->fault->message;
        live.remedy = (char *)hoist_fault_remedy(job->fault);
    }
    if (job->upload != NULL && job->upload->multipart) {
        live.parts = job->upload->n_parts;
        live.upload_id = upload_id_is_url(job->upload->upload_id) ? NULL : job->upload->upload_id;
        for (unsigned i = 0; i < live.parts; i++)
            live.parts_done += job->upload->parts[i].done;
    }
    HoistRow *row = hoist_row_dup(&live);
    if (objects)
        row->objects = store_job_rows(rec, &row->n_objects);
    if (transfer != NULL)
        add_live(row, job, transfer, now_us);
    return row;
}
