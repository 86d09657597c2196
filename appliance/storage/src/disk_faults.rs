//! Disk faults: which writes of a shard fail, and why, until one of their kind succeeds.
//!
//! Path: events of the machine → **disk_faults** → `report`, and the machine's log.

use exposition::metrics::Collected;

use crate::effect::{Event, FileError};

/// What fails of a shard's disk.
#[derive(Clone, Debug, Default)]
pub struct DiskFaults {
    log: Option<FileError>,
    segments: Option<FileError>,
    files: Option<FileError>,
}

impl DiskFaults {
    /// Takes in what the machine tells; the failure, if it tells of one.
    pub fn observe<'a>(&mut self, event: &'a Event) -> Option<&'a FileError> {
        let (place, failure) = match event {
            Event::LogDurable { .. } => (&mut self.log, None),
            Event::LogFailed { cause, .. } => (&mut self.log, Some(cause)),
            Event::LogPrepared { .. } => (&mut self.segments, None),
            Event::LogPrepareFailed { cause, .. } => (&mut self.segments, Some(cause)),
            Event::FileDone { result, .. } => (&mut self.files, result.as_ref().err()),
            // A compaction may be refused for other reasons; the machine logs them.
            Event::Compacted { .. } | Event::Due => return None,
        };
        *place = failure.cloned();
        failure
    }

    /// Whether nothing fails.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts().iter().all(|(_, fault)| fault.is_none())
    }

    fn parts(&self) -> [(&'static str, &Option<FileError>); 3] {
        [("log", &self.log), ("segments", &self.segments), ("files", &self.files)]
    }

    pub(crate) fn collect(&self, into: &mut Collected) {
        for (part, fault) in self.parts() {
            let failing = f64::from(u8::from(fault.is_some()));
            into.gauge(
                "cresset_storage_disk_failing",
                "Shards whose last write of this kind failed; it is tried again.",
                &[("part", part)],
                failing,
            );
        }
        let is_full = self.parts().iter().any(|(_, fault)| fault.as_ref().is_some_and(|f| f.full));
        into.gauge(
            "cresset_storage_disk_full",
            "Shards whose last write failed because there is no room.",
            &[],
            f64::from(u8::from(is_full)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::{FileAnswer, FileRequestId, LogPosition};

    #[test]
    fn a_fault_is_shown_until_a_write_of_its_kind_succeeds() {
        let mut faults = DiskFaults::default();
        let shown = |faults: &DiskFaults| {
            let mut collected = Collected::default();
            faults.collect(&mut collected);
            let text = collected.to_text();
            text.lines().filter(|line| line.ends_with(" 1")).map(str::to_owned).collect::<Vec<_>>()
        };
        let (id, position) = (FileRequestId(1), LogPosition(1));
        let full = FileError { reason: "no space".into(), full: true };
        let failed = Event::FileDone { id, result: Err(full.clone()) };
        assert_eq!(faults.observe(&failed), Some(&full));
        assert_eq!(faults.observe(&Event::LogDurable { position }), None);
        let files = "cresset_storage_disk_failing{part=\"files\"} 1";
        assert_eq!(shown(&faults), [files, "cresset_storage_disk_full 1"]);
        assert!(!faults.is_empty());
        faults.observe(&Event::FileDone { id, result: Ok(FileAnswer::Done) });
        assert!(faults.is_empty() && shown(&faults).is_empty());
    }
}
