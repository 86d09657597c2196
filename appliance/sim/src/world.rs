//! World: whole shards under a seeded scheduler.
//!
//! Time is virtual: the next thing that is to happen, happens. The production `Shard` and
//! `Recovery` run unchanged; this module performs their effects.
//!
//! Which faults each zone must survive, and what is checked then:
//!
//! | zone | faults |
//! |---|---|
//! | log | sectors lost, torn and reordered; EIO; ENOSPC; stalls of seconds; stale bytes |
//! | tile files, catalog | the same; renames, creations and deletions undone |
//! | tile files at rest | bits that flip: found by checksum, never given as samples |
//! | process | `kill -9` and power cuts between any two events, also during recovery |
//! | network | refused, slow and cut connections, garbage, status 503, empty bodies |
//! | targets | churn, changing order, doubled series, own timestamps, coming and going |
//! | clock | deadlines served late, by milliseconds or seconds; the wall clock set |
//!
//! After every restart each durable row is found, none that was never written, no later row
//! without the earlier ones. While it runs, selections equal the oracle's bit by bit, also when
//! they are decoded long after they were made.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use model::matcher::{MatchOp, Matcher};
use model::time::{NANOS_PER_MS, Now, Tick, TimestampMs};
use scrape::fetch::{Fetch, FetchFault, Fetched, Timings};
use shard::effect::{Answer, Effect};
use shard::event::{Event, Question, RequestId};
use shard::shard::Shard;
use storage::compaction::Aggregate;
use storage::effect::Effect as StorageEffect;
use storage::names::FileName;
use storage::selection::{LabelRequest, SelectRequest, SelectedSeries};

use crate::checks::{check_between, check_memory, check_progress, is_refused, is_settled};
use crate::network::{Place, Response};
use crate::node::{Node, Tenant};
use crate::operation::DiskOp;
use crate::oracle::Scraped;
use crate::plan::{Crash, Plan, START, Trouble};
use crate::prng::Prng;
use crate::trace::{Trace, effect_text};

/// Wall clock at the first tick, milliseconds.
const WALL_START_MS: i64 = 1_790_000_000_000;
/// Longest quiet after the faults, nanoseconds: everything must be durable by then.
const QUIET_NANOS: u64 = 60_000 * NANOS_PER_MS;
/// By then a target that is gone is forgotten, even if a deadline was served late: nanoseconds.
const FORGOTTEN_NANOS: u64 = 20_000 * NANOS_PER_MS;

/// What is to happen.
enum Pending {
    Boot { node: usize },
    Due { node: usize, life: u64, armed: u64 },
    Fetched { node: usize, life: u64, fetch: Fetch, timings: Timings, response: Box<Response> },
    Disk { node: usize, life: u64, op: u64 },
    Crash(Crash),
    Ask { node: usize },
    Decode { node: usize, life: u64, snapshot: Box<Snapshot> },
    Change { node: usize },
    ClockJump(i64),
}

/// A selection and what must be found in it.
struct Snapshot {
    selected: Vec<SelectedSeries>,
    /// Rows that the oracle had.
    rows: usize,
    after: TimestampMs,
    until: TimestampMs,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What happened.
    pub trace: Trace,
    /// What broke; `None` when everything held.
    pub failure: Option<String>,
    /// Rows that the oracles held at the end.
    pub rows: usize,
    /// Crashes lived through.
    pub crashes: u64,
    /// Selections compared with the oracle.
    pub compared: u64,
}

/// The world of one seed.
pub struct World {
    plan: Plan,
    nodes: Vec<Node>,
    pending: BTreeMap<(Tick, u64), Pending>,
    sequence: u64,
    tick: Tick,
    wall_set_ms: i64,
    /// Number of the newest arming of each node.
    armed: Vec<u64>,
    disk: Prng,
    network: Prng,
    schedule: Prng,
    workload: Prng,
    seed: u64,
    places: u64,
    trace: Trace,
    crashes: u64,
    compared: u64,
    requests: u64,
    /// Range of the selection that is being asked for.
    range: (TimestampMs, TimestampMs),
}

/// Runs the world of `seed` to its end; with `keep` the trace keeps every line.
#[must_use]
pub fn run(seed: u64, keep: bool) -> Outcome {
    let mut world = World::new(seed, keep);
    let ran = catch_unwind(AssertUnwindSafe(|| world.run()));
    let failure = match ran {
        Ok(held) => held.err(),
        Err(panic) => Some(format!("panic: {}", panic_text(&*panic))),
    };
    let rows = world.nodes.iter().map(|node| node.oracle.rows()).sum();
    let (crashes, compared) = (world.crashes, world.compared);
    Outcome { trace: world.trace, failure, rows, crashes, compared }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

impl World {
    fn new(seed: u64, keep: bool) -> World {
        let plan = Plan::new(seed);
        let mut world = World {
            nodes: Vec::new(),
            pending: BTreeMap::new(),
            sequence: 0,
            tick: START,
            wall_set_ms: 0,
            armed: vec![0; plan.stores.len()],
            disk: Prng::new(seed, "disk"),
            network: Prng::new(seed, "network"),
            schedule: Prng::new(seed, "schedule"),
            workload: Prng::new(seed, "workload run"),
            seed,
            places: 0,
            trace: Trace::new(keep),
            crashes: 0,
            compared: 0,
            requests: 0,
            range: (TimestampMs::MIN, TimestampMs::MAX),
            plan,
        };
        for (number, options) in world.plan.stores.clone().into_iter().enumerate() {
            let places = (0..world.plan.targets).map(|_| world.new_place()).collect();
            world.nodes.push(Node::new(number, options, places));
            world.at(START, Pending::Boot { node: number });
        }
        world.plan_ahead();
        world
    }

    fn new_place(&mut self) -> Place {
        self.places += 1;
        Place::new(self.seed, self.places, self.plan.troubled, self.plan.long)
    }

    fn plan_ahead(&mut self) {
        let plan = self.plan.clone();
        for (at, crash) in plan.crashes {
            self.at(at, Pending::Crash(crash));
        }
        for (at, node) in plan.questions {
            self.at(at, Pending::Ask { node });
        }
        for (at, node) in plan.changes {
            self.at(at, Pending::Change { node });
        }
        for (at, ms) in plan.clock_jumps {
            self.at(at, Pending::ClockJump(ms));
        }
    }

    fn at(&mut self, tick: Tick, pending: Pending) {
        self.sequence += 1;
        self.pending.insert((tick.max(self.tick), self.sequence), pending);
    }

    fn now(&self) -> Now {
        let ms = i64::try_from((self.tick.0 - START.0) / NANOS_PER_MS).unwrap_or(i64::MAX);
        Now { tick: self.tick, wall: TimestampMs(WALL_START_MS + ms + self.wall_set_ms) }
    }

    fn run(&mut self) -> Result<(), String> {
        self.run_until(self.plan.quiet_from)?;
        self.settle()?;
        for node in 0..self.nodes.len() {
            self.compare_all(node, "at rest")?;
        }
        self.stop_all()?;
        // Everything was accepted as durable: no cut may take anything.
        for node in 0..self.nodes.len() {
            self.nodes[node].crash(Crash::PowerCut, &mut self.disk);
            self.boot(node)?;
            self.rot(node)?;
        }
        Ok(())
    }

    /// Flips bits in tile files: what can still be read, before and after a restart, must be right.
    fn rot(&mut self, number: usize) -> Result<(), String> {
        let rotten = (0..self.plan.rotten_bits).filter(|_| {
            let disk = &mut self.nodes[number].disk;
            disk.rot(&mut self.disk, |name| matches!(name, FileName::Tile(_)))
        });
        if rotten.count() == 0 {
            return Ok(());
        }
        self.note(&format!("{number} rots"));
        self.check_rotten(number)?;
        self.nodes[number].crash(Crash::Kill, &mut self.disk);
        // Recovery may refuse a damaged disk with an error; it may not open it and lie.
        if let Ok(Some((store, _))) = self.nodes[number].recover(None) {
            self.nodes[number].shard = Some(Shard::new(self.plan.shard.clone(), store));
            self.check_rotten(number)?;
        }
        Ok(())
    }

    fn check_rotten(&mut self, number: usize) -> Result<(), String> {
        let node = &self.nodes[number];
        let Some(shard) = &node.shard else { return Ok(()) };
        let all = select_all(TimestampMs::MIN, TimestampMs::MAX);
        let selected = shard.store().select(&all).map_err(|error| error.to_string())?;
        let found = node.decode_damaged(&selected.series)?;
        let checked = node.oracle.check_written(&found, node.oracle.rows());
        checked.map_err(|text| format!("shard {number}, rotten: {text}"))
    }

    /// Lets things happen up to `until`.
    fn run_until(&mut self, until: Tick) -> Result<(), String> {
        while let Some(entry) = self.pending.first_entry().filter(|entry| entry.key().0 <= until) {
            let ((tick, _), pending) = entry.remove_entry();
            self.tick = tick;
            self.happen(pending)?;
        }
        self.tick = self.tick.max(until);
        Ok(())
    }

    /// Waits until everything appended is durable.
    fn settle(&mut self) -> Result<(), String> {
        let until = self.tick.0 + QUIET_NANOS;
        while self.nodes.iter().any(|node| !is_settled(node)) {
            if until <= self.tick.0 {
                return Err("not everything is durable after a minute of quiet".to_owned());
            }
            self.run_until(Tick(self.tick.0 + 100 * NANOS_PER_MS))?;
        }
        Ok(())
    }

    fn stop_all(&mut self) -> Result<(), String> {
        for node in 0..self.nodes.len() {
            self.give(node, Event::Stop)?;
        }
        let until = Tick(self.tick.0 + QUIET_NANOS);
        self.run_until(until)?;
        for node in &self.nodes {
            let stopped = node.shard.as_ref().is_some_and(Shard::is_stopped);
            if !stopped || !is_settled(node) {
                return Err(format!("shard {} did not stop in order", node.number));
            }
        }
        Ok(())
    }

    fn happen(&mut self, pending: Pending) -> Result<(), String> {
        match pending {
            Pending::Boot { node } => self.boot(node),
            Pending::Due { node, life, armed } => {
                if self.lives(node, life) && self.armed[node] == armed {
                    self.give(node, Event::Due)?;
                }
                Ok(())
            }
            Pending::Fetched { node, life, fetch, timings, response } => {
                if self.lives(node, life) {
                    self.fetched(node, &fetch, timings, &response)
                } else {
                    Ok(())
                }
            }
            Pending::Disk { node, life, op } => {
                if self.lives(node, life) {
                    self.disk_done(node, op)
                } else {
                    Ok(())
                }
            }
            Pending::Crash(crash) => {
                self.crash(crash);
                Ok(())
            }
            Pending::Ask { node } => self.ask(node),
            Pending::Decode { node, life, snapshot } => {
                if self.lives(node, life) {
                    self.decode(node, &snapshot)
                } else {
                    Ok(())
                }
            }
            Pending::Change { node } => self.change(node),
            Pending::ClockJump(ms) => {
                self.note(&format!("clock set by {ms} ms"));
                self.wall_set_ms += ms;
                Ok(())
            }
        }
    }

    fn lives(&self, node: usize, life: u64) -> bool {
        self.nodes[node].life == life && self.nodes[node].shard.is_some()
    }

    fn note(&mut self, text: &str) {
        self.trace.line(self.tick, text);
    }

    fn crash(&mut self, crash: Crash) {
        self.note(&format!("{crash:?}"));
        self.crashes += 1;
        for number in 0..self.nodes.len() {
            self.nodes[number].crash(crash, &mut self.disk);
            let later = self.schedule.between(10, 3_000) * NANOS_PER_MS;
            self.at(Tick(self.tick.0 + later), Pending::Boot { node: number });
        }
    }

    /// Starts the process of a node: recovery, comparison, targets.
    fn boot(&mut self, number: usize) -> Result<(), String> {
        if self.nodes[number].shard.is_some() {
            return Ok(());
        }
        if self.schedule.happens(100_000) {
            // The process dies again while it recovers.
            let steps = usize::try_from(self.schedule.below(20)).unwrap_or(0);
            let cut_short = self.nodes[number].recover(Some(steps))?.is_none();
            if cut_short {
                self.note(&format!("{number} dies in recovery"));
                let crash = self.schedule.one_of(&[Crash::Kill, Crash::PowerCut]);
                self.nodes[number].crash(crash, &mut self.disk);
            }
        }
        // The machine syncs what an earlier process left unsynced before recovery may count on it.
        self.nodes[number].disk.settle();
        let Some((store, report)) = self.nodes[number].recover(None)? else {
            return Err("recovery was not to be cut short".to_owned());
        };
        let durable = store.durable();
        self.note(&format!("{number} boots at {durable}: {report:?}"));
        let now = self.now();
        let shard = Shard::new(self.plan.shard.clone(), store);
        let node = &mut self.nodes[number];
        node.acknowledged = node.acknowledged.max(durable);
        node.shard = Some(shard);
        node.note_retention(now);
        let all = select_all(TimestampMs::MIN, TimestampMs::MAX);
        let shard = node.shard.as_ref().expect("it was made above");
        let selected = shard.store().select(&all).map_err(|error| error.to_string())?;
        let found = node.decode(&selected.series, all.after, all.until)?.unwrap_or_default();
        node.oracle.on_restart(&found).map_err(|text| format!("shard {number}: {text}"))?;
        let rows = node.oracle.rows();
        node.oracle
            .compare(&found, rows, i64::MIN, i64::MAX)
            .map_err(|text| format!("shard {number} after recovery: {text}"))?;
        self.compared += 1;
        self.give(number, Event::Due)?;
        let specs = self.nodes[number].specs();
        self.give(number, Event::Targets(specs))
    }

    /// Gives a shard an event, performs the effects, and checks what must hold between events.
    fn give(&mut self, number: usize, event: Event<'_>) -> Result<(), String> {
        let now = self.now();
        self.trace.line(self.tick, &format!("{number} {}", event_text(&event)));
        let node = &mut self.nodes[number];
        let Some(shard) = node.shard.as_mut() else { return Ok(()) };
        let mut effects = Vec::new();
        let is_due = matches!(event, Event::Due);
        shard.on_event(now, event, &mut effects);
        node.oracle.on_durable(shard.store().durable());
        check_between(node, now);
        if is_due {
            check_progress(node, now);
        }
        for effect in effects {
            self.trace.line(self.tick, &format!("{number}   {}", effect_text(&effect)));
            self.perform(number, effect)?;
        }
        Ok(())
    }

    fn perform(&mut self, number: usize, effect: Effect) -> Result<(), String> {
        match effect {
            Effect::Fetch(fetch) => self.begin_fetch(number, fetch),
            Effect::Storage(StorageEffect::Log(write)) => {
                self.begin_disk(number, DiskOp::Log(write));
            }
            Effect::Storage(StorageEffect::LogPrepare(segment)) => {
                self.begin_disk(number, DiskOp::Prepare(segment));
            }
            Effect::Storage(StorageEffect::LogRetire(segment)) => {
                let (disk, file) = (&mut self.nodes[number].disk, FileName::Segment(segment));
                if self.plan.recycles { disk.retire(file) } else { disk.delete(file) }
            }
            Effect::Storage(StorageEffect::File(request)) => {
                self.begin_disk(number, DiskOp::File(request));
            }
            // Stores are not told to compact.
            Effect::Storage(StorageEffect::Compact(_)) => {}
            Effect::Arm(tick) => self.arm(number, tick),
            Effect::Reply { answer, .. } => return self.replied(number, answer),
            Effect::Stopped => {}
        }
        Ok(())
    }

    /// Deadlines are served a little late; at times by seconds.
    fn arm(&mut self, number: usize, tick: Tick) {
        let late = if self.schedule.happens(self.plan.stalls) && self.tick < self.plan.quiet_from {
            self.schedule.between(1, 5_000) * NANOS_PER_MS
        } else {
            self.schedule.below(1_500_000)
        };
        self.armed[number] += 1;
        let (life, armed) = (self.nodes[number].life, self.armed[number]);
        let at = Tick(tick.0.max(self.tick.0).saturating_add(late));
        self.at(at, Pending::Due { node: number, life, armed });
    }

    fn begin_fetch(&mut self, number: usize, fetch: Fetch) {
        let wait = self.network.below(300_000);
        let tick = Tick(self.tick.0 + wait);
        let now = self.now();
        let began = Now { tick, wall: now.wall };
        let node = &self.nodes[number];
        let Some(place) = node.place(&fetch.request.host) else { return };
        let mut response = place.fetch(began.wall.0);
        if fetch.deadline.0 <= tick.0 + response.nanos {
            response = Response {
                outcome: Err(FetchFault::Deadline),
                exposed: None,
                nanos: fetch.deadline.0.saturating_sub(tick.0),
            };
        }
        let timings = Timings { began, total_ns: response.nanos, ..Timings::default() };
        let (at, life) = (Tick(tick.0 + response.nanos), node.life);
        let response = Box::new(response);
        self.at(at, Pending::Fetched { node: number, life, fetch, timings, response });
    }

    fn fetched(
        &mut self,
        number: usize,
        fetch: &Fetch,
        timings: Timings,
        response: &Response,
    ) -> Result<(), String> {
        let before = self.position(number);
        let outcome = match &response.outcome {
            Ok((status, body)) => Ok(Fetched {
                status: *status,
                content_type: "text/plain; version=0.0.4",
                body,
                wire_bytes: body.len() as u64,
            }),
            Err(fault) => Err(fault.clone()),
        };
        let (target, slot) = (fetch.target, fetch.slot);
        // The oracle must know the row before its durability is told: it is told with the next
        // event.
        self.give(number, Event::Fetched { target, slot, outcome, timings })?;
        let after = self.position(number);
        let node = &mut self.nodes[number];
        let Some(place) = node.place(&fetch.request.host).cloned() else { return Ok(()) };
        let refused = is_refused(node, &place);
        node.oracle.on_scraped(&Scraped {
            target: place.number,
            spec: &place.spec,
            slot: slot.0,
            timestamp_ms: place.spec.schedule().stamp(slot, timings.began.wall).0,
            timings,
            exposed: response.exposed.as_deref(),
            position: after,
            stored: before < after,
            refused,
        });
        Ok(())
    }

    fn position(&self, number: usize) -> storage::effect::LogPosition {
        let shard = self.nodes[number].shard.as_ref();
        shard.map_or_else(Default::default, |shard| shard.scraper().position())
    }

    fn begin_disk(&mut self, number: usize, op: DiskOp) {
        let slow = self.plan.trouble(number, self.tick) == Some(Trouble::Slow);
        let nanos = if slow {
            self.disk.between(500, 4_000) * NANOS_PER_MS
        } else {
            self.disk.between(50_000, 5_000_000)
        };
        self.sequence += 1;
        let (id, life) = (self.sequence, self.nodes[number].life);
        self.nodes[number].under_way.insert(id, op);
        self.at(Tick(self.tick.0 + nanos), Pending::Disk { node: number, life, op: id });
    }

    fn disk_done(&mut self, number: usize, op: u64) -> Result<(), String> {
        let trouble = self.plan.trouble(number, self.tick);
        let node = &mut self.nodes[number];
        let Some(op) = node.under_way.remove(&op) else { return Ok(()) };
        let event = node.perform(&op, trouble, &mut self.disk);
        self.give(number, Event::Storage(event))
    }

    fn ask(&mut self, number: usize) -> Result<(), String> {
        if self.nodes[number].shard.is_none() {
            return Ok(());
        }
        let now = self.now();
        let (after, until) = self.choose_range(number, now);
        let labels = LabelRequest { matcher_sets: Vec::new(), from: after, to: until };
        let question = match self.workload.below(8) {
            0 => Question::LabelValues { name: "__name__".to_owned(), wanted: labels },
            1 => Question::LabelNames(labels),
            2 => Question::Targets,
            3 => Question::Stats,
            4 => Question::Metrics,
            _ => Question::Select(select_all(after, until)),
        };
        self.range = (after, until);
        self.requests += 1;
        self.give(number, Event::Ask { request: RequestId(self.requests), question })
    }

    /// The newest samples, or a range that begins and ends with samples.
    fn choose_range(&mut self, number: usize, now: Now) -> (TimestampMs, TimestampMs) {
        let (one, other) = (self.workload.draw(), self.workload.draw());
        let oracle = &self.nodes[number].oracle;
        let times = oracle.time_of(one).zip(oracle.time_of(other));
        match times.filter(|_| self.workload.happens(500_000)) {
            Some((one, other)) => (TimestampMs(one.min(other)), TimestampMs(one.max(other))),
            None => {
                let back = i64::try_from(self.workload.below(200_000)).unwrap_or(0);
                (TimestampMs(now.wall.0 - back), now.wall.saturating_add(10_000))
            }
        }
    }

    fn replied(&mut self, number: usize, answer: Answer) -> Result<(), String> {
        match answer {
            Answer::Select(selected) => {
                let selected = selected.map_err(|error| error.to_string())?;
                self.snapshot(number, selected.series);
                Ok(())
            }
            Answer::LabelValues(values) | Answer::LabelNames(values) => {
                let sorted = values.windows(2).all(|two| two[0] < two[1]);
                if sorted { Ok(()) } else { Err(format!("not sorted: {values:?}")) }
            }
            Answer::Stats(stats) => {
                check_memory(&self.nodes[number], &stats);
                Ok(())
            }
            Answer::Blocks(_)
            | Answer::Delete(_)
            | Answer::Deleted(_)
            | Answer::Targets(_)
            | Answer::Released(_)
            | Answer::Adopted(_)
            | Answer::Exemplars(_)
            | Answer::Notices(_)
            | Answer::Metrics(_)
            | Answer::PushedMetadata(_)
            | Answer::Usage(_)
            | Answer::Pushed(_) => Ok(()),
        }
    }

    /// Has a selection decoded after a while: until then it must not change.
    fn snapshot(&mut self, number: usize, selected: Vec<SelectedSeries>) {
        let now = self.now();
        self.nodes[number].note_retention(now);
        let node = &self.nodes[number];
        let rows = node.oracle.rows();
        let (after, until) = self.range;
        let later = self.workload.between(0, 20_000) * NANOS_PER_MS;
        let (at, life) = (Tick(self.tick.0 + later), node.life);
        let snapshot = Box::new(Snapshot { selected, rows, after, until });
        self.at(at, Pending::Decode { node: number, life, snapshot });
    }

    fn decode(&mut self, number: usize, snapshot: &Snapshot) -> Result<(), String> {
        let now = self.now();
        self.nodes[number].note_retention(now);
        let (after, until) = (snapshot.after, snapshot.until);
        let Some(found) = self.nodes[number].decode(&snapshot.selected, after, until)? else {
            return Ok(());
        };
        self.compared += 1;
        let oracle = &self.nodes[number].oracle;
        let compared = oracle.compare(&found, snapshot.rows, after.0, until.0);
        compared.map_err(|text| format!("shard {number}, snapshot: {text}"))
    }

    fn compare_all(&mut self, number: usize, when: &str) -> Result<(), String> {
        let now = self.now();
        let node = &mut self.nodes[number];
        node.note_retention(now);
        let Some(shard) = &node.shard else { return Err(format!("shard {number} is down {when}")) };
        let all = select_all(TimestampMs::MIN, TimestampMs::MAX);
        let selected = shard.store().select(&all).map_err(|error| error.to_string())?;
        let found = node.decode(&selected.series, all.after, all.until)?.unwrap_or_default();
        self.compared += 1;
        let compared = node.oracle.compare(&found, node.oracle.rows(), i64::MIN, i64::MAX);
        compared.map_err(|text| format!("shard {number} {when}: {text}"))
    }

    /// A target goes, comes back soon or late, or a new one comes.
    fn change(&mut self, number: usize) -> Result<(), String> {
        let tick = self.tick;
        let wall = self.now().wall;
        let choice = self.workload.below(3);
        let place = (choice == 0).then(|| self.new_place());
        let node = &mut self.nodes[number];
        if let Some(place) = place {
            node.tenants.push(Tenant { place, gone_since: None });
        } else {
            let which = usize::try_from(self.workload.draw() % 64).unwrap_or(0);
            let which = which % node.tenants.len();
            let tenant = &mut node.tenants[which];
            let target = tenant.place.number;
            let interval_nanos = tenant.place.spec.interval_ms * NANOS_PER_MS;
            match tenant.gone_since {
                None => {
                    tenant.gone_since = Some(tick);
                    let slot = tenant.place.spec.schedule().at_or_after(wall);
                    let spec = tenant.place.spec.clone();
                    node.oracle.on_gone(target, &spec, slot.0);
                }
                // Surely still remembered.
                Some(since) if tick.since(since) < interval_nanos => {
                    tenant.gone_since = None;
                    node.oracle.on_back(target, false);
                }
                // Surely forgotten, however late a deadline was served.
                Some(since) if FORGOTTEN_NANOS + 3 * interval_nanos < tick.since(since) => {
                    tenant.gone_since = None;
                    node.oracle.on_back(target, true);
                }
                Some(_) => {}
            }
        }
        let specs = node.specs();
        self.give(number, Event::Targets(specs))
    }
}

fn select_all(after: TimestampMs, until: TimestampMs) -> SelectRequest {
    let named = Matcher::new("__name__", MatchOp::Regex, ".+").expect("a good pattern");
    let aggregate = Aggregate::default();
    SelectRequest { matchers: vec![named], after, until, series_max: usize::MAX, aggregate }
}

fn event_text(event: &Event<'_>) -> String {
    match event {
        Event::Targets(specs) => format!("targets {}", specs.len()),
        Event::Fetched { target, slot, outcome, timings } => {
            let what = match outcome {
                Ok(fetched) => format!("{} {} bytes", fetched.status, fetched.body.len()),
                Err(fault) => fault.to_string(),
            };
            format!("fetched {} slot {} began {} {what}", target.0, slot.0, timings.began.wall)
        }
        Event::Due => "due".to_owned(),
        Event::Storage(event) => format!("{event:?}"),
        Event::Pace(pace) => format!("{pace:?}"),
        Event::Ask { request, question } => {
            let question = match question {
                Question::Select(_) | Question::SelectMore(_) => "select",
                Question::LabelValues { .. } => "label values",
                Question::LabelNames(_) => "label names",
                Question::Targets => "targets",
                Question::Release(_) => "release",
                Question::Adopt(_) => "adopt",
                Question::Exemplars(_) => "exemplars",
                Question::Notices => "notices",
                Question::Stats => "stats",
                Question::Metrics => "metrics",
                Question::Push(_) => "push",
                Question::Blocks { .. } => "blocks",
                Question::Delete { .. } => "delete",
                Question::Deleted => "deleted",
                Question::CleanTombstones => "clean tombstones",
                Question::Configure(_) => "configure",
                Question::PushedMetadata => "pushed metadata",
                Question::MayDelete => "may delete",
                Question::Usage => "usage",
                Question::Lease(_) => "lease",
            };
            format!("ask {} {question}", request.0)
        }
        Event::Stop => "stop".to_owned(),
    }
}
