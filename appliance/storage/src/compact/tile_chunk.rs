//! Tile chunk: decodes one column of a tile into the samples of its series.
//!
//! Path: `tiles` → **tile_chunk** → `block::gather`.

use std::sync::Arc;

use model::staleness::stale_nan;

use crate::block::gather::Gathered;
use crate::chunk::kind::Column;
use crate::chunk::read as chunk;
use crate::chunk::read_values::Scratch;
use crate::decimal::{self, Code};
use crate::row::{ColumnKind, origin};
use crate::tile::histograms::{self, HistogramColumn};

/// Rows of a tile.
#[derive(Debug)]
pub(crate) struct TileTimes {
    pub(crate) group: u32,
    /// Number of the tile in a side group, else 0.
    pub(crate) part: u32,
    pub(crate) timestamps_ms: Arc<[i64]>,
    /// Rows of the owner's rank.
    pub(crate) owner: u128,
}

/// Decodes one chunk after the other, keeping its memory.
#[derive(Debug, Default)]
pub(crate) struct TileChunks {
    scratch: Scratch,
    column: Column,
    histogram_scratch: histograms::ReadScratch,
    histograms: HistogramColumn,
}

impl TileChunks {
    /// Adds the cells of a column to `gathered`.
    ///
    /// # Errors
    /// What does not check; nothing was added.
    pub(crate) fn read(
        &mut self,
        rows: &TileTimes,
        kind: ColumnKind,
        bytes: Option<&[u8]>,
        gathered: &mut Gathered,
    ) -> Result<(), &'static str> {
        let bytes = bytes.ok_or("the file ends within a tile")?;
        let count = rows.timestamps_ms.len();
        match kind {
            ColumnKind::Histogram => {
                let scratch = &mut self.histogram_scratch;
                histograms::read(bytes, count, scratch, &mut self.histograms)?;
                self.add_histograms(rows, gathered);
            }
            ColumnKind::Float | ColumnKind::Start => {
                chunk::read(bytes, count, &mut self.scratch, &mut self.column)?;
                self.add_values(rows, kind, gathered);
            }
        }
        Ok(())
    }

    fn add_values(&self, rows: &TileTimes, kind: ColumnKind, gathered: &mut Gathered) {
        let mut values = self.column.values.iter().copied();
        for (row, time_ms) in rows.timestamps_ms.iter().enumerate() {
            let origin = origin(rows.group, rows.part, rows.owner >> row & 1 == 1);
            let is_present = self.column.present >> row & 1 == 1;
            let value = if is_present { values.next() } else { None };
            let is_stale = self.column.stale >> row & 1 == 1;
            match (kind, value) {
                (ColumnKind::Start, Some(value)) => {
                    let start_ms = decimal::nearest(value, Code::INTEGER);
                    gathered.push_start(*time_ms, start_ms, origin);
                }
                (ColumnKind::Start, None) => {}
                (_, Some(value)) => gathered.push(*time_ms, value, origin),
                (_, None) if is_stale => gathered.push(*time_ms, stale_nan(), origin),
                (_, None) => {}
            }
        }
    }

    fn add_histograms(&self, rows: &TileTimes, gathered: &mut Gathered) {
        let mut values = self.histograms.values.iter();
        for (row, time_ms) in rows.timestamps_ms.iter().enumerate() {
            let origin = origin(rows.group, rows.part, rows.owner >> row & 1 == 1);
            if self.histograms.present >> row & 1 == 1 {
                if let Some(value) = values.next() {
                    gathered.push_histogram(*time_ms, value, origin);
                }
            } else if self.histograms.stale >> row & 1 == 1 {
                gathered.push(*time_ms, stale_nan(), origin);
            }
        }
    }
}
