//! A store on a disk in memory: effects are done one by one, when a test says so.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::io;

use model::label_set::LabelSet;
use model::matcher::{MatchOp, Matcher};
use model::samples::Samples;
use model::time::{Now, Tick, TimestampMs};

use crate::cells::{Cell, Cells};
use crate::compact::job::{Job, Step as JobStep};
use crate::compaction::{Aggregate, CompactionPlan, Outcome};
use crate::effect::{
    Effect, Event, FileAnswer, FileError, FileOp, FileRequest, LogPosition, LogWrite,
};
use crate::names::{FileName, SegmentId};
use crate::options::Options;
use crate::recovery::{OpenError, Recovery, Report, Step};
use crate::row::{ColumnIndex, ColumnKind, GroupId, GroupKey, Rank, Row, Slot};
use crate::selection::{SelectRequest, SelectedSeries, TileCache};
use crate::store::{Appended, RowError, Store};
use crate::tile_read::TileRead;

/// Samples by series and time, as bits.
pub(super) type Contents = BTreeMap<String, BTreeMap<i64, u64>>;

pub(super) const START_MS: i64 = 1_700_000_000_000;

/// Files by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) files: BTreeMap<FileName, Vec<u8>>,
}

impl Disk {
    pub(super) fn write(&mut self, file: FileName, offset: u64, bytes: &[u8]) {
        let content = self.files.entry(file).or_default();
        let start = usize::try_from(offset).unwrap();
        let end = start + bytes.len();
        if content.len() < end {
            content.resize(end, 0);
        }
        content[start..end].copy_from_slice(bytes);
    }

    fn listing(&self) -> Vec<(FileName, u64)> {
        self.files.iter().map(|(name, bytes)| (*name, bytes.len() as u64)).collect()
    }
}

impl TileRead for Disk {
    fn read(&self, file: &FileName, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let content = self.files.get(file).ok_or(io::ErrorKind::NotFound)?;
        let start = usize::try_from(offset).unwrap();
        let part = content.get(start..start + bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(part);
        Ok(())
    }
}

/// A store with its disk and what is in flight.
pub(super) struct World {
    pub(super) options: Options,
    pub(super) store: Store,
    pub(super) disk: Disk,
    pub(super) now: Now,
    pub(super) commit: Option<LogWrite>,
    pub(super) requests: VecDeque<FileRequest>,
    pub(super) prepares: VecDeque<SegmentId>,
    pub(super) recycled: Vec<Vec<u8>>,
    pub(super) retired: Vec<SegmentId>,
    pub(super) compaction: Option<Box<CompactionPlan>>,
    pub(super) report: Report,
}

pub(super) fn failure() -> FileError {
    FileError { reason: "made up".to_owned(), full: false }
}

impl World {
    pub(super) fn new(options: Options) -> World {
        World::open(options, Disk::default()).unwrap()
    }

    pub(super) fn open(options: Options, disk: Disk) -> Result<World, OpenError> {
        World::open_at(options, disk, START_MS)
    }

    pub(super) fn open_at(options: Options, disk: Disk, wall_ms: i64) -> Result<World, OpenError> {
        let (store, report) = recover(&options, &disk)?;
        let now = Now { tick: Tick(5_000_000_000), wall: TimestampMs(wall_ms) };
        let mut world = World {
            options,
            store,
            disk,
            now,
            commit: None,
            requests: VecDeque::new(),
            prepares: VecDeque::new(),
            recycled: Vec::new(),
            retired: Vec::new(),
            compaction: None,
            report,
        };
        world.event(Event::Due);
        Ok(world)
    }

    pub(super) fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Log(write) => {
                    assert!(self.commit.is_none(), "one commit in flight");
                    assert!(self.disk.files.contains_key(&FileName::Segment(write.segment)));
                    self.commit = Some(write);
                }
                Effect::LogPrepare(segment) => self.prepares.push_back(segment),
                Effect::LogRetire(segment) => {
                    self.retired.push(segment);
                    let bytes = self.disk.files.remove(&FileName::Segment(segment));
                    self.recycled.extend(bytes);
                }
                Effect::File(request) => self.requests.push_back(request),
                Effect::Compact(plan) => {
                    assert!(self.compaction.is_none(), "one job in flight");
                    self.compaction = Some(plan);
                }
            }
        }
    }

    pub(super) fn event(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.store.on_event(self.now, event, &mut effects);
        self.take(effects);
    }

    pub(super) fn advance_ms(&mut self, ms: u64) {
        self.now.tick = self.now.tick.after_ms(ms);
        self.now.wall = self.now.wall.saturating_add(i64::try_from(ms).unwrap());
        if self.store.next_deadline().is_some_and(|at| at <= self.now.tick) {
            self.event(Event::Due);
        }
    }

    pub(super) fn prepare(&mut self) -> bool {
        let Some(segment) = self.prepares.pop_front() else { return false };
        let bytes = usize::try_from(self.options.segment_bytes).unwrap();
        let content = self.recycled.pop().unwrap_or_else(|| vec![0; bytes]);
        self.disk.files.insert(FileName::Segment(segment), content);
        self.event(Event::LogPrepared { segment });
        true
    }

    /// Ends the commit in flight; whether there was one.
    pub(super) fn commit(&mut self, succeeds: bool) -> bool {
        let Some(write) = self.commit.take() else { return false };
        let position = write.position;
        if succeeds {
            self.disk.write(FileName::Segment(write.segment), write.offset, &write.bytes);
            self.event(Event::LogDurable { position });
        } else {
            // Some of it may have come to the disk.
            let part = &write.bytes[..write.bytes.len() / 2];
            self.disk.write(FileName::Segment(write.segment), write.offset, part);
            self.event(Event::LogFailed { position, cause: failure() });
        }
        true
    }

    /// Ends the oldest file request; whether there was one.
    pub(super) fn file(&mut self, succeeds: bool) -> bool {
        let Some(request) = self.requests.pop_front() else { return false };
        let id = request.id;
        if succeeds {
            self.apply(&request.op);
            self.event(Event::FileDone { id, result: Ok(FileAnswer::Done) });
        } else {
            self.event(Event::FileDone { id, result: Err(failure()) });
        }
        true
    }

    /// Ends the job in flight after at most `steps` of it, with success if that was all of it;
    /// whether there was one.
    pub(super) fn compact(&mut self, steps: usize) -> bool {
        let Some(plan) = self.compaction.take() else { return false };
        let id = plan.id;
        let result = run_job(&plan, &mut self.disk, steps).ok_or_else(failure);
        self.event(Event::Compacted { id, result });
        true
    }

    pub(super) fn apply(&mut self, op: &FileOp) {
        match op {
            FileOp::Append { file, offset, bytes } => self.disk.write(*file, *offset, bytes),
            FileOp::Rename { from, to } => {
                let bytes = self.disk.files.remove(from).unwrap();
                self.disk.files.insert(*to, bytes);
            }
            FileOp::Delete { file } => {
                self.disk.files.remove(file);
            }
        }
    }

    /// Does all that is in flight until nothing is.
    pub(super) fn settle(&mut self) {
        let mut effects = Vec::new();
        self.store.flush(self.now, &mut effects);
        self.take(effects);
        while self.prepare() || self.commit(true) || self.file(true) || self.compact(usize::MAX) {}
    }

    pub(super) fn group(&mut self, group: u32) -> GroupId {
        let labels = LabelSet::new([("job", "test"), ("instance", &group.to_string())]);
        self.store.group(GroupKey(u128::from(group) << 7), &labels).unwrap()
    }

    pub(super) fn column(&mut self, group: GroupId, name: &str) -> ColumnIndex {
        let labels = LabelSet::new([("__name__", name), ("instance", &group.0.to_string())]);
        self.store.column(group, &labels, ColumnKind::Float).unwrap()
    }

    /// Appends a row of cells by metric name.
    pub(super) fn row(
        &mut self,
        group: u32,
        time_ms: i64,
        rank: Rank,
        cells: &[(&str, Cell)],
    ) -> Result<Appended, RowError> {
        let group = self.group(group);
        let columns: Vec<ColumnIndex> =
            cells.iter().map(|(name, _)| self.column(group, name)).collect();
        let mut row = Cells::new(self.store.columns(group));
        for (column, (_, cell)) in columns.iter().zip(cells) {
            row.set(column.0 as usize, *cell);
        }
        let (slot, timestamp) = (Slot(time_ms), TimestampMs(time_ms));
        let mut effects = Vec::new();
        let row = Row { group, slot, timestamp, rank, cells: &row };
        let appended = self.store.append(self.now, &row, &mut effects);
        self.take(effects);
        appended
    }

    pub(super) fn durable(&self) -> LogPosition {
        self.store.durable()
    }

    /// Everything the store has.
    pub(super) fn contents(&self) -> Contents {
        contents(&self.store, &self.disk)
    }
}

/// Turns a job on the disk; `None` when it did not end within these steps.
pub(super) fn run_job(
    plan: &CompactionPlan,
    disk: &mut Disk,
    steps: usize,
) -> Option<Box<Outcome>> {
    let mut job = Job::new(plan);
    let mut written = 0;
    for _ in 0..steps {
        match job.step().unwrap_or_else(|error| panic!("{error}")) {
            JobStep::Read { file, offset, bytes_max } => {
                let content = &disk.files[&file];
                let start = usize::try_from(offset).unwrap().min(content.len());
                let end = (start + bytes_max).min(content.len());
                let part = content[start..end].to_vec();
                job.feed(&part);
            }
            JobStep::Write { file, offset, bytes } => {
                assert_eq!(offset, written, "writes come in order");
                if offset == 0 {
                    disk.files.insert(file, Vec::new());
                }
                written += bytes.len() as u64;
                disk.write(file, offset, &bytes);
            }
            JobStep::Sync { .. } => {}
            JobStep::Done(outcome) => return Some(outcome),
        }
    }
    None
}

pub(super) fn recover(options: &Options, disk: &Disk) -> Result<(Store, Report), OpenError> {
    let mut recovery = Recovery::new(options.clone(), disk.listing())?;
    loop {
        match recovery.step() {
            Step::Read { file, offset, bytes_max } => {
                let content = &disk.files[&file];
                let start = usize::try_from(offset).unwrap().min(content.len());
                let end = (start + bytes_max).min(content.len());
                recovery.feed(&content[start..end])?;
            }
            Step::Done(store, report) => return Ok((*store, report)),
        }
    }
}

pub(super) fn request(name: &str, op: MatchOp, value: &str) -> SelectRequest {
    SelectRequest {
        matchers: vec![Matcher::new(name, op, value).unwrap()],
        after: TimestampMs::MIN,
        until: TimestampMs::MAX,
        series_max: 1000,
        aggregate: Aggregate::default(),
    }
}

pub(super) fn contents(store: &Store, disk: &Disk) -> Contents {
    let mut contents = Contents::new();
    for (labels, found) in decoded(store, disk, Aggregate::default()) {
        let (times, values) = (found.timestamps_ms, found.values);
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "times rise");
        let samples = times.iter().zip(&values).map(|(time, value)| (*time, value.to_bits()));
        contents.insert(labels, samples.collect());
    }
    contents.retain(|_, samples| !samples.is_empty());
    contents
}

/// All series, by their labels.
pub(super) fn decoded(
    store: &Store,
    disk: &Disk,
    aggregate: Aggregate,
) -> BTreeMap<String, Samples> {
    let wanted = SelectRequest { aggregate, ..request("__name__", MatchOp::Regex, ".*") };
    let selected = store.select(&wanted).unwrap();
    let mut cache = TileCache::default();
    let mut all: BTreeMap<String, SelectedSeries> = BTreeMap::new();
    let mut found = selected.series;
    for block in &selected.blocks {
        found.extend(block.select(disk, &mut cache.blocks, &wanted).unwrap());
    }
    for series in found {
        match all.entry(series.labels.to_string()) {
            Entry::Vacant(place) => drop(place.insert(series)),
            Entry::Occupied(mut place) => place.get_mut().absorb(series),
        }
    }
    let decode = |(labels, series): (String, SelectedSeries)| {
        let mut found = Samples::default();
        let (after, until) = (TimestampMs::MIN, TimestampMs::MAX);
        series.decode(disk, &mut cache, after, until, &mut found).unwrap();
        (labels, found)
    };
    all.into_iter().map(decode).collect()
}
