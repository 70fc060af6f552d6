/* queue.h - which of the prepared files goes next. Pure.
 *
 * Files are taken in the order that queue_init is given, whatever the order they came in. Large ones (over QUEUE_LARGE_BYTES) may hold all
 * slots but one while small ones wait, and small ones all but one while a large one waits: neither starves the other.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define QUEUE_LARGE_BYTES (64 * 1024 * 1024)

typedef struct {
    GQueue   small, large;      /* of gpointer, in order; borrowed */
    GCompareFunc order;
    unsigned small_busy, large_busy;    /* slots held */
} Queue;

void     queue_init(Queue *q, GCompareFunc order);
void     queue_clear(Queue *q);
void     queue_push(Queue *q, gpointer file, uint64_t bytes);
void     queue_sort(Queue *q);                          /* after places changed */
bool     queue_remove(Queue *q, gpointer file);
unsigned queue_length(const Queue *q);
/* Takes the next one for a free slot, or NULL when none should start now. slots: how many there are in all. */
gpointer queue_pop(Queue *q, unsigned slots);
void     queue_release(Queue *q, uint64_t bytes);       /* a file that was popped is over */
