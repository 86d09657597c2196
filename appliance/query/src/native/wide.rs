//! Wide: a native histogram as it is computed with, buckets by index, each with what rounding took.

use std::sync::Arc;

use model::native_histogram::{CounterResetHint, NativeHistogram, Span};

use crate::kahan::add as add_compensated;
use crate::native::bucket::{exponential_bound, indexed, is_custom};

/// A number and what rounding took from it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Number {
    value: f64,
    lost: f64,
}

impl Number {
    fn plain(value: f64) -> Number {
        Number { value, lost: 0.0 }
    }

    fn add(&mut self, value: f64, compensated: bool) {
        if compensated {
            (self.value, self.lost) = add_compensated(value, self.value, self.lost);
        } else {
            self.value += value;
        }
    }

    fn scale(&mut self, scale: impl Fn(f64) -> f64) {
        self.value = scale(self.value);
        // Nothing lost stays nothing, also where it would be multiplied by an infinity.
        if self.lost != 0.0 {
            self.lost = scale(self.lost);
        }
    }
}

/// A bucket's index and count.
type Cell = (i32, Number);

/// A native histogram to compute with.
#[derive(Clone, Debug)]
pub struct Wide {
    hint: CounterResetHint,
    schema: i32,
    zero_threshold: f64,
    zero: Number,
    count: Number,
    sum: Number,
    positive: Vec<Cell>,
    negative: Vec<Cell>,
    custom: Arc<[f64]>,
    is_custom: bool,
}

/// Two histograms of which one has custom bounds and the other has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incompatible;

/// What is to be told about an addition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// One histogram followed a counter reset, the other did not.
    pub hints_collided: bool,
    /// Custom bounds differed: only those of both are left.
    pub bounds_reconciled: bool,
}

/// How a histogram is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adding {
    /// Plainly.
    Plain,
    /// Keeping what rounding takes.
    Compensated,
    /// Subtracted, plainly.
    Negative,
}

impl From<&NativeHistogram> for Wide {
    fn from(histogram: &NativeHistogram) -> Wide {
        let cells = |spans: &[Span], counts: &[f64]| {
            indexed(spans, counts).map(|(index, count)| (index, Number::plain(count))).collect()
        };
        Wide {
            hint: histogram.counter_reset_hint,
            schema: histogram.schema,
            zero_threshold: histogram.zero_threshold,
            zero: Number::plain(histogram.zero_count),
            count: Number::plain(histogram.count),
            sum: Number::plain(histogram.sum),
            positive: cells(&histogram.positive_spans, &histogram.positive_buckets),
            negative: cells(&histogram.negative_spans, &histogram.negative_buckets),
            custom: Arc::clone(&histogram.custom_values),
            is_custom: is_custom(histogram),
        }
    }
}

impl Wide {
    /// An empty histogram with the schema and bounds of `like`.
    #[must_use]
    pub fn empty_like(like: &NativeHistogram) -> Wide {
        let empty = NativeHistogram {
            schema: like.schema,
            custom_values: Arc::clone(&like.custom_values),
            ..NativeHistogram::default()
        };
        Wide::from(&empty)
    }

    /// The histogram, what rounding took added; `compact` leaves empty buckets out.
    #[must_use]
    pub fn finish(&self, compact: bool) -> NativeHistogram {
        let total = |number: &Number| number.value + number.lost;
        let mut histogram = NativeHistogram {
            counter_reset_hint: self.hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: total(&self.zero),
            count: total(&self.count),
            sum: if self.sum.value.is_infinite() { self.sum.value } else { total(&self.sum) },
            custom_values: Arc::clone(&self.custom),
            ..NativeHistogram::default()
        };
        let kept = |cells: &[Cell]| -> Vec<(i32, f64)> {
            let counts = cells.iter().map(|(index, number)| (*index, total(number)));
            counts.filter(|(_, count)| !compact || *count != 0.0).collect()
        };
        (histogram.positive_spans, histogram.positive_buckets) = packed(&kept(&self.positive));
        (histogram.negative_spans, histogram.negative_buckets) = packed(&kept(&self.negative));
        histogram
    }

    /// Count of observations.
    #[must_use]
    pub fn count(&self) -> f64 {
        self.count.value + self.count.lost
    }

    /// Says what is known of a reset.
    pub fn set_hint(&mut self, hint: CounterResetHint) {
        self.hint = hint;
    }

    /// Whether a number of the histogram is infinite.
    #[must_use]
    pub fn overflows(&self) -> bool {
        let numbers = [&self.zero, &self.count, &self.sum].into_iter();
        let cells = self.positive.iter().chain(&self.negative).map(|(_, number)| number);
        numbers.chain(cells).any(|number| number.value.is_infinite())
            || self.custom.iter().any(|bound| bound.is_infinite())
    }

    fn each(&mut self, mut change: impl FnMut(&mut Number)) {
        change(&mut self.zero);
        change(&mut self.count);
        change(&mut self.sum);
        for (_, number) in self.positive.iter_mut().chain(&mut self.negative) {
            change(number);
        }
    }

    /// Multiplies every count and the sum; a negative factor makes a gauge.
    pub fn multiply(&mut self, factor: f64) {
        self.each(|number| number.scale(|value| value * factor));
        if factor < 0.0 {
            self.hint = CounterResetHint::Gauge;
        }
    }

    /// Divides every count and the sum; by zero no bucket is left.
    pub fn divide(&mut self, by: f64) {
        if by == 0.0 {
            self.positive.clear();
            self.negative.clear();
        }
        self.each(|number| number.scale(|value| value / by));
        if by < 0.0 {
            self.hint = CounterResetHint::Gauge;
        }
    }

    /// Makes the resolution that of the coarser `schema`.
    pub fn reduce(&mut self, schema: i32) {
        if self.is_custom || self.schema <= schema {
            return;
        }
        let by = self.schema - schema;
        self.positive = reduced(&self.positive, by, true);
        self.negative = reduced(&self.negative, by, true);
        self.schema = schema;
    }

    /// Adds `other`, or subtracts it.
    ///
    /// # Errors
    /// Only one of both has custom bounds.
    pub fn add(&mut self, other: &NativeHistogram, adding: Adding) -> Result<Told, Incompatible> {
        if self.is_custom != is_custom(other) {
            return Err(Incompatible);
        }
        let mut told = Told { hints_collided: self.join_hints(other), ..Told::default() };
        let compensated = adding == Adding::Compensated;
        let sign = if adding == Adding::Negative { -1.0 } else { 1.0 };
        let mut other = Wide::from(other);
        if !self.is_custom {
            self.widen_zero(&mut other);
            self.zero.add(sign * other.zero.value, compensated);
        }
        self.count.add(sign * other.count.value, compensated);
        self.sum.add(sign * other.sum.value, compensated);
        if self.is_custom {
            if self.custom != other.custom {
                told.bounds_reconciled = true;
                let common = shared_bounds(&self.custom, &other.custom);
                self.positive = onto_bounds(&self.positive, &self.custom, &common);
                other.positive = onto_bounds(&other.positive, &other.custom, &common);
                self.custom = Arc::from(common);
                self.positive = merged(&self.positive, &other.positive, sign, compensated);
                self.positive.retain(|(_, number)| number.value != 0.0 || number.lost != 0.0);
                return Ok(told);
            }
            self.positive = merged(&self.positive, &other.positive, sign, compensated);
            return Ok(told);
        }
        let schema = self.schema.min(other.schema);
        self.reduce(schema);
        other.reduce(schema);
        // What lies within the zero bucket was counted there.
        let threshold = self.zero_threshold;
        for cells in [&mut other.positive, &mut other.negative] {
            let inside = cells
                .iter()
                .take_while(|(index, _)| exponential_bound(*index, schema) <= threshold)
                .count();
            cells.drain(..inside);
        }
        self.positive = merged(&self.positive, &other.positive, sign, compensated);
        self.negative = merged(&self.negative, &other.negative, sign, compensated);
        Ok(told)
    }

    /// What is known of resets after an addition; `true` when the histograms disagree.
    fn join_hints(&mut self, other: &NativeHistogram) -> bool {
        use CounterResetHint::{Gauge, Unknown};
        let theirs = other.counter_reset_hint;
        if theirs == self.hint || self.hint == Gauge {
            return false;
        }
        if theirs == Gauge {
            self.hint = Gauge;
            return false;
        }
        let collided = self.hint != Unknown && theirs != Unknown;
        self.hint = Unknown;
        collided
    }

    /// Widens the zero buckets of both until they are the same.
    fn widen_zero(&mut self, other: &mut Wide) {
        while self.zero_threshold != other.zero_threshold {
            if other.zero_threshold < self.zero_threshold {
                let (count, threshold) = other.zero_within(self.zero_threshold);
                other.zero = count;
                other.zero_threshold = threshold;
            }
            if self.zero_threshold < other.zero_threshold {
                let (count, threshold) = self.zero_within(other.zero_threshold);
                self.zero = count;
                self.zero_threshold = threshold;
                let schema = self.schema;
                for cells in [&mut self.positive, &mut self.negative] {
                    cells.retain(|(index, number)| {
                        let outside = threshold <= exponential_bound(index - 1, schema);
                        outside && (number.value != 0.0 || number.lost != 0.0)
                    });
                }
            }
        }
    }

    /// Count and threshold of a zero bucket that reaches `threshold` at least: further where a
    /// bucket with observations would be cut.
    fn zero_within(&self, threshold: f64) -> (Number, f64) {
        let mut threshold = threshold;
        if threshold == self.zero_threshold {
            return (self.zero, threshold);
        }
        loop {
            let mut count = self.zero;
            let before = threshold;
            for cells in [&self.positive, &self.negative] {
                for (index, number) in cells {
                    if threshold <= exponential_bound(index - 1, self.schema) {
                        break;
                    }
                    count.add(number.value, true);
                    count.add(number.lost, true);
                    let upper = exponential_bound(*index, self.schema);
                    if threshold < upper {
                        if number.value != 0.0 {
                            threshold = upper;
                        }
                        break;
                    }
                }
            }
            if threshold == before {
                return (count, threshold);
            }
        }
    }
}

/// Spans and counts of cells in order of index.
fn packed(cells: &[(i32, f64)]) -> (Vec<Span>, Vec<f64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut counts = Vec::with_capacity(cells.len());
    let mut next = 0;
    for (index, count) in cells {
        match spans.last_mut() {
            Some(span) if *index == next => span.length += 1,
            _ => spans.push(Span { offset: index - next, length: 1 }),
        }
        next = index + 1;
        counts.push(*count);
    }
    (spans, counts)
}

/// Cells at a resolution coarser by `by` schemas.
fn reduced(cells: &[Cell], by: i32, compensated: bool) -> Vec<Cell> {
    let mut joined: Vec<Cell> = Vec::with_capacity(cells.len());
    for (index, number) in cells {
        let target = coarser(*index, by);
        match joined.last_mut() {
            Some((known, sum)) if *known == target => {
                sum.add(number.value, compensated);
                sum.add(number.lost, compensated);
            }
            _ => joined.push((target, *number)),
        }
    }
    joined
}

/// The bucket that holds bucket `index` at a resolution coarser by `by` schemas.
pub(crate) fn coarser(index: i32, by: i32) -> i32 {
    ((index - 1) >> by.clamp(0, 31)) + 1
}

/// Cells of both, counts added with `sign` before the second's.
fn merged(left: &[Cell], right: &[Cell], sign: f64, compensated: bool) -> Vec<Cell> {
    let mut cells = Vec::with_capacity(left.len() + right.len());
    let (mut a, mut b) = (left.iter().peekable(), right.iter().peekable());
    while let Some(next) = [a.peek(), b.peek()].into_iter().flatten().map(|cell| cell.0).min() {
        let mut number = Number::default();
        if let Some((_, known)) = a.next_if(|(index, _)| *index == next) {
            number = *known;
        }
        if let Some((_, added)) = b.next_if(|(index, _)| *index == next) {
            number.add(sign * added.value, compensated);
            if added.lost != 0.0 {
                number.add(sign * added.lost, compensated);
            }
        }
        cells.push((next, number));
    }
    cells
}

/// Bounds that both have.
fn shared_bounds(left: &[f64], right: &[f64]) -> Vec<f64> {
    left.iter().copied().filter(|bound| right.contains(bound)).collect()
}

/// Cells of custom bounds `from` counted by the bounds `onto`.
fn onto_bounds(cells: &[Cell], from: &[f64], onto: &[f64]) -> Vec<Cell> {
    let mut targets: Vec<Cell> = Vec::new();
    for (index, number) in cells {
        let bound = usize::try_from(*index).ok().and_then(|at| from.get(at));
        let target = match bound {
            Some(bound) => onto.partition_point(|known| known < bound),
            None => onto.len(),
        };
        let target = i32::try_from(target).unwrap_or(i32::MAX);
        match targets.last_mut() {
            Some((known, sum)) if *known == target => {
                sum.add(number.value, true);
                sum.add(number.lost, true);
            }
            _ => targets.push((target, *number)),
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(schema: i32, first: i32, counts: &[f64]) -> NativeHistogram {
        let count = counts.iter().sum();
        NativeHistogram {
            schema,
            count,
            sum: 10.0,
            positive_spans: vec![Span {
                offset: first,
                length: u32::try_from(counts.len()).expect("few"),
            }],
            positive_buckets: counts.to_vec(),
            ..NativeHistogram::default()
        }
    }

    #[test]
    fn counts_grow_by_an_infinity() {
        let mut wide = Wide::from(&histogram(0, 0, &[1.0, 2.0]));
        wide.multiply(f64::NEG_INFINITY);
        let product = wide.finish(true);
        assert_eq!(product.count, f64::NEG_INFINITY);
        assert_eq!(product.positive_buckets, [f64::NEG_INFINITY; 2]);
    }

    #[test]
    fn buckets_add_by_index() {
        let mut wide = Wide::from(&histogram(0, 0, &[1.0, 2.0]));
        wide.add(&histogram(0, 1, &[3.0, 4.0]), Adding::Compensated).expect("same kind");
        let sum = wide.finish(true);
        assert_eq!(sum.positive_buckets, [1.0, 5.0, 4.0]);
        assert_eq!((sum.count, sum.sum), (10.0, 20.0));
    }

    #[test]
    fn the_coarser_schema_wins() {
        let mut wide = Wide::from(&histogram(1, 1, &[1.0, 2.0, 3.0]));
        wide.add(&histogram(0, 1, &[1.0]), Adding::Plain).expect("same kind");
        let sum = wide.finish(true);
        assert_eq!(sum.schema, 0);
        assert_eq!(sum.positive_buckets, [4.0, 3.0]);
    }

    #[test]
    fn differences_leave_empty_buckets_out() {
        let mut wide = Wide::from(&histogram(0, 0, &[1.0, 2.0]));
        wide.add(&histogram(0, 0, &[1.0, 1.0]), Adding::Negative).expect("same kind");
        let rest = wide.finish(true);
        assert_eq!(rest.positive_spans, [Span { offset: 1, length: 1 }]);
        assert_eq!(rest.positive_buckets, [1.0]);
    }

    #[test]
    fn zero_buckets_widen_to_the_larger() {
        let narrow = NativeHistogram {
            zero_threshold: 0.5,
            zero_count: 1.0,
            ..histogram(0, 0, &[2.0, 4.0])
        };
        let broad =
            NativeHistogram { zero_threshold: 1.0, zero_count: 3.0, ..histogram(0, 1, &[1.0]) };
        let mut wide = Wide::from(&narrow);
        wide.add(&broad, Adding::Plain).expect("same kind");
        let sum = wide.finish(true);
        assert_eq!((sum.zero_threshold, sum.zero_count), (1.0, 6.0));
        assert_eq!(sum.positive_buckets, [5.0]);
    }
}
