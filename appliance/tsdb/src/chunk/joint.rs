//! XOR2 chunk, read: one prefix says what becomes of time and value, starts may follow.

use model::staleness::{is_stale, stale_nan};
use model::time::TimestampMs;

use super::start::StartReader;
use super::xor::sample_count;
use crate::bits::{BitReader, Window};
use crate::fault::Fault;
use crate::sample::Sample;

const COUNT_BYTES: usize = 2;
const HEADER_BYTES: usize = 3;

/// Reads the samples of an XOR2 chunk.
#[derive(Clone, Debug)]
pub(crate) struct JointReader {
    bits: BitReader,
    samples: u16,
    index: u16,
    timestamp: i64,
    delta: i64,
    /// The last value that is no staleness marker: what the next one is told from.
    base: f64,
    window: Window,
    start: StartReader,
}

impl JointReader {
    pub(crate) fn new(bytes: Vec<u8>) -> Result<JointReader, Fault> {
        let samples = sample_count(&bytes)?;
        let header = *bytes.get(COUNT_BYTES).ok_or(Fault::Short("the chunk's header"))?;
        Ok(JointReader {
            bits: BitReader::new(bytes, HEADER_BYTES),
            samples,
            index: 0,
            timestamp: 0,
            delta: 0,
            base: 0.0,
            window: Window::default(),
            start: StartReader::new(header),
        })
    }

    pub(crate) fn next(&mut self) -> Result<Option<Sample>, Fault> {
        if self.index == self.samples {
            return Ok(None);
        }
        let before = self.timestamp;
        let value = match self.index {
            0 => self.first()?,
            1 => {
                self.delta = self.bits.uvarint()?.cast_signed();
                self.value()?
            }
            _ => self.later()?,
        };
        if 0 < self.index {
            self.timestamp = before.wrapping_add(self.delta);
        }
        if !is_stale(value) {
            self.base = value;
        }
        let start = self.start.read(&mut self.bits, self.index, self.timestamp, before)?;
        self.index += 1;
        Ok(Some(Sample { start: TimestampMs(start), ..Sample::float(self.timestamp, value) }))
    }

    fn first(&mut self) -> Result<f64, Fault> {
        self.timestamp = self.bits.varint()?;
        self.bits.float()
    }

    /// A sample after the second: its value, and the difference of time set.
    fn later(&mut self) -> Result<f64, Fault> {
        let width = match self.bits.ones(5)? {
            0 => return Ok(self.base),
            1 => {
                return if self.bits.bit()? {
                    self.window.read_anew(&mut self.bits, self.base)
                } else {
                    self.window.read_within(&mut self.bits, self.base)
                };
            }
            2 => 13,
            3 => 20,
            4 => 64,
            _ => return Ok(stale_nan()),
        };
        // Two's complement here, unlike the older encodings.
        let shift = 64 - width;
        let difference = (self.bits.bits(width)? << shift).cast_signed() >> shift;
        self.delta = self.delta.wrapping_add(difference);
        self.value()
    }

    fn value(&mut self) -> Result<f64, Fault> {
        match self.bits.ones(3)? {
            0 => Ok(self.base),
            1 => self.window.read_within(&mut self.bits, self.base),
            2 => self.window.read_anew(&mut self.bits, self.base),
            _ => Ok(stale_nan()),
        }
    }
}
