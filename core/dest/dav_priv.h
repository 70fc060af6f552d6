/* dav_priv.h - what the files of the WebDAV destination share: dav.c (phases), dav_conf.c (options, addresses, sign-in), dav_answers.c
 * (what servers say). Nobody else includes it.
 *
 * An upload goes one of three ways, and its plan tells which:
 *      whole    not multipart         PUT under its name: Nextcloud and ownCloud, whose PUT is atomic, and servers that cannot MOVE
 *      staged   multipart, one part   PUT to .NAME.hoist-ID beside it, then MOVE: a crash never leaves a short file under the name
 *      chunked  multipart, more       Nextcloud's chunked upload v2: a folder of chunks, then MOVE of its .file
 *
 * Sources: RFC 4918; RFC 9110; Nextcloud developer manual, "Chunked file upload"; ownCloud, "OC-Checksum". Units: bytes, wall-clock
 * seconds. Threads: engine thread only.
 */
#pragma once

#include "dest.h"

#define DAV_MAX_COLLECTIONS 4096        /* known to exist; more, and all are forgotten */

/* Facts learned of a server (dest_learned_fact). */
#define DAV_FACT_AUTH        "dav.auth"         /* "digest": asked for by a 401; absent = Basic */
#define DAV_FACT_PROPFIND    "dav.propfind"     /* "no": HEAD in its place */
#define DAV_FACT_MOVE        "dav.move"         /* "doubt" after one failure, "no" after two: written in place */
#define DAV_FACT_DESTINATION "dav.destination"  /* "path": an absolute URL is refused there (a proxy changes scheme or host) */
#define DAV_FACT_CHUNKING    "dav.chunking"     /* "no": files go whole */

typedef enum { DAV_WHOLE, DAV_STAGED, DAV_CHUNKED } DavWay;
typedef enum { DAV_AUTH_NONE, DAV_AUTH_BASIC, DAV_AUTH_DIGEST, DAV_AUTH_BEARER, DAV_AUTH_AUTO } DavAuth;

/* What open made of the configuration. */
typedef struct {
    char      *origin;          /* "https://host:8080" */
    char      *path;            /* "/remote.php/dav/files/me/photos", percent-encoded, without a slash at its end */
    unsigned   path_segments;
    bool       plain;           /* http beyond this machine: no secret goes there unless the person chose how (auth is not AUTO) */
    bool       nextcloud;
    char      *chunks;          /* "/remote.php/dav/uploads/me": where folders of chunks are made; NULL = cannot be */
    char      *user;            /* NULL = none */
    bool       share_link;      /* a public link: the user is its token, a password need not be */
    DavAuth    auth;
    bool       only_new;        /* if-exists skip or fail */
    bool       checks;          /* digest is sent and compared */
    DigestKind digest;
    GHashTable *collections;    /* set of char*, paths with their slash: known to exist */
} Dav;

static inline Dav *dav_of(const DestCtx *ctx)
{
    return ctx->priv;
}

DavWay dav_way(const Upload *up);

/* ---- dav_conf.c */

extern const char *const dav_shared[];
extern const HoistOpt dav_opts[];
extern const DestSecret dav_secrets[];
void    *dav_open(const DestConf *conf, GError **error);
void     dav_close(void *priv);
/* Paths below the origin, percent-encoded; caller frees. Level 0 is the collection that key lies in, each further one its parent; NULL = there
 * is none above. */
char    *dav_object_path(const Dav *dav, const char *key);
char    *dav_collection_path(const Dav *dav, const char *key, unsigned level);
/* Where the bytes go before they get their name: ".NAME.hoist-ID" beside it, or the folder of chunks with its slash. */
char    *dav_staging_path(const Dav *dav, const Upload *up);
bool     dav_key_valid(const char *key, GError **error);
/* path is copied. Signed in; NULL and an error when a secret is missing. */
Request *dav_request(const DestCtx *ctx, const char *method, const char *path, GError **error);
/* What is used now, of what was asked for and what was learned. */
DavAuth  dav_auth_now(const DestCtx *ctx);

/* ---- dav_answers.c */

typedef struct {
    bool     collection, has_size;
    uint64_t size_bytes;
    char    *etag;              /* NULL = not told */
    int64_t  modified_s;        /* 0 = not told */
    char    *checksums;         /* "SHA1:... MD5:..."; NULL = none */
} DavStat;

#define DAV_CHUNK_DIGITS 5              /* "00001": assembled in order of name */

void     dav_stat_clear(DavStat *stat);
/* PROPFIND of depth 0, or HEAD where the server has no PROPFIND. */
Request *dav_stat_request(const DestCtx *ctx, const char *path, GError **error);
/* *stat_out is filled on VERDICT_OK; MORE means that nothing is there (404). */
Verdict  dav_stat_read(const DestCtx *ctx, const Response *rs, DavStat *stat_out, GError **error);
/* PROPFIND of depth 1 of the folder of chunks: sets parts[].done by name and size. */
Request *dav_list_request(const DestCtx *ctx, const char *path, GError **error);
Verdict  dav_list_read(const DestCtx *ctx, Upload *up, const Response *rs, GError **error);

typedef enum { DAV_PROOF_NONE, DAV_PROOF_CHECKSUM, DAV_PROOF_WRONG } DavProof;
/* What the server's checksums say of the object. A lone checksum of the kind that was sent is our own word handed back. Sets up->checksum. */
DavProof dav_prove(const DestCtx *ctx, Upload *up, const char *checksums);
/* "SHA1:HEX", or NULL when there is none to send. Caller frees. */
char    *dav_checksum_text(const DestCtx *ctx, const Upload *up);

bool     dav_succeeded(const Response *rs);             /* 2xx, but 207 only when nothing in it failed */
/* Verdict of an answer that is no success; learns how to sign in; sets *error. */
Verdict  dav_failed(const DestCtx *ctx, const Upload *up, const Response *rs, GError **error);
