//! Scrape log: what is said of scrapes, in the server's log and in the files that
//! `scrape_failure_log_file` names.
//!
//! Path: shards keep notices → `boot` asks for them → **scrape log** → log, files.
//! Never: fails a scrape; of a file that takes no line that is said once, until it takes one.
//! Source: `scrapeAndReport` of Prometheus 3.14 (words) and its JSON file logger (keys of a line).

use std::collections::HashMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use api::timestamp::format_rfc3339;
use scrape::notice::{Notice, What};
use serde_json::json;

use crate::config::job::ScrapeConfig;

/// A file of failures.
#[derive(Debug)]
struct FailureLog {
    path: PathBuf,
    #[expect(clippy::disallowed_types, reason = "the server's own file")]
    file: std::fs::File,
    is_failing: bool,
}

/// The files of all jobs.
#[derive(Debug, Default)]
pub struct ScrapeLog {
    files: Vec<FailureLog>,
    /// Which of them is a job's.
    by_job: HashMap<Arc<str>, usize>,
}

impl ScrapeLog {
    /// Opens the files that `jobs` name, each once, to append; makes those that are not there.
    /// Opened anew each time, so that a file that was moved away is let go.
    ///
    /// # Errors
    /// One cannot be opened; the text is for people.
    pub fn open(jobs: &[ScrapeConfig]) -> Result<ScrapeLog, String> {
        let mut log = ScrapeLog::default();
        for job in jobs {
            let Some(path) = &job.failure_log else { continue };
            let at = match log.files.iter().position(|known| known.path == *path) {
                Some(at) => at,
                None => {
                    let options = std::fs::OpenOptions::new().append(true).create(true).open(path);
                    let file = options.map_err(|error| {
                        format!("open the scrape failure log {}: {error}", path.display())
                    })?;
                    log.files.push(FailureLog { path: path.clone(), file, is_failing: false });
                    log.files.len() - 1
                }
            };
            log.by_job.insert(job.job.name.clone(), at);
        }
        Ok(log)
    }

    /// Says what `notice` says where it belongs.
    pub fn tell(&mut self, notice: &Notice) {
        match &notice.what {
            What::Failed(reason) => self.append(notice, reason),
            What::LeftOut(left_out) => {
                let (scrape_pool, target) = (&notice.job, &notice.url);
                let warn = |num_dropped: u64, text: &str| {
                    if num_dropped != 0 {
                        tracing::warn!(%scrape_pool, target_url = target, num_dropped, "{text}");
                    }
                };
                warn(left_out.out_of_order, "Error on ingesting out-of-order samples");
                let text = "Error on ingesting samples with different value but same timestamp";
                warn(left_out.duplicates, text);
                let text = "Error on ingesting samples that are too old or are too far into the \
                            future";
                warn(left_out.out_of_bounds, text);
                let text = "Error on ingesting out-of-order exemplars";
                warn(left_out.exemplars_out_of_order, text);
            }
        }
    }

    fn append(&mut self, notice: &Notice, reason: &str) {
        let at = self.by_job.get(&notice.job).copied();
        let Some(log) = at.and_then(|at| self.files.get_mut(at)) else { return };
        let written = (&log.file).write_all(line(notice, reason).as_bytes());
        let was_failing = std::mem::replace(&mut log.is_failing, written.is_err());
        if let (Err(error), false) = (written, was_failing) {
            let path = log.path.display();
            tracing::error!(%path, %error, "the scrape failure log takes no line");
        }
    }
}

fn line(notice: &Notice, reason: &str) -> String {
    let time = format_rfc3339(notice.at);
    let (reason, job, target) = (json!(reason), json!(&*notice.job), json!(notice.url));
    format!(
        "{{\"time\":\"{time}\",\"level\":\"ERROR\",\"msg\":{reason},\"job_name\":{job},\
         \"target\":{target}}}\n"
    )
}

#[cfg(test)]
mod tests {
    use model::time::TimestampMs;

    use super::*;
    use crate::config::load;

    #[test]
    fn a_failure_is_a_line_in_the_file_of_its_job() {
        let directory = tempfile::tempdir().expect("directory");
        let text = "global: {scrape_failure_log_file: all.log}\nscrape_configs:\n\
                    - job_name: a\n- {job_name: b, scrape_failure_log_file: b.log}\n";
        let config = load(text, &directory.path().join("p.yml")).expect("valid");
        let mut log = ScrapeLog::open(&config.jobs).expect("open");
        let notice = |job: &str| Notice {
            job: Arc::from(job),
            url: "http://x/metrics".to_owned(),
            at: TimestampMs(1_000),
            what: What::Failed("no \"route\"".to_owned()),
        };
        log.tell(&notice("a"));
        log.tell(&notice("b"));
        log.tell(&notice("none"));
        let read = |name| std::fs::read_to_string(directory.path().join(name)).expect("read");
        let line = |job| {
            format!(
                "{{\"time\":\"1970-01-01T00:00:01Z\",\"level\":\"ERROR\",\
                 \"msg\":\"no \\\"route\\\"\",\"job_name\":\"{job}\",\
                 \"target\":\"http://x/metrics\"}}\n"
            )
        };
        assert_eq!(read("all.log"), line("a"));
        assert_eq!(read("b.log"), line("b"));
    }
}
