#include "broker_priv.h"

#include <gio/gio.h>
#include <string.h>

#include "core-resources.h"

#define RESOURCE_FOLDER "/hoist/brokers"

/* ---- the schema, as tables ---- */

typedef enum {
    FIELD_TEXT,     /* char* */
    FIELD_MAP,      /* GPtrArray* of pairs, a value may not be null */
    FIELD_VARS,     /* likewise, and may */
    FIELD_WORDS,    /* GPtrArray* of char* */
    FIELD_STATUSES, /* GArray* of int */
    FIELD_INT,      /* int64_t */
    FIELD_SWITCH,   /* bool */
    FIELD_NODE,     /* JsonNode* */
    FIELD_SOURCES,  /* GPtrArray* of Source* */
    FIELD_REQUESTS, /* GPtrArray* of DescRequest*: one, or an array of them */
    FIELD_RECORD,   /* a struct that begins with "bool given"; its own table */
    FIELD_SAME,     /* members of a struct that has no object of its own: in this one's */
} FieldKind;

typedef struct Field Field;
struct Field {
    const char *name;
    FieldKind kind;
    size_t offset;
    const char *allowed; /* words a TEXT may be, "a|b"; NULL = any */
    bool needed;
    const Field *fields; /* of RECORD and SAME */
};

#define AT(type, member) G_STRUCT_OFFSET(type, member)

#define REQUEST_FIELDS                                                                                                                     \
    { "method", FIELD_TEXT, AT(DescRequest, method), "GET|POST|PUT|PATCH|DELETE", false, NULL },                                           \
        { "url", FIELD_TEXT, AT(DescRequest, url), NULL, true, NULL }, { "query", FIELD_MAP, AT(DescRequest, query), NULL, false, NULL },  \
        { "headers", FIELD_MAP, AT(DescRequest, headers), NULL, false, NULL },                                                             \
        { "json", FIELD_NODE, AT(DescRequest, json), NULL, false, NULL }, { "form", FIELD_MAP, AT(DescRequest, form), NULL, false, NULL }, \
        { "urlencoded", FIELD_MAP, AT(DescRequest, urlencoded), NULL, false, NULL },                                                       \
        { "body", FIELD_TEXT, AT(DescRequest, body), NULL, false, NULL },                                                                  \
        { "ok", FIELD_STATUSES, AT(DescRequest, ok), NULL, false, NULL },                                                                  \
        { "timeout", FIELD_INT, AT(DescRequest, timeout_s), NULL, false, NULL },                                                           \
    {                                                                                                                                      \
        "refusal", FIELD_TEXT, AT(DescRequest, refusal), NULL, false, NULL                                                                 \
    }

/* clang-format off */
static const Field request_fields[] = { REQUEST_FIELDS, { 0 } };
static const Field asking_fields[] = {
    REQUEST_FIELDS,
    { "extract", FIELD_SOURCES, AT(DescRequest, extract), NULL, false, NULL },
    { 0 },
};
static const Field upload_fields[] = {
    { "kind", FIELD_TEXT, AT(DescUpload, kind), "put|form|resumable|multipart", true, NULL },
    { "protocol", FIELD_TEXT, AT(DescUpload, protocol), "gcs|tus|azure|ranged|chunks|uploadthing|qiniu-v2|s3", false, NULL },
    { "method", FIELD_TEXT, AT(DescUpload, method), "PUT|POST|PATCH", false, NULL },
    { "url", FIELD_TEXT, AT(DescUpload, url), NULL, false, NULL },
    { "headers", FIELD_MAP, AT(DescUpload, headers), NULL, false, NULL },
    { "headers_from", FIELD_TEXT, AT(DescUpload, headers_from), NULL, false, NULL },
    { "fields", FIELD_MAP, AT(DescUpload, fields), NULL, false, NULL },
    { "fields_from", FIELD_TEXT, AT(DescUpload, fields_from), NULL, false, NULL },
    { "file_field", FIELD_TEXT, AT(DescUpload, file_field), NULL, false, NULL },
    { "part_size", FIELD_INT, AT(DescUpload, part_size), NULL, false, NULL },
    { "ok", FIELD_STATUSES, AT(DescUpload, ok), NULL, false, NULL },
    { "max_size", FIELD_INT, AT(DescUpload, max_size), NULL, false, NULL },
    { "types", FIELD_WORDS, AT(DescUpload, types), NULL, false, NULL },
    { 0 },
};
static const Field list_fields[] = {
    { "", FIELD_SAME, AT(DescList, listing), NULL, false, request_fields },
    { "parts", FIELD_TEXT, AT(DescList, parts), NULL, true, NULL },
    { "number", FIELD_TEXT, AT(DescList, number), NULL, true, NULL },
    { "etag", FIELD_TEXT, AT(DescList, etag), NULL, true, NULL },
    { "size", FIELD_TEXT, AT(DescList, size), NULL, false, NULL },
    { 0 },
};
static const Field parts_fields[] = {
    { "threshold", FIELD_INT, AT(DescParts, threshold), NULL, false, NULL },
    { "create", FIELD_RECORD, AT(DescParts, create), NULL, true, asking_fields },
    { "sign", FIELD_RECORD, AT(DescParts, sign), NULL, false, asking_fields },
    { "part_urls", FIELD_TEXT, AT(DescParts, part_urls), NULL, false, NULL },
    { "list", FIELD_RECORD, AT(DescParts, list), NULL, false, list_fields },
    { "complete", FIELD_RECORD, AT(DescParts, complete), NULL, true, asking_fields },
    { "abort", FIELD_RECORD, AT(DescParts, abort), NULL, false, request_fields },
    { "part_names", FIELD_WORDS, AT(DescParts, part_names), NULL, false, NULL },
    { 0 },
};
static const Field description_fields[] = {
    { "schema", FIELD_TEXT, AT(Description, schema), BROKER_SCHEMA, true, NULL },
    { "name", FIELD_TEXT, AT(Description, name), NULL, false, NULL },
    { "about", FIELD_TEXT, AT(Description, about), NULL, false, NULL },
    { "vars", FIELD_VARS, AT(Description, vars), NULL, false, NULL },
    { "allow_env", FIELD_WORDS, AT(Description, allow_env), NULL, false, NULL },
    { "grant", FIELD_RECORD, AT(Description, grant), NULL, false, asking_fields },
    { "upload", FIELD_RECORD, AT(Description, upload), NULL, true, upload_fields },
    { "after", FIELD_SOURCES, AT(Description, after), NULL, false, NULL },
    { "notify", FIELD_REQUESTS, AT(Description, notify), NULL, false, NULL },
    { "result", FIELD_MAP, AT(Description, result), NULL, false, NULL },
    { "multipart", FIELD_RECORD, AT(Description, multipart), NULL, false, parts_fields },
    { 0 },
};
static const Field source_fields[] = {
    { "pointer", FIELD_TEXT, AT(Source, pointer), NULL, false, NULL },
    { "header", FIELD_TEXT, AT(Source, header), NULL, false, NULL },
    { "xml", FIELD_TEXT, AT(Source, xml), NULL, false, NULL },
    { "const", FIELD_NODE, AT(Source, constant), NULL, false, NULL },
    { "optional", FIELD_SWITCH, AT(Source, optional), NULL, false, NULL },
    { "resolve", FIELD_SWITCH, AT(Source, resolve), NULL, false, NULL },
    { "secret", FIELD_SWITCH, AT(Source, secret), NULL, false, NULL },
    { 0 },
};
/* clang-format on */

static bool is_field(const Field *f)
{
    return f->name != NULL;
}

/* ---- freeing, by the same tables ---- */

static void clear_fields(const Field *fields, void *record);

static void source_free(gpointer data)
{
    Source *source = data;
    g_free(source->name);
    clear_fields(source_fields, source);
    g_free(source);
}

static void request_free_desc(gpointer data)
{
    clear_fields(asking_fields, data);
    g_free(data);
}

static void clear_field(const Field *f, void *at)
{
    switch (f->kind) {
    case FIELD_TEXT:
        g_clear_pointer((char **)at, g_free);
        break;
    case FIELD_MAP:
    case FIELD_VARS:
    case FIELD_WORDS:
    case FIELD_SOURCES:
    case FIELD_REQUESTS:
        g_clear_pointer((GPtrArray **)at, g_ptr_array_unref);
        break;
    case FIELD_STATUSES:
        g_clear_pointer((GArray **)at, g_array_unref);
        break;
    case FIELD_NODE:
        g_clear_pointer((JsonNode **)at, json_node_unref);
        break;
    case FIELD_RECORD:
    case FIELD_SAME:
        clear_fields(f->fields, at);
        break;
    case FIELD_INT:
    case FIELD_SWITCH:
        break;
    }
}

static void clear_fields(const Field *fields, void *record)
{
    for (const Field *f = fields; is_field(f); f++)
        clear_field(f, (char *)record + f->offset);
}

void description_free(Description *d)
{
    if (d == NULL)
        return;
    clear_fields(description_fields, d);
    g_free(d->file);
    g_free(d);
}

/* ---- reading ---- */

typedef struct {
    const char *file;
    GString *path; /* pointer to the member that is read */
    GError **error;
} Reader;

static bool wrong(const Reader *r, const char *why)
{
    fault_set(r->error, FAULT_CONFIG, "%s: %s: %s", r->file, r->path->len == 0 ? "/" : r->path->str, why);
    return false;
}

/* Returns the length to go back to. */
static gsize enter(Reader *r, const char *name)
{
    const gsize before = r->path->len;
    g_autofree char *shown = hoist_text(name);
    g_string_append_printf(r->path, "/%s", shown);
    return before;
}

static const char *text_in(JsonNode *node)
{
    return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node) : NULL;
}

static bool read_text(Reader *r, const Field *f, JsonNode *node, char **out)
{
    const char *text = text_in(node);
    if (text == NULL)
        return wrong(r, "a text is needed");
    g_auto(GStrv) words = g_strsplit(f->allowed == NULL ? "" : f->allowed, "|", -1);
    if (f->allowed != NULL && !g_strv_contains((const char *const *)words, text)) {
        g_autofree char *why = g_strdup_printf("allowed are %s", f->allowed);
        return wrong(r, why);
    }
    *out = g_strdup(text);
    return true;
}

static bool read_map(Reader *r, JsonNode *node, bool may_be_null, GPtrArray **out)
{
    if (!JSON_NODE_HOLDS_OBJECT(node))
        return wrong(r, "an object of texts is needed");
    *out = g_ptr_array_new_with_free_func(g_free);
    JsonObjectIter it;
    const char *name;
    JsonNode *value;
    json_object_iter_init_ordered(&it, json_node_get_object(node));
    while (json_object_iter_next_ordered(&it, &name, &value)) {
        const gsize before = enter(r, name);
        const bool absent = may_be_null && JSON_NODE_HOLDS_NULL(value);
        g_autofree char *text = absent ? NULL : json_text_of(value);
        if (text == NULL && !absent)
            return wrong(r, "a text is needed");
        if (*name == '\0')
            return wrong(r, "a name is needed");
        g_ptr_array_add(*out, g_strdup(name));
        g_ptr_array_add(*out, g_steal_pointer(&text));
        g_string_truncate(r->path, before);
    }
    return true;
}

static bool read_words(Reader *r, JsonNode *node, GPtrArray **out)
{
    if (!JSON_NODE_HOLDS_ARRAY(node))
        return wrong(r, "a list of texts is needed");
    JsonArray *array = json_node_get_array(node);
    *out = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < json_array_get_length(array); i++) {
        const char *text = text_in(json_array_get_element(array, i));
        if (text == NULL || *text == '\0')
            return wrong(r, "a list of texts is needed");
        g_ptr_array_add(*out, g_strdup(text));
    }
    return true;
}

static bool read_statuses(Reader *r, JsonNode *node, GArray **out)
{
    JsonArray *array = JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
    if (array == NULL || json_array_get_length(array) == 0)
        return wrong(r, "a list of statuses is needed");
    *out = g_array_new(FALSE, FALSE, sizeof(int));
    for (guint i = 0; i < json_array_get_length(array); i++) {
        JsonNode *element = json_array_get_element(array, i);
        const bool number = JSON_NODE_HOLDS_VALUE(element) && json_node_get_value_type(element) == G_TYPE_INT64;
        const int status = number ? (int)CLAMP(json_node_get_int(element), 0, 1000) : 0;
        if (status < 100 || status > 599)
            return wrong(r, "a status is a number from 100 to 599");
        g_array_append_val(*out, status);
    }
    return true;
}

static bool read_fields(Reader *r, const Field *fields, JsonNode *node, void *record);

static bool read_source(Reader *r, const char *name, JsonNode *node, GPtrArray *out)
{
    Source *source = g_new0(Source, 1);
    source->name = g_strdup(name);
    g_ptr_array_add(out, source);
    source->pointer = g_strdup(text_in(node));
    if (source->pointer == NULL && !read_fields(r, source_fields, node, source))
        return false;
    const int given = (source->pointer != NULL) + (source->header != NULL) + (source->xml != NULL) + (source->constant != NULL);
    if (given != 1)
        return wrong(r, "one of pointer, header, xml, const is needed");
    if (source->pointer != NULL && *source->pointer != '\0' && *source->pointer != '/')
        return wrong(r, "a JSON pointer is empty or begins with /");
    return true;
}

static bool read_sources(Reader *r, JsonNode *node, GPtrArray **out)
{
    if (!JSON_NODE_HOLDS_OBJECT(node))
        return wrong(r, "an object is needed");
    *out = g_ptr_array_new_with_free_func(source_free);
    JsonObjectIter it;
    const char *name;
    JsonNode *value;
    json_object_iter_init_ordered(&it, json_node_get_object(node));
    while (json_object_iter_next_ordered(&it, &name, &value)) {
        const gsize before = enter(r, name);
        if (!read_source(r, name, value, *out))
            return false;
        g_string_truncate(r->path, before);
    }
    return true;
}

static bool read_one_request(Reader *r, JsonNode *node, GPtrArray *out)
{
    DescRequest *request = g_new0(DescRequest, 1);
    g_ptr_array_add(out, request);
    request->given = true;
    return read_fields(r, request_fields, node, request);
}

static bool read_requests(Reader *r, JsonNode *node, GPtrArray **out)
{
    *out = g_ptr_array_new_with_free_func(request_free_desc);
    if (!JSON_NODE_HOLDS_ARRAY(node))
        return read_one_request(r, node, *out);
    JsonArray *array = json_node_get_array(node);
    if (json_array_get_length(array) > BROKER_MAX_NOTIFY)
        return wrong(r, "too many requests");
    for (guint i = 0; i < json_array_get_length(array); i++) {
        g_autofree char *index = g_strdup_printf("%u", i);
        const gsize before = enter(r, index);
        if (!read_one_request(r, json_array_get_element(array, i), *out))
            return false;
        g_string_truncate(r->path, before);
    }
    return true;
}

static bool read_int(Reader *r, JsonNode *node, int64_t *out)
{
    if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_INT64 || json_node_get_int(node) < 0)
        return wrong(r, "a whole number is needed");
    *out = json_node_get_int(node);
    return true;
}

static bool read_switch(Reader *r, JsonNode *node, bool *out)
{
    if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_BOOLEAN)
        return wrong(r, "true or false is needed");
    *out = json_node_get_boolean(node);
    return true;
}

static bool read_field(Reader *r, const Field *f, JsonNode *node, void *at)
{
    switch (f->kind) {
    case FIELD_TEXT:
        return read_text(r, f, node, at);
    case FIELD_MAP:
    case FIELD_VARS:
        return read_map(r, node, f->kind == FIELD_VARS, at);
    case FIELD_WORDS:
        return read_words(r, node, at);
    case FIELD_STATUSES:
        return read_statuses(r, node, at);
    case FIELD_INT:
        return read_int(r, node, at);
    case FIELD_SWITCH:
        return read_switch(r, node, at);
    case FIELD_NODE:
        *(JsonNode **)at = json_node_ref(node);
        return true;
    case FIELD_SOURCES:
        return read_sources(r, node, at);
    case FIELD_REQUESTS:
        return read_requests(r, node, at);
    case FIELD_RECORD:
        *(bool *)at = true;
        return read_fields(r, f->fields, node, at);
    case FIELD_SAME:
        break;
    }
    return true;
}

/* The row of a member, also in a struct that shares the object; *record is moved to where its offset counts from. */
static const Field *find_field(const Field *fields, const char *name, void **record)
{
    for (const Field *f = fields; is_field(f); f++) {
        if (f->kind == FIELD_SAME) {
            void *inner = (char *)*record + f->offset;
            const Field *found = find_field(f->fields, name, &inner);
            if (found != NULL) {
                *(bool *)((char *)*record + f->offset) = true;
                *record = inner;
                return found;
            }
        } else if (g_str_equal(f->name, name)) {
            return f;
        }
    }
    return NULL;
}

static void append_names(GString *out, const Field *fields)
{
    for (const Field *f = fields; is_field(f); f++) {
        if (f->kind == FIELD_SAME)
            append_names(out, f->fields);
        else
            g_string_append_printf(out, "%s%s", out->len > 0 ? ", " : "", f->name);
    }
}

static bool unknown(const Reader *r, const Field *fields)
{
    g_autoptr(GString) why = g_string_new(NULL);
    append_names(why, fields);
    g_string_prepend(why, "unknown member; known are ");
    return wrong(r, why->str);
}

static bool check_needed(Reader *r, const Field *fields, JsonObject *object)
{
    for (const Field *f = fields; is_field(f); f++) {
        if (f->kind == FIELD_SAME ? !check_needed(r, f->fields, object) : f->needed && !json_object_has_member(object, f->name)) {
            if (f->kind == FIELD_SAME)
                return false;
            g_autofree char *why = g_strdup_printf("\"%s\" is missing", f->name);
            return wrong(r, why);
        }
    }
    return true;
}

static bool read_fields(Reader *r, const Field *fields, JsonNode *node, void *record)
{
    if (!JSON_NODE_HOLDS_OBJECT(node))
        return wrong(r, "an object is needed");
    JsonObjectIter it;
    const char *name;
    JsonNode *value;
    json_object_iter_init_ordered(&it, json_node_get_object(node));
    while (json_object_iter_next_ordered(&it, &name, &value)) {
        void *base = record;
        const gsize before = enter(r, name);
        const Field *f = find_field(fields, name, &base);
        if (f == NULL)
            return unknown(r, fields);
        if (!read_field(r, f, value, (char *)base + f->offset))
            return false;
        g_string_truncate(r->path, before);
    }
    return check_needed(r, fields, json_node_get_object(node));
}

Description *description_parse(const char *text, size_t bytes, const char *file, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(Json) json = json_parse(text, bytes, "the description", &cause);
    if (json == NULL) {
        fault_set(error, FAULT_CONFIG, "%s: %s", file, cause->message);
        return NULL;
    }
    g_autoptr(Description) d = g_new0(Description, 1);
    g_autoptr(GString) path = g_string_new(NULL);
    Reader r = { .file = file, .path = path, .error = error };
    d->file = g_strdup(file);
    d->multipart.threshold = -1;
    return read_fields(&r, description_fields, json_root(json), d) ? g_steal_pointer(&d) : NULL;
}

/* ---- where descriptions are ---- */

static bool is_path(const char *name)
{
    return strchr(name, '/') != NULL || g_str_has_suffix(name, ".json");
}

static char *known_names(void)
{
    g_auto(GStrv) files = g_resource_enumerate_children(core_res_get_resource(), RESOURCE_FOLDER, G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);
    GString *out = g_string_new(NULL);
    for (unsigned i = 0; files != NULL && files[i] != NULL; i++)
        g_string_append_printf(out, "%s%.*s", i > 0 ? ", " : "", (int)(strlen(files[i]) - strlen(".json")), files[i]);
    return g_string_free(out, FALSE);
}

static Description *load_file(const char *name, GError **error)
{
    g_autofree char *path = g_str_has_prefix(name, "~/") ? g_build_filename(g_get_home_dir(), name + 2, NULL) : g_strdup(name);
    g_autofree char *text = NULL, *shown = g_filename_display_name(path);
    gsize bytes = 0;
    g_autoptr(GError) cause = NULL;
    if (!g_path_is_absolute(path)) { /* the queue is worked on from other folders, too */
        fault_set(error, FAULT_CONFIG, "the path of a broker's description is written in full: %s is not", shown);
        return NULL;
    }
    if (!g_file_get_contents(path, &text, &bytes, &cause)) {
        fault_set(error, FAULT_CONFIG, "the description of a broker cannot be read: %s", cause->message);
        return NULL;
    }
    return description_parse(text, bytes, shown, error);
}

Description *description_load(const char *name, GError **error)
{
    if (is_path(name))
        return load_file(name, error);
    g_autofree char *file = g_strconcat(name, ".json", NULL);
    g_autofree char *own = g_build_filename(g_get_user_config_dir(), "hoist", "brokers", file, NULL);
    if (g_file_test(own, G_FILE_TEST_EXISTS))
        return load_file(own, error);
    g_autofree char *resource = g_strconcat(RESOURCE_FOLDER "/", file, NULL);
    g_autoptr(GBytes) bytes = g_resource_lookup_data(core_res_get_resource(), resource, G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);
    if (bytes == NULL) {
        g_autofree char *known = known_names(), *shown = hoist_text(name);
        fault_set(error, FAULT_CONFIG, "there is no broker \"%s\"; write the path of a description, or one of: %s", shown, known);
        return NULL;
    }
    return description_parse(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), file, error);
}

const char *pair_value(const GPtrArray *pairs, const char *name)
{
    for (unsigned i = 0; pairs != NULL && i + 1 < pairs->len; i += 2)
        if (g_str_equal(pairs->pdata[i], name))
            return pairs->pdata[i + 1];
    return NULL;
}

const Source *source_by_name(const GPtrArray *sources, const char *name)
{
    for (unsigned i = 0; sources != NULL && i < sources->len; i++)
        if (g_str_equal(((const Source *)sources->pdata[i])->name, name))
            return sources->pdata[i];
    return NULL;
}
