#include "drops.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

struct Drops {
    int pipe[2];
    char *hint, *host;
    unsigned running;
};

/* All a thread has; nothing in it is shared. */
typedef struct {
    int fd;
    char *hint, *host;
    GPtrArray *payloads;
    DropResult *result;
} Job;

static void job_free(Job *job)
{
    if (job->fd >= 0)
        close(job->fd);
    g_free(job->hint);
    g_free(job->host);
    g_ptr_array_unref(job->payloads);
    drop_result_free(job->result);
    g_free(job);
}

void drop_result_free(DropResult *r)
{
    if (r == NULL)
        return;
    g_ptr_array_unref(r->paths);
    g_array_unref(r->found);
    g_clear_pointer(&r->text, g_bytes_unref);
    g_free(r);
}

static DropResult *result_new(void)
{
    DropResult *r = g_new0(DropResult, 1);
    r->verdict = HOIST_NOT_A_DROP;
    r->paths = g_ptr_array_new_with_free_func(g_free);
    r->found = g_array_new(FALSE, FALSE, sizeof(bool));
    return r;
}

static void read_payload(const Job *job, GBytes *payload)
{
    DropResult *r = job->result;
    gsize n = 0;
    const char *bytes = g_bytes_get_data(payload, &n);
    char **paths = NULL;
    g_autoptr(GArray) found = NULL;
    const HoistDropVerdict verdict = hoist_drop_read(bytes == NULL ? "" : bytes, n, job->hint, job->host, NULL, NULL, &paths, &found);
    if (verdict == HOIST_NOT_A_DROP) {
        if (r->text == NULL)
            r->text = g_bytes_ref(payload);
        g_strfreev(paths);
        return;
    }
    for (unsigned i = 0; paths != NULL && paths[i] != NULL; i++) {
        const bool is_there = found == NULL || g_array_index(found, bool, i);
        g_ptr_array_add(r->paths, paths[i]);
        g_array_append_val(r->found, is_there);
    }
    g_free(paths);
    if (r->verdict != HOIST_DROP)
        r->verdict = verdict;
}

static void *run(void *data)
{
    Job *job = data;
    for (guint i = 0; i < job->payloads->len; i++)
        read_payload(job, g_ptr_array_index(job->payloads, i));
    g_ptr_array_add(job->result->paths, NULL);
    DropResult *result = g_steal_pointer(&job->result);
    if (write(job->fd, &result, sizeof result) != (ssize_t)sizeof result)
        drop_result_free(result); /* nobody listens any more */
    job_free(job);
    return NULL;
}

Drops *drops_new(const char *terminal_hint, const char *host)
{
    Drops *d = g_new0(Drops, 1);
    if (pipe2(d->pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        g_error("pipe: out of descriptors");
    d->hint = g_strdup(terminal_hint);
    d->host = g_strdup(host);
    return d;
}

void drops_free(Drops *d)
{
    if (d == NULL)
        return;
    for (DropResult *left = drops_take(d); left != NULL; left = drops_take(d))
        drop_result_free(left);
    close(d->pipe[0]);
    close(d->pipe[1]);
    g_free(d->hint);
    g_free(d->host);
    g_free(d);
}

int drops_fd(const Drops *d)
{
    return d->pipe[0];
}

bool drops_read(Drops *d, GPtrArray *payloads)
{
    pthread_t thread;
    Job *job = g_new0(Job, 1);
    job->payloads = payloads;
    job->hint = g_strdup(d->hint);
    job->host = g_strdup(d->host);
    job->result = result_new();
    job->fd = d->running < DROPS_STUCK ? fcntl(d->pipe[1], F_DUPFD_CLOEXEC, 3) : -1;
    if (job->fd < 0 || pthread_create(&thread, NULL, run, job) != 0) {
        job_free(job);
        return false;
    }
    pthread_detach(thread);
    d->running++;
    return true;
}

DropResult *drops_take(Drops *d)
{
    DropResult *result = NULL;
    if (read(d->pipe[0], &result, sizeof result) != (ssize_t)sizeof result)
        return NULL;
    d->running--;
    return result;
}
