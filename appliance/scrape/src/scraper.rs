//! Scraper: all targets of a shard; which of them is due, and what becomes of what they answer.
//!
//! Path: `target`s, due ticks and fetched bodies → **scraper** → fetches, rows → `storage`.
//! Owns: the targets' states, the schedule, the number of fetches in flight.
//! Never: reads a clock, waits, has two fetches out for one target.
//! A target that is gone is kept for two slots and a tenth of its interval, as upstream does: if it
//! comes back within that time it goes on as if nothing had happened, else its series end at the
//! slot that it missed first.
//!
//! Invariants
//! - SC1: at most `in_flight_max` fetches are out.
//! - SC2: a target that waits for nothing is leaving; one that waits is where its turn is kept.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use exposition::metrics::Collected;
use hashbrown::HashMap;
use model::time::{Now, Tick};
use storage::effect::{Effect, LogPosition};
use storage::row::{GroupKey, Slot};
use storage::store::Store;

use crate::active::{Active, Turn};
use crate::exemplars::{ExemplarRequest, Exemplars, SeriesExemplars};
use crate::fetch::{Fetch, FetchFault, Fetched, Timings};
use crate::handover::{Handed, Handover, Share};
use crate::ingest::Bench;
use crate::metrics::{Counters, number, seconds};
use crate::notice::{Notice, Notices};
use crate::options::Options;
use crate::pass::Pass;
use crate::slots::SlotClock;
use crate::status::TargetStatus;
use crate::target::{TargetId, TargetSpec};

/// A target is handed over at least so long before its next slot, milliseconds: the other shard has
/// it by then.
const HANDOVER_AHEAD_MS: u64 = 200;

/// All targets of one shard.
pub struct Scraper {
    options: Options,
    clock: SlotClock,
    next_id: u32,
    targets: BTreeMap<TargetId, Active>,
    by_identity: HashMap<GroupKey, TargetId, foldhash::fast::FixedState>,
    /// By the address of the specification that a target holds: what is given again unchanged is
    /// neither hashed nor compared.
    by_address: HashMap<usize, TargetId, foldhash::fast::FixedState>,
    /// Targets by the slot that is theirs next.
    due: BTreeSet<(Slot, TargetId)>,
    /// Targets whose slot came while too many fetches were out, in order; those whose turn is
    /// another by now are passed over.
    waiting: VecDeque<(Slot, TargetId)>,
    /// Targets that are gone, by when their series end.
    leaving: BTreeSet<(Tick, TargetId)>,
    departures: BTreeMap<TargetId, Departure>,
    in_flight: usize,
    bench: Bench,
    exemplars: Exemplars,
    notices: Notices,
    counters: Counters,
    position: LogPosition,
}

/// How a target leaves.
#[derive(Clone, Copy)]
struct Departure {
    /// When its series end.
    at: Tick,
    /// The slot at which they end.
    slot: Slot,
}

/// A fetch that ended, as the machine tells it.
#[derive(Debug)]
pub struct Ended<'a> {
    /// As in the fetch.
    pub target: TargetId,
    /// As in the fetch.
    pub slot: Slot,
    /// The response, or why there is none.
    pub outcome: Result<Fetched<'a>, FetchFault>,
    /// When it began and how long it took.
    pub timings: Timings,
}

/// Where what is to be done goes.
pub struct Out<'a> {
    /// Where rows go.
    pub store: &'a mut Store,
    /// Fetches to perform.
    pub fetches: &'a mut Vec<Fetch>,
    /// What storage asks for.
    pub effects: &'a mut Vec<Effect>,
}

/// What tells one specification in memory from another while both are held.
fn address(spec: &Arc<TargetSpec>) -> usize {
    Arc::as_ptr(spec).addr()
}

impl Scraper {
    /// A scraper without targets.
    #[must_use]
    pub fn new(options: Options) -> Scraper {
        let exemplars = Exemplars::new(options.exemplars_max);
        Scraper {
            options,
            clock: SlotClock::default(),
            next_id: 0,
            targets: BTreeMap::new(),
            by_identity: HashMap::default(),
            by_address: HashMap::default(),
            due: BTreeSet::new(),
            waiting: VecDeque::new(),
            leaving: BTreeSet::new(),
            departures: BTreeMap::new(),
            in_flight: 0,
            bench: Bench::new(),
            exemplars,
            notices: Notices::default(),
            counters: Counters::default(),
            position: LogPosition::default(),
        }
    }

    /// Makes `specs` the targets. Those of known identity keep everything; new ones begin with
    /// their next slot; those that are gone begin to leave. Of equal identities the first counts.
    pub fn apply(&mut self, now: Now, specs: Vec<Arc<TargetSpec>>) {
        self.observe(now);
        let mut wanted: BTreeSet<TargetId> = BTreeSet::new();
        for spec in specs {
            let same = self.by_address.get(&address(&spec)).copied();
            let known = same.or_else(|| self.by_identity.get(&spec.identity()).copied());
            match known {
                Some(id) if wanted.contains(&id) => {}
                Some(id) => {
                    wanted.insert(id);
                    self.keep(now, id, spec);
                }
                None => {
                    wanted.insert(self.add(now, spec));
                }
            }
        }
        let gone: Vec<TargetId> = self
            .targets
            .keys()
            .filter(|id| !wanted.contains(id) && !self.departures.contains_key(id))
            .copied()
            .collect();
        for id in gone {
            self.leave(now, id);
        }
        self.bench.layouts.sweep();
    }

    fn add(&mut self, now: Now, spec: Arc<TargetSpec>) -> TargetId {
        let target = Active::new(spec, &self.options);
        let slot = target.schedule.at_or_after(now.wall);
        let id = self.insert(target);
        self.set_due(id, slot);
        id
    }

    fn insert(&mut self, target: Active) -> TargetId {
        let id = TargetId(self.next_id);
        self.next_id = self.next_id.checked_add(1).expect("fewer than 2^32 targets in a run");
        self.by_address.insert(address(&target.spec), id);
        self.by_identity.insert(target.identity, id);
        self.targets.insert(id, target);
        id
    }

    fn forget(&mut self, id: TargetId) -> Option<Active> {
        let target = self.targets.remove(&id)?;
        self.by_identity.remove(&target.identity);
        self.by_address.remove(&address(&target.spec));
        Some(target)
    }

    fn keep(&mut self, now: Now, id: TargetId, spec: Arc<TargetSpec>) {
        let Some(target) = self.targets.get_mut(&id) else { return };
        let departure = self.departures.remove(&id);
        if let Some(departure) = departure {
            self.leaving.remove(&(departure.at, id));
        }
        let interval_changed = target.spec.interval_ms != spec.interval_ms;
        if !Arc::ptr_eq(&target.spec, &spec) {
            self.by_address.remove(&address(&target.spec));
            self.by_address.insert(address(&spec), id);
            if target.spec == spec {
                target.spec = spec;
            } else {
                target.change(spec, &self.options);
            }
        }
        let flying = matches!(target.turn, Turn::InFlight(_));
        if !flying && (departure.is_some() || interval_changed) {
            let slot = target.schedule.at_or_after(now.wall);
            self.set_due(id, slot);
        }
    }

    fn leave(&mut self, now: Now, id: TargetId) {
        let Some(target) = self.targets.get_mut(&id) else { return };
        let slot = target.schedule.at_or_after(now.wall);
        if let Turn::Due(due) = target.turn {
            self.due.remove(&(due, id));
        }
        if !matches!(target.turn, Turn::InFlight(_)) {
            target.turn = Turn::Idle;
        }
        let interval_ms = target.spec.interval_ms;
        let wait_ms = interval_ms.saturating_add(interval_ms / 10);
        let at = self.clock.tick_of(slot).max(now.tick).after_ms(wait_ms);
        self.departures.insert(id, Departure { at, slot });
        self.leaving.insert((at, id));
    }

    fn set_due(&mut self, id: TargetId, slot: Slot) {
        let Some(target) = self.targets.get_mut(&id) else { return };
        if let Turn::Due(before) = target.turn {
            self.due.remove(&(before, id));
        }
        target.turn = Turn::Due(slot);
        self.due.insert((slot, id));
    }

    /// Begins the scrapes that are due, and ends the series of targets that are gone.
    pub fn on_due(&mut self, now: Now, out: &mut Out<'_>) {
        self.observe(now);
        while let Some((slot, id)) = self.first_due(now.tick) {
            self.due.remove(&(slot, id));
            self.waiting.push_back((slot, id));
            if let Some(target) = self.targets.get_mut(&id) {
                target.turn = Turn::Waiting(slot);
            }
        }
        while let Some((at, id)) = self.leaving.first().copied().filter(|(at, _)| *at <= now.tick) {
            self.leaving.remove(&(at, id));
            self.remove(now, id, out);
        }
        self.begin_waiting(now, out);
    }

    fn first_due(&self, until: Tick) -> Option<(Slot, TargetId)> {
        let first = self.due.first().copied();
        first.filter(|(slot, _)| self.clock.tick_of(*slot) <= until)
    }

    /// Takes what a fetch gave, and begins what waited for it to end.
    pub fn on_fetched(&mut self, now: Now, ended: Ended<'_>, out: &mut Out<'_>) {
        self.observe(now);
        let (id, slot) = (ended.target, ended.slot);
        let target = self.targets.get_mut(&id);
        let Some(target) = target.filter(|target| target.turn == Turn::InFlight(slot)) else {
            self.counters.fetches_orphaned += 1;
            return;
        };
        target.turn = Turn::Idle;
        self.in_flight = self.in_flight.checked_sub(1).expect("SC1: a fetch was out");
        let late = ended.timings.began.tick.since(self.clock.tick_of(slot));
        self.counters.lateness.observe(seconds(late));
        let mut pass = Pass {
            now,
            options: &self.options,
            store: out.store,
            exemplars: &mut self.exemplars,
            notices: &mut self.notices,
            counters: &mut self.counters,
            position: &mut self.position,
            effects: out.effects,
        };
        target.finish(slot, ended.outcome, ended.timings, &mut self.bench, &mut pass);
        if !self.departures.contains_key(&id) {
            let next = target.schedule.after(slot, now.wall);
            self.set_due(id, next);
        }
        self.begin_waiting(now, out);
    }

    /// Begins scrapes of waiting targets while there is room.
    fn begin_waiting(&mut self, now: Now, out: &mut Out<'_>) {
        while self.in_flight < self.options.in_flight_max {
            let Some((slot, id)) = self.waiting.pop_front() else { return };
            let waits = |target: &&mut Active| target.turn == Turn::Waiting(slot);
            let Some(target) = self.targets.get_mut(&id).filter(waits) else { continue };
            let latest = target.schedule.latest(slot, now.wall);
            self.counters.skipped_slots += target.schedule.between(slot, latest);
            if let Some(text) = target.spec.forced_error.clone() {
                self.fail(now, id, latest, text, out);
                continue;
            }
            target.turn = Turn::InFlight(latest);
            self.in_flight += 1;
            out.fetches.push(Fetch {
                target: id,
                slot: latest,
                deadline: now.tick.after_ms(target.spec.timeout_ms),
                request: target.request.clone(),
            });
        }
        assert!(self.in_flight <= self.options.in_flight_max, "SC1: {} in flight", self.in_flight);
    }

    /// Fails the scrape of a target that must not be scraped.
    fn fail(&mut self, now: Now, id: TargetId, slot: Slot, text: Arc<str>, out: &mut Out<'_>) {
        let Some(target) = self.targets.get_mut(&id) else { return };
        let mut pass = Pass {
            now,
            options: &self.options,
            store: out.store,
            exemplars: &mut self.exemplars,
            notices: &mut self.notices,
            counters: &mut self.counters,
            position: &mut self.position,
            effects: out.effects,
        };
        let timings = Timings { began: now, ..Timings::default() };
        target.fail(slot, text, timings, &mut self.bench, &mut pass);
        let next = target.schedule.after(slot, now.wall);
        self.set_due(id, next);
    }

    /// Ends the series of a target that left.
    fn remove(&mut self, now: Now, id: TargetId, out: &mut Out<'_>) {
        let departure = self.departures.remove(&id);
        let Some((mut target, departure)) = self.forget(id).zip(departure) else { return };
        if matches!(target.turn, Turn::InFlight(_)) {
            // Its answer finds nobody and is counted.
            self.in_flight = self.in_flight.checked_sub(1).expect("SC1: a fetch was out");
        }
        let mut pass = Pass {
            now,
            options: &self.options,
            store: out.store,
            exemplars: &mut self.exemplars,
            notices: &mut self.notices,
            counters: &mut self.counters,
            position: &mut self.position,
            effects: out.effects,
        };
        target.end(departure.slot, &mut self.bench, &mut pass);
    }

    /// Hands over targets that make up `share`, those whose next slot is farthest first. Their
    /// series do not end here: whoever takes them goes on.
    pub fn release(&mut self, now: Now, share: Share, store: &Store) -> Handed {
        self.observe(now);
        let load = |target: &Active| {
            number(target.series() as u64) / number(target.spec.interval_ms.max(1))
        };
        let total: f64 = self.targets.values().map(load).sum();
        let wanted = share.part.clamp(0.0, 1.0) * total;
        let soonest = now.tick.after_ms(HANDOVER_AHEAD_MS);
        let far = |(slot, _): &&(Slot, TargetId)| soonest <= self.clock.tick_of(*slot);
        let candidates: Vec<(Slot, TargetId)> =
            self.due.iter().rev().take_while(far).copied().collect();
        let (mut handed, mut taken, mut series) = (Handed::default(), 0.0, 0);
        for (slot, id) in candidates {
            let target = &self.targets[&id];
            let (more, more_series) = (load(target), target.series());
            let fits = taken + more <= wanted && series + more_series <= share.series_max;
            if more_series == 0 || !fits || !target.is_movable() {
                continue;
            }
            handed.targets.push(target.hand_over(slot, store));
            (taken, series) = (taken + more, series + more_series);
            self.due.remove(&(slot, id));
            self.forget(id);
            self.counters.handed_over += 1;
        }
        handed.part = if total == 0.0 { 0.0 } else { taken / total };
        handed
    }

    /// Takes over a target of another shard.
    ///
    /// # Errors
    /// Storage has no room for it; it is given back.
    pub fn adopt(
        &mut self,
        now: Now,
        handover: Handover,
        store: &mut Store,
    ) -> Result<(), Handover> {
        self.observe(now);
        let identity = handover.spec.identity();
        if let Some(id) = self.by_identity.get(&identity).copied() {
            // A list of targets named it in the meantime.
            self.keep(now, id, handover.spec);
            return Ok(());
        }
        let Ok(target) = Active::adopt(&handover, &self.options, store) else {
            return Err(handover);
        };
        let id = self.insert(target);
        self.set_due(id, handover.slot);
        self.counters.adopted += 1;
        Ok(())
    }

    /// Takes a reading of the clocks; when the wall clock was set, the slots are counted anew.
    fn observe(&mut self, now: Now) {
        if !self.clock.observe(now) {
            return;
        }
        self.counters.clock_jumps += 1;
        let idle: Vec<TargetId> = self.due.iter().map(|(_, id)| *id).collect();
        for id in idle {
            let slot = self.targets[&id].schedule.at_or_after(now.wall);
            self.set_due(id, slot);
        }
    }

    /// When [`Scraper::on_due`] is wanted next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Tick> {
        let due = self.due.first().map(|(slot, _)| self.clock.tick_of(*slot));
        let leaving = self.leaving.first().map(|(at, _)| *at);
        due.into_iter().chain(leaving).min()
    }

    /// Position of the newest row: when it is durable, every row is.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        self.position
    }

    /// Fetches that are out.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Exemplars of the series asked for.
    #[must_use]
    pub fn exemplars(&self, wanted: &ExemplarRequest) -> Vec<SeriesExemplars> {
        self.exemplars.select(wanted)
    }

    /// What logs are to say of the scrapes since this was asked last.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        self.notices.take()
    }

    /// States of all targets that are not leaving, by job, then URL.
    #[must_use]
    pub fn statuses(&self) -> Vec<TargetStatus> {
        let here = |(id, _): &(&TargetId, &Active)| !self.departures.contains_key(id);
        let mut statuses: Vec<TargetStatus> =
            self.targets.iter().filter(here).map(|(_, target)| target.status()).collect();
        statuses
            .sort_by_cached_key(|status| (status.spec.job.clone(), status.spec.url.to_string()));
        statuses
    }

    /// Reports the counters until `now`.
    pub fn collect(&self, now: Tick, into: &mut Collected) {
        self.counters.collect(now, self.options.shard, into);
        self.exemplars.collect(into);
        let help = "Notices for logs that were lost because too many waited.";
        into.counter("cresset_scrape_notices_lost_total", help, &[], number(self.notices.lost()));
        let mut pools: BTreeMap<&str, u64> = BTreeMap::new();
        for (id, target) in &self.targets {
            if !self.departures.contains_key(id) {
                *pools.entry(&target.spec.job).or_default() += 1;
            }
        }
        for (pool, targets) in pools {
            into.gauge(
                "prometheus_target_scrape_pool_targets",
                "Current number of targets in this scrape pool.",
                &[("scrape_job", pool)],
                number(targets),
            );
        }
        let gauges = [
            ("cresset_scrape_in_flight", "Fetches that are out.", self.in_flight),
            ("cresset_scrape_waiting", "Targets that wait for room.", self.waiting.len()),
            ("cresset_scrape_leaving", "Targets that are gone and not ended.", self.leaving.len()),
            ("cresset_scrape_layouts", "Layouts in memory.", self.bench.layouts.len()),
        ];
        for (name, help, value) in gauges {
            into.gauge(name, help, &[], number(value as u64));
        }
        into.memory("targets", self.heap_bytes() as u64);
    }

    /// Bytes of memory, specifications left out.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let target = |target: &Active| target.heap_bytes() + size_of::<(TargetId, Active)>();
        self.targets.values().map(target).sum::<usize>() + self.bench.heap_bytes()
    }

    /// Asserts what must hold between any two events.
    ///
    /// # Panics
    /// An invariant is broken.
    pub fn check(&self) {
        let flies = |target: &&Active| matches!(target.turn, Turn::InFlight(_));
        let out = self.targets.values().filter(flies).count();
        assert!(out == self.in_flight, "SC1: {out} fetches out, {} counted", self.in_flight);
        let (held, known) = (self.targets.len(), self.by_address.len());
        assert!(held == known, "{held} targets, {known} addresses of specifications");
        for (id, target) in &self.targets {
            let in_place = match target.turn {
                Turn::Idle => self.departures.contains_key(id),
                Turn::Due(slot) => self.due.contains(&(slot, *id)),
                Turn::Waiting(slot) => self.waiting.contains(&(slot, *id)),
                Turn::InFlight(_) => true,
            };
            assert!(in_place, "SC2: target {} is lost: {:?}", id.0, target.turn);
        }
    }
}
