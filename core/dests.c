#include "creds.h"
#include "errand.h"
#include "settings.h"

/* ---- the destinations of the configuration ---- */

void hoist_dest_free(HoistDest *dest)
{
    if (dest == NULL)
        return;
    g_free(dest->name);
    g_free(dest->to);
    g_free(dest->scheme);
    g_free(dest->endpoint);
    g_free(dest->missing);
    g_free(dest->warning);
    g_free(dest);
}

static HoistDest *describe(const HoistSettings *settings, const AwsConfig *aws, const char *name)
{
    HoistDest *dest = g_new0(HoistDest, 1);
    g_autoptr(HoistSettings) s = hoist_settings_dup(settings);
    g_autoptr(GError) error = NULL;
    dest->name = g_strdup(name);
    if (!hoist_settings_set(s, "to", name, "[dest NAME]", &error)) {
        dest->missing = g_strdup(error->message);
        return dest;
    }
    dest->to = g_strdup(hoist_settings_get(s, "to"));
    dest->ready = settings_check_dest(s, aws, &dest->warning, &error);
    dest->missing = error == NULL ? NULL : g_strdup(error->message);
    g_autoptr(DestConf) conf = settings_dest(s, NULL);
    if (conf != NULL) {
        dest->scheme = g_strdup(conf->scheme);
        dest->endpoint = g_strdup(conf->endpoint);
    }
    return dest;
}

GPtrArray *hoist_dests(const HoistSettings *settings)
{
    GPtrArray *dests = g_ptr_array_new_with_free_func((GDestroyNotify)hoist_dest_free);
    g_autoptr(GError) unread = NULL;
    g_autoptr(AwsConfig) aws = aws_config_load(creds_env_process, NULL, NULL, &unread);
    g_autoptr(GList) names = settings_dest_names(settings);
    for (GList *name = names; name != NULL; name = name->next)
        g_ptr_array_add(dests, describe(settings, aws, name->data));
    return dests;
}

/* ---- the forms of --to ---- */

static void add_opt_help(GString *text, const HoistOpt *opt)
{
    g_autofree char *left = g_strdup_printf("--%s%s%s", opt->name, opt->arg != NULL ? "=" : "", opt->arg != NULL ? opt->arg : "");
    g_string_append_printf(text, "    %-34s %s%s%s", left, opt->help, opt->allowed != NULL ? "; " : "",
                           opt->allowed != NULL ? opt->allowed : "");
    if (opt->def != NULL)
        g_string_append_printf(text, " (default %s)", opt->def);
    g_string_append(text, opt->repeat ? "; may be given several times\n" : "\n");
}

static void add_road_help(GString *text, const DestOps *ops)
{
    g_string_append_printf(text, "\n%s\n", ops->help);
    g_autoptr(GString) line = g_string_new(NULL);
    for (const HoistOpt *opt = hoist_opts(); hoist_opt_is_common(opt); opt++)
        if (!settings_heeds_everywhere(opt->name) && settings_heeds(ops, opt->name))
            g_string_append_printf(line, "%s--%s", line->len > 0 ? " " : "", opt->name);
    if (line->len > 0)
        g_string_append_printf(text, "    heeds %s\n", line->str);
    for (const HoistOpt *opt = ops->opts; opt != NULL && opt->name != NULL; opt++)
        add_opt_help(text, opt);
    if (ops->aws)
        g_string_append(text, "    keys as for the AWS tools: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or --profile\n");
    for (const DestSecret *row = ops->secrets; row != NULL && row->name != NULL; row++)
        g_string_append_printf(text, "    secret %-27s %s%s%s%s\n", row->name, row->help != NULL ? row->help : "",
                               row->env != NULL ? "; " : "", row->env != NULL ? row->env : "", row->optional ? " (not always needed)" : "");
    const bool share = errand_possible(ops, ERRAND_SHARE), removal = errand_possible(ops, ERRAND_REMOVE);
    if (share || removal)
        g_string_append_printf(text, "    for %s%s%s\n", share ? "hoist share" : "", share && removal ? " and " : "",
                               removal ? "hoist rm" : "");
}

char *hoist_dests_help(void)
{
    GString *text =
        g_string_new("Forms of --to, and what each one understands. A [dest NAME] of config.ini takes the same, without the dashes.\n");
    for (const DestOps *const *ops = dest_table(); *ops != NULL; ops++)
        add_road_help(text, *ops);
    return g_string_free(text, FALSE);
}
