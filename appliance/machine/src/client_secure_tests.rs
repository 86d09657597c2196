//! Fetches over TLS, by proxies and from sockets of this machine, with real certificates.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use scrape::fetch::FetchRequest;
use scrape::http_options::{
    Authorization, HttpOptions, OAuth2, ProxyChoice, ProxyOptions, Secret, Text, TlsOptions,
    TlsVersion,
};
use scrape::target::Scheme;

use crate::client_bed::{
    Driver, Outcome, PATIENT_MS, answer, keep_answering, options, over_both, read_head, request,
    server,
};

type Issuer = CertifiedIssuer<'static, KeyPair>;
type Secure = StreamOwned<ServerConnection, TcpStream>;

/// An authority of its own for each test.
fn authority() -> Issuer {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for `names`, and its key.
struct Identity {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Identity {
    fn new(
        issuer: &Issuer,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names).unwrap();
        change(&mut parameters);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, issuer).unwrap().der().clone();
        Identity { certificate, key }
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }
}

fn config(identity: &Identity, clients: Option<&Issuer>, protocols: &[&[u8]]) -> ServerConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(issuer) => {
            let mut roots = RootCertStore::empty();
            roots.add(issuer.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let mut config =
        builder.with_single_cert(vec![identity.certificate.clone()], identity.key()).unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    config
}

/// Serves TLS; `serve` gets each connection whose handshake succeeded.
fn secure_server(
    config: ServerConfig,
    serve: impl Fn(usize, Secure) + Send + Sync + 'static,
) -> SocketAddr {
    let config = Arc::new(config);
    server(move |number, tcp| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        serve(number, StreamOwned::new(connection, tcp));
    })
}

/// The head of the next request, "" at the end of the connection.
fn head(stream: &mut impl Read) -> String {
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

/// Answers each request of a connection with `body`.
fn keep_serving(mut stream: Secure, body: &[u8]) {
    while !head(&mut stream).is_empty() {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let _ = stream.write_all(&[head.as_bytes(), body].concat());
        let _ = stream.flush();
    }
}

/// Answers each request with its own head.
fn echo(mut stream: Secure) {
    loop {
        let asked = head(&mut stream);
        if asked.is_empty() {
            return;
        }
        let length = asked.len();
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{asked}");
        let _ = stream.flush();
    }
}

fn trusting(issuer: &Issuer) -> TlsOptions {
    TlsOptions { ca: Some(Text::inline(&issuer.pem())), ..TlsOptions::default() }
}

fn secure(address: SocketAddr, http: HttpOptions) -> FetchRequest {
    FetchRequest { scheme: Scheme::Https, http: http.shared(), ..(*request(address, "/m")).clone() }
}

fn by_tls(address: SocketAddr, tls: TlsOptions) -> Arc<FetchRequest> {
    Arc::new(secure(address, HttpOptions { tls, ..HttpOptions::default() }))
}

fn text(outcome: Outcome) -> String {
    match outcome {
        Ok((status, body)) => format!("{status} {}", String::from_utf8_lossy(&body)),
        Err(fault) => fault.to_string(),
    }
}

#[test]
fn bodies_of_all_sizes_come_over_tls() {
    over_both(|mut driver| {
        let issuer = authority();
        let identity = Identity::new(&issuer, &["127.0.0.1"], |_| {});
        for size in [0, 1, 16_384, 16_385, 1 << 20] {
            let config = config(&identity, None, &[b"http/1.1"]);
            let body: Vec<u8> = (b'a'..=b'z').cycle().take(size).collect();
            let served = body.clone();
            let address = secure_server(config, move |_, stream| keep_serving(stream, &served));
            let request = by_tls(address, trusting(&issuer));
            for _ in 0..3 {
                let (status, got) = driver.fetch(&request, PATIENT_MS).unwrap();
                assert!(status == 200 && got == body, "{size} bytes");
            }
        }
        let (counters, links) = (driver.counters(), driver.links());
        assert_eq!((links.opened, links.reused, counters.handshakes), (5, 10, 5));
    });
}

/// One way in which a server is not who it should be, and what is said of it.
#[track_caller]
fn check_certificate(driver: &mut Driver, identity: &Identity, tls: TlsOptions, expected: &str) {
    let address =
        secure_server(config(identity, None, &[]), |_, stream| keep_serving(stream, b"a"));
    let shown = text(driver.fetch(&by_tls(address, tls), PATIENT_MS));
    let is_expected = match expected.split_once('*') {
        Some((start, end)) => shown.starts_with(start) && shown.ends_with(end),
        None => shown == expected,
    };
    assert!(is_expected, "{shown}\n{expected}");
}

#[test]
fn servers_that_are_not_who_they_should_be_are_refused_in_gos_words() {
    over_both(|mut driver| {
        let issuer = authority();
        let driver = &mut driver;
        let good = Identity::new(&issuer, &["127.0.0.1"], |_| {});
        let named = Identity::new(&issuer, &["a.example", "b.example"], |_| {});
        check_certificate(driver, &good, trusting(&issuer), "200 a");
        let prefix = "tls: failed to verify certificate: x509:";
        let expected = format!("{prefix} certificate signed by unknown authority");
        check_certificate(driver, &good, trusting(&authority()), &expected);
        check_certificate(driver, &good, TlsOptions::default(), &expected);
        let expected = format!(
            "{prefix} cannot validate certificate for 127.0.0.1 because it doesn't contain any IP \
             SANs"
        );
        check_certificate(driver, &named, trusting(&issuer), &expected);
        let tls =
            |name: &str| TlsOptions { server_name: Some(name.to_owned()), ..trusting(&issuer) };
        check_certificate(driver, &named, tls("b.example"), "200 a");
        let expected = format!("{prefix} certificate is valid for a.example, b.example, not c");
        check_certificate(driver, &named, tls("c"), &expected);
        let nameless = Identity::new(&issuer, &[], |parameters| {
            parameters.distinguished_name.push(rcgen::DnType::CommonName, "c.example");
        });
        let expected =
            format!("{prefix} certificate relies on legacy Common Name field, use SANs instead");
        check_certificate(driver, &nameless, tls("c.example"), &expected);
        let expired = Identity::new(&issuer, &["127.0.0.1"], |parameters| {
            parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
            parameters.not_after = rcgen::date_time_ymd(2021, 1, 1);
        });
        let expected = format!(
            "{prefix} certificate has expired or is not yet valid: current time * is after \
             2021-01-01T00:00:00Z"
        );
        check_certificate(driver, &expired, trusting(&issuer), &expected);
        let early = Identity::new(&issuer, &["127.0.0.1"], |parameters| {
            parameters.not_before = rcgen::date_time_ymd(2090, 1, 1);
            parameters.not_after = rcgen::date_time_ymd(2091, 1, 1);
        });
        let expected = format!(
            "{prefix} certificate has expired or is not yet valid: current time * is before \
             2090-01-01T00:00:00Z"
        );
        check_certificate(driver, &early, trusting(&issuer), &expected);
        let client_only = Identity::new(&issuer, &["127.0.0.1"], |parameters| {
            parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        });
        let expected = format!("{prefix} certificate specifies an incompatible key usage");
        check_certificate(driver, &client_only, trusting(&issuer), &expected);
        let anyone = TlsOptions { insecure_skip_verify: true, ..TlsOptions::default() };
        check_certificate(driver, &expired, anyone, "200 a");
    });
}

#[test]
fn a_certificate_that_signed_itself_is_trusted_where_it_is_named() {
    over_both(|mut driver| {
        // As `openssl req -x509` makes them: an authority that serves itself.
        let mut parameters = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::from_pem(&own.key().serialize_pem()).unwrap();
        let identity = Identity { certificate: own.der().clone(), key };
        check_certificate(&mut driver, &identity, trusting(&own), "200 a");
        let elsewhere = TlsOptions { server_name: Some("x".to_owned()), ..trusting(&own) };
        let expected = "tls: failed to verify certificate: x509: certificate is not valid for any \
                        names, but wanted to match x";
        check_certificate(&mut driver, &identity, elsewhere, expected);
    });
}

#[test]
fn clients_show_their_certificate_where_it_is_asked_for() {
    over_both(|mut driver| {
        let (issuer, clients) = (authority(), authority());
        let identity = Identity::new(&issuer, &["127.0.0.1"], |_| {});
        let us = Identity::new(&clients, &["us"], |_| {});
        let pem = format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            client::base64::encode(&us.certificate)
        );
        let address = secure_server(config(&identity, Some(&clients), &[]), |_, stream| {
            keep_serving(stream, b"a");
        });
        let without = text(driver.fetch(&by_tls(address, trusting(&issuer)), PATIENT_MS));
        assert_eq!(without, "remote error: tls: certificate required");
        let with = |key: &KeyPair| TlsOptions {
            identity: Some((Text::inline(&pem), Text::inline(&key.serialize_pem()))),
            ..trusting(&issuer)
        };
        let shown = text(driver.fetch(&by_tls(address, with(&us.key)), PATIENT_MS));
        assert_eq!(shown, "200 a");
        let stranger = KeyPair::generate().unwrap();
        let shown = text(driver.fetch(&by_tls(address, with(&stranger)), PATIENT_MS));
        let expected = "unable to use specified client cert (inline) & key (inline): tls: private \
                        key does not match public key";
        assert_eq!(shown, expected);
    });
}

#[test]
fn versions_are_kept_to() {
    over_both(|mut driver| {
        let issuer = authority();
        let identity = Identity::new(&issuer, &["127.0.0.1"], |_| {});
        let provider = Arc::new(aws_lc_rs::default_provider());
        let old = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![identity.certificate.clone()], identity.key())
            .unwrap();
        let address = secure_server(old, |_, stream| keep_serving(stream, b"old"));
        let shown = text(driver.fetch(&by_tls(address, trusting(&issuer)), PATIENT_MS));
        assert_eq!(shown, "200 old");
        let new = TlsOptions { min_version: Some(TlsVersion::Tls13), ..trusting(&issuer) };
        let shown = text(driver.fetch(&by_tls(address, new), PATIENT_MS));
        assert_eq!(shown, "remote error: tls: protocol version not supported");
    });
}

#[test]
fn what_is_no_tls_is_told_from_it() {
    over_both(|mut driver| {
        let plain = server(|_, mut stream| {
            let mut some = [0; 64];
            let _ = stream.read(&mut some);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let shown = text(driver.fetch(&by_tls(plain, TlsOptions::default()), PATIENT_MS));
        assert_eq!(shown, "http: server gave HTTP response to HTTPS client");
        let noise = server(|_, mut stream| {
            let _ = stream.write_all(&[0xfe; 100]);
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let shown = text(driver.fetch(&by_tls(noise, TlsOptions::default()), PATIENT_MS));
        assert_eq!(shown, "tls: first record does not look like a TLS handshake");
        let gone = server(|_, mut stream| {
            let mut some = [0; 8];
            let _ = stream.read_exact(&mut some);
        });
        let shown = text(driver.fetch(&by_tls(gone, TlsOptions::default()), PATIENT_MS));
        assert!(matches!(shown.as_str(), "EOF" | "read tcp: connection reset by peer"), "{shown}");
        assert_eq!(driver.client.sizes(), (0, 0, 0));
    });
}

#[test]
fn a_body_that_ends_without_a_word_over_tls_is_cut() {
    over_both(|mut driver| {
        let issuer = authority();
        let identity = Identity::new(&issuer, &["127.0.0.1"], |_| {});
        let says_so = Arc::new(AtomicUsize::new(0));
        let shared = Arc::clone(&says_so);
        let address = secure_server(config(&identity, None, &[]), move |_, mut stream| {
            head(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhalf");
            if shared.load(Ordering::SeqCst) == 1 {
                stream.conn.send_close_notify();
            }
            let _ = stream.flush();
        });
        let request = by_tls(address, trusting(&issuer));
        assert_eq!(text(driver.fetch(&request, PATIENT_MS)), "unexpected EOF");
        says_so.store(1, Ordering::SeqCst);
        assert_eq!(text(driver.fetch(&request, PATIENT_MS)), "200 half");
    });
}

#[test]
fn files_of_certificates_are_read_again() {
    over_both(|mut driver| {
        let (issuer, other) = (authority(), authority());
        let identity = Identity::new(&issuer, &["127.0.0.1"], |_| {});
        let address = secure_server(config(&identity, None, &[]), |_, stream| echo(stream));
        let directory = tempfile::tempdir().unwrap();
        let (ca, token) = (directory.path().join("ca.pem"), directory.path().join("token"));
        std::fs::write(&ca, other.pem()).unwrap();
        let tls = TlsOptions { ca: Some(Text::File(ca.clone())), ..TlsOptions::default() };
        let credentials = Text::File(token.clone());
        let authorization = Authorization::Scheme { name: "Bearer".to_owned(), credentials };
        let http =
            HttpOptions { tls, authorization: Some(authorization), ..HttpOptions::default() };
        let request = Arc::new(secure(address, http));
        let place = token.display();
        let expected = format!(
            "unable to read authorization credentials: unable to read file {place}: open {place}: \
             no such file or directory"
        );
        until(&mut driver, &request, &expected);
        std::fs::write(&token, "one\n").unwrap();
        until(&mut driver, &request, "certificate signed by unknown authority");
        std::fs::write(&ca, issuer.pem()).unwrap();
        until(&mut driver, &request, "Authorization: Bearer one\r\n");
        std::fs::write(&token, "two\n").unwrap();
        until(&mut driver, &request, "Authorization: Bearer two\r\n");
    });
}

/// Fetches until the outcome has `expected` in it: files are read at most once a second.
#[track_caller]
fn until(driver: &mut Driver, request: &Arc<FetchRequest>, expected: &str) {
    let patience = crate::clock::tick().after_ms(10_000);
    loop {
        let shown = text(driver.fetch(request, PATIENT_MS));
        if shown.contains(expected) {
            return;
        }
        assert!(crate::clock::tick() < patience, "{shown}\n{expected}");
    }
}

#[test]
fn redirects_lead_to_tls_and_leave_secrets_at_another_host() {
    over_both(|mut driver| {
        let issuer = authority();
        let identity = Identity::new(&issuer, &["127.0.0.1", "localhost"], |_| {});
        let last = secure_server(config(&identity, None, &[]), |_, stream| echo(stream));
        let port = last.port();
        let first = server(move |_, mut stream| {
            loop {
                let head = read_head(&mut stream);
                let host = if head.contains("/same") { "127.0.0.1" } else { "localhost" };
                if head.is_empty() {
                    return;
                }
                let to = format!("302 Found\r\nLocation: https://{host}:{port}/there");
                answer(&mut stream, &to, b"");
            }
        });
        let http = HttpOptions { tls: trusting(&issuer), ..options() }.shared();
        let ask = |path: &str| {
            Arc::new(FetchRequest { http: Arc::clone(&http), ..(*request(first, path)).clone() })
        };
        let same = text(driver.fetch(&ask("/same"), PATIENT_MS));
        assert!(same.contains("GET /there") && same.contains("Bearer secret"), "{same}");
        let other = text(driver.fetch(&ask("/other"), PATIENT_MS));
        assert!(other.contains("GET /there") && !other.contains("secret"), "{other}");
    });
}

/// A proxy: forwards requests with their head as the answer, and opens tunnels.
fn proxy() -> SocketAddr {
    server(|_, mut stream| {
        let head = read_head(&mut stream);
        let mut words = head.split(' ');
        match (words.next(), words.next()) {
            (Some("CONNECT"), Some(to)) if head.contains("X-Token: t\r\n") => {
                let mut far = TcpStream::connect(to).unwrap();
                stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
                let (mut near, mut back) = (stream.try_clone().unwrap(), far.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut near, &mut back));
                let _ = std::io::copy(&mut far, &mut stream);
            }
            (Some("CONNECT"), _) => {
                let _ = stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
            }
            _ => answer(&mut stream, "200 OK", head.as_bytes()),
        }
    })
}

fn by_proxy(proxy: SocketAddr, no_proxy: &str, token: &str) -> ProxyOptions {
    ProxyOptions {
        choice: ProxyChoice::Url {
            url: Secret(format!("http://me:pw@{proxy}")),
            no_proxy: no_proxy.to_owned(),
        },
        connect_headers: vec![("X-Token".to_owned(), Secret(token.to_owned()))],
    }
}

#[test]
fn proxies_take_requests_and_open_tunnels() {
    over_both(|mut driver| {
        let issuer = authority();
        let identity = Identity::new(&issuer, &["127.0.0.1"], |_| {});
        let target = secure_server(config(&identity, None, &[]), |_, stream| echo(stream));
        let proxy = proxy();
        let http = |no_proxy: &str, token: &str| HttpOptions {
            tls: trusting(&issuer),
            proxy: by_proxy(proxy, no_proxy, token),
            ..HttpOptions::default()
        };
        let plain = FetchRequest { scheme: Scheme::Http, ..secure(target, http("", "t")) };
        let shown = text(driver.fetch(&Arc::new(plain), PATIENT_MS));
        assert!(shown.starts_with(&format!("200 GET http://{target}/m HTTP/1.1\r\n")), "{shown}");
        assert!(shown.contains("Proxy-Authorization: Basic bWU6cHc=\r\n"), "{shown}");
        let tunnel = Arc::new(secure(target, http("", "t")));
        for _ in 0..2 {
            let shown = text(driver.fetch(&tunnel, PATIENT_MS));
            assert!(shown.starts_with("200 GET /m HTTP/1.1\r\n"), "{shown}");
            assert!(!shown.contains("Proxy-Authorization"), "{shown}");
        }
        assert_eq!(driver.links().reused, 1, "the tunnel is kept");
        let refused = Arc::new(secure(target, http("", "wrong")));
        let shown = text(driver.fetch(&refused, PATIENT_MS));
        assert_eq!(shown, "Proxy Authentication Required");
        let direct = Arc::new(secure(target, http("127.0.0.1", "wrong")));
        assert!(text(driver.fetch(&direct, PATIENT_MS)).starts_with("200 GET /m"));
        let mut nobody = http("", "t");
        nobody.proxy = by_proxy("127.0.0.1:1".parse().unwrap(), "", "t");
        let shown = text(driver.fetch(&Arc::new(secure(target, nobody)), PATIENT_MS));
        let expected = "proxyconnect tcp: dial tcp 127.0.0.1:1: connect: connection refused";
        assert_eq!(shown, expected);
    });
}

#[test]
fn sockets_of_this_machine_are_scraped() {
    over_both(|mut driver| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                loop {
                    let asked = head(&mut stream);
                    if asked.is_empty() {
                        break;
                    }
                    let length = asked.len();
                    let _ = write!(
                        stream,
                        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{asked}"
                    );
                }
            }
        });
        let at = |path: &Path| {
            let socket = Some(path.display().to_string());
            let nowhere = "127.0.0.1:1".parse().unwrap();
            let http = HttpOptions::default().shared();
            Arc::new(FetchRequest { socket, http, ..(*request(nowhere, "/m")).clone() })
        };
        for _ in 0..2 {
            let shown = text(driver.fetch(&at(&path), PATIENT_MS));
            assert!(shown.starts_with("200 GET /m HTTP/1.1\r\nHost: 127.0.0.1:1\r\n"), "{shown}");
        }
        assert_eq!(driver.links().reused, 1);
        let gone = directory.path().join("gone");
        let shown = text(driver.fetch(&at(&gone), PATIENT_MS));
        let expected = format!("dial unix {}: connect: no such file or directory", gone.display());
        assert_eq!(shown, expected);
    });
}

/// A token server that counts, and gives tokens for the secret `s` only.
fn token_server(asked: Arc<AtomicUsize>) -> SocketAddr {
    server(move |_, mut stream| {
        loop {
            let head = read_head(&mut stream);
            if head.is_empty() {
                return;
            }
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()
                })
                .unwrap_or(0);
            let mut form = vec![0; length];
            stream.read_exact(&mut form).unwrap();
            let form = String::from_utf8(form).unwrap();
            // `me:s` in the header, as Go asks first.
            let is_known = head.to_ascii_lowercase().contains("authorization: basic bwu6cw==");
            if is_known && form == "grant_type=client_credentials&scope=a+b&x=y" {
                let number = asked.fetch_add(1, Ordering::SeqCst) + 1;
                let token = format!(r#"{{"access_token":"t{number}","expires_in":3600}}"#);
                answer(&mut stream, "200 OK", token.as_bytes());
            } else {
                answer(&mut stream, "401 Unauthorized", br#"{"error":"invalid_client"}"#);
            }
        }
    })
}

#[test]
fn tokens_are_asked_for_once_and_their_lack_is_told() {
    over_both(|mut driver| {
        let target = server(|_, mut stream| {
            loop {
                let head = read_head(&mut stream);
                if head.is_empty() {
                    return;
                }
                answer(&mut stream, "200 OK", head.as_bytes());
            }
        });
        let asked = Arc::new(AtomicUsize::new(0));
        let tokens = token_server(Arc::clone(&asked));
        let ask = |secret: &str, token_url: String| {
            let oauth2 = OAuth2 {
                client_id: "me".to_owned(),
                client_secret: Text::inline(secret),
                scopes: vec!["a".to_owned(), "b".to_owned()],
                token_url,
                endpoint_params: vec![("x".to_owned(), Secret("y".to_owned()))],
                tls: TlsOptions::default(),
                proxy: ProxyOptions::default(),
            };
            let authorization = Some(Authorization::OAuth2(Box::new(oauth2)));
            let http = HttpOptions { authorization, ..HttpOptions::default() }.shared();
            Arc::new(FetchRequest { http, ..(*request(target, "/m")).clone() })
        };
        let good = ask("s", format!("http://{tokens}/token"));
        for _ in 0..3 {
            let shown = text(driver.fetch(&good, PATIENT_MS));
            assert!(shown.contains("Authorization: Bearer t1\r\n"), "{shown}");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        let bad = ask("wrong", format!("http://{tokens}/token"));
        let shown = text(driver.fetch(&bad, PATIENT_MS));
        assert_eq!(shown, "oauth2: \"invalid_client\"");
        let nowhere = ask("s", "http://127.0.0.1:1/token".to_owned());
        let shown = text(driver.fetch(&nowhere, PATIENT_MS));
        let expected = "oauth2: cannot fetch token: Post \"http://127.0.0.1:1/token\": dial tcp \
                        127.0.0.1:1: connect: connection refused";
        assert_eq!(shown, expected);
    });
}

#[test]
fn kept_connections_are_not_shared_between_certificates() {
    over_both(|mut driver| {
        let issuer = authority();
        let identity = Identity::new(&issuer, &["127.0.0.1"], |_| {});
        let address = secure_server(config(&identity, None, &[]), |_, stream| {
            keep_serving(stream, b"a");
        });
        let trusted = by_tls(address, trusting(&issuer));
        assert_eq!(text(driver.fetch(&trusted, PATIENT_MS)), "200 a");
        // The same place by other options: the connection that stands is not theirs.
        let shown = text(driver.fetch(&by_tls(address, trusting(&authority())), PATIENT_MS));
        assert!(shown.ends_with("certificate signed by unknown authority"), "{shown}");
        // Equal options written twice share it.
        let again = by_tls(address, trusting(&issuer));
        assert_eq!(text(driver.fetch(&again, PATIENT_MS)), "200 a");
        assert_eq!(driver.links().reused, 1);
    });
}

#[test]
fn a_plain_server_is_not_troubled_by_options_for_tls() {
    over_both(|mut driver| {
        let address = server(|_, stream| keep_answering(stream, "200 OK", b"a"));
        let missing = TlsOptions { ca: Some(Text::File("/no/ca".into())), ..TlsOptions::default() };
        let plain =
            FetchRequest { scheme: Scheme::Http, ..(*by_tls(address, missing.clone())).clone() };
        assert_eq!(text(driver.fetch(&Arc::new(plain), PATIENT_MS)), "200 a");
        let shown = text(driver.fetch(&by_tls(address, missing), PATIENT_MS));
        let expected = "unable to read CA cert: unable to read file /no/ca: open /no/ca: no such \
                        file or directory";
        assert_eq!(shown, expected);
    });
}

/// A server that speaks HTTP/2 and nothing else; it answers with what it was asked.
fn http2_server(config: ServerConfig) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((tcp, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(tcp).await else { return };
                    let service = hyper::service::service_fn(
                        async |asked: hyper::Request<hyper::body::Incoming>| {
                            let has_secret = asked.headers().contains_key("authorization");
                            let path = asked.uri().path().to_owned();
                            let shown = format!("{:?} {path} {has_secret}", asked.version());
                            let body = http_body_util::Full::new(bytes::Bytes::from(shown));
                            Ok::<_, std::convert::Infallible>(hyper::Response::new(body))
                        },
                    );
                    let io = hyper_util::rt::TokioIo::new(stream);
                    let executor = hyper_util::rt::TokioExecutor::new();
                    let builder = hyper::server::conn::http2::Builder::new(executor);
                    let _ = builder.serve_connection(io, service).await;
                });
            }
        });
    });
    address
}

#[test]
fn targets_that_want_http2_get_it_unless_it_is_switched_off() {
    over_both(|mut driver| {
        let issuer = authority();
        let identity = Identity::new(&issuer, &["127.0.0.1"], |_| {});
        let address = http2_server(config(&identity, None, &[b"h2"]));
        let http = HttpOptions { tls: trusting(&issuer), ..options() };
        let request = Arc::new(secure(address, http.clone()));
        for _ in 0..3 {
            assert_eq!(text(driver.fetch(&request, PATIENT_MS)), "200 HTTP/2.0 /m true");
        }
        let (counters, links) = (driver.counters(), driver.links());
        assert_eq!((counters.elsewhere, links.opened), (3, 1), "it is remembered");
        let without = Arc::new(secure(address, HttpOptions { http2: false, ..http }));
        let shown = text(driver.fetch(&without, PATIENT_MS));
        assert_eq!(shown, "remote error: tls: no application protocol");
        let both = secure_server(config(&identity, None, &[b"h2", b"http/1.1"]), |_, stream| {
            keep_serving(stream, b"one");
        });
        let shown = text(driver.fetch(&by_tls(both, trusting(&issuer)), PATIENT_MS));
        assert_eq!(shown, "200 one", "the cheaper one, where there is a choice");
    });
}
