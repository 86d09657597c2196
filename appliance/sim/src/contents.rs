//! Contents: everything that a store gives to a query, as the ledger knows it.
//!
//! Path: `drill` → **contents** → `storage::selection`.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::ErrorKind;
use std::sync::Arc;

use model::label_set::LabelSet;
use model::matcher::{MatchOp, Matcher};
use model::samples::Samples;
use model::time::TimestampMs;
use storage::compaction::Aggregate;
use storage::selection::{SelectRequest, Selected, SelectedSeries, TileCache};
use storage::store::Store;
use storage::tile_read::{DecodeError, TileRead};

use crate::ledger::{Contents, SeriesNumber, Value};

/// Numbers of label sets.
#[derive(Clone, Debug, Default)]
pub struct Names {
    numbers: HashMap<LabelSet, SeriesNumber>,
    labels: Vec<LabelSet>,
}

impl Names {
    /// The number of a label set, given when it has none.
    pub fn number(&mut self, labels: &LabelSet) -> SeriesNumber {
        let next = self.labels.len();
        *self.numbers.entry(labels.clone()).or_insert_with(|| {
            self.labels.push(labels.clone());
            next
        })
    }

    /// Which of the series fulfil all matchers.
    #[must_use]
    pub fn meant(&self, matchers: &[Matcher]) -> Vec<bool> {
        let all = |labels: &LabelSet| matchers.iter().all(|m| m.matches_labels(labels));
        self.labels.iter().map(all).collect()
    }
}

/// Why there are no contents.
#[derive(Debug)]
pub enum Broken {
    /// A read failed.
    Read(String),
    /// A file is gone.
    Gone(String),
    /// Bytes do not check.
    Damaged(String),
    /// A promise is broken.
    Wrong(String),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Read(text) | Broken::Gone(text) | Broken::Damaged(text) => f.write_str(text),
            Broken::Wrong(text) => write!(f, "wrong: {text}"),
        }
    }
}

impl Broken {
    fn of(what: &dyn fmt::Display, error: &DecodeError) -> Broken {
        let text = format!("{what}: {error}");
        match error {
            DecodeError::Read { cause, .. } if cause.kind() == ErrorKind::NotFound => {
                Broken::Gone(text)
            }
            DecodeError::Read { .. } => Broken::Read(text),
            DecodeError::Damaged { .. } => Broken::Damaged(text),
        }
    }
}

fn everything() -> SelectRequest {
    let named = Matcher::new("__name__", MatchOp::Regex, ".+").expect("a good pattern");
    SelectRequest {
        matchers: vec![named],
        after: TimestampMs::MIN,
        until: TimestampMs::MAX,
        series_max: usize::MAX - 1,
        aggregate: Aggregate::default(),
    }
}

/// Everything that a store has.
///
/// # Errors
/// The store refuses.
pub fn select(store: &Store) -> Result<Selected, Broken> {
    store.select(&everything()).map_err(|error| Broken::Wrong(error.to_string()))
}

/// The samples of a selection.
///
/// # Errors
/// A read fails, bytes are damaged, a series was never made, or its times do not rise.
pub fn decode(
    selected: &Selected,
    files: &dyn TileRead,
    names: &Names,
) -> Result<Contents, Broken> {
    let mut cache = TileCache::default();
    let mut series: BTreeMap<SeriesNumber, SelectedSeries> = BTreeMap::new();
    let mut found = selected.series.clone();
    for block in &selected.blocks {
        let selected = block.select(files, &mut cache.blocks, &everything());
        found.extend(selected.map_err(|error| Broken::of(&block.file(), &error))?);
    }
    for one in found {
        let Some(number) = names.numbers.get(&one.labels) else {
            return Err(Broken::Wrong(format!("{} was never made", one.labels)));
        };
        match series.get_mut(number) {
            Some(known) => known.absorb(one),
            None => drop(series.insert(*number, one)),
        }
    }
    let mut contents: Contents = vec![BTreeMap::new(); names.labels.len()];
    for (number, one) in series {
        let mut samples = Samples::default();
        let (after, until) = (TimestampMs::MIN, TimestampMs::MAX);
        one.decode(files, &mut cache, after, until, &mut samples)
            .map_err(|error| Broken::of(&one.labels, &error))?;
        if let Some(two) = samples.timestamps_ms.windows(2).find(|two| two[1] <= two[0]) {
            return Err(Broken::Wrong(format!("{}: {} after {}", one.labels, two[1], two[0])));
        }
        contents[number] = cells(&samples);
    }
    Ok(contents)
}

fn cells(samples: &Samples) -> BTreeMap<i64, Value> {
    let times = samples.timestamps_ms.iter().copied();
    let floats = samples.values.iter().map(|value| Value::Float(value.to_bits()));
    let mut cells: BTreeMap<i64, Value> = times.zip(floats).collect();
    for (at, histogram) in &samples.histograms {
        let time = samples.timestamps_ms[*at as usize];
        cells.insert(time, Value::Histogram(Arc::clone(histogram)));
    }
    cells
}
