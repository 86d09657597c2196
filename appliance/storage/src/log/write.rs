//! Log writer: commits, their order, the segments they go to.
//!
//! Path: `store` → **write** → effects `Log`, `LogPrepare`, `LogRetire`.
//! Owns: the open commit, the closed ones, the one in flight; which segments live, what pins them.
//! Never: drops a record; writes where a write has failed.
//! Format: docs/format/wal.md, version 1.
//!
//! Invariants
//! - W1: the durable position never passes the written one, and neither goes back.
//! - W2: a commit lies within one segment.
//! - W3: at most one commit is in flight.
//! - W4: a segment retires only after all before it, when nothing pins it, and when a durable
//!   frame says so.

use std::collections::{BTreeMap, VecDeque};

use model::time::{Now, Tick};

use crate::back_off::BackOff;
use crate::effect::{Effect, LogPosition, LogWrite};
use crate::frame::{self, Envelope};
use crate::log::record::{Kind, put_record};
use crate::names::SegmentId;
use crate::options::Options;

/// Stretch of records whose differences lean on each other: normally one segment; more when a
/// write failed and the rest went on elsewhere.
pub(crate) type Epoch = u64;

/// Bytes around a record's body at most.
const RECORD_HEAD_BYTES_MAX: u64 = 16;

/// Records that are written together.
#[derive(Debug)]
struct Commit {
    epoch: Epoch,
    /// Position of its first record.
    first: u64,
    records: u32,
    /// Rows among its records.
    rows: u32,
    /// Frame with room for its header, then the records.
    bytes: Vec<u8>,
    /// When its first record came.
    since: Tick,
}

impl Commit {
    fn last(&self) -> u64 {
        self.first + u64::from(self.records) - 1
    }
}

/// The commit that the machine is writing.
#[derive(Debug)]
struct Flight {
    commit: Commit,
    padded: u64,
    oldest: SegmentId,
    since: Tick,
}

/// The segment that is being written.
#[derive(Clone, Copy, Debug)]
struct Current {
    id: SegmentId,
    epoch: Epoch,
    offset: u64,
    continues: bool,
}

/// A segment whose file must stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LiveSegment {
    pub(crate) id: SegmentId,
    pub(crate) epoch: Epoch,
    /// Position of its first record.
    pub(crate) first: u64,
}

/// What the writer counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) commits: u64,
    pub(crate) rows_durable: u64,
    pub(crate) commit_bytes: u64,
    pub(crate) record_bytes: u64,
    pub(crate) failures: u64,
    pub(crate) commit_nanos: u64,
}

/// Writer of one shard's log.
#[derive(Debug)]
pub(crate) struct LogWriter {
    block_bytes: u64,
    segment_bytes: u64,
    commit_bytes_max: u64,
    commit_age_ms_max: u64,
    position: u64,
    durable: u64,
    epoch: Epoch,
    /// Padded bytes of the closed commits of `epoch`.
    epoch_bytes: u64,
    open: Option<Commit>,
    closed: VecDeque<Commit>,
    /// Bytes of all commits that are not durable.
    backlog: u64,
    flight: Option<Flight>,
    /// Commits up to this position go out without waiting for size or age.
    flush_to: u64,
    current: Option<Current>,
    next_segment: SegmentId,
    asked: bool,
    prepared: bool,
    /// The next commit opens a fresh segment although its epoch has one.
    relocate: bool,
    /// When a failed commit is tried again.
    retry: BackOff,
    /// When a failed preparation is asked for again.
    prepare_retry: BackOff,
    live: VecDeque<LiveSegment>,
    pins: BTreeMap<Epoch, u64>,
    counts: Counts,
}

impl LogWriter {
    /// A writer whose first record has `position + 1` and whose first segment is `next_segment`.
    /// `live` are the segments of before, oldest first.
    pub(crate) fn new(
        options: &Options,
        position: u64,
        next_segment: SegmentId,
        live: Vec<LiveSegment>,
    ) -> LogWriter {
        let epoch = live.last().map_or(1, |segment| segment.epoch + 1);
        LogWriter {
            block_bytes: options.block_bytes,
            segment_bytes: options.segment_bytes,
            commit_bytes_max: options.commit_bytes_max,
            commit_age_ms_max: options.commit_age_ms_max,
            position,
            durable: position,
            epoch,
            epoch_bytes: 0,
            open: None,
            closed: VecDeque::new(),
            backlog: 0,
            flight: None,
            flush_to: 0,
            current: None,
            next_segment,
            asked: false,
            prepared: false,
            relocate: false,
            retry: BackOff::new(options),
            prepare_retry: BackOff::new(options),
            live: live.into(),
            pins: BTreeMap::new(),
            counts: Counts::default(),
        }
    }

    /// From here on a commit closes at this age of its first record, or at this size.
    pub(crate) fn pace(&mut self, age_ms_max: u64, bytes_max: u64) {
        self.commit_age_ms_max = age_ms_max;
        self.commit_bytes_max = bytes_max;
    }

    /// Largest body of a record that a segment holds.
    pub(crate) fn body_bytes_max(options: &Options) -> u64 {
        options.segment_bytes - options.block_bytes - RECORD_HEAD_BYTES_MAX
    }

    /// The records of before were `first` to `position`.
    pub(crate) fn restore(&mut self, first: u64, position: u64) {
        assert!(self.position <= position, "W1: the position goes back");
        for segment in &mut self.live {
            segment.first = first;
        }
        self.position = position;
        self.durable = position;
    }

    /// Position of the oldest record in any segment.
    pub(crate) fn oldest(&self) -> u64 {
        self.live.front().map_or(self.position + 1, |segment| segment.first)
    }

    pub(crate) fn position(&self) -> LogPosition {
        LogPosition(self.position)
    }

    pub(crate) fn durable(&self) -> LogPosition {
        LogPosition(self.durable)
    }

    pub(crate) fn backlog_bytes(&self) -> u64 {
        self.backlog
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    pub(crate) fn live_segments(&self) -> usize {
        self.live.len()
    }

    /// Epoch of the segment that is written.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Epoch of the oldest live segment.
    pub(crate) fn oldest_epoch(&self) -> Option<Epoch> {
        self.live.front().map(|segment| segment.epoch)
    }

    /// Age of the oldest record that is not durable, nanoseconds.
    pub(crate) fn commit_age(&self, now: Now) -> u64 {
        let flight = self.flight.as_ref().map(|flight| flight.commit.since);
        let waiting = self.closed.front().or(self.open.as_ref()).map(|commit| commit.since);
        flight.or(waiting).map_or(0, |since| now.tick.since(since))
    }

    /// Makes room for a record whose body has at most `body_bytes`; gives the epoch it will be of.
    pub(crate) fn reserve(&mut self, body_bytes: u64) -> Epoch {
        let record = body_bytes + RECORD_HEAD_BYTES_MAX;
        let open = self.open.as_ref().map_or(frame::HEADER_BYTES as u64, |c| c.bytes.len() as u64);
        let needed = self.epoch_bytes + (open + record).next_multiple_of(self.block_bytes);
        if self.segment_bytes < needed {
            self.close();
            self.epoch += 1;
            self.epoch_bytes = 0;
        }
        self.epoch
    }

    /// Adds a record to the epoch that [`LogWriter::reserve`] gave.
    pub(crate) fn push(&mut self, now: Now, kind: Kind, body: &[u8]) -> LogPosition {
        let commit = self.open.get_or_insert_with(|| {
            let mut bytes = Vec::new();
            frame::open(&mut bytes);
            Commit {
                epoch: self.epoch,
                first: self.position + 1,
                records: 0,
                rows: 0,
                bytes,
                since: now.tick,
            }
        });
        assert_eq!(commit.epoch, self.epoch, "W2: an open commit is of the open epoch");
        let before = commit.bytes.len();
        put_record(&mut commit.bytes, kind, body);
        commit.records += 1;
        commit.rows += u32::from(matches!(kind, Kind::Row | Kind::FullRow));
        let grown = (commit.bytes.len() - before) as u64;
        self.position += 1;
        self.backlog += grown;
        self.counts.record_bytes += grown;
        let full = self.commit_bytes_max <= commit.bytes.len() as u64;
        if full {
            self.close();
        }
        LogPosition(self.position)
    }

    fn close(&mut self) {
        if let Some(commit) = self.open.take() {
            self.epoch_bytes += (commit.bytes.len() as u64).next_multiple_of(self.block_bytes);
            self.closed.push_back(commit);
        }
    }

    /// Lets everything so far go out without waiting for its age.
    pub(crate) fn flush(&mut self) {
        self.flush_to = self.position;
    }

    /// Something needs the segments of `epoch`.
    pub(crate) fn pin(&mut self, epoch: Epoch) {
        *self.pins.entry(epoch).or_default() += 1;
    }

    /// One pin less.
    pub(crate) fn unpin(&mut self, epoch: Epoch) {
        let count = self.pins.get_mut(&epoch).expect("W4: a pin is taken before it is given back");
        *count -= 1;
        if *count == 0 {
            self.pins.remove(&epoch);
        }
    }

    /// Emits what can go: the next commit, the next segment's preparation.
    pub(crate) fn pump(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.ask(now, effects);
        if self.flight.is_some() || self.retry.waits(now.tick) {
            return;
        }
        let open_is_due = self
            .open
            .as_ref()
            .is_some_and(|commit| commit.first <= self.flush_to || self.due_at(commit) <= now.tick);
        if self.closed.is_empty() && open_is_due {
            self.close();
        }
        let Some(next) = self.closed.front() else { return };
        if self.stays(next) || self.open_segment() {
            self.write(now, effects);
            self.ask(now, effects);
        }
    }

    /// Whether the commit goes to the segment that is being written.
    fn stays(&self, next: &Commit) -> bool {
        !self.relocate && self.current.is_some_and(|current| current.epoch == next.epoch)
    }

    /// Whether the next segment is wanted. After a restart only the first record wants it, so that
    /// starts in a row without a record do not leave a segment each.
    fn is_unasked(&self) -> bool {
        let wanted = self.current.is_some() || self.live.is_empty() || self.durable < self.position;
        wanted && !self.prepared && !self.asked
    }

    /// Asks for the next segment unless it is there, asked for, or was refused a moment ago.
    fn ask(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.is_unasked() && !self.prepare_retry.waits(now.tick) {
            self.asked = true;
            effects.push(Effect::LogPrepare(self.next_segment));
        }
    }

    fn due_at(&self, commit: &Commit) -> Tick {
        commit.since.after_ms(self.commit_age_ms_max)
    }

    /// Moves to the next segment if it is prepared.
    fn open_segment(&mut self) -> bool {
        let Some(next) = self.closed.front().filter(|_| self.prepared) else { return false };
        let continues = self.relocate;
        let id = self.next_segment;
        self.live.push_back(LiveSegment { id, epoch: next.epoch, first: next.first });
        self.current = Some(Current { id, epoch: next.epoch, offset: 0, continues });
        self.next_segment = id.next();
        self.prepared = false;
        self.relocate = false;
        true
    }

    fn write(&mut self, now: Now, effects: &mut Vec<Effect>) {
        assert!(self.flight.is_none(), "W3: a commit is in flight");
        let mut commit = self.closed.pop_front().expect("the caller saw a commit");
        let (oldest, needed) = self.oldest_needed();
        let current = self.current.expect("the caller opened a segment");
        let envelope = Envelope {
            kind: frame::Kind::Log,
            generation: current.id.0,
            first: commit.first,
            needed,
            records: commit.records,
            flags: if current.continues { frame::FLAG_CONTINUES } else { 0 },
        };
        frame::seal(&mut commit.bytes, &envelope);
        let padded = (commit.bytes.len() as u64).next_multiple_of(self.block_bytes);
        assert!(current.offset + padded <= self.segment_bytes, "W2: a commit passes its segment");
        let mut bytes = commit.bytes.clone();
        bytes.resize(usize::try_from(padded).expect("a segment is at most 1 GiB"), 0);
        let position = LogPosition(commit.last());
        assert!(position.0 <= self.position, "W1: written {position} passes the records");
        let (segment, offset) = (current.id, current.offset);
        effects.push(Effect::Log(LogWrite { segment, offset, bytes, position }));
        self.flight = Some(Flight { commit, padded, oldest, since: now.tick });
    }

    /// The oldest segment that anything needs, and its first record.
    fn oldest_needed(&self) -> (SegmentId, u64) {
        let pinned = self.pins.keys().next().copied().unwrap_or(Epoch::MAX);
        let current = self.current.map_or(Epoch::MAX, |current| current.epoch);
        let waiting = self.closed.front().map_or(Epoch::MAX, |commit| commit.epoch);
        let least = pinned.min(current).min(waiting).min(self.epoch);
        let needed = self.live.iter().find(|segment| least <= segment.epoch);
        let needed = needed.expect("the segment that is written lives");
        (needed.id, needed.first)
    }

    /// The commit at `position` is durable.
    pub(crate) fn on_durable(
        &mut self,
        now: Now,
        position: LogPosition,
        effects: &mut Vec<Effect>,
    ) {
        let flight = self.flight.take().expect("W3: an answer without a commit in flight");
        let last = flight.commit.last();
        assert_eq!(position.0, last, "W1: the machine answered another commit");
        assert!(self.durable < last, "W1: the durable position goes back");
        self.durable = last;
        self.backlog -= (flight.commit.bytes.len() - frame::HEADER_BYTES) as u64;
        let current = self.current.as_mut().expect("a commit in flight has its segment");
        current.offset += flight.padded;
        self.retry.clear();
        self.counts.commits += 1;
        self.counts.rows_durable += u64::from(flight.commit.rows);
        self.counts.commit_bytes += flight.padded;
        self.counts.commit_nanos += now.tick.since(flight.since);
        while let Some(front) = self.live.front().filter(|segment| segment.id < flight.oldest) {
            let pinned = self.pins.keys().next().is_some_and(|epoch| *epoch <= front.epoch);
            assert!(!pinned, "W4: segment {} retires although it is pinned", front.id);
            effects.push(Effect::LogRetire(front.id));
            self.live.pop_front();
        }
    }

    /// The commit at `position` failed: its blocks are untrusted, so it goes to a fresh segment.
    pub(crate) fn on_failed(&mut self, now: Now, position: LogPosition) {
        let flight = self.flight.take().expect("W3: an answer without a commit in flight");
        assert_eq!(position.0, flight.commit.last(), "W1: the machine answered another commit");
        self.closed.push_front(flight.commit);
        self.relocate = true;
        self.counts.failures += 1;
        self.retry.failed(now.tick);
    }

    /// `segment` can be written.
    pub(crate) fn on_prepared(&mut self, segment: SegmentId) {
        if segment == self.next_segment && self.asked {
            self.asked = false;
            self.prepared = true;
            self.prepare_retry.clear();
        }
    }

    /// `segment` could not be prepared.
    pub(crate) fn on_prepare_failed(&mut self, now: Now, segment: SegmentId) {
        if segment == self.next_segment && self.asked {
            self.asked = false;
            self.counts.failures += 1;
            self.prepare_retry.failed(now.tick);
        }
    }

    /// When [`LogWriter::pump`] has something to do next, as far as time decides. A commit that
    /// waits for its segment waits for an event, not for a time.
    pub(crate) fn deadline(&self) -> Option<Tick> {
        let ask = self.is_unasked().then(|| self.prepare_retry.at().unwrap_or(Tick(0)));
        let no_segment = |next: &Commit| !self.prepared && !self.stays(next);
        let commit = if self.flight.is_some() || self.closed.front().is_some_and(no_segment) {
            None
        } else if let Some(at) = self.retry.at() {
            // Without its segment it waits for that, not for the time.
            Some(at).filter(|_| self.prepared || !self.relocate)
        } else if self.closed.is_empty() {
            self.open.as_ref().map(|commit| self.due_at(commit))
        } else {
            None
        };
        ask.into_iter().chain(commit).min()
    }
}

#[cfg(test)]
mod tests {
    use model::time::TimestampMs;

    use super::*;

    fn at(ms: u64) -> Now {
        Now { tick: Tick(0).after_ms(ms), wall: TimestampMs(0) }
    }

    #[test]
    fn a_failed_commit_without_a_segment_to_go_to_is_not_due() {
        let options = Options { retry_ms_min: 10, ..Options::default() };
        let mut writer = LogWriter::new(&options, 0, SegmentId(1), Vec::new());
        let mut effects = Vec::new();
        writer.pump(at(0), &mut effects);
        writer.on_prepared(SegmentId(1));
        writer.reserve(3);
        let position = writer.push(at(0), Kind::Row, b"row");
        writer.flush();
        writer.pump(at(1), &mut effects);
        writer.on_failed(at(2), position);
        // The commit may go again at 12 ms, but the next segment is still being prepared.
        writer.pump(at(12), &mut effects);
        assert_eq!(writer.deadline(), None);
        // Preparing it failed: what is due is the next attempt to prepare it, not the commit.
        writer.on_prepare_failed(at(13), SegmentId(2));
        writer.pump(at(13), &mut effects);
        assert_eq!(writer.deadline(), Some(at(23).tick));
        writer.pump(at(23), &mut effects);
        writer.on_prepared(SegmentId(2));
        writer.pump(at(24), &mut effects);
        let written = effects.iter().filter(|effect| matches!(effect, Effect::Log(_))).count();
        assert_eq!(written, 2);
    }
}
