#include "imgpool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fault.h"
#include "imgproc/wire.h"
#include "imgworker.h"
#include "mailbox.h"
#include "spool.h"

enum {
    DEFAULT_SPOOL_MIB = 512,
    DEFAULT_SPOOL_FILES = 64,
    DEFAULT_DEADLINE_MS = 60000,
    WORKERS_MAX = 64,
    MEMORY_PER_WORKER_MIB = 512,
    QUEUE_MAX = 64, /* pictures waiting or at work; each holds a descriptor */
    TRIES_MAX = 2,
    PROGRESS_MAX = 200, /* messages a picture; a worker that says more is broken */
    IDLE_STOP_S = 30,   /* an idle worker keeps some 40 MB */
};

/* One picture on its way. Belongs to the engine thread, then to the keeper, then to the engine again. */
typedef struct {
    uint32_t id;
    int fd;
    uint64_t source_bytes;
    char *key;
    char recipe[RECIPE_TEXT_MAX];
    uint64_t max_bytes;
    /* keeper */
    unsigned tries;
    unsigned heard; /* progress messages */
    int temp_fd;
    char *temp; /* NULL = no file */
    /* outcome */
    bool cancelled;
    GError *error;
    WireResult result;
} Task;

typedef struct {
    Task *task;         /* to do, or NULL: */
    uint32_t cancel_id; /* to stop */
} Order;

typedef struct {
    ImgWorker process;
    Task *task;
    int64_t until_us; /* with a task: when it is given up; without: when the worker is stopped */
} Slot;

struct ImgPool {
    /* fixed after new */
    void (*wake)(void *ctx);
    void *wake_ctx;
    char *worker_path;
    unsigned n_slots;
    unsigned deadline_ms;
    Spool *spool; /* the keeper uses spool_temp_* only */
    int event_fd;
    pthread_t thread;
    /* shared */
    Mailbox *orders; /* Order, to the keeper */
    Mailbox *done;   /* Task, to the engine */
    bool stopping;
    /* engine thread */
    GHashTable *live; /* id -> user */
    GQueue ready;     /* ImgOutcome found in the spool */
    unsigned handed;  /* tasks that the keeper has */
    uint32_t last_id;
    /* keeper */
    GQueue waiting; /* Task */
    Slot *slots;
    unsigned serial;
};

static const struct {
    const char *content_type, *extension;
} formats[] = {
    [WIRE_WEBP] = { "image/webp", "webp" },
    [WIRE_JPEG] = { "image/jpeg", "jpg" },
};

static void task_free(gpointer data)
{
    Task *t = data;
    if (t == NULL)
        return;
    if (t->fd >= 0)
        close(t->fd);
    if (t->temp_fd >= 0)
        close(t->temp_fd);
    g_free(t->key);
    g_free(t->temp);
    g_clear_error(&t->error);
    g_free(t);
}

static void order_free(gpointer data)
{
    Order *o = data;
    task_free(o->task);
    g_free(o);
}

static void object_clear(ImgObject *o)
{
    g_free(o->staged);
    g_free(o->content_type);
    g_free(o->extension);
    g_free(o->recipe);
    g_free(o->note);
}

void imgpool_outcome_free(ImgOutcome *o)
{
    if (o == NULL)
        return;
    g_clear_error(&o->error);
    g_free(o->failed);
    for (unsigned i = 0; i < o->n; i++)
        object_clear(&o->objects[i]);
    g_clear_pointer(&o->rgb, g_bytes_unref);
    g_free(o);
}

/* --- keeper thread --- */

static void drop_temp(ImgPool *p, Task *t)
{
    if (t->temp_fd >= 0)
        close(t->temp_fd);
    t->temp_fd = -1;
    if (t->temp != NULL)
        spool_temp_drop(p->spool, t->temp);
    g_clear_pointer(&t->temp, g_free);
}

/* The task goes back to the engine; only a made picture keeps its temporary file. */
static void finish(ImgPool *p, Task *t)
{
    if (t->cancelled || t->error != NULL || t->result.outcome != WIRE_MADE)
        drop_temp(p, t);
    close(t->fd);
    t->fd = -1;
    mailbox_send(p->done, t);
}

static void free_slot(Slot *slot)
{
    slot->task = NULL;
    slot->until_us = g_get_monotonic_time() + (int64_t)IDLE_STOP_S * G_USEC_PER_SEC;
}

/* The worker died, hung or lied: away with it; its picture gets one more try. */
static void worker_failed(ImgPool *p, Slot *slot, const char *how)
{
    Task *t = slot->task;
    imgworker_stop(&slot->process);
    free_slot(slot);
    if (t == NULL)
        return;
    drop_temp(p, t);
    if (t->tries < TRIES_MAX) {
        g_queue_push_head(&p->waiting, t);
        return;
    }
    fault_set(&t->error, FAULT_IMAGE, "the picture worker %s on each of %d tries", how, TRIES_MAX);
    finish(p, t);
}

static void begin(ImgPool *p, Slot *slot, Task *t)
{
    t->tries++;
    t->heard = 0;
    t->temp_fd = spool_temp_open(p->spool, t->key, ++p->serial, &t->temp, &t->error);
    if (t->temp_fd < 0 || (slot->process.pid == 0 && !imgworker_start(&slot->process, p->worker_path, &t->error))) {
        finish(p, t);
        return;
    }
    WireJob job = { .head.job = t->id, .deadline_ms = p->deadline_ms };
    g_strlcpy(job.recipe, t->recipe, sizeof job.recipe);
    slot->task = t;
    /* the worker looks at its own clock; this one is for workers that do not */
    slot->until_us = g_get_monotonic_time() + (int64_t)p->deadline_ms * 1000 + (int64_t)MIN(p->deadline_ms, 2000U) * 1000;
    if (!wire_send_job(slot->process.sock, &job, t->fd, t->temp_fd))
        worker_failed(p, slot, "died");
}

static bool result_is_true(const Task *t, const WireResult *r)
{
    struct stat st;
    if (r->outcome != WIRE_MADE)
        return true;
    return r->bytes <= MAX(t->max_bytes, t->source_bytes) && fstat(t->temp_fd, &st) == 0 && (uint64_t)st.st_size == r->bytes;
}

static void take_result(ImgPool *p, Slot *slot, const WireResult *r)
{
    Task *t = slot->task;
    if (!result_is_true(t, r)) {
        worker_failed(p, slot, "gave a false answer");
        return;
    }
    t->result = *r;
    if (r->outcome == WIRE_NO_SPACE)
        fault_set(&t->error, FAULT_SPOOL_FULL, "cannot write to the spool: %s", g_strerror((int)r->errnum));
    free_slot(slot);
    finish(p, t);
}

static void hear(ImgPool *p, Slot *slot)
{
    WireMessage message;
    int fds[2];
    switch (wire_recv(slot->process.sock, &message, fds)) {
    case WIRE_AGAIN:
        return;
    case WIRE_CLOSED:
        worker_failed(p, slot, "died");
        return;
    case WIRE_BAD:
        worker_failed(p, slot, "talked nonsense");
        return;
    case WIRE_GOT:
        break;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (slot->task == NULL || message.head.job != slot->task->id || message.head.kind == WIRE_JOB)
        worker_failed(p, slot, "talked nonsense");
    else if (message.head.kind == WIRE_RESULT)
        take_result(p, slot, &message.result);
    else if (++slot->task->heard > PROGRESS_MAX)
        worker_failed(p, slot, "talked nonsense");
}

static void cancel_task(ImgPool *p, uint32_t id)
{
    for (GList *l = p->waiting.head; l != NULL; l = l->next) {
        Task *t = l->data;
        if (t->id != id)
            continue;
        g_queue_delete_link(&p->waiting, l);
        t->cancelled = true;
        finish(p, t);
        return;
    }
    for (unsigned i = 0; i < p->n_slots; i++) {
        Task *t = p->slots[i].task;
        if (t == NULL || t->id != id)
            continue;
        imgworker_stop(&p->slots[i].process); /* the only stop that is sure to be at once */
        free_slot(&p->slots[i]);
        t->cancelled = true;
        finish(p, t);
        return;
    }
}

static void obey(ImgPool *p)
{
    uint64_t count;
    if (read(p->event_fd, &count, sizeof count) < 0 && errno != EAGAIN && errno != EINTR)
        g_assert_not_reached();
    Order *o;
    while ((o = mailbox_take(p->orders)) != NULL) {
        if (o->task != NULL)
            g_queue_push_tail(&p->waiting, g_steal_pointer(&o->task));
        else
            cancel_task(p, o->cancel_id);
        order_free(o);
    }
}

/* A worker that runs and waits is better than one to be started. */
static Slot *free_worker(ImgPool *p)
{
    Slot *cold = NULL;
    for (unsigned i = 0; i < p->n_slots; i++) {
        if (p->slots[i].task != NULL)
            continue;
        if (p->slots[i].process.pid != 0)
            return &p->slots[i];
        if (cold == NULL)
            cold = &p->slots[i];
    }
    return cold;
}

static void start_waiting(ImgPool *p)
{
    Slot *slot;
    while (!g_queue_is_empty(&p->waiting) && (slot = free_worker(p)) != NULL)
        begin(p, slot, g_queue_pop_head(&p->waiting));
}

static void end_overdue(ImgPool *p, int64_t now_us)
{
    for (unsigned i = 0; i < p->n_slots; i++) {
        Slot *slot = &p->slots[i];
        if (slot->process.pid == 0 || now_us < slot->until_us)
            continue;
        if (slot->task != NULL)
            worker_failed(p, slot, "hung");
        else
            imgworker_stop(&slot->process);
    }
}

/* Sleeps until an order, an answer or the next time limit. */
static void wait_for_something(ImgPool *p, struct pollfd *fds)
{
    int64_t until_us = INT64_MAX;
    fds[0] = (struct pollfd){ .fd = p->event_fd, .events = POLLIN };
    for (unsigned i = 0; i < p->n_slots; i++) {
        const Slot *slot = &p->slots[i];
        const bool runs = slot->process.pid != 0;
        fds[i + 1] = (struct pollfd){ .fd = runs ? slot->process.sock : -1, .events = POLLIN };
        if (runs)
            until_us = MIN(until_us, slot->until_us);
    }
    const int64_t left_us = until_us - g_get_monotonic_time();
    const int timeout_ms = until_us == INT64_MAX ? -1 : (int)CLAMP(left_us / 1000 + 1, 0, 1000000);
    if (poll(fds, p->n_slots + 1, timeout_ms) < 0)
        for (unsigned i = 0; i <= p->n_slots; i++)
            fds[i].revents = 0;
}

static void stop_all(ImgPool *p)
{
    Task *t;
    for (unsigned i = 0; i < p->n_slots; i++) {
        imgworker_stop(&p->slots[i].process);
        if (p->slots[i].task != NULL)
            g_queue_push_tail(&p->waiting, g_steal_pointer(&p->slots[i].task));
    }
    while ((t = g_queue_pop_head(&p->waiting)) != NULL) {
        drop_temp(p, t);
        task_free(t);
    }
}

static void *keeper(void *data)
{
    ImgPool *p = data;
    g_autofree struct pollfd *fds = g_new0(struct pollfd, p->n_slots + 1);
    while (!__atomic_load_n(&p->stopping, __ATOMIC_ACQUIRE)) {
        start_waiting(p);
        wait_for_something(p, fds);
        for (unsigned i = 0; i < p->n_slots; i++)
            if (fds[i + 1].revents != 0)
                hear(p, &p->slots[i]);
        end_overdue(p, g_get_monotonic_time());
        if (fds[0].revents != 0)
            obey(p);
    }
    obey(p);
    stop_all(p);
    return NULL;
}

/* --- engine thread --- */

static void poke(void *ctx)
{
    const ImgPool *p = ctx;
    const uint64_t one = 1;
    if (write(p->event_fd, &one, sizeof one) < 0)
        return; /* full: the keeper is awake anyway */
}

static unsigned default_workers(void)
{
    const long memory_mib = sysconf(_SC_PHYS_PAGES) / 1024 * (sysconf(_SC_PAGESIZE) / 1024);
    const unsigned by_memory = memory_mib > MEMORY_PER_WORKER_MIB ? (unsigned)(memory_mib / MEMORY_PER_WORKER_MIB) : 1;
    return MIN(g_get_num_processors(), by_memory);
}

ImgPool *imgpool_new(const ImgPoolConf *conf, void (*wake)(void *ctx), void *ctx, GError **error)
{
    const uint64_t spool_bytes = conf->spool_bytes != 0 ? conf->spool_bytes : (uint64_t)DEFAULT_SPOOL_MIB << 20;
    Spool *spool = spool_new(conf->spool_dir, spool_bytes, conf->spool_files != 0 ? conf->spool_files : DEFAULT_SPOOL_FILES, error);
    if (spool == NULL)
        return NULL;
    ImgPool *p = g_new0(ImgPool, 1);
    p->spool = spool;
    p->wake = wake;
    p->wake_ctx = ctx;
    p->worker_path = imgworker_find(conf->worker);
    p->n_slots = MIN(conf->workers != 0 ? conf->workers : default_workers(), WORKERS_MAX);
    p->deadline_ms = conf->deadline_ms != 0 ? conf->deadline_ms : DEFAULT_DEADLINE_MS;
    p->slots = g_new0(Slot, p->n_slots);
    p->live = g_hash_table_new(NULL, NULL);
    p->orders = mailbox_new(poke, p, order_free);
    p->done = mailbox_new(wake, ctx, task_free);
    p->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    fault_quark();
    const int status = p->event_fd < 0 ? errno : pthread_create(&p->thread, NULL, keeper, p);
    if (status == 0)
        return p;
    fault_set(error, FAULT_MEMORY, "cannot start the keeper of the picture workers: %s", g_strerror(status));
    p->stopping = true;
    imgpool_free(p);
    return NULL;
}

void imgpool_free(ImgPool *p)
{
    if (p == NULL)
        return;
    if (!p->stopping) {
        __atomic_store_n(&p->stopping, true, __ATOMIC_RELEASE);
        poke(p);
        pthread_join(p->thread, NULL);
    }
    Task *t;
    while ((t = mailbox_take(p->done)) != NULL) {
        drop_temp(p, t);
        task_free(t);
    }
    mailbox_free(p->orders);
    mailbox_free(p->done);
    g_queue_clear_full(&p->ready, (GDestroyNotify)imgpool_outcome_free);
    g_hash_table_unref(p->live);
    if (p->event_fd >= 0)
        close(p->event_fd);
    spool_free(p->spool);
    g_free(p->slots);
    g_free(p->worker_path);
    g_free(p);
}

bool imgpool_takes(const char *content_type, bool vectors)
{
    static const char *const types[] = { "image/jpeg", "image/png",  "image/gif",  "image/webp",
                                         "image/tiff", "image/heic", "image/heif", "image/avif" };
    for (gsize i = 0; content_type != NULL && i < G_N_ELEMENTS(types); i++)
        if (g_ascii_strcasecmp(content_type, types[i]) == 0)
            return true;
    return vectors && (g_strcmp0(content_type, "image/svg+xml") == 0 || g_strcmp0(content_type, "application/pdf") == 0);
}

static ImgOutcome *outcome_of_file(SpoolFile *f, gpointer user)
{
    ImgOutcome *o = g_new0(ImgOutcome, 1);
    o->user = user;
    o->n = 1;
    o->objects[0] = (ImgObject){ .staged = f->staged,
                                 .staged_bytes = f->bytes,
                                 .content_type = f->content_type,
                                 .extension = f->extension,
                                 .recipe = f->recipe,
                                 .note = f->note };
    return o;
}

/* Without the keeper's help: from the spool, or a mistake of the caller's. */
static void answer_at_once(ImgPool *p, ImgOutcome *o)
{
    g_queue_push_tail(&p->ready, o);
    p->wake(p->wake_ctx);
}

bool imgpool_submit(ImgPool *p, int fd, const SourceId *src, const char *const *recipes, unsigned n, gpointer user)
{
    g_assert(n == 1);
    const char *preset = recipes[0];
    ImgRecipe recipe;
    char text[RECIPE_TEXT_MAX];
    SpoolFile f;
    if (!recipe_parse(preset, &recipe, NULL)) {
        ImgOutcome *o = g_new0(ImgOutcome, 1);
        o->user = user;
        fault_set(&o->error, FAULT_USAGE, "no such way to prepare pictures: %s", preset);
        answer_at_once(p, o);
        return true;
    }
    recipe_text(&recipe, text);
    g_autofree char *key = spool_key(src, text);
    if (spool_find(p->spool, key, &f)) {
        answer_at_once(p, outcome_of_file(&f, user));
        return true;
    }
    if (p->handed >= QUEUE_MAX || !spool_reserve(p->spool, recipe.max_bytes))
        return false;
    const int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0) {
        spool_unreserve(p->spool, recipe.max_bytes);
        return false;
    }
    Task *t = g_new0(Task, 1);
    *t = (Task){ .id = ++p->last_id,
                 .fd = own,
                 .temp_fd = -1,
                 .source_bytes = src->size_bytes,
                 .key = g_steal_pointer(&key),
                 .max_bytes = recipe.max_bytes };
    g_strlcpy(t->recipe, text, sizeof t->recipe);
    g_hash_table_insert(p->live, GUINT_TO_POINTER(t->id), user);
    p->handed++;
    Order *o = g_new0(Order, 1);
    o->task = t;
    mailbox_send(p->orders, o);
    return true;
}

void imgpool_cancel(ImgPool *p, gpointer user)
{
    for (GList *l = p->ready.head, *next; l != NULL; l = next) {
        next = l->next;
        ImgOutcome *o = l->data;
        if (o->user != user)
            continue;
        for (unsigned i = 0; i < o->n; i++)
            if (o->objects[i].staged != NULL)
                spool_release(p->spool, o->objects[i].staged);
        imgpool_outcome_free(o);
        g_queue_delete_link(&p->ready, l);
    }
    GHashTableIter iter;
    gpointer id, value;
    g_hash_table_iter_init(&iter, p->live);
    while (g_hash_table_iter_next(&iter, &id, &value)) {
        if (value != user)
            continue;
        g_hash_table_iter_remove(&iter);
        Order *o = g_new0(Order, 1);
        o->cancel_id = GPOINTER_TO_UINT(id);
        mailbox_send(p->orders, o);
    }
}

static char *text_or_null(const char *text)
{
    return text[0] != 0 ? g_strdup(text) : NULL;
}

/* The temporary file of a made picture moves into the spool, or away when nobody wants it any more. */
static ImgOutcome *settle(ImgPool *p, Task *t, bool wanted, gpointer user)
{
    ImgOutcome *o = g_new0(ImgOutcome, 1);
    o->user = user;
    char *note = text_or_null(t->result.note);
    if (fault_code(t->error) == FAULT_IMAGE)
        o->failed = g_strdup(t->error->message);
    else
        o->error = g_steal_pointer(&t->error);
    o->n = o->error == NULL && o->failed == NULL;
    o->objects[0].note = note;
    if (t->temp == NULL)
        return o;
    if (!wanted) {
        drop_temp(p, t);
        return o;
    }
    SpoolFile f = { .bytes = t->result.bytes,
                    .content_type = g_strdup(formats[t->result.format].content_type),
                    .extension = g_strdup(formats[t->result.format].extension),
                    .recipe = g_strdup(t->result.done),
                    .note = g_steal_pointer(&o->objects[0].note) };
    const bool committed = spool_commit(p->spool, t->key, t->temp, &f, &o->error);
    g_clear_pointer(&t->temp, g_free);
    if (!committed) {
        spool_file_clear(&f);
        return o;
    }
    g_free(o);
    return outcome_of_file(&f, user);
}

ImgOutcome *imgpool_take(ImgPool *p)
{
    ImgOutcome *o = g_queue_pop_head(&p->ready);
    Task *t;
    while (o == NULL && (t = mailbox_take(p->done)) != NULL) {
        gpointer user = NULL;
        const bool wanted = g_hash_table_steal_extended(p->live, GUINT_TO_POINTER(t->id), NULL, &user);
        p->handed--;
        spool_unreserve(p->spool, t->max_bytes);
        o = settle(p, t, wanted, user);
        if (!wanted)
            g_clear_pointer(&o, imgpool_outcome_free);
        task_free(t);
    }
    return o;
}

char *imgpool_staged_path(const ImgPool *p, const char *staged)
{
    return spool_path(p->spool, staged);
}

bool imgpool_preview(ImgPool *p, int fd, unsigned edge_px, gpointer user)
{
    (void)p, (void)fd, (void)edge_px, (void)user;
    return false;
}

int imgpool_percent(const ImgPool *p, gconstpointer user)
{
    (void)p, (void)user;
    return -1;
}

bool imgpool_hold(ImgPool *p, const char *staged)
{
    return spool_hold(p->spool, staged);
}

void imgpool_release(ImgPool *p, const char *staged)
{
    spool_release(p->spool, staged);
}

void imgpool_let_go(ImgPool *p, const char *staged)
{
    spool_let_go(p->spool, staged);
}

void imgpool_sweep(ImgPool *p, const GHashTable *keep)
{
    spool_sweep(p->spool, keep);
}

unsigned imgpool_pending(const ImgPool *p)
{
    return g_hash_table_size(p->live) + g_queue_get_length((GQueue *)&p->ready);
}
