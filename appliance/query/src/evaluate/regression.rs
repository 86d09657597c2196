//! `deriv` and `predict_linear`: a least-squares line through the floats of each window.

use crate::annotation::Annotations;
use crate::evaluate::column::Column;
use crate::evaluate::rate::has_histograms;
use crate::evaluate::windowed::{Windowed, count_of, seconds_between};
use crate::kahan::Sum;

/// Fills `column` with the slope of each window, or with the line's value so many seconds after
/// the step.
pub(crate) fn fill_lines(
    series: &Windowed<'_>,
    seconds_ahead: Option<&[f64]>,
    column: &mut Column,
    notes: &mut Annotations,
) {
    let floats = &series.tracks.floats;
    for step in series.steps() {
        let (from, to) = series.floats.get(step);
        if from == to {
            continue;
        }
        if has_histograms(series, step) {
            series.info_ignored(notes);
        }
        if to - from < 2 {
            continue;
        }
        let (times, values) = (&floats.times[from..to], &floats.values[from..to]);
        let value = match seconds_ahead {
            None => line(times, values, times[0]).0,
            Some(seconds) => {
                let (slope, intercept) = line(times, values, series.grid.time_ms(step));
                slope * seconds[step] + intercept
            }
        };
        column.set_float(step, value);
    }
}

/// Slope by second, and value at `origin_ms`.
fn line(times: &[i64], values: &[f64], origin_ms: i64) -> (f64, f64) {
    let first = values[0];
    if values.iter().all(|value| *value == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let mut sums = [Sum::default(); 4];
    for (time, y) in times.iter().zip(values) {
        let x = seconds_between(origin_ms, *time);
        sums = [sums[0].add(x), sums[1].add(*y), sums[2].add(x * y), sums[3].add(x * x)];
    }
    let [x, y, xy, xx] = sums.map(|sum| sum.sum + sum.compensation);
    let count = count_of(values.len());
    let covariance = xy - x * y / count;
    let variance = xx - x * x / count;
    let slope = covariance / variance;
    (slope, y / count - slope * x / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_through_its_points() {
        let (slope, intercept) = line(&[0, 1000, 2000], &[1.0, 3.0, 5.0], 1000);
        assert!((slope - 2.0).abs() < 1e-12 && (intercept - 3.0).abs() < 1e-12);
        assert_eq!(line(&[0, 1000], &[4.0, 4.0], 0), (0.0, 4.0));
        assert!(line(&[0, 1000], &[f64::INFINITY; 2], 0).0.is_nan());
    }
}
