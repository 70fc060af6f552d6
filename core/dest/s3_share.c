#include "s3_priv.h"
#include "skew.h"

char *s3_share(const DestCtx *ctx, const char *key, unsigned seconds, GError **error)
{
    if (!s3_check_key(key, error))
        return NULL;
    if (ctx->creds == NULL || ctx->creds->access_key == NULL) {
        fault_set(error, FAULT_NO_CREDENTIALS, "a link is signed with an access key, and there is none");
        return NULL;
    }
    if (seconds == 0 || seconds > SIGV4_EXPIRES_MAX_S) {
        fault_set(error, FAULT_USAGE, "a link to S3 counts for 1 second to 7 days");
        return NULL;
    }
    g_autofree char *url = s3_object_url(ctx, key);
    return sigv4_presign("GET", url, NULL, ctx->creds, s3_region(ctx), "s3", ctx->now_s + ctx->learned->clock_offset_s, seconds,
                         &s3_of(ctx)->key);
}

/* ---- REMOVE: S3 says the same whether there was an object or not, so the key is looked at first (step 0), then deleted (step 1) */

bool s3_ask_remove(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    if (!s3_check_key(up->key, error))
        return false;
    Request *rq = s3_request(ctx, up->step == 0 ? "HEAD" : "DELETE", up->key, NULL);
    s3_sign(ctx, rq, SIGV4_EMPTY);
    *rq_out = rq;
    return true;
}

Verdict s3_read_remove(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    g_autoptr(S3Answer) a = s3_answer_new(rs, NULL);
    const bool absent = a->status == 404 && (a->code == NULL || g_str_equal(a->code, "NoSuchKey"));
    if (up->step > 0)
        return !a->is_error || absent ? VERDICT_OK : s3_failed(ctx, up, a, rs, error);
    if (a->is_error && a->status != 404 && !skew_not_allowed(ctx, a, rs)) /* who may not look may be allowed to delete */
        return s3_failed(ctx, up, a, rs, error);
    up->step = 1;
    return VERDICT_MORE;
}
