//! XOR chunk, read: times as differences of differences, floats by exclusive or.

use crate::bits::{BitReader, Window};
use crate::fault::Fault;
use crate::sample::Sample;

const HEADER_BYTES: usize = 2;
/// Widths of a difference of differences by the ones before it.
const WIDTHS: [u32; 5] = [0, 14, 17, 20, 64];

/// Reads the samples of an XOR chunk.
#[derive(Clone, Debug)]
pub(crate) struct XorReader {
    bits: BitReader,
    samples: u16,
    index: u16,
    timestamp: i64,
    delta: i64,
    value: f64,
    window: Window,
}

impl XorReader {
    pub(crate) fn new(bytes: Vec<u8>) -> Result<XorReader, Fault> {
        let samples = sample_count(&bytes)?;
        let bits = BitReader::new(bytes, HEADER_BYTES);
        let window = Window::default();
        Ok(XorReader { bits, samples, index: 0, timestamp: 0, delta: 0, value: 0.0, window })
    }

    pub(crate) fn next(&mut self) -> Result<Option<Sample>, Fault> {
        if self.index == self.samples {
            return Ok(None);
        }
        let bits = &mut self.bits;
        if self.index == 0 {
            self.timestamp = bits.varint()?;
            self.value = bits.float()?;
        } else {
            if self.index == 1 {
                self.delta = bits.uvarint()?.cast_signed();
            } else {
                let width = WIDTHS[bits.ones(4)? as usize];
                if width != 0 {
                    self.delta = self.delta.wrapping_add(bits.signed(width)?);
                }
            }
            self.timestamp = self.timestamp.wrapping_add(self.delta);
            self.value = self.window.read(bits, self.value)?;
        }
        self.index += 1;
        Ok(Some(Sample::float(self.timestamp, self.value)))
    }
}

/// The first two bytes of every chunk.
pub(crate) fn sample_count(bytes: &[u8]) -> Result<u16, Fault> {
    let count = bytes.first_chunk::<HEADER_BYTES>().ok_or(Fault::Short("the chunk's header"))?;
    Ok(u16::from_be_bytes(*count))
}
