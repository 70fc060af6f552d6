/* s3_priv.h - what the files of the S3 destination share: s3.c (phases), s3_conf.c (options), s3_learn.c (failures), s3_proof.c
 * (is it there and right?), s3_list.c (FIND, RESUME). Nobody else includes it.
 *
 * Source: S3 API Reference, PutObject, CreateMultipartUpload, UploadPart, ListParts, ListMultipartUploads, CompleteMultipartUpload,
 * AbortMultipartUpload, HeadObject; S3 User Guide, "Checking object integrity". Threads: engine thread only.
 */
#pragma once

#include "given.h"
#include "multipart.h"
#include "s3_answers.h"
#include "s3_url.h"
#include "sigv4.h"
#include "skew.h"
#include "stored.h"

#define S3_PART_MIN_BYTES (UINT64_C(5) << 20) /* S3 User Guide, "Amazon S3 multipart upload limits" */
#define S3_NONCE_HEADER "x-amz-" GIVEN_NONCE

typedef enum { S3_CHECKSUM_AUTO, S3_CHECKSUM_NONE, S3_CHECKSUM_GIVEN } S3Checksum;

/* What open made of the configuration. */
typedef struct {
    S3Endpoint ep;
    char      *bucket, *region;
    S3Style    style;               /* asked for; AUTO follows what was learned */
    bool       unsigned_payload;
    bool       only_new;            /* if-exists skip or fail */
    S3Checksum checksum;
    DigestKind checksum_kind;       /* of S3_CHECKSUM_GIVEN */
    Given      given;
    Sigv4Key   key;
} S3;

static inline S3 *s3_of(const DestCtx *ctx)
{
    return ctx->priv;
}

/* ---- s3_conf.c */

extern const char *const s3_shared[];
void    *s3_open(const DestConf *conf, GError **error);
void     s3_close(void *priv);
/* Kind sent as x-amz-checksum-NAME (or as Content-MD5); false = none. */
bool     s3_sent_checksum(const DestCtx *ctx, DigestKind *kind_out);
unsigned s3_digests(const DestCtx *ctx, const Upload *up);
/* Headers that make an object what it is: type, metadata, class, encryption, tags. For PUT and Create. */
void     s3_object_headers(const DestCtx *ctx, const Upload *up, Request *rq);

/* ---- s3.c */

const char *s3_region(const DestCtx *ctx);
char       *s3_object_url(const DestCtx *ctx, const char *key);     /* key NULL = the bucket */
char       *s3_where(const DestCtx *ctx);
/* key NULL = the bucket; query without '?', NULL = none. Unsigned. */
Request    *s3_request(const DestCtx *ctx, const char *method, const char *key, const char *query);
void        s3_sign(const DestCtx *ctx, Request *rq, const char *payload_line);
/* The store says that the object is there: fills in etag ("" when it names none), version, verified. FAULT_CHECKSUM when it is another one. */
bool        s3_confirm_object(const DestCtx *ctx, Upload *up, const Response *rs, const S3Answer *a, GError **error);

/* ---- s3_learn.c */

/* Verdict of an error answer; learns what can be learned; sets *error. */
Verdict s3_failed(const DestCtx *ctx, Upload *up, S3Answer *a, const Response *rs, GError **error);

/* ---- s3_proof.c */

/* What headers and document say about the whole object, compared with the digests of its parts. Sets up->checksum on CHECKSUM. */
Proof s3_prove(const DestCtx *ctx, Upload *up, const Response *rs, const S3Answer *a, const char *etag);
/* From the answer to a part, or to an object sent whole: whether ETags are something else than MD5 here. digest may be NULL. */
void    s3_learn_etag(const DestCtx *ctx, const DigestSet *digest, const Response *rs, const char *etag);
/* Element of a document that holds a checksum: "ChecksumCRC64NVME". Caller frees. */
char   *s3_checksum_element(DigestKind kind);
/* What the header of this kind in the answer to a part says about it. NONE, CHECKSUM or WRONG. */
Proof s3_prove_part(const Response *rs, DigestKind kind, const DigestSet *digest);
/* Digest of the object as it is sent at completion: full for CRC-64/NVME, "H(H(1)..H(n))-n" else; NULL when a part lacks it. Caller frees. */
char   *s3_object_checksum(const Upload *up, DigestKind kind, bool composite);
/* LOOK: many stores ignore If-None-Match, and where it counts it would refuse a large file only after all of it was sent. */
bool    s3_ask_look(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error);
Verdict s3_read_look(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error);
bool    s3_ask_verify(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error);
Verdict s3_read_verify(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error);

/* ---- s3_list.c */

bool    s3_ask_find(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error);
Verdict s3_read_find(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error);
bool    s3_ask_resume(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error);
Verdict s3_read_resume(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error);

/* ---- s3_share.c */

char   *s3_share(const DestCtx *ctx, const char *key, unsigned seconds, GError **error);
bool    s3_ask_remove(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error);
Verdict s3_read_remove(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error);
