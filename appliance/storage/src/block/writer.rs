//! Writer: turns series in order of label set into the bytes of a block, page by page.
//!
//! Path: `compact`, `block::import` → **writer** → file.
//! Owns: the open pages, the table of time columns that may be shared, the label index.
//! Format: docs/format/block.md, version 1.
//!
//! Invariants
//! - K1: label sets rise from series to series.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use xxhash_rust::xxh3::Xxh3;

use crate::block::gather::Gathered;
use crate::block::labels;
use crate::block::layout::{INDEX_PAGE_BYTES, PAGE_BYTES, PageKind, TIMES_PER_PAGE};
use crate::block::outline::{self, LabelPlace, LabelRun, Outline, PagePlace};
use crate::block::page;
use crate::block::samples::{self, WriteScratch};
use crate::block::series::{ChunkPlace, Record, SeriesWriter, TAG_AGGREGATE_SHIFT, TAG_PAGE};
use crate::block::symbols;
use crate::block::times::{self, TimeEntry};
use crate::chunk::integers;
use crate::compaction::{BlockSummary, Resolution};
use crate::index::postings::Postings;

/// Level from which samples are compressed: blocks of level 1 live for hours only, and are read
/// most.
const COMPRESSED_LEVEL: u8 = 2;
/// Time columns that are remembered to be shared; bounds the memory of the table.
const SHARED_MAX: usize = 1 << 18;

/// What the block is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) number: u64,
    pub(crate) level: u8,
    pub(crate) resolution: Resolution,
    /// Newest tombstone that was applied.
    pub(crate) tombstone: u64,
}

/// Writes one block.
#[derive(Debug)]
pub(crate) struct Writer {
    header: Header,
    /// Sorted, each once; all that labels need.
    symbols: Vec<Box<str>>,
    /// Pages that are closed and not taken.
    ready: Vec<u8>,
    /// Where in the file `ready` begins.
    offset: u64,
    outline: Outline,
    values: Vec<u8>,
    times: Vec<u8>,
    entries: Vec<TimeEntry>,
    shared: HashMap<u128, u32, FixedState>,
    series: Vec<u8>,
    series_writer: SeriesWriter,
    record: Record,
    /// Page of values and offset where the series under way begins.
    begun: (u32, u32),
    /// Labels of the last series, as symbols.
    last: Vec<(u32, u32)>,
    postings: HashMap<(u32, u32), Postings, FixedState>,
    chunk: Vec<u8>,
    ends: Vec<usize>,
    scratch: WriteScratch,
    samples: u64,
    span: Option<(i64, i64)>,
}

impl Writer {
    /// A block whose label names and values are all in `symbols`, sorted, each once.
    pub(crate) fn new(header: Header, symbols: Vec<Box<str>>) -> Writer {
        assert!(symbols.is_sorted(), "symbols come sorted");
        Writer {
            header,
            symbols,
            ready: Vec::new(),
            offset: 0,
            outline: Outline::default(),
            values: Vec::new(),
            times: Vec::new(),
            entries: Vec::new(),
            shared: HashMap::default(),
            series: Vec::new(),
            series_writer: SeriesWriter::default(),
            record: Record::default(),
            begun: (0, 0),
            last: Vec::new(),
            postings: HashMap::default(),
            chunk: Vec::new(),
            ends: Vec::new(),
            scratch: WriteScratch::default(),
            samples: 0,
            span: None,
        }
    }

    /// Bytes that are ready and where in the file they go; none when it is empty.
    pub(crate) fn take(&mut self) -> (u64, Vec<u8>) {
        let bytes = std::mem::take(&mut self.ready);
        let offset = self.offset;
        self.offset += bytes.len() as u64;
        (offset, bytes)
    }

    /// Bytes that wait to be taken.
    pub(crate) fn ready_bytes(&self) -> usize {
        self.ready.len()
    }

    /// Adds the settled samples of the series of these symbols (name and value, by name); one
    /// without samples leaves no trace.
    pub(crate) fn raw(&mut self, labels: &[(u32, u32)], gathered: &Gathered) {
        self.begin();
        self.chunks(gathered);
        self.end(labels);
    }

    /// Adds the five aggregates of a series, each settled by itself; their number is their place.
    pub(crate) fn aggregates(&mut self, labels: &[(u32, u32)], aggregates: &[Vec<Gathered>; 5]) {
        self.begin();
        for (number, chunks) in (1..).zip(aggregates) {
            for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
                self.chunk(chunk, (0, chunk.len()), number);
            }
        }
        self.end(labels);
    }

    fn begin(&mut self) {
        self.record.chunks.clear();
        let page = self.outline.pages_of(PageKind::Values).len();
        self.begun = (number32(page), number32(self.values.len()));
    }

    fn chunks(&mut self, gathered: &Gathered) {
        let mut ends = std::mem::take(&mut self.ends);
        samples::cuts(gathered, &mut ends);
        let mut start = 0;
        for end in &ends {
            self.chunk(gathered, (start, *end), 0);
            start = *end;
        }
        self.ends = ends;
    }

    fn chunk(&mut self, gathered: &Gathered, (start, end): (usize, usize), aggregate: u8) {
        let mut chunk = std::mem::take(&mut self.chunk);
        chunk.clear();
        let (tag, origin) = samples::write(gathered, (start, end), &mut self.scratch, &mut chunk);
        let times = &gathered.timestamps_ms[start..end];
        let time = self.time_column(times, origin);
        let mut tag = tag | aggregate << TAG_AGGREGATE_SHIFT;
        if !self.values.is_empty() && PAGE_BYTES < self.values.len() + chunk.len() {
            self.close(PageKind::Values);
            tag |= TAG_PAGE;
        }
        let page = number32(self.outline.pages_of(PageKind::Values).len());
        let (offset, bytes) = (number32(self.values.len()), number32(chunk.len()));
        self.values.extend_from_slice(&chunk);
        self.record.chunks.push(ChunkPlace { tag, time, page, offset, bytes });
        self.chunk = chunk;
        self.samples += times.len() as u64;
        let (first, last) = (times[0], times[times.len() - 1]);
        let span = self.span.get_or_insert((first, last));
        *span = (span.0.min(first), span.1.max(last));
    }

    /// Number of the time column, written if no chunk had it before.
    fn time_column(&mut self, times_ms: &[i64], origin: u64) -> u32 {
        let mut hasher = Xxh3::new();
        hasher.update(&origin.to_le_bytes());
        for time in times_ms {
            hasher.update(&time.to_le_bytes());
        }
        let key = hasher.digest128();
        if let Some(known) = self.shared.get(&key) {
            return *known;
        }
        if SHARED_MAX <= self.shared.len() {
            self.shared.clear();
        }
        let number = self.outline.times;
        self.outline.times = number.checked_add(1).expect("chunks are bounded below 2^32");
        self.shared.insert(key, number);
        if PAGE_BYTES < self.times.len() {
            self.close(PageKind::Times);
        }
        let offset = self.times.len();
        integers::write(times_ms, &mut self.scratch.integers, &mut self.times);
        self.entries.push(TimeEntry {
            page: number32(self.outline.pages_of(PageKind::Times).len()),
            offset: number32(offset),
            bytes: number32(self.times.len() - offset),
            count: number32(times_ms.len()),
            min_time_ms: times_ms[0],
            max_time_ms: times_ms[times_ms.len() - 1],
            origin,
        });
        if self.entries.len() == TIMES_PER_PAGE {
            self.close(PageKind::TimeTable);
        }
        number
    }

    fn end(&mut self, labels: &[(u32, u32)]) {
        if self.record.chunks.is_empty() {
            return;
        }
        let rises = self.outline.series == 0 || self.last[..] < *labels;
        assert!(rises, "K1: label sets of a block rise");
        if INDEX_PAGE_BYTES < self.series.len() {
            self.close(PageKind::Series);
        }
        if self.series.is_empty() {
            self.outline.series_first.push(self.outline.series);
            let (page, offset) = self.begun;
            self.series_writer.begin(page, offset, &mut self.series);
        }
        let number = self.outline.series;
        for pair in labels {
            self.postings.entry(*pair).or_default().insert(number);
        }
        self.record.labels.clear();
        self.record.labels.extend_from_slice(labels);
        self.series_writer.write(&self.record, &mut self.series);
        self.outline.series = number.checked_add(1).expect("series are bounded by options");
        self.last.clear();
        self.last.extend_from_slice(labels);
    }

    /// Closes the open page of this kind.
    fn close(&mut self, kind: PageKind) {
        let samples = matches!(kind, PageKind::Values | PageKind::Times);
        let compress = !samples || COMPRESSED_LEVEL <= self.header.level;
        let raw = match kind {
            PageKind::Values => std::mem::take(&mut self.values),
            PageKind::Times => std::mem::take(&mut self.times),
            PageKind::Series => std::mem::take(&mut self.series),
            PageKind::TimeTable => {
                let mut raw = Vec::new();
                times::write(&self.entries, &mut raw);
                self.entries.clear();
                raw
            }
            PageKind::Symbols | PageKind::Labels | PageKind::Outline => {
                unreachable!("the index is written when all series are there")
            }
        };
        self.page(kind, &raw, compress);
    }

    fn page(&mut self, kind: PageKind, raw: &[u8], compress: bool) -> PagePlace {
        let start = self.ready.len();
        page::write(self.header.number, kind, raw, compress, &mut self.ready);
        let offset = self.offset + start as u64;
        let place = PagePlace { offset, bytes: number32(self.ready.len() - start) };
        if let Some(pages) = self.outline.pages.get_mut(kind as usize) {
            pages.push(place);
        }
        place
    }

    /// Closes the block; what is ready is then its end. `None` when it has no sample.
    pub(crate) fn finish(&mut self) -> Option<BlockSummary> {
        let (min_time_ms, max_time_ms) = self.span?;
        for (kind, open) in [
            (PageKind::Values, self.values.is_empty()),
            (PageKind::Times, self.times.is_empty()),
            (PageKind::TimeTable, self.entries.is_empty()),
            (PageKind::Series, self.series.is_empty()),
        ] {
            if !open {
                self.close(kind);
            }
        }
        self.finish_symbols();
        self.finish_labels();
        let mut raw = Vec::new();
        self.outline.write(&mut raw);
        let outline = self.page(PageKind::Outline, &raw, true);
        let mut summary = BlockSummary {
            number: self.header.number,
            level: self.header.level,
            resolution: self.header.resolution,
            min_time_ms,
            max_time_ms,
            series: self.outline.series.into(),
            samples: self.samples,
            bytes: 0,
            tombstone: self.header.tombstone,
        };
        outline::write_trailer(&summary, outline, &mut self.ready);
        summary.bytes = self.offset + self.ready.len() as u64;
        Some(summary)
    }

    fn finish_symbols(&mut self) {
        let symbols = std::mem::take(&mut self.symbols);
        let mut raw = Vec::new();
        let mut before = "";
        for (number, text) in (0u32..).zip(&symbols) {
            if INDEX_PAGE_BYTES < raw.len() {
                self.page(PageKind::Symbols, &raw, true);
                raw.clear();
                before = "";
            }
            if raw.is_empty() {
                self.outline.symbols_first.push((number, text.clone()));
            }
            symbols::write(before, text, &mut raw);
            before = text;
        }
        if !raw.is_empty() {
            self.page(PageKind::Symbols, &raw, true);
        }
        self.outline.symbols = number32(symbols.len());
    }

    fn finish_labels(&mut self) {
        let mut postings: Vec<((u32, u32), Postings)> = self.postings.drain().collect();
        postings.sort_unstable_by_key(|(pair, _)| *pair);
        let mut raw = Vec::new();
        let mut entry = Vec::new();
        let mut last = 0;
        for ((name, value), series) in postings {
            let known = self.outline.labels.last().is_some_and(|label| label.name == name);
            if !known {
                self.outline.labels.push(LabelPlace { name, runs: Vec::new() });
            }
            entry.clear();
            let gap = if known { value - last } else { 0 };
            labels::write(gap, &series, &mut entry);
            let full = !raw.is_empty() && INDEX_PAGE_BYTES < raw.len() + entry.len();
            if full {
                self.page(PageKind::Labels, &raw, true);
                raw.clear();
                entry.clear();
                labels::write(0, &series, &mut entry);
            }
            let page = number32(self.outline.pages_of(PageKind::Labels).len());
            let offset = number32(raw.len());
            let label = self.outline.labels.last_mut().expect("it was just made");
            if full || !known {
                label.runs.push(LabelRun { page, offset, entries: 0, first: value });
            }
            label.runs.last_mut().expect("it was just made").entries += 1;
            raw.extend_from_slice(&entry);
            last = value;
        }
        if !raw.is_empty() {
            self.page(PageKind::Labels, &raw, true);
        }
    }
}

fn number32(number: usize) -> u32 {
    u32::try_from(number).expect("pages, chunks and series are bounded below 2^32")
}
