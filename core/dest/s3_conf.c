#include "s3_priv.h"

#include <string.h>

enum { MAX_TAGS = 10 };

/* S3 User Guide, "Amazon S3 multipart upload limits". */
#define PART_MIN_BYTES (UINT64_C(5) << 20)
#define PART_MAX_BYTES (UINT64_C(5) << 30)

const char *const s3_shared[] = { "acl", "storage-class", "sse", "header", "meta", "tag", "if-exists", "addressing", "checksum",
                                  "unsigned-payload", "part-size", NULL };

static bool option_is(const DestConf *conf, const char *name, const char *value)
{
    return g_strcmp0(dest_conf_option(conf, name), value) == 0;
}

/* ---- headers of the person */

static bool name_valid(const char *name)
{
    if (*name == '\0')
        return false;
    for (const char *p = name; *p != '\0'; p++)
        if (!g_ascii_isalnum(*p) && strchr("-_.", *p) == NULL)
            return false;
    return true;
}

static bool value_valid(const char *value)
{
    for (const char *p = value; *p != '\0'; p++)
        if (g_ascii_iscntrl(*p))
            return false;
    return g_utf8_validate(value, -1, NULL);
}

/* These are hoist's own to send, or would undo what it checks. */
static bool is_reserved(const char *name)
{
    static const char *const reserved[] = { "host",
                                            "authorization",
                                            "connection",
                                            "content-length",
                                            "content-md5",
                                            "expect",
                                            "if-match",
                                            "if-none-match",
                                            "transfer-encoding",
                                            "x-amz-content-sha256",
                                            "x-amz-date",
                                            "x-amz-security-token",
                                            "x-amz-tagging",
                                            "x-amz-acl",
                                            "x-amz-storage-class",
                                            NULL };
    g_autofree char *lower = g_ascii_strdown(name, -1);
    return g_strv_contains(reserved, lower) || g_str_has_prefix(lower, "x-amz-checksum-") || g_str_has_prefix(lower, "x-amz-meta-hoist-");
}

static void take_header(S3 *s3, char *name, char *value)
{
    g_ptr_array_add(s3->headers, name);
    g_ptr_array_add(s3->headers, value);
}

/* Splits "name SEPARATOR value"; false when a half is missing or holds what it must not. */
static bool split_pair(const char *text, char separator, char **name_out, char **value_out)
{
    const char *at = strchr(text, separator);
    if (at == NULL)
        return false;
    g_autofree char *name = g_strstrip(g_strndup(text, (gsize)(at - text)));
    g_autofree char *value = g_strstrip(g_strdup(at + 1));
    if (*name == '\0' || !value_valid(name) || !value_valid(value))
        return false;
    *name_out = g_steal_pointer(&name);
    *value_out = g_steal_pointer(&value);
    return true;
}

static bool add_header(S3 *s3, const char *text, GError **error)
{
    g_autofree char *name = NULL, *value = NULL;
    if (!split_pair(text, ':', &name, &value) || !name_valid(name)) {
        fault_set(error, FAULT_USAGE, "--header is written \"Name: value\"");
        return false;
    }
    if (is_reserved(name)) {
        fault_set(error, FAULT_USAGE, "--header %s: this one is hoist's own", name);
        return false;
    }
    if (g_ascii_strcasecmp(name, "content-type") == 0)
        s3->own_content_type = true;
    take_header(s3, g_steal_pointer(&name), g_steal_pointer(&value));
    return true;
}

/* Metadata is US-ASCII; other text travels as an encoded word (RFC 2047), which S3 understands. */
static char *encode_meta(const char *value)
{
    if (g_str_is_ascii(value))
        return g_strdup(value);
    g_autofree char *base64 = g_base64_encode((const guchar *)value, strlen(value));
    return g_strdup_printf("=?UTF-8?B?%s?=", base64);
}

static bool add_meta(S3 *s3, const char *text, GError **error)
{
    g_autofree char *name = NULL, *value = NULL;
    if (!split_pair(text, '=', &name, &value) || !name_valid(name)) {
        fault_set(error, FAULT_USAGE, "--meta is written NAME=VALUE; a name has letters, digits, '-', '_', '.'");
        return false;
    }
    g_autofree char *lower = g_ascii_strdown(name, -1);
    g_autofree char *header = g_strconcat("x-amz-meta-", lower, NULL);
    if (is_reserved(header)) {
        fault_set(error, FAULT_USAGE, "--meta %s: this one is hoist's own", name);
        return false;
    }
    take_header(s3, g_steal_pointer(&header), encode_meta(value));
    return true;
}

static bool add_tag(S3 *s3, const char *text, GError **error)
{
    g_autofree char *name = NULL, *value = NULL;
    if (!split_pair(text, '=', &name, &value)) {
        fault_set(error, FAULT_USAGE, "--tag is written NAME=VALUE");
        return false;
    }
    GString *query = g_string_new(s3->tagging);
    s3_query_add(query, name, value);
    g_free(s3->tagging);
    s3->tagging = g_string_free(query, FALSE);
    return true;
}

static bool each_line(S3 *s3, const DestConf *conf, const char *option, unsigned most, bool (*add)(S3 *, const char *, GError **),
                      GError **error)
{
    const char *joined = dest_conf_option(conf, option);
    g_auto(GStrv) lines = g_strsplit(joined == NULL ? "" : joined, "\n", -1);
    unsigned n = 0;
    for (unsigned i = 0; lines[i] != NULL; i++) {
        if (*lines[i] == '\0')
            continue;
        if (!add(s3, lines[i], error))
            return false;
        n++;
    }
    if (n > most)
        fault_set(error, FAULT_USAGE, "--%s may be given %u times at most", option, most);
    return n <= most;
}

/* ---- open and close */

static bool check_single_line(const DestConf *conf, const char *option, GError **error)
{
    const char *value = dest_conf_option(conf, option);
    if (value == NULL || (*value != '\0' && g_str_is_ascii(value) && value_valid(value)))
        return true;
    fault_set(error, FAULT_USAGE, "--%s must be plain text", option);
    return false;
}

static bool check_part_size(const DestConf *conf, GError **error)
{
    const char *text = dest_conf_option(conf, "part-size");
    uint64_t bytes;
    if (text == NULL || (hoist_parse_size(text, &bytes) && bytes >= PART_MIN_BYTES && bytes <= PART_MAX_BYTES))
        return true;
    fault_set(error, FAULT_USAGE, "--part-size %s: S3 takes parts of 5MiB..5GiB", text);
    return false;
}

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
    s3->headers = g_ptr_array_new_with_free_func(g_free);
    s3->bucket = g_strdup(conf->bucket);
    const bool fine = s3_endpoint_parse(&s3->ep, conf->endpoint, error) &&
                      s3_check_bucket(&s3->ep, s3->bucket, error) && fill_region(s3, conf, error) &&
                      check_single_line(conf, "acl", error) && check_single_line(conf, "storage-class", error) &&
                      check_part_size(conf, error) &&
                      each_line(s3, conf, "header", 50, add_header, error) && each_line(s3, conf, "meta", 50, add_meta, error) &&
                      each_line(s3, conf, "tag", MAX_TAGS, add_tag, error);
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
    g_free(s3->tagging);
    g_ptr_array_unref(s3->headers);
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

/* Seconds with nine decimals, as rclone writes and reads it. */
static char *mtime_text(int64_t mtime_ns)
{
    const uint64_t ns = mtime_ns < 0 ? 0 - (uint64_t)mtime_ns : (uint64_t)mtime_ns;
    const uint64_t second = 1000000000;
    return g_strdup_printf("%s%" G_GUINT64_FORMAT ".%09" G_GUINT64_FORMAT, mtime_ns < 0 ? "-" : "", ns / second, ns % second);
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
    if (up->content_type != NULL && !s3->own_content_type)
        request_header(rq, "Content-Type", up->content_type);
    for (unsigned i = 0; i + 1 < s3->headers->len; i += 2)
        request_header(rq, s3->headers->pdata[i], s3->headers->pdata[i + 1]);
    g_autofree char *mtime = mtime_text(up->mtime_ns);
    request_header(rq, "x-amz-meta-mtime", mtime);
    if (up->nonce != NULL)
        request_header(rq, S3_NONCE_HEADER, up->nonce);
    if (ctx->learned->acl != LEARNED_REFUSED)
        option_header(ctx, rq, "x-amz-acl", "acl");
    option_header(ctx, rq, "x-amz-storage-class", "storage-class");
    option_header(ctx, rq, "x-amz-server-side-encryption", "sse");
    if (s3->tagging != NULL && ctx->learned->tagging != LEARNED_REFUSED)
        request_header(rq, "x-amz-tagging", s3->tagging);
}
