#include "oss_priv.h"

#include <string.h>

#include "answer.h"
#include "skew.h"

#define KEY_MAX_BYTES    1023
#define MAX_ANSWER_BYTES 200 /* of the application's words in the note */

/* ---- requests */

const char *oss_region(const DestCtx *ctx)
{
    return ctx->learned->region[0] != '\0' ? ctx->learned->region : oss_of(ctx)->region;
}

char *oss_object_url(const DestCtx *ctx, const char *key)
{
    const Oss *oss = oss_of(ctx);
    g_autofree char *host = g_strdup_printf("oss-%s%s.aliyuncs.com", oss_region(ctx), oss->internal ? "-internal" : "");
    S3Endpoint ep = oss->ep;
    if (ep.host == NULL)
        ep.host = host;
    return s3_url(&ep, oss_region(ctx), oss->bucket, key, oss->style);
}

bool oss_signer(const DestCtx *ctx, const char *key, OssSigner *out)
{
    Oss *oss = oss_of(ctx);
    *out = (OssSigner){ .version = oss->version,
                        .access_key = credentials_secret(ctx->creds, "access-key"),
                        .secret_key = credentials_secret(ctx->creds, "secret-key"),
                        .token = credentials_secret(ctx->creds, "session-token"),
                        .region = oss_region(ctx),
                        .bucket = oss->bucket,
                        .key = key,
                        .now_s = ctx->now_s + ctx->learned->clock_offset_s,
                        .cache = &oss->key };
    return out->access_key != NULL && out->secret_key != NULL;
}

/* Unsigned. */
static Request *request_to(const DestCtx *ctx, const char *method, const char *key, const char *query)
{
    Request *rq = request_new(method);
    g_autofree char *url = oss_object_url(ctx, key);
    rq->url = query == NULL ? g_steal_pointer(&url) : g_strconcat(url, "?", query, NULL);
    return rq;
}

static void sign(const DestCtx *ctx, const char *key, Request *rq)
{
    OssSigner s;
    if (oss_signer(ctx, key, &s))
        oss_sign(&s, rq);
}

Request *oss_simple(const DestCtx *ctx, const char *method, const char *key, const char *query)
{
    Request *rq = request_to(ctx, method, key, query);
    sign(ctx, key, rq);
    return rq;
}

static void send_option(const DestCtx *ctx, const char *option, const char *name, GivenSend send, gpointer to)
{
    const char *value = dest_conf_option(ctx->conf, option);
    if (value != NULL)
        send(to, name, value);
}

void oss_each_header(const DestCtx *ctx, const Upload *up, GivenSend send, gpointer to)
{
    const Oss *oss = oss_of(ctx);
    given_each(&oss->given, up, send, to);
    send_option(ctx, "acl", "x-oss-object-acl", send, to);
    send_option(ctx, "storage-class", "x-oss-storage-class", send, to);
    if (oss->sse != NULL)
        send(to, "x-oss-server-side-encryption", oss->sse);
    if (oss->given.tagging != NULL)
        send(to, "x-oss-tagging", oss->given.tagging);
    if (oss->only_new)
        send(to, "x-oss-forbid-overwrite", "true");
}

static void callback_headers(const DestCtx *ctx, Request *rq)
{
    const Oss *oss = oss_of(ctx);
    if (oss->callback != NULL)
        request_header(rq, "x-oss-callback", oss->callback);
    if (oss->callback_var != NULL)
        request_header(rq, "x-oss-callback-var", oss->callback_var);
}

/* ---- plan */

static bool oss_plan(const DestCtx *ctx, Upload *up, uint64_t part_size_wanted, GError **error)
{
    up->look_first = oss_of(ctx)->only_new;
    const size_t key_bytes = strlen(up->key);
    if (!g_utf8_validate(up->key, -1, NULL)) {
        fault_set(error, FAULT_KEY, "the key is not UTF-8, and OSS takes no other");
        return false;
    }
    if (key_bytes > KEY_MAX_BYTES || up->key[0] == '/' || up->key[0] == '\\') {
        fault_set(error, FAULT_KEY, "a key of OSS has up to %d bytes and does not begin with '/' or '\\'; this one has %zu", KEY_MAX_BYTES,
                  key_bytes);
        return false;
    }
    return multipart_plan(up, part_size_wanted, OSS_PART_MIN_BYTES, "OSS", error);
}

static unsigned oss_digests(const DestCtx *ctx, const Upload *up)
{
    (void)up;
    const Oss *oss = oss_of(ctx);
    return (oss->crc ? DIGEST_BIT(DIGEST_CRC64ECMA) : 0) | (oss->md5 ? DIGEST_BIT(DIGEST_MD5) : 0);
}

/* ---- FIND and RESUME */

static Request *list_request(const DestCtx *ctx, const char *key, const char *query)
{
    Request *rq = oss_simple(ctx, "GET", key, query);
    rq->answer_max = ANSWER_MAX_LIST;
    return rq;
}

static bool ask_find(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part, (void)error;
    g_autofree char *query = multipart_find_query(up);
    *rq_out = list_request(ctx, NULL, query);
    return true;
}

static Verdict read_find(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    g_autoptr(S3Answer) a = s3_answer_new(rs, "ListMultipartUploadsResult");
    if (a->is_error && skew_not_allowed(ctx, a, rs) && s3_answer_field(a, "Endpoint") == NULL)
        return multipart_find_refused(ctx, up);
    if (a->is_error)
        return oss_failed(ctx, up, a, rs, error);
    skew_learn(ctx, rs);
    return multipart_found(ctx, up, a);
}

static bool ask_resume(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    if (!multipart_has_id(up, error))
        return false;
    g_autofree char *query = multipart_resume_query(up);
    *rq_out = list_request(ctx, up->key, query);
    return true;
}

/* The list of parts tells the CRC of each. */
static bool crc_differs(const S3Answer *a, unsigned row, const DigestSet *digest)
{
    const char *told = body_row_field(a->body, row, "HashCrc64ecma");
    if (told == NULL)
        return false;
    g_autoptr(Response) as_header = response_new();
    response_add_header(as_header, "x-oss-hash-crc64ecma", strlen("x-oss-hash-crc64ecma"), told, strlen(told));
    return oss_prove_part(as_header, digest) == PROOF_WRONG;
}

static Verdict read_resume(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    g_autoptr(S3Answer) a = s3_answer_new(rs, "ListPartsResult");
    if (a->is_error && skew_not_allowed(ctx, a, rs) && s3_answer_field(a, "Endpoint") == NULL)
        return multipart_resume_refused(ctx, up);
    if (a->is_error)
        return oss_failed(ctx, up, a, rs, error);
    skew_learn(ctx, rs);
    return multipart_resumed(up, a, crc_differs);
}

/* ---- OPEN */

static bool ask_open(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part, (void)error;
    Request *rq = request_to(ctx, "POST", up->key, "uploads=");
    oss_each_header(ctx, up, given_to_request, rq);
    sign(ctx, up->key, rq);
    *rq_out = rq;
    return true;
}

/* The key is taken, perhaps by our own earlier try whose answer was lost: VERIFY tells. */
static Verdict key_taken(const DestCtx *ctx, Upload *up, const S3Answer *a, GError **error)
{
    g_autofree char *cause = s3_answer_cause(a, ctx->creds);
    fault_set(error, FAULT_EXISTS, "%s", cause);
    up->refused_exists = true;
    return VERDICT_UNKNOWN;
}

static Verdict read_open(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    g_autoptr(S3Answer) a = s3_answer_new(rs, "InitiateMultipartUploadResult");
    if (a->is_error)
        return oss_failed(ctx, up, a, rs, error);
    skew_learn(ctx, rs);
    return multipart_opened(ctx, up, a, error);
}

/* ---- an object is there */

/* Fills in what is known of it. False and FAULT_CHECKSUM when it is another one. */
static bool confirm(const DestCtx *ctx, Upload *up, const Response *rs, const S3Answer *a, GError **error)
{
    const char *etag = response_header(rs, "etag");
    const Proof proof = oss_prove(ctx, up, rs);
    if (proof == PROOF_WRONG) {
        fault_set(error, FAULT_CHECKSUM, "the store's CRC-64 of the object is not that of the file");
        return false;
    }
    if (etag == NULL)
        etag = s3_answer_field(a, "ETag");
    upload_set(&up->etag, etag == NULL ? "" : etag);
    upload_set(&up->version, response_header(rs, "x-oss-version-id"));
    up->verified = proof == PROOF_CHECKSUM ? VERIFIED_CHECKSUM : proof == PROOF_ETAG ? VERIFIED_ETAG : VERIFIED_NOT;
    return true;
}

static void say_callback_failed(const DestCtx *ctx, Upload *up, const S3Answer *a)
{
    g_autofree char *cause = s3_answer_cause(a, ctx->creds);
    g_autofree char *note = g_strdup_printf("stored, but the callback to the application failed: %s", cause);
    upload_say(up, note);
}

static void say_answer(const DestCtx *ctx, Upload *up, const Response *rs)
{
    if (rs->body->len == 0)
        return;
    g_autofree char *text = g_strndup((const char *)rs->body->data, rs->body->len);
    g_autofree char *words = answer_words(text, MAX_ANSWER_BYTES, ctx->creds);
    g_autofree char *note = g_strdup_printf("the application answered: %s", words);
    upload_say(up, note);
}

/* With a callback the object is there whatever was heard of it: the application's words under 200, or 203 when there were none to be had.
 * OSS names itself, which a login page of the network in between does not. */
static bool is_called_back(const DestCtx *ctx, const Response *rs, const S3Answer *a)
{
    const bool stored = rs->status == 203 || (rs->status == 200 && a->code == NULL);
    return oss_of(ctx)->callback != NULL && stored && response_header(rs, "x-oss-request-id") != NULL;
}

Verdict oss_read_object(const DestCtx *ctx, Upload *up, const char *root, const Response *rs, GError **error)
{
    const Oss *oss = oss_of(ctx);
    g_autoptr(S3Answer) a = s3_answer_new(rs, oss->callback == NULL ? root : NULL);
    const bool called_back = is_called_back(ctx, rs, a);
    if (a->class == S3_EXISTS && oss->only_new)
        return key_taken(ctx, up, a, error);
    if (a->is_error && !called_back)
        return oss_failed(ctx, up, a, rs, error);
    skew_learn(ctx, rs);
    if (!confirm(ctx, up, rs, a, error))
        return up->multipart ? VERDICT_RESTART : VERDICT_RETRY;
    if (rs->status == 203)
        say_callback_failed(ctx, up, a);
    else if (called_back)
        say_answer(ctx, up, rs);
    return VERDICT_OK;
}

/* ---- PART: a part, or the whole object */

static bool ask_part(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    if (up->multipart && !multipart_has_id(up, error))
        return false;
    if (!up->multipart && oss_of(ctx)->post)
        return oss_ask_post(ctx, up, rq_out, error);
    const DigestSet *digest = up->parts[part].digest;
    g_autofree char *query = up->multipart ? multipart_query(up, part + 1) : NULL;
    g_autofree char *md5 = digest != NULL && oss_of(ctx)->md5 ? digest_base64(digest, DIGEST_MD5) : NULL;
    Request *rq = request_to(ctx, "PUT", up->key, query);
    if (!up->multipart) {
        oss_each_header(ctx, up, given_to_request, rq);
        callback_headers(ctx, rq);
        rq->slow_answer = oss_of(ctx)->callback != NULL;
    }
    if (md5 != NULL)
        request_header(rq, "Content-MD5", md5);
    send_option(ctx, "traffic-limit", "x-oss-traffic-limit", given_to_request, rq);
    const uint64_t bytes = upload_part_bytes(up, part);
    if (bytes > 0)
        request_body_file(rq, upload_part_offset(up, part), bytes);
    sign(ctx, up->key, rq);
    *rq_out = rq;
    return true;
}

static Verdict read_part_of_many(const DestCtx *ctx, Upload *up, Part *p, const Response *rs, GError **error)
{
    g_autoptr(S3Answer) a = s3_answer_new(rs, NULL);
    if (a->is_error)
        return oss_failed(ctx, up, a, rs, error);
    skew_learn(ctx, rs);
    const char *etag = response_header(rs, "etag");
    if (etag == NULL || *etag == '\0') {
        fault_set(error, FAULT_BAD_ANSWER, "%d: the store took the part without naming an ETag", rs->status);
        return VERDICT_RETRY;
    }
    if (oss_prove_part(rs, p->digest) == PROOF_WRONG) {
        fault_set(error, FAULT_CHECKSUM, "the store's CRC-64 of what it received is not that of what was sent");
        return VERDICT_RETRY;
    }
    upload_set(&p->etag, etag);
    p->done = true;
    return VERDICT_OK;
}

static Verdict read_part(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    Part *p = &up->parts[part];
    if (up->multipart)
        return read_part_of_many(ctx, up, p, rs, error);
    const Verdict verdict = oss_read_object(ctx, up, NULL, rs, error);
    if (verdict == VERDICT_OK) {
        upload_set(&p->etag, up->etag);
        p->done = true;
    }
    return verdict;
}

/* ---- CLOSE */

static bool ask_close(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    if (!multipart_has_id(up, error))
        return false;
    GBytes *document = multipart_complete(up, NULL, NULL, DIGEST_MD5, error);
    if (document == NULL)
        return false;
    g_autofree char *query = multipart_query(up, 0);
    Request *rq = request_to(ctx, "POST", up->key, query);
    send_option(ctx, "acl", "x-oss-object-acl", given_to_request, rq);
    if (oss_of(ctx)->only_new)
        request_header(rq, "x-oss-forbid-overwrite", "true");
    callback_headers(ctx, rq);
    rq->slow_answer = true;
    request_body_bytes(rq, document);
    sign(ctx, up->key, rq);
    *rq_out = rq;
    return true;
}

/* Errors that mean something else here than elsewhere: what was answered may not be what happened. */
static bool is_open_outcome(const DestCtx *ctx, const Response *rs, const S3Answer *a)
{
    const bool no_answer = rs->status >= 200 && rs->status < 300 && a->is_error && a->code == NULL && !is_called_back(ctx, rs, a);
    return no_answer || (rs->status == 404 && (a->code == NULL || g_str_equal(a->code, "NoSuchUpload")));
}

static Verdict read_close(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    static const char root[] = "CompleteMultipartUploadResult";
    (void)part;
    g_autoptr(S3Answer) a = s3_answer_new(rs, oss_of(ctx)->callback == NULL ? root : NULL);
    if (!is_open_outcome(ctx, rs, a))
        return oss_read_object(ctx, up, root, rs, error);
    g_autofree char *cause = s3_answer_cause(a, ctx->creds);
    fault_set(error, rs->status == 404 ? FAULT_UPLOAD_GONE : a->fault, "%s", cause);
    return VERDICT_UNKNOWN;
}

/* ---- ABORT and REMOVE */

static bool ask_abort(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    if (!multipart_has_id(up, error))
        return false;
    g_autofree char *query = multipart_query(up, 0);
    *rq_out = oss_simple(ctx, "DELETE", up->key, query);
    return true;
}

static Verdict read_abort(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    g_autoptr(S3Answer) a = s3_answer_new(rs, NULL);
    return multipart_aborted(up, a) ? VERDICT_OK : oss_failed(ctx, up, a, rs, error);
}

static bool ask_remove(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part, (void)error;
    *rq_out = oss_simple(ctx, "DELETE", up->key, NULL);
    return true;
}

/* What is not there is removed. */
static Verdict read_remove(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    g_autoptr(S3Answer) a = s3_answer_new(rs, NULL);
    if (!a->is_error || (a->status == 404 && g_strcmp0(a->code, "NoSuchBucket") != 0))
        return VERDICT_OK;
    return oss_failed(ctx, up, a, rs, error);
}

/* ---- the row */

/* Independent of what was learned, for that is kept under this name. */
static char *oss_where(const DestCtx *ctx)
{
    const Oss *oss = oss_of(ctx);
    DestLearned nothing = { 0 };
    DestCtx plain = *ctx;
    plain.learned = &nothing;
    g_autofree char *url = oss_object_url(&plain, NULL);
    return g_str_has_suffix(url, "/") && oss->style != S3_STYLE_PATH ? g_strndup(url, strlen(url) - 1) : g_steal_pointer(&url);
}

static char *oss_share(const DestCtx *ctx, const char *key, unsigned seconds, GError **error)
{
    OssSigner s;
    if (!oss_signer(ctx, key, &s)) {
        fault_set(error, FAULT_NO_CREDENTIALS, "a URL is signed with an access key, and there is none");
        return NULL;
    }
    if (s.version == OSS_V4 && seconds > SIGV4_EXPIRES_MAX_S) {
        fault_set(error, FAULT_USAGE, "OSS signs URLs for 7 days at most (--oss-signature v1 for longer)");
        return NULL;
    }
    g_autofree char *url = oss_object_url(ctx, key);
    return oss_presign(&s, "GET", url, NULL, seconds);
}

const DestOps dest_oss = {
    .scheme = "oss",
    .form = DEST_FORM_BUCKET,
    .help = "oss://BUCKET/PREFIX",
    .shared = oss_shared,
    .opts = oss_opts,
    .secrets = oss_secrets,
    .endpoint_env = "OSS_ENDPOINT",
    .region_env = "OSS_REGION",
    .open = oss_open,
    .close = oss_close,
    .digests = oss_digests,
    .plan = oss_plan,
    .url = oss_object_url,
    .where = oss_where,
    .share = oss_share,
    .step = {
        [PHASE_LOOK] = { oss_ask_look, oss_read_look },
        [PHASE_FIND] = { ask_find, read_find },
        [PHASE_RESUME] = { ask_resume, read_resume },
        [PHASE_OPEN] = { ask_open, read_open },
        [PHASE_PART] = { ask_part, read_part },
        [PHASE_CLOSE] = { ask_close, read_close },
        [PHASE_VERIFY] = { oss_ask_verify, oss_read_verify },
        [PHASE_ABORT] = { ask_abort, read_abort },
        [PHASE_REMOVE] = { ask_remove, read_remove },
    },
};
