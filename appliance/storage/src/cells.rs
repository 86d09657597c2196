//! Cells: what one row says of each column of its group.
//!
//! Path: `scrape` fills them → `row` → `store`.

use std::sync::Arc;

use model::bitmap::Bitmap;
use model::native_histogram::NativeHistogram;
use model::staleness::stale_nan;

/// State of one cell.
#[derive(Clone, Copy, Debug)]
pub enum Cell {
    /// The row says nothing of the series.
    Absent,
    /// A value, any bit pattern.
    Present(f64),
    /// The series has ended: a staleness marker.
    Stale,
}

impl Cell {
    /// The value a query sees; `None` when absent.
    #[must_use]
    pub fn value(self) -> Option<f64> {
        match self {
            Cell::Absent => None,
            Cell::Present(value) => Some(value),
            Cell::Stale => Some(stale_nan()),
        }
    }
}

/// One cell a column of the group, in order of column. A set `stale` bit makes the cell stale
/// whatever `present` says; the value of a cell that is not present means nothing.
#[derive(Clone, Debug, Default)]
pub struct Cells {
    /// Values, meaningful where present and not stale in a column of floats or start timestamps.
    pub values: Vec<f64>,
    /// Which cells have a value.
    pub present: Bitmap,
    /// Which cells are staleness markers.
    pub stale: Bitmap,
    /// Values of the present cells of histogram columns: column, rising, and histogram.
    pub histograms: Vec<(u32, Arc<NativeHistogram>)>,
}

impl Cells {
    /// `columns` absent cells.
    #[must_use]
    pub fn new(columns: usize) -> Cells {
        Cells {
            values: vec![0.0; columns],
            present: Bitmap::new(columns),
            stale: Bitmap::new(columns),
            histograms: Vec::new(),
        }
    }

    /// Number of cells.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no cell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Makes every cell absent and their number `columns`, keeping the memory.
    pub fn reset(&mut self, columns: usize) {
        self.values.clear();
        self.values.resize(columns, 0.0);
        self.present.reset(columns);
        self.stale.reset(columns);
        self.histograms.clear();
    }

    /// Adds absent cells, or cuts, until there are `columns`.
    pub fn resize(&mut self, columns: usize) {
        self.values.resize(columns, 0.0);
        self.present.resize(columns);
        self.stale.resize(columns);
        let kept = self.histograms.partition_point(|(column, _)| (*column as usize) < columns);
        self.histograms.truncate(kept);
    }

    /// Cell `column`.
    ///
    /// # Panics
    /// `column < len()` is the caller's part.
    #[must_use]
    pub fn get(&self, column: usize) -> Cell {
        if self.stale.get(column) {
            Cell::Stale
        } else if self.present.get(column) {
            Cell::Present(self.values[column])
        } else {
            Cell::Absent
        }
    }

    /// Changes cell `column`.
    ///
    /// # Panics
    /// `column < len()` is the caller's part.
    pub fn set(&mut self, column: usize, cell: Cell) {
        self.present.clear(column);
        self.stale.clear(column);
        match cell {
            Cell::Absent => {}
            Cell::Present(value) => {
                self.present.set(column);
                self.values[column] = value;
            }
            Cell::Stale => self.stale.set(column),
        }
    }

    /// Makes cell `column` of a histogram column present.
    ///
    /// # Panics
    /// `column < len()` is the caller's part.
    pub fn set_histogram(&mut self, column: u32, histogram: Arc<NativeHistogram>) {
        self.set(column as usize, Cell::Present(0.0));
        match self.histograms.binary_search_by_key(&column, |(other, _)| *other) {
            Ok(at) => self.histograms[at].1 = histogram,
            Err(at) => self.histograms.insert(at, (column, histogram)),
        }
    }

    /// Value of a present cell of a histogram column.
    #[must_use]
    pub fn histogram(&self, column: u32) -> Option<&Arc<NativeHistogram>> {
        let at = self.histograms.binary_search_by_key(&column, |(other, _)| *other).ok()?;
        Some(&self.histograms[at].1)
    }
}
