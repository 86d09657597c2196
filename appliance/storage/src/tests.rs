//! Tests of the whole crate over a disk in memory.

mod world;

mod fill;

mod crash;

mod limits;

mod pages;

mod retention;

mod invariants;

mod kinds;

mod owners;

mod late;

mod annotations;

mod golden;

mod blocks;
