//! The whole machine: start, scrape, ask, stop, start again.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use exposition::protobuf::family::HistogramOptions;
use model::label_set::LabelSet;
use model::matcher::{MatchOp, Matcher};
use model::samples::Samples;
use model::time::TimestampMs;
use scrape::http_options::HttpOptions;
use scrape::protocol::Protocol;
use scrape::relabel::NameScheme;
use scrape::status::{Health, TargetStatus};
use scrape::target::{Compression, Limits, NativeLimits, Scheme, TargetSpec, Url};
use shard::effect::Answer;
use shard::event::Question;
use storage::compaction::Aggregate;
use storage::selection::{SelectRequest, TileCache};

use crate::clock;
use crate::fault::{Fault, Faults};
use crate::handle::Handle;
use crate::open::{Progress, StartError};
use crate::operation::Kind;
use crate::options::Options;
use crate::placement::Placement;
use crate::probe::probe;
use crate::reactor::IoChoice;
use crate::start::{start, start_with};

const PATIENCE: Duration = Duration::from_secs(20);

fn over_both(mut test: impl FnMut(IoChoice)) {
    for io in [IoChoice::Ring, IoChoice::Epoll] {
        match probe().ring {
            Err(reason) if io == IoChoice::Ring => {
                eprintln!("NOT TESTED over io_uring, which this kernel forbids: {reason}");
            }
            _ => test(io),
        }
    }
}

fn options(directory: &Path, io: IoChoice) -> Options {
    let mut options = Options::new(directory.to_owned());
    options.io = io;
    options.shards = Some(2);
    options.pin = false;
    options.connections_max = 64;
    options.storage.segment_bytes = 1 << 20;
    options
}

fn begin(options: Options) -> Handle {
    start(options, &Arc::new(Progress::default())).unwrap()
}

fn serve() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let body = "# TYPE a counter\na{b=\"c\"} 1\nd 2.5\n";
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n\
                     Content-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                let mut request = [0; 4096];
                while stream.read(&mut request).is_ok_and(|count| 0 < count) {
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn target(host: &str, port: u16) -> Arc<TargetSpec> {
    let instance = format!("{host}:{port}");
    Arc::new(TargetSpec {
        job: Arc::from("test"),
        discovered: LabelSet::empty(),
        labels: LabelSet::new([("instance", instance.as_str()), ("job", "test")]),
        url: Url {
            scheme: Scheme::Http,
            host: host.to_owned(),
            port,
            authority: instance.clone(),
            path_and_query: "/metrics".to_owned(),
        },
        interval_ms: 200,
        timeout_ms: 200,
        honor_labels: false,
        honor_timestamps: true,
        track_timestamps_staleness: false,
        compression: Compression::Identity,
        accept: "*/*".into(),
        fallback: Some(Protocol::Text0),
        histograms: HistogramOptions::default(),
        native: NativeLimits::default(),
        name_scheme: NameScheme::Utf8,
        metric_relabel: Arc::from([]),
        limits: Limits::default(),
        extra_scrape_metrics: false,
        start_zeros: false,
        failure_log: false,
        http: HttpOptions::default().shared(),
        socket: None,
        forced_error: None,
    })
}

fn statuses(handle: &Handle) -> Vec<TargetStatus> {
    let answers = handle.ask_all(&Question::Targets, PATIENCE).unwrap();
    let lists = answers.into_iter().map(|answer| match answer {
        Answer::Targets(targets) => targets,
        other => panic!("{other:?}"),
    });
    lists.flatten().collect()
}

#[test]
fn targets_are_scraped_and_their_faults_named() {
    over_both(|io| {
        let directory = tempfile::tempdir().unwrap();
        let handle = begin(options(directory.path(), io));
        let good = serve();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        handle.set_targets(
            vec![
                target("127.0.0.1", good.port()),
                target("localhost", good.port()),
                target("127.0.0.1", free),
                target("no-such-host.invalid", 80),
            ],
            &Placement::default(),
        );
        let deadline = clock::tick().after_ms(20_000);
        let seen = loop {
            let seen = statuses(&handle);
            if seen.len() == 4 && seen.iter().all(|status| status.health != Health::Unknown) {
                break seen;
            }
            assert!(clock::tick() < deadline, "{seen:?}");
        };
        for status in seen {
            let text = format!("{:?} {:?}", status.health, status.last_error);
            match status.spec.url.host.as_str() {
                "no-such-host.invalid" => assert!(text.contains("lookup"), "{text}"),
                "127.0.0.1" if status.spec.url.port == free => {
                    assert!(text.contains("connection refused"), "{text}");
                }
                _ => assert_eq!(status.health, Health::Up, "{text}"),
            }
        }
        let turns = handle.turns();
        assert!(turns.iter().all(|turns| 0 < *turns));
        handle.stop(PATIENCE).unwrap();
    });
}

/// Copies a directory as it stands, as a power cut would leave it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Values of series `a`, all shards together.
fn values_of_a(handle: &Handle) -> Vec<f64> {
    let matcher = Matcher::new("__name__", MatchOp::Equal, "a").unwrap();
    let request = SelectRequest {
        matchers: vec![matcher],
        after: TimestampMs::MIN,
        until: TimestampMs::MAX,
        series_max: 10,
        aggregate: Aggregate::default(),
    };
    let answers = handle.ask_all(&Question::Select(request), PATIENCE).unwrap();
    let mut found = Samples::default();
    for (shard, answer) in answers.into_iter().enumerate() {
        let Answer::Select(series) = answer else { panic!("{answer:?}") };
        for series in series.unwrap().series {
            let tiles = handle.tiles(shard);
            let (after, until) = (TimestampMs::MIN, TimestampMs::MAX);
            let mut cache = TileCache::default();
            series.decode(&*tiles, &mut cache, after, until, &mut found).unwrap();
        }
    }
    found.values
}

#[test]
fn what_was_durable_survives_a_power_cut() {
    over_both(|io| {
        let directory = tempfile::tempdir().unwrap();
        let cut = Arc::new(AtomicBool::new(false));
        let shared = Arc::clone(&cut);
        let faults = Faults::new(move |kind, _| {
            let hold = kind == Kind::Write && shared.load(Ordering::SeqCst);
            if hold { Fault::Hold } else { Fault::None }
        });
        let progress = Arc::new(Progress::default());
        let handle = start_with(options(directory.path(), io), &progress, &faults).unwrap();
        let targets = vec![target("127.0.0.1", serve().port())];
        handle.set_targets(targets, &Placement::default());
        let deadline = clock::tick().after_ms(20_000);
        let commits = |handle: &Handle| {
            let mut collected = exposition::metrics::Collected::default();
            handle.collect(&mut collected);
            let text = collected.to_text();
            let line = text.lines().find(|line| line.starts_with("cresset_wal_commits_total"));
            line.and_then(|line| line.split(' ').next_back()?.parse::<u64>().ok()).unwrap()
        };
        while commits(&handle) < 4 {
            assert!(clock::tick() < deadline, "commits become durable");
            assert!(handle.ask(0, Question::Stats, PATIENCE).is_ok());
        }
        cut.store(true, Ordering::SeqCst);
        let after = tempfile::tempdir().unwrap();
        copy(directory.path(), after.path());
        let recovered = begin(options(after.path(), io));
        let values = values_of_a(&recovered);
        assert!(!values.is_empty() && values.iter().all(|value| *value == 1.0), "{values:?}");
        recovered.stop(PATIENCE).unwrap();
        cut.store(false, Ordering::SeqCst);
        handle.stop(PATIENCE).unwrap();
    });
}

#[test]
fn metrics_come_from_every_part() {
    over_both(|io| {
        let directory = tempfile::tempdir().unwrap();
        let handle = begin(options(directory.path(), io));
        let mut collected = exposition::metrics::Collected::default();
        handle.collect(&mut collected);
        for answer in handle.ask_all(&Question::Metrics, PATIENCE).unwrap() {
            let Answer::Metrics(answer) = answer else { panic!("{answer:?}") };
            collected.merge(&answer);
        }
        let text = collected.to_text();
        for name in [
            "cresset_wal_commits_total",
            "cresset_files_operations_total",
            "cresset_resolve_lookups_total",
            "cresset_shard_turns_total{shard=\"0\"}",
            "cresset_shard_turns_total{shard=\"1\"}",
            "cresset_wal_commit_duration_seconds_count{shard=\"1\"}",
        ] {
            assert!(text.contains(name), "{name} in {text}");
        }
        handle.stop(PATIENCE).unwrap();
    });
}

#[test]
fn a_directory_is_locked_and_keeps_its_shards() {
    over_both(|io| {
        let directory = tempfile::tempdir().unwrap();
        let handle = begin(options(directory.path(), io));
        let progress = Arc::new(Progress::default());
        let second = start(options(directory.path(), io), &progress);
        assert!(matches!(second, Err(StartError::Locked { .. })));
        handle.stop(PATIENCE).unwrap();
        let handle = begin(Options { shards: Some(5), ..options(directory.path(), io) });
        assert_eq!(handle.shards(), 2);
        let note = "the data directory has 2 shards and keeps them, not 5";
        assert!(handle.notes().iter().any(|line| line == note), "{:?}", handle.notes());
        handle.stop(PATIENCE).unwrap();
    });
}

/// Every file below `directory` but the lock, with its bytes.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else if entry.file_name() != "lock" {
            found.insert(entry.path(), std::fs::read(entry.path()).unwrap());
        }
    }
    found
}

#[test]
fn a_directory_of_a_newer_version_is_refused_and_untouched() {
    over_both(|io| {
        let directory = tempfile::tempdir().unwrap();
        let handle = begin(options(directory.path(), io));
        handle.stop(PATIENCE).unwrap();
        let description = directory.path().join("cresset.json");
        let text = std::fs::read_to_string(&description).unwrap();
        std::fs::write(&description, text.replace("\"version\": 1", "\"version\": 2")).unwrap();
        let before = files(directory.path());
        let progress = Arc::new(Progress::default());
        let refused = start(options(directory.path(), io), &progress).err().unwrap().to_string();
        assert!(refused.ends_with("version 2 is not known, only 1"), "{refused}");
        assert!(before == files(directory.path()), "a file was changed");
    });
}

#[test]
fn options_out_of_range_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let wrong = Options { shards: Some(0), ..options(directory.path(), IoChoice::Epoll) };
    let refused = start_with(wrong, &Arc::new(Progress::default()), &Faults::default());
    assert_eq!(
        refused.err().map(|error| error.to_string()).unwrap(),
        "option shards is outside 1..=1024"
    );
}

#[test]
fn a_dropped_question_harms_nobody() {
    over_both(|io| {
        let directory = tempfile::tempdir().unwrap();
        let handle = begin(options(directory.path(), io));
        for _ in 0..10 {
            // The asker has gone before the answer comes.
            drop(handle.ask(0, Question::Stats, Duration::ZERO));
        }
        assert!(handle.ask(0, Question::Stats, PATIENCE).is_ok());
        handle.stop(PATIENCE).unwrap();
    });
}
