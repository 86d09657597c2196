//! Finder: runs the mechanisms that jobs name, keeps their groups, says when they changed.
//!
//! Path: configuration → `apply`; mechanisms → **finder** → the server, by `changed` and `groups`.
//! Owns: one task a mechanism; equal mechanisms of several jobs share it.
//! Never: forgets a group that its mechanism has not taken away; a new configuration keeps what
//! equal mechanisms have found.
//!
//! Invariants
//! - FD1: the targets of one mechanism are bounded, and those of all are their sum.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use crate::group::Group;
use crate::mechanism::Mechanism;
use crate::metrics::{Metrics, ProviderMetrics, Running};
use crate::outlet::{Outlet, ProviderId, Update};

/// Updates that wait; the mechanisms wait beyond it.
const UPDATES_MAX: usize = 64;
/// Targets of one mechanism: an update that passes it is refused. Fifty times the fleet of one
/// machine.
pub const TARGETS_MAX: usize = 500_000;
/// First pause between updates that are handed on, and the longest: upstream's.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What a job names.
#[derive(Clone, Debug)]
pub struct JobMechanisms {
    /// `job_name`
    pub job: String,
    /// Its mechanisms.
    pub mechanisms: Vec<Mechanism>,
}

struct Provider {
    id: ProviderId,
    mechanism: Mechanism,
    jobs: Vec<String>,
    task: AbortHandle,
    own: Arc<ProviderMetrics>,
    groups: BTreeMap<String, Arc<Group>>,
    targets: usize,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The mechanisms of all jobs. Lives on a tokio runtime.
pub struct Finder {
    providers: Vec<Provider>,
    jobs: Vec<String>,
    sender: Sender<Update>,
    updates: Receiver<Update>,
    metrics: Arc<Metrics>,
    last_id: u64,
    /// When the groups changed first since they were last handed on.
    dirty: Option<Instant>,
    handed_on: Option<Instant>,
    pause: Duration,
}

impl Finder {
    /// A finder without mechanisms.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Finder {
        let (sender, updates) = channel(UPDATES_MAX);
        Finder {
            providers: Vec::new(),
            jobs: Vec::new(),
            sender,
            updates,
            metrics,
            last_id: 0,
            dirty: None,
            handed_on: None,
            pause: PAUSE_MIN,
        }
    }

    /// Makes these the mechanisms. Those that run keep running with what they found; the others
    /// end, and new ones begin.
    ///
    /// # Panics
    /// There is no tokio runtime.
    pub fn apply(&mut self, wanted: Vec<JobMechanisms>) {
        let before = std::mem::take(&mut self.providers);
        let mut kept: Vec<Option<Provider>> = before.into_iter().map(Some).collect();
        let wanted_jobs = wanted.iter().filter(|job| !job.mechanisms.is_empty());
        self.jobs = wanted_jobs.map(|job| job.job.clone()).collect();
        for JobMechanisms { job, mechanisms } in wanted {
            for mechanism in mechanisms {
                let is_same = |provider: &&mut Provider| provider.mechanism == mechanism;
                if let Some(provider) = self.providers.iter_mut().find(is_same) {
                    if !provider.jobs.contains(&job) {
                        provider.jobs.push(job.clone());
                    }
                    continue;
                }
                let running = kept.iter_mut().find(|slot| {
                    slot.as_ref().is_some_and(|provider| provider.mechanism == mechanism)
                });
                let provider = match running.and_then(Option::take) {
                    Some(mut provider) => {
                        provider.jobs = vec![job.clone()];
                        provider
                    }
                    None => self.start(mechanism, &job),
                };
                self.providers.push(provider);
            }
        }
        self.show();
    }

    fn start(&mut self, mechanism: Mechanism, job: &str) -> Provider {
        self.last_id += 1;
        let id = ProviderId(self.last_id);
        let own = Arc::new(ProviderMetrics::new(mechanism.name(), job));
        let outlet = Outlet {
            provider: id,
            updates: self.sender.clone(),
            own: Arc::clone(&own),
            metrics: Arc::clone(&self.metrics),
        };
        let task = tokio::spawn(mechanism.clone().run(outlet)).abort_handle();
        let jobs = vec![job.to_owned()];
        Provider { id, mechanism, jobs, task, own, groups: BTreeMap::new(), targets: 0 }
    }

    /// Returns when groups have changed and it is time to hand them on: at first a moment after
    /// the change, then in growing distances up to 5 seconds while changes go on. May be dropped
    /// at any point without loss.
    pub async fn changed(&mut self) {
        loop {
            let Some(at) = self.due() else {
                match self.updates.recv().await {
                    Some(update) => self.take(update),
                    // There is always the own sender.
                    None => std::future::pending().await,
                }
                continue;
            };
            match timeout_at(at, self.updates.recv()).await {
                Ok(Some(update)) => self.take(update),
                Ok(None) | Err(_) => {
                    self.hand_on();
                    return;
                }
            }
        }
    }

    /// When the groups are to be handed on.
    fn due(&self) -> Option<Instant> {
        let dirty = self.dirty?;
        let rested = self.handed_on.map_or(dirty, |before| before + self.pause);
        Some(rested.max(dirty + PAUSE_MIN))
    }

    fn hand_on(&mut self) {
        let now = Instant::now();
        let quiet = self.handed_on.is_none_or(|before| PAUSE_MAX < now.duration_since(before));
        if let (Some(dirty), Some(before)) = (self.dirty, self.handed_on)
            && dirty + PAUSE_MIN < before + self.pause
        {
            self.metrics.delayed.fetch_add(1, Ordering::Relaxed);
        }
        self.pause = if quiet { PAUSE_MIN } else { (self.pause * 3 / 2).min(PAUSE_MAX) };
        self.handed_on = Some(now);
        self.dirty = None;
        self.metrics.sent.fetch_add(1, Ordering::Relaxed);
    }

    fn take(&mut self, update: Update) {
        // One that ended may have left an update behind.
        let Some(provider) = self.providers.iter_mut().find(|p| p.id == update.provider) else {
            return;
        };
        self.metrics.received.fetch_add(1, Ordering::Relaxed);
        match provider.take(update) {
            Ok(false) => {}
            Ok(true) => {
                self.dirty.get_or_insert_with(Instant::now);
            }
            Err(count) => {
                self.metrics.refused.fetch_add(1, Ordering::Relaxed);
                let (mechanism, job) = (provider.mechanism.name(), &provider.jobs[0]);
                let max = TARGETS_MAX;
                tracing::error!(mechanism, job, count, max, "too many targets, kept the old");
            }
        }
    }

    /// The groups of a job, in a stable order. A group that did not change is the same `Arc`.
    #[must_use]
    pub fn groups(&self, job: &str) -> Vec<Arc<Group>> {
        let own = self.providers.iter().filter(|provider| provider.jobs.iter().any(|j| j == job));
        own.flat_map(|provider| provider.groups.values().cloned()).collect()
    }

    /// Shows in the metrics what runs; `updated_seconds` since 1970 is when jobs got targets.
    pub fn show_update(&self, updated_seconds: f64) {
        let jobs = self.jobs.iter().map(|job| (job.clone(), self.targets_of(job)));
        let jobs = jobs.collect();
        self.metrics.running.send_modify(|running| {
            running.jobs = jobs;
            running.updated_seconds = updated_seconds;
        });
    }

    fn targets_of(&self, job: &String) -> u64 {
        let own = self.providers.iter().filter(|provider| provider.jobs.contains(job));
        own.map(|provider| u64::try_from(provider.targets).unwrap_or(u64::MAX)).sum()
    }

    fn show(&self) {
        let providers = self.providers.iter().map(|provider| Arc::clone(&provider.own)).collect();
        let jobs = self.jobs.iter().map(|job| (job.clone(), self.targets_of(job))).collect();
        self.metrics.running.send_modify(|running| {
            let updated_seconds = running.updated_seconds;
            *running = Running { providers, jobs, updated_seconds };
        });
    }
}

impl Provider {
    /// Takes an update; whether it changed anything, or how many targets it would have led to.
    fn take(&mut self, update: Update) -> Result<bool, usize> {
        let new: usize = update.groups.iter().map(|group| group.targets.len()).sum();
        let replaced = update.groups.iter().filter_map(|group| self.groups.get(&group.source));
        let old = if update.is_whole {
            self.targets
        } else {
            replaced.map(|group| group.targets.len()).sum()
        };
        // Groups of one update have sources of their own; if not, the later one counts, and the
        // sum is only too large.
        let after = (self.targets + new).saturating_sub(old);
        if TARGETS_MAX < after {
            return Err(after);
        }
        let mut changed = false;
        let mut left = update.is_whole.then(|| std::mem::take(&mut self.groups));
        for group in update.groups {
            let before = match &mut left {
                Some(left) => left.remove(&group.source),
                None => self.groups.remove(&group.source),
            };
            if group.targets.is_empty() {
                changed |= before.is_some();
                continue;
            }
            let group = match before {
                Some(before) if *before == group => before,
                _ => {
                    changed = true;
                    Arc::new(group)
                }
            };
            self.groups.insert(group.source.clone(), group);
        }
        changed |= left.is_some_and(|left| !left.is_empty());
        self.targets = self.groups.values().map(|group| group.targets.len()).sum();
        assert!(self.targets <= TARGETS_MAX, "FD1: {} targets", self.targets);
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use model::label_set::LabelSet;

    use super::*;
    use crate::file::FileOptions;

    fn group(source: &str, addresses: &[&str]) -> Group {
        let targets = addresses.iter().map(|address| LabelSet::new([("__address__", *address)]));
        Group { source: source.to_owned(), labels: LabelSet::empty(), targets: targets.collect() }
    }

    fn file(path: &str) -> Mechanism {
        let files = vec![PathBuf::from(path)];
        Mechanism::File(FileOptions { files, refresh: Duration::from_secs(3600) })
    }

    fn job(name: &str, mechanisms: &[Mechanism]) -> JobMechanisms {
        JobMechanisms { job: name.to_owned(), mechanisms: mechanisms.to_vec() }
    }

    /// A finder whose mechanisms find nothing themselves.
    fn finder(jobs: Vec<JobMechanisms>) -> (Finder, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::default());
        let mut finder = Finder::new(Arc::clone(&metrics));
        finder.apply(jobs);
        (finder, metrics)
    }

    fn give(finder: &mut Finder, provider: u64, is_whole: bool, groups: Vec<Group>) {
        finder.take(Update { provider: ProviderId(provider), groups, is_whole });
    }

    #[track_caller]
    fn check(finder: &Finder, job: &str, expected: &str) {
        let groups = finder.groups(job);
        let labels = groups.iter().flat_map(|group| group.label_sets());
        let found: Vec<String> =
            labels.map(|labels| labels.value("__address__").to_owned()).collect();
        assert_eq!(found.join(" "), expected);
    }

    #[tokio::test]
    async fn equal_mechanisms_share_a_task_and_outlive_a_configuration() {
        let (mut finder, _) = finder(vec![job("a", &[file("/x")]), job("b", &[file("/x")])]);
        assert_eq!(finder.providers.len(), 1);
        give(&mut finder, 1, true, vec![group("s", &["1"])]);
        check(&finder, "a", "1");
        check(&finder, "b", "1");
        let before = finder.groups("a");
        finder.apply(vec![job("b", &[file("/x"), file("/y")])]);
        check(&finder, "a", "");
        check(&finder, "b", "1");
        assert!(Arc::ptr_eq(&before[0], &finder.groups("b")[0]));
        finder.apply(vec![job("b", &[file("/y")])]);
        check(&finder, "b", "");
        // What the ended one had sent is not taken.
        give(&mut finder, 1, true, vec![group("s", &["1"])]);
        check(&finder, "b", "");
    }

    #[tokio::test]
    async fn groups_are_replaced_by_source() {
        let (mut finder, metrics) = finder(vec![job("a", &[file("/x")])]);
        give(&mut finder, 1, false, vec![group("s", &["1", "2"]), group("t", &["3"])]);
        check(&finder, "a", "1 2 3");
        give(&mut finder, 1, false, vec![group("s", &["4"])]);
        check(&finder, "a", "4 3");
        give(&mut finder, 1, false, vec![Group::gone("t".to_owned())]);
        check(&finder, "a", "4");
        assert!(finder.dirty.take().is_some());
        give(&mut finder, 1, true, vec![group("s", &["4"])]);
        assert!(finder.dirty.is_none(), "nothing changed");
        give(&mut finder, 1, true, vec![group("u", &["5"])]);
        check(&finder, "a", "5");
        finder.show_update(1.0);
        assert_eq!(metrics.running.borrow().jobs, [("a".to_owned(), 1)]);
        assert_eq!(metrics.received.load(Ordering::Relaxed), 5);
    }

    #[tokio::test]
    async fn fd1_too_many_targets_are_refused_whole() {
        let (mut finder, metrics) = finder(vec![job("a", &[file("/x")])]);
        give(&mut finder, 1, true, vec![group("s", &["1"])]);
        let mut large = group("t", &[]);
        large.targets = vec![LabelSet::new([("__address__", "x")]); TARGETS_MAX];
        give(&mut finder, 1, false, vec![large.clone()]);
        check(&finder, "a", "1");
        assert_eq!(metrics.refused.load(Ordering::Relaxed), 1, "FD1: refused");
        large.targets.pop();
        give(&mut finder, 1, false, vec![large]);
        assert_eq!(finder.providers[0].targets, TARGETS_MAX);
        assert_eq!(metrics.refused.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn changes_are_handed_on_in_growing_distances() {
        let (mut finder, metrics) = finder(vec![job("a", &[file("/x")])]);
        let began = Instant::now();
        let mut times = Vec::new();
        for at in 0..16 {
            give(&mut finder, 1, true, vec![group("s", &[at.to_string().as_str()])]);
            finder.changed().await;
            times.push(began.elapsed().as_millis());
        }
        let pauses: Vec<u128> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(times[0], 100);
        assert!(pauses[0] <= 101 && pauses.is_sorted(), "{pauses:?}");
        assert!((4990..=5001).contains(pauses.last().unwrap()), "{pauses:?}");
        assert_eq!(metrics.sent.load(Ordering::Relaxed), 16);
        assert!(10 < metrics.delayed.load(Ordering::Relaxed));
        // After a while without changes, the next is handed on at once.
        tokio::time::advance(Duration::from_secs(6)).await;
        let began = Instant::now();
        give(&mut finder, 1, true, vec![group("s", &["x"])]);
        finder.changed().await;
        assert_eq!(began.elapsed().as_millis(), 100);
    }
}
