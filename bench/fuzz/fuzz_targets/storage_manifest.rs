//! The manifest beside a block, a catalog and a log.
#![no_main]

use fuzz::{BLOCK, CATALOG, Files, SEGMENT, WAL, sealed_frames};
use storage::names::FileName;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let data = &sealed_frames(data, 1);
    Files::of(&[
        (FileName::Manifest(3), data),
        (FileName::Block(1), BLOCK),
        (FileName::Catalog(1), CATALOG),
        (SEGMENT, WAL),
    ])
    .open();
});
