//! XOR chunk, written.

use crate::bits::{BitWriter, Window};

/// Widths of a difference of differences and the ones before it.
const WIDTHS: [(u32, u32); 3] = [(14, 1), (17, 2), (20, 3)];

/// Appends floats to an XOR chunk.
#[derive(Clone, Debug)]
pub(crate) struct XorWriter {
    bits: BitWriter,
    samples: u16,
    timestamp: i64,
    delta: i64,
    value: f64,
    window: Window,
}

impl XorWriter {
    pub(crate) fn new() -> XorWriter {
        XorWriter {
            bits: BitWriter::after(vec![0; 2]),
            samples: 0,
            timestamp: 0,
            delta: 0,
            value: 0.0,
            window: Window::default(),
        }
    }

    pub(crate) fn push(&mut self, timestamp: i64, value: f64) {
        let delta = timestamp.wrapping_sub(self.timestamp);
        match self.samples {
            0 => {
                self.bits.put_varint(timestamp);
                self.bits.put_float(value);
            }
            1 => {
                self.bits.put_uvarint(delta.cast_unsigned());
                self.window.write(&mut self.bits, value, self.value);
                self.delta = delta;
            }
            _ => {
                self.put_difference(delta.wrapping_sub(self.delta));
                self.window.write(&mut self.bits, value, self.value);
                self.delta = delta;
            }
        }
        (self.timestamp, self.value) = (timestamp, value);
        self.samples += 1;
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bits.bytes_mut()[..2].copy_from_slice(&self.samples.to_be_bytes());
        self.bits.into_bytes()
    }

    pub(crate) fn len(&self) -> usize {
        self.bits.bytes().len()
    }

    fn put_difference(&mut self, difference: i64) {
        if difference == 0 {
            self.bits.put(0, 1);
            return;
        }
        let fits = |width: u32| {
            let half = 1i64 << (width - 1);
            (1 - half..=half).contains(&difference)
        };
        let found = WIDTHS.iter().find(|(width, _)| fits(*width));
        match found {
            Some((width, ones)) => {
                self.bits.put(((1 << ones) - 1) << 1, ones + 1);
                self.bits.put(difference.cast_unsigned(), *width);
            }
            None => {
                self.bits.put(0b1111, 4);
                self.bits.put(difference.cast_unsigned(), 64);
            }
        }
    }
}
