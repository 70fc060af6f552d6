#include <glib.h>
#include <string.h>

#include "core/hoist.h"
#include "tui/canvas.h"

static void assert_text(const Canvas *c, const char *expected)
{
    g_autofree char *text = canvas_to_text(c);
    g_assert_cmpstr(text, ==, expected);
    for (int y = 0; y < c->height; y++)
        g_assert_cmpint(canvas_row_width(c, y), ==, c->width);
}

static void test_wide_is_never_split(void)
{
    g_autoptr(Canvas) c = canvas_new(5, 1, false);
    g_assert_cmpint(canvas_text(c, 0, 0, 5, ROLE_TEXT, "写真写"), ==, 4);
    assert_text(c, "写真\n");
    canvas_text(c, 1, 0, 5, ROLE_TEXT, "x");
    assert_text(c, " x真\n");
    canvas_text(c, 1, 0, 5, ROLE_TEXT, "写");
    assert_text(c, " 写\n");
    canvas_text(c, 4, 0, 5, ROLE_TEXT, "写");
    assert_text(c, " 写\n");
}

static void test_marks_stay_with_their_base(void)
{
    g_autoptr(Canvas) c = canvas_new(4, 1, false);
    g_assert_cmpint(canvas_text(c, 0, 0, 4, ROLE_TEXT, "e\u0301a\u0308"), ==, 2);
    assert_text(c, "e\u0301a\u0308\n");
    canvas_clear(c);
    canvas_text(c, 0, 0, 4, ROLE_TEXT, "\u0301x");
    assert_text(c, "x\n");
    canvas_clear(c);
    canvas_text(c, 0, 0, 4, ROLE_TEXT, "写\u0301");
    assert_text(c, "写\u0301\n");
    canvas_clear(c);
    g_autofree char *zalgo = g_strconcat("z", "\u0301\u0302\u0303\u0304\u0305\u0306\u0307\u0308", "y", NULL);
    canvas_text(c, 0, 0, 4, ROLE_TEXT, zalgo);
    assert_text(c, "z\u0301\u0302\u0303\u0304y\n");
}

static void test_cut_keeps_the_extension(void)
{
    g_autoptr(Canvas) c = canvas_new(16, 1, false);
    canvas_fit(c, 0, 0, 16, ROLE_TEXT, CUT_MIDDLE, false, "IMG_2024-03-01_holiday_final.jpg");
    assert_text(c, "IMG_2024…nal.jpg\n");
    canvas_fit(c, 0, 0, 16, ROLE_TEXT, CUT_END, false, "IMG_2024-03-01_holiday_final.jpg");
    assert_text(c, "IMG_2024-03-01_…\n");
    canvas_fit(c, 0, 0, 9, ROLE_TEXT, CUT_MIDDLE, false, "写真写真写真写真.jpg");
    g_autofree char *text = canvas_to_text(c);
    g_assert_true(g_str_has_prefix(text, "写真….jpg"));
    g_assert_cmpint(canvas_row_width(c, 0), ==, 16);
    canvas_clear(c);
    canvas_fit(c, 0, 0, 6, ROLE_TEXT, CUT_END, true, "42 B");
    assert_text(c, "  42 B\n");
    canvas_fit(c, 0, 0, 2, ROLE_TEXT, CUT_MIDDLE, false, "abcdef");
    assert_text(c, "ab42 B\n");
}

static void test_nothing_hostile_passes(void)
{
    static const char *const hostile[] = { "\033]0;owned\a\033[31m", "\302\23331m", "a\x7f\rb\nc\td", "\xff\xfe/\xc3", "\xe2\x80\xa8line" };
    for (int ascii = 0; ascii < 2; ascii++) {
        for (size_t i = 0; i < G_N_ELEMENTS(hostile); i++) {
            g_autoptr(Canvas) c = canvas_new(30, 1, ascii != 0);
            canvas_fit(c, 0, 0, 30, ROLE_TEXT, CUT_MIDDLE, false, hostile[i]);
            for (int x = 0; x < 30; x++) {
                const char *cell = c->cells[x].text;
                g_assert_true(g_utf8_validate(cell, -1, NULL));
                g_assert_true(*cell == '\0' || !g_unichar_iscntrl(g_utf8_get_char(cell)));
            }
            g_assert_cmpint(canvas_row_width(c, 0), ==, 30);
        }
    }
}

static void test_any_text_keeps_the_row(void)
{
    for (unsigned round = 0; round < 3000; round++) {
        char bytes[64];
        const int n = g_test_rand_int_range(0, sizeof bytes - 1);
        for (int i = 0; i < n; i++)
            bytes[i] = (char)g_test_rand_int_range(1, 256);
        bytes[n] = '\0';
        g_autofree char *clean = hoist_text(bytes);
        g_autoptr(Canvas) c = canvas_new(g_test_rand_int_range(1, 30), 3, round % 2 == 0);
        canvas_fit(c, g_test_rand_int_range(-5, 30), 0, g_test_rand_int_range(-2, 40), ROLE_TEXT, CUT_MIDDLE, false, clean);
        canvas_text(c, g_test_rand_int_range(-5, 30), 0, g_test_rand_int_range(-2, 40), ROLE_TEXT, bytes);
        canvas_text(c, g_test_rand_int_range(-5, 30), 0, 9, ROLE_TEXT, "写\u0301真x");
        canvas_wrap(c, 0, 1, g_test_rand_int_range(-2, 40), 3, ROLE_TEXT, clean);
        canvas_fill(c, g_test_rand_int_range(-5, 30), 0, g_test_rand_int_range(-5, 30), 1, ROLE_TEXT);
        for (int y = 0; y < 3; y++)
            g_assert_cmpint(canvas_row_width(c, y), ==, c->width);
    }
}

static void test_wrap(void)
{
    g_autoptr(Canvas) c = canvas_new(12, 3, false);
    g_assert_cmpint(canvas_wrap(c, 0, 0, 12, 3, ROLE_TEXT, "Set this machine's clock."), ==, 3);
    assert_text(c, "Set this\nmachine's\nclock.\n");
    canvas_clear(c);
    g_assert_cmpint(canvas_wrap(c, 0, 0, 12, 2, ROLE_TEXT, "Set this machine's clock."), ==, 2);
    assert_text(c, "Set this\nmachine's c…\n\n");
    canvas_clear(c);
    g_assert_cmpint(canvas_wrap(c, 0, 0, 12, 2, ROLE_TEXT, "https://example.org/x"), ==, 2);
    assert_text(c, "https://exam\nple.org/x\n\n");
}

static void test_bar_is_full_only_when_done(void)
{
    g_autoptr(Canvas) c = canvas_new(8, 1, false);
    canvas_bar(c, 0, 0, 8, 100, 100, 100, true);
    assert_text(c, "████████\n");
    canvas_bar(c, 0, 0, 8, 100, 100, 100, false);
    assert_text(c, "███████▉\n");
    canvas_bar(c, 0, 0, 8, 25, 50, 100, false);
    assert_text(c, "██▒▒░░░░\n");
    canvas_bar(c, 0, 0, 8, 28, 50, 100, false);
    assert_text(c, "██▎▒░░░░\n");
    canvas_bar(c, 0, 0, 8, 0, 0, 0, false);
    assert_text(c, "░░░░░░░░\n");
    canvas_bar(c, 0, 0, 8, UINT64_MAX, UINT64_MAX, 1, false);
    assert_text(c, "███████▉\n");
    g_assert_cmpint(c->cells[0].role, ==, ROLE_BAR);
}

static void test_bar_in_ascii(void)
{
    g_autoptr(Canvas) c = canvas_new(10, 1, true);
    canvas_bar(c, 0, 0, 10, 50, 75, 100, false);
    assert_text(c, "[####==..]\n");
    canvas_bar(c, 0, 0, 10, 100, 100, 100, false);
    assert_text(c, "[#######=]\n");
    canvas_bar(c, 0, 0, 10, 100, 100, 100, true);
    assert_text(c, "[########]\n");
}

static void test_graph(void)
{
    const double samples[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8 };
    g_autoptr(Canvas) c = canvas_new(9, 1, false);
    canvas_graph(c, 0, 0, 9, 1, samples, 9, 8);
    assert_text(c, " ▁▂▃▄▅▆▇█\n");
    canvas_clear(c);
    canvas_graph(c, 0, 0, 9, 1, samples + 7, 2, 8);
    assert_text(c, "       ▇█\n");
    g_autoptr(Canvas) tall = canvas_new(2, 2, false);
    canvas_graph(tall, 0, 0, 2, 2, samples + 5, 4, 8);
    assert_text(tall, "⣠⣾\n⣿⣿\n");
    g_autoptr(Canvas) ascii = canvas_new(9, 1, true);
    canvas_graph(ascii, 0, 0, 9, 1, samples, 9, 8);
    assert_text(ascii, " :-=+*#%@\n");
    canvas_graph(ascii, 0, 0, 9, 1, samples, 9, 0);
    assert_text(ascii, "\n");
}

static void test_ascii_replaces_symbols(void)
{
    g_autoptr(Canvas) c = canvas_new(24, 3, true);
    canvas_text(c, 0, 0, 24, ROLE_TEXT, "✓ 写.jpg … a·b");
    canvas_fit(c, 0, 1, 10, ROLE_TEXT, CUT_MIDDLE, false, "scan_2024-03-01.tiff");
    assert_text(c, "ok <U+5199>.jpg ... a.b\nscan...iff\n\n");
    canvas_clear(c);
    canvas_box(c, 0, 0, 9, 3, "Add");
    assert_text(c, "+- Add -+\n|       |\n+-------+\n");
}

static void test_box(void)
{
    g_autoptr(Canvas) c = canvas_new(12, 3, false);
    canvas_text(c, 0, 1, 12, ROLE_TEXT, "under under");
    canvas_box(c, 1, 0, 10, 3, "Add");
    assert_text(c, " ┌─ Add ──┐\nu│        │\n └────────┘\n");
}

static const Cell *cell(const Canvas *c, int x, int y)
{
    return &c->cells[y * c->width + x];
}

static void test_cells_with_colours(void)
{
    g_autoptr(Canvas) c = canvas_new(4, 2, false);
    canvas_text(c, 0, 0, 4, ROLE_TEXT, "写真");
    canvas_paint(c, 1, 0, 0x2580, 12, 200);
    canvas_paint(c, 9, 9, 'x', 1, 2); /* clipped */
    canvas_paint(c, 3, 1, 0x9b, 1, 2);
    assert_text(c, " ▀真\n   \xef\xbf\xbd\n");
    g_assert_cmpint(cell(c, 1, 0)->role, ==, ROLE_PICTURE);
    g_assert_cmpint(cell(c, 1, 0)->fg, ==, 12);
    g_assert_cmpint(cell(c, 1, 0)->bg, ==, 200);
    canvas_text(c, 1, 0, 1, ROLE_OK, "x");
    g_assert_cmpint(cell(c, 1, 0)->role, ==, ROLE_OK);
    g_assert_cmpint(cell(c, 1, 0)->fg, ==, 0);
    g_assert_cmpint(cell(c, 1, 0)->bg, ==, 0);
    g_autoptr(Canvas) ascii = canvas_new(2, 1, true);
    canvas_paint(ascii, 0, 0, 0x2580, 12, 200);
    assert_text(ascii, "#\n");
}

static void test_an_image_is_whole_or_not_there(void)
{
    g_autoptr(Canvas) c = canvas_new(6, 4, false);
    g_autoptr(GBytes) sequence = g_bytes_new_static("abc", 3);
    g_assert_false(canvas_image_whole(c));
    canvas_image(c, 2, 1, 5, 2, sequence); /* beyond the edge */
    g_assert_false(canvas_image_whole(c));
    canvas_image(c, 2, 1, 3, 2, sequence);
    g_assert_true(canvas_image_whole(c));
    canvas_text(c, 0, 1, 2, ROLE_TEXT, "ab");
    canvas_text(c, 2, 3, 4, ROLE_TEXT, "cd");
    g_assert_true(canvas_image_whole(c));
    for (int y = 0; y < 4; y++)
        g_assert_cmpint(canvas_row_width(c, y), ==, 6);
    g_assert_cmpstr(cell(c, 2, 1)->text, !=, cell(c, 2, 2)->text);
    canvas_text(c, 4, 2, 1, ROLE_TEXT, "x");
    g_assert_false(canvas_image_whole(c));
    canvas_clear(c);
    g_assert_false(canvas_image_whole(c));
    assert_text(c, "\n\n\n\n");
}

static void test_bar_of_preparing_is_another(void)
{
    g_autoptr(Canvas) c = canvas_new(10, 2, false);
    canvas_bar_prepared(c, 0, 0, 10, 42);
    canvas_bar_prepared(c, 0, 1, 10, 250);
    assert_text(c, "▒▒▒▒░░░░░░\n▒▒▒▒▒▒▒▒▒▒\n");
    g_assert_cmpint(cell(c, 0, 0)->role, ==, ROLE_PREPARED);
    g_assert_cmpint(cell(c, 9, 0)->role, ==, ROLE_TRACK);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/canvas/wide-is-never-split", test_wide_is_never_split);
    g_test_add_func("/canvas/marks-stay-with-their-base", test_marks_stay_with_their_base);
    g_test_add_func("/canvas/cut-keeps-the-extension", test_cut_keeps_the_extension);
    g_test_add_func("/canvas/nothing-hostile-passes", test_nothing_hostile_passes);
    g_test_add_func("/canvas/any-text-keeps-the-row", test_any_text_keeps_the_row);
    g_test_add_func("/canvas/wrap", test_wrap);
    g_test_add_func("/canvas/bar-is-full-only-when-done", test_bar_is_full_only_when_done);
    g_test_add_func("/canvas/bar-in-ascii", test_bar_in_ascii);
    g_test_add_func("/canvas/graph", test_graph);
    g_test_add_func("/canvas/ascii-replaces-symbols", test_ascii_replaces_symbols);
    g_test_add_func("/canvas/box", test_box);
    g_test_add_func("/canvas/cells-with-colours", test_cells_with_colours);
    g_test_add_func("/canvas/an-image-is-whole-or-not-there", test_an_image_is_whole_or_not_there);
    g_test_add_func("/canvas/bar-of-preparing-is-another", test_bar_of_preparing_is_another);
    return g_test_run();
}
