/* Reading of JSON answers: bounds, pointers, and what is shown of an answer that is no JSON. */
#include <glib.h>
#include <string.h>

#include "core/dest/json.h"

static Json *parsed(const char *text)
{
    GError *error = NULL;
    Json *json = json_parse(text, strlen(text), "the answer", &error);
    g_assert_no_error(error);
    g_assert_nonnull(json);
    return json;
}

static void test_pointers(void)
{
    static const struct {
        const char *pointer, *text;
    } rows[] = {
        { "/a", "x" },         { "/o/b/1", "two" }, { "/o/b/01", NULL },   { "/o/b/2", NULL }, { "/o/b/-", NULL }, { "/m~1n", "slash" },
        { "/t~0~1", "tilde" }, { "/~01", "deep" },  { "/", "empty name" }, { "//", NULL },     { "/null", NULL },  { "a", NULL },
        { "/a/b", NULL },      { "/n", "7" },       { "/yes", "true" },    { "/real", "1.5" }, { "/o", NULL },
    };
    g_autoptr(Json) json =
        parsed("{\"a\":\"x\",\"o\":{\"b\":[1,\"two\"]},\"m/n\":\"slash\",\"t~/\":\"tilde\",\"~1\":\"deep\",\"\":\"empty name\","
               "\"null\":null,\"n\":7,\"yes\":true,\"real\":1.5}");
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = json_text_of(json_at(json, rows[i].pointer));
        g_assert_cmpstr(text, ==, rows[i].text);
    }
    g_assert_true(json_at(json, "") == json_root(json));
    g_assert_null(json_string_at(json, "/n"));
}

static void test_numbers(void)
{
    g_autoptr(Json) json = parsed("[1, \"-25\", 3.0, true, \"x\", 1e300, 1768469400000]");
    static const struct {
        const char *pointer;
        bool ok;
        int64_t value;
    } rows[] = { { "/0", true, 1 },  { "/1", true, -25 },          { "/2", true, 3 }, { "/3", false, 0 }, { "/4", false, 0 },
                 { "/5", false, 0 }, { "/6", true, 1768469400000 } };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        int64_t value = 0;
        g_assert_cmpint(json_int_at(json, rows[i].pointer, &value), ==, rows[i].ok);
        g_assert_cmpint(value, ==, rows[i].value);
    }
}

static void test_hostile(void)
{
    static const struct {
        const char *text;
        size_t bytes;
    } rows[] = {
        { "", 0 },
        { "  ", 2 },
        { "<html>\n<h1>Sign in</h1>", 23 },
        { "{\"a\":1", 6 },
        { "{\"a\":\"\\u0000\"}", 14 },
        { "{\"a\":\"\0\"}", 9 },
        { "{\"a\":\"\xff\"}", 9 },
        { "/* c */ {}", 10 },
        { "var a = 1;", 10 },
        { "{'a':1}", 7 },
        { "{} {}", 5 },
        { "\"a\" 1", 5 },
        { "1 2", 3 },
        { "{\"a\" 1}", 7 },
        { "[1,]", 4 },
        { "[tru]", 5 },
        { "]", 1 },
        { "\"a\nb\"", 5 },
        { "\"a", 2 },
        { "\"a\\", 3 },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Json) json = json_parse(rows[i].text, rows[i].bytes, "the application's answer", &error);
        if (json != NULL)
            g_error("row %u was read as JSON", i);
        g_assert_error(error, FAULT, FAULT_BAD_ANSWER);
        g_assert_true(g_str_has_prefix(error->message, "the application's answer is "));
    }
    g_autoptr(GError) error = NULL;
    g_assert_null(json_parse("<h1>Sign\x1b[31m in</h1>", 21, "it", &error));
    g_assert_nonnull(strstr(error->message, "<h1>Sign^[[31m in</h1>"));
}

static void test_bounds(void)
{
    for (unsigned depth = JSON_MAX_DEPTH; depth <= JSON_MAX_DEPTH + 1; depth++) {
        g_autofree char *open = g_strnfill(depth, '['), *shut = g_strnfill(depth, ']');
        g_autofree char *text = g_strconcat(open, shut, NULL);
        g_autoptr(Json) json = json_parse(text, strlen(text), "it", NULL);
        g_assert_cmpint(json != NULL, ==, depth <= JSON_MAX_DEPTH);
    }
    g_autofree char *deep = g_strnfill(500000, '[');
    g_assert_null(json_parse(deep, 500000, "it", NULL));
    for (size_t bytes = JSON_MAX_BYTES; bytes <= JSON_MAX_BYTES + 1; bytes++) {
        g_autofree char *text = g_strnfill(bytes, 'x');
        text[0] = text[bytes - 1] = '"';
        g_autoptr(Json) json = json_parse(text, bytes, "it", NULL);
        g_assert_cmpint(json != NULL, ==, bytes <= JSON_MAX_BYTES);
    }
}

static void test_half_surrogate(void)
{
    g_autoptr(Json) json = json_parse("[\"\\ud83d\", \"\\ud83d\\ude00\"]", 24, "it", NULL);
    if (json == NULL) /* refused as a whole is as good */
        return;
    g_autofree char *half = json_text_of(json_at(json, "/0"));
    g_assert_true(half == NULL || g_utf8_validate(half, -1, NULL));
}

static void test_text(void)
{
    g_autoptr(Json) json = json_of_text(" https://x/y \n", 14);
    g_assert_cmpstr(json_string_at(json, ""), ==, "https://x/y");
    g_autoptr(Json) none = json_of_text(NULL, 0);
    g_assert_cmpstr(json_string_at(none, ""), ==, "");
    g_autoptr(Json) marked = json_parse("\xef\xbb\xbf{\"a\":1}", 10, "it", NULL);
    g_assert_nonnull(marked);
    g_autofree char *printed = json_print(json_root(marked));
    g_assert_cmpstr(printed, ==, "{\"a\":1}");
}

static void test_error_words(void)
{
    static const struct {
        const char *body, *words;
    } rows[] = {
        { "{\"message\":\"m\",\"error\":\"e\"}", "m" },
        { "{\"error\":\"e\"}", "e" },
        { "{\"error\":{\"message\":\"em\"}}", "em" },
        { "{\"errors\":[{\"message\":\"e0\"}]}", "e0" },
        { "{\"detail\":\"d\"}", "d" },
        { "{\"code\":5}", "{\"code\":5}" },
        { "No  such\r\nthing\x07", "No  such  thing^G" },
        { "", "" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(Response) rs = response_new();
        g_byte_array_append(rs->body, (const guint8 *)rows[i].body, (guint)strlen(rows[i].body));
        g_autofree char *words = json_error_words(rs);
        g_assert_cmpstr(words, ==, rows[i].words);
    }
    g_autoptr(Response) rs = response_new();
    g_autofree char *filler = g_strnfill(5000, 'y');
    g_byte_array_append(rs->body, (const guint8 *)filler, 5000);
    g_autofree char *words = json_error_words(rs);
    g_assert_cmpuint(strlen(words), ==, 203);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dest/json/pointers", test_pointers);
    g_test_add_func("/dest/json/numbers", test_numbers);
    g_test_add_func("/dest/json/hostile-text-is-refused", test_hostile);
    g_test_add_func("/dest/json/bounds", test_bounds);
    g_test_add_func("/dest/json/half-a-surrogate-pair-is-no-text", test_half_surrogate);
    g_test_add_func("/dest/json/plain-text-and-bom", test_text);
    g_test_add_func("/dest/json/words-of-an-error", test_error_words);
    return g_test_run();
}
