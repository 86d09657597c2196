//! Check: `cresset check config`, in promtool's words.

use std::path::Path;

use crate::config::load;
use crate::targets::Pools;

/// Checks the file at `path`: what is to be printed, and whether it is valid.
#[must_use]
pub fn check_config(path: &Path) -> (String, bool) {
    let shown = path.display();
    let mut report = format!("Checking {shown}\n");
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            report.push_str(&format!("  FAILED: read {shown}: {error}\n"));
            return (report, false);
        }
    };
    match load(&text, path) {
        Ok(config) => {
            for notice in &config.notices {
                report.push_str(&format!("  NOTICE: {notice}\n"));
            }
            let mut pools = Pools::default();
            pools.configure(&config.jobs);
            for fault in pools.list(|_| Vec::new()).faults {
                report.push_str(&format!("  WARNING: {fault}\n"));
            }
            let what = "valid prometheus config file syntax";
            report.push_str(&format!(" SUCCESS: {shown} is {what}\n"));
            (report, true)
        }
        Err(error) => {
            report.push_str("  FAILED:\n");
            for line in error.with_snippets().lines() {
                report.push_str(&format!("  {line}\n"));
            }
            (report, false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_and_invalid_files_are_told_apart() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("p.yml");
        let check = |text: &str| {
            std::fs::write(&path, text).expect("write");
            check_config(&path)
        };
        let (report, is_valid) = check("runtime: {gogc: 1}\n");
        assert!(is_valid && report.contains("SUCCESS") && report.contains("NOTICE"), "{report}");
        let (report, is_valid) = check("globall: {}\n");
        assert!(!is_valid && report.contains("did you mean global?"), "{report}");
        assert!(!check_config(&directory.path().join("none")).1);
    }
}
