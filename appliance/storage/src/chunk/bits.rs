//! Bit packing: integers of a fixed width, one after the other, least significant bit first.
//!
//! Path: `integers` → **bits**.

/// Width up to which a value and its bit offset fit one 64-bit load.
const WIDTH_ONE_LOAD: u32 = 57;

/// Bytes of `count` values of `width` bits.
pub(crate) fn packed_bytes(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

/// Appends the low `width` bits of each value.
pub(crate) fn pack(values: &[u64], width: u32, out: &mut Vec<u8>) {
    assert!(width <= 64, "a width is at most 64 bits");
    if width == 0 {
        return;
    }
    let mask = mask(width);
    let mut held: u128 = 0;
    let mut held_bits = 0;
    for value in values {
        held |= u128::from(value & mask) << held_bits;
        held_bits += width;
        while 8 <= held_bits {
            out.push(held.to_le_bytes()[0]);
            held >>= 8;
            held_bits -= 8;
        }
    }
    if 0 < held_bits {
        out.push(held.to_le_bytes()[0]);
    }
}

/// Appends `count` values of `width` bits; `None` if `bytes` is not exactly theirs.
pub(crate) fn unpack(bytes: &[u8], width: u32, count: usize, out: &mut Vec<u64>) -> Option<()> {
    if 64 < width || bytes.len() != packed_bytes(count, width) {
        return None;
    }
    if width == 0 {
        out.resize(out.len() + count, 0);
        return Some(());
    }
    let mask = mask(width);
    let width = width as usize;
    let whole = if width <= WIDTH_ONE_LOAD as usize {
        // Values whose eight bytes from their first are all there.
        let last_bit = bytes.len().saturating_sub(7) * 8;
        last_bit.div_ceil(width).min(count)
    } else {
        0
    };
    out.extend((0..whole).map(|at| {
        let bit = at * width;
        let eight = bytes[bit / 8..].first_chunk::<8>().expect("`whole` leaves eight bytes");
        u64::from_le_bytes(*eight) >> (bit % 8) & mask
    }));
    out.extend((whole..count).map(|at| wide(bytes, at * width) & mask));
    Some(())
}

/// Up to 64 bits from bit `bit` on, zeros past the end.
fn wide(bytes: &[u8], bit: usize) -> u64 {
    let mut window = [0; 16];
    let rest = &bytes[bit / 8..];
    let count = rest.len().min(window.len());
    window[..count].copy_from_slice(&rest[..count]);
    low_half(u128::from_le_bytes(window) >> (bit % 8))
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
fn low_half(window: u128) -> u64 {
    window as u64
}

fn mask(width: u32) -> u64 {
    u64::MAX >> (64 - width)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_width_round_trips(
            values in prop::collection::vec(any::<u64>(), 0..200),
            width in 0u32..=64,
        ) {
            let values: Vec<u64> =
                values.iter().map(|v| if width == 0 { 0 } else { v & mask(width) }).collect();
            let mut bytes = Vec::new();
            pack(&values, width, &mut bytes);
            prop_assert_eq!(bytes.len(), packed_bytes(values.len(), width));
            let mut found = Vec::new();
            prop_assert_eq!(unpack(&bytes, width, values.len(), &mut found), Some(()));
            prop_assert_eq!(&found, &values);
            bytes.push(0);
            prop_assert_eq!(unpack(&bytes, width, values.len(), &mut found), None);
        }
    }
}
