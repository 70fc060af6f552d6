#include "settings_opts.h"

#include <string.h>

#include "mime.h"

void renditions_clear(Renditions *r)
{
    for (unsigned i = 0; i < r->n; i++) {
        g_free(r->list[i].name);
        g_free(r->list[i].recipe);
    }
    *r = (Renditions){ 0 };
}

/* ---- words ---- */

/* As people write it -> as recipes do: "max-bytes", "400k" -> "max-bytes=400000". What is wrong stays as it is, and recipe_change says why.
 */
static char *word_of(const char *name, const char *value)
{
    const HoistOpt *opt = recipe_word(name) == NULL ? NULL : settings_opt(name);
    uint64_t bytes;
    if (opt != NULL && opt->kind == HOIST_OPT_SIZE && hoist_parse_size(value, &bytes))
        return g_strdup_printf("%s=%" G_GUINT64_FORMAT, name, bytes);
    g_autofree char *on = opt != NULL && opt->kind == HOIST_OPT_SWITCH ? settings_value_stored(opt, value) : NULL;
    return g_strdup_printf("%s=%s", name, on == NULL ? value : g_str_equal(on, "true") ? "yes" : "no");
}

/* "NAME=VALUE" as people write it; anything else stays as it is. */
static char *word_of_pair(const char *pair)
{
    const char *equals = strchr(pair, '=');
    g_autofree char *name = equals == NULL ? NULL : g_strndup(pair, (gsize)(equals - pair));
    return name == NULL ? g_strdup(pair) : word_of(name, equals + 1);
}

static char *text_of(const ImgRecipe *r)
{
    char text[RECIPE_TEXT_MAX];
    recipe_text(r, text);
    return g_strdup(text);
}

/* ---- [images NAME] ---- */

bool settings_recipe_name_fits(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    const size_t n = strlen(name);
    return n > 0 && n <= SETTINGS_MAX_RECIPE_NAME && strspn(name, letters) == n && !g_strv_contains(recipe_presets, name) &&
           !g_str_equal(name, "none") && !g_str_equal(name, "original");
}

static const char *like_of(char *const *words, unsigned *which_out)
{
    static const char like[] = "like=";
    for (*which_out = 0; words[*which_out] != NULL; ++*which_out)
        if (g_str_has_prefix(words[*which_out], like))
            return words[*which_out] + strlen(like);
    return recipe_presets[0];
}

char *settings_recipe_of_group(char *const *words, unsigned *which_out, char **why_out)
{
    ImgRecipe r, scratch;
    const char *like = like_of(words, which_out);
    if (!recipe_preset(like, &r)) {
        g_autofree char *list = g_strjoinv(", ", (char **)recipe_presets);
        *why_out = g_strdup_printf("like: there is no preset \"%s\"; allowed: %s", like, list);
        return NULL;
    }
    g_autoptr(GString) all = g_string_new(NULL);
    for (*which_out = 0; words[*which_out] != NULL; ++*which_out) {
        if (g_str_has_prefix(words[*which_out], "like="))
            continue;
        g_autofree char *word = word_of_pair(words[*which_out]);
        g_auto(GStrv) pair = g_strsplit(word, "=", 2);
        scratch = r;
        if (!recipe_set(&scratch, pair[0], pair[1], why_out)) /* a blank in the value does not make it two */
            return NULL;
        g_string_append_printf(all, "%s%s", all->len > 0 ? " " : "", word);
    }
    return recipe_change(&r, all->str, why_out) ? text_of(&r) : NULL;
}

/* ---- which recipes ---- */

static bool wrong(const HoistSettings *s, const char *option, const char *why, GError **error)
{
    unsigned rank;
    const char *origin = settings_origin(s, option, &rank);
    const bool typed = origin != NULL && g_str_has_prefix(origin, "--");
    fault_set(error, origin != NULL && rank >= SETTINGS_RANK_DEST ? FAULT_CONFIG : FAULT_USAGE, "%s: %s%s%s",
              origin == NULL ? "--images" : origin, typed ? "" : option, typed ? "" : ": ", why);
    return false;
}

/* The options that change recipes, as words; "" when there are none. */
static char *changes_of(const HoistSettings *s)
{
    GString *all = g_string_new(NULL);
    for (const RecipeWord *word = recipe_words(); word->name != NULL; word++) {
        if (!settings_is_set(s, word->name))
            continue;
        g_autofree char *text = word_of(word->name, hoist_settings_get(s, word->name));
        g_string_append_printf(all, "%s%s", all->len > 0 ? " " : "", text);
    }
    return g_string_free(all, FALSE);
}

/* name, then words on top of it, then the options. */
static bool add_recipe(const HoistSettings *s, Renditions *out, const char *option, const char *name, const char *words, GError **error)
{
    ImgRecipe r;
    g_autofree char *why = NULL, *changes = changes_of(s), *shown = hoist_text(name);
    const char *group = settings_images_group(s, name);
    if (!(group != NULL ? recipe_parse(group, &r, NULL) : recipe_preset(name, &r))) {
        g_autofree char *list = g_strjoinv(", ", (char **)recipe_presets);
        why = g_strdup_printf("there is no recipe \"%s\"; allowed: %s%s or the NAME of an [images NAME] of config.ini", shown, list,
                              g_str_equal(option, "images") ? ", none" : "");
        return wrong(s, option, why, error);
    }
    if (!recipe_change(&r, words, &why))
        return wrong(s, option, why, error);
    if (!recipe_change(&r, changes, &why)) { /* each by itself was checked when it was set */
        g_autofree char *together = g_strdup_printf("the options for pictures do not go together: %s", why);
        return wrong(s, settings_is_set(s, "min-quality") ? "min-quality" : option, together, error);
    }
    out->list[out->n++] = (Rendition){ g_strdup(name), text_of(&r) };
    return true;
}

/* "web", "web max-edge=2560", "none"; words alone change the first preset. */
static bool from_images(const HoistSettings *s, Renditions *out, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(hoist_settings_get(s, "images"), " ", -1);
    g_autoptr(GString) words = g_string_new(NULL);
    const char *name = NULL;
    for (char **part = parts; *part != NULL; part++) {
        if (**part == '\0')
            continue;
        if (name == NULL && strchr(*part, '=') == NULL) {
            name = *part;
            continue;
        }
        name = name == NULL ? recipe_presets[0] : name;
        g_autofree char *word = word_of_pair(*part);
        g_string_append_printf(words, "%s%s", words->len > 0 ? " " : "", word);
    }
    if (name == NULL)
        return wrong(s, "images", "is empty", error);
    if (!g_str_equal(name, "none"))
        return add_recipe(s, out, "images", name, words->str, error);
    return words->len == 0 || wrong(s, "images", "nothing can follow none", error);
}

/* One limit on pixels or bytes for all of them would make them one. */
static bool limits_fit(const HoistSettings *s, const Renditions *r, GError **error)
{
    static const char *const limits[] = { "max-edge", "max-bytes" };
    for (unsigned i = 0; r->n > 1 && i < G_N_ELEMENTS(limits); i++)
        if (settings_is_set(s, limits[i]))
            return wrong(s, limits[i], "there are several renditions: define an [images NAME] in config.ini for each size", error);
    return true;
}

static bool from_renditions(const HoistSettings *s, Renditions *out, GError **error)
{
    g_auto(GStrv) names = g_strsplit(hoist_settings_get(s, "renditions"), ",", -1);
    for (char **name = names; *name != NULL; name++) {
        g_strstrip(*name);
        if (out->n == RECIPES_MAX)
            return wrong(s, "renditions", "there are too many", error);
        for (unsigned i = 0; i < out->n; i++)
            if (g_str_equal(out->list[i].name, *name))
                return wrong(s, "renditions", "a name comes twice", error);
        if (g_str_equal(*name, "original"))
            return wrong(s, "renditions", "the original is no rendition; keep-original stores it, too", error);
        if (!add_recipe(s, out, "renditions", *name, "", error))
            return false;
    }
    out->named = true;
    return limits_fit(s, out, error);
}

static unsigned rank_of(const HoistSettings *s, const char *name)
{
    unsigned rank = SETTINGS_RANK_DEFAULT;
    (void)settings_origin(s, name, &rank);
    return rank;
}

bool settings_outdone(const HoistSettings *s, const char *name)
{
    const char *other = g_str_equal(name, "images") ? "renditions" : g_str_equal(name, "renditions") ? "images" : NULL;
    return other != NULL && rank_of(s, other) < rank_of(s, name);
}

static bool resolve(const HoistSettings *s, Renditions *out, GError **error)
{
    const unsigned images = rank_of(s, "images"), renditions = rank_of(s, "renditions");
    if (renditions == SETTINGS_RANK_DEFAULT || images < renditions)
        return from_images(s, out, error);
    if (images == renditions)
        return wrong(s, "renditions", "images is set in the same place, and only one of the two can count", error);
    return from_renditions(s, out, error);
}

static bool from_frozen(const char *const *recipes, Renditions *out, GError **error)
{
    ImgRecipe r;
    for (; *recipes != NULL; recipes++) {
        const char *blank = strchr(*recipes, ' ');
        if (blank == NULL || out->n == RECIPES_MAX || !recipe_parse(blank + 1, &r, NULL)) {
            fault_set(error, FAULT_USAGE, "stored options: what is to be made of pictures cannot be read");
            return false;
        }
        out->list[out->n++] = (Rendition){ g_strndup(*recipes, (gsize)(blank - *recipes)), g_strdup(blank + 1) };
    }
    return true;
}

bool settings_renditions(const HoistSettings *s, Renditions *out, GError **error)
{
    Renditions r = { 0 };
    const char *const *frozen = settings_frozen_recipes(s);
    if (!(frozen != NULL ? from_frozen(frozen, &r, error) : resolve(s, &r, error))) {
        renditions_clear(&r);
        return false;
    }
    r.named = r.named || (r.n > 0 && frozen != NULL && settings_is_set(s, "renditions")); /* frozen has only the one that counts */
    r.keep_original = r.n > 0 && hoist_settings_switch(s, "keep-original");
    for (unsigned i = 0; i < r.n; i++) {
        ImgRecipe recipe;
        r.vectors = r.vectors || (recipe_parse(r.list[i].recipe, &recipe, NULL) && recipe.vectors);
    }
    *out = r;
    return true;
}

char **settings_recipes(const HoistSettings *s)
{
    Renditions r = { 0 };
    if (!settings_renditions(s, &r, NULL))
        return NULL;
    char **texts = g_new0(char *, r.n + 1);
    for (unsigned i = 0; i < r.n; i++)
        texts[i] = g_strconcat(r.list[i].name, " ", r.list[i].recipe, NULL);
    renditions_clear(&r);
    return texts;
}

/* ---- types ---- */

bool settings_type_allowed(const HoistSettings *s, const char *type)
{
    g_auto(GStrv) lists = hoist_settings_list(s, "types");
    for (char **list = lists; *list != NULL; list++) {
        g_auto(GStrv) patterns = g_strsplit(*list, ",", -1);
        for (char **pattern = patterns; *pattern != NULL; pattern++)
            g_strstrip(*pattern);
        if (mime_among(type, (const char *const *)patterns))
            return true;
    }
    return *lists == NULL;
}
