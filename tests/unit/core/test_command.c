/* Commands as text: what was written is read again, and what is no command is refused whole. */
#include <string.h>

#include "command.h"
#include "hoist.h"
#include "settings.h"

static HoistCommand *read_ok(const char *json)
{
    g_autoptr(GError) error = NULL;
    HoistCommand *cmd = command_from_json(json, &error);
    g_assert_no_error(error);
    g_assert_nonnull(cmd);
    return cmd;
}

static void assert_refused(const char *json)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(command_from_json(json, &error));
    g_assert_nonnull(error);
}

static void test_add(void)
{
    const char *const paths[] = { "/a b", "/\xff\n\x1b[2J", NULL };
    HoistCommand *cmd = hoist_command_new(HOIST_CMD_ADD);
    cmd->paths = g_strdupv((char **)paths);
    cmd->settings = hoist_settings_new();
    hoist_settings_set(cmd->settings, "to", "s3://bucket/p", "test", NULL);
    g_autofree char *json = command_to_json(cmd);
    HoistCommand *again = read_ok(json);
    g_assert_cmpint(again->kind, ==, HOIST_CMD_ADD);
    g_assert_true(g_strv_equal((const char *const *)again->paths, paths));
    g_assert_cmpstr(hoist_settings_get(again->settings, "to"), ==, "s3://bucket/p");
    g_assert_null(again->ids);
    hoist_command_free(again);
    hoist_command_free(cmd);
}

static void test_ids(void)
{
    HoistCommand *cmd = hoist_command_new(HOIST_CMD_CANCEL);
    hoist_command_add_id(cmd, 1);
    hoist_command_add_id(cmd, INT64_MAX);
    g_autofree char *json = command_to_json(cmd);
    HoistCommand *again = read_ok(json);
    g_assert_cmpuint(again->ids->len, ==, 2);
    g_assert_cmpint(g_array_index(again->ids, int64_t, 1), ==, INT64_MAX);
    g_assert_cmpint(again->state, ==, -1);
    g_assert_false(again->all);
    hoist_command_free(again);
    hoist_command_free(cmd);
}

/* An empty list of ids must not become "all files" on its way. */
static void test_no_ids(void)
{
    HoistCommand *cmd = read_ok("{\"command\":\"cancel\",\"ids\":[]}");
    g_assert_nonnull(cmd->ids);
    g_assert_cmpuint(cmd->ids->len, ==, 0);
    hoist_command_free(cmd);
}

static void test_strange_values(void)
{
    HoistCommand *cmd =
        read_ok("{\"command\":\"pause\",\"state\":-5,\"all\":\"yes\",\"number\":[],\"paths\":[1,null,{},[],\"!\",\"AAAA\"]}");
    g_assert_cmpint(cmd->state, ==, -1);
    g_assert_false(cmd->all);
    g_assert_cmpuint(g_strv_length(cmd->paths), ==, 0);
    hoist_command_free(cmd);
    cmd = read_ok("{\"command\":\"pause\",\"state\":4294967295}");
    g_assert_cmpint(cmd->state, ==, -1);
    hoist_command_free(cmd);
}

static void test_refused(void)
{
    static const char *const texts[] = {
        "",
        "null",
        "[]",
        "7",
        "\"cancel\"",
        "{",
        "{}",
        "{\"command\":7}",
        "{\"command\":{}}",
        "{\"command\":null}",
        "{\"command\":\"rows\"}",
        "{\"command\":\"preview\"}",
        "{\"command\":\"CANCEL\"}",
        "{\"command\":\"cancel\",\"ids\":{}}",
        "{\"command\":\"cancel\",\"ids\":7}",
        "{\"command\":\"cancel\",\"ids\":[\"1\"]}",
        "{\"command\":\"cancel\",\"ids\":[null]}",
        "{\"command\":\"cancel\",\"ids\":[[1]]}",
        "{\"command\":\"cancel\",\"ids\":[1.5]}",
        "{\"command\":\"add\",\"paths\":[]}",
        "{\"command\":\"add\",\"paths\":[],\"settings\":\"{}x\"}",
        "{\"command\":\"add\",\"paths\":[],\"settings\":\"{\\\"nonsense\\\":\\\"1\\\"}\"}",
    };
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
        assert_refused(texts[i]);
}

static void test_deep(void)
{
    enum { DEPTH = 1000000 };
    g_autofree char *deep = g_malloc(DEPTH + 1);
    memset(deep, '[', DEPTH);
    deep[DEPTH] = '\0';
    assert_refused(deep);
    g_autofree char *member = g_strconcat("{\"command\":\"cancel\",\"ids\":", deep, NULL);
    assert_refused(member);
    HoistCommand *cmd = read_ok("{\"command\":\"pause-all\",\"x\":\"[[[[[[[[[[[[[[\\\"[[[[\\\\\"}");
    hoist_command_free(cmd);
}

/* Their answer is an event, which another process cannot be sent. */
static void test_no_way_back(void)
{
    static const HoistCommandKind kinds[] = { HOIST_CMD_ROWS, HOIST_CMD_PREVIEW, HOIST_CMD_PICTURE };
    g_autoptr(HoistSettings) settings = hoist_settings_new();
    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(hoist_send_inbox(settings, hoist_command_new(kinds[i]), &error));
        g_assert_cmpstr(hoist_fault_name(error), ==, "usage");
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/command/add", test_add);
    g_test_add_func("/command/ids", test_ids);
    g_test_add_func("/command/no-ids", test_no_ids);
    g_test_add_func("/command/strange-values", test_strange_values);
    g_test_add_func("/command/refused", test_refused);
    g_test_add_func("/command/deep", test_deep);
    g_test_add_func("/command/no-way-back", test_no_way_back);
    return g_test_run();
}
