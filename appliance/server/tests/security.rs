//! Who may ask: passwords, TLS and client certificates of the real binary, asked by curl.

use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::server::{Server, command, line_with, request, wait_for};

#[path = "process/server.rs"]
mod server;

/// bcrypt of `secret`, cost 4.
fn hash() -> String {
    bcrypt::hash("secret", 4).expect("a hash")
}

/// Whether curl and openssl are here; that they are not is said.
fn tools() -> bool {
    let here = |program: &str, argument: &str| {
        let run = Command::new(program).arg(argument).stdout(Stdio::null()).status();
        run.is_ok_and(|status| status.success())
    };
    let all = here("curl", "--version") && here("openssl", "version");
    if !all {
        println!("skipped: curl or openssl is not installed");
    }
    all
}

/// Status that curl saw; 0 when there was no answer.
fn curl(arguments: &[&str]) -> u16 {
    let output = Command::new("curl")
        .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "20"])
        .args(arguments)
        .output()
        .expect("run curl");
    String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or(0)
}

/// A certificate of `name` and its key, signed by itself or by another.
fn certificate(directory: &Path, name: &str, san: &str, by: Option<&str>) {
    let path = |end: &str| directory.join(format!("{name}.{end}")).display().to_string();
    let mut run = Command::new("openssl");
    run.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", &format!("/CN={name}")])
        .args(["-addext", &format!("subjectAltName={san}")])
        .args(["-keyout", &path("key"), "-out", &path("pem")]);
    if let Some(by) = by {
        let ca = |end: &str| directory.join(format!("{by}.{end}")).display().to_string();
        run.args(["-CA", &ca("pem"), "-CAkey", &ca("key")]);
        run.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    }
    let status = run.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("run openssl");
    assert!(status.success(), "openssl made no certificate of {name}");
}

#[test]
fn passwords_are_asked_for_and_the_file_is_read_anew() {
    if !tools() {
        return;
    }
    let directory = tempfile::tempdir().expect("directory");
    let file = directory.path().join("web.yml");
    let headers = "http_server_config: {headers: {X-Frame-Options: deny}}";
    std::fs::write(&file, headers).expect("write");
    let flag = format!("--web.config.file={}", file.display());
    let server = Server::start(directory.path(), &[&flag]);
    let url = format!("http://{}/api/v1/status/buildinfo", server.address);
    assert_eq!(curl(&[&url]), 200);
    let text = format!("{headers}\nbasic_auth_users: {{alice: '{}'}}", hash());
    std::fs::write(&file, text).expect("write");
    wait_for("the file is read anew", || match curl(&[&url]) {
        401 => Ok(()),
        other => Err(other.to_string()),
    });
    for _ in 0..3 {
        assert_eq!(curl(&["-u", "alice:secret", &url]), 200);
    }
    assert_eq!(curl(&["-u", "alice:wrong", &url]), 401);
    assert_eq!(curl(&["-u", "bob:secret", &url]), 401);
    let head = Command::new("curl").args(["-s", "-i", &url]).output().expect("run curl");
    let head = String::from_utf8_lossy(&head.stdout).to_ascii_lowercase();
    assert!(head.contains("www-authenticate: basic") && head.contains("x-frame-options: deny"));
    assert!(!head.contains("$2b$"));
}

#[test]
fn connections_are_encrypted_and_clients_verified() {
    if !tools() {
        return;
    }
    let directory = tempfile::tempdir().expect("directory");
    let at = |name: &str| directory.path().join(name).display().to_string();
    certificate(directory.path(), "ca", "DNS:ca", None);
    certificate(directory.path(), "server", "DNS:localhost,IP:127.0.0.1", Some("ca"));
    certificate(directory.path(), "friend", "DNS:friend.example", Some("ca"));
    certificate(directory.path(), "other", "DNS:other.example", Some("ca"));
    let text = "tls_server_config: {cert_file: server.pem, key_file: server.key, \
                client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem, \
                client_allowed_sans: [friend.example]}";
    std::fs::write(directory.path().join("web.yml"), text).expect("write");
    let flag = format!("--web.config.file={}", at("web.yml"));
    let server = Server::listening(&mut command(directory.path(), &[&flag]));
    let address = server.address;
    let url = format!("https://{address}/-/healthy");
    let ask = |name: &str| {
        let (cert, key, ca) =
            (at(&format!("{name}.pem")), at(&format!("{name}.key")), at("ca.pem"));
        curl(&["--cacert", &ca, "--cert", &cert, "--key", &key, &url])
    };
    assert_eq!(ask("friend"), 200);
    assert_eq!(ask("other"), 0);
    assert_eq!(curl(&["--cacert", &at("ca.pem"), &url]), 0);
    assert!(request(address, "GET", "/-/healthy").is_err());
}

#[test]
fn a_prefix_stands_before_every_path() {
    let directory = tempfile::tempdir().expect("directory");
    let flag = "--web.external-url=http://x/prom/";
    let server = Server::listening(&mut command(directory.path(), &[flag]));
    let address = server.address;
    let get = |path: &str| request(address, "GET", path).map(|(status, _)| status);
    wait_for("ready", || match get("/prom/-/ready") {
        Ok(200) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(get("/prom/api/v1/label/job/values"), Ok(200));
    assert_eq!(get("/"), Ok(302));
    assert_eq!(get("/prom/"), Ok(200));
    assert_eq!(get("/api/v1/labels"), Ok(404));
}

#[test]
fn a_file_that_does_not_hold_stops_the_start() {
    let directory = tempfile::tempdir().expect("directory");
    let file = directory.path().join("web.yml");
    std::fs::write(&file, "basic_auth_users: {a: plain}").expect("write");
    let flag = format!("--web.config.file={}", file.display());
    let output = command(directory.path(), &[&flag]).output().expect("run");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("no bcrypt hash"), "{text}");
    std::fs::write(&file, "").expect("write");
    let server = Server::start(directory.path(), &[&flag]);
    line_with(&server.lines, "ready");
    server.wait_for_value("up", |_| true);
    assert_eq!(server.end(Signal::TERM).code(), Some(0));
}
