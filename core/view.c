#include "hoist.h"

#include "fault.h"
#include "dest/dest.h"
#include "store.h"

enum { MAX_TRIES = 3 };

struct HoistView {
    StoreView *store;
    GHashTable *dests; /* int64_t* -> name */
};

char *hoist_state_dir(const HoistSettings *settings)
{
    const char *set = settings != NULL ? hoist_settings_get(settings, "state") : NULL;
    if (set != NULL && *set != '\0')
        return g_canonicalize_filename(set, NULL);
    const char *xdg = g_getenv("XDG_STATE_HOME");
    if (xdg != NULL && g_path_is_absolute(xdg))
        return g_build_filename(xdg, HOIST_APP, NULL);
    return g_build_filename(g_get_home_dir(), ".local", "state", HOIST_APP, NULL);
}

HoistView *hoist_view_open(const HoistSettings *settings, GError **error)
{
    g_autofree char *dir = hoist_state_dir(settings);
    StoreView *store = store_view_open(dir, error);
    if (store == NULL)
        return NULL;
    HoistView *v = g_new0(HoistView, 1);
    v->store = store;
    v->dests = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    return v;
}

void hoist_view_close(HoistView *v)
{
    if (v == NULL)
        return;
    store_view_close(v->store);
    g_hash_table_unref(v->dests);
    g_free(v);
}

static const char *dest_name(HoistView *v, int64_t id)
{
    const char *known = g_hash_table_lookup(v->dests, &id);
    if (known != NULL)
        return known;
    StoreDest d = { 0 };
    if (!store_view_dest(v->store, id, &d, NULL))
        return "";
    char *name = g_steal_pointer(&d.name);
    store_dest_clear(&d);
    g_hash_table_insert(v->dests, g_memdup2(&id, sizeof id), name);
    return name;
}

/* Takes some of the texts of j. */
static HoistRow *row_of_job(HoistView *v, StoreJob *j, int64_t now_ns)
{
    HoistRow *row = g_new0(HoistRow, 1);
    const StoreObject first = store_job_first(j);
    *row = (HoistRow){ .id = j->id,
                       .batch = j->batch,
                       .pos = j->pos,
                       .state = j->state,
                       .path = g_steal_pointer(&j->path),
                       .name = g_steal_pointer(&j->name),
                       .key = g_strdup(first.stored_key != NULL ? first.stored_key : first.key),
                       .dest = g_strdup(dest_name(v, j->dest)),
                       .source_bytes = j->src.size_bytes,
                       .bytes = store_job_bytes(j),
                       .acked_bytes = j->acked_bytes,
                       .sent_bytes = j->acked_bytes,
                       .eta_s = -1,
                       .tries = j->tries,
                       .max_tries = MAX_TRIES,
                       .retry_in_ms = -1,
                       .prepared_pct = -1,
                       .recipe = g_strdup(first.recipe),
                       .note = g_steal_pointer(&j->note),
                       .fault = g_steal_pointer(&j->fault),
                       .cause = g_steal_pointer(&j->cause),
                       .url = g_strdup(first.url),
                       .etag = g_strdup(first.etag),
                       .checksum = g_strdup(first.checksum),
                       .version = g_strdup(first.version),
                       .verified = (HoistVerified)first.verified,
                       .added_ns = j->added_ns,
                       .started_ns = j->started_ns,
                       .done_ns = j->done_ns };
    row->objects = store_job_rows(j, &row->n_objects);
    if (row->state == HOIST_QUEUED && j->not_before_ns > now_ns)
        row->retry_in_ms = (j->not_before_ns - now_ns + 999999) / 1000000;
    if (row->fault != NULL)
        row->remedy = g_strdup(fault_info(fault_by_name(row->fault))->remedy);
    return row;
}

GPtrArray *hoist_view_page(HoistView *v, const HoistFilter *filter, int64_t after_pos, int64_t after_id, bool backwards, unsigned n,
                           GError **error)
{
    g_autoptr(GPtrArray) jobs = g_ptr_array_new_with_free_func((GDestroyNotify)store_job_free);
    const HoistFilter any = { 0 };
    if (filter == NULL)
        filter = &any;
    if (!store_view_page(v->store, filter->states, filter->text, after_pos, after_id, backwards, n, jobs, error))
        return NULL;
    GPtrArray *rows = g_ptr_array_new_with_free_func((GDestroyNotify)hoist_row_free);
    const int64_t now_ns = g_get_real_time() * 1000;
    for (unsigned i = 0; i < jobs->len; i++)
        g_ptr_array_add(rows, row_of_job(v, jobs->pdata[i], now_ns));
    return rows;
}

HoistRow *hoist_view_row(HoistView *v, int64_t id, GError **error)
{
    StoreJob job = { 0 };
    StoreUpload upload = { 0 };
    unsigned parts_done = 0;
    bool found = false;
    if (!store_view_job(v->store, id, &job, &upload, &parts_done, &found, error))
        return NULL;
    if (!found) {
        fault_set(error, FAULT_USAGE, "there is no file %" G_GINT64_FORMAT " in the queue", id);
        return NULL;
    }
    HoistRow *row = row_of_job(v, &job, g_get_real_time() * 1000);
    if (upload.part_size > 0) {
        row->parts = (unsigned)((upload.total_bytes + upload.part_size - 1) / upload.part_size);
        row->parts_done = parts_done;
        row->upload_id = upload_id_is_url(upload.upload_id) ? NULL : g_steal_pointer(&upload.upload_id);
    }
    store_job_clear(&job);
    store_upload_clear(&upload);
    return row;
}

bool hoist_view_totals(HoistView *v, HoistTotals *out, GError **error)
{
    return store_view_totals(v->store, out, error);
}

bool hoist_view_batch(HoistView *v, int64_t batch, uint64_t *open_out, uint64_t *done_out, uint64_t *failed_out, GError **error)
{
    return store_view_batch(v->store, batch, open_out, done_out, failed_out, error);
}

bool hoist_view_changed(HoistView *v)
{
    return store_view_changed(v->store);
}
