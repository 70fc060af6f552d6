/* oss_sign.h - signatures of Aliyun OSS: V4 (OSS4-HMAC-SHA256) and V1 (HMAC-SHA1), in headers, in URLs and over POST policies.
 *
 * Sources: OSS documentation, "Include V4 signatures in the header / in a URL (recommended)", "Signature version 1", "PostObject". V4 is the plan of
 * AWS (sigv4.h) in other words: the path is always /bucket/key, wherever the bucket stands in the URL; a parameter without value has no '=';
 * content-type, content-md5 and x-oss-* are signed without being listed; the payload never is.
 * Pure: the time comes in as wall-clock seconds that already hold the server's clock offset. Strings may hold any bytes but NUL. Nothing here
 * fails or prints. Threads: reentrant; one Sigv4Key belongs to one thread at a time. Strings returned are the caller's.
 */
#pragma once

#include "dest.h"
#include "sigv4.h"

typedef enum { OSS_V4, OSS_V1 } OssVersion;

/* Who signs what, and when; all borrowed. */
typedef struct {
    OssVersion  version;
    const char *access_key, *secret_key;
    const char *token;          /* of STS; NULL = none */
    const char *region;         /* "cn-hangzhou", for V4 */
    const char *bucket;         /* NULL = the service itself */
    const char *key;            /* NULL = the bucket itself */
    const char *additional;     /* V4: names of further headers to sign, lower case, sorted, "host;range"; NULL = none */
    int64_t     now_s;
    Sigv4Key   *cache;          /* may be NULL */
} OssSigner;

/* Signs rq as it stands: adds the date, for V4 x-oss-content-sha256, the token when there is one, and Authorization. */
void  oss_sign(const OssSigner *s, Request *rq);
/* url with a signature in its query that counts for expires_s (V4: 1..SIGV4_EXPIRES_MAX_S): a secret. headers: "Name: value", to be sent
 * unchanged by whoever uses the URL; NULL = none. */
char *oss_presign(const OssSigner *s, const char *method, const char *url, const GPtrArray *headers, unsigned expires_s);
/* V4: "AK/20260115/cn-hangzhou/oss/aliyun_v4_request"; date_out, when not NULL, gets "20260115T093000Z". */
char *oss_credential(const OssSigner *s, char date_out[17]);
/* Of a POST form: over the base64 of the policy. V4: hex, V1: base64. */
char *oss_sign_policy(const OssSigner *s, const char *policy_base64);

/* ---- what they are made of ---- */

/* query: as on the wire, NULL = none; date: value of Date or x-oss-date, or the expiry of a URL. */
char *oss_v1_text(const OssSigner *s, const char *method, const char *query, const GPtrArray *headers, const char *date);
char *oss_v4_canonical(const OssSigner *s, const char *method, const char *query, const GPtrArray *headers);
