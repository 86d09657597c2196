//! Mechanisms that ask over HTTP, against Python's server where that is enough, else against
//! exchanges written by the documented form of each API.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use discovery::consul::ConsulOptions;
use discovery::docker::{DockerOptions, Engine};
use discovery::dockerswarm::{SwarmOptions, SwarmRole};
use discovery::finder::{Finder, JobMechanisms};
use discovery::http::HttpSdOptions;
use discovery::mechanism::Mechanism;
use discovery::metrics::Metrics;
use discovery::nomad::NomadOptions;
use discovery::puppetdb::PuppetDbOptions;
use scrape::http_options::Secret;
use tokio::io::BufReader;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::time::timeout;

const SOON: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(20);

/// What a server answers: body by method and target, replaced whole while it runs. A target with
/// an `index` that is not there is held back until it is.
type Answers = BTreeMap<String, String>;

fn answers(pairs: &[(&str, &str)]) -> Answers {
    pairs.iter().map(|(target, body)| ((*target).to_owned(), (*body).to_owned())).collect()
}

/// Serves the newest answers on one connection.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, mut known: watch::Receiver<Answers>) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut first, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            if first.is_empty() {
                first = line.rsplit_once(' ').map_or("", |(target, _)| target).to_owned();
            }
            let lower = line.to_ascii_lowercase();
            if let Some(count) = lower.strip_prefix("content-length:") {
                length = count.trim().parse().unwrap_or(0);
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        let _ = stream.read_exact(&mut body).await;
        if first.contains("index=") {
            drop(known.wait_for(|known| known.contains_key(&first)).await);
        }
        let found = known.borrow().get(&first).cloned();
        let (status, body) = match &found {
            Some(body) => ("200 OK", body.as_str()),
            None => ("404 Not Found", "nothing here"),
        };
        // The index of Consul's answers stands before the body.
        let (index, body) = body.split_once('|').unwrap_or(("1", body));
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nX-Consul-Index: {index}\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        if stream.write_all((head + body).as_bytes()).await.is_err() {
            return;
        }
    }
}

/// A server with these answers, and the way to replace them.
async fn server(first: Answers) -> (String, watch::Sender<Answers>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("its address");
    let (sender, receiver) = watch::channel(first);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, receiver.clone()));
        }
    });
    (format!("127.0.0.1:{}", address.port()), sender)
}

fn finder(mechanism: Mechanism) -> (Finder, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::default());
    let mut finder = Finder::new(Arc::clone(&metrics));
    finder.apply(vec![JobMechanisms { job: "j".to_owned(), mechanisms: vec![mechanism] }]);
    (finder, metrics)
}

fn addresses(finder: &Finder) -> String {
    let groups = finder.groups("j");
    let labels = groups.iter().flat_map(|group| group.label_sets());
    let found: Vec<String> = labels.map(|labels| labels.value("__address__").to_owned()).collect();
    found.join(" ")
}

/// Waits until these are the addresses.
async fn wait_for(finder: &mut Finder, expected: &str) {
    let wait = async {
        while addresses(finder) != expected {
            finder.changed().await;
        }
    };
    let done = timeout(PATIENCE, wait).await.is_ok();
    assert!(done, "{} instead of {expected}", addresses(finder));
}

#[tokio::test]
async fn http_lists_are_taken_and_failures_keep_the_old() {
    let list = r#"[{"targets": ["a:1", "b:1"], "labels": {"x": "y"}}]"#;
    let (address, answers_of) = server(answers(&[("GET /t", list)])).await;
    let url = format!("http://{address}/t");
    let options = HttpSdOptions { url: url.clone(), refresh: SOON, http: Arc::default() };
    let (mut finder, metrics) = finder(Mechanism::Http(options));
    wait_for(&mut finder, "a:1 b:1").await;
    let labels = finder.groups("j")[0].label_sets().next().expect("a target");
    assert_eq!((labels.value("__meta_url"), labels.value("x")), (url.as_str(), "y"));
    answers_of.send_replace(answers(&[("GET /t", r#"{"not": "a list"}"#)]));
    let failing = async {
        while metrics.http_failures.load(Ordering::Relaxed) < 2 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, failing).await.expect("failures are counted");
    answers_of.send_replace(answers(&[("GET /other", "[]")]));
    assert_eq!(addresses(&finder), "a:1 b:1");
    answers_of.send_replace(answers(&[("GET /t", r#"[{"targets": ["c:1"]}]"#)]));
    wait_for(&mut finder, "c:1").await;
}

#[tokio::test]
async fn pythons_server_lists_targets() {
    let directory = tempfile::tempdir().expect("directory");
    let list = r#"[{"targets": ["p:1"]}]"#;
    std::fs::write(directory.path().join("t.json"), list).expect("write");
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        listener.local_addr().expect("its address").port()
    };
    let mut command = Command::new("python3");
    command.args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()]);
    command.current_dir(directory.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("SKIPPED: no python3 here; HTTP discovery is not tested against it");
            return;
        }
        Err(error) => panic!("start python3: {error}"),
    };
    let url = format!("http://127.0.0.1:{port}/t.json");
    let options = HttpSdOptions { url, refresh: SOON, http: Arc::default() };
    let (mut finder, _) = finder(Mechanism::Http(options));
    wait_for(&mut finder, "p:1").await;
    let _ = child.kill();
    let _ = child.wait();
}

fn consul(server: &str) -> ConsulOptions {
    ConsulOptions {
        server: server.to_owned(),
        path_prefix: String::new(),
        scheme: "http".to_owned(),
        token: Secret("t".to_owned()),
        datacenter: String::new(),
        namespace: String::new(),
        partition: String::new(),
        tag_separator: ",".to_owned(),
        allow_stale: true,
        refresh: SOON,
        services: Vec::new(),
        tags: Vec::new(),
        node_meta: Vec::new(),
        filter: String::new(),
        health_filter: String::new(),
        http: Arc::default(),
    }
}

fn entry(address: &str) -> String {
    format!(
        r#"{{"Node": {{"Node": "n", "Address": "{address}"}}, "Service": {{"ID": "i",
            "Tags": [], "Address": "", "Port": 80}}, "Checks": []}}"#
    )
}

#[tokio::test]
async fn consul_tells_of_services_and_instances_as_they_change() {
    const AGENT: (&str, &str) = ("GET /v1/agent/self", r#"{"Config": {"Datacenter": "dc"}}"#);
    const CATALOG: &str = "GET /v1/catalog/services?dc=dc&stale=";
    const WEB: &str = "GET /v1/health/service/web?dc=dc&stale=";
    const WAIT: &str = "&wait=120000ms";
    let target = |path: &str, index: u64| match index {
        0 => format!("{path}{WAIT}"),
        index => format!("{path}&index={index}{WAIT}"),
    };
    let mut known = answers(&[AGENT]);
    known.insert(target(CATALOG, 0), r#"7|{"web": ["a"], "consul": []}"#.to_owned());
    known.insert(target(WEB, 0), format!("8|[{}]", entry("192.0.2.1")));
    let (address, answers_of) = server(known.clone()).await;
    let mut options = consul(&address);
    options.tags = Vec::new();
    let (mut finder, metrics) = finder(Mechanism::Consul(Box::new(options)));
    wait_for(&mut finder, "192.0.2.1:80").await;
    let labels = finder.groups("j")[0].label_sets().next().expect("a target");
    assert_eq!(labels.value("__meta_consul_dc"), "dc");
    assert_eq!(labels.value("__meta_consul_service"), "web");
    // A question with the index of the last answer is held until something changes.
    let two = format!("9|[{}, {}]", entry("192.0.2.1"), entry("192.0.2.2"));
    known.insert(target(WEB, 8), two);
    answers_of.send_replace(known.clone());
    wait_for(&mut finder, "192.0.2.1:80 192.0.2.2:80").await;
    known.insert(target(CATALOG, 7), r#"10|{"consul": []}"#.to_owned());
    answers_of.send_replace(known);
    wait_for(&mut finder, "").await;
    // The service `consul` has no answer here: that is a failure, and it is counted.
    assert!(0 < metrics.consul_rpc_failures.load(Ordering::Relaxed));
}

#[tokio::test]
async fn nomad_and_puppetdb_are_asked_as_documented() {
    let query = "?namespace=default&region=global&stale=";
    let known = answers(&[
        (
            &format!("GET /v1/services{query}"),
            r#"[{"Namespace": "default", "Services": [{"ServiceName": "web", "Tags": []}]}]"#,
        ),
        (
            &format!("GET /v1/service/web{query}"),
            r#"[{"Address": "192.0.2.1", "ID": "i", "Port": 81, "ServiceName": "web"}]"#,
        ),
        ("POST /pdb/query/v4", r#"[{"certname": "a.example", "type": "Class"}]"#),
    ]);
    let (address, _answers_of) = server(known).await;
    let options = NomadOptions {
        allow_stale: true,
        namespace: "default".to_owned(),
        region: "global".to_owned(),
        server: format!("http://{address}"),
        tag_separator: ",".to_owned(),
        refresh: SOON,
        http: Arc::default(),
    };
    let (mut nomad, _) = finder(Mechanism::Nomad(Box::new(options)));
    wait_for(&mut nomad, "192.0.2.1:81").await;
    let options = PuppetDbOptions {
        url: format!("http://{address}/"),
        query: "resources { }".to_owned(),
        include_parameters: false,
        port: 9100,
        refresh: SOON,
        http: Arc::default(),
    };
    let (mut puppetdb, _) = finder(Mechanism::PuppetDb(options));
    wait_for(&mut puppetdb, "a.example:9100").await;
}

fn engine(host: String) -> Engine {
    Engine { host, filters: Vec::new(), port: 80, refresh: SOON, http: Arc::default() }
}

fn listen_at(path: &Path, known: Answers) -> watch::Sender<Answers> {
    let listener = UnixListener::bind(path).expect("a socket");
    let (sender, receiver) = watch::channel(known);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, receiver.clone()));
        }
    });
    sender
}

#[tokio::test]
async fn docker_is_asked_at_its_socket_and_a_swarm_over_tcp() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("docker.sock");
    let containers = r#"[{"Id": "c", "Names": ["/web"], "HostConfig": {"NetworkMode": "b"},
        "Ports": [{"PrivatePort": 80, "Type": "tcp"}], "NetworkSettings": {"Networks":
        {"b": {"NetworkID": "n", "IPAddress": "172.17.0.2"}}}}]"#;
    let networks = r#"[{"Id": "n", "Name": "bridge", "Scope": "local", "Labels": {}}]"#;
    let known = answers(&[("GET /containers/json", containers), ("GET /networks", networks)]);
    let _answers_of = listen_at(&path, known);
    let options = DockerOptions {
        engine: engine(format!("unix://{}", path.display())),
        host_networking_host: "localhost".to_owned(),
        match_first_network: true,
    };
    let (mut docker, _) = finder(Mechanism::Docker(options));
    wait_for(&mut docker, "172.17.0.2:80").await;
    let labels = docker.groups("j")[0].label_sets().next().expect("a target");
    assert_eq!(labels.value("__meta_docker_network_name"), "bridge");
    let nodes = r#"[{"ID": "n", "Spec": {}, "Status": {"State": "ready", "Addr": "192.0.2.3"}}]"#;
    let (address, _answers_of) = server(answers(&[("GET /nodes", nodes)])).await;
    let options =
        SwarmOptions { engine: engine(format!("tcp://{address}")), role: SwarmRole::Nodes };
    let (mut swarm, _) = finder(Mechanism::DockerSwarm(options));
    wait_for(&mut swarm, "192.0.2.3:80").await;
}
