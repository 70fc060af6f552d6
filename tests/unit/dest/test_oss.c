/* What oss.c and its neighbours ask for, and what answers make of an upload. */
#include <json-glib/json-glib.h>

#include "s3_fixture.h"

#define HTTP      "http://127.0.0.1:9000"
#define ID        "x-oss-request-id: R1\n"
#define PART_SIZE (UINT64_C(128) << 10)

static void give_keys(Fixture *f)
{
    static const char *const pairs[][2] = { { "access-key", "AKIDEXAMPLE" },
                                            { "secret-key", "SECRETSECRETSECRET" },
                                            { "session-token", "TOKENTOKENTOKEN" } };
    f->creds.secrets = g_hash_table_new(g_str_hash, g_str_equal);
    for (unsigned i = 0; i < G_N_ELEMENTS(pairs); i++)
        g_hash_table_insert(f->creds.secrets, (gpointer)pairs[i][0], (gpointer)pairs[i][1]);
}

static void open_at(Fixture *f, const char *endpoint, const char *const *options)
{
    fixture_open_to(f, "oss://bucket/pre", endpoint, options);
    g_assert_no_error(f->error);
    g_assert_nonnull(f->ctx.priv);
    give_keys(f);
}

static void open_small(Fixture *f, const char *const *options)
{
    open_at(f, HTTP, options);
    fixture_upload(f, 1000, 0, 'x');
}

/* Three parts, upload id "U". */
static void open_parts(Fixture *f, const char *const *options)
{
    open_at(f, HTTP, options);
    fixture_upload(f, 2 * PART_SIZE + 5, PART_SIZE, 'x');
    f->up->upload_id = g_strdup("U");
    f->up->opened_s = FIXTURE_NOW_S;
}

static void close_all(Fixture *f)
{
    GHashTable *secrets = f->creds.secrets;
    fixture_clear(f);
    g_hash_table_unref(secrets);
}

static uint64_t crc_of(const Fixture *f, int part)
{
    uint8_t crc[DIGEST_MAX_BYTES];
    if (part < 0)
        g_assert_true(upload_object_digest(f->up, DIGEST_CRC64ECMA, crc));
    else
        memcpy(crc, f->up->parts[part].digest->value[DIGEST_CRC64ECMA], 8);
    uint64_t number = 0;
    for (unsigned i = 0; i < 8; i++)
        number = number << 8 | crc[i];
    return number;
}

/* Headers of a good answer. Caller frees. */
static char *good(const Fixture *f, int part)
{
    return g_strdup_printf(ID "ETag: \"ABC\"\nx-oss-hash-crc64ecma: %" G_GUINT64_FORMAT, crc_of(f, part));
}

static void assert_fault(const Fixture *f, FaultCode code, const char *words)
{
    g_assert_cmpstr(fault_info((int)fault_code(f->error))->name, ==, fault_info(code)->name);
    if (words != NULL && strstr(f->error->message, words) == NULL)
        g_error("\"%s\" does not say \"%s\"", f->error->message, words);
}

/* ---- configuration */

static void test_refuses(void)
{
    static const char *const rows[][2] = { { "part-size", "99KiB" },
                                           { "part-size", "6GiB" },
                                           { "checksum", "sha256" },
                                           { "sse", "aws:kms:dsse" },
                                           { "header", "x-oss-forbid-overwrite: false" },
                                           { "header", "x-oss-callback: e30=" },
                                           { "header", "Date: today" },
                                           { "meta", "hoist-nonce=1" },
                                           { "callback-var", "a=b" },
                                           { "callback-body", "a" },
                                           { "callback-url", "ftp://host/" },
                                           { "callback-url", "http://1/;http://2/;http://3/;http://4/;http://5/;http://6/" },
                                           { "oss-domain", "true" } };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *const options[] = { rows[i][0], rows[i][1], NULL };
        Fixture f;
        fixture_open_to(&f, "oss://bucket/pre", NULL, options);
        if (f.ctx.priv != NULL)
            g_error("%s %s was taken", rows[i][0], rows[i][1]);
        g_assert_cmpint(fault_code(f.error), ==, FAULT_USAGE);
        fixture_clear(&f);
    }
    static const char *const variable[] = { "callback-url", "http://a/", "callback-var", "A=b", NULL };
    static const char *const buckets[] = { "oss://ab", "oss://Bucket", "oss://a_b_c", "oss://-abc", "oss://abc-", "oss://bucket" };
    for (unsigned i = 0; i < G_N_ELEMENTS(buckets); i++) {
        Fixture f;
        fixture_open_to(&f, buckets[i], HTTP, g_str_equal(buckets[i], "oss://bucket") ? variable : NULL);
        g_assert_null(f.ctx.priv);
        g_assert_cmpint(fault_code(f.error), ==, FAULT_USAGE);
        fixture_clear(&f);
    }
}

static void test_urls(void)
{
    static const struct {
        const char *endpoint, *options[5], *url, *where;
    } rows[] = {
        { NULL, { NULL }, "https://bucket.oss-cn-hangzhou.aliyuncs.com/a%20b/%C3%A4", "https://bucket.oss-cn-hangzhou.aliyuncs.com" },
        { "https://oss-eu-central-1.aliyuncs.com", { NULL }, "https://bucket.oss-eu-central-1.aliyuncs.com/a%20b/%C3%A4", NULL },
        { "oss-eu-central-1.aliyuncs.com", { NULL }, "https://bucket.oss-eu-central-1.aliyuncs.com/a%20b/%C3%A4", NULL },
        { "https://oss-us-west-1-internal.aliyuncs.com",
          { NULL },
          "https://bucket.oss-us-west-1-internal.aliyuncs.com/a%20b/%C3%A4",
          NULL },
        { "http://oss-us-west-1.aliyuncs.com", { NULL }, "http://bucket.oss-us-west-1.aliyuncs.com/a%20b/%C3%A4", NULL },
        { "https://cn-beijing.oss.aliyuncs.com", { NULL }, "https://bucket.cn-beijing.oss.aliyuncs.com/a%20b/%C3%A4", NULL },
        { "https://oss-accelerate.aliyuncs.com", { NULL }, "https://bucket.oss-accelerate.aliyuncs.com/a%20b/%C3%A4", NULL },
        { HTTP, { NULL }, HTTP "/bucket/a%20b/%C3%A4", HTTP "/bucket" },
        { "https://gw.example.net/base", { "addressing", "path" }, "https://gw.example.net/base/bucket/a%20b/%C3%A4", NULL },
        { "https://cdn.example.com", { "oss-domain", "true" }, "https://cdn.example.com/a%20b/%C3%A4", "https://cdn.example.com" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Fixture f;
        open_at(&f, rows[i].endpoint, rows[i].options);
        g_autofree char *url = f.ctx.ops->url(&f.ctx, "a b/ä"), *where = f.ctx.ops->where(&f.ctx);
        g_assert_cmpstr(url, ==, rows[i].url);
        if (rows[i].where != NULL)
            g_assert_cmpstr(where, ==, rows[i].where);
        close_all(&f);
    }
}

static void test_plan(void)
{
    static const struct {
        const char *key;
        bool fine;
    } rows[] = { { "a", true }, { "/a", false }, { "\\a", false }, { "a\xff", false }, { "", false } };
    Fixture f;
    open_at(&f, HTTP, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(Upload) up = upload_new(rows[i].key, 10, 0);
        g_clear_error(&f.error);
        g_assert_true(f.ctx.ops->plan(&f.ctx, up, 0, &f.error) == rows[i].fine);
        g_assert_cmpint(fault_code(f.error), ==, rows[i].fine ? FAULT_NONE : FAULT_KEY);
    }
    g_autofree char *longest = g_strnfill(1024, 'k');
    g_autoptr(Upload) up = upload_new(longest, 10, 0);
    g_clear_error(&f.error);
    g_assert_false(f.ctx.ops->plan(&f.ctx, up, 0, &f.error));
    longest[1023] = '\0';
    upload_set(&up->key, longest);
    g_clear_error(&f.error);
    g_assert_true(f.ctx.ops->plan(&f.ctx, up, 0, &f.error));
    up->size_bytes = 10 * PART_SIZE;
    g_assert_true(f.ctx.ops->plan(&f.ctx, up, PART_SIZE, &f.error));
    g_assert_cmpuint(up->n_parts, ==, 10); /* smaller than a MiB, and not rounded up to one */
    g_assert_false(f.ctx.ops->plan(&f.ctx, up, 1024, &f.error));
    close_all(&f);
}

/* ---- requests */

static void test_put(void)
{
    static const char *const options[] = { "acl",       "public-read", "storage-class", "IA",     "sse",        "aws:kms",  "tag",
                                           "a=1\nb=2",  "meta",        "author=ä",      "header", "Expires: 0", "checksum", "md5",
                                           "if-exists", "fail",        "traffic-limit", "819200", NULL };
    static const char *const wanted[][2] = { { "Content-Type", "text/plain" },
                                             { "x-oss-object-acl", "public-read" },
                                             { "x-oss-storage-class", "IA" },
                                             { "x-oss-server-side-encryption", "KMS" },
                                             { "x-oss-tagging", "a=1&b=2" },
                                             { "x-oss-meta-author", "=?UTF-8?B?w6Q=?=" },
                                             { "x-oss-meta-mtime", "1700000000.123456789" },
                                             { "x-oss-meta-hoist-nonce", "0123456789abcdef0123456789abcdef" },
                                             { "Expires", "0" },
                                             { "x-oss-forbid-overwrite", "true" },
                                             { "x-oss-traffic-limit", "819200" },
                                             { "x-oss-date", "20260115T093000Z" },
                                             { "x-oss-content-sha256", "UNSIGNED-PAYLOAD" },
                                             { "x-oss-security-token", "TOKENTOKENTOKEN" } };
    Fixture f;
    open_small(&f, options);
    g_assert_true(f.up->look_first);
    g_assert_true(fixture_ask(&f, PHASE_PART, 0));
    g_assert_cmpstr(f.rq->method, ==, "PUT");
    g_assert_cmpstr(f.rq->url, ==, HTTP "/bucket/pre/a%20b.txt");
    for (unsigned i = 0; i < G_N_ELEMENTS(wanted); i++)
        g_assert_cmpstr(fixture_sent(&f, wanted[i][0]), ==, wanted[i][1]);
    g_autofree char *md5 = digest_base64(f.up->parts[0].digest, DIGEST_MD5);
    g_assert_cmpstr(fixture_sent(&f, "Content-MD5"), ==, md5);
    g_assert_true(g_str_has_prefix(fixture_sent(&f, "Authorization"), "OSS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260115/cn-hangzhou/oss/"));
    close_all(&f);

    static const char *const v1[] = { "oss-signature", "v1", NULL };
    open_small(&f, v1);
    g_assert_true(fixture_ask(&f, PHASE_PART, 0));
    g_assert_true(g_str_has_prefix(fixture_sent(&f, "Authorization"), "OSS AKIDEXAMPLE:"));
    g_assert_cmpstr(fixture_sent(&f, "Date"), ==, "Thu, 15 Jan 2026 09:30:00 GMT");
    f.ctx.creds = NULL;
    g_assert_true(fixture_ask(&f, PHASE_PART, 0));
    g_assert_null(fixture_sent(&f, "Authorization"));
    close_all(&f);
}

static void test_multipart_requests(void)
{
    static const struct {
        Phase phase;
        unsigned part;
        const char *method, *url;
    } rows[] = {
        { PHASE_OPEN, 0, "POST", HTTP "/bucket/pre/a%20b.txt?uploads=" },
        { PHASE_PART, 1, "PUT", HTTP "/bucket/pre/a%20b.txt?partNumber=2&uploadId=U" },
        { PHASE_CLOSE, 0, "POST", HTTP "/bucket/pre/a%20b.txt?uploadId=U" },
        { PHASE_ABORT, 0, "DELETE", HTTP "/bucket/pre/a%20b.txt?uploadId=U" },
        { PHASE_RESUME, 0, "GET", HTTP "/bucket/pre/a%20b.txt?max-parts=1000&uploadId=U" },
        { PHASE_FIND, 0, "GET", HTTP "/bucket?uploads=&encoding-type=url&max-uploads=1000&prefix=pre%2Fa%20b.txt" },
        { PHASE_VERIFY, 0, "HEAD", HTTP "/bucket/pre/a%20b.txt" },
        { PHASE_REMOVE, 0, "DELETE", HTTP "/bucket/pre/a%20b.txt" },
    };
    Fixture f;
    open_parts(&f, NULL);
    g_assert_false(fixture_ask(&f, PHASE_CLOSE, 0)); /* parts are missing */
    g_assert_cmpint(fault_code(f.error), ==, FAULT_BUG);
    for (unsigned i = 0; i < f.up->n_parts; i++) {
        f.up->parts[i].done = true;
        f.up->parts[i].etag = g_strdup_printf("\"E%u\"", i);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_assert_true(fixture_ask(&f, rows[i].phase, rows[i].part));
        g_assert_cmpstr(f.rq->method, ==, rows[i].method);
        g_assert_cmpstr(f.rq->url, ==, rows[i].url);
        g_assert_nonnull(fixture_sent(&f, "Authorization"));
    }
    g_assert_true(fixture_ask(&f, PHASE_CLOSE, 0));
    g_autofree char *document = g_strndup(g_bytes_get_data(f.rq->spans[0].bytes, NULL), f.rq->body_bytes);
    g_assert_cmpstr(document, ==,
                    "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>&quot;E0&quot;</ETag></Part><Part><PartNumber>2</"
                    "PartNumber><ETag>&quot;E1&quot;</ETag></Part><Part><PartNumber>3</PartNumber><ETag>&quot;E2&quot;</ETag></Part></"
                    "CompleteMultipartUpload>");
    upload_set(&f.up->upload_id, NULL);
    for (unsigned i = 1; i < 5; i++)
        g_assert_false(fixture_ask(&f, rows[i].phase, 0));
    close_all(&f);
}

static char *decoded(const char *base64)
{
    gsize bytes;
    g_autofree guchar *text = g_base64_decode(base64, &bytes);
    return g_strndup((char *)text, bytes);
}

static void test_callback_headers(void)
{
    static const char *const options[] = {
        "callback-url", "http://a/;https://b/", "callback-host", "h", "callback-var", "u=4 2\nv=ä", NULL
    };
    Fixture f;
    open_small(&f, options);
    g_assert_true(fixture_ask(&f, PHASE_PART, 0));
    g_autofree char *callback = decoded(fixture_sent(&f, "x-oss-callback")), *variables = decoded(fixture_sent(&f, "x-oss-callback-var"));
    g_assert_cmpstr(
        callback, ==,
        "{\"callbackUrl\":\"http://a/;https://b/\",\"callbackHost\":\"h\",\"callbackBody\":\"bucket=${bucket}&object=${object}&etag=${"
        "etag}&size=${size}&mimeType=${mimeType}&u=${x:u}&v=${x:v}\",\"callbackBodyType\":\"application/x-www-form-urlencoded\"}");
    g_assert_cmpstr(variables, ==, "{\"x:u\":\"4 2\",\"x:v\":\"ä\"}");
    close_all(&f);

    static const char *const own[] = { "callback-url", "http://a/", "callback-body", "mine=${etag}", NULL };
    open_parts(&f, own);
    g_assert_true(fixture_ask(&f, PHASE_PART, 0));
    g_assert_null(fixture_sent(&f, "x-oss-callback"));
    close_all(&f);
}

static void test_form(void)
{
    static const char *const options[] = { "oss-post", "true", "acl", "private", "callback-url", "http://a/", "callback-var", "u=1", NULL };
    Fixture f;
    open_small(&f, options);
    g_assert_true(fixture_ask(&f, PHASE_PART, 0));
    g_assert_cmpstr(f.rq->method, ==, "POST");
    g_assert_cmpstr(f.rq->url, ==, HTTP "/bucket");
    g_assert_null(fixture_sent(&f, "Authorization"));
    gsize bytes;
    const char *data = g_bytes_get_data(f.rq->spans[0].bytes, &bytes);
    g_autofree char *front = g_strndup(data, bytes);
    static const char *const fields[] = { "name=\"key\"\r\n\r\npre/a b.txt\r\n",
                                          "name=\"x-oss-object-acl\"\r\n\r\nprivate\r\n",
                                          "name=\"x-oss-security-token\"",
                                          "name=\"x-oss-signature-version\"\r\n\r\nOSS4-HMAC-SHA256\r\n",
                                          "name=\"success_action_status\"\r\n\r\n200",
                                          "name=\"callback\"",
                                          "name=\"x:u\"\r\n\r\n1\r\n",
                                          "name=\"file\"; filename=\"a b.txt\"" };
    for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++)
        if (strstr(front, fields[i]) == NULL)
            g_error("no %s in %s", fields[i], front);
    g_assert_null(strstr(front, "SECRETSECRETSECRET"));
    close_all(&f);

    open_parts(&f, options); /* large files go in parts all the same */
    g_assert_true(fixture_ask(&f, PHASE_PART, 0));
    g_assert_cmpstr(f.rq->method, ==, "PUT");
    close_all(&f);
}

/* ---- answers */

static void test_whole(void)
{
    Fixture f;
    open_small(&f, NULL);
    g_autofree char *fine = good(&f, 0);
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 200, "ETag: \"ABC\"\nx-oss-hash-crc64ecma: 1", ""), ==, VERDICT_RETRY);
    assert_fault(&f, FAULT_CHECKSUM, NULL);
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 200, NULL, "<html>sign in</html>"), ==, VERDICT_RETRY);
    assert_fault(&f, FAULT_BAD_ANSWER, NULL);
    g_assert_false(f.up->parts[0].done);
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 200, fine, ""), ==, VERDICT_OK);
    g_assert_true(f.up->parts[0].done);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_CHECKSUM);
    g_autofree char *checksum = g_strdup_printf("crc64ecma:%" G_GUINT64_FORMAT, crc_of(&f, 0));
    g_assert_cmpstr(f.up->checksum, ==, checksum);
    g_assert_null(f.up->note);
    close_all(&f);
}

static void test_parts(void)
{
    Fixture f;
    open_parts(&f, NULL);
    upload_set(&f.up->upload_id, NULL);
    g_assert_cmpint(fixture_read(&f, PHASE_OPEN, 0, 200, NULL, "<InitiateMultipartUploadResult/>"), ==, VERDICT_RETRY);
    g_assert_cmpint(
        fixture_read(&f, PHASE_OPEN, 0, 200, NULL, "<InitiateMultipartUploadResult><UploadId>V</UploadId></InitiateMultipartUploadResult>"),
        ==, VERDICT_OK);
    g_assert_cmpstr(f.up->upload_id, ==, "V");
    for (unsigned i = 0; i < f.up->n_parts; i++) {
        g_autofree char *fine = good(&f, (int)i);
        g_assert_cmpint(fixture_read(&f, PHASE_PART, i, 200, "x-oss-hash-crc64ecma: 5\nETag: \"E\"", ""), ==, VERDICT_RETRY);
        g_assert_cmpint(fixture_read(&f, PHASE_PART, i, 200, NULL, ""), ==, VERDICT_RETRY); /* no ETag */
        g_assert_cmpint(fixture_read(&f, PHASE_PART, i, 200, fine, ""), ==, VERDICT_OK);
    }
    static const char done[] = "<CompleteMultipartUploadResult><ETag>\"Z-3\"</ETag></CompleteMultipartUploadResult>";
    g_assert_cmpint(fixture_read(&f, PHASE_CLOSE, 0, 200, NULL, ""), ==, VERDICT_UNKNOWN);
    g_assert_cmpint(fixture_read(&f, PHASE_CLOSE, 0, 200, "x-oss-hash-crc64ecma: 5", done), ==, VERDICT_RESTART);
    g_assert_cmpint(fixture_fail(&f, PHASE_CLOSE, 404, "NoSuchUpload", ""), ==, VERDICT_UNKNOWN);
    assert_fault(&f, FAULT_UPLOAD_GONE, NULL);
    g_autofree char *crc = g_strdup_printf("x-oss-hash-crc64ecma: %" G_GUINT64_FORMAT, crc_of(&f, -1));
    g_assert_cmpint(fixture_read(&f, PHASE_CLOSE, 0, 200, crc, done), ==, VERDICT_OK);
    g_assert_cmpstr(f.up->etag, ==, "\"Z-3\"");
    g_assert_cmpint(f.up->verified, ==, VERIFIED_CHECKSUM);
    close_all(&f);
}

static void test_callback_answers(void)
{
    static const char *const options[] = { "callback-url", "http://a/", NULL };
    static const struct {
        int status;
        const char *headers, *body, *note;
        Verdict verdict;
    } rows[] = {
        { 200, ID, "{\"id\":1}", "{\"id\":1}", VERDICT_OK },
        { 203, ID, "<Error><Code>CallbackFailed</Code><Message>status 502</Message></Error>", "callback", VERDICT_OK },
        { 203, ID, "<Error><Code>SomethingNew</Code></Error>", "callback", VERDICT_OK },
        { 203, ID, "no xml", "callback", VERDICT_OK },
        { 200, NULL, "<html>sign in</html>", NULL, VERDICT_RETRY },
        { 200, ID, "<Error><Code>InternalError</Code></Error>", NULL, VERDICT_RETRY },
        { 400, ID, "<Error><Code>InvalidArgument</Code></Error>", NULL, VERDICT_FAIL },
    };
    for (unsigned i = 0; i < 2 * G_N_ELEMENTS(rows); i++) {
        Fixture f;
        const bool parts = i % 2 == 1;
        (parts ? open_parts : open_small)(&f, options);
        Verdict wanted = rows[i / 2].verdict;
        if (parts && rows[i / 2].headers == NULL)
            wanted = VERDICT_UNKNOWN; /* VERIFY tells what a completion came to */
        g_assert_cmpint(fixture_read(&f, parts ? PHASE_CLOSE : PHASE_PART, 0, rows[i / 2].status, rows[i / 2].headers, rows[i / 2].body),
                        ==, wanted);
        g_assert_true((f.up->note != NULL) == (rows[i / 2].note != NULL));
        g_assert_true(f.up->note == NULL || strstr(f.up->note, rows[i / 2].note) != NULL);
        close_all(&f);
    }
}

static void test_verdicts(void)
{
    static const struct {
        int status;
        const char *code;
        Verdict verdict;
        FaultCode fault;
    } rows[] = {
        { 403, "SecurityTokenExpired", VERDICT_FAIL, FAULT_EXPIRED },
        { 403, "InvalidSecurityToken", VERDICT_FAIL, FAULT_EXPIRED },
        { 403, "SecurityTokenNotSupported", VERDICT_FAIL, FAULT_EXPIRED },
        { 403, "InvalidAccessKeyId", VERDICT_FAIL, FAULT_UNKNOWN_KEY },
        { 403, "SignatureDoesNotMatch", VERDICT_FAIL, FAULT_SIGNATURE },
        { 403, "AccessDenied", VERDICT_FAIL, FAULT_DENIED },
        { 403, "UserDisable", VERDICT_FAIL, FAULT_DENIED },
        { 403, "SecondLevelDomainForbidden", VERDICT_FAIL, FAULT_ENDPOINT },
        { 400, "EntityTooLarge", VERDICT_FAIL, FAULT_TOO_LARGE },
        { 400, "InvalidObjectName", VERDICT_FAIL, FAULT_KEY },
        { 400, "InvalidBucketName", VERDICT_FAIL, FAULT_NO_BUCKET },
        { 404, "NoSuchBucket", VERDICT_FAIL, FAULT_NO_BUCKET },
        { 404, "NoSuchUpload", VERDICT_RESTART, FAULT_UPLOAD_GONE },
        { 400, "InvalidPart", VERDICT_RESTART, FAULT_PART },
        { 400, "InvalidDigest", VERDICT_RETRY, FAULT_CHECKSUM },
        { 400, "RequestTimeout", VERDICT_RETRY, FAULT_STALLED },
        { 500, "InternalError", VERDICT_RETRY, FAULT_SERVER },
        { 503, "ServiceUnavailable", VERDICT_RETRY, FAULT_SLOW_DOWN },
        { 503, "UploadTrafficRateLimitExceeded", VERDICT_RETRY, FAULT_SLOW_DOWN },
        { 429, "QpsLimitExceeded", VERDICT_RETRY, FAULT_SLOW_DOWN },
        { 424, "MirrorFailed", VERDICT_FAIL, FAULT_REFUSED },
        { 409, "FileAlreadyExists", VERDICT_FAIL, FAULT_EXISTS }, /* nothing was said about it: a bucket's own rule */
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Fixture f;
        open_parts(&f, NULL);
        g_assert_cmpint(fixture_fail(&f, PHASE_PART, rows[i].status, rows[i].code, ""), ==, rows[i].verdict);
        assert_fault(&f, rows[i].fault, NULL);
        close_all(&f);
    }
}

static void test_key_is_taken(void)
{
    static const char *const options[] = { "if-exists", "fail", NULL };
    Fixture f;
    open_small(&f, options);
    g_assert_cmpint(fixture_read(&f, PHASE_LOOK, 0, 200, ID, ""), ==, VERDICT_FAIL);
    assert_fault(&f, FAULT_EXISTS, NULL);
    g_assert_cmpint(fixture_read(&f, PHASE_LOOK, 0, 404, ID, ""), ==, VERDICT_OK);
    g_assert_cmpint(fixture_fail(&f, PHASE_PART, 409, "FileAlreadyExists", ""), ==, VERDICT_UNKNOWN);
    g_assert_true(f.up->refused_exists);
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 200, "x-oss-meta-hoist-nonce: other\nContent-Length: 1000", ""), ==, VERDICT_FAIL);
    assert_fault(&f, FAULT_EXISTS, NULL);
    g_autofree char *ours = g_strdup_printf("x-oss-meta-hoist-nonce: %s\nContent-Length: 1000\nETag: \"A\"", f.up->nonce);
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 200, ours, ""), ==, VERDICT_OK);
    close_all(&f);
}

static void test_error_of_head(void)
{
    static const char document[] = "<Error><Code>NoSuchBucket</Code><Message>no</Message></Error>";
    g_autofree char *base64 = g_base64_encode((const guchar *)document, strlen(document));
    g_autofree char *headers = g_strdup_printf("x-oss-err: %s", base64);
    Fixture f;
    open_small(&f, NULL);
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 404, headers, ""), ==, VERDICT_FAIL);
    assert_fault(&f, FAULT_NO_BUCKET, "NoSuchBucket");
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 404, NULL, ""), ==, VERDICT_RESTART);
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 403, "x-oss-err: ???", ""), ==, VERDICT_FAIL);
    upload_set(&f.up->etag, "\"A\"");
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 403, NULL, ""), ==, VERDICT_OK);
    g_assert_nonnull(f.up->note);
    close_all(&f);
}

static void test_region(void)
{
    static const char elsewhere[] = "<Endpoint>oss-eu-central-1.aliyuncs.com</Endpoint>";
    Fixture f;
    open_at(&f, "https://oss-cn-hangzhou-internal.aliyuncs.com", NULL);
    fixture_upload(&f, 1000, 0, 'x');
    g_assert_cmpint(fixture_fail(&f, PHASE_PART, 403, "AccessDenied", elsewhere), ==, VERDICT_AGAIN);
    assert_fault(&f, FAULT_REGION, NULL);
    g_assert_true(fixture_ask(&f, PHASE_PART, 0));
    g_assert_true(g_str_has_prefix(f.rq->url, "https://bucket.oss-eu-central-1-internal.aliyuncs.com/"));
    g_assert_nonnull(strstr(fixture_sent(&f, "Authorization"), "/eu-central-1/oss/"));
    g_assert_cmpint(fixture_fail(&f, PHASE_PART, 403, "AccessDenied", elsewhere), ==, VERDICT_FAIL); /* once */
    static const char *const evil[] = { "oss-a.evil.example", "evil.example", "oss-a@b.aliyuncs.com", "oss-a/b.aliyuncs.com", "" };
    for (unsigned i = 0; i < G_N_ELEMENTS(evil); i++) {
        g_autofree char *element = g_strdup_printf("<Endpoint>%s</Endpoint>", evil[i]);
        g_assert_cmpint(fixture_fail(&f, PHASE_PART, 403, "AccessDenied", element), ==, VERDICT_FAIL);
        g_assert_cmpstr(f.learned.region, ==, "eu-central-1");
    }
    close_all(&f);
}

static void test_clock(void)
{
    Fixture f;
    open_small(&f, NULL);
    g_autofree char *body = fixture_error("RequestTimeTooSkewed", "");
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 403, "Date: Thu, 15 Jan 2026 11:30:00 GMT", body), ==, VERDICT_AGAIN);
    assert_fault(&f, FAULT_CLOCK, NULL);
    g_assert_cmpint(f.learned.clock_offset_s, ==, 7200);
    g_assert_true(fixture_ask(&f, PHASE_PART, 0));
    g_assert_cmpstr(fixture_sent(&f, "x-oss-date"), ==, "20260115T113000Z");
    close_all(&f);
}

#define PART_ROW(number, size, etag, crc)                                                                                                  \
    "<Part><PartNumber>" #number "</PartNumber><Size>" #size "</Size><ETag>" etag "</ETag><HashCrc64ecma>" crc "</HashCrc64ecma></Part>"

static void test_resume(void)
{
    Fixture f;
    open_parts(&f, NULL);
    g_autofree char *crc = g_strdup_printf("%" G_GUINT64_FORMAT, crc_of(&f, 0));
    g_autofree char *page = g_strdup_printf("<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>2</NextPartNumberMarker>"
                                            "<Part><PartNumber>1</PartNumber><Size>131072</Size><ETag>\"A\"</ETag><HashCrc64ecma>%s</"
                                            "HashCrc64ecma></Part>" PART_ROW(2, 131072, "\"B\"", "5") "</ListPartsResult>",
                                            crc);
    g_assert_cmpint(fixture_read(&f, PHASE_RESUME, 0, 200, NULL, page), ==, VERDICT_MORE);
    g_assert_true(fixture_ask(&f, PHASE_RESUME, 0));
    g_assert_true(g_str_has_suffix(f.rq->url, "?max-parts=1000&part-number-marker=2&uploadId=U"));
    g_assert_cmpint(fixture_read(&f, PHASE_RESUME, 0, 200, NULL,
                                 "<ListPartsResult><IsTruncated>false</IsTruncated>" PART_ROW(3, 5, "\"C\"", "") "</ListPartsResult>"),
                    ==, VERDICT_OK);
    g_assert_true(f.up->parts[0].done);
    g_assert_false(f.up->parts[1].done); /* another CRC than ours */
    g_assert_true(f.up->parts[2].done);
    g_assert_cmpint(fixture_fail(&f, PHASE_RESUME, 403, "AccessDenied", ""), ==, VERDICT_OK);
    g_assert_cmpint(f.learned.list_parts, ==, LEARNED_REFUSED);
    close_all(&f);
}

static void test_find(void)
{
    static const char page[] =
        "<ListMultipartUploadsResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>"
        "<Upload><Key>pre%2Fa%20b.txt</Key><UploadId>X</UploadId><Initiated>2026-01-15T09:30:00.000Z</Initiated></Upload>"
        "<Upload><Key>pre%2Fa%20b.txt.bak</Key><UploadId>Y</UploadId><Initiated>2026-01-15T09:30:00.000Z</Initiated></Upload>"
        "<Upload><Key>pre%2Fa%20b.txt</Key><UploadId>Z</UploadId><Initiated>2025-01-15T09:30:00.000Z</Initiated></Upload>"
        "</ListMultipartUploadsResult>";
    Fixture f;
    open_parts(&f, NULL);
    g_assert_cmpint(fixture_read(&f, PHASE_FIND, 0, 200, NULL, page), ==, VERDICT_OK);
    g_assert_cmpuint(f.up->found->len, ==, 1);
    g_assert_cmpstr(f.up->found->pdata[0], ==, "X");
    close_all(&f);
}

static void test_remove_and_abort(void)
{
    Fixture f;
    open_parts(&f, NULL);
    static const Phase phases[] = { PHASE_REMOVE, PHASE_ABORT };
    for (unsigned i = 0; i < G_N_ELEMENTS(phases); i++) {
        g_assert_cmpint(fixture_read(&f, phases[i], 0, 204, ID, ""), ==, VERDICT_OK);
        g_assert_cmpint(fixture_fail(&f, phases[i], 404, "NoSuchUpload", ""), ==, VERDICT_OK);
        g_assert_cmpint(fixture_fail(&f, phases[i], 404, "NoSuchBucket", ""), ==, VERDICT_FAIL);
        g_assert_cmpint(fixture_fail(&f, phases[i], 403, "AccessDenied", ""), ==, VERDICT_FAIL);
        g_assert_cmpint(fixture_fail(&f, phases[i], 500, "InternalError", ""), ==, VERDICT_RETRY);
    }
    close_all(&f);
}

static void test_share(void)
{
    static const char *const v1[] = { "oss-signature", "v1", NULL };
    Fixture f;
    open_at(&f, HTTP, NULL);
    g_autofree char *v4_url = f.ctx.ops->share(&f.ctx, "a b", 600, &f.error);
    g_assert_true(g_str_has_prefix(v4_url, HTTP "/bucket/a%20b?x-oss-date=20260115T093000Z&x-oss-expires=600&"));
    g_assert_null(f.ctx.ops->share(&f.ctx, "a b", 604801, &f.error));
    g_assert_cmpint(fault_code(f.error), ==, FAULT_USAGE);
    g_clear_error(&f.error);
    f.ctx.creds = NULL;
    g_assert_null(f.ctx.ops->share(&f.ctx, "a b", 600, &f.error));
    g_assert_cmpint(fault_code(f.error), ==, FAULT_NO_CREDENTIALS);
    close_all(&f);
    open_at(&f, HTTP, v1);
    g_autofree char *v1_url = f.ctx.ops->share(&f.ctx, "a b", 604801, &f.error);
    g_assert_nonnull(strstr(v1_url, "&Expires=1769074201&Signature="));
    close_all(&f);
}

/* Whatever a server says: a verdict, and nothing that is not so. */
static void test_damaged_answers(void)
{
    static const char *const bodies[] = { "",
                                          "{\"a\":1}",
                                          "<Error><Code>AccessDenied</Code><Endpoint>oss-x.aliyuncs.com</Endpoint></Error>",
                                          "<ListPartsResult>" PART_ROW(1, 131072, "\"A\"", "1")
                                              PART_ROW(99, 1, "", "x") "</ListPartsResult>",
                                          "<InitiateMultipartUploadResult><UploadId>V</UploadId></InitiateMultipartUploadResult>",
                                          "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>" };
    static const char *const headers[] = { NULL, ID, "ETag: e\nx-oss-hash-crc64ecma: -1",
                                           "x-oss-err: AAAA\nDate: Thu, 15 Jan 2026 19:30:00 GMT",
                                           "x-oss-hash-crc64ecma: 99999999999999999999\nContent-Length: x" };
    static const char *const options[] = { "callback-url", "http://a/", NULL };
    static const int statuses[] = { 200, 203, 204, 301, 400, 403, 404, 409, 500, 503 };
    Fixture f;
    open_parts(&f, options);
    for (unsigned round = 0; round < 4000; round++) {
        g_autofree char *body = g_strdup(bodies[g_test_rand_int_range(0, G_N_ELEMENTS(bodies))]);
        for (unsigned i = 0; *body != '\0' && i < round % 4; i++)
            body[g_test_rand_int_range(0, (gint32)strlen(body))] = (char)g_test_rand_int_range(1, 256);
        const Phase phase = (Phase)g_test_rand_int_range(0, N_PHASES);
        if (f.ctx.ops->step[phase].read == NULL)
            continue;
        const Verdict verdict = fixture_read(&f, phase, (unsigned)g_test_rand_int_range(0, 3), statuses[g_test_rand_int_range(0, 10)],
                                             headers[g_test_rand_int_range(0, G_N_ELEMENTS(headers))], body);
        g_assert_cmpint(verdict, <=, VERDICT_FAIL);
        for (unsigned i = 0; i < f.up->n_parts; i++)
            g_assert_true(!f.up->parts[i].done || f.up->parts[i].etag != NULL);
        g_autofree char *learned = dest_learned_to_text(&f.learned);
        g_assert_true(g_utf8_validate(learned, -1, NULL));
    }
    close_all(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dest/oss/open-refuses", test_refuses);
    g_test_add_func("/dest/oss/urls", test_urls);
    g_test_add_func("/dest/oss/plan", test_plan);
    g_test_add_func("/dest/oss/put", test_put);
    g_test_add_func("/dest/oss/multipart-requests", test_multipart_requests);
    g_test_add_func("/dest/oss/callback-headers", test_callback_headers);
    g_test_add_func("/dest/oss/form", test_form);
    g_test_add_func("/dest/oss/whole", test_whole);
    g_test_add_func("/dest/oss/parts", test_parts);
    g_test_add_func("/dest/oss/callback-answers", test_callback_answers);
    g_test_add_func("/dest/oss/verdicts", test_verdicts);
    g_test_add_func("/dest/oss/key-is-taken", test_key_is_taken);
    g_test_add_func("/dest/oss/error-of-head", test_error_of_head);
    g_test_add_func("/dest/oss/region", test_region);
    g_test_add_func("/dest/oss/clock", test_clock);
    g_test_add_func("/dest/oss/resume", test_resume);
    g_test_add_func("/dest/oss/find", test_find);
    g_test_add_func("/dest/oss/remove-and-abort", test_remove_and_abort);
    g_test_add_func("/dest/oss/share", test_share);
    g_test_add_func("/dest/oss/damaged-answers", test_damaged_answers);
    return g_test_run();
}
