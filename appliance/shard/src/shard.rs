//! Shard: the order in which one core's events are met.
//!
//! Path: the machine's loop → **shard** → `scrape`, `storage` → effects → the machine.
//! Owns: the scraper and the store of this core, and the one armed deadline.
//! Never: waits; a question is answered before the event's handling ends.
//!
//! Invariants
//! - SH1: while a deadline is ahead, the armed tick is not later than it.
//! - SH2: after `Stopped` there are no effects.

use exposition::metrics::Collected;
use model::time::{Now, Tick};
use scrape::exemplars::{Exemplar, ExemplarRequest, SeriesExemplars};
use scrape::fetch::Fetch;
use scrape::handover::{Handed, Handover, Share};
use scrape::scraper::{Ended, Out, Scraper};
use storage::effect::{Effect as StorageEffect, Event as StorageEvent};
use storage::selection::{LabelRequest, Rest, SelectRequest};
use storage::store::Store;

use crate::effect::{Answer, Effect};
use crate::event::{Event, Question};
use crate::options::Options;
use crate::push::Pusher;

/// Entries of each table of `Stats`: the most that `/api/v1/status/tsdb` may ask for is cut from
/// it.
const STATS_TOP: usize = 10_000;
/// Texts about metric families that one answer has: more than the store's bound on their bytes lets
/// in.
const FAMILIES_MAX: usize = 1 << 20;

/// Whether the shard works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// Until everything appended is durable, or this tick.
    Stopping(Tick),
    Stopped,
}

/// One core's targets and samples.
pub struct Shard {
    options: Options,
    scraper: Scraper,
    store: Store,
    pusher: Pusher,
    phase: Phase,
    armed: Option<Tick>,
    /// Scratch, empty between events.
    fetches: Vec<Fetch>,
    /// Scratch, empty between events.
    storage: Vec<StorageEffect>,
    events: u64,
    questions: u64,
}

impl Shard {
    /// A shard without targets over `store`. Its first event should be `Due`, which starts the
    /// store.
    #[must_use]
    pub fn new(options: Options, store: Store) -> Shard {
        Shard {
            scraper: Scraper::new(options.scrape.clone()),
            options,
            store,
            pusher: Pusher::default(),
            phase: Phase::Running,
            armed: None,
            fetches: Vec::new(),
            storage: Vec::new(),
            events: 0,
            questions: 0,
        }
    }

    /// Meets one event; what is to be done is appended to `effects`.
    pub fn on_event(&mut self, now: Now, event: Event<'_>, effects: &mut Vec<Effect>) {
        let (stopped, before) = (self.phase == Phase::Stopped, effects.len());
        if !stopped {
            self.meet(now, event, effects);
        }
        assert!(!stopped || effects.len() == before, "SH2: effects after the end");
    }

    fn meet(&mut self, now: Now, event: Event<'_>, effects: &mut Vec<Effect>) {
        self.events += 1;
        match event {
            Event::Targets(specs) => self.scraper.apply(now, specs),
            Event::Fetched { target, slot, outcome, timings } => {
                self.on_fetched(now, Ended { target, slot, outcome, timings });
            }
            Event::Due => self.on_due(now),
            Event::Storage(event) => self.store.on_event(now, event, &mut self.storage),
            Event::Pace(pace) => self.store.pace(pace.age_ms, pace.bytes),
            Event::Ask { request, question } => {
                self.questions += 1;
                match question {
                    Question::Push(batch) => {
                        let (store, storage) = (&mut self.store, &mut self.storage);
                        self.pusher.push(now, request, &batch, store, storage);
                    }
                    question => {
                        let answer = self.answer(now, question);
                        effects.push(Effect::Reply { request, answer });
                    }
                }
            }
            Event::Stop => self.stop(now),
        }
        self.give_out(effects);
        self.pusher.settle(self.store.durable(), effects);
        self.arm(now, effects);
        self.end(now, effects);
    }

    fn on_fetched(&mut self, now: Now, ended: Ended<'_>) {
        if self.phase != Phase::Running {
            return;
        }
        let mut out =
            Out { store: &mut self.store, fetches: &mut self.fetches, effects: &mut self.storage };
        self.scraper.on_fetched(now, ended, &mut out);
    }

    fn on_due(&mut self, now: Now) {
        self.armed = None;
        // A fresh store has no deadline: the first `Due` of all starts it.
        if self.events == 1 || self.store.next_deadline().is_some_and(|due| due <= now.tick) {
            self.store.on_event(now, StorageEvent::Due, &mut self.storage);
        }
        if self.phase == Phase::Running {
            let mut out = Out {
                store: &mut self.store,
                fetches: &mut self.fetches,
                effects: &mut self.storage,
            };
            self.scraper.on_due(now, &mut out);
        }
    }

    fn stop(&mut self, now: Now) {
        if self.phase == Phase::Running {
            self.phase = Phase::Stopping(now.tick.after_ms(self.options.stop_grace_ms));
            self.store.flush(now, &mut self.storage);
        }
    }

    fn answer(&mut self, now: Now, question: Question) -> Answer {
        match question {
            Question::Select(request) => self.select(request, None),
            Question::SelectMore(more) => self.select(more.0, Some(more.1)),
            Question::LabelValues { name, wanted } => {
                Answer::LabelValues(self.store.label_values(&name, &wanted))
            }
            Question::LabelNames(wanted) => Answer::LabelNames(self.store.label_names(&wanted)),
            Question::Blocks { from, to } => Answer::Blocks(self.store.blocks(from, to)),
            Question::MayDelete => Answer::Delete(self.store.may_delete().map(|()| 0)),
            Question::Delete { matchers, from, to } => {
                let deleted = self.store.delete(matchers, from, to);
                self.store.on_event(now, StorageEvent::Due, &mut self.storage);
                Answer::Delete(deleted)
            }
            Question::Deleted => Answer::Deleted(self.store.deleted()),
            Question::CleanTombstones => {
                self.store.clean_tombstones();
                self.store.on_event(now, StorageEvent::Due, &mut self.storage);
                Answer::Deleted(self.store.deleted())
            }
            Question::Configure(options) => {
                self.store.configure(&options);
                Answer::Deleted(self.store.deleted())
            }
            Question::Usage => Answer::Usage(Box::new(self.store.usage())),
            Question::Lease(leases) => {
                self.store.lease(*leases);
                Answer::Deleted(self.store.deleted())
            }
            Question::Targets => Answer::Targets(self.scraper.statuses()),
            Question::Release(share) => Answer::Released(Box::new(self.release(now, share))),
            Question::Adopt(targets) => Answer::Adopted(self.adopt(now, targets)),
            Question::Exemplars(wanted) => {
                let pushed = pushed_exemplars(&self.store, &wanted);
                Answer::Exemplars(merged(self.scraper.exemplars(&wanted), pushed))
            }
            Question::PushedMetadata => {
                Answer::PushedMetadata(self.store.metadata(None, FAMILIES_MAX))
            }
            Question::Notices => Answer::Notices(self.scraper.take_notices()),
            Question::Stats => Answer::Stats(Box::new(self.store.stats(STATS_TOP))),
            Question::Metrics => Answer::Metrics(Box::new(self.collect(now.tick))),
            Question::Push(_) => unreachable!("a push is answered when it is durable"),
        }
    }

    fn select(&self, mut request: SelectRequest, rest: Option<Rest>) -> Answer {
        request.series_max = request.series_max.min(self.options.select_series_max);
        Answer::Select(self.store.select_page(&request, rest, self.options.select_page_series))
    }

    /// A shard that ends hands nothing over: its rows would go on elsewhere.
    fn release(&mut self, now: Now, share: Share) -> Handed {
        match self.phase {
            Phase::Running => self.scraper.release(now, share, &self.store),
            Phase::Stopping(_) | Phase::Stopped => Handed::default(),
        }
    }

    /// Those that could not be taken.
    fn adopt(&mut self, now: Now, targets: Vec<Handover>) -> Vec<Handover> {
        if self.phase != Phase::Running {
            return targets;
        }
        let adopt = |target| self.scraper.adopt(now, target, &mut self.store).err();
        targets.into_iter().filter_map(adopt).collect()
    }

    fn collect(&self, now: Tick) -> Collected {
        let mut collected = Collected::default();
        self.scraper.collect(now, &mut collected);
        self.store.collect(&mut collected);
        self.pusher.collect(&mut collected);
        for (name, help, value) in [
            ("cresset_shard_events_total", "Events met.", self.events),
            ("cresset_shard_questions_total", "Questions answered.", self.questions),
        ] {
            collected.counter(name, help, &[], scrape::metrics::number(value));
        }
        collected
    }

    fn give_out(&mut self, effects: &mut Vec<Effect>) {
        effects.extend(self.storage.drain(..).map(Effect::Storage));
        if self.phase == Phase::Running {
            effects.extend(self.fetches.drain(..).map(Effect::Fetch));
        }
        self.fetches.clear();
    }

    /// Arms the next deadline, when it is another than the armed one.
    fn arm(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let next = self.next_deadline();
        let Some(next) = next.map(|next| next.max(now.tick)) else { return };
        if self.armed != Some(next) {
            self.armed = Some(next);
            effects.push(Effect::Arm(next));
        }
        assert!(self.armed.is_some_and(|armed| armed <= next), "SH1: armed later than {next:?}");
    }

    fn next_deadline(&self) -> Option<Tick> {
        let (scraper, grace) = match self.phase {
            Phase::Running => (self.scraper.next_deadline(), None),
            Phase::Stopping(grace) => (None, Some(grace)),
            Phase::Stopped => return None,
        };
        [self.store.next_deadline(), scraper, grace].into_iter().flatten().min()
    }

    /// Stops when everything that was appended is durable, or when that takes too long.
    fn end(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Phase::Stopping(grace) = self.phase else { return };
        let durable = self.scraper.position() <= self.store.durable() && self.pusher.is_settled();
        if durable || grace <= now.tick {
            self.phase = Phase::Stopped;
            effects.push(Effect::Stopped);
        }
    }

    /// The store, for those who check it.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The scraper, for those who check it.
    #[must_use]
    pub fn scraper(&self) -> &Scraper {
        &self.scraper
    }

    /// The armed tick, for those who check it.
    #[must_use]
    pub fn armed(&self) -> Option<Tick> {
        self.armed
    }

    /// Whether `Stopped` was given.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.phase == Phase::Stopped
    }
}

/// What was pushed of the exemplars asked for.
fn pushed_exemplars(store: &Store, wanted: &ExemplarRequest) -> Vec<SeriesExemplars> {
    let ExemplarRequest { matcher_sets, from, to } = wanted.clone();
    // The ring bounds how many series can have some.
    let found = store.exemplars(&LabelRequest { matcher_sets, from, to }, usize::MAX);
    let found = found.unwrap_or_default().into_iter();
    let exemplar = |one: storage::exemplars::Exemplar| Exemplar {
        labels: one.labels,
        value: one.value,
        timestamp: one.timestamp,
    };
    let series = found.map(|series| SeriesExemplars {
        labels: series.labels,
        exemplars: series.exemplars.into_iter().map(exemplar).collect(),
    });
    series.collect()
}

/// Both lists, each by labels, as one; exemplars of a series that is in both by time.
fn merged(scraped: Vec<SeriesExemplars>, pushed: Vec<SeriesExemplars>) -> Vec<SeriesExemplars> {
    let mut all: Vec<SeriesExemplars> = scraped.into_iter().chain(pushed).collect();
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    all.dedup_by(|later, first| {
        let same = later.labels == first.labels;
        if same {
            first.exemplars.append(&mut later.exemplars);
            first.exemplars.sort_by_key(|exemplar| exemplar.timestamp);
        }
        same
    });
    all
}
