#include "cli.h"

#include <langinfo.h>
#include <stdio.h>
#include <unistd.h>

#include "report.h"

typedef struct {
    bool json, bad, out_failed;
} Round;

static void checked(const HoistCheck *check, void *ctx)
{
    Round *r = ctx;
    g_autoptr(GString) text = g_string_new(NULL);
    report_check(check, r->json, text);
    r->bad |= check->state == HOIST_CHECK_BAD;
    r->out_failed |= fwrite(text->str, 1, text->len, stdout) != text->len || fflush(stdout) != 0;
}

/* What the dashboard would draw on; nothing is asked of the terminal. */
static void check_terminal(Round *r)
{
    const char *term = g_getenv("TERM"), *codeset = nl_langinfo(CODESET);
    const bool utf8 = g_str_equal(codeset, "UTF-8"), usable = term != NULL && *term != '\0' && !g_str_equal(term, "dumb");
    g_autofree char *text =
        g_strdup_printf("TERM=%s, %s%s", term != NULL ? term : "", codeset, isatty(STDOUT_FILENO) ? "" : ", output is not a terminal");
    const HoistCheck check = {
        .name = "terminal",
        .state = usable && utf8 ? HOIST_CHECK_OK : HOIST_CHECK_WARN,
        .text = text,
        .remedy = !usable ? (char *)"The dashboard needs a terminal; hoist up does the same without one."
                  : !utf8 ? (char *)"Set a UTF-8 locale (LANG=C.UTF-8): without it names and bars are drawn in ASCII."
                          : NULL,
    };
    checked(&check, r);
}

int cli_doctor(const Options *o)
{
    Round round = { .json = (o->switches & SWITCH_JSON) != 0 };
    if (*o->args != NULL)
        return cli_usage("doctor takes no paths");
    hoist_doctor(o->settings, checked, &round);
    check_terminal(&round);
    return round.bad || round.out_failed ? EXIT_FAILED_FILES : EXIT_SUCCESS;
}
