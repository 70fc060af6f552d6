#include "hoist.h"

#include <unistd.h>

#include "build-config.h"
#include "key.h"
#include "mime.h"
#include "scan.h"
#include "settings.h"
#include "source.h"
#include "store.h"
#include "transfer.h"

char *hoist_versions(void)
{
    g_autofree char *transfer = transfer_versions();
    return g_strdup_printf(HOIST_APP " " HOIST_VERSION " (%s, SQLite/%s)", transfer, store_version());
}

/* ------------------------------------------------------------------ dry run */

typedef struct {
    HoistDryRun each;
    void *ctx;
    HoistTotals *totals;
    GPtrArray *skipped;
    const char *template;
    const DestConf *conf;
    const HoistSettings *settings;
    bool types; /* only certain ones are sent */
    int64_t now_s;
} DryRun;

static void dry_skip(DryRun *d, const ScanFile *file)
{
    HoistEvent *ev = g_new0(HoistEvent, 1);
    ev->kind = HOIST_EVENT_SKIPPED;
    ev->path = g_strdup(file->path);
    ev->text = g_strdup(file->error->message);
    ev->fault = g_strdup(hoist_fault_name(file->error));
    ev->number = file->by_rule;
    d->totals->skipped++;
    g_ptr_array_add(d->skipped, ev);
}

/* What cannot be read is told when it is sent. */
static bool type_allowed(const DryRun *d, ScanFile *file)
{
    char head[MIME_HEAD_BYTES];
    SourceId id;
    const int fd = source_open(file->path, &id, NULL);
    const ssize_t n = fd < 0 ? -1 : read(fd, head, sizeof head);
    if (fd >= 0)
        close(fd);
    g_autofree char *type = n < 0 ? NULL : mime_by_content(file->path, head, (size_t)n);
    if (type == NULL || settings_type_allowed(d->settings, type))
        return true;
    fault_set(&file->error, FAULT_TYPE, "its type %s is not among --types", type);
    file->by_rule = true;
    return false;
}

static bool dry_file(const ScanFile *file, void *ctx)
{
    DryRun *d = ctx;
    if (file->error != NULL) {
        dry_skip(d, file);
        return true;
    }
    if (d->types) {
        ScanFile judged = *file;
        if (!type_allowed(d, &judged)) {
            dry_skip(d, &judged);
            g_error_free(judged.error);
            return true;
        }
    }
    const KeyFacts facts = { .relpath = file->name, .now_s = d->now_s };
    g_autofree char *short_key = key_expand(d->template, &facts);
    g_autofree char *key = g_strconcat(d->conf->prefix != NULL ? d->conf->prefix : "", short_key, NULL);
    const HoistRow row = { .state = HOIST_QUEUED,
                           .path = file->path,
                           .name = file->name,
                           .key = key,
                           .dest = d->conf->name,
                           .source_bytes = file->src.size_bytes,
                           .bytes = file->src.size_bytes,
                           .prepared_pct = -1,
                           .eta_s = -1,
                           .retry_in_ms = -1 };
    d->totals->files[HOIST_QUEUED]++;
    d->totals->bytes[HOIST_QUEUED] += file->src.size_bytes;
    return d->each(&row, d->ctx);
}

bool hoist_dry_run(const HoistSettings *settings, char **paths, HoistDryRun each, HoistTotals *totals_out, GPtrArray *skipped_out,
                   void *ctx, GError **error)
{
    g_autoptr(DestConf) conf = settings_dest(settings, error);
    if (conf == NULL)
        return false;
    *totals_out = (HoistTotals){ .eta_s = -1 };
    const bool types = hoist_settings_get(settings, "types") != NULL;
    DryRun d = {
        each, ctx, totals_out, skipped_out, settings_key_template(settings), conf, settings, types, g_get_real_time() / G_USEC_PER_SEC
    };
    g_auto(GStrv) include = hoist_settings_list(settings, "include");
    g_auto(GStrv) exclude = hoist_settings_list(settings, "exclude");
    const ScanFilter filter = { include, exclude, hoist_settings_number(settings, "max-size") };
    scan_walk(paths, &filter, dry_file, &d, NULL);
    return true;
}
