//! Round trips of native histograms, and damage.

use std::sync::Arc;

use model::native_histogram::{CounterResetHint, NativeHistogram, Span};
use proptest::prelude::*;

use crate::chunk::buckets::{check, hint_of};
use crate::chunk::read_histograms::{self, read_histograms};
use crate::chunk::write_histograms::{self, write_histograms};
use crate::varint::Cursor;

fn encode(histograms: &[NativeHistogram]) -> Vec<u8> {
    let all: Vec<&NativeHistogram> = histograms.iter().collect();
    let mut out = Vec::new();
    write_histograms(&all, &mut write_histograms::Scratch::default(), &mut out);
    out
}

fn decode(bytes: &[u8], count: usize) -> Result<Vec<Arc<NativeHistogram>>, &'static str> {
    let mut out = Vec::new();
    let mut cursor = Cursor::new(bytes);
    read_histograms(&mut cursor, count, &mut read_histograms::Scratch::default(), &mut out)?;
    if cursor.is_empty() { Ok(out) } else { Err("bytes left over") }
}

/// Everything by its bits, so that NaN equals itself and -0 does not equal 0.
fn bits(histogram: &NativeHistogram) -> impl PartialEq + std::fmt::Debug + use<> {
    let all = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<u64>>();
    let h = histogram;
    (
        (h.counter_reset_hint, h.schema, all(&[h.zero_threshold, h.zero_count, h.count, h.sum])),
        (h.positive_spans.clone(), all(&h.positive_buckets)),
        (h.negative_spans.clone(), all(&h.negative_buckets), all(&h.custom_values)),
    )
}

#[track_caller]
fn check_round_trip(histograms: &[NativeHistogram]) -> usize {
    let bytes = encode(histograms);
    let found = decode(&bytes, histograms.len()).unwrap();
    for (found, expected) in found.iter().zip(histograms) {
        assert_eq!(bits(found), bits(expected));
    }
    assert_eq!(found.len(), histograms.len());
    bytes.len()
}

/// A histogram that counts: each observation falls into one of `buckets`.
fn growing(rows: usize, buckets: u32) -> Vec<NativeHistogram> {
    let mut histogram = NativeHistogram {
        schema: 3,
        zero_threshold: 2.0f64.powi(-128),
        positive_spans: vec![Span { offset: -10, length: buckets }],
        positive_buckets: vec![0.0; buckets as usize],
        ..NativeHistogram::default()
    };
    let mut chance = 1u64;
    (0..rows)
        .map(|_| {
            for _ in 0..200 {
                chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let bucket = (chance >> 33) % u64::from(buckets);
                histogram.positive_buckets[bucket as usize] += 1.0;
                histogram.count += 1.0;
                histogram.sum += (1u64 << bucket) as f64 * 0.001;
            }
            histogram.clone()
        })
        .collect()
}

#[test]
fn a_growing_histogram_takes_few_bytes() {
    let bytes = check_round_trip(&growing(128, 20));
    assert!(bytes < 128 * 25, "{bytes}");
    assert_eq!(check_round_trip(&[]), 0);
    let bytes = check_round_trip(&vec![growing(1, 20).remove(0); 128]);
    assert!(bytes < 120, "{bytes}");
}

#[test]
fn buckets_come_and_go_with_a_reset() {
    let mut rows = growing(40, 12);
    rows.extend(growing(30, 20));
    rows[40].counter_reset_hint = CounterResetHint::Reset;
    check_round_trip(&rows);
    for row in &mut rows[40..] {
        row.schema = 2;
    }
    check_round_trip(&rows);
}

#[test]
fn custom_bounds_are_kept_once() {
    let bounds: Arc<[f64]> = vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5].into();
    let mut rows = growing(64, 10);
    for row in &mut rows {
        row.schema = model::native_histogram::CUSTOM_BUCKETS_SCHEMA;
        row.custom_values = bounds.iter().copied().collect();
        row.zero_threshold = 0.0;
        row.positive_spans[0].offset = 0;
    }
    check_round_trip(&rows);
    let found = decode(&encode(&rows), rows.len()).unwrap();
    assert!(Arc::ptr_eq(&found[0].custom_values, &found[63].custom_values));
}

#[test]
fn wandering_gauges_do_not_square() {
    let rows: Vec<NativeHistogram> = (0..200)
        .map(|at| NativeHistogram {
            counter_reset_hint: CounterResetHint::Gauge,
            positive_spans: vec![Span { offset: at * 1000, length: 100 }],
            positive_buckets: vec![1.5; 100],
            ..NativeHistogram::default()
        })
        .collect();
    let bytes = check_round_trip(&rows);
    assert!(bytes < 200 * 20, "{bytes}");
}

#[test]
fn golden_histograms_are_written_and_read() {
    let mut rows = growing(20, 12);
    rows.extend(growing(20, 14));
    rows[20].counter_reset_hint = CounterResetHint::Reset;
    for row in &mut rows[30..] {
        row.schema = model::native_histogram::CUSTOM_BUCKETS_SCHEMA;
        row.custom_values = vec![0.5, 1.0, 2.5].into();
        row.negative_spans = vec![Span { offset: 0, length: 1 }];
        row.negative_buckets = vec![2.5];
    }
    for row in &mut rows[38..] {
        row.schema = 0;
        row.zero_count = 3.0;
    }
    let bytes = encode(&rows);
    let path = env!("CARGO_MANIFEST_DIR").to_owned() + "/tests/golden/histograms.golden";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &bytes).unwrap();
    }
    let golden = std::fs::read(path).unwrap();
    assert!(bytes == golden, "histograms.golden differs; UPDATE_GOLDEN=1 writes it anew");
    let found = decode(&golden, rows.len()).unwrap();
    assert!(found.iter().zip(&rows).all(|(found, row)| bits(found) == bits(row)));
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (0u32..100_000).prop_map(f64::from),
        1 => any::<u64>().prop_map(f64::from_bits),
        1 => Just(-0.0),
    ]
}

fn spans() -> impl Strategy<Value = Vec<Span>> {
    let span = (0i32..4, 0u32..5).prop_map(|(offset, length)| Span { offset, length });
    (-1000i32..1000, prop::collection::vec(span, 0..4)).prop_map(|(first, mut spans)| {
        if let Some(span) = spans.first_mut() {
            span.offset = first;
        }
        spans
    })
}

fn histogram() -> impl Strategy<Value = NativeHistogram> {
    let side = || (spans(), prop::collection::vec(value(), 20));
    let heads = (0u64..4, -4i32..=8, value(), value(), value(), value());
    (heads, side(), side(), prop::collection::vec(value(), 0..4)).prop_map(
        |((hint, schema, zero_threshold, zero_count, count, sum), positive, negative, custom)| {
            let buckets = |spans: &[Span], counts: Vec<f64>| {
                let count = spans.iter().map(|span| span.length as usize).sum();
                counts.into_iter().cycle().take(count).collect()
            };
            NativeHistogram {
                counter_reset_hint: hint_of(hint),
                schema,
                zero_threshold,
                zero_count,
                count,
                sum,
                positive_buckets: buckets(&positive.0, positive.1),
                negative_buckets: buckets(&negative.0, negative.1),
                positive_spans: positive.0,
                negative_spans: negative.0,
                custom_values: custom.into(),
            }
        },
    )
}

/// Histograms that stay and change.
fn runs() -> impl Strategy<Value = Vec<NativeHistogram>> {
    let run = (histogram(), 1usize..20, any::<bool>());
    prop::collection::vec(run, 0..6).prop_map(|runs| {
        let mut out: Vec<NativeHistogram> = Vec::new();
        for (mut histogram, length, keeps_schema) in runs {
            if let Some(last) = out.last().filter(|_| keeps_schema) {
                histogram.schema = last.schema;
                histogram.custom_values = Arc::clone(&last.custom_values);
            }
            for _ in 0..length {
                histogram.positive_buckets.iter_mut().for_each(|count| *count += 3.0);
                out.push(histogram.clone());
            }
        }
        out
    })
}

proptest! {
    #[test]
    fn any_histograms_round_trip(histograms in runs()) {
        prop_assert!(histograms.iter().all(|histogram| check(histogram).is_ok()));
        let found = decode(&encode(&histograms), histograms.len()).unwrap();
        for (found, expected) in found.iter().zip(&histograms) {
            prop_assert_eq!(bits(found), bits(expected));
        }
    }

    #[test]
    fn damaged_histograms_are_read_without_panic(
        histograms in runs(),
        at: prop::sample::Index,
        byte: u8,
        more in 0usize..3,
    ) {
        let mut bytes = encode(&histograms);
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(found) = decode(&bytes, histograms.len() + more) {
            prop_assert!(found.iter().all(|histogram| check(histogram).is_ok()));
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>, count in 0usize..200) {
        let _ = decode(&bytes, count);
    }
}
