//! Suite `tsdb`: data directories that Prometheus and Thanos wrote, and what they must answer.

use std::collections::BTreeMap;
use std::path::Path;

use ::tsdb::chunk::aggregate::Aggregate;
use ::tsdb::directory::Directory;
use ::tsdb::index::postings::check_postings;
use ::tsdb::merge::{BlockSource, Selection, SeriesStream};
use ::tsdb::sample::Value;
use anyhow::{Context, Result};
use model::label_set::Builder;
use serde::Deserialize;

use crate::report::Report;

const VERSION_ONE: &str = "prometheus/tsdb";
const SNAPSHOT: &str = "victoriametrics/tsdb/prometheus";
const THANOS: &str = "victoriametrics/tsdb/thanos-snapshot";

#[derive(Deserialize)]
struct Answer {
    result: Vec<AnsweredSeries>,
}

#[derive(Deserialize)]
struct Response {
    data: Answer,
}

#[derive(Deserialize)]
struct AnsweredSeries {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

/// Floats by labels and by milliseconds.
type Found = BTreeMap<String, Vec<(i64, u64)>>;

/// Runs the suite.
///
/// # Errors
/// The blocks or the answers are not there.
pub fn run(directory: &Path) -> Result<Vec<Report>> {
    let mut report = Report::new("tsdb");
    let snapshots = directory.join(SNAPSHOT).join("snapshots");
    let snapshot = std::fs::read_dir(&snapshots)
        .and_then(|mut entries| entries.next().context("a snapshot").map_err(std::io::Error::other))
        .with_context(|| format!("list {}", snapshots.display()))??
        .path();
    report.count("index of version 1", version_one(&directory.join(VERSION_ONE)));
    report.count("snapshot: counts", counts(&snapshot));
    report.count("snapshot: postings", postings(&snapshot));
    let expected = answer(&directory.join(SNAPSHOT).join("expected_response.json"))?;
    report.count("snapshot: answer", answers(&snapshot, &expected));
    let thanos = directory.join(THANOS);
    report.count("thanos: postings", postings(&thanos));
    for file in ["expected_all_aggr_response.json", "expected_filtered_aggr_response.json"] {
        let expected = answer(&thanos.join(file))?;
        for (series, values) in expected {
            report.count(format!("{file} {series}"), aggregates(&thanos, &series, &values));
        }
    }
    Ok(vec![report])
}

fn answer(path: &Path) -> Result<Found> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let answer: Answer = match serde_json::from_str::<Response>(&text) {
        Ok(response) => response.data,
        Err(_) => serde_json::from_str(&text).with_context(|| path.display().to_string())?,
    };
    let mut found = Found::new();
    for series in answer.result {
        let mut labels = Builder::default();
        for (name, value) in &series.metric {
            labels.set(name, value);
        }
        let values = series.values.iter().map(|(seconds, value)| {
            let value: f64 = value.parse().context("a value that is no number")?;
            Ok((milliseconds(*seconds), value.to_bits()))
        });
        found.insert(labels.build().to_string(), values.collect::<Result<_>>()?);
    }
    Ok(found)
}

#[expect(clippy::cast_possible_truncation, reason = "times of today in milliseconds fit")]
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

/// The block's directory has no ULID as its name, so it is opened as a block.
fn version_one(directory: &Path) -> Result<(), String> {
    let files = ::tsdb::directory::DiskFiles::new(directory);
    let files: std::sync::Arc<dyn ::tsdb::files::FileRead> = std::sync::Arc::new(files);
    let block = ::tsdb::block::Block::open(&files, "index_format_v1").map_err(text)?;
    let source = BlockSource::open(&block).map_err(text)?;
    let found = floats(SeriesStream::new(vec![Box::new(source)], Selection::default()))?;
    let samples: usize = found.values().map(Vec::len).sum();
    let stats = block.meta().stats;
    let expected = (stats.series, stats.samples);
    let read = (found.len() as u64, samples as u64);
    if read != expected {
        return Err(format!("read {read:?} series and samples, meta.json says {expected:?}"));
    }
    let scan = block.series().map_err(text)?;
    check_postings(&files, "index_format_v1", &scan).map_err(text)?;
    Ok(())
}

fn counts(directory: &Path) -> Result<(), String> {
    let directory = Directory::open(directory).map_err(text)?;
    for block in directory.blocks() {
        let source = BlockSource::open(block).map_err(text)?;
        let mut stream = SeriesStream::new(vec![Box::new(source)], Selection::default());
        while stream.next_series().map_err(text)?.is_some() {
            while stream.next_sample().map_err(text)?.is_some() {}
        }
        let (progress, stats) = (stream.progress(), block.meta().stats);
        let read = (progress.series, progress.samples, progress.chunks);
        let expected = (stats.series, stats.samples, stats.chunks);
        if read != expected {
            return Err(format!("read {read:?} series, samples and chunks, not {expected:?}"));
        }
    }
    Ok(())
}

fn postings(directory: &Path) -> Result<(), String> {
    let directory = Directory::open(directory).map_err(text)?;
    for block in directory.blocks() {
        let mut scan = block.series().map_err(text)?;
        let counts = check_postings(directory.files(), block.directory(), &scan).map_err(text)?;
        // Each series is in the list of all and in one list a label.
        let mut expected = 0;
        while let Some(entry) = scan.read().map_err(text)? {
            expected += 1 + entry.labels.len() as u64;
        }
        if counts.references != expected {
            return Err(format!("{} references in postings, not {expected}", counts.references));
        }
    }
    Ok(())
}

fn answers(directory: &Path, expected: &Found) -> Result<(), String> {
    let directory = Directory::open(directory).map_err(text)?;
    let found = floats(directory.series(Selection::default()).map_err(text)?)?;
    for (series, values) in expected {
        match found.get(series) {
            Some(found) if found == values => {}
            Some(found) => return Err(format!("{series}: {found:?}, not {values:?}")),
            None => return Err(format!("{series} is not there")),
        }
    }
    Ok(())
}

/// `name:5m:count` is the count of `name` in the block of that resolution.
fn aggregates(directory: &Path, series: &str, values: &[(i64, u64)]) -> Result<(), String> {
    let directory = Directory::open(directory).map_err(text)?;
    let name = series.split('"').nth(1).unwrap_or_default();
    let mut parts = name.split(':');
    let (base, resolution) = (parts.next().unwrap_or_default(), parts.next());
    let resolution_ms = match resolution {
        None => 0,
        Some("5m") => 300_000,
        Some("1h") => 3_600_000,
        Some(other) => return Err(format!("resolution {other} is not known")),
    };
    let wanted = parts.next();
    let aggregate = Aggregate::ALL.into_iter().find(|one| Some(one.name()) == wanted);
    let of_resolution = directory.blocks().iter().find(|block| {
        block.meta().thanos.as_ref().is_some_and(|thanos| thanos.resolution_ms == resolution_ms)
    });
    let block = of_resolution.ok_or("no block of this resolution")?;
    let source = BlockSource::open(block).map_err(text)?;
    let selection = Selection { aggregate, ..Selection::default() };
    let found = floats(SeriesStream::new(vec![Box::new(source)], selection))?;
    let own = series.replace(name, base);
    match found.get(&own) {
        Some(found) if found == values => Ok(()),
        Some(found) => Err(format!("found {found:?}, not {values:?}")),
        None => Err(format!("{own} is not there")),
    }
}

fn floats(mut stream: SeriesStream) -> Result<Found, String> {
    let mut found = Found::new();
    while let Some(labels) = stream.next_series().map_err(text)? {
        let mut values = Vec::new();
        while let Some(sample) = stream.next_sample().map_err(text)? {
            let Value::Float(value) = sample.value else {
                return Err(format!("{labels} has a histogram"));
            };
            values.push((sample.timestamp.0, value.to_bits()));
        }
        found.insert(labels.to_string(), values);
    }
    Ok(found)
}

fn text(error: ::tsdb::fault::TsdbError) -> String {
    error.to_string()
}
