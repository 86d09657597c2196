//! Chunk: a run of samples of one series in the encodings of Prometheus and Thanos.

pub mod encoding;
mod start;
mod xor;
mod joint;
pub(crate) mod layout;
pub(crate) mod histogram;
pub mod aggregate;
pub mod decode;
mod xor_write;
mod layout_write;
mod histogram_write;
pub mod build;
#[cfg(test)]
pub(crate) mod samples_of_tests;
#[cfg(test)]
mod tests;
