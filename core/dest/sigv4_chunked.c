#include "sigv4_chunked.h"

#include <stdio.h>
#include <string.h>

#define CHUNK_SIGNATURE   ";chunk-signature="
#define TRAILER_SIGNATURE "x-amz-trailer-signature:"
#define SIGNATURE_BYTES   64

static char *sha256_hex(const void *data, size_t bytes)
{
    DigestSet set;
    digest_of(DIGEST_BIT(DIGEST_SHA256), data, bytes, &set);
    return digest_hex(set.value[DIGEST_SHA256], digest_bytes(DIGEST_SHA256));
}

static void chain_step(Sigv4Chain *chain, const char *algorithm, const char *hashes)
{
    g_autofree char *text =
        g_strconcat(algorithm, "\n", chain->scope->timestamp, "\n", chain->scope->text, "\n", chain->signature, "\n", hashes, NULL);
    sigv4_signature(chain->key, text, chain->signature);
}

void sigv4_chain_chunk(Sigv4Chain *chain, const void *data, size_t bytes)
{
    g_autofree char *hash = sha256_hex(data, bytes);
    g_autofree char *hashes = g_strconcat(SIGV4_EMPTY "\n", hash, NULL);
    chain_step(chain, "AWS4-HMAC-SHA256-PAYLOAD", hashes);
}

void sigv4_chain_trailer(Sigv4Chain *chain, const char *name, const char *value)
{
    g_autofree char *line = g_strconcat(name, ":", value, "\n", NULL);
    g_autofree char *hash = sha256_hex(line, strlen(line));
    chain_step(chain, "AWS4-HMAC-SHA256-TRAILER", hash);
}

static void append_text(GByteArray *out, const char *text)
{
    g_byte_array_append(out, (const guint8 *)text, (guint)strlen(text));
}

void sigv4_append_chunk(GByteArray *out, const void *data, size_t bytes, const char *signature)
{
    g_autofree char *size = g_strdup_printf("%zx", bytes);
    append_text(out, size);
    if (signature != NULL) {
        append_text(out, CHUNK_SIGNATURE);
        append_text(out, signature);
    }
    append_text(out, "\r\n");
    if (bytes == 0)
        return;
    g_byte_array_append(out, data, (guint)bytes);
    append_text(out, "\r\n");
}

void sigv4_append_end(GByteArray *out, const char *trailer, const char *value, const char *signature)
{
    if (trailer != NULL) {
        append_text(out, trailer);
        append_text(out, ":");
        append_text(out, value);
        append_text(out, "\r\n");
        if (signature != NULL) {
            append_text(out, TRAILER_SIGNATURE);
            append_text(out, signature);
            append_text(out, "\r\n");
        }
    }
    append_text(out, "\r\n");
}

static uint64_t chunk_head_bytes(uint64_t bytes, bool is_signed)
{
    const uint64_t digits = (uint64_t)snprintf(NULL, 0, "%" G_GINT64_MODIFIER "x", bytes);
    return digits + (is_signed ? strlen(CHUNK_SIGNATURE) + SIGNATURE_BYTES : 0) + 2;
}

uint64_t sigv4_chunked_bytes(uint64_t body_bytes, uint64_t chunk_bytes, bool is_signed, size_t trailer_bytes)
{
    const uint64_t full = body_bytes / chunk_bytes, rest = body_bytes % chunk_bytes;
    uint64_t total = full * (chunk_head_bytes(chunk_bytes, is_signed) + chunk_bytes + 2);
    if (rest > 0)
        total += chunk_head_bytes(rest, is_signed) + rest + 2;
    total += chunk_head_bytes(0, is_signed) + 2;
    if (trailer_bytes > 0)
        total += trailer_bytes + 2 + (is_signed ? strlen(TRAILER_SIGNATURE) + SIGNATURE_BYTES + 2 : 0);
    return total;
}
