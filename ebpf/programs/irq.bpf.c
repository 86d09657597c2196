/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Interrupts: time in handlers by line, in software interrupts by vector, and both by CPU.
 */
#include "histogram.h"

LICENSE;

#define VECTORS 10

struct {
    UINT(type, MAP_PERCPU_ARRAY);
    UINT(max_entries, VECTORS);
    TYPE(key, u32);
    TYPE(value, struct histogram);
} vectors SEC(".maps");

struct {
    UINT(type, MAP_PERCPU_HASH);
    UINT(map_flags, NO_PREALLOC);
    UINT(max_entries, 256);
    TYPE(key, u32);
    TYPE(value, struct histogram);
} lines SEC(".maps");

/* When this CPU entered the software interrupt, and the hardware one, that it is in. */
struct {
    UINT(type, MAP_PERCPU_ARRAY);
    UINT(max_entries, 2);
    TYPE(key, u32);
    TYPE(value, u64);
} entered SEC(".maps");

enum { SOFT, HARD };

static const struct histogram none;

INLINE void enter(u32 which) {
    u64 *at = map_lookup(&entered, &which);
    if (at)
        *at = now_ns();
}

/* Nanoseconds since the entry, which is forgotten; 0 when it was not seen. */
INLINE u64 leave(u32 which) {
    u64 *at = map_lookup(&entered, &which);
    u64 since;
    if (!at || !*at)
        return 0;
    since = *at;
    *at = 0;
    return now_ns() - since;
}

SEC("tp_btf/softirq_entry")
int softirq_entry(u64 *arguments) {
    enter(SOFT);
    return 0;
}

SEC("tp_btf/softirq_exit")
int softirq_exit(u64 *arguments) {
    u32 vector = (u32)arguments[0];
    u64 ns = leave(SOFT);
    struct histogram *histogram = map_lookup(&vectors, &vector);
    if (ns && histogram)
        observe_duration(histogram, ns);
    return 0;
}

SEC("tp_btf/irq_handler_entry")
int irq_handler_entry(u64 *arguments) {
    enter(HARD);
    return 0;
}

SEC("tp_btf/irq_handler_exit")
int irq_handler_exit(u64 *arguments) {
    u32 line = (u32)arguments[0];
    u64 ns = leave(HARD);
    struct histogram *histogram;
    if (!ns)
        return 0;
    histogram = map_lookup(&lines, &line);
    if (!histogram) {
        map_update(&lines, &line, &none, NOEXIST);
        histogram = map_lookup(&lines, &line);
    }
    if (histogram)
        observe_duration(histogram, ns);
    return 0;
}
