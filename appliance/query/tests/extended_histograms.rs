//! `anchored` and `smoothed` over native histograms, where the scripts of the conformance suite are
//! silent: windows that mix layouts or kinds, windows without samples inside, raw ranges.

use std::sync::Arc;

use model::label_set::LabelSet;
use model::native_histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, NativeHistogram, Span};
use model::samples::Samples;
use model::time::TimestampMs;
use query::evaluate::{
    Answer, EngineOptions, LOOKBACK_MS_DEFAULT, Query, QueryError, Unbounded, evaluate,
};
use query::parse::options::Options;
use query::source::{Column, LabelQuery, Selection, Series, Source, SourceError};
use query::value::{Point, Value};

/// One series `h` of floats and histograms.
#[derive(Clone, Default)]
struct Stored {
    floats: Vec<(i64, f64)>,
    histograms: Vec<(i64, Arc<NativeHistogram>)>,
}

impl Column for Stored {
    fn decode(
        &self,
        after: TimestampMs,
        until: TimestampMs,
        samples: &mut Samples,
    ) -> Result<(), SourceError> {
        // The tests' floats all come before their histograms.
        let floats = self.floats.iter().map(|(time, value)| (*time, *value, None));
        let histograms = self.histograms.iter().map(|(time, h)| (*time, 0.0, Some(h)));
        for (time, value, histogram) in floats.chain(histograms) {
            if time <= after.0 || until.0 < time {
                continue;
            }
            samples.push(TimestampMs(time), value);
            let index = u32::try_from(samples.values.len() - 1).expect("few samples");
            samples.histograms.extend(histogram.map(|h| (index, Arc::clone(h))));
        }
        Ok(())
    }
}

impl Source for Stored {
    fn select(&self, _: &Selection) -> Result<Vec<Series>, SourceError> {
        let labels = LabelSet::new([("__name__", "h")]);
        Ok(vec![Series { labels, column: Arc::new(self.clone()) }])
    }

    fn label_values(&self, _: &str, _: &LabelQuery) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }

    fn label_names(&self, _: &LabelQuery) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }
}

fn histogram(count: f64, hint: CounterResetHint) -> Arc<NativeHistogram> {
    Arc::new(NativeHistogram {
        count,
        sum: count,
        counter_reset_hint: hint,
        positive_spans: vec![Span { offset: 0, length: 1 }],
        positive_buckets: vec![count],
        ..NativeHistogram::default()
    })
}

fn custom(count: f64) -> Arc<NativeHistogram> {
    let plain = histogram(count, CounterResetHint::Unknown);
    Arc::new(NativeHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        custom_values: Arc::from([5.0]),
        ..NativeHistogram::clone(&plain)
    })
}

fn ask(store: &Stored, text: &str, time_ms: i64) -> Result<Answer, QueryError> {
    let time = TimestampMs(time_ms);
    let options = EngineOptions { parse: Options::ALL, ..EngineOptions::default() };
    let query = Query {
        text: text.to_owned(),
        start: time,
        end: time,
        step_ms: 0,
        lookback_ms: LOOKBACK_MS_DEFAULT,
        options,
    };
    evaluate(&query, store, &Unbounded)
}

/// The number that `text` gives at `time_ms` and what it warns of.
#[track_caller]
fn check(store: &Stored, text: &str, time_ms: i64, value: Option<f64>, warning: &str) {
    let answer = ask(store, text, time_ms).expect("an answer");
    let Value::Vector(samples) = &answer.value else { panic!("a vector") };
    let found = samples.first().map(|sample| match &sample.value {
        Point::Float(value) => *value,
        Point::Histogram(histogram) => histogram.count,
    });
    assert_eq!(found, value, "{text}");
    assert_eq!(answer.warnings.is_empty(), warning.is_empty(), "{:?}", answer.warnings);
    assert!(answer.warnings.iter().all(|text| text.contains(warning)), "{:?}", answer.warnings);
}

#[test]
fn windows_that_mix_layouts_are_dropped_with_a_warning() {
    let plain = histogram(1.0, CounterResetHint::Unknown);
    let mixed = Stored { histograms: vec![(0, plain), (60_000, custom(2.0))], ..Stored::default() };
    let warning = "mix of histograms with exponential and custom buckets schemas for metric name \
                   \"h\" (1:";
    check(&mixed, "rate(h[2m] anchored)", 90_000, None, warning);
    check(&mixed, "increase(h[1m] smoothed)", 30_000, None, warning);
    check(&mixed, "h smoothed", 30_000, None, warning);
    check(&mixed, "h smoothed", 60_000, Some(2.0), "");
}

#[test]
fn windows_that_mix_kinds_are_dropped_with_a_warning() {
    let plain = histogram(1.0, CounterResetHint::Unknown);
    let mixed = Stored { floats: vec![(0, 1.0)], histograms: vec![(60_000, plain)] };
    let warning = "encountered a mix of histograms and floats for metric name \"h\" (1:";
    check(&mixed, "rate(h[2m] anchored)", 90_000, None, warning);
    check(&mixed, "h smoothed", 60_000, None, warning);
}

#[test]
fn nothing_inside_the_range_is_no_change() {
    let gauge = CounterResetHint::Gauge;
    let early = vec![(0, histogram(5.0, gauge)), (60_000, histogram(2.0, gauge))];
    let early = Stored { histograms: early, ..Stored::default() };
    check(&early, "resets(h[1m] anchored)", 120_000, None, "");
    check(&early, "changes(h[1m] anchored)", 120_000, None, "");
    check(&early, "delta(h[1m] anchored)", 120_000, None, "");
    check(&early, "delta(h[1m] anchored)", 119_000, Some(-3.0), "");
    check(&early, "resets(h[1m] anchored)", 119_000, Some(1.0), "");
}

#[test]
fn gauges_fall_where_counters_restart() {
    let falls = |hint| Stored {
        histograms: vec![(0, histogram(6.0, hint)), (60_000, histogram(2.0, hint))],
        ..Stored::default()
    };
    check(&falls(CounterResetHint::Gauge), "h smoothed", 30_000, Some(4.0), "");
    check(&falls(CounterResetHint::Unknown), "h smoothed", 30_000, Some(1.0), "");
    check(&falls(CounterResetHint::Unknown), "h smoothed", 90_000, Some(2.0), "");
}

#[test]
fn raw_ranges_of_histograms_are_refused() {
    let one = histogram(1.0, CounterResetHint::Unknown);
    let store = Stored { histograms: vec![(0, one)], ..Stored::default() };
    for (text, reason) in [
        ("h[1m] anchored", "anchored modifier is not supported with histograms"),
        ("h[1m] smoothed", "smoothed modifier is not supported with histograms"),
    ] {
        let error = ask(&store, text, 30_000).expect_err("refused");
        assert_eq!(error.to_string(), reason);
    }
}
