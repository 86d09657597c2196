//! Network: targets whose answers are pure functions of (seed, target, time).
//!
//! A target has a fixed manner; most have spells in which something is wrong. What it would answer
//! is known as a list of samples too, from which the oracle works, so that the scraper's reading of
//! the text is checked against something that never saw the text.

use std::fmt::Write;
use std::sync::Arc;

use model::label_set::LabelSet;
use model::time::NANOS_PER_MS;
use scrape::fetch::FetchFault;
use scrape::job::{JobOptions, target};
use scrape::target::TargetSpec;

use crate::prng::mix;

/// Milliseconds that a spell lasts.
const SPELL_MS: i64 = 20_000;
/// Milliseconds after which a restless target replaces its series.
const RESTLESS_MS: i64 = 3_000;
const QUICK_MS: [u64; 5] = [1_000, 1_000, 2_000, 5_000, 15_000];
const SLOW_MS: [u64; 5] = [15_000, 15_000, 20_000, 30_000, 60_000];

/// How a target's series come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Always the same series.
    Steady,
    /// Some series are replaced by others in each spell.
    Churning,
    /// The order of the lines changes with each scrape.
    Shuffled,
    /// Some series carry timestamps of their own.
    Timed,
    /// A series occurs twice, with other values.
    Doubled,
}

const MANNERS: [Manner; 5] =
    [Manner::Steady, Manner::Churning, Manner::Shuffled, Manner::Timed, Manner::Doubled];

/// What is wrong with a target at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spell {
    /// Nothing.
    Healthy,
    /// Connections are refused.
    Refused,
    /// The answer comes after the deadline.
    Slow,
    /// The connection ends within the body.
    Cut,
    /// The body is no exposition.
    Garbage,
    /// Status 503.
    Failing,
    /// The body is empty.
    Empty,
}

const SPELLS: [Spell; 16] = [
    Spell::Healthy,
    Spell::Healthy,
    Spell::Healthy,
    Spell::Healthy,
    Spell::Healthy,
    Spell::Healthy,
    Spell::Healthy,
    Spell::Healthy,
    Spell::Healthy,
    Spell::Healthy,
    Spell::Refused,
    Spell::Slow,
    Spell::Cut,
    Spell::Garbage,
    Spell::Failing,
    Spell::Empty,
];

/// One exposed sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Exposed {
    /// Metric name and labels, without those of the target.
    pub labels: LabelSet,
    /// Value.
    pub value: f64,
    /// Timestamp of its own.
    pub timestamp_ms: Option<i64>,
}

/// What a fetch of a target at a time gives.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status and body, or the fault.
    pub outcome: Result<(u16, Vec<u8>), FetchFault>,
    /// The samples of a good response, in order of the body; `None` when the scrape must fail.
    pub exposed: Option<Vec<Exposed>>,
    /// How long it takes.
    pub nanos: u64,
}

/// One target of the simulated network.
#[derive(Clone, Debug)]
pub struct Place {
    /// Number of the target, over all shards.
    pub number: u64,
    /// Its specification.
    pub spec: Arc<TargetSpec>,
    /// Its manner.
    pub manner: Manner,
    series: u64,
    seed: u64,
    troubled: bool,
}

impl Place {
    /// Target `number` of `seed`; with `troubled` false it is always healthy, with `slow` it is
    /// scraped seldom.
    ///
    /// # Panics
    /// Never: the labels made here are those of a target.
    #[must_use]
    pub fn new(seed: u64, number: u64, troubled: bool, slow: bool) -> Place {
        let seed = mix(seed ^ mix(number));
        let intervals_ms = if slow { SLOW_MS } else { QUICK_MS };
        let interval_ms = intervals_ms[index(seed % 5)];
        let mut job = JobOptions::new("sim", interval_ms, interval_ms * 4 / 5);
        job.track_timestamps_staleness = false;
        let address = format!("target-{number}:9100");
        let found = LabelSet::new([("__address__", address.as_str())]);
        let spec = target(&job, &found).expect("a good target").expect("no rule drops it");
        Place {
            number,
            spec: Arc::new(spec),
            manner: MANNERS[index(mix(seed ^ 1) % 5)],
            series: 1 + mix(seed ^ 2) % 40,
            seed,
            troubled,
        }
    }

    /// What is wrong at `wall_ms`.
    #[must_use]
    pub fn spell(&self, wall_ms: i64) -> Spell {
        if !self.troubled {
            return Spell::Healthy;
        }
        SPELLS[index(self.chance(3, wall_ms.div_euclid(SPELL_MS)) % 16)]
    }

    /// What a fetch that begins at `wall_ms` gives.
    #[must_use]
    pub fn fetch(&self, wall_ms: i64) -> Response {
        let chance = self.chance(4, wall_ms);
        let timeout_nanos = self.spec.timeout_ms * NANOS_PER_MS;
        let fault = |fault, nanos| Response { outcome: Err(fault), exposed: None, nanos };
        let quick = 200_000 + chance % (50 * NANOS_PER_MS);
        let exposed = self.exposed(wall_ms);
        let body = render(&exposed);
        match self.spell(wall_ms) {
            Spell::Healthy => {
                Response { outcome: Ok((200, body)), exposed: Some(exposed), nanos: quick }
            }
            Spell::Refused => fault(
                FetchFault::Connect("10.0.0.1:80: connect: connection refused".to_owned()),
                100_000,
            ),
            Spell::Slow => fault(FetchFault::Deadline, timeout_nanos),
            Spell::Cut => fault(FetchFault::Closed, quick),
            Spell::Garbage => {
                let mut bytes = body;
                bytes.extend_from_slice(b"{{{ \xff not an exposition\n");
                Response { outcome: Ok((200, bytes)), exposed: None, nanos: quick }
            }
            Spell::Failing => {
                Response { outcome: Ok((503, b"later\n".to_vec())), exposed: None, nanos: quick }
            }
            Spell::Empty => {
                Response { outcome: Ok((200, Vec::new())), exposed: Some(Vec::new()), nanos: quick }
            }
        }
    }

    fn exposed(&self, wall_ms: i64) -> Vec<Exposed> {
        // Half of the targets that churn replace every series every few seconds.
        let restless = self.seed.is_multiple_of(2);
        let spell = wall_ms.div_euclid(if restless { RESTLESS_MS } else { SPELL_MS });
        let mut samples: Vec<Exposed> = Vec::new();
        for series in 0..self.series {
            let churns = self.manner == Manner::Churning && (restless || series % 3 == 0);
            let generation = if churns { spell } else { 0 };
            let text = format!("{}", self.chance(series, generation) % 1_000_000);
            let name = if series % 2 == 0 { "sim_requests_total" } else { "sim_level" };
            let number = series.to_string();
            let labels =
                LabelSet::new([("__name__", name), ("series", number.as_str()), ("id", &text)]);
            let timed = self.manner == Manner::Timed && series % 4 == 1;
            let timestamp_ms = timed.then(|| wall_ms - wall_ms.rem_euclid(3_000) - 40);
            let at = timestamp_ms.unwrap_or(wall_ms);
            samples.push(Exposed { labels, value: self.value(series, at), timestamp_ms });
        }
        if self.manner == Manner::Doubled {
            let mut again = samples[0].clone();
            again.value += 1.0;
            samples.push(again);
        }
        if self.manner == Manner::Shuffled {
            let by = index(self.chance(5, wall_ms) % self.series);
            samples.rotate_left(by);
        }
        samples
    }

    /// Values of the kinds that exporters have: counters, levels with decimals, constants, NaN.
    fn value(&self, series: u64, wall_ms: i64) -> f64 {
        let chance = self.chance(series + 100, wall_ms);
        let steps = wall_ms.div_euclid(1_000);
        match series % 8 {
            0 | 2 => whole(u64::try_from(steps).unwrap_or(0) * (series + 1)),
            1 => whole(chance % 10_000) / 100.0,
            3 => whole(self.seed % 100),
            4 => f64::from_bits(chance % 0x7ff0_0000_0000_0000),
            5 if chance.is_multiple_of(4) => f64::NAN,
            6 if chance.is_multiple_of(8) => f64::INFINITY,
            7 => -whole(chance % 1_000_000),
            _ => whole(chance % 50),
        }
    }

    fn chance(&self, what: u64, when: i64) -> u64 {
        mix(self.seed ^ mix(what) ^ mix(when.cast_unsigned()).rotate_left(17))
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("an index fits")
}

#[expect(clippy::cast_precision_loss, reason = "the numbers are small")]
fn whole(number: u64) -> f64 {
    number as f64
}

fn render(samples: &[Exposed]) -> Vec<u8> {
    let mut text = String::from("# TYPE sim_requests_total counter\n");
    for sample in samples {
        text.push_str(sample.labels.metric_name());
        let mut comma = '{';
        for (name, value) in sample.labels.iter().filter(|(name, _)| *name != "__name__") {
            let _ = write!(text, "{comma}{name}=\"{value}\"");
            comma = ',';
        }
        let value = sample.value;
        if value.is_nan() {
            text.push_str("} NaN");
        } else if value.is_infinite() {
            text.push_str(if value < 0.0 { "} -Inf" } else { "} +Inf" });
        } else {
            let _ = write!(text, "}} {value:e}");
        }
        if let Some(timestamp) = sample.timestamp_ms {
            let _ = write!(text, " {timestamp}");
        }
        text.push('\n');
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_depend_on_nothing_but_seed_target_and_time() {
        for number in 0..20 {
            let place = || Place::new(7, number, true, false);
            let (one, other) = (place(), place());
            for wall_ms in [0, 1_000, 1_700_000_000_123] {
                let bytes = |place: &Place| place.fetch(wall_ms).outcome.ok();
                assert_eq!(bytes(&one), bytes(&other));
            }
        }
    }

    #[test]
    fn every_spell_and_manner_occurs() {
        let places: Vec<Place> = (0..60).map(|number| Place::new(1, number, true, false)).collect();
        for manner in MANNERS {
            assert!(places.iter().any(|place| place.manner == manner), "{manner:?}");
        }
        for spell in SPELLS {
            let mut times = (0..100).map(|at| at * SPELL_MS);
            assert!(times.any(|at| places.iter().any(|p| p.spell(at) == spell)), "{spell:?}");
        }
    }
}
