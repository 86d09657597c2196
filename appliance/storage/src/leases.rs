//! Leases: what each shard may have of a limit that is for all of them together.
//!
//! Path: shards tell what they use → **leases** deals → `owners`, `blocks`.
//! A shard that was told nothing goes by an even share. What is dealt adds up to the limit; what
//! shards make while it is dealt anew may pass it by that much.
//!
//! Invariants
//! - LE1: leases of one limit add up to it, or to what is used already.

use crate::options::{Options, OwnerLimit};
use crate::owners::{OwnerKind, OwnerLease, OwnerUsage, limit_of};

/// What a shard has of what is limited for all together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardUsage {
    /// Jobs and tenants.
    pub owners: Vec<OwnerUsage>,
    /// Bytes of memory of the head.
    pub head_bytes: u64,
    /// Bytes of blocks and tile files.
    pub file_bytes: u64,
}

/// What a shard may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leases {
    /// Jobs and tenants.
    pub owners: Vec<OwnerLease>,
    /// Bytes of memory of the head.
    pub head_bytes: u64,
    /// Bytes of blocks and tile files.
    pub file_bytes: u64,
}

/// Deals the limits of `options` to shards that use this much: each keeps what it has, the rest
/// goes where it is wanted. Of bytes of files, which are had before they are limited, each shard
/// gives up the same part.
#[must_use]
pub fn deal(options: &Options, shards: &[ShardUsage]) -> Vec<Leases> {
    let of = |part: fn(&ShardUsage) -> u64| -> Vec<(u64, bool)> {
        shards.iter().map(|usage| (part(usage), false)).collect()
    };
    let head = deal_one(options.head_bytes_max, &of(|usage| usage.head_bytes));
    let files: u128 = shards.iter().map(|usage| u128::from(usage.file_bytes)).sum();
    let mut leases = Vec::with_capacity(shards.len());
    for (usage, head_bytes) in shards.iter().zip(head) {
        let part = u128::from(options.retention_bytes) * u128::from(usage.file_bytes);
        let part = part.checked_div(files).unwrap_or(options.retention_bytes.into());
        let file_bytes = u64::try_from(part).unwrap_or(u64::MAX);
        leases.push(Leases { owners: Vec::new(), head_bytes, file_bytes });
    }
    let mut names: Vec<(OwnerKind, &str)> =
        shards.iter().flat_map(|usage| &usage.owners).map(|one| (one.kind, &*one.name)).collect();
    names.sort_unstable();
    names.dedup();
    // Every shard lists its owners by kind and name.
    let mut places: Vec<_> = shards.iter().map(|usage| usage.owners.iter().peekable()).collect();
    for (kind, name) in names {
        let limit = limit_of(options, kind);
        let used: Vec<Option<&OwnerUsage>> = places
            .iter_mut()
            .map(|owners| owners.next_if(|one| (one.kind, &*one.name) == (kind, name)))
            .collect();
        let of = |part: fn(&OwnerUsage) -> u64| -> Vec<(u64, bool)> {
            used.iter().map(|one| one.map_or((0, false), |one| (part(one), one.wants))).collect()
        };
        let series = deal_one(limit.series_max.into(), &of(|one| one.series.into()));
        let bytes = deal_one(limit.bytes_max, &of(|one| one.bytes));
        for ((lease, series), bytes) in leases.iter_mut().zip(series).zip(bytes) {
            let series_max = u32::try_from(series).unwrap_or(u32::MAX);
            let limit = OwnerLimit { series_max, bytes_max: bytes };
            lease.owners.push(OwnerLease { kind, name: name.into(), limit });
        }
    }
    leases
}

/// Deals one limit by what is used and whether more is wanted: half of what is free goes evenly to
/// all, so that those who begin need not wait, the rest to those who want it.
fn deal_one(limit: u64, shards: &[(u64, bool)]) -> Vec<u64> {
    let count = (shards.len() as u64).max(1);
    let used = shards.iter().fold(0u64, |sum, (used, _)| sum.saturating_add(*used));
    let free = limit.saturating_sub(used);
    let wanting = shards.iter().filter(|(_, wants)| *wants).count() as u64;
    let even = if wanting == 0 { free } else { free / 2 } / count;
    let rest = free - even * count;
    let mut left = rest % wanting.max(1);
    let mut leases = Vec::with_capacity(shards.len());
    for (used, wants) in shards {
        let mut lease = used + even;
        if *wants {
            lease += rest / wanting + left;
            left = 0;
        }
        leases.push(lease);
    }
    if let (0, Some(first)) = (wanting, leases.first_mut()) {
        *first += rest;
    }
    let sum = leases.iter().fold(0u64, |sum, lease| sum.saturating_add(*lease));
    assert!(sum == limit.max(used), "LE1: {sum} is dealt of {limit}, {used} is used");
    leases
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn le1_nothing_is_dealt_twice_and_all_of_it_can_be_had(
            limit in 0..10_000u64,
            used in prop::collection::vec(0..500u64, 1..8),
            hungry in 0..8usize,
        ) {
            let mut used = used;
            let hungry = hungry % used.len();
            for _ in 0..20 {
                let shards: Vec<(u64, bool)> =
                    used.iter().enumerate().map(|(at, used)| (*used, at == hungry)).collect();
                let leases = deal_one(limit, &shards);
                prop_assert_eq!(leases.iter().sum::<u64>(), limit.max(used.iter().sum()));
                prop_assert!(leases.iter().zip(&used).all(|(lease, used)| used <= lease));
                used[hungry] = leases[hungry];
            }
            prop_assert_eq!(used.iter().sum::<u64>(), limit.max(used.iter().sum()));
        }
    }

    #[test]
    fn owners_are_dealt_by_name_and_files_by_share() {
        let owner = |name: &str, series, wants| OwnerUsage {
            kind: OwnerKind::Job,
            name: name.into(),
            series,
            bytes: 0,
            wants,
        };
        let limit = OwnerLimit { series_max: 100, bytes_max: 0 };
        let options = Options { job_limit: limit, retention_bytes: 300, ..Options::default() };
        let shards = [
            ShardUsage { owners: vec![owner("a", 60, true)], head_bytes: 0, file_bytes: 1000 },
            ShardUsage {
                owners: vec![owner("a", 0, false), owner("b", 7, false)],
                head_bytes: 0,
                file_bytes: 200,
            },
        ];
        let leases = deal(&options, &shards);
        let of = |lease: &Leases| -> Vec<(String, u32)> {
            lease.owners.iter().map(|one| (one.name.to_string(), one.limit.series_max)).collect()
        };
        assert_eq!(of(&leases[0]), [("a".to_owned(), 90), ("b".to_owned(), 47)]);
        assert_eq!(of(&leases[1]), [("a".to_owned(), 10), ("b".to_owned(), 53)]);
        assert_eq!((leases[0].file_bytes, leases[1].file_bytes), (250, 50));
        let empty = deal(&options, &[ShardUsage::default(), ShardUsage::default()]);
        assert_eq!(empty[1].file_bytes, 300);
    }
}
