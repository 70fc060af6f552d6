/* errand.h - one-off requests without the queue: what hoist.h offers as hoist_share and hoist_remove.
 *
 * An errand opens a destination as a batch does (settings, secrets), walks one phase of it by hand (MORE, AGAIN, up to ERRAND_TRIES for
 * RETRY and a broken connection). What the queue learned of the endpoint (region, clock) is used; what the errand learns is forgotten. It writes
 * nothing. No threads of its own: whoever calls waits.
 * Times: s, ms. Threads: any, one errand at a time in each.
 */
#pragma once

#include "creds.h"
#include "dest/dest.h"
#include "transfer.h"

#define ERRAND_TRIES        3
#define ERRAND_MAX_REQUESTS 20      /* of one key, whatever the verdicts say */

typedef enum { ERRAND_SHARE, ERRAND_REMOVE } ErrandKind;

typedef struct {
    AwsConfig     *aws;
    HoistSettings *settings;        /* with "to" set */
    DestConf      *conf;
    const DestOps *ops;
    void          *priv;
    Credentials   *creds;
    DestLearned    learned;
} Errand;

/* "s3://bucket/a/b.jpg" -> "s3://bucket", "a/b.jpg"; "NAME/a" -> "NAME", "a"; "dav+https://host/dir/a%20b" -> "dav+https://host/dir/", "a b".
 * FAULT_USAGE when a half is missing. Caller frees both. */
bool errand_split(const char *dest_key, char **dest_out, char **key_out, GError **error);
bool errand_possible(const DestOps *ops, ErrandKind kind);
/* dest: as "to". Zeroed memory; clear it whatever the result. FAULT_USAGE when the road has no such thing. */
bool errand_open(Errand *errand, const HoistSettings *settings, const char *dest, ErrandKind kind, GError **error);
void errand_clear(Errand *errand);
/* Walks PHASE_REMOVE for a key (full, prefix included). *absent_out: the server said that there is no such object, which is no error. */
bool errand_remove(Errand *errand, Transfer *transfer, const char *key, bool *absent_out, GError **error);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Errand, errand_clear)
