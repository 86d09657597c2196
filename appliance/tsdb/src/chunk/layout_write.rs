//! Layout of a histogram chunk, written.

use model::native_histogram::{CUSTOM_BUCKETS_SCHEMA, NativeHistogram, Span};

use crate::bits::BitWriter;

/// Greatest number of thousandths that takes four bytes, less the one that is added.
const THOUSANDTHS_MAX: f64 = 33_554_430.0;
/// Exponents of the powers of two that a zero threshold writes in one byte.
const THRESHOLD_EXPONENTS: std::ops::RangeInclusive<i64> = -243..=10;
const EXPONENT_BIAS: i64 = 1023;
const MANTISSA_BITS: u32 = 52;

/// Appends what all histograms of the chunk share with `native`.
pub(crate) fn write_layout(bits: &mut BitWriter, native: &NativeHistogram) {
    write_zero_threshold(bits, native.zero_threshold);
    bits.put_small(i64::from(native.schema));
    write_spans(bits, &native.positive_spans);
    write_spans(bits, &native.negative_spans);
    if native.schema == CUSTOM_BUCKETS_SCHEMA {
        bits.put_small_unsigned(native.custom_values.len() as u64);
        for bound in native.custom_values.iter() {
            write_custom_value(bits, *bound);
        }
    }
}

fn write_zero_threshold(bits: &mut BitWriter, threshold: f64) {
    let raw = threshold.to_bits();
    if raw == 0 {
        bits.put(0, 8);
        return;
    }
    // Sign, exponent, and a mantissa that is zero for powers of two.
    let exponent = (raw >> MANTISSA_BITS).cast_signed() - EXPONENT_BIAS;
    let is_power = raw.trailing_zeros() >= MANTISSA_BITS;
    if is_power && THRESHOLD_EXPONENTS.contains(&exponent) {
        bits.put((exponent + 244).cast_unsigned(), 8);
    } else {
        bits.put(255, 8);
        bits.put(raw, 64);
    }
}

fn write_spans(bits: &mut BitWriter, spans: &[Span]) {
    bits.put_small_unsigned(spans.len() as u64);
    for span in spans {
        bits.put_small_unsigned(u64::from(span.length));
        bits.put_small(i64::from(span.offset));
    }
}

fn write_custom_value(bits: &mut BitWriter, bound: f64) {
    let thousandths = bound * 1000.0;
    let rounded = thousandths.round();
    let is_exact = (rounded / 1000.0).to_bits() == bound.to_bits();
    if (0.0..=THOUSANDTHS_MAX).contains(&thousandths) && is_exact {
        bits.put_small_unsigned(integer_of(rounded) + 1);
    } else {
        bits.put(0, 1);
        bits.put_float(bound);
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "callers pass whole numbers from 0 up to 2^63"
)]
pub(crate) fn integer_of(whole: f64) -> u64 {
    whole as u64
}
