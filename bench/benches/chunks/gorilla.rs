//! Sizes that the chunks of Prometheus would have, without their timestamps: the yardstick.

use std::sync::Arc;

use model::native_histogram::NativeHistogram;

/// Bytes of `values` as XOR of neighbours: one bit where a value repeats, else the bits that differ
/// and, where they do not fit the last window, eleven bits for another one.
pub(crate) fn xor_bytes(values: &[f64]) -> usize {
    let mut bits = 64;
    let mut window: Option<(u32, u32)> = None;
    for pair in values.windows(2) {
        let differ = pair[0].to_bits() ^ pair[1].to_bits();
        if differ == 0 {
            bits += 1;
            continue;
        }
        let (leading, trailing) = (differ.leading_zeros().min(31), differ.trailing_zeros());
        match window {
            Some((l, t)) if l <= leading && t <= trailing => bits += 2 + (64 - l - t) as usize,
            _ => {
                bits += 13 + (64 - leading - trailing) as usize;
                window = Some((leading, trailing));
            }
        }
    }
    bits.div_ceil(8)
}

/// Bits of one integer of the variable widths of histogram chunks.
fn varbit_bits(value: f64) -> usize {
    let widths = [(4.0, 5), (32.0, 9), (256.0, 13), (2048.0, 17), (131_072.0, 23), (16.8e6, 31)];
    if value == 0.0 {
        return 1;
    }
    widths.into_iter().find(|(most, _)| value.abs() < *most).map_or(64, |(_, bits)| bits)
}

/// Bytes of histograms whose buckets stay, counts as differences of differences, sums as XOR.
pub(crate) fn histogram_bytes(histograms: &[Arc<NativeHistogram>]) -> usize {
    let second = |of: &dyn Fn(&NativeHistogram) -> f64| -> usize {
        let counts: Vec<f64> = histograms.iter().map(|histogram| of(histogram)).collect();
        let triples = counts.windows(3).map(|three| three[2] - 2.0 * three[1] + three[0]);
        triples.map(varbit_bits).sum()
    };
    let buckets = histograms[0].positive_buckets.len();
    let mut bits = second(&|histogram| histogram.count) + second(&|histogram| histogram.zero_count);
    for bucket in 0..buckets {
        bits += second(&|histogram| histogram.positive_buckets[bucket]);
    }
    let sums: Vec<f64> = histograms.iter().map(|histogram| histogram.sum).collect();
    bits / 8 + xor_bytes(&sums)
}
