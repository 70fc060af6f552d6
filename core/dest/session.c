/* Sessions at a secret URL that take the bytes in order and tell how much they have: Cloud Storage (gcs) and Microsoft Graph (ranged). */
#include <string.h>

#include "answer.h"
#include "body.h"
#include "json.h"
#include "session.h"

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)

static const AnswerRow rows[] = {
    { 404, NULL, VERDICT_RESTART, FAULT_UPLOAD_GONE, NULL },
    { 410, NULL, VERDICT_RESTART, FAULT_UPLOAD_GONE, NULL },
    { 409, "nameAlreadyExists", VERDICT_FAIL, FAULT_EXISTS, NULL },
    { 409, "resourceModified", VERDICT_FAIL, FAULT_EXISTS, NULL },
    { 416, NULL, VERDICT_RETRY, FAULT_BROKEN, "the server has these bytes already" },
    { 499, NULL, VERDICT_RETRY, FAULT_BROKEN, NULL },
    { 507, NULL, VERDICT_FAIL, FAULT_QUOTA, NULL },
    { 0, "quotaLimitReached", VERDICT_FAIL, FAULT_QUOTA, NULL },
    { 0 },
};

/* A session that was handed out, or the request that opens one: which, its words tell. */
static const AnswerRow opening[] = {
    { 404, NULL, VERDICT_FAIL, FAULT_NO_BUCKET, NULL },
    { 410, NULL, VERDICT_RESTART, FAULT_UPLOAD_GONE, NULL },
    { 412, NULL, VERDICT_FAIL, FAULT_EXISTS, NULL },
    { 403, "SignatureDoesNotMatch", VERDICT_FAIL, FAULT_SIGNATURE, "the application signed other headers than it named" },
    { 0 },
};

static bool says_expired(const char *code, const char *message)
{
    return g_strcmp0(code, "ExpiredToken") == 0 || (message != NULL && strcasestr(message, "expired") != NULL);
}

/* Cloud Storage answers XML to signed URLs, JSON to its JSON interface; Graph answers JSON. */
static Verdict failed(const DestCtx *ctx, const Upload *up, const AnswerRow *table, const Response *rs, GError **error)
{
    g_autoptr(Body) body = body_parse(rs->body->data, rs->body->len);
    const bool xml = body_is(body, "Error");
    const char *code = xml ? body_field(body, "Code") : NULL;
    g_autofree char *words = xml ? g_strdup(body_field(body, "Message")) : rs->body->len > 0 ? json_error_words(rs) : NULL;
    if (table == opening && rs->status < 500 && says_expired(code, words)) {
        g_autofree char *cause = answer_cause(rs->status, code, words, NULL, ctx->creds);
        return session_expired(up, cause, error);
    }
    return answer_failed(table, rs, code, words, ctx->creds, error);
}

/* ---- plan */

static bool gcs_plan(const DestCtx *ctx, Upload *up, uint64_t wanted, GError **error)
{
    (void)ctx, (void)error;
    /* Cloud Storage advises one request for all; pieces let a digest be ready while the one before is sent. */
    session_plan(up, wanted, 64 * MIB, 256 * KIB, UINT64_C(5) << 40);
    return true;
}

static bool ranged_plan(const DestCtx *ctx, Upload *up, uint64_t wanted, GError **error)
{
    (void)ctx, (void)error;
    session_plan(up, wanted, 10 * MIB, 320 * KIB, 60 * MIB - 320 * KIB); /* Graph: less than 60 MiB */
    return true;
}

/* ---- how much is there */

static bool fits_file(const Upload *up, uint64_t kept, GError **error)
{
    if (kept <= up->size_bytes)
        return true;
    fault_set(error, FAULT_BAD_ANSWER, "the server says that it has more bytes than the file");
    return false;
}

/* 308 with "Range: bytes=0-N", or without when nothing was kept. */
static bool gcs_kept(const Response *rs, uint64_t *kept_out, GError **error)
{
    const char *range = response_header(rs, "range");
    uint64_t last = 0;
    if (range != NULL && !session_range_end(range, &last)) {
        fault_set(error, FAULT_BAD_ANSWER, "%d: the server does not say how much it has", rs->status);
        return false;
    }
    *kept_out = range == NULL ? 0 : last + 1;
    return true;
}

/* {"nextExpectedRanges":["N-..."]}. */
static bool ranged_kept(const Response *rs, uint64_t *kept_out, GError **error)
{
    g_autoptr(Json) json = json_answer(rs, "the session's answer", error);
    const char *next = json == NULL ? NULL : json_string_at(json, "/nextExpectedRanges/0");
    if (next != NULL && session_range_begin(next, kept_out))
        return true;
    fault_set(error, FAULT_BAD_ANSWER, "%d: the server does not say which bytes it expects", rs->status);
    return false;
}

/* ---- the object is there */

static bool base64_equal(const char *told, size_t bytes, const uint8_t *ours, size_t n)
{
    g_autofree char *text = g_base64_encode(ours, n);
    return strlen(text) == bytes && strncmp(text, told, bytes) == 0;
}

/* One "crc32c=n03x6A==" of x-goog-hash: 0 = wrong, 1 = right, -1 = nothing to compare. */
static int compare_hash(const Upload *up, const char *text, size_t bytes)
{
    static const struct {
        const char *prefix;
        DigestKind kind;
    } kinds[] = { { "crc32c=", DIGEST_CRC32C }, { "md5=", DIGEST_MD5 } };
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        uint8_t ours[DIGEST_MAX_BYTES];
        const size_t prefix = strlen(kinds[i].prefix);
        if (bytes > prefix && strncmp(text, kinds[i].prefix, prefix) == 0 && upload_object_digest(up, kinds[i].kind, ours))
            return base64_equal(text + prefix, bytes - prefix, ours, digest_bytes(kinds[i].kind));
    }
    return -1;
}

/* False: a digest differs. The header may come several times, or once with commas. */
static bool compare_header_hashes(const Upload *up, const Response *rs, bool *proved)
{
    for (unsigned i = 0; i < rs->headers->len; i++) {
        const Header *h = &g_array_index(rs->headers, Header, i);
        if (!g_str_equal(h->name, "x-goog-hash"))
            continue;
        for (const char *p = h->value; *p != '\0';) {
            const size_t bytes = strcspn(p, ", ");
            const int same = compare_hash(up, p, bytes);
            if (same == 0)
                return false;
            *proved = *proved || same == 1;
            p += bytes + strspn(p + bytes, ", ");
        }
    }
    return true;
}

/* The JSON interface tells them in its document. */
static bool compare_json_hashes(const Upload *up, const Json *json, bool *proved)
{
    static const char *const members[][2] = { { "/crc32c", "crc32c=" }, { "/md5Hash", "md5=" } };
    for (unsigned i = 0; i < G_N_ELEMENTS(members); i++) {
        const char *value = json_string_at(json, members[i][0]);
        g_autofree char *text = value == NULL ? NULL : g_strconcat(members[i][1], value, NULL);
        const int same = text == NULL ? -1 : compare_hash(up, text, strlen(text));
        if (same == 0)
            return false;
        *proved = *proved || same == 1;
    }
    return true;
}

static Verdict wrong_bytes(GError **error)
{
    fault_set(error, FAULT_CHECKSUM, "the store's checksum of the object is not that of the file");
    return VERDICT_RESTART;
}

/* 200 or 201: all of it arrived. What the document says of the object is compared. */
static Verdict finished(Upload *up, const Response *rs, GError **error)
{
    g_autoptr(Json) json = rs->body->len == 0 ? NULL : json_answer(rs, "the session's answer", NULL);
    const char *etag = response_header(rs, "etag");
    bool proved = false;
    int64_t size;
    if (!compare_header_hashes(up, rs, &proved) || (json != NULL && !compare_json_hashes(up, json, &proved)))
        return wrong_bytes(error);
    const bool sized = json != NULL && json_int_at(json, "/size", &size);
    if (sized && (uint64_t)size != up->size_bytes) {
        fault_set(error, FAULT_SIZE, "the object has %" G_GINT64_FORMAT " bytes, the file %" G_GUINT64_FORMAT, size, up->size_bytes);
        return VERDICT_RESTART;
    }
    if (etag == NULL && json != NULL)
        etag = json_string_at(json, "/etag") != NULL ? json_string_at(json, "/etag") : json_string_at(json, "/eTag");
    upload_set(&up->etag, etag == NULL ? "" : etag);
    up->verified = proved ? VERIFIED_CHECKSUM : sized ? VERIFIED_SIZE : VERIFIED_NOT;
    for (unsigned i = 0; i < up->n_parts; i++)
        up->parts[i].done = true;
    return VERDICT_OK;
}

/* ---- OPEN */

static bool starts_sessions(const Grant *grant)
{
    for (unsigned i = 0; grant->headers != NULL && i < grant->headers->len; i++)
        if (g_ascii_strncasecmp(grant->headers->pdata[i], "x-goog-resumable:", strlen("x-goog-resumable:")) == 0)
            return true;
    return strstr(grant->url, "uploadType=resumable") != NULL && strstr(grant->url, "upload_id=") == NULL;
}

static Request *query(const char *url, const char *range)
{
    Request *rq = request_new(range == NULL ? "GET" : "PUT");
    rq->url = g_strdup(url);
    if (range != NULL)
        request_header(rq, "Content-Range", range);
    return rq;
}

/* An application that opened the session itself hands out its address: asking how much is there shows that it lives. */
static bool ask_gcs_open(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)ctx, (void)part;
    if (!session_has_grant(up, error))
        return false;
    if (!starts_sessions(up->grant)) {
        *rq_out = query(up->grant->url, "bytes */*");
        return true;
    }
    Request *rq = request_new("POST");
    rq->url = g_strdup(up->grant->url);
    session_grant_headers(up, rq);
    *rq_out = rq;
    return true;
}

static Verdict read_gcs_open(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    uint64_t kept;
    const bool starts = starts_sessions(up->grant);
    if (rs->status != (starts ? 201 : 308) && !(starts && rs->status == 200))
        return failed(ctx, up, opening, rs, error);
    if (!starts && (!gcs_kept(rs, &kept, error) || !fits_file(up, kept, error)))
        return VERDICT_FAIL;
    if (!session_take_url(ctx, up, up->grant->url, starts ? response_header(rs, "location") : up->grant->url, error))
        return VERDICT_FAIL;
    if (!starts)
        session_kept(up, kept);
    return VERDICT_OK;
}

static bool ask_ranged_open(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)ctx, (void)part;
    if (!session_has_grant(up, error))
        return false;
    *rq_out = query(up->grant->url, NULL);
    return true;
}

static Verdict read_ranged_open(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    uint64_t kept;
    if (rs->status != 200)
        return failed(ctx, up, opening, rs, error);
    const bool fine = ranged_kept(rs, &kept, error) && fits_file(up, kept, error) && session_is_empty(kept, error);
    return fine && session_take_url(ctx, up, up->grant->url, up->grant->url, error) ? VERDICT_OK : VERDICT_FAIL;
}

/* ---- PART */

static char *whole_range(const Upload *up)
{
    return g_strdup_printf("bytes */%" G_GUINT64_FORMAT, up->size_bytes);
}

static bool ask_part(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)ctx;
    if (up->upload_id == NULL) {
        fault_set(error, FAULT_BUG, "the upload has no session yet");
        return false;
    }
    const uint64_t kept = up->parts[part].kept_bytes, offset = upload_part_offset(up, part) + kept;
    const uint64_t length = upload_part_bytes(up, part) - kept;
    Request *rq = request_new("PUT");
    rq->url = g_strdup(up->upload_id);
    /* An empty file has no first and last byte to name; where all is there but the end was not said, asking says it. */
    g_autofree char *range = length > 0 ? session_range(offset, length, up->size_bytes) : up->size_bytes > 0 ? whole_range(up) : NULL;
    if (range != NULL)
        request_header(rq, "Content-Range", range);
    if (length > 0)
        request_body_file(rq, offset, length);
    *rq_out = rq;
    return true;
}

/* Not all of a piece need be kept. Without any progress, or with a gap behind, only RESUME can tell how to go on. */
static Verdict take_progress(Upload *up, unsigned part, uint64_t kept, GError **error)
{
    const uint64_t begin = upload_part_offset(up, part), end = begin + upload_part_bytes(up, part);
    if (!fits_file(up, kept, error))
        return VERDICT_FAIL;
    if (kept >= end && end < up->size_bytes) {
        up->parts[part].done = true;
        up->parts[part].kept_bytes = 0;
        return VERDICT_OK;
    }
    if (kept > begin + up->parts[part].kept_bytes && kept < end) {
        up->parts[part].kept_bytes = kept - begin;
        return VERDICT_MORE;
    }
    fault_set(error, FAULT_BROKEN, "the server kept %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " bytes", kept, end);
    return VERDICT_RETRY;
}

static Verdict read_part(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, int more, GError **error)
{
    uint64_t kept;
    if (rs->status == more) {
        const bool told = more == 308 ? gcs_kept(rs, &kept, error) : ranged_kept(rs, &kept, error);
        return told ? take_progress(up, part, kept, error) : VERDICT_RETRY;
    }
    if (rs->status != 200 && rs->status != 201)
        return failed(ctx, up, rows, rs, error);
    if (part + 1 < up->n_parts) {
        fault_set(error, FAULT_BAD_ANSWER, "%d: the server ended the session before all was sent", rs->status);
        return VERDICT_RESTART;
    }
    return finished(up, rs, error);
}

static Verdict read_gcs_part(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    return read_part(ctx, up, part, rs, 308, error);
}

static Verdict read_ranged_part(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    return read_part(ctx, up, part, rs, 202, error);
}

/* ---- RESUME, ABORT */

static bool ask_gcs_resume(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)ctx, (void)part, (void)error;
    g_autofree char *range = whole_range(up);
    *rq_out = query(up->upload_id, range);
    return true;
}

static Verdict read_gcs_resume(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    uint64_t kept;
    if (rs->status == 200 || rs->status == 201)
        return finished(up, rs, error);
    if (rs->status != 308)
        return failed(ctx, up, rows, rs, error);
    if (!gcs_kept(rs, &kept, error) || !fits_file(up, kept, error))
        return VERDICT_RETRY;
    session_kept(up, kept);
    return VERDICT_OK;
}

static bool ask_ranged_resume(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)ctx, (void)part, (void)error;
    *rq_out = query(up->upload_id, NULL);
    return true;
}

static Verdict read_ranged_resume(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    uint64_t kept;
    if (rs->status != 200)
        return failed(ctx, up, rows, rs, error);
    if (!ranged_kept(rs, &kept, error) || !fits_file(up, kept, error))
        return VERDICT_RETRY;
    session_kept(up, kept);
    return VERDICT_OK;
}

static bool ask_abort(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)ctx, (void)part, (void)error;
    Request *rq = request_new("DELETE");
    rq->url = g_strdup(up->upload_id);
    *rq_out = rq;
    return true;
}

/* 499 is Cloud Storage's word for a session that was cancelled. */
static Verdict read_abort(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    const bool ended = (rs->status >= 200 && rs->status < 300) || rs->status == 404 || rs->status == 410 || rs->status == 499;
    return ended ? VERDICT_OK : failed(ctx, up, rows, rs, error);
}

/* ---- the rows */

static void *open_nothing(const DestConf *conf, GError **error)
{
    (void)conf, (void)error;
    return g_new0(char, 1);
}

static unsigned gcs_digests(const DestCtx *ctx, const Upload *up)
{
    (void)ctx, (void)up;
    return DIGEST_BIT(DIGEST_CRC32C);
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

static char *gcs_where(const DestCtx *ctx)
{
    (void)ctx;
    return g_strdup("gcs");
}

static char *ranged_where(const DestCtx *ctx)
{
    (void)ctx;
    return g_strdup("ranged");
}

const DestOps dest_gcs = {
    .scheme = "gcs",
    .form = DEST_FORM_NAME,
    .help = "gcs (by a broker)",
    .open = open_nothing,
    .close = g_free,
    .digests = gcs_digests,
    .plan = gcs_plan,
    .url = no_url,
    .where = gcs_where,
    .step = {
        [PHASE_RESUME] = { ask_gcs_resume, read_gcs_resume },
        [PHASE_OPEN] = { ask_gcs_open, read_gcs_open },
        [PHASE_PART] = { ask_part, read_gcs_part },
        [PHASE_ABORT] = { ask_abort, read_abort },
    },
};

const DestOps dest_ranged = {
    .scheme = "ranged",
    .form = DEST_FORM_NAME,
    .help = "ranged (by a broker)",
    .open = open_nothing,
    .close = g_free,
    .digests = no_digests,
    .plan = ranged_plan,
    .url = no_url,
    .where = ranged_where,
    .step = {
        [PHASE_RESUME] = { ask_ranged_resume, read_ranged_resume },
        [PHASE_OPEN] = { ask_ranged_open, read_ranged_open },
        [PHASE_PART] = { ask_part, read_ranged_part },
        [PHASE_ABORT] = { ask_abort, read_abort },
    },
};
