//! Mailbox: what other threads have for a shard, and the wake-up that goes with it.
//!
//! Path: the server's threads, `wal_thread`, `files`, `resolve`, `access` → **mailbox** →
//! `shard_loop`.
//! Owns: bounded queues; a full one slows or refuses its source, which is counted.
//! Never: keeps a question that cannot be answered; its reply is dropped, which the asker sees.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use client::access::Access;
use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use crossbeam::queue::ArrayQueue;
use model::time::Tick;
use scrape::fetch::FetchFault;
use scrape::http_options::HttpOptions;
use scrape::target::TargetSpec;
use shard::effect::Answer;
use shard::event::Question;
use shard::pace::CommitPace;
use storage::effect::Event as StorageEvent;

use crate::wake::Waker;

/// Takes the answer of one question, on the shard's thread: it must not block.
pub type Reply = Box<dyn FnOnce(Answer) + Send>;

/// One question and where its answer goes.
pub struct Ask {
    /// What is asked.
    pub question: Question,
    /// Takes the answer.
    pub reply: Reply,
}

/// What a background thread has done for a shard.
#[derive(Debug)]
pub enum Done {
    /// The log or a file operation.
    Storage(StorageEvent),
    /// A name was looked up.
    Resolved {
        /// As asked.
        name: String,
        /// Its addresses, or why there are none.
        addresses: Result<Vec<IpAddr>, String>,
    },
    /// What requests need of files and tokens was made ready.
    Prepared(Prepared),
    /// A fetch by the library's client ended.
    Elsewhere {
        /// As asked.
        token: u64,
        /// The response, or why there is none.
        outcome: Result<Elsewhere, FetchFault>,
    },
}

/// What requests need of files and tokens.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// As asked, or their equal.
    pub options: Arc<HttpOptions>,
    /// What they become, or why they cannot.
    pub access: Result<Arc<Access>, String>,
    /// How long this is so.
    pub until: Tick,
}

/// A response that the library's client read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// Status code.
    pub status: u16,
    /// Value of Content-Type, "" when absent.
    pub content_type: String,
    /// The body, inflated.
    pub body: Vec<u8>,
    /// Bytes of the body as they came.
    pub wire_bytes: u64,
}

/// Bounds of a mailbox.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Questions that may wait.
    pub questions_max: usize,
    /// Results of background threads that may wait; they block beyond it.
    pub done_max: usize,
}

/// The shard's end.
pub struct Mailbox {
    asks: Receiver<Ask>,
    done: Receiver<Done>,
    shared: Arc<Shared>,
}

struct Shared {
    /// The newest list replaces one that was not taken yet.
    targets: ArrayQueue<Vec<Arc<TargetSpec>>>,
    /// The newest replaces one that was not taken yet.
    pace: ArrayQueue<CommitPace>,
    stop: ArrayQueue<()>,
    refused: AtomicU64,
}

/// The other threads' end; cheap to clone.
#[derive(Clone)]
pub struct Postbox {
    asks: Sender<Ask>,
    done: Sender<Done>,
    shared: Arc<Shared>,
    waker: Waker,
}

/// Why a question was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostError {
    /// As many questions wait as may.
    Full,
    /// The shard has stopped.
    Gone,
}

/// Both ends of a mailbox whose shard `waker` wakes.
#[must_use]
pub fn mailbox(waker: Waker, bounds: Bounds) -> (Mailbox, Postbox) {
    let (ask_sender, asks) = bounded(bounds.questions_max);
    let (done_sender, done) = bounded(bounds.done_max);
    let shared = Arc::new(Shared {
        targets: ArrayQueue::new(1),
        pace: ArrayQueue::new(1),
        stop: ArrayQueue::new(1),
        refused: AtomicU64::new(0),
    });
    let postbox =
        Postbox { asks: ask_sender, done: done_sender, shared: Arc::clone(&shared), waker };
    (Mailbox { asks, done, shared }, postbox)
}

impl Postbox {
    /// Queues a question.
    ///
    /// # Errors
    /// See [`PostError`]; the reply is dropped then.
    pub fn ask(&self, ask: Ask) -> Result<(), PostError> {
        let sent = self.asks.try_send(ask).map_err(|refused| match refused {
            TrySendError::Full(_) => {
                self.shared.refused.fetch_add(1, Ordering::Relaxed);
                PostError::Full
            }
            TrySendError::Disconnected(_) => PostError::Gone,
        });
        self.waker.wake();
        sent
    }

    /// Gives the shard its targets; a list that it has not taken yet is replaced.
    pub fn set_targets(&self, targets: Vec<Arc<TargetSpec>>) {
        let _ = self.shared.targets.force_push(targets);
        self.waker.wake();
    }

    /// Tells the shard when its commits close.
    pub fn set_pace(&self, pace: CommitPace) {
        let _ = self.shared.pace.force_push(pace);
        self.waker.wake();
    }

    /// Tells the shard to stop.
    pub fn stop(&self) {
        let _ = self.shared.stop.push(());
        self.waker.wake();
    }

    /// Gives the shard a result. Blocks while as many wait as may; the shard always takes them.
    pub fn done(&self, done: Done) {
        // A shard that has gone needs no results.
        let _ = self.done.send(done);
        self.waker.wake();
    }

    /// Questions refused because the mailbox was full.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }
}

impl Mailbox {
    /// The next question.
    #[must_use]
    pub fn take_ask(&self) -> Option<Ask> {
        self.asks.try_recv().ok()
    }

    /// The next result of a background thread.
    #[must_use]
    pub fn take_done(&self) -> Option<Done> {
        self.done.try_recv().ok()
    }

    /// The newest list of targets, once.
    #[must_use]
    pub fn take_targets(&self) -> Option<Vec<Arc<TargetSpec>>> {
        self.shared.targets.pop()
    }

    /// When commits close, once.
    #[must_use]
    pub fn take_pace(&self) -> Option<CommitPace> {
        self.shared.pace.pop()
    }

    /// Whether a stop was asked for, once.
    #[must_use]
    pub fn take_stop(&self) -> bool {
        self.shared.stop.pop().is_some()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let shared = &self.shared;
        let idle = shared.targets.is_empty() && shared.pace.is_empty() && shared.stop.is_empty();
        idle && self.asks.is_empty() && self.done.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Mailbox, Postbox) {
        let waker = Waker::new(true).unwrap();
        mailbox(waker, Bounds { questions_max: 1, done_max: 1 })
    }

    #[test]
    fn a_full_or_gone_mailbox_drops_the_reply() {
        let (mailbox, postbox) = pair();
        let ask = |sender: &crossbeam::channel::Sender<()>| {
            let sender = sender.clone();
            let reply = Box::new(move |_| drop(sender));
            postbox.ask(Ask { question: Question::Targets, reply })
        };
        let (sender, receiver) = bounded::<()>(1);
        assert_eq!(ask(&sender), Ok(()));
        assert_eq!(ask(&sender), Err(PostError::Full));
        assert_eq!(postbox.refused(), 1);
        drop(mailbox.take_ask());
        drop(mailbox);
        assert_eq!(ask(&sender), Err(PostError::Gone));
        drop(sender);
        assert!(receiver.recv().is_err(), "every reply was dropped");
    }

    #[test]
    fn the_newest_targets_replace() {
        let (mailbox, postbox) = pair();
        postbox.set_targets(Vec::with_capacity(1));
        postbox.set_targets(Vec::with_capacity(7));
        assert_eq!(mailbox.take_targets().map(|list| list.capacity()), Some(7));
        assert!(mailbox.is_empty());
        for age_ms in [10, 20] {
            postbox.set_pace(CommitPace { age_ms, bytes: 4096 });
        }
        assert!(!mailbox.is_empty());
        assert_eq!(mailbox.take_pace().map(|pace| pace.age_ms), Some(20));
        postbox.stop();
        assert!(mailbox.take_stop() && !mailbox.take_stop());
    }
}
