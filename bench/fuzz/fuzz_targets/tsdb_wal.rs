//! A segment of Prometheus's log, and the head that it makes.
#![no_main]

use std::sync::Arc;

use tsdb::files::FileRead;
use tsdb::head::load::Head;
use tsdb::memory::MemoryFiles;
use tsdb::wal::record::read_record;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = read_record(data);
    let files: Arc<dyn FileRead> = Arc::new(MemoryFiles::of(&[("wal/00000000", data)]));
    let _ = Head::load(&files, &mut |_, _| {});
});
