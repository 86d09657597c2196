//! Outline: where the pages of a block lie, and enough to know which one to read.
//!
//! Path: `block::writer` → **outline** → end of the file → **outline** → `block::reader`.
//! Never: panics on what it reads.
//! Format: docs/format/block.md, version 1.

use zerocopy::{FromBytes, IntoBytes};

use crate::block::layout::{CHECKED_FROM, LISTED, PageKind, TRAILER_BYTES, Trailer, VERSION};
use crate::compaction::{BlockSummary, Resolution};
use crate::varint::{Cursor, put, put_bytes, put_signed};

/// Where a page lies in the file, header included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PagePlace {
    pub(crate) offset: u64,
    pub(crate) bytes: u32,
}

/// Consecutive values of a label in one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LabelRun {
    /// Page of labels, from 0.
    pub(crate) page: u32,
    /// Where in it.
    pub(crate) offset: u32,
    pub(crate) entries: u32,
    /// Symbol of the first value.
    pub(crate) first: u32,
}

/// Where the values of a label are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelPlace {
    /// Symbol of the name.
    pub(crate) name: u32,
    /// In order of value.
    pub(crate) runs: Vec<LabelRun>,
}

/// Outline of a block; the only part that stays in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outline {
    /// Pages of each listed kind, in order.
    pub(crate) pages: [Vec<PagePlace>; LISTED.len()],
    /// First series of each page of series.
    pub(crate) series_first: Vec<u32>,
    /// First symbol of each page of symbols: its number and its text.
    pub(crate) symbols_first: Vec<(u32, Box<str>)>,
    /// By symbol of the name, so by name.
    pub(crate) labels: Vec<LabelPlace>,
    pub(crate) series: u32,
    pub(crate) symbols: u32,
    pub(crate) times: u32,
}

impl Outline {
    pub(crate) fn pages_of(&self, kind: PageKind) -> &[PagePlace] {
        self.pages.get(kind as usize).map_or(&[], Vec::as_slice)
    }

    /// Bytes of memory behind it.
    pub(crate) fn heap_bytes(&self) -> usize {
        let pages: usize = self.pages.iter().map(Vec::len).sum();
        let texts: usize = self.symbols_first.iter().map(|(_, text)| text.len() + 24).sum();
        let runs: usize = self.labels.iter().map(|label| label.runs.len()).sum();
        pages * size_of::<PagePlace>()
            + self.series_first.len() * 4
            + texts
            + runs * size_of::<LabelRun>()
            + self.labels.len() * size_of::<LabelPlace>()
    }

    /// Appends the bytes of its page.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for count in [self.series, self.symbols, self.times] {
            put(out, count.into());
        }
        for pages in &self.pages {
            put(out, pages.len() as u64);
            let mut end = 0u64;
            for page in pages {
                put_signed(out, page.offset.wrapping_sub(end).cast_signed());
                put(out, page.bytes.into());
                end = page.offset + u64::from(page.bytes);
            }
        }
        for first in &self.series_first {
            put(out, (*first).into());
        }
        for (first, text) in &self.symbols_first {
            put(out, (*first).into());
            put_bytes(out, text.as_bytes());
        }
        put(out, self.labels.len() as u64);
        for label in &self.labels {
            put(out, label.name.into());
            put(out, label.runs.len() as u64);
            for run in &label.runs {
                for number in [run.page, run.offset, run.entries, run.first] {
                    put(out, number.into());
                }
            }
        }
    }

    /// The outline of these bytes, of a block whose file has `file_bytes`; `None` if it makes no
    /// sense.
    pub(crate) fn read(bytes: &[u8], file_bytes: u64) -> Option<Outline> {
        let mut cursor = Cursor::new(bytes);
        let mut outline = Outline {
            series: cursor.unsigned32()?,
            symbols: cursor.unsigned32()?,
            times: cursor.unsigned32()?,
            ..Outline::default()
        };
        for pages in &mut outline.pages {
            *pages = read_pages(&mut cursor, file_bytes)?;
        }
        for _ in 0..outline.pages_of(PageKind::Series).len() {
            outline.series_first.push(cursor.unsigned32()?);
        }
        for _ in 0..outline.pages_of(PageKind::Symbols).len() {
            let number = cursor.unsigned32()?;
            let text = std::str::from_utf8(cursor.sized_bytes()?).ok()?;
            outline.symbols_first.push((number, text.into()));
        }
        let rising = outline.series_first.is_sorted() && outline.symbols_first.is_sorted();
        if !rising {
            return None;
        }
        for _ in 0..bounded(&mut cursor)? {
            let name = cursor.unsigned32()?;
            let runs = (0..bounded(&mut cursor)?).map(|_| read_run(&mut cursor));
            outline.labels.push(LabelPlace { name, runs: runs.collect::<Option<_>>()? });
        }
        let labels_rise = outline.labels.is_sorted_by_key(|label| label.name);
        (labels_rise && cursor.is_empty()).then_some(outline)
    }
}

/// A count of things that take a byte each at least.
fn bounded(cursor: &mut Cursor<'_>) -> Option<usize> {
    let count = cursor.size()?;
    (count <= cursor.left()).then_some(count)
}

fn read_run(cursor: &mut Cursor<'_>) -> Option<LabelRun> {
    Some(LabelRun {
        page: cursor.unsigned32()?,
        offset: cursor.unsigned32()?,
        entries: cursor.unsigned32()?,
        first: cursor.unsigned32()?,
    })
}

fn read_pages(cursor: &mut Cursor<'_>, file_bytes: u64) -> Option<Vec<PagePlace>> {
    let count = bounded(cursor)?;
    let mut pages = Vec::with_capacity(count);
    let mut end = 0u64;
    for _ in 0..count {
        let offset = end.checked_add_signed(cursor.signed()?)?;
        let bytes = cursor.unsigned32()?;
        end = offset.checked_add(bytes.into())?;
        if file_bytes < end {
            return None;
        }
        pages.push(PagePlace { offset, bytes });
    }
    Some(pages)
}

/// Appends the trailer of a block whose outline's page lies at `outline`.
pub(crate) fn write_trailer(summary: &BlockSummary, outline: PagePlace, out: &mut Vec<u8>) {
    let resolution_ms = u32::try_from(summary.resolution.ms()).expect("an hour at most");
    let mut trailer = Trailer {
        crc: 0.into(),
        version: VERSION,
        level: summary.level,
        zero: 0.into(),
        number: summary.number.into(),
        outline_offset: outline.offset.into(),
        outline_bytes: outline.bytes.into(),
        resolution_ms: resolution_ms.into(),
        series: summary.series.into(),
        samples: summary.samples.into(),
        min_time_ms: summary.min_time_ms.into(),
        max_time_ms: summary.max_time_ms.into(),
    };
    trailer.crc = crc32c::crc32c(&trailer.as_bytes()[CHECKED_FROM..]).into();
    out.extend_from_slice(trailer.as_bytes());
}

/// Version of block `number` when its trailer is whole and not of this version.
pub(crate) fn other_version(number: u64, bytes: &[u8]) -> Option<u8> {
    let trailer = Trailer::read_from_bytes(bytes).ok()?;
    let is_whole = crc32c::crc32c(&bytes[CHECKED_FROM..]) == trailer.crc.get();
    let is_other = trailer.number.get() == number && trailer.version != VERSION;
    (is_whole && is_other).then_some(trailer.version)
}

/// What the trailer of block `number`, a file of `file_bytes`, says, and where its outline is.
///
/// # Errors
/// What does not check.
pub(crate) fn read_trailer(
    number: u64,
    file_bytes: u64,
    bytes: &[u8],
) -> Result<(BlockSummary, PagePlace), &'static str> {
    let Ok(trailer) = Trailer::read_from_bytes(bytes) else {
        return Err("trailer of a block is cut short");
    };
    if crc32c::crc32c(&bytes[CHECKED_FROM..]) != trailer.crc.get() {
        return Err("checksum of the trailer does not match");
    }
    if trailer.version != VERSION {
        return Err("version of the block is unknown");
    }
    let outline =
        PagePlace { offset: trailer.outline_offset.get(), bytes: trailer.outline_bytes.get() };
    let end = outline.offset.checked_add(u64::from(outline.bytes) + TRAILER_BYTES as u64);
    let resolution = Resolution::of_ms(trailer.resolution_ms.get().into());
    if trailer.number.get() != number || end != Some(file_bytes) {
        return Err("trailer of another block");
    }
    let summary = BlockSummary {
        number,
        level: trailer.level,
        resolution: resolution.ok_or("resolution of the block is unknown")?,
        min_time_ms: trailer.min_time_ms.get(),
        max_time_ms: trailer.max_time_ms.get(),
        series: trailer.series.get(),
        samples: trailer.samples.get(),
        bytes: file_bytes,
        tombstone: 0,
    };
    Ok((summary, outline))
}
