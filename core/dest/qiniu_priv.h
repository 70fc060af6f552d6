/* qiniu_priv.h - what the files of the Qiniu Kodo road share; nobody else includes it.
 *
 * Files up to 4 MiB go as one form. Larger ones in parts: resumable v2 (init, part, list, complete, abort), or v1 (mkblk, mkfile) for old
 * servers. Which host takes uploads the query API says; it is learned, and changed when a host fails or names another region.
 * Who may upload is said by a token: signed here with the person's keys, or handed out by an application (Upload.grant: values "token",
 * "key", "domain"). Its policy can be read without the secret and is checked before anything is sent.
 * Sources: developer.qiniu.com/kodo: put policy (1206), form upload (1312), mkblk, bput, mkfile (1286, 1292, 1287), multipart v2
 * (6364..6368, 6858), error responses (3928); qiniu Python SDK 7.18. Threads: engine thread only.
 */
#pragma once

#include "answer.h"
#include "dest.h"
#include "form.h"
#include "json.h"
#include "qiniu_sign.h"

#define QINIU_MAX_KEY_BYTES 750
#define QINIU_ETAG_PREFIX   "qetag:"            /* of Upload.checksum */

typedef enum { QINIU_V2, QINIU_V1, QINIU_FORM } QiniuWay;

typedef struct {
    char     *bucket;           /* NULL: the token names it */
    QiniuWay  way;              /* of files that are too large for a form */
    bool      plain;            /* http, not https */
    bool      only_new;         /* --if-exists skip or fail */
    char    **hosts;            /* for uploads; NULL = the query API knows */
    char     *rs;               /* for stat and delete; NULL = the query API knows */
    char    **query;            /* hosts of the query API */
    unsigned  query_at;         /* the one that is asked next */
    char     *public_url;       /* without '/' at its end; NULL = not told */
    char     *fop;              /* as it goes into a URL; NULL = none */
    int64_t   token_life_s;
    GPtrArray *vars, *metas, *traits;   /* of char*: name, value ...: "x:NAME"; "x-qn-meta-NAME"; "cacheControl" and the like */
    GHashTable *asked;          /* char* "upload/phase/part" -> char* host, or "?" for the query: requests whose answer is not read yet */
} Qiniu;

static inline Qiniu *qiniu_of(const DestCtx *ctx)
{
    return ctx->priv;
}

/* ---- qiniu_conf.c */

extern const HoistOpt          qiniu_opts[];
extern const char *const       qiniu_shared[];
extern const DestSecret        qiniu_secrets[];
void *qiniu_open(const DestConf *conf, GError **error);
void  qiniu_close(void *priv);

/* ---- qiniu_policy.c: who may upload what */

/* A right to upload one object. */
typedef struct {
    char *token;                /* a secret */
    char *access, *bucket;
    char *key;                  /* NULL: the policy or the server chooses */
    bool  own_answer;           /* the answer is that of a template or of an application, not {hash, key} */
} QiniuPass;

/* Signed now, or that of the grant; checked against the file. NULL: FAULT_NO_CREDENTIALS, FAULT_EXPIRED, FAULT_TOO_LARGE ... */
QiniuPass *qiniu_pass_new(const DestCtx *ctx, const Upload *up, GError **error);
void       qiniu_pass_free(QiniuPass *pass);
/* The person's keys; false when there are none. Borrowed. */
bool       qiniu_keys(const DestCtx *ctx, QiniuKeys *keys_out);
int64_t    qiniu_now_s(const DestCtx *ctx);                     /* by the server's clock */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QiniuPass, qiniu_pass_free)

/* ---- qiniu_hosts.c */

bool        qiniu_lacks_hosts(const DestCtx *ctx);
bool        qiniu_ask_hosts(const DestCtx *ctx, const Upload *up, Request **rq_out, GError **error);
Verdict     qiniu_read_hosts(const DestCtx *ctx, const Response *rs, GError **error);
const char *qiniu_up_host(const DestCtx *ctx);                  /* borrowed; "up.example:8080" */
const char *qiniu_rs_host(const DestCtx *ctx);                  /* likewise */
/* That host failed: another one is next, if there is one. */
void        qiniu_leave_host(const DestCtx *ctx, const char *host);
/* "incorrect region, please use up-z1.qiniup.com": that host is next. False when the text names none that may be believed. */
bool        qiniu_learn_region(const DestCtx *ctx, const char *words);
/* May the token go to this host, of which a server told? Only one of the same family: same name, or same last two labels. */
bool        qiniu_host_is_kin(const char *host, const char *known);
/* Takes path. */
Request    *qiniu_request(const DestCtx *ctx, const char *method, const char *host, char *path);

/* ---- qiniu_answer.c */

/* Etag that the object must have; NULL when it cannot be told (a digest is missing, parts over 4 MiB). Caller frees. */
char   *qiniu_expected_etag(const Upload *up);
/* Digests that the ways need. */
unsigned qiniu_digests(const DestCtx *ctx, const Upload *up);
/* The answer to the form, mkfile or complete: what it proves, what it says of the key, what it means. */
Verdict qiniu_read_object(const DestCtx *ctx, Upload *up, const Response *rs, GError **error);
Verdict qiniu_failed(const DestCtx *ctx, const Upload *up, const Response *rs, GError **error);

/* ---- qiniu_parts.c */

bool    qiniu_ask_open(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error);
Verdict qiniu_read_open(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error);
bool    qiniu_ask_resume(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error);
Verdict qiniu_read_resume(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error);
bool    qiniu_ask_part(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error);
Verdict qiniu_read_part(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error);
bool    qiniu_ask_close(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error);
bool    qiniu_ask_abort(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error);
Verdict qiniu_read_abort(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error);

/* ---- qiniu_blocks.c: the same of v1 */

bool    qiniu_ask_expired_block(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error);
Verdict qiniu_read_expired_block(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error);
bool    qiniu_ask_block(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error);
Verdict qiniu_read_block(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error);
bool    qiniu_ask_mkfile(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error);

/* ---- qiniu_object.c: what is said of an object that is there */

bool    qiniu_ask_stat(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error);
Verdict qiniu_read_look(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error);
Verdict qiniu_read_verify(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error);
bool    qiniu_ask_remove(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error);
Verdict qiniu_read_remove(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error);
char   *qiniu_url(const DestCtx *ctx, const char *key);
char   *qiniu_share(const DestCtx *ctx, const char *key, unsigned seconds, GError **error);
