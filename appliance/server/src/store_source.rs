//! Store source: the shards as one store that queries read.
//!
//! Path: `query` → **store source** → the machine's handle → every shard; query threads decode.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use machine::handle::{AskError, Handle};
use model::label_set::LabelSet;
use model::samples::Samples;
use model::time::TimestampMs;
use query::source::{Column, LabelQuery, Selection, Series, Source, SourceError};
use shard::effect::Answer;
use shard::event::Question;
use storage::compaction::Aggregate;
use storage::selection::{LabelRequest, SelectError, SelectRequest, SelectedSeries, TileCache};
use storage::tile_read::{DecodeError, TileRead};

/// Longest wait for a shard's answer. A shard answers between two events, which take milliseconds;
/// one that takes this long is broken.
const ASK_TIMEOUT: Duration = Duration::from_secs(30);

/// Numbers selections, so that a thread's cache of tiles serves one of them.
static SELECTIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Tiles that this thread has read for one selection: its number, and a cache a shard.
    static TILES: RefCell<(u64, HashMap<usize, TileCache>)> = RefCell::default();
}

/// Gives back what this thread keeps for the query that it has finished.
pub fn forget_tiles() {
    TILES.with_borrow_mut(|(_, caches)| *caches = HashMap::new());
}

/// All shards.
pub struct StoreSource {
    handle: Arc<Handle>,
}

impl StoreSource {
    /// The shards behind `handle`.
    #[must_use]
    pub fn new(handle: Arc<Handle>) -> StoreSource {
        StoreSource { handle }
    }

    fn ask(&self, question: &Question) -> Result<Vec<Answer>, SourceError> {
        self.handle.ask_all(question, ASK_TIMEOUT).map_err(|error| unavailable(&error))
    }
}

fn unavailable(error: &AskError) -> SourceError {
    SourceError::Unavailable(error.to_string())
}

/// A shard that answers another question than it was asked is a bug; queries fail, samples stay.
fn mismatch() -> SourceError {
    SourceError::Unavailable("a shard gave the answer to another question".to_owned())
}

impl Source for StoreSource {
    fn select(&self, selection: &Selection) -> Result<Vec<Series>, SourceError> {
        let question = Question::Select(SelectRequest {
            matchers: selection.matchers.clone(),
            after: selection.after,
            until: selection.until,
            series_max: selection.series_max,
            aggregate: Aggregate::default(),
        });
        let number = SELECTIONS.fetch_add(1, Ordering::Relaxed) + 1;
        let mut shares = Vec::new();
        for (shard, answer) in self.ask(&question)?.into_iter().enumerate() {
            match answer {
                Answer::Select(Ok(selected)) => shares.push((shard, selected.series)),
                Answer::Select(Err(SelectError::TooManySeries { series_max })) => {
                    return Err(SourceError::TooManySeries { series_max });
                }
                _ => return Err(mismatch()),
            }
        }
        let columns = merge(number, shares, |shard| self.handle.tiles(shard));
        if selection.series_max < columns.len() {
            return Err(SourceError::TooManySeries { series_max: selection.series_max });
        }
        Ok(columns)
    }

    fn label_values(&self, name: &str, wanted: &LabelQuery) -> Result<Vec<String>, SourceError> {
        let question =
            Question::LabelValues { name: name.to_owned(), wanted: label_request(wanted) };
        union(self.ask(&question)?)
    }

    fn label_names(&self, wanted: &LabelQuery) -> Result<Vec<String>, SourceError> {
        union(self.ask(&Question::LabelNames(label_request(wanted)))?)
    }
}

fn label_request(wanted: &LabelQuery) -> LabelRequest {
    LabelRequest { matcher_sets: wanted.matcher_sets.clone(), from: wanted.from, to: wanted.to }
}

/// Texts of every shard, sorted, each once.
fn union(answers: Vec<Answer>) -> Result<Vec<String>, SourceError> {
    let mut lists = Vec::with_capacity(answers.len());
    for answer in answers {
        match answer {
            Answer::LabelValues(list) | Answer::LabelNames(list) => lists.push(list),
            _ => return Err(mismatch()),
        }
    }
    if lists.len() == 1 {
        return Ok(lists.remove(0));
    }
    Ok(lists.into_iter().flatten().collect::<BTreeSet<String>>().into_iter().collect())
}

/// One series a label set. Shards share none but where a target moved between them, or two
/// targets give the same labels.
fn merge(
    selection: u64,
    shares: Vec<(usize, Vec<SelectedSeries>)>,
    tiles_of: impl Fn(usize) -> Arc<dyn TileRead>,
) -> Vec<Series> {
    let is_single = shares.len() < 2;
    let mut columns: Vec<(LabelSet, ShardColumn)> = Vec::new();
    let mut known: HashMap<LabelSet, usize> = HashMap::new();
    for (shard, series) in shares {
        let tiles = tiles_of(shard);
        for selected in series {
            let labels = selected.labels.clone();
            let part = Part { shard, selected, tiles: Arc::clone(&tiles) };
            if !is_single {
                if let Some(at) = known.get(&labels) {
                    columns[*at].1.more.push(part);
                    continue;
                }
                known.insert(labels.clone(), columns.len());
            }
            columns.push((labels, ShardColumn { selection, first: part, more: Vec::new() }));
        }
    }
    let series = |(labels, column)| Series { labels, column: Arc::new(column) as Arc<dyn Column> };
    columns.into_iter().map(series).collect()
}

/// A series in one shard.
struct Part {
    shard: usize,
    selected: SelectedSeries,
    tiles: Arc<dyn TileRead>,
}

/// A series in all shards that have it.
struct ShardColumn {
    selection: u64,
    first: Part,
    more: Vec<Part>,
}

impl Column for ShardColumn {
    fn decode(
        &self,
        after: TimestampMs,
        until: TimestampMs,
        samples: &mut Samples,
    ) -> Result<(), SourceError> {
        if self.more.is_empty() {
            return self.first.decode(self.selection, after, until, samples);
        }
        let start = samples.len();
        for part in std::iter::once(&self.first).chain(&self.more) {
            if let Err(error) = part.decode(self.selection, after, until, samples) {
                samples.truncate(start);
                return Err(error);
            }
        }
        samples.settle(start, |_| 0);
        Ok(())
    }
}

impl Part {
    fn decode(
        &self,
        selection: u64,
        after: TimestampMs,
        until: TimestampMs,
        samples: &mut Samples,
    ) -> Result<(), SourceError> {
        TILES.with_borrow_mut(|(number, caches)| {
            if *number != selection {
                *number = selection;
                caches.clear();
            }
            let cache = caches.entry(self.shard).or_default();
            let decoded = self.selected.decode(&*self.tiles, cache, after, until, samples);
            decoded.map_err(|error| match error {
                DecodeError::Damaged { .. } => SourceError::Damaged(error.to_string()),
                _ => SourceError::Unavailable(error.to_string()),
            })
        })
    }
}
