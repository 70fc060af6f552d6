#include "engine.h"

enum { REAP_TRIES = 5, REAP_AGAINS = 4, REAP_PAGES = 10000, BASE_MS = 500, CAP_MS = 20000, ONCE_MORE_US = 300 * 1000 };

void reap_free(gpointer data)
{
    Reap *reap = data;
    upload_free(reap->upload);
    g_free(reap);
}

void engine_reap(Hoist *e, Batch *b, const StoreUpload *u, int64_t job)
{
    GError *error = NULL;
    if (u->id != 0 && !store_upload_state(e->store, u->id, UPLOAD_ABORTING, &error))
        engine_store_trouble(e, error);
    Reap *reap = g_new0(Reap, 1);
    const bool has_id = u->upload_id != NULL;
    reap->to = ANSWER_REAP;
    reap->batch = b;
    reap->row = u->id;
    reap->job = job;
    reap->phase = has_id ? PHASE_ABORT : PHASE_FIND;
    reap->once_more = has_id;
    reap->not_before_us = has_id ? 0 : engine_now_us() + ONCE_MORE_US; /* a request that was cut may still be obeyed */
    reap->upload = upload_new(u->key, 0, 0);
    reap->upload->upload_id = g_strdup(u->upload_id);
    reap->upload->nonce = g_strdup(u->nonce);
    reap->upload->memo = g_strdup(u->memo);
    reap->upload->opened_s = u->created_ns / 1000000000;
    g_ptr_array_add(e->reaps, reap);
    e->idle_told = false;
}

void engine_reap_of(Hoist *e, Job *job)
{
    const Upload *up = job->upload;
    if (job->upload_row == 0)
        return;
    const StoreUpload u = { .id = job->upload_row,
                            .key = up->key,
                            .upload_id = up->upload_id,
                            .nonce = up->nonce,
                            .memo = up->memo,
                            .created_ns = up->opened_s * 1000000000 };
    engine_reap(e, job->batch, &u, 0);
}

static void set_cancelled(Hoist *e, int64_t id, const char *note)
{
    GError *error = NULL;
    StoreJob rec = { 0 };
    if (store_job_load(e->store, id, &rec, &error) && rec.state == HOIST_CANCELLING && store_job_cancelled(e->store, id, &error)) {
        const uint64_t bytes = store_job_bytes(&rec);
        engine_count(e, HOIST_CANCELLING, bytes, HOIST_CANCELLED, bytes);
        if (note != NULL) {
            g_free(rec.note);
            rec.note = g_strdup(note);
        }
        engine_tell_rest(e, &rec, HOIST_CANCELLED, HOIST_ROW_STATE);
    }
    store_job_clear(&rec);
    engine_store_trouble(e, error);
}

/* gone: the server has it no more; else it stays in the store and is tried again at the next start. */
static void reap_over(Hoist *e, Reap *reap, bool gone, const char *note)
{
    GError *error = NULL;
    if (gone && reap->row != 0 && !store_upload_state(e->store, reap->row, UPLOAD_GONE, &error))
        engine_store_trouble(e, error);
    if (reap->job != 0)
        set_cancelled(e, reap->job, note);
    g_ptr_array_remove(e->reaps, reap);
}

bool engine_reap_found(Hoist *e, Batch *b, const Upload *up, int64_t row, int64_t job)
{
    g_autoptr(GPtrArray) lost = g_ptr_array_new();
    GError *error = NULL;
    for (guint i = 0; up->found != NULL && i < up->found->len; i++) {
        bool known = false;
        if (store_upload_known(e->store, up->found->pdata[i], &known, &error) && !known)
            g_ptr_array_add(lost, up->found->pdata[i]);
    }
    engine_store_trouble(e, error);
    for (guint i = 0; i < lost->len; i++) {
        const bool last = i + 1 == lost->len;
        engine_reap(e, b, &(StoreUpload){ .id = last ? row : 0, .key = up->key, .upload_id = lost->pdata[i] }, last ? job : 0);
    }
    return lost->len > 0;
}

static void found(Hoist *e, Reap *reap)
{
    if (engine_reap_found(e, reap->batch, reap->upload, reap->row, reap->job))
        g_ptr_array_remove(e->reaps, reap);
    else
        reap_over(e, reap, true, NULL);
}

static void try_later(Hoist *e, Reap *reap, const GError *error)
{
    if (++reap->tries >= REAP_TRIES) {
        engine_tell_notice(e, error, "an unfinished upload of %s could not be aborted: %s", reap->upload->key, error->message);
        reap_over(e, reap, false, "the unfinished upload could not be aborted; tried again at the next start");
        return;
    }
    reap->not_before_us = engine_now_us() + 1000 * backoff_ms(reap->tries, BASE_MS, CAP_MS, -1, engine_random01());
}

void engine_reap_answer(Hoist *e, Reap *reap, TransferAnswer *answer)
{
    reap->sending = NULL;
    if (answer->error != NULL) {
        try_later(e, reap, answer->error);
        return;
    }
    const DestCtx ctx = engine_ctx(reap->batch);
    g_autoptr(GError) error = NULL;
    const Verdict verdict = ctx.ops->step[reap->phase].read(&ctx, reap->upload, 0, answer->rs, &error);
    engine_learned(e, reap->batch);
    if ((verdict == VERDICT_MORE && ++reap->pages <= REAP_PAGES) || (verdict == VERDICT_AGAIN && ++reap->agains <= REAP_AGAINS)) {
        return; /* asked again at once */
    } else if (verdict == VERDICT_OK && reap->phase == PHASE_FIND) {
        found(e, reap);
    } else if (verdict == VERDICT_OK && reap->once_more) {
        reap->once_more = false;
        reap->upload->step = 0;
        reap->not_before_us = engine_now_us() + ONCE_MORE_US;
    } else if (verdict == VERDICT_OK) {
        reap_over(e, reap, true, NULL);
    } else if (verdict == VERDICT_RETRY) {
        try_later(e, reap, error);
    } else {
        fault_set(&error, FAULT_BAD_ANSWER, "the server's list of unfinished uploads does not end");
        reap->tries = REAP_TRIES;
        try_later(e, reap, error);
    }
}

static void send_reap(Hoist *e, Reap *reap)
{
    const DestCtx ctx = engine_ctx(reap->batch);
    Request *rq = NULL;
    g_autoptr(GError) error = NULL;
    if (ctx.ops->step[reap->phase].ask == NULL) {
        reap_over(e, reap, true, NULL); /* the protocol knows no such thing */
    } else if (ctx.ops->step[reap->phase].ask(&ctx, reap->upload, 0, &rq, &error) && rq == NULL) {
        reap_over(e, reap, true, NULL);
    } else if (rq != NULL) {
        reap->sending = transfer_start(e->transfer, rq, -1, reap);
    } else {
        reap->tries = REAP_TRIES;
        try_later(e, reap, error);
    }
}

void engine_reap_due(Hoist *e, int64_t now_us, int64_t *next_us)
{
    for (guint i = e->reaps->len; i > 0; i--) {
        Reap *reap = e->reaps->pdata[i - 1];
        if (reap->sending != NULL || reap->batch->broken != NULL)
            continue;
        if (reap->not_before_us <= now_us)
            send_reap(e, reap);
        else
            *next_us = *next_us == 0 ? reap->not_before_us : MIN(*next_us, reap->not_before_us);
    }
}
