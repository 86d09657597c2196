//! Block query: what query threads ask of one block.
//!
//! Path: query thread → **block_query** → `block` → `tile_read`.
//! Never: reads a file itself.
//!
//! Matchers go by the sorted values of a label: a literal or a set is looked up, a prefix is a
//! range; only what is left is matched value by value.

use std::sync::Arc;

use model::label_set::LabelSet;
use model::matcher::{MatchOp, Matcher};
use model::time::TimestampMs;
use roaring::RoaringBitmap;

use crate::block::cache::{BlockCache, CachedPages};
use crate::block::chunks;
use crate::block::labels::RunReader;
use crate::block::layout::PageKind;
use crate::block::outline::LabelPlace;
use crate::block::reader::{self, Pages};
use crate::block::reference::BlockRef;
use crate::block::series::{ChunkPlace, Record};
use crate::selection::{BlockPiece, LabelRequest, Piece, SelectRequest, SelectedSeries};
use crate::tile_read::{DecodeError, TileRead};
use crate::tombstones::intervals;

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
        self: &Arc<BlockRef>,
        files: &dyn TileRead,
        cache: &mut BlockCache,
        request: &SelectRequest,
    ) -> Result<Vec<SelectedSeries>, DecodeError> {
        let mut pages = CachedPages::new(files, cache, self)?;
        let series = matching(&mut pages, &request.matchers)?;
        let range = (request.after.0, request.until.0);
        let mut selected = Vec::new();
        for_each(&mut pages, &series, &mut |pages, record| {
            let mut wanted = Vec::new();
            for chunk in &record.chunks {
                let asked = chunks::is_wanted(chunk.tag, request.aggregate);
                if asked && overlaps(pages, chunk, range)? {
                    wanted.push(*chunk);
                }
            }
            if wanted.is_empty() {
                return Ok(true);
            }
            let labels = reader::label_set(pages, &record.labels)?;
            let closed = (range.0.saturating_add(1), range.1);
            let deleted = intervals(&self.tombstones, self.summary.tombstone, &labels, closed);
            let (block, aggregate) = (Arc::clone(self), request.aggregate);
            let pieces = vec![Piece::Block(BlockPiece { block, chunks: wanted, aggregate })];
            selected.push(SelectedSeries { labels, pieces, deleted });
            Ok(selected.len() <= request.series_max)
        })?;
        Ok(selected)
    }

    /// Values of label `name` among the wanted series; sorted.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn label_values(
        self: &Arc<BlockRef>,
        files: &dyn TileRead,
        cache: &mut BlockCache,
        name: &str,
        wanted: &LabelRequest,
    ) -> Result<Vec<String>, DecodeError> {
        let mut pages = CachedPages::new(files, cache, self)?;
        let series = self.wanted(&mut pages, wanted)?;
        let mut found: Vec<u32> = Vec::new();
        let Some(place) = label(&mut pages, name)? else { return Ok(Vec::new()) };
        each_value(&mut pages, &place, (0, u32::MAX), &mut |_, value, listed| {
            let meets = match &series {
                None => Some(true),
                Some(series) => listed.meets(series),
            };
            if meets? {
                found.push(value);
            }
            Some(())
        })?;
        found.into_iter().map(|value| reader::symbol(&mut pages, value)).collect()
    }

    /// Label names among the wanted series; sorted.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn label_names(
        self: &Arc<BlockRef>,
        files: &dyn TileRead,
        cache: &mut BlockCache,
        wanted: &LabelRequest,
    ) -> Result<Vec<String>, DecodeError> {
        let mut pages = CachedPages::new(files, cache, self)?;
        let series = self.wanted(&mut pages, wanted)?;
        let places = pages.outline().labels.clone();
        let mut found = Vec::new();
        for place in places {
            let mut meets = series.is_none();
            if let Some(series) = &series {
                each_value(&mut pages, &place, (0, u32::MAX), &mut |_, _, listed| {
                    meets = meets || listed.meets(series)?;
                    Some(())
                })?;
            }
            if meets {
                found.push(reader::symbol(&mut pages, place.name)?);
            }
        }
        Ok(found)
    }

    /// Label sets of the wanted series, at most `series_max` + 1; sorted.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn series(
        self: &Arc<BlockRef>,
        files: &dyn TileRead,
        cache: &mut BlockCache,
        wanted: &LabelRequest,
        series_max: usize,
    ) -> Result<Vec<LabelSet>, DecodeError> {
        let mut pages = CachedPages::new(files, cache, self)?;
        let series = self.wanted(&mut pages, wanted)?;
        let series = series.unwrap_or_else(|| all(&pages));
        let mut found = Vec::new();
        for_each(&mut pages, &series, &mut |pages, record| {
            found.push(reader::label_set(pages, &record.labels)?);
            Ok(found.len() <= series_max)
        })?;
        Ok(found)
    }

    /// Series of a question about labels that have samples in its range; `None` for all.
    fn wanted(
        &self,
        pages: &mut CachedPages<'_>,
        wanted: &LabelRequest,
    ) -> Result<Option<RoaringBitmap>, DecodeError> {
        let range = (wanted.from.0.saturating_sub(1), wanted.to.0);
        let is_whole = range.0 < self.summary.min_time_ms && self.summary.max_time_ms <= range.1;
        if is_whole && wanted.matcher_sets.is_empty() && self.tombstones.is_empty() {
            return Ok(None);
        }
        let mut series = RoaringBitmap::new();
        if wanted.matcher_sets.is_empty() {
            series = all(pages);
        }
        for matchers in &wanted.matcher_sets {
            series |= matching(pages, matchers)?;
        }
        if is_whole {
            return Ok(Some(series));
        }
        let mut inside = RoaringBitmap::new();
        for_each_numbered(pages, &series, &mut |pages, number, record| {
            for chunk in &record.chunks {
                if overlaps(pages, chunk, range)? {
                    inside.insert(number);
                    break;
                }
            }
            Ok(true)
        })?;
        Ok(Some(inside))
    }
}

/// Whether the chunk may have samples in the range (exclusive, inclusive).
fn overlaps(
    pages: &mut CachedPages<'_>,
    chunk: &ChunkPlace,
    (after, until): (i64, i64),
) -> Result<bool, DecodeError> {
    let summary = &pages.block.summary;
    if after < summary.min_time_ms && summary.max_time_ms <= until {
        return Ok(true);
    }
    let entry = reader::time_entry(pages, chunk.time)?;
    Ok(after < entry.max_time_ms && entry.min_time_ms <= until)
}

fn all(pages: &CachedPages<'_>) -> RoaringBitmap {
    let mut all = RoaringBitmap::new();
    all.insert_range(0..pages.outline().series);
    all
}

/// Gives the records of these series to `each`, until it says stop.
fn for_each(
    pages: &mut CachedPages<'_>,
    series: &RoaringBitmap,
    each: &mut dyn FnMut(&mut CachedPages<'_>, &Record) -> Result<bool, DecodeError>,
) -> Result<(), DecodeError> {
    for_each_numbered(pages, series, &mut |pages, _, record| each(pages, record))
}

fn for_each_numbered(
    pages: &mut CachedPages<'_>,
    series: &RoaringBitmap,
    each: &mut dyn FnMut(&mut CachedPages<'_>, u32, &Record) -> Result<bool, DecodeError>,
) -> Result<(), DecodeError> {
    let outline = Arc::clone(pages.outline());
    let mut wanted = series.iter().peekable();
    while let Some(next) = wanted.peek().copied() {
        let index = outline.series_first.partition_point(|first| *first <= next);
        let Some(index) = index.checked_sub(1) else { return Ok(()) };
        let mut records = Vec::new();
        let end = outline.series_first.get(index + 1).copied().unwrap_or(u32::MAX);
        reader::series_page(pages, index, |number, record| {
            if wanted.next_if_eq(&number).is_some() {
                records.push((number, record.clone()));
            }
            wanted.peek().is_some_and(|next| *next < end)
        })?;
        for (number, record) in &records {
            if !each(pages, *number, record)? {
                return Ok(());
            }
        }
        // A series that its page does not have would be asked for again and again.
        while wanted.next_if(|next| *next < end).is_some() {}
    }
    Ok(())
}

/// Where the values of label `name` are.
fn label(pages: &mut CachedPages<'_>, name: &str) -> Result<Option<LabelPlace>, DecodeError> {
    let (symbol, known) = reader::find_symbol(pages, name)?;
    if !known {
        return Ok(None);
    }
    let labels = &pages.outline().labels;
    let at = labels.binary_search_by_key(&symbol, |label| label.name);
    Ok(at.ok().map(|at| labels[at].clone()))
}

/// What is done with a value: its symbol and its series; `None` when they make no sense.
type EachValue<'a> =
    dyn FnMut(&mut CachedPages<'_>, u32, &crate::block::labels::Listed<'_>) -> Option<()> + 'a;

/// Gives the values of a label whose symbols are in `from..to` to `each`.
fn each_value(
    pages: &mut CachedPages<'_>,
    place: &LabelPlace,
    (from, to): (u32, u32),
    each: &mut EachValue<'_>,
) -> Result<(), DecodeError> {
    for (at, run) in place.runs.iter().enumerate() {
        let next = place.runs.get(at + 1).map_or(u32::MAX, |next| next.first);
        if next <= from || to <= run.first {
            continue;
        }
        let index = run.page as usize;
        let page = pages.page(PageKind::Labels, index)?;
        let damaged = "values of a label make no sense";
        let reader = RunReader::new(page.raw(), run.offset, run.entries, run.first);
        let Some(mut reader) = reader else {
            return Err(pages.damaged(PageKind::Labels, index, damaged));
        };
        loop {
            let Some(value) = reader.read() else {
                return Err(pages.damaged(PageKind::Labels, index, damaged));
            };
            let Some((symbol, listed)) = value else { break };
            if to <= symbol {
                break;
            }
            if from <= symbol && each(pages, symbol, &listed).is_none() {
                return Err(pages.damaged(PageKind::Labels, index, damaged));
            }
        }
    }
    Ok(())
}

/// Series that fulfil all matchers.
fn matching(
    pages: &mut CachedPages<'_>,
    matchers: &[Matcher],
) -> Result<RoaringBitmap, DecodeError> {
    let mut found: Option<RoaringBitmap> = None;
    let (optional, required): (Vec<&Matcher>, Vec<&Matcher>) =
        matchers.iter().partition(|matcher| matcher.matches(""));
    for matcher in required {
        let series = with_value(pages, matcher, true)?;
        match &mut found {
            None => found = Some(series),
            Some(found) => *found &= series,
        }
        if found.as_ref().is_some_and(RoaringBitmap::is_empty) {
            return Ok(RoaringBitmap::new());
        }
    }
    let mut found = found.unwrap_or_else(|| all(pages));
    for matcher in optional {
        found -= with_value(pages, matcher, false)?;
    }
    Ok(found)
}

/// Series with a value of the label that matches, or that does not.
fn with_value(
    pages: &mut CachedPages<'_>,
    matcher: &Matcher,
    matches: bool,
) -> Result<RoaringBitmap, DecodeError> {
    let mut found = RoaringBitmap::new();
    let Some(place) = label(pages, &matcher.name)? else { return Ok(found) };
    let exact = match matcher.op {
        MatchOp::Equal => matches,
        MatchOp::NotEqual => !matches,
        MatchOp::Regex | MatchOp::NotRegex => false,
    };
    if exact {
        add_literal(pages, &place, &matcher.value, &mut found)?;
        return Ok(found);
    }
    let regex = matcher.regex().filter(|_| (matcher.op == MatchOp::Regex) == matches);
    let mut range = (0, u32::MAX);
    if let Some(regex) = regex {
        if let Some(literals) = regex.literals() {
            for literal in literals {
                add_literal(pages, &place, literal, &mut found)?;
            }
            return Ok(found);
        }
        range = prefix_range(pages, regex.prefix())?;
    }
    let mut values = Vec::new();
    each_value(pages, &place, range, &mut |_, symbol, _| {
        values.push(symbol);
        Some(())
    })?;
    let mut wanted = RoaringBitmap::new();
    for value in values {
        let text = reader::symbol(pages, value)?;
        if matcher.matches(&text) == matches {
            wanted.insert(value);
        }
    }
    each_value(pages, &place, range, &mut |_, symbol, listed| {
        if wanted.contains(symbol) { listed.add_to(&mut found) } else { Some(()) }
    })?;
    Ok(found)
}

/// Symbols that may begin with `prefix`.
fn prefix_range(pages: &mut CachedPages<'_>, prefix: &str) -> Result<(u32, u32), DecodeError> {
    if prefix.is_empty() {
        return Ok((0, u32::MAX));
    }
    let (from, _) = reader::find_symbol(pages, prefix)?;
    // The least text above all that begin with it; its last character counted up.
    let mut above: Vec<char> = prefix.chars().collect();
    while let Some(last) = above.pop() {
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            above.push(next);
            let above: String = above.into_iter().collect();
            let (to, _) = reader::find_symbol(pages, &above)?;
            return Ok((from, to));
        }
    }
    Ok((from, u32::MAX))
}

fn add_literal(
    pages: &mut CachedPages<'_>,
    place: &LabelPlace,
    text: &str,
    found: &mut RoaringBitmap,
) -> Result<(), DecodeError> {
    let (symbol, known) = reader::find_symbol(pages, text)?;
    if !known {
        return Ok(());
    }
    each_value(pages, place, (symbol, symbol.saturating_add(1)), &mut |_, _, listed| {
        listed.add_to(found)
    })
}
