//! Layout: what a target's last body looked like, values left out.
//!
//! Path: first body → `learn` → **layout** → `scan` of the bodies that follow.
//! Owns: for each sample in order all bytes before its value, one behind the other in an arena.
//! Never: changes once made; so targets that answer alike share one.
//!
//! Invariants
//! - Y1: no two samples of a layout have the same series text.
//! - Y2: the prefixes of all samples, then the tail, fill the arena without a gap.

use std::fmt;
use std::sync::{Arc, Weak};

use hashbrown::HashTable;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::body::{Format, ReadOptions, read};
use crate::dialect::{Dialect, DialectParser};
use crate::entry::{Entry, Sample};
use crate::error::{BodyError, TextError};
use crate::metric_type::MetricType;
use crate::series_text::write_metadata;

/// Bytes of a body that offsets can name.
const BODY_BYTES_MAX: usize = u32::MAX as usize;

/// Bytes that a sample takes in the bodies of common exporters, with its share of the comments:
/// node_exporter 125, kube-state-metrics 140 (bench parse). Only sizes what grows anyway.
const BYTES_A_SAMPLE: usize = 100;
/// Offsets that are hashed at once.
const PREFIXES_HASHED_AT_ONCE: usize = 64;

/// What a body looked like: its samples without explicit timestamps, each series once.
pub struct Layout {
    arena: Box<[u8]>,
    /// For each sample where its prefix ends in `arena`, which is where its value would stand.
    prefix_ends: Box<[u32]>,
    /// For each sample where its series text begins in `arena`.
    series_starts: Box<[u32]>,
    /// Where another type begins to hold, ordinals rising.
    types: Box<[TypeFrom]>,
    /// Comments that stood above samples that are not in the layout.
    other_comments: Box<[u8]>,
    /// Ordinals by series text.
    ordinals: HashTable<u32>,
    /// Dialect of the arena.
    dialect: Dialect,
    /// Whether the arena was made of entries, not taken from a body.
    by_entries: bool,
    hash: u64,
}

/// From sample `ordinal` on the type is `metric_type`.
#[derive(Clone, Copy, PartialEq, Eq)]
struct TypeFrom {
    ordinal: u32,
    metric_type: MetricType,
    /// Whether the `# TYPE` line is in the prefix of that sample; else it stood above samples that
    /// are not in the layout.
    in_prefix: bool,
}

impl Default for Layout {
    /// The layout of an empty body: it predicts nothing.
    fn default() -> Layout {
        Learner::default().finish(b"")
    }
}

impl fmt::Debug for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Layout({} samples, {:016x})", self.samples(), self.hash)
    }
}

impl Layout {
    /// Dialect of the bodies that may be compared with the layout byte by byte, if there is one.
    #[must_use]
    pub fn dialect(&self) -> Option<Dialect> {
        (!self.by_entries).then_some(self.dialect)
    }

    /// Number of samples.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.prefix_ends.len()
    }

    /// Name and labels of sample `ordinal` as they stood in the body.
    ///
    /// # Panics
    /// `ordinal < samples()` is the caller's part.
    #[must_use]
    pub fn series_text(&self, ordinal: usize) -> &[u8] {
        let start = self.series_starts[ordinal] as usize;
        self.arena[start..self.prefix_ends[ordinal] as usize].trim_ascii_end()
    }

    /// Type that the last `# TYPE` line above sample `ordinal` declared.
    #[must_use]
    pub fn metric_type(&self, ordinal: usize) -> MetricType {
        let above = self.types_until(ordinal);
        above.last().map_or(MetricType::Unknown, |from| from.metric_type)
    }

    /// The type that the last `# TYPE` line within the prefixes of samples `from..until` declared.
    pub(crate) fn type_within(&self, from: usize, until: usize) -> Option<MetricType> {
        let above = self.types_until(until.checked_sub(1)?);
        let within = above.iter().rev().take_while(|types| from <= types.ordinal as usize);
        within.filter(|types| types.in_prefix).map(|types| types.metric_type).next()
    }

    fn types_until(&self, ordinal: usize) -> &[TypeFrom] {
        &self.types[..self.types.partition_point(|from| from.ordinal as usize <= ordinal)]
    }

    /// The sample whose series text is `series`.
    #[must_use]
    pub fn ordinal(&self, series: &[u8]) -> Option<usize> {
        let same = |ordinal: &u32| self.series_text(*ordinal as usize) == series;
        self.ordinals.find(xxh3_64(series), same).map(|ordinal| *ordinal as usize)
    }

    /// Shows `visit` every `# HELP`, `# TYPE` and `# UNIT` line of the body.
    pub fn visit_metadata(&self, mut visit: impl FnMut(&Entry<'_>)) {
        let mut visit_all = |comments: &[u8]| {
            for entry in DialectParser::new(self.dialect, comments).map_while(Result::ok) {
                if !matches!(entry, Entry::Comment { .. } | Entry::Sample(_)) {
                    visit(&entry);
                }
            }
        };
        for ordinal in 0..self.samples() {
            visit_all(
                &self.arena[self.prefix_start(ordinal)..self.series_starts[ordinal] as usize],
            );
        }
        visit_all(&self.arena[self.prefix_start(self.samples())..]);
        visit_all(&self.other_comments);
    }

    /// Hash of everything in the layout; equal layouts have equal hashes.
    #[must_use]
    pub fn hash64(&self) -> u64 {
        self.hash
    }

    /// Bytes of memory behind the layout.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.arena.len()
            + self.other_comments.len()
            + size_of_val(&*self.prefix_ends)
            + size_of_val(&*self.series_starts)
            + size_of_val(&*self.types)
            + self.ordinals.allocation_size()
    }

    /// Where the prefix of `ordinal` begins in the arena; that of the tail for `samples()`.
    pub(crate) fn prefix_start(&self, ordinal: usize) -> usize {
        ordinal.checked_sub(1).map_or(0, |before| self.prefix_ends[before] as usize)
    }

    /// All prefixes, one behind the other.
    pub(crate) fn arena(&self) -> &[u8] {
        &self.arena
    }

    /// Where each prefix ends in the arena.
    pub(crate) fn prefix_ends(&self) -> &[u32] {
        &self.prefix_ends
    }

    /// What stood behind the last sample.
    pub(crate) fn tail(&self) -> &[u8] {
        &self.arena[self.prefix_start(self.samples())..]
    }

    fn same_content(&self, other: &Layout) -> bool {
        self.hash == other.hash
            && self.dialect == other.dialect
            && self.by_entries == other.by_entries
            && self.prefix_ends == other.prefix_ends
            && self.series_starts == other.series_starts
            && self.types == other.types
            && self.arena == other.arena
            && self.other_comments == other.other_comments
    }
}

/// The layout of `body`. Samples with explicit timestamps, and all but the first of a series that
/// occurs again, are left out: `scan` gives them as strays.
///
/// # Errors
/// Where and why the body is not in its dialect, or has 4 GiB or more.
pub fn learn(dialect: Dialect, body: &[u8]) -> Result<Layout, TextError> {
    if BODY_BYTES_MAX <= body.len() {
        return Err(too_large());
    }
    let mut learner = Learner::sized_for(dialect, body);
    let mut parser = DialectParser::new(dialect, body);
    let mut entry_start = 0;
    while let Some(entry) = parser.next() {
        match entry? {
            Entry::Sample(sample) => {
                learner.add(body, entry_start, &sample);
                entry_start = parser.position();
            }
            Entry::Type { .. } => learner.type_declared = true,
            _ => {}
        }
    }
    Ok(learner.finish(&body[entry_start..]))
}

/// The layout of a body of any format, made of its entries. As in [`learn`], samples with
/// timestamps and repeated ones are left out, and so are native histograms.
///
/// # Errors
/// Where and why the body is not in its format, or has 4 GiB or more.
pub fn learn_entries(
    format: Format,
    options: ReadOptions,
    body: &[u8],
) -> Result<Layout, BodyError> {
    if BODY_BYTES_MAX <= body.len() {
        return Err(too_large().into());
    }
    // The lines of metadata that are made here are OpenMetrics.
    let mut learner = Learner { by_entries: true, ..Learner::default() };
    learner.dialect = Dialect::OpenMetrics;
    let mut comments = Vec::new();
    let mut full = false;
    read(format, options, body, &mut |entry| match entry {
        // Texts may be longer than the body that they were made of.
        Entry::Sample(sample) if learner.has_room(comments.len() + sample.series.len() + 1) => {
            learner.add_entry(&mut comments, sample);
        }
        Entry::Sample(_) => full = true,
        Entry::Type { .. } => {
            learner.type_declared = true;
            write_metadata(entry, &mut comments);
        }
        _ => write_metadata(entry, &mut comments),
    })?;
    if full || !learner.has_room(comments.len()) {
        Err(too_large().into())
    } else {
        Ok(learner.finish(&comments))
    }
}

fn too_large() -> TextError {
    TextError::at(b"", 0, "body of 4 GiB or more".to_owned())
}

#[derive(Default)]
struct Learner {
    arena: Vec<u8>,
    prefix_ends: Vec<u32>,
    series_starts: Vec<u32>,
    types: Vec<TypeFrom>,
    other_comments: Vec<u8>,
    ordinals: HashTable<u32>,
    dialect: Dialect,
    by_entries: bool,
    /// Whether a `# TYPE` line stands between the last sample and the next.
    type_declared: bool,
}

impl Learner {
    /// A learner that need not grow while it reads most bodies.
    fn sized_for(dialect: Dialect, body: &[u8]) -> Learner {
        let samples = body.len() / BYTES_A_SAMPLE;
        Learner {
            arena: Vec::with_capacity(body.len()),
            prefix_ends: Vec::with_capacity(samples),
            series_starts: Vec::with_capacity(samples),
            ordinals: HashTable::with_capacity(samples),
            dialect,
            ..Learner::default()
        }
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.arena.len() + self.other_comments.len() + bytes < BODY_BYTES_MAX
    }

    /// Adds the sample before which, from `entry_start` on, only comments stand.
    fn add(&mut self, body: &[u8], entry_start: usize, sample: &Sample<'_>) {
        let comments = &body[entry_start..sample.series_start];
        self.add_prefix(comments, &body[sample.series_start..sample.value_start], sample);
    }

    /// Adds a sample that has no place in a body; `comments` are those above it, and go.
    fn add_entry(&mut self, comments: &mut Vec<u8>, sample: &Sample<'_>) {
        self.add_prefix(comments, sample.series, sample);
        comments.clear();
    }

    /// Adds a sample whose prefix is `comments` and `series`.
    fn add_prefix(&mut self, comments: &[u8], series: &[u8], sample: &Sample<'_>) {
        let in_prefix = std::mem::take(&mut self.type_declared);
        let hash = xxh3_64(sample.series);
        let known = self.ordinals.find(hash, |ordinal| self.series(*ordinal) == sample.series);
        if known.is_some() || sample.timestamp.is_some() {
            self.other_comments.extend_from_slice(comments);
            return;
        }
        let ordinal = offset32(self.prefix_ends.len());
        self.series_starts.push(offset32(self.arena.len() + comments.len()));
        self.arena.extend_from_slice(comments);
        self.arena.extend_from_slice(series);
        self.prefix_ends.push(offset32(self.arena.len()));
        let metric_type = sample.metric_type;
        let last = self.types.last().map_or(MetricType::Unknown, |last| last.metric_type);
        if in_prefix || last != metric_type {
            self.types.push(TypeFrom { ordinal, metric_type, in_prefix });
        }
        let (arena, starts, ends) = (&self.arena, &self.series_starts, &self.prefix_ends);
        let rehash = |ordinal: &u32| xxh3_64(series_of(arena, starts, ends, *ordinal));
        self.ordinals.insert_unique(hash, ordinal, rehash);
    }

    fn series(&self, ordinal: u32) -> &[u8] {
        series_of(&self.arena, &self.series_starts, &self.prefix_ends, ordinal)
    }

    fn finish(mut self, tail: &[u8]) -> Layout {
        assert_eq!(self.ordinals.len(), self.prefix_ends.len(), "Y1: a series text occurs once");
        assert_eq!(
            self.prefix_ends.last().copied().unwrap_or(0) as usize,
            self.arena.len(),
            "Y2: the tail follows the last prefix"
        );
        self.arena.extend_from_slice(tail);
        let mut hasher = Xxh3::new();
        hasher.update(&self.arena);
        hasher.update(&self.other_comments);
        for ends in self.prefix_ends.chunks(PREFIXES_HASHED_AT_ONCE) {
            let mut bytes = [0_u8; 4 * PREFIXES_HASHED_AT_ONCE];
            for (to, end) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(ends) {
                *to = end.to_le_bytes();
            }
            hasher.update(&bytes);
        }
        let (arena, starts, ends) = (&self.arena, &self.series_starts, &self.prefix_ends);
        self.ordinals.shrink_to_fit(|ordinal| xxh3_64(series_of(arena, starts, ends, *ordinal)));
        Layout {
            arena: self.arena.into(),
            prefix_ends: self.prefix_ends.into(),
            series_starts: self.series_starts.into(),
            types: self.types.into(),
            other_comments: self.other_comments.into(),
            ordinals: self.ordinals,
            dialect: self.dialect,
            by_entries: self.by_entries,
            hash: hasher.digest(),
        }
    }
}

fn series_of<'a>(arena: &'a [u8], starts: &[u32], ends: &[u32], ordinal: u32) -> &'a [u8] {
    arena[starts[ordinal as usize] as usize..ends[ordinal as usize] as usize].trim_ascii_end()
}

/// A place in a body as an offset; bodies of 4 GiB and more are refused at the entrance.
pub(crate) fn offset32(offset: usize) -> u32 {
    u32::try_from(offset).expect("bodies are shorter than 4 GiB")
}

/// Layouts of a shard's targets, equal ones kept once. Holds them weakly: one that no target uses
/// goes with the next sweep.
pub struct LayoutTable {
    layouts: HashTable<Weak<Layout>>,
    layouts_max: usize,
    unshared: u64,
}

impl LayoutTable {
    /// An empty table of at most `layouts_max` layouts; beyond that they are handed out unshared.
    #[must_use]
    pub fn new(layouts_max: usize) -> LayoutTable {
        LayoutTable { layouts: HashTable::new(), layouts_max, unshared: 0 }
    }

    /// The layout that equals `layout`: an earlier one if there is one.
    pub fn intern(&mut self, layout: Layout) -> Arc<Layout> {
        let same = |known: &Weak<Layout>| known.upgrade().filter(|l| l.same_content(&layout));
        let found = self.layouts.find(layout.hash, |known| same(known).is_some());
        if let Some(known) = found.and_then(Weak::upgrade) {
            return known;
        }
        if self.layouts_max <= self.layouts.len() {
            self.sweep();
        }
        let layout = Arc::new(layout);
        if self.layouts.len() < self.layouts_max {
            let rehash = |known: &Weak<Layout>| known.upgrade().map_or(0, |layout| layout.hash);
            self.layouts.insert_unique(layout.hash, Arc::downgrade(&layout), rehash);
        } else {
            self.unshared += 1;
        }
        layout
    }

    /// How many layouts were handed out unshared because the table was full.
    #[must_use]
    pub fn unshared(&self) -> u64 {
        self.unshared
    }

    /// Forgets the layouts that no target uses.
    pub fn sweep(&mut self) {
        self.layouts.retain(|layout| 0 < layout.strong_count());
    }

    /// Number of layouts, unused ones included until the next sweep.
    #[must_use]
    pub fn len(&self) -> usize {
        self.layouts.len()
    }

    /// Whether there is no layout.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.layouts.is_empty()
    }

    /// Bytes of memory of the table and the layouts in it.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let layouts = self.layouts.iter().filter_map(Weak::upgrade);
        layouts.map(|layout| layout.heap_bytes()).sum::<usize>() + self.layouts.allocation_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] =
        b"# HELP a A.\n# TYPE a counter\na 1\na 2\n# TYPE t gauge\nt 1 2\nb{} 3\n# c\n";

    fn layout(body: &[u8]) -> Layout {
        learn(Dialect::Text, body).expect("the body is valid")
    }

    #[test]
    fn y1_a_series_that_occurs_again_is_left_out() {
        let layout = layout(BODY);
        assert_eq!(layout.samples(), 2);
        assert_eq!([layout.series_text(0), layout.series_text(1)], [&b"a"[..], b"b{}"]);
        assert_eq!(layout.ordinal(b"b{}"), Some(1));
        assert_eq!([layout.ordinal(b"t"), layout.ordinal(b"b")], [None; 2]);
        assert_eq!(
            [0, 1].map(|at| layout.metric_type(at)),
            [MetricType::Counter, MetricType::Gauge]
        );
        assert_eq!(layout.type_within(0, 2), Some(MetricType::Counter), "t's is in no prefix");
    }

    #[test]
    fn y2_prefixes_and_tail_are_the_body_without_values() {
        let layout = layout(BODY);
        let prefixes = b"# HELP a A.\n# TYPE a counter\na b{} # c\n";
        assert_eq!(layout.arena(), prefixes);
        assert_eq!(layout.tail(), b"# c\n");
        assert_eq!(Layout::default().samples(), 0);
    }

    #[test]
    fn metadata_of_all_samples_is_shown() {
        let mut shown = Vec::new();
        layout(BODY).visit_metadata(|entry| {
            shown.push(match entry {
                Entry::Help { name, help } => format!("{name}: {help}"),
                Entry::Type { name, metric_type } => format!("{name}: {}", metric_type.text()),
                other => format!("{other:?}"),
            });
        });
        assert_eq!(shown, ["a: A.", "a: counter", "t: gauge"]);
    }

    #[test]
    fn a_full_table_hands_layouts_out_unshared() {
        let mut table = LayoutTable::new(1);
        let first = table.intern(layout(b"a 1\n"));
        assert!(Arc::ptr_eq(&first, &table.intern(layout(b"a 2\n"))));
        let second = table.intern(layout(b"b 1\n"));
        assert!(!Arc::ptr_eq(&second, &table.intern(layout(b"b 1\n"))));
        assert_eq!((table.len(), table.unshared()), (1, 2));
        drop(first);
        let third = table.intern(layout(b"b 1\n"));
        assert!(Arc::ptr_eq(&third, &table.intern(layout(b"b 1\n"))));
        assert!(third.heap_bytes() < table.heap_bytes());
        drop((second, third));
        table.sweep();
        assert!(table.is_empty());
    }
}
