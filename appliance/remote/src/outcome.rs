//! Outcome: what became of what was pushed, as values and in upstream's words.
//!
//! Never: keeps more than a few texts, however much was refused.

use std::fmt;

/// Texts that are kept of one request.
const TEXTS_MAX: usize = 10;

/// Why a part of a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum Cause {
    /// A sample older than the newest of its series.
    OutOfOrder,
    /// Another value at the time of a sample that is there.
    Duplicate,
    /// A sample behind the out-of-order window or retention.
    TooOld,
    /// A sample too far ahead of the clock.
    OutOfBounds,
    /// A series whose labels make no sense.
    Labels,
    /// A native histogram that makes no sense.
    Histogram,
    /// A series that a limit keeps out.
    Limit,
    /// An exemplar.
    Exemplar,
    /// A line or value that cannot be read.
    Unreadable,
}

impl Cause {
    /// Every cause, in order.
    pub const ALL: [Cause; 9] = [
        Cause::OutOfOrder,
        Cause::Duplicate,
        Cause::TooOld,
        Cause::OutOfBounds,
        Cause::Labels,
        Cause::Histogram,
        Cause::Limit,
        Cause::Exemplar,
        Cause::Unreadable,
    ];

    /// Its word in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Cause::OutOfOrder => "out_of_order",
            Cause::Duplicate => "duplicate",
            Cause::TooOld => "too_old",
            Cause::OutOfBounds => "out_of_bounds",
            Cause::Labels => "labels",
            Cause::Histogram => "histogram",
            Cause::Limit => "limit",
            Cause::Exemplar => "exemplar",
            Cause::Unreadable => "unreadable",
        }
    }

    /// What upstream calls it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Cause::OutOfOrder => "out of order sample",
            Cause::Duplicate => "duplicate sample for timestamp",
            Cause::TooOld => "too old sample",
            Cause::OutOfBounds => "out of bounds",
            Cause::Labels => "invalid metric name or labels",
            Cause::Histogram => "invalid histogram",
            Cause::Limit => "limit of series reached",
            Cause::Exemplar => "out of order exemplar",
            Cause::Unreadable => "cannot be read",
        }
    }
}

/// What was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    counts: [u64; Cause::ALL.len()],
    texts: Vec<String>,
}

impl Refusals {
    /// Counts one, with what there is to say of it beside its cause.
    pub fn add(&mut self, cause: Cause, detail: impl fmt::Display) {
        self.counts[cause as usize] += 1;
        if self.texts.len() < TEXTS_MAX {
            self.texts.push(format!("{}{detail}", cause.text()));
        }
    }

    /// Takes over what another part refused.
    pub fn merge(&mut self, other: Refusals) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.texts.extend(other.texts);
        self.texts.truncate(TEXTS_MAX);
    }

    /// How many for this cause.
    #[must_use]
    pub fn count(&self, cause: Cause) -> u64 {
        self.counts[cause as usize]
    }

    /// How many in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The first few, and how many more there are; a line each.
    #[must_use]
    pub fn text(&self) -> String {
        let left = self.total() - u64::try_from(self.texts.len()).unwrap_or(0);
        let rest = (left != 0).then(|| format!("and {left} more"));
        let lines: Vec<&str> = self.texts.iter().chain(&rest).map(String::as_str).collect();
        lines.join("\n")
    }
}

/// What became of one batch, or of all batches of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Samples that are stored, those that were there before included.
    pub samples: u64,
    /// Native histograms, likewise.
    pub histograms: u64,
    /// Exemplars, likewise.
    pub exemplars: u64,
    /// What was refused for good: to send it again would change nothing.
    pub refusals: Refusals,
    /// Whether something was not taken that would be, later.
    pub overloaded: bool,
}

impl Pushed {
    /// Takes over what became of another part.
    pub fn merge(&mut self, other: Pushed) {
        self.samples += other.samples;
        self.histograms += other.histograms;
        self.exemplars += other.exemplars;
        self.refusals.merge(other.refusals);
        self.overloaded |= other.overloaded;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_and_the_first_told() {
        let mut refusals = Refusals::default();
        for at in 0..12 {
            refusals.add(Cause::OutOfOrder, format_args!(" for series {at}"));
        }
        let mut all = Refusals::default();
        all.add(Cause::Labels, "");
        all.merge(refusals);
        assert_eq!((all.count(Cause::OutOfOrder), all.total()), (12, 13));
        let text = all.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 11);
        assert_eq!(lines[0], "invalid metric name or labels");
        assert_eq!(lines[1], "out of order sample for series 0");
        assert_eq!(lines[10], "and 3 more");
    }

    #[test]
    fn every_cause_has_its_place() {
        for (at, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, at);
        }
    }
}
