#include "mosaic.h"

#include <chafa.h>
#include <string.h>

enum { CELL_WIDTH_PX = 8, CELL_HEIGHT_PX = 16, COLUMNS_MAX = 400, ROWS_MAX = 200 };

bool mosaic_look_equal(const MosaicLook *a, const MosaicLook *b)
{
    return a->colours == b->colours && a->ascii == b->ascii && a->graphics == b->graphics && a->cell_width_px == b->cell_width_px &&
           a->cell_height_px == b->cell_height_px;
}

void mosaic_free(Mosaic *m)
{
    if (m == NULL)
        return;
    g_free(m->cells);
    if (m->sequence != NULL)
        g_bytes_unref(m->sequence);
    g_free(m);
}

/* ------------------------------------------------------------------ what libchafa is told */

static ChafaCanvasMode mode_of(const MosaicLook *look)
{
    if (look->graphics != GRAPHICS_CELLS || look->colours >= MOSAIC_DIRECT)
        return CHAFA_CANVAS_MODE_TRUECOLOR;
    if (look->colours >= 256)
        return CHAFA_CANVAS_MODE_INDEXED_240; /* the first 16 are the user's own */
    if (look->colours >= 16)
        return CHAFA_CANVAS_MODE_INDEXED_16;
    return look->colours >= 8 ? CHAFA_CANVAS_MODE_INDEXED_8 : CHAFA_CANVAS_MODE_FGBG;
}

/* Terminals of eight colours are consoles, whose fonts have halves of blocks but not all their parts. */
static ChafaSymbolTags symbols_of(const MosaicLook *look)
{
    if (look->ascii)
        return CHAFA_SYMBOL_TAG_ASCII | CHAFA_SYMBOL_TAG_SPACE;
    if (look->colours == 8)
        return CHAFA_SYMBOL_TAG_VHALF | CHAFA_SYMBOL_TAG_SPACE;
    return CHAFA_SYMBOL_TAG_BLOCK | CHAFA_SYMBOL_TAG_BORDER | CHAFA_SYMBOL_TAG_SPACE;
}

static ChafaPixelMode pixels_of(Graphics graphics)
{
    static const ChafaPixelMode modes[N_GRAPHICS] = {
        [GRAPHICS_CELLS] = CHAFA_PIXEL_MODE_SYMBOLS,
        [GRAPHICS_KITTY] = CHAFA_PIXEL_MODE_KITTY,
        [GRAPHICS_SIXEL] = CHAFA_PIXEL_MODE_SIXELS,
        [GRAPHICS_ITERM] = CHAFA_PIXEL_MODE_ITERM2,
    };
    return modes[graphics];
}

static ChafaCanvas *canvas_for(const MosaicLook *look, int width, int height, int cell_width_px, int cell_height_px)
{
    ChafaCanvasConfig *config = chafa_canvas_config_new();
    ChafaSymbolMap *symbols = chafa_symbol_map_new();
    chafa_symbol_map_add_by_tags(symbols, symbols_of(look));
    chafa_canvas_config_set_geometry(config, width, height);
    chafa_canvas_config_set_cell_geometry(config, cell_width_px, cell_height_px);
    chafa_canvas_config_set_canvas_mode(config, mode_of(look));
    /* by distance in RGB the cube of 256 turns a blue sky purple and a dark green grey */
    const bool cube = mode_of(look) == CHAFA_CANVAS_MODE_INDEXED_240;
    chafa_canvas_config_set_color_space(config, cube ? CHAFA_COLOR_SPACE_DIN99D : CHAFA_COLOR_SPACE_RGB);
    chafa_canvas_config_set_pixel_mode(config, pixels_of(look->graphics));
    chafa_canvas_config_set_symbol_map(config, symbols);
    ChafaCanvas *canvas = chafa_canvas_new(config);
    chafa_symbol_map_unref(symbols);
    chafa_canvas_config_unref(config);
    return canvas;
}

/* ------------------------------------------------------------------ what comes back */

/* In a cell of one colour the other one is free: it is chosen so that as few pairs as possible are needed, for some terminals have 64. */
static MosaicCell cell_of(ChafaCanvas *canvas, int x, int y, const MosaicLook *look)
{
    gint fg = -1, bg = -1;
    MosaicCell cell = { .ch = chafa_canvas_get_char_at(canvas, x, y), .fg = -1, .bg = -1 };
    if (look->colours == MOSAIC_MONO)
        return cell;
    chafa_canvas_get_raw_colors_at(canvas, x, y, &fg, &bg);
    if (cell.ch != ' ' && cell.ch != 0x2588 && fg != bg) {
        cell.fg = fg;
        cell.bg = bg;
        return cell;
    }
    cell.bg = cell.ch == 0x2588 ? fg : bg;
    cell.fg = cell.bg == 0 ? 7 : 0;
    cell.ch = ' ';
    return cell;
}

static void take_cells(Mosaic *m, ChafaCanvas *canvas, const MosaicLook *look)
{
    const size_t n = (size_t)m->width * (size_t)m->height;
    m->cells = g_new(MosaicCell, n);
    m->bytes = n * sizeof *m->cells;
    for (int y = 0; y < m->height; y++)
        for (int x = 0; x < m->width; x++)
            m->cells[(size_t)y * (size_t)m->width + (size_t)x] = cell_of(canvas, x, y, look);
}

static void take_sequence(Mosaic *m, ChafaCanvas *canvas)
{
    ChafaTermInfo *fallback = chafa_term_db_get_fallback_info(chafa_term_db_get_default());
    GString *text = chafa_canvas_print(canvas, fallback);
    chafa_term_info_unref(fallback);
    m->bytes = text->len;
    m->sequence = g_string_free_to_bytes(text);
}

/* The whole cells that the picture takes when it is made to fit, but not made larger than a pixel for a pixel. */
static void fit(const HoistPicture *picture, int columns, int rows, int unit_width, int unit_height, int *width_out, int *height_out)
{
    const double across = (double)columns * unit_width / picture->width_px;
    const double down = (double)rows * unit_height / picture->height_px;
    const double scale = MIN(MIN(across, down), 1);
    *width_out = CLAMP((int)(picture->width_px * scale / unit_width + 0.5), 1, columns);
    *height_out = CLAMP((int)(picture->height_px * scale / unit_height + 0.5), 1, rows);
}

static bool is_picture(const HoistPicture *picture)
{
    const size_t need = (size_t)picture->width_px * picture->height_px * 3;
    return picture->rgb != NULL && need > 0 && picture->width_px <= G_MAXINT16 && picture->height_px <= G_MAXINT16 &&
           g_bytes_get_size(picture->rgb) == need;
}

Mosaic *mosaic_new(const HoistPicture *picture, int columns, int rows, const MosaicLook *look)
{
    if (columns < 1 || rows < 1 || !is_picture(picture))
        return NULL;
    const bool pixels = look->graphics != GRAPHICS_CELLS;
    const bool known = look->cell_width_px > 0 && look->cell_height_px > 0;
    const int cell_width = known ? look->cell_width_px : CELL_WIDTH_PX;
    const int cell_height = known ? look->cell_height_px : CELL_HEIGHT_PX;
    g_autoptr(Mosaic) m = g_new0(Mosaic, 1);
    /* of a cell, half a block is the pixel: one across, two down */
    fit(picture, MIN(columns, COLUMNS_MAX), MIN(rows, ROWS_MAX), pixels ? cell_width : 1, pixels ? cell_height : 2, &m->width, &m->height);
    chafa_set_n_threads(1); /* the workers have the cores */
    ChafaCanvas *canvas = canvas_for(look, m->width, m->height, cell_width, cell_height);
    chafa_canvas_draw_all_pixels(canvas, CHAFA_PIXEL_RGB8, g_bytes_get_data(picture->rgb, NULL), (gint)picture->width_px,
                                 (gint)picture->height_px, (gint)picture->width_px * 3);
    if (pixels)
        take_sequence(m, canvas);
    else
        take_cells(m, canvas, look);
    chafa_canvas_unref(canvas);
    return m->sequence != NULL && m->bytes == 0 ? NULL : g_steal_pointer(&m);
}
