#include "tui/report.h"

#include <json-glib/json-glib.h>
#include <string.h>
#include <time.h>

#define S  G_USEC_PER_SEC
#define NS 1000000000

static HoistRow row_new(void)
{
    return (HoistRow){ .id = 3,
                       .path = (char *)"/in/IMG 3.jpg",
                       .name = (char *)"IMG 3.jpg",
                       .key = (char *)"p/IMG 3.jpg",
                       .dest = (char *)"s3://b/p",
                       .source_bytes = 8000000,
                       .bytes = 4100000,
                       .eta_s = -1,
                       .retry_in_ms = -1 };
}

static char *event_text(Report *r, const HoistEvent *ev, int64_t now_us)
{
    GString *text = g_string_new(NULL);
    report_event(r, ev, now_us, 45 * (int64_t)NS, text);
    return g_string_free(text, FALSE);
}

static char *row_text(Report *r, HoistRow *row, HoistRowChange change)
{
    const HoistEvent ev = { .kind = HOIST_EVENT_ROW, .change = change, .row = row };
    return event_text(r, &ev, 0);
}

static char *summary_text(Report *r, int64_t now_us)
{
    GString *text = g_string_new(NULL);
    report_summary(r, now_us, 45 * (int64_t)NS, text);
    return g_string_free(text, FALSE);
}

static void totals(Report *r, uint64_t queued, uint64_t done, uint64_t failed, int64_t now_us, GString *text)
{
    HoistTotals t = { .run_done = done, .run_failed = failed, .run_bytes = 100, .acked_bytes = 100, .bps = 50, .eta_s = 61, .active = 1 };
    t.files[HOIST_QUEUED] = queued;
    t.bytes[HOIST_QUEUED] = queued * 100;
    const HoistEvent ev = { .kind = HOIST_EVENT_TOTALS, .totals = &t };
    report_event(r, &ev, now_us, 45 * (int64_t)NS, text);
}

static void test_done(void)
{
    g_autoptr(Report) r = report_new(REPORT_PLAIN, 0);
    g_autoptr(GString) none = g_string_new(NULL);
    totals(r, 119, 0, 0, 0, none);
    HoistRow row = row_new();
    row.started_ns = NS;
    row.done_ns = 2 * (int64_t)NS;
    row.verified = HOIST_VERIFIED_CHECKSUM;
    row.note = (char *)"resumed";
    row.url = (char *)"https://b/IMG_3.jpg";
    g_autofree char *line = row_text(r, &row, HOIST_ROW_DONE);
    g_assert_cmpstr(line, ==, "00:00:45 done 1/119 IMG 3.jpg 4.1 MB 4.1 MB/s https://b/IMG_3.jpg (verified by checksum; resumed)\n");
    row.url = NULL;
    row.note = NULL;
    row.verified = HOIST_VERIFIED_NOT;
    row.started_ns = 0;
    g_autofree char *bare = row_text(r, &row, HOIST_ROW_DONE);
    g_assert_cmpstr(bare, ==, "00:00:45 done 2/119 IMG 3.jpg 4.1 MB p/IMG 3.jpg (not verified)\n");
    g_assert_cmpuint(report_counts(r)->done, ==, 2);
    g_assert_cmpuint(report_counts(r)->bytes, ==, 8200000);
}

static void test_failed(void)
{
    static const ReportStyle styles[] = { REPORT_PLAIN, REPORT_QUIET };
    for (unsigned i = 0; i < G_N_ELEMENTS(styles); i++) {
        g_autoptr(Report) r = report_new(styles[i], 0);
        HoistRow row = row_new();
        row.fault = (char *)"access-denied";
        row.cause = (char *)"403 AccessDenied: \033[31mno";
        row.remedy = (char *)"Ask for rights.";
        g_autofree char *line = row_text(r, &row, HOIST_ROW_FAILED);
        g_assert_cmpstr(line, ==, "00:00:45 failed 1/1 IMG 3.jpg: 403 AccessDenied: ^[[31mno\n         Ask for rights.\n");
        g_assert_cmpuint(report_counts(r)->failed, ==, 1);
        g_assert_false(report_counts(r)->no_credentials);
        row.fault = (char *)"no-credentials";
        g_free(row_text(r, &row, HOIST_ROW_FAILED));
        g_assert_true(report_counts(r)->no_credentials);
    }
}

static void test_retry(void)
{
    g_autoptr(Report) r = report_new(REPORT_PLAIN, 0);
    HoistRow row = row_new();
    row.fault = (char *)"slow-down";
    row.cause = (char *)"503 SlowDown";
    row.retry_in_ms = 7200;
    row.tries = 2;
    row.max_tries = 5;
    g_autofree char *line = row_text(r, &row, HOIST_ROW_RETRY);
    g_assert_cmpstr(line, ==, "00:00:45 retry IMG 3.jpg: 503 SlowDown; next try in 8 s (2 of 5)\n");
}

static void test_quiet_and_silent(void)
{
    g_autoptr(Report) quiet = report_new(REPORT_QUIET, 0), plain = report_new(REPORT_PLAIN, 0);
    HoistRow row = row_new();
    for (int change = HOIST_ROW_QUEUED; change <= HOIST_ROW_STATE; change++) {
        g_autofree char *line = row_text(quiet, &row, (HoistRowChange)change);
        g_assert_cmpint(*line != '\0', ==, change == HOIST_ROW_FAILED);
        g_autofree char *other = row_text(plain, &row, (HoistRowChange)change);
        const bool shown = change == HOIST_ROW_DONE || change == HOIST_ROW_FAILED || change == HOIST_ROW_RETRY || change == HOIST_ROW_STATE;
        g_assert_cmpint(*other != '\0', ==, shown);
    }
}

static void test_log(void)
{
    g_autoptr(Report) r = report_new(REPORT_LOG, 0);
    HoistRow row = row_new();
    g_autofree char *line = row_text(r, &row, HOIST_ROW_QUEUED);
    g_assert_cmpstr(line, ==, "1970-01-01T00:00:45Z queued IMG 3.jpg 4.1 MB\n");
    g_autofree char *none = row_text(r, &row, HOIST_ROW_PROGRESS);
    g_assert_cmpstr(none, ==, "");
}

static void test_progress(void)
{
    g_autoptr(Report) r = report_new(REPORT_PLAIN, 0);
    g_autoptr(GString) text = g_string_new(NULL);
    totals(r, 3, 1, 0, 9 * S, text);
    g_assert_cmpstr(text->str, ==, "");
    totals(r, 3, 1, 0, 10 * S, text);
    g_assert_cmpstr(text->str, ==, "00:00:45 50% 0/4 files, 200 B of 400 B, 50 B/s, 1:01 left\n");
    g_string_truncate(text, 0);
    totals(r, 3, 1, 0, 19 * S, text);
    totals(r, 0, 4, 0, 40 * S, text); /* nothing open: no line */
    g_assert_cmpstr(text->str, ==, "");
}

/* Pictures are made and nothing goes out: a line all the same, as seldom. */
static void test_progress_of_preparing(void)
{
    g_autoptr(Report) r = report_new(REPORT_PLAIN, 0);
    HoistTotals t = { .preparing = 3, .eta_s = 61 };
    t.files[HOIST_QUEUED] = 9;
    t.files[HOIST_PREPARING] = 3;
    t.bytes[HOIST_QUEUED] = 1200;
    const HoistEvent ev = { .kind = HOIST_EVENT_TOTALS, .totals = &t };
    g_autofree char *early = event_text(r, &ev, 9 * S), *due = event_text(r, &ev, 10 * S), *soon = event_text(r, &ev, 19 * S);
    g_assert_cmpstr(early, ==, "");
    g_assert_cmpstr(due, ==, "00:00:45 preparing 3 pictures, 0/12 files, 0 B of 1.2 kB\n");
    g_assert_cmpstr(soon, ==, "");
    t.active = 1;
    g_autofree char *both = event_text(r, &ev, 20 * S);
    g_assert_cmpstr(both, ==, "00:00:45 0% 0/12 files, 0 B of 1.2 kB, 0 B/s, 1:01 left\n");
}

static void test_hostile_names(void)
{
    g_autoptr(Report) r = report_new(REPORT_PLAIN, 0);
    HoistRow row = row_new();
    row.name = (char *)"\033]0;owned\a\r\nfake line\xff\xe2\x80\xae";
    row.url = NULL;
    row.key = (char *)"\033[2J";
    for (int change = HOIST_ROW_QUEUED; change <= HOIST_ROW_STATE; change++) {
        g_autofree char *line = row_text(r, &row, (HoistRowChange)change);
        const size_t n = strlen(line);
        for (size_t i = 0; i < n; i++)
            g_assert_true(!g_ascii_iscntrl(line[i]) || (line[i] == '\n' && i == n - 1));
        g_assert_true(g_utf8_validate(line, -1, NULL));
    }
    HoistEvent skipped = { .kind = HOIST_EVENT_SKIPPED, .path = row.name, .text = row.name, .fault = (char *)"file-missing" };
    g_autofree char *line = event_text(r, &skipped, 0);
    g_assert_null(strchr(line, 27));
    HoistEvent notice = { .kind = HOIST_EVENT_NOTICE, .text = row.name };
    g_autofree char *other = event_text(r, &notice, 0);
    g_assert_null(strchr(other, 27));
}

static void test_skipped(void)
{
    g_autoptr(Report) plain = report_new(REPORT_PLAIN, 0), quiet = report_new(REPORT_QUIET, 0);
    HoistEvent rule = { .kind = HOIST_EVENT_SKIPPED,
                        .path = (char *)"/in/fifo",
                        .text = (char *)"a FIFO is not uploaded",
                        .fault = (char *)"not-a-file",
                        .number = 1 };
    HoistEvent gone = {
        .kind = HOIST_EVENT_SKIPPED, .path = (char *)"/in/gone", .text = (char *)"no such file", .fault = (char *)"file-missing"
    };
    g_autofree char *a = event_text(plain, &rule, 0), *b = event_text(plain, &gone, 0), *c = event_text(quiet, &rule, 0),
                    *d = event_text(quiet, &gone, 0);
    g_assert_cmpstr(a, ==, "00:00:45 skipped /in/fifo: a FIFO is not uploaded\n");
    g_assert_true(g_str_has_prefix(b, "00:00:45 skipped /in/gone: no such file\n         Bring the file back"));
    g_assert_cmpstr(c, ==, "");
    g_assert_cmpstr(d, ==, b);
    g_assert_cmpuint(report_counts(plain)->skipped, ==, 2);
    g_assert_cmpuint(report_counts(plain)->unreadable, ==, 1);
}

/* The engine tells of the path and of the row: one line, and the count of files reaches its end. */
static void test_skipped_from_the_queue(void)
{
    static const ReportStyle styles[] = { REPORT_PLAIN, REPORT_LOG };
    for (unsigned i = 0; i < G_N_ELEMENTS(styles); i++) {
        g_autoptr(Report) r = report_new(styles[i], 0);
        HoistRow row = row_new();
        for (unsigned k = 0; k < 3; k++)
            g_free(row_text(r, &row, HOIST_ROW_QUEUED));
        HoistEvent ev = { .kind = HOIST_EVENT_SKIPPED, .path = row.path, .text = (char *)"cut off", .number = 1 };
        g_autofree char *line = event_text(r, &ev, 0);
        g_assert_true(g_str_has_suffix(line, " skipped /in/IMG 3.jpg: cut off\n"));
        row.state = HOIST_CANCELLED;
        row.note = (char *)"skipped: cut off";
        g_autofree char *none = row_text(r, &row, HOIST_ROW_STATE);
        g_assert_cmpstr(none, ==, "");
        row.note = NULL;
        g_autofree char *person = row_text(r, &row, HOIST_ROW_STATE);
        g_assert_nonnull(strstr(person, " cancelled IMG 3.jpg"));
        row.state = HOIST_DONE;
        g_autofree char *done = row_text(r, &row, HOIST_ROW_DONE);
        g_assert_nonnull(strstr(done, " done 3/3 "));
        g_autoptr(GString) text = g_string_new(NULL);
        totals(r, 2, 1, 0, 0, text); /* two more, of before */
        g_autofree char *more = row_text(r, &row, HOIST_ROW_DONE);
        g_assert_nonnull(strstr(more, " done 4/5 "));
    }
}

static void test_summary(void)
{
    g_autoptr(Report) r = report_new(REPORT_PLAIN, 0);
    HoistRow row = row_new();
    for (unsigned i = 0; i < 3; i++)
        g_free(row_text(r, &row, HOIST_ROW_DONE));
    g_autofree char *good = summary_text(r, 10 * S);
    g_assert_cmpstr(good, ==, "00:00:45 3 files done, 0 failed, 0 skipped: 12.3 MB in 0:10 (1.2 MB/s)\n");
    g_autoptr(GString) text = g_string_new(NULL);
    totals(r, 2, 3, 1, 0, text);
    g_free(row_text(r, &row, HOIST_ROW_FAILED));
    HoistEvent notice = { .kind = HOIST_EVENT_NOTICE, .text = (char *)"s3://b refused 3 files", .fault = (char *)"access-denied" };
    HoistEvent idle = { .kind = HOIST_EVENT_IDLE, .number = 3 };
    g_free(event_text(r, &notice, 0));
    g_free(event_text(r, &idle, 0));
    g_assert_cmpuint(report_counts(r)->waiting, ==, 3);
    g_assert_cmpuint(report_counts(r)->unsent, ==, 2);
    g_autofree char *bad = summary_text(r, 10 * S);
    g_assert_nonnull(strstr(bad, "stopped: s3://b refused 3 files\n"));
    g_assert_nonnull(strstr(bad, "Grant s3:PutObject"));
    g_assert_nonnull(strstr(bad, "3 files done, 1 failed, 0 skipped"));
    g_assert_nonnull(strstr(bad, "2 in the queue wait for you"));
    g_assert_nonnull(strstr(bad, "hoist retry --all"));
}

/* ------------------------------------------------------------------ JSON */

static JsonNode *parse_line(const char *line)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(g_str_has_suffix(line, "}\n"));
    g_assert_cmpuint(strcspn(line, "\n"), ==, strlen(line) - 1);
    g_assert_true(g_str_has_prefix(line, "{\"event\":\""));
    JsonNode *node = json_from_string(line, &error);
    g_assert_no_error(error);
    return node;
}

static void expect_members(HoistRowChange change, HoistRow *row, const char *const *members)
{
    g_autoptr(Report) r = report_new(REPORT_JSON, 0);
    g_autofree char *line = row_text(r, row, change);
    g_autoptr(JsonNode) node = parse_line(line);
    JsonObject *object = json_node_get_object(node);
    g_test_message("%s", line);
    for (; *members != NULL; members++)
        g_assert_true(json_object_has_member(object, *members));
}

#define MEMBERS(...) ((const char *const[]){ "event", "id", "path", __VA_ARGS__, NULL })

static void test_json_objects(void)
{
    HoistObject objects[] = {
        { .name = (char *)"web", .key = (char *)"a@web.webp", .url = (char *)"https://b/a@web.webp", .bytes = 300, .done = true },
        { .name = (char *)"original", .key = (char *)"o/\xff", .bytes = 9000 },
    };
    HoistRow row = row_new();
    row.objects = objects;
    row.n_objects = G_N_ELEMENTS(objects);
    g_autoptr(Report) r = report_new(REPORT_JSON, 0);
    g_autofree char *line = row_text(r, &row, HOIST_ROW_DONE);
    g_autoptr(JsonNode) node = parse_line(line);
    JsonArray *array = json_object_get_array_member(json_node_get_object(node), "objects");
    g_assert_cmpuint(json_array_get_length(array), ==, 2);
    JsonObject *web = json_array_get_object_element(array, 0), *original = json_array_get_object_element(array, 1);
    g_assert_cmpstr(json_object_get_string_member(web, "name"), ==, "web");
    g_assert_cmpstr(json_object_get_string_member(web, "url"), ==, "https://b/a@web.webp");
    g_assert_cmpint(json_object_get_int_member(web, "bytes"), ==, 300);
    g_assert_true(json_object_get_boolean_member(web, "done"));
    g_assert_true(json_object_has_member(original, "key_b64"));
    g_assert_false(json_object_has_member(original, "verified"));
    g_assert_false(json_object_get_boolean_member(original, "done"));

    g_autoptr(Report) plain = report_new(REPORT_PLAIN, 0);
    g_autofree char *text = row_text(plain, &row, HOIST_ROW_DONE);
    g_test_message("%s", text);
    g_assert_nonnull(strstr(text, " and 1 other object ("));
}

static void test_json_rows(void)
{
    HoistRow row = row_new();
    row.recipe = (char *)"webp q80";
    row.note = (char *)"a note";
    row.fault = (char *)"slow-down";
    row.cause = (char *)"503";
    row.remedy = (char *)"Wait.";
    row.url = (char *)"https://b/k";
    row.etag = (char *)"\"abc\"";
    row.checksum = (char *)"crc64nvme:AAAA";
    expect_members(HOIST_ROW_QUEUED, &row, MEMBERS("bytes"));
    expect_members(HOIST_ROW_PREPARED, &row, MEMBERS("source_bytes", "bytes", "recipe"));
    expect_members(HOIST_ROW_STARTED, &row, MEMBERS("bytes"));
    expect_members(HOIST_ROW_PROGRESS, &row, MEMBERS("acked", "sent", "bytes", "bps"));
    expect_members(HOIST_ROW_RETRY, &row, MEMBERS("attempt", "in_ms", "fault"));
    expect_members(HOIST_ROW_DONE, &row, MEMBERS("key", "url", "etag", "checksum", "bytes", "verified", "note"));
    expect_members(HOIST_ROW_FAILED, &row, MEMBERS("fault"));
    expect_members(HOIST_ROW_STATE, &row, MEMBERS("state"));

    g_autoptr(Report) r = report_new(REPORT_JSON, 0);
    g_autofree char *line = row_text(r, &row, HOIST_ROW_FAILED);
    g_autoptr(JsonNode) node = parse_line(line);
    JsonObject *fault = json_object_get_object_member(json_node_get_object(node), "fault");
    g_assert_cmpstr(json_object_get_string_member(fault, "name"), ==, "slow-down");
    g_assert_cmpstr(json_object_get_string_member(fault, "cause"), ==, "503");
    g_assert_cmpstr(json_object_get_string_member(fault, "remedy"), ==, "Wait.");
}

static void test_json_bytes(void)
{
    g_autoptr(Report) r = report_new(REPORT_JSON, 0);
    HoistRow row = row_new();
    row.path = (char *)"/in/caf\xe9\n\"";
    g_autofree char *line = row_text(r, &row, HOIST_ROW_QUEUED);
    g_autoptr(JsonNode) node = parse_line(line);
    JsonObject *object = json_node_get_object(node);
    gsize n;
    g_autofree guchar *path = g_base64_decode(json_object_get_string_member(object, "path_b64"), &n);
    g_assert_cmpmem(path, n, row.path, strlen(row.path));
    g_assert_cmpstr(json_object_get_string_member(object, "path"), ==, "/in/caf\xef\xbf\xbd\n\"");
    row.path = (char *)"/in/\xc3\xa9";
    g_autofree char *valid = row_text(r, &row, HOIST_ROW_QUEUED);
    g_assert_null(strstr(valid, "path_b64"));
}

static void test_json_rest(void)
{
    g_autoptr(Report) r = report_new(REPORT_JSON, 0);
    HoistEvent gone = {
        .kind = HOIST_EVENT_SKIPPED, .path = (char *)"/in/gone", .text = (char *)"no such file", .fault = (char *)"file-missing"
    };
    g_autofree char *skipped = event_text(r, &gone, 0);
    g_autoptr(JsonNode) a = parse_line(skipped);
    g_assert_cmpstr(json_object_get_string_member(json_object_get_object_member(json_node_get_object(a), "fault"), "name"), ==,
                    "file-missing");
    HoistEvent notice = { .kind = HOIST_EVENT_NOTICE, .text = (char *)"hm" };
    g_autofree char *text = event_text(r, &notice, 0);
    g_autoptr(JsonNode) b = parse_line(text);
    g_assert_false(json_object_has_member(json_node_get_object(b), "fault"));
    HoistEvent list = { .kind = HOIST_EVENT_LIST };
    g_autofree char *nothing = event_text(r, &list, 0);
    g_assert_cmpstr(nothing, ==, "");
    g_autofree char *summary = summary_text(r, 2 * S + 500000);
    g_autoptr(JsonNode) c = parse_line(summary);
    g_assert_cmpfloat(json_object_get_double_member(json_node_get_object(c), "seconds"), ==, 2.5);
    g_assert_cmpint(json_object_get_int_member(json_node_get_object(c), "skipped"), ==, 1);
}

static void test_planned(void)
{
    HoistRow row = row_new();
    HoistTotals t = { .skipped = 1 };
    t.files[HOIST_QUEUED] = 1;
    t.bytes[HOIST_QUEUED] = 4100000;
    g_autoptr(GString) text = g_string_new(NULL);
    report_planned(REPORT_PLAIN, &row, text);
    report_planned_summary(REPORT_PLAIN, &t, text);
    g_assert_cmpstr(text->str, ==, "  4.1 MB /in/IMG 3.jpg -> p/IMG 3.jpg\n1 file, 4.1 MB would be sent, 1 skipped; nothing was sent\n");
    g_string_truncate(text, 0);
    report_planned(REPORT_JSON, &row, text);
    g_autoptr(JsonNode) node = parse_line(text->str);
    g_assert_cmpstr(json_object_get_string_member(json_node_get_object(node), "key"), ==, "p/IMG 3.jpg");
}

static void test_destinations(void)
{
    HoistDest ready = {
        .name = (char *)"shop", .to = (char *)"s3://b/p", .scheme = (char *)"s3", .endpoint = (char *)"http://127.0.0.1:9", .ready = true
    };
    HoistDest not = {
        .name = (char *)"x", .to = (char *)"dav+http://h/", .endpoint = (char *)"http://h/", .missing = (char *)"no\033secret"
    };
    g_autoptr(GString) text = g_string_new(NULL), json = g_string_new(NULL);
    report_dest(&ready, false, text);
    report_dest(&not, false, text);
    g_assert_cmpstr(text->str, ==,
                    "shop          s3://b/p at http://127.0.0.1:9  ready\nx             dav+http://h/  NOT READY: no^[secret\n");
    report_dest(&ready, true, json);
    g_assert_cmpstr(json->str, ==,
                    "{\"event\":\"dest\",\"name\":\"shop\",\"to\":\"s3://b/p\",\"scheme\":\"s3\",\"endpoint\":\"http://127.0.0.1:9\","
                    "\"ready\":true}\n");
}

static void test_removed(void)
{
    const GError cause = { g_quark_from_static_string("other"), 1, (char *)"it broke" };
    g_autoptr(GString) text = g_string_new(NULL), json = g_string_new(NULL);
    report_removed("shop/a", true, NULL, false, text);
    report_removed("shop/\033", false, NULL, false, text);
    report_removed("shop/c", false, &cause, false, text);
    g_assert_true(g_str_has_prefix(text->str, "removed shop/a\nnot there shop/^[\nfailed shop/c: it broke\n       "));
    report_removed("shop/\xff", true, NULL, true, json);
    report_removed("shop/b", false, NULL, true, json);
    report_removed("shop/c", false, &cause, true, json);
    g_auto(GStrv) lines = g_strsplit(json->str, "\n", -1);
    g_assert_nonnull(strstr(lines[0], "\"object_b64\":\"c2hvcC//\""));
    g_assert_cmpstr(lines[1], ==, "{\"event\":\"absent\",\"object\":\"shop/b\"}");
    g_assert_nonnull(strstr(lines[2], "\"cause\":\"it broke\""));
    g_assert_nonnull(strstr(lines[2], "\"remedy\":\""));
}

int main(int argc, char **argv)
{
    g_setenv("TZ", "UTC", TRUE);
    tzset();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/report/plain/done", test_done);
    g_test_add_func("/report/plain/failed", test_failed);
    g_test_add_func("/report/plain/retry", test_retry);
    g_test_add_func("/report/plain/quiet-and-silent", test_quiet_and_silent);
    g_test_add_func("/report/plain/progress", test_progress);
    g_test_add_func("/report/plain/hostile-names", test_hostile_names);
    g_test_add_func("/report/plain/progress-of-preparing", test_progress_of_preparing);
    g_test_add_func("/report/plain/skipped", test_skipped);
    g_test_add_func("/report/plain/skipped-from-the-queue", test_skipped_from_the_queue);
    g_test_add_func("/report/plain/summary", test_summary);
    g_test_add_func("/report/log", test_log);
    g_test_add_func("/report/json/rows", test_json_rows);
    g_test_add_func("/report/json/objects", test_json_objects);
    g_test_add_func("/report/json/bytes", test_json_bytes);
    g_test_add_func("/report/json/rest", test_json_rest);
    g_test_add_func("/report/planned", test_planned);
    g_test_add_func("/report/destinations", test_destinations);
    g_test_add_func("/report/removed", test_removed);
    return g_test_run();
}
