//! Histogram: one native histogram as bytes, whole or as its difference from the one before.
//!
//! Path: `log`, `tile` → **histogram**.
//! Never: panics on what it reads.
//! Format: docs/format/wal.md, version 1.

use std::sync::Arc;

use model::native_histogram::{NativeHistogram, Span};

use crate::chunk::buckets::{BUCKETS_MAX, check, check_spans, hint_of, number_of};
use crate::decimal::{self, Code};
use crate::varint::{Cursor, put, put_signed};

/// All counts are integers.
const FLAG_INTEGERS: u8 = 4;
const HINT_MASK: u8 = 3;
/// Whether both are the same, bit by bit.
pub(crate) fn same(a: &NativeHistogram, b: &NativeHistogram) -> bool {
    let bits = |a: &[f64], b: &[f64]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
    };
    same_layout(a, b)
        && a.counter_reset_hint == b.counter_reset_hint
        && bits(&[a.sum, a.count, a.zero_count], &[b.sum, b.count, b.zero_count])
        && bits(&a.positive_buckets, &b.positive_buckets)
        && bits(&a.negative_buckets, &b.negative_buckets)
}

/// Whether both have the same buckets.
fn same_layout(a: &NativeHistogram, b: &NativeHistogram) -> bool {
    a.schema == b.schema
        && a.zero_threshold.to_bits() == b.zero_threshold.to_bits()
        && a.positive_spans == b.positive_spans
        && a.negative_spans == b.negative_spans
        && a.custom_values.len() == b.custom_values.len()
        && a.custom_values.iter().zip(&*b.custom_values).all(|(a, b)| a.to_bits() == b.to_bits())
}

/// Most bytes that either form takes.
pub(crate) fn bytes_max(histogram: &NativeHistogram) -> usize {
    let spans = histogram.positive_spans.len() + histogram.negative_spans.len();
    // A bucket of a difference has a gap of up to three bytes and an integer of up to ten.
    64 + 10 * spans + 13 * buckets(histogram).count() + 8 * histogram.custom_values.len()
}

/// Bytes of memory of it and behind it.
pub(crate) fn heap_bytes(histogram: &NativeHistogram) -> usize {
    let spans = histogram.positive_spans.capacity() + histogram.negative_spans.capacity();
    let counts = histogram.positive_buckets.capacity() + histogram.negative_buckets.capacity();
    2 * size_of::<usize>()
        + size_of::<NativeHistogram>()
        + spans * size_of::<Span>()
        + (counts + histogram.custom_values.len()) * size_of::<f64>()
}

fn buckets(histogram: &NativeHistogram) -> impl Iterator<Item = f64> {
    histogram.positive_buckets.iter().chain(&histogram.negative_buckets).copied()
}

fn integer(count: f64) -> Option<i64> {
    decimal::exact(count, Code::INTEGER)
}

fn are_integers(histogram: &NativeHistogram) -> bool {
    let totals = [histogram.count, histogram.zero_count];
    totals.into_iter().chain(buckets(histogram)).all(|count| integer(count).is_some())
}

fn put_float(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

fn put_count(out: &mut Vec<u8>, count: f64, before: f64, integers: bool) {
    match (integer(count), integer(before)) {
        (Some(count), Some(before)) if integers => put_signed(out, count - before),
        _ => put_float(out, count),
    }
}

fn hint_byte(histogram: &NativeHistogram) -> u8 {
    u8::try_from(number_of(histogram.counter_reset_hint)).expect("a hint has two bits")
}

/// Appends it so that it leans on nothing.
pub(crate) fn put_whole(histogram: &NativeHistogram, out: &mut Vec<u8>) {
    let integers = are_integers(histogram);
    out.push(hint_byte(histogram) | if integers { FLAG_INTEGERS } else { 0 });
    put_signed(out, histogram.schema.into());
    put_float(out, histogram.zero_threshold);
    put_float(out, histogram.sum);
    put_count(out, histogram.count, 0.0, integers);
    put_count(out, histogram.zero_count, 0.0, integers);
    for spans in [&histogram.positive_spans, &histogram.negative_spans] {
        put(out, spans.len() as u64);
        for span in spans {
            put_signed(out, span.offset.into());
            put(out, span.length.into());
        }
    }
    put(out, histogram.custom_values.len() as u64);
    histogram.custom_values.iter().for_each(|bound| put_float(out, *bound));
    for counts in [&histogram.positive_buckets, &histogram.negative_buckets] {
        let mut before = 0.0;
        for count in counts {
            put_count(out, *count, before, integers);
            before = *count;
        }
    }
}

/// Appends what changed since `before`; whether it could: the buckets must be the same, the counts
/// integers.
pub(crate) fn put_difference(
    before: &NativeHistogram,
    histogram: &NativeHistogram,
    out: &mut Vec<u8>,
) -> bool {
    let can = same_layout(before, histogram) && are_integers(before) && are_integers(histogram);
    if !can {
        return false;
    }
    out.push(hint_byte(histogram));
    put_float(out, histogram.sum);
    put_count(out, histogram.count, before.count, true);
    put_count(out, histogram.zero_count, before.zero_count, true);
    let pairs = || buckets(before).zip(buckets(histogram)).enumerate();
    let changed = || pairs().filter(|(_, (old, new))| old.to_bits() != new.to_bits());
    put(out, changed().count() as u64);
    let mut next = 0;
    for (at, (old, new)) in changed() {
        put(out, (at - next) as u64);
        next = at + 1;
        put_count(out, new, old, true);
    }
    true
}

fn float(cursor: &mut Cursor<'_>) -> Option<f64> {
    Some(f64::from_bits(u64::from_le_bytes(cursor.array()?)))
}

fn count(cursor: &mut Cursor<'_>, before: f64, integers: bool) -> Option<f64> {
    if !integers {
        return float(cursor);
    }
    let sum = integer(before)?.checked_add(cursor.signed()?)?;
    let count = decimal::value(sum, Code::INTEGER);
    (integer(count) == Some(sum)).then_some(count)
}

/// Reads what [`put_whole`] wrote; it passes [`check`].
pub(crate) fn read_whole(cursor: &mut Cursor<'_>) -> Option<NativeHistogram> {
    let flags = cursor.byte()?;
    if flags & !(HINT_MASK | FLAG_INTEGERS) != 0 {
        return None;
    }
    let integers = flags & FLAG_INTEGERS != 0;
    let mut histogram = NativeHistogram {
        counter_reset_hint: hint_of(u64::from(flags & HINT_MASK)),
        schema: i32::try_from(cursor.signed()?).ok()?,
        zero_threshold: float(cursor)?,
        sum: float(cursor)?,
        count: count(cursor, 0.0, integers)?,
        zero_count: count(cursor, 0.0, integers)?,
        positive_spans: spans(cursor)?,
        negative_spans: spans(cursor)?,
        ..NativeHistogram::default()
    };
    histogram.custom_values = custom_values(cursor)?;
    let positive = check_spans(&histogram.positive_spans).ok()?;
    let negative = check_spans(&histogram.negative_spans).ok()?;
    histogram.positive_buckets = counts(cursor, positive, integers)?;
    histogram.negative_buckets = counts(cursor, negative, integers)?;
    check(&histogram).ok()?;
    Some(histogram)
}

fn spans(cursor: &mut Cursor<'_>) -> Option<Vec<Span>> {
    let count = cursor.size().filter(|count| *count <= cursor.left())?;
    let mut spans = Vec::with_capacity(count);
    for _ in 0..count {
        let offset = i32::try_from(cursor.signed()?).ok()?;
        spans.push(Span { offset, length: cursor.unsigned32()? });
    }
    Some(spans)
}

fn custom_values(cursor: &mut Cursor<'_>) -> Option<Arc<[f64]>> {
    let count = cursor.size().filter(|count| *count <= BUCKETS_MAX)?;
    let (bounds, _) = cursor.bytes(count * 8)?.as_chunks::<8>();
    Some(bounds.iter().map(|bits| f64::from_bits(u64::from_le_bytes(*bits))).collect())
}

fn counts(cursor: &mut Cursor<'_>, buckets: usize, integers: bool) -> Option<Vec<f64>> {
    if cursor.left() < buckets {
        return None;
    }
    let mut counts = Vec::with_capacity(buckets);
    let mut before = 0.0;
    for _ in 0..buckets {
        before = count(cursor, before, integers)?;
        counts.push(before);
    }
    Some(counts)
}

/// Reads what [`put_difference`] wrote against the same `before`.
pub(crate) fn read_difference(
    before: &NativeHistogram,
    cursor: &mut Cursor<'_>,
) -> Option<NativeHistogram> {
    let mut histogram = before.clone();
    histogram.counter_reset_hint = hint_of(cursor.byte().filter(|hint| *hint <= HINT_MASK)?.into());
    histogram.sum = float(cursor)?;
    histogram.count = count(cursor, before.count, true)?;
    histogram.zero_count = count(cursor, before.zero_count, true)?;
    let mut next = 0usize;
    for _ in 0..cursor.size()? {
        let at = next.checked_add(cursor.size()?)?;
        next = at + 1;
        let positive = histogram.positive_buckets.len();
        let bucket = match at.checked_sub(positive) {
            None => &mut histogram.positive_buckets[at],
            Some(at) => histogram.negative_buckets.get_mut(at)?,
        };
        *bucket = count(cursor, *bucket, true)?;
    }
    Some(histogram)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts_of(integers: bool, seeds: &[i64]) -> Vec<f64> {
        let scale = if integers { 1.0 } else { 0.3 };
        seeds.iter().map(|seed| *seed as f64 * scale).collect()
    }

    /// Any histogram that passes [`check`].
    pub(crate) fn any_histogram() -> impl Strategy<Value = NativeHistogram> {
        let side = || (-9i32..9, prop::collection::vec(0i64..1 << 50, 0..6), 0u32..3);
        let custom = prop::collection::vec(0.1f64..9.0, 0..3);
        (side(), side(), any::<(u64, bool)>(), 0u64..4, custom).prop_map(
            |(positive, negative, (bits, integers), hint, custom)| {
                let spans = |(offset, counts, cut): &(i32, Vec<i64>, u32)| {
                    let length = u32::try_from(counts.len()).unwrap();
                    let first = length.min(*cut);
                    let gap = Span { offset: 2, length: length - first };
                    vec![Span { offset: *offset, length: first }, gap]
                };
                NativeHistogram {
                    counter_reset_hint: hint_of(hint),
                    schema: 3,
                    zero_threshold: 1e-128,
                    zero_count: counts_of(integers, &[7])[0],
                    count: counts_of(integers, &[1 << 40])[0],
                    sum: f64::from_bits(bits),
                    positive_spans: spans(&positive),
                    positive_buckets: counts_of(integers, &positive.1),
                    negative_spans: spans(&negative),
                    negative_buckets: counts_of(integers, &negative.1),
                    custom_values: custom.into(),
                }
            },
        )
    }

    proptest! {
        #[test]
        fn histograms_read_back_bit_by_bit(
            a in any_histogram(),
            b in any_histogram(),
            add in 0u8..9,
        ) {
            let mut bytes = Vec::new();
            put_whole(&a, &mut bytes);
            prop_assert!(bytes.len() <= bytes_max(&a));
            let back = read_whole(&mut Cursor::new(&bytes)).unwrap();
            prop_assert!(same(&a, &back));
            let mut next = a.clone();
            next.sum = b.sum;
            for bucket in next.positive_buckets.iter_mut().step_by(2) {
                *bucket += f64::from(add);
            }
            for (before, after) in [(&a, &next), (&a, &b)] {
                bytes.clear();
                if put_difference(before, after, &mut bytes) {
                    prop_assert!(bytes.len() <= bytes_max(after));
                    let mut cursor = Cursor::new(&bytes);
                    prop_assert!(same(after, &read_difference(before, &mut cursor).unwrap()));
                    prop_assert!(cursor.is_empty());
                }
            }
        }

        #[test]
        fn arbitrary_bytes_are_read_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            before in any_histogram(),
        ) {
            if let Some(read) = read_whole(&mut Cursor::new(&bytes)) {
                prop_assert_eq!(check(&read), Ok(()));
            }
            if let Some(read) = read_difference(&before, &mut Cursor::new(&bytes)) {
                prop_assert_eq!(check(&read), Ok(()));
            }
        }
    }
}
