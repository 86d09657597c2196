//! Buckets of one classic histogram at one time: quantiles and fractions.

/// A bucket: its upper bound and how many observations are at or below it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bucket {
    /// Upper bound.
    pub(crate) bound: f64,
    /// Observations at or below.
    pub(crate) count: f64,
}

/// What had to be repaired so that counts rise with the bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Repair {
    /// Lowest and highest bound that was repaired.
    pub(crate) bounds: (f64, f64),
    /// Largest fall.
    pub(crate) diff_max: f64,
}

/// Relative difference of counts that is taken for rounding (upstream's `smallDeltaTolerance`).
const ROUNDING: f64 = 1e-12;

/// The quantile `q` of buckets sorted by bound, and what had to be repaired; bounds that occur
/// twice must have been joined by [`join_equal_bounds`].
pub(crate) fn quantile_of(q: f64, buckets: &mut [Bucket]) -> (f64, Option<Repair>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if 1.0 < q {
        return (f64::INFINITY, None);
    }
    if !ends_at_infinity(buckets) {
        return (f64::NAN, None);
    }
    let repair = make_monotonic(buckets);
    let last = buckets.len() - 1;
    let observations = buckets[last].count;
    if last == 0 || observations == 0.0 {
        return (f64::NAN, repair);
    }
    let mut rank = q * observations;
    let at = buckets[..last].partition_point(|bucket| {
        // Upstream searches the first count at or above the rank; NaN is never at or above.
        bucket.count.partial_cmp(&rank).is_none_or(std::cmp::Ordering::is_lt)
    });
    if at == last {
        return (buckets[last - 1].bound, repair);
    }
    if at == 0 && buckets[0].bound <= 0.0 {
        return (buckets[0].bound, repair);
    }
    let (mut start, mut count) = (0.0, buckets[at].count);
    if 0 < at {
        start = buckets[at - 1].bound;
        count -= buckets[at - 1].count;
        rank -= buckets[at - 1].count;
    }
    (start + (buckets[at].bound - start) * (rank / count), repair)
}

/// The fraction of observations between two values, of buckets as for [`quantile_of`].
pub(crate) fn fraction_of(lower: f64, upper: f64, buckets: &[Bucket]) -> f64 {
    if !ends_at_infinity(buckets) {
        return f64::NAN;
    }
    let count = buckets[buckets.len() - 1].count;
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if upper <= lower {
        return 0.0;
    }
    let rank = |value: f64| rank_of(value, buckets).map_or(count, |rank| rank.min(count));
    (rank(upper) - rank(lower)) / count
}

/// Observations below `value`, interpolated in its bucket; `None` beyond the last bound.
fn rank_of(value: f64, buckets: &[Bucket]) -> Option<f64> {
    let mut rank = 0.0;
    let mut low = if buckets[0].bound <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
    for bucket in buckets {
        if value <= low {
            return Some(rank);
        }
        if value < bucket.bound {
            if low == f64::NEG_INFINITY {
                return Some(bucket.count);
            }
            return Some(rank + (bucket.count - rank) * (value - low) / (bucket.bound - low));
        }
        rank = bucket.count;
        low = bucket.bound;
    }
    None
}

fn ends_at_infinity(buckets: &[Bucket]) -> bool {
    buckets.last().is_some_and(|last| last.bound == f64::INFINITY)
}

/// Adds up buckets of the same bound; they must be sorted.
pub(crate) fn join_equal_bounds(buckets: &mut Vec<Bucket>) {
    buckets.dedup_by(|next, kept| {
        let equal = next.bound == kept.bound;
        if equal {
            kept.count += next.count;
        }
        equal
    });
}

/// Raises counts that fall below the bucket before; differences by rounding go unnoticed.
fn make_monotonic(buckets: &mut [Bucket]) -> Option<Repair> {
    let mut repair: Option<Repair> = None;
    let mut before = buckets[0].count;
    for bucket in &mut buckets[1..] {
        let count = bucket.count;
        if count == before {
            continue;
        }
        if is_close(before, count, ROUNDING) {
            bucket.count = before;
        } else if count < before {
            bucket.count = before;
            let known = repair.get_or_insert(Repair {
                bounds: (f64::INFINITY, f64::NEG_INFINITY),
                diff_max: 0.0,
            });
            known.bounds = (known.bounds.0.min(bucket.bound), known.bounds.1.max(bucket.bound));
            known.diff_max = known.diff_max.max(before - count);
        } else {
            before = count;
        }
    }
    repair
}

/// Whether two values differ by less than `tolerance` of their sum.
pub(crate) fn is_close(left: f64, right: f64, tolerance: f64) -> bool {
    if left == right || (left.is_nan() && right.is_nan()) {
        return true;
    }
    let sum = left.abs() + right.abs();
    let difference = (left - right).abs();
    if left == 0.0 || right == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < tolerance * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < tolerance
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(counts: &[(f64, f64)]) -> Vec<Bucket> {
        counts.iter().map(|(bound, count)| Bucket { bound: *bound, count: *count }).collect()
    }

    #[track_caller]
    fn check(q: f64, counts: &[(f64, f64)], expected: f64) {
        let (got, _) = quantile_of(q, &mut buckets(counts));
        assert!(got == expected || (got.is_nan() && expected.is_nan()), "{got} != {expected}");
    }

    const INF: f64 = f64::INFINITY;

    #[test]
    fn quantiles_interpolate_in_their_bucket() {
        check(0.5, &[(1.0, 2.0), (3.0, 4.0), (INF, 4.0)], 1.0);
        check(0.75, &[(1.0, 2.0), (3.0, 4.0), (INF, 4.0)], 2.0);
        check(0.99, &[(1.0, 2.0), (INF, 4.0)], 1.0);
        check(0.1, &[(-1.0, 2.0), (INF, 4.0)], -1.0);
        check(0.5, &[(1.0, 2.0)], f64::NAN);
        check(0.5, &[(INF, 2.0)], f64::NAN);
        check(2.0, &[(INF, 2.0)], INF);
    }

    #[test]
    fn falling_counts_are_repaired() {
        let mut fallen = buckets(&[(1.0, 4.0), (2.0, 3.0), (INF, 5.0)]);
        let (_, repair) = quantile_of(0.5, &mut fallen);
        assert_eq!(repair, Some(Repair { bounds: (2.0, 2.0), diff_max: 1.0 }));
        let mut rounded = buckets(&[(1.0, 4.0), (2.0, 4.0 - 1e-13), (INF, 5.0)]);
        assert_eq!(quantile_of(0.5, &mut rounded).1, None);
    }

    #[test]
    fn fractions_are_between_bounds() {
        let counts = buckets(&[(1.0, 2.0), (3.0, 4.0), (INF, 8.0)]);
        assert_eq!(fraction_of(0.0, 1.0, &counts), 0.25);
        assert_eq!(fraction_of(2.0, 3.0, &counts), 0.125);
        assert_eq!(fraction_of(f64::NEG_INFINITY, INF, &counts), 1.0);
        assert_eq!(fraction_of(3.0, 1.0, &counts), 0.0);
    }
}
