#include "cli.h"

#include <stdio.h>

#include "paths.h"
#include "report_images.h"

typedef struct {
    const char *out_dir;
    char **args, **paths; /* as given, and where that is */
    bool json, out_failed;
    ImagesCounts counts;
} Images;

static void put(Images *run, const GString *text)
{
    run->out_failed |= fwrite(text->str, 1, text->len, stdout) != text->len || fflush(stdout) != 0;
}

/* A path that was given is called as it was given when it cannot be read. */
static const char *shown_name(const Images *run, const HoistImage *image)
{
    for (unsigned i = 0; image->failed != NULL && run->paths[i] != NULL; i++)
        if (g_str_equal(run->paths[i], image->path))
            return run->args[i];
    return image->name;
}

static bool each(const HoistImage *image, void *ctx)
{
    Images *run = ctx;
    if (image != NULL) {
        g_autoptr(GString) text = g_string_new(NULL);
        HoistImage shown = *image;
        if (!run->json)
            shown.name = (char *)shown_name(run, image);
        report_image(&run->counts, &shown, run->out_dir, run->json, text);
        put(run, text);
    }
    return !session_interrupted() && !run->out_failed;
}

static char **absolute_paths(const Options *o)
{
    g_autofree char *cwd = g_get_current_dir();
    g_autoptr(GStrvBuilder) list = g_strv_builder_new();
    for (char **arg = o->args; *arg != NULL; arg++) {
        g_autofree char *path = paths_absolute(cwd, *arg);
        g_strv_builder_add(list, path);
    }
    return g_strv_builder_end(list);
}

int cli_images(const Options *o)
{
    g_autoptr(GError) error = NULL;
    if (*o->args == NULL)
        return cli_usage("images takes paths of pictures and folders");
    if (g_strv_contains((const char *const *)o->args, ""))
        return cli_usage("a PATH is empty");
    g_auto(GStrv) paths = absolute_paths(o);
    Images run = { .out_dir = o->out_dir, .args = o->args, .paths = paths, .json = (o->switches & SWITCH_JSON) != 0 };
    g_auto(Session) session = { NULL, -1 };
    session_init(&session);
    const int64_t started_us = g_get_monotonic_time();
    const bool ok = hoist_images(o->settings, paths, o->out_dir, each, &run, &error);
    const double seconds = (double)(g_get_monotonic_time() - started_us) / G_USEC_PER_SEC;
    if (!ok)
        return cli_complain(error);
    g_autoptr(GString) text = g_string_new(NULL);
    run.counts.interrupted = session_interrupted();
    report_images_summary(&run.counts, seconds, run.json, text);
    put(&run, text);
    if (session_interrupted())
        return EXIT_INTERRUPTED;
    return run.counts.failed > 0 || run.out_failed ? EXIT_FAILED_FILES : EXIT_SUCCESS;
}
