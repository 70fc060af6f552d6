/* Azure blobs by SAS (azure.c), as a destination of its own and behind a broker's grant. */
#include "session_fixture.h"

#define BASE  "https://acct.blob.core.windows.net/cont/pre"
#define SAS   "sv=2021-12-02&se=2026-01-15T10%3A30%3A00Z&sr=c&sp=rcw&sig=SIGNATURE%3D"
#define GRANT BASE "/k?" SAS
#define ID0   "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYtMDAwMDA="
#define ID1   "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYtMDAwMDE="
#define ID2   "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYtMDAwMDI="

static const char *const sas[2] = { "sas-token", SAS };

static void open_own(Fixture *f, const char *const *options, uint64_t bytes, uint64_t part_size)
{
    fixture_open(f, &dest_azure, BASE, options, sas);
    g_assert_no_error(f->error);
    fixture_upload(f, "k", bytes, part_size);
}

static void open_granted(Fixture *f, uint64_t bytes, uint64_t part_size)
{
    static const char *const lines[] = { "x-ms-blob-type: BlockBlob", "x-ms-version: 2021-12-02", "Content-Type:image/gif", NULL };
    fixture_open(f, &dest_azure, NULL, NULL, NULL);
    fixture_upload(f, "k", bytes, part_size);
    fixture_grant(f, GRANT, lines);
}

static const char *sent(const Fixture *f, const char *name)
{
    const size_t bytes = strlen(name);
    for (unsigned i = 0; i < f->rq->headers->len; i++) {
        const char *line = f->rq->headers->pdata[i];
        if (g_ascii_strncasecmp(line, name, bytes) == 0 && line[bytes] == ':')
            return line + bytes + 1 + strspn(line + bytes + 1, " ");
    }
    return NULL;
}

static void test_open(void)
{
    static const struct {
        const char *endpoint, *option, *value;
    } cases[] = {
        { BASE "?" SAS, NULL, NULL },
        { BASE, "checksum", "sha256" },
        { BASE, "meta", "novalue" },
        { BASE, "header", "no colon" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        const char *const options[] = { cases[i].option, cases[i].value, NULL };
        Fixture f;
        fixture_open(&f, &dest_azure, cases[i].endpoint, options, sas);
        g_assert_null(f.ctx.priv);
        g_assert_cmpint(fault_code(f.error), ==, FAULT_USAGE);
        g_assert_null(strstr(f.error->message, "SIGNATURE"));
        fixture_clear(&f);
    }
    Fixture f;
    fixture_open(&f, &dest_azure, BASE "//", NULL, sas);
    g_autofree char *url = dest_azure.url(&f.ctx, "a b/c"), *where = dest_azure.where(&f.ctx);
    g_assert_cmpstr(url, ==, BASE "/a%20b/c");
    g_assert_cmpstr(where, ==, BASE);
    fixture_clear(&f);
}

static void test_plan(void)
{
    static const struct {
        uint64_t bytes, wanted, part_size;
        bool multipart;
    } cases[] = {
        { 0, 0, 0, false },    { 16 * MIB, 0, 16 * MIB, false }, { 16 * MIB + 1, 0, 8 * MIB, true },
        { 100, 30, 30, true }, { 100, 100, 100, false },         { 80000 * MIB + 10000, 0, 8 * MIB + 1, true },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        Fixture f;
        open_own(&f, NULL, cases[i].bytes, cases[i].wanted);
        g_assert_cmpint(f.up->multipart, ==, cases[i].multipart);
        g_assert_cmpuint(f.up->part_size, ==, cases[i].part_size);
        g_assert_cmpuint(f.up->n_parts, <=, 10000);
        fixture_clear(&f);
    }
}

static void test_whole(void)
{
    const char *const options[] = { "meta",      "a=b",  "header", "Cache-Control: max-age=1", "storage-class", "Cool", "tag", "x=y",
                                    "if-exists", "skip", NULL };
    Fixture f;
    open_own(&f, options, 3, 0);
    g_assert_true(f.up->look_first);
    digests(&f, 'x');
    assert_asked(&f, PHASE_PART, 0,
                 "PUT " GRANT "|x-ms-blob-content-type: image/png|x-ms-blob-cache-control: max-age=1|x-ms-meta-a: b"
                 "|x-ms-meta-mtime: 1700000000.123456789|x-ms-meta-hoistnonce: " NONCE
                 "|x-ms-access-tier: Cool|x-ms-tags: x=y|If-None-Match: *"
                 "|x-ms-blob-type: BlockBlob|Content-MD5: 9WGq9u8L8U1CCLtGpMyzrQ== 3@0");
    g_assert_cmpint(answer(&f, PHASE_PART, 0, 201, "ETag: \"0x1\"\nContent-MD5: 9WGq9u8L8U1CCLtGpMyzrQ==", NULL), ==, VERDICT_OK);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_CHECKSUM);
    g_assert_cmpstr(f.up->etag, ==, "\"0x1\"");
    g_assert_cmpint(answer(&f, PHASE_PART, 0, 201, "Content-MD5: AAAAAAAAAAAAAAAAAAAAAA==", NULL), ==, VERDICT_RETRY);
    g_assert_cmpint(fault_code(f.error), ==, FAULT_CHECKSUM);
    fixture_clear(&f);
}

static void test_granted_whole(void)
{
    Fixture f;
    open_granted(&f, 3, 0);
    digests(&f, 'x');
    assert_asked(&f, PHASE_PART, 0,
                 "PUT " GRANT
                 "|x-ms-blob-type: BlockBlob|x-ms-version: 2021-12-02|Content-Type:image/gif|Content-MD5: 9WGq9u8L8U1CCLtGpMyzrQ== 3@0");
    g_clear_pointer(&f.up->grant, grant_free);
    g_assert_false(dest_azure.step[PHASE_PART].ask(&f.ctx, f.up, 0, &f.rq, &f.error));
    g_assert_cmpint(fault_code(f.error), ==, FAULT_BUG);
    fixture_clear(&f);
}

static void test_blocks(void)
{
    Fixture f;
    open_own(&f, NULL, 10, 4);
    digests(&f, 'x');
    g_assert_true(dest_azure.step[PHASE_OPEN].ask(&f.ctx, f.up, 0, &f.rq, &f.error));
    g_assert_null(f.rq);
    assert_asked(&f, PHASE_PART, 2,
                 "PUT " GRANT
                 "&comp=block&blockid=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYtMDAwMDI%3D|Content-MD5: kzbr8lCH2RyBjubp7Cn4wQ== 2@8");
    for (unsigned i = 0; i < 3; i++)
        g_assert_cmpint(answer(&f, PHASE_PART, i, 201, NULL, NULL), ==, VERDICT_OK);
    ask(&f, PHASE_CLOSE, 0);
    g_assert_cmpstr(f.rq->url, ==, GRANT "&comp=blocklist");
    g_assert_cmpstr(sent(&f, "Content-Type"), ==, "application/xml");
    g_assert_cmpstr(sent(&f, "x-ms-blob-content-type"), ==, "image/png");
    g_assert_cmpstr(sent(&f, "x-ms-meta-hoistnonce"), ==, NONCE);
    g_assert_null(sent(&f, "x-ms-blob-type"));
    const char *list = g_bytes_get_data(f.rq->spans[0].bytes, NULL);
    g_assert_true(strstr(list, "<BlockList><Latest>" ID0 "</Latest><Latest>" ID1 "</Latest><Latest>" ID2 "</Latest></BlockList>") != NULL);
    g_assert_cmpint(answer(&f, PHASE_CLOSE, 0, 201, "ETag: \"0x2\"", NULL), ==, VERDICT_OK);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_CHECKSUM);
    fixture_clear(&f);
}

static void test_granted_list(void)
{
    Fixture f;
    open_granted(&f, 10, 4);
    ask(&f, PHASE_CLOSE, 0);
    g_assert_cmpstr(sent(&f, "Content-Type"), ==, "application/xml");
    g_assert_cmpstr(sent(&f, "x-ms-blob-content-type"), ==, "image/gif");
    g_assert_cmpstr(sent(&f, "x-ms-version"), ==, "2021-12-02");
    g_assert_null(sent(&f, "x-ms-blob-type"));
    g_assert_null(sent(&f, "x-ms-meta-hoistnonce"));
    /* a part that was not hashed here proves nothing */
    g_assert_cmpint(answer(&f, PHASE_CLOSE, 0, 201, "ETag: \"0x2\"", NULL), ==, VERDICT_OK);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_NOT);
    fixture_clear(&f);
}

#define BLOCK(id, size) "<Block><Name>" id "</Name><Size>" size "</Size></Block>"

static void test_resume(void)
{
    static const struct {
        int status;
        const char *headers, *body;
        bool done[3];
        bool noted;
    } cases[] = {
        { 200,
          NULL,
          "\xef\xbb\xbf<?xml version=\"1.0\"?><BlockList><UncommittedBlocks>" BLOCK(ID2, "2") BLOCK(ID0, "4")
              BLOCK("b3RoZXI=", "4") "</UncommittedBlocks></BlockList>",
          { true, false, true },
          false },
        { 200,
          NULL,
          "<BlockList><UncommittedBlocks>" BLOCK(ID0, "3") BLOCK(ID1, "-1") "</UncommittedBlocks></BlockList>",
          { false, false, false },
          false },
        { 200, NULL, "<BlockList><CommittedBlocks/><UncommittedBlocks/></BlockList>", { false, false, false }, false },
        { 404, "x-ms-error-code: BlobNotFound", NULL, { false, false, false }, false },
        { 403, "x-ms-error-code: AuthorizationPermissionMismatch", NULL, { false, true, false }, true },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        Fixture f;
        open_own(&f, NULL, 10, 4);
        f.up->parts[1].done = true; /* says the journal */
        assert_asked(&f, PHASE_RESUME, 0, "GET " GRANT "&comp=blocklist&blocklisttype=uncommitted");
        g_assert_cmpint(answer(&f, PHASE_RESUME, 0, cases[i].status, cases[i].headers, cases[i].body), ==, VERDICT_OK);
        for (unsigned k = 0; k < 3; k++)
            g_assert_cmpint(f.up->parts[k].done, ==, cases[i].done[k]);
        g_assert_cmpint(f.up->note != NULL, ==, cases[i].noted);
        fixture_clear(&f);
    }
}

static void test_failures(void)
{
    static const struct {
        int status;
        const char *headers, *body;
        Verdict verdict;
        FaultCode fault;
    } cases[] = {
        { 403, NULL,
          "<Error><Code>AuthenticationFailed</Code><Message>Server failed to authenticate</Message><AuthenticationErrorDetail>Signature "
          "not valid in the specified time frame: Start - Expiry</AuthenticationErrorDetail></Error>",
          VERDICT_FAIL, FAULT_EXPIRED },
        { 403, NULL,
          "<Error><Code>AuthenticationFailed</Code><Message>Server failed to authenticate the request sig=SIGNATURE</Message></Error>",
          VERDICT_FAIL, FAULT_SIGNATURE },
        { 403, "x-ms-error-code: AuthorizationPermissionMismatch", NULL, VERDICT_FAIL, FAULT_DENIED },
        { 404, "x-ms-error-code: ContainerNotFound", NULL, VERDICT_FAIL, FAULT_NO_BUCKET },
        { 400, "x-ms-error-code: InvalidBlockList", NULL, VERDICT_RESTART, FAULT_PART },
        { 400, "x-ms-error-code: Md5Mismatch", NULL, VERDICT_RETRY, FAULT_CHECKSUM },
        { 400, "x-ms-error-code: InvalidMetadata", NULL, VERDICT_FAIL, FAULT_REFUSED },
        { 409, "x-ms-error-code: BlobAlreadyExists", NULL, VERDICT_FAIL, FAULT_EXISTS },
        { 412, "x-ms-error-code: LeaseIdMissing", NULL, VERDICT_FAIL, FAULT_CONFLICT },
        { 413, "x-ms-error-code: RequestBodyTooLarge", NULL, VERDICT_FAIL, FAULT_TOO_LARGE },
        { 500, "x-ms-error-code: OperationTimedOut", NULL, VERDICT_RETRY, FAULT_STALLED },
        { 503, "x-ms-error-code: ServerBusy", NULL, VERDICT_RETRY, FAULT_SLOW_DOWN },
        { 200, NULL, "<html>sign in</html>", VERDICT_RETRY, FAULT_BAD_ANSWER },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
        for (unsigned phase = PHASE_PART; phase <= PHASE_CLOSE; phase++) {
            Fixture f;
            open_own(&f, NULL, 10, 4);
            g_assert_cmpint(answer(&f, phase, 0, cases[i].status, cases[i].headers, cases[i].body), ==, cases[i].verdict);
            g_assert_cmpint(fault_code(f.error), ==, cases[i].fault);
            fixture_clear(&f);
        }
}

/* The time in the SAS itself tells where the answer does not; a broker has another one. */
static void test_expired(void)
{
    Fixture f;
    open_own(&f, NULL, 10, 4);
    f.ctx.now_s = NOW_S + 3600;
    g_assert_cmpint(answer(&f, PHASE_VERIFY, 0, 403, "x-ms-error-code: AuthenticationFailed", NULL), ==, VERDICT_FAIL);
    g_assert_cmpint(fault_code(f.error), ==, FAULT_EXPIRED);
    f.ctx.now_s = NOW_S;
    g_assert_cmpint(answer(&f, PHASE_VERIFY, 0, 403, "x-ms-error-code: AuthenticationFailed", NULL), ==, VERDICT_FAIL);
    g_assert_cmpint(fault_code(f.error), ==, FAULT_SIGNATURE);
    fixture_clear(&f);
    open_granted(&f, 10, 4);
    f.ctx.now_s = NOW_S + 3600;
    g_assert_cmpint(answer(&f, PHASE_PART, 0, 403, "x-ms-error-code: AuthorizationFailure", NULL), ==, VERDICT_AGAIN);
    g_assert_cmpint(fault_code(f.error), ==, FAULT_EXPIRED);
    fixture_clear(&f);
}

static void test_key_taken(void)
{
    const char *const options[] = { "if-exists", "fail", NULL };
    Fixture f;
    open_own(&f, options, 3, 0);
    g_assert_cmpint(answer(&f, PHASE_LOOK, 0, 200, NULL, NULL), ==, VERDICT_FAIL);
    g_assert_cmpint(fault_code(f.error), ==, FAULT_EXISTS);
    g_assert_cmpint(answer(&f, PHASE_LOOK, 0, 404, "x-ms-error-code: BlobNotFound", NULL), ==, VERDICT_OK);
    g_assert_cmpint(answer(&f, PHASE_LOOK, 0, 404, "x-ms-error-code: ContainerNotFound", NULL), ==, VERDICT_FAIL);
    g_assert_cmpint(answer(&f, PHASE_LOOK, 0, 403, "x-ms-error-code: AuthorizationPermissionMismatch", NULL), ==, VERDICT_OK);
    g_assert_cmpint(answer(&f, PHASE_PART, 0, 409, "x-ms-error-code: BlobAlreadyExists", NULL), ==, VERDICT_UNKNOWN);
    g_assert_true(f.up->refused_exists);
    /* ours after all: the answer to the first try was lost */
    g_assert_cmpint(answer(&f, PHASE_VERIFY, 0, 200, "Content-Length: 3\nx-ms-meta-hoistnonce: " NONCE, NULL), ==, VERDICT_OK);
    g_assert_cmpint(answer(&f, PHASE_VERIFY, 0, 200, "Content-Length: 3\nx-ms-meta-hoistnonce: other", NULL), ==, VERDICT_FAIL);
    fixture_clear(&f);
}

static void test_verify(void)
{
    static const struct {
        int status;
        const char *headers;
        Verdict verdict;
        Verified verified;
    } cases[] = {
        { 200, "Content-Length: 3\nContent-MD5: 9WGq9u8L8U1CCLtGpMyzrQ==\nETag: \"e\"", VERDICT_OK, VERIFIED_CHECKSUM },
        { 200, "Content-Length: 3\nETag: \"e\"", VERDICT_OK, VERIFIED_SIZE },
        { 200, "Content-Length: 4\nETag: \"e\"", VERDICT_RESTART, VERIFIED_NOT },
        { 200, "Content-Length: 3\nContent-MD5: AAAAAAAAAAAAAAAAAAAAAA==", VERDICT_RESTART, VERIFIED_NOT },
        { 404, "x-ms-error-code: BlobNotFound", VERDICT_RESTART, VERIFIED_NOT },
        { 403, "x-ms-error-code: AuthorizationPermissionMismatch", VERDICT_OK, VERIFIED_NOT },
        { 503, NULL, VERDICT_RETRY, VERIFIED_NOT },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        Fixture f;
        open_own(&f, NULL, 3, 0);
        digests(&f, 'x');
        upload_set(&f.up->etag, "\"e\"");
        assert_asked(&f, PHASE_VERIFY, 0, "HEAD " GRANT);
        g_assert_cmpint(answer(&f, PHASE_VERIFY, 0, cases[i].status, cases[i].headers, NULL), ==, cases[i].verdict);
        g_assert_cmpint(f.up->verified, ==, cases[i].verified);
        fixture_clear(&f);
    }
}

static void test_remove(void)
{
    Fixture f;
    open_own(&f, NULL, 3, 0);
    assert_asked(&f, PHASE_REMOVE, 0, "DELETE " GRANT);
    g_assert_cmpint(answer(&f, PHASE_REMOVE, 0, 202, NULL, NULL), ==, VERDICT_OK);
    g_assert_cmpint(answer(&f, PHASE_REMOVE, 0, 404, "x-ms-error-code: BlobNotFound", NULL), ==, VERDICT_OK);
    g_assert_cmpint(answer(&f, PHASE_REMOVE, 0, 403, "x-ms-error-code: AuthorizationPermissionMismatch", NULL), ==, VERDICT_FAIL);
    fixture_clear(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dest/azure/open", test_open);
    g_test_add_func("/dest/azure/plan", test_plan);
    g_test_add_func("/dest/azure/whole", test_whole);
    g_test_add_func("/dest/azure/granted-whole", test_granted_whole);
    g_test_add_func("/dest/azure/blocks", test_blocks);
    g_test_add_func("/dest/azure/granted-list", test_granted_list);
    g_test_add_func("/dest/azure/resume", test_resume);
    g_test_add_func("/dest/azure/failures", test_failures);
    g_test_add_func("/dest/azure/expired", test_expired);
    g_test_add_func("/dest/azure/key-taken", test_key_taken);
    g_test_add_func("/dest/azure/verify", test_verify);
    g_test_add_func("/dest/azure/remove", test_remove);
    return g_test_run();
}
