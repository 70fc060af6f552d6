#include <string.h>

#include "dav_priv.h"

enum { NAME_KEPT_BYTES = 160 }; /* of a long file name, so that the temporary one is not too long for the server's disk */

const char *const dav_shared[] = { "if-exists", "checksum", "user", "secret", "public-url", "part-size", "allow-http", NULL };

const HoistOpt dav_opts[] = {
    { "dav-auth", 0, HOIST_OPT_CHOICE, "KIND", "auto", "auto|basic|digest|bearer", "how to sign in to a WebDAV server", false, true },
    { "nextcloud", 0, HOIST_OPT_CHOICE, "WHEN", "auto", "auto|on|off", "the server is a Nextcloud or ownCloud (auto: by its address)",
      false, true },
    { NULL, 0, HOIST_OPT_TEXT, NULL, NULL, NULL, NULL, false, false },
};

const DestSecret dav_secrets[] = {
    { "password", "HOIST_DAV_PASSWORD", true, "password of --user; for Nextcloud an app password" },
    { "token", "HOIST_DAV_TOKEN", true, "bearer token, in place of user and password" },
    { NULL, NULL, false, NULL },
};

/* ---- the address */

static void append_segments(GString *path, char **segments, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        g_string_append_c(path, '/');
        uri_escape_append(path, segments[i], strlen(segments[i]), false);
    }
}

static char *joined(char **segments, unsigned n, const char *tail)
{
    GString *path = g_string_new(NULL);
    append_segments(path, segments, n);
    return g_string_free(g_string_append(path, tail), FALSE);
}

/* Segments of an encoded path, decoded once; GLib has taken out . and .. already. NULL when one of them holds a slash of its own. */
static char **decoded_segments(const char *path)
{
    g_auto(GStrv) raw = g_strsplit(path, "/", -1);
    g_autoptr(GPtrArray) segments = g_ptr_array_new_with_free_func(g_free);
    for (unsigned i = 0; raw[i] != NULL; i++) {
        if (*raw[i] == '\0')
            continue;
        char *text = g_uri_unescape_string(raw[i], "/");
        if (text == NULL)
            return NULL;
        g_ptr_array_add(segments, text);
    }
    g_ptr_array_add(segments, NULL);
    g_ptr_array_set_free_func(segments, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&segments), FALSE);
}

/* /remote.php/dav/files/USER/..., /remote.php/webdav/..., /public.php/dav/files/TOKEN/..., /public.php/webdav/... */
static void read_nextcloud_path(Dav *dav, char **segments, unsigned n)
{
    unsigned at = 0;
    while (at < n && !g_str_equal(segments[at], "remote.php") && !g_str_equal(segments[at], "public.php"))
        at++;
    const char *root = at + 1 < n ? segments[at + 1] : "";
    const bool is_new = g_str_equal(root, "dav");
    if (!is_new && !g_str_equal(root, "webdav"))
        return;
    dav->nextcloud = true;
    dav->share_link = g_str_equal(segments[at], "public.php");
    const char *named = is_new && at + 3 < n && g_str_equal(segments[at + 2], "files") ? segments[at + 3] : NULL;
    if (dav->user == NULL)
        dav->user = g_strdup(named);
    const char *owner = is_new ? named : dav->user;
    if (dav->share_link || owner == NULL)
        return;
    GString *tail = g_string_new("/dav/uploads/");
    uri_escape_append(tail, owner, strlen(owner), false);
    dav->chunks = joined(segments, at + 1, tail->str);
    g_string_free(tail, TRUE);
}

static bool read_address(Dav *dav, const DestConf *conf, GError **error)
{
    g_autoptr(GUri) uri = g_uri_parse(conf->endpoint, G_URI_FLAGS_HAS_PASSWORD | G_URI_FLAGS_ENCODED, NULL);
    g_auto(GStrv) segments = uri == NULL ? NULL : decoded_segments(g_uri_get_path(uri));
    if (segments == NULL || g_uri_get_query(uri) != NULL || g_uri_get_fragment(uri) != NULL) {
        fault_set(error, FAULT_USAGE, "a WebDAV address ends with its path: no ? and no #, and no %%2F in it");
        return false;
    }
    const char *host = g_uri_get_host(uri);
    const bool is_ip6 = strchr(host, ':') != NULL;
    g_autofree char *port = g_uri_get_port(uri) < 0 ? g_strdup("") : g_strdup_printf(":%d", g_uri_get_port(uri));
    dav->origin = g_strdup_printf("%s://%s%s%s%s", g_uri_get_scheme(uri), is_ip6 ? "[" : "", host, is_ip6 ? "]" : "", port);
    dav->plain = dest_in_the_clear(conf->endpoint) && g_strcmp0(dest_conf_option(conf, "allow-http"), "true") != 0;
    dav->path_segments = g_strv_length(segments);
    dav->path = joined(segments, dav->path_segments, "");
    const char *when = dest_conf_option(conf, "nextcloud");
    if (g_strcmp0(when, "off") != 0)
        read_nextcloud_path(dav, segments, dav->path_segments);
    dav->nextcloud |= g_strcmp0(when, "on") == 0;
    return true;
}

/* ---- options */

static bool read_auth(Dav *dav, const DestConf *conf, GError **error)
{
    static const char *const words[] = {
        [DAV_AUTH_BASIC] = "basic", [DAV_AUTH_DIGEST] = "digest", [DAV_AUTH_BEARER] = "bearer", [DAV_AUTH_AUTO] = "auto"
    };
    const char *wanted = dest_conf_option(conf, "dav-auth");
    dav->auth = DAV_AUTH_AUTO;
    for (unsigned i = DAV_AUTH_BASIC; i < G_N_ELEMENTS(words); i++)
        if (g_strcmp0(wanted, words[i]) == 0)
            dav->auth = (DavAuth)i;
    if (dav->user != NULL && (*dav->user == '\0' || strchr(dav->user, ':') != NULL || strpbrk(dav->user, "\r\n") != NULL)) {
        fault_set(error, FAULT_USAGE, "--user: a name to sign in with is not empty and holds no colon");
        return false;
    }
    if (dav->plain && dav->auth == DAV_AUTH_AUTO && dav->user != NULL) {
        fault_set(error, FAULT_USAGE,
                  "%s is not encrypted: the password would go over the network for all to read; use https, "
                  "or allow-http = true, or choose it yourself with --dav-auth basic or digest",
                  dav->origin);
        return false;
    }
    return true;
}

/* ownCloud compares what is sent; other servers keep it for those who fetch the file, or pass over it. */
static bool read_checksum(Dav *dav, const DestConf *conf, GError **error)
{
    const char *kind = dest_conf_option(conf, "checksum");
    const bool is_auto = kind == NULL || g_str_equal(kind, "auto");
    dav->digest = DIGEST_SHA1;
    dav->checks = is_auto ? dav->nextcloud : !g_str_equal(kind, "none");
    if (is_auto || !dav->checks || (digest_by_name(kind, &dav->digest) && !digest_is_crc(dav->digest)))
        return true;
    fault_set(error, FAULT_USAGE, "--checksum %s: WebDAV servers know md5 and sha256", kind);
    return false;
}

void *dav_open(const DestConf *conf, GError **error)
{
    Dav *dav = g_new0(Dav, 1);
    dav->collections = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    dav->user = g_strdup(dest_conf_option(conf, "user"));
    const char *exists = dest_conf_option(conf, "if-exists");
    dav->only_new = g_strcmp0(exists, "skip") == 0 || g_strcmp0(exists, "fail") == 0;
    if (read_address(dav, conf, error) && read_auth(dav, conf, error) && read_checksum(dav, conf, error))
        return dav;
    dav_close(dav);
    return NULL;
}

void dav_close(void *priv)
{
    Dav *dav = priv;
    if (dav == NULL)
        return;
    g_free(dav->origin);
    g_free(dav->path);
    g_free(dav->chunks);
    g_free(dav->user);
    g_hash_table_unref(dav->collections);
    g_free(dav);
}

/* ---- paths */

bool dav_key_valid(const char *key, GError **error)
{
    g_auto(GStrv) segments = g_strsplit(key, "/", -1);
    for (unsigned i = 0; segments[i] != NULL; i++)
        if (*segments[i] == '\0' || g_str_equal(segments[i], ".") || g_str_equal(segments[i], "..")) {
            fault_set(error, FAULT_KEY, "a WebDAV path has no empty segment, no . and no .., and a file's does not end in /");
            return false;
        }
    if (segments[0] == NULL)
        fault_set(error, FAULT_KEY, "the key is empty");
    return segments[0] != NULL;
}

char *dav_object_path(const Dav *dav, const char *key)
{
    GString *path = g_string_new(dav->path);
    g_string_append_c(path, '/');
    uri_escape_append(path, key, strlen(key), true);
    return g_string_free(path, FALSE);
}

char *dav_collection_path(const Dav *dav, const char *key, unsigned level)
{
    char *path = dav_object_path(dav, key);
    char *slash = strrchr(path, '/');
    for (; level > 0 && slash != NULL; level--) {
        *slash = '\0';
        slash = strrchr(path, '/');
    }
    if (slash == NULL) {
        g_free(path);
        return NULL;
    }
    slash[1] = '\0';
    return path;
}

static char *temporary_path(const Dav *dav, const char *key, const char *id)
{
    const char *slash = strrchr(key, '/');
    const char *name = slash == NULL ? key : slash + 1;
    size_t kept = strlen(name);
    if (kept > NAME_KEPT_BYTES)
        for (kept = NAME_KEPT_BYTES; kept > 0 && ((unsigned char)name[kept] & 0xc0) == 0x80;)
            kept--; /* not in the middle of a character */
    g_autofree char *other = g_strdup_printf("%.*s.%.*s.hoist-%s", (int)(name - key), key, (int)kept, name, id);
    return dav_object_path(dav, other);
}

char *dav_staging_path(const Dav *dav, const Upload *up)
{
    const char *id = up->upload_id != NULL ? up->upload_id : up->nonce;
    /* what is left to abort knows its id alone; a Nextcloud never gets temporary names */
    return dav->chunks != NULL ? g_strdup_printf("%s/hoist-%s/", dav->chunks, id) : temporary_path(dav, up->key, id);
}

/* ---- sign-in */

DavAuth dav_auth_now(const DestCtx *ctx)
{
    const Dav *dav = dav_of(ctx);
    if (dav->auth != DAV_AUTH_AUTO)
        return dav->auth;
    if (credentials_secret(ctx->creds, "token") != NULL)
        return DAV_AUTH_BEARER;
    if (dav->user == NULL)
        return DAV_AUTH_NONE;
    return dest_learned_fact(ctx->learned, DAV_FACT_AUTH) != NULL ? DAV_AUTH_DIGEST : DAV_AUTH_BASIC;
}

static void add_authorization(Request *rq, const char *scheme, char *value /* taken */)
{
    char *text = g_strdup_printf("%s %s", scheme, value);
    request_header(rq, "Authorization", text);
    secret_free(text);
    secret_free(value);
}

static bool sign_in_bearer(const DestCtx *ctx, Request *rq, GError **error)
{
    const char *token = credentials_secret(ctx->creds, "token");
    const Dav *dav = dav_of(ctx);
    if (token == NULL) {
        fault_set(error, FAULT_NO_CREDENTIALS, "there is no bearer token: set HOIST_DAV_TOKEN, or say --secret token=SOURCE");
        return false;
    }
    if (dav->plain && dav->auth == DAV_AUTH_AUTO) {
        fault_set(error, FAULT_USAGE,
                  "%s is not encrypted: the token would go over the network for all to read; use https, "
                  "or allow-http = true, or choose it yourself with --dav-auth bearer",
                  dav->origin);
        return false;
    }
    add_authorization(rq, "Bearer", g_strdup(token));
    return true;
}

static bool sign_in(const DestCtx *ctx, Request *rq, GError **error)
{
    const Dav *dav = dav_of(ctx);
    const DavAuth auth = dav_auth_now(ctx);
    const char *password = credentials_secret(ctx->creds, "password");
    if (auth == DAV_AUTH_NONE)
        return true;
    if (auth == DAV_AUTH_BEARER)
        return sign_in_bearer(ctx, rq, error);
    if (dav->user == NULL || (password == NULL && !dav->share_link)) {
        fault_set(error, FAULT_NO_CREDENTIALS,
                  dav->user == NULL ? "no name to sign in with: say --user NAME"
                                    : "there is no password: set HOIST_DAV_PASSWORD, or say --secret password=SOURCE");
        return false;
    }
    if (auth == DAV_AUTH_DIGEST) {
        rq->user = g_strdup(dav->user);
        rq->password = g_strdup(password == NULL ? "" : password);
        return true;
    }
    char *pair = g_strdup_printf("%s:%s", dav->user, password == NULL ? "" : password);
    add_authorization(rq, "Basic", g_base64_encode((const guchar *)pair, strlen(pair)));
    secret_free(pair);
    return true;
}

Request *dav_request(const DestCtx *ctx, const char *method, const char *path, GError **error)
{
    const Dav *dav = dav_of(ctx);
    g_autoptr(Request) rq = request_new(method);
    rq->url = g_strconcat(dav->origin, path, NULL);
    if (dav->share_link)
        request_header(rq, "X-Requested-With", "XMLHttpRequest");
    return sign_in(ctx, rq, error) ? g_steal_pointer(&rq) : NULL;
}
