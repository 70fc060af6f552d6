#include <pthread.h>

#include "core/mailbox.h"

enum { MESSAGES = 20000, SENDERS = 4 };

static void count_wake(void *ctx)
{
    __atomic_add_fetch((int *)ctx, 1, __ATOMIC_RELAXED);
}

static void *send_many(void *ctx)
{
    for (guint i = 1; i <= MESSAGES; i++)
        mailbox_send(ctx, GUINT_TO_POINTER(i));
    return NULL;
}

static void test_order_is_kept(void)
{
    int wakes = 0;
    g_autoptr(Mailbox) mb = mailbox_new(count_wake, &wakes, NULL);
    for (guint i = 1; i <= 3; i++)
        mailbox_send(mb, GUINT_TO_POINTER(i));
    g_assert_cmpint(wakes, ==, 1); /* only the first message found the box empty */
    for (guint i = 1; i <= 3; i++)
        g_assert_cmpuint(GPOINTER_TO_UINT(mailbox_take(mb)), ==, i);
    g_assert_null(mailbox_take(mb));
}

static void test_nothing_is_lost_between_threads(void)
{
    g_autoptr(Mailbox) mb = mailbox_new(NULL, NULL, NULL);
    pthread_t senders[SENDERS];
    for (int i = 0; i < SENDERS; i++)
        g_assert_cmpint(pthread_create(&senders[i], NULL, send_many, mb), ==, 0);
    guint64 sum = 0;
    for (int i = 0; i < SENDERS * MESSAGES; i++)
        sum += GPOINTER_TO_UINT(mailbox_wait(mb));
    for (int i = 0; i < SENDERS; i++)
        pthread_join(senders[i], NULL);
    g_assert_cmpuint(sum, ==, (guint64)SENDERS * MESSAGES * (MESSAGES + 1) / 2);
}

static void test_close_ends_waiting_and_frees_late_messages(void)
{
    g_autoptr(Mailbox) mb = mailbox_new(NULL, NULL, g_free);
    mailbox_send(mb, g_strdup("before"));
    mailbox_close(mb);
    mailbox_send(mb, g_strdup("after"));
    g_autofree char *left = mailbox_wait(mb);
    g_assert_cmpstr(left, ==, "before");
    g_assert_null(mailbox_wait(mb));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mailbox/order-is-kept", test_order_is_kept);
    g_test_add_func("/mailbox/nothing-is-lost-between-threads", test_nothing_is_lost_between_threads);
    g_test_add_func("/mailbox/close-ends-waiting", test_close_ends_waiting_and_frees_late_messages);
    return g_test_run();
}
