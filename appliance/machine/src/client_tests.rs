//! Fetches from local servers, good and bad, over both reactors.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use scrape::fetch::{FetchFault, FetchRequest};
use scrape::http_options::HttpOptions;

use crate::client_bed::{
    BODY_MAX, Driver, Outcome, PATIENT_MS, SHORT_MS, answer, keep_answering, linger, options,
    over_both, read_head, request, server,
};
use crate::reactor::IoKind;

#[test]
fn bodies_of_all_sizes_over_one_connection() {
    over_both(|mut driver| {
        for size in [0, 1, 1000, 100_000, 1 << 20] {
            let body = vec![b'x'; size];
            let address = server(move |_, stream| keep_answering(stream, "200 OK", &body));
            let request = request(address, "/metrics");
            for _ in 0..3 {
                let (status, body) = driver.fetch(&request, PATIENT_MS).unwrap();
                assert_eq!((status, body.len()), (200, size));
            }
        }
        let (counters, links) = (driver.counters(), driver.links());
        assert_eq!((links.opened, links.reused, counters.retried), (5, 10, 0));
        assert!(0 < driver.client.pool().counters().reused);
    });
}

#[test]
fn many_at_once() {
    over_both(|mut driver| {
        let address = server(|_, stream| keep_answering(stream, "200 OK", &[b'y'; 50_000]));
        let request = request(address, "/");
        for _ in 0..3 {
            for _ in 0..16 {
                driver.start(&request, PATIENT_MS);
            }
            for _ in 0..16 {
                assert_eq!(driver.end().unwrap().1.len(), 50_000);
            }
        }
        assert_eq!(driver.links().opened, 16);
    });
}

#[test]
fn c2_connections_are_bounded() {
    for kind in [IoKind::Ring, IoKind::Epoll] {
        let Some(mut driver) = Driver::new(kind, 2) else { continue };
        let quiet = server(|_, stream| linger(stream));
        let good = server(|_, stream| keep_answering(stream, "200 OK", b"a"));
        let other = server(|_, stream| keep_answering(stream, "200 OK", b"b"));
        driver.start(&request(quiet, "/"), 1500);
        assert!(driver.fetch(&request(good, "/"), PATIENT_MS).is_ok());
        assert!(driver.fetch(&request(other, "/"), PATIENT_MS).is_ok());
        assert_eq!(driver.links().evicted, 1, "C2: the idle one went");
        driver.start(&request(quiet, "/"), 1500);
        let fault = driver.fetch(&request(good, "/"), PATIENT_MS).unwrap_err().to_string();
        assert!(fault.contains("too many open connections"), "C2: {fault}");
        assert_eq!((driver.end(), driver.end()), both_late());
    }
}

fn both_late() -> (Outcome, Outcome) {
    (Err(FetchFault::Deadline), Err(FetchFault::Deadline))
}

#[test]
fn a_kept_connection_that_died_is_retried_once() {
    over_both(|mut driver| {
        // The first connection dies after one answer, at the second request.
        let address = server(|number, mut stream| {
            if number == 0 {
                read_head(&mut stream);
                answer(&mut stream, "200 OK", b"first");
                read_head(&mut stream);
            } else {
                keep_answering(stream, "200 OK", b"next");
            }
        });
        let request = request(address, "/");
        assert_eq!(driver.fetch(&request, PATIENT_MS).unwrap().1, b"first");
        assert_eq!(driver.fetch(&request, PATIENT_MS).unwrap().1, b"next");
        assert_eq!((driver.counters().retried, driver.links().opened), (1, 2));
    });
}

#[test]
fn what_nobody_asked_for_ends_a_kept_connection() {
    over_both(|mut driver| {
        let (said, heard) = crossbeam::channel::bounded(1);
        let address = server(move |number, mut stream| {
            read_head(&mut stream);
            answer(&mut stream, "200 OK", b"answer");
            if number == 0 {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfake").unwrap();
                said.send(()).unwrap();
            }
            linger(stream);
        });
        let request = request(address, "/");
        // The extra bytes may come with the answer (malformed) or after it (not looked at).
        match driver.fetch(&request, PATIENT_MS) {
            Ok((_, body)) => assert_eq!(body, b"answer"),
            Err(fault) => assert!(matches!(fault, FetchFault::Malformed(_)), "{fault}"),
        }
        heard.recv().unwrap();
        assert_eq!(driver.fetch(&request, PATIENT_MS).unwrap().1, b"answer");
    });
}

#[test]
fn redirects_are_followed_without_the_secret() {
    over_both(|mut driver| {
        let last = server(|_, mut stream| {
            let head = read_head(&mut stream);
            answer(&mut stream, "200 OK", head.as_bytes());
        });
        let port = last.port();
        let first = server(move |_, mut stream| {
            loop {
                let head = read_head(&mut stream);
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                match path.as_str() {
                    "" => return,
                    "/loop" => answer(&mut stream, "302 Found\r\nLocation: loop", b""),
                    "/tls" => answer(
                        &mut stream,
                        "301 Moved\r\nLocation: https://no-such-host.invalid/",
                        b"",
                    ),
                    "/here" => answer(&mut stream, "200 OK", head.as_bytes()),
                    "/a" => answer(&mut stream, "307 Temporary\r\nLocation: here", b"moved"),
                    _ => {
                        let to = format!("308 Gone\r\nLocation: http://localhost:{port}/there?x=1");
                        answer(&mut stream, &to, b"");
                    }
                }
            }
        });
        let text = |outcome: Outcome| match outcome {
            Ok((status, body)) => format!("{status} {}", String::from_utf8(body).unwrap()),
            Err(fault) => fault.to_string(),
        };
        let with_secret = |path: &str| {
            let http = options().shared();
            Arc::new(FetchRequest { http, ..(*request(first, path)).clone() })
        };
        let here = text(driver.fetch(&with_secret("/a"), PATIENT_MS));
        assert!(here.starts_with("200 GET /here HTTP/1.1\r\n"), "{here}");
        assert!(here.contains("Authorization: Bearer secret"), "the same host: {here}");
        let there = text(driver.fetch(&with_secret("/b"), PATIENT_MS));
        assert!(there.starts_with("200 GET /there?x=1 HTTP/1.1\r\n"), "{there}");
        assert!(there.contains("Accept: text/plain") && !there.contains("secret"), "{there}");
        let endless = driver.fetch(&request(first, "/loop"), PATIENT_MS);
        assert_eq!(endless, Err(FetchFault::Redirects));
        let tls = text(driver.fetch(&request(first, "/tls"), PATIENT_MS));
        assert!(tls.starts_with("dial tcp: lookup no-such-host.invalid: "), "{tls}");
        let mut plain = (*request(first, "/tls")).clone();
        plain.http = HttpOptions { follow_redirects: false, ..options() }.shared();
        assert_eq!(driver.fetch(&Arc::new(plain), PATIENT_MS).unwrap().0, 301);
    });
}

#[test]
fn names_are_resolved_and_faults_name_their_cause() {
    over_both(|mut driver| {
        let address = server(|_, stream| keep_answering(stream, "200 OK", b"named"));
        let named = |host: &str, port: u16| {
            Arc::new(FetchRequest {
                host: host.to_owned(),
                port,
                ..(*request(address, "/")).clone()
            })
        };
        let body = driver.fetch(&named("localhost", address.port()), PATIENT_MS).unwrap().1;
        assert_eq!(body, b"named");
        let fault = driver.fetch(&named("no-such-host.invalid", 80), PATIENT_MS).unwrap_err();
        assert!(matches!(&fault, FetchFault::Resolve(text) if text.starts_with("no-such-host")));
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let fault = driver.fetch(&request(free, "/"), PATIENT_MS).unwrap_err().to_string();
        assert!(fault.contains(&format!("{free}: connect: connection refused")), "{fault}");
        let mut split = (*request(address, "/")).clone();
        split.headers[0].1 = "a\r\nb: c".to_owned();
        let fault = driver.fetch(&Arc::new(split), PATIENT_MS).unwrap_err();
        assert_eq!(fault.to_string(), "unsupported header field \"Accept\"");
    });
}

#[test]
fn c1_slow_servers_end_at_the_deadline() {
    over_both(|mut driver| {
        let quiet = server(|_, stream| linger(stream));
        let drip = server(|_, mut stream| {
            read_head(&mut stream);
            // One byte, then another whenever the client would rather have none: never an end.
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx");
            stream.set_read_timeout(Some(std::time::Duration::from_millis(20))).unwrap();
            let mut byte = [0; 1];
            while !matches!(stream.read(&mut byte), Ok(0)) {
                if stream.write_all(b"x").is_err() {
                    return;
                }
            }
        });
        for address in [quiet, drip] {
            let outcome = driver.fetch(&request(address, "/"), SHORT_MS);
            assert_eq!(outcome, Err(FetchFault::Deadline), "C1: in time");
        }
        // No connection of theirs is kept.
        assert_eq!(driver.client.sizes(), (0, 0, 0));
    });
}

#[test]
fn hostile_servers_are_cut_off() {
    over_both(|mut driver| {
        let garbage = server(|_, mut stream| {
            read_head(&mut stream);
            let _ = stream.write_all(&[0xfe; 4096]);
            linger(stream);
        });
        let fault = driver.fetch(&request(garbage, "/"), PATIENT_MS).unwrap_err();
        assert!(matches!(fault, FetchFault::Malformed(_)), "{fault}");
        let endless = server(|_, mut stream| {
            read_head(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
            while stream.write_all(b"X-Header: value of the header\r\n").is_ok() {}
        });
        let fault = driver.fetch(&request(endless, "/"), PATIENT_MS).unwrap_err();
        assert_eq!(fault, FetchFault::HeadTooLarge { bytes_max: 4096 });
        for head in ["", "Transfer-Encoding: chunked\r\n"] {
            let gigabyte = server(move |_, mut stream| {
                read_head(&mut stream);
                let _ = write!(stream, "HTTP/1.1 200 OK\r\n{head}\r\n");
                let piece = [b"10000\r\n".as_slice(), &[b'a'; 0x10000], b"\r\n"].concat();
                for _ in 0..(1 << 14) {
                    if stream.write_all(&piece).is_err() {
                        return;
                    }
                }
            });
            let fault = driver.fetch(&request(gigabyte, "/"), PATIENT_MS).unwrap_err();
            assert_eq!(fault, FetchFault::BodyTooLarge { bytes_max: BODY_MAX });
        }
        assert_eq!(driver.client.sizes(), (0, 0, 0));
    });
}

#[test]
fn bodies_cut_at_every_byte_are_noticed() {
    over_both(|mut driver| {
        for framing in ["Content-Length: 20\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"] {
            let body = if framing.starts_with('C') {
                "abcdefghij0123456789".to_owned()
            } else {
                "a\r\nabcdefghij\r\na\r\n0123456789\r\n0\r\n\r\n".to_owned()
            };
            let whole = format!("HTTP/1.1 200 OK\r\n{framing}{body}");
            let bytes = whole.len();
            let cut = Arc::new(AtomicUsize::new(0));
            let shared = Arc::clone(&cut);
            let address = server(move |_, mut stream| {
                read_head(&mut stream);
                let end = shared.load(Ordering::SeqCst);
                let _ = stream.write_all(&whole.as_bytes()[..end]);
            });
            for end in 0..=bytes {
                cut.store(end, Ordering::SeqCst);
                let outcome = driver.fetch(&request(address, "/"), PATIENT_MS);
                match end {
                    0 => assert_eq!(outcome, Err(FetchFault::Cause("EOF".to_owned()))),
                    _ if end == bytes => {
                        assert_eq!(outcome.unwrap().1, b"abcdefghij0123456789");
                    }
                    _ => assert_eq!(outcome, Err(FetchFault::Closed), "cut at {end} of {bytes}"),
                }
            }
        }
    });
}

/// Serves `bytes` to whoever asks, then waits for the client to go.
fn raw(bytes: Vec<u8>) -> std::net::SocketAddr {
    server(move |_, mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(&bytes);
        linger(stream);
    })
}

#[test]
fn what_lies_about_itself_is_told_and_troubles_nobody_else() {
    over_both(|mut driver| {
        let good = server(|_, stream| keep_answering(stream, "200 OK", b"good"));
        let bomb = {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&vec![0; 8 << 20]).unwrap();
            let body = encoder.finish().unwrap();
            let length = body.len();
            let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ";
            [format!("{head}{length}\r\n\r\n").into_bytes(), body].concat()
        };
        let head = "HTTP/1.1 200 OK\r\n";
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let flood = format!("{head}{}\r\n", "A: b\r\n".repeat(300));
        let cases: [(Vec<u8>, &str); 8] = [
            (bomb, "body size limit exceeded"),
            (format!("{chunked}5\r\nabcdefgh\r\n").into(), "chunk longer than its size"),
            (format!("{chunked}zz\r\n").into(), "invalid byte in chunk length"),
            (format!("{chunked}ffffffffffffffff\r\na").into(), "context deadline exceeded"),
            (flood.into(), "too many header fields"),
            (
                format!("{head}Content-Length: 2\r\nContent-Length: 3\r\n\r\nab").into(),
                "two different",
            ),
            (format!("{head}Content-Length: 2\r\n\r\nabc").into(), "bytes after the end"),
            (
                format!("{head}Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd").into(),
                "gzip: ",
            ),
        ];
        for (bytes, expected) in cases {
            let shown = driver.fetch(&request(raw(bytes), "/"), SHORT_MS);
            let shown = shown.unwrap_err().to_string();
            assert!(shown.contains(expected), "{shown}\n{expected}");
            assert_eq!(driver.fetch(&request(good, "/"), PATIENT_MS).unwrap().1, b"good");
        }
        assert_eq!(driver.links().reused, 7, "the good one kept its connection");
    });
}
