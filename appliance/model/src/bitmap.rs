//! Bitmap: one bit a column, ordinal or row.
//!
//! Invariants
//! - B1: bits past the end are 0, so that words may be counted and compared whole.

const WORD_BITS: usize = 64;

/// A fixed number of bits; those past the end are always 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bitmap {
    words: Vec<u64>,
    len: usize,
}

impl Bitmap {
    /// `len` bits, all 0.
    #[must_use]
    pub fn new(len: usize) -> Bitmap {
        Bitmap { words: vec![0; len.div_ceil(WORD_BITS)], len }
    }

    /// Number of bits.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no bit at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Changes the number of bits; new ones are 0.
    pub fn resize(&mut self, len: usize) {
        self.words.resize(len.div_ceil(WORD_BITS), 0);
        self.len = len;
        let used = len % WORD_BITS;
        if let Some(last) = self.words.last_mut().filter(|_| used != 0) {
            *last &= (1 << used) - 1;
        }
    }

    /// Makes every bit 0 and the number of bits `len`, keeping the memory.
    pub fn reset(&mut self, len: usize) {
        self.words.clear();
        self.words.resize(len.div_ceil(WORD_BITS), 0);
        self.len = len;
    }

    /// Bit `index`.
    ///
    /// # Panics
    /// `index < len` is the caller's part.
    #[must_use]
    pub fn get(&self, index: usize) -> bool {
        assert!(index < self.len, "bit {index} of {}", self.len);
        self.words[index / WORD_BITS] >> (index % WORD_BITS) & 1 == 1
    }

    /// Makes bit `index` 1.
    ///
    /// # Panics
    /// `index < len` is the caller's part.
    pub fn set(&mut self, index: usize) {
        assert!(index < self.len, "bit {index} of {}", self.len);
        self.words[index / WORD_BITS] |= 1 << (index % WORD_BITS);
    }

    /// Makes bit `index` 0.
    ///
    /// # Panics
    /// `index < len` is the caller's part.
    pub fn clear(&mut self, index: usize) {
        assert!(index < self.len, "bit {index} of {}", self.len);
        self.words[index / WORD_BITS] &= !(1 << (index % WORD_BITS));
    }

    /// Number of bits that are 1.
    #[must_use]
    pub fn count_ones(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Indexes of the bits that are 1, rising.
    pub fn iter_ones(&self) -> impl Iterator<Item = usize> + '_ {
        self.words
            .iter()
            .enumerate()
            .flat_map(|(at, word)| ones(*word).map(move |bit| at * WORD_BITS + bit))
    }

    /// The bits as words, lowest first.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        debug_assert_eq!(self.past_end(), 0, "B1: bits past the end are 0");
        &self.words
    }

    /// Bits of the last word that lie past the end.
    fn past_end(&self) -> u64 {
        let used = self.len % WORD_BITS;
        let last = self.words.last().filter(|_| used != 0);
        last.map_or(0, |last| last >> used)
    }

    /// The words, to be changed whole; bits past the end must stay 0.
    #[must_use]
    pub fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }
}

fn ones(word: u64) -> impl Iterator<Item = usize> {
    let mut rest = word;
    std::iter::from_fn(move || {
        let bit = rest.trailing_zeros() as usize;
        let found = rest != 0;
        rest &= rest.wrapping_sub(1);
        found.then_some(bit)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn b1_a_bitmap_is_a_list_of_bits(
            start in prop::collection::vec(any::<bool>(), 0..200),
            len in 0usize..200,
            flips in prop::collection::vec((0usize..200, any::<bool>()), 0..8),
        ) {
            let mut model = start.clone();
            let mut bits = Bitmap::new(start.len());
            start.iter().enumerate().filter(|(_, bit)| **bit).for_each(|(at, _)| bits.set(at));
            bits.resize(len);
            model.resize(len, false);
            for (at, bit) in flips.into_iter().filter(|(at, _)| *at < len) {
                if bit { bits.set(at) } else { bits.clear(at) }
                model[at] = bit;
            }
            let ones = || model.iter().enumerate().filter(|(_, bit)| **bit).map(|(at, _)| at);
            prop_assert!(bits.iter_ones().eq(ones()));
            prop_assert_eq!(bits.words().iter().map(|word| word.count_ones()).sum::<u32>() as usize,
                bits.count_ones(), "B1");
            prop_assert_eq!(bits.count_ones(), ones().count());
            bits.reset(len);
            prop_assert_eq!(bits, Bitmap::new(len));
        }
    }

    #[test]
    fn bits_are_set_counted_and_listed() {
        let mut bits = Bitmap::new(130);
        for index in [0, 63, 64, 129] {
            bits.set(index);
        }
        bits.clear(63);
        assert_eq!(bits.iter_ones().collect::<Vec<_>>(), [0, 64, 129]);
        assert_eq!(bits.count_ones(), 3);
        bits.resize(129);
        assert_eq!(bits.count_ones(), 2);
        bits.resize(200);
        assert!(!bits.get(129));
    }
}
