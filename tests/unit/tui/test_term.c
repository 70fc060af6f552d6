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

#include "tui/term.h"

typedef void (*Act)(Term *t);

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
    g_setenv("TERM", "xterm-256color", TRUE);
    g_setenv("LC_ALL", "C.UTF-8", TRUE);
    Term *t = term_open(NULL, GRAPHICS_CELLS, NULL);
    if (t == NULL)
        _exit(99);
    act(t);
    _exit(0);
}

static Outcome run(Act act)
{
    Outcome o = { .output = g_string_new(NULL) };
    struct winsize size = { .ws_row = 10, .ws_col = 40 };
    struct termios before, after;
    int master, slave;
    g_assert_cmpint(openpty(&master, &slave, NULL, NULL, &size), ==, 0);
    g_assert_cmpint(tcgetattr(slave, &before), ==, 0);
    const pid_t pid = fork();
    if (pid == 0)
        child(slave, act);
    while (waitpid(pid, &o.status, WNOHANG) == 0)
        drain(master, o.output, 20);
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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/term/close", test_close);
    g_test_add_func("/term/crashes", test_crashes);
    g_test_add_func("/term/signals-become-bytes", test_signals_become_bytes);
    g_test_add_func("/term/an-equal-frame-writes-nothing", test_an_equal_frame_writes_nothing);
    g_test_add_func("/term/title-and-clipboard", test_title_and_clipboard);
    g_test_add_func("/term/noise-does-not-tear-the-screen", test_noise_does_not_tear_the_screen);
    return g_test_run();
}
