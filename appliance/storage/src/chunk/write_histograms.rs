//! Writes runs of native histograms: what they have in common once, each bucket as a column.
//!
//! Path: `write`, blocks → **write_histograms** → `write_values`.
//! Format: docs/format/chunk.md, version 1.

use std::sync::Arc;

use model::native_histogram::{NativeHistogram, Span};

use crate::chunk::buckets::{
    BUCKETS_MAX, BY_COLUMNS, BY_ROWS, check, indexes, join, number_bits, number_of, total,
};
use crate::chunk::write_values::{self, write_values, write_values_after};
use crate::varint::{put, put_signed};

/// A stretch ends before the cells of all its columns are more than twice the buckets that its
/// histograms have, and this many: gauges whose buckets wander must not square the cells.
const CELLS_SPARE: usize = 1024;
/// Layouts compared with before one is written again: buckets come and go between few.
const LAYOUTS_COMPARED: usize = 8;
/// Up to so many histograms a stretch is also tried by rows: short columns cost their heads.
const ROWS_FEW: usize = 8;

/// Memory that one run after the other uses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    values: write_values::Scratch,
    column: Vec<f64>,
    totals: Vec<f64>,
}

/// Histograms of one schema, and the columns of all their buckets.
struct Stretch<'a> {
    histograms: &'a [&'a NativeHistogram],
    positive: Vec<i64>,
    negative: Vec<i64>,
}

impl Stretch<'_> {
    fn columns(&self) -> usize {
        self.positive.len() + self.negative.len()
    }
}

/// Histograms one after the other with the same spans on one side.
struct Run<'a> {
    histograms: &'a [&'a NativeHistogram],
    /// Columns that they have.
    places: Vec<i64>,
    /// The next of them.
    next: usize,
}

/// Which side of zero.
#[derive(Clone, Copy, Debug)]
enum Side {
    Positive,
    Negative,
}

impl Side {
    fn spans(self, histogram: &NativeHistogram) -> &[Span] {
        match self {
            Side::Positive => &histogram.positive_spans,
            Side::Negative => &histogram.negative_spans,
        }
    }

    fn counts(self, histogram: &NativeHistogram) -> &[f64] {
        match self {
            Side::Positive => &histogram.positive_buckets,
            Side::Negative => &histogram.negative_buckets,
        }
    }
}

/// Appends `histograms`; their count is the reader's to know.
///
/// # Panics
/// Each passes [`check`]; there are at most as many as integers in a sequence.
pub(crate) fn write_histograms(
    histograms: &[&NativeHistogram],
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) {
    for histogram in histograms {
        if let Err(reason) = check(histogram) {
            panic!("a histogram that cannot be written was let in: {reason}");
        }
    }
    let hints = histograms.iter().map(|histogram| number_of(histogram.counter_reset_hint));
    put_runs(hints, 2, out);
    let mut rest = histograms;
    while !rest.is_empty() {
        let stretch = stretch_of(rest);
        let count = stretch.histograms.len();
        put(out, if count == rest.len() { 0 } else { count as u64 });
        put_stretch(&stretch, scratch, out);
        rest = &rest[count..];
    }
}

/// Appends runs of equal numbers: length and number in one varint, the last length being 0.
fn put_runs(numbers: impl Iterator<Item = u64>, number_bits: u32, out: &mut Vec<u8>) {
    let mut run: Option<(u64, u64)> = None;
    for number in numbers {
        run = match run {
            Some((current, length)) if current == number => Some((current, length + 1)),
            Some((current, length)) => {
                put(out, length << number_bits | current);
                Some((number, 1))
            }
            None => Some((number, 1)),
        };
    }
    if let Some((last, _)) = run {
        put(out, last);
    }
}

/// The histograms at the front that share their columns.
fn stretch_of<'a>(histograms: &'a [&'a NativeHistogram]) -> Stretch<'a> {
    let first = histograms[0];
    let mut stretch = Stretch { histograms, positive: Vec::new(), negative: Vec::new() };
    let mut buckets = 0;
    for (at, histogram) in histograms.iter().enumerate() {
        buckets += histogram.positive_buckets.len() + histogram.negative_buckets.len();
        let is_alike = histogram.schema == first.schema
            && same_bits(&histogram.custom_values, &first.custom_values);
        let joined = (at == 0 || !same_spans(histogram, histograms[at - 1])).then(|| {
            let (mut positive, mut negative) = (stretch.positive.clone(), stretch.negative.clone());
            join(&mut positive, &histogram.positive_spans);
            join(&mut negative, &histogram.negative_spans);
            (positive, negative)
        });
        let columns = joined.as_ref().map_or(stretch.columns(), |(p, n)| p.len() + n.len());
        let is_sparse = 2 * buckets + CELLS_SPARE < columns * (at + 1) || BUCKETS_MAX < columns;
        if 0 < at && (!is_alike || is_sparse) {
            stretch.histograms = &histograms[..at];
            return stretch;
        }
        if let Some((positive, negative)) = joined {
            (stretch.positive, stretch.negative) = (positive, negative);
        }
    }
    stretch
}

fn same_bits(a: &Arc<[f64]>, b: &Arc<[f64]>) -> bool {
    let equal = |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits();
    Arc::ptr_eq(a, b) || a.len() == b.len() && a.iter().zip(b.iter()).all(equal)
}

fn same_spans(a: &NativeHistogram, b: &NativeHistogram) -> bool {
    a.positive_spans == b.positive_spans && a.negative_spans == b.negative_spans
}

fn put_stretch(stretch: &Stretch<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) {
    let histograms = stretch.histograms;
    put_signed(out, histograms[0].schema.into());
    put(out, histograms[0].custom_values.len() as u64);
    if !histograms[0].custom_values.is_empty() {
        write_values(&histograms[0].custom_values, &mut scratch.values, out);
    }
    put_layouts(histograms, out);
    put_column(histograms, |histogram| histogram.zero_threshold, scratch, out);
    put_column(histograms, |histogram| histogram.zero_count, scratch, out);
    put_buckets(stretch, scratch, out);
    scratch.totals.clear();
    scratch.totals.extend(histograms.iter().map(|histogram| total(histogram)));
    scratch.column.clear();
    scratch.column.extend(histograms.iter().map(|histogram| histogram.count));
    write_values_after(&scratch.totals, &scratch.column, &mut scratch.values, out);
    put_column(histograms, |histogram| histogram.sum, scratch, out);
}

fn put_column(
    histograms: &[&NativeHistogram],
    value: impl Fn(&NativeHistogram) -> f64,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) {
    scratch.column.clear();
    scratch.column.extend(histograms.iter().map(|histogram| value(histogram)));
    write_values(&scratch.column, &mut scratch.values, out);
}

/// Appends the layouts, then which histogram has which.
fn put_layouts(histograms: &[&NativeHistogram], out: &mut Vec<u8>) {
    let mut layouts: Vec<&NativeHistogram> = Vec::new();
    let mut numbers = Vec::with_capacity(histograms.len());
    for histogram in histograms {
        let compared = layouts.iter().enumerate().rev().take(LAYOUTS_COMPARED);
        let mut same = compared.filter(|(_, layout)| same_spans(layout, histogram));
        let number = same.next().map_or(layouts.len(), |(number, _)| number);
        if number == layouts.len() {
            layouts.push(histogram);
        }
        numbers.push(number as u64);
    }
    put(out, layouts.len() as u64);
    for layout in &layouts {
        for spans in [&layout.positive_spans, &layout.negative_spans] {
            put(out, spans.len() as u64);
            for span in spans {
                put_signed(out, span.offset.into());
                put(out, span.length.into());
            }
        }
    }
    if 1 < layouts.len() {
        put_runs(numbers.into_iter(), number_bits(layouts.len()), out);
    }
}

/// Appends the counts of the buckets, by columns or by rows.
fn put_buckets(stretch: &Stretch<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) {
    let start = out.len();
    out.push(BY_COLUMNS);
    put_columns(stretch, Side::Positive, scratch, out);
    put_columns(stretch, Side::Negative, scratch, out);
    if ROWS_FEW < stretch.histograms.len() {
        return;
    }
    let end = out.len();
    out.push(BY_ROWS);
    for histogram in stretch.histograms {
        scratch.column.clear();
        scratch.column.extend_from_slice(&histogram.positive_buckets);
        scratch.column.extend_from_slice(&histogram.negative_buckets);
        write_values(&scratch.column, &mut scratch.values, out);
    }
    if out.len() - end < end - start {
        out.drain(start..end);
    } else {
        out.truncate(end);
    }
}

/// Appends a column a bucket.
fn put_columns(stretch: &Stretch<'_>, side: Side, scratch: &mut Scratch, out: &mut Vec<u8>) {
    let columns = match side {
        Side::Positive => &stretch.positive,
        Side::Negative => &stretch.negative,
    };
    let mut runs = runs_of(stretch.histograms, side);
    for column in columns {
        scratch.column.clear();
        for run in &mut runs {
            let has_it = run.places.get(run.next) == Some(column);
            let count = |histogram: &NativeHistogram| {
                if has_it { side.counts(histogram)[run.next] } else { 0.0 }
            };
            scratch.column.extend(run.histograms.iter().map(|histogram| count(histogram)));
            run.next += usize::from(has_it);
        }
        write_values(&scratch.column, &mut scratch.values, out);
    }
}

fn runs_of<'a>(histograms: &'a [&'a NativeHistogram], side: Side) -> Vec<Run<'a>> {
    let alike = |a: &&NativeHistogram, b: &&NativeHistogram| side.spans(a) == side.spans(b);
    let runs = histograms.chunk_by(alike).map(|histograms| {
        let places = indexes(side.spans(histograms[0])).collect();
        Run { histograms, places, next: 0 }
    });
    runs.collect()
}
