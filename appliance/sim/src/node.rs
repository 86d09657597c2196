//! Node: one shard of the world, its disk, what it has in flight, and its oracle.
//!
//! Owns: the state that outlives a crash (disk, oracle, targets) and the one that does not (shard,
//! operations in flight).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use model::label_set::LabelSet;
use model::samples::Samples;
use model::time::{Now, Tick, TimestampMs};
use scrape::target::TargetSpec;
use shard::shard::Shard;
use storage::effect::{Event as StorageEvent, LogPosition};
use storage::options::Options as StoreOptions;
use storage::recovery::Report;
use storage::selection::{SelectedSeries, TileCache};
use storage::store::Store;
use storage::tile_read::DecodeError;

use crate::disk::Disk;
use crate::network::Place;
use crate::operation::{DiskOp, Fault, recover};
use crate::oracle::{Found, Oracle};
use crate::plan::{Crash, Trouble};
use crate::prng::Prng;

/// A target of the node, present or gone.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// The target.
    pub place: Place,
    /// Since when it is gone; `None` while it is scraped.
    pub gone_since: Option<Tick>,
}

/// One shard and what belongs to it.
pub struct Node {
    /// Number, from 0.
    pub number: usize,
    /// The running shard.
    pub shard: Option<Shard>,
    /// Its disk.
    pub disk: Disk,
    /// What it must hold.
    pub oracle: Oracle,
    /// Its targets.
    pub tenants: Vec<Tenant>,
    /// Runs of the process so far: what was meant for an earlier one is dropped.
    pub life: u64,
    /// Highest position that the disk acknowledged, or recovery found.
    pub acknowledged: LogPosition,
    /// Operations under way by number.
    pub under_way: BTreeMap<u64, DiskOp>,
    options: StoreOptions,
}

impl Node {
    /// A node with an empty disk.
    #[must_use]
    pub fn new(number: usize, options: StoreOptions, places: Vec<Place>) -> Node {
        let tenants = places.into_iter().map(|place| Tenant { place, gone_since: None }).collect();
        Node {
            number,
            shard: None,
            disk: Disk::default(),
            oracle: Oracle::default(),
            tenants,
            life: 0,
            acknowledged: LogPosition::default(),
            under_way: BTreeMap::new(),
            options,
        }
    }

    /// Targets that are to be scraped.
    #[must_use]
    pub fn specs(&self) -> Vec<Arc<TargetSpec>> {
        let present = self.tenants.iter().filter(|tenant| tenant.gone_since.is_none());
        present.map(|tenant| tenant.place.spec.clone()).collect()
    }

    /// The target of this host name.
    #[must_use]
    pub fn place(&self, host: &str) -> Option<&Place> {
        self.tenants.iter().map(|tenant| &tenant.place).find(|place| place.spec.url.host == host)
    }

    /// Ends the process: operations under way are done in part, and at a power cut what was not
    /// synced is kept or lost by chance.
    pub fn crash(&mut self, crash: Crash, chance: &mut Prng) {
        self.shard = None;
        self.life += 1;
        for op in std::mem::take(&mut self.under_way).into_values() {
            op.interrupt(&mut self.disk, &self.options, chance);
        }
        match crash {
            Crash::Kill => self.disk.forget_process(),
            Crash::PowerCut => self.disk.cut(chance),
        }
    }

    /// Performs an operation and says what storage is told.
    pub fn perform(
        &mut self,
        op: &DiskOp,
        trouble: Option<Trouble>,
        chance: &mut Prng,
    ) -> StorageEvent {
        let fault = match trouble {
            Some(Trouble::Full) => Some(Fault::Full),
            Some(Trouble::Broken) => Some(Fault::Broken),
            Some(Trouble::Slow) | None => None,
        };
        let event = op.perform(&mut self.disk, &self.options, fault, chance);
        if let StorageEvent::LogDurable { position } = event {
            self.acknowledged = self.acknowledged.max(position);
        }
        event
    }

    /// Opens the store. With `steps_max` the recovery is cut short: `None`.
    ///
    /// # Errors
    /// Recovery refuses what the disk holds.
    pub fn recover(&self, steps_max: Option<usize>) -> Result<Option<(Store, Report)>, String> {
        recover(&self.disk, &self.options, steps_max).map_err(|error| format!("recovery: {error}"))
    }

    /// Decodes a selection; `None` when a file of it passed retention since.
    ///
    /// # Errors
    /// A series occurs twice, times do not increase, or bytes are damaged.
    pub fn decode(
        &self,
        selected: &[SelectedSeries],
        after: TimestampMs,
        until: TimestampMs,
    ) -> Result<Option<Found>, String> {
        let mut found = Found::default();
        let mut cache = TileCache::default();
        let mut selected_once: HashSet<&LabelSet> = HashSet::new();
        for series in selected {
            if !selected_once.insert(&series.labels) {
                return Err(format!("{} is selected twice", series.labels));
            }
            match self.decode_one(series, &mut cache, after, until)? {
                Ok(samples) if samples.is_empty() => {}
                Ok(samples) => found.series.push((series.labels.clone(), samples)),
                Err(DecodeError::Read { .. }) if self.has_retention() => return Ok(None),
                Err(error) => return Err(format!("decode {}: {error}", series.labels)),
            }
        }
        Ok(Some(found))
    }

    /// Decodes what can be decoded of a selection, bytes being damaged.
    ///
    /// # Errors
    /// Times do not increase.
    pub fn decode_damaged(&self, selected: &[SelectedSeries]) -> Result<Found, String> {
        let (after, until) = (TimestampMs::MIN, TimestampMs::MAX);
        let mut found = Found::default();
        let mut cache = TileCache::default();
        for series in selected {
            match self.decode_one(series, &mut cache, after, until)? {
                Ok(samples) if !samples.is_empty() => {
                    found.series.push((series.labels.clone(), samples));
                }
                Ok(_) | Err(_) => {}
            }
        }
        Ok(found)
    }

    fn decode_one(
        &self,
        series: &SelectedSeries,
        cache: &mut TileCache,
        after: TimestampMs,
        until: TimestampMs,
    ) -> Result<Result<Vec<(i64, u64)>, DecodeError>, String> {
        let mut found = Samples::default();
        match series.decode(&self.disk, cache, after, until, &mut found) {
            Ok(()) => {
                let Samples { timestamps_ms: times, values, .. } = found;
                check_times(&series.labels, &times, &values, after, until)?;
                Ok(Ok(times.into_iter().zip(values.into_iter().map(f64::to_bits)).collect()))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    /// Tells the oracle what retention may have deleted by now.
    pub fn note_retention(&mut self, now: Now) {
        let retention_ms = i64::try_from(self.options.retention_ms).unwrap_or(i64::MAX);
        self.oracle.on_retention(now.wall.0.saturating_sub(retention_ms));
    }

    /// Most bytes of memory that the store may report.
    #[must_use]
    pub fn memory_bytes_max(&self) -> u64 {
        // Backlog, sealed tiles and their scratch, and 16 MiB for the small world's index and
        // tiles.
        2 * (self.options.log_backlog_bytes_max + self.options.sealed_bytes_max)
            + 2 * self.options.commit_bytes_max
            + (16 << 20)
    }

    fn has_retention(&self) -> bool {
        self.options.retention_ms < 24 * 3_600_000
    }
}

fn check_times(
    labels: &LabelSet,
    times: &[i64],
    values: &[f64],
    after: TimestampMs,
    until: TimestampMs,
) -> Result<(), String> {
    if times.len() != values.len() {
        return Err(format!("{labels}: {} times, {} values", times.len(), values.len()));
    }
    if let Some(two) = times.windows(2).find(|two| two[1] <= two[0]) {
        return Err(format!("{labels}: {} after {}", two[1], two[0]));
    }
    let inside = |time: &i64| after.0 < *time && *time <= until.0;
    if times.iter().all(inside) { Ok(()) } else { Err(format!("{labels}: outside the range")) }
}
