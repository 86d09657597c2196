//! Aggregate chunk of Thanos: five chunks in one, each an aggregate of a window.

use super::encoding::Encoding;
use crate::cursor::Cursor;
use crate::fault::Fault;

/// An aggregate of the samples in one window of a downsampled series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aggregate {
    /// How many samples.
    Count,
    /// Their sum.
    Sum,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// The counter: first value, then values without resets, last the raw last value again.
    Counter,
}

impl Aggregate {
    /// All of them, in the order in which a chunk holds them.
    pub const ALL: [Aggregate; 5] =
        [Aggregate::Count, Aggregate::Sum, Aggregate::Min, Aggregate::Max, Aggregate::Counter];

    /// Its name, as Thanos's tools write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Aggregate::Count => "count",
            Aggregate::Sum => "sum",
            Aggregate::Min => "min",
            Aggregate::Max => "max",
            Aggregate::Counter => "counter",
        }
    }
}

/// Encoding and bytes of one aggregate in an aggregate chunk; `None` where it is left out.
///
/// # Errors
/// The chunk is cut, or an encoding in it is not known.
pub fn part(bytes: &[u8], wanted: Aggregate) -> Result<Option<(Encoding, Vec<u8>)>, Fault> {
    let mut cursor = Cursor::new(bytes, 0);
    for aggregate in Aggregate::ALL {
        let what = "an aggregate chunk";
        let length = cursor.count(1, what).map_err(|at| at.fault)?;
        if length == 0 {
            if aggregate == wanted {
                return Ok(None);
            }
            continue;
        }
        let number = cursor.byte(what).map_err(|at| at.fault)?;
        let part = cursor.take(length, what).map_err(|at| at.fault)?;
        if aggregate == wanted {
            let encoding = Encoding::of(number)?;
            if encoding == Encoding::Aggregate {
                return Err(Fault::wrong("an aggregate chunk holds an aggregate chunk"));
            }
            return Ok(Some((encoding, part.to_vec())));
        }
    }
    unreachable!("every aggregate is in the list")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aggregates_are_found_or_absent() {
        let bytes = [2, 1, 7, 8, 0, 1, 1, 9, 0, 0];
        assert_eq!(part(&bytes, Aggregate::Count), Ok(Some((Encoding::Xor, vec![7, 8]))));
        assert_eq!(part(&bytes, Aggregate::Sum), Ok(None));
        assert_eq!(part(&bytes, Aggregate::Min), Ok(Some((Encoding::Xor, vec![9]))));
        assert_eq!(part(&bytes, Aggregate::Counter), Ok(None));
        assert!(part(&bytes[..3], Aggregate::Count).is_err());
        assert!(part(&[1, 0xff, 0], Aggregate::Count).is_err());
    }
}
