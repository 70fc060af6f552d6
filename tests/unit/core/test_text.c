#include "core/fault.h"
#include "core/hoist.h"

static void check(const char *bytes, const char *expected)
{
    g_autofree char *text = hoist_text(bytes);
    g_assert_cmpstr(text, ==, expected);
    g_assert_true(g_utf8_validate(text, -1, NULL));
}

static void test_plain_text_stays(void)
{
    check("", "");
    check("photo (1).jpg", "photo (1).jpg");
    check("ünïcode 名前 %d.jpg", "ünïcode 名前 %d.jpg");
    check("e\u0301.jpg", "e\u0301.jpg"); /* combining mark */
    check("C:\\x", "C:\\x");
    check(NULL, "");
}

static void test_controls_are_spelled(void)
{
    check("\x1b]2;pwned\a", "^[]2;pwned^G");
    check("a\nb\rc\td\x7f", "a^Jb^Mc\\td^?");
    check("a\xc2\x9b"
          "31mb", /* CSI as one C1 character */
          "a\\u009b31mb");
}

static void test_invalid_bytes_are_spelled(void)
{
    check("a\xff"
          "b",
          "a\\xffb");
    check("\xe5\x90", "\\xe5\\x90");                         /* cut short at the end */
    check("\xc0\xaf", "\\xc0\\xaf");                         /* overlong */
    check("\xed\xa0\x80", "\\xed\\xa0\\x80");                /* half a surrogate pair */
    check("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");       /* above U+10FFFF */
    check("\x9b", "\\x9b");                                  /* C1 as a bare byte */
    check("\xe5\x90\x8d\xe5\x89", "\xe5\x90\x8d\\xe5\\x89"); /* one good, one cut */
}

static void test_bidi_and_invisible_are_spelled(void)
{
    check("photo\u202egpj.exe", "photo<U+202E>gpj.exe");
    check("\u2066x\u2069", "<U+2066>x<U+2069>");
    check("\u200e\u200f\u061c", "<U+200E><U+200F><U+061C>");
    check("a\u2028b\u2029", "a<U+2028>b<U+2029>");
    check("\ufeffa", "<U+FEFF>a");
    check("a\u200bb", "a<U+200B>b");
    check("a\U000e0041", "a<U+E0041>");
}

static void test_joiners_are_kept_in_text_only(void)
{
    check("\U0001f469\u200d\U0001f4bb", "\U0001f469\u200d\U0001f4bb"); /* woman + ZWJ + laptop */
    check("\u0645\u06cc\u200c\u0634", "\u0645\u06cc\u200c\u0634");     /* Persian, ZWNJ */
    check("pay\u200dpal", "pay<U+200D>pal");
    check("\u200d\U0001f4bb", "<U+200D>\U0001f4bb");
    check("\U0001f469\u200d", "\U0001f469<U+200D>");
    check("\U0001f469\u200d\xff", "\U0001f469<U+200D>\\xff");
}

static void test_faults_have_names_and_remedies(void)
{
    g_autoptr(GError) clock = NULL, usage = NULL, config = NULL;
    fault_set(&clock, FAULT_CLOCK, "server time is %d s ahead of ours", 900);
    fault_set(&usage, FAULT_USAGE, "x");
    fault_set(&config, FAULT_CONFIG, "x");
    g_assert_cmpstr(hoist_fault_name(clock), ==, "clock-skew");
    g_assert_nonnull(strstr(hoist_fault_remedy(clock), "timedatectl"));
    g_assert_cmpstr(hoist_remedy_of("clock-skew"), ==, hoist_fault_remedy(clock));
    g_assert_cmpstr(hoist_remedy_of("no such fault"), ==, "");
    g_assert_cmpstr(hoist_remedy_of(NULL), ==, "");
    g_assert_false(hoist_fault_is_usage(clock));
    g_assert_true(hoist_fault_is_usage(usage));
    g_assert_true(hoist_fault_is_usage(config));
    g_assert_false(hoist_fault_is_usage(NULL));

    g_autoptr(GError) foreign = g_error_new_literal(G_FILE_ERROR, G_FILE_ERROR_NOENT, "x");
    g_assert_cmpstr(hoist_fault_name(foreign), ==, "bug");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/text/plain-text-stays", test_plain_text_stays);
    g_test_add_func("/text/controls-are-spelled", test_controls_are_spelled);
    g_test_add_func("/text/invalid-bytes-are-spelled", test_invalid_bytes_are_spelled);
    g_test_add_func("/text/bidi-and-invisible-are-spelled", test_bidi_and_invisible_are_spelled);
    g_test_add_func("/text/joiners-are-kept-in-text-only", test_joiners_are_kept_in_text_only);
    g_test_add_func("/text/faults-have-names-and-remedies", test_faults_have_names_and_remedies);
    return g_test_run();
}
