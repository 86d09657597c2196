//! Manifest: which blocks live, which tile files they replace, what is deleted.
//!
//! Path: `blocks` → **manifest** → file `manifest.<n>` → `recovery`.
//! Never: panics on what it reads.
//! Format: docs/format/manifest.md, version 1.

use std::collections::{BTreeMap, BTreeSet};

use model::matcher::{MatchOp, Matcher};
use model::time::TimestampMs;

use crate::compaction::{BlockSummary, Resolution};
use crate::frame::{self, Envelope, Found};
use crate::tombstones::Tombstone;
use crate::varint::{Cursor, put, put_bytes, put_signed};

/// Version of the records in the frame.
const VERSION: u8 = 1;
/// Most bytes of a manifest, so that a damaged length cannot ask for more.
pub(crate) const MANIFEST_BYTES_MAX: usize = 1 << 28;

/// The block takes part in no compaction: something in it does not check.
const FLAG_QUARANTINED: u8 = 1;
/// Its samples were downsampled to five minutes.
const FLAG_FIVE_MINUTES: u8 = 2;
/// Its samples were downsampled to an hour.
const FLAG_HOUR: u8 = 4;

/// A block that lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LiveBlock {
    pub(crate) summary: BlockSummary,
    pub(crate) quarantined: bool,
    /// Downsampled to five minutes, to an hour.
    pub(crate) downsampled: (bool, bool),
    /// How many tiers had ended for its samples when it was written.
    pub(crate) tiers_ended: u8,
}

impl LiveBlock {
    /// A block that was just written.
    pub(crate) fn new(summary: BlockSummary) -> LiveBlock {
        LiveBlock { summary, quarantined: false, downsampled: (false, false), tiers_ended: 0 }
    }
}

/// What a manifest says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// Least number of a block that was never given.
    pub(crate) next_block: u64,
    /// Least number of a tombstone that was never given.
    pub(crate) next_tombstone: u64,
    /// By number.
    pub(crate) blocks: BTreeMap<u64, LiveBlock>,
    /// Tile files whose samples are in blocks.
    pub(crate) replaced: BTreeSet<u64>,
    /// Largest slot and tile number, by group, of tiles that are in blocks: rows of the log up to
    /// there are not taken again.
    pub(crate) sealed: BTreeMap<u32, (i64, u32)>,
    pub(crate) tombstones: Vec<Tombstone>,
}

impl Manifest {
    /// The bytes of file `number`.
    pub(crate) fn write(&self, number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame::open(&mut bytes);
        bytes.push(VERSION);
        put(&mut bytes, self.next_block);
        put(&mut bytes, self.next_tombstone);
        put(&mut bytes, self.blocks.len() as u64);
        for block in self.blocks.values() {
            put_block(&mut bytes, block);
        }
        put(&mut bytes, self.replaced.len() as u64);
        self.replaced.iter().for_each(|file| put(&mut bytes, *file));
        put(&mut bytes, self.sealed.len() as u64);
        for (group, (slot, tile)) in &self.sealed {
            put(&mut bytes, (*group).into());
            put_signed(&mut bytes, *slot);
            put(&mut bytes, (*tile).into());
        }
        put(&mut bytes, self.tombstones.len() as u64);
        for tombstone in &self.tombstones {
            put_tombstone(&mut bytes, tombstone);
        }
        let kind = frame::Kind::Manifest;
        let envelope =
            Envelope { kind, generation: number, first: 1, needed: 0, records: 1, flags: 0 };
        frame::seal(&mut bytes, &envelope);
        bytes
    }

    /// What file `number` says.
    ///
    /// # Errors
    /// What does not check.
    pub(crate) fn read(number: u64, bytes: &[u8]) -> Result<Manifest, &'static str> {
        let found = frame::read(bytes, frame::Kind::Manifest, number, MANIFEST_BYTES_MAX);
        let Found::Frame { payload, .. } = found else {
            return Err("the manifest does not check");
        };
        let mut cursor = Cursor::new(payload);
        let manifest = read_manifest(&mut cursor).ok_or("the manifest makes no sense")?;
        if cursor.is_empty() { Ok(manifest) } else { Err("the manifest has bytes left over") }
    }
}

/// Version of manifest `number` when it is one of its name but not of this version.
pub(crate) fn other_version(number: u64, bytes: &[u8]) -> Option<u8> {
    let outer = frame::version_here(bytes, frame::Kind::Manifest, number)?;
    if outer != frame::VERSION {
        return Some(outer);
    }
    match frame::read(bytes, frame::Kind::Manifest, number, MANIFEST_BYTES_MAX) {
        Found::Frame { payload, .. } => payload.first().copied().filter(|inner| *inner != VERSION),
        _ => None,
    }
}

fn put_block(bytes: &mut Vec<u8>, block: &LiveBlock) {
    let summary = &block.summary;
    put(bytes, summary.number);
    bytes.push(summary.level);
    put_signed(bytes, summary.resolution.ms());
    put_signed(bytes, summary.min_time_ms);
    put_signed(bytes, summary.max_time_ms);
    for number in [summary.series, summary.samples, summary.bytes, summary.tombstone] {
        put(bytes, number);
    }
    let mut flags = if block.quarantined { FLAG_QUARANTINED } else { 0 };
    flags |= if block.downsampled.0 { FLAG_FIVE_MINUTES } else { 0 };
    flags |= if block.downsampled.1 { FLAG_HOUR } else { 0 };
    bytes.push(flags);
    bytes.push(block.tiers_ended);
}

fn put_tombstone(bytes: &mut Vec<u8>, tombstone: &Tombstone) {
    put(bytes, tombstone.id);
    put_signed(bytes, tombstone.from.0);
    put_signed(bytes, tombstone.to.0);
    put(bytes, tombstone.matchers.len() as u64);
    for matcher in &tombstone.matchers {
        put_bytes(bytes, matcher.name.as_bytes());
        put_bytes(bytes, matcher.op.text().as_bytes());
        put_bytes(bytes, matcher.value.as_bytes());
    }
}

fn read_manifest(cursor: &mut Cursor<'_>) -> Option<Manifest> {
    if cursor.byte()? != VERSION {
        return None;
    }
    let mut manifest = Manifest {
        next_block: cursor.unsigned()?,
        next_tombstone: cursor.unsigned()?,
        ..Manifest::default()
    };
    for _ in 0..cursor.unsigned()? {
        let block = read_block(cursor)?;
        manifest.blocks.insert(block.summary.number, block);
    }
    for _ in 0..cursor.unsigned()? {
        manifest.replaced.insert(cursor.unsigned()?);
    }
    for _ in 0..cursor.unsigned()? {
        let group = cursor.unsigned32()?;
        manifest.sealed.insert(group, (cursor.signed()?, cursor.unsigned32()?));
    }
    for _ in 0..cursor.unsigned()? {
        manifest.tombstones.push(read_tombstone(cursor)?);
    }
    Some(manifest)
}

fn read_block(cursor: &mut Cursor<'_>) -> Option<LiveBlock> {
    let number = cursor.unsigned()?;
    let level = cursor.byte()?;
    let summary = BlockSummary {
        number,
        level,
        resolution: Resolution::of_ms(cursor.signed()?)?,
        min_time_ms: cursor.signed()?,
        max_time_ms: cursor.signed()?,
        series: cursor.unsigned()?,
        samples: cursor.unsigned()?,
        bytes: cursor.unsigned()?,
        tombstone: cursor.unsigned()?,
    };
    let flags = cursor.byte()?;
    Some(LiveBlock {
        summary,
        quarantined: flags & FLAG_QUARANTINED != 0,
        downsampled: (flags & FLAG_FIVE_MINUTES != 0, flags & FLAG_HOUR != 0),
        tiers_ended: cursor.byte()?,
    })
}

fn read_tombstone(cursor: &mut Cursor<'_>) -> Option<Tombstone> {
    let id = cursor.unsigned()?;
    let (from, to) = (TimestampMs(cursor.signed()?), TimestampMs(cursor.signed()?));
    let mut matchers = Vec::new();
    for _ in 0..cursor.unsigned()? {
        let mut text = || std::str::from_utf8(cursor.sized_bytes()?).ok();
        let (name, op, value) = (text()?, text()?, text()?);
        let ops = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];
        let op = ops.into_iter().find(|known| known.text() == op)?;
        matchers.push(Matcher::new(name, op, value).ok()?);
    }
    Some(Tombstone { id, matchers, from, to })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(super) fn sample() -> Manifest {
        let summary = BlockSummary {
            number: 7,
            level: 2,
            resolution: Resolution::FiveMinutes,
            min_time_ms: -5,
            max_time_ms: 1_700_000_000_000,
            series: 12,
            samples: 3456,
            bytes: 789,
            tombstone: 3,
        };
        let block = LiveBlock {
            quarantined: true,
            downsampled: (true, false),
            tiers_ended: 2,
            ..LiveBlock::new(summary)
        };
        let matchers = vec![
            Matcher::new("job", MatchOp::Equal, "a").unwrap(),
            Matcher::new("instance", MatchOp::NotRegex, "b.*").unwrap(),
        ];
        let (from, to) = (TimestampMs(1), TimestampMs(2));
        Manifest {
            next_block: 8,
            next_tombstone: 5,
            blocks: BTreeMap::from([(7, block)]),
            replaced: BTreeSet::from([3, 4]),
            sealed: BTreeMap::from([(9, (1_700_000_000_000, 4))]),
            tombstones: vec![Tombstone { id: 4, matchers, from, to }],
        }
    }

    #[test]
    fn a_manifest_reads_back_and_any_flipped_bit_is_noticed() {
        let good = sample().write(3);
        assert_eq!(Manifest::read(3, &good), Ok(sample()));
        assert!(Manifest::read(4, &good).is_err(), "another file's");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::read(3, &bad).is_err(), "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>, at: prop::sample::Index, byte: u8) {
            let _ = Manifest::read(3, &bytes);
            let _ = read_manifest(&mut Cursor::new(&bytes));
            let mut good = sample().write(3);
            let at = at.index(good.len());
            good[at] = byte;
            let _ = read_manifest(&mut Cursor::new(good.get(40..).unwrap_or(&[])));
        }
    }
}
