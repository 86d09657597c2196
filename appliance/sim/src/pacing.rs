//! Pacing: one shard and an endless compaction on one device that others make slow for a while.
//!
//! Path: `prng` → **pacing** runs `shard::pace` against a device model, once with its bounds and
//! once without a choice.
//! Never: loses or cuts anything; that is what `world` and `drill` are for.
//!
//! The device does one request after the other. Compaction writes as through a page cache: it
//! waits only when as much as `DIRTY_BYTES_MAX` is on its way, so whatever is moved too fast stands
//! before the commits. What must hold with the controller, in every seed:
//!
//! - of all commits ninety-nine in a hundred are durable within `COMMIT_NANOS_P99_MAX`;
//! - no scrape begins later than `LATE_NANOS_MAX`, and none is left out;
//! - compaction moves at least half of what its least rate allows, while the device is slow too,
//!   and never stands still for longer than `STILL_NANOS_MAX`;
//! - without the controller commits are at least `GAIN_MIN` times as slow: the world is a hard one.

use std::collections::BTreeMap;

use model::time::{NANOS_PER_MS, Now, Tick, TimestampMs};
use scrape::fetch::{Fetch, Fetched, Timings};
use shard::effect::Effect;
use shard::event::Event;
use shard::options::Options as ShardOptions;
use shard::pace::{Bounds, CommitPace, Decision, Pace, Reading, Signal, Throttle, WINDOW_NANOS};
use shard::shard::Shard;
use storage::effect::{Effect as StorageEffect, FileOp};
use storage::names::FileName;
use storage::options::Options as StoreOptions;

use crate::network::Place;
use crate::node::Node;
use crate::operation::DiskOp;
use crate::plan::START;
use crate::prng::Prng;
use crate::trace::Trace;

const WALL_START_MS: i64 = 1_790_000_000_000;
const MIB: u64 = 1 << 20;
const SECOND_NANOS: u64 = 1_000 * NANOS_PER_MS;
const TARGETS: u64 = 150;
/// Nothing is moved before: what calm is, is learned.
const CALM_NANOS: u64 = 5 * SECOND_NANOS;
const RUN_NANOS: u64 = 60 * SECOND_NANOS;
/// Bytes of one move of compaction.
const MOVE_BYTES: u64 = 256 << 10;
/// What compaction may have on its way to the device.
const DIRTY_BYTES_MAX: u64 = 64 * MIB;

const COMMIT_NANOS_P99_MAX: u64 = 100 * NANOS_PER_MS;
const LATE_NANOS_MAX: u64 = 5 * NANOS_PER_MS;
const STILL_NANOS_MAX: u64 = SECOND_NANOS;
const GAIN_MIN: u64 = 5;

/// A device: its numbers when calm, its numbers when slow, and when it is slow.
#[derive(Clone, Debug)]
struct Device {
    calm: (u64, u64),
    slow: (u64, u64),
    slow_from: Tick,
    slow_until: Tick,
    free_at: Tick,
    requests: u64,
    nanos: u64,
}

impl Device {
    fn new(chance: &mut Prng) -> Device {
        let from = START.0 + chance.between(10, 20) * SECOND_NANOS;
        let bandwidth = chance.between(100, 400) * MIB;
        let latency = chance.between(100_000, 2 * NANOS_PER_MS);
        Device {
            calm: (bandwidth, latency),
            slow: (bandwidth / chance.between(8, 25), latency * chance.between(1, 5)),
            slow_from: Tick(from),
            slow_until: Tick(from + chance.between(15, 30) * SECOND_NANOS),
            free_at: START,
            requests: 0,
            nanos: 0,
        }
    }

    fn is_slow(&self, now: Tick) -> bool {
        self.slow_from <= now && now < self.slow_until
    }

    /// When a request of `bytes` that comes at `now` is done.
    fn request(&mut self, now: Tick, bytes: u64) -> Tick {
        let from = self.free_at.max(now);
        let (bandwidth, latency) = if self.is_slow(from) { self.slow } else { self.calm };
        let transfer = u128::from(bytes) * u128::from(SECOND_NANOS) / u128::from(bandwidth);
        self.free_at = Tick(from.0 + latency + u64::try_from(transfer).unwrap_or(u64::MAX / 4));
        self.requests += 1;
        self.nanos += self.free_at.since(now);
        self.free_at
    }
}

enum Pending {
    Due { armed: u64 },
    Fetched(Fetch),
    Disk(Box<DiskOp>),
    Window,
    Move,
    Moved,
}

/// What one run saw.
#[derive(Clone, Debug, Default)]
struct Seen {
    commits: Vec<u64>,
    late_max: u64,
    left_out: u64,
    scrapes: u64,
    moved_bytes: u64,
    moved_slow_bytes: u64,
    still_max: u64,
}

impl Seen {
    fn commit_p99(&mut self) -> u64 {
        self.commits.sort_unstable();
        self.commits.get(self.commits.len() * 99 / 100).copied().unwrap_or(0)
    }
}

/// What a seed came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// A line a window of the run with the controller.
    pub trace: Trace,
    /// What did not hold.
    pub failure: Option<String>,
    /// What was seen, in words.
    pub summary: String,
}

/// Runs a seed with the controller and without.
#[must_use]
pub fn run(seed: u64, keep: bool) -> Outcome {
    let bounds = Bounds::default();
    let mut paced = Run::new(seed, keep, bounds);
    let ended = paced.run();
    // One rate, one age: nothing to choose.
    let fixed = Bounds { rate_min: bounds.rate_max, commit_age_ms_max: 10, ..bounds };
    let mut free = Run::new(seed, false, fixed);
    let ended = ended.and_then(|()| free.run());
    let with = paced.seen.commit_p99();
    let without = free.seen.commit_p99();
    let summary = format!(
        "commits p99 {} ms with, {} ms without; {} scrapes, latest {} us; {} MiB moved, {} while \
         slow",
        with / NANOS_PER_MS,
        without / NANOS_PER_MS,
        paced.seen.scrapes,
        paced.seen.late_max / 1_000,
        paced.seen.moved_bytes / MIB,
        paced.seen.moved_slow_bytes / MIB,
    );
    let failure = ended.and_then(|()| judge(&paced, bounds, with, without)).err();
    Outcome { trace: paced.trace, failure, summary }
}

fn judge(paced: &Run, bounds: Bounds, with: u64, without: u64) -> Result<(), String> {
    let seen = &paced.seen;
    let slow_seconds = paced.device.slow_until.since(paced.device.slow_from) / SECOND_NANOS;
    let least = bounds.rate_min * slow_seconds / 2;
    let checks = [
        (with <= COMMIT_NANOS_P99_MAX, format!("commits take {} ms", with / NANOS_PER_MS)),
        (seen.late_max <= LATE_NANOS_MAX, format!("a scrape began {} ns late", seen.late_max)),
        (seen.left_out == 0, format!("{} scrapes were left out", seen.left_out)),
        (least <= seen.moved_slow_bytes, "compaction starves while the device is slow".to_owned()),
        (seen.still_max <= STILL_NANOS_MAX, format!("nothing moved for {} ns", seen.still_max)),
        (GAIN_MIN * with <= without, "the controller gains nothing".to_owned()),
    ];
    match checks.into_iter().find(|(holds, _)| !holds) {
        Some((_, text)) => Err(text),
        None => Ok(()),
    }
}

struct Run {
    node: Node,
    pending: BTreeMap<(Tick, u64), Pending>,
    sequence: u64,
    tick: Tick,
    armed: u64,
    device: Device,
    chance: Prng,
    pace: Pace,
    throttle: Throttle,
    rate: u64,
    told: CommitPace,
    /// The commit on its way, and the slowest that ended in this window.
    began: Option<Tick>,
    slowest: Option<u64>,
    dirty_bytes: u64,
    moved_at: Tick,
    last_slot: BTreeMap<u64, i64>,
    trace: Trace,
    seen: Seen,
    /// Requests and their time when the window began.
    counted: (u64, u64),
}

impl Run {
    fn new(seed: u64, keep: bool, bounds: Bounds) -> Run {
        let mut chance = Prng::new(seed, "pacing");
        let options = StoreOptions {
            segment_bytes: 4 * MIB,
            log_backlog_bytes_max: 64 << 10,
            tile_rows: 30,
            ..StoreOptions::default()
        };
        let places = (1..=TARGETS).map(|number| Place::new(seed, number, false, false)).collect();
        let device = Device::new(&mut chance);
        Run {
            node: Node::new(0, options, places),
            pending: BTreeMap::new(),
            sequence: 0,
            tick: START,
            armed: 0,
            device,
            chance,
            pace: Pace::new(bounds),
            throttle: Throttle::default(),
            rate: bounds.rate_min,
            told: CommitPace::default(),
            began: None,
            slowest: None,
            dirty_bytes: 0,
            moved_at: Tick(START.0 + CALM_NANOS),
            last_slot: BTreeMap::new(),
            trace: Trace::new(keep),
            seen: Seen::default(),
            counted: (0, 0),
        }
    }

    fn at(&mut self, tick: Tick, pending: Pending) {
        self.sequence += 1;
        self.pending.insert((tick.max(self.tick), self.sequence), pending);
    }

    fn now(&self) -> Now {
        let ms = i64::try_from(self.tick.since(START) / NANOS_PER_MS).unwrap_or(i64::MAX);
        Now { tick: self.tick, wall: TimestampMs(WALL_START_MS + ms) }
    }

    fn run(&mut self) -> Result<(), String> {
        self.node.disk.settle();
        let opened = self.node.recover(None)?.ok_or("recovery was not to be cut short")?;
        self.node.shard = Some(Shard::new(ShardOptions::default(), opened.0));
        self.give(Event::Due);
        self.give(Event::Targets(self.node.specs()));
        self.at(START, Pending::Window);
        self.at(self.moved_at, Pending::Move);
        let end = Tick(START.0 + RUN_NANOS);
        while let Some(entry) = self.pending.first_entry().filter(|entry| entry.key().0 <= end) {
            let ((tick, _), pending) = entry.remove_entry();
            self.tick = tick;
            self.happen(pending);
        }
        self.note_still();
        Ok(())
    }

    fn happen(&mut self, pending: Pending) {
        match pending {
            Pending::Due { armed } if armed == self.armed => self.give(Event::Due),
            Pending::Due { .. } => {}
            Pending::Fetched(fetch) => self.fetched(&fetch),
            Pending::Disk(op) => self.disk_done(&op),
            Pending::Window => self.window(),
            Pending::Move => self.begin_move(),
            Pending::Moved => self.dirty_bytes -= MOVE_BYTES,
        }
    }

    fn give(&mut self, event: Event<'_>) {
        let now = self.now();
        let Some(shard) = self.node.shard.as_mut() else { return };
        let mut effects = Vec::new();
        shard.on_event(now, event, &mut effects);
        for effect in effects {
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Fetch(fetch) => self.begin_fetch(fetch),
            Effect::Storage(StorageEffect::Log(write)) => {
                self.began = Some(self.tick);
                let bytes = write.bytes.len() as u64;
                self.begin_disk(bytes, DiskOp::Log(write));
            }
            Effect::Storage(StorageEffect::LogPrepare(segment)) => {
                self.begin_disk(0, DiskOp::Prepare(segment));
            }
            Effect::Storage(StorageEffect::LogRetire(segment)) => {
                self.node.disk.delete(FileName::Segment(segment));
            }
            Effect::Storage(StorageEffect::File(request)) => {
                let bytes = match &request.op {
                    FileOp::Append { bytes, .. } => bytes.len() as u64,
                    FileOp::Rename { .. } | FileOp::Delete { .. } => 0,
                };
                self.begin_disk(bytes, DiskOp::File(request));
            }
            Effect::Arm(tick) => {
                self.armed += 1;
                let armed = self.armed;
                self.at(tick, Pending::Due { armed });
            }
            // Compaction is a stream of moves here, whatever it is made of.
            Effect::Storage(StorageEffect::Compact(_)) | Effect::Reply { .. } | Effect::Stopped => {
            }
        }
    }

    fn begin_disk(&mut self, bytes: u64, op: DiskOp) {
        let done = self.device.request(self.tick, bytes);
        self.at(done, Pending::Disk(Box::new(op)));
    }

    fn disk_done(&mut self, op: &DiskOp) {
        if matches!(op, DiskOp::Log(_)) {
            let nanos = self.began.take().map_or(0, |began| self.tick.since(began));
            self.slowest = self.slowest.max(Some(nanos));
            self.seen.commits.push(nanos);
        }
        let event = self.node.perform(op, None, &mut self.chance);
        self.give(Event::Storage(event));
    }

    fn begin_fetch(&mut self, fetch: Fetch) {
        let now = self.now();
        let Some(place) = self.node.place(&fetch.request.host) else { return };
        let (number, schedule) = (place.number, place.spec.schedule());
        let nanos = place.fetch(now.wall.0).nanos;
        let late_ms = u64::try_from(now.wall.0 - fetch.slot.0).unwrap_or(0);
        self.seen.late_max = self.seen.late_max.max(late_ms * NANOS_PER_MS);
        self.seen.scrapes += 1;
        if let Some(last) = self.last_slot.insert(number, fetch.slot.0) {
            let slots = (fetch.slot.0 - last) / schedule.interval_ms();
            self.seen.left_out += u64::try_from(slots - 1).unwrap_or(0);
        }
        let done = Tick(self.tick.0 + nanos).min(fetch.deadline);
        self.at(done, Pending::Fetched(fetch));
    }

    fn fetched(&mut self, fetch: &Fetch) {
        let now = self.now();
        let Some(place) = self.node.place(&fetch.request.host) else { return };
        let response = place.fetch(now.wall.0);
        let outcome = match &response.outcome {
            Ok((status, body)) => Ok(Fetched {
                status: *status,
                content_type: "text/plain; version=0.0.4",
                body,
                wire_bytes: body.len() as u64,
            }),
            Err(fault) => Err(fault.clone()),
        };
        let total_ns = response.nanos;
        let timings = Timings { began: now, total_ns, ..Timings::default() };
        let (target, slot) = (fetch.target, fetch.slot);
        self.give(Event::Fetched { target, slot, outcome, timings });
    }

    /// What the machine's pacer does.
    fn window(&mut self) {
        let stalled = self.began.map(|began| self.tick.since(began));
        let stalled = stalled.filter(|nanos| WINDOW_NANOS <= *nanos);
        let commit = self.slowest.take().max(stalled);
        let (requests, nanos) = (self.device.requests, self.device.nanos);
        let device = (nanos - self.counted.1).checked_div(requests - self.counted.0);
        self.counted = (requests, nanos);
        let moving = START.0 + CALM_NANOS <= self.tick.0;
        let output = self.pace.step(&Reading { values: [commit, device, None, None], moving });
        self.rate = output.rate;
        if output.commit != self.told {
            self.told = output.commit;
            self.give(Event::Pace(output.commit));
        }
        let why = match output.decision {
            Decision::Slower(signal) => Signal::name(signal),
            Decision::Faster => "faster",
            Decision::Rest => "rest",
        };
        let text = format!("commit {commit:?} device {device:?}: {why}, {output:?}");
        self.trace.line(self.tick, &text);
        self.at(Tick(self.tick.0 + WINDOW_NANOS), Pending::Window);
    }

    /// What the machine's compactor does, for ever.
    fn begin_move(&mut self) {
        if DIRTY_BYTES_MAX < self.dirty_bytes + MOVE_BYTES {
            let later = self.device.free_at.max(Tick(self.tick.0 + NANOS_PER_MS));
            return self.at(later.min(Tick(self.tick.0 + 10 * NANOS_PER_MS)), Pending::Move);
        }
        self.note_still();
        self.moved_at = self.tick;
        self.dirty_bytes += MOVE_BYTES;
        self.seen.moved_bytes += MOVE_BYTES;
        if self.device.is_slow(self.tick) {
            self.seen.moved_slow_bytes += MOVE_BYTES;
        }
        let done = self.device.request(self.tick, MOVE_BYTES);
        self.at(done, Pending::Moved);
        let pause = self.throttle.moved(self.tick, MOVE_BYTES, self.rate);
        self.at(Tick(self.tick.0 + pause), Pending::Move);
    }

    fn note_still(&mut self) {
        self.seen.still_max = self.seen.still_max.max(self.tick.since(self.moved_at));
    }
}
