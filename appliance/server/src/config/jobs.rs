//! Jobs: `scrape_configs` of the file and of those that `scrape_config_files` names.
//!
//! Source: `GetScrapeConfigs` of Prometheus's `config/config.go`.

use std::path::{Path, PathBuf};

use discovery::glob::files;
use model::label_name::quote;

use crate::config::fault::{Fault, Place};
use crate::config::fields::scrape::SCRAPE_FILE;
use crate::config::form::Form;
use crate::config::job::{self, JobDefaults, ScrapeConfig};
use crate::config::section::{Findings, Section};
use crate::config::tree::{Node, parse};

/// Most files that `scrape_config_files` may name.
pub const FILES_MAX: usize = 10_000;

/// Jobs and where each was found.
pub struct Jobs<'a> {
    defaults: &'a JobDefaults,
    jobs: Vec<ScrapeConfig>,
    /// The source of each.
    sources: Vec<usize>,
}

impl<'a> Jobs<'a> {
    /// None yet.
    #[must_use]
    pub fn new(defaults: &'a JobDefaults) -> Jobs<'a> {
        Jobs { defaults, jobs: Vec::new(), sources: Vec::new() }
    }

    /// The jobs, in the order read.
    #[must_use]
    pub fn into_list(self) -> Vec<ScrapeConfig> {
        self.jobs
    }

    /// Reads the items of `scrape_configs`.
    pub fn read(&mut self, items: &[Node], directory: &Path, findings: &mut Findings) {
        let source = findings.sources.len().saturating_sub(1);
        for node in items {
            let Some(job) = job::read(node, self.defaults, directory, findings) else { continue };
            self.check_name(&job.job.name, node.place, source, findings);
            self.jobs.push(job);
            self.sources.push(source);
        }
    }

    fn check_name(&self, name: &str, place: Place, source: usize, findings: &mut Findings) {
        let known = self.jobs.iter().position(|known| &*known.job.name == name);
        let Some(known) = known.filter(|_| !name.is_empty()) else { return };
        let mut text = format!("found multiple scrape configs with job name {}", quote(name));
        if source != 0 {
            let first = self.sources[known];
            let path = findings.sources.get(first).map_or("", |source| &source.path);
            let shown = if first == 0 { "main config file".to_owned() } else { quote(path) };
            text.push_str(&format!(", first found in {shown}"));
        }
        findings.push(Fault::wrong(place, text));
    }

    /// Reads the files that the patterns name.
    pub fn read_files(&mut self, globs: &[String], directory: &Path, findings: &mut Findings) {
        let mut found: Vec<PathBuf> = Vec::new();
        for glob in globs {
            match files(&directory.join(glob), FILES_MAX) {
                Ok(named) => found.extend(named),
                Err(error) => {
                    let text = format!(
                        "error retrieving scrape config files for {}: {error}",
                        quote(glob)
                    );
                    findings.push(Fault::wrong(Place { line: 1, column: 1 }, text));
                }
            }
        }
        if FILES_MAX < found.len() {
            let text = format!("scrape_config_files names more than {FILES_MAX} files");
            findings.push(Fault::wrong(Place { line: 1, column: 1 }, text));
            return;
        }
        for path in found {
            self.read_file(&path, findings);
        }
    }

    fn read_file(&mut self, path: &Path, findings: &mut Findings) {
        let text = std::fs::read_to_string(path);
        findings.enter(path, text.as_deref().unwrap_or(""));
        let root = match text {
            Ok(text) => parse(&text),
            Err(error) => {
                let text = format!("read the file: {error}");
                Err(Fault::wrong(Place { line: 1, column: 1 }, text))
            }
        };
        match root {
            Ok(root) => {
                Form::Section(&SCRAPE_FILE).check(&root, findings);
                let section = Section::open(&root, &SCRAPE_FILE, findings);
                let directory = path.parent().unwrap_or(Path::new("."));
                self.read(section.list("scrape_configs", findings), directory, findings);
            }
            Err(fault) => findings.push(fault),
        }
    }
}
