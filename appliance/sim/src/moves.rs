//! Moves: two shards that hand targets to each other, beside one that keeps them all.
//!
//! The three are given the same answers at the same times. What the two have together must be what
//! the one has, sample by sample, staleness markers too: a target that moves loses no slot, and its
//! series go on as if nothing had happened. Disks answer for the log only, so that every tile stays
//! in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use exposition::metrics::Collected;
use model::label_set::LabelSet;
use model::matcher::{MatchOp, Matcher};
use model::samples::Samples;
use model::time::{NANOS_PER_MS, Now, Tick, TimestampMs};
use scrape::fetch::{Fetch, Fetched, Timings};
use scrape::handover::{Handover, Share};
use scrape::target::TargetSpec;
use shard::effect::{Answer, Effect};
use shard::event::{Event, Question, RequestId};
use shard::options::Options;
use shard::shard::Shard;
use storage::compaction::Aggregate;
use storage::effect::{Effect as StorageEffect, Event as StorageEvent};
use storage::options::Options as StoreOptions;
use storage::selection::{SelectRequest, TileCache};
use storage::store::Store;

use crate::disk::Disk;
use crate::network::{Place, Response};
use crate::prng::Prng;

/// Wall clock at the first tick, milliseconds.
const WALL_START_MS: i64 = 1_790_000_000_000;
/// How long a world lasts, milliseconds.
const LASTS_MS: u64 = 120_000;
/// Longest time that a target is between two shards, milliseconds; shorter than the time that a
/// shard leaves before the next slot of a target that it hands over.
const ON_THE_WAY_MS: u64 = 150;
/// The two that move, and the one that does not.
const SHARDS: usize = 3;
const MODEL: usize = 2;

/// Samples of a series: times, and values by their bits.
type Series = Vec<(i64, u64)>;

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Targets that were moved.
    pub moved: usize,
    /// Series that were compared.
    pub series: usize,
    /// Series that both shards have samples of.
    pub joined: usize,
}

/// What is to happen.
enum Pending {
    Fetched { shard: usize, fetch: Fetch, timings: Timings, response: Box<Response> },
    Arrive { shard: usize, targets: Vec<Handover> },
    Move,
    Change,
}

struct World {
    shards: Vec<Shard>,
    armed: Vec<Option<Tick>>,
    pending: BTreeMap<(Tick, u64), Pending>,
    sequence: u64,
    tick: Tick,
    chance: Prng,
    places: HashMap<String, Place>,
    /// Targets that are gone.
    gone: BTreeSet<String>,
    /// The shard that has a target, of the two.
    at: HashMap<String, usize>,
    on_the_way: usize,
    answers: Vec<Answer>,
    moved: usize,
}

/// Runs the world of `seed`.
///
/// # Errors
/// The two shards have not what the one has.
pub fn run(seed: u64) -> Result<Outcome, String> {
    let mut world = World::new(seed);
    world.turn()?;
    world.compare()
}

impl World {
    fn new(seed: u64) -> World {
        let mut chance = Prng::new(seed, "moves");
        let shard = |_| {
            let store = Store::new(StoreOptions::default());
            Shard::new(Options::default(), store)
        };
        let targets = chance.between(1, 12);
        let places = (0..targets).map(|number| Place::new(seed, number, true, false));
        let places: HashMap<String, Place> =
            places.map(|place| (place.spec.url.host.clone(), place)).collect();
        let mut world = World {
            shards: (0..SHARDS).map(shard).collect(),
            armed: vec![None; SHARDS],
            pending: BTreeMap::new(),
            sequence: 0,
            tick: Tick(NANOS_PER_MS),
            at: places.keys().map(|host| (host.clone(), 0)).collect(),
            places,
            gone: BTreeSet::new(),
            on_the_way: 0,
            answers: Vec::new(),
            moved: 0,
            chance,
        };
        for ms in (0..LASTS_MS).step_by(700) {
            let later = world.chance.below(700);
            let what = if world.chance.happens(150_000) { Pending::Change } else { Pending::Move };
            world.put(Tick((ms + later) * NANOS_PER_MS), what);
        }
        world
    }

    fn put(&mut self, tick: Tick, pending: Pending) {
        self.sequence += 1;
        self.pending.insert((tick.max(self.tick), self.sequence), pending);
    }

    fn now(&self) -> Now {
        let ms = i64::try_from(self.tick.0 / NANOS_PER_MS).unwrap_or(i64::MAX);
        Now { tick: self.tick, wall: TimestampMs(WALL_START_MS + ms) }
    }

    fn turn(&mut self) -> Result<(), String> {
        for shard in 0..SHARDS {
            self.give(shard, Event::Due);
        }
        self.give_targets();
        let end = Tick(LASTS_MS * NANOS_PER_MS);
        loop {
            let due = (0..SHARDS).filter_map(|shard| Some((self.armed[shard]?, shard))).min();
            let next = self.pending.first_key_value().map(|(key, _)| key.0);
            // A deadline of all three is met by all three at that tick, before anything else.
            match (due, next) {
                (Some((tick, shard)), next) if next.is_none_or(|next| tick <= next) => {
                    if end <= tick {
                        return Ok(());
                    }
                    self.tick = self.tick.max(tick);
                    self.armed[shard] = None;
                    self.give(shard, Event::Due);
                }
                (_, Some(_)) => {
                    let Some(((tick, _), pending)) = self.pending.pop_first() else { break };
                    if end <= tick {
                        return Ok(());
                    }
                    self.tick = tick;
                    self.happen(pending)?;
                }
                (_, None) => break,
            }
        }
        Ok(())
    }

    fn happen(&mut self, pending: Pending) -> Result<(), String> {
        match pending {
            Pending::Fetched { shard, fetch, timings, response } => {
                let outcome = match &response.outcome {
                    Ok((status, body)) => Ok(Fetched {
                        status: *status,
                        content_type: "text/plain",
                        body,
                        wire_bytes: body.len() as u64,
                    }),
                    Err(fault) => Err(fault.clone()),
                };
                let (target, slot) = (fetch.target, fetch.slot);
                self.give(shard, Event::Fetched { target, slot, outcome, timings });
                Ok(())
            }
            Pending::Move => self.hand_over(),
            Pending::Arrive { shard, targets } => {
                self.on_the_way -= 1;
                self.moved += targets.len();
                match self.ask(shard, Question::Adopt(targets))? {
                    Answer::Adopted(refused) if refused.is_empty() => Ok(()),
                    other => Err(format!("shard {shard} refused a target: {other:?}")),
                }
            }
            Pending::Change => {
                self.change();
                Ok(())
            }
        }
    }

    /// Some targets of one shard set out for the other.
    fn hand_over(&mut self) -> Result<(), String> {
        let from = usize::from(self.chance.happens(500_000));
        let to = 1 - from;
        #[expect(clippy::cast_precision_loss, reason = "a number of 0..=100")]
        let part = self.chance.between(1, 100) as f64 / 100.0;
        let share = Share { part, series_max: 200 };
        let Answer::Released(handed) = self.ask(from, Question::Release(share))? else {
            return Err("no answer to a release".to_owned());
        };
        if handed.targets.is_empty() {
            return Ok(());
        }
        for target in &handed.targets {
            self.at.insert(target.spec.url.host.clone(), to);
        }
        self.on_the_way += 1;
        let later = self.chance.below(ON_THE_WAY_MS) * NANOS_PER_MS;
        let arrives = Pending::Arrive { shard: to, targets: handed.targets };
        self.put(Tick(self.tick.0 + later), arrives);
        Ok(())
    }

    /// A target goes, or comes back; lists are not made while targets are on the way.
    fn change(&mut self) {
        if self.on_the_way != 0 {
            return;
        }
        let mut hosts: Vec<String> = self.places.keys().cloned().collect();
        hosts.sort();
        let at = usize::try_from(self.chance.below(hosts.len() as u64)).unwrap_or(0);
        let host = hosts.swap_remove(at);
        if !self.gone.remove(&host) {
            self.gone.insert(host);
        }
        self.give_targets();
    }

    fn give_targets(&mut self) {
        for shard in 0..SHARDS {
            let mut specs: Vec<(&String, &Arc<TargetSpec>)> = self
                .places
                .iter()
                .map(|(host, place)| (host, &place.spec))
                .filter(|(host, _)| !self.gone.contains(*host))
                .filter(|(host, _)| shard == MODEL || self.at[*host] == shard)
                .collect();
            specs.sort_by_key(|(host, _)| (*host).clone());
            let specs = specs.into_iter().map(|(_, spec)| Arc::clone(spec)).collect();
            self.give(shard, Event::Targets(specs));
        }
    }

    fn ask(&mut self, shard: usize, question: Question) -> Result<Answer, String> {
        self.give(shard, Event::Ask { request: RequestId(1), question });
        self.answers.pop().ok_or_else(|| format!("shard {shard} gave no answer"))
    }

    fn give(&mut self, number: usize, event: Event<'_>) {
        let mut effects = Vec::new();
        let now = self.now();
        self.shards[number].on_event(now, event, &mut effects);
        self.shards[number].scraper().check();
        for effect in effects {
            match effect {
                Effect::Fetch(fetch) => self.fetch(number, fetch),
                Effect::Storage(effect) => self.store(number, effect),
                Effect::Arm(tick) => self.armed[number] = Some(tick),
                Effect::Reply { answer, .. } => self.answers.push(answer),
                Effect::Stopped => {}
            }
        }
    }

    fn fetch(&mut self, shard: usize, fetch: Fetch) {
        let began = self.now();
        let response = Box::new(self.places[&fetch.request.host].fetch(began.wall.0));
        let total_ns = response.nanos;
        let timings = Timings { began, total_ns, ..Timings::default() };
        let ended = Tick(self.tick.0 + total_ns);
        self.put(ended, Pending::Fetched { shard, fetch, timings, response });
    }

    fn store(&mut self, shard: usize, effect: StorageEffect) {
        let event = match effect {
            StorageEffect::Log(write) => StorageEvent::LogDurable { position: write.position },
            StorageEffect::LogPrepare(segment) => StorageEvent::LogPrepared { segment },
            StorageEffect::LogRetire(_) | StorageEffect::Compact(_) | StorageEffect::File(_) => {
                return;
            }
        };
        self.give(shard, Event::Storage(event));
    }

    fn compare(&self) -> Result<Outcome, String> {
        for shard in 0..SHARDS {
            let skipped = "cresset_scrape_slots_skipped_total 0\n";
            let page = self.page(shard);
            if !page.contains(skipped) {
                return Err(format!("shard {shard} skipped slots:\n{page}"));
            }
        }
        let mut outcome = Outcome { moved: self.moved, ..Outcome::default() };
        let (one, other, expected) = (self.samples(0)?, self.samples(1)?, self.samples(MODEL)?);
        let mut found = one.clone();
        for (labels, series) in other {
            outcome.joined += usize::from(one.contains_key(&labels));
            let all = found.entry(labels).or_default();
            all.extend(series);
            all.sort_unstable();
        }
        outcome.series = expected.len();
        let told: BTreeSet<&LabelSet> = found.keys().chain(expected.keys()).collect();
        for labels in told {
            let (found, expected) = (found.get(labels), expected.get(labels));
            if found != expected {
                return Err(format!("{labels}:\n{found:?}\nand without moves\n{expected:?}"));
            }
        }
        Ok(outcome)
    }

    fn page(&self, shard: usize) -> String {
        let mut collected = Collected::default();
        self.shards[shard].scraper().collect(self.tick, &mut collected);
        collected.to_text()
    }

    fn samples(&self, shard: usize) -> Result<BTreeMap<LabelSet, Series>, String> {
        let named = Matcher::new("__name__", MatchOp::Regex, ".+").expect("a good pattern");
        let (after, until) = (TimestampMs::MIN, TimestampMs::MAX);
        let aggregate = Aggregate::default();
        let series_max = usize::MAX;
        let request = SelectRequest { matchers: vec![named], after, until, series_max, aggregate };
        let selected = self.shards[shard].store().select(&request);
        let (mut found, mut cache) = (BTreeMap::new(), TileCache::default());
        for series in selected.map_err(|error| error.to_string())?.series {
            let mut samples = Samples::default();
            let decoded = series.decode(&Disk::default(), &mut cache, after, until, &mut samples);
            decoded.map_err(|error| error.to_string())?;
            if !samples.is_empty() {
                let bits = samples.values.iter().map(|value| value.to_bits());
                let pairs = samples.timestamps_ms.iter().copied().zip(bits).collect();
                found.insert(series.labels, pairs);
            }
        }
        Ok(found)
    }
}
