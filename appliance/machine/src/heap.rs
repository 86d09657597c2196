//! Heap: what the allocator keeps of memory that was freed, given back to the kernel.
//!
//! glibc keeps freed memory in the arena of the thread that took it. A query that took a gigabyte
//! and ended would leave that gigabyte resident for good, beside whatever the next one takes in
//! another arena.
//!
//! Path: a query's thread that has ended its work → **heap** → the kernel.

use std::sync::atomic::{AtomicU64, Ordering};

use exposition::metrics::Collected;

/// Growth of the resident memory that is worth a pass over the arenas, which takes milliseconds.
const GROWN_BYTES: u64 = 64 << 20;

/// Allocations from here on have pages of their own, which go back when they are freed.
const OWN_PAGES_BYTES: libc::c_int = 4 << 20;
/// What an arena may keep free at its end. glibc raises both bounds by itself, to 64 MiB an arena.
const ARENA_FREE_BYTES: libc::c_int = 8 << 20;

/// The least that was resident since the last pass, or right after it.
static BASE: AtomicU64 = AtomicU64::new(u64::MAX);
static PASSES: AtomicU64 = AtomicU64::new(0);

/// Bounds what arenas keep; once, before there are threads.
pub fn bound_arenas() {
    // SAFETY: it sets two numbers of the allocator, which takes any.
    #[expect(unsafe_code, reason = "no crate wraps it")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_PAGES_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, ARENA_FREE_BYTES);
    }
}

/// Gives back what is free, where the process has grown by 64 MiB since the last time.
pub fn give_back() {
    let Some(resident) = resident_bytes() else { return };
    let base = BASE.fetch_min(resident, Ordering::Relaxed).min(resident);
    if resident - base < GROWN_BYTES {
        return;
    }
    trim();
}

/// Gives back what is free: after work that is done once and leaves much behind.
pub fn trim() {
    // SAFETY: it takes the arenas' own locks and touches free memory alone.
    #[expect(unsafe_code, reason = "no crate wraps it")]
    unsafe {
        libc::malloc_trim(0);
    }
    PASSES.fetch_add(1, Ordering::Relaxed);
    if let Some(resident) = resident_bytes() {
        BASE.store(resident, Ordering::Relaxed);
    }
}

/// Adds how often memory was given back.
pub fn collect(into: &mut Collected) {
    let help = "Times that free memory was given back to the kernel.";
    let passes = PASSES.load(Ordering::Relaxed);
    #[expect(clippy::cast_precision_loss, reason = "counters past 2^53 may lose their last bit")]
    into.counter("cresset_heap_given_back_total", help, &[], passes as f64);
}

/// Resident memory of this process; `None` where the kernel does not tell.
fn resident_bytes() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = pages.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_thread_freed_is_given_back() {
        give_back();
        let before = resident_bytes().expect("Linux tells");
        // Small pieces from the arena of another thread, all but the last freed: what the
        // allocator keeps.
        let last = std::thread::spawn(|| {
            let mut pieces: Vec<Vec<u8>> = (0..200_000).map(|_| vec![1; 1_000]).collect();
            pieces.pop()
        });
        let last = last.join().expect("the thread ends");
        let kept = resident_bytes().expect("Linux tells");
        assert!(before + GROWN_BYTES < kept, "{before} {kept}: nothing to give back");
        give_back();
        let after = resident_bytes().expect("Linux tells");
        assert!(after < before + GROWN_BYTES, "{before} {kept} {after}");
        drop(last);
    }
}
