/* Forms that carry a file piece by piece: Cloudinary's chunks (chunks), and UploadThing's PUT that goes on in the middle (uploadthing). */
#include <string.h>

#include "answer.h"
#include "form.h"
#include "json.h"
#include "session.h"

#define MIB (UINT64_C(1) << 20)

#define CHUNKS_FROM_BYTES   UINT64_C(100000000) /* Cloudinary wants chunks above */
#define CHUNK_DEFAULT_BYTES (20 * MIB)
#define CHUNK_LEAST_BYTES   (6 * MIB) /* more than 5 MB, but for the last */
#define CHUNK_MOST_BYTES    (90 * MIB)

static const AnswerRow rows[] = {
    { 400, "stale request", VERDICT_AGAIN, FAULT_EXPIRED, NULL },
    { 403, "expired", VERDICT_AGAIN, FAULT_EXPIRED, NULL },
    { 401, "invalid signature", VERDICT_FAIL, FAULT_SIGNATURE, "the application signed other parameters" },
    { 400, "file size too large", VERDICT_FAIL, FAULT_TOO_LARGE, NULL },
    { 420, NULL, VERDICT_RETRY, FAULT_SLOW_DOWN, NULL },
    { 0 },
};

static Verdict failed(const DestCtx *ctx, const Response *rs, GError **error)
{
    g_autofree char *words = rs->body->len > 0 ? json_error_words(rs) : NULL;
    return answer_failed(rows, rs, NULL, words, ctx->creds, error);
}

static const char *filename(const Upload *up)
{
    const char *slash = strrchr(up->key, '/');
    return up->name != NULL ? up->name : slash != NULL ? slash + 1 : up->key;
}

/* The grant's fields, if there is a grant, and length bytes of the file from offset. */
static void fill_form(const Upload *up, Request *rq, uint64_t offset, uint64_t length)
{
    g_autoptr(Form) form = form_new(up->nonce);
    const GPtrArray *fields = up->grant == NULL ? NULL : up->grant->fields;
    const char *file_field = up->grant == NULL || up->grant->values == NULL ? NULL : g_hash_table_lookup(up->grant->values, "file_field");
    for (unsigned i = 0; fields != NULL && i + 1 < fields->len; i += 2)
        form_field(form, fields->pdata[i], fields->pdata[i + 1]);
    form_file(form, rq, file_field == NULL ? "file" : file_field, filename(up), up->content_type, offset, length);
}

static void *open_nothing(const DestConf *conf, GError **error)
{
    (void)conf, (void)error;
    return g_new0(char, 1);
}

static unsigned no_digests(const DestCtx *ctx, const Upload *up)
{
    (void)ctx, (void)up;
    return 0;
}

static char *no_url(const DestCtx *ctx, const char *key)
{
    (void)ctx, (void)key;
    return NULL;
}

/* ---- chunks */

static bool chunks_plan(const DestCtx *ctx, Upload *up, uint64_t wanted, GError **error)
{
    (void)ctx, (void)error;
    const uint64_t chunk = CLAMP(wanted > 0 ? wanted : CHUNK_DEFAULT_BYTES, CHUNK_LEAST_BYTES, CHUNK_MOST_BYTES);
    const bool in_chunks = up->size_bytes > (wanted > 0 ? chunk : CHUNKS_FROM_BYTES);
    upload_plan(up, in_chunks, chunk);
    up->serial = true;
    return true;
}

static bool ask_chunks_open(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)ctx, (void)up, (void)part, (void)error;
    *rq_out = NULL; /* the first chunk begins it */
    return true;
}

static bool ask_chunk(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)ctx;
    if (!session_has_grant(up, error))
        return false;
    const uint64_t offset = upload_part_offset(up, part), length = upload_part_bytes(up, part);
    Request *rq = request_new("POST");
    rq->url = g_strdup(up->grant->url);
    session_grant_headers(up, rq);
    if (up->multipart) {
        g_autofree char *range = session_range(offset, length, up->size_bytes);
        request_header(rq, "X-Unique-Upload-Id", up->nonce);
        request_header(rq, "Content-Range", range);
    }
    fill_form(up, rq, offset, length);
    rq->slow_answer = true; /* the service looks at a picture before it answers */
    *rq_out = rq;
    return true;
}

/* "done": true, or not mentioned, where the file is complete. */
static bool says_unfinished(const Json *json)
{
    JsonNode *node = json_at(json, "/done");
    return node != NULL && json_node_get_value_type(node) == G_TYPE_BOOLEAN && !json_node_get_boolean(node);
}

static Verdict read_chunk(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    const bool last = part + 1 == up->n_parts;
    if (rs->status != 200 && rs->status != 201)
        return failed(ctx, rs, error);
    g_autoptr(Json) json = json_answer(rs, "the answer to the form", error);
    if (json == NULL)
        return VERDICT_RETRY;
    if (says_unfinished(json) == last) {
        fault_set(error, FAULT_PART,
                  last ? "the service still waits for chunks that it took" : "the service ended the file before its last chunk");
        return VERDICT_RESTART;
    }
    up->parts[part].done = true;
    if (last) {
        int64_t bytes;
        const char *etag = json_string_at(json, "/etag");
        upload_set(&up->etag, etag == NULL ? "" : etag);
        up->verified = json_int_at(json, "/bytes", &bytes) && (uint64_t)bytes == up->size_bytes ? VERIFIED_SIZE : VERIFIED_NOT;
    }
    return VERDICT_OK;
}

static char *chunks_where(const DestCtx *ctx)
{
    (void)ctx;
    return g_strdup("chunks");
}

const DestOps dest_chunks = {
    .scheme = "chunks",
    .form = DEST_FORM_NAME,
    .help = "chunks (by a broker)",
    .own_ids = true,
    .open = open_nothing,
    .close = g_free,
    .digests = no_digests,
    .plan = chunks_plan,
    .url = no_url,
    .where = chunks_where,
    .step = {
        [PHASE_OPEN] = { ask_chunks_open, NULL },
        [PHASE_PART] = { ask_chunk, read_chunk },
    },
};

/* ---- uploadthing */

static bool ut_plan(const DestCtx *ctx, Upload *up, uint64_t wanted, GError **error)
{
    (void)ctx, (void)wanted, (void)error;
    upload_plan(up, true, MAX(up->size_bytes, 1));
    up->serial = true;
    up->probe = true;
    return true;
}

static bool ask_ut_head(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)ctx, (void)part;
    if (up->upload_id == NULL && !session_has_grant(up, error))
        return false;
    Request *rq = request_new("HEAD");
    rq->url = g_strdup(up->upload_id != NULL ? up->upload_id : up->grant->url);
    *rq_out = rq;
    return true;
}

/* No header: nothing is there yet. */
static bool take_range_start(Upload *up, const Response *rs, GError **error)
{
    const char *start = response_header(rs, "x-ut-range-start");
    uint64_t kept = 0;
    if (start != NULL && (!session_range_begin(start, &kept) || kept > up->size_bytes)) {
        fault_set(error, FAULT_BAD_ANSWER, "%d: x-ut-range-start is no place in the file", rs->status);
        return false;
    }
    session_kept(up, kept);
    return true;
}

static Verdict read_ut_open(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    const bool answered = (rs->status >= 200 && rs->status < 300) || rs->status == 404;
    if (rs->status == 403) {
        g_autofree char *cause = answer_cause(rs->status, NULL, NULL, NULL, ctx->creds); /* HEAD has no words */
        return session_expired(up, cause, error);
    }
    if (!answered)
        return failed(ctx, rs, error);
    const bool fine = take_range_start(up, rs, error) && session_is_empty(session_front(up), error) &&
                      session_take_url(ctx, up, up->grant->url, up->grant->url, error);
    return fine ? VERDICT_OK : VERDICT_FAIL;
}

static Verdict read_ut_resume(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    if (rs->status == 403 || rs->status == 404 || rs->status == 410) {
        fault_set(error, FAULT_UPLOAD_GONE, "%d: the address of the upload has ended", rs->status);
        return VERDICT_RESTART;
    }
    if (rs->status < 200 || rs->status > 299)
        return failed(ctx, rs, error);
    return take_range_start(up, rs, error) ? VERDICT_OK : VERDICT_RETRY;
}

static bool ask_ut_part(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)ctx;
    if (up->upload_id == NULL) {
        fault_set(error, FAULT_BUG, "the upload has no address yet");
        return false;
    }
    const uint64_t kept = up->parts[part].kept_bytes;
    g_autofree char *range = g_strdup_printf("bytes=%" G_GUINT64_FORMAT "-", kept);
    Request *rq = request_new("PUT");
    rq->url = g_strdup(up->upload_id);
    request_header(rq, "Range", range);
    fill_form(up, rq, kept, up->size_bytes - kept);
    rq->slow_answer = true;
    *rq_out = rq;
    return true;
}

static Verdict read_ut_part(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    if (rs->status == 404 || rs->status == 410) {
        fault_set(error, FAULT_UPLOAD_GONE, "%d: the address of the upload has ended", rs->status);
        return VERDICT_RESTART;
    }
    if (rs->status < 200 || rs->status > 299)
        return failed(ctx, rs, error);
    upload_set(&up->etag, "");
    up->parts[part].done = true;
    return VERDICT_OK;
}

static char *ut_where(const DestCtx *ctx)
{
    (void)ctx;
    return g_strdup("uploadthing");
}

const DestOps dest_uploadthing = {
    .scheme = "uploadthing",
    .form = DEST_FORM_NAME,
    .help = "uploadthing (by a broker)",
    .open = open_nothing,
    .close = g_free,
    .digests = no_digests,
    .plan = ut_plan,
    .url = no_url,
    .where = ut_where,
    .step = {
        [PHASE_RESUME] = { ask_ut_head, read_ut_resume },
        [PHASE_OPEN] = { ask_ut_head, read_ut_open },
        [PHASE_PART] = { ask_ut_part, read_ut_part },
    },
};
