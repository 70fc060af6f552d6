#include <errno.h>

#include "core/fault.h"

static void test_every_row_is_whole(void)
{
    for (int code = FAULT_NONE + 1; code < N_FAULTS; code++) {
        const FaultInfo *info = fault_info(code);
        g_test_message("%d %s", code, info->name != NULL ? info->name : "(none)");
        g_assert_nonnull(info->name);
        g_assert_true(info->remedy != NULL && info->remedy[0] != '\0');
        g_assert_cmpint(fault_by_name(info->name), ==, code); /* names are unique */
    }
}

static void test_first_error_stays(void)
{
    g_autoptr(GError) error = NULL;
    fault_set(&error, FAULT_CLOCK, "%d s", 7);
    fault_set(&error, FAULT_DENIED, "later");
    g_assert_error(error, FAULT, FAULT_CLOCK);
    g_assert_cmpstr(error->message, ==, "7 s");
    fault_set(NULL, FAULT_DENIED, "nobody wants it");
}

static void test_errno_of_a_source(void)
{
    static const struct {
        int errnum;
        FaultCode code;
    } cases[] = {
        { ENOENT, FAULT_SOURCE_MISSING }, { EACCES, FAULT_SOURCE_DENIED }, { ELOOP, FAULT_SOURCE_SPECIAL }, { EIO, FAULT_SOURCE_IO }
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        fault_set_source_errno(&error, cases[i].errnum, "cannot open");
        g_assert_cmpint(fault_code(error), ==, cases[i].code);
    }
}

static void test_foreign_errors_are_bugs(void)
{
    g_autoptr(GError) error = g_error_new(G_FILE_ERROR, G_FILE_ERROR_NOENT, "x");
    g_assert_cmpint(fault_code(error), ==, FAULT_BUG);
    g_assert_cmpint(fault_code(NULL), ==, FAULT_NONE);
    g_assert_true(fault_info(9999) == fault_info(FAULT_BUG));
    g_assert_cmpint(fault_by_name("no such"), ==, FAULT_NONE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fault/every-row-is-whole", test_every_row_is_whole);
    g_test_add_func("/fault/first-error-stays", test_first_error_stays);
    g_test_add_func("/fault/errno-of-a-source", test_errno_of_a_source);
    g_test_add_func("/fault/foreign-errors-are-bugs", test_foreign_errors_are_bugs);
    return g_test_run();
}
