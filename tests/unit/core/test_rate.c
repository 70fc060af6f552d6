#include <glib.h>
#include <math.h>

#include "core/rate.h"

enum { SECOND = 1000000, MIB = 1024 * 1024 };

static void test_meter_is_right_from_the_start(void)
{
    RateMeter m = { 0 };
    for (int i = 0; i <= 20; i++)
        rate_feed(&m, (uint64_t)i * 100000, (int64_t)i * SECOND / 10);
    g_assert_cmpfloat_with_epsilon(rate_bps(&m), 1e6, 1);
    g_assert_cmpfloat_with_epsilon(m.bps_30s, 1e6, 1);
}

static void test_meter_follows_in_five_seconds(void)
{
    RateMeter m = { 0 };
    uint64_t total = 0;
    for (int i = 0; i <= 600; i++)
        rate_feed(&m, total += (i < 300 ? 100000 : 200000), (int64_t)i * SECOND / 10);
    g_assert_cmpfloat(rate_bps(&m), >, 1.99e6);
    g_assert_cmpfloat(m.bps_30s, >, 1.4e6);
    g_assert_cmpfloat(m.bps_30s, <, 1.9e6);
}

static void test_meter_takes_a_falling_total_as_nothing(void)
{
    RateMeter m = { 0 };
    rate_feed(&m, 0, 0);
    rate_feed(&m, 5 * MIB, SECOND);
    rate_feed(&m, 1 * MIB, 2 * SECOND); /* a part begins anew */
    g_assert_cmpfloat(rate_bps(&m), >=, 0);
    g_assert_cmpfloat(rate_bps(&m), <, 5.0 * MIB);
    const double before = rate_bps(&m);
    rate_feed(&m, 9 * MIB, 3 * SECOND);
    g_assert_cmpfloat(rate_bps(&m), >, before);
    rate_feed(&m, 99 * MIB, 3 * SECOND); /* no time passed: waits for the next */
    g_assert_cmpfloat(rate_bps(&m), <, 9.0 * MIB);
}

static void test_meter_eta(void)
{
    RateMeter m = { 0 };
    g_assert_cmpint(rate_eta_s(&m, 1000, 0), ==, -1);
    for (int i = 0; i <= 29; i++)
        rate_feed(&m, (uint64_t)i * 100000, (int64_t)i * SECOND / 10);
    g_assert_cmpint(rate_eta_s(&m, 10000000, 29 * SECOND / 10), ==, -1); /* less than 3 s */
    rate_feed(&m, 3000000, 3 * SECOND);
    const int64_t left_s = rate_eta_s(&m, 10000000, 3 * SECOND);
    g_assert_cmpint(left_s, >=, 10);
    g_assert_cmpint(left_s, <=, 11);
    g_assert_cmpint(rate_eta_s(&m, 0, 3 * SECOND), ==, 0);
    for (int i = 4; i < 60; i++)
        rate_feed(&m, 3000000, (int64_t)i * SECOND);
    g_assert_cmpint(rate_eta_s(&m, 10000000, 60 * SECOND), ==, -1); /* stalled, fed */
    rate_feed(&m, 100000000, 60 * SECOND);
    g_assert_cmpint(rate_eta_s(&m, 10000000, 60 * SECOND), >, 0);
    g_assert_cmpint(rate_eta_s(&m, 10000000, 200 * SECOND), ==, -1); /* stalled, nobody feeds */
}

/* Takes by turns as a loop would, sometimes late; what went through in a minute. */
static void check_bucket(uint64_t limit_bps, uint64_t wanted)
{
    RateBucket b;
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);
    bucket_init(&b, limit_bps, 0);
    int64_t now_us = 0;
    double through = 0;
    while (now_us < 100 * (int64_t)SECOND) {
        const uint64_t given = bucket_take(&b, wanted, now_us);
        g_assert_cmpuint(given, <=, wanted);
        through += (double)given;
        now_us += bucket_wait_us(&b, wanted, now_us) + g_rand_int_range(rand, 0, 2000);
    }
    const double burst = fmax((double)limit_bps / 10, 65536);
    g_assert_cmpfloat(through, >, 0.99 * (double)limit_bps * 100);
    g_assert_cmpfloat(through, <, 1.01 * (double)limit_bps * 100 + burst);
}

static void test_bucket_keeps_the_limit(void)
{
    check_bucket(20 * 1000, 16 * 1024);
    check_bucket(1000 * 1000, 16 * 1024);
    check_bucket(1000 * 1000, 4096);
    check_bucket(200 * 1000 * 1000, 256 * 1024);
}

static void test_bucket_saves_up_little(void)
{
    RateBucket b;
    bucket_init(&b, 10 * MIB, 0);
    g_assert_cmpuint(bucket_take(&b, G_MAXUINT64, 3600 * (int64_t)SECOND), ==, MIB);
    g_assert_cmpuint(bucket_take(&b, 1, 3600 * (int64_t)SECOND), ==, 0);
    g_assert_cmpint(bucket_wait_us(&b, 10 * MIB, 3600 * (int64_t)SECOND), ==, SECOND / 10); /* more than the depth never comes */
    bucket_init(&b, 1000, 0);
    g_assert_cmpuint(bucket_take(&b, MIB, 0), ==, 65536);
}

static void test_bucket_without_limit(void)
{
    RateBucket b;
    bucket_init(&b, 0, 0);
    g_assert_cmpuint(bucket_take(&b, G_MAXUINT64, 0), ==, G_MAXUINT64);
    g_assert_cmpint(bucket_wait_us(&b, MIB, 0), ==, 0);
    bucket_set_limit(&b, MIB, SECOND);
    bucket_take(&b, G_MAXUINT64, SECOND);
    g_assert_cmpuint(bucket_take(&b, MIB, 2 * SECOND), >, 0);
    bucket_set_limit(&b, 100 * MIB, 2 * SECOND); /* a new limit is no new burst */
    g_assert_cmpuint(bucket_take(&b, MIB, 2 * SECOND), ==, 0);
}

static void test_backoff_is_full_jitter(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(11);
    for (unsigned tries = 0; tries < 70; tries++) {
        const int64_t most = tries >= 6 ? 60000 : 1000 << tries;
        int64_t low = INT64_MAX, high = 0;
        double sum = 0;
        for (int i = 0; i < 4000; i++) {
            const int64_t ms = backoff_ms(tries, 1000, 60000, -1, g_rand_double(rand));
            low = MIN(low, ms);
            high = MAX(high, ms);
            sum += (double)ms;
        }
        g_assert_cmpint(low, >=, 0);
        g_assert_cmpint(low, <, most / 100);
        g_assert_cmpint(high, <=, most);
        g_assert_cmpint(high, >, most * 99 / 100);
        g_assert_cmpfloat_with_epsilon(sum / 4000 / (double)most, 0.5, 0.03);
    }
    g_assert_cmpint(backoff_ms(3, 1000, 60000, 9000, 0), ==, 9000);
    g_assert_cmpint(backoff_ms(3, 1000, 60000, 1, 0.999999), ==, 8000);
    g_assert_cmpint(backoff_ms(G_MAXUINT, 1000, G_MAXINT64, -1, 0), ==, 0);
}

/* A line that carries each_bps a transfer up to most_bps, seen through a meter that needs five seconds. */
static int64_t run_jobs(JobsControl *c, double each_bps, double most_bps, int64_t from_us, int seconds)
{
    RateMeter m = { 0 };
    double total = 1e12;
    rate_feed(&m, (uint64_t)total, from_us);
    for (int i = 1; i <= seconds * 2; i++) {
        total += fmin(each_bps * c->now, most_bps) / 2;
        rate_feed(&m, (uint64_t)total, from_us + (int64_t)i * SECOND / 2);
        jobs_feed(c, rate_bps(&m), c->now, from_us + (int64_t)i * SECOND / 2);
    }
    return from_us + (int64_t)seconds * SECOND;
}

static void test_jobs_grow_to_the_knee(void)
{
    JobsControl c;
    jobs_init(&c, 0, 3, 64);
    run_jobs(&c, 1e6, 12e6, 0, 60);
    g_assert_cmpuint(c.now, >=, 12);
    g_assert_cmpuint(c.now, <=, 19);
    jobs_init(&c, 0, 3, 64);
    run_jobs(&c, 1e6, 1e9, 0, 60);
    g_assert_cmpuint(c.now, ==, 64);
    jobs_init(&c, 0, 3, 64);
    run_jobs(&c, 1e6, 1e6, 0, 25); /* one is enough: a try, and back */
    g_assert_cmpuint(c.now, ==, 3);
}

static void test_jobs_slow_down_and_recover(void)
{
    JobsControl c;
    jobs_init(&c, 0, 16, 64);
    int64_t now_us = 5 * SECOND;
    jobs_slow_down(&c, now_us);
    jobs_slow_down(&c, now_us + SECOND); /* the same storm */
    g_assert_cmpuint(c.now, ==, 8);
    now_us = run_jobs(&c, 1e6, 1e9, now_us, 25);
    g_assert_cmpuint(c.now, ==, 8);
    run_jobs(&c, 1e6, 1e9, now_us, 60);
    g_assert_cmpuint(c.now, >, 16);
    for (int i = 0; i < 20; i++)
        jobs_slow_down(&c, now_us += 100 * (int64_t)SECOND);
    g_assert_cmpuint(c.now, ==, 1);
}

static void test_jobs_learn_nothing_from_idle_slots(void)
{
    JobsControl c;
    jobs_init(&c, 0, 4, 64);
    for (int i = 1; i < 200; i++)
        jobs_feed(&c, i * 1e6, c.now - 1, (int64_t)i * SECOND);
    g_assert_cmpuint(c.now, ==, 4);
}

static void test_jobs_said_by_the_person_stay(void)
{
    JobsControl c;
    jobs_init(&c, 7, 3, 64);
    run_jobs(&c, 1e6, 1e9, 0, 60);
    g_assert_cmpuint(c.now, ==, 7);
    jobs_slow_down(&c, 100 * (int64_t)SECOND); /* the store's word counts all the same */
    g_assert_cmpuint(c.now, ==, 3);
    for (int i = 100; i < 300; i++)
        jobs_feed(&c, 1e6, c.now, (int64_t)i * SECOND);
    g_assert_cmpuint(c.now, ==, 7);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rate/meter/right-from-the-start", test_meter_is_right_from_the_start);
    g_test_add_func("/rate/meter/follows-in-five-seconds", test_meter_follows_in_five_seconds);
    g_test_add_func("/rate/meter/falling-total-is-nothing", test_meter_takes_a_falling_total_as_nothing);
    g_test_add_func("/rate/meter/eta", test_meter_eta);
    g_test_add_func("/rate/bucket/keeps-the-limit", test_bucket_keeps_the_limit);
    g_test_add_func("/rate/bucket/saves-up-little", test_bucket_saves_up_little);
    g_test_add_func("/rate/bucket/no-limit-and-change", test_bucket_without_limit);
    g_test_add_func("/rate/backoff/full-jitter", test_backoff_is_full_jitter);
    g_test_add_func("/rate/jobs/grow-to-the-knee", test_jobs_grow_to_the_knee);
    g_test_add_func("/rate/jobs/slow-down-and-recover", test_jobs_slow_down_and_recover);
    g_test_add_func("/rate/jobs/idle-slots-are-no-evidence", test_jobs_learn_nothing_from_idle_slots);
    g_test_add_func("/rate/jobs/fixed", test_jobs_said_by_the_person_stay);
    return g_test_run();
}
