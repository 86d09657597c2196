//! Handover: a target on its way from one shard to another.
//!
//! Path: `scraper` of one shard → **handover** → the server → `scraper` of the other.
//! What a target's series are goes along, so that the shard which takes it can end those that do
//! not come again; their samples stay where they are, and queries join both.
//! A target with samples that carry timestamps of their own, or that has just left a group, stays
//! where it is: those are known by places in storage.

use std::sync::Arc;

use model::label_set::LabelSet;
use model::time::{Tick, TimestampMs};
use storage::row::{ColumnKind, Slot};

use crate::status::Health;
use crate::target::TargetSpec;

/// A target between two shards.
#[derive(Clone, Debug)]
pub struct Handover {
    /// What it is.
    pub spec: Arc<TargetSpec>,
    /// The slot that is its next.
    pub slot: Slot,
    /// Series that its last good scrape had, report series left out.
    pub series: Vec<HandedSeries>,
    /// What is known of its scrapes.
    pub past: Past,
}

/// A series of a target.
#[derive(Clone, Debug)]
pub struct HandedSeries {
    /// Hash of the text by which its target names it.
    pub hash: u128,
    /// What it became.
    pub labels: LabelSet,
    /// Numbers or native histograms.
    pub kind: ColumnKind,
}

/// What is known of a target's scrapes, wherever it is scraped.
#[derive(Clone, Debug)]
pub struct Past {
    /// Groups that it outgrew.
    pub epoch: u32,
    /// Whether the last row had the series, so that they can end.
    pub alive: bool,
    /// Time of the last row with samples.
    pub last_row: TimestampMs,
    /// Whether the last scrape failed by what its body held.
    pub body_failed: bool,
    /// Whether the last scrape succeeded.
    pub health: Health,
    /// Why not.
    pub last_error: String,
    /// When the last scrape began.
    pub last_scrape: Option<TimestampMs>,
    /// The same.
    pub last_began: Option<Tick>,
    /// How long it took.
    pub last_duration_ns: u64,
}

impl Default for Past {
    fn default() -> Past {
        Past {
            epoch: 0,
            alive: false,
            last_row: TimestampMs::MIN,
            body_failed: false,
            health: Health::Unknown,
            last_error: String::new(),
            last_scrape: None,
            last_began: None,
            last_duration_ns: 0,
        }
    }
}

/// How much a shard is to hand over at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Part of the samples a second that it scrapes, 0..=1.
    pub part: f64,
    /// Most series; bounds how long the shard is held. A target with more stays.
    pub series_max: usize,
}

/// What a shard hands over.
#[derive(Clone, Debug, Default)]
pub struct Handed {
    /// The targets.
    pub targets: Vec<Handover>,
    /// Their part of the samples a second that the shard scraped.
    pub part: f64,
}
