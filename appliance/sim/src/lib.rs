//! Simulation: production shards under a seed, with virtual clock, disk and network.
//!
//! Path: `plan` and `prng` decide → `world` runs `node`s, `checks` watch → `oracle` says what must
//! be found. `drill` runs one store and cuts its power at every effect; `ledger` is its oracle.
//! `pacing` runs the controller of compaction and commits on a device that becomes slow.
//! Never: reads a real clock, a real file or chance from outside: a seed is a whole run.

#![forbid(unsafe_code)]

pub mod prng;
pub mod trace;
pub mod disk;
pub mod operation;
pub mod network;
pub mod oracle;
pub mod plan;
pub mod node;
pub mod checks;
pub mod world;
pub mod pacing;
pub mod moves;
pub mod ledger;
pub mod contents;
pub mod drill_plan;
pub mod drill_rows;
pub mod drill_pushes;
pub mod drill_notes;
pub mod drill_copy;
pub mod drill;
