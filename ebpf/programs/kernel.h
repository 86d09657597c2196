/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * What the programs use of the kernel: types with only the fields that are read (the loader moves
 * every access to where the running kernel has the field), helpers by their stable numbers, maps.
 */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed int s32;
typedef signed long long s64;

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
#define RELOCATED __attribute__((preserve_access_index))

/* A program may read fields of the kernel's structures only under a licence that its verifier
 * takes for compatible with the GPL. */
#define LICENSE char _license[] SEC("license") = "Dual BSD/GPL"

/* Whether the running kernel's structure has the field. */
#define HAS_FIELD(pointer, field) __builtin_preserve_field_info((pointer)->field, 2)

/* Maps, as the loader finds them in BTF. */
#define UINT(name, value) int(*name)[value]
#define TYPE(name, value) typeof(value) *name

enum { MAP_ARRAY = 2, MAP_PERCPU_HASH = 5, MAP_PERCPU_ARRAY = 6, MAP_LRU_HASH = 9, MAP_RINGBUF = 27,
       MAP_TASK_STORAGE = 29 };
/* Hashes take memory as keys come: a place for every key on every CPU would cost hundreds of
 * megabytes on a large machine. */
enum { NO_PREALLOC = 1, CREATE = 1, NOEXIST = 1 };

static void *(*const map_lookup)(void *map, const void *key) = (void *)1;
static long (*const map_update)(void *map, const void *key, const void *value, u64 flags) =
    (void *)2;
static long (*const map_delete)(void *map, const void *key) = (void *)3;
static u64 (*const now_ns)(void) = (void *)5;
static u64 (*const current_pid_tgid)(void) = (void *)14;
static long (*const read_kernel)(void *to, u32 bytes, const void *from) = (void *)113;
static long (*const ringbuf_output)(void *ring, void *event, u64 bytes, u64 flags) = (void *)130;
static void *(*const task_storage_get)(void *map, void *task, void *value, u64 flags) =
    (void *)156;

struct kernfs_node {
    u64 id;
} RELOCATED;

struct cgroup {
    struct kernfs_node *kn;
} RELOCATED;

struct css_set {
    struct cgroup *dfl_cgrp;
} RELOCATED;

struct task_struct {
    unsigned int __state;
    int pid;
    int tgid;
    int exit_code;
    u64 start_time;
    char comm[16];
    struct css_set *cgroups;
} RELOCATED;

static struct task_struct *(*const current_task)(void) = (void *)158;

INLINE u64 cgroup_of(struct task_struct *task) { return task->cgroups->dfl_cgrp->kn->id; }
