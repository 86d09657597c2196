//! Kubernetes: objects as its API writes them become targets, and a server that lists and tells of
//! changes is followed. The exchanges are written by the API's documentation; no cluster is here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use discovery::finder::{Finder, JobMechanisms};
use discovery::kubernetes::KubernetesOptions;
use discovery::kubernetes::access::Server;
use discovery::kubernetes::groups::group;
use discovery::kubernetes::labels::{Attach, Context};
use discovery::kubernetes::objects::{Kind, Object};
use discovery::kubernetes::store::Store;
use discovery::mechanism::Mechanism;
use discovery::metrics::Metrics;
use exposition::metrics::Collected;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

const PREFIX: &str = "__meta_kubernetes_";

fn object(kind: Kind, text: &Value) -> Object {
    fn read<T: serde::de::DeserializeOwned>(text: &Value) -> Box<T> {
        Box::new(serde_json::from_value(text.clone()).expect("an object"))
    }
    match kind {
        Kind::Node => Object::Node(read(text)),
        Kind::Service => Object::Service(read(text)),
        Kind::Pod => Object::Pod(read(text)),
        Kind::Endpoints => Object::Endpoints(read(text)),
        Kind::EndpointSlice => Object::EndpointSlice(read(text)),
        Kind::Ingress => Object::Ingress(read(text)),
        Kind::Namespace | Kind::ReplicaSet | Kind::Job => Object::Bare(read(text)),
    }
}

fn node() -> Value {
    json!({"metadata": {"name": "n1", "uid": "u", "labels": {"a/b": "c"}},
        "spec": {"providerID": "p://1"},
        "status": {"addresses": [{"type": "Hostname", "address": "h"},
            {"type": "InternalIP", "address": "192.0.2.1"},
            {"type": "InternalIP", "address": "192.0.2.2"}],
            "conditions": [{"type": "Ready", "status": "True"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}}}})
}

fn service() -> Value {
    json!({"metadata": {"name": "web", "namespace": "d", "labels": {"team": "x"}},
        "spec": {"type": "LoadBalancer", "clusterIP": "10.0.0.9",
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.1"}, {"hostname": "x"}]}}})
}

fn pod() -> Value {
    json!({"metadata": {"name": "p1", "namespace": "d", "uid": "u1",
            "annotations": {"scrape": "yes"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "rs", "controller": true}]},
        "spec": {"nodeName": "n1", "containers": [
                {"name": "c1", "image": "i1", "ports": [
                    {"name": "http", "containerPort": 8080, "protocol": "TCP"},
                    {"name": "ops", "containerPort": 9000, "protocol": "TCP"}]}],
            "initContainers": [{"name": "c2", "image": "i2"}]},
        "status": {"phase": "Running", "podIP": "10.1.0.1", "hostIP": "192.0.2.1",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "c1", "containerID": "docker://1"}]}})
}

fn pod_labels(rest: &[(&str, &str)]) -> Vec<String> {
    let own = [
        ("pod_annotation_scrape", "yes"),
        ("pod_annotationpresent_scrape", "true"),
        ("pod_controller_kind", "ReplicaSet"),
        ("pod_controller_name", "rs"),
        ("pod_deployment_name", "dep"),
        ("pod_host_ip", "192.0.2.1"),
        ("pod_ip", "10.1.0.1"),
        ("pod_name", "p1"),
        ("pod_node_name", "n1"),
        ("pod_phase", "Running"),
        ("pod_ready", "true"),
        ("pod_uid", "u1"),
    ];
    let mut all: Vec<String> =
        own.iter().chain(rest).map(|(name, value)| format!("{name}={value}")).collect();
    all.sort();
    all
}

/// A store of everything, one of each.
fn store() -> Store {
    let mut store = Store::default();
    let bare = |name: &str, namespace: &str, owner: Value| {
        json!({"metadata": {"name": name, "namespace": namespace, "labels": {"ns": "l"},
            "ownerReferences": [owner]}})
    };
    let deployment = json!({"kind": "Deployment", "name": "dep", "controller": true});
    for (kind, text) in [
        (Kind::Node, node()),
        (Kind::Service, service()),
        (Kind::Pod, pod()),
        (Kind::ReplicaSet, bare("rs", "d", deployment)),
        (Kind::Namespace, bare("d", "", json!({}))),
    ] {
        store.set(kind, object(kind, &text));
    }
    store
}

/// The group's labels, then each target's, as `name=value` without the prefix.
#[track_caller]
fn check(kind: Kind, text: Option<Value>, key: &str, attach: Attach, expected: &[&[String]]) {
    let mut store = store();
    if let Some(text) = text {
        store.set(kind, object(kind, &text));
    }
    let found = group(kind, key, Context { store: &store, attach });
    let shown = |labels: &model::label_set::LabelSet| {
        let pairs = labels.iter().map(|(n, v)| format!("{}={v}", n.trim_start_matches(PREFIX)));
        let mut pairs: Vec<String> = pairs.collect();
        pairs.sort();
        pairs
    };
    let all: Vec<Vec<String>> =
        std::iter::once(&found.labels).chain(&found.targets).map(shown).collect();
    assert_eq!(all, expected);
}

fn list(pairs: &[(&str, &str)]) -> Vec<String> {
    let mut all: Vec<String> = pairs.iter().map(|(n, v)| format!("{n}={v}")).collect();
    all.sort();
    all
}

#[test]
fn nodes_and_services_have_upstreams_labels() {
    let labels = list(&[
        ("node_condition_ready", "true"),
        ("node_label_a_b", "c"),
        ("node_labelpresent_a_b", "true"),
        ("node_name", "n1"),
        ("node_provider_id", "p://1"),
    ]);
    let target = list(&[
        ("__address__", "192.0.2.1:10250"),
        ("instance", "n1"),
        ("node_address_Hostname", "h"),
        ("node_address_InternalIP", "192.0.2.1"),
    ]);
    check(Kind::Node, None, "n1", Attach::default(), &[&labels, &target]);
    let attach = Attach { namespace: true, ..Attach::default() };
    let labels = list(&[
        ("namespace", "d"),
        ("namespace_label_ns", "l"),
        ("namespace_labelpresent_ns", "true"),
        ("service_label_team", "x"),
        ("service_labelpresent_team", "true"),
        ("service_name", "web"),
    ]);
    let target = list(&[
        ("__address__", "web.d.svc:80"),
        ("service_cluster_ip", "10.0.0.9"),
        ("service_loadbalancer_ip", "198.51.100.1"),
        ("service_port_name", "http"),
        ("service_port_number", "80"),
        ("service_port_protocol", "TCP"),
        ("service_type", "LoadBalancer"),
    ]);
    check(Kind::Service, None, "d/web", attach, &[&labels, &target]);
}

fn port_labels<'a>(name: &'a str, number: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("pod_container_image", "i1"),
        ("pod_container_init", "false"),
        ("pod_container_name", "c1"),
        ("pod_container_port_name", name),
        ("pod_container_port_number", number),
        ("pod_container_port_protocol", "TCP"),
    ]
}

#[test]
fn each_port_of_a_pod_is_a_target() {
    let attach = Attach { deployment: true, node: true, ..Attach::default() };
    let labels = pod_labels(&[
        ("namespace", "d"),
        ("node_label_a_b", "c"),
        ("node_labelpresent_a_b", "true"),
        ("node_name", "n1"),
    ]);
    let port = |address, name, number| {
        let own = [("__address__", address), ("pod_container_id", "docker://1")];
        list(&[port_labels(name, number), own.to_vec()].concat())
    };
    let init = list(&[
        ("__address__", "10.1.0.1"),
        ("pod_container_image", "i2"),
        ("pod_container_init", "true"),
        ("pod_container_name", "c2"),
    ]);
    let (http, ops) = (port("10.1.0.1:8080", "http", "8080"), port("10.1.0.1:9000", "ops", "9000"));
    check(Kind::Pod, None, "d/p1", attach, &[&labels, &http, &ops, &init]);
    let mut elsewhere = pod();
    elsewhere["spec"]["nodeName"] = json!("n2");
    check(Kind::Pod, Some(elsewhere), "d/p1", attach, &[&[]]);
}

const DEPLOYMENT: Attach =
    Attach { deployment: true, node: false, namespace: false, job: false, cronjob: false };

#[test]
fn endpoints_know_their_service_and_pods() {
    let text = json!({"metadata": {"name": "web", "namespace": "d"}, "subsets": [{
        "addresses": [{"ip": "10.1.0.1", "nodeName": "n1",
            "targetRef": {"kind": "Pod", "name": "p1", "namespace": "d"}}],
        "notReadyAddresses": [{"ip": "10.1.0.2", "hostname": "two"}],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]}]});
    let labels = list(&[
        ("endpoints_name", "web"),
        ("namespace", "d"),
        ("service_label_team", "x"),
        ("service_labelpresent_team", "true"),
        ("service_name", "web"),
    ]);
    let own = |address, ready| {
        vec![
            ("__address__", address),
            ("endpoint_port_name", "http"),
            ("endpoint_port_protocol", "TCP"),
            ("endpoint_ready", ready),
        ]
    };
    let reference = vec![
        ("endpoint_address_target_kind", "Pod"),
        ("endpoint_address_target_name", "p1"),
        ("endpoint_node_name", "n1"),
    ];
    let http = port_labels("http", "8080");
    let first = pod_labels(&[own("10.1.0.1:8080", "true"), reference, http].concat());
    let second =
        list(&[own("10.1.0.2:8080", "false"), vec![("endpoint_hostname", "two")]].concat());
    let ops = port_labels("ops", "9000");
    let rest = pod_labels(&[vec![("__address__", "10.1.0.1:9000")], ops].concat());
    let expected: [&[String]; 4] = [&labels, &first, &second, &rest];
    check(Kind::Endpoints, Some(text), "d/web", DEPLOYMENT, &expected);
}

#[test]
fn slices_know_their_service_and_pods() {
    let text = json!({"metadata": {"name": "web-1", "namespace": "d",
            "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.1.0.1"], "conditions": {"ready": true},
            "zone": "z", "nodeName": "n1",
            "targetRef": {"kind": "Pod", "name": "p1", "namespace": "d"}}],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP", "appProtocol": "h2c"}]});
    let labels = list(&[
        ("endpointslice_address_type", "IPv4"),
        ("endpointslice_label_kubernetes_io_service_name", "web"),
        ("endpointslice_labelpresent_kubernetes_io_service_name", "true"),
        ("endpointslice_name", "web-1"),
        ("namespace", "d"),
        ("service_label_team", "x"),
        ("service_labelpresent_team", "true"),
        ("service_name", "web"),
    ]);
    let own = vec![
        ("__address__", "10.1.0.1:8080"),
        ("endpointslice_address_target_kind", "Pod"),
        ("endpointslice_address_target_name", "p1"),
        ("endpointslice_endpoint_conditions_ready", "true"),
        ("endpointslice_endpoint_node_name", "n1"),
        ("endpointslice_endpoint_zone", "z"),
        ("endpointslice_port", "8080"),
        ("endpointslice_port_app_protocol", "h2c"),
        ("endpointslice_port_name", "http"),
        ("endpointslice_port_protocol", "TCP"),
    ];
    let http = port_labels("http", "8080");
    let first = pod_labels(&[own, http].concat());
    let ops = port_labels("ops", "9000");
    let rest = pod_labels(&[vec![("__address__", "10.1.0.1:9000")], ops].concat());
    let expected: [&[String]; 3] = [&labels, &first, &rest];
    check(Kind::EndpointSlice, Some(text), "d/web-1", DEPLOYMENT, &expected);
    // Kubernetes writes null where a slice has none.
    let empty = json!({"metadata": {"name": "e", "namespace": "d"}, "addressType": "IPv6",
        "endpoints": null, "ports": null});
    let labels = list(&[
        ("endpointslice_address_type", "IPv6"),
        ("endpointslice_name", "e"),
        ("namespace", "d"),
    ]);
    check(Kind::EndpointSlice, Some(empty), "d/e", DEPLOYMENT, &[&labels]);
}

#[test]
fn each_path_of_an_ingress_is_a_target() {
    let text = json!({"metadata": {"name": "i", "namespace": "d"},
        "spec": {"ingressClassName": "nginx", "tls": [{"hosts": ["*.example.com"]}],
            "rules": [{"host": "a.example.com", "http": {"paths": [{"path": "/x"}, {}]}},
                {"host": "example.com"}]}});
    let labels =
        list(&[("ingress_class_name", "nginx"), ("ingress_name", "i"), ("namespace", "d")]);
    let target = |host, scheme, path| {
        list(&[
            ("__address__", host),
            ("ingress_host", host),
            ("ingress_path", path),
            ("ingress_scheme", scheme),
        ])
    };
    let secure = "a.example.com";
    let (one, two) = (target(secure, "https", "/x"), target(secure, "https", "/"));
    let three = target("example.com", "http", "/");
    let expected: [&[String]; 4] = [&labels, &one, &two, &three];
    check(Kind::Ingress, Some(text), "d/i", Attach::default(), &expected);
}

/// What the server has: pages by path and query, and lines of each watch, told as they come.
#[derive(Clone, Default)]
struct Known {
    pages: BTreeMap<String, Value>,
    lines: BTreeMap<String, Vec<Value>>,
}

async fn serve(stream: TcpStream, mut known: watch::Receiver<Known>) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut target = String::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            if target.is_empty() {
                target = line.split(' ').nth(1).unwrap_or("").to_owned();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        if !target.contains("watch=1") {
            let page = known.borrow().pages.get(&target).cloned();
            let (status, body) = match page {
                Some(page) => ("200 OK", page.to_string()),
                None => ("403 Forbidden", format!("no {target}")),
            };
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
            if stream.write_all((head + &body).as_bytes()).await.is_err() {
                return;
            }
            continue;
        }
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        if stream.write_all(head.as_bytes()).await.is_err() {
            return;
        }
        let mut sent = 0;
        loop {
            let lines = known.borrow_and_update().lines.get(&target).cloned().unwrap_or_default();
            for line in lines.iter().skip(sent) {
                // Each line in two pieces, as a network may deliver it.
                let text = format!("{line}\n");
                let (one, two) = text.split_at(text.len() / 2);
                for piece in [one, two] {
                    let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
                    if stream.write_all(chunk.as_bytes()).await.is_err() {
                        return;
                    }
                }
            }
            sent = lines.len();
            if known.changed().await.is_err() {
                return;
            }
        }
    }
}

fn page(version: &str, items: &[Value], more: &str) -> Value {
    json!({"kind": "List", "metadata": {"resourceVersion": version, "continue": more},
        "items": items})
}

fn pod_named(name: &str, address: &str, version: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "d", "resourceVersion": version},
        "spec": {"containers": [{"name": "c"}]}, "status": {"podIP": address}})
}

fn addresses(finder: &Finder) -> String {
    let groups = finder.groups("j");
    let labels = groups.iter().flat_map(|group| group.label_sets());
    let found: Vec<String> = labels.map(|labels| labels.value("__address__").to_owned()).collect();
    found.join(" ")
}

async fn wait_for(finder: &mut Finder, expected: &str) {
    let wait = async {
        while addresses(finder) != expected {
            finder.changed().await;
        }
    };
    let done = timeout(Duration::from_secs(40), wait).await.is_ok();
    assert!(done, "{} instead of {expected}", addresses(finder));
}

#[tokio::test]
async fn a_cluster_is_listed_then_followed_and_listed_again_when_it_says_so() {
    const BASE: &str = "/api/v1/namespaces/d/pods?labelSelector=a%3Db&";
    let watch_from = |version: &str| {
        format!(
            "{BASE}watch=1&allowWatchBookmarks=true&timeoutSeconds=300&resourceVersion={version}"
        )
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let base = format!("http://{}", listener.local_addr().expect("its address"));
    let mut known = Known::default();
    let first = page("5", &[pod_named("a", "10.0.0.1", "1")], "more");
    let second = page("5", &[pod_named("b", "10.0.0.2", "2")], "");
    known.pages.insert(format!("{BASE}limit=500"), first);
    known.pages.insert(format!("{BASE}limit=500&continue=more"), second);
    let (sender, receiver) = watch::channel(known.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, receiver.clone()));
        }
    });
    let metrics = Arc::new(Metrics::default());
    let mut finder = Finder::new(Arc::clone(&metrics));
    let options = KubernetesOptions {
        server: Server::Url(base, Arc::default()),
        role: Kind::Pod,
        namespaces: vec!["d".to_owned()],
        own_namespace: false,
        selectors: vec![(Kind::Pod, "a=b".to_owned(), String::new())],
        attach: Attach::default(),
    };
    let mechanisms = vec![Mechanism::Kubernetes(Box::new(options))];
    finder.apply(vec![JobMechanisms { job: "j".to_owned(), mechanisms }]);
    wait_for(&mut finder, "10.0.0.1 10.0.0.2").await;
    let event = |kind: &str, object: Value| json!({"type": kind, "object": object});
    known.lines.insert(
        watch_from("5"),
        vec![
            event("ADDED", pod_named("c", "10.0.0.3", "6")),
            event("MODIFIED", pod_named("a", "10.0.0.9", "7")),
            event("DELETED", pod_named("b", "10.0.0.2", "8")),
            event("BOOKMARK", json!({"metadata": {"resourceVersion": "9"}})),
        ],
    );
    sender.send_replace(known.clone());
    wait_for(&mut finder, "10.0.0.9 10.0.0.3").await;
    // A version that is too old: what is listed then is all there is.
    let gone = json!({"kind": "Status", "code": 410, "message": "too old"});
    known.lines.entry(watch_from("5")).or_default().push(event("ERROR", gone));
    let list = page("20", &[pod_named("z", "10.0.0.20", "20")], "");
    known.pages.insert(format!("{BASE}limit=500"), list);
    sender.send_replace(known);
    wait_for(&mut finder, "10.0.0.20").await;
    let mut collected = Collected::default();
    metrics.collect(&mut collected);
    let text = collected.to_text();
    for (happening, count) in [("add", 4), ("update", 1), ("delete", 3)] {
        let line = format!(
            "prometheus_sd_kubernetes_events_total{{event=\"{happening}\",role=\"pod\"}} {count}\n"
        );
        assert!(text.contains(&line), "{line}{text}");
    }
    assert_eq!(metrics.kubernetes_failures.load(Ordering::Relaxed), 0);
}
