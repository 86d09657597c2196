//! A running server, as the tests of the whole process start, ask and end it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use model::time::Tick;
use rustix::process::{Pid, Signal, kill_process};

/// Longest wait for anything.
pub(crate) const DEADLINE_MS: u64 = 60_000;
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(50);

pub(crate) fn deadline() -> Tick {
    machine::clock::tick().after_ms(DEADLINE_MS)
}

/// Calls `attempt` until it gives something; fails the test after the deadline.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let deadline = deadline();
    loop {
        match attempt() {
            Ok(found) => return found,
            Err(last) if deadline <= machine::clock::tick() => {
                panic!("{what}: not within {DEADLINE_MS} ms; last: {last}")
            }
            Err(_) => std::thread::park_timeout(LOOK),
        }
    }
}

/// Status and body of a request; one connection a request.
pub(crate) fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
) -> Result<(u16, String), String> {
    let text = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(address).map_err(text)?;
    stream.set_read_timeout(Some(Duration::from_millis(DEADLINE_MS))).map_err(text)?;
    let head = format!("{method} {path} HTTP/1.0\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(head.as_bytes()).map_err(text)?;
    let mut response = String::new();
    stream.read_to_string(&mut response).map_err(text)?;
    let (head, body) = response.split_once("\r\n\r\n").ok_or("no head")?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok((status.ok_or("no status")?, body.to_owned()))
}

/// A running server.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    /// Lines of its log.
    pub(crate) lines: Receiver<String>,
}

impl Server {
    /// Starts the binary in `directory` and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(directory: &Path, arguments: &[&str]) -> Server {
        Server::spawn(&mut command(directory, arguments))
    }

    #[track_caller]
    pub(crate) fn spawn(command: &mut Command) -> Server {
        let server = Server::listening(command);
        wait_for("ready", || match server.get("/-/ready") {
            Ok((200, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        });
        server
    }

    /// Starts the binary and waits until it says where it listens.
    #[track_caller]
    pub(crate) fn listening(command: &mut Command) -> Server {
        let mut child = command.spawn().expect("start the binary");
        let stderr = child.stderr.take().expect("stderr is piped");
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                eprintln!("| {line}");
                // The test may be over.
                let _ = sender.send(line);
            }
        });
        let listening = line_with(&lines, "listening address=");
        let address = listening.split_once("address=").expect("a line with an address").1;
        Server { child, address: address.parse().expect("an address"), lines }
    }

    /// Status and body of a request.
    pub(crate) fn request(&self, method: &str, path: &str) -> Result<(u16, String), String> {
        request(self.address, method, path)
    }

    pub(crate) fn get(&self, path: &str) -> Result<(u16, String), String> {
        self.request("GET", path)
    }

    /// The values of an instant query, in order of the answer.
    pub(crate) fn values(&self, query: &str) -> Result<Vec<f64>, String> {
        let query: String = query
            .bytes()
            .map(|byte| match byte {
                b if b.is_ascii_alphanumeric() || b == b'_' => char::from(b).to_string(),
                b => format!("%{b:02x}"),
            })
            .collect();
        let (status, body) = self.get(&format!("/api/v1/query?query={query}"))?;
        let json: serde_json::Value =
            serde_json::from_str(&body).map_err(|error| format!("{status} {body}: {error}"))?;
        let result = json["data"]["result"].as_array().ok_or(format!("{status} {body}"))?;
        let value = |sample: &serde_json::Value| sample["value"][1].as_str()?.parse().ok();
        result.iter().map(|sample| value(sample).ok_or(body.clone())).collect()
    }

    /// Waits until the first value of `query` fulfils `is_enough`.
    #[track_caller]
    pub(crate) fn wait_for_value(&self, query: &str, is_enough: impl Fn(f64) -> bool) -> f64 {
        wait_for(query, || match self.values(query) {
            Ok(values) if values.first().is_some_and(|value| is_enough(*value)) => Ok(values[0]),
            other => Err(format!("{other:?}")),
        })
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, signal).expect("the process is there");
    }

    #[track_caller]
    pub(crate) fn end(mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        wait_for("exit", || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}")),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended already is no fault.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The next line of a log that holds `part`.
#[track_caller]
pub(crate) fn line_with(lines: &Receiver<String>, part: &str) -> String {
    loop {
        let line = lines.recv_timeout(Duration::from_millis(DEADLINE_MS));
        let line = line.unwrap_or_else(|error| panic!("no line with {part:?}: {error}"));
        if line.contains(part) {
            return line;
        }
    }
}

pub(crate) fn command(directory: &Path, arguments: &[&str]) -> Command {
    let io = std::env::var("CRESSET_TEST_IO").unwrap_or_else(|_| "auto".to_owned());
    let mut command = Command::new(env!("CARGO_BIN_EXE_cresset"));
    command
        .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
        .arg(format!("--io={io}"))
        .arg("--web.listen-address=127.0.0.1:0")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}
