//! Annotations: warnings and infos that a query collects beside its value.
//!
//! Equal texts are kept once; the place (line:column) that was added last is printed with them.

use std::collections::BTreeMap;

use crate::ast::Span;

/// Most texts that are kept; callers show fewer.
const TEXTS_MAX: usize = 10_000;

/// How loud an annotation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The answer may be wrong.
    Warning,
    /// The answer is right, but perhaps not what was meant.
    Info,
}

/// What a repaired classic histogram showed, summed over a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Monotonicity {
    /// First and last evaluation time, milliseconds.
    pub times_ms: (i64, i64),
    /// Lowest and highest upper bound that was repaired.
    pub bounds: (f64, f64),
    /// Largest fall between two buckets.
    pub diff_max: f64,
    /// Repaired samples.
    pub count: u64,
}

#[derive(Clone, Debug, PartialEq)]
enum Detail {
    None,
    Count(u64),
    Monotonicity(Monotonicity),
}

#[derive(Clone, Debug, PartialEq)]
struct Annotation {
    span: Span,
    detail: Detail,
}

/// The annotations of a query, each text once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annotations {
    by_text: BTreeMap<(Severity, String), Annotation>,
}

impl Annotations {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_text.is_empty()
    }

    /// Adds a warning about the expression at `span`.
    pub fn warn(&mut self, span: Span, text: String) {
        self.add(Severity::Warning, span, text, Detail::None);
    }

    /// Adds an info about the expression at `span`.
    pub fn inform(&mut self, span: Span, text: String) {
        self.add(Severity::Info, span, text, Detail::None);
    }

    /// Adds a warning that tells how often it was added.
    pub fn warn_counted(&mut self, span: Span, text: String) {
        self.add(Severity::Warning, span, text, Detail::Count(1));
    }

    /// Adds the info that a classic histogram was repaired.
    pub fn monotonicity(&mut self, span: Span, metric_name: &str, seen: Monotonicity) {
        let text = with_metric_name(
            "input to histogram_quantile needed to be fixed for monotonicity (see \
             https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)",
            metric_name,
        );
        self.add(Severity::Info, span, text, Detail::Monotonicity(seen));
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: Annotations) {
        for ((severity, text), annotation) in other.by_text {
            self.add(severity, annotation.span, text, annotation.detail);
        }
    }

    fn add(&mut self, severity: Severity, span: Span, text: String, detail: Detail) {
        let added = Annotation { span, detail };
        let full = TEXTS_MAX <= self.by_text.len();
        if full && !self.by_text.contains_key(&(severity, text.clone())) {
            return;
        }
        self.by_text
            .entry((severity, text))
            .and_modify(|known| known.absorb(&added))
            .or_insert(added);
    }

    /// The texts of one severity, each with its place in `query`.
    #[must_use]
    pub fn texts(&self, severity: Severity, query: &str) -> Vec<String> {
        let prefix = match severity {
            Severity::Warning => "PromQL warning: ",
            Severity::Info => "PromQL info: ",
        };
        self.by_text
            .iter()
            .filter(|((known, _), _)| *known == severity)
            .map(|((_, text), annotation)| {
                let place = line_and_column(query, annotation.span);
                format!("{prefix}{text}{} ({place})", annotation.detail_text())
            })
            .collect()
    }
}

impl Annotation {
    fn absorb(&mut self, other: &Annotation) {
        match (&mut self.detail, &other.detail) {
            (Detail::Count(known), Detail::Count(added)) => *known += added,
            (Detail::Monotonicity(known), Detail::Monotonicity(added)) => {
                known.times_ms.0 = known.times_ms.0.min(added.times_ms.0);
                known.times_ms.1 = known.times_ms.1.max(added.times_ms.1);
                known.bounds.0 = known.bounds.0.min(added.bounds.0);
                known.bounds.1 = known.bounds.1.max(added.bounds.1);
                known.diff_max = known.diff_max.max(added.diff_max);
                known.count += added.count;
            }
            _ => self.span = other.span,
        }
    }

    fn detail_text(&self) -> String {
        match &self.detail {
            Detail::None | Detail::Count(0 | 1) => String::new(),
            Detail::Count(count) => format!(" ({count} occurrences)"),
            Detail::Monotonicity(seen) => format!(
                ", from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
                general(seen.bounds.0, None),
                general(seen.bounds.1, None),
                general(seen.diff_max, Some(2)),
                seen.count,
                utc_seconds(seen.times_ms.0),
                utc_seconds(seen.times_ms.1),
            ),
        }
    }
}

/// `text for metric name "name"`, or only `text` where the name is unknown.
#[must_use]
pub fn with_metric_name(text: &str, metric_name: &str) -> String {
    if metric_name.is_empty() {
        return text.to_owned();
    }
    format!("{text} for metric name {}", model::label_name::quote(metric_name))
}

/// `value` as Go's `%g` prints it, with `digits` significant digits or as many as are needed.
#[must_use]
pub fn general(value: f64, digits: Option<usize>) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value < 0.0 { "-Inf" } else { "+Inf" }.to_owned();
    }
    let scientific = match digits {
        Some(digits) => format!("{value:.*e}", digits.saturating_sub(1)),
        None => format!("{value:e}"),
    };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let places = i32::try_from(digits.unwrap_or(0)).unwrap_or(i32::MAX);
    // Go decides as if six digits were asked when it prints the shortest form.
    let limit = if digits.is_some() { places } else { 6 };
    if (-4..limit).contains(&exponent) {
        let decimals = (places - 1 - exponent).max(0);
        return match digits {
            Some(_) => trim_zeros(&format!("{value:.*}", usize::try_from(decimals).unwrap_or(0))),
            None => format!("{value}"),
        };
    }
    let mantissa = trim_zeros(mantissa);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

fn trim_zeros(text: &str) -> String {
    if !text.contains('.') {
        return text.to_owned();
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn line_and_column(query: &str, span: Span) -> String {
    let start = usize::try_from(span.start).unwrap_or(usize::MAX);
    let Some(before) = query.as_bytes().get(..start) else {
        return "invalid position".to_owned();
    };
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    format!("{line}:{}", start - line_start + 1)
}

/// `2006-01-02T15:04:05Z` of milliseconds since the epoch.
fn utc_seconds(ms: i64) -> String {
    let seconds = ms.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = crate::calendar::civil_from_days(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: u32) -> Span {
        Span { start, end: start + 1 }
    }

    #[test]
    fn equal_texts_are_kept_once_with_the_last_place() {
        let mut annotations = Annotations::default();
        annotations.warn(span(2), "a".to_owned());
        annotations.warn(span(6), "a".to_owned());
        annotations.inform(span(0), "b".to_owned());
        assert_eq!(annotations.texts(Severity::Warning, "1 +\n 2"), ["PromQL warning: a (2:3)"]);
        assert_eq!(annotations.texts(Severity::Info, "1 +\n 2"), ["PromQL info: b (1:1)"]);
    }

    #[test]
    fn texts_are_bounded() {
        let mut annotations = Annotations::default();
        for at in 0..=TEXTS_MAX {
            annotations.warn(span(0), at.to_string());
        }
        assert_eq!(annotations.texts(Severity::Warning, "x").len(), TEXTS_MAX);
    }

    #[test]
    fn numbers_print_as_go_prints_them() {
        let cases = [
            (1.1, None, "1.1"),
            (100_000.0, None, "100000"),
            (1e21, None, "1e+21"),
            (0.00001, None, "1e-05"),
            (0.31, Some(2), "0.31"),
            (1234.0, Some(2), "1.2e+03"),
            (f64::NEG_INFINITY, None, "-Inf"),
        ];
        for (value, digits, expected) in cases {
            assert_eq!(general(value, digits), expected);
        }
    }

    #[test]
    fn monotonicity_joins_what_was_seen() {
        let mut annotations = Annotations::default();
        for (time, bound) in [(0, 1.0), (60_000, 2.5)] {
            let seen = Monotonicity {
                times_ms: (time, time),
                bounds: (bound, bound),
                diff_max: 10.0,
                count: 1,
            };
            annotations.monotonicity(span(0), "m", seen);
        }
        let texts = annotations.texts(Severity::Info, "x");
        assert!(
            texts[0].ends_with(
                "for metric name \"m\", from buckets 1 to 2.5, with a max diff of 10, over 2 \
                 samples from 1970-01-01T00:00:00Z to 1970-01-01T00:01:00Z (1:1)"
            ),
            "{texts:?}"
        );
    }
}
