//! Failed system calls.

use aya::Ebpf;
use exposition::metrics::Collected;

use crate::abi::SyscallKey;
use crate::per_cpu::totals;

/// Adds the errors of every call, both by number.
pub(crate) fn collect(ebpf: &Ebpf, into: &mut Collected) {
    for ([number, error], [count]) in totals::<SyscallKey, 1>(ebpf, "errors") {
        let error = std::io::Error::from_raw_os_error(error.cast_signed());
        into.counter(
            "ebpf_syscall_errors_total",
            "System calls that failed, by number of the call.",
            &[("syscall", &number.to_string()), ("error", &error.kind().to_string())],
            count as f64,
        );
    }
}
