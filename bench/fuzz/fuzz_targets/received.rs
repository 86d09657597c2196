//! Requests of remote write and remote read: any bytes are a request or none.

#![no_main]

use api::receive::INFLATED_BYTES_MAX;
use libfuzzer_sys::fuzz_target;
use remote::builder::Builder;
use remote::read_request::ReadRequest;
use remote::{interned_request, snappy, write_request};

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let mut builder = Builder::new(3, "");
    let read = match kind % 4 {
        0 => write_request::read(bytes, &mut builder).is_ok(),
        1 => interned_request::read(bytes, &mut builder).is_ok(),
        2 => ReadRequest::read(bytes).is_ok(),
        _ => snappy::inflate(bytes, INFLATED_BYTES_MAX.min(1 << 20)).is_ok(),
    };
    if read {
        let (batches, _) = builder.finish();
        for (shard, batch) in batches {
            assert!(shard < 3);
            for float in &batch.floats {
                let _ = batch.labels(float.series);
            }
        }
    }
});
