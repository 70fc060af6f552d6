/* s3_answers.h - what an answer of an S3-like store means: code, class, fault, words for the person.
 *
 * One table maps error codes, a second one statuses without a usable code; nothing else in hoist interprets them. An answer is an error
 * when its status is not 2xx, when its document is <Error> (CompleteMultipartUpload says so under status 200), or when the document that
 * was expected is not there.
 * Owned: an S3Answer owns its body and borrows nothing. Threads: reentrant. Times: wall-clock seconds.
 * Sources: S3 API Reference, "Error Responses"; MinIO cmd/api-errors.go; OSS documentation, "Error codes"; Cloudflare R2 and Backblaze B2, "S3 API compatibility".
 */
#pragma once

#include "body.h"
#include "dest.h"

typedef enum {
    S3_FINE,
    S3_RETRY,               /* back off */
    S3_RETRY_BOUNDED,       /* once or twice: bytes and digest do not fit */
    S3_THROTTLE,            /* back off, and fewer at once */
    S3_REFRESH_CREDENTIALS,
    S3_RENEW_URL,           /* a presigned URL that is too old */
    S3_FIX_CLOCK,
    S3_REDIRECT_REGION,     /* sign for another region */
    S3_REDIRECT_ONCE,       /* a new bucket whose host name still spreads */
    S3_RESTART_UPLOAD,
    S3_EXISTS,
    S3_DROP_ACL,
    S3_DROP_FEATURE,        /* a header that this store does not know */
    S3_CALLBACK_FAILED,     /* stored, but what the store should have called failed */
    S3_REFUSE,              /* final */
} S3Class;

typedef struct {
    int         status;
    bool        is_error;
    Body       *body;               /* never NULL */
    const char *code, *message, *request_id;    /* of the error; NULL = not told; they point into body or own_id */
    char       *own_id;             /* request id from the header */
    S3Class     class;
    FaultCode   fault;
    const char *hint;               /* added to the cause; static; NULL = none */
} S3Answer;

/* root: local name of the document expected with 2xx, NULL = none. Never NULL. */
S3Answer   *s3_answer_new(const Response *rs, const char *root);
void        s3_answer_free(S3Answer *a);
const char *s3_answer_class(const S3Answer *a);                     /* "retry-bounded"; static */
const char *s3_answer_field(const S3Answer *a, const char *name);   /* of <Error>, or of the document; borrowed */
/* Is this word in what the refusal names: header, argument or message? Lower case. */
bool        s3_answer_names(const S3Answer *a, const char *word);
/* Region that the answer tells to use, valid as a name; NULL = none. Caller frees. */
char       *s3_answer_region(const S3Answer *a, const Response *rs);
/* The server's clock, from Date or ServerTime. */
bool        s3_answer_time(const S3Answer *a, const Response *rs, int64_t *unix_s_out);
/* "403 AccessDenied: words of the store (request ID)": printable, bounded, without signatures, tokens and the secrets of creds (may be NULL).
 * Caller frees. */
char       *s3_answer_cause(const S3Answer *a, const Credentials *creds);
/* What ended (credentials, a URL) is final here: whoever can renew it goes by the fault. */
Verdict     s3_class_verdict(S3Class class);

/* "2026-01-15T09:30:00.000Z". */
bool s3_parse_time(const char *text, int64_t *unix_s_out);
/* The ETag without quotes when it may be an MD5 ("32 hex digits" or "32 hex digits-N", no W/, no KMS or customer key); NULL when not.
 * Caller frees. */
char *s3_etag_md5(const char *etag, const Response *rs);
/* Equal but for quotes and the case of hex digits; false when one is NULL. */
bool  s3_etag_equal(const char *a, const char *b);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(S3Answer, s3_answer_free)
