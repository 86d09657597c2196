//! Requests of the service over real sockets: redirects, credentials, bounds and deadlines.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use client::http::{Ask, HttpClient, Response};
use scrape::http_options::{Authorization, HttpOptions, Text};

const PATIENCE: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(150);
const BODY_MAX: u64 = 1_000;

/// Head and body of the next request; `None` at the end of the connection.
fn request_of(stream: &mut impl std::io::Read) -> Option<String> {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => bytes.push(byte[0]),
            _ => return None,
        }
    }
    let head = String::from_utf8(bytes).expect("a head is text");
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    Some(head + &String::from_utf8(body).expect("a body of these tests is text"))
}

/// Answers every request with what `answer` makes of it, bytes as they are.
fn serve(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || converse(stream, &*answer));
        }
    });
    address
}

fn converse(mut stream: TcpStream, answer: &dyn Fn(&str) -> String) {
    while let Some(request) = request_of(&mut stream) {
        let text = answer(&request);
        // Nothing to say: the client waits until its deadline.
        if text.is_empty() {
            let _ = stream.read(&mut [0]);
            return;
        }
        if stream.write_all(text.as_bytes()).is_err() || text.starts_with("HTTP/1.1 200 CUT") {
            return;
        }
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn found(status: u16, location: &str) -> String {
    format!("HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
}

/// Options with a credential.
fn options() -> HttpOptions {
    let (name, credentials) = ("Bearer".to_owned(), Text::inline("secret"));
    let authorization = Some(Authorization::Scheme { name, credentials });
    HttpOptions { authorization, ..HttpOptions::default() }
}

/// Sends `asks` one after the other by one client; what came of each.
fn send(mut client: HttpClient, asks: &[Ask]) -> Vec<Result<Response, String>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut answers = Vec::new();
        for ask in asks {
            let answer = client.send(ask, BODY_MAX).await;
            answers.push(answer.map_err(|error| error.to_string()));
        }
        answers
    })
}

fn client(options: HttpOptions) -> HttpClient {
    HttpClient::new(options.shared())
}

#[track_caller]
fn body_of(answer: &Result<Response, String>) -> String {
    let answer = answer.as_ref().expect("an answer");
    String::from_utf8(answer.body.clone()).expect("text")
}

#[test]
fn a_connection_is_kept_and_credentials_go_along() {
    let address = serve(|request| ok(&request.to_ascii_lowercase()));
    let url = format!("http://{address}/path?a=b");
    let asks = [
        Ask::get(&url, PATIENCE).with_header("X-More", "yes"),
        Ask::post(&url, "text/x", Bytes::from_static(b"the body"), PATIENCE),
    ];
    let answers = send(client(options()), &asks);
    let (first, second) = (body_of(&answers[0]), body_of(&answers[1]));
    for part in ["get /path?a=b", "authorization: bearer secret", "x-more: yes", "user-agent: cre"]
    {
        assert!(first.contains(part), "{part} in {first}");
    }
    assert!(second.starts_with("post ") && second.ends_with("the body"), "{second}");
}

#[test]
fn redirects_leave_secrets_at_another_host_and_end() {
    let other = serve(|request| ok(&request.to_ascii_lowercase()));
    // By another name: the same address would be the same host.
    let elsewhere = format!("http://localhost:{}/there", other.port());
    let address = serve(move |request| match request.split(' ').nth(1) {
        Some("/away") => found(302, &elsewhere),
        Some("/kept") => found(307, "/echo"),
        Some("/changed") => found(303, "/echo"),
        Some("/echo") => ok(&request.to_ascii_lowercase()),
        _ => found(301, "/loop"),
    });
    let url = |path: &str| format!("http://{address}{path}");
    let body = Bytes::from_static(b"the body");
    let asks = [
        Ask::get(&url("/away"), PATIENCE),
        Ask::post(&url("/kept"), "text/x", body.clone(), PATIENCE),
        Ask::post(&url("/changed"), "text/x", body, PATIENCE),
        Ask::get(&url("/loop"), PATIENCE),
    ];
    let answers = send(client(options()), &asks);
    let [away, kept, changed] = [0, 1, 2].map(|at| body_of(&answers[at]));
    assert!(away.starts_with("get /there") && !away.contains("secret"), "{away}");
    assert!(kept.starts_with("post /echo") && kept.ends_with("the body"), "{kept}");
    assert!(changed.starts_with("get /echo") && changed.contains("secret"), "{changed}");
    let error = answers[3].as_ref().expect_err("a loop ends");
    assert_eq!(*error, format!("Get \"{}\": stopped after 10 redirects", url("/loop")));
    let stay = HttpOptions { follow_redirects: false, ..options() };
    let answers = send(client(stay), &[Ask::get(&url("/away"), PATIENCE)]);
    assert_eq!(answers[0].as_ref().map(|answer| answer.status), Ok(302));
}

#[test]
fn bodies_are_bounded_cut_ones_are_noticed_and_nothing_waits_for_ever() {
    let long = "x".repeat(1_001);
    let chunk = format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
    let address = serve(move |request| match request.split(' ').nth(1) {
        Some("/long") => ok(&long),
        Some("/chunked") => format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"),
        Some("/cut") => "HTTP/1.1 200 CUT\r\nContent-Length: 9\r\n\r\nhalf".to_owned(),
        Some("/garbage") => "no HTTP at all\r\n\r\n".to_owned(),
        Some("/silent") => String::new(),
        _ => ok("fine"),
    });
    let url = |path: &str| format!("http://{address}{path}");
    let paths = ["/long", "/chunked", "/cut", "/garbage", "/fine"];
    let mut asks: Vec<Ask> = paths.iter().map(|path| Ask::get(&url(path), PATIENCE)).collect();
    asks.push(Ask::get(&url("/silent"), SHORT));
    let answers = send(client(HttpOptions::default()), &asks);
    let errors: Vec<String> =
        answers.iter().map(|answer| answer.clone().err().unwrap_or_default()).collect();
    for (at, expected) in [
        (0, "body size limit exceeded"),
        (1, "body size limit exceeded"),
        (2, "EOF"),
        (3, "malformed HTTP"),
        (5, "context deadline exceeded"),
    ] {
        assert!(errors[at].contains(expected), "{}: {expected}", errors[at]);
    }
    assert_eq!(body_of(&answers[4]), "fine", "the others troubled nobody");
}

#[test]
fn who_does_not_listen_and_what_is_no_url_are_named() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = closed.local_addr().expect("an address");
    drop(closed);
    let asks = [
        Ask::get(&format!("http://{address}/"), PATIENCE),
        Ask::get("ftp://a/", PATIENCE),
        Ask::get("http://no-such-host.invalid/", PATIENCE),
    ];
    let errors: Vec<String> = send(client(HttpOptions::default()), &asks)
        .into_iter()
        .map(|answer| answer.expect_err("no answer"))
        .collect();
    assert!(errors[0].contains("connection refused"), "{}", errors[0]);
    assert!(errors[1].contains("unsupported protocol scheme"), "{}", errors[1]);
    assert!(errors[2].contains("no-such-host.invalid"), "{}", errors[2]);
}

#[test]
fn a_socket_of_this_machine_is_asked_whatever_the_url_says() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).expect("a socket");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            while let Some(request) = request_of(&mut stream) {
                let _ = stream.write_all(ok(&request).as_bytes());
            }
        }
    });
    let client = client(HttpOptions::default()).at_socket(path);
    let answers = send(client, &[Ask::get("http://docker/info", PATIENCE)]);
    assert!(body_of(&answers[0]).starts_with("GET /info"), "{answers:?}");
}
