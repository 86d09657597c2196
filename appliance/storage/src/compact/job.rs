//! Job: one compaction as a machine that asks for bytes, is fed, and says what to write. No I/O.
//!
//! Path: effect `Compact` → a compaction thread → **job** → event `Compacted`.
//! Never: writes a byte twice, goes past its memory for what it reads.

use thiserror::Error;

use crate::compact::merge::MergeJob;
use crate::compact::read::{Fault, Seen, Stop, Want};
use crate::compact::sink::Sink;
use crate::compact::tiles::TileJob;
use crate::compaction::{BlockSummary, CompactionPlan, Inputs, Outcome};
use crate::names::FileName;

/// Bytes of one write, about.
const WRITE_BYTES: usize = 1 << 20;

/// What a job wants next.
#[derive(Debug)]
pub enum Step {
    /// Read up to `bytes_max` bytes at `offset` and [`Job::feed`] them; fewer mean that the file
    /// ends there.
    Read {
        /// File to read.
        file: FileName,
        /// Where.
        offset: u64,
        /// Most bytes wanted.
        bytes_max: usize,
    },
    /// Write `bytes` at `offset`, then go on. Writes to a file come in order without gaps; the
    /// first, at 0, creates the file or cuts what is there to nothing.
    Write {
        /// File to write.
        file: FileName,
        /// Where.
        offset: u64,
        /// What to write.
        bytes: Vec<u8>,
    },
    /// Sync the file, then its directory, then go on: both are durable when the next step is asked
    /// for.
    Sync {
        /// File to sync.
        file: FileName,
    },
    /// Done: answer with this.
    Done(Box<Outcome>),
}

/// Why a job cannot go on. Its output, if any was begun, is of no use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum JobError {
    /// An input is not what the plan says.
    #[error("{file} is damaged at {offset}: {reason}")]
    Damaged {
        /// File that was read.
        file: FileName,
        /// Where.
        offset: u64,
        /// What does not check.
        reason: &'static str,
    },
}

#[derive(Debug)]
enum Work {
    Tiles(Box<TileJob>),
    Blocks(Box<MergeJob>),
}

#[derive(Debug)]
enum End {
    /// Series are still to come.
    Open,
    /// The last bytes are to be written.
    Closed(Option<BlockSummary>),
    /// They are to be synced.
    Written(Option<BlockSummary>),
    Synced(Option<BlockSummary>),
}

/// A compaction under way.
#[derive(Debug)]
pub struct Job {
    plan: CompactionPlan,
    work: Work,
    sink: Option<Sink>,
    end: End,
    fault: Option<Fault>,
    seen: Seen,
}

impl Job {
    /// The job of `plan`.
    #[must_use]
    pub fn new(plan: &CompactionPlan) -> Job {
        let work = match &plan.inputs {
            Inputs::Tiles { catalog, files } => {
                Work::Tiles(Box::new(TileJob::new(plan, *catalog, files)))
            }
            Inputs::Blocks(blocks) => Work::Blocks(Box::new(MergeJob::new(plan, blocks))),
        };
        let seen = Seen::default();
        Job { plan: plan.clone(), work, sink: None, end: End::Open, fault: None, seen }
    }

    /// What to do next.
    ///
    /// # Errors
    /// See [`JobError`].
    pub fn step(&mut self) -> Result<Step, JobError> {
        if let Some(fault) = self.fault {
            return Err(damaged(fault));
        }
        while matches!(self.end, End::Open) {
            if self.sink.as_ref().is_some_and(|sink| WRITE_BYTES <= sink.writer.ready_bytes()) {
                return Ok(self.write());
            }
            match self.advance() {
                Ok(true) => {}
                Ok(false) => {
                    let block = self.sink.as_mut().and_then(Sink::finish);
                    self.end = End::Closed(block);
                }
                Err(Stop::Want(Want { file, offset, bytes })) => {
                    return Ok(Step::Read { file, offset, bytes_max: bytes });
                }
                Err(Stop::Fault(fault)) => return Err(damaged(fault)),
            }
        }
        let file = FileName::Block(self.plan.output);
        match self.end {
            End::Closed(block @ Some(_)) => {
                self.end = End::Written(block);
                Ok(self.write())
            }
            End::Written(block) => {
                self.end = End::Synced(block);
                Ok(Step::Sync { file })
            }
            End::Closed(None) => Ok(self.done(None)),
            End::Synced(block) => Ok(self.done(block)),
            End::Open => unreachable!("the loop ends when the block is closed"),
        }
    }

    /// Goes on until bytes are wanted, something was written (`true`), or all is (`false`).
    fn advance(&mut self) -> Result<bool, Stop> {
        match &mut self.work {
            Work::Blocks(merge) => merge.advance(&self.plan, &mut self.sink, &mut self.seen),
            Work::Tiles(tiles) => {
                if tiles.write(&mut self.sink, &mut self.seen) {
                    return Ok(true);
                }
                tiles.want().map_or(Ok(false), |want| Err(Stop::Want(want)))
            }
        }
    }

    fn write(&mut self) -> Step {
        let file = FileName::Block(self.plan.output);
        let sink = self.sink.as_mut().expect("there is something to write");
        let (offset, bytes) = sink.writer.take();
        Step::Write { file, offset, bytes }
    }

    fn done(&self, block: Option<BlockSummary>) -> Step {
        Step::Done(Box::new(Outcome {
            block,
            damages: self.seen.damages.clone(),
            read_bytes: self.seen.bytes,
            read_samples: self.seen.samples,
        }))
    }

    /// Takes the bytes that [`Step::Read`] asked for.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.seen.bytes += bytes.len() as u64;
        let fed = match &mut self.work {
            Work::Blocks(merge) => merge.feed(bytes),
            Work::Tiles(tiles) => tiles.feed(&self.plan, &mut self.sink, bytes, &mut self.seen),
        };
        if let Err(Stop::Fault(fault)) = fed {
            self.fault = Some(fault);
        }
    }
}

fn damaged(Fault { file, offset, reason }: Fault) -> JobError {
    JobError::Damaged { file, offset, reason }
}
