//! Outlet: how a mechanism's task hands on what it found.
//!
//! Path: mechanism → **outlet** → `finder`.
//! Never: drops an update; a full queue makes the mechanism wait.

use std::sync::Arc;

use tokio::sync::mpsc::Sender;

use crate::group::Group;
use crate::metrics::{Metrics, ProviderMetrics};

/// Names a mechanism that runs; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProviderId(pub u64);

/// What a mechanism found.
#[derive(Debug)]
pub struct Update {
    /// Which mechanism.
    pub provider: ProviderId,
    /// Groups, each in place of the one of its source.
    pub groups: Vec<Group>,
    /// Whether these are all there are.
    pub is_whole: bool,
}

/// The way of one mechanism's findings.
#[derive(Debug)]
pub struct Outlet {
    /// Which mechanism.
    pub provider: ProviderId,
    /// Where updates go.
    pub updates: Sender<Update>,
    /// What this mechanism counts.
    pub own: Arc<ProviderMetrics>,
    /// What all count.
    pub metrics: Arc<Metrics>,
}

impl Outlet {
    /// Hands on all groups that there are.
    pub async fn replace(&self, groups: Vec<Group>) {
        self.send(groups, true).await;
    }

    /// Hands on groups that changed; one without targets takes its source away.
    pub async fn merge(&self, groups: Vec<Group>) {
        self.send(groups, false).await;
    }

    async fn send(&self, groups: Vec<Group>, is_whole: bool) {
        let update = Update { provider: self.provider, groups, is_whole };
        // A finder that is gone needs nothing; its tasks end with it.
        let _ = self.updates.send(update).await;
    }
}
