#include "jsonline.h"

#include <string.h>

JsonBuilder *jsonline_new(const char *event)
{
    JsonBuilder *json = json_builder_new_immutable();
    json_builder_begin_object(json);
    jsonline_text(json, "event", event);
    return json;
}

static void close_line(JsonBuilder *json, const char *last, GString *text)
{
    json_builder_end_object(json);
    g_autoptr(JsonNode) root = json_builder_get_root(json);
    g_autofree char *line = json_to_string(root, FALSE);
    g_assert(g_str_has_suffix(line, "}"));
    g_string_append_printf(text, "%.*s%s}\n", (int)strlen(line) - 1, line, last);
}

void jsonline_end(JsonBuilder *json, GString *text)
{
    close_line(json, "", text);
}

/* json-glib writes 0.7 with all digits that a double has. */
void jsonline_end_seconds(JsonBuilder *json, double seconds, GString *text)
{
    const int64_t ms = (int64_t)(seconds * 1000);
    g_autofree char *last = g_strdup_printf(",\"seconds\":%" G_GINT64_FORMAT ".%03d", ms / 1000, (int)(ms % 1000));
    close_line(json, last, text);
}

void jsonline_text(JsonBuilder *json, const char *name, const char *value)
{
    if (value == NULL)
        return;
    g_autofree char *valid = g_utf8_make_valid(value, -1);
    json_builder_set_member_name(json, name);
    json_builder_add_string_value(json, valid);
}

void jsonline_bytes(JsonBuilder *json, const char *name, const char *value)
{
    jsonline_text(json, name, value);
    if (value == NULL || g_utf8_validate(value, -1, NULL))
        return;
    g_autofree char *b64_name = g_strconcat(name, "_b64", NULL);
    g_autofree char *b64 = g_base64_encode((const guchar *)value, strlen(value));
    jsonline_text(json, b64_name, b64);
}

void jsonline_number(JsonBuilder *json, const char *name, int64_t value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_int_value(json, value);
}

void jsonline_bool(JsonBuilder *json, const char *name, gboolean value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_boolean_value(json, value);
}
