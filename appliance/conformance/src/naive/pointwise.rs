//! Functions of the samples of an instant vector.

use std::collections::BTreeMap;

use model::label_set::{Builder, LabelSet, METRIC_NAME};

use crate::naive::histogram::{Bucket, Histogram};
use crate::naive::value::{Fault, Sample, Vector, nameless, unique};

/// What a function makes of one number.
pub(crate) fn number(name: &str, value: f64) -> Option<f64> {
    Some(match name {
        "abs" => value.abs(),
        "ceil" => value.ceil(),
        "floor" => value.floor(),
        "sqrt" => value.sqrt(),
        "exp" => value.exp(),
        "ln" => value.ln(),
        "log2" => value.log2(),
        "log10" => value.log10(),
        "sin" => value.sin(),
        "cos" => value.cos(),
        "tan" => value.tan(),
        "asin" => value.asin(),
        "acos" => value.acos(),
        "atan" => value.atan(),
        "sinh" => value.sinh(),
        "cosh" => value.cosh(),
        "tanh" => value.tanh(),
        "asinh" => value.asinh(),
        "acosh" => value.acosh(),
        "atanh" => value.atanh(),
        "rad" => value.to_radians(),
        "deg" => value.to_degrees(),
        "sgn" if value < 0.0 => -1.0,
        "sgn" if 0.0 < value => 1.0,
        "sgn" => value,
        _ => return date(name, value),
    })
}

/// Parts of a date, by counting days from 1970.
fn date(name: &str, value: f64) -> Option<f64> {
    const MONTHS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    // What no calendar of four digits knows is not said; the generator asks for none.
    if !(-1e11..1e11).contains(&value) {
        return Some(f64::NAN);
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
    let whole = value.trunc() as i64;
    let (mut day, second) = (whole.div_euclid(86_400), whole.rem_euclid(86_400));
    let week_day = (day + 4).rem_euclid(7);
    let is_leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let days = |year: i64| if is_leap(year) { 366 } else { 365 };
    let mut year = 1970;
    while day < 0 {
        year -= 1;
        day += days(year);
    }
    while days(year) <= day {
        day -= days(year);
        year += 1;
    }
    let year_day = day;
    let mut month = 0;
    let length = |month: usize| MONTHS[month] + i64::from(month == 1 && is_leap(year));
    while length(month) <= day {
        day -= length(month);
        month += 1;
    }
    let found = match name {
        "year" => year,
        "month" => i64::try_from(month).ok()? + 1,
        "day_of_month" => day + 1,
        "day_of_year" => year_day + 1,
        "day_of_week" => week_day,
        "days_in_month" => length(month),
        "hour" => second / 3600,
        "minute" => second / 60 % 60,
        _ => return None,
    };
    #[expect(clippy::cast_precision_loss, reason = "parts of dates are small")]
    let found = found as f64;
    Some(found)
}

/// What a function makes of a histogram.
pub(crate) fn of_histogram(name: &str, histogram: &Histogram) -> Option<f64> {
    match name {
        "histogram_count" => Some(histogram.count),
        "histogram_sum" => Some(histogram.sum),
        "histogram_avg" => Some(histogram.sum / histogram.count),
        "histogram_stdvar" => Some(variance(histogram)),
        "histogram_stddev" => Some(variance(histogram).sqrt()),
        _ => None,
    }
}

/// Squared distance of buckets' middles from the mean: geometric where bounds are, 0 at zero.
fn variance(histogram: &Histogram) -> f64 {
    let mean = histogram.sum / histogram.count;
    let distance = histogram.buckets().into_iter().map(|bucket| {
        let middle = if histogram.is_custom() {
            f64::midpoint(bucket.lower, bucket.upper)
        } else if bucket.lower <= 0.0 && 0.0 <= bucket.upper {
            0.0
        } else {
            (bucket.lower * bucket.upper).sqrt().copysign(bucket.upper)
        };
        bucket.count * (middle - mean) * (middle - mean)
    });
    distance.sum::<f64>() / histogram.count
}

/// The buckets of a histogram as quantiles and fractions see them.
fn bounded(histogram: &Histogram) -> Vec<Bucket> {
    let mut buckets = histogram.buckets();
    let (above, below) = (!histogram.positive.is_empty(), !histogram.negative.is_empty());
    for bucket in &mut buckets {
        if bucket.lower <= 0.0 && 0.0 <= bucket.upper {
            // With buckets on one side only, nothing is on the other side of zero.
            match (above, below) {
                (true, false) => bucket.lower = 0.0,
                (false, true) => bucket.upper = 0.0,
                _ => {}
            }
        }
    }
    buckets
}

/// The value below which a part of the observations lies.
pub(crate) fn quantile(at: f64, histogram: &Histogram) -> Result<f64, Fault> {
    if at < 0.0 {
        return Ok(f64::NEG_INFINITY);
    }
    if 1.0 < at {
        return Ok(f64::INFINITY);
    }
    if histogram.count == 0.0 || at.is_nan() {
        return Ok(f64::NAN);
    }
    // Custom buckets below zero have an edge of their own, see below.
    let buckets = if histogram.is_custom() { histogram.buckets() } else { bounded(histogram) };
    let odd = |count: f64| count.is_nan() || count < 0.0 || count.is_infinite();
    if odd(histogram.count) || histogram.sum.is_nan() || buckets.iter().any(|one| odd(one.count)) {
        return Err(Fault::Unknown);
    }
    let rank = at * histogram.count;
    let mut below = 0.0;
    for bucket in &buckets {
        let part = (rank - below) / bucket.count;
        // Ranks on an edge belong to either side, by rounding.
        if (part - 1.0).abs() < 1e-9 || part.abs() < 1e-9 {
            return Err(Fault::Unknown);
        }
        if 1.0 < part {
            below += bucket.count;
            continue;
        }
        let (lower, upper) = (bucket.lower, bucket.upper);
        if histogram.is_custom() && lower == f64::NEG_INFINITY {
            return Ok(if upper <= 0.0 { upper } else { upper * part });
        }
        if upper == f64::INFINITY {
            return Ok(lower);
        }
        let linear = histogram.is_custom() || (lower <= 0.0 && 0.0 <= upper);
        return Ok(if linear {
            lower + (upper - lower) * part
        } else {
            // On a logarithmic scale.
            lower * (upper / lower).powf(part)
        });
    }
    Err(Fault::Unknown)
}

/// The part of the observations between two bounds.
pub(crate) fn fraction(lower: f64, upper: f64, histogram: &Histogram) -> Result<f64, Fault> {
    if histogram.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return Ok(f64::NAN);
    }
    if upper <= lower {
        return Ok(0.0);
    }
    let buckets = bounded(histogram);
    if histogram.sum.is_nan() || buckets.iter().any(|one| one.count.is_nan() || one.count < 0.0) {
        return Err(Fault::Unknown);
    }
    let below = |bound: f64| {
        let parts = buckets.iter().map(|bucket| {
            let linear = histogram.is_custom() || (bucket.lower <= 0.0 && 0.0 <= bucket.upper);
            // What is at the bound is not below it.
            if bound <= bucket.lower {
                0.0
            } else if bucket.upper <= bound || bucket.lower == f64::NEG_INFINITY {
                bucket.count
            } else if bucket.upper == f64::INFINITY {
                0.0
            } else if linear {
                bucket.count * (bound - bucket.lower) / (bucket.upper - bucket.lower)
            } else {
                bucket.count * (bound / bucket.lower).ln() / (bucket.upper / bucket.lower).ln()
            }
        });
        parts.sum::<f64>()
    };
    let within = below(upper).min(histogram.count) - below(lower).min(histogram.count);
    Ok(within / histogram.count)
}

/// Which of a histogram is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted {
    Quantile(f64),
    Fraction(f64, f64),
}

/// `histogram_quantile` and `histogram_fraction` of classic and native histograms.
pub(crate) fn histograms(wanted: Wanted, vector: &Vector) -> Result<Vector, Fault> {
    let mut classic: BTreeMap<LabelSet, Vec<(f64, f64)>> = BTreeMap::new();
    let mut result = Vector::new();
    for (labels, sample) in vector {
        match sample {
            Sample::Float(value) => {
                let Ok(bound) = labels.value("le").parse::<f64>() else { continue };
                let mut builder = Builder::from(&nameless(labels));
                let group = (builder.remove("le").build(), labels.value(METRIC_NAME).to_owned());
                let mut builder = Builder::from(&group.0);
                // Groups of several metrics stay apart until their names go.
                builder.set(METRIC_NAME, &group.1);
                classic.entry(builder.build()).or_default().push((bound, *value));
            }
            Sample::Histogram(histogram) => {
                let value = match wanted {
                    Wanted::Quantile(at) => quantile(at, histogram)?,
                    Wanted::Fraction(lower, upper) => fraction(lower, upper, histogram)?,
                };
                result.push((nameless(labels), Sample::Float(value)));
            }
        }
    }
    for (labels, mut buckets) in classic {
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let value = match wanted {
            Wanted::Quantile(at) => classic_quantile(at, &buckets)?,
            Wanted::Fraction(lower, upper) => classic_fraction(lower, upper, &buckets)?,
        };
        result.push((nameless(&labels), Sample::Float(value)));
    }
    unique(result)
}

/// Equal bounds joined; counts that fall held.
fn merged(buckets: &[(f64, f64)], hold: bool) -> Vec<(f64, f64)> {
    let mut merged: Vec<(f64, f64)> = Vec::new();
    for (bound, count) in buckets {
        match merged.last_mut() {
            Some(last) if last.0 == *bound => last.1 += count,
            _ => merged.push((*bound, *count)),
        }
    }
    let mut most = f64::NEG_INFINITY;
    for bucket in merged.iter_mut().filter(|_| hold) {
        most = most.max(bucket.1);
        bucket.1 = most;
    }
    merged
}

fn classic_quantile(at: f64, buckets: &[(f64, f64)]) -> Result<f64, Fault> {
    if at.is_nan() {
        return Ok(f64::NAN);
    }
    if !(0.0..=1.0).contains(&at) {
        return Ok(if at < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    if buckets.iter().any(|(_, count)| count.is_nan()) {
        return Err(Fault::Unknown);
    }
    if buckets[buckets.len() - 1].0 != f64::INFINITY {
        return Ok(f64::NAN);
    }
    let buckets = merged(buckets, true);
    let total = buckets[buckets.len() - 1].1;
    if buckets.len() < 2 || total == 0.0 {
        return Ok(f64::NAN);
    }
    let rank = at * total;
    let near = |count: f64| (rank - count).abs() <= 1e-9 * total.abs();
    if buckets.iter().any(|(_, count)| near(*count)) && at != 0.0 && at != 1.0 {
        return Err(Fault::Unknown);
    }
    let found = buckets[..buckets.len() - 1].iter().position(|(_, count)| rank <= *count);
    let Some(found) = found else { return Ok(buckets[buckets.len() - 2].0) };
    let (bound, count) = buckets[found];
    if found == 0 {
        return Ok(if bound <= 0.0 { bound } else { bound * (rank / count) });
    }
    let (start, before) = buckets[found - 1];
    Ok(start + (bound - start) * ((rank - before) / (count - before)))
}

fn classic_fraction(lower: f64, upper: f64, buckets: &[(f64, f64)]) -> Result<f64, Fault> {
    if buckets.iter().any(|(_, count)| count.is_nan()) {
        return Err(Fault::Unknown);
    }
    if buckets[buckets.len() - 1].0 != f64::INFINITY {
        return Ok(f64::NAN);
    }
    let buckets = merged(buckets, false);
    let total = buckets[buckets.len() - 1].1;
    if total == 0.0 || lower.is_nan() || upper.is_nan() {
        return Ok(f64::NAN);
    }
    if upper <= lower {
        return Ok(0.0);
    }
    if buckets.windows(2).any(|pair| pair[1].1 < pair[0].1) {
        return Err(Fault::Unknown);
    }
    let below = |at: f64| {
        let mut start = if buckets[0].0 <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
        let mut before = 0.0;
        for (bound, count) in &buckets {
            if at <= start {
                return before;
            }
            if at < *bound {
                return if start == f64::NEG_INFINITY {
                    *count
                } else if *bound == f64::INFINITY {
                    before
                } else {
                    before + (count - before) * (at - start) / (bound - start)
                };
            }
            (start, before) = (*bound, *count);
        }
        total
    };
    Ok((below(upper).min(total) - below(lower).min(total)) / total)
}
