/* transfer.h - Request in, Response or fault out. Behind it lane.c (a curl multi handle) and flight.c, flight_end.c (one request on an
 * easy handle): these and their headers are the only files that include curl.
 *
 * Lanes: lane 0 lives in the engine thread (transfer_wait is its curl_multi_poll); further lanes are threads with a multi handle
 * each, used when most requests go over TLS, so that encryption uses more than one core. Their answers come back through a mailbox.
 * Threads: all functions belong to the engine thread, except transfer_wake. Times: ms, us monotonic. Sizes: bytes of body.
 * Requests beyond max_connections wait here; their time does not run. No total timeout: only silence ends a request.
 * Source: libcurl 7.88 manual pages; every option that is set says why.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "dest/dest.h"

typedef struct Transfer Transfer;
typedef struct TransferJob TransferJob;         /* one request that is out; valid until its answer was taken or it was cancelled */

typedef struct {
    unsigned    max_connections;    /* over all lanes */
    unsigned    lanes;              /* 0 = https bodies over 64 KiB go to as many as cores, the rest to lane 0; N = all go to N */
    uint64_t    limit_bps;          /* bytes a second over all; 0 = none */
    const char *ca_file;            /* NULL = the system's bundle */
    unsigned    connect_ms;         /* 0 = 15000 */
    unsigned    stall_ms;           /* no byte moved: 0 = 60000 */
    unsigned    answer_ms;          /* all sent, no answer: 0 = 120000; slow answers get 600000 */
} TransferConf;

typedef struct {
    uint64_t sent_bytes;            /* accepted by the socket or TLS layer; falls back after a rewind */
    uint64_t acked_bytes;           /* acknowledged by the peer's kernel: sent minus what is still queued */
    unsigned quiet_ms;              /* since the last byte moved either way */
    bool     connecting, waiting;   /* no connection yet; all sent and no answer yet */
} TransferProgress;

typedef struct {
    gpointer  user;
    Response *rs;                   /* NULL when error is set */
    GError   *error;                /* FAULT_*: network, cancelled source, answer too large; owned */
    uint64_t  sent_bytes;
    bool      free_retry;           /* a reused connection was dead before any byte of answer: not a try */
} TransferAnswer;

/* Copies conf. Ignores SIGPIPE for the process unless it has a handler: OpenSSL writes without MSG_NOSIGNAL. */
Transfer *transfer_new(const TransferConf *conf, GError **error);
void      transfer_free(Transfer *t);                       /* cancels what is out */

/* Sends rq (taken). Answers are any status, redirects and early refusals included; none is followed or repeated, except that curl
 * sends anew at once when a reused connection was dead. fd serves the file spans by pread and must stay open until the answer was taken
 * or the job cancelled; -1 when the body has no file span. A source that ends early gives FAULT_SOURCE_CHANGED, a read error FAULT_SOURCE_IO.
 * A request with a user signs in by HTTP Digest (RFC 7616): a first 401 is answered here and is no answer to the caller, a second one is. */
TransferJob *transfer_start(Transfer *t, Request *rq, int fd, gpointer user);
void         transfer_cancel(Transfer *t, TransferJob *job);        /* no answer follows; returns when fd is no longer used */
void         transfer_progress(Transfer *t, const TransferJob *job, TransferProgress *out);

TransferAnswer *transfer_take(Transfer *t);                 /* next answer or NULL; its TransferJob is gone */
void            transfer_answer_free(TransferAnswer *answer);

/* Runs lane 0 and sleeps until something happened, extra_fd is readable (-1 = none), a wake came or timeout_ms passed (-1 = no limit). */
void     transfer_wait(Transfer *t, int timeout_ms, int extra_fd);
void     transfer_wake(Transfer *t);                        /* any thread */
void     transfer_set_limit(Transfer *t, uint64_t limit_bps);
unsigned transfer_active(const Transfer *t);
char    *transfer_versions(void);                           /* for --version: "libcurl/7.88.1 OpenSSL/3.0.19"; caller frees */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TransferAnswer, transfer_answer_free)
