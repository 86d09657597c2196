//! Targets that move between shards, over two hundred seeds.

use sim::moves::{Outcome, run};

/// Seeds of one `cargo test`.
const SEEDS: u64 = 200;

#[test]
fn a_target_that_moves_keeps_its_series_and_loses_no_slot() {
    let mut all = Outcome::default();
    for seed in 0..SEEDS {
        match run(seed) {
            Ok(outcome) => {
                all.moved += outcome.moved;
                all.series += outcome.series;
                all.joined += outcome.joined;
            }
            Err(failure) => panic!("sim::moves::run({seed}): {failure}"),
        }
    }
    println!("{all:?}");
    assert!(1_000 < all.moved && 10_000 < all.joined, "targets did move: {all:?}");
}
