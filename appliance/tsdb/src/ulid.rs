//! ULID: the name of a block: 48 bits of time, 80 of chance, in Crockford's base 32.

use std::fmt;

const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of a ULID.
pub const ULID_CHARS: usize = 26;
const CHANCE_BITS: u32 = 80;
const TIME_MS_MAX: u64 = (1 << 48) - 1;

/// Name of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ulid(u128);

impl Ulid {
    /// The name of a block made at `ms` since the epoch; of `chance` the low 80 bits count.
    #[must_use]
    pub fn new(ms: u64, chance: u128) -> Ulid {
        let chance = chance & ((1 << CHANCE_BITS) - 1);
        Ulid(u128::from(ms.min(TIME_MS_MAX)) << CHANCE_BITS | chance)
    }

    /// Reads a name; `None` unless it is exactly one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Ulid> {
        if text.len() != ULID_CHARS || b'7' < text.as_bytes()[0] {
            return None;
        }
        let mut value = 0u128;
        for byte in text.bytes() {
            let digit = DIGITS.iter().position(|digit| *digit == byte.to_ascii_uppercase())?;
            value = value << 5 | digit as u128;
        }
        Some(Ulid(value))
    }

    /// When the block was made, milliseconds since the epoch.
    #[must_use]
    pub fn ms(self) -> u64 {
        u64::try_from(self.0 >> CHANCE_BITS).expect("48 bits")
    }
}

impl fmt::Display for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for at in (0..ULID_CHARS).rev() {
            let digit = usize::try_from(self.0 >> (5 * at) & 31).expect("five bits");
            write!(f, "{}", char::from(DIGITS[digit]))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        let ulid = Ulid::new(1_748_897_922_000, 0x1234_5678_9abc);
        assert_eq!(Ulid::parse(&ulid.to_string()), Some(ulid));
        assert_eq!(ulid.ms(), 1_748_897_922_000);
        let real = "01JWS713P2E4MQW7T643GYGD69";
        assert_eq!(Ulid::parse(real).map(|ulid| ulid.to_string()).as_deref(), Some(real));
        for none in ["", "wal", "01JWS713P2E4MQW7T643GYGD6U", "81JWS713P2E4MQW7T643GYGD69"] {
            assert_eq!(Ulid::parse(none), None, "{none}");
        }
    }
}
