//! What comes from outside: no text makes reading a configuration panic, and whatever is accepted
//! is written back as something that is accepted too. And what comes from Prometheus: its flags.

use std::path::Path;

use proptest::prelude::*;
use server::config::load;
use server::flags::{Task, parse};

const GOOD: &str = "global: {scrape_interval: 5s, external_labels: {a: $B}}
scrape_configs:
  - job_name: a
    static_configs: &x
      - targets: ['h:1']
        labels: {rack: 7}
    basic_auth: {username: u, password: p}
    relabel_configs: [{source_labels: [a], regex: (.*), target_label: b}]
  - job_name: b
    static_configs: *x
cresset: {shards: 2, segment_size: 4MiB}
";

/// What unit files, charts and operators of Prometheus 3 give it.
const FLAGS: &[&str] = &[
    "--config.file=a.yml",
    "--config.auto-reload",
    "--config.auto-reload-interval=30s",
    "--storage.tsdb.path=data",
    "--storage.tsdb.retention.time=15d",
    "--storage.tsdb.retention.size=512MB",
    "--storage.tsdb.no-lockfile",
    "--storage.tsdb.min-block-duration=2h",
    "--storage.tsdb.max-block-duration=2h",
    "--storage.tsdb.delay-compact-file.path=meta.json",
    "--storage.tsdb.wal-compression",
    "--storage.remote.flush-deadline=1m",
    "--storage.remote.read-sample-limit=50000000",
    "--storage.remote.read-concurrent-limit=10",
    "--storage.remote.read-max-bytes-in-frame=1048576",
    "--web.listen-address=127.0.0.1:9090",
    "--web.listen-address=[::1]:9090",
    "--web.external-url=http://a/b",
    "--web.route-prefix=/",
    "--web.config.file=web.yml",
    "--web.read-timeout=5m",
    "--web.max-connections=512",
    "--web.cors.origin=.*",
    "--web.page-title=A",
    "--web.console.templates=consoles",
    "--web.console.libraries=console_libraries",
    "--web.enable-lifecycle",
    "--web.enable-admin-api",
    "--web.enable-remote-write-receiver",
    "--web.enable-otlp-receiver",
    "--web.remote-write-receiver.accepted-protobuf-messages=prometheus.WriteRequest",
    "--query.timeout=2m",
    "--query.max-concurrency=20",
    "--query.max-samples=50000000",
    "--query.lookback-delta=5m",
    "--rules.alert.for-outage-tolerance=1h",
    "--rules.alert.for-grace-period=10m",
    "--rules.alert.resend-delay=1m",
    "--rules.max-concurrent-evals=4",
    "--alertmanager.notification-queue-capacity=10000",
    "--alertmanager.notification-batch-size=256",
    "--alertmanager.drain-notification-queue-on-shutdown",
    "--enable-feature=exemplar-storage,native-histograms",
    "--log.level=info",
    "--log.format=logfmt",
];

#[test]
fn every_flag_that_operators_rely_on_is_accepted() {
    let accepted = |flags: &[&str]| {
        let line = std::iter::once("cresset").chain(flags.iter().copied()).map(str::to_owned);
        match parse(line) {
            Ok(Task::Run(flags)) => Ok(flags.listen.len()),
            other => Err(format!("{other:?}")),
        }
    };
    assert_eq!(accepted(FLAGS), Ok(2));
    for flag in FLAGS {
        assert_eq!(accepted(&[flag]), Ok(1));
    }
}

/// The file with some bytes replaced, dropped or doubled.
fn damaged(edits: &[(usize, u8, u8)]) -> String {
    let mut bytes = GOOD.as_bytes().to_vec();
    for (at, kind, byte) in edits {
        let at = at % bytes.len();
        match kind % 3 {
            0 => bytes[at] = *byte,
            1 => drop(bytes.remove(at)),
            _ => bytes.insert(at, bytes[at]),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

proptest! {
    #[test]
    fn any_text_is_refused_or_accepted(text in "\\PC{0,200}") {
        let _ = load(&text, Path::new("p.yml"));
    }

    #[test]
    fn a_damaged_file_is_refused_or_accepted(
        edits in prop::collection::vec((any::<usize>(), any::<u8>(), 32u8..127), 1..6),
    ) {
        let text = damaged(&edits);
        match load(&text, Path::new("p.yml")) {
            Err(error) => prop_assert!(!error.with_snippets().is_empty()),
            Ok(config) => {
                let hidden = config.yaml.replace("<secret>", "x");
                let again = load(&hidden, Path::new("p.yml"));
                prop_assert!(again.is_ok(), "{again:?} for {hidden}");
            }
        }
    }
}

#[test]
fn the_file_itself_is_good() {
    let config = load(GOOD, Path::new("p.yml")).expect("valid");
    assert_eq!(config.jobs.len(), 2);
}
