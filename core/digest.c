#include "digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#define BLOCK_BYTES      (64 * 1024) /* several kinds read a block while it is still in the cache */
#define HMAC_BLOCK_BYTES 64          /* of MD5, SHA-1 and SHA-256 alike */

static const struct {
    const char *name;
    size_t bytes;
    const char *openssl; /* NULL = a CRC */
} kinds_table[N_DIGESTS] = {
    [DIGEST_CRC64NVME] = { "crc64nvme", 8, NULL }, [DIGEST_CRC32C] = { "crc32c", 4, NULL }, [DIGEST_CRC32] = { "crc32", 4, NULL },
    [DIGEST_MD5] = { "md5", 16, "MD5" },           [DIGEST_SHA1] = { "sha1", 20, "SHA1" },  [DIGEST_SHA256] = { "sha256", 32, "SHA256" },
    [DIGEST_CRC64ECMA] = { "crc64ecma", 8, NULL },
};

struct Digest {
    unsigned kinds;
    uint64_t crc[N_DIGESTS];
    EVP_MD_CTX *ctx[N_DIGESTS]; /* NULL for CRCs and kinds not asked for */
};

static EVP_MD *methods[N_DIGESTS];
static pthread_once_t methods_once = PTHREAD_ONCE_INIT;

/* Fetching is slow (locks and string compares), so it is done once; the methods live as long as the process. */
static void methods_init(void)
{
    for (unsigned k = 0; k < N_DIGESTS; k++)
        if (kinds_table[k].openssl != NULL)
            methods[k] = EVP_MD_fetch(NULL, kinds_table[k].openssl, NULL);
}

static const EVP_MD *method(DigestKind kind)
{
    pthread_once(&methods_once, methods_init);
    if (methods[kind] == NULL)
        g_error("this system's OpenSSL does not offer %s", kinds_table[kind].name);
    return methods[kind];
}

/* OpenSSL's hash functions fail only for want of memory, and GLib aborts then, too. */
static void must(int ok)
{
    if (ok != 1)
        g_error("OpenSSL digest failed");
}

const char *digest_name(DigestKind kind)
{
    return kinds_table[kind].name;
}

bool digest_by_name(const char *name, DigestKind *kind_out)
{
    for (unsigned k = 0; name != NULL && k < N_DIGESTS; k++)
        if (strcmp(kinds_table[k].name, name) == 0) {
            *kind_out = (DigestKind)k;
            return true;
        }
    return false;
}

size_t digest_bytes(DigestKind kind)
{
    return kinds_table[kind].bytes;
}

static EVP_MD_CTX *ctx_new(DigestKind kind)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    must(ctx != NULL && EVP_DigestInit_ex(ctx, method(kind), NULL));
    return ctx;
}

Digest *digest_new(unsigned kinds)
{
    g_assert(kinds < DIGEST_BIT(N_DIGESTS));
    Digest *d = g_new0(Digest, 1);
    d->kinds = kinds;
    for (unsigned k = 0; k < N_DIGESTS; k++)
        if ((kinds & DIGEST_BIT(k)) && kinds_table[k].openssl != NULL)
            d->ctx[k] = ctx_new((DigestKind)k);
    return d;
}

void digest_free(Digest *d)
{
    if (d == NULL)
        return;
    for (unsigned k = 0; k < N_DIGESTS; k++)
        EVP_MD_CTX_free(d->ctx[k]);
    g_free(d);
}

static void update_block(Digest *d, const uint8_t *data, size_t bytes)
{
    for (unsigned k = 0; k < N_DIGESTS; k++)
        if (d->ctx[k] != NULL)
            must(EVP_DigestUpdate(d->ctx[k], data, bytes));
        else if (d->kinds & DIGEST_BIT(k))
            d->crc[k] = crc_update((DigestKind)k, d->crc[k], data, bytes);
}

void digest_update(Digest *d, const void *data, size_t bytes)
{
    const uint8_t *at = data;
    for (size_t n; bytes > 0; at += n, bytes -= n) {
        n = MIN(bytes, (size_t)BLOCK_BYTES);
        update_block(d, at, n);
    }
}

static void put_number(uint8_t *out, uint64_t value, size_t bytes)
{
    for (size_t i = bytes; i-- > 0; value >>= 8)
        out[i] = value & 255;
}

static uint64_t get_number(const uint8_t *in, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | in[i];
    return value;
}

void digest_finish(Digest *d, DigestSet *set_out)
{
    memset(set_out, 0, sizeof *set_out);
    set_out->have = d->kinds;
    for (unsigned k = 0; k < N_DIGESTS; k++)
        if (d->ctx[k] != NULL) {
            must(EVP_DigestFinal_ex(d->ctx[k], set_out->value[k], NULL));
            must(EVP_DigestInit_ex(d->ctx[k], NULL, NULL));
        } else if (d->kinds & DIGEST_BIT(k)) {
            put_number(set_out->value[k], d->crc[k], kinds_table[k].bytes);
            d->crc[k] = 0;
        }
}

void digest_of(unsigned kinds, const void *data, size_t bytes, DigestSet *set_out)
{
    g_autoptr(Digest) d = digest_new(kinds);
    digest_update(d, data, bytes);
    digest_finish(d, set_out);
}

bool digest_is_crc(DigestKind kind)
{
    return kinds_table[kind].openssl == NULL;
}

void digest_crc_combine(DigestKind kind, uint8_t *a_in_out, const uint8_t *b, uint64_t b_bytes)
{
    const size_t n = kinds_table[kind].bytes;
    put_number(a_in_out, crc_combine(kind, get_number(a_in_out, n), get_number(b, n), b_bytes), n);
}

void digest_hmac(DigestKind kind, const void *key, size_t key_bytes, const void *data, size_t bytes, uint8_t *out)
{
    uint8_t pad[HMAC_BLOCK_BYTES] = { 0 };
    EVP_MD_CTX *ctx = ctx_new(kind);
    if (key_bytes > sizeof pad) {
        must(EVP_DigestUpdate(ctx, key, key_bytes));
        must(EVP_DigestFinal_ex(ctx, pad, NULL));
        must(EVP_DigestInit_ex(ctx, NULL, NULL));
    } else if (key_bytes > 0) {
        memcpy(pad, key, key_bytes);
    }
    for (size_t i = 0; i < sizeof pad; i++)
        pad[i] ^= 0x36;
    must(EVP_DigestUpdate(ctx, pad, sizeof pad));
    must(EVP_DigestUpdate(ctx, data, bytes));
    must(EVP_DigestFinal_ex(ctx, out, NULL));

    for (size_t i = 0; i < sizeof pad; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    must(EVP_DigestInit_ex(ctx, NULL, NULL));
    must(EVP_DigestUpdate(ctx, pad, sizeof pad));
    must(EVP_DigestUpdate(ctx, out, kinds_table[kind].bytes));
    must(EVP_DigestFinal_ex(ctx, out, NULL));
    EVP_MD_CTX_free(ctx);
    digest_wipe(pad, sizeof pad);
}

void digest_hmac_sha256(const void *key, size_t key_bytes, const void *data, size_t bytes, uint8_t out[32])
{
    digest_hmac(DIGEST_SHA256, key, key_bytes, data, bytes, out);
}

void digest_random(void *out, size_t bytes)
{
    uint8_t *at = out;
    while (bytes > 0) {
        const ssize_t n = getrandom(at, bytes, 0);
        if (n < 0 && errno != EINTR)
            g_error("the system gives no random bytes: %s", g_strerror(errno));
        if (n > 0) {
            at += n;
            bytes -= (size_t)n;
        }
    }
}

void digest_wipe(void *secret, size_t bytes)
{
    if (bytes > 0)
        explicit_bzero(secret, bytes);
}

char *digest_hex(const uint8_t *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    char *hex = g_malloc(2 * n + 1);
    for (size_t i = 0; i < n; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[2 * n] = '\0';
    return hex;
}

char *digest_base64(const DigestSet *set, DigestKind kind)
{
    return set->have & DIGEST_BIT(kind) ? g_base64_encode(set->value[kind], kinds_table[kind].bytes) : NULL;
}

static bool is_unreserved(uint8_t c)
{
    return g_ascii_isalnum(c) || c == '-' || c == '_' || c == '.' || c == '~';
}

void uri_escape_append(GString *out, const char *bytes, size_t n, bool keep_slash)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t plain = 0; /* begin of the run that needs no escape */
    for (size_t i = 0; i < n; i++) {
        const uint8_t c = (uint8_t)bytes[i];
        if (is_unreserved(c) || (keep_slash && c == '/'))
            continue;
        const char escape[3] = { '%', digits[c >> 4], digits[c & 15] };
        g_string_append_len(out, bytes + plain, (gssize)(i - plain));
        g_string_append_len(out, escape, sizeof escape);
        plain = i + 1;
    }
    if (plain < n)
        g_string_append_len(out, bytes + plain, (gssize)(n - plain));
}
