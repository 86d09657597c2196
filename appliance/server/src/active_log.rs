//! Active log: the queries that are computed, in a file that a crash leaves behind.
//!
//! Path: `own_backend` notes each query → **active log** → `queries.active`; the next start reads
//! what was not crossed out and warns of it.
//! Never: waits for the disk; what the kernel holds survives a crash of the process, and of the
//! machine it tells nothing worth a sync.
//! Format: upstream's, so that its tools and habits serve: `[`, then places of 1,000 bytes, each
//! empty or a JSON object and a comma.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::channel::{Receiver, Sender, bounded};
use model::time::TimestampMs;
use serde_json::{Value, json};

/// Name of the file in the data directory: upstream's.
pub const FILE_NAME: &str = "queries.active";

/// Bytes of a place: upstream's.
const PLACE_BYTES: usize = 1000;
/// Bytes of a log that are read at start: what 10,000 queries at once leave.
const READ_BYTES_MAX: u64 = 1 + 10_000 * 1000;

/// The file and its empty places.
#[derive(Debug)]
pub struct ActiveLog {
    #[expect(clippy::disallowed_types, reason = "the server's own file")]
    file: std::fs::File,
    free: (Sender<usize>, Receiver<usize>),
    faults: AtomicU64,
}

/// A query that did not finish in the life of the process before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// Its text, or the beginning of it.
    pub text: String,
    /// When it began, seconds since the epoch.
    pub seconds: i64,
}

impl ActiveLog {
    /// Reads what the last process left in `directory`, then makes the file anew with room for
    /// `places` queries.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn open(directory: &Path, places: usize) -> io::Result<(ActiveLog, Vec<Unfinished>)> {
        let path = directory.join(FILE_NAME);
        let unfinished = read(&path)?;
        let options =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).open(&path);
        let file = options?;
        file.write_all_at(b"[", 0)?;
        file.set_len(offset(places))?;
        let free = bounded(places);
        for place in 0..places {
            // The queue was made for as many.
            let _ = free.0.try_send(place);
        }
        Ok((ActiveLog { file, free, faults: AtomicU64::new(0) }, unfinished))
    }

    /// Writes that `text` is computed since `now`; crosses it out when what this gives is
    /// dropped. `None` when there is no place, or the file takes nothing: the query goes on.
    #[must_use]
    pub fn note(self: &Arc<Self>, text: &str, now: TimestampMs) -> Option<Note> {
        let place = self.free.1.try_recv().ok()?;
        let note = Note { log: Arc::clone(self), place };
        self.write(place, &entry(text, now.0.div_euclid(1000)));
        Some(note)
    }

    /// Writes that failed.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }

    fn write(&self, place: usize, bytes: &[u8; PLACE_BYTES]) {
        if self.file.write_all_at(bytes, offset(place)).is_err() {
            self.faults.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A query in the file, until it is dropped.
#[derive(Debug)]
pub struct Note {
    log: Arc<ActiveLog>,
    place: usize,
}

impl Drop for Note {
    fn drop(&mut self) {
        self.log.write(self.place, &[0; PLACE_BYTES]);
        // Its own place fits.
        let _ = self.log.free.0.try_send(self.place);
    }
}

fn offset(place: usize) -> u64 {
    1 + u64::try_from(place * PLACE_BYTES).unwrap_or(u64::MAX)
}

/// A query in its place; a long text is cut between characters so that it fits as JSON.
fn entry(text: &str, seconds: i64) -> [u8; PLACE_BYTES] {
    let mut bytes = [0; PLACE_BYTES];
    let mut text = &text[..text.floor_char_boundary(PLACE_BYTES)];
    let json = loop {
        let json = json!({"query": text, "timestamp_sec": seconds}).to_string();
        let over = json.len().saturating_sub(PLACE_BYTES - 1);
        if over == 0 {
            break json;
        }
        // An escape takes at most six bytes a byte: a few rounds suffice.
        text = &text[..text.floor_char_boundary(text.len() - over.div_ceil(6))];
    };
    bytes[..json.len()].copy_from_slice(json.as_bytes());
    bytes[PLACE_BYTES - 1] = b',';
    bytes
}

/// What the file at `path` says was not finished; nothing when it is not there or says nonsense.
fn read(path: &Path) -> io::Result<Vec<Unfinished>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    match std::fs::OpenOptions::new().read(true).open(path) {
        Ok(file) => file.take(READ_BYTES_MAX).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    let places = bytes.get(1..).unwrap_or_default().chunks(PLACE_BYTES);
    Ok(places.filter_map(unfinished).collect())
}

fn unfinished(place: &[u8]) -> Option<Unfinished> {
    let end = place.iter().position(|byte| *byte == 0).unwrap_or(place.len());
    let json = place[..end].strip_suffix(b",").unwrap_or(&place[..end]);
    let entry: Value = serde_json::from_slice(json).ok()?;
    let text = entry.get("query")?.as_str()?.to_owned();
    Some(Unfinished { text, seconds: entry.get("timestamp_sec")?.as_i64()? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn open(directory: &Path) -> (Arc<ActiveLog>, Vec<Unfinished>) {
        let (log, unfinished) = ActiveLog::open(directory, 2).expect("a file");
        (Arc::new(log), unfinished)
    }

    #[test]
    fn what_is_not_crossed_out_is_found_at_the_next_start() {
        let directory = tempfile::tempdir().expect("directory");
        let (log, unfinished) = open(directory.path());
        assert_eq!(unfinished, []);
        let first = log.note("up", TimestampMs(1_000_500)).expect("a place");
        let second = log.note("rate(x[5m])", TimestampMs(2_000_000)).expect("a place");
        assert!(log.note("no room", TimestampMs(0)).is_none());
        drop(first);
        let bytes = std::fs::read(directory.path().join(FILE_NAME)).expect("the file");
        assert_eq!((bytes.len(), bytes[0]), (2001, b'['));
        // As a crash leaves it.
        std::mem::forget(second);
        let left = Unfinished { text: "rate(x[5m])".to_owned(), seconds: 2000 };
        let (log, unfinished) = open(directory.path());
        assert_eq!(unfinished, [left]);
        drop(log);
        assert_eq!(open(directory.path()).1, []);
    }

    #[test]
    fn the_file_is_upstreams_broken_json() {
        let directory = tempfile::tempdir().expect("directory");
        let (log, _) = open(directory.path());
        let _notes = [log.note("a \"b\"", TimestampMs(0)), log.note("é", TimestampMs(1000))];
        let bytes = std::fs::read(directory.path().join(FILE_NAME)).expect("the file");
        let text = String::from_utf8(bytes).expect("text").replace('\0', "");
        let closed = format!("{}]", text.strip_suffix(',').expect("a comma"));
        let expected = json!([
            {"query": "a \"b\"", "timestamp_sec": 0},
            {"query": "é", "timestamp_sec": 1},
        ]);
        assert_eq!(serde_json::from_str::<Value>(&closed).expect("JSON"), expected);
    }

    #[test]
    fn nonsense_is_passed_over() {
        let directory = tempfile::tempdir().expect("directory");
        for bytes in [&b""[..], b"[", b"[{\"query\":", &[0xff; 5000], b"no"] {
            std::fs::write(directory.path().join(FILE_NAME), bytes).expect("write");
            assert_eq!(open(directory.path()).1, []);
        }
    }

    proptest! {
        #[test]
        fn an_entry_reads_back(text in "\\PC*|[\u{0}-\u{20}é\"]{0,2000}", seconds in any::<i64>()) {
            let entry = entry(&text, seconds);
            let found = unfinished(&entry).expect("an entry");
            prop_assert_eq!(found.seconds, seconds);
            prop_assert!(text.starts_with(&found.text));
            prop_assert!(found.text == text || 150 < found.text.len());
        }
    }
}
