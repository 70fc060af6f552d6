#include "term.h"

#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#define SCREEN_RESET "\033[?2026l\033[?2004l\033[?25h\033[0m\033[?1049l"

enum { CLIPBOARD_MAX = 74994, TITLE_COLUMNS = 80, CELL_CHARS = 6, DIRECT_GREY = 0x808080 };

static const int caught[] = { SIGWINCH, SIGCONT, SIGTSTP, SIGINT, SIGTERM, SIGHUP };
static const int deadly[] = { SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL };

struct Term {
    SCREEN *screen;
    int input_fd, output_fd;
    bool own_input;
    int stderr_saved;
    char *stderr_path;
    bool utf8, colour, synchronized, titles;
    bool whole;    /* the next frame is written whole */
    Canvas *shown; /* what the terminal shows; NULL before the first frame */
    cchar_t *row;  /* one row on its way to ncurses */
    attr_t attrs[N_ROLES];
    int pairs[N_ROLES];
    GraphicsTalk talk;
    CanvasImage drawn; /* by the terminal itself; sequence NULL = none */
};

/* What signal handlers need; set before they are installed. */
static struct {
    int pipe[2];
    int tty;
    struct termios saved;
    struct sigaction old_caught[G_N_ELEMENTS(caught)], old_deadly[G_N_ELEMENTS(deadly)];
} at_signal = { .pipe = { -1, -1 }, .tty = -1 };

/* ------------------------------------------------------------------ signals */

static void on_signal(int signo)
{
    const int saved = errno;
    const unsigned char byte = (unsigned char)signo;
    if (write(at_signal.pipe[1], &byte, 1) < 0) {
        /* full: the loop has enough to read */
    }
    errno = saved;
}

/* Gives the screen back, then lets the handler that was there before (or the default) have the signal. */
static void on_crash(int signo)
{
    if (write(at_signal.tty, SCREEN_RESET, sizeof SCREEN_RESET - 1) < 0) {
        /* nothing left to try */
    }
    tcsetattr(at_signal.tty, TCSANOW, &at_signal.saved);
    for (size_t i = 0; i < G_N_ELEMENTS(deadly); i++)
        sigaction(deadly[i], &at_signal.old_deadly[i], NULL);
    raise(signo);
}

static void catch_signals(void)
{
    struct sigaction quiet = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    struct sigaction crash = { .sa_handler = on_crash, .sa_flags = SA_NODEFER };
    sigemptyset(&quiet.sa_mask);
    sigemptyset(&crash.sa_mask);
    for (size_t i = 0; i < G_N_ELEMENTS(caught); i++)
        sigaction(caught[i], &quiet, &at_signal.old_caught[i]);
    for (size_t i = 0; i < G_N_ELEMENTS(deadly); i++)
        sigaction(deadly[i], &crash, &at_signal.old_deadly[i]);
}

static void release_signals(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(caught); i++)
        sigaction(caught[i], &at_signal.old_caught[i], NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(deadly); i++)
        sigaction(deadly[i], &at_signal.old_deadly[i], NULL);
}

int term_signal_fd(const Term *t)
{
    (void)t;
    return at_signal.pipe[0];
}

int term_take_signal(Term *t)
{
    (void)t;
    unsigned char byte = 0;
    return read(at_signal.pipe[0], &byte, 1) == 1 ? byte : 0;
}

/* ------------------------------------------------------------------ colours */

static const struct {
    short colour;       /* of 16; -1 = the terminal's own */
    attr_t attrs, mono; /* with colours, without */
} looks[N_ROLES] = {
    [ROLE_TEXT] = { -1, A_NORMAL, A_NORMAL },       [ROLE_DIM] = { 8, A_NORMAL, A_DIM },
    [ROLE_STRONG] = { -1, A_BOLD, A_BOLD },         [ROLE_BRAND] = { 6, A_BOLD, A_BOLD },
    [ROLE_ACCENT] = { 6, A_NORMAL, A_NORMAL },      [ROLE_OK] = { 2, A_NORMAL, A_NORMAL },
    [ROLE_WARN] = { 3, A_NORMAL, A_BOLD },          [ROLE_BAD] = { 1, A_BOLD, A_BOLD },
    [ROLE_PAUSED] = { 5, A_NORMAL, A_NORMAL },      [ROLE_BAR] = { 6, A_NORMAL, A_NORMAL },
    [ROLE_SENT] = { 6, A_NORMAL, A_NORMAL },        [ROLE_TRACK] = { 8, A_NORMAL, A_DIM },
    [ROLE_GRAPH] = { 6, A_NORMAL, A_NORMAL },       [ROLE_RULE] = { 8, A_NORMAL, A_DIM },
    [ROLE_HEAD] = { 8, A_NORMAL, A_DIM },           [ROLE_TAB] = { -1, A_NORMAL, A_NORMAL },
    [ROLE_TAB_ON] = { 6, A_REVERSE, A_REVERSE },    [ROLE_KEY] = { -1, A_BOLD, A_BOLD },
    [ROLE_SELECTED] = { -1, A_REVERSE, A_REVERSE }, [ROLE_PREPARED] = { 4, A_NORMAL, A_DIM },
    [ROLE_PICTURE] = { -1, A_NORMAL, A_NORMAL },
};

unsigned term_colours(const Term *t)
{
    static const int steps[] = { 1 << 24, 256, 16, 8 };
    for (size_t i = 0; t->colour && i < G_N_ELEMENTS(steps); i++)
        if (COLORS >= steps[i])
            return (unsigned)steps[i];
    return 0;
}

/* With direct colour the numbers below 8 are still an index, and 8 is a blue that nobody sees. */
static int role_colour(int colour)
{
    return COLORS > 256 && colour >= 8 ? DIRECT_GREY : colour;
}

/* Roles of one colour share a pair: some terminals have 64, and pictures want most of them. */
static int role_pair(int colour)
{
    for (int pair = 1; pair < N_ROLES; pair++) {
        int fg = 0, bg = 0;
        const bool used = extended_pair_content(pair, &fg, &bg) == OK && bg == -1 && fg != -1;
        if (used && fg == colour)
            return pair;
        if (!used)
            return init_extended_pair(pair, colour, -1) == OK ? pair : 0;
    }
    return 0;
}

static void choose_colours(Term *t)
{
    const char *no_color = g_getenv("NO_COLOR");
    t->colour = (no_color == NULL || *no_color == '\0') && has_colors() && start_color() == OK && use_default_colors() == OK;
    for (Role role = 0; role < N_ROLES; role++) {
        t->attrs[role] = t->colour ? looks[role].attrs : looks[role].mono;
        if (!t->colour || looks[role].colour < 0)
            continue;
        if (looks[role].colour >= COLORS)
            t->attrs[role] = looks[role].mono;
        else
            t->pairs[role] = role_pair(role_colour(looks[role].colour));
    }
}

static int picture_colour(int32_t colour)
{
    return COLORS > 256 && colour >= 0 && colour < 8 ? 8 : colour; /* see role_colour */
}

static int pair_of(const Term *t, const Cell *cell)
{
    if (cell->role != ROLE_PICTURE)
        return t->pairs[cell->role];
    if (!t->colour || (cell->fg < 0 && cell->bg < 0))
        return 0;
    return MAX(alloc_pair(picture_colour(cell->fg), picture_colour(cell->bg)), 0);
}

/* ------------------------------------------------------------------ open and close */

static void put_bytes(const Term *t, const char *bytes, size_t left)
{
    while (left > 0) {
        const ssize_t n = write(t->output_fd, bytes, left);
        if (n < 0 && errno != EINTR)
            return;
        if (n > 0) {
            bytes += n;
            left -= (size_t)n;
        }
    }
}

static void put(const Term *t, const char *text)
{
    put_bytes(t, text, strlen(text));
}

static void screen_up(const Term *t)
{
    put(t, t->titles ? "\033[?2004h\033[22;2t" : "\033[?2004h"); /* remembers the title */
}

/* What stood below it comes back with the next doupdate. */
static void erase_image(Term *t)
{
    const char *erase = graphics_erase(graphics_now(&t->talk));
    if (t->drawn.sequence == NULL)
        return;
    if (erase != NULL)
        put(t, erase);
    else
        wredrawln(stdscr, t->drawn.y, t->drawn.height);
    g_clear_pointer(&t->drawn.sequence, g_bytes_unref);
}

static void draw_image(Term *t, const CanvasImage *image)
{
    gsize n = 0;
    const char *bytes = g_bytes_get_data(image->sequence, &n);
    g_autofree char *to = g_strdup_printf("\0337\033[%d;%dH", image->y + 1, image->x + 1);
    put(t, to);
    put_bytes(t, bytes, n);
    put(t, "\0338");
    t->drawn = *image;
    g_bytes_ref(image->sequence);
}

static void screen_down(Term *t)
{
    erase_image(t);
    put(t, t->titles ? "\033[?2026l\033[?2004l\033[23;2t" : "\033[?2026l\033[?2004l");
    curs_set(1);
    endwin();
    tcsetattr(t->output_fd, TCSANOW, &at_signal.saved);
}

static void silence_stderr(Term *t, const char *path)
{
    fflush(stderr);
    const int fd = path == NULL ? -1 : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    const int sink = fd >= 0 ? fd : open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (sink < 0)
        return;
    t->stderr_saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    dup2(sink, STDERR_FILENO);
    close(sink);
    t->stderr_path = fd >= 0 ? g_strdup(path) : NULL;
}

static void restore_stderr(Term *t)
{
    struct stat st;
    if (t->stderr_saved < 0)
        return;
    fflush(stderr);
    if (t->stderr_path != NULL && fstat(STDERR_FILENO, &st) == 0 && st.st_size == 0)
        unlink(t->stderr_path);
    dup2(t->stderr_saved, STDERR_FILENO);
    close(t->stderr_saved);
    t->stderr_saved = -1;
}

static bool open_tty(Term *t, GError **error)
{
    const char *type = g_getenv("TERM");
    if (!isatty(STDOUT_FILENO) || type == NULL || *type == '\0' || g_str_equal(type, "dumb")) {
        g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_NXIO, "the dashboard needs a terminal on standard output");
        return false;
    }
    t->output_fd = STDOUT_FILENO;
    t->own_input = !isatty(STDIN_FILENO);
    t->input_fd = t->own_input ? open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC) : STDIN_FILENO;
    if (t->input_fd < 0 || tcgetattr(t->output_fd, &at_signal.saved) != 0 || pipe2(at_signal.pipe, O_CLOEXEC | O_NONBLOCK) != 0) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NXIO, "the terminal cannot be read: %s", g_strerror(errno));
        return false;
    }
    at_signal.tty = t->output_fd;
    t->titles = !g_str_has_prefix(type, "linux");
    return true;
}

static void ask(Term *t)
{
    const char *query = graphics_query(&t->talk);
    put(t, "\033[?2026$p");
    if (query != NULL)
        put(t, query);
    put(t, "\033[c");
}

Term *term_open(const char *stderr_path, Graphics graphics, GError **error)
{
    g_autoptr(Term) t = g_new0(Term, 1);
    t->talk.wish = graphics;
    t->input_fd = t->stderr_saved = -1;
    t->whole = true;
    setlocale(LC_CTYPE, "");
    t->utf8 = g_str_equal(nl_langinfo(CODESET), "UTF-8");
    if (!open_tty(t, error))
        return NULL;
    catch_signals(); /* before newterm, which installs its own only where none are */
    use_env(FALSE);
    use_tioctl(TRUE);
    t->screen = newterm(NULL, stdout, stdin);
    if (t->screen == NULL) {
        release_signals();
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSYS, "unknown terminal type \"%s\"", g_getenv("TERM"));
        return NULL;
    }
    raw();
    noecho();
    nonl();
    curs_set(0);
    choose_colours(t);
    silence_stderr(t, stderr_path);
    wnoutrefresh(stdscr);
    doupdate();
    screen_up(t);
    ask(t);
    return g_steal_pointer(&t);
}

void term_close(Term *t)
{
    if (t == NULL)
        return;
    if (t->screen != NULL) {
        screen_down(t);
        delscreen(t->screen);
        release_signals();
        restore_stderr(t);
    }
    for (int i = 0; i < 2; i++) {
        if (at_signal.pipe[i] >= 0)
            close(at_signal.pipe[i]);
        at_signal.pipe[i] = -1;
    }
    if (t->own_input && t->input_fd >= 0)
        close(t->input_fd);
    canvas_free(t->shown);
    g_free(t->stderr_path);
    g_free(t->row);
    g_free(t);
}

void term_suspend(Term *t)
{
    struct sigaction stop = { .sa_handler = SIG_DFL }, ours;
    sigemptyset(&stop.sa_mask);
    screen_down(t);
    sigaction(SIGTSTP, &stop, &ours);
    raise(SIGTSTP);
    sigaction(SIGTSTP, &ours, NULL);
    screen_up(t);
    term_resume(t);
}

void term_resume(Term *t)
{
    reset_prog_mode();
    put(t, "\033[?2004h");
    t->whole = true;
}

/* ------------------------------------------------------------------ frames */

int term_input_fd(const Term *t)
{
    return t->input_fd;
}

bool term_utf8(const Term *t)
{
    return t->utf8;
}

void term_size(Term *t, int *width_out, int *height_out)
{
    struct winsize size = { 0 };
    if (ioctl(t->output_fd, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0 &&
        (size.ws_row != LINES || size.ws_col != COLS)) {
        resizeterm(size.ws_row, size.ws_col);
        t->whole = true;
    }
    if (size.ws_xpixel >= size.ws_col && size.ws_ypixel >= size.ws_row && size.ws_col > 0 && size.ws_row > 0) {
        t->talk.cell_width_px = size.ws_xpixel / size.ws_col;
        t->talk.cell_height_px = size.ws_ypixel / size.ws_row;
    }
    *width_out = COLS;
    *height_out = LINES;
}

const GraphicsTalk *term_graphics(const Term *t)
{
    return &t->talk;
}

bool term_ready(const Term *t)
{
    struct pollfd fd = { .fd = t->output_fd, .events = POLLOUT };
    return poll(&fd, 1, 0) == 1 && (fd.revents & POLLOUT) != 0;
}

void term_redraw(Term *t)
{
    t->whole = true;
}

void term_reply(Term *t, const char *sequence)
{
    if (strstr(sequence, "?2026;1$y") != NULL || strstr(sequence, "?2026;2$y") != NULL)
        t->synchronized = true;
    graphics_reply(&t->talk, sequence);
}

/* One cell as ncurses wants it; a character that the C library knows with another width becomes U+FFFD, so that the row keeps its length.
 */
static int fill_cchar(const Term *t, const Cell *cell, cchar_t *out)
{
    wchar_t chars[CELL_CHARS] = { 0 };
    int n = 0;
    bool padded = false;
    for (const char *p = cell->text; *p != '\0' && n + 1 < CELL_CHARS; p = g_utf8_next_char(p)) {
        const wchar_t ch = (wchar_t)g_utf8_get_char(p);
        if (n == 0 && wcwidth(ch) != cell->width) {
            chars[n++] = t->utf8 ? 0xFFFD : L'?';
            padded = cell->width == 2;
            break;
        }
        if (n == 0 || wcwidth(ch) == 0)
            chars[n++] = ch;
    }
    const int pair = pair_of(t, cell);
    setcchar(&out[0], chars, t->attrs[cell->role], 0, &pair);
    if (padded)
        setcchar(&out[1], L" ", t->attrs[cell->role], 0, &pair);
    return padded ? 2 : 1;
}

static void draw_row(Term *t, const Canvas *c, int y)
{
    const Cell *cells = &c->cells[(size_t)y * (size_t)c->width];
    int n = 0;
    for (int x = 0; x < c->width; x++)
        if (cells[x].width > 0)
            n += fill_cchar(t, &cells[x], &t->row[n]);
    mvadd_wchnstr(y, 0, t->row, n);
}

static bool row_changed(const Term *t, const Canvas *c, int y)
{
    const size_t at = (size_t)y * (size_t)c->width;
    return memcmp(&t->shown->cells[at], &c->cells[at], (size_t)c->width * sizeof(Cell)) != 0;
}

static void remember(Term *t, const Canvas *c)
{
    if (t->shown == NULL || t->shown->width != c->width || t->shown->height != c->height) {
        canvas_free(t->shown);
        t->shown = canvas_new(c->width, c->height, c->ascii);
    }
    memcpy(t->shown->cells, c->cells, (size_t)c->width * (size_t)c->height * sizeof(Cell));
    t->shown->cursor_x = c->cursor_x;
    t->shown->cursor_y = c->cursor_y;
}

static bool image_is_drawn(const Term *t, const CanvasImage *image)
{
    const CanvasImage *drawn = &t->drawn;
    if (image == NULL || drawn->sequence == NULL)
        return image == NULL && drawn->sequence == NULL;
    return drawn->sequence == image->sequence && drawn->x == image->x && drawn->y == image->y;
}

static bool write_rows(Term *t, const Canvas *c, bool whole)
{
    bool changed = false;
    for (int y = 0; y < c->height; y++) {
        if (!whole && !row_changed(t, c, y))
            continue;
        draw_row(t, c, y);
        changed = true;
    }
    return changed;
}

void term_draw(Term *t, const Canvas *c)
{
    const bool other_size = t->shown == NULL || t->shown->width != c->width || t->shown->height != c->height;
    const bool whole = t->whole || other_size;
    const CanvasImage *image = canvas_image_whole(c) ? &c->image : NULL;
    const bool image_changed = whole || !image_is_drawn(t, image);
    if (other_size)
        t->row = g_renew(cchar_t, t->row, (gsize)c->width + 1);
    const bool moved = whole || t->shown->cursor_x != c->cursor_x || t->shown->cursor_y != c->cursor_y;
    if (!write_rows(t, c, whole) && !moved && !image_changed)
        return;
    if (whole)
        clearok(curscr, TRUE);
    curs_set(c->cursor_x >= 0 ? 1 : 0);
    if (c->cursor_x >= 0)
        move(c->cursor_y, c->cursor_x);
    if (t->synchronized)
        put(t, "\033[?2026h");
    if (image_changed)
        erase_image(t);
    wnoutrefresh(stdscr);
    doupdate();
    if (image_changed && image != NULL)
        draw_image(t, image);
    if (t->synchronized)
        put(t, "\033[?2026l");
    t->whole = false;
    remember(t, c);
}

/* ------------------------------------------------------------------ title and clipboard */

void term_title(Term *t, const char *text)
{
    if (!t->titles)
        return;
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    GString *out = g_string_new("\033]2;");
    int columns = 0;
    for (const char *p = valid; *p != '\0' && columns < TITLE_COLUMNS; p = g_utf8_next_char(p)) {
        if (g_unichar_iscntrl(g_utf8_get_char(p)) || (!t->utf8 && (unsigned char)*p >= 0x80))
            continue;
        g_string_append_len(out, p, g_utf8_next_char(p) - p);
        columns++;
    }
    g_string_append_c(out, '\a');
    put(t, out->str);
    g_string_free(out, TRUE);
}

bool term_copy(Term *t, const char *text)
{
    const size_t n = strlen(text);
    if (n > CLIPBOARD_MAX)
        return false;
    g_autofree char *base64 = g_base64_encode((const guchar *)text, n);
    g_autofree char *sequence = g_strdup_printf("\033]52;c;%s\a", base64);
    put(t, sequence);
    return true;
}
