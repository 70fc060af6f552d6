#include "engine.h"

#include "command.h"

enum { BULK_PAGE = 500 };

/* One row, at rest in the store. */
typedef bool (*RowCommand)(Hoist *e, StoreJob *rec, HoistState *now_out, GError **error);

static bool pause_row(Hoist *e, StoreJob *rec, HoistState *now_out, GError **error)
{
    *now_out = HOIST_PAUSED;
    return rec->state == HOIST_QUEUED && store_job_paused(e->store, rec->id, true, error);
}

static bool resume_row(Hoist *e, StoreJob *rec, HoistState *now_out, GError **error)
{
    *now_out = HOIST_QUEUED;
    return rec->state == HOIST_PAUSED && store_job_paused(e->store, rec->id, false, error);
}

static bool retry_row(Hoist *e, StoreJob *rec, HoistState *now_out, GError **error)
{
    const bool lawful =
        rec->state == HOIST_FAILED || rec->state == HOIST_CANCELLED || (rec->state == HOIST_QUEUED && rec->not_before_ns > 0);
    if (!lawful || !engine_requeue(e, rec, now_out, error))
        return false;
    if (rec->state == HOIST_CANCELLED) /* which counts for nothing */
        engine_acked(e, rec, rec->stored_bytes);
    return true;
}

/* An open upload is aborted at the server first. */
static bool cancel_row(Hoist *e, StoreJob *rec, HoistState *now_out, GError **error)
{
    if (rec->state != HOIST_QUEUED && rec->state != HOIST_FAILED && rec->state != HOIST_PAUSED)
        return false;
    StoreUpload u = { 0 };
    bool found = false, ok = store_upload_of_job(e->store, rec->id, &u, &found, error);
    Batch *b = engine_batch(e, rec->batch);
    if (ok && found && u.state == UPLOAD_ANNOUNCING) { /* the object stays: there is nothing to abort */
        *now_out = HOIST_CANCELLED;
        ok = store_upload_state(e->store, u.id, UPLOAD_DONE, error) && store_job_cancelled(e->store, rec->id, error);
    } else if (ok && found && b != NULL) {
        *now_out = HOIST_CANCELLING;
        ok = store_job_cancelling(e->store, rec->id, error);
        engine_reap(e, b, &u, rec->id);
    } else if (ok) {
        *now_out = HOIST_CANCELLED;
        ok = store_job_cancelled(e->store, rec->id, error);
    }
    if (ok)
        engine_acked(e, rec, 0);
    store_upload_clear(&u);
    return ok;
}

/* What was begun of a failed one is given up: the row goes at once, the upload when the server has dropped it. */
static bool forget_row(Hoist *e, StoreJob *rec, HoistState *now_out, GError **error)
{
    *now_out = HOIST_N_STATES;
    if (rec->state != HOIST_DONE && rec->state != HOIST_FAILED && rec->state != HOIST_CANCELLED)
        return false;
    StoreUpload u = { 0 };
    bool found = false, ok = store_upload_of_job(e->store, rec->id, &u, &found, error);
    Batch *b = engine_batch(e, rec->batch);
    if (ok && found && u.state == UPLOAD_ANNOUNCING) {
        ok = store_upload_state(e->store, u.id, UPLOAD_DONE, error);
    } else if (ok && found && b != NULL) {
        ok = store_job_cancelled(e->store, rec->id, error);
        engine_reap(e, b, &u, 0);
    }
    if (ok && rec->state != HOIST_DONE)
        engine_acked(e, rec, 0);
    store_upload_clear(&u);
    return ok && store_job_forget(e->store, rec->id, error);
}

#define IN(state) (1u << (state))

static const struct {
    RowCommand run;
    unsigned all; /* states that --all means */
    bool wakes;   /* may make rows due */
} row_commands[] = {
    [HOIST_CMD_PAUSE] = { pause_row, IN(HOIST_QUEUED), false },
    [HOIST_CMD_RESUME] = { resume_row, IN(HOIST_PAUSED), true },
    [HOIST_CMD_RETRY] = { retry_row, IN(HOIST_FAILED), true },
    [HOIST_CMD_CANCEL] = { cancel_row, IN(HOIST_QUEUED) | IN(HOIST_FAILED) | IN(HOIST_PAUSED), false },
    [HOIST_CMD_FORGET] = { forget_row, IN(HOIST_DONE) | IN(HOIST_FAILED) | IN(HOIST_CANCELLED), false },
};

static bool is_row_command(HoistCommandKind kind)
{
    return (size_t)kind < G_N_ELEMENTS(row_commands) && row_commands[kind].run != NULL;
}

/* A file at work is laid back into the store first; then all rows are alike. False: it cannot be stopped any more. */
static bool lay_back(Hoist *e, HoistCommandKind kind, int64_t id)
{
    Job *job = g_hash_table_lookup(e->jobs, &id);
    if (job == NULL)
        return true;
    if (job->state == HOIST_COMPLETING)
        return false;
    if (kind == HOIST_CMD_RETRY) {
        walk_hurry(&job->walk);
        job->wake_us = engine_now_us();
        return false;
    }
    if (kind != HOIST_CMD_PAUSE && kind != HOIST_CMD_CANCEL)
        return false;
    if (kind == HOIST_CMD_CANCEL)
        engine_release_staged(e, job);
    engine_drop(e, job);
    return true;
}

/* False: the store is in trouble, try again. */
static bool command_row(Hoist *e, HoistCommandKind kind, int64_t id)
{
    if (!lay_back(e, kind, id))
        return true;
    GError *error = NULL;
    StoreJob rec = { 0 };
    HoistState now = HOIST_QUEUED;
    const bool loaded = store_job_load(e->store, id, &rec, &error);
    const HoistState before = rec.state;
    if (loaded && row_commands[kind].run(e, &rec, &now, &error)) {
        engine_count(e, before, store_job_bytes(&rec), now, store_job_bytes(&rec));
        if (now < HOIST_N_STATES)
            engine_tell_rest(e, &rec, now, HOIST_ROW_STATE);
        e->list_dirty = true;
    }
    store_job_clear(&rec);
    const bool trouble = engine_is_trouble(error);
    if (trouble)
        engine_store_trouble(e, g_steal_pointer(&error));
    g_clear_error(&error); /* else there is no such row, or it cannot be so */
    return !trouble;
}

void bulk_free(gpointer data)
{
    Bulk *bulk = data;
    if (bulk->ids != NULL)
        g_array_unref(bulk->ids);
    g_free(bulk);
}

static void add_bulk(Hoist *e, HoistCommandKind kind, int state, GArray *ids_or_null)
{
    Bulk *bulk = g_new0(Bulk, 1);
    *bulk = (Bulk){ .kind = kind, .state = state, .ids = ids_or_null != NULL ? g_array_ref(ids_or_null) : NULL };
    g_queue_push_tail(&e->bulk, bulk);
    e->idle_told = false;
}

static bool next_page(Hoist *e, const Bulk *bulk, GArray *ids_out, GError **error)
{
    if (bulk->ids == NULL)
        return store_ids_in(e->store, bulk->state, bulk->after_id, BULK_PAGE, ids_out, error);
    g_array_append_vals(ids_out, &g_array_index(bulk->ids, int64_t, bulk->next), MIN(BULK_PAGE, bulk->ids->len - bulk->next));
    return true;
}

static void bulk_page(Hoist *e)
{
    Bulk *bulk = g_queue_peek_head(&e->bulk);
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(int64_t));
    GError *error = NULL;
    if (!next_page(e, bulk, ids, &error)) {
        engine_store_trouble(e, error);
        return;
    }
    for (guint i = 0; i < ids->len; i++) {
        const int64_t id = g_array_index(ids, int64_t, i);
        if (!command_row(e, bulk->kind, id))
            return;
        bulk->after_id = id;
        bulk->next++;
    }
    if (ids->len == BULK_PAGE)
        return;
    if (row_commands[bulk->kind].wakes)
        engine_look_again(e);
    bulk_free(g_queue_pop_head(&e->bulk));
}

void engine_bulk(Hoist *e)
{
    if (g_queue_is_empty(&e->bulk) || e->store_retry_us != 0 || engine_client_is_slow(e))
        return;
    bulk_page(e);
    e->at_once = e->at_once || !g_queue_is_empty(&e->bulk);
}

static void command_rows(Hoist *e, const HoistCommand *cmd)
{
    if (row_commands[cmd->kind].wakes)
        engine_dests_resume(e);
    if (cmd->ids != NULL)
        add_bulk(e, cmd->kind, -1, cmd->ids);
    for (int state = 0; cmd->ids == NULL && state < HOIST_N_STATES; state++)
        if (cmd->state == state || (cmd->all && cmd->state < 0 && (row_commands[cmd->kind].all & IN(state)) != 0))
            add_bulk(e, cmd->kind, state, NULL);
}

/* The queue as a whole: files at work go back to the store, their finished parts stay. */
static void pause_all(Hoist *e)
{
    e->paused = true;
    g_autoptr(GPtrArray) live = g_ptr_array_new();
    GHashTableIter it;
    gpointer job;
    g_hash_table_iter_init(&it, e->jobs);
    while (g_hash_table_iter_next(&it, NULL, &job))
        if (((Job *)job)->state != HOIST_COMPLETING)
            g_ptr_array_add(live, job);
    for (guint i = 0; i < live->len; i++)
        engine_drop(e, live->pdata[i]);
    e->list_dirty = e->totals_dirty = true;
}

static void resume_all(Hoist *e)
{
    e->paused = false;
    e->idle_told = false;
    engine_dests_resume(e);
    e->totals_dirty = true;
}

/* Files that are prepared already are sent in the new order, too; what went to the bottom waits there like the rest. True when a file
 * changed places with one that is being sent: lists show those apart, so that nothing seems to have happened. */
static bool follow_places(Hoist *e, bool to_bottom)
{
    g_autoptr(GList) jobs = g_hash_table_get_values(e->jobs);
    bool passed = false;
    for (const GList *at = jobs; at != NULL; at = at->next) {
        Job *job = at->data;
        g_autoptr(GError) error = NULL;
        StoreJob rec = { 0 };
        const bool loaded = store_job_load(e->store, job->rec.id, &rec, &error);
        const bool moved = loaded && rec.pos != job->rec.pos;
        if (moved)
            job->rec.pos = rec.pos;
        passed = passed || (moved && job->in_slot);
        store_job_clear(&rec);
        if (moved && to_bottom && queue_remove(&e->ready, job))
            engine_drop(e, job);
    }
    queue_sort(&e->ready);
    engine_sort_parked(e);
    return passed;
}

static void move_rows(Hoist *e, const HoistCommand *cmd)
{
    const bool one_step = cmd->number == 1 || cmd->number == -1;
    bool again = cmd->ids != NULL;
    for (unsigned i = 0; again && i <= ENGINE_MAX_SLOTS; i++) {
        GError *error = NULL;
        if (!store_job_move(e->store, cmd->ids, (int)cmd->number, &error)) {
            engine_store_trouble(e, error);
            break;
        }
        again = follow_places(e, cmd->number == 2) && one_step;
    }
    engine_look_again(e);
    e->list_dirty = true;
}

static void tell_rows(Hoist *e, const HoistCommand *cmd)
{
    for (guint i = 0; cmd->ids != NULL && i < cmd->ids->len; i++) {
        Job *job = g_hash_table_lookup(e->jobs, &g_array_index(cmd->ids, int64_t, i));
        StoreJob rec = { 0 };
        if (job != NULL)
            engine_tell_row(e, job, HOIST_ROW_STATE);
        else if (store_job_load(e->store, g_array_index(cmd->ids, int64_t, i), &rec, NULL))
            engine_tell_rest(e, &rec, rec.state, HOIST_ROW_STATE);
        store_job_clear(&rec);
    }
}

/* False when the store could not take it. */
static bool obey(Hoist *e, const HoistCommand *cmd)
{
    if (is_row_command(cmd->kind)) {
        command_rows(e, cmd);
        return true;
    }
    switch (cmd->kind) {
    case HOIST_CMD_ADD:
        return engine_add(e, cmd->paths, cmd->settings != NULL ? cmd->settings : e->settings);
    case HOIST_CMD_PREVIEW:
        engine_preview(e, cmd->paths, cmd->settings != NULL ? cmd->settings : e->settings, cmd->token);
        break;
    case HOIST_CMD_PAUSE_ALL:
        pause_all(e);
        break;
    case HOIST_CMD_RESUME_ALL:
        resume_all(e);
        break;
    case HOIST_CMD_MOVE:
        move_rows(e, cmd);
        break;
    case HOIST_CMD_SLOTS:
        jobs_init(&e->slots, (unsigned)CLAMP(cmd->number, 0, ENGINE_MAX_SLOTS), MAX(e->slots.now, 1), ENGINE_MAX_SLOTS);
        e->totals_dirty = true;
        break;
    case HOIST_CMD_LIMIT:
        e->limit_bps = (uint64_t)MAX(cmd->number, 0);
        transfer_set_limit(e->transfer, e->limit_bps);
        e->totals_dirty = true;
        break;
    case HOIST_CMD_ROWS:
        tell_rows(e, cmd);
        break;
    case HOIST_CMD_PICTURE:
        if (cmd->ids != NULL && cmd->ids->len > 0)
            engine_look(e, g_array_index(cmd->ids, int64_t, 0), (unsigned)CLAMP(cmd->number, 1, RECIPE_EDGE_MAX));
        break;
    case HOIST_CMD_PAUSE:
    case HOIST_CMD_RESUME:
    case HOIST_CMD_RETRY:
    case HOIST_CMD_CANCEL:
    case HOIST_CMD_FORGET:
        break; /* row commands, above */
    }
    return true;
}

/* With the disk full the store shows rows as they were before the last wishes: further ones wait until it can be written again. */
static void take(Hoist *e, HoistCommand *cmd)
{
    const bool writes = is_row_command(cmd->kind) || cmd->kind == HOIST_CMD_ADD || cmd->kind == HOIST_CMD_MOVE;
    e->idle_told = false;
    if ((writes && e->store_retry_us != 0) || !obey(e, cmd))
        g_queue_push_tail(&e->put_off, cmd);
    else
        hoist_command_free(cmd);
}

void engine_obey_put_off(Hoist *e)
{
    for (guint n = e->put_off.length; n > 0; n--)
        take(e, g_queue_pop_head(&e->put_off));
}

void engine_obey_last(Hoist *e)
{
    engine_obey(e);
    while (!g_queue_is_empty(&e->bulk) && e->store_retry_us == 0) {
        GError *error = NULL;
        bulk_page(e);
        if (!store_commit(e->store, &error))
            engine_store_trouble(e, error);
    }
}

void engine_obey(Hoist *e)
{
    HoistCommand *cmd;
    while ((cmd = mailbox_take(e->commands)) != NULL) {
        e->obeyed++;
        take(e, cmd);
    }
}

void engine_take_inbox(Hoist *e)
{
    store_poke_clear(e->store);
    GError *error = NULL;
    if (e->store_retry_us != 0)
        return; /* what is taken from there must not be lost */
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    if (!store_inbox_take(e->store, texts, &error)) {
        engine_store_trouble(e, error);
        return;
    }
    for (guint i = 0; i < texts->len; i++) {
        HoistCommand *cmd = command_from_json(texts->pdata[i], &error);
        if (cmd == NULL) {
            engine_tell_notice(e, error, "%s", error->message);
            g_clear_error(&error);
            continue;
        }
        take(e, cmd);
    }
    e->at_once = e->at_once || texts->len > 0; /* there may be more than a page */
}
