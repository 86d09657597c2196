//! Store: the newest of each object that is watched.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use crate::kubernetes::objects::{
    Bare, EndpointSlice, Endpoints, Ingress, Kind, Meta, Node, Object, Pod, Service,
};

/// Objects that are kept.
pub const OBJECTS_MAX: usize = 1_000_000;

/// What a new object meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meant {
    /// It was not there.
    Added,
    /// It differs from the one that was there.
    Updated,
    /// It is the one that was there, as far as labels go.
    Nothing,
    /// There are too many.
    Refused,
}

/// The objects, by kind and by `namespace/name`.
#[derive(Debug, Default)]
pub struct Store {
    objects: BTreeMap<(Kind, Arc<str>), Object>,
}

/// `namespace/name`, or the name of what has no namespace.
#[must_use]
pub fn key_of(meta: &Meta) -> String {
    named(&meta.namespace, &meta.name)
}

/// [`key_of`] an object of this namespace and name.
#[must_use]
pub fn named(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

macro_rules! getters {
    ($($(#[$doc:meta])* $get:ident $kind:ident $type:ident;)*) => {
        $($(#[$doc])*
        #[must_use]
        pub fn $get(&self, key: &str) -> Option<&$type> {
            match self.get(Kind::$kind, key) {
                Some(Object::$kind(object)) => Some(object),
                _ => None,
            }
        })*
    };
}

impl Store {
    /// Keeps `object` in place of the one of its name.
    pub fn set(&mut self, kind: Kind, object: Object) -> Meant {
        let is_full = OBJECTS_MAX <= self.objects.len();
        match self.objects.entry((kind, key_of(object.meta()).into())) {
            Entry::Vacant(_) if is_full => Meant::Refused,
            Entry::Vacant(entry) => {
                entry.insert(object);
                Meant::Added
            }
            Entry::Occupied(entry) if *entry.get() == object => Meant::Nothing,
            Entry::Occupied(mut entry) => {
                entry.insert(object);
                Meant::Updated
            }
        }
    }

    /// Forgets an object; whether it was there.
    pub fn remove(&mut self, kind: Kind, key: &str) -> bool {
        self.objects.remove(&(kind, key.into())).is_some()
    }

    /// The keys of the objects of a kind in a namespace; "" is all.
    #[must_use]
    pub fn keys(&self, kind: Kind, namespace: &str) -> Vec<Arc<str>> {
        let all = self.objects.range((kind, Arc::from(""))..);
        let own = all.take_while(|((found, _), _)| *found == kind);
        let here =
            own.filter(|(_, object)| namespace.is_empty() || object.meta().namespace == namespace);
        here.map(|((_, key), _)| Arc::clone(key)).collect()
    }

    fn get(&self, kind: Kind, key: &str) -> Option<&Object> {
        self.objects.get(&(kind, key.into()))
    }

    getters! {
        /// A node by name.
        node Node Node;
        /// A service by key.
        service Service Service;
        /// A pod by key.
        pod Pod Pod;
        /// Endpoints by key.
        endpoints Endpoints Endpoints;
        /// A slice by key.
        slice EndpointSlice EndpointSlice;
        /// An ingress by key.
        ingress Ingress Ingress;
    }

    /// A namespace, set or job by key.
    #[must_use]
    pub fn bare(&self, kind: Kind, key: &str) -> Option<&Bare> {
        match self.get(kind, key) {
            Some(Object::Bare(object)) => Some(object),
            _ => None,
        }
    }
}
