/* The terminal is given back at every way out: a child draws on a pseudo-terminal and ends, then modes and last bytes are looked at. */
#include <glib.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "tui/input.h"
#include "tui/term.h"

typedef void (*Act)(Term *t);

/* What the child finds; of a test that changes it. */
static struct {
    const char *type, *no_color;
    Graphics graphics;
    const char *answer; /* that the terminal gives to its questions; NULL = none */
} scene = { .type = "xterm-256color" };

typedef struct {
    GString *output;
    int status;
    bool modes_kept;
} Outcome;

static void drain(int fd, GString *out, int wait_ms)
{
    char bytes[4096];
    struct pollfd p = { .fd = fd, .events = POLLIN };
    while (poll(&p, 1, wait_ms) == 1) {
        const ssize_t n = read(fd, bytes, sizeof bytes);
        if (n <= 0)
            return;
        g_string_append_len(out, bytes, n);
    }
}

static void child(int slave, Act act)
{
    const struct rlimit no_core = { 0, 0 };
    setrlimit(RLIMIT_CORE, &no_core);
    setsid();
    ioctl(slave, TIOCSCTTY, 0);
    for (int fd = 0; fd < 3; fd++)
        dup2(slave, fd);
    g_setenv("TERM", scene.type, TRUE);
    g_setenv("LC_ALL", "C.UTF-8", TRUE);
    g_unsetenv("TMUX");
    g_unsetenv("STY");
    g_unsetenv("NO_COLOR");
    if (scene.no_color != NULL)
        g_setenv("NO_COLOR", scene.no_color, TRUE);
    Term *t = term_open(NULL, scene.graphics, NULL);
    if (t == NULL)
        _exit(99);
    act(t);
    _exit(0);
}

static Outcome run(Act act)
{
    Outcome o = { .output = g_string_new(NULL) };
    struct winsize size = { .ws_row = 24, .ws_col = 40 };
    struct termios before, after;
    int master, slave;
    g_assert_cmpint(openpty(&master, &slave, NULL, NULL, &size), ==, 0);
    g_assert_cmpint(tcgetattr(slave, &before), ==, 0);
    const pid_t pid = fork();
    if (pid == 0)
        child(slave, act);
    const char *answer = scene.answer;
    while (waitpid(pid, &o.status, WNOHANG) == 0) {
        drain(master, o.output, 20);
        if (answer == NULL || strstr(o.output->str, "\033[c") == NULL)
            continue;
        g_assert_cmpint(write(master, answer, strlen(answer)), ==, (gssize)strlen(answer));
        answer = NULL;
    }
    drain(master, o.output, 20);
    g_assert_cmpint(tcgetattr(slave, &after), ==, 0);
    o.modes_kept = before.c_lflag == after.c_lflag && before.c_iflag == after.c_iflag && before.c_oflag == after.c_oflag;
    close(master);
    close(slave);
    return o;
}

static long last_at(const GString *out, const char *what)
{
    const char *at = g_strrstr_len(out->str, (gssize)out->len, what);
    return at == NULL ? -1 : at - out->str;
}

static void assert_given_back(Outcome *o)
{
    g_assert_true(o->modes_kept);
    g_assert_cmpint(last_at(o->output, "\033[?1049h"), >=, 0);
    g_assert_cmpint(last_at(o->output, "\033[?1049l"), >, last_at(o->output, "\033[?1049h"));
    g_assert_cmpint(last_at(o->output, "\033[?2004l"), >, last_at(o->output, "\033[?2004h"));
    g_assert_cmpint(last_at(o->output, "\033[?25h"), >, last_at(o->output, "\033[?25l"));
    g_string_free(o->output, TRUE);
}

static void draw(Term *t, const char *text)
{
    int width = 0, height = 0;
    term_size(t, &width, &height);
    g_autoptr(Canvas) c = canvas_new(width, height, !term_utf8(t));
    canvas_text(c, 0, 1, width, ROLE_OK, text);
    term_draw(t, c);
}

static void act_close(Term *t)
{
    draw(t, "写真 e\u0301 ok");
    term_close(t);
}

static void act_abort(Term *t)
{
    draw(t, "x");
    abort();
}

static void act_segv(Term *t)
{
    draw(t, "x");
    raise(SIGSEGV);
}

static void act_signal(Term *t)
{
    raise(SIGTERM);
    raise(SIGWINCH);
    const bool right = term_take_signal(t) == SIGTERM && term_take_signal(t) == SIGWINCH && term_take_signal(t) == 0;
    term_close(t);
    _exit(right ? 0 : 1);
}

static void act_same_twice(Term *t)
{
    draw(t, "the same text");
    if (write(STDOUT_FILENO, "<<", 2) != 2)
        _exit(1);
    draw(t, "the same text");
    if (write(STDOUT_FILENO, ">>", 2) != 2)
        _exit(1);
    term_close(t);
}

static void act_title(Term *t)
{
    term_title(t, "a\033]0;owned\a\xc2\x9b"
                  "b");
    if (!term_copy(t, "https://example.org/x"))
        _exit(1);
    term_close(t);
}

static void act_stderr(Term *t)
{
    fprintf(stderr, "noise of a library\n");
    term_close(t);
    fprintf(stderr, "after\n");
}

static void test_close(void)
{
    Outcome o = run(act_close);
    g_assert_cmpint(o.status, ==, 0);
    g_assert_nonnull(strstr(o.output->str, "写真 e\u0301 ok"));
    assert_given_back(&o);
}

static void test_crashes(void)
{
    Outcome aborted = run(act_abort), segv = run(act_segv);
    g_assert_cmpint(aborted.status, !=, 0);
    g_assert_cmpint(segv.status, !=, 0);
    assert_given_back(&aborted);
    assert_given_back(&segv);
}

static void test_signals_become_bytes(void)
{
    Outcome o = run(act_signal);
    g_assert_cmpint(o.status, ==, 0);
    assert_given_back(&o);
}

static void test_an_equal_frame_writes_nothing(void)
{
    Outcome o = run(act_same_twice);
    g_assert_nonnull(strstr(o.output->str, "<<>>"));
    assert_given_back(&o);
}

static void test_title_and_clipboard(void)
{
    Outcome o = run(act_title);
    g_assert_cmpint(o.status, ==, 0);
    g_assert_nonnull(strstr(o.output->str, "\033]2;a]0;ownedb\a"));
    g_assert_nonnull(strstr(o.output->str, "\033]52;c;aHR0cHM6Ly9leGFtcGxlLm9yZy94\a"));
    assert_given_back(&o);
}

static void test_noise_does_not_tear_the_screen(void)
{
    Outcome o = run(act_stderr);
    g_assert_null(strstr(o.output->str, "noise"));
    g_assert_nonnull(strstr(o.output->str, "after"));
    assert_given_back(&o);
}

/* ------------------------------------------------------------------ colours of pictures */

/* Terminals that not every machine describes. */
#define TERMINALS                                                                                                                          \
    "hoist-direct|direct colour,\n\tRGB,\n\tcolors#0x1000000, pairs#0x10000,\n"                                                            \
    "\tsetaf=\\E[%?%p1%{8}%<%t3%p1%d%e38;2;%p1%{65536}%/%d;%p1%{256}%/%{255}%&%d;%p1%{255}%&%d%;m,\n"                                      \
    "\tsetab=\\E[%?%p1%{8}%<%t4%p1%d%e48;2;%p1%{65536}%/%d;%p1%{256}%/%{255}%&%d;%p1%{255}%&%d%;m,\n\tuse=xterm-256color,\n"               \
    "hoist-16|sixteen colours,\n\tcolors#16, pairs#0x100,\n"                                                                               \
    "\tsetaf=\\E[%?%p1%{8}%<%t%p1%{30}%+%e%p1%{82}%+%;%dm,\n\tsetab=\\E[%?%p1%{8}%<%t%p1%{40}%+%e%p1%{92}%+%;%dm,\n\tuse=xterm-256color,"  \
    "\n"

enum { CELLS = 56 };

static int32_t cell_colour(int i, bool back)
{
    static const struct {
        const char *type;
        int32_t fg, bg, fg_step, bg_step;
    } rows[] = { { "hoist-direct", 0x102030, 0xf0e0d0, 0x010305, -0x010203 }, { "xterm-256color", 16, 255, 3, -4 } };
    for (size_t k = 0; k < G_N_ELEMENTS(rows); k++)
        if (g_str_equal(scene.type, rows[k].type))
            return back ? rows[k].bg + i * rows[k].bg_step : rows[k].fg + i * rows[k].fg_step;
    const int many = g_str_equal(scene.type, "hoist-16") ? 16 : 8; /* all pairs of two colours, as far as cells go */
    const int fg = i / (many - 1), bg = i % (many - 1);
    return back ? bg + (bg >= fg) : fg;
}

static void act_colours(Term *t)
{
    int width = 0, height = 0;
    term_size(t, &width, &height);
    g_autoptr(Canvas) c = canvas_new(width, height, !term_utf8(t));
    for (Role role = 0; role < N_ROLES; role++)
        canvas_text(c, (int)role, 0, 1, role, "~");
    for (int i = 0; i < CELLS; i++)
        canvas_paint(c, i % width, 1 + i / width, (gunichar)('0' + i), cell_colour(i, false), cell_colour(i, true));
    term_draw(t, c);
    const unsigned colours = term_colours(t);
    term_close(t);
    _exit(colours == 0 ? 1 : colours == 8 ? 2 : colours == 16 ? 3 : colours == 256 ? 4 : 5);
}

/* SGR -> the two colours; 0x1000000 with those that are RGB. */
static void take_sgr(const char *numbers, int colour[2])
{
    g_auto(GStrv) words = g_strsplit(numbers, ";", -1);
    for (unsigned i = 0; words[i] != NULL; i++) {
        const int n = (int)g_ascii_strtoll(words[i], NULL, 10), left = (int)g_strv_length(words) - (int)i;
        int *to = &colour[(n >= 40 && n < 50) || n >= 100];
        if (n == 0)
            colour[0] = colour[1] = -1;
        else if (n == 39 || n == 49)
            *to = -1;
        else if ((n == 38 || n == 48) && left > 2 && g_str_equal(words[i + 1], "5")) {
            *to = (int)g_ascii_strtoll(words[i + 2], NULL, 10);
            i += 2;
        } else if ((n == 38 || n == 48) && left > 4) {
            *to = 0;
            for (unsigned k = 2; k < 5; k++)
                *to = *to << 8 | (int)g_ascii_strtoll(words[i + k], NULL, 10);
            i += 4;
        } else if ((n >= 30 && n < 38) || (n >= 40 && n < 48))
            *to = n % 10;
        else if (n >= 90)
            *to = n % 10 + 8;
    }
}

/* What a terminal would show: the colours in force where each character came. */
static unsigned cells_seen(const char *p, int seen[CELLS][2])
{
    int colour[2] = { -1, -1 };
    unsigned n = 0;
    p = strchr(p, '~');
    while (p != NULL && *p != '\0') {
        if (g_str_has_prefix(p, "\033[")) {
            const size_t len = strspn(p + 2, "0123456789;?");
            g_autofree char *numbers = g_strndup(p + 2, len);
            if (p[2 + len] == 'm')
                take_sgr(numbers, colour);
            if (g_str_has_prefix(p, "\033[?"))
                break;
            p += 3 + len;
        } else if (*p == 033) {
            p += 3; /* character sets */
        } else {
            if (*p >= '0' && *p < '0' + CELLS) {
                memcpy(seen[*p - '0'], colour, sizeof colour);
                n++;
            }
            p++;
        }
    }
    return n;
}

static void test_cells_get_their_colours(void)
{
    static const struct {
        const char *type;
        int status;
    } types[] = { { "xterm", 2 }, { "hoist-16", 3 }, { "xterm-256color", 4 }, { "hoist-direct", 5 } };
    for (size_t k = 0; k < G_N_ELEMENTS(types); k++) {
        int seen[CELLS][2];
        scene.type = types[k].type;
        Outcome o = run(act_colours);
        g_assert_true(WIFEXITED(o.status));
        g_assert_cmpint(WEXITSTATUS(o.status), ==, types[k].status);
        g_assert_cmpuint(cells_seen(o.output->str, seen), ==, CELLS);
        for (int i = 0; i < CELLS; i++) {
            g_assert_cmpint(seen[i][0], ==, cell_colour(i, false));
            g_assert_cmpint(seen[i][1], ==, cell_colour(i, true));
        }
        assert_given_back(&o);
    }
    scene.type = "xterm-256color";
}

static void test_no_color_is_obeyed(void)
{
    scene.no_color = "1";
    Outcome o = run(act_colours);
    scene.no_color = NULL;
    g_assert_cmpint(WEXITSTATUS(o.status), ==, 1);
    int seen[CELLS][2];
    g_assert_cmpuint(cells_seen(o.output->str, seen), ==, CELLS);
    for (int i = 0; i < CELLS; i++)
        g_assert_true(seen[i][0] == -1 && seen[i][1] == -1);
    assert_given_back(&o);
}

/* ------------------------------------------------------------------ pictures that the terminal draws */

static const char image_of_test[] = "\033_Gtest\033\\";

static void hear_answers(Term *t)
{
    Input *in = input_new(NULL, NULL);
    char bytes[256];
    while (!term_graphics(t)->over) {
        struct pollfd p = { .fd = term_input_fd(t), .events = POLLIN };
        const ssize_t n = poll(&p, 1, 5000) == 1 ? read(p.fd, bytes, sizeof bytes) : 0;
        if (n <= 0)
            _exit(3);
        input_feed(in, bytes, (size_t)n, 0);
        for (InputEvent *ev = input_take(in, 0); ev != NULL; ev = input_take(in, 0)) {
            if (ev->kind != INPUT_REPLY)
                _exit(4);
            term_reply(t, ev->text);
            input_event_free(ev);
        }
    }
    input_free(in);
}

static void mark(const char *text)
{
    if (write(STDOUT_FILENO, text, strlen(text)) < 0)
        _exit(5);
}

/* A list left of the image; `first` is its first line. */
static void draw_scene(Term *t, GBytes *image, int first, const char *over)
{
    int width = 0, height = 0;
    term_size(t, &width, &height);
    g_autoptr(Canvas) c = canvas_new(width, height, !term_utf8(t));
    for (int y = 0; y < height; y++)
        canvas_printf(c, 0, y, ROLE_TEXT, "line %d of a list", (first + y) * 7919);
    if (image != NULL)
        canvas_image(c, 25, 2, 10, 21, image);
    if (over != NULL)
        canvas_text(c, 26, 3, 5, ROLE_TEXT, over);
    term_draw(t, c);
}

static void act_image(Term *t)
{
    g_autoptr(GBytes) image = g_bytes_new_static(image_of_test, strlen(image_of_test));
    g_autoptr(GBytes) other = g_bytes_new_static(image_of_test, strlen(image_of_test));
    hear_answers(t);
    const Graphics now = graphics_now(term_graphics(t));
    mark("<new>");
    draw_scene(t, image, 0, NULL);
    mark("<same>");
    draw_scene(t, image, 0, NULL);
    mark("<list>");
    draw_scene(t, image, 1, NULL);
    mark("<over>");
    draw_scene(t, image, 1, "box");
    mark("<back>");
    draw_scene(t, image, 1, NULL);
    mark("<other>");
    draw_scene(t, other, 1, NULL);
    mark("<gone>");
    draw_scene(t, NULL, 1, NULL);
    mark("<last>");
    draw_scene(t, image, 1, NULL);
    mark("<close>");
    term_close(t);
    _exit(now == GRAPHICS_KITTY ? 10 : now == GRAPHICS_SIXEL ? 11 : now == GRAPHICS_CELLS ? 12 : 13);
}

static char *part(const Outcome *o, const char *from, const char *to)
{
    const char *begin = strstr(o->output->str, from), *end = strstr(o->output->str, to);
    g_assert_nonnull(begin);
    g_assert_true(end == NULL || end > begin);
    return g_strndup(begin + strlen(from), end == NULL ? strlen(begin) : (size_t)(end - begin) - strlen(from));
}

static void assert_image(const Outcome *o, const char *from, const char *to, bool drawn, bool erased)
{
    g_autofree char *text = part(o, from, to);
    const char *image = strstr(text, "\0337\033[3;26H\033_Gtest\033\\\0338");
    const char *erase = strstr(text, "\033_Ga=d");
    g_assert_true((image != NULL) == drawn);
    g_assert_true((strstr(text, image_of_test) != NULL) == drawn);
    g_assert_true((erase != NULL) == erased);
    g_assert_true(image == NULL || erase == NULL || erase < image);
}

static void test_image_comes_and_goes(void)
{
    scene.graphics = GRAPHICS_AUTO;
    for (int kitty = 0; kitty < 2; kitty++) {
        scene.answer = kitty ? "\033[?2026;2$y\033_Gi=31;OK\033\\\033[6;20;10t\033[?62;22c" : "\033[?2026;2$y\033[6;20;10t\033[?62;4;22c";
        Outcome o = run(act_image);
        g_assert_true(WIFEXITED(o.status));
        g_assert_cmpint(WEXITSTATUS(o.status), ==, kitty ? 10 : 11);
        assert_image(&o, "<new>", "<same>", true, false);
        g_assert_nonnull(strstr(o.output->str, "<same><list>"));
        assert_image(&o, "<list>", "<over>", false, false);
        assert_image(&o, "<over>", "<back>", false, kitty);
        assert_image(&o, "<back>", "<other>", true, false);
        assert_image(&o, "<other>", "<gone>", true, kitty);
        assert_image(&o, "<gone>", "<last>", false, kitty);
        assert_image(&o, "<last>", "<close>", true, false);
        assert_image(&o, "<close>", "never", false, kitty);
        assert_given_back(&o);
    }
    scene.graphics = GRAPHICS_CELLS;
    scene.answer = NULL;
}

/* A list that moves up beside the image is written anew: scrolled lines would take a part of the image along. */
static void test_lines_with_an_image_are_not_scrolled(void)
{
    g_autoptr(GRegex) scrolls = g_regex_new("\033\\[\\d+;\\d+r|\033\\[\\d*[STLM]|\033M", 0, 0, NULL);
    scene.graphics = GRAPHICS_KITTY;
    scene.answer = "\033_Gi=31;OK\033\\\033[?62;22c";
    Outcome o = run(act_image);
    scene.graphics = GRAPHICS_CELLS;
    scene.answer = NULL;
    g_autofree char *text = part(&o, "<list>", "<over>");
    g_assert_false(g_regex_match(scrolls, text, 0, NULL));
    g_assert_nonnull(strstr(text, "7919"));
    assert_given_back(&o);
}

static void test_questions_are_asked_only_when_wanted(void)
{
    Outcome o = run(act_close);
    g_assert_null(strstr(o.output->str, "\033_G"));
    g_assert_null(strstr(o.output->str, "\033]1337"));
    assert_given_back(&o);
    scene.graphics = GRAPHICS_AUTO;
    scene.answer = "\033[?62;22c";
    Outcome asked = run(act_image);
    scene.graphics = GRAPHICS_CELLS;
    scene.answer = NULL;
    g_assert_cmpint(WEXITSTATUS(asked.status), ==, 12);
    g_assert_nonnull(strstr(asked.output->str, "a=q"));
    assert_given_back(&asked);
}

/* In a folder of its own, for the tests that follow. */
static char *describe_terminals(void)
{
    g_autofree char *folder = g_dir_make_tmp("hoist-term-XXXXXX", NULL);
    g_autofree char *source = g_build_filename(folder, "terminals", NULL);
    const char *const argv[] = { "tic", "-x", "-o", folder, source, NULL };
    int status = 1;
    g_assert_true(g_file_set_contents(source, TERMINALS, -1, NULL));
    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, NULL));
    g_assert_cmpint(status, ==, 0);
    g_setenv("TERMINFO", folder, TRUE);
    return g_steal_pointer(&folder);
}

static void remove_folder(const char *folder)
{
    const char *const argv[] = { "rm", "-rf", folder, NULL };
    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_autofree char *folder = describe_terminals();
    g_test_add_func("/term/close", test_close);
    g_test_add_func("/term/crashes", test_crashes);
    g_test_add_func("/term/signals-become-bytes", test_signals_become_bytes);
    g_test_add_func("/term/an-equal-frame-writes-nothing", test_an_equal_frame_writes_nothing);
    g_test_add_func("/term/title-and-clipboard", test_title_and_clipboard);
    g_test_add_func("/term/noise-does-not-tear-the-screen", test_noise_does_not_tear_the_screen);
    g_test_add_func("/term/cells-get-their-colours", test_cells_get_their_colours);
    g_test_add_func("/term/no-color-is-obeyed", test_no_color_is_obeyed);
    g_test_add_func("/term/image-comes-and-goes", test_image_comes_and_goes);
    g_test_add_func("/term/lines-with-an-image-are-not-scrolled", test_lines_with_an_image_are_not_scrolled);
    g_test_add_func("/term/questions-are-asked-only-when-wanted", test_questions_are_asked_only_when_wanted);
    const int status = g_test_run();
    remove_folder(folder);
    return status;
}
