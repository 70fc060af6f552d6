#include "s3_priv.h"

const char *const s3_shared[] = { "acl",      "storage-class",    "sse",       "header",     "meta", "tag", "if-exists", "addressing",
                                  "checksum", "unsigned-payload", "part-size", "public-url", NULL };

static bool option_is(const DestConf *conf, const char *name, const char *value)
{
    return g_strcmp0(dest_conf_option(conf, name), value) == 0;
}

/* ---- open and close */

static bool fill_region(S3 *s3, const DestConf *conf, GError **error)
{
    const char *region = conf->region != NULL && *conf->region != '\0' ? conf->region : s3->ep.region;
    s3->region = g_strdup(region == NULL ? S3_DEFAULT_REGION : region);
    if (!s3_region_valid(s3->region)) {
        fault_set(error, FAULT_USAGE, "a region's name has 1 to %d of: letters, digits, '-', '_', '.'", S3_MAX_REGION_BYTES);
        return false;
    }
    return true;
}

static void fill_choices(S3 *s3, const DestConf *conf)
{
    s3->style = option_is(conf, "addressing", "path")      ? S3_STYLE_PATH
                : option_is(conf, "addressing", "virtual") ? S3_STYLE_VIRTUAL
                                                           : S3_STYLE_AUTO;
    s3->unsigned_payload = option_is(conf, "unsigned-payload", "true");
    s3->only_new = option_is(conf, "if-exists", "skip") || option_is(conf, "if-exists", "fail");
    if (option_is(conf, "checksum", "none"))
        s3->checksum = S3_CHECKSUM_NONE;
    else if (digest_by_name(dest_conf_option(conf, "checksum") == NULL ? "" : dest_conf_option(conf, "checksum"), &s3->checksum_kind))
        s3->checksum = S3_CHECKSUM_GIVEN;
}

void *s3_open(const DestConf *conf, GError **error)
{
    S3 *s3 = g_new0(S3, 1);
    s3->bucket = g_strdup(conf->bucket);
    const bool fine = s3_endpoint_parse(&s3->ep, conf->endpoint, error) && s3_check_bucket(&s3->ep, s3->bucket, error) &&
                      fill_region(s3, conf, error) && multipart_check_part_size(conf, S3_PART_MIN_BYTES, "S3", error) &&
                      given_open(&s3->given, conf, "x-amz-", error);
    if (!fine) {
        s3_close(s3);
        return NULL;
    }
    fill_choices(s3, conf);
    return s3;
}

void s3_close(void *priv)
{
    S3 *s3 = priv;
    if (s3 == NULL)
        return;
    s3_endpoint_clear(&s3->ep);
    g_free(s3->bucket);
    g_free(s3->region);
    given_clear(&s3->given);
    sigv4_key_clear(&s3->key);
    g_free(s3);
}

/* ---- what is sent */

bool s3_sent_checksum(const DestCtx *ctx, DigestKind *kind_out)
{
    const S3 *s3 = s3_of(ctx);
    if (s3->checksum == S3_CHECKSUM_NONE)
        return false;
    *kind_out = s3->checksum_kind;
    if (s3->checksum == S3_CHECKSUM_AUTO) {
        const LearnedState *learned = ctx->learned->checksum;
        const bool dropped = learned[DIGEST_CRC64NVME] == LEARNED_IGNORED || learned[DIGEST_CRC64NVME] == LEARNED_REFUSED;
        *kind_out = dropped ? DIGEST_MD5 : DIGEST_CRC64NVME;
        return !dropped || learned[DIGEST_MD5] != LEARNED_IGNORED;
    }
    return true;
}

/* An endpoint that nobody knows yet may drop the checksum: the ETag is then the only proof. The first parts of a large file do without: the
 * first answer tells, and should the ETag be needed, they are read once more. */
static bool wants_etag_proof(const DestCtx *ctx, const Upload *up, DigestKind sent)
{
    const LearnedState state = ctx->learned->checksum[sent];
    const bool in_parts = up != NULL && up->multipart;
    if (ctx->learned->checksum[DIGEST_MD5] == LEARNED_IGNORED)
        return false;
    return state == LEARNED_IGNORED || (state == LEARNED_UNKNOWN && s3_of(ctx)->checksum == S3_CHECKSUM_AUTO && !in_parts);
}

unsigned s3_digests(const DestCtx *ctx, const Upload *up)
{
    const S3 *s3 = s3_of(ctx);
    unsigned kinds = 0;
    DigestKind kind;
    if (s3_sent_checksum(ctx, &kind))
        kinds = DIGEST_BIT(kind) | (wants_etag_proof(ctx, up, kind) ? DIGEST_BIT(DIGEST_MD5) : 0);
    if (s3->ep.plain && !s3->unsigned_payload && ctx->creds != NULL)
        kinds |= DIGEST_BIT(DIGEST_SHA256);
    return kinds;
}

static void option_header(const DestCtx *ctx, Request *rq, const char *header, const char *option)
{
    const char *value = dest_conf_option(ctx->conf, option);
    if (value != NULL)
        request_header(rq, header, value);
}

void s3_object_headers(const DestCtx *ctx, const Upload *up, Request *rq)
{
    const S3 *s3 = s3_of(ctx);
    given_each(&s3->given, up, given_to_request, rq);
    if (ctx->learned->acl != LEARNED_REFUSED)
        option_header(ctx, rq, "x-amz-acl", "acl");
    option_header(ctx, rq, "x-amz-storage-class", "storage-class");
    option_header(ctx, rq, "x-amz-server-side-encryption", "sse");
    if (s3->given.tagging != NULL && ctx->learned->tagging != LEARNED_REFUSED)
        request_header(rq, "x-amz-tagging", s3->given.tagging);
}
