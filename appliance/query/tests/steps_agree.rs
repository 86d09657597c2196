//! A range query is its instant queries, step by step; the order of series does not matter.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::label_set::LabelSet;
use model::samples::Samples;
use model::staleness::stale_nan;
use model::time::TimestampMs;
use proptest::prelude::*;
use query::evaluate::{EngineOptions, Query, QueryError, Unbounded, evaluate};
use query::parse::options::Options;
use query::source::{Column, LabelQuery, Selection, Series, Source, SourceError};
use query::value::{Point, Value};

/// Queries over the gauge `g`, the counter `c_total` and the histogram `h_bucket`.
const TEMPLATES: &[&str] = &[
    "g",
    "g offset 20s",
    "g offset -10s",
    "g @ 60",
    "g @ start() + g",
    "-g",
    "g + 1",
    "2 - g",
    "g > 0",
    "g > bool 0",
    "g ^ 2 % 7",
    "abs(g) + sqrt(abs(g))",
    "clamp(g, -1, time() / 10)",
    "round(g, 0.1)",
    "timestamp(g)",
    "time() - 3",
    "vector(time())",
    "scalar(g{job=\"a\", instance=\"0\"})",
    "hour(g) + minute(vector(time()))",
    "rate(c_total[1m])",
    "increase(c_total[25s])",
    "rate(c_total[30s] offset 15s)",
    "rate(c_total[1m] @ 90)",
    "irate(c_total[1m])",
    "delta(g[40s])",
    "idelta(g[40s])",
    "deriv(g[1m])",
    "predict_linear(g[1m], 60)",
    "resets(c_total[1m])",
    "changes(g[1m])",
    "sum_over_time(g[45s])",
    "avg_over_time(g[45s])",
    "min_over_time(g[45s])",
    "max_over_time(g[45s])",
    "count_over_time(g[45s])",
    "present_over_time(g[15s])",
    "absent_over_time(g{job=\"a\"}[15s])",
    "last_over_time(g[45s])",
    "first_over_time(g[45s])",
    "stddev_over_time(g[1m])",
    "stdvar_over_time(g[1m])",
    "mad_over_time(g[1m])",
    "quantile_over_time(0.7, g[1m])",
    "ts_of_max_over_time(g[1m])",
    "double_exponential_smoothing(g[1m], 0.4, 0.6)",
    "sum(g)",
    "sum by (job) (rate(c_total[1m]))",
    "avg without (instance) (g)",
    "min by (job) (g)",
    "max(g) - min(g)",
    "count by (job) (g)",
    "group by (instance) (g)",
    "stddev(g)",
    "stdvar by (job) (g)",
    "quantile(0.3, g)",
    "quantile by (job) (0.9, g)",
    "topk(2, g)",
    "bottomk by (job) (1, g)",
    "limitk(2, g)",
    "count_values(\"value\", round(g))",
    "histogram_quantile(0.9, rate(h_bucket[1m]))",
    "histogram_quantile(0.5, sum by (le, job) (h_bucket))",
    "g * on (job, instance) c_total",
    "g / ignoring (job) group_left sum by (instance) (c_total)",
    "sum by (job) (g) * on (job) group_right g",
    "g and c_total > 5",
    "g or c_total",
    "g unless on (job, instance) (c_total > 5)",
    "absent(g{job=\"a\"})",
    "sort_desc(g)",
    "label_replace(g, \"to\", \"$1-x\", \"job\", \"(.*)\")",
    "label_join(g, \"to\", \"/\", \"job\", \"instance\")",
    "max_over_time(g[1m:7s])",
    "avg_over_time(sum by (job) (rate(c_total[20s]))[1m:10s])",
    "sum_over_time(rate(c_total[30s])[40s:15s] offset 5s)",
    "min_over_time(abs(g)[50s:10s] @ 70)",
    "max_over_time(avg_over_time(g[20s])[50s:5s])",
    "g == bool on (instance, job) g offset 10s",
];

/// Aggregations that must not depend on the order of series but for rounding.
const FOLDS: &[&str] = &[
    "sum(g)",
    "sum by (job) (g)",
    "avg by (job) (g)",
    "stddev(g)",
    "stdvar by (instance) (g)",
    "count(g)",
    "min by (job) (g)",
    "max(g)",
    "quantile(0.4, g)",
    "sum without (instance) (rate(c_total[1m]))",
    "avg(avg_over_time(g[1m]))",
    "histogram_quantile(0.5, sum by (le) (h_bucket))",
    "sum by (job) (g) / on (job) sum by (job) (c_total)",
];

#[derive(Clone, Debug)]
struct Stored(Vec<(i64, f64)>);

impl Column for Stored {
    fn decode(
        &self,
        after: TimestampMs,
        until: TimestampMs,
        samples: &mut Samples,
    ) -> Result<(), SourceError> {
        for (time, value) in &self.0 {
            if after.0 < *time && *time <= until.0 {
                samples.push(TimestampMs(*time), *value);
            }
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
struct Store(Vec<(LabelSet, Arc<Stored>)>);

impl Source for Store {
    fn select(&self, selection: &Selection) -> Result<Vec<Series>, SourceError> {
        let matching = self.0.iter().filter(|(labels, _)| {
            selection.matchers.iter().all(|matcher| matcher.matches_labels(labels))
        });
        let series = matching.map(|(labels, column)| Series {
            labels: labels.clone(),
            column: Arc::clone(column) as Arc<dyn Column>,
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

/// Samples about every ten seconds, some missing; values by `value`.
fn samples(value: BoxedStrategy<f64>) -> impl Strategy<Value = Vec<(i64, f64)>> {
    let sample = (0..4_000i64, proptest::bool::weighted(0.85), value);
    proptest::collection::vec(sample, 0..25).prop_map(|samples| {
        let placed = samples.into_iter().enumerate();
        let placed = placed.filter(|(_, (_, is_there, _))| *is_there);
        let timed = placed.map(|(at, (late, _, value))| {
            // Some samples stand exactly on the edges of windows.
            let late = if late < 2_000 { 0 } else { late };
            (i64::try_from(at).expect("few samples") * 10_000 + late, value)
        });
        timed.collect()
    })
}

fn gauge() -> BoxedStrategy<f64> {
    prop_oneof![
        20 => -100.0..100.0f64,
        2 => Just(1.0),
        1 => Just(1e17),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(stale_nan()),
    ]
    .boxed()
}

/// A counter that grows by what it was given and now and then begins anew.
fn counter(mut samples: Vec<(i64, f64)>) -> Vec<(i64, f64)> {
    let mut total = 0.0;
    for (_, value) in &mut samples {
        total = if *value < 1.0 { *value } else { total + *value };
        *value = total;
    }
    samples
}

fn store(gauges: BoxedStrategy<f64>) -> impl Strategy<Value = Store> {
    let counts = || samples((0.0..20.0f64).boxed()).prop_map(counter);
    let own = (samples(gauges), counts(), proptest::collection::vec(counts(), 3));
    proptest::collection::vec(own, 1..6).prop_map(|targets| {
        let mut series = Vec::new();
        for (at, (gauge, counter, buckets)) in targets.into_iter().enumerate() {
            let instance = (at / 2).to_string();
            let job = ["a", "b"][at % 2];
            let mut put = |name: &str, le: &str, samples: Vec<(i64, f64)>| {
                let labels =
                    [("__name__", name), ("job", job), ("instance", &instance), ("le", le)];
                let labels = labels.into_iter().filter(|(_, value)| !value.is_empty());
                series.push((LabelSet::new(labels), Arc::new(Stored(samples))));
            };
            put("g", "", gauge);
            put("c_total", "", counter);
            for (bucket, le) in buckets.into_iter().zip(["0.1", "1", "+Inf"]) {
                put("h_bucket", le, bucket);
            }
        }
        Store(series)
    })
}

fn ask(
    store: &Store,
    text: &str,
    (start, end): (i64, i64),
    step_ms: i64,
) -> Result<Value, QueryError> {
    let query = Query {
        text: text.to_owned(),
        start: TimestampMs(start),
        end: TimestampMs(end),
        step_ms,
        lookback_ms: 25_000,
        options: EngineOptions { parse: Options::ALL, ..EngineOptions::default() },
    };
    evaluate(&query, store, &Unbounded).map(|answer| answer.value)
}

/// Floats by labels at one time.
fn at_time(value: &Value, time: i64) -> BTreeMap<LabelSet, f64> {
    match value {
        Value::Scalar(_, value) => BTreeMap::from([(LabelSet::empty(), *value)]),
        Value::String(..) => BTreeMap::new(),
        Value::Vector(samples) => {
            let floats = samples.iter().map(|sample| {
                let Point::Float(value) = sample.value else { panic!("no histograms are stored") };
                (sample.labels.clone(), value)
            });
            floats.collect()
        }
        Value::Matrix(series) => {
            let found = series.iter().filter_map(|one| {
                let point = one.points.floats.iter().find(|(at, _)| at.0 == time)?;
                Some((one.labels.clone(), point.1))
            });
            found.collect()
        }
    }
}

fn is_same(left: f64, right: f64, tolerance: f64) -> bool {
    let close = || (left - right).abs() <= tolerance * left.abs().max(right.abs());
    left.to_bits() == right.to_bits() || left.is_nan() && right.is_nan() || close()
}

#[track_caller]
fn check_same(
    left: &BTreeMap<LabelSet, f64>,
    right: &BTreeMap<LabelSet, f64>,
    tolerance: f64,
    place: &str,
) {
    let same = left.len() == right.len()
        && left.iter().zip(right).all(|(a, b)| a.0 == b.0 && is_same(*a.1, *b.1, tolerance));
    assert!(same, "{place}:\n{left:?}\n{right:?}");
}

/// `@ start()` and `@ end()` are the range's own.
fn fixed(text: &str, start: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "times of tests are small")]
    let seconds = start as f64 / 1000.0;
    text.replace("@ start()", &format!("@ {seconds}"))
}

fn compare_steps(store: &Store, text: &str, start: i64, step_ms: i64, steps: i64) {
    let end = start + step_ms * steps;
    let ranged = ask(store, text, (start, end), step_ms)
        .unwrap_or_else(|error| panic!("{text} from {start} step {step_ms}: {error}"));
    for time in (0..=steps).map(|step| start + step * step_ms) {
        let once = ask(store, &fixed(text, start), (time, time), 0)
            .unwrap_or_else(|error| panic!("{text} at {time}: {error}"));
        let place = format!("{text} at {time} of {start} step {step_ms}");
        check_same(&at_time(&ranged, time), &at_time(&once, time), 0.0, &place);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn ranges_are_their_instants(
        store in store(gauge()),
        start in prop_oneof![Just(0), Just(60_000), 0..100_000i64],
        step_ms in prop_oneof![Just(10_000), Just(15_000), 1_000..40_000i64],
    ) {
        for text in TEMPLATES {
            compare_steps(&store, text, start, step_ms, 9);
        }
    }

    #[test]
    fn order_of_series_matters_only_to_rounding(
        (store, shuffled) in store((1.0..100.0f64).boxed()).prop_flat_map(|store| {
            let series = Just(store.0.clone()).prop_shuffle();
            (Just(store), series.prop_map(Store))
        }),
    ) {
        for text in FOLDS {
            let answers = [&store, &shuffled].map(|store| {
                ask(store, text, (0, 240_000), 10_000)
                    .unwrap_or_else(|error| panic!("{text}: {error}"))
            });
            for time in (0..=24).map(|step| step * 10_000) {
                let [left, right] = answers.each_ref().map(|answer| at_time(answer, time));
                check_same(&left, &right, 1e-9, &format!("{text} at {time}"));
            }
        }
    }
}
