#include "s3_priv.h"

/* ---- region and style */

static Verdict learn_region(const DestCtx *ctx, const S3Answer *a, const Response *rs, const char *cause, GError **error)
{
    g_autofree char *region = s3_answer_region(a, rs);
    const char *endpoint = s3_answer_field(a, "Endpoint");
    if (region != NULL) {
        g_strlcpy(ctx->learned->region, region, sizeof ctx->learned->region);
        ctx->learned->dirty = true;
        fault_set(error, FAULT_REGION, "%s - the bucket's region is %s", cause, region);
        return VERDICT_AGAIN;
    }
    if (a->class == S3_REDIRECT_ONCE) {
        fault_set(error, FAULT_SERVER, "%s", cause);
        return VERDICT_RETRY;
    }
    fault_set(error, endpoint != NULL ? FAULT_ENDPOINT : FAULT_REGION, "%s", cause);
    return VERDICT_FAIL;
}

static bool learn_style(const DestCtx *ctx)
{
    if (s3_of(ctx)->style != S3_STYLE_AUTO)
        return false;
    ctx->learned->style = S3_STYLE_VIRTUAL;
    ctx->learned->dirty = true;
    return true;
}

/* ---- features */

static bool drop(const DestCtx *ctx, LearnedState *feature)
{
    *feature = LEARNED_REFUSED;
    ctx->learned->dirty = true;
    return true;
}

static bool drop_checksum(const DestCtx *ctx)
{
    return s3_of(ctx)->checksum == S3_CHECKSUM_AUTO && drop(ctx, &ctx->learned->checksum[DIGEST_CRC64NVME]);
}

static bool drop_acl(const DestCtx *ctx, Upload *up)
{
    if (dest_conf_option(ctx->conf, "acl") == NULL)
        return false;
    upload_say(up, "this bucket takes no ACL: sent without");
    return drop(ctx, &ctx->learned->acl);
}

static bool drop_tags(const DestCtx *ctx, Upload *up)
{
    if (s3_of(ctx)->given.tagging == NULL)
        return false;
    upload_say(up, "this store takes no tags: sent without");
    return drop(ctx, &ctx->learned->tagging);
}

/* True when the request may be repeated without what was refused. What the person insists on, or what guards data, is not dropped. */
static bool drop_feature(const DestCtx *ctx, Upload *up, const S3Answer *a)
{
    if (a->fault == FAULT_ENDPOINT)
        return learn_style(ctx);
    if (a->class == S3_DROP_ACL || s3_answer_names(a, "x-amz-acl"))
        return drop_acl(ctx, up);
    if (s3_answer_names(a, "tagging"))
        return drop_tags(ctx, up);
    if (s3_answer_names(a, "checksum"))
        return drop_checksum(ctx);
    if (s3_answer_names(a, "if-none-match")) {
        drop(ctx, &ctx->learned->if_none_match);
        return false;
    }
    /* Nothing is named: the newest of what was sent is the likeliest. */
    return !s3_answer_names(a, "x-amz-") && ctx->learned->checksum[DIGEST_CRC64NVME] == LEARNED_UNKNOWN && drop_checksum(ctx);
}

/* ---- failures */

/* Servers that decode the path to text before they check the signature cannot get it right for other bytes. */
static void blame_name(const Upload *up, S3Answer *a)
{
    if (a->fault != FAULT_SIGNATURE || g_utf8_validate(up->key, -1, NULL))
        return;
    a->fault = FAULT_KEY;
    a->hint = "the name is not UTF-8, which this store seems not to take";
}

Verdict s3_failed(const DestCtx *ctx, Upload *up, S3Answer *a, const Response *rs, GError **error)
{
    blame_name(up, a);
    g_autofree char *cause = s3_answer_cause(a, ctx->creds);
    if (skew_suspect(ctx, a, rs))
        a->class = S3_FIX_CLOCK;
    if (a->class == S3_FIX_CLOCK)
        return skew_fix(ctx, a, rs, cause, error);
    if (a->class == S3_REDIRECT_REGION || a->class == S3_REDIRECT_ONCE)
        return learn_region(ctx, a, rs, cause, error);
    fault_set(error, a->fault, "%s", cause);
    if (a->class == S3_DROP_ACL || a->class == S3_DROP_FEATURE)
        return drop_feature(ctx, up, a) ? VERDICT_AGAIN : VERDICT_FAIL;
    return s3_class_verdict(a->class);
}
