//! Storage: what is kept, for how long, and how much anybody may have.
//!
//! Path: sections `storage` and `cresset` → **storage** → `boot`.

use storage::compaction::{Resolution, Tier};
use storage::options::OwnerLimit;

use crate::config::fault::Fault;
use crate::config::fields::own::{LIMITS, OWNER_LIMIT, TIER};
use crate::config::fields::storage::{CHUNK_ENCODING, EXEMPLARS, RETENTION, STORAGE, TSDB};
use crate::config::section::{self, Findings, Section};

/// `storage`; `None` leaves the choice to flags and defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StorageConfig {
    /// `tsdb.retention.time`, milliseconds.
    pub retention_ms: Option<u64>,
    /// `tsdb.retention.size`, bytes.
    pub retention_bytes: Option<u64>,
    /// `tsdb.retention.percentage`, of the disk.
    pub retention_percentage: Option<f64>,
    /// `tsdb.out_of_order_time_window`, milliseconds; 0 refuses what is out of order.
    pub out_of_order_ms: u64,
    /// `exemplars.max_exemplars`
    pub exemplars_max: Option<u64>,
}

/// `cresset.limits`; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory of the head, all shards together.
    pub head_bytes: u64,
    /// One target.
    pub target: OwnerLimit,
    /// All targets of a job.
    pub job: OwnerLimit,
    /// All targets of a tenant.
    pub tenant: OwnerLimit,
}

/// Reads `storage`.
pub fn read(top: &Section<'_>, findings: &mut Findings) -> StorageConfig {
    let Some(node) = top.get("storage") else { return StorageConfig::default() };
    let storage = Section::open(node, &STORAGE, findings);
    let exemplars_max = storage.get("exemplars").and_then(|node| {
        Section::open(node, &EXEMPLARS, findings).count("max_exemplars", findings)
    });
    let mut read = StorageConfig { exemplars_max, ..StorageConfig::default() };
    let Some(node) = storage.get("tsdb") else { return read };
    let tsdb = Section::open(node, &TSDB, findings);
    read.out_of_order_ms = tsdb.duration_ms("out_of_order_time_window", findings).unwrap_or(0);
    check_chunk_encoding(&tsdb, findings);
    let Some(node) = tsdb.get("retention") else { return read };
    let retention = Section::open(node, &RETENTION, findings);
    read.retention_ms = retention.duration_ms("time", findings).filter(|ms| *ms != 0);
    if !is_negative(&retention, "size", findings) {
        read.retention_bytes = retention.size("size", findings).filter(|bytes| *bytes != 0);
    }
    if !is_negative(&retention, "percentage", findings) {
        let percentage = retention.number("percentage", findings).filter(|share| *share != 0.0);
        if percentage.is_some_and(|share| !(0.0..=100.0).contains(&share)) {
            let place = retention.place_of("percentage");
            findings.push(Fault::wrong(place, PERCENTAGE));
        }
        read.retention_percentage = percentage;
    }
    read
}

const PERCENTAGE: &str = "'storage.tsdb.retention.percentage' must be in the range [0, 100]";

fn is_negative(retention: &Section<'_>, field: &str, findings: &mut Findings) -> bool {
    let text = match field {
        "size" => "'storage.tsdb.retention.size' must be greater than or equal to 0",
        _ => PERCENTAGE,
    };
    let value = retention.get(field).and_then(section::scalar_text);
    let negative = value.is_some_and(|value| value.starts_with('-'));
    if negative {
        findings.push(Fault::wrong(retention.place_of(field), text));
    }
    negative
}

fn check_chunk_encoding(tsdb: &Section<'_>, findings: &mut Findings) {
    let Some(node) = tsdb.get("chunk_encoding") else { return };
    let encoding = Section::open(node, &CHUNK_ENCODING, findings);
    let floats = encoding.text("floats", findings).unwrap_or("");
    if !["", "xor", "xor2"].contains(&floats) {
        let text = format!(
            "'storage.tsdb.chunk_encoding.floats' must be 'xor' or 'xor2', or the field must be \
             omitted entirely, got {}",
            model::label_name::quote(floats)
        );
        findings.push(Fault::wrong(encoding.place_of("floats"), text));
    }
}

/// Reads `cresset.retention`.
pub fn tiers(own: &Section<'_>, findings: &mut Findings) -> Vec<Tier> {
    let mut tiers = Vec::new();
    for node in own.list("retention", findings) {
        let section = Section::open(node, &TIER, findings);
        let matchers =
            section.text("match", findings).map_or(Ok(Vec::new()), api::selector::parse_selector);
        let matchers = matchers.unwrap_or_else(|reason| {
            let text = format!("cresset.retention match: {reason}");
            findings.push(Fault::wrong(section.place_of("match"), text));
            Vec::new()
        });
        let resolution = match section.text("resolution", findings).unwrap_or("raw") {
            "raw" => Resolution::Raw,
            "5m" => Resolution::FiveMinutes,
            "1h" => Resolution::Hour,
            other => {
                let other = model::label_name::quote(other);
                let text = format!("cresset.retention resolution is {other}, not raw, 5m or 1h");
                findings.push(Fault::wrong(section.place_of("resolution"), text));
                Resolution::Raw
            }
        };
        let Some(keep_ms) = section.duration_ms("keep", findings).filter(|ms| *ms != 0) else {
            let text = "cresset.retention keep must be greater than 0";
            findings.push(Fault::wrong(section.place_of("keep"), text));
            continue;
        };
        tiers.push(Tier { matchers, resolution, keep_ms });
    }
    if TIERS_MAX < tiers.len() {
        let text = format!("cresset.retention has more than {TIERS_MAX} entries");
        findings.push(Fault::wrong(own.place_of("retention"), text));
    }
    tiers
}

/// Entries of `cresset.retention`: compaction matches every series with them.
const TIERS_MAX: usize = 100;

/// Reads `cresset.limits`.
pub fn limits(own: &Section<'_>, findings: &mut Findings) -> Limits {
    let Some(node) = own.get("limits") else { return Limits::default() };
    let section = Section::open(node, &LIMITS, findings);
    let owner = |name: &str, findings: &mut Findings| {
        let Some(node) = section.get(name) else { return OwnerLimit::default() };
        let owner = Section::open(node, &OWNER_LIMIT, findings);
        let series = owner.count("series", findings).unwrap_or(0);
        OwnerLimit {
            series_max: u32::try_from(series).unwrap_or(u32::MAX),
            bytes_max: owner.size("bytes", findings).unwrap_or(0),
        }
    };
    Limits {
        target: owner("target", findings),
        job: owner("job", findings),
        tenant: owner("tenant", findings),
        head_bytes: section.size("head_bytes", findings).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::load;

    #[test]
    fn retention_tiers_and_limits_are_read() {
        let text = "storage:
  tsdb: {out_of_order_time_window: 30m, retention: {time: 30d, size: 10GB, percentage: 80}}
cresset:
  retention:
    - {match: '{job=\"node\"}', keep: 15d}
    - {match: '{job=\"node\"}', resolution: 5m, keep: 1y}
  limits: {head_bytes: 1GB, job: {series: 1000}, target: {bytes: 1MB}}
";
        let config = load(text, Path::new("p.yml")).unwrap();
        let expected = StorageConfig {
            retention_ms: Some(30 * 86_400_000),
            retention_bytes: Some(10 << 30),
            retention_percentage: Some(80.0),
            out_of_order_ms: 1_800_000,
            exemplars_max: None,
        };
        assert_eq!(config.storage, expected);
        let tiers: Vec<(Resolution, u64, usize)> = config
            .own
            .tiers
            .iter()
            .map(|tier| (tier.resolution, tier.keep_ms / 86_400_000, tier.matchers.len()))
            .collect();
        assert_eq!(tiers, [(Resolution::Raw, 15, 1), (Resolution::FiveMinutes, 365, 1)]);
        assert_eq!(config.own.limits.head_bytes, 1 << 30);
        assert_eq!(config.own.limits.job, OwnerLimit { series_max: 1000, bytes_max: 0 });
        assert_eq!(config.own.limits.target, OwnerLimit { series_max: 0, bytes_max: 1 << 20 });
    }

    #[test]
    fn wrong_tiers_are_refused_with_their_place() {
        for (text, part) in [
            ("cresset: {retention: [{match: 'x{', keep: 1d}]}", "match: "),
            ("cresset: {retention: [{resolution: 7m, keep: 1d}]}", "not raw, 5m or 1h"),
            ("cresset: {retention: [{match: x}]}", "keep must be greater than 0"),
            ("storage: {tsdb: {retention: {percentage: 101}}}", "in the range [0, 100]"),
            ("storage: {tsdb: {retention: {size: -1GB}}}", "greater than or equal to 0"),
        ] {
            let error = load(text, Path::new("p.yml")).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
