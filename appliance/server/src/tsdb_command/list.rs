//! `cresset tsdb list`: the blocks of a data directory.

use std::io::Write;

use anyhow::Result;
use machine::offline::is_data_directory;
use serde_json::json;
use storage::compaction::BlockSummary;
use tsdb::block::Block;

use crate::tsdb_arguments::ListOptions;
use crate::tsdb_command::opened::open_prometheus;
use crate::tsdb_command::own::{manifest_of, take};
use crate::tsdb_command::print::{Ended, bytes_text, duration_text, output, table, time_text};

/// Columns of promtool; scripts read them.
const HEADER: [&str; 8] = [
    "BLOCK ULID",
    "MIN TIME",
    "MAX TIME",
    "DURATION",
    "NUM SAMPLES",
    "NUM CHUNKS",
    "NUM SERIES",
    "SIZE",
];
/// Columns of ours: a block is named by its shard and number.
const OWN_HEADER: [&str; 9] = [
    "BLOCK",
    "MIN TIME",
    "MAX TIME",
    "DURATION",
    "NUM SAMPLES",
    "LEVEL",
    "NUM SERIES",
    "SIZE",
    "RESOLUTION",
];

/// Lists the blocks.
///
/// # Errors
/// The directory cannot be read.
pub fn run(options: &ListOptions) -> Result<Ended> {
    if is_data_directory(&options.directory) {
        return list_own(options);
    }
    let directory = open_prometheus(&options.directory)?;
    let mut out = output();
    if options.json {
        for block in directory.blocks() {
            writeln!(out, "{}", json_of(block)?)?;
        }
    } else {
        print_blocks(&mut out, directory.blocks(), options.human)?;
    }
    out.flush()?;
    Ok(Ended::Well)
}

/// Writes blocks as promtool does.
///
/// # Errors
/// A file of a block is missing, or the output refuses.
pub fn print_blocks(out: &mut impl Write, blocks: &[Block], human: bool) -> Result<()> {
    let mut rows = vec![HEADER.map(str::to_owned).to_vec()];
    for block in blocks {
        let meta = block.meta();
        rows.push(vec![
            meta.ulid.clone(),
            time_text(meta.min.0, human),
            time_text(meta.max.0, human),
            duration_text(meta.max.0.saturating_sub(meta.min.0)),
            meta.stats.samples.to_string(),
            meta.stats.chunks.to_string(),
            meta.stats.series.to_string(),
            bytes_text(block.bytes()?, human),
        ]);
    }
    Ok(table(out, &rows)?)
}

fn json_of(block: &Block) -> Result<serde_json::Value> {
    let meta = block.meta();
    Ok(json!({
        "block": meta.ulid, "min_time_ms": meta.min.0, "max_time_ms": meta.max.0,
        "samples": meta.stats.samples, "chunks": meta.stats.chunks,
        "series": meta.stats.series, "bytes": block.bytes()?, "level": meta.level,
    }))
}

fn list_own(options: &ListOptions) -> Result<Ended> {
    let offline = take(&options.directory)?;
    let mut blocks: Vec<(u32, BlockSummary)> = Vec::new();
    for number in 0..offline.shards() {
        let manifest = manifest_of(&offline, number)?;
        blocks.extend(manifest.blocks().map(|block| (number, *block)));
    }
    blocks.sort_by_key(|(shard, block)| (block.min_time_ms, *shard, block.number));
    let mut out = output();
    if options.json {
        for (shard, block) in &blocks {
            writeln!(out, "{}", own_json(*shard, block))?;
        }
        out.flush()?;
        return Ok(Ended::Well);
    }
    let mut rows = vec![OWN_HEADER.map(str::to_owned).to_vec()];
    for (shard, block) in &blocks {
        // Ends are told as Prometheus tells them: the first time that is not in the block.
        let end = block.max_time_ms.saturating_add(1);
        rows.push(vec![
            format!("{shard}/{}", block.number),
            time_text(block.min_time_ms, options.human),
            time_text(end, options.human),
            duration_text(end.saturating_sub(block.min_time_ms)),
            block.samples.to_string(),
            block.level.to_string(),
            block.series.to_string(),
            bytes_text(block.bytes, options.human),
            resolution(block),
        ]);
    }
    table(&mut out, &rows)?;
    out.flush()?;
    Ok(Ended::Well)
}

fn resolution(block: &BlockSummary) -> String {
    match block.resolution.ms() {
        0 => "raw".to_owned(),
        ms => duration_text(ms),
    }
}

fn own_json(shard: u32, block: &BlockSummary) -> serde_json::Value {
    json!({
        "block": format!("{shard}/{}", block.number),
        "min_time_ms": block.min_time_ms, "max_time_ms": block.max_time_ms.saturating_add(1),
        "samples": block.samples, "series": block.series, "bytes": block.bytes,
        "level": block.level, "resolution_ms": block.resolution.ms(),
    })
}
