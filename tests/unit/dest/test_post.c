/* What post.c asks for: a form, its policy and its signature; and what it makes of answers. */
#include <json-glib/json-glib.h>

#include "core/dest/sigv4.h"
#include "s3_fixture.h"

#define HTTP "http://127.0.0.1:9000"

static void open_post(Fixture *f, const char *const *options)
{
    fixture_open_to(f, "post://bucket/pre", HTTP, options);
    g_assert_no_error(f->error);
    g_assert_nonnull(f->ctx.priv);
}

/* What stands in front of the file. Caller frees. */
static char *front_of(const Request *rq)
{
    gsize bytes;
    const char *text = g_bytes_get_data(rq->spans[0].bytes, &bytes);
    return g_strndup(text, bytes);
}

/* Value of a form field; NULL when there is none. Caller frees. */
static char *field_of(const Request *rq, const char *name)
{
    g_autofree char *front = front_of(rq), *head = g_strdup_printf("name=\"%s\"\r\n\r\n", name);
    const char *begin = strstr(front, head);
    if (begin == NULL)
        return NULL;
    begin += strlen(head);
    return g_strndup(begin, (gsize)(strstr(begin, "\r\n--") - begin));
}

static char *policy_of(const Request *rq)
{
    g_autofree char *base64 = field_of(rq, "policy");
    gsize bytes;
    g_autofree guchar *text = g_base64_decode(base64, &bytes);
    return g_strndup((char *)text, bytes);
}

static void assert_has(const char *text, const char *piece)
{
    if (strstr(text, piece) == NULL)
        g_error("\"%s\" is not in %s", piece, text);
}

/* Names of the form's fields in their order, each with a blank behind. Caller frees. */
static char *names_of(const Request *rq)
{
    g_autofree char *front = front_of(rq);
    GString *out = g_string_new(NULL);
    for (const char *p = strstr(front, "; name=\""); p != NULL; p = strstr(p, "; name=\"")) {
        p += strlen("; name=\"");
        g_string_append_len(out, p, (gssize)strcspn(p, "\""));
        g_string_append_c(out, ' ');
    }
    return g_string_free(out, FALSE);
}

static void test_form(void)
{
    const char *const options[] = { "acl", "public-read", "meta", "a=b", "storage-class", "STANDARD_IA", NULL };
    Fixture f;
    open_post(&f, options);
    fixture_upload(&f, 11, 0, 'x');
    g_assert_true(fixture_ask(&f, PHASE_PART, 0));
    g_assert_cmpstr(f.rq->method, ==, "POST");
    g_assert_cmpstr(f.rq->url, ==, HTTP "/bucket");
    g_assert_null(fixture_sent(&f, "Authorization"));
    g_assert_true(g_str_has_prefix(fixture_sent(&f, "Content-Type"), "multipart/form-data; boundary="));
    g_autofree char *names = names_of(f.rq);
    g_assert_cmpstr(names, ==,
                    "key success_action_status Content-Type x-amz-meta-a x-amz-meta-mtime x-amz-meta-hoist-nonce acl x-amz-storage-class "
                    "x-amz-algorithm x-amz-credential x-amz-date x-amz-security-token policy x-amz-signature file ");
    g_assert_cmpuint(f.rq->n_spans, ==, 3);
    g_assert_null(f.rq->spans[1].bytes);
    g_assert_cmpuint(f.rq->spans[1].length, ==, 11);
    g_autofree char *front = front_of(f.rq);
    assert_has(front, "name=\"file\"; filename=\"a b.txt\"\r\nContent-Type: text/plain\r\n\r\n");
    fixture_clear(&f);
}

/* Each field has its condition, and the signature is that of the policy as it is sent. */
static void test_policy(void)
{
    Fixture f;
    open_post(&f, NULL);
    fixture_upload(&f, 11, 0, 'x');
    g_assert_true(fixture_ask(&f, PHASE_PART, 0));
    g_autofree char *policy = policy_of(f.rq);
    static const char *const pieces[] = {
        "{\"expiration\":\"2026-01-15T10:30:00Z\",\"conditions\":[",
        "{\"bucket\":\"bucket\"}",
        "{\"key\":\"pre/a b.txt\"}",
        "[\"content-length-range\",11,11]",
        "{\"success_action_status\":\"201\"}",
        "{\"Content-Type\":\"text/plain\"}",
        "{\"x-amz-algorithm\":\"AWS4-HMAC-SHA256\"}",
        "{\"x-amz-credential\":\"AKIDEXAMPLE/20260115/us-east-1/s3/aws4_request\"}",
        "{\"x-amz-date\":\"20260115T093000Z\"}",
        "{\"x-amz-security-token\":\"TOKENTOKENTOKEN\"}",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(pieces); i++)
        assert_has(policy, pieces[i]);
    g_autoptr(JsonParser) parser = json_parser_new();
    g_assert_true(json_parser_load_from_data(parser, policy, -1, NULL));
    JsonArray *conditions = json_object_get_array_member(json_node_get_object(json_parser_get_root(parser)), "conditions");
    g_autofree char *names = names_of(f.rq);
    g_auto(GStrv) fields = g_strsplit(g_strchomp(names), " ", -1);
    /* bucket and range have no field; policy, signature and file no condition */
    g_assert_cmpuint(json_array_get_length(conditions), ==, g_strv_length(fields) + 2 - 3);

    g_auto(Sigv4Scope) scope = { 0 };
    Sigv4Key key = { 0 };
    char wanted[65];
    g_autofree char *base64 = field_of(f.rq, "policy"), *signature = field_of(f.rq, "x-amz-signature");
    sigv4_scope_init(&scope, "us-east-1", "s3", FIXTURE_NOW_S);
    sigv4_signature(sigv4_key(&key, f.creds.secret_key, &scope, "us-east-1", "s3"), base64, wanted);
    g_assert_cmpstr(signature, ==, wanted);
    fixture_clear(&f);
}

static void test_options(void)
{
    const char *const options[] = { "post-max-size", "1MiB", "post-key", "prefix", "success-status", "204", "token-life", "10m", NULL };
    Fixture f;
    open_post(&f, options);
    fixture_upload(&f, MIB, 0, 'x');
    f.learned.clock_offset_s = 60;
    g_assert_true(fixture_ask(&f, PHASE_PART, 0));
    g_autofree char *policy = policy_of(f.rq), *status = field_of(f.rq, "success_action_status");
    assert_has(policy, "[\"content-length-range\",0,1048576]");
    assert_has(policy, "[\"starts-with\",\"$key\",\"pre/\"]");
    assert_has(policy, "\"expiration\":\"2026-01-15T09:41:00Z\"");
    g_assert_cmpstr(status, ==, "204");

    g_autoptr(Upload) larger = upload_new("pre/b", MIB + 1, 0);
    g_assert_false(f.ctx.ops->plan(&f.ctx, larger, 0, &f.error));
    g_assert_cmpint(fault_code(f.error), ==, FAULT_TOO_LARGE);
    fixture_clear(&f);
}

static void test_plan(void)
{
    g_autofree char *long_key = g_strnfill(1025, 'k');
    const struct {
        const char *key;
        uint64_t bytes;
        FaultCode fault;
    } rows[] = {
        { "pre/k", 0, FAULT_NONE },
        { "pre/\xe4\xb8\xad", 5120 * MIB, FAULT_NONE },
        { "pre/k", 5120 * MIB + 1, FAULT_TOO_LARGE },
        { "pre/\xff", 1, FAULT_KEY },
        { long_key, 1, FAULT_KEY },
    };
    Fixture f;
    open_post(&f, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Upload) up = upload_new(rows[i].key, rows[i].bytes, 0);
        g_assert_cmpint(f.ctx.ops->plan(&f.ctx, up, 8 * MIB, &error), ==, rows[i].fault == FAULT_NONE);
        g_assert_cmpint(fault_code(error), ==, rows[i].fault);
        if (rows[i].fault == FAULT_NONE)
            g_assert_true(up->n_parts == 1 && !up->multipart && !up->look_first);
    }
    fixture_clear(&f);
    const char *const options[] = { "if-exists", "skip", NULL };
    open_post(&f, options);
    fixture_upload(&f, 1, 0, 'x');
    g_assert_true(f.up->look_first);
    fixture_clear(&f);
}

/* Stores replace "${filename}", even in a key that means these very characters. */
static void test_filename_in_key(void)
{
    Fixture f;
    open_post(&f, NULL);
    fixture_upload(&f, 0, 0, 'x');
    upload_set(&f.up->key, "pre/\"${filename}\".txt");
    g_assert_true(fixture_ask(&f, PHASE_PART, 0));
    g_autofree char *front = front_of(f.rq), *key = field_of(f.rq, "key"), *policy = policy_of(f.rq);
    g_assert_cmpstr(key, ==, "pre/\"${filename}\".txt");
    assert_has(policy, "{\"key\":\"pre/\\\"${filename}\\\".txt\"}");
    assert_has(front, "name=\"file\"; filename=\"${filename}\"");
    g_assert_cmpuint(f.rq->n_spans, ==, 2);
    fixture_clear(&f);
}

static void test_anonymous(void)
{
    Fixture f;
    open_post(&f, NULL);
    f.ctx.creds = NULL;
    fixture_upload(&f, 3, 0, 'x');
    g_assert_true(fixture_ask(&f, PHASE_PART, 0));
    g_autofree char *policy = field_of(f.rq, "policy"), *key = field_of(f.rq, "key");
    g_assert_null(policy);
    g_assert_cmpstr(key, ==, "pre/a b.txt");
    fixture_clear(&f);
}

#define POST_RESPONSE(location, key, etag)                                                                                                 \
    "<PostResponse><Location>" location "</Location><Bucket>bucket</Bucket><Key>" key "</Key><ETag>\"" etag "\"</ETag></PostResponse>"
#define MD5_OF_XXX "f561aaf6ef0bf14d4208bb46a4ccb3ad"

static void test_answers(void)
{
    static const struct {
        int status;
        const char *headers, *body, *url, *stored_key;
        Verified verified;
    } rows[] = {
        { 201, NULL, POST_RESPONSE(HTTP "/bucket/pre%2Fa%20b.txt", "pre/a b.txt", MD5_OF_XXX), HTTP "/bucket/pre%2Fa%20b.txt", NULL,
          VERIFIED_ETAG },
        { 201, NULL, POST_RESPONSE("", "pre/a b.txt", MD5_OF_XXX), NULL, NULL, VERIFIED_ETAG },
        { 201, NULL, POST_RESPONSE("javascript:x", "pre/other", "odd"), NULL, "pre/other", VERIFIED_NOT },
        { 201, NULL, NULL, NULL, NULL, VERIFIED_NOT },
        { 204, "ETag: \"" MD5_OF_XXX "\"", NULL, NULL, NULL, VERIFIED_ETAG },
        { 200, NULL, "", NULL, NULL, VERIFIED_NOT },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Fixture f;
        open_post(&f, NULL);
        fixture_upload(&f, 3, 0, 'x');
        g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, rows[i].status, rows[i].headers, rows[i].body), ==, VERDICT_OK);
        g_assert_true(f.up->parts[0].done);
        g_assert_cmpstr(f.up->url, ==, rows[i].url);
        g_assert_cmpstr(f.up->stored_key, ==, rows[i].stored_key);
        g_assert_cmpint(f.up->verified, ==, rows[i].verified);
        g_assert_true(fixture_ask(&f, PHASE_VERIFY, 0));
        g_assert_cmpstr(f.rq->url, ==, rows[i].stored_key != NULL ? HTTP "/bucket/pre/other" : HTTP "/bucket/pre/a%20b.txt");
        fixture_clear(&f);
    }
}

static void test_refusals(void)
{
    static const struct {
        int status;
        const char *headers, *code, *message;
        Verdict verdict;
        FaultCode fault;
    } rows[] = {
        { 400, NULL, "EntityTooLarge", "Your proposed upload exceeds", VERDICT_FAIL, FAULT_TOO_LARGE },
        { 403, NULL, "AccessDenied", "Invalid according to Policy: Policy expired.", VERDICT_FAIL, FAULT_EXPIRED },
        { 403, "Date: Thu, 15 Jan 2026 11:30:00 GMT", "AccessDenied", "Invalid according to Policy: Policy expired.", VERDICT_AGAIN,
          FAULT_CLOCK },
        { 403, NULL, "AccessDenied", "Invalid according to Policy: Policy Condition failed: [\"eq\"]", VERDICT_FAIL, FAULT_DENIED },
        { 403, NULL, "SignatureDoesNotMatch", "words", VERDICT_FAIL, FAULT_SIGNATURE },
        { 403, NULL, "InvalidAccessKeyId", "words", VERDICT_FAIL, FAULT_UNKNOWN_KEY },
        { 412, NULL, "PreconditionFailed", "Bucket POST must be of the enclosure-type multipart/form-data", VERDICT_FAIL, FAULT_EXISTS },
        { 503, NULL, "SlowDown", "words", VERDICT_RETRY, FAULT_SLOW_DOWN },
        { 405, NULL, "MethodNotAllowed", "words", VERDICT_FAIL, FAULT_UNSUPPORTED },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Fixture f;
        open_post(&f, NULL);
        fixture_upload(&f, 3, 0, 'x');
        g_autofree char *body = g_strdup_printf("<Error><Code>%s</Code><Message>%s</Message></Error>", rows[i].code, rows[i].message);
        g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, rows[i].status, rows[i].headers, body), ==, rows[i].verdict);
        g_assert_cmpint(fault_code(f.error), ==, rows[i].fault);
        g_assert_false(f.up->parts[0].done);
        fixture_clear(&f);
    }
}

/* A login page answers 201 to everything; an ETag that was right before and is wrong now means other bytes. */
static void test_lies(void)
{
    Fixture f;
    open_post(&f, NULL);
    fixture_upload(&f, 3, 0, 'x');
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 201, NULL, "<html>sign in</html>"), ==, VERDICT_RETRY);
    f.learned.checksum[DIGEST_MD5] = LEARNED_WORKS;
    g_assert_cmpint(fixture_read(&f, PHASE_PART, 0, 201, NULL, POST_RESPONSE("", "pre/a b.txt", "00000000000000000000000000000000")), ==,
                    VERDICT_RETRY);
    g_assert_cmpint(fault_code(f.error), ==, FAULT_CHECKSUM);
    g_assert_false(f.up->parts[0].done);
    fixture_clear(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dest/post/form", test_form);
    g_test_add_func("/dest/post/policy", test_policy);
    g_test_add_func("/dest/post/options", test_options);
    g_test_add_func("/dest/post/plan", test_plan);
    g_test_add_func("/dest/post/filename-in-key", test_filename_in_key);
    g_test_add_func("/dest/post/anonymous", test_anonymous);
    g_test_add_func("/dest/post/answers", test_answers);
    g_test_add_func("/dest/post/refusals", test_refusals);
    g_test_add_func("/dest/post/lies", test_lies);
    return g_test_run();
}
