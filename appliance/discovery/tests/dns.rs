//! Names looked up at a real server: dnsmasq, where it is installed.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use discovery::dns::lookup::lookup;
use discovery::dns::message::{Kind, Record};
use discovery::dns::system::System;
use tokio::time::{Instant, interval};

/// dnsmasq on a free port, with these options.
struct Server {
    child: Child,
    system: System,
}

impl Server {
    /// `None` when it is not installed, which is said aloud.
    async fn start(options: &[String]) -> Option<Server> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let port = socket.local_addr().expect("its address").port();
        drop(socket);
        let mut command = Command::new("dnsmasq");
        command
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"])
            .args(["--listen-address=127.0.0.1", "--bind-interfaces", "--user=", "--pid-file="])
            .arg(format!("--port={port}"))
            .args(["--local=/test/", "--edns-packet-max=1232"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                eprintln!("SKIPPED: no dnsmasq here (Debian: dnsmasq-base); DNS is not tested");
                return None;
            }
            Err(error) => panic!("start dnsmasq: {error}"),
        };
        let servers = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))];
        let system = System { servers, domains: vec!["test".to_owned()], dots: 1 };
        let server = Server { child, system };
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut ticks = interval(Duration::from_millis(50));
        while server.lookup("ready.test", Kind::A).await.is_err() {
            assert!(Instant::now() < deadline, "dnsmasq does not answer");
            ticks.tick().await;
        }
        Some(server)
    }

    async fn lookup(&self, name: &str, kind: Kind) -> Result<Vec<Record>, String> {
        let mut records = lookup(&self.system, name, kind).await?;
        records.sort_by_key(|record| format!("{record:?}"));
        Ok(records)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn options(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

#[tokio::test]
async fn each_kind_of_record_is_found() {
    let options = options(&[
        "--host-record=a.test,192.0.2.7,2001:db8::7",
        "--cname=alias.test,a.test",
        "--srv-host=_web._tcp.test,a.test,8080,1,2",
        "--srv-host=_web._tcp.test,b.test,8081,1,2",
        "--mx-host=test,mail.test,10",
        // A record of kind 2, name server, as bytes: ns.test.
        "--dns-rr=zone.test,2,026e73047465737400",
    ]);
    let Some(server) = Server::start(&options).await else { return };
    let address = |text: &str| Ok(vec![Record::Address(text.parse().unwrap())]);
    let srv = |target: &str, port| Record::Srv { target: target.to_owned(), port };
    assert_eq!(server.lookup("a.test", Kind::A).await, address("192.0.2.7"));
    assert_eq!(server.lookup("a", Kind::A).await, address("192.0.2.7"), "by the domain");
    assert_eq!(server.lookup("alias.test.", Kind::A).await, address("192.0.2.7"));
    assert_eq!(server.lookup("a.test", Kind::Aaaa).await, address("2001:db8::7"));
    let both = vec![srv("a.test.", 8080), srv("b.test.", 8081)];
    assert_eq!(server.lookup("_web._tcp.test", Kind::Srv).await, Ok(both));
    let mail = vec![Record::Mx("mail.test.".to_owned())];
    assert_eq!(server.lookup("test", Kind::Mx).await, Ok(mail));
    let servers = vec![Record::Ns("ns.test.".to_owned())];
    assert_eq!(server.lookup("zone.test", Kind::Ns).await, Ok(servers));
    assert_eq!(server.lookup("none.test", Kind::A).await, Ok(Vec::new()), "no such name");
}

#[tokio::test]
async fn what_is_too_long_for_a_packet_comes_over_tcp() {
    let many = (0..200).map(|host| {
        format!("--srv-host=_many._tcp.test,a-rather-long-name-of-a-host-{host}.test,80")
    });
    let options: Vec<String> = many.collect();
    let Some(server) = Server::start(&options).await else { return };
    let found = server.lookup("_many._tcp.test", Kind::Srv).await.unwrap();
    assert_eq!(found.len(), 200);
}

#[tokio::test]
async fn a_server_that_refuses_is_passed_over_and_nothing_is_concluded() {
    let Some(mut server) = Server::start(&options(&["--host-record=a.test,192.0.2.7"])).await
    else {
        return;
    };
    // Nobody listens there: the kernel says so at once.
    let dead = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    server.system.servers.insert(0, dead);
    let found = server.lookup("a.test", Kind::A).await.unwrap();
    assert_eq!(found, [Record::Address("192.0.2.7".parse().unwrap())]);
    server.system.servers.truncate(1);
    let error = server.lookup("a.test", Kind::A).await.unwrap_err();
    assert!(error.starts_with("could not resolve a.test.: "), "{error}");
}
