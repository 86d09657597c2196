//! Logs as Prometheus writes them, for tests: records of every kind, in pages.

use model::label_set::LabelSet;
use model::native_histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, NativeHistogram, Span};

use super::record::{
    CUSTOM_FLOAT_HISTOGRAMS, CUSTOM_HISTOGRAMS, FLOAT_HISTOGRAMS, FLOAT_HISTOGRAMS_START,
    HISTOGRAMS, HISTOGRAMS_START, SAMPLES, SAMPLES_START, SERIES, START_NONE, START_SAME,
    SampleRecord,
};
use super::segment::{FIRST, FULL, HEADER_BYTES, LAST, MIDDLE, PAGE_BYTES, SNAPPY, ZSTD};
use crate::cursor::{put_text, put_uvarint, put_varint};
use crate::sample::{Counts, Value};

/// Compressions that a log may have.
pub(crate) const COMPRESSIONS: [u8; 3] = [0, SNAPPY, ZSTD];

/// Appends `record` to a segment.
pub(crate) fn put_record(segment: &mut Vec<u8>, record: &[u8], compression: u8) {
    let stored = match compression {
        SNAPPY => snap::raw::Encoder::new().compress_vec(record).expect("it fits"),
        ZSTD => zstd::bulk::compress(record, 1).expect("it fits"),
        _ => record.to_vec(),
    };
    let mut rest: &[u8] = &stored;
    let mut begun = false;
    loop {
        let mut left = PAGE_BYTES - segment.len() % PAGE_BYTES;
        if left <= HEADER_BYTES {
            segment.resize(segment.len() + left, 0);
            left = PAGE_BYTES;
        }
        let (part, behind) = rest.split_at(rest.len().min(left - HEADER_BYTES));
        rest = behind;
        let kind = match (begun, rest.is_empty()) {
            (false, true) => FULL,
            (false, false) => FIRST,
            (true, true) => LAST,
            (true, false) => MIDDLE,
        };
        begun = true;
        segment.push(kind | compression);
        let length = u16::try_from(part.len()).expect("less than a page");
        segment.extend_from_slice(&length.to_be_bytes());
        segment.extend_from_slice(&crc32c::crc32c(part).to_be_bytes());
        segment.extend_from_slice(part);
        if rest.is_empty() {
            return;
        }
    }
}

pub(crate) fn series_record(all: &[(u64, &LabelSet)]) -> Vec<u8> {
    let mut out = vec![SERIES];
    for (reference, labels) in all {
        out.extend_from_slice(&reference.to_be_bytes());
        put_uvarint(&mut out, labels.len() as u64);
        for (name, value) in labels.iter() {
            put_text(&mut out, name);
            put_text(&mut out, value);
        }
    }
    out
}

/// What the samples of one record have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) counts: Option<Counts>,
    pub(crate) custom: bool,
    pub(crate) with_starts: bool,
}

impl Form {
    pub(crate) fn of(record: &SampleRecord, with_starts: bool) -> Form {
        match &record.sample.value {
            Value::Float(_) => Form { counts: None, custom: false, with_starts },
            Value::Histogram(histogram) => Form {
                counts: Some(histogram.counts),
                custom: !with_starts && histogram.native.schema == CUSTOM_BUCKETS_SCHEMA,
                with_starts,
            },
        }
    }

    fn kind(self) -> u8 {
        match (self.counts, self.custom, self.with_starts) {
            (None, _, false) => SAMPLES,
            (None, _, true) => SAMPLES_START,
            (Some(Counts::Integer), false, false) => HISTOGRAMS,
            (Some(Counts::Integer), true, false) => CUSTOM_HISTOGRAMS,
            (Some(Counts::Integer), _, true) => HISTOGRAMS_START,
            (Some(Counts::Float), false, false) => FLOAT_HISTOGRAMS,
            (Some(Counts::Float), true, false) => CUSTOM_FLOAT_HISTOGRAMS,
            (Some(Counts::Float), _, true) => FLOAT_HISTOGRAMS_START,
        }
    }
}

/// A record of samples that all have this form.
pub(crate) fn samples_record(all: &[SampleRecord], form: Form) -> Vec<u8> {
    let mut out = vec![form.kind()];
    let Some(first) = all.first() else { return out };
    let (first_time, first_start) = (first.sample.timestamp.0, first.sample.start.0);
    if !form.with_starts {
        out.extend_from_slice(&first.reference.to_be_bytes());
        out.extend_from_slice(&first_time.to_be_bytes());
    }
    let mut last: Option<&SampleRecord> = None;
    for record in all {
        let (time, start) = (record.sample.timestamp.0, record.sample.start.0);
        let reference = |from: u64| record.reference.wrapping_sub(from).cast_signed();
        match last {
            _ if !form.with_starts => {
                put_varint(&mut out, reference(first.reference));
                put_varint(&mut out, time.wrapping_sub(first_time));
            }
            None => {
                put_varint(&mut out, reference(0));
                put_varint(&mut out, time);
                put_varint(&mut out, start);
            }
            Some(last) => {
                put_varint(&mut out, reference(last.reference));
                put_varint(&mut out, time.wrapping_sub(first_time));
                put_start(&mut out, start, last.sample.start.0, first_start);
            }
        }
        last = Some(record);
        put_value(&mut out, &record.sample.value);
    }
    out
}

fn put_start(out: &mut Vec<u8>, start: i64, last: i64, first: i64) {
    if start == 0 {
        out.push(START_NONE);
    } else if start == last {
        out.push(START_SAME);
    } else {
        out.push(START_SAME + 1);
        put_varint(out, start.wrapping_sub(first));
    }
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Float(value) => put_float(out, *value),
        Value::Histogram(histogram) => put_histogram(out, histogram.counts, &histogram.native),
    }
}

fn put_float(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_bits().to_be_bytes());
}

fn put_histogram(out: &mut Vec<u8>, counts: Counts, native: &NativeHistogram) {
    out.push(match native.counter_reset_hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::Reset => 1,
        CounterResetHint::NotReset => 2,
        CounterResetHint::Gauge => 3,
    });
    put_varint(out, native.schema.into());
    put_float(out, native.zero_threshold);
    let mut put_count = |count: f64| match counts {
        Counts::Integer => put_uvarint(out, integer(count).cast_unsigned()),
        Counts::Float => put_float(out, count),
    };
    put_count(native.zero_count);
    put_count(native.count);
    put_float(out, native.sum);
    put_spans(out, &native.positive_spans);
    put_spans(out, &native.negative_spans);
    for buckets in [&native.positive_buckets, &native.negative_buckets] {
        put_uvarint(out, buckets.len() as u64);
        let mut last = 0;
        for bucket in buckets {
            match counts {
                Counts::Integer => put_varint(out, integer(*bucket) - last),
                Counts::Float => put_float(out, *bucket),
            }
            last = integer(*bucket);
        }
    }
    if native.schema == CUSTOM_BUCKETS_SCHEMA {
        put_uvarint(out, native.custom_values.len() as u64);
        native.custom_values.iter().for_each(|value| put_float(out, *value));
    }
}

fn put_spans(out: &mut Vec<u8>, spans: &[Span]) {
    put_uvarint(out, spans.len() as u64);
    for span in spans {
        put_varint(out, span.offset.into());
        put_uvarint(out, span.length.into());
    }
}

#[expect(clippy::cast_possible_truncation, reason = "counts of tests are small integers")]
fn integer(count: f64) -> i64 {
    count as i64
}
