//! `cresset tsdb analyze`: what churns, and which labels have the most values.
//!
//! A block of Prometheus is judged by its index; of ours, all samples are read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use anyhow::{Result, anyhow};
use machine::offline::is_data_directory;
use model::label_set::{LabelSet, METRIC_NAME};
use model::matcher::Matcher;
use model::time::TimestampMs;
use serde_json::json;

use crate::tsdb_arguments::AnalyzeOptions;
use crate::tsdb_command::fullness::Fullness;
use crate::tsdb_command::opened::{open_prometheus, selectors_of};
use crate::tsdb_command::own::OwnDirectory;
use crate::tsdb_command::print::{Ended, Progress, duration_text, output};

/// What is counted, in promtool's words.
const TABLES: [&str; 6] = [
    "Label pairs most involved in churning:",
    "Label names most involved in churning:",
    "Most common label pairs:",
    "Label names with highest cumulative label value length:",
    "Highest cardinality labels:",
    "Highest cardinality metric names:",
];

/// Series seen so far.
#[derive(Default)]
struct Analysis {
    /// What is analysed, and the time that it is for.
    name: String,
    span_ms: i64,
    /// Series of the whole, whether or not they match.
    series: u64,
    matched: u64,
    entries: u64,
    values: BTreeMap<String, BTreeSet<String>>,
    uncovered_ms: BTreeMap<String, u64>,
    pairs: BTreeMap<String, (u64, u64)>,
    metrics: BTreeMap<String, u64>,
    fullness: Option<Fullness>,
}

/// Analyses a block, or our whole directory.
///
/// # Errors
/// The directory cannot be read, or has no such block.
pub fn run(options: &AnalyzeOptions) -> Result<Ended> {
    let selector: Vec<String> = options.selector.iter().cloned().collect();
    let matchers = selectors_of(&selector)?.pop().unwrap_or_default();
    let analysis = if is_data_directory(&options.directory) {
        analyze_own(options, &matchers)?
    } else {
        analyze_block(options, &matchers)?
    };
    let mut out = output();
    if options.json {
        let mut json = analysis.json(options.limit);
        if let Some(fullness) = &analysis.fullness {
            json["chunks"] = fullness.json();
        }
        writeln!(out, "{json}")?;
    } else {
        analysis.write(&mut out, options)?;
        if let Some(fullness) = &analysis.fullness {
            fullness.write(&mut out)?;
        }
    }
    out.flush()?;
    Ok(Ended::Well)
}

fn analyze_block(options: &AnalyzeOptions, matchers: &[Matcher]) -> Result<Analysis> {
    let directory = open_prometheus(&options.directory)?;
    let block = match &options.block {
        None => directory.newest_block(),
        Some(name) => directory.blocks().iter().find(|block| block.meta().ulid == *name),
    };
    let block = block.ok_or_else(|| anyhow!("block {:?} is not there", options.block))?;
    let meta = block.meta();
    let span_ms = meta.max.0.saturating_sub(meta.min.0);
    let (name, series) = (meta.ulid.clone(), meta.stats.series);
    let mut analysis = Analysis { name, span_ms, series, ..Analysis::default() };
    if options.extended {
        analysis.fullness = Some(Fullness::of(block, matchers)?);
    }
    let mut scan = block.series()?;
    while let Some(series) = scan.read()? {
        let (Some(first), Some(last)) = (series.chunks.first(), series.chunks.last()) else {
            continue;
        };
        analysis.add(matchers, &series.labels, last.max.0.saturating_sub(first.min.0));
    }
    Ok(analysis)
}

fn analyze_own(options: &AnalyzeOptions, matchers: &[Matcher]) -> Result<Analysis> {
    if options.block.is_some() {
        return Err(anyhow!("our blocks are analysed together: leave the block out"));
    }
    if options.extended {
        return Err(anyhow!("--extended looks at chunks of Prometheus, which ours has not"));
    }
    let own = OwnDirectory::open(&options.directory)?;
    let spans = own.spans()?.into_iter();
    let whole = spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let Some((min, max)) = whole else { return Ok(Analysis::default()) };
    let span_ms = max.0.saturating_sub(min.0).saturating_add(1);
    let name = options.directory.display().to_string();
    let mut analysis = Analysis { name, span_ms, ..Analysis::default() };
    let mut stream = own.series(&[Vec::new()], (TimestampMs::MIN, TimestampMs::MAX))?;
    let (mut samples, mut progress) = (Vec::new(), Progress::new("reading"));
    while let Some(labels) = stream.read(&mut samples)? {
        analysis.series += 1;
        let first = samples.first().map_or(0, |sample| sample.timestamp.0);
        let last = samples.last().map_or(0, |sample| sample.timestamp.0);
        analysis.add(matchers, &labels, last.saturating_sub(first));
        let (done, total) = stream.progress();
        progress.show(done, total, &format!("{done} series"));
    }
    progress.clear();
    Ok(analysis)
}

impl Analysis {
    fn add(&mut self, matchers: &[Matcher], labels: &LabelSet, covered_ms: i64) {
        if !matchers.iter().all(|matcher| matcher.matches_labels(labels)) {
            return;
        }
        self.matched += 1;
        let uncovered = u64::try_from(self.span_ms.saturating_sub(covered_ms)).unwrap_or(0);
        for (name, value) in labels.iter() {
            self.entries += 1;
            *self.uncovered_ms.entry(name.to_owned()).or_default() += uncovered;
            let pair = self.pairs.entry(format!("{name}={value}")).or_default();
            pair.0 += uncovered;
            pair.1 += 1;
            self.values.entry(name.to_owned()).or_default().insert(value.to_owned());
        }
        if !labels.value(METRIC_NAME).is_empty() {
            *self.metrics.entry(labels.value(METRIC_NAME).to_owned()).or_default() += 1;
        }
    }

    /// The tables, each with its greatest counts first.
    fn tables(&self, limit: usize) -> Vec<Vec<(u64, String)>> {
        let span = u64::try_from(self.span_ms).unwrap_or(0).max(1);
        let length =
            |values: &BTreeSet<String>| values.iter().map(|value| value.len() as u64).sum();
        let of = |counts: Vec<(u64, &String)>| {
            let mut rows: Vec<(u64, String)> =
                counts.into_iter().map(|(count, key)| (count, key.clone())).collect();
            rows.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
            rows.truncate(limit);
            rows
        };
        vec![
            of(self.pairs.iter().map(|(key, (uncovered, _))| (uncovered / span, key)).collect()),
            of(self.uncovered_ms.iter().map(|(key, uncovered)| (uncovered / span, key)).collect()),
            of(self.pairs.iter().map(|(key, (_, count))| (*count, key)).collect()),
            of(self.values.iter().map(|(key, values)| (length(values), key)).collect()),
            of(self.values.iter().map(|(key, values)| (values.len() as u64, key)).collect()),
            of(self.metrics.iter().map(|(key, count)| (*count, key)).collect()),
        ]
    }

    fn write(&self, out: &mut impl Write, options: &AnalyzeOptions) -> Result<()> {
        writeln!(out, "Block ID: {}", self.name)?;
        writeln!(out, "Duration: {}", duration_text(self.span_ms))?;
        writeln!(out, "Total Series: {}", self.series)?;
        if let Some(selector) = &options.selector {
            writeln!(out, "Matcher: {selector}")?;
        }
        writeln!(out, "Label names: {}", self.values.len())?;
        if options.selector.is_some() {
            writeln!(out, "Matched series: {}", self.matched)?;
        }
        writeln!(out, "Postings (unique label pairs): {}", self.pairs.len())?;
        writeln!(out, "Postings entries (total label pairs): {}", self.entries)?;
        for (title, rows) in TABLES.iter().zip(self.tables(options.limit)) {
            writeln!(out, "\n{title}")?;
            for (count, key) in rows {
                writeln!(out, "{count} {key}")?;
            }
        }
        Ok(())
    }

    fn json(&self, limit: usize) -> serde_json::Value {
        let rows = |rows: Vec<(u64, String)>| -> serde_json::Value {
            rows.into_iter().map(|(count, name)| json!({"name": name, "count": count})).collect()
        };
        let mut tables = self.tables(limit).into_iter().map(rows);
        let mut next = || tables.next().unwrap_or_default();
        json!({
            "block": self.name, "duration_ms": self.span_ms, "series": self.series,
            "matched_series": self.matched, "label_names": self.values.len(),
            "label_pairs": self.pairs.len(), "postings": self.entries,
            "churning_label_pairs": next(), "churning_label_names": next(),
            "common_label_pairs": next(), "label_value_bytes": next(),
            "label_value_counts": next(), "metric_name_series": next(),
        })
    }
}
