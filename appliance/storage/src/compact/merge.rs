//! Merge: makes a block of smaller blocks, series by series.
//!
//! Path: `job` → **merge** → `sink`.
//! Order: of each input trailer, outline and symbols; then the series of all of them side by side.
//! Format: docs/format/block.md, version 1.

use std::collections::VecDeque;

use crate::block::gather::Gathered;
use crate::block::layout::{PageKind, TRAILER_BYTES};
use crate::block::outline::{Outline, PagePlace, read_trailer};
use crate::block::page;
use crate::block::reader::{self, Page, Pages};
use crate::block::series::{Record, TAG_AGGREGATE};
use crate::compact::downsample::{self, Aggregates, gathered_of};
use crate::compact::pages::FedPages;
use crate::compact::read::{Fault, Seen, Stop, Want};
use crate::compact::sink::Sink;
use crate::compact::symbol_table::SymbolTable;
use crate::compaction::{BlockSummary, CompactionPlan, Resolution};
use crate::names::FileName;

/// Least share of the budget of one input: a few pages of every kind.
const SHARE_BYTES_MIN: usize = 1 << 20;

/// One input.
#[derive(Debug)]
struct Input {
    summary: BlockSummary,
    /// Where its outline lies, once the trailer is read.
    outline: Option<PagePlace>,
    pages: Option<FedPages>,
    /// Page of symbols that is read next, then of series.
    symbol_page: usize,
    series_page: usize,
    /// Sorted number of each of its symbols.
    ranks: Vec<u32>,
    /// Series of the page under way, their labels by sorted number.
    records: VecDeque<Record>,
}

/// The making of one block.
#[derive(Debug)]
pub(crate) struct MergeJob {
    inputs: Vec<Input>,
    /// Input that what was wanted last is for.
    wanting: usize,
    symbols: SymbolTable,
    share_bytes: usize,
    /// Resolution of the inputs, and of what is made of them.
    from: Resolution,
    resolution: Resolution,
    gathered: Gathered,
    aggregates: Aggregates,
}

impl MergeJob {
    pub(crate) fn new(plan: &CompactionPlan, inputs: &[BlockSummary]) -> MergeJob {
        let budget = usize::try_from(plan.memory_bytes_max).unwrap_or(usize::MAX);
        let input = |summary: &BlockSummary| Input {
            summary: *summary,
            outline: None,
            pages: None,
            symbol_page: 0,
            series_page: 0,
            ranks: Vec::new(),
            records: VecDeque::new(),
        };
        MergeJob {
            inputs: inputs.iter().map(input).collect(),
            wanting: 0,
            symbols: SymbolTable::default(),
            share_bytes: (budget / inputs.len().max(1)).max(SHARE_BYTES_MIN),
            from: inputs.first().map_or(Resolution::Raw, |input| input.resolution),
            resolution: plan.resolution,
            gathered: Gathered::default(),
            aggregates: Aggregates::default(),
        }
    }

    /// Goes on until bytes are wanted, a series was written (`true`), or all are (`false`).
    pub(crate) fn advance(
        &mut self,
        plan: &CompactionPlan,
        sink: &mut Option<Sink>,
        seen: &mut Seen,
    ) -> Result<bool, Stop> {
        for at in 0..self.inputs.len() {
            self.wanting = at;
            self.inputs[at].open(&mut self.symbols)?;
        }
        let sink = match sink {
            Some(sink) => sink,
            None => {
                let ranks = self.symbols.sort();
                for input in &mut self.inputs {
                    input.ranks.iter_mut().for_each(|rank| *rank = ranks[*rank as usize]);
                }
                sink.insert(Sink::new(plan, std::mem::take(&mut self.symbols)))
            }
        };
        for at in 0..self.inputs.len() {
            self.wanting = at;
            self.inputs[at].fill()?;
        }
        let heads = self.inputs.iter().filter_map(|input| input.records.front());
        let Some(labels) = heads.map(|record| &record.labels).min().cloned() else {
            return Ok(false);
        };
        self.series(&labels, sink, seen)?;
        for input in &mut self.inputs {
            if input.records.front().is_some_and(|record| record.labels == labels) {
                input.records.pop_front();
                if let Some(pages) = &mut input.pages {
                    pages.next_turn();
                }
            }
        }
        Ok(true)
    }

    /// Takes the bytes that were wanted.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let share_bytes = self.share_bytes;
        self.inputs.get_mut(self.wanting).map_or(Ok(()), |input| input.feed(bytes, share_bytes))
    }

    /// Writes one series, or wants bytes and is asked again.
    fn series(
        &mut self,
        labels: &[(u32, u32)],
        sink: &mut Sink,
        seen: &mut Seen,
    ) -> Result<(), Stop> {
        let Some(left) = sink.left(labels) else { return Ok(()) };
        self.gathered.clear();
        self.aggregates.clear();
        for (at, input) in self.inputs.iter_mut().enumerate() {
            let Some(record) = input.records.front().filter(|r| r.labels == labels) else {
                continue;
            };
            self.wanting = at;
            let Some(pages) = &mut input.pages else { continue };
            for chunk in &record.chunks {
                if chunk.tag & TAG_AGGREGATE == 0 {
                    pages.gather(chunk, &mut self.gathered)?;
                } else {
                    let mut gathered = Gathered::default();
                    pages.gather(chunk, &mut gathered)?;
                    self.aggregates.add(chunk.tag, &gathered);
                }
            }
        }
        seen.samples += (self.gathered.len() + self.aggregates.len()) as u64;
        if self.resolution == Resolution::Raw {
            sink.raw(labels, &left, &mut self.gathered);
            return Ok(());
        }
        let chunks = if self.from == Resolution::Raw {
            self.gathered.settle(|time_ms| left.has(time_ms));
            downsample::raw(&floats(&self.gathered), self.resolution.ms())
                .expect("settled samples rise")
        } else {
            let chunks = self.aggregates.chunks(|time_ms| left.has(time_ms));
            if self.from == self.resolution {
                chunks
            } else {
                downsample::again(&chunks, self.from.ms(), self.resolution.ms())
            }
        };
        sink.writer.aggregates(labels, &gathered_of(&chunks));
        Ok(())
    }
}

/// The float samples; native histograms are not downsampled.
fn floats(gathered: &Gathered) -> Vec<(i64, f64)> {
    let mut histograms = gathered.histograms.iter().map(|(at, _)| *at as usize).peekable();
    let samples = gathered.timestamps_ms.iter().copied().zip(gathered.values.iter().copied());
    let is_float = |(at, _): &(usize, (i64, f64))| histograms.next_if_eq(at).is_none();
    samples.enumerate().filter(is_float).map(|(_, sample)| sample).collect()
}

impl Input {
    fn want(&self, offset: u64, bytes: usize) -> Stop {
        Stop::Want(Want { file: FileName::Block(self.summary.number), offset, bytes })
    }

    fn fault(&self, offset: u64, reason: &'static str) -> Stop {
        Stop::Fault(Fault { file: FileName::Block(self.summary.number), offset, reason })
    }

    /// Reads what the merge must know before its first series.
    fn open(&mut self, symbols: &mut SymbolTable) -> Result<(), Stop> {
        let Some(pages) = &mut self.pages else {
            return Err(match self.outline {
                None => {
                    let offset = self.summary.bytes.saturating_sub(TRAILER_BYTES as u64);
                    self.want(offset, TRAILER_BYTES)
                }
                Some(place) => self.want(place.offset, place.bytes as usize),
            });
        };
        while self.symbol_page < pages.outline().pages_of(PageKind::Symbols).len() {
            let page = pages.page(PageKind::Symbols, self.symbol_page)?;
            if let Page::Symbols(page) = &*page {
                let texts = (0..page.len()).filter_map(|at| page.get(at));
                self.ranks.extend(texts.map(|text| symbols.number(text)));
            }
            self.symbol_page += 1;
            pages.next_turn();
        }
        Ok(())
    }

    /// Takes the records of the next page of series when those of the last are used up.
    fn fill(&mut self) -> Result<(), Stop> {
        let Some(pages) = &mut self.pages else { return Ok(()) };
        while self.records.is_empty()
            && self.series_page < pages.outline().pages_of(PageKind::Series).len()
        {
            let (records, ranks) = (&mut self.records, &self.ranks);
            let mut unknown = false;
            reader::series_page(pages, self.series_page, |_, record| {
                let mut record = record.clone();
                for pair in &mut record.labels {
                    let name = ranks.get(pair.0 as usize).copied();
                    let value = ranks.get(pair.1 as usize).copied();
                    unknown |= name.is_none() || value.is_none();
                    *pair = (name.unwrap_or(0), value.unwrap_or(0));
                }
                records.push_back(record);
                true
            })?;
            if unknown {
                let reason = "a series has an unknown symbol";
                return Err(pages.damaged(PageKind::Series, self.series_page, reason));
            }
            self.series_page += 1;
        }
        Ok(())
    }

    fn feed(&mut self, bytes: &[u8], share_bytes: usize) -> Result<(), Stop> {
        if let Some(pages) = &mut self.pages {
            return pages.feed(bytes);
        }
        let (number, file_bytes) = (self.summary.number, self.summary.bytes);
        match self.outline {
            None => {
                let offset = file_bytes.saturating_sub(TRAILER_BYTES as u64);
                let read = read_trailer(number, file_bytes, bytes);
                let (_, place) = read.map_err(|reason| self.fault(offset, reason))?;
                self.outline = Some(place);
            }
            Some(place) => {
                let raw = page::read(number, PageKind::Outline, bytes)
                    .map_err(|reason| self.fault(place.offset, reason))?;
                let outline = Outline::read(&raw, file_bytes)
                    .ok_or_else(|| self.fault(place.offset, "outline makes no sense"))?;
                self.pages = Some(FedPages::new(number, outline, share_bytes));
            }
        }
        Ok(())
    }
}
