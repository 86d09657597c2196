//! A response of a target, coming in two pieces: head, chunked coding, gzip.
#![no_main]

use machine::http::exchange::{Exchange, Limits};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((cut, response)) = data.split_first() else { return };
    let limits = Limits { head_bytes_max: 4096, body_bytes_max: 1 << 16 };
    let mut exchange = Exchange::new(limits);
    let (first, second) = response.split_at(usize::from(*cut).min(response.len()));
    let (mut buffer, mut inflated) = (first.to_vec(), Vec::new());
    for piece in [second, &[]] {
        match exchange.advance(&mut buffer, &mut inflated) {
            Ok(false) => buffer.extend_from_slice(piece),
            Ok(true) => {
                assert!(exchange.body(&buffer, &inflated).len() <= 1 << 16);
                let _ = (exchange.content_type(&buffer), exchange.location(&buffer));
                return;
            }
            Err(_) => return,
        }
    }
    let _ = exchange.close(&buffer, &mut inflated);
});
