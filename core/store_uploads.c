#include "store_private.h"

#include <string.h>

void store_upload_clear(StoreUpload *u)
{
    g_free(u->key);
    g_free(u->upload_id);
    g_free(u->nonce);
    g_free(u->memo);
    *u = (StoreUpload){ 0 };
}

void store_upload_free(StoreUpload *u)
{
    if (u == NULL)
        return;
    store_upload_clear(u);
    g_free(u);
}

bool store_upload_creating(Store *st, const StoreUpload *u, int64_t *id_out, GError **error)
{
    const Arg none = { .kind = ARG_NULL };
    const Arg args[] = { arg_int(st->last_upload + 1),
                         u->job != 0 ? arg_int(u->job) : none,
                         arg_int(u->dest),
                         arg_bytes(u->key),
                         arg_text(u->upload_id),
                         arg_text(u->nonce),
                         arg_int((int64_t)u->part_size),
                         arg_int((int64_t)u->total_bytes),
                         arg_int((int64_t)u->src.size_bytes),
                         arg_int(u->src.mtime_ns),
                         arg_int(u->src.ctime_ns),
                         arg_int((int64_t)u->src.dev),
                         arg_int((int64_t)u->src.ino),
                         arg_int(UPLOAD_CREATING),
                         arg_int(u->created_ns),
                         arg_text(u->memo) };
    if (!store_write_now(st, SQL_UPLOAD_ADD, args, G_N_ELEMENTS(args), NULL, error))
        return false;
    st->full = true;
    *id_out = ++st->last_upload;
    return true;
}

bool store_upload_opened(Store *st, int64_t id, const char *upload_id, const char *memo, GError **error)
{
    const Arg args[] = { arg_int(id), arg_text(upload_id), arg_text(memo) };
    st->full = true;
    return store_write(st, SQL_UPLOAD_OPENED, args, G_N_ELEMENTS(args), error);
}

bool store_upload_memo(Store *st, int64_t id, const char *memo, GError **error)
{
    const Arg args[] = { arg_int(id), arg_text(memo) };
    return store_write(st, SQL_UPLOAD_MEMO, args, G_N_ELEMENTS(args), error);
}

bool store_upload_state(Store *st, int64_t id, UploadState state, GError **error)
{
    const Arg args[] = { arg_int(id), arg_int(state) };
    st->full = st->full || state >= UPLOAD_COMPLETING;
    if ((state == UPLOAD_ABORTING || state == UPLOAD_GONE) && !store_write(st, SQL_UPLOAD_UNACK, args, 1, error))
        return false;
    if (state == UPLOAD_GONE)
        return store_write(st, SQL_UPLOAD_DELETE, args, 1, error);
    if (state == UPLOAD_DONE && !store_write(st, SQL_PARTS_DELETE, args, 1, error))
        return false;
    return store_write(st, SQL_UPLOAD_STATE, args, G_N_ELEMENTS(args), error);
}

bool store_upload_of_job(Store *st, int64_t job, StoreUpload *out, bool *found_out, GError **error)
{
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)store_upload_free);
    const Arg args[] = { arg_int(job) };
    if (!conn_each(&st->conn, SQL_UPLOAD_OF_JOB, args, 1, row_append_upload, rows, error))
        return false;
    *found_out = rows->len > 0;
    if (rows->len > 0) {
        StoreUpload *u = rows->pdata[0];
        *out = *u;
        *u = (StoreUpload){ 0 };
    }
    return true;
}

bool store_uploads_open(Store *st, UploadState state, GPtrArray *out, GError **error)
{
    const Arg args[] = { arg_int(state) };
    return conn_each(&st->conn, SQL_UPLOADS_IN, args, 1, row_append_upload, out, error);
}

bool store_upload_known(Store *st, const char *upload_id, bool *known_out, GError **error)
{
    const Arg args[] = { arg_text(upload_id) };
    int64_t known = 0;
    if (!conn_each(&st->conn, SQL_UPLOAD_KNOWN, args, 1, row_int64, &known, error))
        return false;
    *known_out = known != 0;
    return true;
}

/* ---- parts. A digest set is stored as one byte of kinds, then the values in their order. */

enum { DIGEST_BLOB_MAX = 1 + N_DIGESTS * DIGEST_MAX_BYTES };

static size_t digest_pack(const DigestSet *set, uint8_t out[DIGEST_BLOB_MAX])
{
    size_t n = 1;
    out[0] = (uint8_t)set->have;
    for (unsigned kind = 0; kind < N_DIGESTS; kind++) {
        if (!(set->have & DIGEST_BIT(kind)))
            continue;
        memcpy(out + n, set->value[kind], digest_bytes((DigestKind)kind));
        n += digest_bytes((DigestKind)kind);
    }
    return n;
}

/* A blob that does not add up is no digest at all. */
static void digest_unpack(const uint8_t *bytes, int n, DigestSet *out)
{
    *out = (DigestSet){ 0 };
    size_t at = 1;
    const size_t end = (size_t)n;
    for (unsigned kind = 0; n > 0 && kind < N_DIGESTS; kind++) {
        const size_t size = digest_bytes((DigestKind)kind);
        if (!(bytes[0] & DIGEST_BIT(kind)) || end - at < size)
            continue;
        memcpy(out->value[kind], bytes + at, size);
        out->have |= DIGEST_BIT(kind);
        at += size;
    }
    if (n == 0 || at != end || out->have != bytes[0])
        *out = (DigestSet){ 0 };
}

bool store_part_done(Store *st, int64_t upload, const StorePart *p, GError **error)
{
    uint8_t digest[DIGEST_BLOB_MAX];
    const size_t n = p->digest.have != 0 ? digest_pack(&p->digest, digest) : 0;
    const Arg args[] = { arg_int(upload), arg_int(p->number), arg_int((int64_t)p->bytes), arg_text(p->etag),
                         arg_blob(n > 0 ? digest : NULL, n) };
    return store_write(st, SQL_PART_ACK, args, 3, error) && store_write(st, SQL_PART_ADD, args, G_N_ELEMENTS(args), error);
}

static void part_clear(void *part)
{
    g_free(((StorePart *)part)->etag);
}

static bool row_part(sqlite3_stmt *row, void *ctx, GError **error)
{
    (void)error;
    StorePart p = { .number = (unsigned)sqlite3_column_int(row, 0),
                    .bytes = (uint64_t)sqlite3_column_int64(row, 1),
                    .etag = row_text(row, 2) };
    digest_unpack(sqlite3_column_blob(row, 3), sqlite3_column_bytes(row, 3), &p.digest);
    g_array_append_val((GArray *)ctx, p);
    return true;
}

bool store_parts(Store *st, int64_t upload, GArray *out, GError **error)
{
    const Arg args[] = { arg_int(upload) };
    g_array_set_clear_func(out, part_clear);
    return conn_each(&st->conn, SQL_PART_LIST, args, 1, row_part, out, error);
}

bool store_part_drop(Store *st, int64_t upload, unsigned number, GError **error)
{
    const Arg args[] = { arg_int(upload), arg_int(number) };
    return store_write(st, SQL_PART_UNACK, args, G_N_ELEMENTS(args), error) &&
           store_write(st, SQL_PART_DELETE, args, G_N_ELEMENTS(args), error);
}
