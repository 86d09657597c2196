//! Blocks: what is written reads back, in order and whole; what is broken is found.

use std::sync::Arc;

use model::label_set::LabelSet;
use model::time::TimestampMs;
use proptest::prelude::*;

use super::block_write::BlockWriter;
use crate::block::Block;
use crate::chunk::samples_of_tests::{any_samples, check_read_back};
use crate::fault::TsdbError;
use crate::files::{FileRead, FileWrite};
use crate::index::postings::check_postings;
use crate::memory::MemoryFiles;
use crate::merge::{BlockSource, Selection, SeriesStream};
use crate::sample::Sample;
use crate::ulid::Ulid;

type Series = Vec<(LabelSet, Vec<Sample>)>;

fn any_series() -> impl Strategy<Value = Series> {
    let labels = prop::collection::btree_map("[a-c]", "[a-cé]{0,3}", 0..3);
    let one = (labels, any_samples()).prop_map(|(mut labels, samples)| {
        labels.insert("__name__".to_owned(), "m".to_owned());
        let pairs = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        (LabelSet::new(pairs), samples)
    });
    prop::collection::vec(one, 1..5).prop_map(|all| {
        let sorted: std::collections::BTreeMap<LabelSet, Vec<Sample>> = all.into_iter().collect();
        sorted.into_iter().collect()
    })
}

const NAME: &str = "00000000010000000000000007";

fn write(files: &MemoryFiles, series: &Series) -> Result<(), TsdbError> {
    let files: Arc<dyn FileWrite> = Arc::new(files.clone());
    let range = (TimestampMs::MIN, TimestampMs::MAX);
    // Small files, so that there are several.
    let mut writer = BlockWriter::with_file_bytes(&files, Ulid::new(1, 7), range, 2000)?;
    for (labels, samples) in series {
        writer.series(labels)?;
        writer.samples(samples)?;
    }
    let meta = writer.finish()?.expect("there are samples");
    let samples: usize = series.iter().map(|(_, samples)| samples.len()).sum();
    assert_eq!((meta.stats.series, meta.stats.samples), (series.len() as u64, samples as u64));
    Ok(())
}

fn read(files: &MemoryFiles) -> Result<Series, TsdbError> {
    let files: Arc<dyn FileRead> = Arc::new(files.clone());
    let block = Block::open(&files, NAME)?;
    let scan = block.series()?;
    check_postings(&files, NAME, &scan)?;
    let source = BlockSource::open(&block)?;
    let mut stream = SeriesStream::new(vec![Box::new(source)], Selection::default());
    let mut series = Vec::new();
    while let Some(labels) = stream.next_series()? {
        let mut samples = Vec::new();
        while let Some(sample) = stream.next_sample()? {
            samples.push(sample);
        }
        series.push((labels, samples));
    }
    Ok(series)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn m1_what_is_written_reads_back(series in any_series()) {
        let files = MemoryFiles::default();
        write(&files, &series).expect("a block");
        prop_assert!(files.paths().iter().all(|path| path.starts_with(NAME)));
        let found = read(&files).expect("as written");
        prop_assert_eq!(found.len(), series.len());
        for ((labels, samples), (expected_labels, expected)) in found.iter().zip(&series) {
            prop_assert_eq!(labels, expected_labels);
            prop_assert_eq!(check_read_back(expected, samples), Ok(()), "M1");
        }
    }

    #[test]
    fn every_changed_byte_is_found_or_harmless(
        series in any_series(),
        file in any::<prop::sample::Index>(),
        turn in any::<(prop::sample::Index, u8)>(),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let files = MemoryFiles::default();
        write(&files, &series).expect("a block");
        let whole = read(&files).expect("as written");
        let paths = files.paths();
        let path = file.get(&paths);
        let mut bytes = files.contents(path).expect("a file");
        match cut {
            Some(cut) => bytes.truncate(cut.index(bytes.len())),
            None => {
                let at = turn.0.index(bytes.len());
                bytes[at] ^= turn.1;
            }
        }
        files.replace(path, bytes);
        match read(&files) {
            // The places must be told, whatever is wrong.
            Err(TsdbError::Corrupt { file, .. }) => prop_assert!(file.starts_with(NAME)),
            Err(error) => prop_assert!(false, "{error}"),
            // Padding and the text of meta.json are not covered by a checksum.
            Ok(found) => {
                let same = found.iter().zip(&whole).all(|(a, b)| {
                    a.0 == b.0 && a.1.iter().zip(&b.1).all(|(a, b)| a.same_bits(b))
                });
                prop_assert!(same && found.len() == whole.len());
            }
        }
    }
}

#[test]
fn what_a_block_cannot_hold_is_refused() {
    let memory = MemoryFiles::default();
    let files: Arc<dyn FileWrite> = Arc::new(memory.clone());
    let (min, max) = (TimestampMs(0), TimestampMs(10));
    let mut writer = BlockWriter::new(&files, Ulid::new(1, 7), min, max).expect("a writer");
    let a = LabelSet::new([("a", "1")]);
    let b = LabelSet::new([("b", "1")]);
    assert!(writer.sample(&Sample::float(1, 1.0)).is_err(), "no series");
    writer.series(&b).expect("a series");
    assert!(writer.series(&a).is_err(), "out of order");
    assert!(writer.series(&LabelSet::empty()).is_err(), "no labels");
    for (at, fits) in [(-1, false), (10, false), (9, true), (9, false), (3, false)] {
        assert_eq!(writer.sample(&Sample::float(at, 1.0)).is_ok(), fits, "at {at}");
    }
    let meta = writer.finish().expect("written").expect("a block");
    assert_eq!((meta.min.0, meta.max.0, meta.stats.samples), (9, 10, 1));
    assert!(BlockWriter::new(&files, Ulid::new(1, 7), min, max).is_err(), "it is there");

    let empty = BlockWriter::new(&files, Ulid::new(2, 7), min, max).expect("a writer");
    assert_eq!(empty.finish().expect("nothing to write"), None);
    assert!(memory.paths().iter().all(|path| path.starts_with(NAME)), "{:?}", memory.paths());
}
