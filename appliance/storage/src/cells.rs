//! Cells: what one row says of each column of its group.
//!
//! Path: `scrape` fills them → `row` → `store`.

use model::bitmap::Bitmap;
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
    /// Values, meaningful where present and not stale.
    pub values: Vec<f64>,
    /// Which cells have a value.
    pub present: Bitmap,
    /// Which cells are staleness markers.
    pub stale: Bitmap,
}

impl Cells {
    /// `columns` absent cells.
    #[must_use]
    pub fn new(columns: usize) -> Cells {
        Cells {
            values: vec![0.0; columns],
            present: Bitmap::new(columns),
            stale: Bitmap::new(columns),
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
    }

    /// Adds absent cells, or cuts, until there are `columns`.
    pub fn resize(&mut self, columns: usize) {
        self.values.resize(columns, 0.0);
        self.present.resize(columns);
        self.stale.resize(columns);
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
}
