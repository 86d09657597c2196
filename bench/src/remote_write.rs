//! Remote write 1.0, as much of it as brings a random world into another server.
//!
//! It carries staleness markers bit for bit, which no text format does. The body is protobuf in a
//! snappy block of literals alone.

use std::time::{Duration, Instant};

use anyhow::bail;
use conformance::random::world::World;

use crate::client;

/// Longest literal of a snappy block with a length of two bytes.
const LITERAL_BYTES_MAX: usize = 1 << 16;

/// What every request says of its body.
pub(crate) const HEADERS: &str = "Content-Type: application/x-protobuf\r\n\
    Content-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\n";

/// How long a server may refuse for the time being, and how often it is asked again.
const PATIENCE: Duration = Duration::from_secs(120);
const REFUSED_PAUSE: Duration = Duration::from_millis(50);

/// Writes all samples of `world` to the server at `address`.
pub(crate) fn write(address: &str, world: &World) -> anyhow::Result<()> {
    post(address, &snappy(&request(world)))
}

/// Posts a body until it is taken; a server that is busy is asked again.
pub(crate) fn post(address: &str, body: &[u8]) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let answer = client::post(address, "/api/v1/write", HEADERS, body)?;
        match answer.status {
            200..300 => return Ok(()),
            429 | 503 if begun.elapsed() < PATIENCE => std::thread::sleep(REFUSED_PAUSE),
            status => bail!("remote write answered {status} {:.300}", answer.body),
        }
    }
}

/// `WriteRequest`: time series (field 1) of labels (1: name 1, value 2) and samples (2: value 1,
/// timestamp 2).
fn request(world: &World) -> Vec<u8> {
    let mut request = Vec::new();
    for (labels, stored) in &world.series {
        let mut series = Vec::new();
        for (name, value) in labels {
            let mut label = Vec::new();
            put_bytes(&mut label, 1, name.as_bytes());
            put_bytes(&mut label, 2, value.as_bytes());
            put_bytes(&mut series, 1, &label);
        }
        for one in &stored.0 {
            let mut sample = vec![1 << 3 | 1];
            sample.extend_from_slice(&one.value.to_le_bytes());
            sample.push(2 << 3);
            put_varint(&mut sample, one.time_ms.unsigned_abs());
            put_bytes(&mut series, 2, &sample);
        }
        put_bytes(&mut request, 1, &series);
    }
    request
}

/// Appends a field that is bytes.
pub(crate) fn put_bytes(message: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    message.push(field << 3 | 2);
    put_varint(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}

/// Appends a number.
pub(crate) fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while 0x80 <= value {
        bytes.push(0x80 | u8::try_from(value & 0x7f).expect("seven bits fit"));
        value >>= 7;
    }
    bytes.push(u8::try_from(value).expect("seven bits fit"));
}

/// A block of literals.
pub(crate) fn snappy(bytes: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    put_varint(&mut block, bytes.len() as u64);
    for literal in bytes.chunks(LITERAL_BYTES_MAX) {
        block.push(61 << 2);
        let length = u16::try_from(literal.len() - 1).expect("a literal is bounded");
        block.extend_from_slice(&length.to_le_bytes());
        block.extend_from_slice(literal);
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_literals_have_their_form() {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, 300);
        assert_eq!(bytes, [0xac, 0x02]);
        assert_eq!(snappy(b"ab"), [2, 0xf4, 1, 0, b'a', b'b']);
    }
}
