/* Each case of drop.json goes through the input decoder as read() delivers it, and again cut in two at every byte; what comes out is read
 * as a drop. A run without paste marks of which nothing is there must come out as the keys it may have been. */
#include <string.h>

#include "core/hoist.h"
#include "tui/input.h"
#include "vectors.h"

#define CHUNK_GAP_US 1000
#define LATER_US     5000000

typedef struct {
    const VectorCase *vc;
    GHashTable *exists; /* of char*: set of paths */
    GBytes *input;
    GPtrArray *expect; /* of char* */
    HoistDropVerdict verdict;
    bool bracketed;
} Case;

static bool exists_in_set(const char *path, void *ctx)
{
    return g_hash_table_contains(ctx, path);
}

static char *text_from_hex(const char *hex)
{
    g_autoptr(GBytes) bytes = vectors_from_hex(hex);
    return g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
}

static void add_event(GByteArray *payload, GByteArray *keys, const InputEvent *ev)
{
    if (ev->kind == INPUT_PASTE) {
        g_byte_array_append(payload, (const guint8 *)ev->text, (guint)ev->bytes);
    } else if (ev->kind == INPUT_KEY) {
        char utf8[6];
        const int n = g_unichar_to_utf8(ev->key, utf8);
        g_byte_array_append(keys, (const guint8 *)utf8, (guint)n);
    }
}

/* Pieces of the input one millisecond apart -> payload of the pastes, text of the keys. */
static void decode(const Case *c, const GArray *ends, GByteArray *payload, GByteArray *keys)
{
    Input *in = input_new(vectors_str(c->vc->json, "terminal_hint"), "thishost");
    input_set_exists(in, exists_in_set, c->exists);
    const char *bytes = g_bytes_get_data(c->input, NULL);
    int64_t now_us = 1000000;
    size_t at = 0;
    for (unsigned i = 0; i < ends->len; i++) {
        const size_t end = g_array_index(ends, size_t, i);
        input_feed(in, bytes + at, end - at, now_us);
        for (InputEvent *ev; (ev = input_take(in, now_us)) != NULL; input_event_free(ev))
            add_event(payload, keys, ev);
        at = end;
        now_us += CHUNK_GAP_US;
    }
    for (InputEvent *ev; (ev = input_take(in, now_us + LATER_US)) != NULL; input_event_free(ev))
        add_event(payload, keys, ev);
    input_free(in);
}

static void check_read(const Case *c, const char *bytes, size_t n)
{
    char **paths = NULL;
    g_autoptr(GArray) found = NULL;
    const HoistDropVerdict verdict =
        hoist_drop_read(bytes, n, vectors_str(c->vc->json, "terminal_hint"), "thishost", exists_in_set, c->exists, &paths, &found);
    const unsigned n_paths = paths != NULL ? g_strv_length(paths) : 0;
    if (verdict != c->verdict)
        vectors_fail(c->vc, "verdict is %d, wants %d", (int)verdict, (int)c->verdict);
    else if (n_paths != c->expect->len || (found != NULL && found->len != n_paths))
        vectors_fail(c->vc, "%u paths, wants %u", n_paths, c->expect->len);
    else
        for (unsigned i = 0; i < n_paths; i++) {
            vectors_str_equal(c->vc, "path", paths[i], c->expect->pdata[i]);
            if (g_array_index(found, bool, i) != exists_in_set(paths[i], c->exists))
                vectors_fail(c->vc, "%s: found is wrong", paths[i]);
        }
    g_strfreev(paths);
}

static void check_cut(const Case *c, const GArray *ends)
{
    g_autoptr(GByteArray) payload = g_byte_array_new();
    g_autoptr(GByteArray) keys = g_byte_array_new();
    decode(c, ends, payload, keys);
    const bool as_keys = !c->bracketed && c->verdict != HOIST_DROP;
    const GByteArray *got = as_keys ? keys : payload, *other = as_keys ? payload : keys;
    if (other->len > 0)
        vectors_fail(c->vc, "first piece ends at %zu: %s", g_array_index(ends, size_t, 0), as_keys ? "a paste" : "keys");
    else if (as_keys && (got->len != g_bytes_get_size(c->input) || memcmp(got->data, g_bytes_get_data(c->input, NULL), got->len) != 0))
        vectors_fail(c->vc, "the keys are not what was typed");
    else
        check_read(c, (const char *)got->data, got->len);
}

static HoistDropVerdict verdict_by_name(const char *name)
{
    return g_str_equal(name, "drop") ? HOIST_DROP : g_str_equal(name, "missing") ? HOIST_DROP_MISSING : HOIST_NOT_A_DROP;
}

static bool check_case(const VectorCase *vc)
{
    g_autoptr(GHashTable) exists = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) expect = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GBytes) input = vectors_from_hex(vectors_str(vc->json, "input_hex"));
    JsonArray *list = vectors_array(vc->json, "exists_hex");
    for (unsigned i = 0; i < json_array_get_length(list); i++)
        g_hash_table_add(exists, text_from_hex(json_array_get_string_element(list, i)));
    list = vectors_array(vc->json, "expect_hex");
    for (unsigned i = 0; i < json_array_get_length(list); i++)
        g_ptr_array_add(expect, text_from_hex(json_array_get_string_element(list, i)));
    const Case c = { vc,
                     exists,
                     input,
                     expect,
                     verdict_by_name(vectors_str(vc->json, "verdict")),
                     json_object_get_boolean_member_with_default(vc->json, "bracketed", true) };

    g_autoptr(GArray) ends = g_array_new(FALSE, FALSE, sizeof(size_t));
    JsonArray *chunks = vectors_array(vc->json, "chunks_hex");
    size_t end = 0;
    for (unsigned i = 0; chunks != NULL && i < json_array_get_length(chunks); i++) {
        end += strlen(json_array_get_string_element(chunks, i)) / 2;
        g_array_append_val(ends, end);
    }
    const size_t n = g_bytes_get_size(input);
    if (chunks == NULL)
        g_array_append_val(ends, n);
    check_cut(&c, ends);
    for (size_t cut = 1; cut < n; cut++) {
        g_array_set_size(ends, 0);
        g_array_append_val(ends, cut);
        g_array_append_val(ends, n);
        check_cut(&c, ends);
    }
    return true;
}

static void test_drops(void)
{
    static const char *const formats[] = { "drop", NULL };
    vectors_each(formats, check_case);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vectors/drop", test_drops);
    return g_test_run();
}
