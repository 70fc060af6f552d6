#include "oss_sign.h"

#include <string.h>
#include <time.h>

static const Sigv4Dialect oss4 = { "OSS4-HMAC-SHA256", "aliyun_v4", "aliyun_v4_request" };

/* ---- both versions */

static const char *query_of(const char *url)
{
    const char *mark = strchr(url, '?');
    return mark == NULL ? NULL : mark + 1;
}

/* "/bucket/key", "/bucket/", "/" */
static char *resource_of(const OssSigner *s, bool encoded)
{
    GString *path = g_string_new("/");
    if (s->bucket != NULL)
        g_string_append_printf(path, "%s/", s->bucket);
    if (s->key != NULL && encoded)
        uri_escape_append(path, s->key, strlen(s->key), true);
    else if (s->key != NULL)
        g_string_append(path, s->key);
    return g_string_free(path, FALSE);
}

/* Value behind "name:", blanks skipped; NULL when the header is another one. */
static const char *header_value(const char *header, const char *name)
{
    const size_t n = strlen(name);
    if (g_ascii_strncasecmp(header, name, n) != 0 || header[n] != ':')
        return NULL;
    const char *value = header + n + 1;
    return value + strspn(value, " \t");
}

static const char *find_header(const GPtrArray *headers, const char *name)
{
    const char *value = NULL;
    for (unsigned i = 0; headers != NULL && i < headers->len && value == NULL; i++)
        value = header_value(g_ptr_array_index(headers, i), name);
    return value;
}

static bool is_vendor(const char *header)
{
    return g_ascii_strncasecmp(header, "x-oss-", strlen("x-oss-")) == 0;
}

static void append_parameter(GString *url, const char *name, const char *value)
{
    g_string_append_printf(url, "%c%s=", strchr(url->str, '?') == NULL ? '?' : '&', name);
    uri_escape_append(url, value, strlen(value), false);
}

/* ---- V1 */

/* Parameters that are part of the resource. */
static bool is_subresource(const char *name)
{
    static const char *const names[] = { "acl",
                                         "append",
                                         "asyncFetch",
                                         "bucketInfo",
                                         "callback",
                                         "callback-var",
                                         "cname",
                                         "comp",
                                         "continuation-token",
                                         "cors",
                                         "delete",
                                         "encryption",
                                         "endTime",
                                         "img",
                                         "inventory",
                                         "inventoryId",
                                         "lifecycle",
                                         "live",
                                         "location",
                                         "logging",
                                         "objectMeta",
                                         "partNumber",
                                         "policy",
                                         "position",
                                         "qos",
                                         "qosInfo",
                                         "referer",
                                         "replication",
                                         "requestPayment",
                                         "response-cache-control",
                                         "response-content-disposition",
                                         "response-content-encoding",
                                         "response-content-language",
                                         "response-content-type",
                                         "response-expires",
                                         "restore",
                                         "security-token",
                                         "sequential",
                                         "startTime",
                                         "stat",
                                         "status",
                                         "symlink",
                                         "tagging",
                                         "udf",
                                         "uploadId",
                                         "uploads",
                                         "versionId",
                                         "versioning",
                                         "versions",
                                         "vod",
                                         "website",
                                         "worm",
                                         "wormExtend",
                                         "wormId",
                                         "x-oss-ac-forward-allow",
                                         "x-oss-ac-source-ip",
                                         "x-oss-ac-subnet-mask",
                                         "x-oss-ac-vpc-id",
                                         "x-oss-process",
                                         "x-oss-request-payer",
                                         "x-oss-traffic-limit",
                                         NULL };
    return g_strv_contains(names, name);
}

/* By the name that ends with ':' or '=': "callback=" comes before "callback-var=". */
static int by_name(gconstpointer a, gconstpointer b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    const size_t x_bytes = strcspn(x, ":="), y_bytes = strcspn(y, ":=");
    const int order = memcmp(x, y, MIN(x_bytes, y_bytes));
    return order != 0 ? order : (x_bytes > y_bytes) - (x_bytes < y_bytes);
}

/* What is signed of the query: "?a&b=c", decoded and sorted. */
static void append_subresources(GString *out, const char *query)
{
    g_autoptr(GPtrArray) kept = g_ptr_array_new_with_free_func(g_free);
    g_auto(GStrv) pairs = g_strsplit(query == NULL ? "" : query, "&", -1);
    for (char **pair = pairs; *pair != NULL; pair++) {
        char *plain = g_uri_unescape_string(*pair, NULL);
        if (plain == NULL)
            continue;
        const size_t name_bytes = strcspn(plain, "=");
        if (plain[name_bytes] == '=' && plain[name_bytes + 1] == '\0')
            plain[name_bytes] = '\0';
        g_autofree char *name = g_strndup(plain, name_bytes);
        if (is_subresource(name))
            g_ptr_array_add(kept, plain);
        else
            g_free(plain);
    }
    g_ptr_array_sort(kept, by_name);
    for (unsigned i = 0; i < kept->len; i++)
        g_string_append_printf(out, "%c%s", i == 0 ? '?' : '&', (char *)kept->pdata[i]);
}

static void append_vendor_headers(GString *out, const GPtrArray *headers)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    for (unsigned i = 0; headers != NULL && i < headers->len; i++) {
        const char *header = g_ptr_array_index(headers, i);
        if (!is_vendor(header))
            continue;
        g_autofree char *raw = g_strndup(header, strcspn(header, ":")), *name = g_ascii_strdown(raw, -1);
        g_ptr_array_add(lines, g_strdup_printf("%s:%s", name, header_value(header, name)));
    }
    g_ptr_array_sort(lines, by_name);
    for (unsigned i = 0; i < lines->len; i++)
        g_string_append_printf(out, "%s\n", (char *)lines->pdata[i]);
}

char *oss_v1_text(const OssSigner *s, const char *method, const char *query, const GPtrArray *headers, const char *date)
{
    const char *md5 = find_header(headers, "content-md5"), *type = find_header(headers, "content-type");
    g_autofree char *resource = resource_of(s, false);
    GString *text = g_string_new(NULL);
    g_string_append_printf(text, "%s\n%s\n%s\n%s\n", method, md5 == NULL ? "" : md5, type == NULL ? "" : type, date);
    append_vendor_headers(text, headers);
    g_string_append(text, resource);
    append_subresources(text, query);
    return g_string_free(text, FALSE);
}

static char *v1_signature(const OssSigner *s, const char *text)
{
    DigestSet set = { .have = DIGEST_BIT(DIGEST_SHA1) };
    digest_hmac(DIGEST_SHA1, s->secret_key, strlen(s->secret_key), text, strlen(text), set.value[DIGEST_SHA1]);
    return digest_base64(&set, DIGEST_SHA1);
}

/* "Thu, 15 Jan 2026 09:30:00 GMT", whatever the person's locale. */
static char *http_date(int64_t unix_s)
{
    static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    const time_t now = (time_t)unix_s;
    struct tm utc;
    gmtime_r(&now, &utc);
    return g_strdup_printf("%s, %02d %s %04d %02d:%02d:%02d GMT", days[utc.tm_wday], utc.tm_mday, months[utc.tm_mon], utc.tm_year + 1900,
                           utc.tm_hour, utc.tm_min, utc.tm_sec);
}

static void v1_sign(const OssSigner *s, Request *rq)
{
    g_autofree char *date = http_date(s->now_s);
    request_header(rq, "Date", date);
    if (s->token != NULL)
        request_header(rq, "x-oss-security-token", s->token);
    g_autofree char *text = oss_v1_text(s, rq->method, query_of(rq->url), rq->headers, date);
    g_autofree char *signature = v1_signature(s, text);
    g_autofree char *authorization = g_strdup_printf("OSS %s:%s", s->access_key, signature);
    request_header(rq, "Authorization", authorization);
}

static char *v1_presign(const OssSigner *s, const char *method, const char *url, const GPtrArray *headers, unsigned expires_s)
{
    GString *out = g_string_new(url);
    if (s->token != NULL)
        append_parameter(out, "security-token", s->token);
    g_autofree char *expires = g_strdup_printf("%" G_GINT64_FORMAT, s->now_s + expires_s);
    g_autofree char *text = oss_v1_text(s, method, query_of(out->str), headers, expires);
    g_autofree char *signature = v1_signature(s, text);
    append_parameter(out, "OSSAccessKeyId", s->access_key);
    append_parameter(out, "Expires", expires);
    append_parameter(out, "Signature", signature);
    return g_string_free(out, FALSE);
}

/* ---- V4 */

static bool is_signed_by_default(const char *header)
{
    return is_vendor(header) || header_value(header, "content-type") != NULL || header_value(header, "content-md5") != NULL;
}

static bool is_additional(const OssSigner *s, const char *header)
{
    g_auto(GStrv) names = g_strsplit(s->additional == NULL ? "" : s->additional, ";", -1);
    for (char **name = names; *name != NULL; name++)
        if (header_value(header, *name) != NULL)
            return true;
    return false;
}

char *oss_v4_canonical(const OssSigner *s, const char *method, const char *query, const GPtrArray *headers)
{
    g_autoptr(GPtrArray) chosen = g_ptr_array_new();
    for (unsigned i = 0; headers != NULL && i < headers->len; i++)
        if (is_signed_by_default(headers->pdata[i]) || is_additional(s, headers->pdata[i]))
            g_ptr_array_add(chosen, headers->pdata[i]);
    g_autofree char *path = resource_of(s, true);
    const Sigv4Request rq = { .method = method,
                              .path = path,
                              .query = query,
                              .headers = chosen,
                              .payload = SIGV4_UNSIGNED,
                              .names = s->additional == NULL ? "" : s->additional,
                              .flags = SIGV4_BARE_NAMES | SIGV4_KEEP_BLANKS };
    return sigv4_canonical_request(&rq, NULL);
}

static void v4_signature(const OssSigner *s, const Sigv4Scope *sc, const char *text, char hex_out[65])
{
    Sigv4Key own = { 0 };
    sigv4_signature(sigv4_key(s->cache != NULL ? s->cache : &own, s->secret_key, sc, s->region, "oss"), text, hex_out);
    sigv4_key_clear(&own);
}

static void v4_sign(const OssSigner *s, Request *rq)
{
    g_auto(Sigv4Scope) sc = { 0 };
    sigv4_scope_init_of(&sc, &oss4, s->region, "oss", s->now_s);
    request_header(rq, "x-oss-date", sc.timestamp);
    request_header(rq, "x-oss-content-sha256", SIGV4_UNSIGNED);
    if (s->token != NULL)
        request_header(rq, "x-oss-security-token", s->token);
    g_autofree char *canonical = oss_v4_canonical(s, rq->method, query_of(rq->url), rq->headers);
    g_autofree char *text = sigv4_string_to_sign(&sc, canonical);
    char signature[65];
    v4_signature(s, &sc, text, signature);
    const bool more = s->additional != NULL;
    g_autofree char *authorization = g_strconcat(oss4.algorithm, " Credential=", s->access_key, "/", sc.text, ", Signature=", signature,
                                                 more ? ", AdditionalHeaders=" : NULL, s->additional, NULL);
    request_header(rq, "Authorization", authorization);
}

static char *v4_presign(const OssSigner *s, const char *method, const char *url, const GPtrArray *headers, unsigned expires_s)
{
    g_auto(Sigv4Scope) sc = { 0 };
    sigv4_scope_init_of(&sc, &oss4, s->region, "oss", s->now_s);
    g_autofree char *credential = g_strconcat(s->access_key, "/", sc.text, NULL);
    g_autofree char *expires = g_strdup_printf("%u", CLAMP(expires_s, 1, SIGV4_EXPIRES_MAX_S));
    GString *out = g_string_new(url);
    append_parameter(out, "x-oss-date", sc.timestamp);
    append_parameter(out, "x-oss-expires", expires);
    append_parameter(out, "x-oss-signature-version", oss4.algorithm);
    append_parameter(out, "x-oss-credential", credential);
    if (s->additional != NULL)
        append_parameter(out, "x-oss-additional-headers", s->additional);
    if (s->token != NULL)
        append_parameter(out, "x-oss-security-token", s->token);
    g_autofree char *canonical = oss_v4_canonical(s, method, query_of(out->str), headers);
    g_autofree char *text = sigv4_string_to_sign(&sc, canonical);
    char signature[65];
    v4_signature(s, &sc, text, signature);
    append_parameter(out, "x-oss-signature", signature);
    return g_string_free(out, FALSE);
}

/* ---- the face */

void oss_sign(const OssSigner *s, Request *rq)
{
    if (s->version == OSS_V1)
        v1_sign(s, rq);
    else
        v4_sign(s, rq);
}

char *oss_presign(const OssSigner *s, const char *method, const char *url, const GPtrArray *headers, unsigned expires_s)
{
    return s->version == OSS_V1 ? v1_presign(s, method, url, headers, expires_s) : v4_presign(s, method, url, headers, expires_s);
}

char *oss_credential(const OssSigner *s, char date_out[17])
{
    g_auto(Sigv4Scope) sc = { 0 };
    sigv4_scope_init_of(&sc, &oss4, s->region, "oss", s->now_s);
    if (date_out != NULL)
        memcpy(date_out, sc.timestamp, sizeof sc.timestamp);
    return g_strconcat(s->access_key, "/", sc.text, NULL);
}

char *oss_sign_policy(const OssSigner *s, const char *policy_base64)
{
    if (s->version == OSS_V1)
        return v1_signature(s, policy_base64);
    g_auto(Sigv4Scope) sc = { 0 };
    sigv4_scope_init_of(&sc, &oss4, s->region, "oss", s->now_s);
    char signature[65];
    v4_signature(s, &sc, policy_base64, signature);
    return g_strdup(signature);
}
