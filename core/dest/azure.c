/* Azure Blob Storage by SAS: Put Blob, or blocks side by side and a list that makes a blob of them. The SAS is a person's own secret
 * (azure+https://...) or a broker's grant; it ends, and nobody keeps it: blocks are named by the upload's nonce, so that any SAS finds
 * them.
 *
 * Sources: Azure Storage REST API, Put Blob, Put Block, Put Block List, Get Block List, Get Blob Properties, Delete Blob, "Common REST API
 * error codes", "Blob Storage error codes", "Naming and referencing containers, blobs, and metadata". */
#include <string.h>

#include "answer.h"
#include "body.h"
#include "given.h"
#include "session.h"
#include "stored.h"

#define MIB (UINT64_C(1) << 20)

#define WHOLE_MAX_BYTES     (16 * MIB)
#define BLOCK_DEFAULT_BYTES (8 * MIB)
#define BLOCK_MAX_BYTES     (4000 * MIB)
#define MAX_BLOCKS          10000 /* Azure: 50000; what one answer may list here is less */
#define KEY_MAX_BYTES       1024
#define NONCE_HEADER        "x-ms-meta-hoistnonce"
#define PROVEN              "md5" /* Part.etag: the store checked its MD5 */

typedef struct {
    char *base; /* URL of container and prefix, without '/' at its end; NULL when a broker's grant brings it */
    Given given;
    bool only_new, no_md5;
} Azure;

static Azure *azure_of(const DestCtx *ctx)
{
    return ctx->priv;
}

static const char *const azure_shared[] = { "storage-class", "header",     "meta",      "tag",        "if-exists", "checksum",
                                            "secret",        "public-url", "part-size", "allow-http", NULL };

static const DestSecret azure_secrets[] = {
    { "sas-token", "AZURE_STORAGE_SAS_TOKEN", false, "shared access signature of the container: sv=...&sig=..." },
    { NULL, NULL, false, NULL },
};

/* ---- open and close */

static void azure_close(void *priv)
{
    Azure *az = priv;
    if (az == NULL)
        return;
    g_free(az->base);
    given_clear(&az->given);
    g_free(az);
}

static bool is_option(const DestConf *conf, const char *name, const char *value)
{
    return g_strcmp0(dest_conf_option(conf, name), value) == 0;
}

static void *azure_open(const DestConf *conf, GError **error)
{
    Azure *az = g_new0(Azure, 1);
    const char *url = conf->endpoint;
    if (url != NULL && strpbrk(url, "?#") != NULL) {
        fault_set(error, FAULT_USAGE, "azure+: the URL ends with the path; the SAS token comes from AZURE_STORAGE_SAS_TOKEN or --secret");
        azure_close(az);
        return NULL;
    }
    const char *checksum = dest_conf_option(conf, "checksum");
    if (checksum != NULL && !is_option(conf, "checksum", "auto") && !is_option(conf, "checksum", "md5") &&
        !is_option(conf, "checksum", "none")) {
        fault_set(error, FAULT_USAGE, "--checksum: Azure checks auto, md5 or none");
        azure_close(az);
        return NULL;
    }
    if (!dest_keeps_secret(conf, url, "the SAS token", error) || !given_open(&az->given, conf, "x-ms-", error)) {
        azure_close(az);
        return NULL;
    }
    az->base = g_strdup(url);
    for (size_t n = url == NULL ? 0 : strlen(url); n > 0 && az->base[n - 1] == '/'; n--)
        az->base[n - 1] = '\0';
    az->only_new = is_option(conf, "if-exists", "skip") || is_option(conf, "if-exists", "fail");
    az->no_md5 = is_option(conf, "checksum", "none");
    return az;
}

static unsigned azure_digests(const DestCtx *ctx, const Upload *up)
{
    (void)up;
    return azure_of(ctx)->no_md5 ? 0 : DIGEST_BIT(DIGEST_MD5);
}

static char *azure_url(const DestCtx *ctx, const char *key)
{
    if (azure_of(ctx)->base == NULL)
        return NULL;
    GString *url = g_string_new(azure_of(ctx)->base);
    g_string_append_c(url, '/');
    uri_escape_append(url, key, strlen(key), true);
    return g_string_free(url, FALSE);
}

static char *azure_where(const DestCtx *ctx)
{
    return g_strdup(azure_of(ctx)->base == NULL ? "azure" : azure_of(ctx)->base);
}

static bool azure_plan(const DestCtx *ctx, Upload *up, uint64_t wanted, GError **error)
{
    const size_t key_bytes = strlen(up->key);
    if (key_bytes == 0 || key_bytes > KEY_MAX_BYTES) {
        fault_set(error, FAULT_KEY, "the name has %zu bytes, Azure takes 1 to %d characters", key_bytes, KEY_MAX_BYTES);
        return false;
    }
    if (up->size_bytes > MAX_BLOCKS * BLOCK_MAX_BYTES) {
        fault_set(error, FAULT_TOO_LARGE, "a blob has at most %d blocks of 4000 MiB here", MAX_BLOCKS);
        return false;
    }
    up->look_first = azure_of(ctx)->only_new && up->grant == NULL;
    const uint64_t whole = wanted > 0 ? MIN(wanted, BLOCK_MAX_BYTES) : WHOLE_MAX_BYTES;
    const uint64_t least = (up->size_bytes + MAX_BLOCKS - 1) / MAX_BLOCKS, block = wanted > 0 ? wanted : BLOCK_DEFAULT_BYTES;
    upload_plan(up, up->size_bytes > whole, MIN(MAX(block, least), BLOCK_MAX_BYTES));
    return true;
}

/* ---- requests */

/* The parameters of the operation stand behind the SAS. NULL and FAULT_BUG without a grant or a container. */
static Request *azure_request(const DestCtx *ctx, const Upload *up, const char *method, const char *query, GError **error)
{
    g_autofree char *own = up->grant == NULL ? azure_url(ctx, up->key) : NULL;
    const char *sas = credentials_secret(ctx->creds, "sas-token");
    if (own == NULL && !session_has_grant(up, error))
        return NULL;
    GString *url = g_string_new(own != NULL ? own : up->grant->url);
    if (own != NULL && sas != NULL)
        g_string_append_printf(url, "?%s", *sas == '?' ? sas + 1 : sas);
    if (query != NULL)
        g_string_append_printf(url, "%c%s", strchr(url->str, '?') == NULL ? '?' : '&', query);
    Request *rq = request_new(method);
    rq->url = g_string_free(url, FALSE);
    return rq;
}

/* What an HTTP header says of the blob has a name of its own, and metadata are names of a program: without '-'. */
static void send_given(gpointer rq, const char *name, const char *value)
{
    static const char *const of_blob[] = { "content-type",     "cache-control",    "content-disposition",
                                           "content-encoding", "content-language", NULL };
    g_autofree char *lower = g_ascii_strdown(name, -1);
    g_autofree char *blob_name = g_strv_contains(of_blob, lower) ? g_strconcat("x-ms-blob-", lower, NULL) : NULL;
    if (g_str_equal(lower, "x-ms-" GIVEN_NONCE))
        request_header(rq, NONCE_HEADER, value);
    else
        request_header(rq, blob_name != NULL ? blob_name : name, value);
}

static void own_headers(const DestCtx *ctx, const Upload *up, Request *rq)
{
    const char *tier = dest_conf_option(ctx->conf, "storage-class");
    given_each(&azure_of(ctx)->given, up, send_given, rq);
    if (tier != NULL)
        request_header(rq, "x-ms-access-tier", tier);
    if (azure_of(ctx)->given.tagging != NULL)
        request_header(rq, "x-ms-tags", azure_of(ctx)->given.tagging);
    if (azure_of(ctx)->only_new)
        request_header(rq, "If-None-Match", "*");
}

static bool header_is(const char *line, const char *name)
{
    const size_t bytes = strlen(name);
    return g_ascii_strncasecmp(line, name, bytes) == 0 && line[bytes] == ':';
}

/* Value of a header of the grant, or NULL. */
static const char *grant_header(const Upload *up, const char *name)
{
    for (unsigned i = 0; up->grant->headers != NULL && i < up->grant->headers->len; i++) {
        const char *line = up->grant->headers->pdata[i];
        if (header_is(line, name))
            return line + strlen(name) + 1 + strspn(line + strlen(name) + 1, " ");
    }
    return NULL;
}

/* The grant speaks of Put Blob; in Put Block List the type of the request is that of the list. */
static void grant_headers_of_list(const Upload *up, Request *rq)
{
    static const char *const of_body[] = { "x-ms-blob-type", "Content-MD5", "Content-Type", "Content-Length" };
    const char *type = grant_header(up, "Content-Type");
    for (unsigned i = 0; up->grant->headers != NULL && i < up->grant->headers->len; i++) {
        const char *line = up->grant->headers->pdata[i];
        bool skip = false;
        for (unsigned k = 0; k < G_N_ELEMENTS(of_body); k++)
            skip = skip || header_is(line, of_body[k]);
        if (!skip)
            g_ptr_array_add(rq->headers, g_strdup(line));
    }
    if (type != NULL && grant_header(up, "x-ms-blob-content-type") == NULL)
        request_header(rq, "x-ms-blob-content-type", type);
}

/* ---- refusals */

static const AnswerRow rows[] = {
    { 0, "AuthorizationPermissionMismatch", VERDICT_FAIL, FAULT_DENIED, "the SAS lacks a right (c and w to upload, d to remove)" },
    { 403, "failed to authenticate", VERDICT_FAIL, FAULT_SIGNATURE, "is the SAS whole?" },
    { 0, "AuthenticationFailed", VERDICT_FAIL, FAULT_SIGNATURE, "is the SAS whole?" },
    { 0, "ContainerNotFound", VERDICT_FAIL, FAULT_NO_BUCKET, NULL },
    { 0, "ContainerBeingDeleted", VERDICT_FAIL, FAULT_NO_BUCKET, NULL },
    { 0, "BlobAlreadyExists", VERDICT_FAIL, FAULT_EXISTS, NULL },
    { 0, "LeaseIdMissing", VERDICT_FAIL, FAULT_CONFLICT, "another program holds a lease on this blob" },
    { 0, "ImmutableDueToPolicy", VERDICT_FAIL, FAULT_DENIED, NULL },
    { 0, "InvalidBlockList", VERDICT_RESTART, FAULT_PART, NULL },
    { 0, "InvalidBlobOrBlock", VERDICT_RESTART, FAULT_PART, NULL },
    { 0, "InvalidBlockId", VERDICT_RESTART, FAULT_PART, NULL },
    { 0, "Md5Mismatch", VERDICT_RETRY, FAULT_CHECKSUM, NULL },
    { 400, "contentMD5 doesn't match", VERDICT_RETRY, FAULT_CHECKSUM, NULL }, /* Azurite */
    { 0, "InvalidMd5", VERDICT_FAIL, FAULT_BUG, NULL },
    { 0, "InvalidMetadata", VERDICT_FAIL, FAULT_REFUSED, "--meta: Azure takes letters, digits and '_', no digit first" },
    { 0, "InvalidResourceName", VERDICT_FAIL, FAULT_KEY, NULL },
    { 0, "OperationTimedOut", VERDICT_RETRY, FAULT_STALLED, NULL },
    { 0, "ServerBusy", VERDICT_RETRY, FAULT_SLOW_DOWN, NULL },
    { 404, "BlobNotFound", VERDICT_RESTART, FAULT_UPLOAD_GONE, NULL },
    { 0 },
};

/* Seconds of "se=2026-01-15T10%3A30%3A00Z" in a URL; 0 when it has none. */
static int64_t sas_end_s(const char *url)
{
    const char *query = strchr(url, '?');
    g_autoptr(GHashTable) parameters = query == NULL ? NULL : g_uri_parse_params(query + 1, -1, "&", G_URI_PARAMS_NONE, NULL);
    const char *end = parameters == NULL ? NULL : g_hash_table_lookup(parameters, "se");
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GDateTime) t = end == NULL ? NULL : g_date_time_new_from_iso8601(end, utc);
    return t == NULL ? 0 : g_date_time_to_unix(t);
}

static bool is_sign_in(const char *code)
{
    return g_strcmp0(code, "AuthenticationFailed") == 0 || g_strcmp0(code, "AuthorizationFailure") == 0;
}

static bool sas_ended(const DestCtx *ctx, const Upload *up, const char *words)
{
    const char *sas = credentials_secret(ctx->creds, "sas-token");
    g_autofree char *url = up->grant != NULL ? g_strdup(up->grant->url) : g_strconcat("?", sas == NULL ? "" : sas, NULL);
    const int64_t end_s = sas_end_s(url);
    return (end_s > 0 && end_s <= ctx->now_s + ctx->learned->clock_offset_s) || (words != NULL && strstr(words, "time frame") != NULL);
}

static const char *error_code(const Response *rs, const Body *body)
{
    const char *code = response_header(rs, "x-ms-error-code");
    return code != NULL ? code : body_is(body, "Error") ? body_field(body, "Code") : NULL;
}

static Verdict failed(const DestCtx *ctx, const Upload *up, const Response *rs, GError **error)
{
    g_autoptr(Body) body = body_parse(rs->body->data, rs->body->len);
    const char *code = error_code(rs, body), *message = body_is(body, "Error") ? body_field(body, "Message") : NULL;
    const char *detail = body_is(body, "Error") ? body_field(body, "AuthenticationErrorDetail") : NULL;
    g_autofree char *words = message == NULL ? NULL : g_strjoin(" ", message, detail, NULL);
    if (rs->status == 403 && is_sign_in(code) && sas_ended(ctx, up, words)) {
        g_autofree char *cause = answer_cause_hint(rs->status, code, words, "the SAS has ended", NULL, ctx->creds);
        return session_expired(up, cause, error);
    }
    return answer_failed(rows, rs, code, words, ctx->creds, error);
}

static bool is_code(const Response *rs, const char *wanted)
{
    g_autoptr(Body) body = body_parse(rs->body->data, rs->body->len);
    return g_strcmp0(error_code(rs, body), wanted) == 0;
}

static bool lacks_right(const Response *rs)
{
    g_autoptr(Body) body = body_parse(rs->body->data, rs->body->len);
    return rs->status == 403 && !is_sign_in(error_code(rs, body));
}

/* Perhaps by our own earlier try, whose answer was lost: VERIFY tells. */
static bool is_taken(const DestCtx *ctx, const Upload *up, const Response *rs)
{
    return azure_of(ctx)->only_new && up->grant == NULL && (rs->status == 412 || (rs->status == 409 && is_code(rs, "BlobAlreadyExists")));
}

static Verdict key_taken(const DestCtx *ctx, Upload *up, const Response *rs, GError **error)
{
    g_autofree char *cause = answer_cause(rs->status, response_header(rs, "x-ms-error-code"), NULL, NULL, ctx->creds);
    fault_set(error, FAULT_EXISTS, "%s", cause);
    up->refused_exists = true;
    return VERDICT_UNKNOWN;
}

/* ---- OPEN: blocks need no beginning */

static bool ask_open(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)ctx, (void)up, (void)part, (void)error;
    *rq_out = NULL;
    return true;
}

/* ---- PART: a block, or the whole blob */

/* All of one length, as Azure wants them. Caller frees. */
static char *block_id(const Upload *up, unsigned part)
{
    g_autofree char *id = g_strdup_printf("%.32s-%05u", up->nonce == NULL ? "" : up->nonce, part);
    return g_base64_encode((const guchar *)id, strlen(id));
}

static char *block_query(const Upload *up, unsigned part)
{
    g_autofree char *id = block_id(up, part);
    GString *query = g_string_new("comp=block&blockid=");
    uri_escape_append(query, id, strlen(id), false);
    return g_string_free(query, FALSE);
}

static bool ask_part(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    g_autofree char *query = up->multipart ? block_query(up, part) : NULL;
    const DigestSet *digest = up->parts[part].digest;
    g_autofree char *md5 = digest == NULL ? NULL : digest_base64(digest, DIGEST_MD5);
    Request *rq = azure_request(ctx, up, "PUT", query, error);
    if (rq == NULL)
        return false;
    if (!up->multipart && up->grant != NULL)
        session_grant_headers(up, rq);
    else if (!up->multipart)
        own_headers(ctx, up, rq);
    if (!up->multipart && (up->grant == NULL || grant_header(up, "x-ms-blob-type") == NULL))
        request_header(rq, "x-ms-blob-type", "BlockBlob");
    if (md5 != NULL && (up->multipart || up->grant == NULL || grant_header(up, "Content-MD5") == NULL))
        request_header(rq, "Content-MD5", md5);
    if (upload_part_bytes(up, part) > 0)
        request_body_file(rq, upload_part_offset(up, part), upload_part_bytes(up, part));
    *rq_out = rq;
    return true;
}

/* An MD5 that is sent is checked before 201 is said; some repeat it, and HEAD tells it. */
typedef enum { MD5_UNTOLD, MD5_SAME, MD5_DIFFERS } Md5;

static Md5 compare_md5(const Response *rs, const DigestSet *digest)
{
    const char *told = response_header(rs, "content-md5");
    g_autofree char *ours = digest == NULL ? NULL : digest_base64(digest, DIGEST_MD5);
    if (told == NULL || ours == NULL)
        return MD5_UNTOLD;
    return g_str_equal(told, ours) ? MD5_SAME : MD5_DIFFERS;
}

static void confirm(Upload *up, const Response *rs, bool proven)
{
    const char *etag = response_header(rs, "etag");
    upload_set(&up->etag, etag == NULL ? "" : etag);
    upload_set(&up->version, response_header(rs, "x-ms-version-id"));
    up->verified = proven ? VERIFIED_CHECKSUM : VERIFIED_NOT;
}

static Verdict read_part(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    if (!up->multipart && is_taken(ctx, up, rs))
        return key_taken(ctx, up, rs, error);
    if (rs->status != 201)
        return failed(ctx, up, rs, error);
    const DigestSet *digest = up->parts[part].digest;
    if (compare_md5(rs, digest) == MD5_DIFFERS) {
        fault_set(error, FAULT_CHECKSUM, "the store's MD5 of what it received is not that of what was sent");
        return VERDICT_RETRY;
    }
    const bool proven = digest != NULL && (digest->have & DIGEST_BIT(DIGEST_MD5)) != 0;
    if (!up->multipart)
        confirm(up, rs, proven);
    upload_set(&up->parts[part].etag, proven ? PROVEN : "");
    up->parts[part].done = true;
    return VERDICT_OK;
}

/* ---- CLOSE: saying it twice does no harm, for the list may name blocks that are in the blob already */

static bool ask_close(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    Request *rq = azure_request(ctx, up, "PUT", "comp=blocklist", error);
    if (rq == NULL)
        return false;
    if (up->grant != NULL)
        grant_headers_of_list(up, rq);
    else
        own_headers(ctx, up, rq);
    request_header(rq, "Content-Type", "application/xml");
    GString *xml = g_string_new("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>");
    for (unsigned i = 0; i < up->n_parts; i++) {
        g_autofree char *id = block_id(up, i);
        g_string_append_printf(xml, "<Latest>%s</Latest>", id);
    }
    g_string_append(xml, "</BlockList>");
    request_body_bytes(rq, g_string_free_to_bytes(xml));
    rq->slow_answer = true;
    *rq_out = rq;
    return true;
}

static Verdict read_close(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    bool proven = true;
    if (is_taken(ctx, up, rs))
        return key_taken(ctx, up, rs, error);
    if (rs->status != 201)
        return failed(ctx, up, rs, error);
    for (unsigned i = 0; i < up->n_parts; i++)
        proven = proven && g_strcmp0(up->parts[i].etag, PROVEN) == 0;
    confirm(up, rs, proven);
    return VERDICT_OK;
}

/* ---- RESUME */

static bool ask_resume(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    Request *rq = azure_request(ctx, up, "GET", "comp=blocklist&blocklisttype=uncommitted", error);
    if (rq == NULL)
        return false;
    rq->answer_max = ANSWER_MAX_LIST;
    *rq_out = rq;
    return true;
}

/* A block counts when its name and its size are ours. */
static void take_blocks(Upload *up, const Body *body)
{
    g_autoptr(GHashTable) sizes = g_hash_table_new(g_str_hash, g_str_equal);
    for (unsigned i = 0; body != NULL && i < body->rows->len; i++) {
        const char *name = body_row_field(body, i, "Name"), *size = body_row_field(body, i, "Size");
        if (name != NULL && size != NULL)
            g_hash_table_insert(sizes, (char *)name, (char *)size);
    }
    for (unsigned i = 0; i < up->n_parts; i++) {
        guint64 bytes = 0;
        g_autofree char *id = block_id(up, i);
        const char *size = g_hash_table_lookup(sizes, id);
        up->parts[i].done =
            size != NULL && g_ascii_string_to_unsigned(size, 10, 0, G_MAXUINT64, &bytes, NULL) && bytes == upload_part_bytes(up, i);
    }
}

/* Without the right to read, what this side wrote down has to do: a block that is missing shows when the list is put. */
static Verdict read_resume(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    g_autoptr(Body) body = body_parse(rs->body->data, rs->body->len);
    if (rs->status == 200 && body_is(body, "BlockList")) {
        take_blocks(up, body);
        return VERDICT_OK;
    }
    if (rs->status == 404 && g_strcmp0(error_code(rs, body), "BlobNotFound") == 0) {
        take_blocks(up, NULL);
        return VERDICT_OK;
    }
    if (lacks_right(rs)) {
        upload_say(up, "the SAS does not show blocks (right r): resumed from the journal");
        return VERDICT_OK;
    }
    return failed(ctx, up, rs, error);
}

/* ---- LOOK, VERIFY, REMOVE */

static bool ask_head(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    *rq_out = azure_request(ctx, up, "HEAD", NULL, error);
    return *rq_out != NULL;
}

static Verdict read_look(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    if (rs->status == 200) {
        fault_set(error, FAULT_EXISTS, "an object with this key is there already");
        return VERDICT_FAIL;
    }
    return lacks_right(rs) || /* If-None-Match still stands guard */ (rs->status == 404 && !is_code(rs, "ContainerNotFound"))
               ? VERDICT_OK
               : failed(ctx, up, rs, error);
}

static Verdict read_verify(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    if (rs->status == 404 && !is_code(rs, "ContainerNotFound"))
        return stored_not_there(error);
    if (lacks_right(rs)) {
        g_autofree char *cause = answer_cause(rs->status, response_header(rs, "x-ms-error-code"), NULL, NULL, ctx->creds);
        return stored_not_shown(up, cause, "right r of the SAS", error);
    }
    if (rs->status != 200)
        return failed(ctx, up, rs, error);
    static const Proof proofs[] = { [MD5_UNTOLD] = PROOF_NONE, [MD5_SAME] = PROOF_CHECKSUM, [MD5_DIFFERS] = PROOF_WRONG };
    return stored_judge(up, rs, NONCE_HEADER, up->multipart ? PROOF_NONE : proofs[compare_md5(rs, up->parts[0].digest)], error);
}

static bool ask_remove(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    *rq_out = azure_request(ctx, up, "DELETE", NULL, error);
    return *rq_out != NULL;
}

static Verdict read_remove(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    const bool gone = rs->status == 202 || (rs->status == 404 && !is_code(rs, "ContainerNotFound"));
    return gone ? VERDICT_OK : failed(ctx, up, rs, error);
}

/* Blocks that nobody makes a blob of vanish after a week; there is nothing to abort. */
const DestOps dest_azure = {
    .scheme = "azure",
    .form = DEST_FORM_URL,
    .help = "azure+https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX",
    .shared = azure_shared,
    .secrets = azure_secrets,
    .own_ids = true,
    .open = azure_open,
    .close = azure_close,
    .digests = azure_digests,
    .plan = azure_plan,
    .url = azure_url,
    .where = azure_where,
    .step = {
        [PHASE_LOOK] = { ask_head, read_look },
        [PHASE_RESUME] = { ask_resume, read_resume },
        [PHASE_OPEN] = { ask_open, NULL },
        [PHASE_PART] = { ask_part, read_part },
        [PHASE_CLOSE] = { ask_close, read_close },
        [PHASE_VERIFY] = { ask_head, read_verify },
        [PHASE_REMOVE] = { ask_remove, read_remove },
    },
};
