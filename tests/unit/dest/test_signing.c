#include "core/dest/sigv4.h"

#include <string.h>

#define NOW_S INT64_C(1369353600) /* 2013-05-24T00:00:00Z, as in the S3 API Reference */

static const Credentials creds = { .access_key = (char *)"AKIAIOSFODNN7EXAMPLE",
                                   .secret_key = (char *)"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" };

static Request *request_to(const char *url)
{
    Request *rq = request_new("GET");
    rq->url = g_strdup(url);
    return rq;
}

static const char *value_of(const Request *rq, const char *name)
{
    const size_t n = strlen(name);
    for (unsigned i = 0; i < rq->headers->len; i++) {
        const char *header = g_ptr_array_index(rq->headers, i);
        if (g_ascii_strncasecmp(header, name, n) == 0 && header[n] == ':')
            return header + n + 2;
    }
    return NULL;
}

/* Authorization of a plain GET of url, to compare what must make no difference; caller frees. */
static char *authorization_for(const char *url)
{
    g_autoptr(Request) rq = request_to(url);
    sigv4_sign(rq, &creds, "us-east-1", "s3", NOW_S, SIGV4_EMPTY, NULL);
    return g_strdup(value_of(rq, "Authorization"));
}

static void assert_same_signature(const char *a, const char *b, bool same)
{
    g_autofree char *x = authorization_for(a);
    g_autofree char *y = authorization_for(b);
    if (same)
        g_assert_cmpstr(x, ==, y);
    else
        g_assert_cmpstr(x, !=, y);
}

/* S3 API Reference, "GET Object" of the header examples. */
static void test_published_get(void)
{
    g_autoptr(Request) rq = request_to("https://examplebucket.s3.amazonaws.com/test.txt");
    request_header(rq, "Range", "bytes=0-9");
    sigv4_sign(rq, &creds, "us-east-1", "s3", NOW_S, SIGV4_EMPTY, NULL);
    g_assert_cmpstr(value_of(rq, "Authorization"), ==,
                    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
                    "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
                    "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
    g_assert_cmpstr(value_of(rq, "x-amz-date"), ==, "20130524T000000Z");
    g_assert_cmpstr(value_of(rq, "x-amz-content-sha256"), ==, SIGV4_EMPTY);
    g_assert_null(value_of(rq, "x-amz-security-token"));
    g_assert_null(value_of(rq, "Host"));
}

static void test_default_port(void)
{
    assert_same_signature("https://h.example/k", "https://h.example:443/k", true);
    assert_same_signature("http://h.example/k", "http://h.example:80/k", true);
    assert_same_signature("https://h.example/k", "https://h.example:80/k", false);
    assert_same_signature("http://h.example/k", "http://h.example:443/k", false);
    assert_same_signature("http://h.example:9000/k", "http://h.example/k", false);
    assert_same_signature("http://[::1]/k", "http://[::1]:80/k", true);
    assert_same_signature("http://[::80]/k", "http://[::]/k", false);
    assert_same_signature("HTTPS://h.example:443/k", "https://h.example/k", true);
}

static void test_url_forms(void)
{
    assert_same_signature("https://h.example", "https://h.example/", true);
    assert_same_signature("https://h.example?uploads", "https://h.example/?uploads=", true);
    assert_same_signature("https://h.example/k?b=2&a=1", "https://h.example/k?a=1&b=2", true);
    assert_same_signature("https://h.example/k?a=%7e", "https://h.example/k?a=~", true);
    assert_same_signature("https://h.example/k?a=%2b", "https://h.example/k?a=+", true);
    assert_same_signature("https://h.example/k?a=%20", "https://h.example/k?a=+", false);
    assert_same_signature("https://h.example/k?&&a=1&", "https://h.example/k?a=1", true);
    assert_same_signature("https://h.example/k?a=%", "https://h.example/k?a=%25", true);
    assert_same_signature("https://h.example/k?a=%4", "https://h.example/k?a=%254", true);
    assert_same_signature("https://h.example/k?a=%zz", "https://h.example/k?a=%25zz", true);
    assert_same_signature("https://h.example/k?a=b=c", "https://h.example/k?a=b%3Dc", true);
    /* the path is signed as it is sent */
    assert_same_signature("https://h.example/a/../k", "https://h.example/k", false);
    assert_same_signature("https://h.example//k", "https://h.example/k", false);
    assert_same_signature("https://h.example/%6b", "https://h.example/k", false);
}

static void test_left_out_headers(void)
{
    static const char *const names[] = { "User-Agent", "expect", "Connection", "Transfer-Encoding", "Accept-Encoding", "X-Amzn-Trace-Id" };
    g_autoptr(Request) rq = request_to("https://h.example/k");
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
        request_header(rq, names[i], "x");
    request_header(rq, "Content-Type", "image/png");
    request_header(rq, "Expectation", "kept");
    sigv4_sign(rq, &creds, "us-east-1", "s3", NOW_S, SIGV4_UNSIGNED, NULL);
    g_assert_nonnull(strstr(value_of(rq, "Authorization"), "SignedHeaders=content-type;expectation;host;x-amz-content-sha256;x-amz-date,"));
}

static void test_header_values(void)
{
    g_autoptr(GPtrArray) headers = g_ptr_array_new();
    static const char *const lines[] = { "B:  x \t y ", "a-b: 1", "A: 2", "Host:h", "b:z", "Empty:", "blank: \t " };
    for (unsigned i = 0; i < G_N_ELEMENTS(lines); i++)
        g_ptr_array_add(headers, (char *)lines[i]);
    const Sigv4Request rq = { .method = "GET", .path = "", .headers = headers, .payload = SIGV4_UNSIGNED };
    g_autofree char *names = NULL;
    g_autofree char *canonical = sigv4_canonical_request(&rq, &names);
    g_assert_cmpstr(canonical, ==, "GET\n/\n\na:2\na-b:1\nb:x y,z\nblank:\nempty:\nhost:h\n\na;a-b;b;blank;empty;host\nUNSIGNED-PAYLOAD");
    g_assert_cmpstr(names, ==, "a;a-b;b;blank;empty;host");
}

static void test_token_is_signed(void)
{
    Credentials temporary = creds;
    temporary.session_token = (char *)"TOKEN/EXAMPLE==";
    g_autoptr(Request) rq = request_to("https://h.example/k");
    sigv4_sign(rq, &temporary, "us-east-1", "s3", NOW_S, SIGV4_EMPTY, NULL);
    g_assert_cmpstr(value_of(rq, "x-amz-security-token"), ==, "TOKEN/EXAMPLE==");
    g_assert_nonnull(strstr(value_of(rq, "Authorization"), ";x-amz-security-token,"));

    g_autofree char *url = sigv4_presign("GET", "https://h.example/k", NULL, &temporary, "us-east-1", "s3", NOW_S, 60, NULL);
    g_assert_nonnull(strstr(url, "&X-Amz-Security-Token=TOKEN%2FEXAMPLE%3D%3D&"));
    g_assert_nonnull(strstr(url, "X-Amz-SignedHeaders=host&"));
}

/* The cache must never give a key of another day, region, service or secret. */
static void test_key_cache(void)
{
    static const struct {
        const char *secret, *region, *service;
        int64_t now_s;
    } uses[] = {
        { "secret", "us-east-1", "s3", NOW_S },
        { "secret", "us-east-1", "s3", NOW_S + 86399 },
        { "secret", "us-east-1", "s3", NOW_S + 86400 },
        { "secret", "us-east-1", "s3", NOW_S },
        { "secreT", "us-east-1", "s3", NOW_S },
        { "secret", "eu-west-1", "s3", NOW_S },
        { "secret", "us-east-1", "sts", NOW_S },
        { "secret", "us-east-1s", "3", NOW_S },
        { "", "us-east-1", "s3", NOW_S },
    };
    Sigv4Key cache = { 0 };
    for (unsigned i = 0; i < G_N_ELEMENTS(uses); i++) {
        g_auto(Sigv4Scope) sc = { 0 };
        Sigv4Key fresh = { 0 };
        sigv4_scope_init(&sc, uses[i].region, uses[i].service, uses[i].now_s);
        const uint8_t *cached = sigv4_key(&cache, uses[i].secret, &sc, uses[i].region, uses[i].service);
        const uint8_t *derived = sigv4_key(&fresh, uses[i].secret, &sc, uses[i].region, uses[i].service);
        g_assert_cmpmem(cached, 32, derived, 32);
    }
    static const Sigv4Key empty;
    sigv4_key_clear(&cache);
    g_assert_cmpmem(&cache, sizeof cache, &empty, sizeof empty);
    sigv4_key_clear(NULL);
}

static void assert_timestamp(int64_t now_s, const char *expected)
{
    g_auto(Sigv4Scope) sc = { 0 };
    sigv4_scope_init(&sc, "r", "s", now_s);
    g_assert_cmpstr(sc.timestamp, ==, expected);
    g_autofree char *text = g_strdup_printf("%.8s/r/s/aws4_request", expected);
    g_assert_cmpstr(sc.text, ==, text);
}

static void test_time(void)
{
    assert_timestamp(0, "19700101T000000Z");
    assert_timestamp(951868799, "20000229T235959Z");
    assert_timestamp(INT64_C(253402300799), "99991231T235959Z");
    assert_timestamp(INT64_MAX, "99991231T235959Z");
    assert_timestamp(INT64_MIN, "19700101T000000Z");
}

static void test_presign_keeps_query(void)
{
    g_autofree char *url =
        sigv4_presign("PUT", "https://h.example:443/a%20b?partNumber=1&uploadId=x", NULL, &creds, "us-east-1", "s3", NOW_S, 60, NULL);
    g_assert_true(g_str_has_prefix(url, "https://h.example:443/a%20b?partNumber=1&uploadId=x&X-Amz-Algorithm=AWS4-HMAC-SHA256&"));
    g_assert_cmpuint(strlen(strstr(url, "&X-Amz-Signature=")), ==, strlen("&X-Amz-Signature=") + 64);
    g_autofree char *bare = sigv4_presign("GET", "https://h.example/k", NULL, &creds, "us-east-1", "s3", NOW_S, 60, NULL);
    g_assert_true(g_str_has_prefix(bare, "https://h.example/k?X-Amz-Algorithm="));
}

static void assert_expires(unsigned expires_s, const char *expected)
{
    g_autofree char *url = sigv4_presign("GET", "https://h.example/k", NULL, &creds, "us-east-1", "s3", NOW_S, expires_s, NULL);
    g_assert_nonnull(strstr(url, expected));
}

static void test_presign_expires(void)
{
    assert_expires(0, "&X-Amz-Expires=1&");
    assert_expires(86400, "&X-Amz-Expires=86400&");
    assert_expires(SIGV4_EXPIRES_MAX_S + 1, "&X-Amz-Expires=604800&");
}

/* A hash of the body that goes as a header becomes the payload line. */
static void test_presign_payload(void)
{
    g_autoptr(GPtrArray) headers = g_ptr_array_new();
    g_ptr_array_add(headers, (char *)"X-Amz-Content-Sha256:  " SIGV4_EMPTY);
    g_ptr_array_add(headers, (char *)"User-Agent: x");
    g_autofree char *url = sigv4_presign("PUT", "https://h.example/k", headers, &creds, "us-east-1", "s3", NOW_S, 60, NULL);
    g_assert_nonnull(strstr(url, "&X-Amz-SignedHeaders=host%3Bx-amz-content-sha256&"));

    g_autoptr(GPtrArray) signed_headers = g_ptr_array_new();
    g_ptr_array_add(signed_headers, (char *)"host:h.example");
    g_ptr_array_add(signed_headers, (char *)"x-amz-content-sha256:" SIGV4_EMPTY);
    g_auto(Sigv4Scope) sc = { 0 };
    sigv4_scope_init(&sc, "us-east-1", "s3", NOW_S);
    g_autoptr(GString) query = g_string_new(NULL);
    sigv4_query_append(query, creds.access_key, &sc, 60, "host;x-amz-content-sha256", NULL);
    const Sigv4Request rq = { .method = "PUT", .path = "/k", .query = query->str, .headers = signed_headers, .payload = SIGV4_EMPTY };
    g_autofree char *canonical = sigv4_canonical_request(&rq, NULL);
    g_autofree char *text = sigv4_string_to_sign(&sc, canonical);
    Sigv4Key key = { 0 };
    char signature[65];
    sigv4_signature(sigv4_key(&key, creds.secret_key, &sc, "us-east-1", "s3"), text, signature);
    g_assert_true(g_str_has_suffix(url, signature));
}

static void assert_normalized(const char *path, const char *expected)
{
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    const Sigv4Request rq = { .method = "GET", .path = path, .headers = none, .payload = "", .flags = SIGV4_NORMALIZE_PATH };
    g_autofree char *canonical = sigv4_canonical_request(&rq, NULL);
    g_auto(GStrv) lines = g_strsplit(canonical, "\n", 3);
    g_assert_cmpstr(lines[1], ==, expected);
}

static void test_normalize(void)
{
    assert_normalized("", "/");
    assert_normalized("/", "/");
    assert_normalized("/../..", "/");
    assert_normalized("/..//../a", "/a");
    assert_normalized("//a///b/./c/../d//", "/a/b/d/");
    assert_normalized("/a/b/..", "/a");
    assert_normalized("/...", "/...");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sigv4/published-get", test_published_get);
    g_test_add_func("/sigv4/default-port-is-dropped", test_default_port);
    g_test_add_func("/sigv4/url-forms", test_url_forms);
    g_test_add_func("/sigv4/left-out-headers", test_left_out_headers);
    g_test_add_func("/sigv4/header-values", test_header_values);
    g_test_add_func("/sigv4/token-is-signed", test_token_is_signed);
    g_test_add_func("/sigv4/key-cache", test_key_cache);
    g_test_add_func("/sigv4/time", test_time);
    g_test_add_func("/sigv4/presign/keeps-query", test_presign_keeps_query);
    g_test_add_func("/sigv4/presign/expires", test_presign_expires);
    g_test_add_func("/sigv4/presign/payload", test_presign_payload);
    g_test_add_func("/sigv4/normalize", test_normalize);
    return g_test_run();
}
