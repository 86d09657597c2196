//! Log: the segments of a directory in order, behind the newest checkpoint.
//!
//! Path: `head` → **log** → `segment`.

use std::io::ErrorKind;
use std::sync::Arc;

use super::segment::Segment;
use crate::fault::{Fault, TsdbError};
use crate::files::FileRead;

/// Directory of the log of samples in order.
pub const WAL_DIRECTORY: &str = "wal";
/// Directory of the log of samples out of order.
pub const WBL_DIRECTORY: &str = "wbl";
const CHECKPOINT_PREFIX: &str = "checkpoint.";

/// Reads all records of a log.
pub struct Log {
    files: Arc<dyn FileRead>,
    /// Paths of the segments, those of the checkpoint first.
    segments: Vec<String>,
    next: usize,
    open: Option<Segment>,
    /// A segment is missing behind those that are listed.
    gap: Option<String>,
    passed_bytes: u64,
    total_bytes: u64,
}

impl Log {
    /// Lists the log in `directory`; one that is not there is empty.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn open(files: &Arc<dyn FileRead>, directory: &str) -> Result<Log, TsdbError> {
        let names = match files.names(directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            names => names.map_err(|error| TsdbError::io("list", directory, error))?,
        };
        let checkpoints = names.iter().filter_map(|name| {
            Some((number(name.strip_prefix(CHECKPOINT_PREFIX)?)?, name.clone()))
        });
        let checkpoint = checkpoints.max();
        let mut segments = Vec::new();
        if let Some((_, name)) = &checkpoint {
            let path = format!("{directory}/{name}");
            let names = files.names(&path).map_err(|error| TsdbError::io("list", &path, error))?;
            let (listed, gap) = numbered(&path, &names, None);
            segments.extend(listed);
            if gap.is_some() {
                return Log::of(files, segments, gap);
            }
        }
        let (listed, gap) = numbered(directory, &names, checkpoint.map(|(number, _)| number));
        segments.extend(listed);
        Log::of(files, segments, gap)
    }

    fn of(
        files: &Arc<dyn FileRead>,
        segments: Vec<String>,
        gap: Option<String>,
    ) -> Result<Log, TsdbError> {
        let mut total_bytes = 0;
        for name in &segments {
            let length = files.length(name);
            total_bytes += length.map_err(|error| TsdbError::io("open", name, error))?;
        }
        let files = Arc::clone(files);
        Ok(Log { files, segments, next: 0, open: None, gap, passed_bytes: 0, total_bytes })
    }

    /// Whether there is no segment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// The next record; `None` behind the last.
    ///
    /// # Errors
    /// The log cannot be read, or is damaged or torn: nothing behind that place counts, as when
    /// upstream repairs it. Do not ask again.
    pub fn read(&mut self) -> Result<Option<&[u8]>, TsdbError> {
        loop {
            if self.open.is_none() {
                let Some(name) = self.segments.get(self.next) else {
                    let missing = |name: String| Fault::wrong("is missing").at(0).of(&name);
                    return self.gap.take().map_or(Ok(None), |name| Err(missing(name)));
                };
                self.open = Some(Segment::open(&self.files, name)?);
                self.next += 1;
            }
            let open = self.open.as_mut().expect("opened above");
            if open.read()?.is_some() {
                return Ok(self.open.as_ref().map(Segment::record));
            }
            self.passed_bytes += open.progress().1;
            self.open = None;
        }
    }

    /// The error of a record that was read last and makes no sense.
    pub(crate) fn corrupt(&self, fault: Fault) -> TsdbError {
        let name = self.segments.get(self.next.saturating_sub(1)).map_or("wal", String::as_str);
        let offset = self.open.as_ref().map_or(0, |open| open.record_offset());
        fault.at(offset).of(name)
    }

    /// Bytes that were passed, and how many there are.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        let open = self.open.as_ref().map_or(0, |open| open.progress().0);
        (self.passed_bytes + open, self.total_bytes)
    }
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// Paths of the segments among `names` behind `after`, up to the first that is missing, and that.
fn numbered(
    directory: &str,
    names: &[String],
    after: Option<u64>,
) -> (Vec<String>, Option<String>) {
    let segments = names.iter().filter_map(|name| Some((number(name)?, name)));
    let mut segments: Vec<(u64, &String)> =
        segments.filter(|(number, _)| after.is_none_or(|after| after < *number)).collect();
    segments.sort_unstable();
    let mut expected = match after {
        Some(after) => after.checked_add(1),
        None => segments.first().map(|(number, _)| *number),
    };
    let mut paths = Vec::new();
    for (number, name) in segments {
        if expected != Some(number) {
            let missing = format!("{directory}/{:08}", expected.unwrap_or(0));
            return (paths, Some(missing));
        }
        paths.push(format!("{directory}/{name}"));
        expected = number.checked_add(1);
    }
    (paths, None)
}
