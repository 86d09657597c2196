//! Newest: how far the series of a column has come.
//!
//! Path: whoever has samples of the past asks → **newest** → `index`, `head`.

use model::label_set::LabelSet;
use model::time::TimestampMs;

use crate::head::{Column, Group, NONE};
use crate::row::{ColumnIndex, ColumnKind, GroupId};
use crate::store::Store;

impl Store {
    /// Labels of the series that has this column; `None` when there is no such column, or no more.
    #[must_use]
    pub fn labels_of(&self, group: GroupId, column: ColumnIndex) -> Option<LabelSet> {
        Some(self.index.labels_of(self.series_at(group, column)?))
    }

    /// What this column holds; `None` when there is no such column, or no more.
    #[must_use]
    pub fn kind_of(&self, group: GroupId, column: ColumnIndex) -> Option<ColumnKind> {
        self.series_at(group, column)?;
        let found = self.groups.get(group.0 as usize)?.as_ref()?;
        Some(found.kind(column.0))
    }

    /// A time that no sample or marker of the series with this column is newer than, in whatever
    /// group; `None` when tiles have none of it. Exact in open tiles; of a sealed one only the last
    /// time of all its series is known. Blocks are not asked: see [`Store::blocks_until`].
    #[must_use]
    pub fn newest_of(&self, group: GroupId, column: ColumnIndex) -> Option<TimestampMs> {
        let series = self.series_at(group, column)?;
        let newest = self.index.columns_of(series).iter().filter_map(|place| {
            let found = self.groups.get(place.group as usize)?.as_ref()?;
            newest_in(found, place.column)
        });
        newest.max().map(TimestampMs)
    }

    /// Time of the newest sample of all blocks.
    #[must_use]
    pub fn blocks_until(&self) -> Option<TimestampMs> {
        self.blocks.max_time_ms().map(TimestampMs)
    }

    fn series_at(&self, group: GroupId, column: ColumnIndex) -> Option<u32> {
        let found = self.groups.get(group.0 as usize)?.as_ref()?;
        let series = found.columns.get(column.0 as usize)?.series;
        (series != NONE).then_some(series)
    }
}

fn newest_in(group: &Group, column: u32) -> Option<i64> {
    let (present, stale) = group.column_states(column, group.rows());
    let has = |row: &usize| (present | stale) >> row & 1 == 1;
    let open = (0..group.rows()).filter(has).map(|row| group.timestamps_ms[row]).max();
    let Column { first_tile, last_tile, .. } = group.columns[column as usize];
    let tiles = group.tiles.iter();
    let sealed = tiles.filter(|tile| first_tile <= tile.number && tile.number <= last_tile);
    open.max(sealed.map(|tile| tile.max_time_ms).max())
}
