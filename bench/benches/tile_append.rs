//! Cost of rows up to the tile file, and the memory that the series take meanwhile.
//!
//! `cargo bench -p bench --bench tile_append`

#[path = "rows/corpus.rs"]
mod corpus;

#[path = "rows/fleet.rs"]
mod fleet;

use fleet::Fleet;

const GROUPS: u32 = 40;

fn main() {
    let mut fleet = Fleet::new(GROUPS);
    fleet.rows(1);
    fleet.measured = fleet::Measured::default();
    for part in 1..=4 {
        fleet.rows(100);
        let measured = &fleet.measured;
        let memory = fleet.store.memory();
        let series = fleet.store.stats(0).series;
        println!(
            "{:3} rows: {:.2} ns a sample, worst row {} us; log {:.3}, files {:.3} B a sample",
            part * 100,
            measured.nanos(),
            measured.worst.as_micros(),
            measured.per_sample(measured.log_bytes as f64),
            measured.per_sample(measured.file_bytes as f64),
        );
        println!("          memory {} B a series: {memory:?}", memory.total() / series);
    }
}
