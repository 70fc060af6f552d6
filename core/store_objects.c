#include "store_private.h"

/* Several objects of one file: a row of `object` each, and the job's row at one of them. */

StoreObject store_job_first(const StoreJob *j)
{
    if (j->objects != NULL && j->object > 0)
        return *(const StoreObject *)j->objects->pdata[0];
    return (StoreObject){ .key = j->key,
                          .staged = j->staged,
                          .recipe = j->recipe,
                          .stored_key = j->stored_key,
                          .url = j->url,
                          .etag = j->etag,
                          .version = j->version,
                          .checksum = j->checksum,
                          .verified = j->verified };
}

HoistObject *store_job_rows(const StoreJob *j, unsigned *n_out)
{
    *n_out = j->objects != NULL ? j->n_objects : 0;
    if (*n_out == 0)
        return NULL;
    HoistObject *rows = g_new0(HoistObject, *n_out);
    for (unsigned n = 0; n < *n_out; n++) {
        const StoreObject *o = j->objects->pdata[n];
        rows[n] = (HoistObject){ .name = g_strdup(o->name),
                                 .key = g_strdup(o->stored_key != NULL ? o->stored_key : o->key),
                                 .url = g_strdup(o->url),
                                 .etag = g_strdup(o->etag),
                                 .checksum = g_strdup(o->checksum),
                                 .version = g_strdup(o->version),
                                 .recipe = g_strdup(o->recipe),
                                 .bytes = o->bytes,
                                 .verified = (HoistVerified)o->verified,
                                 .done = o->state != OBJECT_WAITS };
    }
    return rows;
}

bool conn_job_objects(Conn *c, StoreJob *j, GError **error)
{
    if (j->n_objects == 0 || j->objects != NULL)
        return true;
    g_autoptr(GPtrArray) objects = g_ptr_array_new_with_free_func((GDestroyNotify)store_object_free);
    const Arg args[] = { arg_int(j->id) };
    if (!conn_each(c, SQL_OBJECT_LIST, args, 1, row_append_object, objects, error))
        return false;
    if (objects->len != j->n_objects || j->object >= objects->len) {
        fault_set(error, FAULT_BUG, "file %" G_GINT64_FORMAT " has %u objects, not %u", j->id, objects->len, j->n_objects);
        return false;
    }
    j->objects = g_steal_pointer(&objects);
    return true;
}

bool store_job_objects(Store *st, StoreJob *j, GError **error)
{
    return conn_job_objects(&st->conn, j, error);
}

bool store_key_free(Store *st, int64_t batch, int64_t job, const char *key, bool *free_out, GError **error)
{
    const Arg args[] = { arg_int(batch), arg_bytes(key), arg_int(job) };
    int64_t owner = 0;
    if (!conn_each(&st->conn, SQL_KEY_OWNER, args, G_N_ELEMENTS(args), row_int64, &owner, error))
        return false;
    *free_out = owner == 0;
    return true;
}

static bool job_at(Store *st, const StoreJob *j, GError **error)
{
    const Arg none = { .kind = ARG_NULL };
    const Arg args[] = { arg_int(j->id),
                         arg_int(j->n_objects),
                         arg_int(j->object),
                         j->n_objects > 0 ? arg_int((int64_t)j->total_bytes) : none,
                         arg_int((int64_t)j->stored_bytes),
                         arg_int((int64_t)j->acked_bytes),
                         arg_bytes(j->key),
                         arg_bytes(j->plain),
                         arg_text(j->staged),
                         j->staged != NULL ? arg_int((int64_t)j->staged_bytes) : none,
                         arg_text(j->recipe),
                         arg_text(j->note) };
    return store_write(st, SQL_JOB_AT, args, G_N_ELEMENTS(args), error);
}

bool store_job_lay_objects(Store *st, const StoreJob *j, GError **error)
{
    const Arg of_job[] = { arg_int(j->id) };
    bool ok = store_write(st, SQL_OBJECTS_DELETE, of_job, 1, error);
    for (unsigned n = 0; ok && n < j->n_objects; n++) {
        const StoreObject *o = j->objects->pdata[n];
        const Arg args[] = { arg_int(j->id),       arg_int(n),
                             arg_int(j->batch),    arg_text(o->name),
                             arg_bytes(o->key),    arg_int((int64_t)o->bytes),
                             arg_text(o->staged),  arg_text(o->recipe),
                             arg_int(o->state),    arg_bytes(o->stored_key),
                             arg_text(o->url),     arg_text(o->etag),
                             arg_text(o->version), arg_text(o->checksum),
                             arg_int(o->verified) };
        ok = store_write(st, SQL_OBJECT_ADD, args, G_N_ELEMENTS(args), error);
    }
    return ok && job_at(st, j, error);
}

bool store_job_object_over(Store *st, const StoreJob *j, unsigned n, GError **error)
{
    const StoreObject *o = j->objects->pdata[n];
    const Arg args[] = { arg_int(j->id),    arg_int(n),           arg_int(o->state),     arg_bytes(o->stored_key), arg_text(o->url),
                         arg_text(o->etag), arg_text(o->version), arg_text(o->checksum), arg_int(o->verified) };
    st->full = true;
    return store_write(st, SQL_OBJECT_RESULT, args, G_N_ELEMENTS(args), error) && job_at(st, j, error);
}
