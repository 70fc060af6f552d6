#include "oss_priv.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "json.h"

#define DEFAULT_REGION "cn-hangzhou" /* a wrong one is answered with the right endpoint */
#define DOMAIN         ".aliyuncs.com"

enum { MAX_CALLBACK_URLS = 5, MAX_CALLBACK_VARS = 50 };

const char *const oss_shared[] = { "acl",
                                   "storage-class",
                                   "sse",
                                   "header",
                                   "meta",
                                   "tag",
                                   "if-exists",
                                   "checksum",
                                   "addressing",
                                   "part-size",
                                   "public-url",
                                   "secret",
                                   "token-life",
                                   "callback-url",
                                   "callback-body",
                                   "callback-host",
                                   "callback-body-type",
                                   "callback-var",
                                   NULL };

/* clang-format off */
const HoistOpt oss_opts[] = {
    { "oss-signature", 0, HOIST_OPT_CHOICE, "VERSION", "v4", "v4|v1", "OSS: how requests are signed", false, true },
    { "oss-domain", 0, HOIST_OPT_SWITCH, NULL, NULL, NULL, "OSS: the endpoint is a name of the bucket itself (CNAME)", false, true },
    { "oss-post", 0, HOIST_OPT_SWITCH, NULL, NULL, NULL, "OSS: files that go whole are sent as forms (PostObject)", false, true },
    { "oss-encryption", 0, HOIST_OPT_CHOICE, "KIND", NULL, "AES256|KMS|SM4", "OSS: encryption at the server (or sse)", false, true },
    { "traffic-limit", 0, HOIST_OPT_NUMBER, "N", NULL, "819200..838860800", "OSS: bits a second that the store takes of one request", false, true },
    { NULL, 0, HOIST_OPT_TEXT, NULL, NULL, NULL, NULL, false, false },
};
/* clang-format on */

const DestSecret oss_secrets[] = {
    { "access-key", "OSS_ACCESS_KEY_ID|ALIBABA_CLOUD_ACCESS_KEY_ID", false, "access key id of the Aliyun account" },
    { "secret-key", "OSS_ACCESS_KEY_SECRET|ALIBABA_CLOUD_ACCESS_KEY_SECRET", false, "access key secret that belongs to it" },
    { "session-token", "OSS_SESSION_TOKEN|ALIBABA_CLOUD_SECURITY_TOKEN", true, "token of temporary keys (STS)" },
    { NULL, NULL, false, NULL },
};

static bool option_is(const DestConf *conf, const char *name, const char *value)
{
    return g_strcmp0(dest_conf_option(conf, name), value) == 0;
}

/* ---- endpoint, region, bucket */

static bool region_fits(const char *region)
{
    return s3_region_valid(region) && region[strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}

/* "oss-REGION", "oss-REGION-internal", "REGION.oss" and the domain: OSS documentation, "Regions and endpoints". */
char *oss_region_of_host(const char *host)
{
    if (host == NULL || !g_str_has_suffix(host, DOMAIN))
        return NULL;
    g_autofree char *front = g_strndup(host, strlen(host) - strlen(DOMAIN));
    const char *region = front;
    if (g_str_has_suffix(front, ".oss"))
        front[strlen(front) - strlen(".oss")] = '\0';
    else if (g_str_has_prefix(front, "oss-"))
        region += strlen("oss-");
    else
        return NULL;
    if (g_str_has_suffix(front, "-internal"))
        front[strlen(front) - strlen("-internal")] = '\0';
    return region_fits(region) && !g_str_has_prefix(region, "accelerate") ? g_strdup(region) : NULL;
}

/* The plain host of a region is made anew from the region, so that a wrong one can be corrected. */
static char *take_host(Oss *oss)
{
    char *region = oss_region_of_host(oss->ep.host);
    if (region == NULL || oss->ep.plain || oss->ep.port > 0 || oss->ep.base != NULL || !g_str_has_prefix(oss->ep.host, "oss-"))
        return region;
    oss->internal = strstr(oss->ep.host, "-internal.") != NULL;
    g_clear_pointer(&oss->ep.host, g_free);
    return region;
}

static bool fill_region(Oss *oss, const DestConf *conf, GError **error)
{
    g_autofree char *told = take_host(oss);
    const char *region = conf->region != NULL && *conf->region != '\0' ? conf->region : told != NULL ? told : DEFAULT_REGION;
    oss->region = g_strdup(region + (g_str_has_prefix(region, "oss-") ? strlen("oss-") : 0));
    if (!region_fits(oss->region))
        fault_set(error, FAULT_USAGE, "--region: a region of OSS is named like cn-hangzhou");
    return region_fits(oss->region);
}

static bool check_bucket(const Oss *oss, GError **error)
{
    const size_t bytes = strlen(oss->bucket);
    const bool fine = bytes >= 3 && bytes <= 63 && strspn(oss->bucket, "abcdefghijklmnopqrstuvwxyz0123456789-") == bytes &&
                      oss->bucket[0] != '-' && oss->bucket[bytes - 1] != '-';
    if (!fine)
        fault_set(error, FAULT_USAGE, "a bucket's name has 3 to 63 of: lower-case letters, digits, '-' (not first or last)");
    return fine;
}

static bool fill_endpoint(Oss *oss, const DestConf *conf, GError **error)
{
    /* OSS_ENDPOINT is mostly given without a scheme. */
    g_autofree char *url = conf->endpoint != NULL && *conf->endpoint != '\0' && strstr(conf->endpoint, "://") == NULL
                               ? g_strconcat("https://", conf->endpoint, NULL)
                               : g_strdup(conf->endpoint);
    oss->style = option_is(conf, "oss-domain", "true")   ? S3_STYLE_DOMAIN
                 : option_is(conf, "addressing", "path") ? S3_STYLE_PATH
                                                         : S3_STYLE_VIRTUAL; /* an IP address gets path style anyway */
    if (!s3_endpoint_parse(&oss->ep, url, error) || !check_bucket(oss, error) || !fill_region(oss, conf, error))
        return false;
    if (oss->style == S3_STYLE_DOMAIN && oss->ep.host == NULL) {
        fault_set(error, FAULT_USAGE, "--oss-domain needs an endpoint that is the bucket's own name");
        return false;
    }
    return true;
}

/* ---- choices */

static bool fill_checksum(Oss *oss, const DestConf *conf, GError **error)
{
    oss->md5 = option_is(conf, "checksum", "md5");
    oss->crc = !option_is(conf, "checksum", "none");
    if (oss->md5 || !oss->crc || dest_conf_option(conf, "checksum") == NULL || option_is(conf, "checksum", "auto"))
        return true;
    fault_set(error, FAULT_USAGE, "--checksum: OSS compares CRC-64/ECMA (auto) and checks md5 as well; allowed: auto, md5, none");
    return false;
}

static bool fill_encryption(Oss *oss, const DestConf *conf, GError **error)
{
    static const char *const rows[][3] = { { "oss-encryption", "AES256", "AES256" },
                                           { "oss-encryption", "KMS", "KMS" },
                                           { "oss-encryption", "SM4", "SM4" },
                                           { "sse", "AES256", "AES256" },
                                           { "sse", "aws:kms", "KMS" } };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows) && oss->sse == NULL; i++)
        if (option_is(conf, rows[i][0], rows[i][1]))
            oss->sse = rows[i][2];
    const bool fine = oss->sse != NULL || dest_conf_option(conf, "sse") == NULL;
    if (!fine)
        fault_set(error, FAULT_USAGE, "--sse: OSS has AES256 and aws:kms (KMS); --oss-encryption SM4 as well");
    return fine;
}

/* ---- the callback */

static const char *const default_bodies[] = { "bucket=${bucket}&object=${object}&etag=${etag}&size=${size}&mimeType=${mimeType}",
                                              "{\"bucket\":${bucket},\"object\":${object},\"etag\":${etag},\"size\":${size},"
                                              "\"mimeType\":${mimeType}" };

static char *base64_of(JsonBuilder *json)
{
    g_autoptr(JsonNode) root = json_builder_get_root(json);
    g_autofree char *text = json_print(root);
    return g_base64_encode((const guchar *)text, strlen(text));
}

static bool add_variable(Oss *oss, const char *text, JsonBuilder *json, GString *form_body, GString *json_body, GError **error)
{
    g_autofree char *name = NULL, *value = NULL;
    if (!given_split(text, '=', &name, &value) || name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-")] != '\0') {
        fault_set(error, FAULT_USAGE, "--callback-var is written NAME=VALUE; OSS takes names of lower-case letters, digits, '_', '-'");
        return false;
    }
    char *full = g_strconcat("x:", name, NULL);
    json_builder_set_member_name(json, full);
    json_builder_add_string_value(json, value);
    g_string_append_printf(form_body, "&%s=${%s}", name, full);
    g_string_append_printf(json_body, ",\"%s\":${%s}", name, full);
    g_hash_table_replace(oss->callback_fields, full, g_steal_pointer(&value));
    return true;
}

/* x-oss-callback-var, and the default bodies that hand the variables on. */
static bool fill_variables(Oss *oss, const DestConf *conf, GString *form_body, GString *json_body, GError **error)
{
    const char *joined = dest_conf_option(conf, "callback-var");
    if (joined == NULL)
        return true;
    g_auto(GStrv) lines = g_strsplit(joined, "\n", -1);
    g_autoptr(JsonBuilder) json = json_builder_new();
    oss->callback_fields = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    json_builder_begin_object(json);
    for (unsigned i = 0; lines[i] != NULL; i++)
        if (!add_variable(oss, lines[i], json, form_body, json_body, error))
            return false;
    json_builder_end_object(json);
    oss->callback_var = base64_of(json);
    return true;
}

static bool check_callback_urls(const char *urls, GError **error)
{
    g_auto(GStrv) list = g_strsplit(urls, ";", -1);
    bool fine = g_strv_length(list) <= MAX_CALLBACK_URLS;
    for (unsigned i = 0; list[i] != NULL; i++)
        fine = fine && (g_str_has_prefix(list[i], "http://") || g_str_has_prefix(list[i], "https://"));
    if (!fine)
        fault_set(error, FAULT_USAGE, "--callback-url: up to %d of http://HOST/PATH or https://HOST/PATH, separated by ;",
                  MAX_CALLBACK_URLS);
    return fine;
}

static void add_member(JsonBuilder *json, const char *name, const char *value)
{
    if (value == NULL)
        return;
    json_builder_set_member_name(json, name);
    json_builder_add_string_value(json, value);
}

static bool fill_callback(Oss *oss, const DestConf *conf, GError **error)
{
    const char *urls = dest_conf_option(conf, "callback-url"), *body = dest_conf_option(conf, "callback-body");
    if (urls == NULL) {
        const bool idle = body != NULL || dest_conf_option(conf, "callback-var") != NULL;
        if (idle)
            fault_set(error, FAULT_USAGE, "--callback-url is missing: nobody would hear of the other callback options");
        return !idle;
    }
    const bool as_json = option_is(conf, "callback-body-type", "application/json");
    g_autoptr(GString) form_body = g_string_new(default_bodies[0]), json_body = g_string_new(default_bodies[1]);
    if (!check_callback_urls(urls, error) || !fill_variables(oss, conf, form_body, json_body, error))
        return false;
    g_string_append_c(json_body, '}');

    g_autoptr(JsonBuilder) json = json_builder_new();
    json_builder_begin_object(json);
    add_member(json, "callbackUrl", urls);
    add_member(json, "callbackHost", dest_conf_option(conf, "callback-host"));
    add_member(json, "callbackBody", body != NULL ? body : as_json ? json_body->str : form_body->str);
    add_member(json, "callbackBodyType", as_json ? "application/json" : "application/x-www-form-urlencoded");
    json_builder_end_object(json);
    oss->callback = base64_of(json);
    return true;
}

/* ---- open and close */

void *oss_open(const DestConf *conf, GError **error)
{
    Oss *oss = g_new0(Oss, 1);
    oss->bucket = g_strdup(conf->bucket);
    oss->version = option_is(conf, "oss-signature", "v1") ? OSS_V1 : OSS_V4;
    oss->only_new = option_is(conf, "if-exists", "skip") || option_is(conf, "if-exists", "fail");
    oss->post = option_is(conf, "oss-post", "true");
    if (fill_endpoint(oss, conf, error) && multipart_check_part_size(conf, OSS_PART_MIN_BYTES, "OSS", error) &&
        fill_checksum(oss, conf, error) && fill_encryption(oss, conf, error) && fill_callback(oss, conf, error) &&
        given_open(&oss->given, conf, "x-oss-", error))
        return oss;
    oss_close(oss);
    return NULL;
}

void oss_close(void *priv)
{
    Oss *oss = priv;
    if (oss == NULL)
        return;
    s3_endpoint_clear(&oss->ep);
    g_free(oss->bucket);
    g_free(oss->region);
    given_clear(&oss->given);
    g_free(oss->callback);
    g_free(oss->callback_var);
    g_clear_pointer(&oss->callback_fields, g_hash_table_unref);
    sigv4_key_clear(&oss->key);
    g_free(oss);
}
