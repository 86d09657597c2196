//! Pages: the pages of one input block that a job has been fed.
//!
//! Path: `merge` → **pages** → `read`.
//! Bound: its share of the job's budget, and what one series needs.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::block::gather::Gathered;
use crate::block::layout::PageKind;
use crate::block::outline::Outline;
use crate::block::reader::{Page, Pages};
use crate::block::samples::{Decoded, ReadScratch};
use crate::block::series::ChunkPlace;
use crate::block::{reader, samples};
use crate::compact::read::{Fault, Stop, Want};
use crate::names::FileName;

/// Time columns that are kept decoded.
const TIMES_MAX: usize = 4096;

/// Pages of one block by what was fed.
#[derive(Debug)]
pub(crate) struct FedPages {
    number: u64,
    outline: Arc<Outline>,
    pages: HashMap<(PageKind, usize), Arc<Page>, FixedState>,
    /// In order of feeding, with their bytes and the turn they came in.
    order: VecDeque<((PageKind, usize), usize, u64)>,
    bytes: usize,
    bytes_max: usize,
    turn: u64,
    times: HashMap<u32, Arc<[i64]>, FixedState>,
    wanted: Option<(PageKind, usize)>,
    chunk: Vec<u8>,
    scratch: ReadScratch,
    decoded: Decoded,
}

impl FedPages {
    pub(crate) fn new(number: u64, outline: Outline, bytes_max: usize) -> FedPages {
        FedPages {
            number,
            outline: Arc::new(outline),
            pages: HashMap::default(),
            order: VecDeque::new(),
            bytes: 0,
            bytes_max,
            turn: 0,
            times: HashMap::default(),
            wanted: None,
            chunk: Vec::new(),
            scratch: ReadScratch::default(),
            decoded: Decoded::default(),
        }
    }

    /// A series is done: what only it needed may go.
    pub(crate) fn next_turn(&mut self) {
        self.turn += 1;
        while self.bytes_max < self.bytes {
            let Some((key, bytes, turn)) = self.order.front().copied() else { break };
            if turn == self.turn {
                break;
            }
            self.order.pop_front();
            self.pages.remove(&key);
            self.bytes -= bytes;
        }
    }

    /// Takes the page that was wanted last.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let Some((kind, index)) = self.wanted.take() else { return Ok(()) };
        let page = Page::open(self.number, kind, bytes)
            .map_err(|reason| self.damaged(kind, index, reason))?;
        self.bytes += page.heap_bytes();
        self.order.push_back(((kind, index), page.heap_bytes(), self.turn));
        self.pages.insert((kind, index), Arc::new(page));
        Ok(())
    }

    /// Adds the samples of a chunk to `gathered`.
    pub(crate) fn gather(
        &mut self,
        place: &ChunkPlace,
        gathered: &mut Gathered,
    ) -> Result<(), Stop> {
        let entry = reader::time_entry(self, place.time)?;
        let times = match self.times.get(&place.time) {
            Some(times) => Arc::clone(times),
            None => {
                let mut offsets = std::mem::take(&mut self.scratch.offsets);
                let times = reader::times(self, &entry, &mut offsets);
                self.scratch.offsets = offsets;
                let times = times?;
                if TIMES_MAX <= self.times.len() {
                    self.times.clear();
                }
                self.times.insert(place.time, Arc::clone(&times));
                times
            }
        };
        let mut chunk = std::mem::take(&mut self.chunk);
        let found = reader::chunk(self, place, &mut chunk);
        self.chunk = chunk;
        found?;
        let (scratch, decoded) = (&mut self.scratch, &mut self.decoded);
        samples::read(place.tag, times.len(), &self.chunk, scratch, decoded)
            .map_err(|reason| self.damaged(PageKind::Values, place.page as usize, reason))?;
        samples::add(&times, &self.decoded, entry.origin, gathered);
        Ok(())
    }
}

impl Pages for FedPages {
    type Error = Stop;

    fn outline(&self) -> &Arc<Outline> {
        &self.outline
    }

    fn page(&mut self, kind: PageKind, index: usize) -> Result<Arc<Page>, Stop> {
        if let Some(page) = self.pages.get(&(kind, index)) {
            return Ok(Arc::clone(page));
        }
        let Some(place) = self.outline.pages_of(kind).get(index) else {
            return Err(self.damaged(kind, index, "a page is missing"));
        };
        let file = FileName::Block(self.number);
        self.wanted = Some((kind, index));
        Err(Stop::Want(Want { file, offset: place.offset, bytes: place.bytes as usize }))
    }

    fn damaged(&self, kind: PageKind, index: usize, reason: &'static str) -> Stop {
        let place = self.outline.pages_of(kind).get(index).copied().unwrap_or_default();
        Stop::Fault(Fault { file: FileName::Block(self.number), offset: place.offset, reason })
    }
}
