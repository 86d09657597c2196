//! Pressure: what tasks wait for on this machine, as counters that only rise.
//!
//! Path: `/proc`, or programs in the kernel by the server's [`Source`] → **pressure** → `pacer`.
//! Never: fails; what a kernel does not tell is `None`.
//!
//! | signal | the kernel's programs | else |
//! |---|---|---|
//! | waiting | run queues of the watched processors | `schedstat`; `pressure/cpu`, of all |
//! | interrupts | hard and soft ones of the watched ones | `stat`, by ticks |
//! | device | its requests | `diskstats` |

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

/// Nanoseconds of a tick of `/proc/stat`; the kernel's interface fixes 100 a second.
const TICK_NANOS: u64 = 10_000_000;
const NANOS_PER_MS: u64 = 1_000_000;
/// Lines of one file that are looked at.
const LINES_MAX: usize = 8_192;

/// What is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// The processors of the plan.
    pub cpus: Vec<usize>,
    /// Major and minor number of the disk that has the data directory, if it is one.
    pub device: Option<(u32, u32)>,
}

impl Watched {
    /// The processors `cpus` and the disk of `directory`.
    #[must_use]
    pub fn new(mut cpus: Vec<usize>, directory: &Path) -> Watched {
        cpus.sort_unstable();
        cpus.dedup();
        Watched { cpus, device: disk_of(directory, Path::new("/sys")) }
    }
}

/// A counter and where it comes from; two are compared only when they come from one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter<T> {
    /// Name of the source in metrics.
    pub source: &'static str,
    /// The count.
    pub value: T,
}

/// Counters since some beginning; `None` where nothing counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Nanoseconds that tasks waited for a watched processor, mean of processors.
    pub waiting_nanos: Option<Counter<u64>>,
    /// Nanoseconds that a watched processor spent in interrupts, mean of processors.
    pub interrupt_nanos: Option<Counter<u64>>,
    /// Requests to the device, and the nanoseconds that they took.
    pub requests: Option<Counter<(u64, u64)>>,
}

/// Programs in the kernel that count better than `/proc`; the server has them.
#[derive(Clone)]
pub struct Source(pub Arc<dyn Fn(&Watched) -> Pressure + Send + Sync>);

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

impl Pressure {
    /// Reads what there is: of `source`, and below `proc` what that does not give.
    #[must_use]
    pub fn read(source: Option<&Source>, proc: &Path, watched: &Watched) -> Pressure {
        let mut found = source.map_or_else(Pressure::default, |source| (source.0)(watched));
        let read = |name: &str| fs::read_to_string(proc.join(name)).ok();
        if found.waiting_nanos.is_none() {
            let waited = read("schedstat").and_then(|text| schedstat(&text, &watched.cpus));
            found.waiting_nanos =
                waited.map(|value| Counter { source: "schedstat", value }).or_else(|| {
                    let value = stalled(&read("pressure/cpu")?)?;
                    Some(Counter { source: "pressure", value })
                });
        }
        if found.interrupt_nanos.is_none() {
            let value = read("stat").and_then(|text| interrupts(&text, &watched.cpus));
            found.interrupt_nanos = value.map(|value| Counter { source: "stat", value });
        }
        if found.requests.is_none() {
            let value = watched.device.and_then(|disk| requests(&read("diskstats")?, disk));
            found.requests = value.map(|value| Counter { source: "diskstats", value });
        }
        found
    }
}

/// Lines that begin with `cpuN ` for the watched processors, as numbers behind it.
fn lines_of<'a>(text: &'a str, cpus: &'a [usize]) -> impl Iterator<Item = Vec<u64>> + 'a {
    text.lines().take(LINES_MAX).filter_map(|line| {
        let (name, rest) = line.split_once(' ')?;
        let cpu: usize = name.strip_prefix("cpu")?.parse().ok()?;
        let numbers = || rest.split_ascii_whitespace().map_while(|word| word.parse().ok());
        cpus.contains(&cpu).then(|| numbers().collect())
    })
}

/// The mean over processors; `None` without any.
fn mean(values: impl Iterator<Item = u64>) -> Option<u64> {
    let (mut sum, mut count) = (0u64, 0u64);
    for value in values {
        sum = sum.saturating_add(value);
        count += 1;
    }
    sum.checked_div(count)
}

/// The eighth number of a processor's line is the time that tasks waited for it, nanoseconds.
/// Source: the kernel's Documentation/scheduler/sched-stats.rst.
fn schedstat(text: &str, cpus: &[usize]) -> Option<u64> {
    mean(lines_of(text, cpus).filter_map(|numbers| numbers.get(7).copied()))
}

/// Time in which any task waited for a processor.
fn stalled(text: &str) -> Option<u64> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let total = some.split_ascii_whitespace().find_map(|word| word.strip_prefix("total="))?;
    total.parse::<u64>().ok()?.checked_mul(1_000)
}

/// The sixth and seventh numbers are ticks in hard and soft interrupts.
fn interrupts(text: &str, cpus: &[usize]) -> Option<u64> {
    let both = |numbers: Vec<u64>| Some(numbers.get(5)?.saturating_add(*numbers.get(6)?));
    mean(lines_of(text, cpus).filter_map(both)).map(|ticks| ticks.saturating_mul(TICK_NANOS))
}

/// Reads, writes, discards and flushes of a disk, and their milliseconds.
/// Source: the kernel's Documentation/admin-guide/iostats.rst.
fn requests(text: &str, disk: (u32, u32)) -> Option<(u64, u64)> {
    let numbers = text.lines().take(LINES_MAX).find_map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let here = (words.first()?.parse().ok()?, words.get(1)?.parse().ok()?);
        let counts = || words[3..].iter().map_while(|word| word.parse().ok()).collect();
        (here == disk).then(counts)
    });
    let numbers: Vec<u64> = numbers?;
    let at = |index: usize| numbers.get(index).copied().unwrap_or(0);
    let count = [0, 4, 11, 15].into_iter().map(at).fold(0, u64::saturating_add);
    let ms = [3, 7, 14, 16].into_iter().map(at).fold(0, u64::saturating_add);
    Some((count, ms.saturating_mul(NANOS_PER_MS)))
}

/// The whole disk of `directory`, or of the nearest one above that exists: a partition's requests
/// are those of its disk.
fn disk_of(directory: &Path, sys: &Path) -> Option<(u32, u32)> {
    let there = directory.ancestors().find_map(|path| fs::metadata(path).ok());
    let number = there.or_else(|| fs::metadata(".").ok())?.dev();
    let own = (rustix::fs::major(number), rustix::fs::minor(number));
    if own.0 == 0 {
        // No device behind it: overlayfs, btrfs, tmpfs.
        return None;
    }
    let place = sys.join(format!("dev/block/{}:{}", own.0, own.1));
    if !place.join("partition").exists() {
        return Some(own);
    }
    let text = fs::read_to_string(place.canonicalize().ok()?.parent()?.join("dev")).ok()?;
    let (major, minor) = text.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_the_watched_processors_are_averaged() {
        let stat =
            "cpu  9 9 9 9 9 9 9\ncpu0 1 1 1 1 1 20 40\ncpu1 1 1 1 1 1 2 4\ncpu2 0 0 0 0 0 0 0\n";
        assert_eq!(interrupts(stat, &[0, 1]), Some(33 * TICK_NANOS));
        assert_eq!(interrupts(stat, &[7]), None);
        let sched = "version 17\ncpu0 0 0 1 2 3 4 500 700 9\ndomain0 1\ncpu1 0 0 1 2 3 4 5 900 9\n";
        assert_eq!(schedstat(sched, &[0, 1]), Some(800));
        assert_eq!(schedstat("cpu0 1\n", &[0]), None);
        assert_eq!(stalled("some avg10=0.00 total=25\nfull avg10=0.00 total=1\n"), Some(25_000));
        assert_eq!(stalled("garbage"), None);
    }

    #[test]
    fn requests_of_the_disk_are_counted_and_timed() {
        let text = " 254 0 vda 10 0 4 15 20 0 4 30 0 0 0 1 0 0 2 3 4\n 254 1 vda1 1 1\n8 0\n";
        assert_eq!(requests(text, (254, 0)), Some((34, 51 * NANOS_PER_MS)));
        assert_eq!(requests(text, (9, 0)), None);
    }

    #[test]
    fn what_the_source_does_not_give_is_read() {
        let watched = Watched::new(vec![0, 0], Path::new("/"));
        assert_eq!(watched.cpus, [0]);
        let known = Some(Counter { source: "ebpf", value: 7 });
        let source =
            Source(Arc::new(move |_| Pressure { waiting_nanos: known, ..Pressure::default() }));
        let found = Pressure::read(Some(&source), Path::new("/proc"), &watched);
        assert_eq!(found.waiting_nanos, known);
        assert_eq!(found.interrupt_nanos.map(|counter| counter.source), Some("stat"));
        let nothing = Pressure::read(None, Path::new("/nonexistent"), &watched);
        assert_eq!(nothing, Pressure::default());
    }
}
