#include "settings_opts.h"

#include <json-glib/json-glib.h>
#include <string.h>

/* What was said of one option: texts, and where. */
typedef struct {
    GPtrArray *texts; /* of char*; NULL = not set */
    char *origin;     /* of the last one: "--acl", "config.ini line 7" */
} Value;

struct SettingsLayer {
    char *origin; /* of a [dest NAME] group: where it begins; else NULL */
    Value values[];
};

struct HoistSettings {
    SettingsLayer *layers[N_SETTINGS_SOURCES];
    GHashTable *dests;  /* shared by duplicates, never changed; NULL = none */
    char *dest_name;    /* of a frozen batch, whose "to" is expanded; else NULL */
    GHashTable *images; /* char* -> char*: recipes of [images NAME]; shared by duplicates, never changed; NULL = none */
    char **recipes;     /* of a frozen batch; NULL = from the options */
    GHashTable *given;  /* of a frozen batch: char*, options that were given for it and not by its [dest NAME]; else NULL */
};

/* ---- a layer ---- */

SettingsLayer *settings_layer_new(void)
{
    return g_malloc0(sizeof(SettingsLayer) + settings_n_opts() * sizeof(Value));
}

static void value_clear(Value *value)
{
    g_clear_pointer(&value->texts, g_ptr_array_unref);
    g_clear_pointer(&value->origin, g_free);
}

void settings_layer_free(SettingsLayer *layer)
{
    if (layer == NULL)
        return;
    for (unsigned i = 0; i < settings_n_opts(); i++)
        value_clear(&layer->values[i]);
    g_free(layer->origin);
    g_free(layer);
}

static SettingsLayer *layer_dup(const SettingsLayer *layer)
{
    SettingsLayer *copy = settings_layer_new();
    copy->origin = g_strdup(layer->origin);
    for (unsigned i = 0; i < settings_n_opts(); i++)
        if (layer->values[i].texts != NULL) {
            copy->values[i].texts = g_ptr_array_copy(layer->values[i].texts, (GCopyFunc)(void (*)(void))g_strdup, NULL);
            copy->values[i].origin = g_strdup(layer->values[i].origin);
        }
    return copy;
}

bool settings_layer_set(SettingsLayer *layer, const char *name, const char *value, const char *origin, FaultCode code, GError **error)
{
    const HoistOpt *opt = settings_opt(name);
    if (opt == NULL) {
        g_autofree char *shown = hoist_text(name);
        fault_set(error, code, "%s: there is no option \"%s\"", origin, shown);
        return false;
    }
    if (value == NULL)
        value = opt->kind == HOIST_OPT_SWITCH ? "true" : "";
    if (!settings_check(opt, value, origin, code, error))
        return false;
    Value *v = &layer->values[settings_opt_index(opt)];
    if (opt->repeat && v->texts != NULL && v->texts->len >= SETTINGS_MAX_VALUES) {
        settings_value_fault(opt, value, "is one too many", false, origin, code, error);
        return false;
    }
    if (!opt->repeat)
        value_clear(v);
    if (v->texts == NULL)
        v->texts = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(v->texts, settings_value_stored(opt, value));
    g_free(v->origin);
    v->origin = g_strdup(origin);
    return true;
}

void settings_layer_set_origin(SettingsLayer *layer, const char *origin)
{
    g_free(layer->origin);
    layer->origin = g_strdup(origin);
}

/* ---- settings ---- */

HoistSettings *hoist_settings_new(void)
{
    HoistSettings *s = g_new0(HoistSettings, 1);
    for (unsigned i = 0; i < N_SETTINGS_SOURCES; i++)
        s->layers[i] = settings_layer_new();
    return s;
}

HoistSettings *hoist_settings_dup(const HoistSettings *s)
{
    HoistSettings *copy = g_new0(HoistSettings, 1);
    for (unsigned i = 0; i < N_SETTINGS_SOURCES; i++)
        copy->layers[i] = layer_dup(s->layers[i]);
    copy->dests = s->dests == NULL ? NULL : g_hash_table_ref(s->dests);
    copy->dest_name = g_strdup(s->dest_name);
    copy->images = s->images == NULL ? NULL : g_hash_table_ref(s->images);
    copy->recipes = g_strdupv(s->recipes);
    copy->given = s->given == NULL ? NULL : g_hash_table_ref(s->given);
    return copy;
}

void hoist_settings_free(HoistSettings *s)
{
    if (s == NULL)
        return;
    for (unsigned i = 0; i < N_SETTINGS_SOURCES; i++)
        settings_layer_free(s->layers[i]);
    g_clear_pointer(&s->dests, g_hash_table_unref);
    g_free(s->dest_name);
    g_clear_pointer(&s->images, g_hash_table_unref);
    g_strfreev(s->recipes);
    g_clear_pointer(&s->given, g_hash_table_unref);
    g_free(s);
}

bool hoist_settings_set(HoistSettings *s, const char *name, const char *value, const char *origin, GError **error)
{
    if (!settings_layer_set(s->layers[SETTINGS_GIVEN], name, value, origin, FAULT_USAGE, error))
        return false;
    if (g_str_equal(name, "to"))
        g_clear_pointer(&s->dest_name, g_free);
    return true;
}

void settings_take_layer(HoistSettings *s, SettingsSource source, SettingsLayer *layer)
{
    settings_layer_free(s->layers[source]);
    s->layers[source] = layer;
}

void settings_take_dests(HoistSettings *s, GHashTable *dests)
{
    g_clear_pointer(&s->dests, g_hash_table_unref);
    s->dests = dests;
}

void settings_take_images(HoistSettings *s, GHashTable *groups)
{
    g_clear_pointer(&s->images, g_hash_table_unref);
    s->images = groups;
}

const char *settings_images_group(const HoistSettings *s, const char *name)
{
    return s->images == NULL ? NULL : g_hash_table_lookup(s->images, name);
}

const char *const *settings_frozen_recipes(const HoistSettings *s)
{
    return (const char *const *)s->recipes;
}

/* "to" as the strongest source has it, before a [dest NAME] is looked up. */
static const char *raw_to(const HoistSettings *s)
{
    const unsigned i = settings_opt_index(settings_opt("to"));
    for (unsigned source = N_SETTINGS_SOURCES; source-- > 0;)
        if (s->layers[source]->values[i].texts != NULL)
            return s->layers[source]->values[i].texts->pdata[0];
    return NULL;
}

/* "post:NAME" is [dest NAME], if that is a post one: its "to" begins with the same scheme. */
static const SettingsLayer *layer_of_scheme(const HoistSettings *s, const char *to, const char **name_out)
{
    const char *colon = strchr(to, ':');
    const SettingsLayer *layer = colon == NULL ? NULL : g_hash_table_lookup(s->dests, colon + 1);
    const GPtrArray *texts = layer == NULL ? NULL : layer->values[settings_opt_index(settings_opt("to"))].texts;
    const size_t n = (size_t)(colon - to);
    if (texts == NULL || g_ascii_strncasecmp(texts->pdata[0], to, n) != 0 || strcspn(texts->pdata[0], ":+") != n)
        return NULL;
    *name_out = colon + 1;
    return layer;
}

static const SettingsLayer *dest_layer(const HoistSettings *s, const char **name_out)
{
    const char *to = raw_to(s);
    if (to == NULL || s->dests == NULL)
        return NULL;
    *name_out = to;
    const SettingsLayer *layer = g_hash_table_lookup(s->dests, to);
    return layer != NULL ? layer : layer_of_scheme(s, to, name_out);
}

const char *settings_dest_name(const HoistSettings *s)
{
    const char *name = NULL;
    return dest_layer(s, &name) != NULL ? name : s->dest_name;
}

const char *settings_dest_origin(const HoistSettings *s)
{
    const char *name = NULL;
    const SettingsLayer *layer = dest_layer(s, &name);
    return layer == NULL ? NULL : layer->origin;
}

GList *settings_dest_names(const HoistSettings *s)
{
    return s->dests == NULL ? NULL : g_list_sort(g_hash_table_get_keys(s->dests), (GCompareFunc)(void (*)(void))strcmp);
}

/* What counts, and how near it was set; NULL = the default. */
static const Value *find_value(const HoistSettings *s, const HoistOpt *opt, unsigned *rank_out)
{
    const unsigned i = settings_opt_index(opt);
    const char *name = NULL;
    const SettingsLayer *dest = dest_layer(s, &name);
    const SettingsLayer *order[] = { s->layers[SETTINGS_GIVEN], s->layers[SETTINGS_ENV], dest, s->layers[SETTINGS_FILE] };
    const bool to_of_dest = dest != NULL && g_str_equal(opt->name, "to");
    for (unsigned n = 0; n < G_N_ELEMENTS(order); n++)
        if (order[n] != NULL && order[n]->values[i].texts != NULL && (!to_of_dest || order[n] == dest)) {
            *rank_out = n;
            return &order[n]->values[i];
        }
    return NULL;
}

static const GPtrArray *find(const HoistSettings *s, const HoistOpt *opt)
{
    unsigned rank;
    const Value *value = opt == NULL ? NULL : find_value(s, opt, &rank);
    return value == NULL ? NULL : value->texts;
}

const char *settings_origin(const HoistSettings *s, const char *name, unsigned *rank_out)
{
    unsigned rank;
    const HoistOpt *opt = settings_opt(name);
    const Value *value = opt == NULL ? NULL : find_value(s, opt, &rank);
    if (value != NULL && rank_out != NULL)
        *rank_out = rank;
    return value == NULL ? NULL : value->origin;
}

const char *settings_explicit_origin(const HoistSettings *s, const char *name)
{
    const HoistOpt *opt = settings_opt(name);
    const char *dest_name = NULL;
    const SettingsLayer *const layers[] = { s->layers[SETTINGS_GIVEN], dest_layer(s, &dest_name) };
    for (unsigned i = 0; opt != NULL && i < G_N_ELEMENTS(layers); i++)
        if (layers[i] != NULL && layers[i]->values[settings_opt_index(opt)].texts != NULL)
            return layers[i]->values[settings_opt_index(opt)].origin;
    return NULL;
}

bool settings_is_set(const HoistSettings *s, const char *name)
{
    return find(s, settings_opt(name)) != NULL;
}

const char *hoist_settings_get(const HoistSettings *s, const char *name)
{
    const HoistOpt *opt = settings_opt(name);
    const GPtrArray *values = find(s, opt);
    if (values != NULL)
        return values->pdata[0];
    return opt == NULL ? NULL : opt->def;
}

bool hoist_settings_switch(const HoistSettings *s, const char *name)
{
    return g_strcmp0(hoist_settings_get(s, name), "true") == 0;
}

uint64_t hoist_settings_number(const HoistSettings *s, const char *name)
{
    const char *text = hoist_settings_get(s, name);
    uint64_t number = 0;
    return text != NULL && hoist_parse_size(text, &number) ? number : 0;
}

char **hoist_settings_list(const HoistSettings *s, const char *name)
{
    const GPtrArray *values = find(s, settings_opt(name));
    g_autoptr(GStrvBuilder) list = g_strv_builder_new();
    for (unsigned i = 0; values != NULL && i < values->len; i++)
        g_strv_builder_add(list, values->pdata[i]);
    return g_strv_builder_end(list);
}

/* ---- JSON ---- */

static bool was_given(const HoistSettings *s, const HoistOpt *opt)
{
    if (s->given != NULL)
        return g_hash_table_contains(s->given, opt->name);
    const unsigned i = settings_opt_index(opt);
    return s->layers[SETTINGS_GIVEN]->values[i].texts != NULL || s->layers[SETTINGS_ENV]->values[i].texts != NULL;
}

/* The name, and what is the files' own: a later change of [dest NAME] leaves that alone. */
static void add_dest(JsonBuilder *json, const HoistSettings *s)
{
    json_builder_set_member_name(json, "dest");
    json_builder_add_string_value(json, settings_dest_name(s));
    json_builder_set_member_name(json, "given");
    json_builder_begin_array(json);
    for (const HoistOpt *opt = hoist_opts(); opt->name != NULL; opt++)
        if (opt->per_batch && was_given(s, opt))
            json_builder_add_string_value(json, opt->name);
    json_builder_end_array(json);
}

static void add_texts(JsonBuilder *json, const char *name, char *const *texts)
{
    json_builder_set_member_name(json, name);
    json_builder_begin_array(json);
    for (; *texts != NULL; texts++)
        json_builder_add_string_value(json, *texts);
    json_builder_end_array(json);
}

char *settings_to_json(const HoistSettings *s, bool per_batch_only)
{
    g_autoptr(JsonBuilder) json = json_builder_new_immutable();
    json_builder_begin_object(json);
    for (const HoistOpt *opt = hoist_opts(); opt->name != NULL; opt++) {
        const GPtrArray *values = find(s, opt);
        if (values == NULL || (per_batch_only && !opt->per_batch) || settings_outdone(s, opt->name))
            continue;
        json_builder_set_member_name(json, opt->name);
        if (opt->repeat)
            json_builder_begin_array(json);
        for (unsigned i = 0; i < values->len; i++)
            json_builder_add_string_value(json, values->pdata[i]);
        if (opt->repeat)
            json_builder_end_array(json);
    }
    if (settings_dest_name(s) != NULL)
        add_dest(json, s);
    g_auto(GStrv) recipes = settings_recipes(s);
    if (recipes != NULL)
        add_texts(json, "recipes", recipes);
    json_builder_end_object(json);
    g_autoptr(JsonNode) root = json_builder_get_root(json);
    return json_to_string(root, false);
}

/* NULL when it is no list of texts. g_strfreev. */
static char **texts_of(JsonNode *node)
{
    if (!JSON_NODE_HOLDS_ARRAY(node))
        return NULL;
    JsonArray *array = json_node_get_array(node);
    g_autoptr(GStrvBuilder) texts = g_strv_builder_new();
    for (guint i = 0; i < json_array_get_length(array); i++) {
        JsonNode *element = json_array_get_element(array, i);
        if (json_node_get_value_type(element) != G_TYPE_STRING)
            return NULL;
        g_strv_builder_add(texts, json_node_get_string(element));
    }
    return g_strv_builder_end(texts);
}

static bool set_from_node(HoistSettings *s, const char *name, JsonNode *node, GError **error)
{
    const char *origin = "stored options";
    if (json_node_get_value_type(node) == G_TYPE_STRING) {
        if (!g_str_equal(name, "dest"))
            return hoist_settings_set(s, name, json_node_get_string(node), origin, error);
        g_free(s->dest_name);
        s->dest_name = json_node_dup_string(node);
        return true;
    }
    g_auto(GStrv) texts = texts_of(node);
    if (texts == NULL) {
        fault_set(error, FAULT_USAGE, "%s: a value is neither text nor a list of texts", origin);
        return false;
    }
    if (g_str_equal(name, "recipes")) {
        g_strfreev(s->recipes);
        s->recipes = g_steal_pointer(&texts);
        return true;
    }
    for (char **text = texts; *text != NULL; text++)
        if (g_str_equal(name, "given"))
            g_hash_table_add(s->given, g_strdup(*text));
        else if (!hoist_settings_set(s, name, *text, origin, error))
            return false;
    return true;
}

HoistSettings *settings_from_json(const char *json, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    if (strlen(json) > SETTINGS_MAX_JSON_BYTES || !json_parser_load_from_data(parser, json, -1, NULL) ||
        json_parser_get_root(parser) == NULL || !JSON_NODE_HOLDS_OBJECT(json_parser_get_root(parser))) {
        fault_set(error, FAULT_USAGE, "stored options are not a JSON object");
        return NULL;
    }
    g_autoptr(HoistSettings) s = hoist_settings_new();
    s->given = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    JsonObjectIter iter;
    const char *name;
    JsonNode *node, *dest = NULL;
    json_object_iter_init_ordered(&iter, json_node_get_object(json_parser_get_root(parser)));
    while (json_object_iter_next_ordered(&iter, &name, &node)) {
        if (g_str_equal(name, "dest"))
            dest = node; /* after "to", which forgets it */
        else if (!set_from_node(s, name, node, error))
            return NULL;
    }
    if (dest != NULL && !set_from_node(s, "dest", dest, error))
        return NULL;
    return g_steal_pointer(&s);
}

/* With these an open upload would be read as one of another protocol. */
static const char *const of_the_conversation[] = { "broker", "qiniu-version", "nextcloud", NULL };

void settings_refresh(HoistSettings *frozen, const HoistSettings *now)
{
    const SettingsLayer *group =
        frozen->dest_name == NULL || now->dests == NULL ? NULL : g_hash_table_lookup(now->dests, frozen->dest_name);
    for (const HoistOpt *opt = hoist_opts(); group != NULL && opt->name != NULL; opt++) {
        const Value *corrected = &group->values[settings_opt_index(opt)];
        Value *kept = &frozen->layers[SETTINGS_GIVEN]->values[settings_opt_index(opt)];
        if (corrected->texts == NULL || settings_heeds_everywhere(opt->name) || was_given(frozen, opt) ||
            g_strv_contains(of_the_conversation, opt->name))
            continue;
        value_clear(kept);
        kept->texts = g_ptr_array_new_with_free_func(g_free);
        for (unsigned i = 0; i < corrected->texts->len; i++)
            g_ptr_array_add(kept->texts, g_strdup(corrected->texts->pdata[i]));
        kept->origin = g_strdup(corrected->origin);
    }
}
