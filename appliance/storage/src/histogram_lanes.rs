//! Histogram lanes: the native histograms of an open tile's columns that change within it.
//!
//! Path: `head` → **histogram_lanes** → `tile::write`; `selection` copies what it wants.

use std::sync::Arc;

use model::native_histogram::NativeHistogram;

use crate::histogram;
use crate::last_row::LastRow;

/// Histograms of one column by row.
#[derive(Clone, Debug)]
struct Lane {
    column: u32,
    values: Vec<Arc<NativeHistogram>>,
}

/// Lanes of one group.
#[derive(Clone, Debug, Default)]
pub(crate) struct HistogramLanes {
    lanes: Vec<Lane>,
    /// Most bytes of the histograms when they are written.
    bytes_max: usize,
}

impl HistogramLanes {
    /// Lanes so far: the place of the next.
    pub(crate) fn len(&self) -> usize {
        self.lanes.len()
    }

    /// A lane for the column, whose `rows` rows so far all had `value`.
    pub(crate) fn open(&mut self, column: u32, rows: usize, value: &Arc<NativeHistogram>) {
        self.bytes_max += rows * histogram::bytes_max(value);
        self.lanes.push(Lane { column, values: vec![Arc::clone(value); rows] });
    }

    /// Adds a row: every column has its last value.
    pub(crate) fn push(&mut self, last: &LastRow) {
        for lane in &mut self.lanes {
            let value = last.histogram(lane.column).expect("H2: a lane has a last value");
            lane.values.push(Arc::clone(value));
            self.bytes_max += histogram::bytes_max(value);
        }
    }

    /// Overwrites one row of lane `at`.
    pub(crate) fn set(&mut self, at: usize, row: usize, value: &Arc<NativeHistogram>) {
        self.lanes[at].values[row] = Arc::clone(value);
    }

    /// Values by row of lane `at`.
    pub(crate) fn values(&self, at: usize) -> &[Arc<NativeHistogram>] {
        &self.lanes[at].values
    }

    /// Most bytes that the histograms take when they are written.
    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Empties it, telling each column that had a lane.
    pub(crate) fn drain(&mut self, each: impl FnMut(u32)) {
        self.bytes_max = 0;
        self.lanes.drain(..).map(|lane| lane.column).for_each(each);
    }

    /// Bytes of memory behind it; a histogram that one row took over from the one before counts
    /// once.
    pub(crate) fn heap_bytes(&self) -> usize {
        let lanes = self.lanes.iter().map(|lane| {
            let mut before = None;
            let own = lane.values.iter().filter(|value| {
                let at = Some(Arc::as_ptr(value));
                std::mem::replace(&mut before, at) != at
            });
            let handles = lane.values.capacity() * size_of::<Arc<NativeHistogram>>();
            handles + own.map(|value| histogram::heap_bytes(value)).sum::<usize>()
        });
        self.lanes.capacity() * size_of::<Lane>() + lanes.sum::<usize>()
    }
}
