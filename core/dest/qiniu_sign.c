#include "qiniu_sign.h"

#include <string.h>

#include "dest.h"

#define SHA1_BYTES 20

/* First byte of an etag: what its SHA-1 was computed from. */
enum { ETAG_ONE = 0x16, ETAG_BLOCKS = 0x96, ETAG_PARTS = 0x9e };

char *qiniu_base64(const void *data, size_t bytes)
{
    char *text = g_base64_encode(data, bytes);
    return g_strdelimit(g_strdelimit(text, "+", '-'), "/", '_');
}

char *qiniu_entry(const char *bucket, const char *key)
{
    g_autofree char *entry = key == NULL ? g_strdup(bucket) : g_strconcat(bucket, ":", key, NULL);
    return qiniu_base64(entry, strlen(entry));
}

/* "ACCESS:signature" of a text. */
static char *sign(const QiniuKeys *keys, const char *text)
{
    uint8_t mac[SHA1_BYTES];
    digest_hmac(DIGEST_SHA1, keys->secret, strlen(keys->secret), text, strlen(text), mac);
    g_autofree char *encoded = qiniu_base64(mac, sizeof mac);
    return g_strconcat(keys->access, ":", encoded, NULL);
}

char *qiniu_upload_token(const QiniuKeys *keys, const char *policy_json)
{
    g_autofree char *policy = qiniu_base64(policy_json, strlen(policy_json));
    g_autofree char *signature = sign(keys, policy);
    return g_strconcat(signature, ":", policy, NULL);
}

char *qiniu_token_policy(const char *token)
{
    g_auto(GStrv) parts = g_strsplit(token, ":", 4);
    if (g_strv_length(parts) != 3 || *parts[0] == '\0' || *parts[1] == '\0')
        return NULL;
    gsize bytes = 0;
    g_strdelimit(g_strdelimit(parts[2], "-", '+'), "_", '/');
    g_autofree guchar *policy = g_base64_decode(parts[2], &bytes);
    if (bytes == 0 || memchr(policy, '\0', bytes) != NULL)
        return NULL;
    return g_strndup((const char *)policy, bytes);
}

char *qiniu_token_access(const char *token)
{
    const char *colon = strchr(token, ':');
    return colon == NULL || colon == token ? NULL : g_strndup(token, (gsize)(colon - token));
}

char *qiniu_private_url(const QiniuKeys *keys, const char *url, int64_t until_s)
{
    g_autofree char *dated = g_strdup_printf("%s%ce=%" G_GINT64_FORMAT, url, strchr(url, '?') == NULL ? '?' : '&', until_s);
    g_autofree char *signature = sign(keys, dated);
    return g_strconcat(dated, "&token=", signature, NULL);
}

/* Path and query of a URL, from its slash on. */
static const char *target_of(const char *url)
{
    const char *host = strstr(url, "://");
    const char *slash = strchr(host == NULL ? url : host + 3, '/');
    return slash == NULL ? "/" : slash;
}

static char *host_of(const char *url)
{
    const char *host = strstr(url, "://");
    host = host == NULL ? url : host + 3;
    return g_strndup(host, strcspn(host, "/"));
}

char *qiniu_sign_qbox(const QiniuKeys *keys, const char *url, const char *form_body)
{
    g_autofree char *text = g_strconcat(target_of(url), "\n", form_body, NULL);
    g_autofree char *signature = sign(keys, text);
    return g_strconcat("QBox ", signature, NULL);
}

char *qiniu_sign_request(const QiniuKeys *keys, const char *method, const char *url, const char *content_type, const char *x_headers,
                         const char *body)
{
    g_autofree char *host = host_of(url);
    GString *text = g_string_new(NULL);
    g_string_append_printf(text, "%s %s\nHost: %s", method, target_of(url), host);
    if (content_type != NULL)
        g_string_append_printf(text, "\nContent-Type: %s", content_type);
    if (x_headers != NULL)
        g_string_append_printf(text, "\n%s", x_headers);
    g_string_append(text, "\n\n");
    if (body != NULL && g_strcmp0(content_type, "application/octet-stream") != 0)
        g_string_append(text, body);
    g_autofree char *signature = sign(keys, text->str);
    g_string_free(text, TRUE);
    return g_strconcat("Qiniu ", signature, NULL);
}

char *qiniu_etag(const uint8_t *sha1s, size_t n, bool even)
{
    DigestSet set;
    uint8_t etag[1 + SHA1_BYTES] = { n == 1 ? ETAG_ONE : even ? ETAG_BLOCKS : ETAG_PARTS };
    digest_of(DIGEST_BIT(DIGEST_SHA1), sha1s, n * SHA1_BYTES, &set);
    memcpy(etag + 1, n == 1 ? sha1s : set.value[DIGEST_SHA1], SHA1_BYTES);
    return qiniu_base64(etag, sizeof etag);
}

bool qiniu_is_etag(const char *text)
{
    if (text == NULL || strlen(text) != QINIU_ETAG_CHARS)
        return false;
    for (const char *p = text; *p != '\0'; p++)
        if (!g_ascii_isalnum(*p) && *p != '-' && *p != '_')
            return false;
    g_autofree char *standard = g_strdelimit(g_strdelimit(g_strdup(text), "-", '+'), "_", '/');
    gsize bytes = 0;
    g_autofree guchar *etag = g_base64_decode(standard, &bytes);
    return bytes == 1 + SHA1_BYTES && (etag[0] == ETAG_ONE || etag[0] == ETAG_BLOCKS || etag[0] == ETAG_PARTS);
}
