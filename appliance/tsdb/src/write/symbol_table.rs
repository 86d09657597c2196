//! Symbol table, written: numbers in order of appearance until all texts are known, then by text.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// The texts of the labels of a block.
#[derive(Default)]
pub(crate) struct SymbolTable {
    numbers: HashMap<Arc<str>, u32, FixedState>,
    texts: Vec<Arc<str>>,
}

impl SymbolTable {
    /// The number of `text`, in order of appearance; `None` when all numbers are taken.
    pub(crate) fn number(&mut self, text: &str) -> Option<u32> {
        if let Some(number) = self.numbers.get(text) {
            return Some(*number);
        }
        let number = u32::try_from(self.texts.len()).ok()?;
        let text: Arc<str> = Arc::from(text);
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, number);
        Some(number)
    }

    /// The texts in order, and for each number of appearance its place among them.
    pub(crate) fn sorted(self) -> (Vec<Arc<str>>, Vec<u32>) {
        let mut order: Vec<u32> = self.numbers.values().copied().collect();
        order.sort_by(|a, b| self.texts[*a as usize].cmp(&self.texts[*b as usize]));
        let mut places = vec![0; order.len()];
        for (place, number) in (0u32..).zip(&order) {
            places[*number as usize] = place;
        }
        let texts = order.iter().map(|number| Arc::clone(&self.texts[*number as usize]));
        (texts.collect(), places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_get_their_place_in_order() {
        let mut table = SymbolTable::default();
        let numbers: Vec<Option<u32>> =
            ["b", "c", "a", "b"].iter().map(|text| table.number(text)).collect();
        assert_eq!(numbers, [Some(0), Some(1), Some(2), Some(0)]);
        let (texts, places) = table.sorted();
        assert_eq!(texts.concat(), "abc");
        assert_eq!(places, [1, 2, 0]);
    }
}
