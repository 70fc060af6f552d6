#include "sigv4.h"

#include <string.h>
#include <time.h>

#define LAST_SECOND INT64_C(253402300799) /* of the year 9999: the timestamp has four digits for it */

const Sigv4Dialect sigv4_aws = { "AWS4-HMAC-SHA256", "AWS4", "aws4_request" };

/* One header or query parameter as it is signed: "name:value" or "name=value", both parts in their canonical spelling. */
typedef struct {
    char *text;
    size_t name_bytes;
    unsigned order; /* as sent */
} Field;

static void field_clear(gpointer field)
{
    g_free(((Field *)field)->text);
}

static GArray *fields_new(void)
{
    GArray *fields = g_array_new(FALSE, FALSE, sizeof(Field));
    g_array_set_clear_func(fields, field_clear);
    return fields;
}

static void fields_add(GArray *fields, GString *text, size_t name_bytes)
{
    const Field field = { g_string_free(text, FALSE), name_bytes, fields->len };
    g_array_append_val(fields, field);
}

static int compare_names(const Field *a, const Field *b)
{
    const int order = memcmp(a->text, b->text, MIN(a->name_bytes, b->name_bytes));
    if (order != 0)
        return order;
    return (a->name_bytes > b->name_bytes) - (a->name_bytes < b->name_bytes);
}

static int by_name_as_sent(gconstpointer a, gconstpointer b)
{
    const Field *x = a, *y = b;
    const int order = compare_names(x, y);
    return order != 0 ? order : (x->order > y->order) - (x->order < y->order);
}

static int by_name_and_value(gconstpointer a, gconstpointer b)
{
    const Field *x = a, *y = b;
    const int order = compare_names(x, y);
    return order != 0 ? order : strcmp(x->text + x->name_bytes, y->text + y->name_bytes);
}

/* Cuts blanks around the value and makes each run inside it one blank, unless they are to stay. */
static void append_trimmed(GString *out, const char *value, unsigned flags)
{
    static const char blanks[] = " \t";
    if (flags & SIGV4_KEEP_BLANKS) {
        g_autofree char *bare = g_strstrip(g_strdup(value));
        g_string_append(out, bare);
        return;
    }
    for (const char *at = value + strspn(value, blanks); *at != '\0';) {
        const size_t word = strcspn(at, blanks);
        g_string_append_len(out, at, (gssize)word);
        at += word;
        at += strspn(at, blanks);
        if (*at != '\0')
            g_string_append_c(out, ' ');
    }
}

static size_t name_length(const char *header)
{
    return strcspn(header, ":");
}

static GArray *header_fields(const GPtrArray *headers, unsigned flags)
{
    GArray *fields = fields_new();
    for (unsigned i = 0; i < headers->len; i++) {
        const char *header = g_ptr_array_index(headers, i);
        const size_t name_bytes = name_length(header);
        GString *text = g_string_sized_new(strlen(header) + 2);
        g_string_append_len(text, header, (gssize)name_bytes);
        g_string_ascii_down(text);
        g_string_append_c(text, ':');
        const char *value = header[name_bytes] == ':' ? header + name_bytes + 1 : "";
        append_trimmed(text, value, flags);
        fields_add(fields, text, name_bytes);
    }
    g_array_sort(fields, by_name_as_sent);
    return fields;
}

static bool repeats(const GArray *fields, unsigned i)
{
    return i > 0 && compare_names(&g_array_index(fields, Field, i - 1), &g_array_index(fields, Field, i)) == 0;
}

static void append_headers(GString *out, const GArray *fields)
{
    for (unsigned i = 0; i < fields->len; i++) {
        const Field *field = &g_array_index(fields, Field, i);
        if (repeats(fields, i)) {
            out->str[out->len - 1] = ','; /* in place of the line's end */
            g_string_append(out, field->text + field->name_bytes + 1);
        } else {
            g_string_append(out, field->text);
        }
        g_string_append_c(out, '\n');
    }
}

static char *joined_names(const GArray *fields)
{
    GString *names = g_string_sized_new(128);
    for (unsigned i = 0; i < fields->len; i++) {
        const Field *field = &g_array_index(fields, Field, i);
        if (repeats(fields, i))
            continue;
        if (names->len > 0)
            g_string_append_c(names, ';');
        g_string_append_len(names, field->text, (gssize)field->name_bytes);
    }
    return g_string_free(names, FALSE);
}

char *sigv4_signed_headers(const GPtrArray *headers)
{
    g_autoptr(GArray) fields = header_fields(headers, 0);
    return joined_names(fields);
}

/* Decodes %XX (a '%' that begins none stands for itself, a '+' too) and encodes it the one canonical way. */
static void append_recoded(GString *out, const char *wire, size_t n)
{
    size_t plain = 0; /* begin of the run without '%' */
    for (size_t i = 0; i + 2 < n; i++) {
        const int high = wire[i] == '%' ? g_ascii_xdigit_value(wire[i + 1]) : -1;
        const int low = high >= 0 ? g_ascii_xdigit_value(wire[i + 2]) : -1;
        if (low < 0)
            continue;
        const char c = (char)(high << 4 | low);
        uri_escape_append(out, wire + plain, i - plain, false);
        uri_escape_append(out, &c, 1, false);
        i += 2;
        plain = i + 1;
    }
    uri_escape_append(out, wire + plain, n - plain, false);
}

static void append_query(GString *out, const char *query, unsigned flags)
{
    g_autoptr(GArray) fields = fields_new();
    for (const char *at = query; at != NULL && *at != '\0';) {
        const size_t n = strcspn(at, "&");
        const char *equals = memchr(at, '=', n);
        const size_t name_wire = equals != NULL ? (size_t)(equals - at) : n;
        if (n > 0) {
            GString *text = g_string_sized_new(2 * n + 2);
            append_recoded(text, at, name_wire);
            const size_t name_bytes = text->len;
            const bool bare = (flags & SIGV4_BARE_NAMES) && (equals == NULL || equals + 1 == at + n);
            if (!bare)
                g_string_append_c(text, '=');
            if (equals != NULL)
                append_recoded(text, equals + 1, n - name_wire - 1);
            fields_add(fields, text, name_bytes);
        }
        at += n + (at[n] == '&');
    }
    g_array_sort(fields, by_name_and_value);
    for (unsigned i = 0; i < fields->len; i++) {
        if (i > 0)
            g_string_append_c(out, '&');
        g_string_append(out, g_array_index(fields, Field, i).text);
    }
}

/* "//a/./b/../c/" -> "/a/c/". Caller frees. */
static char *normalized_path(const char *path)
{
    g_autoptr(GPtrArray) kept = g_ptr_array_new();
    g_auto(GStrv) segments = g_strsplit(path, "/", -1);
    for (char **s = segments; *s != NULL; s++) {
        if (g_str_equal(*s, ".."))
            g_ptr_array_set_size(kept, kept->len > 0 ? (int)kept->len - 1 : 0);
        else if (**s != '\0' && !g_str_equal(*s, "."))
            g_ptr_array_add(kept, *s);
    }
    const bool ends_in_slash = kept->len > 0 && g_str_has_suffix(path, "/");
    g_ptr_array_add(kept, NULL);
    g_autofree char *joined = g_strjoinv("/", (char **)kept->pdata);
    return g_strconcat("/", joined, ends_in_slash ? "/" : NULL, NULL);
}

static void append_path(GString *out, const char *path, unsigned flags)
{
    if (*path == '\0')
        path = "/";
    g_autofree char *normalized = (flags & SIGV4_NORMALIZE_PATH) ? normalized_path(path) : NULL;
    if (normalized != NULL)
        path = normalized;
    if (flags & SIGV4_ENCODE_TWICE)
        uri_escape_append(out, path, strlen(path), true);
    else
        g_string_append(out, path);
}

char *sigv4_canonical_request(const Sigv4Request *rq, char **signed_headers_out)
{
    g_autoptr(GArray) fields = header_fields(rq->headers, rq->flags);
    g_autofree char *names = joined_names(fields);
    GString *out = g_string_sized_new(1024);
    g_string_append(out, rq->method);
    g_string_append_c(out, '\n');
    append_path(out, rq->path, rq->flags);
    g_string_append_c(out, '\n');
    append_query(out, rq->query, rq->flags);
    g_string_append_c(out, '\n');
    append_headers(out, fields);
    g_string_append_c(out, '\n');
    g_string_append(out, rq->names != NULL ? rq->names : names);
    g_string_append_c(out, '\n');
    g_string_append(out, rq->payload);
    if (signed_headers_out != NULL)
        *signed_headers_out = g_steal_pointer(&names);
    return g_string_free(out, FALSE);
}

void sigv4_scope_init(Sigv4Scope *sc, const char *region, const char *service, int64_t now_s)
{
    sigv4_scope_init_of(sc, &sigv4_aws, region, service, now_s);
}

void sigv4_scope_init_of(Sigv4Scope *sc, const Sigv4Dialect *dialect, const char *region, const char *service, int64_t now_s)
{
    const time_t now = (time_t)CLAMP(now_s, 0, LAST_SECOND);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(sc->timestamp, sizeof sc->timestamp, "%Y%m%dT%H%M%SZ", &utc);
    sc->dialect = dialect;
    sc->text = g_strdup_printf("%.8s/%s/%s/%s", sc->timestamp, region, service, dialect->terminator);
}

void sigv4_scope_clear(Sigv4Scope *sc)
{
    g_clear_pointer(&sc->text, g_free);
}

char *sigv4_string_to_sign(const Sigv4Scope *sc, const char *canonical_request)
{
    DigestSet set;
    digest_of(DIGEST_BIT(DIGEST_SHA256), canonical_request, strlen(canonical_request), &set);
    g_autofree char *hash = digest_hex(set.value[DIGEST_SHA256], digest_bytes(DIGEST_SHA256));
    return g_strconcat(sc->dialect->algorithm, "\n", sc->timestamp, "\n", sc->text, "\n", hash, NULL);
}

void sigv4_key_clear(Sigv4Key *cache)
{
    if (cache != NULL)
        digest_wipe(cache, sizeof *cache);
}

static void hmac_text(uint8_t key[32], const char *text, size_t bytes)
{
    digest_hmac_sha256(key, 32, text, bytes, key);
}

static void derive_key(uint8_t key[32], const char *secret_key, const Sigv4Scope *sc, const char *region, const char *service)
{
    char *start = g_strconcat(sc->dialect->key_prefix, secret_key, NULL);
    digest_hmac_sha256(start, strlen(start), sc->timestamp, 8, key);
    digest_wipe(start, strlen(start));
    g_free(start);
    hmac_text(key, region, strlen(region));
    hmac_text(key, service, strlen(service));
    hmac_text(key, sc->dialect->terminator, strlen(sc->dialect->terminator));
}

const uint8_t *sigv4_key(Sigv4Key *cache, const char *secret_key, const Sigv4Scope *sc, const char *region, const char *service)
{
    DigestSet set;
    g_autoptr(Digest) digest = digest_new(DIGEST_BIT(DIGEST_SHA256));
    digest_update(digest, sc->text, strlen(sc->text) + 1); /* its NUL parts scope and secret */
    digest_update(digest, secret_key, strlen(secret_key));
    digest_finish(digest, &set);
    if (!cache->valid || memcmp(cache->made_of, set.value[DIGEST_SHA256], sizeof cache->made_of) != 0) {
        derive_key(cache->key, secret_key, sc, region, service);
        memcpy(cache->made_of, set.value[DIGEST_SHA256], sizeof cache->made_of);
        cache->valid = true;
    }
    return cache->key;
}

void sigv4_signature(const uint8_t key[32], const char *text, char hex_out[65])
{
    uint8_t mac[32];
    digest_hmac_sha256(key, 32, text, strlen(text), mac);
    g_autofree char *hex = digest_hex(mac, sizeof mac);
    memcpy(hex_out, hex, 65);
}

char *sigv4_authorization(const char *access_key, const Sigv4Scope *sc, const char *signed_headers, const char *signature)
{
    return g_strconcat(sc->dialect->algorithm, " Credential=", access_key, "/", sc->text, ", SignedHeaders=", signed_headers,
                       ", Signature=", signature, NULL);
}

static void append_parameter(GString *query, const char *name, const char *value)
{
    if (query->len > 0)
        g_string_append_c(query, '&');
    g_string_append(query, name);
    g_string_append_c(query, '=');
    uri_escape_append(query, value, strlen(value), false);
}

void sigv4_query_append(GString *query, const char *access_key, const Sigv4Scope *sc, unsigned expires_s, const char *signed_headers,
                        const char *session_token)
{
    g_autofree char *credential = g_strconcat(access_key, "/", sc->text, NULL);
    g_autofree char *expires = g_strdup_printf("%u", expires_s);
    append_parameter(query, "X-Amz-Algorithm", sc->dialect->algorithm);
    append_parameter(query, "X-Amz-Credential", credential);
    append_parameter(query, "X-Amz-Date", sc->timestamp);
    append_parameter(query, "X-Amz-Expires", expires);
    append_parameter(query, "X-Amz-SignedHeaders", signed_headers);
    if (session_token != NULL)
        append_parameter(query, "X-Amz-Security-Token", session_token);
}

typedef struct {
    char *before_query; /* scheme, host and path */
    char *host_header;  /* "Host: name", default port dropped */
    char *path;
    const char *query; /* borrowed; NULL = none */
} UrlParts;

static void url_parts_clear(UrlParts *parts)
{
    g_free(parts->before_query);
    g_free(parts->host_header);
    g_free(parts->path);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(UrlParts, url_parts_clear)

static void url_split(const char *url, UrlParts *parts_out)
{
    const char *mark = strstr(url, "://");
    const char *host = mark != NULL ? mark + 3 : url;
    const size_t host_bytes = strcspn(host, "/?#");
    const char *path = host + host_bytes;
    const size_t path_bytes = strcspn(path, "?#");
    parts_out->before_query = g_strndup(url, (size_t)(path + path_bytes - url));
    parts_out->path = g_strndup(path, path_bytes);
    parts_out->query = path[path_bytes] == '?' ? path + path_bytes + 1 : NULL;

    g_autofree char *name = g_strndup(host, host_bytes);
    const char *default_port = g_ascii_strncasecmp(url, "https:", 6) == 0 ? ":443" : ":80";
    if (g_str_has_suffix(name, default_port))
        name[host_bytes - strlen(default_port)] = '\0';
    parts_out->host_header = g_strconcat("Host: ", name, NULL);
}

static bool is_signed(const char *header)
{
    static const char *const left_out[] = { "user-agent",      "expect",        "connection",      "transfer-encoding",
                                            "accept-encoding", "authorization", "x-amzn-trace-id", NULL };
    const size_t n = name_length(header);
    for (unsigned i = 0; left_out[i] != NULL; i++)
        if (strlen(left_out[i]) == n && g_ascii_strncasecmp(left_out[i], header, n) == 0)
            return false;
    return true;
}

/* The host and those of headers (may be NULL) that are signed; borrowed pointers. */
static GPtrArray *headers_to_sign(char *host_header, const GPtrArray *headers)
{
    GPtrArray *chosen = g_ptr_array_new();
    g_ptr_array_add(chosen, host_header);
    for (unsigned i = 0; headers != NULL && i < headers->len; i++)
        if (is_signed(g_ptr_array_index(headers, i)))
            g_ptr_array_add(chosen, g_ptr_array_index(headers, i));
    return chosen;
}

/* Signature over rq as hex. A NULL cache derives the key anew. */
static void sign_canonical(const char *canonical, const Credentials *creds, const Sigv4Scope *sc, const char *region, const char *service,
                           Sigv4Key *cache, char hex_out[65])
{
    Sigv4Key own = { 0 };
    g_autofree char *text = sigv4_string_to_sign(sc, canonical);
    sigv4_signature(sigv4_key(cache != NULL ? cache : &own, creds->secret_key, sc, region, service), text, hex_out);
    sigv4_key_clear(&own);
}

void sigv4_sign(Request *rq, const Credentials *creds, const char *region, const char *service, int64_t now_s, const char *payload_line,
                Sigv4Key *cache)
{
    g_auto(Sigv4Scope) sc = { 0 };
    g_auto(UrlParts) url = { 0 };
    sigv4_scope_init(&sc, region, service, now_s);
    url_split(rq->url, &url);
    request_header(rq, "x-amz-date", sc.timestamp);
    request_header(rq, "x-amz-content-sha256", payload_line);
    if (creds->session_token != NULL)
        request_header(rq, "x-amz-security-token", creds->session_token);

    g_autoptr(GPtrArray) headers = headers_to_sign(url.host_header, rq->headers);
    const Sigv4Request signed_rq = {
        .method = rq->method, .path = url.path, .query = url.query, .headers = headers, .payload = payload_line
    };
    g_autofree char *names = NULL;
    g_autofree char *canonical = sigv4_canonical_request(&signed_rq, &names);
    char signature[65];
    sign_canonical(canonical, creds, &sc, region, service, cache, signature);
    g_autofree char *authorization = sigv4_authorization(creds->access_key, &sc, names, signature);
    request_header(rq, "Authorization", authorization);
}

static char *payload_of_headers(const GPtrArray *headers)
{
    static const char name[] = "x-amz-content-sha256:";
    for (unsigned i = 0; headers != NULL && i < headers->len; i++) {
        const char *header = g_ptr_array_index(headers, i);
        if (g_ascii_strncasecmp(header, name, strlen(name)) == 0)
            return g_strstrip(g_strdup(header + strlen(name)));
    }
    return g_strdup(SIGV4_UNSIGNED);
}

char *sigv4_presign(const char *method, const char *url, const GPtrArray *headers, const Credentials *creds, const char *region,
                    const char *service, int64_t now_s, unsigned expires_s, Sigv4Key *cache)
{
    g_auto(Sigv4Scope) sc = { 0 };
    g_auto(UrlParts) parts = { 0 };
    sigv4_scope_init(&sc, region, service, now_s);
    url_split(url, &parts);
    g_autoptr(GPtrArray) chosen = headers_to_sign(parts.host_header, headers);
    g_autofree char *names = sigv4_signed_headers(chosen);
    g_autofree char *payload = payload_of_headers(headers);
    g_autoptr(GString) query = g_string_new(parts.query);
    sigv4_query_append(query, creds->access_key, &sc, CLAMP(expires_s, 1, SIGV4_EXPIRES_MAX_S), names, creds->session_token);

    const Sigv4Request rq = { .method = method, .path = parts.path, .query = query->str, .headers = chosen, .payload = payload };
    g_autofree char *canonical = sigv4_canonical_request(&rq, NULL);
    char signature[65];
    sign_canonical(canonical, creds, &sc, region, service, cache, signature);
    append_parameter(query, "X-Amz-Signature", signature);
    return g_strconcat(parts.before_query, "?", query->str, NULL);
}
