//! The configuration file.
#![no_main]

use std::path::Path;

use server::config::load;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = load(text, Path::new("/nowhere/prometheus.yml"));
    }
});
