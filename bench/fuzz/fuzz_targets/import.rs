//! Bodies of import: any lines are samples or named faults, however they are cut.

#![no_main]

use api::import::csv::CsvReader;
use api::import::json::JsonReader;
use api::import::text::TextReader;
use api::import::{Reader, read_lines};
use libfuzzer_sys::fuzz_target;
use remote::builder::Builder;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let (mut reader, lines) = match kind % 4 {
        0 => (Reader::Json(JsonReader::new(Vec::new())), bytes),
        1 => (Reader::Text(TextReader::new(false, Vec::new(), 1)), bytes),
        2 => (Reader::Text(TextReader::new(true, Vec::new(), 1)), bytes),
        _ => {
            let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
            let Ok(format) = std::str::from_utf8(&bytes[..end]) else { return };
            let Ok(reader) = CsvReader::new(format, Vec::new(), 1) else { return };
            (Reader::Csv(reader), &bytes[end..])
        }
    };
    let (mut line, mut builder) = (0, Builder::new(3, ""));
    read_lines(lines, &mut line, &mut reader, &mut builder);
    let (batches, refusals) = builder.finish();
    assert!(refusals.total() <= line);
    for (_, batch) in batches {
        for float in &batch.floats {
            let _ = batch.labels(float.series);
        }
    }
});
