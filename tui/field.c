#include "field.h"

#include <string.h>

#include "core/hoist.h"

#define CTRL(letter) ((letter) - 'a' + 1)

void field_init(Field *f, const char *text)
{
    f->text = g_string_new(text);
    f->cursor = f->text->len;
}

void field_clear(Field *f)
{
    if (f->text != NULL)
        g_string_free(f->text, TRUE);
    *f = (Field){ 0 };
}

static size_t before(const Field *f)
{
    if (f->cursor == 0)
        return 0;
    return (size_t)(g_utf8_prev_char(f->text->str + f->cursor) - f->text->str);
}

static size_t after(const Field *f)
{
    if (f->cursor >= f->text->len)
        return f->text->len;
    return (size_t)(g_utf8_next_char(f->text->str + f->cursor) - f->text->str);
}

static void erase(Field *f, size_t from, size_t to)
{
    g_string_erase(f->text, (gssize)from, (gssize)(to - from));
    f->cursor = from;
}

static size_t word_start(const Field *f)
{
    size_t at = f->cursor;
    while (at > 0 && (f->text->str[at - 1] == ' ' || f->text->str[at - 1] == '/'))
        at--;
    while (at > 0 && f->text->str[at - 1] != ' ' && f->text->str[at - 1] != '/')
        at--;
    return at;
}

void field_insert(Field *f, const char *bytes, size_t n)
{
    g_autofree char *valid = g_utf8_make_valid(bytes, (gssize)n);
    for (const char *p = valid; *p != '\0'; p = g_utf8_next_char(p)) {
        const size_t len = (size_t)(g_utf8_next_char(p) - p);
        if (g_unichar_iscntrl(g_utf8_get_char(p)) || f->text->len + len > FIELD_MAX)
            continue;
        g_string_insert_len(f->text, (gssize)f->cursor, p, (gssize)len);
        f->cursor += len;
    }
}

static bool insert_key(Field *f, const InputEvent *ev)
{
    char bytes[6];
    if (ev->key < ' ' || ev->key >= KEY_BASE || (ev->mods & (MOD_ALT | MOD_CTRL)) != 0 || !g_unichar_validate(ev->key))
        return false;
    field_insert(f, bytes, (size_t)g_unichar_to_utf8(ev->key, bytes));
    return true;
}

bool field_key(Field *f, const InputEvent *ev)
{
    switch (ev->key) {
    case 127:
    case CTRL('h'):
        erase(f, before(f), f->cursor);
        return true;
    case KEY_DELETE_:
    case CTRL('d'):
        erase(f, f->cursor, after(f));
        return true;
    case KEY_LEFT_:
    case CTRL('b'):
        f->cursor = before(f);
        return true;
    case KEY_RIGHT_:
    case CTRL('f'):
        f->cursor = after(f);
        return true;
    case KEY_HOME_:
    case CTRL('a'):
        f->cursor = 0;
        return true;
    case KEY_END_:
    case CTRL('e'):
        f->cursor = f->text->len;
        return true;
    case CTRL('u'):
        erase(f, 0, f->cursor);
        return true;
    case CTRL('k'):
        g_string_truncate(f->text, f->cursor);
        return true;
    case CTRL('w'):
        erase(f, word_start(f), f->cursor);
        return true;
    default:
        return insert_key(f, ev);
    }
}

/* The part around the cursor that fits; what is typed may hold characters that are shown as more than one. */
void field_draw(const Field *f, Canvas *c, int x, int y, int width)
{
    g_autofree char *left = g_strndup(f->text->str, f->cursor);
    g_autofree char *head = hoist_text(left);
    g_autofree char *tail = hoist_text(f->text->str + f->cursor);
    const char *from = head;
    canvas_fill(c, x, y, width, 1, ROLE_TEXT);
    while (canvas_width(c, from) > width - 1 && *from != '\0')
        from = g_utf8_next_char(from);
    const int used = canvas_text(c, x, y, width, ROLE_TEXT, from);
    canvas_text(c, x + used, y, width - used, ROLE_TEXT, tail);
    c->cursor_x = x + used;
    c->cursor_y = y;
}
