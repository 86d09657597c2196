//! Idle connections: kept alive for the next scrape, the newest of a place used first.

use std::collections::{BTreeSet, HashMap};

use model::time::Tick;

use crate::operation::FileKey;

/// How long a connection may idle: upstream's five minutes.
const IDLE_MS_MAX: u64 = 5 * 60_000;

/// Host and port of a connection.
pub type PlaceKey = (String, u16);

struct Idle {
    file: FileKey,
    until: Tick,
    number: u64,
}

/// The idle connections of one client.
#[derive(Default)]
pub struct IdleConnections {
    by_place: HashMap<PlaceKey, Vec<Idle>>,
    by_age: BTreeSet<(Tick, u64, PlaceKey)>,
    numbers: u64,
}

impl IdleConnections {
    /// Number of idle connections.
    #[must_use]
    pub fn count(&self) -> usize {
        self.by_age.len()
    }

    /// Keeps `file`, connected to `place`.
    pub fn put(&mut self, now: Tick, place: PlaceKey, file: FileKey) {
        let until = now.after_ms(IDLE_MS_MAX);
        self.numbers += 1;
        let idle = Idle { file, until, number: self.numbers };
        self.by_age.insert((until, self.numbers, place.clone()));
        self.by_place.entry(place).or_default().push(idle);
    }

    /// The newest connection to `place`.
    pub fn take(&mut self, place: &PlaceKey) -> Option<FileKey> {
        let idle = self.by_place.get_mut(place)?.pop()?;
        if self.by_place.get(place).is_some_and(Vec::is_empty) {
            self.by_place.remove(place);
        }
        self.by_age.remove(&(idle.until, idle.number, place.clone()));
        Some(idle.file)
    }

    /// The oldest connection of all, to make room.
    pub fn take_oldest(&mut self) -> Option<FileKey> {
        let (_, number, place) = self.by_age.pop_first()?;
        let idles = self.by_place.get_mut(&place)?;
        let at = idles.iter().position(|idle| idle.number == number)?;
        let idle = idles.remove(at);
        if idles.is_empty() {
            self.by_place.remove(&place);
        }
        Some(idle.file)
    }

    /// A connection whose time has passed.
    pub fn take_expired(&mut self, now: Tick) -> Option<FileKey> {
        if now < self.next_deadline()? { None } else { self.take_oldest() }
    }

    /// When the next connection's time passes.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Tick> {
        self.by_age.first().map(|(until, _, _)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slab::Key;

    fn file(index: u32) -> FileKey {
        FileKey(Key { index, generation: 0 })
    }

    #[test]
    fn the_newest_of_a_place_is_used_and_the_oldest_of_all_evicted() {
        let mut idle = IdleConnections::default();
        let place = |name: &str| (name.to_owned(), 80);
        for (at, name) in ["a", "b", "a"].into_iter().enumerate() {
            idle.put(Tick(at as u64), place(name), file(u32::try_from(at).unwrap()));
        }
        assert_eq!(idle.take(&place("a")), Some(file(2)));
        assert_eq!(idle.take_expired(Tick(5)), None);
        assert_eq!(idle.take_expired(Tick(0).after_ms(IDLE_MS_MAX)), Some(file(0)));
        assert_eq!(idle.take(&place("a")), None);
        assert_eq!(idle.take_oldest(), Some(file(1)));
        assert_eq!((idle.count(), idle.next_deadline()), (0, None));
    }
}
