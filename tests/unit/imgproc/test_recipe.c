#include <glib.h>
#include <string.h>

#include "imgproc/recipe.h"

static void test_web(void)
{
    ImgRecipe r;
    char text[RECIPE_TEXT_MAX];
    g_assert_true(recipe_parse("web", &r));
    g_assert_cmpuint(r.quality, ==, 80);
    g_assert_cmpuint(r.edge_px, ==, 1920);
    g_assert_cmpuint(r.max_bytes, ==, 1000000);
    recipe_text(&r, text);
    g_assert_cmpstr(text, ==, "auto q=80 max=1920 bytes=1000000");
}

static void test_round_trip(void)
{
    const ImgRecipe extremes[] = { { .quality = 50, .edge_px = 16, .max_bytes = 1024 },
                                   { .quality = 99, .edge_px = RECIPE_EDGE_MAX, .max_bytes = RECIPE_BYTES_MAX } };
    for (gsize i = 0; i < G_N_ELEMENTS(extremes); i++) {
        char text[RECIPE_TEXT_MAX];
        ImgRecipe again = { 0 };
        recipe_text(&extremes[i], text);
        g_assert_cmpuint(strlen(text), <, RECIPE_TEXT_MAX);
        g_assert_true(recipe_parse(text, &again));
        g_assert_cmpuint(again.quality, ==, extremes[i].quality);
        g_assert_cmpuint(again.edge_px, ==, extremes[i].edge_px);
        g_assert_cmpuint(again.max_bytes, ==, extremes[i].max_bytes);
    }
}

static void test_nonsense_is_refused(void)
{
    static const char *const bad[] = { "",
                                       "Web",
                                       "web ",
                                       "auto",
                                       "auto q=80",
                                       "auto q=80 max=1920",
                                       "auto q=80 max=1920 bytes=1000000 ",
                                       "auto  q=80 max=1920 bytes=1000000",
                                       "q=80 max=1920 bytes=1000000",
                                       "auto q=80 q=80 max=1920 bytes=1000000",
                                       "auto q=49 max=1920 bytes=1000000",
                                       "auto q=100 max=1920 bytes=1000000",
                                       "auto q=-80 max=1920 bytes=1000000",
                                       "auto q=+80 max=1920 bytes=1000000",
                                       "auto q=80 max=15 bytes=1000000",
                                       "auto q=80 max=16384 bytes=1000000",
                                       "auto q=80 max=1920 bytes=1023",
                                       "auto q=80 max=1920 bytes=99999999999999999999",
                                       "auto q=80 max=1920 bytes=1e6",
                                       "auto q=80 max=1920 bytes=1000000 lossless" };
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        ImgRecipe r = { .quality = 7 };
        if (recipe_parse(bad[i], &r))
            g_error("taken: \"%s\"", bad[i]);
        g_assert_cmpuint(r.quality, ==, 7);
    }
    g_autofree char *large = g_strnfill(100000, ' ');
    ImgRecipe r;
    g_assert_false(recipe_parse(large, &r));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/recipe/web", test_web);
    g_test_add_func("/recipe/round-trip", test_round_trip);
    g_test_add_func("/recipe/nonsense-is-refused", test_nonsense_is_refused);
    return g_test_run();
}
