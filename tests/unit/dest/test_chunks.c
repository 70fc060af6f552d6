/* Forms that carry a file piece by piece (chunks.c): Cloudinary's chunks, UploadThing's PUT. */
#include "session_fixture.h"

#define CLOUD "https://api.example/v1_1/demo/auto/upload"
#define UT    "https://ingest.example/k?expires=1&signature=SIGNATURE"

static void open_chunks(Fixture *f, uint64_t bytes, uint64_t part_size)
{
    fixture_open(f, &dest_chunks, NULL, NULL, NULL);
    fixture_upload(f, "a/k.png", bytes, part_size);
    fixture_grant(f, CLOUD, NULL);
    f->up->grant->fields = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(f->up->grant->fields, g_strdup("api_key"));
    g_ptr_array_add(f->up->grant->fields, g_strdup("123"));
}

/* The form in front of the file. Caller frees. */
static char *front_of(const Request *rq)
{
    gsize bytes;
    const char *text = g_bytes_get_data(rq->spans[0].bytes, &bytes);
    return g_strndup(text, bytes);
}

static bool has_header(const Request *rq, const char *line)
{
    for (unsigned i = 0; i < rq->headers->len; i++)
        if (g_str_equal(rq->headers->pdata[i], line))
            return true;
    return false;
}

static void test_plan(void)
{
    static const struct {
        uint64_t bytes, wanted;
        unsigned n_parts;
    } cases[] = { { 0, 0, 1 },        { 100000000, 0, 1 },       { 100000001, 0, 5 },
                  { 13 * MIB, 1, 3 }, { 13 * MIB, 20 * MIB, 1 }, { 200 * MIB, 500 * MIB, 3 } };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        Fixture f;
        open_chunks(&f, cases[i].bytes, cases[i].wanted);
        g_assert_cmpuint(f.up->n_parts, ==, cases[i].n_parts);
        g_assert_true(f.up->serial && !f.up->probe);
        fixture_clear(&f);
    }
}

static void test_whole(void)
{
    Fixture f;
    open_chunks(&f, 10, 0);
    ask(&f, PHASE_PART, 0);
    g_assert_cmpstr(f.rq->method, ==, "POST");
    g_assert_cmpstr(f.rq->url, ==, CLOUD);
    g_assert_cmpuint(f.rq->headers->len, ==, 1); /* the form's own type */
    g_autofree char *front = front_of(f.rq);
    g_assert_true(strstr(front, "name=\"api_key\"\r\n\r\n123\r\n") != NULL);
    g_assert_true(strstr(front, "name=\"file\"; filename=\"k.png\"\r\nContent-Type: image/png\r\n") != NULL);
    g_assert_cmpint(answer(&f, PHASE_PART, 0, 200, NULL, "{\"public_id\":\"x\",\"bytes\":10,\"etag\":\"e\"}"), ==, VERDICT_OK);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_SIZE);
    g_assert_cmpstr(f.up->etag, ==, "e");
    fixture_clear(&f);
}

static void test_chunks(void)
{
    Fixture f;
    open_chunks(&f, 13 * MIB, 6 * MIB);
    g_assert_true(dest_chunks.step[PHASE_OPEN].ask(&f.ctx, f.up, 0, &f.rq, &f.error));
    g_assert_null(f.rq);
    ask(&f, PHASE_PART, 2);
    g_assert_true(has_header(f.rq, "X-Unique-Upload-Id: " NONCE));
    g_assert_true(has_header(f.rq, "Content-Range: bytes 12582912-13631487/13631488"));
    g_assert_cmpuint(f.rq->spans[1].offset, ==, 12 * MIB);
    g_assert_cmpuint(f.rq->spans[1].length, ==, MIB);
    g_assert_cmpint(answer(&f, PHASE_PART, 0, 200, NULL, "{\"done\":false,\"bytes\":6291456}"), ==, VERDICT_OK);
    g_assert_cmpint(answer(&f, PHASE_PART, 1, 200, NULL, "{\"done\":true}"), ==, VERDICT_RESTART);  /* too early */
    g_assert_cmpint(answer(&f, PHASE_PART, 2, 200, NULL, "{\"done\":false}"), ==, VERDICT_RESTART); /* something is missing there */
    g_assert_cmpint(answer(&f, PHASE_PART, 2, 200, NULL, "<html>"), ==, VERDICT_RETRY);
    g_assert_cmpint(answer(&f, PHASE_PART, 2, 200, NULL, "{\"bytes\":13631488}"), ==, VERDICT_OK);
    fixture_clear(&f);
}

static void test_refusals(void)
{
    static const struct {
        int status;
        const char *body;
        Verdict verdict;
        FaultCode fault;
    } cases[] = {
        { 400, "{\"error\":{\"message\":\"Stale request - reported time is 1 which is more than 1 hour ago\"}}", VERDICT_AGAIN,
          FAULT_EXPIRED },
        { 401, "{\"error\":{\"message\":\"Invalid Signature abc. String to sign - 'x'\"}}", VERDICT_FAIL, FAULT_SIGNATURE },
        { 400, "{\"error\":{\"message\":\"File size too large. Got 1. Maximum is 2.\"}}", VERDICT_FAIL, FAULT_TOO_LARGE },
        { 420, NULL, VERDICT_RETRY, FAULT_SLOW_DOWN },
        { 502, "<html>", VERDICT_RETRY, FAULT_SERVER },
        { 413, NULL, VERDICT_FAIL, FAULT_TOO_LARGE },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        Fixture f;
        open_chunks(&f, 10, 0);
        g_assert_cmpint(answer(&f, PHASE_PART, 0, cases[i].status, NULL, cases[i].body), ==, cases[i].verdict);
        g_assert_cmpint(fault_code(f.error), ==, cases[i].fault);
        g_assert_false(f.up->parts[0].done);
        fixture_clear(&f);
    }
}

/* ---- UploadThing */

static void open_ut(Fixture *f, uint64_t bytes)
{
    static const char *const lines[] = { "Range: bytes=0-", NULL };
    fixture_open(f, &dest_uploadthing, NULL, NULL, NULL);
    fixture_upload(f, "k", bytes, 0);
    fixture_grant(f, UT, lines);
}

static void test_ut(void)
{
    Fixture f;
    open_ut(&f, 100);
    assert_asked(&f, PHASE_OPEN, 0, "HEAD " UT);
    g_assert_cmpint(answer(&f, PHASE_OPEN, 0, 200, NULL, NULL), ==, VERDICT_OK);
    g_assert_cmpstr(f.up->upload_id, ==, UT);
    g_clear_pointer(&f.up->grant, grant_free);
    ask(&f, PHASE_PART, 0);
    g_assert_cmpstr(f.rq->method, ==, "PUT");
    g_assert_true(has_header(f.rq, "Range: bytes=0-"));
    g_assert_cmpuint(f.rq->spans[1].length, ==, 100);
    assert_asked(&f, PHASE_RESUME, 0, "HEAD " UT);
    g_assert_cmpint(answer(&f, PHASE_RESUME, 0, 200, "x-ut-range-start: 40", NULL), ==, VERDICT_OK);
    ask(&f, PHASE_PART, 0);
    g_assert_true(has_header(f.rq, "Range: bytes=40-"));
    g_assert_cmpuint(f.rq->spans[1].offset, ==, 40);
    g_assert_cmpuint(f.rq->spans[1].length, ==, 60);
    g_assert_cmpint(answer(&f, PHASE_PART, 0, 200, NULL, "{\"ufsUrl\":\"https://x\"}"), ==, VERDICT_OK);
    g_assert_true(f.up->parts[0].done);
    fixture_clear(&f);
}

static void test_ut_answers(void)
{
    static const struct {
        Phase phase;
        int status;
        const char *headers;
        Verdict verdict;
        FaultCode fault;
    } cases[] = {
        { PHASE_OPEN, 404, NULL, VERDICT_OK, FAULT_NONE },
        { PHASE_OPEN, 403, NULL, VERDICT_AGAIN, FAULT_EXPIRED },
        { PHASE_OPEN, 200, "x-ut-range-start: 101", VERDICT_FAIL, FAULT_BAD_ANSWER },
        { PHASE_OPEN, 200, "x-ut-range-start: 40", VERDICT_FAIL, FAULT_GRANT }, /* of which file? */
        { PHASE_OPEN, 500, NULL, VERDICT_RETRY, FAULT_SERVER },
        { PHASE_RESUME, 404, NULL, VERDICT_RESTART, FAULT_UPLOAD_GONE },
        { PHASE_RESUME, 403, NULL, VERDICT_RESTART, FAULT_UPLOAD_GONE },
        { PHASE_RESUME, 200, "x-ut-range-start: x", VERDICT_RETRY, FAULT_BAD_ANSWER },
        { PHASE_RESUME, 503, NULL, VERDICT_RETRY, FAULT_SLOW_DOWN },
        { PHASE_PART, 410, NULL, VERDICT_RESTART, FAULT_UPLOAD_GONE },
        { PHASE_PART, 400, NULL, VERDICT_FAIL, FAULT_REFUSED },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        Fixture f;
        open_ut(&f, 100);
        g_assert_cmpint(answer(&f, cases[i].phase, 0, cases[i].status, cases[i].headers, NULL), ==, cases[i].verdict);
        g_assert_cmpint(fault_code(f.error), ==, cases[i].fault);
        fixture_clear(&f);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dest/chunks/plan", test_plan);
    g_test_add_func("/dest/chunks/whole", test_whole);
    g_test_add_func("/dest/chunks/chunks", test_chunks);
    g_test_add_func("/dest/chunks/refusals", test_refusals);
    g_test_add_func("/dest/uploadthing/walk", test_ut);
    g_test_add_func("/dest/uploadthing/answers", test_ut_answers);
    return g_test_run();
}
