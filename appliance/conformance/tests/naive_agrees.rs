//! The engine and the naive evaluator agree on random queries over random data of all of version 3.
//!
//! `CRESSET_NAIVE_QUERIES` and `CRESSET_NAIVE_SEED` ask more of it; the seed is printed.

use conformance::answers::{Answer, Tolerance};
use conformance::naive::evaluator::answer;
use conformance::naive::value::Fault;
use conformance::random::query::Asked;
use conformance::random::shrink::{shrink_query, shrink_world};
use conformance::random::world::{Dialect, World};
use query::evaluate::{QueryError, Unbounded, evaluate};

const WORLD_QUERIES: u64 = 50;
const TOLERANCE: Tolerance = Tolerance { relative: 1e-9, absolute: 1e-9 };
/// Differences that are shown.
const DIFFERENCES_MAX: usize = 5;

/// `None` where the naive evaluator does not say.
fn judge(asked: &Asked, world: &World) -> Option<Result<(), String>> {
    let expected = answer(asked, world);
    let found = evaluate(&asked.query(), world, &Unbounded);
    // The engine evaluates a subquery at the steps between its windows too.
    let has_gaps = asked.expr.to_string().contains(':') && asked.step_ms != 0;
    Some(match (expected, found) {
        (Err(Fault::Unknown), _) => return None,
        (Err(Fault::Execution), Err(QueryError::Execution(_))) => Ok(()),
        (Ok(_), Err(QueryError::Execution(_))) if has_gaps => return None,
        (Ok(_), Err(error)) => Err(format!("expected an answer, got the error {error}")),
        (Err(_), found) => Err(format!("expected an error, got {found:?}")),
        (Ok(expected), Ok(found)) => {
            Answer::of(found.value).and_then(|found| expected.compare(&found, TOLERANCE))
        }
    })
}

fn smallest(asked: &Asked, world: &World) -> String {
    let differs = |asked: &Asked, world: &World| judge(asked, world).is_some_and(|v| v.is_err());
    let asked = shrink_query(asked, |asked| differs(asked, world));
    let world = shrink_world(world, |world| differs(&asked, world));
    let reason = judge(&asked, &world).and_then(Result::err).unwrap_or_default();
    let (start, end, step) = (asked.start_ms, asked.end_ms, asked.step_ms);
    format!("{}\nstart {start} end {end} step {step}\n{reason}\n{}", asked.expr, world.text())
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[test]
fn random_queries_answer_as_the_definition_says() {
    let (queries, seed) = (number("CRESSET_NAIVE_QUERIES", 1_500), number("CRESSET_NAIVE_SEED", 1));
    println!("seed {seed}, {queries} queries");
    let (mut judged, mut faults) = (0, Vec::new());
    let mut world = World::default();
    for index in 0..queries {
        if index % WORLD_QUERIES == 0 {
            let world_seed = seed.wrapping_mul(1_000_003).wrapping_add(index / WORLD_QUERIES);
            world = World::new(world_seed, Dialect::Whole);
        }
        let asked = Asked::draw(seed, index, Dialect::Whole);
        match judge(&asked, &world) {
            None => continue,
            Some(Ok(())) => {}
            Some(Err(_)) => {
                faults.push(format!("query {index}: {}\n{}", asked.expr, smallest(&asked, &world)));
            }
        }
        judged += 1;
        if DIFFERENCES_MAX <= faults.len() {
            break;
        }
    }
    println!("{judged} of {queries} judged, {} differ", faults.len());
    assert!(faults.is_empty(), "seed {seed}:\n{}", faults.join("\n\n"));
    assert!(queries * 3 / 4 < judged, "the naive evaluator says too little");
}
