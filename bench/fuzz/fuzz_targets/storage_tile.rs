//! A tile file whose catalog is whole.
#![no_main]

use fuzz::{CATALOG, Files, sealed_tiles};
use storage::names::FileName;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let data = &sealed_tiles(data);
    Files::of(&[(FileName::Catalog(1), CATALOG), (FileName::Tile(1), data)]).open();
});
