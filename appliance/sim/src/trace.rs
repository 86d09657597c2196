//! Trace: what happened in a run, a line an event or effect, to be compared byte by byte.

use std::fmt::Write;

use model::time::Tick;
use shard::effect::{Answer, Effect};
use storage::effect::{Effect as StorageEffect, FileOp};

/// Lines kept in full for the report of a failure.
const TAIL_LINES: usize = 60;

/// What happened: a running hash of every line, and the last lines in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    hash: u64,
    lines: u64,
    tail: std::collections::VecDeque<String>,
    full: Option<String>,
}

impl Trace {
    /// An empty trace; with `keep` every line is kept.
    #[must_use]
    pub fn new(keep: bool) -> Trace {
        Trace {
            hash: FNV_OFFSET,
            lines: 0,
            tail: std::collections::VecDeque::new(),
            full: keep.then(String::new),
        }
    }

    /// Adds a line.
    pub fn line(&mut self, at: Tick, text: &str) {
        let line = format!("{:>16} {text}", at.0);
        self.hash = fnv(self.hash, line.as_bytes());
        self.lines += 1;
        if let Some(full) = &mut self.full {
            full.push_str(&line);
            full.push('\n');
        }
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }

    /// Hash over all lines.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Number of lines.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// The last lines.
    #[must_use]
    pub fn tail(&self) -> String {
        let mut text = String::new();
        for line in &self.tail {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// Every line, when they were kept.
    #[must_use]
    pub fn full(&self) -> Option<&str> {
        self.full.as_deref()
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x100_0000_01b3;

fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME))
}

/// An effect in one line; bytes as their number and hash.
#[must_use]
pub fn effect_text(effect: &Effect) -> String {
    match effect {
        Effect::Fetch(fetch) => {
            format!("fetch {} slot {} until {}", fetch.target.0, fetch.slot.0, fetch.deadline.0)
        }
        Effect::Storage(effect) => storage_text(effect),
        Effect::Arm(tick) => format!("arm {}", tick.0),
        Effect::Reply { request, answer } => format!("reply {} {}", request.0, answer_text(answer)),
        Effect::Stopped => "stopped".to_owned(),
    }
}

/// The same of what storage asks for.
#[must_use]
pub fn storage_text(effect: &StorageEffect) -> String {
    match effect {
        StorageEffect::Log(write) => {
            let (bytes, hash) = (write.bytes.len(), fnv(FNV_OFFSET, &write.bytes));
            let (segment, offset) = (write.segment, write.offset);
            format!("log {segment}+{offset} {bytes} {hash:016x} until {}", write.position)
        }
        StorageEffect::File(request) => match &request.op {
            FileOp::Append { file, offset, bytes } => {
                let hash = fnv(FNV_OFFSET, bytes);
                format!("append {} {file}+{offset} {} {hash:016x}", request.id.0, bytes.len())
            }
            op => format!("file {} {op:?}", request.id.0),
        },
        other => format!("{other:?}"),
    }
}

fn answer_text(answer: &Answer) -> String {
    let mut text = format!("{answer:?}");
    match answer {
        Answer::LabelValues(values) | Answer::LabelNames(values) => {
            let _ = write!(text, " {values:?}");
        }
        Answer::Targets(targets) => {
            for target in targets {
                let _ = write!(text, " {} {}", target.health.text(), target.last_error);
            }
        }
        Answer::Metrics(metrics) => {
            let _ = write!(text, " {:016x}", fnv(FNV_OFFSET, metrics.to_text().as_bytes()));
        }
        Answer::Select(_)
        | Answer::Blocks(_)
        | Answer::Delete(_)
        | Answer::Deleted(_)
        | Answer::Released(_)
        | Answer::Adopted(_)
        | Answer::Exemplars(_)
        | Answer::Notices(_)
        | Answer::Stats(_)
        | Answer::PushedMetadata(_)
        | Answer::Usage(_)
        | Answer::Pushed(_) => {}
    }
    text
}
