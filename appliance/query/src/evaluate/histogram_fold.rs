//! Sums and means of native histograms.

use model::native_histogram::{CounterResetHint, NativeHistogram};

use crate::evaluate::column::histogram_samples;
use crate::native::wide::{Adding, Incompatible, Told, Wide};

/// Beyond this an addition might overflow, and is tried on a copy first.
const SAFE_MAX: f64 = f64::MAX / 4.0;

/// A sum or mean of histograms under way.
#[derive(Clone, Debug)]
pub(crate) struct HistogramFold {
    /// The sum, or the mean where the sum would overflow.
    wide: Wide,
    is_mean: bool,
    incremental: bool,
    count: f64,
    large: bool,
    reset_seen: bool,
    not_reset_seen: bool,
    /// Custom bounds differed.
    pub(crate) reconciled: bool,
    /// Exponential and custom buckets met: there is no value.
    pub(crate) incompatible: bool,
}

impl HistogramFold {
    /// The fold of a first histogram.
    pub(crate) fn new(first: &NativeHistogram, is_mean: bool) -> HistogramFold {
        let mut fold = HistogramFold {
            wide: Wide::from(first),
            is_mean,
            incremental: false,
            count: 1.0,
            large: is_large(first),
            reset_seen: false,
            not_reset_seen: false,
            reconciled: false,
            incompatible: false,
        };
        fold.note_hint(first);
        fold
    }

    /// Bytes behind a fold that begins with `first`: its buckets, and what rounding took of each.
    pub(crate) fn heap_bytes(first: &NativeHistogram) -> u64 {
        size_of::<HistogramFold>() as u64 + 2 * 16 * histogram_samples(first)
    }

    fn note_hint(&mut self, histogram: &NativeHistogram) {
        match histogram.counter_reset_hint {
            CounterResetHint::Reset => self.reset_seen = true,
            CounterResetHint::NotReset => self.not_reset_seen = true,
            CounterResetHint::Unknown | CounterResetHint::Gauge => {}
        }
    }

    /// Whether what is known of resets differs.
    pub(crate) fn collided(&self) -> bool {
        self.reset_seen && self.not_reset_seen
    }

    /// Adds a histogram; `true` when it is the first that does not fit.
    pub(crate) fn add(&mut self, histogram: &NativeHistogram) -> bool {
        if self.incompatible {
            return false;
        }
        self.note_hint(histogram);
        self.count += 1.0;
        self.large |= is_large(histogram);
        match self.added(histogram) {
            Ok(told) => {
                self.reconciled |= told.bounds_reconciled;
                false
            }
            Err(Incompatible) => {
                self.incompatible = true;
                true
            }
        }
    }

    fn added(&mut self, histogram: &NativeHistogram) -> Result<Told, Incompatible> {
        if !self.incremental {
            let before = (self.is_mean && self.large).then(|| self.wide.clone());
            let told = self.wide.add(histogram, Adding::Compensated)?;
            let Some(before) = before.filter(|_| self.wide.overflows()) else {
                return Ok(told);
            };
            self.incremental = true;
            self.wide = before;
            self.wide.divide(self.count - 1.0);
        }
        self.wide.multiply((self.count - 1.0) / self.count);
        let mut share = Wide::from(histogram);
        share.divide(self.count);
        self.wide.add(&share.finish(false), Adding::Compensated)
    }

    /// The sum or mean; `compact` leaves empty buckets out.
    pub(crate) fn finish(mut self, compact: bool) -> NativeHistogram {
        if self.is_mean && !self.incremental {
            self.wide.divide(self.count);
        }
        self.wide.finish(compact)
    }
}

fn is_large(histogram: &NativeHistogram) -> bool {
    SAFE_MAX < histogram.sum.abs() || SAFE_MAX < histogram.count
}
