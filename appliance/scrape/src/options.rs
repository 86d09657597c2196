//! Options: what the server decides for a scraper, besides its targets.

/// Settings of one shard's scraper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Number of the shard, for labels of what it counts.
    pub shard: u32,
    /// Most fetches at once; targets due beyond it wait their turn, and skip slots when they wait
    /// too long. Range 1..=65 536. Default 1 024: sockets and buffers of one shard.
    pub in_flight_max: usize,
    /// Bytes of a body where the target's job sets no limit. Range 1 KiB..=4 GiB. Default 256 MiB:
    /// no memory is spent before the body is there.
    pub body_bytes_max: u64,
    /// Value of User-Agent. Default `Cresset/<version>`.
    pub user_agent: String,
    /// Columns that a target's group may have beyond eight times what the target exposes, before
    /// its series begin again in a fresh group. Range 16..=1 000 000. Default 4 096: 32 KiB a row.
    pub columns_spare: usize,
    /// Cells that the rows of samples with timestamps of their own may take in one scrape; more
    /// fails it. Range 1 024..=1 000 000 000. Default 16 777 216 (128 MiB pass through memory).
    pub timed_cells_max: usize,
    /// Exemplars that the shard keeps; the oldest goes for the newest. 0 keeps none. Range
    /// 0..=10 000 000. Default 100 000 (upstream's for all targets): 20 MB when full.
    pub exemplars_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            shard: 0,
            in_flight_max: 1_024,
            body_bytes_max: 256 << 20,
            user_agent: concat!("Cresset/", env!("CARGO_PKG_VERSION")).to_owned(),
            columns_spare: 4_096,
            timed_cells_max: 1 << 24,
            exemplars_max: 100_000,
        }
    }
}
