#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "imgproc/sandbox.h"

enum { NO_SANDBOX = 77, REFUSED = 0, HAPPENED = 1 };

static SandboxFacts in_force;

/* The end of a child that does `deed` inside the sandbox. */
static int status_of(int (*deed)(void))
{
    const pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        sandbox_begin(STDERR_FILENO);
        _exit(sandbox_enter(&in_force) ? deed() : NO_SANDBOX);
    }
    int status;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return status;
}

static void expect_signal(int (*deed)(void), int signal_number)
{
    const int status = status_of(deed);
    g_assert_true(WIFSIGNALED(status));
    g_assert_cmpint(WTERMSIG(status), ==, signal_number);
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

static int trace_the_parent(void)
{
    return ptrace(PTRACE_SEIZE, getppid(), NULL, NULL) == 0 ? HAPPENED : REFUSED;
}

static char secret[] = "of the parent";

static int read_the_parent(void)
{
    char taken[sizeof secret];
    const struct iovec here = { taken, sizeof taken }, there = { secret, sizeof secret };
    return process_vm_readv(getppid(), &here, 1, &there, 1, 0) > 0 ? HAPPENED : REFUSED;
}

static int become_another_process(void)
{
    return syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL) == 0 ? _exit(HAPPENED), HAPPENED : REFUSED;
}

static int change_a_file(void)
{
    return rename("/tmp/hoist-sandbox-test", "/tmp/hoist-sandbox-test-2") == 0 ? HAPPENED : REFUSED;
}

static int allow_itself_more(void)
{
    const struct rlimit much = { RLIM_INFINITY, RLIM_INFINITY };
    return setrlimit(RLIMIT_FSIZE, &much) == 0 || setrlimit(RLIMIT_AS, &much) == 0 || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0 ? HAPPENED
                                                                                                                              : REFUSED;
}

static int take_much_memory(void)
{
    const size_t size = ((size_t)SANDBOX_MEMORY_MIB_MAX + 1) << 20;
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED ? REFUSED : HAPPENED;
}

static int open_many_files(void)
{
    for (int i = 0; i < SANDBOX_FILES_MAX; i++)
        if (dup(STDIN_FILENO) < 0)
            return REFUSED;
    return HAPPENED;
}

/* Seconds of CPU come from the kernel's own count: nothing is slept, nothing timed. */
static int use_much_time(void)
{
    sandbox_allow_cpu(0);
    for (volatile unsigned long long n = 0; n < 1ULL << 40; n++)
        continue;
    return HAPPENED;
}

static int tell_facts(void)
{
    return write(STDIN_FILENO, &in_force, sizeof in_force) == sizeof in_force ? HAPPENED : REFUSED;
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

/* Each is refused by the parts that are in force, whichever these are. */
static void test_kills(void)
{
    if (!in_force.seccomp) {
        g_test_skip("no filter of system calls on this kernel");
        return;
    }
    int (*const deeds[])(void) = { run_a_program, make_a_socket, trace_the_parent, read_the_parent, change_a_file };
    for (gsize i = 0; i < G_N_ELEMENTS(deeds); i++)
        expect_signal(deeds[i], SIGSYS);
}

static void test_refuses(void)
{
    if (!in_force.seccomp && !in_force.landlock_files) {
        g_test_skip("neither Landlock nor a filter of system calls on this kernel");
        return;
    }
    expect_exit(read_a_file, REFUSED);
    expect_exit(write_a_file, REFUSED);
    if (!in_force.seccomp)
        return;
    expect_exit(make_a_process, REFUSED);
    expect_exit(become_another_process, REFUSED);
    expect_exit(kill_the_parent, REFUSED);
    expect_exit(allow_itself_more, REFUSED);
}

/* Without the filter of calls before it, which refuses the same. */
static int defy_landlock(void)
{
    const struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    if (open("/etc/passwd", O_RDONLY) >= 0 || errno != EACCES || unlink("/tmp/hoist-sandbox-test") == 0)
        return HAPPENED;
    if (!in_force.landlock_net)
        return REFUSED;
    const int sock = socket(AF_INET, SOCK_STREAM, 0);
    return connect(sock, (const struct sockaddr *)&here, sizeof here) == 0 || errno != EACCES ? HAPPENED : REFUSED;
}

static void test_landlock_refuses(void)
{
    if (!in_force.landlock_files) {
        g_test_skip("no Landlock on this kernel");
        return;
    }
    const pid_t pid = fork();
    if (pid == 0) {
        SandboxFacts facts = { 0 };
        sandbox_begin(STDERR_FILENO);
        sandbox_landlock(&facts);
        _exit(facts.landlock_files ? defy_landlock() : NO_SANDBOX);
    }
    int status;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, REFUSED);
}

static void test_bounds_files(void)
{
    expect_exit(open_many_files, REFUSED);
}

static void test_bounds_memory(void)
{
    if (in_force.memory_bytes == 0)
        g_test_skip("a build with sanitizers reserves more than any limit");
    else
        expect_exit(take_much_memory, REFUSED);
}

static void test_bounds_time(void)
{
    expect_signal(use_much_time, SIGXCPU);
}

/* What the sandbox says of itself, heard from a child; and on this kernel each part is one of these. */
static void test_says_what_is_in_force(void)
{
    g_assert_cmpuint(in_force.output_bytes, ==, SANDBOX_OUTPUT_BYTES_MAX);
    g_assert_cmpuint(in_force.files, ==, SANDBOX_FILES_MAX);
    g_assert_cmpuint(in_force.cpu_s, >=, SANDBOX_IDLE_CPU_S);
    g_assert_cmpuint(in_force.no_core, ==, 1);
    g_assert_cmpuint(in_force.no_new_privileges, ==, 1);
    g_assert_true(in_force.memory_bytes == 0 || in_force.memory_bytes == (uint64_t)SANDBOX_MEMORY_MIB_MAX << 20);
    g_assert_cmpuint(in_force.landlock_files, <=, in_force.landlock_abi);
    g_assert_cmpuint(in_force.seccomp, ==, prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0);
    g_test_message("landlock: ABI %u, files %u, network %u, scoped %u", in_force.landlock_abi, in_force.landlock_files,
                   in_force.landlock_net, in_force.landlock_scoped);
    g_test_message("seccomp: %u; no new privileges: %u; no core files: %u", in_force.seccomp, in_force.no_new_privileges, in_force.no_core);
    g_test_message("memory: %" G_GUINT64_FORMAT " MiB; CPU: %u s; output: %" G_GUINT64_FORMAT " MiB; files: %u",
                   in_force.memory_bytes >> 20, in_force.cpu_s, in_force.output_bytes >> 20, in_force.files);
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

/* With this file for standard input, which is left as it was. */
static void expect_exit_with(int fd, int (*deed)(void), int code)
{
    const int saved = dup(STDIN_FILENO);
    dup2(fd, STDIN_FILENO);
    expect_exit(deed, code);
    dup2(saved, STDIN_FILENO);
    close(saved);
}

static void test_bounds_output(void)
{
    const int fd = memfd_create("output", MFD_CLOEXEC);
    expect_exit_with(fd, write_too_much, REFUSED);
    close(fd);
}

static void ask_what_is_in_force(void)
{
    const int fd = memfd_create("facts", MFD_CLOEXEC);
    expect_exit_with(fd, tell_facts, HAPPENED);
    g_assert_cmpint(pread(fd, &in_force, sizeof in_force, 0), ==, sizeof in_force);
    close(fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ask_what_is_in_force();
    g_test_add_func("/sandbox/says-what-is-in-force", test_says_what_is_in_force);
    g_test_add_func("/sandbox/kills", test_kills);
    g_test_add_func("/sandbox/refuses", test_refuses);
    g_test_add_func("/sandbox/landlock-refuses", test_landlock_refuses);
    g_test_add_func("/sandbox/lets-work", test_lets_work);
    g_test_add_func("/sandbox/closes-descriptors", test_closes_descriptors);
    g_test_add_func("/sandbox/bounds-output", test_bounds_output);
    g_test_add_func("/sandbox/bounds-files", test_bounds_files);
    g_test_add_func("/sandbox/bounds-memory", test_bounds_memory);
    g_test_add_func("/sandbox/bounds-time", test_bounds_time);
    return g_test_run();
}
