//! A backend of values, and requests against the router over it: what the tests of the API share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use api::active::ActiveQueries;
use api::backend::{
    ActiveTarget, Alive, Backend, BlockCounts, BlockOrigin, BlockStatus, DroppedTarget, Exemplar,
    FamilyMetadata, Features, Finished, HeadStatus, Job, Noted, Notification, Phase, RelabelStep,
    Replay, RuntimeStatus, SeriesExemplars, Settings, Targets, TsdbStatus,
};
use api::inbound::{Inbound, PushRefused, PushReply, Receivers};
use api::outbound::{Outbound, ReadLimits};
use axum::body::Body;
use exposition::metrics::Collected;
use http_body_util::BodyExt as _;
use hyper::{Request, Response};
use model::label_set::LabelSet;
use model::matcher::Matcher;
use model::regex::GoRegex;
use model::samples::Samples;
use model::time::{Now, Tick, TimestampMs};
use query::evaluate::EngineOptions;
use query::source::{Column, LabelQuery, Selection, Series, Source, SourceError};
use remote::batch::Batch;
use remote::otlp::translate::OtlpSettings;
use remote::outcome::Pushed;
use tokio::sync::watch;
use tower::ServiceExt as _;

/// A server of fixed values.
pub(crate) struct Fixed {
    pub(crate) settings: Settings,
    pub(crate) phase: Phase,
    /// Whether the queue is full.
    pub(crate) full: AtomicBool,
    pub(crate) engine: EngineOptions,
    pub(crate) active: Arc<ActiveQueries>,
    /// Hears of queries that began and finished.
    pub(crate) notes: Option<Sender<String>>,
    /// Samples of series `held` are not read before it is true.
    pub(crate) released: Arc<AtomicBool>,
    pub(crate) receivers: Receivers,
    pub(crate) notifications: watch::Sender<Arc<Vec<Notification>>>,
}

impl Default for Fixed {
    fn default() -> Fixed {
        Fixed {
            settings: Settings {
                query_timeout_ms: 120_000,
                lookback_ms: 300_000,
                cors_any: true,
                cors_origin: GoRegex::anchored(".*").expect("pattern"),
                lifecycle: false,
                admin: false,
                version: "0.1.0",
                page_title: "Cresset <1>".to_owned(),
                path_prefix: String::new(),
                subscribers_max: 1,
                streams_max: 1,
            },
            phase: Phase::Ready,
            full: AtomicBool::new(false),
            engine: EngineOptions::default(),
            active: Arc::default(),
            notes: None,
            released: Arc::new(AtomicBool::new(true)),
            receivers: Receivers {
                write: true,
                write_v1: true,
                write_v2: true,
                otlp: true,
                push: true,
            },
            notifications: watch::Sender::default(),
        }
    }
}

/// Three series with two samples each, and `held`.
struct Store(Arc<AtomicBool>, Alive);

/// One sample, when it is released and somebody waits for it.
struct Held(Arc<AtomicBool>, Alive);

impl Column for Held {
    fn decode(
        &self,
        _after: TimestampMs,
        until: TimestampMs,
        samples: &mut Samples,
    ) -> Result<(), SourceError> {
        while !self.0.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        if !(self.1)() {
            return Err(SourceError::Ended);
        }
        samples.push(until, 1.0);
        Ok(())
    }
}

/// 1 ten seconds before the time of the backend's clock, 0.5 five seconds before it.
struct Two;

impl Column for Two {
    fn decode(
        &self,
        after: TimestampMs,
        until: TimestampMs,
        samples: &mut Samples,
    ) -> Result<(), SourceError> {
        for (time, value) in [(1_699_999_990_000, 1.0), (1_699_999_995_500, 0.5)] {
            if after.0 < time && time <= until.0 {
                samples.push(TimestampMs(time), value);
            }
        }
        Ok(())
    }
}

fn all() -> Vec<LabelSet> {
    vec![
        LabelSet::new([("__name__", "up"), ("job", "b")]),
        LabelSet::new([("__name__", "up"), ("job", "a")]),
        LabelSet::new([("__name__", "http.status"), ("job", "a")]),
    ]
}

fn matching(sets: &[Vec<Matcher>]) -> Vec<LabelSet> {
    let fits = |labels: &LabelSet| {
        let fits_set = |set: &Vec<Matcher>| set.iter().all(|m| m.matches_labels(labels));
        sets.is_empty() || sets.iter().any(fits_set)
    };
    all().into_iter().filter(fits).collect()
}

impl Source for Store {
    fn select(&self, selection: &Selection) -> Result<Vec<Series>, SourceError> {
        let held = LabelSet::new([("__name__", "held")]);
        if selection.matchers.iter().all(|matcher| matcher.matches_labels(&held)) {
            let column = Arc::new(Held(Arc::clone(&self.0), Arc::clone(&self.1)));
            return Ok(vec![Series { labels: held, column }]);
        }
        let found = matching(std::slice::from_ref(&selection.matchers));
        if selection.series_max < found.len() {
            return Err(SourceError::TooManySeries { series_max: selection.series_max });
        }
        Ok(found.into_iter().map(|labels| Series { labels, column: Arc::new(Two) }).collect())
    }

    fn label_values(&self, name: &str, wanted: &LabelQuery) -> Result<Vec<String>, SourceError> {
        let series = matching(&wanted.matcher_sets);
        let mut values: Vec<String> =
            series.iter().filter_map(|labels| labels.get(name).map(str::to_owned)).collect();
        values.sort();
        values.dedup();
        Ok(values)
    }

    fn label_names(&self, _wanted: &LabelQuery) -> Result<Vec<String>, SourceError> {
        Err(SourceError::Unavailable("shard 1 did not answer".to_owned()))
    }
}

impl Backend for Fixed {
    fn now(&self) -> Now {
        Now { tick: Tick(1_000_000), wall: TimestampMs(1_700_000_000_000) }
    }

    fn delete_series(
        &self,
        matchers: Vec<Matcher>,
        from: TimestampMs,
        _to: TimestampMs,
    ) -> Result<(), String> {
        if matchers.is_empty() { Err(format!("nothing from {} on", from.0)) } else { Ok(()) }
    }

    fn clean_tombstones(&self) -> Result<(), String> {
        Ok(())
    }

    fn snapshot(&self, skip_head: bool) -> Result<String, String> {
        Ok(format!("skip-{skip_head}"))
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn phase(&self) -> Phase {
        self.phase
    }

    fn replay(&self) -> Replay {
        Replay { min: 0, max: 7, current: 3 }
    }

    fn source(&self, alive: Alive) -> Arc<dyn Source> {
        Arc::new(Store(Arc::clone(&self.released), alive))
    }

    fn engine(&self) -> EngineOptions {
        self.engine.clone()
    }

    fn run(&self, job: Job) -> Result<(), Job> {
        if self.full.load(Ordering::Relaxed) {
            return Err(job);
        }
        std::thread::spawn(move || job(api::backend::Turn::Run));
        Ok(())
    }

    fn targets(&self) -> Result<Targets, String> {
        Ok(Targets {
            active: vec![ActiveTarget {
                discovered_labels: LabelSet::new([("__address__", "localhost:9090")]),
                labels: LabelSet::new([("job", "a")]),
                scrape_pool: "a".to_owned(),
                scrape_url: "http://localhost:9090/metrics".to_owned(),
                global_url: "http://host:9090/metrics".to_owned(),
                last_error: String::new(),
                last_scrape: None,
                last_scrape_seconds: 0.25,
                health: "unknown",
                interval_ms: 15_000,
                timeout_ms: 10_000,
            }],
            dropped: vec![DroppedTarget {
                discovered_labels: LabelSet::new([("__address__", "x")]),
                scrape_pool: "b".to_owned(),
            }],
            dropped_counts: vec![("b".to_owned(), 1)],
        })
    }

    fn scrape_pools(&self) -> Vec<String> {
        vec!["b".to_owned(), "a".to_owned()]
    }

    fn scrape_pool_yaml(&self, pool: &str) -> Option<String> {
        (pool == "a").then(|| "job_name: a\n".to_owned())
    }

    fn relabel_steps(&self, pool: &str, labels: &LabelSet) -> Option<Vec<RelabelStep>> {
        let rule = serde_json::json!({"separator": ";", "replacement": "$1", "action": "keep"});
        let step = RelabelStep { rule, output: labels.clone(), keep: true };
        (pool == "a").then(|| vec![step])
    }

    fn metadata(
        &self,
        visit: &mut dyn FnMut(&LabelSet, &[FamilyMetadata]) -> bool,
    ) -> Result<(), String> {
        let family = |name: &str, metric_type, help: &str| FamilyMetadata {
            name: name.to_owned(),
            metric_type,
            help: help.to_owned(),
            unit: String::new(),
        };
        let first = [family("a", "counter", "A."), family("b", "gauge", "B.")];
        if visit(&LabelSet::new([("job", "x")]), &first) {
            visit(&LabelSet::new([("job", "y")]), &[family("a", "gauge", "Another.")]);
        }
        Ok(())
    }

    fn pushed_metadata(&self) -> Result<Vec<FamilyMetadata>, String> {
        let (name, help, unit) = ("p".to_owned(), "Pushed.".to_owned(), "bytes".to_owned());
        Ok(vec![FamilyMetadata { name, metric_type: "gauge", help, unit }])
    }

    fn exemplars(
        &self,
        matcher_sets: Vec<Vec<Matcher>>,
        from: TimestampMs,
        to: TimestampMs,
    ) -> Result<Vec<SeriesExemplars>, String> {
        let labels = LabelSet::new([("__name__", "a_bucket"), ("le", "1.0")]);
        let fits = |set: &Vec<Matcher>| set.iter().all(|m| m.matches(labels.value(&m.name)));
        if !matcher_sets.iter().any(fits) {
            return Ok(Vec::new());
        }
        let exemplar = |value, ms| Exemplar {
            labels: LabelSet::new([("trace_id", "t")]),
            value,
            timestamp: TimestampMs(ms),
        };
        let mut exemplars =
            vec![exemplar(0.5, 1_600_096_945_479), exemplar(6.0, 1_600_096_946_000)];
        exemplars.retain(|exemplar| from <= exemplar.timestamp && exemplar.timestamp <= to);
        Ok(vec![SeriesExemplars { labels, exemplars }])
    }

    fn tsdb(&self, _limit: usize) -> Result<TsdbStatus, String> {
        let head_stats = HeadStatus { num_series: 3, ..HeadStatus::default() };
        Ok(TsdbStatus { head_stats, ..TsdbStatus::default() })
    }

    fn blocks(&self) -> Result<Vec<BlockStatus>, String> {
        Ok(vec![BlockStatus {
            ulid: "01KB0000000000000000000001".to_owned(),
            min_time: 1,
            max_time: 3,
            stats: BlockCounts { num_samples: 2, num_series: 1 },
            compaction: BlockOrigin { level: 1 },
            version: 1,
        }])
    }

    fn notifications(&self) -> watch::Receiver<Arc<Vec<Notification>>> {
        self.notifications.subscribe()
    }

    fn features(&self) -> Features {
        Features::from([("api", BTreeMap::from([("admin", false)]))])
    }

    fn config_yaml(&self) -> String {
        "global: {}\n".to_owned()
    }

    fn flags(&self) -> Vec<(String, String)> {
        vec![("config.file".to_owned(), "x.yml".to_owned())]
    }

    fn runtime(&self) -> RuntimeStatus {
        RuntimeStatus::default()
    }

    fn collect(&self, into: &mut Collected) {
        into.gauge("prometheus_ready", "Whether it is ready.", &[], 1.0);
    }

    fn collect_host(&self, into: &mut Collected) {
        into.gauge("node_load1", "1m load average.", &[], 0.5);
    }

    fn reload(&self) -> Result<(), String> {
        Err("line 3: no".to_owned())
    }

    fn quit(&self) {}

    fn active(&self) -> &Arc<ActiveQueries> {
        &self.active
    }

    fn began(&self, text: &str) -> Option<Noted> {
        let notes = self.notes.clone()?;
        notes.send(format!("began {text}")).expect("the test listens");
        let ended = format!("ended {text}");
        Some(Box::new(Note(notes, ended)))
    }

    fn finished(&self, finished: &Finished<'_>) {
        let Some(notes) = &self.notes else { return };
        let Finished { query, active, error, stats, is_sorted, .. } = finished;
        let note = format!(
            "finished {} by {} of {:?}: {error:?}, {} samples, sorted {is_sorted}",
            query.text, active.handler, active.client, stats.samples_total
        );
        notes.send(note).expect("the test listens");
    }
}

impl Inbound for Fixed {
    fn receivers(&self) -> Receivers {
        self.receivers
    }

    fn otlp_settings(&self) -> Arc<OtlpSettings> {
        Arc::default()
    }

    fn restamp_ms(&self) -> u64 {
        60_000
    }

    fn shards(&self) -> usize {
        2
    }

    fn push(&self, shard: usize, batch: Batch, reply: PushReply) -> Result<(), PushRefused> {
        if self.full.load(Ordering::Relaxed) {
            return Err(PushRefused::Busy);
        }
        assert!(shard < 2);
        let count = |size: usize| u64::try_from(size).expect("small");
        reply(Pushed {
            samples: count(batch.floats.len()),
            histograms: count(batch.natives.len()),
            exemplars: count(batch.exemplars.len()),
            ..Pushed::default()
        });
        Ok(())
    }
}

impl Outbound for Fixed {
    fn external_labels(&self) -> LabelSet {
        LabelSet::new([("zone", "z")])
    }

    fn read_limits(&self) -> ReadLimits {
        ReadLimits { samples_max: 5, concurrent_max: 100, frame_bytes_max: 1 << 20 }
    }
}

/// Says when a query ended.
struct Note(Sender<String>, String);

impl Drop for Note {
    fn drop(&mut self) {
        // The test may be over.
        let _ = self.0.send(std::mem::take(&mut self.1));
    }
}

/// Status and body, and the response's head for who looks closer.
pub(crate) async fn ask(backend: Fixed, request: Request<Body>) -> (Response<()>, String) {
    let router = api::router::router(Arc::new(backend));
    let response = router.oneshot(request).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("body").to_bytes();
    let text = String::from_utf8(bytes.to_vec()).expect("text");
    (Response::from_parts(parts, ()), text)
}

pub(crate) fn request(line: &str) -> Request<Body> {
    let (method, rest) = line.split_once(' ').expect("method and path");
    let (path, form) = rest.split_once(' ').unwrap_or((rest, ""));
    Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(form.to_owned()))
        .expect("request")
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("runtime")
}

/// `expected` is the status, a space and the body.
#[track_caller]
pub(crate) fn check(line: &str, expected: &str) {
    check_on(Fixed::default(), line, expected);
}

#[track_caller]
pub(crate) fn check_on(backend: Fixed, line: &str, expected: &str) {
    let (head, body) = runtime().block_on(ask(backend, request(line)));
    assert_eq!(format!("{} {body}", head.status().as_u16()), expected, "{line}");
}

pub(crate) fn failure(status: u16, kind: &str, text: &str) -> String {
    let text = text.replace('"', "\\\"");
    format!(r#"{status} {{"status":"error","errorType":"{kind}","error":"{text}"}}"#)
}

pub(crate) fn success(data: &str) -> String {
    format!(r#"200 {{"status":"success","data":{data}}}"#)
}
