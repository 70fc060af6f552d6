/* store_fixture.h - a queue in a directory of its own, and short ways to fill it. Each test program includes it once. */
#pragma once

#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/store_private.h"

typedef struct {
    char *dir;
    Store *st;
    int64_t dest, batch;
} Queue;

static inline void queue_reopen(Queue *q)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *notice = NULL;
    store_close(q->st);
    q->st = store_open(q->dir, &notice, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(notice, ==, NULL);
}

static inline int64_t queue_batch(Queue *q)
{
    char *roots[] = { (char *)"/srv/photos", (char *)"/srv/\xff\n", NULL };
    const StoreBatch b = { .dest = q->dest, .roots = roots, .options = (char *)"{\"images\":\"web\"}", .added_ns = 7 };
    int64_t id = 0;
    g_assert_true(store_batch_add(q->st, &b, &id, NULL));
    return id;
}

static inline void queue_make(Queue *q)
{
    *q = (Queue){ .dir = g_dir_make_tmp("hoist-store-XXXXXX", NULL) };
    queue_reopen(q);
    const StoreDest d = { .name = (char *)"s3://b/p", .scheme = (char *)"s3", .bucket = (char *)"b", .prefix = (char *)"p/" };
    g_assert_true(store_dest_add(q->st, &d, &q->dest, NULL));
    q->batch = queue_batch(q);
    g_assert_true(store_commit(q->st, NULL));
}

static inline void dir_remove(const char *dir)
{
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    const char *name;
    while (d != NULL && (name = g_dir_read_name(d)) != NULL) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        g_unlink(path);
    }
    g_rmdir(dir);
}

static inline void queue_drop(Queue *q)
{
    g_autoptr(GPtrArray) broken = g_ptr_array_new_with_free_func(g_free);
    if (q->st != NULL) {
        g_assert_true(store_check(q->st, broken, NULL));
        g_assert_cmpstr(broken->len > 0 ? broken->pdata[0] : NULL, ==, NULL);
    }
    store_close(q->st);
    dir_remove(q->dir);
    g_free(q->dir);
}

static inline SourceId source_of(unsigned n)
{
    return (SourceId){ .size_bytes = 1000 + n, .mtime_ns = 5000 + n, .ctime_ns = 6000 + n, .dev = 1, .ino = UINT64_MAX - n };
}

static inline StoreAdd queue_add_as(Queue *q, int64_t batch, const char *path, const char *key, unsigned n, int64_t *id_out)
{
    const StoreJob j = {
        .batch = batch, .dest = q->dest, .path = (char *)path, .name = (char *)path + 1, .key = (char *)key, .src = source_of(n)
    };
    StoreAdd result = STORE_KEY_TAKEN;
    g_autoptr(GError) error = NULL;
    g_assert_true(store_job_add(q->st, &j, &result, id_out, &error));
    g_assert_no_error(error);
    return result;
}

static inline int64_t queue_add(Queue *q, unsigned n)
{
    g_autofree char *path = g_strdup_printf("/f%u", n), *key = g_strdup_printf("p/f%u", n);
    int64_t id = 0;
    g_assert_cmpint(queue_add_as(q, q->batch, path, key, n, &id), ==, STORE_ADDED);
    return id;
}

static inline StoreJob queue_load(Queue *q, int64_t id)
{
    StoreJob j = { 0 };
    g_autoptr(GError) error = NULL;
    store_job_load(q->st, id, &j, &error);
    g_assert_no_error(error);
    return j;
}

static inline HoistState queue_state(Queue *q, int64_t id)
{
    StoreJob j = queue_load(q, id);
    const HoistState state = j.state;
    store_job_clear(&j);
    return state;
}

static inline void queue_done(Queue *q, int64_t id)
{
    StoreJob j = queue_load(q, id);
    const StoreJob result = { .id = id,
                              .staged = j.staged,
                              .acked_bytes = j.staged != NULL ? j.staged_bytes : j.src.size_bytes,
                              .etag = (char *)"\"e\"",
                              .done_ns = 9 };
    g_assert_true(store_job_done(q->st, &result, NULL));
    store_job_clear(&j);
}

static inline int64_t queue_upload(Queue *q, int64_t job, unsigned n, uint64_t part_size)
{
    const StoreUpload u = { .job = job,
                            .dest = q->dest,
                            .key = (char *)"p/f",
                            .nonce = (char *)"n",
                            .part_size = part_size,
                            .total_bytes = source_of(n).size_bytes,
                            .src = source_of(n),
                            .created_ns = 3 };
    int64_t id = 0;
    g_assert_true(store_upload_creating(q->st, &u, &id, NULL));
    return id;
}

static inline void queue_move(Queue *q, const int64_t *ids, unsigned n, int how)
{
    g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(int64_t));
    g_array_append_vals(list, ids, n);
    g_assert_true(store_job_move(q->st, list, how, NULL));
}
