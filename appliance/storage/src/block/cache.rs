//! Cache: pages of blocks that one batch of reading has read, bounded in bytes.
//!
//! Path: query thread → **cache** → `tile_read`.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::block::gather::Gathered;
use crate::block::layout::PageKind;
use crate::block::outline::{Outline, PagePlace};
use crate::block::reader::{Page, Pages};
use crate::block::reference::BlockRef;
use crate::block::samples::{Decoded, ReadScratch};
use crate::tile_read::{DecodeError, TileRead};

/// Bytes of pages that a cache keeps: those of a few thousand series side by side, with the index
/// that led to them.
const CACHE_BYTES_MAX: usize = 16 << 20;

/// Shard, block, kind and index of a page; or number of a time column under the kind of its page.
type Key = (u32, u64, PageKind, u32);

/// Pages that one batch of reading has read; a query thread keeps one.
#[derive(Debug, Default)]
pub struct BlockCache {
    pages: HashMap<Key, Arc<Page>, FixedState>,
    times: HashMap<Key, Arc<[i64]>, FixedState>,
    /// In order of reading, with their bytes.
    order: VecDeque<(Key, usize)>,
    bytes: usize,
    stored: Vec<u8>,
    pub(crate) chunk: Vec<u8>,
    pub(crate) scratch: ReadScratch,
    pub(crate) decoded: Decoded,
    pub(crate) gathered: Gathered,
    reads: u64,
}

impl BlockCache {
    /// Bytes of what it keeps.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Pages read from files so far.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.reads
    }

    pub(crate) fn times(&self, block: &BlockRef, number: u32) -> Option<Arc<[i64]>> {
        let key = (block.shard, block.summary.number, PageKind::TimeTable, number);
        self.times.get(&key).map(Arc::clone)
    }

    pub(crate) fn keep_times(&mut self, block: &BlockRef, number: u32, times: &Arc<[i64]>) {
        let key = (block.shard, block.summary.number, PageKind::TimeTable, number);
        if self.times.insert(key, Arc::clone(times)).is_none() {
            self.keep(key, times.len() * 8);
        }
    }

    /// Counts something that is kept, and lets the oldest go past the bound.
    fn keep(&mut self, key: Key, bytes: usize) {
        self.order.push_back((key, bytes));
        self.bytes += bytes;
        while CACHE_BYTES_MAX < self.bytes && 1 < self.order.len() {
            let Some((oldest, bytes)) = self.order.pop_front() else { break };
            if oldest.2 == PageKind::TimeTable && self.times.remove(&oldest).is_some() {
                self.bytes -= bytes;
                continue;
            }
            self.pages.remove(&oldest);
            self.bytes -= bytes;
        }
    }

    fn read(
        &mut self,
        files: &dyn TileRead,
        block: &BlockRef,
        place: PagePlace,
        kind: PageKind,
    ) -> Result<Page, DecodeError> {
        let file = block.file();
        let PagePlace { offset, bytes } = place;
        self.stored.clear();
        self.stored.resize(bytes as usize, 0);
        self.reads += 1;
        files.read(&file, offset, &mut self.stored).map_err(|cause| DecodeError::Read {
            file,
            offset,
            bytes: bytes as usize,
            cause,
        })?;
        Page::open(block.summary.number, kind, &self.stored)
            .map_err(|reason| DecodeError::Damaged { file, offset, reason })
    }
}

/// Pages of one block by way of a cache.
pub(crate) struct CachedPages<'a> {
    pub(crate) files: &'a dyn TileRead,
    pub(crate) cache: &'a mut BlockCache,
    pub(crate) block: &'a BlockRef,
    outline: Arc<Outline>,
}

impl<'a> CachedPages<'a> {
    /// Pages of `block`; reads its outline if nobody has so far.
    pub(crate) fn new(
        files: &'a dyn TileRead,
        cache: &'a mut BlockCache,
        block: &'a BlockRef,
    ) -> Result<CachedPages<'a>, DecodeError> {
        let outline = block.outline(files)?;
        Ok(CachedPages { files, cache, block, outline })
    }
}

impl Pages for CachedPages<'_> {
    type Error = DecodeError;

    fn outline(&self) -> &Arc<Outline> {
        &self.outline
    }

    fn page(&mut self, kind: PageKind, index: usize) -> Result<Arc<Page>, DecodeError> {
        let Some(place) = self.outline.pages_of(kind).get(index).copied() else {
            return Err(self.damaged(kind, index, "a page is missing"));
        };
        let short = u32::try_from(index).unwrap_or(u32::MAX);
        // A page of the time table goes by a number that no time column has.
        let short = if kind == PageKind::TimeTable { !short } else { short };
        let key = (self.block.shard, self.block.summary.number, kind, short);
        if let Some(page) = self.cache.pages.get(&key) {
            return Ok(Arc::clone(page));
        }
        let page = Arc::new(self.cache.read(self.files, self.block, place, kind)?);
        self.cache.pages.insert(key, Arc::clone(&page));
        self.cache.keep(key, page.heap_bytes());
        Ok(page)
    }

    fn damaged(&self, kind: PageKind, index: usize, reason: &'static str) -> DecodeError {
        let place = self.outline.pages_of(kind).get(index).copied().unwrap_or_default();
        DecodeError::Damaged { file: self.block.file(), offset: place.offset, reason }
    }
}
