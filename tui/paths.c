#include "paths.h"

#include <stdlib.h>
#include <string.h>

char *paths_absolute(const char *cwd, const char *path)
{
    g_autofree char *whole = *path == '/' ? g_strdup(path) : g_strconcat(cwd, "/", path, NULL);
    g_auto(GStrv) words = g_strsplit(whole, "/", -1);
    g_autoptr(GString) out = g_string_new(NULL);
    for (char **word = words; *word != NULL; word++) {
        if (g_str_equal(*word, "..")) {
            char *resolved = realpath(whole, NULL);
            if (resolved != NULL)
                return resolved;
        }
        if (**word != '\0' && !g_str_equal(*word, "."))
            g_string_append_printf(out, "/%s", *word);
    }
    if (out->len == 0)
        g_string_append_c(out, '/');
    return g_string_free(g_steal_pointer(&out), FALSE);
}

bool paths_split(GByteArray *pending, char separator, bool at_end, GPtrArray *paths)
{
    size_t start = 0;
    while (start < pending->len) {
        const char *text = (const char *)pending->data + start;
        const size_t left = pending->len - start;
        const char *end = memchr(text, separator, left);
        const size_t length = end != NULL ? (size_t)(end - text) : left;
        if (length > PATHS_MAX_LINE)
            return false;
        if (end == NULL && !at_end)
            break;
        if (length > 0)
            g_ptr_array_add(paths, g_strndup(text, length));
        start += length + (end != NULL);
    }
    if (start > 0)
        g_byte_array_remove_range(pending, 0, (guint)start);
    return true;
}
