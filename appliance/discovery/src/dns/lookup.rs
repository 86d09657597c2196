//! Lookup: asks servers for the records of a name, over UDP and, where that is too small, TCP.
//!
//! Source: Prometheus's `lookupWithSearchPath`: the first name that exists answers; a name does
//! not exist when every server that answers says so; otherwise nothing is known.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::dns::message::{ANSWER_BYTES_MAX, Answer, Kind, Record, answer, question};
use crate::dns::system::System;

/// Time for one exchange with one server: upstream's.
const EXCHANGE_MAX: Duration = Duration::from_secs(2);
const CODE_SUCCESS: u16 = 0;
const CODE_NO_NAME: u16 = 3;

/// The records of `kind` that `name` has; none when it does not exist.
///
/// # Errors
/// No server gave an answer that settles it.
pub async fn lookup(system: &System, name: &str, kind: Kind) -> Result<Vec<Record>, String> {
    let mut fault = None;
    for full_name in system.names(name) {
        match ask_any(system, &full_name, kind).await {
            Ok(Answer { code: CODE_SUCCESS, records, .. }) => return Ok(records),
            Ok(_) => {}
            Err(reason) => {
                fault.get_or_insert(reason);
            }
        }
    }
    fault.map_or_else(|| Ok(Vec::new()), Err)
}

/// The first answer that says whether the name exists.
async fn ask_any(system: &System, name: &str, kind: Kind) -> Result<Answer, String> {
    let mut faults = Vec::new();
    for server in &system.servers {
        let asked = timeout(EXCHANGE_MAX, ask(*server, name, kind)).await;
        let late = || io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
        match asked.unwrap_or_else(|_| Err(late())) {
            Ok(answer) if matches!(answer.code, CODE_SUCCESS | CODE_NO_NAME) => return Ok(answer),
            Ok(answer) => faults.push(format!("{server}: response code {}", answer.code)),
            Err(error) => faults.push(format!("{server}: {error}")),
        }
    }
    Err(format!("could not resolve {name}: {}", faults.join(", ")))
}

async fn ask(server: SocketAddr, name: &str, kind: Kind) -> io::Result<Answer> {
    let found = ask_udp(server, name, kind).await?;
    if found.is_truncated { ask_tcp(server, name, kind).await } else { Ok(found) }
}

async fn ask_udp(server: SocketAddr, name: &str, kind: Kind) -> io::Result<Answer> {
    // A port of its own and an id by chance: who cannot see the question cannot answer it.
    let own: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(own).await?;
    socket.connect(server).await?;
    let id = chance();
    let bytes = question(id, name, kind, true).map_err(invalid)?;
    socket.send(&bytes).await?;
    let mut buffer = vec![0; usize::from(ANSWER_BYTES_MAX)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if let Some(answer) = answer(&buffer[..length], id, name, kind) {
            return Ok(answer);
        }
    }
}

async fn ask_tcp(server: SocketAddr, name: &str, kind: Kind) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(server).await?;
    let id = chance();
    let bytes = question(id, name, kind, false).map_err(invalid)?;
    let length = u16::try_from(bytes.len()).map_err(|_| invalid("too long".to_owned()))?;
    stream.write_all(&[&length.to_be_bytes(), bytes.as_slice()].concat()).await?;
    let mut buffer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut buffer).await?;
    let found = answer(&buffer, id, name, kind);
    let found = found.filter(|answer| !answer.is_truncated);
    found.ok_or_else(|| invalid("an answer that cannot be read".to_owned()))
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// A number that nobody can tell in advance: the hash of nothing under keys by chance.
fn chance() -> u16 {
    let hash = RandomState::new().build_hasher().finish();
    let [low, high, ..] = hash.to_le_bytes();
    u16::from_le_bytes([low, high])
}
