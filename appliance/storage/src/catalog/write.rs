//! Writes the catalog: definitions as they come, and the whole anew when half of it is dead.
//!
//! Path: `store` → **write** → effects `File`.
//! Owns: which definitions are durable in the catalog; the numbers of the symbols in its file.
//! Format: docs/format/catalog.md, version 1.
//!
//! Invariants
//! - C1: the durable mark never passes the definitions queued, and never goes back.
//! - C2: a catalog is deleted only after the one that replaces it is complete and durable.

use std::collections::VecDeque;

use model::time::{Now, Tick};

use crate::back_off::BackOff;
use crate::catalog::record::Kind;
use crate::effect::{FileOp, FileRequestId};
use crate::frame::{self, Envelope};
use crate::head::{Group, NONE};
use crate::index::series::Index;
use crate::log::record::put_family;
use crate::log::write::Epoch;
use crate::names::FileName;
use crate::options::Options;
use crate::row::ColumnKind;
use crate::symbols::Symbol;
use crate::varint::{put, put_bytes};

/// Dead records that are borne before the catalog is written anew.
const DEAD_MIN: u64 = 10_000;

/// What changed; how it looks is taken from the store when it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Group(u32),
    Column(u32, u32),
    Metadata(u32),
    DropColumn(u32, u32),
    DropGroup(u32),
}

/// A change that is not durable in the catalog, and the log's epoch that has it (`None`: no log
/// record speaks of it).
#[derive(Clone, Copy, Debug)]
struct Queued {
    change: Change,
    epoch: Option<Epoch>,
}

/// What the catalog in the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// There is none that may be appended to: a new one is to be begun.
    Absent,
    /// A new one is being written; groups below this number are in it.
    Rewriting { next_group: u32 },
    /// Complete; changes are appended.
    Steady,
}

#[derive(Debug)]
struct Flight {
    request: FileRequestId,
    bytes: Vec<u8>,
    /// Changes of the queue's front that it holds.
    changes: usize,
    after: Stage,
}

/// Groups of the shard by number.
pub(crate) type Groups = [Option<Box<Group>>];

/// Writer of one shard's catalog.
#[derive(Debug)]
pub(crate) struct CatalogWriter {
    append_bytes_max: usize,
    stage: Stage,
    /// The file that is being written.
    number: u64,
    offset: u64,
    records: u64,
    /// Older files, to be deleted when this one is complete.
    older: Vec<u64>,
    /// Number in the file of each symbol; [`NONE`] when it is not in it.
    symbols: Vec<u32>,
    symbol_count: u32,
    /// The same of each family.
    families: Vec<u32>,
    family_count: u32,
    queue: VecDeque<Queued>,
    queued: u64,
    durable: u64,
    live: u64,
    dead: u64,
    flight: Option<Flight>,
    /// A failed append, to be written again as it was.
    failed: Option<Flight>,
    back_off: BackOff,
}

impl CatalogWriter {
    /// A writer whose first file will be `number`; `older` files hold what is known so far.
    pub(crate) fn new(options: &Options, number: u64, older: Vec<u64>) -> CatalogWriter {
        let append_bytes_max = usize::try_from(options.append_bytes_max).unwrap_or(usize::MAX);
        CatalogWriter {
            append_bytes_max,
            stage: Stage::Absent,
            number,
            offset: 0,
            records: 0,
            older,
            symbols: Vec::new(),
            symbol_count: 0,
            families: Vec::new(),
            family_count: 0,
            queue: VecDeque::new(),
            queued: 0,
            durable: 0,
            live: 0,
            dead: 0,
            flight: None,
            failed: None,
            back_off: BackOff::new(options),
        }
    }

    /// Queues a change.
    pub(crate) fn queue(&mut self, change: Change, epoch: Option<Epoch>) {
        self.queue.push_back(Queued { change, epoch });
        self.queued += 1;
        match change {
            Change::Group(_) | Change::Column(..) => self.live += 1,
            Change::DropColumn(..) | Change::DropGroup(_) => self.dead += 2,
            // It replaces the one before it, but for the first.
            Change::Metadata(_) => self.dead += 1,
        }
    }

    /// Changes queued so far: what is queued now is durable when [`CatalogWriter::durable`] is
    /// this.
    pub(crate) fn queued(&self) -> u64 {
        self.queued
    }

    /// Changes durable.
    pub(crate) fn durable(&self) -> u64 {
        self.durable
    }

    /// Number and durable bytes of the catalog, when it holds all that is known.
    pub(crate) fn whole(&self) -> Option<(u64, u64)> {
        (self.stage == Stage::Steady).then_some((self.number, self.offset))
    }

    /// Bytes of memory behind it.
    pub(crate) fn heap_bytes(&self) -> usize {
        let flight = self.flight.as_ref().or(self.failed.as_ref()).map_or(0, |f| f.bytes.len());
        self.queue.capacity() * size_of::<Queued>()
            + (self.symbols.capacity() + self.families.capacity()) * 4
            + flight
    }

    /// A symbol has gone: its number in memory may be another's soon.
    pub(crate) fn forget_symbol(&mut self, symbol: Symbol) {
        if let Some(number) = self.symbols.get_mut(symbol.0 as usize) {
            *number = NONE;
        }
    }

    /// A family has gone: its number in memory may be another's soon.
    pub(crate) fn forget_family(&mut self, family: u32) {
        if let Some(number) = self.families.get_mut(family as usize) {
            *number = NONE;
        }
    }

    /// When to call [`CatalogWriter::pump`] after a failure.
    pub(crate) fn deadline(&self) -> Option<Tick> {
        self.failed.as_ref().and_then(|_| self.back_off.at())
    }

    /// The next append, if there is one to make.
    pub(crate) fn pump(
        &mut self,
        now: Now,
        request: FileRequestId,
        groups: &Groups,
        index: &Index,
    ) -> Option<FileOp> {
        if self.flight.is_some() || self.back_off.waits(now.tick) {
            return None;
        }
        if let Some(mut failed) = self.failed.take() {
            // The same bytes at the same place: what the failed write left there is covered.
            failed.request = request;
            self.flight = Some(failed);
            return self.append_op();
        }
        let half_dead = DEAD_MIN < self.dead && self.live < self.dead;
        if self.stage == Stage::Steady && half_dead {
            self.older.push(self.number);
            self.number += 1;
            self.stage = Stage::Absent;
        }
        match self.stage {
            Stage::Absent => {
                (self.offset, self.records) = (0, 0);
                (self.symbol_count, self.family_count) = (0, 0);
                (self.live, self.dead) = (0, 0);
                self.symbols.clear();
                self.families.clear();
                self.rewrite(request, 0, groups, index);
            }
            Stage::Rewriting { next_group } => self.rewrite(request, next_group, groups, index),
            Stage::Steady if self.queue.is_empty() => return None,
            Stage::Steady => self.append_changes(request, groups, index),
        }
        self.append_op()
    }

    fn append_op(&self) -> Option<FileOp> {
        let flight = self.flight.as_ref()?;
        let (file, offset) = (FileName::Catalog(self.number), self.offset);
        Some(FileOp::Append { file, offset, bytes: flight.bytes.clone() })
    }

    /// Writes groups from `from` on, as many as an append takes.
    fn rewrite(&mut self, request: FileRequestId, from: u32, groups: &Groups, index: &Index) {
        let mut frame = Frame::new();
        let end = u32::try_from(groups.len()).expect("groups are bounded by options");
        let mut group = from;
        while group < end && frame.bytes.len() < self.append_bytes_max {
            if let Some(found) = &groups[group as usize] {
                self.put_group(&mut frame, group, found);
                self.live += 1;
                self.put_metadata(&mut frame, group, found, index);
                for column in 0..found.columns.len() {
                    let column = u32::try_from(column).expect("columns of a group are bounded");
                    let written = self.put_column(&mut frame, group, column, found, index);
                    self.live += u64::from(written);
                }
            }
            group += 1;
        }
        let done = group == end;
        if done {
            frame.begin(Kind::NextGroup);
            put(&mut frame.bytes, end.into());
            frame.begin(Kind::Complete);
        }
        let after = if done { Stage::Steady } else { Stage::Rewriting { next_group: group } };
        self.launch(request, frame, 0, after);
    }

    fn append_changes(&mut self, request: FileRequestId, groups: &Groups, index: &Index) {
        let mut frame = Frame::new();
        let mut changes = 0;
        while let Some(queued) = self.queue.get(changes) {
            if self.append_bytes_max <= frame.bytes.len() {
                break;
            }
            self.put_change(&mut frame, queued.change, groups, index);
            changes += 1;
        }
        self.launch(request, frame, changes, Stage::Steady);
    }

    fn put_change(&mut self, frame: &mut Frame, change: Change, groups: &Groups, index: &Index) {
        match change {
            Change::Group(group) => {
                if let Some(found) = &groups[group as usize] {
                    self.put_group(frame, group, found);
                }
            }
            Change::Column(group, column) => {
                if let Some(found) = &groups[group as usize] {
                    self.put_column(frame, group, column, found, index);
                }
            }
            Change::Metadata(group) => {
                if let Some(found) = &groups[group as usize] {
                    self.put_metadata(frame, group, found, index);
                }
            }
            Change::DropColumn(group, column) => {
                frame.begin(Kind::DropColumn);
                put(&mut frame.bytes, group.into());
                put(&mut frame.bytes, column.into());
            }
            Change::DropGroup(group) => {
                frame.begin(Kind::DropGroup);
                put(&mut frame.bytes, group.into());
            }
        }
    }

    fn put_group(&self, frame: &mut Frame, group: u32, found: &Group) {
        frame.begin(if found.side { Kind::SideGroup } else { Kind::Group });
        put(&mut frame.bytes, group.into());
        frame.bytes.extend_from_slice(&found.key.0.to_le_bytes());
        put(&mut frame.bytes, found.columns.len() as u64);
        put_bytes(&mut frame.bytes, found.labels.packed().as_bytes());
    }

    /// Writes a column with the symbols it needs; whether it lives.
    fn put_column(
        &mut self,
        frame: &mut Frame,
        group: u32,
        column: u32,
        found: &Group,
        index: &Index,
    ) -> bool {
        let series = found.columns[column as usize].series;
        if series == NONE {
            return false;
        }
        let pairs = index.symbols_of(series);
        for (name, value) in pairs {
            for symbol in [*name, *value] {
                self.put_symbol(frame, symbol, index);
            }
        }
        let kind = found.kind(column);
        let is_float = kind == ColumnKind::Float;
        frame.begin(if is_float { Kind::Column } else { Kind::TypedColumn });
        put(&mut frame.bytes, group.into());
        put(&mut frame.bytes, column.into());
        if !is_float {
            frame.bytes.push(kind as u8);
        }
        put(&mut frame.bytes, pairs.len() as u64);
        for (name, value) in pairs {
            put(&mut frame.bytes, self.symbols[name.0 as usize].into());
            put(&mut frame.bytes, self.symbols[value.0 as usize].into());
        }
        true
    }

    /// Writes what the group says of families, with those that it needs.
    fn put_metadata(&mut self, frame: &mut Frame, group: u32, found: &Group, index: &Index) {
        if found.metadata.is_empty() {
            return;
        }
        for id in &found.metadata {
            let at = *id as usize;
            if self.families.len() <= at {
                self.families.resize(at + 1, NONE);
            }
            if self.families[at] == NONE {
                self.families[at] = self.family_count;
                self.family_count += 1;
                frame.begin(Kind::Family);
                put_family(&mut frame.bytes, index.families.family(*id));
            }
        }
        frame.begin(Kind::Metadata);
        put(&mut frame.bytes, group.into());
        put(&mut frame.bytes, found.metadata.len() as u64);
        for id in &found.metadata {
            put(&mut frame.bytes, self.families[*id as usize].into());
        }
    }

    fn put_symbol(&mut self, frame: &mut Frame, symbol: Symbol, index: &Index) {
        let at = symbol.0 as usize;
        if self.symbols.len() <= at {
            self.symbols.resize(at + 1, NONE);
        }
        if self.symbols[at] == NONE {
            self.symbols[at] = self.symbol_count;
            self.symbol_count += 1;
            frame.begin(Kind::Symbol);
            put_bytes(&mut frame.bytes, index.symbols.text(symbol).as_bytes());
        }
    }

    fn launch(&mut self, request: FileRequestId, mut frame: Frame, changes: usize, after: Stage) {
        let envelope = Envelope {
            kind: frame::Kind::Catalog,
            generation: self.number,
            first: self.records + 1,
            needed: 0,
            records: frame.records,
            flags: 0,
        };
        self.records += u64::from(frame.records);
        frame::seal(&mut frame.bytes, &envelope);
        self.flight = Some(Flight { request, bytes: frame.bytes, changes, after });
    }

    /// The request is answered; `None` when it is not the catalog's. Gives the files to delete and
    /// calls `unpin` for each log epoch that is needed once less.
    pub(crate) fn on_done(
        &mut self,
        now: Now,
        request: FileRequestId,
        succeeded: bool,
        unpin: impl FnMut(Epoch),
    ) -> Option<Vec<FileName>> {
        let flight = self.flight.take_if(|flight| flight.request == request)?;
        if !succeeded {
            self.back_off.failed(now.tick);
            self.failed = Some(flight);
            return Some(Vec::new());
        }
        self.back_off.clear();
        self.offset += flight.bytes.len() as u64;
        self.stage = flight.after;
        self.durable += flight.changes as u64;
        assert!(self.durable <= self.queued, "C1: more changes are durable than were queued");
        self.queue.drain(..flight.changes).filter_map(|queued| queued.epoch).for_each(unpin);
        if self.stage != Stage::Steady {
            return Some(Vec::new());
        }
        let deletable: Vec<FileName> = self.older.drain(..).map(FileName::Catalog).collect();
        let newer = deletable.iter().all(|file| *file < FileName::Catalog(self.number));
        assert!(newer, "C2: a catalog is deleted before the one that replaces it is complete");
        Some(deletable)
    }
}

/// Records of one append.
struct Frame {
    bytes: Vec<u8>,
    records: u32,
}

impl Frame {
    fn new() -> Frame {
        let mut bytes = Vec::new();
        frame::open(&mut bytes);
        Frame { bytes, records: 0 }
    }

    fn begin(&mut self, kind: Kind) {
        self.bytes.push(kind as u8);
        self.records += 1;
    }
}
