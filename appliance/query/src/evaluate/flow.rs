//! Flow: the series of a leaf through the mappers above it, to whoever uses them one by one.
//!
//! Series are cut into batches, whose bounds depend on the query alone. Threads of the crew compute
//! some of them; the query's own thread computes the others and uses all of them, in the order of
//! series, so that the answer has the same bits whatever the number of threads.
//!
//! Never: lends a batch while the memory that queries share has no room for it.
//!
//! Invariants
//! - F2: batches are used in their order, each once.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::time::Duration;

use crate::annotation::Annotations;
use crate::evaluate::budget::{Cost, Work};
use crate::evaluate::column::Column;
use crate::evaluate::context::{Context, Sink, Streamed};
use crate::evaluate::fault::Fault;
use crate::evaluate::leaf::{Bench, Leaf};
use crate::evaluate::mapper::Mapper;

/// Bytes of the columns of a batch: with what they are computed from they fit a core's own cache.
const BATCH_BYTES: u64 = 256 << 10;
/// Most series of a batch: a few hundred microseconds, after which the deadline is looked at.
const BATCH_SERIES_MAX: u64 = 128;
/// Batches in flight, a thread: one that is computed, and one that waits for its turn.
const BATCHES_A_THREAD: usize = 2;
/// Bytes of samples that another thread may decode at once, 180 days of a sample a minute, and of
/// native histograms that wait in a batch. What needs more is computed by the query's own thread,
/// on its own budget.
const LENT_BYTES_MAX: u64 = 4 << 20;
/// Most bytes that the batches of other threads take together: those of fifteen threads.
const LENT_BYTES_TOTAL_MAX: u64 = 128 << 20;
/// Longest wait for another thread before the deadline is looked at.
const WAIT: Duration = Duration::from_millis(20);

/// The series of a leaf and what is done to each.
pub(crate) struct Flow {
    /// Where they come from.
    pub(crate) leaf: Leaf,
    /// What is done to each, in order.
    pub(crate) mappers: Vec<Mapper>,
}

/// A series of a batch: its number, its cost, and its column unless that is empty.
type Computed = (usize, Cost, Option<Column>);

/// Some neighbouring series, computed.
struct Batch {
    series: Vec<Computed>,
    notes: Annotations,
    /// Why the next series is missing.
    end: Result<(), Fault>,
}

/// A batch whose turn comes.
enum Slot {
    Own(usize, Batch),
    Lent(usize, Receiver<Batch>),
}

/// Tells other threads that nobody waits for what they compute.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Flow {
    /// Computes every series and gives it to `sink`, in order.
    ///
    /// # Errors
    /// The store fails, a bound is passed, an argument is none, or the query is to end.
    pub(crate) fn run<'c>(
        self,
        context: &mut Context<'c>,
        sink: &mut Sink<'_, 'c>,
    ) -> Result<(), Fault> {
        let batches = self.batch_count();
        let width = context.crew.width().min(batches);
        let each = self.batch_bytes().saturating_add(LENT_BYTES_MAX);
        let affordable = usize::try_from(LENT_BYTES_TOTAL_MAX / each).unwrap_or(usize::MAX);
        let in_flight = (width * BATCHES_A_THREAD).min(affordable);
        if 1 < width && 1 < in_flight {
            // Without room for others the query works alone: slower, not wrong.
            if let Some(share) = context.budget.lend(each * in_flight as u64) {
                let together = Together::new(Arc::new(self), in_flight);
                let done = together.run(context, sink);
                drop(share);
                return done;
            }
        }
        let mut bench = Bench::default();
        for batch in 0..batches {
            (context.check)()?;
            self.use_directly(batch, &mut bench, context, sink)?;
        }
        Ok(())
    }

    /// Series in a batch.
    fn batch_series(&self) -> usize {
        let column = Column::new_bytes(self.leaf.grid().count).max(1);
        let series = (BATCH_BYTES / column).clamp(1, BATCH_SERIES_MAX);
        usize::try_from(series).expect("a batch has few series")
    }

    fn batch_count(&self) -> usize {
        self.leaf.series().div_ceil(self.batch_series())
    }

    fn batch_bytes(&self) -> u64 {
        Column::new_bytes(self.leaf.grid().count).saturating_mul(self.batch_series() as u64)
    }

    fn series_of(&self, batch: usize) -> Range<usize> {
        let size = self.batch_series();
        batch * size..self.leaf.series().min((batch + 1) * size)
    }

    /// Computes a batch and uses each series before the next.
    fn use_directly<'c>(
        &self,
        batch: usize,
        bench: &mut Bench,
        context: &mut Context<'c>,
        sink: &mut Sink<'_, 'c>,
    ) -> Result<(), Fault> {
        let mut notes = Annotations::default();
        let check = context.check;
        for at in self.series_of(batch) {
            let room = context.budget.bytes_left();
            let mut cost = Cost::default();
            let work = Work { cost: &mut cost, notes: &mut notes, check, room };
            let computed = self.compute(at, bench, work);
            context.budget.count(&cost)?;
            if computed? {
                self.give(at, &mut bench.column, context, sink)?;
            }
        }
        context.notes.merge(notes);
        Ok(())
    }

    /// Computes a batch for later.
    fn batch(&self, batch: usize, room: u64, check: &dyn Fn() -> Result<(), Fault>) -> Batch {
        let mut bench = Bench::default();
        let range = self.series_of(batch);
        let series = Vec::with_capacity(range.len());
        let mut computed = Batch { series, notes: Annotations::default(), end: check() };
        let mut held = 0;
        for at in range {
            if computed.end.is_err() {
                break;
            }
            let mut cost = Cost::default();
            let work = Work { cost: &mut cost, notes: &mut computed.notes, check, room };
            match self.compute(at, &mut bench, work) {
                Ok(found) => {
                    let column = found.then(|| std::mem::take(&mut bench.column));
                    held += column.as_ref().map_or(0, Column::heap_bytes);
                    computed.series.push((at, cost, column));
                    if self.batch_bytes().saturating_add(room) < held {
                        computed.end = Err(Fault::Memory);
                    }
                }
                fault => computed.end = fault.map(|_| ()),
            }
        }
        computed
    }

    /// Computes the column of a series; `false` where it is empty.
    fn compute(&self, at: usize, bench: &mut Bench, mut work: Work<'_>) -> Result<bool, Fault> {
        if !self.leaf.compute(at, bench, &mut work)? {
            return Ok(false);
        }
        for mapper in &self.mappers {
            mapper.apply(&mut bench.column, work.notes)?;
            let samples = bench.column.samples();
            if samples == 0 {
                return Ok(false);
            }
            work.cost.results += samples;
        }
        Ok(true)
    }

    fn give<'c>(
        &self,
        at: usize,
        column: &mut Column,
        context: &mut Context<'c>,
        sink: &mut Sink<'_, 'c>,
    ) -> Result<(), Fault> {
        let (labels, drops) = self.leaf.labels(at);
        let drop_name = drops || self.mappers.iter().any(Mapper::drops_name);
        sink(context, Streamed { labels, drop_name, column })
    }

    /// Uses a batch that was computed before.
    fn use_batch<'c>(
        &self,
        batch: Batch,
        context: &mut Context<'c>,
        sink: &mut Sink<'_, 'c>,
    ) -> Result<(), Fault> {
        for (at, cost, column) in batch.series {
            context.budget.count(&cost)?;
            if let Some(mut column) = column {
                self.give(at, &mut column, context, sink)?;
            }
        }
        context.notes.merge(batch.notes);
        batch.end
    }
}

/// A flow that several threads compute.
struct Together {
    flow: Arc<Flow>,
    slots: VecDeque<Slot>,
    in_flight: usize,
    /// The batch that is lent or computed next.
    next: usize,
    /// The batch that is used next.
    turn: usize,
    stop: Stop,
    bench: Bench,
}

impl Together {
    fn new(flow: Arc<Flow>, in_flight: usize) -> Together {
        let stop = Stop(Arc::new(AtomicBool::new(false)));
        let (slots, bench) = (VecDeque::with_capacity(in_flight), Bench::default());
        Together { flow, slots, in_flight, next: 0, turn: 0, stop, bench }
    }

    fn run<'c>(mut self, context: &mut Context<'c>, sink: &mut Sink<'_, 'c>) -> Result<(), Fault> {
        let flow = Arc::clone(&self.flow);
        let batches = flow.batch_count();
        while self.turn < batches {
            (context.check)()?;
            while self.next < batches && self.slots.len() < self.in_flight && self.lend(context) {}
            let batch = match self.slots.pop_front() {
                None => {
                    self.next += 1;
                    None
                }
                Some(Slot::Own(at, batch)) => {
                    assert_eq!(at, self.turn, "F2: batch {at} has no turn");
                    Some(batch)
                }
                Some(Slot::Lent(at, results)) => match self.received(at, &results, context) {
                    Ok(batch) => batch,
                    Err(Waiting) => {
                        self.slots.push_front(Slot::Lent(at, results));
                        continue;
                    }
                },
            };
            match batch {
                Some(batch) if !matches!(batch.end, Err(Fault::Memory)) => {
                    flow.use_batch(batch, context, sink)?;
                }
                // The first to want it, lost with its thread, or too large for another's share.
                _ => flow.use_directly(self.turn, &mut self.bench, context, sink)?,
            }
            self.turn += 1;
        }
        Ok(())
    }

    /// Lends the next batch; `false` where no thread is free.
    fn lend(&mut self, context: &Context<'_>) -> bool {
        let (sender, results) = channel();
        let (flow, stop, at) = (Arc::clone(&self.flow), Arc::clone(&self.stop.0), self.next);
        let task = Box::new(move || {
            let stopped = || {
                if stop.load(Ordering::Relaxed) { Err(Fault::Canceled) } else { Ok(()) }
            };
            let batch = flow.batch(at, LENT_BYTES_MAX, &stopped);
            drop(flow);
            // Where the query ended meanwhile, nobody takes it.
            let _ = sender.send(batch);
        });
        if context.crew.offer(task).is_err() {
            return false;
        }
        self.slots.push_back(Slot::Lent(at, results));
        self.next += 1;
        true
    }

    /// The batch that another thread computes; `None` where that thread lost it. While it takes
    /// its time this thread computes another, or waits.
    fn received(
        &mut self,
        at: usize,
        results: &Receiver<Batch>,
        context: &Context<'_>,
    ) -> Result<Option<Batch>, Waiting> {
        assert_eq!(at, self.turn, "F2: batch {at} has no turn");
        match results.try_recv() {
            Ok(batch) => return Ok(Some(batch)),
            Err(TryRecvError::Disconnected) => return Ok(None),
            Err(TryRecvError::Empty) => {}
        }
        // This slot was taken out of the queue.
        if self.next < self.flow.batch_count() && self.slots.len() + 1 < self.in_flight {
            let batch = self.flow.batch(self.next, LENT_BYTES_MAX, context.check);
            self.slots.push_back(Slot::Own(self.next, batch));
            self.next += 1;
            return Err(Waiting);
        }
        match results.recv_timeout(WAIT) {
            Ok(batch) => Ok(Some(batch)),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => Err(Waiting),
        }
    }
}

/// The batch whose turn it is is not there yet.
struct Waiting;
