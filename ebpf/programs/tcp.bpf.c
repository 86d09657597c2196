/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * TCP of all network namespaces: retransmissions, round trips, connects, resets, dropped packets.
 */
#include "histogram.h"

LICENSE;

struct sock_common {
    u16 skc_family;
    u8 skc_state;
} RELOCATED;

struct sock {
    struct sock_common __sk_common;
    u16 sk_protocol;
} RELOCATED;

struct tcp_sock {
    u32 srtt_us;
} RELOCATED;

enum { TCP_ESTABLISHED = 1, TCP_SYN_SENT = 2, TCP_CLOSE = 7 };
enum { IPPROTO_TCP = 6 };

struct {
    UINT(type, MAP_PERCPU_HASH);
    UINT(map_flags, NO_PREALLOC);
    UINT(max_entries, 64);
    TYPE(key, struct retransmit_key);
    TYPE(value, u64);
} retransmits SEC(".maps");

struct {
    UINT(type, MAP_PERCPU_HASH);
    UINT(map_flags, NO_PREALLOC);
    UINT(max_entries, 512);
    TYPE(key, struct reset_key);
    TYPE(value, u64);
} resets SEC(".maps");

struct {
    UINT(type, MAP_PERCPU_HASH);
    UINT(map_flags, NO_PREALLOC);
    UINT(max_entries, 512);
    TYPE(key, u32);
    TYPE(value, u64);
} drops SEC(".maps");

/* Sockets that are connecting, and since when; the oldest goes when there are more. */
struct {
    UINT(type, MAP_LRU_HASH);
    UINT(max_entries, 16384);
    TYPE(key, u64);
    TYPE(value, u64);
} connecting SEC(".maps");

struct {
    UINT(type, MAP_PERCPU_ARRAY);
    UINT(max_entries, 2);
    TYPE(key, u32);
    TYPE(value, struct histogram);
} durations SEC(".maps");

enum { ROUND_TRIP, CONNECT };

struct {
    UINT(type, MAP_PERCPU_ARRAY);
    UINT(max_entries, 2);
    TYPE(key, u32);
    TYPE(value, u64);
} counters SEC(".maps");

enum { SYNACK_RETRANSMITS, CONNECT_FAILURES };

INLINE void count(u32 counter) {
    u64 *value = map_lookup(&counters, &counter);
    if (value)
        ++*value;
}

INLINE void count_key(void *map, const void *key) {
    u64 one = 1;
    u64 *value = map_lookup(map, key);
    if (value)
        ++*value;
    else
        map_update(map, key, &one, NOEXIST);
}

INLINE void observe_in(u32 which, u64 ns) {
    struct histogram *histogram = map_lookup(&durations, &which);
    if (histogram)
        observe_duration(histogram, ns);
}

SEC("tp_btf/tcp_retransmit_skb")
int tcp_retransmit_skb(u64 *arguments) {
    struct sock *sock = (struct sock *)arguments[0];
    struct retransmit_key key = {
        .family = sock->__sk_common.skc_family,
        .state = sock->__sk_common.skc_state,
    };
    count_key(&retransmits, &key);
    return 0;
}

SEC("tp_btf/tcp_retransmit_synack")
int tcp_retransmit_synack(u64 *arguments) {
    count(SYNACK_RETRANSMITS);
    return 0;
}

SEC("tp_btf/inet_sock_set_state")
int inet_sock_set_state(u64 *arguments) {
    struct sock *sock = (struct sock *)arguments[0];
    int from = (int)arguments[1], to = (int)arguments[2];
    u64 key = (u64)sock, now;
    u64 *since;
    if (sock->sk_protocol != IPPROTO_TCP)
        return 0;
    if (to == TCP_SYN_SENT) {
        now = now_ns();
        map_update(&connecting, &key, &now, 0);
    } else if (from == TCP_SYN_SENT) {
        since = map_lookup(&connecting, &key);
        if (since && to == TCP_ESTABLISHED)
            observe_in(CONNECT, now_ns() - *since);
        if (to == TCP_CLOSE)
            count(CONNECT_FAILURES);
        map_delete(&connecting, &key);
    }
    if (to == TCP_CLOSE && from != TCP_SYN_SENT) {
        u32 smoothed = 0;
        read_kernel(&smoothed, sizeof(smoothed), &((struct tcp_sock *)sock)->srtt_us);
        /* In eighths of a microsecond; 0 where nothing was acknowledged. */
        if (smoothed)
            observe_in(ROUND_TRIP, (u64)smoothed * 125);
    }
    return 0;
}

INLINE int reset(u32 received, u32 reason) {
    struct reset_key key = {.received = received, .reason = reason};
    count_key(&resets, &key);
    return 0;
}

SEC("tp_btf/tcp_send_reset")
int tcp_send_reset(u64 *arguments) { return reset(0, (u32)arguments[2]); }

SEC("tp_btf/tcp_receive_reset")
int tcp_receive_reset(u64 *arguments) { return reset(1, 0); }

SEC("tp_btf/kfree_skb")
int kfree_skb(u64 *arguments) {
    u32 reason = (u32)arguments[2];
    count_key(&drops, &reason);
    return 0;
}
