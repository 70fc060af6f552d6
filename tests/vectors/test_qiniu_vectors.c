/* Tokens, signatures and etags of Qiniu Kodo. */
#include <string.h>

#include "core/dest/dest.h"
#include "core/dest/qiniu_sign.h"
#include "vectors.h"

#define SHA1_BYTES 20

static QiniuKeys keys_of(const VectorCase *vc)
{
    return (QiniuKeys){ vectors_str(vc->json, "access_key"), vectors_str(vc->json, "secret_key") };
}

static const char *expected(const VectorCase *vc, const char *member)
{
    return vectors_str(vectors_object(vc->json, "expect"), member);
}

static void run_upload_token(const VectorCase *vc)
{
    const QiniuKeys keys = keys_of(vc);
    const char *policy = vectors_str(vc->json, "put_policy_json");
    g_autofree char *token = qiniu_upload_token(&keys, policy);
    vectors_str_equal(vc, "token", token, expected(vc, "upload_token"));
    g_autofree char *encoded = qiniu_base64(policy, strlen(policy));
    vectors_str_equal(vc, "policy", encoded, expected(vc, "encoded_policy"));
    g_autofree char *read = qiniu_token_policy(token), *access = qiniu_token_access(token);
    vectors_str_equal(vc, "policy read from the token", read, policy);
    vectors_str_equal(vc, "access key read from the token", access, keys.access);
    g_auto(GStrv) parts = g_strsplit(token, ":", -1);
    vectors_str_equal(vc, "signature", parts[1], expected(vc, "encoded_sign"));
}

static void run_private_url(const VectorCase *vc)
{
    const QiniuKeys keys = keys_of(vc);
    const gint64 until_s = json_object_get_int_member(vc->json, "now") + json_object_get_int_member(vc->json, "expires_in");
    g_autofree char *url = qiniu_private_url(&keys, vectors_str(vc->json, "url"), until_s);
    vectors_str_equal(vc, "url", url, expected(vc, "url"));
}

static void run_qbox(const VectorCase *vc)
{
    const QiniuKeys keys = keys_of(vc);
    const bool form = g_strcmp0(vectors_str(vc->json, "content_type"), "application/x-www-form-urlencoded") == 0;
    g_autofree char *value = qiniu_sign_qbox(&keys, vectors_str(vc->json, "url"), form ? vectors_str(vc->json, "body") : NULL);
    vectors_str_equal(vc, "Authorization", value, expected(vc, "authorization"));
}

static void run_qiniu(const VectorCase *vc)
{
    const QiniuKeys keys = keys_of(vc);
    g_autofree char *value =
        qiniu_sign_request(&keys, vectors_str(vc->json, "method"), vectors_str(vc->json, "url"), vectors_str(vc->json, "content_type"),
                           vectors_str(vc->json, "x_qiniu_headers"), vectors_str(vc->json, "body"));
    vectors_str_equal(vc, "Authorization", value, expected(vc, "authorization"));
}

static void run_base64(const VectorCase *vc)
{
    const char *text = vectors_str(vc->json, "text");
    g_autofree char *encoded = qiniu_base64(text, strlen(text));
    vectors_str_equal(vc, "encoded", encoded, expected(vc, "encoded"));
}

static bool run_token_case(const VectorCase *vc)
{
    static const struct {
        const char *kind;
        void (*run)(const VectorCase *vc);
    } kinds[] = { { "upload-token", run_upload_token },
                  { "private-download-url", run_private_url },
                  { "management-token-qbox", run_qbox },
                  { "management-token-qiniu", run_qiniu },
                  { "urlsafe-base64", run_base64 } };
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (g_str_equal(kinds[i].kind, vc->kind)) {
            kinds[i].run(vc);
            return true;
        }
    return false;
}

static void test_tokens(void)
{
    vectors_each((const char *const[]){ "qiniu-tokens", NULL }, run_token_case);
}

static void test_no_tokens(void)
{
    static const char *const texts[] = { "", "a", "a:b", "a:b:", "a::YQ==", ":b:YQ==", "a:b:YQ==:d", "a:b:AAAA" };
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++)
        g_assert_null(qiniu_token_policy(texts[i]));
    g_assert_null(qiniu_token_access(""));
    g_assert_null(qiniu_token_access(":b:YQ=="));
}

/* ---- etags */

/* SHA-1 of each 4 MiB block of a range, one behind the other. */
static GByteArray *block_sums(const uint8_t *data, size_t bytes)
{
    GByteArray *sums = g_byte_array_new();
    for (size_t at = 0; at == 0 || at < bytes; at += QINIU_BLOCK_BYTES) {
        DigestSet set;
        digest_of(DIGEST_BIT(DIGEST_SHA1), data + at, MIN(bytes - at, QINIU_BLOCK_BYTES), &set);
        g_byte_array_append(sums, set.value[DIGEST_SHA1], SHA1_BYTES);
    }
    return sums;
}

static bool run_etag(const VectorCase *vc)
{
    g_autoptr(GBytes) bytes = vectors_input(vectors_object(vc->json, "input"));
    gsize n;
    const uint8_t *data = g_bytes_get_data(bytes, &n);
    g_autoptr(GByteArray) sums = block_sums(data == NULL ? (const uint8_t *)"" : data, n);
    g_autofree char *etag = qiniu_etag(sums->data, sums->len / SHA1_BYTES, true);
    vectors_str_equal(vc, "etag", etag, expected(vc, "qetag"));
    g_assert_true(qiniu_is_etag(etag));
    g_assert_cmpint(json_object_get_int_member(vc->json, "blocks"), ==, sums->len / SHA1_BYTES);
    const gint64 crc = json_object_get_int_member(vectors_object(vc->json, "expect"), "crc32_decimal");
    g_assert_cmpuint(crc_update(DIGEST_CRC32, 0, data, n), ==, (uint64_t)crc);
    return true;
}

/* The sum that stands for a part: its SHA-1, or that of its blocks' when it has several. */
static void add_part_sum(GByteArray *sums, const uint8_t *data, size_t bytes)
{
    g_autoptr(GByteArray) blocks = block_sums(data, bytes);
    DigestSet set;
    digest_of(DIGEST_BIT(DIGEST_SHA1), blocks->data, blocks->len, &set);
    g_byte_array_append(sums, blocks->len == SHA1_BYTES ? blocks->data : set.value[DIGEST_SHA1], SHA1_BYTES);
}

static bool run_etag_of_parts(const VectorCase *vc)
{
    g_autoptr(GBytes) bytes = vectors_input(vectors_object(vc->json, "input"));
    g_autoptr(GByteArray) sums = g_byte_array_new();
    JsonArray *sizes = vectors_array(vc->json, "part_sizes");
    const uint8_t *data = g_bytes_get_data(bytes, NULL);
    const unsigned n = json_array_get_length(sizes);
    bool even = true;
    size_t at = 0;
    for (unsigned i = 0; i < n; i++) {
        const size_t part = (size_t)json_array_get_int_element(sizes, i);
        add_part_sum(sums, data == NULL ? (const uint8_t *)"" : data + at, part);
        even = even && (i + 1 == n || part == QINIU_BLOCK_BYTES);
        at += part;
    }
    g_assert_cmpuint(at, ==, g_bytes_get_size(bytes));
    g_autofree char *etag = qiniu_etag(sums->data, n, even);
    vectors_str_equal(vc, "etag", etag, expected(vc, "etag"));
    g_assert_true(qiniu_is_etag(etag));
    return true;
}

static void test_etags(void)
{
    vectors_each((const char *const[]){ "qetag", NULL }, run_etag);
}

static void test_etags_of_parts(void)
{
    vectors_each((const char *const[]){ "qetag-parts", NULL }, run_etag_of_parts);
}

static void test_no_etags(void)
{
    static const char *const texts[] = { "",
                                         "d41d8cd98f00b204e9800998ecf8427e",
                                         "Fto5o-5ea0sNMlW_75VgGJCv2Ac",
                                         "Ato5o-5ea0sNMlW_75VgGJCv2AcJ",
                                         "Fto5o+5ea0sNMlW_75VgGJCv2AcJ",
                                         "Fto5o-5ea0sNMlW_75VgGJCv2Ac=" };
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++)
        g_assert_false(qiniu_is_etag(texts[i]));
    g_assert_false(qiniu_is_etag(NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    g_test_add_func("/vectors/qiniu/tokens", test_tokens);
    g_test_add_func("/vectors/qiniu/no-tokens", test_no_tokens);
    g_test_add_func("/vectors/qiniu/etags", test_etags);
    g_test_add_func("/vectors/qiniu/etags-of-parts", test_etags_of_parts);
    g_test_add_func("/vectors/qiniu/no-etags", test_no_etags);
    return g_test_run();
}
