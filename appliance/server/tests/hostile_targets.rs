//! Targets that lie: each gives `up 0` and a `lastError` that says what is wrong, of the real
//! binary, and none troubles the others.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

use rustix::process::Signal;

use crate::server::{Server, command, line_with, wait_for};

#[path = "process/server.rs"]
mod server;

/// A good answer; cut short it is a bad one.
const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\n\
                    a 1\nbb 2222\n";
const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A zipped body of zeros, far beyond the job's limit.
fn bomb() -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&vec![0; 8 << 20]).expect("memory takes it");
    let body = encoder.finish().expect("memory takes it");
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\n";
    let head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
    [head.into_bytes(), body].concat()
}

/// What is answered to a request for `path`.
fn answer(path: &str) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\n";
    match path.split('/').collect::<Vec<_>>()[..] {
        ["", "cut", end] => GOOD.as_bytes()[..end.parse().expect("a number")].to_vec(),
        ["", "chunk-longer"] => format!("{CHUNKED}3\r\na 1 and more\r\n0\r\n\r\n").into(),
        ["", "chunk-endless"] => format!("{CHUNKED}ffffffffffffffff\r\na 1\n").into(),
        ["", "chunk-none"] => format!("{CHUNKED}zz\r\na 1\n\r\n").into(),
        ["", "bomb"] => bomb(),
        ["", "flood"] => format!("{head}{}\r\n", "X-More: and more\r\n".repeat(10_000)).into(),
        ["", "loop"] => {
            format!("HTTP/1.1 302 Found\r\nLocation: {path}\r\nContent-Length: 0\r\n\r\n").into()
        }
        _ => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
    }
}

/// Answers a request a connection and closes it; an endless one is left open.
fn serve(mut stream: TcpStream) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    // The client may have seen enough.
    let _ = stream.write_all(&answer(path));
    if path == "/chunk-endless" {
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

fn liar() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Writes certificate and key of `name`, for `names`, until the end of `year`.
fn certificate(
    directory: &Path,
    name: &str,
    names: &[&str],
    year: i32,
    by: &CertifiedIssuer<'static, KeyPair>,
) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(names).expect("names");
    parameters.not_before = date_time_ymd(2001, 1, 1);
    parameters.not_after = date_time_ymd(year, 12, 31);
    let key = KeyPair::generate().expect("a key");
    let signed = parameters.signed_by(&key, by).expect("a certificate");
    let write = |end: &str, text: String| {
        std::fs::write(directory.join(format!("{name}.{end}")), text).expect("write");
    };
    write("pem", signed.pem());
    write("key", key.serialize_pem());
}

/// A server over TLS with this certificate.
fn tls_target(directory: &Path, name: &str, more: &str) -> Server {
    let own = directory.join(format!("of-{name}"));
    std::fs::create_dir(&own).expect("make a directory");
    let certificate = |end: &str| directory.join(format!("{name}.{end}")).display().to_string();
    let (pem, key) = (certificate("pem"), certificate("key"));
    let text = format!("tls_server_config: {{cert_file: {pem}, key_file: {key}{more}}}");
    let file = own.join("web.yml");
    std::fs::write(&file, text).expect("write");
    let flag = format!("--web.config.file={}", file.display());
    Server::listening(&mut command(&own, &[&flag]))
}

/// `up` and `lastError` of the target with this label `case`.
fn state(server: &Server, case: &str) -> Result<(String, String), String> {
    let (_, body) = server.get("/api/v1/targets?state=active")?;
    let json: serde_json::Value = serde_json::from_str(&body).map_err(|e| e.to_string())?;
    let targets = json["data"]["activeTargets"].as_array().ok_or(body.clone())?;
    let found = targets.iter().find(|target| target["labels"]["case"] == case);
    let found = found.ok_or(format!("no target {case}"))?;
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    Ok((text("health"), text("lastError")))
}

/// Waits until `case` is down, and compares what is said of it.
#[track_caller]
fn check(server: &Server, case: &str, expected: &str) {
    let error = wait_for(case, || match state(server, case)? {
        (health, error) if health == "down" => Ok(error),
        other => Err(format!("{other:?}")),
    });
    assert!(error.contains(expected), "{case}: {error:?}, not {expected:?}");
    server.wait_for_value(&format!("up{{case=\"{case}\"}}"), |up| up == 0.0);
}

#[test]
fn a_lie_is_told_by_its_name_and_troubles_nobody_else() {
    let directory = tempfile::tempdir().expect("directory");
    let address = liar();
    let mut config = "global: {scrape_interval: 2s, scrape_timeout: 2s}\nscrape_configs:\n\
                      - job_name: liar\n  body_size_limit: 1MB\n  static_configs:\n"
        .to_owned();
    let mut target = |path: &str| {
        let labels = format!("{{case: '{path}', __metrics_path__: '{path}'}}");
        let _ = writeln!(config, "  - {{targets: ['{address}'], labels: {labels}}}");
    };
    let others = [
        ("/chunk-longer", "chunk longer than its size"),
        ("/chunk-endless", "context deadline exceeded"),
        ("/chunk-none", "invalid byte in chunk length"),
        ("/bomb", "body size limit exceeded"),
        ("/flood", "header"),
        ("/loop", "stopped after 10 redirects"),
        ("/elsewhere", "server returned HTTP status 404 Not Found"),
    ];
    others.iter().for_each(|(path, _)| target(path));
    (0..=GOOD.len()).for_each(|end| target(&format!("/cut/{end}")));
    let file = directory.path().join("prometheus.yml");
    std::fs::write(&file, config).expect("write the configuration");
    let server = Server::start(directory.path(), &[&format!("--config.file={}", file.display())]);
    line_with(&server.lines, "ready");
    others.iter().for_each(|(path, expected)| check(&server, path, expected));
    for end in 0..GOOD.len() {
        check(&server, &format!("/cut/{end}"), "EOF");
    }
    let whole = format!("up{{case=\"/cut/{}\"}}", GOOD.len());
    server.wait_for_value(&whole, |up| up == 1.0);
    server.wait_for_value(&format!("min(min_over_time({whole}[10m]))"), |up| up == 1.0);
    assert_eq!(server.end(Signal::TERM).code(), Some(0));
}

#[test]
fn a_certificate_that_does_not_hold_is_told_in_gos_words() {
    let directory = tempfile::tempdir().expect("directory");
    let mut parameters = CertificateParams::new(Vec::new()).expect("no names");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(parameters, key).expect("an authority");
    std::fs::write(directory.path().join("ca.pem"), authority.pem()).expect("write");
    for (name, names, year) in [
        ("good", ["127.0.0.1"], 2400),
        ("named", ["other.example"], 2400),
        ("expired", ["127.0.0.1"], 2020),
        ("asking", ["127.0.0.1"], 2400),
    ] {
        certificate(directory.path(), name, &names, year, &authority);
    }
    let ca = directory.path().join("ca.pem").display().to_string();
    let asks = format!(", client_auth_type: RequireAndVerifyClientCert, client_ca_file: {ca}");
    let targets = [("good", ""), ("named", ""), ("expired", ""), ("asking", asks.as_str())]
        .map(|(name, more)| (name, tls_target(directory.path(), name, more)));
    let mut config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n\
         - job_name: tls\n  scheme: https\n  tls_config: {{ca_file: {ca}}}\n  static_configs:\n"
    );
    for (name, target) in &targets {
        let _ =
            writeln!(config, "  - {{targets: ['{}'], labels: {{case: {name}}}}}", target.address);
    }
    let file = directory.path().join("prometheus.yml");
    std::fs::write(&file, config).expect("write the configuration");
    let server = Server::start(directory.path(), &[&format!("--config.file={}", file.display())]);
    let named = "x509: cannot validate certificate for 127.0.0.1 because it doesn't contain any \
                 IP SANs";
    check(&server, "named", named);
    check(&server, "expired", "x509: certificate has expired or is not yet valid");
    check(&server, "asking", "remote error: tls: certificate required");
    server.wait_for_value("up{case=\"good\"}", |up| up == 1.0);
}
