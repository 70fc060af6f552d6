#include "imgkeeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "digest.h"
#include "fault.h"
#include "imgworker.h"
#include "mailbox.h"

enum {
    TRIES_MAX = 2,
    PROGRESS_MAX = 4000,           /* messages a picture; a worker that says more is broken */
    IDLE_STOP_S = 30,              /* an idle worker keeps some 40 MB */
    PREVIEW_BACKGROUND = 0x808080, /* drawings in black and in white both show on it */
    READ_BYTES = 256 << 10,
    WALL_FACTOR = 4, /* the worker counts CPU time; this is for one that waits, or that a busy machine starves */
};

typedef struct {
    ImgTask *task;      /* to do, or NULL: */
    uint32_t cancel_id; /* to stop */
} Order;

typedef struct {
    ImgWorker process;
    bool greeted; /* said hello */
    ImgTask *task;
    int64_t until_us; /* with a task: when it is given up; without: when the worker is stopped */
} Slot;

struct ImgKeeper {
    /* fixed after new */
    void (*wake)(void *ctx);
    void *wake_ctx;
    char *worker_path;
    unsigned n_slots;
    unsigned deadline_ms;
    const Spool *spool;
    int event_fd;
    pthread_t thread;
    bool has_thread;
    /* shared */
    Mailbox *orders; /* Order, to the keeper */
    Mailbox *done;   /* ImgTask, to the engine */
    atomic_bool stopping;
    /* engine thread */
    uint32_t last_id;
    /* keeper */
    GQueue waiting; /* ImgTask */
    Slot *slots;
    unsigned serial;
};

/* ------------------------------------------------------------------ tasks */

ImgTask *imgtask_new(int fd)
{
    const int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        return NULL;
    ImgTask *t = g_new0(ImgTask, 1);
    t->fd = own;
    atomic_init(&t->percent, -1);
    for (unsigned i = 0; i < RECIPES_MAX; i++)
        t->making[i].temp_fd = -1;
    return t;
}

static void close_targets(ImgTask *t)
{
    for (unsigned i = 0; i < RECIPES_MAX; i++) {
        if (t->making[i].temp_fd >= 0)
            close(t->making[i].temp_fd);
        t->making[i].temp_fd = -1;
    }
}

void imgtask_free(ImgTask *t)
{
    if (t == NULL)
        return;
    close_targets(t);
    if (t->fd >= 0)
        close(t->fd);
    for (unsigned i = 0; i < t->n; i++) {
        g_free(t->making[i].key);
        g_free(t->making[i].temp);
    }
    g_free(t->instead.key);
    g_clear_error(&t->error);
    g_free(t->failed);
    g_clear_pointer(&t->rgb, g_bytes_unref);
    g_free(t);
}

void imgkeeper_drop_temps(const Spool *spool, ImgTask *t)
{
    close_targets(t);
    for (unsigned i = 0; i < t->n; i++) {
        if (t->making[i].temp != NULL)
            spool_temp_drop(spool, t->making[i].temp);
        g_clear_pointer(&t->making[i].temp, g_free);
    }
}

static void order_free(gpointer data)
{
    Order *o = data;
    imgtask_free(o->task);
    g_free(o);
}

/* ------------------------------------------------------------------ keeper thread: one task */

/* The task goes back to the engine; only what was made keeps its temporary file. */
static void give_back(ImgKeeper *k, ImgTask *t)
{
    if (t->cancelled || t->error != NULL || (t->failed != NULL && !t->cleaning))
        imgkeeper_drop_temps(k->spool, t);
    close_targets(t);
    close(t->fd);
    t->fd = -1;
    t->took_us = t->began_us == 0 ? 0 : g_get_monotonic_time() - t->began_us;
    mailbox_send(k->done, t);
}

/* Once more to a worker, which need not decode it this time: who sends the source as it is tells nobody where it was taken. */
static bool clean_instead(ImgKeeper *k, ImgTask *t)
{
    if (t->cancelled || t->error != NULL || t->failed == NULL || t->cleaning || t->instead.key == NULL)
        return false;
    imgkeeper_drop_temps(k->spool, t);
    for (unsigned i = 0; i < t->n; i++)
        g_free(t->making[i].key);
    t->making[0] = t->instead;
    t->instead.key = NULL;
    t->n = 1;
    t->cleaning = true;
    t->tries = 0;
    g_queue_push_head(&k->waiting, t);
    return true;
}

static void finish(ImgKeeper *k, ImgTask *t)
{
    if (!clean_instead(k, t))
        give_back(k, t);
}

static void free_slot(Slot *slot)
{
    slot->task = NULL;
    slot->until_us = g_get_monotonic_time() + (int64_t)IDLE_STOP_S * G_USEC_PER_SEC;
}

/* The worker died, hung or lied: away with it; its picture gets one more try. */
static void worker_failed(ImgKeeper *k, Slot *slot, const char *how)
{
    ImgTask *t = slot->task;
    imgworker_stop(&slot->process);
    free_slot(slot);
    if (t == NULL)
        return;
    imgkeeper_drop_temps(k->spool, t);
    for (unsigned i = 0; i < t->n; i++)
        t->making[i].answered = false;
    g_clear_error(&t->error);
    if (!t->cleaning)
        g_clear_pointer(&t->failed, g_free);
    atomic_store(&t->percent, -1);
    if (t->tries < TRIES_MAX) {
        g_queue_push_head(&k->waiting, t);
        return;
    }
    /* one that never came up says nothing of a picture */
    if (!slot->greeted)
        fault_set(&t->error, FAULT_WORKER, "the picture worker %s %s before it was ready", k->worker_path, how);
    else if (!t->cleaning)
        t->failed = g_strdup_printf("the picture worker %s on each of %d tries", how, TRIES_MAX);
    finish(k, t);
}

/* A task with files to be made gets one in the spool for each, a preview one in memory. */
static bool open_targets(ImgKeeper *k, ImgTask *t)
{
    for (unsigned i = 0; i < t->n; i++) {
        ImgMaking *m = &t->making[i];
        m->temp_fd = spool_temp_open(k->spool, m->key, ++k->serial, &m->temp, &t->error);
        if (m->temp_fd < 0)
            return false;
    }
    if (t->preview_px == 0)
        return true;
    t->making[0].temp_fd = memfd_create("hoist-preview", MFD_CLOEXEC);
    if (t->making[0].temp_fd < 0)
        fault_set(&t->error, FAULT_MEMORY, "no memory file for a preview: %s", g_strerror(errno));
    return t->making[0].temp_fd >= 0;
}

static bool send_task(const ImgKeeper *k, int sock, const ImgTask *t)
{
    WireMessage m = { 0 };
    WireFds fds = { .fd = { t->fd }, .n = 1 };
    const unsigned n_targets = t->preview_px != 0 ? 1 : t->n;
    for (unsigned i = 0; i < n_targets; i++)
        fds.fd[fds.n++] = t->making[i].temp_fd;
    if (t->preview_px != 0) {
        m.preview = (WirePreview){ .deadline_ms = k->deadline_ms, .edge_px = t->preview_px, .background = PREVIEW_BACKGROUND };
        m.head.kind = WIRE_PREVIEW;
    } else {
        m.job.deadline_ms = k->deadline_ms;
        m.job.clean = t->cleaning;
        m.job.n = t->n;
        for (unsigned i = 0; i < t->n; i++)
            g_strlcpy(m.job.recipes[i], t->making[i].recipe, sizeof m.job.recipes[i]);
        m.head.kind = WIRE_JOB;
    }
    m.head.job = t->id;
    return wire_send(sock, &m, &fds);
}

static bool start_process(ImgKeeper *k, Slot *slot, ImgTask *t)
{
    return slot->process.pid != 0 || imgworker_start(&slot->process, k->worker_path, &t->error);
}

static void begin(ImgKeeper *k, Slot *slot, ImgTask *t)
{
    t->tries++;
    if (t->began_us == 0)
        t->began_us = g_get_monotonic_time();
    t->heard = 0;
    if (slot->process.pid == 0)
        slot->greeted = false;
    if (!open_targets(k, t) || !start_process(k, slot, t)) {
        give_back(k, t);
        return;
    }
    slot->task = t;
    slot->until_us = g_get_monotonic_time() + (int64_t)k->deadline_ms * 1000 * WALL_FACTOR;
    if (!send_task(k, slot->process.sock, t))
        worker_failed(k, slot, "died");
}

/* ------------------------------------------------------------------ keeper thread: answers */

/* Through the page cache: the worker wrote them a moment ago. */
static bool sum_up(ImgMaking *m)
{
    g_autofree uint8_t *buffer = g_malloc(READ_BYTES);
    uint64_t done = 0;
    m->crc = 0;
    while (done < m->result.bytes) {
        const ssize_t n = pread(m->temp_fd, buffer, MIN(m->result.bytes - done, READ_BYTES), (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        m->crc = crc_update(DIGEST_CRC64NVME, m->crc, buffer, (size_t)n);
        done += (uint64_t)n;
    }
    return true;
}

static bool is_true(const ImgMaking *m, const WireResult *r)
{
    struct stat st;
    return r->outcome != WIRE_MADE || (r->bytes <= m->bytes_max && fstat(m->temp_fd, &st) == 0 && (uint64_t)st.st_size == r->bytes);
}

/* False: a false answer. */
static bool take_result(ImgTask *t, const WireResult *r)
{
    ImgMaking *m = &t->making[r->index];
    if (r->index >= t->n || m->answered || !is_true(m, r))
        return false;
    m->answered = true;
    m->result = *r;
    if (r->outcome == WIRE_NO_SPACE)
        fault_set(&t->error, FAULT_SPOOL_FULL, "cannot write to the spool: %s", g_strerror((int)r->errnum));
    else if (r->outcome == WIRE_FAILED && t->failed == NULL)
        t->failed = g_strdup(r->note);
    return r->outcome != WIRE_MADE || sum_up(m);
}

/* Read, not mapped: the worker still holds the file and could cut it. */
static bool take_pixels(ImgTask *t, const WirePixels *p)
{
    struct stat st;
    if (t->preview_px == 0 || p->width_px > t->preview_px || p->height_px > t->preview_px)
        return false;
    if (p->width_px == 0) {
        t->failed = g_strdup(p->note);
        return true;
    }
    const size_t size = (size_t)p->width_px * p->height_px * 3;
    g_autofree uint8_t *rgb = g_malloc(size);
    if (fstat(t->making[0].temp_fd, &st) != 0 || (uint64_t)st.st_size != size || pread(t->making[0].temp_fd, rgb, size, 0) != (ssize_t)size)
        return false;
    t->rgb = g_bytes_new_take(g_steal_pointer(&rgb), size);
    t->width_px = p->width_px;
    t->height_px = p->height_px;
    return true;
}

static bool take_progress(ImgKeeper *k, ImgTask *t, const WireProgress *p)
{
    if (++t->heard > PROGRESS_MAX)
        return false;
    atomic_store(&t->percent, (int)p->percent);
    k->wake(k->wake_ctx);
    return true;
}

static bool is_answered(const ImgTask *t)
{
    if (t->preview_px != 0)
        return t->rgb != NULL || t->failed != NULL;
    for (unsigned i = 0; i < t->n; i++)
        if (!t->making[i].answered)
            return false;
    return true;
}

/* False: what no worker of ours would say. */
static bool take_message(ImgKeeper *k, Slot *slot, const WireMessage *m)
{
    ImgTask *t = slot->task;
    if (m->head.kind == WIRE_HELLO) {
        const bool first = !slot->greeted;
        slot->greeted = true;
        return first;
    }
    if (!slot->greeted || t == NULL || m->head.job != t->id)
        return false;
    switch ((WireKind)m->head.kind) {
    case WIRE_PROGRESS:
        return take_progress(k, t, &m->progress);
    case WIRE_RESULT:
        return t->preview_px == 0 && take_result(t, &m->result);
    case WIRE_PIXELS:
        return take_pixels(t, &m->pixels);
    case WIRE_HELLO:
    case WIRE_JOB:
    case WIRE_PREVIEW:
        break;
    }
    return false;
}

static void hear(ImgKeeper *k, Slot *slot)
{
    WireMessage message;
    WireFds fds;
    bool good = false;
    switch (wire_recv(slot->process.sock, &message, &fds)) {
    case WIRE_AGAIN:
        return;
    case WIRE_CLOSED:
        worker_failed(k, slot, "died");
        return;
    case WIRE_BAD:
        break;
    case WIRE_GOT:
        wire_fds_close(&fds);
        good = take_message(k, slot, &message);
        break;
    }
    ImgTask *t = slot->task;
    if (!good) {
        worker_failed(k, slot, "talked nonsense");
    } else if (t != NULL && is_answered(t)) {
        free_slot(slot);
        finish(k, t);
    }
}

/* ------------------------------------------------------------------ keeper thread: orders */

static void cancel_task(ImgKeeper *k, uint32_t id)
{
    for (GList *l = k->waiting.head; l != NULL; l = l->next) {
        ImgTask *t = l->data;
        if (t->id != id)
            continue;
        g_queue_delete_link(&k->waiting, l);
        t->cancelled = true;
        finish(k, t);
        return;
    }
    for (unsigned i = 0; i < k->n_slots; i++) {
        ImgTask *t = k->slots[i].task;
        if (t == NULL || t->id != id)
            continue;
        imgworker_stop(&k->slots[i].process); /* the only stop that is sure to be at once */
        free_slot(&k->slots[i]);
        t->cancelled = true;
        finish(k, t);
        return;
    }
}

static void obey(ImgKeeper *k)
{
    uint64_t count;
    if (read(k->event_fd, &count, sizeof count) < 0 && errno != EAGAIN && errno != EINTR)
        g_assert_not_reached();
    Order *o;
    while ((o = mailbox_take(k->orders)) != NULL) {
        if (o->task == NULL)
            cancel_task(k, o->cancel_id);
        else if (o->task->preview_px != 0)
            g_queue_push_head(&k->waiting, g_steal_pointer(&o->task));
        else
            g_queue_push_tail(&k->waiting, g_steal_pointer(&o->task));
        order_free(o);
    }
}

/* A worker that runs and waits is better than one to be started. */
static Slot *free_worker(ImgKeeper *k)
{
    Slot *cold = NULL;
    for (unsigned i = 0; i < k->n_slots; i++) {
        if (k->slots[i].task != NULL)
            continue;
        if (k->slots[i].process.pid != 0)
            return &k->slots[i];
        if (cold == NULL)
            cold = &k->slots[i];
    }
    return cold;
}

static void start_waiting(ImgKeeper *k)
{
    Slot *slot;
    while (!g_queue_is_empty(&k->waiting) && (slot = free_worker(k)) != NULL)
        begin(k, slot, g_queue_pop_head(&k->waiting));
}

static void end_overdue(ImgKeeper *k, int64_t now_us)
{
    for (unsigned i = 0; i < k->n_slots; i++) {
        Slot *slot = &k->slots[i];
        if (slot->process.pid == 0 || now_us < slot->until_us)
            continue;
        if (slot->task != NULL)
            worker_failed(k, slot, "hung");
        else
            imgworker_stop(&slot->process);
    }
}

/* Sleeps until an order, an answer or the next time limit. */
static void wait_for_something(ImgKeeper *k, struct pollfd *fds)
{
    int64_t until_us = INT64_MAX;
    fds[0] = (struct pollfd){ .fd = k->event_fd, .events = POLLIN };
    for (unsigned i = 0; i < k->n_slots; i++) {
        const Slot *slot = &k->slots[i];
        const bool runs = slot->process.pid != 0;
        fds[i + 1] = (struct pollfd){ .fd = runs ? slot->process.sock : -1, .events = POLLIN };
        if (runs)
            until_us = MIN(until_us, slot->until_us);
    }
    const int64_t left_us = until_us - g_get_monotonic_time();
    const int timeout_ms = until_us == INT64_MAX ? -1 : (int)CLAMP(left_us / 1000 + 1, 0, 1000000);
    if (poll(fds, k->n_slots + 1, timeout_ms) < 0)
        for (unsigned i = 0; i <= k->n_slots; i++)
            fds[i].revents = 0;
}

static void stop_all(ImgKeeper *k)
{
    ImgTask *t;
    for (unsigned i = 0; i < k->n_slots; i++) {
        imgworker_stop(&k->slots[i].process);
        if (k->slots[i].task != NULL)
            g_queue_push_tail(&k->waiting, g_steal_pointer(&k->slots[i].task));
    }
    while ((t = g_queue_pop_head(&k->waiting)) != NULL) {
        imgkeeper_drop_temps(k->spool, t);
        imgtask_free(t);
    }
}

static void *keep(void *data)
{
    ImgKeeper *k = data;
    g_autofree struct pollfd *fds = g_new0(struct pollfd, k->n_slots + 1);
    while (!atomic_load(&k->stopping)) {
        start_waiting(k);
        wait_for_something(k, fds);
        for (unsigned i = 0; i < k->n_slots; i++)
            if (fds[i + 1].revents != 0)
                hear(k, &k->slots[i]);
        end_overdue(k, g_get_monotonic_time());
        if (fds[0].revents != 0)
            obey(k);
    }
    obey(k);
    stop_all(k);
    return NULL;
}

/* ------------------------------------------------------------------ engine thread */

static void poke(void *ctx)
{
    const ImgKeeper *k = ctx;
    const uint64_t one = 1;
    if (write(k->event_fd, &one, sizeof one) < 0)
        return; /* full: the keeper is awake anyway */
}

static void task_free(gpointer task)
{
    imgtask_free(task);
}

ImgKeeper *imgkeeper_new(const char *worker, unsigned workers, unsigned deadline_ms, const Spool *spool, void (*wake)(void *ctx), void *ctx,
                         GError **error)
{
    ImgKeeper *k = g_new0(ImgKeeper, 1);
    k->wake = wake;
    k->wake_ctx = ctx;
    k->worker_path = imgworker_find(worker);
    k->n_slots = workers;
    k->deadline_ms = deadline_ms;
    k->spool = spool;
    k->slots = g_new0(Slot, k->n_slots);
    k->orders = mailbox_new(poke, k, order_free);
    k->done = mailbox_new(wake, ctx, task_free);
    k->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    fault_quark();
    const int status = k->event_fd < 0 ? errno : pthread_create(&k->thread, NULL, keep, k);
    k->has_thread = status == 0;
    if (k->has_thread)
        return k;
    fault_set(error, FAULT_MEMORY, "cannot start the keeper of the picture workers: %s", g_strerror(status));
    imgkeeper_free(k);
    return NULL;
}

void imgkeeper_free(ImgKeeper *k)
{
    if (k == NULL)
        return;
    if (k->has_thread) {
        atomic_store(&k->stopping, true);
        poke(k);
        pthread_join(k->thread, NULL);
    }
    ImgTask *t;
    while ((t = mailbox_take(k->done)) != NULL) {
        imgkeeper_drop_temps(k->spool, t);
        imgtask_free(t);
    }
    mailbox_free(k->orders);
    mailbox_free(k->done);
    if (k->event_fd >= 0)
        close(k->event_fd);
    g_free(k->slots);
    g_free(k->worker_path);
    g_free(k);
}

void imgkeeper_send(ImgKeeper *k, ImgTask *t)
{
    Order *o = g_new0(Order, 1);
    t->id = ++k->last_id;
    o->task = t;
    mailbox_send(k->orders, o);
}

void imgkeeper_cancel(ImgKeeper *k, uint32_t id)
{
    Order *o = g_new0(Order, 1);
    o->cancel_id = id;
    mailbox_send(k->orders, o);
}

ImgTask *imgkeeper_take(ImgKeeper *k)
{
    return mailbox_take(k->done);
}
