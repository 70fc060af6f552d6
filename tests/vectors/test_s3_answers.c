/* s3-answers.json: what is read out of answers of S3-like stores, and what follows from it. */
#include "vectors.h"

#include <string.h>

#include "core/dest/s3_answers.h"
#include "core/dest/s3_url.h"

static const int64_t NOW_S = 1768469400; /* 2026-01-15T09:30:00Z */

static Response *response_of(JsonObject *json)
{
    Response *rs = response_new();
    rs->status = (int)json_object_get_int_member(json, "status");
    JsonObject *headers = vectors_object(json, "headers");
    g_autoptr(GList) names = headers == NULL ? NULL : json_object_get_members(headers);
    for (GList *l = names; l != NULL; l = l->next) {
        const char *value = vectors_str(headers, l->data);
        response_add_header(rs, l->data, strlen(l->data), value, strlen(value));
    }
    const char *base64 = vectors_str(json, "body_base64");
    if (base64 != NULL) {
        gsize bytes = 0;
        g_autofree guchar *body = g_base64_decode(base64, &bytes);
        g_byte_array_append(rs->body, body, (guint)bytes);
    } else {
        const char *body = vectors_str(json, "body");
        g_byte_array_append(rs->body, (const guint8 *)body, (guint)strlen(body));
    }
    return rs;
}

static const char *root_of(const VectorCase *vc)
{
    static const struct {
        const char *kind, *root;
    } roots[] = {
        { "initiate", "InitiateMultipartUploadResult" },
        { "complete", "CompleteMultipartUploadResult" },
        { "list-parts", "ListPartsResult" },
        { "list-uploads", "ListMultipartUploadsResult" },
        { "post-object", "PostResponse" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(roots); i++)
        if (g_str_equal(vc->kind, roots[i].kind))
            return roots[i].root;
    return g_strcmp0(vectors_str(vc->json, "operation"), "CompleteMultipartUpload") == 0 ? roots[1].root : NULL;
}

static void check_fields(const VectorCase *vc, JsonObject *expect, const S3Answer *a)
{
    JsonObject *fields = vectors_object(expect, "fields");
    g_autoptr(GList) names = fields == NULL ? NULL : json_object_get_members(fields);
    for (GList *l = names; l != NULL; l = l->next)
        vectors_str_equal(vc, l->data, s3_answer_field(a, l->data), vectors_str(fields, l->data));
}

static void check_cause(const VectorCase *vc, JsonObject *expect, const S3Answer *a)
{
    g_autofree char *cause = s3_answer_cause(a, NULL);
    JsonArray *secret = vectors_array(expect, "must_not_log");
    for (guint i = 0; secret != NULL && i < json_array_get_length(secret); i++) {
        const char *value = s3_answer_field(a, json_array_get_string_element(secret, i));
        if (value == NULL || strstr(cause, value) != NULL)
            vectors_fail(vc, "the cause tells %s", json_array_get_string_element(secret, i));
    }
    for (const char *p = cause; *p != '\0'; p++)
        if (g_ascii_iscntrl(*p))
            vectors_fail(vc, "control character in the cause");
}

static void check_error(const VectorCase *vc, JsonObject *expect, const S3Answer *a, const Response *rs)
{
    if (!json_object_has_member(expect, "code_may_be_found"))
        vectors_str_equal(vc, "code", a->code, vectors_str(expect, "code"));
    vectors_str_equal(vc, "class", s3_answer_class(a), vectors_str(expect, "class"));
    if (vectors_str(expect, "message") != NULL)
        vectors_str_equal(vc, "message", a->message, vectors_str(expect, "message"));
    if (vectors_str(expect, "request_id") != NULL)
        vectors_str_equal(vc, "request id", a->request_id, vectors_str(expect, "request_id"));
    if (vectors_str(expect, "region") != NULL) {
        g_autofree char *region = s3_answer_region(a, rs);
        vectors_str_equal(vc, "region", region, vectors_str(expect, "region"));
    }
    if (json_object_has_member(expect, "retry_after") &&
        response_retry_after_ms(rs, NOW_S) != json_object_get_int_member(expect, "retry_after") * 1000)
        vectors_fail(vc, "retry-after is read as %" G_GINT64_FORMAT " ms", response_retry_after_ms(rs, NOW_S));
    if (json_object_has_member(expect, "skew_seconds_if_request_time_was_20260115T093000Z")) {
        int64_t server_s = 0;
        if (!s3_answer_time(a, rs, &server_s) ||
            server_s - NOW_S != json_object_get_int_member(expect, "skew_seconds_if_request_time_was_20260115T093000Z"))
            vectors_fail(vc, "the server's clock is read as %" G_GINT64_FORMAT, server_s);
    }
    check_fields(vc, expect, a);
    check_cause(vc, expect, a);
}

static void check_parts(const VectorCase *vc, JsonObject *expect, const S3Answer *a)
{
    JsonArray *parts = vectors_array(expect, "parts");
    if (parts == NULL || a->body->rows->len != json_array_get_length(parts)) {
        vectors_fail(vc, "%u parts", a->body->rows->len);
        return;
    }
    for (guint i = 0; i < a->body->rows->len; i++) {
        JsonObject *part = json_array_get_object_element(parts, i);
        g_autofree char *number = g_strdup_printf("%" G_GINT64_FORMAT, json_object_get_int_member(part, "number"));
        g_autofree char *size = g_strdup_printf("%" G_GINT64_FORMAT, json_object_get_int_member(part, "size"));
        vectors_str_equal(vc, "number", body_row_field(a->body, i, "PartNumber"), number);
        vectors_str_equal(vc, "size", body_row_field(a->body, i, "Size"), size);
        vectors_str_equal(vc, "etag", body_row_field(a->body, i, "ETag"), vectors_str(part, "etag"));
        vectors_str_equal(vc, "crc32c", body_row_field(a->body, i, "ChecksumCRC32C"), vectors_str(part, "crc32c"));
    }
    if (json_object_has_member(expect, "next_marker")) {
        g_autofree char *next = g_strdup_printf("%" G_GINT64_FORMAT, json_object_get_int_member(expect, "next_marker"));
        vectors_str_equal(vc, "next marker", s3_answer_field(a, "NextPartNumberMarker"), next);
    }
}

static void check_uploads(const VectorCase *vc, JsonObject *expect, const S3Answer *a)
{
    JsonArray *uploads = vectors_array(expect, "uploads");
    g_autofree char *next = s3_url_decode(s3_answer_field(a, "NextKeyMarker"));
    vectors_str_equal(vc, "encoding", s3_answer_field(a, "EncodingType"), "url");
    vectors_str_equal(vc, "next key", next, vectors_str(expect, "next_key_marker"));
    vectors_str_equal(vc, "next id", s3_answer_field(a, "NextUploadIdMarker"), vectors_str(expect, "next_upload_id_marker"));
    for (guint i = 0; i < json_array_get_length(uploads); i++) {
        JsonObject *upload = json_array_get_object_element(uploads, i);
        g_autofree char *key = s3_url_decode(body_row_field(a->body, i, "Key"));
        vectors_str_equal(vc, "key", key, vectors_str(upload, "key"));
        vectors_str_equal(vc, "id", body_row_field(a->body, i, "UploadId"), vectors_str(upload, "upload_id"));
    }
}

/* Members of expect and the elements they come from. */
static void check_document(const VectorCase *vc, JsonObject *expect, const S3Answer *a)
{
    static const struct {
        const char *member, *element;
    } rows[] = {
        { "upload_id", "UploadId" },
        { "key", "Key" },
        { "etag", "ETag" },
        { "location", "Location" },
        { "checksum_crc64nvme", "ChecksumCRC64NVME" },
        { "checksum_type", "ChecksumType" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        if (vectors_str(expect, rows[i].member) != NULL)
            vectors_str_equal(vc, rows[i].member, s3_answer_field(a, rows[i].element), vectors_str(expect, rows[i].member));
    if (json_object_has_member(expect, "truncated"))
        vectors_str_equal(vc, "truncated", s3_answer_field(a, "IsTruncated"),
                          json_object_get_boolean_member(expect, "truncated") ? "true" : "false");
}

static void check_put(const VectorCase *vc, JsonObject *expect, const Response *rs)
{
    const char *etag = response_header(rs, "etag");
    g_autofree char *md5 = s3_etag_md5(etag, rs);
    vectors_str_equal(vc, "etag", etag, vectors_str(expect, "etag"));
    if ((md5 != NULL) != json_object_get_boolean_member(expect, "md5_comparable"))
        vectors_fail(vc, "comparable as MD5: %s", md5 == NULL ? "no" : md5);
}

static bool check(const VectorCase *vc)
{
    JsonObject *expect = vectors_object(vc->json, "expect");
    g_autoptr(Response) rs = response_of(vc->json);
    g_autoptr(S3Answer) a = s3_answer_new(rs, root_of(vc));
    if (a->is_error != json_object_get_boolean_member(expect, "is_error"))
        vectors_fail(vc, "read as %s", a->is_error ? "an error" : "no error");

    if (g_str_equal(vc->kind, "error"))
        check_error(vc, expect, a, rs);
    else if (g_str_equal(vc->kind, "put-object"))
        check_put(vc, expect, rs);
    else
        check_document(vc, expect, a);
    if (g_str_equal(vc->kind, "list-parts"))
        check_parts(vc, expect, a);
    if (g_str_equal(vc->kind, "list-uploads"))
        check_uploads(vc, expect, a);
    return g_str_equal(vc->kind, "error") || g_str_equal(vc->kind, "put-object") || g_str_equal(vc->kind, "post-object") ||
           root_of(vc) != NULL;
}

static void test_answers(void)
{
    static const char *const formats[] = { "s3-answers", NULL };
    vectors_each(formats, check);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vectors/s3-answers", test_answers);
    return g_test_run();
}
