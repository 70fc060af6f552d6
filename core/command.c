#include "command.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "fault.h"
#include "settings.h"
#include "store.h"

enum { MAX_JSON = 64 * 1024 * 1024, MAX_IDS = 1000000, MAX_DEPTH = 8 };

static const char *const kinds[] = {
    [HOIST_CMD_ADD] = "add",
    [HOIST_CMD_PAUSE] = "pause",
    [HOIST_CMD_RESUME] = "resume",
    [HOIST_CMD_RETRY] = "retry",
    [HOIST_CMD_CANCEL] = "cancel",
    [HOIST_CMD_FORGET] = "forget",
    [HOIST_CMD_PAUSE_ALL] = "pause-all",
    [HOIST_CMD_RESUME_ALL] = "resume-all",
    [HOIST_CMD_MOVE] = "move",
    [HOIST_CMD_SLOTS] = "slots",
    [HOIST_CMD_LIMIT] = "limit",
    [HOIST_CMD_ROWS] = NULL, /* events have no way back through the inbox, so no ROWS, no PREVIEW and no PICTURE */
    [HOIST_CMD_PICTURE] = NULL,
};

HoistCommand *hoist_command_new(HoistCommandKind kind)
{
    HoistCommand *cmd = g_new0(HoistCommand, 1);
    cmd->kind = kind;
    cmd->state = -1;
    return cmd;
}

void hoist_command_add_id(HoistCommand *cmd, int64_t id)
{
    if (cmd->ids == NULL)
        cmd->ids = g_array_new(FALSE, FALSE, sizeof(int64_t));
    g_array_append_val(cmd->ids, id);
}

void hoist_command_free(HoistCommand *cmd)
{
    if (cmd == NULL)
        return;
    g_strfreev(cmd->paths);
    hoist_settings_free(cmd->settings);
    if (cmd->ids != NULL)
        g_array_unref(cmd->ids);
    g_free(cmd);
}

char *command_to_json(const HoistCommand *cmd)
{
    g_autoptr(JsonBuilder) b = json_builder_new();
    json_builder_begin_object(b);
    json_builder_set_member_name(b, "command");
    json_builder_add_string_value(b, kinds[cmd->kind]);
    json_builder_set_member_name(b, "state");
    json_builder_add_int_value(b, cmd->state);
    json_builder_set_member_name(b, "all");
    json_builder_add_boolean_value(b, cmd->all);
    json_builder_set_member_name(b, "number");
    json_builder_add_int_value(b, cmd->number);
    json_builder_set_member_name(b, "paths");
    json_builder_begin_array(b);
    for (char **p = cmd->paths; p != NULL && *p != NULL; p++) {
        g_autofree char *coded = g_base64_encode((const guchar *)*p, strlen(*p));
        json_builder_add_string_value(b, coded);
    }
    json_builder_end_array(b);
    if (cmd->ids != NULL) {
        json_builder_set_member_name(b, "ids");
        json_builder_begin_array(b);
        for (guint i = 0; i < cmd->ids->len; i++)
            json_builder_add_int_value(b, g_array_index(cmd->ids, int64_t, i));
        json_builder_end_array(b);
    }
    if (cmd->settings != NULL) {
        g_autofree char *settings = settings_to_json(cmd->settings, true);
        json_builder_set_member_name(b, "settings");
        json_builder_add_string_value(b, settings);
    }
    json_builder_end_object(b);
    g_autoptr(JsonNode) root = json_builder_get_root(b);
    return json_to_string(root, FALSE);
}

static bool kind_by_name(const char *name, HoistCommandKind *kind_out)
{
    for (size_t i = 0; name != NULL && i < G_N_ELEMENTS(kinds); i++)
        if (kinds[i] != NULL && g_str_equal(kinds[i], name)) {
            *kind_out = (HoistCommandKind)i;
            return true;
        }
    return false;
}

/* JSON-GLib reads nested values by recursion: what is nested deeper than any command would cost the stack. */
static bool is_shallow(const char *json)
{
    unsigned depth = 0;
    bool quoted = false;
    for (const char *at = json; *at != '\0'; at++) {
        if (quoted && *at == '\\' && at[1] != '\0')
            at++;
        else if (*at == '"')
            quoted = !quoted;
        else if (!quoted && (*at == '[' || *at == '{') && ++depth > MAX_DEPTH)
            return false;
        else if (!quoted && (*at == ']' || *at == '}') && depth > 0)
            depth--;
    }
    return true;
}

static char **read_paths(JsonArray *array)
{
    GPtrArray *paths = g_ptr_array_new();
    for (guint i = 0; array != NULL && i < json_array_get_length(array); i++) {
        gsize n;
        JsonNode *node = json_array_get_element(array, i);
        const char *coded = JSON_NODE_HOLDS_VALUE(node) ? json_node_get_string(node) : NULL;
        g_autofree guchar *bytes = g_base64_decode(coded != NULL ? coded : "", &n);
        if (n > 0 && memchr(bytes, 0, n) == NULL)
            g_ptr_array_add(paths, g_strndup((const char *)bytes, n));
    }
    g_ptr_array_add(paths, NULL);
    return (char **)g_ptr_array_free(paths, FALSE);
}

/* NULL when it is missing, or no plain value of that type. */
static JsonNode *value_member(JsonObject *o, const char *name, GType type)
{
    JsonNode *node = json_object_get_member(o, name);
    return node != NULL && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == type ? node : NULL;
}

static const char *text_member(JsonObject *o, const char *name)
{
    JsonNode *node = value_member(o, name, G_TYPE_STRING);
    return node != NULL ? json_node_get_string(node) : NULL;
}

static int64_t number_member(JsonObject *o, const char *name, int64_t otherwise)
{
    JsonNode *node = value_member(o, name, G_TYPE_INT64);
    return node != NULL ? json_node_get_int(node) : otherwise;
}

static JsonArray *array_member(JsonObject *o, const char *name)
{
    JsonNode *node = json_object_get_member(o, name);
    return node != NULL && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

/* No ids at all is not the same as all files. */
static bool read_ids(HoistCommand *cmd, JsonArray *ids)
{
    if (ids == NULL || json_array_get_length(ids) > MAX_IDS)
        return false;
    cmd->ids = g_array_new(FALSE, FALSE, sizeof(int64_t));
    for (guint i = 0; i < json_array_get_length(ids); i++) {
        JsonNode *node = json_array_get_element(ids, i);
        if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_INT64)
            return false;
        hoist_command_add_id(cmd, json_node_get_int(node));
    }
    return true;
}

static HoistCommand *refuse(HoistCommand *cmd, GError **error)
{
    hoist_command_free(cmd);
    fault_set(error, FAULT_USAGE, "the inbox holds something that is no command");
    return NULL;
}

HoistCommand *command_from_json(const char *json, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    if (strlen(json) > MAX_JSON || !is_shallow(json) || !json_parser_load_from_data(parser, json, -1, NULL))
        return refuse(NULL, error);
    JsonNode *root = json_parser_get_root(parser);
    if (root == NULL || !JSON_NODE_HOLDS_OBJECT(root))
        return refuse(NULL, error);
    JsonObject *o = json_node_get_object(root);
    HoistCommandKind kind;
    if (!kind_by_name(text_member(o, "command"), &kind))
        return refuse(NULL, error);
    HoistCommand *cmd = hoist_command_new(kind);
    const int64_t state = number_member(o, "state", -1);
    cmd->state = state >= 0 && state < HOIST_N_STATES ? (int)state : -1;
    JsonNode *all = value_member(o, "all", G_TYPE_BOOLEAN);
    cmd->all = all != NULL && json_node_get_boolean(all);
    cmd->number = number_member(o, "number", 0);
    cmd->paths = read_paths(array_member(o, "paths"));
    if (json_object_has_member(o, "ids") && !read_ids(cmd, array_member(o, "ids")))
        return refuse(cmd, error);
    const char *settings = text_member(o, "settings");
    if (settings != NULL && (cmd->settings = settings_from_json(settings, error)) == NULL) {
        hoist_command_free(cmd);
        return NULL;
    }
    if (kind == HOIST_CMD_ADD && cmd->settings == NULL)
        return refuse(cmd, error);
    return cmd;
}

bool hoist_send_inbox(const HoistSettings *settings, HoistCommand *cmd, GError **error)
{
    if (kinds[cmd->kind] == NULL) {
        hoist_command_free(cmd);
        fault_set(error, FAULT_USAGE, "only the process that works on the queue can answer that");
        return false;
    }
    g_autofree char *dir = hoist_state_dir(settings);
    g_autofree char *json = command_to_json(cmd);
    const bool fits = strlen(json) <= MAX_JSON && (cmd->ids == NULL || cmd->ids->len <= MAX_IDS);
    hoist_command_free(cmd);
    if (!fits)
        fault_set(error, FAULT_USAGE, "too much for one command: hand over a folder in place of its files, or fewer files at a time");
    return fits && store_inbox_put(dir, json, error);
}
