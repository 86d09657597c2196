//! Damages: places of files that did not check when they were read.
//!
//! Path: `tiles` on a query's thread → **damages** → log, `/metrics`.
//! Owns: which places are known, so that each is told once.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::sync::ShardedLock;
use exposition::metrics::Collected;
use storage::names::FileName;

use crate::handle::Gauges;

/// Places that are known of one shard; further ones are counted and told each time.
const PLACES_MAX: usize = 10_000;

/// What is known to be damaged of one shard's files.
#[derive(Default)]
pub(crate) struct Damages {
    places: ShardedLock<BTreeSet<(FileName, u64)>>,
    left_out: AtomicU64,
}

impl Damages {
    /// Notes that answers go on without what stands at `offset` of `file`.
    pub(crate) fn note(&self, directory: &Path, (file, offset): (FileName, u64), reason: &str) {
        self.left_out.fetch_add(1, Ordering::Relaxed);
        let is_new = self
            .places
            .write()
            .is_ok_and(|mut places| places.len() < PLACES_MAX && places.insert((file, offset)));
        let is_known = self.places.read().is_ok_and(|places| places.contains(&(file, offset)));
        if is_new || !is_known {
            tracing::error!(
                file = %directory.join(file.to_string()).display(), offset, reason,
                "a file is damaged: queries leave out what stood there and warn; `cresset tsdb \
                 verify` of a stopped server or a snapshot tells what is lost"
            );
        }
    }

    /// A file is gone, and its damages with it.
    pub(crate) fn forget(&self, file: &FileName) {
        if let Ok(mut places) = self.places.write() {
            places.retain(|(other, _)| other != file);
        }
    }

    fn count(&self) -> usize {
        self.places.read().map_or(0, |places| places.len())
    }
}

impl Gauges for Damages {
    fn collect(&self, into: &mut Collected) {
        #[expect(
            clippy::cast_precision_loss,
            reason = "counters past 2^53 may lose their last bit"
        )]
        let left_out = self.left_out.load(Ordering::Relaxed) as f64;
        into.counter(
            "cresset_storage_damaged_reads_total",
            "Times that a query left out what stood at a damaged place.",
            &[],
            left_out,
        );
        #[expect(clippy::cast_precision_loss, reason = "at most 10,000")]
        let places = self.count() as f64;
        into.gauge(
            "cresset_storage_damaged_places",
            "Places of files that did not check when a query read them.",
            &[],
            places,
        );
    }
}
