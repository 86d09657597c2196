//! Functions of the samples of a window.

use query::ast::{MatrixSelector, Modifiers};

use crate::naive::histogram::{Histogram, sum_of};
use crate::naive::value::{Fault, Sample};

/// A window: left end exclusive, right end inclusive, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) from_ms: i64,
    pub(crate) until_ms: i64,
}

#[expect(clippy::cast_precision_loss, reason = "made-up times and counts are small")]
fn float(of: i64) -> f64 {
    of as f64
}

#[expect(clippy::cast_precision_loss, reason = "windows are small")]
fn count(of: usize) -> f64 {
    of as f64
}

fn seconds(ms: i64) -> f64 {
    float(ms) / 1000.0
}

/// What a function makes of a window with samples; `None` of nothing.
pub(crate) fn over_time(
    name: &str,
    samples: &[(i64, Sample)],
    window: Window,
    numbers: &[f64],
    at_ms: i64,
) -> Result<Option<Sample>, Fault> {
    let mut floats = Vec::new();
    let mut histograms = Vec::new();
    for (time, sample) in samples {
        match sample {
            Sample::Float(value) => floats.push((*time, *value)),
            Sample::Histogram(histogram) => histograms.push((*time, histogram.clone())),
        }
    }
    let (first, last) = (&samples[0], &samples[samples.len() - 1]);
    let number = |value: f64| Ok(Some(Sample::Float(value)));
    match name {
        "count_over_time" => return number(count(samples.len())),
        "present_over_time" => return number(1.0),
        "first_over_time" => return Ok(Some(first.1.clone())),
        "last_over_time" => return Ok(Some(last.1.clone())),
        "ts_of_first_over_time" => return number(seconds(first.0)),
        "ts_of_last_over_time" => return number(seconds(last.0)),
        _ => {}
    }
    if !histograms.is_empty() {
        match name {
            // What mixes floats and histograms has no sum and no rate.
            "sum_over_time" | "avg_over_time" | "rate" | "increase" | "delta"
                if !floats.is_empty() =>
            {
                return Ok(None);
            }
            "sum_over_time" | "avg_over_time" => {
                let all: Vec<Histogram> = histograms.into_iter().map(|(_, one)| one).collect();
                let by = if name == "avg_over_time" { count(all.len()) } else { 1.0 };
                return Ok(sum_of(&all).map(|sum| Sample::Histogram(sum.divided(by))));
            }
            "rate" | "increase" | "delta" => return histogram_rate(name, &histograms, window),
            "irate" | "idelta" | "changes" | "resets" => return Err(Fault::Unknown),
            _ => {}
        }
    }
    Ok(of_floats(name, &floats, window, numbers, at_ms).map(Sample::Float))
}

fn of_floats(
    name: &str,
    floats: &[(i64, f64)],
    window: Window,
    numbers: &[f64],
    at_ms: i64,
) -> Option<f64> {
    let values: Vec<f64> = floats.iter().map(|(_, value)| *value).collect();
    if values.is_empty() {
        return None;
    }
    let sum: f64 = values.iter().sum();
    let pairs = || values.windows(2);
    let last_two = || {
        let [.., before, last] = floats else { return None };
        Some((*before, *last))
    };
    Some(match name {
        "sum_over_time" => sum,
        "avg_over_time" => sum / count(values.len()),
        "min_over_time" => extreme(&values, false),
        "max_over_time" => extreme(&values, true),
        "stdvar_over_time" => deviation(&values),
        "stddev_over_time" => deviation(&values).sqrt(),
        "quantile_over_time" => quantile(numbers[0], &values),
        "mad_over_time" => {
            let median = quantile(0.5, &values);
            quantile(0.5, &values.iter().map(|value| (value - median).abs()).collect::<Vec<_>>())
        }
        "changes" => {
            let differs =
                |pair: &&[f64]| pair[0] != pair[1] && !(pair[0].is_nan() && pair[1].is_nan());
            count(pairs().filter(differs).count())
        }
        "resets" => count(pairs().filter(|pair| pair[1] < pair[0]).count()),
        "idelta" => last_two().map(|(before, last)| last.1 - before.1)?,
        "irate" => {
            let (before, last) = last_two()?;
            let change = if last.1 < before.1 { last.1 } else { last.1 - before.1 };
            change / seconds(last.0 - before.0)
        }
        "deriv" => line(floats, floats[0].0)?.0,
        "predict_linear" => {
            let (slope, value) = line(floats, at_ms)?;
            slope * numbers[0] + value
        }
        "double_exponential_smoothing" => smoothing(&values, numbers[0], numbers[1])?,
        "ts_of_max_over_time" => seconds(time_of(floats, |one, best| best <= one)),
        "ts_of_min_over_time" => seconds(time_of(floats, |one, best| one <= best)),
        "rate" | "increase" | "delta" => {
            let change = change(name != "delta", &values);
            let factor = extrapolation(name, floats.iter().map(|(time, _)| *time), window, || {
                (values[0], change)
            })?;
            change * factor
        }
        _ => return None,
    })
}

/// The difference of the ends, falls of counters made up for.
fn change(is_counter: bool, values: &[f64]) -> f64 {
    let falls = values.windows(2).filter(|pair| is_counter && pair[1] < pair[0]);
    let lost: f64 = falls.map(|pair| pair[0]).sum();
    values[values.len() - 1] - values[0] + lost
}

/// By what the change between samples is multiplied to stand for the window.
fn extrapolation(
    name: &str,
    times: impl Iterator<Item = i64>,
    window: Window,
    first_and_change: impl Fn() -> (f64, f64),
) -> Option<f64> {
    let times: Vec<i64> = times.collect();
    let (first, last) = (times[0], times[times.len() - 1]);
    if times.len() < 2 {
        return None;
    }
    let sampled = seconds(last - first);
    let average = sampled / count(times.len() - 1);
    let reach = |gap: i64| {
        let gap = seconds(gap);
        if average * 1.1 <= gap { average / 2.0 } else { gap }
    };
    let mut to_start = reach(first - window.from_ms);
    let (value, change) = first_and_change();
    if name != "delta" && 0.0 < change && 0.0 <= value {
        to_start = to_start.min(sampled * (value / change));
    }
    let factor = (sampled + to_start + reach(window.until_ms - last)) / sampled;
    let by = if name == "rate" { seconds(window.until_ms - window.from_ms) } else { 1.0 };
    Some(factor / by)
}

fn histogram_rate(
    name: &str,
    histograms: &[(i64, Histogram)],
    window: Window,
) -> Result<Option<Sample>, Fault> {
    if histograms.len() < 2 {
        return Ok(None);
    }
    let is_counter = name != "delta";
    let all: Vec<&Histogram> = histograms.iter().map(|(_, one)| one).collect();
    if all.iter().any(|one| one.is_custom() != all[0].is_custom()) {
        return Err(Fault::Unknown);
    }
    let mut change = all[all.len() - 1].clone();
    let mut from = all[0].clone();
    if is_counter && all[1].is_reset_after(all[0]).ok_or(Fault::Unknown)? {
        // What was before the reset does not count, its layout neither.
        from = all[1].map(|_| 0.0);
        from.zero_threshold = 0.0;
    }
    let inner = if is_counter { &all[1..all.len() - 1] } else { &[][..] };
    for one in inner {
        change = change.plus(&one.map(|_| 0.0), 1.0).ok_or(Fault::Unknown)?;
        // Only schemas are brought together here.
        change.zero_threshold = all[all.len() - 1].zero_threshold;
    }
    change = change.plus(&from, -1.0).ok_or(Fault::Unknown)?;
    let mut before = &from;
    for one in all[1..].iter().filter(|_| is_counter) {
        if one.is_reset_after(before).ok_or(Fault::Unknown)? {
            change = change.plus(before, 1.0).ok_or(Fault::Unknown)?;
        }
        before = one;
    }
    let factor = extrapolation(name, histograms.iter().map(|(time, _)| *time), window, || {
        (all[0].count, change.count)
    });
    Ok(factor.map(|factor| Sample::Histogram(change.map(|n| n * factor))))
}

/// `rate` and its like of an anchored or smoothed selector, whose samples begin and end outside.
pub(crate) fn extended(
    name: &str,
    samples: &[(i64, Sample)],
    window: Window,
    modifiers: &Modifiers,
) -> Result<Option<Sample>, Fault> {
    let mut floats = Vec::new();
    for (time, sample) in samples {
        let Sample::Float(value) = sample else { return Err(Fault::Unknown) };
        floats.push((*time, *value));
    }
    let is_counter = name != "delta";
    let until = window.until_ms;
    let before = floats.iter().rposition(|(time, _)| *time <= window.from_ms);
    let inside: Vec<(i64, f64)> = floats
        .iter()
        .copied()
        .filter(|(time, _)| window.from_ms < *time && *time <= until)
        .collect();
    let after = floats.iter().find(|(time, _)| until < *time).copied();
    let smoothed = modifiers.smoothed;
    if inside.is_empty() && !(smoothed && before.is_some() && after.is_some()) {
        return Ok(None);
    }
    let between = |a: (i64, f64), b: (i64, f64), at: i64| {
        let from = if is_counter && b.1 < a.1 { 0.0 } else { a.1 };
        from + (b.1 - from) * float(at - a.0) / float(b.0 - a.0)
    };
    let next = |at: usize| floats.get(at + 1).copied();
    let left = match before {
        Some(at) if smoothed && floats[at].0 < window.from_ms => {
            between(floats[at], next(at).ok_or(Fault::Unknown)?, window.from_ms)
        }
        Some(at) => floats[at].1,
        None => inside[0].1,
    };
    let last = inside.last().copied().or(before.map(|at| floats[at]));
    let right = match (last, after) {
        (Some(last), Some(after)) if smoothed && last.0 < until => between(last, after, until),
        (Some(last), _) => last.1,
        (None, _) => return Ok(None),
    };
    let path: Vec<f64> = std::iter::once(left)
        .chain(inside.iter().map(|(_, value)| *value))
        .chain([right])
        .collect();
    let resets = path.windows(2).filter(|pair| pair[1] < pair[0]);
    let value = match name {
        "changes" | "resets" => return Err(Fault::Unknown),
        // An end between samples that fall is a counter begun anew: the path does not show it.
        _ if is_counter && smoothed && resets.clone().count() != 0 => return Err(Fault::Unknown),
        _ => change(is_counter, &path),
    };
    let by = if name == "rate" { seconds(until - window.from_ms) } else { 1.0 };
    Ok(Some(Sample::Float(value / by)))
}

/// Whether a selector's ends are extended.
pub(crate) fn is_extended(matrix: &MatrixSelector) -> bool {
    matrix.selector.modifiers.anchored || matrix.selector.modifiers.smoothed
}

/// Smallest or largest; NaN only where there is nothing else.
pub(crate) fn extreme(values: &[f64], largest: bool) -> f64 {
    let numbers = values.iter().copied().filter(|value| !value.is_nan());
    let pick = if largest { f64::max } else { f64::min };
    numbers.reduce(pick).unwrap_or(f64::NAN)
}

/// Variance of all values.
pub(crate) fn deviation(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / count(values.len());
    values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count(values.len())
}

/// Between the two values nearest to rank `at`.
pub(crate) fn quantile(at: f64, values: &[f64]) -> f64 {
    if values.is_empty() || at.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&at) {
        return if at < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let mut sorted = values.to_vec();
    // NaN is least.
    sorted.sort_by(|a, b| match (a.is_nan(), b.is_nan()) {
        (false, false) => a.total_cmp(b),
        (left, right) => right.cmp(&left),
    });
    let rank = at * (count(sorted.len()) - 1.0);
    let part = rank - rank.floor();
    let below = (0..sorted.len()).rfind(|at| count(*at) <= rank).unwrap_or(0);
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] * (1.0 - part) + sorted[above] * part
}

/// Slope by second and value at `at_ms` of the line of least squares.
fn line(floats: &[(i64, f64)], at_ms: i64) -> Option<(f64, f64)> {
    if floats.len() < 2 {
        return None;
    }
    let first = floats[0].1;
    if floats.iter().all(|(_, value)| *value == first) {
        let constant = if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
        return Some(constant);
    }
    let total = count(floats.len());
    let mean_x = floats.iter().map(|(time, _)| seconds(time - at_ms)).sum::<f64>() / total;
    let mean_y = floats.iter().map(|(_, value)| value).sum::<f64>() / total;
    let (mut both, mut own) = (0.0, 0.0);
    for (time, value) in floats {
        let x = seconds(time - at_ms) - mean_x;
        both += x * (value - mean_y);
        own += x * x;
    }
    let slope = both / own;
    Some((slope, mean_y - slope * mean_x))
}

fn smoothing(values: &[f64], smooth: f64, trend: f64) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let (mut before, mut level, mut slope) = (0.0, values[0], values[1] - values[0]);
    for (at, value) in values[1..].iter().enumerate() {
        if 0 < at {
            slope = trend * (level - before) + (1.0 - trend) * slope;
        }
        before = level;
        level = smooth * value + (1.0 - smooth) * (level + slope);
    }
    Some(level)
}

fn time_of(floats: &[(i64, f64)], beats: impl Fn(f64, f64) -> bool) -> i64 {
    let mut best = floats[0];
    for one in floats {
        if beats(one.1, best.1) || best.1.is_nan() {
            best = *one;
        }
    }
    best.0
}
