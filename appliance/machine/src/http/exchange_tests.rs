//! Responses, whole, cut into pieces and cut off.

use std::io::Write;

use proptest::prelude::*;
use scrape::fetch::FetchFault;

use crate::http::exchange::{Exchange, Limits};

const LIMITS: Limits = Limits { head_bytes_max: 1024, body_bytes_max: 4096 };

/// Status, content type, body and keep-alive, or the fault.
type Outcome = Result<(u16, String, Vec<u8>, bool), FetchFault>;

/// The outcome when `bytes` come in pieces that end at `cuts`, and then the peer closes.
fn receive(bytes: &[u8], cuts: &[usize], limits: Limits) -> Outcome {
    let mut exchange = Exchange::new(limits);
    let (mut buffer, mut inflated) = (Vec::new(), Vec::new());
    let mut from = 0;
    let mut done = false;
    for cut in cuts.iter().copied().chain([bytes.len()]) {
        let until = cut.clamp(from, bytes.len());
        if from < until {
            // A response that is complete before all bytes came has bytes after its end.
            if done {
                return Err(FetchFault::Malformed("bytes after the end of the response"));
            }
            buffer.extend_from_slice(&bytes[from..until]);
            done = exchange.advance(&mut buffer, &mut inflated)?;
        }
        from = until;
    }
    if !done {
        exchange.close(&buffer, &mut inflated)?;
    }
    let head = exchange.head().expect("a complete response has a head");
    let body = exchange.body(&buffer, &inflated).to_vec();
    Ok((head.status, exchange.content_type(&buffer).to_owned(), body, head.keep_alive))
}

#[track_caller]
fn check(response: &str, expected: &str) {
    let rendered = match receive(response.as_bytes(), &[], LIMITS) {
        Ok((status, content_type, body, keep_alive)) => {
            let body = String::from_utf8_lossy(&body).into_owned();
            format!("{status} {content_type:?} {body:?} {keep_alive}")
        }
        Err(fault) => fault.to_string(),
    };
    assert_eq!(rendered, expected, "{response:?}");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn response(head: &str, body: &[u8]) -> Vec<u8> {
    [head.as_bytes(), b"\r\n\r\n", body].concat()
}

#[test]
fn framings() {
    check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "200 \"\" \"abc\" true");
    check(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain \r\n\r\nabc",
        "200 \"text/plain\" \"abc\" false",
    );
    check("HTTP/1.0 200 OK\nContent-Length: 1\n\na", "200 \"\" \"a\" false");
    let kept = "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\na";
    check(kept, "200 \"\" \"a\" true");
    check("HTTP/1.1 204 No\r\n\r\n", "204 \"\" \"\" true");
    let closed = "HTTP/1.1 404 Not Found\r\nConnection: x, close\r\nContent-Length: 0\r\n\r\n";
    check(closed, "404 \"\" \"\" false");
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
        3;x=\"y\"\r\nabc\r\n02 \r\nde\r\n0\r\nTrailer: x\r\n\r\n";
    check(chunked, "200 \"\" \"abcde\" true");
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n\
        HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
    check(interim, "200 \"\" \"a\" true");
}

#[test]
fn faults_name_what_is_wrong() {
    check("SSH-2.0-OpenSSH\r\n", "malformed HTTP response: not an HTTP/1 response");
    check("HTTP/2 200\r\n\r\n", "malformed HTTP response: not an HTTP/1 response");
    check(
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "malformed HTTP response: bad Content-Length",
    );
    let two = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na";
    check(two, "malformed HTTP response: two different content lengths");
    let more = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab";
    check(more, "malformed HTTP response: bytes after the end of the response");
    check("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", "unexpected EOF");
    let brotli = "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n";
    check(brotli, "unsupported content encoding \"br\"");
    let coded = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n";
    check(coded, "unsupported transfer encoding \"gzip, chunked\"");
    let size = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n";
    check(size, "malformed HTTP response: invalid byte in chunk length");
    let long = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n";
    check(long, "malformed HTTP response: chunk longer than its size");
    check(
        "HTTP/1.1 101 Switching\r\n\r\n",
        "malformed HTTP response: switch of protocols nobody asked for",
    );
}

#[test]
fn h1_bodies_are_bounded_on_both_sides_of_inflating() {
    let too_large = Err(FetchFault::BodyTooLarge { bytes_max: 4096 });
    let exact = response("HTTP/1.1 200 OK", &[b'a'; 4096]);
    assert_eq!(receive(&exact, &[], LIMITS).unwrap().2.len(), 4096);
    let over = response("HTTP/1.1 200 OK", &[b'a'; 4097]);
    assert_eq!(receive(&over, &[], LIMITS), too_large);
    assert_eq!(receive(b"HTTP/1.1 200 OK\r\nContent-Length: 4097\r\n\r\n", &[], LIMITS), too_large);
    let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip";
    let bomb = response(head, &gzip(&vec![0; 100_000_000]));
    let roomy = Limits { body_bytes_max: 1 << 20, ..LIMITS };
    let bound = Err(FetchFault::BodyTooLarge { bytes_max: 1 << 20 });
    assert_eq!(receive(&bomb, &[], roomy), bound);
    let exact = response(head, &gzip(&[7; 4096]));
    assert_eq!(receive(&exact, &[], LIMITS).unwrap().2, [7; 4096]);
    let over = response(head, &gzip(&[7; 4097]));
    assert_eq!(receive(&over, &[], LIMITS), too_large);
}

#[test]
fn heads_are_bounded() {
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(2000));
    let fault = FetchFault::HeadTooLarge { bytes_max: 1024 };
    assert_eq!(receive(endless.as_bytes(), &[], LIMITS), Err(fault.clone()));
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(100);
    assert_eq!(receive(interim.as_bytes(), &[], LIMITS), Err(fault));
    let fields = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a:\r\n".repeat(300));
    let roomy = Limits { head_bytes_max: 1 << 16, ..LIMITS };
    let many = FetchFault::Malformed("too many header fields");
    assert_eq!(receive(fields.as_bytes(), &[], roomy), Err(many));
}

#[test]
fn chunk_framing_is_bounded() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked";
    let chunks = format!("1;{}\r\na\r\n", "x".repeat(1000)).repeat(40);
    let excess = FetchFault::Malformed("chunked encoding contains too much non-data");
    assert_eq!(receive(&response(head, chunks.as_bytes()), &[], LIMITS), Err(excess));
    let line = response(head, "1;".repeat(4000).as_bytes());
    let long = FetchFault::Malformed("chunk header too long");
    assert_eq!(receive(&line, &[], LIMITS), Err(long));
    let trailer = format!("0\r\n{}", "a: b\r\n".repeat(10_000));
    let long = FetchFault::Malformed("trailer too long");
    assert_eq!(receive(&response(head, trailer.as_bytes()), &[], LIMITS), Err(long));
}

#[test]
fn gzip_members_join_and_damage_is_found() {
    let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip";
    let two = [gzip(b"ab"), gzip(b"cd")].concat();
    assert_eq!(receive(&response(head, &two), &[], LIMITS).unwrap().2, b"abcd");
    let whole = gzip(b"some text that is long enough");
    for cut in 0..whole.len() {
        let outcome = receive(&response(head, &whole[..cut]), &[], LIMITS);
        assert!(matches!(outcome, Err(FetchFault::Encoding(_))), "cut at {cut}: {outcome:?}");
    }
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    damaged[12] ^= 1;
    let outcome = receive(&response(head, &damaged), &[], LIMITS);
    assert!(matches!(outcome, Err(FetchFault::Encoding(_))), "{outcome:?}");
    let outcome = receive(&response(head, b"not gzip"), &[], LIMITS);
    assert!(matches!(outcome, Err(FetchFault::Encoding(_))), "{outcome:?}");
}

/// A well-formed response and the body it carries.
fn any_response() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let body = proptest::collection::vec(any::<u8>(), 0..600);
    (body, 0..3, any::<bool>(), 1..50_usize, 0..3_usize).prop_map(
        |(body, framing, compressed, chunk, interim)| {
            let content = if compressed { gzip(&body) } else { body.clone() };
            let mut bytes = "HTTP/1.1 100 Continue\r\n\r\n".repeat(interim).into_bytes();
            bytes.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n");
            if compressed {
                bytes.extend_from_slice(b"Content-Encoding: gzip\r\n");
            }
            match framing {
                0 => {
                    let length = format!("Content-Length: {}\r\n\r\n", content.len());
                    bytes.extend_from_slice(length.as_bytes());
                    bytes.extend_from_slice(&content);
                }
                1 => {
                    bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                    for part in content.chunks(chunk) {
                        bytes.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
                        bytes.extend_from_slice(part);
                        bytes.extend_from_slice(b"\r\n");
                    }
                    bytes.extend_from_slice(b"0\r\n\r\n");
                }
                _ => {
                    bytes.extend_from_slice(b"\r\n");
                    bytes.extend_from_slice(&content);
                }
            }
            (bytes, body)
        },
    )
}

proptest! {
    #[test]
    fn pieces_do_not_matter(
        (bytes, body) in any_response(),
        mut cuts in proptest::collection::vec(0..1500_usize, 0..20),
    ) {
        cuts.sort_unstable();
        let whole = receive(&bytes, &[], LIMITS);
        prop_assert_eq!(&whole.as_ref().unwrap().2, &body);
        prop_assert_eq!(&receive(&bytes, &cuts, LIMITS), &whole);
        let every: Vec<usize> = (1..bytes.len()).collect();
        prop_assert_eq!(&receive(&bytes, &every, LIMITS), &whole);
    }

    #[test]
    fn truncation_is_noticed((bytes, body) in any_response(), at in 0..1500_usize) {
        let cut = &bytes[..at.min(bytes.len())];
        match receive(cut, &[], LIMITS) {
            // A body that ends with the connection cannot tell, unless it is compressed.
            Ok((_, _, seen, keep_alive)) => prop_assert!(
                seen == body || (!keep_alive && body.starts_with(&seen))
            ),
            Err(FetchFault::Closed | FetchFault::Malformed(_) | FetchFault::Encoding(_)) => {}
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn garbage_is_no_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        mut cuts in proptest::collection::vec(0..300_usize, 0..5),
        head in prop::sample::select(vec![
            "", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\u{1f}",
        ]),
    ) {
        cuts.sort_unstable();
        let bytes = [head.as_bytes(), &bytes].concat();
        let whole = receive(&bytes, &[], LIMITS);
        prop_assert_eq!(receive(&bytes, &cuts, LIMITS).is_ok(), whole.is_ok());
    }
}
