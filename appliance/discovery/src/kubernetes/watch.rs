//! Watch: one kind of objects in one namespace, listed and then told of as they change.
//!
//! Source: Kubernetes's API concepts, "Efficient detection of changes": a list in pages, then a
//! watch from its version; a version that is too old (410) asks for another list.
//! Never: forgets an object because the server cannot be reached.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::Sender;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use crate::address::escaped;
use crate::api::{Api, read};
use crate::kubernetes::objects::{
    Bare, EndpointSlice, Endpoints, Ingress, Kind, Node, Object, Pod, Service,
};
use crate::kubernetes::store::OBJECTS_MAX;
use crate::outlet::Outlet;

/// Objects of a page of a list.
const PAGE: usize = 500;
/// Time after which the server ends a watch, and what we give it beyond that.
const WATCH_SECONDS: u64 = 300;
const WATCH_MAX: Duration = Duration::from_secs(WATCH_SECONDS + 30);
/// Least time between two attempts after a failure, and between two watches.
const RETRY: Duration = Duration::from_secs(5);
/// Bytes of one event.
const EVENT_BYTES_MAX: usize = 16 << 20;
const GONE: u16 = 410;

/// What a watch found.
#[derive(Debug)]
pub enum Change {
    /// These are all there are.
    Listed(Vec<Object>),
    /// One came or changed.
    Set(Object),
    /// One is gone.
    Gone(Object),
}

/// Which objects are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Their kind.
    pub kind: Kind,
    /// Their namespace; "" is all.
    pub namespace: String,
    /// Selector by labels; "" is all.
    pub label: String,
    /// Selector by fields; "" is all.
    pub field: String,
}

impl Wanted {
    fn query(&self) -> String {
        let mut query = String::from("?");
        for (name, value) in [("labelSelector", &self.label), ("fieldSelector", &self.field)] {
            if !value.is_empty() {
                query.push_str(&format!("{name}={}&", escaped(value)));
            }
        }
        query
    }
}

/// A watch that runs.
pub struct Watch {
    /// Its number, which is sent with each change.
    pub number: usize,
    /// What is watched.
    pub wanted: Wanted,
    /// Where it is asked for.
    pub api: Api,
    /// Where changes go.
    pub changes: Sender<(usize, Change)>,
    /// Where failures are counted.
    pub outlet: Arc<Outlet>,
}

#[derive(Debug, Deserialize)]
struct List<T> {
    #[serde(default)]
    metadata: ListMeta,
    items: Option<Vec<T>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ListMeta {
    resource_version: String,
    r#continue: Option<String>,
}

/// The part of an event that does not depend on the kind.
#[derive(Debug, Deserialize)]
struct Head {
    r#type: String,
    object: HeadObject,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct HeadObject {
    metadata: Option<ListMeta>,
    code: u16,
    message: String,
}

#[derive(Debug, Deserialize)]
struct Event<T> {
    object: T,
}

/// Why a watch ended.
enum Ended {
    /// The server ended it, as it should now and then.
    Closed,
    /// Its version is too old: list again.
    Expired,
    /// The reason.
    Failed(String),
}

impl Watch {
    /// Lists and watches until its task ends.
    pub async fn run(mut self) {
        let mut pauses = interval(RETRY);
        pauses.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pauses.tick().await;
            match self.list().await {
                Ok((objects, version)) => {
                    self.send(Change::Listed(objects)).await;
                    self.follow(version, &mut pauses).await;
                }
                Err(reason) => self.failed(&reason),
            }
        }
    }

    async fn send(&self, change: Change) {
        // Who takes changes ends with this task.
        let _ = self.changes.send((self.number, change)).await;
    }

    fn failed(&self, reason: &str) {
        self.outlet.metrics.kubernetes_failures.fetch_add(1, Ordering::Relaxed);
        let (job, kind) = (&self.outlet.own.job, self.wanted.kind.name());
        tracing::warn!(job, kind, reason, "Kubernetes does not tell of objects");
    }

    async fn list(&mut self) -> Result<(Vec<Object>, String), String> {
        let base = self.wanted.kind.path(&self.wanted.namespace) + &self.wanted.query();
        let mut objects = Vec::new();
        let mut more = String::new();
        loop {
            let path = match more.as_str() {
                "" => format!("{base}limit={PAGE}"),
                more => format!("{base}limit={PAGE}&continue={}", escaped(more)),
            };
            let body = self.api.get(&path).await?.body;
            let meta = read_list(self.wanted.kind, &body, &mut objects)?;
            if OBJECTS_MAX < objects.len() {
                return Err(format!("more than {OBJECTS_MAX} objects"));
            }
            match meta.r#continue.filter(|more| !more.is_empty()) {
                Some(next) => more = next,
                None => return Ok((objects, meta.resource_version)),
            }
        }
    }

    /// Watches from `version` on, again and again, until a list is needed.
    async fn follow(&mut self, mut version: String, pauses: &mut Interval) {
        loop {
            match self.watch(&mut version).await {
                Ended::Closed => {}
                Ended::Expired => return,
                Ended::Failed(reason) => self.failed(&reason),
            }
            pauses.tick().await;
        }
    }

    async fn watch(&mut self, version: &mut String) -> Ended {
        let base = self.wanted.kind.path(&self.wanted.namespace) + &self.wanted.query();
        let path = format!(
            "{base}watch=1&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&\
             resourceVersion={}",
            escaped(version)
        );
        let mut answer = match self.api.watch(&path).await {
            Ok(answer) => answer,
            Err((GONE, _)) => return Ended::Expired,
            Err((_, reason)) => return Ended::Failed(reason),
        };
        let mut buffer: Vec<u8> = Vec::new();
        loop {
            let piece = match timeout(WATCH_MAX, answer.piece()).await {
                Ok(Ok(Some(piece))) => piece,
                Ok(Ok(None)) => return Ended::Closed,
                Ok(Err(fault)) => return Ended::Failed(fault.to_string()),
                Err(_) => return Ended::Failed("a watch that says nothing".to_owned()),
            };
            let mut searched = buffer.len();
            buffer.extend_from_slice(&piece);
            while let Some(at) = buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = buffer.drain(..=searched + at).collect();
                searched = 0;
                if let Err(ended) = self.take(&line, version).await {
                    return ended;
                }
            }
            if EVENT_BYTES_MAX < buffer.len() {
                return Ended::Failed(format!("an event of more than {EVENT_BYTES_MAX} bytes"));
            }
        }
    }

    async fn take(&self, line: &[u8], version: &mut String) -> Result<(), Ended> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let head: Head = read(line).map_err(Ended::Failed)?;
        if head.r#type == "ERROR" {
            return Err(match head.object.code {
                GONE => Ended::Expired,
                _ => Ended::Failed(head.object.message),
            });
        }
        if head.r#type != "BOOKMARK" {
            let object = read_event(self.wanted.kind, line).map_err(Ended::Failed)?;
            let is_gone = head.r#type == "DELETED";
            self.send(if is_gone { Change::Gone(object) } else { Change::Set(object) }).await;
        }
        if let Some(meta) = head.object.metadata {
            *version = meta.resource_version;
        }
        Ok(())
    }
}

/// Reads a page of a list, whose objects go to `into`.
fn read_list(kind: Kind, body: &[u8], into: &mut Vec<Object>) -> Result<ListMeta, String> {
    fn page<T: DeserializeOwned>(
        body: &[u8],
        into: &mut Vec<Object>,
        of: fn(Box<T>) -> Object,
    ) -> Result<ListMeta, String> {
        let list: List<T> = read(body)?;
        into.extend(list.items.into_iter().flatten().map(|item| of(Box::new(item))));
        Ok(list.metadata)
    }
    match kind {
        Kind::Node => page::<Node>(body, into, Object::Node),
        Kind::Service => page::<Service>(body, into, Object::Service),
        Kind::Pod => page::<Pod>(body, into, Object::Pod),
        Kind::Endpoints => page::<Endpoints>(body, into, Object::Endpoints),
        Kind::EndpointSlice => page::<EndpointSlice>(body, into, Object::EndpointSlice),
        Kind::Ingress => page::<Ingress>(body, into, Object::Ingress),
        Kind::Namespace | Kind::ReplicaSet | Kind::Job => page::<Bare>(body, into, Object::Bare),
    }
}

fn read_event(kind: Kind, line: &[u8]) -> Result<Object, String> {
    fn event<T: DeserializeOwned>(line: &[u8], of: fn(Box<T>) -> Object) -> Result<Object, String> {
        let event: Event<T> = read(line)?;
        Ok(of(Box::new(event.object)))
    }
    match kind {
        Kind::Node => event::<Node>(line, Object::Node),
        Kind::Service => event::<Service>(line, Object::Service),
        Kind::Pod => event::<Pod>(line, Object::Pod),
        Kind::Endpoints => event::<Endpoints>(line, Object::Endpoints),
        Kind::EndpointSlice => event::<EndpointSlice>(line, Object::EndpointSlice),
        Kind::Ingress => event::<Ingress>(line, Object::Ingress),
        Kind::Namespace | Kind::ReplicaSet | Kind::Job => event::<Bare>(line, Object::Bare),
    }
}
