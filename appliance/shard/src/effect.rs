//! Effects: everything a shard can ask of the machine.
//!
//! | effect | performed by | comes back as |
//! |---|---|---|
//! | `Fetch` | the shard's ring | `Fetched`, once, by the deadline |
//! | `Storage` | the WAL thread, the file threads | `Storage`, as storage's effect says |
//! | `Arm` | the ring's timeout; the newest replaces | `Due` |
//! | `Reply` | the mailbox of who asked | – |
//! | `Stopped` | the machine ends the loop | – |

use std::fmt;
use std::sync::Arc;

use exposition::metrics::Collected;
use model::time::Tick;
use remote::outcome::Pushed;
use scrape::exemplars::SeriesExemplars;
use scrape::fetch::Fetch;
use scrape::handover::{Handed, Handover};
use scrape::notice::Notice;
use scrape::status::TargetStatus;
use storage::block::reference::BlockRef;
use storage::blocks::DeleteError;
use storage::effect::Effect as StorageEffect;
use storage::leases::ShardUsage;
use storage::metadata::Family;
use storage::selection::{SelectError, Selected};
use storage::stats::Stats;

use crate::event::RequestId;

/// One thing to do. Effects are done in the order in which they are given.
#[derive(Debug)]
pub enum Effect {
    /// Perform one scrape.
    Fetch(Fetch),
    /// Write or change files.
    Storage(StorageEffect),
    /// Give `Due` at this tick. One is pending at a time: the newest replaces.
    Arm(Tick),
    /// The answer to a question.
    Reply {
        /// As asked.
        request: RequestId,
        /// The answer.
        answer: Answer,
    },
    /// Everything that was accepted is durable, or cannot become so: the loop may end.
    Stopped,
}

/// The answer to each kind of question.
pub enum Answer {
    /// To `Select`.
    Select(Result<Selected, SelectError>),
    /// To `LabelValues`: sorted, each once.
    LabelValues(Vec<String>),
    /// To `LabelNames`: sorted, each once.
    LabelNames(Vec<String>),
    /// To `Blocks`: oldest first.
    Blocks(Vec<Arc<BlockRef>>),
    /// To `MayDelete`: 0; to `Delete`: the deletion is durable when `Deleted` has reached this
    /// number.
    Delete(Result<u64, DeleteError>),
    /// To `Deleted`, `CleanTombstones`, `Configure` and `Lease`.
    Deleted(u64),
    /// To `Usage`.
    Usage(Box<ShardUsage>),
    /// To `Targets`: by job, then URL.
    Targets(Vec<TargetStatus>),
    /// To `Release`: they are scraped here no more, and their series have not ended.
    Released(Box<Handed>),
    /// To `Adopt`: those that could not be taken.
    Adopted(Vec<Handover>),
    /// To `Exemplars`: by labels.
    Exemplars(Vec<SeriesExemplars>),
    /// To `PushedMetadata`: by name, each text once.
    PushedMetadata(Vec<Arc<Family>>),
    /// To `Notices`: oldest first.
    Notices(Vec<Notice>),
    /// To `Stats`.
    Stats(Box<Stats>),
    /// To `Metrics`.
    Metrics(Box<Collected>),
    /// To `Push`.
    Pushed(Box<Pushed>),
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Select(Ok(found)) => write!(f, "Select({} series)", found.series.len()),
            Answer::Select(Err(error)) => write!(f, "Select({error})"),
            Answer::LabelValues(values) => write!(f, "LabelValues({})", values.len()),
            Answer::LabelNames(names) => write!(f, "LabelNames({})", names.len()),
            Answer::Blocks(blocks) => write!(f, "Blocks({})", blocks.len()),
            Answer::Delete(result) => write!(f, "Delete({result:?})"),
            Answer::Deleted(number) => write!(f, "Deleted({number})"),
            Answer::Usage(usage) => write!(f, "Usage({} owners)", usage.owners.len()),
            Answer::Targets(targets) => write!(f, "Targets({})", targets.len()),
            Answer::Released(handed) => write!(f, "Released({})", handed.targets.len()),
            Answer::Adopted(refused) => write!(f, "Adopted({} refused)", refused.len()),
            Answer::Exemplars(series) => write!(f, "Exemplars({})", series.len()),
            Answer::PushedMetadata(families) => write!(f, "PushedMetadata({})", families.len()),
            Answer::Notices(notices) => write!(f, "Notices({})", notices.len()),
            Answer::Stats(_) => f.write_str("Stats"),
            Answer::Metrics(_) => f.write_str("Metrics"),
            Answer::Pushed(pushed) => write!(f, "Pushed({} samples)", pushed.samples),
        }
    }
}
