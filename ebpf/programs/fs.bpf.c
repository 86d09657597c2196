/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * File systems: time in fsync and fdatasync of ext4.
 */
#include "histogram.h"

LICENSE;

/* When the task entered the call. */
struct {
    UINT(type, MAP_TASK_STORAGE);
    UINT(map_flags, NO_PREALLOC);
    TYPE(key, int);
    TYPE(value, u64);
} syncing SEC(".maps");

struct {
    UINT(type, MAP_PERCPU_ARRAY);
    UINT(max_entries, 1);
    TYPE(key, u32);
    TYPE(value, struct histogram);
} syncs SEC(".maps");


SEC("tp_btf/ext4_sync_file_enter")
int ext4_sync_file_enter(u64 *arguments) {
    u64 *at = task_storage_get(&syncing, current_task(), 0, CREATE);
    if (at)
        *at = now_ns();
    return 0;
}

SEC("tp_btf/ext4_sync_file_exit")
int ext4_sync_file_exit(u64 *arguments) {
    u32 zero = 0;
    struct histogram *histogram = map_lookup(&syncs, &zero);
    u64 *at = task_storage_get(&syncing, current_task(), 0, 0);
    if (!at || !*at || !histogram)
        return 0;
    observe_duration(histogram, now_ns() - *at);
    *at = 0;
    return 0;
}
