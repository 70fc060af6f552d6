#include "queue.h"

void queue_init(Queue *q, GCompareFunc order)
{
    *q = (Queue){ .order = order };
    g_queue_init(&q->small);
    g_queue_init(&q->large);
}

void queue_clear(Queue *q)
{
    g_queue_clear(&q->small);
    g_queue_clear(&q->large);
}

static bool is_large(uint64_t bytes)
{
    return bytes > QUEUE_LARGE_BYTES;
}

void queue_push(Queue *q, gpointer file, uint64_t bytes)
{
    GQueue *kind = is_large(bytes) ? &q->large : &q->small;
    GList *before = kind->tail; /* most come nearly in order */
    while (before != NULL && q->order(before->data, file) > 0)
        before = before->prev;
    g_queue_insert_after(kind, before, file);
}

static gint in_order(gconstpointer a, gconstpointer b, gpointer q)
{
    return ((const Queue *)q)->order(a, b);
}

void queue_sort(Queue *q)
{
    g_queue_sort(&q->small, in_order, q);
    g_queue_sort(&q->large, in_order, q);
}

bool queue_remove(Queue *q, gpointer file)
{
    return g_queue_remove(&q->small, file) || g_queue_remove(&q->large, file);
}

unsigned queue_length(const Queue *q)
{
    return q->small.length + q->large.length;
}

gpointer queue_pop(Queue *q, unsigned slots)
{
    if (q->small_busy + q->large_busy >= slots)
        return NULL;
    const bool small = q->small.length > 0, large = q->large.length > 0;
    /* the last slot of one kind is kept for the other, as long as the other waits; a single slot serves small ones first */
    const bool large_first = large && (!small || (q->large_busy == 0 && q->small_busy + 1 >= slots && slots > 1));
    if (large_first || (large && !small)) {
        q->large_busy++;
        return g_queue_pop_head(&q->large);
    }
    if (!small)
        return NULL;
    q->small_busy++;
    return g_queue_pop_head(&q->small);
}

void queue_release(Queue *q, uint64_t bytes)
{
    unsigned *busy = is_large(bytes) ? &q->large_busy : &q->small_busy;
    g_return_if_fail(*busy > 0);
    --*busy;
}
