//! Reader: finds symbols, series, times and samples in the pages of a block.
//!
//! Path: `block_query`, `selection`, `compact` → **reader** → pages, from wherever they come.
//! Never: panics on what it reads.
//! Format: docs/format/block.md, version 1.

use std::sync::Arc;

use model::label_set::{Builder, LabelSet};

use crate::block::layout::{PageKind, TIMES_PER_PAGE};
use crate::block::outline::Outline;
use crate::block::page;
use crate::block::series::{ChunkPlace, Record, SeriesReader};
use crate::block::symbols::SymbolPage;
use crate::block::times::{self, TimeEntry};
use crate::chunk::integers;
use crate::varint::Cursor;

/// A page, as far parsed as everybody needs it.
#[derive(Debug)]
pub(crate) enum Page {
    /// Its bytes.
    Raw(Vec<u8>),
    Symbols(SymbolPage),
    TimeTable(Vec<TimeEntry>),
}

impl Page {
    /// The page of these stored bytes.
    ///
    /// # Errors
    /// What does not check.
    pub(crate) fn open(number: u64, kind: PageKind, bytes: &[u8]) -> Result<Page, &'static str> {
        let raw = page::read(number, kind, bytes)?;
        match kind {
            PageKind::Symbols => SymbolPage::read(&raw).map(Page::Symbols),
            PageKind::TimeTable => times::read(&raw).map(Page::TimeTable),
            _ => Some(Page::Raw(raw)),
        }
        .ok_or("page makes no sense")
    }

    pub(crate) fn raw(&self) -> &[u8] {
        match self {
            Page::Raw(bytes) => bytes,
            Page::Symbols(_) | Page::TimeTable(_) => &[],
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Page::Raw(bytes) => bytes.len(),
            Page::Symbols(page) => page.heap_bytes(),
            Page::TimeTable(entries) => entries.len() * size_of::<TimeEntry>(),
        }
    }
}

/// Pages of one block, read by whoever can.
pub(crate) trait Pages {
    /// Why a page is not to be had.
    type Error;

    /// Outline of the block.
    fn outline(&self) -> &Arc<Outline>;

    /// Page `index` of its kind.
    fn page(&mut self, kind: PageKind, index: usize) -> Result<Arc<Page>, Self::Error>;

    /// The error of a page that does not make sense.
    fn damaged(&self, kind: PageKind, index: usize, reason: &'static str) -> Self::Error;
}

/// Text of symbol `number`.
pub(crate) fn symbol<P: Pages>(pages: &mut P, number: u32) -> Result<String, P::Error> {
    let outline = Arc::clone(pages.outline());
    let after = outline.symbols_first.partition_point(|(first, _)| *first <= number);
    let index = after.saturating_sub(1);
    let page = pages.page(PageKind::Symbols, index)?;
    let first = outline.symbols_first.get(index).map_or(0, |(first, _)| *first);
    let text = match &*page {
        Page::Symbols(symbols) => symbols.get((number - first.min(number)) as usize),
        _ => None,
    };
    let text = text.map(str::to_owned);
    text.ok_or_else(|| pages.damaged(PageKind::Symbols, index, "a symbol is missing"))
}

/// The first symbol that is not less than `text`, and whether it is `text`.
pub(crate) fn find_symbol<P: Pages>(pages: &mut P, text: &str) -> Result<(u32, bool), P::Error> {
    let outline = Arc::clone(pages.outline());
    let after = outline.symbols_first.partition_point(|(_, first)| **first <= *text);
    let Some(index) = after.checked_sub(1) else { return Ok((0, false)) };
    let page = pages.page(PageKind::Symbols, index)?;
    let Page::Symbols(symbols) = &*page else { return Ok((0, false)) };
    let rank = symbols.rank(text);
    let number = outline.symbols_first[index].0.saturating_add(u32::try_from(rank).unwrap_or(0));
    Ok((number, symbols.get(rank) == Some(text)))
}

/// Label set of these symbols.
pub(crate) fn label_set<P: Pages>(
    pages: &mut P,
    labels: &[(u32, u32)],
) -> Result<LabelSet, P::Error> {
    let mut builder = Builder::default();
    for (name, value) in labels {
        let name = symbol(pages, *name)?;
        let value = symbol(pages, *value)?;
        builder.set(&name, &value);
    }
    Ok(builder.build())
}

/// Entry `number` of the time table.
pub(crate) fn time_entry<P: Pages>(pages: &mut P, number: u32) -> Result<TimeEntry, P::Error> {
    let (index, at) = (number as usize / TIMES_PER_PAGE, number as usize % TIMES_PER_PAGE);
    let page = pages.page(PageKind::TimeTable, index)?;
    let entry = match &*page {
        Page::TimeTable(entries) => entries.get(at).copied(),
        _ => None,
    };
    entry.ok_or_else(|| pages.damaged(PageKind::TimeTable, index, "a time column is missing"))
}

/// Times of a column, milliseconds.
pub(crate) fn times<P: Pages>(
    pages: &mut P,
    entry: &TimeEntry,
    offsets: &mut Vec<u64>,
) -> Result<Arc<[i64]>, P::Error> {
    let index = entry.page as usize;
    let page = pages.page(PageKind::Times, index)?;
    let count = entry.count as usize;
    let read = || {
        let bytes = part(page.raw(), entry.offset, entry.bytes)?;
        let mut cursor = Cursor::new(bytes);
        let mut times = Vec::new();
        integers::read(&mut cursor, count, offsets, &mut times)?;
        (cursor.is_empty() && times.len() == count).then_some(times)
    };
    let times = { read }();
    times
        .map(Arc::from)
        .ok_or_else(|| pages.damaged(PageKind::Times, index, "a time column makes no sense"))
}

/// Bytes of a chunk; an error of the page if it does not reach so far.
pub(crate) fn chunk<P: Pages>(
    pages: &mut P,
    place: &ChunkPlace,
    into: &mut Vec<u8>,
) -> Result<(), P::Error> {
    let index = place.page as usize;
    let page = pages.page(PageKind::Values, index)?;
    let bytes = part(page.raw(), place.offset, place.bytes);
    into.clear();
    match bytes {
        Some(bytes) => {
            into.extend_from_slice(bytes);
            Ok(())
        }
        None => Err(pages.damaged(PageKind::Values, index, "a chunk lies outside its page")),
    }
}

fn part(bytes: &[u8], offset: u32, count: u32) -> Option<&[u8]> {
    bytes.get(offset as usize..)?.get(..count as usize)
}

/// Gives the records of page `index` of series to `each`, with the number of each, until it says
/// stop.
pub(crate) fn series_page<P: Pages>(
    pages: &mut P,
    index: usize,
    mut each: impl FnMut(u32, &Record) -> bool,
) -> Result<(), P::Error> {
    let page = pages.page(PageKind::Series, index)?;
    let first = pages.outline().series_first.get(index).copied().unwrap_or(0);
    let damaged = || "a series makes no sense";
    let Some(mut reader) = SeriesReader::new(page.raw()) else {
        return Err(pages.damaged(PageKind::Series, index, damaged()));
    };
    let mut record = Record::default();
    let mut number = first;
    while !reader.is_empty() {
        if reader.read(&mut record).is_none() {
            return Err(pages.damaged(PageKind::Series, index, damaged()));
        }
        if !each(number, &record) {
            return Ok(());
        }
        number = number.saturating_add(1);
    }
    Ok(())
}
