//! Cores: which processors do what, and how far background work gives way.
//!
//! Path: `cresset.cores` and `cresset.pacing` → **cores** → `boot`.

use machine::plan::Wanted;
use shard::pace::Bounds;

use crate::config::fault::Fault;
use crate::config::fields::own::{CORES, PACING};
use crate::config::section::{Findings, Section};

/// Processors that a kernel of today can have.
const CPU_MAX: usize = 8_192;
const MIB: u64 = 1 << 20;
const RATE_MAX: u64 = 16 * 1024 * MIB;

/// Reads `cresset.cores`.
pub fn cores(own: &Section<'_>, findings: &mut Findings) -> Wanted {
    let Some(node) = own.get("cores") else { return Wanted::default() };
    let section = Section::open(node, &CORES, findings);
    let list = |name: &str, findings: &mut Findings| {
        let text = section.text(name, findings)?;
        let list = cpu_list(text);
        if list.is_none() {
            let shown = model::label_name::quote(text);
            let text = format!("cresset.cores.{name} is {shown}, not a list as 0-3,8");
            findings.push(Fault::wrong(section.place_of(name), text));
        }
        list
    };
    Wanted { shards: list("shards", findings), service: list("service", findings) }
}

/// A list as the kernel writes it; `None` when it is none, or empty.
fn cpu_list(text: &str) -> Option<Vec<usize>> {
    let mut list = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if last < first || CPU_MAX <= last {
            return None;
        }
        list.extend(first..=last);
    }
    Some(list)
}

/// Reads `cresset.pacing`.
pub fn pacing(own: &Section<'_>, findings: &mut Findings) -> Bounds {
    let mut bounds = Bounds::default();
    let Some(node) = own.get("pacing") else { return bounds };
    let section = Section::open(node, &PACING, findings);
    let check = |name: &str, value: u64, from: u64, to: u64, findings: &mut Findings| {
        if !(from..=to).contains(&value) {
            let text = format!("cresset.pacing.{name} must be in the range [{from}, {to}]");
            findings.push(Fault::wrong(section.place_of(name), text));
        }
        value
    };
    if let Some(rate) = section.size("compaction_rate_max", findings) {
        bounds.rate_max = check("compaction_rate_max", rate, MIB, RATE_MAX, findings);
        bounds.rate_min = bounds.rate_min.min(bounds.rate_max);
    }
    if let Some(rate) = section.size("compaction_rate_min", findings) {
        bounds.rate_min = check("compaction_rate_min", rate, MIB, bounds.rate_max, findings);
    }
    if let Some(ms) = section.duration_ms("commit_age_max", findings) {
        let least = bounds.commit_age_ms_min;
        bounds.commit_age_ms_max = check("commit_age_max", ms, least, 1_000, findings);
    }
    bounds
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::load;

    #[test]
    fn cores_and_bounds_are_read() {
        let text = "cresset:
  cores: {shards: '1-3, 8', service: 0}
  pacing: {compaction_rate_min: 2MiB, compaction_rate_max: 2MiB, commit_age_max: 10ms}
";
        let own = load(text, Path::new("p.yml")).unwrap().own;
        assert_eq!(own.cores.shards, Some(vec![1, 2, 3, 8]));
        assert_eq!(own.cores.service, Some(vec![0]));
        assert_eq!((own.pacing.rate_min, own.pacing.rate_max), (2 * MIB, 2 * MIB));
        assert_eq!(own.pacing.commit_age_ms_max, 10);
        let defaults = load("", Path::new("p.yml")).unwrap().own;
        assert_eq!((defaults.cores, defaults.pacing), (Wanted::default(), Bounds::default()));
    }

    #[test]
    fn wrong_cores_and_bounds_are_refused_with_their_place() {
        for (text, part) in [
            ("cresset: {cores: {shards: 3-1}}", "p.yml:1:27: cresset.cores.shards is \"3-1\""),
            ("cresset: {cores: {service: ''}}", "cresset.cores.service is \"\""),
            ("cresset: {cores: {service: 0-99999}}", "not a list as 0-3,8"),
            ("cresset: {pacing: {compaction_rate_min: 1KiB}}", "compaction_rate_min must be in"),
            ("cresset: {pacing: {compaction_rate_max: 1KiB}}", "compaction_rate_max must be in"),
            ("cresset: {pacing: {commit_age_max: 5ms}}", "must be in the range [10, 1000]"),
        ] {
            let error = load(text, Path::new("p.yml")).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
