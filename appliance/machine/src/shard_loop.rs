//! Shard loop: turns one shard: completions become events, effects become operations.
//!
//! Path: `reactor`, `mailbox` → **shard_loop** → `shard` → effects → `client`, `wal_thread`,
//! `segments`, `files`, `mailbox`.
//! Owns: the shard, its reactor, its client and its timer.
//! Never: waits for anything but its reactor, drops an effect.
//!
//! A turn takes a bounded number of messages and of fetches, so that none starves the other.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam::channel::{Sender, TrySendError};
use model::time::{NANOS_PER_MS, Now, Tick};
use scrape::fetch::FetchFault;
use shard::effect::{Answer, Effect};
use shard::event::{Event, RequestId};
use shard::shard::Shard;
use storage::disk_faults::DiskFaults;
use storage::effect::{Effect as StorageEffect, Event as StorageEvent};

use crate::client::Client;
use crate::client::active::Ended;
use crate::clock;
use crate::compactor;
use crate::files;
use crate::handle::Beat;
use crate::mailbox::{Done, Mailbox, Postbox, Reply};
use crate::measure::Measures;
use crate::operation::Completion;
use crate::pacer::{Lease, Strain};
use crate::reactor::Reactor;
use crate::segments;
use crate::wal_thread::{LogSender, Request as LogRequest};

/// Questions answered in one turn, and how long answers may take before a turn begins no other.
const ASKS_MAX: usize = 64;
const ASKS_NANOS_MAX: u64 = 2 * NANOS_PER_MS;
/// Results of background threads taken in one turn.
const DONE_MAX: usize = 256;
/// Ended fetches handed to the shard in one turn: about 2 ms of parsing.
const ENDED_MAX: usize = 64;
/// How often a disk that goes on failing is told of.
const TELL_EVERY_MS: u64 = 60_000;

/// What the loop needs of the rest of the machine.
pub(crate) struct Links {
    pub(crate) index: usize,
    pub(crate) mailbox: Mailbox,
    pub(crate) postbox: Postbox,
    pub(crate) log: LogSender,
    pub(crate) segments: Sender<segments::Request>,
    pub(crate) files: Sender<files::Request>,
    pub(crate) compactor: Sender<compactor::Request>,
    pub(crate) strain: Arc<Strain>,
    /// The pacer runs as long as any loop has one.
    #[expect(dead_code, reason = "it is dropped, which the pacer sees")]
    pub(crate) lease: Lease,
    pub(crate) client: Client,
    pub(crate) commit_deadline_ms: u64,
    pub(crate) beat: Arc<Beat>,
}

/// Something for a background thread whose queue was full.
enum Held {
    Log(LogRequest),
    Segments(segments::Request),
    Files(files::Request),
    Compact(compactor::Request),
}

/// One shard and everything that performs its effects.
pub(crate) struct ShardLoop {
    shard: Shard,
    reactor: Reactor,
    links: Links,
    armed: Option<Tick>,
    replies: HashMap<RequestId, Reply>,
    requests: u64,
    held: VecDeque<Held>,
    effects: Vec<Effect>,
    /// When the commit in flight was handed over, and whether its stall was reported.
    commit: Option<(Tick, bool)>,
    disk_faults: DiskFaults,
    /// When the disk's failing was last told, and whether its end was too.
    told: Option<(Tick, bool)>,
    stopped: bool,
    measures: Measures,
}

impl ShardLoop {
    pub(crate) fn new(shard: Shard, reactor: Reactor, links: Links) -> ShardLoop {
        ShardLoop {
            shard,
            reactor,
            links,
            armed: None,
            replies: HashMap::new(),
            requests: 0,
            held: VecDeque::new(),
            effects: Vec::new(),
            commit: None,
            disk_faults: DiskFaults::default(),
            told: None,
            stopped: false,
            measures: Measures::default(),
        }
    }

    /// Turns until the shard has stopped.
    ///
    /// # Panics
    /// The reactor failed for good.
    pub(crate) fn run(&mut self) {
        let mut completions: Vec<Completion> = Vec::new();
        let mut now = clock::now();
        self.give(now, Event::Due);
        while !self.stopped {
            let wait = self.wait_nanos(now.tick);
            if let Err(cause) = self.reactor.turn(wait, &mut completions) {
                let shard = self.links.index;
                // Its targets would go unseen, by a process that looks well.
                panic!("the reactor of shard {shard} failed: {cause}");
            }
            let began = clock::now();
            self.turn(began, &mut completions);
            now = clock::now();
            self.measures.turn(now.tick.since(began.tick));
            self.links.beat.turns.fetch_add(1, Ordering::Relaxed);
            let nanos = now.tick.since(began.tick);
            self.links.beat.longest_nanos.fetch_max(nanos, Ordering::Relaxed);
            self.links.beat.worked_nanos.fetch_add(nanos, Ordering::Relaxed);
        }
    }

    fn wait_nanos(&self, now: Tick) -> u64 {
        let busy = !self.links.mailbox.is_empty() || self.links.client.has_ended();
        if busy {
            return 0;
        }
        let commit = self.commit.filter(|(_, reported)| !reported);
        let stall = commit.map(|(began, _)| began.after_ms(self.links.commit_deadline_ms));
        // A held message waits for another thread's queue: look again soon.
        let held = (!self.held.is_empty()).then(|| now.after_ms(1));
        let deadlines = [self.armed, self.links.client.next_deadline(), stall, held];
        deadlines.into_iter().flatten().min().map_or(u64::MAX, |tick| tick.since(now))
    }

    fn turn(&mut self, now: Now, completions: &mut Vec<Completion>) {
        for completion in completions.drain(..) {
            self.links.client.on_completion(now, completion, &mut self.reactor);
        }
        self.send_held();
        self.take_done(now);
        if self.armed.is_some_and(|tick| tick <= now.tick) {
            self.armed = None;
            self.give(now, Event::Due);
        }
        self.links.client.expire(now, &mut self.reactor);
        self.take_ended(now);
        self.take_targets(now);
        if let Some(pace) = self.links.mailbox.take_pace() {
            self.give(now, Event::Pace(pace));
        }
        self.take_asks(now);
        if self.links.mailbox.take_stop() {
            self.give(now, Event::Stop);
        }
        self.watch_commit(now);
    }

    fn take_done(&mut self, now: Now) {
        for _ in 0..DONE_MAX {
            match self.links.mailbox.take_done() {
                Some(Done::Storage(event)) => {
                    let ends = matches!(
                        event,
                        StorageEvent::LogDurable { .. } | StorageEvent::LogFailed { .. }
                    );
                    if let Some((began, _)) = self.commit.take_if(|_| ends) {
                        let nanos = clock::tick().since(began);
                        self.links.strain.commit(nanos);
                        self.measures.commit(nanos);
                    }
                    self.watch_disk(now.tick, &event);
                    self.give(now, Event::Storage(event));
                }
                Some(Done::Resolved { name, addresses }) => {
                    self.links.client.on_resolved(now, name, addresses, &mut self.reactor);
                }
                Some(Done::Prepared(prepared)) => {
                    self.links.client.on_prepared(now, &prepared, &mut self.reactor);
                }
                Some(Done::Elsewhere { token, outcome }) => {
                    self.links.client.on_elsewhere(now, token, outcome, &mut self.reactor);
                }
                None => return,
            }
        }
    }

    /// Hands ended fetches to the shard: the body is lent for the call, then its buffer goes back.
    fn take_ended(&mut self, now: Now) {
        for _ in 0..ENDED_MAX {
            let Some(Ended { target, slot, timings, outcome }) = self.links.client.take_ended()
            else {
                return;
            };
            self.measures.fetch(timings.total_ns);
            match outcome {
                Ok(response) => {
                    let outcome = Ok::<_, FetchFault>(response.fetched());
                    self.give(now, Event::Fetched { target, slot, outcome, timings });
                    self.links.client.recycle(response);
                }
                Err(fault) => {
                    let outcome = Err(fault);
                    self.give(now, Event::Fetched { target, slot, outcome, timings });
                }
            }
        }
    }

    fn take_targets(&mut self, now: Now) {
        if let Some(targets) = self.links.mailbox.take_targets() {
            self.give(now, Event::Targets(targets));
        }
    }

    fn take_asks(&mut self, now: Now) {
        let began = clock::tick();
        for _ in 0..ASKS_MAX {
            if ASKS_NANOS_MAX < clock::tick().since(began) {
                return;
            }
            let Some(ask) = self.links.mailbox.take_ask() else { return };
            // A list that was given before the question is met before it: moves count on it.
            self.take_targets(now);
            self.requests += 1;
            let request = RequestId(self.requests);
            self.replies.insert(request, ask.reply);
            self.give(now, Event::Ask { request, question: ask.question });
        }
    }

    /// Gives the shard one event and performs what it wants.
    fn give(&mut self, now: Now, event: Event<'_>) {
        let mut effects = std::mem::take(&mut self.effects);
        self.shard.on_event(now, event, &mut effects);
        for effect in effects.drain(..) {
            self.perform(now, effect);
        }
        self.effects = effects;
    }

    fn perform(&mut self, now: Now, effect: Effect) {
        match effect {
            Effect::Fetch(fetch) => self.links.client.start(now, fetch, &mut self.reactor),
            Effect::Storage(effect) => self.perform_storage(effect),
            // One timer: the newest replaces.
            Effect::Arm(tick) => self.armed = Some(tick),
            Effect::Reply { request, answer } => self.reply(request, answer),
            Effect::Stopped => self.stopped = true,
        }
    }

    fn perform_storage(&mut self, effect: StorageEffect) {
        let shard = self.links.index;
        let message = match effect {
            StorageEffect::Log(write) => {
                self.commit = Some((clock::tick(), false));
                Held::Log(LogRequest::Write { shard, write })
            }
            StorageEffect::LogPrepare(segment) => {
                Held::Segments(segments::Request::Prepare { shard, segment })
            }
            StorageEffect::LogRetire(segment) => {
                Held::Segments(segments::Request::Retire { shard, segment })
            }
            StorageEffect::File(request) => Held::Files(files::Request { shard, request }),
            StorageEffect::Compact(plan) => Held::Compact(compactor::Request { shard, plan }),
        };
        self.held.push_back(message);
        self.send_held();
    }

    /// Sends what is held, in order, until a queue is full.
    fn send_held(&mut self) {
        while let Some(message) = self.held.pop_front() {
            let back = match message {
                Held::Log(request) => self.links.log.send(request).err().map(Held::Log),
                Held::Segments(request) => {
                    refused(self.links.segments.try_send(request)).map(Held::Segments)
                }
                Held::Files(request) => {
                    refused(self.links.files.try_send(request)).map(Held::Files)
                }
                Held::Compact(request) => {
                    refused(self.links.compactor.try_send(request)).map(Held::Compact)
                }
            };
            if let Some(message) = back {
                self.measures.held += 1;
                self.held.push_front(message);
                return;
            }
        }
    }

    fn reply(&mut self, request: RequestId, mut answer: Answer) {
        if let Answer::Metrics(collected) = &mut answer {
            let shard = self.links.index.to_string();
            let refused = self.links.postbox.refused();
            let longest = self.links.beat.longest_nanos.load(Ordering::Relaxed);
            self.measures.collect(&shard, &self.links.client, refused, longest, collected);
        }
        if let Some(reply) = self.replies.remove(&request) {
            reply(answer);
        }
    }

    /// Tells that the disk refuses writes: when that begins, now and then, and when it ends.
    fn watch_disk(&mut self, now: Tick, event: &StorageEvent) {
        let shard = self.links.index;
        if let Some(cause) = self.disk_faults.observe(event) {
            let early = self.told.filter(|(at, _)| now < at.after_ms(TELL_EVERY_MS));
            if early.is_some() {
                return;
            }
            self.told = Some((now, false));
            let what = if cause.full { "the disk is full" } else { "the disk refuses writes" };
            let then =
                "samples wait in memory, as far as its bounds go, and writes are tried again";
            tracing::error!(shard, %cause, "{what}: {then}");
        } else if self.disk_faults.is_empty()
            && let Some((_, is_over)) = self.told.as_mut().filter(|(_, is_over)| !is_over)
        {
            *is_over = true;
            tracing::info!(shard, "the disk takes writes again");
        }
    }

    /// Tells of a commit that takes longer than it may; it is waited for all the same.
    fn watch_commit(&mut self, now: Now) {
        let Some((began, reported)) = &mut self.commit else { return };
        let age = now.tick.since(*began);
        if !*reported && self.links.commit_deadline_ms * NANOS_PER_MS <= age {
            *reported = true;
            self.measures.stalled += 1;
            let shard = self.links.index;
            tracing::warn!(shard, age_ms = age / NANOS_PER_MS, "the disk stalls: commit waits");
        }
    }
}

fn refused<T>(sent: Result<(), TrySendError<T>>) -> Option<T> {
    sent.err().map(TrySendError::into_inner)
}
