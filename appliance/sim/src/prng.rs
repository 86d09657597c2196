//! Prng: chance from a seed, in streams that do not disturb each other.
//!
//! SplitMix64 (Steele, Lea, Flood 2014): one addition and a mix a number, every seed a full period.

/// One stream of chance.
#[derive(Clone, Debug)]
pub struct Prng {
    state: u64,
}

impl Prng {
    /// The stream `name` of `seed`.
    #[must_use]
    pub fn new(seed: u64, name: &str) -> Prng {
        let mut state = mix(seed ^ 0x9e37_79b9_7f4a_7c15);
        for byte in name.bytes() {
            state = mix(state ^ u64::from(byte));
        }
        Prng { state }
    }

    /// Any number.
    pub fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number below `bound`; 0 when the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The bias of the remainder is below 2^-40 for the bounds used here.
        self.draw().checked_rem(bound).unwrap_or(0)
    }

    /// A number of `from..=to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from).saturating_add(1))
    }

    /// True `parts` times in a million.
    pub fn happens(&mut self, parts: u64) -> bool {
        self.below(1_000_000) < parts
    }

    /// One of `choices`.
    ///
    /// # Panics
    /// There is at least one.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        let at = self.below(choices.len() as u64);
        choices[usize::try_from(at).expect("an index fits")]
    }
}

/// A well mixed number of `x`: chance that depends on nothing but its argument.
#[must_use]
pub fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_repeatable_and_apart() {
        let three = |seed, name| {
            let mut prng = Prng::new(seed, name);
            [prng.draw(), prng.draw(), prng.draw()]
        };
        assert_eq!(three(1, "disk"), three(1, "disk"));
        assert_ne!(three(1, "disk"), three(2, "disk"));
        assert_ne!(three(1, "disk"), three(1, "network"));
    }
}
