/* CRCs by table (slice-by-8) and by carry-less multiplication. Everything works on bit-reflected polynomials: the highest power is the
 * lowest bit. After V. Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction" (Intel, 2009). */
#include "digest.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define FOLD_LANES 4   /* 16-byte accumulators: enough independent multiplications to hide their latency */
#define FOLD_MIN   256 /* below it the tables are as fast */

typedef struct {
    uint64_t poly;          /* reflected, without the highest power */
    uint64_t one;           /* the polynomial 1 */
    uint64_t table[8][256]; /* [k][b]: byte b followed by k zero bytes */
    uint64_t shift[64];     /* x^(8 * 2^k) */
    uint64_t fold_wide[2];  /* moves the low and high half of 16 bytes over FOLD_LANES * 16 bytes */
    uint64_t fold_one[2];   /* over 16 bytes */
} Crc;

static const struct {
    unsigned bits; /* 0 = no CRC */
    uint64_t poly;
} parameters[N_DIGESTS] = {
    [DIGEST_CRC64NVME] = { 64, 0x9A6C9329AC4BC9B5 },
    [DIGEST_CRC32C] = { 32, 0x82F63B78 },
    [DIGEST_CRC32] = { 32, 0xEDB88320 },
    [DIGEST_CRC64ECMA] = { 64, 0xC96C5795D7870F42 },
};

static Crc crcs[N_DIGESTS];
static pthread_once_t crcs_once = PTHREAD_ONCE_INIT;
static bool has_clmul;
static atomic_bool forced_portable;

static uint64_t times_x(const Crc *crc, uint64_t a)
{
    return (a & 1) ? (a >> 1) ^ crc->poly : a >> 1;
}

static uint64_t multiply(const Crc *crc, uint64_t a, uint64_t b)
{
    uint64_t product = 0;
    for (uint64_t bit = crc->one; bit != 0; bit >>= 1) {
        if (a & bit)
            product ^= b;
        b = times_x(crc, b);
    }
    return product;
}

/* x^power, as the upper bits of 64: the multiplier for a 64-bit half. */
static uint64_t fold_factor(const Crc *crc, unsigned bits, unsigned power)
{
    uint64_t a = crc->one;
    while (power-- > 0)
        a = times_x(crc, a);
    return a << (64 - bits);
}

static void crc_init(Crc *crc, unsigned bits, uint64_t poly)
{
    crc->poly = poly;
    crc->one = UINT64_C(1) << (bits - 1);
    for (unsigned b = 0; b < 256; b++) {
        uint64_t a = b;
        for (unsigned i = 0; i < 8; i++)
            a = times_x(crc, a);
        crc->table[0][b] = a;
    }
    for (unsigned k = 1; k < 8; k++)
        for (unsigned b = 0; b < 256; b++)
            crc->table[k][b] = crc->table[k - 1][b] >> 8 ^ crc->table[0][crc->table[k - 1][b] & 255];

    crc->shift[0] = crc->one >> 8;
    for (unsigned k = 1; k < 64; k++)
        crc->shift[k] = multiply(crc, crc->shift[k - 1], crc->shift[k - 1]);

    /* The product of two reflected halves comes out one power too high, hence the -1. */
    crc->fold_wide[0] = fold_factor(crc, bits, FOLD_LANES * 128 + 64 - 1);
    crc->fold_wide[1] = fold_factor(crc, bits, FOLD_LANES * 128 - 1);
    crc->fold_one[0] = fold_factor(crc, bits, 128 + 64 - 1);
    crc->fold_one[1] = fold_factor(crc, bits, 128 - 1);
}

static void crcs_init(void)
{
    for (unsigned k = 0; k < N_DIGESTS; k++)
        if (parameters[k].bits != 0)
            crc_init(&crcs[k], parameters[k].bits, parameters[k].poly);
#if defined(__x86_64__)
    has_clmul = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse2");
#endif
}

static const Crc *crc_of(DigestKind kind)
{
    g_assert(kind < N_DIGESTS && parameters[kind].bits != 0);
    pthread_once(&crcs_once, crcs_init);
    return &crcs[kind];
}

static uint64_t state_by_table(const Crc *crc, uint64_t state, const uint8_t *data, size_t bytes)
{
    for (; bytes >= 8; data += 8, bytes -= 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        word = GUINT64_FROM_LE(word) ^ state;
        state = crc->table[7][word & 255] ^ crc->table[6][word >> 8 & 255] ^ crc->table[5][word >> 16 & 255] ^
                crc->table[4][word >> 24 & 255] ^ crc->table[3][word >> 32 & 255] ^ crc->table[2][word >> 40 & 255] ^
                crc->table[1][word >> 48 & 255] ^ crc->table[0][word >> 56];
    }
    for (; bytes > 0; data++, bytes--)
        state = state >> 8 ^ crc->table[0][(state ^ *data) & 255];
    return state;
}

#if defined(__x86_64__)
__attribute__((target("pclmul,sse2"))) static inline __m128i fold(__m128i block, __m128i factors, __m128i next)
{
    const __m128i low = _mm_clmulepi64_si128(block, factors, 0x00);
    const __m128i high = _mm_clmulepi64_si128(block, factors, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

/* bytes: at least FOLD_LANES * 16. */
__attribute__((target("pclmul,sse2"))) static uint64_t state_by_clmul(const Crc *crc, uint64_t state, const uint8_t *data, size_t bytes)
{
    const __m128i wide = _mm_loadu_si128((const __m128i *)crc->fold_wide);
    const __m128i one = _mm_loadu_si128((const __m128i *)crc->fold_one);
    __m128i lane[FOLD_LANES];
    for (unsigned i = 0; i < FOLD_LANES; i++)
        lane[i] = _mm_loadu_si128((const __m128i *)data + i);
    lane[0] = _mm_xor_si128(lane[0], _mm_cvtsi64_si128((long long)state));
    data += FOLD_LANES * 16;
    bytes -= FOLD_LANES * 16;

    for (; bytes >= FOLD_LANES * 16; data += FOLD_LANES * 16, bytes -= FOLD_LANES * 16)
        for (unsigned i = 0; i < FOLD_LANES; i++)
            lane[i] = fold(lane[i], wide, _mm_loadu_si128((const __m128i *)data + i));

    __m128i block = lane[0];
    for (unsigned i = 1; i < FOLD_LANES; i++)
        block = fold(block, one, lane[i]);
    for (; bytes >= 16; data += 16, bytes -= 16)
        block = fold(block, one, _mm_loadu_si128((const __m128i *)data));

    uint8_t rest[16];
    _mm_storeu_si128((__m128i *)rest, block);
    return state_by_table(crc, state_by_table(crc, 0, rest, sizeof rest), data, bytes);
}
#else
#define state_by_clmul state_by_table /* never taken: has_clmul stays false */
#endif

void crc_force_portable(bool portable)
{
    atomic_store(&forced_portable, portable);
}

uint64_t crc_update(DigestKind kind, uint64_t crc_value, const void *data, size_t bytes)
{
    const Crc *crc = crc_of(kind);
    const uint64_t all_ones = crc->one | (crc->one - 1);
    const bool fast = bytes >= FOLD_MIN && has_clmul && !atomic_load_explicit(&forced_portable, memory_order_relaxed);
    const uint64_t state = crc_value ^ all_ones;
    return (fast ? state_by_clmul(crc, state, data, bytes) : state_by_table(crc, state, data, bytes)) ^ all_ones;
}

uint64_t crc_combine(DigestKind kind, uint64_t a, uint64_t b, uint64_t b_bytes)
{
    const Crc *crc = crc_of(kind);
    for (unsigned k = 0; b_bytes != 0; k++, b_bytes >>= 1)
        if (b_bytes & 1)
            a = multiply(crc, crc->shift[k], a);
    return a ^ b;
}
