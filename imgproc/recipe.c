#include "recipe.h"

#include <glib.h>
#include <string.h>

static const struct {
    const char *name;
    ImgRecipe recipe;
} presets[] = {
    /* "1 MB" is 1024 * 1024 in the browser libraries that made the number popular; a million keeps both readings */
    { "web", { .quality = 80, .edge_px = 1920, .max_bytes = 1000000 } },
};

typedef enum { WORD_Q, WORD_MAX, WORD_BYTES, N_WORDS } Word;

static const struct {
    const char *name;
    guint64 least, most;
} words[N_WORDS] = {
    [WORD_Q] = { "q=", 50, 99 },
    [WORD_MAX] = { "max=", 16, RECIPE_EDGE_MAX },
    [WORD_BYTES] = { "bytes=", 1024, RECIPE_BYTES_MAX },
};

static bool parse_word(const char *text, guint64 values[N_WORDS])
{
    for (unsigned i = 0; i < N_WORDS; i++) {
        if (!g_str_has_prefix(text, words[i].name))
            continue;
        if (values[i] != 0)
            return false;
        return g_ascii_string_to_unsigned(text + strlen(words[i].name), 10, words[i].least, words[i].most, &values[i], NULL);
    }
    return false;
}

bool recipe_parse(const char *text, ImgRecipe *out)
{
    for (gsize i = 0; i < G_N_ELEMENTS(presets); i++)
        if (strcmp(text, presets[i].name) == 0) {
            *out = presets[i].recipe;
            return true;
        }
    if (strlen(text) >= RECIPE_TEXT_MAX)
        return false;

    g_auto(GStrv) parts = g_strsplit(text, " ", 0);
    guint64 values[N_WORDS] = { 0 };
    if (parts[0] == NULL || strcmp(parts[0], "auto") != 0)
        return false;
    for (char **part = parts + 1; *part != NULL; part++)
        if (!parse_word(*part, values))
            return false;
    for (unsigned i = 0; i < N_WORDS; i++)
        if (values[i] == 0)
            return false;
    *out = (ImgRecipe){ .quality = (unsigned)values[WORD_Q], .edge_px = (unsigned)values[WORD_MAX], .max_bytes = values[WORD_BYTES] };
    return true;
}

void recipe_text(const ImgRecipe *r, char text_out[RECIPE_TEXT_MAX])
{
    g_snprintf(text_out, RECIPE_TEXT_MAX, "auto q=%u max=%u bytes=%" G_GUINT64_FORMAT, r->quality, r->edge_px, r->max_bytes);
}
