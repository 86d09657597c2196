//! Two hundred seeds, those that once failed first, and one seed twice; the same of drills.

use sim::drill;
use sim::drill_plan::MORE_FROM;
use sim::pacing;
use sim::world::run;

/// Seeds of one `cargo test`.
const SEEDS: u64 = 200;

/// Worlds of the controller of one `cargo test`.
const PACED: u64 = 5;

/// Drills of one `cargo test`.
const DRILLS: u64 = 60;

/// Seeds of a file, each of whose lines is a seed and its reason.
fn once_failed(text: &str) -> Vec<u64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let seeds = lines.map(|line| {
        let (seed, reason) = line.split_once(' ').expect("a seed and its reason");
        assert!(!reason.is_empty(), "seed {seed} has a reason");
        seed.parse().expect("a seed is a number")
    });
    seeds.collect()
}

/// Runs every seed, on as many threads as there are processors.
fn each(seeds: &[u64], check: fn(u64)) {
    println!("{} seeds; one alone: cargo run -p sim -- [--drill] --seed N", seeds.len());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for first in 0..threads {
            let own = seeds.iter().copied().skip(first).step_by(threads);
            scope.spawn(move || own.for_each(check));
        }
    });
}

/// Runs a seed; the command that replays it stands in the failure.
fn check(seed: u64) {
    let outcome = run(seed, false);
    if let Some(failure) = outcome.failure {
        let (tail, replay) = (outcome.trace.tail(), format!("cargo run -p sim -- --seed {seed}"));
        panic!("seed {seed} failed, replay with {replay}\n{tail}{failure}");
    }
}

/// The same of a drill.
fn check_drill(seed: u64) {
    let outcome = drill::run(seed, false);
    if let Some(failure) = outcome.failure {
        let replay = format!("cargo run -p sim -- --drill --seed {seed}");
        let tail = outcome.trace.tail();
        panic!("drill {seed} failed, replay with {replay}\n{tail}{failure}");
    }
}

#[test]
fn every_seed_holds() {
    let failed = once_failed(include_str!("../seeds.txt"));
    each(&failed.into_iter().chain(1..=SEEDS).collect::<Vec<_>>(), check);
}

#[test]
fn every_drill_holds() {
    let failed = once_failed(include_str!("../drill_seeds.txt"));
    let more = MORE_FROM..MORE_FROM + DRILLS;
    each(&failed.into_iter().chain(1..=DRILLS).chain(more).collect::<Vec<_>>(), check_drill);
}

/// The same of a paced world.
fn check_pacing(seed: u64) {
    let outcome = pacing::run(seed, false);
    if let Some(failure) = outcome.failure {
        let replay = format!("cargo run -p sim -- --pacing --seed {seed}");
        let (tail, summary) = (outcome.trace.tail(), outcome.summary);
        panic!("pacing {seed} failed, replay with {replay}\n{tail}{summary}\n{failure}");
    }
}

#[test]
fn a_slow_device_is_left_to_commits_and_compaction_goes_on() {
    each(&(1..=PACED).collect::<Vec<_>>(), check_pacing);
}

#[test]
fn drills_meet_every_fault() {
    let mut counts = std::collections::BTreeMap::new();
    for seed in (1..=60).chain(MORE_FROM..MORE_FROM + 40) {
        for (what, count) in drill::run(seed, false).counts {
            *counts.entry(what).or_insert(0) += count;
        }
    }
    let operations = ["log write", "segment", "tile write", "catalog write", "manifest write"];
    let more = ["delete", "job read", "job write", "job sync", "query read"];
    let faults = operations.iter().chain(&more).map(|operation| format!("{operation}, Broken"));
    let rest =
        ["log write, Full", "tile write, Full", "block of level 2", "deletions", "rows late"];
    let more = [
        "pushes",
        "annotations",
        "snapshots of the directory",
        "blocks gone by size",
        "clock set by a year",
    ];
    for what in faults.chain(rest.into_iter().chain(more).map(str::to_owned)) {
        assert!(counts.contains_key(&what), "no {what} in {counts:?}");
    }
    assert!(10_000 < counts["power cuts"], "{counts:?}");
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
