//! The same bits whatever the number of threads, and whatever becomes of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::label_set::LabelSet;
use model::samples::Samples;
use model::time::TimestampMs;
use query::crew::{Alone, Crew, Task};
use query::evaluate::{EngineOptions, LOOKBACK_MS_DEFAULT, Query, QueryError, Unbounded, evaluate};
use query::memory::MemoryPool;
use query::parse::options::Options;
use query::source::{Column, LabelQuery, Selection, Series, Source, SourceError};
use query::value::{Point, Value};

const QUERIES: &[&str] = &[
    "m_total",
    "sum(m_total)",
    "sum by (job) (rate(m_total[5m]))",
    "avg by (zone) (rate(m_total[5m]) * 3)",
    "stddev(avg_over_time(m_total[3m]))",
    "min by (job) (-m_total)",
    "count(m_total > 500)",
    "topk(3, rate(m_total[5m]))",
    "bottomk by (job) (2, m_total)",
    "quantile by (zone) (0.7, m_total)",
    "limitk(5, m_total)",
    "limit_ratio(0.3, m_total)",
    "count_values(\"v\", round(m_total, 1000))",
    "histogram_quantile(0.9, sum by (le) (rate(h_bucket[5m])))",
    "m_total / on (id) group_left sum by (id) (m_total)",
    "sum(max_over_time(rate(m_total[2m])[5m:30s]))",
    "sum(rate(gauge[5m]))",
    "scalar(sum(m_total)) + m_total",
    "absent_over_time(m_total[1m])",
    "sum(timestamp(m_total))",
];

struct Stored {
    seed: i64,
}

impl Column for Stored {
    fn decode(
        &self,
        after: TimestampMs,
        until: TimestampMs,
        samples: &mut Samples,
    ) -> Result<(), SourceError> {
        let mut total = 0.0;
        for at in 0..160 {
            let time = at * 15_000 + self.seed * 37 % 15_000;
            let mixed = (at * 7_919 + self.seed * 104_729).wrapping_mul(0x5851_f42d_4c95_7f2d);
            let step = f64::from(u32::try_from(mixed >> 40 & 0xffff).expect("16 bits"));
            total = if step < 700.0 { 0.1 } else { total + step / 7.0 };
            if after.0 < time && time <= until.0 {
                samples.push(TimestampMs(time), total);
            }
        }
        Ok(())
    }
}

struct Store(Vec<Series>);

impl Store {
    fn new() -> Store {
        let series = (0..1_100).map(|seed: i64| {
            let (name, le) = match seed % 11 {
                0 => ("h_bucket", ["0.1", "1", "+Inf"][usize::try_from(seed % 3).expect("small")]),
                1 => ("gauge", ""),
                _ => ("m_total", ""),
            };
            let (id, zone) = (seed.to_string(), (seed % 17).to_string());
            let job = ["a", "b"][usize::try_from(seed % 2).expect("small")];
            let labels =
                [("__name__", name), ("id", &id), ("zone", &zone), ("job", job), ("le", le)];
            Series { labels: LabelSet::new(labels), column: Arc::new(Stored { seed }) }
        });
        Store(series.collect())
    }
}

impl Source for Store {
    fn select(&self, selection: &Selection) -> Result<Vec<Series>, SourceError> {
        let matches = |series: &&Series| {
            selection.matchers.iter().all(|matcher| matcher.matches_labels(&series.labels))
        };
        Ok(self.0.iter().filter(matches).cloned().collect())
    }

    fn label_values(&self, _: &str, _: &LabelQuery) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }

    fn label_names(&self, _: &LabelQuery) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }
}

/// What becomes of a task.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// A thread of its own does it.
    Thread,
    /// It is done at once.
    Now,
    /// Every second is done by a thread, the others are lost.
    HalfLost,
}

#[derive(Debug)]
struct Threads {
    width: usize,
    fate: Fate,
    offered: AtomicUsize,
}

impl Crew for Threads {
    fn width(&self) -> usize {
        self.width
    }

    fn offer(&self, task: Task) -> Result<(), Task> {
        let number = self.offered.fetch_add(1, Ordering::Relaxed);
        match self.fate {
            // Refused now and then, as by a busy machine.
            Fate::Thread if number % 5 == 4 => return Err(task),
            Fate::HalfLost if number % 2 == 1 => drop(task),
            Fate::Thread | Fate::HalfLost => drop(std::thread::spawn(task)),
            Fate::Now => task(),
        }
        Ok(())
    }
}

fn ask(
    store: &Store,
    text: &str,
    step_ms: i64,
    options: EngineOptions,
) -> Result<Vec<(String, i64, u64)>, QueryError> {
    let start = if step_ms == 0 { 2_000_000 } else { 400_000 };
    let query = Query {
        text: text.to_owned(),
        start: TimestampMs(start),
        end: TimestampMs(2_000_000),
        step_ms,
        lookback_ms: LOOKBACK_MS_DEFAULT,
        options: EngineOptions { parse: Options::ALL, ..options },
    };
    let answer = evaluate(&query, store, &Unbounded)?;
    let mut bits = vec![
        (format!("{:?}", answer.stats), 0, 0),
        (format!("{:?} {:?}", answer.warnings, answer.infos), 0, 0),
    ];
    match answer.value {
        Value::Vector(samples) => bits.extend(samples.iter().map(|sample| {
            let Point::Float(value) = sample.value else { panic!("no histograms are stored") };
            (sample.labels.to_string(), sample.timestamp.0, value.to_bits())
        })),
        Value::Matrix(series) => {
            for one in series {
                let label = one.labels.to_string();
                let points = one.points.floats.iter();
                bits.extend(points.map(|(time, v)| (label.clone(), time.0, v.to_bits())));
            }
        }
        Value::Scalar(..) | Value::String(..) => panic!("vectors are asked for"),
    }
    Ok(bits)
}

fn with(width: usize, fate: Fate) -> EngineOptions {
    let crew = Threads { width, fate, offered: AtomicUsize::new(0) };
    EngineOptions { crew: Arc::new(crew), per_step_stats: true, ..EngineOptions::default() }
}

#[test]
fn f2_threads_do_not_show_in_the_bits() {
    let store = Store::new();
    for text in QUERIES {
        for step_ms in [0, 10_000] {
            let alone = EngineOptions { crew: Arc::new(Alone), ..with(1, Fate::Now) };
            let alone = ask(&store, text, step_ms, alone).expect(text);
            let several = [1, 2, 3, 7, 40].map(|width| with(width, Fate::Thread));
            let odd = [with(4, Fate::Now), with(3, Fate::HalfLost)];
            for options in several.into_iter().chain(odd) {
                let crew = format!("{:?}", options.crew);
                let answer = ask(&store, text, step_ms, options).expect(text);
                assert!(answer == alone, "{text} step {step_ms} with {crew}");
            }
        }
    }
}

#[test]
fn as_many_threads_help_as_there_are() {
    let store = Store::new();
    for width in [2, 8, 40] {
        let crew = Arc::new(Threads { width, fate: Fate::Now, offered: AtomicUsize::new(0) });
        let options =
            EngineOptions { crew: Arc::clone(&crew) as Arc<dyn Crew>, ..with(1, Fate::Now) };
        ask(&store, "sum(rate(m_total[5m]))", 10_000, options).expect("an answer");
        assert!(4 < crew.offered.load(Ordering::Relaxed), "{width} threads");
    }
}

#[test]
fn threads_do_not_show_in_what_fails() {
    let store = Store::new();
    for text in QUERIES {
        for memory_bytes_max in [200_000, 400_000, 1_000_000, 3_000_000] {
            let outcome = |options: EngineOptions| {
                let options = EngineOptions { memory_bytes_max, ..options };
                ask(&store, text, 10_000, options).map_err(|error| error.to_string())
            };
            let alone = outcome(with(1, Fate::Now));
            let several = outcome(with(7, Fate::Thread));
            assert!(several == alone, "{text} with {memory_bytes_max} bytes");
        }
    }
}

#[test]
fn threads_take_memory_of_what_queries_share() {
    let store = Store::new();
    // Enough for one query, but not for batches beside it.
    let memory = Arc::new(MemoryPool::new(16 << 20));
    let options = EngineOptions { memory: Arc::clone(&memory), ..with(7, Fate::Thread) };
    let alone = ask(&store, "sum(m_total)", 10_000, with(1, Fate::Now));
    let several = ask(&store, "sum(m_total)", 10_000, options.clone());
    assert_eq!(several.expect("an answer"), alone.expect("an answer"));
    assert_eq!(memory.refusals(), 1);
    let small = EngineOptions { memory: Arc::new(MemoryPool::new(1 << 20)), ..options };
    let refused = ask(&store, "m_total", 10_000, small).map_err(|error| error.to_string());
    let text = "queries together need more than 1048576 bytes of memory in query execution";
    assert!(refused.is_err_and(|error| error.starts_with(text)));
    assert_eq!(memory.taken(), 0);
}
