//! Index, written in version 2.
//!
//! Symbols stand before the series, but are only known behind the last: series go to a spool with
//! provisional numbers first, and to the index when the symbols have theirs. Postings are made by
//! passes over the written series, each for as many label names as fit a bound.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::label_set::LabelSet;

use super::appending::Appending;
use super::symbol_table::SymbolTable;
use crate::cursor::{Cursor, put_text, put_uvarint, put_varint};
use crate::fault::TsdbError;
use crate::files::{FileRead, FileWrite, Reading};
use crate::index::series::ChunkMeta;
use crate::index::toc::{INDEX_FILE, MAGIC, SERIES_ALIGNMENT, Toc};

const SPOOL_FILE: &str = "series.tmp";
const VERSION: u8 = 2;
const POSTINGS_ALIGNMENT: u64 = 4;
/// Fewest references that one pass over the series gathers; 16 MiB of them.
const REFERENCES_MIN: u64 = 4 * 1024 * 1024;
const LENGTH_BYTES_MAX: usize = 10;
const WHAT: &str = "a series";

/// Takes series in order and writes the index at the end.
///
/// Memory: the symbols, 16 bytes for each pair of label and value, and the references of one pass.
pub(crate) struct IndexWriter {
    files: Arc<dyn FileWrite>,
    directory: String,
    symbols: SymbolTable,
    spool: Appending,
    /// Uses of each label name, by provisional number.
    uses: BTreeMap<u32, u64>,
    series: u64,
}

/// A list of the postings: name and value by symbol, and where it is.
struct List {
    name: u32,
    value: u32,
    offset: u64,
}

impl IndexWriter {
    pub(crate) fn new(files: &Arc<dyn FileWrite>, directory: &str) -> IndexWriter {
        IndexWriter {
            files: Arc::clone(files),
            directory: directory.to_owned(),
            symbols: SymbolTable::default(),
            spool: Appending::new(files, format!("{directory}/{SPOOL_FILE}")),
            uses: BTreeMap::new(),
            series: 0,
        }
    }

    pub(crate) fn series(
        &mut self,
        labels: &LabelSet,
        chunks: &[ChunkMeta],
    ) -> Result<(), TsdbError> {
        let mut body = Vec::new();
        put_uvarint(&mut body, labels.len() as u64);
        for (name, value) in labels {
            let numbers = (self.symbols.number(name), self.symbols.number(value));
            let (Some(name), Some(value)) = numbers else {
                return Err(TsdbError::Refused("a block holds at most 2^32 texts".to_owned()));
            };
            put_uvarint(&mut body, u64::from(name));
            put_uvarint(&mut body, u64::from(value));
            *self.uses.entry(name).or_default() += 1;
        }
        put_chunks(&mut body, chunks);
        let mut length = Vec::new();
        put_uvarint(&mut length, body.len() as u64);
        self.spool.put(&length)?;
        self.spool.put(&body)?;
        self.series += 1;
        Ok(())
    }

    /// Writes the index and removes the spool.
    pub(crate) fn finish(mut self) -> Result<(), TsdbError> {
        self.spool.flush()?;
        let (texts, places) = std::mem::take(&mut self.symbols).sorted();
        let mut index = Appending::new(&self.files, format!("{}/{INDEX_FILE}", self.directory));
        let [a, b, c, d] = MAGIC.to_be_bytes();
        index.put(&[a, b, c, d, VERSION])?;
        let mut toc = Toc { symbols: index.offset(), ..Toc::default() };
        write_symbols(&mut index, &texts)?;
        index.align(SERIES_ALIGNMENT)?;
        toc.series = index.offset();
        self.write_series(&mut index, &places)?;
        // Nobody reads label indices: none are written, as upstream does.
        toc.label_indices = index.offset();
        index.flush()?;
        index.align(POSTINGS_ALIGNMENT)?;
        toc.postings = index.offset();
        let lists = self.write_postings(&mut index, &toc, &places)?;
        toc.label_indices_table = index.offset();
        let empty = index.begin_section()?;
        index.put(&0u32.to_be_bytes())?;
        index.end_section(empty, "the label offset table")?;
        toc.postings_table = index.offset();
        write_table(&mut index, &texts, &lists)?;
        index.put(&toc.bytes())?;
        index.sync()?;
        let spool = self.spool.name();
        self.files.remove(spool).map_err(|error| TsdbError::io("remove", spool, error))
    }

    /// Copies the series from the spool, with the numbers that symbols have at last.
    fn write_series(&self, index: &mut Appending, places: &[u32]) -> Result<(), TsdbError> {
        let mut spool = self.reading(self.spool.name())?;
        let (mut at, end) = (0, spool.length());
        while at < end {
            let (body_at, length) = length_at(&mut spool, at)?;
            let body = spool.bytes(body_at, length, WHAT)?;
            let mut cursor = Cursor::new(body, body_at);
            let read = |fault: crate::fault::FaultAt| fault.of(SPOOL_FILE);
            let labels = cursor.uvarint(WHAT).map_err(read)?;
            let mut entry = Vec::with_capacity(length + 16);
            put_uvarint(&mut entry, labels);
            let mut pairs = Vec::new();
            for _ in 0..labels {
                let name = cursor.uvarint(WHAT).map_err(read)?;
                let value = cursor.uvarint(WHAT).map_err(read)?;
                pairs.push((place(places, name), place(places, value)));
            }
            for (name, value) in pairs {
                put_uvarint(&mut entry, u64::from(name));
                put_uvarint(&mut entry, u64::from(value));
            }
            entry.extend_from_slice(cursor.rest());
            index.align(SERIES_ALIGNMENT)?;
            let mut prefix = Vec::new();
            put_uvarint(&mut prefix, entry.len() as u64);
            index.put(&prefix)?;
            index.put(&entry)?;
            index.put(&crc32c::crc32c(&entry).to_be_bytes())?;
            at = body_at + length as u64;
        }
        Ok(())
    }

    /// Writes the list of all series, then those of each label name in order of value.
    fn write_postings(
        &self,
        index: &mut Appending,
        toc: &Toc,
        places: &[u32],
    ) -> Result<Vec<List>, TsdbError> {
        let mut names: Vec<(u32, u64)> =
            self.uses.iter().map(|(name, uses)| (place(places, u64::from(*name)), *uses)).collect();
        names.sort_unstable();
        let mut lists = Vec::new();
        // No name can be used more often than there are series.
        let references_max = self.series.max(REFERENCES_MIN);
        let mut gathered = self.gather(toc, index, &[])?;
        lists.push((None, put_list(index, &gathered.remove(&(0, 0)).unwrap_or_default())?));
        let mut rest = names.as_slice();
        while !rest.is_empty() {
            let mut sum = 0;
            let fits = rest.iter().take_while(|(_, uses)| {
                sum += uses;
                sum <= references_max
            });
            let (batch, after) = rest.split_at(fits.count().max(1));
            rest = after;
            let wanted: Vec<u32> = batch.iter().map(|(name, _)| *name).collect();
            for (pair, references) in self.gather(toc, index, &wanted)? {
                lists.push((Some(pair), put_list(index, &references)?));
            }
        }
        let no_pair = (u32::MAX, u32::MAX);
        let list = |(pair, offset): (Option<(u32, u32)>, u64)| {
            let (name, value) = pair.unwrap_or(no_pair);
            List { name, value, offset }
        };
        Ok(lists.into_iter().map(list).collect())
    }

    /// References of the series that have each pair of the `wanted` names; without names, of all
    /// series under (0, 0).
    fn gather(
        &self,
        toc: &Toc,
        index: &Appending,
        wanted: &[u32],
    ) -> Result<BTreeMap<(u32, u32), Vec<u32>>, TsdbError> {
        let mut reading = self.reading(index.name())?;
        let mut gathered: BTreeMap<(u32, u32), Vec<u32>> = BTreeMap::new();
        let mut at = toc.series;
        while at < toc.label_indices {
            let (body_at, length) = length_at(&mut reading, at)?;
            let reference = u32::try_from(at / SERIES_ALIGNMENT).map_err(|_| {
                TsdbError::Refused("the series of a block take more than 64 GiB".to_owned())
            })?;
            if wanted.is_empty() {
                gathered.entry((0, 0)).or_default().push(reference);
            } else {
                let body = reading.bytes(body_at, length, WHAT)?;
                let mut cursor = Cursor::new(body, body_at);
                let read = |fault: crate::fault::FaultAt| fault.of(INDEX_FILE);
                for _ in 0..cursor.uvarint(WHAT).map_err(read)? {
                    let name = symbol(cursor.uvarint(WHAT).map_err(read)?);
                    let value = symbol(cursor.uvarint(WHAT).map_err(read)?);
                    if wanted.contains(&name) {
                        gathered.entry((name, value)).or_default().push(reference);
                    }
                }
            }
            at = (body_at + length as u64 + 4).next_multiple_of(SERIES_ALIGNMENT);
        }
        Ok(gathered)
    }

    fn reading(&self, name: &str) -> Result<Reading, TsdbError> {
        let files: Arc<dyn FileRead> = Arc::clone(&self.files) as Arc<dyn FileRead>;
        Reading::open(&files, name)
    }
}

fn put_chunks(body: &mut Vec<u8>, chunks: &[ChunkMeta]) {
    put_uvarint(body, chunks.len() as u64);
    let mut last: Option<&ChunkMeta> = None;
    for chunk in chunks {
        let span = chunk.max.0.wrapping_sub(chunk.min.0).cast_unsigned();
        match last {
            None => {
                put_varint(body, chunk.min.0);
                put_uvarint(body, span);
                put_uvarint(body, chunk.reference);
            }
            Some(last) => {
                put_uvarint(body, chunk.min.0.wrapping_sub(last.max.0).cast_unsigned());
                put_uvarint(body, span);
                put_varint(body, chunk.reference.wrapping_sub(last.reference).cast_signed());
            }
        }
        last = Some(chunk);
    }
}

fn write_symbols(index: &mut Appending, texts: &[Arc<str>]) -> Result<(), TsdbError> {
    let section = index.begin_section()?;
    let count = u32::try_from(texts.len()).expect("numbers of 32 bits were given");
    index.put(&count.to_be_bytes())?;
    let mut bytes = Vec::new();
    for text in texts {
        bytes.clear();
        put_text(&mut bytes, text);
        index.put(&bytes)?;
    }
    index.end_section(section, "the symbol table")
}

fn put_list(index: &mut Appending, references: &[u32]) -> Result<u64, TsdbError> {
    index.align(POSTINGS_ALIGNMENT)?;
    let section = index.begin_section()?;
    let count = u32::try_from(references.len()).expect("references are of 32 bits");
    index.put(&count.to_be_bytes())?;
    for reference in references {
        index.put(&reference.to_be_bytes())?;
    }
    index.end_section(section, "a postings list")?;
    Ok(section)
}

fn write_table(index: &mut Appending, texts: &[Arc<str>], lists: &[List]) -> Result<(), TsdbError> {
    let section = index.begin_section()?;
    let count = u32::try_from(lists.len())
        .map_err(|_| TsdbError::Refused("more than 2^32 pairs of labels".to_owned()))?;
    index.put(&count.to_be_bytes())?;
    let text = |symbol: u32| texts.get(symbol as usize).map_or("", |text| text);
    let mut entry = Vec::new();
    for list in lists {
        entry.clear();
        put_uvarint(&mut entry, 2);
        put_text(&mut entry, text(list.name));
        put_text(&mut entry, text(list.value));
        put_uvarint(&mut entry, list.offset);
        index.put(&entry)?;
    }
    index.end_section(section, "the postings offset table")
}

/// Where the body of the entry at `at` begins and how long it is.
fn length_at(reading: &mut Reading, at: u64) -> Result<(u64, usize), TsdbError> {
    let name = reading.name().to_owned();
    let mut cursor = Cursor::new(reading.bytes_at_most(at, LENGTH_BYTES_MAX)?, at);
    let length = cursor.uvarint(WHAT).map_err(|fault| fault.of(&name))?;
    Ok((cursor.offset(), usize::try_from(length).unwrap_or(usize::MAX)))
}

fn place(places: &[u32], number: u64) -> u32 {
    let at = usize::try_from(number).expect("a number of 32 bits");
    places[at]
}

fn symbol(number: u64) -> u32 {
    u32::try_from(number).expect("a number of 32 bits was written")
}
