//! Chunks of Prometheus and Thanos: the encoding, then the chunk.
#![no_main]

use tsdb::chunk::aggregate::{Aggregate, part};
use tsdb::chunk::decode::Decoder;
use tsdb::chunk::encoding::Encoding;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((number, bytes)) = data.split_first() else { return };
    for wanted in [Aggregate::Count, Aggregate::Counter] {
        let _ = part(bytes, wanted);
    }
    let Ok(encoding) = Encoding::of(*number) else { return };
    let Ok(mut decoder) = Decoder::new(encoding, bytes.to_vec()) else { return };
    for _ in 0..100_000 {
        if !matches!(decoder.read(), Ok(Some(_))) {
            return;
        }
    }
});
