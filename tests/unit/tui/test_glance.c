/* Pictures as cells, and what is asked for and kept of them. */
#include <glib.h>
#include <string.h>

#include "tui/glance.h"

enum { MS = 1000 };

static const unsigned every_colours[] = { MOSAIC_MONO, 8, 16, 256, MOSAIC_DIRECT };

typedef uint32_t (*Paint)(unsigned x, unsigned y, unsigned width, unsigned height); /* -> 0xRRGGBB */

static HoistPicture picture(unsigned width, unsigned height, Paint paint)
{
    guint8 *px = g_malloc((size_t)width * height * 3);
    for (unsigned y = 0; y < height; y++) {
        for (unsigned x = 0; x < width; x++) {
            const uint32_t rgb = paint(x, y, width, height);
            guint8 *p = px + ((size_t)y * width + x) * 3;
            p[0] = (guint8)(rgb >> 16);
            p[1] = (guint8)(rgb >> 8);
            p[2] = (guint8)rgb;
        }
    }
    return (HoistPicture){ g_bytes_new_take(px, (size_t)width * height * 3), width, height };
}

static uint32_t red_and_blue(unsigned x, unsigned y, unsigned width, unsigned height)
{
    (void)y;
    (void)height;
    return x < width / 2 ? 0xff0000 : 0x0000ff;
}

static uint32_t black_above_white(unsigned x, unsigned y, unsigned width, unsigned height)
{
    (void)x;
    (void)width;
    return y < height / 2 ? 0x000000 : 0xffffff;
}

static uint32_t many_colours(unsigned x, unsigned y, unsigned width, unsigned height)
{
    return (x * 255 / width) << 16 | (y * 255 / height) << 8 | ((x * 7 + y * 3) & 0xff);
}

static Mosaic *made(const HoistPicture *p, int columns, int rows, MosaicLook look)
{
    Mosaic *m = mosaic_new(p, columns, rows, &look);
    g_assert_nonnull(m);
    g_assert_cmpint(m->width, >=, 1);
    g_assert_cmpint(m->width, <=, columns);
    g_assert_cmpint(m->height, >=, 1);
    g_assert_cmpint(m->height, <=, rows);
    return m;
}

static const MosaicCell *at(const Mosaic *m, int x, int y)
{
    return &m->cells[y * m->width + x];
}

static bool near(int32_t rgb, int32_t wanted)
{
    for (int shift = 0; shift < 24; shift += 8)
        if (ABS((rgb >> shift & 0xff) - (wanted >> shift & 0xff)) > 12)
            return false;
    return true;
}

/* ------------------------------------------------------------------ cells */

static void test_colours_land_where_they_belong(void)
{
    HoistPicture p = picture(320, 240, red_and_blue);
    g_autoptr(Mosaic) direct = made(&p, 40, 20, (MosaicLook){ .colours = MOSAIC_DIRECT });
    g_autoptr(Mosaic) cube = made(&p, 40, 20, (MosaicLook){ .colours = 256 });
    g_autoptr(Mosaic) few = made(&p, 40, 20, (MosaicLook){ .colours = 8 });
    for (int y = 0; y < direct->height; y++) {
        for (int x = 1; x < direct->width - 1; x++) {
            const bool left = x < direct->width / 2;
            g_assert_cmpuint(at(direct, x, y)->ch, ==, ' ');
            g_assert_true(near(at(direct, x, y)->bg, left ? 0xff0000 : 0x0000ff));
            g_assert_cmpint(at(cube, x, y)->bg, ==, left ? 196 : 21); /* 16 + 36 r + 6 g + b */
            g_assert_cmpint(at(few, x, y)->bg, ==, left ? 1 : 4);
        }
    }
    g_bytes_unref(p.rgb);
}

/* The boundary runs through the middle of a row of cells: half a block shows it. */
static void test_half_blocks_double_the_rows(void)
{
    HoistPicture p = picture(320, 320, black_above_white);
    g_autoptr(Mosaic) m = made(&p, 10, 5, (MosaicLook){ .colours = 8 });
    g_assert_cmpint(m->width, ==, 10);
    g_assert_cmpint(m->height, ==, 5);
    for (int x = 0; x < m->width; x++) {
        const MosaicCell *cell = at(m, x, 2);
        g_assert_true(cell->ch == 0x2580 || cell->ch == 0x2584);
        g_assert_cmpint(cell->ch == 0x2580 ? cell->fg : cell->bg, ==, 0);
        g_assert_cmpint(cell->ch == 0x2580 ? cell->bg : cell->fg, ==, 7);
    }
    g_bytes_unref(p.rgb);
}

static void test_shape_is_kept(void)
{
    static const unsigned sizes[][2] = {
        { 320, 240 }, { 240, 320 }, { 320, 40 }, { 40, 320 }, { 320, 320 }, { 1, 1 }, { 3, 2 }, { 320, 1 }
    };
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        HoistPicture p = picture(sizes[i][0], sizes[i][1], many_colours);
        g_autoptr(Mosaic) m = made(&p, 40, 15, (MosaicLook){ .colours = 256 });
        const double scale = MIN(MIN(40.0 / p.width_px, 30.0 / p.height_px), 1);
        g_assert_cmpfloat(ABS(m->width - MAX(p.width_px * scale, 1)), <=, 0.5);
        g_assert_cmpfloat(ABS(m->height - MAX(p.height_px * scale / 2, 1)), <=, 0.5);
        g_bytes_unref(p.rgb);
    }
}

/* No more pairs than a terminal of so many colours has for pictures. */
static void test_colours_are_those_of_the_terminal(void)
{
    static const int32_t lowest[] = { -1, 0, 0, 16, 0 }, highest[] = { -1, 7, 15, 255, 0xffffff };
    HoistPicture p = picture(320, 240, many_colours);
    for (size_t i = 0; i < 2 * G_N_ELEMENTS(every_colours); i++) {
        const size_t k = i / 2;
        const bool ascii = i % 2 == 1;
        g_autoptr(Mosaic) m = made(&p, 60, 30, (MosaicLook){ .colours = every_colours[k], .ascii = ascii });
        g_autoptr(GHashTable) pairs = g_hash_table_new(g_direct_hash, g_direct_equal);
        bool drawn = false;
        for (int c = 0; c < m->width * m->height; c++) {
            const MosaicCell *cell = &m->cells[c];
            g_assert_true(ascii ? cell->ch >= ' ' && cell->ch < 0x7f : g_unichar_isprint(cell->ch) && !g_unichar_iswide(cell->ch));
            g_assert_cmpint(cell->bg, >=, lowest[k]);
            g_assert_cmpint(cell->bg, <=, highest[k]);
            g_assert_true(cell->ch == ' ' || (cell->fg >= lowest[k] && cell->fg <= highest[k]));
            drawn |= cell->ch != ' ' || cell->bg != m->cells[0].bg;
            g_hash_table_add(pairs, GSIZE_TO_POINTER((gsize)cell->fg << 32 | (uint32_t)cell->bg));
        }
        g_assert_true(drawn);
        if (every_colours[k] == 8)
            g_assert_cmpuint(g_hash_table_size(pairs), <=, 56);
        if (every_colours[k] == 16)
            g_assert_cmpuint(g_hash_table_size(pairs), <=, 240);
    }
    g_bytes_unref(p.rgb);
}

static void test_what_is_no_picture(void)
{
    HoistPicture p = picture(10, 10, many_colours);
    HoistPicture wrong[] = { { NULL, 10, 10 }, { p.rgb, 10, 9 }, { p.rgb, 0, 10 }, { p.rgb, 0x80000000, 0x80000000 } };
    const MosaicLook look = { .colours = 256 };
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
        g_assert_null(mosaic_new(&wrong[i], 10, 10, &look));
    g_assert_null(mosaic_new(&p, 0, 10, &look));
    g_assert_null(mosaic_new(&p, 10, -1, &look));
    g_bytes_unref(p.rgb);
}

static void test_sequences(void)
{
    static const struct {
        Graphics graphics;
        const char *begin, *end;
    } protocols[] = { { GRAPHICS_KITTY, "\033_Ga=T,", "\033_Gm=0\033\\" },
                      { GRAPHICS_SIXEL, "\033P", "\033\\" },
                      { GRAPHICS_ITERM, "\033]1337;File=inline=1;", "\a" } };
    HoistPicture p = picture(320, 240, many_colours);
    for (size_t i = 0; i < G_N_ELEMENTS(protocols); i++) {
        g_autoptr(Mosaic) m =
            made(&p, 40, 20, (MosaicLook){ .colours = 256, .graphics = protocols[i].graphics, .cell_width_px = 10, .cell_height_px = 20 });
        g_assert_null(m->cells);
        g_assert_cmpint(m->width, ==, 32);
        g_assert_cmpint(m->height, ==, 12);
        g_autofree char *text = g_strndup(g_bytes_get_data(m->sequence, NULL), g_bytes_get_size(m->sequence));
        g_assert_true(g_str_has_prefix(text, protocols[i].begin));
        g_assert_true(g_str_has_suffix(text, protocols[i].end));
        g_assert_cmpuint(m->bytes, ==, strlen(text));
    }
    g_bytes_unref(p.rgb);
}

/* ------------------------------------------------------------------ when it is asked for */

static int64_t asked(Glance *p, int64_t now_ms)
{
    int64_t id = -1;
    glance_work(p, now_ms * MS, &id);
    return id;
}

static const Mosaic *show(Glance *p, int64_t id, int64_t now_ms)
{
    glance_begin(p);
    return glance_show(p, id, 40, 20, now_ms * MS);
}

static void answer(Glance *p, int64_t id, unsigned width, unsigned height)
{
    HoistPicture pic = picture(width, height, many_colours);
    glance_answer(p, id, &pic, NULL);
    g_bytes_unref(pic.rgb);
}

static void test_scrolling_asks_nothing(void)
{
    g_autoptr(Glance) p = glance_new();
    g_assert_cmpint(glance_deadline_us(p), ==, -1);
    for (int64_t id = 1; id <= 20; id++) {
        g_assert_null(show(p, id, id * 100));
        g_assert_cmpint(glance_deadline_us(p), ==, (id * 100 + 150) * MS);
        g_assert_cmpint(asked(p, id * 100 + 99), ==, 0);
    }
    g_assert_null(show(p, 20, 2149)); /* drawn again meanwhile: the rest goes on */
    g_assert_cmpint(asked(p, 2149), ==, 0);
    g_assert_cmpint(asked(p, 2150), ==, 20);
    g_assert_cmpint(asked(p, 2300), ==, 0);
    glance_begin(p); /* the pane is gone */
    g_assert_cmpint(glance_deadline_us(p), ==, -1);
    g_assert_cmpint(asked(p, 9000), ==, 0);
}

static void test_one_request_at_a_time(void)
{
    g_autoptr(Glance) p = glance_new();
    show(p, 1, 0);
    g_assert_cmpint(asked(p, 200), ==, 1);
    show(p, 2, 300);
    g_assert_cmpint(asked(p, 600), ==, 0);
    answer(p, 1, 320, 240);
    g_assert_null(show(p, 2, 610));
    g_assert_cmpint(asked(p, 610), ==, 2);
    answer(p, 2, 320, 240);
    g_assert_nonnull(show(p, 2, 700));
    /* back at the first: its pixels are there, cells are made between two frames */
    g_assert_null(show(p, 1, 800));
    g_assert_cmpint(glance_deadline_us(p), ==, 0);
    g_assert_cmpint(asked(p, 800), ==, 0);
    g_assert_nonnull(show(p, 1, 850));
    g_assert_cmpint(glance_deadline_us(p), ==, -1);
    g_assert_nonnull(show(p, 2, 900));
}

static void test_another_size_and_look(void)
{
    g_autoptr(Glance) p = glance_new();
    show(p, 1, 0);
    g_assert_cmpint(asked(p, 150), ==, 1);
    answer(p, 1, 320, 240);
    const Mosaic *m = show(p, 1, 200);
    g_assert_cmpint(m->width, ==, 40);
    glance_begin(p);
    g_assert_null(glance_show(p, 1, 20, 20, 300 * MS));
    g_assert_cmpint(asked(p, 300), ==, 0);
    glance_begin(p);
    g_assert_cmpint(glance_show(p, 1, 20, 20, 350 * MS)->width, ==, 20);
    const MosaicLook kitty = { .colours = 256, .graphics = GRAPHICS_KITTY, .cell_width_px = 10, .cell_height_px = 20 };
    glance_set_look(p, &kitty);
    g_assert_null(show(p, 1, 400));
    g_assert_cmpint(asked(p, 400), ==, 0);
    g_assert_nonnull(show(p, 1, 450)->sequence);
}

static void test_words(void)
{
    g_autoptr(Glance) p = glance_new();
    show(p, 1, 0);
    g_assert_cmpint(asked(p, 150), ==, 1);
    g_assert_null(glance_words(p));
    g_assert_cmpint(glance_deadline_us(p), ==, 1000 * MS);
    g_assert_cmpint(asked(p, 1000), ==, 0);
    g_assert_nonnull(glance_words(p));
    glance_answer(p, 1, NULL, "not a picture \033[31m");
    g_assert_null(show(p, 1, 2000));
    g_assert_cmpstr(glance_words(p), ==, "no preview: not a picture ^[[31m");
    g_assert_cmpint(glance_deadline_us(p), ==, -1);
    g_assert_cmpint(asked(p, 9000), ==, 0);
    /* an answer that never comes holds nothing up for ever */
    show(p, 2, 10000);
    g_assert_cmpint(asked(p, 10150), ==, 2);
    show(p, 3, 11000);
    g_assert_cmpint(asked(p, 12000), ==, 0);
    const int64_t lost_us = glance_deadline_us(p);
    g_assert_cmpint(lost_us, >, 12000 * MS);
    g_assert_cmpint(asked(p, lost_us / MS), ==, 3);
}

static void test_what_is_kept_is_bounded(void)
{
    g_autoptr(Glance) p = glance_new();
    show(p, 1, 0);
    for (int64_t id = 1; id <= 100; id++) {
        answer(p, id, 320, 240);
        g_assert_cmpuint(glance_kept(p), <=, GLANCE_KEPT);
        g_assert_cmpuint(glance_bytes(p), <=, GLANCE_BYTES);
    }
    g_assert_cmpuint(glance_kept(p), ==, GLANCE_KEPT);
    g_assert_false(glance_has(p, 36));
    g_assert_true(glance_has(p, 37));
    /* large ones push more of them out; the one that is used stays */
    g_assert_null(show(p, 50, 100));
    g_assert_cmpint(asked(p, 100), ==, 0);
    for (int64_t id = 101; id <= 130; id++) {
        g_assert_nonnull(show(p, 50, id));
        answer(p, id, 640, 480);
        g_assert_cmpuint(glance_bytes(p), <=, GLANCE_BYTES);
    }
    g_assert_cmpuint(glance_kept(p), <, 20);
    g_assert_true(glance_has(p, 50));
    /* the same file again does not count twice */
    const size_t bytes = glance_bytes(p);
    answer(p, 130, 640, 480);
    g_assert_cmpuint(glance_bytes(p), ==, bytes);
}

/* ------------------------------------------------------------------ what terminals answer */

static Graphics after(Graphics wish, const char *const *answers, GraphicsTalk *talk)
{
    *talk = (GraphicsTalk){ .wish = wish };
    g_assert_nonnull(graphics_query(talk));
    for (; *answers != NULL; answers++) {
        g_assert_cmpint(graphics_now(talk), ==, GRAPHICS_CELLS);
        graphics_reply(talk, *answers);
    }
    return graphics_now(talk);
}

static void test_only_what_was_answered_is_used(void)
{
    static const char *const nothing[] = { "\033[?2026;2$y", "\033[?62;22c", NULL };
    static const char *const sixel[] = { "\033[6;20;10t", "\033[?62;4;22c", NULL };
    static const char *const sixel_without_size[] = { "\033[?62;22;4c", NULL };
    static const char *const all[] = { "\033_Gi=31;OK\033\\", "\033]1337;ReportCellSize=20.0;10.0\033\\", "\033[6;20;10t", "\033[?64;4c",
                                       NULL };
    static const char *const refused[] = { "\033_Gi=31;EINVAL:no\033\\", "\033[?62;14;40c", NULL };
    static const char *const late[] = { "\033[?62c", "\033_Gi=31;OK\033\\", NULL };
    static const char *const silent[] = { NULL };
    GraphicsTalk talk;
    g_unsetenv("TMUX");
    g_unsetenv("STY");
    g_setenv("TERM", "xterm-256color", TRUE);
    for (Graphics wish = GRAPHICS_KITTY; wish <= GRAPHICS_AUTO; wish++) {
        g_assert_cmpint(after(wish, nothing, &talk), ==, GRAPHICS_CELLS);
        g_assert_true(talk.over);
        g_assert_cmpint(after(wish, refused, &talk), ==, GRAPHICS_CELLS);
        g_assert_cmpint(after(wish, late, &talk), ==, GRAPHICS_CELLS);
        g_assert_cmpint(after(wish, sixel_without_size, &talk), ==, GRAPHICS_CELLS);
        g_assert_cmpint(after(wish, silent, &talk), ==, GRAPHICS_CELLS);
        g_assert_false(talk.over);
        g_assert_cmpint(after(wish, all, &talk), ==, wish == GRAPHICS_AUTO ? GRAPHICS_KITTY : wish);
    }
    g_assert_cmpint(after(GRAPHICS_AUTO, sixel, &talk), ==, GRAPHICS_SIXEL);
    g_assert_cmpint(talk.cell_width_px, ==, 10);
    g_assert_cmpint(talk.cell_height_px, ==, 20);
    g_assert_cmpint(after(GRAPHICS_KITTY, sixel, &talk), ==, GRAPHICS_CELLS);
}

static void test_nothing_is_asked_where_it_would_be_lost(void)
{
    static const char *const lost[][2] = {
        { "TMUX", "/tmp/tmux-0/default,1,0" }, { "STY", "1.pts-0" }, { "TERM", "tmux-256color" }, { "TERM", "screen" }
    };
    for (size_t i = 0; i < G_N_ELEMENTS(lost); i++) {
        GraphicsTalk talk = { .wish = GRAPHICS_AUTO };
        g_unsetenv("TMUX");
        g_unsetenv("STY");
        g_setenv("TERM", "xterm-256color", TRUE);
        g_setenv(lost[i][0], lost[i][1], TRUE);
        g_assert_null(graphics_query(&talk));
        g_assert_true(talk.over);
        graphics_reply(&talk, "\033_Gi=31;OK\033\\");
        g_assert_cmpint(graphics_now(&talk), ==, GRAPHICS_CELLS);
    }
    g_unsetenv("TMUX");
    g_unsetenv("STY");
    g_setenv("TERM", "xterm-256color", TRUE);
    GraphicsTalk cells = { .wish = graphics_by_name("cells") }, none = { .wish = graphics_by_name("none") };
    g_assert_null(graphics_query(&cells));
    g_assert_null(graphics_query(&none));
    g_assert_cmpint(graphics_by_name(NULL), ==, GRAPHICS_CELLS);
    for (Graphics g = GRAPHICS_CELLS; g <= GRAPHICS_NONE; g++)
        g_assert_cmpint(graphics_by_name(graphics_name(g)), ==, g);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mosaic/colours-land-where-they-belong", test_colours_land_where_they_belong);
    g_test_add_func("/mosaic/half-blocks-double-the-rows", test_half_blocks_double_the_rows);
    g_test_add_func("/mosaic/shape-is-kept", test_shape_is_kept);
    g_test_add_func("/mosaic/colours-are-those-of-the-terminal", test_colours_are_those_of_the_terminal);
    g_test_add_func("/mosaic/what-is-no-picture", test_what_is_no_picture);
    g_test_add_func("/mosaic/sequences", test_sequences);
    g_test_add_func("/glance/scrolling-asks-nothing", test_scrolling_asks_nothing);
    g_test_add_func("/glance/one-request-at-a-time", test_one_request_at_a_time);
    g_test_add_func("/glance/another-size-and-look", test_another_size_and_look);
    g_test_add_func("/glance/words", test_words);
    g_test_add_func("/glance/what-is-kept-is-bounded", test_what_is_kept_is_bounded);
    g_test_add_func("/graphics/only-what-was-answered-is-used", test_only_what_was_answered_is_used);
    g_test_add_func("/graphics/nothing-is-asked-where-it-would-be-lost", test_nothing_is_asked_where_it_would_be_lost);
    return g_test_run();
}
