//! Random queries: a tree, printed by the product's printer, and the times at which it is asked.

use model::time::TimestampMs;
use query::ast::Expr;
use query::evaluate::{EngineOptions, Query};
use query::parse::options::Options;
use sim::prng::{Prng, mix};

use crate::random::generator::{Edge, Generator, Level, Place, text};
use crate::random::world::{Dialect, INTERVAL_MS, LOOKBACK_MS, SLOTS, START_MS};

/// Deepest tree that is drawn.
const DEPTH_MAX: u64 = 5;
/// Most steps of a range query.
const STEPS_MAX: i64 = 40;

/// A query and when it is asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What is asked.
    pub expr: Expr,
    /// First step.
    pub start_ms: i64,
    /// Last step; of an instant query, the first.
    pub end_ms: i64,
    /// Between the steps; 0 of an instant query.
    pub step_ms: i64,
}

impl Asked {
    /// Query `index` of a seed.
    #[must_use]
    pub fn draw(seed: u64, index: u64, dialect: Dialect) -> Asked {
        let chance = &mut Prng::new(mix(seed).wrapping_add(index), "query");
        let (start_ms, end_ms, step_ms) = times(chance, dialect);
        let depth = u32::try_from(chance.between(1, DEPTH_MAX)).expect("the depth is small");
        let place = Place { depth, level: Level::Close, edge: Edge::Half, subqueries: 0 };
        let roll = chance.below(100);
        let mut generator = Generator { chance, dialect };
        let expr = match roll {
            0 if step_ms == 0 => text("a text"),
            1..=5 if step_ms == 0 => generator.range(place),
            6..=10 => generator.scalar(place),
            _ => generator.vector(place),
        };
        Asked { expr, start_ms, end_ms, step_ms }
    }

    /// The query as the engine takes it, everything experimental switched on.
    #[must_use]
    pub fn query(&self) -> Query {
        Query {
            text: self.expr.to_string(),
            start: TimestampMs(self.start_ms),
            end: TimestampMs(self.end_ms),
            step_ms: self.step_ms,
            lookback_ms: LOOKBACK_MS,
            options: EngineOptions { parse: Options::ALL, ..EngineOptions::default() },
        }
    }
}

fn times(chance: &mut Prng, dialect: Dialect) -> (i64, i64, i64) {
    let length_seconds = (SLOTS * INTERVAL_MS / 1000).unsigned_abs();
    let seconds = i64::try_from(chance.between(30, length_seconds)).expect("worlds are short");
    let half = match dialect {
        Dialect::Shared => 500,
        Dialect::Whole => chance.one_of(&[0, 0, 0, 500, 137]),
    };
    let start_ms = START_MS + seconds * 1000 + half;
    if chance.below(3) == 0 {
        return (start_ms, start_ms, 0);
    }
    let step_ms = chance.one_of(&[1_000, 7_000, 10_000, 15_000, 30_000, 60_000, 120_000]);
    let steps = i64::try_from(chance.below(STEPS_MAX.unsigned_abs())).expect("steps are few");
    (start_ms, start_ms + steps * step_ms, step_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_queries_parse_and_use_the_whole_language() {
        let mut seen = std::collections::BTreeSet::new();
        for dialect in [Dialect::Shared, Dialect::Whole] {
            for index in 0..4_000 {
                let asked = Asked::draw(1, index, dialect);
                let text = asked.expr.to_string();
                let parsed = query::parse::parse(&text, &Options::ALL);
                let parsed = parsed.unwrap_or_else(|error| panic!("{text}: {error}"));
                assert_eq!(parsed.to_string(), text, "printing is stable");
                let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                seen.extend(words.map(str::to_owned));
            }
        }
        let missing: Vec<&str> = query::function::all()
            .iter()
            .map(|function| function.name)
            .filter(|name| !seen.contains(*name) && *name != "start_timestamp")
            .collect();
        assert!(missing.is_empty(), "never drawn: {missing:?}");
    }
}
