//! Block buffers: memory aligned for direct writes.

/// Aligned, zeroed memory that an operation takes by value and gives back when it is done.
#[derive(Debug)]
pub struct Block {
    memory: Vec<u8>,
    start: usize,
    bytes: usize,
    /// Index in a ring's table of registered buffers; only that ring sets it.
    pub(crate) registered: Option<u16>,
}

impl Block {
    /// `bytes` zero bytes whose address is a multiple of `alignment`.
    ///
    /// # Panics
    /// `alignment` is a power of two and `bytes` a multiple of it.
    #[must_use]
    pub fn new(bytes: usize, alignment: usize) -> Block {
        assert!(alignment.is_power_of_two(), "alignment {alignment} is a power of two");
        assert!(bytes.is_multiple_of(alignment), "{bytes} bytes are whole blocks of {alignment}");
        let memory = vec![0; bytes + alignment];
        let start = memory.as_ptr().align_offset(alignment);
        assert!(start < alignment, "the aligned range lies inside the allocation");
        Block { memory, start, bytes, registered: None }
    }

    /// The aligned bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.bytes]
    }

    /// The aligned bytes, to be filled.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.bytes]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned() {
        for alignment in [1, 512, 4096] {
            let mut block = Block::new(2 * alignment, alignment);
            assert_eq!(block.as_slice().as_ptr().addr() % alignment, 0);
            assert_eq!(block.as_mut_slice().len(), 2 * alignment);
        }
    }
}
