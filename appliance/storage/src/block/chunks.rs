//! Chunks: decodes chunks of one series of a block, by way of a cache.
//!
//! Path: `selection` → **chunks** → `reader`.

use std::sync::Arc;

use crate::block::cache::{BlockCache, CachedPages};
use crate::block::gather::Gathered;
use crate::block::layout::PageKind;
use crate::block::reader::{self, Pages};
use crate::block::reference::BlockRef;
use crate::block::samples;
use crate::block::series::{ChunkPlace, TAG_AGGREGATE, TAG_AGGREGATE_SHIFT};
use crate::compaction::Aggregate;
use crate::tile_read::{DecodeError, TileRead};

/// Number of an aggregate in the tag of a chunk; of an average, that of the sum.
pub(crate) fn number(aggregate: Aggregate) -> u8 {
    match aggregate {
        Aggregate::Count => 1,
        Aggregate::Sum | Aggregate::Average => 2,
        Aggregate::Min => 3,
        Aggregate::Max => 4,
        Aggregate::Counter => 5,
    }
}

/// Whether a chunk of this tag is asked for.
pub(crate) fn is_wanted(tag: u8, aggregate: Aggregate) -> bool {
    let found = (tag & TAG_AGGREGATE) >> TAG_AGGREGATE_SHIFT;
    let count = has_counts(aggregate) && found == number(Aggregate::Count);
    found == 0 || found == number(aggregate) || count
}

/// Whether the count of a window is read beside its aggregate.
fn has_counts(aggregate: Aggregate) -> bool {
    matches!(aggregate, Aggregate::Average | Aggregate::Sum)
}

/// What chunks of aggregates give, in the order of the chunks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Downsampled {
    /// Time and value of windows.
    pub(crate) values: Vec<(i64, f64)>,
    /// Time of windows and how many samples each stands for, beside sums.
    pub(crate) counts: Vec<(i64, f64)>,
    /// Counters, a list a chunk: they mean something only together.
    pub(crate) counters: Vec<Vec<(i64, f64)>>,
}

impl Downsampled {
    /// Empties the lists.
    pub(crate) fn clear(&mut self) {
        self.values.clear();
        self.counts.clear();
        self.counters.clear();
    }
}

/// Adds the raw samples of the chunks to `gathered`, not settled, and the others to `downsampled`.
pub(crate) fn decode(
    files: &dyn TileRead,
    cache: &mut BlockCache,
    block: &BlockRef,
    (chunks, aggregate): (&[ChunkPlace], Aggregate),
    (gathered, downsampled): (&mut Gathered, &mut Downsampled),
) -> Result<(), DecodeError> {
    let is_raw = |chunk: &ChunkPlace| chunk.tag & TAG_AGGREGATE == 0;
    let (raw, made): (Vec<&ChunkPlace>, Vec<&ChunkPlace>) =
        chunks.iter().partition(|chunk| is_raw(chunk));
    for chunk in raw {
        match decode_one(files, cache, block, chunk, gathered) {
            Err(error) if files.leave_out(&error) => {}
            read => read?,
        }
    }
    if made.is_empty() {
        return Ok(());
    }
    let mut lists: [Vec<Vec<(i64, f64)>>; 2] = Default::default();
    for chunk in made {
        let mut part = Gathered::default();
        match decode_one(files, cache, block, chunk, &mut part) {
            Err(error) if files.leave_out(&error) => continue,
            read => read?,
        }
        let samples = part.timestamps_ms.iter().copied().zip(part.values.iter().copied());
        let found = (chunk.tag & TAG_AGGREGATE) >> TAG_AGGREGATE_SHIFT;
        lists[usize::from(found != number(aggregate))].push(samples.collect());
    }
    let [wanted, counts] = lists;
    if aggregate == Aggregate::Counter {
        downsampled.counters.extend(wanted);
        return Ok(());
    }
    if !has_counts(aggregate) {
        downsampled.values.extend(wanted.into_iter().flatten());
        return Ok(());
    }
    // A chunk of one of the two may have been left out.
    let mut counts = counts.iter().flatten().peekable();
    for (time, sum) in wanted.iter().flatten() {
        while counts.next_if(|(other, _)| other < time).is_some() {}
        let Some((_, count)) = counts.next_if(|(other, _)| other == time) else { continue };
        if *count == 0.0 {
            continue;
        }
        if aggregate == Aggregate::Average {
            downsampled.values.push((*time, sum / count));
        } else {
            downsampled.values.push((*time, *sum));
            downsampled.counts.push((*time, *count));
        }
    }
    Ok(())
}

/// First and last time of these chunks; `None` of no chunk.
pub(crate) fn span(
    files: &dyn TileRead,
    cache: &mut BlockCache,
    block: &BlockRef,
    chunks: &[ChunkPlace],
) -> Result<Option<(i64, i64)>, DecodeError> {
    let mut pages = CachedPages::new(files, cache, block)?;
    let mut span: Option<(i64, i64)> = None;
    for chunk in chunks {
        let entry = reader::time_entry(&mut pages, chunk.time)?;
        let (min, max) = span.unwrap_or((entry.min_time_ms, entry.max_time_ms));
        span = Some((min.min(entry.min_time_ms), max.max(entry.max_time_ms)));
    }
    Ok(span)
}

fn decode_one(
    files: &dyn TileRead,
    cache: &mut BlockCache,
    block: &BlockRef,
    place: &ChunkPlace,
    gathered: &mut Gathered,
) -> Result<(), DecodeError> {
    let mut chunk = std::mem::take(&mut cache.chunk);
    let mut scratch = std::mem::take(&mut cache.scratch);
    let mut decoded = std::mem::take(&mut cache.decoded);
    let known = cache.times(block, place.time);
    let mut pages = CachedPages::new(files, cache, block)?;
    let read = (|| {
        let entry = reader::time_entry(&mut pages, place.time)?;
        let times = match known {
            Some(times) => times,
            None => {
                let times = reader::times(&mut pages, &entry, &mut scratch.offsets)?;
                pages.cache.keep_times(block, place.time, &times);
                times
            }
        };
        reader::chunk(&mut pages, place, &mut chunk)?;
        samples::read(place.tag, times.len(), &chunk, &mut scratch, &mut decoded)
            .map_err(|reason| pages.damaged(PageKind::Values, place.page as usize, reason))?;
        Ok((times, entry.origin))
    })();
    let read: Result<(Arc<[i64]>, u64), DecodeError> = read;
    let added = read.map(|(times, origin)| samples::add(&times, &decoded, origin, gathered));
    (cache.chunk, cache.scratch, cache.decoded) = (chunk, scratch, decoded);
    added
}
