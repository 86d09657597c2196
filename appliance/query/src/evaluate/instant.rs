//! Instant selector: the newest sample of a series within the lookback, at every step.

use std::sync::Arc;

use model::native_histogram::NativeHistogram;
use model::staleness::is_stale;

use crate::evaluate::column::Column;
use crate::grid::Grid;
use crate::plan::node::Moved;
use model::samples::Samples;

/// What of the found sample becomes the step's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    /// Its value.
    Value,
    /// Its time, seconds.
    Time,
    /// Its start timestamp, seconds; nothing where none is recorded.
    Start,
}

/// Fills `column` with the sample that is valid at each step.
pub(crate) fn fill_steps(
    samples: &Samples,
    grid: &Grid,
    moved: Moved,
    lookback_ms: i64,
    pick: Pick,
    column: &mut Column,
) {
    column.reset(grid.count);
    if pick == Pick::Value && samples.histograms.is_empty() {
        return fill_floats(samples, grid, moved, lookback_ms, column);
    }
    let times = &samples.timestamps_ms;
    let mut next = 0;
    for step in 0..grid.count {
        let reference = moved.reference_ms(grid.time_ms(step));
        while next < times.len() && times[next] <= reference {
            next += 1;
        }
        if next == 0 || times[next - 1] <= reference.saturating_sub(lookback_ms) {
            continue;
        }
        put(samples, next - 1, pick, step, column);
    }
}

/// The same of floats, 64 steps at a time.
fn fill_floats(
    samples: &Samples,
    grid: &Grid,
    moved: Moved,
    lookback_ms: i64,
    column: &mut Column,
) {
    let (times, values) = (&samples.timestamps_ms[..], &samples.values[..]);
    assert_eq!(times.len(), values.len(), "every value has its time");
    let mut next = 0;
    let words = column.present.words_mut().iter_mut();
    for ((at, word), filled) in words.enumerate().zip(column.values.chunks_mut(64)) {
        for (bit, slot) in filled.iter_mut().enumerate() {
            let reference = moved.reference_ms(grid.time_ms(at * 64 + bit));
            while next < times.len() && times[next] <= reference {
                next += 1;
            }
            if next == 0 {
                continue;
            }
            let value = values[next - 1];
            let is_valid = reference.saturating_sub(lookback_ms) < times[next - 1];
            *word |= u64::from(is_valid && !is_stale(value)) << bit;
            *slot = value;
        }
    }
}

fn put(samples: &Samples, at: usize, pick: Pick, step: usize, column: &mut Column) {
    let histogram = histogram_at(samples, at);
    let stale = match histogram {
        Some(histogram) => is_stale(histogram.sum),
        None => is_stale(samples.values[at]),
    };
    if stale {
        return;
    }
    match (pick, histogram) {
        (Pick::Value, None) => column.set_float(step, samples.values[at]),
        (Pick::Value, Some(histogram)) => column.set_histogram(step, Arc::clone(histogram)),
        (Pick::Time, _) => column.set_float(step, seconds(samples.timestamps_ms[at])),
        (Pick::Start, _) => {
            let start = samples.start_timestamps_ms.get(at).copied().unwrap_or(0);
            column.set_float(step, seconds(start));
        }
    }
}

fn histogram_at(samples: &Samples, at: usize) -> Option<&Arc<NativeHistogram>> {
    if samples.histograms.is_empty() {
        return None;
    }
    let wanted = u32::try_from(at).ok()?;
    let found = samples.histograms.binary_search_by_key(&wanted, |(index, _)| *index).ok()?;
    Some(&samples.histograms[found].1)
}

/// Seconds of milliseconds.
pub(crate) fn seconds(ms: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "Prometheus rounds alike")]
    let ms = ms as f64;
    ms / 1000.0
}

#[cfg(test)]
mod tests {
    use model::staleness::stale_nan;
    use model::time::TimestampMs;

    use super::*;

    #[track_caller]
    fn check(samples: &[(i64, f64)], at_ms: Option<i64>, expected: &[Option<f64>]) {
        let mut decoded = Samples::default();
        for (time, value) in samples {
            decoded.push(TimestampMs(*time), *value);
        }
        let mut column = Column::default();
        let moved = Moved { at_ms, offset_ms: 0 };
        fill_steps(&decoded, &Grid::new(0, 40, 10), moved, 20, Pick::Value, &mut column);
        let got: Vec<_> = (0..5).map(|step| column.float(step)).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn newest_sample_counts_within_the_lookback() {
        check(&[(0, 1.0), (9, 2.0)], None, &[Some(1.0), Some(2.0), Some(2.0), None, None]);
        check(&[(10, 1.0)], None, &[None, Some(1.0), Some(1.0), None, None]);
        check(
            &[(0, 1.0), (10, stale_nan()), (30, 3.0)],
            None,
            &[Some(1.0), None, None, Some(3.0), Some(3.0)],
        );
        check(&[(0, 1.0), (10, 2.0)], Some(11), &[Some(2.0); 5]);
    }
}
