//! Decoder: the samples of a chunk, one after the other, whatever its encoding.

use std::sync::Arc;

use super::encoding::Encoding;
use super::histogram::HistogramReader;
use super::joint::JointReader;
use super::xor::XorReader;
use crate::fault::Fault;
use crate::sample::{Counts, Sample};

/// Reads the samples of one chunk.
#[derive(Clone, Debug)]
pub struct Decoder(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Xor(XorReader),
    Joint(JointReader),
    Histogram(Box<HistogramReader>),
    Plain(Arc<[Sample]>, usize),
}

impl Decoder {
    /// Over the bytes of a chunk, without length, encoding and checksum.
    ///
    /// # Errors
    /// The header is cut. Aggregate chunks have no samples of their own: take a part of them.
    pub fn new(encoding: Encoding, bytes: Vec<u8>) -> Result<Decoder, Fault> {
        let histogram = |bytes, counts, starts| {
            HistogramReader::new(bytes, counts, starts)
                .map(|reader| Kind::Histogram(Box::new(reader)))
        };
        let kind = match encoding {
            Encoding::Xor => Kind::Xor(XorReader::new(bytes)?),
            Encoding::XorJoint => Kind::Joint(JointReader::new(bytes)?),
            Encoding::Histogram => histogram(bytes, Counts::Integer, false)?,
            Encoding::FloatHistogram => histogram(bytes, Counts::Float, false)?,
            Encoding::HistogramStart => histogram(bytes, Counts::Integer, true)?,
            Encoding::FloatHistogramStart => histogram(bytes, Counts::Float, true)?,
            Encoding::Aggregate => {
                return Err(Fault::wrong("an aggregate chunk has no samples: take one aggregate"));
            }
        };
        Ok(Decoder(kind))
    }

    /// Over samples that are in no chunk.
    #[must_use]
    pub fn of_samples(samples: Arc<[Sample]>) -> Decoder {
        Decoder(Kind::Plain(samples, 0))
    }

    /// The next sample; `None` at the end.
    ///
    /// # Errors
    /// The chunk is cut or contradicts itself. Do not ask again.
    pub fn read(&mut self) -> Result<Option<Sample>, Fault> {
        match &mut self.0 {
            Kind::Xor(reader) => reader.next(),
            Kind::Joint(reader) => reader.next(),
            Kind::Histogram(reader) => reader.next(),
            Kind::Plain(samples, at) => {
                *at += 1;
                Ok(samples.get(*at - 1).cloned())
            }
        }
    }
}
