/* qiniu_sign.h - how Qiniu Kodo spells bytes, signs texts and names contents.
 *
 * Upload token, private download URL, both management signatures (QBox, Qiniu) and the etag of an object. Pure text.
 * Sources: developer.qiniu.com/kodo, "upload token" (1208), "download token" (1202), "management token" (1201); the etag is described in
 * github.com/qiniu/qetag and, for objects of parts that are not 4 MiB, by the Rust library qiniu-etag.
 * Units: bytes, seconds of the wall clock. Threads: reentrant. What is returned is the caller's to free (secret_free where it is a secret).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QINIU_BLOCK_BYTES (4u << 20)    /* of which the etag is made; blocks of resumable v1 */
#define QINIU_ETAG_CHARS  28

typedef struct {
    const char *access, *secret;
} QiniuKeys;

/* base64 with '-' and '_', '=' kept. */
char *qiniu_base64(const void *data, size_t bytes);
/* "bucket:key" as one word; key NULL = the bucket alone. */
char *qiniu_entry(const char *bucket, const char *key);
/* "ACCESS:signature:policy" of a policy in JSON. A secret. */
char *qiniu_upload_token(const QiniuKeys *keys, const char *policy_json);
/* Policy in JSON out of a token, which anybody can read; NULL when it is no token. */
char *qiniu_token_policy(const char *token);
/* Access key out of a token; NULL when it is no token. */
char *qiniu_token_access(const char *token);
/* url with e= and token=, after '?' or '&'. A secret. */
char *qiniu_private_url(const QiniuKeys *keys, const char *url, int64_t until_s);
/* Value of Authorization, the old kind. body counts only when it is a form; NULL = none. A secret. */
char *qiniu_sign_qbox(const QiniuKeys *keys, const char *url, const char *form_body);
/* The new kind. content_type, x_headers ("X-Qiniu-Date: value" lines, sorted, without a line end at the last) and body may be NULL. A secret. */
char *qiniu_sign_request(const QiniuKeys *keys, const char *method, const char *url, const char *content_type, const char *x_headers, const char *body);

/* Etag from SHA-1 values, 20 bytes each, n >= 1. even: of blocks, all 4 MiB but the last; else of parts. */
char *qiniu_etag(const uint8_t *sha1s, size_t n, bool even);
/* Has the form of an etag, and is not some other hash that a returnBody calls so. NULL is none. */
bool  qiniu_is_etag(const char *text);
