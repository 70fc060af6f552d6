#include "s3_priv.h"

#define XML_NAMESPACE "http://s3.amazonaws.com/doc/2006-03-01/"

/* ---- requests */

const char *s3_region(const DestCtx *ctx)
{
    return ctx->learned->region[0] != '\0' ? ctx->learned->region : s3_of(ctx)->region;
}

char *s3_object_url(const DestCtx *ctx, const char *key)
{
    const S3 *s3 = s3_of(ctx);
    const S3Style style = s3->style == S3_STYLE_AUTO ? (S3Style)ctx->learned->style : s3->style;
    return s3_url(&s3->ep, s3_region(ctx), s3->bucket, key, style);
}

Request *s3_request(const DestCtx *ctx, const char *method, const char *key, const char *query)
{
    Request *rq = request_new(method);
    g_autofree char *url = s3_object_url(ctx, key);
    rq->url = query == NULL ? g_steal_pointer(&url) : g_strconcat(url, "?", query, NULL);
    return rq;
}

void s3_sign(const DestCtx *ctx, Request *rq, const char *payload_line)
{
    if (ctx->creds != NULL)
        sigv4_sign(rq, ctx->creds, s3_region(ctx), "s3", ctx->now_s + ctx->learned->clock_offset_s, payload_line, &s3_of(ctx)->key);
}

static bool only_new_header(const DestCtx *ctx, Request *rq, GError **error)
{
    if (!s3_of(ctx)->only_new)
        return true;
    if (ctx->learned->if_none_match == LEARNED_REFUSED) {
        fault_set(error, FAULT_UNSUPPORTED, "this store cannot refuse to overwrite (If-None-Match); use --if-exists overwrite");
        return false;
    }
    request_header(rq, "If-None-Match", "*");
    return true;
}

/* ---- plan */

static bool s3_plan(const DestCtx *ctx, Upload *up, uint64_t part_size_wanted, GError **error)
{
    up->look_first = s3_of(ctx)->only_new;
    return multipart_plan(up, part_size_wanted, S3_PART_MIN_BYTES, "S3", error);
}

/* ---- OPEN */

static bool ask_open(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part, (void)error;
    DigestKind kind;
    Request *rq = s3_request(ctx, "POST", up->key, "uploads=");
    s3_object_headers(ctx, up, rq);
    if (s3_sent_checksum(ctx, &kind) && kind != DIGEST_MD5) {
        g_autofree char *name = g_ascii_strup(digest_name(kind), -1);
        request_header(rq, "x-amz-checksum-algorithm", name);
        request_header(rq, "x-amz-checksum-type", kind == DIGEST_CRC64NVME ? "FULL_OBJECT" : "COMPOSITE");
    }
    s3_sign(ctx, rq, SIGV4_EMPTY);
    *rq_out = rq;
    return true;
}

static Verdict read_open(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    g_autoptr(S3Answer) a = s3_answer_new(rs, "InitiateMultipartUploadResult");
    if (a->is_error)
        return s3_failed(ctx, up, a, rs, error);
    skew_learn(ctx, rs);
    return multipart_opened(ctx, up, a, error);
}

/* ---- PART: a part, or the whole object */

static void checksum_header(const DestCtx *ctx, const DigestSet *digest, Request *rq)
{
    DigestKind kind;
    if (digest == NULL || !s3_sent_checksum(ctx, &kind))
        return;
    g_autofree char *value = digest_base64(digest, kind);
    g_autofree char *name = kind == DIGEST_MD5 ? g_strdup("Content-MD5") : g_strconcat("x-amz-checksum-", digest_name(kind), NULL);
    if (value != NULL)
        request_header(rq, name, value);
}

/* Over TLS the bytes need no signature of their own; without it they do, unless the person says otherwise. */
static char *payload_line(const DestCtx *ctx, const DigestSet *digest)
{
    const S3 *s3 = s3_of(ctx);
    if (ctx->creds == NULL || !s3->ep.plain || s3->unsigned_payload)
        return g_strdup(SIGV4_UNSIGNED);
    if (digest == NULL || (digest->have & DIGEST_BIT(DIGEST_SHA256)) == 0)
        return NULL;
    return digest_hex(digest->value[DIGEST_SHA256], digest_bytes(DIGEST_SHA256));
}

static bool ask_part(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    if (up->multipart && !multipart_has_id(up, error))
        return false;
    const DigestSet *digest = up->parts[part].digest;
    g_autofree char *payload = payload_line(ctx, digest);
    if (payload == NULL) {
        fault_set(error, FAULT_BUG, "part %u is to be signed without its SHA-256", part + 1);
        return false;
    }
    g_autofree char *query = up->multipart ? multipart_query(up, part + 1) : NULL;
    g_autoptr(Request) rq = s3_request(ctx, "PUT", up->key, query);
    if (!up->multipart) {
        s3_object_headers(ctx, up, rq);
        if (!only_new_header(ctx, rq, error))
            return false;
    }
    checksum_header(ctx, digest, rq);
    const uint64_t bytes = upload_part_bytes(up, part);
    if (bytes > 0)
        request_body_file(rq, upload_part_offset(up, part), bytes);
    s3_sign(ctx, rq, payload);
    *rq_out = g_steal_pointer(&rq);
    return true;
}

/* A checksum that was sent and is echoed was verified; one that is not echoed was dropped. */
static bool check_echo(const DestCtx *ctx, const Response *rs, const DigestSet *digest, GError **error)
{
    DigestKind kind;
    if (digest == NULL || !s3_sent_checksum(ctx, &kind) || kind == DIGEST_MD5 || (digest->have & DIGEST_BIT(kind)) == 0)
        return true;
    LearnedState *state = &ctx->learned->checksum[kind];
    const Proof proof = s3_prove_part(rs, kind, digest);
    if (proof == PROOF_WRONG) {
        fault_set(error, FAULT_CHECKSUM, "the store's %s of what it received is not that of what was sent", digest_name(kind));
        return false;
    }
    const LearnedState now = proof == PROOF_CHECKSUM ? LEARNED_WORKS : *state == LEARNED_UNKNOWN ? LEARNED_IGNORED : *state;
    if (now != *state) {
        *state = now;
        ctx->learned->dirty = true;
    }
    return true;
}

bool s3_confirm_object(const DestCtx *ctx, Upload *up, const Response *rs, const S3Answer *a, GError **error)
{
    const char *etag = s3_answer_field(a, "ETag");
    if (etag == NULL)
        etag = response_header(rs, "etag");
    const Proof proof = s3_prove(ctx, up, rs, a, etag);
    if (proof == PROOF_WRONG) {
        fault_set(error, FAULT_CHECKSUM, "the store's checksum of the object is not that of the file");
        return false;
    }
    g_free(up->etag);
    up->etag = g_strdup(etag == NULL ? "" : etag);
    g_free(up->version);
    up->version = g_strdup(response_header(rs, "x-amz-version-id"));
    up->verified = proof == PROOF_CHECKSUM ? VERIFIED_CHECKSUM : proof == PROOF_ETAG ? VERIFIED_ETAG : VERIFIED_NOT;
    return true;
}

/* 412: the key is taken, perhaps by our own earlier try whose answer was lost. VERIFY tells. */
static Verdict key_taken(Upload *up, const DestCtx *ctx, const S3Answer *a, GError **error)
{
    g_autofree char *cause = s3_answer_cause(a, ctx->creds);
    fault_set(error, FAULT_EXISTS, "%s", cause);
    up->refused_exists = true;
    return VERDICT_UNKNOWN;
}

static Verdict read_part(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    Part *p = &up->parts[part];
    g_autoptr(S3Answer) a = s3_answer_new(rs, NULL);
    if (a->class == S3_EXISTS && s3_of(ctx)->only_new && !up->multipart)
        return key_taken(up, ctx, a, error);
    if (a->is_error)
        return s3_failed(ctx, up, a, rs, error);
    skew_learn(ctx, rs);
    const char *etag = response_header(rs, "etag");
    if (up->multipart && (etag == NULL || *etag == '\0')) {
        fault_set(error, FAULT_BAD_ANSWER, "%d: the store took the part without naming an ETag", rs->status);
        return VERDICT_RETRY;
    }
    if (!check_echo(ctx, rs, p->digest, error))
        return VERDICT_RETRY;
    if (!up->multipart && !s3_confirm_object(ctx, up, rs, a, error))
        return VERDICT_RETRY;
    s3_learn_etag(ctx, p->digest, rs, etag);
    g_free(p->etag);
    p->etag = g_strdup(etag);
    p->done = true;
    return VERDICT_OK;
}

/* ---- CLOSE */

static bool ask_close(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    if (!multipart_has_id(up, error))
        return false;
    g_autofree char *query = multipart_query(up, 0);
    g_autoptr(Request) rq = s3_request(ctx, "POST", up->key, query);
    DigestKind kind = DIGEST_MD5;
    const bool has_kind = s3_sent_checksum(ctx, &kind) && kind != DIGEST_MD5;
    g_autofree char *whole = has_kind && kind == DIGEST_CRC64NVME ? s3_object_checksum(up, kind, false) : NULL;
    if (whole != NULL) {
        request_header(rq, "x-amz-checksum-crc64nvme", whole);
        request_header(rq, "x-amz-checksum-type", "FULL_OBJECT");
    }
    if (!only_new_header(ctx, rq, error))
        return false;
    rq->slow_answer = true;

    /* Some stores (versitygw) want the checksum of each part also where that of the whole object is sent; S3 takes it. */
    g_autofree char *element = has_kind ? s3_checksum_element(kind) : NULL;
    GBytes *document = multipart_complete(up, XML_NAMESPACE, element, kind, error);
    if (document == NULL)
        return false;
    DigestSet set;
    digest_of(DIGEST_BIT(DIGEST_SHA256), g_bytes_get_data(document, NULL), g_bytes_get_size(document), &set);
    g_autofree char *payload = digest_hex(set.value[DIGEST_SHA256], digest_bytes(DIGEST_SHA256));
    request_body_bytes(rq, document);
    s3_sign(ctx, rq, payload);
    *rq_out = g_steal_pointer(&rq);
    return true;
}

/* Errors that mean something else here than elsewhere. */
static Verdict close_failed(const DestCtx *ctx, Upload *up, S3Answer *a, const Response *rs, GError **error)
{
    const bool no_answer = a->status >= 200 && a->status < 300 && a->code == NULL;
    const bool gone = a->status == 404 && (a->code == NULL || g_str_equal(a->code, "NoSuchUpload"));
    const bool conflict = g_strcmp0(a->code, "ConditionalRequestConflict") == 0;
    if (a->class == S3_EXISTS && s3_of(ctx)->only_new)
        return key_taken(up, ctx, a, error);
    if (!no_answer && !gone && !conflict)
        return s3_failed(ctx, up, a, rs, error);
    g_autofree char *cause = s3_answer_cause(a, ctx->creds);
    fault_set(error, gone ? FAULT_UPLOAD_GONE : a->fault, "%s", cause);
    return conflict ? VERDICT_RESTART : VERDICT_UNKNOWN; /* S3 wants a new upload after a conflict */
}

static Verdict read_close(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    g_autoptr(S3Answer) a = s3_answer_new(rs, "CompleteMultipartUploadResult");
    if (a->is_error)
        return close_failed(ctx, up, a, rs, error);
    skew_learn(ctx, rs);
    return s3_confirm_object(ctx, up, rs, a, error) ? VERDICT_OK : VERDICT_RESTART;
}

/* ---- ABORT */

static bool ask_abort(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    if (!multipart_has_id(up, error))
        return false;
    g_autofree char *query = multipart_query(up, 0);
    Request *rq = s3_request(ctx, "DELETE", up->key, query);
    s3_sign(ctx, rq, SIGV4_EMPTY);
    *rq_out = rq;
    return true;
}

static Verdict read_abort(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    g_autoptr(S3Answer) a = s3_answer_new(rs, NULL);
    return multipart_aborted(up, a) ? VERDICT_OK : s3_failed(ctx, up, a, rs, error);
}

/* ---- the row */

/* Independent of what was learned, for that is kept under this name. */
char *s3_where(const DestCtx *ctx)
{
    const S3 *s3 = s3_of(ctx);
    return s3_url(&s3->ep, s3->region, s3->bucket, NULL, S3_STYLE_PATH);
}

const DestOps dest_s3 = {
    .scheme = "s3",
    .form = DEST_FORM_BUCKET,
    .help = "s3://BUCKET/PREFIX",
    .shared = s3_shared,
    .aws = true,
    .open = s3_open,
    .close = s3_close,
    .digests = s3_digests,
    .plan = s3_plan,
    .url = s3_object_url,
    .where = s3_where,
    .share = s3_share,
    .step = {
        [PHASE_LOOK] = { s3_ask_look, s3_read_look },
        [PHASE_FIND] = { s3_ask_find, s3_read_find },
        [PHASE_RESUME] = { s3_ask_resume, s3_read_resume },
        [PHASE_OPEN] = { ask_open, read_open },
        [PHASE_PART] = { ask_part, read_part },
        [PHASE_CLOSE] = { ask_close, read_close },
        [PHASE_VERIFY] = { s3_ask_verify, s3_read_verify },
        [PHASE_ABORT] = { ask_abort, read_abort },
        [PHASE_REMOVE] = { s3_ask_remove, s3_read_remove },
    },
};
