#include <glib.h>
#include <math.h>
#include <string.h>

#include "tui/fmt.h"

static void test_sizes(void)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {
        { 0, "0 B" },
        { 999, "999 B" },
        { 1000, "1.0 kB" },
        { 1100, "1.1 kB" },
        { 9994, "10.0 kB" },
        { 42100000, "42.1 MB" },
        { 99949999, "99.9 MB" },
        { 99960000, "100 MB" },
        { 999499999, "999 MB" },
        { 999500000, "1.00 GB" },
        { 1210000000, "1.21 GB" },
        { 12000000000, "12.0 GB" },
        { UINT64_C(5000000000000), "5.00 TB" },
        { UINT64_MAX, "18.4 EB" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        g_assert_cmpstr(fmt_size(rows[i].bytes).s, ==, rows[i].text);
}

static void test_sizes_keep_their_columns(void)
{
    for (uint64_t n = 1; n < UINT64_MAX / 3; n = n * 3 + 1) {
        g_assert_cmpuint(strlen(fmt_size(n).s), <=, 7);
        g_assert_cmpuint(strlen(fmt_rate((double)n).s), <=, 9);
    }
}

static void test_rates(void)
{
    g_assert_cmpstr(fmt_rate(4.1e6).s, ==, "4.1 MB/s");
    g_assert_cmpstr(fmt_rate(12.4e6).s, ==, "12.4 MB/s");
    g_assert_cmpstr(fmt_rate(0).s, ==, "0 B/s");
    g_assert_cmpstr(fmt_rate(-5).s, ==, "0 B/s");
    g_assert_cmpstr(fmt_rate((double)NAN).s, ==, "0 B/s");
    g_assert_cmpstr(fmt_rate((double)INFINITY).s, ==, "0 B/s");
}

static void test_times(void)
{
    g_assert_cmpstr(fmt_time(-1).s, ==, "--");
    g_assert_cmpstr(fmt_time(0).s, ==, "0:00");
    g_assert_cmpstr(fmt_time(161).s, ==, "2:41");
    g_assert_cmpstr(fmt_time(3599).s, ==, "59:59");
    g_assert_cmpstr(fmt_time(3761).s, ==, "1:02:41");
    g_assert_cmpstr(fmt_time(86400 * 3 + 4 * 3600).s, ==, "3d 04h");
    g_assert_cmpstr(fmt_time(INT64_MAX).s, ==, ">99d");
}

static void test_durations(void)
{
    g_assert_cmpstr(fmt_took(0.0451).s, ==, "45 ms");
    g_assert_cmpstr(fmt_took(0.0996).s, ==, "0.1 s");
    g_assert_cmpstr(fmt_took(9.94).s, ==, "9.9 s");
    g_assert_cmpstr(fmt_took(9.96).s, ==, "0:10");
    g_assert_cmpstr(fmt_took(761).s, ==, "12:41");
    g_assert_cmpstr(fmt_took(-1).s, ==, "--");
    g_assert_cmpstr(fmt_took((double)NAN).s, ==, "--");
    g_assert_cmpstr(fmt_took((double)INFINITY).s, ==, "--");
}

static void test_counts(void)
{
    g_assert_cmpstr(fmt_count(0).s, ==, "0");
    g_assert_cmpstr(fmt_count(999).s, ==, "999");
    g_assert_cmpstr(fmt_count(1000).s, ==, "1,000");
    g_assert_cmpstr(fmt_count(1234567).s, ==, "1,234,567");
    g_assert_cmpstr(fmt_count(UINT64_MAX).s, ==, "18,446,744,073,709,551,615");
    g_assert_cmpstr(fmt_plural(1, "file").s, ==, "1 file");
    g_assert_cmpstr(fmt_plural(0, "file").s, ==, "0 files");
    g_assert_cmpstr(fmt_plural(2140, "file").s, ==, "2,140 files");
}

static void test_percent_is_honest(void)
{
    g_assert_cmpstr(fmt_percent(999, 1000, false).s, ==, "99%");
    g_assert_cmpstr(fmt_percent(1000, 1000, false).s, ==, "99%");
    g_assert_cmpstr(fmt_percent(1000, 1000, true).s, ==, "100%");
    g_assert_cmpstr(fmt_percent(0, 0, false).s, ==, "0%");
    g_assert_cmpstr(fmt_percent(5, 3, false).s, ==, "99%");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fmt/sizes", test_sizes);
    g_test_add_func("/fmt/sizes-keep-their-columns", test_sizes_keep_their_columns);
    g_test_add_func("/fmt/rates", test_rates);
    g_test_add_func("/fmt/times", test_times);
    g_test_add_func("/fmt/durations", test_durations);
    g_test_add_func("/fmt/counts", test_counts);
    g_test_add_func("/fmt/percent-is-honest", test_percent_is_honest);
    return g_test_run();
}
