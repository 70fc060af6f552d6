#include "core/digest.h"

#include <stdio.h>

#include "vectors.h"

#define ALL_KINDS (DIGEST_BIT(N_DIGESTS) - 1)

static GBytes *case_bytes(const VectorCase *vc, JsonObject *input)
{
    GBytes *bytes = input != NULL ? vectors_input(input) : NULL;
    if (bytes == NULL)
        vectors_fail(vc, "input of an unknown form");
    return bytes;
}

static void set_of(GBytes *bytes, size_t offset, size_t n, DigestSet *set_out)
{
    const uint8_t *data = g_bytes_get_data(bytes, NULL);
    g_assert_cmpuint(n, <=, g_bytes_get_size(bytes) - offset);
    digest_of(ALL_KINDS, n > 0 ? data + offset : NULL, n, set_out);
}

/* The same bytes in pieces of uneven length. */
static void set_of_pieces(GBytes *bytes, DigestSet *set_out)
{
    const uint8_t *data = g_bytes_get_data(bytes, NULL);
    const size_t total = g_bytes_get_size(bytes);
    g_autoptr(Digest) d = digest_new(ALL_KINDS);
    for (size_t at = 0, n = 1; at < total; at += n, n = MIN(n * 3 + 1, total - at))
        digest_update(d, data + at, MIN(n, total - at));
    digest_finish(d, set_out);
}

static void check_hex(const VectorCase *vc, DigestKind kind, const DigestSet *set, const char *expected)
{
    g_autofree char *hex = digest_hex(set->value[kind], digest_bytes(kind));
    vectors_str_equal(vc, digest_name(kind), hex, expected);
}

static void check_base64(const VectorCase *vc, DigestKind kind, const DigestSet *set, const char *expected)
{
    g_autofree char *base64 = digest_base64(set, kind);
    vectors_str_equal(vc, digest_name(kind), base64, expected);
}

static void check_decimal(const VectorCase *vc, DigestKind kind, const DigestSet *set, const char *expected)
{
    uint64_t number = 0;
    for (size_t i = 0; i < digest_bytes(kind); i++)
        number = number << 8 | set->value[kind][i];
    g_autofree char *decimal = g_strdup_printf("%" G_GUINT64_FORMAT, number);
    vectors_str_equal(vc, digest_name(kind), decimal, expected);
}

/* Kind of a member of "expect"; a name nobody knows is a failure. */
static bool expected_kind(const VectorCase *vc, const char *name, DigestKind *kind_out)
{
    if (digest_by_name(name, kind_out))
        return true;
    vectors_fail(vc, "unknown checksum %s", name);
    return false;
}

static void run_plain(const VectorCase *vc)
{
    g_autoptr(GBytes) bytes = case_bytes(vc, vectors_object(vc->json, "input"));
    if (bytes == NULL)
        return;
    DigestSet whole, pieces;
    set_of(bytes, 0, g_bytes_get_size(bytes), &whole);
    set_of_pieces(bytes, &pieces);
    JsonObject *expect = vectors_object(vc->json, "expect");
    JsonObjectIter iter;
    const char *name;
    JsonNode *node;
    json_object_iter_init(&iter, expect);
    while (json_object_iter_next(&iter, &name, &node)) {
        DigestKind kind;
        if (!expected_kind(vc, name, &kind))
            continue;
        JsonObject *values = json_node_get_object(node);
        check_hex(vc, kind, &whole, vectors_str(values, "hex"));
        check_hex(vc, kind, &pieces, vectors_str(values, "hex"));
        if (json_object_has_member(values, "b64"))
            check_base64(vc, kind, &whole, vectors_str(values, "b64"));
        if (json_object_has_member(values, "decimal"))
            check_decimal(vc, kind, &whole, vectors_str(values, "decimal"));
    }
}

static void run_combine(const VectorCase *vc)
{
    JsonObject *input = vectors_object(vc->json, "input");
    g_autoptr(GBytes) a = case_bytes(vc, vectors_object(input, "a"));
    g_autoptr(GBytes) b = case_bytes(vc, vectors_object(input, "b"));
    if (a == NULL || b == NULL)
        return;
    DigestSet set_a, set_b;
    set_of(a, 0, g_bytes_get_size(a), &set_a);
    set_of(b, 0, g_bytes_get_size(b), &set_b);
    JsonObjectIter iter;
    const char *name;
    JsonNode *node;
    json_object_iter_init(&iter, vectors_object(vc->json, "expect"));
    while (json_object_iter_next(&iter, &name, &node)) {
        DigestKind kind;
        if (!expected_kind(vc, name, &kind))
            continue;
        JsonObject *values = json_node_get_object(node);
        check_hex(vc, kind, &set_a, vectors_str(values, "a"));
        check_hex(vc, kind, &set_b, vectors_str(values, "b"));
        DigestSet both = set_a;
        digest_crc_combine(kind, both.value[kind], set_b.value[kind], g_bytes_get_size(b));
        check_hex(vc, kind, &both, vectors_str(values, "combined"));
        if (json_object_has_member(values, "combined_b64"))
            check_base64(vc, kind, &both, vectors_str(values, "combined_b64"));
    }
}

static bool run_checksum(const VectorCase *vc)
{
    if (g_str_equal(vc->kind, "combine"))
        run_combine(vc);
    else if (*vc->kind == '\0')
        run_plain(vc);
    else
        return false;
    return true;
}

/* ---- objects made of parts ---- */

/* Part sizes as numbers in a list, or as {"count", "each", "last"}. */
static GArray *part_sizes(const VectorCase *vc)
{
    GArray *sizes = g_array_new(FALSE, FALSE, sizeof(gint64));
    JsonArray *list = vectors_array(vc->json, "part_sizes");
    for (unsigned i = 0; list != NULL && i < json_array_get_length(list); i++) {
        const gint64 size = json_array_get_int_element(list, i);
        g_array_append_val(sizes, size);
    }
    JsonObject *rule = vectors_object(vc->json, "part_sizes");
    const gint64 count = rule != NULL ? json_object_get_int_member(rule, "count") : 0;
    for (gint64 i = 0; i < count; i++) {
        const gint64 size = json_object_get_int_member(rule, i + 1 < count ? "each" : "last");
        g_array_append_val(sizes, size);
    }
    return sizes;
}

/* Hash over the values of all parts, as hex or base64, and "-n". Caller frees. */
static char *composite(const GArray *sets, DigestKind kind, bool as_hex)
{
    g_autoptr(Digest) d = digest_new(DIGEST_BIT(kind));
    for (unsigned i = 0; i < sets->len; i++)
        digest_update(d, g_array_index(sets, DigestSet, i).value[kind], digest_bytes(kind));
    DigestSet set;
    digest_finish(d, &set);
    g_autofree char *text = as_hex ? digest_hex(set.value[kind], digest_bytes(kind)) : digest_base64(&set, kind);
    return g_strdup_printf("%s-%u", text, sets->len);
}

static void check_part(const VectorCase *vc, JsonObject *part, const DigestSet *set)
{
    g_autofree char *md5 = digest_hex(set->value[DIGEST_MD5], digest_bytes(DIGEST_MD5));
    g_autofree char *etag = g_strdup_printf("\"%s\"", md5);
    vectors_str_equal(vc, "ETag of a part", etag, vectors_str(part, "etag"));
    for (unsigned k = 0; k < N_DIGESTS; k++)
        if (json_object_has_member(part, digest_name((DigestKind)k)))
            check_base64(vc, (DigestKind)k, set, vectors_str(part, digest_name((DigestKind)k)));
}

static void check_composites(const VectorCase *vc, JsonObject *expect, const GArray *sets)
{
    g_autofree char *md5s = composite(sets, DIGEST_MD5, true);
    g_autofree char *etag = g_strdup_printf("\"%s\"", md5s);
    vectors_str_equal(vc, "ETag", etag, vectors_str(expect, "etag"));
    JsonObjectIter iter;
    const char *name;
    json_object_iter_init(&iter, vectors_object(expect, "composite"));
    while (json_object_iter_next(&iter, &name, NULL)) {
        DigestKind kind;
        if (!expected_kind(vc, name, &kind))
            continue;
        g_autofree char *value = composite(sets, kind, false);
        vectors_str_equal(vc, name, value, vectors_str(vectors_object(expect, "composite"), name));
    }
}

/* The whole object's CRCs, from its bytes and put together from its parts. */
static void check_full_object(const VectorCase *vc, JsonObject *expect, const DigestSet *whole, const GArray *sets, const GArray *sizes)
{
    JsonObject *full = vectors_object(expect, "full_object");
    for (unsigned k = 0; k < N_DIGESTS; k++) {
        const DigestKind kind = (DigestKind)k;
        if (!digest_is_crc(kind) || !json_object_has_member(full, digest_name(kind)))
            continue;
        DigestSet joined = g_array_index(sets, DigestSet, 0);
        for (unsigned i = 1; i < sets->len; i++)
            digest_crc_combine(kind, joined.value[kind], g_array_index(sets, DigestSet, i).value[kind],
                               (uint64_t)g_array_index(sizes, gint64, i));
        check_base64(vc, kind, &joined, vectors_str(full, digest_name(kind)));
        check_base64(vc, kind, whole, vectors_str(full, digest_name(kind)));
    }
    check_hex(vc, DIGEST_MD5, whole, vectors_str(expect, "whole_md5_hex"));
}

static bool run_multipart(const VectorCase *vc)
{
    g_autoptr(GBytes) bytes = case_bytes(vc, vectors_object(vc->json, "input"));
    if (bytes == NULL || *vc->kind != '\0')
        return false;
    JsonObject *expect = vectors_object(vc->json, "expect");
    JsonArray *parts = vectors_array(expect, "parts");
    g_autoptr(GArray) sizes = part_sizes(vc);
    g_autoptr(GArray) sets = g_array_new(FALSE, FALSE, sizeof(DigestSet));
    size_t offset = 0;
    for (unsigned i = 0; i < sizes->len; i++) {
        DigestSet set;
        set_of(bytes, offset, (size_t)g_array_index(sizes, gint64, i), &set);
        g_array_append_val(sets, set);
        offset += (size_t)g_array_index(sizes, gint64, i);
        if (parts != NULL)
            check_part(vc, json_array_get_object_element(parts, i), &set);
    }
    if (sets->len == 0 || offset != g_bytes_get_size(bytes)) {
        vectors_fail(vc, "the parts do not add up to the input");
        return true;
    }
    DigestSet whole;
    set_of(bytes, 0, offset, &whole);
    check_composites(vc, expect, sets);
    check_full_object(vc, expect, &whole, sets, sizes);
    return true;
}

static void test_checksums(gconstpointer portable)
{
    crc_force_portable(GPOINTER_TO_INT(portable));
    vectors_each((const char *const[]){ "checksums", NULL }, run_checksum);
    crc_force_portable(false);
}

static void test_multipart(gconstpointer portable)
{
    crc_force_portable(GPOINTER_TO_INT(portable));
    vectors_each((const char *const[]){ "multipart-checksums", NULL }, run_multipart);
    crc_force_portable(false);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/checksums/accelerated", GINT_TO_POINTER(false), test_checksums);
    g_test_add_data_func("/checksums/portable", GINT_TO_POINTER(true), test_checksums);
    g_test_add_data_func("/multipart-checksums/accelerated", GINT_TO_POINTER(false), test_multipart);
    g_test_add_data_func("/multipart-checksums/portable", GINT_TO_POINTER(true), test_multipart);
    return g_test_run();
}
