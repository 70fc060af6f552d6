#include "canvas.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MARKS_MAX = 4, BRAILLE = 0x2800, REPLACEMENT = 0xFFFD };

/* What stands for our own symbols when the locale is not UTF-8. */
static const struct {
    const char *utf8, *ascii;
} symbols[] = {
    { "…", "..." }, { "·", "." }, { "»", ">>" }, { "✓", "ok" }, { "↻", "R" }, { "‖", "==" }, { "×", "x" },  { "●", "*" },
    { "▌", "|" },   { "▸", ">" }, { "▲", "^" },  { "▼", "v" },  { "↑", "^" }, { "↓", "v" },  { "→", "->" }, { "←", "<-" },
    { "─", "-" },   { "│", "|" }, { "┌", "+" },  { "┐", "+" },  { "└", "+" }, { "┘", "+" },  { "┬", "+" },  { "┴", "+" },
    { "█", "#" },   { "▒", "=" }, { "░", "." },  { "–", "-" },  { "−", "-" },
};

Canvas *canvas_new(int width, int height, bool ascii)
{
    Canvas *c = g_new0(Canvas, 1);
    c->width = MAX(width, 1);
    c->height = MAX(height, 1);
    c->ascii = ascii;
    c->cells = g_new(Cell, (gsize)c->width * (gsize)c->height);
    canvas_clear(c);
    return c;
}

void canvas_free(Canvas *c)
{
    if (c == NULL)
        return;
    canvas_clear(c);
    g_free(c->cells);
    g_free(c);
}

static Cell *cell_at(const Canvas *c, int x, int y)
{
    return x < 0 || y < 0 || x >= c->width || y >= c->height ? NULL : &c->cells[(size_t)y * (size_t)c->width + (size_t)x];
}

static void cell_set(Cell *cell, const char *text, size_t len, unsigned width, Role role)
{
    memset(cell, 0, sizeof *cell);
    memcpy(cell->text, text, MIN(len, sizeof cell->text - 1));
    cell->width = (uint8_t)width;
    cell->role = (uint8_t)role;
}

void canvas_clear(Canvas *c)
{
    canvas_fill(c, 0, 0, c->width, c->height, ROLE_TEXT);
    c->cursor_x = -1;
    c->cursor_y = -1;
    g_clear_pointer(&c->image.sequence, g_bytes_unref);
}

/* ------------------------------------------------------------------ characters */

static int char_width(gunichar ch)
{
    if (ch < 0x7F)
        return 1;
    if (g_unichar_iszerowidth(ch))
        return 0;
    return g_unichar_iswide(ch) ? 2 : 1;
}

/* What must never reach a terminal as itself, whoever sent it. */
static bool is_harmful(gunichar ch)
{
    return ch < 0x20 || (ch >= 0x7F && ch < 0xA0) || ch == 0x2028 || ch == 0x2029 || !g_unichar_isdefined(ch);
}

static gunichar shown(gunichar ch)
{
    return is_harmful(ch) ? REPLACEMENT : ch;
}

static const char *symbol_of(const char *utf8, size_t len)
{
    for (size_t i = 0; i < G_N_ELEMENTS(symbols); i++)
        if (strlen(symbols[i].utf8) == len && memcmp(symbols[i].utf8, utf8, len) == 0)
            return symbols[i].ascii;
    return NULL;
}

/* The text as this canvas can show it, or NULL when it can be taken as it is. */
static char *adapt(const Canvas *c, const char *text)
{
    if (!c->ascii)
        return g_utf8_validate(text, -1, NULL) ? NULL : g_utf8_make_valid(text, -1);
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    GString *out = g_string_new(NULL);
    for (const char *p = valid; *p != '\0'; p = g_utf8_next_char(p)) {
        const size_t len = (size_t)(g_utf8_next_char(p) - p);
        const char *symbol = len == 1 ? NULL : symbol_of(p, len);
        if (len == 1)
            g_string_append_c(out, *p);
        else if (symbol != NULL)
            g_string_append(out, symbol);
        else
            g_string_append_printf(out, "<U+%04X>", g_utf8_get_char(p));
    }
    return g_string_free(out, FALSE);
}

static int width_of(const char *utf8)
{
    int width = 0;
    for (const char *p = utf8; *p != '\0'; p = g_utf8_next_char(p))
        width += char_width(shown(g_utf8_get_char(p)));
    return width;
}

int canvas_width(const Canvas *c, const char *utf8)
{
    g_autofree char *own = adapt(c, utf8);
    return width_of(own == NULL ? utf8 : own);
}

/* Bytes of the longest head of the text that takes at most `width` columns, with the marks of its last character. */
static size_t head_bytes(const char *utf8, int width, int *width_out)
{
    int used = 0;
    const char *p = utf8;
    while (*p != '\0') {
        const int w = char_width(shown(g_utf8_get_char(p)));
        if (used + w > width)
            break;
        used += w;
        p = g_utf8_next_char(p);
    }
    *width_out = used;
    return (size_t)(p - utf8);
}

/* Where the longest tail of at most `width` columns begins; never at a combining mark. */
static const char *tail_start(const char *utf8, int width, int *width_out)
{
    const char *start = utf8 + strlen(utf8);
    int used = 0;
    *width_out = 0;
    for (const char *p = start; p > utf8;) {
        p = g_utf8_prev_char(p);
        const int w = char_width(shown(g_utf8_get_char(p)));
        if (used + w > width)
            break;
        used += w;
        if (w > 0) {
            start = p;
            *width_out = used;
        }
    }
    return start;
}

/* ------------------------------------------------------------------ text */

/* A character that shares a cell with (x, y) but is not overwritten whole becomes a space. */
static void part_wide(Canvas *c, int x, int y)
{
    Cell *cell = cell_at(c, x, y);
    if (cell == NULL)
        return;
    Cell *left = cell_at(c, x - 1, y);
    Cell *right = cell_at(c, x + 1, y);
    if (cell->width == 0 && left != NULL)
        cell_set(left, " ", 1, 1, left->role);
    if (cell->width == 2 && right != NULL)
        cell_set(right, " ", 1, 1, right->role);
}

static void add_mark(Canvas *c, int x, int y, const char *mark, size_t len)
{
    Cell *cell = cell_at(c, x, y);
    if (cell != NULL && cell->width == 0)
        cell = cell_at(c, x - 1, y);
    if (cell == NULL)
        return;
    const size_t have = strlen(cell->text);
    if (g_utf8_strlen(cell->text, -1) <= MARKS_MAX && have + len < sizeof cell->text)
        memcpy(cell->text + have, mark, len);
}

static void put_char(Canvas *c, int x, int y, int width, Role role, gunichar ch)
{
    char bytes[6];
    const size_t len = (size_t)g_unichar_to_utf8(ch, bytes);
    Cell *cell = cell_at(c, x, y);
    if (cell == NULL)
        return;
    part_wide(c, x, y);
    Cell *second = width == 2 ? cell_at(c, x + 1, y) : NULL;
    if (width == 2 && second == NULL) {
        cell_set(cell, " ", 1, 1, role);
        return;
    }
    if (second != NULL)
        part_wide(c, x + 1, y);
    cell_set(cell, bytes, len, (unsigned)width, role);
    if (second != NULL)
        cell_set(second, "", 0, 0, role);
}

static int put_text(Canvas *c, int x, int y, int width, Role role, const char *utf8)
{
    int used = 0;
    for (const char *p = utf8; *p != '\0'; p = g_utf8_next_char(p)) {
        const gunichar ch = shown(g_utf8_get_char(p));
        const int w = char_width(ch);
        if (w == 0) {
            if (used > 0)
                add_mark(c, x + used - 1, y, p, (size_t)(g_utf8_next_char(p) - p));
            continue;
        }
        if (used + w > width)
            break;
        put_char(c, x + used, y, w, role, ch);
        used += w;
    }
    return used;
}

int canvas_text(Canvas *c, int x, int y, int width, Role role, const char *utf8)
{
    g_autofree char *own = adapt(c, utf8);
    return put_text(c, x, y, width, role, own == NULL ? utf8 : own);
}

int canvas_printf(Canvas *c, int x, int y, Role role, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    return canvas_text(c, x, y, c->width - x, role, text);
}

static char *cut_text(const Canvas *c, const char *utf8, int width, Cut cut)
{
    const char *dots = c->ascii ? "..." : "…";
    const int room = width - (c->ascii ? 3 : 1);
    int head = 0, tail = 0;
    if (room < 2)
        return g_strndup(utf8, head_bytes(utf8, width, &head));
    const char *end = cut == CUT_MIDDLE ? tail_start(utf8, room / 2, &tail) : "";
    const size_t bytes = head_bytes(utf8, room - tail, &head);
    return g_strdup_printf("%.*s%s%s", (int)bytes, utf8, dots, end);
}

void canvas_fit(Canvas *c, int x, int y, int width, Role role, Cut cut, bool right, const char *utf8)
{
    if (width <= 0)
        return;
    g_autofree char *own = adapt(c, utf8);
    const char *text = own == NULL ? utf8 : own;
    g_autofree char *shorter = width_of(text) > width ? cut_text(c, text, width, cut) : NULL;
    if (shorter != NULL)
        text = shorter;
    canvas_fill(c, x, y, width, 1, role);
    put_text(c, right ? x + width - width_of(text) : x, y, width, role, text);
}

/* Bytes of the first line when the text is broken at the last space that fits, else hard. */
static size_t line_bytes(const char *text, int width)
{
    int used = 0;
    const size_t hard = head_bytes(text, width, &used);
    if (text[hard] == '\0' || text[hard] == ' ')
        return hard;
    for (size_t i = hard; i > 0; i--)
        if (text[i - 1] == ' ')
            return i - 1 > 0 ? i - 1 : hard;
    return hard;
}

int canvas_wrap(Canvas *c, int x, int y, int width, int rows, Role role, const char *utf8)
{
    g_autofree char *own = adapt(c, utf8);
    const char *p = own == NULL ? utf8 : own;
    int row = 0;
    while (row < rows && *p != '\0' && width > 1) {
        const size_t bytes = line_bytes(p, width);
        if (bytes == 0)
            break;
        if (row + 1 == rows && p[bytes] != '\0') {
            canvas_fit(c, x, y + row, width, role, CUT_END, false, p);
            return rows;
        }
        g_autofree char *line = g_strndup(p, bytes);
        put_text(c, x, y + row, width, role, line);
        row++;
        p += bytes;
        while (*p == ' ')
            p++;
    }
    return row;
}

/* ------------------------------------------------------------------ shapes */

void canvas_fill(Canvas *c, int x, int y, int width, int height, Role role)
{
    for (int row = MAX(y, 0); row < MIN(y + height, c->height); row++) {
        if (width > 0) {
            part_wide(c, x, row);
            part_wide(c, x + width - 1, row);
        }
        for (int column = MAX(x, 0); column < MIN(x + width, c->width); column++)
            cell_set(cell_at(c, column, row), " ", 1, 1, role);
    }
}

void canvas_role(Canvas *c, int x, int y, int width, Role role)
{
    for (int column = x; column < x + width; column++) {
        Cell *cell = cell_at(c, column, y);
        if (cell != NULL)
            cell->role = (uint8_t)role;
    }
}

void canvas_hline(Canvas *c, int x, int y, int width)
{
    for (int i = 0; i < width; i++)
        canvas_text(c, x + i, y, 1, ROLE_RULE, "─");
}

void canvas_vline(Canvas *c, int x, int y, int height)
{
    for (int i = 0; i < height; i++)
        canvas_text(c, x, y + i, 1, ROLE_RULE, "│");
}

void canvas_box(Canvas *c, int x, int y, int width, int height, const char *title)
{
    canvas_fill(c, x, y, width, height, ROLE_TEXT);
    canvas_hline(c, x + 1, y, width - 2);
    canvas_hline(c, x + 1, y + height - 1, width - 2);
    canvas_vline(c, x, y + 1, height - 2);
    canvas_vline(c, x + width - 1, y + 1, height - 2);
    canvas_text(c, x, y, 1, ROLE_RULE, "┌");
    canvas_text(c, x + width - 1, y, 1, ROLE_RULE, "┐");
    canvas_text(c, x, y + height - 1, 1, ROLE_RULE, "└");
    canvas_text(c, x + width - 1, y + height - 1, 1, ROLE_RULE, "┘");
    const int room = width - 6;
    if (title != NULL && room > 0) {
        const int len = MIN(canvas_width(c, title), room);
        canvas_fill(c, x + 2, y, len + 2, 1, ROLE_STRONG);
        canvas_fit(c, x + 3, y, len, ROLE_STRONG, CUT_END, false, title);
    }
}

static double share(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : CLAMP((double)part / (double)whole, 0, 1);
}

static void ascii_bar(Canvas *c, int x, int y, int width, double acked, double sent, bool done)
{
    const int inner = width - 2;
    const int solid = done ? inner : MIN((int)(acked * inner), inner - 1);
    const int shaded = done ? inner : (int)(sent * inner);
    canvas_text(c, x, y, 1, ROLE_RULE, "[");
    for (int i = 0; i < inner; i++) {
        const char *cell = i < solid ? "#" : i < shaded ? "=" : ".";
        canvas_text(c, x + 1 + i, y, 1, i < solid ? ROLE_BAR : i < shaded ? ROLE_SENT : ROLE_TRACK, cell);
    }
    canvas_text(c, x + width - 1, y, 1, ROLE_RULE, "]");
}

void canvas_bar(Canvas *c, int x, int y, int width, uint64_t acked, uint64_t sent, uint64_t total, bool done)
{
    static const char *const eighths[] = { "", "▏", "▎", "▍", "▌", "▋", "▊", "▉" };
    if (width < 3)
        return;
    const double solid = share(acked, total);
    const double shade = share(sent, total);
    if (c->ascii) {
        ascii_bar(c, x, y, width, solid, shade, done);
        return;
    }
    const int n = done ? width * 8 : MIN((int)floor(solid * width * 8 + 0.5), width * 8 - 1);
    const int shaded = (int)floor(shade * width + 0.5);
    for (int i = 0; i < width; i++) {
        if (i < n / 8)
            put_text(c, x + i, y, 1, ROLE_BAR, "█");
        else if (i == n / 8 && n % 8 != 0)
            put_text(c, x + i, y, 1, ROLE_BAR, eighths[n % 8]);
        else if (i < shaded)
            put_text(c, x + i, y, 1, ROLE_SENT, "▒");
        else
            put_text(c, x + i, y, 1, ROLE_TRACK, "░");
    }
}

void canvas_bar_prepared(Canvas *c, int x, int y, int width, int percent)
{
    const int done = CLAMP(percent, 0, 100) * width / 100;
    for (int i = 0; i < width; i++)
        canvas_text(c, x + i, y, 1, i < done ? ROLE_PREPARED : ROLE_TRACK, i < done ? "▒" : "░");
}

/* Steps (of `steps` a cell) that a sample fills in the cell `row` rows above the bottom. A moving sample shows at least one step. */
static int filled(double value, double top, int height, int row, int steps)
{
    int level = top > 0 && value > 0 ? (int)ceil(value / top * height * steps) : 0;
    level = MIN(level, height * steps);
    return CLAMP(level - row * steps, 0, steps);
}

static gunichar braille_cell(int left, int right)
{
    static const unsigned bits[2][4] = { { 0x40, 0x04, 0x02, 0x01 }, { 0x80, 0x20, 0x10, 0x08 } }; /* from the bottom */
    unsigned dots = 0;
    for (int i = 0; i < left; i++)
        dots |= bits[0][i];
    for (int i = 0; i < right; i++)
        dots |= bits[1][i];
    return dots == 0 ? ' ' : BRAILLE + dots;
}

void canvas_graph(Canvas *c, int x, int y, int width, int height, const double *samples, unsigned n, double top)
{
    static const char ascii_levels[] = " .:-=+*#%@";
    const bool braille = !c->ascii && height > 1;
    const int columns = braille ? width * 2 : width;
    for (int cx = 0; cx < width; cx++) {
        for (int row = 0; row < height; row++) {
            double v[2] = { 0, 0 };
            for (int k = 0; k < (braille ? 2 : 1); k++) {
                const int at = (int)n - columns + cx * (braille ? 2 : 1) + k;
                v[k] = at >= 0 ? samples[at] : 0;
            }
            gunichar ch;
            if (braille)
                ch = braille_cell(filled(v[0], top, height, row, 4), filled(v[1], top, height, row, 4));
            else if (c->ascii)
                ch = (gunichar)ascii_levels[filled(v[0], top, height, row, 9)];
            else
                ch = v[0] > 0 ? 0x2580 + (gunichar)MAX(filled(v[0], top, height, row, 8), 1) : ' ';
            put_char(c, x + cx, y + height - 1 - row, 1, ROLE_GRAPH, ch);
        }
    }
}

/* ------------------------------------------------------------------ pictures */

void canvas_paint(Canvas *c, int x, int y, gunichar ch, int32_t fg, int32_t bg)
{
    put_char(c, x, y, 1, ROLE_PICTURE, c->ascii && ch >= 0x7F ? '#' : shown(ch));
    Cell *cell = cell_at(c, x, y);
    if (cell == NULL)
        return;
    cell->fg = fg;
    cell->bg = bg;
}

/* Blanks that curses holds for text, another one in each row: so it neither clears to the end of a line through the picture, nor takes rows
 * of the picture for equal and scrolls them. */
static gunichar blank_of_row(int row)
{
    static const gunichar blanks[] = {
        0xA0, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200A, 0x202F
    };
    return blanks[row % (int)G_N_ELEMENTS(blanks)];
}

void canvas_image(Canvas *c, int x, int y, int width, int height, GBytes *sequence)
{
    if (c->ascii || x < 0 || y < 0 || width < 1 || height < 1 || x + width > c->width || y + height > c->height)
        return;
    for (int row = y; row < y + height; row++)
        for (int column = x; column < x + width; column++)
            canvas_paint(c, column, row, blank_of_row(row), -1, -1);
    g_bytes_ref(sequence);
    if (c->image.sequence != NULL)
        g_bytes_unref(c->image.sequence);
    c->image = (CanvasImage){ x, y, width, height, sequence };
}

bool canvas_image_whole(const Canvas *c)
{
    const CanvasImage *image = &c->image;
    if (image->sequence == NULL)
        return false;
    for (int y = image->y; y < image->y + image->height; y++)
        for (int x = image->x; x < image->x + image->width; x++)
            if (cell_at(c, x, y)->role != ROLE_PICTURE)
                return false;
    return true;
}

/* ------------------------------------------------------------------ for tests */

char *canvas_to_text(const Canvas *c)
{
    GString *out = g_string_new(NULL);
    for (int y = 0; y < c->height; y++) {
        for (int x = 0; x < c->width; x++)
            g_string_append(out, cell_at(c, x, y)->text);
        while (out->len > 0 && out->str[out->len - 1] == ' ')
            g_string_truncate(out, out->len - 1);
        g_string_append_c(out, '\n');
    }
    return g_string_free(out, FALSE);
}

int canvas_row_width(const Canvas *c, int y)
{
    int width = 0;
    for (int x = 0; x < c->width; x++)
        width += width_of(cell_at(c, x, y)->text);
    return width;
}
