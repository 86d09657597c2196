//! Native histograms of remote write: the same message in 1.0 and 2.0.
//!
//! Path: `write_request`, `interned_request` → **native** → `builder`.

use std::sync::Arc;

use exposition::error::BinaryError;
use exposition::native::{check_counts, finish};
use exposition::protobuf::wire::{Field, Message};
use model::native_histogram::{CounterResetHint, NativeHistogram, Span};

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
