//! A directory that Debian's Prometheus 2.42 wrote: log (snappy), head chunks, late samples. Its
//! promtool's dump, sorted, is what must be read: its number of lines and checksum stand here.
//!
//! Made by scraping three series every 10 ms with an out-of-order window, one of them with
//! timestamps that fall, and ending it after 270 scrapes; head chunks are cut behind their last.

use std::path::Path;

use model::number::write_general;
use tsdb::directory::Directory;
use tsdb::merge::Selection;
use tsdb::sample::Value;

const LINES: usize = 2817;
const CHECKSUM: u32 = 0x21ed_0395;

#[test]
fn a_directory_of_prometheus_is_read_as_promtool_reads_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/prometheus-2.42");
    let mut directory = Directory::open(&path).expect("it opens");
    let head = directory.load_head(&mut |_, _| {}).expect("it loads");
    let report = head.report();
    assert!(report.damages.is_empty(), "{:?}", report.damages);
    assert!(0 < report.chunks && 0 < report.late_samples, "{report:?}");
    let mut stream = directory.series(Selection::default()).expect("sources open");
    let mut lines: Vec<String> = Vec::new();
    while let Some(labels) = stream.next_series().expect("it reads") {
        while let Some(sample) = stream.next_sample().expect("it reads") {
            let Value::Float(value) = sample.value else { panic!("only floats are in it") };
            let mut line = format!("{labels} ");
            write_general(&mut line, value);
            line.push_str(&format!(" {}\n", sample.timestamp));
            lines.push(line);
        }
    }
    lines.sort_unstable();
    assert_eq!(lines.len(), LINES);
    assert_eq!(crc32c::crc32c(lines.concat().as_bytes()), CHECKSUM);
}
