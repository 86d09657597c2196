//! Scan: reading a body by the layout of the one before.
//!
//! Path: body, `layout` → **scan** → values by ordinal, strays for whatever was not predicted.
//! While the bytes at the cursor are those the layout has, only values are parsed. Where they
//! differ the general parser reads up to the next sample, which is looked up by its series text:
//! a known one sets the prediction to its successor, an unknown one is a stray.
//! Never: looks at anything but the body and the layout; two scans of them give the same.
//!
//! Invariants
//! - C1: a scan gives the samples that the general parser gives, or its error.

use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashTable;
use model::bitmap::Bitmap;
use model::native_histogram::NativeHistogram;
use model::time::TimestampMs;
use xxhash_rust::xxh3::xxh3_64;

use crate::body::{Format, ReadOptions, read};
use crate::dialect::{Dialect, DialectParser};
use crate::entry::{Entry, Exemplar, HistogramSample, Sample};
use crate::error::{BodyError, TextError};
use crate::layout::{Layout, offset32};
use crate::metric_type::MetricType;
use crate::number;
use crate::simd;

/// Exemplars that one scan keeps: as many as Prometheus keeps of all targets unless told otherwise.
pub const EXEMPLARS_MAX: usize = 100_000;

/// What a scan found; reused, so that its memory is kept.
#[derive(Default)]
pub struct Scan {
    /// Value by ordinal of the layout; meaningful where `seen` is set.
    pub values: Vec<f64>,
    /// Ordinals of the layout that the body has without a timestamp.
    pub seen: Bitmap,
    /// Samples that are not among `values`, in order of the body.
    pub strays: Vec<Stray>,
    /// All samples of the body.
    pub samples: usize,
    /// Strays that are a further sample of a series without a timestamp.
    pub duplicates: usize,
    /// Samples that were not where the layout predicted them; many ask for a new layout.
    pub unpredicted: usize,
    /// Exemplars in order of the body, at most [`EXEMPLARS_MAX`].
    pub exemplars: Vec<FoundExemplar>,
    /// Exemplars beyond the bound.
    pub exemplars_left_out: usize,
    /// Native histograms in order of the body; they are strays by nature.
    pub histograms: Vec<FoundHistogram>,
    /// Start timestamps of the samples among `values`, by ordinal, where they were asked for.
    pub starts: Vec<(u32, TimestampMs)>,
    /// Texts of series and labels where [`scan_entries`] made them; else those are in the body.
    texts: Vec<u8>,
    by_entries: bool,
    /// Strays without a timestamp by series text.
    stray_series: HashTable<u32>,
}

/// A sample that has no place among the values of the scan.
#[derive(Clone, Debug, PartialEq)]
pub struct Stray {
    /// Where its name and labels stand; read by `parse_series`.
    pub series: Range<u32>,
    /// Its ordinal if the layout has the series: then it has a timestamp or is a duplicate.
    pub ordinal: Option<u32>,
    /// Its value.
    pub value: f64,
    /// Its explicit timestamp.
    pub timestamp: Option<TimestampMs>,
    /// Type that `parse_series` wants.
    pub metric_type: MetricType,
    /// When the counting began, where it was asked for.
    pub start: Option<TimestampMs>,
    /// Whether neither this sample nor an earlier one of the same series has a timestamp; the
    /// first of them counts.
    pub duplicate: bool,
}

/// An exemplar and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundExemplar {
    /// Where name and labels of its sample stand; read by `parse_series`.
    pub series: Range<u32>,
    /// Type that `parse_series` wants.
    pub metric_type: MetricType,
    /// Where its own labels stand; read by `parse_exemplar_labels`.
    pub labels: Range<u32>,
    /// What was observed.
    pub value: f64,
    /// When.
    pub timestamp: Option<TimestampMs>,
}

/// A native histogram and its series.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundHistogram {
    /// Where name and labels stand; read by `parse_series`.
    pub series: Range<u32>,
    /// The histogram.
    pub histogram: Arc<NativeHistogram>,
    /// Its explicit timestamp.
    pub timestamp: Option<TimestampMs>,
    /// Type that `parse_series` wants.
    pub metric_type: MetricType,
    /// When the counting began.
    pub start: Option<TimestampMs>,
}

impl Stray {
    /// Name and labels as they stand in `texts`, see [`Scan::take_texts`].
    #[must_use]
    pub fn series_text<'a>(&self, texts: &'a [u8]) -> &'a [u8] {
        &texts[self.series.start as usize..self.series.end as usize]
    }
}

/// Reads `body`, which is in `dialect`, by `layout` into `scan`, whose former content goes. With an
/// empty layout every sample is a stray.
///
/// # Errors
/// Where and why the body is not in its dialect; `scan` then holds what was read before.
pub fn scan(
    dialect: Dialect,
    body: &[u8],
    layout: &Layout,
    scan: &mut Scan,
) -> Result<(), TextError> {
    if u32::MAX as usize <= body.len() {
        return Err(TextError::at(b"", 0, "body of 4 GiB or more".to_owned()));
    }
    scan.reset(layout.samples());
    let next = Next::new(layout);
    let mut cursor = Cursor { dialect, body, at: 0, next, metric_type: MetricType::Unknown };
    // What one dialect allows above a sample, the other may refuse.
    let predicts = layout.dialect() == Some(dialect);
    loop {
        if predicts {
            cursor.follow(scan);
        }
        if cursor.at_end() || !cursor.step(scan)? {
            break;
        }
    }
    scan.check();
    Ok(())
}

/// Reads `body` of any format, entry by entry, into `scan`, whose former content goes. A sample
/// that the layout predicts costs a comparison of its series text; of histograms nothing is
/// predicted.
///
/// # Errors
/// Where and why the body is not in its format; `scan` then holds what was read before.
pub fn scan_entries(
    format: Format,
    options: ReadOptions,
    body: &[u8],
    layout: &Layout,
    scan: &mut Scan,
) -> Result<(), BodyError> {
    scan.reset(layout.samples());
    scan.by_entries = true;
    let mut texts = std::mem::take(&mut scan.texts);
    let mut next = Next::new(layout);
    next.starts = options.start_timestamps;
    let mut full = false;
    let done = read(format, options, body, &mut |entry| match entry {
        // The longest text is made of a body, every byte of it escaped.
        _ if u32::MAX as usize / 2 <= texts.len() + body.len() => full = true,
        Entry::Sample(sample) => next.take(sample, &mut texts, scan),
        Entry::Histogram(sample) => scan.histogram(sample, &mut texts),
        _ => {}
    });
    scan.texts = texts;
    done?;
    if full {
        return Err(TextError::at(b"", 0, "series texts of 2 GiB or more".to_owned()).into());
    }
    scan.check();
    Ok(())
}

impl Scan {
    fn reset(&mut self, samples: usize) {
        self.values.resize(samples, 0.0);
        self.seen.reset(samples);
        self.strays.clear();
        self.stray_series.clear();
        self.samples = 0;
        self.duplicates = 0;
        self.unpredicted = 0;
        self.exemplars.clear();
        self.exemplars_left_out = 0;
        self.histograms.clear();
        self.starts.clear();
        self.texts.clear();
        self.by_entries = false;
    }

    /// What the ranges of strays, exemplars and histograms mean: `body`, or the texts that were
    /// made. Given back with [`Scan::keep_texts`], so that their memory is used again.
    #[must_use]
    pub fn take_texts(&mut self) -> Option<Vec<u8>> {
        self.by_entries.then(|| std::mem::take(&mut self.texts))
    }

    /// Takes back what [`Scan::take_texts`] gave.
    pub fn keep_texts(&mut self, texts: Option<Vec<u8>>) {
        self.texts = texts.unwrap_or_default();
    }

    fn check(&self) {
        assert_eq!(
            self.samples,
            self.seen.count_ones() + self.strays.len() + self.histograms.len(),
            "C1: each sample is a value, a stray or a histogram"
        );
    }

    fn histogram(&mut self, sample: &HistogramSample<'_>, texts: &mut Vec<u8>) {
        self.samples += 1;
        let series_start = texts.len();
        texts.extend_from_slice(sample.series);
        let series = range32(series_start, sample.series);
        for exemplar in &sample.exemplars {
            let labels_start = texts.len();
            texts.extend_from_slice(exemplar.labels);
            let exemplar = Exemplar { labels_start, ..*exemplar };
            self.exemplar(series.clone(), sample.metric_type, &exemplar);
        }
        self.histograms.push(FoundHistogram {
            series,
            histogram: Arc::new(sample.histogram.clone()),
            timestamp: sample.timestamp,
            metric_type: sample.metric_type,
            start: sample.start,
        });
    }

    /// Adds an exemplar.
    fn exemplar(&mut self, series: Range<u32>, metric_type: MetricType, exemplar: &Exemplar<'_>) {
        if EXEMPLARS_MAX <= self.exemplars.len() {
            self.exemplars_left_out += 1;
            return;
        }
        self.exemplars.push(FoundExemplar {
            series,
            metric_type,
            labels: range32(exemplar.labels_start, exemplar.labels),
            value: exemplar.value,
            timestamp: exemplar.timestamp,
        });
    }

    /// Adds a stray; one that the layout knows and that has no timestamp is a duplicate.
    fn stray(&mut self, body: &[u8], sample: &Sample<'_>, ordinal: Option<usize>) {
        let duplicate = sample.timestamp.is_none()
            && (ordinal.is_some() || !self.first_of_series(body, sample.series));
        self.duplicates += usize::from(duplicate);
        self.strays.push(Stray {
            series: range32(sample.series_start, sample.series),
            ordinal: ordinal.map(offset32),
            value: sample.value,
            timestamp: sample.timestamp,
            metric_type: sample.metric_type,
            start: sample.start,
            duplicate,
        });
    }

    /// Whether no stray without timestamp had this series; the next stray to be added is noted.
    fn first_of_series(&mut self, body: &[u8], series: &[u8]) -> bool {
        let text = |at: &u32| self.strays[*at as usize].series_text(body);
        let hash = xxh3_64(series);
        if self.stray_series.find(hash, |at| text(at) == series).is_some() {
            return false;
        }
        let at = offset32(self.strays.len());
        self.stray_series.insert_unique(hash, at, |at| xxh3_64(text(at)));
        true
    }
}

struct Cursor<'a> {
    dialect: Dialect,
    body: &'a [u8],
    /// Where the next entry of the body begins.
    at: usize,
    /// What is predicted there.
    next: Next<'a>,
    /// Type of the last `# TYPE` line.
    metric_type: MetricType,
}

impl Cursor<'_> {
    fn at_end(&self) -> bool {
        let rest = &self.body[self.at..];
        let layout = self.next.layout;
        let predicted = layout.dialect() == Some(self.dialect)
            && self.next.ordinal == layout.samples()
            && rest == layout.tail();
        // An OpenMetrics body ends with a word, which a predicted tail has and an empty rest not.
        predicted || (self.dialect == Dialect::Text && rest.is_empty())
    }

    /// Goes on as long as the body is as predicted.
    fn follow(&mut self, scan: &mut Scan) {
        let from = self.next.ordinal;
        let values = &mut scan.values[..self.next.until];
        let layout = self.next.layout;
        self.at = follow(self.body, self.at, layout, &mut self.next.ordinal, values);
        set_range(&mut scan.seen, from..self.next.ordinal);
        scan.samples += self.next.ordinal - from;
        let declared = layout.type_within(from, self.next.ordinal);
        self.metric_type = declared.unwrap_or(self.metric_type);
    }

    /// Reads entries up to and with the next sample by the general parser; whether there was one.
    fn step(&mut self, scan: &mut Scan) -> Result<bool, TextError> {
        let (body, at) = (self.body, self.at);
        let mut parser = DialectParser::resume(self.dialect, body, at, self.metric_type);
        for entry in parser.by_ref() {
            let Entry::Sample(sample) = entry? else { continue };
            self.next.place(body, &sample, scan);
            self.metric_type = sample.metric_type;
            self.at = parser.position();
            return Ok(true);
        }
        Ok(false)
    }
}

/// What a layout predicts next.
struct Next<'a> {
    layout: &'a Layout,
    /// The sample that is predicted.
    ordinal: usize,
    /// The first ordinal from `ordinal` on that has been seen, else the number of samples.
    until: usize,
    /// Whether start timestamps are wanted.
    starts: bool,
}

impl Next<'_> {
    fn new(layout: &Layout) -> Next<'_> {
        Next { layout, ordinal: 0, until: layout.samples(), starts: false }
    }

    /// Takes a sample that has no place in a body; `texts` keeps of it what is not predicted.
    fn take(&mut self, sample: &Sample<'_>, texts: &mut Vec<u8>, scan: &mut Scan) {
        let predicted = self.ordinal < self.until
            && sample.timestamp.is_none()
            && self.layout.series_text(self.ordinal) == sample.series;
        if predicted && sample.exemplar.is_none() {
            scan.samples += 1;
            self.see(self.ordinal, sample, scan);
            self.ordinal += 1;
            return;
        }
        let series_start = texts.len();
        texts.extend_from_slice(sample.series);
        let labels_start = texts.len();
        let exemplar = sample.exemplar.map(|exemplar| {
            texts.extend_from_slice(exemplar.labels);
            Exemplar { labels_start, ..exemplar }
        });
        self.place(texts, &Sample { series_start, exemplar, ..sample.clone() }, scan);
    }

    fn see(&self, ordinal: usize, sample: &Sample<'_>, scan: &mut Scan) {
        scan.values[ordinal] = sample.value;
        scan.seen.set(ordinal);
        if let Some(start) = sample.start.filter(|_| self.starts) {
            scan.starts.push((offset32(ordinal), start));
        }
    }

    /// Finds the place of a sample of `body` by its series text.
    fn place(&mut self, body: &[u8], sample: &Sample<'_>, scan: &mut Scan) {
        let ordinal = self.layout.ordinal(sample.series);
        scan.samples += 1;
        // With an exemplar a sample goes this way wherever it stands.
        let as_predicted = sample.exemplar.is_some() && ordinal == Some(self.ordinal);
        scan.unpredicted += usize::from(!as_predicted);
        if let Some(exemplar) = &sample.exemplar {
            let series = range32(sample.series_start, sample.series);
            scan.exemplar(series, sample.metric_type, exemplar);
        }
        match ordinal.filter(|ordinal| sample.timestamp.is_none() && !scan.seen.get(*ordinal)) {
            Some(ordinal) => {
                self.see(ordinal, sample, scan);
                // A step ahead that passes nothing seen leaves `until` as it is.
                if ordinal < self.ordinal || self.until <= ordinal {
                    self.until = first_seen(&scan.seen, ordinal + 1);
                }
                self.ordinal = ordinal + 1;
            }
            None => scan.stray(body, sample, ordinal),
        }
    }
}

/// The bytes of `part`, which begins at `start`.
fn range32(start: usize, part: &[u8]) -> Range<u32> {
    offset32(start)..offset32(start + part.len())
}

/// The first bit from `from` on that is 1, else the number of bits; a word at a time, so that no
/// order of the samples makes a scan slow.
fn first_seen(bits: &Bitmap, from: usize) -> usize {
    let words = bits.words().iter().enumerate().skip(from / 64);
    for (at, word) in words {
        let skipped = if at == from / 64 { from % 64 } else { 0 };
        let rest = word >> skipped;
        if rest != 0 {
            return at * 64 + skipped + rest.trailing_zeros() as usize;
        }
    }
    bits.len()
}

/// Makes the bits of `range` 1, a word at a time.
fn set_range(bits: &mut Bitmap, range: Range<usize>) {
    let words = bits.words_mut();
    let mut from = range.start;
    while from < range.end {
        let (word, bit) = (from / 64, from % 64);
        let count = (64 - bit).min(range.end - from);
        words[word] |= (u64::MAX >> (64 - count)) << bit;
        from += count;
    }
}

/// Reads values as long as the bytes at `at` are the prefix of sample `ordinal`, a number and a
/// line end; `values` ends where it must stop. Gives where the body no longer is as predicted.
fn follow(
    body: &[u8],
    at: usize,
    layout: &Layout,
    ordinal: &mut usize,
    values: &mut [f64],
) -> usize {
    let mut at = at;
    let mut prefix_start = layout.prefix_start(*ordinal);
    let ends = &layout.prefix_ends()[*ordinal..values.len()];
    for (end, value) in ends.iter().zip(&mut values[*ordinal..]) {
        let prefix = &layout.arena()[prefix_start..*end as usize];
        let rest = &body[at..];
        if !simd::starts_with(rest, prefix) {
            break;
        }
        let Some((number, bytes)) = number::parse_line(&rest[prefix.len()..]) else { break };
        *value = number;
        at += prefix.len() + bytes;
        prefix_start = *end as usize;
        *ordinal += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::learn;

    const BEFORE: &str = "# HELP a A.\n# TYPE a counter\na{x=\"1\"} 1\na{x=\"2\"} 2\nb 3\nc 4\n";

    /// Scans `body` by the layout of `BEFORE`: values by ordinal, strays, how many unpredicted.
    #[track_caller]
    fn check(body: &str, expected: &str) {
        let layout = learn(Dialect::Text, BEFORE.as_bytes()).expect("the body is valid");
        let mut found = Scan::default();
        scan(Dialect::Text, body.as_bytes(), &layout, &mut found).expect("the body is valid");
        let value = |ordinal| {
            if found.seen.get(ordinal) { found.values[ordinal].to_string() } else { "-".to_owned() }
        };
        let mut text = (0..layout.samples()).map(value).collect::<Vec<_>>().join(" ");
        for stray in &found.strays {
            let series = String::from_utf8_lossy(stray.series_text(body.as_bytes()));
            let mark = if stray.duplicate { "!" } else { "" };
            text.push_str(&format!(", {mark}{series} {}", stray.value));
        }
        assert_eq!(format!("{text}; {}", found.unpredicted), expected);
    }

    #[test]
    fn as_predicted() {
        check(BEFORE, "1 2 3 4; 0");
        check(&BEFORE.replace('3', "-7.5e-05"), "1 2 -0.000075 4; 0");
        check(BEFORE.trim_end(), "1 2 3 4; 1");
        check("", "- - - -; 0");
    }

    #[test]
    fn prediction_is_found_again_after_one_line() {
        check(&BEFORE.replace("A.", "Another."), "1 2 3 4; 1");
        check(&BEFORE.replace("# HELP a A.\n", ""), "1 2 3 4; 1");
        check(&BEFORE.replace("a{x=\"2\"} 2\n", ""), "1 - 3 4; 1");
        check(&BEFORE.replace("a{x=\"2\"}", "a{x=\"0\"}"), "1 - 3 4, a{x=\"0\"} 2; 2");
        check(&BEFORE.replace("b 3", "a{x=\"3\"} 9\nb 3"), "1 2 3 4, a{x=\"3\"} 9; 1");
        check(&BEFORE.replace("b 3", "b  3"), "1 2 3 4; 1");
        check(&BEFORE.replace("b 3\nc 4", "c 4\nb 3"), "1 2 3 4; 2");
    }

    #[test]
    fn timestamps_and_duplicates_are_strays() {
        check(&BEFORE.replace("b 3", "b 3 1000"), "1 2 - 4, b 3; 2");
        check(&BEFORE.replace("b 3", "b 3\nb 5"), "1 2 3 4, !b 5; 1");
        check(
            &BEFORE.replace("c 4", "d 4\nd 5\nd 6 7\na{x=\"1\"} 8"),
            "1 2 3 -, d 4, !d 5, d 6, !a{x=\"1\"} 8; 4",
        );
    }

    #[test]
    fn c1_a_fault_is_the_general_parser_s() {
        let layout = learn(Dialect::Text, BEFORE.as_bytes()).expect("the body is valid");
        let body = BEFORE.replace("b 3", "b three");
        let error = scan(Dialect::Text, body.as_bytes(), &layout, &mut Scan::default())
            .expect_err("no number");
        assert_eq!(error.to_string(), "5:3: strconv.ParseFloat: parsing \"three\": invalid syntax");
    }
}
