/* field.h - one line of text being typed: UTF-8, with a cursor. Pure. Control characters never get in; at most FIELD_MAX bytes. */
#pragma once

#include <stddef.h>

#include "canvas.h"
#include "input.h"

enum { FIELD_MAX = 8192 };

typedef struct {
    GString *text;
    size_t   cursor;            /* byte offset, at a character */
} Field;

void field_init(Field *f, const char *text);
void field_clear(Field *f);             /* frees; zeroed memory is fine */
bool field_key(Field *f, const InputEvent *ev);        /* true when the key was for the field: text, arrows, Backspace, C-a C-e C-u C-w C-k */
void field_insert(Field *f, const char *bytes, size_t n);      /* a paste; its line ends are left out */
void field_draw(const Field *f, Canvas *c, int x, int y, int width);   /* with the terminal's cursor */
