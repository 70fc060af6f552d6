#include "s3_priv.h"

#include <stdlib.h>
#include <string.h>

enum {
    CLOCK_OFF_S = 240,     /* corrected without being asked: S3 allows 900 */
    CLOCK_SUSPECT_S = 300, /* a refusal without reason is laid to the clock */
};

/* ---- the clock */

static void set_clock(const DestCtx *ctx, int64_t server_s)
{
    ctx->learned->clock_offset_s = server_s - ctx->now_s;
    ctx->learned->dirty = true;
}

static bool clock_fits(const DestCtx *ctx, int64_t server_s, int64_t within_s)
{
    return llabs(server_s - ctx->now_s - ctx->learned->clock_offset_s) <= within_s;
}

void s3_learn_clock(const DestCtx *ctx, const Response *rs)
{
    int64_t server_s;
    if (response_date(rs, &server_s) && !clock_fits(ctx, server_s, CLOCK_OFF_S))
        set_clock(ctx, server_s);
}

/* Some stores refuse a wrong time with a plain AccessDenied (rclone: status 400), and HEAD has no words at all. Suspect is this machine's
 * clock when it is off, and what was learned of it when somebody has set it since. */
static bool looks_like_skew(const DestCtx *ctx, const S3Answer *a, const Response *rs)
{
    int64_t server_s;
    const bool plain_refusal = (a->status == 400 || a->status == 401 || a->status == 403) && a->class == S3_REFUSE &&
                               (a->code == NULL || g_str_equal(a->code, "AccessDenied"));
    return plain_refusal && response_date(rs, &server_s) &&
           (llabs(server_s - ctx->now_s) > CLOCK_SUSPECT_S || !clock_fits(ctx, server_s, CLOCK_SUSPECT_S));
}

static char *clock_words(int64_t offset_s)
{
    const char *side = offset_s > 0 ? "behind" : "ahead of";
    const int64_t off_s = llabs(offset_s);
    if (off_s < 5)
        return g_strdup("this machine's clock was set in the meantime");
    if (off_s < 120)
        return g_strdup_printf("this machine's clock is %d s %s the server's", (int)off_s, side);
    if (off_s < 7200)
        return g_strdup_printf("this machine's clock is %d min %s the server's", (int)(off_s / 60), side);
    return g_strdup_printf("this machine's clock is %" G_GINT64_FORMAT " h %s the server's", off_s / 3600, side);
}

static Verdict fix_clock(const DestCtx *ctx, const S3Answer *a, const Response *rs, const char *cause, GError **error)
{
    int64_t server_s;
    if (!s3_answer_time(a, rs, &server_s)) {
        fault_set(error, FAULT_CLOCK, "%s", cause);
        return VERDICT_FAIL;
    }
    const bool known = clock_fits(ctx, server_s, CLOCK_SUSPECT_S);
    set_clock(ctx, server_s);
    g_autofree char *words = clock_words(server_s - ctx->now_s);
    /* Corrected before, by the answer to another request: should it repeat, it was not the clock. */
    fault_set(error, known ? a->fault : FAULT_CLOCK, "%s - %s", cause, words);
    return VERDICT_AGAIN;
}

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
    if (s3_of(ctx)->tagging == NULL)
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

bool s3_not_allowed(const DestCtx *ctx, const S3Answer *a, const Response *rs)
{
    if (looks_like_skew(ctx, a, rs))
        return false;
    if (a->code != NULL && !g_str_equal(a->code, "AccessDenied") && !g_str_equal(a->code, "NotImplemented") &&
        !g_str_equal(a->code, "MethodNotAllowed"))
        return false;
    return a->status == 401 || a->status == 403 || a->status == 405 || a->status == 501 ||
           g_strcmp0(a->code, "NotImplemented") == 0; /* some say it with 400 */
}

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
    if (looks_like_skew(ctx, a, rs))
        a->class = S3_FIX_CLOCK;
    if (a->class == S3_FIX_CLOCK)
        return fix_clock(ctx, a, rs, cause, error);
    if (a->class == S3_REDIRECT_REGION || a->class == S3_REDIRECT_ONCE)
        return learn_region(ctx, a, rs, cause, error);
    fault_set(error, a->fault, "%s", cause);
    if (a->class == S3_DROP_ACL || a->class == S3_DROP_FEATURE)
        return drop_feature(ctx, up, a) ? VERDICT_AGAIN : VERDICT_FAIL;
    return s3_class_verdict(a->class);
}
