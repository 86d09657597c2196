//! Chance: random data, random queries over them, and how a failing pair is made small.
//!
//! Everything is a function of a seed. Used by the naive evaluator's test and by `bench`, which
//! asks another server the same.
//!
//! Path: [`world`] → [`query`] →
//! [`shrink`].

mod histograms;

pub mod world;

mod generator;

mod leaf;

mod aggregate;
mod binary;
mod call;

pub mod query;

pub mod shrink;
