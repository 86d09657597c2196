//! Disturbance: what else a machine may be doing: direct I/O to a disk, and processors that never
//! rest.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::Context as _;
use rustix::thread::{CpuSet, sched_setaffinity};

/// Blocks of direct I/O begin and end there.
const ALIGNMENT: usize = 4096;
/// Bytes of the file that is written over and over.
const FILE_BYTES: u64 = 256 << 20;

/// Threads that disturb until they are dropped.
pub(crate) struct Disturbance {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Disturbance {
    /// `writers` threads write `block_bytes` at a time, synced, past the page cache to files in
    /// `folder`; on each of `cpus` one thread turns and turns.
    pub(crate) fn start(
        folder: &Path,
        writers: usize,
        block_bytes: usize,
        cpus: &[usize],
    ) -> anyhow::Result<Disturbance> {
        let mut running = Disturbance {
            stop: Arc::new(AtomicBool::new(false)),
            written: Arc::new(AtomicU64::new(0)),
            threads: Vec::new(),
        };
        for number in 0..writers {
            let file = direct(&folder.join(format!("disturbance-{number}")))?;
            let (stop, written) = (Arc::clone(&running.stop), Arc::clone(&running.written));
            running.threads.push(std::thread::spawn(move || {
                let mut block = Aligned::new(block_bytes);
                let mut at = 0;
                while !stop.load(Ordering::Relaxed) && block.write(&file, at).is_ok() {
                    let _ = rustix::fs::fdatasync(&file);
                    written.fetch_add(block_bytes as u64, Ordering::Relaxed);
                    at = (at + block_bytes as u64) % FILE_BYTES;
                }
            }));
        }
        for cpu in cpus {
            let (stop, cpu) = (Arc::clone(&running.stop), *cpu);
            running.threads.push(std::thread::spawn(move || {
                // Unbound it still disturbs.
                let _ = bind(cpu);
                let mut turns = 0u64;
                while !stop.load(Ordering::Relaxed) {
                    turns = std::hint::black_box(turns.wrapping_add(1));
                }
            }));
        }
        Ok(running)
    }

    /// Bytes written so far.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
}

impl Drop for Disturbance {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Binds the calling thread to one processor.
pub(crate) fn bind(cpu: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).context("bind a thread")
}

/// A file past the page cache.
pub(crate) fn direct(path: &Path) -> anyhow::Result<File> {
    let flags = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).context("a flag fits")?;
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).write(true).read(true).custom_flags(flags);
    options.open(path).with_context(|| format!("open {} for direct I/O", path.display()))
}

/// A block that direct I/O takes.
pub(crate) struct Aligned {
    bytes: Vec<u8>,
    from: usize,
    length: usize,
}

impl Aligned {
    /// `length` bytes that no disk can deduplicate.
    pub(crate) fn new(length: usize) -> Aligned {
        let mixed = |at: usize| at.wrapping_mul(2_654_435_761).to_le_bytes()[2];
        let bytes: Vec<u8> = (0..length + ALIGNMENT).map(mixed).collect();
        let from = bytes.as_ptr().align_offset(ALIGNMENT);
        Aligned { bytes, from, length }
    }

    /// Writes the block at `offset`.
    pub(crate) fn write(&mut self, file: &File, offset: u64) -> anyhow::Result<()> {
        let block = &mut self.bytes[self.from..self.from + self.length];
        block[0] = block[0].wrapping_add(1);
        let written = rustix::io::pwrite(file, block, offset).context("write past the cache")?;
        anyhow::ensure!(written == block.len(), "a short write");
        Ok(())
    }
}

/// Nanoseconds that each of `count` calls of `work` took, on the mean.
pub(crate) fn nanos_each(
    count: u64,
    mut work: impl FnMut(u64) -> anyhow::Result<()>,
) -> anyhow::Result<f64> {
    let began = Instant::now();
    for number in 0..count {
        work(number)?;
    }
    Ok(began.elapsed().as_nanos() as f64 / count.max(1) as f64)
}
