//! Native: values that are numbers or native histograms, and how fine a job keeps the latter.
//!
//! Path: `ingest`, `timed` → **native** → cells.

use std::sync::Arc;

use exposition::native::{check_counts, limit, reduce};
use model::native_histogram::NativeHistogram;
use storage::cells::{Cell, Cells};
use storage::row::ColumnKind;

use crate::error::ScrapeError;
use crate::memory::text_hash;
use crate::target::NativeLimits;

/// Keeps the hash of a histogram's series apart from that of a number's.
const HISTOGRAM_MARK: u128 = 1 << 127;

/// What a sample says.
#[derive(Clone, Debug)]
pub enum Value {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<NativeHistogram>),
}

impl Value {
    /// The histogram, where it is one.
    #[must_use]
    pub fn native(&self) -> Option<Arc<NativeHistogram>> {
        match self {
            Value::Float(_) => None,
            Value::Histogram(histogram) => Some(Arc::clone(histogram)),
        }
    }

    /// The kind of column that it goes to.
    #[must_use]
    pub fn kind(&self) -> ColumnKind {
        match self {
            Value::Float(_) => ColumnKind::Float,
            Value::Histogram(_) => ColumnKind::Histogram,
        }
    }
}

/// What remembers the column of a series: a series of numbers and one of histograms may bear the
/// same name, and have a column each.
#[must_use]
pub fn value_hash(text: &[u8], value: &Value) -> u128 {
    let hash = text_hash(text);
    match value {
        Value::Float(_) => hash,
        Value::Histogram(_) => hash ^ HISTOGRAM_MARK,
    }
}

/// The histogram as fine as the job keeps it.
///
/// # Errors
/// [`ScrapeError::BucketLimit`] when it cannot be made coarse enough, [`ScrapeError::Native`] when
/// its counts do not add up: the whole scrape fails.
pub fn fit(
    mut histogram: Arc<NativeHistogram>,
    limits: &NativeLimits,
) -> Result<Arc<NativeHistogram>, ScrapeError> {
    check_counts(&histogram)?;
    if limits.schema < histogram.schema {
        reduce(Arc::make_mut(&mut histogram), limits.schema);
    }
    let buckets = histogram.positive_buckets.len() + histogram.negative_buckets.len();
    let most = usize::try_from(limits.buckets).unwrap_or(usize::MAX);
    if most != 0 && most < buckets && !limit(Arc::make_mut(&mut histogram), most) {
        return Err(ScrapeError::BucketLimit);
    }
    Ok(histogram)
}

/// Makes an absent cell of a histogram column present; [`sort_histograms`] must follow the last.
pub fn put_histogram(cells: &mut Cells, column: u32, histogram: Arc<NativeHistogram>) {
    cells.set(column as usize, Cell::Present(0.0));
    cells.histograms.push((column, histogram));
}

/// Puts the histograms of a row in order of column: at once, so that no order in which a target
/// shows them makes the row slow.
pub fn sort_histograms(cells: &mut Cells) {
    cells.histograms.sort_unstable_by_key(|(column, _)| *column);
}
