/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Failed system calls by number and error. Opt-in: any program at this hook sends every system call
 * of the machine down the kernel's slow path, about 80 ns each.
 */
#include "abi.h"

LICENSE;

/* As x86 keeps the number of the call; a name after `___` is cut off before the kernel is asked. */
struct pt_regs {
    u64 orig_ax;
} RELOCATED;

struct pt_regs___arm64 {
    u64 syscallno;
} RELOCATED;

struct {
    UINT(type, MAP_PERCPU_HASH);
    UINT(map_flags, NO_PREALLOC);
    UINT(max_entries, 4096);
    TYPE(key, struct syscall_key);
    TYPE(value, u64);
} errors SEC(".maps");

#define ERROR_MAX 4095

SEC("tp_btf/sys_exit")
int sys_exit(u64 *arguments) {
    struct pt_regs *registers = (struct pt_regs *)arguments[0];
    s64 result = (s64)arguments[1];
    struct syscall_key key;
    u64 one = 1;
    u64 *value;
    if (result >= 0 || result < -ERROR_MAX)
        return 0;
    key.error = (u32)-result;
    if (HAS_FIELD((struct pt_regs *)0, orig_ax))
        key.number = (u32)registers->orig_ax;
    else
        key.number = (u32)((struct pt_regs___arm64 *)registers)->syscallno;
    value = map_lookup(&errors, &key);
    if (value)
        ++*value;
    else
        map_update(&errors, &key, &one, NOEXIST);
    return 0;
}
