/* oss_priv.h - what the files of the Aliyun OSS destination share: oss.c (phases), oss_conf.c (options), oss_learn.c (failures, proof),
 * oss_post.c (small files as forms). Nobody else includes it.
 *
 * What S3 and OSS have in common is in given.h, multipart.h, policy.h, s3_answers.h, s3_url.h, skew.h and stored.h.
 * Sources: Alibaba Cloud OSS API reference, PutObject, PostObject, InitiateMultipartUpload, UploadPart, CompleteMultipartUpload, HeadObject, "Callback",
 * "Regions and endpoints", "Data verification by CRC-64". Threads: engine thread only.
 */
#pragma once

#include "given.h"
#include "multipart.h"
#include "oss_sign.h"
#include "s3_url.h"
#include "stored.h"

#define OSS_PART_MIN_BYTES (UINT64_C(100) << 10)
#define OSS_NONCE_HEADER   "x-oss-" GIVEN_NONCE

/* What open made of the configuration. */
typedef struct {
    S3Endpoint ep;              /* host NULL = Aliyun's own, of the region that counts */
    bool       internal;        /* then of its internal network */
    char      *bucket, *region; /* "cn-hangzhou" */
    S3Style    style;
    OssVersion version;
    bool       only_new;        /* if-exists skip or fail */
    bool       post;            /* whole files as forms */
    bool       crc, md5;        /* compare the CRC-64 of what was stored; send Content-MD5 */
    const char *sse;            /* value of x-oss-server-side-encryption; NULL = none; static */
    Given      given;
    char      *callback, *callback_var;     /* base64 of JSON; NULL = none */
    GHashTable *callback_fields;            /* char* -> char*: the variables, "x:name"; NULL = none */
    Sigv4Key   key;
} Oss;

static inline Oss *oss_of(const DestCtx *ctx)
{
    return ctx->priv;
}

/* ---- oss_conf.c */

extern const char *const oss_shared[];
extern const HoistOpt oss_opts[];
extern const DestSecret oss_secrets[];
void *oss_open(const DestConf *conf, GError **error);
void  oss_close(void *priv);
/* "https://oss-cn-hangzhou-internal.aliyuncs.com" -> "cn-hangzhou"; NULL when the host is no such. Caller frees. */
char *oss_region_of_host(const char *host);

/* ---- oss.c */

const char *oss_region(const DestCtx *ctx);
/* Who signs for this key (NULL = the bucket); false without keys. Borrows from ctx and key. */
bool        oss_signer(const DestCtx *ctx, const char *key, OssSigner *out);
char       *oss_object_url(const DestCtx *ctx, const char *key);    /* key NULL = the bucket */
/* What would be headers of a PUT: as send is told. Whole objects have the callback as well. */
void        oss_each_header(const DestCtx *ctx, const Upload *up, GivenSend send, gpointer to);
/* The answer to an object sent whole, or to its completion. root: document expected, unless the application's words come instead. */
Verdict     oss_read_object(const DestCtx *ctx, Upload *up, const char *root, const Response *rs, GError **error);

/* ---- oss_learn.c */

/* Verdict of an error answer; learns clock and region; sets *error. */
Verdict oss_failed(const DestCtx *ctx, Upload *up, S3Answer *a, const Response *rs, GError **error);
/* x-oss-hash-crc64ecma of an answer against what was sent. NONE, CHECKSUM or WRONG. */
Proof   oss_prove_part(const Response *rs, const DigestSet *digest);
/* The same of the whole object; sets up->checksum on CHECKSUM. */
Proof   oss_prove(const DestCtx *ctx, Upload *up, const Response *rs);
bool    oss_ask_look(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error);
Verdict oss_read_look(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error);
bool    oss_ask_verify(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error);
Verdict oss_read_verify(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error);
/* A signed request; key NULL = the bucket; query NULL = none. */
Request *oss_simple(const DestCtx *ctx, const char *method, const char *key, const char *query);

/* ---- oss_post.c */

bool    oss_ask_post(const DestCtx *ctx, const Upload *up, Request **rq_out, GError **error);
