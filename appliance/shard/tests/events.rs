//! Whole shards on a machine that does everything at once, or never.

use std::sync::Arc;

use model::label_set::LabelSet;
use model::matcher::{MatchOp, Matcher};
use model::time::{NANOS_PER_MS, Now, Tick, TimestampMs};
use scrape::fetch::{Fetch, FetchFault, Fetched, Timings};
use scrape::job::{JobOptions, target};
use scrape::target::TargetSpec;
use shard::effect::{Answer, Effect};
use shard::event::{Event, Question, RequestId};
use shard::options::Options;
use shard::shard::Shard;
use storage::compaction::Aggregate;
use storage::effect::{Effect as StorageEffect, Event as StorageEvent, FileAnswer};
use storage::options::Options as StoreOptions;
use storage::selection::{LabelRequest, SelectRequest};
use storage::store::Store;

/// A shard, the time, and what it did.
struct Bed {
    shard: Shard,
    tick: u64,
    armed: Option<Tick>,
    fetches: Vec<Fetch>,
    answers: Vec<Answer>,
    stopped: bool,
    /// Whether the disk answers.
    disk: bool,
    trace: String,
}

impl Bed {
    fn new(disk: bool) -> Bed {
        let store = Store::new(StoreOptions::default());
        let shard = Shard::new(Options::default(), store);
        let mut bed = Bed {
            shard,
            tick: 0,
            armed: None,
            fetches: Vec::new(),
            answers: Vec::new(),
            stopped: false,
            disk,
            trace: String::new(),
        };
        bed.give(Event::Due);
        bed
    }

    fn now(&self) -> Now {
        let ms = i64::try_from(self.tick / NANOS_PER_MS).expect("a short test");
        Now { tick: Tick(self.tick), wall: TimestampMs(1_700_000_000_000 + ms) }
    }

    /// Gives an event and performs its effects, and theirs.
    fn give(&mut self, event: Event<'_>) {
        let mut effects = Vec::new();
        let now = self.now();
        self.shard.on_event(now, event, &mut effects);
        for effect in effects {
            self.trace.push_str(&format!("{} {effect:?}\n", self.tick));
            match effect {
                Effect::Fetch(fetch) => self.fetches.push(fetch),
                Effect::Storage(effect) => self.store(effect),
                Effect::Arm(tick) => self.armed = Some(tick),
                Effect::Reply { answer, .. } => self.answers.push(answer),
                Effect::Stopped => self.stopped = true,
            }
        }
    }

    fn store(&mut self, effect: StorageEffect) {
        if !self.disk {
            return;
        }
        let event = match effect {
            StorageEffect::Log(write) => StorageEvent::LogDurable { position: write.position },
            StorageEffect::LogPrepare(segment) => StorageEvent::LogPrepared { segment },
            StorageEffect::LogRetire(_) | StorageEffect::Compact(_) => return,
            StorageEffect::File(request) => {
                StorageEvent::FileDone { id: request.id, result: Ok(FileAnswer::Done) }
            }
        };
        self.give(Event::Storage(event));
    }

    /// Lets time pass up to the armed tick.
    fn wait(&mut self) {
        let armed = self.armed.take().expect("something is armed");
        self.tick = self.tick.max(armed.0);
        self.give(Event::Due);
    }

    fn wait_for_fetch(&mut self) -> Fetch {
        while self.fetches.is_empty() {
            self.wait();
        }
        self.fetches.remove(0)
    }

    fn answer_fetch(&mut self, fetch: &Fetch, body: &str) {
        let fetched = Fetched {
            status: 200,
            content_type: "text/plain",
            body: body.as_bytes(),
            wire_bytes: body.len() as u64,
        };
        self.end_fetch(fetch, Ok(fetched));
    }

    fn end_fetch(&mut self, fetch: &Fetch, outcome: Result<Fetched<'_>, FetchFault>) {
        let timings = Timings { began: self.now(), total_ns: 1_000_000, ..Timings::default() };
        self.tick += 1_000_000;
        let (target, slot) = (fetch.target, fetch.slot);
        self.give(Event::Fetched { target, slot, outcome, timings });
    }

    fn ask(&mut self, question: Question) -> Answer {
        self.give(Event::Ask { request: RequestId(1), question });
        self.answers.pop().expect("every question is answered at once")
    }
}

fn specs(addresses: &[&str]) -> Vec<Arc<TargetSpec>> {
    let job = JobOptions::new("test", 10_000, 8_000);
    let spec = |address: &&str| {
        let found = LabelSet::new([("__address__", *address)]);
        Arc::new(target(&job, &found).expect("a good target").expect("no rule drops it"))
    };
    addresses.iter().map(spec).collect()
}

fn everything() -> LabelRequest {
    LabelRequest { matcher_sets: Vec::new(), from: TimestampMs::MIN, to: TimestampMs::MAX }
}

fn all(series_max: usize) -> Question {
    let named = Matcher::new("__name__", MatchOp::Regex, ".+").expect("a good pattern");
    Question::Select(SelectRequest {
        matchers: vec![named],
        after: TimestampMs::MIN,
        until: TimestampMs::MAX,
        series_max,
        aggregate: Aggregate::default(),
    })
}

#[test]
fn questions_are_answered_at_once() {
    let mut bed = Bed::new(true);
    bed.give(Event::Targets(specs(&["a:1", "b:1"])));
    let fetch = bed.wait_for_fetch();
    bed.answer_fetch(&fetch, "m{x=\"1\"} 1\n");
    let Answer::Select(Ok(series)) = bed.ask(all(100)) else { panic!("a selection") };
    assert_eq!(series.series.len(), 6);
    let Answer::Select(Err(_)) = bed.ask(all(5)) else { panic!("too many series") };
    let name = "x".to_owned();
    let wanted = everything();
    let Answer::LabelValues(values) = bed.ask(Question::LabelValues { name, wanted }) else {
        panic!("values")
    };
    assert_eq!(values, ["1"]);
    let Answer::LabelNames(names) = bed.ask(Question::LabelNames(everything())) else {
        panic!("names")
    };
    assert_eq!(names, ["__name__", "instance", "job", "x"]);
    let Answer::Targets(targets) = bed.ask(Question::Targets) else { panic!("targets") };
    assert_eq!(targets.len(), 2);
    let Answer::Stats(stats) = bed.ask(Question::Stats) else { panic!("stats") };
    assert_eq!(stats.series, 6);
    let Answer::Metrics(metrics) = bed.ask(Question::Metrics) else { panic!("metrics") };
    assert!(metrics.to_text().contains("cresset_shard_questions_total 7"));
}

#[test]
fn sh1_a_deadline_ahead_is_armed() {
    let mut bed = Bed::new(true);
    bed.give(Event::Targets(specs(&["a:1", "b:1", "c:1"])));
    for _ in 0..200 {
        let due = [bed.shard.store().next_deadline(), bed.shard.scraper().next_deadline()];
        let due = due.into_iter().flatten().min().expect("scrapes are due");
        assert!(bed.armed.is_some_and(|armed| armed <= due.max(Tick(bed.tick))));
        bed.wait();
        for fetch in std::mem::take(&mut bed.fetches) {
            bed.answer_fetch(&fetch, "m 1\n");
        }
    }
}

#[test]
fn sh2_a_stop_waits_for_the_open_commit_and_ends_everything() {
    let mut bed = Bed::new(true);
    bed.give(Event::Targets(specs(&["a:1"])));
    let fetch = bed.wait_for_fetch();
    bed.answer_fetch(&fetch, "m 1\n");
    let (position, durable) = (bed.shard.scraper().position(), bed.shard.store().durable());
    assert!(durable < position, "the commit is open");
    bed.give(Event::Stop);
    assert!(bed.stopped);
    assert!(position <= bed.shard.store().durable());
    let trace = bed.trace.clone();
    bed.give(Event::Due);
    bed.give(Event::Ask { request: RequestId(2), question: Question::Targets });
    assert_eq!(bed.trace, trace);
}

#[test]
fn a_stop_gives_up_on_a_disk_that_hangs() {
    let mut bed = Bed::new(false);
    bed.give(Event::Targets(specs(&["a:1"])));
    let fetch = bed.wait_for_fetch();
    bed.answer_fetch(&fetch, "m 1\n");
    bed.give(Event::Stop);
    assert!(!bed.stopped);
    let begun = bed.tick;
    while !bed.stopped {
        bed.wait();
    }
    assert_eq!(bed.tick - begun, 10_000 * NANOS_PER_MS);
}

#[test]
fn a_stopping_shard_scrapes_no_more() {
    let mut bed = Bed::new(false);
    bed.give(Event::Targets(specs(&["a:1", "b:1"])));
    let fetch = bed.wait_for_fetch();
    bed.answer_fetch(&fetch, "m 1\n");
    bed.give(Event::Stop);
    bed.fetches.clear();
    while !bed.stopped {
        bed.wait();
    }
    assert!(bed.fetches.is_empty());
}

#[test]
fn the_same_events_give_the_same_effects() {
    let run = || {
        let mut bed = Bed::new(true);
        bed.give(Event::Targets(specs(&["a:1", "b:1", "c:1", "d:1", "e:1"])));
        let mut round = 0;
        for _ in 0..300 {
            bed.wait();
            for fetch in std::mem::take(&mut bed.fetches) {
                round += 1;
                match round % 7 {
                    0 => bed.end_fetch(&fetch, Err(FetchFault::Deadline)),
                    3 => bed.answer_fetch(&fetch, &format!("m{{r=\"{round}\"}} 1\nn 2 1000\n")),
                    _ => bed.answer_fetch(&fetch, &format!("m {round}\nn 2\n")),
                }
            }
            if round == 20 {
                bed.give(Event::Targets(specs(&["a:1", "c:1", "f:1"])));
            }
        }
        let Answer::Metrics(metrics) = bed.ask(Question::Metrics) else { panic!("metrics") };
        (bed.trace, metrics.to_text())
    };
    let (one, other) = (run(), run());
    assert!(500 < one.0.lines().count(), "{} effects", one.0.lines().count());
    assert_eq!(one, other);
}
