#include "key.h"

#include <string.h>

#include "digest.h"
#include "fault.h"

typedef enum {
    WORD_RELPATH,
    WORD_DIR,
    WORD_NAME,
    WORD_STEM,
    WORD_EXT,
    WORD_DATE,
    WORD_TIME,
    WORD_TS,
    WORD_UUID,
    WORD_RAND,
    WORD_BATCH,
    WORD_RENDITION,
    N_WORDS
} Word;

static const char *const words[N_WORDS + 1] = {
    [WORD_RELPATH] = "relpath", [WORD_DIR] = "dir",   [WORD_NAME] = "name",   [WORD_STEM] = "stem",
    [WORD_EXT] = "ext",         [WORD_DATE] = "date", [WORD_TIME] = "time",   [WORD_TS] = "ts",
    [WORD_UUID] = "uuid",       [WORD_RAND] = "rand", [WORD_BATCH] = "batch", [WORD_RENDITION] = "rendition",
    [N_WORDS] = NULL, /* for g_strjoinv */
};

enum { RAND_BYTES = 32 };

static Word word_of(const char *text, size_t n)
{
    for (unsigned i = 0; i < N_WORDS; i++)
        if (strlen(words[i]) == n && memcmp(words[i], text, n) == 0)
            return (Word)i;
    return N_WORDS;
}

/* ---- the parts of a name ---- */

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* The last dot of a name that has something on both sides, else its end: ".bashrc" and "file." have no extension. */
static const char *dot_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot == NULL || dot == name || dot[1] == '\0' ? name + strlen(name) : dot;
}

/* ---- templates ---- */

bool key_template_check(const char *template, GError **error)
{
    for (const char *p = template; *p != '\0'; p++) {
        if (*p != '{')
            continue;
        if (p[1] == '{') {
            p++;
            continue;
        }
        const char *end = strchr(p, '}');
        if (end == NULL) {
            fault_set(error, FAULT_USAGE, "key template \"%s\": a brace is open; write {{ for a brace itself", template);
            return false;
        }
        const int n = (int)(end - p - 1);
        if (n == 6 && memcmp(p + 1, "sha256", 6) == 0) {
            fault_set(error, FAULT_USAGE,
                      "key template: {sha256} is not there yet, since the key is chosen before the file was read; {rand} and {uuid} "
                      "give unique keys");
            return false;
        }
        if (word_of(p + 1, (size_t)n) == N_WORDS) {
            g_autofree char *list = g_strjoinv("} {", (char **)words);
            fault_set(error, FAULT_USAGE, "key template: {%.*s} is unknown; allowed: {%s}", n, p + 1, list);
            return false;
        }
        p = end;
    }
    return true;
}

static void append_time(GString *out, int64_t now_s, const char *format)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(now_s);
    g_autofree char *text = time == NULL ? NULL : g_date_time_format(time, format);
    g_string_append(out, text == NULL ? "" : text);
}

/* Text of a pattern has its braces doubled, since it is filled in once more. */
static void append_text(GString *out, const char *text, size_t n, bool pattern)
{
    for (size_t i = 0; i < n; i++) {
        g_string_append_c(out, text[i]);
        if (pattern && text[i] == '{')
            g_string_append_c(out, '{');
    }
}

static void drop_last(GString *out, const char *separators)
{
    if (out->len > 0 && strchr(separators, out->str[out->len - 1]) != NULL)
        g_string_truncate(out, out->len - 1);
}

static void append_random(GString *out)
{
    uint8_t bytes[RAND_BYTES];
    digest_random(bytes, sizeof bytes);
    g_autofree char *hex = digest_hex(bytes, sizeof bytes);
    g_string_append(out, hex);
}

/* What is known of a file before it was read. */
static void append_fact(GString *out, Word word, const KeyFacts *facts, bool pattern)
{
    const char *path = facts->relpath, *name = name_of(path), *dot = dot_of(name);
    g_autofree char *uuid = NULL;
    switch (word) {
    case WORD_RELPATH:
        append_text(out, path, strlen(path), pattern);
        break;
    case WORD_DIR:
        append_text(out, path, name > path ? (size_t)(name - path - 1) : 0, pattern);
        break;
    case WORD_NAME:
        append_text(out, name, strlen(name), pattern);
        break;
    case WORD_STEM:
        append_text(out, name, (size_t)(dot - name), pattern);
        break;
    case WORD_DATE:
        append_time(out, facts->now_s, "%Y-%m-%d");
        break;
    case WORD_TIME:
        append_time(out, facts->now_s, "%H%M%S");
        break;
    case WORD_TS:
        g_string_append_printf(out, "%" G_GINT64_FORMAT, facts->now_s);
        break;
    case WORD_UUID:
        uuid = g_uuid_string_random();
        g_string_append(out, uuid);
        break;
    case WORD_RAND:
        append_random(out);
        break;
    case WORD_BATCH:
        g_string_append_printf(out, "%" G_GINT64_FORMAT, facts->batch);
        break;
    case WORD_EXT:
    case WORD_RENDITION:
    case N_WORDS:
        break;
    }
}

static void append_ext(GString *out, const char *ext)
{
    g_string_append(out, ext);
    if (*ext == '\0')
        drop_last(out, ".");
}

/* No rendition takes what sets it off with it: the character before it, or at the start of a segment the one behind. How many of rest that
 * is. */
static size_t append_rendition(GString *out, const char *rendition, const char *rest)
{
    g_string_append(out, rendition);
    if (*rendition != '\0')
        return 0;
    if (out->len == 0 || out->str[out->len - 1] == '/')
        return *rest != '\0' && strchr("@-_", *rest) != NULL;
    drop_last(out, "@-_.");
    return 0;
}
/* Without empty segments, "." and "..": servers and clients of the object's URL would take them away, or climb out of the prefix. */
static char *without_dot_segments(const char *path)
{
    GString *out = g_string_sized_new(strlen(path) + 1);
    while (*path != '\0') {
        const size_t n = strcspn(path, "/");
        const bool dots = (n == 1 && path[0] == '.') || (n == 2 && path[0] == '.' && path[1] == '.');
        if (n > 0 && !dots) {
            if (out->len > 0)
                g_string_append_c(out, '/');
            g_string_append_len(out, path, (gssize)n);
        }
        path += n;
        path += *path == '/';
    }
    return g_string_free(out, FALSE);
}

/* Without ext it becomes a pattern: {ext} and {rendition} stay. */
static char *expand(const char *template, const KeyFacts *facts, const char *ext, const char *rendition)
{
    g_autoptr(GString) out = g_string_new(NULL);
    for (const char *p = template; *p != '\0'; p++) {
        if (*p != '{' || p[1] == '{') {
            append_text(out, p, 1, ext == NULL);
            p += *p == '{';
            continue;
        }
        const char *end = strchr(p, '}');
        g_assert(end != NULL); /* key_template_check came first */
        const Word word = word_of(p + 1, (size_t)(end - p - 1));
        const bool later = word == WORD_EXT || word == WORD_RENDITION;
        if (later && ext == NULL)
            g_string_append_len(out, p, end + 1 - p);
        else if (word == WORD_EXT)
            append_ext(out, ext);
        else if (word == WORD_RENDITION)
            end += append_rendition(out, rendition, end + 1);
        else
            append_fact(out, word, facts, ext == NULL);
        p = end;
    }
    return without_dot_segments(out->str);
}

char *key_expand(const char *template, const KeyFacts *facts)
{
    const char *dot = dot_of(name_of(facts->relpath));
    return expand(template, facts, *dot == '.' ? dot + 1 : dot, "");
}

static const char *find_word(const char *pattern, Word word)
{
    const size_t n = strlen(words[word]);
    for (const char *p = pattern; *p != '\0'; p++)
        if (*p == '{' && p[1] == '{')
            p++;
        else if (*p == '{' && strncmp(p + 1, words[word], n) == 0 && p[1 + n] == '}')
            return p;
    return NULL;
}

char *key_pattern(const char *template, const KeyFacts *facts)
{
    g_autofree char *pattern = expand(template, facts, NULL, NULL);
    const char *rendition = find_word(pattern, WORD_RENDITION) != NULL ? "" : "@{rendition}", *name = name_of(pattern);
    const char *end = find_word(name, WORD_EXT), *rest = end, *ext = "";
    if (end == NULL) { /* the name's own extension gives way, as in key_with_extension */
        end = dot_of(name);
        if (find_word(end, WORD_RENDITION) != NULL)
            end += strlen(end);
        rest = "";
        ext = ".{ext}";
    } else if (end > name && strchr("@-_.", end[-1]) != NULL) {
        rest = --end;
    }
    return g_strdup_printf("%.*s%s%s%s", (int)(end - pattern), pattern, rendition, ext, rest);
}

char *key_of_pattern(const char *pattern, const char *rendition, const char *ext)
{
    return expand(pattern, NULL, ext, rendition);
}

/* ---- keys ---- */

bool key_check(const char *key, GError **error)
{
    const size_t n = strlen(key);
    if (n == 0 || key[n - 1] == '/')
        fault_set(error, FAULT_KEY, "the key template leaves no name for this file");
    else if (n > KEY_MAX_BYTES)
        fault_set(error, FAULT_KEY, "the key would have %zu bytes, and stores allow %d: shorten the prefix or the template", n,
                  KEY_MAX_BYTES);
    else
        return true;
    return false;
}

static const char *family(const char *ext)
{
    static const char *const families[][2] = {
        { "jpeg", "jpg" }, { "jpe", "jpg" }, { "jfif", "jpg" }, { "tiff", "tif" }, { "heif", "heic" }
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(families); i++)
        if (g_ascii_strcasecmp(ext, families[i][0]) == 0)
            return families[i][1];
    return ext;
}

/* stem + tail, the stem cut so that both fit. */
static char *joined(const char *key, size_t stem_bytes, const char *tail)
{
    const size_t name_at = (size_t)(name_of(key) - key), tail_bytes = strlen(tail);
    if (stem_bytes + tail_bytes > KEY_MAX_BYTES && KEY_MAX_BYTES > name_at + tail_bytes) {
        stem_bytes = KEY_MAX_BYTES - tail_bytes;
        while (stem_bytes > name_at + 1 && ((unsigned char)key[stem_bytes] & 0xc0) == 0x80)
            stem_bytes--;
    }
    return g_strdup_printf("%.*s%s", (int)stem_bytes, key, tail);
}

char *key_with_extension(const char *key, const char *ext)
{
    const char *dot = dot_of(name_of(key));
    if (*dot == '.' && g_ascii_strcasecmp(family(dot + 1), family(ext)) == 0)
        return g_strdup(key);
    g_autofree char *tail = g_strconcat(".", ext, NULL);
    return joined(key, (size_t)(dot - key), tail);
}

char *key_of_result(const char *key, const char *ext)
{
    g_autofree char *of_kind = key_with_extension(key, ext), *tail = g_strconcat(".", ext, NULL);
    return g_str_equal(of_kind, key) ? g_steal_pointer(&of_kind) : joined(key, strlen(key), tail);
}

char *key_numbered(const char *key, unsigned n)
{
    const char *dot = dot_of(name_of(key));
    g_autofree char *tail = g_strdup_printf("-%u%s", n, dot);
    return joined(key, (size_t)(dot - key), tail);
}
