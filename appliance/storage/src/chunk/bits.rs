//! Bit packing in vertical lanes: blocks of 128 integers of one width, integer `i` in row `i / 4`
//! of lane `i % 4`.
//!
//! Path: `integers` → **bits**.
//! Four 64-bit lanes have the same shift in every row, so that the plain loops below become vector
//! code on every target: two registers a row with SSE2, one with AVX2.

/// Integers side by side in a row.
const LANES: usize = 4;
/// Integers of a block.
pub(crate) const BLOCK: usize = 128;
/// Rows of a block.
const ROWS: usize = BLOCK / LANES;
/// Words of a lane at the largest width, and one for the row that reads past its own.
const WORDS: usize = ROWS + 1;
/// Bytes of one word of all lanes.
const WORD_ROW_BYTES: usize = LANES * 8;

/// One row of words, or of integers.
type Row = [u64; LANES];

/// Bytes of `count` integers of `width` bits.
pub(crate) fn packed_bytes(count: usize, width: u32) -> usize {
    let blocks = count / BLOCK * block_bytes(BLOCK, width);
    blocks + block_bytes(count % BLOCK, width)
}

/// A block's last words are cut to the bytes that hold something.
fn block_bytes(count: usize, width: u32) -> usize {
    LANES * (count.div_ceil(LANES) * width as usize).div_ceil(8)
}

/// Integers that [`unpack`] writes for `count`: whole blocks.
pub(crate) fn padded(count: usize) -> usize {
    count.next_multiple_of(BLOCK)
}

/// Appends the low `width` bits of each value.
///
/// # Panics
/// `width` is at most 64.
pub(crate) fn pack(values: &[u64], width: u32, out: &mut Vec<u8>) {
    assert!(width <= 64, "a width is at most 64 bits");
    if width == 0 {
        return;
    }
    for block in values.chunks(BLOCK) {
        let mut words = [[0; LANES]; WORDS];
        pack_block(block, width, &mut words);
        let lane_bytes = block_bytes(block.len(), width) / LANES;
        let (whole, cut) = words.split_at(lane_bytes / 8);
        for word in whole.as_flattened() {
            out.extend_from_slice(&word.to_le_bytes());
        }
        for word in cut[0] {
            out.extend_from_slice(&word.to_le_bytes()[..lane_bytes % 8]);
        }
    }
}

fn pack_block(block: &[u64], width: u32, words: &mut [Row; WORDS]) {
    let mask = mask(width);
    let mut bit = 0;
    for row in block.chunks(LANES) {
        let (word, shift) = (bit / 64, bit % 64);
        for (lane, value) in row.iter().enumerate() {
            let value = value & mask;
            words[word][lane] |= value << shift;
            // In two steps: a shift by 64 is none.
            words[word + 1][lane] |= value >> 1 >> (63 - shift);
        }
        bit += width as usize;
    }
}

/// Fills `out` with `count` values of `width` bits and, up to the end of their block, whatever;
/// `None` if `bytes` is not exactly theirs.
///
/// # Panics
/// `out` has [`padded`] places.
pub(crate) fn unpack(bytes: &[u8], width: u32, count: usize, out: &mut [u64]) -> Option<()> {
    assert_eq!(out.len(), padded(count), "integers are unpacked by whole blocks");
    if 64 < width || bytes.len() != packed_bytes(count, width) {
        return None;
    }
    if width == 0 {
        out.fill(0);
        return Some(());
    }
    let mut words = [[0; LANES]; WORDS];
    let (blocks, _) = out.as_chunks_mut::<BLOCK>();
    for (block, bytes) in blocks.iter_mut().zip(bytes.chunks(block_bytes(BLOCK, width))) {
        load(bytes, &mut words);
        unpack_block(&words, width, block);
    }
    Some(())
}

/// Words of a block. What stands in `words` beyond them is masked away later.
fn load(bytes: &[u8], words: &mut [Row; WORDS]) {
    let lane_bytes = bytes.len() / LANES;
    let (whole, cut) = bytes.split_at(lane_bytes / 8 * WORD_ROW_BYTES);
    let (whole, _) = whole.as_chunks::<8>();
    for (word, bytes) in words.as_flattened_mut().iter_mut().zip(whole) {
        *word = u64::from_le_bytes(*bytes);
    }
    let cut_bytes = lane_bytes % 8;
    if cut_bytes != 0 {
        for (word, bytes) in words[lane_bytes / 8].iter_mut().zip(cut.chunks_exact(cut_bytes)) {
            let mut eight = [0; 8];
            eight[..cut_bytes].copy_from_slice(bytes);
            *word = u64::from_le_bytes(eight);
        }
    }
}

fn unpack_block(words: &[Row; WORDS], width: u32, block: &mut [u64; BLOCK]) {
    let mask = mask(width);
    let (rows, _) = block.as_chunks_mut::<LANES>();
    let mut bit = 0;
    for row in rows {
        let (word, shift) = (bit / 64, bit % 64);
        let (low, high) = (words[word], words[word + 1]);
        for lane in 0..LANES {
            row[lane] = (low[lane] >> shift | high[lane] << 1 << (63 - shift)) & mask;
        }
        bit += width as usize;
    }
}

fn mask(width: u32) -> u64 {
    u64::MAX >> (64 - width)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The layout as its definition says it, a bit at a time.
    fn naive(values: &[u64], width: u32) -> Vec<u8> {
        let mut out = Vec::new();
        for block in values.chunks(BLOCK) {
            let lane_bytes = block_bytes(block.len(), width) / LANES;
            let mut lanes = vec![vec![0u8; lane_bytes]; LANES];
            for (at, value) in block.iter().enumerate() {
                for bit in (0..width as usize).filter(|bit| value >> bit & 1 == 1) {
                    let place = at / LANES * width as usize + bit;
                    lanes[at % LANES][place / 8] |= 1 << (place % 8);
                }
            }
            for start in (0..lane_bytes).step_by(8) {
                let end = (start + 8).min(lane_bytes);
                lanes.iter().for_each(|lane| out.extend_from_slice(&lane[start..end]));
            }
        }
        out
    }

    proptest! {
        #[test]
        fn every_width_round_trips_and_is_laid_out_as_defined(
            values in prop::collection::vec(any::<u64>(), 0..500),
            width in 0u32..=64,
        ) {
            let values: Vec<u64> =
                values.iter().map(|v| if width == 0 { 0 } else { v & mask(width) }).collect();
            let mut bytes = Vec::new();
            pack(&values, width, &mut bytes);
            prop_assert_eq!(bytes.len(), packed_bytes(values.len(), width));
            prop_assert_eq!(&bytes, &naive(&values, width));
            let mut found = vec![u64::MAX; padded(values.len())];
            prop_assert_eq!(unpack(&bytes, width, values.len(), &mut found), Some(()));
            prop_assert_eq!(&found[..values.len()], &values);
            bytes.push(0);
            prop_assert_eq!(unpack(&bytes, width, values.len(), &mut found), None);
        }
    }
}
