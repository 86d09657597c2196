//! A store with groups of rows like node_exporter's, whose effects are answered at once.

use std::time::{Duration, Instant};

use model::label_set::LabelSet;
use model::time::{Now, Tick, TimestampMs};
use storage::cells::{Cell, Cells};
use storage::effect::{Effect, Event, FileAnswer, FileOp};
use storage::options::Options;
use storage::row::{ColumnKind, GroupId, GroupKey, Rank, Row, Slot};
use storage::store::Store;

use crate::corpus::{COLUMNS, Corpus};

const START_MS: i64 = 1_700_000_000_000;
const INTERVAL_MS: u64 = 15_000;

/// What was measured.
#[derive(Default)]
pub(crate) struct Measured {
    pub(crate) samples: u64,
    pub(crate) changed: u64,
    pub(crate) append: Duration,
    pub(crate) worst: Duration,
    pub(crate) log_bytes: u64,
    pub(crate) file_bytes: u64,
}

impl Measured {
    /// `total` by sample.
    pub(crate) fn per_sample(&self, total: f64) -> f64 {
        total / self.samples as f64
    }

    /// Nanoseconds of appending a sample.
    pub(crate) fn nanos(&self) -> f64 {
        self.per_sample(self.append.as_secs_f64() * 1e9)
    }
}

pub(crate) struct Fleet {
    pub(crate) store: Store,
    groups: Vec<(GroupId, Corpus, Cells)>,
    now: Now,
    effects: Vec<Effect>,
    pub(crate) measured: Measured,
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn clock() -> Instant {
    Instant::now()
}

impl Fleet {
    pub(crate) fn new(group_count: u32) -> Fleet {
        let store = Store::new(Options { block_bytes: 512, ..Options::default() });
        let now = Now { tick: Tick(1), wall: TimestampMs(START_MS) };
        let measured = Measured::default();
        let mut fleet = Fleet { store, groups: Vec::new(), now, effects: Vec::new(), measured };
        fleet.store.on_event(now, Event::Due, &mut fleet.effects);
        fleet.answer();
        for group in 0..group_count {
            fleet.add_group(group);
        }
        fleet
    }

    fn add_group(&mut self, group: u32) {
        let instance = format!("host-{group}:9100");
        let labels = LabelSet::new([("job", "node"), ("instance", &instance)]);
        let key = GroupKey(u128::from(group) * 977);
        let id = self.store.group(key, &labels).expect("the group is within limits");
        for column in 0..COLUMNS {
            let name = format!("node_metric_{}_total", column / 10);
            let cpu = format!("{}", column % 10);
            let labels = LabelSet::new([
                ("__name__", name.as_str()),
                ("job", "node"),
                ("instance", &instance),
                ("cpu", &cpu),
                ("mode", "idle"),
            ]);
            self.store.column(id, &labels, ColumnKind::Float).expect("the column is within limits");
        }
        self.groups.push((id, Corpus::new(u64::from(group) + 1), Cells::new(COLUMNS)));
    }

    /// Appends `count` rows to each group.
    pub(crate) fn rows(&mut self, count: u32) {
        for _ in 0..count {
            self.now.wall = self.now.wall.saturating_add(INTERVAL_MS.cast_signed());
            self.now.tick = self.now.tick.after_ms(INTERVAL_MS);
            for group in 0..self.groups.len() {
                self.row(group);
                self.answer();
            }
        }
        self.store.flush(self.now, &mut self.effects);
        self.answer();
    }

    fn row(&mut self, group: usize) {
        let (id, corpus, cells) = &mut self.groups[group];
        corpus.step();
        for (column, value) in corpus.values.iter().enumerate() {
            let is_new = cells.values[column].to_bits() != value.to_bits();
            self.measured.changed += u64::from(is_new);
            cells.set(column, Cell::Present(*value));
        }
        let slot = Slot(self.now.wall.0);
        let timestamp = TimestampMs(self.now.wall.0 + 3);
        let row = Row { group: *id, slot, timestamp, rank: Rank::Owner, cells };
        let start = clock();
        self.store.append(self.now, &row, &mut self.effects).expect("nothing waits");
        let spent = start.elapsed();
        self.measured.append += spent;
        self.measured.worst = self.measured.worst.max(spent);
        self.measured.samples += COLUMNS as u64;
    }

    /// Says that everything is done.
    fn answer(&mut self) {
        while let Some(effect) = self.effects.pop() {
            let event = match effect {
                Effect::Log(write) => {
                    self.measured.log_bytes += write.bytes.len() as u64;
                    Event::LogDurable { position: write.position }
                }
                Effect::LogPrepare(segment) => Event::LogPrepared { segment },
                Effect::LogRetire(_) | Effect::Compact(_) => continue,
                Effect::File(request) => {
                    if let FileOp::Append { bytes, .. } = &request.op {
                        self.measured.file_bytes += bytes.len() as u64;
                    }
                    Event::FileDone { id: request.id, result: Ok(FileAnswer::Done) }
                }
            };
            self.store.on_event(self.now, event, &mut self.effects);
        }
    }
}
