//! Textfile: metrics that other programs of this machine leave in files `NAME.prom`.
//!
//! Path: `cresset.textfile_directory` → **textfile** → behind all families of `/metrics/host`.
//! Never: shows a part of a file: one that does not read, carries timestamps, or has a family that
//! is ours is left out whole, and `node_textfile_scrape_error` says so.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use exposition::entry::Entry;
use exposition::metrics::Collected;
use exposition::number::format_shortest;
use exposition::text::TextParser;

/// Files that are read; more are left out, which is an error.
const FILES_MAX: usize = 1_024;
/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Bytes of all files.
const BYTES_MAX: usize = 64 << 20;

/// Families of files by name.
type Families = BTreeMap<String, Family>;

#[derive(Clone, Debug, Default)]
struct Family {
    metric_type: Option<&'static str>,
    help: Option<String>,
    /// Whole lines.
    samples: String,
}

/// Adds what the files of `directory` say.
pub fn collect(directory: &Path, into: &mut Collected) {
    let mut families = Families::new();
    let (files, mut failed) = match files_of(directory) {
        Ok(files) => (files, false),
        Err(error) => {
            tracing::warn!(directory = %directory.display(), %error, "read textfile_directory");
            (Vec::new(), true)
        }
    };
    failed |= FILES_MAX < files.len();
    let mut bytes = 0;
    for path in files.iter().take(FILES_MAX) {
        match read(path, into, &mut bytes) {
            Ok(more) => {
                add(&mut families, more);
                mtime(path, into);
            }
            Err(reason) => {
                tracing::warn!(file = %path.display(), reason, "a text file is left out");
                failed = true;
            }
        }
    }
    let help = "1 if there was an error opening or reading a file, 0 otherwise";
    into.gauge("node_textfile_scrape_error", help, &[], if failed { 1.0 } else { 0.0 });
    into.append(&written(&families));
}

fn files_of(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)?.take(2 * FILES_MAX) {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "prom") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn mtime(path: &Path, into: &mut Collected) {
    let Ok(modified) = fs::metadata(path).and_then(|found| found.modified()) else { return };
    let Ok(since) = modified.duration_since(std::time::UNIX_EPOCH) else { return };
    let help = "Unixtime mtime of textfiles successfully read.";
    let labels = [("file", &*path.to_string_lossy())];
    into.gauge("node_textfile_mtime_seconds", help, &labels, since.as_secs_f64());
}

/// Reads one file whole; `bytes` are those of the files before.
fn read(path: &Path, ours: &Collected, bytes: &mut usize) -> Result<Families, String> {
    let length = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if FILE_BYTES_MAX < length {
        return Err(format!("it has {length} bytes, more than {FILE_BYTES_MAX}"));
    }
    let body = fs::read(path).map_err(|error| error.to_string())?;
    *bytes += body.len();
    if BYTES_MAX < *bytes {
        return Err(format!("all files together have more than {BYTES_MAX} bytes"));
    }
    let families = parse(&body)?;
    match families.keys().find(|name| ours.has(name)) {
        Some(name) => Err(format!("{name} is a metric of this server")),
        None => Ok(families),
    }
}

fn parse(body: &[u8]) -> Result<Families, String> {
    let mut families = Families::new();
    let mut declared = String::new();
    for entry in TextParser::new(body) {
        match entry.map_err(|error| error.to_string())? {
            Entry::Help { name, help } => {
                families.entry(name.into_owned()).or_default().help = Some(help.into_owned());
            }
            Entry::Type { name, metric_type } => {
                declared = name.into_owned();
                let family = families.entry(declared.clone()).or_default();
                family.metric_type = Some(metric_type.text());
            }
            Entry::Sample(sample) => {
                if sample.timestamp.is_some() {
                    return Err("it has timestamps, and those would be old ones soon".to_owned());
                }
                let series = String::from_utf8_lossy(sample.series);
                let name = series.split('{').next().unwrap_or_default().trim();
                let family = if is_part(name, &declared) { &declared } else { name };
                let family = families.entry(family.to_owned()).or_default();
                let _ = writeln!(family.samples, "{series} {}", format_shortest(sample.value));
            }
            Entry::Unit { .. } | Entry::Comment { .. } | Entry::Histogram(_) => {}
        }
    }
    families.retain(|_, family| !family.samples.is_empty());
    Ok(families)
}

/// Whether samples called `name` are of the family `declared`.
fn is_part(name: &str, declared: &str) -> bool {
    let rest = name.strip_prefix(declared).filter(|_| !declared.is_empty());
    rest.is_some_and(|rest| ["", "_bucket", "_sum", "_count", "_total"].contains(&rest))
}

/// Files may share families; the first says what one is.
fn add(families: &mut Families, more: Families) {
    for (name, other) in more {
        let family = families.entry(name).or_default();
        family.samples.push_str(&other.samples);
        family.metric_type = family.metric_type.or(other.metric_type);
        family.help = family.help.take().or(other.help);
    }
}

fn written(families: &Families) -> String {
    let mut text = String::new();
    for (name, family) in families {
        let help = family.help.as_deref().unwrap_or("Metric read from a text file.");
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let metric_type = family.metric_type.unwrap_or("untyped");
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {metric_type}\n");
        text.push_str(&family.samples);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &str) {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        let mut into = Collected::default();
        into.gauge("node_load1", "", &[], 1.0);
        collect(directory.path(), &mut into);
        let text = into.to_text();
        let own = ["node_load1", "node_textfile_mtime_seconds"];
        let lines = text.lines().filter(|line| !own.iter().any(|name| line.contains(name)));
        let shown: Vec<&str> = lines.filter(|line| !line.contains("HELP node_textfile")).collect();
        assert_eq!(shown.join("\n"), expected);
        assert_eq!(TextParser::new(text.as_bytes()).filter(Result::is_err).count(), 0);
    }

    const FINE: &str = "# TYPE node_textfile_scrape_error gauge\nnode_textfile_scrape_error 0";
    const WRONG: &str = "# TYPE node_textfile_scrape_error gauge\nnode_textfile_scrape_error 1";

    #[test]
    fn files_become_one_body() {
        let first =
            "# HELP raid_ok is it\\\\ well\n# TYPE raid_ok gauge\nraid_ok{a=\"b c\"} 1\nlone 2\n";
        let second = "# TYPE raid_ok gauge\nraid_ok{a=\"d\"} 0\n# TYPE h histogram\n\
                      h_bucket{le=\"+Inf\"} 3\nh_sum 1.5\nh_count 3\n";
        let body = "# HELP h Metric read from a text file.\n# TYPE h histogram\n\
                    h_bucket{le=\"+Inf\"} 3\nh_sum 1.5\nh_count 3\n\
                    # HELP lone Metric read from a text file.\n# TYPE lone untyped\nlone 2\n\
                    # HELP raid_ok is it\\\\ well\n# TYPE raid_ok gauge\n\
                    raid_ok{a=\"b c\"} 1\nraid_ok{a=\"d\"} 0";
        let files = [("a.prom", first), ("b.prom", second), ("c.txt", "no")];
        check(&files, &format!("{FINE}\n{body}"));
    }

    #[test]
    fn a_file_that_cannot_be_shown_whole_is_left_out() {
        for text in ["up{", "up 1 1700000000000\n", "node_load1 3\n"] {
            check(&[("a.prom", text)], WRONG);
        }
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error() {
        let mut into = Collected::default();
        collect(Path::new("/nonexistent"), &mut into);
        assert!(into.to_text().contains("node_textfile_scrape_error 1\n"));
    }
}
