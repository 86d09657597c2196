//! Metadata: what a target says of a metric family beside its samples.
//!
//! Path: `scrape` → **metadata** → `annotate`; the API asks for it.

use exposition::metric_type::MetricType;
use thiserror::Error;

/// Most bytes of name, help and unit together: far more than anybody reads.
pub const TEXT_BYTES_MAX: usize = 16 << 10;

/// One metric family as one or more groups describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Family {
    /// Name of the family.
    pub name: Box<str>,
    /// Its type.
    pub metric_type: MetricType,
    /// What `# HELP` says; "" when nothing.
    pub help: Box<str>,
    /// What `# UNIT` says; "" when nothing.
    pub unit: Box<str>,
}

impl Family {
    /// Bytes of its texts.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.name.len() + self.help.len() + self.unit.len()
    }
}

/// Why metadata was refused; what stands before it in the same call is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MetadataError {
    /// The texts of a family are too long.
    #[error("metadata of {bytes} bytes, at most {TEXT_BYTES_MAX} are kept")]
    TooLong {
        /// Bytes of name, help and unit.
        bytes: usize,
    },
    /// The shard has as many bytes of metadata as it may.
    #[error("limit of {0} bytes of metadata reached")]
    Full(u64),
    /// The group was dropped after its last sample passed retention, or never made.
    #[error("group {0} is unknown")]
    UnknownGroup(u32),
}

/// Types by their numbers, which are on disk: never reorder them.
const TYPES: [MetricType; 8] = [
    MetricType::Unknown,
    MetricType::Counter,
    MetricType::Gauge,
    MetricType::Histogram,
    MetricType::Summary,
    MetricType::GaugeHistogram,
    MetricType::Info,
    MetricType::StateSet,
];

/// Number of a type on disk.
pub(crate) fn number_of(metric_type: MetricType) -> u8 {
    let at = TYPES.iter().position(|other| *other == metric_type);
    u8::try_from(at.expect("every type has a number")).expect("they are eight")
}

/// Type of a number on disk; `None` when this version knows none.
pub(crate) fn type_of(number: u8) -> Option<MetricType> {
    TYPES.get(usize::from(number)).copied()
}
