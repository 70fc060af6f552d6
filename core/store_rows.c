#include "store_private.h"

#include <string.h>

char *row_text(sqlite3_stmt *row, int column)
{
    if (sqlite3_column_type(row, column) == SQLITE_NULL)
        return NULL;
    const char *bytes = sqlite3_column_blob(row, column);
    return bytes == NULL ? g_strdup("") : g_strndup(bytes, (gsize)sqlite3_column_bytes(row, column));
}

void row_source(sqlite3_stmt *row, int column, SourceId *out)
{
    *out = (SourceId){ .size_bytes = (uint64_t)sqlite3_column_int64(row, column),
                       .mtime_ns = sqlite3_column_int64(row, column + 1),
                       .ctime_ns = sqlite3_column_int64(row, column + 2),
                       .dev = (uint64_t)sqlite3_column_int64(row, column + 3),
                       .ino = (uint64_t)sqlite3_column_int64(row, column + 4) };
}

bool row_int64(sqlite3_stmt *row, void *ctx, GError **error)
{
    (void)error;
    *(int64_t *)ctx = sqlite3_column_int64(row, 0);
    return true;
}

bool row_append_id(sqlite3_stmt *row, void *ctx, GError **error)
{
    (void)error;
    const int64_t id = sqlite3_column_int64(row, 0);
    g_array_append_val((GArray *)ctx, id);
    return true;
}

int place_compare(const Place *a, const Place *b)
{
    return a->pos != b->pos ? (a->pos > b->pos) - (a->pos < b->pos) : (a->id > b->id) - (a->id < b->id);
}

bool row_place(sqlite3_stmt *row, void *ctx, GError **error)
{
    (void)error;
    *(Place *)ctx = (Place){ .id = sqlite3_column_int64(row, 0), .pos = sqlite3_column_int64(row, 1) };
    return true;
}

#define JOB_TEXTS(j)                                                                                                                       \
    {                                                                                                                                      \
        &(j)->path, &(j)->name, &(j)->key, &(j)->plain, &(j)->pattern, &(j)->staged, &(j)->recipe, &(j)->note, &(j)->stored_key,           \
            &(j)->fault, &(j)->cause, &(j)->url, &(j)->etag, &(j)->version, &(j)->checksum                                                 \
    }

void store_job_clear(StoreJob *j)
{
    char **const texts[] = JOB_TEXTS(j);
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(*texts[i]);
    g_clear_pointer(&j->objects, g_ptr_array_unref);
    *j = (StoreJob){ 0 };
}

#define OBJECT_TEXTS(o)                                                                                                                    \
    {                                                                                                                                      \
        &(o)->name, &(o)->key, &(o)->staged, &(o)->recipe, &(o)->stored_key, &(o)->url, &(o)->etag, &(o)->version, &(o)->checksum          \
    }

void store_object_free(StoreObject *o)
{
    if (o == NULL)
        return;
    char **const texts[] = OBJECT_TEXTS(o);
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(*texts[i]);
    g_free(o);
}

static gpointer object_dup(gconstpointer from, gpointer unused)
{
    (void)unused;
    StoreObject *o = g_memdup2(from, sizeof *o);
    char **const texts[] = OBJECT_TEXTS(o);
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++)
        *texts[i] = g_strdup(*texts[i]);
    return o;
}

void store_job_copy(StoreJob *to, const StoreJob *from)
{
    *to = *from;
    char **const texts[] = JOB_TEXTS(to);
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++)
        *texts[i] = g_strdup(*texts[i]);
    if (from->objects != NULL)
        to->objects = g_ptr_array_copy(from->objects, object_dup, NULL);
}

uint64_t store_job_bytes(const StoreJob *j)
{
    if (j->n_objects > 0)
        return j->total_bytes;
    return j->staged != NULL ? j->staged_bytes : j->src.size_bytes;
}

void store_job_free(StoreJob *j)
{
    if (j == NULL)
        return;
    store_job_clear(j);
    g_free(j);
}

bool row_append_job(sqlite3_stmt *row, void *ctx, GError **error)
{
    (void)error;
    StoreJob *j = g_new0(StoreJob, 1);
    int64_t *const heads[] = { &j->id, &j->batch, &j->dest, &j->pos };
    for (int i = 0; i < 4; i++)
        *heads[i] = sqlite3_column_int64(row, i);
    j->state = (HoistState)sqlite3_column_int(row, 4);
    j->path = row_text(row, 5);
    j->name = row_text(row, 6);
    j->key = row_text(row, 7);
    row_source(row, 8, &j->src);
    j->staged = row_text(row, 13);
    j->staged_bytes = (uint64_t)sqlite3_column_int64(row, 14);
    j->recipe = row_text(row, 15);
    j->note = row_text(row, 16);
    j->acked_bytes = (uint64_t)sqlite3_column_int64(row, 17);
    j->tries = (unsigned)sqlite3_column_int(row, 18);
    j->not_before_ns = sqlite3_column_int64(row, 19);
    char **const texts[] = { &j->fault, &j->cause, &j->url, &j->etag, &j->version, &j->checksum };
    for (int i = 0; i < (int)G_N_ELEMENTS(texts); i++)
        *texts[i] = row_text(row, 20 + i);
    j->verified = sqlite3_column_int(row, 26);
    j->added_ns = sqlite3_column_int64(row, 27);
    j->started_ns = sqlite3_column_int64(row, 28);
    j->done_ns = sqlite3_column_int64(row, 29);
    j->stored_key = row_text(row, 30);
    j->plain = row_text(row, 31);
    j->pattern = row_text(row, 32);
    j->prepared = sqlite3_column_int(row, 33) != 0;
    j->n_objects = (unsigned)sqlite3_column_int(row, 34);
    j->object = (unsigned)sqlite3_column_int(row, 35);
    j->total_bytes = (uint64_t)sqlite3_column_int64(row, 36);
    j->stored_bytes = (uint64_t)sqlite3_column_int64(row, 37);
    g_ptr_array_add(ctx, j);
    return true;
}

bool row_append_object(sqlite3_stmt *row, void *ctx, GError **error)
{
    (void)error;
    StoreObject *o = g_new0(StoreObject, 1);
    o->name = row_text(row, 0);
    o->key = row_text(row, 1);
    o->bytes = (uint64_t)sqlite3_column_int64(row, 2);
    o->staged = row_text(row, 3);
    o->recipe = row_text(row, 4);
    o->state = (ObjectState)sqlite3_column_int(row, 5);
    char **const texts[] = { &o->stored_key, &o->url, &o->etag, &o->version, &o->checksum };
    for (int i = 0; i < (int)G_N_ELEMENTS(texts); i++)
        *texts[i] = row_text(row, 6 + i);
    o->verified = sqlite3_column_int(row, 11);
    g_ptr_array_add(ctx, o);
    return true;
}

bool row_append_upload(sqlite3_stmt *row, void *ctx, GError **error)
{
    (void)error;
    StoreUpload *u = g_new0(StoreUpload, 1);
    u->id = sqlite3_column_int64(row, 0);
    u->job = sqlite3_column_int64(row, 1);
    u->dest = sqlite3_column_int64(row, 2);
    u->key = row_text(row, 3);
    u->upload_id = row_text(row, 4);
    u->nonce = row_text(row, 5);
    u->part_size = (uint64_t)sqlite3_column_int64(row, 6);
    u->total_bytes = (uint64_t)sqlite3_column_int64(row, 7);
    row_source(row, 8, &u->src);
    u->state = (UploadState)sqlite3_column_int(row, 13);
    u->created_ns = sqlite3_column_int64(row, 14);
    u->memo = row_text(row, 15);
    g_ptr_array_add(ctx, u);
    return true;
}

bool row_dest(sqlite3_stmt *row, void *ctx, GError **error)
{
    (void)error;
    StoreDest *d = ctx;
    char **const texts[] = { &d->name, &d->scheme, &d->endpoint, &d->bucket, &d->prefix, &d->region, &d->profile };
    store_dest_clear(d);
    d->id = sqlite3_column_int64(row, 0);
    for (int i = 0; i < (int)G_N_ELEMENTS(texts); i++)
        *texts[i] = row_text(row, 1 + i);
    return true;
}

bool row_totals(sqlite3_stmt *row, void *ctx, GError **error)
{
    (void)error;
    HoistTotals *totals = ctx;
    const int state = sqlite3_column_int(row, 0);
    if (state < 0 || state >= HOIST_N_STATES)
        return true;
    totals->files[state]++;
    totals->bytes[state] += (uint64_t)sqlite3_column_int64(row, 1);
    if (state != HOIST_DONE)
        totals->acked_bytes += (uint64_t)sqlite3_column_int64(row, 2);
    return true;
}
