#include "session.h"

#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* For the handler, which can be given nothing. */
static volatile sig_atomic_t n_signals;
static volatile sig_atomic_t signal_fd = -1;

static void poke(int fd)
{
    const uint64_t one = 1;
    const ssize_t written = write(fd, &one, sizeof one);
    (void)written; /* full = it is awake already */
}

static void on_signal(int number)
{
    (void)number;
    if (++n_signals > 1)
        _exit(EXIT_INTERRUPTED);
    poke(signal_fd);
}

static void wake(void *ctx)
{
    const Session *s = ctx;
    poke(s->wake_fd);
}

void session_init(Session *s)
{
    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
    s->hoist = NULL;
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->wake_fd < 0)
        g_error("eventfd: out of descriptors");
    n_signals = 0;
    signal_fd = s->wake_fd;
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    sigemptyset(&action.sa_mask);
    for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++) {
        struct sigaction old;
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) /* nohup stays in force */
            sigaction(numbers[i], &action, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
}

bool session_open(Session *s, const HoistSettings *settings, unsigned flags, GError **error)
{
    s->hoist = hoist_open(settings, flags, wake, s, error);
    return s->hoist != NULL;
}

void session_close(Session *s)
{
    g_clear_pointer(&s->hoist, hoist_close);
}

void session_clear(Session *s)
{
    session_close(s);
    if (s->wake_fd < 0)
        return;
    signal_fd = -1;
    close(s->wake_fd);
    s->wake_fd = -1;
}

bool session_wait(Session *s, int extra_fd, int timeout_ms)
{
    struct pollfd fds[] = { { .fd = s->wake_fd, .events = POLLIN }, { .fd = extra_fd, .events = POLLIN } };
    if (poll(fds, G_N_ELEMENTS(fds), timeout_ms) <= 0)
        return false;
    uint64_t count;
    const ssize_t taken = read(s->wake_fd, &count, sizeof count);
    (void)taken;
    return fds[1].revents != 0;
}

bool session_interrupted(void)
{
    return n_signals > 0;
}
