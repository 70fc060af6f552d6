#include "sandbox.h"

#include <errno.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1 /* reserves terabytes of address space */
#else
#define SANITIZED 0
#endif

static void limit(int resource, rlim_t most)
{
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)resource, &now) != 0)
        return;
    if (now.rlim_max != RLIM_INFINITY && now.rlim_max < most)
        most = now.rlim_max;
    setrlimit((__rlimit_resource_t)resource, &(struct rlimit){ .rlim_cur = most, .rlim_max = most });
}

void sandbox_begin(int keep)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    limit(RLIMIT_CORE, 0);
    if (keep > STDERR_FILENO + 1)
        syscall(SYS_close_range, STDERR_FILENO + 1, keep - 1, 0);
    syscall(SYS_close_range, keep + 1, ~0U, 0);
}

/* Rights by ABI version; the header of the build machine may know fewer than the kernel. Nobody is given any, so whatever a ruleset handles
 * is refused. */
void sandbox_landlock(SandboxFacts *facts)
{
    const long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1)
        return;
    facts->landlock_abi = (uint16_t)abi;
    const unsigned fs_rights = abi >= 5 ? 16 : abi >= 3 ? 15 : abi == 2 ? 14 : 13;
    const struct {
        uint64_t fs, net, scoped;
    } attr = { .fs = (1ULL << fs_rights) - 1, .net = 3, .scoped = 3 };
    const size_t size = (abi >= 6 ? 3 : abi >= 4 ? 2 : 1) * sizeof(uint64_t);
    const int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
    if (ruleset < 0)
        return;
    facts->landlock_files = syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
    facts->landlock_net = facts->landlock_files && abi >= 4;
    facts->landlock_scoped = facts->landlock_files && abi >= 6;
    close(ruleset);
}

static const int allowed[] = {
    /* the job */
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmsg),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(read),
    SCMP_SYS(pread64),
    SCMP_SYS(lseek),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(write),
    SCMP_SYS(pwrite64),
    SCMP_SYS(fdatasync),
    SCMP_SYS(fcntl),
    SCMP_SYS(dup),
    SCMP_SYS(close),
    /* memory */
    SCMP_SYS(brk),
    SCMP_SYS(mmap),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(mprotect),
    SCMP_SYS(madvise),
    /* threads */
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_yield),
    SCMP_SYS(gettid),
    SCMP_SYS(getpid),
    SCMP_SYS(set_tid_address),
    SCMP_SYS(membarrier),
    SCMP_SYS(sched_setscheduler),
    SCMP_SYS(sched_getscheduler),
    SCMP_SYS(sched_getparam),
    SCMP_SYS(sched_getattr),
    SCMP_SYS(sched_setattr),
    /* time, signals, end */
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(nanosleep),
    SCMP_SYS(getrusage),
    SCMP_SYS(getrandom),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(uname),
    SCMP_SYS(sysinfo),
};

/* No picture asks for these; a process that does is not ours any more. */
static const int deadly[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(socket),
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(listen),
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(mount),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(bpf),
    SCMP_SYS(keyctl),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(chmod),
    SCMP_SYS(fchmod),
    SCMP_SYS(unlink),
    SCMP_SYS(rename),
};

/* Names of threads and of memory, and the questions of ask_kernel. */
static const int allowed_prctl[] = { PR_SET_NAME, PR_GET_NAME, PR_SET_VMA, PR_GET_SECCOMP, PR_GET_NO_NEW_PRIVS };

static bool add_rules(scmp_filter_ctx filter)
{
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
        if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0) != 0)
            return false;
    for (size_t i = 0; i < sizeof deadly / sizeof deadly[0]; i++)
        if (seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, deadly[i], 0) != 0)
            return false;
    for (size_t i = 0; i < sizeof allowed_prctl / sizeof allowed_prctl[0]; i++)
        if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)allowed_prctl[i], 0)) != 0)
            return false;
    /* clone3 hides its flags behind a pointer: without it glibc falls back to clone, which may only make threads */
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0 &&
           seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)) == 0 &&
           seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0)) == 0 &&
           seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A2(SCMP_CMP_EQ, 0, 0)) == 0 &&
           seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A1(SCMP_CMP_EQ, RLIMIT_CPU, 0)) == 0;
}

static bool filter_calls(void)
{
    if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0)
        return true;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL)
        return false;
    /* for threads that a module may have started, too */
    const bool ok = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) == 0 && add_rules(filter) && seccomp_load(filter) == 0;
    seccomp_release(filter);
    return ok;
}

static uint64_t limit_in_force(int resource)
{
    struct rlimit now;
    const bool bound = getrlimit((__rlimit_resource_t)resource, &now) == 0 && now.rlim_cur != RLIM_INFINITY;
    return bound ? now.rlim_cur : 0;
}

static void ask_kernel(SandboxFacts *facts)
{
    struct rlimit core;
    facts->memory_bytes = limit_in_force(RLIMIT_AS);
    facts->output_bytes = limit_in_force(RLIMIT_FSIZE);
    facts->files = (uint32_t)limit_in_force(RLIMIT_NOFILE);
    facts->cpu_s = (uint32_t)limit_in_force(RLIMIT_CPU);
    facts->no_core = getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0;
    facts->no_new_privileges = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
    facts->seccomp = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER;
}

bool sandbox_enter(SandboxFacts *facts_out)
{
    *facts_out = (SandboxFacts){ 0 };
    if (!SANITIZED)
        limit(RLIMIT_AS, (rlim_t)SANDBOX_MEMORY_MIB_MAX << 20);
    limit(RLIMIT_FSIZE, SANDBOX_OUTPUT_BYTES_MAX);
    sandbox_allow_cpu(SANDBOX_IDLE_CPU_S);
    sandbox_landlock(facts_out);
    limit(RLIMIT_NOFILE, SANDBOX_FILES_MAX);
    const bool filtered = filter_calls();
    ask_kernel(facts_out);
    return filtered;
}

void sandbox_allow_cpu(unsigned seconds)
{
    struct rusage used;
    struct rlimit now;
    if (getrusage(RUSAGE_SELF, &used) != 0 || getrlimit(RLIMIT_CPU, &now) != 0)
        return;
    const rlim_t soft = (rlim_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + 2 + seconds;
    if (now.rlim_max == RLIM_INFINITY || soft < now.rlim_max)
        setrlimit(RLIMIT_CPU, &(struct rlimit){ .rlim_cur = soft, .rlim_max = now.rlim_max });
}
