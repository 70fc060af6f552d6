#include "mailbox.h"

#include <pthread.h>

struct Mailbox {
    /* fixed after new */
    MailboxWake wake;
    void *ctx;
    GDestroyNotify free_message;
    /* under lock */
    pthread_mutex_t lock;
    pthread_cond_t filled;
    GQueue messages;
    bool closed;
};

Mailbox *mailbox_new(MailboxWake wake, void *ctx, GDestroyNotify free_message)
{
    Mailbox *mb = g_new0(Mailbox, 1);
    mb->wake = wake;
    mb->ctx = ctx;
    mb->free_message = free_message;
    pthread_mutex_init(&mb->lock, NULL);
    pthread_cond_init(&mb->filled, NULL);
    g_queue_init(&mb->messages);
    return mb;
}

void mailbox_free(Mailbox *mb)
{
    if (mb == NULL)
        return;
    if (mb->free_message != NULL)
        g_queue_clear_full(&mb->messages, mb->free_message);
    else
        g_queue_clear(&mb->messages);
    pthread_cond_destroy(&mb->filled);
    pthread_mutex_destroy(&mb->lock);
    g_free(mb);
}

void mailbox_send(Mailbox *mb, gpointer message)
{
    pthread_mutex_lock(&mb->lock);
    const bool refused = mb->closed;
    const bool was_empty = g_queue_is_empty(&mb->messages);
    if (!refused) {
        g_queue_push_tail(&mb->messages, message);
        pthread_cond_signal(&mb->filled);
    }
    pthread_mutex_unlock(&mb->lock);

    if (refused && mb->free_message != NULL)
        mb->free_message(message);
    else if (!refused && was_empty && mb->wake != NULL)
        mb->wake(mb->ctx);
}

gpointer mailbox_take(Mailbox *mb)
{
    pthread_mutex_lock(&mb->lock);
    gpointer message = g_queue_pop_head(&mb->messages);
    pthread_mutex_unlock(&mb->lock);
    return message;
}

gpointer mailbox_wait(Mailbox *mb)
{
    pthread_mutex_lock(&mb->lock);
    while (g_queue_is_empty(&mb->messages) && !mb->closed)
        pthread_cond_wait(&mb->filled, &mb->lock);
    gpointer message = g_queue_pop_head(&mb->messages);
    pthread_mutex_unlock(&mb->lock);
    return message;
}

void mailbox_close(Mailbox *mb)
{
    pthread_mutex_lock(&mb->lock);
    mb->closed = true;
    pthread_cond_broadcast(&mb->filled);
    pthread_mutex_unlock(&mb->lock);
}

unsigned mailbox_length(Mailbox *mb)
{
    pthread_mutex_lock(&mb->lock);
    const unsigned length = g_queue_get_length(&mb->messages);
    pthread_mutex_unlock(&mb->lock);
    return length;
}
