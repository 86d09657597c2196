//! Chunks: what is written reads back, what upstream wrote is read, what is broken is refused.

use model::native_histogram::{CounterResetHint, NativeHistogram, Span};
use model::staleness::stale_nan;
use proptest::prelude::*;

use super::build::{BuiltChunk, ChunkBuilder};
use super::decode::Decoder;
use super::encoding::Encoding;
use super::samples_of_tests::{any_samples, check_read_back};
use crate::bits::BitWriter;
use crate::fault::Fault;
use crate::sample::{Counts, Sample, Value};

fn build(samples: &[Sample]) -> Vec<BuiltChunk> {
    let mut builder = ChunkBuilder::default();
    let mut chunks = Vec::new();
    for sample in samples {
        chunks.extend(builder.push(sample).expect("in order"));
    }
    chunks.extend(builder.finish());
    chunks
}

fn decode(encoding: Encoding, bytes: &[u8]) -> Result<Vec<Sample>, Fault> {
    let mut decoder = Decoder::new(encoding, bytes.to_vec())?;
    let mut samples = Vec::new();
    while let Some(sample) = decoder.read()? {
        samples.push(sample);
    }
    Ok(samples)
}

proptest! {
    #[test]
    fn what_is_written_reads_back(samples in any_samples()) {
        let mut read = Vec::new();
        for chunk in build(&samples) {
            let part = decode(chunk.encoding, &chunk.bytes).expect("as written");
            prop_assert_eq!(part.len(), usize::from(chunk.samples));
            prop_assert_eq!(part.first().map(|first| first.timestamp), Some(chunk.min));
            prop_assert_eq!(part.last().map(|last| last.timestamp), Some(chunk.max));
            read.extend(part);
        }
        prop_assert_eq!(check_read_back(&samples, &read), Ok(()));
    }

    #[test]
    fn h1_a_reset_opens_a_chunk(counts in prop::collection::vec(0u8..9, 2..40)) {
        let histogram = |count: u8| NativeHistogram {
            count: f64::from(count),
            positive_spans: vec![Span { offset: 0, length: 1 }],
            positive_buckets: vec![f64::from(count)],
            ..NativeHistogram::default()
        };
        let samples: Vec<Sample> = (0i64..).zip(&counts)
            .map(|(at, count)| Sample::histogram(at, Counts::Integer, histogram(*count)))
            .collect();
        let falls = counts.windows(2).filter(|pair| pair[1] < pair[0]).count();
        prop_assert_eq!(build(&samples).len(), 1 + falls, "H1");
    }

    #[test]
    fn broken_chunks_are_refused_without_panic(
        samples in any_samples(),
        cut in any::<prop::sample::Index>(),
        turn in any::<(prop::sample::Index, u8)>(),
        number in 1u8..7,
    ) {
        for chunk in build(&samples) {
            let mut bytes = chunk.bytes.clone();
            let at = turn.0.index(bytes.len());
            bytes[at] ^= turn.1;
            let _ = decode(chunk.encoding, &bytes);
            let _ = decode(Encoding::of(number).expect("known"), &bytes);
            bytes.truncate(cut.index(bytes.len()));
            let _ = decode(chunk.encoding, &bytes);
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        number in 1u8..7,
    ) {
        let _ = decode(Encoding::of(number).expect("known"), &bytes);
    }
}

#[test]
fn chunks_are_cut_at_120_samples_and_when_the_kind_changes() {
    let float = |at: i64| Sample::float(at, 1.0);
    let histogram = |at| Sample::histogram(at, Counts::Float, NativeHistogram::default());
    let samples: Vec<Sample> =
        (0..121).map(float).chain((121..123).map(histogram)).chain([float(123)]).collect();
    let chunks = build(&samples);
    let found: Vec<(Encoding, u16)> =
        chunks.iter().map(|chunk| (chunk.encoding, chunk.samples)).collect();
    let expected = [
        (Encoding::Xor, 120),
        (Encoding::Xor, 1),
        (Encoding::FloatHistogram, 2),
        (Encoding::Xor, 1),
    ];
    assert_eq!(found, expected);
}

#[test]
fn samples_out_of_order_and_broken_histograms_are_refused() {
    let mut builder = ChunkBuilder::default();
    assert_eq!(builder.push(&Sample::float(5, 1.0)), Ok(None));
    assert!(builder.push(&Sample::float(5, 1.0)).is_err());
    let broken = NativeHistogram { positive_buckets: vec![1.0], ..NativeHistogram::default() };
    assert!(builder.push(&Sample::histogram(6, Counts::Float, broken)).is_err());
    let unknown = NativeHistogram { schema: 99, ..NativeHistogram::default() };
    assert!(builder.push(&Sample::histogram(6, Counts::Float, unknown)).is_err());
}

#[test]
fn counts_that_are_no_integers_are_written_as_floats() {
    let native = NativeHistogram { count: 1.5, ..NativeHistogram::default() };
    let chunks = build(&[Sample::histogram(1, Counts::Integer, native)]);
    assert_eq!(chunks[0].encoding, Encoding::FloatHistogram);
}

/// XOR2 is only read, so its bits are laid out by hand, as the format page has them.
#[test]
fn joint_chunks_are_read_with_start_timestamps() {
    let mut bits = BitWriter::after(vec![0, 7, 0x80 | 3]);
    bits.put_varint(1000);
    bits.put_float(2.0);
    bits.put_varint(400); // start 600
    bits.put_uvarint(100); // 1100
    bits.put(0, 1); // unchanged
    bits.put(0, 1); // 1200, unchanged
    bits.put(0b101, 3); // 1300, a new window
    bits.put(11, 5);
    bits.put(1, 6);
    bits.put(1, 1); // 2.0 with bit 52 turned: 4.0 is bits 0x4010…, 2.0 is 0x4000…
    bits.put_small(50); // start 1200 - 50
    bits.put(0b11111, 5); // 1400, stale
    bits.put_small(100); // start 1300 - 150
    bits.put(0b110, 3); // 1495: one less by 5
    bits.put((-5i64).cast_unsigned() & 0x1fff, 13);
    bits.put(0, 1); // the value before the marker
    bits.put_small(0); // start 1400 - 150
    bits.put(0b1110, 4); // 1595 + 100000
    bits.put(100_005, 20);
    bits.put(0b111, 3); // stale
    bits.put_small(0); // start 1495 - 150
    let read = decode(Encoding::XorJoint, bits.bytes()).expect("seven samples");
    let found: Vec<(i64, i64, u64)> = read
        .iter()
        .map(|sample| {
            let Value::Float(value) = sample.value else { panic!("floats only") };
            (sample.timestamp.0, sample.start.0, value.to_bits())
        })
        .collect();
    let four = f64::from_bits(2f64.to_bits() ^ 1 << 52).to_bits();
    let two = 2f64.to_bits();
    let stale = stale_nan().to_bits();
    let expected = [
        (1000, 600, two),
        (1100, 600, two),
        (1200, 600, two),
        (1300, 1150, four),
        (1400, 1150, stale),
        (1495, 1250, four),
        (101_595, 1345, stale),
    ];
    assert_eq!(found, expected);
}

/// The encodings with starts are those without, the header's flags elsewhere.
#[test]
fn histogram_chunks_with_start_timestamps_are_read() {
    let native = NativeHistogram {
        counter_reset_hint: CounterResetHint::Gauge,
        count: 3.0,
        sum: 7.5,
        ..NativeHistogram::default()
    };
    let sample = Sample::histogram(1000, Counts::Integer, native);
    let chunk = build(std::slice::from_ref(&sample)).remove(0);
    let mut bytes = chunk.bytes;
    (bytes[0], bytes[2]) = (bytes[0] | bytes[2], 0);
    let read = decode(Encoding::HistogramStart, &bytes).expect("one histogram");
    assert!(read[0].same_bits(&sample), "{read:?}");
    // The last byte of the samples has room: the varint of a start follows at the next bits.
    bytes[2] = 0x80;
    assert!(decode(Encoding::HistogramStart, &bytes).is_err());
}
