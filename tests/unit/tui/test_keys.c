#include <glib.h>
#include <string.h>

#include "tui/keys.h"

static Action press(unsigned where, unsigned facts, uint32_t key)
{
    const InputEvent ev = { .kind = INPUT_KEY, .key = key };
    return keys_action(where, facts, &ev);
}

static void test_keys_mean_what_people_know(void)
{
    static const struct {
        uint32_t key;
        Action action;
    } known[] = {
        { 'j', ACT_DOWN },       { KEY_DOWN_, ACT_DOWN },     { 'k', ACT_UP },     { 'g', ACT_TOP },
        { 'G', ACT_BOTTOM },     { 4, ACT_HALF_DOWN },        { 21, ACT_HALF_UP }, { KEY_PGDN_, ACT_PAGE_DOWN },
        { ' ', ACT_MARK },       { 'p', ACT_PAUSE },          { 'r', ACT_RETRY },  { 'R', ACT_RETRY_ALL },
        { 'x', ACT_CANCEL },     { KEY_DELETE_, ACT_CANCEL }, { 'd', ACT_FORGET }, { 'J', ACT_MOVE_DOWN },
        { 'K', ACT_MOVE_UP },    { '\r', ACT_OPEN },          { '/', ACT_FILTER }, { 'a', ACT_ADD },
        { '5', ACT_TAB_FAILED }, { 'y', ACT_COPY },           { '?', ACT_HELP },   { 'q', ACT_QUIT },
        { 3, ACT_QUIT },         { 12, ACT_REDRAW },          { 26, ACT_SUSPEND }, { KEY_F1_, ACT_HELP },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
        g_assert_cmpint(press(IN_LIST, ~(unsigned)FACT_RESUME, known[i].key), ==, known[i].action);
}

static void test_p_depends_on_what_is_paused(void)
{
    g_assert_cmpint(press(IN_LIST, FACT_PAUSE, 'p'), ==, ACT_PAUSE);
    g_assert_cmpint(press(IN_LIST, FACT_RESUME, 'p'), ==, ACT_RESUME);
    g_assert_cmpint(press(IN_LIST, 0, 'p'), ==, ACT_NONE);
    g_assert_cmpint(press(IN_LIST, FACT_RUNNING, 'P'), ==, ACT_PAUSE_ALL);
    g_assert_cmpint(press(IN_LIST, FACT_PAUSED, 'P'), ==, ACT_RESUME_ALL);
}

static void test_nothing_destructive_without_facts(void)
{
    for (uint32_t key = 1; key < 128; key++) {
        const Action action = press(IN_LIST, 0, key);
        g_assert_cmpint(action, !=, ACT_CANCEL);
        g_assert_cmpint(action, !=, ACT_FORGET);
        g_assert_cmpint(press(IN_FIELD, ~0u, 'x'), ==, ACT_NONE);
        g_assert_cmpint(press(IN_HELP, ~0u, 'x'), ==, ACT_NONE);
    }
}

static void test_other_events_are_no_keys(void)
{
    const InputEvent paste = { .kind = INPUT_PASTE, .key = 'x' };
    const InputEvent alt = { .kind = INPUT_KEY, .key = 'x', .mods = MOD_ALT };
    g_assert_cmpint(keys_action(IN_LIST, ~0u, &paste), ==, ACT_NONE);
    g_assert_cmpint(keys_action(IN_LIST, ~0u, &alt), ==, ACT_NONE);
}

/* Within one place no two rows that can be valid at once may share a key, except where the first is meant to win (same first key, other
 * needs). */
static void test_no_key_twice(void)
{
    for (const KeyRow *a = keys_rows(); a->action != ACT_NONE; a++)
        for (const KeyRow *b = a + 1; b->action != ACT_NONE; b++)
            for (unsigned i = 0; i < 4 && a->keys[i] != 0; i++)
                for (unsigned j = 0; j < 4 && b->keys[j] != 0; j++)
                    if (a->keys[i] == b->keys[j] && (a->where & b->where) != 0 && a->action != b->action)
                        g_assert_true(a->needs != 0 && b->needs != 0 && (a->needs & b->needs) == 0);
}

static void test_rows_are_complete(void)
{
    for (const KeyRow *row = keys_rows(); row->action != ACT_NONE; row++) {
        g_assert_cmpuint(row->where, !=, 0);
        g_assert_cmpuint(row->keys[0], !=, 0);
        g_assert_nonnull(row->label);
        g_assert_cmpuint(strlen(row->label), <=, 9);
        if (row->help != NULL)
            g_assert_cmpuint(strlen(row->help), <=, 26);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/keys/mean-what-people-know", test_keys_mean_what_people_know);
    g_test_add_func("/keys/p-depends-on-what-is-paused", test_p_depends_on_what_is_paused);
    g_test_add_func("/keys/nothing-destructive-without-facts", test_nothing_destructive_without_facts);
    g_test_add_func("/keys/other-events-are-no-keys", test_other_events_are_no_keys);
    g_test_add_func("/keys/no-key-twice", test_no_key_twice);
    g_test_add_func("/keys/rows-are-complete", test_rows_are_complete);
    return g_test_run();
}
