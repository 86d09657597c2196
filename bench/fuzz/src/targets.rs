//! Targets: each reader of outside bytes by its name, which is that of its corpus too.

use crate::{bodies, prometheus, queries, settings, stores};

/// Reads some bytes, which may be wrong in any way; what it promises is asserted.
pub type Target = fn(&[u8]);

/// All of them.
pub const TARGETS: [(&str, Target); 25] = [
    ("exposition", bodies::exposition),
    ("http_response", bodies::http_response),
    ("received", bodies::received),
    ("import", bodies::import),
    ("otlp", bodies::otlp),
    ("promql", queries::promql),
    ("evaluate", queries::evaluate),
    ("regex", queries::regex),
    ("parameters", queries::parameters),
    ("storage_wal", stores::storage_wal),
    ("storage_tile", stores::storage_tile),
    ("storage_block", stores::storage_block),
    ("storage_catalog", stores::storage_catalog),
    ("storage_manifest", stores::storage_manifest),
    ("tsdb_index", prometheus::tsdb_index),
    ("tsdb_chunk", prometheus::tsdb_chunk),
    ("tsdb_wal", prometheus::tsdb_wal),
    ("tsdb_files", prometheus::tsdb_files),
    ("config", settings::config),
    ("rules", settings::rules),
    ("web_config", settings::web_config),
    ("relabel", settings::relabel),
    ("discovery", settings::discovery),
    ("host", settings::host),
    ("peer", settings::peer),
];

/// The target of this name.
#[must_use]
pub fn find(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}
