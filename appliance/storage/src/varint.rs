//! Varints, zigzag, and the cursor that every reader of outside bytes uses.
//!
//! Path: `chunk`, `tile`, `catalog`, `log` → **varint**.
//! Never: panics on what it reads; `None` means cut short or out of range.

/// Bytes of the longest varint of 64 bits.
#[cfg(test)]
pub(crate) const VARINT_BYTES_MAX: usize = 10;

const MORE: u8 = 0x80;
const BITS: u32 = 7;

/// Appends `value`, seven bits a byte, least significant first.
pub(crate) fn put(out: &mut Vec<u8>, mut value: u64) {
    while u64::from(MORE) <= value {
        out.push(low_byte(value) | MORE);
        value >>= BITS;
    }
    out.push(low_byte(value));
}

/// Appends a signed `value` in zigzag form.
pub(crate) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put(out, zigzag(value));
}

/// Appends the length of `bytes` and `bytes`.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Signed to unsigned so that small magnitudes stay small.
pub(crate) fn zigzag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

/// Inverse of [`zigzag`].
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

#[expect(clippy::cast_possible_truncation, reason = "the low eight bits are what is wanted")]
fn low_byte(value: u64) -> u8 {
    value as u8
}

/// Reads parts off the front of a slice.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Bytes not read so far.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    pub(crate) fn unsigned(&mut self) -> Option<u64> {
        let first = self.byte()?;
        if first < MORE {
            return Some(first.into());
        }
        let mut value = u64::from(first & !MORE);
        let mut shift = BITS;
        loop {
            let byte = self.byte()?;
            let bits = u64::from(byte & !MORE);
            if shift == 63 && 1 < bits {
                return None;
            }
            value |= bits << shift;
            if byte < MORE {
                return Some(value);
            }
            shift += BITS;
            if 63 < shift {
                return None;
            }
        }
    }

    pub(crate) fn signed(&mut self) -> Option<i64> {
        self.unsigned().map(unzigzag)
    }

    pub(crate) fn unsigned32(&mut self) -> Option<u32> {
        u32::try_from(self.unsigned()?).ok()
    }

    pub(crate) fn size(&mut self) -> Option<usize> {
        usize::try_from(self.unsigned()?).ok()
    }

    /// Bytes with their length before them.
    pub(crate) fn sized_bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.size()?;
        self.bytes(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn longest_values_fit_ten_bytes() {
        let mut out = Vec::new();
        put(&mut out, u64::MAX);
        assert_eq!(out.len(), VARINT_BYTES_MAX);
        assert_eq!(Cursor::new(&out).unsigned(), Some(u64::MAX));
        out[9] = 2;
        assert_eq!(Cursor::new(&out).unsigned(), None, "more than 64 bits");
        assert_eq!(Cursor::new(&[0x80; 11]).unsigned(), None);
    }

    proptest! {
        #[test]
        fn round_trip(value: i64, bytes: Vec<u8>) {
            let mut out = Vec::new();
            put_signed(&mut out, value);
            put_bytes(&mut out, &bytes);
            let mut cursor = Cursor::new(&out);
            prop_assert_eq!(cursor.signed(), Some(value));
            prop_assert_eq!(cursor.sized_bytes(), Some(&bytes[..]));
            prop_assert!(cursor.is_empty());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let mut cursor = Cursor::new(&bytes);
            while cursor.unsigned().is_some() {}
            let _ = Cursor::new(&bytes).sized_bytes();
        }
    }
}
