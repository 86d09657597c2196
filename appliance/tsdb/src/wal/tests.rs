//! Logs: what is written reads back, a torn or changed one is read up to there and no further.

use std::sync::Arc;

use model::label_set::LabelSet;
use model::native_histogram::{CounterResetHint, NativeHistogram, Span};
use model::time::TimestampMs;
use proptest::prelude::*;

use super::log::Log;
use super::record::{MARKERS, METADATA, Record, SampleRecord, read_record};
use super::written_by_tests::{COMPRESSIONS, Form, put_record, samples_record, series_record};
use crate::chunk::samples_of_tests::any_samples;
use crate::cursor::{put_text, put_uvarint};
use crate::fault::TsdbError;
use crate::files::FileRead;
use crate::memory::MemoryFiles;
use crate::sample::{Counts, Sample, Value};

fn records_of(files: &MemoryFiles) -> (Vec<Record>, Option<TsdbError>) {
    let files: Arc<dyn FileRead> = Arc::new(files.clone());
    let mut log = Log::open(&files, "wal").expect("it can be listed");
    let mut records = Vec::new();
    loop {
        match log.read() {
            Ok(None) => return (records, None),
            Ok(Some(bytes)) => match read_record(bytes) {
                Ok(record) => records.push(record),
                Err(at) => return (records, Some(log.corrupt(at.fault))),
            },
            Err(error) => return (records, Some(error)),
        }
    }
}

fn samples_of(records: &[Record]) -> Vec<&SampleRecord> {
    let all = records.iter().flat_map(|record| match record {
        Record::Samples(samples, _) => samples.as_slice(),
        _ => &[],
    });
    all.collect()
}

/// Samples as a record holds them: integer counts up to 2^51, so that their differences fit.
fn any_record() -> impl Strategy<Value = (Vec<SampleRecord>, bool)> {
    let start = prop_oneof![Just(0i64), Just(7), any::<i64>()];
    let starts = prop::collection::vec(start, 1..5);
    (any_samples(), any::<u32>(), starts, any::<bool>()).prop_map(
        |(samples, reference, starts, with_starts)| {
            let form = |sample: &Sample| Form::of(&record(sample.clone(), 0), with_starts);
            let first = form(&samples[0]);
            let alike = samples.into_iter().filter(|sample| form(sample) == first);
            let records = alike.enumerate().map(|(at, mut sample)| {
                if with_starts {
                    sample.start = TimestampMs(starts[at % starts.len()]);
                }
                record(sample, u64::from(reference) + (at % 3) as u64)
            });
            (records.collect(), with_starts)
        },
    )
}

fn record(sample: Sample, reference: u64) -> SampleRecord {
    SampleRecord { reference, sample }
}

fn written(all: &[(Vec<SampleRecord>, bool)], compressions: &[u8]) -> Vec<u8> {
    let mut segment = Vec::new();
    for (at, (samples, with_starts)) in all.iter().enumerate() {
        let form = Form::of(&samples[0], *with_starts);
        let record = samples_record(samples, form);
        put_record(&mut segment, &record, compressions[at % compressions.len()]);
    }
    segment
}

fn any_compressions() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(COMPRESSIONS.to_vec()), 1..4)
}

/// A stale histogram is nothing but its sum.
fn as_read(written: &SampleRecord) -> SampleRecord {
    let mut read = written.clone();
    if let Value::Histogram(histogram) = &mut read.sample.value
        && model::staleness::is_stale(histogram.native.sum)
    {
        let sum = histogram.native.sum;
        histogram.native = NativeHistogram { sum, ..NativeHistogram::default() };
    }
    read
}

fn is_same(written: &SampleRecord, read: &SampleRecord) -> bool {
    let expected = as_read(written);
    expected.reference == read.reference && expected.sample.same_bits(&read.sample)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn samples_of_every_kind_and_compression_read_back(
        all in prop::collection::vec(any_record(), 1..6),
        compressions in any_compressions(),
    ) {
        let files = MemoryFiles::of(&[("wal/00000000", &written(&all, &compressions))]);
        let (records, fault) = records_of(&files);
        prop_assert!(fault.is_none(), "{fault:?}");
        let read = samples_of(&records);
        let wrote: Vec<&SampleRecord> = all.iter().flat_map(|(samples, _)| samples).collect();
        prop_assert_eq!(read.len(), wrote.len());
        for (wrote, read) in wrote.iter().zip(read) {
            prop_assert!(is_same(wrote, read), "wrote {wrote:?}, read {read:?}");
        }
    }

    #[test]
    fn a_torn_or_changed_log_ends_there(
        all in prop::collection::vec(any_record(), 1..6),
        compressions in any_compressions(),
        place in any::<prop::sample::Index>(),
        turn in prop::option::of(1u8..=255),
    ) {
        let whole = written(&all, &compressions);
        let mut bytes = whole.clone();
        let at = place.index(bytes.len());
        match turn {
            Some(turn) => bytes[at] ^= turn,
            None => bytes.truncate(at),
        }
        let (records, fault) = records_of(&MemoryFiles::of(&[("wal/00000000", &bytes)]));
        let (read, wrote) = (samples_of(&records), all.iter().flat_map(|(samples, _)| samples));
        for (wrote, read) in wrote.zip(&read) {
            prop_assert!(is_same(wrote, read));
        }
        let count: usize = all.iter().map(|(samples, _)| samples.len()).sum();
        prop_assert!(read.len() <= count);
        if let Some(TsdbError::Corrupt { offset, .. }) = &fault {
            prop_assert!(*offset <= bytes.len() as u64);
        }
        // Only between two records can the end be mistaken for the true one; a turned bit of a
        // kind that the compression's bits hide behind shows in the record.
        let is_short = read.len() < count;
        prop_assert!(!is_short || fault.is_some() || turn.is_none());
    }

    #[test]
    fn any_bytes_are_read_without_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        kind in 0u8..16,
    ) {
        records_of(&MemoryFiles::of(&[("wal/00000000", &bytes)]));
        let mut record = vec![kind];
        record.extend_from_slice(&bytes);
        let _ = read_record(&record);
        for compression in COMPRESSIONS {
            let mut segment = Vec::new();
            // The checksum fits, what it covers is anything.
            put_record(&mut segment, &record, 0);
            segment[0] |= compression;
            records_of(&MemoryFiles::of(&[("wal/00000000", &segment)]));
        }
    }
}

fn series(reference: u64, name: &str) -> Vec<u8> {
    series_record(&[(reference, &LabelSet::new([("__name__", name)]))])
}

fn segment(records: &[Vec<u8>]) -> Vec<u8> {
    let mut segment = Vec::new();
    records.iter().for_each(|record| put_record(&mut segment, record, 0));
    segment
}

#[track_caller]
fn check_names(files: &[(&str, &[u8])], expected: &[&str], fault: Option<&str>) {
    let (records, found) = records_of(&MemoryFiles::of(files));
    let names = records.iter().flat_map(|record| match record {
        Record::Series(all) => all.iter().map(|series| series.labels.metric_name()).collect(),
        _ => Vec::new(),
    });
    assert_eq!(names.collect::<Vec<_>>(), expected);
    let found = found.map(|fault| fault.to_string());
    match (fault, &found) {
        (Some(fault), Some(found)) => assert!(found.contains(fault), "{found}"),
        (fault, found) => assert_eq!(fault, found.as_deref()),
    }
}

#[test]
fn segments_come_behind_the_newest_checkpoint() {
    let of = |name: &str| segment(&[series(1, name)]);
    let (a, b, c, d) = (of("a"), of("b"), of("c"), of("d"));
    let checkpoint = [
        ("wal/00000001", a.as_slice()),
        ("wal/00000002", &b),
        ("wal/00000003", &c),
        ("wal/checkpoint.00000001/00000000", &a),
        ("wal/checkpoint.00000002/00000000", &d),
        ("wal/checkpoint.00000003.tmp/00000000", &a),
    ];
    check_names(&checkpoint, &["d", "c"], None);
    check_names(&checkpoint[..3], &["a", "b", "c"], None);
    let gap = [("wal/00000001", a.as_slice()), ("wal/00000003", &c)];
    check_names(&gap, &["a"], Some("wal/00000002, byte 0: is missing"));
    let torn = [("wal/00000001", &a[..9]), ("wal/00000002", &c)];
    check_names(&torn, &[], Some("wal/00000001, byte 7: ends within a record"));
    check_names(&[], &[], None);
}

#[test]
fn records_reach_over_pages_and_padding_is_checked() {
    let long = "x".repeat(100_000);
    let mut bytes = segment(&[series(1, &long), series(2, "b")]);
    check_names(&[("wal/00000000", &bytes)], &[&long, "b"], None);
    bytes.resize(bytes.len().next_multiple_of(super::segment::PAGE_BYTES), 0);
    let end = bytes.len();
    bytes.extend(segment(&[series(3, "c")]));
    check_names(&[("wal/00000000", &bytes)], &[&long, "b", "c"], None);
    bytes[end - 2] = 1;
    check_names(&[("wal/00000000", &bytes)], &[&long, "b"], Some("behind the end of the page"));
}

#[test]
fn lying_lengths_are_refused_before_memory_is_taken() {
    let mut lie = Vec::new();
    put_uvarint(&mut lie, u64::from(u32::MAX));
    let mut bytes = segment(&[lie]);
    bytes[0] |= super::segment::SNAPPY;
    check_names(&[("wal/00000000", &bytes)], &[], Some("snappy: 5 bytes are no 4294967295"));
    let mut labels = vec![super::record::SERIES];
    labels.extend_from_slice(&7u64.to_be_bytes());
    put_uvarint(&mut labels, 1 << 40);
    let refused = "the number of labels is 1099511627776, but there is room for 0";
    assert_eq!(read_record(&labels).expect_err("a lie").fault.to_string(), refused);
}

#[test]
fn markers_metadata_and_unknown_kinds_are_read() {
    let mut marker = vec![MARKERS];
    marker.extend_from_slice(&3u64.to_be_bytes());
    marker.extend_from_slice(&4u64.to_be_bytes());
    assert_eq!(read_record(&marker), Ok(Record::Markers(vec![(3, 4)])));
    let mut metadata = vec![METADATA];
    put_uvarint(&mut metadata, 9);
    metadata.push(1);
    put_uvarint(&mut metadata, 3);
    for text in ["HELP", "h", "LATER", "?", "UNIT", "s"] {
        put_text(&mut metadata, text);
    }
    let Ok(Record::Metadata(all)) = read_record(&metadata) else { panic!("metadata") };
    let one = &all[0];
    assert_eq!((one.reference, &*one.unit, &*one.help), (9, "s", "h"));
    assert_eq!(read_record(&[200, 1]), Ok(Record::Unknown(200)));
    assert!(read_record(&[]).is_err());
}

#[test]
fn histograms_of_unknown_schemas_are_left_out() {
    let native = NativeHistogram {
        counter_reset_hint: CounterResetHint::Gauge,
        schema: 77,
        positive_spans: vec![Span { offset: 1, length: 2 }],
        positive_buckets: vec![3.0, 1.0],
        ..NativeHistogram::default()
    };
    let sample = |schema, at| {
        let native = NativeHistogram { schema, ..native.clone() };
        record(Sample::histogram(at, Counts::Integer, native), 1)
    };
    let all = [sample(77, 1), sample(3, 2)];
    let bytes = samples_record(&all, Form::of(&all[0], false));
    let Ok(Record::Samples(read, left_out)) = read_record(&bytes) else { panic!("samples") };
    assert_eq!((read.len(), left_out), (1, 1));
    assert!(is_same(&all[1], &read[0]));
}
