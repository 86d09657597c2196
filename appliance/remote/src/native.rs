//! Native histograms of remote write: the same message in 1.0 and 2.0.
//!
//! Path: `write_request`, `interned_request` → **native** → `builder`.

use std::sync::Arc;

use exposition::error::BinaryError;
use exposition::native::{check_counts, finish};
use exposition::protobuf::wire::{Field, Message};
use model::native_histogram::{CounterResetHint, NativeHistogram, Span};

use crate::protobuf_write::Writer;

/// A histogram as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pushed {
    pub(crate) timestamp_ms: i64,
    pub(crate) start_ms: i64,
    histogram: NativeHistogram,
    deltas: [Vec<i64>; 2],
    custom: Vec<f64>,
}

const NEGATIVE: usize = 0;
const POSITIVE: usize = 1;

impl Pushed {
    /// Reads the message; what it holds is not yet checked.
    pub(crate) fn read(mut message: Message<'_>) -> Result<Pushed, BinaryError> {
        let mut read = Pushed::default();
        while let Some(field) = message.field()? {
            let histogram = &mut read.histogram;
            match field.number {
                1 => histogram.count = float(field.uint64()?),
                2 => histogram.count = field.double()?,
                3 => histogram.sum = field.double()?,
                4 => histogram.schema = field.sint32()?,
                5 => histogram.zero_threshold = field.double()?,
                6 => histogram.zero_count = float(field.uint64()?),
                7 => histogram.zero_count = field.double()?,
                8 => histogram.negative_spans.push(span(&field)?),
                9 => field.sint64s(&mut read.deltas[NEGATIVE])?,
                10 => field.doubles(&mut histogram.negative_buckets)?,
                11 => histogram.positive_spans.push(span(&field)?),
                12 => field.sint64s(&mut read.deltas[POSITIVE])?,
                13 => field.doubles(&mut histogram.positive_buckets)?,
                14 => {
                    histogram.counter_reset_hint = match field.uint64()? {
                        1 => CounterResetHint::Reset,
                        2 => CounterResetHint::NotReset,
                        3 => CounterResetHint::Gauge,
                        _ => CounterResetHint::Unknown,
                    }
                }
                15 => read.timestamp_ms = field.int64()?,
                16 => field.doubles(&mut read.custom)?,
                17 => read.start_ms = field.int64()?,
                _ => {}
            }
        }
        Ok(read)
    }

    /// The histogram, checked and compact.
    pub(crate) fn finish(self) -> Result<NativeHistogram, String> {
        let mut histogram = self.histogram;
        let [negative, positive] = self.deltas;
        for (deltas, buckets) in [
            (negative, &mut histogram.negative_buckets),
            (positive, &mut histogram.positive_buckets),
        ] {
            let mut count = 0i64;
            for delta in deltas {
                count = count.checked_add(delta).ok_or("histogram has a bucket out of range")?;
                buckets.push(signed(count));
            }
        }
        histogram.custom_values = Arc::from(self.custom);
        finish(&mut histogram).map_err(|error| error.to_string())?;
        check_counts(&histogram).map_err(|error| error.to_string())?;
        Ok(histogram)
    }
}

fn span(field: &Field<'_>) -> Result<Span, BinaryError> {
    let mut span = Span { offset: 0, length: 0 };
    let mut message = field.message()?;
    while let Some(field) = message.field()? {
        match field.number {
            1 => span.offset = field.sint32()?,
            2 => span.length = field.uint32()?,
            _ => {}
        }
    }
    Ok(span)
}

#[expect(clippy::cast_precision_loss, reason = "counts are floats from here on, as in PromQL")]
fn float(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "counts are floats from here on, as in PromQL")]
fn signed(count: i64) -> f64 {
    count as f64
}

/// Whether all counts are whole, so that they can be written as integers.
pub(crate) fn is_whole(histogram: &NativeHistogram) -> bool {
    const EXACT_MAX: f64 = (1u64 << 53) as f64;
    let buckets = histogram.positive_buckets.iter().chain(&histogram.negative_buckets);
    let mut counts = buckets.chain([&histogram.count, &histogram.zero_count]);
    counts.all(|count| count.fract() == 0.0 && (0.0..=EXACT_MAX).contains(count))
}

/// Writes the message without its timestamp.
pub(crate) fn put_native(histogram: &NativeHistogram, message: &mut Writer) {
    let is_whole = is_whole(histogram);
    if is_whole {
        message.uint64(1, whole(histogram.count));
        message.uint64(6, whole(histogram.zero_count));
    } else {
        message.double_always(2, histogram.count);
        message.double_always(7, histogram.zero_count);
    }
    message.double(3, histogram.sum);
    message.sint64(4, histogram.schema.into());
    message.double(5, histogram.zero_threshold);
    let sides = [
        (8, &histogram.negative_spans, &histogram.negative_buckets),
        (11, &histogram.positive_spans, &histogram.positive_buckets),
    ];
    for (field, spans, counts) in sides {
        for span in spans {
            message.message(field, |message| {
                message.sint64(1, span.offset.into());
                message.uint64(2, span.length.into());
            });
        }
        if is_whole {
            let mut before = 0;
            let deltas = counts.iter().map(|count| {
                let count = whole(*count).cast_signed();
                count - std::mem::replace(&mut before, count)
            });
            message.sint64s(field + 1, deltas);
        } else {
            message.doubles(field + 2, counts.iter().copied());
        }
    }
    message.uint64(
        14,
        match histogram.counter_reset_hint {
            CounterResetHint::Unknown => 0,
            CounterResetHint::Reset => 1,
            CounterResetHint::NotReset => 2,
            CounterResetHint::Gauge => 3,
        },
    );
    message.doubles(16, histogram.custom_values.iter().copied());
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, up to 2^53")]
fn whole(count: f64) -> u64 {
    count as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_of_both_forms_read_back() {
        let whole = NativeHistogram {
            counter_reset_hint: CounterResetHint::Gauge,
            schema: 3,
            zero_threshold: 0.001,
            zero_count: 1.0,
            count: 10.0,
            sum: -2.5,
            positive_spans: vec![Span { offset: -2, length: 2 }],
            positive_buckets: vec![3.0, 1.0],
            negative_spans: vec![Span { offset: 5, length: 1 }],
            negative_buckets: vec![5.0],
            ..NativeHistogram::default()
        };
        let custom = NativeHistogram {
            schema: -53,
            count: 2.5,
            sum: 1.0,
            positive_spans: vec![Span { offset: 1, length: 1 }],
            positive_buckets: vec![2.5],
            custom_values: Arc::from([0.5, 1.0]),
            ..NativeHistogram::default()
        };
        for histogram in [whole, custom] {
            let mut writer = Writer::default();
            put_native(&histogram, &mut writer);
            let read = Pushed::read(Message::new(writer.bytes())).expect("a message");
            assert_eq!(read.finish(), Ok(histogram));
        }
    }
}
