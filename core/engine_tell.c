#include "engine.h"

enum { ROWS_EVERY_US = 100 * 1000, TOTALS_EVERY_US = 500 * 1000 };

void engine_tell(Hoist *e, HoistEvent *ev)
{
    g_queue_push_tail(&e->untold, ev);
}

void engine_tell_now(Hoist *e)
{
    HoistEvent *ev;
    while ((ev = g_queue_pop_head(&e->untold)) != NULL)
        mailbox_send(e->events, ev);
}

void hoist_event_free(HoistEvent *ev)
{
    if (ev == NULL)
        return;
    hoist_row_free(ev->row);
    g_free(ev->totals);
    preview_free(ev->preview);
    if (ev->picture != NULL)
        g_bytes_unref(ev->picture->rgb);
    g_free(ev->picture);
    g_free(ev->path);
    g_free(ev->text);
    g_free(ev->fault);
    g_free(ev);
}

static unsigned wanted_by(HoistRowChange change)
{
    if (change == HOIST_ROW_PROGRESS)
        return HOIST_WANT_PROGRESS;
    return change == HOIST_ROW_FAILED ? HOIST_WANT_ROWS | HOIST_WANT_FAILURES : HOIST_WANT_ROWS;
}

void engine_tell_row(Hoist *e, Job *job, HoistRowChange change)
{
    job->dirty = false;
    if ((e->flags & wanted_by(change)) == 0)
        return;
    HoistEvent *ev = g_new0(HoistEvent, 1);
    ev->kind = HOIST_EVENT_ROW;
    ev->change = change;
    const bool objects = change == HOIST_ROW_DONE || change == HOIST_ROW_PREPARED;
    ev->row = job_row(job, job->batch->dest->row.name, e->transfer, engine_now_us(), objects);
    engine_tell(e, ev);
}

void engine_tell_rest(Hoist *e, const StoreJob *rec, HoistState state, HoistRowChange change)
{
    e->list_dirty = true;
    if ((e->flags & HOIST_WANT_ROWS) == 0)
        return;
    const Batch *b = engine_batch(e, rec->batch);
    Job shown = { .rec = *rec, .state = state, .acked_bytes = rec->acked_bytes, .sent_bytes = rec->acked_bytes };
    HoistEvent *ev = g_new0(HoistEvent, 1);
    ev->kind = HOIST_EVENT_ROW;
    ev->change = change;
    shown.rec.objects = NULL;
    (void)store_job_objects(e->store, &shown.rec, NULL); /* for the key of the first */
    ev->row = job_row(&shown, b != NULL ? b->dest->row.name : NULL, NULL, 0, false);
    g_clear_pointer(&shown.rec.objects, g_ptr_array_unref);
    engine_tell(e, ev);
}

void engine_tell_notice(Hoist *e, const GError *error, const char *format, ...)
{
    HoistEvent *ev = g_new0(HoistEvent, 1);
    ev->kind = HOIST_EVENT_NOTICE;
    va_list args;
    va_start(args, format);
    ev->text = g_strdup_vprintf(format, args);
    va_end(args);
    ev->fault = error != NULL ? g_strdup(hoist_fault_name(error)) : NULL;
    engine_tell(e, ev);
}

void engine_tell_skipped(Hoist *e, const char *path, const GError *error, bool by_rule)
{
    e->stored.skipped++;
    e->stored.run_skipped++;
    e->totals_dirty = true;
    HoistEvent *ev = g_new0(HoistEvent, 1);
    ev->kind = HOIST_EVENT_SKIPPED;
    ev->path = g_strdup(path);
    ev->text = g_strdup(error->message);
    ev->fault = g_strdup(hoist_fault_name(error));
    ev->number = by_rule;
    engine_tell(e, ev);
}

static bool a_dest_is_paused(const Hoist *e)
{
    GHashTableIter it;
    gpointer value;
    g_hash_table_iter_init(&it, e->dests);
    while (g_hash_table_iter_next(&it, NULL, &value))
        if (((const Dest *)value)->paused)
            return true;
    return false;
}

/* The store's counts, moved by what the files in memory are doing ahead of it. */
HoistTotals engine_totals(Hoist *e, int64_t now_us)
{
    HoistTotals t = e->stored;
    GHashTableIter it;
    gpointer value;
    uint64_t left = 0;
    g_hash_table_iter_init(&it, e->jobs);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        const Job *job = value;
        t.files[job->rec.state]--;
        t.bytes[job->rec.state] -= job_bytes(job);
        t.files[job->state]++;
        t.bytes[job->state] += job_bytes(job);
        if (job->acked_bytes > job->rec.acked_bytes)
            t.acked_bytes += job->acked_bytes - job->rec.acked_bytes;
    }
    for (int s = HOIST_QUEUED; s <= HOIST_COMPLETING; s++)
        left += s == HOIST_DONE ? 0 : t.bytes[s];
    left -= MIN(left, t.acked_bytes);
    t.bps = e->active->len > 0 ? rate_bps(&e->meter) : 0;
    t.eta_s = left > 0 ? rate_eta_s(&e->meter, left, now_us) : -1;
    t.active = e->active->len;
    t.preparing = e->n_imaging;
    t.slots = e->slots.now;
    t.auto_slots = !e->slots.fixed;
    t.paused = e->paused || (e->active->len == 0 && a_dest_is_paused(e));
    t.scanning = e->adding->len > 0;
    t.limit_bps = e->limit_bps;
    return t;
}

bool engine_is_idle(const Hoist *e)
{
    for (guint i = 0; i < e->reaps->len; i++)
        if (((const Reap *)e->reaps->pdata[i])->batch->broken == NULL)
            return false;
    const bool none_due = e->paused || (e->due_done && e->next_due_ns == 0);
    return none_due && e->adding->len == 0 && g_hash_table_size(e->jobs) == 0 && g_queue_is_empty((GQueue *)&e->bulk) && !e->rescan &&
           mailbox_length(e->commands) == 0 && e->store_retry_us == 0;
}

static uint64_t unfinished(const Hoist *e)
{
    return e->stored.files[HOIST_QUEUED] + e->stored.files[HOIST_FAILED] + e->stored.files[HOIST_PAUSED] +
           e->stored.files[HOIST_CANCELLING];
}

static void tell_idle(Hoist *e)
{
    GError *error = NULL;
    if (!store_barrier(e->store, &error)) { /* whoever reads the store now sees the end */
        engine_store_trouble(e, error);
        return;
    }
    if (unfinished(e) == 0)
        imgpool_sweep(e->imgpool, NULL); /* what cancelled files left */

    HoistEvent *ev = g_new0(HoistEvent, 1);
    ev->kind = HOIST_EVENT_IDLE;
    ev->number = (int64_t)unfinished(e);
    ev->obeyed = e->obeyed;
    e->idle_told = true;
    engine_tell(e, ev);
}

static void measure(Hoist *e, int64_t now_us)
{
    for (guint i = 0; i < e->active->len; i++) {
        Job *job = e->active->pdata[i];
        const uint64_t before = job->acked_bytes;
        job_measure(job, e->transfer, now_us);
        e->moved_bytes += job->acked_bytes - before;
    }
    rate_feed(&e->meter, e->moved_bytes, now_us);
    jobs_feed(&e->slots, rate_bps(&e->meter), e->active->len, now_us);
}

/* A row that stands still is told once a second, for its words ("no answer for 12 s"). */
static bool worth_telling(Job *job, int64_t now_us)
{
    if (job->told_acked_bytes == job->acked_bytes && job->told_sent_bytes == job->sent_bytes && now_us - job->told_us < G_USEC_PER_SEC &&
        !job->dirty)
        return false;
    job->told_acked_bytes = job->acked_bytes;
    job->told_sent_bytes = job->sent_bytes;
    job->told_us = now_us;
    return true;
}

static void tell_progress(Hoist *e, int64_t now_us)
{
    for (guint i = 0; i < e->active->len; i++)
        if (worth_telling(e->active->pdata[i], now_us))
            engine_tell_row(e, e->active->pdata[i], HOIST_ROW_PROGRESS);
    GHashTableIter it;
    gpointer value;
    g_hash_table_iter_init(&it, e->jobs);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        Job *job = value;
        if (job->dirty)
            engine_tell_row(e, job, HOIST_ROW_PROGRESS);
    }
}

static void tell_totals(Hoist *e, int64_t now_us)
{
    HoistEvent *ev = g_new0(HoistEvent, 1);
    const HoistTotals t = engine_totals(e, now_us);
    ev->kind = HOIST_EVENT_TOTALS;
    ev->totals = g_memdup2(&t, sizeof t);
    e->totals_dirty = false;
    engine_tell(e, ev);
}

static void tell_list(Hoist *e)
{
    HoistEvent *ev = g_new0(HoistEvent, 1);
    ev->kind = HOIST_EVENT_LIST;
    e->list_dirty = false;
    engine_tell(e, ev);
}

/* A client that does not read hears of it later, once. */
static void tell_counts(Hoist *e, int64_t now_us)
{
    if (engine_client_is_slow(e))
        return;
    if (e->list_dirty)
        tell_list(e);
    tell_totals(e, now_us);
}

void engine_publish(Hoist *e, int64_t now_us, int64_t *next_us)
{
    const bool idle = engine_is_idle(e);
    const bool transfers = e->active->len > 0, images = (e->flags & HOIST_WANT_PROGRESS) != 0 && engine_images_moved(e);
    const bool moving = transfers || images;
    if (moving && now_us - e->told_rows_us >= ROWS_EVERY_US) {
        e->told_rows_us = now_us;
        measure(e, now_us);
        if ((e->flags & HOIST_WANT_PROGRESS) != 0 && !engine_client_is_slow(e))
            tell_progress(e, now_us);
    }
    const bool due = now_us - e->told_totals_us >= TOTALS_EVERY_US;
    const bool works = transfers || e->n_imaging > 0;
    if ((idle && !e->idle_told) || ((works || e->totals_dirty || e->list_dirty) && due)) {
        e->told_totals_us = now_us;
        tell_counts(e, now_us);
    }
    if (idle && !e->idle_told)
        tell_idle(e);
    if (!idle)
        e->idle_told = false;
    const bool totals = works || e->totals_dirty || e->list_dirty;
    if (totals || moving) {
        const int64_t next =
            MIN(moving ? e->told_rows_us + ROWS_EVERY_US : G_MAXINT64, totals ? e->told_totals_us + TOTALS_EVERY_US : G_MAXINT64);
        *next_us = *next_us == 0 ? next : MIN(*next_us, next);
    }
}
