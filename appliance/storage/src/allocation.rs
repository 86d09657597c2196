//! Allocation: what the allocator takes for bytes that are asked for.
//!
//! Path: all that accounts for memory → **allocation**.

/// Least that an allocation takes.
const LEAST: usize = 32;
/// Bytes beside those asked for, and the step of sizes (glibc malloc on 64 bits: a size word
/// before each, sizes in steps of 16).
const HEAD: usize = 8;
const STEP: usize = 16;

/// Bytes that an allocation of `bytes` takes; none where nothing is asked for.
pub(crate) fn allocated(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { (bytes + HEAD).next_multiple_of(STEP).max(LEAST) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_go_in_steps() {
        assert_eq!([0, 1, 24, 25, 40, 41].map(allocated), [0, 32, 32, 48, 48, 64]);
    }
}
