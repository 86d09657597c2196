//! Surface: every reader of bytes from outside as a function of nothing but bytes, for fuzzers.
//!
//! Whatever the bytes are, each returns: it never panics, never reads for ever, and takes memory
//! that a small multiple of their length bounds.
//!
//! Path: fuzz targets, mutation tests → **surface** → readers.

use std::sync::Arc;

use crate::block::Block;
use crate::chunk::aggregate::{Aggregate, part};
use crate::chunk::decode::Decoder;
use crate::chunk::encoding::Encoding;
use crate::chunk_files::ChunkFiles;
use crate::cursor::put_uvarint;
use crate::files::FileRead;
use crate::head::load::Head;
use crate::head_chunks::scan;
use crate::index::postings::check_postings;
use crate::index::series::SeriesScan;
use crate::memory::MemoryFiles;
use crate::meta::read_meta;
use crate::tombstones::read_tombstones;
use crate::wal::log::Log;
use crate::wal::record::read_record;

/// Bytes of a chunk's checksum.
const SUM_BYTES: usize = 4;

/// A file in memory at `path`.
fn one(path: &str, bytes: &[u8]) -> Arc<dyn FileRead> {
    Arc::new(MemoryFiles::of(&[(path, bytes)]))
}

/// An index: contents, symbols, every series, every list of postings.
pub fn index(bytes: &[u8]) {
    let files = one("b/index", bytes);
    let Ok(mut scan) = SeriesScan::open(&files, "b") else { return };
    let _ = check_postings(&files, "b", &scan);
    loop {
        match scan.read() {
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(_) => {
                if !matches!(scan.skip(), Ok(true)) {
                    return;
                }
            }
        }
    }
}

/// A chunk: the number of its encoding, then its bytes.
pub fn chunk(bytes: &[u8]) {
    let Some((number, bytes)) = bytes.split_first() else { return };
    let Ok(encoding) = Encoding::of(*number) else { return };
    if encoding == Encoding::Aggregate {
        for aggregate in Aggregate::ALL {
            if let Ok(Some((encoding, bytes))) = part(bytes, aggregate) {
                samples(encoding, bytes);
            }
        }
        return;
    }
    samples(encoding, bytes.to_vec());
}

fn samples(encoding: Encoding, bytes: Vec<u8>) {
    let Ok(mut decoder) = Decoder::new(encoding, bytes) else { return };
    while matches!(decoder.read(), Ok(Some(_))) {}
}

/// A file of chunks, each read behind the one before.
pub fn chunk_file(bytes: &[u8]) {
    let files = one("b/chunks/000001", bytes);
    let Ok(mut chunks) = ChunkFiles::open(&files, "b") else { return };
    let mut at = crate::chunk_files::HEADER_BYTES;
    while let Ok(raw) = chunks.read(at) {
        let mut length = Vec::new();
        put_uvarint(&mut length, raw.bytes.len() as u64);
        at = raw.offset + (length.len() + 1 + raw.bytes.len() + SUM_BYTES) as u64;
        samples_of(raw.encoding, &raw.bytes);
    }
}

fn samples_of(encoding: Encoding, bytes: &[u8]) {
    if encoding != Encoding::Aggregate {
        samples(encoding, bytes.to_vec());
    }
}

/// A tombstones file.
pub fn tombstones(bytes: &[u8]) {
    let _ = read_tombstones(&*one("b/tombstones", bytes), "b");
}

/// A `meta.json`.
pub fn meta(bytes: &[u8]) {
    let _ = read_meta(&*one("b/meta.json", bytes), "b");
    let _ = Block::open(&one("b/meta.json", bytes), "b");
}

/// A segment of a log, its records read too.
pub fn segment(bytes: &[u8]) {
    let files = one("wal/00000000", bytes);
    let Ok(mut log) = Log::open(&files, "wal") else { return };
    while let Ok(Some(record)) = log.read() {
        let _ = read_record(record);
    }
}

/// A record of a log, without its compression.
pub fn record(bytes: &[u8]) {
    let _ = read_record(bytes);
}

/// A file of head chunks.
pub fn head_chunks(bytes: &[u8]) {
    let _ = scan(&one("chunks_head/000001", bytes));
}

/// The head that one segment of the log, of late samples, and one file of head chunks make: cut
/// from `bytes` at two places that its first four bytes say.
pub fn head(bytes: &[u8]) {
    let Some((places, rest)) = bytes.split_first_chunk::<4>() else { return };
    let place = |high: u8, low: u8| usize::from(u16::from_be_bytes([high, low])).min(rest.len());
    let (a, b) = (place(places[0], places[1]), place(places[2], places[3]));
    let files: Arc<dyn FileRead> = Arc::new(MemoryFiles::of(&[
        ("wal/00000000", &rest[..a.min(b)]),
        ("wbl/00000000", &rest[a.min(b)..a.max(b)]),
        ("chunks_head/000001", &rest[a.max(b)..]),
    ]));
    let _ = Head::load(&files, &mut |_, _| {});
}

#[cfg(test)]
mod tests {
    use model::label_set::LabelSet;
    use model::time::TimestampMs;
    use proptest::prelude::*;

    use super::*;
    use crate::chunk::build::ChunkBuilder;
    use crate::chunk::samples_of_tests::any_samples;
    use crate::files::FileWrite;
    use crate::sample::Sample;
    use crate::ulid::Ulid;
    use crate::wal::record::SampleRecord;
    use crate::wal::written_by_tests::{Form, samples_record};
    use crate::write::block_write::BlockWriter;

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/prometheus-2.42");

    /// Bytes that were written in order, and the reader that must bear whatever becomes of them.
    type Fixture = (Vec<u8>, fn(&[u8]));

    fn block_files(samples: &[Sample]) -> Vec<Fixture> {
        let memory = MemoryFiles::default();
        let files: Arc<dyn FileWrite> = Arc::new(memory.clone());
        let ulid = Ulid::new(1, 7);
        let (min, max) = (TimestampMs::MIN, TimestampMs::MAX);
        let mut writer = BlockWriter::new(&files, ulid, min, max).expect("a writer");
        for name in ["a", "b", "c"] {
            writer.series(&LabelSet::new([("__name__", name), ("x", "y")])).expect("in order");
            writer.samples(samples).expect("in order");
        }
        writer.finish().expect("written");
        let of = |name: &str| memory.contents(&format!("{ulid}/{name}")).expect("a file");
        vec![
            (of("index"), index),
            (of("chunks/000001"), chunk_file),
            (of("tombstones"), tombstones),
            (of("meta.json"), meta),
        ]
    }

    /// Chunks and records without the checksums that would keep changes from their readers.
    fn bare(samples: &[Sample]) -> Vec<Fixture> {
        let (mut builder, mut fixtures) = (ChunkBuilder::default(), Vec::<Fixture>::new());
        let mut built = Vec::new();
        for sample in samples {
            built.extend(builder.push(sample).expect("in order"));
        }
        built.extend(builder.finish());
        for one in built {
            let mut bytes = vec![one.encoding.number()];
            bytes.extend_from_slice(&one.bytes);
            fixtures.push((bytes, chunk));
        }
        for with_starts in [false, true] {
            let records =
                samples.iter().map(|sample| SampleRecord { reference: 1, sample: sample.clone() });
            let records: Vec<SampleRecord> = records.collect();
            let form = |record: &SampleRecord| Form::of(record, with_starts);
            let alike: Vec<SampleRecord> =
                records.iter().filter(|one| form(one) == form(&records[0])).cloned().collect();
            fixtures.push((samples_record(&alike, form(&records[0])), record));
        }
        fixtures
    }

    fn golden(file: &str) -> Vec<u8> {
        std::fs::read(format!("{GOLDEN}/{file}")).expect("the golden directory")
    }

    fn log_files() -> Vec<Fixture> {
        vec![
            (golden("wal/00000000"), segment),
            (golden("wbl/00000000"), segment),
            (golden("chunks_head/000001"), head_chunks),
        ]
    }

    /// Turns bytes, cuts, and puts pieces elsewhere.
    fn mutated(bytes: &[u8], turns: &[(prop::sample::Index, u8)], cut: usize) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for (place, value) in turns {
            if !bytes.is_empty() {
                let at = place.index(bytes.len());
                bytes[at] = *value;
            }
        }
        bytes.truncate(bytes.len().saturating_sub(cut));
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(192))]

        #[test]
        fn every_reader_bears_changed_bytes(
            samples in any_samples(),
            turns in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            cut in prop_oneof![3 => Just(0usize), 1 => 0usize..200],
        ) {
            let files = block_files(&samples).into_iter().chain(log_files());
            for (bytes, read) in files.chain(bare(&samples)) {
                read(&mutated(&bytes, &turns, cut));
            }
        }

        #[test]
        fn every_reader_bears_any_bytes(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            kind in 0u8..16,
        ) {
            let blocks = [index, chunk, chunk_file, tombstones, meta];
            for read in blocks.into_iter().chain([segment, record, head_chunks, head]) {
                read(&bytes);
            }
            // Behind the numbers that kinds and encodings have.
            let mut numbered = vec![kind];
            numbered.extend_from_slice(&bytes);
            chunk(&numbered);
            record(&numbered);
        }
    }
}
