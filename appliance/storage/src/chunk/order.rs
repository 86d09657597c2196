//! Order: the bits of a float as a signed integer, so that neighbours among floats are neighbours
//! among integers.
//!
//! Path: `write_values`, `read_values` → **order**.
//! Every bit pattern has its integer, NaN payloads included: the mapping is one to one.

/// The place of `value` among all floats; 0 is +0, -1 is -0.
pub(crate) fn place(value: f64) -> i64 {
    mirror(value.to_bits().cast_signed())
}

/// The float at `place`.
pub(crate) fn float(place: i64) -> f64 {
    f64::from_bits(mirror(place).cast_unsigned())
}

/// Inverts the magnitude of negative floats; undoes itself.
fn mirror(bits: i64) -> i64 {
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn neighbours_are_neighbours() {
        assert_eq!((place(0.0), place(-0.0)), (0, -1));
        assert_eq!(place(1.0f64.next_up()) - place(1.0), 1);
        assert_eq!(place((-1.0f64).next_up()) - place(-1.0), 1);
    }

    proptest! {
        #[test]
        fn every_pattern_has_its_place(bits: u64, other: u64) {
            let (value, other) = (f64::from_bits(bits), f64::from_bits(other));
            prop_assert_eq!(float(place(value)).to_bits(), bits);
            if value < other {
                prop_assert!(place(value) < place(other));
            }
        }
    }
}
