//! Memory of a store by series, what it accounts for of it, and its start from files.
//!
//! `cargo bench -p bench --bench head_memory`; `-- 1000000 40` for series and rows.

#![expect(clippy::disallowed_types, reason = "a measuring program writes real files")]

#[path = "rows/corpus.rs"]
mod corpus;

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use corpus::{COLUMNS, Corpus};
use model::label_set::LabelSet;
use model::time::{Now, Tick, TimestampMs};
use storage::cells::{Cell, Cells};
use storage::effect::{Effect, Event, FileAnswer, FileOp};
use storage::names::{DIRECTORIES, FileName};
use storage::options::Options;
use storage::recovery::{Recovery, Step};
use storage::row::{ColumnKind, GroupKey, Rank, Row, Slot};
use storage::store::Store;

const START_MS: i64 = 1_700_000_000_000;
const INTERVAL_MS: u64 = 15_000;

fn options() -> Options {
    Options { block_bytes: 4096, wal_segments_max: 64, ..Options::default() }
}

/// Number behind `name` in `/proc/self/status`, bytes.
fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = text.lines().find(|line| line.starts_with(name)).expect("a known name");
    let kib = line.split_whitespace().nth(1).expect("a number");
    kib.parse::<u64>().expect("a number") * 1024
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn clock() -> Instant {
    Instant::now()
}

/// The machine: files below a directory.
struct Disk {
    root: PathBuf,
    open: HashMap<FileName, File>,
}

impl Disk {
    fn write(&mut self, name: FileName, offset: u64, bytes: &[u8]) {
        let path = self.root.join(name.to_string());
        let file = self.open.entry(name).or_insert_with(|| {
            let mut options = std::fs::OpenOptions::new();
            options.create(true).truncate(false).write(true).open(path).expect("it opens")
        });
        file.write_all_at(bytes, offset).expect("it is written");
    }

    fn answer(&mut self, store: &mut Store, now: Now, effects: &mut Vec<Effect>) {
        while let Some(effect) = effects.pop() {
            let event = match effect {
                Effect::Log(write) => {
                    self.write(FileName::Segment(write.segment), write.offset, &write.bytes);
                    Event::LogDurable { position: write.position }
                }
                Effect::LogPrepare(segment) => {
                    self.write(FileName::Segment(segment), 0, &[]);
                    Event::LogPrepared { segment }
                }
                Effect::LogRetire(segment) => {
                    let path = self.root.join(FileName::Segment(segment).to_string());
                    std::fs::remove_file(path).expect("it is there");
                    continue;
                }
                Effect::Compact(_) => continue,
                Effect::File(request) => {
                    match &request.op {
                        FileOp::Append { file, offset, bytes } => self.write(*file, *offset, bytes),
                        FileOp::Delete { file } => {
                            let _ = std::fs::remove_file(self.root.join(file.to_string()));
                        }
                        FileOp::Rename { .. } => unreachable!("storage renames nothing here"),
                    }
                    Event::FileDone { id: request.id, result: Ok(FileAnswer::Done) }
                }
            };
            store.on_event(now, event, effects);
        }
    }
}

fn labels(group: u64, column: usize, long: bool) -> LabelSet {
    let instance = format!("host-{group}:9100");
    let name = format!("node_metric_{}_total", column / 10);
    let cpu = format!("{}", column % 10);
    let mut pairs =
        vec![("__name__", name.as_str()), ("job", "node"), ("instance", &instance), ("cpu", &cpu)];
    let pod = format!("deployment-{group:05}-7d4b9c6f5d-{:05x}", group * 7919 % 1_048_576);
    let id = format!("/kubepods/burstable/pod{:032x}/{column:x}", u128::from(group) << 64);
    if long {
        let more = [("pod", pod.as_str()), ("id", &id), ("namespace", "production"), ("zone", "a")];
        pairs.extend(more);
    }
    LabelSet::new(pairs)
}

/// Makes a store and leaves its files behind.
fn write(root: &Path, series: usize, rows: u32, long: bool) {
    let mut effects = Vec::new();
    let mut disk = Disk { root: root.to_owned(), open: HashMap::new() };
    let mut now = Now { tick: Tick(1), wall: TimestampMs(START_MS) };
    let groups = series / COLUMNS;
    let mut corpora: Vec<Corpus> = (0..groups as u64).map(|at| Corpus::new(at % 64)).collect();
    let mut cells = Cells::new(COLUMNS);
    let before = status("VmRSS");
    let mut store = Store::new(options());
    store.on_event(now, Event::Due, &mut effects);
    disk.answer(&mut store, now, &mut effects);
    let start = clock();
    let mut ids = Vec::new();
    for group in 0..groups as u64 {
        let instance = format!("host-{group}:9100");
        let identity = LabelSet::new([("job", "node"), ("instance", &instance)]);
        let key = GroupKey(u128::from(group) * 977);
        let id = store.group(key, &identity).expect("within limits");
        for column in 0..COLUMNS {
            let labels = labels(group, column, long);
            store.column(id, &labels, ColumnKind::Float).expect("within limits");
        }
        ids.push(id);
    }
    let created = start.elapsed();
    let mut appending = 0.0;
    for _ in 0..rows {
        now.wall = now.wall.saturating_add(INTERVAL_MS.cast_signed());
        now.tick = now.tick.after_ms(INTERVAL_MS);
        for (id, corpus) in ids.iter().zip(&mut corpora) {
            corpus.step();
            for (column, value) in corpus.values.iter().enumerate() {
                cells.set(column, Cell::Present(*value));
            }
            let (slot, timestamp) = (Slot(now.wall.0), TimestampMs(now.wall.0 + 3));
            let row = Row { group: *id, slot, timestamp, rank: Rank::Owner, cells: &cells };
            let start = clock();
            store.append(now, &row, &mut effects).expect("nothing waits");
            appending += start.elapsed().as_secs_f64();
            disk.answer(&mut store, now, &mut effects);
        }
    }
    store.flush(now, &mut effects);
    disk.answer(&mut store, now, &mut effects);
    let grown = status("VmRSS") - before;
    let memory = store.memory();
    let by_series = |bytes: u64| bytes as f64 / series as f64;
    println!(
        "  after {rows} rows: {:.0} B of RSS a series, accounted {:.0} B, ratio {:.2}; created in \
         {:.2} s, append {:.1} ns a sample",
        by_series(grown),
        by_series(memory.total()),
        memory.total() as f64 / grown as f64,
        created.as_secs_f64(),
        appending * 1e9 / (series as f64 * f64::from(rows)),
    );
    println!(
        "  a series: tiles {:.0}, index {:.0}, symbols {:.0}, directory {:.0}, catalog {:.0}, \
         sealed {:.0}, log {:.0}",
        by_series(memory.tiles),
        by_series(memory.index),
        by_series(memory.symbols),
        by_series(memory.directory),
        by_series(memory.catalog),
        by_series(memory.sealed),
        by_series(memory.log),
    );
}

fn listing(root: &Path) -> Vec<(FileName, u64)> {
    let mut found = Vec::new();
    for directory in DIRECTORIES.iter().chain(&[""]) {
        for entry in std::fs::read_dir(root.join(directory)).expect("it was made") {
            let entry = entry.expect("it reads");
            let path = entry.path();
            let relative = path.strip_prefix(root).expect("it is below");
            let name = FileName::parse(relative.to_str().expect("names are plain"));
            let bytes = entry.metadata().expect("it is there").len();
            found.extend(name.map(|name| (name, bytes)));
        }
    }
    found
}

/// Starts from the files, and says how long that takes.
fn start(root: &Path, series: usize) {
    let before = status("VmRSS");
    let begin = clock();
    let mut recovery = Recovery::new(options(), listing(root)).expect("it opens");
    let mut buffer = Vec::new();
    let (store, report) = loop {
        match recovery.step() {
            Step::Read { file, offset, bytes_max } => {
                let file = File::open(root.join(file.to_string())).expect("it opens");
                buffer.resize(bytes_max, 0);
                let mut filled = 0;
                while filled < bytes_max {
                    let at = offset + filled as u64;
                    let read = file.read_at(&mut buffer[filled..], at).expect("it reads");
                    filled += read;
                    if read == 0 {
                        break;
                    }
                }
                recovery.feed(&buffer[..filled]).expect("it is whole");
            }
            Step::Done(store, report) => break (store, report),
        }
    };
    let spent = begin.elapsed();
    let (steady, peak) = (status("VmRSS"), status("VmHWM"));
    println!(
        "  started in {:.2} s: {} series, {} rows, {} tiles; {:.0} B of RSS a series, peak / \
         steady {:.2}",
        spent.as_secs_f64(),
        report.series,
        report.rows,
        report.tiles,
        (steady - before) as f64 / series as f64,
        peak as f64 / steady as f64,
    );
    drop(store);
}

fn main() {
    let numbers: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    if let [mode, root, series, rows, long] = &numbers[..] {
        let series = series.parse().expect("a number");
        match mode.as_str() {
            "write" => write(Path::new(root), series, rows.parse().expect("a number"), long == "1"),
            _ => start(Path::new(root), series),
        }
        return;
    }
    let rows = numbers.get(1).map_or("40", String::as_str);
    let counts = numbers.first().map_or(vec!["100000", "1000000"], |count| vec![count.as_str()]);
    for (series, long) in counts.iter().flat_map(|count| [(count, "0"), (count, "1")]) {
        println!("{series} series, {} labels", if long == "1" { "long" } else { "short" });
        let root = tempfile::tempdir().expect("a directory");
        DIRECTORIES.iter().for_each(|name| {
            std::fs::create_dir(root.path().join(name)).expect("it is made");
        });
        for mode in ["write", "start"] {
            let own = std::env::current_exe().expect("this program");
            let path = root.path().to_str().expect("names are plain");
            let arguments = [mode, path, series, rows, long];
            let ended = std::process::Command::new(own).args(arguments).status();
            assert!(ended.expect("it runs").success());
        }
    }
}
