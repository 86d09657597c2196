//! Columns of 480 samples, each corpus a kind of series that exporters have.

use std::sync::Arc;

use model::native_histogram::{NativeHistogram, Span};

use crate::corpus::{COLUMNS, Corpus};

/// Samples of a column, as a block has them.
pub(crate) const ROWS: usize = 480;

/// Columns of one kind.
pub(crate) struct Columns {
    pub(crate) name: &'static str,
    pub(crate) columns: Vec<Vec<f64>>,
    /// Each column but the first may lean on the one before it.
    pub(crate) neighbours: bool,
}

/// Chance from a fixed seed.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        (self.bits() >> 11) % bound
    }

    pub(crate) fn index(&mut self, bound: u32) -> usize {
        usize::try_from(self.below(bound.into())).expect("it is below 2^32")
    }

    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// How often something of mean `rate` happens.
    pub(crate) fn poisson(&mut self, rate: f64) -> u64 {
        let (mut left, mut count) = (rate, 0);
        loop {
            left += self.unit().max(1e-300).ln();
            if left < 0.0 {
                return count;
            }
            count += 1;
        }
    }
}

/// All corpora that are made up, and the scrapes in the directory that `SCRAPES` names.
pub(crate) fn all() -> Vec<Columns> {
    let mut corpora = vec![
        one("idle exporter", false, idle()),
        each("busy counters", 64, counter),
        each("decimals", 64, |chance, _| decimals(chance)),
        each("two roundings", 64, two_roundings),
        each("sums of latencies", 64, |chance, _| sums(chance)),
        each("any floats", 64, |chance, _| (0..ROWS).map(|_| chance.unit()).collect()),
        one("classic buckets", false, classic()),
        one("classic buckets, after", true, classic()),
    ];
    if let Some(directory) = std::env::var_os("SCRAPES") {
        corpora.push(one("recorded scrapes", false, recorded(directory.as_ref())));
    }
    corpora
}

fn one(name: &'static str, neighbours: bool, columns: Vec<Vec<f64>>) -> Columns {
    Columns { name, columns, neighbours }
}

fn each(name: &'static str, count: u64, column: impl Fn(&mut Chance, u64) -> Vec<f64>) -> Columns {
    let columns = (0..count).map(|at| column(&mut Chance::new(at + 1), at)).collect();
    one(name, false, columns)
}

fn idle() -> Vec<Vec<f64>> {
    let mut corpus = Corpus::new(1);
    let mut columns = vec![Vec::new(); COLUMNS];
    for _ in 0..ROWS {
        corpus.step();
        columns.iter_mut().zip(&corpus.values).for_each(|(column, value)| column.push(*value));
    }
    columns
}

fn counter(chance: &mut Chance, at: u64) -> Vec<f64> {
    let mut count = 0;
    let rate = 2.0 * (at + 1) as f64;
    (0..ROWS)
        .map(|_| {
            count += chance.poisson(rate);
            count as f64
        })
        .collect()
}

fn decimals(chance: &mut Chance) -> Vec<f64> {
    let mut level = 5000 + chance.below(5000).cast_signed();
    (0..ROWS)
        .map(|_| {
            level += chance.below(41).cast_signed() - 20;
            level as f64 / 100.0
        })
        .collect()
}

/// Seconds from ticks and percent from shares, as exporters compute them.
fn two_roundings(chance: &mut Chance, at: u64) -> Vec<f64> {
    let mut ticks = chance.below(100_000);
    (0..ROWS)
        .map(|_| {
            ticks += chance.below(150);
            if at.is_multiple_of(2) {
                ticks as f64 / 1000.0 * 0.01
            } else {
                ticks as f64 * 1e-9 * 1e6
            }
        })
        .collect()
}

fn sums(chance: &mut Chance) -> Vec<f64> {
    let mut sum = 0.0;
    (0..ROWS)
        .map(|_| {
            for _ in 0..chance.poisson(5.0) {
                sum += -chance.unit().max(1e-12).ln() * 0.02;
            }
            sum
        })
        .collect()
}

/// Sixteen classic histograms of twelve buckets.
fn classic() -> Vec<Vec<f64>> {
    let mut columns = Vec::new();
    for histogram in 0..16 {
        let mut chance = Chance::new(histogram + 100);
        let rate = 0.5 * 1.6f64.powi(i32::try_from(histogram).unwrap_or(0));
        let mut counts = [0u64; 12];
        let mut buckets = vec![Vec::with_capacity(ROWS); counts.len()];
        for _ in 0..ROWS {
            for _ in 0..chance.poisson(rate) {
                let middle = chance.index(5) + chance.index(5) + chance.index(4);
                counts[middle] += 1;
            }
            let mut below = 0;
            for (bucket, count) in buckets.iter_mut().zip(counts) {
                below += count;
                bucket.push(below as f64);
            }
        }
        columns.extend(buckets);
    }
    columns
}

/// Values of the exposition texts in `directory`, in order of name: the series that all have.
fn recorded(directory: &std::path::Path) -> Vec<Vec<f64>> {
    let entries = std::fs::read_dir(directory).expect("SCRAPES is a directory");
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let mut series: Vec<(String, Vec<f64>)> = Vec::new();
    let mut texts = paths.iter().take(ROWS).map(std::fs::read_to_string);
    let mut scrapes = 0;
    while let Some(Ok(text)) = texts.next() {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let mut next = 0;
        for (name, value) in lines.filter_map(|line| line.rsplit_once(' ')) {
            let value = value.parse().expect("a sample has a value");
            if scrapes == 0 {
                series.push((name.to_owned(), vec![value]));
            } else if let Some(at) = series[next..].iter().position(|(known, _)| known == name) {
                series[next + at].1.push(value);
                next += at + 1;
            }
        }
        scrapes += 1;
    }
    series.retain(|(_, values)| values.len() == scrapes);
    series.into_iter().map(|(_, values)| values).collect()
}

/// Native histograms of schema 3 in steady growth: about 40 buckets, those in the middle busy.
pub(crate) fn native(observations: f64) -> Vec<Arc<NativeHistogram>> {
    let mut chance = Chance::new(7);
    let mut histogram = NativeHistogram {
        schema: 3,
        zero_threshold: 2.0f64.powi(-128),
        positive_spans: vec![Span { offset: -60, length: 12 }, Span { offset: 2, length: 30 }],
        positive_buckets: vec![0.0; 42],
        ..NativeHistogram::default()
    };
    (0..ROWS)
        .map(|_| {
            for _ in 0..chance.poisson(observations) {
                let bucket: usize = (0..6).map(|_| chance.index(8)).sum();
                histogram.positive_buckets[bucket % 42] += 1.0;
                histogram.count += 1.0;
                histogram.sum += ((bucket as f64 + chance.unit()) / 8.0).exp2() * 0.001;
            }
            Arc::new(histogram.clone())
        })
        .collect()
}
