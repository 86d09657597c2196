//! Refresh: the rhythm of mechanisms that ask anew, and what becomes of a failure.
//!
//! Source: Prometheus's `discovery/refresh`. A failed refresh is counted and logged, and changes
//! nothing.

use std::future::Future;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::group::Group;
use crate::metrics::observe;
use crate::outlet::Outlet;

/// A mechanism that answers with everything it knows.
pub trait Refresh {
    /// All groups that there are.
    ///
    /// # Errors
    /// Why they are not known; whoever asked keeps what it has.
    fn refresh(&mut self) -> impl Future<Output = Result<Vec<Group>, String>> + Send;
}

/// Refreshes every `period`, the first time at once; a refresh that takes longer has failed.
pub async fn run(mut mechanism: impl Refresh, period: Duration, outlet: Outlet) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let began = Instant::now();
        let found = timeout(period, mechanism.refresh()).await;
        let late = |_| format!("no answer within {} s", period.as_secs_f64());
        let found = found.map_err(late).and_then(|found| found);
        observe(&outlet.own.refreshes, began.elapsed());
        match found {
            Ok(groups) => outlet.replace(groups).await,
            Err(reason) => {
                outlet.own.refresh_failures.fetch_add(1, Ordering::Relaxed);
                let (mechanism, job) = (outlet.own.mechanism, &outlet.own.job);
                tracing::error!(mechanism, job, reason, "targets could not be refreshed");
            }
        }
    }
}
