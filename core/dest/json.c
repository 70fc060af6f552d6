#include "json.h"

#include <math.h>
#include <string.h>

#define SHOWN_CHARACTERS  200
#define MAX_POINTER_BYTES 1024

struct Json {
    JsonNode *root;
};

/* ---- before the library sees it ---- */

/* json-glib reads more than JSON (comments, assignments, single quotes) and goes one call deeper per bracket: neither is left to it. */
typedef struct {
    const char *p, *end;
    unsigned depth;
} Scan;

static bool scan_string(Scan *s)
{
    for (s->p++; s->p < s->end && *s->p != '"'; s->p++) {
        if ((unsigned char)*s->p < 0x20)
            return false;
        if (*s->p != '\\')
            continue;
        if (s->end - s->p >= 6 && memcmp(s->p, "\\u0000", 6) == 0) /* it would cut the string short for everybody behind us */
            return false;
        s->p++;
    }
    return s->p < s->end;
}

static bool scan_ok(const char *data, size_t bytes)
{
    bool closed = false; /* one document, and nothing behind it */
    Scan s = { .p = data, .end = data + bytes };
    for (; s.p < s.end; s.p++) {
        if (closed && !g_ascii_isspace(*s.p))
            return false;
        if (*s.p == '"' && !scan_string(&s))
            return false;
        if ((*s.p == '{' || *s.p == '[') && ++s.depth > JSON_MAX_DEPTH)
            return false;
        if ((*s.p == '}' || *s.p == ']') && s.depth-- == 0)
            return false;
        if (!g_ascii_isalnum(*s.p) && strchr(" \t\r\n{}[]:,\"+-.", *s.p) == NULL)
            return false;
        closed = s.depth == 0 && (*s.p == '}' || *s.p == ']' || *s.p == '"' || closed);
    }
    return true;
}

/* Start of a text on one line, made harmless; caller frees. */
static char *start_of(const char *data, size_t bytes)
{
    const size_t most = MIN(bytes, SHOWN_CHARACTERS * 4 + 1);
    g_autofree char *raw = g_strndup(data, most);
    for (char *p = raw; *p != '\0'; p++)
        if (g_ascii_isspace(*p))
            *p = ' ';
    g_strstrip(raw);
    g_autofree char *valid = g_utf8_make_valid(raw, -1);
    const bool cut = g_utf8_strlen(valid, -1) > SHOWN_CHARACTERS;
    g_autofree char *front = g_utf8_substring(valid, 0, MIN(g_utf8_strlen(valid, -1), SHOWN_CHARACTERS));
    g_autofree char *shown = hoist_text(front);
    return g_strconcat(shown, cut ? "..." : "", NULL);
}

/* ---- documents ---- */

static JsonNode *parse(const char *data, size_t bytes)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    if (!json_parser_load_from_data(parser, data, (gssize)bytes, NULL))
        return NULL;
    JsonNode *root = json_parser_get_root(parser);
    return root == NULL ? NULL : json_node_ref(root);
}

Json *json_parse(const void *data, size_t bytes, const char *what, GError **error)
{
    const char *text = data;
    if (bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        bytes -= 3;
    }
    if (bytes > JSON_MAX_BYTES) {
        fault_set(error, FAULT_BAD_ANSWER, "%s is too long: over %d bytes of JSON", what, JSON_MAX_BYTES);
        return NULL;
    }
    JsonNode *root = NULL;
    if (bytes > 0 && g_utf8_validate_len(text, bytes, NULL) && scan_ok(text, bytes))
        root = parse(text, bytes);
    if (root == NULL) {
        g_autofree char *start = bytes == 0 ? g_strdup("") : start_of(text, bytes);
        fault_set(error, FAULT_BAD_ANSWER, *start == '\0' ? "%s is empty, not JSON%s" : "%s is not JSON: \"%s\"", what, start);
        return NULL;
    }
    Json *json = g_new0(Json, 1);
    json->root = root;
    return json;
}

Json *json_answer(const Response *rs, const char *what, GError **error)
{
    return json_parse(rs->body->data, rs->body->len, what, error);
}

Json *json_of_text(const void *data, size_t bytes)
{
    g_autofree char *text = g_strstrip(g_strndup(data == NULL ? "" : data, bytes));
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    Json *json = g_new0(Json, 1);
    json->root = json_node_init_string(json_node_alloc(), valid);
    return json;
}

void json_free(Json *json)
{
    if (json == NULL)
        return;
    json_node_unref(json->root);
    g_free(json);
}

JsonNode *json_root(const Json *json)
{
    return json->root;
}

/* ---- look-ups ---- */

static JsonNode *element_at(JsonArray *array, const char *token)
{
    guint64 index = 0;
    if ((token[0] == '0' && token[1] != '\0') || !g_ascii_string_to_unsigned(token, 10, 0, G_MAXUINT32, &index, NULL))
        return NULL;
    return index < json_array_get_length(array) ? json_array_get_element(array, (guint)index) : NULL;
}

static JsonNode *member_at(JsonObject *object, const char *token)
{
    g_auto(GStrv) slashes = g_strsplit(token, "~1", -1);
    g_autofree char *slashed = g_strjoinv("/", slashes);
    g_auto(GStrv) tildes = g_strsplit(slashed, "~0", -1);
    g_autofree char *name = g_strjoinv("~", tildes);
    return json_object_get_member(object, name);
}

JsonNode *json_node_at(JsonNode *node, const char *pointer)
{
    if ((*pointer != '\0' && *pointer != '/') || strlen(pointer) > MAX_POINTER_BYTES)
        return NULL;
    g_auto(GStrv) tokens = g_strsplit(*pointer == '\0' ? "" : pointer + 1, "/", -1);
    for (unsigned i = 0; *pointer != '\0' && node != NULL && tokens[i] != NULL; i++) {
        if (JSON_NODE_HOLDS_OBJECT(node))
            node = member_at(json_node_get_object(node), tokens[i]);
        else
            node = JSON_NODE_HOLDS_ARRAY(node) ? element_at(json_node_get_array(node), tokens[i]) : NULL;
    }
    /* g_strsplit gives no token for "/", which is the member of the empty name */
    if (node != NULL && g_str_equal(pointer, "/"))
        node = JSON_NODE_HOLDS_OBJECT(node) ? member_at(json_node_get_object(node), "") : NULL;
    return node == NULL || JSON_NODE_HOLDS_NULL(node) ? NULL : node;
}

JsonNode *json_at(const Json *json, const char *pointer)
{
    return json_node_at(json->root, pointer);
}

const char *json_string_at(const Json *json, const char *pointer)
{
    JsonNode *node = json_at(json, pointer);
    return node != NULL && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node)
                                                                                                          : NULL;
}

bool json_int_at(const Json *json, const char *pointer, int64_t *out)
{
    JsonNode *node = json_at(json, pointer);
    if (node == NULL || !JSON_NODE_HOLDS_VALUE(node))
        return false;
    const GType type = json_node_get_value_type(node);
    const double real = type == G_TYPE_DOUBLE ? json_node_get_double(node) : 0;
    gint64 number = 0;
    if (type == G_TYPE_STRING && !g_ascii_string_to_signed(json_node_get_string(node), 10, G_MININT64, G_MAXINT64, &number, NULL))
        return false;
    if (type == G_TYPE_BOOLEAN || !isfinite(real) || fabs(real) > 9e15)
        return false;
    *out = type == G_TYPE_STRING ? number : type == G_TYPE_DOUBLE ? (int64_t)real : json_node_get_int(node);
    return true;
}

char *json_text_of(JsonNode *node)
{
    if (node == NULL || !JSON_NODE_HOLDS_VALUE(node))
        return NULL;
    const GType type = json_node_get_value_type(node);
    if (type != G_TYPE_STRING)
        return json_to_string(node, FALSE);
    const char *text = json_node_get_string(node);
    return g_utf8_validate(text, -1, NULL) ? g_strdup(text) : NULL; /* half a surrogate pair is none */
}

char *json_error_words(const Response *rs)
{
    static const char *const places[] = { "/message", "/error", "/error/message", "/errors/0/message", "/errors/0", "/detail" };
    g_autoptr(Json) json = json_answer(rs, "", NULL);
    for (unsigned i = 0; json != NULL && i < G_N_ELEMENTS(places); i++) {
        const char *words = json_string_at(json, places[i]);
        if (words != NULL && *words != '\0')
            return start_of(words, strlen(words));
    }
    return rs->body->len == 0 ? g_strdup("") : start_of((const char *)rs->body->data, rs->body->len);
}

char *json_print(JsonNode *node)
{
    return json_to_string(node, FALSE);
}
