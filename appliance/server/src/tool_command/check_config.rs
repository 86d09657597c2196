//! `cresset check config`, in promtool's words.
//!
//! Source: `CheckConfig` of Prometheus's `cmd/promtool/main.go`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use discovery::glob::files;
use discovery::group::{Group, read_json, read_yaml};
use discovery::mechanism::Mechanism;
use model::duration::format_duration_ms;
use scrape::http_options::{Authorization, HttpOptions, Text};
use scrape::job::target;

use crate::config::job::ScrapeConfig;
use crate::config::jobs::FILES_MAX;
use crate::config::{Config, load, rule_patterns, tree};
use crate::targets::Pools;
use crate::tool_arguments::CheckConfigOptions;
use crate::tool_command::check_rules;
use crate::tool_command::ended::Ended;
use crate::tsdb_command::print::output;

/// Sections that an agent may not have, and what upstream says of them.
const NOT_OF_AGENTS: [(&str, &str); 3] = [
    ("alerting", "field alerting is not allowed in agent mode"),
    ("rule_files", "field rule_files is not allowed in agent mode"),
    ("remote_read", "field remote_read is not allowed in agent mode"),
];

/// Checks the files.
///
/// # Errors
/// The output refuses.
pub fn run(options: &CheckConfigOptions) -> Result<Ended> {
    let mut ended = Ended::Well;
    for file in &options.files {
        let checked = Checked::new(file, options);
        let mut out = output();
        write!(out, "{}", checked.report)?;
        out.flush()?;
        eprint!("{}", checked.faults);
        writeln!(out)?;
        out.flush()?;
        if !checked.faults.is_empty() {
            ended = Ended::Failed;
        }
        if options.syntax_only {
            continue;
        }
        if let Some(text) = checked.long_interval(options) {
            eprintln!("  FAILED: {text}");
            let judged = if options.rules.is_fatal { Ended::Linted } else { Ended::Well };
            ended = ended.max(judged);
        }
        ended = ended.max(check_rules::check(&checked.rule_files, &options.rules)?);
    }
    Ok(ended)
}

/// What became of one file.
#[derive(Debug, Default)]
struct Checked {
    /// For standard output.
    report: String,
    /// For standard error; empty when it is valid.
    faults: String,
    /// The rule files that it names.
    rule_files: Vec<PathBuf>,
    /// Interval of each job, milliseconds.
    intervals: Vec<(String, u64)>,
}

impl Checked {
    fn new(path: &Path, options: &CheckConfigOptions) -> Checked {
        let shown = path.display();
        let mut checked = Checked { report: format!("Checking {shown}\n"), ..Checked::default() };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                checked.faults = format!("  FAILED: read {shown}: {error}\n");
                return checked;
            }
        };
        if options.is_agent
            && let Some(fault) = agent_fault(&text)
        {
            checked.faults = format!("  FAILED: {fault}\n");
            return checked;
        }
        if !options.syntax_only
            && let Err(fault) = checked.find_rule_files(&text, path)
        {
            checked.faults = format!("  FAILED: {fault}\n");
            return checked;
        }
        match load(&text, path) {
            Ok(config) => checked.read(&config, path, options),
            Err(error) => {
                checked.faults.push_str("  FAILED:\n");
                for line in error.with_snippets().lines() {
                    checked.faults.push_str(&format!("  {line}\n"));
                }
            }
        }
        checked
    }

    fn find_rule_files(&mut self, text: &str, path: &Path) -> Result<(), String> {
        for pattern in rule_patterns(text, path) {
            let found = files(&pattern, FILES_MAX)?;
            let shown = pattern.display().to_string();
            if found.is_empty() && !shown.contains('*') {
                return Err(format!("{shown:?} does not point to an existing file"));
            }
            self.rule_files.extend(found);
        }
        Ok(())
    }

    fn read(&mut self, config: &Config, path: &Path, options: &CheckConfigOptions) {
        for notice in &config.notices {
            self.report.push_str(&format!("  NOTICE: {notice}\n"));
        }
        let mut pools = Pools::default();
        pools.configure(&config.jobs);
        for fault in pools.list(|_| Vec::new()).faults {
            self.report.push_str(&format!("  WARNING: {fault}\n"));
        }
        for job in &config.jobs {
            self.intervals.push((job.job.name.to_string(), job.job.interval_ms));
            if options.syntax_only {
                continue;
            }
            if let Err(fault) = files_exist(&job.job.http).and_then(|()| self.check_found(job)) {
                self.faults.push_str(&format!("  FAILED: {fault}\n"));
                return;
            }
        }
        if !self.rule_files.is_empty() {
            let count = self.rule_files.len();
            self.report.push_str(&format!("  SUCCESS: {count} rule files found\n"));
        }
        let what = "valid prometheus config file syntax";
        self.report.push_str(&format!(" SUCCESS: {} is {what}\n", path.display()));
    }

    /// Looks into files of `file_sd_configs`.
    fn check_found(&mut self, job: &ScrapeConfig) -> Result<(), String> {
        for mechanism in &job.discovery {
            let Mechanism::File(options) = mechanism else { continue };
            for pattern in &options.files {
                let found = files(pattern, FILES_MAX)?;
                if found.is_empty() {
                    let text = format!(
                        "  WARNING: file {:?} for file_sd in scrape job {:?} does not exist\n",
                        pattern.display().to_string(),
                        job.job.name
                    );
                    self.report.push_str(&text);
                }
                for file in found {
                    let shown = file.display().to_string();
                    let groups = read_groups(&file)
                        .map_err(|fault| format!("checking SD file {shown:?}: {fault}"))?;
                    for labels in groups.iter().flat_map(Group::label_sets) {
                        target(&job.job, &labels)
                            .map_err(|fault| format!("checking SD file {shown:?}: {fault}"))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A job whose series would be stale between two scrapes.
    fn long_interval(&self, options: &CheckConfigOptions) -> Option<String> {
        let max = options.interval_ms_max?;
        let (job, ms) = self.intervals.iter().find(|(_, interval_ms)| max <= *interval_ms)?;
        let what = "too long scrape interval found, data point will be marked as stale";
        let interval = format_duration_ms(i64::try_from(*ms).unwrap_or(i64::MAX));
        Some(format!("{what} - job: {job}, interval: {interval}"))
    }
}

fn agent_fault(text: &str) -> Option<&'static str> {
    let root = tree::parse(text).ok()?;
    let tree::Kind::Map(entries) = &root.kind else { return None };
    let has = |name: &str| {
        entries.iter().any(|(key, _)| crate::config::section::scalar_text(key) == Some(name))
    };
    NOT_OF_AGENTS.iter().find(|(name, _)| has(name)).map(|(_, fault)| *fault)
}

fn read_groups(file: &Path) -> Result<Vec<Group>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let ending = file.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    match ending.as_deref() {
        Some("json") => read_json(text.as_bytes(), &[], |at| at.to_string()),
        Some("yml" | "yaml") => read_yaml(&text, &[], |at| at.to_string()),
        other => Err(format!("invalid file extension: {:?}", other.unwrap_or(""))),
    }
}

/// Whether the files of credentials and certificates are there.
fn files_exist(options: &HttpOptions) -> Result<(), String> {
    let mut files: Vec<(&str, &Text)> = Vec::new();
    if let Some(Authorization::Scheme { credentials, .. }) = &options.authorization {
        files.push(("authorization credentials or bearer token file", credentials));
    }
    if let Some((certificate, key)) = &options.tls.identity {
        files.extend([("client cert file", certificate), ("client key file", key)]);
    }
    for (what, text) in files {
        if let Text::File(path) = text
            && let Err(error) = std::fs::metadata(path)
        {
            return Err(format!("error checking {what} {:?}: {error}", path.display().to_string()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use query::parse::options::Options;

    use super::*;
    use crate::tool_arguments::RuleLint;

    #[test]
    fn valid_and_invalid_files_are_told_apart() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("p.yml");
        let rules = RuleLint {
            duplicates: true,
            is_fatal: false,
            ignores_unknown: false,
            promql: Options::STABLE,
        };
        let options = CheckConfigOptions {
            files: Vec::new(),
            syntax_only: false,
            is_agent: false,
            interval_ms_max: Some(300_000),
            rules,
        };
        let check = |text: &str| {
            std::fs::write(&path, text).expect("write");
            Checked::new(&path, &options)
        };
        let checked = check("runtime: {gogc: 1}\n");
        assert!(checked.faults.is_empty() && checked.report.contains("NOTICE"), "{checked:?}");
        assert!(checked.report.contains(" SUCCESS: "), "{checked:?}");
        let checked = check("globall: {}\n");
        assert!(checked.faults.contains("did you mean global?"), "{checked:?}");
        let checked = check("scrape_configs: [{job_name: a, scrape_interval: 5m}]");
        let told = checked.long_interval(&options).expect("too long");
        assert!(told.ends_with("job: a, interval: 5m"), "{told}");
        let checked = check("rule_files: [none.yml]");
        assert!(checked.faults.contains("does not point to an existing file"), "{checked:?}");
        let text = "scrape_configs: [{job_name: a, authorization: {credentials_file: none}}]";
        assert!(check(text).faults.contains("error checking authorization"));
        std::fs::write(directory.path().join("t.json"), "[{\"targets\": 1}]").expect("write");
        let text = "scrape_configs: [{job_name: a, file_sd_configs: [{files: [t.json, u.yml]}]}]";
        assert!(check(text).faults.contains("checking SD file"));
        std::fs::write(directory.path().join("t.json"), "[{\"targets\": [\"x:1\"]}]")
            .expect("write");
        let checked = check(text);
        assert!(checked.faults.is_empty(), "{checked:?}");
        assert!(checked.report.contains("for file_sd in scrape job \"a\" does not exist"));
        let agent = CheckConfigOptions { is_agent: true, ..options.clone() };
        std::fs::write(&path, "rule_files: []").expect("write");
        assert!(Checked::new(&path, &agent).faults.contains("not allowed in agent mode"));
        let gone = Checked::new(&directory.path().join("none"), &options);
        assert!(gone.faults.contains("FAILED"));
    }
}
