//! The same tests over both reactors.

#![expect(clippy::disallowed_types, reason = "the machine opens files")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, socket_with};

use crate::block::Block;
use crate::clock;
use crate::fault::{Fault, Faults};
use crate::operation::{Completion, FileKey, Kind, Op, OpKey, Payload};
use crate::reactor::{IoKind, Reactor};
use crate::ring::{Flavor, Sizes};

const SIZES: Sizes = Sizes { entries: 8, ops_max: 512, files_max: 64 };
const PATIENCE_NANOS: u64 = 20_000_000_000;
const TURN_NANOS: u64 = 10_000_000;

/// Runs `test` over every reactor of this machine.
fn over_both(faults: &Faults, mut test: impl FnMut(Reactor)) {
    for kind in [IoKind::Ring, IoKind::Epoll] {
        for flavor in [Flavor::Shard, Flavor::Log] {
            match Reactor::new(kind, flavor, SIZES, faults.clone()) {
                Ok(reactor) => test(reactor),
                Err(cause) => {
                    assert_eq!(kind, IoKind::Ring, "epoll always works");
                    eprintln!("NOT TESTED over io_uring, which this kernel forbids: {cause}");
                }
            }
        }
    }
}

/// Turns until `count` operations have ended.
fn turn_until(reactor: &mut Reactor, count: usize) -> Vec<Completion> {
    let deadline = clock::tick() + PATIENCE_NANOS;
    let mut ended = Vec::new();
    while ended.len() < count {
        reactor.turn(TURN_NANOS, &mut ended).unwrap();
        assert!(clock::tick() < deadline, "{} of {count} operations ended", ended.len());
    }
    ended
}

fn one(reactor: &mut Reactor, op: Op) -> Completion {
    reactor.submit(op, 7).unwrap();
    let completion = turn_until(reactor, 1).remove(0);
    assert_eq!(completion.token, 7);
    completion
}

fn bytes(completion: Completion) -> Vec<u8> {
    match completion.payload {
        Payload::Bytes(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

fn connected(reactor: &mut Reactor) -> (FileKey, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let file = new_socket(reactor);
    let connect = Op::Connect { file, address: listener.local_addr().unwrap() };
    assert_eq!(one(reactor, connect).result, Ok(0));
    (file, listener.accept().unwrap().0)
}

fn new_socket(reactor: &mut Reactor) -> FileKey {
    let flags = reactor.socket_flags();
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
    reactor.attach(socket).unwrap()
}

fn recv(file: FileKey) -> Op {
    Op::Recv { file, bytes: Vec::with_capacity(64) }
}

fn send(file: FileKey, text: &str) -> Op {
    Op::Send { file, bytes: text.as_bytes().to_vec(), from: 0 }
}

fn log_file(reactor: &mut Reactor) -> (FileKey, std::os::fd::OwnedFd) {
    let file = tempfile::tempfile().unwrap();
    let kept = OwnedFd::from(file.try_clone().unwrap());
    (reactor.attach(OwnedFd::from(file)).unwrap(), kept)
}

fn commit(file: FileKey, fill: u8, bytes: usize) -> Vec<(Op, u64)> {
    let mut block = Block::new(bytes, 512);
    block.as_mut_slice().fill(fill);
    let write = Op::Write { file, block, from: 0, until: bytes, offset: 0 };
    vec![(write, 1), (Op::Sync { file }, 2)]
}

fn results(completions: &[Completion]) -> Vec<(u64, Result<usize, Errno>)> {
    let mut results: Vec<_> = completions.iter().map(|c| (c.token, c.result)).collect();
    results.sort_by_key(|(token, _)| *token);
    results
}

#[test]
fn bytes_go_and_come() {
    over_both(&Faults::default(), |mut reactor| {
        let (file, mut peer) = connected(&mut reactor);
        reactor.submit(recv(file), 1).unwrap();
        reactor.submit(send(file, "hello"), 2).unwrap();
        let mut seen = [0; 5];
        assert_eq!(turn_until(&mut reactor, 1)[0].result, Ok(5));
        peer.read_exact(&mut seen).unwrap();
        peer.write_all(&seen).unwrap();
        assert_eq!(bytes(turn_until(&mut reactor, 1).remove(0)), b"hello");
        for text in ["one", "two"] {
            peer.write_all(text.as_bytes()).unwrap();
            assert_eq!(bytes(one(&mut reactor, recv(file))), text.as_bytes());
        }
        peer.write_all(b"last").unwrap();
        drop(peer);
        assert_eq!(bytes(one(&mut reactor, recv(file))), b"last");
        assert_eq!(one(&mut reactor, recv(file)).result, Ok(0));
    });
}

#[test]
fn more_than_the_buffer_comes_in_pieces() {
    over_both(&Faults::default(), |mut reactor| {
        let (file, mut peer) = connected(&mut reactor);
        peer.write_all(&[b'x'; 1000]).unwrap();
        drop(peer);
        let mut seen = 0;
        loop {
            let part = bytes(one(&mut reactor, recv(file)));
            assert!(part.iter().all(|byte| *byte == b'x'));
            seen += part.len();
            if part.is_empty() {
                break;
            }
        }
        assert_eq!(seen, 1000);
    });
}

#[test]
fn a_refused_connection_says_so() {
    over_both(&Faults::default(), |mut reactor| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        drop(listener);
        let file = new_socket(&mut reactor);
        let completion = one(&mut reactor, Op::Connect { file, address });
        assert_eq!(completion.result, Err(Errno::CONNREFUSED));
    });
}

#[test]
fn r1_a_cancelled_receive_swallows_nothing() {
    over_both(&Faults::default(), |mut reactor| {
        let (file, mut peer) = connected(&mut reactor);
        let op = reactor.submit(recv(file), 1).unwrap();
        reactor.turn(0, &mut Vec::new()).unwrap();
        reactor.cancel(op);
        let ended = turn_until(&mut reactor, 1).remove(0);
        assert_eq!((ended.result, ended.op), (Err(Errno::CANCELED), op));
        assert_eq!(bytes(ended).capacity(), 64, "R1: the buffer comes back");
        peer.write_all(b"HELLO").unwrap();
        assert_eq!(bytes(one(&mut reactor, recv(file))), b"HELLO");
        reactor.cancel(op);
        assert_eq!(reactor.in_flight(), 0);
    });
}

#[test]
fn cancel_at_every_point_gives_one_completion() {
    over_both(&Faults::default(), |mut reactor| {
        for turns in 0..3 {
            let (file, mut peer) = connected(&mut reactor);
            let ops: Vec<OpKey> = [recv(file), send(file, "x")]
                .into_iter()
                .map(|op| reactor.submit(op, 1).unwrap())
                .collect();
            let mut ended = Vec::new();
            for _ in 0..turns {
                reactor.turn(0, &mut ended).unwrap();
            }
            peer.write_all(b"y").unwrap();
            ops.iter().for_each(|op| reactor.cancel(*op));
            ended.extend(turn_until(&mut reactor, 2 - ended.len()));
            assert_eq!((ended.len(), reactor.in_flight()), (2, 0));
            reactor.close(file);
        }
    });
}

#[test]
fn a_dropped_reactor_ends_what_is_in_flight() {
    over_both(&Faults::default(), |mut reactor| {
        let (file, peer) = connected(&mut reactor);
        reactor.submit(recv(file), 1).unwrap();
        let (log, _) = log_file(&mut reactor);
        reactor.chain(commit(log, 1, 4096)).unwrap();
        reactor.turn(0, &mut Vec::new()).unwrap();
        drop(reactor);
        drop(peer);
    });
}

#[test]
fn r3_a_closed_file_ends_its_operations_and_its_key() {
    over_both(&Faults::default(), |mut reactor| {
        let (file, _peer) = connected(&mut reactor);
        reactor.submit(recv(file), 1).unwrap();
        reactor.close(file);
        let (next, mut next_peer) = {
            let ended = turn_until(&mut reactor, 1).remove(0);
            assert!(matches!(ended.result, Ok(0) | Err(_)), "{ended:?}");
            connected(&mut reactor)
        };
        let refused = reactor.submit(recv(file), 2).unwrap_err();
        assert_eq!((refused.cause, refused.payloads.len()), (Errno::BADF, 1));
        next_peer.write_all(b"z").unwrap();
        assert_eq!(bytes(one(&mut reactor, recv(next))), b"z", "R3: the place has a new tenant");
    });
}

#[test]
fn e1_a_second_receive_on_a_socket_waits_or_is_refused() {
    over_both(&Faults::default(), |mut reactor| {
        let (file, mut peer) = connected(&mut reactor);
        reactor.submit(recv(file), 1).unwrap();
        match (&reactor, reactor.in_flight()) {
            (Reactor::Epoll(_), 1) => {
                let refused = reactor.submit(recv(file), 2).unwrap_err();
                assert_eq!(refused.cause, Errno::BUSY, "E1: one operation a direction");
            }
            (Reactor::Ring(_), 1) => {}
            other => panic!("{} in flight", other.1),
        }
        peer.write_all(b"a").unwrap();
        assert_eq!(turn_until(&mut reactor, 1)[0].token, 1);
    });
}

#[test]
fn more_operations_than_submission_entries() {
    over_both(&Faults::default(), |mut reactor| {
        let (log, kept) = log_file(&mut reactor);
        for at in 0..100_u64 {
            let mut block = Block::new(512, 512);
            block.as_mut_slice().fill(u8::try_from(at).unwrap());
            let write = Op::Write { file: log, block, from: 0, until: 512, offset: at * 512 };
            reactor.submit(write, at).unwrap();
        }
        let ended = turn_until(&mut reactor, 100);
        assert!(ended.iter().all(|completion| completion.result == Ok(512)));
        let file = std::os::fd::AsFd::as_fd(&kept);
        let mut seen = [0; 1];
        assert_eq!(rustix::io::pread(file, &mut seen, 99 * 512), Ok(1));
        assert_eq!(seen, [99]);
    });
}

#[test]
fn the_table_of_operations_is_bounded() {
    over_both(&Faults::default(), |mut reactor| {
        let (file, _peer) = connected(&mut reactor);
        let mut taken = 0;
        reactor.submit(recv(file), 0).unwrap();
        let (log, _) = log_file(&mut reactor);
        while reactor.in_flight() < SIZES.ops_max {
            reactor.submit(Op::Sync { file: log }, 0).unwrap();
            taken += 1;
        }
        let refused = reactor.submit(Op::Sync { file: log }, 0).unwrap_err();
        assert_eq!(refused.cause, Errno::BUSY);
        assert_eq!(turn_until(&mut reactor, taken).len(), taken);
    });
}

#[test]
fn r2_a_chain_is_never_split_by_a_full_queue() {
    // With the queue filled to any degree, the sync must not run when the write failed.
    for filled in 0..=8 {
        let faults = Faults::new(|kind, token| match (kind, token) {
            (Kind::Write, 1) => Fault::Error(Errno::IO),
            _ => Fault::None,
        });
        over_both(&faults, |mut reactor| {
            let (log, _) = log_file(&mut reactor);
            for _ in 0..filled {
                reactor.submit(Op::Sync { file: log }, 0).unwrap();
            }
            reactor.chain(commit(log, 1, 512)).unwrap();
            let ended = turn_until(&mut reactor, filled + 2);
            let chain = &results(&ended)[filled..];
            let expected = [(1, Err(Errno::IO)), (2, Err(Errno::CANCELED))];
            assert_eq!(chain, expected, "R2: {filled} entries were waiting");
        });
    }
}

#[test]
fn chains_run_in_order_and_break() {
    let fault = Arc::new(AtomicUsize::new(0));
    let shared = Arc::clone(&fault);
    let faults = Faults::new(move |kind, _| match (shared.load(Ordering::SeqCst), kind) {
        (1, Kind::Write) => Fault::Error(Errno::NOSPC),
        (2, Kind::Write) => Fault::Short(512),
        (3, Kind::Sync) => Fault::Error(Errno::IO),
        _ => Fault::None,
    });
    let expected: [[(u64, Result<usize, Errno>); 2]; 4] = [
        [(1, Ok(4096)), (2, Ok(0))],
        [(1, Err(Errno::NOSPC)), (2, Err(Errno::CANCELED))],
        [(1, Ok(512)), (2, Err(Errno::CANCELED))],
        [(1, Ok(4096)), (2, Err(Errno::IO))],
    ];
    over_both(&faults, |mut reactor| {
        for (at, expected) in expected.iter().enumerate() {
            fault.store(at, Ordering::SeqCst);
            let (log, kept) = log_file(&mut reactor);
            reactor.chain(commit(log, 9, 4096)).unwrap();
            let ended = turn_until(&mut reactor, 2);
            assert_eq!(results(&ended), expected, "fault {at}");
            let written = std::fs::File::from(kept).metadata().unwrap().len();
            assert_eq!(written, ended_bytes(&ended), "fault {at}");
        }
    });
}

fn ended_bytes(ended: &[Completion]) -> u64 {
    let write = ended.iter().find(|completion| completion.kind == Kind::Write);
    write.and_then(|completion| completion.result.ok()).unwrap_or(0) as u64
}

#[test]
fn registered_buffers_write_what_they_hold() {
    match Reactor::new(IoKind::Ring, Flavor::Log, SIZES, Faults::default()) {
        Ok(Reactor::Ring(mut ring)) => {
            let mut blocks = vec![Block::new(4096, 4096), Block::new(4096, 4096)];
            if let Err(cause) = ring.register(&mut blocks) {
                eprintln!("NOT TESTED: registered buffers, which this kernel forbids: {cause}");
                return;
            }
            let mut reactor = Reactor::Ring(ring);
            let (log, kept) = log_file(&mut reactor);
            for (at, mut block) in blocks.into_iter().enumerate() {
                block.as_mut_slice().fill(u8::try_from(at + 1).unwrap());
                let offset = at as u64 * 4096;
                let write = Op::Write { file: log, block, from: 0, until: 4096, offset };
                assert_eq!(one(&mut reactor, write).result, Ok(4096));
            }
            let mut seen = vec![0; 8192];
            std::fs::File::from(kept).read_exact_at(&mut seen, 0).unwrap();
            assert_eq!((seen[0], seen[4095], seen[4096], seen[8191]), (1, 1, 2, 2));
        }
        Ok(Reactor::Epoll(_)) => unreachable!("asked for a ring"),
        Err(cause) => eprintln!("NOT TESTED over io_uring, which this kernel forbids: {cause}"),
    }
}

#[test]
fn socket_faults_are_seen() {
    let faults = Faults::new(|kind, token| match (kind, token) {
        (Kind::Recv, 1) => Fault::Short(2),
        (Kind::Recv, 2) => Fault::Error(Errno::CONNRESET),
        (Kind::Send, 3) => Fault::Short(1),
        _ => Fault::None,
    });
    over_both(&faults, |mut reactor| {
        let (file, mut peer) = connected(&mut reactor);
        peer.write_all(b"abcd").unwrap();
        reactor.submit(recv(file), 1).unwrap();
        assert_eq!(bytes(turn_until(&mut reactor, 1).remove(0)), b"ab");
        reactor.submit(recv(file), 2).unwrap();
        assert_eq!(turn_until(&mut reactor, 1)[0].result, Err(Errno::CONNRESET));
        reactor.submit(send(file, "xyz"), 3).unwrap();
        assert_eq!(turn_until(&mut reactor, 1)[0].result, Ok(1));
    });
}

#[test]
fn a_stalled_operation_waits_and_goes_on() {
    let stalled = Arc::new(AtomicBool::new(true));
    let shared = Arc::clone(&stalled);
    let faults = Faults::new(move |kind, _| {
        let hold = kind == Kind::Sync && shared.load(Ordering::SeqCst);
        if hold { Fault::Hold } else { Fault::None }
    });
    over_both(&faults, |mut reactor| {
        stalled.store(true, Ordering::SeqCst);
        let (log, _) = log_file(&mut reactor);
        reactor.chain(commit(log, 1, 512)).unwrap();
        let mut ended = Vec::new();
        for _ in 0..3 {
            reactor.turn(TURN_NANOS, &mut ended).unwrap();
        }
        assert_eq!((ended.len(), reactor.in_flight()), (0, 2));
        stalled.store(false, Ordering::SeqCst);
        assert_eq!(results(&turn_until(&mut reactor, 2)), [(1, Ok(512)), (2, Ok(0))]);
        stalled.store(true, Ordering::SeqCst);
        let keys = reactor.chain(commit(log, 1, 512)).unwrap();
        reactor.cancel(keys[0]);
        let canceled = Err(Errno::CANCELED);
        assert_eq!(results(&turn_until(&mut reactor, 2)), [(1, canceled), (2, canceled)]);
    });
}

#[test]
fn another_thread_ends_the_wait() {
    over_both(&Faults::default(), |mut reactor| {
        for _ in 0..100 {
            let waker = reactor.waker();
            let flag = Arc::new(AtomicBool::new(false));
            let seen = Arc::clone(&flag);
            let thread = std::thread::spawn(move || {
                flag.store(true, Ordering::SeqCst);
                waker.wake();
            });
            let began = clock::tick();
            while !seen.load(Ordering::SeqCst) {
                reactor.turn(PATIENCE_NANOS, &mut Vec::new()).unwrap();
            }
            assert!(clock::tick().since(began) < PATIENCE_NANOS, "the wake-up came");
            thread.join().unwrap();
            // The wake-up itself may still be on its way: it must end one wait at most.
            reactor.turn(0, &mut Vec::new()).unwrap();
        }
    });
}
