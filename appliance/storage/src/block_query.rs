//! Block query: what query threads ask of one block.
//!
//! Path: query thread → **block_query** → `block` → `tile_read`.
//! Never: reads a file itself.

use model::label_set::LabelSet;
use model::time::TimestampMs;

use crate::block::cache::BlockCache;
use crate::block::reference::BlockRef;
use crate::selection::{LabelRequest, SelectRequest, SelectedSeries};
use crate::tile_read::{DecodeError, TileRead};

impl BlockRef {
    /// Whether it may have samples with `after < timestamp <= until`.
    #[must_use]
    pub fn overlaps(&self, after: TimestampMs, until: TimestampMs) -> bool {
        after.0 < self.summary.max_time_ms && self.summary.min_time_ms <= until.0
    }

    /// Series that fulfil the request, in order of label set; at most `series_max` + 1 of them,
    /// so that the asker sees when there are more than it can bear.
    ///
    /// # Errors
    /// See [`DecodeError`]; the place is in it.
    pub fn select(
        &self,
        _files: &dyn TileRead,
        _cache: &mut BlockCache,
        _request: &SelectRequest,
    ) -> Result<Vec<SelectedSeries>, DecodeError> {
        Ok(Vec::new())
    }

    /// Values of label `name` among the wanted series; sorted.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn label_values(
        &self,
        _files: &dyn TileRead,
        _cache: &mut BlockCache,
        _name: &str,
        _wanted: &LabelRequest,
    ) -> Result<Vec<String>, DecodeError> {
        Ok(Vec::new())
    }

    /// Label names among the wanted series; sorted.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn label_names(
        &self,
        _files: &dyn TileRead,
        _cache: &mut BlockCache,
        _wanted: &LabelRequest,
    ) -> Result<Vec<String>, DecodeError> {
        Ok(Vec::new())
    }

    /// Label sets of the wanted series, at most `series_max` + 1; sorted.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn series(
        &self,
        _files: &dyn TileRead,
        _cache: &mut BlockCache,
        _wanted: &LabelRequest,
        _series_max: usize,
    ) -> Result<Vec<LabelSet>, DecodeError> {
        Ok(Vec::new())
    }
}
