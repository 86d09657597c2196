//! Slab: places with a generation, so that a key of something gone never finds its successor.
//!
//! Invariants
//! - SL1: a key finds only what was put under that very key.
//! - SL2: never more than `capacity` places.

/// Names one place and its tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Place in the slab, below its capacity.
    pub index: u32,
    /// Counts the tenants of the place.
    pub generation: u32,
}

impl Key {
    /// The key as one number; generation above, index below.
    #[must_use]
    pub fn to_u64(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The key that [`Key::to_u64`] gave.
    #[must_use]
    pub fn from_u64(number: u64) -> Key {
        let low = |n: u64| u32::try_from(n & u64::from(u32::MAX)).expect("32 bits are kept");
        Key { index: low(number), generation: low(number >> 32) }
    }
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    tenant: Option<T>,
}

/// At most `capacity` things, found by [`Key`].
#[derive(Debug)]
pub struct Slab<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    capacity: usize,
}

impl<T> Slab<T> {
    /// An empty slab; memory grows with use, up to `capacity` places.
    #[must_use]
    pub fn new(capacity: usize) -> Slab<T> {
        assert!(capacity < 1 << 31, "keys of the last generation and index are reserved");
        Slab { places: Vec::new(), free: Vec::new(), capacity }
    }

    /// Number of things inside.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Whether nothing is inside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `insert` would refuse.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.capacity <= self.len()
    }

    /// Number of things that still go in.
    #[must_use]
    pub fn free(&self) -> usize {
        self.capacity - self.len()
    }

    /// Takes `tenant` in; gives it back when all places are taken.
    ///
    /// # Errors
    /// The tenant, when the slab is full.
    pub fn insert(&mut self, tenant: T) -> Result<Key, T> {
        if let Some(index) = self.free.pop() {
            let place = &mut self.places[index as usize];
            assert!(place.tenant.is_none(), "SL1: a free place has no tenant");
            place.tenant = Some(tenant);
            return Ok(Key { index, generation: place.generation });
        }
        if self.capacity <= self.places.len() {
            return Err(tenant);
        }
        let index = u32::try_from(self.places.len()).expect("capacity is below 2^31");
        self.places.push(Place { generation: 0, tenant: Some(tenant) });
        assert!(self.places.len() <= self.capacity, "SL2: more places than the capacity");
        Ok(Key { index, generation: 0 })
    }

    /// What is under `key`.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<&T> {
        let place = self.places.get(key.index as usize)?;
        place.tenant.as_ref().filter(|_| place.generation == key.generation)
    }

    /// What is under `key`, to be changed.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let place = self.places.get_mut(key.index as usize)?;
        let same = place.generation == key.generation;
        place.tenant.as_mut().filter(|_| same)
    }

    /// Takes what is under `key` out; the key finds nothing from then on.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let place = self.places.get_mut(key.index as usize)?;
        if place.generation != key.generation {
            return None;
        }
        let tenant = place.tenant.take()?;
        // 31 bits: the numbers above are the ring's own.
        place.generation = (place.generation + 1) & (u32::MAX >> 1);
        self.free.push(key.index);
        Some(tenant)
    }

    /// Keys of everything inside, by place.
    pub fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        self.places.iter().enumerate().filter(|(_, place)| place.tenant.is_some()).map(
            |(index, place)| Key {
                index: u32::try_from(index).expect("capacity is below 2^31"),
                generation: place.generation,
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sl1_an_old_key_finds_nothing() {
        let mut slab = Slab::new(2);
        let old = slab.insert('a').unwrap();
        assert_eq!(slab.remove(old), Some('a'));
        let new = slab.insert('b').unwrap();
        assert_eq!((old.index, slab.get(old)), (new.index, None));
        assert_eq!(slab.remove(old), None);
        assert_eq!(slab.get(Key::from_u64(new.to_u64())), Some(&'b'));
    }

    #[test]
    fn sl2_a_full_slab_gives_back() {
        let mut slab = Slab::new(1);
        slab.insert(1).unwrap();
        assert!(slab.is_full());
        assert_eq!(slab.insert(2), Err(2));
        assert_eq!(slab.keys().count(), 1);
    }
}
