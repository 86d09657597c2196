//! Symbol table: label sets of a job's inputs as pairs of numbers that sort as their texts do.
//!
//! Path: inputs → **symbol_table** → `block::writer`.
//! Bound: each label name and value of the inputs once.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use model::label_set::{Builder, LabelSet};

/// Label names and values; numbers are of their making until [`SymbolTable::sort`].
#[derive(Debug, Default)]
pub(crate) struct SymbolTable {
    numbers: HashMap<Box<str>, u32, FixedState>,
    texts: Vec<Box<str>>,
}

impl SymbolTable {
    /// Number of `text`, made if it is not there.
    pub(crate) fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number =
            u32::try_from(self.numbers.len()).expect("label values are bounded below 2^32");
        self.numbers.insert(text.into(), number);
        number
    }

    /// Puts the symbols in order: the number that each has from here on, by the one it had.
    pub(crate) fn sort(&mut self) -> Vec<u32> {
        let mut sorted: Vec<(Box<str>, u32)> = self.numbers.drain().collect();
        sorted.sort_unstable();
        let mut ranks = vec![0; sorted.len()];
        for (rank, (_, number)) in (0u32..).zip(&sorted) {
            ranks[*number as usize] = rank;
        }
        self.texts = sorted.into_iter().map(|(text, _)| text).collect();
        ranks
    }

    /// The sorted texts.
    pub(crate) fn texts(&self) -> &[Box<str>] {
        &self.texts
    }

    /// Label set of these pairs of sorted symbols.
    pub(crate) fn label_set(&self, labels: &[(u32, u32)]) -> LabelSet {
        let mut builder = Builder::default();
        for (name, value) in labels {
            builder.set(&self.texts[*name as usize], &self.texts[*value as usize]);
        }
        builder.build()
    }
}
