//! Streams: answers that last as long as their readers, and how many there are at once.
//!
//! Export, federation and remote read hold a query thread until their reader has taken all. They
//! may hold half of the threads, so that slow readers never keep every query waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use exposition::metrics::Collected;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a request waits for its turn before it is told to come back: less than the ten seconds
/// after which a scrape of `/federate` is given up.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);

/// The turns.
#[derive(Debug)]
pub struct Streams {
    turns: Arc<Semaphore>,
    streams_max: usize,
    waited: AtomicU64,
    refused: AtomicU64,
}

impl Streams {
    /// Turns for `streams_max` answers at once.
    #[must_use]
    pub fn new(streams_max: usize) -> Streams {
        let turns = Arc::new(Semaphore::new(streams_max));
        Streams { turns, streams_max, waited: AtomicU64::new(0), refused: AtomicU64::new(0) }
    }

    /// A turn, which ends when it is dropped; `None` when there is none in time.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() {
            return Some(turn);
        }
        self.waited.fetch_add(1, Ordering::Relaxed);
        let wait = Arc::clone(&self.turns).acquire_owned();
        let turn = tokio::time::timeout(TURN_TIMEOUT, wait).await;
        let turn = turn.ok().and_then(Result::ok);
        if turn.is_none() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        turn
    }

    /// Adds what is counted.
    pub fn collect(&self, into: &mut Collected) {
        let under_way = self.streams_max.saturating_sub(self.turns.available_permits());
        let help = "Exports, federations and remote reads that are answered.";
        into.gauge("cresset_http_streams", help, &[], float(count(under_way)));
        let help = "Most of them at once.";
        into.gauge("cresset_http_streams_max", help, &[], float(count(self.streams_max)));
        let help = "Those that had to wait for others.";
        let waited = self.waited.load(Ordering::Relaxed);
        into.counter("cresset_http_streams_waited_total", help, &[], float(waited));
        let help = "Those that were told to come back, since others did not end in time.";
        let refused = self.refused.load(Ordering::Relaxed);
        into.counter("cresset_http_streams_refused_total", help, &[], float(refused));
    }
}

fn count(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floats; 2^53 is far off")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_too_many_waits_for_another_to_end_and_is_refused_when_none_does() {
        let streams = Streams::new(1);
        let first = streams.turn().await.expect("room");
        assert!(streams.turn().await.is_none());
        let (second, ()) = tokio::join!(streams.turn(), async { drop(first) });
        assert!(second.is_some());
        let mut collected = Collected::default();
        streams.collect(&mut collected);
        let text = collected.to_text();
        for line in [
            "cresset_http_streams 1\n",
            "cresset_http_streams_waited_total 2\n",
            "cresset_http_streams_refused_total 1\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
