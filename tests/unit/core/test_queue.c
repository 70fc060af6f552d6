#include "core/queue.h"

static char small_file, large_file;
#define SMALL ((gpointer)&small_file)
#define LARGE ((gpointer)&large_file)
#define BIG   (QUEUE_LARGE_BYTES + 1)

static gint any_order(gconstpointer a, gconstpointer b)
{
    (void)a;
    (void)b;
    return 0;
}

static gint by_value(gconstpointer a, gconstpointer b)
{
    return *(const int *)a - *(const int *)b;
}

static void fill(Queue *q, unsigned small, unsigned large)
{
    queue_init(q, any_order);
    for (unsigned i = 0; i < large; i++)
        queue_push(q, LARGE, BIG);
    for (unsigned i = 0; i < small; i++)
        queue_push(q, SMALL, 1);
}

static void test_neither_kind_starves(void)
{
    Queue q;
    fill(&q, 10, 10);
    unsigned large = 0, small = 0;
    for (int i = 0; i < 4; i++) {
        const bool is_large = queue_pop(&q, 4) == LARGE;
        large += is_large;
        small += !is_large;
    }
    g_assert_null(queue_pop(&q, 4));
    g_assert_cmpuint(large, >=, 1);
    g_assert_cmpuint(small, >=, 1);
    queue_clear(&q);
}

static void test_one_kind_takes_all_slots(void)
{
    Queue q;
    fill(&q, 0, 3);
    g_assert_true(queue_pop(&q, 2) == LARGE);
    g_assert_true(queue_pop(&q, 2) == LARGE);
    g_assert_null(queue_pop(&q, 2));
    queue_release(&q, BIG);
    g_assert_true(queue_pop(&q, 2) == LARGE);
    queue_clear(&q);
}

static void test_order_within_a_kind(void)
{
    Queue q;
    queue_init(&q, any_order); /* equals: as they came */
    char files[3];
    for (int i = 0; i < 3; i++)
        queue_push(&q, &files[i], 1);
    g_assert_true(queue_remove(&q, &files[1]));
    g_assert_false(queue_remove(&q, &files[1]));
    g_assert_true(queue_pop(&q, 1) == &files[0]);
    g_assert_cmpuint(queue_length(&q), ==, 1);
    queue_clear(&q);
}

static void test_places(void)
{
    Queue q;
    int files[] = { 3, 1, 4, 0, 2 };
    queue_init(&q, by_value);
    for (int i = 0; i < 5; i++)
        queue_push(&q, &files[i], i % 2 == 0 ? 1 : BIG);
    g_assert_true(queue_pop(&q, 9) == &files[4]);
    files[0] = 9; /* 3 goes behind 4 */
    queue_sort(&q);
    g_assert_true(queue_pop(&q, 9) == &files[2]);
    g_assert_true(queue_pop(&q, 9) == &files[0]);
    g_assert_true(queue_pop(&q, 9) == &files[3]);
    g_assert_true(queue_pop(&q, 9) == &files[1]);
    queue_clear(&q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/queue/neither-kind-starves", test_neither_kind_starves);
    g_test_add_func("/queue/one-kind-takes-all-slots", test_one_kind_takes_all_slots);
    g_test_add_func("/queue/order-within-a-kind", test_order_within_a_kind);
    g_test_add_func("/queue/places", test_places);
    return g_test_run();
}
