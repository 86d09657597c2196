//! Evaluates queries over a small store in memory: switches, limits, errors and texts.

use std::sync::Arc;

use model::label_set::LabelSet;
use model::native_histogram::NativeHistogram;
use model::samples::Samples;
use model::time::TimestampMs;
use query::evaluate::{
    Answer, Control, EngineOptions, LOOKBACK_MS_DEFAULT, Query, QueryError, Stop, Unbounded,
    evaluate,
};
use query::parse::options::Options;
use query::source::{Column, LabelQuery, Selection, Series, Source, SourceError};
use query::value::{Point, Value};

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

/// Names and values.
type Labels<'a> = &'a [(&'a str, &'a str)];

/// Series by labels, each with a value a minute from 0.
struct Store(Vec<(LabelSet, Arc<Stored>)>);

impl Store {
    fn new(series: &[(Labels<'_>, &[f64])]) -> Store {
        let of = |values: &[f64]| {
            let timed = values.iter().enumerate();
            let minutes =
                timed.map(|(at, value)| (i64::try_from(at).expect("few samples") * 60_000, *value));
            Arc::new(Stored(minutes.filter(|(_, value)| *value != -1.0).collect()))
        };
        let labelled = series
            .iter()
            .map(|(labels, values)| (LabelSet::new(labels.iter().copied()), of(values)));
        Store(labelled.collect())
    }
}

impl Source for Store {
    fn select(&self, selection: &Selection) -> Result<Vec<Series>, SourceError> {
        let matching = self.0.iter().filter(|(labels, _)| {
            selection.matchers.iter().all(|matcher| matcher.matches_labels(labels))
        });
        let series: Vec<_> = matching
            .map(|(labels, column)| Series {
                labels: labels.clone(),
                column: Arc::clone(column) as Arc<dyn Column>,
            })
            .collect();
        if selection.series_max < series.len() {
            return Err(SourceError::TooManySeries { series_max: selection.series_max });
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

fn store() -> Store {
    Store::new(&[
        (&[("__name__", "a_total"), ("job", "x")], &[0.0, 60.0, 120.0, 180.0]),
        (&[("__name__", "b_total"), ("job", "x")], &[0.0, 30.0, 60.0, 90.0]),
        (&[("__name__", "c"), ("job", "y"), ("one", "1")], &[1.0, 2.0, 3.0, 4.0]),
        // -1 stands for no sample: these two never meet.
        (&[("__name__", "d"), ("job", "z")], &[5.0, -1.0, -1.0, -1.0]),
        (&[("__name__", "e"), ("job", "z")], &[-1.0, -1.0, -1.0, 7.0]),
    ])
}

fn query(text: &str, minutes: (i64, i64), step_minutes: i64) -> Query {
    Query {
        text: text.to_owned(),
        start: TimestampMs(minutes.0 * 60_000),
        end: TimestampMs(minutes.1 * 60_000),
        step_ms: step_minutes * 60_000,
        lookback_ms: LOOKBACK_MS_DEFAULT,
        options: EngineOptions { parse: Options::ALL, ..EngineOptions::default() },
    }
}

fn ask(query: &Query) -> Result<Answer, QueryError> {
    evaluate(query, &store(), &Unbounded)
}

fn render(value: &Value) -> String {
    match value {
        Value::Scalar(_, value) => format!("scalar {value}"),
        Value::String(_, text) => format!("string {text}"),
        Value::Vector(samples) => {
            let texts = samples.iter().map(|sample| match &sample.value {
                Point::Float(value) => format!("{} {value}", sample.labels),
                Point::Histogram(histogram) => format!("{} {}", sample.labels, histogram.count),
            });
            texts.collect::<Vec<_>>().join("; ")
        }
        Value::Matrix(series) => {
            let texts = series.iter().map(|series| {
                let points = series.points.floats.iter();
                let points: Vec<_> =
                    points.map(|(time, value)| format!("{value}@{}", time.0 / 60_000)).collect();
                format!("{} {}", series.labels, points.join(" "))
            });
            texts.collect::<Vec<_>>().join("; ")
        }
    }
}

/// Evaluates an instant query at minute 3.
#[track_caller]
fn check(text: &str, expected: &str) {
    let rendered = match ask(&query(text, (3, 3), 0)) {
        Ok(answer) => render(&answer.value),
        Err(error) => format!("error {error}"),
    };
    assert_eq!(rendered, expected, "{text}");
}

/// Evaluates a range query from minute 0 to 3, a step a minute.
#[track_caller]
fn check_range(text: &str, expected: &str) {
    let rendered = match ask(&query(text, (0, 3), 1)) {
        Ok(answer) => render(&answer.value),
        Err(error) => format!("error {error}"),
    };
    assert_eq!(rendered, expected, "{text}");
}

#[test]
fn values_have_their_types() {
    check("1 + 2 * 3", "scalar 7");
    check("\"text\"", "string text");
    check("c", r#"{__name__="c", job="y", one="1"} 4"#);
    check("c[2m]", r#"{__name__="c", job="y", one="1"} 3@2 4@3"#);
    check("vector(time())", "{} 180");
    check_range("2 ^ 3", "{} 8@0 8@1 8@2 8@3");
    check_range(
        "\"text\"",
        "error invalid expression type \"string\" for range query, must be \
         Scalar or instant Vector",
    );
    check_range(
        "c[1m]",
        "error invalid expression type \"range vector\" for range query, must be \
         Scalar or instant Vector",
    );
}

#[test]
fn names_go_at_once_unless_removal_is_delayed() {
    check("-c", r#"{job="y", one="1"} -4"#);
    check("c > 3", r#"{__name__="c", job="y", one="1"} 4"#);
    check("c > bool 3", r#"{job="y", one="1"} 1"#);
    check("last_over_time(c[2m])", r#"{__name__="c", job="y", one="1"} 4"#);
    let same = "error vector cannot contain metrics with the same labelset";
    check(r#"rate({__name__=~".+_total"}[3m])"#, same);
    check(r#"abs({__name__=~".+_total"})"#, same);
    check(r#"sum(abs({__name__=~".+_total"}))"#, same);
    check(r#"sum({__name__=~".+_total"} + 0)"#, same);
    let mut delayed = query(r#"sum(rate({__name__=~".+_total"}[3m]))"#, (3, 3), 0);
    delayed.options.delayed_name_removal = true;
    let answer = ask(&delayed).expect("names tell the series apart until the end");
    assert_eq!(render(&answer.value), "{} 1.5");
}

#[test]
fn series_that_never_meet_join_when_their_names_go() {
    let mut short = query(r#"-{job="z"}"#, (0, 3), 1);
    short.lookback_ms = 60_000;
    let answer = ask(&short).expect("no step has both");
    assert_eq!(render(&answer.value), r#"{job="z"} -5@0 -7@3"#);
    // Functions of ranges are stricter: they compare labels, not steps.
    check_range(
        r#"count_over_time({job="z"}[1m])"#,
        "error vector cannot contain metrics with the same labelset",
    );
}

#[test]
fn windows_are_open_to_the_left() {
    check("count_over_time(c[2m])", r#"{job="y", one="1"} 2"#);
    check("increase(a_total[2m])", r#"{job="x"} 120"#);
    check_range("c offset 2m", r#"{__name__="c", job="y", one="1"} 1@2 2@3"#);
    check_range("c @ 60", r#"{__name__="c", job="y", one="1"} 2@0 2@1 2@2 2@3"#);
    check("sum_over_time(c[3m:90s])", r#"{job="y", one="1"} 6"#);
}

#[test]
fn joins_name_what_is_not_unique() {
    check(
        "c / on() group_left() {job=\"x\"}",
        "error found duplicate series for the match group {} on the right hand-side of the \
         operation: [{__name__=\"a_total\", job=\"x\"}, {__name__=\"b_total\", job=\"x\"}]\
         ;many-to-many matching not allowed: matching labels must be unique on one side",
    );
    check("{job=\"x\"} + on(job) vector(1)", "");
    check(
        "{job=\"x\"} + on() vector(1)",
        "error multiple matches for labels: many-to-one matching must be explicit \
         (group_left/group_right)",
    );
    check("a_total - on(job) b_total", r#"{job="x"} 90"#);
    check_range("c > 2 or c", r#"{__name__="c", job="y", one="1"} 1@0 2@1 3@2 4@3"#);
}

#[test]
fn numbers_are_not_trimmed() {
    check("1 </ 2", "error operator \"</\" not allowed for Scalar operations");
    check("c + (time() >/ 2)", "error operator \">/\" not allowed for Scalar operations");
    check("c </ 2", "");
}

#[test]
fn aggregations_keep_what_they_are_asked_for() {
    check("sum by (job) ({job=~\"x|y\"})", "{job=\"x\"} 270; {job=\"y\"} 4");
    check("sum without (one) (c)", r#"{job="y"} 4"#);
    check("topk(1, {job=\"x\"})", r#"{__name__="a_total", job="x"} 180"#);
    check("count_values(\"value\", c)", r#"{value="4"} 1"#);
    check("quantile(0.5, {job=\"x\"})", "{} 135");
    check("topk(NaN, c)", "error Parameter value is NaN");
    check_range("count({job=\"z\"})", "{} 1@0 1@1 1@2 2@3");
}

#[test]
fn annotations_have_their_place() {
    let answer = ask(&query("1 +\n rate(c[3m])", (3, 3), 0)).expect("an answer");
    let info = "PromQL info: metric might not be a counter, name does not end in \
                _total/_sum/_count/_bucket: \"c\" (2:7)";
    assert_eq!(answer.infos, [info]);
    let answer = ask(&query("quantile(2, c)", (3, 3), 0)).expect("an answer");
    let warning = "PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)";
    assert_eq!(answer.warnings, [warning]);
}

#[test]
fn samples_are_counted_and_bounded() {
    let mut counted = query("sum_over_time(c[2m])", (0, 3), 1);
    let stats = ask(&counted).expect("an answer").stats;
    assert_eq!((stats.samples_total, stats.samples_read), (7, 4));
    counted.options.samples_max = stats.samples_peak;
    assert!(ask(&counted).is_ok());
    counted.options.samples_max = stats.samples_peak - 1;
    let error = ask(&counted).expect_err("one sample too many");
    assert!(matches!(error, QueryError::TooManySamples), "{error}");
}

#[test]
fn samples_are_counted_by_step_where_that_is_asked_for() {
    let check = |text: &str, expected: &[u64]| {
        let mut counted = query(text, (0, 3), 1);
        counted.options.per_step_stats = true;
        let stats = ask(&counted).expect("an answer").stats;
        let by_step: Vec<_> = stats.samples_per_step.iter().map(|(_, count)| *count).collect();
        assert_eq!(by_step, expected, "{text}");
        assert_eq!(by_step.iter().sum::<u64>(), stats.samples_total, "{text}");
    };
    check("sum_over_time(c[2m])", &[1, 2, 2, 2]);
    check("c", &[1, 1, 1, 1]);
    check("d", &[1, 1, 1, 1]);
    check("c @ 60", &[1, 1, 1, 1]);
    check("vector(scalar(c @ 60)) + on() group_left sum(c)", &[2, 2, 2, 2]);
    check("sum_over_time(c[2m:1m])", &[1, 2, 2, 2]);
    assert!(ask(&query("c", (0, 3), 1)).expect("an answer").stats.samples_per_step.is_empty());
}

#[test]
fn memory_and_series_are_bounded() {
    let mut greedy = query("sum_over_time(vector(1)[10y:1ms])", (3, 3), 0);
    let error = ask(&greedy).expect_err("more steps than fit");
    assert!(matches!(error, QueryError::Memory { bytes_max: 1_073_741_824 }), "{error}");
    greedy.text = "{job=\"x\"}".to_owned();
    greedy.options.series_max = 1;
    let error = ask(&greedy).expect_err("one series too many");
    assert_eq!(error.to_string(), "expanding series: selector matches more than 1 series");
}

struct Stopped(Stop);

impl Control for Stopped {
    fn stop(&self) -> Option<Stop> {
        Some(self.0)
    }
}

#[test]
fn a_query_ends_when_it_is_told() {
    let asked = query("c", (3, 3), 0);
    let timeout = evaluate(&asked, &store(), &Stopped(Stop::Timeout)).expect_err("the deadline");
    assert_eq!(timeout.to_string(), "query timed out in expression evaluation");
    let canceled = evaluate(&asked, &store(), &Stopped(Stop::Canceled)).expect_err("the asker");
    assert_eq!(canceled.to_string(), "query was canceled in expression evaluation");
}

struct OneHistogram;

impl Column for OneHistogram {
    fn decode(
        &self,
        _: TimestampMs,
        until: TimestampMs,
        samples: &mut Samples,
    ) -> Result<(), SourceError> {
        let histogram = NativeHistogram { count: 4.0, sum: 10.0, ..NativeHistogram::default() };
        samples.histograms.push((0, Arc::new(histogram)));
        samples.push(until, 0.0);
        Ok(())
    }
}

impl Source for OneHistogram {
    fn select(&self, _: &Selection) -> Result<Vec<Series>, SourceError> {
        let labels = LabelSet::new([("__name__", "h")]);
        Ok(vec![Series { labels, column: Arc::new(OneHistogram) }])
    }

    fn label_values(&self, _: &str, _: &LabelQuery) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }

    fn label_names(&self, _: &LabelQuery) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }
}

#[test]
fn histograms_pass_where_they_mean_something() {
    let check = |text: &str, expected: &str| {
        let answer = evaluate(&query(text, (3, 3), 0), &OneHistogram, &Unbounded);
        assert_eq!(render(&answer.expect("an answer").value), expected, "{text}");
    };
    check("h", r#"{__name__="h"} 4"#);
    check("h * 2", "{} 8");
    check("sum(h + h)", "{} 8");
    check("abs(h)", "");
    check("histogram_avg(h)", "{} 2.5");
    check("count(h)", "{} 1");
}
