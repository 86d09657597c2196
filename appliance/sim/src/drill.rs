//! Drill: one store, and the power cut at every effect of its life.
//!
//! Path: `drill_plan` decides → **drill** runs a store on a `disk` → `ledger` says what is right.
//! Where `world` has whole shards and cuts now and then, this has one store that is given rows
//! (floats, native histograms, staleness markers), late rows, deletions, compactions, time that
//! passes retention and clocks that jump. After each disk operation a copy of the disk loses its
//! power, with what was under way done in part, and is opened: it must hold exactly the rows up to
//! a position of the log that is not below what was acknowledged, and every deletion that was.
//!
//! | zone | faults |
//! |---|---|
//! | every write, creation, rename, deletion | power cut around it; EIO and ENOSPC, done in part |
//! | reads of compaction and of queries | EIO |
//! | any file at rest | bits that flip: refused or found, never given as samples |
//! | clock | wall clock set back and ahead; deadlines served minutes late |

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use model::time::{Now, Tick, TimestampMs};
use storage::compact::job::{Job, Step as JobStep};
use storage::compaction::{CompactionPlan, Outcome as JobOutcome};
use storage::effect::{Effect, Event, FileError, LogPosition};
use storage::names::FileName;
use storage::selection::Selected;
use storage::store::Store;

use crate::contents::{Broken, Names, decode, select};
use crate::disk::{Disk, Failing};
use crate::drill_plan::{Action, Plan, START_MS};
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

struct Drill {
    plan: Plan,
    store: Store,
    disk: Disk,
    ledger: Ledger,
    names: Names,
    herd: Herd,
    now: Now,
    flights: Vec<Flight>,
    /// What was acknowledged: it must survive everything.
    acknowledged: Extent,
    /// What the store was given.
    given: Extent,
    held: Option<Held>,
    operations: u64,
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
        }
        Ok(())
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
        self.ledger.forget(self.now.wall.0.saturating_sub(kept_ms));
    }

    fn give(&mut self, event: Event) {
        self.note(&format!("{event:?}"));
        let mut effects = Vec::new();
        self.store.on_event(self.now, event, &mut effects);
        self.take(effects);
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
        self.ledger.check(&found, self.given).map_err(|text| format!("{when}: {text}"))
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

/// The refusal without its numbers.
fn kind_of(refused: &str) -> &str {
    refused.split([' ', ':']).nth(1).unwrap_or(refused)
}
