//! Kubernetes: nodes, services, pods, endpoints and ingresses of a cluster, told of as they change.
//!
//! Source: Prometheus's `discovery/kubernetes`. Nothing is handed on before everything that a role
//! needs has been listed once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use crate::metrics::Happening;
use crate::outlet::Outlet;

pub mod objects;
pub mod store;
pub mod labels;
pub mod groups;
pub mod access;
pub mod watch;

use access::{Access, Server};
use groups::group;
use labels::{Attach, Context};
use objects::{Kind, Object};
use store::{Meant, Store, key_of};
use watch::{Change, Wanted, Watch};

/// Pause before the API server is looked for again.
const RETRY: Duration = Duration::from_secs(15);
/// Changes that wait; watches wait beyond it.
const CHANGES_MAX: usize = 256;
/// Time for which changes are gathered before groups are made of them.
const GATHER: Duration = Duration::from_millis(500);

/// One of `kubernetes_sd_configs`.
#[derive(Clone, Debug, PartialEq)]
pub struct KubernetesOptions {
    /// How the API server is found.
    pub server: Server,
    /// What becomes a target.
    pub role: Kind,
    /// `namespaces.names`; none is all, unless the own one is wanted.
    pub namespaces: Vec<String>,
    /// `namespaces.own_namespace`
    pub own_namespace: bool,
    /// Selectors of labels and fields, a kind.
    pub selectors: Vec<(Kind, String, String)>,
    /// `attach_metadata`
    pub attach: Attach,
}

impl KubernetesOptions {
    /// What is to be watched.
    fn wanted(&self, own_namespace: Option<&str>) -> Vec<Wanted> {
        let mut namespaces = self.namespaces.clone();
        namespaces.extend(own_namespace.filter(|_| self.own_namespace).map(str::to_owned));
        if namespaces.is_empty() {
            namespaces.push(String::new());
        }
        let selected = |kind: Kind, namespace: &str| {
            let selector = self.selectors.iter().find(|(of, _, _)| *of == kind);
            let (label, field) =
                selector.map_or(("", ""), |(_, label, field)| (label.as_str(), field.as_str()));
            Wanted {
                kind,
                namespace: namespace.to_owned(),
                label: label.to_owned(),
                field: field.to_owned(),
            }
        };
        let attach = self.attach;
        let of_pods = matches!(self.role, Kind::Pod | Kind::Endpoints | Kind::EndpointSlice);
        let mut wanted = Vec::new();
        if self.role == Kind::Node || of_pods && attach.node {
            wanted.push(selected(Kind::Node, ""));
        }
        if self.role != Kind::Node && attach.namespace {
            wanted.push(selected(Kind::Namespace, ""));
        }
        if self.role == Kind::Node {
            return wanted;
        }
        for namespace in &namespaces {
            wanted.push(selected(self.role, namespace));
            if of_pods && self.role != Kind::Pod {
                wanted.push(selected(Kind::Service, namespace));
                wanted.push(selected(Kind::Pod, namespace));
            }
            if of_pods && attach.deployment {
                wanted.push(selected(Kind::ReplicaSet, namespace));
            }
            if of_pods && (attach.job || attach.cronjob) {
                wanted.push(selected(Kind::Job, namespace));
            }
        }
        wanted
    }
}

/// Watches until its task ends.
pub async fn run(options: KubernetesOptions, outlet: Outlet) {
    let outlet = Arc::new(outlet);
    let access = find(&options.server, &outlet).await;
    let wanted = options.wanted(access.namespace.as_deref());
    let (sender, changes) = channel(CHANGES_MAX);
    // They end with this task.
    let mut watches = JoinSet::new();
    for (number, wanted) in wanted.iter().cloned().enumerate() {
        let (api, changes, outlet) = (access.api(), sender.clone(), Arc::clone(&outlet));
        watches.spawn(Watch { number, wanted, api, changes, outlet }.run());
    }
    drop(sender);
    let cluster = Cluster {
        options,
        outlet,
        missing: (0..wanted.len()).collect(),
        wanted,
        store: Store::default(),
        dirty: BTreeSet::new(),
        all_dirty: true,
    };
    cluster.turn(changes).await;
}

/// The API server, looked for until it is found.
async fn find(server: &Server, outlet: &Outlet) -> Access {
    let mut retries = interval(RETRY);
    retries.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        retries.tick().await;
        match Access::find(server) {
            Ok(access) => return access,
            Err(reason) => {
                outlet.metrics.kubernetes_failures.fetch_add(1, Ordering::Relaxed);
                tracing::error!(job = outlet.own.job, reason, "no access to Kubernetes");
            }
        }
    }
}

/// What is known of the cluster, and what of it was not handed on yet.
struct Cluster {
    options: KubernetesOptions,
    outlet: Arc<Outlet>,
    wanted: Vec<Wanted>,
    /// Watches that have not listed yet.
    missing: BTreeSet<usize>,
    store: Store,
    /// Keys of objects of the role that changed.
    dirty: BTreeSet<String>,
    /// Whether something changed that any of them may refer to.
    all_dirty: bool,
}

impl Cluster {
    async fn turn(mut self, mut changes: Receiver<(usize, Change)>) {
        while let Some((number, change)) = changes.recv().await {
            self.take(number, change);
            let until = Instant::now() + GATHER;
            while let Ok(Some((number, change))) = timeout_at(until, changes.recv()).await {
                self.take(number, change);
            }
            if self.missing.is_empty() {
                self.hand_on().await;
            }
        }
    }

    fn take(&mut self, number: usize, change: Change) {
        let Wanted { kind, namespace, .. } = self.wanted[number].clone();
        match change {
            Change::Set(object) => self.set(kind, object),
            Change::Gone(object) => self.remove(kind, &key_of(object.meta())),
            Change::Listed(objects) => {
                let listed: BTreeSet<String> =
                    objects.iter().map(|object| key_of(object.meta())).collect();
                for key in self.store.keys(kind, &namespace) {
                    if !listed.contains(&*key) {
                        self.remove(kind, &key);
                    }
                }
                for object in objects {
                    self.set(kind, object);
                }
                self.missing.remove(&number);
            }
        }
    }

    fn set(&mut self, kind: Kind, object: Object) {
        let key = key_of(object.meta());
        let meant = self.store.set(kind, object);
        let metrics = &self.outlet.metrics;
        match meant {
            Meant::Nothing => {}
            Meant::Refused => {
                metrics.kubernetes_failures.fetch_add(1, Ordering::Relaxed);
                tracing::error!(job = self.outlet.own.job, key, "more objects than are kept");
                return;
            }
            Meant::Added => metrics.kubernetes_events.count(kind.name(), Happening::Add),
            Meant::Updated => metrics.kubernetes_events.count(kind.name(), Happening::Update),
        }
        if meant != Meant::Nothing {
            self.changed(kind, key);
        }
    }

    fn remove(&mut self, kind: Kind, key: &str) {
        if self.store.remove(kind, key) {
            self.outlet.metrics.kubernetes_events.count(kind.name(), Happening::Delete);
            self.changed(kind, key.to_owned());
        }
    }

    fn changed(&mut self, kind: Kind, key: String) {
        if kind == self.options.role {
            self.dirty.insert(key);
        } else {
            self.all_dirty = true;
        }
    }

    async fn hand_on(&mut self) {
        let context = Context { store: &self.store, attach: self.options.attach };
        let role = self.options.role;
        if self.all_dirty {
            let keys = self.store.keys(role, "");
            let groups = keys.iter().map(|key| group(role, key, context)).collect();
            self.outlet.replace(groups).await;
        } else if !self.dirty.is_empty() {
            let groups = self.dirty.iter().map(|key| group(role, key, context)).collect();
            self.outlet.merge(groups).await;
        }
        self.all_dirty = false;
        self.dirty.clear();
    }
}
