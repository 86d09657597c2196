//! Events: everything that can happen to a shard.
//!
//! Closed: a new variant needs its row in this table.
//!
//! | event | sent by | after | bounded by |
//! |---|---|---|---|
//! | `Targets` | the server, by the mailbox | boot, reload, discovery | the mailbox |
//! | `Fetched` | the machine, once a `Fetch` | effect `Fetch` | `in_flight_max` of the scraper |
//! | `Due` | the machine, once the armed tick passed | effect `Arm` | one armed tick |
//! | `Storage` | the machine's WAL and file threads | effect `Storage` | what is in flight |
//! | `Pace` | the machine's pacer, by the mailbox | a window whose output differs | the mailbox |
//! | `Ask` | the server, through the mailbox | a request | the mailbox; answered at once |
//! | `Stop` | the server | SIGTERM | once |

use std::sync::Arc;

use model::matcher::Matcher;
use model::time::TimestampMs;
use remote::batch::Batch;
use scrape::exemplars::ExemplarRequest;
use scrape::fetch::{FetchFault, Fetched, Timings};
use scrape::handover::{Handover, Share};
use scrape::target::{TargetId, TargetSpec};
use storage::effect::Event as StorageEvent;
use storage::leases::Leases;
use storage::options::Options as StorageOptions;
use storage::row::Slot;
use storage::selection::{LabelRequest, Rest, SelectRequest};

use crate::pace::CommitPace;

/// Names one question; chosen by who asks, given back with the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One thing that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// These, and no others, are the targets of this shard. Those whose identity is known keep
    /// everything; those that are gone get staleness markers after upstream's delay.
    Targets(Vec<Arc<TargetSpec>>),
    /// A fetch ended. One that the shard did not ask for, or no longer wants, is dropped.
    Fetched {
        /// As in the `Fetch`.
        target: TargetId,
        /// As in the `Fetch`.
        slot: Slot,
        /// The response, or why there is none.
        outcome: Result<Fetched<'a>, FetchFault>,
        /// When it began and how long it took.
        timings: Timings,
    },
    /// The armed tick has passed (early is harmless: the shard arms again).
    Due,
    /// Something that storage asked for is done or failed.
    Storage(StorageEvent),
    /// From here on commits close so.
    Pace(CommitPace),
    /// A question, answered by one `Reply` of the same request before `on_event` returns; a
    /// `Push` is answered once all of it is durable.
    Ask {
        /// Given back with the answer.
        request: RequestId,
        /// What is asked.
        question: Question,
    },
    /// No more scrapes; finish the open commit, then `Stopped`.
    Stop,
}

/// What may be asked of a shard.
#[derive(Clone, Debug)]
pub enum Question {
    /// Series by matchers, a page of them. Its `series_max` is held to the shard's own bound.
    Select(SelectRequest),
    /// The next page of the same request: what the page before left.
    SelectMore(Box<(SelectRequest, Rest)>),
    /// Values of one label.
    LabelValues {
        /// The label.
        name: String,
        /// Which series count.
        wanted: LabelRequest,
    },
    /// Names of labels.
    LabelNames(LabelRequest),
    /// Blocks that a question about labels between two times, both included, must ask too. Who
    /// asks after the labels misses nothing that became a block in between.
    Blocks {
        /// First time.
        from: TimestampMs,
        /// Last time.
        to: TimestampMs,
    },
    /// Whether another deletion would be taken.
    MayDelete,
    /// Deletes the samples of the series that fulfil all matchers between two times, both
    /// included.
    Delete {
        /// All must match.
        matchers: Vec<Matcher>,
        /// First time.
        from: TimestampMs,
        /// Last time.
        to: TimestampMs,
    },
    /// The newest deletion that is durable.
    Deleted,
    /// Takes what is deleted away from blocks, in the background.
    CleanTombstones,
    /// Takes over what of these options may change while the store runs.
    Configure(Box<StorageOptions>),
    /// What the store uses of what is limited for all shards together.
    Usage,
    /// Takes over what it may use of that.
    Lease(Box<Leases>),
    /// States of all targets.
    Targets,
    /// Hands over targets to another shard, up to a share of what is scraped here.
    Release(Share),
    /// Takes over targets of another shard.
    Adopt(Vec<Handover>),
    /// Exemplars of series, scraped and pushed.
    Exemplars(ExemplarRequest),
    /// What was pushed beside samples about metric families.
    PushedMetadata,
    /// What the head holds.
    Stats,
    /// What logs are to say of scrapes; each is given once.
    Notices,
    /// The counters of the shard.
    Metrics,
    /// Samples to store.
    Push(Box<Batch>),
}
