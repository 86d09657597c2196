/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Layouts that programs and loader share; ebpf/src/abi.rs says the same in Rust, and a test holds
 * both to it.
 */
#pragma once
#include "kernel.h"

/* Slots of a histogram. */
#define SLOTS 126

/* A histogram of one CPU: 1 KiB. Slot 0 is the zero bucket. */
struct histogram {
    u64 slots[SLOTS];
    /* Nanoseconds, or bytes. */
    u64 sum;
    u64 count;
};

/* CPU time of a cgroup, nanoseconds on one CPU. */
struct cgroup_times {
    u64 running;
    /* Runnable, but another task had the CPU. */
    u64 waiting;
    /* Blocked: from giving up the CPU to being woken. */
    u64 blocked;
};

/* A device and what was asked of it. */
struct block_key {
    u32 major;
    u32 minor;
    u32 operation;
};

struct block_value {
    /* From dispatch to completion. */
    struct histogram service;
    /* From insertion to dispatch. */
    struct histogram queue;
    /* Bytes. */
    struct histogram size;
    u64 errors;
};

struct retransmit_key {
    u16 family;
    u16 state;
};

/* Which end sent a reset, and why: 0 where the kernel does not say. */
struct reset_key {
    u32 received;
    u32 reason;
};

struct oom_kill {
    u64 cgroup;
    u32 pid;
    char comm[16];
};

struct syscall_key {
    u32 number;
    u32 error;
};
