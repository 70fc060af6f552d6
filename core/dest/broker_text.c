#include "broker_priv.h"

#include <string.h>

/* ---- templates taken apart ---- */

static void placeholder_clear(Placeholder *p)
{
    g_free(p->text);
    g_free(p->root);
    g_free(p->member);
    for (unsigned i = 0; i < p->n_filters; i++)
        g_free(p->filters[i]);
    *p = (Placeholder){ 0 };
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Placeholder, placeholder_clear)

static bool name_ok(const char *name)
{
    for (const char *p = name; *p != '\0'; p++)
        if (!g_ascii_isalnum(*p) && *p != '_' && *p != '-')
            return false;
    return *name != '\0';
}

static bool placeholder_parse(Placeholder *p, const char *text, size_t bytes, GError **error)
{
    g_autofree char *inner = g_strndup(text, bytes);
    g_auto(GStrv) pieces = g_strsplit(g_strstrip(inner), "|", -1);
    g_auto(GStrv) names = g_strsplit(pieces[0] == NULL ? "" : pieces[0], ".", 2);
    const unsigned n = g_strv_length(pieces);
    bool ok = n >= 1 && n <= MAX_FILTERS + 1 && names[0] != NULL && name_ok(names[0]) && (names[1] == NULL || name_ok(names[1]));
    for (unsigned i = 1; ok && i < n; i++) {
        ok = filter_known(pieces[i]);
        p->filters[p->n_filters++] = g_strdup(pieces[i]);
    }
    if (!ok) {
        g_autofree char *shown = hoist_text(inner);
        fault_set(error, FAULT_CONFIG,
                  "{{%s}} is none of {{NAME}}, {{NAME.MEMBER|FILTER}}; filters are url, path, b64, b64url, lower, plain", shown);
        return false;
    }
    p->text = g_strdup(inner);
    p->root = g_strdup(names[0]);
    p->member = g_strdup(names[1]);
    return true;
}

bool template_visit(const char *text, const Visitor *visitor, GError **error)
{
    const char *const start = text;
    for (const char *open; (open = strstr(text, "{{")) != NULL;) {
        const char *shut = strstr(open, "}}");
        if (shut == NULL) {
            fault_set(error, FAULT_CONFIG, "a {{ has no }}");
            return false;
        }
        if (visitor->literal != NULL && open > text)
            visitor->literal(text, (size_t)(open - text), visitor->data);
        g_auto(Placeholder) p = { 0 };
        if (!placeholder_parse(&p, open + 2, (size_t)(shut - open - 2), error) ||
            !visitor->placeholder(&p, open == start && shut[2] == '\0', visitor->data, error))
            return false;
        text = shut + 2;
    }
    if (visitor->literal != NULL && *text != '\0')
        visitor->literal(text, strlen(text), visitor->data);
    return true;
}

bool template_visit_json(JsonNode *node, const Visitor *visitor, GError **error)
{
    if (JSON_NODE_HOLDS_ARRAY(node)) {
        JsonArray *array = json_node_get_array(node);
        for (guint i = 0; i < json_array_get_length(array); i++)
            if (!template_visit_json(json_array_get_element(array, i), visitor, error))
                return false;
    } else if (JSON_NODE_HOLDS_OBJECT(node)) {
        JsonObjectIter it;
        const char *name;
        JsonNode *value;
        json_object_iter_init_ordered(&it, json_node_get_object(node));
        while (json_object_iter_next_ordered(&it, &name, &value))
            if (!template_visit(name, visitor, error) || !template_visit_json(value, visitor, error))
                return false;
    } else if (JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING) {
        return template_visit(json_node_get_string(node), visitor, error);
    }
    return true;
}

/* ---- filters ---- */

static char *escaped(const char *text, bool keep_slash)
{
    GString *out = g_string_new(NULL);
    uri_escape_append(out, text, strlen(text), keep_slash);
    return g_string_free(out, FALSE);
}

static char *filter_url(const char *text)
{
    return escaped(text, false);
}

static char *filter_path(const char *text)
{
    return escaped(text, true);
}

static char *filter_b64(const char *text)
{
    return g_base64_encode((const guchar *)text, strlen(text));
}

/* RFC 4648, section 5, with its padding, as the stores that want it have it. */
static char *filter_b64url(const char *text)
{
    return g_strdelimit(g_strdelimit(filter_b64(text), "+", '-'), "/", '_');
}

static char *filter_lower(const char *text)
{
    return g_utf8_strdown(text, -1);
}

/* A signed URL without its signature. */
static char *filter_plain(const char *text)
{
    return g_strndup(text, strcspn(text, "?#"));
}

static const struct {
    const char *name;
    char *(*run)(const char *text);
} filters[] = {
    { "url", filter_url },       { "path", filter_path },   { "b64", filter_b64 },
    { "b64url", filter_b64url }, { "lower", filter_lower }, { "plain", filter_plain },
};

bool filter_known(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(filters); i++)
        if (g_str_equal(filters[i].name, name))
            return true;
    return false;
}

static char *filtered(const char *text, const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(filters); i++)
        if (g_str_equal(filters[i].name, name))
            return filters[i].run(text);
    g_assert_not_reached();
}

/* ---- values ---- */

static JsonNode *text_node(const char *text)
{
    return json_node_init_string(json_node_alloc(), text);
}

static JsonNode *number_node(int64_t number)
{
    return json_node_init_int(json_node_alloc(), number);
}

/* Names are bytes; what goes into JSON and headers is text. */
static char *name_of(const Upload *up)
{
    const char *slash = strrchr(up->key, '/');
    return g_utf8_make_valid(up->name != NULL ? up->name : slash == NULL ? up->key : slash + 1, -1);
}

static JsonNode *name_value(const Scope *s, const char *member)
{
    g_autofree char *name = name_of(s->up);
    char *dot = strrchr(name, '.');
    const bool has_ext = dot != NULL && dot != name;
    if (g_str_equal(member, "ext"))
        return text_node(has_ext ? dot + 1 : "");
    if (has_ext && g_str_equal(member, "stem"))
        *dot = '\0';
    return text_node(name);
}

static JsonNode *path_value(const Scope *s, const char *member)
{
    (void)member;
    g_autofree char *path = g_utf8_make_valid(s->up->key, -1);
    return text_node(path);
}

static JsonNode *size_value(const Scope *s, const char *member)
{
    (void)member;
    return number_node((int64_t)s->up->size_bytes);
}

static JsonNode *type_value(const Scope *s, const char *member)
{
    (void)member;
    return text_node(s->up->content_type == NULL ? "application/octet-stream" : s->up->content_type);
}

static JsonNode *mtime_value(const Scope *s, const char *member)
{
    (void)member;
    return number_node(s->up->mtime_ns / 1000000000);
}

/* Hashes are those of the one part of a whole upload. */
static JsonNode *hash_value(const Scope *s, const char *member)
{
    g_auto(GStrv) words = g_strsplit(member, "_", 2);
    DigestKind kind = DIGEST_MD5;
    const DigestSet *set = s->up->n_parts == 1 ? s->up->parts[0].digest : NULL;
    if (set == NULL || !digest_by_name(words[0], &kind) || (set->have & DIGEST_BIT(kind)) == 0)
        return NULL;
    g_autofree char *text = g_str_equal(words[1], "hex") ? digest_hex(set->value[kind], digest_bytes(kind)) : digest_base64(set, kind);
    if (g_str_equal(words[1], "decimal")) {
        int64_t number = 0;
        for (unsigned i = 0; i < digest_bytes(kind); i++)
            number = number << 8 | set->value[kind][i];
        return number_node(number);
    }
    return text_node(text);
}

static const struct {
    const char *member;
    JsonNode *(*value)(const Scope *s, const char *member);
    unsigned digests;
} file_members[] = {
    { "name", name_value, 0 },
    { "stem", name_value, 0 },
    { "ext", name_value, 0 },
    { "path", path_value, 0 },
    { "size", size_value, 0 },
    { "type", type_value, 0 },
    { "mtime", mtime_value, 0 },
    { "md5_hex", hash_value, DIGEST_BIT(DIGEST_MD5) },
    { "md5_b64", hash_value, DIGEST_BIT(DIGEST_MD5) },
    { "sha1_hex", hash_value, DIGEST_BIT(DIGEST_SHA1) },
    { "sha1_b64", hash_value, DIGEST_BIT(DIGEST_SHA1) },
    { "sha256_hex", hash_value, DIGEST_BIT(DIGEST_SHA256) },
    { "sha256_b64", hash_value, DIGEST_BIT(DIGEST_SHA256) },
    { "crc32_decimal", hash_value, DIGEST_BIT(DIGEST_CRC32) },
    { "crc32_b64", hash_value, DIGEST_BIT(DIGEST_CRC32) },
    { "crc32c_b64", hash_value, DIGEST_BIT(DIGEST_CRC32C) },
};

bool file_member_digests(const char *member, unsigned *digests_out)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(file_members); i++)
        if (g_str_equal(file_members[i].member, member)) {
            *digests_out = file_members[i].digests;
            return true;
        }
    return false;
}

static JsonNode *value_of_file(const Scope *s, const char *member)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(file_members); i++)
        if (g_str_equal(file_members[i].member, member))
            return file_members[i].value(s, member);
    return NULL;
}

/* Version 4, made of the upload's nonce: the same after a restart. */
static JsonNode *value_of_uuid(const Scope *s, const char *member)
{
    (void)member;
    if (s->up->nonce == NULL || strlen(s->up->nonce) != 32)
        return NULL;
    g_autofree char *hex = g_strdup(s->up->nonce);
    static const char variants[] = "89ab";
    hex[12] = '4';
    hex[16] = variants[g_ascii_xdigit_value(hex[16]) & 3];
    g_autofree char *text = g_strdup_printf("%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
    return text_node(text);
}

static JsonNode *value_of_now(const Scope *s, const char *member)
{
    if (g_str_equal(member, "unix"))
        return number_node(s->ctx->now_s);
    g_autoptr(GDateTime) now = g_date_time_new_from_unix_utc(s->ctx->now_s);
    g_autofree char *text = now == NULL ? NULL : g_date_time_format(now, "%Y-%m-%dT%H:%M:%SZ");
    return text == NULL ? NULL : text_node(text);
}

static JsonNode *value_of_var(const Scope *s, const char *member)
{
    const char *text = g_hash_table_lookup(broker_of(s->ctx)->vars, member);
    return text == NULL ? NULL : text_node(text);
}

static JsonNode *value_of_env(const Scope *s, const char *member)
{
    const char *text = g_hash_table_lookup(broker_of(s->ctx)->env, member);
    return text == NULL ? NULL : text_node(text);
}

static JsonNode *value_of_secret(const Scope *s, const char *member)
{
    const char *text = credentials_secret(s->ctx->creds, member);
    return text == NULL ? NULL : text_node(text);
}

static JsonNode *value_of_grant(const Scope *s, const char *member)
{
    return s->grant == NULL ? NULL : values_get(s->grant->values, member);
}

static JsonNode *of_object(JsonObject *object, const char *member)
{
    JsonNode *node = object == NULL ? NULL : json_object_get_member(object, member);
    return node == NULL || JSON_NODE_HOLDS_NULL(node) ? NULL : json_node_ref(node);
}

static JsonNode *value_of_answer(const Scope *s, const char *member)
{
    return of_object(s->answer, member);
}

static JsonNode *value_of_mp(const Scope *s, const char *member)
{
    return of_object(s->mp, member);
}

static JsonNode *value_of_upload(const Scope *s, const char *member)
{
    (void)member;
    const char *etag = s->uploaded == NULL ? s->up->etag : response_header(s->uploaded, "etag");
    return etag == NULL ? NULL : text_node(etag);
}

static JsonNode *value_of_part(const Scope *s, const char *member)
{
    return number_node(g_str_equal(member, "size") ? (int64_t)upload_part_bytes(s->up, s->part) : (int64_t)s->part + 1);
}

static JsonNode *value_of_parts(const Scope *s, const char *member)
{
    (void)member;
    return s->parts == NULL ? NULL : json_node_ref(s->parts);
}

static const struct {
    const char *root;
    JsonNode *(*value)(const Scope *s, const char *member);
} roots[] = {
    { "file", value_of_file },   { "vars", value_of_var },      { "env", value_of_env },       { "secret", value_of_secret },
    { "grant", value_of_grant }, { "answer", value_of_answer }, { "upload", value_of_upload }, { "mp", value_of_mp },
    { "part", value_of_part },   { "now", value_of_now },
};

static JsonNode *raw_value(const Scope *s, const Placeholder *p)
{
    if (p->member == NULL && g_str_equal(p->root, "uuid"))
        return value_of_uuid(s, NULL);
    if (p->member == NULL && g_str_equal(p->root, "parts"))
        return value_of_parts(s, NULL);
    if (p->member == NULL)
        return value_of_var(s, p->root);
    for (unsigned i = 0; i < G_N_ELEMENTS(roots); i++)
        if (g_str_equal(roots[i].root, p->root))
            return roots[i].value(s, p->member);
    return NULL;
}

/* What comes from answers may be optional; the rest is there, or something is wrong: nothing may be left out for its sake. */
static bool may_be_absent(const Placeholder *p)
{
    static const char *const from_answers[] = { "grant", "answer", "mp", "upload", NULL };
    return p->member != NULL && g_strv_contains(from_answers, p->root);
}

Fill fill_value(const Scope *s, const Placeholder *p, JsonNode **out, GError **error)
{
    JsonNode *kept = s->memo == NULL ? NULL : json_object_get_member(s->memo, p->text);
    if (kept != NULL) {
        *out = JSON_NODE_HOLDS_NULL(kept) ? NULL : json_node_ref(kept);
        return *out == NULL ? FILL_ABSENT : FILL_OK;
    }
    g_autoptr(JsonNode) value = raw_value(s, p);
    if (value == NULL && g_str_equal(p->root, "secret")) {
        fault_set(error, FAULT_SIGN_IN, "the secret \"%s\" is not set", p->member);
        return FILL_FAILED;
    }
    if (value == NULL && !may_be_absent(p)) {
        fault_set(error, FAULT_BUG, "{{%s}} is not known yet", p->text);
        return FILL_FAILED;
    }
    if (value == NULL)
        return FILL_ABSENT;
    if (p->n_filters == 0) {
        *out = g_steal_pointer(&value);
        return FILL_OK;
    }
    g_autofree char *text = json_text_of(value);
    for (unsigned i = 0; text != NULL && i < p->n_filters; i++) {
        g_autofree char *before = g_steal_pointer(&text);
        text = filtered(before, p->filters[i]);
    }
    if (text == NULL) {
        fault_set(error, FAULT_BAD_ANSWER, "%s is no text", p->text);
        return FILL_FAILED;
    }
    *out = text_node(text);
    return FILL_OK;
}

/* ---- filling in ---- */

typedef struct {
    const Scope *scope;
    GString *out;
    JsonNode *node; /* of a template that is one placeholder; kept when keep_type */
    bool keep_type, absent;
} Filling;

static bool fill_placeholder(const Placeholder *p, bool whole, void *data, GError **error)
{
    Filling *f = data;
    g_autoptr(JsonNode) value = NULL;
    const Fill fill = fill_value(f->scope, p, &value, error);
    if (fill != FILL_OK) {
        f->absent = fill == FILL_ABSENT;
        return false;
    }
    if (whole && f->keep_type) {
        f->node = g_steal_pointer(&value);
        return true;
    }
    g_autofree char *text = json_text_of(value);
    if (text == NULL) {
        fault_set(error, FAULT_BAD_ANSWER, "%s is no text", p->text);
        return false;
    }
    g_string_append(f->out, text);
    return true;
}

static void fill_literal(const char *text, size_t bytes, void *data)
{
    g_string_append_len(((Filling *)data)->out, text, (gssize)bytes);
}

Fill fill_text(const Scope *s, const char *text, char **out, GError **error)
{
    Filling f = { .scope = s, .out = g_string_new(NULL) };
    const Visitor visitor = { fill_placeholder, fill_literal, &f };
    if (!template_visit(text, &visitor, error)) {
        secret_free(g_string_free(f.out, FALSE));
        return f.absent ? FILL_ABSENT : FILL_FAILED;
    }
    *out = g_string_free(f.out, FALSE);
    return FILL_OK;
}

static Fill fill_string(const Scope *s, const char *text, JsonNode **out, GError **error)
{
    g_autoptr(GString) buffer = g_string_new(NULL);
    Filling f = { .scope = s, .out = buffer, .keep_type = true };
    const Visitor visitor = { fill_placeholder, fill_literal, &f };
    if (!template_visit(text, &visitor, error)) {
        g_clear_pointer(&f.node, json_node_unref);
        return f.absent ? FILL_ABSENT : FILL_FAILED;
    }
    *out = f.node != NULL ? f.node : text_node(buffer->str);
    return FILL_OK;
}

static Fill fill_array(const Scope *s, JsonArray *array, JsonNode **out, GError **error)
{
    g_autoptr(JsonArray) filled = json_array_new();
    for (guint i = 0; i < json_array_get_length(array); i++) {
        JsonNode *element = NULL;
        const Fill fill = fill_json(s, json_array_get_element(array, i), &element, error);
        if (fill != FILL_OK)
            return fill;
        json_array_add_element(filled, element);
    }
    *out = json_node_init_array(json_node_alloc(), filled);
    return FILL_OK;
}

static Fill fill_object(const Scope *s, JsonObject *object, JsonNode **out, GError **error)
{
    g_autoptr(JsonObject) filled = json_object_new();
    JsonObjectIter it;
    const char *name;
    JsonNode *value;
    json_object_iter_init_ordered(&it, object);
    while (json_object_iter_next_ordered(&it, &name, &value)) {
        JsonNode *member = NULL;
        g_autofree char *filled_name = NULL;
        Fill fill = fill_text(s, name, &filled_name, error);
        if (fill == FILL_OK)
            fill = fill_json(s, value, &member, error);
        if (fill != FILL_OK)
            return fill;
        json_object_set_member(filled, filled_name, member);
    }
    *out = json_node_init_object(json_node_alloc(), filled);
    return FILL_OK;
}

Fill fill_json(const Scope *s, JsonNode *node, JsonNode **out, GError **error)
{
    if (JSON_NODE_HOLDS_ARRAY(node))
        return fill_array(s, json_node_get_array(node), out, error);
    if (JSON_NODE_HOLDS_OBJECT(node))
        return fill_object(s, json_node_get_object(node), out, error);
    if (JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING)
        return fill_string(s, json_node_get_string(node), out, error);
    *out = json_node_ref(node);
    return FILL_OK;
}
