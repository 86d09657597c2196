//! `cresset tsdb verify`: reads every byte of a data directory and says what is damaged, and what
//! is lost with it.

use std::io::Write;

use anyhow::Result;
use machine::offline::{Offline, is_data_directory};
use serde_json::json;
use storage::compaction::BlockSummary;
use storage::inspect::{Damage, Found, check_block, check_tiles};
use storage::names::FileName;
use tsdb::block::Block;
use tsdb::chunk::decode::Decoder;
use tsdb::chunk::encoding::Encoding;
use tsdb::directory::Directory;
use tsdb::fault::TsdbError;
use tsdb::index::postings::check_postings;

use crate::tsdb_arguments::VerifyOptions;
use crate::tsdb_command::opened::{load_head, open_prometheus};
use crate::tsdb_command::own::{manifest_of, take};
use crate::tsdb_command::print::{Ended, Progress, output, time_text};

/// Damages that are told of one file; of more only how many.
const TOLD_MAX: usize = 100;

/// What was found so far.
struct Verified {
    files: u64,
    samples: u64,
    damages: u64,
    json: bool,
    progress: Progress,
}

/// Looks at everything.
///
/// # Errors
/// The directory is none, a server has it, or the file system refuses.
pub fn run(options: &VerifyOptions) -> Result<Ended> {
    let progress = Progress::new("verifying");
    let mut verified = Verified { files: 0, samples: 0, damages: 0, json: options.json, progress };
    if is_data_directory(&options.directory) {
        verified.own(&take(&options.directory)?)?;
    } else {
        verified.prometheus(&mut open_prometheus(&options.directory)?)?;
    }
    verified.progress.clear();
    let Verified { files, samples, damages, .. } = verified;
    let mut out = output();
    if options.json {
        let end = json!({"files": files, "samples": samples, "damages": damages});
        writeln!(out, "{end}")?;
    } else {
        writeln!(out, "{files} files read, {samples} samples in blocks, {damages} damages")?;
    }
    out.flush()?;
    Ok(if damages == 0 { Ended::Well } else { Ended::Damaged })
}

impl Verified {
    fn own(&mut self, offline: &Offline) -> Result<()> {
        for shard in 0..offline.shards() {
            let files = offline.files(shard)?;
            match manifest_of(offline, shard) {
                Err(error) => self.tell(&format!("{error:#}"), "which blocks live")?,
                Ok(manifest) => {
                    let blocks: Vec<BlockSummary> = manifest.blocks().copied().collect();
                    self.own_blocks(offline, shard, &blocks, &files)?;
                }
            }
            for (file, bytes) in &files {
                if let FileName::Tile(number) = file {
                    let found = check_tiles(&offline.reader(shard)?, *number, *bytes);
                    self.found(shard, &found)?;
                }
            }
            self.own_recovery(offline, shard)?;
        }
        Ok(())
    }

    fn own_blocks(
        &mut self,
        offline: &Offline,
        shard: u32,
        blocks: &[BlockSummary],
        files: &[(FileName, u64)],
    ) -> Result<()> {
        let reader = offline.reader(shard)?;
        let total = blocks.len() as u64;
        for (done, block) in (0..).zip(blocks) {
            self.progress.show(done, total, &format!("shard {shard}, block {}", block.number));
            let file = FileName::Block(block.number);
            if files.contains(&(file, block.bytes)) {
                let found = check_block(&reader, block);
                self.samples += found.samples;
                self.found(shard, &found)?;
                continue;
            }
            let what = format!("shard-{shard}/{file}: it is gone or has another length");
            let (samples, series) = (block.samples, block.series);
            let range_ms = Some((block.min_time_ms, block.max_time_ms));
            self.tell(&what, &lost(samples, series, range_ms))?;
        }
        Ok(())
    }

    /// Catalog and log are read as a start does. What it passes over may be no more than a torn
    /// end, so it is told and not counted; what it cannot start with is counted.
    fn own_recovery(&mut self, offline: &Offline, shard: u32) -> Result<()> {
        match offline.store(shard) {
            Ok((_, report)) => {
                self.files += report.segments + 1;
                for damage in report.damages {
                    eprintln!("note: shard-{shard}: {damage}");
                }
                Ok(())
            }
            Err(error) => self.tell(&error.to_string(), "the server does not start with it"),
        }
    }

    fn found(&mut self, shard: u32, found: &Found) -> Result<()> {
        self.files += 1;
        for damage in found.damages.iter().take(TOLD_MAX) {
            let Damage { file, offset, reason, .. } = damage;
            let lost = lost(damage.samples, damage.series, damage.range_ms);
            self.tell(&format!("shard-{shard}/{file}, byte {offset}: {reason}"), &lost)?;
        }
        self.damages += found.damages.len().saturating_sub(TOLD_MAX) as u64;
        Ok(())
    }

    fn tell(&mut self, what: &str, lost: &str) -> Result<()> {
        self.progress.clear();
        self.damages += 1;
        let mut out = output();
        if self.json {
            writeln!(out, "{}", json!({"damage": what, "lost": lost}))?;
        } else {
            writeln!(out, "{what}; lost: {lost}")?;
        }
        Ok(out.flush()?)
    }

    fn prometheus(&mut self, directory: &mut Directory) -> Result<()> {
        let blocks = directory.blocks().to_vec();
        for (done, block) in (0..).zip(&blocks) {
            let name = &block.meta().ulid;
            self.progress.show(done, blocks.len() as u64, &format!("block {name}"));
            self.block(block)?;
        }
        load_head(directory)?;
        Ok(())
    }

    fn block(&mut self, block: &Block) -> Result<()> {
        let stats = block.meta().stats;
        let (mut scan, mut chunks) = match (block.series(), block.chunks()) {
            (Ok(scan), Ok(chunks)) => (scan, chunks),
            (Err(error), _) | (_, Err(error)) => {
                return self.fault(error, &lost(stats.samples, stats.series, None));
            }
        };
        self.files += 3 + chunks.len() as u64;
        if let Err(error) = check_postings(block.files(), block.directory(), &scan) {
            self.fault(error, "queries by labels")?;
        }
        let (mut samples, mut is_whole) = (0, true);
        loop {
            let series = match scan.read() {
                Ok(None) => break,
                Ok(Some(series)) => series,
                Err(error) => {
                    is_whole = false;
                    let can_skip = scan.skip()?;
                    let what = if can_skip { "a series" } else { "all series behind it" };
                    self.fault(error, what)?;
                    continue;
                }
            };
            for chunk in &series.chunks {
                let read = chunks.read(chunk.reference).and_then(|raw| {
                    let place = |fault: tsdb::fault::Fault| fault.at(raw.offset).of(&raw.file);
                    count(raw.encoding, raw.bytes.clone()).map_err(place)
                });
                match read {
                    Ok(read) => samples += read,
                    Err(error) => {
                        is_whole = false;
                        let range = Some((chunk.min.0, chunk.max.0));
                        let lost = format!("{} of {}", lost(0, 0, range), series.labels);
                        self.fault(error, &lost)?;
                    }
                }
            }
        }
        self.samples += samples;
        if is_whole && samples != stats.samples {
            let name = block.directory();
            let what = format!("{name}: {samples} samples, meta.json says {}", stats.samples);
            self.tell(&what, "not known")?;
        }
        Ok(())
    }

    /// Tells what is corrupt; what the file system refuses ends the run.
    fn fault(&mut self, error: TsdbError, lost: &str) -> Result<()> {
        if error.is_corruption() { self.tell(&error.to_string(), lost) } else { Err(error.into()) }
    }
}

/// Samples of a chunk; of an aggregate chunk none are counted.
fn count(encoding: Encoding, bytes: Vec<u8>) -> Result<u64, tsdb::fault::Fault> {
    if encoding == Encoding::Aggregate {
        return Ok(0);
    }
    let mut decoder = Decoder::new(encoding, bytes)?;
    let mut samples = 0;
    while decoder.read()?.is_some() {
        samples += 1;
    }
    Ok(samples)
}

fn lost(samples: u64, series: u64, range_ms: Option<(i64, i64)>) -> String {
    let range = range_ms
        .map(|(min, max)| format!(" from {} to {}", time_text(min, true), time_text(max, true)));
    let range = range.unwrap_or_default();
    match (samples, series) {
        (0, 0) => format!("samples{range}"),
        (0, series) => format!("samples of {series} series{range}"),
        (samples, series) => format!("up to {samples} samples of {series} series{range}"),
    }
}
