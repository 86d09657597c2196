//! Bodies of every format become rows: native histograms, changes of format, limits.

use std::io;

use exposition::protobuf::family::HistogramOptions;
use model::label_set::LabelSet;
use model::matcher::{MatchOp, Matcher};
use model::samples::Samples;
use model::time::{Now, Tick, TimestampMs};
use scrape::fetch::{Fetched, Timings};
use scrape::job::{JobOptions, target};
use scrape::options::Options;
use scrape::scraper::{Ended, Out, Scraper};
use scrape::target::NativeLimits;
use storage::compaction::Aggregate;
use storage::names::FileName;
use storage::selection::{SelectRequest, TileCache};
use storage::store::Store;
use storage::tile_read::TileRead;

const TEXT: &str = "text/plain";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0";
const PROTOBUF: &str = "application/vnd.google.protobuf";

struct NoTiles;

impl TileRead for NoTiles {
    fn read(&self, file: &FileName, _: u64, _: &mut [u8]) -> io::Result<()> {
        Err(io::Error::other(file.to_string()))
    }
}

/// One target, its store and its clock.
struct Bed {
    scraper: Scraper,
    store: Store,
    ms: u64,
}

impl Bed {
    fn new(change: impl FnOnce(&mut JobOptions)) -> Bed {
        let mut job = JobOptions::new("j", 10_000, 8_000);
        change(&mut job);
        let found = LabelSet::new([("__address__", "a:1"), ("instance", "i")]);
        let spec = target(&job, &found).expect("a good target").expect("no rule drops it");
        let store = Store::new(storage::options::Options::default());
        let mut bed = Bed { scraper: Scraper::new(Options::default()), store, ms: 1_000_000 };
        bed.scraper.apply(bed.now(), vec![spec.into()]);
        bed
    }

    fn now(&self) -> Now {
        let wall = TimestampMs(i64::try_from(self.ms).expect("a time"));
        Now { tick: Tick(self.ms * 1_000_000), wall }
    }

    /// One scrape; gives the target's error.
    fn scrape(&mut self, content_type: &str, body: &[u8]) -> String {
        let mut fetches = Vec::new();
        while fetches.is_empty() {
            self.ms += 1_000;
            let now = self.now();
            let (store, effects) = (&mut self.store, &mut Vec::new());
            self.scraper.on_due(now, &mut Out { store, fetches: &mut fetches, effects });
        }
        let (now, fetch) = (self.now(), fetches.remove(0));
        let outcome = Ok(Fetched { status: 200, content_type, body, wire_bytes: 0 });
        let timings = Timings { began: now, ..Timings::default() };
        let ended = Ended { target: fetch.target, slot: fetch.slot, outcome, timings };
        let (store, effects) = (&mut self.store, &mut Vec::new());
        self.scraper.on_fetched(now, ended, &mut Out { store, fetches: &mut fetches, effects });
        self.scraper.statuses()[0].last_error.clone()
    }

    fn metrics(&self) -> String {
        let mut collected = exposition::metrics::Collected::default();
        self.scraper.collect(self.now().tick, &mut collected);
        collected.to_text()
    }

    /// Samples of the series whose name begins with `t_`, a line each.
    fn shown(&self) -> Vec<String> {
        let matchers = vec![Matcher::new("__name__", MatchOp::Regex, "t_.*").expect("a pattern")];
        let (after, until) = (TimestampMs::MIN, TimestampMs::MAX);
        let request = SelectRequest {
            matchers,
            after,
            until,
            series_max: 100,
            aggregate: Aggregate::default(),
        };
        let mut lines = Vec::new();
        for series in self.store.select(&request).expect("few series").series {
            let mut samples = Samples::default();
            let mut cache = TileCache::default();
            series.decode(&NoTiles, &mut cache, after, until, &mut samples).expect("no tile");
            let mut values: Vec<String> = samples.values.iter().map(|v| v.to_string()).collect();
            for (at, histogram) in &samples.histograms {
                let buckets = &histogram.positive_buckets;
                values[*at as usize] =
                    format!("[{}: {} {buckets:?}]", histogram.schema, histogram.count);
            }
            let own = series.labels.iter().filter(|(name, _)| !["job", "instance"].contains(name));
            let own: Vec<&str> = own.map(|(_, value)| value).collect();
            lines.push(format!("{} {}", own.join(" "), values.join(" ")));
        }
        lines.sort();
        lines
    }
}

/// A field of bytes.
fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).expect("short");
    assert!(length < 0x80, "one byte of length");
    [&[number << 3 | 2, length], content].concat()
}

fn double(number: u8, value: f64) -> Vec<u8> {
    [&[number << 3 | 1][..], &value.to_le_bytes()].concat()
}

fn integer(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

/// A family of one metric whose value is in field `field`.
fn family(name: &str, kind: u8, field: u8, value: &[u8]) -> Vec<u8> {
    let metric = bytes(4, &bytes(field, value));
    let content = [bytes(1, name.as_bytes()), integer(3, kind), metric].concat();
    let length = u8::try_from(content.len()).expect("short");
    [&[length][..], &content].concat()
}

/// `t_h` with the native buckets 2 and 3 at schema 1, and the classic ones 2 and 5.
fn native() -> Vec<u8> {
    let bucket = |count, bound| bytes(3, &[integer(1, count), double(2, bound)].concat());
    let content = [
        integer(1, 5),
        double(2, 9.0),
        bucket(2, 1.0),
        bucket(5, 2.0),
        integer(5, 2),
        // Zigzag: offset 1 is 2, length 2; deltas 2 and 1 are 4 and 2.
        bytes(12, &[integer(1, 2), integer(2, 2)].concat()),
        bytes(13, &[4, 2]),
    ];
    family("t_h", 4, 7, &content.concat())
}

fn native_only(job: &mut JobOptions) {
    job.histograms.native = true;
}

#[test]
fn native_histograms_are_stored_and_end() {
    let mut bed = Bed::new(native_only);
    let body = [family("t_c", 0, 3, &double(1, 7.0)), native()].concat();
    assert_eq!(bed.scrape(PROTOBUF, &body), "");
    assert_eq!(bed.scrape(PROTOBUF, &body), "");
    assert_eq!(bed.scrape(PROTOBUF, &body[..body.len() - native().len()]), "");
    assert_eq!(bed.shown(), ["t_c 7 7 7", "t_h [1: 5 [2.0, 3.0]] [1: 5 [2.0, 3.0]] NaN"]);
}

#[test]
fn without_the_switch_the_classic_buckets_are_read() {
    let mut bed = Bed::new(|_| {});
    assert_eq!(bed.scrape(PROTOBUF, &native()), "");
    let classic =
        ["t_h_bucket +Inf 5", "t_h_bucket 1.0 2", "t_h_bucket 2.0 5", "t_h_count 5", "t_h_sum 9"];
    assert_eq!(bed.shown(), classic);
    let mut bed = Bed::new(|job| {
        job.histograms = HistogramOptions { classic: true, native: true, convert: false }
    });
    assert_eq!(bed.scrape(PROTOBUF, &native()), "");
    assert_eq!(bed.shown()[0], "t_h [1: 5 [2.0, 3.0]]");
    assert_eq!(bed.shown()[1..], classic);
    let mut bed = Bed::new(|job| job.histograms.convert = true);
    assert_eq!(bed.scrape(PROTOBUF, &native()), "");
    assert_eq!(bed.shown(), ["t_h [-53: 5 [2.0, 3.0]]"]);
}

#[test]
fn limits_make_histograms_coarser_or_fail_the_scrape() {
    let limited = |buckets, schema| {
        let mut bed = Bed::new(|job| {
            native_only(job);
            job.native = NativeLimits { buckets, schema };
        });
        let error = bed.scrape(PROTOBUF, &native());
        if error.is_empty() { bed.shown().join(" ") } else { error }
    };
    assert_eq!(limited(2, 8), "t_h [1: 5 [2.0, 3.0]]");
    assert_eq!(limited(1, 8), "t_h [0: 5 [5.0]]");
    assert_eq!(limited(0, -1), "t_h [-1: 5 [5.0]]");
    let mut bed = Bed::new(|job| {
        job.histograms.convert = true;
        job.native.buckets = 1;
    });
    assert_eq!(bed.scrape(PROTOBUF, &native()), "histogram bucket limit exceeded");
}

#[test]
fn a_change_of_format_keeps_the_series() {
    let mut bed = Bed::new(|_| {});
    assert_eq!(bed.scrape(TEXT, b"# TYPE t_c counter\nt_c 1\n"), "");
    assert_eq!(bed.scrape(OPENMETRICS, b"# TYPE t_c gauge\nt_c 2 # {a=\"b\"} 1\n# EOF\n"), "");
    assert_eq!(bed.scrape(PROTOBUF, &family("t_c", 0, 3, &double(1, 3.0))), "");
    assert_eq!(bed.scrape(PROTOBUF, &family("t_c", 0, 3, &double(1, 4.0))), "");
    assert_eq!(bed.scrape(TEXT, b"t_c 5\n"), "");
    assert_eq!(bed.shown(), ["t_c 1 2 3 4 5"]);
    assert_eq!(
        bed.scrape(OPENMETRICS, b"t_c 6\n"),
        "2:1: data does not end with # EOF",
        "a page that was cut is not half stored"
    );
    let cut = family("t_c", 0, 3, &double(1, 3.0));
    assert_eq!(bed.scrape(PROTOBUF, &cut[..9]), "byte 0: length 20 passes the end of the message");
}

#[test]
fn classic_histograms_of_text_are_converted() {
    let mut bed = Bed::new(|job| job.histograms.convert = true);
    let body = b"# TYPE t_h histogram\nt_h_bucket{le=\"1\"} 1\nt_h_bucket{le=\"+Inf\"} 3\n\
        t_h_sum 4\nt_h_count 3\n# TYPE t_g gauge\nt_g 1\n";
    assert_eq!(bed.scrape(TEXT, body), "");
    assert_eq!(bed.scrape(TEXT, body), "");
    assert_eq!(bed.shown(), ["t_g 1 1", "t_h [-53: 3 [1.0, 2.0]] [-53: 3 [1.0, 2.0]]"]);
}

/// `google.protobuf.Timestamp` of whole seconds.
fn time(seconds: u16) -> Vec<u8> {
    let low = u8::try_from(seconds & 0x7f).expect("seven bits");
    let high = u8::try_from(seconds >> 7).expect("below 2^15");
    vec![1 << 3, low | 0x80, high]
}

/// A counter of OpenMetrics that began to count at `created`.
fn counted(value: u32, created: f64) -> Vec<u8> {
    let lines = format!("t_c_total {value}\nt_c_created {created}\n");
    format!("# TYPE t_c counter\n{lines}# EOF\n").into_bytes()
}

fn zeros(job: &mut JobOptions) {
    job.start_zeros = true;
}

#[test]
fn counters_of_text_begin_with_a_zero_where_their_counting_began() {
    let mut bed = Bed::new(zeros);
    assert_eq!(bed.scrape(OPENMETRICS, &counted(5, 990.0)), "");
    assert_eq!(bed.shown(), ["t_c_total 0 5"]);
    // It began before the sample before: nothing to tell, nothing to complain about.
    assert_eq!(bed.scrape(OPENMETRICS, &counted(6, 990.0)), "");
    assert_eq!(bed.shown(), ["t_c_total 0 5 6"]);
    // The process was started anew between two scrapes; a start ahead of the sample says nothing.
    let restarted = bed.now().wall.0 as f64 / 1000.0 + 0.5;
    assert_eq!(bed.scrape(OPENMETRICS, &counted(1, restarted)), "");
    assert_eq!(bed.scrape(OPENMETRICS, &counted(2, 9e6)), "");
    assert_eq!(bed.shown(), ["t_c_total 0 5 6 0 1 2"]);
    assert!(bed.metrics().contains("cresset_scrape_start_zeros_total 2\n"));
    assert!(bed.metrics().contains("prometheus_target_scrapes_sample_out_of_order_total 0\n"));
}

#[test]
fn without_the_feature_the_start_is_a_sample() {
    let mut bed = Bed::new(|_| {});
    assert_eq!(bed.scrape(OPENMETRICS, &counted(5, 990.0)), "");
    assert_eq!(bed.shown(), ["t_c_created 990", "t_c_total 5"]);
}

#[test]
fn a_zero_is_newer_than_the_marker_of_a_failed_scrape() {
    let mut bed = Bed::new(zeros);
    assert_eq!(bed.scrape(OPENMETRICS, &counted(5, 990.0)), "");
    let between = bed.now().wall.0 as f64 / 1000.0 + 1.0;
    assert_ne!(bed.scrape(OPENMETRICS, b"garbage"), "");
    assert_ne!(bed.scrape(OPENMETRICS, b"garbage"), "");
    assert_eq!(bed.scrape(OPENMETRICS, &counted(1, between)), "");
    assert_eq!(bed.shown(), ["t_c_total 0 5 NaN 1"], "the series had ended after that");
    let down = bed.now().wall.0 as f64 / 1000.0;
    for _ in 0..3 {
        assert_ne!(bed.scrape(OPENMETRICS, b"garbage"), "");
    }
    // Between two failed scrapes, whose rows have `up` only.
    assert_eq!(bed.scrape(OPENMETRICS, &counted(1, down + 15.0)), "");
    assert_eq!(bed.shown(), ["t_c_total 0 5 NaN 1 NaN 0 1"]);
}

#[test]
fn series_with_times_of_their_own_begin_with_a_zero_too() {
    let mut bed = Bed::new(zeros);
    let body = |value, at| {
        let lines = format!("t_c_total {value} {at}\nt_c_created 990\n");
        format!("# TYPE t_c counter\n{lines}# EOF\n").into_bytes()
    };
    assert_eq!(bed.scrape(OPENMETRICS, &body(5, 1000)), "");
    assert_eq!(bed.scrape(OPENMETRICS, &body(6, 1005)), "");
    assert_eq!(bed.shown(), ["t_c_total 0 5 6"]);
}

#[test]
fn metrics_of_protobuf_begin_with_a_zero_too() {
    let counter = |value| [double(1, value), bytes(3, &time(990))].concat();
    let summary = [integer(1, 2), double(2, 3.0), bytes(4, &time(990))].concat();
    let bucket = bytes(3, &[integer(1, 2), double(2, 1.0)].concat());
    let histogram = [integer(1, 2), double(2, 9.0), bucket, bytes(15, &time(990))].concat();
    let body = [
        family("t_c", 0, 3, &counter(7.0)),
        family("t_g", 1, 2, &double(1, 4.0)),
        family("t_h", 4, 7, &histogram),
        family("t_s", 2, 4, &summary),
    ];
    let mut bed = Bed::new(zeros);
    assert_eq!(bed.scrape(PROTOBUF, &body.concat()), "");
    assert_eq!(bed.scrape(PROTOBUF, &body.concat()), "");
    let expected = [
        "t_c 0 7 7",
        "t_g 4 4",
        "t_h_bucket +Inf 0 2 2",
        "t_h_bucket 1.0 0 2 2",
        "t_h_count 0 2 2",
        "t_h_sum 0 9 9",
        "t_s_count 0 2 2",
        "t_s_sum 0 3 3",
    ];
    assert_eq!(bed.shown(), expected);
}

#[test]
fn native_histograms_begin_with_an_empty_one() {
    let content = [
        integer(1, 5),
        double(2, 9.0),
        integer(5, 2),
        bytes(12, &[integer(1, 2), integer(2, 2)].concat()),
        bytes(13, &[4, 2]),
        bytes(15, &time(990)),
    ];
    let body = family("t_h", 4, 7, &content.concat());
    let mut bed = Bed::new(|job| {
        zeros(job);
        native_only(job);
    });
    assert_eq!(bed.scrape(PROTOBUF, &body), "");
    assert_eq!(bed.scrape(PROTOBUF, &body), "");
    let expected = ["t_h [1: 0 []] [1: 5 [2.0, 3.0]] [1: 5 [2.0, 3.0]]"];
    assert_eq!(bed.shown(), expected);
}
