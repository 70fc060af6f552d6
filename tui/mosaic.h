/* mosaic.h - a small picture -> coloured cells of text, or the escape sequence of a graphics protocol; the only module that knows libchafa.
 *
 * Pure: pixels go in, cells come out; no state between calls, nothing is written anywhere. 40x20 cells cost about 5 ms: not to be made while
 * a frame is drawn. The picture keeps its shape (a cell is taken to be twice as high as wide, or as the terminal says) and is never shown
 * larger than its own pixels.
 * Units: columns and rows of cells, px. Colours are numbers as curses takes them: an index, 0xRRGGBB with direct colour, -1 = the terminal's own.
 * Source documents: imgproc.md 13, the protocols' own pages (kitty graphics, DEC sixel, iTerm2 inline images).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/hoist.h"
#include "graphics.h"

enum { MOSAIC_MONO = 0, MOSAIC_DIRECT = 1 << 24 };

/* What the terminal can. */
typedef struct {
    unsigned colours;                       /* MOSAIC_MONO, 8, 16, 256, MOSAIC_DIRECT */
    bool     ascii;
    Graphics graphics;                      /* GRAPHICS_CELLS: cells; else the protocol */
    int      cell_width_px, cell_height_px; /* 0 = not known */
} MosaicLook;

typedef struct {
    gunichar ch;
    int32_t  fg, bg;
} MosaicCell;

typedef struct {
    int         width, height;
    MosaicCell *cells;          /* width * height; NULL when there is a sequence */
    GBytes     *sequence;       /* draws the picture at the cursor; NULL = cells */
    size_t      bytes;          /* of memory */
} Mosaic;

bool    mosaic_look_equal(const MosaicLook *a, const MosaicLook *b);
/* As large as fits into columns x rows. NULL when there is no room or the picture is none (sizes and bytes do not fit). Caller frees. */
Mosaic *mosaic_new(const HoistPicture *picture, int columns, int rows, const MosaicLook *look);
void    mosaic_free(Mosaic *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Mosaic, mosaic_free)
