//! Prometheus's files: blocks, the log and head chunks, whatever is in them.

use std::sync::Arc;

use tsdb::chunk::aggregate::{Aggregate, part};
use tsdb::chunk::decode::Decoder;
use tsdb::chunk::encoding::Encoding;
use tsdb::chunk_files::ChunkFiles;
use tsdb::files::FileRead;
use tsdb::head::load::Head;
use tsdb::head_chunks::scan;
use tsdb::index::series::SeriesScan;
use tsdb::memory::MemoryFiles;
use tsdb::meta::read_meta;
use tsdb::tombstones::read_tombstones;
use tsdb::wal::record::read_record;

/// The index of a Prometheus block.
pub fn tsdb_index(data: &[u8]) {
    let files: Arc<dyn FileRead> = Arc::new(MemoryFiles::of(&[("b/index", data)]));
    let Ok(mut scan) = SeriesScan::open(&files, "b") else { return };
    for _ in 0..10_000 {
        match scan.read() {
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(_) => match scan.skip() {
                Ok(true) => {}
                Ok(false) | Err(_) => return,
            },
        }
    }
}

/// Chunks of Prometheus and Thanos: the encoding, then the chunk.
pub fn tsdb_chunk(data: &[u8]) {
    let Some((number, bytes)) = data.split_first() else { return };
    for wanted in [Aggregate::Count, Aggregate::Counter] {
        let _ = part(bytes, wanted);
    }
    let Ok(encoding) = Encoding::of(*number) else { return };
    let Ok(mut decoder) = Decoder::new(encoding, bytes.to_vec()) else { return };
    for _ in 0..100_000 {
        if !matches!(decoder.read(), Ok(Some(_))) {
            return;
        }
    }
}

/// A segment of Prometheus's log, and the head that it makes.
pub fn tsdb_wal(data: &[u8]) {
    let _ = read_record(data);
    let files: Arc<dyn FileRead> = Arc::new(MemoryFiles::of(&[("wal/00000000", data)]));
    let _ = Head::load(&files, &mut |_, _| {});
}

/// Chunk files of a block, its meta.json and its tombstones; chunks of a head.
pub fn tsdb_files(data: &[u8]) {
    let Some((which, bytes)) = data.split_first() else { return };
    let name = ["b/meta.json", "b/tombstones", "b/chunks/000001", "chunks_head/000001"];
    let name = name[usize::from(which % 4)];
    let memory = MemoryFiles::of(&[(name, bytes)]);
    let _ = read_meta(&memory, "b");
    let _ = read_tombstones(&memory, "b");
    let files: Arc<dyn FileRead> = Arc::new(memory);
    let _ = scan(&files);
    if let Ok(mut chunks) = ChunkFiles::open(&files, "b") {
        for reference in [0, 8, 30, u64::MAX] {
            let _ = chunks.read(reference);
        }
    }
}
