//! Fullness: how large the chunks of a block are, for `cresset tsdb analyze --extended`.
//!
//! Path: `analyze` → **fullness** → `tsdb::chunk_files`.

use std::io::Write;

use anyhow::{Context, Result, anyhow};
use model::matcher::Matcher;
use tsdb::block::Block;
use tsdb::chunk::decode::Decoder;
use tsdb::sample::Value;

use crate::tsdb_command::print::Progress;

/// Steps of a bar chart are this wide, or ten, a hundred, a thousand times as wide.
const STEP_MIN: usize = 10;
const STEP_MAX: usize = 100_000;

/// Sizes of chunks, one a chunk.
#[derive(Default)]
pub struct Fullness {
    chunks: usize,
    float_samples: Vec<usize>,
    float_bytes: Vec<usize>,
    histogram_samples: Vec<usize>,
    histogram_bytes: Vec<usize>,
    histogram_buckets: Vec<usize>,
}

impl Fullness {
    /// Reads all chunks of the series that fulfil the matchers.
    ///
    /// # Errors
    /// The block cannot be read or is wrong.
    pub fn of(block: &Block, matchers: &[Matcher]) -> Result<Fullness> {
        let mut found = Fullness::default();
        let (mut scan, mut files) = (block.series()?, block.chunks()?);
        let mut progress = Progress::new("reading");
        while let Some(series) = scan.read()? {
            if !matchers.iter().all(|matcher| matcher.matches_labels(&series.labels)) {
                continue;
            }
            for chunk in &series.chunks {
                let raw = files.read(chunk.reference)?;
                let bytes = raw.bytes.len();
                let is_histogram = raw.encoding.is_histogram();
                let place = || format!("{}, byte {}", raw.file, raw.offset);
                let mut decoder = Decoder::new(raw.encoding, raw.bytes)
                    .map_err(|fault| anyhow!("{fault}"))
                    .with_context(place)?;
                let (mut samples, mut buckets) = (0, 0);
                while let Some(sample) =
                    decoder.read().map_err(|fault| anyhow!("{fault}")).with_context(place)?
                {
                    samples += 1;
                    if let Value::Histogram(histogram) = sample.value {
                        let native = &histogram.native;
                        buckets += native.positive_buckets.len() + native.negative_buckets.len();
                    }
                }
                found.add((samples, bytes), is_histogram.then_some(buckets));
            }
            let (done, total) = scan.progress();
            progress.show(done, total, &format!("{} chunks", found.chunks));
        }
        progress.clear();
        Ok(found)
    }

    fn add(&mut self, (samples, bytes): (usize, usize), buckets: Option<usize>) {
        self.chunks += 1;
        match buckets {
            None => {
                self.float_samples.push(samples);
                self.float_bytes.push(bytes);
            }
            Some(buckets) => {
                self.histogram_samples.push(samples);
                self.histogram_bytes.push(bytes);
                self.histogram_buckets.push(buckets);
            }
        }
    }

    fn tables(&self) -> [(&'static str, &[usize]); 5] {
        [
            ("samples per float chunk", &self.float_samples),
            ("bytes per float chunk", &self.float_bytes),
            ("samples per histogram chunk", &self.histogram_samples),
            ("bytes per histogram chunk", &self.histogram_bytes),
            ("buckets per histogram chunk", &self.histogram_buckets),
        ]
    }

    /// Writes a bar chart of each size, in promtool's form.
    ///
    /// # Errors
    /// The output refuses.
    pub fn write(&self, out: &mut impl Write) -> Result<()> {
        writeln!(out, "\nCompaction analysis:\n")?;
        for (title, sizes) in self.tables() {
            let Some(range) = range_of(sizes) else {
                writeln!(out, "{title}: N/A\n")?;
                continue;
            };
            let (min, average, max) = range;
            writeln!(out, "{title} (min/avg/max): {min}/{average}/{max}")?;
            let (start, step, counts) = bars(sizes, (min, max));
            let end = start + step * counts.len();
            let width = |number: usize| number.to_string().len();
            let (left, right) = (width(end - step), width(end));
            let most = width(counts.iter().copied().max().unwrap_or(0));
            for (at, count) in counts.iter().enumerate() {
                let (from, to) = (at * step + start + 1, (at + 1) * step + start);
                let bar = "#".repeat(100 * count / self.chunks.max(1));
                writeln!(out, "[{from:left$}, {to:right$}]: {count:most$} {bar}")?;
            }
            writeln!(out)?;
        }
        Ok(())
    }

    /// Least, mean and largest of each size; null where there is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let table = |(title, sizes): (&str, &[usize])| {
            let range = range_of(sizes).map(|(min, average, max)| {
                serde_json::json!({"min": min, "avg": average, "max": max, "chunks": sizes.len()})
            });
            (title.replace(' ', "_"), serde_json::json!(range))
        };
        serde_json::Value::Object(self.tables().into_iter().map(table).collect())
    }
}

/// Least, mean and largest; `None` of nothing.
fn range_of(sizes: &[usize]) -> Option<(usize, usize, usize)> {
    let (min, max) = (sizes.iter().min()?, sizes.iter().max()?);
    Some((*min, sizes.iter().sum::<usize>() / sizes.len(), *max))
}

/// Where the first bar begins, how wide bars are, and how high.
fn bars(sizes: &[usize], (min, max): (usize, usize)) -> (usize, usize, Vec<usize>) {
    let mut step = STEP_MIN;
    while step < (max - min) / 10 && step < STEP_MAX {
        step *= 10;
    }
    let start = min - min % step;
    let mut counts = vec![0; (max - max % step + step - start) / step + 1];
    for size in sizes {
        counts[(size - start) / step] += 1;
    }
    (start, step, counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_are_promtools() {
        let mut fullness = Fullness::default();
        for (samples, bytes) in [(120, 170), (120, 180), (4, 30), (7, 35)] {
            fullness.add((samples, bytes), None);
        }
        let mut text = Vec::new();
        fullness.write(&mut text).expect("memory");
        let text = String::from_utf8(text).expect("text");
        let chart = text.split("\n\n").nth(1).expect("a chart");
        let lines: Vec<&str> = chart.lines().collect();
        let half = "#".repeat(50);
        assert_eq!(lines[0], "samples per float chunk (min/avg/max): 4/62/120");
        assert_eq!(lines[1], format!("[  1, 100]: 2 {half}"));
        assert_eq!(lines[2], format!("[101, 200]: 2 {half}"));
        assert_eq!(lines.len(), 4, "{text}");
        assert!(text.contains("\n\nbuckets per histogram chunk: N/A\n"), "{text}");
        assert_eq!(fullness.json()["bytes_per_float_chunk"]["max"], 180);
    }
}
