//! Store source: the shards as one store that queries read.
//!
//! Path: `query` → **store source** → the machine's handle → every shard; query threads ask blocks
//! and decode.
//! Never: reads on when nobody waits; keeps more pages than all threads together may.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use api::backend::Alive;
use machine::handle::{AskError, Handle};
use model::label_set::LabelSet;
use model::samples::Samples;
use model::time::TimestampMs;
use query::source::{Column, LabelQuery, Selection, Series, Source, SourceError, WindowValue};
use shard::effect::Answer;
use shard::event::Question;
use storage::block::reference::BlockRef;
use storage::compaction::Aggregate;
use storage::names::FileName;
use storage::selection::{
    self, LabelRequest, SelectError, SelectRequest, Selected, SelectedSeries, TileCache,
};
use storage::tile_read::{DecodeError, TileRead};

/// Longest wait for a shard's answer. A shard answers between two events, which take milliseconds;
/// one that takes this long is broken.
const ASK_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of directories and pages that all threads keep together; a thread that finds more gives
/// its own back after each use. Each keeps 20 MiB at most.
const CACHES_BYTES_MAX: usize = 128 << 20;

/// What all threads keep.
static CACHES_BYTES: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Directories of tiles and pages of blocks that this thread has read.
    static CACHE: RefCell<TileCache> = RefCell::default();
}

/// Calls `read` with this thread's cache.
fn with_cache<T>(read: impl FnOnce(&mut TileCache) -> T) -> T {
    CACHE.with_borrow_mut(|cache| {
        let before = cache.bytes();
        let result = read(cache);
        let after = cache.bytes();
        let others = CACHES_BYTES.fetch_add(after, Ordering::Relaxed);
        CACHES_BYTES.fetch_sub(before, Ordering::Relaxed);
        if CACHES_BYTES_MAX < others.saturating_add(after).saturating_sub(before) {
            forget(cache);
        }
        result
    })
}

fn forget(cache: &mut TileCache) {
    let bytes = std::mem::take(cache).bytes();
    CACHES_BYTES.fetch_sub(bytes, Ordering::Relaxed);
}

/// Gives back what this thread keeps for the query that it has finished.
pub fn forget_tiles() {
    CACHE.with_borrow_mut(forget);
}

/// Bytes of directories and pages that query threads keep.
#[must_use]
pub fn cache_bytes() -> usize {
    CACHES_BYTES.load(Ordering::Relaxed)
}

/// Warnings of one request; of more damage the log and the metrics tell.
const WARNINGS_MAX: usize = 4;

/// What the answers of one request lack: texts, each once.
#[derive(Debug, Default)]
struct Lacking([OnceLock<String>; WARNINGS_MAX]);

impl Lacking {
    fn note(&self, text: &str) {
        // The first place that has this text, or none so far.
        self.0.iter().any(|place| place.get_or_init(|| text.to_owned()) == text);
    }

    fn texts(&self) -> Vec<String> {
        self.0.iter().filter_map(OnceLock::get).cloned().collect()
    }
}

/// The files of a shard, for one request.
struct Watched {
    shard: usize,
    files: Arc<dyn TileRead>,
    alive: Alive,
    lacking: Arc<Lacking>,
}

impl TileRead for Watched {
    fn read(&self, file: &FileName, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        if !(self.alive)() {
            return Err(io::Error::other("nobody waits"));
        }
        self.files.read(file, offset, bytes)
    }

    fn leave_out(&self, error: &DecodeError) -> bool {
        let is_left_out = self.files.leave_out(error);
        if is_left_out {
            let shard = self.shard;
            self.lacking.note(&format!("samples were left out: shard-{shard}/{error}"));
        }
        is_left_out
    }
}

impl Watched {
    /// What a failed read means to the query.
    fn fault(&self, error: &DecodeError) -> SourceError {
        let text = || format!("shard-{}: {error}", self.shard);
        match error {
            DecodeError::Read { .. } if !(self.alive)() => SourceError::Ended,
            DecodeError::Damaged { .. } => SourceError::Damaged(text()),
            DecodeError::Read { .. } => SourceError::Unavailable(text()),
        }
    }
}

/// All shards, for one request.
pub struct StoreSource {
    handle: Arc<Handle>,
    alive: Alive,
    lacking: Arc<Lacking>,
}

impl StoreSource {
    /// The shards behind `handle`, for a request that somebody waits for while it is `alive`.
    #[must_use]
    pub fn new(handle: Arc<Handle>, alive: Alive) -> StoreSource {
        StoreSource { handle, alive, lacking: Arc::default() }
    }

    fn ask(&self, question: &Question) -> Result<Vec<Answer>, SourceError> {
        self.handle.ask_all(question, ASK_TIMEOUT).map_err(|error| unavailable(&error))
    }

    /// What each shard selects, page by page: a shard looks at its scrapes between two.
    fn shares(
        &self,
        request: &SelectRequest,
        bytes_max: u64,
    ) -> Result<Vec<Selected>, SourceError> {
        let first = self.ask(&Question::Select(request.clone()))?;
        let mut shares = first.into_iter().map(page).collect::<Result<Vec<_>, _>>()?;
        let mut bytes: u64 = shares.iter().map(|share| bytes_of(&share.series)).sum();
        loop {
            let mut left = Vec::new();
            for (shard, share) in shares.iter_mut().enumerate() {
                if let Some(rest) = share.rest.take() {
                    let more = Question::SelectMore(Box::new((request.clone(), rest)));
                    left.push((shard, more));
                }
            }
            if left.is_empty() {
                return Ok(shares);
            }
            if bytes_max < bytes {
                return Err(SourceError::Memory { bytes_max });
            }
            if !(self.alive)() {
                return Err(SourceError::Ended);
            }
            let asked: Vec<usize> = left.iter().map(|(shard, _)| *shard).collect();
            let answers = self.handle.ask_each(left.into_iter(), ASK_TIMEOUT);
            let answers = answers.map_err(|error| unavailable(&error))?;
            for (shard, answer) in asked.into_iter().zip(answers) {
                let next = page(answer)?;
                bytes += bytes_of(&next.series);
                let share = &mut shares[shard];
                share.series.extend(next.series);
                (share.blocks, share.rest) = (next.blocks, next.rest);
            }
        }
    }

    fn files(&self, shard: usize) -> Arc<Watched> {
        let (files, alive) = (self.handle.tiles(shard), Arc::clone(&self.alive));
        Arc::new(Watched { shard, files, alive, lacking: Arc::clone(&self.lacking) })
    }

    /// What `ask` finds in the blocks between these times.
    fn in_blocks(
        &self,
        wanted: &LabelQuery,
        ask: impl Fn(&Arc<BlockRef>, &Watched, &mut TileCache) -> Result<Vec<String>, DecodeError>,
        lists: &mut Vec<Vec<String>>,
    ) -> Result<(), SourceError> {
        let question = Question::Blocks { from: wanted.from, to: wanted.to };
        for (shard, answer) in self.ask(&question)?.into_iter().enumerate() {
            let Answer::Blocks(blocks) = answer else { return Err(mismatch()) };
            let files = self.files(shard);
            for block in &blocks {
                match with_cache(|cache| ask(block, &files, cache)) {
                    Ok(list) => lists.push(list),
                    Err(error) if is_gone(&error) || files.leave_out(&error) => {}
                    Err(error) => return Err(files.fault(&error)),
                }
            }
        }
        Ok(())
    }
}

/// Whether a file is gone: its samples passed retention since the shard was asked.
fn is_gone(error: &DecodeError) -> bool {
    matches!(error, DecodeError::Read { cause, .. } if cause.kind() == io::ErrorKind::NotFound)
}

fn unavailable(error: &AskError) -> SourceError {
    SourceError::Unavailable(error.to_string())
}

/// A shard that answers another question than it was asked is a bug; queries fail, samples stay.
fn mismatch() -> SourceError {
    SourceError::Unavailable("a shard gave the answer to another question".to_owned())
}

/// A page of a selection.
fn page(answer: Answer) -> Result<Selected, SourceError> {
    match answer {
        Answer::Select(Ok(selected)) => Ok(selected),
        Answer::Select(Err(SelectError::TooManySeries { series_max })) => {
            Err(SourceError::TooManySeries { series_max })
        }
        _ => Err(mismatch()),
    }
}

fn bytes_of(series: &[SelectedSeries]) -> u64 {
    series.iter().map(|series| series.heap_bytes() as u64).sum()
}

impl Source for StoreSource {
    fn select(&self, selection: &Selection) -> Result<Vec<Series>, SourceError> {
        let request = SelectRequest {
            matchers: selection.matchers.clone(),
            after: selection.after,
            until: selection.until,
            series_max: selection.series_max,
            aggregate: aggregate(selection.window_value),
        };
        let shares = self.shares(&request, selection.bytes_max)?;
        let mut found = Found::new(selection, &shares);
        for (shard, share) in shares.into_iter().enumerate() {
            let files = self.files(shard);
            found.add(&files, share.series)?;
            for block in &share.blocks {
                let read =
                    |cache: &mut TileCache| block.select(&*files, &mut cache.blocks, &request);
                match with_cache(read) {
                    Ok(series) => found.add(&files, series)?,
                    Err(error) if is_gone(&error) || files.leave_out(&error) => {}
                    Err(error) => return Err(files.fault(&error)),
                }
            }
        }
        Ok(found.series())
    }

    fn label_values(&self, name: &str, wanted: &LabelQuery) -> Result<Vec<String>, SourceError> {
        let request = label_request(wanted);
        let question = Question::LabelValues { name: name.to_owned(), wanted: request.clone() };
        let mut lists = texts(self.ask(&question)?)?;
        let in_block = |block: &Arc<BlockRef>, files: &Watched, cache: &mut TileCache| {
            block.label_values(files, &mut cache.blocks, name, &request)
        };
        self.in_blocks(wanted, in_block, &mut lists)?;
        Ok(union(lists))
    }

    fn label_names(&self, wanted: &LabelQuery) -> Result<Vec<String>, SourceError> {
        let request = label_request(wanted);
        let mut lists = texts(self.ask(&Question::LabelNames(request.clone()))?)?;
        let in_block = |block: &Arc<BlockRef>, files: &Watched, cache: &mut TileCache| {
            block.label_names(files, &mut cache.blocks, &request)
        };
        self.in_blocks(wanted, in_block, &mut lists)?;
        Ok(union(lists))
    }

    fn warnings(&self) -> Vec<String> {
        self.lacking.texts()
    }
}

fn aggregate(wanted: WindowValue) -> Aggregate {
    match wanted {
        WindowValue::Average => Aggregate::Average,
        WindowValue::Sum => Aggregate::Sum,
        WindowValue::Min => Aggregate::Min,
        WindowValue::Max => Aggregate::Max,
        WindowValue::Counter => Aggregate::Counter,
    }
}

fn label_request(wanted: &LabelQuery) -> LabelRequest {
    LabelRequest { matcher_sets: wanted.matcher_sets.clone(), from: wanted.from, to: wanted.to }
}

fn texts(answers: Vec<Answer>) -> Result<Vec<Vec<String>>, SourceError> {
    let list = |answer| match answer {
        Answer::LabelValues(list) | Answer::LabelNames(list) => Ok(list),
        _ => Err(mismatch()),
    };
    answers.into_iter().map(list).collect()
}

/// Texts of every list, sorted, each once.
fn union(mut lists: Vec<Vec<String>>) -> Vec<String> {
    if lists.len() == 1 {
        return lists.remove(0);
    }
    lists.into_iter().flatten().collect::<BTreeSet<String>>().into_iter().collect()
}

/// One series a label set. Blocks and tiles share many; shards none but where a target moved
/// between them, or two targets give the same labels.
struct Found {
    columns: Vec<(LabelSet, StoreColumn)>,
    /// Where each label set is; empty where one answer is all there is.
    known: HashMap<LabelSet, usize>,
    is_single: bool,
    series_max: usize,
    bytes_max: u64,
    bytes: u64,
}

impl Found {
    fn new(selection: &Selection, shares: &[Selected]) -> Found {
        let answers: usize = shares.iter().map(|share| 1 + share.blocks.len()).sum();
        Found {
            columns: Vec::new(),
            known: HashMap::new(),
            is_single: answers < 2,
            series_max: selection.series_max,
            bytes_max: selection.bytes_max,
            bytes: 0,
        }
    }

    fn add(&mut self, files: &Arc<Watched>, found: Vec<SelectedSeries>) -> Result<(), SourceError> {
        for selected in found {
            self.bytes += selected.heap_bytes() as u64;
            if self.bytes_max < self.bytes {
                return Err(SourceError::Memory { bytes_max: self.bytes_max });
            }
            self.put(files, selected);
            if self.series_max < self.columns.len() {
                return Err(SourceError::TooManySeries { series_max: self.series_max });
            }
        }
        Ok(())
    }

    fn put(&mut self, files: &Arc<Watched>, selected: SelectedSeries) {
        let labels = selected.labels.clone();
        if !self.is_single {
            if let Some(at) = self.known.get(&labels) {
                self.columns[*at].1.add(files, selected);
                return;
            }
            self.known.insert(labels.clone(), self.columns.len());
        }
        let first = Part { selected, files: Arc::clone(files) };
        self.columns.push((labels, StoreColumn { first, more: Vec::new() }));
    }

    fn series(self) -> Vec<Series> {
        let series =
            |(labels, column)| Series { labels, column: Arc::new(column) as Arc<dyn Column> };
        self.columns.into_iter().map(series).collect()
    }
}

/// A series in one shard.
struct Part {
    selected: SelectedSeries,
    files: Arc<Watched>,
}

/// A series in all shards that have it.
struct StoreColumn {
    first: Part,
    more: Vec<Part>,
}

impl StoreColumn {
    fn add(&mut self, files: &Arc<Watched>, selected: SelectedSeries) {
        let parts = std::iter::once(&mut self.first).chain(&mut self.more);
        for part in parts {
            if Arc::ptr_eq(&part.files, files) {
                part.selected.absorb(selected);
                return;
            }
        }
        self.more.push(Part { selected, files: Arc::clone(files) });
    }
}

impl Column for StoreColumn {
    fn heap_bytes(&self) -> u64 {
        let parts = std::iter::once(&self.first).chain(&self.more);
        parts.map(|part| part.selected.heap_bytes() as u64).sum()
    }

    fn decode(
        &self,
        after: TimestampMs,
        until: TimestampMs,
        samples: &mut Samples,
    ) -> Result<(), SourceError> {
        let decoded = with_cache(|cache| {
            let range = (after, until);
            if self.more.is_empty() {
                return selection::decode(&[self.first.place()], cache, range, samples);
            }
            let parts = std::iter::once(&self.first).chain(&self.more).map(Part::place);
            selection::decode(&parts.collect::<Vec<_>>(), cache, range, samples)
        });
        decoded.map_err(|error| self.first.files.fault(&error))
    }
}

impl Part {
    fn place(&self) -> (&SelectedSeries, &dyn TileRead) {
        (&self.selected, &*self.files)
    }
}
