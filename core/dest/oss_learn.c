#include "oss_priv.h"

#include "skew.h"

#define CRC_HEADER "x-oss-hash-crc64ecma"

/* ---- failures */

/* A bucket elsewhere: the answer names the endpoint of its region. One correction; should it repeat, the error says so. */
static bool learn_region(const DestCtx *ctx, const S3Answer *a)
{
    g_autofree char *region = oss_region_of_host(s3_answer_field(a, "Endpoint"));
    if (region == NULL || g_str_equal(region, oss_region(ctx)))
        return false;
    g_strlcpy(ctx->learned->region, region, sizeof ctx->learned->region);
    ctx->learned->dirty = true;
    return true;
}

Verdict oss_failed(const DestCtx *ctx, Upload *up, S3Answer *a, const Response *rs, GError **error)
{
    (void)up;
    g_autofree char *cause = s3_answer_cause(a, ctx->creds);
    if (a->class == S3_FIX_CLOCK || skew_suspect(ctx, a, rs))
        return skew_fix(ctx, a, rs, cause, error);
    const char *endpoint = s3_answer_field(a, "Endpoint");
    if (endpoint != NULL) {
        const bool learned = learn_region(ctx, a);
        fault_set(error, FAULT_REGION, "%s", cause);
        return learned ? VERDICT_AGAIN : VERDICT_FAIL;
    }
    fault_set(error, a->fault, "%s", cause);
    const bool ours =
        a->class == S3_DROP_ACL || a->class == S3_DROP_FEATURE || a->class == S3_REDIRECT_REGION; /* nothing here can be left out */
    return ours ? VERDICT_FAIL : s3_class_verdict(a->class);
}

/* ---- proof */

static uint64_t number_of(const uint8_t crc[DIGEST_MAX_BYTES])
{
    uint64_t number = 0;
    for (unsigned i = 0; i < 8; i++)
        number = number << 8 | crc[i];
    return number;
}

static bool told_crc(const Response *rs, guint64 *out)
{
    const char *text = response_header(rs, CRC_HEADER);
    return text != NULL && g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, out, NULL);
}

Proof oss_prove_part(const Response *rs, const DigestSet *digest)
{
    guint64 told;
    if (digest == NULL || (digest->have & DIGEST_BIT(DIGEST_CRC64ECMA)) == 0 || !told_crc(rs, &told))
        return PROOF_NONE;
    return told == number_of(digest->value[DIGEST_CRC64ECMA]) ? PROOF_CHECKSUM : PROOF_WRONG;
}

static Proof prove_by_etag(const Upload *up, const Response *rs)
{
    const char *etag = response_header(rs, "etag");
    g_autofree char *expected = up->multipart ? NULL : upload_expected_etag(up); /* of parts it is not the MD5 of MD5s */
    g_autofree char *md5 = s3_etag_md5(etag, rs);
    return md5 != NULL && s3_etag_equal(md5, expected) ? PROOF_ETAG : PROOF_NONE;
}

Proof oss_prove(const DestCtx *ctx, Upload *up, const Response *rs)
{
    guint64 told;
    uint8_t crc[DIGEST_MAX_BYTES];
    if (!oss_of(ctx)->crc || !told_crc(rs, &told) || !upload_object_digest(up, DIGEST_CRC64ECMA, crc))
        return prove_by_etag(up, rs);
    if (told != number_of(crc))
        return PROOF_WRONG;
    g_free(up->checksum);
    up->checksum = g_strdup_printf("%s:%" G_GUINT64_FORMAT, digest_name(DIGEST_CRC64ECMA), told);
    return PROOF_CHECKSUM;
}

/* ---- LOOK and VERIFY */

bool oss_ask_look(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part, (void)error;
    *rq_out = oss_simple(ctx, "HEAD", up->key, NULL);
    return true;
}

/* A key that may not look goes on: x-oss-forbid-overwrite still stands guard. */
Verdict oss_read_look(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    g_autoptr(S3Answer) a = s3_answer_new(rs, NULL);
    if (!a->is_error) {
        skew_learn(ctx, rs);
        fault_set(error, FAULT_EXISTS, "an object with this key is there already");
        return VERDICT_FAIL;
    }
    const bool absent = a->status == 404 && g_strcmp0(a->code, "NoSuchBucket") != 0;
    const bool elsewhere = s3_answer_field(a, "Endpoint") != NULL;
    return absent || (!elsewhere && skew_not_allowed(ctx, a, rs)) ? VERDICT_OK : oss_failed(ctx, up, a, rs, error);
}

bool oss_ask_verify(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    return oss_ask_look(ctx, up, part, rq_out, error);
}

Verdict oss_read_verify(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    g_autoptr(S3Answer) a = s3_answer_new(rs, NULL);
    if (!a->is_error) {
        skew_learn(ctx, rs);
        return stored_judge(up, rs, OSS_NONCE_HEADER, oss_prove(ctx, up, rs), error);
    }
    if (a->status == 404 && g_strcmp0(a->code, "NoSuchBucket") != 0)
        return stored_not_there(error);
    if (s3_answer_field(a, "Endpoint") != NULL || !skew_not_allowed(ctx, a, rs))
        return oss_failed(ctx, up, a, rs, error);
    g_autofree char *cause = s3_answer_cause(a, ctx->creds);
    return stored_not_shown(up, cause, "oss:GetObject", error);
}
