/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Memory: kills for want of it, time in direct reclaim, the page cache.
 */
#include "histogram.h"

LICENSE;

/* Kills wait here for the reader, who names them in the log. */
struct {
    UINT(type, MAP_RINGBUF);
    UINT(max_entries, 65536);
} kills SEC(".maps");

struct {
    UINT(type, MAP_PERCPU_ARRAY);
    UINT(max_entries, 5);
    TYPE(key, u32);
    TYPE(value, u64);
} counters SEC(".maps");

enum { KILLS, KILLS_UNREAD, LOOKUPS, INSERTIONS, FAULTS };

/* When the task began to reclaim. */
struct {
    UINT(type, MAP_TASK_STORAGE);
    UINT(map_flags, NO_PREALLOC);
    TYPE(key, int);
    TYPE(value, u64);
} reclaiming SEC(".maps");

struct {
    UINT(type, MAP_PERCPU_ARRAY);
    UINT(max_entries, 2);
    TYPE(key, u32);
    TYPE(value, struct histogram);
} reclaims SEC(".maps");

enum { GLOBAL, CGROUP };


INLINE int count(u32 counter) {
    u64 *value = map_lookup(&counters, &counter);
    if (value)
        ++*value;
    return 0;
}

SEC("tp_btf/mark_victim")
int mark_victim(u64 *arguments) {
    struct task_struct *task = (struct task_struct *)arguments[0];
    struct oom_kill kill = {};
    kill.cgroup = cgroup_of(task);
    kill.pid = task->tgid;
    read_kernel(kill.comm, sizeof(kill.comm), task->comm);
    count(KILLS);
    if (ringbuf_output(&kills, &kill, sizeof(kill), 0))
        count(KILLS_UNREAD);
    return 0;
}

SEC("tp_btf/mm_filemap_get_pages")
int mm_filemap_get_pages(u64 *arguments) { return count(LOOKUPS); }

SEC("tp_btf/mm_filemap_add_to_page_cache")
int mm_filemap_add_to_page_cache(u64 *arguments) { return count(INSERTIONS); }

SEC("tp_btf/mm_filemap_fault")
int mm_filemap_fault(u64 *arguments) { return count(FAULTS); }

INLINE int begin(void) {
    u64 *at = task_storage_get(&reclaiming, current_task(), 0, CREATE);
    if (at)
        *at = now_ns();
    return 0;
}

INLINE int end(u32 scope) {
    struct histogram *histogram = map_lookup(&reclaims, &scope);
    u64 *at = task_storage_get(&reclaiming, current_task(), 0, 0);
    if (!at || !*at || !histogram)
        return 0;
    observe_duration(histogram, now_ns() - *at);
    *at = 0;
    return 0;
}

SEC("tp_btf/mm_vmscan_direct_reclaim_begin")
int mm_vmscan_direct_reclaim_begin(u64 *arguments) { return begin(); }

SEC("tp_btf/mm_vmscan_direct_reclaim_end")
int mm_vmscan_direct_reclaim_end(u64 *arguments) { return end(GLOBAL); }

SEC("tp_btf/mm_vmscan_memcg_reclaim_begin")
int mm_vmscan_memcg_reclaim_begin(u64 *arguments) { return begin(); }

SEC("tp_btf/mm_vmscan_memcg_reclaim_end")
int mm_vmscan_memcg_reclaim_end(u64 *arguments) { return end(CGROUP); }
