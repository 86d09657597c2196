//! Tests of the whole crate over a disk in memory.

mod crash;

mod limits;

mod world;
