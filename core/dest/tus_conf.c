#include "tus_priv.h"

#include "given.h"

#include <string.h>

enum { MAX_HEADERS = 50, MAX_METADATA = 50, MAX_URL_BYTES = 4096 };

#define URL_FLAGS (G_URI_FLAGS_HAS_PASSWORD | G_URI_FLAGS_ENCODED)

const char *const tus_shared[] = { "header", "secret", "user", "public-url", "checksum", "part-size", "parts", "allow-http", NULL };

/* clang-format off */
const HoistOpt tus_opts[] = {
    { "tus-metadata", 0, HOIST_OPT_TEXT, "NAME=VALUE", NULL, "NAME=VALUE", "metadata of each tus upload, beside filename and filetype", true, true },
    { "tus-override", 0, HOIST_OPT_SWITCH, NULL, NULL, NULL, "send PATCH and DELETE as POST, for proxies that block them", false, true },
    { NULL, 0, HOIST_OPT_TEXT, NULL, NULL, NULL, NULL, false, false },
};
const DestSecret tus_secrets[] = {
    { "token", "HOIST_TUS_TOKEN", true, "bearer token" },
    { "password", "HOIST_TUS_PASSWORD", true, "password of --user" },
    { NULL, NULL, false, NULL },
};
/* clang-format on */

/* ---- URLs */

static int port_of(GUri *uri)
{
    const int port = g_uri_get_port(uri);
    return port > 0 ? port : g_str_equal(g_uri_get_scheme(uri), "https") ? 443 : 80;
}

static bool is_web(GUri *uri)
{
    const char *scheme = g_uri_get_scheme(uri), *host = g_uri_get_host(uri);
    return (g_str_equal(scheme, "http") || g_str_equal(scheme, "https")) && host != NULL && *host != '\0';
}

bool tus_same_origin(const char *a, const char *b)
{
    g_autoptr(GUri) one = g_uri_parse(a, URL_FLAGS, NULL), two = g_uri_parse(b, URL_FLAGS, NULL);
    return one != NULL && two != NULL && is_web(one) && is_web(two) && g_str_equal(g_uri_get_scheme(one), g_uri_get_scheme(two)) &&
           g_ascii_strcasecmp(g_uri_get_host(one), g_uri_get_host(two)) == 0 && port_of(one) == port_of(two);
}

/* A server behind a proxy that ends TLS takes itself for plain http: on the same host that is the proxy's address. */
static bool fit_scheme(GUri *base, GUri *uri, const char **scheme_out, int *port_out, GError **error)
{
    *scheme_out = g_uri_get_scheme(uri);
    *port_out = g_uri_get_port(uri);
    if (g_str_equal(*scheme_out, "https") || g_str_equal(g_uri_get_scheme(base), "http"))
        return true;
    *scheme_out = g_uri_get_scheme(base);
    *port_out = g_uri_get_port(base);
    if (g_ascii_strcasecmp(g_uri_get_host(base), g_uri_get_host(uri)) == 0)
        return true;
    fault_set(error, FAULT_ENDPOINT, "the server is reached by https and sends uploads to http: it does not know of the proxy before it");
    return false;
}

char *tus_resolve(const char *base, const char *location, GError **error)
{
    g_autoptr(GUri) from = g_uri_parse(base, URL_FLAGS, NULL);
    g_autoptr(GUri) uri = from == NULL || strlen(location) > MAX_URL_BYTES ? NULL : g_uri_parse_relative(from, location, URL_FLAGS, NULL);
    const char *scheme;
    int port;
    if (uri == NULL || !is_web(uri)) {
        fault_set(error, FAULT_BAD_ANSWER, "the server names an upload by what is no URL");
        return NULL;
    }
    if (!fit_scheme(from, uri, &scheme, &port, error))
        return NULL;
    g_autoptr(GUri) plain =
        g_uri_build(URL_FLAGS, scheme, NULL, g_uri_get_host(uri), port, g_uri_get_path(uri), g_uri_get_query(uri), NULL);
    return g_uri_to_string(plain);
}

char *tus_key_of(const char *url)
{
    g_autofree char *path = g_strndup(url, strcspn(url, "?#"));
    if (g_str_has_suffix(path, "/"))
        path[strlen(path) - 1] = '\0';
    const char *slash = strrchr(path, '/');
    g_autofree char *key = slash == NULL ? NULL : g_uri_unescape_string(slash + 1, NULL);
    return key == NULL || *key == '\0' ? NULL : g_steal_pointer(&key);
}

/* ---- options */

static bool each_line(Tus *tus, const DestConf *conf, const char *option, unsigned most, bool (*add)(Tus *, const char *, GError **),
                      GError **error)
{
    const char *joined = dest_conf_option(conf, option);
    g_auto(GStrv) lines = g_strsplit(joined == NULL ? "" : joined, "\n", -1);
    if (g_strv_length(lines) > most) {
        fault_set(error, FAULT_USAGE, "--%s may be given %u times at most", option, most);
        return false;
    }
    for (unsigned i = 0; lines[i] != NULL; i++)
        if (*lines[i] != '\0' && !add(tus, lines[i], error))
            return false;
    return true;
}

/* These are hoist's own to send, or would change what is sent. */
static bool is_reserved(const char *name)
{
    static const char *const reserved[] = { "host",   "authorization", "connection",        "content-length", "content-type",
                                            "expect", "cookie",        "transfer-encoding", "tus-resumable",  "x-http-method-override",
                                            NULL };
    g_autofree char *lower = g_ascii_strdown(name, -1);
    return g_strv_contains(reserved, lower) || g_str_has_prefix(lower, "upload-");
}

static bool add_header(Tus *tus, const char *text, GError **error)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    g_autofree char *name = NULL, *value = NULL;
    if (!given_split(text, ':', &name, &value) || name[strspn(name, letters)] != '\0') {
        fault_set(error, FAULT_USAGE, "--header is written \"Name: value\"");
        return false;
    }
    if (is_reserved(name)) {
        fault_set(error, FAULT_USAGE, "--header %s: this one is hoist's own", name);
        return false;
    }
    g_ptr_array_add(tus->headers, g_strdup_printf("%s: %s", name, value));
    return true;
}

static const char *metadata_find(const Tus *tus, const char *name)
{
    for (unsigned i = 0; i + 1 < tus->metadata->len; i += 2)
        if (g_str_equal(tus->metadata->pdata[i], name))
            return tus->metadata->pdata[i + 1];
    return NULL;
}

static bool add_metadata(Tus *tus, const char *text, GError **error)
{
    g_autofree char *name = NULL, *value = NULL;
    if (!given_split(text, '=', &name, &value) || !g_str_is_ascii(name) || strpbrk(name, " ,") != NULL ||
        metadata_find(tus, name) != NULL) {
        fault_set(error, FAULT_USAGE, "--tus-metadata is written NAME=VALUE; each name once, in ASCII without blanks and commas");
        return false;
    }
    g_ptr_array_add(tus->metadata, g_steal_pointer(&name));
    g_ptr_array_add(tus->metadata, g_base64_encode((const guchar *)value, strlen(value)));
    return true;
}

static bool take_checksum(Tus *tus, const DestConf *conf, GError **error)
{
    const char *text = dest_conf_option(conf, "checksum");
    const bool given = text != NULL && digest_by_name(text, &tus->kind);
    if (given && (tus->kind == DIGEST_SHA1 || tus->kind == DIGEST_SHA256 || tus->kind == DIGEST_MD5))
        tus->sum = TUS_SUM_GIVEN;
    else if (g_strcmp0(text, "none") == 0)
        tus->sum = TUS_SUM_NONE;
    else if (text != NULL && !g_str_equal(text, "auto")) {
        fault_set(error, FAULT_USAGE, "--checksum: tus has auto, sha1, sha256, md5 and none");
        return false;
    }
    return true;
}

void *tus_open(const DestConf *conf, GError **error)
{
    Tus *tus = g_new0(Tus, 1);
    tus->endpoint = g_strdup(conf->endpoint);
    g_autofree char *path = g_strndup(conf->endpoint, strcspn(conf->endpoint, "?#"));
    tus->root = g_strconcat(path, g_str_has_suffix(path, "/") ? "" : "/", NULL);
    tus->headers = g_ptr_array_new_with_free_func(g_free);
    tus->metadata = g_ptr_array_new_with_free_func(g_free);
    tus->user = g_strdup(dest_conf_option(conf, "user"));
    tus->override = g_strcmp0(dest_conf_option(conf, "tus-override"), "true") == 0;
    tus->parallel = g_strcmp0(dest_conf_option(conf, "parts"), "1") != 0;
    if (each_line(tus, conf, "header", MAX_HEADERS, add_header, error) &&
        each_line(tus, conf, "tus-metadata", MAX_METADATA, add_metadata, error) && take_checksum(tus, conf, error))
        return tus;
    tus_close(tus);
    return NULL;
}

void tus_close(void *priv)
{
    Tus *tus = priv;
    if (tus == NULL)
        return;
    g_free(tus->endpoint);
    g_free(tus->root);
    g_ptr_array_unref(tus->headers);
    g_ptr_array_unref(tus->metadata);
    g_free(tus->user);
    g_free(tus);
}

/* ---- what every request has */

static void sign_in(const DestCtx *ctx, const Tus *tus, Request *rq)
{
    const char *token = credentials_secret(ctx->creds, "token"), *password = credentials_secret(ctx->creds, "password");
    g_autoptr(GString) value = g_string_new(NULL);
    if (token != NULL) {
        g_string_printf(value, "Bearer %s", token);
    } else if (tus->user != NULL) {
        g_string_printf(value, "%s:%s", tus->user, password == NULL ? "" : password);
        char *base64 = g_base64_encode((const guchar *)value->str, value->len);
        digest_wipe(value->str, value->len);
        g_string_printf(value, "Basic %s", base64);
        secret_free(base64);
    }
    if (value->len > 0)
        request_header(rq, "Authorization", value->str);
    digest_wipe(value->str, value->len);
}

bool tus_may_sign_in(const DestCtx *ctx, GError **error)
{
    const Tus *tus = tus_of(ctx);
    const bool signs = tus->user != NULL || credentials_secret(ctx->creds, "token") != NULL;
    return !signs || dest_keeps_secret(ctx->conf, tus->endpoint, "what you sign in with", error);
}

static void copy_headers(Request *rq, const GPtrArray *lines)
{
    for (unsigned i = 0; lines != NULL && i < lines->len; i++)
        g_ptr_array_add(rq->headers, g_strdup(lines->pdata[i]));
}

Request *tus_request(const DestCtx *ctx, const Upload *up, const char *method, const char *url)
{
    const Tus *tus = tus_of(ctx);
    const bool blocked = tus != NULL && tus->override && (g_str_equal(method, "PATCH") || g_str_equal(method, "DELETE"));
    Request *rq = request_new(blocked ? "POST" : method);
    rq->url = g_strdup(url);
    if (!g_str_equal(method, "OPTIONS"))
        request_header(rq, "Tus-Resumable", "1.0.0");
    if (blocked)
        request_header(rq, "X-HTTP-Method-Override", method);
    if (tus == NULL) {
        copy_headers(rq, up->grant == NULL ? NULL : up->grant->headers);
    } else if (tus_same_origin(url, tus->endpoint)) {
        copy_headers(rq, tus->headers);
        sign_in(ctx, tus, rq);
    }
    return rq;
}

static void append_pair(const Tus *tus, GString *out, const char *name, const char *bytes)
{
    const char *given = metadata_find(tus, name);
    if (given == NULL && bytes == NULL)
        return;
    g_autofree char *text = given != NULL ? NULL : g_utf8_make_valid(bytes, -1);
    g_autofree char *base64 = given != NULL ? g_strdup(given) : g_base64_encode((const guchar *)text, strlen(text));
    g_string_append_printf(out, "%s%s%s%s", out->len > 0 ? "," : "", name, *base64 != '\0' ? " " : "", base64);
}

/* filename, filetype: tusd, tus-js-client, Uppy; relativePath: Uppy, of files in folders. */
char *tus_metadata(const Tus *tus, const Upload *up)
{
    static const char *const own[] = { "filename", "filetype", "relativePath", NULL };
    const char *slash = strrchr(up->key, '/');
    GString *out = g_string_new(NULL);
    append_pair(tus, out, own[0], slash == NULL ? up->key : slash + 1);
    append_pair(tus, out, own[1], up->content_type == NULL ? "application/octet-stream" : up->content_type);
    append_pair(tus, out, own[2], slash == NULL ? NULL : up->key);
    for (unsigned i = 0; i + 1 < tus->metadata->len; i += 2)
        if (!g_strv_contains(own, tus->metadata->pdata[i]))
            append_pair(tus, out, tus->metadata->pdata[i], NULL);
    return g_string_free(out, FALSE);
}
