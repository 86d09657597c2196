//! A second evaluator of PromQL, straight from the definition: the engine's judge in tests.
//!
//! Every step by itself, every window from its samples, histograms as maps of buckets. Slow, and
//! written without a look at the engine: the two share the tree and the values, no arithmetic. What
//! it does not say (ties of `topk`, the sample of `limit_ratio` and the like) is
//! [`Fault::Unknown`](crate::naive::value::Fault).
//!
//! Path: [`evaluator`].
//! Never: part of the product.

pub mod histogram;
pub mod value;

mod join;
mod pointwise;
mod window;

mod fold;

pub mod evaluator;
