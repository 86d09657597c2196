//! Journal: how far imports into a data directory have come: `import.json` in it.
//!
//! Written whole and renamed, before blocks get their place in a manifest and after. So a run that
//! is killed anywhere goes on with the window that was under way, and takes no block twice.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use storage::compaction::{BlockSummary, Resolution};

/// Name of the file in the data directory.
pub const FILE_NAME: &str = "import.json";
const VERSION: u64 = 1;

/// Imports of one data directory, by their source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal {
    /// Where the file is.
    path: PathBuf,
    /// One a source.
    pub imports: Vec<Entry>,
}

/// How far one source is taken over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Prometheus's data directory.
    pub source: String,
    /// Length of the windows, milliseconds.
    pub window_ms: i64,
    /// Samples before this time are taken over.
    pub done_ms: Option<i64>,
    /// The last sample that there was when it was done; `None` while it is not.
    pub finished_ms: Option<i64>,
    /// Samples taken over.
    pub samples: u64,
    /// Blocks made.
    pub blocks: u64,
    /// The window whose blocks are whole, while they get their places in the manifests.
    pub pending: Option<Pending>,
}

/// A window whose blocks are durable and counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// First time of the window.
    pub start_ms: i64,
    /// The first time behind it.
    pub end_ms: i64,
    /// Shard and block of each.
    pub blocks: Vec<(u32, BlockSummary)>,
}

impl Journal {
    /// Reads the journal of a data directory; empty where there is none.
    ///
    /// # Errors
    /// The file does not read, or is of another version.
    pub fn open(directory: &Path) -> Result<Journal> {
        let path = directory.join(FILE_NAME);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Journal { path, imports: Vec::new() });
            }
            text => text.with_context(|| format!("read {}", path.display()))?,
        };
        let json: Value =
            serde_json::from_str(&text).with_context(|| format!("read {}", path.display()))?;
        if json["version"].as_u64() != Some(VERSION) {
            bail!("{}: version {} is not known", path.display(), json["version"]);
        }
        let imports = json["imports"].as_array().into_iter().flatten().map(entry_of);
        let imports: Option<Vec<Entry>> = imports.collect();
        let imports = imports.with_context(|| format!("{} makes no sense", path.display()))?;
        Ok(Journal { path, imports })
    }

    /// The entry of a source, made where it is not there.
    pub fn entry(&mut self, source: &str, window_ms: i64) -> &mut Entry {
        let at = self.imports.iter().position(|entry| entry.source == source);
        let at = at.unwrap_or_else(|| {
            let source = source.to_owned();
            self.imports.push(Entry { source, window_ms, ..Entry::default() });
            self.imports.len() - 1
        });
        &mut self.imports[at]
    }

    /// Makes the journal durable.
    ///
    /// # Errors
    /// The file system refuses.
    #[expect(clippy::disallowed_types, reason = "to bring it to the disk it must be open")]
    pub fn save(&self) -> Result<()> {
        let imports: Vec<Value> = self.imports.iter().map(json_of).collect();
        let text = format!("{:#}\n", json!({"version": VERSION, "imports": imports}));
        let new = self.path.with_extension("json.new");
        let write = || {
            std::fs::write(&new, text)?;
            std::fs::File::open(&new)?.sync_all()?;
            std::fs::rename(&new, &self.path)?;
            let parent = self.path.parent().unwrap_or(Path::new("."));
            std::fs::File::open(parent)?.sync_all()
        };
        let written: std::io::Result<()> = write();
        written.with_context(|| format!("write {}", self.path.display()))
    }
}

fn json_of(entry: &Entry) -> Value {
    let block_of = |(shard, block): &(u32, BlockSummary)| {
        json!({
            "shard": shard, "number": block.number, "level": block.level,
            "min_time_ms": block.min_time_ms, "max_time_ms": block.max_time_ms,
            "series": block.series, "samples": block.samples, "bytes": block.bytes,
            "tombstone": block.tombstone, "resolution_ms": block.resolution.ms(),
        })
    };
    let pending = entry.pending.as_ref().map(|pending| {
        let blocks: Vec<Value> = pending.blocks.iter().map(block_of).collect();
        json!({"start_ms": pending.start_ms, "end_ms": pending.end_ms, "blocks": blocks})
    });
    json!({
        "source": entry.source, "window_ms": entry.window_ms, "done_ms": entry.done_ms,
        "finished_ms": entry.finished_ms, "samples": entry.samples, "blocks": entry.blocks,
        "pending": pending,
    })
}

fn entry_of(json: &Value) -> Option<Entry> {
    let pending = match &json["pending"] {
        Value::Null => None,
        pending => {
            let blocks = pending["blocks"].as_array()?.iter().map(block_of);
            Some(Pending {
                start_ms: pending["start_ms"].as_i64()?,
                end_ms: pending["end_ms"].as_i64()?,
                blocks: blocks.collect::<Option<_>>()?,
            })
        }
    };
    Some(Entry {
        source: json["source"].as_str()?.to_owned(),
        window_ms: json["window_ms"].as_i64().filter(|ms| 0 < *ms)?,
        done_ms: json["done_ms"].as_i64(),
        finished_ms: json["finished_ms"].as_i64(),
        samples: json["samples"].as_u64()?,
        blocks: json["blocks"].as_u64()?,
        pending,
    })
}

fn block_of(json: &Value) -> Option<(u32, BlockSummary)> {
    let summary = BlockSummary {
        number: json["number"].as_u64()?,
        level: u8::try_from(json["level"].as_u64()?).ok()?,
        resolution: Resolution::of_ms(json["resolution_ms"].as_i64().unwrap_or(0))?,
        min_time_ms: json["min_time_ms"].as_i64()?,
        max_time_ms: json["max_time_ms"].as_i64()?,
        series: json["series"].as_u64()?,
        samples: json["samples"].as_u64()?,
        bytes: json["bytes"].as_u64()?,
        tombstone: json["tombstone"].as_u64()?,
    };
    Some((u32::try_from(json["shard"].as_u64()?).ok()?, summary))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_reads_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut journal = Journal::open(directory.path()).expect("none");
        let entry = journal.entry("/old", 7_200_000);
        entry.done_ms = Some(-5);
        entry.samples = 9;
        let block = BlockSummary {
            number: 2,
            level: 2,
            resolution: Resolution::FiveMinutes,
            min_time_ms: -3,
            max_time_ms: 4,
            series: 5,
            samples: 6,
            bytes: 7,
            tombstone: 8,
        };
        entry.pending = Some(Pending { start_ms: -4, end_ms: 5, blocks: vec![(1, block)] });
        journal.entry("/other", 1).finished_ms = Some(8);
        journal.save().expect("saved");
        assert_eq!(Journal::open(directory.path()).expect("as saved"), journal);
        std::fs::write(directory.path().join(FILE_NAME), r#"{"version": 2}"#).expect("write");
        let error = Journal::open(directory.path()).expect_err("another version").to_string();
        assert!(error.ends_with("version 2 is not known"), "{error}");
    }
}
