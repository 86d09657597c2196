//! Known: where the series that were pushed have their columns.
//!
//! Path: `push` asks → **known**.
//! Series that went with retention are forgotten when the table has doubled since it last looked.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher as _;
use storage::row::{ColumnIndex, GroupId};

/// Entries below which nothing is forgotten.
const KEPT_MIN: usize = 1024;

/// One series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    key: u128,
    pub(super) group: GroupId,
    pub(super) column: ColumnIndex,
    /// Its newest sample.
    pub(super) last_ms: i64,
}

/// Every series, by hash of its labels.
#[derive(Debug, Default)]
pub(super) struct Known {
    table: HashTable<u32>,
    entries: Vec<Entry>,
    /// Entries after the last look.
    kept: usize,
}

fn hash(key: u128) -> u64 {
    FixedState::with_seed(0).hash_one(key)
}

impl Known {
    /// Number of the series.
    pub(super) fn find(&self, key: u128) -> Option<u32> {
        let is_it = |at: &u32| self.entries[*at as usize].key == key;
        self.table.find(hash(key), is_it).copied()
    }

    /// Adds a series that is not there.
    pub(super) fn add(&mut self, key: u128, group: GroupId, column: ColumnIndex) -> u32 {
        let at = u32::try_from(self.entries.len()).expect("series are bounded by options");
        self.entries.push(Entry { key, group, column, last_ms: i64::MIN });
        let entries = &self.entries;
        self.table.insert_unique(hash(key), at, |at| hash(entries[*at as usize].key));
        at
    }

    /// The series of a number.
    pub(super) fn entry(&self, at: u32) -> Entry {
        self.entries[at as usize]
    }

    /// Gives a series another place.
    pub(super) fn move_to(&mut self, at: u32, group: GroupId, column: ColumnIndex) {
        let entry = &mut self.entries[at as usize];
        (entry.group, entry.column) = (group, column);
    }

    /// Notes the time of the newest sample.
    pub(super) fn saw(&mut self, at: u32, time_ms: i64) {
        let entry = &mut self.entries[at as usize];
        entry.last_ms = entry.last_ms.max(time_ms);
    }

    /// Forgets those that are not live, when there are many that nobody has looked at. No number
    /// is good after it. Whether it looked.
    pub(super) fn sweep(&mut self, is_live: impl Fn(&Entry) -> bool) -> bool {
        if self.entries.len() < KEPT_MIN.max(2 * self.kept) {
            return false;
        }
        self.entries.retain(is_live);
        self.kept = self.entries.len();
        self.table.clear();
        for at in 0..self.entries.len() {
            let number = u32::try_from(at).expect("series are bounded by options");
            let entries = &self.entries;
            let key = entries[at].key;
            self.table.insert_unique(hash(key), number, |at| hash(entries[*at as usize].key));
        }
        true
    }

    /// Number of series.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of memory.
    pub(super) fn heap_bytes(&self) -> usize {
        self.table.allocation_size() + self.entries.capacity() * size_of::<Entry>()
    }
}
