//! Restore: puts what the disk says into a store under recovery.
//!
//! Path: `recovery` → **restore** → `store`.

use std::sync::Arc;

use model::label_set::LabelSet;

use crate::blocks::Blocks;
use crate::catalog::read::Definition;
use crate::catalog::write::{CatalogWriter, Change};
use crate::head::{NONE, index32};
use crate::index::series::ColumnPlace;
use crate::log::write::{Epoch, LiveSegment, LogWriter};
use crate::names::SegmentId;
use crate::options::Options;
use crate::row::{ColumnKind, GroupKey};
use crate::store::{NUMBER_MAX, Store};
use crate::tile::place::{Place, TileRef};
use crate::tile::read::{Directory, Summary};
use crate::tile_files::TileFiles;

/// Numbers of files that are in use.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) catalogs: Vec<u64>,
    pub(crate) next_tile: u64,
    pub(crate) next_segment: SegmentId,
    pub(crate) live: Vec<LiveSegment>,
    pub(crate) blocks: Blocks,
}

/// A store that knows nothing but these.
pub(crate) fn empty(options: Options, taken: Taken) -> Store {
    let mut store = Store::new(options);
    let options = &store.options;
    let next_catalog = taken.catalogs.last().map_or(1, |last| last + 1);
    store.log = LogWriter::new(options, 0, taken.next_segment, taken.live);
    store.catalog = CatalogWriter::new(options, next_catalog, taken.catalogs);
    store.blocks = taken.blocks;
    store.tile_files = TileFiles::new(options, taken.next_tile, std::collections::BTreeMap::new());
    store
}

/// Takes a definition of the catalog.
pub(crate) fn define(store: &mut Store, definition: Definition) {
    match definition {
        Definition::Group { group, key, columns, labels, side } => {
            if group < NUMBER_MAX && columns < NUMBER_MAX && !lives(store, group) {
                store.put_group(group, GroupKey(key), labels, side);
                let found = store.groups[group as usize].as_mut().expect("it was just made");
                for _ in 0..columns {
                    found.add_column(NONE, ColumnKind::Float);
                }
            }
        }
        Definition::Column { group, column, kind, labels } => {
            // A column of a group that does not live was dropped with it.
            let _ = put_column(store, group, column, kind, &labels);
        }
        Definition::Metadata { group, families } => {
            for family in families {
                // More than options allow, as they are now, is left out.
                let _ = store.put_metadata(group, &family);
            }
        }
        Definition::DropColumn { group, column } => drop_column(store, group, column),
        Definition::DropGroup { group } => drop_group(store, group),
        Definition::NextGroup { group } => {
            while group < NUMBER_MAX && store.groups.len() < group as usize {
                store.groups.push(None);
            }
        }
        Definition::Complete => {}
    }
}

fn lives(store: &Store, group: u32) -> bool {
    store.groups.get(group as usize).is_some_and(Option::is_some)
}

/// Whether the column was not there.
fn put_column(
    store: &mut Store,
    group: u32,
    column: u32,
    kind: ColumnKind,
    labels: &LabelSet,
) -> Result<bool, &'static str> {
    if !lives(store, group) || NUMBER_MAX <= column {
        return Err("column of an unknown group");
    }
    let found = store.groups[group as usize].as_mut().expect("it lives");
    if found.columns.get(column as usize).is_some_and(|column| column.series != NONE) {
        return Ok(false);
    }
    let series = store.index.find(labels).unwrap_or_else(|| store.index.insert(labels));
    store.index.add_column(series, ColumnPlace { group, column });
    found.restore_column(column, series, kind);
    store.own_series(group);
    Ok(true)
}

fn drop_column(store: &mut Store, group: u32, column: u32) {
    let Some(found) = store.groups.get_mut(group as usize).and_then(Option::as_mut) else { return };
    let series = found.columns.get(column as usize).map_or(NONE, |column| column.series);
    if series != NONE {
        found.drop_column(column);
        store.index.remove_column(series, ColumnPlace { group, column });
        store.disown_series(group);
    }
}

fn drop_group(store: &mut Store, group: u32) {
    let live = match store.groups.get(group as usize) {
        Some(Some(found)) => found.live_columns(),
        _ => return,
    };
    for column in live {
        drop_column(store, group, column);
    }
    if let Some(found) = store.groups[group as usize].take() {
        let keys = if found.side { &mut store.side_keys } else { &mut store.group_keys };
        keys.remove(&found.key);
        store.owners.give_back(found.owners);
        store.index.families.give_back(&found.metadata);
        store.forget_families();
        if let Some((epoch, _)) = found.opened {
            store.log.unpin(epoch);
        }
    }
}

/// A group that the log defines.
pub(crate) struct LoggedGroup {
    pub(crate) group: u32,
    pub(crate) key: GroupKey,
    pub(crate) labels: LabelSet,
    pub(crate) side: bool,
}

/// Takes a group of the log; the catalog gets it if it was not there.
///
/// # Errors
/// The number is another group's.
pub(crate) fn logged_group(
    store: &mut Store,
    logged: LoggedGroup,
    epoch: Epoch,
) -> Result<(), &'static str> {
    let LoggedGroup { group, key, labels, side } = logged;
    if NUMBER_MAX <= group {
        return Err("number of a group is out of range");
    }
    if let Some(Some(found)) = store.groups.get(group as usize) {
        return if found.key == key { Ok(()) } else { Err("number of a group is another's") };
    }
    // A key comes back under a new number after its group was dropped: the larger number is the
    // newer group. The log may still speak of the older.
    let keys = if side { &store.side_keys } else { &store.group_keys };
    match keys.get(&key).copied() {
        Some(newer) if group < newer => return Ok(()),
        Some(older) => drop_group(store, older),
        None => {}
    }
    store.put_group(group, key, labels, side);
    store.log.pin(epoch);
    store.catalog.queue(Change::Group(group), Some(epoch));
    Ok(())
}

/// Whether the catalog or an earlier record gave the column a series.
pub(crate) fn has_column(store: &Store, (group, column): (u32, u32)) -> bool {
    let found = store.groups.get(group as usize).and_then(Option::as_ref);
    let column = found.and_then(|found| found.columns.get(column as usize));
    column.is_some_and(|column| column.series != NONE)
}

/// Takes a column of the log; the catalog gets it if it was not there.
///
/// # Errors
/// Its number is out of range.
pub(crate) fn logged_column(
    store: &mut Store,
    (group, column): (u32, u32),
    kind: ColumnKind,
    labels: &LabelSet,
    epoch: Epoch,
) -> Result<(), &'static str> {
    // A group that does not live was dropped; its rows are passed over too.
    if lives(store, group) && put_column(store, group, column, kind, labels)? {
        store.log.pin(epoch);
        store.catalog.queue(Change::Column(group, column), Some(epoch));
    }
    Ok(())
}

/// Takes a tile; whether it counts: the tile of a dropped group, or one that is there twice, does
/// not.
///
/// # Errors
/// It has a column that its group has not.
pub(crate) fn tile(
    store: &mut Store,
    file: u64,
    offset: u64,
    summary: &Summary,
    directory: &Directory,
) -> Result<bool, &'static str> {
    let Some(Some(found)) = store.groups.get_mut(summary.group as usize) else { return Ok(false) };
    let place = Place::File { number: file, offset };
    match found.tiles.binary_search_by_key(&summary.number, |tile| tile.number) {
        Ok(_) => return Ok(false),
        Err(at) => found.tiles.insert(at, Arc::new(TileRef::new(summary, place))),
    }
    found.tile_number = found.tile_number.max(summary.number.saturating_add(1));
    if !found.side {
        found.sealed_slot = found.sealed_slot.max(Some(summary.slot_max));
    }
    let mut unknown = false;
    for chunk in &directory.chunks {
        match found.columns.get_mut(chunk.column as usize) {
            Some(column) => column.saw_tile(summary.number),
            None => unknown = true,
        }
    }
    store.tile_files.restore(file, summary.max_time_ms);
    store.counts.see(summary.max_time_ms);
    if unknown { Err("a column that its group has not") } else { Ok(true) }
}

/// Takes note of a tile file that does not read to its end.
pub(crate) fn damaged(store: &mut Store, file: u64) {
    store.tile_files.restore_damaged(file);
}

/// Takes note of a tile file's size.
pub(crate) fn tile_file(store: &mut Store, file: u64, bytes: u64) {
    store.tile_files.restore_bytes(file, bytes);
}

/// All definitions of the catalog are there.
pub(crate) fn catalog_is_read(store: &mut Store) {
    for group in store.groups.iter_mut().flatten() {
        group.tiles_are_unknown();
    }
}

/// All tiles are there: what no tile has belongs to the open one.
pub(crate) fn tiles_are_known(store: &mut Store) {
    for (group, (slot, tile)) in store.blocks.sealed() {
        if let Some(Some(found)) = store.groups.get_mut(group as usize) {
            found.are_sealed(slot, tile);
        }
    }
    for group in store.groups.iter_mut().flatten() {
        group.tiles_are_known();
    }
}

/// The log is read: it had the records from `first` to `position`.
pub(crate) fn log_is_read(store: &mut Store, first: u64, position: u64) {
    store.log.restore(first, position);
    for group in store.groups.iter_mut().flatten() {
        group.logged_columns = Some(index32(group.columns.len()));
    }
}
