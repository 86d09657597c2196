//! `cresset tsdb export`: blocks of Prometheus out of any data directory.

use std::io::Write;

use anyhow::{Result, bail};
use model::time::TimestampMs;

use crate::tsdb_arguments::ExportOptions;
use crate::tsdb_command::blocks_out::{BlocksOut, block_range_ms, range_start};
use crate::tsdb_command::opened::{next_span, open, selectors_of};
use crate::tsdb_command::print::{Ended, Progress, output};

/// Writes the blocks and says how much is in them.
///
/// # Errors
/// The directory cannot be read, or the file system refuses.
pub fn run(options: &ExportOptions) -> Result<Ended> {
    let selectors = selectors_of(&options.selectors)?;
    let opened = open(&options.directory)?;
    let spans = opened.spans()?;
    let (min, max) = options.range;
    let last = spans.iter().map(|(_, last)| *last).max().unwrap_or(TimestampMs::MIN).min(max);
    let range_ms = block_range_ms(options.block_ms_max);
    let out = BlocksOut::new(&options.output)?;
    let mut progress = Progress::new("exporting");
    let (mut blocks, mut written) = (0u64, 0u64);
    let (mut samples, mut from) = (Vec::new(), min);
    while let Some(first) = next_span(&spans, from).filter(|first| *first <= last) {
        let start = range_start(first, range_ms);
        let end = start.saturating_add(range_ms);
        let range = (start.max(min), TimestampMs(end.0.saturating_sub(1)).min(max));
        let mut stream = opened.series(&selectors, range)?;
        let mut writer = out.block(start, end)?;
        let mut read = 0u64;
        while let Some(labels) = stream.read(&mut samples)? {
            writer.series(&labels)?;
            writer.samples(&samples)?;
            read += samples.len() as u64;
            let (done, total) = stream.progress();
            let shown = format!("block {}, {} samples", blocks + 1, written + read);
            progress.show(done, total, &shown);
        }
        if let Some(meta) = writer.finish()? {
            if meta.stats.samples != read {
                let (ulid, found) = (&meta.ulid, meta.stats.samples);
                bail!("block {ulid} has {found} samples, {read} were read");
            }
            blocks += 1;
            written += read;
        }
        if end <= from {
            break;
        }
        from = end;
    }
    progress.clear();
    let mut stdout = output();
    writeln!(stdout, "{written} samples in {blocks} blocks in {}", options.output.display())?;
    stdout.flush()?;
    Ok(Ended::Well)
}
