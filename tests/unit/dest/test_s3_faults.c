/* What S3 answers that are not plain successes make of an upload: failures, lessons, listings, verification. */
#include "s3_fixture.h"

#define HTTP "http://127.0.0.1:9000"

static void open_small(Fixture *f, const char *endpoint, const char *const *options)
{
    fixture_open(f, endpoint, options);
    fixture_upload(f, 1000, 0, 'x');
}

/* 12 MiB in three parts, upload id "U". */
static void open_parts(Fixture *f, const char *const *options)
{
    fixture_open(f, HTTP, options);
    fixture_upload(f, 12 * MIB, 5 * MIB, 'x');
    f->up->upload_id = g_strdup("U");
    f->up->opened_s = FIXTURE_NOW_S;
}

static void assert_fault(const Fixture *f, FaultCode code, const char *words)
{
    g_assert_cmpstr(fault_info((int)fault_code(f->error))->name, ==, fault_info(code)->name);
    if (words != NULL && strstr(f->error->message, words) == NULL)
        g_error("\"%s\" does not say \"%s\"", f->error->message, words);
}

/* ---- codes to verdicts */

static void test_verdicts(void)
{
    static const struct {
        int status;
        const char *code;
        Verdict verdict;
        FaultCode fault;
    } rows[] = {
        { 503, "SlowDown", VERDICT_RETRY, FAULT_SLOW_DOWN },
        { 503, "SlowDownWrite", VERDICT_RETRY, FAULT_SLOW_DOWN },
        { 500, "InternalError", VERDICT_RETRY, FAULT_SERVER },
        { 500, "NeverHeardOf", VERDICT_RETRY, FAULT_SERVER },
        { 400, "RequestTimeout", VERDICT_RETRY, FAULT_STALLED },
        { 400, "IncompleteBody", VERDICT_RETRY, FAULT_BROKEN },
        { 400, "BadDigest", VERDICT_RETRY, FAULT_CHECKSUM },
        { 400, "XAmzContentSHA256Mismatch", VERDICT_RETRY, FAULT_CHECKSUM },
        { 409, "OperationAborted", VERDICT_RETRY, FAULT_CONFLICT },
        { 403, "AccessDenied", VERDICT_FAIL, FAULT_DENIED },
        { 403, "SignatureDoesNotMatch", VERDICT_FAIL, FAULT_SIGNATURE },
        { 403, "InvalidAccessKeyId", VERDICT_FAIL, FAULT_UNKNOWN_KEY },
        { 400, "ExpiredToken", VERDICT_FAIL, FAULT_EXPIRED },
        { 404, "NoSuchBucket", VERDICT_FAIL, FAULT_NO_BUCKET },
        { 404, "NoSuchUpload", VERDICT_RESTART, FAULT_UPLOAD_GONE },
        { 400, "EntityTooLarge", VERDICT_FAIL, FAULT_TOO_LARGE },
        { 403, "QuotaExceeded", VERDICT_FAIL, FAULT_QUOTA },
        { 507, "XMinioStorageFull", VERDICT_FAIL, FAULT_QUOTA },
        { 400, "InvalidStorageClass", VERDICT_FAIL, FAULT_REFUSED },
        { 400, "NeverHeardOf", VERDICT_FAIL, FAULT_REFUSED },
        { 400, "KMS.DisabledException", VERDICT_FAIL, FAULT_REFUSED },
        { 412, "PreconditionFailed", VERDICT_FAIL, FAULT_EXISTS }, /* no condition was sent: a bucket policy */
    };
    Fixture f;
    open_small(&f, HTTP, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_assert_cmpint(fixture_fail(&f, PHASE_PART, rows[i].status, rows[i].code, ""), ==, rows[i].verdict);
        assert_fault(&f, rows[i].fault, rows[i].code);
        assert_fault(&f, rows[i].fault, "(request R1)");
        g_assert_false(f.up->parts[0].done);
    }
    fixture_clear(&f);
}

/* Stores written in Go answer so to bytes that are no text: the secret is not to blame. */
static void test_name_is_not_utf8(void)
{
    Fixture f;
    open_small(&f, HTTP, NULL);
    g_free(f.up->key);
    f.up->key = g_strdup("a\xff");
    g_assert_cmpint(fixture_fail(&f, PHASE_PART, 403, "SignatureDoesNotMatch", ""), ==, VERDICT_FAIL);
    assert_fault(&f, FAULT_KEY, "UTF-8");
    fixture_clear(&f);
}

static void test_without_upload_id(void)
{
    static const Phase phases[] = { PHASE_RESUME, PHASE_PART, PHASE_CLOSE, PHASE_ABORT };
    Fixture f;
    open_parts(&f, NULL);
    g_clear_pointer(&f.up->upload_id, g_free);
    for (unsigned i = 0; i < G_N_ELEMENTS(phases); i++) {
        g_assert_false(fixture_ask(&f, phases[i], 0));
        assert_fault(&f, FAULT_BUG, NULL);
    }
    fixture_clear(&f);
}

static void test_without_document(void)
{
    Fixture f;
    open_small(&f, HTTP, NULL);
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 502, NULL, "<html>Bad Gateway</html>"), ==, VERDICT_RETRY);
    assert_fault(&f, FAULT_SERVER, "502");
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 413, NULL, "<html></html>"), ==, VERDICT_FAIL);
    assert_fault(&f, FAULT_TOO_LARGE, "--part-size");
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 404, NULL, NULL), ==, VERDICT_FAIL);
    assert_fault(&f, FAULT_ENDPOINT, "404");
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 302, NULL, NULL), ==, VERDICT_FAIL);
    assert_fault(&f, FAULT_ENDPOINT, "302");
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 101, NULL, NULL), ==, VERDICT_RETRY);
    /* a login page says 200 to everything */
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 200, NULL, "<html>Sign in to the network</html>"), ==, VERDICT_RETRY);
    assert_fault(&f, FAULT_BAD_ANSWER, NULL);
    fixture_clear(&f);
}

static void test_cause_is_harmless(void)
{
    static const char body[] = "<Error><Code>AuthorizationQueryError</Code><Message>bad\n\x1b[31m \xe2\x80\xae Signature=0123abcd, "
                               "X-Amz-Credential: AKIDEXAMPLE/2026 token TOKENTOKENTOKEN and SECRETSECRETSECRET</Message>"
                               "<StringToSign>AWS4</StringToSign><SignatureProvided>feed</SignatureProvided></Error>";
    Fixture f;
    open_small(&f, HTTP, NULL);
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 400, NULL, body), ==, VERDICT_FAIL);
    static const char *const absent[] = { "\x1b", "\n", "\xe2\x80\xae", "0123abcd", "AKIDEXAMPLE", "TOKENTOKEN", "SECRET", "AWS4", "feed" };
    for (unsigned i = 0; i < G_N_ELEMENTS(absent); i++)
        g_assert_null(strstr(f.error->message, absent[i]));
    g_assert_true(g_str_has_prefix(f.error->message, "400 AuthorizationQueryError: bad"));

    g_autofree char *filler = g_strnfill(3000, 'z');
    g_autofree char *long_body =
        g_strdup_printf("<Error><Code>A</Code><Message>\xe4\xb8\xad%s</Message><RequestId>%s</RequestId></Error>", filler, filler);
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 400, NULL, long_body), ==, VERDICT_FAIL);
    g_assert_cmpuint(strlen(f.error->message), <, 500);
    fixture_clear(&f);
}

/* ---- lessons */

static void test_region(void)
{
    Fixture f;
    open_small(&f, NULL, NULL);
    g_assert_cmpint(fixture_fail(&f, PHASE_PART, 400, "AuthorizationHeaderMalformed", "<Region>eu-central-1</Region>"), ==, VERDICT_AGAIN);
    assert_fault(&f, FAULT_REGION, "eu-central-1");
    g_assert_true(f.learned.dirty);
    g_assert_true(fixture_ask(&f, PHASE_PART, 0));
    g_assert_cmpstr(f.rq->url, ==, "https://bucket.s3.eu-central-1.amazonaws.com/pre/a%20b.txt");

    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 301, "x-amz-bucket-region: us-west-2", NULL), ==, VERDICT_AGAIN);
    g_assert_cmpstr(f.learned.region, ==, "us-west-2");
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 400, "x-amz-bucket-region: ap-south-1", NULL), ==, VERDICT_AGAIN);
    g_assert_cmpstr(f.learned.region, ==, "ap-south-1");
    g_assert_cmpint(fixture_fail(&f, PHASE_OPEN, 301, "PermanentRedirect", "<Endpoint>bucket.s3-eu-west-3.amazonaws.com</Endpoint>"), ==,
                    VERDICT_AGAIN);
    g_assert_cmpstr(f.learned.region, ==, "eu-west-3");

    /* nothing to learn: not asked again; a name that would not fit into a host is none */
    g_assert_cmpint(fixture_fail(&f, PHASE_PART, 400, "IllegalLocationConstraintException", ""), ==, VERDICT_FAIL);
    assert_fault(&f, FAULT_REGION, NULL);
    g_assert_cmpint(fixture_fail(&f, PHASE_PART, 400, "AuthorizationHeaderMalformed", "<Region>a/@evil.example</Region>"), ==,
                    VERDICT_FAIL);
    g_assert_cmpint(fixture_fail(&f, PHASE_PART, 301, "PermanentRedirect", "<Endpoint>other.example</Endpoint>"), ==, VERDICT_FAIL);
    assert_fault(&f, FAULT_ENDPOINT, NULL);
    g_assert_cmpstr(f.learned.region, ==, "eu-west-3");
    g_assert_cmpint(fixture_fail(&f, PHASE_PART, 307, "TemporaryRedirect", ""), ==, VERDICT_RETRY);
    /* MinIO names its region in every error */
    g_assert_cmpint(fixture_fail(&f, PHASE_PART, 403, "AccessDenied", "<Region>us-east-1</Region>"), ==, VERDICT_FAIL);
    g_assert_cmpstr(f.learned.region, ==, "eu-west-3");
    fixture_clear(&f);
}

static void test_clock(void)
{
    Fixture f;
    open_small(&f, HTTP, NULL);
    g_assert_cmpint(fixture_fail(&f, PHASE_PART, 403, "RequestTimeTooSkewed", "<ServerTime>2026-01-15T09:51:00Z</ServerTime>"), ==,
                    VERDICT_AGAIN);
    assert_fault(&f, FAULT_CLOCK, "21 min behind");
    g_assert_cmpint(f.learned.clock_offset_s, ==, 21 * 60);
    g_assert_true(fixture_ask(&f, PHASE_PART, 0));
    g_assert_cmpstr(fixture_sent(&f, "x-amz-date"), ==, "20260115T095100Z");
    fixture_clear(&f);

    open_small(&f, HTTP, NULL); /* rclone: 400 AccessDenied; HEAD: nothing but a date */
    static const char date[] = "Date: Thu, 15 Jan 2026 08:30:00 GMT";
    g_autofree char *denied = fixture_error("AccessDenied", "");
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 400, date, denied), ==, VERDICT_AGAIN);
    assert_fault(&f, FAULT_CLOCK, "60 min ahead of");
    f.learned.clock_offset_s = 0;
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 403, date, NULL), ==, VERDICT_AGAIN);
    g_assert_cmpint(f.learned.clock_offset_s, ==, -3600);
    /* another answer had taught it before: once more, but should it repeat, access is denied */
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 403, date, denied), ==, VERDICT_AGAIN);
    assert_fault(&f, FAULT_DENIED, NULL);
    fixture_clear(&f);

    open_small(&f, HTTP, NULL);
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 403, "Date: Thu, 15 Jan 2026 09:33:00 GMT", denied), ==, VERDICT_FAIL);
    f.learned.clock_offset_s = 7200; /* of yesterday; the clock is right now */
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 400, "Date: Thu, 15 Jan 2026 09:30:00 GMT", denied), ==, VERDICT_AGAIN);
    g_assert_cmpint(f.learned.clock_offset_s, ==, 0);
    g_assert_cmpint(fixture_fail(&f, PHASE_PART, 403, "RequestTimeTooSkewed", ""), ==, VERDICT_FAIL);
    assert_fault(&f, FAULT_CLOCK, NULL);
    fixture_clear(&f);
}

static void test_clock_from_success(void)
{
    Fixture f;
    open_small(&f, HTTP, NULL);
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 200, "ETag: \"a\"\nDate: Thu, 15 Jan 2026 09:33:59 GMT", NULL), ==, VERDICT_OK);
    g_assert_cmpint(f.learned.clock_offset_s, ==, 0);
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 200, "ETag: \"a\"\nDate: Thu, 15 Jan 2026 09:40:00 GMT", NULL), ==, VERDICT_OK);
    g_assert_cmpint(f.learned.clock_offset_s, ==, 600);
    /* the person set the clock: back to nothing */
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 200, "ETag: \"a\"\nDate: Thu, 15 Jan 2026 09:30:00 GMT", NULL), ==, VERDICT_OK);
    g_assert_cmpint(f.learned.clock_offset_s, ==, 0);
    fixture_clear(&f);
}

static void test_features_dropped(void)
{
    static const char *const options[] = { "acl", "public-read", "tag", "a=1", NULL };
    Fixture f;
    open_small(&f, HTTP, options);
    g_assert_cmpint(fixture_fail(&f, PHASE_PART, 400, "AccessControlListNotSupported", ""), ==, VERDICT_AGAIN);
    g_assert_cmpint(f.learned.acl, ==, LEARNED_REFUSED);
    g_assert_nonnull(f.up->note);
    g_assert_cmpint(fixture_fail(&f, PHASE_PART, 501, "NotImplemented", "<Header>x-amz-tagging</Header>"), ==, VERDICT_AGAIN);
    g_assert_cmpint(f.learned.tagging, ==, LEARNED_REFUSED);
    static const char b2[] = "<Error><Code>InvalidArgument</Code><Message>Unsupported header 'x-amz-checksum-crc64nvme' received for this "
                             "API call.</Message></Error>";
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 400, NULL, b2), ==, VERDICT_AGAIN);
    g_assert_cmpint(f.learned.checksum[DIGEST_CRC64NVME], ==, LEARNED_REFUSED);
    g_assert_true(fixture_ask(&f, PHASE_PART, 0));
    g_assert_null(fixture_sent(&f, "x-amz-acl"));
    g_assert_null(fixture_sent(&f, "x-amz-tagging"));
    g_assert_null(fixture_sent(&f, "x-amz-checksum-crc64nvme"));
    g_assert_nonnull(fixture_sent(&f, "Content-MD5"));
    /* nothing left to drop */
    g_assert_cmpint(fixture_fail(&f, PHASE_PART, 501, "NotImplemented", ""), ==, VERDICT_FAIL);
    assert_fault(&f, FAULT_UNSUPPORTED, NULL);
    g_assert_cmpint(fixture_fail(&f, PHASE_PART, 501, "NotImplemented", "<Header>x-amz-storage-class</Header>"), ==, VERDICT_FAIL);
    fixture_clear(&f);
}

static void test_unnamed_feature(void)
{
    Fixture f;
    open_small(&f, HTTP, NULL);
    g_assert_cmpint(fixture_fail(&f, PHASE_PART, 501, "NotImplemented", ""), ==, VERDICT_AGAIN);
    g_assert_cmpint(f.learned.checksum[DIGEST_CRC64NVME], ==, LEARNED_REFUSED);
    fixture_clear(&f);
}

static void test_features_insisted_on(void)
{
    static const char *const options[] = { "checksum", "crc64nvme", "if-exists", "fail", NULL };
    Fixture f;
    open_small(&f, HTTP, options);
    g_assert_cmpint(fixture_fail(&f, PHASE_PART, 501, "NotImplemented", "<Header>x-amz-checksum-crc64nvme</Header>"), ==, VERDICT_FAIL);
    assert_fault(&f, FAULT_UNSUPPORTED, NULL);
    /* a condition guards what is there: never dropped */
    g_assert_cmpint(fixture_fail(&f, PHASE_PART, 501, "NotImplemented", "<Header>If-None-Match</Header>"), ==, VERDICT_FAIL);
    g_assert_cmpint(f.learned.if_none_match, ==, LEARNED_REFUSED);
    g_assert_false(fixture_ask(&f, PHASE_PART, 0));
    assert_fault(&f, FAULT_UNSUPPORTED, "--if-exists overwrite");
    fixture_clear(&f);
}

static void test_style(void)
{
    Fixture f;
    open_small(&f, "https://s3.oss.example", NULL);
    g_assert_cmpint(fixture_fail(&f, PHASE_PART, 403, "SecondLevelDomainForbidden", ""), ==, VERDICT_AGAIN);
    g_assert_true(fixture_ask(&f, PHASE_PART, 0));
    g_assert_cmpstr(f.rq->url, ==, "https://bucket.s3.oss.example/pre/a%20b.txt");
    fixture_clear(&f);
    static const char *const options[] = { "addressing", "path", NULL };
    open_small(&f, "https://s3.oss.example", options);
    g_assert_cmpint(fixture_fail(&f, PHASE_PART, 403, "SecondLevelDomainForbidden", ""), ==, VERDICT_FAIL);
    assert_fault(&f, FAULT_ENDPOINT, "--addressing virtual");
    fixture_clear(&f);
}

/* ---- CLOSE */

static void test_close_failures(void)
{
    Fixture f;
    open_parts(&f, NULL);
    g_assert_cmpint(fixture_fail(&f, PHASE_CLOSE, 200, "InternalError", ""), ==, VERDICT_RETRY);
    assert_fault(&f, FAULT_SERVER, "200 InternalError");
    g_assert_cmpint(fixture_fail(&f, PHASE_CLOSE, 200, "SlowDown", ""), ==, VERDICT_RETRY);
    assert_fault(&f, FAULT_SLOW_DOWN, NULL);
    g_assert_cmpint(fixture_fail(&f, PHASE_CLOSE, 200, "NeverHeardOf", ""), ==, VERDICT_RETRY);
    assert_fault(&f, FAULT_SERVER, NULL);
    g_assert_cmpint(fixture_fail(&f, PHASE_CLOSE, 503, "ServiceUnavailable", ""), ==, VERDICT_RETRY);
    g_assert_cmpint(fixture_fail(&f, PHASE_CLOSE, 404, "NoSuchUpload", ""), ==, VERDICT_UNKNOWN);
    assert_fault(&f, FAULT_UPLOAD_GONE, NULL);
    g_assert_cmpint(fixture_fail(&f, PHASE_CLOSE, 404, "NoSuchBucket", ""), ==, VERDICT_FAIL);
    g_assert_cmpint(fixture_fail(&f, PHASE_CLOSE, 400, "InvalidPart", ""), ==, VERDICT_RESTART);
    assert_fault(&f, FAULT_PART, NULL);
    g_assert_cmpint(fixture_fail(&f, PHASE_CLOSE, 400, "EntityTooSmall", ""), ==, VERDICT_RESTART);
    g_assert_cmpint(fixture_fail(&f, PHASE_CLOSE, 400, "InvalidPartOrder", ""), ==, VERDICT_FAIL);
    assert_fault(&f, FAULT_BUG, NULL);
    g_assert_cmpint(fixture_fail(&f, PHASE_CLOSE, 409, "ConditionalRequestConflict", ""), ==, VERDICT_RESTART);
    assert_fault(&f, FAULT_CONFLICT, NULL);
    g_assert_null(f.up->etag);
    fixture_clear(&f);
}

static void test_close_cut(void)
{
    static const char whole[] =
        "<?xml version=\"1.0\"?>\n<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>";
    Fixture f;
    open_parts(&f, NULL);
    for (size_t n = 0; n < strlen(whole); n++) {
        g_autofree char *cut = g_strndup(whole, n);
        g_assert_cmpint(fixture_read(&f, PHASE_CLOSE, 0, 200, NULL, cut), ==, VERDICT_UNKNOWN);
        g_assert_null(f.up->etag);
    }
    g_assert_cmpint(fixture_read(&f, PHASE_CLOSE, 0, 200, NULL, "<html>login</html>"), ==, VERDICT_UNKNOWN);
    assert_fault(&f, FAULT_BAD_ANSWER, NULL);
    g_assert_cmpint(fixture_read(&f, PHASE_CLOSE, 0, 200, NULL, whole), ==, VERDICT_OK);
    fixture_clear(&f);
}

/* ---- the key is taken */

static void test_look(void)
{
    static const char *const options[] = { "if-exists", "fail", NULL };
    Fixture f;
    open_small(&f, HTTP, options);
    g_assert_true(f.up->look_first);
    g_assert_true(fixture_ask(&f, PHASE_LOOK, 0));
    g_assert_cmpstr(f.rq->method, ==, "HEAD");
    g_assert_cmpint(fixture_read(&f, PHASE_LOOK, 0, 404, NULL, NULL), ==, VERDICT_OK);
    g_assert_cmpint(fixture_read(&f, PHASE_LOOK, 0, 403, NULL, NULL), ==, VERDICT_OK); /* least rights: If-None-Match is left */
    g_assert_cmpint(fixture_read(&f, PHASE_LOOK, 0, 503, NULL, NULL), ==, VERDICT_RETRY);
    g_assert_cmpint(fixture_read(&f, PHASE_LOOK, 0, 200, "Content-Length: 1", NULL), ==, VERDICT_FAIL);
    assert_fault(&f, FAULT_EXISTS, NULL);
    fixture_clear(&f);
    open_small(&f, HTTP, NULL);
    g_assert_false(f.up->look_first);
    fixture_clear(&f);
}

static void test_taken(void)
{
    static const char *const options[] = { "if-exists", "skip", NULL };
    static const char ours[] = "Content-Length: 1000\nx-amz-meta-hoist-nonce: 0123456789abcdef0123456789abcdef\nETag: \"e\"";
    Fixture f;
    open_small(&f, HTTP, options);
    g_assert_cmpint(fixture_fail(&f, PHASE_PART, 412, "PreconditionFailed", ""), ==, VERDICT_UNKNOWN);
    assert_fault(&f, FAULT_EXISTS, NULL);
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 200, ours, NULL), ==, VERDICT_OK); /* by our own lost try */
    g_assert_cmpint(f.up->verified, ==, VERIFIED_SIZE);
    fixture_clear(&f);

    static const char *const others[] = { "Content-Length: 1000\nx-amz-meta-hoist-nonce: ffffffffffffffffffffffffffffffff",
                                          "Content-Length: 1000",
                                          "Content-Length: 999\nx-amz-meta-hoist-nonce: 0123456789abcdef0123456789abcdef" };
    for (unsigned i = 0; i < G_N_ELEMENTS(others); i++) {
        open_small(&f, HTTP, options);
        g_assert_cmpint(fixture_fail(&f, PHASE_PART, 412, "PreconditionFailed", ""), ==, VERDICT_UNKNOWN);
        g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 200, others[i], NULL), ==, VERDICT_FAIL);
        assert_fault(&f, FAULT_EXISTS, NULL);
        fixture_clear(&f);
    }
    open_parts(&f, options);
    g_assert_cmpint(fixture_fail(&f, PHASE_CLOSE, 412, "PreconditionFailed", ""), ==, VERDICT_UNKNOWN);
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 403, NULL, NULL), ==, VERDICT_FAIL); /* may not look: still taken */
    assert_fault(&f, FAULT_EXISTS, NULL);
    fixture_clear(&f);
}

/* ---- VERIFY */

static void test_verify_request(void)
{
    Fixture f;
    open_small(&f, HTTP, NULL);
    g_assert_true(fixture_ask(&f, PHASE_VERIFY, 0));
    g_assert_cmpstr(f.rq->method, ==, "HEAD");
    g_assert_cmpstr(fixture_sent(&f, "x-amz-checksum-mode"), ==, "ENABLED");
    f.learned.checksum[DIGEST_CRC64NVME] = LEARNED_REFUSED;
    g_assert_true(fixture_ask(&f, PHASE_VERIFY, 0));
    g_assert_null(fixture_sent(&f, "x-amz-checksum-mode"));
    fixture_clear(&f);
}

static void test_verify_confirmed(void)
{
    Fixture f;
    open_small(&f, HTTP, NULL);
    f.up->etag = g_strdup("");
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 200, "Content-Length: 1000\nETag: \"h\"", NULL), ==, VERDICT_OK);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_SIZE);
    g_assert_cmpstr(f.up->etag, ==, "\"h\"");
    g_autofree char *etag = upload_expected_etag(f.up);
    g_autofree char *md5 = g_strdup_printf("Content-Length: 1000\nETag: %s", etag);
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 200, md5, NULL), ==, VERDICT_OK);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_ETAG);
    g_autofree char *checksum = fixture_checksum_header(&f, DIGEST_CRC64NVME, 0);
    g_autofree char *crc = g_strdup_printf("%sContent-Length: 1000", checksum);
    f.up->verified = VERIFIED_NOT;
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 200, crc, NULL), ==, VERDICT_OK);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_SIZE); /* perhaps our own header, kept and handed back */
    g_assert_null(f.up->checksum);
    f.learned.checksum[DIGEST_CRC64NVME] = LEARNED_IGNORED;
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 200, crc, NULL), ==, VERDICT_OK);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_SIZE);
    f.learned.checksum[DIGEST_CRC64NVME] = LEARNED_WORKS;
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 200, crc, NULL), ==, VERDICT_OK);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_CHECKSUM);

    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 200, "Content-Length: 999", NULL), ==, VERDICT_RESTART);
    assert_fault(&f, FAULT_SIZE, "999");
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 200, "Content-Length: 1000\nx-amz-checksum-crc64nvme: AAAAAAAAAAA=", NULL), ==,
                    VERDICT_RESTART);
    assert_fault(&f, FAULT_CHECKSUM, NULL);
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 200, "Content-Length: 1000\nx-amz-meta-hoist-nonce: other", NULL), ==, VERDICT_FAIL);
    assert_fault(&f, FAULT_CONFLICT, NULL);
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 404, NULL, NULL), ==, VERDICT_RESTART);
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 500, NULL, NULL), ==, VERDICT_RETRY);
    fixture_clear(&f);
}

static void test_verify_without_rights(void)
{
    Fixture f;
    open_small(&f, HTTP, NULL);
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 403, NULL, NULL), ==, VERDICT_FAIL);
    assert_fault(&f, FAULT_DENIED, "s3:GetObject");
    f.up->etag = g_strdup("\"e\"");
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 403, NULL, NULL), ==, VERDICT_OK);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_NOT);
    g_assert_nonnull(f.up->note);
    fixture_clear(&f);
}

/* Later checks may not know how the object was cut: another cut proves nothing either way. */
static void test_verify_other_cut(void)
{
    Fixture f;
    open_small(&f, HTTP, NULL);
    f.up->etag = g_strdup("\"e\"");
    f.learned.checksum[DIGEST_MD5] = f.learned.checksum[DIGEST_CRC32C] = LEARNED_WORKS;
    static const char cut[] = "Content-Length: 1000\nETag: \"00000000000000000000000000000000-2\"\nx-amz-checksum-sha256: AAAA-2";
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 200, cut, NULL), ==, VERDICT_OK);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_SIZE);
    fixture_clear(&f);

    fixture_open(&f, HTTP, NULL); /* nothing but key and size is known */
    f.up = upload_new("k", 1000, 0);
    f.up->etag = g_strdup("\"e\"");
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 200, cut, NULL), ==, VERDICT_OK);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_SIZE);
    fixture_clear(&f);
}

/* The answer was lost: what lies under the key counts only when it is known to be ours. */
static void test_verify_unconfirmed(void)
{
    static const char stranger[] = "Content-Length: 1000\nETag: \"h\"";
    Fixture f;
    open_small(&f, HTTP, NULL);
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 200, stranger, NULL), ==, VERDICT_RESTART);
    assert_fault(&f, FAULT_UPLOAD_GONE, NULL);
    g_assert_null(f.up->etag);
    g_autofree char *checksum = fixture_checksum_header(&f, DIGEST_CRC64NVME, 0);
    g_autofree char *older = g_strdup_printf("%s%s\nx-amz-meta-hoist-nonce: other", checksum, stranger);
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 200, older, NULL), ==, VERDICT_RESTART);
    g_assert_null(f.up->checksum);
    g_autofree char *proven = g_strdup_printf("%s%s", checksum, stranger);
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 200, proven, NULL), ==, VERDICT_RESTART);
    f.learned.checksum[DIGEST_CRC64NVME] = LEARNED_WORKS;
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 200, older, NULL), ==, VERDICT_RESTART); /* the same bytes, of another upload */
    f.up->refused_exists = true; /* the same bytes, but was it us who took the key? */
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 200, proven, NULL), ==, VERDICT_FAIL);
    assert_fault(&f, FAULT_EXISTS, NULL);
    f.up->refused_exists = false;
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 200, proven, NULL), ==, VERDICT_OK);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_CHECKSUM);
    g_assert_cmpstr(f.up->etag, ==, "\"h\"");
    fixture_clear(&f);

    open_small(&f, HTTP, NULL);
    g_autofree char *damaged =
        g_strdup_printf("%s\nx-amz-meta-hoist-nonce: %s\nx-amz-checksum-crc64nvme: AAAAAAAAAAA=", stranger, f.up->nonce);
    g_assert_cmpint(fixture_read(&f, PHASE_VERIFY, 0, 200, damaged, NULL), ==, VERDICT_RESTART);
    fixture_clear(&f);
}

/* ---- RESUME */

static char *listing(bool truncated, const char *next, const char *parts)
{
    return g_strdup_printf(
        "<ListPartsResult><IsTruncated>%s</IsTruncated><NextPartNumberMarker>%s</NextPartNumberMarker>%s</ListPartsResult>",
        truncated ? "true" : "false", next, parts);
}

static Verdict list(Fixture *f, bool truncated, const char *next, const char *parts)
{
    g_autofree char *body = listing(truncated, next, parts);
    return fixture_read(f, PHASE_RESUME, 0, 200, NULL, body);
}

#define PART(number, etag, size) "<Part><PartNumber>" #number "</PartNumber><ETag>" etag "</ETag><Size>" #size "</Size></Part>"

static void know_part(Fixture *f, unsigned part, const char *etag)
{
    f->up->parts[part].done = true;
    f->up->parts[part].etag = g_strdup(etag);
}

static void test_resume(void)
{
    Fixture f;
    open_parts(&f, NULL);
    know_part(&f, 0, "\"ABC\"");
    know_part(&f, 1, "\"def\"");
    g_assert_true(fixture_ask(&f, PHASE_RESUME, 0));
    g_assert_cmpstr(f.rq->url, ==, "http://127.0.0.1:9000/bucket/pre/a%20b.txt?max-parts=1000&uploadId=U");
    g_assert_cmpuint(f.rq->answer_max, ==, ANSWER_MAX_LIST);
    /* known and equal; known but not there; unknown and of the right size */
    g_assert_cmpint(list(&f, false, "0", PART(1, "abc", 5242880) PART(3, "\"new\"", 2097152)), ==, VERDICT_OK);
    g_assert_true(f.up->parts[0].done);
    g_assert_cmpstr(f.up->parts[0].etag, ==, "\"ABC\"");
    g_assert_false(f.up->parts[1].done);
    g_assert_null(f.up->parts[1].etag);
    g_assert_true(f.up->parts[2].done);
    g_assert_cmpstr(f.up->parts[2].etag, ==, "\"new\"");
    fixture_clear(&f);
}

static void test_resume_refuses_parts(void)
{
    static const char *const rows[] = {
        PART(1, "\"x\"", 5242879),
        PART(1, "\"x\"", 99999999999999999999),
        PART(0, "\"x\"", 5242880),
        PART(4, "\"x\"", 5242880),
        PART(-1, "\"x\"", 5242880),
        PART(1, "", 5242880),
        "<Part><PartNumber>1</PartNumber></Part>",
        "<Part/>",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Fixture f;
        open_parts(&f, NULL);
        g_assert_cmpint(list(&f, false, "0", rows[i]), ==, VERDICT_OK);
        g_assert_cmpuint(upload_done_bytes(f.up), ==, 0);
        fixture_clear(&f);
    }
    Fixture f;
    open_parts(&f, NULL);
    know_part(&f, 0, "\"mine\"");
    g_assert_cmpint(list(&f, false, "0", PART(1, "\"other\"", 5242880)), ==, VERDICT_OK);
    g_assert_false(f.up->parts[0].done);
    static const char crc[] =
        "<Part><PartNumber>2</PartNumber><ETag>e</ETag><Size>5242880</Size><ChecksumCRC64NVME>AAAAAAAAAAA=</ChecksumCRC64NVME></Part>";
    g_assert_cmpint(list(&f, false, "0", crc), ==, VERDICT_OK);
    g_assert_false(f.up->parts[1].done);
    fixture_clear(&f);
}

static void test_resume_pages(void)
{
    Fixture f;
    open_parts(&f, NULL);
    know_part(&f, 1, "\"b\"");
    g_assert_cmpint(list(&f, true, "1", PART(1, "\"a\"", 5242880)), ==, VERDICT_MORE);
    g_assert_true(f.up->parts[1].done); /* not covered yet */
    g_assert_true(fixture_ask(&f, PHASE_RESUME, 0));
    g_assert_cmpstr(f.rq->url, ==, "http://127.0.0.1:9000/bucket/pre/a%20b.txt?max-parts=1000&part-number-marker=1&uploadId=U");
    g_assert_cmpint(list(&f, false, "0", PART(3, "\"c\"", 2097152)), ==, VERDICT_OK);
    g_assert_true(f.up->parts[0].done);
    g_assert_false(f.up->parts[1].done);
    g_assert_true(f.up->parts[2].done);
    g_assert_null(f.up->list_marker);
    fixture_clear(&f);

    open_parts(&f, NULL); /* rclone: the marker names the next part and is handed back as given */
    know_part(&f, 1, "\"b\"");
    g_assert_cmpint(list(&f, true, "2", PART(1, "\"a\"", 5242880)), ==, VERDICT_MORE);
    g_assert_true(fixture_ask(&f, PHASE_RESUME, 0));
    g_assert_nonnull(strstr(f.rq->url, "part-number-marker=2&"));
    g_assert_cmpint(list(&f, false, "0", PART(2, "\"b\"", 5242880)), ==, VERDICT_OK);
    g_assert_true(f.up->parts[1].done);
    fixture_clear(&f);
}

static void test_resume_marker_must_grow(void)
{
    Fixture f;
    open_parts(&f, NULL);
    know_part(&f, 2, "\"c\"");
    g_assert_cmpint(list(&f, true, "1", PART(1, "\"a\"", 5242880)), ==, VERDICT_MORE);
    g_assert_cmpint(list(&f, true, "1", PART(1, "\"a\"", 5242880)), ==, VERDICT_OK);
    g_assert_true(f.up->parts[2].done); /* the list broke off: the journal counts */
    g_assert_null(f.up->list_marker);
    g_assert_cmpint(list(&f, true, "", ""), ==, VERDICT_OK);
    fixture_clear(&f);
}

static void test_resume_failures(void)
{
    static const struct {
        int status;
        const char *code;
    } refusals[] = { { 405, "MethodNotAllowed" }, { 501, "NotImplemented" }, { 403, "AccessDenied" }, { 405, NULL } };
    Fixture f;
    for (unsigned i = 0; i < G_N_ELEMENTS(refusals); i++) {
        open_parts(&f, NULL);
        know_part(&f, 0, "\"a\"");
        g_autofree char *body = refusals[i].code == NULL ? NULL : fixture_error(refusals[i].code, "");
        g_assert_cmpint(fixture_read(&f, PHASE_RESUME, 0, refusals[i].status, NULL, body), ==, VERDICT_OK);
        g_assert_true(f.up->parts[0].done);
        g_assert_cmpint(f.learned.list_parts, ==, LEARNED_REFUSED);
        g_assert_cmpstr(f.up->note, ==, "this store does not list parts: resumed from the journal");
        fixture_clear(&f);
    }
    open_parts(&f, NULL);
    g_assert_cmpint(fixture_fail(&f, PHASE_RESUME, 404, "NoSuchUpload", ""), ==, VERDICT_RESTART);
    assert_fault(&f, FAULT_UPLOAD_GONE, NULL);
    g_assert_cmpint(fixture_read(&f, PHASE_RESUME, 0, 404, NULL, NULL), ==, VERDICT_RESTART);
    g_assert_cmpint(fixture_fail(&f, PHASE_RESUME, 404, "NoSuchBucket", ""), ==, VERDICT_FAIL);
    g_assert_cmpint(fixture_fail(&f, PHASE_RESUME, 403, "SignatureDoesNotMatch", ""), ==, VERDICT_FAIL);
    g_assert_cmpint(fixture_read(&f, PHASE_RESUME, 0, 200, NULL, "<html/>"), ==, VERDICT_RETRY);
    g_assert_cmpint(fixture_read(&f, PHASE_RESUME, 0, 503, NULL, NULL), ==, VERDICT_RETRY);
    fixture_clear(&f);
}

/* ---- FIND */

static Verdict found(Fixture *f, const char *head, const char *rows)
{
    g_autofree char *body = g_strdup_printf("<ListMultipartUploadsResult>%s%s</ListMultipartUploadsResult>", head, rows);
    return fixture_read(f, PHASE_FIND, 0, 200, NULL, body);
}

#define ROW(key, id, begun) "<Upload><Key>" key "</Key><UploadId>" id "</UploadId><Initiated>" begun "</Initiated></Upload>"

static void test_find(void)
{
    Fixture f;
    open_parts(&f, NULL);
    g_assert_true(fixture_ask(&f, PHASE_FIND, 0));
    g_assert_cmpstr(f.rq->url, ==, "http://127.0.0.1:9000/bucket?uploads=&encoding-type=url&max-uploads=1000&prefix=pre%2Fa%20b.txt");
    g_assert_cmpint(found(&f, "<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>",
                          ROW("pre%2Fa+b.txt", "ours", "2026-01-15T09:20:00.000Z") ROW("pre%2Fa%20b.txt", "ours2", "2026-01-15T09:30:01Z")
                              ROW("pre%2Fa+b.txt", "older", "2026-01-15T09:14:59Z") ROW(
                                  "pre%2Fa+b.txt.bak", "longer", "2026-01-15T09:30:00Z") ROW("pre%2Fa+b.txt", "", "2026-01-15T09:30:00Z")
                                  ROW("pre%2Fa+b.txt", "timeless", "soon") ROW("pre%2", "malformed", "2026-01-15T09:30:00Z")),
                    ==, VERDICT_OK);
    g_assert_cmpuint(f.up->found->len, ==, 2);
    g_assert_cmpstr(f.up->found->pdata[0], ==, "ours");
    g_assert_cmpstr(f.up->found->pdata[1], ==, "ours2");
    fixture_clear(&f);

    open_parts(&f, NULL); /* a store that does not encode; and a start that nobody knows makes nothing ours */
    g_assert_cmpint(found(&f, "", ROW("pre/a b.txt", "ours", "2026-01-15T09:30:00Z")), ==, VERDICT_OK);
    g_assert_cmpuint(f.up->found->len, ==, 1);
    f.up->opened_s = 0;
    g_ptr_array_set_size(f.up->found, 0);
    g_assert_cmpint(found(&f, "", ROW("pre/a b.txt", "ours", "2026-01-15T09:30:00Z")), ==, VERDICT_OK);
    g_assert_cmpuint(f.up->found->len, ==, 0);
    fixture_clear(&f);
}

static void test_find_pages(void)
{
    static const char more[] = "<IsTruncated>true</IsTruncated><EncodingType>url</EncodingType><NextKeyMarker>pre%2Fa+b.txt</"
                               "NextKeyMarker><NextUploadIdMarker>X/Y</NextUploadIdMarker>";
    static const char past[] =
        "<IsTruncated>true</IsTruncated><NextKeyMarker>pre/a b.txt2</NextKeyMarker><NextUploadIdMarker>Z</NextUploadIdMarker>";
    Fixture f;
    open_parts(&f, NULL);
    g_assert_cmpint(found(&f, more, ROW("pre%2Fa+b.txt", "1", "2026-01-15T09:30:00Z")), ==, VERDICT_MORE);
    g_assert_true(fixture_ask(&f, PHASE_FIND, 0));
    g_assert_true(g_str_has_suffix(f.rq->url, "&key-marker=pre%2Fa%20b.txt&upload-id-marker=X%2FY"));
    g_assert_cmpint(found(&f, more, ""), ==, VERDICT_OK); /* the marker did not move */
    g_assert_null(f.up->list_marker);
    g_assert_cmpint(found(&f, past, ""), ==, VERDICT_OK); /* only longer keys can follow */
    g_assert_cmpuint(f.up->found->len, ==, 1);
    fixture_clear(&f);
}

static void test_find_refused(void)
{
    Fixture f;
    open_parts(&f, NULL);
    g_assert_cmpint(fixture_fail(&f, PHASE_FIND, 403, "AccessDenied", ""), ==, VERDICT_OK);
    g_assert_true(f.up->found == NULL || f.up->found->len == 0);
    g_assert_cmpint(f.learned.list_uploads, ==, LEARNED_REFUSED);
    g_assert_nonnull(f.up->note);
    g_assert_cmpint(fixture_fail(&f, PHASE_FIND, 404, "NoSuchBucket", ""), ==, VERDICT_FAIL);
    fixture_clear(&f);
}

/* ---- whatever comes */

/* Documents of every phase with bytes changed at random, given to every phase under every status: always a lawful verdict, and a part
 * counts only with an ETag. */
static void test_damaged_answers(void)
{
    static const char *const bodies[] = {
        "<InitiateMultipartUploadResult><UploadId>U</UploadId></InitiateMultipartUploadResult>",
        "<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>2</NextPartNumberMarker>" PART(1, "e",
                                                                                                              5242880) "</ListPartsResult>",
        "<CompleteMultipartUploadResult><ETag>e</ETag><ChecksumCRC64NVME>AAAAAAAAAAA=</ChecksumCRC64NVME></CompleteMultipartUploadResult>",
        "<ListMultipartUploadsResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextKeyMarker>pre/a+b.txt</"
        "NextKeyMarker>"
        "<NextUploadIdMarker>i</NextUploadIdMarker>" ROW("pre/a+b.txt", "i", "2026-01-15T09:30:00Z") "</ListMultipartUploadsResult>",
        "<Error><Code>AuthorizationHeaderMalformed</Code><Message>expecting 'eu-west-1'</Message><Region>eu-west-1</Region></Error>",
        "<ErrorResponse><Error><Code>NotImplemented</Code><Header>x-amz-checksum-crc64nvme</Header></Error></ErrorResponse>",
        "",
    };
    static const int statuses[] = { 200, 204, 301, 307, 400, 403, 404, 405, 409, 412, 500, 501, 503 };
    static const char *const headers[] = { NULL, "ETag: \"e\"\nDate: Thu, 15 Jan 2026 19:30:00 GMT", "x-amz-bucket-region: r\nETag: e-2",
                                           "Content-Length: 12582912\nx-amz-checksum-crc64nvme: x-9\nETag: W/\"a\"" };
    Fixture f;
    open_parts(&f, NULL);
    for (unsigned round = 0; round < 4000; round++) {
        g_autofree char *body = g_strdup(bodies[g_test_rand_int_range(0, G_N_ELEMENTS(bodies))]);
        for (unsigned i = 0; *body != '\0' && i < round % 4; i++)
            body[g_test_rand_int_range(0, (gint32)strlen(body))] = (char)g_test_rand_int_range(1, 256);
        const Phase phase = (Phase)g_test_rand_int_range(0, N_PHASES);
        if (f.ctx.ops->step[phase].read == NULL)
            continue;
        const int status = statuses[g_test_rand_int_range(0, G_N_ELEMENTS(statuses))];
        const Verdict verdict = fixture_read(&f, phase, (unsigned)g_test_rand_int_range(0, 3), status,
                                             headers[g_test_rand_int_range(0, G_N_ELEMENTS(headers))], body);
        g_assert_cmpint(verdict, <=, VERDICT_FAIL);
        for (unsigned i = 0; i < f.up->n_parts; i++)
            g_assert_true(!f.up->parts[i].done || f.up->parts[i].etag != NULL);
        g_assert_true(f.up->upload_id == NULL || *f.up->upload_id != '\0');
        g_autofree char *learned = dest_learned_to_text(&f.learned);
        g_assert_true(g_utf8_validate(learned, -1, NULL));
    }
    fixture_clear(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dest/s3/faults/verdicts", test_verdicts);
    g_test_add_func("/dest/s3/faults/name-is-not-utf8", test_name_is_not_utf8);
    g_test_add_func("/dest/s3/faults/without-upload-id", test_without_upload_id);
    g_test_add_func("/dest/s3/faults/without-document", test_without_document);
    g_test_add_func("/dest/s3/faults/cause-is-harmless", test_cause_is_harmless);
    g_test_add_func("/dest/s3/learn/region", test_region);
    g_test_add_func("/dest/s3/learn/clock", test_clock);
    g_test_add_func("/dest/s3/learn/clock-from-success", test_clock_from_success);
    g_test_add_func("/dest/s3/learn/features-dropped", test_features_dropped);
    g_test_add_func("/dest/s3/learn/unnamed-feature", test_unnamed_feature);
    g_test_add_func("/dest/s3/learn/features-insisted-on", test_features_insisted_on);
    g_test_add_func("/dest/s3/learn/style", test_style);
    g_test_add_func("/dest/s3/close/failures", test_close_failures);
    g_test_add_func("/dest/s3/close/cut-at-every-byte", test_close_cut);
    g_test_add_func("/dest/s3/key-is-taken", test_taken);
    g_test_add_func("/dest/s3/verify/request", test_verify_request);
    g_test_add_func("/dest/s3/verify/confirmed", test_verify_confirmed);
    g_test_add_func("/dest/s3/verify/without-rights", test_verify_without_rights);
    g_test_add_func("/dest/s3/verify/other-cut", test_verify_other_cut);
    g_test_add_func("/dest/s3/verify/unconfirmed", test_verify_unconfirmed);
    g_test_add_func("/dest/s3/resume/parts", test_resume);
    g_test_add_func("/dest/s3/resume/refuses-parts", test_resume_refuses_parts);
    g_test_add_func("/dest/s3/resume/pages", test_resume_pages);
    g_test_add_func("/dest/s3/resume/marker-must-grow", test_resume_marker_must_grow);
    g_test_add_func("/dest/s3/resume/failures", test_resume_failures);
    g_test_add_func("/dest/s3/find/rows", test_find);
    g_test_add_func("/dest/s3/find/pages", test_find_pages);
    g_test_add_func("/dest/s3/look", test_look);
    g_test_add_func("/dest/s3/find/refused", test_find_refused);
    g_test_add_func("/dest/s3/damaged-answers", test_damaged_answers);
    return g_test_run();
}
