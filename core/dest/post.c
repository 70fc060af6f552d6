/* S3 by POST policy: one form per object, signed with our own key pair; where a gateway or a policy allows no PUT. The rest is s3.c's.
 *
 * Sources: S3 API Reference, "POST Object", "Browser-Based Uploads Using POST (AWS Signature Version 4)", "POST Policy". */
#include <string.h>

#include "form.h"
#include "policy.h"
#include "s3_priv.h"
#include "skew.h"

#define POST_MAX_BYTES (UINT64_C(5) << 30)

static const char *const post_shared[] = { "acl",      "storage-class", "sse",        "header",     "meta", "if-exists",
                                           "checksum", "addressing",    "public-url", "token-life", NULL };

static const HoistOpt post_opts[] = {
    { "success-status", 0, HOIST_OPT_CHOICE, "STATUS", "201", "200|201|204", "status that the store shall answer (POST policy)", false,
      true },
    { "post-max-size", 0, HOIST_OPT_SIZE, "SIZE", NULL, "like 8M, 1.5GiB", "largest file that the POST policy allows", false, true },
    { "post-key", 0, HOIST_OPT_CHOICE, "HOW", "exact", "exact|prefix", "what the POST policy says of the key", false, true },
    { 0 },
};

/* ---- plan */

static uint64_t largest(const DestCtx *ctx)
{
    uint64_t bytes;
    const char *text = dest_conf_option(ctx->conf, "post-max-size");
    return text != NULL && hoist_parse_size(text, &bytes) ? MIN(bytes, POST_MAX_BYTES) : POST_MAX_BYTES;
}

static bool post_plan(const DestCtx *ctx, Upload *up, uint64_t part_size_wanted, GError **error)
{
    (void)part_size_wanted;
    const size_t key_bytes = strlen(up->key);
    if (key_bytes == 0 || key_bytes > S3_MAX_KEY_BYTES) {
        fault_set(error, FAULT_KEY, "the key has %zu bytes, S3 takes 1 to %d; shorten the name or the prefix", key_bytes, S3_MAX_KEY_BYTES);
        return false;
    }
    if (!g_utf8_validate(up->key, -1, NULL)) {
        fault_set(error, FAULT_KEY, "the key is not UTF-8, and a POST policy is JSON");
        return false;
    }
    if (up->size_bytes > largest(ctx)) {
        g_autofree char *most = g_format_size_full(largest(ctx), G_FORMAT_SIZE_IEC_UNITS);
        fault_set(error, FAULT_TOO_LARGE, "the file has more than %s (--post-max-size; a form takes 5 GiB at most, s3:// more)", most);
        return false;
    }
    up->look_first = s3_of(ctx)->only_new;
    upload_plan(up, false, 0);
    return true;
}

static unsigned post_digests(const DestCtx *ctx, const Upload *up)
{
    (void)up;
    const bool useless = s3_of(ctx)->checksum == S3_CHECKSUM_NONE || ctx->learned->checksum[DIGEST_MD5] == LEARNED_IGNORED;
    return useless ? 0 : DIGEST_BIT(DIGEST_MD5);
}

/* ---- the form */

/* The file's own size unless the person names a limit: a store then refuses a body that was cut or has grown. */
static void write_range(Policy *policy, const DestCtx *ctx, const Upload *up)
{
    const bool limited = dest_conf_option(ctx->conf, "post-max-size") != NULL;
    policy_range(policy, limited ? 0 : up->size_bytes, limited ? largest(ctx) : up->size_bytes);
}

/* What would be headers of a PUT are fields here, with one name that differs. */
static void write_headers(Policy *policy, const DestCtx *ctx, const Upload *up)
{
    g_autoptr(Request) put = request_new("PUT");
    s3_object_headers(ctx, up, put);
    for (unsigned i = 0; i < put->headers->len; i++) {
        const char *line = put->headers->pdata[i], *colon = strchr(line, ':');
        g_autofree char *name = g_strndup(line, (gsize)(colon - line));
        policy_field(policy, g_str_equal(name, "x-amz-acl") ? "acl" : name, colon + strlen(": "));
    }
}

static void write_signing_fields(Policy *policy, const DestCtx *ctx, const Sigv4Scope *scope)
{
    g_autofree char *credential = g_strconcat(ctx->creds->access_key, "/", scope->text, NULL);
    policy_field(policy, "x-amz-algorithm", "AWS4-HMAC-SHA256");
    policy_field(policy, "x-amz-credential", credential);
    policy_field(policy, "x-amz-date", scope->timestamp);
    if (ctx->creds->session_token != NULL)
        policy_field(policy, "x-amz-security-token", ctx->creds->session_token);
}

/* The base64 text of the policy is what is signed. */
static void sign(Policy *policy, const DestCtx *ctx, Form *form, const Sigv4Scope *scope)
{
    g_autofree char *base64 = policy_end(policy);
    char signature[65];
    sigv4_signature(sigv4_key(&s3_of(ctx)->key, ctx->creds->secret_key, scope, s3_region(ctx), "s3"), base64, signature);
    form_field(form, "policy", base64);
    form_field(form, "x-amz-signature", signature);
}

static void write_form(Form *form, const DestCtx *ctx, const Upload *up)
{
    const int64_t now_s = ctx->now_s + ctx->learned->clock_offset_s;
    const char *status = dest_conf_option(ctx->conf, "success-status");
    g_autofree char *end = policy_expiration(ctx, up, "%Y-%m-%dT%H:%M:%SZ");
    g_auto(Sigv4Scope) scope = { 0 };
    sigv4_scope_init(&scope, s3_region(ctx), "s3", now_s);

    g_autoptr(Policy) policy = policy_new(form, end);
    policy_condition(policy, "bucket", s3_of(ctx)->bucket);
    form_field(form, "key", up->key);
    if (g_strcmp0(dest_conf_option(ctx->conf, "post-key"), "prefix") == 0)
        policy_prefix(policy, "$key", ctx->conf->prefix);
    else
        policy_condition(policy, "key", up->key);
    write_range(policy, ctx, up);
    policy_field(policy, "success_action_status", status == NULL ? "201" : status);
    write_headers(policy, ctx, up);
    if (ctx->creds == NULL)
        return; /* a bucket that anybody may write to wants no policy */
    write_signing_fields(policy, ctx, &scope);
    sign(policy, ctx, form, &scope);
}

static bool ask_post(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part, (void)error;
    g_autoptr(Form) form = form_new(up->nonce);
    write_form(form, ctx, up);
    Request *rq = s3_request(ctx, "POST", NULL, NULL);
    form_file(form, rq, "file", policy_file_name(up->key), up->content_type, 0, up->size_bytes);
    rq->slow_answer = true; /* stores put the form aside before they look at it */
    *rq_out = rq;
    return true;
}

/* ---- the answer */

/* SeaweedFS leaves Location empty; others answer 201 without a document. */
static void take_place(Upload *up, const S3Answer *a)
{
    const char *url = s3_answer_field(a, "Location"), *key = s3_answer_field(a, "Key");
    if (url != NULL && (g_str_has_prefix(url, "http://") || g_str_has_prefix(url, "https://")))
        upload_set(&up->url, url);
    if (key != NULL && *key != '\0' && !g_str_equal(key, up->key))
        upload_set(&up->stored_key, key);
}

static Verdict read_post(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    Part *p = &up->parts[part];
    g_autoptr(S3Answer) a = s3_answer_new(rs, rs->status == 201 && rs->body->len > 0 ? "PostResponse" : NULL);
    if (a->class == S3_RENEW_URL)
        a->class = S3_REFUSE; /* a policy made just now that has expired: that is the clock, or final */
    if (a->is_error)
        return s3_failed(ctx, up, a, rs, error);
    skew_learn(ctx, rs);
    if (!s3_confirm_object(ctx, up, rs, a, error))
        return VERDICT_RETRY;
    take_place(up, a);
    if (*up->etag != '\0')
        s3_learn_etag(ctx, p->digest, rs, up->etag);
    upload_set(&p->etag, up->etag);
    p->done = true;
    return VERDICT_OK;
}

const DestOps dest_post = {
    .scheme = "post",
    .form = DEST_FORM_BUCKET,
    .help = "post://BUCKET/PREFIX",
    .shared = post_shared,
    .opts = post_opts,
    .aws = true,
    .open = s3_open,
    .close = s3_close,
    .digests = post_digests,
    .plan = post_plan,
    .url = s3_object_url,
    .where = s3_where,
    .share = s3_share,
    .step = {
        [PHASE_LOOK] = { s3_ask_look, s3_read_look },
        [PHASE_PART] = { ask_post, read_post },
        [PHASE_VERIFY] = { s3_ask_verify, s3_read_verify },
        [PHASE_REMOVE] = { s3_ask_remove, s3_read_remove },
    },
};
