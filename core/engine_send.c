#include "engine.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mime.h"

enum { DEFAULT_PARTS = 4, STUCK_US = 100 * 1000, HEAD_FROM_BYTES = 1024 * 1024 };

/* ------------------------------------------------------------------ plan */

/* Recognises an object of ours and is no secret: random once, then counted on. */
static char *new_nonce(Hoist *e)
{
    if (e->nonces == 0)
        digest_random(e->nonce, sizeof e->nonce);
    uint8_t bytes[sizeof e->nonce];
    memcpy(bytes, e->nonce, sizeof bytes);
    const uint64_t count = e->nonces++;
    for (unsigned i = 0; i < sizeof count; i++)
        bytes[i] ^= (uint8_t)(count >> (8 * i));
    return digest_hex(bytes, sizeof bytes);
}

static void part_clear(gpointer data)
{
    StorePart *p = data;
    g_free(p->etag);
}

static WalkBegin begin_of(const StoreUpload *row)
{
    static const WalkBegin begins[] = { [UPLOAD_CREATING] = WALK_NEW, [UPLOAD_OPEN] = WALK_RESUME, [UPLOAD_COMPLETING] = WALK_CLOSE };
    return row->upload_id == NULL ? WALK_FIND : begins[row->state];
}

/* What an earlier run knew of this upload. */
static bool recall(Hoist *e, Job *job, const StoreUpload *row, GError **error)
{
    Upload *up = job->upload;
    g_autoptr(GArray) parts = g_array_new(FALSE, TRUE, sizeof(StorePart));
    g_array_set_clear_func(parts, part_clear);
    if (!store_parts(e->store, row->id, parts, error))
        return false;
    upload_plan(up, true, row->part_size);
    upload_set(&up->upload_id, row->upload_id);
    upload_set(&up->memo, row->memo);
    up->opened_s = row->created_ns / 1000000000;
    g_free(up->nonce);
    up->nonce = g_strdup(row->nonce);
    for (guint i = 0; i < parts->len; i++) {
        const StorePart *p = &g_array_index(parts, StorePart, i);
        if (p->number < 1 || p->number > up->n_parts || p->bytes != upload_part_bytes(up, p->number - 1))
            continue;
        Part *part = &up->parts[p->number - 1];
        part->done = true;
        part->etag = g_strdup(p->etag);
        part->digest = p->digest.have != 0 ? g_memdup2(&p->digest, sizeof p->digest) : NULL;
    }
    job->upload_row = row->id;
    job->begin = begin_of(row);
    job->resumed = parts->len > 0;
    return true;
}

/* The object is there; what was learned of it stands in the file's row. */
static void recall_stored(Job *job, const StoreUpload *row)
{
    Upload *up = job->upload;
    upload_set(&up->memo, row->memo);
    upload_set(&up->nonce, row->nonce);
    upload_set(&up->url, job->rec.url);
    upload_set(&up->stored_key, job->rec.stored_key);
    upload_set(&up->etag, job->rec.etag);
    upload_set(&up->version, job->rec.version);
    upload_set(&up->checksum, job->rec.checksum);
    up->verified = (Verified)job->rec.verified;
    up->notify = true;
    for (unsigned i = 0; i < up->n_parts; i++)
        up->parts[i].done = true;
    job->upload_row = row->id;
    job->begin = WALK_NOTIFY;
}

static bool resume_or_reap(Hoist *e, Job *job, GError **error)
{
    StoreUpload row = { 0 };
    bool found = false, ok = store_upload_of_job(e->store, job->rec.id, &row, &found, error);
    if (ok && found) {
        const bool same =
            row.total_bytes == job->upload->size_bytes && source_id_same(&row.src, &job->sent_id) && g_str_equal(row.key, job->rec.key);
        if (row.state == UPLOAD_ANNOUNCING && same) {
            recall_stored(job, &row);
        } else if (row.state == UPLOAD_ANNOUNCING) {
            engine_acked(e, &job->rec, job->rec.stored_bytes);
            ok = store_upload_state(e->store, row.id, UPLOAD_DONE, error);
        } else if (job->upload->multipart && same) {
            ok = recall(e, job, &row, error);
        } else {
            engine_acked(e, &job->rec, job->rec.stored_bytes);
            engine_reap(e, job->batch, &row, 0);
        }
    }
    store_upload_clear(&row);
    return ok;
}

static Upload *new_upload(const Job *job, uint64_t bytes)
{
    Upload *up = upload_new(job->rec.key, bytes, job->rec.src.mtime_ns);
    up->name = g_path_get_basename(job->rec.key); /* unique where the path's is not, and with the extension of what is sent */
    up->content_type = g_strdup(job->content_type);
    return up;
}

bool engine_plan(Hoist *e, Job *job, GError **error)
{
    const Batch *b = job->batch;
    const DestCtx ctx = engine_ctx(b);
    job->upload = new_upload(job, job->sent_id.size_bytes);
    job->upload->nonce = new_nonce(e);
    job->begin = WALK_NEW;
    return b->ops->plan(&ctx, job->upload, b->part_size, error) && resume_or_reap(e, job, error);
}

/* ------------------------------------------------------------------ slots */

void engine_leave_slot(Hoist *e, Job *job)
{
    g_ptr_array_remove(e->active, job);
    if (job->in_slot)
        queue_release(&e->ready, job->slot_bytes);
    job->in_slot = false;
}

/* The digests of a small file, computed when it was read, may lack a kind that the endpoint turned out to need. */
static void digest_content(Job *job, unsigned digests)
{
    if (job->content == NULL || job->upload->n_parts != 1 ||
        (job->upload->parts[0].digest != NULL && (job->upload->parts[0].digest->have & digests) == digests))
        return;
    if ((job->content_digest.have & digests) != digests)
        digest_of(digests, g_bytes_get_data(job->content, NULL), g_bytes_get_size(job->content), &job->content_digest);
    g_free(job->upload->parts[0].digest);
    job->upload->parts[0].digest = g_memdup2(&job->content_digest, sizeof job->content_digest);
}

/* Where neither a checksum nor the ETag proves an object, its size is asked for; but for a small file sent whole that would double the
 * requests, and the 200 to a PUT with a Content-Length already says as much. */
static bool worth_a_head(const Job *job)
{
    return job->batch->verify && (job->upload->multipart || job->upload->size_bytes >= HEAD_FROM_BYTES);
}

/* Slots that no other file uses serve the parts of a large one. */
static unsigned parts_at_once(const Hoist *e, const Batch *b)
{
    if (b->parts_at_once > 0)
        return b->parts_at_once;
    return MAX(DEFAULT_PARTS, e->slots.now / MAX(e->active->len + queue_length(&e->ready), 1));
}

static void start_walk(Hoist *e, Job *job)
{
    const Batch *b = job->batch;
    const DestCtx ctx = engine_ctx(b);
    walk_init(&job->walk, b->ops, job->upload, job->begin, parts_at_once(e, b), b->ops->digests(&ctx, job->upload), worth_a_head(job));
    job->acked_bytes = job->rec.stored_bytes + upload_done_bytes(job->upload);
}

static void begin_job(Hoist *e, Job *job)
{
    job->in_slot = true;
    job->slot_bytes = job_bytes(job);
    g_ptr_array_add(e->active, job);
    start_walk(e, job);
    job->rec.started_ns = engine_now_ns();
    job_enter(job, HOIST_ACTIVE);
    engine_tell_row(e, job, HOIST_ROW_STARTED);
    engine_pump(e, job);
}

void engine_go_on(Hoist *e, Job *job)
{
    start_walk(e, job);
    engine_pump(e, job);
}

void engine_begin(Hoist *e)
{
    while (!e->paused) {
        Job *job = queue_pop(&e->ready, e->slots.now);
        if (job == NULL)
            break;
        if (job->batch->dest->paused) {
            queue_release(&e->ready, job_bytes(job));
            engine_drop(e, job);
        } else {
            begin_job(e, job);
        }
    }
}

/* As prep.c tells it; of a source that is gone by its name alone. Caller frees. */
static char *type_of_source(Hoist *e, const Job *job)
{
    char head[MIME_HEAD_BYTES];
    g_autofree char *path = job->rec.staged != NULL ? imgpool_staged_path(e->imgpool, job->rec.staged) : g_strdup(job->rec.path);
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const ssize_t n = fd < 0 ? 0 : read(fd, head, sizeof head);
    if (fd >= 0)
        close(fd);
    return mime_of(path, head, n > 0 ? (size_t)n : 0);
}

void engine_begin_close(Hoist *e, Job *job)
{
    GError *error = NULL;
    StoreUpload row = { 0 };
    bool found = false;
    bool ok = store_upload_of_job(e->store, job->rec.id, &row, &found, &error);
    if (ok && found) {
        const DestCtx ctx = engine_ctx(job->batch);
        job->sent_id = row.src;
        job->content_type = type_of_source(e, job);
        job->upload = new_upload(job, row.total_bytes);
        if (row.state != UPLOAD_ANNOUNCING) /* the plan tells which phases there are; the parts are those of the row */
            ok = job->batch->ops->plan(&ctx, job->upload, job->batch->part_size, &error) && recall(e, job, &row, &error);
        if (row.state == UPLOAD_ANNOUNCING) {
            upload_plan(job->upload, false, 0);
            recall_stored(job, &row);
        }
    }
    if (!ok) {
        engine_fail(e, job, error);
    } else if (!found) {
        engine_reopen(e, job);
    } else {
        walk_init(&job->walk, job->batch->ops, job->upload, row.state == UPLOAD_ANNOUNCING ? WALK_NOTIFY : WALK_CLOSE, 1, 0,
                  job->batch->verify);
        g_ptr_array_add(e->active, job);
        engine_pump(e, job);
    }
    store_upload_clear(&row);
}

/* ------------------------------------------------------------------ one step */

static void start_hash(Hoist *e, Job *job, unsigned part)
{
    PrepTask *task = prep_task_new(PREP_DIGEST, NULL);
    JobRequest *rq = job_request_add(job, PHASE_PART, part);
    task->user = rq;
    task->tag = part;
    task->fd = fcntl(job->fd, F_DUPFD_CLOEXEC, 0);
    task->offset = upload_part_offset(job->upload, part);
    task->length = upload_part_bytes(job->upload, part);
    task->digests = job->walk.digests;
    task->expected = job->sent_id;
    rq->hashing = task;
    prep_submit(e->prep, task);
}

void engine_hashed(Hoist *e, JobRequest *rq, PrepTask *task)
{
    Job *job = rq->job;
    Part *part = &job->upload->parts[rq->part];
    const unsigned number = rq->part;
    job_request_remove(job, rq);
    if (task->error != NULL) {
        walk_fail(&job->walk, g_steal_pointer(&task->error));
    } else {
        g_free(part->digest);
        part->digest = g_memdup2(&task->set, sizeof task->set);
        walk_hashed(&job->walk, job->upload, number);
    }
    engine_pump(e, job);
}

/* What was read whole, or prepared, long before it was sent may be another file by now. One that is gone is what it was when read. */
static bool source_still_is(const Job *job, GError **error)
{
    if (job->fd >= 0 && !source_check(job->fd, &job->sent_id, error)) {
        if (job->rec.staged != NULL && error != NULL) {
            g_clear_error(error);
            fault_set(error, FAULT_SOURCE_CHANGED, "the prepared picture was changed or deleted in the spool");
        }
        return false;
    }
    struct stat st;
    if ((job->fd >= 0 && job->rec.staged == NULL) || stat(job->rec.path, &st) != 0)
        return true;
    SourceId now;
    source_id_of_stat(&now, &st);
    return source_compare(&now, &job->rec.src, error);
}

static bool create_row(Hoist *e, Job *job, GError **error)
{
    Upload *up = job->upload;
    const StoreUpload row = { .job = job->rec.id,
                              .dest = job->batch->dest->row.id,
                              .key = up->key,
                              .upload_id = up->upload_id,
                              .nonce = up->nonce,
                              .memo = up->memo,
                              .part_size = MAX(up->part_size, 1),
                              .total_bytes = up->size_bytes,
                              .src = job->sent_id,
                              .created_ns = engine_now_ns() };
    up->opened_s = row.created_ns / 1000000000; /* by which it is found, should its id be lost */
    return store_upload_creating(e->store, &row, &job->upload_row, error);
}

static void enter_completing(Hoist *e, Job *job)
{
    engine_stored(e, job, HOIST_COMPLETING);
    if (job->state != HOIST_COMPLETING)
        job_enter(job, HOIST_COMPLETING);
}

static bool announce_close(Hoist *e, Job *job, GError **error)
{
    if (job->state == HOIST_COMPLETING)
        return true;
    if (!source_still_is(job, error))
        return false;
    if (!store_job_completing(e->store, job->rec.id, error) || !store_upload_state(e->store, job->upload_row, UPLOAD_COMPLETING, error))
        return false;
    enter_completing(e, job);
    return true;
}

/* From here on the object is there, whatever happens: it is never sent again for the application's sake. */
static bool announce_notify(Hoist *e, Job *job, GError **error)
{
    if (job->begin == WALK_NOTIFY)
        return true;
    engine_take_result(job);
    if ((job->upload_row == 0 && !create_row(e, job, error)) || !store_upload_memo(e->store, job->upload_row, job->upload->memo, error) ||
        !store_upload_state(e->store, job->upload_row, UPLOAD_ANNOUNCING, error) || !store_job_stored(e->store, &job->rec, error))
        return false;
    job->begin = WALK_NOTIFY;
    enter_completing(e, job);
    return true;
}

/* Written before the request that it announces; the outbox waits for the commit. */
static bool announce(Hoist *e, Job *job, Phase phase, GError **error)
{
    if (phase == PHASE_OPEN && job->upload_row == 0) {
        if (job->batch->ops->own_ids)
            upload_set(&job->upload->upload_id, job->upload->nonce);
        return create_row(e, job, error);
    }
    if (phase == PHASE_CLOSE)
        return announce_close(e, job, error);
    return phase != PHASE_NOTIFY || announce_notify(e, job, error);
}

static void want(Hoist *e, Job *job, const Step *step)
{
    GError *error = NULL;
    if (!announce(e, job, step->phase, &error)) {
        walk_withdrawn(&job->walk, step->phase, step->part);
        if (engine_is_trouble(error))
            engine_store_trouble(e, error); /* asked again when the store can be written */
        else
            walk_fail(&job->walk, error);
        return;
    }
    if (step->phase != job->phase)
        job->upload->step = 0;
    job->phase = step->phase;
    JobRequest *rq = job_request_add(job, step->phase, step->part);
    rq->queued = true;
    g_ptr_array_add(e->outbox, rq);
}

/* The answer to one part teaches which digests the next ones need: what the store ignores is not computed for nothing. And other files
 * came and went. */
static void adapt(Hoist *e, Job *job)
{
    if (job->walk.phase != PHASE_PART)
        return;
    const DestCtx ctx = engine_ctx(job->batch);
    if (job->upload->multipart && !job->upload->serial)
        job->walk.max_out = parts_at_once(e, job->batch);
    job->walk.digests = ctx.ops->digests(&ctx, job->upload);
    digest_content(job, job->walk.digests);
}

void engine_pump(Hoist *e, Job *job)
{
    adapt(e, job);
    for (;;) {
        const int64_t now_us = engine_now_us();
        const Step step = walk_next(&job->walk, job->upload, now_us);
        switch (step.kind) {
        case STEP_HASH:
            start_hash(e, job, step.part);
            break;
        case STEP_ASK:
            want(e, job, &step);
            if (e->store_retry_us == 0)
                break;
            job->wake_us = now_us + STUCK_US;
            return;
        case STEP_WAIT:
            job->wake_us = step.at_us == 0 && job->requests->len == 0 ? now_us + STUCK_US : step.at_us;
            if (!walk_retrying(&job->walk, &job->tries, &job->retry_at_us))
                job->retry_at_us = 0;
            return;
        case STEP_DONE:
            engine_finished(e, job);
            return;
        case STEP_RESTART:
            engine_restart(e, job);
            return;
        case STEP_FAILED:
            engine_give_up(e, job);
            return;
        }
    }
}

void engine_pump_due(Hoist *e, int64_t now_us, int64_t *next_us)
{
    for (guint i = e->active->len; i > 0; i--) {
        if (i > e->active->len)
            continue; /* the job behind took others with it */
        Job *job = e->active->pdata[i - 1];
        if (job->wake_us != 0 && job->wake_us <= now_us && job->upload != NULL)
            engine_pump(e, job);
    }
    for (guint i = 0; i < e->active->len; i++) {
        const Job *job = e->active->pdata[i];
        if (job->wake_us != 0 && job->upload != NULL)
            *next_us = *next_us == 0 ? job->wake_us : MIN(*next_us, job->wake_us);
    }
}

/* ------------------------------------------------------------------ requests and answers */

/* A small file is in memory already: its ranges become bytes. */
static void spans_from_content(Request *rq, GBytes *content)
{
    for (unsigned i = 0; content != NULL && i < rq->n_spans; i++) {
        Span *span = &rq->spans[i];
        if (span->bytes == NULL)
            span->bytes = g_bytes_new_from_bytes(content, (gsize)span->offset, (gsize)span->length);
    }
}

static void through(Hoist *e, Job *job, Phase phase, unsigned part);

/* False: it did not go out, and the walk has moved. */
static bool send_request(Hoist *e, JobRequest *rq)
{
    Job *job = rq->job;
    const DestCtx ctx = engine_ctx(job->batch);
    Request *request = NULL;
    GError *error = NULL;
    rq->queued = false;
    rq->renewals = job->batch->renewals;
    if (!ctx.ops->step[rq->phase].ask(&ctx, job->upload, rq->part, &request, &error)) {
        job_request_remove(job, rq);
        walk_fail(&job->walk, error);
        return false;
    }
    if (request == NULL) {
        const Phase phase = rq->phase;
        const unsigned part = rq->part;
        job_request_remove(job, rq);
        through(e, job, phase, part);
        return false;
    }
    spans_from_content(request, job->content);
    rq->sending = transfer_start(e->transfer, request, job->fd, rq);
    return true;
}

void engine_send_outbox(Hoist *e)
{
    g_autoptr(GPtrArray) moved = g_ptr_array_new();
    for (guint i = 0; i < e->outbox->len; i++) {
        JobRequest *rq = e->outbox->pdata[i];
        Job *job = rq->job;
        if (!send_request(e, rq) && !g_ptr_array_find(moved, job, NULL))
            g_ptr_array_add(moved, job);
    }
    g_ptr_array_set_size(e->outbox, 0);
    for (guint i = 0; i < moved->len; i++)
        engine_pump(e, moved->pdata[i]);
    e->at_once = e->at_once || e->outbox->len > 0;
}

static void store_part(Hoist *e, Job *job, unsigned n)
{
    const Part *part = &job->upload->parts[n];
    StorePart row = { .number = n + 1, .bytes = upload_part_bytes(job->upload, n), .etag = part->etag };
    if (part->digest != NULL)
        row.digest = *part->digest;
    GError *error = NULL;
    if (!store_part_done(e->store, job->upload_row, &row, &error))
        engine_store_trouble(e, error);
    engine_acked(e, &job->rec, job->rec.acked_bytes + row.bytes);
}

static void drop_part(Hoist *e, Job *job, unsigned n)
{
    GError *error = NULL;
    if (!store_part_drop(e->store, job->upload_row, n + 1, &error))
        engine_store_trouble(e, error);
    engine_acked(e, &job->rec, job->rec.acked_bytes - MIN(job->rec.acked_bytes, upload_part_bytes(job->upload, n)));
}

/* The server's list against ours: what it lacks is sent again, what it has and we forgot is taken. */
static void after_resume(Hoist *e, Job *job)
{
    const Upload *up = job->upload;
    unsigned there = 0;
    for (unsigned i = 0; i < up->n_parts; i++) {
        there += up->parts[i].done;
        const bool known = job->walk.parts[i].state == PART_DONE;
        if (up->parts[i].done && !known)
            store_part(e, job, i);
        else if (!up->parts[i].done && known)
            drop_part(e, job, i);
    }
    if (job->resumed_noted) { /* asked in the middle of this run: no news for a person, and no bar falls */
        job->acked_bytes = MAX(job->acked_bytes, job->rec.stored_bytes + upload_done_bytes(up));
        return;
    }
    const uint64_t done = upload_done_bytes(up);
    job->acked_bytes = job->rec.stored_bytes + done;
    job->resumed = job->resumed_noted = true;
    g_free(job->rec.note);
    if (up->serial && up->n_parts == 1)
        job->rec.note = g_strdup_printf("resumed: %.0f %% was there", 100.0 * (double)done / (double)MAX(up->size_bytes, 1));
    else
        job->rec.note = g_strdup_printf("resumed: %u of %u parts were there", there, up->n_parts);
}

/* Uploads of our key that we lost the id of: none of them may stay open. The row stays until they are gone, so that a kill in between
 * does not lose them again. */
static void after_find(Hoist *e, Job *job)
{
    Upload *up = job->upload;
    GError *error = NULL;
    if (!engine_reap_found(e, job->batch, up, job->upload_row, 0) && !store_upload_state(e->store, job->upload_row, UPLOAD_GONE, &error))
        engine_store_trouble(e, error);
    g_clear_pointer(&up->found, g_ptr_array_unref);
    job->upload_row = 0;
}

/* What the endpoint is may call for another plan. */
static void after_look(Hoist *e, Job *job, GError **changed)
{
    const Batch *b = job->batch;
    const DestCtx ctx = engine_ctx(b);
    if (b->ops->plan(&ctx, job->upload, b->part_size, changed))
        walk_replanned(&job->walk, b->ops, job->upload, parts_at_once(e, b));
}

static void after_open(Hoist *e, Job *job)
{
    Upload *up = job->upload;
    GError *error = NULL;
    if (up->upload_id == NULL)
        upload_set(&up->upload_id, up->nonce); /* the destination opened nothing that has a name */
    job->resumed_noted = true;
    if (!store_upload_opened(e->store, job->upload_row, up->upload_id, up->memo, &error))
        engine_store_trouble(e, error);
}

static void after_part(Hoist *e, Job *job, unsigned part, GError **changed)
{
    if (!source_still_is(job, changed))
        return;
    job->upload->parts[part].done = true;
    if (job->upload->multipart)
        store_part(e, job, part);
}

static void effects(Hoist *e, Job *job, Phase phase, unsigned part, GError **changed)
{
    if (phase == PHASE_PART) {
        after_part(e, job, part, changed);
        return;
    }
    if (phase == PHASE_LOOK)
        after_look(e, job, changed);
    else if (phase == PHASE_OPEN)
        after_open(e, job);
    else if (phase == PHASE_RESUME)
        after_resume(e, job);
    else if (phase == PHASE_FIND)
        after_find(e, job);
}

/* There was nothing to ask. */
static void through(Hoist *e, Job *job, Phase phase, unsigned part)
{
    GError *changed = NULL;
    effects(e, job, phase, part, &changed);
    walk_answer(&job->walk, job->upload, phase, part, VERDICT_OK, NULL, -1, 0, engine_now_us());
    if (changed != NULL)
        walk_fail(&job->walk, changed);
}

/* Credentials that ended: read anew once; the same ones again are no help. renewals is that of the request, which may have been signed
 * before the answer to another one led to new ones. */
static Verdict renewed(Hoist *e, Job *job, unsigned renewals, Verdict verdict, const GError *error)
{
    Batch *b = job->batch;
    if (fault_code(error) != FAULT_EXPIRED || b->creds == NULL)
        return verdict;
    if (renewals != b->renewals)
        return VERDICT_AGAIN;
    g_autoptr(AwsConfig) fresh = aws_config_load(creds_env_process, NULL, NULL, NULL);
    g_autoptr(Credentials) creds = fresh == NULL ? NULL : creds_of_dest(fresh, b->settings, b->ops, b->priv, NULL);
    if (creds == NULL || creds_same(creds, b->creds))
        return verdict;
    credentials_free(b->creds);
    b->creds = g_steal_pointer(&creds);
    b->renewals++;
    aws_config_free(e->aws);
    e->aws = g_steal_pointer(&fresh);
    return VERDICT_AGAIN;
}

static void note_fault(Hoist *e, Job *job, const GError *error, bool retry)
{
    if (error == NULL) {
        g_clear_error(&job->fault);
        return;
    }
    if (fault_code(error) == FAULT_SLOW_DOWN)
        jobs_slow_down(&e->slots, engine_now_us());
    if (retry) {
        g_clear_error(&job->fault);
        job->fault = g_error_copy(error);
    }
}

static void on_response(Hoist *e, Job *job, Phase phase, unsigned part, unsigned renewals, const Response *rs)
{
    Batch *b = job->batch;
    const DestCtx ctx = engine_ctx(b);
    GError *error = NULL, *changed = NULL;
    Verdict verdict = ctx.ops->step[phase].read(&ctx, job->upload, part, rs, &error);
    engine_learned(e, b);
    verdict = renewed(e, job, renewals, verdict, error);
    note_fault(e, job, error, verdict == VERDICT_RETRY);
    if (verdict == VERDICT_OK && job->walk.phase != N_PHASES)
        effects(e, job, phase, part, &changed);
    const int64_t retry_after_ms = response_retry_after_ms(rs, ctx.now_s + ctx.learned->clock_offset_s);
    walk_answer(&job->walk, job->upload, phase, part, verdict, error, retry_after_ms, engine_random01(), engine_now_us());
    if (changed != NULL)
        walk_fail(&job->walk, changed);
}

static void on_answer(Hoist *e, JobRequest *rq, TransferAnswer *answer)
{
    Job *job = rq->job;
    const Phase phase = rq->phase;
    const unsigned part = rq->part, renewals = rq->renewals;
    job_request_remove(job, rq);
    if (answer->error != NULL) {
        note_fault(e, job, answer->error, !answer->free_retry);
        walk_broken(&job->walk, phase, part, g_steal_pointer(&answer->error), answer->free_retry, engine_random01(), engine_now_us());
    } else {
        on_response(e, job, phase, part, renewals, answer->rs);
    }
    const bool failed = job->fault != NULL;
    const int64_t id = job->rec.id;
    engine_pump(e, job);
    job = g_hash_table_lookup(e->jobs, &id);
    if (failed && job != NULL && job->retry_at_us > engine_now_us())
        engine_tell_row(e, job, HOIST_ROW_RETRY);
}

void engine_read_answers(Hoist *e)
{
    TransferAnswer *answer;
    while ((answer = transfer_take(e->transfer)) != NULL) {
        if (*(const AnswerTo *)answer->user == ANSWER_REAP)
            engine_reap_answer(e, answer->user, answer);
        else
            on_answer(e, answer->user, answer);
        transfer_answer_free(answer);
    }
}
