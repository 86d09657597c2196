//! Native histograms as literals: `{{schema:1 sum:3 count:22 buckets:[5 10 7] offset:-1}}`.

use model::native_histogram::{CounterResetHint, NativeHistogram, Span};

use crate::parse::scanner::{Scanned, Scanner};

const CONTEXT: &str = "histogram description";

/// A literal, and whether it states its counter reset hint.
pub(crate) struct HistogramLiteral {
    pub(crate) histogram: NativeHistogram,
    pub(crate) hint_given: bool,
}

/// Reads a literal from behind its `{{` to behind its `}}`.
pub(crate) fn read_histogram(scanner: &mut Scanner<'_>) -> Scanned<HistogramLiteral> {
    let mut histogram = NativeHistogram::default();
    let (mut offset, mut negative_offset) = (0, 0);
    let mut seen: Vec<&str> = Vec::new();
    scanner.skip_spaces();
    while !scanner.accept("}}") {
        let key = scanner.take_while(|c| c.is_ascii_alphabetic() || c == '_');
        if key.is_empty() {
            return scanner.fault(CONTEXT, "histogram description key, e.g. buckets:[5 10 7]");
        }
        if seen.contains(&key) {
            return scanner.fail(format!("duplicate key \"{key}\" in histogram"));
        }
        seen.push(key);
        if !scanner.accept(":") {
            return scanner.fail("missing `:` for histogram descriptor".to_owned());
        }
        match key {
            "schema" => histogram.schema = integer(scanner)?,
            "sum" => histogram.sum = scanner.signed_number(CONTEXT)?,
            "count" => histogram.count = scanner.signed_number(CONTEXT)?,
            "z_bucket" => histogram.zero_count = scanner.signed_number(CONTEXT)?,
            "z_bucket_w" => histogram.zero_threshold = scanner.number(CONTEXT)?,
            "custom_values" => histogram.custom_values = numbers(scanner)?.into(),
            "buckets" => histogram.positive_buckets = numbers(scanner)?,
            "offset" => offset = integer(scanner)?,
            "n_buckets" => histogram.negative_buckets = numbers(scanner)?,
            "n_offset" => negative_offset = integer(scanner)?,
            "counter_reset_hint" => histogram.counter_reset_hint = hint(scanner)?,
            _ => return scanner.fail(format!("bad histogram descriptor found: {key:?}")),
        }
        if !scanner.skip_spaces() && !scanner.rest().starts_with("}}") {
            return scanner.fault(CONTEXT, "histogram description key, e.g. buckets:[5 10 7]");
        }
    }
    histogram.positive_spans = spans(offset, histogram.positive_buckets.len());
    histogram.negative_spans = spans(negative_offset, histogram.negative_buckets.len());
    let hint_given = seen.contains(&"counter_reset_hint");
    Ok(HistogramLiteral { histogram, hint_given })
}

fn spans(offset: i32, buckets: usize) -> Vec<Span> {
    match u32::try_from(buckets) {
        Ok(length) if 0 < length => vec![Span { offset, length }],
        _ => Vec::new(),
    }
}

fn integer(scanner: &mut Scanner<'_>) -> Scanned<i32> {
    let negative = scanner.accept("-");
    let digits = scanner.take_while(|c| c.is_ascii_digit());
    match digits.parse::<i32>() {
        Ok(number) => Ok(if negative { -number } else { number }),
        Err(_) => scanner.fault(CONTEXT, "integer"),
    }
}

fn numbers(scanner: &mut Scanner<'_>) -> Scanned<Vec<f64>> {
    if !scanner.accept("[") {
        return scanner.fault(CONTEXT, "\"[\"");
    }
    let mut numbers = Vec::new();
    scanner.skip_spaces();
    while !scanner.accept("]") {
        numbers.push(scanner.signed_number(CONTEXT)?);
        if !scanner.skip_spaces() && !scanner.rest().starts_with(']') {
            return scanner.fault(CONTEXT, "\"]\"");
        }
    }
    Ok(numbers)
}

fn hint(scanner: &mut Scanner<'_>) -> Scanned<CounterResetHint> {
    match scanner.take_while(|c| c.is_ascii_alphabetic() || c == '_') {
        "unknown" => Ok(CounterResetHint::Unknown),
        "reset" => Ok(CounterResetHint::Reset),
        "not_reset" => Ok(CounterResetHint::NotReset),
        "gauge" => Ok(CounterResetHint::Gauge),
        other => scanner.fail(format!("bad histogram descriptor found: {other:?}")),
    }
}
