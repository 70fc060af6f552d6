#include "hoist.h"

#include <string.h>

#include "fault.h"

/* Characters that are valid UTF-8 and still no business of a terminal: bidi controls reorder what stands around them, invisible ones
 * make two names look alike (terminal conventions, "Text and width"). */
static bool is_treacherous(gunichar c)
{
    static const struct {
        gunichar first, last;
    } ranges[] = {
        { 0x061c, 0x061c }, { 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f }, { 0xfeff, 0xfeff }, { 0xe0000, 0xe007f },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(ranges); i++)
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    return false;
}

/* A zero-width joiner inside an emoji or a script that needs it is text; alone it is a disguise. */
static bool joins(gunichar before, const char *after, const char *end)
{
    const gunichar next = after < end ? g_utf8_get_char_validated(after, end - after) : 0;
    return before > 0x7f && next > 0x7f && next < 0x110000 && g_unichar_isprint(before) && g_unichar_isprint(next);
}

static void append_char(GString *out, gunichar c, gunichar before, const char *after, const char *end)
{
    if (c == '\t')
        g_string_append(out, "\\t");
    else if (c < 0x20 || c == 0x7f)
        g_string_append_printf(out, "^%c", (char)(c ^ 0x40));
    else if (c >= 0x80 && c <= 0x9f)
        g_string_append_printf(out, "\\u%04x", c);
    else if ((c == 0x200c || c == 0x200d) && joins(before, after, end))
        g_string_append_unichar(out, c);
    else if (is_treacherous(c))
        g_string_append_printf(out, "<U+%04X>", c);
    else
        g_string_append_unichar(out, c);
}

char *hoist_text(const char *bytes)
{
    if (bytes == NULL)
        return g_strdup("");
    const char *end = bytes + strlen(bytes);
    GString *out = g_string_sized_new((gsize)(end - bytes) + 1);
    gunichar before = 0;
    for (const char *p = bytes; p < end;) {
        const gunichar c = g_utf8_get_char_validated(p, end - p);
        if (c >= 0x110000) { /* (gunichar)-1 or -2: invalid or cut short */
            g_string_append_printf(out, "\\x%02x", (unsigned char)*p++);
            before = 0;
            continue;
        }
        const char *next = g_utf8_next_char(p);
        append_char(out, c, before, next, end);
        before = c;
        p = next;
    }
    return g_string_free(out, FALSE);
}

const char *hoist_fault_name(const GError *error)
{
    return fault_info(fault_code(error))->name;
}

const char *hoist_fault_remedy(const GError *error)
{
    return fault_info(fault_code(error))->remedy;
}

const char *hoist_remedy_of(const char *fault_name)
{
    return fault_info(fault_by_name(fault_name))->remedy;
}

bool hoist_fault_is_usage(const GError *error)
{
    const FaultCode code = fault_code(error);
    return code == FAULT_USAGE || code == FAULT_CONFIG;
}
