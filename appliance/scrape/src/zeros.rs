//! Zeros: a sample of 0 where the counting of a series began, so that functions which know no start
//! timestamps see the first increase (`created-timestamp-zero-ingestion` of Prometheus).
//!
//! Path: `ingest`, `timed` find where counting began → **zeros** → rows of a group of their own →
//! `storage`.
//! A zero that is not newer than the last sample of its series is left out without a word: most
//! series began to count before the scrape before.

use std::sync::Arc;

use model::label_set::LabelSet;
use model::native_histogram::{CounterResetHint, NativeHistogram};
use model::time::TimestampMs;
use storage::cells::{Cell, Cells};
use storage::fill::Late;
use storage::row::{ColumnIndex, ColumnKind, GroupId, GroupKey, Rank, Row, Slot};
use xxhash_rust::xxh3::xxh3_128;

use crate::native::{put_histogram, sort_histograms};
use crate::pass::Pass;

/// Greatest age of a zero, milliseconds: upstream's head takes samples as old as half the range of
/// its chunks, which is two hours.
const AGE_MS_MAX: i64 = 3_600_000;

/// Where the counting of a series began.
#[derive(Clone, Debug)]
pub struct Zero {
    /// Group and column of its sample.
    pub from: (GroupId, u32),
    /// When it began.
    pub start: TimestampMs,
    /// Time of the sample.
    pub until: TimestampMs,
    /// The sample, where it is a native histogram.
    pub native: Option<Arc<NativeHistogram>>,
}

/// A zero with its place.
struct Placed {
    time: TimestampMs,
    column: ColumnIndex,
    native: Option<Arc<NativeHistogram>>,
}

/// Stores those of `zeros` that lie between the last sample of their series and the one that told
/// of them; `zeros` is empty then. What storage refuses is left out.
pub fn store(pass: &mut Pass<'_>, identity: GroupKey, zeros: &mut Vec<Zero>) {
    let aged = pass.now.wall.saturating_add(-AGE_MS_MAX);
    let blocks = pass.store.blocks_until().map_or(aged, |until| until.saturating_add(1));
    let oldest = aged.max(blocks);
    zeros.retain(|zero| oldest <= zero.start && zero.start < zero.until && is_newer(pass, zero));
    if zeros.is_empty() {
        return;
    }
    // Without labels: the series are their owners' already.
    let Ok(group) = pass.store.group(zeros_key(identity), &LabelSet::empty()) else {
        zeros.clear();
        return;
    };
    let mut placed: Vec<Placed> =
        zeros.drain(..).filter_map(|zero| place(pass, group, zero)).collect();
    placed.sort_by_key(|zero| (zero.time, zero.column));
    placed.dedup_by_key(|zero| (zero.time, zero.column));
    let rows = placed.chunk_by(|a, b| a.time == b.time);
    if pass.options.timed_cells_max < rows.clone().count() * pass.store.columns(group) {
        pass.counters.zeros_left_out += placed.len() as u64;
        return;
    }
    let mut cells = Cells::default();
    for row in rows {
        if !store_row(pass, group, row, &mut cells) {
            return;
        }
    }
}

fn is_newer(pass: &Pass<'_>, zero: &Zero) -> bool {
    let newest = pass.store.newest_of(zero.from.0, ColumnIndex(zero.from.1));
    newest.is_none_or(|newest| newest < zero.start)
}

fn place(pass: &mut Pass<'_>, group: GroupId, zero: Zero) -> Option<Placed> {
    let labels = pass.store.labels_of(zero.from.0, ColumnIndex(zero.from.1))?;
    let kind = if zero.native.is_some() { ColumnKind::Histogram } else { ColumnKind::Float };
    let column = pass.store.column(group, &labels, kind).ok()?;
    Some(Placed { time: zero.start, column, native: zero.native.map(|of| empty(&of)) })
}

/// A histogram without observations, cut as `of` is; it stands for a reset.
fn empty(of: &NativeHistogram) -> Arc<NativeHistogram> {
    Arc::new(NativeHistogram {
        counter_reset_hint: CounterResetHint::Reset,
        schema: of.schema,
        zero_threshold: of.zero_threshold,
        custom_values: of.custom_values.clone(),
        ..NativeHistogram::default()
    })
}

/// Stores the zeros of one time; false when storage takes no more.
fn store_row(pass: &mut Pass<'_>, group: GroupId, zeros: &[Placed], cells: &mut Cells) -> bool {
    cells.reset(pass.store.columns(group));
    for zero in zeros {
        let column = zero.column.0;
        match &zero.native {
            None => cells.set(column as usize, Cell::Present(0.0)),
            Some(native) => put_histogram(cells, column, Arc::clone(native)),
        }
    }
    sort_histograms(cells);
    let (slot, timestamp) = (Slot(zeros[0].time.0), zeros[0].time);
    let row = Row { group, slot, timestamp, rank: Rank::Owner, cells };
    // Each series of the row has no newer sample, whatever other series have.
    match pass.store.fill(pass.now, &row, Late::Always, pass.effects) {
        Ok(filled) => {
            *pass.position = filled.position.max(*pass.position);
            pass.counters.zeros += filled.stored as u64;
            true
        }
        Err(_) => false,
    }
}

/// Key of the group that has the zeros of the target `identity`.
fn zeros_key(identity: GroupKey) -> GroupKey {
    let mut bytes = identity.0.to_le_bytes().to_vec();
    bytes.extend_from_slice(b"zeros");
    GroupKey(xxh3_128(&bytes))
}
