#include "engine.h"

#include <unistd.h>

#include "mime.h"

enum { DUE_PAGE = 64, FAR_PAGES = 16, SETTLE_NS = 2 * 1000 * 1000 * 1000LL, LEFT_OVER_PAGE = 1000 };

/* Prepared files wait for slots; as many as keep the network busy, no more. */
static unsigned ahead(const Hoist *e)
{
    return 2 * e->slots.now + 16;
}

/* ------------------------------------------------------------------ leaving */

void engine_withdraw(Hoist *e, Job *job)
{
    if (job->opening != NULL) {
        atomic_store(&job->opening->cancelled, true);
        job->opening->user = NULL; /* comes back and is thrown away */
        job->opening = NULL;
        e->n_opening--;
    }
    if (job->imaging) {
        imgpool_cancel(e->imgpool, job);
        job->imaging = false;
        e->n_imaging--;
        e->totals_dirty = true;
    }
    while (job->requests->len > 0) {
        JobRequest *rq = job->requests->pdata[0];
        if (rq->sending != NULL)
            transfer_cancel(e->transfer, rq->sending);
        if (rq->hashing != NULL) {
            atomic_store(&rq->hashing->cancelled, true);
            rq->hashing->user = NULL;
        }
        if (rq->queued)
            g_ptr_array_remove(e->outbox, rq);
        job_request_remove(job, rq);
    }
}

void engine_release(Hoist *e, Job *job, const char *staged)
{
    guint at;
    if (!g_ptr_array_find_with_equal_func(job->held, staged, g_str_equal, &at))
        return;
    imgpool_release(e->imgpool, staged);
    g_ptr_array_remove_index(job->held, at);
}

void engine_release_staged(Hoist *e, Job *job)
{
    for (guint i = 0; i < job->held->len; i++)
        imgpool_release(e->imgpool, job->held->pdata[i]);
    g_ptr_array_set_size(job->held, 0);
}

static void let_go_staged(Hoist *e, Job *job)
{
    for (guint i = 0; i < job->held->len; i++)
        imgpool_let_go(e->imgpool, job->held->pdata[i]);
    g_ptr_array_set_size(job->held, 0);
}

void engine_drop(Hoist *e, Job *job)
{
    engine_withdraw(e, job);
    let_go_staged(e, job);
    if (job->state != job->rec.state) /* laid back into the store, as it is there */
        job_enter(job, job->rec.state);
    if (job->dirty)
        engine_tell_row(e, job, HOIST_ROW_STATE);
    engine_leave_slot(e, job);
    queue_remove(&e->ready, job);
    g_ptr_array_remove(e->parked, job);
    e->totals_dirty = true;
    g_hash_table_remove(e->jobs, &job->rec.id);
}

/* Three files in a row that a destination refused: it is asked no more until a person says so. */
static void count_refusal(Hoist *e, Job *job, const GError *error)
{
    Dest *d = job->batch->dest;
    if (fault_info((int)fault_code(error))->scope != SCOPE_DEST && job->batch->broken == NULL)
        return;
    if (d->refusals < ENGINE_REFUSALS)
        d->refused_ids[d->refusals++] = job->rec.id;
    if (d->refusals == ENGINE_REFUSALS && !d->paused)
        engine_dest_pause(e, d, error);
}

void engine_skip(Hoist *e, Job *job, const GError *why, const char *note)
{
    GError *trouble = NULL;
    engine_withdraw(e, job);
    engine_release_staged(e, job);
    if (!store_job_note(e->store, job->rec.id, note, &trouble) || !store_job_cancelled(e->store, job->rec.id, &trouble))
        engine_store_trouble(e, trouble);
    engine_stored(e, job, HOIST_CANCELLED);
    job_enter(job, HOIST_CANCELLED);
    g_free(job->rec.note);
    job->rec.note = g_strdup(note);
    engine_tell_skipped(e, job->rec.path, why, true);
    engine_tell_row(e, job, HOIST_ROW_STATE);
    engine_reap_of(e, job);
    engine_acked(e, &job->rec, 0);
    engine_drop(e, job);
}

/* "--if-exists skip" and the key is taken: nothing went wrong, and nothing was sent. */
static bool skip_existing(Hoist *e, Job *job, const GError *error)
{
    const char *option = hoist_settings_get(job->batch->settings, "if-exists");
    if (fault_code(error) != FAULT_EXISTS || g_strcmp0(option, "skip") != 0)
        return false;
    if (job->rec.objects != NULL)
        engine_was_there(e, job, error);
    else
        engine_skip(e, job, error, "skipped: an object with this key is there already");
    return true;
}

/* A file that was on its way when its destination was paused met the same wall: it waits with the others. */
static bool put_back(Hoist *e, Job *job, const GError *error)
{
    const Dest *d = job->batch->dest;
    if (!d->paused || d->refusals < ENGINE_REFUSALS || fault_info((int)fault_code(error))->scope != SCOPE_DEST)
        return false;
    GError *trouble = NULL;
    if (!store_job_queued(e->store, job->rec.id, job->rec.tries, 0, NULL, NULL, &trouble))
        engine_store_trouble(e, trouble);
    engine_stored(e, job, HOIST_QUEUED);
    engine_drop(e, job);
    return true;
}

void engine_fail(Hoist *e, Job *job, GError *error)
{
    engine_withdraw(e, job);
    if (skip_existing(e, job, error) || put_back(e, job, error)) {
        g_error_free(error);
        return;
    }
    GError *trouble = NULL;
    const unsigned tries = MAX(job->tries, 1);
    if (!store_job_failed(e->store, job->rec.id, tries, hoist_fault_name(error), error->message, &trouble))
        engine_store_trouble(e, trouble);
    engine_stored(e, job, HOIST_FAILED);
    job->rec.tries = tries;
    job->retry_at_us = 0;
    g_clear_error(&job->fault);
    job->fault = error;
    job_enter(job, HOIST_FAILED);
    e->stored.run_failed++;
    engine_tell_row(e, job, HOIST_ROW_FAILED);
    count_refusal(e, job, error);
    engine_drop(e, job);
}

/* ------------------------------------------------------------------ looking at the source */

static void open_path(Hoist *e, Job *job, char *path /* taken */, const SourceId *expected)
{
    PrepTask *task = prep_task_new(PREP_OPEN, job);
    task->path = path;
    if (expected != NULL)
        task->expected = *expected;
    const Batch *b = job->batch;
    const DestCtx ctx = engine_ctx(b);
    task->digests = b->ops->digests(&ctx, NULL);
    task->by_content = settings_is_set(b->settings, "types");
    job->opening = task;
    e->n_opening++;
    prep_submit(e->prep, task);
}

/* The spool lost it: the picture is prepared anew, never sent as it is under the name of what was prepared. */
static void forget_staged(Hoist *e, Job *job)
{
    GError *error = NULL;
    const uint64_t before = job_bytes(job);
    let_go_staged(e, job);
    g_clear_pointer(&job->rec.staged, g_free);
    g_clear_pointer(&job->rec.recipe, g_free);
    job->rec.prepared = false;
    if (!store_job_unprepared(e->store, job->rec.id, &error))
        engine_store_trouble(e, error);
    engine_count(e, job->rec.state, before, job->rec.state, job_bytes(job));
}

/* A picture that an earlier run prepared counts only as long as its source is what it was then. */
static bool is_out_of_date(const Job *job)
{
    struct stat st;
    SourceId now = { 0 };
    if (stat(job->rec.path, &st) == 0)
        source_id_of_stat(&now, &st);
    return !source_id_same(&now, &job->rec.src);
}

static bool hold(Hoist *e, Job *job, const char *staged)
{
    if (staged == NULL || job_holds(job, staged))
        return true;
    if (!imgpool_hold(e->imgpool, staged))
        return false;
    g_ptr_array_add(job->held, g_strdup(staged));
    return true;
}

/* All that is still to be sent of it, so that none makes room for another picture meanwhile. */
static bool hold_all(Hoist *e, Job *job)
{
    bool held = hold(e, job, job->rec.staged);
    for (guint i = 0; held && job->rec.objects != NULL && i < job->rec.objects->len; i++) {
        const StoreObject *o = job->rec.objects->pdata[i];
        held = o->state != OBJECT_WAITS || hold(e, job, o->staged);
    }
    return held;
}

void engine_open_source(Hoist *e, Job *job)
{
    if (!hold_all(e, job))
        forget_staged(e, job);
    if (job->rec.staged != NULL)
        open_path(e, job, imgpool_staged_path(e->imgpool, job->rec.staged), NULL);
    else
        open_path(e, job, g_strdup(job->rec.path), &job->rec.src);
}

static Job *take_up(Hoist *e, const StoreJob *rec, Batch *b)
{
    GError *error = NULL;
    Job *job = job_new(rec, b);
    g_hash_table_insert(e->jobs, &job->rec.id, job);
    if (store_job_objects(e->store, &job->rec, &error)) {
        if (b->broken == NULL)
            return job;
        error = g_error_copy(b->broken);
    }
    if (engine_is_trouble(error) && b->broken == NULL) {
        engine_store_trouble(e, error);
        engine_drop(e, job);
    } else {
        engine_fail(e, job, error);
    }
    return NULL;
}

static void start_job(Hoist *e, const StoreJob *rec)
{
    if (g_hash_table_contains(e->jobs, &rec->id))
        return;
    Batch *b = engine_batch(e, rec->batch);
    if (b == NULL || b->dest->paused)
        return;
    Job *job = take_up(e, rec, b);
    if (job == NULL)
        return;
    if ((job->rec.staged != NULL || job->rec.objects != NULL) && is_out_of_date(job))
        forget_staged(e, job);
    engine_open_source(e, job);
}

static GArray *paused_dests(const Hoist *e)
{
    GArray *ids = g_array_new(FALSE, FALSE, sizeof(int64_t));
    GHashTableIter it;
    gpointer value;
    g_hash_table_iter_init(&it, e->dests);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        const Dest *d = value;
        if (d->paused)
            g_array_append_val(ids, d->row.id);
    }
    return ids;
}

static unsigned in_preparation(const Hoist *e)
{
    return e->n_opening + queue_length(&e->ready);
}

/* A page of the due rows behind the place, which moves along; NULL: the store failed. */
static GPtrArray *take_due(Hoist *e, int64_t now_ns, StorePlace *place)
{
    g_autoptr(GPtrArray) due = g_ptr_array_new_with_free_func((GDestroyNotify)store_job_free);
    g_autoptr(GArray) not_to = paused_dests(e);
    GError *error = NULL;
    if (store_jobs_due(e->store, now_ns, not_to, &place->pos, &place->id, DUE_PAGE, due, &error))
        return g_steal_pointer(&due);
    engine_store_trouble(e, error);
    return NULL;
}

/* By its name alone. */
static bool seems_picture(Hoist *e, const StoreJob *rec)
{
    const Batch *b = engine_batch(e, rec->batch);
    if (b == NULL || b->renditions.n == 0 || rec->prepared)
        return false;
    g_autofree char *type = mime_of(rec->path, NULL, 0);
    return imgpool_takes(type, b->renditions.vectors);
}

/* So many pictures wait for the workers that no more are taken up. What lies behind them and needs no preparing goes before them; how far
 * that was looked for is remembered, so that each row is passed but once. */
static void look_past_pictures(Hoist *e, int64_t now_ns)
{
    StorePlace *far = &e->far;
    if (far->pos < e->cursor.pos || (far->pos == e->cursor.pos && far->id < e->cursor.id))
        *far = e->cursor;
    for (unsigned page = 0; page < FAR_PAGES && !e->far_done && in_preparation(e) < ahead(e) && e->parked->len < 2 * ENGINE_MAX_PARKED;
         page++) {
        g_autoptr(GPtrArray) due = take_due(e, now_ns, far);
        if (due == NULL)
            return;
        for (guint i = 0; i < due->len; i++)
            if (!seems_picture(e, due->pdata[i]))
                start_job(e, due->pdata[i]);
        e->far_done = due->len < DUE_PAGE;
        e->at_once = e->at_once || (page + 1 == FAR_PAGES && !e->far_done);
    }
}

void engine_fill(Hoist *e)
{
    int64_t now_ns = engine_now_ns();
    if (e->next_due_ns > now_ns + SETTLE_NS) /* none waits longer: the clock was set back since */
        now_ns = e->next_due_ns;
    if (e->next_due_ns != 0 && e->next_due_ns <= now_ns) {
        e->next_due_ns = 0;
        engine_look_again(e);
    }
    while (!e->paused && !e->due_done && in_preparation(e) < ahead(e) && e->parked->len < ENGINE_MAX_PARKED) {
        g_autoptr(GPtrArray) due = take_due(e, now_ns, &e->cursor);
        if (due == NULL)
            return;
        for (guint i = 0; i < due->len; i++)
            start_job(e, due->pdata[i]);
        e->due_done = due->len < DUE_PAGE;
        GError *error = NULL;
        if (e->due_done && !store_next_due(e->store, now_ns, &e->next_due_ns, &error))
            engine_store_trouble(e, error);
    }
    if (!e->paused && !e->due_done && e->parked->len >= ENGINE_MAX_PARKED)
        look_past_pictures(e, now_ns);
}

/* ------------------------------------------------------------------ ready */

/* Ready: waits for a slot. */
static void make_ready(Hoist *e, Job *job)
{
    GError *error = NULL;
    if (!engine_plan(e, job, &error)) {
        if (engine_is_trouble(error)) { /* says nothing of the file, which is taken again after it */
            engine_store_trouble(e, error);
            engine_drop(e, job);
        } else {
            engine_fail(e, job, error);
        }
        return;
    }
    if (job->in_slot) {
        engine_go_on(e, job);
        return;
    }
    if (job->state == HOIST_PREPARING)
        job_enter(job, HOIST_QUEUED);
    queue_push(&e->ready, job, job_bytes(job));
}

void engine_send_prepared(Hoist *e, Job *job)
{
    if (job->rec.staged == NULL) {
        make_ready(e, job);
        return;
    }
    close(job->fd);
    job->fd = -1;
    g_clear_pointer(&job->content, g_bytes_unref);
    g_clear_pointer(&job->content_type, g_free);
    engine_open_source(e, job);
}

/* ------------------------------------------------------------------ results */

/* What has to be prepared first gives its slot to others. */
static void look_afresh(Hoist *e, Job *job)
{
    if (!job->in_slot) {
        engine_open_source(e, job);
        return;
    }
    engine_drop(e, job);
    engine_look_again(e);
}

/* The file is another one now: nothing of what was done for it counts. */
static void take_new_identity(Hoist *e, Job *job, const SourceId *found)
{
    GError *error = NULL;
    const uint64_t before = job_bytes(job);
    engine_release_staged(e, job);
    engine_acked(e, &job->rec, 0);
    if (!store_job_source(e->store, job->rec.id, found, &error))
        engine_store_trouble(e, error);
    job_forget_objects(job);
    g_clear_pointer(&job->rec.staged, g_free);
    g_clear_pointer(&job->rec.recipe, g_free);
    job->rec.prepared = false;
    g_free(job->rec.note);
    job->rec.note = g_strdup("the file changed after it was queued: sent as it is now");
    job->rec.src = *found;
    engine_count(e, job->rec.state, before, job->rec.state, job_bytes(job));
    look_afresh(e, job);
}

static void not_opened(Hoist *e, Job *job, PrepTask *task)
{
    const FaultCode code = fault_code(task->error);
    const bool first = job->restarts++ == 0;
    if (job->rec.staged != NULL && code == FAULT_SOURCE_MISSING && first) { /* somebody emptied the cache */
        engine_release(e, job, job->rec.staged);
        forget_staged(e, job);
        look_afresh(e, job);
    } else if (code == FAULT_SOURCE_CHANGED && task->found.ino != 0 && first) {
        take_new_identity(e, job, &task->found);
    } else if (code == FAULT_SOURCE_CHANGED) { /* it is being written to: given time to settle */
        engine_start_over(e, job, g_steal_pointer(&task->error));
    } else {
        engine_fail(e, job, g_steal_pointer(&task->error));
    }
}

/* "--types": told by the content, so not before it was looked at. */
static bool skip_type(Hoist *e, Job *job)
{
    if (job->rec.staged != NULL || settings_type_allowed(job->batch->settings, job->content_type))
        return false;
    g_autoptr(GError) why = NULL;
    fault_set(&why, FAULT_TYPE, "its type %s is not among --types", job->content_type);
    g_autofree char *note = g_strdup_printf("skipped: %s", why->message);
    engine_skip(e, job, why, note);
    return true;
}

static void on_opened(Hoist *e, PrepTask *task)
{
    Job *job = task->user;
    job->opening = NULL;
    e->n_opening--;
    if (task->error != NULL) {
        not_opened(e, job, task);
        return;
    }
    job->fd = task->fd;
    task->fd = -1;
    job->sent_id = task->found;
    job->content = g_steal_pointer(&task->content);
    job->content_digest = task->set;
    job->content_type = g_steal_pointer(&task->content_type);
    if (skip_type(e, job))
        return;
    if (!engine_wants_image(job))
        make_ready(e, job);
    else if (job->in_slot)
        look_afresh(e, job);
    else
        engine_prepare_image(e, job);
}

static void on_task(Hoist *e, PrepTask *task)
{
    if (task->user == NULL)
        return; /* withdrawn meanwhile */
    if (task->user == &e->look)
        engine_look_opened(e, task);
    else if (task->kind == PREP_OPEN)
        on_opened(e, task);
    else
        engine_hashed(e, task->user, task);
}

void engine_take_prepared(Hoist *e)
{
    PrepTask *task;
    while ((task = prep_take(e->prep)) != NULL) {
        on_task(e, task);
        prep_task_free(task);
    }
    ImgOutcome *outcome;
    while ((outcome = imgpool_take(e->imgpool)) != NULL) {
        if (outcome->user == &e->look)
            engine_looked(e, outcome);
        else
            engine_imaged(e, outcome);
        imgpool_outcome_free(outcome);
    }
    engine_look_on(e);
    engine_unpark(e);
}

/* Back to the store's queue for a moment, so that a file being written to can settle; then it is looked at afresh. */
void engine_reopen(Hoist *e, Job *job)
{
    const bool anew = job->rec.objects == NULL || fault_code(job->fault) == FAULT_SOURCE_CHANGED; /* else objects that are there stay */
    const uint64_t before = job_bytes(job);
    engine_withdraw(e, job);
    if (anew)
        engine_release_staged(e, job);
    engine_reap_of(e, job);
    engine_acked(e, &job->rec, anew ? 0 : job->rec.stored_bytes);
    GError *error = NULL;
    const unsigned tries = job->rec.tries + 1;
    SourceId unknown = job->rec.src;
    if ((anew && !store_job_source(e->store, job->rec.id, &unknown, &error)) ||
        !store_job_queued(e->store, job->rec.id, tries, engine_now_ns() + SETTLE_NS,
                          job->fault != NULL ? hoist_fault_name(job->fault) : NULL, job->fault != NULL ? job->fault->message : NULL,
                          &error))
        engine_store_trouble(e, error);
    if (anew) {
        job_forget_objects(job);
        g_clear_pointer(&job->rec.staged, g_free);
    }
    engine_count(e, job->rec.state, before, HOIST_QUEUED, job_bytes(job));
    job->rec.state = HOIST_QUEUED;
    if (job->state != HOIST_QUEUED)
        job_enter(job, HOIST_QUEUED);
    job->tries = tries;
    job->retry_at_us = engine_now_us() + SETTLE_NS / 1000;
    engine_tell_row(e, job, HOIST_ROW_RETRY);
    engine_drop(e, job);
    const int64_t due_ns = engine_now_ns() + SETTLE_NS;
    e->next_due_ns = e->next_due_ns == 0 ? due_ns : MIN(e->next_due_ns, due_ns);
}

void engine_start_over(Hoist *e, Job *job, GError *error)
{
    if (job->rec.tries >= ENGINE_RESTARTS) {
        engine_fail(e, job, error);
        return;
    }
    g_clear_error(&job->fault);
    job->fault = error;
    engine_reopen(e, job);
}

/* ------------------------------------------------------------------ what an earlier run left */

void engine_finish(Hoist *e, const StoreJob *rec)
{
    Batch *b = engine_batch(e, rec->batch);
    Job *job = b != NULL ? take_up(e, rec, b) : NULL;
    if (job != NULL)
        engine_begin_close(e, job);
}

bool engine_requeue(Hoist *e, StoreJob *rec, HoistState *now_out, GError **error)
{
    StoreUpload u = { 0 };
    bool found = false;
    bool ok = store_upload_of_job(e->store, rec->id, &u, &found, error);
    *now_out = found && u.state == UPLOAD_ANNOUNCING ? HOIST_COMPLETING : HOIST_QUEUED;
    store_upload_clear(&u);
    if (!ok || *now_out == HOIST_QUEUED)
        return ok && store_job_queued(e->store, rec->id, 0, 0, NULL, NULL, error);
    if (!store_job_completing(e->store, rec->id, error))
        return false;
    rec->state = HOIST_COMPLETING;
    g_clear_pointer(&rec->fault, g_free);
    g_clear_pointer(&rec->cause, g_free);
    engine_finish(e, rec);
    return true;
}

static void finish_completing(Hoist *e, GError **error)
{
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)store_job_free);
    if (!store_jobs_in(e->store, HOIST_COMPLETING, 0, LEFT_OVER_PAGE, rows, error))
        return;
    for (guint i = 0; i < rows->len; i++)
        engine_finish(e, rows->pdata[i]);
}

static bool is_reaped(const Hoist *e, int64_t row)
{
    for (guint i = 0; i < e->reaps->len; i++)
        if (((const Reap *)e->reaps->pdata[i])->row == row)
            return true;
    return false;
}

void engine_reap_rows(Hoist *e, GError **error)
{
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)store_upload_free);
    if (!store_uploads_open(e->store, UPLOAD_ABORTING, rows, error))
        return;
    for (guint i = 0; i < rows->len; i++) {
        const StoreUpload *u = rows->pdata[i];
        StoreJob rec = { 0 };
        if (is_reaped(e, u->id))
            continue;
        int64_t batch = 0;
        if (u->job != 0 && store_job_load(e->store, u->job, &rec, NULL))
            batch = rec.batch;
        else if (!store_batch_to(e->store, u->dest, &batch, error)) /* its file was forgotten: any batch knows the way */
            return;
        Batch *b = batch != 0 ? engine_batch(e, batch) : NULL;
        if (b != NULL && b->broken == NULL)
            engine_reap(e, b, u, rec.state == HOIST_CANCELLING ? rec.id : 0);
        store_job_clear(&rec);
    }
}

static void cancelling_page(Hoist *e, const GPtrArray *rows, GError **error)
{
    for (guint i = 0; i < rows->len; i++) {
        const StoreJob *rec = rows->pdata[i];
        StoreUpload u = { 0 };
        bool found = false;
        bool reaping = false;
        for (guint k = 0; k < e->reaps->len; k++)
            reaping = reaping || ((const Reap *)e->reaps->pdata[k])->job == rec->id;
        if (!reaping && store_upload_of_job(e->store, rec->id, &u, &found, error) && !found &&
            store_job_cancelled(e->store, rec->id, error))
            engine_count(e, HOIST_CANCELLING, store_job_bytes(rec), HOIST_CANCELLED, store_job_bytes(rec));
        store_upload_clear(&u);
    }
}

static void finish_cancelling(Hoist *e, GError **error)
{
    for (int64_t after_id = 0; *error == NULL;) {
        g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)store_job_free);
        if (!store_jobs_in(e->store, HOIST_CANCELLING, after_id, LEFT_OVER_PAGE, rows, error) || rows->len == 0)
            return;
        after_id = ((const StoreJob *)rows->pdata[rows->len - 1])->id;
        cancelling_page(e, rows, error);
    }
}

void engine_finish_left_over(Hoist *e)
{
    GError *error = NULL;
    finish_completing(e, &error);
    engine_store_trouble(e, g_steal_pointer(&error));
    engine_reap_rows(e, &error);
    engine_store_trouble(e, g_steal_pointer(&error));
    finish_cancelling(e, &error);
    engine_store_trouble(e, error);
}
