#include "cli.h"

#include <stdio.h>

#include "report.h"

#define SHARE_SECONDS 900 /* unless --for says otherwise */

static bool write_out(const GString *text)
{
    return fwrite(text->str, 1, text->len, stdout) == text->len && fflush(stdout) == 0;
}

/* ------------------------------------------------------------------ hoist dests */

int cli_dests(const Options *o)
{
    if (*o->args != NULL)
        return cli_usage("dests takes no paths");
    g_autoptr(GPtrArray) dests = hoist_dests(o->settings);
    g_autoptr(GString) text = g_string_new(NULL);
    const bool json = (o->switches & SWITCH_JSON) != 0;
    if (dests->len == 0 && !json)
        g_string_append(text, "config.ini has no [dest NAME]; hoist dests --help says what one may hold\n");
    for (guint i = 0; i < dests->len; i++)
        report_dest(dests->pdata[i], json, text);
    return write_out(text) ? EXIT_SUCCESS : EXIT_FAILED_FILES;
}

/* ------------------------------------------------------------------ hoist share */

int cli_share(const Options *o)
{
    g_autoptr(GError) error = NULL;
    if (g_strv_length(o->args) != 1)
        return cli_usage("share takes one DEST/KEY, like s3://BUCKET/KEY");
    g_autofree char *url = hoist_share(o->settings, *o->args, o->seconds > 0 ? o->seconds : SHARE_SECONDS, &error);
    if (url == NULL)
        return cli_complain(error);
    return puts(url) < 0 || fflush(stdout) != 0 ? EXIT_FAILED_FILES : EXIT_SUCCESS;
}

/* ------------------------------------------------------------------ hoist rm */

typedef struct {
    bool json, failed, out_failed;
} Removal;

static void removed(const char *dest_key, bool was_there, const GError *error, void *ctx)
{
    Removal *r = ctx;
    g_autoptr(GString) text = g_string_new(NULL);
    report_removed(dest_key, was_there, error, r->json, text);
    r->failed |= error != NULL;
    r->out_failed |= !write_out(text);
}

int cli_rm(const Options *o)
{
    g_autoptr(GError) error = NULL;
    Removal r = { .json = (o->switches & SWITCH_JSON) != 0 };
    if (*o->args == NULL)
        return cli_usage("rm takes DEST/KEY, like s3://BUCKET/KEY, one or more");
    if (!hoist_remove(o->settings, o->args, removed, &r, &error))
        return cli_complain(error);
    return r.failed || r.out_failed ? EXIT_FAILED_FILES : EXIT_SUCCESS;
}
