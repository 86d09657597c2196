//! Processors, memory pages and the clock.

use std::fs;
use std::path::Path;

use machine::plan::{Wanted, plan};
use machine::topology::allowed;

use crate::doctor::checkup::Check;
use crate::host::lines::{LINES_MAX, read};

/// Programs that keep the clock right.
const CLOCK_KEEPERS: [&str; 4] = ["chronyd", "ntpd", "systemd-timesyn", "ptp4l"];

/// All findings about processors, pages and clock.
#[must_use]
pub fn examine(proc: &Path, sys: &Path) -> Vec<Check> {
    let cpus = allowed();
    let planned = plan(&cpus, &Wanted::default());
    let planned = planned.map_or_else(|error| error.to_string(), |plan| plan.to_string());
    let governor = read(sys, "devices/system/cpu/cpu0/cpufreq/scaling_governor");
    let pages = read(sys, "kernel/mm/transparent_hugepage/enabled");
    let synchronized = Path::new("/run/systemd/timesync/synchronized").exists();
    vec![
        processors(cpus.len(), &planned),
        frequency(governor.as_deref()),
        huge_pages(pages.as_deref()),
        clock(synchronized, keeper(proc).as_deref()),
    ]
}

fn processors(count: usize, plan: &str) -> Check {
    let found = format!("{count}: {plan}");
    if 1 < count {
        return Check::ok("processors", found);
    }
    let advice = "queries and scrapes share one processor: allow two, as in \
                  AllowedCPUs= or the cpuset of the container";
    Check::without("processors", found, advice)
}

fn frequency(governor: Option<&str>) -> Check {
    match governor.map(str::trim) {
        None => Check::ok("frequency", "not ours to set"),
        Some("powersave") => {
            let advice = "scrapes may start late: cpupower frequency-set -g performance";
            Check::without("frequency", "powersave", advice)
        }
        Some(other) => Check::ok("frequency", other),
    }
}

fn huge_pages(enabled: Option<&str>) -> Check {
    match enabled {
        Some(text) if text.contains("[always]") => {
            let advice = "memory grows in steps of 2 MiB: \
                          echo madvise > /sys/kernel/mm/transparent_hugepage/enabled";
            Check::without("huge pages", "always", advice)
        }
        Some(text) => {
            let chosen = text.split(['[', ']']).nth(1).unwrap_or("unknown");
            Check::ok("huge pages", chosen)
        }
        None => Check::ok("huge pages", "none"),
    }
}

/// The program that keeps the clock, if one runs.
fn keeper(proc: &Path) -> Option<String> {
    let entries = fs::read_dir(proc).ok()?.take(LINES_MAX).flatten();
    let mut names = entries.filter_map(|entry| read(&entry.path(), "comm"));
    names.find_map(|name| CLOCK_KEEPERS.contains(&name.trim()).then(|| name.trim().to_owned()))
}

fn clock(synchronized: bool, keeper: Option<&str>) -> Check {
    match keeper {
        _ if synchronized => Check::ok("clock", "synchronized"),
        Some(keeper) => Check::ok("clock", format!("kept by {keeper}")),
        None => {
            let advice = "samples carry wrong times when the clock drifts, and a jump refuses or \
                          ages them: apt-get install chrony";
            Check::without("clock", "nothing seen that keeps it", advice)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::checkup::Verdict;

    #[test]
    fn settings_are_judged() {
        assert_eq!(processors(1, "").verdict, Verdict::WorksWithout);
        assert_eq!(frequency(Some("powersave\n")).verdict, Verdict::WorksWithout);
        assert_eq!(frequency(Some("performance\n")).verdict, Verdict::Ok);
        assert_eq!(huge_pages(Some("[always] madvise never")).verdict, Verdict::WorksWithout);
        assert_eq!(huge_pages(Some("always [madvise] never")).found, "madvise");
        assert_eq!(clock(false, None).verdict, Verdict::WorksWithout);
        assert_eq!(clock(false, Some("chronyd")).verdict, Verdict::Ok);
    }
}
