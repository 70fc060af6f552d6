#include "lane.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <sys/socket.h>

#include "crash.h"
#include "fault.h"
#include "flight.h"

enum {
    CHECK_MOST_MS = 1000,
    CHECK_LEAST_MS = 10,
    FOREVER_MS = 24 * 3600 * 1000,
    SLOW_ANSWER_MS = 600 * 1000,
    TURNS_PER_S = 20, /* how often a second a held transfer gets its share */
    SHARE_LEAST = 1024,
    SHARE_MOST = 256 * 1024,
    HOSTS_MOST = 64, /* remembered as not answering 100 */
};

typedef struct {
    int fd, port; /* port 0: not looked up yet */
} LaneSocket;

struct Lane {
    /* fixed after new */
    LaneShared *shared;
    LaneDone done;
    void *ctx;
    CURLM *multi;
    int64_t check_us;
    /* lane's thread */
    GPtrArray *flights; /* of Flight*, on the multi */
    GPtrArray *idle;    /* of Flight* */
    GQueue held;        /* of Flight*: waiting for their turn at the token bucket */
    GArray *sockets;    /* of LaneSocket */
    GHashTable *silent; /* hosts that let "Expect: 100-continue" run into its timeout */
    int64_t now_us, next_check_us;
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void curl_begin(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

void lane_shared_init(LaneShared *shared, const TransferConf *conf)
{
    pthread_once(&curl_once, curl_begin);
    shared->conf = *conf;
    TransferConf *c = &shared->conf;
    c->connect_ms = c->connect_ms != 0 ? c->connect_ms : 15000;
    c->stall_ms = c->stall_ms != 0 ? c->stall_ms : 60000;
    c->answer_ms = c->answer_ms != 0 ? c->answer_ms : 120000;
    c->max_connections = MAX(c->max_connections, 1);
    shared->ca_file = g_strdup(c->ca_file != NULL ? c->ca_file : curl_version_info(CURLVERSION_NOW)->cainfo);
    c->ca_file = shared->ca_file;
    pthread_mutex_init(&shared->lock, NULL);
    bucket_init(&shared->bucket, c->limit_bps, g_get_monotonic_time());
    atomic_init(&shared->limit_bps, c->limit_bps);
}

void lane_shared_clear(LaneShared *shared)
{
    g_free(shared->ca_file);
    pthread_mutex_destroy(&shared->lock);
}

void lane_shared_set_limit(LaneShared *shared, uint64_t limit_bps)
{
    pthread_mutex_lock(&shared->lock);
    bucket_set_limit(&shared->bucket, limit_bps, g_get_monotonic_time());
    atomic_store(&shared->limit_bps, limit_bps);
    pthread_mutex_unlock(&shared->lock);
}

Lane *lane_new(LaneShared *shared, LaneDone done, void *ctx, GError **error)
{
    CURLM *multi = curl_multi_init();
    /* A multi without its wake-up channel is built all the same; it would sleep through every message. */
    if (multi == NULL || curl_multi_wakeup(multi) != CURLM_OK) {
        fault_set(error, FAULT_MEMORY, "cannot start the transfer module (descriptors or memory)");
        curl_multi_cleanup(multi);
        return NULL;
    }
    curl_multi_poll(multi, NULL, 0, 0, NULL); /* takes that wake-up back */
    /* The cache shrinks with the number of handles unless told otherwise, and closes connections that the next file needs. */
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)shared->conf.max_connections + 4);

    Lane *lane = g_new0(Lane, 1);
    lane->shared = shared;
    lane->done = done;
    lane->ctx = ctx;
    lane->multi = multi;
    const unsigned quickest_ms = MIN(MIN(shared->conf.stall_ms, shared->conf.answer_ms) / 4, CHECK_MOST_MS);
    lane->check_us = MAX(quickest_ms, CHECK_LEAST_MS) * (int64_t)1000;
    lane->flights = g_ptr_array_new();
    lane->idle = g_ptr_array_new_with_free_func((GDestroyNotify)flight_free);
    g_queue_init(&lane->held);
    lane->sockets = g_array_new(FALSE, FALSE, sizeof(LaneSocket));
    lane->silent = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    lane->now_us = g_get_monotonic_time();
    return lane;
}

/* Takes a flight off the multi. Its handle is used again only when the request ended as it should: libcurl 7.88 keeps marks of a
 * pending rewind through curl_easy_reset. */
static void lane_remove(Lane *lane, Flight *f, bool again)
{
    curl_multi_remove_handle(lane->multi, f->easy);
    if (f->held)
        g_queue_remove(&lane->held, f);
    Flight *last = g_ptr_array_index(lane->flights, lane->flights->len - 1);
    last->index = f->index;
    g_ptr_array_remove_index_fast(lane->flights, f->index);
    f->job->flight = NULL;
    flight_reset(f);
    if (again && lane->idle->len < lane->shared->conf.max_connections)
        g_ptr_array_add(lane->idle, f);
    else
        flight_free(f);
}

void lane_free(Lane *lane)
{
    if (lane == NULL)
        return;
    while (lane->flights->len > 0)
        lane_remove(lane, g_ptr_array_index(lane->flights, 0), false);
    g_ptr_array_unref(lane->idle);
    curl_multi_cleanup(lane->multi); /* closes sockets, which says so to the lane */
    g_ptr_array_unref(lane->flights);
    g_queue_clear(&lane->held);
    g_array_unref(lane->sockets);
    g_hash_table_unref(lane->silent);
    g_free(lane);
}

static void lane_end(Lane *lane, Flight *f, CURLcode code, bool stalled)
{
    TransferJob *job = f->job;
    bool again = false;
    job->answer = flight_end(f, code, stalled, &again);
    lane_remove(lane, f, again);
    lane->done(lane->ctx, job);
}

void lane_begin(Lane *lane, TransferJob *job)
{
    if (lane->flights->len == 0) { /* nothing ran: the clock of the last turn is old */
        lane->now_us = g_get_monotonic_time();
        lane->next_check_us = lane->now_us + lane->check_us;
    }
    Flight *f = lane->idle->len > 0 ? g_ptr_array_steal_index_fast(lane->idle, lane->idle->len - 1) : flight_new(lane);
    atomic_store_explicit(&job->moved_us, lane->now_us, memory_order_relaxed);
    f->index = lane->flights->len;
    g_ptr_array_add(lane->flights, f);
    job->flight = f;
    const bool ready = flight_prepare(f, job);
    crash_point("request");
    if (!ready || curl_multi_add_handle(lane->multi, f->easy) != CURLM_OK)
        lane_end(lane, f, ready ? CURLE_FAILED_INIT : CURLE_ABORTED_BY_CALLBACK, false);
}

void lane_drop(Lane *lane, TransferJob *job)
{
    if (job->flight != NULL)
        lane_remove(lane, job->flight, false);
}

/* ---- rate limit ---- */

static uint64_t lane_share_bytes(uint64_t limit_bps)
{
    return CLAMP(limit_bps / TURNS_PER_S, SHARE_LEAST, SHARE_MOST);
}

static void lane_hold(Lane *lane, Flight *f)
{
    f->held = true;
    atomic_store_explicit(&f->job->held, true, memory_order_relaxed);
    g_queue_push_tail(&lane->held, f);
}

uint64_t lane_allowance(Lane *lane, Flight *f, uint64_t wanted)
{
    const uint64_t limit_bps = atomic_load_explicit(&lane->shared->limit_bps, memory_order_relaxed);
    if (limit_bps == 0)
        return wanted;
    uint64_t given = MIN(wanted, f->granted);
    f->granted = 0; /* what is left of a grant is at most the tail of a body */
    if (given == 0 && g_queue_is_empty(&lane->held)) {
        const uint64_t least = MIN(wanted, lane_share_bytes(limit_bps));
        pthread_mutex_lock(&lane->shared->lock);
        if (bucket_wait_us(&lane->shared->bucket, least, lane->now_us) == 0)
            given = bucket_take(&lane->shared->bucket, wanted, lane->now_us);
        pthread_mutex_unlock(&lane->shared->lock);
    }
    if (given == 0)
        lane_hold(lane, f);
    return given;
}

/* Hands out what has gathered in the bucket, one share each, in the order in which they began to wait. */
static void lane_release(Lane *lane)
{
    for (unsigned n = g_queue_get_length(&lane->held); n > 0; n--) {
        Flight *f = g_queue_peek_head(&lane->held);
        const uint64_t limit_bps = atomic_load_explicit(&lane->shared->limit_bps, memory_order_relaxed);
        const uint64_t share = MIN(lane_share_bytes(limit_bps), f->job->rq->body_bytes - f->pos);
        pthread_mutex_lock(&lane->shared->lock);
        const bool enough = bucket_wait_us(&lane->shared->bucket, share, lane->now_us) == 0;
        f->granted = enough ? bucket_take(&lane->shared->bucket, share, lane->now_us) : 0;
        pthread_mutex_unlock(&lane->shared->lock);
        if (!enough)
            return;
        g_queue_pop_head(&lane->held);
        f->held = false;
        atomic_store_explicit(&f->job->held, false, memory_order_relaxed);
        atomic_store_explicit(&f->job->moved_us, lane->now_us, memory_order_relaxed);
        curl_easy_pause(f->easy, CURLPAUSE_CONT);
    }
}

static int64_t lane_release_in_us(Lane *lane)
{
    const uint64_t limit_bps = atomic_load_explicit(&lane->shared->limit_bps, memory_order_relaxed);
    const Flight *f = g_queue_peek_head(&lane->held);
    pthread_mutex_lock(&lane->shared->lock);
    const uint64_t share = MIN(lane_share_bytes(limit_bps), f->job->rq->body_bytes - f->pos);
    const int64_t wait_us = bucket_wait_us(&lane->shared->bucket, share, g_get_monotonic_time());
    pthread_mutex_unlock(&lane->shared->lock);
    return wait_us;
}

/* ---- turns ---- */

/* No total timeout: a request ends when nothing has moved for too long, and what the peer's kernel acknowledges counts as moving. */
static bool lane_is_stalled(Lane *lane, Flight *f)
{
    TransferJob *job = f->job;
    if (f->held || !atomic_load_explicit(&job->connected, memory_order_relaxed))
        return false; /* connecting has curl's own timeout */
    flight_sample(f);
    const TransferConf *conf = &lane->shared->conf;
    int64_t patience_ms = flight_waits(f) ? conf->answer_ms : conf->stall_ms;
    if (job->rq->slow_answer && flight_all_sent(f))
        patience_ms = MAX(SLOW_ANSWER_MS, conf->answer_ms);
    return lane->now_us - atomic_load_explicit(&job->moved_us, memory_order_relaxed) >= patience_ms * 1000;
}

static void lane_check(Lane *lane)
{
    lane->next_check_us = lane->now_us + lane->check_us;
    for (unsigned i = lane->flights->len; i > 0; i--) {
        Flight *f = g_ptr_array_index(lane->flights, i - 1);
        if (lane_is_stalled(lane, f))
            lane_end(lane, f, CURLE_OPERATION_TIMEDOUT, true);
    }
}

void lane_turn(Lane *lane)
{
    if (lane->flights->len == 0)
        return;
    lane->now_us = g_get_monotonic_time();
    if (!g_queue_is_empty(&lane->held))
        lane_release(lane);
    int running = 0;
    curl_multi_perform(lane->multi, &running);

    int left = 0;
    CURLMsg *msg = NULL;
    while ((msg = curl_multi_info_read(lane->multi, &left)) != NULL) {
        Flight *f = NULL;
        const CURLcode code = msg->data.result; /* msg is void once the handle is removed */
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&f);
        lane_end(lane, f, code, false);
    }
    if (lane->now_us >= lane->next_check_us)
        lane_check(lane);
}

void lane_sleep(Lane *lane, int timeout_ms, int extra_fd)
{
    int64_t wait_ms = timeout_ms >= 0 ? timeout_ms : FOREVER_MS;
    if (lane->flights->len > 0)
        wait_ms = MIN(wait_ms, MAX((lane->next_check_us - lane->now_us + 999) / 1000, 0));
    if (!g_queue_is_empty(&lane->held))
        wait_ms = MIN(wait_ms, (lane_release_in_us(lane) + 999) / 1000);
    struct curl_waitfd extra = { .fd = extra_fd, .events = CURL_WAIT_POLLIN };
    curl_multi_poll(lane->multi, &extra, extra_fd >= 0 ? 1 : 0, (int)wait_ms, NULL);
}

void lane_wake(Lane *lane)
{
    curl_multi_wakeup(lane->multi);
}

void lane_sample(Lane *lane, TransferJob *job)
{
    lane->now_us = g_get_monotonic_time();
    if (job->flight != NULL)
        flight_sample(job->flight);
}

char *lane_versions(void)
{
    const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
    return g_strdup_printf("libcurl/%s %s", v->version, v->ssl_version != NULL ? v->ssl_version : "without TLS");
}

int64_t lane_now_us(const Lane *lane)
{
    return lane->now_us;
}

LaneShared *lane_shared(const Lane *lane)
{
    return lane->shared;
}

void lane_socket_opened(Lane *lane, int fd)
{
    const LaneSocket s = { .fd = fd };
    g_array_append_val(lane->sockets, s);
}

void lane_socket_closed(Lane *lane, int fd)
{
    for (unsigned i = 0; i < lane->sockets->len; i++) {
        if (g_array_index(lane->sockets, LaneSocket, i).fd == fd) {
            g_array_remove_index_fast(lane->sockets, i);
            break;
        }
    }
    for (unsigned i = 0; i < lane->flights->len; i++) {
        Flight *f = g_ptr_array_index(lane->flights, i);
        if (f->socket == fd)
            f->socket = -1;
    }
}

static int local_port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_storage room;
    } address;
    socklen_t length = sizeof address;
    if (getsockname(fd, &address.any, &length) != 0)
        return 0;
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

int lane_socket_find(Lane *lane, int local_port)
{
    for (unsigned i = 0; i < lane->sockets->len; i++) {
        LaneSocket *s = &g_array_index(lane->sockets, LaneSocket, i);
        if (s->port == 0)
            s->port = local_port_of(s->fd);
        if (s->port == local_port)
            return s->fd;
    }
    return -1;
}

bool lane_expects(const Lane *lane, const char *host)
{
    return !g_hash_table_contains(lane->silent, host);
}

void lane_expects_not(Lane *lane, const char *host)
{
    if (g_hash_table_size(lane->silent) < HOSTS_MOST)
        g_hash_table_add(lane->silent, g_strdup(host));
}
