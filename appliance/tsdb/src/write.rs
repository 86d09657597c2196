//! Writing a block: series in order of label set, each with its samples in order of time.

mod appending;
mod symbol_table;
mod chunk_files_write;
mod index_write;
pub mod block_write;
#[cfg(test)]
mod tests;
