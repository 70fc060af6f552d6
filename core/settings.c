#include "settings.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "key.h"

/* Values of an option are kept as text, in a NULL-terminated array; NULL = not set. */

static const HoistOpt opts[] = {
    { "to", 0, HOIST_OPT_TEXT, "DEST", NULL, "s3://BUCKET/PREFIX or a [dest NAME] of config.ini", "where uploads go", false, true },
    { "endpoint", 0, HOIST_OPT_TEXT, "URL", NULL, "http://HOST[:PORT] or https://HOST[:PORT]", "address of the store", false, true },
    { "region", 0, HOIST_OPT_TEXT, "REGION", NULL, "lower-case letters, digits and -", "region of the bucket", false, true },
    { "profile", 0, HOIST_OPT_TEXT, "NAME", NULL, "a profile of ~/.aws/config or ~/.aws/credentials", "AWS profile to use", false, true },
    { "jobs", 'j', HOIST_OPT_NUMBER, "N|auto", "auto", "1..64|auto", "files at once", false, false },
    { "parts", 0, HOIST_OPT_NUMBER, "N|auto", "auto", "1..64|auto", "parts of one file at once", false, true },
    { "part-size", 0, HOIST_OPT_SIZE, "SIZE", NULL, "5MiB..5GiB", "size of a part (default: grows with the file)", false, true },
    { "limit", 0, HOIST_OPT_RATE, "RATE", NULL, "bytes a second like 500k or 2.5M; 0 = none", "speed limit over all files", false, false },
    { "images", 0, HOIST_OPT_CHOICE, "PRESET", "web", "web|none", "what is done to pictures on their way", false, true },
    { "key", 0, HOIST_OPT_TEXT, "TEMPLATE", "{relpath}", NULL, "name of the object below the prefix", false, true },
    { "include", 0, HOIST_OPT_TEXT, "GLOB", NULL, NULL, "only files that match", true, true },
    { "exclude", 0, HOIST_OPT_TEXT, "GLOB", NULL, NULL, "leave out files that match", true, true },
    { "max-size", 0, HOIST_OPT_SIZE, "SIZE", NULL, "like 8M, 1.5GiB", "leave out larger files", false, true },
    { "if-exists", 0, HOIST_OPT_CHOICE, "WHAT", "overwrite", "overwrite|skip|fail", "when the key is taken", false, true },
    { "checksum", 0, HOIST_OPT_CHOICE, "KIND", "auto", "auto|crc64nvme|crc32c|sha256|md5|none", "what the store checks", false, true },
    { "unsigned-payload", 0, HOIST_OPT_SWITCH, NULL, NULL, NULL, "do not sign bodies over plain http", false, true },
    { "header", 0, HOIST_OPT_TEXT, "NAME:VALUE", NULL, "NAME: VALUE", "request header of each object", true, true },
    { "meta", 0, HOIST_OPT_TEXT, "NAME=VALUE", NULL, "NAME=VALUE", "metadata of each object", true, true },
    { "tag", 0, HOIST_OPT_TEXT, "NAME=VALUE", NULL, "NAME=VALUE", "tag of each object", true, true },
    { "acl", 0, HOIST_OPT_TEXT, "ACL", NULL, "like private, public-read", "canned ACL", false, true },
    { "storage-class", 0, HOIST_OPT_TEXT, "CLASS", NULL, "like STANDARD_IA", "storage class", false, true },
    { "sse", 0, HOIST_OPT_CHOICE, "KIND", NULL, "AES256|aws:kms|aws:kms:dsse", "encryption at the server", false, true },
    { "addressing", 0, HOIST_OPT_CHOICE, "STYLE", "auto", "auto|path|virtual", "bucket in the path or in the host name", false, true },
    { "spool-size", 0, HOIST_OPT_SIZE, "SIZE", "512MiB", "like 512MiB, 2G", "room for prepared pictures", false, false },
    { "state", 0, HOIST_OPT_PATH, "DIR", NULL, NULL, "where the queue is kept", false, false },
    { "config", 0, HOIST_OPT_PATH, "FILE", NULL, NULL, "configuration file", false, false },
    { "log", 0, HOIST_OPT_PATH, "FILE", NULL, NULL, "log file", false, false },
    { "drop", 0, HOIST_OPT_CHOICE, "WHAT", "ask", "ask|queue", "what a dropped file does", false, false },
    { NULL, 0, HOIST_OPT_TEXT, NULL, NULL, NULL, NULL, false, false },
};

enum { N_OPTS = G_N_ELEMENTS(opts) - 1 };

struct SettingsLayer {
    GPtrArray *values[N_OPTS]; /* of char*; NULL = not set */
};

struct HoistSettings {
    SettingsLayer *layers[N_SETTINGS_SOURCES];
    GHashTable *dests; /* shared by duplicates, never changed; NULL = none */
    char *dest_name;   /* of a frozen batch, whose "to" is expanded; else NULL */
};

const HoistOpt *hoist_opts(void)
{
    return opts;
}

const HoistOpt *settings_opt(const char *name)
{
    for (const HoistOpt *opt = opts; opt->name != NULL; opt++)
        if (g_strcmp0(opt->name, name) == 0)
            return opt;
    return NULL;
}

char *settings_env_name(const HoistOpt *opt)
{
    g_autofree char *upper = g_ascii_strup(opt->name, -1);
    return g_strconcat("HOIST_", g_strdelimit(upper, "-", '_'), NULL);
}

/* ---- sizes ---- */

static bool size_unit(const char *text, uint64_t *unit_out)
{
    static const char letters[] = "kMGTP";
    uint64_t unit = 1;
    if (*text != '\0') {
        const char *letter = strchr(letters, *text == 'K' ? 'k' : *text);
        if (letter != NULL) {
            text++;
            const unsigned step = *text == 'i' ? 1024 : 1000;
            text += step == 1024;
            for (const char *l = letters; l <= letter; l++)
                unit *= step;
        }
    }
    text += *text == 'B';
    if (g_str_has_prefix(text, "/s"))
        text += 2;
    *unit_out = unit;
    return *text == '\0';
}

bool hoist_parse_size(const char *text, uint64_t *bytes_out)
{
    enum { MAX_FRACTION_DIGITS = 3 }; /* 10^3 divides every decimal unit, and more digits mean nothing to a person */
    while (g_ascii_isspace(*text))
        text++;
    if (!g_ascii_isdigit(*text))
        return false;

    uint64_t whole = 0, thousandths = 0;
    for (; g_ascii_isdigit(*text); text++)
        if (!g_uint64_checked_mul(&whole, whole, 10) || !g_uint64_checked_add(&whole, whole, (uint64_t)(*text - '0')))
            return false;
    if (*text == '.') {
        text++;
        for (unsigned digit = 0, weight = 100; digit < MAX_FRACTION_DIGITS; digit++, weight /= 10) {
            if (!g_ascii_isdigit(*text))
                break;
            thousandths += weight * (uint64_t)(*text++ - '0');
        }
        while (g_ascii_isdigit(*text))
            text++;
    }
    while (g_ascii_isspace(*text))
        text++;

    g_autofree char *suffix = g_strchomp(g_strdup(text));
    uint64_t unit, bytes;
    if (!size_unit(suffix, &unit) || !g_uint64_checked_mul(&bytes, whole, unit))
        return false;
    const uint64_t fraction = unit >= 1000 ? (unit / 1000) * thousandths + unit % 1000 * thousandths / 1000 : 0;
    if (!g_uint64_checked_add(&bytes, bytes, fraction))
        return false;
    *bytes_out = bytes;
    return true;
}

/* ---- one value ---- */

static bool in_words(const char *words, const char *value)
{
    g_auto(GStrv) list = g_strsplit(words, "|", -1);
    return g_strv_contains((const char *const *)list, value);
}

static bool number_ok(const HoistOpt *opt, const char *value)
{
    g_auto(GStrv) allowed = g_strsplit(opt->allowed, "|", 2); /* "1..64|auto" */
    if (allowed[1] != NULL && g_str_equal(value, allowed[1]))
        return true;
    const char *dots = strstr(allowed[0], "..");
    g_assert(dots != NULL);
    guint64 number;
    return g_ascii_string_to_unsigned(value, 10, g_ascii_strtoull(allowed[0], NULL, 10), g_ascii_strtoull(dots + 2, NULL, 10), &number,
                                      NULL);
}

static bool size_ok(const HoistOpt *opt, const char *value)
{
    uint64_t bytes, least = 0, most = UINT64_MAX;
    const char *dots = opt->allowed == NULL ? NULL : strstr(opt->allowed, ".."); /* "5MiB..5GiB", or words */
    if (dots != NULL) {
        g_autofree char *low = g_strndup(opt->allowed, (gsize)(dots - opt->allowed));
        if (!hoist_parse_size(low, &least) || !hoist_parse_size(dots + 2, &most))
            g_assert_not_reached();
    }
    return hoist_parse_size(value, &bytes) && bytes >= least && bytes <= most;
}

static const char *switch_text(const char *value)
{
    if (in_words("true|yes|on|1", value))
        return "true";
    return in_words("false|no|off|0", value) ? "false" : NULL;
}

static bool pair_ok(const char *value, char delimiter)
{
    const char *at = strchr(value, delimiter);
    return at != NULL && at > value;
}

/* Headers and URLs are kept in the store, where secrets must not be. */
static bool header_is_secret(const char *value)
{
    static const char *const secret[] = { "authorization", "proxy-authorization", "cookie", "x-amz-security-token",
                                          "x-amz-server-side-encryption-customer-key" };
    for (unsigned i = 0; i < G_N_ELEMENTS(secret); i++) {
        const size_t n = strlen(secret[i]);
        if (g_ascii_strncasecmp(value, secret[i], n) == 0 && (value[n] == ':' || g_ascii_isspace(value[n])))
            return true;
    }
    return false;
}

static const char *endpoint_fault(const char *value)
{
    g_autoptr(GUri) uri = g_uri_parse(value, G_URI_FLAGS_HAS_PASSWORD | G_URI_FLAGS_ENCODED, NULL);
    if (uri != NULL && g_uri_get_userinfo(uri) != NULL)
        return "must not hold a name or password: keys come from an AWS profile or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
    const char *scheme = uri == NULL ? "" : g_uri_get_scheme(uri);
    if (!in_words("http|https", scheme) || g_uri_get_host(uri) == NULL || *g_uri_get_host(uri) == '\0')
        return "is not a URL like https://HOST:PORT";
    return g_uri_get_query(uri) != NULL || g_uri_get_fragment(uri) != NULL ? "must end with the path: no ? and no #" : NULL;
}

/* What is wrong with a value of this option beyond its kind; NULL = nothing. Never quotes the value: it may hold a secret. */
static const char *special_fault(const HoistOpt *opt, const char *value)
{
    if (g_str_equal(opt->name, "header"))
        return header_is_secret(value) ? "would be stored with the queue, and this header holds a secret"
               : pair_ok(value, ':')   ? NULL
                                       : "is not NAME: VALUE";
    if (in_words("meta|tag", opt->name))
        return pair_ok(value, '=') ? NULL : "is not NAME=VALUE";
    if (g_str_equal(opt->name, "to")) {
        const char *host = strstr(value, "://");
        return host != NULL && memchr(host + 3, '@', strcspn(host + 3, "/")) != NULL ? "must not hold a name or password" : NULL;
    }
    return g_str_equal(opt->name, "endpoint") ? endpoint_fault(value) : NULL;
}

static const char *kind_fault(const HoistOpt *opt, const char *value)
{
    switch (opt->kind) {
    case HOIST_OPT_SWITCH:
        return switch_text(value) != NULL ? NULL : "is neither true nor false";
    case HOIST_OPT_NUMBER:
        return number_ok(opt, value) ? NULL : "is not allowed";
    case HOIST_OPT_SIZE:
    case HOIST_OPT_RATE:
        return size_ok(opt, value) ? NULL : "is not allowed";
    case HOIST_OPT_CHOICE:
        return in_words(opt->allowed, value) ? NULL : "is not allowed";
    case HOIST_OPT_TEXT:
    case HOIST_OPT_PATH:
        break;
    }
    return NULL;
}

/* What is wrong with the text of a value, whatever it says. */
static const char *text_fault(const HoistOpt *opt, const char *value)
{
    if (*value == '\0')
        return "is empty";
    if (strlen(value) > SETTINGS_MAX_VALUE_BYTES)
        return "is too long";
    if (opt->kind == HOIST_OPT_PATH)
        return NULL;
    if (!g_utf8_validate(value, -1, NULL))
        return "is not valid UTF-8";
    for (const char *p = value; *p != '\0'; p++)
        if (g_ascii_iscntrl(*p))
            return "holds a control character";
    return NULL;
}

static void value_fault(const HoistOpt *opt, const char *value, const char *why, bool quote, const char *origin, FaultCode code,
                        GError **error)
{
    g_autofree char *shown = hoist_text(value);
    const char *what = g_str_has_prefix(origin, "--") ? "" : opt->name;
    fault_set(error, code, "%s: %s%s%s%s%s %s%s%s", origin, what, *what ? ": " : "", quote ? "\"" : "", quote ? shown : "the value",
              quote ? "\"" : "", why, opt->allowed == NULL ? "" : "; allowed: ", opt->allowed == NULL ? "" : opt->allowed);
}

/* ---- a layer ---- */

SettingsLayer *settings_layer_new(void)
{
    return g_new0(SettingsLayer, 1);
}

void settings_layer_free(SettingsLayer *layer)
{
    if (layer == NULL)
        return;
    for (unsigned i = 0; i < N_OPTS; i++)
        g_clear_pointer(&layer->values[i], g_ptr_array_unref);
    g_free(layer);
}

static SettingsLayer *layer_dup(const SettingsLayer *layer)
{
    SettingsLayer *copy = settings_layer_new();
    for (unsigned i = 0; i < N_OPTS; i++)
        if (layer->values[i] != NULL)
            copy->values[i] = g_ptr_array_copy(layer->values[i], (GCopyFunc)(void (*)(void))g_strdup, NULL);
    return copy;
}

static char *value_stored(const HoistOpt *opt, const char *value)
{
    if (opt->kind == HOIST_OPT_SWITCH)
        return g_strdup(switch_text(value));
    if (opt->kind == HOIST_OPT_PATH && g_str_has_prefix(value, "~/")) /* no shell has seen a value of config.ini */
        return g_build_filename(g_get_home_dir(), value + 2, NULL);
    return g_strdup(value);
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
    const char *why = text_fault(opt, value);
    bool quote = false;
    if (why == NULL) {
        why = kind_fault(opt, value);
        quote = why != NULL;
    }
    if (why == NULL)
        why = special_fault(opt, value);
    g_autoptr(GError) cause = NULL;
    if (why == NULL && g_str_equal(name, "key") && !key_template_check(value, &cause)) {
        fault_set(error, code, "%s: %s", origin, cause->message);
        return false;
    }
    GPtrArray **values = &layer->values[opt - opts];
    if (why == NULL && opt->repeat && *values != NULL && (*values)->len >= SETTINGS_MAX_VALUES)
        why = "is one too many";
    if (why != NULL) {
        value_fault(opt, value, why, quote, origin, code, error);
        return false;
    }
    if (!opt->repeat)
        g_clear_pointer(values, g_ptr_array_unref);
    if (*values == NULL)
        *values = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(*values, value_stored(opt, value));
    return true;
}

bool settings_layer_has(const SettingsLayer *layer, const char *name)
{
    const HoistOpt *opt = settings_opt(name);
    return opt != NULL && layer->values[opt - opts] != NULL;
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

/* "to" as the strongest source has it, before a [dest NAME] is looked up. */
static const char *raw_to(const HoistSettings *s)
{
    const ptrdiff_t i = settings_opt("to") - opts;
    for (unsigned source = N_SETTINGS_SOURCES; source-- > 0;)
        if (s->layers[source]->values[i] != NULL)
            return s->layers[source]->values[i]->pdata[0];
    return NULL;
}

static const SettingsLayer *dest_layer(const HoistSettings *s)
{
    const char *to = raw_to(s);
    return to == NULL || s->dests == NULL ? NULL : g_hash_table_lookup(s->dests, to);
}

const char *settings_dest_name(const HoistSettings *s)
{
    return dest_layer(s) != NULL ? raw_to(s) : s->dest_name;
}

static const GPtrArray *find(const HoistSettings *s, const HoistOpt *opt)
{
    if (opt == NULL)
        return NULL;
    const ptrdiff_t i = opt - opts;
    const SettingsLayer *dest = dest_layer(s);
    if (dest != NULL && g_str_equal(opt->name, "to"))
        return dest->values[i];
    const SettingsLayer *order[] = { s->layers[SETTINGS_GIVEN], s->layers[SETTINGS_ENV], dest, s->layers[SETTINGS_FILE] };
    for (unsigned n = 0; n < G_N_ELEMENTS(order); n++)
        if (order[n] != NULL && order[n]->values[i] != NULL)
            return order[n]->values[i];
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

char *settings_to_json(const HoistSettings *s, bool per_batch_only)
{
    g_autoptr(JsonBuilder) json = json_builder_new_immutable();
    json_builder_begin_object(json);
    for (const HoistOpt *opt = opts; opt->name != NULL; opt++) {
        const GPtrArray *values = find(s, opt);
        if (values == NULL || (per_batch_only && !opt->per_batch))
            continue;
        json_builder_set_member_name(json, opt->name);
        if (opt->repeat)
            json_builder_begin_array(json);
        for (unsigned i = 0; i < values->len; i++)
            json_builder_add_string_value(json, values->pdata[i]);
        if (opt->repeat)
            json_builder_end_array(json);
    }
    if (settings_dest_name(s) != NULL) {
        json_builder_set_member_name(json, "dest");
        json_builder_add_string_value(json, settings_dest_name(s));
    }
    json_builder_end_object(json);
    g_autoptr(JsonNode) root = json_builder_get_root(json);
    return json_to_string(root, false);
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
    JsonArray *array = JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
    for (guint i = 0; array != NULL && i < json_array_get_length(array); i++) {
        JsonNode *element = json_array_get_element(array, i);
        if (json_node_get_value_type(element) != G_TYPE_STRING) {
            array = NULL;
            break;
        }
        if (!hoist_settings_set(s, name, json_node_get_string(element), origin, error))
            return false;
    }
    if (array == NULL)
        fault_set(error, FAULT_USAGE, "%s: a value is neither text nor a list of texts", origin);
    return array != NULL;
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
