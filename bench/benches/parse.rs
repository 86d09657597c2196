//! Reading scraped bodies: by the layout of the one before, anew, and by the general parser.
//!
//! Each page is scanned as eight successive bodies with other values, so that the branch predictor
//! cannot learn one body by heart. `Throughput::Bytes` is the body.
//! `CRESSET_TESTDATA` names the directory of public test data; without it the real page is left
//! out.

use std::fmt::Write;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use exposition::dialect::{Dialect, DialectParser};
use exposition::layout::learn;
use exposition::scan::{Scan, scan};

const BODIES: u64 = 8;
const REAL_PAGE: &str = "node_exporter/exposition/e2e-output.txt";

/// A page: its name, its dialect and successive bodies of the same layout.
type Page = (&'static str, Dialect, Vec<Vec<u8>>);

/// Pseudo-random numbers (SplitMix64), the same in every run.
struct Random(u64);

/// Draws values: which kind of number a series has, and its digits in this body.
struct Values {
    kinds: Random,
    digits: Random,
}

impl Values {
    /// Body `turn`. A calm series has one kind in all bodies, a restless one another in each.
    fn new(turn: u64, restless: bool) -> Values {
        Values { kinds: Random(if restless { turn } else { 0 }), digits: Random(!turn) }
    }

    fn value(&mut self) -> String {
        let kind = self.kinds.next();
        self.digits.value(kind)
    }
}

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A value as exporters print them, of one of ten kinds: many zeros and ones, counters,
    /// seconds, bytes.
    fn value(&mut self, kind: u64) -> String {
        match kind % 10 {
            0..3 => "0".to_owned(),
            3 => "1".to_owned(),
            4 => self.below(100_000).to_string(),
            5 => format!("{}.{:02}", self.below(1_000_000), self.below(100)),
            6 => format!("{}.{:09}e+09", 1 + self.below(9), self.below(1_000_000_000)),
            7 => format!("{}.{:06}e+06", 1 + self.below(9), self.below(1_000_000)),
            8 => format!("0.{:017}", self.next() % 100_000_000_000_000_000),
            _ => format!("{}.{:015}e-05", 1 + self.below(9), self.below(1_000_000_000_000_000)),
        }
    }
}

/// About `samples` lines as node_exporter writes them, 5 a family, with HELP and TYPE.
fn node_like(samples: u64, values: &mut Values) -> Vec<u8> {
    let mut body = String::new();
    for family in 0..samples / 5 {
        let name = format!("node_network_{family:03}_receive_bytes_total");
        let _ = writeln!(
            body,
            "# HELP {name} Network device statistic {family}, as the kernel has it."
        );
        let _ = writeln!(body, "# TYPE {name} counter");
        for device in ["docker0", "eth0", "eth1", "lo", "veth12ab34cd"] {
            let _ = writeln!(body, "{name}{{device=\"{device}\"}} {}", values.value());
        }
    }
    body.into_bytes()
}

/// About `samples` lines as kube-state-metrics writes them: long label sets, mostly 0 and 1.
fn kube_like(samples: u64, values: &mut Values) -> Vec<u8> {
    let mut body = String::new();
    for family in 0..8 {
        let name = format!("kube_pod_status_phase_{family}");
        let _ = writeln!(body, "# HELP {name} The pods current phase.\n# TYPE {name} gauge");
        for pod in 0..samples / 40 {
            for phase in ["Pending", "Succeeded", "Failed", "Unknown", "Running"] {
                let odd = values.kinds.below(20) == 0;
                let value = if odd { values.value() } else { values.digits.below(2).to_string() };
                let _ = writeln!(
                    body,
                    "{name}{{namespace=\"team-{}\",pod=\"checkout-{pod:06}-7d9c5b{}\",\
                     uid=\"5f0e8c1a-{pod:04x}-4d2b-9c3e-{pod:012x}\",phase=\"{phase}\"}} {value}",
                    pod % 40,
                    pod % 7
                );
            }
        }
    }
    body.into_bytes()
}

/// `node_like` in OpenMetrics.
fn openmetrics_like(samples: u64, values: &mut Values) -> Vec<u8> {
    let text = String::from_utf8(node_like(samples, values)).expect("text");
    let mut body = text.replace("_total Network", " Network").replace("_total counter", " counter");
    body.push_str("# EOF\n");
    body.into_bytes()
}

/// `openmetrics_like` with an exemplar on every tenth sample.
fn exemplar_like(samples: u64, values: &mut Values) -> Vec<u8> {
    let text = String::from_utf8(openmetrics_like(samples, values)).expect("text");
    let mut body = String::with_capacity(text.len() + text.len() / 8);
    for (at, line) in text.lines().enumerate() {
        body.push_str(line);
        if at % 10 == 3 && !line.starts_with('#') {
            body.push_str(" # {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"} 0.5 1520879607.789");
        }
        body.push('\n');
    }
    body.into_bytes()
}

/// A body like `body` in which every third value is another one.
fn next_body(body: &[u8], random: &mut Random) -> Vec<u8> {
    let text = String::from_utf8_lossy(body);
    let mut next = String::with_capacity(body.len() + body.len() / 8);
    for line in text.lines() {
        match line.rsplit_once(' ') {
            Some((series, _)) if !line.starts_with('#') && random.below(3) == 0 => {
                let kind = random.next();
                let value = random.value(kind);
                let _ = writeln!(next, "{series} {value}");
            }
            _ => {
                let _ = writeln!(next, "{line}");
            }
        }
    }
    next.into_bytes()
}

fn pages() -> Vec<Page> {
    let mut random = Random(1);
    let bodies = |make: fn(u64, &mut Values) -> Vec<u8>, samples, restless| -> Vec<Vec<u8>> {
        (0..BODIES).map(|turn| make(samples, &mut Values::new(turn, restless))).collect()
    };
    let mut pages = vec![
        ("node_500", Dialect::Text, bodies(node_like, 500, false)),
        ("node_500_restless", Dialect::Text, bodies(node_like, 500, true)),
        ("node_40k", Dialect::Text, bodies(node_like, 40_000, false)),
        ("kube_500", Dialect::Text, bodies(kube_like, 500, false)),
        ("kube_40k", Dialect::Text, bodies(kube_like, 40_000, false)),
        ("openmetrics_500", Dialect::OpenMetrics, bodies(openmetrics_like, 500, false)),
        ("openmetrics_40k", Dialect::OpenMetrics, bodies(openmetrics_like, 40_000, false)),
        ("exemplars_500", Dialect::OpenMetrics, bodies(exemplar_like, 500, false)),
    ];
    let directory = std::env::var("CRESSET_TESTDATA").unwrap_or_default();
    match std::fs::read(std::path::Path::new(&directory).join(REAL_PAGE)) {
        Ok(page) => {
            let bodies = (0..BODIES).map(|_| next_body(&page, &mut random)).collect();
            pages.push(("node_real", Dialect::Text, bodies));
            pages.push(("node_real_unchanged", Dialect::Text, vec![page]));
        }
        Err(error) => println!("no real page: {REAL_PAGE} under CRESSET_TESTDATA: {error}"),
    }
    pages
}

/// Counts equal blocks of 64 bytes: reads both texts to the end, whatever they hold.
fn equal_blocks(a: &[u8], b: &[u8]) -> usize {
    a.as_chunks::<64>().0.iter().zip(b.as_chunks::<64>().0).filter(|(a, b)| a == b).count()
}

fn parse(criterion: &mut Criterion) {
    for (name, dialect, bodies) in pages() {
        let layout = learn(dialect, &bodies[0]).expect("the page is in its dialect");
        let bytes = bodies.iter().map(Vec::len).sum::<usize>() / bodies.len();
        println!("{name}: {} samples, {bytes} bytes", layout.samples());
        let mut group = criterion.benchmark_group("parse");
        group.throughput(Throughput::Bytes(bytes as u64));
        let mut turn = bodies.iter().cycle();
        let mut found = Scan::default();
        group.bench_function(BenchmarkId::new("hot", name), |bencher| {
            bencher.iter(|| {
                let body = turn.next().expect("there is a body");
                scan(dialect, black_box(body), &layout, &mut found).expect("the page is valid");
                assert_eq!(found.unpredicted, 0, "the layout predicts every sample");
            });
        });
        // What memory gives: the same bytes compared with a copy of the first body, at full speed.
        let copy = bodies[0].clone();
        group.bench_function(BenchmarkId::new("bound", name), |bencher| {
            bencher.iter(|| equal_blocks(black_box(turn.next().expect("there is a body")), &copy));
        });
        group.bench_function(BenchmarkId::new("learn", name), |bencher| {
            bencher.iter(|| learn(dialect, black_box(turn.next().expect("a body"))).is_ok());
        });
        group.bench_function(BenchmarkId::new("general", name), |bencher| {
            let mut body = || black_box(turn.next().expect("a body"));
            bencher.iter(|| DialectParser::new(dialect, body()).count());
        });
        group.finish();
    }
}

criterion_group!(benches, parse);
criterion_main!(benches);
