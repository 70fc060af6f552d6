/* dest.h - what a destination is, and everything that passes through one.
 *
 * A destination is sans-IO: for each phase it *asks* (fills in a Request) and *reads* (digests the Response). It does no network, disk,
 * clock, thread or random work: the context brings the time to sign with, the credentials and what was learned about the endpoint.
 * The engine walks the phases (upload.c), the transfer module sends (transfer.c).
 *
 *      LOOK                     where the person wants no object replaced: is the key taken? FAULT_EXISTS. Or what the endpoint can: plan is
 *                               called once more after it. Before anything is sent
 *      FIND -> ABORT            an upload whose id was lost: list, abort what is ours
 *      RESUME                   an upload id is known from an earlier run: which parts does the server have?
 *      OPEN -> PART* -> CLOSE   multipart; PART alone when plan says one whole request (n_parts == 1, not multipart)
 *      VERIFY                   only when the answers so far do not prove the object, or an answer was lost
 *      NOTIFY                   the application hears of the object; it is stored, whatever becomes of this
 *      ABORT                    given up
 *      REMOVE                   deletes the object of up->key, outside of any upload
 *
 * A phase, or a part, may take several requests: VERDICT_MORE asks again, and what to ask follows from what the Upload holds by then (a grant,
 * a part's own URL). An ask that needs no request leaves *rq_out NULL: that counts as VERDICT_OK, and read is not called.
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
#include "../hoist.h"

typedef enum { PHASE_LOOK, PHASE_FIND, PHASE_RESUME, PHASE_OPEN, PHASE_PART, PHASE_CLOSE, PHASE_VERIFY, PHASE_NOTIFY, PHASE_ABORT, PHASE_REMOVE, N_PHASES } Phase;

#define PHASE_BIT(phase) (1u << (phase))

typedef enum {
    VERDICT_OK,         /* the phase is through */
    VERDICT_MORE,       /* ask the same phase, or part, again: another page, the next of its requests */
    VERDICT_AGAIN,      /* something was learned (region, clock, style, a feature): ask again at once; *error says what, should it repeat */
    VERDICT_RETRY,      /* the same request later, with back-off; *error set */
    VERDICT_RESTART,    /* the upload (id, parts) is worthless: begin anew; *error set */
    VERDICT_UNKNOWN,    /* CLOSE, or a whole PART that met an object of its key: the outcome is open, VERIFY decides; *error set */
    VERDICT_FAIL,       /* final for this file; *error set */
} Verdict;

typedef enum { VERIFIED_NOT, VERIFIED_SIZE, VERIFIED_ETAG, VERIFIED_CHECKSUM } Verified;    /* stored as number: append only */

/* ---- requests ---- */

/* Wipes a string before it is freed; fits as a GDestroyNotify; NULL is fine. */
void secret_free(gpointer text);

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
    bool        once;           /* must not reach the server twice unasked: a connection that turns out dead is no free retry */
    char       *user, *password;/* HTTP Digest sign-in, done by the transfer module; NULL = none. Wiped when freed */
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
    int        status;          /* 100..999 (Qiniu's go beyond 599); 0 is never given to a reader */
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
    char      *etag;            /* as received, quotes included; NULL when the server gave none. Or what the protocol gives in its place (ctx) */
    DigestSet *digest;          /* of the part's bytes, once computed; NULL before */
    uint64_t   kept_bytes;      /* of a part that is not done: so much of its front the server has; the next PART sends the rest */
    char      *handle;          /* where this part goes (signed URL): a secret, never stored; NULL = not asked for yet */
} Part;

/* What an application allowed for one upload. A secret as a whole: lives in memory only, wiped when freed. */
typedef struct {
    char       *url;
    GPtrArray  *headers;        /* of char* "Name: value", to be sent exactly so; NULL = none */
    GPtrArray  *fields;         /* of char*: name, value, name, value ... of a form, in order; NULL = none */
    GHashTable *values;         /* char* -> char*: what the description extracted */
    int64_t     expires_s;      /* wall clock; 0 = not told */
} Grant;

void grant_free(Grant *grant);                          /* wipes; NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Grant, grant_free)

typedef struct {
    /* the object, fixed before plan */
    char    *key;               /* full object key (prefix included), bytes without NUL */
    char    *name;              /* of the key, without folders, bytes: what applications hear; NULL when only the key matters (abort, remove) */
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
    bool     serial;            /* one PART at a time, in their order */
    bool     probe;             /* after a PART that failed on its way only RESUME knows where to go on */
    bool     notify;            /* NOTIFY follows once the object is there; reads may set it too */
    unsigned without;           /* PHASE_BITs that this upload does not have although its destination has them */
    /* set by reads */
    char      *upload_id;       /* or the URL that stands for it (tus, sessions): stored as long as the upload is open, shown to nobody */
    char      *memo;            /* what else must outlive a restart, in the destination's own words (what NOTIFY says); no secrets; NULL = nothing */
    Grant     *grant;           /* NULL = none, or ended */
    unsigned   step;            /* requests of this phase that are through, where a phase takes several; 0 when a phase begins */
    int64_t    opened_s;        /* wall clock of CreateMultipartUpload, 0 = unknown */
    char      *list_marker;     /* paging of RESUME and FIND; NULL = first page */
    GPtrArray *found;           /* FIND: of char*, upload ids of this key that may be ours */
    char      *etag, *version, *checksum;   /* of the object; checksum as "crc64nvme:BASE64" */
    char      *url;             /* where the object can be fetched, as the server or the application said; NULL = DestOps.url */
    char      *stored_key;      /* the key that server or application chose; NULL = key */
    Verified   verified;
    bool       refused_exists;  /* a write was refused because the key is taken; by us or by another, VERIFY decides */
    char      *note;            /* said on the row ("this store does not list parts: resumed from the journal"); NULL = none */
} Upload;

Upload  *upload_new(const char *key, uint64_t size_bytes, int64_t mtime_ns);
void     upload_free(Upload *up);
void     upload_plan(Upload *up, bool multipart, uint64_t part_size);              /* allocates parts */
uint64_t upload_part_offset(const Upload *up, unsigned part);                      /* parts are numbered from 0 here */
uint64_t upload_part_bytes(const Upload *up, unsigned part);
uint64_t upload_done_bytes(const Upload *up);                                      /* of parts that are done, and what was kept of others */
bool     upload_id_is_url(const char *upload_id);                                   /* then it is a secret; NULL is none */
void     upload_say(Upload *up, const char *note);                                 /* replaces the note */
void     upload_set(char **field, const char *value);                              /* frees what was there; value NULL is fine */
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
    GHashTable *options;        /* char* -> char*: those of DestOps.shared and DestOps.opts that were set; of a repeat option joined by '\n' */
} DestConf;

DestConf   *dest_conf_new(void);
void        dest_conf_free(DestConf *conf);
const char *dest_conf_option(const DestConf *conf, const char *name);               /* NULL when not set */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DestConf, dest_conf_free)

typedef struct {
    char   *access_key, *secret_key, *session_token;    /* of a key pair; NULL = none */
    GHashTable *secrets;        /* char* -> char*: the others, by their names in DestOps.secrets or in a description; NULL = none */
    int64_t expires_s;          /* wall clock; 0 = never */
    char   *origin;             /* "env", "shared-credentials-file": shown, holds no secret */
} Credentials;

void        credentials_free(Credentials *c);           /* wipes first */
const char *credentials_secret(const Credentials *c, const char *name);             /* NULL when c is NULL or has none of this name; borrowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Credentials, credentials_free)

typedef enum { LEARNED_UNKNOWN, LEARNED_WORKS, LEARNED_IGNORED, LEARNED_REFUSED } LearnedState;

/* What an endpoint taught us; kept in the store per endpoint + bucket. Readers change it and set dirty. */
typedef struct {
    char         region[64];    /* "" = not learned */
    int          style;         /* 0 unknown, 1 path, 2 virtual host */
    int64_t      clock_offset_s;/* server - local */
    LearnedState checksum[N_DIGESTS];
    LearnedState list_parts, list_uploads, if_none_match, acl, tagging;
    GHashTable  *facts;         /* char* -> char*: what only one protocol knows ("tus.extensions"); NULL = none. By dest_learned_fact alone */
    bool         dirty;
} DestLearned;

const char *dest_learned_fact(const DestLearned *l, const char *name);                      /* NULL = not learned; borrowed */
void        dest_learned_set_fact(DestLearned *l, const char *name, const char *value);     /* NULL = forget; sets dirty when it changes */
void        dest_learned_clear(DestLearned *l);                                             /* frees what it owns */

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

/* A secret that a destination needs, and the variable that holds it unless the configuration says otherwise (option "secret"). */
typedef struct {
    const char *name;           /* "password" */
    const char *env;            /* "HOIST_DAV_PASSWORD", or several: "A|B", the first that is set counts; NULL = none */
    bool        optional;
    const char *help;
} DestSecret;

typedef enum {
    DEST_FORM_BUCKET,           /* SCHEME://BUCKET/PREFIX */
    DEST_FORM_URL,              /* SCHEME+http://HOST/PATH, SCHEME+https://...: conf->endpoint is the URL behind the '+', bucket is NULL, prefix is "" */
    DEST_FORM_NAME,             /* SCHEME:NAME: conf->bucket is the NAME */
} DestForm;

struct DestOps {
    const char         *scheme;
    DestForm            form;
    const char         *help;           /* "s3://BUCKET/PREFIX" */
    const char *const  *shared;         /* names of options of settings.c that this destination heeds; ends with NULL */
    const HoistOpt     *opts;           /* those that only it knows; ends with {0}; NULL = none */
    const DestSecret   *secrets;        /* ends with {0}; NULL = none. They come in ctx->creds->secrets */
    const char         *endpoint_env, *region_env;      /* variables that tell them unless the configuration does, "A|B" as well; NULL = none */
    bool                aws;            /* signs with the key pair that the AWS tools would use */
    bool                own_public_url; /* url() itself begins with "public-url" where that is set, and adds what belongs to it */
    bool                own_ids;        /* uploads are named by their nonce before anything is asked: upload_id is it from OPEN on */
    void        *(*open)(const DestConf *conf, GError **error);         /* checks and pre-computes; FAULT_USAGE or FAULT_CONFIG */
    void         (*close)(void *priv);
    /* Names of further secrets that this configuration needs (a description names them); NULL-terminated, borrowed from priv. May be NULL. */
    const char *const *(*more_secrets)(const void *priv);
    /* Kinds of digest (bits) that ask(PART) wants in parts[n].digest; 0 = the body need not be read before it is sent. */
    unsigned     (*digests)(const DestCtx *ctx, const Upload *up);
    /* Chooses whole or parts for up->size_bytes; part_size_wanted 0 = the destination's own choice. */
    bool         (*plan)(const DestCtx *ctx, Upload *up, uint64_t part_size_wanted, GError **error);
    char        *(*url)(const DestCtx *ctx, const char *key);           /* plain URL of an object, no signature; NULL when only the server knows; caller frees */
    /* Endpoint as shown and as key of what was learned: "http://127.0.0.1:9000/bucket"; caller frees. */
    char        *(*where)(const DestCtx *ctx);
    /* URL that lets anybody fetch the object for so long; a secret; caller frees. NULL = the protocol has no such thing. */
    char        *(*share)(const DestCtx *ctx, const char *key, unsigned seconds, GError **error);
    DestStep       step[N_PHASES];      /* {NULL} = no such phase */
};

const DestOps *dest_by_scheme(const char *scheme);      /* NULL when unknown */
/* "s3://bucket/a/b" -> scheme, bucket, prefix "a/b/" (always ends in '/' unless empty); the other forms as DestForm says. FAULT_USAGE says what
 * is allowed. */
bool           dest_conf_parse(DestConf *conf, const char *text, GError **error);
/* Plain http to another machine: whoever stands between reads along. */
bool           dest_in_the_clear(const char *url);
/* The same, unless the person allows it (option allow-http): FAULT_USAGE. what: "the token". */
bool           dest_keeps_secret(const DestConf *conf, const char *url, const char *what, GError **error);
/* One line for help and error texts: "s3://BUCKET/PREFIX, tus+https://HOST/PATH, ...". */
const char    *dest_schemes_help(void);
const DestOps *const *dest_table(void);                 /* NULL at the end */
