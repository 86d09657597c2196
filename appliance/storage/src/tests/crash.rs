//! Crashes at any point against a naive model: everything durable is there, nothing else.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::cells::Cell;
use crate::effect::{FileOp, LogPosition};
use crate::names::FileName;
use crate::options::Options;
use crate::recovery::OpenError;
use crate::row::Rank;
use crate::tests::world::{Contents, Disk, START_MS, World, recover};

const GROUPS: u32 = 3;
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// What the model knows of a row: its samples, and where in the log it is.
type Rows = BTreeMap<(u32, i64), (LogPosition, NamedCells)>;

type NamedCells = Vec<(&'static str, Cell)>;

#[derive(Clone, Debug)]
enum Action {
    Row { group: u32, late_ms: i64, rank: Rank, cells: Vec<Cell> },
    Commit { succeeds: bool },
    File { succeeds: bool },
    Prepare,
    Wait { ms: u64 },
    Crash { salt: u64 },
}

fn cell() -> impl Strategy<Value = Cell> {
    prop_oneof![
        3 => Just(Cell::Present(1.0)),
        3 => (0i64..500).prop_map(|i| Cell::Present(i as f64 / 10.0)),
        1 => any::<u64>().prop_map(|bits| Cell::Present(f64::from_bits(bits))),
        1 => Just(Cell::Absent),
        1 => Just(Cell::Stale),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let rank = prop_oneof![Just(Rank::StandIn), Just(Rank::Owner)];
    prop_oneof![
        8 => (0..GROUPS, 0i64..3, rank, prop::collection::vec(cell(), NAMES.len()))
            .prop_map(|(group, late, rank, cells)| {
                Action::Row { group, late_ms: late * 1000, rank, cells }
            }),
        6 => prop::bool::weighted(0.9).prop_map(|succeeds| Action::Commit { succeeds }),
        3 => prop::bool::weighted(0.8).prop_map(|succeeds| Action::File { succeeds }),
        2 => Just(Action::Prepare),
        6 => (1u64..400).prop_map(|ms| Action::Wait { ms: ms * 10 }),
        1 => any::<u64>().prop_map(|salt| Action::Crash { salt }),
    ]
}

fn options() -> Options {
    Options {
        segment_bytes: 1 << 15,
        wal_segments_max: 2,
        tile_rows: 6,
        tile_file_ms: 60_000,
        compaction: true,
        ..Options::default()
    }
}

fn value_bits(cell: &Cell) -> Option<u64> {
    cell.value().map(f64::to_bits)
}

fn samples<'a>(rows: impl Iterator<Item = (&'a (u32, i64), &'a NamedCells)>) -> Contents {
    let mut contents = Contents::new();
    for ((group, time), cells) in rows {
        for (name, cell) in cells {
            if let Some(bits) = value_bits(cell) {
                let labels = format!("{{__name__=\"{name}\", instance=\"{group}\"}}");
                contents.entry(labels).or_default().insert(*time, bits);
            }
        }
    }
    contents
}

/// Leaves some blocks of what was in flight on the disk, as power loss does.
fn tear(world: &mut World, mut salt: u64) {
    let mut chance = move || {
        salt ^= salt << 13;
        salt ^= salt >> 7;
        salt ^= salt << 17;
        salt % 3
    };
    let mut parts: Vec<(FileName, u64, Vec<u8>)> = Vec::new();
    if let Some(write) = world.commit.take() {
        parts.push((FileName::Segment(write.segment), write.offset, write.bytes));
    }
    for request in std::mem::take(&mut world.requests) {
        match request.op {
            FileOp::Append { file, offset, bytes } => parts.push((file, offset, bytes)),
            op => {
                if chance() == 0 {
                    world.apply(&op);
                }
            }
        }
    }
    for (file, offset, bytes) in parts {
        let way = chance();
        for (at, block) in bytes.chunks(512).enumerate() {
            if way == 1 || (way == 2 && chance() != 0) {
                world.disk.write(file, offset + at as u64 * 512, block);
            }
        }
    }
}

struct Run {
    world: World,
    /// Rows as they stand, replaced ones by their replacement.
    rows: Rows,
    /// Rows that a later one of higher rank replaced: they may come back if that one is lost.
    replaced: Vec<((u32, i64), NamedCells)>,
}

impl Run {
    fn act(&mut self, action: &Action) {
        match action {
            Action::Row { group, late_ms, rank, cells } => self.row(*group, *late_ms, *rank, cells),
            Action::Commit { succeeds } => {
                self.world.commit(*succeeds);
            }
            Action::File { succeeds } => {
                self.world.file(*succeeds);
            }
            Action::Prepare => {
                self.world.prepare();
            }
            Action::Wait { ms } => self.world.advance_ms(*ms),
            Action::Crash { salt } => self.crash(*salt),
        }
    }

    fn row(&mut self, group: u32, late_ms: i64, rank: Rank, cells: &[Cell]) {
        let time = self.world.now.wall.0.div_euclid(1000) * 1000 - late_ms;
        let cells: Vec<(&'static str, Cell)> =
            NAMES.into_iter().zip(cells.iter().copied()).collect();
        let Ok(appended) = self.world.row(group, time, rank, &cells) else { return };
        let id = self.world.group(group).0;
        if !appended.duplicate {
            let before = self.rows.insert((id, time), (appended.position, cells));
            self.replaced.extend(before.map(|(_, cells)| ((id, time), cells)));
        }
    }

    fn crash(&mut self, salt: u64) {
        let durable = self.world.durable();
        tear(&mut self.world, salt);
        let now = self.world.now;
        let world = World::open(options(), self.world.disk.clone());
        self.world = world.unwrap_or_else(|error| panic!("{error}"));
        self.world.now = now;
        self.check_recovered(durable);
    }

    /// Each row is there whole or not at all; the durable ones are.
    fn check_recovered(&mut self, durable: LogPosition) {
        let found = self.world.contents();
        let mut kept = Rows::new();
        for ((group, time), (position, cells)) in std::mem::take(&mut self.rows) {
            let key = (group, time);
            let is_there = |cells: &NamedCells| {
                let wanted = samples(std::iter::once((&key, cells)));
                !wanted.is_empty()
                    && NAMES.iter().all(|name| {
                        let labels = format!("{{__name__=\"{name}\", instance=\"{group}\"}}");
                        let sample = |contents: &Contents| {
                            contents.get(&labels).and_then(|samples| samples.get(&time)).copied()
                        };
                        sample(&wanted) == sample(&found)
                    })
            };
            let is_empty = cells.iter().all(|(_, cell)| value_bits(cell).is_none());
            let older =
                self.replaced.iter().rev().find(|(at, cells)| *at == key && is_there(cells));
            if is_there(&cells) || (is_empty && position <= durable) {
                kept.insert(key, (LogPosition(0), cells));
            } else if let Some((_, cells)) = older {
                assert!(durable < position, "a durable row was undone");
                kept.insert(key, (LogPosition(0), cells.clone()));
            } else {
                assert!(
                    is_empty || durable < position,
                    "a durable row of {group} at {time} is lost"
                );
            }
        }
        self.rows = kept;
        self.replaced.clear();
        self.check_contents(&found);
    }

    fn check_contents(&self, found: &Contents) {
        let expected = samples(self.rows.iter().map(|(key, (_, cells))| (key, cells)));
        assert_eq!(*found, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_is_durable_survives_any_crash(actions in prop::collection::vec(action(), 1..400)) {
        let world = World::new(options());
        let mut run = Run { world, rows: Rows::new(), replaced: Vec::new() };
        for action in &actions {
            run.act(action);
        }
        run.check_contents(&run.world.contents());
        // A failed write waits up to 5 s; what it held back may seal tiles, which is logged too.
        for _ in 0..4 {
            run.world.settle();
            run.world.advance_ms(6000);
        }
        run.world.settle();
        let last = run.world.store.log.position();
        prop_assert_eq!(run.world.durable(), last, "all is durable in the end");
        run.crash(0);
    }
}

/// Rows, each committed by itself, and the contents after each.
fn committed_rows(count: i64) -> (World, Vec<Contents>) {
    let mut world = World::new(Options { block_bytes: 512, ..options() });
    let mut contents = vec![world.contents()];
    for at in 0..count {
        let cells = [("a", Cell::Present(at as f64)), ("b", Cell::Present(0.5))];
        world.row(0, START_MS + at * 1000, Rank::Owner, &cells).unwrap();
        world.settle();
        contents.push(world.contents());
    }
    (world, contents)
}

#[test]
fn a_log_cut_at_any_byte_opens_with_what_was_whole() {
    let (mut world, contents) = committed_rows(3);
    let segment = *world.disk.files.keys().find(|f| matches!(f, FileName::Segment(_))).unwrap();
    world.disk.files.retain(|file, _| *file == segment);
    let whole = world.disk.files[&segment].clone();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut seen = 0;
    for cut in 0..=used {
        for filler in [0u8, 0xff] {
            let mut bytes = whole.clone();
            bytes[cut..].fill(filler);
            let disk = Disk { files: BTreeMap::from([(segment, bytes)]) };
            let (store, _) = recover(&world.options, &disk).unwrap();
            let found = crate::tests::world::contents(&store, &disk);
            let at = contents.iter().position(|c| *c == found).expect("a state that once was");
            assert!(seen <= at, "more bytes never give less");
            seen = at;
        }
    }
    assert_eq!(seen, contents.len() - 1);
    for cut in 0..=used {
        let disk = Disk { files: BTreeMap::from([(segment, whole[..cut].to_vec())]) };
        assert!(recover(&world.options, &disk).is_ok());
    }
}

#[test]
fn stale_frames_of_a_recycled_segment_are_not_read() {
    let (world, _) = committed_rows(3);
    let segment = *world.disk.files.keys().find(|f| matches!(f, FileName::Segment(_))).unwrap();
    let bytes = world.disk.files[&segment].clone();
    let recycled = FileName::Segment(crate::names::SegmentId(77));
    let disk = Disk { files: BTreeMap::from([(recycled, bytes)]) };
    let (store, report) = recover(&world.options, &disk).unwrap();
    assert_eq!(crate::tests::world::contents(&store, &disk), Contents::new());
    assert_eq!(report.rows, 0);
}

#[test]
fn a_hole_in_the_middle_and_a_missing_segment_are_errors() {
    let (mut world, _) = committed_rows(2);
    // A failed commit sends the rest to a second segment.
    let row = |world: &mut World, at: i64| {
        let cells = [("a", Cell::Present(at as f64))];
        world.row(0, START_MS + at * 1000, Rank::Owner, &cells).unwrap();
        world.advance_ms(20);
    };
    row(&mut world, 3);
    assert!(world.commit(false));
    world.advance_ms(6000);
    world.settle();
    row(&mut world, 4);
    world.settle();
    let contents = world.contents();
    assert_eq!(world.store.log.live_segments(), 2);
    let again = World::open(world.options.clone(), world.disk.clone()).unwrap();
    assert_eq!(again.contents(), contents);
    let first = FileName::Segment(crate::names::SegmentId(1));
    let lost = |disk: &Disk| match recover(&world.options, disk) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    for damaged in [41, 512 + 41] {
        let mut holed = world.disk.clone();
        holed.files.get_mut(&first).unwrap()[damaged] ^= 1;
        let text = lost(&holed);
        assert!(text.starts_with("log segment ") && text.ends_with(" are lost"), "{text}");
    }
    let mut missing = world.disk.clone();
    missing.files.remove(&first);
    assert!(lost(&missing).starts_with("log segment 2, offset 0: records 1.."));
}

#[test]
fn a_store_whose_only_catalog_is_damaged_or_gone_does_not_open() {
    let mut world = World::new(Options { tile_rows: 2, ..options() });
    for at in 0..4 {
        let cells = [("a", Cell::Present(at as f64))];
        world.row(0, START_MS + at * 1000, Rank::Owner, &cells).unwrap();
        world.settle();
    }
    let is_catalog = |file: &FileName| matches!(file, FileName::Catalog(_));
    assert_eq!(world.disk.files.keys().filter(|file| is_catalog(file)).count(), 1);
    let mut damaged = world.disk.clone();
    for (_, bytes) in damaged.files.iter_mut().filter(|(file, _)| is_catalog(file)) {
        bytes[41] ^= 1;
    }
    let mut gone = world.disk.clone();
    gone.files.retain(|file, _| !is_catalog(file));
    for (disk, found) in [(damaged, 1), (gone, 0)] {
        let refused = recover(&world.options, &disk).map(|_| ()).unwrap_err();
        assert_eq!(refused, OpenError::Catalog { catalogs: found });
    }
}

#[test]
fn a_row_without_cells_before_the_first_column_costs_no_later_row() {
    let mut world = World::new(Options::default());
    world.row(1, START_MS, Rank::Owner, &[]).unwrap();
    for number in 1..4 {
        let cells = [("up", Cell::Present(number as f64))];
        world.row(1, START_MS + number * 1000, Rank::Owner, &cells).unwrap();
    }
    // The log alone is written: the catalog knows no column yet.
    world.advance_ms(50);
    while world.prepare() || world.commit(true) {}
    let before = world.contents();
    assert_eq!(before.values().map(std::collections::BTreeMap::len).sum::<usize>(), 3);
    let again = World::open(world.options.clone(), world.disk.clone()).unwrap();
    assert_eq!(again.report.damages, Vec::<String>::new());
    assert_eq!(again.contents(), before);
}
