#include "imgworker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "build-config.h"
#include "fault.h"
#include "hoist.h"

enum { SOCKET_FD = 3, PASS_FD_LEAST = 10, HELLO_MS = 5000 };

char *imgworker_find(const char *configured)
{
    if (configured == NULL)
        configured = g_getenv("HOIST_IMGPROC");
    if (configured != NULL)
        return g_strdup(configured);
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *dir = self != NULL ? g_path_get_dirname(self) : g_strdup(".");
    static const char *const near[] = { ".", "../imgproc", "../libexec" }; /* beside it; in the build tree; under a prefix that was moved */
    for (size_t i = 0; i < G_N_ELEMENTS(near); i++) {
        g_autofree char *path = g_build_filename(dir, near[i], "hoist-imgproc", NULL);
        if (access(path, X_OK) == 0)
            return g_steal_pointer(&path);
    }
    return g_build_filename(HOIST_LIBEXECDIR, "hoist-imgproc", NULL);
}

/* An allow-list: the parent's environment holds keys to buckets. */
static GStrv worker_environment(void)
{
    static const char *const passed[] = { "PATH",         "LANG",          "LC_ALL",       "LD_LIBRARY_PATH", "VIPSHOME",
                                          "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS" };
    GStrv env = g_environ_setenv(NULL, "VIPS_WARNING", "1", TRUE);  /* any value: no warnings on stderr */
    env = g_environ_setenv(env, "VIPS_DISC_THRESHOLD", "4g", TRUE); /* never to a temporary file: it could not be opened */
    for (gsize i = 0; i < G_N_ELEMENTS(passed); i++)
        if (g_getenv(passed[i]) != NULL)
            env = g_environ_setenv(env, passed[i], g_getenv(passed[i]), TRUE);
    return env;
}

static int spawn(pid_t *pid, const char *path, int sock)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawn_file_actions_init(&files);
    for (int fd = 0; fd < SOCKET_FD; fd++)
        posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
    posix_spawn_file_actions_adddup2(&files, sock, SOCKET_FD);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setpgroup(&attr, 0);

    char *argv[] = { (char *)"hoist-imgproc", NULL };
    g_auto(GStrv) env = worker_environment();
    const int status = posix_spawn(pid, path, &files, &attr, argv, env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    return status;
}

bool imgworker_start(ImgWorker *w, const char *path, GError **error)
{
    int pair[2];
    if (!wire_pair(pair)) {
        fault_set(error, FAULT_WORKER, "cannot start the picture worker: %s", g_strerror(errno));
        return false;
    }
    /* above the descriptors that spawn overwrites */
    const int theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, PASS_FD_LEAST);
    close(pair[1]);
    pid_t pid = 0;
    const int status = theirs < 0 ? errno : spawn(&pid, path, theirs);
    if (theirs >= 0)
        close(theirs);
    if (status != 0) {
        close(pair[0]);
        fault_set(error, FAULT_WORKER, "cannot start %s: %s", path, g_strerror(status));
        return false;
    }
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    *w = (ImgWorker){ .pid = pid, .sock = pair[0] };
    return true;
}

void imgworker_stop(ImgWorker *w)
{
    if (w->pid == 0)
        return;
    close(w->sock);
    kill(w->pid, SIGKILL);
    while (waitpid(w->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    *w = (ImgWorker){ .sock = -1 };
}

static bool hear_hello(const ImgWorker *w, WireHello *out, GError **error)
{
    struct pollfd p = { .fd = w->sock, .events = POLLIN };
    WireMessage m;
    WireFds fds;
    if (poll(&p, 1, HELLO_MS) <= 0) {
        fault_set(error, FAULT_WORKER, "the picture worker says nothing for %d s", HELLO_MS / 1000);
        return false;
    }
    const WireGot got = wire_recv(w->sock, &m, &fds);
    if (got == WIRE_GOT && m.head.kind == WIRE_HELLO) {
        *out = m.hello;
        return true;
    }
    if (got == WIRE_GOT)
        wire_fds_close(&fds);
    fault_set(error, FAULT_WORKER,
              got == WIRE_CLOSED ? "the picture worker ended as soon as it was started"
                                 : "the picture worker is of another version of " HOIST_APP);
    return false;
}

bool imgworker_hello(const char *path, WireHello *out, GError **error)
{
    ImgWorker w = { 0 };
    if (!imgworker_start(&w, path, error))
        return false;
    const bool heard = hear_hello(&w, out, error);
    imgworker_stop(&w);
    return heard;
}
