//! Drill rows: the groups and series of a drill, and what their cells say.
//!
//! Path: `drill` → **drill_rows** → `storage::store`.

use std::sync::Arc;

use model::label_set::LabelSet;
use model::matcher::{MatchOp, Matcher};
use model::native_histogram::{CounterResetHint, NativeHistogram, Span};
use model::staleness::STALE_NAN_BITS;
use model::time::{Now, TimestampMs};
use storage::cells::{Cell, Cells};
use storage::effect::Effect;
use storage::row::{ColumnIndex, ColumnKind, GroupId, GroupKey, Rank, Row, Slot};
use storage::store::Store;

use crate::contents::Names;
use crate::ledger::{SeriesNumber, Taken, Value};
use crate::prng::{Prng, mix};

/// Series that a group has of its own, at most.
const OWN_SERIES_MAX: u64 = 5;
/// Series that all groups have.
const SHARED_SERIES: u64 = 2;

/// Groups whose rows are a function of seed, group and slot but for chance of presence.
#[derive(Clone, Debug)]
pub struct Herd {
    seed: u64,
    groups: u32,
    chance: Prng,
    /// Part of the name of every other own series: it changes now and then.
    generation: u64,
    /// Newest slot of each group.
    newest: Vec<i64>,
}

impl Herd {
    /// The groups of a seed.
    #[must_use]
    pub fn new(seed: u64, groups: u32) -> Herd {
        let chance = Prng::new(seed, "drill rows");
        Herd { seed, groups, chance, generation: 0, newest: vec![0; groups as usize] }
    }

    /// Appends a row of a group at a slot; `None` when one is there already.
    ///
    /// # Errors
    /// The store refuses it.
    pub fn append(
        &mut self,
        store: &mut Store,
        names: &mut Names,
        now: Now,
        (group, slot): (u32, i64),
        effects: &mut Vec<Effect>,
    ) -> Result<Option<Taken>, String> {
        let key = GroupKey(u128::from(group) << 7);
        let labels = LabelSet::new([("job", "drill"), ("instance", &group.to_string())]);
        let id = store.group(key, &labels).map_err(|error| format!("group: {error}"))?;
        if self.chance.happens(30_000) {
            self.generation += 1;
        }
        let newest = &mut self.newest[group as usize];
        let late = slot <= *newest;
        *newest = slot.max(*newest);
        let mut said = Vec::new();
        for (labels, kind, value) in self.said(group, slot, late) {
            let column = store.column(id, &labels, kind);
            let column = column.map_err(|error| format!("column: {error}"))?;
            said.push((column, names.number(&labels), value));
        }
        let cells = cells_of(store, id, &said);
        let rank = if self.chance.happens(200_000) { Rank::StandIn } else { Rank::Owner };
        let timestamp = TimestampMs(slot);
        let row = Row { group: id, slot: Slot(slot), timestamp, rank, cells: &cells };
        let appended = store.append(now, &row, effects).map_err(|error| format!("row: {error}"))?;
        let cells = said.into_iter().map(|(_, series, value)| (series, value));
        Ok((!appended.duplicate).then(|| Taken {
            group: id.0,
            slot,
            time_ms: slot,
            rank,
            position: appended.position,
            cells: cells.collect(),
        }))
    }

    /// What a row says: series, the kind of their column, value.
    fn said(&mut self, group: u32, slot: i64, late: bool) -> Vec<(LabelSet, ColumnKind, Value)> {
        let mut said = Vec::new();
        let number = group.to_string();
        let own = 1 + mix(self.seed ^ u64::from(group)) % OWN_SERIES_MAX;
        for series in 0..own {
            let generation = if series % 2 == 0 { 0 } else { self.generation };
            let id = format!("{series}-{generation}");
            let labels = LabelSet::new([("__name__", "own"), ("group", &number), ("id", &id)]);
            let value = self.float(u64::from(group) << 8 | series, slot);
            said.push((labels, ColumnKind::Float, value));
        }
        // Which of two groups was first at a time is not told of late rows.
        for series in (0..SHARED_SERIES).filter(|_| !late) {
            let labels = LabelSet::new([("__name__", "shared"), ("id", &series.to_string())]);
            let value = self.float(u64::from(group) << 8 | 64 | series, slot);
            said.push((labels, ColumnKind::Float, value));
        }
        let labels = LabelSet::new([("__name__", "latency"), ("group", &number)]);
        let histogram = Value::Histogram(Arc::new(self.histogram(slot)));
        said.push((labels, ColumnKind::Histogram, histogram));
        // A series that changes its kind from one minute to the next.
        let labels = LabelSet::new([("__name__", "mixed"), ("group", &number)]);
        said.push(if slot.div_euclid(60_000) % 2 == 0 {
            (labels, ColumnKind::Float, self.float(99, slot))
        } else {
            (labels, ColumnKind::Histogram, Value::Histogram(Arc::new(self.histogram(slot))))
        });
        said.retain(|_| !self.chance.happens(100_000));
        said
    }

    fn float(&mut self, series: u64, slot: i64) -> Value {
        let chance = mix(self.seed ^ mix(series) ^ self.chance.draw());
        if chance.is_multiple_of(23) {
            return Value::Float(STALE_NAN_BITS);
        }
        let whole = |number: u64| f64::from(u32::try_from(number % 1_000_000).unwrap_or(0));
        let value = match series % 5 {
            0 => whole(slot.unsigned_abs() / 1_000),
            1 => whole(chance) / 1_000.0,
            2 => 7.0,
            3 => f64::from_bits(chance % 0x7ff0_0000_0000_0000),
            _ if chance.is_multiple_of(3) => f64::NAN,
            _ => -whole(chance),
        };
        Value::Float(value.to_bits())
    }

    fn histogram(&mut self, slot: i64) -> NativeHistogram {
        let step = f64::from(u32::try_from(slot.unsigned_abs() / 1_000 % 100_000).unwrap_or(0));
        let float = self.chance.happens(200_000);
        let more = if float { 0.5 } else { 0.0 };
        let buckets = vec![step + more, 3.0, 2.0 * step];
        let hints = [CounterResetHint::Unknown, CounterResetHint::Gauge];
        NativeHistogram {
            counter_reset_hint: self.chance.one_of(&hints),
            schema: self.chance.one_of(&[0, 3]),
            zero_threshold: 0.001,
            zero_count: 1.0,
            count: 1.0 + buckets.iter().sum::<f64>(),
            sum: step * 0.25,
            positive_spans: vec![Span { offset: -1, length: 2 }, Span { offset: 3, length: 1 }],
            positive_buckets: buckets,
            ..NativeHistogram::default()
        }
    }

    /// Matchers of a deletion.
    pub fn matchers(&self, chance: &mut Prng) -> Vec<Matcher> {
        let equal = |name, value: &str| Matcher::new(name, MatchOp::Equal, value);
        let made = match chance.below(4) {
            0 => Matcher::new("__name__", MatchOp::Regex, ".+"),
            1 => equal("group", &chance.below(u64::from(self.groups)).to_string()),
            2 => equal("__name__", "shared"),
            _ => Matcher::new("__name__", MatchOp::Regex, "own|latency"),
        };
        vec![made.expect("good matchers")]
    }
}

fn cells_of(store: &Store, group: GroupId, said: &[(ColumnIndex, SeriesNumber, Value)]) -> Cells {
    let mut cells = Cells::new(store.columns(group));
    for (column, _, value) in said {
        match value {
            Value::Float(STALE_NAN_BITS) => cells.set(column.0 as usize, Cell::Stale),
            Value::Float(bits) => {
                cells.set(column.0 as usize, Cell::Present(f64::from_bits(*bits)));
            }
            Value::Histogram(value) => cells.set_histogram(column.0, Arc::clone(value)),
        }
    }
    cells
}
