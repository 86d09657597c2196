//! Bodies of scrapes: the first byte says in which format and how, the rest is read twice.
#![no_main]

use exposition::body::{Format, ReadOptions, read};
use exposition::dialect::Dialect;
use exposition::layout::Layout;
use exposition::protobuf::family::HistogramOptions;
use exposition::scan::{Scan, scan_entries};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((flags, body)) = data.split_first() else { return };
    let on = |bit: u8| flags & bit != 0;
    let format = match flags & 3 {
        0 => Format::Protobuf,
        1 => Format::Text(Dialect::OpenMetrics),
        _ => Format::Text(Dialect::Text),
    };
    let histograms = HistogramOptions { native: on(4), classic: on(8), convert: on(16) };
    let options = ReadOptions { histograms, start_timestamps: on(32) };
    let mut entries = 0u64;
    let whole = read(format, options, body, &mut |_| entries += 1);
    let mut scan = Scan::default();
    let scanned = scan_entries(format, options, body, &Layout::default(), &mut scan);
    assert_eq!(whole.is_ok(), scanned.is_ok(), "{whole:?} {scanned:?}");
});
