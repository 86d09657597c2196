//! Cost of chunks of 480 samples: bytes and nanoseconds a sample, and how fast they decode.
//!
//! `cargo bench -p bench --bench chunk`; with `SCRAPES=directory` also the scrapes recorded there,
//! one file of exposition text each.

#[path = "rows/corpus.rs"]
mod corpus;

#[path = "chunks/corpora.rs"]
mod corpora;

#[path = "chunks/gorilla.rs"]
mod gorilla;

use std::time::{Duration, Instant};

use corpora::{Columns, ROWS};
use storage::codec::Codec;

/// Least time of a measurement, and its rounds, of which the fastest counts: others share the core.
const ROUND: Duration = Duration::from_millis(2);
const ROUNDS: usize = 60;

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn clock() -> Instant {
    Instant::now()
}

/// Nanoseconds of one `work`.
fn nanos(mut work: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let (start, mut times) = (clock(), 0u32);
        while start.elapsed() < ROUND {
            work();
            times += 1;
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(times));
    }
    best
}

fn main() {
    println!("{:24} {:>8} {:>8} {:>9} {:>11}", "", "B", "XOR B", "encode ns", "decode M/s");
    for corpus in corpora::all() {
        floats(&corpus);
    }
    for observations in [10.0, 200.0] {
        histograms(observations);
    }
}

fn floats(corpus: &Columns) {
    let mut codec = Codec::default();
    let samples = corpus.columns.iter().map(Vec::len).sum::<usize>() as f64;
    let encoded = encode(&mut codec, corpus);
    let bytes: usize = encoded.iter().map(Vec::len).sum();
    let xor: usize = corpus.columns.iter().map(|column| gorilla::xor_bytes(column)).sum();
    let encoding = nanos(|| {
        std::hint::black_box(encode(&mut codec, corpus));
    });
    let mut kinds = [0; 8];
    encoded.iter().for_each(|bytes| kinds[usize::from(bytes[0] & 7)] += 1);
    let mut out = Vec::new();
    let mut previous = Vec::new();
    let decoding = nanos(|| {
        previous.clear();
        for (column, bytes) in corpus.columns.iter().zip(&encoded) {
            out.clear();
            let read = if previous.len() == column.len() {
                codec.decode_after(&previous, bytes, &mut out)
            } else {
                codec.decode(bytes, column.len(), &mut out)
            };
            read.expect("what was written reads back");
            if corpus.neighbours {
                std::mem::swap(&mut out, &mut previous);
            }
        }
    });
    println!(
        "{:24} {:8.3} {:8.3} {:9.1} {:11.0}   kinds {kinds:?}",
        corpus.name,
        bytes as f64 / samples,
        xor as f64 / samples,
        encoding / samples,
        1000.0 * samples / decoding,
    );
}

fn encode(codec: &mut Codec, corpus: &Columns) -> Vec<Vec<u8>> {
    let mut encoded = Vec::with_capacity(corpus.columns.len());
    for (at, column) in corpus.columns.iter().enumerate() {
        let mut bytes = Vec::new();
        match at.checked_sub(1).filter(|_| corpus.neighbours) {
            Some(before) => codec.encode_after(&corpus.columns[before], column, &mut bytes),
            None => codec.encode(column, &mut bytes),
        }
        encoded.push(bytes);
    }
    encoded
}

fn histograms(observations: f64) {
    let mut codec = Codec::default();
    let histograms = corpora::native(observations);
    let all: Vec<_> = histograms.iter().map(|histogram| &**histogram).collect();
    let mut bytes = Vec::new();
    let mut encode = |bytes: &mut Vec<u8>| {
        bytes.clear();
        codec.encode_histograms(&all, bytes).expect("the histograms are sound");
    };
    let encoding = nanos(|| encode(&mut bytes));
    let mut out = Vec::new();
    let decoding = nanos(|| {
        out.clear();
        codec.decode_histograms(&bytes, ROWS, &mut out).expect("what was written reads back");
    });
    assert_eq!(out, histograms, "histograms read back");
    let rows = ROWS as f64;
    println!(
        "{:24} {:8.3} {:8.3} {:9.1} {:11.1}",
        format!("native, {observations} a scrape"),
        bytes.len() as f64 / rows,
        gorilla::histogram_bytes(&histograms) as f64 / rows,
        encoding / rows,
        1000.0 * rows / decoding,
    );
}
