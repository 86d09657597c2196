//! Postings: which series have a label value.

use roaring::RoaringBitmap;

/// Series numbers of one label value; most values of a churning label have one.
#[derive(Clone, Debug, Default)]
pub(crate) enum Postings {
    #[default]
    None,
    One(u32),
    Many(Box<RoaringBitmap>),
}

impl Postings {
    pub(crate) fn insert(&mut self, series: u32) {
        match self {
            Postings::None => *self = Postings::One(series),
            Postings::One(other) if *other == series => {}
            Postings::One(other) => {
                *self = Postings::Many(Box::new(RoaringBitmap::from_iter([*other, series])));
            }
            Postings::Many(bitmap) => {
                bitmap.insert(series);
            }
        }
    }

    /// Removes `series`; whether none is left.
    pub(crate) fn remove(&mut self, series: u32) -> bool {
        match self {
            Postings::None => return true,
            Postings::One(other) if *other == series => *self = Postings::None,
            Postings::One(_) => return false,
            Postings::Many(bitmap) => {
                bitmap.remove(series);
                if !bitmap.is_empty() {
                    return false;
                }
                *self = Postings::None;
            }
        }
        true
    }

    pub(crate) fn contains(&self, series: u32) -> bool {
        match self {
            Postings::None => false,
            Postings::One(other) => *other == series,
            Postings::Many(bitmap) => bitmap.contains(series),
        }
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Postings::None => 0,
            Postings::One(_) => 1,
            Postings::Many(bitmap) => bitmap.len(),
        }
    }

    /// Adds these series to `into`.
    pub(crate) fn add_to(&self, into: &mut RoaringBitmap) {
        match self {
            Postings::None => {}
            Postings::One(series) => {
                into.insert(*series);
            }
            Postings::Many(bitmap) => *into |= &**bitmap,
        }
    }

    /// Bytes of memory behind it, about: the serialised form plus its containers.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Postings::None | Postings::One(_) => 0,
            Postings::Many(bitmap) => {
                let containers = bitmap.statistics().n_containers as usize;
                size_of::<RoaringBitmap>() + bitmap.serialized_size() + 40 * containers
            }
        }
    }

    /// Whether one of these series is in `among`.
    pub(crate) fn meets(&self, among: &RoaringBitmap) -> bool {
        match self {
            Postings::None => false,
            Postings::One(series) => among.contains(*series),
            Postings::Many(bitmap) => !bitmap.is_disjoint(among),
        }
    }
}
