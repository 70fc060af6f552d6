/* tus_priv.h - what the files of the tus destination share: tus.c walks an upload, tus_create.c begins and joins it, tus_stream.c counts,
 * tus_conf.c knows options and URLs, tus_learn.c the endpoint, tus_answer.c refusals.
 *
 * An upload of one stream has its URL as upload_id. One that the server joins from partial uploads has all their URLs there, separated by
 * blanks: they are made in OPEN, so that a restart knows each of them. Offsets are those of the stream: of the file, or of the part.
 * Threads: engine thread. Units: bytes.
 */
#pragma once

#include "tus.h"

typedef enum { TUS_SUM_AUTO, TUS_SUM_NONE, TUS_SUM_GIVEN } TusSum;

typedef struct {
    char      *endpoint;        /* URL that creates uploads, its query included */
    char      *root;            /* the same without query, ends in '/': what was uploaded lies below */
    GPtrArray *headers;         /* of char* "Name: value" */
    GPtrArray *metadata;        /* of char*: name, base64 of the value, name ... */
    char      *user;            /* basic sign-in; NULL = none */
    bool       override;        /* PATCH and DELETE travel as POST */
    bool       parallel;        /* the person does not forbid parts at once */
    TusSum     sum;
    DigestKind kind;            /* of TUS_SUM_GIVEN */
} Tus;

/* NULL when another road uses our steps. */
static inline const Tus *tus_of(const DestCtx *ctx)
{
    return ctx->ops == &dest_tus ? ctx->priv : NULL;
}

/* tus_conf.c */
extern const HoistOpt    tus_opts[];
extern const DestSecret  tus_secrets[];
extern const char *const tus_shared[];
void    *tus_open(const DestConf *conf, GError **error);
void     tus_close(void *priv);
/* A request with the headers that every one has; credentials and headers of the person go to the endpoint's own origin only. */
/* False and FAULT_USAGE: the address is not encrypted. */
bool     tus_may_sign_in(const DestCtx *ctx, GError **error);
Request *tus_request(const DestCtx *ctx, const Upload *up, const char *method, const char *url);
/* Upload-Metadata of the object. Caller frees. */
char    *tus_metadata(const Tus *tus, const Upload *up);
/* The URL that a Location means, without user, password and fragment; NULL and *error when it is none that can be used. base: URL of the
 * request. Caller frees. */
char    *tus_resolve(const char *base, const char *location, GError **error);
bool     tus_same_origin(const char *a, const char *b);
/* The last segment of a URL's path, decoded; NULL when there is none that could be a key. Caller frees. */
char    *tus_key_of(const char *url);

/* tus_learn.c */
bool     tus_knows(const DestCtx *ctx);                         /* the endpoint was asked, not too long ago */
bool     tus_has(const DestCtx *ctx, const char *extension);
void     tus_forget(const DestCtx *ctx, const char *extension); /* it was announced, but is not there */
uint64_t tus_max_bytes(const DestCtx *ctx);                     /* of a file; 0 = no limit known */
uint64_t tus_body_max(const DestCtx *ctx);                      /* of one request's body; UINT64_MAX = no limit known */
/* A body of so many bytes was too long. False: it cannot be cut any more. */
bool     tus_cut_body(const DestCtx *ctx, uint64_t bytes);
bool     tus_sum(const DestCtx *ctx, DigestKind *kind_out);     /* the checksum that the server verifies and the person does not refuse */
void     tus_sum_refused(const DestCtx *ctx);
/* Where uploads are created, after redirects. Borrowed. */
const char *tus_create_url(const DestCtx *ctx);
void     tus_moved(const DestCtx *ctx, const char *url);
bool     tus_ask_look(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error);
Verdict  tus_read_look(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error);

/* tus_stream.c: the uploads at the server that make up this one */
/* What Part.etag says of one whose checksum the server verified, and Part.handle of one whose offset has to be asked for. */
#define TUS_SUM_VERIFIED   "verified"
#define TUS_OFFSET_UNKNOWN "offset?"
bool     tus_is_joined(const Upload *up);
unsigned tus_streams(const Upload *up);                         /* how many are known */
char    *tus_stream_url(const Upload *up, unsigned n);          /* NULL when it was not created yet; caller frees */
void     tus_set_stream_url(Upload *up, unsigned n, const char *url);
uint64_t tus_stream_bytes(const Upload *up, unsigned part);
uint64_t tus_confirmed_bytes(const Upload *up, unsigned part);  /* what the server said that it has of the part's stream */
bool     tus_take_offset(Upload *up, unsigned part, uint64_t offset);   /* it has this much; true: all of it */
void     tus_remember_object(Upload *up, const char *url);      /* where it can be found, and removed, later */
void     tus_prove(Upload *up);                                 /* all is there: by which right we say so */

/* tus_create.c */
void     tus_add_number(Request *rq, const char *name, uint64_t number);
void     tus_add_sum(const DestCtx *ctx, const Part *part, Request *rq);        /* Upload-Checksum, where one is wanted and known */
/* A small file: its creation, with its bytes where the server takes them. */
bool     tus_ask_small(const DestCtx *ctx, const Upload *up, Request **rq_out, GError **error);
Verdict  tus_read_small(const DestCtx *ctx, Upload *up, const Response *rs, GError **error);
bool     tus_ask_open(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error);
Verdict  tus_read_open(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error);
bool     tus_ask_close(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error);
Verdict  tus_read_close(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error);

/* tus_answer.c */
bool     tus_is_one_of(int status, const int *statuses, unsigned n);
/* A decimal header; false when absent or no number. */
bool     tus_number(const Response *rs, const char *lower_case_name, uint64_t *out);
Verdict  tus_failed(const DestCtx *ctx, const Response *rs, GError **error);
/* 307 and 308 to the same origin; *url_out NULL and false when it is no such answer. *error says where to, or why not. */
bool     tus_redirect(const char *from, const Response *rs, char **url_out, GError **error);
bool     tus_expired(const DestCtx *ctx, const Response *rs);   /* Upload-Expires has passed */
/* 2xx without what tus answers: names the lacking header. */
Verdict  tus_not_tus(const Response *rs, const char *header, Verdict verdict, GError **error);
