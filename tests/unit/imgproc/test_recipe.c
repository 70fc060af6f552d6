#include <glib.h>
#include <string.h>

#include "imgproc/recipe.h"

static ImgRecipe parsed(const char *text)
{
    ImgRecipe r;
    g_autofree char *why = NULL;
    if (!recipe_parse(text, &r, &why))
        g_error("\"%s\" is refused: %s", text, why);
    return r;
}

static void same(const ImgRecipe *a, const ImgRecipe *b)
{
    g_assert_cmpuint(a->max_edge_px, ==, b->max_edge_px);
    g_assert_cmpuint(a->max_bytes, ==, b->max_bytes);
    g_assert_cmpuint(a->quality, ==, b->quality);
    g_assert_cmpuint(a->min_quality, ==, b->min_quality);
    g_assert_cmpint(a->format, ==, b->format);
    g_assert_cmpuint(a->effort, ==, b->effort);
    g_assert_cmpuint(a->min_savings, ==, b->min_savings);
    g_assert_cmpint(a->metadata, ==, b->metadata);
    g_assert_cmpuint(a->background, ==, b->background);
    g_assert_true(a->keep_profile == b->keep_profile && a->vectors == b->vectors);
}

static void refuse(const char *text, const char *words)
{
    ImgRecipe r = { .quality = 7 };
    g_autofree char *why = NULL;
    if (recipe_parse(text, &r, &why))
        g_error("taken: \"%s\"", text);
    if (strstr(why, words) == NULL)
        g_error("\"%s\" is refused with \"%s\", which does not say \"%s\"", text, why, words);
    g_assert_cmpuint(r.quality, ==, 7);
    g_assert_false(recipe_parse(text, &r, NULL));
}

static void test_presets(void)
{
    const ImgRecipe web = parsed("web"), small = parsed("small"), archive = parsed("archive"), thumb = parsed("thumb");
    g_assert_cmpuint(web.max_edge_px, ==, 1920);
    g_assert_cmpuint(web.max_bytes, ==, 1000000);
    g_assert_cmpuint(web.quality, ==, 80);
    g_assert_cmpint(web.format, ==, RECIPE_AUTO);
    g_assert_cmpuint(web.effort, ==, 2);
    g_assert_cmpuint(web.min_savings, ==, 10);
    g_assert_cmpint(web.metadata, ==, METADATA_SAFE);
    g_assert_false(web.vectors);
    g_assert_cmpuint(small.max_edge_px, ==, 1280);
    g_assert_cmpuint(small.max_bytes, ==, 400000);
    g_assert_cmpuint(archive.max_edge_px, ==, 0);
    g_assert_cmpuint(archive.max_bytes, ==, 0);
    g_assert_cmpuint(archive.quality, >=, 95);
    g_assert_cmpuint(thumb.max_edge_px, ==, 320);
    for (const char *const *name = recipe_presets; *name != NULL; name++) {
        ImgRecipe r;
        g_assert_true(recipe_preset(*name, &r));
        g_assert_cmpuint(r.min_quality, <=, r.quality);
    }
    g_assert_false(recipe_preset("none", &(ImgRecipe){ 0 }));
}

static void test_words_change_a_preset(void)
{
    const ImgRecipe r = parsed("small quality=70 format=webp vectors=yes"), alone = parsed("max-edge=900"),
                    none = parsed("web max-bytes=none");
    g_assert_cmpuint(r.max_edge_px, ==, 1280);
    g_assert_cmpuint(r.quality, ==, 70);
    g_assert_cmpint(r.format, ==, RECIPE_WEBP);
    g_assert_true(r.vectors);
    g_assert_cmpuint(alone.max_edge_px, ==, 900);
    g_assert_cmpuint(alone.max_bytes, ==, 1000000);
    g_assert_cmpuint(none.max_bytes, ==, 0);
}

/* The two ends of the search give way to each other; said together they must fit. */
static void test_qualities_agree(void)
{
    const ImgRecipe low = parsed("web quality=40"), high = parsed("web min-quality=90"), range = parsed("min-quality=60 quality=90");
    g_assert_cmpuint(low.quality, ==, 40);
    g_assert_cmpuint(low.min_quality, ==, 40);
    g_assert_cmpuint(high.quality, ==, 90);
    g_assert_cmpuint(high.min_quality, ==, 90);
    g_assert_cmpuint(range.quality, ==, 90);
    g_assert_cmpuint(range.min_quality, ==, 60);
    refuse("web quality=60 min-quality=90", "min-quality is above quality");
    refuse("web min-quality=90 quality=60", "min-quality is above quality");
    (void)parsed("archive quality=60 min-quality=60");
}

static void test_change(void)
{
    ImgRecipe r = parsed("thumb"), before = r;
    g_assert_true(recipe_change(&r, "", NULL));
    same(&r, &before);
    g_assert_false(recipe_change(&r, "max-edge=900 quality=7", NULL)); /* all or nothing */
    same(&r, &before);
    g_assert_true(recipe_change(&r, "max-edge=900 background=00ff7f", NULL));
    g_assert_cmpuint(r.max_edge_px, ==, 900);
    g_assert_cmpuint(r.background, ==, 0x00ff7f);
    g_assert_cmpuint(r.quality, ==, before.quality);
}

static void test_round_trip(void)
{
    const ImgRecipe extremes[] = {
        { 16, 1024, 30, 30, RECIPE_AUTO, 0, 0, METADATA_NONE, 0, false, false },
        { RECIPE_EDGE_MAX, RECIPE_BYTES_MAX, 100, 100, RECIPE_PNG, 6, 90, METADATA_SAFE, 0xffffff, true, true },
        { 0, 0, 100, 30, RECIPE_KEEP, 6, 90, METADATA_ALL, 0xabcdef, true, true },
    };
    for (gsize i = 0; i < G_N_ELEMENTS(extremes); i++) {
        char text[RECIPE_TEXT_MAX], again[RECIPE_TEXT_MAX];
        recipe_text(&extremes[i], text);
        const ImgRecipe r = parsed(text);
        same(&r, &extremes[i]);
        recipe_text(&r, again);
        g_assert_cmpstr(text, ==, again);
        for (const RecipeWord *word = recipe_words(); word->name != NULL; word++) /* the long form names every word */
            g_assert_nonnull(strstr(text, word->name));
    }
}

static void test_other_spellings(void)
{
    const ImgRecipe r = parsed("web min-savings=25% background=#0a141e");
    g_assert_cmpuint(r.min_savings, ==, 25);
    g_assert_cmphex(r.background, ==, 0x0a141e);
}

/* "16", "1KiB", "256MiB" */
static gint64 bound(const char *text)
{
    char *unit;
    const gint64 n = g_ascii_strtoll(text, &unit, 10);
    return g_str_equal(unit, "KiB") ? n << 10 : g_str_equal(unit, "MiB") ? n << 20 : n;
}

/* What a word says it allows is what it takes: both ends of a range and nothing beyond, every choice. */
static void test_words_allow_what_they_say(void)
{
    for (const RecipeWord *word = recipe_words(); word->name != NULL; word++) {
        g_assert_true(recipe_word(word->name) == word);
        g_auto(GStrv) allowed = g_strsplit(word->allowed, "|", -1);
        for (char **value = allowed; *value != NULL; value++) {
            ImgRecipe r = parsed("web");
            char *dots = strstr(*value, "..");
            if (g_str_equal(*value, "RRGGBB"))
                continue;
            if (dots == NULL) {
                g_assert_true(recipe_set(&r, word->name, *value, NULL));
                continue;
            }
            *dots = '\0';
            const gint64 least = bound(*value), most = bound(dots + 2);
            for (gint64 n = least - 1; n <= most + 1; n = n == least ? most : n + 1) {
                g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, n);
                g_assert_true(recipe_set(&r, word->name, text, NULL) == (n >= least && n <= most));
            }
        }
    }
    g_assert_null(recipe_word("upscale"));
}

static void test_nonsense_is_refused(void)
{
    refuse("", "empty");
    refuse("Web", "no preset");
    refuse("none", "no preset");
    refuse("web ", "blank");
    refuse(" web", "no preset");
    refuse("web  quality=80", "NAME=VALUE");
    refuse("web quality=80 ", "NAME=VALUE");
    refuse("web quality", "NAME=VALUE");
    refuse("web small", "NAME=VALUE");
    refuse("web =80", "no word");
    refuse("web upscale=yes", "upscale is no word");
    refuse("web upscale=yes", "allowed: max-edge, max-bytes, quality");
    refuse("web quality=80 quality=80", "quality comes twice");
    refuse("web quality=", "allowed: 30..100");
    refuse("web quality=29", "quality=29; allowed: 30..100");
    refuse("web quality=101", "allowed");
    refuse("web quality=-80", "allowed");
    refuse("web quality=+80", "allowed");
    refuse("web quality=none", "allowed");
    refuse("web max-edge=15", "16..65535|none");
    refuse("web max-edge=65536", "16..65535|none");
    refuse("web max-bytes=1023", "1KiB..256MiB|none");
    refuse("web max-bytes=99999999999999999999", "allowed");
    refuse("web max-bytes=1e6", "allowed");
    refuse("web format=gif", "auto|keep|jpeg|webp|avif|png");
    refuse("web metadata=some", "none|safe|all");
    refuse("web min-savings=91%", "0..90");
    refuse("web min-savings=%", "0..90");
    refuse("web min-savings=10%%", "0..90");
    refuse("web background=##ffffff", "RRGGBB");
    refuse("web background=#fffff", "RRGGBB");
    refuse("web background=fff", "RRGGBB");
    refuse("web background=-00001", "RRGGBB");
    refuse("web background=0xfffff", "RRGGBB");
    refuse("web vectors=true", "no|yes");
    g_autofree char *blanks = g_strnfill(100000, ' '), *long_name = g_strnfill(100000, 'x');
    refuse(blanks, "too long");
    refuse(long_name, "too long");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/recipe/presets", test_presets);
    g_test_add_func("/recipe/words-change-a-preset", test_words_change_a_preset);
    g_test_add_func("/recipe/qualities-agree", test_qualities_agree);
    g_test_add_func("/recipe/change", test_change);
    g_test_add_func("/recipe/round-trip", test_round_trip);
    g_test_add_func("/recipe/words-allow-what-they-say", test_words_allow_what_they_say);
    g_test_add_func("/recipe/other-spellings", test_other_spellings);
    g_test_add_func("/recipe/nonsense-is-refused", test_nonsense_is_refused);
    return g_test_run();
}
