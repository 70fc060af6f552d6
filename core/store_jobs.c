#include "store_private.h"

#include <string.h>

enum { POS_GAP = 1 << 20, FEW_ROWS = 5000 };

/* ---- destinations */

void store_dest_clear(StoreDest *d)
{
    char **const texts[] = { &d->name, &d->scheme, &d->endpoint, &d->bucket, &d->prefix, &d->region, &d->profile };
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++)
        g_clear_pointer(texts[i], g_free);
    d->id = 0;
}

bool store_dest_add(Store *st, const StoreDest *d, int64_t *id_out, GError **error)
{
    int64_t id = 0;
    const Arg args[] = { arg_int(st->last_dest + 1), arg_text(d->name),   arg_text(d->scheme), arg_text(d->endpoint),
                         arg_text(d->bucket),        arg_text(d->prefix), arg_text(d->region), arg_text(d->profile) };
    if (!conn_each(&st->conn, SQL_DEST_FIND, args + 1, G_N_ELEMENTS(args) - 1, row_int64, &id, error))
        return false;
    if (id == 0) {
        if (!store_write_now(st, SQL_DEST_ADD, args, G_N_ELEMENTS(args), NULL, error))
            return false;
        id = ++st->last_dest;
        g_array_append_val(st->dests, id);
    }
    *id_out = id;
    return true;
}

static bool not_found(int64_t found, int64_t id, const char *what, GError **error)
{
    if (found == id)
        return false;
    fault_set(error, FAULT_BUG, "the store has no %s %" G_GINT64_FORMAT, what, id);
    return true;
}

bool store_dest_load(Store *st, int64_t id, StoreDest *out, GError **error)
{
    const Arg args[] = { arg_int(id) };
    StoreDest d = { 0 };
    if (!conn_each(&st->conn, SQL_DEST_LOAD, args, 1, row_dest, &d, error) || not_found(d.id, id, "destination", error))
        return false;
    *out = d;
    return true;
}

/* ---- batches */

void store_batch_clear(StoreBatch *b)
{
    g_strfreev(b->roots);
    g_free(b->options);
    *b = (StoreBatch){ 0 };
}

bool store_batch_add(Store *st, const StoreBatch *b, int64_t *id_out, GError **error)
{
    g_autoptr(GByteArray) roots = g_byte_array_new();
    for (unsigned i = 0; b->roots != NULL && b->roots[i] != NULL; i++)
        g_byte_array_append(roots, (const guint8 *)b->roots[i], (guint)strlen(b->roots[i]) + 1);
    const Arg args[] = { arg_int(st->last_batch + 1),
                         arg_int(b->dest),
                         arg_blob(roots->len > 0 ? roots->data : (const guint8 *)"", roots->len),
                         arg_text(b->options != NULL ? b->options : "{}"),
                         arg_int(b->scan_state),
                         arg_int(b->added_ns) };
    if (!store_write_now(st, SQL_BATCH_ADD, args, G_N_ELEMENTS(args), NULL, error))
        return false;
    st->full = true;
    *id_out = ++st->last_batch;
    return true;
}

bool store_batch_scanned(Store *st, int64_t batch, int scan_state, GError **error)
{
    const Arg args[] = { arg_int(batch), arg_int(scan_state) };
    st->full = true;
    return store_write(st, SQL_BATCH_SCANNED, args, G_N_ELEMENTS(args), error);
}

static char **roots_split(const char *bytes, int n)
{
    g_autoptr(GStrvBuilder) roots = g_strv_builder_new();
    for (int at = 0; at < n; at += (int)strnlen(bytes + at, (size_t)(n - at)) + 1) {
        g_autofree char *root = g_strndup(bytes + at, (gsize)(n - at));
        g_strv_builder_add(roots, root);
    }
    return g_strv_builder_end(roots);
}

static bool row_batch(sqlite3_stmt *row, void *ctx, GError **error)
{
    (void)error;
    StoreBatch *b = ctx;
    b->id = sqlite3_column_int64(row, 0);
    b->dest = sqlite3_column_int64(row, 1);
    b->roots = roots_split(sqlite3_column_blob(row, 2), sqlite3_column_bytes(row, 2));
    b->options = row_text(row, 3);
    b->scan_state = sqlite3_column_int(row, 4);
    b->added_ns = sqlite3_column_int64(row, 5);
    return true;
}

bool store_batch_load(Store *st, int64_t id, StoreBatch *out, GError **error)
{
    const Arg args[] = { arg_int(id) };
    StoreBatch b = { 0 };
    if (!conn_each(&st->conn, SQL_BATCH_LOAD, args, 1, row_batch, &b, error) || not_found(b.id, id, "batch", error))
        return false;
    *out = b;
    return true;
}

bool store_batch_to(Store *st, int64_t dest, int64_t *id_out, GError **error)
{
    const Arg args[] = { arg_int(dest) };
    *id_out = 0;
    return conn_each(&st->conn, SQL_BATCH_TO, args, 1, row_int64, id_out, error);
}

bool store_batches_unscanned(Store *st, GArray *ids_out, GError **error)
{
    return conn_each(&st->conn, SQL_BATCHES_UNSCANNED, NULL, 0, row_append_id, ids_out, error);
}

/* ---- adding files */

static bool job_requeue(Store *st, const StoreJob *old, const StoreJob *j, StoreAdd *result_out, GError **error)
{
    /* A picture prepared for another batch may have gone through another recipe. */
    const bool same_key = strcmp(old->plain != NULL ? old->plain : old->key, j->key) == 0;
    const bool keep = source_id_same(&old->src, &j->src) && same_key && (!old->prepared || old->batch == j->batch);
    const Arg args[] = { arg_int(old->id),
                         arg_int(j->batch),
                         arg_bytes(j->name),
                         arg_bytes(keep ? old->key : j->key),
                         arg_int(st->last_pos + POS_GAP),
                         arg_int((int64_t)j->src.size_bytes),
                         arg_int(j->src.mtime_ns),
                         arg_int(j->src.ctime_ns),
                         arg_int((int64_t)j->src.dev),
                         arg_int((int64_t)j->src.ino),
                         arg_int(keep),
                         arg_bytes(j->pattern) };
    bool changed = false;
    if (!store_write_now(st, SQL_JOB_REQUEUE, args, G_N_ELEMENTS(args), &changed, error))
        return false;
    if (changed && !keep) {
        const Arg of_job[] = { arg_int(old->id) };
        bool obsolete = false;
        if (!store_write(st, SQL_OBJECTS_DELETE, of_job, 1, error) ||
            !store_write_now(st, SQL_UPLOAD_OBSOLETE, of_job, 1, &obsolete, error))
            return false;
        st->full = st->full || obsolete;
    }
    st->last_pos += changed ? POS_GAP : 0;
    *result_out = changed ? STORE_REQUEUED : STORE_KEY_TAKEN;
    return true;
}

/* The insert clashed: with the same file, still unfinished, or with the key of another. */
static bool job_clash(Store *st, const StoreJob *j, StoreAdd *result_out, int64_t *id_out, GError **error)
{
    g_autoptr(GPtrArray) same = g_ptr_array_new_with_free_func((GDestroyNotify)store_job_free);
    const Arg path[] = { arg_int(j->dest), arg_bytes(j->path) };
    if (!conn_each(&st->conn, SQL_JOB_SAME_PATH, path, G_N_ELEMENTS(path), row_append_job, same, error))
        return false;
    const StoreJob *old = same->len > 0 ? same->pdata[0] : NULL;
    *result_out = old != NULL ? STORE_SAME : STORE_KEY_TAKEN;
    if (old == NULL)
        return true;
    *id_out = old->id;
    return old->state != HOIST_FAILED || job_requeue(st, old, j, result_out, error);
}

bool store_job_add(Store *st, const StoreJob *j, StoreAdd *result_out, int64_t *id_out, GError **error)
{
    const Arg past[] = { arg_int(j->dest), arg_bytes(j->path), arg_int(j->batch) };
    int64_t known = 0;
    if (!conn_each(&st->conn, SQL_JOB_PAST, past, G_N_ELEMENTS(past), row_int64, &known, error))
        return false;
    if (known != 0) {
        *result_out = STORE_SAME;
        *id_out = known;
        return true;
    }
    const Arg args[] = { arg_int(st->last_job + 1),
                         arg_int(j->batch),
                         arg_int(j->dest),
                         arg_int(st->last_pos + POS_GAP),
                         arg_bytes(j->path),
                         arg_bytes(j->name),
                         arg_bytes(j->key),
                         arg_int((int64_t)j->src.size_bytes),
                         arg_int(j->src.mtime_ns),
                         arg_int(j->src.ctime_ns),
                         arg_int((int64_t)j->src.dev),
                         arg_int((int64_t)j->src.ino),
                         arg_int(store_now_ns()),
                         arg_bytes(j->pattern) };
    bool added = false;
    if (!store_write_now(st, SQL_JOB_ADD, args, G_N_ELEMENTS(args), &added, error))
        return false;
    if (!added)
        return job_clash(st, j, result_out, id_out, error);
    st->last_pos += POS_GAP;
    *id_out = ++st->last_job;
    *result_out = STORE_ADDED;
    return true;
}

/* ---- reading */

bool store_job_load(Store *st, int64_t id, StoreJob *out, GError **error)
{
    g_autoptr(GPtrArray) jobs = g_ptr_array_new_with_free_func((GDestroyNotify)store_job_free);
    const Arg args[] = { arg_int(id) };
    if (!conn_each(&st->conn, SQL_JOB_LOAD, args, 1, row_append_job, jobs, error) || not_found(jobs->len > 0 ? id : 0, id, "file", error))
        return false;
    StoreJob *job = jobs->pdata[0];
    *out = *job;
    *job = (StoreJob){ 0 };
    return true;
}

static bool has_id(const GArray *ids, int64_t id)
{
    for (unsigned i = 0; ids != NULL && i < ids->len; i++)
        if (g_array_index(ids, int64_t, i) == id)
            return true;
    return false;
}

static int by_place(gconstpointer a, gconstpointer b)
{
    const StoreJob *const x = *(StoreJob *const *)a, *const y = *(StoreJob *const *)b;
    return place_compare(&(Place){ x->pos, x->id }, &(Place){ y->pos, y->id });
}

/* One index walk for each destination, so that a million files of a paused one cost nothing. */
bool store_jobs_due(Store *st, int64_t now_ns, const GArray *paused_dests, int64_t *pos, int64_t *id, unsigned n, GPtrArray *out,
                    GError **error)
{
    g_autoptr(GPtrArray) due = g_ptr_array_new_with_free_func((GDestroyNotify)store_job_free);
    unsigned dests = 0;
    for (unsigned i = 0; i < st->dests->len; i++) {
        const int64_t dest = g_array_index(st->dests, int64_t, i);
        const Arg args[] = { arg_int(dest), arg_int(*pos), arg_int(*id), arg_int(now_ns), arg_int(n) };
        if (has_id(paused_dests, dest))
            continue;
        if (!conn_each(&st->conn, SQL_JOBS_DUE, args, G_N_ELEMENTS(args), row_append_job, due, error))
            return false;
        dests++;
    }
    if (dests > 1)
        g_ptr_array_sort(due, by_place);
    for (unsigned i = 0; i < due->len && i < n; i++) {
        const StoreJob *last = due->pdata[i];
        *pos = last->pos;
        *id = last->id;
        g_ptr_array_add(out, g_steal_pointer(&due->pdata[i]));
    }
    return true;
}

bool store_jobs_in(Store *st, HoistState state, int64_t after_id, unsigned n, GPtrArray *out, GError **error)
{
    const Arg args[] = { arg_int(state), arg_int(after_id), arg_int(n) };
    return conn_each(&st->conn, SQL_JOBS_IN, args, G_N_ELEMENTS(args), row_append_job, out, error);
}

bool store_next_due(Store *st, int64_t now_ns, int64_t *when_ns_out, GError **error)
{
    const Arg args[] = { arg_int(now_ns) };
    int64_t when = 0;
    if (!conn_each(&st->conn, SQL_NEXT_DUE, args, 1, row_int64, &when, error))
        return false;
    *when_ns_out = when;
    return true;
}

/* In the order of ids there is no index of one state: sorting few is as quick as walking past few others. */
bool store_ids_in(Store *st, int state, int64_t after_id, unsigned n, GArray *ids_out, GError **error)
{
    if (state < 0) {
        const Arg args[] = { arg_int(after_id), arg_int(n) };
        return conn_each(&st->conn, SQL_IDS_ALL, args, G_N_ELEMENTS(args), row_append_id, ids_out, error);
    }
    const Arg probe[] = { arg_int(state), arg_int(FEW_ROWS) }, args[] = { arg_int(state), arg_int(after_id), arg_int(n) };
    int64_t many = 0;
    return conn_each(&st->conn, SQL_IDS_STATE_PROBE, probe, G_N_ELEMENTS(probe), row_int64, &many, error) &&
           conn_each(&st->conn, many ? SQL_IDS_STATE_MANY : SQL_IDS_STATE_FEW, args, G_N_ELEMENTS(args), row_append_id, ids_out, error);
}

bool store_totals(Store *st, HoistTotals *out, GError **error)
{
    HoistTotals totals = { .eta_s = -1 };
    if (!conn_each(&st->conn, SQL_TOTALS, NULL, 0, row_totals, &totals, error))
        return false;
    *out = totals;
    return true;
}

/* ---- changes of state */

static Arg arg_cause(const char *cause)
{
    Arg arg = arg_text(cause);
    arg.number = MIN(arg.number, STORE_CAUSE_MAX);
    return arg;
}

bool store_job_note(Store *st, int64_t id, const char *note, GError **error)
{
    const Arg args[] = { arg_int(id), arg_cause(note) };
    return store_write(st, SQL_JOB_NOTE, args, G_N_ELEMENTS(args), error);
}

bool store_job_queued(Store *st, int64_t id, unsigned tries, int64_t not_before_ns, const char *fault, const char *cause, GError **error)
{
    const Arg args[] = { arg_int(id), arg_int(tries), arg_int(not_before_ns), arg_text(fault), arg_cause(cause) };
    return store_write(st, SQL_JOB_QUEUED, args, G_N_ELEMENTS(args), error);
}

bool store_job_source(Store *st, int64_t id, const SourceId *src, GError **error)
{
    const Arg args[] = { arg_int(id),
                         arg_int((int64_t)src->size_bytes),
                         arg_int(src->mtime_ns),
                         arg_int(src->ctime_ns),
                         arg_int((int64_t)src->dev),
                         arg_int((int64_t)src->ino) };
    return store_write(st, SQL_OBJECTS_DELETE, args, 1, error) && store_write(st, SQL_JOB_SOURCE, args, G_N_ELEMENTS(args), error);
}

bool store_job_prepared(Store *st, int64_t id, const char *staged, uint64_t staged_bytes, const char *recipe, const char *note,
                        GError **error)
{
    const Arg none = { .kind = ARG_NULL };
    const Arg args[] = { arg_int(id), arg_text(staged), staged != NULL ? arg_int((int64_t)staged_bytes) : none, arg_text(recipe),
                         arg_cause(note) };
    return store_write(st, SQL_JOB_PREPARED, args, G_N_ELEMENTS(args), error);
}

bool store_job_unprepared(Store *st, int64_t id, GError **error)
{
    const Arg args[] = { arg_int(id) };
    return store_write(st, SQL_JOB_UNPREPARED, args, 1, error);
}

bool store_job_rekey(Store *st, int64_t id, const char *key, bool *taken_out, GError **error)
{
    const Arg args[] = { arg_int(id), arg_bytes(key) };
    bool changed = false;
    if (!store_write_now(st, SQL_JOB_REKEY, args, G_N_ELEMENTS(args), &changed, error))
        return false;
    *taken_out = !changed;
    return true;
}

static bool state_set(Store *st, int64_t id, HoistState state, GError **error)
{
    const Arg args[] = { arg_int(id), arg_int(state) };
    st->full = true;
    return store_write(st, SQL_JOB_STATE, args, G_N_ELEMENTS(args), error);
}

bool store_job_completing(Store *st, int64_t id, GError **error)
{
    return state_set(st, id, HOIST_COMPLETING, error);
}

bool store_job_cancelling(Store *st, int64_t id, GError **error)
{
    return state_set(st, id, HOIST_CANCELLING, error);
}

bool store_job_cancelled(Store *st, int64_t id, GError **error)
{
    return state_set(st, id, HOIST_CANCELLED, error);
}

static bool result_set(Store *st, const StoreJob *result, HoistState state, GError **error)
{
    const Arg args[] = { arg_int(result->id),           arg_int((int64_t)result->acked_bytes),
                         arg_text(result->url),         arg_text(result->etag),
                         arg_text(result->version),     arg_text(result->checksum),
                         arg_int(result->verified),     arg_cause(result->note),
                         arg_int(result->started_ns),   arg_int(result->done_ns),
                         arg_bytes(result->stored_key), arg_int(state) };
    return store_write(st, SQL_JOB_RESULT, args, G_N_ELEMENTS(args), error);
}

bool store_job_done(Store *st, const StoreJob *result, GError **error)
{
    st->full = st->full || result->staged != NULL;
    return result_set(st, result, HOIST_DONE, error);
}

bool store_job_stored(Store *st, const StoreJob *result, GError **error)
{
    st->full = true;
    return result_set(st, result, HOIST_COMPLETING, error);
}

bool store_job_failed(Store *st, int64_t id, unsigned tries, const char *fault, const char *cause, GError **error)
{
    const Arg args[] = { arg_int(id), arg_int(tries), arg_text(fault), arg_cause(cause) };
    return store_write(st, SQL_JOB_FAILED, args, G_N_ELEMENTS(args), error);
}

bool store_job_paused(Store *st, int64_t id, bool paused, GError **error)
{
    const Arg args[] = { arg_int(id) };
    return store_write(st, paused ? SQL_JOB_PAUSE : SQL_JOB_RESUME, args, 1, error);
}

bool store_job_forget(Store *st, int64_t id, GError **error)
{
    const Arg args[] = { arg_int(id) };
    st->full = true;
    return store_write(st, SQL_JOB_FORGET, args, 1, error);
}

/* ---- moving */

static int place_order(gconstpointer a, gconstpointer b)
{
    return place_compare(a, b);
}

static bool place_set(Store *st, int64_t id, int64_t pos, GError **error)
{
    const Arg args[] = { arg_int(id), arg_int(pos) };
    return store_write(st, SQL_JOB_POS, args, G_N_ELEMENTS(args), error);
}

bool store_neighbour(Store *st, Place of, bool before, unsigned states, Place *out, GError **error)
{
    Place best = { 0 };
    for (unsigned i = 0; i < st->dests->len * HOIST_N_STATES; i++) {
        const int state = (int)(i % HOIST_N_STATES);
        const Arg args[] = { arg_int(state), arg_int(g_array_index(st->dests, int64_t, i / HOIST_N_STATES)), arg_int(of.pos),
                             arg_int(of.id), arg_int(1) };
        Place p = { 0 };
        if (!(states & 1u << state))
            continue;
        if (!conn_each(&st->conn, before ? SQL_PLACES_BEFORE : SQL_PLACES_AFTER, args, G_N_ELEMENTS(args), row_place, &p, error))
            return false;
        if (p.id != 0 && (best.id == 0 || (place_compare(&p, &best) > 0) == before))
            best = p;
    }
    *out = best;
    return true;
}

/* In the direction of the move, so that a file of the group finds its forerunner already moved, or stuck at the end: then it stays too. */
static bool move_one(Store *st, GArray *places, bool up, GError **error)
{
    const unsigned unfinished = ~(1u << HOIST_DONE | 1u << HOIST_CANCELLED);
    int64_t stuck = 0;
    for (unsigned i = 0; i < places->len; i++) {
        const Place p = g_array_index(places, Place, up ? i : places->len - 1 - i);
        Place other;
        if (!store_neighbour(st, p, up, unfinished, &other, error))
            return false;
        if (other.id == 0 || other.id == stuck)
            stuck = p.id;
        else if (!place_set(st, p.id, other.pos, error) || !place_set(st, other.id, p.pos, error))
            return false;
    }
    return true;
}

static bool move_to_end(Store *st, const GArray *places, bool top, GError **error)
{
    for (unsigned i = 0; i < places->len; i++) {
        const Place *p = &g_array_index(places, Place, top ? places->len - 1 - i : i);
        int64_t *end = top ? &st->first_pos : &st->last_pos;
        *end += top ? -POS_GAP : POS_GAP;
        if (!place_set(st, p->id, *end, error))
            return false;
    }
    return true;
}

bool store_job_move(Store *st, const GArray *ids, int how, GError **error)
{
    g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(Place));
    for (unsigned i = 0; i < ids->len; i++) {
        const Arg args[] = { arg_int(g_array_index(ids, int64_t, i)) };
        Place p = { 0 };
        if (!conn_each(&st->conn, SQL_JOB_PLACE, args, 1, row_place, &p, error))
            return false;
        if (p.id != 0)
            g_array_append_val(places, p);
    }
    g_array_sort(places, place_order);
    if (how == -1 || how == 1)
        return move_one(st, places, how < 0, error);
    return move_to_end(st, places, how < 0, error);
}
