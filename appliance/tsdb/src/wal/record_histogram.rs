//! Record histogram: a native histogram as records of the log have it.

use std::sync::Arc;

use model::native_histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, NativeHistogram, Span};
use model::staleness::is_stale;

use crate::chunk::histogram::{coarsened, signed_float};
use crate::chunk::layout::{bucket_count, check_schema, float_of};
use crate::cursor::Cursor;
use crate::fault::{Fault, FaultAt};
use crate::sample::{Counts, Histogram, Value};

/// Least bytes of a span, of an integer bucket, and of a float.
const SPAN_BYTES_MIN: usize = 2;
const DELTA_BYTES_MIN: usize = 1;
const FLOAT_BYTES: usize = 8;

/// A histogram with integer counts; `None` when its schema is not known.
pub(crate) fn read_integer(cursor: &mut Cursor<'_>) -> Result<Option<Value>, FaultAt> {
    let mut native = head(cursor)?;
    native.zero_count = float_of(cursor.uvarint("a count")?);
    native.count = float_of(cursor.uvarint("a count")?);
    native.sum = float(cursor)?;
    read_spans(cursor, &mut native)?;
    native.positive_buckets = absolute(cursor)?;
    native.negative_buckets = absolute(cursor)?;
    end(cursor, native, Counts::Integer)
}

/// A histogram with float counts; `None` when its schema is not known.
pub(crate) fn read_float(cursor: &mut Cursor<'_>) -> Result<Option<Value>, FaultAt> {
    let mut native = head(cursor)?;
    native.zero_count = float(cursor)?;
    native.count = float(cursor)?;
    native.sum = float(cursor)?;
    read_spans(cursor, &mut native)?;
    native.positive_buckets = floats(cursor, "the number of buckets")?;
    native.negative_buckets = floats(cursor, "the number of buckets")?;
    end(cursor, native, Counts::Float)
}

fn head(cursor: &mut Cursor<'_>) -> Result<NativeHistogram, FaultAt> {
    let counter_reset_hint = match cursor.byte("a histogram")? {
        1 => CounterResetHint::Reset,
        2 => CounterResetHint::NotReset,
        3 => CounterResetHint::Gauge,
        _ => CounterResetHint::Unknown,
    };
    // One that does not fit is none that is known.
    let schema = i32::try_from(cursor.varint("a schema")?).unwrap_or(i32::MAX);
    let zero_threshold = float(cursor)?;
    Ok(NativeHistogram { counter_reset_hint, schema, zero_threshold, ..NativeHistogram::default() })
}

fn read_spans(cursor: &mut Cursor<'_>, native: &mut NativeHistogram) -> Result<(), FaultAt> {
    native.positive_spans = spans(cursor)?;
    native.negative_spans = spans(cursor)?;
    Ok(())
}

fn spans(cursor: &mut Cursor<'_>) -> Result<Vec<Span>, FaultAt> {
    let count = cursor.count(SPAN_BYTES_MIN, "the number of spans")?;
    let mut spans = Vec::with_capacity(count);
    for _ in 0..count {
        let at = cursor.clone();
        let offset = i32::try_from(cursor.varint("a span")?);
        let length = u32::try_from(cursor.uvarint("a span")?);
        let (Ok(offset), Ok(length)) = (offset, length) else {
            return Err(at.fault(Fault::wrong("a span is wider than 32 bits")));
        };
        spans.push(Span { offset, length });
    }
    Ok(spans)
}

/// Integer buckets are differences to the bucket before.
fn absolute(cursor: &mut Cursor<'_>) -> Result<Vec<f64>, FaultAt> {
    let count = cursor.count(DELTA_BYTES_MIN, "the number of buckets")?;
    let mut buckets = Vec::with_capacity(count);
    let mut current = 0i64;
    for _ in 0..count {
        current = current.wrapping_add(cursor.varint("a bucket")?);
        buckets.push(signed_float(current));
    }
    Ok(buckets)
}

fn floats(cursor: &mut Cursor<'_>, what: &'static str) -> Result<Vec<f64>, FaultAt> {
    let count = cursor.count(FLOAT_BYTES, what)?;
    (0..count).map(|_| float(cursor)).collect()
}

fn float(cursor: &mut Cursor<'_>) -> Result<f64, FaultAt> {
    Ok(f64::from_bits(cursor.big_u64("a histogram's float")?))
}

fn end(
    cursor: &mut Cursor<'_>,
    mut native: NativeHistogram,
    counts: Counts,
) -> Result<Option<Value>, FaultAt> {
    if native.schema == CUSTOM_BUCKETS_SCHEMA {
        native.custom_values = Arc::from(floats(cursor, "the number of bounds")?);
    }
    if check_schema(native.schema).is_err() {
        return Ok(None);
    }
    if is_stale(native.sum) {
        native = NativeHistogram { sum: native.sum, ..NativeHistogram::default() };
    }
    for (spans, buckets) in [
        (&native.positive_spans, &native.positive_buckets),
        (&native.negative_spans, &native.negative_buckets),
    ] {
        let expected = bucket_count(spans).map_err(|fault| cursor.fault(fault))?;
        if expected != buckets.len() {
            let text = format!("{} buckets in spans of {expected}", buckets.len());
            return Err(cursor.fault(Fault::wrong(text)));
        }
    }
    let native = coarsened(native);
    Ok(Some(Value::Histogram(Box::new(Histogram { counts, native }))))
}
