#include "vectors.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define INPUT_MAX_BYTES (256u * 1024 * 1024)

static const struct {
    const char *name;
    bool tested; /* by a program of this suite */
} formats_known[] = {
    { "sigv4-aws-published", true },
    { "sigv4-suite", true },
    { "sigv4-s3-generated", true },
    { "s3-urls", true },
    { "s3-answers", true },
    { "checksums", true },
    { "multipart-checksums", true },
    { "aws-config", true },
    { "drop", true },
    { "qetag", true },
    { "qetag-parts", true },
    { "qiniu-tokens", true },
    { "oss-signatures", true },
    { "broker", true },
};

static bool is_word(const char *text, const char *at, size_t n)
{
    return (at == text || !g_ascii_isalnum(at[-1])) && !g_ascii_isalnum(at[n]);
}

/* Index of the longest known name that stands in the base name as words of its own; -1 when there is none. */
static int format_of(const char *file)
{
    int best = -1;
    for (unsigned i = 0; i < G_N_ELEMENTS(formats_known); i++) {
        const char *name = formats_known[i].name;
        const char *at = strstr(file, name);
        if (at != NULL && is_word(file, at, strlen(name)) && (best < 0 || strlen(name) > strlen(formats_known[best].name)))
            best = (int)i;
    }
    return best;
}

static void report(const char *where, const char *text)
{
    g_test_message("%s: %s", where, text);
    g_test_fail();
}

void vectors_fail(const VectorCase *vc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_autofree char *where = g_strdup_printf("%s: %s %s", vc->file, vc->name, vc->kind);
    report(where, text);
}

bool vectors_str_equal(const VectorCase *vc, const char *what, const char *actual, const char *expected)
{
    const bool equal = g_strcmp0(actual, expected) == 0;
    if (!equal)
        vectors_fail(vc, "%s\n is    %s\n wants %s", what, actual ? actual : "(none)", expected ? expected : "(none)");
    return equal;
}

static JsonNode *member_of_type(JsonObject *object, const char *member, JsonNodeType type)
{
    JsonNode *node = object != NULL ? json_object_get_member(object, member) : NULL;
    return node != NULL && JSON_NODE_TYPE(node) == type ? node : NULL;
}

const char *vectors_str(JsonObject *object, const char *member)
{
    JsonNode *node = member_of_type(object, member, JSON_NODE_VALUE);
    return node != NULL && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node) : NULL;
}

JsonObject *vectors_object(JsonObject *object, const char *member)
{
    JsonNode *node = member_of_type(object, member, JSON_NODE_OBJECT);
    return node != NULL ? json_node_get_object(node) : NULL;
}

JsonArray *vectors_array(JsonObject *object, const char *member)
{
    JsonNode *node = member_of_type(object, member, JSON_NODE_ARRAY);
    return node != NULL ? json_node_get_array(node) : NULL;
}

/* The root object's cases, or NULL with the failure reported. The parser owns them. */
static JsonArray *load_cases(JsonParser *parser, const char *path)
{
    g_autoptr(GError) error = NULL;
    if (!json_parser_load_from_file(parser, path, &error)) {
        report(path, error->message);
        return NULL;
    }
    JsonNode *root = json_parser_get_root(parser);
    JsonArray *cases = root != NULL && JSON_NODE_HOLDS_OBJECT(root) ? vectors_array(json_node_get_object(root), "cases") : NULL;
    if (cases == NULL || json_array_get_length(cases) == 0) {
        report(path, "no cases in this file");
        return NULL;
    }
    return cases;
}

static void run_case(const char *file, JsonNode *node, GHashTable *names, VectorFn fn)
{
    if (!JSON_NODE_HOLDS_OBJECT(node)) {
        report(file, "a case is not an object");
        return;
    }
    VectorCase vc = { .file = file, .json = json_node_get_object(node) };
    vc.name = vectors_str(vc.json, "name");
    if (vc.name == NULL)
        vc.name = vectors_str(vc.json, "id");
    vc.kind = vectors_str(vc.json, "kind");
    if (vc.kind == NULL)
        vc.kind = "";
    if (vc.name == NULL)
        report(file, "a case has neither name nor id");
    else if (!g_hash_table_add(names, (gpointer)vc.name))
        vectors_fail(&vc, "this name occurs twice");
    else if (!fn(&vc))
        vectors_fail(&vc, "no test for this kind of case");
}

static void run_file(const char *path, bool extra, VectorFn fn)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    JsonArray *cases = load_cases(parser, path);
    if (cases == NULL)
        return;
    const unsigned n = json_array_get_length(cases);
    if (fn == NULL) {
        printf("# NOT YET TESTED: %s: %u cases\n", path, n);
        return;
    }
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    g_autofree char *file = g_path_get_basename(path);
    for (unsigned i = 0; i < n; i++)
        run_case(file, json_array_get_element(cases, i), names, fn);
    printf("# %s: %u cases\n", extra ? path : file, n);
}

/* Untested formats are told of once by each program, at its first call. */
static void run_extra(const char *dir, const char *file, const char *const *formats, VectorFn fn, bool tell_untested)
{
    g_autofree char *path = g_build_filename(dir, file, NULL);
    if (g_str_equal(file, "README.md"))
        return;
    const int format = g_str_has_suffix(file, ".json") ? format_of(file) : -1;
    if (format < 0)
        report(path, "HOIST_VECTORS holds a file whose name tells no known format");
    else if (g_strv_contains(formats, formats_known[format].name))
        run_file(path, true, fn);
    else if (!formats_known[format].tested && tell_untested)
        run_file(path, true, NULL);
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void run_extra_dir(const char *dir, const char *const *formats, VectorFn fn)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GDir) entries = g_dir_open(dir, 0, &error);
    if (entries == NULL) {
        report("HOIST_VECTORS", error->message);
        return;
    }
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
    for (const char *file; (file = g_dir_read_name(entries)) != NULL;)
        g_ptr_array_add(files, g_strdup(file));
    g_ptr_array_sort(files, by_name);
    static bool told;
    for (unsigned i = 0; i < files->len; i++)
        run_extra(dir, g_ptr_array_index(files, i), formats, fn, !told);
    told = true;
}

void vectors_each(const char *const *formats, VectorFn fn)
{
    const char *data = g_getenv("HOIST_TEST_DATA");
    if (data == NULL) {
        report("HOIST_TEST_DATA", "not set: it names the directory tests/");
        return;
    }
    for (unsigned i = 0; formats[i] != NULL; i++) {
        g_assert_cmpint(format_of(formats[i]), >=, 0);
        g_autofree char *file = g_strconcat(formats[i], ".json", NULL);
        g_autofree char *path = g_build_filename(data, "vectors", "data", file, NULL);
        run_file(path, false, fn);
    }
    const char *extra = g_getenv("HOIST_VECTORS");
    if (extra != NULL && *extra != '\0')
        run_extra_dir(extra, formats, fn);
    fflush(stdout);
}

static GBytes *xorshift32(uint32_t seed, size_t length)
{
    GByteArray *out = g_byte_array_sized_new((guint)length + 4);
    for (uint32_t x = seed; out->len < length;) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        const uint8_t word[4] = { x & 255, x >> 8 & 255, x >> 16 & 255, x >> 24 };
        g_byte_array_append(out, word, 4);
    }
    g_byte_array_set_size(out, (guint)length);
    return g_byte_array_free_to_bytes(out);
}

GBytes *vectors_input(JsonObject *input)
{
    const char *text = vectors_str(input, "text");
    if (text != NULL)
        return g_bytes_new(text, strlen(text));
    const char *base64 = vectors_str(input, "base64");
    if (base64 != NULL) {
        gsize n = 0;
        uint8_t *bytes = g_base64_decode(base64, &n);
        return g_bytes_new_take(bytes, n);
    }
    const gint64 length = json_object_get_int_member_with_default(input, "length", -1);
    if (length < 0 || length > INPUT_MAX_BYTES)
        return NULL;
    if (g_strcmp0(vectors_str(input, "generator"), "xorshift32") == 0)
        return xorshift32((uint32_t)json_object_get_int_member_with_default(input, "seed", 0), (size_t)length);
    if (json_object_has_member(input, "repeat")) {
        uint8_t *bytes = g_malloc((size_t)length + 1);
        memset(bytes, (int)json_object_get_int_member(input, "repeat"), (size_t)length);
        return g_bytes_new_take(bytes, (size_t)length);
    }
    return NULL;
}

GBytes *vectors_from_hex(const char *hex)
{
    const size_t n = strlen(hex);
    if (n % 2 != 0)
        return NULL;
    g_autoptr(GByteArray) out = g_byte_array_new();
    for (size_t i = 0; i < n; i += 2) {
        const int high = g_ascii_xdigit_value(hex[i]), low = g_ascii_xdigit_value(hex[i + 1]);
        if (high < 0 || low < 0)
            return NULL;
        const uint8_t byte = (uint8_t)(high << 4 | low);
        g_byte_array_append(out, &byte, 1);
    }
    return g_byte_array_free_to_bytes(g_steal_pointer(&out));
}
