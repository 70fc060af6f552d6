/* What tus*.c ask for, and what answers make of an upload. Text of the protocol: tus 1.0.0. */
#include <string.h>

#include "core/dest/tus_priv.h"

#define NOW_S   1768469400 /* 2026-01-15T09:30:00Z */
#define MIB     (UINT64_C(1) << 20)
#define FILES   "https://tus.example.net/files/"
#define UPLOAD  "https://tus.example.net/files/a1?sig=x%2Fy"
#define ALL     "Tus-Version: 1.0.0\nTus-Extension: creation,creation-with-upload,checksum,termination,concatenation\n"
#define PLAIN   "Tus-Version: 1.0.0\nTus-Extension: creation,termination\n"
#define SUMS    "Tus-Version: 1.0.0\nTus-Extension: creation,checksum\nTus-Checksum-Algorithm: md5,sha1\n"
#define CREATED "Location: /files/a1?sig=x%2Fy\n"

typedef struct {
    DestConf *conf;
    Credentials creds;
    DestLearned learned;
    DestCtx ctx;
    Upload *up;
    Request *rq;
    GError *error;
} Fixture;

static void open_with(Fixture *f, const char *endpoint, const char *const *options)
{
    *f = (Fixture){ .conf = dest_conf_new() };
    g_autofree char *to = g_strconcat("tus+", endpoint, NULL);
    g_assert_true(dest_conf_parse(f->conf, to, NULL));
    for (unsigned i = 0; options != NULL && options[i] != NULL; i += 2)
        g_hash_table_insert(f->conf->options, g_strdup(options[i]), g_strdup(options[i + 1]));
    f->ctx = (DestCtx){ .ops = &dest_tus, .conf = f->conf, .creds = &f->creds, .learned = &f->learned, .now_s = NOW_S };
    f->ctx.priv = dest_tus.open(f->conf, &f->error);
}

static void clear(Fixture *f)
{
    dest_tus.close(f->ctx.priv);
    upload_free(f->up);
    request_free(f->rq);
    dest_conf_free(f->conf);
    dest_learned_clear(&f->learned);
    g_clear_pointer(&f->creds.secrets, g_hash_table_unref);
    g_clear_error(&f->error);
}

static void set_secret(Fixture *f, const char *name, const char *value)
{
    if (f->creds.secrets == NULL)
        f->creds.secrets = g_hash_table_new(g_str_hash, g_str_equal);
    g_hash_table_insert(f->creds.secrets, (char *)name, (char *)value);
}

static bool ask(Fixture *f, Phase phase, unsigned part)
{
    g_clear_error(&f->error);
    g_clear_pointer(&f->rq, request_free);
    return dest_tus.step[phase].ask(&f->ctx, f->up, part, &f->rq, &f->error);
}

static const char *sent(const Fixture *f, const char *name)
{
    const size_t bytes = strlen(name);
    for (unsigned i = 0; i < f->rq->headers->len; i++) {
        const char *line = f->rq->headers->pdata[i];
        if (g_ascii_strncasecmp(line, name, bytes) == 0 && strncmp(line + bytes, ": ", 2) == 0)
            return line + bytes + 2;
    }
    return NULL;
}

static void expect(Fixture *f, Phase phase, unsigned part, const char *method, const char *url)
{
    g_assert_true(ask(f, phase, part));
    g_assert_no_error(f->error);
    g_assert_nonnull(f->rq);
    g_assert_cmpstr(f->rq->method, ==, method);
    g_assert_cmpstr(f->rq->url, ==, url);
    g_assert_cmpstr(sent(f, "Tus-Resumable"), ==, g_str_equal(method, "OPTIONS") ? NULL : "1.0.0");
}

/* The file's bytes [offset, offset + length) are the body of the last request. */
static void expect_body(const Fixture *f, uint64_t offset, uint64_t length)
{
    g_assert_cmpuint(f->rq->body_bytes, ==, length);
    if (length > 0) {
        g_assert_cmpuint(f->rq->n_spans, ==, 1);
        g_assert_cmpuint(f->rq->spans[0].offset, ==, offset);
        g_assert_cmpstr(sent(f, "Content-Type"), ==, "application/offset+octet-stream");
    }
}

/* headers: "Name: value\n..." or NULL. A fault is told exactly when the verdict needs one. */
static Verdict answer(Fixture *f, Phase phase, unsigned part, int status, const char *headers)
{
    g_clear_error(&f->error);
    g_autoptr(Response) rs = response_new();
    rs->status = status;
    g_auto(GStrv) lines = g_strsplit(headers == NULL ? "" : headers, "\n", -1);
    for (unsigned i = 0; lines[i] != NULL; i++) {
        const char *colon = strchr(lines[i], ':');
        if (colon != NULL)
            response_add_header(rs, lines[i], (size_t)(colon - lines[i]), colon + 1, strlen(colon + 1));
    }
    const Verdict verdict = dest_tus.step[phase].read(&f->ctx, f->up, part, rs, &f->error);
    g_assert_cmpint(f->error == NULL, ==, verdict == VERDICT_OK || verdict == VERDICT_MORE);
    return verdict;
}

static void expect_answer(Fixture *f, Phase phase, unsigned part, int status, const char *headers, Verdict verdict, FaultCode fault)
{
    g_assert_cmpint(answer(f, phase, part, status, headers), ==, verdict);
    g_assert_cmpint(fault_code(f->error), ==, fault);
}

static void know(Fixture *f, const char *headers)
{
    g_assert_cmpint(answer(f, PHASE_LOOK, 0, 204, headers), ==, VERDICT_OK);
}

static bool plan_upload(Fixture *f, const char *key, uint64_t bytes, uint64_t part_size)
{
    g_clear_error(&f->error);
    upload_free(f->up);
    f->up = upload_new(key, bytes, 0);
    f->up->nonce = g_strdup("0123456789abcdef0123456789abcdef");
    f->up->content_type = g_strdup("image/jpeg");
    return dest_tus.plan(&f->ctx, f->up, part_size, &f->error);
}

static void begin(Fixture *f, const char *extensions, uint64_t bytes, uint64_t part_size)
{
    open_with(f, FILES, NULL);
    know(f, extensions);
    g_assert_true(plan_upload(f, "dir/a.jpg", bytes, part_size));
}

/* A stream that was created. */
static void begin_stream(Fixture *f, const char *extensions, uint64_t bytes, uint64_t part_size)
{
    begin(f, extensions, bytes, part_size);
    expect(f, PHASE_OPEN, 0, "POST", FILES);
    g_assert_cmpint(answer(f, PHASE_OPEN, 0, 201, CREATED), ==, VERDICT_OK);
    g_assert_cmpstr(f->up->upload_id, ==, UPLOAD);
}

/* ---- configuration, URLs */

static void test_open_refuses(void)
{
    static const struct {
        const char *option, *value;
    } rows[] = {
        { "header", "no colon" },         { "header", "Host: x" },        { "header", "Upload-Length: 1" }, { "header", "Bad Name: v" },
        { "header", "Tus-Resumable: 2" }, { "header", "Cookie: a=b" },    { "tus-metadata", "a b=c" },      { "tus-metadata", "ü=c" },
        { "tus-metadata", "a=1\na=2" },   { "tus-metadata", "no value" }, { "checksum", "crc64nvme" },      { "checksum", "md6" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Fixture f;
        open_with(&f, FILES, (const char *const[]){ rows[i].option, rows[i].value, NULL });
        g_assert_null(f.ctx.priv);
        g_assert_cmpint(fault_code(f.error), ==, FAULT_USAGE);
        clear(&f);
    }
}

static void test_locations(void)
{
    static const struct {
        const char *base, *location, *url;
    } rows[] = {
        { FILES, "a1", FILES "a1" },
        { FILES, "/up/a%20b?x=%2F#f", "https://tus.example.net/up/a%20b?x=%2F" },
        { FILES "?direct=1", "../x", "https://tus.example.net/x" },
        { FILES, "//cdn.example.net/x", "https://cdn.example.net/x" },
        { FILES, "https://name:secret@cdn.example.net:8443/x", "https://cdn.example.net:8443/x" },
        { "https://h:444/files", "http://h/files/x", "https://h:444/files/x" }, /* it does not know of the proxy before it */
        { "https://h/files", "http://other:1080/files/x", NULL },
        { "http://h/files", "https://other/x", "https://other/x" },
        { FILES, "ftp://h/x", NULL },
        { FILES, "a b", FILES "a%20b" },
        { FILES, "https://", NULL },
        { FILES, "javascript:x", NULL },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *url = tus_resolve(rows[i].base, rows[i].location, &error);
        g_assert_cmpstr(url, ==, rows[i].url);
        g_assert_cmpint(error == NULL, ==, url != NULL);
    }
    g_autofree char *long_one = g_strnfill(5000, 'a');
    g_assert_null(tus_resolve(FILES, long_one, NULL));
}

static void test_metadata(void)
{
    Fixture f;
    open_with(&f, FILES, (const char *const[]){ "tus-metadata", "filetype=text/x-own\nempty=\nalbum=Zoë", NULL });
    know(&f, PLAIN);
    g_assert_true(plan_upload(&f, "d/\xff\xc3\xbc.jpg", 5, 0));
    expect(&f, PHASE_PART, 0, "POST", FILES);
    g_auto(GStrv) pairs = g_strsplit(sent(&f, "Upload-Metadata"), ",", -1);
    static const char *const wanted[] = { "filename",     "\xef\xbf\xbd\xc3\xbc.jpg",
                                          "filetype",     "text/x-own",
                                          "relativePath", "d/\xef\xbf\xbd\xc3\xbc.jpg",
                                          "empty",        "",
                                          "album",        "Zoë" };
    g_assert_cmpuint(g_strv_length(pairs), ==, G_N_ELEMENTS(wanted) / 2);
    for (unsigned i = 0; pairs[i] != NULL; i++) {
        char *blank = strchr(pairs[i], ' ');
        gsize bytes = 0;
        g_autofree char *value = blank == NULL ? g_strdup("") : (char *)g_base64_decode(blank + 1, &bytes);
        if (blank != NULL)
            *blank = '\0';
        g_assert_cmpstr(pairs[i], ==, wanted[2 * i]);
        g_assert_cmpint(strncmp(value, wanted[2 * i + 1], bytes), ==, 0);
        g_assert_cmpuint(bytes, ==, strlen(wanted[2 * i + 1]));
    }
    clear(&f);
}

static void test_signing_in(void)
{
    Fixture f;
    begin(&f, PLAIN, 5, 0);
    g_assert_true(ask(&f, PHASE_PART, 0));
    g_assert_null(sent(&f, "Authorization"));
    set_secret(&f, "token", "tok\r\nen");
    g_assert_true(ask(&f, PHASE_PART, 0));
    g_assert_cmpstr(sent(&f, "Authorization"), ==, "Bearer token"); /* no line of its own */
    expect_answer(&f, PHASE_PART, 0, 401, NULL, VERDICT_FAIL, FAULT_EXPIRED);
    clear(&f);

    open_with(&f, FILES, (const char *const[]){ "user", "zoe", "header", "X-Key: v", NULL });
    set_secret(&f, "password", "pass:word");
    know(&f, PLAIN);
    g_assert_true(plan_upload(&f, "a", 5, 0));
    g_assert_true(ask(&f, PHASE_PART, 0));
    g_assert_cmpstr(sent(&f, "Authorization"), ==, "Basic em9lOnBhc3M6d29yZA==");
    g_assert_cmpstr(sent(&f, "X-Key"), ==, "v");
    static const char *const others[] = { "https://other.example.net/x", "http://tus.example.net/x", "https://tus.example.net:8443/x" };
    for (unsigned i = 0; i < G_N_ELEMENTS(others); i++) {
        upload_set(&f.up->upload_id, others[i]);
        g_assert_true(ask(&f, PHASE_PART, 0));
        g_assert_cmpstr(f.rq->url, ==, others[i]);
        g_assert_null(sent(&f, "Authorization"));
        g_assert_null(sent(&f, "X-Key"));
    }
    clear(&f);
}

/* ---- LOOK and plan */

static void test_look(void)
{
    Fixture f;
    open_with(&f, FILES, NULL);
    g_assert_true(plan_upload(&f, "a", 5, 0));
    g_assert_true(f.up->look_first);
    expect(&f, PHASE_LOOK, 0, "OPTIONS", FILES);
    know(&f, "Tus-Version: 0.2.2, 1.0.0\nTus-Extension: Creation, evil,termination\nTus-Max-Size: 1000\n");
    g_assert_true(tus_has(&f.ctx, "termination") && tus_has(&f.ctx, "creation") && !tus_has(&f.ctx, "evil"));
    g_assert_cmpuint(tus_max_bytes(&f.ctx), ==, 1000);
    g_assert_true(ask(&f, PHASE_LOOK, 0));
    g_assert_null(f.rq); /* known by now */
    g_assert_false(plan_upload(&f, "a", 1001, 0));
    g_assert_cmpint(fault_code(f.error), ==, FAULT_TOO_LARGE);
    f.ctx.now_s += 25 * 3600;
    expect(&f, PHASE_LOOK, 0, "OPTIONS", FILES);
    know(&f, PLAIN);
    g_assert_cmpuint(tus_max_bytes(&f.ctx), ==, 0);
    clear(&f);
}

static void test_look_that_fails(void)
{
    static const struct {
        int status;
        const char *headers;
        Verdict verdict;
        bool known, creation;
    } rows[] = {
        { 405, NULL, VERDICT_OK, true, true },         { 404, ALL, VERDICT_OK, true, true },
        { 200, "Allow: GET", VERDICT_OK, true, true }, { 503, NULL, VERDICT_OK, false, false },
        { 401, NULL, VERDICT_OK, false, false },       { 204, "Tus-Version: 0.2.2", VERDICT_FAIL, false, false },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Fixture f;
        open_with(&f, FILES, NULL);
        g_assert_cmpint(answer(&f, PHASE_LOOK, 0, rows[i].status, rows[i].headers), ==, rows[i].verdict);
        g_assert_cmpint(tus_knows(&f.ctx), ==, rows[i].known);
        g_assert_cmpint(tus_has(&f.ctx, "creation"), ==, rows[i].creation);
        g_assert_false(tus_has(&f.ctx, "checksum"));
        clear(&f);
    }
}

static void test_redirects(void)
{
    Fixture f;
    open_with(&f, "https://tus.example.net/files", NULL);
    g_assert_cmpint(answer(&f, PHASE_LOOK, 0, 308, "Location: /files/"), ==, VERDICT_AGAIN);
    g_assert_true(plan_upload(&f, "a", 5, 0));
    expect(&f, PHASE_LOOK, 0, "OPTIONS", FILES);
    know(&f, PLAIN);
    expect(&f, PHASE_PART, 0, "POST", FILES);
    expect_answer(&f, PHASE_PART, 0, 404, NULL, VERDICT_AGAIN, FAULT_ENDPOINT); /* the redirect is forgotten */
    expect(&f, PHASE_PART, 0, "POST", "https://tus.example.net/files");
    expect_answer(&f, PHASE_PART, 0, 307, "Location: https://evil.example.net/files/", VERDICT_FAIL, FAULT_ENDPOINT);
    expect_answer(&f, PHASE_PART, 0, 301, "Location: /files/", VERDICT_FAIL, FAULT_ENDPOINT);
    clear(&f);
}

static void test_plan(void)
{
    static const struct {
        const char *extensions;
        uint64_t bytes, wanted;
        bool multipart, serial;
        unsigned parts;
    } rows[] = {
        { PLAIN, 0, 0, false, true, 1 },
        { PLAIN, MIB, 0, false, true, 1 },
        { PLAIN, MIB + 1, 0, true, true, 1 },
        { PLAIN, MIB, MIB / 2, true, true, 2 },
        { PLAIN, 100 * MIB, 0, true, true, 1 },
        { PLAIN, 100 * MIB, 30 * MIB, true, true, 4 },
        { SUMS, 100 * MIB, 0, true, true, 13 },
        { ALL, 31 * MIB, 0, true, true, 4 },
        { ALL, 100 * MIB, 0, true, false, 7 },
        { ALL, 1024 * MIB, 0, true, false, 32 },
        { ALL, 3000 * MIB, 0, true, true, 375 }, /* partial uploads of it would be too long to be checked */
        { ALL, 100 * MIB, 2 * MIB, true, true, 50 },
        { ALL, 100 * MIB, 200 * MIB, true, true, 1 },
        { PLAIN, 1000000 * MIB, 64 * 1024, true, true, 10000 },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Fixture f;
        begin(&f, rows[i].extensions, rows[i].bytes, rows[i].wanted);
        g_assert_cmpint(f.up->multipart, ==, rows[i].multipart);
        g_assert_cmpint(f.up->serial, ==, rows[i].serial);
        g_assert_cmpint(f.up->probe, ==, rows[i].serial);
        g_assert_cmpuint(f.up->n_parts, ==, rows[i].parts);
        g_assert_false(f.up->look_first);
        clear(&f);
    }
}

/* ---- small files */

static void test_small_file_in_one_request(void)
{
    Fixture f;
    begin(&f, ALL, 5, 0);
    expect(&f, PHASE_PART, 0, "POST", FILES);
    expect_body(&f, 0, 5);
    g_assert_cmpstr(sent(&f, "Upload-Length"), ==, "5");
    expect_answer(&f, PHASE_PART, 0, 201, CREATED "Upload-Offset: 5", VERDICT_OK, FAULT_NONE);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_SIZE);
    g_assert_cmpstr(f.up->stored_key, ==, "a1");
    g_assert_true(ask(&f, PHASE_PART, 0));
    g_assert_null(f.rq); /* nothing is left to send */
    clear(&f);
}

static void test_small_file_that_was_not_taken_at_once(void)
{
    Fixture f;
    begin(&f, ALL, 5, 0);
    expect_answer(&f, PHASE_PART, 0, 201, CREATED, VERDICT_MORE, FAULT_NONE); /* how much it took, it does not say */
    expect(&f, PHASE_PART, 0, "HEAD", UPLOAD);
    expect_answer(&f, PHASE_PART, 0, 200, "Upload-Offset: 2", VERDICT_MORE, FAULT_NONE);
    expect(&f, PHASE_PART, 0, "PATCH", UPLOAD);
    expect_body(&f, 2, 3);
    expect_answer(&f, PHASE_PART, 0, 204, "Upload-Offset: 5", VERDICT_OK, FAULT_NONE);
    clear(&f);

    begin(&f, ALL, 5, 0);
    expect_answer(&f, PHASE_PART, 0, 413, NULL, VERDICT_AGAIN, FAULT_TOO_LARGE);
    expect(&f, PHASE_PART, 0, "POST", FILES);
    expect_body(&f, 0, 0);
    expect_answer(&f, PHASE_PART, 0, 201, CREATED, VERDICT_MORE, FAULT_NONE);
    expect(&f, PHASE_PART, 0, "PATCH", UPLOAD);
    expect_body(&f, 0, 5);
    clear(&f);
}

static void test_empty_file(void)
{
    Fixture f;
    begin(&f, ALL, 0, 0);
    expect(&f, PHASE_PART, 0, "POST", FILES);
    expect_body(&f, 0, 0);
    g_assert_cmpstr(sent(&f, "Upload-Length"), ==, "0");
    expect_answer(&f, PHASE_PART, 0, 201, CREATED, VERDICT_OK, FAULT_NONE);
    clear(&f);
}

/* The answer that named the upload was lost: there is nothing to ask about. */
static void test_small_file_without_an_answer(void)
{
    Fixture f;
    begin(&f, ALL, 5, 0);
    g_assert_true(ask(&f, PHASE_RESUME, 0));
    g_assert_null(f.rq);
    expect(&f, PHASE_PART, 0, "POST", FILES);
    clear(&f);
}

static void test_creation_answers(void)
{
    static const struct {
        int status;
        const char *headers;
        Verdict verdict;
        FaultCode fault;
    } rows[] = {
        { 201, NULL, VERDICT_FAIL, FAULT_BAD_ANSWER },
        { 201, "Location: ", VERDICT_FAIL, FAULT_BAD_ANSWER },
        { 201, "Location: mailto:x", VERDICT_FAIL, FAULT_BAD_ANSWER },
        { 201, "Location: http://tus:1080/x", VERDICT_FAIL, FAULT_ENDPOINT },
        { 200, "Content-Type: text/html", VERDICT_FAIL, FAULT_BAD_ANSWER },
        { 401, NULL, VERDICT_FAIL, FAULT_DENIED },
        { 404, NULL, VERDICT_FAIL, FAULT_ENDPOINT },
        { 412, NULL, VERDICT_FAIL, FAULT_UNSUPPORTED },
        { 413, NULL, VERDICT_FAIL, FAULT_TOO_LARGE },
        { 429, NULL, VERDICT_RETRY, FAULT_SLOW_DOWN },
        { 500, NULL, VERDICT_RETRY, FAULT_SERVER },
        { 507, NULL, VERDICT_FAIL, FAULT_QUOTA },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Fixture f;
        begin(&f, PLAIN, 2 * MIB, 0);
        expect_answer(&f, PHASE_OPEN, 0, rows[i].status, rows[i].headers, rows[i].verdict, rows[i].fault);
        g_assert_null(f.up->upload_id);
        clear(&f);
    }
}

/* ---- one stream */

static void test_stream(void)
{
    Fixture f;
    begin_stream(&f, PLAIN, 5 * MIB, 0);
    expect(&f, PHASE_PART, 0, "PATCH", UPLOAD);
    expect_body(&f, 0, 5 * MIB);
    g_assert_cmpstr(sent(&f, "Upload-Offset"), ==, "0");
    expect_answer(&f, PHASE_PART, 0, 204, "Upload-Offset: 1048576", VERDICT_MORE, FAULT_NONE);
    g_assert_cmpuint(upload_done_bytes(f.up), ==, MIB);
    expect(&f, PHASE_PART, 0, "PATCH", UPLOAD);
    expect_body(&f, MIB, 4 * MIB);
    expect(&f, PHASE_RESUME, 0, "HEAD", UPLOAD); /* it broke */
    expect_answer(&f, PHASE_RESUME, 0, 200, "Upload-Offset: 3145728\nUpload-Length: 5242880", VERDICT_OK, FAULT_NONE);
    expect(&f, PHASE_PART, 0, "PATCH", UPLOAD);
    expect_body(&f, 3 * MIB, 2 * MIB);
    expect_answer(&f, PHASE_PART, 0, 204, "Upload-Offset: 5242880", VERDICT_OK, FAULT_NONE);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_SIZE);
    g_assert_cmpuint(upload_done_bytes(f.up), ==, 5 * MIB);
    clear(&f);
}

static void test_offset_over_several_chunks(void)
{
    Fixture f;
    begin_stream(&f, PLAIN, 5 * MIB, 2 * MIB);
    expect_answer(&f, PHASE_RESUME, 0, 200, "Upload-Offset: 3000000", VERDICT_OK, FAULT_NONE);
    g_assert_true(f.up->parts[0].done && !f.up->parts[1].done && !f.up->parts[2].done);
    g_assert_cmpuint(f.up->parts[1].kept_bytes, ==, 3000000 - 2 * MIB);
    expect(&f, PHASE_PART, 1, "PATCH", UPLOAD);
    expect_body(&f, 3000000, 4 * MIB - 3000000);
    expect_answer(&f, PHASE_PART, 1, 204, "Upload-Offset: 4194304", VERDICT_OK, FAULT_NONE);
    expect(&f, PHASE_PART, 2, "PATCH", UPLOAD);
    expect_body(&f, 4 * MIB, MIB);
    expect_answer(&f, PHASE_RESUME, 0, 200, "Upload-Offset: 5242880", VERDICT_OK, FAULT_NONE);
    g_assert_true(f.up->parts[2].done);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_SIZE);
    clear(&f);
}

static void test_patch_answers(void)
{
    static const struct {
        int status;
        const char *headers;
        Verdict verdict;
        FaultCode fault;
    } rows[] = {
        { 204, NULL, VERDICT_RETRY, FAULT_BAD_ANSWER },
        { 200, "Upload-Offset: x", VERDICT_RETRY, FAULT_BAD_ANSWER },
        { 204, "Upload-Offset: -1", VERDICT_RETRY, FAULT_BAD_ANSWER },
        { 204, "Upload-Offset: 99", VERDICT_RESTART, FAULT_SIZE },
        { 204, "Upload-Offset: 100", VERDICT_RETRY, FAULT_SERVER },
        { 204, "Upload-Offset: 3000001", VERDICT_RESTART, FAULT_SIZE },
        { 204, "Upload-Offset: 99999999999999999999", VERDICT_RETRY, FAULT_BAD_ANSWER },
        { 400, NULL, VERDICT_FAIL, FAULT_REFUSED },
        { 401, NULL, VERDICT_FAIL, FAULT_DENIED },
        { 404, NULL, VERDICT_RESTART, FAULT_UPLOAD_GONE },
        { 410, NULL, VERDICT_RESTART, FAULT_UPLOAD_GONE },
        { 409, NULL, VERDICT_RETRY, FAULT_CONFLICT },
        { 412, NULL, VERDICT_FAIL, FAULT_UNSUPPORTED },
        { 415, NULL, VERDICT_FAIL, FAULT_REFUSED },
        { 423, NULL, VERDICT_RETRY, FAULT_CONFLICT },
        { 460, NULL, VERDICT_RETRY, FAULT_CHECKSUM },
        { 502, NULL, VERDICT_RETRY, FAULT_SERVER },
        { 302, "Location: /login", VERDICT_FAIL, FAULT_ENDPOINT },
        { 308, "Location: https://other/", VERDICT_FAIL, FAULT_ENDPOINT },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Fixture f;
        begin_stream(&f, PLAIN, 3000000, 0);
        expect_answer(&f, PHASE_RESUME, 0, 200, "Upload-Offset: 100", VERDICT_OK, FAULT_NONE);
        expect_answer(&f, PHASE_PART, 0, rows[i].status, rows[i].headers, rows[i].verdict, rows[i].fault);
        g_assert_cmpuint(upload_done_bytes(f.up), ==, 100);
        clear(&f);
    }
}

static void test_head_answers(void)
{
    static const struct {
        int status;
        const char *headers;
        Verdict verdict;
        FaultCode fault;
    } rows[] = {
        { 200, NULL, VERDICT_RETRY, FAULT_BAD_ANSWER },
        { 200, "Upload-Offset: 99", VERDICT_RESTART, FAULT_UPLOAD_GONE },
        { 200, "Upload-Offset: 3000001", VERDICT_RESTART, FAULT_SIZE },
        { 200, "Upload-Offset: 200\nUpload-Length: 4000000", VERDICT_RESTART, FAULT_SIZE },
        { 200, "Upload-Offset: 200\nUpload-Expires: Thu, 15 Jan 2026 09:29:00 GMT", VERDICT_RESTART, FAULT_UPLOAD_GONE },
        { 200, "Upload-Offset: 200\nUpload-Expires: Thu, 15 Jan 2026 09:29:00 GMT\nDate: Thu, 15 Jan 2026 09:00:00 GMT", VERDICT_OK,
          FAULT_NONE },
        { 200, "Upload-Offset: 3000000\nUpload-Expires: Thu, 15 Jan 2026 09:29:00 GMT", VERDICT_OK, FAULT_NONE },
        { 200, "Upload-Offset: 200\nUpload-Expires: soon", VERDICT_OK, FAULT_NONE },
        { 204, "Upload-Offset: 200", VERDICT_OK, FAULT_NONE },
        { 403, NULL, VERDICT_RESTART, FAULT_UPLOAD_GONE },
        { 404, NULL, VERDICT_RESTART, FAULT_UPLOAD_GONE },
        { 410, NULL, VERDICT_RESTART, FAULT_UPLOAD_GONE },
        { 423, NULL, VERDICT_RETRY, FAULT_CONFLICT },
        { 500, NULL, VERDICT_RETRY, FAULT_SERVER },
        { 307, "Location: /files/b2", VERDICT_AGAIN, FAULT_ENDPOINT },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Fixture f;
        begin_stream(&f, PLAIN, 3000000, 0);
        expect_answer(&f, PHASE_RESUME, 0, 200, "Upload-Offset: 100", VERDICT_OK, FAULT_NONE);
        expect_answer(&f, PHASE_RESUME, 0, rows[i].status, rows[i].headers, rows[i].verdict, rows[i].fault);
        g_assert_cmpstr(f.up->upload_id, ==, rows[i].verdict == VERDICT_AGAIN ? FILES "b2" : UPLOAD);
        clear(&f);
    }
}

static void test_bodies_get_shorter(void)
{
    Fixture f;
    begin_stream(&f, PLAIN, 1000 * MIB, 0);
    uint64_t most = 64 * MIB;
    for (unsigned i = 0; i < 10; i++, most /= 2) {
        expect_answer(&f, PHASE_PART, 0, 413, NULL, VERDICT_MORE, FAULT_NONE);
        expect(&f, PHASE_PART, 0, "PATCH", UPLOAD);
        expect_body(&f, 0, most);
    }
    expect_answer(&f, PHASE_PART, 0, 413, NULL, VERDICT_MORE, FAULT_NONE);
    expect_answer(&f, PHASE_PART, 0, 413, NULL, VERDICT_FAIL, FAULT_TOO_LARGE); /* 64 KiB are too much for it */
    clear(&f);
}

/* ---- checksums */

static void give_digest(Fixture *f, unsigned part, const char *text)
{
    f->up->parts[part].digest = g_new0(DigestSet, 1);
    digest_of(dest_tus.digests(&f->ctx, f->up), text, strlen(text), f->up->parts[part].digest);
}

static void test_checksums(void)
{
    Fixture f;
    begin_stream(&f, SUMS, 12 * MIB, 0);
    g_assert_cmpuint(f.up->n_parts, ==, 2);
    g_assert_cmpuint(dest_tus.digests(&f.ctx, f.up), ==, DIGEST_BIT(DIGEST_SHA1));
    give_digest(&f, 0, "hello world");
    give_digest(&f, 1, "hello world");
    expect(&f, PHASE_PART, 0, "PATCH", UPLOAD);
    g_assert_cmpstr(sent(&f, "Upload-Checksum"), ==, "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="); /* of the protocol's own example */
    expect_answer(&f, PHASE_PART, 0, 460, NULL, VERDICT_RETRY, FAULT_CHECKSUM);
    expect_answer(&f, PHASE_PART, 0, 204, "Upload-Offset: 8388608", VERDICT_OK, FAULT_NONE);
    expect(&f, PHASE_PART, 1, "PATCH", UPLOAD);
    g_assert_nonnull(sent(&f, "Upload-Checksum"));
    expect_answer(&f, PHASE_PART, 1, 204, "Upload-Offset: 12582912", VERDICT_OK, FAULT_NONE);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_CHECKSUM);
    clear(&f);
}

/* A rest of a chunk has no checksum, and a whole with such a rest counts by its size. */
static void test_checksum_of_a_rest(void)
{
    Fixture f;
    begin_stream(&f, SUMS, 2 * MIB, 0);
    give_digest(&f, 0, "hello world");
    expect_answer(&f, PHASE_RESUME, 0, 200, "Upload-Offset: 1", VERDICT_OK, FAULT_NONE);
    expect(&f, PHASE_PART, 0, "PATCH", UPLOAD);
    g_assert_null(sent(&f, "Upload-Checksum"));
    expect_answer(&f, PHASE_PART, 0, 204, "Upload-Offset: 2097152", VERDICT_OK, FAULT_NONE);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_SIZE);
    clear(&f);
}

static void test_checksum_refused(void)
{
    Fixture f;
    begin_stream(&f, SUMS, 2 * MIB, 0);
    give_digest(&f, 0, "hello world");
    expect_answer(&f, PHASE_PART, 0, 400, NULL, VERDICT_AGAIN, FAULT_REFUSED);
    expect(&f, PHASE_PART, 0, "PATCH", UPLOAD);
    g_assert_null(sent(&f, "Upload-Checksum"));
    expect_answer(&f, PHASE_PART, 0, 400, NULL, VERDICT_FAIL, FAULT_REFUSED);
    clear(&f);
}

static void test_checksum_of_choice(void)
{
    static const struct {
        const char *option, *extensions;
        unsigned kinds;
        bool fine;
    } rows[] = {
        { "md5", SUMS, DIGEST_BIT(DIGEST_MD5), true },
        { "sha256", SUMS, 0, false },
        { "sha1", PLAIN, 0, false },
        { "none", SUMS, 0, true },
        { "auto", PLAIN, 0, true },
        { "sha1", ALL, DIGEST_BIT(DIGEST_SHA1), true },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Fixture f;
        open_with(&f, FILES, (const char *const[]){ "checksum", rows[i].option, NULL });
        know(&f, rows[i].extensions);
        g_assert_true(plan_upload(&f, "a", 5, 0));
        g_assert_cmpuint(dest_tus.digests(&f.ctx, f.up), ==, rows[i].kinds);
        g_assert_cmpint(ask(&f, PHASE_PART, 0), ==, rows[i].fine);
        g_assert_cmpint(fault_code(f.error), ==, rows[i].fine ? FAULT_NONE : FAULT_UNSUPPORTED);
        if (rows[i].kinds != 0)
            g_assert_cmpuint(f.rq->body_bytes, ==, 0); /* only PATCH promises that it is verified */
        clear(&f);
    }
}

/* ---- partial uploads */

static void begin_joined(Fixture *f)
{
    begin(f, "Tus-Version: 1.0.0\nTus-Extension: creation,concatenation,termination\n", 40 * MIB, 0);
    for (unsigned i = 0; i < 3; i++) {
        g_autofree char *location = g_strdup_printf("Location: p%u", i);
        expect(f, PHASE_OPEN, 0, "POST", FILES);
        g_assert_cmpstr(sent(f, "Upload-Concat"), ==, "partial");
        g_assert_cmpstr(sent(f, "Upload-Length"), ==, i < 2 ? "16777216" : "8388608");
        g_assert_null(sent(f, "Upload-Metadata"));
        g_assert_cmpint(answer(f, PHASE_OPEN, 0, 201, location), ==, i < 2 ? VERDICT_MORE : VERDICT_OK);
    }
    f->up->step = 0;
    g_assert_cmpstr(f->up->upload_id, ==, FILES "p0 " FILES "p1 " FILES "p2");
}

static void test_joined(void)
{
    Fixture f;
    begin_joined(&f);
    expect(&f, PHASE_PART, 1, "PATCH", FILES "p1");
    expect_body(&f, 16 * MIB, 16 * MIB);
    g_assert_cmpstr(sent(&f, "Upload-Offset"), ==, "0");
    expect_answer(&f, PHASE_PART, 1, 409, NULL, VERDICT_AGAIN, FAULT_CONFLICT); /* more had arrived than was heard */
    expect(&f, PHASE_PART, 1, "HEAD", FILES "p1");
    expect_answer(&f, PHASE_PART, 1, 200, "Upload-Offset: 1000", VERDICT_MORE, FAULT_NONE);
    expect(&f, PHASE_PART, 1, "PATCH", FILES "p1");
    expect_body(&f, 16 * MIB + 1000, 16 * MIB - 1000);
    g_assert_cmpstr(sent(&f, "Upload-Offset"), ==, "1000");
    expect_answer(&f, PHASE_PART, 1, 204, "Upload-Offset: 16777216", VERDICT_OK, FAULT_NONE);
    g_assert_true(!f.up->parts[0].done && f.up->parts[1].done && !f.up->parts[2].done);
    expect_answer(&f, PHASE_PART, 0, 204, "Upload-Offset: 16777216", VERDICT_OK, FAULT_NONE);
    expect_answer(&f, PHASE_PART, 2, 204, "Upload-Offset: 8388608", VERDICT_OK, FAULT_NONE);
    expect(&f, PHASE_CLOSE, 0, "POST", FILES);
    g_assert_cmpstr(sent(&f, "Upload-Concat"), ==, "final;/files/p0 /files/p1 /files/p2");
    g_assert_null(sent(&f, "Upload-Length"));
    g_assert_nonnull(sent(&f, "Upload-Metadata"));
    expect_answer(&f, PHASE_CLOSE, 0, 201, CREATED, VERDICT_OK, FAULT_NONE);
    g_assert_cmpstr(f.up->url, ==, UPLOAD);
    expect(&f, PHASE_VERIFY, 0, "HEAD", UPLOAD);
    expect_answer(&f, PHASE_VERIFY, 0, 200, "Upload-Length: 41943040", VERDICT_RETRY, FAULT_CONFLICT); /* not joined yet */
    expect_answer(&f, PHASE_VERIFY, 0, 200, "Upload-Length: 41943039\nUpload-Offset: 41943039", VERDICT_RESTART, FAULT_SIZE);
    expect_answer(&f, PHASE_VERIFY, 0, 404, NULL, VERDICT_RESTART, FAULT_UPLOAD_GONE);
    expect_answer(&f, PHASE_VERIFY, 0, 200, "Upload-Length: 41943040\nUpload-Offset: 41943040", VERDICT_OK, FAULT_NONE);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_SIZE);
    clear(&f);
}

static void test_joined_after_a_restart(void)
{
    Fixture f;
    begin_joined(&f);
    f.up->parts[1].done = true;
    expect(&f, PHASE_RESUME, 0, "HEAD", FILES "p0");
    expect_answer(&f, PHASE_RESUME, 0, 200, "Upload-Offset: 77\nUpload-Length: 16777216", VERDICT_MORE, FAULT_NONE);
    expect(&f, PHASE_RESUME, 0, "HEAD", FILES "p2");
    expect_answer(&f, PHASE_RESUME, 0, 200, "Upload-Offset: 8388608", VERDICT_OK, FAULT_NONE);
    g_assert_cmpuint(f.up->parts[0].kept_bytes, ==, 77);
    g_assert_true(f.up->parts[2].done);
    clear(&f);
}

/* Planned one way, begun the other: nothing of it can be used. */
static void test_resume_of_another_plan(void)
{
    Fixture f;
    begin_joined(&f);
    upload_set(&f.up->upload_id, UPLOAD);
    g_assert_false(ask(&f, PHASE_RESUME, 0));
    g_assert_cmpint(fault_code(f.error), ==, FAULT_UPLOAD_GONE);
    upload_set(&f.up->upload_id, FILES "p0 " FILES "p1");
    g_assert_false(ask(&f, PHASE_RESUME, 0));
    clear(&f);
}

static void test_joining_refused(void)
{
    Fixture f;
    begin(&f, ALL, 40 * MIB, 0);
    g_assert_false(f.up->serial);
    expect_answer(&f, PHASE_OPEN, 0, 501, NULL, VERDICT_RESTART, FAULT_UNSUPPORTED);
    g_assert_true(plan_upload(&f, "a", 40 * MIB, 0));
    g_assert_true(f.up->serial);
    clear(&f);

    begin_joined(&f);
    expect_answer(&f, PHASE_CLOSE, 0, 400, NULL, VERDICT_RESTART, FAULT_REFUSED);
    expect_answer(&f, PHASE_CLOSE, 0, 404, NULL, VERDICT_RESTART, FAULT_ENDPOINT);
    expect_answer(&f, PHASE_CLOSE, 0, 503, NULL, VERDICT_RETRY, FAULT_SLOW_DOWN);
    expect(&f, PHASE_VERIFY, 0, "HEAD", FILES "p0"); /* the answer was lost: it is said again */
    expect_answer(&f, PHASE_VERIFY, 0, 200, "Upload-Offset: 16777216\nUpload-Length: 16777216", VERDICT_RESTART, FAULT_BAD_ANSWER);
    clear(&f);
}

/* ---- the end of an upload */

static void test_abort(void)
{
    Fixture f;
    begin_joined(&f);
    for (unsigned round = 0; round < 2; round++) /* the engine says it twice */
        for (unsigned i = 0; i < 3; i++) {
            g_autofree char *url = g_strdup_printf(FILES "p%u", i);
            expect(&f, PHASE_ABORT, 0, "DELETE", url);
            g_assert_cmpint(answer(&f, PHASE_ABORT, 0, round == 0 ? 204 : 404, NULL), ==, i < 2 ? VERDICT_MORE : VERDICT_OK);
        }
    expect_answer(&f, PHASE_ABORT, 0, 423, NULL, VERDICT_RETRY, FAULT_CONFLICT);
    expect_answer(&f, PHASE_ABORT, 0, 401, NULL, VERDICT_FAIL, FAULT_DENIED);
    clear(&f);

    begin_stream(&f, SUMS, 2 * MIB, 0);
    g_assert_true(ask(&f, PHASE_ABORT, 0));
    g_assert_null(f.rq); /* the server cannot: it expires */
    clear(&f);
}

static void test_override_and_remove(void)
{
    Fixture f;
    open_with(&f, "https://tus.example.net/files?x=1", (const char *const[]){ "tus-override", "true", NULL });
    g_autofree char *where = dest_tus.where(&f.ctx);
    g_assert_cmpstr(where, ==, "https://tus.example.net/files");
    f.up = upload_new("a b/c", 0, 0);
    expect(&f, PHASE_REMOVE, 0, "POST", FILES "a%20b/c");
    g_assert_cmpstr(sent(&f, "X-HTTP-Method-Override"), ==, "DELETE");
    expect_answer(&f, PHASE_REMOVE, 0, 204, NULL, VERDICT_OK, FAULT_NONE);
    expect_answer(&f, PHASE_REMOVE, 0, 404, NULL, VERDICT_OK, FAULT_NONE);
    expect_answer(&f, PHASE_REMOVE, 0, 405, NULL, VERDICT_FAIL, FAULT_UNSUPPORTED);
    clear(&f);
}

/* ---- uploads that an application created */

static void test_granted(void)
{
    static const DestOps other = { .scheme = "other" };
    Fixture f;
    open_with(&f, FILES, (const char *const[]){ "header", "X-Own: v", NULL });
    set_secret(&f, "token", "SECRET");
    void *priv = f.ctx.priv;
    f.ctx.ops = &other;
    f.ctx.priv = NULL;
    f.up = upload_new("a", 5 * MIB, 0);
    tus_plan_granted(f.up, 2 * MIB);
    g_assert_true(f.up->multipart && f.up->serial && f.up->probe);
    f.up->grant = g_new0(Grant, 1);
    f.up->grant->url = g_strdup(UPLOAD);
    f.up->grant->headers = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(f.up->grant->headers, g_strdup("X-Grant: 1"));
    expect(&f, PHASE_PART, 0, "PATCH", UPLOAD);
    expect_body(&f, 0, 2 * MIB);
    g_assert_cmpstr(sent(&f, "X-Grant"), ==, "1");
    g_assert_null(sent(&f, "Authorization"));
    g_assert_null(sent(&f, "X-Own"));
    expect_answer(&f, PHASE_PART, 0, 409, NULL, VERDICT_FAIL, FAULT_GRANT); /* nothing of ours can be there: bytes of which file? */
    expect_answer(&f, PHASE_RESUME, 0, 200, "Upload-Offset: 0\nUpload-Length: 5242880", VERDICT_OK, FAULT_NONE);
    expect_answer(&f, PHASE_PART, 0, 409, NULL, VERDICT_RETRY, FAULT_CONFLICT); /* after a break some may be */
    expect_answer(&f, PHASE_PART, 0, 204, "Upload-Offset: 2097152", VERDICT_OK, FAULT_NONE);
    expect(&f, PHASE_RESUME, 0, "HEAD", UPLOAD);
    expect_answer(&f, PHASE_RESUME, 0, 200, "Upload-Offset: 2097152\nUpload-Length: 5242880", VERDICT_OK, FAULT_NONE);
    expect(&f, PHASE_PART, 1, "PATCH", UPLOAD);
    upload_set(&f.up->upload_id, UPLOAD); /* as after a restart: no grant any more */
    g_clear_pointer(&f.up->grant, grant_free);
    expect(&f, PHASE_PART, 1, "PATCH", UPLOAD);
    expect(&f, PHASE_ABORT, 0, "DELETE", UPLOAD);
    g_clear_pointer(&f.up->upload_id, g_free);
    g_assert_false(ask(&f, PHASE_PART, 1));
    f.ctx.priv = priv;
    clear(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dest/tus/open-refuses", test_open_refuses);
    g_test_add_func("/dest/tus/locations", test_locations);
    g_test_add_func("/dest/tus/metadata", test_metadata);
    g_test_add_func("/dest/tus/signing-in", test_signing_in);
    g_test_add_func("/dest/tus/look", test_look);
    g_test_add_func("/dest/tus/look-that-fails", test_look_that_fails);
    g_test_add_func("/dest/tus/redirects", test_redirects);
    g_test_add_func("/dest/tus/plan", test_plan);
    g_test_add_func("/dest/tus/small/one-request", test_small_file_in_one_request);
    g_test_add_func("/dest/tus/small/not-taken-at-once", test_small_file_that_was_not_taken_at_once);
    g_test_add_func("/dest/tus/small/empty", test_empty_file);
    g_test_add_func("/dest/tus/small/no-answer", test_small_file_without_an_answer);
    g_test_add_func("/dest/tus/creation-answers", test_creation_answers);
    g_test_add_func("/dest/tus/stream", test_stream);
    g_test_add_func("/dest/tus/offset-over-chunks", test_offset_over_several_chunks);
    g_test_add_func("/dest/tus/patch-answers", test_patch_answers);
    g_test_add_func("/dest/tus/head-answers", test_head_answers);
    g_test_add_func("/dest/tus/bodies-get-shorter", test_bodies_get_shorter);
    g_test_add_func("/dest/tus/checksums", test_checksums);
    g_test_add_func("/dest/tus/checksum-of-a-rest", test_checksum_of_a_rest);
    g_test_add_func("/dest/tus/checksum-refused", test_checksum_refused);
    g_test_add_func("/dest/tus/checksum-of-choice", test_checksum_of_choice);
    g_test_add_func("/dest/tus/joined", test_joined);
    g_test_add_func("/dest/tus/joined-after-a-restart", test_joined_after_a_restart);
    g_test_add_func("/dest/tus/resume-of-another-plan", test_resume_of_another_plan);
    g_test_add_func("/dest/tus/joining-refused", test_joining_refused);
    g_test_add_func("/dest/tus/abort", test_abort);
    g_test_add_func("/dest/tus/override-and-remove", test_override_and_remove);
    g_test_add_func("/dest/tus/granted", test_granted);
    return g_test_run();
}
