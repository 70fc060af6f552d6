#include "jsonline.h"

#include <string.h>

JsonBuilder *jsonline_new(const char *event)
{
    JsonBuilder *json = json_builder_new_immutable();
    json_builder_begin_object(json);
    jsonline_text(json, "event", event);
    return json;
}

void jsonline_end(JsonBuilder *json, GString *text)
{
    json_builder_end_object(json);
    g_autoptr(JsonNode) root = json_builder_get_root(json);
    g_autofree char *line = json_to_string(root, FALSE);
    g_string_append_printf(text, "%s\n", line);
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

void jsonline_seconds(JsonBuilder *json, double seconds)
{
    json_builder_set_member_name(json, "seconds");
    json_builder_add_double_value(json, (double)(int64_t)(seconds * 1000) / 1000);
}
