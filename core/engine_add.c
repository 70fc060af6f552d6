#include "engine.h"

#include <string.h>

#include "key.h"
#include "mime.h"

enum { MAX_UNREAD_EVENTS = 5000, CHUNKS_A_TURN = 2, MAX_NUMBERED = 10000, PREVIEW_EVERY_US = 250000, HIDDEN_CONFIRM_FILES = 100 };

/* ------------------------------------------------------------------ what lives in the tables */

void dest_free(gpointer data)
{
    Dest *d = data;
    store_dest_clear(&d->row);
    g_free(d);
}

void endpoint_free(gpointer data)
{
    Endpoint *ep = data;
    g_free(ep->where);
    dest_learned_clear(&ep->learned);
    g_free(ep);
}

static void batch_close(Batch *b)
{
    if (b->priv != NULL)
        b->ops->close(b->priv);
    b->priv = NULL;
    g_clear_pointer(&b->conf, dest_conf_free);
    g_clear_pointer(&b->creds, credentials_free);
    g_clear_error(&b->broken);
}

void batch_free(gpointer data)
{
    Batch *b = data;
    batch_close(b);
    hoist_settings_free(b->settings);
    renditions_clear(&b->renditions);
    g_free(b->template);
    g_free(b);
}

void preview_free(HoistPreview *p)
{
    if (p == NULL)
        return;
    g_free(p->dest);
    g_strfreev(p->roots);
    g_free(p->root_files);
    g_free(p->root_bytes);
    g_free(p->first_missing);
    g_free(p);
}

void adding_free(gpointer data)
{
    Adding *a = data;
    scan_free(a->scan);
    preview_free(a->preview);
    g_free(a);
}

DestCtx engine_ctx(const Batch *b)
{
    return (DestCtx){ .ops = b->ops,
                      .conf = b->conf,
                      .priv = b->priv,
                      .creds = b->creds,
                      .learned = &b->endpoint->learned,
                      .now_s = g_get_real_time() / G_USEC_PER_SEC };
}

/* ------------------------------------------------------------------ batches */

static Dest *find_dest(Hoist *e, int64_t id, GError **error)
{
    Dest *d = g_hash_table_lookup(e->dests, &id);
    if (d != NULL)
        return d;
    d = g_new0(Dest, 1);
    if (!store_dest_load(e->store, id, &d->row, error)) {
        dest_free(d);
        return NULL;
    }
    g_hash_table_insert(e->dests, &d->row.id, d);
    return d;
}

static Endpoint *find_endpoint(Hoist *e, char *where /* taken */)
{
    Endpoint *ep = g_hash_table_lookup(e->endpoints, where);
    if (ep != NULL) {
        g_free(where);
        return ep;
    }
    ep = g_new0(Endpoint, 1);
    ep->where = where;
    g_autofree char *text = store_learned_get(e->store, where);
    if (text != NULL)
        dest_learned_from_text(&ep->learned, text);
    g_hash_table_insert(e->endpoints, ep->where, ep);
    return ep;
}

static void keep(char **field, const char *stored)
{
    if (stored != NULL) {
        g_free(*field);
        *field = g_strdup(stored);
    }
}

static void tell_aws_warnings(Hoist *e)
{
    g_autoptr(GPtrArray) warnings = g_steal_pointer(&e->aws_warnings);
    for (guint i = 0; warnings != NULL && i < warnings->len; i++)
        engine_tell_notice(e, NULL, "AWS configuration: %s", (const char *)warnings->pdata[i]);
}

/* Where it goes was decided when the files were dropped; credentials are looked up anew each time. */
static bool batch_open(Hoist *e, Batch *b, GError **error)
{
    renditions_clear(&b->renditions);
    if (!settings_renditions(b->settings, &b->renditions, error))
        return false;
    b->patterns = b->renditions.named || (b->renditions.n == 1 && strstr(b->template, "{rendition}") != NULL);
    b->conf = settings_dest(b->settings, error);
    if (b->conf == NULL)
        return false;
    if (!settings_is_set(b->settings, "endpoint"))
        keep(&b->conf->endpoint, b->dest->row.endpoint);
    if (!settings_is_set(b->settings, "region"))
        keep(&b->conf->region, b->dest->row.region);
    b->ops = dest_by_scheme(b->conf->scheme);
    b->priv = b->ops->open(b->conf, error);
    if (b->priv == NULL)
        return false;
    b->endpoint = NULL;
    const DestCtx ctx = { .ops = b->ops, .conf = b->conf, .priv = b->priv };
    b->endpoint = find_endpoint(e, b->ops->where(&ctx));
    if (b->ops->aws)
        tell_aws_warnings(e);
    b->creds = creds_of_dest(e->aws, b->settings, b->ops, b->priv, error);
    return b->creds != NULL;
}

static void batch_configure(Batch *b)
{
    const HoistSettings *s = b->settings;
    b->template = g_strdup(settings_key_template(s));
    b->part_size = hoist_settings_number(s, "part-size");
    b->parts_at_once = (unsigned)hoist_settings_number(s, "parts");
    b->verify = g_strcmp0(hoist_settings_get(s, "checksum"), "none") != 0;
}

static Batch *batch_of_row(Hoist *e, const StoreBatch *row, GError **error)
{
    Dest *dest = find_dest(e, row->dest, error);
    if (dest == NULL)
        return NULL;
    Batch *b = g_new0(Batch, 1);
    b->id = row->id;
    b->dest = dest;
    b->settings = settings_from_json(row->options, &b->broken);
    if (b->settings == NULL)
        b->settings = hoist_settings_new();
    settings_refresh(b->settings, e->settings);
    batch_configure(b);
    if (b->broken == NULL)
        (void)batch_open(e, b, &b->broken);
    g_hash_table_insert(e->batches, &b->id, b);
    return b;
}

Batch *engine_batch(Hoist *e, int64_t id)
{
    Batch *b = g_hash_table_lookup(e->batches, &id);
    if (b != NULL)
        return b;
    GError *error = NULL;
    StoreBatch row = { 0 };
    if (store_batch_load(e->store, id, &row, &error))
        b = batch_of_row(e, &row, &error);
    store_batch_clear(&row);
    engine_store_trouble(e, error);
    return b;
}

void engine_batch_reopen(Hoist *e, Batch *b)
{
    /* the AWS files are read again: a profile may have been signed in meanwhile */
    g_autoptr(AwsConfig) fresh = aws_config_load(creds_env_process, NULL, NULL, NULL);
    if (fresh != NULL) {
        aws_config_free(e->aws);
        e->aws = g_steal_pointer(&fresh);
    }
    batch_close(b);
    (void)batch_open(e, b, &b->broken);
}

void engine_learned(Hoist *e, Batch *b)
{
    Endpoint *ep = b->endpoint;
    if (!ep->learned.dirty)
        return;
    ep->learned.dirty = false;
    g_autofree char *text = dest_learned_to_text(&ep->learned);
    GError *error = NULL;
    if (!store_learned_put(e->store, ep->where, text, &error))
        engine_store_trouble(e, error);
}

void engine_dest_pause(Hoist *e, Dest *d, const GError *why)
{
    d->paused = true;
    engine_tell_notice(e, why, "%s refused %d files in a row and is paused: %s", d->row.name, ENGINE_REFUSALS, why->message);
}

static void requeue_refused(Hoist *e, int64_t id)
{
    GError *error = NULL;
    StoreJob rec = { 0 };
    HoistState now;
    if (store_job_load(e->store, id, &rec, &error) && rec.state == HOIST_FAILED && engine_requeue(e, &rec, &now, &error)) {
        const uint64_t bytes = store_job_bytes(&rec);
        engine_count(e, HOIST_FAILED, bytes, now, bytes);
    }
    store_job_clear(&rec);
    if (engine_is_trouble(error))
        engine_store_trouble(e, g_steal_pointer(&error));
    g_clear_error(&error); /* forgotten meanwhile, or queued in another row */
}

void engine_dests_resume(Hoist *e)
{
    GHashTableIter it;
    gpointer value;
    g_hash_table_iter_init(&it, e->dests);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        Dest *d = value;
        for (unsigned i = 0; d->paused && i < d->refusals && i < ENGINE_REFUSALS; i++)
            requeue_refused(e, d->refused_ids[i]);
        d->paused = false;
        d->refusals = 0;
    }
    g_hash_table_iter_init(&it, e->batches);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        Batch *b = value;
        if (b->broken != NULL)
            engine_batch_reopen(e, b);
    }
    engine_look_again(e);
    e->list_dirty = true;
}

/* ------------------------------------------------------------------ scans */

static ScanFilter filter_of(const HoistSettings *s)
{
    return (ScanFilter){ hoist_settings_list(s, "include"), hoist_settings_list(s, "exclude"), hoist_settings_number(s, "max-size") };
}

static void wake_transfer(void *ctx)
{
    Hoist *e = ctx;
    transfer_wake(e->transfer);
}

static Adding *adding_start(Hoist *e, char **paths, const HoistSettings *settings)
{
    Adding *a = g_new0(Adding, 1);
    a->now_s = g_get_real_time() / G_USEC_PER_SEC;
    ScanFilter filter = filter_of(settings);
    a->scan = scan_start(paths, &filter, a, wake_transfer, e);
    g_strfreev(filter.include);
    g_strfreev(filter.exclude);
    g_ptr_array_add(e->adding, a);
    e->idle_told = false;
    e->totals_dirty = true;
    return a;
}

static bool store_dest_of(Hoist *e, const HoistSettings *settings, int64_t *id_out, GError **error)
{
    g_autoptr(DestConf) conf = settings_dest(settings, error);
    if (conf == NULL)
        return false;
    const StoreDest row = { .name = conf->name,
                            .scheme = conf->scheme,
                            .endpoint = conf->endpoint,
                            .bucket = conf->bucket,
                            .prefix = conf->prefix,
                            .region = conf->region,
                            .profile = (char *)hoist_settings_get(settings, "profile") };
    return store_dest_add(e->store, &row, id_out, error);
}

bool engine_add(Hoist *e, char **paths, const HoistSettings *settings)
{
    GError *error = NULL;
    StoreBatch row = { .roots = paths, .added_ns = engine_now_ns() };
    g_autofree char *options = settings_to_json(settings, true);
    row.options = options;
    int64_t id;
    if (!store_dest_of(e, settings, &row.dest, &error) || !store_batch_add(e->store, &row, &id, &error)) {
        const bool later = engine_is_trouble(error);
        if (later) {
            engine_store_trouble(e, error);
        } else {
            engine_tell_notice(e, error, "cannot queue: %s", error->message);
            g_error_free(error);
        }
        return !later;
    }
    Batch *b = engine_batch(e, id);
    if (b == NULL) {
        e->rescan = true; /* it is in the store */
        return true;
    }
    adding_start(e, paths, settings)->batch = b;
    if (b->broken != NULL && !b->dest->paused) {
        b->dest->paused = true;
        engine_tell_notice(e, b->broken, "nothing can be sent to %s yet: %s", b->dest->row.name, b->broken->message);
    }
    return true;
}

static bool is_adding(const Hoist *e, const Batch *b)
{
    for (guint i = 0; i < e->adding->len; i++)
        if (((const Adding *)e->adding->pdata[i])->batch == b)
            return true;
    return false;
}

void engine_rescan(Hoist *e)
{
    GError *error = NULL;
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(int64_t));
    e->rescan = false;
    if (!store_batches_unscanned(e->store, ids, &error)) {
        e->rescan = true;
        engine_store_trouble(e, g_steal_pointer(&error));
    }
    for (guint i = 0; i < ids->len; i++) {
        StoreBatch row = { 0 };
        Batch *b = engine_batch(e, g_array_index(ids, int64_t, i));
        if (b != NULL && !is_adding(e, b) && store_batch_load(e->store, b->id, &row, &error)) {
            Adding *a = adding_start(e, row.roots, b->settings);
            a->batch = b;
            a->now_s = row.added_ns / 1000000000; /* templates with a date must give the same keys again */
        }
        store_batch_clear(&row);
        e->rescan = e->rescan || engine_is_trouble(error);
        engine_store_trouble(e, g_steal_pointer(&error));
    }
}

static char *full_key(const Batch *b, const char *key)
{
    const char *prefix = b->dest->row.prefix;
    return g_strconcat(prefix != NULL ? prefix : "", key, NULL);
}

static bool store_file(Hoist *e, Batch *b, StoreJob *rec, const char *key, StoreAdd *how, GError **error)
{
    for (unsigned n = 1; n < MAX_NUMBERED; n++) {
        g_autofree char *numbered = n == 1 ? g_strdup(key) : key_numbered(key, n);
        g_autofree char *full = full_key(b, numbered);
        if (!key_check(full, error))
            return false;
        rec->key = full;
        if (!store_job_add(e->store, rec, how, &rec->id, error))
            return false;
        if (*how != STORE_KEY_TAKEN) {
            rec->key = g_steal_pointer(&full);
            return true;
        }
    }
    fault_set(error, FAULT_KEY, "too many files want the key %s", key);
    return false;
}

/* The file waits in the queue already. Fine when this asks for the same; else the person must know that it will not be done. */
static void check_same(Hoist *e, const Batch *b, const StoreJob *rec)
{
    GError *error = NULL;
    StoreJob old = { 0 };
    const bool loaded = store_job_load(e->store, rec->id, &old, &error);
    Batch *earlier = loaded && old.batch != b->id ? engine_batch(e, old.batch) : NULL;
    if (earlier != NULL) {
        g_autofree char *then = settings_to_json(earlier->settings, true);
        g_autofree char *now = settings_to_json(b->settings, true);
        if (strcmp(old.name, rec->name) != 0)
            fault_set(&error, FAULT_QUEUED, "waits in the queue already (file %" G_GINT64_FORMAT ") under another name", old.id);
        else if (strcmp(then, now) != 0)
            fault_set(&error, FAULT_QUEUED, "waits in the queue already (file %" G_GINT64_FORMAT ") with other options", old.id);
        if (error != NULL)
            engine_tell_skipped(e, rec->path, error, false);
    }
    store_job_clear(&old);
    if (loaded)
        g_clear_error(&error);
    engine_store_trouble(e, error);
}

/* Only the content tells what is a picture, and that is looked at later. */
static char *pattern_of(const Batch *b, const KeyFacts *facts)
{
    return b->patterns ? key_pattern(b->template, facts) : NULL;
}

static void add_file(Hoist *e, Adding *a, ScanFile *file)
{
    Batch *b = a->batch;
    if (file->error != NULL) {
        engine_tell_skipped(e, file->path, file->error, file->by_rule);
        return;
    }
    StoreJob rec = {
        .batch = b->id, .dest = b->dest->row.id, .path = file->path, .name = file->name, .src = file->src, .added_ns = engine_now_ns()
    };
    const KeyFacts facts = { .relpath = file->name, .now_s = a->now_s, .batch = b->id };
    g_autofree char *key = key_expand(b->template, &facts), *pattern = pattern_of(b, &facts);
    rec.pattern = pattern;
    GError *error = NULL;
    StoreAdd how;
    if (!store_file(e, b, &rec, key, &how, &error)) {
        rec.key = NULL;
        if (engine_is_trouble(error)) {
            a->incomplete = true;
            engine_store_trouble(e, error);
        } else {
            engine_tell_skipped(e, file->path, error, false);
            g_error_free(error);
        }
        return;
    }
    if (how == STORE_ADDED)
        engine_count(e, HOIST_N_STATES, 0, HOIST_QUEUED, rec.src.size_bytes);
    if (how == STORE_REQUEUED) {
        a->requeued = true;
        engine_count(e, HOIST_FAILED, rec.src.size_bytes, HOIST_QUEUED, rec.src.size_bytes);
        engine_reap_rows(e, &error); /* what was begun of it for another identity or key */
        engine_store_trouble(e, g_steal_pointer(&error));
        engine_look_again(e);
    }
    if (how != STORE_SAME)
        engine_tell_rest(e, &rec, HOIST_QUEUED, HOIST_ROW_QUEUED);
    else
        check_same(e, b, &rec);
    g_free(rec.key);
}

static void count_file(HoistPreview *p, const ScanFile *file)
{
    if (file->error != NULL) {
        const bool missing = fault_code(file->error) == FAULT_SOURCE_MISSING;
        p->skipped += !missing;
        p->missing += missing;
        p->confirm = true;
        if (missing && p->first_missing == NULL)
            p->first_missing = g_strdup(file->path);
        return;
    }
    p->files++;
    p->bytes += file->src.size_bytes;
    p->root_files[file->root]++;
    p->root_bytes[file->root] += file->src.size_bytes;
    g_autofree char *type = mime_of(file->name, NULL, 0);
    p->images += imgpool_takes(type, false);
}

static HoistPreview *preview_dup(const HoistPreview *p)
{
    HoistPreview *copy = g_memdup2(p, sizeof *p);
    const guint n = g_strv_length(p->roots);
    copy->dest = g_strdup(p->dest);
    copy->roots = g_strdupv(p->roots);
    copy->root_files = g_memdup2(p->root_files, n * sizeof *p->root_files);
    copy->root_bytes = g_memdup2(p->root_bytes, n * sizeof *p->root_bytes);
    copy->first_missing = g_strdup(p->first_missing);
    return copy;
}

static void tell_preview(Hoist *e, const HoistPreview *p)
{
    HoistEvent *ev = g_new0(HoistEvent, 1);
    ev->kind = HOIST_EVENT_PREVIEW;
    ev->preview = preview_dup(p);
    engine_tell(e, ev);
}

void engine_preview(Hoist *e, char **paths, const HoistSettings *settings, unsigned token)
{
    HoistPreview *p = g_new0(HoistPreview, 1);
    const guint n = g_strv_length(paths);
    g_autoptr(DestConf) conf = settings_dest(settings, NULL);
    p->token = token;
    p->dest = g_strdup(conf != NULL ? conf->name : "");
    p->roots = g_strdupv(paths);
    p->root_files = g_new0(uint64_t, n + 1);
    p->root_bytes = g_new0(uint64_t, n + 1);
    adding_start(e, paths, settings)->preview = p;
}

static void scan_is_over(Hoist *e, Adding *a)
{
    GError *error = NULL;
    if (a->preview != NULL) {
        a->preview->done = true;
        a->preview->confirm = a->preview->confirm || a->preview->files > HIDDEN_CONFIRM_FILES;
        tell_preview(e, a->preview);
    } else if (a->incomplete) {
        e->rescan = true;
    } else if (!store_batch_scanned(e->store, a->batch->id, 1, &error)) {
        engine_store_trouble(e, error);
    }
    if (a->requeued && e->store_retry_us == 0)
        engine_recount(e);
    g_ptr_array_remove(e->adding, a);
    e->totals_dirty = true;
}

static void take_chunk(Hoist *e, Adding *a, ScanChunk *chunk)
{
    for (guint i = 0; i < chunk->files->len; i++) {
        ScanFile *file = &g_array_index(chunk->files, ScanFile, i);
        if (a->preview != NULL)
            count_file(a->preview, file);
        else
            add_file(e, a, file);
    }
    if (a->preview != NULL) {
        a->preview->folders += chunk->folders;
        a->preview->confirm = a->preview->confirm || chunk->hidden || chunk->links;
        if (!chunk->last)
            tell_preview(e, a->preview);
    } else if (chunk->files->len > 0) {
        e->due_done = e->far_done = false;
        e->list_dirty = true;
    }
}

/* True when the scan is over. The scanner is quicker than the store: without a bound a turn would last as long as the scan. */
static bool take_chunks_of(Hoist *e, Adding *a)
{
    for (unsigned n = 0; n < CHUNKS_A_TURN; n++) {
        ScanChunk *chunk = scan_take(a->scan);
        if (chunk == NULL)
            return false;
        take_chunk(e, a, chunk);
        const bool last = chunk->last;
        scan_chunk_free(chunk);
        if (last)
            return true;
    }
    e->at_once = true;
    return false;
}

bool engine_client_is_slow(const Hoist *e)
{
    return mailbox_length(e->events) > MAX_UNREAD_EVENTS;
}

void engine_take_chunks(Hoist *e)
{
    if (e->store_retry_us != 0 || engine_client_is_slow(e))
        return;
    for (guint i = e->adding->len; i > 0; i--)
        if (take_chunks_of(e, e->adding->pdata[i - 1]))
            scan_is_over(e, e->adding->pdata[i - 1]);
}
