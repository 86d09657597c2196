//! What is asked: queries, patterns, forms and paths.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use api::label_escape::unescape;
use api::parameters::{Parameters, decode_segment};
use api::selector::parse_selector;
use api::timestamp::{parse_duration_nanos, parse_time};
use model::label_set::LabelSet;
use model::native_histogram::{NativeHistogram, Span};
use model::regex::GoRegex;
use model::samples::Samples;
use model::staleness::stale_nan;
use model::time::TimestampMs;
use query::evaluate::{Control, EngineOptions, LOOKBACK_MS_DEFAULT, Query, Stop};
use query::parse::options::Options;
use query::parse::parse_bytes;
use query::source::{Column, LabelQuery, Selection, Series, Source, SourceError};

/// Looks at the deadline after which a query is told to end.
const CHECKS_MAX: u32 = 2_000;
/// Samples of a series.
const SAMPLES: u32 = 40;

/// Samples a minute apart: floats, native histograms or both, with gaps and staleness markers.
struct Made(u32);

impl Column for Made {
    fn decode(
        &self,
        after: TimestampMs,
        until: TimestampMs,
        samples: &mut Samples,
    ) -> Result<(), SourceError> {
        for at in 0..SAMPLES {
            let time = i64::from(at) * 60_000;
            if time <= after.0 || until.0 < time || (at + self.0) % 7 == 3 {
                continue;
            }
            if self.0 % 3 == 2 || (self.0 % 3 == 1 && at % 2 == 1) {
                let place = u32::try_from(samples.len()).unwrap_or(u32::MAX);
                samples.histograms.push((place, Arc::new(histogram(at, self.0))));
            }
            let value = match (at + self.0) % 11 {
                0 => stale_nan(),
                1 => f64::INFINITY,
                2 => f64::NAN,
                _ => f64::from((at * 37) % 23) - 4.0,
            };
            samples.push(TimestampMs(time), value);
        }
        Ok(())
    }
}

fn histogram(at: u32, seed: u32) -> NativeHistogram {
    let step = f64::from(at);
    NativeHistogram {
        schema: match seed % 3 {
            0 => 0,
            1 => 3,
            _ => -1,
        },
        zero_threshold: 0.001,
        zero_count: step,
        count: 4.0 * step + 3.0,
        sum: step * 0.25,
        positive_spans: vec![Span { offset: -1, length: 2 }, Span { offset: 3, length: 1 }],
        positive_buckets: vec![step, 3.0, 2.0 * step],
        ..NativeHistogram::default()
    }
}

struct Store(Vec<(LabelSet, Arc<Made>)>);

impl Store {
    fn new() -> Store {
        let names = ["a", "b", "h_bucket", "h", "up"];
        let made = names.into_iter().cycle().zip(0..15u32).map(|(name, at)| {
            let le = (at / 5).to_string();
            let labels = LabelSet::new([("__name__", name), ("le", &le), ("job", "j")]);
            (labels, Arc::new(Made(at)))
        });
        Store(made.collect())
    }
}

impl Source for Store {
    fn select(&self, selection: &Selection) -> Result<Vec<Series>, SourceError> {
        let found = self.0.iter().filter(|(labels, _)| {
            selection.matchers.iter().all(|matcher| matcher.matches_labels(labels))
        });
        let series = found.map(|(labels, column)| {
            let column = Arc::clone(column) as Arc<dyn Column>;
            Series { labels: labels.clone(), column }
        });
        Ok(series.collect())
    }

    fn label_values(&self, _: &str, _: &LabelQuery) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }

    fn label_names(&self, _: &LabelQuery) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }
}

/// Ends a query that was asked often enough whether it goes on: a deadline without a clock.
struct Checks(AtomicU32);

impl Control for Checks {
    fn stop(&self) -> Option<Stop> {
        let checks = self.0.fetch_add(1, Ordering::Relaxed);
        (CHECKS_MAX <= checks).then_some(Stop::Timeout)
    }
}

/// Queries: what is read is printed, and read again.
pub fn promql(data: &[u8]) {
    let Ok(tree) = parse_bytes(data, &Options::ALL) else { return };
    let text = tree.to_string();
    let again = parse_bytes(text.as_bytes(), &Options::ALL);
    let again = again.unwrap_or_else(|fault| panic!("{text}: {fault}"));
    assert_eq!(again.to_string(), text);
}

/// Patterns by Go's rules: a pattern, a line feed, a text.
pub fn regex(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (pattern, subject) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(regex) = GoRegex::anchored(pattern) else { return };
    let matches = regex.is_match(subject);
    if matches {
        assert!(subject.starts_with(regex.prefix()), "{pattern:?} {subject:?}");
    }
    if let Some(literals) = regex.literals() {
        assert_eq!(matches, literals.iter().any(|literal| literal == subject), "{pattern:?}");
    }
}

/// Queries over a small store, at once and in steps: whatever is asked ends, with an answer or an
/// error, within its budget.
pub fn evaluate(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let store = Store::new();
    for (start, end, step_ms) in [(600_000, 600_000, 0), (0, 1_500_000, 77_000)] {
        let options = EngineOptions {
            samples_max: 100_000,
            memory_bytes_max: 16 << 20,
            per_step_stats: true,
            delayed_name_removal: text.len() % 2 == 1,
            parse: Options::ALL,
            ..EngineOptions::default()
        };
        let query = Query {
            text: text.to_owned(),
            start: TimestampMs(start),
            end: TimestampMs(end),
            step_ms,
            lookback_ms: LOOKBACK_MS_DEFAULT,
            options,
        };
        let _ = query::evaluate::evaluate(&query, &store, &Checks(AtomicU32::new(0)));
    }
}

/// Forms, paths and times of the HTTP API: any text is one or none.
pub fn parameters(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let parameters = Parameters::new(text, text.as_bytes());
    for name in ["a", "time", "match[]"] {
        let value = parameters.first(name);
        let _ = (parse_time(value), parse_duration_nanos(value), parse_selector(value));
    }
    let _ = (parse_time(text), parse_duration_nanos(text), parse_selector(text));
    if let Some(part) = decode_segment(text) {
        let _ = unescape(&part);
    }
}
