//! The log, behind a catalog and alone.
#![no_main]

use fuzz::{CATALOG, Files, SEGMENT, sealed_frames};
use storage::names::FileName;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let data = &sealed_frames(data, 512);
    Files::of(&[(FileName::Catalog(1), CATALOG), (SEGMENT, data)]).open();
    Files::of(&[(SEGMENT, data)]).open();
});
