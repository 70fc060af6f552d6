#include <stdlib.h>
#include <string.h>

#include "core/dest/sigv4_chunked.h"
#include "vectors.h"

/* What all kinds share, read once per case. */
typedef struct {
    Credentials creds; /* borrowed strings */
    const char *region, *service;
    int64_t time_s;
    Sigv4Scope scope;
    Sigv4Key cache;
    const uint8_t *key;
    JsonObject *expect;
} Signer;

static void signer_clear(Signer *sg)
{
    sigv4_scope_clear(&sg->scope);
    sigv4_key_clear(&sg->cache);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Signer, signer_clear)

static void signer_init(const VectorCase *vc, Signer *sg)
{
    JsonObject *creds = vectors_object(vc->json, "credentials");
    sg->creds.access_key = (char *)vectors_str(creds, "access_key");
    sg->creds.secret_key = (char *)vectors_str(creds, "secret_key");
    sg->creds.session_token = (char *)vectors_str(creds, "session_token");
    sg->region = vectors_str(vc->json, "region");
    sg->service = vectors_str(vc->json, "service");
    g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(vectors_str(vc->json, "timestamp"), NULL);
    g_assert_nonnull(time);
    sg->time_s = g_date_time_to_unix(time);
    sigv4_scope_init(&sg->scope, sg->region, sg->service, sg->time_s);
    sg->key = sigv4_key(&sg->cache, sg->creds.secret_key, &sg->scope, sg->region, sg->service);
    sg->expect = vectors_object(vc->json, "expect");
    g_assert_nonnull(sg->expect);

    const char *key_hex = vectors_str(sg->expect, "signing_key_hex");
    g_autofree char *hex = digest_hex(sg->key, 32);
    if (key_hex != NULL)
        vectors_str_equal(vc, "signing key", hex, key_hex);
}

static char *sha256_hex(const void *data, size_t bytes)
{
    DigestSet set;
    digest_of(DIGEST_BIT(DIGEST_SHA256), data, bytes, &set);
    return digest_hex(set.value[DIGEST_SHA256], 32);
}

/* ---- requests ---- */

static const char *pair_part(JsonArray *pairs, unsigned i, unsigned part)
{
    return json_array_get_string_element(json_array_get_array_element(pairs, i), part);
}

static char *wire_query(JsonObject *request)
{
    GString *query = g_string_new(NULL);
    JsonArray *pairs = vectors_array(request, "query");
    for (unsigned i = 0; pairs != NULL && i < json_array_get_length(pairs); i++) {
        const char *name = pair_part(pairs, i, 0), *value = pair_part(pairs, i, 1);
        if (i > 0)
            g_string_append_c(query, '&');
        uri_escape_append(query, name, strlen(name), false);
        if (value != NULL && *value != '\0') { /* "?uploads" and "?uploads=" are the same parameter */
            g_string_append_c(query, '=');
            uri_escape_append(query, value, strlen(value), false);
        }
    }
    return g_string_free(query, FALSE);
}

/* What signing adds by itself: to a request, and to a presigned URL (whose payload line may come from a header of the caller). */
static const char *const added_to_request[] = { "host", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token", NULL };
static const char *const added_to_url[] = { "host", "x-amz-date", "x-amz-security-token", NULL };
static const char *const added_none[] = { NULL };

/* Headers of the case as "Name: value", without those of the list. */
static GPtrArray *case_headers(JsonObject *request, const char *const *without)
{
    GPtrArray *headers = g_ptr_array_new_with_free_func(g_free);
    JsonArray *pairs = vectors_array(request, "headers");
    for (unsigned i = 0; i < json_array_get_length(pairs); i++) {
        g_autofree char *lower = g_ascii_strdown(pair_part(pairs, i, 0), -1);
        if (!g_strv_contains(without, lower))
            g_ptr_array_add(headers, g_strconcat(pair_part(pairs, i, 0), ": ", pair_part(pairs, i, 1), NULL));
    }
    return headers;
}

static void add_header(GPtrArray *headers, const char *name, const char *value)
{
    g_ptr_array_add(headers, g_strconcat(name, ":", value, NULL));
}

/* Drops the headers whose names are not in the ';' list. */
static void keep_only(GPtrArray *headers, const char *names)
{
    g_auto(GStrv) wanted = g_strsplit(names, ";", -1);
    for (unsigned i = headers->len; i-- > 0;) {
        g_auto(GStrv) parts = g_strsplit(g_ptr_array_index(headers, i), ":", 2);
        g_autofree char *lower = g_ascii_strdown(parts[0], -1);
        if (!g_strv_contains((const char *const *)wanted, lower))
            g_ptr_array_remove_index(headers, i);
    }
}

/* Canonical request, string to sign and signature of rq against the case; the signature goes out. */
static void check_steps(const VectorCase *vc, const Signer *sg, const Sigv4Request *rq, const char *signature_member, char hex_out[65])
{
    g_autofree char *names = NULL;
    g_autofree char *canonical = sigv4_canonical_request(rq, &names);
    vectors_str_equal(vc, "canonical request", canonical, vectors_str(sg->expect, "canonical_request"));
    const char *signed_headers = vectors_str(sg->expect, "signed_headers");
    if (signed_headers != NULL)
        vectors_str_equal(vc, "signed headers", names, signed_headers);

    g_autofree char *text = sigv4_string_to_sign(&sg->scope, canonical);
    vectors_str_equal(vc, "string to sign", text, vectors_str(sg->expect, "string_to_sign"));
    sigv4_signature(sg->key, text, hex_out);
    vectors_str_equal(vc, "signature", hex_out, vectors_str(sg->expect, signature_member));

    JsonObject *published = vectors_object(vc->json, "published");
    if (published != NULL) {
        vectors_str_equal(vc, "published signature", hex_out, vectors_str(published, "signature"));
        vectors_str_equal(vc, "published hash", strrchr(text, '\n') + 1, vectors_str(published, "canonical_request_sha256"));
    }
}

static const char *payload_line(const VectorCase *vc, const Signer *sg)
{
    const char *line = vectors_str(vc->json, "payload_hash_line");
    if (line == NULL)
        line = vectors_str(sg->expect, "x_amz_content_sha256");
    if (line == NULL)
        line = vectors_str(vc->json, "payload_mode");
    return line;
}

/* A signed body's hash is the payload line, and a key that the case names is spelled in the path as we would spell it. */
static void check_inputs(const VectorCase *vc, JsonObject *request, const char *payload)
{
    const char *body = vectors_str(request, "body_base64");
    if (body != NULL && strlen(payload) == 64) {
        gsize n = 0;
        g_autofree guchar *bytes = g_base64_decode(body, &n);
        g_autofree char *hash = sha256_hex(bytes, n);
        vectors_str_equal(vc, "hash of the body", hash, payload);
    }
    const char *key = vectors_str(vc->json, "key");
    if (key != NULL) {
        g_autoptr(GString) escaped = g_string_new("/");
        uri_escape_append(escaped, key, strlen(key), true);
        if (!g_str_has_suffix(vectors_str(request, "path"), escaped->str))
            vectors_fail(vc, "the path does not end in %s", escaped->str);
    }
}

static char *case_url(JsonObject *request)
{
    g_autofree char *query = wire_query(request);
    const char *scheme = vectors_str(request, "scheme");
    return g_strconcat(scheme ? scheme : "https", "://", vectors_str(request, "host"), vectors_str(request, "path"), *query ? "?" : "",
                       query, NULL);
}

/* ---- header ---- */

static const char *request_value(const Request *rq, const char *name)
{
    g_autofree char *start = g_strconcat(name, ": ", NULL);
    for (unsigned i = 0; i < rq->headers->len; i++)
        if (g_str_has_prefix(g_ptr_array_index(rq->headers, i), start))
            return (const char *)g_ptr_array_index(rq->headers, i) + strlen(start);
    return NULL;
}

static void check_sign(const VectorCase *vc, Signer *sg, JsonObject *request, const char *payload)
{
    g_autoptr(Request) rq = request_new(vectors_str(request, "method"));
    rq->url = case_url(request);
    g_autoptr(GPtrArray) own = case_headers(request, added_to_request);
    for (unsigned i = 0; i < own->len; i++) {
        g_auto(GStrv) parts = g_strsplit(g_ptr_array_index(own, i), ": ", 2);
        request_header(rq, parts[0], parts[1]);
    }
    sigv4_sign(rq, &sg->creds, sg->region, sg->service, sg->time_s, payload, &sg->cache);
    vectors_str_equal(vc, "Authorization", request_value(rq, "Authorization"), vectors_str(sg->expect, "authorization"));
    vectors_str_equal(vc, "x-amz-date", request_value(rq, "x-amz-date"), sg->scope.timestamp);
    vectors_str_equal(vc, "x-amz-content-sha256", request_value(rq, "x-amz-content-sha256"), payload);
    vectors_str_equal(vc, "x-amz-security-token", request_value(rq, "x-amz-security-token"), sg->creds.session_token);
}

static void run_header(const VectorCase *vc)
{
    g_auto(Signer) sg = { 0 };
    signer_init(vc, &sg);
    JsonObject *request = vectors_object(vc->json, "request");
    const char *payload = payload_line(vc, &sg);
    check_inputs(vc, request, payload);

    g_autoptr(GPtrArray) headers = case_headers(request, added_to_request);
    add_header(headers, "Host", vectors_str(request, "host"));
    add_header(headers, "X-Amz-Date", sg.scope.timestamp);
    add_header(headers, "X-Amz-Content-Sha256", payload);
    if (sg.creds.session_token != NULL)
        add_header(headers, "X-Amz-Security-Token", sg.creds.session_token);
    keep_only(headers, vectors_str(sg.expect, "signed_headers"));

    g_autofree char *query = wire_query(request);
    const Sigv4Request rq = { .method = vectors_str(request, "method"),
                              .path = vectors_str(request, "path"),
                              .query = query,
                              .headers = headers,
                              .payload = payload };
    char signature[65];
    check_steps(vc, &sg, &rq, "signature", signature);
    check_sign(vc, &sg, request, payload);
}

/* ---- presigned URLs ---- */

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What stands before '?', and the parameters in alphabetical order: two URLs that mean the same give the same text. */
static char *sorted_url(const char *url)
{
    const size_t path_bytes = strcspn(url, "?");
    g_auto(GStrv) parameters = g_strsplit(url[path_bytes] == '?' ? url + path_bytes + 1 : "", "&", -1);
    for (char **p = parameters; *p != NULL; p++)
        if (g_str_has_suffix(*p, "="))
            (*p)[strlen(*p) - 1] = '\0';
    qsort(parameters, g_strv_length(parameters), sizeof *parameters, compare_strings);
    g_autofree char *joined = g_strjoinv("&", parameters);
    return g_strdup_printf("%.*s?%s", (int)path_bytes, url, joined);
}

static void check_same_url(const VectorCase *vc, const char *actual, const char *expected)
{
    g_autofree char *a = sorted_url(actual);
    g_autofree char *b = sorted_url(expected);
    vectors_str_equal(vc, "URL", a, b);
}

static unsigned case_expires(const VectorCase *vc)
{
    return (unsigned)json_object_get_int_member(vc->json, "expires");
}

static void run_presign(const VectorCase *vc)
{
    g_auto(Signer) sg = { 0 };
    signer_init(vc, &sg);
    JsonObject *request = vectors_object(vc->json, "request");
    const char *method = vectors_str(request, "method");
    g_autoptr(GPtrArray) own = case_headers(request, added_to_url);
    g_autofree char *plain = case_url(request);
    check_inputs(vc, request, payload_line(vc, &sg));

    g_autofree char *url =
        sigv4_presign(method, plain, own->len > 0 ? own : NULL, &sg.creds, sg.region, sg.service, sg.time_s, case_expires(vc), &sg.cache);
    const char *expected = vectors_str(sg.expect, "url");
    check_same_url(vc, url, expected != NULL ? expected : vectors_str(sg.expect, "url_as_botocore_orders_it"));

    add_header(own, "host", vectors_str(request, "host"));
    g_autofree char *names = sigv4_signed_headers(own);
    g_autofree char *query = wire_query(request);
    g_autoptr(GString) full = g_string_new(query);
    sigv4_query_append(full, sg.creds.access_key, &sg.scope, case_expires(vc), names, sg.creds.session_token);
    const Sigv4Request rq = {
        .method = method, .path = vectors_str(request, "path"), .query = full->str, .headers = own, .payload = payload_line(vc, &sg)
    };
    char signature[65];
    check_steps(vc, &sg, &rq, "signature", signature);
}

/* ---- the signing test suite ---- */

typedef struct {
    char *method, *path, *query;
    GPtrArray *headers;
    const char *body; /* borrowed */
} RawRequest;

static void raw_request_clear(RawRequest *raw)
{
    g_free(raw->method);
    g_free(raw->path);
    g_free(raw->query);
    g_clear_pointer(&raw->headers, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RawRequest, raw_request_clear)

/* "METHOD target HTTP/1.1", headers (a line that begins with a blank goes on with the one before), empty line, body. */
static void raw_request_init(RawRequest *raw, const char *text)
{
    const char *end = strstr(text, "\n\n");
    raw->body = end != NULL ? end + 2 : "";
    g_autofree char *head = end != NULL ? g_strndup(text, (size_t)(end - text)) : g_strdup(text);
    g_auto(GStrv) lines = g_strsplit(head, "\n", -1);
    const char *target = strchr(lines[0], ' ') + 1;
    const char *version = strrchr(lines[0], ' ');
    g_autofree char *wire = g_strndup(target, (size_t)(version - target));
    raw->method = g_strndup(lines[0], (size_t)(target - 1 - lines[0]));
    raw->path = g_strndup(wire, strcspn(wire, "?"));
    raw->query = g_strdup(strchr(wire, '?') != NULL ? strchr(wire, '?') + 1 : "");
    raw->headers = g_ptr_array_new_with_free_func(g_free);
    for (char **line = lines + 1; *line != NULL; line++) {
        if ((*line)[0] == ' ') {
            char **last = (char **)&g_ptr_array_index(raw->headers, raw->headers->len - 1);
            char *longer = g_strconcat(*last, *line, NULL);
            g_free(*last);
            *last = longer;
        } else if ((*line)[0] != '\0') {
            g_ptr_array_add(raw->headers, g_strdup(*line));
        }
    }
}

static unsigned suite_flags(const VectorCase *vc)
{
    return (json_object_get_boolean_member(vc->json, "double_encode_path") ? SIGV4_ENCODE_TWICE : 0) |
           (json_object_get_boolean_member(vc->json, "normalize_path") ? SIGV4_NORMALIZE_PATH : 0);
}

static void check_contains(const VectorCase *vc, const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        vectors_fail(vc, "not in the signed request: %s", part);
}

static void run_suite_header(const VectorCase *vc)
{
    g_auto(Signer) sg = { 0 };
    signer_init(vc, &sg);
    g_auto(RawRequest) raw = { 0 };
    raw_request_init(&raw, vectors_str(vc->json, "raw_request"));
    g_autofree char *hash = sha256_hex(raw.body, strlen(raw.body));
    add_header(raw.headers, "X-Amz-Date", sg.scope.timestamp);
    if (json_object_get_boolean_member(vc->json, "sign_body"))
        add_header(raw.headers, "x-amz-content-sha256", hash);
    if (sg.creds.session_token != NULL && !json_object_get_boolean_member(vc->json, "omit_session_token"))
        add_header(raw.headers, "X-Amz-Security-Token", sg.creds.session_token);

    const Sigv4Request rq = {
        .method = raw.method, .path = raw.path, .query = raw.query, .headers = raw.headers, .payload = hash, .flags = suite_flags(vc)
    };
    char signature[65];
    check_steps(vc, &sg, &rq, "signature", signature);
    g_autofree char *names = sigv4_signed_headers(raw.headers);
    g_autofree char *authorization = sigv4_authorization(sg.creds.access_key, &sg.scope, names, signature);
    check_contains(vc, vectors_str(sg.expect, "signed_request"), authorization);
}

static void run_suite_query(const VectorCase *vc)
{
    g_auto(Signer) sg = { 0 };
    signer_init(vc, &sg);
    g_auto(RawRequest) raw = { 0 };
    raw_request_init(&raw, vectors_str(vc->json, "raw_request"));
    const char *token = sg.creds.session_token;
    const bool token_later = json_object_get_boolean_member(vc->json, "omit_session_token");
    g_autofree char *hash = sha256_hex(raw.body, strlen(raw.body));
    g_autofree char *names = sigv4_signed_headers(raw.headers);
    g_autoptr(GString) query = g_string_new(raw.query);
    sigv4_query_append(query, sg.creds.access_key, &sg.scope, case_expires(vc), names, token_later ? NULL : token);

    const Sigv4Request rq = {
        .method = raw.method, .path = raw.path, .query = query->str, .headers = raw.headers, .payload = hash, .flags = suite_flags(vc)
    };
    char signature[65];
    check_steps(vc, &sg, &rq, "signature", signature);

    if (token_later && token != NULL) {
        g_string_append(query, "&X-Amz-Security-Token=");
        uri_escape_append(query, token, strlen(token), false);
    }
    g_autofree char *url = g_strconcat(raw.path, "?", query->str, "&X-Amz-Signature=", signature, NULL);
    g_auto(RawRequest) signed_raw = { 0 };
    raw_request_init(&signed_raw, vectors_str(sg.expect, "signed_request"));
    g_autofree char *signed_url = g_strconcat(signed_raw.path, "?", signed_raw.query, NULL);
    /* The suite spells a query in UTF-8 raw on the wire in both requests, so plain text compares. */
    check_same_url(vc, url, signed_url);
}

/* ---- POST policies ---- */

static void run_post(const VectorCase *vc)
{
    g_auto(Signer) sg = { 0 };
    signer_init(vc, &sg);
    const char *policy = vectors_str(vc->json, "policy_text");
    g_autofree char *base64 = g_base64_encode((const guchar *)policy, strlen(policy));
    vectors_str_equal(vc, "policy", base64, vectors_str(sg.expect, "policy_base64"));
    vectors_str_equal(vc, "string to sign", base64, vectors_str(sg.expect, "string_to_sign"));
    char signature[65];
    sigv4_signature(sg.key, base64, signature);
    vectors_str_equal(vc, "signature", signature, vectors_str(sg.expect, "signature"));

    JsonObject *published = vectors_object(vc->json, "published");
    if (published != NULL)
        vectors_str_equal(vc, "published signature", signature, vectors_str(published, "signature"));
    JsonObject *fields = vectors_object(sg.expect, "fields");
    if (fields != NULL) {
        g_autofree char *credential = g_strconcat(sg.creds.access_key, "/", sg.scope.text, NULL);
        vectors_str_equal(vc, "x-amz-credential", credential, vectors_str(fields, "x-amz-credential"));
        vectors_str_equal(vc, "x-amz-date", sg.scope.timestamp, vectors_str(fields, "x-amz-date"));
        vectors_str_equal(vc, "x-amz-signature", signature, vectors_str(fields, "x-amz-signature"));
        vectors_str_equal(vc, "x-amz-security-token", sg.creds.session_token, vectors_str(fields, "x-amz-security-token"));
    }
}

/* ---- chunked bodies ---- */

static GBytes *generated_body(const VectorCase *vc)
{
    JsonObject *generator = vectors_object(vc->json, "body_generator");
    const char *pattern = vectors_str(generator, "pattern");
    if (pattern == NULL)
        return vectors_input(generator);
    const size_t n = (size_t)json_object_get_int_member(generator, "length");
    const bool letters = g_str_equal(pattern, "65536+1024 bytes of the letter a");
    if (!letters && !g_str_equal(pattern, "i*7+3 mod 256")) {
        vectors_fail(vc, "unknown pattern of a body: %s", pattern);
        return NULL;
    }
    uint8_t *bytes = g_malloc(n + 1);
    for (size_t i = 0; i < n; i++)
        bytes[i] = letters ? 'a' : (uint8_t)(i * 7 + 3);
    return g_bytes_new_take(bytes, n);
}

/* The body's checksum as the trailer x-amz-checksum-NAME wants it; caller frees. */
static char *trailer_value(const VectorCase *vc, const char *name, GBytes *body)
{
    static const char start[] = "x-amz-checksum-";
    DigestKind kind;
    if (!g_str_has_prefix(name, start) || !digest_by_name(name + strlen(start), &kind)) {
        vectors_fail(vc, "unknown trailer %s", name);
        return g_strdup("");
    }
    DigestSet set;
    digest_of(DIGEST_BIT(kind), g_bytes_get_data(body, NULL), g_bytes_get_size(body), &set);
    return digest_base64(&set, kind);
}

static void check_encoded(const VectorCase *vc, JsonObject *expect, const GByteArray *wire, uint64_t predicted_bytes)
{
    if (predicted_bytes != wire->len)
        vectors_fail(vc, "predicted length %" G_GUINT64_FORMAT ", is %u", predicted_bytes, wire->len);
    if (!json_object_has_member(expect, "encoded_length"))
        return;
    if (json_object_get_int_member(expect, "encoded_length") != (gint64)wire->len)
        vectors_fail(vc, "encoded length is %u", wire->len);
    g_autofree char *hash = sha256_hex(wire->data, wire->len);
    vectors_str_equal(vc, "hash of the encoded body", hash, vectors_str(expect, "encoded_sha256"));
    const char *expected = vectors_str(expect, "encoded_base64");
    g_autofree char *base64 = g_base64_encode(wire->data, wire->len);
    if (expected != NULL)
        vectors_str_equal(vc, "encoded body", base64, expected);
    const char *tail = vectors_str(expect, "tail_ascii");
    if (tail != NULL && (wire->len < strlen(tail) || memcmp(wire->data + wire->len - strlen(tail), tail, strlen(tail)) != 0))
        vectors_fail(vc, "the encoded body ends otherwise");
}

static void check_chunk_list(const VectorCase *vc, const Signer *sg, Sigv4Chain *chain, GBytes *body, GByteArray *wire)
{
    const uint8_t *data = g_bytes_get_data(body, NULL);
    size_t offset = 0;
    JsonArray *chunks = vectors_array(sg->expect, "chunks");
    JsonObject *published = vectors_object(vc->json, "published");
    for (unsigned i = 0; i < json_array_get_length(chunks); i++) {
        JsonObject *chunk = json_array_get_object_element(chunks, i);
        const size_t n = (size_t)json_object_get_int_member(chunk, "size");
        g_assert_cmpuint(n, <=, g_bytes_get_size(body) - offset);
        sigv4_chain_chunk(chain, data + offset, n);
        vectors_str_equal(vc, "chunk signature", chain->signature, vectors_str(chunk, "signature"));
        if (published != NULL)
            vectors_str_equal(vc, "published chunk signature", chain->signature,
                              json_array_get_string_element(vectors_array(published, "chunk_signatures"), i));
        const unsigned begin = wire->len;
        sigv4_append_chunk(wire, data + offset, n, chain->signature);
        const char *head = vectors_str(chunk, "chunk_header");
        if (head != NULL && memcmp(wire->data + begin, head, strlen(head)) != 0)
            vectors_fail(vc, "chunk %u begins otherwise", i);
        offset += n;
    }
    if (offset != g_bytes_get_size(body))
        vectors_fail(vc, "chunks end at byte %zu", offset);
}

static void run_chunked(const VectorCase *vc)
{
    g_auto(Signer) sg = { 0 };
    signer_init(vc, &sg);
    JsonObject *request = vectors_object(vc->json, "request");
    g_autoptr(GBytes) body = generated_body(vc);
    if (body == NULL)
        return;
    g_autoptr(GPtrArray) headers = case_headers(request, added_none);
    g_autofree char *query = wire_query(request);
    const Sigv4Request rq = { .method = vectors_str(request, "method"),
                              .path = vectors_str(request, "path"),
                              .query = query,
                              .headers = headers,
                              .payload = payload_line(vc, &sg) };
    Sigv4Chain chain = { .key = sg.key, .scope = &sg.scope };
    check_steps(vc, &sg, &rq, "seed_signature", chain.signature);

    g_autoptr(GByteArray) wire = g_byte_array_new();
    check_chunk_list(vc, &sg, &chain, body, wire);
    JsonObject *trailer = vectors_object(sg.expect, "trailer");
    const char *name = trailer != NULL ? vectors_str(trailer, "name") : NULL;
    g_autofree char *value = NULL;
    vectors_str_equal(vc, "payload line", rq.payload, name != NULL ? SIGV4_STREAM_SIGNED_TRAILER : SIGV4_STREAM_SIGNED);
    if (name != NULL) {
        value = trailer_value(vc, name, body);
        vectors_str_equal(vc, "trailer", value, vectors_str(trailer, "value"));
        sigv4_chain_trailer(&chain, name, value);
        vectors_str_equal(vc, "trailer signature", chain.signature, vectors_str(trailer, "signature"));
    }
    sigv4_append_end(wire, name, value, chain.signature);
    JsonArray *sizes = vectors_array(vc->json, "chunk_sizes");
    const uint64_t chunk_bytes =
        (uint64_t)(sizes != NULL ? json_array_get_int_element(sizes, 0) : json_object_get_int_member(vc->json, "chunk_size"));
    check_encoded(vc, sg.expect, wire,
                  sigv4_chunked_bytes(g_bytes_get_size(body), chunk_bytes, true, name != NULL ? strlen(name) + 1 + strlen(value) : 0));
}

static void run_framing(const VectorCase *vc)
{
    vectors_str_equal(vc, "payload_mode", vectors_str(vc->json, "payload_mode"), SIGV4_STREAM_UNSIGNED_TRAILER);
    g_autoptr(GBytes) body = generated_body(vc);
    if (body == NULL)
        return;
    const uint8_t *data = g_bytes_get_data(body, NULL);
    const size_t total = g_bytes_get_size(body), chunk = (size_t)json_object_get_int_member(vc->json, "chunk_size");
    g_autoptr(GByteArray) wire = g_byte_array_new();
    for (size_t offset = 0; offset < total; offset += chunk)
        sigv4_append_chunk(wire, data + offset, MIN(chunk, total - offset), NULL);
    sigv4_append_chunk(wire, NULL, 0, NULL);

    const char *name = vectors_str(vc->json, "trailer_name");
    g_autofree char *value = trailer_value(vc, name, body);
    sigv4_append_end(wire, name, value, NULL);
    check_encoded(vc, vectors_object(vc->json, "expect"), wire, sigv4_chunked_bytes(total, chunk, false, strlen(name) + 1 + strlen(value)));
}

static bool run_case(const VectorCase *vc)
{
    static const struct {
        const char *kind;
        void (*run)(const VectorCase *vc);
    } kinds[] = {
        { "header", run_header },   { "presign", run_presign },           { "post", run_post },
        { "chunked", run_chunked }, { "suite-header", run_suite_header }, { "suite-query", run_suite_query },
        { "framing", run_framing },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (g_str_equal(kinds[i].kind, vc->kind)) {
            kinds[i].run(vc);
            return true;
        }
    return false;
}

static void test_published(void)
{
    vectors_each((const char *const[]){ "sigv4-aws-published", NULL }, run_case);
}

static void test_suite(void)
{
    vectors_each((const char *const[]){ "sigv4-suite", NULL }, run_case);
}

static void test_generated(void)
{
    vectors_each((const char *const[]){ "sigv4-s3-generated", NULL }, run_case);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sigv4/published", test_published);
    g_test_add_func("/sigv4/suite", test_suite);
    g_test_add_func("/sigv4/generated", test_generated);
    return g_test_run();
}
