//! Bits: the stream that chunks are made of, most significant bit first, with its integers.
//!
//! The forms are those of Prometheus's `chunkenc`: varints, the nine-bucket integers of histogram
//! chunks (`small`), and floats by exclusive or with a window.
//!
//! Never: reads past its end; that is a fault.

use crate::cursor::{put_uvarint, unzigzag, zigzag};
use crate::fault::Fault;

/// Widths of the buckets of a small integer; prefix k is k ones and a zero, the last eight ones.
const SMALL_WIDTHS: [u32; 9] = [0, 3, 6, 9, 12, 18, 25, 56, 64];
const SMALL_ONES_MAX: u32 = 8;

/// Reads a stream of bits.
#[derive(Clone, Debug)]
pub(crate) struct BitReader {
    bytes: Vec<u8>,
    at: usize,
}

impl BitReader {
    /// Over `bytes` from byte `start` on.
    pub(crate) fn new(bytes: Vec<u8>, start: usize) -> BitReader {
        BitReader { bytes, at: start * 8 }
    }

    pub(crate) fn left(&self) -> usize {
        (self.bytes.len() * 8).saturating_sub(self.at)
    }

    /// The next `count` bits, at most 64, as an unsigned integer.
    pub(crate) fn bits(&mut self, count: u32) -> Result<u64, Fault> {
        debug_assert!(count <= 64, "a word is asked for, not {count} bits");
        if self.left() < count as usize {
            return Err(Fault::Short("the chunk"));
        }
        if count == 0 {
            return Ok(0);
        }
        let (byte, skip) = (self.at / 8, u32::try_from(self.at % 8).expect("less than 8"));
        self.at += count as usize;
        if let Some(word) = self.bytes.get(byte..byte + 8)
            && skip + count <= 64
        {
            let word = u64::from_be_bytes(word.try_into().expect("eight bytes"));
            return Ok((word << skip) >> (64 - count));
        }
        let mut wide = [0; 16];
        let end = self.bytes.len().min(byte + 16);
        wide[..end - byte].copy_from_slice(&self.bytes[byte..end]);
        let bits = (u128::from_be_bytes(wide) << skip) >> (128 - count);
        Ok(u64::try_from(bits).expect("at most 64 bits are left"))
    }

    pub(crate) fn bit(&mut self) -> Result<bool, Fault> {
        Ok(self.bits(1)? == 1)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Fault> {
        Ok(u8::try_from(self.bits(8)?).expect("eight bits"))
    }

    pub(crate) fn float(&mut self) -> Result<f64, Fault> {
        self.bits(64).map(f64::from_bits)
    }

    /// How many ones come before a zero, which is taken too, or `most` without one.
    pub(crate) fn ones(&mut self, most: u32) -> Result<u32, Fault> {
        let mut ones = 0;
        while ones < most && self.bit()? {
            ones += 1;
        }
        Ok(ones)
    }

    /// A signed integer of `width` bits, where the greatest power of two is positive.
    pub(crate) fn signed(&mut self, width: u32) -> Result<i64, Fault> {
        let bits = self.bits(width)?;
        if width < 64 && 1 << (width - 1) < bits {
            return Ok(bits.wrapping_sub(1 << width).cast_signed());
        }
        Ok(bits.cast_signed())
    }

    pub(crate) fn uvarint(&mut self) -> Result<u64, Fault> {
        let mut value = 0u64;
        for at in 0..10 {
            let byte = self.byte()?;
            if at == 9 && 1 < byte {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Fault::wrong("an integer of the chunk is wider than 64 bits"))
    }

    pub(crate) fn varint(&mut self) -> Result<i64, Fault> {
        self.uvarint().map(unzigzag)
    }

    /// A signed small integer.
    pub(crate) fn small(&mut self) -> Result<i64, Fault> {
        let width = SMALL_WIDTHS[self.ones(SMALL_ONES_MAX)? as usize];
        if width == 0 { Ok(0) } else { self.signed(width) }
    }

    /// An unsigned small integer.
    pub(crate) fn small_unsigned(&mut self) -> Result<u64, Fault> {
        let width = SMALL_WIDTHS[self.ones(SMALL_ONES_MAX)? as usize];
        self.bits(width)
    }
}

/// Where the bits that differ lie: those before and behind are equal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Window {
    leading: u32,
    trailing: u32,
    is_set: bool,
}

impl Window {
    /// `value` with the difference that follows in this window.
    pub(crate) fn read_within(self, bits: &mut BitReader, value: f64) -> Result<f64, Fault> {
        let difference = bits.bits(64 - self.leading - self.trailing)?;
        Ok(f64::from_bits(value.to_bits() ^ (difference << self.trailing)))
    }

    /// `value` with the difference that follows, its window before it.
    pub(crate) fn read_anew(&mut self, bits: &mut BitReader, value: f64) -> Result<f64, Fault> {
        let leading = u32::try_from(bits.bits(5)?).expect("five bits");
        let width = match u32::try_from(bits.bits(6)?).expect("six bits") {
            0 => 64,
            width => width,
        };
        let Some(trailing) = 64u32.checked_sub(leading + width) else {
            return Err(Fault::wrong(format!("{width} bits behind {leading} do not fit a float")));
        };
        *self = Window { leading, trailing, is_set: true };
        self.read_within(bits, value)
    }

    /// The float that follows, `value` being the one before.
    pub(crate) fn read(&mut self, bits: &mut BitReader, value: f64) -> Result<f64, Fault> {
        match bits.ones(2)? {
            0 => Ok(value),
            1 => self.read_within(bits, value),
            _ => self.read_anew(bits, value),
        }
    }

    /// Writes `value`, the one before being `before`.
    pub(crate) fn write(&mut self, bits: &mut BitWriter, value: f64, before: f64) {
        let difference = value.to_bits() ^ before.to_bits();
        if difference == 0 {
            bits.put(0, 1);
            return;
        }
        let leading = difference.leading_zeros().min(31);
        let trailing = difference.trailing_zeros();
        if self.is_set && self.leading <= leading && self.trailing <= trailing {
            bits.put(0b10, 2);
            bits.put(difference >> self.trailing, 64 - self.leading - self.trailing);
            return;
        }
        let width = 64 - leading - trailing;
        *self = Window { leading, trailing, is_set: true };
        bits.put(0b11, 2);
        bits.put(u64::from(leading), 5);
        bits.put(u64::from(width & 63), 6);
        bits.put(difference >> trailing, width);
    }
}

/// Writes a stream of bits.
#[derive(Clone, Debug, Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits of the last byte that are free.
    free: u32,
}

impl BitWriter {
    /// Behind `bytes`.
    pub(crate) fn after(bytes: Vec<u8>) -> BitWriter {
        BitWriter { bytes, free: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Appends the low `count` bits of `value`, at most 64.
    pub(crate) fn put(&mut self, value: u64, count: u32) {
        let mut left = count;
        while 0 < left {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let take = left.min(self.free);
            let part = (value >> (left - take)) & ((1 << take) - 1);
            let part = u8::try_from(part).expect("at most eight bits");
            let last = self.bytes.last_mut().expect("a byte was pushed");
            *last |= part << (self.free - take);
            self.free -= take;
            left -= take;
        }
    }

    pub(crate) fn put_float(&mut self, value: f64) {
        self.put(value.to_bits(), 64);
    }

    pub(crate) fn put_uvarint(&mut self, value: u64) {
        let mut bytes = Vec::with_capacity(10);
        put_uvarint(&mut bytes, value);
        for byte in bytes {
            self.put(u64::from(byte), 8);
        }
    }

    pub(crate) fn put_varint(&mut self, value: i64) {
        self.put_uvarint(zigzag(value));
    }

    /// Appends a signed small integer.
    pub(crate) fn put_small(&mut self, value: i64) {
        let fits = |width: u32| match width {
            0 => value == 0,
            64 => true,
            _ => {
                let half = 1i64 << (width - 1);
                (1 - half..=half).contains(&value)
            }
        };
        self.put_bucket(value.cast_unsigned(), fits);
    }

    /// Appends an unsigned small integer.
    pub(crate) fn put_small_unsigned(&mut self, value: u64) {
        self.put_bucket(value, |width| 64 - value.leading_zeros() <= width);
    }

    fn put_bucket(&mut self, value: u64, fits: impl Fn(u32) -> bool) {
        let bucket = SMALL_WIDTHS.iter().position(|width| fits(*width));
        let ones = u32::try_from(bucket.expect("64 bits fit all")).expect("nine buckets");
        let prefix = (1u64 << ones) - 1;
        if ones < SMALL_ONES_MAX {
            self.put(prefix << 1, ones + 1);
        } else {
            self.put(prefix, ones);
        }
        self.put(value, SMALL_WIDTHS[ones as usize]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_integer() -> impl Strategy<Value = i64> {
        (any::<i64>(), 0u32..64).prop_map(|(value, shift)| value >> shift)
    }

    proptest! {
        #[test]
        fn integers_and_floats_read_back(
            integers in prop::collection::vec(any_integer(), 1..20),
            floats in prop::collection::vec(any::<u64>(), 1..20),
        ) {
            let mut bits = BitWriter::default();
            for integer in &integers {
                bits.put_small(*integer);
                bits.put_small_unsigned(integer.cast_unsigned());
                bits.put_varint(*integer);
            }
            let (mut window, mut before) = (Window::default(), 0.5);
            for float in &floats {
                let value = f64::from_bits(*float);
                window.write(&mut bits, value, before);
                before = value;
            }
            let mut read = BitReader::new(bits.into_bytes(), 0);
            for integer in integers {
                prop_assert_eq!(read.small(), Ok(integer));
                prop_assert_eq!(read.small_unsigned(), Ok(integer.cast_unsigned()));
                prop_assert_eq!(read.varint(), Ok(integer));
            }
            let (mut window, mut before) = (Window::default(), 0.5);
            for float in floats {
                before = window.read(&mut read, before).expect("written");
                prop_assert_eq!(before.to_bits(), float);
            }
            prop_assert!(read.left() < 8);
        }
    }

    #[test]
    fn the_edges_of_small_integers_are_upstreams() {
        let width = |value: i64| {
            let mut bits = BitWriter::default();
            bits.put_small(value);
            u32::try_from(bits.len() * 8).expect("short") - bits.free
        };
        let widths = [0, 4, 5, -3, -4, 32, 33, 256, 257, 2048, 131_072, 16_777_216, i64::MIN];
        let widths: Vec<u32> = widths.into_iter().map(width).collect();
        assert_eq!(widths, [1, 5, 9, 5, 9, 9, 13, 13, 17, 17, 24, 32, 72]);
    }

    #[test]
    fn the_end_is_a_fault() {
        let mut read = BitReader::new(vec![0xff], 0);
        assert_eq!(read.bits(5), Ok(31));
        assert_eq!(read.bits(4), Err(Fault::Short("the chunk")));
        assert_eq!(read.bits(3), Ok(7));
    }
}
