//! Stats: what `/api/v1/status/tsdb` and the memory budget want to know of a store.

/// A name with a count; tables of them are sorted by falling count, then name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Metric name, label name or `name=value`.
    pub name: String,
    /// Series, values or bytes, as the table says.
    pub count: u64,
}

/// Bytes of memory by purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryBytes {
    /// Open tiles and the last row of each group.
    pub tiles: u64,
    /// Sealed tiles that wait for the disk.
    pub sealed: u64,
    /// References to tiles on disk.
    pub directory: u64,
    /// Series table and postings.
    pub index: u64,
    /// Label names and values.
    pub symbols: u64,
    /// Definitions that wait for the catalog, and its symbol numbers.
    pub catalog: u64,
    /// The ring of exemplars.
    pub exemplars: u64,
    /// Metadata of families.
    pub metadata: u64,
    /// Log records that wait for the disk.
    pub log: u64,
    /// Outlines of blocks that were read, and what the manifest says.
    pub blocks: u64,
}

impl MemoryBytes {
    /// Sum of all purposes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.tiles
            + self.sealed
            + self.directory
            + self.index
            + self.symbols
            + self.catalog
            + self.exemplars
            + self.metadata
            + self.log
            + self.blocks
    }
}

/// A store at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Live series.
    pub series: u64,
    /// Live groups.
    pub groups: u64,
    /// Chunks of the open tiles: columns with a sample in them.
    pub chunks: u64,
    /// Tiles on disk.
    pub tiles: u64,
    /// Oldest sample of the open and sealed tiles, milliseconds; `None` without samples.
    pub min_time_ms: Option<i64>,
    /// Newest sample, milliseconds; `None` without samples.
    pub max_time_ms: Option<i64>,
    /// Bytes of memory by purpose.
    pub memory: MemoryBytes,
    /// Metric names by series.
    pub series_by_metric_name: Vec<Named>,
    /// All label names, each with the hashes of its values, which are alike in every store.
    pub values_by_label_name: Vec<(String, Vec<u64>)>,
    /// Label names by bytes of their values, each counted once a series.
    pub bytes_by_label_name: Vec<Named>,
    /// `name=value` by series.
    pub series_by_label_pair: Vec<Named>,
}
