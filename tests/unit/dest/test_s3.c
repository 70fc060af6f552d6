/* What s3.c asks for, and what good answers make of an upload. Failures: test_s3_faults.c. */
#include "s3_fixture.h"

#define HTTP  "http://127.0.0.1:9000"
#define HTTPS "https://gw.example.net"

/* ---- configuration */

static void test_open_refuses(void)
{
    static const struct {
        const char *option, *value;
    } rows[] = {
        { "part-size", "4M" },
        { "part-size", "6GiB" },
        { "header", "no colon" },
        { "header", "Host: evil" },
        { "header", "Bad Name: v" },
        { "header", "A: b\x1b[0m" },
        { "header", "x-amz-date: 1" },
        { "meta", "novalue" },
        { "meta", "hoist-nonce=1" },
        { "meta", "a b=c" },
        { "tag", "=v" },
        { "acl", "a\nb" },
        { "acl", "" },
        { "tag", "a=1\nb=1\nc=1\nd=1\ne=1\nf=1\ng=1\nh=1\ni=1\nj=1\nk=1" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *const options[] = { rows[i].option, rows[i].value, NULL };
        Fixture f;
        fixture_open(&f, HTTP, options);
        g_assert_null(f.ctx.priv);
        g_assert_cmpint(fault_code(f.error), ==, FAULT_USAGE);
        fixture_clear(&f);
    }
}

static void test_open_refuses_endpoints(void)
{
    static const char *const endpoints[] = { "minio:9000",        "ftp://host",       "http://",           "http://u:SECRET@host",
                                             "https://host/?a=b", "https://host/#f",  "http://host:99999", "http://host:0",
                                             "http://a b/",       "http://ho\x1bst/", "https://h/%zz" };
    for (unsigned i = 0; i < G_N_ELEMENTS(endpoints); i++) {
        Fixture f;
        fixture_open(&f, endpoints[i], NULL);
        g_assert_null(f.ctx.priv);
        g_assert_cmpint(fault_code(f.error), ==, FAULT_USAGE);
        g_assert_null(strstr(f.error->message, "SECRET"));
        fixture_clear(&f);
    }
}

static void open_bucket(const char *bucket, const char *region, bool fine)
{
    Fixture f;
    fixture_open(&f, HTTP, NULL);
    f.ctx.ops->close(f.ctx.priv);
    g_free(f.conf->bucket);
    f.conf->bucket = g_strdup(bucket);
    f.conf->region = g_strdup(region);
    f.ctx.priv = f.ctx.ops->open(f.conf, &f.error);
    g_assert_cmpint(f.ctx.priv != NULL, ==, fine);
    g_assert_cmpint(fault_code(f.error), ==, fine ? FAULT_NONE : FAULT_USAGE);
    fixture_clear(&f);
}

static void test_open_names(void)
{
    open_bucket("a.b_C-9", "eu-west-1", true);
    open_bucket("b", NULL, true);
    open_bucket("b", "", true);
    open_bucket("a b", NULL, false);
    open_bucket("..", NULL, false);
    open_bucket("a/b", NULL, false);
    open_bucket("b", "eu west", false);
    open_bucket("b", "eu/west", false);
    open_bucket(NULL, NULL, false);
}

static void test_where_and_url(void)
{
    static const struct {
        const char *endpoint, *where, *url;
    } rows[] = {
        { HTTP, "http://127.0.0.1:9000/bucket", "http://127.0.0.1:9000/bucket/a%20b" },
        { "https://[::1]:443/base/", "https://[::1]/base/bucket", "https://[::1]/base/bucket/a%20b" },
        { NULL, "https://s3.us-east-1.amazonaws.com/bucket", "https://bucket.s3.ap-south-1.amazonaws.com/a%20b" },
        { "https://s3.eu-west-1.amazonaws.com", "https://s3.eu-west-1.amazonaws.com/bucket",
          "https://bucket.s3.ap-south-1.amazonaws.com/a%20b" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Fixture f;
        fixture_open(&f, rows[i].endpoint, NULL);
        g_strlcpy(f.learned.region, "ap-south-1", sizeof f.learned.region);
        g_autofree char *where = f.ctx.ops->where(&f.ctx), *url = f.ctx.ops->url(&f.ctx, "a b");
        g_assert_cmpstr(where, ==, rows[i].where);
        g_assert_cmpstr(url, ==, rows[i].url);
        fixture_clear(&f);
    }
}

/* ---- plan */

static void test_plan(void)
{
    static const struct {
        uint64_t size, wanted, part_size;
        bool multipart;
    } rows[] = {
        { 0, 0, 0, false },
        { 16 * MIB, 0, 16 * MIB, false },
        { 16 * MIB + 1, 0, 8 * MIB, true },
        { 80000 * MIB, 0, 8 * MIB, true },
        { 80000 * MIB + 1, 0, 9 * MIB, true },
        { UINT64_C(10000) * 5120 * MIB, 0, 5120 * MIB, true },
        { 10 * MIB, 5 * MIB, 5 * MIB, true },
        { 10 * MIB, 4900000, 5 * MIB, true }, /* "5M" and the like: rounded up to a MiB */
        { 10 * MIB, 10 * MIB, 10 * MIB, false },
        { 100 * MIB, 64 * MIB, 64 * MIB, true },
        { 1 * MIB, 1 * MIB, 1 * MIB, false }, /* too small for parts, but there are none */
        { 20 * MIB, 7000000000, 20 * MIB, false },
    };
    Fixture f;
    fixture_open(&f, HTTP, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(Upload) up = upload_new("k", rows[i].size, 0);
        g_assert_true(f.ctx.ops->plan(&f.ctx, up, rows[i].wanted, &f.error));
        g_assert_cmpint(up->multipart, ==, rows[i].multipart);
        g_assert_cmpuint(up->part_size, ==, rows[i].part_size);
        g_assert_cmpuint(up->n_parts, <=, 10000);
    }
    fixture_clear(&f);
}

static void refuse_plan(const char *key, uint64_t size, uint64_t wanted, FaultCode code)
{
    Fixture f;
    fixture_open(&f, HTTP, NULL);
    g_autoptr(Upload) up = upload_new(key, size, 0);
    g_assert_false(f.ctx.ops->plan(&f.ctx, up, wanted, &f.error));
    g_assert_cmpint(fault_code(f.error), ==, code);
    fixture_clear(&f);
}

static void test_plan_refuses(void)
{
    g_autofree char *long_key = g_strnfill(1025, 'k');
    refuse_plan("k", 10 * MIB, 4 * MIB, FAULT_USAGE);
    refuse_plan("k", 8000 * MIB, 6000 * MIB, FAULT_USAGE);
    refuse_plan("k", UINT64_C(10000) * 5120 * MIB + 1, 0, FAULT_TOO_LARGE);
    refuse_plan(long_key, 1, 0, FAULT_KEY);
    refuse_plan("", 1, 0, FAULT_KEY);
}

/* ---- digests */

static unsigned digests_of(const char *endpoint, const char *checksum, const char *learned)
{
    const char *const options[] = { "checksum", checksum, NULL };
    Fixture f;
    fixture_open(&f, endpoint, options);
    dest_learned_from_text(&f.learned, learned);
    const unsigned kinds = f.ctx.ops->digests(&f.ctx, NULL);
    fixture_clear(&f);
    return kinds;
}

static void test_digests(void)
{
    const unsigned crc = DIGEST_BIT(DIGEST_CRC64NVME), md5 = DIGEST_BIT(DIGEST_MD5), sha = DIGEST_BIT(DIGEST_SHA256);
    g_assert_cmpuint(digests_of(HTTPS, "auto", ""), ==, crc | md5);
    g_assert_cmpuint(digests_of(HTTPS, "auto", "checksum.crc64nvme=works"), ==, crc);
    g_assert_cmpuint(digests_of(HTTPS, "auto", "checksum.crc64nvme=ignored"), ==, md5);
    g_assert_cmpuint(digests_of(HTTPS, "auto", "checksum.crc64nvme=refused"), ==, md5);
    g_assert_cmpuint(digests_of(HTTPS, "auto", "checksum.crc64nvme=ignored checksum.md5=ignored"), ==, 0);
    g_assert_cmpuint(digests_of(HTTPS, "auto", "checksum.crc64nvme=works checksum.md5=ignored"), ==, crc);
    g_assert_cmpuint(digests_of(HTTPS, "md5", "checksum.md5=ignored"), ==, md5);
    g_assert_cmpuint(digests_of(HTTPS, "crc32c", "checksum.crc32c=ignored checksum.md5=ignored"), ==, DIGEST_BIT(DIGEST_CRC32C));
    g_assert_cmpuint(digests_of(HTTPS, "none", ""), ==, 0);
    g_assert_cmpuint(digests_of(HTTPS, "sha256", ""), ==, sha);
    g_assert_cmpuint(digests_of(HTTPS, "crc32c", "checksum.crc32c=ignored"), ==, DIGEST_BIT(DIGEST_CRC32C) | md5);
    g_assert_cmpuint(digests_of(HTTPS, "md5", ""), ==, md5);
    g_assert_cmpuint(digests_of(HTTP, "none", ""), ==, sha);
    g_assert_cmpuint(digests_of(HTTP, "sha256", ""), ==, sha);
    g_assert_cmpuint(digests_of(HTTP, "auto", "checksum.crc64nvme=works"), ==, crc | sha);

    static const char *const unsigned_payload[] = { "checksum", "none", "unsigned-payload", "true", NULL };
    Fixture f;
    fixture_open(&f, HTTP, unsigned_payload);
    g_assert_cmpuint(f.ctx.ops->digests(&f.ctx, NULL), ==, 0);
    fixture_clear(&f);
}

/* ---- one PUT */

static void test_put_request(void)
{
    static const char *const options[] = { "acl",
                                           "private",
                                           "storage-class",
                                           "STANDARD_IA",
                                           "sse",
                                           "AES256",
                                           "tag",
                                           "a=1\nb c=x&y",
                                           "meta",
                                           "Owner=J\xc3\xb6rg\nnote=a b",
                                           "header",
                                           "Cache-Control: max-age=60\nContent-Type: image/webp",
                                           "if-exists",
                                           "fail",
                                           NULL };
    Fixture f;
    fixture_open(&f, HTTP, options);
    fixture_upload(&f, 1000, 0, 'x');
    g_assert_true(fixture_ask(&f, PHASE_PART, 0));
    g_assert_cmpstr(f.rq->method, ==, "PUT");
    g_assert_cmpstr(f.rq->url, ==, "http://127.0.0.1:9000/bucket/pre/a%20b.txt");
    g_assert_cmpuint(f.rq->body_bytes, ==, 1000);
    g_assert_cmpstr(fixture_sent(&f, "Content-Type"), ==, "image/webp");
    g_assert_cmpstr(fixture_sent(&f, "Cache-Control"), ==, "max-age=60");
    g_assert_cmpstr(fixture_sent(&f, "x-amz-acl"), ==, "private");
    g_assert_cmpstr(fixture_sent(&f, "x-amz-storage-class"), ==, "STANDARD_IA");
    g_assert_cmpstr(fixture_sent(&f, "x-amz-server-side-encryption"), ==, "AES256");
    g_assert_cmpstr(fixture_sent(&f, "x-amz-tagging"), ==, "a=1&b%20c=x%26y");
    g_assert_cmpstr(fixture_sent(&f, "x-amz-meta-owner"), ==, "=?UTF-8?B?SsO2cmc=?=");
    g_assert_cmpstr(fixture_sent(&f, "x-amz-meta-note"), ==, "a b");
    g_assert_cmpstr(fixture_sent(&f, "x-amz-meta-mtime"), ==, "1700000000.123456789");
    g_assert_cmpstr(fixture_sent(&f, "x-amz-meta-hoist-nonce"), ==, f.up->nonce);
    g_assert_cmpstr(fixture_sent(&f, "If-None-Match"), ==, "*");
    g_autofree char *crc = digest_base64(f.up->parts[0].digest, DIGEST_CRC64NVME);
    g_autofree char *sha = digest_hex(f.up->parts[0].digest->value[DIGEST_SHA256], 32);
    g_assert_cmpstr(fixture_sent(&f, "x-amz-checksum-crc64nvme"), ==, crc);
    g_assert_cmpstr(fixture_sent(&f, "x-amz-content-sha256"), ==, sha);
    g_assert_cmpstr(fixture_sent(&f, "x-amz-date"), ==, "20260115T093000Z");
    g_assert_nonnull(strstr(fixture_sent(&f, "Authorization"), "/20260115/us-east-1/s3/aws4_request"));
    fixture_clear(&f);
}

static void test_put_payload(void)
{
    Fixture f;
    fixture_open(&f, HTTPS, NULL);
    fixture_upload(&f, 10, 0, 'x');
    g_assert_true(fixture_ask(&f, PHASE_PART, 0));
    g_assert_cmpstr(fixture_sent(&f, "x-amz-content-sha256"), ==, "UNSIGNED-PAYLOAD");
    g_assert_cmpstr(fixture_sent(&f, "Content-Type"), ==, "text/plain");
    g_assert_null(fixture_sent(&f, "If-None-Match"));
    fixture_clear(&f);

    fixture_open(&f, HTTP, NULL);
    fixture_upload(&f, 10, 0, 'x');
    f.up->parts[0].digest->have &= ~DIGEST_BIT(DIGEST_SHA256);
    g_assert_false(fixture_ask(&f, PHASE_PART, 0));
    g_assert_cmpint(fault_code(f.error), ==, FAULT_BUG);
    f.ctx.creds = NULL; /* anonymous: nothing is signed */
    g_assert_true(fixture_ask(&f, PHASE_PART, 0));
    g_assert_null(fixture_sent(&f, "Authorization"));
    fixture_clear(&f);
}

static void test_put_empty_file(void)
{
    Fixture f;
    fixture_open(&f, HTTP, NULL);
    fixture_upload(&f, 0, 0, 'x');
    f.up->mtime_ns = -1500000000;
    g_assert_true(fixture_ask(&f, PHASE_PART, 0));
    g_assert_cmpuint(f.rq->body_bytes, ==, 0);
    g_assert_cmpstr(fixture_sent(&f, "x-amz-meta-mtime"), ==, "-1.500000000");
    g_assert_cmpstr(fixture_sent(&f, "x-amz-content-sha256"), ==, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    fixture_clear(&f);
}

static void test_put_learned_is_used(void)
{
    Fixture f;
    fixture_open(&f, NULL, NULL);
    dest_learned_from_text(&f.learned, "region=eu-north-1 clock=3600 checksum.crc64nvme=ignored");
    fixture_upload(&f, 10, 0, 'x');
    g_assert_true(fixture_ask(&f, PHASE_PART, 0));
    g_assert_cmpstr(f.rq->url, ==, "https://bucket.s3.eu-north-1.amazonaws.com/pre/a%20b.txt");
    g_assert_cmpstr(fixture_sent(&f, "x-amz-date"), ==, "20260115T103000Z");
    g_assert_nonnull(strstr(fixture_sent(&f, "Authorization"), "/eu-north-1/s3/"));
    g_assert_null(fixture_sent(&f, "x-amz-checksum-crc64nvme"));
    g_autofree char *md5 = digest_base64(f.up->parts[0].digest, DIGEST_MD5);
    g_assert_cmpstr(fixture_sent(&f, "Content-MD5"), ==, md5);
    f.learned.style = 1;
    g_assert_true(fixture_ask(&f, PHASE_PART, 0));
    g_assert_cmpstr(f.rq->url, ==, "https://s3.eu-north-1.amazonaws.com/bucket/pre/a%20b.txt");
    fixture_clear(&f);
}

static void test_put_verified_by_checksum(void)
{
    Fixture f;
    fixture_open(&f, HTTP, NULL);
    fixture_upload(&f, 1000, 0, 'x');
    g_autofree char *echo = fixture_checksum_header(&f, DIGEST_CRC64NVME, 0);
    g_autofree char *headers = g_strconcat(echo, "ETag: \"opaque\"\nx-amz-version-id: v1", NULL);
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 200, headers, NULL), ==, VERDICT_OK);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_CHECKSUM);
    g_assert_cmpstr(f.up->etag, ==, "\"opaque\"");
    g_assert_cmpstr(f.up->version, ==, "v1");
    g_assert_true(g_str_has_prefix(f.up->checksum, "crc64nvme:"));
    g_assert_true(f.up->parts[0].done);
    g_assert_cmpint(f.learned.checksum[DIGEST_CRC64NVME], ==, LEARNED_WORKS);
    g_assert_true(f.learned.dirty);
    fixture_clear(&f);
}

static void test_put_verified_by_etag(void)
{
    Fixture f;
    fixture_open(&f, HTTP, NULL);
    fixture_upload(&f, 1000, 0, 'x');
    g_autofree char *etag = upload_expected_etag(f.up);
    g_autofree char *headers = g_strdup_printf("ETag: %s", etag);
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 200, headers, NULL), ==, VERDICT_OK);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_ETAG);
    g_assert_cmpint(f.learned.checksum[DIGEST_CRC64NVME], ==, LEARNED_IGNORED);
    g_assert_cmpint(f.learned.checksum[DIGEST_MD5], ==, LEARNED_WORKS);

    /* from now on another ETag is a damaged object, unless the store encrypts */
    fixture_upload(&f, 1000, 0, 'x');
    static const char other[] = "ETag: \"00000000000000000000000000000000\"";
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 200, other, NULL), ==, VERDICT_RETRY);
    g_assert_cmpint(fault_code(f.error), ==, FAULT_CHECKSUM);
    g_autofree char *encrypted = g_strconcat(other, "\nx-amz-server-side-encryption: aws:kms", NULL);
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 200, encrypted, NULL), ==, VERDICT_OK);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_NOT);
    fixture_clear(&f);
}

/* What the answer to an object of 1000 bytes, or to the first part of one of 12 MiB, teaches about ETags. */
static LearnedState etag_lesson(uint64_t bytes, const char *headers)
{
    Fixture f;
    fixture_open(&f, HTTPS, NULL);
    if (bytes > 1000)
        f.learned.checksum[DIGEST_CRC64NVME] = LEARNED_IGNORED; /* so that MD5 is computed */
    fixture_upload(&f, bytes, bytes > 1000 ? 6 * MIB : 0, 'x');
    f.up->upload_id = g_strdup("id");
    g_autofree char *md5 = digest_hex(f.up->parts[0].digest->value[DIGEST_MD5], 16);
    g_auto(GStrv) pieces = g_strsplit(headers, "MD5", -1);
    g_autofree char *filled = g_strjoinv(md5, pieces);
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 200, filled, NULL), ==, VERDICT_OK);
    const LearnedState learned = f.learned.checksum[DIGEST_MD5];
    g_assert_true(learned == LEARNED_UNKNOWN || f.learned.dirty);
    if (learned == LEARNED_IGNORED) {
        g_assert_cmpuint(f.ctx.ops->digests(&f.ctx, f.up), ==, 0);
        fixture_upload(&f, 1000, 0, 'x');
        g_assert_true(fixture_ask(&f, PHASE_PART, 0));
        g_assert_null(fixture_sent(&f, "Content-MD5"));
    }
    fixture_clear(&f);
    return learned;
}

static void test_etags_that_are_no_md5(void)
{
#define OTHER "ETag: \"00000000000000000000000000000000\""
    g_assert_cmpint(etag_lesson(1000, "ETag: \"MD5\""), ==, LEARNED_WORKS);
    g_assert_cmpint(etag_lesson(1000, OTHER), ==, LEARNED_IGNORED);
    g_assert_cmpint(etag_lesson(1000, "ETag: \"MD5-1\""), ==, LEARNED_IGNORED);
    g_assert_cmpint(etag_lesson(1000, "ETag: \"opaque\""), ==, LEARNED_IGNORED);
    g_assert_cmpint(etag_lesson(1000, ""), ==, LEARNED_UNKNOWN);
    g_assert_cmpint(etag_lesson(1000, OTHER "\nx-amz-server-side-encryption: aws:kms"), ==, LEARNED_UNKNOWN);
    g_assert_cmpint(etag_lesson(1000, OTHER "\nx-amz-server-side-encryption: AES256"), ==, LEARNED_UNKNOWN);
    g_assert_cmpint(etag_lesson(1000, OTHER "\nx-amz-server-side-encryption-customer-algorithm: AES256"), ==, LEARNED_UNKNOWN);
    g_assert_cmpint(etag_lesson(12 * MIB, "ETag: \"MD5\""), ==, LEARNED_UNKNOWN); /* of parts it is no promise */
    g_assert_cmpint(etag_lesson(12 * MIB, OTHER), ==, LEARNED_IGNORED);
    g_assert_cmpint(etag_lesson(12 * MIB, "ETag: \"MD5-1\""), ==, LEARNED_IGNORED);
#undef OTHER
}

/* A new endpoint: the first parts carry the checksum alone, whose fate decides whether MD5 is needed at all. */
static void test_first_parts_without_md5(void)
{
    const unsigned crc = DIGEST_BIT(DIGEST_CRC64NVME), md5 = DIGEST_BIT(DIGEST_MD5);
    Fixture f;
    fixture_open(&f, HTTPS, NULL);
    fixture_upload(&f, 12 * MIB, 6 * MIB, 'x');
    f.up->upload_id = g_strdup("id");
    g_assert_cmpuint(f.ctx.ops->digests(&f.ctx, f.up), ==, crc);
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 200, "ETag: \"00000000000000000000000000000000\"", NULL), ==, VERDICT_OK);
    g_assert_cmpuint(f.ctx.ops->digests(&f.ctx, f.up), ==, md5); /* it may be one: nothing to compare it with yet */
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 1, 200, "ETag: \"other-form\"", NULL), ==, VERDICT_OK);
    g_assert_cmpuint(f.ctx.ops->digests(&f.ctx, f.up), ==, 0);
    fixture_clear(&f);
}

static void test_put_not_verified(void)
{
    Fixture f;
    fixture_open(&f, HTTP, NULL);
    fixture_upload(&f, 1000, 0, 'x');
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 200, "ETag: \"00000000000000000000000000000000\"", NULL), ==, VERDICT_OK);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_NOT);
    fixture_upload(&f, 1000, 0, 'x');
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 200, NULL, NULL), ==, VERDICT_OK);
    g_assert_cmpstr(f.up->etag, ==, ""); /* confirmed, though without a name */
    fixture_clear(&f);
}

static void test_put_wrong_echo(void)
{
    Fixture f;
    fixture_open(&f, HTTP, NULL);
    fixture_upload(&f, 1000, 0, 'x');
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 200, "ETag: \"a\"\nx-amz-checksum-crc64nvme: AAAAAAAAAAA=", NULL), ==, VERDICT_RETRY);
    g_assert_cmpint(fault_code(f.error), ==, FAULT_CHECKSUM);
    g_assert_false(f.up->parts[0].done);
    g_assert_null(f.up->etag);
    fixture_clear(&f);
}

/* ---- multipart */

static void test_open_request(void)
{
    static const char *const options[] = { "acl", "private", "if-exists", "fail", NULL };
    Fixture f;
    fixture_open(&f, HTTP, options);
    fixture_upload(&f, 12 * MIB, 5 * MIB, 'x');
    g_assert_true(fixture_ask(&f, PHASE_OPEN, 0));
    g_assert_cmpstr(f.rq->method, ==, "POST");
    g_assert_cmpstr(f.rq->url, ==, "http://127.0.0.1:9000/bucket/pre/a%20b.txt?uploads=");
    g_assert_cmpstr(fixture_sent(&f, "Content-Type"), ==, "text/plain");
    g_assert_cmpstr(fixture_sent(&f, "x-amz-acl"), ==, "private");
    g_assert_cmpstr(fixture_sent(&f, "x-amz-checksum-algorithm"), ==, "CRC64NVME");
    g_assert_cmpstr(fixture_sent(&f, "x-amz-checksum-type"), ==, "FULL_OBJECT");
    g_assert_cmpstr(fixture_sent(&f, "x-amz-meta-hoist-nonce"), ==, f.up->nonce);
    g_assert_null(fixture_sent(&f, "If-None-Match"));
    f.learned.checksum[DIGEST_CRC64NVME] = LEARNED_REFUSED;
    g_assert_true(fixture_ask(&f, PHASE_OPEN, 0));
    g_assert_null(fixture_sent(&f, "x-amz-checksum-algorithm"));
    fixture_clear(&f);
}

static void test_open_answer(void)
{
    Fixture f;
    fixture_open(&f, HTTP, NULL);
    fixture_upload(&f, 12 * MIB, 5 * MIB, 'x');
    static const char fine[] = "<InitiateMultipartUploadResult><Key>\x1b</Key><UploadId>a+b/c=~</UploadId></InitiateMultipartUploadResult>";
    g_assert_cmpint(fixture_read(&f, PHASE_OPEN, 0, 200, NULL, fine), ==, VERDICT_OK);
    g_assert_cmpstr(f.up->upload_id, ==, "a+b/c=~");
    g_assert_cmpint(f.up->opened_s, ==, FIXTURE_NOW_S);
    g_assert_true(fixture_ask(&f, PHASE_PART, 2));
    g_assert_cmpstr(f.rq->url, ==, "http://127.0.0.1:9000/bucket/pre/a%20b.txt?partNumber=3&uploadId=a%2Bb%2Fc%3D~");
    g_assert_cmpuint(f.rq->body_bytes, ==, 2 * MIB);
    g_assert_cmpuint(f.rq->spans[0].offset, ==, 10 * MIB);
    g_assert_null(fixture_sent(&f, "x-amz-meta-mtime"));

    static const char rclone[] = "<InitiateMultipartUpload><UploadId>R</UploadId></InitiateMultipartUpload>";
    g_assert_cmpint(fixture_read(&f, PHASE_OPEN, 0, 200, NULL, rclone), ==, VERDICT_OK);
    g_assert_cmpstr(f.up->upload_id, ==, "R");
    static const char no_id[] = "<InitiateMultipartUploadResult><UploadId/></InitiateMultipartUploadResult>";
    g_assert_cmpint(fixture_read(&f, PHASE_OPEN, 0, 200, NULL, no_id), ==, VERDICT_RETRY);
    g_assert_cmpint(fixture_read(&f, PHASE_OPEN, 0, 200, NULL, "<html></html>"), ==, VERDICT_RETRY);
    g_assert_cmpint(fault_code(f.error), ==, FAULT_BAD_ANSWER);
    g_assert_cmpint(fixture_read(&f, PHASE_OPEN, 0, 200, NULL, NULL), ==, VERDICT_RETRY);
    fixture_clear(&f);
}

/* All parts answered with their ETags, echoing the checksum when asked to. */
static void send_parts(Fixture *f, DigestKind kind, bool echoed)
{
    f->up->upload_id = g_strdup("U");
    for (unsigned i = 0; i < f->up->n_parts; i++) {
        g_autofree char *echo = echoed ? fixture_checksum_header(f, kind, (int)i) : g_strdup("");
        g_autofree char *headers = g_strdup_printf("%sETag: \"e<%u>\"", echo, i);
        g_assert_cmpint(fixture_read(f, PHASE_PART, i, 200, headers, NULL), ==, VERDICT_OK);
    }
}

static void test_part_answers(void)
{
    Fixture f;
    fixture_open(&f, HTTP, NULL);
    fixture_upload(&f, 12 * MIB, 5 * MIB, 'x');
    send_parts(&f, DIGEST_CRC64NVME, true);
    g_assert_cmpstr(f.up->parts[1].etag, ==, "\"e<1>\"");
    g_assert_cmpuint(upload_done_bytes(f.up), ==, 12 * MIB);
    g_assert_null(f.up->etag);
    g_assert_cmpint(f.learned.checksum[DIGEST_CRC64NVME], ==, LEARNED_WORKS);
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 200, NULL, NULL), ==, VERDICT_RETRY); /* no ETag: cannot be completed */
    g_assert_cmpint(fault_code(f.error), ==, FAULT_BAD_ANSWER);
    fixture_clear(&f);
}

static char *document_of(const Request *rq)
{
    gsize bytes = 0;
    const char *data = g_bytes_get_data(rq->spans[0].bytes, &bytes);
    return g_strndup(data, bytes);
}

static void test_close_request(void)
{
    static const char *const options[] = { "if-exists", "skip", NULL };
    Fixture f;
    fixture_open(&f, HTTP, options);
    fixture_upload(&f, 6 * MIB, 5 * MIB, 'x');
    g_assert_false(fixture_ask(&f, PHASE_CLOSE, 0)); /* parts are missing */
    send_parts(&f, DIGEST_CRC64NVME, true);
    g_assert_true(fixture_ask(&f, PHASE_CLOSE, 0));
    g_assert_cmpstr(f.rq->method, ==, "POST");
    g_assert_true(f.rq->slow_answer);
    g_assert_cmpstr(f.rq->url, ==, "http://127.0.0.1:9000/bucket/pre/a%20b.txt?uploadId=U");
    g_assert_cmpstr(fixture_sent(&f, "If-None-Match"), ==, "*");
    g_autofree char *whole = fixture_checksum_header(&f, DIGEST_CRC64NVME, -1);
    g_assert_nonnull(strstr(whole, fixture_sent(&f, "x-amz-checksum-crc64nvme")));
    g_assert_cmpstr(fixture_sent(&f, "x-amz-checksum-type"), ==, "FULL_OBJECT");
    g_autofree char *document = document_of(f.rq);
    g_autofree char *crc0 = digest_base64(f.up->parts[0].digest, DIGEST_CRC64NVME);
    g_autofree char *crc1 = digest_base64(f.up->parts[1].digest, DIGEST_CRC64NVME);
    g_autofree char *expected = g_strdup_printf(
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
        "<Part><PartNumber>1</PartNumber><ETag>&quot;e&lt;0&gt;&quot;</ETag><ChecksumCRC64NVME>%s</ChecksumCRC64NVME></Part>"
        "<Part><PartNumber>2</PartNumber><ETag>&quot;e&lt;1&gt;&quot;</ETag><ChecksumCRC64NVME>%s</ChecksumCRC64NVME></Part>"
        "</CompleteMultipartUpload>",
        crc0, crc1);
    g_assert_cmpstr(document, ==, expected);
    g_autofree char *sha = g_compute_checksum_for_string(G_CHECKSUM_SHA256, document, -1);
    g_assert_cmpstr(fixture_sent(&f, "x-amz-content-sha256"), ==, sha);
    fixture_clear(&f);
}

static void test_close_composite(void)
{
    static const char *const options[] = { "checksum", "sha256", NULL };
    Fixture f;
    fixture_open(&f, HTTPS, options);
    fixture_upload(&f, 6 * MIB, 5 * MIB, 'x');
    g_assert_true(fixture_ask(&f, PHASE_OPEN, 0));
    g_assert_cmpstr(fixture_sent(&f, "x-amz-checksum-type"), ==, "COMPOSITE");
    send_parts(&f, DIGEST_SHA256, true);
    g_assert_true(fixture_ask(&f, PHASE_CLOSE, 0));
    g_assert_null(fixture_sent(&f, "x-amz-checksum-sha256"));
    g_autofree char *document = document_of(f.rq), *second = digest_base64(f.up->parts[1].digest, DIGEST_SHA256);
    g_autofree char *element = g_strdup_printf("<ChecksumSHA256>%s</ChecksumSHA256></Part></Complete", second);
    g_assert_nonnull(strstr(document, element));

    g_autoptr(GChecksum) of_parts = g_checksum_new(G_CHECKSUM_SHA256);
    for (unsigned i = 0; i < 2; i++)
        g_checksum_update(of_parts, f.up->parts[i].digest->value[DIGEST_SHA256], 32);
    DigestSet set = { .have = DIGEST_BIT(DIGEST_SHA256) };
    gsize bytes = 32;
    g_checksum_get_digest(of_parts, set.value[DIGEST_SHA256], &bytes);
    g_autofree char *base64 = digest_base64(&set, DIGEST_SHA256);
    g_autofree char *answer = g_strdup_printf(
        "<CompleteMultipartUploadResult><ETag>x</ETag><ChecksumSHA256>%s-2</ChecksumSHA256></CompleteMultipartUploadResult>", base64);
    g_assert_cmpint(fixture_read(&f, PHASE_CLOSE, 0, 200, NULL, answer), ==, VERDICT_OK);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_CHECKSUM);
    fixture_clear(&f);
}

static void test_close_verified(void)
{
    Fixture f;
    fixture_open(&f, HTTP, NULL);
    f.learned.checksum[DIGEST_CRC64NVME] = LEARNED_IGNORED;
    fixture_upload(&f, 6 * MIB, 5 * MIB, 'x');
    send_parts(&f, DIGEST_CRC64NVME, false);
    g_autofree char *etag = upload_expected_etag(f.up);
    g_autofree char *by_etag = g_strdup_printf("\n\n <CompleteMultipartUploadResult><ETag>%s</ETag></CompleteMultipartUploadResult>", etag);
    g_assert_cmpint(fixture_read(&f, PHASE_CLOSE, 0, 200, "x-amz-version-id: v", by_etag), ==, VERDICT_OK);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_ETAG);
    g_assert_cmpstr(f.up->etag, ==, etag);
    g_assert_cmpstr(f.up->version, ==, "v");
    /* a strange ETag of parts is no failure, nor is none at all: HEAD decides */
    static const char strange[] =
        "<CompleteMultipartUploadResult><ETag>\"00000000000000000000000000000000-2\"</ETag></CompleteMultipartUploadResult>";
    g_assert_cmpint(fixture_read(&f, PHASE_CLOSE, 0, 200, NULL, strange), ==, VERDICT_OK);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_NOT);
    g_assert_cmpint(fixture_read(&f, PHASE_CLOSE, 0, 200, NULL, "<CompleteMultipartUploadResult/>"), ==, VERDICT_OK);
    g_assert_cmpstr(f.up->etag, ==, "");
    f.learned.checksum[DIGEST_CRC64NVME] = LEARNED_UNKNOWN;
    fixture_upload(&f, 6 * MIB, 5 * MIB, 'x');
    send_parts(&f, DIGEST_CRC64NVME, true);
    static const char wrong[] =
        "<CompleteMultipartUploadResult><ChecksumCRC64NVME>AAAAAAAAAAA=</ChecksumCRC64NVME></CompleteMultipartUploadResult>";
    g_assert_cmpint(fixture_read(&f, PHASE_CLOSE, 0, 200, NULL, wrong), ==, VERDICT_RESTART);
    g_assert_cmpint(fault_code(f.error), ==, FAULT_CHECKSUM);
    fixture_clear(&f);
}

/* ---- ABORT */

static void test_abort(void)
{
    Fixture f;
    fixture_open(&f, HTTP, NULL);
    fixture_upload(&f, 6 * MIB, 5 * MIB, 'x');
    f.up->upload_id = g_strdup("U");
    g_assert_true(fixture_ask(&f, PHASE_ABORT, 0));
    g_assert_cmpstr(f.rq->method, ==, "DELETE");
    g_assert_cmpstr(f.rq->url, ==, "http://127.0.0.1:9000/bucket/pre/a%20b.txt?uploadId=U");
    g_assert_cmpint(fixture_read(&f, PHASE_ABORT, 0, 204, NULL, NULL), ==, VERDICT_OK);
    g_assert_cmpint(fixture_fail(&f, PHASE_ABORT, 404, "NoSuchUpload", ""), ==, VERDICT_OK);
    g_assert_null(f.up->note);
    g_assert_cmpint(fixture_fail(&f, PHASE_ABORT, 405, "MethodNotAllowed", ""), ==, VERDICT_OK);
    g_assert_nonnull(f.up->note);
    g_assert_cmpint(fixture_fail(&f, PHASE_ABORT, 403, "AccessDenied", ""), ==, VERDICT_FAIL);
    g_assert_cmpint(fixture_fail(&f, PHASE_ABORT, 503, "SlowDown", ""), ==, VERDICT_RETRY);
    fixture_clear(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dest/s3/open-refuses-options", test_open_refuses);
    g_test_add_func("/dest/s3/open-refuses-endpoints", test_open_refuses_endpoints);
    g_test_add_func("/dest/s3/open-names", test_open_names);
    g_test_add_func("/dest/s3/where-and-url", test_where_and_url);
    g_test_add_func("/dest/s3/plan", test_plan);
    g_test_add_func("/dest/s3/plan-refuses", test_plan_refuses);
    g_test_add_func("/dest/s3/digests", test_digests);
    g_test_add_func("/dest/s3/put/request", test_put_request);
    g_test_add_func("/dest/s3/put/payload-line", test_put_payload);
    g_test_add_func("/dest/s3/put/empty-file", test_put_empty_file);
    g_test_add_func("/dest/s3/put/learned-is-used", test_put_learned_is_used);
    g_test_add_func("/dest/s3/put/verified-by-checksum", test_put_verified_by_checksum);
    g_test_add_func("/dest/s3/put/verified-by-etag", test_put_verified_by_etag);
    g_test_add_func("/dest/s3/put/etags-that-are-no-md5", test_etags_that_are_no_md5);
    g_test_add_func("/dest/s3/put/first-parts-without-md5", test_first_parts_without_md5);
    g_test_add_func("/dest/s3/put/not-verified", test_put_not_verified);
    g_test_add_func("/dest/s3/put/wrong-echo", test_put_wrong_echo);
    g_test_add_func("/dest/s3/multipart/open-request", test_open_request);
    g_test_add_func("/dest/s3/multipart/open-answer", test_open_answer);
    g_test_add_func("/dest/s3/multipart/part-answers", test_part_answers);
    g_test_add_func("/dest/s3/multipart/close-request", test_close_request);
    g_test_add_func("/dest/s3/multipart/close-composite", test_close_composite);
    g_test_add_func("/dest/s3/multipart/close-verified", test_close_verified);
    g_test_add_func("/dest/s3/abort", test_abort);
    return g_test_run();
}
