/* sigv4_chunked.h - bodies of the content encoding "aws-chunked": signatures of chunks and trailers, and their framing.
 *
 * Sources: S3 API Reference, "Transferring Payload in Multiple Chunks" and "... with trailing headers". Pure; units: bytes.
 * A body: one append_chunk per piece, one with 0 bytes, then append_end. With signatures, sign each in this order and pass its signature.
 */
#pragma once

#include "sigv4.h"

#define SIGV4_STREAM_SIGNED           "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
#define SIGV4_STREAM_SIGNED_TRAILER   "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
#define SIGV4_STREAM_UNSIGNED_TRAILER "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

/* Each signature covers the one before it. Begin with that of the request's headers. key and scope are borrowed. */
typedef struct {
    const uint8_t *key;
    const Sigv4Scope *scope;
    char signature[65]; /* of the last step */
} Sigv4Chain;

void sigv4_chain_chunk(Sigv4Chain *chain, const void *data, size_t bytes);
void sigv4_chain_trailer(Sigv4Chain *chain, const char *name, const char *value);

/* signature NULL = unsigned chunks; trailer NULL = none. */
void sigv4_append_chunk(GByteArray *out, const void *data, size_t bytes, const char *signature);
void sigv4_append_end(GByteArray *out, const char *trailer, const char *value, const char *signature);

/* Length of a whole body of these chunks on the wire. trailer_bytes: of "name:value", 0 = no trailer. */
uint64_t sigv4_chunked_bytes(uint64_t body_bytes, uint64_t chunk_bytes, bool is_signed, size_t trailer_bytes);
