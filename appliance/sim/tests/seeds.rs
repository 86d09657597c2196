//! Two hundred seeds, those that once failed first, and one seed twice.

use sim::world::run;

/// Seeds of one `cargo test`.
const SEEDS: u64 = 200;

/// Seeds of `seeds.txt`.
fn once_failed() -> Vec<u64> {
    let lines = include_str!("../seeds.txt").lines().filter(|line| !line.starts_with('#'));
    let seeds = lines.map(|line| {
        let (seed, reason) = line.split_once(' ').expect("a seed and its reason");
        assert!(!reason.is_empty(), "seed {seed} has a reason");
        seed.parse().expect("a seed is a number")
    });
    seeds.collect()
}

/// Runs a seed; the command that replays it stands in the failure.
fn check(seed: u64) {
    let outcome = run(seed, false);
    if let Some(failure) = outcome.failure {
        let (tail, replay) = (outcome.trace.tail(), format!("cargo run -p sim -- --seed {seed}"));
        panic!("seed {seed} failed, replay with {replay}\n{tail}{failure}");
    }
}

#[test]
fn every_seed_holds() {
    let seeds: Vec<u64> = once_failed().into_iter().chain(1..=SEEDS).collect();
    println!("{} seeds; one alone: cargo run -p sim -- --seed N", seeds.len());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for first in 0..threads {
            let own: Vec<u64> = seeds.iter().copied().skip(first).step_by(threads).collect();
            scope.spawn(move || own.into_iter().for_each(check));
        }
    });
}

#[test]
fn one_seed_run_twice_gives_one_trace() {
    for seed in [3, 7, 12, 21] {
        let (one, other) = (run(seed, true), run(seed, true));
        assert!(0 < one.trace.lines());
        assert_eq!(one.trace.full(), other.trace.full(), "seed {seed}");
    }
}

#[test]
fn runs_are_worth_their_time() {
    let outcomes: Vec<_> = (1..=20).map(|seed| run(seed, false)).collect();
    let sum = |count: fn(&sim::world::Outcome) -> u64| outcomes.iter().map(count).sum::<u64>();
    assert!(10 < sum(|outcome| outcome.crashes));
    assert!(100 < sum(|outcome| outcome.compared));
    assert!(2_000 < sum(|outcome| outcome.rows as u64));
}
