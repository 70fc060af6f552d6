#include "s3_url.h"

#include <string.h>

#include "../digest.h"
#include "../fault.h"

static const char endpoint_help[] = "an endpoint is http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]";

/* Partitions of AWS: regions and the domain that serves them. The last row is for all others. */
static const struct {
    const char *region_prefix, *domain;
} partitions[] = {
    { "cn-", "amazonaws.com.cn" },
    { "eusc-", "amazonaws.eu" },
    { "", "amazonaws.com" },
};

static const char *aws_domain(const char *region)
{
    unsigned i = 0;
    while (!g_str_has_prefix(region, partitions[i].region_prefix))
        i++;
    return partitions[i].domain;
}

static bool only_of(const char *text, const char *extra)
{
    for (const char *p = text; *p != '\0'; p++)
        if (!g_ascii_isalnum(*p) && strchr(extra, *p) == NULL)
            return false;
    return true;
}

/* ---- endpoints */

/* Region of "s3.eu-west-1.amazonaws.com" or "" of "s3.amazonaws.com"; NULL for any other host. */
static char *region_of_aws_host(const char *host)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(partitions); i++) {
        g_autofree char *suffix = g_strconcat(".", partitions[i].domain, NULL);
        if (!g_str_has_prefix(host, "s3.") || !g_str_has_suffix(host, suffix))
            continue;
        const size_t host_bytes = strlen(host), suffix_bytes = strlen(suffix);
        if (host_bytes == strlen("s3") + suffix_bytes)
            return g_strdup("");
        g_autofree char *region = g_strndup(host + 3, host_bytes - 3 - suffix_bytes);
        return only_of(region, "-") ? g_steal_pointer(&region) : NULL;
    }
    return NULL;
}

static bool host_valid(const char *host)
{
    return host != NULL && *host != '\0' && (g_hostname_is_ip_address(host) || only_of(host, ".-_"));
}

static bool path_valid(const char *path)
{
    for (const char *p = path; (p = strchr(p, '%')) != NULL; p++)
        if (!g_ascii_isxdigit(p[1]) || !g_ascii_isxdigit(p[2]))
            return false;
    return only_of(path, "/-._~%!$&'()*+,;=:@");
}

bool s3_endpoint_parse(S3Endpoint *out, const char *url, GError **error)
{
    if (url == NULL || *url == '\0')
        return true;
    g_autofree char *scheme = NULL, *user = NULL, *host = NULL, *path = NULL, *query = NULL, *fragment = NULL;
    int port = -1;
    if (!g_uri_split(url, G_URI_FLAGS_ENCODED, &scheme, &user, &host, &port, &path, &query, &fragment, NULL) ||
        (g_strcmp0(scheme, "http") != 0 && g_strcmp0(scheme, "https") != 0) || !host_valid(host) || !path_valid(path) || port == 0) {
        fault_set(error, FAULT_USAGE, "%s", endpoint_help);
        return false;
    }
    if (user != NULL || query != NULL || fragment != NULL) {
        fault_set(error, FAULT_USAGE, "%s; no user, password, '?' or '#'", endpoint_help);
        return false;
    }
    out->plain = g_str_equal(scheme, "http");
    out->port = port == (out->plain ? 80 : 443) ? -1 : port;
    out->host = g_ascii_strdown(host, -1);
    size_t bytes = strlen(path);
    while (bytes > 0 && path[bytes - 1] == '/')
        bytes--;
    out->base = bytes > 0 ? g_strndup(path, bytes) : NULL;

    /* The plain host of an AWS region is made anew from the region, so that a wrong one can be corrected. */
    g_autofree char *region = out->plain || out->port > 0 || out->base != NULL ? NULL : region_of_aws_host(out->host);
    if (region != NULL) {
        g_clear_pointer(&out->host, g_free);
        out->region = *region == '\0' ? NULL : g_steal_pointer(&region);
    }
    return true;
}

void s3_endpoint_clear(S3Endpoint *ep)
{
    g_clear_pointer(&ep->host, g_free);
    g_clear_pointer(&ep->base, g_free);
    g_clear_pointer(&ep->region, g_free);
}

bool s3_endpoint_is_aws(const S3Endpoint *ep)
{
    if (ep->host == NULL)
        return true;
    for (unsigned i = 0; i < G_N_ELEMENTS(partitions); i++) {
        g_autofree char *suffix = g_strconcat(".", partitions[i].domain, NULL);
        if (g_str_has_suffix(ep->host, suffix))
            return true;
    }
    return false;
}

static bool is_accelerate(const S3Endpoint *ep)
{
    return ep->host != NULL && g_str_has_prefix(ep->host, "s3-accelerate.") && s3_endpoint_is_aws(ep);
}

/* ---- names */

bool s3_check_bucket(const S3Endpoint *ep, const char *bucket, GError **error)
{
    const size_t bytes = bucket == NULL ? 0 : strlen(bucket);
    if (bytes == 0 || bytes > S3_MAX_BUCKET_BYTES || !only_of(bucket, ".-_") || g_str_equal(bucket, ".") || g_str_equal(bucket, "..")) {
        fault_set(error, FAULT_USAGE, "a bucket's name has 1 to %d of: letters, digits, '.', '-', '_'", S3_MAX_BUCKET_BYTES);
        return false;
    }
    if (is_accelerate(ep) && s3_style(ep, bucket, S3_STYLE_VIRTUAL) != S3_STYLE_VIRTUAL) {
        fault_set(error, FAULT_USAGE, "S3 Accelerate serves only buckets of lower-case letters, digits and '-', not \"%s\"", bucket);
        return false;
    }
    return true;
}

bool s3_check_key(const char *key, GError **error)
{
    const size_t bytes = strlen(key);
    if (bytes == 0 || bytes > S3_MAX_KEY_BYTES) {
        fault_set(error, FAULT_USAGE, "an object's key has 1 to %d bytes, this one has %zu", S3_MAX_KEY_BYTES, bytes);
        return false;
    }
    return true;
}

bool s3_region_valid(const char *region)
{
    const size_t bytes = strlen(region);
    return bytes > 0 && bytes <= S3_MAX_REGION_BYTES && only_of(region, "-_.");
}

/* ---- URLs */

static bool can_be_host_label(const S3Endpoint *ep, const char *bucket)
{
    const size_t bytes = strlen(bucket);
    if (bytes < 3 || bytes > 63 || g_hostname_is_ip_address(bucket) || !g_ascii_isalnum(bucket[0]) || !g_ascii_isalnum(bucket[bytes - 1]))
        return false;
    for (const char *p = bucket; *p != '\0'; p++)
        if (!g_ascii_islower(*p) && !g_ascii_isdigit(*p) && *p != '-' && !(*p == '.' && ep->plain))
            return false;
    return strstr(bucket, "..") == NULL;
}

S3Style s3_style(const S3Endpoint *ep, const char *bucket, S3Style wanted)
{
    if (wanted == S3_STYLE_DOMAIN)
        return wanted;
    if (wanted == S3_STYLE_AUTO)
        wanted = s3_endpoint_is_aws(ep) ? S3_STYLE_VIRTUAL : S3_STYLE_PATH;
    if (!can_be_host_label(ep, bucket) || (ep->host != NULL && g_hostname_is_ip_address(ep->host)))
        return S3_STYLE_PATH;
    return wanted;
}

char *s3_url(const S3Endpoint *ep, const char *region, const char *bucket, const char *key, S3Style wanted)
{
    const S3Style style = s3_style(ep, bucket, wanted);
    GString *url = g_string_new(ep->plain ? "http://" : "https://");
    if (style == S3_STYLE_VIRTUAL)
        g_string_append_printf(url, "%s.", bucket);
    if (ep->host == NULL)
        g_string_append_printf(url, "s3.%s.%s", region, aws_domain(region));
    else
        g_string_append_printf(url, strchr(ep->host, ':') != NULL ? "[%s]" : "%s", ep->host);
    if (ep->port > 0)
        g_string_append_printf(url, ":%d", ep->port);
    if (ep->base != NULL)
        g_string_append(url, ep->base);
    if (style == S3_STYLE_PATH)
        g_string_append_printf(url, "/%s", bucket);
    if (key != NULL || style != S3_STYLE_PATH)
        g_string_append_c(url, '/');
    if (key != NULL)
        uri_escape_append(url, key, strlen(key), true);
    return g_string_free(url, FALSE);
}

void s3_query_add(GString *query, const char *name, const char *value)
{
    if (query->len > 0)
        g_string_append_c(query, '&');
    uri_escape_append(query, name, strlen(name), false);
    g_string_append_c(query, '=');
    uri_escape_append(query, value, strlen(value), false);
}

char *s3_url_decode(const char *text)
{
    g_autofree char *spaced = g_strdelimit(g_strdup(text), "+", ' ');
    GString *out = g_string_new(NULL);
    for (const char *p = spaced; *p != '\0'; p++) {
        if (*p != '%') {
            g_string_append_c(out, *p);
            continue;
        }
        const int high = g_ascii_xdigit_value(p[1]);
        const int low = high < 0 ? -1 : g_ascii_xdigit_value(p[2]);
        if (low < 0 || (high == 0 && low == 0)) {
            g_string_free(out, TRUE);
            return NULL;
        }
        g_string_append_c(out, (char)(high << 4 | low));
        p += 2;
    }
    return g_string_free(out, FALSE);
}
