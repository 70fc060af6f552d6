#include "core/dest/dest.h"

#include <string.h>

static Response *answer(int status, const char *const *headers)
{
    Response *rs = response_new();
    rs->status = status;
    for (unsigned i = 0; headers != NULL && headers[i] != NULL; i += 2)
        response_add_header(rs, headers[i], strlen(headers[i]), headers[i + 1], strlen(headers[i + 1]));
    return rs;
}

/* ---- requests */

static void test_request_header_is_one_line(void)
{
    g_autoptr(Request) rq = request_new("PUT");
    request_header(rq, "x-amz-meta-a", "one\r\nx-evil: two");
    g_assert_cmpstr(rq->headers->pdata[0], ==, "x-amz-meta-a: onex-evil: two");
}

static void test_request_body(void)
{
    g_autoptr(Request) rq = request_new("POST");
    g_assert_cmpuint(rq->answer_max, ==, ANSWER_MAX_BYTES);
    request_body_bytes(rq, g_bytes_new_static("head", 4));
    request_body_file(rq, 100, 5000000000);
    g_assert_cmpuint(rq->n_spans, ==, 2);
    g_assert_cmpuint(rq->body_bytes, ==, 5000000004);
    g_assert_cmpuint(rq->spans[1].offset, ==, 100);
    request_free(NULL);
}

/* ---- responses */

static void test_response_headers(void)
{
    static const char *const headers[] = { "ETag", " \"a\" ", "etag", "second", "X-Amz-Request-Id", "R", NULL };
    g_autoptr(Response) rs = answer(200, headers);
    g_assert_cmpstr(response_header(rs, "etag"), ==, "\"a\"");
    g_assert_cmpstr(response_header(rs, "x-amz-request-id"), ==, "R");
    g_assert_null(response_header(rs, "date"));
    for (unsigned i = 0; i < 2 * RESPONSE_MAX_HEADERS; i++)
        response_add_header(rs, "a", 1, "b", 1);
    g_assert_cmpuint(rs->headers->len, ==, RESPONSE_MAX_HEADERS);
}

static void test_response_date(void)
{
    static const struct {
        const char *text;
        int64_t unix_s; /* -1 = refused */
    } rows[] = {
        { "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 }, /* the three forms of RFC 9110 */
        { "Sunday, 06-Nov-94 08:49:37 GMT", 784111777 },
        { "Sun Nov  6 08:49:37 1994", 784111777 },
        { "Thu, 15 Jan 2026 10:02:10 GMT", 1768471330 },
        { "Thu, 31 Dec 2026 23:59:60 GMT", 1798761599 },
        { "Thu, 32 Jan 2026 10:02:10 GMT", -1 },
        { "Thu, 15 anF 2026 10:02:10 GMT", -1 },
        { "Thu, 15 Jan 2026 10:02:-1 GMT", -1 },
        { "yesterday", -1 },
        { "", -1 },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *const headers[] = { "Date", rows[i].text, NULL };
        g_autoptr(Response) rs = answer(200, headers);
        int64_t unix_s = -1;
        g_assert_cmpint(response_date(rs, &unix_s), ==, rows[i].unix_s != -1);
        g_assert_cmpint(unix_s, ==, rows[i].unix_s);
    }
}

static int64_t retry_after(const char *value, const char *date, int64_t now_s)
{
    const char *const headers[] = { "Retry-After", value, date == NULL ? NULL : "Date", date, NULL };
    g_autoptr(Response) rs = answer(503, headers);
    return response_retry_after_ms(rs, now_s);
}

static void test_retry_after(void)
{
    g_autoptr(Response) none = answer(503, NULL);
    g_assert_cmpint(response_retry_after_ms(none, 0), ==, -1);
    g_assert_cmpint(retry_after("2", NULL, 0), ==, 2000);
    g_assert_cmpint(retry_after("0", NULL, 0), ==, 0);
    g_assert_cmpint(retry_after("18446744073709551615", NULL, 0), ==, 86400000);
    g_assert_cmpint(retry_after("soon", NULL, 0), ==, -1);
    g_assert_cmpint(retry_after("-5", NULL, 0), ==, -1);
    g_assert_cmpint(retry_after("Thu, 15 Jan 2026 10:02:40 GMT", NULL, 1768471330), ==, 30000);
    g_assert_cmpint(retry_after("Thu, 15 Jan 2026 10:02:40 GMT", NULL, 1768479999), ==, 0);
    /* both times by the server's clock, when this machine's is wrong */
    g_assert_cmpint(retry_after("Thu, 15 Jan 2026 10:02:40 GMT", "Thu, 15 Jan 2026 10:02:10 GMT", 5), ==, 30000);
}

/* ---- uploads */

static void test_plan_parts(void)
{
    g_autoptr(Upload) up = upload_new("k", 25, 0);
    upload_plan(up, true, 10);
    g_assert_cmpuint(up->n_parts, ==, 3);
    g_assert_cmpuint(upload_part_offset(up, 2), ==, 20);
    g_assert_cmpuint(upload_part_bytes(up, 0), ==, 10);
    g_assert_cmpuint(upload_part_bytes(up, 2), ==, 5);
    up->parts[0].done = up->parts[2].done = true;
    g_assert_cmpuint(upload_done_bytes(up), ==, 15);

    upload_plan(up, false, 0);
    g_assert_cmpuint(up->n_parts, ==, 1);
    g_assert_cmpuint(up->part_size, ==, 25);
    g_assert_cmpuint(upload_part_bytes(up, 0), ==, 25);
    g_assert_cmpuint(upload_done_bytes(up), ==, 0);
}

static void test_plan_edges(void)
{
    g_autoptr(Upload) empty = upload_new("k", 0, 0);
    upload_plan(empty, false, 0);
    g_assert_cmpuint(empty->n_parts, ==, 1);
    g_assert_cmpuint(upload_part_bytes(empty, 0), ==, 0);
    g_autoptr(Upload) exact = upload_new("k", 20, 0);
    upload_plan(exact, true, 10);
    g_assert_cmpuint(exact->n_parts, ==, 2);
    g_autoptr(Upload) large = upload_new("k", UINT64_C(50) << 40, 0);
    upload_plan(large, true, UINT64_C(6) << 30);
    g_assert_cmpuint(upload_part_offset(large, large->n_parts - 1) + upload_part_bytes(large, large->n_parts - 1), ==, UINT64_C(50) << 40);
}

static void hash_parts(Upload *up, const char *text, unsigned kinds)
{
    for (unsigned i = 0; i < up->n_parts; i++) {
        g_free(up->parts[i].digest);
        up->parts[i].digest = g_new0(DigestSet, 1);
        digest_of(kinds, text + upload_part_offset(up, i), upload_part_bytes(up, i), up->parts[i].digest);
    }
}

static void test_object_digest(void)
{
    static const char text[] = "The quick brown fox jumps over the lazy dog";
    const unsigned kinds = DIGEST_BIT(DIGEST_CRC64NVME) | DIGEST_BIT(DIGEST_CRC32C) | DIGEST_BIT(DIGEST_CRC32) | DIGEST_BIT(DIGEST_SHA256);
    DigestSet whole;
    uint8_t value[DIGEST_MAX_BYTES];
    digest_of(kinds, text, strlen(text), &whole);

    g_autoptr(Upload) up = upload_new("k", strlen(text), 0);
    upload_plan(up, true, 10);
    g_assert_false(upload_object_digest(up, DIGEST_CRC32C, value));
    hash_parts(up, text, kinds);
    for (unsigned k = DIGEST_CRC64NVME; k <= DIGEST_CRC32; k++) {
        g_assert_true(upload_object_digest(up, k, value));
        g_assert_cmpmem(value, digest_bytes(k), whole.value[k], digest_bytes(k));
    }
    g_assert_false(upload_object_digest(up, DIGEST_SHA256, value));
    g_assert_false(upload_object_digest(up, DIGEST_MD5, value));
    upload_plan(up, false, 0);
    hash_parts(up, text, kinds);
    g_assert_true(upload_object_digest(up, DIGEST_SHA256, value));
    g_assert_cmpmem(value, 32, whole.value[DIGEST_SHA256], 32);
}

static void test_expected_etag(void)
{
    g_autoptr(Upload) up = upload_new("k", 6, 0);
    upload_plan(up, false, 0);
    g_assert_null(upload_expected_etag(up));
    hash_parts(up, "foobar", DIGEST_BIT(DIGEST_MD5));
    g_autofree char *whole = upload_expected_etag(up);
    g_assert_cmpstr(whole, ==, "\"3858f62230ac3c915f300c664312c63f\""); /* md5 of "foobar" */

    upload_plan(up, true, 3);
    hash_parts(up, "foobar", DIGEST_BIT(DIGEST_MD5));
    g_autoptr(GChecksum) md5 = g_checksum_new(G_CHECKSUM_MD5);
    for (unsigned i = 0; i < 2; i++)
        g_checksum_update(md5, up->parts[i].digest->value[DIGEST_MD5], 16);
    g_autofree char *expected = g_strdup_printf("\"%s-2\"", g_checksum_get_string(md5));
    g_autofree char *parts = upload_expected_etag(up);
    g_assert_cmpstr(parts, ==, expected);
}

/* ---- configuration */

static void test_conf_parse(void)
{
    static const struct {
        const char *text, *bucket, *prefix; /* bucket NULL = refused */
    } rows[] = {
        { "s3://b", "b", "" },
        { "s3://b/", "b", "" },
        { "S3://b/a", "b", "a/" },
        { "s3://b/a/c/", "b", "a/c/" },
        { "s3://b//a", "b", "/a/" },
        { "s3://b/a?x=1", "b", "a?x=1/" },
        { "s3://b/\xff", "b", "\xff/" },
        { "s3://", NULL, NULL },
        { "s3:///a", NULL, NULL },
        { "s3:b", NULL, NULL },
        { "ftp://b/a", NULL, NULL },
        { "b/a", NULL, NULL },
        { "", NULL, NULL },
        { "s3://KEY:SECRET@b/a", NULL, NULL },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(DestConf) conf = dest_conf_new();
        g_autoptr(GError) error = NULL;
        const bool fine = dest_conf_parse(conf, rows[i].text, &error);
        g_assert_cmpint(fine, ==, rows[i].bucket != NULL);
        g_assert_cmpint(fault_code(error), ==, fine ? FAULT_NONE : FAULT_USAGE);
        g_assert_cmpstr(conf->bucket, ==, rows[i].bucket);
        g_assert_cmpstr(conf->prefix, ==, rows[i].prefix);
        g_assert_cmpstr(conf->name, ==, fine ? rows[i].text : NULL);
        if (!fine)
            g_assert_null(strstr(error->message, "SECRET"));
    }
}

static void test_table(void)
{
    g_assert_nonnull(dest_by_scheme("s3"));
    g_assert_null(dest_by_scheme("gopher"));
    g_assert_null(dest_by_scheme(NULL));
    g_assert_true(dest_table()[0] == dest_by_scheme("S3"));
    g_assert_nonnull(strstr(dest_schemes_help(), "s3://"));
}

static void test_options(void)
{
    g_autoptr(DestConf) conf = dest_conf_new();
    g_assert_null(dest_conf_option(conf, "acl"));
    g_hash_table_insert(conf->options, g_strdup("acl"), g_strdup("private"));
    g_assert_cmpstr(dest_conf_option(conf, "acl"), ==, "private");
    dest_conf_free(NULL);
    credentials_free(NULL);
    credentials_free(g_new0(Credentials, 1));
}

/* ---- what was learned */

static void test_learned_round_trip(void)
{
    DestLearned l = { .region = "eu-west-1", .style = 2, .clock_offset_s = -1260, .list_parts = LEARNED_REFUSED, .tagging = LEARNED_WORKS };
    l.checksum[DIGEST_CRC64NVME] = LEARNED_IGNORED;
    g_autofree char *text = dest_learned_to_text(&l);
    g_assert_cmpstr(text, ==, "region=eu-west-1 style=virtual clock=-1260 checksum.crc64nvme=ignored list-parts=refused tagging=works");
    DestLearned back = { 0 };
    dest_learned_from_text(&back, text);
    g_assert_cmpmem(&back, sizeof back, &l, sizeof l);
    DestLearned nothing = { 0 };
    g_autofree char *empty = dest_learned_to_text(&nothing);
    g_assert_cmpstr(empty, ==, "");
}

static void test_learned_unknown_words(void)
{
    DestLearned l = { 0 }, nothing = { 0 };
    g_autofree char *long_region = g_strnfill(100, 'r');
    g_autofree char *text =
        g_strdup_printf("region=%s colour=blue style=square clock=x checksum.md6=works acl=maybe = == acl", long_region);
    dest_learned_from_text(&l, text);
    g_assert_cmpmem(&l, sizeof l, &nothing, sizeof nothing);
}

static void test_secrets_do_not_go_in_the_clear(void)
{
    static const struct {
        const char *url;
        bool clear;
    } rows[] = {
        { "http://tus.example.com/files/", true },
        { "http://192.168.1.5:8080/x?y", true },
        { "http://localhost.example.com/", true },
        { "https://tus.example.com/files/", false },
        { "http://localhost:1080/", false },
        { "http://127.0.0.1/", false },
        { "http://[::1]:80/", false },
        { NULL, false },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(DestConf) conf = dest_conf_new();
        g_autoptr(GError) error = NULL;
        g_assert_true(dest_in_the_clear(rows[i].url) == rows[i].clear);
        g_assert_true(dest_keeps_secret(conf, rows[i].url, "the token", &error) == !rows[i].clear);
        g_assert_true((fault_code(error) == FAULT_USAGE) == rows[i].clear);
        g_assert_true(error == NULL || strchr(error->message, '?') == NULL);
        g_hash_table_insert(conf->options, g_strdup("allow-http"), g_strdup("true"));
        g_assert_true(dest_keeps_secret(conf, rows[i].url, "the token", NULL));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dest/request/header-is-one-line", test_request_header_is_one_line);
    g_test_add_func("/dest/request/body", test_request_body);
    g_test_add_func("/dest/response/headers", test_response_headers);
    g_test_add_func("/dest/response/date", test_response_date);
    g_test_add_func("/dest/response/retry-after", test_retry_after);
    g_test_add_func("/dest/upload/plan-parts", test_plan_parts);
    g_test_add_func("/dest/upload/plan-edges", test_plan_edges);
    g_test_add_func("/dest/upload/object-digest", test_object_digest);
    g_test_add_func("/dest/upload/expected-etag", test_expected_etag);
    g_test_add_func("/dest/conf/parse", test_conf_parse);
    g_test_add_func("/dest/conf/options", test_options);
    g_test_add_func("/dest/table", test_table);
    g_test_add_func("/dest/learned/round-trip", test_learned_round_trip);
    g_test_add_func("/dest/learned/unknown-words", test_learned_unknown_words);
    g_test_add_func("/dest/in-the-clear", test_secrets_do_not_go_in_the_clear);
    return g_test_run();
}
