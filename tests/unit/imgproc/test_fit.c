#include <glib.h>
#include <math.h>

#include "imgproc/fit.h"

/* An encoder whose log(bytes) has the slopes of libwebp, bent by `bend`. */
typedef struct {
    double at_80, bend;
    unsigned calls, asked[8];
} Model;

static uint64_t model_bytes(const Model *m, unsigned q)
{
    double log_bytes = log(m->at_80);
    log_bytes -= (80.0 - MAX(q, 70)) / 40 * m->bend;
    if (q < 70)
        log_bytes -= (70.0 - q) / 80 * m->bend;
    return (uint64_t)exp(log_bytes);
}

static bool encode(void *ctx, unsigned quality, uint64_t *bytes_out)
{
    Model *m = ctx;
    for (unsigned i = 0; i < m->calls; i++)
        g_assert_cmpuint(m->asked[i], !=, quality);
    m->asked[m->calls++] = quality;
    *bytes_out = model_bytes(m, quality);
    return true;
}

static void test_budgets_are_met(void)
{
    for (double bend = 0.5; bend < 2; bend += 0.25)
        for (double over = 1.001; over < 1.4; over += 0.05) {
            Model m = { .at_80 = 1000000, .bend = bend };
            const FitAsk ask = { .limit_bytes = (uint64_t)(1000000 / over), .floor = 50, .known_quality = 80, .known_bytes = 1000000 };
            FitAnswer a;
            g_assert_true(fit_search(&ask, encode, &m, &a));
            g_assert_cmpuint(m.calls, <=, FIT_ENCODES_MAX);
            g_assert_cmpuint(a.bytes, ==, model_bytes(&m, a.quality));
            if (model_bytes(&m, 50) > ask.limit_bytes)
                continue;
            g_assert_true(a.fits);
            g_assert_cmpuint(a.bytes, <=, ask.limit_bytes);
            g_assert_cmpuint(a.quality, >=, 50);
            g_assert_cmpuint(a.quality, <, 80);
            /* not wastefully small: two steps better would have been too large, or it is within 8 % */
            g_assert_true((double)a.bytes >= 0.92 * (double)ask.limit_bytes || model_bytes(&m, a.quality + 2) > ask.limit_bytes);
        }
}

static void test_hopeless_ends_at_the_floor(void)
{
    Model m = { .at_80 = 1000000, .bend = 1 };
    const FitAsk ask = { .limit_bytes = 100000, .floor = 50, .known_quality = 80, .known_bytes = 1000000 };
    FitAnswer a;
    g_assert_true(fit_search(&ask, encode, &m, &a));
    g_assert_false(a.fits);
    g_assert_cmpuint(a.quality, ==, 50);
    g_assert_cmpuint(m.calls, ==, 1);
}

static void test_nothing_below_the_floor(void)
{
    Model m = { .at_80 = 1000, .bend = 1 };
    const FitAsk ask = { .limit_bytes = 900, .floor = 80, .known_quality = 80, .known_bytes = 1000 };
    FitAnswer a;
    g_assert_true(fit_search(&ask, encode, &m, &a));
    g_assert_false(a.fits);
    g_assert_cmpuint(m.calls, ==, 0);
}

static bool refuse(void *ctx, unsigned quality, uint64_t *bytes_out)
{
    (void)ctx, (void)quality, (void)bytes_out;
    return false;
}

static void test_failure_goes_up(void)
{
    const FitAsk ask = { .limit_bytes = 900, .floor = 50, .known_quality = 80, .known_bytes = 1000 };
    FitAnswer a = { .quality = 7 };
    g_assert_false(fit_search(&ask, refuse, NULL, &a));
    g_assert_cmpuint(a.quality, ==, 7);
}

static void test_scale(void)
{
    g_assert_cmpfloat_with_epsilon(fit_scale(4000, 1000), 0.405, 0.005);
    g_assert_cmpfloat(fit_scale(1001, 1000), <=, 0.95);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fit/budgets-are-met", test_budgets_are_met);
    g_test_add_func("/fit/hopeless-ends-at-the-floor", test_hopeless_ends_at_the_floor);
    g_test_add_func("/fit/nothing-below-the-floor", test_nothing_below_the_floor);
    g_test_add_func("/fit/failure-goes-up", test_failure_goes_up);
    g_test_add_func("/fit/scale", test_scale);
    return g_test_run();
}
