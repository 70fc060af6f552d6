#include "engine.h"

#include <string.h>
#include <time.h>

#include "crash.h"

enum { START_SLOTS = 3, STORE_RETRY_US = 5 * 1000 * 1000, SLOW_CLIENT_US = 10 * 1000 };

int64_t engine_now_us(void)
{
    return g_get_monotonic_time();
}

int64_t engine_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

double engine_random01(void)
{
    return g_random_double();
}

void engine_count(Hoist *e, HoistState from, uint64_t from_bytes, HoistState to, uint64_t to_bytes)
{
    if (from < HOIST_N_STATES) {
        e->stored.files[from] -= MIN(e->stored.files[from], 1);
        e->stored.bytes[from] -= MIN(e->stored.bytes[from], from_bytes);
    }
    if (to < HOIST_N_STATES) {
        e->stored.files[to]++;
        e->stored.bytes[to] += to_bytes;
    }
    e->totals_dirty = true;
}

void engine_stored(Hoist *e, Job *job, HoistState to)
{
    engine_count(e, job->rec.state, job_bytes(job), to, job_bytes(job));
    job->rec.state = to;
}

void engine_acked(Hoist *e, StoreJob *rec, uint64_t bytes)
{
    e->stored.acked_bytes -= MIN(e->stored.acked_bytes, rec->acked_bytes);
    e->stored.acked_bytes += bytes;
    rec->acked_bytes = bytes;
}

void engine_look_again(Hoist *e)
{
    e->cursor = e->far = (StorePlace){ G_MININT64, 0 };
    e->due_done = e->far_done = false;
}

bool engine_is_trouble(const GError *error)
{
    const FaultCode code = fault_code(error);
    return (code >= FAULT_STORE_FULL && code <= FAULT_STORE_IO) || code == FAULT_MEMORY;
}

void engine_store_trouble(Hoist *e, GError *error)
{
    if (error == NULL)
        return;
    const int64_t now_us = engine_now_us();
    if (!engine_is_trouble(error)) { /* one write that cannot be: no reason to stop the others */
        engine_tell_notice(e, error, "%s", error->message);
        g_error_free(error);
        return;
    }
    if (fault_code(error) == FAULT_STORE_CORRUPT) {
        e->fatal = true;
        HoistEvent *ev = g_new0(HoistEvent, 1);
        ev->kind = HOIST_EVENT_FATAL;
        ev->text = g_strdup(error->message);
        ev->fault = g_strdup(hoist_fault_name(error));
        engine_tell(e, ev);
    } else if (e->store_retry_us == 0) {
        engine_tell_notice(e, error, "%s; nothing new is started until it can be written again", error->message);
    }
    if (e->store_retry_us <= now_us) /* whoever fails meanwhile does not put it off */
        e->store_retry_us = now_us + STORE_RETRY_US;
    g_error_free(error);
}

/* What was counted while the store did not answer as written may be off. */
void engine_recount(Hoist *e)
{
    GError *error = NULL;
    HoistTotals now;
    if (!store_totals(e->store, &now, &error)) {
        engine_store_trouble(e, error);
        return;
    }
    memcpy(e->stored.files, now.files, sizeof now.files);
    memcpy(e->stored.bytes, now.bytes, sizeof now.bytes);
    e->stored.acked_bytes = now.acked_bytes;
    e->totals_dirty = true;
}

/* True when everything announced so far is in the store, so that requests may go out. */
static bool commit(Hoist *e, int64_t now_us)
{
    if (e->store_retry_us > now_us)
        return false;
    GError *error = NULL;
    if (!store_commit(e->store, &error) || (store_barrier_due(e->store, now_us) && !store_barrier(e->store, &error))) {
        engine_store_trouble(e, error);
        return false;
    }
    if (e->store_retry_us != 0) {
        e->store_retry_us = 0;
        engine_tell_notice(e, NULL, "the queue can be written again: going on");
        engine_recount(e);
        engine_look_again(e);
        engine_obey_put_off(e);
        e->at_once = true; /* what stood still goes on in the next turn */
    }
    if (e->rescan)
        engine_rescan(e);
    return true;
}

/* How long the loop may sleep: -1 = until something happens. */
static int sleep_ms(const Hoist *e, int64_t next_us, int64_t now_us)
{
    if (e->next_due_ns != 0 && e->store_retry_us == 0) {
        const int64_t in_us = (e->next_due_ns - engine_now_ns()) / 1000;
        next_us = next_us == 0 ? now_us + in_us : MIN(next_us, now_us + in_us);
    }
    const int store_ms = e->store_retry_us != 0 ? -1 : store_wait_ms(e->store, now_us);
    if (store_ms >= 0)
        next_us = next_us == 0 ? now_us + 1000 * store_ms : MIN(next_us, now_us + 1000 * store_ms);
    if (e->store_retry_us != 0)
        next_us = next_us == 0 ? e->store_retry_us : MIN(next_us, e->store_retry_us);
    if ((e->adding->len > 0 || e->bulk.length > 0) && engine_client_is_slow(e))
        next_us = next_us == 0 ? now_us + SLOW_CLIENT_US : MIN(next_us, now_us + SLOW_CLIENT_US);
    if (next_us == 0)
        return -1;
    return (int)CLAMP((next_us - now_us + 999) / 1000, 0, 60000);
}

static bool more_at_once(const Hoist *e)
{
    return e->at_once || mailbox_length(e->commands) > 0;
}

static void *engine_thread(void *ctx)
{
    Hoist *e = ctx;
    if (e->notice != NULL)
        engine_tell_notice(e, NULL, "%s", e->notice);
    engine_recount(e); /* a million rows take a while, for which no client is kept waiting */
    engine_finish_left_over(e);
    engine_rescan(e);
    engine_take_inbox(e);
    while (!atomic_load(&e->stop) && !e->fatal) {
        int64_t next_us = 0;
        e->at_once = false;
        engine_obey(e);
        engine_bulk(e);
        engine_take_chunks(e);
        engine_take_prepared(e);
        engine_read_answers(e);
        engine_pump_due(e, engine_now_us(), &next_us);
        if (e->store_retry_us == 0) {
            engine_fill(e);
            engine_begin(e);
        }
        const int64_t now_us = engine_now_us();
        if (commit(e, now_us)) {
            engine_send_outbox(e);
            engine_reap_due(e, now_us, &next_us);
        }
        engine_publish(e, now_us, &next_us);
        engine_tell_now(e);
        transfer_wait(e->transfer, more_at_once(e) ? 0 : sleep_ms(e, next_us, now_us), store_poke_fd(e->store));
        engine_take_inbox(e);
    }
    if (!e->fatal)
        engine_obey_last(e);
    engine_tell_now(e);
    return NULL;
}

/* ------------------------------------------------------------------ open and close */

static void wake_engine(void *ctx)
{
    Hoist *e = ctx;
    transfer_wake(e->transfer);
}

static void wake_client(void *ctx)
{
    Hoist *e = ctx;
    if (e->wake != NULL)
        e->wake(e->wake_ctx);
}

static void slots_from_settings(Hoist *e)
{
    const unsigned fixed = (unsigned)hoist_settings_number(e->settings, "jobs");
    jobs_init(&e->slots, fixed, START_SLOTS, ENGINE_MAX_SLOTS);
}

/* One for each queue: two hoists on two queues must not tidy up each other's pictures. */
static char *spool_dir(const char *state_dir)
{
    DigestSet set;
    digest_of(DIGEST_BIT(DIGEST_CRC32C), state_dir, strlen(state_dir), &set);
    g_autofree char *name = digest_hex(set.value[DIGEST_CRC32C], digest_bytes(DIGEST_CRC32C));
    return g_build_filename(g_get_user_cache_dir(), HOIST_APP, "spool", name, NULL);
}

static bool open_parts(Hoist *e, GError **error)
{
    e->state_dir = hoist_state_dir(e->settings);
    e->store = store_open(e->state_dir, &e->notice, error);
    if (e->store == NULL)
        return false;
    e->aws_warnings = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) unread = NULL; /* a destination that needs the files says so itself */
    e->aws = aws_config_load(creds_env_process, NULL, e->aws_warnings, &unread);
    g_autofree char *ca = creds_ca_bundle(e->aws, hoist_settings_get(e->settings, "profile"), creds_env_process, NULL);
    const TransferConf conf = { .max_connections = ENGINE_MAX_CONNECTIONS,
                                .limit_bps = e->limit_bps,
                                .ca_file = ca,
                                .stall_ms = crash_stall_ms(),
                                .answer_ms = crash_stall_ms() };
    e->transfer = transfer_new(&conf, error);
    if (e->transfer == NULL)
        return false;
    e->prep = prep_new(g_get_num_processors(), wake_engine, e);
    if (e->prep == NULL)
        return false;
    g_autofree char *spool = spool_dir(e->state_dir);
    const ImgPoolConf images = { .spool_dir = spool,
                                 .spool_bytes = hoist_settings_number(e->settings, "spool-size"),
                                 .workers = (unsigned)hoist_settings_number(e->settings, "image-workers") };
    e->imgpool = imgpool_new(&images, wake_engine, e, error);
    return e->imgpool != NULL;
}

static void engine_delete(Hoist *e)
{
    /* first whoever could wake the transfer module from another thread */
    g_clear_pointer(&e->prep, prep_free);
    g_clear_pointer(&e->imgpool, imgpool_free);
    g_clear_pointer(&e->adding, g_ptr_array_unref);
    g_clear_pointer(&e->transfer, transfer_free);
    g_clear_pointer(&e->reaps, g_ptr_array_unref);
    g_clear_pointer(&e->jobs, g_hash_table_unref);
    g_clear_pointer(&e->batches, g_hash_table_unref);
    g_clear_pointer(&e->dests, g_hash_table_unref);
    g_clear_pointer(&e->endpoints, g_hash_table_unref);
    g_clear_pointer(&e->parked, g_ptr_array_unref);
    g_clear_pointer(&e->active, g_ptr_array_unref);
    g_clear_pointer(&e->outbox, g_ptr_array_unref);
    g_queue_clear_full(&e->bulk, bulk_free);
    g_queue_clear_full(&e->put_off, (GDestroyNotify)hoist_command_free);
    g_queue_clear_full(&e->untold, (GDestroyNotify)hoist_event_free);
    queue_clear(&e->ready);
    g_clear_pointer(&e->aws, aws_config_free);
    g_clear_pointer(&e->aws_warnings, g_ptr_array_unref);
    store_close(e->store);
    mailbox_free(e->commands);
    mailbox_free(e->events);
    hoist_settings_free(e->settings);
    g_free(e->state_dir);
    g_free(e->notice);
    g_free(e);
}

static void free_job(gpointer job)
{
    job_free(job);
}

Hoist *hoist_open(const HoistSettings *settings, unsigned flags, HoistWake wake, void *ctx, GError **error)
{
    Hoist *e = g_new0(Hoist, 1);
    (void)fault_quark();
    e->settings = hoist_settings_dup(settings);
    e->flags = flags;
    e->wake = wake;
    e->wake_ctx = ctx;
    e->paused = (flags & HOIST_OPEN_PAUSED) != 0;
    e->commands = mailbox_new(wake_engine, e, (GDestroyNotify)hoist_command_free);
    e->events = mailbox_new(wake_client, e, (GDestroyNotify)hoist_event_free);
    e->jobs = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, free_job);
    e->batches = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, batch_free);
    e->dests = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, dest_free);
    e->endpoints = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, endpoint_free);
    e->adding = g_ptr_array_new_with_free_func(adding_free);
    e->reaps = g_ptr_array_new_with_free_func(reap_free);
    e->parked = g_ptr_array_new();
    e->active = g_ptr_array_new();
    e->outbox = g_ptr_array_new();
    g_queue_init(&e->bulk);
    g_queue_init(&e->put_off);
    g_queue_init(&e->untold);
    e->look.fd = -1;
    queue_init(&e->ready, job_by_place);
    slots_from_settings(e);
    e->limit_bps = hoist_settings_number(settings, "limit");
    engine_look_again(e);
    if (!open_parts(e, error) || pthread_create(&e->thread, NULL, engine_thread, e) != 0) {
        fault_set(error, FAULT_MEMORY, "cannot start a thread");
        engine_delete(e);
        return NULL;
    }
    return e;
}

/* What is out is called back; finished parts and learned facts are in the store. */
static void withdraw_all(Hoist *e)
{
    GHashTableIter it;
    gpointer job;
    g_hash_table_iter_init(&it, e->jobs);
    while (g_hash_table_iter_next(&it, NULL, &job))
        engine_withdraw(e, job);
    engine_look_end(e);
    for (guint i = 0; i < e->reaps->len; i++) {
        Reap *reap = e->reaps->pdata[i];
        if (reap->sending != NULL)
            transfer_cancel(e->transfer, reap->sending);
        reap->sending = NULL;
    }
}

void hoist_close(Hoist *e)
{
    if (e == NULL)
        return;
    atomic_store(&e->stop, true);
    transfer_wake(e->transfer);
    pthread_join(e->thread, NULL);
    withdraw_all(e);
    engine_delete(e);
}

void hoist_send(Hoist *e, HoistCommand *cmd)
{
    atomic_fetch_add(&e->sent, 1);
    mailbox_send(e->commands, cmd);
}

HoistEvent *hoist_take(Hoist *e)
{
    HoistEvent *ev = mailbox_take(e->events);
    while (ev != NULL && ev->kind == HOIST_EVENT_IDLE && ev->obeyed != atomic_load(&e->sent)) {
        hoist_event_free(ev);
        ev = mailbox_take(e->events);
    }
    return ev;
}
