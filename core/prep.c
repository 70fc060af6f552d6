#include "prep.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "fault.h"
#include "imgpool.h"
#include "mailbox.h"
#include "mime.h"

enum { HEAD_BYTES = 4096, CHUNK_BYTES = 256 * 1024, MAX_THREADS = 16 };

struct Prep {
    Mailbox *tasks, *results;
    pthread_t threads[MAX_THREADS];
    unsigned n_threads;
    atomic_bool stopping;
};

PrepTask *prep_task_new(PrepKind kind, gpointer user)
{
    PrepTask *task = g_new0(PrepTask, 1);
    task->kind = kind;
    task->user = user;
    task->fd = -1;
    return task;
}

void prep_task_free(PrepTask *task)
{
    if (task == NULL)
        return;
    if (task->fd >= 0)
        close(task->fd);
    g_clear_error(&task->error);
    g_clear_pointer(&task->content, g_bytes_unref);
    g_free(task->content_type);
    g_free(task->path);
    g_free(task);
}

/* Reads exactly n bytes at offset; less means that the file shrank. */
static bool read_at(int fd, uint64_t offset, void *buffer, size_t n, GError **error)
{
    for (size_t got = 0; got < n;) {
        const ssize_t r = pread(fd, (char *)buffer + got, n - got, (off_t)(offset + got));
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0) {
            fault_set_source_errno(error, errno, "cannot read");
            return false;
        }
        if (r == 0) {
            fault_set(error, FAULT_SOURCE_CHANGED, "the file shrank while it was read");
            return false;
        }
        got += (size_t)r;
    }
    return true;
}

static void tell_type(PrepTask *task, const void *head, size_t n)
{
    task->content_type = task->by_content ? mime_by_content(task->path, head, n) : mime_of(task->path, head, n);
}

static bool read_small(PrepTask *task, GError **error)
{
    const size_t size = (size_t)task->found.size_bytes;
    g_autofree char *buffer = g_malloc(size + 1);
    if (!read_at(task->fd, 0, buffer, size, error) || !source_check(task->fd, &task->found, error))
        return false;
    tell_type(task, buffer, MIN(size, HEAD_BYTES));
    if (task->digests != 0)
        digest_of(task->digests, buffer, size, &task->set);
    if (!imgpool_takes(task->content_type, true)) {
        close(task->fd);
        task->fd = -1;
    }
    task->content = g_bytes_new_take(g_steal_pointer(&buffer), size);
    return true;
}

static bool look_at_head(PrepTask *task, GError **error)
{
    char head[HEAD_BYTES];
    const size_t n = (size_t)MIN(task->found.size_bytes, (uint64_t)HEAD_BYTES);
    if (!read_at(task->fd, 0, head, n, error))
        return false;
    tell_type(task, head, n);
    return true;
}

static void do_open(PrepTask *task)
{
    task->fd = source_open(task->path, &task->found, &task->error);
    if (task->fd < 0)
        return;
    if (task->expected.ino != 0 && !source_compare(&task->found, &task->expected, &task->error))
        return;
    if (task->found.size_bytes <= PREP_SMALL_BYTES)
        (void)read_small(task, &task->error);
    else
        (void)look_at_head(task, &task->error);
}

static void do_digest(PrepTask *task, char *buffer)
{
    g_autoptr(Digest) digest = digest_new(task->digests);
    for (uint64_t done = 0; done < task->length && !atomic_load(&task->cancelled);) {
        const size_t n = (size_t)MIN(task->length - done, (uint64_t)CHUNK_BYTES);
        if (!read_at(task->fd, task->offset + done, buffer, n, &task->error))
            return;
        digest_update(digest, buffer, n);
        done += n;
    }
    digest_finish(digest, &task->set);
    (void)source_check(task->fd, &task->expected, &task->error);
}

static void *work(void *ctx)
{
    Prep *p = ctx;
    g_autofree char *buffer = g_malloc(CHUNK_BYTES);
    PrepTask *task;
    while ((task = mailbox_wait(p->tasks)) != NULL) {
        if (atomic_load(&p->stopping)) {
            prep_task_free(task);
            continue;
        }
        if (!atomic_load(&task->cancelled)) {
            if (task->kind == PREP_OPEN)
                do_open(task);
            else
                do_digest(task, buffer);
        }
        mailbox_send(p->results, task);
    }
    return NULL;
}

Prep *prep_new(unsigned threads, void (*wake)(void *ctx), void *ctx)
{
    Prep *p = g_new0(Prep, 1);
    p->tasks = mailbox_new(NULL, NULL, (GDestroyNotify)prep_task_free);
    p->results = mailbox_new(wake, ctx, (GDestroyNotify)prep_task_free);
    for (unsigned i = 0; i < CLAMP(threads, 1, MAX_THREADS); i++)
        if (pthread_create(&p->threads[p->n_threads], NULL, work, p) == 0)
            p->n_threads++;
    if (p->n_threads > 0)
        return p;
    prep_free(p);
    return NULL;
}

void prep_free(Prep *p)
{
    if (p == NULL)
        return;
    atomic_store(&p->stopping, true);
    mailbox_close(p->tasks);
    for (unsigned i = 0; i < p->n_threads; i++)
        pthread_join(p->threads[i], NULL);
    mailbox_free(p->tasks);
    mailbox_free(p->results);
    g_free(p);
}

void prep_submit(Prep *p, PrepTask *task)
{
    mailbox_send(p->tasks, task);
}

PrepTask *prep_take(Prep *p)
{
    return mailbox_take(p->results);
}
