//! The catalog beside a tile file and a log.
#![no_main]

use fuzz::{Files, SEGMENT, TILE, WAL, sealed_frames};
use storage::names::FileName;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let data = &sealed_frames(data, 1);
    Files::of(&[(FileName::Catalog(1), data), (FileName::Tile(1), TILE), (SEGMENT, WAL)]).open();
});
