//! Bunches: which pushed series share a group.
//!
//! Path: `push` asks for new series → **bunches** → groups of `storage`.
//! Series of one home that come with one timestamp are a bunch, which is a group: what a scrape
//! elsewhere has seen at once stays one dense row. A series whose samples have times of their own
//! is a bunch of its own: its rows have no holes.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use model::label_set::LabelSet;
use std::collections::VecDeque;
use storage::row::{GroupId, GroupKey};
use storage::store::{LimitError, Store};
use xxhash_rust::xxh3::xxh3_128;

/// Series of one bunch: a part of its row costs as much as its columns are wide.
const COLUMNS_MAX: usize = 4096;
/// Bunches of one home that new series may join.
const BUNCHES_MAX: usize = 64;
/// Times of a bunch that are remembered: parts of several rows may be under way.
const TIMES_MAX: usize = 4;

#[derive(Debug)]
struct Bunch {
    group: GroupId,
    times_ms: [i64; TIMES_MAX],
}

/// The bunches of every home, newest last.
#[derive(Debug, Default)]
pub(super) struct Bunches {
    homes: HashMap<u128, VecDeque<Bunch>, FixedState>,
}

impl Bunches {
    /// The group for a new series whose first sample has this time.
    pub(super) fn group_for(
        &mut self,
        store: &mut Store,
        home: &LabelSet,
        series: &LabelSet,
        time_ms: i64,
    ) -> Result<GroupId, LimitError> {
        let bunches = self.homes.entry(home.key().0).or_default();
        let has_room = |bunch: &&Bunch| {
            bunch.times_ms.contains(&time_ms) && store.columns(bunch.group) < COLUMNS_MAX
        };
        if let Some(bunch) = bunches.iter().rev().find(has_room) {
            return Ok(bunch.group);
        }
        let mut bytes = home.packed().as_bytes().to_vec();
        bytes.extend_from_slice(series.packed().as_bytes());
        let group = store.group(GroupKey(xxh3_128(&bytes)), home)?;
        self.saw(home, group, time_ms);
        Ok(group)
    }

    /// The group that bears the metadata of a home.
    pub(super) fn group_of(
        &mut self,
        store: &mut Store,
        home: &LabelSet,
    ) -> Result<GroupId, LimitError> {
        let bunches = self.homes.entry(home.key().0).or_default();
        if let Some(bunch) = bunches.front().filter(|bunch| 0 < store.columns(bunch.group)) {
            return Ok(bunch.group);
        }
        store.group(GroupKey(home.key().0), home)
    }

    /// Notes that a group of a home has a row of this time.
    pub(super) fn saw(&mut self, home: &LabelSet, group: GroupId, time_ms: i64) {
        let bunches = self.homes.entry(home.key().0).or_default();
        if let Some(bunch) = bunches.iter_mut().rev().find(|bunch| bunch.group == group) {
            if !bunch.times_ms.contains(&time_ms) {
                bunch.times_ms.rotate_right(1);
                bunch.times_ms[0] = time_ms;
            }
            return;
        }
        if bunches.len() == BUNCHES_MAX {
            bunches.pop_front();
        }
        let mut times_ms = [i64::MIN; TIMES_MAX];
        times_ms[0] = time_ms;
        bunches.push_back(Bunch { group, times_ms });
    }

    /// Forgets homes whose groups have gone.
    pub(super) fn sweep(&mut self, store: &Store) {
        self.homes.retain(|_, bunches| {
            bunches.retain(|bunch| store.columns(bunch.group) != 0);
            !bunches.is_empty()
        });
    }

    /// Bytes of memory.
    pub(super) fn heap_bytes(&self) -> usize {
        let bunches = self.homes.values().map(|bunches| bunches.capacity() * size_of::<Bunch>());
        self.homes.allocation_size() + bunches.sum::<usize>()
    }
}
