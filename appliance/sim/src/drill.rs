//! Drill: one store, and the power cut at every effect of its life.
//!
//! Path: `drill_plan` decides → **drill** runs a store on a `disk` → `ledger` says what is right.
//! Where `world` has whole shards and cuts now and then, this has one store that is given rows
//! (floats, native histograms, staleness markers), late rows, pushes, metadata, exemplars,
//! deletions, compactions, time and bytes that pass retention, snapshots and clocks that jump.
//! After each disk operation a copy of the disk loses its power, with what was under way done in
//! part, and is opened: it must hold exactly the rows up to a position of the log that is not below
//! what was acknowledged, and every deletion that was.
//!
//! | zone | faults |
//! |---|---|
//! | every write, creation, rename, deletion | power cut around it; EIO and ENOSPC, done in part |
//! | reads of compaction and of queries | EIO |
//! | any file at rest | bits that flip: refused or found, never given as samples |
//! | clock | wall clock set back and ahead, also by a year; deadlines served minutes late |

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};

use exposition::metrics::Collected;
use model::time::{NANOS_PER_MS, Now, Tick, TimestampMs};
use storage::compact::job::{Job, Step as JobStep};
use storage::compaction::{CompactionPlan, Outcome as JobOutcome};
use storage::effect::{Effect, Event, FileError, LogPosition};
use storage::names::FileName;
use storage::selection::Selected;
use storage::store::Store;

use crate::contents::{Broken, Names, decode, select};
use crate::disk::{Disk, Failing};
use crate::drill_copy::{Copied, Copying};
use crate::drill_notes::Notes;
use crate::drill_plan::{Action, Plan, START_MS};
use crate::drill_pushes::Pushers;
use crate::drill_rows::Herd;
use crate::ledger::{Extent, Ledger};
use crate::operation::{DiskOp, Fault, recover};
use crate::prng::Prng;
use crate::trace::{Trace, storage_text};

/// Operations that may be under way when the faults end, and are then done.
const QUIET_TURNS_MAX: usize = 50_000;
/// Reads of one selection that are made to fail.
const FAILING_READS_MAX: u64 = 12;
/// Bits that flip at the end, one after the other.
const ROTTEN_BITS: u64 = 12;

/// What a drill came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What happened.
    pub trace: Trace,
    /// What broke; `None` when everything held.
    pub failure: Option<String>,
    /// What it was made of, by name.
    pub counts: BTreeMap<String, u64>,
}

/// What is under way.
enum Flight {
    Disk(DiskOp),
    Job(Box<JobFlight>),
}

struct JobFlight {
    plan: Box<CompactionPlan>,
    job: Job,
}

/// A selection that is decoded later.
struct Held {
    selected: Selected,
    extent: Extent,
    until: Tick,
}

/// What retention by bytes has done.
#[derive(Debug, Default)]
struct ByBytes {
    /// First the oldest; newest time of each.
    blocks: Vec<i64>,
    expired: u64,
}

impl ByBytes {
    fn of(store: &Store) -> ByBytes {
        let blocks = select(store).map(|all| all.blocks).unwrap_or_default();
        let mut blocks: Vec<i64> = blocks.iter().map(|block| block.summary().max_time_ms).collect();
        blocks.sort_unstable();
        ByBytes { blocks, expired: expired_by_size(store) }
    }
}

struct Drill {
    plan: Plan,
    store: Store,
    disk: Disk,
    ledger: Ledger,
    names: Names,
    herd: Herd,
    pushers: Pushers,
    notes: Notes,
    copying: Option<Copying>,
    /// Blocks that live and those that went because of their bytes, as last seen.
    sized: ByBytes,
    now: Now,
    /// Wall time at tick 0, by tick, of the last hour.
    offsets: VecDeque<(Tick, i64)>,
    flights: Vec<Flight>,
    /// What was acknowledged: it must survive everything.
    acknowledged: Extent,
    /// What the store was given.
    given: Extent,
    held: Option<Held>,
    operations: u64,
    /// Draws of what not every seed does.
    more: Prng,
    chance: Prng,
    /// Draws of the copies that lose their power: the run itself does not depend on them.
    cuts: Prng,
    trace: Trace,
    counts: BTreeMap<String, u64>,
}

/// Runs the drill of `seed` to its end; with `keep` the trace keeps every line.
#[must_use]
pub fn run(seed: u64, keep: bool) -> Outcome {
    let mut drill = Drill::new(seed, keep);
    let ran = catch_unwind(AssertUnwindSafe(|| drill.run()));
    let failure = match ran {
        Ok(held) => held.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Some(format!("panic: {}", text.unwrap_or_default()))
        }
    };
    Outcome { trace: drill.trace, failure, counts: drill.counts }
}

impl Drill {
    fn new(seed: u64, keep: bool) -> Drill {
        let plan = Plan::new(seed);
        let herd = Herd::new(seed, plan.groups);
        Drill {
            store: Store::new(plan.options.clone()),
            disk: Disk::default(),
            ledger: Ledger::default(),
            names: Names::default(),
            herd,
            pushers: Pushers::new(seed),
            notes: Notes::new(seed),
            copying: None,
            sized: ByBytes::default(),
            offsets: VecDeque::new(),
            more: Prng::new(seed, "drill more actions"),
            now: Now { tick: Tick(5_000_000_000), wall: TimestampMs(START_MS) },
            flights: Vec::new(),
            acknowledged: Extent { position: LogPosition(0), deletion: 0 },
            given: Extent { position: LogPosition(0), deletion: 0 },
            held: None,
            operations: 0,
            chance: Prng::new(seed, "drill"),
            cuts: Prng::new(seed, "drill cuts"),
            trace: Trace::new(keep),
            counts: BTreeMap::new(),
            plan,
        }
    }

    fn run(&mut self) -> Result<(), String> {
        self.give(Event::Due);
        for _ in 0..self.plan.steps {
            self.act()?;
            for action in self.plan.more(&mut self.more) {
                self.do_more(action);
            }
            let ms = self.plan.pace(&mut self.chance);
            self.pass(ms);
            for _ in 0..self.chance.below(self.plan.operations_a_step) {
                self.operate(true)?;
            }
        }
        self.quiet()?;
        self.check_live("at rest")?;
        self.fail_reads()?;
        self.check_cut(true)?;
        self.rot()
    }

    fn count(&mut self, what: impl Into<String>) {
        *self.counts.entry(what.into()).or_default() += 1;
    }

    fn note(&mut self, text: &str) {
        self.trace.line(self.now.tick, text);
    }

    /// One thing that somebody asks of the store.
    fn act(&mut self) -> Result<(), String> {
        match self.plan.action(&mut self.chance) {
            Action::Rows => self.rows(self.now.wall.0),
            Action::Again => {
                let back = i64::try_from(self.chance.below(3)).unwrap_or(0);
                let rows = self.ledger.rows();
                let slot = rows.iter().rev().nth(usize::try_from(back).unwrap_or(0));
                if let Some(slot) = slot.map(|row| row.slot) {
                    self.rows(slot);
                }
            }
            Action::Late => {
                let window_ms = self.plan.options.out_of_order_time_window_ms.max(60_000);
                let back = i64::try_from(self.chance.below(window_ms)).unwrap_or(0);
                self.rows(self.now.wall.0 - back);
            }
            Action::Delete => self.delete(),
            Action::Clean => {
                self.note("clean tombstones");
                self.count("clean");
                self.store.clean_tombstones();
            }
            Action::Jump(ms) => {
                self.note(&format!("clock set by {ms} ms"));
                self.now.wall.0 += ms;
            }
            Action::Ask => self.check_live("asked")?,
            Action::Hold => self.hold()?,
            action @ (Action::Push | Action::Annotate | Action::Copy) => self.do_more(action),
        }
        Ok(())
    }

    /// One thing more that somebody asks of the store.
    fn do_more(&mut self, action: Action) {
        match action {
            Action::Push => {
                let back = self.more.one_of(&[0, 0, 0, 1, 2, 40]);
                let slot = self.now.wall.0.div_euclid(15_000) * 15_000 - back * 15_000;
                self.push(slot);
            }
            Action::Annotate => {
                let (store, names) = (&mut self.store, &mut self.names);
                let position = self.notes.give(store, names, self.now, self.plan.groups);
                self.given.position = self.given.position.max(position);
                self.note(&format!("annotated, position {position}"));
                self.count("annotations");
            }
            Action::Copy if self.copying.is_none() => {
                self.note("snapshot begins");
                self.copying = Some(Copying::new(&self.disk, self.acknowledged));
            }
            Action::Jump(ms) => {
                self.note(&format!("clock set by {ms} ms"));
                self.count("clock set by a year");
                self.now.wall.0 += ms;
            }
            _ => {}
        }
    }

    /// Some cells of a slot for each group that is pushed to.
    fn push(&mut self, slot: i64) {
        for group in 0..self.plan.groups {
            let mut effects = Vec::new();
            let (store, names) = (&mut self.store, &mut self.names);
            let at = (group, slot);
            let taken = self.pushers.push(store, names, self.now, at, &mut effects);
            match taken {
                Ok(Some(row)) => {
                    self.note(&format!("pushed {group} {slot} at {}", row.position));
                    self.count("pushes");
                    self.given.position = self.given.position.max(row.position);
                    self.ledger.take(row);
                }
                Ok(None) => self.count("pushes of nothing new"),
                Err(refused) => self.count(format!("push refused: {}", kind_of(&refused))),
            }
            self.take(effects);
        }
    }

    /// A row of each group at `slot`.
    fn rows(&mut self, slot: i64) {
        for group in 0..self.plan.groups {
            let mut effects = Vec::new();
            let (store, names) = (&mut self.store, &mut self.names);
            let taken = self.herd.append(store, names, self.now, (group, slot), &mut effects);
            let text = match &taken {
                Ok(Some(row)) => format!("row {group} {slot} {:?} at {}", row.rank, row.position),
                Ok(None) => format!("row {group} {slot} is there"),
                Err(refused) => format!("row {group} {slot} refused: {refused}"),
            };
            self.note(&text);
            match taken {
                Ok(Some(row)) => {
                    let late = slot < self.now.wall.0;
                    self.count(if late { "rows late" } else { "rows" });
                    self.given.position = self.given.position.max(row.position);
                    self.ledger.take(row);
                }
                Ok(None) => self.count("rows twice"),
                Err(refused) => self.count(format!("refused: {}", kind_of(&refused))),
            }
            self.take(effects);
        }
    }

    fn delete(&mut self) {
        let chance = &mut self.chance;
        let rows = self.ledger.rows();
        let Some(newest) = rows.iter().map(|row| row.time_ms).max() else { return };
        let to = newest - i64::try_from(chance.below(120_000)).unwrap_or(0);
        let from = to - i64::try_from(chance.below(1_200_000)).unwrap_or(0);
        let matchers = self.herd.matchers(chance);
        let meant = self.names.meant(&matchers);
        let text = format!("delete {matchers:?} {from}..={to}");
        match self.store.delete(matchers, TimestampMs(from), TimestampMs(to)) {
            Ok(number) if self.given.deletion < number => {
                self.note(&format!("{text}: {number}"));
                self.count("deletions");
                self.given.deletion = number;
                self.ledger.delete(number, meant, (from, to));
            }
            Ok(_) => self.note(&format!("{text}: nothing to delete")),
            Err(refused) => self.note(&format!("{text}: {refused}")),
        }
    }

    /// Time passes; what is due is served once, as late as it may be.
    fn pass(&mut self, ms: u64) {
        self.now.tick = self.now.tick.after_ms(ms);
        self.now.wall = self.now.wall.saturating_add(i64::try_from(ms).unwrap_or(0));
        self.forget();
        if self.store.next_deadline().is_some_and(|at| at <= self.now.tick) {
            self.give(Event::Due);
        }
    }

    fn forget(&mut self) {
        let kept_ms = i64::try_from(self.plan.options.retention_ms).unwrap_or(i64::MAX);
        let trusted_ms = self.trusted_ms();
        self.ledger.forget(trusted_ms.saturating_sub(kept_ms));
    }

    /// A wall time that the store may act on at most: the clock's, but where it was more than an
    /// hour ahead of what it was within the last hour.
    fn trusted_ms(&mut self) -> i64 {
        const HOUR_MS: i64 = 3_600_000;
        let tick_ms = i64::try_from(self.now.tick.0 / NANOS_PER_MS).unwrap_or(i64::MAX);
        self.offsets.push_back((self.now.tick, self.now.wall.0 - tick_ms));
        let hour_nanos = HOUR_MS.unsigned_abs() * NANOS_PER_MS;
        // One that is older says what held at the beginning of the hour.
        while self.offsets.get(1).is_some_and(|(at, _)| hour_nanos <= self.now.tick.since(*at)) {
            self.offsets.pop_front();
        }
        let least = self.offsets.iter().map(|(_, offset)| *offset).min();
        let least = least.map_or(self.now.wall.0, |offset| offset + tick_ms + HOUR_MS);
        least.min(self.now.wall.0)
    }

    fn give(&mut self, event: Event) {
        self.note(&format!("{event:?}"));
        let mut effects = Vec::new();
        self.store.on_event(self.now, event, &mut effects);
        if 0 < self.plan.options.retention_bytes {
            self.watch_bytes();
        }
        self.take(effects);
    }

    /// What retention by bytes takes is the oldest, and only where there is too much.
    fn watch_bytes(&mut self) {
        let expired = expired_by_size(&self.store);
        let went = expired.saturating_sub(self.sized.expired);
        if went != 0 {
            let is_kept = |file: &FileName| matches!(file, FileName::Tile(_) | FileName::Block(_));
            let listing = self.disk.listing();
            let held: u64 = listing.iter().filter(|(f, _)| is_kept(f)).map(|(_, b)| *b).sum();
            let most = self.plan.options.retention_bytes;
            assert!(most < held, "blocks went though {held} of {most} bytes are held");
            // Those that a job reads stay, and younger ones go in their place.
            let jobs =
                self.flights.iter().filter(|flight| matches!(flight, Flight::Job(_))).count();
            let inputs = if jobs == 0 { 0 } else { self.sized.blocks.len() };
            let went = usize::try_from(went).unwrap_or(usize::MAX).saturating_add(inputs);
            if let Some(newest) = self.sized.blocks.iter().take(went).next_back() {
                self.ledger.forget(newest + 1);
            }
            self.count("blocks gone by size");
        }
        self.sized = ByBytes::of(&self.store);
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            self.trace.line(self.now.tick, &format!("  {}", storage_text(&effect)));
            match effect {
                Effect::Log(write) => self.flights.push(Flight::Disk(DiskOp::Log(write))),
                Effect::LogPrepare(segment) => {
                    self.flights.push(Flight::Disk(DiskOp::Prepare(segment)));
                }
                Effect::LogRetire(segment) => {
                    let file = FileName::Segment(segment);
                    self.count("segments retired");
                    // `world` recycles, and delays what is retired.
                    self.disk.delete_durably(file);
                }
                Effect::File(request) => self.flights.push(Flight::Disk(DiskOp::File(request))),
                Effect::Compact(plan) => {
                    let job = Job::new(&plan);
                    self.flights.push(Flight::Job(Box::new(JobFlight { plan, job })));
                }
            }
        }
        let (position, deletion) = (self.store.durable(), self.store.deleted());
        self.acknowledged.position = self.acknowledged.position.max(position);
        self.acknowledged.deletion = self.acknowledged.deletion.max(deletion);
    }

    /// Ends one operation that is under way, and looks what a power cut would leave.
    fn operate(&mut self, faults: bool) -> Result<(), String> {
        if self.flights.is_empty() {
            return Ok(());
        }
        let at = usize::try_from(self.chance.below(self.flights.len() as u64)).unwrap_or(0);
        let flight = self.flights.swap_remove(at);
        self.operations += 1;
        let fault = if faults { self.plan.fault(self.operations, &mut self.chance) } else { None };
        match flight {
            Flight::Disk(op) => {
                self.count_fault(op.name(), fault);
                let options = &self.plan.options;
                let event = op.perform(&mut self.disk, options, fault, &mut self.chance);
                self.check_cut(false)?;
                self.give(event);
            }
            Flight::Job(flight) => self.turn(flight, fault),
        }
        self.check_cut(false)?;
        self.copy_on()?;
        if faults && self.chance.happens(self.plan.crashes) {
            self.crash()?;
        }
        Ok(())
    }

    fn count_fault(&mut self, what: &str, fault: Option<Fault>) {
        match fault {
            None => self.count(what),
            Some(fault) => self.count(format!("{what}, {fault:?}")),
        }
    }

    /// One step of a compaction.
    fn turn(&mut self, mut flight: Box<JobFlight>, fault: Option<Fault>) {
        let step = flight.job.step();
        let name = match &step {
            Ok(JobStep::Read { .. }) => "job read",
            Ok(JobStep::Write { .. }) => "job write",
            Ok(JobStep::Sync { .. }) => "job sync",
            Ok(JobStep::Done(_)) | Err(_) => "job end",
        };
        // No space left is nothing that a read can say.
        let fault =
            fault.filter(|fault| name != "job end" && (name, *fault) != ("job read", Fault::Full));
        self.count_fault(name, fault);
        let step = match step {
            Ok(step) => step,
            Err(error) => {
                let cause = FileError { reason: error.to_string(), full: false };
                return self.compacted(&flight, Err(cause));
            }
        };
        let gone = matches!(&step, JobStep::Read { file, .. } if !self.disk.has(*file));
        let gone = gone.then(|| FileError { reason: "no such file".into(), full: false });
        let broken = gone.or(fault.map(Fault::error));
        match step {
            JobStep::Read { file, offset, bytes_max } if broken.is_none() => {
                flight.job.feed(self.disk.part(file, offset, bytes_max));
            }
            JobStep::Write { file, offset, bytes } => {
                if offset == 0 {
                    self.disk.delete(file);
                }
                if fault.is_some() {
                    self.disk.write_some(file, offset, &bytes, &mut self.chance);
                } else {
                    self.disk.write(file, offset, &bytes);
                }
            }
            JobStep::Sync { file } if broken.is_none() => {
                self.disk.sync(file);
                self.disk.sync_names();
            }
            JobStep::Done(outcome) => {
                self.count(format!("block of level {}", flight.plan.level));
                return self.compacted(&flight, Ok(outcome));
            }
            JobStep::Read { .. } | JobStep::Sync { .. } => {}
        }
        match broken {
            Some(cause) => self.compacted(&flight, Err(cause)),
            None => self.flights.push(Flight::Job(flight)),
        }
    }

    fn compacted(&mut self, flight: &JobFlight, result: Result<Box<JobOutcome>, FileError>) {
        self.give(Event::Compacted { id: flight.plan.id, result });
    }

    /// A copy of the disk as a power cut, or a killed process, would leave it.
    fn copy_of_cut(&mut self, power: bool) -> Disk {
        let mut disk = self.disk.clone();
        for flight in &self.flights {
            if let Flight::Disk(op) = flight {
                op.interrupt(&mut disk, &self.plan.options, &mut self.cuts);
            }
        }
        if power {
            disk.cut(&mut self.cuts)
        } else {
            disk.forget_process()
        }
        disk.settle();
        disk
    }

    /// Copies the next file of a snapshot; one that is whole opens, with all that was acknowledged
    /// when it began.
    fn copy_on(&mut self) -> Result<(), String> {
        let Some(copying) = self.copying.take() else { return Ok(()) };
        match copying.step(&self.disk) {
            Copied::Part(copying) => self.copying = Some(copying),
            Copied::Torn => self.count("snapshots of the directory torn"),
            Copied::Whole(copy, least) => {
                self.count("snapshots of the directory");
                let checked = self.check_copy(&copy, least);
                checked.map_err(|text| format!("snapshot of the directory: {text}"))?;
            }
        }
        Ok(())
    }

    fn check_copy(&self, copy: &Disk, least: Extent) -> Result<(), String> {
        let opened = recover(copy, &self.plan.options, None);
        let opened = opened.map_err(|error| format!("does not open: {error}"))?;
        let (store, _) = opened.ok_or("recovery was not to be cut short")?;
        let found = select(&store).and_then(|all| decode(&all, copy, &self.names));
        let found = found.map_err(|broken| broken.to_string())?;
        self.ledger.check_between(&found, least, self.given)
    }

    fn check_cut(&mut self, must: bool) -> Result<(), String> {
        if !must && !self.cuts.happens(self.plan.cuts) {
            return Ok(());
        }
        self.count("power cuts");
        let disk = self.copy_of_cut(true);
        self.open(&disk).map(|_| ())
    }

    /// Opens a disk and checks what is in it.
    fn open(&mut self, disk: &Disk) -> Result<(Store, Extent), String> {
        let opened = recover(disk, &self.plan.options, None);
        let opened = opened.map_err(|error| format!("does not open: {error}"))?;
        let (store, report) = opened.ok_or("recovery was not to be cut short")?;
        let extent = Extent { position: store.durable(), deletion: store.deleted() };
        let least = self.acknowledged;
        if extent.position < least.position || extent.deletion < least.deletion {
            return Err(format!("{extent:?} is found, acknowledged {least:?}; {report:?}"));
        }
        let found = select(&store).and_then(|all| decode(&all, disk, &self.names));
        let found =
            found.map_err(|broken| format!("opened at {extent:?}: {broken}; {report:?}"))?;
        let checked = self.ledger.check(&found, extent);
        let checked =
            checked.and_then(|()| self.notes.check(&store, extent.position, self.plan.expires()));
        checked.map_err(|text| format!("opened at {extent:?}: {text}; {report:?}"))?;
        Ok((store, extent))
    }

    /// The process ends and starts again.
    fn crash(&mut self) -> Result<(), String> {
        let power = self.chance.happens(500_000);
        self.count(if power { "restarts, power" } else { "restarts, killed" });
        let disk = self.copy_of_cut(power);
        let (store, extent) = self.open(&disk)?;
        self.note(&format!("opened at {extent:?}"));
        self.flights.clear();
        self.held = None;
        self.copying = None;
        // The wall clock is believed anew: what is old by it may go at once.
        self.offsets.clear();
        self.forget();
        self.sized = ByBytes::of(&store);
        self.notes.cut(extent.position);
        (self.store, self.disk) = (store, disk);
        self.ledger.cut(extent);
        (self.given, self.acknowledged) = (extent, extent);
        self.give(Event::Due);
        Ok(())
    }

    /// What the running store answers must be what it was given.
    fn check_live(&mut self, when: &str) -> Result<(), String> {
        self.count("answers");
        let found = select(&self.store).and_then(|all| decode(&all, &self.disk, &self.names));
        let found = found.map_err(|broken| format!("{when}: {broken}"))?;
        let checked = self
            .ledger
            .check(&found, self.given)
            .and_then(|()| self.notes.check(&self.store, self.given.position, self.plan.expires()));
        checked.map_err(|text| format!("{when}: {text}"))
    }

    /// Keeps a selection for a while, or decodes the one that is kept: it must not have changed.
    fn hold(&mut self) -> Result<(), String> {
        let Some(held) = self.held.take() else {
            let selected = select(&self.store).map_err(|broken| broken.to_string())?;
            let until = self.now.tick.after_ms(self.plan.options.replaced_keep_ms);
            self.held = Some(Held { selected, extent: self.given, until });
            return Ok(());
        };
        if held.until <= self.now.tick {
            return Ok(());
        }
        self.count("snapshots");
        match decode(&held.selected, &self.disk, &self.names) {
            Ok(found) => {
                let checked = self.ledger.check(&found, held.extent);
                checked.map_err(|text| format!("snapshot: {text}"))
            }
            // Blocks that passed retention go at once.
            Err(Broken::Gone(_)) if self.plan.expires() => Ok(()),
            Err(broken) => Err(format!("snapshot: {broken}")),
        }
    }

    /// The faults end: everything becomes durable, and nothing stays under way.
    fn quiet(&mut self) -> Result<(), String> {
        self.note("quiet");
        let mut effects = Vec::new();
        self.store.flush(self.now, &mut effects);
        self.take(effects);
        for _ in 0..QUIET_TURNS_MAX {
            if !self.flights.is_empty() {
                self.operate(false)?;
            } else if self.acknowledged.position < self.given.position
                || self.acknowledged.deletion < self.given.deletion
            {
                self.pass(1_000);
            } else {
                return Ok(());
            }
        }
        Err(format!("acknowledged {:?} of {:?} when quiet", self.acknowledged, self.given))
    }

    /// Makes single reads of a selection fail: it fails, or answers right.
    fn fail_reads(&mut self) -> Result<(), String> {
        let all = select(&self.store).map_err(|broken| broken.to_string())?;
        for at in 0..FAILING_READS_MAX {
            let failing = Failing::new(self.disk.clone(), at * at);
            match decode(&all, &failing, &self.names) {
                Ok(found) => {
                    let checked = self.ledger.check(&found, self.given);
                    checked.map_err(|text| format!("a read failed: {text}"))?;
                }
                Err(Broken::Read(_)) => self.count("query read, Broken"),
                Err(broken) => return Err(format!("a read failed: {broken}")),
            }
        }
        Ok(())
    }

    /// Flips bits at rest, one after the other: a disk is refused, or what it gives was written.
    fn rot(&mut self) -> Result<(), String> {
        let mut disk = self.copy_of_cut(false);
        for _ in 0..ROTTEN_BITS {
            disk.rot(&mut self.cuts, |_| true);
            self.count("rotten bits");
            let Ok(Some((store, _))) = recover(&disk, &self.plan.options, None) else {
                self.count("rotten, refused");
                return Ok(());
            };
            match select(&store).and_then(|all| decode(&all, &disk, &self.names)) {
                Ok(found) => {
                    let checked = self.ledger.check_made(&found);
                    checked.map_err(|text| format!("rotten: {text}"))?;
                }
                Err(Broken::Wrong(text)) => return Err(format!("rotten: {text}")),
                Err(Broken::Damaged(_) | Broken::Read(_) | Broken::Gone(_)) => {
                    self.count("rotten, found");
                }
            }
        }
        Ok(())
    }
}

/// Blocks that went because of their bytes.
fn expired_by_size(store: &Store) -> u64 {
    let mut collected = Collected::default();
    store.collect(&mut collected);
    let text = collected.to_text();
    let line =
        text.lines().find_map(|line| line.strip_prefix("prometheus_tsdb_size_retentions_total "));
    line.and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// The refusal without its numbers.
fn kind_of(refused: &str) -> &str {
    refused.split([' ', ':']).nth(1).unwrap_or(refused)
}
