/* sandbox.h - what a worker gives up before it looks at a stranger's picture.
 *
 * sandbox_begin, first thing in main: dies with its parent, no new privileges, no core files, every descriptor but 0..2 and `keep` closed.
 * sandbox_enter, after libvips and its modules are loaded: limits on memory, open files and written bytes; Landlock without any path
 * where the kernel has it (5.13; TCP too from 6.7); a seccomp filter: an allow-list, everything else fails with EPERM, and whatever no
 * picture needs (exec, sockets, ptrace, processes) kills. A kernel without one of them runs with the rest.
 * Documents: landlock(7), seccomp(2), libseccomp's seccomp_rule_add(3).
 */
#pragma once

#include <stdbool.h>

enum {
    SANDBOX_MEMORY_MIB_MAX = 2048, /* address space; a 50 MP HEIF needs 600 resident */
    SANDBOX_OUTPUT_BYTES_MAX = 64 << 20,
    SANDBOX_FILES_MAX = 32,
};

void sandbox_begin(int keep);
/* False only when the seccomp filter could not be built or loaded although the kernel has seccomp. */
bool sandbox_enter(void);
/* CPU seconds this process may still use; then it is killed. */
void sandbox_allow_cpu(unsigned seconds);
