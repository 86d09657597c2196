//! Select: a request against index and groups, as a snapshot that lives on by itself.
//!
//! Path: `store` → **select** → `selection`.

use std::collections::BTreeSet;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use model::label_set::LabelSet;
use model::matcher::Matcher;
use roaring::RoaringBitmap;

use crate::chunk::kind::Column;
use crate::head::{Group, NONE};
use crate::index::select as matching;
use crate::index::series::Index;
use crate::row::ColumnKind;
use crate::selection::{
    LabelRequest, OpenPiece, OpenValues, Piece, Rest, SealedPiece, SelectError, SelectRequest,
    SelectedSeries,
};
use crate::tile::histograms::HistogramColumn;
use crate::tile::place::TileRef;
use crate::tombstones::{Tombstone, intervals};

/// Groups of the shard by number.
type Groups = [Option<Box<Group>>];

/// What all columns of a group share in one selection.
struct Shared {
    shard: u32,
    group: u32,
    tiles: Arc<[Arc<TileRef>]>,
    /// Rows of the open tile that overlap, and their times and ranks.
    rows: Vec<usize>,
    timestamps_ms: Arc<[i64]>,
    owner: u128,
    /// See [`Rest`].
    newest_ms: i64,
}

impl Shared {
    fn new(
        (shard, number): (u32, u32),
        group: &Group,
        (after_ms, until_ms): (i64, i64),
        newest_ms: i64,
    ) -> Shared {
        let overlapping = group.tiles.iter().filter(|tile| tile.overlaps(after_ms, until_ms));
        let inside = |time: i64| after_ms < time && time <= until_ms;
        let rows: Vec<usize> =
            (0..group.rows()).filter(|row| inside(group.timestamps_ms[*row])).collect();
        Shared {
            shard,
            group: number,
            tiles: overlapping.map(Arc::clone).collect(),
            timestamps_ms: rows.iter().map(|row| group.timestamps_ms[*row]).collect(),
            owner: gather(group.owner, &rows),
            newest_ms,
            rows,
        }
    }

    fn pieces(&self, group: &Group, column: u32, into: &mut Vec<Piece>) {
        let numbers =
            (group.columns[column as usize].first_tile, group.columns[column as usize].last_tile);
        let overlaps = |tile: &Arc<TileRef>| numbers.0 <= tile.number && tile.number <= numbers.1;
        if self.tiles.iter().any(overlaps) {
            let tiles = Arc::clone(&self.tiles);
            let kind = group.kind(column);
            let (shard, side, group) = (self.shard, group.side, self.group);
            let piece = SealedPiece { tiles, group, side, shard, numbers, column, kind };
            into.push(Piece::Sealed(piece));
        }
        if self.rows.is_empty() {
            return;
        }
        let (present, stale) = group.column_states(column, group.rows());
        let (present, stale) = (gather(present, &self.rows), gather(stale, &self.rows));
        if present | stale == 0 {
            return;
        }
        let values = self.open_values(group, column, present, stale);
        let (timestamps_ms, owner) = (Arc::clone(&self.timestamps_ms), self.owner);
        let part = if group.side { group.tile_number } else { 0 };
        let group = self.group;
        into.push(Piece::Open(OpenPiece { timestamps_ms, group, part, owner, values }));
    }

    fn open_values(&self, group: &Group, column: u32, present: u128, stale: u128) -> OpenValues {
        let rows = self.rows.iter().enumerate().filter(|(to, _)| present >> to & 1 == 1);
        let kind = group.kind(column);
        if kind == ColumnKind::Histogram {
            let values = rows.map(|(_, row)| Arc::clone(group.histogram_at(column, *row)));
            let values = values.collect();
            return OpenValues::Histograms(HistogramColumn { present, stale, values });
        }
        let values = match group.column_values(column) {
            Some(lane) => rows.map(|(_, row)| lane[*row]).collect(),
            None => rows.map(|_| group.last.values[column as usize]).collect(),
        };
        let column = Column { present, stale, values };
        if kind == ColumnKind::Start {
            OpenValues::Starts(column)
        } else {
            OpenValues::Floats(column)
        }
    }
}

fn gather(bits: u128, rows: &[usize]) -> u128 {
    let set = rows.iter().enumerate().filter(|(_, row)| bits >> **row & 1 == 1);
    set.fold(0, |gathered, (to, _)| gathered | 1 << to)
}

/// Series that fulfil the request and may have samples in it: of `rest`, where an earlier page left
/// one. Looks at `page` series at most, and gives what is left.
pub(crate) fn select(
    shard: u32,
    index: &Index,
    groups: &Groups,
    tombstones: &[Tombstone],
    request: &SelectRequest,
    (rest, page): (Option<Rest>, usize),
) -> Result<(Vec<SelectedSeries>, Option<Rest>), SelectError> {
    let goes_on = rest.is_some();
    let first = || Rest { found: matching::select(index, &request.matchers), ..Rest::default() };
    let mut rest = rest.unwrap_or_else(first);
    let mut shared: HashMap<u32, Shared, FixedState> = HashMap::default();
    let mut selected = Vec::new();
    for series in rest.found.iter().take(page) {
        let places = index.columns_of(series);
        // A sealed and an open one each; a vector that grows would take room for four.
        let mut pieces = Vec::with_capacity(2 * places.len());
        let mut newest_ms = i64::MIN;
        for place in places {
            let Some(group) = &groups[place.group as usize] else { continue };
            let shared = shared.entry(place.group).or_insert_with(|| {
                let met = rest.newest_ms.get(&place.group).copied();
                let newest_ms = met.or_else(|| group.newest_ms());
                let range = (request.after.0, request.until.0);
                Shared::new((shard, place.group), group, range, newest_ms.unwrap_or(i64::MAX))
            });
            newest_ms = newest_ms.max(shared.newest_ms);
            shared.pieces(group, place.column, &mut pieces);
        }
        if pieces.is_empty() {
            continue;
        }
        rest.given += 1;
        if request.series_max < rest.given {
            return Err(SelectError::TooManySeries { series_max: request.series_max });
        }
        let labels = index.labels_of(series);
        let range = (request.after.0.saturating_add(1), request.until.0);
        let mut deleted = intervals(tombstones, 0, &labels, range);
        if goes_on && newest_ms < request.until.0 {
            deleted.push((newest_ms + 1, i64::MAX));
        }
        selected.push(SelectedSeries { labels, pieces, deleted });
    }
    rest.found.remove_smallest(page as u64);
    if rest.found.is_empty() {
        return Ok((selected, None));
    }
    rest.newest_ms.extend(shared.iter().map(|(group, shared)| (*group, shared.newest_ms)));
    Ok((selected, Some(rest)))
}

/// Series that fulfil all of any one set; no set means every series.
pub(crate) fn matching_any(index: &Index, matcher_sets: &[Vec<Matcher>]) -> RoaringBitmap {
    let mut found = RoaringBitmap::new();
    if matcher_sets.is_empty() {
        found |= index.all();
    }
    for matchers in matcher_sets {
        found |= matching::select(index, matchers);
    }
    found
}

/// Series of a question about labels that may have samples in its range.
fn wanted(index: &Index, groups: &Groups, request: &LabelRequest) -> RoaringBitmap {
    let found = matching_any(index, &request.matcher_sets);
    let (after_ms, until_ms) = (request.from.0.saturating_sub(1), request.to.0);
    // Made for the groups that are met: few, where a matcher asks for few.
    let mut spans: Vec<Option<Span>> = Vec::new();
    spans.resize_with(groups.len(), || None);
    let may_have = |series: &u32| {
        index.columns_of(*series).iter().any(|place| {
            let Some(group) = &groups[place.group as usize] else { return false };
            let span = &mut spans[place.group as usize];
            let span = span.get_or_insert_with(|| Span::new(group, after_ms, until_ms));
            span.may_have(group, place.column)
        })
    };
    found.iter().filter(may_have).collect()
}

/// Where the samples of a group lie that a time range asks for.
struct Span {
    /// Numbers of the sealed tiles that overlap.
    tiles: Vec<u32>,
    open: bool,
}

impl Span {
    fn new(group: &Group, after_ms: i64, until_ms: i64) -> Span {
        let overlapping = group.tiles.iter().filter(|tile| tile.overlaps(after_ms, until_ms));
        let inside = |time: &i64| after_ms < *time && *time <= until_ms;
        Span {
            tiles: overlapping.map(|tile| tile.number).collect(),
            open: group.timestamps_ms.iter().any(inside),
        }
    }

    fn may_have(&self, group: &Group, column: u32) -> bool {
        let place = &group.columns[column as usize];
        if place.series == NONE {
            return false;
        }
        let from = self.tiles.partition_point(|number| *number < place.first_tile);
        let sealed = self.tiles.get(from).is_some_and(|number| *number <= place.last_tile);
        sealed || (self.open && group.column_states(column, group.rows()) != (0, 0))
    }
}

/// Values of label `name` among the wanted series; sorted.
pub(crate) fn label_values(
    index: &Index,
    groups: &Groups,
    name: &str,
    request: &LabelRequest,
) -> Vec<String> {
    let Some(values) = index.values(name) else { return Vec::new() };
    let wanted = wanted(index, groups, request);
    let mut found: Vec<String> = values
        .iter()
        .filter(|(_, postings)| postings.meets(&wanted))
        .map(|(value, _)| index.symbols.text(*value).to_owned())
        .collect();
    found.sort_unstable();
    found
}

/// Label names among the wanted series; sorted.
pub(crate) fn label_names(index: &Index, groups: &Groups, request: &LabelRequest) -> Vec<String> {
    let wanted = wanted(index, groups, request);
    let mut names = BTreeSet::new();
    for (name, values) in index.labels() {
        if values.values().any(|postings| postings.meets(&wanted)) {
            names.insert(name.to_owned());
        }
    }
    names.into_iter().collect()
}

/// Label sets of the wanted series; sorted.
pub(crate) fn series(
    index: &Index,
    groups: &Groups,
    request: &LabelRequest,
    series_max: usize,
) -> Result<Vec<LabelSet>, SelectError> {
    let wanted = wanted(index, groups, request);
    if (series_max as u64) < wanted.len() {
        return Err(SelectError::TooManySeries { series_max });
    }
    let mut found: Vec<LabelSet> = wanted.iter().map(|series| index.labels_of(series)).collect();
    found.sort();
    Ok(found)
}
