#include "settings.h"

#include <string.h>

#include "creds.h"

/* config.ini as it is being read. GKeyFile gives no line numbers, so the text is kept to look them up when something is wrong. */
typedef struct {
    char *name; /* for messages */
    char *text;
    GKeyFile *file;
} Config;

static void config_clear(Config *config)
{
    g_free(config->name);
    g_free(config->text);
    g_clear_pointer(&config->file, g_key_file_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Config, config_clear)

/* ---- lines ---- */

/* Length of the first n lines of text. */
static size_t lines_bytes(const char *text, unsigned n)
{
    const char *p = text;
    for (; n > 0 && *p != '\0'; n--) {
        const char *end = strchr(p, '\n');
        p = end == NULL ? p + strlen(p) : end + 1;
    }
    return (size_t)(p - text);
}

static bool loads(const char *text, size_t n)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    return n == 0 || g_key_file_load_from_data(file, text, n, G_KEY_FILE_NONE, NULL);
}

/* The line that GKeyFile stumbles over: the first n lines load, n + 1 do not. */
static unsigned broken_line(const char *text)
{
    unsigned good = 0, bad = 1;
    for (const char *p = text; *p != '\0'; p++)
        bad += *p == '\n';
    while (bad - good > 1) {
        const unsigned middle = good + (bad - good) / 2;
        if (loads(text, lines_bytes(text, middle)))
            good = middle;
        else
            bad = middle;
    }
    return bad;
}

/* The line of a key (the last, which counts), or of the group's header when key is NULL. 0 = nowhere. */
static unsigned line_of(const Config *config, const char *group, const char *key)
{
    g_auto(GStrv) lines = g_strsplit(config->text, "\n", -1);
    g_autofree char *header = g_strdup_printf("[%s]", group);
    unsigned found = 0;
    bool inside = false;
    for (unsigned i = 0; lines[i] != NULL; i++) {
        char *line = g_strstrip(lines[i]);
        if (*line == '[') {
            inside = g_str_equal(line, header);
            if (inside && key == NULL)
                found = i + 1;
        } else if (inside && key != NULL && *line != '#') {
            char *equals = strchr(line, '=');
            if (equals != NULL)
                *equals = '\0';
            if (g_str_equal(g_strchomp(line), key))
                found = i + 1;
        }
    }
    return found;
}

static char *origin_of(const Config *config, const char *group, const char *key)
{
    return g_strdup_printf("%s line %u", config->name, line_of(config, group, key));
}

/* ---- reading ---- */

static bool read_text(Config *config, bool required, GError **error)
{
    g_autoptr(GError) cause = NULL;
    gsize n;
    if (!g_file_get_contents(config->name, &config->text, &n, &cause)) {
        if (!required && g_error_matches(cause, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
            config->text = g_strdup("");
            return true;
        }
        fault_set(error, FAULT_CONFIG, "%s", cause->message);
        return false;
    }
    if (n > SETTINGS_MAX_FILE_BYTES || strlen(config->text) != n) {
        fault_set(error, FAULT_CONFIG, "%s: is too large or no text: more than %d bytes, or a NUL", config->name, SETTINGS_MAX_FILE_BYTES);
        return false;
    }
    return true;
}

static bool parse_text(Config *config, GError **error)
{
    config->file = g_key_file_new();
    const char *bom = "\xef\xbb\xbf";
    if (g_str_has_prefix(config->text, bom))
        memmove(config->text, config->text + strlen(bom), strlen(config->text + strlen(bom)) + 1);
    if (loads(config->text, strlen(config->text))) {
        g_key_file_load_from_data(config->file, config->text, (gsize)-1, G_KEY_FILE_NONE, NULL);
        return true;
    }
    /* GKeyFile's own words quote the line, and it may hold a secret. */
    fault_set(error, FAULT_CONFIG, "%s line %u: is neither [GROUP], KEY = VALUE nor a # comment", config->name, broken_line(config->text));
    return false;
}

static bool is_secret(const char *key)
{
    static const char *const words[] = { "secret", "access-key", "accesskey", "password", "passwd", "token" };
    g_autofree char *name = g_strdelimit(g_ascii_strdown(key, -1), "_", '-');
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
        if (strstr(name, words[i]) != NULL)
            return true;
    return false;
}

static bool key_allowed(const HoistOpt *opt, bool in_dest)
{
    return opt->name != NULL && !g_str_equal(opt->name, "config") && (opt->per_batch || !in_dest);
}

static void unknown_key(const char *origin, const char *key, bool in_dest, GError **error)
{
    if (is_secret(key)) {
        fault_set(error, FAULT_CONFIG,
                  "%s: secrets do not belong in this file; put the keys into a profile of ~/.aws/credentials and write profile = NAME "
                  "here, or set "
                  "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                  origin);
        return;
    }
    if (*key == ';') {
        fault_set(error, FAULT_CONFIG, "%s: comments begin with # in this file", origin);
        return;
    }
    g_autoptr(GString) list = g_string_new(NULL);
    for (const HoistOpt *opt = hoist_opts(); opt->name != NULL; opt++)
        if (key_allowed(opt, in_dest))
            g_string_append_printf(list, "%s%s", list->len ? ", " : "", opt->name);
    g_autofree char *shown = hoist_text(key);
    fault_set(error, FAULT_CONFIG, "%s: unknown key \"%s\"; allowed: %s", origin, shown, list->str);
}

static bool read_key(const Config *config, const char *group, const HoistOpt *opt, SettingsLayer *layer, const char *origin, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_auto(GStrv) values = NULL;
    if (opt->repeat) {
        values = g_key_file_get_string_list(config->file, group, opt->name, NULL, &cause);
    } else {
        values = g_new0(char *, 2);
        values[0] = g_key_file_get_string(config->file, group, opt->name, &cause);
    }
    if (cause != NULL) {
        fault_set(error, FAULT_CONFIG, "%s: %s: the value is not UTF-8, or has a \\ that is not one of \\\\ \\s \\t%s", origin, opt->name,
                  opt->repeat ? " \\;" : "");
        return false;
    }
    for (char **value = values; *value != NULL; value++)
        if (!settings_layer_set(layer, opt->name, g_strstrip(*value), origin, FAULT_CONFIG, error))
            return false;
    return true;
}

static SettingsLayer *read_group(const Config *config, const char *group, bool in_dest, GError **error)
{
    g_autoptr(SettingsLayer) layer = settings_layer_new();
    g_auto(GStrv) keys = g_key_file_get_keys(config->file, group, NULL, NULL);
    for (char **key = keys; key != NULL && *key != NULL; key++) {
        g_autofree char *origin = origin_of(config, group, *key);
        const HoistOpt *opt = settings_opt(*key);
        if (opt == NULL || !key_allowed(opt, in_dest)) {
            unknown_key(origin, *key, in_dest, error);
            return NULL;
        }
        if (!read_key(config, group, opt, layer, origin, error))
            return NULL;
    }
    return g_steal_pointer(&layer);
}

static bool read_dest(const Config *config, const char *group, GHashTable *dests, GError **error)
{
    g_autofree char *origin = origin_of(config, group, NULL);
    g_autofree char *name = g_strstrip(g_strdup(group + strlen("dest ")));
    if (*name == '\0' || strstr(name, "://") != NULL || g_hash_table_contains(dests, name)) {
        fault_set(error, FAULT_CONFIG, "%s: [dest NAME] needs a name of its own", origin);
        return false;
    }
    g_autoptr(SettingsLayer) layer = read_group(config, group, true, error);
    if (layer == NULL)
        return false;
    if (!settings_layer_has(layer, "to")) {
        fault_set(error, FAULT_CONFIG, "%s: [dest %s] lacks a line like to = %s", origin, name, dest_schemes_help());
        return false;
    }
    g_autofree char *to = g_key_file_get_string(config->file, group, "to", NULL), *to_origin = origin_of(config, group, "to");
    g_autoptr(DestConf) conf = dest_conf_new();
    g_autoptr(GError) cause = NULL;
    if (!dest_conf_parse(conf, g_strstrip(to), &cause)) {
        fault_set(error, FAULT_CONFIG, "%s: %s", to_origin, cause->message);
        return false;
    }
    g_hash_table_insert(dests, g_steal_pointer(&name), g_steal_pointer(&layer));
    return true;
}

static bool read_config(const Config *config, SettingsLayer **layer_out, GHashTable **dests_out, GError **error)
{
    g_autoptr(SettingsLayer) layer = settings_layer_new();
    g_autoptr(GHashTable) dests = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)settings_layer_free);
    g_auto(GStrv) groups = g_key_file_get_groups(config->file, NULL);
    for (char **group = groups; *group != NULL; group++) {
        if (g_str_equal(*group, "hoist")) {
            settings_layer_free(layer);
            layer = read_group(config, *group, false, error);
            if (layer == NULL)
                return false;
        } else if (g_str_has_prefix(*group, "dest ")) {
            if (!read_dest(config, *group, dests, error))
                return false;
        } else {
            g_autofree char *origin = origin_of(config, *group, NULL);
            g_autofree char *shown = hoist_text(*group);
            fault_set(error, FAULT_CONFIG, "%s: unknown group [%s]; allowed: [hoist], [dest NAME]", origin, shown);
            return false;
        }
    }
    *layer_out = g_steal_pointer(&layer);
    *dests_out = g_steal_pointer(&dests);
    return true;
}

static SettingsLayer *read_environment(GError **error)
{
    g_autoptr(SettingsLayer) layer = settings_layer_new();
    for (const HoistOpt *opt = hoist_opts(); opt->name != NULL; opt++) {
        g_autofree char *name = settings_env_name(opt);
        const char *text = g_getenv(name);
        if (text == NULL || *text == '\0')
            continue;
        g_auto(GStrv) values = g_strsplit(text, "\n", opt->repeat ? -1 : 1);
        for (char **value = values; *value != NULL; value++)
            if ((**value != '\0' || !opt->repeat) && !settings_layer_set(layer, opt->name, *value, name, FAULT_USAGE, error))
                return NULL;
    }
    return g_steal_pointer(&layer);
}

bool hoist_settings_load(HoistSettings *s, const char *path, GError **error)
{
    g_autoptr(SettingsLayer) environment = read_environment(error);
    if (environment == NULL)
        return false;
    settings_take_layer(s, SETTINGS_ENV, g_steal_pointer(&environment)); /* may name the file */

    if (path == NULL)
        path = hoist_settings_get(s, "config");
    g_auto(Config) config = { 0 };
    config.name = path != NULL ? g_strdup(path) : g_build_filename(g_get_user_config_dir(), HOIST_APP, "config.ini", NULL);
    SettingsLayer *layer;
    GHashTable *dests;
    if (!read_text(&config, path != NULL, error) || !parse_text(&config, error) || !read_config(&config, &layer, &dests, error))
        return false;
    settings_take_layer(s, SETTINGS_FILE, layer);
    settings_take_dests(s, dests);
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

static void take_options(DestConf *conf, const HoistSettings *s)
{
    const DestOps *ops = dest_by_scheme(conf->scheme);
    for (const char *const *name = ops == NULL ? NULL : ops->shared; name != NULL && *name != NULL; name++)
        take_option(conf, s, settings_opt(*name));
    for (const HoistOpt *opt = ops == NULL ? NULL : ops->opts; opt != NULL && opt->name != NULL; opt++)
        take_option(conf, s, settings_opt(opt->name));
}

DestConf *settings_dest(const HoistSettings *s, GError **error)
{
    const char *to = hoist_settings_get(s, "to");
    if (to == NULL) {
        fault_set(error, FAULT_USAGE, "--to says where: s3://BUCKET/PREFIX or a [dest NAME] of config.ini");
        return NULL;
    }
    if (strstr(to, "://") == NULL) {
        g_autofree char *shown = hoist_text(to);
        fault_set(error, FAULT_USAGE, "--to %s: config.ini has no [dest %s]; allowed: such a name, or %s", shown, shown,
                  dest_schemes_help());
        return NULL;
    }
    g_autoptr(DestConf) conf = dest_conf_new();
    if (!dest_conf_parse(conf, to, error))
        return NULL;
    if (settings_dest_name(s) != NULL) {
        g_free(conf->name);
        conf->name = g_strdup(settings_dest_name(s));
    }
    if (settings_is_set(s, "endpoint")) {
        g_free(conf->endpoint);
        conf->endpoint = g_strdup(hoist_settings_get(s, "endpoint"));
    }
    if (settings_is_set(s, "region")) {
        g_free(conf->region);
        conf->region = g_strdup(hoist_settings_get(s, "region"));
    }
    take_options(conf, s);
    if (g_str_equal(conf->scheme, "s3") && !from_aws(conf, s, error))
        return NULL;
    return g_steal_pointer(&conf);
}
