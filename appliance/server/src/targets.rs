//! Targets: what jobs and discovery say is scraped, and what relabelling dropped.
//!
//! Path: `config`, `discovery` → **targets** → `target_thread`, which gives them to the shards.
//! Owns: what became of each group of each job, so that a change costs what changed.
//! Never: makes a target anew whose job and group are the same.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use api::backend::DroppedTarget;
use discovery::group::Group;
use exposition::durations::Durations;
use model::label_set::LabelSet;
use scrape::job::{discovered_labels, target};
use scrape::target::TargetSpec;

use crate::config::job::ScrapeConfig;

/// Dropped targets of a job that are listed when the configuration sets no bound.
const DROPPED_MAX: usize = 10_000;

/// The targets of all jobs.
#[derive(Debug, Default)]
pub struct TargetList {
    /// To be scraped.
    pub specs: Vec<Arc<TargetSpec>>,
    /// Dropped by relabelling, as far as they are kept.
    pub dropped: Vec<DroppedTarget>,
    /// Dropped by relabelling, a job.
    pub dropped_counts: BTreeMap<String, u64>,
    /// Targets that cannot be and were not told of before: what is wrong with each, for the log.
    pub faults: Vec<String>,
    /// What is counted, a job.
    pub pools: Vec<PoolCounts>,
    /// What is counted of all of them.
    pub pool_totals: PoolTotals,
}

/// What is counted of all jobs that there were.
#[derive(Clone, Debug, Default)]
pub struct PoolTotals {
    /// Jobs that were made.
    pub created: u64,
    /// Times that a job changed.
    pub reloads: u64,
    /// How long it took to make the targets of a job that changed, by its interval, milliseconds.
    pub reload_lengths: BTreeMap<u64, Arc<Durations>>,
}

/// What is counted of a job.
#[derive(Clone, Debug, Default)]
pub struct PoolCounts {
    /// Its name.
    pub job: String,
    /// Targets that could not be made, since the job is there.
    pub faults: u64,
    /// Times that the targets were made, since the job is there.
    pub syncs: u64,
    /// How long that took.
    pub sync_lengths: Arc<Durations>,
    /// Times that `target_limit` was passed, since the job is there.
    pub limit_passed: u64,
    /// `target_limit`; 0 is none.
    pub target_limit: u64,
}

/// What became of one discovered label set.
#[derive(Debug)]
enum Made {
    Target(Arc<TargetSpec>),
    Dropped,
}

/// A job and what became of its groups.
#[derive(Debug)]
struct Pool {
    config: ScrapeConfig,
    written: Arc<Group>,
    /// By the address of the group, which lives as long as it is a key here.
    made: HashMap<usize, (Arc<Group>, Vec<Made>)>,
    counts: PoolCounts,
    /// It changed, and its targets were not made since.
    is_reloaded: bool,
}

/// All jobs, in the order written.
#[derive(Debug, Default)]
pub struct Pools {
    pools: Vec<Pool>,
    totals: PoolTotals,
}

impl Pools {
    /// Makes these the jobs. One that did not change keeps what it made.
    pub fn configure(&mut self, jobs: &[ScrapeConfig]) {
        let mut before: HashMap<Arc<str>, Pool> =
            self.pools.drain(..).map(|pool| (pool.config.job.name.clone(), pool)).collect();
        for config in jobs {
            let mut pool = Pool::new(config);
            if let Some(old) = before.remove(&config.job.name) {
                pool.counts = PoolCounts { target_limit: config.target_limit, ..old.counts };
                if old.config == pool.config {
                    pool.written = old.written;
                    pool.made = old.made;
                } else {
                    self.totals.reloads += 1;
                    pool.is_reloaded = true;
                }
            } else {
                self.totals.created += 1;
            }
            self.pools.push(pool);
        }
    }

    /// The targets of all jobs by what they write out and what `groups_of` gives for their names.
    pub fn list(&mut self, groups_of: impl Fn(&str) -> Vec<Arc<Group>>) -> TargetList {
        let mut list = TargetList::default();
        for pool in &mut self.pools {
            let groups = groups_of(&pool.config.job.name);
            let began = machine::clock::tick();
            pool.add_to(&mut list, groups);
            let ended = machine::clock::tick();
            let nanos = ended.since(began);
            pool.counts.sync_lengths.observe(ended, nanos);
            list.pools.push(pool.counts.clone());
            if std::mem::take(&mut pool.is_reloaded) {
                let interval_ms = pool.config.job.interval_ms;
                let lengths = self.totals.reload_lengths.entry(interval_ms).or_default();
                lengths.observe(ended, nanos);
            }
        }
        list.pool_totals = self.totals.clone();
        list
    }
}

impl Pool {
    fn new(config: &ScrapeConfig) -> Pool {
        let written = Group {
            source: "static_configs".to_owned(),
            labels: LabelSet::empty(),
            targets: config.targets.clone(),
        };
        let counts = PoolCounts {
            job: config.job.name.to_string(),
            target_limit: config.target_limit,
            ..PoolCounts::default()
        };
        let config = config.clone();
        Pool {
            config,
            written: Arc::new(written),
            made: HashMap::new(),
            counts,
            is_reloaded: false,
        }
    }

    fn add_to(&mut self, list: &mut TargetList, found: Vec<Arc<Group>>) {
        self.counts.syncs += 1;
        let mut before = std::mem::take(&mut self.made);
        let groups: Vec<Arc<Group>> =
            std::iter::once(Arc::clone(&self.written)).chain(found).collect();
        for group in &groups {
            let key = Arc::as_ptr(group).addr();
            let made = match before.remove(&key) {
                Some(made) => made,
                None => (Arc::clone(group), self.make(group, list)),
            };
            self.made.insert(key, made);
        }
        let mut specs = Vec::new();
        let mut identities = HashSet::new();
        for group in &groups {
            let (group, made) = &self.made[&Arc::as_ptr(group).addr()];
            for (found, made) in group.label_sets().zip(made) {
                match made {
                    // Upstream too scrapes a target once that a job names twice.
                    Made::Target(spec) if identities.insert(spec.identity()) => {
                        specs.push(Arc::clone(spec));
                    }
                    Made::Target(_) => {}
                    Made::Dropped => self.add_dropped(&found, list),
                }
            }
        }
        self.fail_all(&mut specs);
        list.specs.append(&mut specs);
    }

    fn make(&mut self, group: &Group, list: &mut TargetList) -> Vec<Made> {
        let mut made = Vec::with_capacity(group.targets.len());
        for found in group.label_sets() {
            made.push(match target(&self.config.job, &found) {
                Ok(Some(spec)) => Made::Target(Arc::new(spec)),
                Ok(None) => Made::Dropped,
                Err(error) => {
                    self.counts.faults += 1;
                    let job = &self.config.job.name;
                    list.faults.push(format!("job {job}: {found}: {error}"));
                    continue;
                }
            });
        }
        made
    }

    /// Makes every target fail when there are too many.
    fn fail_all(&mut self, specs: &mut [Arc<TargetSpec>]) {
        let (limit, count) = (self.config.target_limit, specs.len());
        let mut fault = None;
        if limit != 0 && usize::try_from(limit).is_ok_and(|limit| limit < count) {
            self.counts.limit_passed += 1;
            let numbers = format!("number of targets: {count}, limit: {limit}");
            fault = Some(format!("target_limit exceeded ({numbers})"));
        }
        let Some(fault) = fault.map(Arc::from) else { return };
        for spec in specs {
            let forced_error = Some(Arc::clone(&fault));
            *spec = Arc::new(TargetSpec { forced_error, ..TargetSpec::clone(spec) });
        }
    }

    fn add_dropped(&self, found: &LabelSet, list: &mut TargetList) {
        let pool = &self.counts.job;
        let count = list.dropped_counts.entry(pool.clone()).or_insert(0);
        *count += 1;
        let kept_max = match usize::try_from(self.config.keep_dropped_targets) {
            Ok(0) | Err(_) => DROPPED_MAX,
            Ok(kept_max) => kept_max,
        };
        if usize::try_from(*count).is_ok_and(|count| count <= kept_max) {
            let discovered_labels = discovered_labels(&self.config.job, found);
            list.dropped.push(DroppedTarget { discovered_labels, scrape_pool: pool.clone() });
        }
    }
}

/// The configuration of a server that is given none: itself and its machine, every 5 seconds.
#[must_use]
pub fn embedded_yaml(listen: SocketAddr) -> String {
    let host = match listen {
        SocketAddr::V4(address) if address.ip().is_unspecified() => "127.0.0.1".to_owned(),
        SocketAddr::V6(address) if address.ip().is_unspecified() => "[::1]".to_owned(),
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    };
    let address = format!("{host}:{}", listen.port());
    format!(
        "global:
  scrape_interval: 5s
scrape_configs:
  - job_name: cresset
    static_configs:
      - targets: [\"{address}\"]
  - job_name: host
    metrics_path: /metrics/host
    static_configs:
      - targets: [\"{address}\"]
"
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::load;

    fn pools(text: &str) -> Pools {
        let mut pools = Pools::default();
        pools.configure(&load(text, Path::new("p.yml")).expect("valid").jobs);
        pools
    }

    fn list(text: &str) -> TargetList {
        pools(text).list(|_| Vec::new())
    }

    fn group(source: &str, address: &str) -> Arc<Group> {
        let targets = vec![LabelSet::new([("__address__", address)])];
        let labels = LabelSet::new([("__meta_x", "y")]);
        Arc::new(Group { source: source.to_owned(), labels, targets })
    }

    #[test]
    fn the_embedded_configuration_scrapes_itself_and_the_host() {
        let list = list(&embedded_yaml("0.0.0.0:9090".parse().expect("address")));
        let urls: Vec<String> = list.specs.iter().map(|spec| spec.url.to_string()).collect();
        assert_eq!(urls, ["http://127.0.0.1:9090/metrics", "http://127.0.0.1:9090/metrics/host"]);
        let six = embedded_yaml("[::]:80".parse().expect("address"));
        assert!(six.contains("\"[::1]:80\""), "{six}");
    }

    #[test]
    fn dropped_targets_are_kept_up_to_their_bound() {
        let list = list(
            "
scrape_configs:
  - job_name: a
    keep_dropped_targets: 1
    static_configs: [{targets: [a, b, c, c]}]
    relabel_configs:
      - {source_labels: [__address__], regex: c, action: keep}
",
        );
        assert_eq!((list.specs.len(), list.dropped.len()), (1, 1));
        assert_eq!(list.dropped_counts["a"], 2);
    }

    #[test]
    fn too_many_targets_fail_all() {
        let list = list(
            "
scrape_configs:
  - job_name: a
    target_limit: 1
    static_configs: [{targets: [a, b]}]
",
        );
        let error = "target_limit exceeded (number of targets: 2, limit: 1)";
        assert!(list.specs.iter().all(|spec| spec.forced_error.as_deref() == Some(error)));
    }

    #[test]
    fn what_did_not_change_is_the_same_target() {
        let text = "scrape_configs: [{job_name: a, static_configs: [{targets: [s]}]}]";
        let mut pools = pools(text);
        let (one, two, three) = (group("1", "x"), group("2", "y"), group("2", "z"));
        let first = pools.list(|_| vec![Arc::clone(&one), two.clone()]);
        let second = pools.list(|_| vec![Arc::clone(&one), three.clone()]);
        let urls = |list: &TargetList| {
            let urls = list.specs.iter().map(|spec| spec.url.authority.clone());
            urls.collect::<Vec<_>>().join(" ")
        };
        assert_eq!((urls(&first).as_str(), urls(&second).as_str()), ("s x y", "s x z"));
        assert!(Arc::ptr_eq(&first.specs[1], &second.specs[1]));
        assert_eq!(first.specs[1].discovered.value("__meta_x"), "y");
        let jobs = load(text, Path::new("p.yml")).expect("valid").jobs;
        pools.configure(&jobs);
        let third = pools.list(|_| vec![Arc::clone(&one)]);
        assert!(Arc::ptr_eq(&third.specs[0], &second.specs[0]));
        assert!(Arc::ptr_eq(&third.specs[1], &second.specs[1]));
        assert_eq!(third.pools[0].syncs, 3);
        assert_eq!(third.pools[0].sync_lengths.totals().1, 3);
        assert_eq!((third.pool_totals.created, third.pool_totals.reloads), (1, 0));
        let changed = text.replace("job_name: a,", "job_name: a, scrape_interval: 7s,");
        pools.configure(&load(&changed, Path::new("p.yml")).expect("valid").jobs);
        let fourth = pools.list(|_| Vec::new()).pool_totals;
        assert_eq!((fourth.created, fourth.reloads), (1, 1));
        assert_eq!(fourth.reload_lengths[&7_000].totals().1, 1);
        pools.configure(&load(&text.replace("a,", "b,"), Path::new("p.yml")).expect("valid").jobs);
        let other = pools.list(|_| Vec::new());
        assert!(!Arc::ptr_eq(&other.specs[0], &third.specs[0]));
    }
}
