//! Measures: what one loop counts of itself and of its client.
//!
//! Metrics: docs of each stand in its help text.

use exposition::metrics::Collected;
use hdrhistogram::Histogram;

use crate::client::Client;

/// Longest time told apart, microseconds.
const MICROS_MAX: u64 = 600_000_000;
/// Upper bounds of the exported buckets, microseconds.
const BUCKETS: [u64; 12] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 2_500_000, 10_000_000];

struct Times {
    histogram: Histogram<u64>,
    sum_nanos: u64,
}

impl Times {
    fn new() -> Times {
        let histogram = Histogram::new_with_bounds(1, MICROS_MAX, 2);
        Times { histogram: histogram.expect("the bounds are right"), sum_nanos: 0 }
    }

    fn record(&mut self, nanos: u64) {
        self.histogram.saturating_record((nanos / 1_000).max(1));
        self.sum_nanos = self.sum_nanos.saturating_add(nanos);
    }

    fn collect(&self, name: &'static str, help: &'static str, shard: &str, into: &mut Collected) {
        let buckets =
            BUCKETS.map(|micros| (micros as f64 / 1e6, self.histogram.count_between(0, micros)));
        let labels = [("shard", shard)];
        let sum = self.sum_nanos as f64 / 1e9;
        into.histogram(name, help, &labels, &buckets, sum, self.histogram.len());
    }
}

/// Counters and latencies of one loop.
pub(crate) struct Measures {
    turns: Times,
    commits: Times,
    fetches: Times,
    /// Commits that took longer than they may.
    pub(crate) stalled: u64,
    /// Messages held back because a background thread's queue was full.
    pub(crate) held: u64,
}

impl Default for Measures {
    fn default() -> Measures {
        let (turns, commits, fetches) = (Times::new(), Times::new(), Times::new());
        Measures { turns, commits, fetches, stalled: 0, held: 0 }
    }
}

impl Measures {
    pub(crate) fn turn(&mut self, nanos: u64) {
        self.turns.record(nanos);
    }

    pub(crate) fn commit(&mut self, nanos: u64) {
        self.commits.record(nanos);
    }

    pub(crate) fn fetch(&mut self, nanos: u64) {
        self.fetches.record(nanos);
    }

    /// Adds everything to `into`.
    pub(crate) fn collect(
        &self,
        shard: &str,
        client: &Client,
        refused: u64,
        longest_nanos: u64,
        into: &mut Collected,
    ) {
        let labels = [("shard", shard)];
        let help = "Time of one turn of a shard's loop, without its wait in the kernel.";
        self.turns.collect("cresset_shard_turn_duration_seconds", help, shard, into);
        let help = "Time from handing a commit over to learning that it is durable or failed.";
        self.commits.collect("cresset_wal_commit_duration_seconds", help, shard, into);
        let help = "Time of one fetch, from its beginning to its last byte.";
        self.fetches.collect("cresset_fetch_duration_seconds", help, shard, into);
        let help = "Longest turn of a shard's loop: a stall of everything on its core.";
        let longest = longest_nanos as f64 / 1e9;
        into.gauge("cresset_shard_longest_turn_seconds", help, &labels, longest);
        let counters = client.counters();
        let links = client.connections().counters();
        let pool = client.pool().counters();
        let values: [(&'static str, &'static str, u64); 16] = [
            ("cresset_wal_commit_stalls_total", "Commits past their deadline.", self.stalled),
            ("cresset_shard_held_messages_total", "Full queues to background threads.", self.held),
            ("cresset_shard_questions_refused_total", "Questions to a full mailbox.", refused),
            ("cresset_fetch_total", "Fetches ended, faults included.", counters.fetches),
            ("cresset_fetch_deadlines_total", "Fetches ended by deadline.", counters.deadlines),
            ("cresset_fetch_connections_opened_total", "Connections opened.", links.opened),
            ("cresset_fetch_connections_reused_total", "Requests on kept ones.", links.reused),
            ("cresset_fetch_retries_total", "Requests sent anew, kept one dead.", counters.retried),
            ("cresset_fetch_connections_evicted_total", "Kept ones closed.", links.evicted),
            (
                "cresset_fetch_refused_total",
                "Fetches without a connection.",
                counters.refused + links.refused,
            ),
            ("cresset_fetch_handshakes_total", "TLS handshakes.", counters.handshakes),
            ("cresset_fetch_elsewhere_total", "Fetches over HTTP/2.", counters.elsewhere),
            ("cresset_fetch_buffers_reused_total", "Body buffers used again.", pool.reused),
            ("cresset_fetch_buffers_made_total", "Body buffers made.", pool.made),
            ("cresset_fetch_buffers_freed_total", "Body buffers freed, pool full.", pool.freed),
            ("cresset_shard_turns_total", "Turns of a shard's loop.", self.turns.histogram.len()),
        ];
        for (name, help, value) in values {
            into.counter(name, help, &labels, value as f64);
        }
        let (active, connections, idle) = client.sizes();
        let sizes = [
            ("cresset_fetch_active", "Fetches in flight.", active),
            ("cresset_fetch_connections", "Open connections.", connections),
            ("cresset_fetch_connections_idle", "Open connections that are idle.", idle),
        ];
        for (name, help, value) in sizes {
            into.gauge(name, help, &labels, value as f64);
        }
        into.memory("fetch_buffers", client.pool().idle_bytes() as u64);
    }
}
