//! Push gateway: the way to the task that holds groups of batch jobs, and what is counted of them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use exposition::metrics::Collected;
use model::label_set::LabelSet;
use tokio::sync::{OnceCell, mpsc, oneshot};

use crate::groups::{Change, Full, Stamped};

/// The way to the task, which the first change begins.
#[derive(Debug, Default)]
pub struct PushGateway {
    /// Takes changes in order.
    pub orders: OnceCell<mpsc::Sender<Order>>,
    /// Groups that are held.
    pub groups: AtomicUsize,
    /// Their bytes.
    pub bytes: AtomicUsize,
    /// Changes that found no room.
    pub full: AtomicU64,
    /// Times that groups were not stored again, since the time before took too long.
    pub skipped: AtomicU64,
}

/// A change of one group.
#[derive(Debug)]
pub struct Order {
    /// Its grouping labels.
    pub key: LabelSet,
    /// The change.
    pub change: Change,
    /// Takes what is to be stored of it.
    pub reply: oneshot::Sender<Result<Stamped, Full>>,
}

impl PushGateway {
    /// Adds what is counted.
    pub fn collect(&self, into: &mut Collected) {
        let size = |size: &AtomicUsize| u64::try_from(size.load(Ordering::Relaxed)).unwrap_or(0);
        let help = "Groups that batch jobs pushed and that stay current.";
        into.gauge("cresset_pushed_groups", help, &[], float(size(&self.groups)));
        into.memory("pushed_groups", size(&self.bytes));
        let help = "Pushes that found no room.";
        let full = float(self.full.load(Ordering::Relaxed));
        into.counter("cresset_pushed_groups_full_total", help, &[], full);
        let help = "Times that groups were not stored again, since the time before took too long.";
        let skipped = float(self.skipped.load(Ordering::Relaxed));
        into.counter("cresset_pushed_groups_skipped_total", help, &[], skipped);
    }
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floats; 2^53 is far off")]
fn float(count: u64) -> f64 {
    count as f64
}
