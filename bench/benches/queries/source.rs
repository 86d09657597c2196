//! A store of a day of samples, its tiles in files, as a source of queries.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use model::label_set::LabelSet;
use model::samples::Samples;
use model::time::{Now, Tick, TimestampMs};
use query::source::{Column, LabelQuery, Selection, Series, Source, SourceError};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{pread, pwrite};
use storage::cells::{Cell, Cells};
use storage::compaction::Aggregate;
use storage::effect::{Effect, Event, FileAnswer, FileOp};
use storage::names::FileName;
use storage::options::Options;
use storage::row::{ColumnKind, GroupId, GroupKey, Rank, Row, Slot};
use storage::selection::{SelectRequest, SelectedSeries, TileCache};
use storage::store::Store;
use storage::tile_read::TileRead;

use crate::fleet::{SERIES, Target};

pub(crate) const START_MS: i64 = 1_700_000_000_000;
pub(crate) const INTERVAL_MS: u64 = 15_000;

/// The tile files of the store.
#[derive(Default)]
struct Tiles(Vec<(FileName, OwnedFd)>);

impl Tiles {
    fn file(&self, name: &FileName) -> Option<&OwnedFd> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, file)| file)
    }
}

impl TileRead for Tiles {
    fn read(&self, file: &FileName, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let file = self.file(file).ok_or(io::ErrorKind::NotFound)?;
        let read = pread(file, &mut *bytes, offset)?;
        if read == bytes.len() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// Writes rows and answers the store's effects at once.
struct Writer {
    store: Store,
    groups: Vec<(GroupId, Target, Cells)>,
    now: Now,
    effects: Vec<Effect>,
    tiles: Tiles,
    directory: PathBuf,
    file_bytes: u64,
}

/// The store, to be read.
pub(crate) struct Filled {
    store: Store,
    tiles: Arc<Tiles>,
    pub(crate) end: TimestampMs,
    pub(crate) file_bytes: u64,
}

/// A store of `targets` targets with `rows` rows each, its files below `directory`.
pub(crate) fn fill(targets: usize, rows: usize, directory: PathBuf) -> Filled {
    let options = Options { block_bytes: 512, ..Options::default() };
    let mut writer = Writer {
        store: Store::new(options),
        groups: Vec::new(),
        now: Now { tick: Tick(1), wall: TimestampMs(START_MS) },
        effects: Vec::new(),
        tiles: Tiles::default(),
        directory,
        file_bytes: 0,
    };
    writer.store.on_event(writer.now, Event::Due, &mut writer.effects);
    writer.answer();
    for number in 0..targets {
        writer.add(number);
    }
    for _ in 0..rows {
        writer.rows();
    }
    writer.store.flush(writer.now, &mut writer.effects);
    writer.answer();
    let Writer { store, tiles, now, file_bytes, .. } = writer;
    Filled { store, tiles: Arc::new(tiles), end: now.wall, file_bytes }
}

impl Writer {
    fn add(&mut self, number: usize) {
        let target = Target::new(number);
        let instance = format!("{number}");
        let labels = LabelSet::new([("instance", instance.as_str())]);
        let key = GroupKey(number as u128 * 977);
        let group = self.store.group(key, &labels).expect("the group is within limits");
        for labels in &target.labels {
            self.store
                .column(group, labels, ColumnKind::Float)
                .expect("the column is within limits");
        }
        self.groups.push((group, target, Cells::new(SERIES)));
        self.answer();
    }

    fn rows(&mut self) {
        self.now.wall = self.now.wall.saturating_add(INTERVAL_MS.cast_signed());
        self.now.tick = self.now.tick.after_ms(INTERVAL_MS);
        for at in 0..self.groups.len() {
            let (group, target, cells) = &mut self.groups[at];
            target.step();
            for (column, value) in target.values.iter().enumerate() {
                cells.set(column, Cell::Present(*value));
            }
            let slot = Slot(self.now.wall.0 + 601 * at as i64 % 15_000);
            let timestamp = TimestampMs(slot.0 + 3);
            let row = Row { group: *group, slot, timestamp, rank: Rank::Owner, cells };
            self.store.append(self.now, &row, &mut self.effects).expect("nothing waits");
            self.answer();
        }
    }

    /// Does what the store asks for.
    fn answer(&mut self) {
        while let Some(effect) = self.effects.pop() {
            let event = match effect {
                Effect::Log(write) => Event::LogDurable { position: write.position },
                Effect::LogPrepare(segment) => Event::LogPrepared { segment },
                Effect::LogRetire(_) | Effect::Compact(_) => continue,
                Effect::File(request) => {
                    if let FileOp::Append { file: file @ FileName::Tile(_), offset, bytes } =
                        &request.op
                    {
                        self.append(*file, *offset, bytes);
                    }
                    Event::FileDone { id: request.id, result: Ok(FileAnswer::Done) }
                }
            };
            self.store.on_event(self.now, event, &mut self.effects);
        }
    }

    fn append(&mut self, name: FileName, offset: u64, bytes: &[u8]) {
        self.file_bytes += bytes.len() as u64;
        if self.tiles.file(&name).is_none() {
            let path = self.directory.join(name.to_string().replace('/', "-"));
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
            let file = open(path, flags, Mode::RUSR | Mode::WUSR).expect("a file can be made");
            self.tiles.0.push((name, file));
        }
        let file = self.tiles.file(&name).expect("the file was opened above");
        let written = pwrite(file, bytes, offset).expect("the disk takes it");
        assert_eq!(written, bytes.len(), "the disk takes all");
    }
}

thread_local! {
    static CACHE: RefCell<TileCache> = RefCell::default();
}

struct Handle {
    selected: SelectedSeries,
    tiles: Arc<Tiles>,
}

impl Column for Handle {
    fn decode(
        &self,
        after: TimestampMs,
        until: TimestampMs,
        samples: &mut Samples,
    ) -> Result<(), SourceError> {
        CACHE.with_borrow_mut(|cache| {
            let decoded = self.selected.decode(&*self.tiles, cache, after, until, samples);
            decoded.map_err(|error| SourceError::Damaged(error.to_string()))
        })
    }
}

impl Source for Filled {
    fn select(&self, selection: &Selection) -> Result<Vec<Series>, SourceError> {
        let request = SelectRequest {
            matchers: selection.matchers.clone(),
            after: selection.after,
            until: selection.until,
            series_max: selection.series_max,
            aggregate: Aggregate::default(),
        };
        let found = self.store.select(&request);
        let found = found.map_err(|error| SourceError::Unavailable(error.to_string()))?;
        let series = found.series.into_iter().map(|selected| {
            let labels = selected.labels.clone();
            let column = Arc::new(Handle { selected, tiles: Arc::clone(&self.tiles) });
            Series { labels, column }
        });
        Ok(series.collect())
    }

    fn label_values(&self, _: &str, _: &LabelQuery) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }

    fn label_names(&self, _: &LabelQuery) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }
}
