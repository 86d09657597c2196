//! `cresset tsdb create-blocks-from openmetrics`: blocks of Prometheus out of text.
//!
//! As promtool's: one block a range of time, the text read again for each, so that memory holds
//! the samples of one range. Samples may come in any order.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use anyhow::{Context, Result, anyhow, bail};
use exposition::entry::Entry;
use exposition::openmetrics::parser::OpenMetricsParser;
use exposition::series::parse_series;
use model::label_set::{Builder, LabelSet};
use model::time::TimestampMs;
use tsdb::block::Block;
use tsdb::files::FileRead;
use tsdb::sample::{Sample, Value};

use crate::tsdb_arguments::BackfillOptions;
use crate::tsdb_command::blocks_out::{BlocksOut, block_range_ms, range_start};
use crate::tsdb_command::list::print_blocks;
use crate::tsdb_command::print::{Ended, Progress, output};

/// Samples of a range by series.
type Series = BTreeMap<LabelSet, Vec<Sample>>;

/// Makes the blocks.
///
/// # Errors
/// The text does not read, two samples of one series and time differ, or the file system refuses.
pub fn run(options: &BackfillOptions) -> Result<Ended> {
    let text = read_input(options)?;
    let Some((min, max)) = times_of(&text)? else {
        return Ok(Ended::Well);
    };
    let range_ms = block_range_ms(options.block_ms_max);
    let out = BlocksOut::new(&options.output)?;
    let mut progress = Progress::new("making blocks");
    let (first, mut blocks) = (range_start(min, range_ms), Vec::new());
    let mut next = Some(first);
    while let Some(start) = next.filter(|start| *start <= max) {
        let end = start.saturating_add(range_ms);
        let (done, all) = (start.0 - first.0, max.0 - first.0);
        let position = |ms: i64| u64::try_from(ms).unwrap_or(0);
        progress.show(position(done), position(all), &format!("{} blocks", blocks.len()));
        let (series, behind) = samples_of(&text, options, start, end)?;
        let mut writer = out.block(start, end)?;
        for (labels, samples) in &series {
            writer.series(labels)?;
            writer.samples(samples)?;
        }
        blocks.extend(writer.finish()?.map(|meta| meta.ulid));
        next = behind.map(|time| range_start(time, range_ms));
    }
    progress.clear();
    if !options.quiet {
        let files: std::sync::Arc<dyn FileRead> = out.files().clone();
        let opened = blocks.iter().map(|name| Block::open(&files, name));
        let opened = opened.collect::<Result<Vec<Block>, _>>()?;
        let mut out = output();
        print_blocks(&mut out, &opened, options.human)?;
        out.flush()?;
    }
    Ok(Ended::Well)
}

fn read_input(options: &BackfillOptions) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    if options.input.as_os_str() == "-" {
        std::io::stdin().lock().read_to_end(&mut text).context("read standard input")?;
        return Ok(text);
    }
    std::fs::read(&options.input).with_context(|| format!("read {}", options.input.display()))
}

/// First and last time of the text's samples.
fn times_of(text: &[u8]) -> Result<Option<(TimestampMs, TimestampMs)>> {
    let mut range: Option<(TimestampMs, TimestampMs)> = None;
    for entry in OpenMetricsParser::new(text) {
        let Entry::Sample(sample) = entry? else { continue };
        let Some(time) = sample.timestamp else {
            let series = String::from_utf8_lossy(sample.series);
            bail!("{series} has no timestamp: only samples with one can be stored");
        };
        range = Some(range.map_or((time, time), |(min, max)| (min.min(time), max.max(time))));
    }
    Ok(range)
}

/// Samples from `start` up to, but without, `end`, and the first time behind them.
fn samples_of(
    text: &[u8],
    options: &BackfillOptions,
    start: TimestampMs,
    end: TimestampMs,
) -> Result<(Series, Option<TimestampMs>)> {
    let (mut series, mut behind) = (Series::new(), None);
    for entry in OpenMetricsParser::new(text) {
        let Entry::Sample(sample) = entry? else { continue };
        let Some(time) = sample.timestamp.filter(|time| start <= *time) else { continue };
        if end <= time {
            behind = Some(behind.map_or(time, |behind: TimestampMs| behind.min(time)));
            continue;
        }
        let mut builder = Builder::default();
        parse_series(sample.series, sample.metric_type, &mut builder)
            .map_err(|error| anyhow!("{}: {error}", String::from_utf8_lossy(sample.series)))?;
        for (name, value) in &options.labels {
            builder.set(name, value);
        }
        series.entry(builder.build()).or_default().push(Sample::float(time.0, sample.value));
    }
    for (labels, samples) in &mut series {
        samples.sort_by_key(|sample| sample.timestamp);
        if let Some(pair) = samples.windows(2).find(|pair| differ(&pair[0], &pair[1])) {
            bail!("{labels} has two values at {}", pair[0].timestamp);
        }
        samples.dedup_by_key(|sample| sample.timestamp);
    }
    Ok((series, behind))
}

/// Whether the two say different things of one time.
fn differ(a: &Sample, b: &Sample) -> bool {
    let bits = |sample: &Sample| match sample.value {
        Value::Float(value) => value.to_bits(),
        Value::Histogram(_) => 0,
    };
    a.timestamp == b.timestamp && bits(a) != bits(b)
}
