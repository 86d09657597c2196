//! Series table: label sets by number, numbers by label set, postings by label value.

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};
use model::label_set::LabelSet;
use roaring::RoaringBitmap;
use smallvec::SmallVec;

use crate::allocation::allocated;
use crate::index::families::Families;
use crate::index::postings::Postings;
use crate::symbols::{Symbol, Symbols};

/// A column of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ColumnPlace {
    pub(crate) group: u32,
    pub(crate) column: u32,
}

/// Columns that hold a series: nearly always one.
#[derive(Clone, Debug, Default)]
enum Columns {
    #[default]
    None,
    One(ColumnPlace),
    Many(Box<ColumnList>),
}

/// Behind one pointer, so that the usual single column stays small.
#[derive(Clone, Debug)]
struct ColumnList {
    places: Vec<ColumnPlace>,
}

#[derive(Clone, Debug, Default)]
struct Series {
    labels: Box<[(Symbol, Symbol)]>,
    columns: Columns,
}

/// Values of one label.
pub(crate) type Values = HashMap<Symbol, Postings, FixedState>;

/// The live series.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) symbols: Symbols,
    pub(crate) families: Families,
    series: Vec<Series>,
    free: Vec<u32>,
    /// Half of the label set's hash, and the number.
    table: HashTable<(u32, u32)>,
    values: HashMap<Symbol, Values, FixedState>,
    all: RoaringBitmap,
    /// Symbols that went since somebody last took this list.
    pub(crate) gone: Vec<Symbol>,
}

impl Index {
    /// Live series.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// All live series.
    pub(crate) fn all(&self) -> &RoaringBitmap {
        &self.all
    }

    /// Values of the label `name`.
    pub(crate) fn values(&self, name: &str) -> Option<&Values> {
        self.values.get(&self.symbols.find(name)?)
    }

    /// All labels with their values, in no order.
    pub(crate) fn labels(&self) -> impl Iterator<Item = (&str, &Values)> {
        self.values.iter().map(|(name, values)| (self.symbols.text(*name), values))
    }

    /// The series of `labels`, if it lives.
    pub(crate) fn find(&self, labels: &LabelSet) -> Option<u32> {
        let hash = short_hash(labels);
        let found = self.table.find(spread(hash), |(other, series)| {
            *other == hash && self.is(&self.series[*series as usize], labels)
        });
        found.map(|(_, series)| *series)
    }

    fn is(&self, series: &Series, labels: &LabelSet) -> bool {
        let mut pairs = series.labels.iter();
        let equal = labels.iter().all(|(name, value)| {
            pairs.next().is_some_and(|(n, v)| {
                self.symbols.text(*n) == name && self.symbols.text(*v) == value
            })
        });
        equal && pairs.next().is_none()
    }

    /// Makes the series of `labels`, which is not there.
    pub(crate) fn insert(&mut self, labels: &LabelSet) -> u32 {
        let pairs: SmallVec<[(Symbol, Symbol); 16]> = labels
            .iter()
            .map(|(name, value)| (self.symbols.take(name), self.symbols.take(value)))
            .collect();
        let entry = Series { labels: pairs.as_slice().into(), columns: Columns::None };
        let series = if let Some(series) = self.free.pop() {
            self.series[series as usize] = entry;
            series
        } else {
            if self.series.len() == self.series.capacity() {
                // Doubling would leave half of the table empty at its worst.
                self.series.reserve_exact(self.series.len() / 8 + 64);
            }
            self.series.push(entry);
            u32::try_from(self.series.len() - 1).expect("series are bounded by options")
        };
        for (name, value) in pairs {
            self.values.entry(name).or_default().entry(value).or_default().insert(series);
        }
        let hash = short_hash(labels);
        self.table.insert_unique(spread(hash), (hash, series), |(hash, _)| spread(*hash));
        self.all.insert(series);
        series
    }

    /// One column more holds the series.
    pub(crate) fn add_column(&mut self, series: u32, place: ColumnPlace) {
        let columns = &mut self.series[series as usize].columns;
        match columns {
            Columns::None => *columns = Columns::One(place),
            Columns::One(first) => {
                let places = vec![*first, place];
                *columns = Columns::Many(Box::new(ColumnList { places }));
            }
            Columns::Many(list) => list.places.push(place),
        }
    }

    /// One column less holds the series; without any it goes.
    pub(crate) fn remove_column(&mut self, series: u32, place: ColumnPlace) {
        let columns = &mut self.series[series as usize].columns;
        match columns {
            Columns::Many(list) => {
                list.places.retain(|other| *other != place);
                if list.places.is_empty() {
                    *columns = Columns::None;
                }
            }
            Columns::One(only) if *only == place => *columns = Columns::None,
            Columns::None | Columns::One(_) => {}
        }
        if matches!(columns, Columns::None) {
            self.remove(series);
        }
    }

    fn remove(&mut self, series: u32) {
        let labels = self.labels_of(series);
        let hash = short_hash(&labels);
        let found = self.table.find_entry(spread(hash), |(_, other)| *other == series);
        found.expect("a live series is in the table").remove();
        let entry = std::mem::take(&mut self.series[series as usize]);
        for (name, value) in entry.labels {
            let values = self.values.get_mut(&name).expect("a live label has values");
            let postings = values.get_mut(&value).expect("a live value has postings");
            assert!(postings.contains(series), "I1: series {series} is missing in its postings");
            if postings.remove(series) {
                values.remove(&value);
            }
            if values.is_empty() {
                self.values.remove(&name);
            }
            for symbol in [name, value] {
                if self.symbols.give_back(symbol) {
                    self.gone.push(symbol);
                }
            }
        }
        self.all.remove(series);
        self.free.push(series);
    }

    /// Labels of a live series.
    pub(crate) fn labels_of(&self, series: u32) -> LabelSet {
        let pairs = self.series[series as usize].labels.iter();
        LabelSet::new(pairs.map(|(n, v)| (self.symbols.text(*n), self.symbols.text(*v))))
    }

    /// Symbols of the labels of a live series, in order of name.
    pub(crate) fn symbols_of(&self, series: u32) -> &[(Symbol, Symbol)] {
        &self.series[series as usize].labels
    }

    /// Columns that hold a live series.
    pub(crate) fn columns_of(&self, series: u32) -> &[ColumnPlace] {
        match &self.series[series as usize].columns {
            Columns::None => &[],
            Columns::One(place) => std::slice::from_ref(place),
            Columns::Many(list) => &list.places,
        }
    }

    /// Bytes of memory behind series and postings, without the symbols.
    pub(crate) fn heap_bytes(&self) -> usize {
        let labels: usize = self.series.iter().map(|s| allocated(size_of_val(&*s.labels))).sum();
        let postings: usize = self
            .values
            .values()
            .map(|values| {
                let entries = values.allocation_size();
                entries + values.values().map(Postings::heap_bytes).sum::<usize>()
            })
            .sum();
        labels
            + postings
            + self.series.capacity() * size_of::<Series>()
            + self.table.allocation_size()
            + self.all.serialized_size()
            + self.free.capacity() * 4
    }
}

#[expect(clippy::cast_possible_truncation, reason = "half of the hash is what is kept")]
fn short_hash(labels: &LabelSet) -> u32 {
    labels.hash64() as u32
}

/// Hash of a table entry: the table wants its high and its low bits to vary.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
