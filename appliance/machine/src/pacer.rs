//! Pacer: reads what the machine feels, a window at a time, and tells compaction and shards how
//! fast they may go.
//!
//! Path: `shard_loop` and `compactor` → `Strain`, `pressure` → **pacer** → `shard::pace` →
//! `Strain` → `compactor`; `mailbox` → event `Pace`.
//! Owns: the controller's state.
//! Never: decides; the controller is `shard::pace`, which the simulation runs too.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use exposition::metrics::Collected;
use model::time::Tick;
use shard::pace::{
    Bounds, CommitPace, Decision, Output, PARTS, Pace, Reading, Signal, WINDOW_NANOS,
};

use crate::clock;
use crate::handle::{Gauges, Worker};
use crate::mailbox::Postbox;
use crate::pressure::{Counter, Pressure, Source, Watched};
use crate::wal_thread::Ages;
use crate::worker::spawn;

/// Windows until the next look while nothing is written and nothing moved: an idle machine is not
/// woken five times a second.
const QUIET_WINDOWS: u32 = 5;

/// Held by what the pacer serves: it ends with the last one.
pub(crate) type Lease = Sender<()>;

/// What passes between commits, compaction and the pacer.
#[derive(Debug)]
pub(crate) struct Strain {
    /// The slowest commit since the pacer looked.
    commit_nanos: AtomicU64,
    moving: AtomicBool,
    rate: AtomicU64,
}

impl Strain {
    pub(crate) fn new(bounds: Bounds) -> Strain {
        Strain {
            commit_nanos: AtomicU64::new(0),
            moving: AtomicBool::new(false),
            rate: AtomicU64::new(bounds.rate_min),
        }
    }

    /// A commit took this long.
    pub(crate) fn commit(&self, nanos: u64) {
        self.commit_nanos.fetch_max(nanos, Ordering::Relaxed);
    }

    /// Whether compaction has a job.
    pub(crate) fn set_moving(&self, moving: bool) {
        self.moving.store(moving, Ordering::Relaxed);
    }

    /// Bytes a second that compaction may move.
    pub(crate) fn rate(&self) -> u64 {
        self.rate.load(Ordering::Relaxed)
    }

    fn take(&self) -> Option<u64> {
        Some(self.commit_nanos.swap(0, Ordering::Relaxed)).filter(|nanos| *nanos != 0)
    }
}

/// What the pacer saw and did last, and how often.
#[derive(Debug, Default)]
struct Counters {
    /// By [`Signal::ALL`]; a signal that was not seen keeps its last value.
    values: [AtomicU64; 4],
    /// Windows in which a signal was seen.
    seen: [AtomicU64; 4],
    slower: [AtomicU64; 4],
    faster: AtomicU64,
    rest: AtomicU64,
    rate: AtomicU64,
    age_ms: AtomicU64,
    bytes: AtomicU64,
}

impl Counters {
    fn note(&self, reading: &Reading, output: &Output) {
        for (at, value) in reading.values.iter().enumerate() {
            if let Some(value) = value {
                self.values[at].store(*value, Ordering::Relaxed);
                self.seen[at].fetch_add(1, Ordering::Relaxed);
            }
        }
        let counter = match output.decision {
            Decision::Slower(signal) => &self.slower[signal as usize],
            Decision::Faster => &self.faster,
            Decision::Rest => &self.rest,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.rate.store(output.rate, Ordering::Relaxed);
        self.age_ms.store(output.commit.age_ms, Ordering::Relaxed);
        self.bytes.store(output.commit.bytes, Ordering::Relaxed);
    }
}

impl Gauges for Counters {
    fn collect(&self, into: &mut Collected) {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        let inputs = [
            ("cresset_pace_commit_seconds", "Slowest commit of the last window with one.", 1e9),
            (
                "cresset_pace_device_latency_seconds",
                "Mean time of requests to the disk in the last window with one.",
                1e9,
            ),
            (
                "cresset_pace_run_queue_wait_ratio",
                "Time that tasks waited for our processors, a part of the last window.",
                PARTS as f64,
            ),
            (
                "cresset_pace_interrupt_ratio",
                "Time that our processors spent in interrupts, a part of the last window.",
                PARTS as f64,
            ),
        ];
        for ((name, help, unit), counter) in inputs.into_iter().zip(&self.values) {
            into.gauge(name, help, &[], value(counter) / unit);
        }
        let decided = "Windows by what became of compaction's rate, and for which signal.";
        for (at, signal) in Signal::ALL.into_iter().enumerate() {
            let labels = [("signal", signal.name())];
            let help = "Windows in which a signal was seen.";
            into.counter("cresset_pace_readings_total", help, &labels, value(&self.seen[at]));
            let labels = [("decision", "slower"), ("signal", signal.name())];
            into.counter("cresset_pace_decisions_total", decided, &labels, value(&self.slower[at]));
        }
        for (decision, counter) in [("faster", &self.faster), ("rest", &self.rest)] {
            let labels = [("decision", decision), ("signal", "")];
            into.counter("cresset_pace_decisions_total", decided, &labels, value(counter));
        }
        let help = "Bytes a second that compaction may move, as the machine lets it.";
        into.gauge("cresset_compactor_rate_bytes", help, &[], value(&self.rate));
        let help = "Age of its first row at which a commit closes.";
        into.gauge("cresset_pace_commit_age_seconds", help, &[], value(&self.age_ms) / 1e3);
        let help = "Size at which a commit closes without waiting for its age.";
        into.gauge("cresset_pace_commit_bytes", help, &[], value(&self.bytes));
    }
}

/// What the pacer watches and whom it tells.
pub(crate) struct Options {
    pub(crate) bounds: Bounds,
    pub(crate) watched: Watched,
    pub(crate) source: Option<Source>,
    pub(crate) ages: Ages,
    pub(crate) strain: Arc<Strain>,
    pub(crate) postboxes: Vec<Postbox>,
    /// Runs first on the thread.
    pub(crate) prepare: Box<dyn FnOnce() + Send>,
}

/// Starts the thread; it ends with the last [`Lease`].
///
/// # Errors
/// The system has no thread left.
pub(crate) fn start(options: Options) -> io::Result<(Lease, Worker, Arc<dyn Gauges>)> {
    let (lease, leases) = bounded(1);
    let counters = Arc::new(Counters::default());
    let shared = Arc::clone(&counters);
    let worker = spawn("pacer", move || Pacer::new(options, shared).run(&leases))?;
    Ok((lease, worker, counters as Arc<dyn Gauges>))
}

struct Pacer {
    pace: Pace,
    watched: Watched,
    source: Option<Source>,
    ages: Ages,
    strain: Arc<Strain>,
    postboxes: Vec<Postbox>,
    counters: Arc<Counters>,
    told: CommitPace,
    at: Tick,
    last: Pressure,
}

impl Pacer {
    fn new(options: Options, counters: Arc<Counters>) -> Pacer {
        let Options { bounds, watched, source, ages, strain, postboxes, prepare } = options;
        prepare();
        let told = CommitPace { age_ms: bounds.commit_age_ms_min, bytes: bounds.commit_bytes_min };
        let last = Pressure::read(source.as_ref(), Path::new("/proc"), &watched);
        let (pace, at) = (Pace::new(bounds), clock::tick());
        Pacer { pace, watched, source, ages, strain, postboxes, counters, told, at, last }
    }

    fn run(mut self, leases: &Receiver<()>) {
        loop {
            let (output, quiet) = self.window();
            self.strain.rate.store(output.rate, Ordering::Relaxed);
            if output.commit != self.told {
                self.told = output.commit;
                self.postboxes.iter().for_each(|postbox| postbox.set_pace(output.commit));
            }
            let window = Duration::from_nanos(WINDOW_NANOS);
            match leases.recv_timeout(if quiet { window * QUIET_WINDOWS } else { window }) {
                Err(RecvTimeoutError::Timeout) | Ok(()) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// What is decided, and whether there was nothing to decide about.
    fn window(&mut self) -> (Output, bool) {
        let next = Pressure::read(self.source.as_ref(), Path::new("/proc"), &self.watched);
        let now = clock::tick();
        let [_, device, run_queue, interrupts] = rates(&self.last, &next, now.since(self.at));
        // One that is on its way for longer than a window stalls.
        let stalled = Some(self.ages.oldest_nanos(now)).filter(|nanos| WINDOW_NANOS <= *nanos);
        let commit = self.strain.take().max(stalled);
        let moving = self.strain.moving.load(Ordering::Relaxed);
        let reading = Reading { values: [commit, device, run_queue, interrupts], moving };
        (self.at, self.last) = (now, next);
        let output = self.pace.step(&reading);
        self.counters.note(&reading, &output);
        (output, commit.is_none() && !moving)
    }
}

/// What two readings `nanos` apart say, in order of [`Signal::ALL`].
fn rates(last: &Pressure, next: &Pressure, nanos: u64) -> [Option<u64>; 4] {
    let share = |last, next| {
        let grown: u64 = grown(last, next, |last: u64, next: u64| next.checked_sub(last))?;
        let parts = u128::from(grown) * u128::from(PARTS);
        parts.checked_div(nanos.into()).and_then(|parts| u64::try_from(parts).ok())
    };
    let device = grown(last.requests, next.requests, |last, next| {
        next.1.checked_sub(last.1)?.checked_div(next.0.checked_sub(last.0)?)
    });
    let run_queue = share(last.waiting_nanos, next.waiting_nanos);
    [None, device, run_queue, share(last.interrupt_nanos, next.interrupt_nanos)]
}

/// What grew between two counters, when they come from one source.
fn grown<T: Copy>(
    last: Option<Counter<T>>,
    next: Option<Counter<T>>,
    difference: impl Fn(T, T) -> Option<u64>,
) -> Option<u64> {
    let (last, next) = last.zip(next).filter(|(last, next)| last.source == next.source)?;
    difference(last.value, next.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressure(source: &'static str, waiting: u64, requests: (u64, u64)) -> Pressure {
        Pressure {
            waiting_nanos: Some(Counter { source, value: waiting }),
            interrupt_nanos: None,
            requests: Some(Counter { source, value: requests }),
        }
    }

    #[test]
    fn two_readings_of_one_source_give_rates() {
        let first = pressure("a", 100, (10, 1_000));
        let second = pressure("a", 300, (14, 1_800));
        assert_eq!(rates(&first, &second, 400), [None, Some(200), Some(PARTS / 2), None]);
        assert_eq!(rates(&second, &second, 400), [None, None, Some(0), None], "no request");
        // Programs that were loaded anew, or do not answer for once, begin elsewhere.
        assert_eq!(rates(&second, &first, 400), [None; 4]);
        assert_eq!(rates(&first, &pressure("b", 300, (14, 1_800)), 400), [None; 4]);
    }
}
