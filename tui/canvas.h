/* canvas.h - a grid of cells in memory: text by display width, colours by role, bars, graphs, boxes.
 *
 * Views draw here and nowhere else; term.c shows a canvas, tests compare canvas_to_text with a file. A cell holds one grapheme (a base
 * and up to four combining marks, further ones are dropped); a wide one fills two cells, the second of width 0. No wide character is
 * ever split or put into the last column. Strings are UTF-8; a string that did not come from the program must have gone through
 * hoist_text() first - control characters that still arrive here become U+FFFD, so none reaches the terminal.
 * In ASCII mode (locale without UTF-8) known symbols are replaced by ASCII ones and other characters become <U+5199>.
 * Units: columns and rows, from 0 at the top left. Everything is clipped to the canvas. One thread.
 * Source documents: terminal.md B1, B5, B8; width tables of GLib (Unicode East Asian Width W and F, general categories Mn, Me, Cf).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum {          /* what a cell means; term.c turns it into colours and attributes */
    ROLE_TEXT,
    ROLE_DIM,
    ROLE_STRONG,
    ROLE_BRAND,
    ROLE_ACCENT,
    ROLE_OK,
    ROLE_WARN,
    ROLE_BAD,
    ROLE_PAUSED,
    ROLE_BAR,           /* acknowledged */
    ROLE_SENT,          /* left for the socket, not acknowledged */
    ROLE_TRACK,
    ROLE_GRAPH,
    ROLE_RULE,          /* lines and boxes */
    ROLE_HEAD,          /* column headings */
    ROLE_TAB,
    ROLE_TAB_ON,
    ROLE_KEY,           /* a key in the footer */
    ROLE_SELECTED,      /* the row that keys act upon */
    ROLE_PREPARED,      /* of a picture that is being prepared: nothing is confirmed by that */
    ROLE_PICTURE,       /* the cell has colours of its own */
    N_ROLES
} Role;

typedef struct {
    char    text[22];   /* base of up to 4 bytes and 4 marks; "" = second half of a wide character */
    uint8_t width;      /* 0, 1 or 2 */
    uint8_t role;
    int32_t fg, bg;     /* of ROLE_PICTURE, as curses counts colours: index, 0xRRGGBB with direct colour, -1 = the terminal's own; else 0 */
} Cell;

/* A picture that the terminal itself draws over cells that canvas_image() blanked. It is there only as long as nothing is drawn over them. */
typedef struct {
    int     x, y, width, height;
    GBytes *sequence;   /* what the terminal is sent, with the cursor at (x, y); NULL = no picture */
} CanvasImage;

typedef struct {
    int   width, height;
    bool  ascii;
    int   cursor_x, cursor_y;   /* where the terminal's cursor shows; x -1 = hidden */
    Cell *cells;                /* height rows of width cells */
    CanvasImage image;
} Canvas;

Canvas *canvas_new(int width, int height, bool ascii);
void    canvas_free(Canvas *c);
void    canvas_clear(Canvas *c);        /* all spaces, cursor hidden, no image */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Canvas, canvas_free)

/* Columns that the text takes on this canvas. */
int  canvas_width(const Canvas *c, const char *utf8);

/* Text from (x, y), cut hard after `width` columns; returns the columns used. */
int  canvas_text(Canvas *c, int x, int y, int width, Role role, const char *utf8);
/* As canvas_text with a format and no limit but the canvas. */
int  canvas_printf(Canvas *c, int x, int y, Role role, const char *format, ...) G_GNUC_PRINTF(5, 6);

typedef enum { CUT_END, CUT_MIDDLE } Cut;       /* MIDDLE keeps the end of a file name: "IMG_2024...final.jpg" */
/* Text in exactly `width` columns: cut with an ellipsis, or padded with spaces; to the right edge with `right`. */
void canvas_fit(Canvas *c, int x, int y, int width, Role role, Cut cut, bool right, const char *utf8);
/* Text broken at spaces into at most `rows` rows of `width` columns; the last one ends in an ellipsis when more would follow. Returns the
 * rows used. */
int  canvas_wrap(Canvas *c, int x, int y, int width, int rows, Role role, const char *utf8);

void canvas_fill(Canvas *c, int x, int y, int width, int height, Role role);    /* spaces */
void canvas_role(Canvas *c, int x, int y, int width, Role role);                /* recolours cells, keeps their text */
void canvas_hline(Canvas *c, int x, int y, int width);
void canvas_vline(Canvas *c, int x, int y, int height);
/* Frame with a title in its upper edge; the inside is cleared. */
void canvas_box(Canvas *c, int x, int y, int width, int height, const char *title);

/* One character in colours of its own; in ASCII mode what is not ASCII becomes '#'. */
void canvas_paint(Canvas *c, int x, int y, gunichar ch, int32_t fg, int32_t bg);
/* Blanks cells and makes the terminal draw there. Takes a reference to the sequence. One image a canvas; it must lie on it as a whole. */
void canvas_image(Canvas *c, int x, int y, int width, int height, GBytes *sequence);
bool canvas_image_whole(const Canvas *c);       /* there is one, and nothing was drawn over it */

/* Bar: acknowledged solid, sent but not acknowledged shaded, the rest a track. Full only when done. */
void canvas_bar(Canvas *c, int x, int y, int width, uint64_t acked, uint64_t sent, uint64_t total, bool done);
/* Bar of work that sends nothing yet. */
void canvas_bar_prepared(Canvas *c, int x, int y, int width, int percent);
/* Graph of n samples, newest right, scaled to `top`; height 1: block sparkline, more: braille, two samples a column. */
void canvas_graph(Canvas *c, int x, int y, int width, int height, const double *samples, unsigned n, double top);

/* Rows as text, each ended by a newline, without spaces at their ends. Caller frees. */
char *canvas_to_text(const Canvas *c);
/* Columns of row y as a terminal would count them: always the canvas width unless this module is wrong. For tests. */
int   canvas_row_width(const Canvas *c, int y);
