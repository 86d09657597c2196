//! Writes tiles.
//!
//! Path: `head` → **write** → tile file.
//! Format: docs/format/tile.md, version 1.

use model::native_histogram::NativeHistogram;
use zerocopy::{FromBytes, IntoBytes};

use crate::chunk::integers;
use crate::chunk::write::{self as chunk, Values};
use crate::chunk::write_histograms;
use crate::chunk::write_values::Scratch;
use crate::tile::histograms;
use crate::tile::layout::{CHECKED_FROM, HEADER_BYTES, Header, TILE_BYTES_MAX, VERSION};
use crate::varint::put;

/// Rows of a tile: parallel arrays in order of slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    pub(crate) slots: &'a [i64],
    pub(crate) timestamps_ms: &'a [i64],
    /// Rows of the owner's rank.
    pub(crate) owner: u128,
}

/// Collects one tile after the other, keeping its memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Builder {
    directory: Vec<u8>,
    chunks: Vec<u8>,
    columns: u32,
    next_column: u32,
    integers: Vec<i64>,
    packed: integers::Scratch,
    scratch: Scratch,
    histogram_scratch: write_histograms::Scratch,
}

impl Builder {
    /// Begins a tile.
    ///
    /// # Panics
    /// There is a row, and the arrays are parallel.
    pub(crate) fn begin(&mut self, rows: Rows<'_>) {
        assert!(!rows.slots.is_empty(), "a tile has a row");
        assert_eq!(rows.slots.len(), rows.timestamps_ms.len(), "one timestamp a slot");
        self.directory.clear();
        self.chunks.clear();
        self.columns = 0;
        self.next_column = 0;
        integers::write(rows.slots, &mut self.packed, &mut self.directory);
        self.integers.clear();
        let pairs = rows.timestamps_ms.iter().zip(rows.slots);
        self.integers.extend(pairs.map(|(time, slot)| time.wrapping_sub(*slot)));
        integers::write(&self.integers, &mut self.packed, &mut self.directory);
        let bitmap_bytes = rows.slots.len().div_ceil(8);
        self.directory.extend_from_slice(&rows.owner.to_le_bytes()[..bitmap_bytes]);
    }

    /// Adds a column; columns come in rising order.
    pub(crate) fn column(
        &mut self,
        column: u32,
        rows: usize,
        present: u128,
        stale: u128,
        values: Values<'_>,
    ) {
        let start = self.begin_column(column);
        chunk::write(rows, present, stale, values, &mut self.scratch, &mut self.chunks);
        put(&mut self.directory, (self.chunks.len() - start) as u64);
    }

    /// Adds a histogram column, with a histogram a present row.
    pub(crate) fn histograms(
        &mut self,
        column: u32,
        rows: usize,
        states: (u128, u128),
        values: &[&NativeHistogram],
    ) {
        let start = self.begin_column(column);
        let scratch = &mut self.histogram_scratch;
        histograms::write(rows, states, values, scratch, &mut self.chunks);
        put(&mut self.directory, (self.chunks.len() - start) as u64);
    }

    /// Where the chunk of the column begins.
    fn begin_column(&mut self, column: u32) -> usize {
        assert!(self.next_column <= column, "columns of a tile rise");
        put(&mut self.directory, u64::from(column - self.next_column));
        self.next_column = column + 1;
        self.columns += 1;
        self.chunks.len()
    }

    /// The tile, as it stands in memory: of no file so far.
    pub(crate) fn finish(&mut self, group: u32, number: u32, rows: Rows<'_>) -> Vec<u8> {
        let length = HEADER_BYTES + self.directory.len() + self.chunks.len();
        let length = u32::try_from(length).ok().filter(|length| *length <= TILE_BYTES_MAX);
        let length = length.expect("columns of a group are bounded by what a log record holds");
        let times = rows.timestamps_ms.iter().copied();
        let header = Header {
            crc: 0.into(),
            length: length.into(),
            generation: 0.into(),
            append_offset: 0.into(),
            group: group.into(),
            number: number.into(),
            min_time_ms: times.clone().min().unwrap_or(0).into(),
            max_time_ms: times.max().unwrap_or(0).into(),
            slot_max: rows.slots.iter().copied().max().unwrap_or(0).into(),
            directory_bytes: u32::try_from(self.directory.len()).unwrap_or(u32::MAX).into(),
            columns: self.columns.into(),
            rows: u16::try_from(rows.slots.len()).expect("a tile has at most 128 rows").into(),
            version: VERSION,
            zero: 0,
        };
        let mut bytes = Vec::with_capacity(length as usize);
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(&self.directory);
        bytes.extend_from_slice(&self.chunks);
        place(&mut bytes, 0, 0);
        bytes
    }
}

/// Makes a whole tile one of file `generation`, written by the append at `append_offset`.
pub(crate) fn place(tile: &mut [u8], generation: u64, append_offset: u64) {
    let (header, _) = Header::mut_from_prefix(tile).expect("a tile begins with its header");
    header.generation = generation.into();
    header.append_offset = append_offset.into();
    let checked_end = HEADER_BYTES + header.directory_bytes.get() as usize;
    let crc = crc32c::crc32c(&tile[CHECKED_FROM..checked_end]);
    tile[..CHECKED_FROM].copy_from_slice(&crc.to_le_bytes());
}
