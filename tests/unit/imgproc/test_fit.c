#include <glib.h>
#include <math.h>

#include "imgproc/fit.h"

enum { ENCODES_MAX = 8, QUALITY = 80, FLOOR = 50, LEAST_EDGE = 320, FIRST_EDGE = 1920 };

/* An encoder: log(bytes) bends at 70, as libwebp's does, is `bend` times as steep, and goes with the edge to the power of `growth`. What
 * the sample says is off by `bias`, and by a wobble that changes with quality. */
typedef struct {
    double at_80, bend, growth, bias, wobble;
    double edge;
    unsigned encodes, resizes, samples;
    unsigned asked[ENCODES_MAX + 1];
    uint64_t best, least, limit;
    bool refuse;
} Model;

static double model_log(const Model *m, unsigned q)
{
    const double over_70 = (MIN(q, 80) - MIN(q, 70.0)) / 40, below_70 = (MIN(q, 70) - 30.0) / 80, over_80 = (MAX(q, 80) - 80.0) / 23;
    return log(m->at_80) + (over_70 + below_70 + over_80 - 0.25 - 0.5) * m->bend + m->growth * log(m->edge / FIRST_EDGE);
}

static uint64_t model_bytes(const Model *m, unsigned q)
{
    return (uint64_t)exp(model_log(m, q));
}

static bool encode(void *ctx, unsigned quality, uint64_t *bytes_out)
{
    Model *m = ctx;
    if (m->refuse)
        return false;
    g_assert_cmpuint(m->encodes, <, ENCODES_MAX);
    for (unsigned i = 0; i < m->encodes; i++)
        g_assert_cmpuint(m->asked[i], !=, quality);
    m->asked[m->encodes++] = quality;
    *bytes_out = model_bytes(m, quality);
    m->least = MIN(m->least, *bytes_out);
    if (*bytes_out <= m->limit)
        m->best = MAX(m->best, *bytes_out);
    return true;
}

static bool sample(void *ctx, unsigned quality, uint64_t *bytes_out)
{
    Model *m = ctx;
    m->samples++;
    *bytes_out = (uint64_t)(exp(model_log(m, quality)) * m->bias * (1 + m->wobble * sin(quality)));
    return true;
}

static bool resize(void *ctx, double scale, bool *least_out)
{
    Model *m = ctx;
    m->resizes++;
    m->edge = fmin(FIRST_EDGE, fmax(LEAST_EDGE, m->edge * scale));
    *least_out = m->edge <= LEAST_EDGE;
    for (unsigned i = 0; i < m->encodes; i++)
        m->asked[i] = 0;
    return true;
}

static const FitOps ops = { encode, sample, resize };

static Model model(double bend, uint64_t limit)
{
    return (Model){ .at_80 = 1000000, .bend = bend, .growth = 1.6, .bias = 1.2, .edge = FIRST_EDGE, .least = G_MAXUINT64, .limit = limit };
}

static bool search(Model *m, bool fewer_pixels, bool *fits_out)
{
    const FitAsk ask = { .limit_bytes = m->limit,
                         .quality = QUALITY,
                         .min_quality = FLOOR,
                         .known_bytes = model_bytes(m, QUALITY),
                         .encodes_max = ENCODES_MAX - 1,
                         .fewer_pixels = fewer_pixels };
    return fit_search(&ask, &ops, m, fits_out);
}

static void test_limits_are_met(void)
{
    for (double bend = 0.5; bend < 2; bend += 0.25)
        for (double part = 0.999; part > 0.1; part *= 0.93)
            for (double wobble = 0; wobble < 0.05; wobble += 0.02) {
                Model m = model(bend, (uint64_t)(1000000 * part));
                bool fits;
                m.wobble = wobble;
                g_assert_true(search(&m, true, &fits));
                g_assert_true(fits);
                g_assert_cmpuint(m.best, >, 0);
                g_assert_cmpuint(m.encodes, <, ENCODES_MAX);
            }
}

/* A sample that is true but for its size: the first guess is good enough. */
static void test_lands_close_with_one_encode_more(void)
{
    for (double part = 0.95; part > 0.6; part -= 0.05) {
        Model m = model(1, (uint64_t)(1000000 * part));
        bool fits;
        g_assert_true(search(&m, true, &fits));
        g_assert_true(fits);
        g_assert_cmpuint(m.encodes, ==, 1);
        g_assert_cmpuint(m.resizes, ==, 0);
        g_assert_cmpfloat((double)m.best, >=, 0.9 * (double)m.limit);
    }
}

static void test_fewer_pixels_only_below_the_floor(void)
{
    Model m = model(1, 1000000);
    const uint64_t at_floor = model_bytes(&m, FLOOR);
    bool fits;
    m.limit = (uint64_t)(1.1 * (double)at_floor);
    g_assert_true(search(&m, true, &fits));
    g_assert_cmpuint(m.resizes, ==, 0);
    m = model(1, at_floor / 2);
    g_assert_true(search(&m, true, &fits));
    g_assert_true(fits);
    g_assert_cmpuint(m.resizes, >, 0);
    g_assert_cmpuint(m.encodes, <=, 3);
    g_assert_cmpfloat((double)m.best, >=, 0.75 * (double)m.limit);
}

/* Noise goes with the pixels: twice as fast as expected, or half. */
static void test_size_is_found_for_any_picture(void)
{
    for (double growth = 1.2; growth < 3.5; growth += 0.3)
        for (double part = 0.62; part > 0.1; part *= 0.9) {
            Model m = model(1, (uint64_t)(1000000 * part));
            bool fits;
            m.growth = growth;
            g_assert_true(search(&m, true, &fits));
            g_assert_true(fits);
            g_assert_cmpuint(m.encodes, <=, 3);
            g_assert_cmpfloat((double)m.best, >=, 0.8 * (double)m.limit);
        }
}

static void test_no_encode_for_what_is_out_of_reach(void)
{
    Model m = model(1, 100000);
    bool fits;
    g_assert_true(search(&m, false, &fits));
    g_assert_false(fits);
    g_assert_cmpuint(m.encodes, ==, 0);
    g_assert_cmpuint(m.resizes, ==, 0);
}

static void test_hopeless_ends_with_the_smallest(void)
{
    Model m = model(1, 1024);
    bool fits;
    g_assert_true(search(&m, true, &fits));
    g_assert_false(fits);
    g_assert_cmpfloat(m.edge, ==, LEAST_EDGE);
    g_assert_cmpuint(m.least, ==, model_bytes(&m, FLOOR));
}

/* A format without quality has its size in pixels only. */
static void test_one_quality_only(void)
{
    Model m = model(1, 300000);
    const FitAsk ask = { .limit_bytes = m.limit,
                         .quality = 100,
                         .min_quality = 100,
                         .known_bytes = model_bytes(&m, 100),
                         .encodes_max = ENCODES_MAX - 1,
                         .fewer_pixels = true };
    bool fits;
    g_assert_true(fit_search(&ask, &ops, &m, &fits));
    g_assert_true(fits);
    g_assert_cmpuint(m.resizes, >, 0);
    m = model(1, 300000);
    FitAsk none = ask;
    none.fewer_pixels = false;
    g_assert_true(fit_search(&none, &ops, &m, &fits));
    g_assert_false(fits);
    g_assert_cmpuint(m.encodes + m.samples, ==, 0);
}

static void test_encodes_are_bounded(void)
{
    for (unsigned most = 0; most < 4; most++) {
        Model m = model(1.7, 250000);
        m.wobble = 0.3;
        const FitAsk ask = { .limit_bytes = m.limit,
                             .quality = QUALITY,
                             .min_quality = FLOOR,
                             .known_bytes = model_bytes(&m, QUALITY),
                             .encodes_max = most,
                             .fewer_pixels = true };
        bool fits;
        g_assert_true(fit_search(&ask, &ops, &m, &fits));
        g_assert_cmpuint(m.encodes, <=, most);
        g_assert_true(fits == (m.best > 0));
    }
}

static void test_failure_goes_up(void)
{
    Model m = model(1, 900000);
    bool fits;
    m.refuse = true;
    g_assert_false(search(&m, true, &fits));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fit/limits-are-met", test_limits_are_met);
    g_test_add_func("/fit/lands-close-with-one-encode-more", test_lands_close_with_one_encode_more);
    g_test_add_func("/fit/fewer-pixels-only-below-the-floor", test_fewer_pixels_only_below_the_floor);
    g_test_add_func("/fit/size-is-found-for-any-picture", test_size_is_found_for_any_picture);
    g_test_add_func("/fit/no-encode-for-what-is-out-of-reach", test_no_encode_for_what_is_out_of_reach);
    g_test_add_func("/fit/hopeless-ends-with-the-smallest", test_hopeless_ends_with_the_smallest);
    g_test_add_func("/fit/one-quality-only", test_one_quality_only);
    g_test_add_func("/fit/encodes-are-bounded", test_encodes_are_bounded);
    g_test_add_func("/fit/failure-goes-up", test_failure_goes_up);
    return g_test_run();
}
