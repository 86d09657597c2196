//! Chunk files of a block, its meta.json and its tombstones; chunks of a head.
#![no_main]

use std::sync::Arc;

use tsdb::chunk_files::ChunkFiles;
use tsdb::files::FileRead;
use tsdb::head_chunks::scan;
use tsdb::memory::MemoryFiles;
use tsdb::meta::read_meta;
use tsdb::tombstones::read_tombstones;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
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
});
