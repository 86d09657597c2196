//! Annotate: what a store keeps beside samples, the metadata of families and exemplars.
//!
//! Path: `scrape`, API → **annotate** → `store`; `recovery` replays what the log holds.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use model::label_set::LabelSet;
use model::time::Now;

use crate::catalog::write::Change;
use crate::exemplars::{Exemplar, ExemplarError, SeriesExemplars};
use crate::head::NONE;
use crate::log::record::{self, Kind};
use crate::log::write::Epoch;
use crate::metadata::{Family, MetadataError, TEXT_BYTES_MAX};
use crate::row::{ColumnIndex, GroupId, GroupKey};
use crate::select;
use crate::selection::{LabelRequest, SelectError};
use crate::store::Store;

/// Bytes of texts in one record of the log.
const RECORD_BYTES: usize = 8 * TEXT_BYTES_MAX;
const _: () = assert!(RECORD_BYTES + TEXT_BYTES_MAX < 1 << 20, "a record fits any segment");

impl Store {
    /// Takes over what a group says of some families: those that are new or changed. Durable with
    /// the next commit.
    ///
    /// # Errors
    /// See [`MetadataError`]; each is counted.
    pub fn set_metadata(
        &mut self,
        now: Now,
        group: GroupId,
        families: &[Family],
    ) -> Result<(), MetadataError> {
        let mut changed: Vec<&Family> = Vec::new();
        let mut result = Ok(());
        for family in families {
            match self.put_metadata(group.0, family) {
                Ok(true) => changed.push(family),
                Ok(false) => {}
                Err(error) => {
                    self.counts.metadata_refused += 1;
                    result = Err(error);
                    break;
                }
            }
        }
        if !changed.is_empty() {
            self.define(now, group);
            self.log_metadata(now, group.0, &changed);
        }
        result
    }

    fn log_metadata(&mut self, now: Now, group: u32, mut changed: &[&Family]) {
        while !changed.is_empty() {
            let mut bytes = 0;
            let fits = changed.iter().take_while(|family| {
                bytes += family.text_bytes();
                bytes <= RECORD_BYTES
            });
            let count = fits.count().max(1);
            let mut body = Vec::new();
            record::put_metadata(&mut body, group, &changed[..count]);
            let epoch = self.log.reserve(body.len() as u64);
            self.log.push(now, Kind::Metadata, &body);
            self.log.pin(epoch);
            self.catalog.queue(Change::Metadata(group), Some(epoch));
            changed = &changed[count..];
        }
    }

    /// Whether that was news.
    pub(crate) fn put_metadata(
        &mut self,
        group: u32,
        family: &Family,
    ) -> Result<bool, MetadataError> {
        let found = self.groups.get_mut(group as usize).and_then(Option::as_mut);
        let found = found.ok_or(MetadataError::UnknownGroup(group))?;
        let families = &mut self.index.families;
        let by_name = |id: &u32| families.family(*id).name.cmp(&family.name);
        let place = found.metadata.binary_search_by(by_name);
        if place.is_ok_and(|at| **families.family(found.metadata[at]) == *family) {
            return Ok(false);
        }
        let bytes = family.text_bytes();
        if TEXT_BYTES_MAX < bytes {
            return Err(MetadataError::TooLong { bytes });
        }
        let bytes_max = self.options.metadata_bytes_max;
        if bytes_max < (families.heap_bytes() + bytes) as u64 {
            return Err(MetadataError::Full(bytes_max));
        }
        let id = families.take(family);
        match place {
            Ok(at) => {
                let old = std::mem::replace(&mut found.metadata[at], id);
                families.give_back(&[old]);
                self.forget_families();
            }
            Err(at) => found.metadata.insert(at, id),
        }
        Ok(true)
    }

    /// Numbers of families that went may be another's soon.
    pub(crate) fn forget_families(&mut self) {
        for id in std::mem::take(&mut self.index.families.gone) {
            self.catalog.forget_family(id);
        }
    }

    /// Takes over the metadata of a record of the log, which the catalog may not have.
    pub(crate) fn replay_metadata(&mut self, group: u32, families: &[Family], epoch: Epoch) {
        let news: Vec<bool> = families
            .iter()
            .map(|family| self.put_metadata(group, family).unwrap_or(false))
            .collect();
        if news.contains(&true) {
            self.log.pin(epoch);
            self.catalog.queue(Change::Metadata(group), Some(epoch));
        }
    }

    /// What the groups say of family `name`, or of all: each text once, by name, at most
    /// `families_max`.
    #[must_use]
    pub fn metadata(&self, name: Option<&str>, families_max: usize) -> Vec<Arc<Family>> {
        let wanted = |family: &&Arc<Family>| name.is_none_or(|name| *family.name == *name);
        let mut found: Vec<Arc<Family>> =
            self.index.families.iter().filter(wanted).map(Arc::clone).collect();
        let order = |family: &Arc<Family>| {
            (family.name.clone(), family.metric_type.text(), family.help.clone())
        };
        found.sort_by_cached_key(order);
        found.truncate(families_max);
        found
    }

    /// What one group says of its families, by name.
    #[must_use]
    pub fn group_metadata(&self, key: GroupKey) -> Vec<Arc<Family>> {
        let group = self.group_keys.get(&key).and_then(|at| self.groups[*at as usize].as_ref());
        let ids = group.map_or(&[][..], |group| &group.metadata);
        ids.iter().map(|id| Arc::clone(self.index.families.family(*id))).collect()
    }

    /// Adds an exemplar to a series; whether it counts: one that is there already does not.
    /// Durable with the next commit, and kept over restarts as long as the log has it.
    ///
    /// # Errors
    /// See [`ExemplarError`]; each is counted.
    pub fn add_exemplar(
        &mut self,
        now: Now,
        group: GroupId,
        column: ColumnIndex,
        exemplar: &Exemplar,
    ) -> Result<bool, ExemplarError> {
        let admitted = self.admit_exemplar((group.0, column.0), exemplar);
        match admitted {
            Err(ExemplarError::OutOfOrder) => self.exemplars.counts.out_of_order += 1,
            Err(_) => self.exemplars.counts.refused += 1,
            Ok(false) => {}
            Ok(true) => {
                self.define(now, group);
                let mut body = Vec::new();
                record::put_exemplar(&mut body, (group.0, column.0), exemplar);
                self.log.reserve(body.len() as u64);
                self.log.push(now, Kind::Exemplar, &body);
                self.exemplars.push((group.0, column.0), exemplar.clone());
            }
        }
        admitted
    }

    fn admit_exemplar(
        &self,
        (group, column): (u32, u32),
        exemplar: &Exemplar,
    ) -> Result<bool, ExemplarError> {
        if self.series_of(group, column).is_none() {
            return Err(ExemplarError::UnknownColumn { group, column });
        }
        let admitted = self.exemplars.admit((group, column), exemplar)?;
        if admitted && self.options.log_backlog_bytes_max <= self.log.backlog_bytes() {
            return Err(ExemplarError::Overloaded);
        }
        Ok(admitted)
    }

    fn series_of(&self, group: u32, column: u32) -> Option<u32> {
        let found = self.groups.get(group as usize)?.as_ref()?;
        Some(found.columns.get(column as usize)?.series).filter(|series| *series != NONE)
    }

    /// Takes over an exemplar of the log.
    pub(crate) fn replay_exemplar(&mut self, place: (u32, u32), exemplar: Exemplar) {
        if self.admit_exemplar(place, &exemplar) == Ok(true) {
            self.exemplars.push(place, exemplar);
        }
    }

    /// Forgets the exemplars of series that went.
    pub(crate) fn forget_exemplars(&mut self) {
        let groups = &self.groups;
        self.exemplars.retain(|(group, column)| {
            let found = groups.get(group as usize).and_then(Option::as_ref);
            let column = found.and_then(|found| found.columns.get(column as usize));
            column.is_some_and(|column| column.series != NONE)
        });
    }

    /// Exemplars with a time in the range of the series that are wanted; by label set and time.
    ///
    /// # Errors
    /// More than `series_max` have some.
    pub fn exemplars(
        &self,
        wanted: &LabelRequest,
        series_max: usize,
    ) -> Result<Vec<SeriesExemplars>, SelectError> {
        let series = select::matching_any(&self.index, &wanted.matcher_sets);
        let mut found: HashMap<u32, Vec<Exemplar>, FixedState> = HashMap::default();
        for ((group, column), exemplar) in self.exemplars.iter() {
            let inside = wanted.from <= exemplar.timestamp && exemplar.timestamp <= wanted.to;
            let of = self.series_of(group, column).filter(|of| inside && series.contains(*of));
            if let Some(of) = of {
                found.entry(of).or_default().push(exemplar.clone());
            }
        }
        if series_max < found.len() {
            return Err(SelectError::TooManySeries { series_max });
        }
        let with_labels = |(of, mut exemplars): (u32, Vec<Exemplar>)| {
            exemplars.sort_by_key(|exemplar| exemplar.timestamp);
            SeriesExemplars { labels: self.index.labels_of(of), exemplars }
        };
        let mut found: Vec<SeriesExemplars> = found.into_iter().map(with_labels).collect();
        found.sort_by(|a, b| LabelSet::cmp(&a.labels, &b.labels));
        Ok(found)
    }
}
