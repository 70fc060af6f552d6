#include "recipe.h"

#include <string.h>

static const struct {
    const char *name;
    ImgRecipe recipe;
} presets[] = {
    /* "1 MB" is 1024 * 1024 in the browser libraries that made the number popular; a million keeps both readings */
    { "web", { 1920, 1000000, 80, 50, RECIPE_AUTO, 2, 10, METADATA_SAFE, 0xffffff, false, false } },
    { "small", { 1280, 400000, 80, 50, RECIPE_AUTO, 2, 10, METADATA_SAFE, 0xffffff, false, false } },
    { "archive", { 0, 0, 95, 95, RECIPE_AUTO, 4, 10, METADATA_SAFE, 0xffffff, true, false } },
    { "thumb", { 320, 0, 75, 50, RECIPE_AUTO, 2, 0, METADATA_NONE, 0xffffff, false, false } },
};

const char *const recipe_presets[] = { "web", "small", "archive", "thumb", NULL };

typedef enum {
    WORD_EDGE,
    WORD_BYTES,
    WORD_QUALITY,
    WORD_MIN_QUALITY,
    WORD_FORMAT,
    WORD_EFFORT,
    WORD_SAVINGS,
    WORD_METADATA,
    WORD_BACKGROUND,
    WORD_PROFILE,
    WORD_VECTORS,
    N_WORDS
} Word;

static const char *const formats[] = { "auto", "keep", "jpeg", "webp", "avif", "png", NULL };
static const char *const metadata[] = { "none", "safe", "all", NULL };
static const char *const profiles[] = { "srgb", "keep", NULL };
static const char *const switches[] = { "no", "yes", NULL };

/* A word is a number between least and most (or "none", 0, where that is allowed), or one of choices. */
static const struct {
    guint64 least, most;
    const char *const *choices;
    bool none;
} kinds[N_WORDS] = {
    [WORD_EDGE] = { 16, RECIPE_EDGE_MAX, NULL, true }, [WORD_BYTES] = { 1024, RECIPE_BYTES_MAX, NULL, true },
    [WORD_QUALITY] = { 30, 100, NULL, false },         [WORD_MIN_QUALITY] = { 30, 100, NULL, false },
    [WORD_FORMAT] = { 0, 0, formats, false },          [WORD_EFFORT] = { 0, 6, NULL, false },
    [WORD_SAVINGS] = { 0, 90, NULL, false },           [WORD_METADATA] = { 0, 0, metadata, false },
    [WORD_PROFILE] = { 0, 0, profiles, false },        [WORD_VECTORS] = { 0, 0, switches, false },
};

static const RecipeWord words[N_WORDS + 1] = {
    [WORD_EDGE] = { "max-edge", "16..65535|none" },
    [WORD_BYTES] = { "max-bytes", "1KiB..256MiB|none" },
    [WORD_QUALITY] = { "quality", "30..100" },
    [WORD_MIN_QUALITY] = { "min-quality", "30..100" },
    [WORD_FORMAT] = { "format", "auto|keep|jpeg|webp|avif|png" },
    [WORD_EFFORT] = { "effort", "0..6" },
    [WORD_SAVINGS] = { "min-savings", "0..90" },
    [WORD_METADATA] = { "metadata", "none|safe|all" },
    [WORD_BACKGROUND] = { "background", "RRGGBB" },
    [WORD_PROFILE] = { "color-profile", "srgb|keep" },
    [WORD_VECTORS] = { "vectors", "no|yes" },
};

const RecipeWord *recipe_words(void)
{
    return words;
}

const RecipeWord *recipe_word(const char *name)
{
    for (unsigned i = 0; i < N_WORDS; i++)
        if (strcmp(words[i].name, name) == 0)
            return &words[i];
    return NULL;
}

bool recipe_preset(const char *name, ImgRecipe *out)
{
    for (gsize i = 0; i < G_N_ELEMENTS(presets); i++)
        if (strcmp(name, presets[i].name) == 0) {
            *out = presets[i].recipe;
            return true;
        }
    return false;
}

static bool read_colour(const char *value, guint64 *out)
{
    value += *value == '#';
    return strlen(value) == 6 && g_ascii_string_to_unsigned(value, 16, 0, 0xffffff, out, NULL);
}

static bool read_percent(const char *value, guint64 *out)
{
    const size_t n = strlen(value);
    g_autofree char *number = g_strndup(value, n > 0 && value[n - 1] == '%' ? n - 1 : n);
    return g_ascii_string_to_unsigned(number, 10, kinds[WORD_SAVINGS].least, kinds[WORD_SAVINGS].most, out, NULL);
}

static bool read_value(Word word, const char *value, guint64 *out)
{
    if (word == WORD_BACKGROUND)
        return read_colour(value, out);
    if (word == WORD_SAVINGS)
        return read_percent(value, out);
    for (guint64 i = 0; kinds[word].choices != NULL && kinds[word].choices[i] != NULL; i++)
        if (strcmp(value, kinds[word].choices[i]) == 0) {
            *out = i;
            return true;
        }
    if (kinds[word].choices != NULL)
        return false;
    *out = 0;
    return (kinds[word].none && strcmp(value, "none") == 0) ||
           g_ascii_string_to_unsigned(value, 10, kinds[word].least, kinds[word].most, out, NULL);
}

static void put_value(ImgRecipe *r, Word word, guint64 value)
{
    switch (word) {
    case WORD_EDGE:
        r->max_edge_px = (unsigned)value;
        return;
    case WORD_BYTES:
        r->max_bytes = value;
        return;
    case WORD_QUALITY:
        r->quality = (unsigned)value;
        return;
    case WORD_MIN_QUALITY:
        r->min_quality = (unsigned)value;
        return;
    case WORD_FORMAT:
        r->format = (RecipeFormat)value;
        return;
    case WORD_EFFORT:
        r->effort = (unsigned)value;
        return;
    case WORD_SAVINGS:
        r->min_savings = (unsigned)value;
        return;
    case WORD_METADATA:
        r->metadata = (RecipeMetadata)value;
        return;
    case WORD_BACKGROUND:
        r->background = (uint32_t)value;
        return;
    case WORD_PROFILE:
        r->keep_profile = value != 0;
        return;
    case WORD_VECTORS:
        r->vectors = value != 0;
        return;
    case N_WORDS:
        break;
    }
    g_assert_not_reached();
}

static bool wrong(char **why_out, char *why)
{
    if (why_out != NULL)
        *why_out = why;
    else
        g_free(why);
    return false;
}

static Word word_of(const char *name, size_t n)
{
    for (unsigned i = 0; i < N_WORDS; i++)
        if (strlen(words[i].name) == n && memcmp(words[i].name, name, n) == 0)
            return (Word)i;
    return N_WORDS;
}

static char *no_word(const char *name)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_string_printf(text, "%s is no word of a recipe; allowed: ", name);
    for (unsigned i = 0; i < N_WORDS; i++)
        g_string_append_printf(text, "%s%s", i == 0 ? "" : ", ", words[i].name);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

bool recipe_set(ImgRecipe *r, const char *name, const char *value, char **why_out)
{
    const Word word = word_of(name, strlen(name));
    guint64 number;
    if (word == N_WORDS)
        return wrong(why_out, no_word(name));
    if (!read_value(word, value, &number))
        return wrong(why_out, g_strdup_printf("%s=%s; allowed: %s", name, value, words[word].allowed));
    put_value(r, word, number);
    /* Nobody who says quality=40 wants the preset's 50 at least, nor one who says min-quality=90 its 80. */
    if (word == WORD_QUALITY)
        r->min_quality = MIN(r->min_quality, r->quality);
    if (word == WORD_MIN_QUALITY)
        r->quality = MAX(r->quality, r->min_quality);
    return true;
}

static bool change_one(ImgRecipe *r, const char *part, unsigned *seen, char **why_out)
{
    enum { QUALITIES = 1u << WORD_QUALITY | 1u << WORD_MIN_QUALITY };
    const char *equals = strchr(part, '=');
    if (equals == NULL)
        return wrong(why_out, g_strdup_printf("\"%s\" is not NAME=VALUE", part));
    const Word word = word_of(part, (size_t)(equals - part));
    if (word != N_WORDS && (*seen & 1u << word) != 0)
        return wrong(why_out, g_strdup_printf("%s comes twice", words[word].name));
    g_autofree char *name = g_strndup(part, (gsize)(equals - part));
    const ImgRecipe before = *r;
    if (!recipe_set(r, name, equals + 1, why_out))
        return false;
    *seen |= 1u << word;
    const bool both_moved = before.quality != r->quality && before.min_quality != r->min_quality;
    if (both_moved && (*seen & QUALITIES) == QUALITIES)
        return wrong(why_out, g_strdup("min-quality is above quality"));
    return true;
}

bool recipe_change(ImgRecipe *r, const char *text, char **why_out)
{
    if (strlen(text) >= RECIPE_TEXT_MAX)
        return wrong(why_out, g_strdup("it is too long"));
    g_auto(GStrv) parts = g_strsplit(text, " ", -1);
    ImgRecipe changed = *r;
    unsigned seen = 0;
    for (char **part = parts; *part != NULL; part++)
        if (!change_one(&changed, *part, &seen, why_out))
            return false;
    *r = changed;
    return true;
}

bool recipe_parse(const char *text, ImgRecipe *out, char **why_out)
{
    const size_t n = strcspn(text, " ");
    const bool preset = memchr(text, '=', n) == NULL;
    ImgRecipe r = presets[0].recipe;
    if (*text == '\0')
        return wrong(why_out, g_strdup("it is empty"));
    if (strlen(text) >= RECIPE_TEXT_MAX)
        return wrong(why_out, g_strdup("it is too long"));
    g_autofree char *first = g_strndup(text, n);
    if (preset && !recipe_preset(first, &r))
        return wrong(why_out, g_strdup_printf("there is no preset \"%s\"", first));
    text += preset ? n : 0;
    if (preset && *text == ' ' && *++text == '\0')
        return wrong(why_out, g_strdup("it ends in a blank"));
    if (!recipe_change(&r, text, why_out))
        return false;
    *out = r;
    return true;
}

static void append_limit(GString *text, const char *name, guint64 value)
{
    if (value == 0)
        g_string_append_printf(text, "%s=none ", name);
    else
        g_string_append_printf(text, "%s=%" G_GUINT64_FORMAT " ", name, value);
}

void recipe_text(const ImgRecipe *r, char text_out[RECIPE_TEXT_MAX])
{
    g_autoptr(GString) text = g_string_sized_new(RECIPE_TEXT_MAX);
    append_limit(text, words[WORD_EDGE].name, r->max_edge_px);
    append_limit(text, words[WORD_BYTES].name, r->max_bytes);
    g_string_append_printf(
        text, "quality=%u min-quality=%u format=%s effort=%u min-savings=%u metadata=%s background=%06x color-profile=%s vectors=%s",
        r->quality, r->min_quality, formats[r->format], r->effort, r->min_savings, metadata[r->metadata], r->background,
        profiles[r->keep_profile], switches[r->vectors]);
    g_assert(text->len < RECIPE_TEXT_MAX);
    memcpy(text_out, text->str, text->len + 1);
}
