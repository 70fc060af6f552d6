/* sigv4.h - AWS Signature Version 4: canonical request, string to sign, key, signature; headers and presigned URLs.
 *
 * Sources: S3 API Reference, "Authenticating Requests: Using the Authorization Header" and "Using Query Parameters"; the chunked bodies are
 * in sigv4_chunked.h. Everything is pure: the time comes in as wall-clock seconds that already hold the server's clock offset.
 * Strings are UTF-8 or any other bytes without NUL: what is signed is what is sent, nothing is normalised.
 * Secrets: the secret key is only read; the derived key stays in the Sigv4Key, which its owner clears. Nothing here fails or prints.
 * Threads: reentrant; one Sigv4Key belongs to one thread at a time.
 */
#pragma once

#include "dest.h"

#define SIGV4_UNSIGNED      "UNSIGNED-PAYLOAD"
#define SIGV4_EMPTY         "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" /* payload line of an empty body */
#define SIGV4_EXPIRES_MAX_S 604800

/* ---- what s3.c calls ---- */

/* The key of a day, region, service and secret: four HMACs saved per request. Zeroed memory is an empty cache. */
typedef struct {
    uint8_t key[32];
    uint8_t made_of[32]; /* SHA-256 over date, region, service and secret */
    bool valid;
} Sigv4Key;

void sigv4_key_clear(Sigv4Key *cache); /* wipes; NULL is fine */

/* Signs rq as it stands: adds x-amz-date, x-amz-content-sha256 (payload_line), x-amz-security-token when there is one, Authorization.
 * The host is the URL's, its default port dropped. Signs all headers of rq but those a proxy or curl may change: user-agent, expect,
 * connection, transfer-encoding, accept-encoding, authorization, x-amzn-trace-id. To sign again, build the request anew.
 * payload_line: 64 hex digits or SIGV4_UNSIGNED. cache may be NULL. */
void sigv4_sign(Request *rq, const Credentials *creds, const char *region, const char *service, int64_t now_s, const char *payload_line,
                Sigv4Key *cache);

/* url with X-Amz-* and X-Amz-Signature in its query; caller frees, and treats it as a secret (it holds the session token).
 * headers: "Name: value" as in Request, to be sent unchanged by whoever uses the URL; NULL = none but host. An x-amz-content-sha256 among
 * them becomes the payload line, else it is SIGV4_UNSIGNED. expires_s is brought into 1..SIGV4_EXPIRES_MAX_S. */
char *sigv4_presign(const char *method, const char *url, const GPtrArray *headers, const Credentials *creds, const char *region,
                    const char *service, int64_t now_s, unsigned expires_s, Sigv4Key *cache);

/* ---- what they are made of ---- */

/* Others sign by the same plan in words of their own (OSS). */
typedef struct {
    const char *algorithm;  /* "AWS4-HMAC-SHA256" */
    const char *key_prefix; /* "AWS4" */
    const char *terminator; /* "aws4_request" */
} Sigv4Dialect;

extern const Sigv4Dialect sigv4_aws;

/* When and where a signature counts. Fill with sigv4_scope_init. */
typedef struct {
    char timestamp[17]; /* "20130524T000000Z" */
    char *text;         /* "20130524/us-east-1/s3/aws4_request" */
    const Sigv4Dialect *dialect;
} Sigv4Scope;

void sigv4_scope_init(Sigv4Scope *sc, const char *region, const char *service, int64_t now_s);
void sigv4_scope_init_of(Sigv4Scope *sc, const Sigv4Dialect *dialect, const char *region, const char *service, int64_t now_s);
void sigv4_scope_clear(Sigv4Scope *sc);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Sigv4Scope, sigv4_scope_clear)

enum {
    SIGV4_ENCODE_TWICE = 1,   /* every service but S3: the path of the wire is encoded once more */
    SIGV4_NORMALIZE_PATH = 2, /* likewise: "//", "/./" and "/../" are resolved first */
    SIGV4_BARE_NAMES = 4,     /* a query parameter without value is signed as "name", not "name=" */
    SIGV4_KEEP_BLANKS = 8,    /* runs of blanks inside a header's value stay */
};

/* A request in the values that are signed; all borrowed. */
typedef struct {
    const char *method;
    const char *path;         /* as on the wire; "" = "/" */
    const char *query;        /* as on the wire, without '?', any order; NULL = none */
    const GPtrArray *headers; /* of char* "Name: value", in the order sent, host included, only those to be signed */
    const char *payload;      /* payload line */
    const char *names;        /* line of header names; NULL = all of headers */
    unsigned flags;
} Sigv4Request;

/* Canonical request, and the names joined with ';' (signed_headers_out may be NULL); caller frees both. */
char *sigv4_canonical_request(const Sigv4Request *rq, char **signed_headers_out);
char *sigv4_string_to_sign(const Sigv4Scope *sc, const char *canonical_request);

/* Points into cache, which is filled or renewed as needed. */
const uint8_t *sigv4_key(Sigv4Key *cache, const char *secret_key, const Sigv4Scope *sc, const char *region, const char *service);

/* HEX(HMAC(key, text)); for a POST form the text is the base64 of the policy. */
void sigv4_signature(const uint8_t key[32], const char *text, char hex_out[65]);
char *sigv4_authorization(const char *access_key, const Sigv4Scope *sc, const char *signed_headers, const char *signature);

/* Appends X-Amz-Algorithm to X-Amz-SignedHeaders, and the token unless NULL, to a query of the wire. */
void sigv4_query_append(GString *query, const char *access_key, const Sigv4Scope *sc, unsigned expires_s, const char *signed_headers,
                        const char *session_token);
/* Names of the headers, lower case, sorted, each once, joined with ';'. Caller frees. */
char *sigv4_signed_headers(const GPtrArray *headers);
