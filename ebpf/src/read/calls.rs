//! Failed system calls.

use aya::Ebpf;
use exposition::metrics::Collected;

use crate::abi::SyscallKey;
use crate::names;
use crate::per_cpu::totals;

/// Adds the errors of every call, both by number.
pub(crate) fn collect(ebpf: &Ebpf, into: &mut Collected) {
    for ([number, error], [count]) in totals::<SyscallKey, 1>(ebpf, "errors") {
        into.counter(
            "ebpf_syscall_errors_total",
            "System calls that failed, by number of the call and name of the error.",
            &[("syscall", &number.to_string()), ("errno", &names::errno(error))],
            count as f64,
        );
    }
}
