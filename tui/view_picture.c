#include <gio/gio.h>
#include <string.h>

#include "view.h"

enum { WORDS_ROWS = 3 };

/* By its name alone, like a file manager: what is wrong about it the engine tells. */
static bool named_like_a_picture(const HoistRow *row)
{
    g_autofree char *type = row->name == NULL ? NULL : g_content_type_guess(row->name, NULL, 0, NULL);
    return type != NULL && g_str_has_prefix(type, "image/");
}

bool view_picture_wanted(Ui *ui, const HoistRow *row)
{
    return ui->glance != NULL && (row->recipe != NULL || named_like_a_picture(row) || glance_has(ui->glance, row->id));
}

static void paint(Canvas *c, const Mosaic *m, int x, int y)
{
    if (m->sequence != NULL) {
        canvas_image(c, x, y, m->width, m->height, m->sequence);
        return;
    }
    const MosaicCell *cell = m->cells;
    for (int row = 0; row < m->height; row++)
        for (int column = 0; column < m->width; column++, cell++)
            canvas_paint(c, x + column, y + row, cell->ch, cell->fg, cell->bg);
}

void view_picture(Ui *ui, Canvas *c, const HoistRow *row, int x, int y, int width, int height)
{
    const Mosaic *m = glance_show(ui->glance, row->id, width, height, ui->now_us);
    const char *words = glance_words(ui->glance);
    if (m != NULL)
        paint(c, m, x, y);
    else if (words != NULL)
        canvas_wrap(c, x, y, width, MIN(WORDS_ROWS, height), ROLE_DIM, words);
}
