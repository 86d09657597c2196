//! Drill pushes: groups that others push to, whose rows come in several requests.
//!
//! Path: `drill` → **drill_pushes** → `storage::fill`.

use model::label_set::LabelSet;
use model::time::{Now, TimestampMs};
use storage::cells::{Cell, Cells};
use storage::effect::Effect;
use storage::fill::Late;
use storage::row::{ColumnKind, GroupKey, Rank, Row, Slot};
use storage::store::Store;

use crate::contents::Names;
use crate::ledger::{Taken, Value};
use crate::prng::Prng;

/// Series of a group that is pushed to.
const SERIES: u64 = 6;

/// Those who push. No two of their values are equal: a cell that comes twice would be told from one
/// that is there by nothing.
#[derive(Clone, Debug)]
pub struct Pushers {
    chance: Prng,
    pushed: u64,
}

impl Pushers {
    /// The pushers of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Pushers {
        Pushers { chance: Prng::new(seed, "drill pushes"), pushed: 0 }
    }

    /// Pushes some cells of a slot; `None` when none of them was stored.
    ///
    /// # Errors
    /// The store refuses them.
    pub fn push(
        &mut self,
        store: &mut Store,
        names: &mut Names,
        now: Now,
        (group, slot): (u32, i64),
        effects: &mut Vec<Effect>,
    ) -> Result<Option<Taken>, String> {
        let labels = LabelSet::new([("job", "pushed"), ("instance", &group.to_string())]);
        let key = GroupKey(1 << 64 | u128::from(group));
        let id = store.group(key, &labels).map_err(|error| format!("group: {error}"))?;
        let mut said = Vec::new();
        for series in (0..SERIES).filter(|_| self.chance.happens(400_000)) {
            let (group, series) = (group.to_string(), series.to_string());
            let labels =
                LabelSet::new([("__name__", "pushed"), ("group", &group), ("id", &series)]);
            let column = store.column(id, &labels, ColumnKind::Float);
            let column = column.map_err(|error| format!("column: {error}"))?;
            self.pushed += 1;
            let value = f64::from(u32::try_from(self.pushed).unwrap_or(0)) * 0.125;
            said.push((column, names.number(&labels), value));
        }
        let mut cells = Cells::new(store.columns(id));
        for (column, _, value) in &said {
            cells.set(column.0 as usize, Cell::Present(*value));
        }
        let timestamp = TimestampMs(slot);
        let row = Row { group: id, slot: Slot(slot), timestamp, rank: Rank::Owner, cells: &cells };
        let filled = store.fill(now, &row, Late::Window, effects);
        let filled = filled.map_err(|error| format!("row: {error}"))?;
        said.retain(|(column, _, _)| !filled.conflicts.contains(&column.0));
        let cells =
            said.into_iter().map(|(_, series, value)| (series, Value::Float(value.to_bits())));
        Ok((0 < filled.stored).then(|| Taken {
            group: id.0,
            slot,
            time_ms: slot,
            rank: Rank::Owner,
            position: filled.position,
            cells: cells.collect(),
        }))
    }
}
