/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Scheduler: run-queue latency by CPU, CPU time by cgroup, births and deaths of processes.
 *
 * One program a hook, one clock read an event: sched_switch runs thousands of times a second.
 */
#include "histogram.h"

LICENSE;

/* 0: cgroups are not told apart. Set by the loader; the verifier drops what is not wanted. */
volatile const u8 with_cgroups = 1;

/* When a task began to wait for a CPU, or to be blocked; 0 for neither. */
struct task_times {
    u64 queued_at;
    u64 blocked_at;
};

struct {
    UINT(type, MAP_TASK_STORAGE);
    UINT(map_flags, NO_PREALLOC);
    TYPE(key, int);
    TYPE(value, struct task_times);
} tasks SEC(".maps");

struct {
    UINT(type, MAP_PERCPU_ARRAY);
    UINT(max_entries, 1);
    TYPE(key, u32);
    TYPE(value, struct histogram);
} run_queue SEC(".maps");

/* When this CPU switched last. */
struct {
    UINT(type, MAP_PERCPU_ARRAY);
    UINT(max_entries, 1);
    TYPE(key, u32);
    TYPE(value, u64);
} switched_at SEC(".maps");

struct {
    UINT(type, MAP_PERCPU_HASH);
    UINT(map_flags, NO_PREALLOC);
    UINT(max_entries, 4096);
    TYPE(key, u64);
    TYPE(value, struct cgroup_times);
} cgroups SEC(".maps");

/* execs, exits with status 0, with another status, by a signal; cgroups that found no place. */
struct {
    UINT(type, MAP_PERCPU_ARRAY);
    UINT(max_entries, 5);
    TYPE(key, u32);
    TYPE(value, u64);
} counters SEC(".maps");

enum { EXECS, EXITS_CLEAN, EXITS_FAILED, EXITS_SIGNALLED, CGROUPS_FULL };

struct {
    UINT(type, MAP_PERCPU_ARRAY);
    UINT(max_entries, 1);
    TYPE(key, u32);
    TYPE(value, struct histogram);
} lifetimes SEC(".maps");

INLINE void count(u32 counter) {
    u64 *value = map_lookup(&counters, &counter);
    if (value)
        ++*value;
}

INLINE struct cgroup_times *times_of(struct task_struct *task) {
    static const struct cgroup_times none;
    u64 id = cgroup_of(task);
    struct cgroup_times *times = map_lookup(&cgroups, &id);
    if (times)
        return times;
    if (map_update(&cgroups, &id, &none, NOEXIST))
        count(CGROUPS_FULL);
    return map_lookup(&cgroups, &id);
}

INLINE int woken(struct task_struct *task) {
    struct task_times *times = task_storage_get(&tasks, task, 0, CREATE);
    struct cgroup_times *cgroup;
    if (!times)
        return 0;
    times->queued_at = now_ns();
    if (with_cgroups && times->blocked_at) {
        cgroup = times_of(task);
        if (cgroup)
            cgroup->blocked += times->queued_at - times->blocked_at;
    }
    times->blocked_at = 0;
    return 0;
}

SEC("tp_btf/sched_wakeup")
int sched_wakeup(u64 *arguments) { return woken((struct task_struct *)arguments[0]); }

SEC("tp_btf/sched_wakeup_new")
int sched_wakeup_new(u64 *arguments) { return woken((struct task_struct *)arguments[0]); }

INLINE void leave(struct task_struct *task, u64 preempted, u64 now) {
    struct task_times *times;
    struct cgroup_times *cgroup;
    u32 zero = 0;
    u64 *since;
    if (!task->pid)
        return;
    /* One that could go on is queued again at once. */
    times = task_storage_get(&tasks, task, 0, CREATE);
    if (times) {
        if (preempted || !task->__state)
            times->queued_at = now;
        else
            times->blocked_at = now;
    }
    since = map_lookup(&switched_at, &zero);
    if (with_cgroups && since && *since) {
        cgroup = times_of(task);
        if (cgroup)
            cgroup->running += now - *since;
    }
}

INLINE void enter(struct task_struct *task, u64 now) {
    struct task_times *times;
    struct histogram *histogram;
    struct cgroup_times *cgroup;
    u32 zero = 0;
    if (!task->pid)
        return;
    times = task_storage_get(&tasks, task, 0, 0);
    if (!times || !times->queued_at)
        return;
    histogram = map_lookup(&run_queue, &zero);
    if (histogram)
        observe_duration(histogram, now - times->queued_at);
    if (with_cgroups) {
        cgroup = times_of(task);
        if (cgroup)
            cgroup->waiting += now - times->queued_at;
    }
    times->queued_at = 0;
}

SEC("tp_btf/sched_switch")
int sched_switch(u64 *arguments) {
    u64 now = now_ns();
    u32 zero = 0;
    u64 *since;
    leave((struct task_struct *)arguments[1], arguments[0], now);
    enter((struct task_struct *)arguments[2], now);
    since = map_lookup(&switched_at, &zero);
    if (since)
        *since = now;
    return 0;
}

SEC("tp_btf/sched_process_exec")
int sched_process_exec(u64 *arguments) {
    count(EXECS);
    return 0;
}

SEC("tp_btf/sched_process_exit")
int sched_process_exit(u64 *arguments) {
    struct task_struct *task = (struct task_struct *)arguments[0];
    struct histogram *histogram;
    u32 zero = 0;
    int code = task->exit_code;
    if (task->pid != task->tgid)
        return 0;
    count(code & 0x7f ? EXITS_SIGNALLED : code ? EXITS_FAILED : EXITS_CLEAN);
    histogram = map_lookup(&lifetimes, &zero);
    if (histogram)
        observe_duration(histogram, now_ns() - task->start_time);
    return 0;
}
