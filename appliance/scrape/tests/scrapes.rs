//! Whole scrapes against a real store: bodies in, rows out.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::sync::Arc;

use exposition::metrics::Collected;
use model::label_set::LabelSet;
use model::matcher::{MatchOp, Matcher};
use model::samples::Samples;
use model::staleness::is_stale;
use model::time::{NANOS_PER_MS, Now, Tick, TimestampMs};
use scrape::fetch::{Fetch, FetchFault, Fetched, Timings};
use scrape::job::{JobOptions, target};
use scrape::notice::{LeftOut, What};
use scrape::options::Options;
use scrape::protocol::Protocol;
use scrape::relabel::{Rule, RuleOptions};
use scrape::scraper::{Ended, Out, Scraper};
use scrape::status::Health;
use scrape::target::TargetSpec;
use storage::compaction::Aggregate;
use storage::names::FileName;
use storage::options::Options as StoreOptions;
use storage::selection::{SelectRequest, TileCache};
use storage::store::Store;
use storage::tile_read::TileRead;

const WALL_MS: i64 = 1_700_000_000_000;
const INTERVAL_MS: u64 = 10_000;
const FETCH_NANOS: u64 = 250_000_000;

/// A scraper over a store, and the time.
struct Bed {
    scraper: Scraper,
    store: Store,
    tick: u64,
}

struct NoTiles;

impl TileRead for NoTiles {
    fn read(&self, file: &FileName, _: u64, _: &mut [u8]) -> io::Result<()> {
        Err(io::Error::other(format!("{file} is not there")))
    }
}

impl Bed {
    fn new(options: Options) -> Bed {
        let store = Store::new(StoreOptions::default());
        Bed { scraper: Scraper::new(options), store, tick: 5 * NANOS_PER_MS }
    }

    fn with(specs: Vec<TargetSpec>) -> Bed {
        let mut bed = Bed::new(Options::default());
        bed.apply(specs);
        bed
    }

    fn now(&self) -> Now {
        let ms = i64::try_from(self.tick / NANOS_PER_MS).expect("a short test");
        Now { tick: Tick(self.tick), wall: TimestampMs(WALL_MS + ms) }
    }

    fn apply(&mut self, specs: Vec<TargetSpec>) {
        let now = self.now();
        self.scraper.apply(now, specs.into_iter().map(Arc::new).collect());
        self.scraper.check();
    }

    /// Waits for the next deadline; gives the fetches that begin.
    fn wait(&mut self) -> Vec<Fetch> {
        let due = self.scraper.next_deadline().expect("something is due");
        self.tick = self.tick.max(due.0);
        let mut fetches = Vec::new();
        let mut effects = Vec::new();
        let now = self.now();
        let mut out = Out { store: &mut self.store, fetches: &mut fetches, effects: &mut effects };
        self.scraper.on_due(now, &mut out);
        self.scraper.check();
        fetches
    }

    /// Ends a fetch; gives the fetches that begin because of it.
    fn end(&mut self, fetch: &Fetch, outcome: Result<Fetched<'_>, FetchFault>) -> Vec<Fetch> {
        let timings = Timings { began: self.now(), total_ns: FETCH_NANOS, ..Timings::default() };
        self.tick += FETCH_NANOS;
        let mut fetches = Vec::new();
        let mut effects = Vec::new();
        let now = self.now();
        let mut out = Out { store: &mut self.store, fetches: &mut fetches, effects: &mut effects };
        let ended = Ended { target: fetch.target, slot: fetch.slot, outcome, timings };
        self.scraper.on_fetched(now, ended, &mut out);
        self.scraper.check();
        fetches
    }

    /// One scrape of the only target; gives its slot.
    fn scrape(&mut self, body: &str) -> i64 {
        let fetches = self.wait();
        assert_eq!(fetches.len(), 1);
        self.end(&fetches[0], Ok(good(body)));
        fetches[0].slot.0
    }

    fn error(&self) -> String {
        self.scraper.statuses()[0].last_error.clone()
    }

    fn metric(&self, name: &str) -> String {
        let mut collected = Collected::default();
        self.scraper.collect(self.now().tick, &mut collected);
        let text = collected.to_text();
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        line.and_then(|line| line.split(' ').nth(1)).unwrap_or("absent").to_owned()
    }

    fn series(&self) -> BTreeMap<LabelSet, Vec<(i64, f64)>> {
        let all = Matcher::new("__name__", MatchOp::Regex, ".+").expect("a good pattern");
        let request = SelectRequest {
            matchers: vec![all],
            after: TimestampMs::MIN,
            until: TimestampMs::MAX,
            series_max: 1_000_000,
            aggregate: Aggregate::default(),
        };
        let mut cache = TileCache::default();
        let mut found = BTreeMap::new();
        for series in self.store.select(&request).expect("few series").series {
            let mut samples = Samples::default();
            let (after, until) = (TimestampMs::MIN, TimestampMs::MAX);
            let decoded = series.decode(&NoTiles, &mut cache, after, until, &mut samples);
            decoded.expect("nothing is sealed");
            let Samples { timestamps_ms: times, values, .. } = samples;
            if !times.is_empty() {
                found.insert(series.labels, times.into_iter().zip(values).collect());
            }
        }
        found
    }

    /// Samples of the series `name{...}` since `slot`, in units of intervals, without job and
    /// instance.
    fn shown(&self, slot: i64, name: &str) -> String {
        let mut text = String::new();
        for (labels, samples) in self.series() {
            if labels.metric_name() != name {
                continue;
            }
            let own =
                labels.iter().filter(|(name, _)| !["__name__", "job", "instance"].contains(name));
            let own: Vec<String> = own.map(|(name, value)| format!("{name}={value}")).collect();
            let _ = write!(text, "{name}{{{}}}", own.join(","));
            for (at, value) in samples {
                let value = if is_stale(value) { "stale".to_owned() } else { value.to_string() };
                let after = (at - slot) / i64::try_from(INTERVAL_MS).expect("an interval");
                let _ = write!(text, " {value}@{after}");
            }
            text.push('\n');
        }
        text.trim_end().to_owned()
    }
}

fn good(body: &str) -> Fetched<'_> {
    let wire_bytes = body.len() as u64;
    Fetched { status: 200, content_type: "text/plain", body: body.as_bytes(), wire_bytes }
}

fn job() -> JobOptions {
    JobOptions::new("test", INTERVAL_MS, 8_000)
}

fn spec_of(job: &JobOptions, address: &str) -> TargetSpec {
    let found = LabelSet::new([("__address__", address)]);
    target(job, &found).expect("a good target").expect("no rule drops it")
}

fn one(change: impl FnOnce(&mut JobOptions)) -> Bed {
    let mut job = job();
    change(&mut job);
    Bed::with(vec![spec_of(&job, "a:1")])
}

#[test]
fn a_scrape_is_a_row_with_its_report() {
    let mut bed = one(|_| {});
    let slot = bed.scrape("a 1\nb{x=\"1\"} 2.5\n");
    bed.scrape("a 3\nb{x=\"1\"} NaN\n");
    assert_eq!(bed.shown(slot, "a"), "a{} 1@0 3@1");
    assert_eq!(bed.shown(slot, "b"), "b{x=1} 2.5@0 NaN@1");
    assert_eq!(bed.shown(slot, "up"), "up{} 1@0 1@1");
    assert_eq!(
        bed.shown(slot, "scrape_duration_seconds"),
        "scrape_duration_seconds{} 0.25@0 0.25@1"
    );
    assert_eq!(bed.shown(slot, "scrape_samples_scraped"), "scrape_samples_scraped{} 2@0 2@1");
    assert_eq!(bed.shown(slot, "scrape_series_added"), "scrape_series_added{} 2@0 0@1");
    let nan = bed.series().remove(&LabelSet::new([
        ("__name__", "b"),
        ("instance", "a:1"),
        ("job", "test"),
        ("x", "1"),
    ]));
    assert_eq!(nan.unwrap()[1].1.to_bits(), model::staleness::NORMAL_NAN_BITS);
    let status = &bed.scraper.statuses()[0];
    assert_eq!((status.health, status.last_error.as_str()), (Health::Up, ""));
    assert!((status.last_scrape_duration_seconds - 0.25).abs() < 1e-9);
}

#[test]
fn series_that_stay_away_end_once() {
    let mut bed = one(|_| {});
    let slot = bed.scrape("a 1\nb 2\n");
    bed.scrape("a 1\n");
    bed.scrape("a 1\n");
    bed.scrape("b 5\na 1\n");
    assert_eq!(bed.shown(slot, "b"), "b{} 2@0 stale@1 5@3");
    assert_eq!(bed.shown(slot, "scrape_series_added"), "scrape_series_added{} 2@0 0@1 0@2 1@3");
}

#[test]
fn a_failed_scrape_ends_everything_and_says_why() {
    let mut bed = one(|_| {});
    let slot = bed.scrape("a 1\n");
    let fetch = bed.wait().remove(0);
    bed.end(&fetch, Err(FetchFault::Deadline));
    assert_eq!(bed.error(), "Get \"http://a:1/metrics\": context deadline exceeded");
    let fetch = bed.wait().remove(0);
    bed.end(&fetch, Ok(Fetched { status: 500, ..good("") }));
    assert_eq!(bed.error(), "server returned HTTP status 500 Internal Server Error");
    bed.scrape("a 4\n");
    assert_eq!(bed.shown(slot, "a"), "a{} 1@0 stale@1 4@3");
    assert_eq!(bed.shown(slot, "up"), "up{} 1@0 0@1 0@2 1@3");
    assert_eq!(bed.shown(slot, "scrape_series_added"), "scrape_series_added{} 1@0 0@1 0@2 0@3");
}

#[test]
fn garbage_and_foreign_formats_fail() {
    let mut bed = one(|_| {});
    let slot = bed.scrape("a 1\n{{{\n");
    assert!(!bed.error().is_empty());
    assert_eq!(bed.shown(slot, "a"), "");
    assert_eq!(bed.shown(slot, "up"), "up{} 0@0");
    let fetch = bed.wait().remove(0);
    bed.end(&fetch, Ok(Fetched { content_type: "text/html", ..good("a 1\n") }));
    assert_eq!(
        bed.error(),
        "received unsupported Content-Type \"text/html\" and no fallback_scrape_protocol specified \
         for target"
    );
    let mut bed = one(|job| job.fallback = Some(Protocol::Text0));
    let fetch = bed.wait().remove(0);
    bed.end(&fetch, Ok(Fetched { content_type: "", ..good("a 1\n") }));
    assert_eq!(bed.error(), "");
}

#[test]
fn labels_that_clash_are_exported_or_honored() {
    let body = "a{job=\"mine\",exported_instance=\"x\",instance=\"y\"} 1\n";
    let mut bed = one(|_| {});
    let slot = bed.scrape(body);
    assert_eq!(
        bed.shown(slot, "a"),
        "a{exported_exported_instance=y,exported_instance=x,exported_job=mine} 1@0"
    );
    let mut bed = one(|job| job.honor_labels = true);
    bed.scrape("a{job=\"mine\",instance=\"\"} 1\n");
    let labels: Vec<String> =
        bed.series().keys().filter(|l| l.metric_name() == "a").map(ToString::to_string).collect();
    assert_eq!(labels, ["{__name__=\"a\", job=\"mine\"}"]);
}

#[test]
fn metric_relabelling_drops_and_renames() {
    let drop = RuleOptions {
        source_labels: vec!["__name__".into()],
        regex: "go_.*".into(),
        action: "drop".into(),
        ..RuleOptions::default()
    };
    let merge = RuleOptions {
        source_labels: vec!["__name__".into()],
        regex: "old_(.*)".into(),
        target_label: "__name__".into(),
        replacement: "new_$1".into(),
        ..RuleOptions::default()
    };
    let rules = [Rule::new(&drop).unwrap(), Rule::new(&merge).unwrap()];
    let mut bed = one(|job| job.metric_relabel = Arc::from(rules));
    let slot = bed.scrape("go_a 1\nold_b 2\nnew_b 3\ngo_c 4\nd 5\n");
    bed.scrape("go_a 1\nold_b 20\nnew_b 3\ngo_c 4\nd 50\n");
    assert_eq!(bed.shown(slot, "new_b"), "new_b{} 2@0 20@1");
    assert_eq!(bed.shown(slot, "d"), "d{} 5@0 50@1");
    assert_eq!(bed.shown(slot, "go_a"), "");
    let kept = "scrape_samples_post_metric_relabeling";
    assert_eq!(bed.shown(slot, kept), format!("{kept}{{}} 3@0 3@1"));
    assert_eq!(bed.shown(slot, "scrape_samples_scraped"), "scrape_samples_scraped{} 5@0 5@1");
    assert_eq!(bed.metric("prometheus_target_scrapes_sample_duplicate_timestamp_total"), "2");
}

#[test]
fn limits_fail_the_whole_scrape() {
    let mut bed = one(|job| job.limits.samples = 2);
    let slot = bed.scrape("a 1\nb 2\n");
    bed.scrape("a 1\nb 2\nc 3\n");
    assert_eq!(bed.error(), "sample limit exceeded");
    assert_eq!(bed.shown(slot, "a"), "a{} 1@0 stale@1");
    assert_eq!(bed.shown(slot, "c"), "");
    assert_eq!(bed.shown(slot, "scrape_samples_scraped"), "scrape_samples_scraped{} 2@0 3@1");
    assert_eq!(bed.metric("prometheus_target_scrapes_exceeded_sample_limit_total"), "1");
    let mut bed = one(|job| job.limits.labels = 3);
    bed.scrape("a{x=\"1\"} 1\n");
    assert_eq!(bed.error(), "label_limit exceeded (metric: a, number of labels: 4, limit: 3)");
    let mut bed = one(|job| job.limits.value_bytes = 5);
    bed.scrape("a{x=\"123456\"} 1\n");
    assert_eq!(
        bed.error(),
        "label_value_length_limit exceeded (metric: a, label name: x, value: \"123456\", length: \
         6, limit: 5)"
    );
    assert_eq!(bed.metric("prometheus_target_scrape_pool_exceeded_label_limits_total"), "1");
}

#[test]
fn the_first_of_doubled_series_counts() {
    let mut bed = one(|_| {});
    let slot = bed.scrape("a 1\na 2\n");
    bed.scrape("a 3\na 4\n");
    assert_eq!(bed.shown(slot, "a"), "a{} 1@0 3@1");
    assert_eq!(bed.metric("prometheus_target_scrapes_sample_duplicate_timestamp_total"), "2");
    let said = bed.scraper.take_notices();
    let left_out = What::LeftOut(LeftOut { duplicates: 1, ..LeftOut::default() });
    assert_eq!(said.iter().map(|notice| &notice.what).collect::<Vec<_>>(), [&left_out; 2]);
}

#[test]
fn failed_scrapes_are_told_of_where_the_job_has_a_log() {
    let mut bed = one(|job| job.failure_log = true);
    bed.scrape("a 1\n");
    bed.scrape("a {\n");
    let said = bed.scraper.take_notices();
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].what, What::Failed(bed.error()));
    assert_eq!((&*said[0].job, said[0].url.as_str()), ("test", "http://a:1/metrics"));
    let mut bed = one(|_| {});
    bed.scrape("a {\n");
    assert!(bed.scraper.take_notices().is_empty());
}

#[test]
fn timestamps_of_their_own_are_kept_or_not() {
    let mut bed = one(|_| {});
    let slot = bed.scrape("a 1\n");
    let at = |intervals: i64| slot + intervals * i64::try_from(INTERVAL_MS).unwrap();
    bed.scrape(&format!("a 2\nb 5 {}\nc 6 {}\n", at(0), at(0)));
    bed.scrape(&format!("a 3\nb 7 {}\nc 6 {}\n", at(1), at(0)));
    bed.scrape(&format!("a 4\nb 8 {}\n", at(0)));
    bed.scrape(&format!("a 4\nb 8 {}\n", at(100)));
    assert_eq!(bed.shown(slot, "b"), "b{} 5@0 7@1");
    assert_eq!(bed.shown(slot, "c"), "c{} 6@0");
    assert_eq!(bed.metric("prometheus_target_scrapes_sample_out_of_order_total"), "1");
    assert_eq!(bed.metric("prometheus_target_scrapes_sample_out_of_bounds_total"), "1");
    let mut bed = one(|job| job.honor_timestamps = false);
    let slot = bed.scrape("b 5 1000\n");
    bed.scrape("b 6 1000\n");
    assert_eq!(bed.shown(slot, "b"), "b{} 5@0 6@1");
}

#[test]
fn own_timestamps_of_a_refused_row_are_offered_again() {
    let mut bed = one(|_| {});
    let slot = bed.scrape("a 1\n");
    // So small a log backlog that the second row finds it full: no disk answers here.
    let options = StoreOptions { log_backlog_bytes_max: 64 << 10, ..StoreOptions::default() };
    let mut full = Bed::new(Options::default());
    full.store = Store::new(options);
    full.apply(vec![spec_of(&job(), "a:1")]);
    let many: String = (0..20_000).map(|at| format!("m{{s=\"{at}\"}} {at}\n")).collect();
    full.scrape(&many);
    full.scrape(&format!("a 1\nb 5 {slot}\n"));
    assert_eq!(full.error(), "storage refused the row: the log waits for the disk");
    full.store = std::mem::replace(&mut bed.store, Store::new(StoreOptions::default()));
    full.scrape(&format!("a 1\nb 5 {slot}\n"));
    assert_eq!(full.shown(slot, "b"), "b{} 5@0");
}

#[test]
fn tracked_timestamps_end_too() {
    let mut bed = one(|job| job.track_timestamps_staleness = true);
    let slot = bed.scrape("a 1\n");
    bed.scrape(&format!("a 2\nb 5 {slot}\n"));
    bed.scrape("a 3\n");
    bed.scrape("a 4\n");
    assert_eq!(bed.shown(slot, "b"), "b{} 5@0 stale@2");
}

#[test]
fn tracked_timestamps_end_once_when_the_target_is_down() {
    let mut bed = one(|job| job.track_timestamps_staleness = true);
    let slot = bed.scrape("a 1\n");
    bed.scrape(&format!("a 2\nb 5 {slot}\n"));
    for _ in 0..3 {
        let fetches = bed.wait();
        bed.end(&fetches[0], Err(FetchFault::Deadline));
    }
    assert_eq!(bed.shown(slot, "b"), "b{} 5@0 stale@2");
    bed.apply(Vec::new());
    bed.wait();
    assert_eq!(bed.shown(slot, "b"), "b{} 5@0 stale@2");
}

#[test]
fn a_target_that_goes_ends_after_its_second_slot() {
    let mut bed = one(|_| {});
    let slot = bed.scrape("a 1\n");
    bed.apply(Vec::new());
    assert!(bed.scraper.statuses().is_empty());
    assert!(bed.wait().is_empty());
    assert_eq!(bed.shown(slot, "a"), "a{} 1@0 stale@1");
    assert_eq!(bed.shown(slot, "up"), "up{} 1@0 stale@1");
    let late_ms = bed.now().wall.0 - slot;
    assert_eq!(late_ms, 21_000);
    assert_eq!(bed.scraper.next_deadline(), None);
}

#[test]
fn a_target_that_comes_back_in_time_goes_on() {
    let mut bed = one(|_| {});
    let slot = bed.scrape("a 1\n");
    bed.apply(Vec::new());
    bed.apply(vec![spec_of(&job(), "a:1")]);
    bed.scrape("a 2\n");
    assert_eq!(bed.shown(slot, "a"), "a{} 1@0 2@1");
    assert_eq!(bed.shown(slot, "scrape_series_added"), "scrape_series_added{} 1@0 0@1");
}

#[test]
fn new_rules_are_applied_to_known_series() {
    let mut bed = one(|_| {});
    let slot = bed.scrape("a 1\nb 1\n");
    let mut changed = job();
    let drop = RuleOptions {
        source_labels: vec!["__name__".into()],
        regex: "b".into(),
        action: "drop".into(),
        ..RuleOptions::default()
    };
    changed.metric_relabel = Arc::from([Rule::new(&drop).unwrap()]);
    bed.apply(vec![spec_of(&changed, "a:1")]);
    bed.scrape("a 2\nb 2\n");
    assert_eq!(bed.shown(slot, "a"), "a{} 1@0 2@1");
    assert_eq!(bed.shown(slot, "b"), "b{} 1@0 stale@1");
}

#[test]
fn sc1_fetches_beyond_the_limit_wait_and_skip_slots() {
    let mut bed = Bed::new(Options { in_flight_max: 2, ..Options::default() });
    let addresses = ["a:1", "b:1", "c:1", "d:1"];
    bed.apply(addresses.map(|address| spec_of(&job(), address)).into());
    let mut out = Vec::new();
    while out.len() < 2 {
        out.extend(bed.wait());
    }
    while bed.scraper.next_deadline().is_some() {
        assert!(bed.wait().is_empty());
    }
    bed.tick += 3 * INTERVAL_MS * NANOS_PER_MS;
    let begun = bed.end(&out[0], Ok(good("a 1\n")));
    assert_eq!(begun.len(), 1);
    let now = bed.now().wall.0;
    assert!(now - i64::try_from(INTERVAL_MS).unwrap() <= begun[0].slot.0 && begun[0].slot.0 <= now);
    assert_ne!(bed.metric("cresset_scrape_slots_skipped_total"), "0");
}

#[test]
fn sc2_answers_nobody_waits_for_are_counted() {
    let mut bed = one(|_| {});
    let fetch = bed.wait().remove(0);
    bed.end(&fetch, Ok(good("a 1\n")));
    bed.end(&fetch, Ok(good("a 2\n")));
    assert_eq!(bed.metric("cresset_scrape_fetches_orphaned_total"), "1");
    assert_eq!(bed.shown(fetch.slot.0, "a"), "a{} 1@0");
}

#[test]
fn a1_a_cell_is_a_value_or_a_marker() {
    // A series of the report's own name takes its place while it is exposed.
    let mut bed = one(|_| {});
    let slot = bed.scrape("up 7\na 1\n");
    bed.scrape("a 1\n");
    assert_eq!(bed.shown(slot, "up"), "up{} 7@0 1@1");
}

#[test]
fn a_group_of_series_that_are_gone_is_left_unnoticed() {
    let mut bed = Bed::new(Options { columns_spare: 16, ..Options::default() });
    bed.apply(vec![spec_of(&job(), "a:1")]);
    let body = |round: i64| {
        let replaced = (0..5).map(|at| format!("m{{r=\"{round}\",s=\"{at}\"}} {round}\n"));
        replaced.collect::<String>() + "stays 1\n"
    };
    let rounds = 40;
    let slot = bed.scrape(&body(0));
    for round in 1..rounds {
        if round == 20 {
            let fetch = bed.wait().remove(0);
            bed.end(&fetch, Err(FetchFault::Deadline));
        } else {
            bed.scrape(&body(round));
        }
    }
    let left: u64 = bed.metric("cresset_scrape_groups_left_total").parse().unwrap();
    assert!((2..10).contains(&left), "{left} groups left");
    for (labels, samples) in bed.series() {
        let after = |at: i64| (at - slot) / i64::try_from(INTERVAL_MS).unwrap();
        let shown: Vec<(i64, bool)> =
            samples.iter().map(|(at, value)| (after(*at), is_stale(*value))).collect();
        if labels.metric_name() == "m" {
            let round: i64 = labels.value("r").parse().unwrap();
            let ends = if round == rounds - 1 { None } else { Some((round + 1, true)) };
            let expected: Vec<_> = [(round, false)].into_iter().chain(ends).collect();
            assert_eq!(shown, expected, "{labels}");
        } else if labels.metric_name() == "stays" {
            assert_eq!(shown, (0..rounds).map(|round| (round, round == 20)).collect::<Vec<_>>());
        } else if labels.metric_name() == "scrape_series_added" {
            let added: Vec<f64> = samples[1..].iter().map(|(_, added)| *added).collect();
            let expected = (1..rounds).map(|round| if round == 20 { 0.0 } else { 5.0 });
            assert_eq!(added, expected.collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_body_that_fails_adds_no_series_of_the_group_just_left() {
    let mut bed = Bed::new(Options { columns_spare: 16, ..Options::default() });
    bed.apply(vec![spec_of(&job(), "a:1")]);
    for round in 0..30 {
        let series = (0..5).map(|at| format!("m{{r=\"{round}\",s=\"{at}\"}} {round}\n"));
        let body = series.collect::<String>();
        bed.scrape(&body);
        bed.scrape(&format!("{body}{{{{{{\n"));
    }
    let left: u64 = bed.metric("cresset_scrape_groups_left_total").parse().unwrap();
    assert!(2 <= left, "{left} groups left");
    let series = bed.series();
    let found = series.iter().find(|(labels, _)| labels.metric_name() == "scrape_series_added");
    let added: Vec<f64> = found.expect("a report").1.iter().map(|(_, added)| *added).collect();
    assert_eq!(added, [5.0, 0.0].repeat(30));
}

#[test]
fn a_forced_error_is_told_without_a_fetch() {
    let mut spec = spec_of(&job(), "a:1");
    spec.forced_error = Some(Arc::from("target_limit exceeded (number of targets: 2, limit: 1)"));
    let mut bed = Bed::with(vec![spec]);
    assert!(bed.wait().is_empty());
    assert_eq!(bed.error(), "target_limit exceeded (number of targets: 2, limit: 1)");
    assert_eq!(bed.series().len(), 5);
}

#[test]
fn storage_that_takes_no_more_series_fails_that_scrape_only() {
    let mut bed = one(|_| {});
    bed.store = Store::new(StoreOptions { series_max: 6, ..StoreOptions::default() });
    let slot = bed.scrape("a 1\n");
    bed.scrape("a 1\nb 1\n");
    assert_eq!(bed.error(), "storage refused the series: limit of 6 series reached");
    bed.scrape("a 3\n");
    assert_eq!(bed.shown(slot, "a"), "a{} 1@0 stale@1 3@2");
    assert_eq!(bed.shown(slot, "up"), "up{} 1@0 0@1 1@2");
}

#[test]
fn requests_offer_what_is_read() {
    let mut bed = one(|_| {});
    let fetch = bed.wait().remove(0);
    let request = &*fetch.request;
    let text: Vec<String> = request.headers.iter().map(|(n, v)| format!("{n}: {v}")).collect();
    assert_eq!(
        text,
        [
            "Accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "Accept-Encoding: gzip",
            concat!("User-Agent: Cresset/", env!("CARGO_PKG_VERSION")),
            "X-Prometheus-Scrape-Timeout-Seconds: 8",
        ]
    );
    assert_eq!((request.host.as_str(), request.port), ("a", 1));
    assert_eq!(fetch.deadline.0, bed.tick + 8_000 * NANOS_PER_MS);
}

#[test]
fn bodies_of_any_order_give_the_same_samples() {
    // The same series in rising, falling and mixed order, some missing: what the layout predicts
    // and what it does not must meet in the same cells.
    let mut bed = one(|_| {});
    let mut expected: BTreeMap<usize, Vec<(i64, f64)>> = BTreeMap::new();
    let mut chance = 7_u64;
    for round in 0..60_u32 {
        let mut lines: Vec<(usize, f64)> = Vec::new();
        for series in 0..20 {
            chance = chance
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            if round % 7 == 3 && chance >> 62 == 0 {
                continue;
            }
            lines.push((
                series,
                f64::from(round) + f64::from(u32::try_from(chance >> 40).unwrap()) / 8.0,
            ));
        }
        match round % 5 {
            1 => lines.reverse(),
            2 => lines.rotate_left(7),
            _ => {}
        }
        let body: String =
            lines.iter().map(|(series, value)| format!("m{{s=\"{series}\"}} {value}\n")).collect();
        let slot = bed.scrape(&body);
        for (series, value) in lines {
            expected.entry(series).or_default().push((slot, value));
        }
    }
    for (labels, samples) in bed.series().into_iter().filter(|(l, _)| l.metric_name() == "m") {
        let series: usize = labels.value("s").parse().unwrap();
        let values: Vec<(i64, f64)> =
            samples.into_iter().filter(|(_, value)| !is_stale(*value)).collect();
        assert_eq!(values, expected[&series], "{labels}");
    }
}
