/* broker_priv.h - what the files of the broker road share: broker_desc.c (reads descriptions), broker_check.c (is one sound?), broker_text.c
 * (templates), broker_ask.c (requests to the application and what is read out of answers), broker_grant.c (grants and when they end),
 * broker.c (whole uploads, notify, the table), broker_parts.c (presigned parts), broker_inner.c (roads of other protocols). Nobody else includes it.
 *
 * A broker is an application that hands out the right to upload: a signed URL, the fields of a form, a token, a session. What it is asked
 * and how it answers is a description, schema "hoist-broker-1": assets/brokers/README.md.
 *
 * Secrets: grants and part URLs live in up->grant and up->parts[].handle. The memo holds the values that result and notify name, and a
 * description in which one of them is a secret is refused when it is opened. Threads: engine thread only.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "answer.h"
#include "body.h"
#include "dest.h"
#include "form.h"
#include "json.h"

#define BROKER_SCHEMA      "hoist-broker-1"
#define BROKER_LEEWAY_S    30           /* a grant that ends within this time is asked for anew */
#define BROKER_ENDED       INT64_C(-1)  /* Grant.expires_s once ask found that it has ended: the answer that comes is that of a new grant */
#define BROKER_MAX_NOTIFY  8

/* ---- descriptions: what broker_desc.c reads. NULL = not given, if nothing else is said ---- */

/* Where a value comes from: one of pointer, header, xml, constant. */
typedef struct {
    char     *name;
    char     *pointer, *header, *xml;
    JsonNode *constant;
    bool      optional;
    bool      resolve;      /* a URL, relative to that of the request */
    bool      secret;       /* never kept: result and notify may not name it */
} Source;

/* A request to the application, in templates. */
typedef struct {
    bool       given;
    char      *method, *url;
    GPtrArray *query, *headers, *form, *urlencoded; /* of char*: name, template, name, template ... */
    JsonNode  *json;
    char      *body;
    GArray    *ok;          /* of int; NULL = 200..299 */
    int64_t    timeout_s;   /* 0 = not given; over 30 s makes the answer a slow one */
    char      *refusal;     /* pointer: where something stands, the application refuses although its status says that all is well */
    GPtrArray *extract;     /* of Source* */
} DescRequest;

typedef struct {
    bool       given;
    char      *kind, *protocol, *method, *url, *headers_from, *fields_from, *file_field;
    GPtrArray *headers, *fields;    /* pairs as above */
    GPtrArray *types;       /* of char*, "image/ *" */
    GArray    *ok;
    int64_t    part_size, max_size; /* 0 = not given */
} DescUpload;

typedef struct {
    bool        given;
    DescRequest listing;    /* the request of "list" */
    char       *parts, *number, *etag, *size;
} DescList;

typedef struct {
    bool        given;
    int64_t     threshold;  /* -1 = not given */
    DescRequest create, sign, complete, abort;
    DescList    list;
    char       *part_urls;
    GPtrArray  *part_names; /* of char*: two; NULL = PartNumber, ETag */
} DescParts;

typedef struct {
    char       *file;       /* where it was read, for errors */
    char       *schema, *name, *about;
    GPtrArray  *vars;       /* pairs; a value NULL has to be set by the person */
    GPtrArray  *allow_env;  /* of char* */
    DescRequest grant;
    DescUpload  upload;
    GPtrArray  *after;      /* of Source* */
    GPtrArray  *notify;     /* of DescRequest* */
    GPtrArray  *result;     /* pairs */
    DescParts   multipart;
} Description;

/* Strict: unknown members and wrong types are FAULT_CONFIG, with file and pointer. name: that of a description that comes with hoist or lies
 * in the person's folder for them, or the path of a file (it holds a '/' or ends with ".json"). */
Description *description_load(const char *name, GError **error);
Description *description_parse(const char *text, size_t bytes, const char *file, GError **error);
void         description_free(Description *d);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Description, description_free)
const char  *pair_value(const GPtrArray *pairs, const char *name);      /* NULL pairs are fine; NULL when absent */
const Source *source_by_name(const GPtrArray *sources, const char *name);

/* ---- templates ---- */

#define MAX_FILTERS 4

/* "{{grant.name|path}}" taken apart. */
typedef struct {
    char    *text;          /* between the braces, without spaces: the name under which the memo keeps the value */
    char    *root, *member; /* member NULL: a bare name */
    char    *filters[MAX_FILTERS];
    unsigned n_filters;
} Placeholder;

/* Calls visit for each placeholder of a template; false at once when it does, or when the template is no template (FAULT_CONFIG). literal
 * may be NULL. whole: the template is this placeholder and nothing else. */
typedef struct {
    bool (*placeholder)(const Placeholder *p, bool whole, void *data, GError **error);
    void (*literal)(const char *text, size_t bytes, void *data);
    void *data;
} Visitor;
bool template_visit(const char *text, const Visitor *visitor, GError **error);
bool template_visit_json(JsonNode *node, const Visitor *visitor, GError **error);
bool filter_known(const char *name);
/* Is it {{file.MEMBER}}, and which digests does it take? */
bool file_member_digests(const char *member, unsigned *digests_out);

typedef enum { FILL_OK, FILL_ABSENT, FILL_FAILED } Fill;    /* ABSENT: an optional value is not there */

typedef struct Broker Broker;

/* What placeholders see. All borrowed; what is NULL is absent. */
typedef struct {
    const DestCtx  *ctx;
    const Upload   *up;
    const Grant    *grant;
    JsonObject     *answer;     /* by name, from "after" and "complete" */
    JsonObject     *mp;         /* from "create" */
    JsonObject     *memo;       /* by Placeholder.text: before anything else */
    JsonNode       *parts;      /* {{parts}} */
    const Response *uploaded;
    unsigned        part;       /* from 0 */
} Scope;

Fill fill_text(const Scope *s, const char *text, char **out, GError **error);           /* caller frees, as a secret */
Fill fill_json(const Scope *s, JsonNode *node, JsonNode **out, GError **error);         /* a string that is one placeholder keeps its type */
/* The value of one placeholder, filtered; NULL with FILL_ABSENT. */
Fill fill_value(const Scope *s, const Placeholder *p, JsonNode **out, GError **error);

/* ---- an opened broker ---- */

typedef struct {
    const char *name;           /* "token" */
    char       *header;         /* "Authorization" */
    const char *before;         /* "Bearer " */
} SignIn;

struct Broker {
    Description *desc;
    GHashTable  *vars, *env;    /* char* -> char* */
    GArray      *sign_ins;      /* of SignIn */
    GPtrArray   *secrets;       /* of char*, NULL-terminated: their names */
    GPtrArray   *kept;          /* of char*, Placeholder.text: what result and notify name of file, grant, answer ...: goes into the memo */
    char        *origin;        /* "https://app.example.com" of the application; NULL = it is never asked */
    bool         plain_ok;      /* uploads may go over http */
    unsigned     digests;       /* bits that templates name */
    uint64_t     parts_from;    /* larger files go in parts; UINT64_MAX = none does */
    const DestOps *inner;       /* road of another protocol that follows the grant; NULL = none */
    DestConf    *inner_conf;
    void        *inner_priv;
    Credentials *inner_creds;   /* temporary keys; NULL = none yet */
    int64_t      inner_until_s; /* after that they are asked for anew; 0 = they do not end */
    GHashTable  *asked;         /* broker_inner.c: which requests that are out ask for a grant */
};

static inline Broker *broker_of(const DestCtx *ctx)
{
    return ctx->priv;
}

/* "https://app.example.com:8443", a usual port left out; NULL when it is no web address. Caller frees. */
char *url_origin(const char *url);

/* ---- broker_check.c: at open ---- */

bool  broker_check(Broker *b, const DestConf *conf, GError **error);   /* fills vars, env, secrets, kept, origin, digests */
/* A template that names variables and the environment alone; NULL when it names more. Caller frees. */
char *broker_fixed_text(const Broker *b, const char *text);

/* ---- broker_ask.c ---- */

/* A request to the application. ABSENT when an optional value that it names is not there. With sign-in where the origin is the application's. */
Fill broker_request(const Scope *s, const DescRequest *d, Request **rq_out, GError **error);
bool status_ok(const GArray *ok, int status);
/* Verdict of a refusal by the application; sets *error. */
Verdict broker_refused(const DestCtx *ctx, const Response *rs, const char *what, GError **error);
/* Reads the sources out of an answer. json_out (may be NULL) gets the document, NULL when the answer holds none and no source needs it.
 * url: of the request, for "resolve"; may be NULL. what: "the application's grant". FAULT_BAD_ANSWER names the pointer. */
bool broker_extract(const GPtrArray *sources, const Response *rs, const char *url, const char *what, JsonObject **out, Json **json_out,
                    GError **error);
/* The request succeeded, and no word of refusal is in its answer. Else the verdict, *error set. */
bool broker_accepted(const DestCtx *ctx, const DescRequest *d, const Response *rs, const char *what, Verdict *verdict_out, GError **error);
/* Is this an address that bytes may be sent to? FAULT_BAD_ANSWER, FAULT_ENDPOINT. */
bool broker_check_url(const Broker *b, const char *url, GError **error);
/* A header of a name and a value from an answer. */
bool broker_check_header(const char *name, const char *value, GError **error);

/* ---- broker_grant.c ---- */

/* Is a grant at hand that will last? One that will not is marked as ended. */
bool     grant_fresh(const DestCtx *ctx, const Upload *up);
bool     grant_ask(const DestCtx *ctx, const Upload *up, Request **rq_out, GError **error);
/* Puts up->grant. VERDICT_OK: it is there. VERDICT_MORE: the application has the file already, there is nothing to upload. */
Verdict  grant_read(const DestCtx *ctx, Upload *up, const Response *rs, GError **error);
/* A grant of extracted values (and the document they come from, may be NULL). */
Fill     grant_fill(const Scope *s, JsonObject *values, Json *json, Grant **out, GError **error);
void     grant_drop(Upload *up);
/* When a signed URL or a form ends, wall clock; 0 = it does not say. */
int64_t  url_expires_s(const char *url);
/* From when on another one is asked for; 0 = never. What would end at once by our clock is tried all the same: the store's clock counts. */
int64_t  renew_at_s(const DestCtx *ctx, int64_t expires_s);
int64_t  fields_expire_s(const GPtrArray *fields);
int64_t  time_text_s(const char *text, int64_t now_s);      /* "2026-01-15T10:30:00Z", unix seconds, milliseconds, seconds from now */
/* Put into values: the text, and for what is no string its JSON as well. */
void     values_put(GHashTable *values, const char *name, JsonNode *node);
JsonNode *values_get(const GHashTable *values, const char *name);       /* NULL = absent; caller unrefs */
/* Does the store say that a signature has ended? code and message may be NULL. */
bool     words_say_expired(const char *code, const char *message);

/* ---- the memo: what must outlive a restart ---- */

/* Its members: "names" (by Placeholder.text), "mp", "inner" (the memo of the inner road), "closed". Never NULL; caller unrefs. */
JsonObject *memo_read(const Upload *up);
void        memo_write(Upload *up, JsonObject *memo);
JsonObject *memo_object(JsonObject *memo, const char *member);      /* NULL when absent; borrowed */
/* Keeps what result and notify will name, as far as the scope has it now. */
bool        memo_keep(const Scope *s, Upload *up, GError **error);

/* ---- broker.c ---- */

/* The object is there: reads "after", or takes what complete gave (extracted, may be NULL), sets url and stored_key, fills the memo. */
Verdict broker_stored(const Scope *s, Upload *up, const Response *rs, JsonObject *extracted, GError **error);
/* Compares what a store says with the digest of the bytes it got: VERIFIED_*, or false with FAULT_CHECKSUM. */
bool    broker_prove(const Response *rs, const DigestSet *digest, Verified *verified_out, GError **error);
/* Is an ETag (may be NULL) the MD5 of these bytes? */
bool    etag_is_md5(const char *etag, const DigestSet *digest);
/* Refusal by the store of a presigned URL; sets *error. url: the presigned one, may be NULL. may_renew_out: a new grant may cure it. */
Verdict store_refused(const DestCtx *ctx, const Response *rs, const char *url, bool *may_renew_out, GError **error);

/* A way through the phases; the table of the road hands every call on to one of these. */
typedef struct {
    unsigned (*digests)(const DestCtx *ctx, const Upload *up);
    bool     (*plan)(const DestCtx *ctx, Upload *up, uint64_t part_size_wanted, GError **error);
    DestStep   step[N_PHASES];
} BrokerWay;

extern const BrokerWay broker_parts, broker_inner;

/* ---- broker_inner.c ---- */

bool inner_open(Broker *b, const DestConf *conf, GError **error);
void inner_close(Broker *b);
