/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Block devices: time in the device, time in the queue, and size, by device and operation.
 *
 * One hook at completion: the request carries both its times, so nothing is kept between events.
 */
#include "histogram.h"

LICENSE;

struct gendisk {
    int major;
    int first_minor;
} RELOCATED;

struct request_queue {
    struct gendisk *disk;
} RELOCATED;

struct request {
    struct request_queue *q;
    u32 cmd_flags;
    u32 __data_len;
    u64 start_time_ns;
    u64 io_start_time_ns;
} RELOCATED;

#define OPERATION_MASK 0xff

struct {
    UINT(type, MAP_PERCPU_HASH);
    UINT(map_flags, NO_PREALLOC);
    UINT(max_entries, 256);
    TYPE(key, struct block_key);
    TYPE(value, struct block_value);
} devices SEC(".maps");

/* Completions that found no place. */
struct {
    UINT(type, MAP_PERCPU_ARRAY);
    UINT(max_entries, 1);
    TYPE(key, u32);
    TYPE(value, u64);
} full SEC(".maps");

static const struct block_value none;

INLINE struct block_value *value_of(struct request *request) {
    struct gendisk *disk = request->q->disk;
    struct block_key key = {};
    struct block_value *value;
    u32 zero = 0;
    u64 *lost;
    if (!disk)
        return 0;
    key.major = disk->major;
    key.minor = disk->first_minor;
    key.operation = request->cmd_flags & OPERATION_MASK;
    value = map_lookup(&devices, &key);
    if (value)
        return value;
    map_update(&devices, &key, &none, NOEXIST);
    value = map_lookup(&devices, &key);
    lost = value ? 0 : map_lookup(&full, &zero);
    if (lost)
        ++*lost;
    return value;
}

SEC("tp_btf/block_rq_complete")
int block_rq_complete(u64 *arguments) {
    struct request *request = (struct request *)arguments[0];
    u32 bytes = request->__data_len;
    u64 started = request->io_start_time_ns;
    struct block_value *value;
    /* Parts of a request complete too; only its end counts. Without queue/iostats there is no
     * start. */
    if ((u32)arguments[2] < bytes || !started)
        return 0;
    value = value_of(request);
    if (!value)
        return 0;
    observe_duration(&value->service, now_ns() - started);
    if (request->start_time_ns && request->start_time_ns <= started)
        observe_duration(&value->queue, started - request->start_time_ns);
    observe(&value->size, size_slot(bytes), bytes);
    return 0;
}

SEC("tp_btf/block_rq_error")
int block_rq_error(u64 *arguments) {
    struct block_value *value = value_of((struct request *)arguments[0]);
    if (value)
        value->errors++;
    return 0;
}
