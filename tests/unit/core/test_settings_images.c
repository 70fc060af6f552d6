#include <glib/gstdio.h>
#include <string.h>

#include "core/settings.h"

static void set(HoistSettings *s, const char *name, const char *value)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *origin = g_strconcat("--", name, NULL);
    hoist_settings_set(s, name, value, origin, &error);
    g_assert_no_error(error);
}

/* NAME, VALUE, NAME, VALUE ..., NULL */
static HoistSettings *given(const char *const *pairs)
{
    HoistSettings *s = hoist_settings_new();
    for (; *pairs != NULL; pairs += 2)
        set(s, pairs[0], pairs[1]);
    return s;
}

#define GIVEN(...) given((const char *const[]){ __VA_ARGS__, NULL })

static bool load(HoistSettings *s, const char *text, char **path_out, GError **error)
{
    g_autofree char *dir = g_dir_make_tmp("hoist-images-XXXXXX", NULL);
    *path_out = g_build_filename(dir, "config.ini", NULL);
    g_assert_true(g_file_set_contents(*path_out, text, -1, NULL));
    const bool ok = hoist_settings_load(s, *path_out, error);
    g_unlink(*path_out);
    g_rmdir(dir);
    return ok;
}

static HoistSettings *loaded(const char *text)
{
    HoistSettings *s = hoist_settings_new();
    g_autofree char *path = NULL;
    g_autoptr(GError) error = NULL;
    load(s, text, &path, &error);
    g_assert_no_error(error);
    return s;
}

/* "NAME edge bytes quality" of each, for comparison. */
static char *summary(const HoistSettings *s)
{
    Renditions r;
    g_autoptr(GError) error = NULL;
    settings_renditions(s, &r, &error);
    g_assert_no_error(error);
    GString *all = g_string_new(NULL);
    for (unsigned i = 0; i < r.n; i++) {
        ImgRecipe recipe;
        g_assert_true(recipe_parse(r.list[i].recipe, &recipe, NULL));
        g_string_append_printf(all, "%s%s %u %" G_GUINT64_FORMAT " %u", i > 0 ? ", " : "", r.list[i].name, recipe.max_edge_px,
                               recipe.max_bytes, recipe.quality);
    }
    renditions_clear(&r);
    g_assert_cmpuint(r.n, ==, 0);
    return g_string_free(all, FALSE);
}

static void gives(const HoistSettings *s, const char *expected)
{
    g_autofree char *text = summary(s);
    g_assert_cmpstr(text, ==, expected);
}

static void gives_and_free(HoistSettings *s, const char *expected)
{
    gives(s, expected);
    hoist_settings_free(s);
}

static void refused(const HoistSettings *s, FaultCode code, const char *start, const char *words)
{
    Renditions r = { .n = 7 };
    g_autoptr(GError) error = NULL, again = NULL;
    g_assert_false(settings_renditions(s, &r, &error));
    g_assert_cmpuint(r.n, ==, 7);
    if (fault_code(error) != code || !g_str_has_prefix(error->message, start) || strstr(error->message, words) == NULL)
        g_error("\"%s\" is not \"%s...%s\"", error->message, start, words);
    g_assert_null(settings_recipes(s));
    g_autoptr(HoistSettings) sent = hoist_settings_dup(s); /* nothing starts with it */
    set(sent, "to", "s3://bucket");
    g_assert_false(hoist_settings_check_dest(sent, NULL, &again));
    g_assert_cmpstr(again->message, ==, error->message);
}

static void refused_and_free(HoistSettings *s, FaultCode code, const char *start, const char *words)
{
    refused(s, code, start, words);
    hoist_settings_free(s);
}

static void test_images(void)
{
    g_autoptr(HoistSettings) plain = hoist_settings_new();
    gives(plain, "web 1920 1000000 80");
    gives_and_free(GIVEN("images", "small"), "small 1280 400000 80");
    gives_and_free(GIVEN("images", "none"), "");
    gives_and_free(GIVEN("images", "web max-edge=2560"), "web 2560 1000000 80");
    gives_and_free(GIVEN("images", "web  max-edge=2560 max-bytes=1.5M "), "web 2560 1500000 80");
    gives_and_free(GIVEN("images", "max-edge=none"), "web 0 1000000 80");
    refused_and_free(GIVEN("images", "wbe"), FAULT_USAGE,
                     "--images: ", "no recipe \"wbe\"; allowed: web, small, archive, thumb, none or the NAME");
    refused_and_free(GIVEN("images", "web max-edge=7"), FAULT_USAGE, "--images: ", "max-edge=7; allowed: 16..65535|none");
    refused_and_free(GIVEN("images", "web max-bytes=400x"), FAULT_USAGE, "--images: ", "max-bytes=400x; allowed: 1KiB..256MiB|none");
    refused_and_free(GIVEN("images", "web upscale=yes"), FAULT_USAGE, "--images: ", "upscale is no word");
    refused_and_free(GIVEN("images", "web small"), FAULT_USAGE, "--images: ", "NAME=VALUE");
    refused_and_free(GIVEN("images", "none max-edge=900"), FAULT_USAGE, "--images: ", "nothing can follow none");
    refused_and_free(GIVEN("images", " "), FAULT_USAGE, "--images: ", "is empty");
}

static void test_options_change_the_recipe(void)
{
    gives_and_free(GIVEN("max-edge", "900"), "web 900 1000000 80");
    gives_and_free(GIVEN("max-bytes", "400k", "quality", "70"), "web 1920 400000 70");
    gives_and_free(GIVEN("images", "small max-edge=2000", "max-bytes", "none", "max-edge", "3000"), "small 3000 0 80");
    gives_and_free(GIVEN("min-quality", "90"), "web 1920 1000000 90");
    gives_and_free(GIVEN("images", "none", "max-edge", "900"), ""); /* as they are */
    refused_and_free(GIVEN("quality", "60", "min-quality", "90"), FAULT_USAGE, "--min-quality: ", "min-quality is above quality");

    g_autoptr(HoistSettings) s =
        GIVEN("vectors", "on", "format", "avif", "metadata", "all", "background", "00ff00", "color-profile", "keep");
    set(s, "effort", "6");
    set(s, "min-savings", "0");
    Renditions r;
    ImgRecipe recipe;
    g_assert_true(settings_renditions(s, &r, NULL));
    g_assert_true(r.vectors);
    g_assert_true(recipe_parse(r.list[0].recipe, &recipe, NULL));
    g_assert_cmpint(recipe.format, ==, RECIPE_AVIF);
    g_assert_cmpint(recipe.metadata, ==, METADATA_ALL);
    g_assert_cmpuint(recipe.background, ==, 0x00ff00);
    g_assert_true(recipe.keep_profile);
    g_assert_cmpuint(recipe.effort, ==, 6);
    g_assert_cmpuint(recipe.min_savings, ==, 0);
    renditions_clear(&r);
}

/* Every word of recipes is an option with the same range, and what it takes is what a recipe takes. */
static void test_options_are_the_words(void)
{
    for (const RecipeWord *word = recipe_words(); word->name != NULL; word++) {
        const HoistOpt *opt = settings_opt(word->name);
        g_assert_nonnull(opt);
        g_assert_true(opt->per_batch && opt->def == NULL && settings_heeds_everywhere(opt->name));
        if (opt->kind != HOIST_OPT_SWITCH)
            g_assert_cmpstr(opt->allowed, ==, word->allowed);
        g_autoptr(HoistSettings) s = hoist_settings_new();
        g_auto(GStrv) allowed = g_strsplit(word->allowed, "|", -1);
        for (char **value = allowed; *value != NULL; value++) {
            char *dots = strstr(*value, "..");
            if (dots != NULL)
                *dots = '\0';
            set(s, word->name, g_str_equal(*value, "RRGGBB") ? "102030" : *value);
            g_free(summary(s));
            if (dots != NULL)
                set(s, word->name, dots + 2);
            g_free(summary(s));
        }
        g_autoptr(GError) error = NULL;
        g_assert_false(hoist_settings_set(s, word->name, "nonsense", "--x", &error));
        g_assert_error(error, FAULT, FAULT_USAGE);
    }
    static const char *const bad[][2] = { { "max-edge", "15" },        { "max-edge", "auto" },         { "max-bytes", "1023" },
                                          { "max-bytes", "auto" },     { "max-bytes", "1G" },          { "background", "##fffff" },
                                          { "original-prefix", "/a" }, { "original-prefix", "a/../" }, { "original-prefix", "a//b" },
                                          { "image-workers", "0" },    { "on-image-error", "stop" } };
    g_autoptr(HoistSettings) s = hoist_settings_new();
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
        if (hoist_settings_set(s, bad[i][0], bad[i][1], "--x", NULL))
            g_error("%s takes %s", bad[i][0], bad[i][1]);
}

static void test_renditions(void)
{
    gives_and_free(GIVEN("renditions", "web, thumb"), "web 1920 1000000 80, thumb 320 0 75");
    gives_and_free(GIVEN("renditions", "thumb"), "thumb 320 0 75");
    gives_and_free(GIVEN("renditions", "web,thumb", "quality", "60"), "web 1920 1000000 60, thumb 320 0 60");
    gives_and_free(GIVEN("renditions", "thumb", "max-edge", "200"), "thumb 200 0 75");
    refused_and_free(GIVEN("renditions", "web,thumb", "max-edge", "900"), FAULT_USAGE, "--max-edge: ", "define an [images NAME]");
    refused_and_free(GIVEN("renditions", "web,thumb", "max-bytes", "9k"), FAULT_USAGE, "--max-bytes: ", "define an [images NAME]");
    refused_and_free(GIVEN("renditions", "web,,thumb"), FAULT_USAGE, "--renditions: ", "no recipe \"\"");
    refused_and_free(GIVEN("renditions", "web,none"), FAULT_USAGE, "--renditions: ", "no recipe \"none\"");
    refused_and_free(GIVEN("renditions", "web,web"), FAULT_USAGE, "--renditions: ", "twice");
    refused_and_free(GIVEN("renditions", "web,original"), FAULT_USAGE, "--renditions: ", "keep-original");
    refused_and_free(GIVEN("renditions", "web max-edge=9"), FAULT_USAGE, "--renditions: ", "no recipe \"web max-edge=9\"");
    refused_and_free(GIVEN("renditions", "web", "images", "small"), FAULT_USAGE, "--renditions: ", "only one of the two");
    g_autoptr(GString) groups = g_string_new(NULL), names = g_string_new(NULL);
    for (unsigned i = 0; i <= RECIPES_MAX; i++) {
        g_string_append_printf(groups, "[images n%u]\nlike = thumb\n", i);
        g_string_append_printf(names, "%sn%u", i > 0 ? "," : "", i);
    }
    g_autoptr(HoistSettings) many = loaded(groups->str);
    set(many, "renditions", names->str);
    refused(many, FAULT_USAGE, "--renditions: ", "too many");
    *strrchr(names->str, ',') = '\0';
    set(many, "renditions", names->str);
    g_autofree char *text = summary(many);
    g_assert_nonnull(strstr(text, "n7 320 0 75"));
}

static void keeps(HoistSettings *s, bool expected)
{
    Renditions r;
    g_assert_true(settings_renditions(s, &r, NULL));
    g_assert_true(r.keep_original == expected);
    renditions_clear(&r);
    hoist_settings_free(s);
}

static void test_keep_original(void)
{
    keeps(GIVEN("images", "web"), false);
    keeps(GIVEN("keep-original", "yes"), true);
    keeps(GIVEN("renditions", "web,thumb", "keep-original", "yes"), true);
    keeps(GIVEN("keep-original", "yes", "images", "none"), false); /* it goes as it is, once */
}

/* Of images and renditions the nearer one counts. */
static void test_the_nearer_counts(void)
{
    static const char text[] = "[hoist]\nrenditions = web, thumb\n[dest a]\nto = s3://b\nimages = small\n[dest c]\nto = s3://b\n";
    g_autoptr(HoistSettings) s = loaded(text);
    gives(s, "web 1920 1000000 80, thumb 320 0 75");
    set(s, "to", "a");
    gives(s, "small 1280 400000 80");
    set(s, "to", "c");
    gives(s, "web 1920 1000000 80, thumb 320 0 75");
    set(s, "images", "none");
    gives(s, "");

    g_autoptr(HoistSettings) both = loaded("[hoist]\nimages = small\nrenditions = web, thumb\n");
    refused(both, FAULT_CONFIG, "/", "config.ini line 3: renditions: images is set in the same place");
    set(both, "images", "thumb");
    gives(both, "thumb 320 0 75");
}

/* ---- [images NAME] ---- */

static void test_groups(void)
{
    g_autoptr(HoistSettings) s =
        loaded("[hoist]\nimages = shop\n[images shop]\nmax-bytes = 400k\nlike = small\nmax-edge = 1600\nvectors = on\n"
               "[images plain]\n[images low]\nquality = 35\n[images free]\nlike = archive\nmax-bytes = none\n");
    gives(s, "shop 1600 400000 80");
    Renditions r;
    g_assert_true(settings_renditions(s, &r, NULL));
    g_assert_true(r.vectors);
    renditions_clear(&r);
    set(s, "images", "shop quality=50");
    gives(s, "shop 1600 400000 50");
    set(s, "max-edge", "100");
    gives(s, "shop 100 400000 50");
    g_autoptr(HoistSettings) names = loaded("[images shop]\nlike = thumb\n[images plain]\n[images low]\nquality = 35\n");
    set(names, "renditions", "plain, low,shop, small");
    gives(names, "plain 1920 1000000 80, low 1920 1000000 35, shop 320 0 75, small 1280 400000 80");
}

static void config_fault(const char *text, unsigned line, const char *words)
{
    g_autoptr(HoistSettings) s = hoist_settings_new();
    g_autofree char *path = NULL;
    g_autoptr(GError) error = NULL;
    if (load(s, text, &path, &error))
        g_error("taken: %s", text);
    g_assert_error(error, FAULT, FAULT_CONFIG);
    g_autofree char *start = g_strdup_printf("%s line %u: ", path, line);
    if (!g_str_has_prefix(error->message, start) || strstr(error->message, words) == NULL)
        g_error("\"%s\" is not \"%s...%s\"", error->message, start, words);
}

static void test_faults_of_groups_name_the_line(void)
{
    config_fault("[images a]\nlike = small\n\nmax-edge = 7\n", 4, "max-edge=7; allowed: 16..65535|none");
    config_fault("[images a]\nmax-bytes = 400x\n", 2, "max-bytes=400x; allowed: 1KiB..256MiB|none");
    config_fault("[images a]\nupscale = yes\n", 2, "unknown key \"upscale\"; allowed: like, max-edge, max-bytes");
    config_fault("[images a]\nto = s3://b\n", 2, "unknown key \"to\"");
    config_fault("[images a]\nlike = b\n[images b]\n", 2, "no preset \"b\"; allowed: web, small");
    config_fault("[images a]\n\nlike =\n", 3, "no preset \"\"");
    config_fault("[images a]\nquality =\n", 2, "quality=; allowed: 30..100");
    config_fault("[images a]\nquality = 80 format=png\n", 2, "quality=80 format=png; allowed");
    config_fault("[images a]\nquality = \\d\n", 2, "allowed: 30..100");
    config_fault("[images a]\nquality = 60\nmin-quality = 80\n", 1, "min-quality is above quality");
    config_fault("[images web]\nquality = 60\n", 1, "not that of a preset");
    config_fault("[images none]\n", 1, "none or original");
    config_fault("[images original]\n", 1, "none or original");
    config_fault("[images a/b]\n", 1, "letters, digits");
    config_fault("[images ]\n", 1, "needs a name");
    config_fault("[images a]\n[images  a]\n", 2, "of its own");
    config_fault("[images 123456789012345678901234567890123]\n", 1, "at most 32");
    config_fault("[image a]\n", 1, "unknown group [image a]");
    config_fault("[hoist]\nimages =\n", 2, "is empty");
    config_fault("[images a]\nlike = small   # of ours\n", 2, "allowed: web, small, archive, thumb (a comment needs a line of its own)");
    config_fault("[images a]\nmax-bytes = 250k #\n", 2, "1KiB..256MiB|none (a comment needs a line of its own)");
    config_fault("[hoist]\njobs = 6 # at once\n", 2, "1..64|auto (a comment needs a line of its own)");
}

/* ---- frozen ---- */

static HoistSettings *frozen(const HoistSettings *s)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *json = settings_to_json(s, true);
    HoistSettings *back = settings_from_json(json, &error);
    g_assert_no_error(error);
    return back;
}

static void test_what_was_queued_stays(void)
{
    g_autoptr(HoistSettings) then = loaded("[hoist]\nquality = 70\n[dest d]\nto = s3://b\nrenditions = shop, thumb\nkeep-original = yes\n"
                                           "[images shop]\nmax-edge = 1600\n");
    set(then, "to", "d");
    g_autoptr(HoistSettings) queued = frozen(then), passed_on = frozen(queued); /* through an inbox */
    g_autoptr(HoistSettings) now = loaded("[hoist]\nquality = 40\n[dest d]\nto = s3://b\nimages = none\nmetadata = all\ntypes = video/mp4\n"
                                          "on-image-error = fail\nrenditions = small\nkeep-original = no\n[images shop]\nmax-edge = 99\n");
    settings_refresh(passed_on, now);
    gives(passed_on, "shop 1600 1000000 70, thumb 320 0 70");
    g_assert_true(hoist_settings_switch(passed_on, "keep-original"));
    g_assert_cmpstr(hoist_settings_get(passed_on, "on-image-error"), ==, "original");
    g_assert_true(settings_type_allowed(passed_on, "image/png"));
    g_autofree char *first = settings_to_json(queued, true), *second = settings_to_json(passed_on, true);
    g_assert_cmpstr(first, ==, second);

    g_autoptr(HoistSettings) none = GIVEN("images", "none");
    g_autoptr(HoistSettings) as_they_are = frozen(none);
    gives(as_they_are, "");
}

static bool is_named(const HoistSettings *s)
{
    Renditions r;
    g_assert_true(settings_renditions(s, &r, NULL));
    const bool named = r.named;
    renditions_clear(&r);
    return named;
}

static void named_also_when_frozen(HoistSettings *s, bool named)
{
    g_autoptr(HoistSettings) owned = s, queued = frozen(s), passed_on = frozen(queued);
    g_assert_true(is_named(owned) == named && is_named(queued) == named && is_named(passed_on) == named);
}

static void test_named(void)
{
    named_also_when_frozen(hoist_settings_new(), false);
    named_also_when_frozen(GIVEN("images", "web"), false);
    named_also_when_frozen(GIVEN("images", "none"), false);
    named_also_when_frozen(GIVEN("renditions", "web"), true);
    named_also_when_frozen(GIVEN("renditions", "web,thumb"), true);
    HoistSettings *nearer = loaded("[hoist]\nrenditions = web\n"), *farther = loaded("[hoist]\nimages = web\n");
    set(nearer, "images", "web");
    set(farther, "renditions", "web");
    named_also_when_frozen(nearer, false);
    named_also_when_frozen(farther, true);
}

static HoistSettings *from_json(const char *json)
{
    g_autoptr(GError) error = NULL;
    HoistSettings *s = settings_from_json(json, &error);
    g_assert_no_error(error);
    return s;
}

static void test_old_json(void)
{
    gives_and_free(from_json("{}"), "web 1920 1000000 80");
    gives_and_free(from_json("{\"to\":\"s3://b\",\"images\":\"web\"}"), "web 1920 1000000 80");
    gives_and_free(from_json("{\"images\":\"none\"}"), "");
    gives_and_free(from_json("{\"recipes\":[],\"images\":\"web\"}"), "");
}

static void test_bad_json(void)
{
    static const char *const bad[] = { "{\"recipes\":\"web\"}", "{\"recipes\":[1]}", "{\"recipes\":{}}" };
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_null(settings_from_json(bad[i], NULL));
    static const char *const unreadable[] = {
        "{\"recipes\":[\"web\"]}", "{\"recipes\":[\"web quality=7\"]}", "{\"recipes\":[\"\"]}",
        "{\"recipes\":[\"a web\",\"b web\",\"c web\",\"d web\",\"e web\",\"f web\",\"g web\",\"h web\",\"i web\"]}"
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(unreadable); i++)
        refused_and_free(from_json(unreadable[i]), FAULT_USAGE, "stored options: ", "cannot be read");
}

/* ---- types ---- */

static void test_types(void)
{
    g_autoptr(HoistSettings) any = hoist_settings_new(), s = GIVEN("types", "image/*, video/mp4", "types", "Application/PDF");
    g_assert_true(settings_type_allowed(any, "application/octet-stream"));
    g_assert_true(settings_type_allowed(s, "image/jpeg"));
    g_assert_true(settings_type_allowed(s, "video/mp4"));
    g_assert_true(settings_type_allowed(s, "application/pdf"));
    g_assert_false(settings_type_allowed(s, "video/mp4v"));
    g_assert_false(settings_type_allowed(s, "video/webm"));
    g_assert_false(settings_type_allowed(s, "text/html; charset=utf-8"));
    g_autoptr(HoistSettings) text = GIVEN("types", "text/html");
    g_assert_true(settings_type_allowed(text, "text/html; charset=utf-8"));
    static const char *const bad[] = { "image", "image/", "/png", "image/p*", "*", "image/png;q=1", "image/png,", "im age/png" };
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
        if (hoist_settings_set(text, "types", bad[i], "--types", NULL))
            g_error("taken: %s", bad[i]);
    g_autoptr(HoistSettings) config = loaded("[hoist]\ntypes = image/*,video/mp4;text/plain\n");
    g_assert_true(settings_type_allowed(config, "text/plain"));
    g_assert_false(settings_type_allowed(config, "text/html"));
}

/* No setting of the machine that runs the tests may leak in. */
static void clean_environment(void)
{
    g_auto(GStrv) names = g_listenv();
    for (char **name = names; *name != NULL; name++)
        if (g_str_has_prefix(*name, "AWS_") || g_str_has_prefix(*name, "HOIST_"))
            g_unsetenv(*name);
    g_setenv("XDG_CONFIG_HOME", "/nonexistent", TRUE);
    g_setenv("HOME", "/nonexistent", TRUE);
}

int main(int argc, char **argv)
{
    clean_environment();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/settings/images/one-recipe", test_images);
    g_test_add_func("/settings/images/options-change-the-recipe", test_options_change_the_recipe);
    g_test_add_func("/settings/images/options-are-the-words", test_options_are_the_words);
    g_test_add_func("/settings/images/renditions", test_renditions);
    g_test_add_func("/settings/images/named", test_named);
    g_test_add_func("/settings/images/keep-original", test_keep_original);
    g_test_add_func("/settings/images/the-nearer-counts", test_the_nearer_counts);
    g_test_add_func("/settings/images/groups", test_groups);
    g_test_add_func("/settings/images/faults-of-groups-name-the-line", test_faults_of_groups_name_the_line);
    g_test_add_func("/settings/images/what-was-queued-stays", test_what_was_queued_stays);
    g_test_add_func("/settings/images/old-json", test_old_json);
    g_test_add_func("/settings/images/bad-json", test_bad_json);
    g_test_add_func("/settings/images/types", test_types);
    return g_test_run();
}
