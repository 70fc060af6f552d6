#include "body.h"

#include <expat.h>
#include <string.h>

/* Children that come many times; all others are fields. */
static const struct {
    const char *root, *row;
    bool deep;      /* fields of a row are nested: named by their path */
    unsigned depth; /* of a row; the root has 1 */
} row_names[] = {
    { "ListPartsResult", "Part", false, 2 }, { "ListMultipartUploadsResult", "Upload", false, 2 },
    { "ErrorResponse", "Error", false, 2 }, /* of STS, and of stores that copy it */
    { "multistatus", "response", true, 2 }, /* of WebDAV */
    { "BlockList", "Block", false, 3 },     /* of Azure, in UncommittedBlocks or CommittedBlocks */
};

typedef struct {
    XML_Parser parser;
    Body *body;
    const char *row_name; /* of this root, or NULL */
    unsigned row_depth;
    bool deep;         /* its rows are */
    unsigned depth;    /* of the open element; the root has 1 */
    GHashTable *row;   /* the row that is open, owned by body */
    GString *path;     /* in a deep row: of the open element */
    GHashTable *times; /* in a deep row: char* -> how many children of this name it had so far */
    GString *text;     /* of the innermost open element */
    bool is_leaf;      /* no child so far, nor too much text */
    bool refused;
} Reader;

static const char *local_name(const char *name)
{
    const char *colon = strrchr(name, ':');
    return colon == NULL ? name : colon + 1;
}

static GHashTable *fields_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

static void refuse(Reader *r)
{
    r->refused = true;
    XML_StopParser(r->parser, XML_FALSE);
}

static void begin_root(Reader *r, const char *name)
{
    r->body->root = g_strdup(name);
    for (unsigned i = 0; i < G_N_ELEMENTS(row_names); i++)
        if (g_str_equal(name, row_names[i].root)) {
            r->row_name = row_names[i].row;
            r->deep = row_names[i].deep;
            r->row_depth = row_names[i].depth;
        }
}

/* False: one row too many. */
static bool begin_row(Reader *r)
{
    if (r->body->rows->len >= BODY_MAX_ROWS)
        return false;
    r->row = fields_new();
    g_ptr_array_add(r->body->rows, r->row);
    g_hash_table_remove_all(r->times);
    return true;
}

static void enter_path(Reader *r, const char *name)
{
    if (r->path->len > 0)
        g_string_append_c(r->path, '/');
    g_string_append(r->path, name);
    if (r->depth != 3)
        return;
    const guint times = GPOINTER_TO_UINT(g_hash_table_lookup(r->times, name)) + 1;
    g_hash_table_insert(r->times, g_strdup(name), GUINT_TO_POINTER(times));
    if (times > 1)
        g_string_append_printf(r->path, "%u", times);
}

static void leave_path(Reader *r)
{
    const char *slash = strrchr(r->path->str, '/');
    g_string_truncate(r->path, slash == NULL ? 0 : (gsize)(slash - r->path->str));
}

static void on_begin(void *ctx, const char *full_name, const char **attributes)
{
    (void)attributes;
    Reader *r = ctx;
    const char *name = local_name(full_name);
    if (++r->depth > BODY_MAX_DEPTH) {
        refuse(r);
        return;
    }
    if (r->depth == 1)
        begin_root(r, name);
    if (r->depth == r->row_depth && g_str_equal(name, r->row_name) && !begin_row(r)) {
        refuse(r);
        return;
    }
    if (r->deep && r->row != NULL && r->depth > 2)
        enter_path(r, name);
    g_string_truncate(r->text, 0);
    r->is_leaf = true;
}

static void on_text(void *ctx, const char *text, int bytes)
{
    Reader *r = ctx;
    if (r->text->len + (size_t)bytes > BODY_MAX_TEXT)
        r->is_leaf = false;
    else
        g_string_append_len(r->text, text, bytes);
}

static void on_end(void *ctx, const char *full_name)
{
    Reader *r = ctx;
    const bool in_deep_row = r->deep && r->row != NULL && r->depth > 2;
    GHashTable *into = NULL;
    if (r->depth == 2 && r->row == NULL)
        into = r->body->fields;
    else if (r->depth == r->row_depth + 1 || in_deep_row)
        into = r->row;
    if (r->depth == r->row_depth)
        r->row = NULL;

    const char *name = in_deep_row ? r->path->str : local_name(full_name);
    const bool fits = into != NULL && g_hash_table_size(into) < BODY_MAX_FIELDS && strlen(name) <= BODY_MAX_NAME;
    if (fits && r->is_leaf && !g_hash_table_contains(into, name))
        g_hash_table_insert(into, g_strdup(name), g_strdup(r->text->str));
    if (in_deep_row)
        leave_path(r);
    r->depth--;
    r->is_leaf = false;
}

static void on_doctype(void *ctx, const char *name, const char *system_id, const char *public_id, int has_internal_subset)
{
    (void)name, (void)system_id, (void)public_id, (void)has_internal_subset;
    refuse(ctx);
}

static enum XML_Error read_document(Body *body, const char *text, size_t bytes)
{
    Reader r = { .parser = XML_ParserCreate(NULL), .body = body, .text = g_string_new(NULL), .path = g_string_new(NULL) };
    r.times = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, on_begin, on_end);
    XML_SetCharacterDataHandler(r.parser, on_text);
    XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);

    XML_Parse(r.parser, text, (int)bytes, XML_TRUE);
    const enum XML_Error error = XML_GetErrorCode(r.parser);
    if (r.refused || (body->root == NULL && error != XML_ERROR_NONE))
        body->state = BODY_ALIEN;
    else
        body->state = error == XML_ERROR_NONE ? BODY_WHOLE : BODY_CUT;
    XML_ParserFree(r.parser);
    g_hash_table_unref(r.times);
    g_string_free(r.path, TRUE);
    g_string_free(r.text, TRUE);
    return error;
}

static bool char_allowed(guint64 c)
{
    return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c < 0xd800) || (c >= 0xe000 && c < 0xfffe) ||
           (c >= 0x10000 && c < 0x110000);
}

/* Length of a character reference ("&#27;", "&#x1b;") that XML forbids, else 0. */
static size_t bad_reference(const char *p)
{
    if (p[0] != '&' || p[1] != '#')
        return 0;
    const bool hex = p[2] == 'x';
    char *end = NULL;
    const guint64 c = g_ascii_strtoull(p + (hex ? 3 : 2), &end, hex ? 16 : 10);
    return *end == ';' && !char_allowed(c) ? (size_t)(end + 1 - p) : 0;
}

/* The same document with what XML forbids replaced by U+FFFD: a store that repeats a key as it was sent is not to be punished for it. */
static char *replace_forbidden(const char *text, size_t bytes)
{
    g_autofree char *valid = g_utf8_make_valid(text, (gssize)bytes);
    GString *out = g_string_sized_new(bytes);
    for (const char *p = valid; *p != '\0';) {
        const gunichar c = g_utf8_get_char(p);
        const size_t reference = bad_reference(p);
        g_string_append_unichar(out, reference > 0 || !char_allowed(c) ? 0xfffd : c);
        p = reference > 0 ? p + reference : g_utf8_next_char(p);
    }
    return g_string_free(out, FALSE);
}

static Body *body_new(void)
{
    Body *body = g_new0(Body, 1);
    body->fields = fields_new();
    body->rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_hash_table_unref);
    return body;
}

Body *body_parse(const void *data, size_t bytes)
{
    Body *body = body_new();
    const char *text = data;
    while (bytes > 0 && g_ascii_isspace(*text)) {
        text++;
        bytes--;
    }
    if (bytes == 0)
        return body;
    if (bytes > BODY_MAX_BYTES) {
        body->state = BODY_ALIEN;
        return body;
    }
    const enum XML_Error error = read_document(body, text, bytes);
    if (error == XML_ERROR_INVALID_TOKEN || error == XML_ERROR_BAD_CHAR_REF) {
        body_free(body);
        body = body_new();
        g_autofree char *cleaned = replace_forbidden(text, bytes);
        read_document(body, cleaned, strlen(cleaned));
    }
    return body;
}

void body_free(Body *body)
{
    if (body == NULL)
        return;
    g_free(body->root);
    g_hash_table_unref(body->fields);
    g_ptr_array_unref(body->rows);
    g_free(body);
}

bool body_is(const Body *body, const char *root)
{
    return body->state == BODY_WHOLE && g_strcmp0(body->root, root) == 0;
}

const char *body_field(const Body *body, const char *name)
{
    return g_hash_table_lookup(body->fields, name);
}

const char *body_row_field(const Body *body, unsigned row, const char *name)
{
    return row < body->rows->len ? g_hash_table_lookup(g_ptr_array_index(body->rows, row), name) : NULL;
}
