//! Compensated summation (Kahan, with Neumaier's improvement), to the digit as Prometheus sums.

/// A running sum and what rounding took from it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sum {
    /// The sum as rounded.
    pub(crate) sum: f64,
    /// What is to be added to it.
    pub(crate) compensation: f64,
}

impl Sum {
    /// The sum of nothing.
    pub(crate) const NOTHING: Sum = Sum { sum: -0.0, compensation: 0.0 };

    /// Adds `value`.
    #[inline]
    pub(crate) fn add(self, value: f64) -> Sum {
        let (sum, compensation) = add(value, self.sum, self.compensation);
        Sum { sum, compensation }
    }

    /// The sum with its compensation; infinities stay.
    #[inline]
    pub(crate) fn total(self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.compensation }
    }
}

/// Adds `value` to `sum` and what rounding took to `compensation`. What rounding takes of a sum of
/// two is a float, and Knuth's two-sum finds it without asking which of them is larger.
#[inline]
pub(crate) fn add(value: f64, sum: f64, compensation: f64) -> (f64, f64) {
    let total = sum + value;
    let part = total - sum;
    let lost = (sum - (total - part)) + (value - part);
    (total, if total.is_infinite() { 0.0 } else { compensation + lost })
}

/// The mean of values, by their sum while it is finite and incrementally from there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mean {
    sum: Sum,
    count: f64,
    /// `sum` holds the mean so far.
    incremental: bool,
}

impl Mean {
    /// The mean of nothing yet.
    pub(crate) const NOTHING: Mean = Mean { sum: Sum::NOTHING, count: 0.0, incremental: false };

    /// Adds `value`.
    #[inline]
    pub(crate) fn add(mut self, value: f64) -> Mean {
        self.count += 1.0;
        if !self.incremental {
            let next = self.sum.add(value);
            if !next.sum.is_infinite() || self.count == 1.0 {
                // The first value is taken as it is, even if infinite.
                self.sum = next;
                return self;
            }
            self.incremental = true;
            self.sum.sum /= self.count - 1.0;
            self.sum.compensation /= self.count - 1.0;
        }
        let share = (self.count - 1.0) / self.count;
        let scaled = Sum { sum: share * self.sum.sum, compensation: share * self.sum.compensation };
        self.sum = scaled.add(value / self.count);
        self
    }

    /// The mean.
    #[inline]
    pub(crate) fn mean(self) -> f64 {
        let Sum { sum, compensation } = self.sum;
        if self.incremental {
            sum + compensation
        } else {
            sum / self.count + compensation / self.count
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The addition as Prometheus writes it.
    fn add_by_size(value: f64, sum: f64, compensation: f64) -> (f64, f64) {
        let total = sum + value;
        let lost =
            if value.abs() <= sum.abs() { (sum - total) + value } else { (value - total) + sum };
        (total, if total.is_infinite() { 0.0 } else { compensation + lost })
    }

    proptest! {
        #[test]
        fn both_ways_to_add_are_one(
            bits in prop::collection::vec(any::<u64>(), 1..20),
            near: bool,
        ) {
            let (mut left, mut right) = ((0.0, 0.0), (0.0, 0.0));
            for bits in bits {
                let bits = if near { bits & !(0x7c << 56) | 0x3c << 56 } else { bits };
                let value = f64::from_bits(bits);
                left = add(value, left.0, left.1);
                right = add_by_size(value, right.0, right.1);
                let total = |sum: (f64, f64)| sum.0 + sum.1;
                prop_assert_eq!(left.0.to_bits(), right.0.to_bits());
                let same = total(left).to_bits() == total(right).to_bits();
                prop_assert!(same || total(left).is_nan() && total(right).is_nan());
            }
        }
    }

    fn sum(values: &[f64]) -> f64 {
        values.iter().fold(Sum::NOTHING, |sum, value| sum.add(*value)).total()
    }

    fn mean(values: &[f64]) -> f64 {
        values.iter().fold(Mean::NOTHING, |mean, value| mean.add(*value)).mean()
    }

    #[test]
    fn small_values_survive_large_ones() {
        assert_eq!(sum(&[2.0, 8.0, 1e100, -1e100]), 10.0);
        assert_eq!(sum(&[f64::INFINITY, 2.0]), f64::INFINITY);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
    }

    #[test]
    fn means_survive_overflow() {
        let big = f64::MAX / 1.5;
        assert!((mean(&[big; 4]) / big - 1.0).abs() < 1e-12);
        let half = 2.0f64.powi(1023);
        assert_eq!(mean(&[-half, -half, half, half]), 0.0);
        assert_eq!(mean(&[f64::INFINITY, 0.0, f64::INFINITY]), f64::INFINITY);
        assert!(mean(&[f64::NEG_INFINITY, 0.0, f64::INFINITY]).is_nan());
        assert_eq!(mean(&[2.0, 8.0, 1e100, -1e100]), 2.5);
    }
}
