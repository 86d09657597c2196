//! The targets' HTTP server: one thread, one port, `/<behaviour>/<number>` a target.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::behaviour::Behaviour;
use crate::fleet::Fleet;

/// Longest request that is read; scrapers send a few hundred bytes.
const REQUEST_BYTES_MAX: usize = 8192;
const GIGABYTE: usize = 1 << 30;

/// A running server; its thread ends with the process.
pub(crate) struct Targets {
    /// Where it listens, on loopback.
    pub(crate) address: SocketAddr,
    served: Arc<AtomicU64>,
}

impl Targets {
    /// Starts a server of `fleet` on a free loopback port.
    pub(crate) fn start(fleet: Fleet) -> anyhow::Result<Targets> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("bind the targets")?;
        listener.set_nonblocking(true).context("prepare the targets' socket")?;
        let address = listener.local_addr().context("read the targets' address")?;
        let served = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&served);
        std::thread::spawn(move || serve(listener, fleet, &counter));
        Ok(Targets { address, served })
    }

    /// Healthy pages sent so far.
    pub(crate) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }
}

fn serve(listener: std::net::TcpListener, fleet: Fleet, served: &Arc<AtomicU64>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime without threads starts");
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener).expect("the socket is non-blocking");
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, fleet, Arc::clone(served)));
            }
        }
    });
}

async fn connection(mut stream: TcpStream, fleet: Fleet, served: Arc<AtomicU64>) {
    let _ = stream.set_nodelay(true);
    let mut request = Vec::new();
    let mut page = Vec::new();
    let mut answer = Vec::new();
    loop {
        let Some((behaviour, target)) = read_request(&mut stream, &mut request).await else {
            return;
        };
        page.clear();
        answer.clear();
        let keep = match behaviour {
            Behaviour::Healthy | Behaviour::Chunked => {
                fleet.page(target, now_ms(), &mut page);
                served.fetch_add(1, Ordering::Relaxed);
                healthy(behaviour == Behaviour::Chunked, &page, &mut answer);
                stream.write_all(&answer).await.is_ok()
            }
            hostile => {
                let _ = misbehave(&mut stream, hostile, target).await;
                false
            }
        };
        if !keep {
            return;
        }
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

async fn read_request(stream: &mut TcpStream, request: &mut Vec<u8>) -> Option<(Behaviour, u64)> {
    request.clear();
    while !request.ends_with(b"\r\n\r\n") {
        if REQUEST_BYTES_MAX < request.len() || stream.read_buf(request).await.ok()? == 0 {
            return None;
        }
    }
    let head = std::str::from_utf8(request).ok()?;
    let path = head.split(' ').nth(1)?;
    let (behaviour, target) = path.strip_prefix('/')?.split_once('/')?;
    Some((Behaviour::of_path(behaviour)?, target.parse().ok()?))
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n";

fn healthy(chunked: bool, page: &[u8], answer: &mut Vec<u8>) {
    answer.extend_from_slice(OK.as_bytes());
    if !chunked {
        answer.extend_from_slice(format!("Content-Length: {}\r\n\r\n", page.len()).as_bytes());
        answer.extend_from_slice(page);
        return;
    }
    answer.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
    for chunk in page.chunks(2048) {
        answer.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        answer.extend_from_slice(chunk);
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"0\r\n\r\n");
}

async fn misbehave(
    stream: &mut TcpStream,
    behaviour: Behaviour,
    target: u64,
) -> std::io::Result<()> {
    match behaviour {
        Behaviour::Healthy | Behaviour::Chunked => Ok(()),
        Behaviour::Slow => {
            let mut byte = [0];
            stream.read(&mut byte).await.map(|_| ())
        }
        Behaviour::Garbage => stream.write_all(&[0xfe, 0x01, 0x80, b'\n'].repeat(500)).await,
        Behaviour::Nonsense => send(stream, "", b"<html><body>login</body></html>\n").await,
        Behaviour::Gigabyte => gigabyte(stream).await,
        Behaviour::EndlessHeaders => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
            loop {
                stream.write_all(&b"X-More: and more\r\n".repeat(64)).await?;
            }
        }
        Behaviour::WrongEncoding => send(stream, "Content-Encoding: br\r\n", b"\x0b\x02\x80").await,
        Behaviour::BrokenGzip => {
            send(stream, "Content-Encoding: gzip\r\n", b"\x1f\x8b\x08 not really gzip").await
        }
        Behaviour::Drip => drip(stream).await,
        Behaviour::Failing => {
            let answer = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(answer).await
        }
        Behaviour::Cut => {
            let head = format!("{OK}Content-Length: 1000\r\n\r\nup 1\n");
            stream.write_all(head.as_bytes()).await
        }
        Behaviour::BadChunk => {
            let head = format!("{OK}Transfer-Encoding: chunked\r\n\r\nzz\r\nup 1\n\r\n");
            stream.write_all(head.as_bytes()).await
        }
        Behaviour::RedirectLoop => {
            let path = format!("/{}/{target}", behaviour.path());
            let head =
                format!("HTTP/1.1 302 Found\r\nLocation: {path}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).await
        }
    }
}

async fn send(stream: &mut TcpStream, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let head = format!("{OK}{headers}Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await
}

async fn gigabyte(stream: &mut TcpStream) -> std::io::Result<()> {
    let head = format!("{OK}Content-Length: {GIGABYTE}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let lines = b"bench_filler{a=\"b\"} 1\n".repeat(3000);
    for _ in 0..GIGABYTE / lines.len() {
        stream.write_all(&lines).await?;
    }
    Ok(())
}

async fn drip(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    for byte in OK.bytes().cycle() {
        interval.tick().await;
        stream.write_all(&[byte]).await?;
    }
    Ok(())
}
