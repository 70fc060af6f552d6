/* digest.h - hashes, checksums, HMAC, and their spellings. The only file that includes OpenSSL.
 *
 * Kinds: CRC-64/NVME (poly 0xAD93D23594C93659, reflected), CRC-32C, CRC-32, CRC-64/ECMA-182 (as xz has it), MD5, SHA-1, SHA-256. Values are big-endian bytes, as they
 * travel in x-amz-checksum-* headers (base64). Sources: RFC 1321, RFC 3720 appendix B.4, FIPS 180-4, NVM Express spec (64-bit CRC).
 * Units: bytes. Threads: everything here is reentrant; one Digest belongs to one thread at a time.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Stored as numbers in packed sets: append only. */
typedef enum { DIGEST_CRC64NVME, DIGEST_CRC32C, DIGEST_CRC32, DIGEST_MD5, DIGEST_SHA1, DIGEST_SHA256, DIGEST_CRC64ECMA, N_DIGESTS } DigestKind;

#define DIGEST_BIT(kind) (1u << (kind))
#define DIGEST_MAX_BYTES 32

/* Values of several kinds over the same bytes. value[k] is valid when have has DIGEST_BIT(k). Plain data: copy freely. */
typedef struct {
    unsigned have;
    uint8_t  value[N_DIGESTS][DIGEST_MAX_BYTES];
} DigestSet;

typedef struct Digest Digest;

const char *digest_name(DigestKind kind);           /* "crc64nvme", "sha256": as in x-amz-checksum-NAME */
bool        digest_by_name(const char *name, DigestKind *kind_out);
size_t      digest_bytes(DigestKind kind);          /* 8, 4, 4, 16, 20, 32, 8 */

/* Several kinds in one pass over the data (kinds: bits). */
Digest *digest_new(unsigned kinds);
void    digest_update(Digest *d, const void *data, size_t bytes);
void    digest_finish(Digest *d, DigestSet *set_out);  /* d is reset and may be used again */
void    digest_free(Digest *d);
void    digest_of(unsigned kinds, const void *data, size_t bytes, DigestSet *set_out);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Digest, digest_free)

/* CRC of A+B from the CRCs of A and B and the length of B; only kinds that are CRCs. */
bool digest_is_crc(DigestKind kind);
void digest_crc_combine(DigestKind kind, uint8_t *a_in_out, const uint8_t *b, uint64_t b_bytes);

/* The CRC kinds as numbers, running value in and out (start with 0). crc.c: table and carry-less multiply versions, chosen at
 * run time by what the CPU has; crc_force_portable makes the tests run both. */
uint64_t crc_update(DigestKind kind, uint64_t crc, const void *data, size_t bytes);
uint64_t crc_combine(DigestKind kind, uint64_t a, uint64_t b, uint64_t b_bytes);
void     crc_force_portable(bool portable);

/* RFC 2104 over MD5, SHA-1 or SHA-256; out gets digest_bytes(kind) bytes and may be the key's own memory. */
void digest_hmac(DigestKind kind, const void *key, size_t key_bytes, const void *data, size_t bytes, uint8_t *out);
void digest_hmac_sha256(const void *key, size_t key_bytes, const void *data, size_t bytes, uint8_t out[32]);
void digest_random(void *out, size_t bytes);         /* from the operating system; aborts when there is none */
void digest_wipe(void *secret, size_t bytes);        /* not optimised away */

char *digest_hex(const uint8_t *bytes, size_t n);                     /* caller frees */
char *digest_base64(const DigestSet *set, DigestKind kind);           /* NULL when absent; caller frees */
/* Percent-encodes all but A-Z a-z 0-9 - _ . ~ (and '/' when keep_slash) and appends; bytes may hold anything. */
void  uri_escape_append(GString *out, const char *bytes, size_t n, bool keep_slash);
