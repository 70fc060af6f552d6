#include "engine.h"

#include <string.h>

/* Where the object can be fetched: under the person's own base URL, else where the server says, else where it was sent. Signatures stay
 * out: what a server or an application says is cut at its query. */
static char *result_url(const Job *job)
{
    const DestCtx ctx = engine_ctx(job->batch);
    const Upload *up = job->upload;
    const char *key = up->stored_key != NULL ? up->stored_key : up->key;
    const char *base = dest_conf_option(ctx.conf, "public-url");
    if (base != NULL && ctx.ops->own_public_url)
        return ctx.ops->url(&ctx, key);
    if (base != NULL) {
        GString *url = g_string_new(base);
        if (!g_str_has_suffix(base, "/"))
            g_string_append_c(url, '/');
        uri_escape_append(url, key, strlen(key), true);
        return g_string_free(url, FALSE);
    }
    if (up->url != NULL)
        return g_strndup(up->url, strcspn(up->url, "?#"));
    return ctx.ops->url(&ctx, key);
}

/* What is known of the object goes into the file's row. */
void engine_take_result(Job *job)
{
    StoreJob *rec = &job->rec;
    Upload *up = job->upload;
    g_free(rec->url);
    rec->url = result_url(job);
    upload_set(&rec->stored_key, up->stored_key);
    upload_set(&rec->etag, up->etag);
    upload_set(&rec->version, up->version);
    upload_set(&rec->checksum, up->checksum);
    rec->verified = (int)up->verified;
    if (up->note == NULL)
        return;
    g_autofree char *before = g_steal_pointer(&rec->note), *now = g_steal_pointer(&up->note);
    rec->note = before == NULL ? g_steal_pointer(&now) : g_strdup_printf("%s; %s", before, now);
}

static void note_there(Job *job)
{
    const unsigned there = engine_objects_there(job);
    if (there == 0)
        return;
    g_autofree char *before = g_steal_pointer(&job->rec.note);
    job->rec.note = g_strdup_printf("%s%s%u of %u objects were there already", before != NULL ? before : "", before != NULL ? "; " : "",
                                    there, job->rec.n_objects);
}

static void finish_file(Hoist *e, Job *job)
{
    const Batch *b = job->batch;
    StoreJob *rec = &job->rec;
    const uint64_t bytes = job_bytes(job);
    note_there(job);
    engine_acked(e, rec, 0); /* counts what is not done */
    rec->acked_bytes = bytes;
    rec->done_ns = engine_now_ns();
    GError *error = NULL;
    if (!store_job_done(e->store, rec, &error) ||
        (job->upload_row != 0 && !store_upload_state(e->store, job->upload_row, UPLOAD_DONE, &error)))
        engine_store_trouble(e, error);
    engine_stored(e, job, HOIST_DONE);
    e->moved_bytes += bytes - MIN(job->acked_bytes, bytes);
    job->acked_bytes = job->sent_bytes = bytes;
    if (job->state == HOIST_QUEUED)
        job_enter(job, HOIST_ACTIVE);
    job_enter(job, HOIST_DONE);
    g_clear_error(&job->fault);
    job->retry_at_us = 0;
    e->stored.run_done++;
    e->stored.run_bytes += bytes;
    if (!b->dest->paused)
        b->dest->refusals = 0;
    engine_tell_row(e, job, HOIST_ROW_DONE);
    engine_release_staged(e, job);
    engine_drop(e, job);
}

void engine_finished(Hoist *e, Job *job)
{
    engine_take_result(job);
    if (!engine_next_object(e, job, OBJECT_STORED))
        finish_file(e, job);
}

void engine_was_there(Hoist *e, Job *job, const GError *why)
{
    engine_take_result(job);
    if (engine_next_object(e, job, OBJECT_WAS_THERE))
        return;
    if (engine_objects_there(job) < job->rec.n_objects) {
        finish_file(e, job);
        return;
    }
    GError *error = NULL;
    if (!store_job_source(e->store, job->rec.id, &job->rec.src, &error)) /* so that a retry looks at all of them again */
        engine_store_trouble(e, error);
    const uint64_t before = job_bytes(job);
    job_forget_objects(job);
    g_clear_pointer(&job->rec.staged, g_free);
    engine_count(e, job->rec.state, before, job->rec.state, job_bytes(job));
    engine_skip(e, job, why, "skipped: objects with its keys are there already");
}

void engine_restart(Hoist *e, Job *job)
{
    GError *error = g_steal_pointer(&job->walk.error);
    if (error == NULL)
        fault_set(&error, FAULT_UPLOAD_GONE, "the upload has to begin anew");
    engine_start_over(e, job, error);
}

void engine_give_up(Hoist *e, Job *job)
{
    GError *error = g_steal_pointer(&job->walk.error);
    fault_set(&error, FAULT_BUG, "the upload ended without a reason");
    unsigned tries = 0;
    int64_t at_us;
    if (walk_retrying(&job->walk, &tries, &at_us))
        job->tries = tries;
    engine_fail(e, job, error);
}
