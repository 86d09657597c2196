//! Cost of a row up to the log and the open tile, nothing sealed: nanoseconds and bytes a sample.
//!
//! `cargo bench -p bench --bench wal_row`

#[path = "rows/corpus.rs"]
mod corpus;

#[path = "rows/fleet.rs"]
mod fleet;

use fleet::Fleet;

/// Below the rows at which the first tile of a group is sealed.
const ROWS: u32 = 60;

fn main() {
    for groups in [1, 20, 200] {
        let mut fleet = Fleet::new(groups);
        // The first row defines and is written in full.
        fleet.rows(1);
        fleet.measured = fleet::Measured::default();
        fleet.rows(ROWS);
        let measured = &fleet.measured;
        println!(
            "{groups:3} groups of 500: {:.2} ns a sample, log {:.3} B a sample, {:.1} % changed",
            measured.nanos(),
            measured.per_sample(measured.log_bytes as f64),
            100.0 * measured.per_sample(measured.changed as f64),
        );
    }
}
