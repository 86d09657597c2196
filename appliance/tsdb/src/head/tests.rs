//! Head: log, head chunks and late samples together give each sample once.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::label_set::LabelSet;
use model::time::TimestampMs;
use proptest::prelude::*;

use super::load::Head;
use super::source::HeadSource;
use crate::chunk::build::ChunkBuilder;
use crate::chunk::encoding::Encoding;
use crate::cursor::put_uvarint;
use crate::directory::Directory;
use crate::files::{FileRead, FileWrite};
use crate::head_chunks::{MAGIC, OUT_OF_ORDER, VERSION};
use crate::memory::MemoryFiles;
use crate::merge::{Selection, SeriesStream};
use crate::sample::{Sample, Value};
use crate::tombstones::{Interval, Tombstones, tombstones_bytes};
use crate::ulid::Ulid;
use crate::wal::record::SampleRecord;
use crate::wal::written_by_tests::{COMPRESSIONS, Form, put_record, samples_record, series_record};
use crate::write::block_write::BlockWriter;

type Found = BTreeMap<String, Vec<(i64, f64)>>;
/// A head chunk: its series, its samples, whether they came late.
type Chunk<'a> = (u64, &'a [(i64, f64)], bool);

fn labels(number: u64) -> LabelSet {
    LabelSet::new([("__name__", "m"), ("n", number.to_string().as_str())])
}

fn floats(reference: u64, samples: &[(i64, f64)]) -> Vec<u8> {
    let records: Vec<SampleRecord> = samples
        .iter()
        .map(|(time, value)| SampleRecord { reference, sample: Sample::float(*time, *value) })
        .collect();
    let form = Form { counts: None, custom: false, with_starts: false };
    samples_record(&records, form)
}

/// A file of head chunks, one a run of samples.
fn chunk_file(chunks: &[Chunk<'_>]) -> Vec<u8> {
    let mut file = MAGIC.to_be_bytes().to_vec();
    file.extend_from_slice(&[VERSION, 0, 0, 0]);
    for (series, samples, is_late) in chunks {
        let mut builder = ChunkBuilder::default();
        for (time, value) in *samples {
            builder.push(&Sample::float(*time, *value)).expect("in order");
        }
        let chunk = builder.finish().expect("samples");
        let start = file.len();
        file.extend_from_slice(&series.to_be_bytes());
        file.extend_from_slice(&chunk.min.0.to_be_bytes());
        file.extend_from_slice(&chunk.max.0.to_be_bytes());
        file.push(Encoding::Xor.number() | if *is_late { OUT_OF_ORDER } else { 0 });
        put_uvarint(&mut file, chunk.bytes.len() as u64);
        file.extend_from_slice(&chunk.bytes);
        let sum = crc32c::crc32c(&file[start..]);
        file.extend_from_slice(&sum.to_be_bytes());
    }
    // Files are made longer than what is in them.
    file.resize(file.len() + 100, 0);
    file
}

fn load(files: &MemoryFiles) -> Head {
    let files: Arc<dyn FileRead> = Arc::new(files.clone());
    Head::load(&files, &mut |_, _| {}).expect("a head")
}

fn found(head: Head) -> Found {
    let head = Arc::new(head);
    let (in_order, late) = (HeadSource::in_order(&head), HeadSource::late(&head));
    found_in(SeriesStream::new(vec![Box::new(in_order), Box::new(late)], Selection::default()))
}

fn found_in(mut stream: SeriesStream) -> Found {
    let mut found = Found::new();
    while let Some(labels) = stream.next_series().expect("readable") {
        let mut samples = Vec::new();
        while let Some(sample) = stream.next_sample().expect("readable") {
            let Value::Float(value) = sample.value else { panic!("a float") };
            samples.push((sample.timestamp.0, value));
        }
        found.insert(labels.value("n").to_owned(), samples);
    }
    found
}

fn log(records: &[Vec<u8>]) -> Vec<u8> {
    let mut segment = Vec::new();
    records.iter().for_each(|record| put_record(&mut segment, record, COMPRESSIONS[1]));
    segment
}

#[test]
fn each_sample_comes_once_wherever_it_stands() {
    let names = series_record(&[(1, &labels(1)), (2, &labels(2))]);
    let all = [(10, 1.0), (20, 2.0), (30, 3.0), (40, 4.0)];
    let wal = log(&[names, floats(1, &all), floats(2, &all[1..]), floats(9, &all)]);
    // A later series record gives the first series a second reference.
    let again = log(&[series_record(&[(7, &labels(1))]), floats(7, &[(40, 9.0), (50, 5.0)])]);
    let wbl = log(&[floats(1, &[(25, 25.0), (5, 0.5), (25, 7.0)])]);
    let chunks = chunk_file(&[
        (1, &[(10, 1.0), (20, 2.0)], false),
        (1, &[(3, 0.3), (5, 0.5)], true),
        (8, &[(1, 1.0)], false),
    ]);
    let files = MemoryFiles::of(&[
        ("wal/00000000", &wal),
        ("wal/00000001", &again),
        ("wbl/00000000", &wbl),
        ("chunks_head/000001", &chunks),
    ]);
    let head = load(&files);
    let report = head.report().clone();
    assert_eq!((report.series, report.chunks, report.unknown_series), (2, 2, 4));
    assert_eq!((report.not_later, report.late_samples), (1, 3));
    assert!(report.damages.is_empty(), "{:?}", report.damages);
    let late = [(3, 0.3), (5, 0.5)];
    let first = [late[0], late[1], all[0], all[1], (25, 25.0), all[2], all[3], (50, 5.0)];
    let expected =
        Found::from([("1".to_owned(), first.to_vec()), ("2".to_owned(), all[1..].to_vec())]);
    assert_eq!(found(head), expected);
}

#[test]
fn deleted_times_stay_deleted() {
    let mut deletion = vec![crate::wal::record::TOMBSTONES];
    deletion.extend_from_slice(&1u64.to_be_bytes());
    crate::cursor::put_varint(&mut deletion, 15);
    crate::cursor::put_varint(&mut deletion, 30);
    let samples = floats(1, &[(10, 1.0), (20, 2.0), (30, 3.0), (40, 4.0)]);
    let wal = log(&[series_record(&[(1, &labels(1))]), samples, deletion]);
    let head = load(&MemoryFiles::of(&[("wal/00000000", &wal)]));
    assert_eq!(head.report().tombstones, 1);
    let expected = Found::from([("1".to_owned(), vec![(10, 1.0), (40, 4.0)])]);
    assert_eq!(found(head), expected);
}

#[test]
fn what_a_block_deleted_does_not_come_back_from_the_log() {
    let samples = [(10, 1.0), (20, 2.0), (30, 3.0), (40, 4.0)];
    let memory = MemoryFiles::of(&[(
        "wal/00000000",
        &log(&[series_record(&[(1, &labels(1))]), floats(1, &samples)]),
    )]);
    let files: Arc<dyn FileWrite> = Arc::new(memory.clone());
    let ulid = Ulid::new(1, 7);
    let (min, max) = (TimestampMs(0), TimestampMs(35));
    let mut writer = BlockWriter::new(&files, ulid, min, max).expect("a writer");
    writer.series(&labels(1)).expect("in order");
    for (time, value) in &samples[..3] {
        writer.sample(&Sample::float(*time, *value)).expect("in order");
    }
    writer.finish().expect("written");
    let mut directory = Directory::of(Arc::new(memory.clone())).expect("it opens");
    let mut scan = directory.blocks()[0].series().expect("it opens");
    let reference = scan.read().expect("it reads").expect("a series").reference;
    let mut tombstones = Tombstones::default();
    tombstones.add(reference, Interval { min: TimestampMs(15), max: TimestampMs(30) });
    memory.replace(&format!("{ulid}/tombstones"), tombstones_bytes(&tombstones));
    directory = Directory::of(Arc::new(memory)).expect("it opens");
    directory.load_head(&mut |_, _| {}).expect("it loads");
    let stream = directory.series(Selection::default()).expect("it opens");
    let expected = Found::from([("1".to_owned(), vec![(10, 1.0), (40, 4.0)])]);
    assert_eq!(found_in(stream), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_head_chunks_are_made_up_for_by_the_log(
        times in prop::collection::btree_set(0i64..1000, 1..60),
        mapped in 1usize..60,
        turn in any::<(prop::sample::Index, u8)>(),
        cut in any::<bool>(),
    ) {
        let samples: Vec<(i64, f64)> = times.iter().map(|time| (*time, *time as f64)).collect();
        let wal = log(&[series_record(&[(1, &labels(1))]), floats(1, &samples)]);
        let (front, _) = samples.split_at(mapped.min(samples.len()));
        let runs: Vec<Chunk<'_>> =
            front.chunks(7).map(|run| (1, run, false)).collect();
        let mut chunks = chunk_file(&runs);
        let at = turn.0.index(chunks.len());
        if cut {
            chunks.truncate(at);
        } else {
            chunks[at] ^= turn.1;
        }
        let files = MemoryFiles::of(&[("wal/00000000", &wal), ("chunks_head/000001", &chunks)]);
        let found = found(load(&files));
        prop_assert_eq!(found, Found::from([("1".to_owned(), samples)]));
    }
}
