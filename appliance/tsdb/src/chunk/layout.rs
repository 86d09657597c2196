//! Layout of a histogram chunk: what all its histograms share, read once.

use std::sync::Arc;

use model::native_histogram::{CUSTOM_BUCKETS_SCHEMA, SCHEMA_MIN, Span};

use crate::bits::BitReader;
use crate::fault::Fault;

/// Finest schema that may be met; those above 8 are made coarser when read.
const SCHEMA_RESERVED_MAX: i32 = 52;
/// Bits of the shortest span: its length and its offset.
const SPAN_BITS_MIN: usize = 2;

/// What all histograms of a chunk share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    pub(crate) schema: i32,
    pub(crate) zero_threshold: f64,
    pub(crate) positive: Vec<Span>,
    pub(crate) negative: Vec<Span>,
    pub(crate) custom_values: Arc<[f64]>,
}

impl Layout {
    pub(crate) fn read(bits: &mut BitReader) -> Result<Layout, Fault> {
        let zero_threshold = read_zero_threshold(bits)?;
        let schema = i32::try_from(bits.small()?).unwrap_or(i32::MAX);
        check_schema(schema)?;
        let positive = read_spans(bits)?;
        let negative = read_spans(bits)?;
        let custom_values =
            if schema == CUSTOM_BUCKETS_SCHEMA { read_custom_values(bits)? } else { Arc::from([]) };
        Ok(Layout { schema, zero_threshold, positive, negative, custom_values })
    }
}

/// Refuses schemas that are not known.
pub(crate) fn check_schema(schema: i32) -> Result<(), Fault> {
    let exponential = (SCHEMA_MIN..=SCHEMA_RESERVED_MAX).contains(&schema);
    if exponential || schema == CUSTOM_BUCKETS_SCHEMA {
        return Ok(());
    }
    Err(Fault::wrong(format!("histogram schema {schema} is not known")))
}

/// Buckets of these spans.
///
/// # Errors
/// A bucket's index does not fit 32 bits, or a span begins before the end of the one before.
pub(crate) fn bucket_count(spans: &[Span]) -> Result<usize, Fault> {
    let (mut index, mut count) = (0i64, 0u64);
    for (at, span) in spans.iter().enumerate() {
        if 0 < at && span.offset < 0 {
            return Err(Fault::wrong(format!("span {at} of a histogram has a negative offset")));
        }
        index += i64::from(span.offset) + i64::from(span.length);
        count += u64::from(span.length);
        if i32::try_from(index).is_err() {
            return Err(Fault::wrong(format!("span {at} of a histogram ends beyond all buckets")));
        }
    }
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

fn read_zero_threshold(bits: &mut BitReader) -> Result<f64, Fault> {
    Ok(match bits.byte()? {
        0 => 0.0,
        255 => bits.float()?,
        // A power of two: 0.5 * 2^(exponent - 243).
        exponent => 2f64.powi(i32::from(exponent) - 244),
    })
}

fn read_spans(bits: &mut BitReader) -> Result<Vec<Span>, Fault> {
    let count = read_count(bits, SPAN_BITS_MIN, "spans")?;
    let mut spans = Vec::with_capacity(count);
    for _ in 0..count {
        let length = u32::try_from(bits.small_unsigned()?);
        let offset = i32::try_from(bits.small()?);
        let (Ok(length), Ok(offset)) = (length, offset) else {
            return Err(Fault::wrong("a span of a histogram is wider than 32 bits"));
        };
        spans.push(Span { offset, length });
    }
    Ok(spans)
}

/// Custom bounds: thousandths plus one where that is exact, else a zero bit and the float.
fn read_custom_values(bits: &mut BitReader) -> Result<Arc<[f64]>, Fault> {
    let count = read_count(bits, 1, "custom bounds")?;
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        values.push(match bits.small_unsigned()? {
            0 => bits.float()?,
            thousandths => float_of(thousandths - 1) / 1000.0,
        });
    }
    Ok(Arc::from(values))
}

/// A count of things of at least `bits_each` bits: no more is believed than there is room for.
fn read_count(bits: &mut BitReader, bits_each: usize, what: &str) -> Result<usize, Fault> {
    let count = bits.small_unsigned()?;
    let most = bits.left() / bits_each;
    match usize::try_from(count) {
        Ok(count) if count <= most => Ok(count),
        _ => Err(Fault::wrong(format!("a histogram has {count} {what}, room is for {most}"))),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts above 2^53 are rounded, as upstream does")]
pub(crate) fn float_of(count: u64) -> f64 {
    count as f64
}
