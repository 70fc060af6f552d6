#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "imgproc/sandbox.h"

enum { NO_SANDBOX = 77, REFUSED = 0, HAPPENED = 1 };

/* The end of a child that does `deed` inside the sandbox. */
static int status_of(int (*deed)(void))
{
    const pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        sandbox_begin(STDERR_FILENO);
        SandboxFacts facts;
        _exit(sandbox_enter(&facts) ? deed() : NO_SANDBOX);
    }
    int status;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return status;
}

static void expect_killed(int (*deed)(void))
{
    const int status = status_of(deed);
    g_assert_true(WIFSIGNALED(status));
    g_assert_cmpint(WTERMSIG(status), ==, SIGSYS);
}

static void expect_exit(int (*deed)(void), int code)
{
    const int status = status_of(deed);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, code);
}

static int run_a_program(void)
{
    char *argv[] = { (char *)"true", NULL };
    execv("/bin/true", argv);
    return HAPPENED;
}

static int make_a_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) >= 0 ? HAPPENED : REFUSED;
}

static int make_a_process(void)
{
    const pid_t pid = fork();
    if (pid == 0)
        _exit(HAPPENED);
    return pid < 0 ? REFUSED : HAPPENED;
}

static int read_a_file(void)
{
    return open("/etc/passwd", O_RDONLY) >= 0 ? HAPPENED : REFUSED;
}

static int write_a_file(void)
{
    return open("/tmp/hoist-sandbox-test", O_WRONLY | O_CREAT, 0600) >= 0 ? HAPPENED : REFUSED;
}

static int kill_the_parent(void)
{
    return kill(getppid(), 0) == 0 ? HAPPENED : REFUSED;
}

static void *touch(void *data)
{
    *(int *)data = 1;
    return NULL;
}

/* What a picture needs: memory, threads, descriptors that were there before. */
static int work(void)
{
    int touched = 0;
    pthread_t thread;
    char *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || pthread_create(&thread, NULL, touch, &touched) != 0 || pthread_join(thread, NULL) != 0)
        return REFUSED;
    memory[1] = 'x';
    return touched == 1 && write(STDERR_FILENO, memory, 0) == 0 ? HAPPENED : REFUSED;
}

static int count_descriptors(void)
{
    int open_fds = 0;
    for (int fd = 0; fd < 256; fd++)
        open_fds += fcntl(fd, F_GETFD) >= 0;
    return open_fds;
}

static int write_too_much(void)
{
    static const char bytes[1] = { 0 };
    return pwrite(STDIN_FILENO, bytes, 1, (off_t)SANDBOX_OUTPUT_BYTES_MAX) < 0 && errno == EFBIG ? REFUSED : HAPPENED;
}

static void test_kills(void)
{
    expect_killed(run_a_program);
    expect_killed(make_a_socket);
}

static void test_refuses(void)
{
    expect_exit(make_a_process, REFUSED);
    expect_exit(read_a_file, REFUSED);
    expect_exit(write_a_file, REFUSED);
    expect_exit(kill_the_parent, REFUSED);
}

static void test_lets_work(void)
{
    expect_exit(work, HAPPENED);
}

static void test_closes_descriptors(void)
{
    const int fd = open("/dev/null", O_RDONLY);
    expect_exit(count_descriptors, 3);
    close(fd);
}

static void test_bounds_output(void)
{
    g_autofree char *path = NULL;
    const int fd = g_file_open_tmp("hoist-sandbox-XXXXXX", &path, NULL);
    const int saved = dup(STDIN_FILENO);
    dup2(fd, STDIN_FILENO);
    expect_exit(write_too_much, REFUSED);
    dup2(saved, STDIN_FILENO);
    close(saved);
    close(fd);
    unlink(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sandbox/kills", test_kills);
    g_test_add_func("/sandbox/refuses", test_refuses);
    g_test_add_func("/sandbox/lets-work", test_lets_work);
    g_test_add_func("/sandbox/closes-descriptors", test_closes_descriptors);
    g_test_add_func("/sandbox/bounds-output", test_bounds_output);
    return g_test_run();
}
