//! Suite `tsdb`: data directories that Prometheus and Thanos wrote, and what they must answer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use ::tsdb::block::Block;
use ::tsdb::chunk::aggregate::Aggregate;
use ::tsdb::directory::{Directory, DiskFiles};
use ::tsdb::files::FileRead;
use ::tsdb::index::postings::check_postings;
use ::tsdb::merge::{BlockSource, Selection, SeriesStream};
use ::tsdb::sample::Value;
use ::tsdb::windows::WindowStream;
use anyhow::{Context, Result};
use model::label_set::Builder;
use model::samples::Samples;
use model::time::TimestampMs;
use serde::Deserialize;
use storage::block::reference::BlockRef;
use storage::compact::downsample::AggregateChunk;
use storage::compaction::{Aggregate as OurAggregate, BlockSummary, Resolution};
use storage::import::BlockImport;
use storage::names::FileName;
use storage::selection::{SelectRequest, TileCache};
use storage::tile_read::TileRead;

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
    for (name, parent) in
        [("index of version 1", VERSION_ONE), ("snapshot", ""), ("thanos", THANOS)]
    {
        let path = if parent.is_empty() { snapshot.clone() } else { directory.join(parent) };
        for block in blocks_of(&path)? {
            let case = format!("{name}, block {block}");
            report.count(format!("{case}: every sample"), every_sample(&path, &block));
            report.count(format!("{case}: through ours"), through_ours(&path, &block));
            report.count(format!("{case}: as windows"), as_windows(&path, &block));
        }
    }
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

/// Directories below `path` that have a `meta.json`.
fn blocks_of(path: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(path).with_context(|| format!("list {}", path.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.path().join("meta.json").is_file() {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The aggregates that a block has: of raw samples there is one, that is none.
fn aggregates_of(block: &Block) -> Vec<Option<Aggregate>> {
    match &block.meta().thanos {
        Some(thanos) if thanos.resolution_ms != 0 => Aggregate::ALL.map(Some).to_vec(),
        _ => vec![None],
    }
}

fn stream_of(block: &Block, aggregate: Option<Aggregate>) -> Result<SeriesStream, String> {
    let source = BlockSource::open(block).map_err(text)?;
    let selection = Selection { aggregate, ..Selection::default() };
    Ok(SeriesStream::new(vec![Box::new(source)], selection))
}

fn block_at(path: &Path, name: &str) -> Result<Block, String> {
    let files: Arc<dyn FileRead> = Arc::new(DiskFiles::new(path));
    Block::open(&files, name).map_err(text)
}

/// Every chunk decodes, and there are as many series and chunks as the block says of itself, and
/// raw samples too.
fn every_sample(path: &Path, name: &str) -> Result<(), String> {
    let block = block_at(path, name)?;
    for aggregate in aggregates_of(&block) {
        let mut stream = stream_of(&block, aggregate)?;
        while stream.next_series().map_err(text)?.is_some() {
            while stream.next_sample().map_err(text)?.is_some() {}
        }
        let (read, stats) = (stream.progress(), block.meta().stats);
        let samples = if aggregate.is_none() { stats.samples } else { read.samples };
        let expected = (stats.series, stats.chunks, samples);
        if (read.series, read.chunks, read.samples) != expected || read.samples == 0 {
            return Err(format!("{aggregate:?}: read {read:?}, not {expected:?}"));
        }
    }
    Ok(())
}

/// A file of ours in memory.
struct OneFile(Vec<u8>);

impl TileRead for OneFile {
    fn read(&self, _: &FileName, offset: u64, bytes: &mut [u8]) -> std::io::Result<()> {
        let start = usize::try_from(offset).map_err(std::io::Error::other)?;
        let part = self.0.get(start..).and_then(|rest| rest.get(..bytes.len()));
        bytes.copy_from_slice(part.ok_or(std::io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Written as an import writes them, the samples read back bit for bit.
fn through_ours(path: &Path, name: &str) -> Result<(), String> {
    let block = block_at(path, name)?;
    for aggregate in aggregates_of(&block) {
        let expected = floats(stream_of(&block, aggregate)?)?;
        let mut stream = stream_of(&block, aggregate)?;
        let mut symbols: BTreeSet<Box<str>> = BTreeSet::new();
        while let Some(labels) = stream.next_series().map_err(text)? {
            symbols.extend(labels.iter().flat_map(|(name, value)| [name.into(), value.into()]));
        }
        let mut import = BlockImport::new(1, Resolution::Raw, symbols, 0);
        let mut stream = stream_of(&block, aggregate)?;
        while let Some(labels) = stream.next_series().map_err(text)? {
            while let Some(sample) = stream.next_sample().map_err(text)? {
                let Value::Float(value) = sample.value else { return Err(labels.to_string()) };
                import.float(sample.timestamp, value, sample.start);
            }
            import.series(&labels);
        }
        let summary = import.finish().ok_or("no samples")?;
        let file = OneFile(import.take().1);
        let found = read_ours(summary, &file, OurAggregate::default())?;
        if found != expected {
            return Err(format!("{aggregate:?}: read {} series otherwise", found.len()));
        }
    }
    Ok(())
}

/// A downsampled block, imported as it is, has its aggregates; its counters rise as they do.
fn as_windows(path: &Path, name: &str) -> Result<(), String> {
    let block = block_at(path, name)?;
    let resolution_ms = block.meta().thanos.as_ref().map_or(0, |thanos| thanos.resolution_ms);
    let resolution = Resolution::of_ms(resolution_ms).ok_or("resolution is not known")?;
    if resolution == Resolution::Raw {
        return Ok(());
    }
    let mut symbols: BTreeSet<Box<str>> = BTreeSet::new();
    let mut scan = block.series().map_err(text)?;
    while let Some(entry) = scan.read().map_err(text)? {
        symbols.extend(entry.labels.iter().flat_map(|(name, value)| [name.into(), value.into()]));
    }
    let mut import = BlockImport::new(1, resolution, symbols, 0);
    let mut stream = WindowStream::open(&block).map_err(text)?;
    while let Some((labels, chunks)) = stream.next_series().map_err(text)? {
        let chunk = |aggregates| AggregateChunk { aggregates };
        import.windows(&labels, &chunks.into_iter().map(chunk).collect::<Vec<_>>());
    }
    let summary = import.finish().ok_or("no samples")?;
    let file = OneFile(import.take().1);
    for (theirs, ours) in [
        (Aggregate::Count, OurAggregate::Count),
        (Aggregate::Sum, OurAggregate::Sum),
        (Aggregate::Min, OurAggregate::Min),
        (Aggregate::Max, OurAggregate::Max),
        (Aggregate::Counter, OurAggregate::Counter),
    ] {
        let expected = floats(stream_of(&block, Some(theirs))?)?;
        let found = read_ours(summary, &file, ours)?;
        let is_same = match theirs {
            // Ours goes on through resets; theirs is as it was, and one that falls has been reset.
            Aggregate::Counter => rises(&found, false) == rises(&expected, true),
            _ => found == expected,
        };
        if !is_same {
            return Err(format!("{theirs:?}: {found:?}, not {expected:?}"));
        }
    }
    Ok(())
}

/// How much each series rises from sample to sample.
fn rises(found: &Found, is_reset: bool) -> Vec<(&String, Vec<(i64, f64)>)> {
    let of = |values: &Vec<(i64, u64)>| {
        let pairs = values.windows(2).map(|pair| {
            let (before, now) = (f64::from_bits(pair[0].1), f64::from_bits(pair[1].1));
            (pair[1].0, if is_reset && now < before { now } else { now - before })
        });
        pairs.collect()
    };
    found.iter().map(|(series, values)| (series, of(values))).collect()
}

fn read_ours(
    summary: BlockSummary,
    file: &OneFile,
    aggregate: OurAggregate,
) -> Result<Found, String> {
    let request = SelectRequest {
        matchers: Vec::new(),
        after: TimestampMs::MIN,
        until: TimestampMs::MAX,
        series_max: usize::MAX - 1,
        aggregate,
    };
    let block = Arc::new(BlockRef::new(0, summary, Arc::from([])));
    let mut cache = TileCache::default();
    let selected = block.select(file, &mut cache.blocks, &request);
    let mut found = Found::new();
    for series in selected.map_err(|error| error.to_string())? {
        let mut samples = Samples::default();
        let (after, until) = (request.after, request.until);
        let decoded = series.decode(file, &mut cache, after, until, &mut samples);
        decoded.map_err(|error| error.to_string())?;
        let values = samples.values.iter().map(|value| value.to_bits());
        let pairs = samples.timestamps_ms.iter().copied().zip(values).collect();
        found.insert(series.labels.to_string(), pairs);
    }
    Ok(found)
}

/// The block's directory has no ULID as its name, so it is opened as a block.
fn version_one(directory: &Path) -> Result<(), String> {
    let files: Arc<dyn FileRead> = Arc::new(DiskFiles::new(directory));
    let block = Block::open(&files, "index_format_v1").map_err(text)?;
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
