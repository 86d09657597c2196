//! Process: the whole server on threads of this process, for suites that ask it over HTTP.
//!
//! Never: an address but loopback, a directory that stays.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use server::flags::{Task, parse};

/// Longest silence of the server.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How often a condition is looked at, and how many times.
const LOOK: Duration = Duration::from_millis(50);
const LOOKS_MAX: usize = 1200;

/// A running server.
pub struct Process {
    address: SocketAddr,
    /// Its files; they go with it.
    _directory: tempfile::TempDir,
    thread: Option<JoinHandle<Result<()>>>,
}

/// An answer of a server.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Value of Content-Type without parameters.
    pub content_type: String,
    /// The head, in small letters.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Process {
    /// Starts a server with the configuration that `config` makes of its address, and waits until
    /// it is ready.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(config: impl Fn(SocketAddr) -> String, flags: &[&str]) -> Result<Process> {
        let directory = tempfile::tempdir().context("make a directory")?;
        // The port is free until somebody else takes it in the meantime.
        let free = TcpListener::bind("127.0.0.1:0").context("bind")?;
        let address = free.local_addr().context("read the address")?;
        drop(free);
        let file = directory.path().join("prometheus.yml");
        std::fs::write(&file, config(address)).context("write the configuration")?;
        let mut arguments = vec![
            "cresset".to_owned(),
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", directory.path().join("data").display()),
            format!("--web.listen-address={address}"),
            "--web.enable-lifecycle".to_owned(),
        ];
        arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let Ok(Task::Run(flags)) = parse(arguments) else { bail!("flags of a server") };
        let thread = std::thread::spawn(move || server::boot::run(&flags));
        let process = Process { address, _directory: directory, thread: Some(thread) };
        process.wait_for("ready", |process| {
            Ok(process.get("/-/ready").is_ok_and(|response| response.status == 200))
        })?;
        Ok(process)
    }

    /// Waits until `is_so`.
    ///
    /// # Errors
    /// It is not in a minute, or cannot be seen.
    pub fn wait_for(&self, what: &str, is_so: impl Fn(&Process) -> Result<bool>) -> Result<()> {
        for _ in 0..LOOKS_MAX {
            if is_so(self)? {
                return Ok(());
            }
            if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                bail!("the server ended while it was to be {what}");
            }
            std::thread::park_timeout(LOOK);
        }
        bail!("{what}: not within a minute")
    }

    /// The answer to a GET.
    ///
    /// # Errors
    /// There is none.
    pub fn get(&self, path: &str) -> Result<Response> {
        self.ask("GET", path, &[], b"")
    }

    /// The answer to a request.
    ///
    /// # Errors
    /// There is none.
    pub fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response> {
        let mut stream = self.send(method, path, headers, body)?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).context("read the answer")?;
        response(&bytes)
    }

    /// The head of the answer to a GET whose body does not end.
    ///
    /// # Errors
    /// There is none.
    pub fn head_of_stream(&self, path: &str) -> Result<Response> {
        let mut stream = self.send("GET", path, &[], b"")?;
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).context("read the head")?;
            bytes.push(byte[0]);
        }
        response(&bytes)
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(self.address).context("connect")?;
        stream.set_read_timeout(Some(SILENCE_MAX)).context("set a deadline")?;
        // Without chunks and without a connection that stays.
        let mut head = format!("{method} {path} HTTP/1.0\r\nHost: {}\r\n", self.address);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        stream.write_all(head.as_bytes()).context("send the head")?;
        stream.write_all(body).context("send the body")?;
        Ok(stream)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A server that ended already is what was wanted.
        let _ = self.ask("POST", "/-/quit", &[], b"");
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn response(bytes: &[u8]) -> Result<Response> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| anyhow!("no head: {text}"))?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let head = head.to_ascii_lowercase();
    let content_type = head.lines().find_map(|line| line.strip_prefix("content-type: "));
    let content_type = content_type.and_then(|value| value.split(';').next()).unwrap_or("");
    Ok(Response {
        status: status.ok_or_else(|| anyhow!("no status: {head}"))?,
        content_type: content_type.trim().to_owned(),
        head,
        body: body.to_owned(),
    })
}
