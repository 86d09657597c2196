//! Cursor: reads Go's integers and strings off the front of bytes, with the place in the file.
//!
//! Never: panics on what it reads, allocates more than the bytes it was given.

use crate::fault::{Fault, FaultAt};

const MORE: u8 = 0x80;
const VARINT_BYTES_MAX: usize = 10;

/// Reads big-endian and varint parts; knows its offset in the file for what it refuses.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    offset: u64,
}

impl<'a> Cursor<'a> {
    /// Over `bytes`, the first of which is at `offset` of its file.
    pub(crate) fn new(bytes: &'a [u8], offset: u64) -> Cursor<'a> {
        Cursor { rest: bytes, offset }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn fault(&self, fault: Fault) -> FaultAt {
        fault.at(self.offset)
    }

    pub(crate) fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], FaultAt> {
        let Some((part, rest)) = self.rest.split_at_checked(count) else {
            return Err(self.fault(Fault::Short(what)));
        };
        self.rest = rest;
        self.offset += count as u64;
        Ok(part)
    }

    pub(crate) fn byte(&mut self, what: &'static str) -> Result<u8, FaultAt> {
        Ok(self.take(1, what)?[0])
    }

    pub(crate) fn big_u32(&mut self, what: &'static str) -> Result<u32, FaultAt> {
        let bytes = self.take(4, what)?;
        Ok(u32::from_be_bytes(bytes.try_into().expect("four bytes were taken")))
    }

    pub(crate) fn big_u64(&mut self, what: &'static str) -> Result<u64, FaultAt> {
        let bytes = self.take(8, what)?;
        Ok(u64::from_be_bytes(bytes.try_into().expect("eight bytes were taken")))
    }

    pub(crate) fn uvarint(&mut self, what: &'static str) -> Result<u64, FaultAt> {
        match uvarint(self.rest) {
            Varint::Read { value, bytes } => {
                self.take(bytes, what)?;
                Ok(value)
            }
            Varint::Short => Err(self.fault(Fault::Short(what))),
            Varint::Wide => Err(self.fault(Fault::wrong(format!("{what} is wider than 64 bits")))),
        }
    }

    pub(crate) fn varint(&mut self, what: &'static str) -> Result<i64, FaultAt> {
        self.uvarint(what).map(unzigzag)
    }

    /// A count of parts that take at least `bytes_each` each, so that no larger count is believed.
    pub(crate) fn count(
        &mut self,
        bytes_each: usize,
        what: &'static str,
    ) -> Result<usize, FaultAt> {
        let before = self.clone();
        let count = self.uvarint(what)?;
        let most = self.rest.len() / bytes_each.max(1);
        match usize::try_from(count) {
            Ok(count) if count <= most => Ok(count),
            _ => Err(before
                .fault(Fault::wrong(format!("{what} is {count}, but there is room for {most}")))),
        }
    }

    /// A text with its length before it.
    pub(crate) fn text(&mut self, what: &'static str) -> Result<&'a str, FaultAt> {
        let length = self.count(1, what)?;
        let at = self.clone();
        let bytes = self.take(length, what)?;
        std::str::from_utf8(bytes)
            .map_err(|_| at.fault(Fault::wrong(format!("{what} is no UTF-8"))))
    }
}

/// What [`uvarint`] found.
pub(crate) enum Varint {
    Read { value: u64, bytes: usize },
    Short,
    Wide,
}

/// The unsigned varint at the front of `bytes`.
pub(crate) fn uvarint(bytes: &[u8]) -> Varint {
    let mut value = 0u64;
    for (at, byte) in bytes.iter().take(VARINT_BYTES_MAX).enumerate() {
        if at == VARINT_BYTES_MAX - 1 && 1 < *byte {
            return Varint::Wide;
        }
        value |= u64::from(byte & !MORE) << (7 * at);
        if byte & MORE == 0 {
            return Varint::Read { value, bytes: at + 1 };
        }
    }
    if bytes.len() < VARINT_BYTES_MAX { Varint::Short } else { Varint::Wide }
}

pub(crate) fn put_uvarint(out: &mut Vec<u8>, mut value: u64) {
    while u64::from(MORE) <= value {
        out.push(low_byte(value) | MORE);
        value >>= 7;
    }
    out.push(low_byte(value));
}

pub(crate) fn put_varint(out: &mut Vec<u8>, value: i64) {
    put_uvarint(out, zigzag(value));
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_uvarint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn zigzag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

#[expect(clippy::cast_possible_truncation, reason = "the low eight bits are what is wanted")]
fn low_byte(value: u64) -> u8 {
    value as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn integers_read_back(value in any::<i64>(), text in "\\PC{0,9}") {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            put_text(&mut out, &text);
            let mut cursor = Cursor::new(&out, 0);
            prop_assert_eq!(cursor.varint("a"), Ok(value));
            prop_assert_eq!(cursor.text("b"), Ok(text.as_str()));
            prop_assert!(cursor.is_empty());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
            let mut cursor = Cursor::new(&bytes, 0);
            while cursor.text("a").is_ok() && !cursor.is_empty() {}
            let _ = (cursor.varint("b"), cursor.count(3, "c"), cursor.big_u64("d"));
        }
    }

    #[test]
    fn places_are_told() {
        let mut cursor = Cursor::new(&[1, 0xff], 10);
        assert_eq!(cursor.byte("a"), Ok(1));
        assert_eq!(cursor.uvarint("b"), Err(Fault::Short("b").at(11)));
        let mut wide = Cursor::new(&[0xff; 11], 0);
        assert!(wide.uvarint("b").is_err());
        let mut many = Cursor::new(&[5, 1, 1], 3);
        let refused = "c is 5, but there is room for 2";
        assert_eq!(many.count(1, "c"), Err(Fault::wrong(refused).at(3)));
    }
}
