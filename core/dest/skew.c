#include "skew.h"

#include <stdlib.h>

enum {
    CLOCK_OFF_S = 240,     /* corrected without being asked: stores allow 900 */
    CLOCK_SUSPECT_S = 300, /* a refusal without reason is laid to the clock */
};

static void set_clock(const DestCtx *ctx, int64_t server_s)
{
    ctx->learned->clock_offset_s = server_s - ctx->now_s;
    ctx->learned->dirty = true;
}

static bool clock_fits(const DestCtx *ctx, int64_t server_s, int64_t within_s)
{
    return llabs(server_s - ctx->now_s - ctx->learned->clock_offset_s) <= within_s;
}

void skew_learn(const DestCtx *ctx, const Response *rs)
{
    int64_t server_s;
    if (response_date(rs, &server_s) && !clock_fits(ctx, server_s, CLOCK_OFF_S))
        set_clock(ctx, server_s);
}

/* Some stores refuse a wrong time with a plain AccessDenied (rclone: status 400), and HEAD has no words at all. Suspect is this machine's
 * clock when it is off, and what was learned of it when somebody has set it since. */
bool skew_suspect(const DestCtx *ctx, const S3Answer *a, const Response *rs)
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

Verdict skew_fix(const DestCtx *ctx, const S3Answer *a, const Response *rs, const char *cause, GError **error)
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

bool skew_not_allowed(const DestCtx *ctx, const S3Answer *a, const Response *rs)
{
    if (skew_suspect(ctx, a, rs))
        return false;
    if (a->code != NULL && !g_str_equal(a->code, "AccessDenied") && !g_str_equal(a->code, "NotImplemented") &&
        !g_str_equal(a->code, "MethodNotAllowed"))
        return false;
    return a->status == 401 || a->status == 403 || a->status == 405 || a->status == 501 ||
           g_strcmp0(a->code, "NotImplemented") == 0; /* some say it with 400 */
}
