/* dest.h - what a destination is, and everything that passes through one.
 *
 * A destination is sans-IO: for each phase it *asks* (fills in a Request) and *reads* (digests the Response). It does no network, disk,
 * clock, thread or random work: the context brings the time to sign with, the credentials and what was learned about the endpoint.
 * The engine walks the phases (upload.c), the transfer module sends (transfer.c).
 *
 *      LOOK                     where the person wants no object replaced: is the key taken? FAULT_EXISTS. Before anything is sent
 *      FIND -> ABORT            an upload whose id was lost: list, abort what is ours
 *      RESUME                   an upload id is known from an earlier run: which parts does the server have?
 *      OPEN -> PART* -> CLOSE   multipart; PART alone when plan says one whole request (n_parts == 1, not multipart)
 *      VERIFY                   only when the answers so far do not prove the object, or an answer was lost
 *      ABORT                    given up
 *
 * Ownership: a Request, Response and Upload own what they point to unless said otherwise. Threads: engine thread only.
 * Units: bytes; wall-clock seconds for signing.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "../digest.h"
#include "../fault.h"

typedef enum { PHASE_LOOK, PHASE_FIND, PHASE_RESUME, PHASE_OPEN, PHASE_PART, PHASE_CLOSE, PHASE_VERIFY, PHASE_ABORT, N_PHASES } Phase;

typedef enum {
    VERDICT_OK,         /* the phase is through */
    VERDICT_MORE,       /* ask the same phase again: another page */
    VERDICT_AGAIN,      /* something was learned (region, clock, style, a feature): ask again at once; *error says what, should it repeat */
    VERDICT_RETRY,      /* the same request later, with back-off; *error set */
    VERDICT_RESTART,    /* the upload (id, parts) is worthless: begin anew; *error set */
    VERDICT_UNKNOWN,    /* CLOSE, or a whole PART that met an object of its key: the outcome is open, VERIFY decides; *error set */
    VERDICT_FAIL,       /* final for this file; *error set */
} Verdict;

typedef enum { VERIFIED_NOT, VERIFIED_SIZE, VERIFIED_ETAG, VERIFIED_CHECKSUM } Verified;    /* stored as number: append only */

/* ---- requests ---- */

typedef struct {
    GBytes  *bytes;             /* these bytes, or NULL: */
    uint64_t offset, length;    /* this range of the source's descriptor */
} Span;

#define REQUEST_MAX_SPANS 4
#define ANSWER_MAX_BYTES  (64 * 1024)           /* unless a request asks for more */
#define ANSWER_MAX_LIST   (4 * 1024 * 1024)

typedef struct {
    const char *method;         /* static */
    char       *url;            /* exactly as signed; goes on the wire unchanged */
    GPtrArray  *headers;        /* of char*, "Name: value"; may hold secrets: never logged */
    Span        spans[REQUEST_MAX_SPANS];
    unsigned    n_spans;
    uint64_t    body_bytes;     /* sum of the spans */
    size_t      answer_max;     /* bytes of body kept; more is FAULT_BAD_ANSWER */
    bool        slow_answer;    /* the server may take minutes to answer (Complete) */
} Request;

Request *request_new(const char *method);
void     request_free(Request *rq);
void     request_header(Request *rq, const char *name, const char *value);          /* copies; CR and LF in value are dropped */
void     request_body_bytes(Request *rq, GBytes *bytes);                            /* takes */
void     request_body_file(Request *rq, uint64_t offset, uint64_t length);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Request, request_free)

typedef struct {
    char *name;                 /* lower case */
    char *value;
} Header;

#define RESPONSE_MAX_HEADERS 100

typedef struct {
    int        status;          /* 100..599; 0 is never given to a reader */
    GArray    *headers;         /* of Header */
    GByteArray *body;           /* at most answer_max bytes */
} Response;

Response   *response_new(void);
void        response_free(Response *rs);
void        response_add_header(Response *rs, const char *name, size_t name_bytes, const char *value, size_t value_bytes);
const char *response_header(const Response *rs, const char *lower_case_name);       /* first, or NULL; borrowed */
int64_t     response_retry_after_ms(const Response *rs, int64_t now_s);             /* Retry-After as seconds or date; -1 when absent */
bool        response_date(const Response *rs, int64_t *unix_s_out);                 /* Date header */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Response, response_free)

/* ---- an upload on its way ---- */

typedef struct {
    bool       done;            /* the server confirmed it */
    char      *etag;            /* as received, quotes included; NULL when the server gave none */
    DigestSet *digest;          /* of the part's bytes, once computed; NULL before */
} Part;

typedef struct {
    /* the object, fixed before plan */
    char    *key;               /* full object key (prefix included), bytes without NUL */
    char    *content_type;      /* NULL = unknown */
    uint64_t size_bytes;
    int64_t  mtime_ns;          /* of the original source */
    char    *nonce;             /* 32 hex digits, recognises our own object */
    /* set by plan, frozen in the store */
    bool     multipart;
    uint64_t part_size;         /* == size_bytes when not multipart */
    unsigned n_parts;           /* >= 1 */
    Part    *parts;             /* n_parts */
    bool     look_first;        /* begin with LOOK */
    /* set by reads */
    char      *upload_id;
    int64_t    opened_s;        /* wall clock of CreateMultipartUpload, 0 = unknown */
    char      *list_marker;     /* paging of RESUME and FIND; NULL = first page */
    GPtrArray *found;           /* FIND: of char*, upload ids of this key that may be ours */
    char      *etag, *version, *checksum;   /* of the object; checksum as "crc64nvme:BASE64" */
    Verified   verified;
    bool       refused_exists;  /* a write was refused because the key is taken; by us or by another, VERIFY decides */
    char      *note;            /* said on the row ("this store does not list parts: resumed from the journal"); NULL = none */
} Upload;

Upload  *upload_new(const char *key, uint64_t size_bytes, int64_t mtime_ns);
void     upload_free(Upload *up);
void     upload_plan(Upload *up, bool multipart, uint64_t part_size);              /* allocates parts */
uint64_t upload_part_offset(const Upload *up, unsigned part);                      /* parts are numbered from 0 here */
uint64_t upload_part_bytes(const Upload *up, unsigned part);
uint64_t upload_done_bytes(const Upload *up);
/* Digest of the whole object from its parts: copy (one part) or CRC combination. False when a part lacks it or the kind has none. */
bool     upload_object_digest(const Upload *up, DigestKind kind, uint8_t out[DIGEST_MAX_BYTES]);
/* md5(md5(part 1) ... md5(part n))-n with quotes, or the plain MD5 when not multipart; NULL when a part's MD5 is missing. Caller frees. */
char    *upload_expected_etag(const Upload *up);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Upload, upload_free)

/* ---- what it goes to ---- */

typedef struct {
    char       *name;           /* as the person wrote it, without secrets: "s3://bucket/prefix" or the name from the config */
    char       *scheme;         /* key of the table: "s3" */
    char       *bucket;         /* NULL where the protocol has none */
    char       *prefix;         /* "" or "a/b/" */
    char       *endpoint;       /* URL, or NULL = the protocol's own */
    char       *region;         /* or NULL */
    GHashTable *options;        /* char* -> char*: rows of DestOps.opts that were set */
} DestConf;

DestConf   *dest_conf_new(void);
void        dest_conf_free(DestConf *conf);
const char *dest_conf_option(const DestConf *conf, const char *name);               /* NULL when not set */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DestConf, dest_conf_free)

typedef struct {
    char   *access_key, *secret_key, *session_token;    /* token NULL = none */
    int64_t expires_s;          /* wall clock; 0 = never */
    char   *origin;             /* "env", "shared-credentials-file": shown, holds no secret */
} Credentials;

void credentials_free(Credentials *c);                  /* wipes first */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Credentials, credentials_free)

typedef enum { LEARNED_UNKNOWN, LEARNED_WORKS, LEARNED_IGNORED, LEARNED_REFUSED } LearnedState;

/* What an endpoint taught us; kept in the store per endpoint + bucket. Readers change it and set dirty. */
typedef struct {
    char         region[64];    /* "" = not learned */
    int          style;         /* 0 unknown, 1 path, 2 virtual host */
    int64_t      clock_offset_s;/* server - local */
    LearnedState checksum[N_DIGESTS];
    LearnedState list_parts, list_uploads, if_none_match, acl, tagging;
    bool         dirty;
} DestLearned;

char *dest_learned_to_text(const DestLearned *l);                       /* "region=eu-west-1 checksum.crc64nvme=ignored"; caller frees */
void  dest_learned_from_text(DestLearned *l, const char *text);         /* unknown words are passed over */

typedef struct DestOps DestOps;

typedef struct {
    const DestOps     *ops;
    const DestConf    *conf;
    void              *priv;    /* what ops->open made */
    const Credentials *creds;   /* NULL = anonymous */
    DestLearned       *learned;
    int64_t            now_s;   /* this machine's wall clock; add learned->clock_offset_s to sign */
} DestCtx;

typedef struct {
    bool    (*ask)(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error);
    Verdict (*read)(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error);
} DestStep;

typedef struct {
    const char *name;           /* "storage-class": option --storage-class, key storage-class, HOIST_STORAGE_CLASS */
    const char *arg;            /* "CLASS"; NULL = a switch */
    const char *help;
    const char *allowed;        /* "overwrite|skip|fail", or NULL = free text */
    bool        repeat;         /* may be given several times; values joined by '\n' */
} DestOpt;

struct DestOps {
    const char    *scheme;
    const DestOpt *opts;        /* ends with {0} */
    bool           parallel;    /* several PARTs of one upload may be out at once */
    void        *(*open)(const DestConf *conf, GError **error);         /* checks and pre-computes; FAULT_USAGE or FAULT_CONFIG */
    void         (*close)(void *priv);
    /* Kinds of digest (bits) that ask(PART) wants in parts[n].digest; 0 = the body need not be read before it is sent. */
    unsigned     (*digests)(const DestCtx *ctx, const Upload *up);
    /* Chooses whole or parts for up->size_bytes; part_size_wanted 0 = the destination's own choice. */
    bool         (*plan)(const DestCtx *ctx, Upload *up, uint64_t part_size_wanted, GError **error);
    char        *(*url)(const DestCtx *ctx, const char *key);           /* plain URL of an object, no signature; caller frees */
    /* Endpoint as shown and as key of what was learned: "http://127.0.0.1:9000/bucket"; caller frees. */
    char        *(*where)(const DestCtx *ctx);
    DestStep       step[N_PHASES];      /* {NULL} = no such phase */
};

const DestOps *dest_by_scheme(const char *scheme);      /* NULL when unknown */
/* "s3://bucket/a/b" -> scheme, bucket, prefix "a/b/" (always ends in '/' unless empty). FAULT_USAGE says what is allowed. */
bool           dest_conf_parse(DestConf *conf, const char *text, GError **error);
/* One line for help and error texts: "s3://BUCKET/PREFIX". */
const char    *dest_schemes_help(void);
const DestOps *const *dest_table(void);                 /* NULL at the end */
