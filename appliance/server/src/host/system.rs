//! System: what the operating system calls itself, and counters of its virtual memory.
//!
//! Source: node_exporter's os and vmstat collectors; the same fields by default.

use std::collections::BTreeMap;
use std::path::Path;

use exposition::metrics::Collected;

use crate::host::lines::{LINES_MAX, number, read};

/// Counters of `/proc/vmstat` that are shown.
const VMSTAT: [&str; 7] = [
    "node_vmstat_oom_kill",
    "node_vmstat_pgfault",
    "node_vmstat_pgmajfault",
    "node_vmstat_pgpgin",
    "node_vmstat_pgpgout",
    "node_vmstat_pswpin",
    "node_vmstat_pswpout",
];

/// Keys of `os-release` that are labels.
const RELEASE: [&str; 12] = [
    "build_id",
    "id",
    "id_like",
    "image_id",
    "image_version",
    "name",
    "pretty_name",
    "variant",
    "variant_id",
    "version",
    "version_codename",
    "version_id",
];

/// `/proc/vmstat`
pub fn vmstat(text: &str, into: &mut Collected) {
    for line in text.lines().take(LINES_MAX) {
        let Some((field, value)) = line.split_once(' ') else { continue };
        let shown = VMSTAT.iter().find(|name| name.strip_prefix("node_vmstat_") == Some(field));
        if let (Some(name), Some(value)) = (shown, number(Some(value))) {
            into.untyped(name, "Counter of virtual memory.", &[], value);
        }
    }
}

/// Sources of the clock that the kernel has, and the one in use.
pub fn clock_sources(sys: &Path, into: &mut Collected) {
    let file = |name: &str| read(sys, &format!("devices/system/clocksource/clocksource0/{name}"));
    let both = [
        (
            "node_time_clocksource_available_info",
            "Available clocksources read from '/sys/devices/system/clocksource'.",
            file("available_clocksource"),
        ),
        (
            "node_time_clocksource_current_info",
            "Current clocksource read from '/sys/devices/system/clocksource'.",
            file("current_clocksource"),
        ),
    ];
    for (name, help, text) in both {
        for source in text.unwrap_or_default().split_ascii_whitespace().take(LINES_MAX) {
            into.gauge(name, help, &[("clocksource", source), ("device", "0")], 1.0);
        }
    }
}

/// `/etc/os-release`
pub fn release(text: &str, into: &mut Collected) {
    let mut found = BTreeMap::new();
    for line in text.lines().take(LINES_MAX) {
        if let Some((key, value)) = line.split_once('=') {
            found.insert(key.to_ascii_lowercase(), value.trim_matches(['"', '\'']));
        }
    }
    let value = |key: &str| found.get(key).copied().unwrap_or_default();
    let labels: Vec<(&str, &str)> = RELEASE.iter().map(|key| (*key, value(key))).collect();
    into.gauge("node_os_info", "What the operating system calls itself.", &labels, 1.0);
    // `12.4.1` is shown as 12.4: a metric is one number.
    let mut parts = value("version_id").split('.');
    let major = parts.next().unwrap_or_default();
    let minor = parts.next().map(|minor| format!("{major}.{minor}"));
    if let Some(version) = number(Some(minor.as_deref().unwrap_or(major))) {
        let labels = ["id", "id_like", "name"].map(|key| (key, value(key)));
        let help = "Version of the operating system, as far as it is a number.";
        into.gauge("node_os_version", help, &labels, version);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_has_a_name_and_a_number() {
        let mut into = Collected::default();
        release("ID=alpine\nNAME=\"Alpine Linux\"\nVERSION_ID=3.20.1\n# no\n", &mut into);
        let text = into.to_text();
        let version = "node_os_version{id=\"alpine\",id_like=\"\",name=\"Alpine Linux\"} 3.2\n";
        assert!(text.contains(version), "{text}");
        assert!(text.contains("version_id=\"3.20.1\""), "{text}");
    }

    #[test]
    fn only_the_usual_counters_are_shown() {
        let mut into = Collected::default();
        vmstat("pgfault 5\nnr_free_pages 9\noom_kill 0\n", &mut into);
        let text = into.to_text();
        assert!(text.contains("node_vmstat_pgfault 5\n"));
        assert!(text.contains("node_vmstat_oom_kill 0\n"));
        assert!(!text.contains("nr_free"));
    }
}
