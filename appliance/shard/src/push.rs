//! Push: samples that others send, and their acknowledgement.
//!
//! Path: event `Ask` with a batch → **push** → rows of `storage` → durable → effect `Reply`.
//! Owns: where pushed series have their columns, and the answers that wait for a commit.
//! Never: acknowledges what is not durable; refuses what it has already.
//!
//! Invariants
//! - PU1: an answer that waits leaves when its position is durable, in order.

use std::collections::VecDeque;
use std::sync::Arc;

use exposition::metrics::Collected;
use model::native_histogram::NativeHistogram;
use model::staleness::is_stale;
use model::time::{Now, TimestampMs};
use remote::batch::Batch;
use remote::outcome::{Cause, Pushed};
use scrape::metrics::number;
use storage::cells::{Cell, Cells};
use storage::effect::{Effect as StorageEffect, LogPosition};
use storage::exemplars::ExemplarError;
use storage::fill::{Late, There};
use storage::metadata::Family;
use storage::row::{ColumnIndex, ColumnKind, GroupId, Rank, Row, Slot};
use storage::store::{RowError, Store};

use crate::effect::{Answer, Effect};
use crate::event::RequestId;
use crate::push::bunches::Bunches;
use crate::push::known::Known;

mod bunches;
mod known;

/// Farthest that a sample may lie ahead of the wall clock, milliseconds (upstream's
/// `maxAheadTime`).
const AHEAD_MS_MAX: i64 = 10 * 60 * 1000;
/// Answers that wait for a commit: beyond them whoever sends more is told to come back.
const WAITING_MAX: usize = 1024;

/// Keeps the places of one series' columns apart: by kind of column.
const MARKS: [u128; 3] = [0, 1 << 127, 1 << 126];

/// A sample with its place.
#[derive(Clone, Copy, Debug)]
struct Placed {
    group: GroupId,
    timestamp_ms: i64,
    /// Older than the newest of its series.
    late: bool,
    column: ColumnIndex,
    /// Its number in [`Known`].
    known: u32,
    value: Value,
}

#[derive(Clone, Copy, Debug)]
enum Value {
    Float(f64),
    /// By number in the batch.
    Native(u32),
    Start(f64),
}

/// What is counted.
#[derive(Clone, Debug, Default)]
struct Counts {
    batches: u64,
    samples: u64,
    overloaded: u64,
    refused: [u64; Cause::ALL.len()],
}

/// Pushed series of one shard.
#[derive(Debug, Default)]
pub(crate) struct Pusher {
    known: Known,
    bunches: Bunches,
    waiting: VecDeque<(LogPosition, RequestId, Pushed)>,
    counts: Counts,
    /// Scratch, empty between batches.
    placed: Vec<Placed>,
    /// Scratch: by series of the batch and kind, the number in `known`.
    places: Vec<[Option<u32>; 3]>,
    cells: Cells,
}

/// What a batch is stored with.
struct Pass<'a> {
    now: Now,
    batch: &'a Batch,
    store: &'a mut Store,
    effects: &'a mut Vec<StorageEffect>,
    pushed: Pushed,
}

impl Pusher {
    /// Stores a batch; its answer leaves by [`Pusher::settle`].
    pub(crate) fn push(
        &mut self,
        now: Now,
        request: RequestId,
        batch: &Batch,
        store: &mut Store,
        effects: &mut Vec<StorageEffect>,
    ) {
        self.counts.batches += 1;
        let mut pass = Pass { now, batch, store, effects, pushed: Pushed::default() };
        if WAITING_MAX <= self.waiting.len() {
            pass.pushed.overloaded = true;
        } else {
            self.store_batch(&mut pass);
        }
        let (position, pushed) = (pass.store.position(), pass.pushed);
        self.counts.overloaded += u64::from(pushed.overloaded);
        self.counts.samples += pushed.samples + pushed.histograms;
        for (count, cause) in self.counts.refused.iter_mut().zip(Cause::ALL) {
            *count += pushed.refusals.count(cause);
        }
        self.waiting.push_back((position, request, pushed));
    }

    fn store_batch(&mut self, pass: &mut Pass<'_>) {
        if self.known.sweep(|entry| pass.store.has_column(entry.group, entry.column)) {
            self.bunches.sweep(pass.store);
        }
        self.placed.clear();
        self.places.clear();
        self.places.resize(pass.batch.series().len(), [None; 3]);
        self.place_all(pass);
        let key = |placed: &Placed| (placed.group, placed.timestamp_ms, placed.late, placed.column);
        let mut placed = std::mem::take(&mut self.placed);
        placed.sort_by_key(key);
        for row in placed
            .chunk_by(|a, b| (a.group, a.timestamp_ms, a.late) == (b.group, b.timestamp_ms, b.late))
        {
            self.store_row(pass, row);
            if pass.pushed.overloaded {
                break;
            }
        }
        placed.clear();
        self.placed = placed;
        if !pass.pushed.overloaded {
            self.store_exemplars(pass);
            self.store_families(pass);
        }
    }

    /// Gives every sample its place.
    fn place_all(&mut self, pass: &mut Pass<'_>) {
        for float in &pass.batch.floats {
            let value = Value::Float(float.value);
            self.place(pass, float.series, float.timestamp_ms, value, float.start_ms);
        }
        for (at, native) in (0u32..).zip(&pass.batch.natives) {
            let value = Value::Native(at);
            self.place(pass, native.series, native.timestamp_ms, value, native.start_ms);
        }
    }

    fn place(
        &mut self,
        pass: &mut Pass<'_>,
        series: u32,
        timestamp_ms: i64,
        value: Value,
        start_ms: i64,
    ) {
        if pass.now.wall.saturating_add(AHEAD_MS_MAX).0 < timestamp_ms {
            let detail = of_series(pass.batch, series);
            pass.pushed.refusals.add(Cause::OutOfBounds, detail);
            return;
        }
        let Some(known) = self.resolve(pass, series, timestamp_ms, value.kind()) else { return };
        let entry = self.known.entry(known);
        let (group, column) = (entry.group, entry.column);
        let late = timestamp_ms < entry.last_ms;
        let window_ms = pass.store.out_of_order_window_ms();
        let behind_ms = entry.last_ms.saturating_sub(timestamp_ms);
        if late && i64::try_from(window_ms).is_ok_and(|window_ms| window_ms < behind_ms) {
            let slot = Slot(timestamp_ms);
            let is_there = matches!(value, Value::Float(value)
                if pass.store.there(group, column, slot, value) == There::Same);
            if is_there {
                pass.pushed.samples += 1;
            } else {
                let cause = if window_ms == 0 { Cause::OutOfOrder } else { Cause::TooOld };
                pass.store.count_late();
                pass.pushed.refusals.add(cause, of_series(pass.batch, series));
            }
            return;
        }
        self.placed.push(Placed { group, timestamp_ms, late, column, known, value });
        if start_ms != 0
            && let Some(known) = self.resolve(pass, series, timestamp_ms, ColumnKind::Start)
        {
            let entry = self.known.entry(known);
            let (group, column) = (entry.group, entry.column);
            let value = Value::Start(float(start_ms));
            self.placed.push(Placed { group, timestamp_ms, late, column, known, value });
        }
    }

    /// Number of the series' column of a kind; made when it is new.
    fn resolve(
        &mut self,
        pass: &mut Pass<'_>,
        series: u32,
        time_ms: i64,
        kind: ColumnKind,
    ) -> Option<u32> {
        if let Some(known) = self.places[series as usize][kind as usize] {
            return Some(known);
        }
        let key = pass.batch.series()[series as usize].key ^ MARKS[kind as usize];
        let found = self.known.find(key);
        if let Some(known) = found {
            let entry = self.known.entry(known);
            if pass.store.has_column(entry.group, entry.column) {
                self.places[series as usize][kind as usize] = Some(known);
                return Some(known);
            }
        }
        let (group, column) = self.column_of(pass, series, time_ms, kind)?;
        let known = match found {
            Some(known) => {
                self.known.move_to(known, group, column);
                known
            }
            None => self.known.add(key, group, column),
        };
        self.places[series as usize][kind as usize] = Some(known);
        Some(known)
    }

    /// The column of a series that is not known here.
    fn column_of(
        &mut self,
        pass: &mut Pass<'_>,
        series: u32,
        time_ms: i64,
        kind: ColumnKind,
    ) -> Option<(GroupId, ColumnIndex)> {
        let labels = pass.batch.labels(series);
        let home = &pass.batch.homes()[pass.batch.series()[series as usize].home as usize];
        if let Some((group, column)) =
            pass.store.find_column(&labels, kind, |_, identity| identity == home)
        {
            self.bunches.saw(home, group, time_ms);
            return Some((group, column));
        }
        // Columns of one series stand in one group, so that its start timestamps need no row.
        let sibling = self.places[series as usize].iter().flatten().next();
        let group = match sibling {
            Some(known) => Ok(self.known.entry(*known).group),
            None => self.bunches.group_for(pass.store, home, &labels, time_ms),
        };
        let column = group.and_then(|group| {
            let column = pass.store.column(group, &labels, kind)?;
            Ok((group, column))
        });
        column
            .inspect_err(|error| {
                let detail = format_args!(": {error}, for series {labels}");
                pass.pushed.refusals.add(Cause::Limit, detail);
            })
            .ok()
    }

    /// Stores the samples of one group and time.
    fn store_row(&mut self, pass: &mut Pass<'_>, row: &[Placed]) {
        let Placed { group, timestamp_ms, late, .. } = row[0];
        self.cells.reset(pass.store.columns(group));
        let mut kept: Vec<&Placed> = Vec::with_capacity(row.len());
        for placed in row {
            // The same series twice in a request.
            if let Some(before) = kept.last().filter(|before| before.column == placed.column) {
                if !is_same(before.value, placed.value, pass.batch) {
                    pass.pushed.refusals.add(Cause::Duplicate, "");
                } else {
                    count(&mut pass.pushed, placed.value);
                }
                continue;
            }
            put(&mut self.cells, placed, pass.batch);
            kept.push(placed);
        }
        let (slot, timestamp) = (Slot(timestamp_ms), TimestampMs(timestamp_ms));
        let cells = &self.cells;
        let filled = pass.store.fill(
            pass.now,
            &Row { group, slot, timestamp, rank: Rank::Owner, cells },
            if late { Late::Window } else { Late::Always },
            pass.effects,
        );
        match filled {
            Ok(filled) => {
                for placed in &kept {
                    self.known.saw(placed.known, timestamp_ms);
                    if filled.conflicts.binary_search(&placed.column.0).is_err() {
                        count(&mut pass.pushed, placed.value);
                    } else if !matches!(placed.value, Value::Start(_)) {
                        pass.pushed.refusals.add(Cause::Duplicate, "");
                    }
                }
                let home = pass.store.group_labels(group);
                if let Some(home) = home {
                    self.bunches.saw(&home, group, timestamp_ms);
                }
            }
            Err(error) => refuse(pass, &kept, &error),
        }
    }

    fn store_exemplars(&mut self, pass: &mut Pass<'_>) {
        let batch = pass.batch;
        for (series, exemplar) in &batch.exemplars {
            let key = batch.series()[*series as usize].key;
            let known = [ColumnKind::Float, ColumnKind::Histogram]
                .into_iter()
                .find_map(|kind| self.known.find(key ^ MARKS[kind as usize]));
            let Some(known) = known else { continue };
            let entry = self.known.entry(known);
            let (group, column) = (entry.group, entry.column);
            match pass.store.add_exemplar(pass.now, group, column, exemplar) {
                Ok(_) => pass.pushed.exemplars += 1,
                Err(ExemplarError::Overloaded) => pass.pushed.overloaded = true,
                Err(ExemplarError::OutOfOrder) => {
                    pass.pushed.refusals.add(Cause::Exemplar, of_series(batch, *series));
                }
                // Upstream too only leaves those out.
                Err(ExemplarError::LabelsTooLong | ExemplarError::UnknownColumn { .. }) => {}
            }
        }
    }

    /// What cannot be kept of metadata is left out and counted by storage.
    fn store_families(&mut self, pass: &mut Pass<'_>) {
        for families in pass.batch.families.chunk_by(|a, b| a.0 == b.0) {
            let home = &pass.batch.homes()[families[0].0 as usize];
            let Ok(group) = self.bunches.group_of(pass.store, home) else { continue };
            let families: Vec<Family> = families.iter().map(|(_, family)| family.clone()).collect();
            let _ = pass.store.set_metadata(pass.now, group, &families);
        }
    }

    /// Gives the answers whose samples are durable.
    pub(crate) fn settle(&mut self, durable: LogPosition, effects: &mut Vec<Effect>) {
        while let Some((position, ..)) = self.waiting.front()
            && *position <= durable
        {
            let Some((position, request, pushed)) = self.waiting.pop_front() else { return };
            assert!(position <= durable, "PU1: an answer before its commit");
            effects.push(Effect::Reply { request, answer: Answer::Pushed(Box::new(pushed)) });
        }
    }

    /// Whether no answer waits.
    pub(crate) fn is_settled(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds the counters.
    pub(crate) fn collect(&self, into: &mut Collected) {
        let counts = &self.counts;
        for (name, help, value) in [
            ("cresset_push_batches_total", "Pushed batches met.", counts.batches),
            ("cresset_push_samples_total", "Pushed samples and histograms.", counts.samples),
            (
                "cresset_push_overloaded_total",
                "Pushed batches that were not taken whole because the disk is behind.",
                counts.overloaded,
            ),
        ] {
            into.counter(name, help, &[], number(value));
        }
        for (cause, count) in Cause::ALL.into_iter().zip(counts.refused) {
            let help = "Parts of pushed batches refused for good, by cause.";
            let labels = [("cause", cause.word())];
            into.counter("cresset_push_refused_total", help, &labels, number(count));
        }
        let size = |size: usize| number(u64::try_from(size).unwrap_or(u64::MAX));
        let help = "Columns of pushed series whose place is known.";
        into.gauge("cresset_push_series", help, &[], size(self.known.len()));
        let bytes = self.known.heap_bytes() + self.bunches.heap_bytes();
        into.memory("pushed_series", u64::try_from(bytes).unwrap_or(u64::MAX));
        let help = "Pushed batches whose answer waits for a commit.";
        into.gauge("cresset_push_waiting", help, &[], size(self.waiting.len()));
    }
}

impl Value {
    fn kind(self) -> ColumnKind {
        match self {
            Value::Float(_) => ColumnKind::Float,
            Value::Native(_) => ColumnKind::Histogram,
            Value::Start(_) => ColumnKind::Start,
        }
    }
}

fn native(batch: &Batch, at: u32) -> &Arc<NativeHistogram> {
    &batch.natives[at as usize].value
}

fn is_same(one: Value, other: Value, batch: &Batch) -> bool {
    match (one, other) {
        (Value::Float(one), Value::Float(other)) | (Value::Start(one), Value::Start(other)) => {
            one.to_bits() == other.to_bits()
        }
        (Value::Native(one), Value::Native(other)) => native(batch, one) == native(batch, other),
        _ => false,
    }
}

fn put(cells: &mut Cells, placed: &Placed, batch: &Batch) {
    let column = placed.column.0;
    match placed.value {
        Value::Float(value) if is_stale(value) => cells.set(column as usize, Cell::Stale),
        Value::Float(value) | Value::Start(value) => {
            cells.set(column as usize, Cell::Present(value));
        }
        // A histogram's staleness marker is its sum.
        Value::Native(at) if is_stale(native(batch, at).sum) => {
            cells.set(column as usize, Cell::Stale);
        }
        Value::Native(at) => {
            cells.set(column as usize, Cell::Present(0.0));
            cells.histograms.push((column, Arc::clone(native(batch, at))));
        }
    }
}

fn count(pushed: &mut Pushed, value: Value) {
    match value {
        Value::Float(_) => pushed.samples += 1,
        Value::Native(_) => pushed.histograms += 1,
        Value::Start(_) => {}
    }
}

/// Notes why a row was refused.
fn refuse(pass: &mut Pass<'_>, row: &[&Placed], error: &RowError) {
    let cause = match error {
        RowError::Overloaded | RowError::UnknownGroup(_) | RowError::UnknownColumn { .. } => {
            // Its columns went while this batch was met: they are made anew when it comes again.
            pass.pushed.overloaded = true;
            return;
        }
        RowError::TooOld { .. } => Cause::TooOld,
        RowError::Unfit { .. } => Cause::Histogram,
    };
    for placed in row {
        if !matches!(placed.value, Value::Start(_)) {
            pass.pushed.refusals.add(cause, format_args!(": {error}"));
        }
    }
}

fn of_series(batch: &Batch, series: u32) -> impl std::fmt::Display {
    format!(" for series {}", batch.labels(series))
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of this era are exact")]
fn float(ms: i64) -> f64 {
    ms as f64
}

#[cfg(test)]
mod tests {
    use model::time::Tick;
    use remote::builder::Builder;
    use storage::effect::Event as StorageEvent;
    use storage::options::Options;

    use super::*;

    const NOW: Now = Now { tick: Tick(1_000_000_000), wall: TimestampMs(1_700_000_000_000) };

    /// One shard's pusher and store, whose disk does what it is told.
    struct Bench {
        pusher: Pusher,
        store: Store,
        effects: Vec<StorageEffect>,
        requests: u64,
    }

    impl Bench {
        fn new(options: Options) -> Bench {
            let mut bench = Bench {
                pusher: Pusher::default(),
                store: Store::new(options),
                effects: Vec::new(),
                requests: 0,
            };
            bench.store.on_event(NOW, StorageEvent::Due, &mut bench.effects);
            bench
        }

        /// Pushes samples of series by name: time before now and value.
        fn push(&mut self, samples: &[(&str, i64, f64)]) {
            let mut builder = Builder::new(1, "");
            for (name, before_ms, value) in samples {
                let mut labels = vec![("__name__", *name), ("job", "j")];
                let series = builder.series(&mut labels).expect("labels of a series");
                builder.float(series, NOW.wall.0 - before_ms, *value, 0);
            }
            let (mut batches, _) = builder.finish();
            let (_, batch) = batches.pop().expect("one shard");
            self.requests += 1;
            let request = RequestId(self.requests);
            self.pusher.push(NOW, request, &batch, &mut self.store, &mut self.effects);
        }

        fn settle(&mut self) -> Vec<(RequestId, Pushed)> {
            let mut effects = Vec::new();
            self.pusher.settle(self.store.durable(), &mut effects);
            effects
                .into_iter()
                .map(|effect| match effect {
                    Effect::Reply { request, answer: Answer::Pushed(pushed) } => (request, *pushed),
                    other => panic!("{other:?}"),
                })
                .collect()
        }

        /// Does what the store asked for.
        fn work(&mut self) {
            self.store.flush(NOW, &mut self.effects);
            while let Some(effect) = self.effects.pop() {
                let event = match effect {
                    StorageEffect::LogPrepare(segment) => StorageEvent::LogPrepared { segment },
                    StorageEffect::Log(write) => {
                        StorageEvent::LogDurable { position: write.position }
                    }
                    _ => continue,
                };
                self.store.on_event(NOW, event, &mut self.effects);
            }
        }
    }

    #[test]
    fn pu1_an_answer_waits_for_its_commit() {
        let mut bench = Bench::new(Options::default());
        bench.push(&[("a", 2000, 1.0), ("b", 2000, 2.0)]);
        bench.push(&[("a", 1000, 1.0)]);
        assert_eq!(bench.settle(), []);
        bench.work();
        let answers = bench.settle();
        let samples: Vec<(u64, u64)> = answers.iter().map(|(r, p)| (r.0, p.samples)).collect();
        assert_eq!(samples, [(1, 2), (2, 1)]);
        assert!(bench.pusher.is_settled());
    }

    #[track_caller]
    fn check(bench: &mut Bench, samples: &[(&str, i64, f64)], stored: u64, causes: &[Cause]) {
        bench.push(samples);
        bench.work();
        let (_, pushed) = bench.settle().pop().expect("an answer");
        let refused: Vec<Cause> = Cause::ALL
            .into_iter()
            .flat_map(|cause| {
                let count = usize::try_from(pushed.refusals.count(cause)).expect("few");
                std::iter::repeat_n(cause, count)
            })
            .collect();
        assert_eq!((pushed.samples, refused.as_slice()), (stored, causes));
    }

    #[test]
    fn each_series_is_judged_by_itself() {
        let mut bench = Bench::new(Options { tile_rows: 4, ..Options::default() });
        for at in 0..20 {
            check(&mut bench, &[("a", 100_000 - at * 1000, 1.0)], 1, &[]);
        }
        // Far behind the sealed rows of its group, and right.
        check(&mut bench, &[("b", 99_000, 1.0), ("b", 98_000, 1.0)], 2, &[]);
        check(&mut bench, &[("b", 97_000, 1.0)], 1, &[]);
        // The same again, another value, an older one, one ahead.
        check(&mut bench, &[("b", 97_000, 1.0), ("a", 81_000, 1.0)], 2, &[]);
        check(&mut bench, &[("b", 97_000, 2.0)], 0, &[Cause::Duplicate]);
        check(&mut bench, &[("b", 98_500, 1.0)], 0, &[Cause::OutOfOrder]);
        check(&mut bench, &[("b", -600_001, 1.0), ("b", 1, 1.0)], 1, &[Cause::OutOfBounds]);
    }

    #[test]
    fn late_samples_within_the_window_are_taken() {
        let options =
            Options { tile_rows: 4, out_of_order_time_window_ms: 50_000, ..Options::default() };
        let mut bench = Bench::new(options);
        for at in 0..20 {
            check(&mut bench, &[("a", 100_000 - at * 10_000 / 2, 1.0)], 1, &[]);
        }
        check(&mut bench, &[("a", 12_500, 2.0)], 1, &[]);
        check(&mut bench, &[("a", 80_500, 2.0)], 0, &[Cause::TooOld]);
        // Also where the tile of its time is open.
        check(&mut bench, &[("b", 60_000, 1.0), ("b", 10_000, 1.0)], 2, &[]);
        check(&mut bench, &[("b", 59_500, 1.0)], 1, &[]);
        check(&mut bench, &[("b", 60_500, 1.0)], 0, &[Cause::TooOld]);
    }

    #[test]
    fn series_of_one_time_share_a_group() {
        let mut bench = Bench::new(Options::default());
        bench.push(&[("a", 5000, 1.0), ("b", 5000, 1.0), ("c", 4999, 1.0)]);
        bench.push(&[("d", 5000, 1.0), ("a", 4000, 1.0), ("c", 3999, 1.0)]);
        let mut groups: Vec<usize> = (0..3).map(|at| bench.store.columns(GroupId(at))).collect();
        groups.sort_unstable();
        assert_eq!(groups, [0, 1, 3]);
        // Places are found again when nothing is remembered of them.
        bench.pusher = Pusher::default();
        check(&mut bench, &[("a", 3000, 1.0), ("c", 2999, 1.0)], 2, &[]);
        assert_eq!((0..4).filter(|at| bench.store.columns(GroupId(*at)) != 0).count(), 2);
    }
}
