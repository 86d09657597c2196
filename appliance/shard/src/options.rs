//! Options: what the server decides for a shard.

use scrape::options::Options as ScrapeOptions;

/// Settings of one shard, besides those of its store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Settings of the scraper.
    pub scrape: ScrapeOptions,
    /// Most series that one selection may give, whatever the asker could bear.
    /// Range 1..=10 000 000. Default 1 000 000.
    pub select_series_max: usize,
    /// Series that one page of a selection looks at; bounds how long the loop is held.
    /// Range 1..=1 000 000. Default 2 048: a few milliseconds.
    pub select_page_series: usize,
    /// Milliseconds after `Stop` within which the open commit must become durable; then the shard
    /// stops without. Range 1..=60 000. Default 10 000: a commit takes milliseconds, a disk that
    /// hangs longer will not answer before systemd's patience ends.
    pub stop_grace_ms: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            scrape: ScrapeOptions::default(),
            select_series_max: 1_000_000,
            select_page_series: 2_048,
            stop_grace_ms: 10_000,
        }
    }
}
