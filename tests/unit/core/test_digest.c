#include "core/digest.h"

#include <pthread.h>
#include <string.h>

#define ALL_KINDS (DIGEST_BIT(N_DIGESTS) - 1)

static const DigestKind crc_kinds[] = { DIGEST_CRC64NVME, DIGEST_CRC32C, DIGEST_CRC32 };

static void assert_hex(const uint8_t *bytes, size_t n, const char *expected)
{
    g_autofree char *hex = digest_hex(bytes, n);
    g_assert_cmpstr(hex, ==, expected);
}

static void assert_kind(const DigestSet *set, DigestKind kind, const char *expected)
{
    g_assert_true(set->have & DIGEST_BIT(kind));
    assert_hex(set->value[kind], digest_bytes(kind), expected);
}

/* The check values of the RevEng catalogue of CRCs, and of RFC 1321 and FIPS 180. */
static void test_check_values(void)
{
    DigestSet set;
    digest_of(ALL_KINDS, "123456789", 9, &set);
    assert_kind(&set, DIGEST_CRC64NVME, "ae8b14860a799888");
    assert_kind(&set, DIGEST_CRC32C, "e3069283");
    assert_kind(&set, DIGEST_CRC32, "cbf43926");
    assert_kind(&set, DIGEST_MD5, "25f9e794323b453885f5181f1b624d0b");
    assert_kind(&set, DIGEST_SHA1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
    assert_kind(&set, DIGEST_SHA256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225");
}

static void test_nothing(void)
{
    DigestSet set;
    digest_of(ALL_KINDS, NULL, 0, &set);
    assert_kind(&set, DIGEST_CRC64NVME, "0000000000000000");
    assert_kind(&set, DIGEST_CRC32C, "00000000");
    assert_kind(&set, DIGEST_MD5, "d41d8cd98f00b204e9800998ecf8427e");
    digest_of(0, "abc", 3, &set);
    g_assert_cmpuint(set.have, ==, 0);
}

static void test_names(void)
{
    for (unsigned k = 0; k < N_DIGESTS; k++) {
        DigestKind kind = N_DIGESTS;
        g_assert_true(digest_by_name(digest_name((DigestKind)k), &kind));
        g_assert_cmpuint(kind, ==, k);
        g_assert_cmpuint(digest_bytes(kind), <=, DIGEST_MAX_BYTES);
    }
    DigestKind kind = DIGEST_MD5;
    g_assert_false(digest_by_name("sha512", &kind));
    g_assert_false(digest_by_name("SHA256", &kind));
    g_assert_false(digest_by_name("", &kind));
    g_assert_false(digest_by_name(NULL, &kind));
    g_assert_cmpuint(kind, ==, DIGEST_MD5);
}

static void test_used_again(void)
{
    g_autoptr(Digest) d = digest_new(ALL_KINDS);
    DigestSet first, second, third;
    digest_update(d, "12345", 5);
    digest_update(d, NULL, 0);
    digest_update(d, "6789", 4);
    digest_finish(d, &first);
    digest_update(d, "123456789", 9);
    digest_finish(d, &second);
    g_assert_cmpmem(&first, sizeof first, &second, sizeof second);
    assert_kind(&first, DIGEST_CRC64NVME, "ae8b14860a799888");
    digest_finish(d, &third);
    assert_kind(&third, DIGEST_SHA1, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
}

static void test_only_what_was_asked(void)
{
    DigestSet set;
    digest_of(DIGEST_BIT(DIGEST_CRC32) | DIGEST_BIT(DIGEST_SHA1), "123456789", 9, &set);
    g_assert_cmpuint(set.have, ==, DIGEST_BIT(DIGEST_CRC32) | DIGEST_BIT(DIGEST_SHA1));
    assert_kind(&set, DIGEST_CRC32, "cbf43926");
    assert_hex(set.value[DIGEST_MD5], 16, "00000000000000000000000000000000");
    g_assert_null(digest_base64(&set, DIGEST_MD5));
    g_autofree char *base64 = digest_base64(&set, DIGEST_CRC32);
    g_assert_cmpstr(base64, ==, "y/Q5Jg==");
    digest_free(NULL);
}

/* Bit by bit, as the definition says: the judge over tables and folding. */
static uint64_t crc_by_bits(uint64_t poly, unsigned bits, const uint8_t *data, size_t n)
{
    const uint64_t ones = bits == 64 ? UINT64_MAX : UINT32_MAX;
    uint64_t state = ones;
    for (size_t i = 0; i < n; i++) {
        state ^= data[i];
        for (unsigned b = 0; b < 8; b++)
            state = state & 1 ? state >> 1 ^ poly : state >> 1;
    }
    return state ^ ones;
}

static uint64_t judge(DigestKind kind, const uint8_t *data, size_t n)
{
    if (kind == DIGEST_CRC64NVME)
        return crc_by_bits(0x9A6C9329AC4BC9B5, 64, data, n);
    return crc_by_bits(kind == DIGEST_CRC32C ? 0x82F63B78 : 0xEDB88320, 32, data, n);
}

/* Every length around the thresholds and every alignment, whole and in two pieces. */
static void test_crc_lengths(gconstpointer portable)
{
    crc_force_portable(GPOINTER_TO_INT(portable));
    g_autofree uint8_t *data = g_malloc(2048);
    digest_random(data, 2048);
    for (unsigned k = 0; k < G_N_ELEMENTS(crc_kinds); k++)
        for (size_t n = 0; n < 700; n++) {
            const uint8_t *at = data + n % 17;
            const uint64_t expected = judge(crc_kinds[k], at, n);
            g_assert_cmphex(crc_update(crc_kinds[k], 0, at, n), ==, expected);
            const size_t first = n / 3;
            const uint64_t half_way = crc_update(crc_kinds[k], 0, at, first);
            g_assert_cmphex(crc_update(crc_kinds[k], half_way, at + first, n - first), ==, expected);
        }
    crc_force_portable(false);
}

static void test_crc_agree(void)
{
    const size_t n = 1024 * 1024 + 13;
    g_autofree uint8_t *data = g_malloc(n);
    digest_random(data, n);
    for (unsigned k = 0; k < G_N_ELEMENTS(crc_kinds); k++) {
        const uint64_t fast = crc_update(crc_kinds[k], 0x12345678, data, n);
        crc_force_portable(true);
        const uint64_t plain = crc_update(crc_kinds[k], 0x12345678, data, n);
        crc_force_portable(false);
        g_assert_cmphex(fast, ==, plain);
    }
}

static void test_combine(void)
{
    uint8_t data[5000];
    digest_random(data, sizeof data);
    for (size_t split = 0; split <= sizeof data; split += split < 300 ? 1 : 977) {
        DigestSet a, b, whole;
        digest_of(ALL_KINDS, data, split, &a);
        digest_of(ALL_KINDS, data + split, sizeof data - split, &b);
        digest_of(ALL_KINDS, data, sizeof data, &whole);
        for (unsigned k = 0; k < G_N_ELEMENTS(crc_kinds); k++) {
            const DigestKind kind = crc_kinds[k];
            digest_crc_combine(kind, a.value[kind], b.value[kind], sizeof data - split);
            g_assert_cmpmem(a.value[kind], digest_bytes(kind), whole.value[kind], digest_bytes(kind));
        }
    }
}

/* Lengths beyond what can be hashed in a test: (A+B)+C and A+(B+C) must agree. */
static void test_combine_huge(void)
{
    const uint64_t b_bytes = UINT64_C(5) << 40 | 12345, c_bytes = UINT64_C(3) << 59 | 7;
    for (unsigned k = 0; k < G_N_ELEMENTS(crc_kinds); k++) {
        const DigestKind kind = crc_kinds[k];
        const uint64_t a = 0x11223344, b = 0x55667788, c = 0x99aabbcc;
        const uint64_t left = crc_combine(kind, crc_combine(kind, a, b, b_bytes), c, c_bytes);
        const uint64_t right = crc_combine(kind, a, crc_combine(kind, b, c, c_bytes), b_bytes + c_bytes);
        g_assert_cmphex(left, ==, right);
        g_assert_cmphex(crc_combine(kind, a, b, 0), ==, a ^ b);
    }
}

static void *digest_in_thread(void *set_out)
{
    digest_of(ALL_KINDS, "123456789", 9, set_out);
    return NULL;
}

static void test_threads(void)
{
    pthread_t threads[4];
    DigestSet sets[G_N_ELEMENTS(threads)];
    for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
        g_assert_cmpint(pthread_create(&threads[i], NULL, digest_in_thread, &sets[i]), ==, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
        g_assert_cmpint(pthread_join(threads[i], NULL), ==, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++) {
        assert_kind(&sets[i], DIGEST_CRC64NVME, "ae8b14860a799888");
        assert_kind(&sets[i], DIGEST_MD5, "25f9e794323b453885f5181f1b624d0b");
    }
}

/* RFC 2202 and RFC 4231: cases 1, 2, and the one whose key is longer than a block. */
static void test_hmac(void)
{
    uint8_t mac[DIGEST_MAX_BYTES], key[131];
    static const char long_text[] = "Test Using Larger Than Block-Size Key - Hash Key First";
    memset(key, 0x0b, sizeof key);
    digest_hmac_sha256(key, 20, "Hi There", 8, mac);
    assert_hex(mac, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    digest_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, mac);
    assert_hex(mac, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    digest_hmac(DIGEST_MD5, "Jefe", 4, "what do ya want for nothing?", 28, mac);
    assert_hex(mac, 16, "750c783e6ab0b503eaa86e310a5db738");
    digest_hmac(DIGEST_SHA1, "Jefe", 4, "what do ya want for nothing?", 28, mac);
    assert_hex(mac, 20, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    memset(key, 0xaa, sizeof key);
    digest_hmac_sha256(key, 131, long_text, strlen(long_text), mac);
    assert_hex(mac, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    digest_hmac(DIGEST_MD5, key, 80, long_text, strlen(long_text), mac);
    assert_hex(mac, 16, "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd");
}

static void test_hmac_edges(void)
{
    uint8_t mac[32], key[64];
    digest_hmac_sha256(NULL, 0, NULL, 0, mac);
    assert_hex(mac, 32, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
    memset(key, 'k', sizeof key);
    digest_hmac_sha256(key, 64, "x", 1, mac); /* a key of one block is not hashed */
    g_autofree char *reference = g_compute_hmac_for_data(G_CHECKSUM_SHA256, key, 64, (const guchar *)"x", 1);
    assert_hex(mac, 32, reference);

    /* The derivation of signing keys writes the result over its key. */
    uint8_t copy[32];
    memcpy(copy, mac, sizeof copy);
    digest_hmac_sha256(mac, 32, "region", 6, mac);
    g_autofree char *chained = g_compute_hmac_for_data(G_CHECKSUM_SHA256, copy, 32, (const guchar *)"region", 6);
    assert_hex(mac, 32, chained);
}

static void test_random_and_wipe(void)
{
    uint8_t a[1000] = { 0 }, b[1000] = { 0 };
    digest_random(a, sizeof a);
    digest_random(b, sizeof b);
    g_assert_cmpint(memcmp(a, b, sizeof a), !=, 0);
    static const uint8_t zeros[16];
    g_assert_cmpint(memcmp(a + sizeof a - 16, zeros, 16), !=, 0);
    digest_wipe(a, sizeof a);
    for (unsigned i = 0; i < sizeof a; i++)
        g_assert_cmpuint(a[i], ==, 0);
    digest_wipe(NULL, 0);
    digest_random(NULL, 0);
}

static void assert_escaped(const char *bytes, size_t n, bool keep_slash, const char *expected)
{
    g_autoptr(GString) out = g_string_new("x");
    uri_escape_append(out, bytes, n, keep_slash);
    g_assert_cmpstr(out->str, ==, expected);
}

static void test_uri_escape(void)
{
    assert_escaped("", 0, false, "x");
    assert_escaped("AZaz09-_.~", 10, false, "xAZaz09-_.~");
    assert_escaped("a/b c+d", 7, true, "xa/b%20c%2Bd");
    assert_escaped("a/b", 3, false, "xa%2Fb");
    assert_escaped("%41", 3, false, "x%2541");
    assert_escaped("\0\x01\x7f\xff", 4, true, "x%00%01%7F%FF");
    assert_escaped("\xc3\xa9", 2, false, "x%C3%A9");
    assert_escaped("!*'()@&=$,;:?#[]{}|\\^`\"<>", 25, false,
                   "x%21%2A%27%28%29%40%26%3D%24%2C%3B%3A%3F%23%5B%5D%7B%7D%7C%5C%5E%60%22%3C%3E");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/digest/threads-start-together", test_threads); /* first: nothing is initialised yet */
    g_test_add_func("/digest/check-values", test_check_values);
    g_test_add_func("/digest/nothing", test_nothing);
    g_test_add_func("/digest/names", test_names);
    g_test_add_func("/digest/used-again", test_used_again);
    g_test_add_func("/digest/only-what-was-asked", test_only_what_was_asked);
    g_test_add_data_func("/digest/crc/lengths-accelerated", GINT_TO_POINTER(false), test_crc_lengths);
    g_test_add_data_func("/digest/crc/lengths-portable", GINT_TO_POINTER(true), test_crc_lengths);
    g_test_add_func("/digest/crc/both-ways-agree", test_crc_agree);
    g_test_add_func("/digest/crc/combine", test_combine);
    g_test_add_func("/digest/crc/combine-huge", test_combine_huge);
    g_test_add_func("/digest/hmac/published", test_hmac);
    g_test_add_func("/digest/hmac/edges", test_hmac_edges);
    g_test_add_func("/digest/random-and-wipe", test_random_and_wipe);
    g_test_add_func("/digest/uri-escape", test_uri_escape);
    return g_test_run();
}
