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
#include <stdint.h>

enum {
    SANDBOX_MEMORY_MIB_MAX = 2048, /* address space; a 50 MP HEIF needs 600 resident */
    SANDBOX_OUTPUT_BYTES_MAX = 256 << 20, /* the largest source that is cleaned */
    SANDBOX_FILES_MAX = 32,
    SANDBOX_IDLE_CPU_S = 10, /* until sandbox_allow_cpu says more */
};

/* What binds this process, asked of the kernel and not assumed. Fixed sizes, no padding: goes over the wire as it is. */
typedef struct {
    uint64_t memory_bytes;      /* address space; 0 = no limit */
    uint64_t output_bytes;      /* of one file written; 0 = no limit */
    uint32_t files;             /* open at once; 0 = no limit */
    uint32_t cpu_s;             /* that this process may use before it must ask for more (sandbox_allow_cpu); 0 = no limit */
    uint16_t landlock_abi;      /* of the kernel; 0 = it has no Landlock, or it is switched off */
    uint8_t landlock_files;     /* 1: no path can be opened, made or removed */
    uint8_t landlock_net;       /* 1: no TCP (ABI 4) */
    uint8_t landlock_scoped;    /* 1: no signals and abstract sockets to processes outside (ABI 6) */
    uint8_t seccomp;            /* 1: the filter of calls is loaded */
    uint8_t no_new_privileges;  /* 1: set-user-ID programs give nothing */
    uint8_t no_core;            /* 1: no core files */
} SandboxFacts;

void sandbox_begin(int keep);
/* *facts_out is filled in either case. False only when the seccomp filter could not be built or loaded although the kernel has seccomp. */
bool sandbox_enter(SandboxFacts *facts_out);
/* Landlock alone, which sandbox_enter includes; fills in its own fields. Needs sandbox_begin. */
void sandbox_landlock(SandboxFacts *facts);
/* CPU seconds this process may still use; then it is killed. */
void sandbox_allow_cpu(unsigned seconds);
