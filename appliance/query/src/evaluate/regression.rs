//! `deriv` and `predict_linear`: a least-squares line through the floats of each window.

use crate::annotation::Annotations;
use crate::evaluate::column::Column;
use crate::evaluate::rate::has_histograms;
use crate::evaluate::windowed::{Windowed, count_of, fold_windows, seconds_between};
use crate::kahan::Sum;

/// Fills `column` with the slope of each window, or with the line's value so many seconds after
/// the step.
pub(crate) fn fill_lines(
    series: &Windowed<'_>,
    seconds_ahead: Option<&[f64]>,
    column: &mut Column,
    notes: &mut Annotations,
) {
    let (times, values) = (&series.tracks.floats.times[..], &series.tracks.floats.values[..]);
    let origin = |step: usize| match seconds_ahead {
        None => times[series.floats.get(step).0],
        Some(_) => series.grid.time_ms(step),
    };
    // Since which sample the values are the same.
    let mut same_since = Vec::with_capacity(values.len());
    let mut since = 0;
    for (at, value) in values.iter().enumerate() {
        since = if values[since] == *value { since } else { at };
        same_since.push(since);
    }
    let start = |step: usize| Line::new(origin(step));
    let add = |line: Line, at: usize| line.add(times[at], values[at]);
    fold_windows(series, start, add, |step, (from, to), line| {
        if has_histograms(series, step) {
            series.info_ignored(notes);
        }
        if to - from < 2 {
            return;
        }
        let constant = (same_since[to - 1] <= from).then_some(values[from]);
        let (slope, intercept) = line.fit(constant, to - from);
        column.set_float(
            step,
            match seconds_ahead {
                None => slope,
                Some(seconds) => slope * seconds[step] + intercept,
            },
        );
    });
}

/// A line under way: compensated sums of times, values, their products and squares of times.
#[derive(Clone, Copy, Debug)]
struct Line {
    origin_ms: i64,
    sums: [Sum; 4],
}

impl Line {
    fn new(origin_ms: i64) -> Line {
        Line { origin_ms, sums: [Sum::default(); 4] }
    }

    #[inline]
    fn add(self, time_ms: i64, y: f64) -> Line {
        let x = seconds_between(self.origin_ms, time_ms);
        let [xs, ys, xys, xxs] = self.sums;
        Line { sums: [xs.add(x), ys.add(y), xys.add(x * y), xxs.add(x * x)], ..self }
    }

    /// Slope by second, and value at the origin; of a line whose values are all the same, those.
    fn fit(self, constant: Option<f64>, count: usize) -> (f64, f64) {
        if let Some(value) = constant {
            return if value.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, value) };
        }
        let [x, y, xy, xx] = self.sums.map(|sum| sum.sum + sum.compensation);
        let count = count_of(count);
        let covariance = xy - x * y / count;
        let variance = xx - x * x / count;
        let slope = covariance / variance;
        (slope, y / count - slope * x / count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(times: &[i64], values: &[f64], origin_ms: i64) -> (f64, f64) {
        let pairs = times.iter().zip(values);
        let line = pairs.fold(Line::new(origin_ms), |line, (time, value)| line.add(*time, *value));
        let same = values.iter().all(|value| *value == values[0]);
        line.fit(same.then_some(values[0]), values.len())
    }

    #[test]
    fn a_line_goes_through_its_points() {
        let (slope, intercept) = line(&[0, 1000, 2000], &[1.0, 3.0, 5.0], 1000);
        assert!((slope - 2.0).abs() < 1e-12 && (intercept - 3.0).abs() < 1e-12);
        assert_eq!(line(&[0, 1000], &[4.0, 4.0], 0), (0.0, 4.0));
        assert!(line(&[0, 1000], &[f64::INFINITY; 2], 0).0.is_nan());
    }
}
