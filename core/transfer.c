#include "transfer.h"

#include <signal.h>
#include <unistd.h>

#include "crash.h"
#include "fault.h"
#include "flight.h"
#include "lane.h"
#include "mailbox.h"

enum { LANES_MOST = 64 };

typedef enum { LANE_BEGIN, LANE_DROP, LANE_STOP } LaneOrder;

typedef struct {
    LaneOrder order;
    TransferJob *job;
} LaneMessage;

/* A lane with a thread of its own. */
typedef struct {
    /* fixed after new */
    Transfer *transfer;
    Lane *lane;
    Mailbox *orders;  /* of LaneMessage*, to the lane */
    Mailbox *dropped; /* of TransferJob*, from the lane: its descriptor is free */
    pthread_t thread;
    /* engine's thread */
    unsigned out;
} LaneThread;

struct Transfer {
    /* fixed after new */
    LaneShared shared;
    Lane *lane;    /* lane 0 */
    Mailbox *done; /* of TransferJob*, from the other lanes */
    unsigned most_lanes;
    /* engine's thread */
    GPtrArray *threads; /* of LaneThread*: lanes 1 and up */
    GPtrArray *jobs;    /* of TransferJob*: all that were started and not yet taken */
    GQueue ready;       /* of TransferJob*: answers of lane 0 */
    GQueue backlog;     /* of TransferJob*: beyond max_connections */
    unsigned out;       /* on all lanes */
    unsigned lane0_out;
};

/* ---- the other lanes ---- */

static void on_thread_done(void *ctx, TransferJob *job)
{
    LaneThread *lt = ctx;
    mailbox_send(lt->transfer->done, job);
}

static bool lane_obey(LaneThread *lt, LaneMessage *message)
{
    const LaneOrder order = message->order;
    if (order == LANE_BEGIN)
        lane_begin(lt->lane, message->job);
    if (order == LANE_DROP) {
        lane_drop(lt->lane, message->job);
        mailbox_send(lt->dropped, message->job);
    }
    g_free(message);
    return order != LANE_STOP;
}

static void *lane_main(void *ctx)
{
    LaneThread *lt = ctx;
    bool running = true;
    while (running) {
        LaneMessage *message = NULL;
        while (running && (message = mailbox_take(lt->orders)) != NULL)
            running = lane_obey(lt, message);
        if (!running)
            break;
        lane_turn(lt->lane);
        lane_sleep(lt->lane, -1, -1);
    }
    return NULL;
}

static void lane_order(LaneThread *lt, LaneOrder order, TransferJob *job)
{
    LaneMessage *message = g_new(LaneMessage, 1);
    *message = (LaneMessage){ order, job };
    mailbox_send(lt->orders, message);
}

static void wake_lane(void *ctx)
{
    lane_wake(ctx);
}

static void lane_thread_free(LaneThread *lt)
{
    if (lt == NULL)
        return;
    lane_order(lt, LANE_STOP, NULL);
    pthread_join(lt->thread, NULL);
    lane_free(lt->lane);
    mailbox_free(lt->orders);
    mailbox_free(lt->dropped);
    g_free(lt);
}

static int start_thread(LaneThread *lt)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the main thread */
    const int code = pthread_create(&lt->thread, NULL, lane_main, lt);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

/* One lane less is no failure: the others carry on. */
static void add_lane(Transfer *t)
{
    LaneThread *lt = g_new0(LaneThread, 1);
    lt->transfer = t;
    lt->lane = lane_new(&t->shared, on_thread_done, lt, NULL);
    if (lt->lane != NULL) {
        lt->orders = mailbox_new(wake_lane, lt->lane, g_free);
        lt->dropped = mailbox_new(NULL, NULL, NULL);
        if (start_thread(lt) == 0) {
            g_ptr_array_add(t->threads, lt);
            return;
        }
    }
    t->most_lanes = t->threads->len + 1;
    lane_free(lt->lane);
    mailbox_free(lt->orders);
    mailbox_free(lt->dropped);
    g_free(lt);
}

/* ---- start and end ---- */

static void on_done(void *ctx, TransferJob *job)
{
    Transfer *t = ctx;
    g_queue_push_tail(&t->ready, job);
}

static void ignore_broken_pipes(void)
{
    struct sigaction now;
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

Transfer *transfer_new(const TransferConf *conf, GError **error)
{
    ignore_broken_pipes(); /* OpenSSL writes without MSG_NOSIGNAL */
    (void)fault_quark();
    Transfer *t = g_new0(Transfer, 1);
    lane_shared_init(&t->shared, conf);
    t->lane = lane_new(&t->shared, on_done, t, error);
    if (t->lane == NULL) {
        lane_shared_clear(&t->shared);
        g_free(t);
        return NULL;
    }
    t->done = mailbox_new(wake_lane, t->lane, NULL);
    t->most_lanes = conf->lanes != 0 ? conf->lanes : g_get_num_processors();
    t->most_lanes = MIN(MIN(t->most_lanes, LANES_MOST), t->shared.conf.max_connections);
    t->threads = g_ptr_array_new_with_free_func((GDestroyNotify)lane_thread_free);
    t->jobs = g_ptr_array_new();
    g_queue_init(&t->ready);
    g_queue_init(&t->backlog);
    return t;
}

static void job_free(Transfer *t, TransferJob *job)
{
    TransferJob *last = g_ptr_array_index(t->jobs, t->jobs->len - 1);
    last->index = job->index;
    g_ptr_array_remove_index_fast(t->jobs, job->index);
    transfer_answer_free(job->answer);
    request_free(job->rq);
    g_free(job);
}

void transfer_free(Transfer *t)
{
    if (t == NULL)
        return;
    g_ptr_array_unref(t->threads);
    lane_free(t->lane);
    g_queue_clear(&t->ready);
    g_queue_clear(&t->backlog);
    while (t->jobs->len > 0)
        job_free(t, g_ptr_array_index(t->jobs, t->jobs->len - 1));
    g_ptr_array_unref(t->jobs);
    mailbox_free(t->done);
    lane_shared_clear(&t->shared);
    g_free(t);
}

/* ---- requests ---- */

/* Small requests stay on lane 0: a thread switch costs more than their encryption. */
static bool wants_spreading(const Transfer *t, const Request *rq)
{
    if (t->shared.conf.lanes != 0)
        return true;
    return rq->body_bytes > FLIGHT_SMALL_BYTES && g_ascii_strncasecmp(rq->url, "https:", 6) == 0;
}

static unsigned choose_lane(Transfer *t, const Request *rq)
{
    if (t->most_lanes == 1 || t->lane0_out == 0 || !wants_spreading(t, rq))
        return 0;
    unsigned best = 0, least = t->lane0_out;
    for (unsigned i = 0; i < t->threads->len; i++) {
        const LaneThread *lt = g_ptr_array_index(t->threads, i);
        if (lt->out < least) {
            best = i + 1;
            least = lt->out;
        }
    }
    if (least == 0 || t->threads->len + 1 >= t->most_lanes)
        return best;
    add_lane(t);
    return t->threads->len;
}

static LaneThread *thread_of(const Transfer *t, const TransferJob *job)
{
    return job->lane == 0 ? NULL : g_ptr_array_index(t->threads, job->lane - 1);
}

static void dispatch(Transfer *t, TransferJob *job)
{
    job->dispatched = true;
    job->lane = choose_lane(t, job->rq);
    t->out++;
    LaneThread *lt = thread_of(t, job);
    if (lt == NULL) {
        t->lane0_out++;
        lane_begin(t->lane, job);
    } else {
        lt->out++;
        lane_order(lt, LANE_BEGIN, job);
    }
}

/* The job is on no lane any more; another one may go. */
static void settle(Transfer *t, TransferJob *job)
{
    LaneThread *lt = thread_of(t, job);
    t->out--;
    if (lt == NULL)
        t->lane0_out--;
    else
        lt->out--;
    job_free(t, job);
    while (t->out < t->shared.conf.max_connections && !g_queue_is_empty(&t->backlog))
        dispatch(t, g_queue_pop_head(&t->backlog));
}

TransferJob *transfer_start(Transfer *t, Request *rq, int fd, gpointer user)
{
    TransferJob *job = g_new0(TransferJob, 1);
    job->rq = rq;
    job->fd = fd;
    job->user = user;
    job->index = t->jobs->len;
    atomic_init(&job->moved_us, g_get_monotonic_time());
    g_ptr_array_add(t->jobs, job);
    if (t->out < t->shared.conf.max_connections)
        dispatch(t, job);
    else
        g_queue_push_tail(&t->backlog, job);
    return job;
}

void transfer_cancel(Transfer *t, TransferJob *job)
{
    if (!job->dispatched) {
        g_queue_remove(&t->backlog, job);
        job_free(t, job);
        return;
    }
    LaneThread *lt = thread_of(t, job);
    if (lt == NULL) {
        lane_drop(t->lane, job);
        g_queue_remove(&t->ready, job);
        settle(t, job);
        return;
    }
    lane_order(lt, LANE_DROP, job);
    mailbox_wait(lt->dropped);
    /* Its answer may have been on the way already: the box is read to its end before the job goes. */
    for (TransferJob *other = NULL; (other = mailbox_take(t->done)) != NULL;)
        g_queue_push_tail(&t->ready, other);
    g_queue_remove(&t->ready, job);
    settle(t, job);
}

TransferAnswer *transfer_take(Transfer *t)
{
    TransferJob *job = g_queue_pop_head(&t->ready);
    if (job == NULL && t->threads->len > 0)
        job = mailbox_take(t->done);
    if (job == NULL)
        return NULL;
    crash_point("answer");
    TransferAnswer *answer = g_steal_pointer(&job->answer);
    settle(t, job);
    return answer;
}

void transfer_answer_free(TransferAnswer *answer)
{
    if (answer == NULL)
        return;
    response_free(answer->rs);
    g_clear_error(&answer->error);
    g_free(answer);
}

void transfer_progress(Transfer *t, const TransferJob *job, TransferProgress *out)
{
    TransferJob *asked = t->jobs->pdata[job->index];
    if (job->lane == 0 && job->dispatched)
        lane_sample(t->lane, asked);
    const int64_t quiet_us = g_get_monotonic_time() - atomic_load_explicit(&asked->moved_us, memory_order_relaxed);
    const bool held = atomic_load_explicit(&asked->held, memory_order_relaxed);
    const bool connected = atomic_load_explicit(&asked->connected, memory_order_relaxed);
    const bool answering = atomic_load_explicit(&asked->answering, memory_order_relaxed);
    out->sent_bytes = atomic_load_explicit(&asked->sent_bytes, memory_order_relaxed);
    out->acked_bytes = answering ? out->sent_bytes : MIN(atomic_load_explicit(&asked->acked_bytes, memory_order_relaxed), out->sent_bytes);
    out->quiet_ms = held || quiet_us < 0 ? 0 : (unsigned)MIN(quiet_us / 1000, G_MAXUINT);
    out->connecting = !connected;
    out->waiting = connected && !answering && out->sent_bytes >= job->rq->body_bytes;
}

/* ---- the loop ---- */

static bool has_answer(const Transfer *t)
{
    return t->ready.length > 0 || (t->threads->len > 0 && mailbox_length(t->done) > 0);
}

/* Requests begun since the last turn go out first; with answers at hand there is no reason to ask the sockets again. */
void transfer_wait(Transfer *t, int timeout_ms, int extra_fd)
{
    lane_turn(t->lane);
    if (has_answer(t))
        return;
    lane_sleep(t->lane, timeout_ms, extra_fd);
    lane_turn(t->lane);
}

void transfer_wake(Transfer *t)
{
    lane_wake(t->lane);
}

void transfer_set_limit(Transfer *t, uint64_t limit_bps)
{
    lane_shared_set_limit(&t->shared, limit_bps);
    lane_wake(t->lane);
    for (unsigned i = 0; i < t->threads->len; i++) {
        const LaneThread *lt = g_ptr_array_index(t->threads, i);
        lane_wake(lt->lane);
    }
}

unsigned transfer_active(const Transfer *t)
{
    return t->jobs->len;
}

char *transfer_versions(void)
{
    return lane_versions();
}
