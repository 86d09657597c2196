/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * The slot of an observation, exactly as a native histogram puts it, with integers only.
 */
#pragma once
#include "abi.h"

/* Durations beyond 68 s count as that: the product below must fit 64 bits. */
#define DURATION_MAX_NS (1ULL << 36)

/* 2^63 times 2^(1/4), 2^(1/2), 2^(3/4). */
#define QUARTER 10968499650544839024ULL
#define HALF 13043817825332782213ULL
#define THREE_QUARTERS 15511800964685064949ULL

INLINE u32 log2_of(u64 value) {
    u32 log = 0, step;
    step = (value > 0xffffffff) << 5, value >>= step, log |= step;
    step = (value > 0xffff) << 4, value >>= step, log |= step;
    step = (value > 0xff) << 3, value >>= step, log |= step;
    step = (value > 0xf) << 2, value >>= step, log |= step;
    step = (value > 0x3) << 1, value >>= step, log |= step;
    return log | (u32)(value >> 1);
}

/* Schema 2, base unit second: slot s covers up to and including 2^((32 + s) / 4 - 30) s. */
INLINE u32 duration_slot(u64 ns) {
    /* Units of 2^-34 s: its powers of two are bucket bounds, those of nanoseconds are not. */
    u64 units = (ns << 4) + (ns * 79179681 >> 26);
    u64 mantissa;
    u32 log;
    if (units < 1 << 12)
        return 0;
    log = log2_of(units);
    mantissa = units << (63 - log);
    return 4 * (log - 12) + 1 + (mantissa >= QUARTER) + (mantissa >= HALF) +
           (mantissa >= THREE_QUARTERS);
}

/* Schema 0, base unit byte: slot s covers up to and including 2^s bytes. */
INLINE u32 size_slot(u64 bytes) { return bytes <= 1 ? 0 : log2_of(bytes - 1) + 1; }

INLINE void observe(struct histogram *histogram, u32 slot, u64 value) {
    if (slot < SLOTS)
        histogram->slots[slot]++;
    histogram->sum += value;
    histogram->count++;
}

INLINE void observe_duration(struct histogram *histogram, u64 ns) {
    if (ns > DURATION_MAX_NS)
        ns = DURATION_MAX_NS;
    observe(histogram, duration_slot(ns), ns);
}
