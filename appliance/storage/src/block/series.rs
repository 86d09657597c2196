//! Series: label sets of a block in order, each with the places of its chunks.
//!
//! Path: `block::writer` → **series** → `block::reader`.
//! Never: panics on what it reads.
//! Format: docs/format/block.md, version 1.

use crate::varint::{Cursor, put, put_signed};

/// The chunk holds native histograms.
pub(crate) const TAG_HISTOGRAMS: u8 = 0x01;
/// Some samples are staleness markers; their places stand first.
pub(crate) const TAG_STALE: u8 = 0x02;
/// Start timestamps follow.
pub(crate) const TAG_STARTS: u8 = 0x04;
/// Samples come from several origins; they follow.
pub(crate) const TAG_ORIGINS: u8 = 0x08;
/// Bits of the tag that say which aggregate of downsampled samples it is; 0 raw.
pub(crate) const TAG_AGGREGATE: u8 = 0x70;
/// How far the aggregate is shifted.
pub(crate) const TAG_AGGREGATE_SHIFT: u32 = 4;
/// The chunk begins the next page of values.
pub(crate) const TAG_PAGE: u8 = 0x80;

/// Where a chunk lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChunkPlace {
    pub(crate) tag: u8,
    /// Number of its time column.
    pub(crate) time: u32,
    /// Page of values, from 0.
    pub(crate) page: u32,
    pub(crate) offset: u32,
    pub(crate) bytes: u32,
}

/// A series: symbols of its labels in order of name, and its chunks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) labels: Vec<(u32, u32)>,
    pub(crate) chunks: Vec<ChunkPlace>,
}

/// What a record leans on: the one before it in the page.
#[derive(Clone, Debug, Default)]
struct Before {
    labels: Vec<(u32, u32)>,
    time: u32,
    page: u32,
    offset: u32,
}

/// Writes the records of one page after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct SeriesWriter {
    before: Before,
}

impl SeriesWriter {
    /// Begins a page: its first chunk lies in page `page` of values, at `offset`, unless its tag
    /// says that it begins the next.
    pub(crate) fn begin(&mut self, page: u32, offset: u32, out: &mut Vec<u8>) {
        self.before = Before { page, offset, ..Before::default() };
        put(out, page.into());
        put(out, offset.into());
    }

    /// Appends a record.
    pub(crate) fn write(&mut self, record: &Record, out: &mut Vec<u8>) {
        let before = &mut self.before;
        let alike = record.labels.len() == before.labels.len()
            && record.labels.iter().zip(&before.labels).all(|(a, b)| a.0 == b.0);
        put(out, (record.labels.len() as u64) << 1 | u64::from(alike));
        if alike {
            let mut changed = vec![0u8; record.labels.len().div_ceil(8)];
            for (at, (label, other)) in record.labels.iter().zip(&before.labels).enumerate() {
                changed[at / 8] |= u8::from(label != other) << (at % 8);
            }
            out.extend_from_slice(&changed);
            for (label, other) in record.labels.iter().zip(&before.labels) {
                if label != other {
                    put_signed(out, i64::from(label.1) - i64::from(other.1));
                }
            }
        } else {
            for (name, value) in &record.labels {
                put(out, (*name).into());
                put(out, (*value).into());
            }
        }
        put(out, record.chunks.len() as u64);
        for chunk in &record.chunks {
            out.push(chunk.tag);
            put_signed(out, i64::from(chunk.time) - i64::from(before.time));
            put(out, chunk.bytes.into());
            before.time = chunk.time.wrapping_add(1);
        }
        before.labels.clone_from(&record.labels);
    }
}

/// Reads the records of a page, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct SeriesReader<'a> {
    cursor: Cursor<'a>,
    before: Before,
}

impl<'a> SeriesReader<'a> {
    /// `None` if the page makes no sense.
    pub(crate) fn new(bytes: &'a [u8]) -> Option<SeriesReader<'a>> {
        let mut cursor = Cursor::new(bytes);
        let (page, offset) = (cursor.unsigned32()?, cursor.unsigned32()?);
        Some(SeriesReader { cursor, before: Before { page, offset, ..Before::default() } })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.cursor.is_empty()
    }

    /// Reads the next record; `None` if it makes no sense.
    pub(crate) fn read(&mut self, record: &mut Record) -> Option<()> {
        self.labels(&mut record.labels)?;
        record.chunks.clear();
        let chunks = self.cursor.size()?;
        if self.cursor.left() / 3 < chunks {
            return None;
        }
        for _ in 0..chunks {
            let chunk = self.chunk()?;
            record.chunks.push(chunk);
        }
        self.before.labels.clone_from(&record.labels);
        Some(())
    }

    fn labels(&mut self, labels: &mut Vec<(u32, u32)>) -> Option<()> {
        let head = self.cursor.size()?;
        let (count, alike) = (head >> 1, head & 1 == 1);
        labels.clear();
        if !alike {
            if self.cursor.left() / 2 < count {
                return None;
            }
            for _ in 0..count {
                labels.push((self.cursor.unsigned32()?, self.cursor.unsigned32()?));
            }
            return Some(());
        }
        if count != self.before.labels.len() {
            return None;
        }
        labels.extend_from_slice(&self.before.labels);
        let changed = self.cursor.bytes(count.div_ceil(8))?;
        for (at, label) in labels.iter_mut().enumerate() {
            if changed[at / 8] >> (at % 8) & 1 == 1 {
                let value = i64::from(label.1).checked_add(self.cursor.signed()?)?;
                label.1 = u32::try_from(value).ok()?;
            }
        }
        Some(())
    }

    fn chunk(&mut self) -> Option<ChunkPlace> {
        let before = &mut self.before;
        let tag = self.cursor.byte()?;
        let time = i64::from(before.time).checked_add(self.cursor.signed()?)?;
        let (time, bytes) = (u32::try_from(time).ok()?, self.cursor.unsigned32()?);
        if tag & TAG_PAGE != 0 {
            (before.page, before.offset) = (before.page.checked_add(1)?, 0);
        }
        let (page, offset) = (before.page, before.offset);
        before.offset = offset.checked_add(bytes)?;
        before.time = time.wrapping_add(1);
        Some(ChunkPlace { tag, time, page, offset, bytes })
    }
}
