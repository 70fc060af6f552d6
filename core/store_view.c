#include "store_private.h"

#include <stdlib.h>
#include <sys/stat.h>

struct StoreView {
    Conn conn; /* db NULL: there is no queue yet */
    char *path;
    dev_t dev; /* of the file that is open: a damaged queue is replaced by a new file */
    ino_t ino;
    int64_t version; /* data_version when last asked */
    bool older;      /* there is a queue, of a version before ours */
};

static bool data_version(StoreView *v, int64_t *version_out, GError **error)
{
    return conn_each(&v->conn, SQL_DATA_VERSION, NULL, 0, row_int64, version_out, error);
}

static bool settings_set(StoreView *v, int64_t *version_out, GError **error)
{
    if (!conn_exec(&v->conn, "PRAGMA query_only=ON; PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-4096", error) ||
        !conn_number(&v->conn, "PRAGMA user_version", version_out, error) || !data_version(v, &v->version, error))
        return false;
    if (*version_out <= STORE_SCHEMA_VERSION)
        return true;
    fault_set(error, FAULT_STORE_NEWER, "%s is of version %d, this hoist knows %d", v->path, (int)*version_out, STORE_SCHEMA_VERSION);
    return false;
}

/* Opens what is there now; true with conn.db NULL when there is nothing, or nothing of our version yet. */
static bool view_ready(StoreView *v, GError **error)
{
    struct stat st;
    const bool there = stat(v->path, &st) == 0;
    if (v->conn.db != NULL && there && st.st_dev == v->dev && st.st_ino == v->ino)
        return true;
    conn_close(&v->conn);
    v->older = false;
    if (!there)
        return true;
    int64_t version = 0;
    const bool ok = conn_open(&v->conn, v->path, SQLITE_OPEN_READONLY, error) && settings_set(v, &version, error);
    v->older = ok && version > 0 && version < STORE_SCHEMA_VERSION;
    if (!ok || version < STORE_SCHEMA_VERSION)
        conn_close(&v->conn);
    v->dev = st.st_dev;
    v->ino = st.st_ino;
    return ok;
}

/* What an earlier hoist left is no empty queue. False: among others when that one still works on it. */
static bool bring_up_to_date(const char *dir, GError **error)
{
    g_autoptr(Store) st = store_open(dir, NULL, error);
    return st != NULL;
}

StoreView *store_view_open(const char *dir, GError **error)
{
    StoreView *v = g_new0(StoreView, 1);
    char *real = realpath(dir, NULL);
    v->path = g_build_filename(real != NULL ? real : dir, "queue.db", NULL);
    free(real);
    if (view_ready(v, error) && (!v->older || (bring_up_to_date(dir, error) && view_ready(v, error))))
        return v;
    store_view_close(v);
    return NULL;
}

void store_view_close(StoreView *v)
{
    if (v == NULL)
        return;
    conn_close(&v->conn);
    g_free(v->path);
    g_free(v);
}

/* ---- pages */

typedef struct {
    unsigned states;
    const char *text; /* lower case, or NULL */
    Place from;
    bool backwards;
    unsigned n;
} Page;

static bool row_append_place(sqlite3_stmt *row, void *ctx, GError **error)
{
    Place p;
    row_place(row, &p, error);
    g_array_append_val((GArray *)ctx, p);
    return true;
}

/* Each state of each destination is in order in the index; the nearest n of all are among the nearest n of each. */
static bool page_places(StoreView *v, const Page *page, GArray *places, GError **error)
{
    static const StoreSql sqls[2][2] = { { SQL_PLACES_AFTER, SQL_PLACES_BEFORE }, { SQL_NAMED_AFTER, SQL_NAMED_BEFORE } };
    g_autoptr(GArray) dests = g_array_new(FALSE, FALSE, sizeof(int64_t));
    if (!conn_each(&v->conn, SQL_DEST_IDS, NULL, 0, row_append_id, dests, error))
        return false;
    for (unsigned i = 0; i < dests->len * HOIST_N_STATES; i++) {
        const unsigned state = i % HOIST_N_STATES;
        const Arg args[] = { arg_int(state),          arg_int(g_array_index(dests, int64_t, i / HOIST_N_STATES)),
                             arg_int(page->from.pos), arg_int(page->from.id),
                             arg_int(page->n),        arg_bytes(page->text) };
        if (!(page->states & 1u << state))
            continue;
        if (!conn_each(&v->conn, sqls[page->text != NULL][page->backwards], args, page->text != NULL ? 6 : 5, row_append_place, places,
                       error))
            return false;
    }
    return true;
}

static int places_up(gconstpointer a, gconstpointer b)
{
    return place_compare(a, b);
}

static int places_down(gconstpointer a, gconstpointer b)
{
    return place_compare(b, a);
}

/* Those of the last row. A list is better without them than not at all. */
static void objects_load(StoreView *v, GPtrArray *jobs)
{
    if (jobs->len > 0)
        (void)conn_job_objects(&v->conn, jobs->pdata[jobs->len - 1], NULL);
}

static bool page_load(StoreView *v, const Page *page, GPtrArray *out, GError **error)
{
    g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(Place));
    if (!page_places(v, page, places, error))
        return false;
    g_array_sort(places, page->backwards ? places_down : places_up);
    for (unsigned i = 0; i < places->len && i < page->n; i++) {
        const Arg args[] = { arg_int(g_array_index(places, Place, i).id) };
        if (!conn_each(&v->conn, SQL_JOB_LOAD, args, 1, row_append_job, out, error))
            return false;
        objects_load(v, out);
    }
    return true;
}

static bool snapshot_begin(StoreView *v, GError **error)
{
    return conn_run(&v->conn, SQL_BEGIN_READ, NULL, 0, error);
}

static void snapshot_end(StoreView *v)
{
    conn_run(&v->conn, SQL_COMMIT, NULL, 0, NULL);
}

bool store_view_page(StoreView *v, unsigned states, const char *text, int64_t after_pos, int64_t after_id, bool backwards, unsigned n,
                     GPtrArray *out, GError **error)
{
    if (!view_ready(v, error))
        return false;
    if (v->conn.db == NULL || n == 0)
        return true;
    g_autofree char *lower = text != NULL && *text != '\0' ? g_ascii_strdown(text, -1) : NULL;
    const Page page = { states != 0 ? states : ~0u, lower, { after_pos, after_id }, backwards, n };
    if (!snapshot_begin(v, error))
        return false;
    const bool ok = page_load(v, &page, out, error);
    snapshot_end(v);
    return ok;
}

/* ---- one file, sums */

static bool job_with_upload(StoreView *v, int64_t id, GPtrArray *jobs, GPtrArray *uploads, int64_t *parts, GError **error)
{
    const Arg args[] = { arg_int(id) };
    if (!conn_each(&v->conn, SQL_JOB_LOAD, args, 1, row_append_job, jobs, error) ||
        !conn_each(&v->conn, SQL_UPLOAD_OF_JOB, args, 1, row_append_upload, uploads, error))
        return false;
    objects_load(v, jobs);
    if (uploads->len == 0)
        return true;
    const Arg of_upload[] = { arg_int(((StoreUpload *)uploads->pdata[0])->id) };
    return conn_each(&v->conn, SQL_PARTS_COUNT, of_upload, 1, row_int64, parts, error);
}

bool store_view_job(StoreView *v, int64_t id, StoreJob *out, StoreUpload *upload_out, unsigned *parts_done_out, bool *found_out,
                    GError **error)
{
    g_autoptr(GPtrArray) jobs = g_ptr_array_new_with_free_func((GDestroyNotify)store_job_free);
    g_autoptr(GPtrArray) uploads = g_ptr_array_new_with_free_func((GDestroyNotify)store_upload_free);
    int64_t parts = 0;
    if (!view_ready(v, error))
        return false;
    if (v->conn.db != NULL) {
        if (!snapshot_begin(v, error))
            return false;
        const bool ok = job_with_upload(v, id, jobs, uploads, &parts, error);
        snapshot_end(v);
        if (!ok)
            return false;
    }
    *found_out = jobs->len > 0;
    *parts_done_out = (unsigned)parts;
    if (jobs->len > 0) {
        *out = *(StoreJob *)jobs->pdata[0];
        *(StoreJob *)jobs->pdata[0] = (StoreJob){ 0 };
    }
    *upload_out = (StoreUpload){ 0 };
    if (jobs->len > 0 && uploads->len > 0) {
        *upload_out = *(StoreUpload *)uploads->pdata[0];
        *(StoreUpload *)uploads->pdata[0] = (StoreUpload){ 0 };
    }
    return true;
}

bool store_view_totals(StoreView *v, HoistTotals *out, GError **error)
{
    HoistTotals totals = { .eta_s = -1 };
    if (!view_ready(v, error) || (v->conn.db != NULL && !conn_each(&v->conn, SQL_TOTALS, NULL, 0, row_totals, &totals, error)))
        return false;
    *out = totals;
    return true;
}

static bool row_count_state(sqlite3_stmt *row, void *ctx, GError **error)
{
    (void)error;
    const int state = sqlite3_column_int(row, 0);
    if (state >= 0 && state < HOIST_N_STATES)
        ((uint64_t *)ctx)[state]++;
    return true;
}

bool store_view_batch(StoreView *v, int64_t batch, uint64_t *open_out, uint64_t *done_out, uint64_t *failed_out, GError **error)
{
    const Arg args[] = { arg_int(batch) };
    uint64_t files[HOIST_N_STATES] = { 0 };
    if (!view_ready(v, error) || (v->conn.db != NULL && !conn_each(&v->conn, SQL_BATCH_STATES, args, 1, row_count_state, files, error)))
        return false;
    *open_out = files[HOIST_QUEUED] + files[HOIST_PREPARING] + files[HOIST_ACTIVE] + files[HOIST_COMPLETING] + files[HOIST_CANCELLING];
    *done_out = files[HOIST_DONE];
    *failed_out = files[HOIST_FAILED];
    return true;
}

bool store_view_dest(StoreView *v, int64_t id, StoreDest *out, GError **error)
{
    const Arg args[] = { arg_int(id) };
    StoreDest d = { 0 };
    if (!view_ready(v, error) || (v->conn.db != NULL && !conn_each(&v->conn, SQL_DEST_LOAD, args, 1, row_dest, &d, error)))
        return false;
    if (d.id == 0) {
        fault_set(error, FAULT_BUG, "the store has no destination %" G_GINT64_FORMAT, id);
        return false;
    }
    *out = d;
    return true;
}

char *store_view_learned(StoreView *v, const char *endpoint)
{
    char *text = NULL;
    if (view_ready(v, NULL) && v->conn.db != NULL)
        conn_text(&v->conn, SQL_LEARNED_GET, endpoint, &text, NULL);
    return text;
}

bool store_view_changed(StoreView *v)
{
    const bool was_open = v->conn.db != NULL;
    const ino_t ino = v->ino;
    int64_t now = 0;
    if (!view_ready(v, NULL))
        return false;
    if (v->conn.db == NULL || !was_open || v->ino != ino)
        return was_open != (v->conn.db != NULL) || v->ino != ino;
    if (!data_version(v, &now, NULL) || now == v->version)
        return false;
    v->version = now;
    return true;
}
