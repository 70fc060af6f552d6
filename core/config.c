#include "settings.h"

#include <string.h>

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

/* The group that is being read: ops of a [dest NAME] whose "to" is known, else NULL. */
typedef struct {
    const char *name;
    bool in_dest;
    const DestOps *ops;
} Group;

static bool key_allowed(const HoistOpt *opt, const Group *group)
{
    if (g_str_equal(opt->name, "config"))
        return false;
    return !group->in_dest || (opt->per_batch && (group->ops == NULL || settings_heeds(group->ops, opt->name)));
}

static char *allowed_keys(const Group *group)
{
    GString *list = g_string_new(NULL);
    for (const HoistOpt *opt = hoist_opts(); opt->name != NULL; opt++)
        if (key_allowed(opt, group))
            g_string_append_printf(list, "%s%s", list->len > 0 ? ", " : "", opt->name);
    return g_string_free(list, FALSE);
}

static void refuse_key(const char *origin, const char *key, const HoistOpt *opt, const Group *group, GError **error)
{
    g_autofree char *allowed = allowed_keys(group);
    g_autofree char *shown = hoist_text(key);
    if (opt == NULL && is_secret(key)) {
        fault_set(
            error, FAULT_CONFIG,
            "%s: secrets do not belong in this file; write where they are: secret = NAME=env:VARIABLE, NAME=file:PATH or "
            "NAME=command:COMMAND. Keys of S3 go into a profile of ~/.aws/credentials (profile = NAME), or into AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY",
            origin);
    } else if (*key == ';') {
        fault_set(error, FAULT_CONFIG, "%s: comments begin with # in this file", origin);
    } else if (opt != NULL && opt->per_batch && group->ops != NULL) {
        g_autofree char *heeders = settings_heeders(opt->name);
        fault_set(error, FAULT_CONFIG, "%s: %s has no option \"%s\" (that is for %s); allowed: %s", origin, group->ops->scheme, shown,
                  heeders, allowed);
    } else {
        fault_set(error, FAULT_CONFIG, "%s: unknown key \"%s\"; allowed: %s", origin, shown, allowed);
    }
}

/* GKeyFile takes what follows a value for a part of it. */
static bool refuse_value(const char *value, GError **error)
{
    if (value != NULL && error != NULL && strstr(value, " #") != NULL) {
        g_autofree char *message = (*error)->message;
        (*error)->message = g_strconcat(message, " (a comment needs a line of its own)", NULL);
    }
    return false;
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
            return refuse_value(*value, error);
    return true;
}

static SettingsLayer *read_group(const Config *config, const Group *group, GError **error)
{
    g_autofree char *start = origin_of(config, group->name, NULL);
    g_autoptr(SettingsLayer) layer = settings_layer_new();
    settings_layer_set_origin(layer, start);
    g_auto(GStrv) keys = g_key_file_get_keys(config->file, group->name, NULL, NULL);
    for (char **key = keys; key != NULL && *key != NULL; key++) {
        if (group->in_dest && g_str_equal(*key, "broker") && !g_key_file_has_key(config->file, group->name, "to", NULL))
            continue; /* it says where to, see where_to */
        g_autofree char *origin = origin_of(config, group->name, *key);
        const HoistOpt *opt = settings_opt(*key);
        if (opt == NULL || !key_allowed(opt, group)) {
            refuse_key(origin, *key, opt, group, error);
            return NULL;
        }
        if (!read_key(config, group->name, opt, layer, origin, error))
            return NULL;
    }
    return g_steal_pointer(&layer);
}

/* "to", or what "broker = NAME" is short for; NULL when there is neither, or when it cannot be read, which read_key says. */
static char *where_to(const Config *config, const char *group, char **origin_out)
{
    g_autofree char *to = g_key_file_get_string(config->file, group, "to", NULL);
    g_autofree char *broker = g_key_file_get_string(config->file, group, "broker", NULL);
    *origin_out = origin_of(config, group, to != NULL ? "to" : "broker");
    if (to == NULL && broker != NULL)
        return g_strconcat("broker:", g_strstrip(broker), NULL);
    return to == NULL ? NULL : g_strdup(g_strstrip(to));
}

static bool name_fits(const char *name)
{
    return *name != '\0' && strpbrk(name, ":/") == NULL; /* of DEST/KEY, of SCHEME:NAME */
}

static bool read_dest(const Config *config, const char *group, GHashTable *dests, GError **error)
{
    g_autofree char *origin = origin_of(config, group, NULL), *to_origin = NULL;
    g_autofree char *name = g_strstrip(g_strdup(group + strlen("dest ")));
    if (!name_fits(name) || g_hash_table_contains(dests, name)) {
        fault_set(error, FAULT_CONFIG, "%s: [dest NAME] needs a name of its own, without : and /", origin);
        return false;
    }
    g_autofree char *to = where_to(config, group, &to_origin);
    g_autoptr(DestConf) conf = dest_conf_new();
    g_autoptr(GError) cause = NULL;
    if (to != NULL && !dest_conf_parse(conf, to, &cause)) {
        fault_set(error, FAULT_CONFIG, "%s: %s", to_origin, cause->message);
        return refuse_value(to, error);
    }
    const Group row = { group, true, to == NULL ? NULL : dest_by_scheme(conf->scheme) };
    g_autoptr(SettingsLayer) layer = read_group(config, &row, error);
    if (layer == NULL)
        return false;
    if (to == NULL) {
        fault_set(error, FAULT_CONFIG, "%s: [dest %s] lacks a line like to = %s", origin, name, dest_schemes_help());
        return false;
    }
    if (!settings_layer_set(layer, "to", to, to_origin, FAULT_CONFIG, error))
        return false;
    g_hash_table_insert(dests, g_steal_pointer(&name), g_steal_pointer(&layer));
    return true;
}

/* ---- [images NAME] ---- */

static bool image_key_known(const char *origin, const char *key, GError **error)
{
    if (g_str_equal(key, "like") || recipe_word(key) != NULL)
        return true;
    g_autofree char *shown = hoist_text(key);
    g_autoptr(GString) list = g_string_new("like");
    for (const RecipeWord *word = recipe_words(); word->name != NULL; word++)
        g_string_append_printf(list, ", %s", word->name);
    fault_set(error, FAULT_CONFIG, "%s: unknown key \"%s\"; allowed: %s", origin, shown, list->str);
    return false;
}

/* The lines of a group as "KEY=VALUE"; NULL and error when one is no such line. */
static char **image_words(const Config *config, const char *group, char *const *keys, GError **error)
{
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();
    for (; *keys != NULL; keys++) {
        g_autofree char *origin = origin_of(config, group, *keys), *value = g_key_file_get_string(config->file, group, *keys, NULL);
        if (!image_key_known(origin, *keys, error))
            return NULL;
        g_autofree char *word = g_strdup_printf("%s=%s", *keys, value == NULL ? "" : g_strstrip(value));
        g_strv_builder_add(words, word);
    }
    return g_strv_builder_end(words);
}

static bool read_images(const Config *config, const char *group, GHashTable *images, GError **error)
{
    g_autofree char *origin = origin_of(config, group, NULL), *why = NULL;
    g_autofree char *name = g_strstrip(g_strdup(group + strlen("images ")));
    if (!settings_recipe_name_fits(name) || g_hash_table_contains(images, name)) {
        fault_set(error, FAULT_CONFIG,
                  "%s: [images NAME] needs a name of its own: at most %d letters, digits, - and _; not that of a preset, none or original",
                  origin, SETTINGS_MAX_RECIPE_NAME);
        return false;
    }
    g_auto(GStrv) keys = g_key_file_get_keys(config->file, group, NULL, NULL);
    g_auto(GStrv) words = image_words(config, group, keys, error);
    if (words == NULL)
        return false;
    unsigned which;
    char *recipe = settings_recipe_of_group(words, &which, &why);
    if (recipe == NULL) {
        g_autofree char *line = origin_of(config, group, keys[which]), *shown = hoist_text(why);
        fault_set(error, FAULT_CONFIG, "%s: %s", line, shown);
        return refuse_value(words[which], error);
    }
    g_hash_table_insert(images, g_steal_pointer(&name), recipe);
    return true;
}

/* ---- the whole ---- */

/* What a file says. */
typedef struct {
    SettingsLayer *layer; /* [hoist] */
    GHashTable *dests, *images;
} Said;

static void said_clear(Said *said)
{
    settings_layer_free(said->layer);
    g_clear_pointer(&said->dests, g_hash_table_unref);
    g_clear_pointer(&said->images, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Said, said_clear)

static bool read_one(const Config *config, const char *group, Said *said, GError **error)
{
    if (g_str_equal(group, "hoist")) {
        const Group row = { group, false, NULL };
        settings_layer_free(said->layer);
        said->layer = read_group(config, &row, error);
        return said->layer != NULL;
    }
    if (g_str_has_prefix(group, "dest "))
        return read_dest(config, group, said->dests, error);
    if (g_str_has_prefix(group, "images "))
        return read_images(config, group, said->images, error);
    g_autofree char *origin = origin_of(config, group, NULL), *shown = hoist_text(group);
    fault_set(error, FAULT_CONFIG, "%s: unknown group [%s]; allowed: [hoist], [dest NAME], [images NAME]", origin, shown);
    return false;
}

static bool read_config(const Config *config, Said *said, GError **error)
{
    said->layer = settings_layer_new();
    said->dests = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)settings_layer_free);
    said->images = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_auto(GStrv) groups = g_key_file_get_groups(config->file, NULL);
    for (char **group = groups; *group != NULL; group++)
        if (!read_one(config, *group, said, error))
            return false;
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
    g_auto(Said) said = { 0 };
    if (!read_text(&config, path != NULL, error) || !parse_text(&config, error) || !read_config(&config, &said, error))
        return false;
    settings_take_layer(s, SETTINGS_FILE, g_steal_pointer(&said.layer));
    settings_take_dests(s, g_steal_pointer(&said.dests));
    settings_take_images(s, g_steal_pointer(&said.images));
    return true;
}
