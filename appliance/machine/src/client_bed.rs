//! Bed: a client over either reactor, and local servers, for tests.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use scrape::fetch::{Fetch, FetchFault, FetchRequest};
use scrape::http_options::{Authorization, HttpOptions, Text};
use scrape::target::{Scheme, TargetId};
use storage::row::Slot;

use crate::access;
use crate::client::{Client, Counters, connections};
use crate::clock;
use crate::fault::Faults;
use crate::mailbox::{Bounds, Done, Mailbox, mailbox};
use crate::own::Own;
use crate::reactor::{IoKind, Reactor};
use crate::resolve;
use crate::ring::{Flavor, Sizes};

const SIZES: Sizes = Sizes { entries: 32, ops_max: 512, files_max: 64 };
pub(crate) const PATIENT_MS: u64 = 20_000;
pub(crate) const SHORT_MS: u64 = 150;
pub(crate) const BODY_MAX: u64 = 1 << 20;

pub(crate) type Outcome = Result<(u16, Vec<u8>), FetchFault>;

pub(crate) struct Driver {
    pub(crate) reactor: Reactor,
    pub(crate) client: Client,
    pub(crate) mailbox: Mailbox,
}

impl Driver {
    pub(crate) fn new(kind: IoKind, connections_max: usize) -> Option<Driver> {
        let reactor = match Reactor::new(kind, Flavor::Shard, SIZES, Faults::default()) {
            Ok(reactor) => reactor,
            Err(cause) => {
                assert_eq!(kind, IoKind::Ring, "epoll always works");
                eprintln!("NOT TESTED over io_uring, which this kernel forbids: {cause}");
                return None;
            }
        };
        let bounds = Bounds { questions_max: 8, done_max: 8 };
        let (mailbox, postbox) = mailbox(reactor.waker(), bounds);
        let (resolver, _, _) = resolve::start().unwrap();
        let (office, _, _) = access::start(Own::default()).unwrap();
        let client = Client::new(connections_max, 1 << 22, resolver, office, postbox);
        Some(Driver { reactor, client, mailbox })
    }

    pub(crate) fn start(&mut self, request: &Arc<FetchRequest>, deadline_ms: u64) {
        let now = clock::now();
        let deadline = now.tick.after_ms(deadline_ms);
        let request = Arc::clone(request);
        let fetch = Fetch { target: TargetId(0), slot: Slot(0), deadline, request };
        self.client.start(now, fetch, &mut self.reactor);
    }

    /// Turns until a fetch has ended.
    pub(crate) fn end(&mut self) -> Outcome {
        let patience = clock::tick().after_ms(2 * PATIENT_MS);
        loop {
            if let Some(ended) = self.client.take_ended() {
                return ended.outcome.map(|response| {
                    let fetched = response.fetched();
                    let seen = (fetched.status, fetched.body.to_vec());
                    self.client.recycle(response);
                    seen
                });
            }
            let now = clock::tick();
            assert!(now < patience, "C1: a fetch ends at its deadline");
            let wait = self.client.next_deadline().map_or(1 << 30, |tick| tick.since(now));
            let mut completions = Vec::new();
            self.reactor.turn(wait, &mut completions).unwrap();
            let now = clock::now();
            for completion in completions {
                self.client.on_completion(now, completion, &mut self.reactor);
            }
            while let Some(done) = self.mailbox.take_done() {
                match done {
                    Done::Resolved { name, addresses } => {
                        self.client.on_resolved(now, name, addresses, &mut self.reactor);
                    }
                    Done::Prepared(prepared) => {
                        self.client.on_prepared(now, &prepared, &mut self.reactor);
                    }
                    Done::Elsewhere { token, outcome } => {
                        self.client.on_elsewhere(now, token, outcome, &mut self.reactor);
                    }
                    Done::Storage(event) => panic!("{event:?}"),
                }
            }
            self.client.expire(now, &mut self.reactor);
        }
    }

    pub(crate) fn fetch(&mut self, request: &Arc<FetchRequest>, deadline_ms: u64) -> Outcome {
        self.start(request, deadline_ms);
        self.end()
    }

    pub(crate) fn links(&self) -> connections::Counters {
        self.client.connections().counters()
    }

    pub(crate) fn counters(&self) -> Counters {
        self.client.counters()
    }
}

pub(crate) fn over_both(mut test: impl FnMut(Driver)) {
    for kind in [IoKind::Ring, IoKind::Epoll] {
        Driver::new(kind, 16).into_iter().for_each(&mut test);
    }
}

/// Options with a credential.
pub(crate) fn options() -> HttpOptions {
    let (name, credentials) = ("Bearer".to_owned(), Text::inline("secret"));
    let authorization = Some(Authorization::Scheme { name, credentials });
    HttpOptions { authorization, ..HttpOptions::default() }
}

pub(crate) fn request(address: SocketAddr, path: &str) -> Arc<FetchRequest> {
    Arc::new(FetchRequest {
        scheme: Scheme::Http,
        host: address.ip().to_string(),
        port: address.port(),
        authority: address.to_string(),
        path_and_query: path.to_owned(),
        headers: vec![("Accept".to_owned(), "text/plain".to_owned())],
        body_bytes_max: BODY_MAX,
        head_bytes_max: 4096,
        redirects_max: 3,
        http: HttpOptions::default().shared(),
        socket: None,
    })
}

/// Serves every connection on a thread of its own; `serve` gets the number of the connection.
pub(crate) fn server(serve: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let serve = Arc::clone(&serve);
            let Ok(stream) = stream else { return };
            thread::spawn(move || serve(number, stream));
        }
    });
    address
}

/// The head of the next request, "" at the end of the connection.
pub(crate) fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0; 1];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return String::new(),
        }
    }
    String::from_utf8(head).unwrap()
}

pub(crate) fn answer(stream: &mut TcpStream, head: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len());
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
}

/// Answers each request of a connection.
pub(crate) fn keep_answering(mut stream: TcpStream, head: &str, body: &[u8]) {
    while !read_head(&mut stream).is_empty() {
        answer(&mut stream, head, body);
    }
}

/// Waits until the client has gone.
pub(crate) fn linger(mut stream: TcpStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}
