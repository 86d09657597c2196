//! Subscribers: how many hear of notifications at once, and what is counted of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use exposition::metrics::Collected;

/// Who hears of notifications.
#[derive(Debug, Default)]
pub struct Subscribers {
    count: Arc<AtomicUsize>,
    sent: AtomicU64,
}

impl Subscribers {
    /// Adds what is counted, under upstream's names.
    pub fn collect(&self, into: &mut Collected) {
        let help = "The current number of active notification subscribers.";
        let name = "prometheus_api_notification_active_subscribers";
        let count = u64::try_from(self.count.load(Ordering::Relaxed)).unwrap_or(u64::MAX);
        into.gauge(name, help, &[], float(count));
        let help = "Total number of notification updates sent.";
        let name = "prometheus_api_notification_updates_sent_total";
        into.counter(name, help, &[], float(self.sent.load(Ordering::Relaxed)));
    }

    /// Counts an event that was sent.
    pub fn told(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// A place, unless `subscribers_max` are taken.
    #[must_use]
    pub fn take(&self, subscribers_max: usize) -> Option<Place> {
        let one_more = |count: usize| (count < subscribers_max).then_some(count + 1);
        let taken = self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.is_ok().then(|| Place(Arc::clone(&self.count)))
    }
}

/// One subscriber's place.
#[derive(Debug)]
pub struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floats; 2^53 is far off")]
fn float(count: u64) -> f64 {
    count as f64
}
