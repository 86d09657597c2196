//! Owners: whose series these are, and how much each may have.
//!
//! Path: `store` → **owners**; `upkeep` measures, `report` shows.
//! Over its limit the *next* series of an owner are refused and counted; nobody else notices.

use std::collections::BTreeMap;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use model::label_set::LabelSet;

use crate::options::{Options, OwnerLimit};

/// Label of a group's identity that names its tenant.
pub const TENANT_LABEL: &str = "__tenant__";
const JOB_LABEL: &str = "job";
/// No owner of this kind.
const NONE: u32 = u32::MAX;
/// Owners whose refusals are counted by name; those of others are counted together.
const NAMES_MAX: usize = 100;

/// Who owns a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnerKind {
    /// The group itself: a target.
    Target,
    /// All groups with one label `job`.
    Job,
    /// All groups with one label [`TENANT_LABEL`].
    Tenant,
}

impl OwnerKind {
    /// Its word in texts and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            OwnerKind::Target => "target",
            OwnerKind::Job => "job",
            OwnerKind::Tenant => "tenant",
        }
    }
}

/// Bytes that a series is taken to cost until it is measured.
pub(crate) const SERIES_BYTES: u64 = 300;

/// What an owner has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) series: u32,
    pub(crate) bytes: u64,
}

/// What one owner has in a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerUsage {
    /// Job or tenant.
    pub kind: OwnerKind,
    /// Its name.
    pub name: Box<str>,
    /// Series it has.
    pub series: u32,
    /// Bytes they take.
    pub bytes: u64,
    /// Whether it was refused a series since this was told last.
    pub wants: bool,
}

/// What one owner may have in a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerLease {
    /// Job or tenant.
    pub kind: OwnerKind,
    /// Its name.
    pub name: Box<str>,
    /// What it may have; 0 is nothing where the owner is limited.
    pub limit: OwnerLimit,
}

/// What owners of this kind may have in all shards together.
pub(crate) fn limit_of(options: &Options, kind: OwnerKind) -> OwnerLimit {
    match kind {
        OwnerKind::Target => options.target_limit,
        OwnerKind::Job => options.job_limit,
        OwnerKind::Tenant => options.tenant_limit,
    }
}

impl Usage {
    /// The limit that another series would pass where `lease` is what may be had of it here: how
    /// much of what.
    pub(crate) fn over(self, limit: OwnerLimit, lease: OwnerLimit) -> Option<(u64, &'static str)> {
        if 0 < limit.series_max && lease.series_max <= self.series {
            return Some((limit.series_max.into(), "series"));
        }
        let bytes = 0 < limit.bytes_max && lease.bytes_max <= self.bytes;
        bytes.then_some((limit.bytes_max, "bytes"))
    }

    pub(crate) fn add_series(&mut self) {
        self.series += 1;
        self.bytes += SERIES_BYTES;
    }

    pub(crate) fn remove_series(&mut self) {
        self.series -= 1;
        self.bytes = self.bytes.saturating_sub(SERIES_BYTES);
    }
}

/// Numbers of the owners of a group beside itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupOwners {
    pub(crate) job: u32,
    pub(crate) tenant: u32,
}

impl Default for GroupOwners {
    fn default() -> GroupOwners {
        GroupOwners { job: NONE, tenant: NONE }
    }
}

#[derive(Debug)]
struct Owner {
    name: (OwnerKind, Box<str>),
    groups: u32,
    usage: Usage,
    /// What it may have in this shard; `None` for an even share.
    lease: Option<OwnerLimit>,
    /// Whether it was refused a series since that was dealt.
    wants: bool,
}

/// Jobs and tenants that have groups.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    numbers: HashMap<(OwnerKind, Box<str>), u32, FixedState>,
    owners: Vec<Owner>,
    free: Vec<u32>,
    /// Series refused, by owner; the name is "" for those past [`NAMES_MAX`].
    refused: BTreeMap<(OwnerKind, Box<str>), u64>,
}

impl Owners {
    /// The owners of a group with these identity labels, which has one more group from here on.
    pub(crate) fn take(&mut self, labels: &LabelSet) -> GroupOwners {
        GroupOwners {
            job: self.take_one(OwnerKind::Job, labels.value(JOB_LABEL)),
            tenant: self.take_one(OwnerKind::Tenant, labels.value(TENANT_LABEL)),
        }
    }

    fn take_one(&mut self, kind: OwnerKind, name: &str) -> u32 {
        if name.is_empty() {
            return NONE;
        }
        let name: (OwnerKind, Box<str>) = (kind, Box::from(name));
        if let Some(number) = self.numbers.get(&name) {
            self.owners[*number as usize].groups += 1;
            return *number;
        }
        let usage = Usage::default();
        let owner = Owner { name: name.clone(), groups: 1, usage, lease: None, wants: false };
        let number = if let Some(number) = self.free.pop() {
            self.owners[number as usize] = owner;
            number
        } else {
            self.owners.push(owner);
            u32::try_from(self.owners.len() - 1).expect("groups are bounded by options")
        };
        self.numbers.insert(name, number);
        number
    }

    /// They have one group less.
    pub(crate) fn give_back(&mut self, of: GroupOwners) {
        for number in [of.job, of.tenant] {
            let Some(owner) = self.owners.get_mut(number as usize) else { continue };
            owner.groups -= 1;
            if owner.groups == 0 {
                self.numbers.remove(&owner.name);
                self.free.push(number);
            }
        }
    }

    /// What changes of the usage of both.
    pub(crate) fn each(&mut self, of: GroupOwners, change: impl Fn(&mut Usage)) {
        for number in [of.job, of.tenant] {
            if let Some(owner) = self.owners.get_mut(number as usize) {
                change(&mut owner.usage);
            }
        }
    }

    /// Sets the measured bytes of all to 0, to be added up anew.
    pub(crate) fn measure(&mut self) {
        self.owners.iter_mut().for_each(|owner| owner.usage.bytes = 0);
    }

    /// The first owner that may have no further series: how much of what.
    pub(crate) fn over(
        &self,
        target: Usage,
        of: GroupOwners,
        options: &Options,
    ) -> Option<(OwnerKind, u64, &'static str)> {
        let limit = options.target_limit;
        if let Some((limit, unit)) = target.over(limit, limit) {
            return Some((OwnerKind::Target, limit, unit));
        }
        [of.job, of.tenant].into_iter().find_map(|number| {
            let owner = self.owners.get(number as usize)?;
            let limit = limit_of(options, owner.name.0);
            let lease = owner.lease.unwrap_or_else(|| OwnerLimit {
                series_max: limit.series_max.div_ceil(options.shards),
                bytes_max: limit.bytes_max.div_ceil(options.shards.into()),
            });
            let (limit, unit) = owner.usage.over(limit, lease)?;
            Some((owner.name.0, limit, unit))
        })
    }

    /// What the limited of them have, by kind and name. They do not want more from here on, until
    /// they are refused it.
    pub(crate) fn usage(&mut self, options: &Options) -> Vec<OwnerUsage> {
        let limited = |owner: &&mut Owner| {
            0 < owner.groups && limit_of(options, owner.name.0) != OwnerLimit::default()
        };
        let tell = |owner: &mut Owner| OwnerUsage {
            kind: owner.name.0,
            name: owner.name.1.clone(),
            series: owner.usage.series,
            bytes: owner.usage.bytes,
            wants: std::mem::take(&mut owner.wants),
        };
        let mut told: Vec<OwnerUsage> = self.owners.iter_mut().filter(limited).map(tell).collect();
        told.sort_unstable_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        told
    }

    /// Takes what they may have over; those that are not named go by an even share.
    pub(crate) fn lease(&mut self, leases: Vec<OwnerLease>) {
        self.owners.iter_mut().for_each(|owner| owner.lease = None);
        for OwnerLease { kind, name, limit } in leases {
            if let Some(number) = self.numbers.get(&(kind, name)) {
                self.owners[*number as usize].lease = Some(limit);
            }
        }
    }

    /// Counts a refused series of the owner of this kind of a group with these labels.
    pub(crate) fn count_refused(&mut self, kind: OwnerKind, labels: &LabelSet) {
        let name = match kind {
            OwnerKind::Target => labels.value("instance"),
            OwnerKind::Job => labels.value(JOB_LABEL),
            OwnerKind::Tenant => labels.value(TENANT_LABEL),
        };
        let name: (OwnerKind, Box<str>) = (kind, Box::from(name));
        if let Some(number) = self.numbers.get(&name) {
            self.owners[*number as usize].wants = true;
        }
        if let Some(count) = self.refused.get_mut(&name) {
            *count += 1;
        } else if self.refused.len() < NAMES_MAX {
            self.refused.insert(name, 1);
        } else {
            *self.refused.entry((kind, Box::from(""))).or_default() += 1;
        }
    }

    /// Series refused, by kind and name of owner.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (OwnerKind, &str, u64)> {
        self.refused.iter().map(|((kind, name), count)| (*kind, &**name, *count))
    }

    /// Bytes of memory behind it.
    pub(crate) fn heap_bytes(&self) -> usize {
        let names: usize = self.owners.iter().map(|owner| 2 * owner.name.1.len()).sum();
        names + self.owners.capacity() * size_of::<Owner>() + self.numbers.allocation_size()
    }
}
