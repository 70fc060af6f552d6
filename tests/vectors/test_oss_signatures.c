/* oss-signatures.json: V1 and V4 signatures of requests, URLs and POST policies. */
#include "vectors.h"

#include <string.h>

#include "core/dest/oss_sign.h"

static OssSigner signer_of(const VectorCase *vc)
{
    const char *version = vectors_str(vc->json, "version");
    g_assert_true(g_str_equal(version, "V1") || g_str_equal(version, "V4"));
    g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(vectors_str(vc->json, "date_iso"), NULL);
    g_assert_nonnull(time);
    return (OssSigner){ .version = g_str_equal(version, "V1") ? OSS_V1 : OSS_V4,
                        .access_key = vectors_str(vc->json, "access_key"),
                        .secret_key = vectors_str(vc->json, "secret_key"),
                        .token = vectors_str(vc->json, "security_token"),
                        .region = vectors_str(vc->json, "region"),
                        .bucket = vectors_str(vc->json, "bucket"),
                        .key = vectors_str(vc->json, "key"),
                        .now_s = g_date_time_to_unix(time) };
}

static const char *pair_part(JsonArray *pairs, unsigned i, unsigned part)
{
    return json_array_get_string_element(json_array_get_array_element(pairs, i), part);
}

/* The case's URL in virtual-host style, with its own query. */
static char *case_url(const VectorCase *vc, const OssSigner *s)
{
    GString *url = g_string_new(NULL);
    g_string_append_printf(url, "https://%s.oss-%s.aliyuncs.com/", s->bucket, s->region);
    uri_escape_append(url, s->key, strlen(s->key), true);
    JsonArray *pairs = vectors_array(vc->json, "query");
    for (unsigned i = 0; i < json_array_get_length(pairs); i++) {
        g_string_append_c(url, i == 0 ? '?' : '&');
        uri_escape_append(url, pair_part(pairs, i, 0), strlen(pair_part(pairs, i, 0)), false);
        g_string_append_c(url, '='); /* as hoist sends it, also without a value */
        uri_escape_append(url, pair_part(pairs, i, 1), strlen(pair_part(pairs, i, 1)), false);
    }
    return g_string_free(url, FALSE);
}

static Request *case_request(const VectorCase *vc, const OssSigner *s)
{
    Request *rq = request_new(vectors_str(vc->json, "method"));
    rq->url = case_url(vc, s);
    JsonArray *pairs = vectors_array(vc->json, "headers");
    for (unsigned i = 0; i < json_array_get_length(pairs); i++)
        request_header(rq, pair_part(pairs, i, 0), pair_part(pairs, i, 1));
    return rq;
}

static const char *header_of(const Request *rq, const char *name)
{
    for (unsigned i = 0; i < rq->headers->len; i++) {
        const char *header = rq->headers->pdata[i];
        const size_t n = strlen(name);
        if (g_ascii_strncasecmp(header, name, n) == 0 && header[n] == ':')
            return header + n + 2;
    }
    return NULL;
}

static void check_added(const VectorCase *vc, const Request *rq, JsonObject *expect)
{
    JsonArray *added = vectors_array(expect, "headers_added");
    for (unsigned i = 0; i < json_array_get_length(added); i++)
        vectors_str_equal(vc, pair_part(added, i, 0), header_of(rq, pair_part(added, i, 0)), pair_part(added, i, 1));
    JsonArray *given = vectors_array(vc->json, "headers");
    if (rq->headers->len != json_array_get_length(added) + json_array_get_length(given) + 1)
        vectors_fail(vc, "%u headers where Authorization and those of the case were to be", rq->headers->len);
}

static void check_header(const VectorCase *vc, OssSigner *s)
{
    JsonObject *expect = vectors_object(vc->json, "expect");
    JsonArray *additional = vectors_array(vc->json, "additional_headers");
    if (additional != NULL)
        s->additional = json_array_get_string_element(additional, 0);
    g_autoptr(Request) rq = case_request(vc, s);
    oss_sign(s, rq);
    check_added(vc, rq, expect);
    vectors_str_equal(vc, "authorization", header_of(rq, "authorization"), vectors_str(expect, "authorization"));

    const char *mark = strchr(rq->url, '?'), *query = mark == NULL ? NULL : mark + 1;
    g_autofree char *text = s->version == OSS_V1 ? oss_v1_text(s, rq->method, query, rq->headers, vectors_str(vc->json, "date_http"))
                                                 : oss_v4_canonical(s, rq->method, query, rq->headers);
    vectors_str_equal(vc, "text", text, vectors_str(expect, s->version == OSS_V1 ? "string_to_sign" : "canonical_request"));
}

static void check_presign(const VectorCase *vc, const OssSigner *s)
{
    JsonObject *expect = vectors_object(vc->json, "expect");
    g_autoptr(Request) rq = case_request(vc, s);
    const unsigned expires_s = (unsigned)json_object_get_int_member(vc->json, "expires_in");
    g_autofree char *url = oss_presign(s, rq->method, rq->url, rq->headers, expires_s);
    vectors_str_equal(vc, "url", url, vectors_str(expect, "url"));
}

static void check_policy(const VectorCase *vc, const OssSigner *s)
{
    JsonObject *expect = vectors_object(vc->json, "expect");
    const char *policy = vectors_str(vc->json, "policy_text");
    g_autofree char *base64 = g_base64_encode((const guchar *)policy, strlen(policy));
    g_autofree char *signature = oss_sign_policy(s, base64);
    vectors_str_equal(vc, "policy", base64, vectors_str(expect, "policy_base64"));
    vectors_str_equal(vc, "signature", signature, vectors_str(expect, "signature"));
    g_autofree char *credential = oss_credential(s, NULL);
    if (s->version == OSS_V4 && strstr(policy, credential) == NULL)
        vectors_fail(vc, "the policy does not hold the credential %s", credential);
}

static bool check(const VectorCase *vc)
{
    OssSigner s = signer_of(vc);
    if (g_str_equal(vc->kind, "header"))
        check_header(vc, &s);
    else if (g_str_equal(vc->kind, "presign"))
        check_presign(vc, &s);
    else if (g_str_equal(vc->kind, "post-policy"))
        check_policy(vc, &s);
    else
        return false;
    return true;
}

static void test_signatures(void)
{
    static const char *const formats[] = { "oss-signatures", NULL };
    vectors_each(formats, check);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vectors/oss-signatures", test_signatures);
    return g_test_run();
}
