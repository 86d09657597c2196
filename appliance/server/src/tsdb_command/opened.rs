//! Opened: a data directory of either kind, and its series.
//!
//! Path: subcommands → **opened** → `own`, `tsdb`.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use api::selector::parse_selector;
use machine::offline::is_data_directory;
use model::label_set::LabelSet;
use model::matcher::Matcher;
use model::time::TimestampMs;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use tsdb::block::Block;
use tsdb::directory::{Directory, prometheus_sign};
use tsdb::merge::{Selection, SeriesStream};
use tsdb::sample::Sample;

use crate::tsdb_command::own::{OwnDirectory, OwnStream};
use crate::tsdb_command::print::Progress;

/// What Prometheus locks while it runs.
const LOCK_FILE: &str = "lock";

/// A data directory.
pub enum Opened {
    /// Ours.
    Own(Box<OwnDirectory>),
    /// Prometheus's, with its head.
    Prometheus(Box<Directory>),
}

/// Series of a data directory, in order of label set.
pub enum Stream {
    /// Of ours.
    Own(Box<OwnStream>),
    /// Of Prometheus's; where several selectors are given, a series must fulfil one.
    Prometheus(Box<SeriesStream>, Vec<Vec<Matcher>>),
}

/// Opens the directory, whichever kind it is.
///
/// # Errors
/// It is neither, or does not open.
pub fn open(directory: &Path) -> Result<Opened> {
    if is_data_directory(directory) {
        return OwnDirectory::open(directory).map(|own| Opened::Own(Box::new(own)));
    }
    let mut opened = open_prometheus(directory)?;
    load_head(&mut opened)?;
    Ok(Opened::Prometheus(Box::new(opened)))
}

/// Opens a directory of Prometheus by its blocks of raw samples.
///
/// # Errors
/// It is none, or does not open.
pub fn open_prometheus(directory: &Path) -> Result<Directory> {
    let (opened, downsampled) = open_levels(directory)?;
    for block in downsampled {
        eprintln!("note: block {} is downsampled and left out", block.meta().ulid);
    }
    Ok(opened)
}

/// Opens a directory of Prometheus by its blocks; those of downsampled samples beside it.
///
/// # Errors
/// It is none, or does not open.
pub fn open_levels(directory: &Path) -> Result<(Directory, Vec<Block>)> {
    let shown = directory.display();
    if prometheus_sign(directory).is_none() {
        bail!("{shown} is no data directory: neither cresset.json nor blocks nor a log are in it");
    }
    let mut opened = Directory::open(directory).with_context(|| format!("open {shown}"))?;
    let downsampled = opened.take_downsampled();
    Ok((opened, downsampled))
}

/// Loads the head, and says what of it is damaged.
///
/// # Errors
/// A file cannot be read.
pub fn load_head(directory: &mut Directory) -> Result<()> {
    let mut progress = Progress::new("reading the log");
    let head = directory.load_head(&mut |done, total| progress.show(done, total, ""));
    progress.clear();
    for damage in &head?.report().damages {
        eprintln!("note: {damage}");
    }
    Ok(())
}

/// Refuses a directory that a Prometheus runs on, by its lock.
///
/// # Errors
/// One does.
pub fn refuse_running(directory: &Path) -> Result<()> {
    let path = directory.join(LOCK_FILE);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::open(&path, flags, Mode::empty()) else { return Ok(()) };
    let locked = flock(&file, FlockOperation::NonBlockingLockShared);
    if locked == Err(Errno::WOULDBLOCK) {
        bail!("a Prometheus runs on {}: stop it first", directory.display());
    }
    Ok(())
}

/// The first time from `from` on that one of the spans (both ends in them) has.
#[must_use]
pub fn next_span(spans: &[(TimestampMs, TimestampMs)], from: TimestampMs) -> Option<TimestampMs> {
    let behind = spans.iter().filter(|(_, max)| from <= *max);
    behind.map(|(min, _)| (*min).max(from)).min()
}

/// Matchers of the selectors.
///
/// # Errors
/// One is no selector.
pub fn selectors_of(texts: &[String]) -> Result<Vec<Vec<Matcher>>> {
    let parse = |text: &String| parse_selector(text).map_err(|error| anyhow!("{text}: {error}"));
    texts.iter().map(parse).collect()
}

impl Opened {
    /// First and last times of its parts.
    ///
    /// # Errors
    /// A manifest does not read.
    pub fn spans(&self) -> Result<Vec<(TimestampMs, TimestampMs)>> {
        match self {
            Opened::Own(own) => own.spans(),
            Opened::Prometheus(directory) => Ok(directory.spans()),
        }
    }

    /// Series that fulfil any of the selectors, with their samples from the range.
    ///
    /// # Errors
    /// A file cannot be read or is damaged.
    pub fn series(
        &self,
        selectors: &[Vec<Matcher>],
        (min, max): (TimestampMs, TimestampMs),
    ) -> Result<Stream> {
        match self {
            Opened::Own(own) => {
                own.series(selectors, (min, max)).map(|stream| Stream::Own(Box::new(stream)))
            }
            Opened::Prometheus(directory) => {
                let matchers = match selectors {
                    [one] => one.clone(),
                    _ => Vec::new(),
                };
                let selection = Selection { matchers, min, max, aggregate: None };
                let stream = Box::new(directory.series(selection)?);
                Ok(Stream::Prometheus(stream, selectors.to_vec()))
            }
        }
    }
}

impl Stream {
    /// The next series that has samples, which are put into `samples`.
    ///
    /// # Errors
    /// A file cannot be read or is damaged.
    pub fn read(&mut self, samples: &mut Vec<Sample>) -> Result<Option<LabelSet>> {
        let (stream, selectors) = match self {
            Stream::Own(own) => return own.read(samples),
            Stream::Prometheus(stream, selectors) => (stream, selectors),
        };
        while let Some(labels) = stream.next_series()? {
            let fulfils = |matchers: &Vec<Matcher>| {
                matchers.iter().all(|matcher| matcher.matches_labels(&labels))
            };
            if !selectors.iter().any(fulfils) {
                continue;
            }
            samples.clear();
            while let Some(sample) = stream.next_sample()? {
                samples.push(sample);
            }
            if !samples.is_empty() {
                return Ok(Some(labels));
            }
        }
        Ok(None)
    }

    /// How much was read, and how much there is.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        match self {
            Stream::Own(own) => own.progress(),
            Stream::Prometheus(stream, _) => {
                let progress = stream.progress();
                (progress.done, progress.total)
            }
        }
    }
}
