/* Sessions at a secret URL (session.c): what is asked, and what the answers of Cloud Storage and Graph make of an upload. */
#include "session_fixture.h"

#define SIGNED  "https://storage.example/b/k?X-Goog-Signature=SIGNATURE"
#define SESSION "https://storage.example/b/k?upload_id=SESSIONID"

/* starts: the grant's header that opens a session. */
static void open_upload(Fixture *f, const DestOps *ops, uint64_t bytes, uint64_t part_size, bool starts)
{
    static const char *const given[] = { "Content-Type: image/png", NULL };
    static const char *const starting[] = { "Content-Type: image/png", "x-goog-resumable: start", NULL };
    fixture_open(f, ops, NULL, NULL, NULL);
    fixture_upload(f, "k", bytes, part_size);
    fixture_grant(f, starts ? SIGNED : SESSION, starts ? starting : given);
}

static void open_session(Fixture *f)
{
    g_assert_cmpint(answer(f, PHASE_OPEN, 0, 201, "Location: " SESSION, NULL), ==, VERDICT_OK);
    g_clear_pointer(&f->up->grant, grant_free); /* from here on none is needed */
}

static void test_plan(void)
{
    static const struct {
        const DestOps *ops;
        uint64_t bytes, wanted, part_size;
    } cases[] = {
        { &dest_gcs, 0, 0, 64 * MIB },
        { &dest_gcs, 100 * MIB, 0, 64 * MIB },
        { &dest_gcs, 100 * MIB, 1, 256 * KIB },
        { &dest_gcs, 100 * MIB, 1000000, MIB },
        { &dest_gcs, 1000000 * MIB, 0, 100 * MIB + 256 * KIB },
        { &dest_ranged, 100 * MIB, 0, 10 * MIB },
        { &dest_ranged, 100 * MIB, MIB, 1280 * KIB },
        { &dest_ranged, 100 * MIB, 64 * MIB, 60 * MIB - 320 * KIB },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        Fixture f;
        open_upload(&f, cases[i].ops, cases[i].bytes, cases[i].wanted, true);
        g_assert_cmpuint(f.up->part_size, ==, cases[i].part_size);
        g_assert_true(f.up->multipart && f.up->serial && f.up->probe && f.up->n_parts >= 1);
        fixture_clear(&f);
    }
}

static void test_gcs_open(void)
{
    Fixture f;
    open_upload(&f, &dest_gcs, 10, 0, true);
    assert_asked(&f, PHASE_OPEN, 0, "POST " SIGNED "|Content-Type: image/png|x-goog-resumable: start");
    g_assert_cmpint(answer(&f, PHASE_OPEN, 0, 201, "Location: " SESSION, NULL), ==, VERDICT_OK);
    g_assert_cmpstr(f.up->upload_id, ==, SESSION);
    g_assert_cmpint(f.up->opened_s, ==, NOW_S);
    fixture_clear(&f);
}

/* The application opened the session itself. */
static void test_gcs_open_session_given(void)
{
    Fixture f;
    open_upload(&f, &dest_gcs, 1024 * KIB, 256 * KIB, false);
    assert_asked(&f, PHASE_OPEN, 0, "PUT " SESSION "|Content-Range: bytes */*");
    g_assert_cmpint(answer(&f, PHASE_OPEN, 0, 308, "Range: bytes=0-299999", NULL), ==, VERDICT_OK);
    g_assert_cmpstr(f.up->upload_id, ==, SESSION);
    g_assert_true(f.up->parts[0].done);
    g_assert_cmpuint(f.up->parts[1].kept_bytes, ==, 300000 - 256 * KIB);
    fixture_clear(&f);
}

static void test_open_refused(void)
{
    static const struct {
        const DestOps *ops;
        int status;
        const char *headers, *body;
        Verdict verdict;
        FaultCode fault;
    } cases[] = {
        { &dest_gcs, 201, NULL, NULL, VERDICT_FAIL, FAULT_BAD_ANSWER },
        { &dest_gcs, 201, "Location: http://storage.example/x", NULL, VERDICT_FAIL, FAULT_ENDPOINT },
        { &dest_gcs, 201, "Location: file:///etc/passwd", NULL, VERDICT_FAIL, FAULT_BAD_ANSWER },
        { &dest_gcs, 400, NULL, "<Error><Code>ExpiredToken</Code><Message>Request signature expired at: 1</Message></Error>", VERDICT_AGAIN,
          FAULT_EXPIRED },
        { &dest_gcs, 403, NULL, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>", VERDICT_FAIL, FAULT_DENIED },
        { &dest_gcs, 403, NULL, "<Error><Code>SignatureDoesNotMatch</Code><Message>no</Message></Error>", VERDICT_FAIL, FAULT_SIGNATURE },
        { &dest_gcs, 404, NULL, "<Error><Code>NoSuchBucket</Code><Message>no</Message></Error>", VERDICT_FAIL, FAULT_NO_BUCKET },
        { &dest_gcs, 503, NULL, NULL, VERDICT_RETRY, FAULT_SLOW_DOWN },
        { &dest_ranged, 200, NULL, "<html>", VERDICT_FAIL, FAULT_BAD_ANSWER },
        { &dest_ranged, 410, NULL, "{\"error\":{\"code\":\"gone\",\"message\":\"no\"}}", VERDICT_RESTART, FAULT_UPLOAD_GONE },
        { &dest_ranged, 401, NULL, "{\"error\":{\"message\":\"The link has expired: " SIGNED "\"}}", VERDICT_AGAIN, FAULT_EXPIRED },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        Fixture f;
        open_upload(&f, cases[i].ops, 10, 0, true);
        g_assert_cmpint(answer(&f, PHASE_OPEN, 0, cases[i].status, cases[i].headers, cases[i].body), ==, cases[i].verdict);
        g_assert_cmpint(fault_code(f.error), ==, cases[i].fault);
        g_assert_null(f.up->upload_id);
        fixture_clear(&f);
    }
}

static void test_gcs_pieces(void)
{
    Fixture f;
    open_upload(&f, &dest_gcs, 600 * KIB, 256 * KIB, true);
    open_session(&f);
    assert_asked(&f, PHASE_PART, 0, "PUT " SESSION "|Content-Range: bytes 0-262143/614400 262144@0");
    g_assert_cmpint(answer(&f, PHASE_PART, 0, 308, "Range: bytes=0-262143", NULL), ==, VERDICT_OK);
    g_assert_true(f.up->parts[0].done);
    /* less than was sent: the rest of the piece, then */
    g_assert_cmpint(answer(&f, PHASE_PART, 1, 308, "Range: bytes=0-299999", NULL), ==, VERDICT_MORE);
    assert_asked(&f, PHASE_PART, 1, "PUT " SESSION "|Content-Range: bytes 300000-524287/614400 224288@300000");
    /* nothing more, or a piece lost that was confirmed: only asking tells */
    g_assert_cmpint(answer(&f, PHASE_PART, 1, 308, "Range: bytes=0-299999", NULL), ==, VERDICT_RETRY);
    g_assert_cmpint(answer(&f, PHASE_PART, 1, 308, NULL, NULL), ==, VERDICT_RETRY);
    assert_asked(&f, PHASE_RESUME, 0, "PUT " SESSION "|Content-Range: bytes */614400");
    g_assert_cmpint(answer(&f, PHASE_RESUME, 0, 308, "Range: bytes=0-99", NULL), ==, VERDICT_OK);
    g_assert_false(f.up->parts[0].done);
    g_assert_cmpuint(f.up->parts[0].kept_bytes, ==, 100);
    g_assert_cmpuint(f.up->parts[1].kept_bytes, ==, 0);
    g_assert_cmpuint(upload_done_bytes(f.up), ==, 100);
    fixture_clear(&f);
}

/* Everything is there, but the end was not said. */
static void test_gcs_all_kept(void)
{
    Fixture f;
    open_upload(&f, &dest_gcs, 300 * KIB, 256 * KIB, true);
    open_session(&f);
    g_assert_cmpint(answer(&f, PHASE_RESUME, 0, 308, "Range: bytes=0-307199", NULL), ==, VERDICT_OK);
    g_assert_true(f.up->parts[0].done && !f.up->parts[1].done);
    assert_asked(&f, PHASE_PART, 1, "PUT " SESSION "|Content-Range: bytes */307200");
    g_assert_cmpint(answer(&f, PHASE_PART, 1, 200, NULL, NULL), ==, VERDICT_OK);
    g_assert_true(f.up->parts[1].done);
    fixture_clear(&f);
}

static void test_empty_file(void)
{
    Fixture f;
    open_upload(&f, &dest_gcs, 0, 0, true);
    digests(&f, 'x');
    open_session(&f);
    assert_asked(&f, PHASE_PART, 0, "PUT " SESSION);
    g_assert_cmpint(answer(&f, PHASE_PART, 0, 200, "x-goog-hash: crc32c=AAAAAA==", NULL), ==, VERDICT_OK);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_CHECKSUM);
    fixture_clear(&f);
}

static void test_gcs_end(void)
{
    DigestSet set;
    digest_of(DIGEST_BIT(DIGEST_CRC32C), "xxxxxxxxx", 9, &set);
    g_autofree char *crc = digest_base64(&set, DIGEST_CRC32C);
    g_autofree char *right = g_strdup_printf("x-goog-hash: crc32c=%s,md5=bm90IG91cnM=\nETag: \"e\"", crc);
    g_autofree char *second = g_strdup_printf("x-goog-hash: md5=bm90IG91cnM=\nx-goog-hash: crc32c=%s", crc);
    g_autofree char *json = g_strdup_printf("{\"crc32c\":\"%s\",\"size\":\"9\",\"etag\":\"e\"}", crc);
    const struct {
        const char *headers, *body;
        Verdict verdict;
        FaultCode fault;
        Verified verified;
    } cases[] = {
        { right, NULL, VERDICT_OK, FAULT_NONE, VERIFIED_CHECKSUM },
        { second, NULL, VERDICT_OK, FAULT_NONE, VERIFIED_CHECKSUM },
        { NULL, json, VERDICT_OK, FAULT_NONE, VERIFIED_CHECKSUM },
        { NULL, "{\"size\":\"9\"}", VERDICT_OK, FAULT_NONE, VERIFIED_SIZE },
        { NULL, NULL, VERDICT_OK, FAULT_NONE, VERIFIED_NOT },
        { "x-goog-hash: crc32c=AAAAAA==", NULL, VERDICT_RESTART, FAULT_CHECKSUM, VERIFIED_NOT },
        { NULL, "{\"crc32c\":\"AAAAAA==\"}", VERDICT_RESTART, FAULT_CHECKSUM, VERIFIED_NOT },
        { NULL, "{\"size\":\"10\"}", VERDICT_RESTART, FAULT_SIZE, VERIFIED_NOT },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
        for (unsigned phase = PHASE_RESUME; phase <= PHASE_PART;
             phase += PHASE_PART - PHASE_RESUME) { /* an answer that was lost comes here */
            Fixture f;
            open_upload(&f, &dest_gcs, 9, 0, true);
            digests(&f, 'x');
            open_session(&f);
            g_assert_cmpint(answer(&f, phase, 0, 200, cases[i].headers, cases[i].body), ==, cases[i].verdict);
            g_assert_cmpint(fault_code(f.error), ==, cases[i].fault);
            g_assert_cmpint(f.up->verified, ==, cases[i].verified);
            g_assert_cmpint(f.up->parts[0].done, ==, cases[i].verdict == VERDICT_OK);
            fixture_clear(&f);
        }
}

static void test_session_failures(void)
{
    static const struct {
        const DestOps *ops;
        int status;
        const char *headers, *body;
        Verdict verdict;
        FaultCode fault;
    } cases[] = {
        { &dest_gcs, 404, NULL, NULL, VERDICT_RESTART, FAULT_UPLOAD_GONE },
        { &dest_gcs, 410, NULL, NULL, VERDICT_RESTART, FAULT_UPLOAD_GONE },
        { &dest_gcs, 499, NULL, NULL, VERDICT_RETRY, FAULT_BROKEN },
        { &dest_gcs, 408, NULL, NULL, VERDICT_RETRY, FAULT_STALLED },
        { &dest_gcs, 429, NULL, NULL, VERDICT_RETRY, FAULT_SLOW_DOWN },
        { &dest_gcs, 503, NULL, "words " SESSION, VERDICT_RETRY, FAULT_SLOW_DOWN },
        { &dest_gcs, 308, "Range: bytes=0-x", NULL, VERDICT_RETRY, FAULT_BAD_ANSWER },
        { &dest_gcs, 308, "Range: bytes=0-99999999", NULL, VERDICT_FAIL, FAULT_BAD_ANSWER },
        { &dest_gcs, 302, "Location: https://elsewhere.example/", NULL, VERDICT_FAIL, FAULT_ENDPOINT },
        { &dest_gcs, 200, NULL, NULL, VERDICT_RESTART, FAULT_BAD_ANSWER },
        { &dest_ranged, 404, NULL, "{\"error\":{\"code\":\"itemNotFound\",\"message\":\"no\"}}", VERDICT_RESTART, FAULT_UPLOAD_GONE },
        { &dest_ranged, 202, NULL, "{\"nextExpectedRanges\":[]}", VERDICT_RETRY, FAULT_BAD_ANSWER },
        { &dest_ranged, 202, NULL, "<html>", VERDICT_RETRY, FAULT_BAD_ANSWER },
        { &dest_ranged, 202, NULL, "{\"nextExpectedRanges\":[\"0-\"]}", VERDICT_RETRY, FAULT_BROKEN },
        { &dest_ranged, 416, NULL, NULL, VERDICT_RETRY, FAULT_BROKEN },
        { &dest_ranged, 507, NULL, "{\"error\":{\"code\":\"quotaLimitReached\"}}", VERDICT_FAIL, FAULT_QUOTA },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        Fixture f;
        open_upload(&f, cases[i].ops, MIB, 320 * KIB, true);
        f.up->upload_id = g_strdup(SESSION);
        g_assert_cmpint(answer(&f, PHASE_PART, 0, cases[i].status, cases[i].headers, cases[i].body), ==, cases[i].verdict);
        g_assert_cmpint(fault_code(f.error), ==, cases[i].fault);
        g_assert_false(f.up->parts[0].done);
        fixture_clear(&f);
    }
}

static void test_ranged(void)
{
    Fixture f;
    open_upload(&f, &dest_ranged, 700 * KIB, 320 * KIB, false);
    assert_asked(&f, PHASE_OPEN, 0, "GET " SESSION);
    g_assert_cmpint(answer(&f, PHASE_OPEN, 0, 200, NULL, "{\"nextExpectedRanges\":[\"327680-\"]}"), ==, VERDICT_FAIL);
    g_assert_cmpint(fault_code(f.error), ==, FAULT_GRANT); /* bytes of which file? */
    g_assert_null(f.up->upload_id);
    g_assert_cmpint(
        answer(&f, PHASE_OPEN, 0, 200, NULL, "{\"nextExpectedRanges\":[\"0-\"],\"expirationDateTime\":\"2026-01-16T09:30:00Z\"}"), ==,
        VERDICT_OK);
    g_assert_cmpstr(f.up->upload_id, ==, SESSION);
    assert_asked(&f, PHASE_PART, 0, "PUT " SESSION "|Content-Range: bytes 0-327679/716800 327680@0");
    g_assert_cmpint(answer(&f, PHASE_PART, 0, 202, NULL, "{\"nextExpectedRanges\":[\"327680-716799\"]}"), ==, VERDICT_OK);
    g_assert_cmpint(answer(&f, PHASE_PART, 1, 202, NULL, "{\"nextExpectedRanges\":[\"400000-\"]}"), ==, VERDICT_MORE);
    assert_asked(&f, PHASE_RESUME, 0, "GET " SESSION);
    g_assert_cmpint(answer(&f, PHASE_RESUME, 0, 200, NULL, "{\"nextExpectedRanges\":[\"655360-\"]}"), ==, VERDICT_OK);
    g_assert_true(f.up->parts[1].done);
    g_assert_cmpint(answer(&f, PHASE_PART, 2, 201, NULL, "{\"id\":\"1\",\"size\":716800,\"eTag\":\"e\"}"), ==, VERDICT_OK);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_SIZE);
    g_assert_cmpstr(f.up->etag, ==, "e");
    fixture_clear(&f);
}

static void test_abort(void)
{
    static const struct {
        int status;
        Verdict verdict;
    } cases[] = { { 204, VERDICT_OK }, { 499, VERDICT_OK },    { 404, VERDICT_OK },
                  { 410, VERDICT_OK }, { 500, VERDICT_RETRY }, { 403, VERDICT_FAIL } };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        Fixture f;
        open_upload(&f, &dest_gcs, MIB, 0, true);
        open_session(&f);
        assert_asked(&f, PHASE_ABORT, 0, "DELETE " SESSION);
        g_assert_cmpint(answer(&f, PHASE_ABORT, 0, cases[i].status, NULL, NULL), ==, cases[i].verdict);
        fixture_clear(&f);
    }
}

static void test_without_grant(void)
{
    static const DestOps *const ops[] = { &dest_gcs, &dest_ranged };
    for (unsigned i = 0; i < G_N_ELEMENTS(ops); i++) {
        Fixture f;
        open_upload(&f, ops[i], MIB, 0, true);
        g_clear_pointer(&f.up->grant, grant_free);
        g_assert_false(ops[i]->step[PHASE_OPEN].ask(&f.ctx, f.up, 0, &f.rq, &f.error));
        g_assert_cmpint(fault_code(f.error), ==, FAULT_BUG);
        fixture_clear(&f);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dest/session/plan", test_plan);
    g_test_add_func("/dest/session/gcs-open", test_gcs_open);
    g_test_add_func("/dest/session/gcs-open-session-given", test_gcs_open_session_given);
    g_test_add_func("/dest/session/open-refused", test_open_refused);
    g_test_add_func("/dest/session/gcs-pieces", test_gcs_pieces);
    g_test_add_func("/dest/session/gcs-all-kept", test_gcs_all_kept);
    g_test_add_func("/dest/session/empty-file", test_empty_file);
    g_test_add_func("/dest/session/gcs-end", test_gcs_end);
    g_test_add_func("/dest/session/failures", test_session_failures);
    g_test_add_func("/dest/session/ranged", test_ranged);
    g_test_add_func("/dest/session/abort", test_abort);
    g_test_add_func("/dest/session/without-grant", test_without_grant);
    return g_test_run();
}
