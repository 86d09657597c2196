//! Active: one target's state from scrape to scrape.
//!
//! Path: `scraper` → **active** → `ingest`, `report` → rows → `storage`.
//! A scrape ends in one row: samples, markers for the series that stayed away, report series. When
//! it failed, markers for everything that the last good scrape had, and the report series.
//!
//! Invariants
//! - A1: a cell of a row is a value or a staleness marker, never both.

use std::sync::Arc;

use exposition::body::Format;
use model::bitmap::Bitmap;
use model::time::TimestampMs;
use storage::cells::{Cell, Cells};
use storage::row::{ColumnIndex, GroupId, GroupKey, Rank, Row, Slot};
use storage::store::{LimitError, RowError, Store};

use crate::error::ScrapeError;
use crate::fetch::{FetchFault, FetchRequest, Fetched, HEAD_BYTES_MAX, REDIRECTS_MAX, Timings};
use crate::former::{Former, group_key, is_outgrown, mark};
use crate::handover::{HandedSeries, Handover, Past};
use crate::ingest::{Bench, Counts, Source};
use crate::memory::{Memory, Place};
use crate::metrics::{number, seconds};
use crate::notice::{Notice, What};
use crate::options::Options;
use crate::pass::Pass;
use crate::recount::{LastGood, recount};
use crate::report::{Home, Report};
use crate::response;
use crate::slots::Schedule;
use crate::status::{Health, TargetStatus};
use crate::target::{Compression, TargetSpec};
use crate::timed::{Timed, TimedRows};
use crate::zeros::{self, Zero};

/// What a target waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing: it is leaving.
    Idle,
    /// Its slot.
    Due(Slot),
    /// Room for one more fetch, since this slot.
    Waiting(Slot),
    /// The end of the fetch for this slot.
    InFlight(Slot),
}

/// One target.
pub struct Active {
    /// What it is.
    pub spec: Arc<TargetSpec>,
    /// Its name on every node.
    pub identity: GroupKey,
    /// Its rhythm.
    pub schedule: Schedule,
    /// What is fetched.
    pub request: Arc<FetchRequest>,
    /// What it waits for.
    pub turn: Turn,
    home: Option<Home>,
    /// The group that it outgrew with its last good scrape.
    former: Option<Former>,
    memory: Memory,
    timed: Timed,
    /// Columns that the last good scrape had, report series left out.
    known: Bitmap,
    /// What its scrapes came to, wherever they were.
    past: Past,
}

/// How a scrape ended, for the status and the counters.
type Ended = Result<(), ScrapeError>;

impl Active {
    /// A target that was never scraped.
    #[must_use]
    pub fn new(spec: Arc<TargetSpec>, options: &Options) -> Active {
        Active {
            identity: spec.identity(),
            schedule: spec.schedule(),
            request: Arc::new(request(&spec, options)),
            spec,
            turn: Turn::Idle,
            home: None,
            former: None,
            memory: Memory::default(),
            timed: Timed::default(),
            known: Bitmap::default(),
            past: Past::default(),
        }
    }

    /// A target that another shard handed over.
    ///
    /// # Errors
    /// Storage takes no more groups or series.
    pub fn adopt(
        handover: &Handover,
        options: &Options,
        store: &mut Store,
    ) -> Result<Active, LimitError> {
        let mut active = Active::new(Arc::clone(&handover.spec), options);
        active.past = handover.past.clone();
        if handover.series.is_empty() {
            return Ok(active);
        }
        let key = group_key(active.identity, active.past.epoch);
        let home = Home::new(&active.spec, key, store)?;
        let mut columns = Vec::with_capacity(handover.series.len());
        for HandedSeries { hash, labels, kind } in &handover.series {
            let column = store.column(home.group, labels, *kind)?.0;
            active.memory.remember_stray(*hash, Place::Column(column));
            columns.push(column);
        }
        active.known = Bitmap::new(store.columns(home.group));
        for column in columns {
            active.known.set(column as usize);
        }
        active.home = Some(home);
        Ok(active)
    }

    /// Whether another shard can go on with it: see `handover`.
    #[must_use]
    pub fn is_movable(&self) -> bool {
        self.timed.is_empty() && self.former.is_none()
    }

    /// Series that the last good scrape had, report series left out.
    #[must_use]
    pub fn series(&self) -> usize {
        self.known.count_ones()
    }

    /// What another shard needs to go on with it at `slot`.
    #[must_use]
    pub fn hand_over(&self, slot: Slot, store: &Store) -> Handover {
        let mut series = Vec::new();
        if let Some(home) = &self.home {
            for (hash, column) in self.memory.series_of(&self.known) {
                let column = ColumnIndex(column);
                let labels = store.labels_of(home.group, column);
                let found = labels.zip(store.kind_of(home.group, column));
                series.extend(found.map(|(labels, kind)| HandedSeries { hash, labels, kind }));
            }
        }
        Handover { spec: Arc::clone(&self.spec), slot, series, past: self.past.clone() }
    }

    /// Takes a changed specification of the same identity. What was resolved under other rules is
    /// forgotten; series that do not come again get their markers with the next scrape.
    pub fn change(&mut self, spec: Arc<TargetSpec>, options: &Options) {
        let (old, new) = (&self.spec, &spec);
        let same_rules = old.metric_relabel == new.metric_relabel
            && old.honor_labels == new.honor_labels
            && old.honor_timestamps == new.honor_timestamps
            && old.name_scheme == new.name_scheme
            && old.histograms == new.histograms
            && old.limits == new.limits;
        if !same_rules {
            self.memory.forget();
            self.timed = Timed::default();
        }
        if old.extra_scrape_metrics != new.extra_scrape_metrics {
            self.home = None;
        }
        self.schedule = spec.schedule();
        self.request = Arc::new(request(&spec, options));
        self.spec = spec;
    }

    /// Takes what a fetch gave.
    pub fn finish(
        &mut self,
        slot: Slot,
        outcome: Result<Fetched<'_>, FetchFault>,
        timings: Timings,
        bench: &mut Bench,
        pass: &mut Pass<'_>,
    ) {
        if let Ok(fetched) = &outcome {
            pass.counters.body_bytes += fetched.body.len() as u64;
            pass.counters.wire_bytes += fetched.wire_bytes;
        }
        if let Some(before) = self.past.last_began.replace(timings.began.tick) {
            let apart = timings.began.tick.since(before);
            let now = timings.began.tick;
            pass.counters.observe_interval(now, self.spec.interval_ms, apart);
        }
        let stamp = self.schedule.stamp(slot, timings.began.wall);
        let url = || self.spec.url.to_string();
        let body =
            outcome.map_err(|fault| ScrapeError::Fetch { url: url(), fault }).and_then(|fetched| {
                let format = response::format(&fetched, self.spec.fallback)?;
                Ok((format, fetched.body))
            });
        let before = pass.counters.left_out();
        let ended = match body {
            Ok(body) => self.store_body(slot, stamp, body, &timings, bench, pass),
            Err(error) => {
                bench.counts = Counts::default();
                Err(error)
            }
        };
        if let Some(left_out) = pass.counters.left_out().since(before) {
            self.tell(What::LeftOut(left_out), &timings, pass);
        }
        self.close(slot, stamp, &timings, ended, bench, pass);
    }

    fn tell(&self, what: What, timings: &Timings, pass: &mut Pass<'_>) {
        let (job, url) = (self.spec.job.clone(), self.spec.url.to_string());
        pass.notices.push(Notice { job, url, at: timings.began.wall, what });
    }

    /// Fails a scrape that is not even tried.
    pub fn fail(
        &mut self,
        slot: Slot,
        text: Arc<str>,
        timings: Timings,
        bench: &mut Bench,
        pass: &mut Pass<'_>,
    ) {
        let stamp = self.schedule.stamp(slot, timings.began.wall);
        bench.counts = Counts::default();
        self.close(slot, stamp, &timings, Err(ScrapeError::Forced(text)), bench, pass);
    }

    /// Writes the row of a failed scrape, and notes how it ended.
    fn close(
        &mut self,
        slot: Slot,
        stamp: TimestampMs,
        timings: &Timings,
        mut ended: Ended,
        bench: &mut Bench,
        pass: &mut Pass<'_>,
    ) {
        // Where storage refused the row it would refuse this one too.
        if let Err(error) = &ended
            && !matches!(error, ScrapeError::Row(_))
            && let Err(refused) = self.store_failure(slot, stamp, error, timings, bench, pass)
            && matches!(refused, ScrapeError::Row(_))
        {
            ended = Err(refused);
        }
        pass.counters.scrapes += 1;
        pass.counters.duration.observe(seconds(timings.total_ns));
        self.past.last_scrape = Some(timings.began.wall);
        self.past.last_duration_ns = timings.total_ns;
        match ended {
            Ok(()) => {
                self.past.health = Health::Up;
                self.past.last_error.clear();
            }
            Err(error) => {
                pass.counters.count_failure(&error);
                self.past.health = Health::Down;
                self.past.last_error = error.to_string();
                if self.spec.failure_log {
                    self.tell(What::Failed(self.past.last_error.clone()), timings, pass);
                }
            }
        }
    }

    /// Stores a body; when storage has dropped the target's columns since, once more from scratch.
    fn store_body(
        &mut self,
        slot: Slot,
        stamp: TimestampMs,
        (format, body): (Format, &[u8]),
        timings: &Timings,
        bench: &mut Bench,
        pass: &mut Pass<'_>,
    ) -> Ended {
        let ended = match self.try_body(slot, stamp, (format, body), timings, bench, pass) {
            Err(error) if is_forgotten(&error) => {
                self.forget_places();
                self.try_body(slot, stamp, (format, body), timings, bench, pass)
            }
            ended => ended,
        };
        let failed = ended.as_ref().is_err_and(ScrapeError::is_of_body);
        if failed {
            let options = bench.options(&self.spec);
            let former = self.former.as_ref();
            let last = LastGood { memory: &self.memory, known: &self.known, former };
            bench.counts = recount(&self.spec, last, (format, options), body);
            if self.past.body_failed {
                // They were counted when it failed first.
                bench.counts.added = 0;
            }
        }
        self.past.body_failed = failed;
        ended
    }

    fn try_body(
        &mut self,
        slot: Slot,
        stamp: TimestampMs,
        (format, body): (Format, &[u8]),
        timings: &Timings,
        bench: &mut Bench,
        pass: &mut Pass<'_>,
    ) -> Ended {
        let home = self.home(pass)?;
        let mut source = Source {
            spec: &self.spec,
            identity: self.identity,
            group: home.group,
            stamp,
            memory: &mut self.memory,
            timed: &mut self.timed,
        };
        let timed = bench.read(&mut source, format, body, pass)?;
        self.store_zeros(&home, &mut bench.zeros, pass);
        let present = bench.cells.present.clone();
        let moved = self.former.as_ref().map(|former| former.moved(&self.memory, &present));
        let fresh = || count_fresh(&present, &self.known);
        bench.counts.added += moved.as_ref().map_or_else(fresh, |moved| moved.added);
        if self.past.alive {
            mark_gone(&self.known, &mut bench.cells);
        }
        let report = Report {
            up: true,
            duration_ns: timings.total_ns,
            counts: bench.counts,
            body_too_large: false,
        };
        home.tell(&self.spec, &report, &mut bench.cells);
        if let Err(error) = append(home.group, slot, stamp, &bench.cells, pass) {
            // The samples with timestamps of their own are not stored either: offer them again.
            self.timed.forget();
            return Err(error);
        }
        pass.counters.samples += present.count_ones() as u64;
        self.past.last_row = stamp;
        let ended = match self.former.take().zip(moved).filter(|_| self.past.alive) {
            Some((former, moved)) => {
                end_former(former.group, &moved.gone, slot, stamp, bench, pass)
            }
            None => Ok(()),
        };
        self.known = present;
        self.past.alive = true;
        self.leave_outgrown(&home, pass);
        ended?;
        self.store_timed(slot, stamp, &timed, bench, pass)
    }

    /// Stores a 0 where the counting of a series began since its last sample.
    fn store_zeros(&self, home: &Home, zeros: &mut Vec<Zero>, pass: &mut Pass<'_>) {
        // Most began to count before the last scrape.
        zeros.retain(|zero| {
            let column = zero.from.1 as usize;
            let of_last = self.past.alive
                && zero.from.0 == home.group
                && column < self.known.len()
                && self.known.get(column);
            !of_last || self.past.last_row < zero.start
        });
        zeros::store(pass, self.identity, zeros);
    }

    /// Leaves a group whose rows are far wider than what the target exposes.
    fn leave_outgrown(&mut self, home: &Home, pass: &mut Pass<'_>) {
        let columns = pass.store.columns(home.group);
        if !is_outgrown(columns, self.known.count_ones(), pass.options.columns_spare) {
            return;
        }
        self.former = Some(Former::new(home.group, &self.memory, &self.known));
        self.past.epoch = self.past.epoch.wrapping_add(1);
        self.home = None;
        self.memory.forget();
        self.known = Bitmap::default();
        pass.counters.groups_left += 1;
    }

    /// Ends what the last row had in the group that was left with it.
    fn end_all_former(
        &mut self,
        slot: Slot,
        stamp: TimestampMs,
        bench: &mut Bench,
        pass: &mut Pass<'_>,
    ) -> Ended {
        match self.former.as_ref().filter(|_| self.past.alive) {
            Some(former) => end_former(former.group, &former.all(), slot, stamp, bench, pass),
            None => Ok(()),
        }
    }

    fn store_timed(
        &mut self,
        slot: Slot,
        stamp: TimestampMs,
        rows: &TimedRows,
        bench: &mut Bench,
        pass: &mut Pass<'_>,
    ) -> Ended {
        if self.timed.is_empty() {
            return Ok(());
        }
        if self.spec.track_timestamps_staleness {
            self.end_timed(slot, stamp, false, bench, pass)?;
        }
        let stored = self.timed.append(pass, rows, &mut bench.cells)?;
        pass.counters.samples += stored as u64;
        Ok(())
    }

    /// Writes markers for series with timestamps of their own that stayed away, or for all.
    fn end_timed(
        &mut self,
        slot: Slot,
        stamp: TimestampMs,
        all: bool,
        bench: &mut Bench,
        pass: &mut Pass<'_>,
    ) -> Ended {
        for (group, columns) in self.timed.gone(all) {
            let group = GroupId(group);
            bench.cells.reset(pass.store.columns(group));
            for column in columns {
                bench.cells.set(column as usize, Cell::Stale);
            }
            append(group, slot, stamp, &bench.cells, pass)?;
        }
        Ok(())
    }

    fn store_failure(
        &mut self,
        slot: Slot,
        stamp: TimestampMs,
        error: &ScrapeError,
        timings: &Timings,
        bench: &mut Bench,
        pass: &mut Pass<'_>,
    ) -> Ended {
        let fault = |fault: &FetchFault| matches!(fault, FetchFault::BodyTooLarge { .. });
        let report = Report {
            up: false,
            duration_ns: timings.total_ns,
            counts: bench.counts,
            body_too_large: matches!(error, ScrapeError::Fetch { fault: f, .. } if fault(f)),
        };
        // Markers are written once, however long the target is down.
        let ends = self.past.alive;
        let home = self.home(pass)?;
        self.start_end_row(&home, bench, pass);
        home.tell(&self.spec, &report, &mut bench.cells);
        match append(home.group, slot, stamp, &bench.cells, pass) {
            Err(error) if is_forgotten(&error) => {
                self.forget_places();
                let home = self.home(pass)?;
                self.start_end_row(&home, bench, pass);
                home.tell(&self.spec, &report, &mut bench.cells);
                append(home.group, slot, stamp, &bench.cells, pass)?;
            }
            ended => ended?,
        }
        let former = self.end_all_former(slot, stamp, bench, pass);
        self.past.alive = false;
        former?;
        if ends && self.spec.track_timestamps_staleness {
            self.end_timed(slot, stamp, true, bench, pass)?;
        }
        Ok(())
    }

    /// Ends every series of a target that is gone, at the slot where its next scrape would have
    /// been.
    pub fn end(&mut self, slot: Slot, bench: &mut Bench, pass: &mut Pass<'_>) {
        let stamp = TimestampMs(slot.0);
        let _ = self.end_all_former(slot, stamp, bench, pass);
        let home = match &self.home {
            Some(home) => home.clone(),
            None if self.former.is_some() => match self.home(pass) {
                Ok(home) => home,
                Err(_) => return,
            },
            None => return,
        };
        self.start_end_row(&home, bench, pass);
        home.end(&mut bench.cells);
        // A refusal leaves the series to end by themselves, five minutes later.
        let ended = append(home.group, slot, stamp, &bench.cells, pass);
        let ends = std::mem::replace(&mut self.past.alive, false);
        if ends && ended.is_ok() && self.spec.track_timestamps_staleness {
            let _ = self.end_timed(slot, stamp, true, bench, pass);
        }
    }

    /// Makes the cells those of a row that ends what the last row had.
    fn start_end_row(&self, home: &Home, bench: &mut Bench, pass: &Pass<'_>) {
        bench.cells.reset(pass.store.columns(home.group));
        if self.past.alive {
            mark_gone(&self.known, &mut bench.cells);
        }
    }

    fn home(&mut self, pass: &mut Pass<'_>) -> Result<Home, ScrapeError> {
        if let Some(home) = &self.home {
            return Ok(home.clone());
        }
        let key = group_key(self.identity, self.past.epoch);
        let home = Home::new(&self.spec, key, pass.store)?;
        self.home = Some(home.clone());
        Ok(home)
    }

    fn forget_places(&mut self) {
        self.home = None;
        self.former = None;
        self.memory.forget();
        self.known = Bitmap::default();
        self.past.alive = false;
    }

    /// Its state for the API.
    #[must_use]
    pub fn status(&self) -> TargetStatus {
        TargetStatus {
            spec: self.spec.clone(),
            health: self.past.health,
            last_error: self.past.last_error.clone(),
            last_scrape: self.past.last_scrape,
            layout: self.memory.layout().cloned(),
            last_scrape_duration_seconds: seconds(self.past.last_duration_ns),
        }
    }

    /// Bytes of memory, specification and shared layout left out.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.memory.heap_bytes() + self.timed.heap_bytes() + self.known.words().len() * 8
    }
}

/// Whether storage has dropped the group or a column after its samples passed retention.
fn is_forgotten(error: &ScrapeError) -> bool {
    let row = |error: &RowError| {
        matches!(error, RowError::UnknownGroup(_) | RowError::UnknownColumn { .. })
    };
    let series = |error| matches!(error, storage::store::LimitError::UnknownGroup(_));
    match error {
        ScrapeError::Row(error) => row(error),
        ScrapeError::Series(error) => series(*error),
        _ => false,
    }
}

fn append(
    group: GroupId,
    slot: Slot,
    timestamp: TimestampMs,
    cells: &Cells,
    pass: &mut Pass<'_>,
) -> Ended {
    let row = Row { group, slot, timestamp, rank: Rank::Owner, cells };
    match pass.store.append(pass.now, &row, pass.effects) {
        Ok(done) => {
            *pass.position = done.position.max(*pass.position);
            pass.counters.rows_duplicate += u64::from(done.duplicate);
            Ok(())
        }
        Err(error) => {
            pass.counters.rows_refused += 1;
            Err(error.into())
        }
    }
}

fn end_former(
    group: GroupId,
    columns: &[u32],
    slot: Slot,
    stamp: TimestampMs,
    bench: &mut Bench,
    pass: &mut Pass<'_>,
) -> Ended {
    if columns.is_empty() {
        return Ok(());
    }
    mark(&mut bench.cells, pass.store.columns(group), columns);
    append(group, slot, stamp, &bench.cells, pass)
}

/// Makes markers of the cells in `known` that have no value.
fn mark_gone(known: &Bitmap, cells: &mut Cells) {
    let words = cells.present.words().iter().zip(known.words());
    for (stale, (present, known)) in cells.stale.words_mut().iter_mut().zip(words) {
        *stale |= known & !present;
    }
    let mut words = cells.stale.words().iter().zip(cells.present.words());
    assert!(words.all(|(stale, present)| stale & present == 0), "A1: a value or a marker");
}

/// Bits of `present` that `known` has not.
fn count_fresh(present: &Bitmap, known: &Bitmap) -> usize {
    let known = known.words().iter().copied().chain(std::iter::repeat(0));
    let fresh = present.words().iter().zip(known).map(|(present, known)| present & !known);
    fresh.map(|word| word.count_ones() as usize).sum()
}

fn request(spec: &TargetSpec, options: &Options) -> FetchRequest {
    // Inflating takes 0.5-0.7 CPU s/GB here and deflating more there; the loopback device moves the
    // plain body for 0.2-0.4. Only a wire is worth the difference.
    let encoding = match spec.compression {
        Compression::Gzip if !spec.url.is_loopback() && spec.socket.is_none() => "gzip",
        Compression::Gzip | Compression::Identity => "identity",
    };
    let timeout_seconds = (number(spec.timeout_ms) / 1e3).to_string();
    let fixed = [
        ("Accept", &*spec.accept),
        ("Accept-Encoding", encoding),
        ("User-Agent", &options.user_agent),
        ("X-Prometheus-Scrape-Timeout-Seconds", &timeout_seconds),
    ];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let headers: Vec<(String, String)> = fixed.map(owned).into();
    // Upstream refuses a body that reaches the limit.
    let limit = spec.limits.body_bytes;
    let body_bytes_max = if limit == 0 { options.body_bytes_max } else { limit - 1 };
    FetchRequest {
        scheme: spec.url.scheme,
        host: spec.url.host.clone(),
        port: spec.url.port,
        authority: spec.url.authority.clone(),
        path_and_query: spec.url.path_and_query.clone(),
        headers,
        body_bytes_max,
        head_bytes_max: HEAD_BYTES_MAX,
        redirects_max: REDIRECTS_MAX,
        http: Arc::clone(&spec.http),
        socket: spec.socket.clone(),
    }
}
