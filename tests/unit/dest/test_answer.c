/* What answer.c makes of refusals: verdict, fault, and words that are safe to show. */
#include <string.h>

#include "core/dest/answer.h"

#define NOW_S INT64_C(1768469400) /* 2026-01-15T09:30:00Z */

static Response *response_of(int status)
{
    Response *rs = response_new();
    rs->status = status;
    return rs;
}

static void add_header(Response *rs, const char *name, const char *value)
{
    response_add_header(rs, name, strlen(name), value, strlen(value));
}

static void assert_failed(const AnswerRow *rows, int status, const char *code, const char *message, Verdict verdict, FaultCode fault)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Response) rs = response_of(status);
    g_assert_cmpint(answer_failed(rows, rs, code, message, NULL, &error), ==, verdict);
    g_assert_cmpint(fault_code(error), ==, fault);
}

static void test_common(void)
{
    static const struct {
        int status;
        Verdict verdict;
        FaultCode fault;
    } rows[] = {
        { 100, VERDICT_RETRY, FAULT_BAD_ANSWER }, { 200, VERDICT_RETRY, FAULT_BAD_ANSWER }, { 302, VERDICT_FAIL, FAULT_ENDPOINT },
        { 400, VERDICT_FAIL, FAULT_REFUSED },     { 401, VERDICT_FAIL, FAULT_DENIED },      { 403, VERDICT_FAIL, FAULT_DENIED },
        { 404, VERDICT_FAIL, FAULT_ENDPOINT },    { 408, VERDICT_RETRY, FAULT_STALLED },    { 409, VERDICT_RETRY, FAULT_CONFLICT },
        { 412, VERDICT_FAIL, FAULT_EXISTS },      { 413, VERDICT_FAIL, FAULT_TOO_LARGE },   { 423, VERDICT_RETRY, FAULT_CONFLICT },
        { 429, VERDICT_RETRY, FAULT_SLOW_DOWN },  { 499, VERDICT_FAIL, FAULT_REFUSED },     { 500, VERDICT_RETRY, FAULT_SERVER },
        { 501, VERDICT_FAIL, FAULT_UNSUPPORTED }, { 503, VERDICT_RETRY, FAULT_SLOW_DOWN },  { 507, VERDICT_FAIL, FAULT_QUOTA },
        { 599, VERDICT_RETRY, FAULT_SERVER },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        assert_failed(NULL, rows[i].status, NULL, NULL, rows[i].verdict, rows[i].fault);
}

static void test_rows_of_a_protocol(void)
{
    static const AnswerRow rows[] = {
        { 403, "expired", VERDICT_AGAIN, FAULT_EXPIRED, NULL },
        { 0, "Md5Mismatch", VERDICT_RETRY, FAULT_CHECKSUM, NULL },
        { 404, NULL, VERDICT_RESTART, FAULT_UPLOAD_GONE, "gone" },
        { 0 },
    };
    assert_failed(rows, 403, "X", "token EXPIRED today", VERDICT_AGAIN, FAULT_EXPIRED);
    assert_failed(rows, 403, "TokenExpired", NULL, VERDICT_AGAIN, FAULT_EXPIRED);
    assert_failed(rows, 401, "TokenExpired", NULL, VERDICT_FAIL, FAULT_DENIED);
    assert_failed(rows, 400, "md5mismatch", NULL, VERDICT_RETRY, FAULT_CHECKSUM);
    assert_failed(rows, 404, NULL, NULL, VERDICT_RESTART, FAULT_UPLOAD_GONE);
    assert_failed(rows, 503, NULL, NULL, VERDICT_RETRY, FAULT_SLOW_DOWN);
}

static void test_cause(void)
{
    static const AnswerRow rows[] = { { 400, NULL, VERDICT_FAIL, FAULT_REFUSED, "a hint" }, { 0 } };
    g_autoptr(GError) error = NULL;
    g_autoptr(Response) rs = response_of(400);
    add_header(rs, "X-Request-Id", "R-1");
    answer_failed(rows, rs, "Odd", "some\r\n  words\x1b[31m", NULL, &error);
    g_assert_cmpstr(error->message, ==, "400 Odd: some words\xef\xbf\xbd[31m - a hint (request R-1)");
    g_autofree char *silent = answer_cause(500, NULL, NULL, NULL, NULL), *empty = answer_cause(500, "", " \n", "", NULL);
    g_assert_cmpstr(silent, ==, "500: no words from the server");
    g_assert_cmpstr(empty, ==, silent);
}

static void test_secrets(void)
{
    static const struct {
        const char *text, *shown;
    } rows[] = {
        { "key AKIDEXAMPLE with SECRETKEY and SESSION1", "key *** with *** and ***" },
        { "password hunter22 is wrong", "password *** is wrong" },
        { "GET https://a.example/b?sv=1&sig=abc%3D failed", "GET https://a.example/b?*** failed" },
        { "see \"https://a.example/?t=1\".", "see \"https://a.example/?***\"." },
        { "Signature=abc, X-Amz-Security-Token: abc; sig=abc", "Signature=***, X-Amz-Security-Token: ***; sig=***" },
        { "<StringToSign>AWS4</StringToSign>", "<StringToSign>***</StringToSign>" },
        { "it was assigned: yes", "it was assigned: yes" },
        { "bad \xff byte", "bad \xef\xbf\xbd byte" },
    };
    g_autoptr(GHashTable) secrets = g_hash_table_new(g_str_hash, g_str_equal);
    g_hash_table_insert(secrets, (char *)"password", (char *)"hunter22");
    g_hash_table_insert(secrets, (char *)"empty", (char *)"");
    const Credentials creds = {
        .access_key = (char *)"AKIDEXAMPLE", .secret_key = (char *)"SECRETKEY", .session_token = (char *)"SESSION1", .secrets = secrets
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *shown = answer_words(rows[i].text, 200, &creds);
        g_assert_cmpstr(shown, ==, rows[i].shown);
        g_autofree char *cause = answer_cause(400, NULL, rows[i].text, NULL, &creds);
        g_assert_true(g_str_has_suffix(cause, rows[i].shown));
    }
}

static void test_bounded(void)
{
    g_autofree char *lots = g_strnfill(100000, 'x'), *cause = answer_cause(500, lots, lots, lots, NULL);
    g_assert_cmpuint(strlen(cause), <, 500);
    g_autofree char *words = answer_words("\xc3\xa4\xc3\xa4", 3, NULL); /* cut between characters */
    g_assert_cmpstr(words, ==, "\xc3\xa4\xc3\xa4");
}

static void test_clock(void)
{
    static const struct {
        const char *date;
        int64_t known_s, offset_s;
        bool learned;
    } rows[] = {
        { "Thu, 15 Jan 2026 09:30:59 GMT", 0, 0, false },
        { "Thu, 15 Jan 2026 09:31:01 GMT", 0, 61, true },
        { "Thu, 15 Jan 2026 09:00:00 GMT", 0, -1800, true },
        { "Thu, 15 Jan 2026 09:00:00 GMT", -1800, -1800, false },
        { "Thu, 15 Jan 2026 09:30:00 GMT", -1800, 0, true },
        { "yesterday", 0, 0, false },
        { NULL, 5, 5, false },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        DestLearned learned = { .clock_offset_s = rows[i].known_s };
        const DestCtx ctx = { .learned = &learned, .now_s = NOW_S };
        g_autoptr(Response) rs = response_of(403);
        if (rows[i].date != NULL)
            add_header(rs, "Date", rows[i].date);
        g_assert_cmpint(answer_learn_clock(&ctx, rs), ==, rows[i].learned);
        g_assert_cmpint(learned.clock_offset_s, ==, rows[i].offset_s);
        g_assert_cmpint(learned.dirty, ==, rows[i].learned);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dest/answer/common", test_common);
    g_test_add_func("/dest/answer/rows-of-a-protocol", test_rows_of_a_protocol);
    g_test_add_func("/dest/answer/cause", test_cause);
    g_test_add_func("/dest/answer/secrets", test_secrets);
    g_test_add_func("/dest/answer/bounded", test_bounded);
    g_test_add_func("/dest/answer/clock", test_clock);
    return g_test_run();
}
