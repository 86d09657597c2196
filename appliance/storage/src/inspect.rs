//! Inspect: looks at every byte of files of samples, offline, and says what a damage costs.
//!
//! Path: `cresset tsdb verify`, `import` → **inspect** → `block`, `tile`.
//! Never: stops at the first fault, does I/O of its own.

use std::collections::BTreeMap;

use crate::block::cache::{BlockCache, CachedPages};
use crate::block::layout::{LISTED, PageKind};
use crate::block::reader::{self, Pages};
use crate::block::reference::{BlockRef, read_outline};
use crate::block::samples::{self, Decoded, ReadScratch};
use crate::block::series::{ChunkPlace, Record};
use crate::compaction::BlockSummary;
use crate::names::FileName;
use crate::tile::read as tile;
use crate::tile_read::{DecodeError, TileRead};

/// Bytes asked for to read the header of a tile.
const TILE_HEAD_BYTES: usize = 4096;

/// A place that does not check, and what stood there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: FileName,
    /// Where in it.
    pub offset: u64,
    /// What does not check.
    pub reason: String,
    /// Series that cannot be read whole because of it.
    pub series: u64,
    /// Samples that are lost with it, as far as that is known.
    pub samples: u64,
    /// Their first and last time, milliseconds; `None` where that is not known.
    pub range_ms: Option<(i64, i64)>,
}

/// What was found in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Series that were read, whole or in part.
    pub series: u64,
    /// Samples that were read.
    pub samples: u64,
    /// Pages, or tiles.
    pub parts: u64,
    /// By offset.
    pub damages: Vec<Damage>,
}

/// Damages of one file by offset.
struct Damages {
    file: FileName,
    by_offset: BTreeMap<u64, Damage>,
}

impl Damages {
    fn note(&mut self, error: &DecodeError) -> &mut Damage {
        let (offset, reason) = match error {
            DecodeError::Damaged { offset, reason, .. } => (*offset, (*reason).to_owned()),
            DecodeError::Read { offset, cause, .. } => (*offset, cause.to_string()),
        };
        self.at(offset, reason)
    }

    fn at(&mut self, offset: u64, reason: String) -> &mut Damage {
        let file = self.file;
        self.by_offset.entry(offset).or_insert_with(|| Damage {
            file,
            offset,
            reason,
            series: 0,
            samples: 0,
            range_ms: None,
        })
    }
}

impl Damage {
    fn loses(&mut self, samples: u64, range_ms: Option<(i64, i64)>) {
        self.samples += samples;
        self.range_ms = match (self.range_ms, range_ms) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
    }
}

/// Reads all of a block: every page with its checksum, every series, every sample.
#[must_use]
pub fn check_block(files: &dyn TileRead, known: &BlockSummary) -> Found {
    let mut found = Found::default();
    let file = FileName::Block(known.number);
    let mut damages = Damages { file, by_offset: BTreeMap::new() };
    match read_outline(files, known) {
        Err(error) => {
            let damage = damages.note(&error);
            damage.series = known.series;
            damage.loses(known.samples, Some((known.min_time_ms, known.max_time_ms)));
        }
        Ok(_) => check_pages(files, known, &mut found, &mut damages),
    }
    found.damages = damages.by_offset.into_values().collect();
    found
}

fn check_pages(
    files: &dyn TileRead,
    known: &BlockSummary,
    found: &mut Found,
    damages: &mut Damages,
) {
    let block = BlockRef::new(0, *known, Vec::new().into());
    let mut cache = BlockCache::default();
    let mut pages = match CachedPages::new(files, &mut cache, &block) {
        Ok(pages) => pages,
        Err(error) => {
            damages.note(&error);
            return;
        }
    };
    let outline = std::sync::Arc::clone(pages.outline());
    for kind in LISTED {
        for index in 0..outline.pages_of(kind).len() {
            found.parts += 1;
            if let Err(error) = pages.page(kind, index) {
                damages.note(&error);
            }
        }
    }
    let mut scratch = Scratch::default();
    for index in 0..outline.pages_of(PageKind::Series).len() {
        let first = outline.series_first[index];
        let end = outline.series_first.get(index + 1).copied().unwrap_or(outline.series);
        let mut records: Vec<Record> = Vec::new();
        let read = reader::series_page(&mut pages, index, |_, record| {
            records.push(record.clone());
            true
        });
        if let Err(error) = read {
            let missing = u64::from(end - first).saturating_sub(records.len() as u64);
            damages.note(&error).series += missing;
        }
        for record in &records {
            check_series(&mut pages, record, &mut scratch, found, damages);
        }
    }
}

#[derive(Default)]
struct Scratch {
    chunk: Vec<u8>,
    read: ReadScratch,
    decoded: Decoded,
    touched: Vec<u64>,
}

fn check_series(
    pages: &mut CachedPages<'_>,
    record: &Record,
    scratch: &mut Scratch,
    found: &mut Found,
    damages: &mut Damages,
) {
    found.series += 1;
    scratch.touched.clear();
    if let Err(error) = reader::label_set(pages, &record.labels) {
        scratch.touched.push(damages.note(&error).offset);
    }
    for place in &record.chunks {
        let lost = match reader::time_entry(pages, place.time) {
            Err(error) => damages.note(&error),
            Ok(entry) => match check_chunk(pages, place, scratch) {
                Ok(samples) => {
                    found.samples += samples;
                    continue;
                }
                Err(error) => {
                    let damage = damages.note(&error);
                    let range_ms = (entry.min_time_ms, entry.max_time_ms);
                    damage.loses(entry.count.into(), Some(range_ms));
                    damage
                }
            },
        };
        if !scratch.touched.contains(&lost.offset) {
            scratch.touched.push(lost.offset);
        }
    }
    for offset in &scratch.touched {
        if let Some(damage) = damages.by_offset.get_mut(offset) {
            damage.series += 1;
        }
    }
}

/// Samples of the chunk.
fn check_chunk(
    pages: &mut CachedPages<'_>,
    place: &ChunkPlace,
    scratch: &mut Scratch,
) -> Result<u64, DecodeError> {
    let entry = reader::time_entry(pages, place.time)?;
    let times = reader::times(pages, &entry, &mut scratch.read.offsets)?;
    reader::chunk(pages, place, &mut scratch.chunk)?;
    samples::read(place.tag, times.len(), &scratch.chunk, &mut scratch.read, &mut scratch.decoded)
        .map_err(|reason| pages.damaged(PageKind::Values, place.page as usize, reason))?;
    Ok(times.len() as u64)
}

/// Reads every tile of tile file `number`, which has `bytes`: header, directory and chunks, with
/// their checksums. Behind one whose length cannot be believed nothing is found.
#[must_use]
pub fn check_tiles(files: &dyn TileRead, number: u64, bytes: u64) -> Found {
    let mut found = Found::default();
    let file = FileName::Tile(number);
    let mut damages = Damages { file, by_offset: BTreeMap::new() };
    let mut at = 0;
    while at < bytes {
        let rest = usize::try_from(bytes - at).unwrap_or(usize::MAX);
        let mut head = vec![0; TILE_HEAD_BYTES.min(rest)];
        let summary = read(files, file, at, &mut head).and_then(|()| {
            let summary = tile::summary(&head, number).map_err(str::to_owned)?;
            let fits = summary.tile_bytes <= rest;
            if fits { Ok(summary) } else { Err("the tile is cut short".to_owned()) }
        });
        let summary = match summary {
            Ok(summary) => summary,
            Err(reason) => {
                damages.at(at, format!("{reason}; {rest} bytes from here on cannot be read"));
                break;
            }
        };
        let mut whole = vec![0; summary.tile_bytes];
        let checked = read(files, file, at, &mut whole).and_then(|()| {
            let (_, directory) = tile::directory(&whole, number).map_err(str::to_owned)?;
            let sound = tile::chunks_check(&whole, &directory);
            let reason = "checksum of a chunk of the tile does not match";
            if sound { Ok(directory) } else { Err(reason.to_owned()) }
        });
        found.parts += 1;
        match checked {
            Ok(directory) => found.series += directory.chunks.len() as u64,
            Err(reason) => {
                let damage = damages.at(at, reason);
                damage.series = summary.columns as u64;
                let most = (summary.columns * summary.rows) as u64;
                damage.loses(most, Some((summary.min_time_ms, summary.max_time_ms)));
            }
        }
        at += summary.tile_bytes as u64;
    }
    found.damages = damages.by_offset.into_values().collect();
    found
}

fn read(files: &dyn TileRead, file: FileName, offset: u64, bytes: &mut [u8]) -> Result<(), String> {
    files.read(&file, offset, bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io;

    use model::label_set::LabelSet;
    use model::time::TimestampMs;

    use super::*;
    use crate::compaction::Resolution;
    use crate::import::BlockImport;

    struct One(Vec<u8>);

    impl TileRead for One {
        fn read(&self, _: &FileName, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
            let start = usize::try_from(offset).map_err(io::Error::other)?;
            let part = self.0.get(start..).and_then(|rest| rest.get(..bytes.len()));
            bytes.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        }
    }

    const SERIES: u64 = 300;
    const SAMPLES: u64 = 70;

    fn block() -> (BlockSummary, Vec<u8>) {
        let name = |number: u64| format!("{number:04}");
        let mut symbols: BTreeSet<Box<str>> = (0..SERIES).map(|at| name(at).into()).collect();
        symbols.extend(["__name__".into(), "m".into(), "n".into()]);
        let mut import = BlockImport::new(7, Resolution::Raw, symbols, 0);
        for series in 0..SERIES {
            for at in 0..SAMPLES {
                // Values that do not compress, so that there are several pages.
                let value = ((series * SAMPLES + at) as f64).sqrt();
                import.float(TimestampMs(at as i64 * 1000), value, TimestampMs(0));
            }
            import.series(&LabelSet::new([("__name__", "m"), ("n", name(series).as_str())]));
        }
        let summary = import.finish().expect("samples");
        (summary, import.take().1)
    }

    #[test]
    fn a_whole_block_has_every_sample() {
        let (summary, bytes) = block();
        assert_eq!(bytes.len() as u64, summary.bytes);
        let found = check_block(&One(bytes), &summary);
        assert_eq!((found.series, found.samples), (SERIES, SERIES * SAMPLES));
        assert!(found.damages.is_empty() && 6 <= found.parts, "{found:?}");
    }

    #[test]
    fn any_changed_byte_is_found_with_what_it_costs() {
        let (summary, bytes) = block();
        for at in (0..bytes.len()).step_by(997) {
            let mut bad = bytes.clone();
            bad[at] ^= 0x10;
            let found = check_block(&One(bad), &summary);
            let damage = found.damages.first().expect("it is found");
            assert!(damage.offset <= at as u64, "byte {at}: {damage:?}");
            let lost: u64 = found.damages.iter().map(|damage| damage.samples).sum();
            let all = found.samples + lost;
            // Of a page of series or of times it is not known how many samples it stood for.
            assert!(all <= SERIES * SAMPLES, "byte {at}: {found:?}");
            assert!(0 < damage.series + damage.samples || found.samples == all, "{damage:?}");
        }
    }
}
