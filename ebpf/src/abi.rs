//! Layouts that programs and loader share: `programs/abi.h` says the same in C.
//!
//! Every value in a map is an array of numbers here, and its fields are places in it.

/// Slots of a histogram; slot 0 is the zero bucket.
pub const SLOTS: usize = 126;
/// Words of a histogram: its slots, its sum, its count.
pub const HISTOGRAM_WORDS: usize = SLOTS + 2;
/// `struct histogram`.
pub type Histogram = [u64; HISTOGRAM_WORDS];

/// `struct cgroup_times`: running, waiting, blocked; nanoseconds.
pub type CgroupTimes = [u64; 3];

/// `struct block_key`: major, minor, operation.
pub type BlockKey = [u32; 3];
/// Where the histograms of a block device begin in [`BlockValue`].
pub const BLOCK_SERVICE: usize = 0;
/// See [`BLOCK_SERVICE`].
pub const BLOCK_QUEUE: usize = HISTOGRAM_WORDS;
/// See [`BLOCK_SERVICE`].
pub const BLOCK_SIZE: usize = 2 * HISTOGRAM_WORDS;
/// Where the count of errors stands in [`BlockValue`].
pub const BLOCK_ERRORS: usize = 3 * HISTOGRAM_WORDS;
/// `struct block_value`.
pub type BlockValue = [u64; BLOCK_ERRORS + 1];

/// `struct retransmit_key`: family, state.
pub type RetransmitKey = [u16; 2];
/// `struct reset_key`: whether it was received, reason.
pub type ResetKey = [u32; 2];
/// `struct syscall_key`: number, error.
pub type SyscallKey = [u32; 2];

/// `struct oom_kill`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OomKill {
    /// Cgroup of the process.
    pub cgroup: u64,
    /// The process.
    pub pid: u32,
    /// First 15 bytes of its name.
    pub comm: String,
}

impl OomKill {
    /// Reads the event of the ring buffer; `None` when it is too short.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<OomKill> {
        let cgroup = u64::from_ne_bytes(bytes.get(..8)?.try_into().ok()?);
        let pid = u32::from_ne_bytes(bytes.get(8..12)?.try_into().ok()?);
        let comm = bytes.get(12..28)?.split(|byte| *byte == 0).next()?;
        Some(OomKill { cgroup, pid, comm: String::from_utf8_lossy(comm).into_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_and_a_short_one_is_not() {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&7u64.to_ne_bytes());
        bytes.extend_from_slice(&42u32.to_ne_bytes());
        bytes.extend_from_slice(b"memory hog\0\0\0\0\0\0");
        let kill = OomKill { cgroup: 7, pid: 42, comm: "memory hog".to_owned() };
        assert_eq!(OomKill::read(&bytes), Some(kill));
        assert_eq!(OomKill::read(&bytes[..27]), None);
    }

    #[test]
    fn c_and_rust_agree() {
        let header = include_str!("../programs/abi.h");
        assert!(header.contains(&format!("#define SLOTS {SLOTS}\n")));
        // Three histograms and the errors, in this order.
        let block = header.split("struct block_value {").nth(1).unwrap();
        let fields: Vec<usize> = ["service;", "queue;", "size;", "errors;"]
            .iter()
            .map(|field| block.find(field).unwrap())
            .collect();
        assert!(fields.is_sorted());
        assert_eq!(size_of::<BlockValue>(), 3 * 1024 + 8);
        assert_eq!(size_of::<Histogram>(), 1024);
    }
}
