#include "settings.h"

#include <string.h>

#include "creds.h"

/* ---- which options count for whom ---- */

/* What is done before a destination has a say. */
static const char *const everywhere[] = {
    "to",      "parts",   "part-size", "images", "renditions", "keep-original", "original-prefix", "on-image-error", "key",
    "include", "exclude", "max-size",  "types",  NULL
};

static bool is_own(const DestOps *ops, const char *name)
{
    for (const HoistOpt *opt = ops->opts; opt != NULL && opt->name != NULL; opt++)
        if (g_str_equal(opt->name, name))
            return true;
    return false;
}

bool settings_heeds_everywhere(const char *name)
{
    const HoistOpt *opt = settings_opt(name);
    return opt != NULL && (!opt->per_batch || g_strv_contains(everywhere, name) || recipe_word(name) != NULL);
}

bool settings_heeds(const DestOps *ops, const char *name)
{
    const HoistOpt *opt = settings_opt(name);
    if (opt == NULL || settings_heeds_everywhere(name) || is_own(ops, name))
        return opt != NULL;
    if (ops->shared != NULL && g_strv_contains(ops->shared, name))
        return true;
    if (g_str_equal(name, "profile"))
        return ops->aws;
    if (g_str_equal(name, "secret"))
        return ops->secrets != NULL || ops->more_secrets != NULL;
    return ops->form == DEST_FORM_BUCKET && (g_str_equal(name, "endpoint") || g_str_equal(name, "region"));
}

char *settings_heeders(const char *name)
{
    GString *list = g_string_new(NULL);
    for (const DestOps *const *ops = dest_table(); *ops != NULL; ops++)
        if (settings_heeds(*ops, name))
            g_string_append_printf(list, "%s%s", list->len > 0 ? ", " : "", (*ops)->scheme);
    if (list->len == 0)
        g_string_append(list, "none");
    return g_string_free(list, FALSE);
}

/* What was said for this destination must count there; what was said for all may be for others. */
static bool check_heeded(const HoistSettings *s, const DestOps *ops, GError **error)
{
    for (const HoistOpt *opt = hoist_opts(); opt->name != NULL; opt++) {
        const char *origin = settings_explicit_origin(s, opt->name);
        if (origin == NULL || settings_heeds(ops, opt->name))
            continue;
        g_autofree char *heeders = settings_heeders(opt->name);
        fault_set(error, FAULT_USAGE, "%s: %s has no option \"%s\"; it is for %s", origin, ops->scheme, opt->name, heeders);
        return false;
    }
    return true;
}

/* ---- the destination ---- */

static bool from_aws(DestConf *conf, const HoistSettings *s, GError **error)
{
    g_autoptr(AwsConfig) aws = aws_config_load(creds_env_process, NULL, NULL, error);
    if (aws == NULL)
        return false;
    const char *profile = hoist_settings_get(s, "profile");
    if (conf->endpoint == NULL)
        conf->endpoint = creds_s3_endpoint(aws, profile, creds_env_process, NULL);
    if (!settings_is_set(s, "addressing")) {
        const char *style = creds_addressing(aws, profile, creds_env_process, NULL);
        if (!g_str_equal(style, "auto"))
            g_hash_table_insert(conf->options, g_strdup("addressing"), g_strdup(style));
    }
    if (conf->region != NULL)
        return true;
    g_autoptr(GError) cause = NULL;
    conf->region = creds_region(aws, profile, creds_env_process, NULL, &cause);
    if (cause == NULL)
        return true;
    g_propagate_error(error, g_steal_pointer(&cause));
    return false;
}

static void take_option(DestConf *conf, const HoistSettings *s, const HoistOpt *opt)
{
    const bool off = opt->kind == HOIST_OPT_SWITCH && !hoist_settings_switch(s, opt->name);
    if (off || !settings_is_set(s, opt->name))
        return;
    g_auto(GStrv) values = hoist_settings_list(s, opt->name);
    g_hash_table_insert(conf->options, g_strdup(opt->name), g_strjoinv("\n", values));
}

static void take_options(DestConf *conf, const HoistSettings *s, const DestOps *ops)
{
    for (const char *const *name = ops->shared; name != NULL && *name != NULL; name++)
        take_option(conf, s, settings_opt(*name));
    for (const HoistOpt *opt = ops->opts; opt != NULL && opt->name != NULL; opt++)
        take_option(conf, s, settings_opt(opt->name));
}

static bool no_such_dest(const char *to, GError **error)
{
    const char *name = strchr(to, ':') != NULL ? strchr(to, ':') + 1 : to;
    g_autofree char *shown = hoist_text(to), *shown_name = hoist_text(name);
    if (name == to)
        fault_set(error, FAULT_USAGE, "--to %s: config.ini has no [dest %s]; allowed: such a name, or %s", shown, shown_name,
                  dest_schemes_help());
    else
        fault_set(error, FAULT_USAGE, "--to %s: config.ini has no [dest %s] with to = %.*s...", shown, shown_name, (int)(name - to), to);
    return false;
}

const char *settings_key_template(const HoistSettings *s)
{
    const char *to = hoist_settings_get(s, "to");
    g_autoptr(DestConf) conf = dest_conf_new();
    if (settings_is_set(s, "key") || to == NULL || !dest_conf_parse(conf, to, NULL) || dest_by_scheme(conf->scheme)->form != DEST_FORM_NAME)
        return hoist_settings_get(s, "key");
    return "{name}";
}

static bool parse_to(DestConf *conf, const HoistSettings *s, GError **error)
{
    const char *to = hoist_settings_get(s, "to");
    if (to == NULL) {
        fault_set(error, FAULT_USAGE,
                  "--to says where: s3://BUCKET/PREFIX, another form (hoist dests --help) or a [dest NAME] of config.ini");
        return false;
    }
    const char *colon = strchr(to, ':');
    if (colon == NULL && strchr(to, '+') == NULL)
        return no_such_dest(to, error);
    g_autofree char *scheme = colon == NULL ? NULL : g_strndup(to, (gsize)(colon - to));
    const DestOps *ops = dest_by_scheme(scheme);
    if (ops != NULL && ops->form == DEST_FORM_BUCKET && strstr(to, "://") == NULL)
        return no_such_dest(to, error);
    return dest_conf_parse(conf, to, error);
}

static void take_common(char **field, const HoistSettings *s, const DestOps *ops, const char *name)
{
    if (!settings_is_set(s, name) || !settings_heeds(ops, name))
        return;
    g_free(*field);
    *field = g_strdup(hoist_settings_get(s, name));
}

/* What the tools of this store would look at. */
static void take_variable(char **field, const char *names)
{
    if (*field == NULL)
        *field = g_strdup(creds_env_first(names));
}

DestConf *settings_dest(const HoistSettings *s, GError **error)
{
    g_autoptr(DestConf) conf = dest_conf_new();
    if (!parse_to(conf, s, error))
        return NULL;
    const DestOps *ops = dest_by_scheme(conf->scheme);
    if (settings_dest_name(s) != NULL) {
        g_free(conf->name);
        conf->name = g_strdup(settings_dest_name(s));
    }
    take_common(&conf->endpoint, s, ops, "endpoint");
    take_common(&conf->region, s, ops, "region");
    take_options(conf, s, ops);
    take_variable(&conf->endpoint, ops->endpoint_env);
    take_variable(&conf->region, ops->region_env);
    if (ops->aws && !from_aws(conf, s, error))
        return NULL;
    return g_steal_pointer(&conf);
}

/* ---- is it fit to be used? ---- */

/* Where the option was set that a destination's complaint begins with ("--acl must be ..."): its line, its variable; NULL = unknown. */
static const char *origin_of_complaint(const HoistSettings *s, const char *message)
{
    if (!g_str_has_prefix(message, "--"))
        return NULL;
    g_autofree char *name = g_strndup(message + 2, strspn(message + 2, "abcdefghijklmnopqrstuvwxyz0123456789-"));
    return settings_explicit_origin(s, name);
}

/* Names the line of what cannot be used: of the option, else of the group. Nothing starts either way. */
static bool unfit(const HoistSettings *s, const char *origin, GError *cause, GError **error)
{
    if (origin == NULL)
        origin = settings_dest_origin(s);
    const bool ours = fault_code(cause) == FAULT_USAGE || fault_code(cause) == FAULT_CONFIG;
    if ((origin == NULL && ours) || (origin != NULL && g_str_has_prefix(origin, "--") && g_str_has_prefix(cause->message, origin)))
        g_propagate_error(error, g_error_copy(cause));
    else
        fault_set(error, FAULT_CONFIG, "%s%s%s", origin == NULL ? "" : origin, origin == NULL ? "" : ": ", cause->message);
    return false;
}

static bool check_secrets(const HoistSettings *s, const DestOps *ops, const void *priv, const AwsConfig *aws, char **warning_out,
                          GError **error)
{
    const char *origin = settings_explicit_origin(s, "secret");
    g_autofree char *unknown = origin == NULL ? NULL : creds_unknown_secret(s, ops, priv);
    g_autoptr(GError) cause = NULL;
    if (unknown != NULL)
        fault_set(&cause, FAULT_CONFIG, "%s", unknown);
    else if (creds_dest_ready(aws, s, ops, priv, warning_out, &cause))
        return true;
    return unfit(s, origin, cause, error);
}

bool settings_check_dest(const HoistSettings *s, const AwsConfig *aws, char **warning_out, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(DestConf) conf = settings_dest(s, error);
    if (conf == NULL)
        return false;
    const DestOps *ops = dest_by_scheme(conf->scheme);
    if (!check_heeded(s, ops, error))
        return false;
    void *priv = ops->open(conf, &cause);
    if (priv == NULL)
        return unfit(s, origin_of_complaint(s, cause->message), cause, error);
    const bool ready = check_secrets(s, ops, priv, aws, warning_out, error);
    ops->close(priv);
    return ready;
}

static bool pictures_fit(const HoistSettings *s, GError **error)
{
    Renditions r = { 0 };
    const bool fit = settings_renditions(s, &r, error);
    renditions_clear(&r);
    return fit;
}

bool hoist_settings_check_dest(const HoistSettings *s, char **warning_out, GError **error)
{
    if (!pictures_fit(s, error))
        return false;
    return settings_check_dest(s, NULL, warning_out, error); /* keys of AWS are looked for when the queue runs, as the AWS tools do */
}
