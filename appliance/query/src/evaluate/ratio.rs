//! The place of a series between 0 and 1 that `limit_ratio` samples by: upstream's hash of its
//! labels (XXH64 of Prometheus's packed labels, "stringlabels").

use model::label_set::LabelSet;

/// Whether `limit_ratio` keeps a series: below the ratio, or above for a negative one.
pub(crate) fn is_sampled(ratio: f64, labels: &LabelSet) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "upstream rounds alike")]
    let place = xxh64(&packed(labels)) as f64 / u64::MAX as f64;
    (0.0 <= ratio && place < ratio) || (ratio < 0.0 && 1.0 + ratio <= place)
}

fn packed(labels: &LabelSet) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in labels {
        for text in [name, value] {
            let length = text.len();
            match u8::try_from(length) {
                Ok(short) if short < 255 => bytes.push(short),
                _ => {
                    let long = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
                    bytes.push(255);
                    bytes.extend_from_slice(&long[..3]);
                }
            }
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes
}

const PRIMES: [u64; 5] = [
    0x9E37_79B1_85EB_CA87,
    0xC2B2_AE3D_27D4_EB4F,
    0x1656_67B1_9E37_79F9,
    0x85EB_CA77_C2B2_AE63,
    0x27D4_EB2F_1656_67C5,
];

fn round(state: u64, input: u64) -> u64 {
    let mixed = state.wrapping_add(input.wrapping_mul(PRIMES[1]));
    mixed.rotate_left(31).wrapping_mul(PRIMES[0])
}

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// XXH64 with seed 0 (xxHash specification, version 0.1.1).
fn xxh64(bytes: &[u8]) -> u64 {
    let stripes = bytes.chunks_exact(32);
    let tail = stripes.remainder();
    let mut hash = if 32 <= bytes.len() {
        let mut states =
            [PRIMES[0].wrapping_add(PRIMES[1]), PRIMES[1], 0, 0u64.wrapping_sub(PRIMES[0])];
        for stripe in stripes {
            for (state, lane) in states.iter_mut().zip(stripe.chunks_exact(8)) {
                *state = round(*state, word(lane));
            }
        }
        let rotations = [1, 7, 12, 18];
        let joined = states
            .iter()
            .zip(rotations)
            .fold(0u64, |sum, (state, by)| sum.wrapping_add(state.rotate_left(by)));
        states.iter().fold(joined, |hash, state| {
            (hash ^ round(0, *state)).wrapping_mul(PRIMES[0]).wrapping_add(PRIMES[3])
        })
    } else {
        PRIMES[4]
    };
    hash = hash.wrapping_add(bytes.len() as u64);
    let mut rest = tail;
    while let Some((lane, after)) = rest.split_first_chunk::<8>() {
        hash = (hash ^ round(0, word(lane)))
            .rotate_left(27)
            .wrapping_mul(PRIMES[0])
            .wrapping_add(PRIMES[3]);
        rest = after;
    }
    if let Some((lane, after)) = rest.split_first_chunk::<4>() {
        hash = (hash ^ word(lane).wrapping_mul(PRIMES[0]))
            .rotate_left(23)
            .wrapping_mul(PRIMES[1])
            .wrapping_add(PRIMES[2]);
        rest = after;
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte).wrapping_mul(PRIMES[4]))
            .rotate_left(11)
            .wrapping_mul(PRIMES[0]);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(PRIMES[1]);
    hash = (hash ^ hash >> 29).wrapping_mul(PRIMES[2]);
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_specification() {
        assert_eq!(xxh64(b""), 0xef46_db37_51d8_e999);
        assert_eq!(xxh64(b"a"), 0xd24e_c4f1_a98c_6e5b);
        assert_eq!(xxh64(b"abc"), 0x44bc_2cf5_ad77_0999);
        let long = b"Call me Ishmael. Some years ago--never mind how long precisely-";
        assert_eq!(xxh64(long), 0x02a2_e854_70d6_fd96);
    }

    #[test]
    fn a_ratio_and_its_complement_part_the_series() {
        for at in 0..100 {
            let labels = LabelSet::new([("a", at.to_string().as_str())]);
            assert_ne!(is_sampled(0.3, &labels), is_sampled(-0.7, &labels));
        }
    }
}
