//! Buckets: which buckets a native histogram has, and the columns that several have together.
//!
//! Path: `write_histograms`, `read_histograms` → **buckets**.
//! Format: docs/format/chunk.md, version 1.

use model::native_histogram::{CounterResetHint, NativeHistogram, Span};

/// Most buckets of one histogram, positive and negative together, most of its spans on one side
/// and most of its custom bounds: a hundred times what instrumentation libraries make (160), and
/// few enough that a chunk of 480 histograms takes at most 63 MB to decode.
pub(crate) const BUCKETS_MAX: usize = 1 << 14;

/// Counts stand by bucket, one a histogram. The number is on disk: never reuse it.
pub(crate) const BY_COLUMNS: u8 = 0;
/// Counts stand by histogram, one a bucket. The number is on disk: never reuse it.
pub(crate) const BY_ROWS: u8 = 1;

/// Hints by their numbers, which are on disk: never reorder them.
const HINTS: [CounterResetHint; 4] = [
    CounterResetHint::Unknown,
    CounterResetHint::Reset,
    CounterResetHint::NotReset,
    CounterResetHint::Gauge,
];

/// The number of a hint.
pub(crate) fn number_of(hint: CounterResetHint) -> u64 {
    match hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::Reset => 1,
        CounterResetHint::NotReset => 2,
        CounterResetHint::Gauge => 3,
    }
}

/// The hint whose number are the low two bits.
pub(crate) fn hint_of(number: u64) -> CounterResetHint {
    HINTS[usize::try_from(number & 3).expect("two bits fit")]
}

/// Whether a chunk can hold it.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(histogram: &NativeHistogram) -> Result<(), &'static str> {
    let positive = check_spans(&histogram.positive_spans)?;
    let negative = check_spans(&histogram.negative_spans)?;
    if BUCKETS_MAX < positive + negative || BUCKETS_MAX < histogram.custom_values.len() {
        return Err("histogram has too many buckets");
    }
    let counts = (histogram.positive_buckets.len(), histogram.negative_buckets.len());
    if counts == (positive, negative) {
        Ok(())
    } else {
        Err("histogram has other than one count a bucket of its spans")
    }
}

/// What the count of observations is when none fell outside: both sides of the encoding add up in
/// this order, because float additions depend on it.
pub(crate) fn total(histogram: &NativeHistogram) -> f64 {
    let buckets = histogram.positive_buckets.iter().chain(&histogram.negative_buckets);
    buckets.fold(histogram.zero_count, |total, count| total + count)
}

/// Buckets of `spans`.
///
/// # Errors
/// They run backwards, or are too many.
pub(crate) fn check_spans(spans: &[Span]) -> Result<usize, &'static str> {
    let lengths: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
    let buckets = usize::try_from(lengths).unwrap_or(usize::MAX);
    if BUCKETS_MAX < buckets || BUCKETS_MAX < spans.len() {
        return Err("histogram has too many buckets");
    }
    if spans.iter().skip(1).any(|span| span.offset < 0) {
        return Err("histogram has spans that overlap");
    }
    Ok(buckets)
}

/// Indexes of the buckets of `spans`, rising.
pub(crate) fn indexes(spans: &[Span]) -> impl Iterator<Item = i64> {
    let mut next = 0i64;
    spans.iter().flat_map(move |span| {
        let start = next + i64::from(span.offset);
        next = start + i64::from(span.length);
        start..next
    })
}

/// Adds the buckets of `spans` to the rising `columns`.
pub(crate) fn join(columns: &mut Vec<i64>, spans: &[Span]) {
    if columns.is_empty() {
        columns.extend(indexes(spans));
        return;
    }
    let before = std::mem::take(columns);
    let mut old = before.iter().copied().peekable();
    for index in indexes(spans) {
        while let Some(column) = old.next_if(|column| *column < index) {
            columns.push(column);
        }
        old.next_if_eq(&index);
        columns.push(index);
    }
    columns.extend(old);
}

/// Bits of the numbers of `count` layouts.
pub(crate) fn number_bits(count: usize) -> u32 {
    usize::BITS - (count - 1).leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_the_union_of_spans() {
        let mut columns = Vec::new();
        join(&mut columns, &[Span { offset: -2, length: 2 }, Span { offset: 3, length: 1 }]);
        assert_eq!(columns, [-2, -1, 3]);
        join(&mut columns, &[Span { offset: -1, length: 1 }, Span { offset: 0, length: 2 }]);
        assert_eq!(columns, [-2, -1, 0, 1, 3]);
        join(&mut columns, &[]);
        join(&mut columns, &[Span { offset: 9, length: 0 }, Span { offset: 0, length: 1 }]);
        assert_eq!(columns, [-2, -1, 0, 1, 3, 9]);
    }

    #[test]
    fn what_no_chunk_holds_is_refused() {
        let span = |offset, length| Span { offset, length };
        let of = |positive_spans: Vec<Span>, counts: usize| NativeHistogram {
            positive_spans,
            positive_buckets: vec![1.0; counts],
            ..NativeHistogram::default()
        };
        assert_eq!(check(&of(vec![span(-7, 2), span(0, 1)], 3)), Ok(()));
        assert!(check(&of(vec![span(-7, 2), span(0, 1)], 2)).is_err());
        assert!(check(&of(vec![span(-7, 2), span(-1, 1)], 3)).is_err());
        assert!(check(&of(vec![span(0, u32::MAX), span(0, u32::MAX)], 0)).is_err());
    }

    #[test]
    fn hints_keep_their_numbers() {
        for (number, hint) in HINTS.into_iter().enumerate() {
            assert_eq!(number_of(hint), number as u64);
            assert_eq!(hint_of(number as u64), hint);
        }
    }
}
