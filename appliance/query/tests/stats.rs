//! Samples that queries touch, in upstream's numbers: by every step, and each once.
//!
//! Source: the table of `TestQueryStatistics` in Prometheus 3.14, without native histograms.

use std::sync::Arc;

use model::label_set::LabelSet;
use model::samples::Samples;
use model::time::TimestampMs;
use query::evaluate::{EngineOptions, LOOKBACK_MS_DEFAULT, Query, Unbounded, evaluate};
use query::source::{Column, LabelQuery, Selection, Series, Source, SourceError};

/// A sample every ten seconds from 0 to 1000.
struct EveryTenSeconds;

impl Column for EveryTenSeconds {
    fn decode(
        &self,
        after: TimestampMs,
        until: TimestampMs,
        samples: &mut Samples,
    ) -> Result<(), SourceError> {
        for time in (0..=1_000_000).step_by(10_000).map(TimestampMs) {
            if after < time && time <= until {
                samples.push(time, 1.0);
            }
        }
        Ok(())
    }
}

/// One series `one` and three series `three`.
struct Store;

impl Source for Store {
    fn select(&self, selection: &Selection) -> Result<Vec<Series>, SourceError> {
        let one = LabelSet::new([("__name__", "one")]);
        let three = |a, b| LabelSet::new([("__name__", "three"), ("a", a), ("b", b)]);
        let all = [one, three("1", "1"), three("2", "2"), three("3", "2")];
        let matching = all.into_iter().filter(|labels| {
            selection.matchers.iter().all(|matcher| matcher.matches_labels(labels))
        });
        Ok(matching.map(|labels| Series { labels, column: Arc::new(EveryTenSeconds) }).collect())
    }

    fn label_values(&self, _: &str, _: &LabelQuery) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }

    fn label_names(&self, _: &LabelQuery) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }
}

/// Samples by step, and samples read, of `text` between two seconds.
#[track_caller]
fn check(text: &str, (start, end, step): (i64, i64, i64), by_step: &[u64], read: u64) {
    let options = EngineOptions { per_step_stats: true, ..EngineOptions::default() };
    let query = Query {
        text: text.to_owned(),
        start: TimestampMs(start * 1000),
        end: TimestampMs(end * 1000),
        step_ms: step * 1000,
        lookback_ms: LOOKBACK_MS_DEFAULT,
        options,
    };
    let stats = evaluate(&query, &Store, &Unbounded).expect("an answer").stats;
    let found: Vec<u64> = stats.samples_per_step.iter().map(|(_, samples)| *samples).collect();
    assert_eq!(found, by_step, "{text}");
    let counts = (stats.samples_total, stats.samples_read);
    assert_eq!(counts, (by_step.iter().sum(), read), "{text}");
}

#[test]
fn instant_queries_count_their_windows() {
    check("1", (21, 21, 0), &[0], 0);
    check("one", (21, 21, 0), &[1], 1);
    check("timestamp(one)", (21, 21, 0), &[1], 1);
    check("one", (22, 22, 0), &[1], 1);
    check("one offset 10s", (21, 21, 0), &[1], 1);
    check("one @ 15", (21, 21, 0), &[1], 1);
    check("three{a='1'}", (21, 21, 0), &[1], 1);
    check("three{a='1'} @ 19", (21, 21, 0), &[1], 1);
    check("three{a='1'}[20s] @ 19", (21, 21, 0), &[2], 2);
    check("three", (21, 21, 0), &[3], 3);
    check("one[60s]", (201, 201, 0), &[6], 6);
    check("max_over_time(one[60s])[20s:5s]", (201, 201, 0), &[24], 8);
    check("max_over_time(one[61s])[20s:5s]", (201, 201, 0), &[26], 8);
    check("one[60s] @ 30", (201, 201, 0), &[4], 4);
    check("sum(max_over_time(three[60s] @ 30))", (201, 201, 0), &[12], 12);
    check("sum by (b) (max_over_time(three[60s] @ 30))", (201, 201, 0), &[12], 12);
    check("one[60s] offset 10s", (201, 201, 0), &[6], 6);
    check("three[60s]", (201, 201, 0), &[18], 18);
    check("max_over_time(one[60s])", (201, 201, 0), &[6], 6);
    check("absent_over_time(one[60s])", (201, 201, 0), &[6], 6);
    check("max_over_time(three[60s])", (201, 201, 0), &[18], 18);
    check("one[60s:5s]", (201, 201, 0), &[12], 12);
    check("one[60s:5s] offset 10s", (201, 201, 0), &[12], 12);
    check("max_over_time(three[60s:5s])", (201, 201, 0), &[36], 36);
    check(
        "sum(max_over_time(three[60s:5s])) + sum(max_over_time(three[60s:5s]))",
        (201, 201, 0),
        &[72],
        72,
    );
    check("max_over_time(one[20s:10s])", (201, 201, 0), &[2], 2);
    check("sum_over_time(one[30s:30s])", (90, 90, 0), &[1], 1);
    check("max_over_time(one[30s:2m])", (240, 240, 0), &[1], 1);
    check("sum_over_time(three[20s:10s] @ 200)", (250, 250, 0), &[6], 6);
    check("sum_over_time(one[20s:10s] offset 1m)", (240, 240, 0), &[2], 2);
    check("sum_over_time(three[1m:10s] @ 200 offset 1m)", (300, 300, 0), &[18], 18);
    check(
        "sum_over_time(max_over_time(three[60s] @ 300)[5m:1m] @ 600)[10m:2m]",
        (800, 800, 0),
        &[75],
        18,
    );
    check("rate(sum_over_time(one[30s])[1m:30s])", (240, 240, 0), &[2], 6);
}

#[test]
fn range_queries_count_each_step() {
    check("three{a='1'}", (201, 220, 5), &[1, 1, 1, 1], 4);
    check("three{a='1'}", (204, 223, 5), &[1, 1, 1, 1], 4);
    check("timestamp(one)", (201, 220, 5), &[1, 1, 1, 1], 4);
    check("max_over_time(three{a='1'}[10s])", (991, 1021, 10), &[1, 1, 0, 0], 2);
    check("three{a='1'} offset 10s", (201, 220, 5), &[1, 1, 1, 1], 4);
    check("max_over_time(three[60s] @ 30)", (201, 220, 5), &[12, 12, 12, 12], 12);
    check("three", (201, 220, 5), &[3, 3, 3, 3], 12);
    check("max_over_time(three[60s])", (201, 220, 5), &[18, 18, 18, 18], 21);
    check("predict_linear(one[60s] @ 100, 60)", (100, 300, 100), &[6, 6, 6], 6);
}

#[test]
fn subqueries_count_what_they_read_once() {
    check("max_over_time(three[60s:5s])", (201, 216, 5), &[36, 36, 36, 36], 45);
    check("max_over_time(three[60s:5s])", (201, 220, 5), &[36, 36, 36, 36], 45);
    check("max_over_time(one[60s:5s])", (201, 220, 5), &[12, 12, 12, 12], 15);
    check("sum by (b) (max_over_time(one[60s:5s]))", (201, 220, 5), &[12, 12, 12, 12], 15);
    check(
        "sum(max_over_time(three[60s:5s])) + sum(max_over_time(three[60s:5s]))",
        (201, 220, 5),
        &[72, 72, 72, 72],
        90,
    );
    check(
        "sum(max_over_time(three[60s:5s])) + sum(max_over_time(one[60s:5s]))",
        (201, 216, 5),
        &[48, 48, 48, 48],
        60,
    );
    check(
        "sum(max_over_time(three[60s:5s])) + sum(max_over_time(one[60s:5s]))",
        (201, 220, 5),
        &[48, 48, 48, 48],
        60,
    );
    check("max_over_time(one[30s:10s])", (201, 231, 30), &[3, 3], 6);
    check("max_over_time(one[20s:10s])", (201, 261, 10), &[2, 2, 2, 2, 2, 2, 2], 8);
    check("max_over_time(three[60s:10s])", (200, 400, 30), &[18, 18, 18, 18, 18, 18, 18], 72);
}
