//! Symbols: each label name and value once, by number, counted by use.
//!
//! Path: `index`, `catalog` → **symbols**.
//!
//! Invariants
//! - Y1: a symbol lives as long as something uses it, and its number is not another's meanwhile.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::allocation::allocated;

/// Number of a symbol; free numbers are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Symbol(pub(crate) u32);

#[derive(Debug)]
struct Entry {
    text: Box<str>,
    uses: u32,
}

/// Table of symbols.
#[derive(Debug, Default)]
pub(crate) struct Symbols {
    entries: Vec<Entry>,
    free: Vec<u32>,
    table: HashTable<u32>,
    hasher: FixedState,
    text_bytes: usize,
}

impl Symbols {
    /// The symbol of `text`, made if it is not there, used once more.
    pub(crate) fn take(&mut self, text: &str) -> Symbol {
        let hash = self.hasher.hash_one(text);
        let found = self.table.find(hash, |id| *self.entries[*id as usize].text == *text).copied();
        if let Some(id) = found {
            self.entries[id as usize].uses += 1;
            return Symbol(id);
        }
        let entry = Entry { text: text.into(), uses: 1 };
        self.text_bytes += allocated(text.len());
        let id = if let Some(id) = self.free.pop() {
            self.entries[id as usize] = entry;
            id
        } else {
            self.entries.push(entry);
            u32::try_from(self.entries.len() - 1).expect("series and their labels are bounded")
        };
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.table.insert_unique(hash, id, |id| hasher.hash_one(&*entries[*id as usize].text));
        Symbol(id)
    }

    /// The symbol of `text` if it is there.
    pub(crate) fn find(&self, text: &str) -> Option<Symbol> {
        let hash = self.hasher.hash_one(text);
        let found = self.table.find(hash, |id| *self.entries[*id as usize].text == *text);
        found.map(|id| Symbol(*id))
    }

    /// One use less; whether that was the last.
    pub(crate) fn give_back(&mut self, symbol: Symbol) -> bool {
        let entry = &mut self.entries[symbol.0 as usize];
        assert!(0 < entry.uses, "Y1: symbol {} is given back more often than taken", symbol.0);
        entry.uses -= 1;
        if 0 < entry.uses {
            return false;
        }
        let text = std::mem::take(&mut entry.text);
        self.text_bytes -= allocated(text.len());
        let hash = self.hasher.hash_one(&*text);
        let found = self.table.find_entry(hash, |id| *id == symbol.0);
        found.expect("Y1: a live symbol is in the table").remove();
        self.free.push(symbol.0);
        true
    }

    /// Text of a live symbol.
    pub(crate) fn text(&self, symbol: Symbol) -> &str {
        &self.entries[symbol.0 as usize].text
    }

    /// Live symbols.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Bytes of memory behind it.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.text_bytes
            + self.entries.capacity() * size_of::<Entry>()
            + self.free.capacity() * 4
            + self.table.allocation_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn y1_a_symbol_lives_while_it_is_used() {
        let mut symbols = Symbols::default();
        let a = symbols.take("a");
        assert_eq!(symbols.take("a"), a);
        let b = symbols.take("b");
        assert!(!symbols.give_back(a));
        assert_eq!(symbols.find("a"), Some(a));
        assert!(symbols.give_back(a));
        assert_eq!(symbols.find("a"), None);
        assert_eq!(symbols.text(b), "b");
        assert_eq!(symbols.take("c"), a, "a free number is used again");
        assert_eq!(symbols.len(), 2);
    }
}
