//! Handle: what the server holds of the running shards.
//!
//! Path: `api`'s glue in the server → **handle** → `mailbox` → `shard_loop`.
//! Never: waits without a deadline.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, bounded};
use exposition::metrics::Collected;
use scrape::target::TargetSpec;
use shard::effect::Answer;
use shard::event::Question;
use storage::leases::{ShardUsage, deal};
use storage::options::Options as StorageOptions;
use storage::tile_read::TileRead;
use thiserror::Error;

use crate::clock;
use crate::mailbox::{Ask, PostError, Postbox};
use crate::own::{Own, OwnPages};
use crate::placement::Placement;
use crate::plan::Plan;
use crate::reactor::IoKind;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AskError {
    /// As many questions wait as may: try again later.
    #[error("shard {0} has too many questions waiting")]
    Busy(usize),
    /// The deadline passed; an answer may still be computed, and is dropped.
    #[error("shard {0} did not answer in time")]
    Deadline(usize),
    /// The shard has stopped.
    #[error("shard {0} has stopped")]
    Gone(usize),
}

/// Why a stop was not clean.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StopError {
    /// The deadline passed; the process may exit all the same: what was acknowledged is on disk.
    #[error("{0} did not stop in time")]
    Deadline(String),
    /// A thread died.
    #[error("{0} ended by a bug")]
    Died(String),
}

/// One shard, seen from outside.
pub(crate) struct ShardEnd {
    pub(crate) postbox: Postbox,
    pub(crate) tiles: Arc<dyn TileRead>,
    pub(crate) beat: Arc<Beat>,
}

/// Signs of life of one loop, read by a watchdog.
#[derive(Debug, Default)]
pub struct Beat {
    /// Turns so far.
    pub turns: AtomicU64,
    /// Longest turn so far, nanoseconds, without the wait in the kernel.
    pub longest_nanos: AtomicU64,
    /// Nanoseconds of all turns so far, without the waits in the kernel.
    pub worked_nanos: AtomicU64,
}

/// A thread that ends when it is told to, or when those it serves have gone.
pub struct Worker {
    pub(crate) name: String,
    pub(crate) thread: JoinHandle<()>,
    /// Disconnected when the thread has ended.
    pub(crate) ended: Receiver<()>,
}

/// Source of counters that live outside the shards' loops.
pub trait Gauges: Send + Sync {
    /// Adds the counters to `into`.
    fn collect(&self, into: &mut Collected);
}

/// The running machine.
pub struct Handle {
    pub(crate) shards: Vec<ShardEnd>,
    /// In the order in which they end.
    pub(crate) workers: Vec<Worker>,
    pub(crate) gauges: Vec<Arc<dyn Gauges>>,
    pub(crate) io: IoKind,
    pub(crate) plan: Plan,
    pub(crate) notes: Vec<String>,
    pub(crate) own: Own,
    /// Keeps other processes out of the data directory.
    pub(crate) lock: OwnedFd,
}

impl Handle {
    /// Number of shards.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The way of I/O that was taken.
    #[must_use]
    pub fn io(&self) -> IoKind {
        self.io
    }

    /// Which thread runs where: the server binds its own threads to the service's cores.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Turns of each shard's loop so far: a watchdog's sign of life. A loop turns at least once a
    /// minute, and at once when it is asked something.
    #[must_use]
    pub fn turns(&self) -> Vec<u64> {
        self.shards.iter().map(|shard| shard.beat.turns.load(Ordering::Relaxed)).collect()
    }

    /// Nanoseconds that each shard has worked so far, without its waits in the kernel.
    #[must_use]
    pub fn worked_nanos(&self) -> Vec<u64> {
        let worked = |shard: &ShardEnd| shard.beat.worked_nanos.load(Ordering::Relaxed);
        self.shards.iter().map(worked).collect()
    }

    /// The plan of cores and what is missing on this machine, a line each, for the log and the
    /// status page.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Asks one shard and waits for the answer.
    ///
    /// # Errors
    /// See [`AskError`].
    pub fn ask(
        &self,
        shard: usize,
        question: Question,
        timeout: Duration,
    ) -> Result<Answer, AskError> {
        let receiver = self.post(shard, question)?;
        wait(shard, &receiver, timeout)
    }

    /// Asks one shard; `reply` runs on the shard's thread and must not block. It is dropped
    /// without a call when the shard stops first.
    ///
    /// # Errors
    /// `Busy` or `Gone`; then `reply` is dropped.
    pub fn ask_with(
        &self,
        shard: usize,
        question: Question,
        reply: impl FnOnce(Answer) + Send + 'static,
    ) -> Result<(), AskError> {
        let ask = Ask { question, reply: Box::new(reply) };
        self.shards[shard].postbox.ask(ask).map_err(|refused| match refused {
            PostError::Full => AskError::Busy(shard),
            PostError::Gone => AskError::Gone(shard),
        })
    }

    /// Asks all shards at once; the answers are in order of shard.
    ///
    /// # Errors
    /// The first shard's that has no answer.
    pub fn ask_all(&self, question: &Question, timeout: Duration) -> Result<Vec<Answer>, AskError> {
        self.ask_each((0..self.shards.len()).map(|shard| (shard, question.clone())), timeout)
    }

    /// Asks several shards at once, each its own question; the answers are in the order of the
    /// questions.
    ///
    /// # Errors
    /// The first shard's that has no answer.
    pub fn ask_each(
        &self,
        questions: impl Iterator<Item = (usize, Question)>,
        timeout: Duration,
    ) -> Result<Vec<Answer>, AskError> {
        let began = clock::tick();
        let receivers: Vec<(usize, Receiver<Answer>)> = questions
            .map(|(shard, question)| Ok((shard, self.post(shard, question)?)))
            .collect::<Result<_, _>>()?;
        let answers = receivers.iter().map(|(shard, receiver)| {
            let gone = Duration::from_nanos(clock::tick().since(began));
            wait(*shard, receiver, timeout.saturating_sub(gone))
        });
        answers.collect()
    }

    fn post(&self, shard: usize, question: Question) -> Result<Receiver<Answer>, AskError> {
        let (sender, receiver) = bounded(1);
        self.ask_with(shard, question, move |answer| {
            let _ = sender.try_send(answer);
        })?;
        Ok(receiver)
    }

    /// Gives each shard its share of `targets`, as `placement` says. These, and no others, are
    /// scraped from then on. A question that is asked after this is met after it.
    pub fn set_targets(&self, targets: Vec<Arc<TargetSpec>>, placement: &Placement) {
        let count = self.shards.len();
        let mut shares: Vec<Vec<Arc<TargetSpec>>> = (0..count).map(|_| Vec::new()).collect();
        for target in targets {
            shares[placement.shard_of(target.identity().0, count)].push(target);
        }
        for (shard, share) in self.shards.iter().zip(shares) {
            shard.postbox.set_targets(share);
        }
    }

    /// Gives every store what of `options`, for all of them together, may change while it runs.
    ///
    /// # Errors
    /// The first shard's that did not answer.
    pub fn configure(&self, options: &StorageOptions, timeout: Duration) -> Result<(), AskError> {
        let shards = u32::try_from(self.shards.len()).unwrap_or(u32::MAX);
        let options = StorageOptions { shards, ..options.clone() };
        self.ask_all(&Question::Configure(Box::new(options)), timeout).map(drop)
    }

    /// Deals the limits of `options` that are for all shards together to those that need them.
    ///
    /// # Errors
    /// The first shard's that did not answer; it goes by what it was dealt before.
    pub fn deal(&self, options: &StorageOptions, timeout: Duration) -> Result<(), AskError> {
        if self.shards.len() < 2 || !options.deals() {
            return Ok(());
        }
        let usage = |answer| match answer {
            Answer::Usage(usage) => Some(*usage),
            _ => None,
        };
        let answers = self.ask_all(&Question::Usage, timeout)?;
        let usages: Vec<ShardUsage> = answers.into_iter().filter_map(usage).collect();
        for (shard, leases) in deal(options, &usages).into_iter().enumerate() {
            let receiver = self.post(shard, Question::Lease(Box::new(leases)))?;
            wait(shard, &receiver, timeout)?;
        }
        Ok(())
    }

    /// Has `own` answer scrapes of this process by itself, without a socket.
    pub fn serve_own(&self, own: Arc<dyn OwnPages>) {
        self.own.serve(own);
    }

    /// Reads the tile files of one shard, from any thread.
    #[must_use]
    pub fn tiles(&self, shard: usize) -> Arc<dyn TileRead> {
        Arc::clone(&self.shards[shard].tiles)
    }

    /// Adds the counters of the machine's own threads. Those of a shard and its loop come with
    /// the answer to `Question::Metrics`.
    pub fn collect(&self, into: &mut Collected) {
        self.plan.collect(into);
        for gauges in &self.gauges {
            gauges.collect(into);
        }
    }

    /// Stops all shards, then the threads that served them.
    ///
    /// # Errors
    /// See [`StopError`].
    pub fn stop(self, timeout: Duration) -> Result<(), StopError> {
        let Handle { shards, workers, lock, .. } = self;
        for shard in &shards {
            shard.postbox.stop();
        }
        // The background threads end when the last postbox and queue to them has gone.
        drop(shards);
        let began = clock::tick();
        for worker in workers {
            let gone = Duration::from_nanos(clock::tick().since(began));
            if let Err(RecvTimeoutError::Timeout) =
                worker.ended.recv_timeout(timeout.saturating_sub(gone))
            {
                return Err(StopError::Deadline(worker.name));
            }
            let Worker { name, thread, .. } = worker;
            thread.join().map_err(|_| StopError::Died(name))?;
        }
        drop(lock);
        Ok(())
    }
}

fn wait(shard: usize, receiver: &Receiver<Answer>, timeout: Duration) -> Result<Answer, AskError> {
    receiver.recv_timeout(timeout).map_err(|cause| match cause {
        RecvTimeoutError::Timeout => AskError::Deadline(shard),
        RecvTimeoutError::Disconnected => AskError::Gone(shard),
    })
}
