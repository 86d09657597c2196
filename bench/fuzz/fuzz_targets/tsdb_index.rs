//! The index of a Prometheus block.
#![no_main]

use std::sync::Arc;

use tsdb::files::FileRead;
use tsdb::index::series::SeriesScan;
use tsdb::memory::MemoryFiles;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
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
});
