//! Disk: one shard's directory on a disk that forgets what was not synced.
//!
//! A file has the bytes that reads see and the bytes that are on the medium; sectors in which they
//! may differ are dirty. A sync makes the file clean. A power cut decides for each dirty sector
//! whether the old or the new bytes are there, so that writes are lost, torn and reordered. Names
//! work alike: a creation, rename or deletion that was not synced may be undone by a cut.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use storage::names::FileName;
use storage::tile_read::TileRead;

use crate::prng::Prng;

/// What a disk writes whole or not at all.
pub const SECTOR_BYTES: usize = 512;

#[derive(Clone, Debug, Default)]
struct Image {
    seen: Vec<u8>,
    medium: Vec<u8>,
    dirty: BTreeSet<usize>,
}

impl Image {
    fn write_sectors(&mut self, offset: usize, bytes: &[u8], mut wanted: impl FnMut() -> bool) {
        let mut at = 0;
        while at < bytes.len() {
            let place = offset + at;
            let here = (SECTOR_BYTES - place % SECTOR_BYTES).min(bytes.len() - at);
            if wanted() {
                if self.seen.len() < place + here {
                    self.seen.resize(place + here, 0);
                }
                self.seen[place..place + here].copy_from_slice(&bytes[at..at + here]);
                self.dirty.insert(place / SECTOR_BYTES);
            }
            at += here;
        }
    }

    fn sync(&mut self) {
        self.medium.resize(self.seen.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            let from = sector * SECTOR_BYTES;
            let to = (from + SECTOR_BYTES).min(self.seen.len());
            self.medium[from..to].copy_from_slice(&self.seen[from..to]);
        }
    }

    fn cut(&mut self, chance: &mut Prng) {
        let mut kept = 0;
        for sector in std::mem::take(&mut self.dirty) {
            if !chance.happens(500_000) {
                continue;
            }
            let from = sector * SECTOR_BYTES;
            let to = (from + SECTOR_BYTES).min(self.seen.len());
            if self.medium.len() < to {
                self.medium.resize(to, 0);
            }
            self.medium[from..to].copy_from_slice(&self.seen[from..to]);
            kept = kept.max(to);
        }
        // The new length may have reached the medium although the bytes have not: zeroes then.
        if self.medium.len() < self.seen.len() && chance.happens(300_000) {
            self.medium.resize(self.seen.len(), 0);
        }
        self.seen.clone_from(&self.medium);
    }
}

/// The directory of one shard.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// Shared with copies of the disk until one of them writes.
    images: BTreeMap<u64, Arc<Image>>,
    next_image: u64,
    /// Names as reads see them.
    seen: BTreeMap<FileName, u64>,
    /// Names on the medium.
    medium: BTreeMap<FileName, u64>,
    /// Images of retired segments, oldest first, with the name they still have.
    spares: Vec<FileName>,
}

impl Disk {
    /// Names and sizes.
    #[must_use]
    pub fn listing(&self) -> Vec<(FileName, u64)> {
        self.seen
            .iter()
            .map(|(name, image)| (*name, self.images[image].seen.len() as u64))
            .collect()
    }

    /// Bytes of all files as reads see them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.listing().iter().map(|(_, bytes)| bytes).sum()
    }

    /// Up to `bytes_max` bytes at `offset`, fewer at the end; none of a file that is not there.
    #[must_use]
    pub fn part(&self, file: FileName, offset: u64, bytes_max: usize) -> &[u8] {
        let Some(image) = self.seen.get(&file).map(|id| &self.images[id]) else {
            return &[];
        };
        let from = index(offset).min(image.seen.len());
        let to = from.saturating_add(bytes_max).min(image.seen.len());
        &image.seen[from..to]
    }

    /// Whether the file is there.
    #[must_use]
    pub fn has(&self, file: FileName) -> bool {
        self.seen.contains_key(&file)
    }

    /// Writes `bytes`, making the file if it is not there; unsynced.
    pub fn write(&mut self, file: FileName, offset: u64, bytes: &[u8]) {
        self.image(file).write_sectors(index(offset), bytes, || true);
    }

    /// Writes some sectors of `bytes`: what a failed or interrupted write leaves.
    pub fn write_some(&mut self, file: FileName, offset: u64, bytes: &[u8], chance: &mut Prng) {
        let parts = chance.one_of(&[0, 500_000, 900_000, 1_000_000]);
        self.image(file).write_sectors(index(offset), bytes, || chance.happens(parts));
    }

    /// Syncs the file's bytes.
    pub fn sync(&mut self, file: FileName) {
        let id = self.seen.get(&file);
        if id.is_some_and(|id| !self.images[id].dirty.is_empty()) {
            self.image(file).sync();
        }
    }

    /// A sync fails: some sectors reach the medium, and the others count as clean all the same.
    pub fn lose(&mut self, file: FileName, chance: &mut Prng) {
        if self.has(file) {
            let image = self.image(file);
            let seen = image.seen.clone();
            image.cut(chance);
            image.seen = seen;
        }
    }

    /// Cuts the file to `bytes`, durably.
    pub fn cut_back(&mut self, file: FileName, bytes: u64) {
        if self.has(file) {
            let (image, bytes) = (self.image(file), index(bytes));
            image.seen.truncate(bytes);
            image.medium.truncate(bytes);
            image.dirty.retain(|sector| sector * SECTOR_BYTES < bytes);
        }
    }

    /// Syncs the names.
    pub fn sync_names(&mut self) {
        self.medium.clone_from(&self.seen);
        let named: BTreeSet<u64> = self.seen.values().copied().collect();
        self.images.retain(|id, _| named.contains(id));
    }

    /// Syncs what the machine syncs before a recovery: all but the tile files before the newest,
    /// whose bytes were durable before the newest was begun.
    pub fn settle(&mut self) {
        let is_tile = |name: &&FileName| matches!(name, FileName::Tile(_));
        let newest = self.seen.keys().filter(is_tile).max().copied();
        let names: Vec<FileName> = self.seen.keys().copied().collect();
        for name in names.iter().filter(|name| !is_tile(name) || newest == Some(**name)) {
            self.sync(*name);
        }
        self.sync_names();
    }

    /// Syncs everything.
    #[cfg(test)]
    fn sync_all(&mut self) {
        for image in self.images.values_mut().filter(|image| !image.dirty.is_empty()) {
            Arc::make_mut(image).sync();
        }
        self.sync_names();
    }

    /// Renames; unsynced.
    pub fn rename(&mut self, from: FileName, to: FileName) {
        if let Some(image) = self.seen.remove(&from) {
            self.seen.insert(to, image);
        }
    }

    /// Deletes; unsynced.
    pub fn delete(&mut self, file: FileName) {
        self.seen.remove(&file);
    }

    /// Deletes and syncs that name alone.
    pub fn delete_durably(&mut self, file: FileName) {
        self.seen.remove(&file);
        self.medium.remove(&file);
    }

    /// Keeps the file of a retired segment to be recycled.
    pub fn retire(&mut self, file: FileName) {
        self.spares.push(file);
    }

    /// Flips one bit of the medium, in one of the files that `wanted` wants; false when there is
    /// none.
    pub fn rot(&mut self, chance: &mut Prng, wanted: impl Fn(&FileName) -> bool) -> bool {
        let named = self.seen.iter().filter(|(name, _)| wanted(name));
        let files: Vec<u64> = named.map(|(_, id)| *id).collect();
        if files.is_empty() {
            return false;
        }
        let Some(image) = self.images.get_mut(&chance.one_of(&files)) else { return false };
        let image = Arc::make_mut(image);
        // Segments are mostly empty: half of the bits flip where something stands.
        let bytes = image.seen.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        let bytes = if chance.happens(500_000) { bytes } else { image.seen.len() };
        let bits = bytes as u64 * 8;
        let bit = chance.below(bits);
        if let Some(byte) = image.seen.get_mut(index(bit / 8)) {
            *byte ^= 1 << (bit % 8);
        }
        image.medium.clone_from(&image.seen);
        image.dirty.clear();
        bits != 0
    }

    /// Has a file of `bytes` zeroes or stale bytes under `file`; names unsynced, bytes synced.
    pub fn prepare(&mut self, file: FileName, bytes: u64) {
        let there = self.seen.get(&file).map(|id| self.images[id].seen.len() as u64);
        if there == Some(bytes) {
            return;
        }
        while !self.spares.is_empty() {
            let spare = self.spares.remove(0);
            let fits = self.seen.get(&spare).is_some_and(|id| {
                self.images[id].seen.len() as u64 == bytes && self.images[id].dirty.is_empty()
            });
            if fits {
                self.rename(spare, file);
                return;
            }
        }
        let zeroes = vec![0; index(bytes)];
        self.seen.remove(&file);
        let image = self.image(file);
        *image = Image { seen: zeroes.clone(), medium: zeroes, dirty: BTreeSet::new() };
    }

    /// The power goes: unsynced sectors and names are kept or lost by chance.
    pub fn cut(&mut self, chance: &mut Prng) {
        for image in self.images.values_mut().filter(|image| !image.dirty.is_empty()) {
            Arc::make_mut(image).cut(chance);
        }
        let names: BTreeSet<FileName> =
            self.seen.keys().chain(self.medium.keys()).copied().collect();
        // The journal of the file system keeps the order: all changes of names, or none.
        let kept = names.iter().any(|name| self.seen.get(name) != self.medium.get(name))
            && chance.happens(500_000);
        if kept {
            self.medium.clone_from(&self.seen);
        }
        self.seen.clone_from(&self.medium);
        self.spares.clear();
        let named: BTreeSet<u64> = self.seen.values().copied().collect();
        self.images.retain(|id, _| named.contains(id));
    }

    /// The process dies: what was written stays, also what was not synced.
    pub fn forget_process(&mut self) {
        self.spares.clear();
    }

    fn image(&mut self, file: FileName) -> &mut Image {
        let id = *self.seen.entry(file).or_insert_with(|| {
            self.next_image += 1;
            self.next_image
        });
        Arc::make_mut(self.images.entry(id).or_default())
    }
}

impl TileRead for Disk {
    fn read(&self, file: &FileName, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        if !self.has(*file) {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("{file} is gone")));
        }
        let found = self.part(*file, offset, bytes.len());
        if found.len() < bytes.len() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{file} is shorter")));
        }
        bytes.copy_from_slice(found);
        Ok(())
    }
}

/// A disk one of whose reads fails.
#[derive(Debug)]
pub struct Failing {
    disk: Disk,
    /// Reads until it fails.
    left: AtomicU64,
}

impl Failing {
    /// A disk whose read number `at` fails, from 0.
    #[must_use]
    pub fn new(disk: Disk, at: u64) -> Failing {
        Failing { disk, left: AtomicU64::new(at) }
    }
}

impl TileRead for Failing {
    fn read(&self, file: &FileName, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        // Wraps around after the failing one, which is as good as never.
        if self.left.fetch_sub(1, Ordering::Relaxed) == 0 {
            return Err(io::Error::other("input/output error"));
        }
        self.disk.read(file, offset, bytes)
    }
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("files of the simulation fit memory")
}

#[cfg(test)]
mod tests {
    use storage::names::SegmentId;

    use super::*;

    const FILE: FileName = FileName::Segment(SegmentId(1));

    #[test]
    fn synced_bytes_survive_every_cut() {
        for seed in 0..50 {
            let mut chance = Prng::new(seed, "disk");
            let mut disk = Disk::default();
            disk.write(FILE, 0, &[1; 2_000]);
            disk.sync(FILE);
            disk.sync_names();
            disk.write(FILE, 1_000, &[2; 2_000]);
            disk.cut(&mut chance);
            let found = disk.part(FILE, 0, 4_000);
            assert!(found[..1_000].iter().all(|byte| *byte == 1));
            assert!(found[1_000..2_000].iter().all(|byte| *byte == 1 || *byte == 2));
        }
    }

    #[test]
    fn cuts_tear_at_sectors() {
        let torn = (0..50).any(|seed| {
            let mut chance = Prng::new(seed, "disk");
            let mut disk = Disk::default();
            disk.write(FILE, 0, &[1; 2_048]);
            disk.sync_all();
            disk.write(FILE, 0, &[2; 2_048]);
            disk.cut(&mut chance);
            let found = disk.part(FILE, 0, 2_048);
            found.chunks(SECTOR_BYTES).all(|s| s.iter().all(|byte| *byte == s[0]))
                && found.contains(&1)
                && found.contains(&2)
        });
        assert!(torn);
    }

    #[test]
    fn unsynced_names_may_go() {
        let outcomes: BTreeSet<usize> = (0..50)
            .map(|seed| {
                let mut disk = Disk::default();
                disk.write(FILE, 0, &[1; 10]);
                disk.cut(&mut Prng::new(seed, "disk"));
                disk.listing().len()
            })
            .collect();
        assert_eq!(outcomes.len(), 2);
    }

    #[test]
    fn recycled_segments_keep_their_bytes() {
        let mut disk = Disk::default();
        disk.prepare(FILE, 1_024);
        disk.write(FILE, 0, &[7; 512]);
        disk.sync_all();
        disk.retire(FILE);
        let next = FileName::Segment(SegmentId(2));
        disk.prepare(next, 1_024);
        assert_eq!(disk.part(next, 0, 1), [7]);
        assert_eq!(disk.listing().len(), 1);
    }
}
