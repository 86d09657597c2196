//! Queries that want more than they may have: each ends with a clear error, within its budget.
//!
//! What the process held at most is asserted at the end, so the cases run as one test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use model::label_set::LabelSet;
use model::samples::Samples;
use model::time::TimestampMs;
use query::crew::{Crew, Task};
use query::evaluate::{Control, EngineOptions, LOOKBACK_MS_DEFAULT, Query, Stop, evaluate};
use query::parse::options::Options;
use query::source::{Column, LabelQuery, Selection, Series, Source, SourceError};

const MINUTE_MS: i64 = 60_000;
/// Memory that each query may take.
const MEMORY_BYTES_MAX: u64 = 32 << 20;
/// What the process may hold beside that: the stored series' labels, the runtime, and what is
/// looked at for a moment.
const OWN_BYTES_MAX: u64 = 224 << 20;
/// Looks at the deadline after which every query is told to end.
const CHECKS_MAX: u32 = 200_000;

/// A sample every `gap_ms`, of a value of its own.
struct Made {
    gap_ms: i64,
    seed: i64,
}

impl Column for Made {
    fn decode(
        &self,
        after: TimestampMs,
        until: TimestampMs,
        samples: &mut Samples,
    ) -> Result<(), SourceError> {
        let first = after.0.max(0).div_euclid(self.gap_ms) + 1;
        for at in first..=until.0.div_euclid(self.gap_ms) {
            let mixed = (at * 7_919 + self.seed).wrapping_mul(0x5851_f42d_4c95_7f2d) >> 20;
            #[expect(clippy::cast_precision_loss, reason = "any value will do")]
            samples.push(TimestampMs(at * self.gap_ms), mixed as f64);
        }
        Ok(())
    }
}

struct Store(Vec<(LabelSet, Arc<Made>)>);

impl Store {
    /// 100,000 series `many`, 300 `some`, 50 buckets, and `long` with a sample a second.
    fn new() -> Store {
        let mut series = Vec::new();
        let mut put = |name: &str, label: &str, value: &str, gap_ms: i64, seed: i64| {
            let labels = LabelSet::new([("__name__", name), (label, value), ("same", "same")]);
            series.push((labels, Arc::new(Made { gap_ms, seed })));
        };
        for at in 0..100_000 {
            put("many", "id", &at.to_string(), MINUTE_MS, at);
        }
        for at in 0..300 {
            put("some", "id", &at.to_string(), MINUTE_MS, at);
        }
        for at in 0..50 {
            put("h_bucket", "le", &at.to_string(), MINUTE_MS, 0);
        }
        put("long", "id", "0", 1_000, 0);
        Store(series)
    }
}

impl Source for Store {
    fn select(&self, selection: &Selection) -> Result<Vec<Series>, SourceError> {
        let matching = self.0.iter().filter(|(labels, _)| {
            selection.matchers.iter().all(|matcher| matcher.matches_labels(labels))
        });
        let mut series = Vec::new();
        if selection.matchers.iter().any(|matcher| &*matcher.value == "huge") {
            // A million series, made as far as they are borne.
            for id in 0..1_000_000 {
                if selection.series_max <= series.len() {
                    return Err(SourceError::TooManySeries { series_max: selection.series_max });
                }
                let labels = LabelSet::new([("__name__", "huge"), ("id", &id.to_string())]);
                let column = Arc::new(Made { gap_ms: MINUTE_MS, seed: id });
                series.push(Series { labels, column });
            }
        }
        for (labels, column) in matching {
            if selection.series_max <= series.len() {
                return Err(SourceError::TooManySeries { series_max: selection.series_max });
            }
            let column = Arc::clone(column) as Arc<dyn Column>;
            series.push(Series { labels: labels.clone(), column });
        }
        Ok(series)
    }

    fn label_values(&self, _: &str, _: &LabelQuery) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }

    fn label_names(&self, _: &LabelQuery) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }
}

/// Ends a query that was asked often enough whether it goes on: a deadline without a clock.
struct Checks(AtomicU32, u32);

impl Control for Checks {
    fn stop(&self) -> Option<Stop> {
        let checks = self.0.fetch_add(1, Ordering::Relaxed);
        (self.1 <= checks).then_some(Stop::Timeout)
    }
}

/// Three threads that help, each new for its task.
#[derive(Debug)]
struct Spawning;

impl Crew for Spawning {
    fn width(&self) -> usize {
        4
    }

    fn offer(&self, task: Task) -> Result<(), Task> {
        drop(std::thread::spawn(task));
        Ok(())
    }
}

struct Tester {
    store: Store,
    options: EngineOptions,
    checks_max: u32,
}

impl Tester {
    fn ask(&self, text: &str, steps: i64) -> String {
        let query = Query {
            text: text.to_owned(),
            start: TimestampMs(20_000 * MINUTE_MS - steps * MINUTE_MS),
            end: TimestampMs(20_000 * MINUTE_MS),
            step_ms: if steps == 0 { 0 } else { MINUTE_MS },
            lookback_ms: LOOKBACK_MS_DEFAULT,
            options: self.options.clone(),
        };
        match evaluate(&query, &self.store, &Checks(AtomicU32::new(0), self.checks_max)) {
            Ok(_) => "an answer".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[track_caller]
    fn check(&self, text: &str, steps: i64, expected: &str) {
        let outcome = self.ask(text, steps);
        let shown = &text[..text.len().min(100)];
        assert!(outcome.contains(expected), "{shown} over {steps} steps: {outcome}");
    }
}

fn nested(open: &str, inner: &str, close: &str, levels: usize) -> String {
    format!("{}{inner}{}", open.repeat(levels), close.repeat(levels))
}

/// A tree of `or` over `parts`, as low as can be.
fn balanced(parts: &[String]) -> String {
    if parts.len() == 1 {
        return parts[0].clone();
    }
    let (left, right) = parts.split_at(parts.len() / 2);
    format!("({} or {})", balanced(left), balanced(right))
}

fn numbered(count: usize, part: impl Fn(usize) -> String) -> String {
    balanced(&(0..count).map(part).collect::<Vec<_>>())
}

const MEMORY: &str = "query needs more than 33554432 bytes of memory in query execution";
const STEPS: i64 = 11_000;

fn check_selections(tester: &Tester) {
    tester.check("count({__name__=~\".+\"})", 0, "an answer");
    tester.check("{__name__=~\".+\"} or {id=~\".+\"} or {same=~\".+\"}", 0, MEMORY);
    tester.check("{__name__=~\".+\"}", STEPS, MEMORY);
    tester.check("huge", 0, MEMORY);
    tester.check("count(huge)", STEPS, MEMORY);
    tester.check("sum(rate(some[5m]))", 10_000_000, MEMORY);
    tester.check("vector(1)", 10_000_000, MEMORY);
    tester.check("time()", 10_000_000, MEMORY);
    tester.check("many", STEPS, MEMORY);
    tester.check("abs(many)", STEPS, MEMORY);
    tester.check("sum(rate(many[1h]))", STEPS, "query processing would load too many samples");
    tester.check("many[1d]", 0, MEMORY);
    tester.check("some @ 600000 + 1", STEPS, MEMORY);
    tester.check("many @ 600000", STEPS, MEMORY);
    tester.check("max_over_time(long[30d])[1d:1ms]", 0, MEMORY);
}

fn check_subqueries(tester: &Tester) {
    tester.check("max_over_time(long[1h:1ms])", 0, MEMORY);
    let inner = "max_over_time(max_over_time(long[10m:1ms])[10m:1ms])";
    tester.check(inner, 0, MEMORY);
    tester.check(&nested("max_over_time(", "long", "[1h:1ms])", 20), STEPS, MEMORY);
    tester.check("count_over_time(vector(1)[100y:1ms])", STEPS, MEMORY);
    let scalars = nested("(time()+", "1", ")", 150);
    tester.check(&format!("max_over_time(vector({scalars})[5m:1ms])"), 0, MEMORY);
}

fn check_results(tester: &Tester) {
    tester.check("some * on (same) some", STEPS, MEMORY);
    tester.check("some * on (same) some", 100, "many-to-many matching not allowed");
    tester.check("some * on (same) group_left some", 100, "many-to-many matching not allowed");
    tester.check("count_values(\"value\", some)", STEPS, MEMORY);
    tester.check("topk(1, some)", 1_000, "an answer");
    tester.check("topk(200, some)", STEPS, MEMORY);
    tester.check("topk(1, {__name__=~\"many\", id=~\".*00\"})", STEPS, MEMORY);
    tester.check("quantile(0.5, many)", STEPS, MEMORY);
    let quantiles = "histogram_quantiles(h_bucket, \"q\", time() / 1e10)";
    tester.check(quantiles, STEPS, MEMORY);
    tester.check("sum by (id) (many)", STEPS, MEMORY);
}

fn check_labels(tester: &Tester) {
    let double = nested("label_replace(", "long", ",\"id\",\"$1$1\",\"id\",\"(.*)\")", 40);
    tester.check(&double, 0, MEMORY);
    let wide = format!("label_replace(long,\"id\",\"{}\",\"same\",\"(.*)\")", "$1".repeat(100_000));
    let wider = format!("label_replace({wide},\"id\",\"{}\",\"id\",\"(.*)\")", "$1".repeat(1000));
    tester.check(&wider, 0, MEMORY);
    let join = nested("label_join(", "long", ",\"id\",\"\",\"id\",\"id\",\"id\")", 30);
    tester.check(&join, 0, MEMORY);
}

fn check_patterns(tester: &Tester) {
    tester.check("count(many{id=~\"(1+1+)+2\"})", 0, "an answer");
    tester.check("many{id=~\"((a{100}){100}){100}\"}", 0, "error parsing regexp");
    tester.check("many{id=~\"\\\\pL{900}\"}", 0, "expression too large");
    let bombs = numbered(2_000, |at| format!("x{{a=~\"[^{at}]{{90}}\"}}"));
    tester.check(&bombs, 0, "regular expressions take more than 67108864 bytes");
    let bomb = "a=~\"[^x]{90}\",".repeat(50_000);
    tester.check(&format!("x{{{bomb}}}"), 0, "regular expressions take more than");
    let replace = nested("label_replace(", "long", ",\"id\",\"\",\"id\",\"[^x]{90}y\")", 90);
    tester.check(&replace, 0, MEMORY);
}

fn check_texts(tester: &Tester) {
    tester.check(&nested("(", "1", ")", 5_000), 0, "expression nests deeper than 400 levels");
    tester.check(&"(".repeat(1 << 20), 0, "expression nests deeper than");
    tester.check(&"-".repeat(1 << 20), 0, "expression nests deeper than");
    tester.check(&"1+".repeat(1 << 19), 0, "expression is a chain of more than 1000 parts");
    tester.check(&"x".repeat((1 << 20) + 1), 0, "expression is longer than 1048576 bytes");
    tester.check(&"x".repeat(1 << 20), 0, "an answer");
    tester.check(&numbered(500, |at| format!("x{at}")), 0, "an answer");
    tester.check(&numbered(50_000, |at| format!("x{at}")), 0, "more than 5000 selectors");
    tester.check(&format!("x{{{}}}", "a=\"\",".repeat(150_000)), 0, "more than 20000 matchers");
    tester.check(&format!("sum by ({}) (x)", "a,".repeat(400_000)), 0, "an answer");
}

#[test]
fn hostile_queries_end_within_their_budgets() {
    let options = EngineOptions {
        memory_bytes_max: MEMORY_BYTES_MAX,
        parse: Options::ALL,
        ..EngineOptions::default()
    };
    let mut tester = Tester { store: Store::new(), options, checks_max: CHECKS_MAX };
    check_selections(&tester);
    check_subqueries(&tester);
    check_results(&tester);
    check_labels(&tester);
    check_patterns(&tester);
    check_texts(&tester);
    tester.options.crew = Arc::new(Spawning);
    check_selections(&tester);
    tester.checks_max = 10;
    let timeout = "query timed out in expression evaluation";
    for function in ["quantile_over_time(0.5,", "sum_over_time(", "deriv(", "mad_over_time("] {
        // One series of a million samples, looked at by eleven thousand steps.
        tester.check(&format!("{function} long[9d])"), STEPS, timeout);
    }
    let held = held_bytes_max();
    println!("held at most {} MiB", held >> 20);
    assert!(held < MEMORY_BYTES_MAX + OWN_BYTES_MAX, "the process held {held} bytes");
}

/// Most bytes that this process had in memory, as the kernel says; 0 where it does not.
fn held_bytes_max() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    let kilobytes = line.trim().trim_end_matches(" kB").parse::<u64>();
    kilobytes.expect("the kernel tells kilobytes") * 1024
}
