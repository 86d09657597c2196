//! Families: each metadata text once, by number, counted by the groups that have it.
//!
//! Path: `annotate`, `restore` → **families** → `catalog`.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::metadata::Family;

#[derive(Debug)]
struct Entry {
    family: Arc<Family>,
    uses: u32,
}

/// Table of the metadata of families.
#[derive(Debug, Default)]
pub(crate) struct Families {
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    table: HashTable<u32>,
    hasher: FixedState,
    text_bytes: usize,
    /// Numbers that went since somebody last took this list.
    pub(crate) gone: Vec<u32>,
}

impl Families {
    /// Number of `family`, used once more.
    pub(crate) fn take(&mut self, family: &Family) -> u32 {
        let hash = self.hasher.hash_one(family);
        let found = self.table.find(hash, |id| **self.family(*id) == *family).copied();
        if let Some(id) = found {
            self.entries[id as usize].as_mut().expect("it is in the table").uses += 1;
            return id;
        }
        self.text_bytes += family.text_bytes();
        let entry = Some(Entry { family: Arc::new(family.clone()), uses: 1 });
        let id = if let Some(id) = self.free.pop() {
            self.entries[id as usize] = entry;
            id
        } else {
            self.entries.push(entry);
            u32::try_from(self.entries.len() - 1).expect("metadata is bounded by options")
        };
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.table.insert_unique(hash, id, |id| {
            hasher.hash_one(&entries[*id as usize].as_ref().expect("it is in the table").family)
        });
        id
    }

    /// One use less of each.
    pub(crate) fn give_back(&mut self, families: &[u32]) {
        for id in families {
            let entry = self.entries[*id as usize].as_mut().expect("a group has it");
            entry.uses -= 1;
            if 0 < entry.uses {
                continue;
            }
            let entry = self.entries[*id as usize].take().expect("it was just there");
            self.text_bytes -= entry.family.text_bytes();
            let hash = self.hasher.hash_one(&*entry.family);
            let found = self.table.find_entry(hash, |other| other == id);
            found.expect("a live family is in the table").remove();
            self.free.push(*id);
            self.gone.push(*id);
        }
    }

    /// A live family.
    pub(crate) fn family(&self, id: u32) -> &Arc<Family> {
        &self.entries[id as usize].as_ref().expect("a group has it").family
    }

    /// All live families, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Family>> {
        self.entries.iter().flatten().map(|entry| &entry.family)
    }

    /// Bytes of memory behind it.
    pub(crate) fn heap_bytes(&self) -> usize {
        let each = size_of::<Family>() + 2 * size_of::<usize>();
        self.text_bytes
            + self.table.len() * each
            + self.entries.capacity() * size_of::<Option<Entry>>()
            + (self.free.capacity() + self.gone.capacity()) * 4
            + self.table.allocation_size()
    }
}
