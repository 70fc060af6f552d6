/* lane.h - one curl multi handle and the requests that are on it. Internal to the transfer module.
 *
 * A lane belongs to one thread (the engine's for lane 0); only lane_wake may be called from others. It answers by the done function,
 * called from lane_begin and lane_turn in the lane's thread. Times: us monotonic unless the name says ms.
 * Source: libcurl 7.88 manual pages (libcurl-multi, curl_multi_poll, curl_easy_pause).
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "rate.h"
#include "transfer.h"

typedef struct Lane Lane;
typedef struct Flight Flight;

/* What all lanes share. */
typedef struct {
    /* fixed after new */
    TransferConf conf;                  /* defaults filled in */
    char        *ca_file;               /* never NULL when curl knows a bundle */
    /* any thread */
    _Atomic uint64_t limit_bps;
    /* under lock: held for a few instructions, and only while there is a limit */
    pthread_mutex_t lock;
    RateBucket      bucket;
} LaneShared;

void     lane_shared_init(LaneShared *shared, const TransferConf *conf);
void     lane_shared_clear(LaneShared *shared);
void     lane_shared_set_limit(LaneShared *shared, uint64_t limit_bps);

struct TransferJob {
    /* fixed after transfer_start */
    Request *rq;
    int      fd;
    gpointer user;
    unsigned lane;
    /* lane's thread */
    Flight         *flight;             /* NULL before it began and after it ended */
    TransferAnswer *answer;             /* set when done is called, the engine's from then on */
    /* any thread: written by the lane's */
    _Atomic uint64_t sent_bytes, acked_bytes;
    _Atomic int64_t  moved_us;          /* when a byte last moved */
    atomic_bool      connected, answering, held;
    /* engine's thread */
    bool     dispatched;                /* on a lane; else in the backlog */
    unsigned index;                     /* in Transfer's list of what is out */
};

typedef void (*LaneDone)(void *ctx, TransferJob *job);

Lane *lane_new(LaneShared *shared, LaneDone done, void *ctx, GError **error);
void  lane_free(Lane *lane);                                    /* drops what is out; the jobs stay with their owner */
void  lane_begin(Lane *lane, TransferJob *job);                 /* may call done at once */
void  lane_drop(Lane *lane, TransferJob *job);                  /* no done follows; the descriptor is not used after it returns */
void  lane_turn(Lane *lane);                                    /* moves bytes, calls done for what ended, never sleeps */
/* Until a socket or a timer of the lane, extra_fd (-1 = none), lane_wake, or timeout_ms (-1 = no limit). */
void  lane_sleep(Lane *lane, int timeout_ms, int extra_fd);
void  lane_wake(Lane *lane);                                    /* any thread */
void  lane_sample(Lane *lane, TransferJob *job);                /* asks the kernel anew what was acknowledged */
char *lane_versions(void);                                      /* caller frees */

/* For flights. Sockets are remembered here since CURLINFO_ACTIVESOCKET knows none while a request runs (7.88). */
void        lane_socket_opened(Lane *lane, int fd);
void        lane_socket_closed(Lane *lane, int fd);
int         lane_socket_find(Lane *lane, int local_port);       /* -1 = unknown */
int64_t     lane_now_us(const Lane *lane);                      /* of this turn */
LaneShared *lane_shared(const Lane *lane);
bool        lane_expects(const Lane *lane, const char *host);   /* "Expect: 100-continue" pays with this host */
void        lane_expects_not(Lane *lane, const char *host);
/* Bytes that may be read now; 0 = the flight must pause, the lane wakes it when its turn has come. */
uint64_t    lane_allowance(Lane *lane, Flight *flight, uint64_t wanted);
