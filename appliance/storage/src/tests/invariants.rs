//! One test an invariant that the other tests do not name.

use std::collections::VecDeque;

use model::label_set::LabelSet;
use model::time::{Now, Tick, TimestampMs};
use proptest::prelude::*;

use crate::catalog::write::{CatalogWriter, Change};
use crate::cells::{Cell, Cells};
use crate::effect::{Effect, FileOp, FileRequestId, LogPosition, LogWrite};
use crate::frame::{Envelope, Kind as FrameKind};
use crate::head::{Admission, Group};
use crate::index::series::Index;
use crate::log::read::{Sequence, Verdict};
use crate::log::record::Kind;
use crate::log::write::LogWriter;
use crate::names::{FileName, SegmentId};
use crate::options::Options;
use crate::row::{ColumnKind, GroupId, GroupKey, Rank, Row, Slot};
use crate::tests::world::{START_MS, World, recover};
use crate::tile_files::{TileFiles, Waiting};

fn options() -> Options {
    Options { segment_bytes: 1 << 20, ..Options::default() }
}

fn at(ms: u64) -> Now {
    let wall = TimestampMs(START_MS + i64::try_from(ms).unwrap());
    Now { tick: Tick(0).after_ms(ms), wall }
}

/// A log writer whose effects a test answers.
struct Log {
    writer: LogWriter,
    effects: VecDeque<Effect>,
    ms: u64,
}

impl Log {
    fn new() -> Log {
        let writer = LogWriter::new(&options(), 0, SegmentId(1), Vec::new());
        Log { writer, effects: VecDeque::new(), ms: 0 }
    }

    fn pump(&mut self) {
        let mut effects = Vec::new();
        self.writer.pump(at(self.ms), &mut effects);
        self.effects.extend(effects);
    }

    fn push(&mut self, bytes: usize) -> u64 {
        let epoch = self.writer.reserve(bytes as u64);
        self.writer.push(at(self.ms), Kind::Row, &vec![7; bytes]);
        epoch
    }

    /// Answers until a commit is in flight, or nothing is left.
    fn next_commit(&mut self) -> Option<LogWrite> {
        self.writer.flush();
        self.pump();
        while let Some(effect) = self.effects.pop_front() {
            match effect {
                Effect::LogPrepare(segment) => {
                    self.writer.on_prepared(segment);
                    self.pump();
                }
                Effect::Log(write) => return Some(write),
                other => panic!("unexpected {other:?}"),
            }
        }
        None
    }

    fn durable(&mut self, position: LogPosition) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.writer.on_durable(at(self.ms), position, &mut effects);
        effects
    }
}

proptest! {
    #[test]
    fn w1_durable_never_passes_written_nor_goes_back(
        sizes in prop::collection::vec(1usize..60_000, 1..60),
        failures in prop::collection::vec(prop::bool::weighted(0.2), 60),
    ) {
        let mut log = Log::new();
        let mut failures = failures.into_iter();
        let mut written = LogPosition(0);
        for size in sizes {
            log.push(size);
            while let Some(write) = log.next_commit() {
                prop_assert!(write.position <= log.writer.position());
                prop_assert!(log.writer.durable() < write.position);
                if failures.next().unwrap_or(false) {
                    log.writer.on_failed(at(log.ms), write.position);
                    log.ms += 6000;
                } else {
                    prop_assert!(written < write.position);
                    written = write.position;
                    log.durable(write.position);
                }
                prop_assert_eq!(log.writer.durable(), written);
            }
        }
        prop_assert_eq!(log.writer.backlog_bytes(), 0);
    }
}

#[test]
fn w2_a_commit_lies_within_one_segment() {
    let mut log = Log::new();
    let (mut end, mut segment) = (0, SegmentId(1));
    for size in (0..200).map(|at| 1 + at * 997 % 300_000) {
        log.push(size);
        while let Some(write) = log.next_commit() {
            let expected = if write.segment == segment { end } else { 0 };
            assert_eq!(write.offset, expected, "commits follow each other");
            segment = write.segment;
            end = write.offset + write.bytes.len() as u64;
            assert!(end <= options().segment_bytes);
            assert_eq!(end % options().block_bytes, 0);
            log.durable(write.position);
        }
    }
    assert!(SegmentId(10) < segment, "many segments were filled");
}

#[test]
fn w3_one_commit_is_in_flight() {
    let mut log = Log::new();
    log.push(300_000);
    let first = log.next_commit().unwrap();
    log.push(300_000);
    assert_eq!(log.next_commit(), None, "the second waits for the first");
    log.durable(first.position);
    assert!(log.next_commit().is_some());
}

#[test]
fn w4_segments_retire_in_order_when_nothing_pins_them() {
    let mut log = Log::new();
    let first = log.push(600_000);
    log.writer.pin(first);
    let mut retired = Vec::new();
    for round in 0..6 {
        log.push(600_000);
        if round == 3 {
            assert_eq!(retired, [], "the first segment is pinned");
            log.writer.unpin(first);
        }
        while let Some(write) = log.next_commit() {
            retired.extend(log.durable(write.position));
        }
    }
    let expected = (1..=u64::try_from(retired.len()).unwrap()).map(SegmentId);
    assert_eq!(retired, expected.map(Effect::LogRetire).collect::<Vec<_>>());
    assert!(4 <= retired.len());
}

#[test]
fn r1_records_come_in_order_each_once() {
    let envelope = |first, records| Envelope {
        kind: FrameKind::Log,
        generation: 1,
        first,
        needed: 1,
        records,
        flags: 0,
    };
    let mut sequence = Sequence::default();
    assert_eq!(sequence.judge(&envelope(5, 3)), Verdict::Apply);
    assert_eq!(sequence.judge(&envelope(5, 3)), Verdict::Skip, "written twice");
    assert_eq!(sequence.judge(&envelope(8, 1)), Verdict::Apply);
    assert_eq!(sequence.judge(&envelope(10, 1)), Verdict::Hole { expected: 9 });
    assert_eq!(sequence.judge(&envelope(8, 2)), Verdict::Hole { expected: 9 });
    assert_eq!(sequence.last(), 8);
}

fn group_of(columns: u32) -> Group {
    let mut group = Group::new(GroupKey(0), LabelSet::empty(), 128, START_MS);
    (0..columns).for_each(|column| group.add_column(column, ColumnKind::Float));
    group
}

fn cell() -> impl Strategy<Value = Cell> {
    prop_oneof![
        3 => Just(Cell::Present(1.0)),
        2 => (0i32..4).prop_map(|i| Cell::Present(f64::from(i))),
        1 => Just(Cell::Absent),
        1 => Just(Cell::Stale),
    ]
}

proptest! {
    #[test]
    fn h2_a_lazy_column_gives_every_cell_back(
        rows in prop::collection::vec(
            (0i64..40, any::<bool>(), prop::collection::vec(cell(), 4)),
            1..60,
        ),
    ) {
        let mut group = group_of(4);
        let mut model: Vec<(i64, Rank, Vec<Option<u64>>)> = Vec::new();
        let mut changed = Vec::new();
        for (slot, owner, cells) in rows {
            let rank = if owner { Rank::Owner } else { Rank::StandIn };
            let mut row = Cells::new(4);
            cells.iter().enumerate().for_each(|(at, cell)| row.set(at, *cell));
            let admission = group.admit(slot, rank);
            let bits = cells.iter().map(|cell| cell.value().map(f64::to_bits)).collect();
            match admission {
                Admission::Duplicate => continue,
                Admission::New => model.push((slot, rank, bits)),
                Admission::Replace(at) => model[at] = (slot, rank, bits),
                Admission::Sealed(_) => unreachable!("nothing is sealed"),
            }
            group.last.changes(&row, &mut changed);
            let (slot, timestamp) = (Slot(slot), TimestampMs(slot));
            let row = Row { group: GroupId(0), slot, timestamp, rank, cells: &row };
            group.put(&row, admission, &changed);
            for (at, (_, _, wanted)) in model.iter().enumerate() {
                for column in 0..4u32 {
                    let found = cell_of(&group, column, at).value().map(f64::to_bits);
                    prop_assert_eq!(found, wanted[column as usize], "row {} column {}", at, column);
                }
            }
        }
    }
}

fn cell_of(group: &Group, column: u32, row: usize) -> Cell {
    let (present, stale) = group.column_states(column, group.rows());
    if stale >> row & 1 == 1 {
        return Cell::Stale;
    }
    if present >> row & 1 == 0 {
        return Cell::Absent;
    }
    let constant = group.last.values[column as usize];
    Cell::Present(group.column_values(column).map_or(constant, |lane| lane[row]))
}

#[test]
fn h1_a_slot_comes_once_and_after_the_sealed_ones() {
    let mut group = group_of(1);
    let cells = Cells::new(1);
    let row = |slot, rank| Row {
        group: GroupId(0),
        slot: Slot(slot),
        timestamp: TimestampMs(slot),
        rank,
        cells: &cells,
    };
    for slot in [10, 30, 20] {
        assert_eq!(group.admit(slot, Rank::StandIn), Admission::New);
        group.put(&row(slot, Rank::StandIn), Admission::New, &[]);
    }
    assert_eq!(group.admit(30, Rank::StandIn), Admission::Duplicate);
    assert_eq!(group.admit(30, Rank::Owner), Admission::Replace(1));
    group.seal(0, &mut crate::tile::write::Builder::default());
    assert_eq!(group.admit(30, Rank::Owner), Admission::Sealed(31));
    assert_eq!(group.admit(15, Rank::Owner), Admission::Sealed(31));
    assert_eq!(group.admit(31, Rank::Owner), Admission::New);
}

#[test]
fn c1_the_durable_mark_follows_the_queue() {
    let mut catalog = CatalogWriter::new(&options(), 1, Vec::new());
    let index = Index::default();
    let groups = [Some(Box::new(group_of(0)))];
    catalog.queue(Change::Group(0), Some(3));
    let op = catalog.pump(at(0), FileRequestId(1), &groups, &index);
    assert!(matches!(op, Some(FileOp::Append { offset: 0, .. })), "the file is begun first");
    let mut unpinned = Vec::new();
    catalog.on_done(at(0), FileRequestId(1), true, |epoch| unpinned.push(epoch));
    assert_eq!((catalog.durable(), catalog.queued(), unpinned.len()), (0, 1, 0));
    let first = catalog.pump(at(0), FileRequestId(2), &groups, &index);
    catalog.on_done(at(0), FileRequestId(2), false, |epoch| unpinned.push(epoch));
    assert_eq!((catalog.durable(), unpinned.len()), (0, 0), "a failure is no progress");
    let again = catalog.pump(at(100), FileRequestId(3), &groups, &index);
    assert_eq!(again, first, "the same bytes at the same place");
    catalog.on_done(at(100), FileRequestId(3), true, |epoch| unpinned.push(epoch));
    assert_eq!((catalog.durable(), unpinned), (1, vec![3]));
}

#[test]
fn c2_an_old_catalog_goes_after_the_new_one_is_complete() {
    let small = Options { append_bytes_max: 65_536, ..options() };
    let mut catalog = CatalogWriter::new(&small, 9, vec![7, 8]);
    let mut index = Index::default();
    let mut groups = Vec::new();
    for at in 0..600u32 {
        let instance = format!("{at}-{}", "x".repeat(200));
        let mut group = group_of(0);
        let series = index.insert(&LabelSet::new([("instance", instance.as_str())]));
        group.add_column(series, ColumnKind::Float);
        groups.push(Some(Box::new(group)));
    }
    let mut deleted = Vec::new();
    let mut appends = 0;
    while catalog.pump(at(0), FileRequestId(1), &groups, &index).is_some() {
        assert_eq!(deleted, [], "nothing goes before the last append");
        deleted.extend(catalog.on_done(at(0), FileRequestId(1), true, |_| {}).unwrap());
        appends += 1;
    }
    assert!(1 < appends, "the catalog took several appends");
    assert_eq!(deleted, [FileName::Catalog(7), FileName::Catalog(8)]);
}

fn waiting(position: u64, catalog_mark: u64) -> Waiting {
    let mut builder = crate::tile::write::Builder::default();
    let rows = crate::tile::write::Rows { slots: &[1], timestamps_ms: &[1], owner: 0 };
    builder.begin(rows);
    let bytes = builder.finish(0, 1, rows).into();
    Waiting { group: 0, number: 1, bytes, max_time_ms: 1, position, catalog_mark, epoch: 1 }
}

#[test]
fn t1_a_tile_waits_for_its_rows_and_definitions() {
    let mut files = TileFiles::new(&options(), 1, std::collections::BTreeMap::new());
    files.push(waiting(5, 2));
    for (position, mark, goes) in [(4, 2, false), (5, 1, false), (5, 2, true)] {
        let op = files.pump(at(0), FileRequestId(1), position, mark);
        assert_eq!(op.is_some(), goes, "{position} {mark}");
    }
}

#[test]
fn t2_a_failed_append_is_made_again_as_it_was() {
    let mut files = TileFiles::new(&options(), 1, std::collections::BTreeMap::new());
    files.push(waiting(1, 0));
    let first = files.pump(at(0), FileRequestId(1), 1, 0);
    files.push(waiting(1, 0));
    assert_eq!(files.pump(at(0), FileRequestId(2), 1, 0), None, "one append is in flight");
    files.on_done(at(0), FileRequestId(1), false);
    assert_eq!(files.pump(at(0), FileRequestId(2), 1, 0), None, "too early");
    let hours_later = at(10_000_000);
    assert_eq!(files.pump(hours_later, FileRequestId(2), 1, 0), first);
    assert_eq!(files.on_done(hours_later, FileRequestId(2), true).unwrap().len(), 1);
    assert!(files.pump(hours_later, FileRequestId(3), 1, 0).is_some(), "then the other");
}

#[test]
fn t3_a_file_goes_when_all_of_it_is_old_and_another_is_current() {
    let mut files = TileFiles::new(&options(), 1, std::collections::BTreeMap::new());
    files.push(waiting(1, 0));
    files.pump(at(0), FileRequestId(1), 1, 0);
    files.on_done(at(0), FileRequestId(1), true);
    assert_eq!(files.expire(2, at(0), |_| false), None, "it is the current one");
    let hours_later = at(10_000_000);
    assert_eq!(files.expire(1, hours_later, |_| false), None, "its newest sample is not too old");
    assert_eq!(files.expire(2, hours_later, |file| file == 1), None, "it is read");
    assert_eq!(files.expire(2, hours_later, |_| false), Some(1));
    assert_eq!(files.expire(2, hours_later, |_| false), None);
}

#[test]
fn v1_a_tile_of_an_append_that_did_not_end_does_not_count() {
    let mut world = World::new(Options { tile_rows: 2, ..options() });
    for at in 0..4 {
        let cells = [("up", Cell::Present(f64::from(at)))];
        world.row(0, START_MS + i64::from(at) * 1000, Rank::Owner, &cells).unwrap();
        world.settle();
    }
    let contents = world.contents();
    let file = *world.disk.files.keys().find(|f| matches!(f, FileName::Tile(_))).unwrap();
    let bytes = world.disk.files.get_mut(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let (store, report) = recover(&world.options, &world.disk).unwrap();
    assert_eq!(report.damages.len(), 1, "{:?}", report.damages);
    let found = crate::tests::world::contents(&store, &world.disk);
    assert_eq!(found, contents, "the log still has its rows");
}
