//! Names: what the kernel's numbers are called.

/// Software interrupts by vector. Source: the kernel's include/linux/interrupt.h.
pub const VECTORS: [&str; 10] =
    ["hi", "timer", "net_tx", "net_rx", "block", "irq_poll", "tasklet", "sched", "hrtimer", "rcu"];

/// Operations of block requests that are told apart. Source: include/linux/blk_types.h.
#[must_use]
pub fn block_operation(number: u32) -> &'static str {
    match number {
        0 => "read",
        1 | 13 => "write",
        2 => "flush",
        3 | 5 => "discard",
        9 => "write_zeroes",
        _ => "other",
    }
}

/// Address families that TCP has.
#[must_use]
pub fn family(number: u16) -> &'static str {
    match number {
        2 => "ipv4",
        10 => "ipv6",
        _ => "other",
    }
}

/// States of a TCP socket. Source: include/net/tcp_states.h.
#[must_use]
pub fn tcp_state(number: u16) -> &'static str {
    const STATES: [&str; 12] = [
        "established",
        "syn_sent",
        "syn_recv",
        "fin_wait1",
        "fin_wait2",
        "time_wait",
        "close",
        "close_wait",
        "last_ack",
        "listen",
        "closing",
        "new_syn_recv",
    ];
    let at = usize::from(number).checked_sub(1);
    at.and_then(|at| STATES.get(at)).copied().unwrap_or("unknown")
}

/// Errors from 1 on. Source: the kernel's include/uapi/asm-generic/errno-base.h and errno.h.
const ERRORS: [&str; 40] = [
    "EPERM",
    "ENOENT",
    "ESRCH",
    "EINTR",
    "EIO",
    "ENXIO",
    "E2BIG",
    "ENOEXEC",
    "EBADF",
    "ECHILD",
    "EAGAIN",
    "ENOMEM",
    "EACCES",
    "EFAULT",
    "ENOTBLK",
    "EBUSY",
    "EEXIST",
    "EXDEV",
    "ENODEV",
    "ENOTDIR",
    "EISDIR",
    "EINVAL",
    "ENFILE",
    "EMFILE",
    "ENOTTY",
    "ETXTBSY",
    "EFBIG",
    "ENOSPC",
    "ESPIPE",
    "EROFS",
    "EMLINK",
    "EPIPE",
    "EDOM",
    "ERANGE",
    "EDEADLK",
    "ENAMETOOLONG",
    "ENOLCK",
    "ENOSYS",
    "ENOTEMPTY",
    "ELOOP",
];

/// Name of an error of a system call; its number where it has no usual one.
#[must_use]
pub fn errno(number: u32) -> String {
    let at = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
    if let Some(name) = at.and_then(|at| ERRORS.get(at)) {
        return (*name).to_owned();
    }
    let name = match number {
        88 => "ENOTSOCK",
        89 => "EDESTADDRREQ",
        90 => "EMSGSIZE",
        91 => "EPROTOTYPE",
        92 => "ENOPROTOOPT",
        93 => "EPROTONOSUPPORT",
        95 => "EOPNOTSUPP",
        97 => "EAFNOSUPPORT",
        98 => "EADDRINUSE",
        99 => "EADDRNOTAVAIL",
        100 => "ENETDOWN",
        101 => "ENETUNREACH",
        103 => "ECONNABORTED",
        104 => "ECONNRESET",
        105 => "ENOBUFS",
        106 => "EISCONN",
        107 => "ENOTCONN",
        110 => "ETIMEDOUT",
        111 => "ECONNREFUSED",
        113 => "EHOSTUNREACH",
        114 => "EALREADY",
        115 => "EINPROGRESS",
        116 => "ESTALE",
        122 => "EDQUOT",
        125 => "ECANCELED",
        _ => return number.to_string(),
    };
    name.to_owned()
}

/// `NO_SOCKET` of `SKB_DROP_REASON_NO_SOCKET`, in lower case; of any enumeration's `prefix`.
#[must_use]
pub fn reason(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_ascii_lowercase()
}

/// Name of the disk `major`:`minor` by the text of `/proc/diskstats`.
#[must_use]
pub fn disk(diskstats: &str, major: u32, minor: u32) -> Option<&str> {
    diskstats.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let numbers = (words.next()?.parse(), words.next()?.parse());
        (numbers == (Ok(major), Ok(minor))).then(|| words.next()).flatten()
    })
}

/// Device of interrupt line `line` by the text of `/proc/interrupts`: what stands last.
#[must_use]
pub fn interrupt_device(interrupts: &str, line: u32) -> Option<&str> {
    interrupts.lines().find_map(|text| {
        let (number, rest) = text.trim_start().split_once(':')?;
        (number.parse() == Ok(line)).then(|| rest.split_ascii_whitespace().last()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_find_their_names() {
        let disks = "   7       0 loop0 0 0\n 254       0 vda 1 2 3\n";
        assert_eq!(disk(disks, 254, 0), Some("vda"));
        assert_eq!(disk(disks, 254, 1), None);
        let lines = "           CPU0\n  1:   9  IO-APIC   1-edge      i8042\nNMI:  0  x\n";
        assert_eq!(interrupt_device(lines, 1), Some("i8042"));
        assert_eq!(interrupt_device(lines, 2), None);
        assert_eq!(
            (tcp_state(1), tcp_state(12), tcp_state(0)),
            ("established", "new_syn_recv", "unknown")
        );
        let errors = [1, 2, 11, 40, 111, 512].map(errno);
        assert_eq!(errors, ["EPERM", "ENOENT", "EAGAIN", "ELOOP", "ECONNREFUSED", "512"]);
        assert_eq!(reason("SKB_DROP_REASON_NO_SOCKET", "SKB_DROP_REASON_"), "no_socket");
    }
}
