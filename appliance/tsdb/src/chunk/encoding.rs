//! Encoding: the byte that says how a chunk's samples are written.

use crate::fault::Fault;

/// Most bytes of one chunk. Prometheus writes some kilobytes, a chunk of large histograms some
/// megabytes; no reader takes more memory for one than this.
pub const CHUNK_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How the samples of a chunk are written. The numbers are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Encoding {
    /// Floats.
    Xor = 1,
    /// Native histograms with integer counts.
    Histogram = 2,
    /// Native histograms with float counts.
    FloatHistogram = 3,
    /// Floats, timestamp and value in one prefix, with optional start timestamps.
    XorJoint = 4,
    /// Integer histograms with optional start timestamps.
    HistogramStart = 5,
    /// Float histograms with optional start timestamps.
    FloatHistogramStart = 6,
    /// Thanos's five aggregates of a downsampled series.
    Aggregate = 0xff,
}

impl Encoding {
    /// The encoding of this number.
    ///
    /// # Errors
    /// There is none.
    pub fn of(number: u8) -> Result<Encoding, Fault> {
        Ok(match number {
            1 => Encoding::Xor,
            2 => Encoding::Histogram,
            3 => Encoding::FloatHistogram,
            4 => Encoding::XorJoint,
            5 => Encoding::HistogramStart,
            6 => Encoding::FloatHistogramStart,
            0xff => Encoding::Aggregate,
            _ => return Err(Fault::wrong(format!("chunk encoding {number} is not known"))),
        })
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Its name, as upstream has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Xor => "XOR",
            Encoding::Histogram => "histogram",
            Encoding::FloatHistogram => "floathistogram",
            Encoding::XorJoint => "XOR2",
            Encoding::HistogramStart => "histogramST",
            Encoding::FloatHistogramStart => "floathistogramST",
            Encoding::Aggregate => "aggregate",
        }
    }

    /// Whether its samples are native histograms.
    #[must_use]
    pub fn is_histogram(self) -> bool {
        !matches!(self, Encoding::Xor | Encoding::XorJoint | Encoding::Aggregate)
    }
}
